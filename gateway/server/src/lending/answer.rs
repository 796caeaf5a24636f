//! Answers to hubs, within what the owner lets them have, and the owner's record of them.

use std::sync::Arc;

use adapter_sdk::{Behalf, Criterion, FetchRequest, Fetched, Key, RecordDescription, SearchRequest, SourceError};
use audit::SubjectHasher;
use aws_lc_rs::digest;
use prost::Message as _;
use proto::{
    FieldSet,
    adapter::v1 as wire,
    audit::v1::{self as log, entry},
    options::v1::IdentifierKind,
};
use query::Call;
use tokio::sync::oneshot;

use super::{Lent, Verb};
use crate::remote::convert;

/// Why nothing left, when its caller did not wait.
const CALLER_GONE: &str = "CALLER_GONE";

/// What a hub asks.
pub(crate) struct Question {
    /// Full name.
    record_type: String,
    wanted: Wanted,
    /// Paths.
    fields: Vec<String>,
    behalf: Arc<Behalf>,
}

/// Whose records.
enum Wanted {
    /// Those a number names; the kind is as the hub states it.
    Number { kind: i32, number: String },
    /// Those that fit.
    Criteria(Vec<wire::Criterion>),
}

/// What leaves.
pub(crate) struct Answer {
    response: wire::FetchResponse,
    /// The fields that leave.
    fields: FieldSet,
    /// Who was found by a search.
    found: Vec<log::SubjectHash>,
}

impl From<wire::FetchRequest> for Question {
    fn from(request: wire::FetchRequest) -> Self {
        let wire::FetchRequest { record_type, kind, number, fields, agency, system, purpose } = request;
        let behalf = Arc::new(Behalf { agency, system, purpose });
        Self { record_type, wanted: Wanted::Number { kind, number }, fields, behalf }
    }
}

impl From<wire::SearchRequest> for Question {
    fn from(request: wire::SearchRequest) -> Self {
        let wire::SearchRequest { record_type, criteria, fields, agency, system, purpose } = request;
        let behalf = Arc::new(Behalf { agency, system, purpose });
        Self { record_type, wanted: Wanted::Criteria(criteria), fields, behalf }
    }
}

impl From<Answer> for wire::FetchResponse {
    fn from(answer: Answer) -> Self {
        answer.response
    }
}

/// The same fields under the same numbers, so the digest that is recorded is that of either.
impl From<Answer> for wire::SearchResponse {
    fn from(answer: Answer) -> Self {
        let wire::FetchResponse { mapping_digest, retrieved_at, records } = answer.response;
        Self { mapping_digest, retrieved_at, records }
    }
}

impl Lent {
    pub(crate) fn on_the_list(&self, call: &Call) -> Result<(), SourceError> {
        let refused = || SourceError::Refused { what: "this system is not on its list".to_owned() };
        self.allowed.names(&call.caller).then_some(()).ok_or_else(refused)
    }

    /// What the owner lets the caller have of what it asks; all or nothing.
    pub(crate) async fn answer(&self, call: &Call, asked: &Question) -> Result<Answer, SourceError> {
        self.on_the_list(call)?;
        let unknown = || SourceError::UnknownRecordType { record_type: asked.record_type.clone() };
        let record = self.adapter.describe().record(&asked.record_type).ok_or_else(unknown)?;
        let fields = convert::field_set(&record.record_type, &asked.fields).intersection(&record.fields);
        let (fields, fetched, found) = match &asked.wanted {
            Wanted::Number { kind, number } => {
                let kind = identifier_kind(*kind)?;
                let fields = self.allowed(call, Verb::Fetch, asked, record, fields)?;
                let key = Key { kind, value: number.clone() };
                (fields.clone(), self.fetch(call, asked, record, key, fields).await?, Vec::new())
            }
            Wanted::Criteria(criteria) => {
                let (criteria, compared) = read_criteria(criteria, record)?;
                let mut fields = fields;
                fields.union_with(&compared);
                let fields = self.allowed(call, Verb::Search, asked, record, fields)?;
                let fetched = self.search(call, asked, record, criteria, fields.clone()).await?;
                let hasher = self.record.as_ref().map(|record| &record.hasher);
                let found = hasher.map(|hasher| found(hasher, record, &fetched)).unwrap_or_default();
                (fields, fetched, found)
            }
        };
        let response = wire::FetchResponse {
            mapping_digest: self.adapter.describe().mapping_digest.clone(),
            retrieved_at: Some(query::timestamp(fetched.retrieved_at)),
            records: convert::records(&record.record_type, fetched.records),
        };
        Ok(Answer { response, fields, found })
    }

