//! Parsed questions: what the server hands over once every part of a request has been checked.

use std::{sync::Arc, time::Duration};

use access::{Caller, Officer};
use adapter_sdk::Key;
use proto::{FieldSet, RecordType};
use tokio::time::Instant;

/// What is known of a call beside its question.
#[derive(Debug, Clone)]
pub struct Call {
    /// gRPC method in full, without the leading slash.
    pub method: String,
    /// Who calls.
    pub caller: Caller,
    /// SHA-256 of the client certificate, hex.
    pub certificate_sha256: String,
    /// When the call arrived.
    pub received: Instant,
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// Whether the caller said so, or the hub's usual time holds.
    pub deadline_given: bool,
    /// W3C trace id, hex; empty when not traced.
    pub trace_id: String,
}

impl Call {
    /// When sources must have answered, so that time is left to record and release: a tenth of the caller's time,
    /// between 2 and 100 ms, is kept back.
    pub(crate) fn source_deadline(&self) -> Instant {
        let whole = self.deadline.saturating_duration_since(self.received);
        let kept = (whole / 10).clamp(Duration::from_millis(2), Duration::from_millis(100));
        self.deadline.checked_sub(kept).unwrap_or(self.deadline)
    }
}

/// Why the question is asked.
#[derive(Debug, Clone)]
pub struct Purpose {
    /// Code from the purpose catalogue.
    pub code: String,
    /// Dossier number, canonical.
    pub dossier_number: Option<String>,
    /// Free text.
    pub justification: String,
}

/// What could be read of a request that is wrong elsewhere, so that its entry says who asked what, and why.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The number asked about.
    pub subject: Option<Key>,
    /// Why.
    pub purpose: Option<Purpose>,
    /// Who acts.
    pub officer: Option<Officer>,
}

/// One record type and the fields wanted.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The record type.
    pub record_type: Arc<RecordType>,
    /// Leaf fields; never empty.
    pub fields: FieldSet,
}

/// A question about one subject.
#[derive(Debug, Clone)]
pub struct Question {
    /// The number asked about, canonical.
    pub subject: Key,
    /// What is wanted, each record type once.
    pub selections: Vec<Selection>,
    /// Why.
    pub purpose: Purpose,
    /// Who acts.
    pub officer: Officer,
    /// Ids of sources that must answer.
    pub required_sources: Vec<String>,
}

/// What quotas and decisions look at in any question.
pub trait Inquiry {
    /// Record types and fields as decisions are asked about them.
    fn asked_fields(&self) -> Vec<(Arc<RecordType>, FieldSet)>;
    /// Why it is asked.
    fn purpose(&self) -> &Purpose;
    /// Who acts.
    fn officer(&self) -> &Officer;
    /// What an entry says of it when it is turned away.
    fn asked(&self) -> Asked;
}

impl Inquiry for Question {
    fn asked_fields(&self) -> Vec<(Arc<RecordType>, FieldSet)> {
        let selections = self.selections.iter();
        selections.map(|selection| (Arc::clone(&selection.record_type), selection.fields.clone())).collect()
    }

    fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    fn officer(&self) -> &Officer {
        &self.officer
    }

    fn asked(&self) -> Asked {
        Asked {
            subject: Some(self.subject.clone()),
            purpose: Some(self.purpose.clone()),
            officer: Some(self.officer.clone()),
        }
    }
}

/// A value the caller believes.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Position in [`Question::selections`] of the record type claimed about.
    pub selection: usize,
    /// Position of the leaf field.
    pub field: usize,
    /// The claimed value, as text.
    pub value: String,
}

/// A question of the verify kind: the selections are those the claims need.
#[derive(Debug, Clone)]
pub struct VerifyQuestion {
    /// Subject, purpose, officer, and the fields the claims are about.
    pub question: Question,
    /// The claims.
    pub claims: Vec<Claim>,
}
