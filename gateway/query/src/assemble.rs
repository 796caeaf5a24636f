//! From what the sources gave to what the caller gets: released fields, quality, failures, discrepancies, completeness.

use std::collections::BTreeMap;

use access::{Permit, SelectionDecision};
use adapter_sdk::{FetchedRecord, Grade, Key};
use chrono::{DateTime, Utc};
use prost::Message;
use prost_types::{Any, Timestamp};
use proto::{FieldSet, query::v1 as wire};

use crate::{
    error::{Failure, FailureOwner},
    gather::{Gathered, SourceAnswer},
    sources::Sources,
    values::{self, Fact},
};

/// Builds the answer to a query. Every record passes through [`Permit::release`].
pub(crate) fn response(sources: &Sources, permit: &Permit, gathered: &mut Gathered) -> wire::QueryResponse {
    for answer in &mut gathered.answers {
        if let Ok(fetched) = &mut answer.result {
            for record in &mut fetched.records {
                permit.release(answer.selection, &mut record.message);
            }
        }
    }
    let mut results = Vec::new();
    for (index, decision) in permit.selections().iter().enumerate() {
        let withheld = withheld(decision);
        let basis = basis(decision);
        if decision.released.is_empty() {
            results.push(wire::SelectionResult {
                record_type: decision.record_type.name.clone(),
                outcome: wire::Outcome::Denied.into(),
                withheld,
                decision: Some(basis),
                ..Default::default()
            });
            continue;
        }
        let answers = gathered.answers.iter().filter(|answer| answer.selection == index);
        results.extend(answers.map(|answer| result(answer, decision, withheld.clone(), basis.clone())));
        if sources.holding(&decision.record_type).is_empty() {
            results.push(no_source(decision, withheld, basis));
        }
    }
    let complete = results.iter().all(|result| {
        matches!(result.outcome(), wire::Outcome::Found | wire::Outcome::NotFound)
            && result.withheld.is_empty()
            && result.failure.is_none()
    }) && every_field_is_provided(permit, gathered);
    wire::QueryResponse { discrepancies: discrepancies(permit, gathered), results, complete, receipt: None }
}

/// Whether each released field is one that some source of its record type fills.
fn every_field_is_provided(permit: &Permit, gathered: &Gathered) -> bool {
    let mut decisions = permit.selections().iter().enumerate();
    decisions.all(|(index, decision)| gathered.not_provided(index, &decision.record_type).is_empty())
}

fn result(
    answer: &SourceAnswer,
    decision: &SelectionDecision,
    withheld: Vec<wire::WithheldField>,
    basis: wire::Decision,
) -> wire::SelectionResult {
    let mut result = wire::SelectionResult {
        record_type: decision.record_type.name.clone(),
        source: answer.source.clone(),
        withheld,
        decision: Some(basis),
        not_provided: decision.record_type.paths_of(&answer.not_provided),
        ..Default::default()
    };
    match &answer.result {
        Ok(fetched) => {
            let outcome = if fetched.records.is_empty() { wire::Outcome::NotFound } else { wire::Outcome::Found };
            result.set_outcome(outcome);
            result.failure = answer.unasked.as_ref().map(wire_failure);
            result.records = fetched
                .records
                .iter()
                .map(|record| record_of(record, answer, &decision.released, fetched.retrieved_at))
                .collect();
        }
        Err(failure) => {
            let outcome =
                if failure.invalid_at_source { wire::Outcome::InvalidAtSource } else { wire::Outcome::Unavailable };
            result.set_outcome(outcome);
            result.failure = Some(wire_failure(failure));
        }
    }
    result
}

fn no_source(
    decision: &SelectionDecision,
    withheld: Vec<wire::WithheldField>,
    basis: wire::Decision,
) -> wire::SelectionResult {
    let mut result = wire::SelectionResult {
        record_type: decision.record_type.name.clone(),
        withheld,
        decision: Some(basis),
        failure: Some(wire_failure(&Failure::NO_SOURCE)),
        ..Default::default()
    };
    result.set_outcome(wire::Outcome::Unavailable);
    result
}

