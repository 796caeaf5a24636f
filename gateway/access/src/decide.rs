//! Decisions: each record type is decided whole, once for all calls in the same circumstances.

use std::{collections::HashMap, sync::Arc};

use cedar_policy::Context;
use chrono::{DateTime, Utc};
use moka::sync::Cache;
use proto::{FieldSet, RecordType, options::v1::Sensitivity};

use crate::{
    AccessRequest, AccessSet, Action, Assurance, Caller, Disclosure, HubAction, HubPermit, Officer, Permit, Reason,
    Refusal, SelectionDecision, Withheld,
    policy::{Circumstances, RecordCircumstances, Verdict},
    request::assurance_of,
};

mod reasons;

pub(crate) use reasons::no_agreement;

/// Decided record types are small; this bounds memory when callers try many purposes.
const CACHED_DECISIONS_MAX: u64 = 100_000;

/// Decisions already made. It lives and dies with the set it was made from.
pub(crate) struct Decisions(Cache<Question, Arc<Decided>>);

impl Decisions {
    pub(crate) fn new() -> Self {
        Self(Cache::new(CACHED_DECISIONS_MAX))
    }

    /// Forgets all, to measure what a decision costs.
    #[cfg(test)]
    pub(crate) fn clear(&self) {
        self.0.invalidate_all();
    }
}

/// What a decision depends on, the time apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) system: usize,
    pub(crate) action: Action,
    pub(crate) purpose: Stated,
    pub(crate) record_type: usize,
    pub(crate) assurance: Option<Assurance>,
    pub(crate) dossier_present: bool,
}

/// The purpose as stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stated {
    Missing,
    Unknown,
    Known(usize),
}

/// The decision on all fields of a record type, valid for a while.
pub(crate) struct Decided {
    /// First second it holds.
    from: i64,
    /// First second it no longer holds, because an agreement begins or ends then.
    until: i64,
    pub(crate) outcomes: Vec<(Outcome, FieldSet)>,
}

/// What becomes of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Released { agreements: Vec<usize>, policies: Vec<Arc<str>> },
    Withheld { rank: usize, reason: Arc<Reason> },
}

impl AccessSet {
    /// Decides which of the fields asked may be released: those an agreement covers and no guardrail forbids. Refused
    /// when nothing at all may be.
    pub fn decide(&self, request: &AccessRequest<'_>) -> Result<Permit, Refusal> {
        let purpose = self.stated(request.purpose_code);
        let system = self.system(request.caller);
        let mut answer = Answer::default();
        for (record_type, asked) in request.selections {
            let question =
                system.zip(self.record_types.get(&record_type.name)).map(|(system, &record_type)| Question {
                    system,
                    action: request.action,
                    purpose,
                    record_type,
                    assurance: assurance_of(request.officer),
                    dossier_present: request.dossier_present(),
                });
            match question {
                Some(question) => {
                    let decided = self.decided(question, record_type, request.now.timestamp());
                    answer.add(self, record_type, asked, &decided.outcomes);
                }
                None => {
                    let outcome = reasons::no_agreement();
                    answer.add(self, record_type, asked, &[(outcome, record_type.all_fields())]);
                }
            }
        }
        if answer.released {
            return Ok(Permit::new(answer.selections, answer.disclosure, answer.approvals));
        }
        let considered = match (system, purpose) {
            (Some(system), Stated::Known(purpose)) => self.systems.candidates(system, request.action, purpose),
            _ => &[],
        };
        let considered: Vec<_> = considered.iter().map(|&index| &self.agreements[index]).collect();
        let disclosure = considered.iter().map(|agreement| agreement.disclosure).max().unwrap_or_default();
        let mut approvals = Vec::new();
        let approved = considered.iter().filter_map(|agreement| agreement.disclosure_approved_by.as_ref());
        approved.for_each(|who| add_once(&mut approvals, who));
        Err(answer.refusal(disclosure, approvals))
    }

    /// Decides whether the system may read the audit log.
    pub fn read_log(
        &self,
        caller: &Caller,
        officer: Option<&Officer>,
        now: DateTime<Utc>,
    ) -> Result<HubPermit, Refusal> {
        self.permit_hub(HubAction::ReadLog, caller, officer, now)
    }

