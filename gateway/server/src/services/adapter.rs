//! `AdapterService`: a source of this process for hubs elsewhere, within what its owner allows them.

use std::sync::Arc;

use adapter_sdk::{FetchRequest, Key, RecordDescription, SourceError};
use aws_lc_rs::digest;
use prost::Message as _;
use proto::{
    adapter::v1::{self as wire, adapter_service_server::AdapterService},
    audit::v1::{self as log, entry},
};
use query::Call;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};
use tracing::Instrument;

use crate::{
    admission::Limit,
    call,
    lending::{Lending, Lent},
    remote::convert,
};

/// Why nothing left, when its caller did not wait.
const CALLER_GONE: &str = "CALLER_GONE";

pub(crate) struct AdapterHandler {
    pub(crate) lending: Arc<Lending>,
    pub(crate) timeouts: call::Timeouts,
    pub(crate) limit: Limit,
}

#[tonic::async_trait]
impl AdapterService for AdapterHandler {
    async fn describe(
        &self,
        request: Request<wire::DescribeRequest>,
    ) -> Result<Response<wire::DescribeResponse>, Status> {
        let (call, _span) = self.begin("lienthong.adapter.v1.AdapterService/Describe", &request)?;
        let lent = self.lending.lent();
        lent.on_the_list(&call).map_err(|error| convert::status(&error))?;
        let fields = |record: &RecordDescription| lent.allowed.describable(&call.caller, record);
        Ok(Response::new(convert::described(lent.adapter.describe(), fields)))
    }

    async fn fetch(&self, request: Request<wire::FetchRequest>) -> Result<Response<wire::FetchResponse>, Status> {
        let (call, span) = self.begin("lienthong.adapter.v1.AdapterService/Fetch", &request)?;
        let lent = self.lending.lent();
        let asked = request.into_inner();
        if lent.record.is_none() {
            // Nothing is to be recorded: a caller who goes ends the work by that.
            let answer = lent.fetch(&call, &asked).instrument(span).await;
            return answer.map(Response::new).map_err(|error| convert::status(&error));
        }
        // Dropped with this call when its caller goes: the work then ends, and that is recorded.
        let (_waiting, gone) = oneshot::channel::<()>();
        let caller = call.caller.clone();
        let work = async move {
            let answer = lent.recorded(&call, &asked, gone).await;
            answer.map(Response::new).map_err(|error| convert::status(&error))
        };
        self.limit.to_the_end(&caller, span, work).await
    }

    async fn ready(&self, request: Request<wire::ReadyRequest>) -> Result<Response<wire::ReadyResponse>, Status> {
        let (call, _span) = self.begin("lienthong.adapter.v1.AdapterService/Ready", &request)?;
        let lent = self.lending.lent();
        let ready = async {
            lent.on_the_list(&call)?;
            lent.adapter.ready().await
        };
        ready.await.map(|()| Response::new(wire::ReadyResponse {})).map_err(|error| convert::status(&error))
    }
}

impl AdapterHandler {
    fn begin<T>(&self, method: &'static str, request: &Request<T>) -> Result<(Call, tracing::Span), Status> {
        call::begin(method, request.metadata(), request.extensions(), self.timeouts)
    }
}

impl Lent {
    fn on_the_list(&self, call: &Call) -> Result<(), SourceError> {
        let refused = || SourceError::Refused { what: "this system is not on its list".to_owned() };
        self.allowed.names(&call.caller).then_some(()).ok_or_else(refused)
    }

