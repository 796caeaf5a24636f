//! Asks all sources side by side, each for itself, under every number by which it may hold the subject.

use std::sync::Arc;

use access::Permit;
use adapter_sdk::{Fetched, Key};
use futures::future::join_all;
use prost::Message;
use proto::{FieldSet, RecordType, options::v1::IdentifierKind};
use tokio::time::Instant;

use crate::{
    error::Failure,
    identity::{self, Identity, LinkUse},
    source::{Asker, Source},
    sources::Sources,
};

/// How one source answered one selection.
pub(crate) struct SourceAnswer {
    /// Position in the permit's selections.
    pub(crate) selection: usize,
    pub(crate) source: String,
    pub(crate) mapping_digest: String,
    pub(crate) result: Result<Fetched, Failure>,
    /// Why the source may hold more than `result` shows: it could not be asked by every number of the subject.
    pub(crate) unasked: Option<Failure>,
    /// Released fields the source does not provide: unmapped, or not lent.
    pub(crate) not_provided: FieldSet,
}

/// Everything that came back.
pub(crate) struct Gathered {
    pub(crate) answers: Vec<SourceAnswer>,
    pub(crate) links: Vec<LinkUse>,
    /// The subject's numbers: the one asked about, then those reached by links.
    pub(crate) keys: Vec<Key>,
}

impl Gathered {
    /// The fields of a selection that none of the sources asked provides. Without a source there is nothing to say of fields.
    pub(crate) fn not_provided(&self, selection: usize, record_type: &RecordType) -> FieldSet {
        let mut answers = self.answers.iter().filter(|answer| answer.selection == selection);
        let first = answers.next().map_or_else(|| record_type.no_fields(), |first| first.not_provided.clone());
        answers.fold(first, |missing, answer| missing.intersection(&answer.not_provided))
    }
}

/// Fetches what the permit releases until the deadline. Beside it only the numbers are read that tell whose a record is.
pub(crate) async fn gather(
    sources: &Sources,
    permit: &Permit,
    asker: &Asker,
    subject: &Key,
    deadline: Instant,
) -> Gathered {
    let identity = Identity::new(sources, asker, subject, deadline);
    let mut under_way = Vec::new();
    for (selection, decision) in permit.selections().iter().enumerate() {
        if decision.released.is_empty() {
            continue;
        }
        for &index in sources.holding(&decision.record_type) {
            let identity = &identity;
            under_way.push(async move {
                let source = sources.at(index);
                let fetch = Fetch { identity, source, record_type: &decision.record_type };
                let (result, unasked) = fetch.run(&decision.released).await;
                SourceAnswer {
                    selection,
                    source: source.id().to_owned(),
                    mapping_digest: source.mapping_digest().to_owned(),
                    result,
                    unasked,
                    not_provided: source.not_provided(&decision.record_type, &decision.released),
                }
            });
        }
    }
    let answers = join_all(under_way).await;
    let (keys, links) = identity.into_parts();
    Gathered { answers, links, keys }
}

struct Fetch<'a> {
    identity: &'a Identity<'a>,
    source: &'a Source,
    record_type: &'a Arc<RecordType>,
}

impl Fetch<'_> {
    /// Asks by the number asked about, or by those linked to it when the register does not know that kind. Where rows of a
    /// subject may stand under one number alone, asks by every number.
    async fn run(&self, fields: &FieldSet) -> (Result<Fetched, Failure>, Option<Failure>) {
        let subject = self.identity.subject().kind;
        let (known, alone) = self.source.lookup(self.record_type);
        let enough = alone.is_empty() && known.contains(&subject);
        let kinds: Vec<_> = if enough { vec![subject] } else { known.to_vec() };
        // Under every number the same is read, so that a row found twice reads the same.
        let read = if kinds == [subject] {
            fields.clone()
        } else {
            identity::with_naming_fields(self.record_type, fields, self.identity.subject())
        };
        let mut merged: Option<Fetched> = None;
        let mut failure = None;
        for kind in kinds {
            match self.by(kind, &read).await {
                Ok(None) => {}
                Ok(Some(fetched)) => merge(&mut merged, fetched),
                // What the register itself cannot say is its answer; what a link cannot say leaves the rest standing.
                Err(broken) if kind == subject => return (Err(broken), None),
                Err(broken) => failure = failure.or(Some(broken)),
            }
        }
        match (merged, failure) {
            (None, Some(broken)) => (Err(broken), None),
            (None, None) => (Ok(Fetched { records: Vec::new(), retrieved_at: chrono::Utc::now() }), None),
            (Some(fetched), failure) => (Ok(fetched), failure),
        }
    }

    /// The subject's records under its numbers of one kind; nothing when it has no such number.
    async fn by(&self, kind: IdentifierKind, fields: &FieldSet) -> Result<Option<Fetched>, Failure> {
        let subject = self.identity.subject();
        let mut found = None;
        for key in self.identity.resolve(kind).await? {
            let mut fetched = self.identity.fetch(self.source, self.record_type, &key, fields).await?;
            if key != *subject && identity::drop_others(&mut fetched, self.record_type, subject) {
                return Err(Failure::AMBIGUOUS_LINK);
            }
            merge(&mut found, fetched);
        }
        Ok(found)
    }
}

/// Adds the records that are not there yet. A row found under two numbers reads the same twice.
fn merge(merged: &mut Option<Fetched>, fetched: Fetched) {
    let Some(known) = merged else {
        *merged = Some(fetched);
        return;
    };
    for record in fetched.records {
        let encoded = record.message.encode_to_vec();
        if !known.records.iter().any(|other| other.message.encode_to_vec() == encoded) {
            known.records.push(record);
        }
    }
}
