//! The search index: it lies beside the log, follows it, and can be thrown away.
//!
//! An entry is found by *terms*, one for each value one can filter by. A term is stored as some bits of a hash, so the
//! index holds no value of an entry. Two values that share these bits do no harm: whoever searches checks each candidate
//! against its entry. The index is written by its own task after the entry is durable, so that appending never waits for
//! it; searching waits until the index has read what was in the log when the search began.
//!
//! The log is indexed in blocks of consecutive entries. A full block is written once ([`block`]); the last, not yet full
//! one is in memory only, and read again from the log after a start. So the index grows at its end only, however rare
//! the terms are, and a search looks up a few values for each block.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::error::AuditError;
use crate::note::Checkpoint;
use crate::search::{Terms, TimeRange};
use crate::store::{Location, LogId, Readers};
use crate::tree::Hash;
use block::{BUCKETS, Block, Malformed, Spans, bucket};

mod block;
pub(crate) mod postgres;
mod sqlite;

/// Changes whenever the terms or the tables do; an index of another version is made anew.
const VERSION: i64 = 3;
/// Entries read at a time.
const CHUNK: u64 = 128;
/// Entries taken in at a time; whoever waits for the same thread of the runtime waits no longer than that takes.
const STEP: usize = 4;
/// Blocks looked at together: at first, and at most.
const BLOCKS_MIN: u64 = 8;
const BLOCKS_MAX: u64 = 256;
/// Longest wait of a search for the index.
const CATCH_UP: Duration = Duration::from_secs(10);
/// Pause between two times the index follows the log by itself: reading each entry right after its commit would take time and the
/// disk from the next commit. A search reads what is missing and waits for none of this.
const PAUSE: Duration = Duration::from_millis(50);
/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// The index as searches see it, and as the task that keeps it up with the log.
#[derive(Debug)]
pub(crate) struct Index {
    tables: Tables,
    log: Readers,
    block_size: u64,
    tails: Mutex<HashMap<LogId, Tail>>,
    hurry: Notify,
}

/// The block of a log that is not yet full; none until it is asked for.
type Tail = Arc<tokio::sync::Mutex<Option<Block>>>;

/// Where full blocks are stored.
#[derive(Debug)]
enum Tables {
    Sqlite(sqlite::Tables),
    Postgres(postgres::Tables),
}

/// A full block as it is stored.
struct Stored {
    number: u64,
    buckets: Vec<(u64, Vec<u8>)>,
    spans: Spans,
    /// Leaf hash of the last entry: tells another log's index.
    last_leaf: Hash,
}

impl Index {
    /// Opens the index of the log at a place; makes it anew if it is missing, damaged, or not of this log.
    pub(crate) async fn open(
        location: &Location,
        log: &Readers,
        tree_size: u64,
        block_size: u64,
    ) -> Result<Self, AuditError> {
        let block_size = block_size.clamp(1, 1 << 16);
        let tables = match location {
            Location::File(path) => Tables::Sqlite(sqlite::Tables::open(path, log, tree_size, block_size).await?),
            Location::Postgres(options) => Tables::Postgres(postgres::Tables::open(options, block_size)),
        };
        Ok(Self { tables, log: log.clone(), block_size, tails: Mutex::default(), hurry: Notify::new() })
    }

    /// Follows this process's log until it is closed, and then to its end.
    pub(crate) async fn follow(self: Arc<Self>, mut newest: watch::Receiver<Arc<Checkpoint>>) {
        let mut closing = false;
        loop {
            let tree_size = newest.borrow_and_update().tree_size;
            if let Err(error) = self.catch_up(self.log.log_id(), tree_size, |_| {}).await {
                tracing::warn!(error = %error, "search index not written");
                if closing {
                    return;
                }
                tokio::time::sleep(RETRY).await;
                continue;
            }
            if closing {
                return;
            }
            closing = newest.changed().await.is_err();
            if !closing {
                // Ends early when the log is closed, and either way what there is is read next.
                let _ = tokio::time::timeout(PAUSE, self.hurry.notified()).await;
            }
        }
    }

    /// Ends the pause of [`Self::follow`]: the log is being closed.
    pub(crate) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Waits until the first `tree_size` entries of a log are indexed.
    pub(crate) async fn wait_for(&self, log: LogId, tree_size: u64) -> Result<(), AuditError> {
        let mut indexed = 0;
        let caught_up = tokio::time::timeout(CATCH_UP, self.catch_up(log, tree_size, |end| indexed = end)).await;
        caught_up.unwrap_or(Err(AuditError::IndexBehind { indexed, tree_size }))
    }

