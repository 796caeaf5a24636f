//! The whole of what a set opens, as a table: every system, purpose, action and record type, field by field, found by
//! deciding each case as a call would be decided. So the table cannot say anything else than the decisions do.
//!
//! An agreement is the only way to a record or to the log, so the cases that agreements name are all there are.

use std::{collections::BTreeMap, fmt, sync::Arc};

use chrono::{DateTime, Utc};
use proto::{FieldSet, RecordType};

use crate::{
    AccessRequest, AccessSet, Action, AgencyCode, Assurance, HubAction, Reason,
    decide::{Outcome, Question, Stated},
    request::assurance_of,
};

/// How an officer can be established, nobody at all included.
const OFFICERS: [Option<Assurance>; 3] = [None, Some(Assurance::Asserted), Some(Assurance::Proven)];

/// In which circumstances something is released, and why not when there are none.
type Fate = (Conditions, Option<Arc<Reason>>);

/// In which circumstances of a call something is released: how its officer is established, and whether it names a dossier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Conditions(u8);

impl Conditions {
    /// All circumstances: how the officer is established, and whether a dossier is named.
    pub fn circumstances() -> impl Iterator<Item = (Option<Assurance>, bool)> {
        OFFICERS.into_iter().flat_map(|officer| [(officer, false), (officer, true)])
    }

    /// Whether it is released in these circumstances.
    pub fn hold(self, officer: Option<Assurance>, dossier_present: bool) -> bool {
        self.0 & Self::bit(officer, dossier_present) != 0
    }

    /// Whether it is released in no circumstances at all.
    pub fn never(self) -> bool {
        self.0 == 0
    }

    fn bit(officer: Option<Assurance>, dossier_present: bool) -> u8 {
        let officer = OFFICERS.iter().position(|known| *known == officer).unwrap_or_default();
        1 << (officer * 2 + usize::from(dossier_present))
    }

    fn officers(self, dossier_present: bool) -> Option<&'static str> {
        Some(match OFFICERS.map(|officer| self.hold(officer, dossier_present)) {
            [false, false, false] => return None,
            [false, false, true] => "proven officer",
            [false, true, false] => "officer vouched for by the system, not proven",
            [false, true, true] => "any named officer",
            [true, false, false] => "no officer named",
            [true, false, true] => "proven officer, or none named",
            [true, true, false] => "officer vouched for by the system, or none named",
            [true, true, true] => "no officer needed",
        })
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.officers(true), self.officers(false)) {
            (None, None) => formatter.write_str("never"),
            (Some(with), Some(without)) if with == without => formatter.write_str(with),
            (Some(with), None) => write!(formatter, "{with}; dossier"),
            (None, Some(without)) => write!(formatter, "{without}; no dossier"),
            (Some(with), Some(without)) => write!(formatter, "{with} with a dossier; {without} without"),
        }
    }
}

/// What one agreement opens to one system.
#[derive(Debug, Clone)]
pub struct TableRow {
    /// Agency of the system, as it is listed; agencies below it that are not listed are covered.
    pub agency: AgencyCode,
    /// The system.
    pub system: String,
    /// Position in [`AccessSet::agreements`].
    pub agreement: usize,
    /// What is opened.
    pub opened: Opened,
    /// In which circumstances. When there are none, the agreement grants what is not released.
    pub conditions: Conditions,
    /// Why it is not released even to a proven officer with a dossier.
    pub reason: Option<Arc<Reason>>,
}

/// What a row is about.
#[derive(Debug, Clone)]
pub enum Opened {
    /// Fields of a record type, for a purpose.
    Fields {
        /// Code of the purpose.
        purpose: String,
        /// What may be done with them.
        action: Action,
        /// Record type.
        record_type: Arc<RecordType>,
        /// The fields alike in all of this.
        fields: FieldSet,
    },
    /// The hub itself: its log, or its operation.
    Hub(HubAction),
}

/// What becomes of one field that was asked for.
#[derive(Debug, Clone)]
pub struct FieldDecision {
    /// Record type.
    pub record_type: Arc<RecordType>,
    /// Position in [`RecordType::fields`].
    pub field: usize,
    /// Released by these agreements (positions in [`AccessSet::agreements`]) and policies, or withheld.
    pub outcome: Result<ReleasedBy, Arc<Reason>>,
}

/// What releases a field.
#[derive(Debug, Clone)]
pub struct ReleasedBy {
    /// Positions in [`AccessSet::agreements`].
    pub agreements: Vec<usize>,
    /// Ids of the policies.
    pub policy_ids: Vec<Arc<str>>,
}

impl AccessSet {
    /// What the agreements open at a moment, and what they grant that is not released. In the order of agencies, systems,
    /// purposes, actions and record types.
    pub fn table(&self, now: DateTime<Utc>) -> Vec<TableRow> {
        let mut rows: Vec<TableRow> = Vec::new();
        for agreement in 0..self.agreements.len() {
            self.add_rows(agreement, now, &mut rows);
        }
        rows.sort_by(|left, right| {
            let key = |row: &TableRow| match &row.opened {
                Opened::Hub(action) => (String::new(), None, action.as_str().to_owned()),
                Opened::Fields { purpose, action, record_type, .. } => {
                    (purpose.clone(), Some(*action), record_type.name.clone())
                }
            };
            (&left.agency, &left.system, key(left), left.agreement, right.conditions).cmp(&(
                &right.agency,
                &right.system,
                key(right),
                right.agreement,
                left.conditions,
            ))
        });
        rows
    }

