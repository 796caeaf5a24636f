//! Where a log is kept: an SQLite file or a PostgreSQL database, read and written through one set of primitives.
//!
//! | Table | Holds |
//! |---|---|
//! | `meta` | schema version (and in SQLite the origin) |
//! | `logs` | PostgreSQL only: origin and verifier key of each log |
//! | `entries` | each entry's bytes under its log index, until its period ends ([`crate::retention`]) |
//! | `hashes` | the hash of every complete subtree, leaves included, in the order of [`crate::tree::position`], as [`runs`] |
//! | `heads` | signed checkpoints by tree size |
//!
//! The last three grow at their end only, but for bodies of entries that are removed. Tiles of C2SP `tlog-tiles` are selections of `hashes` and `entries`.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{Connection as _, PgConnection, Postgres, Sqlite, SqliteConnection, SqlitePool};

use crate::error::{AuditError, Damage};
use crate::keys::{KeyHistory, LogKeys};
use crate::tree::{self, Hash};

mod backfill;
pub(crate) mod postgres;
mod remover;
mod runs;
pub(crate) mod sqlite;

pub(crate) use backfill::Backfill;
pub(crate) use remover::Remover;
pub(crate) use runs::{RunReader, StoredHashes};

/// The schema this release writes. Logs of schema 1 had each hash in a row of its own; they are read as they are, and become
/// logs of this schema when they are opened to be written.
const SCHEMA_VERSION: i64 = 2;
/// Longest wait for a connection; a reader finds out soon that there is none.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Number of a log within its store. An SQLite file holds one log, number 0.
pub(crate) type LogId = i32;

/// Where a log is kept.
#[derive(Clone)]
pub enum Location {
    /// An SQLite file: one log, one process that writes it.
    File(PathBuf),
    /// A PostgreSQL database: any number of logs, told apart by origin, each with one process that writes it.
    Postgres(Box<PgConnectOptions>),
}

impl Location {
    /// The PostgreSQL database at an address (`postgres://account:password@host/database`).
    pub fn postgres(url: &str) -> Result<Self, AuditError> {
        // The library's error may quote the address, which holds a password.
        let options = PgConnectOptions::from_str(url).map_err(|_| AuditError::Address)?;
        Ok(Self::Postgres(Box::new(options)))
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

/// Names the place without account or password.
impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Postgres(options) => {
                let database = options.get_database().unwrap_or("default");
                write!(formatter, "PostgreSQL database {database} at {}:{}", options.get_host(), options.get_port())
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Location({self})")
    }
}

/// Everything one transaction adds.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) first_index: u64,
    pub(crate) entries: Vec<u8>,
    pub(crate) lengths: Vec<usize>,
    pub(crate) hashes: Vec<Hash>,
    pub(crate) dropped_head: Option<u64>,
    pub(crate) tree_size: u64,
    pub(crate) note: String,
}

/// A connection of one's own to one log.
#[derive(Debug)]
pub(crate) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection, LogId),
}

impl Connection {
    /// Opens the connection that writes batches of at most so many entries. A missing or empty store becomes a log; with
    /// `must_exist` it does not.
    pub(crate) async fn write(
        location: &Location,
        keys: &KeyHistory,
        batch_size_max: usize,
        must_exist: bool,
    ) -> Result<Self, AuditError> {
        match location {
            Location::File(path) => {
                let connection = sqlite::write(path, keys.origin(), batch_size_max, must_exist).await?;
                Ok(Self::Sqlite(connection))
            }
            Location::Postgres(options) => {
                let (connection, log) = postgres::write(location, options, keys, must_exist).await?;
                Ok(Self::Postgres(connection, log))
            }
        }
    }

    /// Opens a connection that only reads.
    pub(crate) async fn read(location: &Location, origin: &str) -> Result<Self, AuditError> {
        match location {
            Location::File(path) => Ok(Self::Sqlite(sqlite::read(path, origin).await?)),
            Location::Postgres(options) => {
                let (connection, log) = postgres::read(location, options, origin).await?;
                Ok(Self::Postgres(connection, log))
            }
        }
    }

