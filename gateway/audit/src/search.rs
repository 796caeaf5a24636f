//! Searching the log: what one can filter by, and pages of entries that fit.

use prost_types::Timestamp;
use proto::audit::v1::entry::Outcome;
use proto::audit::v1::{Entry, LoggedEntry, SubjectHash};

use crate::error::AuditError;
use crate::log::AuditLog;
use crate::tree::sha256;

/// Entries on a page at most.
pub const PAGE_SIZE_MAX: usize = 1000;
/// Candidates read at a time at least, so that few round trips are spent on those that do not fit.
const CANDIDATE_COUNT_MIN: usize = 64;

/// What entries to find: all given conditions must hold. The empty filter finds every entry.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// The caller's agency, or one above it.
    pub agency: Option<String>,
    /// The caller's system.
    pub system: Option<String>,
    /// The officer's id.
    pub officer: Option<String>,
    /// Purpose code.
    pub purpose: Option<String>,
    /// Dossier number.
    pub dossier_number: Option<String>,
    /// A subject, hashed by [`crate::SubjectHasher`].
    pub subject: Option<SubjectHash>,
    /// Full name of a record type that was asked for.
    pub record_type: Option<String>,
    /// A source that was asked.
    pub source: Option<String>,
    /// Outcome of the call.
    pub outcome: Option<Outcome>,
    /// An agreement that was applied.
    pub agreement: Option<String>,
}

/// One page of what was found, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The entries.
    pub entries: Vec<LoggedEntry>,
    /// Asks for the next page; empty on the last.
    pub next_page_token: String,
}

impl AuditLog {
    /// One page of the entries that fit the filter, newest first; `page_size` is held between 1 and [`PAGE_SIZE_MAX`].
    ///
    /// Pages are stable: entries written meanwhile do not shift them. Every entry committed before the call is found.
    pub async fn search(&self, filter: &Filter, page_size: usize, page_token: &str) -> Result<Page, AuditError> {
        let page_size = page_size.clamp(1, PAGE_SIZE_MAX);
        let tree_size = self.checkpoint().tree_size;
        let terms = filter.terms();
        let times = TimeRange { from: filter.from, until: filter.until };
        let token = Token::new(&terms, &times);
        let end = if page_token.is_empty() { tree_size } else { token.read(page_token)?.min(tree_size) };

        self.index.wait_for(tree_size).await?;
        let mut range = 0..end;
        if !times.is_unbounded() {
            let window = self.index.window(&times).await?;
            range = window.start..window.end.min(end);
        }
        // One more than the page tells whether there is another.
        let mut found: Vec<LoggedEntry> = Vec::new();
        while found.len() <= page_size && !range.is_empty() {
            let wanted = (page_size + 1 - found.len()).max(CANDIDATE_COUNT_MIN);
            let candidates = self.index.candidates(&terms, range.clone(), wanted).await?;
            let Some(lowest) = candidates.last() else { break };
            range.end = *lowest;
            let fits = |logged: &LoggedEntry| logged.entry.as_ref().is_some_and(|entry| filter.matches(entry));
            found.extend(self.entries(&candidates).await?.into_iter().rev().filter(fits));
        }
        let more = found.len() > page_size;
        found.truncate(page_size);
        let last = found.last().filter(|_| more);
        Ok(Page {
            next_page_token: last.map(|logged| token.write(logged.log_index)).unwrap_or_default(),
            entries: found,
        })
    }

    /// Throws the search index away and builds it from the log. Reports entries read and entries to read; searches
    /// wait for it.
    pub async fn rebuild_index(&self, progress: impl FnMut(u64, u64)) -> Result<(), AuditError> {
        self.index.rebuild(self.checkpoint().tree_size, progress).await
    }
}

impl Filter {
    /// True if the entry fits.
    pub fn matches(&self, entry: &Entry) -> bool {
        let caller = entry.caller.as_ref();
        let purpose = entry.purpose.as_ref();
        let times = TimeRange { from: self.from, until: self.until };
        times.contains(entry.time.as_ref())
            && self.agency.as_ref().is_none_or(|wanted| caller.is_some_and(|caller| is_within(&caller.agency, wanted)))
            && any_is(&self.system, caller.map(|caller| &caller.system))
            && any_is(&self.officer, entry.officer.as_ref().map(|officer| &officer.id))
            && any_is(&self.purpose, purpose.map(|purpose| &purpose.code))
            && any_is(&self.dossier_number, purpose.map(|purpose| &purpose.dossier_number))
            && self.subject.as_ref().is_none_or(|wanted| entry.subjects.contains(wanted))
            && any_is(&self.record_type, entry.accesses.iter().map(|access| &access.record_type))
            && any_is(&self.source, entry.sources.iter().map(|source| &source.source))
            && self.outcome.is_none_or(|wanted| entry.outcome == wanted as i32)
            && any_is(&self.agreement, entry.accesses.iter().flat_map(|access| &access.agreements))
    }

