//! Searching the log: what one can filter by, and pages of entries that fit.

use std::collections::{HashMap, VecDeque};

use prost_types::Timestamp;
use proto::audit::v1::entry::{self, Outcome};
use proto::audit::v1::{Entry, LoggedEntry, SubjectHash};

use crate::error::AuditError;
use crate::log::AuditLog;
use crate::store::LogId;
use crate::tree::{prefixed_hash, sha256};
use crate::view::LogView;

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
    /// SHA-256 of the caller's certificate, hex.
    pub certificate: Option<String>,
    /// The officer's id.
    pub officer: Option<String>,
    /// Purpose code.
    pub purpose: Option<String>,
    /// Dossier number.
    pub dossier_number: Option<String>,
    /// A subject: its hashes under every key there was ([`crate::SubjectHasher::hashes`]), of which an entry carries one.
    /// Empty: any.
    pub subjects: Vec<SubjectHash>,
    /// Full name of a record type that was asked for.
    pub record_type: Option<String>,
    /// A field that was asked for, by its path in its record.
    pub field: Option<String>,
    /// A source that was asked.
    pub source: Option<String>,
    /// Outcome of the call.
    pub outcome: Option<Outcome>,
    /// An agreement that was applied.
    pub agreement: Option<String>,
    /// An event of the hub, by its name.
    pub event: Option<String>,
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
    /// One page of the entries that fit the filter, of all logs of the store; `page_size` is held between 1 and
    /// [`PAGE_SIZE_MAX`]. Newest first: each log's entries by descending index, the logs merged by time.
    ///
    /// Pages are stable: entries written meanwhile do not shift them. Every entry committed before the call is found.
    pub async fn search(&self, filter: &Filter, page_size: usize, page_token: &str) -> Result<Page, AuditError> {
        self.search_logs(self.logs().await?, filter, page_size, page_token).await
    }

    /// As [`AuditLog::search`], of these logs, each as far as the checkpoint it is seen at.
    pub async fn search_logs(
        &self,
        logs: Vec<LogView>,
        filter: &Filter,
        page_size: usize,
        page_token: &str,
    ) -> Result<Page, AuditError> {
        let page_size = page_size.clamp(1, PAGE_SIZE_MAX);
        let terms = filter.terms();
        let times = TimeRange { from: filter.from, until: filter.until };
        let token = Token::new(&terms, &times);
        let ends = if page_token.is_empty() { None } else { Some(token.read(page_token)?) };
        let mut walks = Vec::new();
        for view in logs {
            let tree_size = view.checkpoint().tree_size;
            // A log begun after the first page is not in the token, and not in the search.
            let end = match &ends {
                None => tree_size,
                Some(ends) => ends.get(&view.id).copied().unwrap_or(0).min(tree_size),
            };
            // One more than the page tells whether there is another.
            let found = self.walk(&view, filter, &terms, &times, end, page_size + 1).await?;
            walks.push(Walk { log: view.id, end, found: found.into() });
        }
        let mut entries = Vec::new();
        while entries.len() < page_size
            && let Some(newest) = walks.iter_mut().max_by_key(|walk| walk.newest())
            && let Some(logged) = newest.found.pop_front()
        {
            newest.end = logged.log_index;
            entries.push(logged);
        }
        let more = walks.iter().any(|walk| !walk.found.is_empty());
        let next_page_token = if more { token.write(&walks) } else { String::new() };
        Ok(Page { entries, next_page_token })
    }

    /// The entries of one log below an index that fit, newest first, up to a number of them.
    async fn walk(
        &self,
        view: &LogView,
        filter: &Filter,
        terms: &Terms,
        times: &TimeRange,
        end: u64,
        count_max: usize,
    ) -> Result<Vec<LoggedEntry>, AuditError> {
        self.index.wait_for(view.id, end).await?;
        let mut range = 0..end;
        if !times.is_unbounded() {
            let window = self.index.window(view.id, times).await?;
            range = window.start..window.end.min(end);
        }
        let mut found: Vec<LoggedEntry> = Vec::new();
        while found.len() < count_max && !range.is_empty() {
            let wanted = (count_max - found.len()).max(CANDIDATE_COUNT_MIN);
            let candidates = self.index.candidates(view.id, terms, range.clone(), wanted).await?;
            let Some(lowest) = candidates.last() else { break };
            range.end = *lowest;
            let fits = |logged: &LoggedEntry| logged.entry.as_ref().is_some_and(|entry| filter.matches(entry));
            found.extend(view.entries(&candidates).await?.into_iter().rev().filter(fits));
        }
        found.truncate(count_max);
        Ok(found)
    }

    /// Throws the search index of this process's log away and builds it from the log. Reports entries read and entries to
    /// read; searches wait for it.
    pub async fn rebuild_index(&self, progress: impl FnMut(u64, u64)) -> Result<(), AuditError> {
        let own = self.own();
        self.index.rebuild(own.id, own.checkpoint().tree_size, progress).await
    }
}

/// What was found in one log and is not yet on the page.
struct Walk {
    log: LogId,
    /// The search goes on below this index.
    end: u64,
    found: VecDeque<LoggedEntry>,
}