    /// Decides whether the system may change what is in force.
    pub fn operate(
        &self,
        caller: &Caller,
        officer: Option<&Officer>,
        now: DateTime<Utc>,
    ) -> Result<HubPermit, Refusal> {
        self.permit_hub(HubAction::Operate, caller, officer, now)
    }

    fn permit_hub(
        &self,
        action: HubAction,
        caller: &Caller,
        officer: Option<&Officer>,
        now: DateTime<Utc>,
    ) -> Result<HubPermit, Refusal> {
        let mut answer = Answer::default();
        let Some(system) = self.system(caller) else {
            answer.withhold(reasons::no_agreement());
            return Err(answer.refusal(Disclosure::default(), Vec::new()));
        };
        let ask = |agreement| {
            let assurance = assurance_of(officer);
            let circumstances = Circumstances { now: now.timestamp(), assurance, agreement, records: None };
            self.guard.hub(system, action, self.guard.context(&circumstances))
        };
        let (mut agreements, mut policy_ids) = (Vec::new(), Vec::new());
        let agreements_of = self.systems.all[system].agreements.iter();
        for &index in agreements_of.filter(|&&index| self.agreements[index].hub_actions.contains(&action)) {
            match ask(Some(index)) {
                Verdict::Permitted(policies) => {
                    agreements.push(self.agreements[index].number.clone());
                    policies.iter().for_each(|id| add_once(&mut policy_ids, id));
                }
                verdict => answer.withhold(reasons::of(verdict, reasons::action_not_in_agreement)),
            }
        }
        if !agreements.is_empty() {
            return Ok(HubPermit::new(agreements, policy_ids));
        }
        if answer.worst.is_none() {
            answer.withhold(reasons::of(ask(None), reasons::action_not_in_agreement));
        }
        Err(answer.refusal(Disclosure::default(), Vec::new()))
    }

    pub(crate) fn stated(&self, purpose_code: &str) -> Stated {
        let code = purpose_code.trim();
        match self.catalogue.purpose(code) {
            Some(purpose) => Stated::Known(purpose),
            None if code.is_empty() => Stated::Missing,
            None => Stated::Unknown,
        }
    }

    fn decided(&self, question: Question, record_type: &RecordType, now: i64) -> Arc<Decided> {
        if let Some(decided) = self.cache.0.get(&question)
            && (decided.from..decided.until).contains(&now)
        {
            return decided;
        }
        let decided = Arc::new(self.decide_all(question, record_type, now));
        self.cache.0.insert(question, decided.clone());
        decided
    }

    /// Whether the agreement opens the hub to the system for this, or why not.
    pub(crate) fn hub_opened(
        &self,
        system: usize,
        action: HubAction,
        agreement: usize,
        assurance: Option<Assurance>,
        now: i64,
    ) -> Result<(), Arc<Reason>> {
        let circumstances = Circumstances { now, assurance, agreement: Some(agreement), records: None };
        match self.guard.hub(system, action, self.guard.context(&circumstances)) {
            Verdict::Permitted(_) => Ok(()),
            verdict => match reasons::of(verdict, reasons::action_not_in_agreement) {
                Outcome::Withheld { reason, .. } => Err(reason),
                Outcome::Released { .. } => Err(Arc::new(Reason::policy_failure())),
            },
        }
    }

    pub(crate) fn decide_all(&self, question: Question, record_type: &RecordType, now: i64) -> Decided {
        let candidates: Vec<(usize, &FieldSet)> = match question.purpose {
            Stated::Known(purpose) => self.granted(question, purpose, record_type).collect(),
            Stated::Missing | Stated::Unknown => Vec::new(),
        };
        let (from, until) = self.steady(candidates.iter().map(|(agreement, _)| *agreement), now);
        let contexts: Vec<(usize, &FieldSet, Context)> = candidates
            .into_iter()
            .map(|(agreement, fields)| (agreement, fields, self.context(question, Some(agreement), now)))
            .collect();
        let bare = self.context(question, None, now);
        let mut decided = Decided { from, until, outcomes: Vec::new() };
        // Policies cannot tell apart the fields of one group and class that the same agreements grant: see `policy`.
        let mut alike: HashMap<(&str, Sensitivity, Vec<usize>), Outcome> = HashMap::new();
        for (index, field) in record_type.fields.iter().enumerate() {
            let granting = (0..contexts.len()).filter(|&position| contexts[position].1.contains(index)).collect();
            let outcome = alike
                .entry((&field.group, field.sensitivity, granting))
                .or_insert_with(|| self.outcome(question, index, &contexts, &bare));
            decided.add(index, outcome);
        }
        decided
    }