    /// What the owner lets the caller have of what it asks; all or nothing.
    async fn fetch(&self, call: &Call, asked: &wire::FetchRequest) -> Result<wire::FetchResponse, SourceError> {
        self.on_the_list(call)?;
        let unknown = || SourceError::UnknownRecordType { record_type: asked.record_type.clone() };
        let record = self.adapter.describe().record(&asked.record_type).ok_or_else(unknown)?;
        let kind = convert::kind(asked).map_err(|_| SourceError::Internal("the kind of number is not stated"))?;
        let behalf = convert::behalf(asked);
        let fields = convert::field_set(&record.record_type, &asked.fields).intersection(&record.fields);
        let allowed = self.allowed.fetchable(&call.caller, &behalf, record);
        let refused = fields.difference(&allowed);
        if !refused.is_empty() || allowed.is_empty() {
            let fields = record.record_type.paths_of(&refused).join(", ");
            return Err(SourceError::Refused { what: format!("{} {fields}", asked.record_type) });
        }
        let request = FetchRequest {
            record_type: Arc::clone(&record.record_type),
            key: Key { kind, value: asked.number.clone() },
            fields,
            deadline: call.deadline,
            behalf: Arc::new(behalf),
        };
        let fetched = self.adapter.fetch(&request).await?;
        Ok(convert::response(&record.record_type, &self.adapter.describe().mapping_digest, fetched))
    }

    /// The same, recorded before it leaves: answers, refusals and failures alike, and callers who did not wait.
    async fn recorded(
        &self,
        call: &Call,
        asked: &wire::FetchRequest,
        gone: oneshot::Receiver<()>,
    ) -> Result<wire::FetchResponse, SourceError> {
        let (answer, waited) = tokio::select! {
            answer = self.fetch(call, asked) => (answer, true),
            _ = gone => (Err(SourceError::Timeout), false),
        };
        let Some(record) = &self.record else { return answer };
        let mut entry = self.entry(call, asked, &answer);
        if !waited {
            CALLER_GONE.clone_into(&mut entry.reason);
        }
        if let Ok(kind) = convert::kind(asked) {
            entry.subjects = vec![record.hasher.hash(kind, &asked.number)];
        }
        if let Err(error) = record.log.append(entry).await {
            tracing::error!(%error, "cannot record what would leave");
            return Err(SourceError::NotRecorded);
        }
        answer
    }

    /// What is recorded of a call.
    fn entry(
        &self,
        call: &Call,
        asked: &wire::FetchRequest,
        answer: &Result<wire::FetchResponse, SourceError>,
    ) -> log::Entry {
        let mut entry = query::begin_entry(entry::Kind::Query, call);
        entry.time = Some(query::timestamp(chrono::Utc::now()));
        entry.duration_microseconds = u64::try_from(call.received.elapsed().as_micros()).unwrap_or(u64::MAX);
        entry.purpose = Some(log::Purpose { code: asked.purpose.clone(), ..Default::default() });
        entry.details = [("agency", &asked.agency), ("system", &asked.system)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| log::Detail { name: format!("on_behalf_of_{name}"), value: value.clone() })
            .collect();
        entry.accesses = vec![log::Access {
            record_type: asked.record_type.clone(),
            fields_asked: asked.fields.clone(),
            fields_released: answer.as_ref().map(|_| asked.fields.clone()).unwrap_or_default(),
            ..Default::default()
        }];
        let (outcome, found) = match answer {
            Ok(answer) => {
                entry.response_digest = digest::digest(&digest::SHA256, &answer.encode_to_vec()).as_ref().to_vec();
                (entry::Outcome::Answered, answer.records.len())
            }
            Err(error) => {
                error.reason().clone_into(&mut entry.reason);
                (outcome(error), 0)
            }
        };
        entry.set_outcome(outcome);
        let description = self.adapter.describe();
        entry.sources = vec![log::SourceResult {
            source: description.id.clone(),
            record_type: asked.record_type.clone(),
            outcome: match answer {
                Ok(_) if found == 0 => "NOT_FOUND",
                Ok(_) => "FOUND",
                Err(SourceError::TooManyRecords { .. }) => "INVALID_AT_SOURCE",
                Err(_) => "UNAVAILABLE",
            }
            .to_owned(),
            reason: entry.reason.clone(),
            mapping_digest: description.mapping_digest.clone(),
            record_count: u32::try_from(found).unwrap_or(u32::MAX),
            identity_link: false,
        }];
        entry
    }
}

fn outcome(error: &SourceError) -> entry::Outcome {
    match error {
        SourceError::Refused { .. } => entry::Outcome::Refused,
        SourceError::UnknownRecordType { .. } | SourceError::UnsupportedKey { .. } => entry::Outcome::Invalid,
        _ => entry::Outcome::Failed,
    }
}