    /// From here on reads one and the same state of the log.
    pub(crate) async fn begin_snapshot(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => sqlx::query("BEGIN").execute(connection).await.map(drop),
            Self::Postgres(connection, _) => {
                sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(connection).await.map(drop)
            }
        }
    }

    /// The log this connection is for.
    pub(crate) fn log_id(&self) -> LogId {
        match self {
            Self::Sqlite(_) => 0,
            Self::Postgres(_, log) => *log,
        }
    }

    pub(crate) fn session(&mut self) -> Session<'_> {
        match self {
            Self::Sqlite(connection) => Session::Sqlite(connection),
            Self::Postgres(connection, log) => Session::Postgres(connection, *log),
        }
    }

    /// Writes a batch in one durable transaction. After an error nothing of it may be acknowledged.
    pub(crate) async fn append(&mut self, batch: Batch) -> Result<(), AuditError> {
        match self {
            Self::Sqlite(connection) => Ok(sqlite::append(connection, batch).await?),
            Self::Postgres(connection, log) => postgres::append(connection, *log, batch).await,
        }
    }

    /// Stores a first checkpoint, that of the empty tree.
    pub(crate) async fn insert_head(&mut self, tree_size: u64, note: &str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => sqlite::insert_head(connection, tree_size, note).await,
            Self::Postgres(connection, log) => postgres::insert_head(connection, *log, tree_size, note).await,
        }
    }

    /// Ends what a failed write may have left open. False if the connection is not to be used again.
    pub(crate) async fn settle(&mut self, error: &AuditError) -> bool {
        match self {
            Self::Sqlite(connection) => {
                sqlite::roll_back(connection).await;
                true
            }
            // A statement of its own is a transaction of its own: the server has ended it. Where the server did not
            // answer, only a new connection tells what became of it.
            Self::Postgres(..) => matches!(error, AuditError::Store(sqlx::Error::Database(_))),
        }
    }

    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection, _) => connection.close().await,
        }
    }
}

/// Connections that read one log, shared by any number of tasks.
#[derive(Debug, Clone)]
pub(crate) enum Readers {
    Sqlite(SqlitePool),
    Postgres(PgPool, LogId),
}

impl Readers {
    pub(crate) async fn open(location: &Location, log: LogId, count_max: u32) -> Result<Self, sqlx::Error> {
        match location {
            Location::File(path) => {
                let options = sqlite::connect_options(path).read_only(true);
                Ok(Self::Sqlite(pool(count_max).connect_with(options).await?))
            }
            Location::Postgres(options) => {
                let options = postgres::connect_options(options, "on");
                // A server that was restarted has ended the connections that stand ready.
                Ok(Self::Postgres(pool(count_max).test_before_acquire(true).connect_lazy_with(options), log))
            }
        }
    }

    /// The log these read.
    pub(crate) fn log_id(&self) -> LogId {
        match self {
            Self::Sqlite(_) => 0,
            Self::Postgres(_, log) => *log,
        }
    }

    /// The same connections, for another log of the store.
    pub(crate) fn of(&self, log: LogId) -> Self {
        match self {
            Self::Sqlite(pool) => Self::Sqlite(pool.clone()),
            Self::Postgres(pool, _) => Self::Postgres(pool.clone(), log),
        }
    }

    pub(crate) async fn acquire(&self) -> Result<Reader, sqlx::Error> {
        match self {
            Self::Sqlite(pool) => Ok(Reader::Sqlite(pool.acquire().await?)),
            Self::Postgres(pool, log) => Ok(Reader::Postgres(pool.acquire().await?, *log)),
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool, _) => pool.close().await,
        }
    }
}

fn pool<D: sqlx::Database>(count_max: u32) -> PoolOptions<D> {
    PoolOptions::new().max_connections(count_max.max(1)).test_before_acquire(false).acquire_timeout(ACQUIRE_TIMEOUT)
}

/// One of the shared connections.
pub(crate) enum Reader {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>, LogId),
}

impl Reader {
    pub(crate) fn session(&mut self) -> Session<'_> {
        match self {
            Self::Sqlite(connection) => Session::Sqlite(connection),
            Self::Postgres(connection, log) => Session::Postgres(connection, *log),
        }
    }
}

/// A connection in use for one log.
pub(crate) enum Session<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection, LogId),
}

/// Which checkpoints to read.
pub(crate) enum Heads {
    /// The newest.
    Newest,
    /// The oldest of at least this size.
    From(u64),
    /// All in a range of sizes, ascending.
    Within(Range<u64>),
}