    /// Agreements that grant the system any of the record types asked for the action and purpose, in force or not.
    pub(crate) fn covering(&self, request: &AccessRequest<'_>) -> Vec<usize> {
        let Stated::Known(purpose) = self.stated(request.purpose_code) else { return Vec::new() };
        let Some(system) = self.system(request.caller) else { return Vec::new() };
        let grants = |index: &&usize| {
            let mut records = self.agreements[**index].records.iter();
            records.any(|(granted, _)| request.selections.iter().any(|(asked, _)| asked.name == granted.name))
        };
        self.systems.candidates(system, request.action, purpose).iter().filter(grants).copied().collect()
    }

    /// Agreements that grant fields of the record type to the system for the action and purpose, whether in force or not.
    fn granted<'a>(
        &'a self,
        question: Question,
        purpose: usize,
        record_type: &'a RecordType,
    ) -> impl Iterator<Item = (usize, &'a FieldSet)> {
        self.systems.candidates(question.system, question.action, purpose).iter().filter_map(|&index| {
            let records = &self.agreements[index].records;
            let (_, fields) = records.iter().find(|(granted, _)| granted.name == record_type.name)?;
            Some((index, fields))
        })
    }

    /// The time around now in which none of these agreements begins or ends.
    fn steady(&self, agreements: impl Iterator<Item = usize>, now: i64) -> (i64, i64) {
        let ends = agreements.flat_map(|index| [self.agreements[index].valid_from, self.agreements[index].valid_until]);
        ends.fold(
            (i64::MIN, i64::MAX),
            |(from, until), end| {
                if end <= now { (from.max(end), until) } else { (from, until.min(end)) }
            },
        )
    }

    fn context(&self, question: Question, agreement: Option<usize>, now: i64) -> Context {
        self.guard.context(&Circumstances {
            now,
            assurance: question.assurance,
            agreement,
            records: Some(RecordCircumstances {
                action: question.action,
                purpose_stated: question.purpose != Stated::Missing,
                purpose: match question.purpose {
                    Stated::Known(purpose) => Some(purpose),
                    Stated::Missing | Stated::Unknown => None,
                },
                dossier_present: question.dossier_present,
            }),
        })
    }

    /// Asks under each agreement that grants the field; under none, when there is none, so that a guardrail that forbids
    /// it whatever was agreed is named all the same.
    fn outcome(
        &self,
        question: Question,
        field: usize,
        contexts: &[(usize, &FieldSet, Context)],
        bare: &Context,
    ) -> Outcome {
        let ask = |context: &Context| {
            self.guard.field(question.system, question.action, question.record_type, field, context.clone())
        };
        let (mut agreements, mut policies) = (Vec::new(), Vec::new());
        let mut worst: Option<Outcome> = None;
        for (agreement, _, context) in contexts.iter().filter(|(_, fields, _)| fields.contains(field)) {
            match ask(context) {
                Verdict::Permitted(ids) => {
                    agreements.push(*agreement);
                    ids.iter().for_each(|id| {
                        if !policies.contains(id) {
                            policies.push(id.clone());
                        }
                    });
                }
                verdict => {
                    let outcome = reasons::of(verdict, reasons::field_not_in_agreement);
                    if worst.as_ref().is_none_or(|worst| worst.rank() < outcome.rank()) {
                        worst = Some(outcome);
                    }
                }
            }
        }
        if !agreements.is_empty() {
            return Outcome::Released { agreements, policies };
        }
        worst.unwrap_or_else(|| reasons::of(ask(bare), || self.missing(question)))
    }

    /// How far the agreements of the system go towards what is asked.
    fn missing(&self, question: Question) -> Outcome {
        let agreements = &self.systems.all[question.system].agreements;
        let with_action = || {
            agreements
                .iter()
                .map(|&index| &self.agreements[index])
                .filter(|agreement| agreement.actions.contains(&question.action))
        };
        let with_purpose = |purpose| with_action().any(|agreement| agreement.purposes.contains(&purpose));
        match question.purpose {
            _ if with_action().next().is_none() => reasons::action_not_in_agreement(),
            Stated::Known(purpose) if with_purpose(purpose) => reasons::field_not_in_agreement(),
            _ => reasons::purpose_not_in_agreement(),
        }
    }
}

