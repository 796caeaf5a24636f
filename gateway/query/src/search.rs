//! Searching: candidates for somebody whose number is not known, shown in part and recorded one by one.
//!
//! A candidate is compared by fields that the caller's agreement must release for this action, every one of them; it is
//! shown by those it releases, a number by its last digits only and a birth date no more precisely than it was asked. Which
//! page it is on follows a keyed hash, so that the order tells nothing.

use std::{collections::BTreeMap, sync::Arc};

use access::{Action, Officer, Permit};
use adapter_sdk::{Criterion, Fetched, FetchedRecord, Grade, Key};
use chrono::Utc;
use futures::future::join_all;
use normalize::PartialDate;
use proto::{
    FieldSet, RecordType,
    audit::v1::{self as log, entry},
    options::v1::Sensitivity,
    query::v1 as wire,
};
use tokio::time::Instant;
use tracing::Instrument;

use crate::{
    assemble,
    error::{CallError, Failure},
    hub::{Answered, Hub, asker},
    meters::Stage,
    question::{Asked, Call, Inquiry, Purpose},
    record,
    sources::SearchFields,
    values::{self, Fact},
};

mod seal;

use seal::Scope;

/// More candidates of one source than this are none.
pub const CANDIDATES_MAX: usize = 20;
/// Digits of a number that is not public that stay to tell candidates apart.
const DIGITS_SHOWN: usize = 3;

/// A question for candidates.
#[derive(Debug, Clone)]
pub struct SearchQuestion {
    /// The record type.
    pub record_type: Arc<RecordType>,
    /// What is known; each kind once.
    pub criteria: Vec<Criterion>,
    /// The fields compared and shown, from [`crate::Sources::search_fields`].
    pub fields: SearchFields,
    /// Why.
    pub purpose: Purpose,
    /// Who acts.
    pub officer: Officer,
    /// Candidates in a page.
    pub page_size: usize,
    /// How many candidates come before the page.
    pub offset: usize,
}

impl Inquiry for SearchQuestion {
    fn asked_fields(&self) -> Vec<(Arc<RecordType>, FieldSet)> {
        vec![(Arc::clone(&self.record_type), self.fields.shown.clone())]
    }

    fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    fn officer(&self) -> &Officer {
        &self.officer
    }

    fn asked(&self) -> Asked {
        Asked { subject: None, purpose: Some(self.purpose.clone()), officer: Some(self.officer.clone()) }
    }
}

impl SearchQuestion {
    fn birth_date(&self) -> Option<PartialDate> {
        self.criteria.iter().find_map(|criterion| match criterion {
            Criterion::BirthDate(date) => Some(*date),
            _ => None,
        })
    }