impl Walk {
    /// Orders walks by the time of their next entry; one that is at its end comes last.
    fn newest(&self) -> Option<(i64, i32)> {
        let time = |logged: &LoggedEntry| logged.entry.as_ref().and_then(|entry| entry.time);
        self.found.front().map(|logged| time(logged).map_or((i64::MIN, 0), |time| (time.seconds, time.nanos)))
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
            && any_is(&self.certificate, caller.map(|caller| &caller.certificate_sha256))
            && any_is(&self.officer, entry.officer.as_ref().map(|officer| &officer.id))
            && any_is(&self.purpose, purpose.map(|purpose| &purpose.code))
            && any_is(&self.dossier_number, purpose.map(|purpose| &purpose.dossier_number))
            && (self.subjects.is_empty() || self.subjects.iter().any(|wanted| entry.subjects.contains(wanted)))
            && any_is(&self.record_type, entry.accesses.iter().map(|access| &access.record_type))
            && any_is(&self.field, entry.accesses.iter().flat_map(|access| &access.fields_asked))
            && any_is(&self.source, entry.sources.iter().map(|source| &source.source))
            && self.outcome.is_none_or(|wanted| entry.outcome == wanted as i32)
            && any_is(&self.event, event(entry))
            && any_is(&self.agreement, entry.accesses.iter().flat_map(|access| &access.agreements))
    }

    fn terms(&self) -> Terms {
        let text = |kind, value: &Option<String>| value.as_ref().map(|value| Term::new(kind, value.as_bytes()));
        let values = [
            text(Kind::Dossier, &self.dossier_number),
            text(Kind::Event, &self.event),
            text(Kind::Officer, &self.officer),
            text(Kind::Agreement, &self.agreement),
            text(Kind::Certificate, &self.certificate),
            text(Kind::System, &self.system),
            text(Kind::Agency, &self.agency),
            text(Kind::Purpose, &self.purpose),
            text(Kind::Source, &self.source),
            text(Kind::Field, &self.field),
            text(Kind::RecordType, &self.record_type),
            self.outcome.map(|outcome| outcome_term(outcome as i32)),
        ];
        let mut others = values.into_iter().flatten();
        let subjects: Vec<Term> = self.subjects.iter().map(subject_term).collect();
        let first = if subjects.is_empty() { vec![others.next().unwrap_or_else(any_term)] } else { subjects };
        Terms { first, others: others.collect() }
    }
}

/// The terms an entry must carry, those expected to be rarest first.
#[derive(Debug)]
pub(crate) struct Terms {
    /// One of these.
    pub(crate) first: Vec<Term>,
    /// All of these.
    pub(crate) others: Vec<Term>,
}

/// A value one can filter by, as the index stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Term(pub(crate) i64);

#[derive(Clone, Copy)]
enum Kind {
    Any = 0,
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
    Field = 11,
    Certificate = 12,
    Event = 13,
}

/// Most values one can filter by are shorter.
const TERM_SHORT: usize = 128;

impl Term {
    fn new(kind: Kind, value: &[u8]) -> Self {
        let hash = prefixed_hash::<TERM_SHORT>(kind as u8, value);
        Self(hash.iter().take(8).fold(0, |bits, byte| bits << 8 | i64::from(*byte)))
    }
}

/// The terms an entry can be found by. An agency is found by its own code and by those above it.
pub(crate) fn terms_of(entry: &Entry) -> Vec<Term> {
    let mut terms = vec![any_term(), outcome_term(entry.outcome)];
    let mut text = |kind, value: &str| terms.push(Term::new(kind, value.as_bytes()));
    if let Some(caller) = &entry.caller {
        text(Kind::System, &caller.system);
        text(Kind::Certificate, &caller.certificate_sha256);
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
        access.fields_asked.iter().for_each(|field| text(Kind::Field, field));
        access.agreements.iter().for_each(|agreement| text(Kind::Agreement, agreement));
    }
    if let Some(event) = event(entry) {
        text(Kind::Event, event);
    }
    entry.sources.iter().for_each(|source| text(Kind::Source, &source.source));
    terms.extend(entry.subjects.iter().map(subject_term));
    terms.sort_unstable();
    terms.dedup();
    terms
}

/// The name of an event of the hub.
fn event(entry: &Entry) -> Option<&String> {
    let details = entry.details.iter().filter(|_| entry.kind() == entry::Kind::HubEvent);
    details.filter(|detail| detail.name == "event").map(|detail| &detail.value).next()
}

fn subject_term(subject: &SubjectHash) -> Term {
    let parts = [&subject.kind.to_be_bytes(), subject.key_id.as_bytes(), b":", &subject.hash];
    Term::new(Kind::Subject, &parts.concat())
}

/// Carried by every entry whose body is there.
fn any_term() -> Term {
    Term::new(Kind::Any, &[])
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

/// Page tokens of one search: below which index it goes on in each log, and which search it was.
struct Token {
    search: String,
}

impl Token {
    fn new(terms: &Terms, times: &TimeRange) -> Self {
        let search = format!("{terms:?} {:?} {:?}", times.from, times.until);
        Self { search: hex::encode(&sha256(search.as_bytes())[..6]) }
    }

    fn write(&self, walks: &[Walk]) -> String {
        let ends: Vec<String> = walks.iter().map(|walk| format!("{}:{}", walk.log, walk.end)).collect();
        format!("{}-{}", ends.join("."), self.search)
    }

    fn read(&self, token: &str) -> Result<HashMap<LogId, u64>, AuditError> {
        let end = |text: &str| {
            let (log, end) = text.split_once(':')?;
            Some((log.parse().ok()?, end.parse().ok()?))
        };
        let (ends, search) = token.split_once('-').ok_or(AuditError::PageToken)?;
        if search != self.search {
            return Err(AuditError::PageToken);
        }
        ends.split('.').map(end).collect::<Option<_>>().ok_or(AuditError::PageToken)
    }
}

#[cfg(test)]
mod tests;
