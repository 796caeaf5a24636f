//! The numbers of one subject: which kinds belong together, how registers link them, and whose record a record is.
//!
//! A link is followed only from and to numbers that name a record's own subject. Where a number leads to several people,
//! nothing found by it is released.

use std::{collections::BTreeMap, sync::Arc};

use adapter_sdk::{Fetched, FetchedRecord, Grade, Key};
use proto::{FieldSet, RecordType, options::v1::IdentifierKind};
use tokio::{
    sync::{Mutex, OnceCell},
    time::Instant,
};

use crate::{
    error::Failure,
    source::{Asker, Source},
    sources::{Link, Sources},
    values,
};

/// A register consulted only to find another number of the subject.
pub(crate) struct LinkUse {
    pub(crate) source: String,
    pub(crate) record_type: String,
    pub(crate) mapping_digest: String,
    pub(crate) result: Result<usize, Failure>,
}

type Resolved = Result<Vec<Key>, Failure>;

/// The subject's numbers, each kind resolved at most once and only when somebody needs it.
pub(crate) struct Identity<'a> {
    sources: &'a Sources,
    asker: &'a Asker,
    subject: &'a Key,
    deadline: Instant,
    kinds: BTreeMap<i32, OnceCell<Resolved>>,
    uses: Mutex<Vec<LinkUse>>,
}

impl<'a> Identity<'a> {
    pub(crate) fn new(sources: &'a Sources, asker: &'a Asker, subject: &'a Key, deadline: Instant) -> Self {
        let kinds = sources.link_kinds().map(|kind| (kind as i32, OnceCell::new())).collect();
        Self { sources, asker, subject, deadline, kinds, uses: Mutex::default() }
    }

    pub(crate) fn subject(&self) -> &Key {
        self.subject
    }

    /// Asks a source on behalf of whoever asks about the subject.
    pub(crate) async fn fetch(
        &self,
        source: &Source,
        record_type: &Arc<RecordType>,
        key: &Key,
        fields: &FieldSet,
    ) -> Result<Fetched, Failure> {
        source.fetch(self.asker, record_type, key, fields, self.deadline).await
    }

    /// The subject's numbers of this kind that registers link to; none when no register does.
    pub(crate) async fn resolve(&self, kind: IdentifierKind) -> Resolved {
        if kind == self.subject.kind {
            return Ok(vec![self.subject.clone()]);
        }
        match self.kinds.get(&(kind as i32)) {
            Some(cell) => cell.get_or_init(|| self.follow(kind)).await.clone(),
            None => Ok(Vec::new()),
        }
    }

    /// The subject's numbers as far as they have been resolved, the one asked about first; and the registers consulted.
    pub(crate) fn into_parts(self) -> (Vec<Key>, Vec<LinkUse>) {
        let mut keys = vec![self.subject.clone()];
        for resolved in self.kinds.into_values().filter_map(OnceCell::into_inner).flatten() {
            keys.extend(resolved);
        }
        keys.dedup();
        (keys, self.uses.into_inner())
    }

    /// Tries the chains of links in turn, the shortest and most authoritative first, each with half of the time left.
    async fn follow(&self, kind: IdentifierKind) -> Resolved {
        let paths = self.sources.paths(self.subject.kind, kind);
        let mut failure = None;
        for (at, path) in paths.iter().enumerate() {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let deadline = if at + 1 == paths.len() { self.deadline } else { Instant::now() + left / 2 };
            match self.walk(path, deadline).await {
                Ok(keys) if !keys.is_empty() => return Ok(keys),
                Ok(_) => {}
                // A number of several people is no number to go on with, whatever other registers say.
                Err(broken) if broken.is_ambiguous() => return Err(broken),
                Err(broken) => failure = Some(broken),
            }
        }
        failure.map_or(Ok(Vec::new()), Err)
    }

    async fn walk(&self, path: &[&Link], deadline: Instant) -> Resolved {
        let mut keys = vec![self.subject.clone()];
        for link in path {
            let source = self.sources.at(link.source);
            let mut next = Vec::new();
            for key in &keys {
                let stepped = step(self.asker, source, link, key, deadline).await;
                self.uses.lock().await.push(LinkUse {
                    source: source.id().to_owned(),
                    record_type: link.record_type.name.clone(),
                    mapping_digest: source.mapping_digest().to_owned(),
                    result: stepped.as_ref().map(Vec::len).map_err(Clone::clone),
                });
                next.extend(stepped.map_err(|failure| failure.of_link(source.id()))?);
            }
            next.dedup();
            keys = next;
        }
        Ok(keys)
    }
}

/// Reads the numbers that the records under another number state. Several personal numbers under one number mean several
/// people. A number people may share (an old card's, mistyped) is looked up again: it must lead back to nobody else.
async fn step(asker: &Asker, source: &Source, link: &Link, key: &Key, deadline: Instant) -> Resolved {
    let mut fields = link.record_type.no_fields();
    fields.insert(link.to_field);
    fields.insert(link.from_field);
    let fetched = source.fetch(asker, &link.record_type, key, &fields, deadline).await?;
    let mut found: Vec<Key> = Vec::new();
    for record in &fetched.records {
        let (number, doubtful) = stated(record, &link.record_type, link.to_field);
        let Some(value) = number else { continue };
        let next = Key { kind: link.to, value };
        let elsewhere = link.to == IdentifierKind::PersonalId && found.iter().any(|first| *first != next);
        if elsewhere {
            return Err(Failure::AMBIGUOUS_LINK);
        }
        if !doubtful && !found.contains(&next) {
            found.push(next);
        }
    }
    for next in &found {
        if source.finds(&link.record_type, link.to) {
            let back = source.fetch(asker, &link.record_type, next, &fields, deadline).await?;
            if back.records.iter().any(|record| states_another(record, &link.record_type, link.from_field, key)) {
                return Err(Failure::AMBIGUOUS_LINK);
            }
        }
    }
    Ok(found)
}

/// The number a record states in a field, and whether its register doubts it.
fn stated(record: &FetchedRecord, record_type: &RecordType, field: usize) -> (Option<String>, bool) {
    let doubtful = record.marks.iter().any(|mark| mark.field == field && mark.grade > Grade::Repaired);
    (record_type.fields.get(field).and_then(|field| values::text(&record.message, field)), doubtful)
}

fn states_another(record: &FetchedRecord, record_type: &RecordType, field: usize, key: &Key) -> bool {
    let (number, doubtful) = stated(record, record_type, field);
    !doubtful && number.is_some_and(|number| number != key.value)
}

/// The fields of a record type that name its own subject by a kind of number.
fn naming_fields(record_type: &RecordType, kind: IdentifierKind) -> FieldSet {
    let mut fields = record_type.no_fields();
    for (index, field) in record_type.fields.iter().enumerate() {
        if field.identifies == Some(kind) && !field.repeated {
            fields.insert(index);
        }
    }
    fields
}

/// What must be read of a record found by another number than the one asked about, to see whose it is.
pub(crate) fn with_naming_fields(record_type: &Arc<RecordType>, fields: &FieldSet, subject: &Key) -> FieldSet {
    let mut all = fields.clone();
    all.union_with(&naming_fields(record_type, subject.kind));
    all
}

/// Drops the records that name another subject than the one asked about; says whether there were any.
pub(crate) fn drop_others(fetched: &mut Fetched, record_type: &RecordType, subject: &Key) -> bool {
    let before = fetched.records.len();
    let naming = naming_fields(record_type, subject.kind);
    fetched.records.retain(|record| !naming.iter().any(|field| states_another(record, record_type, field, subject)));
    fetched.records.len() < before
}
