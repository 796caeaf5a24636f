//! Between the engine's types and the messages of `lienthong.adapter.v1`, for both sides.

use std::collections::HashMap;

use adapter_sdk::{
    Criterion, CriterionKind, Engine, Fetched, FetchedRecord, FieldMark, Grade, RecordDescription, SearchField,
    SourceDescription, SourceError, Words,
};
use anyhow::anyhow;
use chrono::{DateTime, Utc};
use prost::Message as _;
use prost_reflect::DynamicMessage;
use proto::{FieldSet, RecordType, Schema, adapter::v1 as wire, options::v1::IdentifierKind};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::admission::TOO_MANY_CALLS;

/// Domain of `ErrorInfo` reasons.
const DOMAIN: &str = "adapter.lienthong.vn";

/// What a source has, as its caller is told: of each record type the fields that may be fetched, and the criteria whose fields
/// may be searched by.
pub(crate) fn described(
    source: &SourceDescription,
    fetchable: impl Fn(&RecordDescription) -> FieldSet,
    searchable: impl Fn(&RecordDescription) -> FieldSet,
) -> wire::DescribeResponse {
    let kinds = |kinds: &[IdentifierKind]| kinds.iter().map(|kind| (*kind).into()).collect();
    let records = source.records.iter().filter_map(|record| {
        let (fields, searchable) = (fetchable(record), searchable(record));
        let search = record.search.iter().filter(|search| searchable.contains(search.field));
        (!fields.is_empty()).then(|| wire::Record {
            r#type: record.record_type.name.clone(),
            lookup: kinds(&record.lookup),
            alone: kinds(&record.alone),
            fields: record.record_type.paths_of(&fields),
            search: search.filter_map(|search| search_field(&record.record_type, *search)).collect(),
        })
    });
    wire::DescribeResponse {
        id: source.id.clone(),
        label_vi: source.label_vi.clone(),
        label_en: source.label_en.clone(),
        owner: source.owner.clone(),
        engine: source.engine.name().to_owned(),
        mapping_digest: source.mapping_digest.clone(),
        records: records.collect(),
    }
}