impl Decided {
    fn add(&mut self, field: usize, outcome: &Outcome) {
        match self.outcomes.iter_mut().find(|(known, _)| known == outcome) {
            Some((_, fields)) => fields.insert(field),
            None => {
                let mut fields = FieldSet::default();
                fields.insert(field);
                self.outcomes.push((outcome.clone(), fields));
            }
        }
    }
}

impl Outcome {
    fn rank(&self) -> usize {
        match self {
            Self::Released { .. } => 0,
            Self::Withheld { rank, .. } => *rank,
        }
    }
}

/// The answer as it grows, selection by selection.
#[derive(Default)]
struct Answer {
    selections: Vec<SelectionDecision>,
    released: bool,
    disclosure: Disclosure,
    approvals: Vec<String>,
    policy_ids: Vec<String>,
    worst: Option<(usize, Arc<Reason>)>,
}

impl Answer {
    fn add(
        &mut self,
        set: &AccessSet,
        record_type: &Arc<RecordType>,
        asked: &FieldSet,
        outcomes: &[(Outcome, FieldSet)],
    ) {
        let mut decision = SelectionDecision {
            record_type: record_type.clone(),
            asked: asked.clone(),
            released: record_type.no_fields(),
            withheld: Vec::new(),
            agreements: Vec::new(),
            legal_bases: Vec::new(),
            policy_ids: Vec::new(),
        };
        for (outcome, fields) in outcomes {
            let fields = fields.intersection(asked);
            if fields.is_empty() {
                continue;
            }
            match outcome {
                Outcome::Released { agreements, policies } => {
                    self.released = true;
                    decision.released.union_with(&fields);
                    policies.iter().for_each(|id| add_once(&mut decision.policy_ids, id));
                    for agreement in agreements.iter().map(|&index| &set.agreements[index]) {
                        add_once(&mut decision.agreements, &agreement.number);
                        add_once(&mut decision.legal_bases, &agreement.legal_basis);
                        self.disclosure = self.disclosure.max(agreement.disclosure);
                        agreement.disclosure_approved_by.iter().for_each(|who| add_once(&mut self.approvals, who));
                    }
                }
                Outcome::Withheld { reason, .. } => {
                    decision.withheld.extend(fields.iter().map(|field| Withheld { field, reason: reason.clone() }));
                    reason.policy_id.iter().for_each(|id| add_once(&mut decision.policy_ids, id));
                    self.withhold(outcome.clone());
                }
            }
        }
        decision.withheld.sort_by_key(|withheld| withheld.field);
        self.selections.push(decision);
    }

    /// Remembers the reason, and whether it is the most specific so far.
    fn withhold(&mut self, outcome: Outcome) {
        let Outcome::Withheld { rank, reason } = outcome else { return };
        reason.policy_id.iter().for_each(|id| add_once(&mut self.policy_ids, id));
        if self.worst.as_ref().is_none_or(|(worst, _)| *worst < rank) {
            self.worst = Some((rank, reason));
        }
    }

    fn refusal(self, disclosure: Disclosure, approvals: Vec<String>) -> Refusal {
        let reason = self.worst.map_or_else(|| Arc::new(reasons::nothing_asked()), |(_, reason)| reason);
        Refusal {
            reason: reason.code.clone(),
            message_vi: reason.message_vi.clone(),
            message_en: reason.message_en.clone(),
            policy_ids: self.policy_ids.into(),
            selections: self.selections.into(),
            disclosure,
            approvals: approvals.into(),
        }
    }
}

fn add_once(list: &mut Vec<String>, value: &str) {
    if !list.iter().any(|known| known == value) {
        list.push(value.to_owned());
    }
}