impl Heads {
    /// Condition, order and limit, and the two sizes bound to it.
    fn sql(&self) -> (&'static str, i64, i64) {
        match self {
            Self::Newest => ("tree_size >= $1 AND tree_size <= $2 ORDER BY tree_size DESC LIMIT 1", i64::MIN, i64::MAX),
            Self::From(size) => {
                ("tree_size >= $1 AND tree_size <= $2 ORDER BY tree_size LIMIT 1", *size as i64, i64::MAX)
            }
            Self::Within(sizes) => {
                ("tree_size >= $1 AND tree_size < $2 ORDER BY tree_size", sizes.start as i64, sizes.end as i64)
            }
        }
    }
}

impl Session<'_> {
    /// Checkpoints: size each is filed under, and note.
    pub(crate) async fn heads(&mut self, wanted: Heads) -> Result<Vec<(u64, String)>, sqlx::Error> {
        let (condition, first, last) = wanted.sql();
        let rows: Vec<(i64, Vec<u8>)> = match self {
            Self::Sqlite(connection) => sqlite::heads(connection, condition, first, last).await?,
            Self::Postgres(connection, log) => postgres::heads(connection, *log, condition, first, last).await?,
        };
        Ok(rows.into_iter().map(|(size, note)| (size as u64, note_text(note))).collect())
    }

    /// The newest checkpoint: size it is filed under, and note.
    pub(crate) async fn newest_head(&mut self) -> Result<Option<(u64, String)>, sqlx::Error> {
        Ok(self.heads(Heads::Newest).await?.pop())
    }

    /// How many checkpoints there are.
    pub(crate) async fn head_count(&mut self) -> Result<u64, sqlx::Error> {
        let count: i64 = match self {
            Self::Sqlite(connection) => {
                sqlx::query_scalar("SELECT count(*) FROM heads").fetch_one(&mut **connection).await?
            }
            Self::Postgres(connection, log) => {
                let query = sqlx::query_scalar("SELECT count(*) FROM heads WHERE log_id = $1");
                query.bind(*log).fetch_one(&mut **connection).await?
            }
        };
        Ok(count as u64)
    }

    /// Checks by the ends of the tables alone that there are as many entries and hashes as a tree of this size has.
    pub(crate) async fn check_ends(&mut self, tree_size: u64) -> Result<(), AuditError> {
        let (first, entries, first_hash, hashes) = match self {
            Self::Sqlite(connection) => sqlite::ends(connection).await?,
            Self::Postgres(connection, log) => postgres::ends(connection, *log).await?,
        };
        let (entries, hashes) = (entries as u64, hashes as u64);
        let expected = tree::stored_count(tree_size);
        let damage = if first < 0 {
            Damage::EntryUnexpected { log_index: first as u64 }
        } else if first_hash < 0 {
            Damage::HashUnexpected { position: first_hash as u64 }
        } else if entries < tree_size {
            Damage::EntryMissing { log_index: entries }
        } else if entries > tree_size {
            Damage::EntryUnexpected { log_index: tree_size }
        } else if hashes > expected {
            Damage::HashUnexpected { position: expected }
        } else {
            return Ok(());
        };
        Err(AuditError::Damaged(damage))
    }

    /// The hashes of complete subtrees `(level, index)`, in the order asked for.
    pub(crate) async fn subtree_hashes(&mut self, subtrees: &[(u32, u64)]) -> Result<Vec<Hash>, AuditError> {
        let positions: Vec<u64> = subtrees.iter().map(|(level, index)| tree::position(*level, *index)).collect();
        let found: HashMap<u64, Vec<u8>> = self.hashes_at(&positions).await?.into_iter().collect();
        let hash = |((level, index), position): (&(u32, u64), u64)| {
            let hash = found.get(&position).and_then(|hash| hash.as_slice().try_into().ok());
            hash.ok_or(AuditError::Damaged(Damage::HashMissing { level: *level, index: *index, position }))
        };
        subtrees.iter().zip(positions).map(hash).collect()
    }

    /// Entries with their stored leaf hashes, for the indices asked for that exist, ascending.
    pub(crate) async fn entries(&mut self, indices: &[u64]) -> Result<Vec<(u64, Vec<u8>, Vec<u8>)>, sqlx::Error> {
        let rows: Vec<(i64, Vec<u8>)> = match self {
            Self::Sqlite(connection) => sqlite::entries_at(connection, indices).await?,
            Self::Postgres(connection, log) => postgres::entries_at(connection, *log, indices).await?,
        };
        let positions: Vec<u64> = rows.iter().map(|(index, _)| tree::position(0, *index as u64)).collect();
        let mut hashes: HashMap<u64, Vec<u8>> = self.hashes_at(&positions).await?.into_iter().collect();
        let with_hash =
            |((index, entry), position)| (index as u64, entry, hashes.remove(&position).unwrap_or_default());
        Ok(rows.into_iter().zip(positions).map(with_hash).collect())
    }

    /// The bytes of the first entries there are in a range of indices, ascending.
    pub(crate) async fn next_entries(
        &mut self,
        range: Range<u64>,
        count_max: u32,
    ) -> Result<Vec<(u64, Vec<u8>)>, sqlx::Error> {
        let rows: Vec<(i64, Vec<u8>)> = match self {
            Self::Sqlite(connection) => sqlite::next_entries(connection, &range, count_max).await?,
            Self::Postgres(connection, log) => postgres::next_entries(connection, *log, &range, count_max).await?,
        };
        Ok(unsigned(rows))
    }

    /// The entries in a range of indices, ascending, for whoever may stop waiting.
    pub(crate) async fn entries_within(&mut self, range: &Range<u64>) -> Result<Packed, sqlx::Error> {
        match self {
            Self::Sqlite(connection) => sqlite::packed(connection, sqlite::PACKED_ENTRIES, range).await,
            Self::Postgres(connection, log) => postgres::entries_within(connection, *log, range).await,
        }
    }

    /// The entries in a range of indices, ascending: fast, for whoever reads all over a connection of its own. In PostgreSQL a
    /// connection on which this was given up cannot be used again.
    pub(crate) async fn packed_entries(&mut self, range: &Range<u64>) -> Result<Packed, sqlx::Error> {
        match self {
            Self::Sqlite(connection) => sqlite::packed(connection, sqlite::PACKED_ENTRIES, range).await,
            Self::Postgres(connection, log) => postgres::packed_entries(connection, *log, range).await,
        }
    }

    /// The rows of hashes that begin in a range of positions, ascending, as [`Self::packed_entries`].
    async fn packed_runs(&mut self, positions: &Range<u64>) -> Result<Packed, sqlx::Error> {
        match self {
            Self::Sqlite(connection) => sqlite::packed(connection, sqlite::PACKED_RUNS, positions).await,
            Self::Postgres(connection, log) => postgres::packed_runs(connection, *log, positions).await,
        }
    }

    async fn hashes_at(&mut self, positions: &[u64]) -> Result<Vec<(u64, Vec<u8>)>, sqlx::Error> {
        let rows: Vec<(i64, Vec<u8>)> = match self {
            Self::Sqlite(connection) => sqlite::hashes_at(connection, positions).await?,
            Self::Postgres(connection, log) => postgres::hashes_at(connection, *log, positions).await?,
        };
        Ok(unsigned(rows))
    }
}