/// The same as the hub reads it. Record types and fields that only the other side knows are left out.
pub(crate) fn description(schema: &Schema, described: wire::DescribeResponse) -> anyhow::Result<SourceDescription> {
    let engine: Engine =
        described.engine.parse().map_err(|()| anyhow!("its engine is unknown: {}", described.engine))?;
    let mut records = Vec::new();
    for record in &described.records {
        let Some(record_type) = schema.record_type(&record.r#type) else {
            tracing::warn!(record_type = record.r#type, "the adapter has a record type unknown here");
            continue;
        };
        let kinds = |kinds: &[i32]| {
            let known = kinds.iter().filter_map(|kind| IdentifierKind::try_from(*kind).ok());
            known.filter(|kind| *kind != IdentifierKind::Unspecified).collect::<Vec<_>>()
        };
        records.push(RecordDescription {
            record_type: record_type.clone(),
            lookup: kinds(&record.lookup),
            alone: kinds(&record.alone),
            search: record.search.iter().filter_map(|search| read_search_field(record_type, search)).collect(),
            fields: field_set(record_type, &record.fields),
        });
    }
    Ok(SourceDescription {
        id: described.id,
        label_vi: described.label_vi,
        label_en: described.label_en,
        owner: described.owner,
        engine,
        mapping_digest: described.mapping_digest,
        records,
    })
}

fn search_field(record_type: &RecordType, search: SearchField) -> Option<wire::SearchField> {
    let field = record_type.fields.get(search.field)?;
    Some(wire::SearchField { kind: wire_kind(search.kind).into(), field: field.path.clone() })
}

/// Nothing when the criterion or the field is unknown here.
fn read_search_field(record_type: &RecordType, search: &wire::SearchField) -> Option<SearchField> {
    Some(SearchField { kind: criterion_kind(search.kind())?, field: record_type.field_index(&search.field)? })
}

const fn wire_kind(kind: CriterionKind) -> wire::CriterionKind {
    match kind {
        CriterionKind::PersonName => wire::CriterionKind::PersonName,
        CriterionKind::OrganisationName => wire::CriterionKind::OrganisationName,
        CriterionKind::BirthDate => wire::CriterionKind::BirthDate,
        CriterionKind::Commune => wire::CriterionKind::Commune,
    }
}

const fn criterion_kind(kind: wire::CriterionKind) -> Option<CriterionKind> {
    match kind {
        wire::CriterionKind::Unspecified => None,
        wire::CriterionKind::PersonName => Some(CriterionKind::PersonName),
        wire::CriterionKind::OrganisationName => Some(CriterionKind::OrganisationName),
        wire::CriterionKind::BirthDate => Some(CriterionKind::BirthDate),
        wire::CriterionKind::Commune => Some(CriterionKind::Commune),
    }
}

/// What is searched by, on its way to the adapter.
pub(crate) fn wire_criterion(criterion: &Criterion) -> wire::Criterion {
    let value = match criterion {
        Criterion::PersonName(text) | Criterion::OrganisationName(text) | Criterion::Commune(text) => text.clone(),
        Criterion::BirthDate(date) => date.to_string(),
    };
    wire::Criterion { kind: wire_kind(criterion.kind()).into(), value }
}

/// The same as the adapter reads it; nothing when it cannot be understood.
pub(crate) fn criterion(criterion: &wire::Criterion) -> Option<Criterion> {
    let value = || Some(criterion.value.clone()).filter(|value| !value.is_empty());
    Some(match criterion_kind(criterion.kind())? {
        CriterionKind::PersonName => Criterion::PersonName(value()?),
        CriterionKind::OrganisationName => Criterion::OrganisationName(value()?),
        CriterionKind::BirthDate => Criterion::BirthDate(criterion.value.parse().ok()?),
        CriterionKind::Commune => Criterion::Commune(value()?),
    })
}

/// The leaf fields at these paths; unknown ones are left out.
pub(crate) fn field_set(record_type: &RecordType, paths: &[String]) -> FieldSet {
    let mut fields = record_type.no_fields();
    for index in paths.iter().filter_map(|path| record_type.field_index(path)) {
        fields.insert(index);
    }
    fields
}

/// Records on their way to the hub.
pub(crate) fn records(record_type: &RecordType, records: Vec<FetchedRecord>) -> Vec<wire::FetchedRecord> {
    let records = records.into_iter().map(|record| wire::FetchedRecord {
        record: record.message.encode_to_vec(),
        as_of: record.as_of.map(query::timestamp),
        marks: record.marks.into_iter().map(|mark| self::mark(record_type, mark)).collect(),
    });
    records.collect()
}

fn mark(record_type: &RecordType, mark: FieldMark) -> wire::Mark {
    let field = record_type.fields.get(mark.field).map(|field| field.path.clone()).unwrap_or_default();
    let grade = match mark.grade {
        Grade::Repaired => wire::mark::Grade::Repaired,
        Grade::ConvertedWithLoss => wire::mark::Grade::ConvertedWithLoss,
        Grade::Suspect => wire::mark::Grade::Suspect,
        Grade::Invalid => wire::mark::Grade::Invalid,
        Grade::Missing => wire::mark::Grade::Missing,
    };
    wire::Mark {
        path: if mark.path == field { String::new() } else { mark.path },
        field,
        grade: grade.into(),
        reasons: mark.reasons.into_iter().map(String::from).collect(),
    }
}

/// An answer as the hub reads it.
pub(crate) fn fetched(
    record_type: &RecordType,
    records: Vec<wire::FetchedRecord>,
    retrieved_at: Option<prost_types::Timestamp>,
) -> Result<Fetched, SourceError> {
    const BROKEN: SourceError = SourceError::Internal("the adapter's answer cannot be read");
    let record = |record: wire::FetchedRecord| {
        let message = DynamicMessage::decode(record_type.descriptor.clone(), record.record.as_slice());
        let marks = record.marks.into_iter().map(|mark| read_mark(record_type, mark).ok_or(BROKEN));
        Ok::<_, SourceError>(FetchedRecord {
            message: message.map_err(|_| BROKEN)?,
            as_of: record.as_of.and_then(instant),
            marks: marks.collect::<Result<_, _>>()?,
        })
    };
    Ok(Fetched {
        records: records.into_iter().map(record).collect::<Result<_, _>>()?,
        retrieved_at: retrieved_at.and_then(instant).ok_or(BROKEN)?,
    })
}

/// Nothing when it cannot be understood: a mark that is dropped would be a value in doubt passed as sound.
fn read_mark(record_type: &RecordType, mark: wire::Mark) -> Option<FieldMark> {
    let grade = match mark.grade() {
        wire::mark::Grade::Unspecified => return None,
        wire::mark::Grade::Repaired => Grade::Repaired,
        wire::mark::Grade::ConvertedWithLoss => Grade::ConvertedWithLoss,
        wire::mark::Grade::Suspect => Grade::Suspect,
        wire::mark::Grade::Invalid => Grade::Invalid,
        wire::mark::Grade::Missing => Grade::Missing,
    };
    Some(FieldMark {
        field: record_type.field_index(&mark.field)?,
        path: if mark.path.is_empty() { mark.field } else { mark.path },
        grade,
        reasons: mark.reasons.into_iter().map(Into::into).collect(),
    })
}

fn instant(time: prost_types::Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.seconds, u32::try_from(time.nanos).ok()?)
}