    /// Reads the log up to a size, and writes the blocks that are full. Reports how far it has come.
    async fn catch_up(&self, log: LogId, tree_size: u64, progress: impl FnMut(u64)) -> Result<(), AuditError> {
        let tail = self.tail(log);
        let mut tail = tail.lock().await;
        self.catch_up_from(&mut tail, log, tree_size, progress).await
    }

    async fn catch_up_from(
        &self,
        tail: &mut Option<Block>,
        log: LogId,
        tree_size: u64,
        mut progress: impl FnMut(u64),
    ) -> Result<(), AuditError> {
        let written = self.block_count(log).await?;
        // Another process has written further, or has begun anew.
        let behind = |tail: &Block| written < tail.number || (written > tail.number && tree_size > tail.limit());
        let block = match tail.take() {
            Some(block) if !behind(&block) => tail.insert(block),
            _ => tail.insert(Block::new(written, self.block_size)),
        };
        let readers = self.log.of(log);
        while block.end() < tree_size || block.is_full() {
            if block.is_full() {
                self.write(log, block, false).await?;
                *block = Block::new(block.number + 1, self.block_size);
                continue;
            }
            let end = tree_size.min(block.end() + CHUNK).min(block.limit());
            let entries = readers.acquire().await?.session().entries_within(&(block.end()..end)).await?;
            for step in entries.iter().collect::<Vec<_>>().chunks(STEP) {
                block.add(step);
                tokio::task::yield_now().await;
            }
            block.read_to(end);
            progress(end);
        }
        Ok(())
    }

    /// Stores a full block. With `replace`, in the place of what was stored for it.
    async fn write(&self, log: LogId, block: &Block, replace: bool) -> Result<(), AuditError> {
        let last = self.log.of(log).acquire().await?.session().subtree_hashes(&[(0, block.limit() - 1)]).await?;
        let last_leaf = last.first().copied().unwrap_or_default();
        let buckets = block.buckets().into_iter().map(|(bucket, bytes)| (block.number * BUCKETS + bucket, bytes));
        let stored =
            Stored { number: block.number, buckets: buckets.collect(), spans: block.spans().clone(), last_leaf };
        match &self.tables {
            Tables::Sqlite(tables) => Ok(tables.write(&stored, replace).await?),
            Tables::Postgres(tables) => Ok(tables.write(log, &stored, replace).await?),
        }
    }

    /// The range of indices outside which no entry has a time in the range.
    pub(crate) async fn window(&self, log: LogId, times: &TimeRange) -> Result<Range<u64>, AuditError> {
        let (earliest, latest) = (times.earliest_micros(), times.latest_micros());
        let ends = match &self.tables {
            Tables::Sqlite(tables) => tables.ends(earliest, latest).await?,
            Tables::Postgres(tables) => tables.ends(log, earliest, latest).await?,
        };
        let mut window: Option<Range<u64>> = None;
        let mut widen = |number: u64, spans: &Spans| {
            let Some(places) = spans.within(earliest, latest) else { return };
            let start = number * self.block_size;
            let range = start + places.start..start + places.end.min(self.block_size);
            window = Some(match &window {
                Some(known) => known.start.min(range.start)..known.end.max(range.end),
                None => range,
            });
        };
        for (number, spans) in ends {
            widen(number as u64, &Spans::from_bytes(&spans).map_err(|Malformed| AuditError::IndexDamaged)?);
        }
        if let Some(tail) = self.tail(log).lock().await.as_ref() {
            widen(tail.number, tail.spans());
        }
        Ok(window.unwrap_or(0..0))
    }