/// Values of a table, end to end: a row each would cost more than to hash them.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    bytes: Vec<u8>,
    /// Key of each value, and where it ends.
    ends: Vec<(u64, usize)>,
}

impl Packed {
    /// Values end to end, with the key and the length of each. None if they are not as long as their lengths say.
    fn new(bytes: Vec<u8>, lengths: impl Iterator<Item = (u64, usize)>) -> Option<Self> {
        let mut end = 0;
        let ends = lengths.map(|(key, length)| {
            end += length;
            (key, end)
        });
        let ends: Vec<_> = ends.collect();
        (end == bytes.len()).then_some(Self { bytes, ends })
    }

    fn push(&mut self, key: u64, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push((key, self.bytes.len()));
    }

    /// Keys and values, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |(key, end)| {
            let value = &self.bytes[start..*end];
            start = *end;
            (*key, value)
        })
    }
}

fn unsigned(rows: Vec<(i64, Vec<u8>)>) -> Vec<(u64, Vec<u8>)> {
    rows.into_iter().map(|(number, bytes)| (number as u64, bytes)).collect()
}

/// Bytes that are no text make a text that no key has signed, and are reported as such.
fn note_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Numbers as databases hold them.
pub(crate) fn signed(numbers: &[u64]) -> Vec<i64> {
    numbers.iter().map(|number| *number as i64).collect()
}