    /// Everything a page token belongs to.
    fn scope(&self, call: &Call) -> Scope {
        let mut more = vec![self.record_type.name.clone(), self.page_size.to_string()];
        for criterion in &self.criteria {
            more.push(criterion.kind().as_str().to_owned());
            more.push(match criterion {
                Criterion::PersonName(text) | Criterion::OrganisationName(text) | Criterion::Commune(text) => {
                    text.clone()
                }
                Criterion::BirthDate(date) => date.to_string(),
            });
        }
        Scope::new(&call.caller, &self.officer, &self.purpose, &more.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

impl Answered for wire::SearchResponse {
    fn set_receipt(&mut self, receipt: wire::Receipt) {
        self.receipt = Some(receipt);
    }
    fn is_complete(&self) -> bool {
        self.complete && self.withheld.is_empty()
    }
}

/// Somebody found: the record as one source states it.
struct Candidate {
    key: Key,
    /// Keyed hash of the number: the candidate's place, and its name in the log.
    hash: log::SubjectHash,
    source: String,
    record: FetchedRecord,
    /// Field the number stands in.
    number_field: usize,
}

/// How one source answered.
struct Searched {
    source: String,
    mapping_digest: String,
    result: Result<Vec<Candidate>, Failure>,
}

impl Hub {
    /// The number a handle stands for, if the hub gave it to this system, officer, purpose and dossier a while ago.
    pub fn candidate(&self, call: &Call, officer: &Officer, purpose: &Purpose, handle: &str) -> Option<Key> {
        let scope = Scope::new(&call.caller, officer, purpose, &[]);
        seal::open_handle(&self.hasher, &scope, handle, Utc::now().timestamp())
    }

    /// Where the page of a token begins, if the hub gave it for this very search a while ago.
    pub fn page_offset(&self, call: &Call, question: &SearchQuestion, token: &str) -> Option<usize> {
        seal::open_page(&self.hasher, &question.scope(call), token, Utc::now().timestamp())
    }

    /// Finds candidates.
    pub async fn search(&self, call: &Call, question: &SearchQuestion) -> Result<wire::SearchResponse, CallError> {
        let mut entry = record::begin_entry(entry::Kind::Search, call);
        record::note_search(&mut entry, question);
        let answer = self.find(call, question, &mut entry).await;
        self.release(call, entry, answer).await
    }

    async fn find(
        &self,
        call: &Call,
        question: &SearchQuestion,
        entry: &mut log::Entry,
    ) -> Result<wire::SearchResponse, CallError> {
        let permit = self.decide(call, question, Action::Search, entry)?;
        let permit = permit.requiring(0, &question.fields.compared).map_err(|refusal| {
            record::note_refusal(entry, &refusal);
            CallError::Refused { refusal: Box::new(refusal), receipt: None }
        })?;
        if Instant::now() >= call.deadline {
            return Err(CallError::DeadlineExceeded { receipt: None });
        }
        let stage = Stage::begin("fetch");
        let searched = self.ask_sources(call, question).instrument(tracing::info_span!("fetch")).await;
        drop(stage);
        note_sources(entry, question, &searched);
        Ok(self.page(call, question, &permit, searched, entry))
    }

    async fn ask_sources(&self, call: &Call, question: &SearchQuestion) -> Vec<Searched> {
        let (asker, deadline) = (&asker(call, question), call.source_deadline());
        let sources = self.sources.searching(&question.record_type, &question.criteria);
        let under_way = sources.into_iter().map(async |(source, fields)| {
            let (record_type, criteria) = (&question.record_type, &question.criteria);
            let fetched = source.search(asker, record_type, criteria, &fields, deadline).await;
            let lookup = source.lookup(record_type).0;
            let candidates = |fetched: Fetched| match fetched.records.len() {
                found if found > CANDIDATES_MAX => Err(Failure::TOO_BROAD),
                _ => {
                    let records = fetched.records.into_iter();
                    Ok(records
                        .filter_map(|record| self.candidate_of(source.id(), record_type, lookup, record))
                        .collect())
                }
            };
            Searched {
                source: source.id().to_owned(),
                mapping_digest: source.mapping_digest().to_owned(),
                result: fetched.and_then(candidates),
            }
        });
        join_all(under_way).await
    }

    /// The candidate a record is about, by the first number of its own that is beyond doubt.
    fn candidate_of(
        &self,
        source: &str,
        record_type: &RecordType,
        lookup: &[proto::options::v1::IdentifierKind],
        record: FetchedRecord,
    ) -> Option<Candidate> {
        let doubtful = |at| record.marks.iter().any(|mark| mark.field == at && mark.grade > Grade::Repaired);
        let (number_field, key) = record_type.fields.iter().enumerate().find_map(|(at, field)| {
            let kind = field.identifies.filter(|kind| !field.repeated && lookup.contains(kind) && !doubtful(at))?;
            Some((at, Key { kind, value: values::text(&record.message, field)? }))
        })?;
        let hash = self.hasher.hash(key.kind, &key.value);
        Some(Candidate { key, hash, source: source.to_owned(), record, number_field })
    }

    fn page(
        &self,
        call: &Call,
        question: &SearchQuestion,
        permit: &Permit,
        searched: Vec<Searched>,
        entry: &mut log::Entry,
    ) -> wire::SearchResponse {
        let mut failures = Vec::new();
        // In the order of the hashes; a number that two rows or sources state is one candidate.
        let mut candidates: BTreeMap<Vec<u8>, Candidate> = BTreeMap::new();
        for Searched { source, result, .. } in searched {
            match result {
                Ok(found) => {
                    for candidate in found {
                        candidates.entry(candidate.hash.hash.clone()).or_insert(candidate);
                    }
                }
                Err(failure) => {
                    failures.push(wire::SourceFailure { source, failure: Some(assemble::wire_failure(&failure)) });
                }
            }
        }
        let all = candidates.len();
        let shown: Vec<Candidate> = candidates.into_values().skip(question.offset).take(question.page_size).collect();
        let end = question.offset.saturating_add(shown.len());
        let now = Utc::now().timestamp();
        let next = (end < all).then(|| seal::page(&self.hasher, &question.scope(call), end, now)).flatten();
        entry.subjects = shown.iter().map(|candidate| candidate.hash.clone()).collect();
        if shown.is_empty() {
            // Nobody was shown, so nothing of anybody was released.
            entry.accesses.iter_mut().for_each(|access| access.fields_released.clear());
        }
        let scope = Scope::new(&call.caller, &question.officer, &question.purpose, &[]);
        let show = |candidate| self.show(&scope, question, permit, candidate, now);
        let decision = permit.selections().first();
        wire::SearchResponse {
            candidates: shown.into_iter().map(show).collect(),
            next_page_token: next.unwrap_or_default(),
            complete: failures.is_empty(),
            failures,
            withheld: decision.map(assemble::withheld).unwrap_or_default(),
            decision: decision.map(assemble::basis),
            receipt: None,
        }
    }

    /// What is shown of a candidate. Everything passes through [`Permit::release`].
    fn show(
        &self,
        scope: &Scope,
        question: &SearchQuestion,
        permit: &Permit,
        candidate: Candidate,
        now: i64,
    ) -> wire::Candidate {
        let Candidate { key, source, mut record, number_field, .. } = candidate;
        permit.release(0, &mut record.message);
        let mut shown = wire::Candidate {
            handle: seal::handle(&self.hasher, scope, &key, now).unwrap_or_default(),
            source,
            number_kind: key.kind.into(),
            ..Default::default()
        };
        for at in question.fields.shown.iter() {
            let Some(field) = question.record_type.fields.get(at) else { continue };
            let Some(fact) = values::fact(&record.message, field) else { continue };
            match fact {
                Fact::Text(number) if at == number_field => {
                    shown.number = if field.sensitivity == Sensitivity::Public { number } else { masked(&number) };
                }
                // Another number of the same person.
                Fact::Text(_) if field.identifies.is_some() => {}
                Fact::Text(name) => shown.name = name,
                Fact::Name { full, .. } => shown.name = full,
                Fact::Date(date) => shown.birth_date = no_more_than(date, question.birth_date()),
                Fact::Place { commune, .. } => {
                    shown.commune_name = commune_name(&commune);
                    shown.commune_code = commune;
                }
                Fact::Flag(_) | Fact::Number(_) | Fact::Code { .. } | Fact::Amount(_) | Fact::Document(_) => {}
            }
        }
        shown
    }
}

/// A number with all but its last digits covered.
fn masked(number: &str) -> String {
    let covered = number.chars().count().saturating_sub(DIGITS_SHOWN);
    number.chars().enumerate().map(|(at, digit)| if at < covered { '*' } else { digit }).collect()
}

/// The date, cut to the parts that were asked.
fn no_more_than(held: PartialDate, asked: Option<PartialDate>) -> String {
    let Some(asked) = asked else { return String::new() };
    let month = held.month.filter(|_| asked.month.is_some());
    let day = held.day.filter(|_| month.is_some() && asked.day.is_some());
    PartialDate { year: held.year, month, day }.to_string()
}

/// The name of a commune of today; empty for a code that is none.
fn commune_name(code: &str) -> String {
    let known = normalize::commune(code, None, normalize::Vintage::Post2025);
    known.ok().and_then(|known| known.value.name).unwrap_or_default().to_owned()
}

fn note_sources(entry: &mut log::Entry, question: &SearchQuestion, searched: &[Searched]) {
    entry.sources = searched
        .iter()
        .map(|searched| {
            let count = searched.result.as_ref().map(Vec::len);
            log::SourceResult {
                source: searched.source.clone(),
                record_type: question.record_type.name.clone(),
                outcome: record::outcome(count.as_ref().copied().map_err(|failure| *failure)).to_owned(),
                reason: record::reason(searched.result.as_ref().err()),
                mapping_digest: searched.mapping_digest.clone(),
                record_count: count.map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX)),
                identity_link: false,
            }
        })
        .collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_covered_but_for_their_end() {
        assert_eq!(masked("052185000123"), "*********123");
        assert_eq!(masked("215000001"), "******001");
        assert_eq!(masked("12"), "12");
    }

    #[test]
    fn a_date_tells_no_more_than_was_asked() {
        let date = |text: &str| text.parse::<PartialDate>().unwrap();
        for (held, asked, shown) in [
            ("1985-03-07", "1985", "1985"),
            ("1985-03-07", "1985-03", "1985-03"),
            ("1985-03-07", "1985-03-07", "1985-03-07"),
            ("1985", "1985-03-07", "1985"),
        ] {
            assert_eq!(no_more_than(date(held), Some(date(asked))), shown);
        }
        assert_eq!(no_more_than(date("1985-03-07"), None), "");
    }
}