/// An error on its way to the hub.
pub(crate) fn status(error: &SourceError) -> Status {
    let code = match error {
        SourceError::Timeout => Code::DeadlineExceeded,
        SourceError::SchemaChanged { .. }
        | SourceError::TooManyRecords { .. }
        | SourceError::SearchUnindexed { .. }
        | SourceError::SearchTooBroad { .. } => Code::FailedPrecondition,
        SourceError::UnknownRecordType { .. }
        | SourceError::UnsupportedKey { .. }
        | SourceError::SearchNotOffered { .. } => Code::InvalidArgument,
        SourceError::Busy => Code::ResourceExhausted,
        SourceError::Refused { .. } => Code::PermissionDenied,
        SourceError::NoKey { .. } | SourceError::Address(_) | SourceError::Internal(_) => Code::Internal,
        _ => Code::Unavailable,
    };
    let concerns = match error {
        SourceError::SchemaChanged { problems } => vec![("problems", problems.join("\n"))],
        SourceError::TooManyRecords { table, limit } | SourceError::SearchTooBroad { table, limit } => {
            vec![("table", table.clone()), ("limit", limit.to_string())]
        }
        SourceError::UnknownRecordType { record_type } | SourceError::SearchNotOffered { record_type } => {
            vec![("record_type", record_type.clone())]
        }
        SourceError::UnsupportedKey { record_type, kind } => {
            vec![("record_type", record_type.clone()), ("kind", (*kind).to_owned())]
        }
        SourceError::NoKey { table } | SourceError::SearchUnindexed { table } => vec![("table", table.clone())],
        SourceError::Database { code } => vec![("code", code.clone())],
        SourceError::Refused { what } => vec![("what", what.clone())],
        _ => Vec::new(),
    };
    let concerns: HashMap<_, _> = concerns.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let details = ErrorDetails::with_error_info(error.reason(), DOMAIN, concerns);
    // The server's words name the account and the host: they stay at home.
    let message = match error {
        SourceError::Unreachable(_) => SourceError::Unreachable(Words::default()).to_string(),
        SourceError::NoDatabase(_) => SourceError::NoDatabase(Words::default()).to_string(),
        SourceError::Credentials(_) => SourceError::Credentials(Words::default()).to_string(),
        other => other.to_string(),
    };
    Status::with_error_details(code, message, details)
}

/// An error as the hub reads it. What is not of the adapter's making is the connection's.
pub(crate) fn error(status: &Status) -> SourceError {
    let details = status.get_error_details();
    let Some(info) = details.error_info().filter(|info| info.domain == DOMAIN) else {
        // What the adapter refuses before it looks at a call is refused as a hub refuses it.
        let refused = details.error_info().filter(|info| info.domain == crate::status::DOMAIN);
        return match status.code() {
            Code::ResourceExhausted if refused.is_some_and(|info| info.reason == TOO_MANY_CALLS) => SourceError::Busy,
            Code::DeadlineExceeded | Code::Cancelled => SourceError::Timeout,
            Code::Unauthenticated | Code::PermissionDenied => SourceError::Credentials(Words::default()),
            Code::Internal | Code::Unimplemented | Code::InvalidArgument => {
                SourceError::Internal("the adapter does not understand the hub")
            }
            _ => SourceError::Unreachable(Words::default()),
        };
    };
    let concerned = |name: &str| info.metadata.get(name).cloned().unwrap_or_default();
    let limit = || concerned("limit").parse().unwrap_or(0);
    match info.reason.as_str() {
        "SOURCE_UNREACHABLE" => SourceError::Unreachable(Words::default()),
        "SOURCE_NO_DATABASE" => SourceError::NoDatabase(Words::default()),
        "SOURCE_TIMEOUT" => SourceError::Timeout,
        "SOURCE_CREDENTIALS" => SourceError::Credentials(Words::default()),
        "SOURCE_SCHEMA_CHANGED" => {
            SourceError::SchemaChanged { problems: concerned("problems").lines().map(str::to_owned).collect() }
        }
        "SOURCE_TOO_MANY_RECORDS" => SourceError::TooManyRecords { table: concerned("table"), limit: limit() },
        "SOURCE_UNKNOWN_RECORD_TYPE" => SourceError::UnknownRecordType { record_type: concerned("record_type") },
        "SOURCE_UNSUPPORTED_KEY" => SourceError::UnsupportedKey {
            record_type: concerned("record_type"),
            kind: IdentifierKind::from_str_name(&concerned("kind")).unwrap_or_default().as_str_name(),
        },
        "SEARCH_NOT_OFFERED" => SourceError::SearchNotOffered { record_type: concerned("record_type") },
        "SEARCH_UNINDEXED" => SourceError::SearchUnindexed { table: concerned("table") },
        "SEARCH_TOO_BROAD" => SourceError::SearchTooBroad { table: concerned("table"), limit: limit() },
        "SOURCE_BUSY" => SourceError::Busy,
        "SOURCE_NO_KEY" => SourceError::NoKey { table: concerned("table") },
        "SOURCE_DATABASE_ERROR" => SourceError::Database { code: concerned("code") },
        "SOURCE_REFUSED" => SourceError::Refused { what: concerned("what") },
        "SOURCE_NOT_RECORDED" => SourceError::NotRecorded,
        _ => SourceError::Internal("the adapter failed"),
    }
}
