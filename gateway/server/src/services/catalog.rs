//! `CatalogService`: read from the schema, the sources and the agreements; asks no database.

use std::sync::Arc;

use access::{AccessRequest, Action, SelectionDecision};
use chrono::Utc;
use proto::catalog::v1::{self as wire, catalog_service_server::CatalogService};
use tonic::{Code, Request, Response, Status};

use crate::{call, current::Current, parse, readiness::Readiness, status};

pub(crate) struct CatalogHandler {
    pub(crate) current: Arc<Current>,
    pub(crate) timeouts: call::Timeouts,
    pub(crate) readiness: Arc<Readiness>,
}

#[tonic::async_trait]
impl CatalogService for CatalogHandler {
    async fn list_sources(
        &self,
        _request: Request<wire::ListSourcesRequest>,
    ) -> Result<Response<wire::ListSourcesResponse>, Status> {
        let hub = self.current.hub();
        let sources = hub.sources.adapters().map(|adapter| {
            let source = adapter.describe();
            wire::Source {
                id: source.id.clone(),
                label_vi: source.label_vi.clone(),
                label_en: source.label_en.clone(),
                owner: source.owner.clone(),
                engine: source.engine.to_string(),
                mapping_digest: source.mapping_digest.clone(),
                record_types: source
                    .records
                    .iter()
                    .map(|record| wire::SourceRecordType {
                        record_type: record.record_type.name.clone(),
                        lookup: record.lookup.iter().map(|&kind| kind.into()).collect(),
                        fields: record.record_type.paths_of(&record.fields),
                        search: record
                            .search
                            .iter()
                            .filter_map(|search| {
                                let field = record.record_type.fields.get(search.field)?;
                                let criterion = search.kind.as_str().to_owned();
                                Some(wire::SearchCriterion { criterion, field: field.path.clone() })
                            })
                            .collect(),
                    })
                    .collect(),
                ready: self.readiness.is_ready(&source.id),
            }
        });
        Ok(Response::new(wire::ListSourcesResponse { sources: sources.collect() }))
    }

    async fn list_record_types(
        &self,
        _request: Request<wire::ListRecordTypesRequest>,
    ) -> Result<Response<wire::ListRecordTypesResponse>, Status> {
        let hub = self.current.hub();
        let record_types = hub.schema.record_types().map(|record| described(record)).collect();
        Ok(Response::new(wire::ListRecordTypesResponse { record_types }))
    }

    async fn get_record_type(
        &self,
        request: Request<wire::GetRecordTypeRequest>,
    ) -> Result<Response<wire::RecordType>, Status> {
        let hub = self.current.hub();
        match hub.schema.record_type(&request.get_ref().name) {
            Some(record) => Ok(Response::new(described(record))),
            None => Err(status::plain(
                Code::NotFound,
                "UNKNOWN_RECORD_TYPE",
                "no such record type; ListRecordTypes lists them",
                "Không có loại bản ghi này; xem ListRecordTypes.",
            )),
        }
    }

    async fn list_purposes(
        &self,
        _request: Request<wire::ListPurposesRequest>,
    ) -> Result<Response<wire::ListPurposesResponse>, Status> {
        let hub = self.current.hub();
        let purposes = hub.access.purposes().iter().map(|purpose| wire::Purpose {
            code: purpose.code.clone(),
            name_vi: purpose.name_vi.clone(),
            name_en: purpose.name_en.clone(),
            procedure: purpose.procedure.clone(),
            legal_basis: purpose.legal_basis.clone(),
            dossier_required: purpose.dossier_required,
        });
        Ok(Response::new(wire::ListPurposesResponse { purposes: purposes.collect() }))
    }

    async fn check_access(
        &self,
        request: Request<wire::CheckAccessRequest>,
    ) -> Result<Response<wire::CheckAccessResponse>, Status> {
        let (call, _span) = call::begin(
            "lienthong.catalog.v1.CatalogService/CheckAccess",
            request.metadata(),
            request.extensions(),
            self.timeouts,
        )?;
        let (hub, proof) = (self.current.hub(), call::proof(&request));
        let request = request.into_inner();
        let action = match request.action.as_str() {
            "" | "query" => Action::Query,
            "verify" => Action::Verify,
            "batch" => Action::Batch,
            "search" => Action::Search,
            _ => {
                return Err(status::invalid(vec![query::Violation {
                    field: "action".to_owned(),
                    english: "must be query, verify, batch or search".to_owned(),
                    vietnamese: "phải là query, verify, batch hoặc search".to_owned(),
                }]));
            }
        };
        let parse::AccessCheck { selections, purpose, officer } =
            parse::access_check(&hub, request.selections, request.purpose, request.officer, proof.as_deref())
                .map_err(|unreadable| status::invalid(unreadable.violations))?;
        let decision = hub.access.decide(&AccessRequest {
            caller: &call.caller,
            officer: Some(&officer),
            purpose_code: &purpose.code,
            dossier_number: purpose.dossier_number.as_deref(),
            action,
            selections: &selections,
            now: Utc::now(),
        });
        let selections = match &decision {
            Ok(permit) => permit.selections(),
            Err(refusal) => &refusal.selections,
        };
        let selections = selections.iter().map(checked).collect();
        Ok(Response::new(wire::CheckAccessResponse { selections }))
    }
}

fn checked(decision: &SelectionDecision) -> wire::SelectionAccess {
    wire::SelectionAccess {
        record_type: decision.record_type.name.clone(),
        released: decision.record_type.paths_of(&decision.released),
        withheld: query::withheld(decision),
        decision: Some(query::basis(decision)),
    }
}

fn described(record: &proto::RecordType) -> wire::RecordType {
    wire::RecordType {
        name: record.name.clone(),
        label_vi: record.label_vi.clone(),
        label_en: record.label_en.clone(),
        sector: record.sector.clone(),
        fields: record
            .fields
            .iter()
            .map(|field| wire::Field {
                path: field.path.clone(),
                label_vi: field.label_vi.clone(),
                label_en: field.label_en.clone(),
                sensitivity: field.sensitivity.into(),
                group: field.group.clone(),
                r#type: field.kind.to_string(),
                repeated: field.repeated,
                identifies: field.identifies.unwrap_or_default().into(),
                concept: field.concept.clone().unwrap_or_default(),
                authority: field.authority,
            })
            .collect(),
    }
}
