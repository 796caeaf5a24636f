//! Asks all sources side by side, each for itself, and follows identity links where a register knows another number.

use std::sync::Arc;

use access::Permit;
use adapter_sdk::{Fetched, Grade, Key};
use futures::future::join_all;
use proto::{RecordType, options::v1::IdentifierKind};
use tokio::{sync::Mutex, time::Instant};

use crate::{
    error::Failure,
    sources::{Link, Source, Sources},
    values,
};

/// How one source answered one selection.
pub(crate) struct SourceAnswer {
    /// Position in the permit's selections.
    pub(crate) selection: usize,
    pub(crate) source: String,
    pub(crate) mapping_digest: String,
    pub(crate) result: Result<Fetched, Failure>,
}

/// A register consulted only to find another number of the subject.
pub(crate) struct LinkUse {
    pub(crate) source: String,
    pub(crate) record_type: String,
    pub(crate) mapping_digest: String,
    pub(crate) result: Result<bool, Failure>,
}

/// Everything that came back.
pub(crate) struct Gathered {
    pub(crate) answers: Vec<SourceAnswer>,
    pub(crate) links: Vec<LinkUse>,
    /// The subject's numbers: the one asked about, then those reached by links.
    pub(crate) keys: Vec<Key>,
}

/// Fetches what the permit releases, and nothing else, until the deadline.
pub(crate) async fn gather(sources: &Sources, permit: &Permit, subject: &Key, deadline: Instant) -> Gathered {
    let identity = Identity { sources, subject, deadline, found: Mutex::new(Vec::new()), uses: Mutex::new(Vec::new()) };
    let mut under_way = Vec::new();
    for (selection, decision) in permit.selections().iter().enumerate() {
        if decision.released.is_empty() {
            continue;
        }
        for &index in sources.holding(&decision.record_type) {
            let identity = &identity;
            under_way.push(async move {
                let source = sources.get(index);
                let fetch = Fetch { identity, index, record_type: &decision.record_type };
                SourceAnswer {
                    selection,
                    source: source.id().to_owned(),
                    mapping_digest: source.mapping_digest().to_owned(),
                    result: fetch.run(&decision.released).await,
                }
            });
        }
    }
    let answers = join_all(under_way).await;
    let mut keys = vec![subject.clone()];
    for (_, _, outcome) in identity.found.into_inner() {
        if let Ok(Some(key)) = outcome
            && !keys.contains(&key)
        {
            keys.push(key);
        }
    }
    Gathered { answers, links: identity.uses.into_inner(), keys }
}

struct Fetch<'a> {
    identity: &'a Identity<'a>,
    index: usize,
    record_type: &'a Arc<RecordType>,
}

impl Fetch<'_> {
    /// Looks the subject up by the number asked about if the register knows it, then by every other number that links
    /// reach, until one finds records.
    async fn run(&self, fields: &proto::FieldSet) -> Result<Fetched, Failure> {
        let identity = self.identity;
        let source = identity.sources.get(self.index);
        let mut kinds: Vec<_> = identity.sources.lookup_kinds(self.index, self.record_type).collect();
        kinds.sort_by_key(|kind| *kind != identity.subject.kind);
        let mut nothing = None;
        let mut failure = None;
        for kind in kinds {
            let key = match identity.resolve(kind).await {
                Ok(Some(key)) => key,
                Ok(None) => continue,
                Err(broken) => {
                    failure = Some(broken);
                    continue;
                }
            };
            let fetched = source.fetch(self.record_type, &key, fields, identity.deadline).await?;
            if !fetched.records.is_empty() {
                return Ok(fetched);
            }
            nothing = Some(fetched);
        }
        match (failure, nothing) {
            // A register that knows the number asked about and has nothing under it has answered; a further number that
            // could not be resolved leaves the answer open.
            (Some(broken), _) => Err(broken),
            (None, Some(fetched)) => Ok(fetched),
            (None, None) => Ok(Fetched { records: Vec::new(), retrieved_at: chrono::Utc::now() }),
        }
    }
}

type Resolved = Result<Option<Key>, Failure>;

/// The subject's numbers, resolved at most once each.
struct Identity<'a> {
    sources: &'a Sources,
    subject: &'a Key,
    deadline: Instant,
    found: Mutex<Vec<(IdentifierKind, usize, Resolved)>>,
    uses: Mutex<Vec<LinkUse>>,
}

impl Identity<'_> {
    /// The subject's number of this kind, if any register links to it. The lock is held while asking, so that selections
    /// that need the same link share one lookup.
    async fn resolve(&self, kind: IdentifierKind) -> Resolved {
        if kind == self.subject.kind {
            return Ok(Some(self.subject.clone()));
        }
        let mut found = self.found.lock().await;
        if let Some((_, _, resolved)) = found.iter().find(|(known, _, _)| *known == kind) {
            return resolved.clone();
        }
        let resolved = self.follow(kind).await;
        let order = found.len();
        found.push((kind, order, resolved.clone()));
        resolved
    }

    async fn follow(&self, kind: IdentifierKind) -> Resolved {
        let mut failure = None;
        for path in self.sources.paths(self.subject.kind, kind) {
            match self.walk(&path).await {
                Ok(Some(key)) => return Ok(Some(key)),
                Ok(None) => {}
                Err(broken) => failure = Some(broken),
            }
        }
        failure.map_or(Ok(None), Err)
    }

    async fn walk(&self, path: &[&Link]) -> Resolved {
        let mut key = self.subject.clone();
        for link in path {
            let source = self.sources.get(link.source);
            let stepped = step(source, link, &key, self.deadline).await;
            self.uses.lock().await.push(LinkUse {
                source: source.id().to_owned(),
                record_type: link.record_type.name.clone(),
                mapping_digest: source.mapping_digest().to_owned(),
                result: stepped.as_ref().map(Option::is_some).map_err(Clone::clone),
            });
            match stepped? {
                Some(next) => key = next,
                None => return Ok(None),
            }
        }
        Ok(Some(key))
    }
}

/// Reads one number from the records another number finds. A number its register marks as doubtful is not followed.
async fn step(source: &Source, link: &Link, key: &Key, deadline: Instant) -> Resolved {
    let mut fields = link.record_type.no_fields();
    fields.insert(link.field);
    let fetched = source.fetch(&link.record_type, key, &fields, deadline).await?;
    let mut found: Option<String> = None;
    for record in &fetched.records {
        let doubtful = record.marks.iter().any(|mark| mark.field == link.field && mark.grade > Grade::Repaired);
        let number = values::text(&record.message, &link.record_type.fields[link.field]);
        match (number, &found) {
            (Some(number), None) if !doubtful => found = Some(number),
            (Some(number), Some(first)) if !doubtful && number != *first => return Err(Failure::AMBIGUOUS_LINK),
            _ => {}
        }
    }
    Ok(found.map(|value| Key { kind: link.to, value }))
}
