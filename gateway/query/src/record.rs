//! Audit entries: what is written of a call before anything of it leaves.

use std::time::Duration;

use access::{Disclosure, Officer, Permit, Refusal, SelectionDecision};
use adapter_sdk::Key;
use audit::SubjectHasher;
use proto::audit::v1::{self as log, entry};

use crate::{
    assemble::timestamp,
    error::Failure,
    gather::Gathered,
    question::{Asked, Call, Purpose, Question},
    search::SearchQuestion,
};

/// The part of an entry known as soon as a caller is: who, by which method, when.
pub fn begin_entry(kind: entry::Kind, call: &Call) -> log::Entry {
    log::Entry {
        version: 1,
        kind: kind.into(),
        method: call.method.clone(),
        caller: Some(log::Caller {
            agency: call.caller.agency.to_string(),
            system: call.caller.system.clone(),
            certificate_sha256: call.certificate_sha256.clone(),
        }),
        trace_id: call.trace_id.clone(),
        disclosure: entry::Disclosure::Immediate.into(),
        ..Default::default()
    }
}

/// Who acts, as an entry holds it.
pub fn officer(officer: &Officer) -> log::Officer {
    log::Officer {
        id: officer.id.clone(),
        name: officer.name.clone(),
        unit: officer.unit.clone().unwrap_or_default(),
        assurance: officer.assurance.as_str().to_owned(),
    }
}

fn purpose(purpose: &Purpose) -> log::Purpose {
    log::Purpose {
        code: purpose.code.clone(),
        dossier_number: purpose.dossier_number.clone().unwrap_or_default(),
        justification: purpose.justification.clone(),
    }
}

/// Adds what could be read of a wrong request.
pub(crate) fn note_asked(entry: &mut log::Entry, asked: &Asked, hasher: &SubjectHasher) {
    entry.officer = asked.officer.as_ref().map(officer);
    entry.purpose = asked.purpose.as_ref().map(purpose);
    entry.subjects = asked.subject.iter().map(|key| subject(hasher, key)).collect();
}

/// Adds what was asked, about whom, why and by whom.
pub(crate) fn note_question(entry: &mut log::Entry, question: &Question, hasher: &SubjectHasher) {
    entry.officer = Some(officer(&question.officer));
    entry.purpose = Some(purpose(&question.purpose));
    entry.subjects = vec![subject(hasher, &question.subject)];
    entry.accesses = question
        .selections
        .iter()
        .map(|selection| log::Access {
            record_type: selection.record_type.name.clone(),
            fields_asked: selection.record_type.paths_of(&selection.fields),
            ..Default::default()
        })
        .collect();
}

/// Adds what was searched, why and by whom. What it was searched by stays out: it is about people.
pub(crate) fn note_search(entry: &mut log::Entry, question: &SearchQuestion) {
    entry.officer = Some(officer(&question.officer));
    entry.purpose = Some(purpose(&question.purpose));
    entry.accesses = vec![log::Access {
        record_type: question.record_type.name.clone(),
        fields_asked: question.record_type.paths_of(&question.fields.shown),
        ..Default::default()
    }];
    let compared = question.record_type.paths_of(&question.fields.compared);
    entry.details = vec![
        log::Detail { name: "compared".to_owned(), value: compared.join(",") },
        log::Detail { name: "offset".to_owned(), value: question.offset.to_string() },
    ];
}

fn subject(hasher: &SubjectHasher, key: &Key) -> log::SubjectHash {
    hasher.hash(key.kind, &key.value)
}

/// Adds what policy decided.
pub(crate) fn note_permit(entry: &mut log::Entry, permit: &Permit) {
    note_decisions(entry, permit.selections());
    entry.set_disclosure(disclosure(permit.disclosure()));
    entry.disclosure_approved_by = permit.approvals().to_vec();
}