    /// The fields again, if all of them may be had for this.
    fn allowed(
        &self,
        call: &Call,
        verb: Verb,
        asked: &Question,
        record: &RecordDescription,
        fields: FieldSet,
    ) -> Result<FieldSet, SourceError> {
        let allowed = self.allowed.fields(&call.caller, verb, &asked.behalf, record);
        let refused = fields.difference(&allowed);
        if refused.is_empty() && !allowed.is_empty() {
            return Ok(fields);
        }
        let fields = record.record_type.paths_of(&refused).join(", ");
        Err(SourceError::Refused { what: format!("{} {fields}", asked.record_type) })
    }

    async fn fetch(
        &self,
        call: &Call,
        asked: &Question,
        record: &RecordDescription,
        key: Key,
        fields: FieldSet,
    ) -> Result<Fetched, SourceError> {
        let record_type = Arc::clone(&record.record_type);
        let (deadline, behalf) = (call.deadline, Arc::clone(&asked.behalf));
        self.adapter.fetch(&FetchRequest { record_type, key, fields, deadline, behalf }).await
    }

    async fn search(
        &self,
        call: &Call,
        asked: &Question,
        record: &RecordDescription,
        criteria: Vec<Criterion>,
        fields: FieldSet,
    ) -> Result<Fetched, SourceError> {
        let record_type = Arc::clone(&record.record_type);
        let (deadline, behalf) = (call.deadline, Arc::clone(&asked.behalf));
        self.adapter.search(&SearchRequest { record_type, criteria, fields, deadline, behalf }).await
    }

    /// The same as [`Self::answer`], recorded before it leaves: answers, refusals and failures alike, and callers who did not
    /// wait.
    pub(crate) async fn recorded(
        &self,
        call: &Call,
        asked: &Question,
        gone: oneshot::Receiver<()>,
    ) -> Result<Answer, SourceError> {
        let (answer, waited) = tokio::select! {
            answer = self.answer(call, asked) => (answer, true),
            _ = gone => (Err(SourceError::Timeout), false),
        };
        let Some(record) = &self.record else { return answer };
        let mut entry = self.entry(call, asked, &answer);
        if !waited {
            CALLER_GONE.clone_into(&mut entry.reason);
        }
        if let Wanted::Number { kind, number } = &asked.wanted
            && let Ok(kind) = identifier_kind(*kind)
        {
            entry.subjects = vec![record.hasher.hash(kind, number)];
        }
        if let Err(error) = record.log.append(entry).await {
            tracing::error!(%error, "cannot record what would leave");
            return Err(SourceError::NotRecorded);
        }
        answer
    }

    /// Paths of the fields that leave.
    fn fields_released(&self, asked: &Question, answer: &Result<Answer, SourceError>) -> Vec<String> {
        let released = answer.as_ref().ok().filter(|answer| !answer.response.records.is_empty());
        let record = self.adapter.describe().record(&asked.record_type);
        let paths = record.zip(released).map(|(record, answer)| record.record_type.paths_of(&answer.fields));
        paths.unwrap_or_default()
    }

