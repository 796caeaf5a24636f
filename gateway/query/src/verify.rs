//! Answers claims without releasing a value.

use access::Permit;
use adapter_sdk::Grade;
use proto::query::v1::{ClaimResult, VerifyResponse, claim_result::Verdict};

use crate::{
    assemble,
    gather::{Gathered, SourceAnswer},
    question::{Claim, VerifyQuestion},
    values::{self, Agreement},
};

/// Judges every claim. "No such record" and "no such value" read the same.
pub(crate) fn response(question: &VerifyQuestion, permit: &Permit, gathered: &Gathered) -> VerifyResponse {
    let results = question.claims.iter().map(|claim| judge(claim, permit, gathered)).collect();
    let answered = gathered.answers.iter().all(|answer| answer.result.is_ok() && answer.unasked.is_none());
    let granted = permit.selections().iter().all(|decision| decision.withheld.is_empty());
    let held = permit.selections().iter().enumerate().all(|(index, decision)| {
        decision.released.is_empty() || gathered.answers.iter().any(|answer| answer.selection == index)
    });
    VerifyResponse { results, complete: answered && granted && held, receipt: None }
}

fn judge(claim: &Claim, permit: &Permit, gathered: &Gathered) -> ClaimResult {
    let mut result = ClaimResult::default();
    let Some(decision) = permit.selections().get(claim.selection) else { return result };
    result.record_type.clone_from(&decision.record_type.name);
    if let Some(field) = decision.record_type.fields.get(claim.field) {
        result.field.clone_from(&field.path);
    }
    result.decision = Some(assemble::basis(decision));
    if !decision.released.contains(claim.field) {
        result.set_verdict(Verdict::Unknown);
        result.reason = decision
            .withheld
            .iter()
            .find(|withheld| withheld.field == claim.field)
            .map_or_else(|| "NOT_GRANTED".to_owned(), |withheld| withheld.reason.code.clone());
        return result;
    }
    let answers = || gathered.answers.iter().filter(|answer| answer.selection == claim.selection);
    let provides = |answer: &&SourceAnswer| !answer.not_provided.contains(claim.field);
    let unprovided = answers().next().map_or("NO_SOURCE", |_| "NOT_PROVIDED");
    let mut best = (Verdict::Unknown, unprovided);
    for answer in answers().filter(provides) {
        let (verdict, reason) = judge_answer(claim, permit, answer);
        if result.source.is_empty() || rank(verdict) > rank(best.0) {
            best = (verdict, reason);
            result.source.clone_from(&answer.source);
        }
    }
    result.set_verdict(best.0);
    best.1.clone_into(&mut result.reason);
    result
}

/// A match in any source or record stands; otherwise a mismatch; otherwise unknown.
const fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Match => 2,
        Verdict::Mismatch => 1,
        Verdict::Unknown | Verdict::Unspecified => 0,
    }
}

fn judge_answer(claim: &Claim, permit: &Permit, answer: &SourceAnswer) -> (Verdict, &'static str) {
    let fetched = match &answer.result {
        Ok(fetched) => fetched,
        Err(failure) => return (Verdict::Unknown, failure.reason),
    };
    let Some(field) =
        permit.selections().get(claim.selection).and_then(|decision| decision.record_type.fields.get(claim.field))
    else {
        return (Verdict::Unknown, "NO_VALUE");
    };
    let mut best = (Verdict::Unknown, "NO_VALUE");
    for record in &fetched.records {
        let worst = record.marks.iter().filter(|mark| mark.field == claim.field).map(|mark| mark.grade).max();
        if worst == Some(Grade::Invalid) {
            best.1 = if best.0 == Verdict::Unknown { "INVALID_AT_SOURCE" } else { best.1 };
            continue;
        }
        let Some(fact) = values::fact(&record.message, field) else { continue };
        let judged = match fact.agrees_with(&claim.value) {
            Agreement::Equal => (Verdict::Match, ""),
            Agreement::Undecided => (Verdict::Unknown, "LESS_PRECISE_AT_SOURCE"),
            // A doubtful value is no ground to contradict anybody.
            Agreement::Different if worst >= Some(Grade::ConvertedWithLoss) => (Verdict::Unknown, "SUSPECT_AT_SOURCE"),
            Agreement::Different => (Verdict::Mismatch, ""),
        };
        if rank(judged.0) > rank(best.0) || best.1 == "NO_VALUE" {
            best = judged;
        }
    }
    best
}
