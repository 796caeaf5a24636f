//! The index of a log in an SQLite file: another file beside it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::sqlite::{SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, QueryBuilder, Sqlite, SqliteConnection, SqlitePool};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Additions, CATCH_UP, CHUNK, RETRY, VERSION, one_of};
use crate::error::AuditError;
use crate::note::Checkpoint;
use crate::search::{Terms, TimeRange};
use crate::store::{Readers, sqlite};

const SCHEMA: &str = "
CREATE TABLE state (version INTEGER NOT NULL, tree_size INTEGER NOT NULL, last_leaf BLOB NOT NULL) STRICT;
CREATE TABLE postings (term INTEGER, log_index INTEGER, PRIMARY KEY (term, log_index)) STRICT, WITHOUT ROWID;
CREATE TABLE blocks (block INTEGER PRIMARY KEY, earliest INTEGER NOT NULL, latest INTEGER NOT NULL) STRICT;
";

/// Asks for the index to be emptied, and where to say that it is.
type Restart = oneshot::Sender<Result<(), AuditError>>;

/// The index as searches see it.
#[derive(Debug)]
pub(crate) struct Index {
    pool: SqlitePool,
    indexed: watch::Receiver<u64>,
    restart: mpsc::Sender<Restart>,
}

/// The task that keeps the index up with the log.
pub(crate) struct Indexer {
    connection: SqliteConnection,
    log: Readers,
    newest: watch::Receiver<Arc<Checkpoint>>,
    indexed: watch::Sender<u64>,
    restart: mpsc::Receiver<Restart>,
}

impl Index {
    /// Opens the index of the log at `path`; makes it anew if it is missing, damaged, or not of this log.
    pub(super) async fn open(
        path: &Path,
        log: Readers,
        newest: watch::Receiver<Arc<Checkpoint>>,
    ) -> Result<(Self, Indexer), AuditError> {
        let path = index_path(path);
        let tree_size = newest.borrow().tree_size;
        let (connection, indexed) = match open_existing(&path, &log, tree_size).await {
            Ok(Some(opened)) => opened,
            refused => {
                if let Err(error) = refused {
                    tracing::warn!(error = %error, "search index unusable, building it anew");
                }
                (create(&path).await?, 0)
            }
        };
        let pool = SqlitePoolOptions::new()
            .test_before_acquire(false)
            .connect_with(sqlite::connect_options(&path).read_only(true))
            .await?;
        let (indexed, indexed_size) = watch::channel(indexed);
        let (restart, restarts) = mpsc::channel(1);
        let index = Self { pool, indexed: indexed_size, restart };
        Ok((index, Indexer { connection, log, newest, indexed, restart: restarts }))
    }

    /// Waits until the first `tree_size` entries are indexed.
    pub(super) async fn wait_for(&self, tree_size: u64) -> Result<(), AuditError> {
        let mut indexed = self.indexed.clone();
        let reached = tokio::time::timeout(CATCH_UP, indexed.wait_for(|indexed| *indexed >= tree_size)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            _ => Err(AuditError::IndexBehind { indexed: *self.indexed.borrow(), tree_size }),
        }
    }

    /// First and last block with a time in the range.
    pub(super) async fn blocks(&self, times: &TimeRange) -> Result<(Option<i64>, Option<i64>), sqlx::Error> {
        sqlx::query_as("SELECT min(block), max(block) FROM blocks WHERE latest >= ? AND earliest <= ?")
            .bind(times.earliest_micros())
            .bind(times.latest_micros())
            .fetch_one(&self.pool)
            .await
    }

    pub(super) async fn candidates(
        &self,
        terms: &Terms,
        range: Range<u64>,
        count_max: usize,
    ) -> Result<Vec<i64>, sqlx::Error> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT p.log_index FROM postings p");
        for (number, term) in terms.others.iter().enumerate() {
            query.push(format!(
                " CROSS JOIN postings p{number} ON p{number}.log_index = p.log_index AND p{number}.term = "
            ));
            query.push_bind(term.0);
        }
        one_of(query.push(" WHERE p.term"), &terms.first);
        query.push(" AND p.log_index >= ").push_bind(range.start as i64);
        query.push(" AND p.log_index < ").push_bind(range.end as i64);
        query.push(" ORDER BY p.log_index DESC LIMIT ").push_bind(count_max as i64);
        query.build_query_scalar().fetch_all(&self.pool).await
    }

    /// Throws the index away and reads the log again. Reports entries read and entries to read.
    pub(super) async fn rebuild(&self, tree_size: u64, mut progress: impl FnMut(u64, u64)) -> Result<(), AuditError> {
        let stopped = || AuditError::IndexBehind { indexed: 0, tree_size };
        let (reply, emptied) = oneshot::channel();
        self.restart.send(reply).await.map_err(|_| stopped())?;
        emptied.await.map_err(|_| stopped())??;
        let mut indexed = self.indexed.clone();
        loop {
            let done = *indexed.borrow_and_update();
            progress(done.min(tree_size), tree_size);
            if done >= tree_size {
                return Ok(());
            }
            indexed.changed().await.map_err(|_| stopped())?;
        }
    }

    /// Closes the readers, then the connection of the indexer, which has stopped.
    pub(super) async fn close(&self, indexer: SqliteConnection) {
        self.pool.close().await;
        if let Err(error) = indexer.close().await {
            tracing::warn!(error = %error, "search index did not close cleanly");
        }
    }
}