    /// Indices in the range that carry the terms, newest first.
    pub(crate) async fn candidates(
        &self,
        log: LogId,
        terms: &Terms,
        range: Range<u64>,
        count_max: usize,
    ) -> Result<Vec<u64>, AuditError> {
        let mut found = Vec::new();
        let mut end = range.end;
        if let Some(tail) = self.tail(log).lock().await.as_ref().filter(|tail| tail.start() < range.end) {
            let places = tail.places(terms).into_iter().rev();
            let indices = places.map(|place| tail.start() + u64::from(place));
            found.extend(indices.filter(|index| range.contains(index)).take(count_max));
            end = tail.start();
        }
        let mut count = BLOCKS_MIN;
        while found.len() < count_max && range.start < end {
            let last = (end - 1) / self.block_size;
            let first = (range.start / self.block_size).max((last + 1).saturating_sub(count));
            let mut blocks = self.blocks(log, terms, first..last + 1).await?;
            for number in (first..=last).rev() {
                let Some(stored) = blocks.remove(&number) else { continue };
                let buckets = stored.iter().map(|(bucket, bytes)| (*bucket, bytes.as_slice())).collect();
                let places =
                    block::places(&buckets, self.block_size, terms).map_err(|Malformed| AuditError::IndexDamaged)?;
                let indices = places.into_iter().rev().map(|place| number * self.block_size + u64::from(place));
                let wanted = count_max - found.len();
                found.extend(indices.filter(|index| range.contains(index)).take(wanted));
            }
            end = first * self.block_size;
            count = (2 * count).min(BLOCKS_MAX);
        }
        Ok(found)
    }

    /// The stored buckets of these terms, by block and bucket.
    async fn blocks(
        &self,
        log: LogId,
        terms: &Terms,
        blocks: Range<u64>,
    ) -> Result<HashMap<u64, BTreeMap<u64, Vec<u8>>>, sqlx::Error> {
        let mut buckets: Vec<u64> = terms.first.iter().chain(&terms.others).map(|term| bucket(*term)).collect();
        buckets.sort_unstable();
        buckets.dedup();
        let ids: Vec<u64> =
            blocks.flat_map(|number| buckets.iter().map(move |bucket| number * BUCKETS + bucket)).collect();
        let rows = match &self.tables {
            Tables::Sqlite(tables) => tables.buckets(&ids).await?,
            Tables::Postgres(tables) => tables.buckets(log, &ids).await?,
        };
        let mut blocks = HashMap::<u64, BTreeMap<u64, Vec<u8>>>::new();
        for (id, bytes) in rows {
            blocks.entry(id as u64 / BUCKETS).or_default().insert(id as u64 % BUCKETS, bytes);
        }
        Ok(blocks)
    }

    /// Throws the index of a log away and reads the log again. Reports entries read and entries to read.
    pub(crate) async fn rebuild(
        &self,
        log: LogId,
        tree_size: u64,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<(), AuditError> {
        // Whoever follows the log waits meanwhile.
        let tail = self.tail(log);
        let mut tail = tail.lock().await;
        match &self.tables {
            Tables::Sqlite(tables) => tables.clear().await?,
            Tables::Postgres(tables) => tables.clear(log).await?,
        }
        *tail = None;
        self.catch_up_from(&mut tail, log, tree_size, |end| progress(end, tree_size)).await
    }

    /// Reads a range of the log again, from which bodies were removed, so that nothing of them is left here.
    pub(crate) async fn forget(&self, log: LogId, range: Range<u64>) -> Result<(), AuditError> {
        let tail = self.tail(log);
        let mut tail = tail.lock().await;
        if tail.as_ref().is_some_and(|tail| tail.start() < range.end) {
            *tail = None;
        }
        let readers = self.log.of(log);
        let written = self.block_count(log).await?;
        for number in range.start / self.block_size..range.end.div_ceil(self.block_size).min(written) {
            let mut block = Block::new(number, self.block_size);
            while !block.is_full() {
                let end = block.limit().min(block.end() + CHUNK);
                let entries = readers.acquire().await?.session().entries_within(&(block.end()..end)).await?;
                block.add(&entries.iter().collect::<Vec<_>>());
                block.read_to(end);
            }
            self.write(log, &block, true).await?;
        }
        Ok(())
    }

    pub(crate) async fn close(&self) {
        match &self.tables {
            Tables::Sqlite(tables) => tables.close().await,
            Tables::Postgres(tables) => tables.close().await,
        }
    }

    async fn block_count(&self, log: LogId) -> Result<u64, sqlx::Error> {
        match &self.tables {
            Tables::Sqlite(tables) => tables.block_count().await,
            Tables::Postgres(tables) => tables.block_count(log).await,
        }
    }

    fn tail(&self, log: LogId) -> Tail {
        Arc::clone(self.tails.lock().unwrap_or_else(PoisonError::into_inner).entry(log).or_default())
    }
}
