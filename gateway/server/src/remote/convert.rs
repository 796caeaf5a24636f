//! Between the engine's types and the messages of `lienthong.adapter.v1`, for both sides.

use std::collections::HashMap;

use adapter_sdk::{
    Behalf, Engine, Fetched, FetchedRecord, FieldMark, Grade, RecordDescription, SourceDescription, SourceError,
};
use anyhow::{Context, anyhow};
use chrono::{DateTime, Utc};
use prost::Message as _;
use prost_reflect::DynamicMessage;
use proto::{FieldSet, RecordType, Schema, adapter::v1 as wire, options::v1::IdentifierKind};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Domain of `ErrorInfo` reasons.
const DOMAIN: &str = "adapter.lienthong.vn";

/// What a source has, as its caller is told: of each record type the fields `allowed` leaves.
pub(crate) fn described(
    source: &SourceDescription,
    allowed: impl Fn(&RecordDescription) -> FieldSet,
) -> wire::DescribeResponse {
    let kinds = |kinds: &[IdentifierKind]| kinds.iter().map(|kind| (*kind).into()).collect();
    let records = source.records.iter().filter_map(|record| {
        let fields = allowed(record);
        (!fields.is_empty()).then(|| wire::Record {
            r#type: record.record_type.name.clone(),
            lookup: kinds(&record.lookup),
            alone: kinds(&record.alone),
            fields: record.record_type.paths_of(&fields),
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
            // The owner's allow-list knows no searching: an adapter beside its database offers none.
            search: Vec::new(),
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

/// The leaf fields at these paths; unknown ones are left out.
pub(crate) fn field_set(record_type: &RecordType, paths: &[String]) -> FieldSet {
    let mut fields = record_type.no_fields();
    for index in paths.iter().filter_map(|path| record_type.field_index(path)) {
        fields.insert(index);
    }
    fields
}

/// An answer on its way to the hub.
pub(crate) fn response(record_type: &RecordType, mapping_digest: &str, fetched: Fetched) -> wire::FetchResponse {
    let records = fetched.records.into_iter().map(|record| wire::FetchedRecord {
        record: record.message.encode_to_vec(),
        as_of: record.as_of.map(query::timestamp),
        marks: record.marks.into_iter().map(|mark| self::mark(record_type, mark)).collect(),
    });
    wire::FetchResponse {
        mapping_digest: mapping_digest.to_owned(),
        retrieved_at: Some(query::timestamp(fetched.retrieved_at)),
        records: records.collect(),
    }
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
pub(crate) fn fetched(record_type: &RecordType, response: wire::FetchResponse) -> Result<Fetched, SourceError> {
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
        records: response.records.into_iter().map(record).collect::<Result<_, _>>()?,
        retrieved_at: response.retrieved_at.and_then(instant).ok_or(BROKEN)?,
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
        SourceError::SchemaChanged { .. } | SourceError::TooManyRecords { .. } => Code::FailedPrecondition,
        SourceError::UnknownRecordType { .. } | SourceError::UnsupportedKey { .. } => Code::InvalidArgument,
        SourceError::Refused { .. } => Code::PermissionDenied,
        SourceError::NoKey { .. } | SourceError::Address(_) | SourceError::Internal(_) => Code::Internal,
        _ => Code::Unavailable,
    };
    let concerns = match error {
        SourceError::SchemaChanged { problems } => vec![("problems", problems.join("\n"))],
        SourceError::TooManyRecords { table, limit } => vec![("table", table.clone()), ("limit", limit.to_string())],
        SourceError::UnknownRecordType { record_type } => vec![("record_type", record_type.clone())],
        SourceError::UnsupportedKey { record_type, kind } => {
            vec![("record_type", record_type.clone()), ("kind", (*kind).to_owned())]
        }
        SourceError::NoKey { table } => vec![("table", table.clone())],
        SourceError::Database { code } => vec![("code", code.clone())],
        SourceError::Refused { what } => vec![("what", what.clone())],
        _ => Vec::new(),
    };
    let concerns: HashMap<_, _> = concerns.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let details = ErrorDetails::with_error_info(error.reason(), DOMAIN, concerns);
    Status::with_error_details(code, error.to_string(), details)
}

/// An error as the hub reads it. What is not of the adapter's making is the connection's.
pub(crate) fn error(status: &Status) -> SourceError {
    let details = status.get_error_details();
    let Some(info) = details.error_info().filter(|info| info.domain == DOMAIN) else {
        return match status.code() {
            Code::DeadlineExceeded | Code::Cancelled => SourceError::Timeout,
            Code::Unauthenticated | Code::PermissionDenied => SourceError::Credentials,
            Code::Internal | Code::Unimplemented | Code::InvalidArgument => {
                SourceError::Internal("the adapter does not understand the hub")
            }
            _ => SourceError::Unreachable,
        };
    };
    let concerned = |name: &str| info.metadata.get(name).cloned().unwrap_or_default();
    match info.reason.as_str() {
        "SOURCE_UNREACHABLE" => SourceError::Unreachable,
        "SOURCE_TIMEOUT" => SourceError::Timeout,
        "SOURCE_CREDENTIALS" => SourceError::Credentials,
        "SOURCE_SCHEMA_CHANGED" => {
            SourceError::SchemaChanged { problems: concerned("problems").lines().map(str::to_owned).collect() }
        }
        "SOURCE_TOO_MANY_RECORDS" => {
            SourceError::TooManyRecords { table: concerned("table"), limit: concerned("limit").parse().unwrap_or(0) }
        }
        "SOURCE_UNKNOWN_RECORD_TYPE" => SourceError::UnknownRecordType { record_type: concerned("record_type") },
        "SOURCE_UNSUPPORTED_KEY" => SourceError::UnsupportedKey {
            record_type: concerned("record_type"),
            kind: IdentifierKind::from_str_name(&concerned("kind")).unwrap_or_default().as_str_name(),
        },
        "SOURCE_NO_KEY" => SourceError::NoKey { table: concerned("table") },
        "SOURCE_DATABASE_ERROR" => SourceError::Database { code: concerned("code") },
        "SOURCE_REFUSED" => SourceError::Refused { what: concerned("what") },
        "SOURCE_NOT_RECORDED" => SourceError::NotRecorded,
        _ => SourceError::Internal("the adapter failed"),
    }
}

/// For whom and what for a request is made.
pub(crate) fn behalf(request: &wire::FetchRequest) -> Behalf {
    Behalf { agency: request.agency.clone(), system: request.system.clone(), purpose: request.purpose.clone() }
}

/// The kind of number of a request.
pub(crate) fn kind(request: &wire::FetchRequest) -> anyhow::Result<IdentifierKind> {
    let kind = IdentifierKind::try_from(request.kind).ok().filter(|kind| *kind != IdentifierKind::Unspecified);
    kind.context("the kind of number is not stated")
}
