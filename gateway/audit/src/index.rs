//! The search index: it lies beside the log, follows it, and can be thrown away.
//!
//! An entry is found by *terms*, one for each value one can filter by. A term is stored as the first 64 bits of a hash,
//! so the index holds no value of an entry. Two values that share a term do no harm: whoever searches checks each
//! candidate against its entry. The index is written by its own task after the entry is durable, so that appending never
//! waits for it; searching waits until the index has read what was in the log when the search began.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use proto::audit::v1::Entry;
use sqlx::QueryBuilder;
use tokio::sync::watch;

use crate::error::AuditError;
use crate::note::Checkpoint;
use crate::search::{self, Term, Terms, TimeRange};
use crate::store::{Location, LogId, Readers};
use crate::tree::{self, Hash};

pub(crate) mod postgres;
mod sqlite;

/// Changes whenever the terms or the tables do; an index of another version is made anew.
const VERSION: i64 = 2;
/// Entries read and written at a time.
const CHUNK: u64 = 512;
/// Entries whose earliest and latest time are kept together.
const BLOCK: u64 = 4096;
/// Longest wait of a search for the index.
const CATCH_UP: Duration = Duration::from_secs(10);
/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// The index as searches see it.
#[derive(Debug)]
pub(crate) enum Index {
    Sqlite(sqlite::Index),
    Postgres(postgres::Index),
}

/// The task that keeps the index up with the log.
pub(crate) enum Indexer {
    Sqlite(sqlite::Indexer),
    Postgres(postgres::Indexer),
}

/// What is left of a task that has stopped.
#[derive(Debug)]
pub(crate) enum Stopped {
    Sqlite(sqlx::SqliteConnection),
    Postgres,
}

impl Index {
    /// Opens the index of the log at a place; makes it anew if it is missing, damaged, or not of this log.
    pub(crate) async fn open(
        location: &Location,
        log: &Readers,
        newest: watch::Receiver<Arc<Checkpoint>>,
    ) -> Result<(Self, Indexer), AuditError> {
        match (location, log) {
            (Location::File(path), _) => {
                let (index, indexer) = sqlite::Index::open(path, log.clone(), newest).await?;
                Ok((Self::Sqlite(index), Indexer::Sqlite(indexer)))
            }
            (Location::Postgres(options), log) => {
                let (index, indexer) = postgres::Index::open(options, log.clone(), newest);
                Ok((Self::Postgres(index), Indexer::Postgres(indexer)))
            }
        }
    }

    /// Waits until the first `tree_size` entries of a log are indexed.
    pub(crate) async fn wait_for(&self, log: LogId, tree_size: u64) -> Result<(), AuditError> {
        match self {
            Self::Sqlite(index) => index.wait_for(tree_size).await,
            Self::Postgres(index) => index.wait_for(log, tree_size).await,
        }
    }

    /// The range of indices outside which no entry has a time in the range.
    pub(crate) async fn window(&self, log: LogId, times: &TimeRange) -> Result<Range<u64>, AuditError> {
        let blocks = match self {
            Self::Sqlite(index) => index.blocks(times).await?,
            Self::Postgres(index) => index.blocks(log, times).await?,
        };
        match blocks {
            (Some(first), Some(last)) => Ok(first as u64 * BLOCK..(last as u64 + 1) * BLOCK),
            _ => Ok(0..0),
        }
    }

    /// Indices in the range that carry the terms, newest first. The first term is walked, the others are looked up.
    pub(crate) async fn candidates(
        &self,
        log: LogId,
        terms: &Terms,
        range: Range<u64>,
        count_max: usize,
    ) -> Result<Vec<u64>, AuditError> {
        if terms.first.is_empty() {
            return Ok(range.rev().take(count_max).collect());
        }
        let indices = match self {
            Self::Sqlite(index) => index.candidates(terms, range, count_max).await?,
            Self::Postgres(index) => index.candidates(log, terms, range, count_max).await?,
        };
        Ok(indices.into_iter().map(|index| index as u64).collect())
    }

    /// Throws the index of a log away and reads the log again. Reports entries read and entries to read.
    pub(crate) async fn rebuild(
        &self,
        log: LogId,
        tree_size: u64,
        progress: impl FnMut(u64, u64),
    ) -> Result<(), AuditError> {
        match self {
            Self::Sqlite(index) => index.rebuild(tree_size, progress).await,
            Self::Postgres(index) => index.rebuild(log, tree_size, progress).await,
        }
    }

    /// Closes what the index holds open; its task has stopped.
    pub(crate) async fn close(&self, stopped: Stopped) {
        match (self, stopped) {
            (Self::Sqlite(index), Stopped::Sqlite(connection)) => index.close(connection).await,
            (Self::Postgres(index), _) => index.close().await,
            (Self::Sqlite(_), Stopped::Postgres) => {}
        }
    }
}

/// `IN (…)` of the terms, one of which an entry must carry.
fn one_of<D: sqlx::Database>(query: &mut QueryBuilder<D>, terms: &[Term])
where
    i64: sqlx::Type<D> + for<'q> sqlx::Encode<'q, D>,
{
    query.push(" IN (");
    let mut list = query.separated(", ");
    for term in terms {
        list.push_bind(term.0);
    }
    query.push(")");
}

impl Indexer {
    /// Follows the log until it is closed, and then to its end.
    pub(crate) async fn run(self) -> Stopped {
        match self {
            Self::Sqlite(indexer) => Stopped::Sqlite(indexer.run().await),
            Self::Postgres(indexer) => {
                indexer.run().await;
                Stopped::Postgres
            }
        }
    }
}

/// What some entries add to the index.
struct Additions {
    /// Terms and the indices that carry them, ascending.
    postings: Vec<(i64, u64)>,
    /// Earliest and latest time by block, in microseconds.
    blocks: BTreeMap<u64, (i64, i64)>,
    /// Leaf hash of the last entry.
    last_leaf: Hash,
}

impl Additions {
    fn of(entries: &[(u64, Vec<u8>)]) -> Self {
        let mut additions = Self { postings: Vec::new(), blocks: BTreeMap::new(), last_leaf: tree::empty_root() };
        for (log_index, bytes) in entries {
            additions.last_leaf = tree::leaf_hash(bytes);
            // An entry that cannot be read cannot be found; saying so is the verifier's part.
            let Ok(entry) = Entry::decode(bytes.as_slice()) else { continue };
            additions.postings.extend(search::terms_of(&entry).into_iter().map(|term| (term.0, *log_index)));
            if let Some(time) = &entry.time {
                let micros = search::micros(time);
                let block = additions.blocks.entry(log_index / BLOCK).or_insert((micros, micros));
                *block = (block.0.min(micros), block.1.max(micros));
            }
        }
        additions.postings.sort_unstable();
        additions
    }
}