    /// The names of all systems that agreements name: agency and system.
    pub fn systems(&self) -> impl Iterator<Item = (&AgencyCode, &str)> {
        self.systems.all.iter().map(|system| (&self.catalogue.agencies[system.agency].code, system.name.as_str()))
    }

    /// Decides every field asked and says what decided it. Nothing is released by this.
    pub fn explain(&self, request: &AccessRequest<'_>) -> Vec<FieldDecision> {
        let mut found = Vec::new();
        let system = self.system(request.caller);
        for (record_type, asked) in request.selections {
            let place = system.zip(self.record_types.get(&record_type.name));
            let outcomes = match place {
                Some((system, &index)) => {
                    let question = Question {
                        system,
                        action: request.action,
                        purpose: self.stated(request.purpose_code),
                        record_type: index,
                        assurance: assurance_of(request.officer),
                        dossier_present: request.dossier_present(),
                    };
                    self.decide_all(question, record_type, request.now.timestamp()).outcomes
                }
                None => vec![(crate::decide::no_agreement(), record_type.all_fields())],
            };
            for field in asked.iter() {
                let outcome = outcomes.iter().find(|(_, fields)| fields.contains(field)).map(|(outcome, _)| outcome);
                let outcome = match outcome {
                    Some(Outcome::Released { agreements, policies }) => {
                        Ok(ReleasedBy { agreements: agreements.clone(), policy_ids: policies.clone() })
                    }
                    Some(Outcome::Withheld { reason, .. }) => Err(reason.clone()),
                    None => continue,
                };
                found.push(FieldDecision { record_type: record_type.clone(), field, outcome });
            }
        }
        found
    }

    /// The rows of one agreement.
    pub(crate) fn add_rows(&self, agreement: usize, now: DateTime<Utc>, rows: &mut Vec<TableRow>) {
        let systems = self.systems.all.iter().enumerate();
        for (system, named) in systems.filter(|(_, named)| named.agreements.contains(&agreement)) {
            let row = |opened, conditions, reason| TableRow {
                agency: self.catalogue.agencies[named.agency].code.clone(),
                system: named.name.clone(),
                agreement,
                opened,
                conditions,
                reason,
            };
            for &action in &self.agreements[agreement].hub_actions {
                let (conditions, reason) = self.hub_conditions(system, action, agreement, now);
                rows.push(row(Opened::Hub(action), conditions, reason));
            }
            for &action in &self.agreements[agreement].actions {
                for &purpose in &self.agreements[agreement].purposes {
                    for (record_type, granted) in &self.agreements[agreement].records {
                        let Some(&index) = self.record_types.get(&record_type.name) else { continue };
                        let question = Question {
                            system,
                            action,
                            purpose: Stated::Known(purpose),
                            record_type: index,
                            assurance: None,
                            dossier_present: false,
                        };
                        for ((conditions, reason), fields) in
                            self.field_conditions(question, agreement, record_type, granted, now)
                        {
                            let purpose = self.catalogue.purposes[purpose].code.clone();
                            let opened = Opened::Fields { purpose, action, record_type: record_type.clone(), fields };
                            rows.push(row(opened, conditions, reason));
                        }
                    }
                }
            }
        }
    }

    /// The granted fields, together where they are released in the same circumstances.
    fn field_conditions(
        &self,
        question: Question,
        agreement: usize,
        record_type: &RecordType,
        granted: &FieldSet,
        now: DateTime<Utc>,
    ) -> Vec<(Fate, FieldSet)> {
        let mut fields: BTreeMap<usize, Fate> = granted.iter().map(|field| (field, Default::default())).collect();
        // The last of the circumstances are a proven officer with a dossier: their reason stays.
        for (assurance, dossier_present) in Conditions::circumstances() {
            let question = Question { assurance, dossier_present, ..question };
            for (outcome, decided) in self.decide_all(question, record_type, now.timestamp()).outcomes {
                for field in decided.intersection(granted).iter() {
                    let Some((conditions, why)) = fields.get_mut(&field) else { continue };
                    match &outcome {
                        Outcome::Released { agreements, .. } if agreements.contains(&agreement) => {
                            conditions.0 |= Conditions::bit(assurance, dossier_present);
                        }
                        Outcome::Released { .. } => *why = None,
                        Outcome::Withheld { reason, .. } => *why = Some(reason.clone()),
                    }
                }
            }
        }
        let mut alike: Vec<(Fate, FieldSet)> = Vec::new();
        for (field, (conditions, reason)) in fields {
            let key = (conditions, reason.filter(|_| conditions.never()));
            match alike.iter_mut().find(|(known, _)| *known == key) {
                Some((_, fields)) => fields.insert(field),
                None => {
                    let mut fields = record_type.no_fields();
                    fields.insert(field);
                    alike.push((key, fields));
                }
            }
        }
        alike
    }

    fn hub_conditions(&self, system: usize, action: HubAction, agreement: usize, now: DateTime<Utc>) -> Fate {
        let (mut conditions, mut why) = (Conditions::default(), None);
        for (assurance, dossier_present) in Conditions::circumstances() {
            match self.hub_opened(system, action, agreement, assurance, now.timestamp()) {
                Ok(()) => conditions.0 |= Conditions::bit(assurance, dossier_present),
                Err(reason) => why = Some(reason),
            }
        }
        (conditions, why.filter(|_| conditions.never()))
    }
}