    /// What is recorded of a call.
    fn entry(&self, call: &Call, asked: &Question, answer: &Result<Answer, SourceError>) -> log::Entry {
        let kind = match asked.wanted {
            Wanted::Number { .. } => entry::Kind::Query,
            Wanted::Criteria(_) => entry::Kind::Search,
        };
        let mut entry = query::begin_entry(kind, call);
        entry.time = Some(query::timestamp(chrono::Utc::now()));
        entry.duration_microseconds = u64::try_from(call.received.elapsed().as_micros()).unwrap_or(u64::MAX);
        entry.purpose = Some(log::Purpose { code: asked.behalf.purpose.clone(), ..Default::default() });
        entry.details = details(asked);
        entry.accesses = vec![log::Access {
            record_type: asked.record_type.clone(),
            fields_asked: asked.fields.clone(),
            fields_released: self.fields_released(asked, answer),
            ..Default::default()
        }];
        let (outcome, found) = match answer {
            Ok(answer) => {
                let response = answer.response.encode_to_vec();
                entry.response_digest = digest::digest(&digest::SHA256, &response).as_ref().to_vec();
                entry.subjects.clone_from(&answer.found);
                (entry::Outcome::Answered, answer.response.records.len())
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

fn identifier_kind(kind: i32) -> Result<IdentifierKind, SourceError> {
    let kind = IdentifierKind::try_from(kind).ok().filter(|kind| *kind != IdentifierKind::Unspecified);
    kind.ok_or(SourceError::Internal("the kind of number is not stated"))
}

/// The criteria, and the fields they are compared with. Each must be one the source searches by, and stand there once.
fn read_criteria(
    criteria: &[wire::Criterion],
    record: &RecordDescription,
) -> Result<(Vec<Criterion>, FieldSet), SourceError> {
    let mut compared = record.record_type.no_fields();
    let mut read: Vec<Criterion> = Vec::new();
    for criterion in criteria {
        let criterion = convert::criterion(criterion);
        let field = criterion.as_ref().and_then(|criterion| {
            let once = read.iter().all(|other| other.kind() != criterion.kind());
            record.search.iter().find(|search| once && search.kind == criterion.kind())
        });
        let (Some(criterion), Some(field)) = (criterion, field) else { return Err(not_offered(record)) };
        compared.insert(field.field);
        read.push(criterion);
    }
    if read.is_empty() { Err(not_offered(record)) } else { Ok((read, compared)) }
}

fn not_offered(record: &RecordDescription) -> SourceError {
    SourceError::SearchNotOffered { record_type: record.record_type.name.clone() }
}

/// Everybody whose record leaves, by each number of theirs in it.
fn found(hasher: &SubjectHasher, record: &RecordDescription, fetched: &Fetched) -> Vec<log::SubjectHash> {
    let numbers = fetched.records.iter().flat_map(|found| found.numbers(&record.record_type));
    let mut subjects: Vec<log::SubjectHash> = Vec::new();
    for subject in numbers.map(|key| hasher.hash(key.kind, &key.value)) {
        if !subjects.contains(&subject) {
            subjects.push(subject);
        }
    }
    subjects
}

/// On whose behalf, and what was searched by: the kinds of it, never a value.
fn details(asked: &Question) -> Vec<log::Detail> {
    let behalf = [("on_behalf_of_agency", &asked.behalf.agency), ("on_behalf_of_system", &asked.behalf.system)];
    let behalf = behalf.into_iter().filter(|(_, value)| !value.is_empty());
    let mut details: Vec<(&str, String)> = behalf.map(|(name, value)| (name, value.clone())).collect();
    if let Wanted::Criteria(criteria) = &asked.wanted {
        let kinds = criteria.iter().map(|criterion| criterion.kind().as_str_name().to_ascii_lowercase());
        details.push(("searched_by", kinds.collect::<Vec<_>>().join(",")));
    }
    details.into_iter().map(|(name, value)| log::Detail { name: name.to_owned(), value }).collect()
}

fn outcome(error: &SourceError) -> entry::Outcome {
    match error {
        SourceError::Refused { .. } => entry::Outcome::Refused,
        SourceError::UnknownRecordType { .. }
        | SourceError::UnsupportedKey { .. }
        | SourceError::SearchNotOffered { .. } => entry::Outcome::Invalid,
        _ => entry::Outcome::Failed,
    }
}