/// Adds what policy refused.
pub(crate) fn note_refusal(entry: &mut log::Entry, refusal: &Refusal) {
    note_decisions(entry, &refusal.selections);
    entry.set_disclosure(disclosure(refusal.disclosure));
    entry.disclosure_approved_by.clone_from(&*refusal.approvals);
}

const fn disclosure(disclosure: Disclosure) -> entry::Disclosure {
    match disclosure {
        Disclosure::Immediate => entry::Disclosure::Immediate,
        Disclosure::Delayed => entry::Disclosure::Delayed,
        Disclosure::Never => entry::Disclosure::Never,
    }
}

fn note_decisions(entry: &mut log::Entry, decisions: &[SelectionDecision]) {
    for (access, decision) in entry.accesses.iter_mut().zip(decisions) {
        access.fields_released = decision.record_type.paths_of(&decision.released);
        access.agreements.clone_from(&decision.agreements);
        access.policy_ids.clone_from(&decision.policy_ids);
        for withheld in &decision.withheld {
            let reason = &withheld.reason.code;
            if !access.refusal_reasons.contains(reason) {
                access.refusal_reasons.push(reason.clone());
            }
        }
    }
}

/// Adds how the sources answered and which numbers of the subject were used. What no source provides was not released.
pub(crate) fn note_sources(entry: &mut log::Entry, permit: &Permit, gathered: &Gathered, hasher: &SubjectHasher) {
    for (index, (access, decision)) in entry.accesses.iter_mut().zip(permit.selections()).enumerate() {
        let missing = gathered.not_provided(index, &decision.record_type);
        access.fields_released = decision.record_type.paths_of(&decision.released.difference(&missing));
    }
    entry.subjects = gathered.keys.iter().map(|key| subject(hasher, key)).collect();
    let links = gathered.links.iter().map(|link| log::SourceResult {
        source: link.source.clone(),
        record_type: link.record_type.clone(),
        outcome: outcome(link.result.as_ref().copied()).to_owned(),
        reason: reason(link.result.as_ref().err()),
        mapping_digest: link.mapping_digest.clone(),
        record_count: link.result.as_ref().map_or(0, |count| u32::try_from(*count).unwrap_or(u32::MAX)),
        identity_link: true,
    });
    let answers = gathered.answers.iter().map(|answer| {
        let count = answer.result.as_ref().map(|fetched| fetched.records.len());
        log::SourceResult {
            source: answer.source.clone(),
            record_type: permit
                .selections()
                .get(answer.selection)
                .map_or_else(String::new, |decision| decision.record_type.name.clone()),
            outcome: outcome(count.as_ref().copied().map_err(|failure| *failure)).to_owned(),
            reason: reason(answer.result.as_ref().err().or(answer.unasked.as_ref())),
            mapping_digest: answer.mapping_digest.clone(),
            record_count: count.map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX)),
            identity_link: false,
        }
    });
    entry.sources = links.chain(answers).collect();
}

pub(crate) fn outcome(result: Result<usize, &Failure>) -> &'static str {
    match result {
        Ok(0) => "NOT_FOUND",
        Ok(_) => "FOUND",
        Err(failure) if failure.invalid_at_source => "INVALID_AT_SOURCE",
        Err(_) => "UNAVAILABLE",
    }
}

pub(crate) fn reason(failure: Option<&Failure>) -> String {
    failure.map_or_else(String::new, |failure| failure.reason.to_owned())
}

/// Stamps the entry: the moment it is made, from when on its subject may see it, and how long the call has taken.
pub(crate) fn stamp(entry: &mut log::Entry, call: &Call, disclosure_delay: Duration) {
    let now = chrono::Utc::now();
    entry.time = Some(timestamp(now));
    if entry.disclosure() == entry::Disclosure::Delayed {
        entry.disclosure_from = Some(timestamp(now + disclosure_delay));
    }
    entry.duration_microseconds = u64::try_from(call.received.elapsed().as_micros()).unwrap_or(u64::MAX);
}