impl Indexer {
    /// Follows the log until it is closed, and then to its end. Returns the connection, to be closed after the readers'.
    pub(super) async fn run(mut self) -> SqliteConnection {
        let mut closing = false;
        loop {
            while *self.indexed.borrow() < self.newest.borrow_and_update().tree_size {
                if let Err(error) = self.read_chunk().await {
                    tracing::warn!(error = %error, "search index not written");
                    if closing {
                        return self.connection;
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
            if closing {
                return self.connection;
            }
            tokio::select! {
                changed = self.newest.changed() => closing = changed.is_err(),
                Some(reply) = self.restart.recv() => {
                    let emptied = self.clear().await;
                    // Whoever asked may have gone away.
                    let _ = reply.send(emptied);
                }
            }
        }
    }

    async fn read_chunk(&mut self) -> Result<(), AuditError> {
        let start = *self.indexed.borrow();
        let end = self.newest.borrow().tree_size.min(start + CHUNK);
        let entries = self.log.acquire().await?.session().entry_bytes(start..end).await?;
        let Additions { postings, blocks, last_leaf } = Additions::of(&entries);
        let mut transaction = self.connection.begin().await?;
        insert(&mut transaction, &postings, &blocks).await?;
        sqlx::query("UPDATE state SET tree_size = ?, last_leaf = ?")
            .bind(end as i64)
            .bind(last_leaf.as_slice())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        self.indexed.send_replace(end);
        Ok(())
    }

    async fn clear(&mut self) -> Result<(), AuditError> {
        let mut transaction = self.connection.begin().await?;
        sqlx::raw_sql("DELETE FROM postings; DELETE FROM blocks; UPDATE state SET tree_size = 0;")
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        self.indexed.send_replace(0);
        Ok(())
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    postings: &[(i64, u64)],
    blocks: &BTreeMap<u64, (i64, i64)>,
) -> Result<(), sqlx::Error> {
    let pairs: Vec<String> = postings.iter().map(|(term, index)| format!("[{term},{index}]")).collect();
    sqlx::query("INSERT OR IGNORE INTO postings (term, log_index) SELECT value ->> 0, value ->> 1 FROM json_each(?)")
        .bind(format!("[{}]", pairs.join(",")))
        .execute(&mut *connection)
        .await?;
    for (block, (earliest, latest)) in blocks {
        sqlx::query(
            "INSERT INTO blocks (block, earliest, latest) VALUES (?, ?, ?) ON CONFLICT (block) DO UPDATE
             SET earliest = min(earliest, excluded.earliest), latest = max(latest, excluded.latest)",
        )
        .bind(*block as i64)
        .bind(earliest)
        .bind(latest)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

fn index_path(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(".index");
    path.into()
}

/// The index and how much it has read; None if there is none, or it is of another version or another log.
async fn open_existing(
    path: &Path,
    log: &Readers,
    tree_size: u64,
) -> Result<Option<(SqliteConnection, u64)>, AuditError> {
    if !path.exists() {
        return Ok(None);
    }
    let mut connection = connect(path).await?;
    let (version, indexed, last_leaf): (i64, i64, Vec<u8>) =
        sqlx::query_as("SELECT version, tree_size, last_leaf FROM state").fetch_one(&mut connection).await?;
    let indexed = indexed as u64;
    let fits = version == VERSION
        && indexed <= tree_size
        && (indexed == 0
            || log.acquire().await?.session().subtree_hashes(&[(0, indexed - 1)]).await?.concat() == last_leaf);
    Ok(fits.then_some((connection, indexed)))
}

async fn create(path: &Path) -> Result<SqliteConnection, AuditError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match std::fs::remove_file(&file) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(AuditError::File { path: PathBuf::from(file).display().to_string(), source });
            }
            _ => {}
        }
    }
    let mut connection = connect(path).await?;
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO state (version, tree_size, last_leaf) VALUES (?, 0, x'')")
        .bind(VERSION)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(connection)
}

async fn connect(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    // What a crash takes from the index is read from the log again.
    sqlite::connect_options(path).create_if_missing(true).synchronous(SqliteSynchronous::Normal).connect().await
}