fn record_of(
    record: &FetchedRecord,
    answer: &SourceAnswer,
    released: &FieldSet,
    retrieved_at: DateTime<Utc>,
) -> wire::Record {
    use prost_reflect::ReflectMessage;
    wire::Record {
        value: Some(Any {
            type_url: format!("type.googleapis.com/{}", record.message.descriptor().full_name()),
            value: record.message.encode_to_vec(),
        }),
        provenance: Some(wire::Provenance {
            source: answer.source.clone(),
            mapping_digest: answer.mapping_digest.clone(),
            retrieved_at: Some(timestamp(retrieved_at)),
            as_of: record.as_of.map(timestamp),
        }),
        quality: record
            .marks
            .iter()
            .filter(|mark| released.contains(mark.field))
            .map(|mark| wire::FieldQuality {
                path: mark.path.clone(),
                grade: grade(mark.grade).into(),
                reasons: mark.reasons.iter().map(|reason| reason.clone().into_owned()).collect(),
            })
            .collect(),
    }
}

const fn grade(grade: Grade) -> wire::field_quality::Grade {
    match grade {
        Grade::Repaired => wire::field_quality::Grade::Repaired,
        Grade::ConvertedWithLoss => wire::field_quality::Grade::ConvertedWithLoss,
        Grade::Suspect => wire::field_quality::Grade::Suspect,
        Grade::Invalid => wire::field_quality::Grade::Invalid,
        Grade::Missing => wire::field_quality::Grade::Missing,
    }
}

/// The withheld fields of a decision, as callers see them.
pub fn withheld(decision: &SelectionDecision) -> Vec<wire::WithheldField> {
    decision
        .withheld
        .iter()
        .map(|withheld| wire::WithheldField {
            path: decision.record_type.fields.get(withheld.field).map_or_else(String::new, |field| field.path.clone()),
            reason: withheld.reason.code.clone(),
            message_vi: withheld.reason.message_vi.clone(),
            message_en: withheld.reason.message_en.clone(),
        })
        .collect()
}

/// What a decision rests on, as callers see it.
pub fn basis(decision: &SelectionDecision) -> wire::Decision {
    wire::Decision {
        agreements: decision.agreements.clone(),
        legal_bases: decision.legal_bases.clone(),
        policy_ids: decision.policy_ids.clone(),
    }
}

pub(crate) fn wire_failure(failure: &Failure) -> wire::Failure {
    let (vietnamese, english) = failure.messages();
    let owner = match failure.owner {
        FailureOwner::Gateway => wire::failure::Owner::Gateway,
        FailureOwner::Adapter => wire::failure::Owner::Adapter,
        FailureOwner::Source => wire::failure::Owner::Source,
    };
    wire::Failure {
        owner: owner.into(),
        reason: failure.reason.to_owned(),
        message_vi: vietnamese,
        message_en: english,
    }
}

/// Facts about the subject on which released fields of found records disagree.
///
/// Only records about the subject count: an enterprise found by its representative's number states facts about itself.
fn discrepancies(permit: &Permit, gathered: &Gathered) -> Vec<wire::Discrepancy> {
    let about_subject = |record_type: &proto::RecordType| {
        let names = |key: &Key| record_type.fields.iter().any(|field| field.identifies == Some(key.kind));
        gathered.keys.iter().any(names)
    };
    let mut stated: BTreeMap<&str, Vec<(Fact, wire::DiscrepantField)>> = BTreeMap::new();
    for answer in &gathered.answers {
        let Ok(fetched) = &answer.result else { continue };
        let Some(decision) = permit.selections().get(answer.selection) else { continue };
        if !about_subject(&decision.record_type) {
            continue;
        }
        for field in decision.record_type.fields_of(&decision.released) {
            let Some(concept) = &field.concept else { continue };
            for fact in fetched.records.iter().filter_map(|record| values::fact(&record.message, field)) {
                let place = wire::DiscrepantField {
                    record_type: decision.record_type.name.clone(),
                    source: answer.source.clone(),
                    path: field.path.clone(),
                    authority: field.authority,
                };
                stated.entry(concept).or_default().push((fact, place));
            }
        }
    }
    stated
        .into_iter()
        .filter_map(|(concept, facts)| {
            let disagree = facts
                .iter()
                .enumerate()
                .any(|(index, (fact, _))| facts.iter().skip(index + 1).any(|(other, _)| fact.contradicts(other)));
            disagree.then(|| {
                let mut fields: Vec<_> = facts.into_iter().map(|(_, place)| place).collect();
                fields.dedup();
                fields.sort_by_key(|field| !field.authority);
                wire::Discrepancy { concept: concept.to_owned(), fields }
            })
        })
        .collect()
}

/// A moment as protobuf writes it.
pub fn timestamp(moment: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: moment.timestamp(), nanos: i32::try_from(moment.timestamp_subsec_nanos()).unwrap_or_default() }
}