    /// The terms an entry must carry, those expected to be rarest first.
    fn terms(&self) -> Vec<Term> {
        let text = |kind, value: &Option<String>| value.as_ref().map(|value| Term::new(kind, value.as_bytes()));
        [
            self.subject.as_ref().map(subject_term),
            text(Kind::Dossier, &self.dossier_number),
            text(Kind::Officer, &self.officer),
            text(Kind::Agreement, &self.agreement),
            text(Kind::System, &self.system),
            text(Kind::Agency, &self.agency),
            text(Kind::Purpose, &self.purpose),
            text(Kind::Source, &self.source),
            text(Kind::RecordType, &self.record_type),
            self.outcome.map(|outcome| outcome_term(outcome as i32)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// A value one can filter by, as the index stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Term(pub(crate) i64);

#[derive(Clone, Copy)]
enum Kind {
    Agency = 1,
    System = 2,
    Officer = 3,
    Purpose = 4,
    Dossier = 5,
    Subject = 6,
    RecordType = 7,
    Source = 8,
    Outcome = 9,
    Agreement = 10,
}

impl Term {
    fn new(kind: Kind, value: &[u8]) -> Self {
        let hash = sha256(&[&[kind as u8], value].concat());
        Self(hash.iter().take(8).fold(0, |bits, byte| bits << 8 | i64::from(*byte)))
    }
}

/// The terms an entry can be found by. An agency is found by its own code and by those above it.
pub(crate) fn terms_of(entry: &Entry) -> Vec<Term> {
    let mut terms = vec![outcome_term(entry.outcome)];
    let mut text = |kind, value: &str| terms.push(Term::new(kind, value.as_bytes()));
    if let Some(caller) = &entry.caller {
        text(Kind::System, &caller.system);
        text(Kind::Agency, &caller.agency);
        for (dot, _) in caller.agency.match_indices('.') {
            text(Kind::Agency, &caller.agency[..dot]);
        }
    }
    if let Some(officer) = &entry.officer {
        text(Kind::Officer, &officer.id);
    }
    if let Some(purpose) = &entry.purpose {
        text(Kind::Purpose, &purpose.code);
        text(Kind::Dossier, &purpose.dossier_number);
    }
    for access in &entry.accesses {
        text(Kind::RecordType, &access.record_type);
        access.agreements.iter().for_each(|agreement| text(Kind::Agreement, agreement));
    }
    entry.sources.iter().for_each(|source| text(Kind::Source, &source.source));
    terms.extend(entry.subjects.iter().map(subject_term));
    terms.sort_unstable();
    terms.dedup();
    terms
}

fn subject_term(subject: &SubjectHash) -> Term {
    let parts = [&subject.kind.to_be_bytes(), subject.key_id.as_bytes(), b":", &subject.hash];
    Term::new(Kind::Subject, &parts.concat())
}

fn outcome_term(outcome: i32) -> Term {
    Term::new(Kind::Outcome, &outcome.to_be_bytes())
}

/// True if nothing is wanted, or what is wanted is among what was found.
fn any_is<'a>(wanted: &Option<String>, found: impl IntoIterator<Item = &'a String>) -> bool {
    wanted.as_ref().is_none_or(|wanted| found.into_iter().any(|value| value == wanted))
}

/// True if the agency is the one wanted or below it.
fn is_within(agency: &str, wanted: &str) -> bool {
    agency.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A half-open range of time; either end may be open.
pub(crate) struct TimeRange {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl TimeRange {
    fn is_unbounded(&self) -> bool {
        self.from.is_none() && self.until.is_none()
    }

    fn contains(&self, time: Option<&Timestamp>) -> bool {
        let order = |time: &Timestamp| (time.seconds, time.nanos);
        let Some(time) = time else { return self.is_unbounded() };
        self.from.as_ref().is_none_or(|from| order(from) <= order(time))
            && self.until.as_ref().is_none_or(|until| order(time) < order(until))
    }

    /// No time in the range is earlier, in microseconds.
    pub(crate) fn earliest_micros(&self) -> i64 {
        self.from.as_ref().map_or(i64::MIN, micros)
    }

    /// No time in the range is later, in microseconds.
    pub(crate) fn latest_micros(&self) -> i64 {
        self.until.as_ref().map_or(i64::MAX, micros)
    }
}

/// Microseconds since 1970, rounded down.
pub(crate) fn micros(time: &Timestamp) -> i64 {
    time.seconds.saturating_mul(1_000_000).saturating_add(i64::from(time.nanos.div_euclid(1000)))
}

/// Page tokens of one search: the index of the last entry of a page, and which search it was.
struct Token {
    search: String,
}

impl Token {
    fn new(terms: &[Term], times: &TimeRange) -> Self {
        let search = format!("{terms:?} {:?} {:?}", times.from, times.until);
        Self { search: hex::encode(&sha256(search.as_bytes())[..6]) }
    }

    fn write(&self, log_index: u64) -> String {
        format!("{log_index}-{}", self.search)
    }

    fn read(&self, token: &str) -> Result<u64, AuditError> {
        let (log_index, search) = token.split_once('-').ok_or(AuditError::PageToken)?;
        if search != self.search {
            return Err(AuditError::PageToken);
        }
        log_index.parse().map_err(|_| AuditError::PageToken)
    }
}

#[cfg(test)]
mod tests;
