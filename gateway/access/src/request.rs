//! What a decision is asked about.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use proto::{FieldSet, RecordType};
use serde::Deserialize;

use crate::AgencyCode;

/// The system that calls, as its certificate says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Agency the system belongs to.
    pub agency: AgencyCode,
    /// Name of the system within its agency.
    pub system: String,
}

/// The natural person who acts. An officer without id or name counts as missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Officer {
    /// Id in the agency.
    pub id: String,
    /// Full name.
    pub name: String,
    /// Code of the unit, when it is not the calling agency.
    pub unit: Option<String>,
    /// How the officer was established.
    pub assurance: Assurance,
}

impl Officer {
    fn is_named(&self) -> bool {
        !self.id.trim().is_empty() && !self.name.trim().is_empty()
    }
}

/// How it is known who the officer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assurance {
    /// The calling system says so.
    Asserted,
    /// The officer proved it with a token of an identity provider the hub trusts.
    Proven,
}

impl Assurance {
    /// The word used in grants, policies and the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asserted => "asserted",
            Self::Proven => "proven",
        }
    }
}

/// What a system may do with records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Read fields about one subject.
    Query,
    /// Ask whether claimed values agree; no value is released.
    Verify,
    /// Read fields about a stream of subjects.
    Batch,
    /// Find candidates whose number is not known, by name and birth date and the like.
    Search,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 4] = [Self::Query, Self::Verify, Self::Batch, Self::Search];

    /// The word used in grants and policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Verify => "verify",
            Self::Batch => "batch",
            Self::Search => "search",
        }
    }
}

/// What a system may do with the hub itself, as against records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HubAction {
    /// Read the audit log.
    ReadLog,
    /// Change what is in force: reload.
    Operate,
}

impl HubAction {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::ReadLog, Self::Operate];

    /// The word used in grants and policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadLog => "read_log",
            Self::Operate => "operate",
        }
    }
}

/// A question for [`crate::AccessSet::decide`].
#[derive(Debug, Clone)]
pub struct AccessRequest<'a> {
    /// Who calls.
    pub caller: &'a Caller,
    /// Who acts.
    pub officer: Option<&'a Officer>,
    /// Code from the purpose catalogue; blank when none was stated.
    pub purpose_code: &'a str,
    /// The case behind the question.
    pub dossier_number: Option<&'a str>,
    /// What is to be done with the fields.
    pub action: Action,
    /// Record types and the fields asked of each.
    pub selections: &'a [(Arc<RecordType>, FieldSet)],
    /// The moment of the decision.
    pub now: DateTime<Utc>,
}

impl AccessRequest<'_> {
    pub(crate) fn dossier_present(&self) -> bool {
        self.dossier_number.is_some_and(|number| !number.trim().is_empty())
    }
}

/// How an officer, if any, is established: the only thing about officers that decisions look at.
pub(crate) fn assurance_of(officer: Option<&Officer>) -> Option<Assurance> {
    officer.filter(|officer| officer.is_named()).map(|officer| officer.assurance)
}
