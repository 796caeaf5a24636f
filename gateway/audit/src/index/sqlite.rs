//! Blocks of the index of a log in an SQLite file: another file beside it.

use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};

use super::{Stored, VERSION};
use crate::error::AuditError;
use crate::store::{Readers, sqlite};

const SCHEMA: &str = "
CREATE TABLE state (version INTEGER NOT NULL, block_size INTEGER NOT NULL) STRICT;
CREATE TABLE blocks (
    block INTEGER PRIMARY KEY, earliest INTEGER NOT NULL, latest INTEGER NOT NULL, spans BLOB NOT NULL,
    last_leaf BLOB NOT NULL
) STRICT;
CREATE TABLE buckets (bucket INTEGER PRIMARY KEY, terms BLOB NOT NULL) STRICT;
";
const CONNECTION_COUNT: u32 = 4;

#[derive(Debug)]
pub(super) struct Tables {
    pool: SqlitePool,
}

impl Tables {
    /// Opens the index of the log at `path`; makes it anew if it is missing, damaged, or not of this log.
    pub(super) async fn open(path: &Path, log: &Readers, tree_size: u64, block_size: u64) -> Result<Self, AuditError> {
        let path = index_path(path);
        match fits(&path, log, tree_size, block_size).await {
            Ok(true) => {}
            refused => {
                if let Err(error) = refused {
                    tracing::warn!(error = %error, "search index unusable, building it anew");
                }
                create(&path, block_size).await?;
            }
        }
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTION_COUNT)
            .test_before_acquire(false)
            .connect_with(options(&path))
            .await?;
        Ok(Self { pool })
    }

    /// Blocks there are, from the first on.
    pub(super) async fn block_count(&self) -> Result<u64, sqlx::Error> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM blocks").fetch_one(&self.pool).await?;
        Ok(count as u64)
    }

    pub(super) async fn write(&self, block: &Stored, replace: bool) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        if replace {
            sqlx::query("DELETE FROM buckets WHERE bucket >= ? AND bucket < ?")
                .bind((block.number * super::BUCKETS) as i64)
                .bind(((block.number + 1) * super::BUCKETS) as i64)
                .execute(&mut *transaction)
                .await?;
        }
        let (earliest, latest) = block.spans.bounds();
        sqlx::query("INSERT OR REPLACE INTO blocks (block, earliest, latest, spans, last_leaf) VALUES (?, ?, ?, ?, ?)")
            .bind(block.number as i64)
            .bind(earliest)
            .bind(latest)
            .bind(block.spans.to_bytes())
            .bind(block.last_leaf.as_slice())
            .execute(&mut *transaction)
            .await?;
        let mut start = 1;
        let mut places = Vec::with_capacity(block.buckets.len());
        for (bucket, terms) in &block.buckets {
            places.push(format!("[{bucket},{start},{}]", terms.len()));
            start += terms.len();
        }
        let terms: Vec<u8> = block.buckets.iter().flat_map(|(_, terms)| terms).copied().collect();
        sqlx::query(
            "INSERT INTO buckets (bucket, terms) SELECT value ->> 0, substr(?, value ->> 1, value ->> 2) FROM json_each(?)",
        )
        .bind(terms)
        .bind(format!("[{}]", places.join(",")))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    /// First and last block with a time in the range, and the spans of each.
    pub(super) async fn ends(&self, earliest: i64, latest: i64) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
        let mut ends = Vec::new();
        for select in [
            "SELECT block, spans FROM blocks WHERE latest >= ? AND earliest <= ? ORDER BY block LIMIT 1",
            "SELECT block, spans FROM blocks WHERE latest >= ? AND earliest <= ? ORDER BY block DESC LIMIT 1",
        ] {
            ends.extend(sqlx::query_as(select).bind(earliest).bind(latest).fetch_optional(&self.pool).await?);
        }
        Ok(ends)
    }

    pub(super) async fn buckets(&self, ids: &[u64]) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
        let select = "SELECT bucket, terms FROM buckets WHERE bucket IN (SELECT value FROM json_each(?))";
        sqlx::query_as(select).bind(sqlite::json_array(ids)).fetch_all(&self.pool).await
    }

    pub(super) async fn clear(&self) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        sqlx::raw_sql("DELETE FROM buckets; DELETE FROM blocks;").execute(&mut *transaction).await?;
        transaction.commit().await
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

fn index_path(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(".index");
    path.into()
}

/// Whether there is an index of this version and of this log.
async fn fits(path: &Path, log: &Readers, tree_size: u64, block_size: u64) -> Result<bool, AuditError> {
    if !path.exists() {
        return Ok(false);
    }
    let mut connection = options(path).connect().await?;
    let known: Option<(i64, i64)> =
        sqlx::query_as("SELECT version, block_size FROM state").fetch_optional(&mut connection).await?;
    if known != Some((VERSION, block_size as i64)) {
        return Ok(false);
    }
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM blocks").fetch_one(&mut connection).await?;
    let last: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT block, last_leaf FROM blocks ORDER BY block DESC LIMIT 1")
            .fetch_optional(&mut connection)
            .await?;
    connection.close().await?;
    let Some((block, last_leaf)) = last else { return Ok(true) };
    let end = (block as u64 + 1) * block_size;
    Ok(block + 1 == count
        && end <= tree_size
        && log.acquire().await?.session().subtree_hashes(&[(0, end - 1)]).await?.concat() == last_leaf)
}

async fn create(path: &Path, block_size: u64) -> Result<(), AuditError> {
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
    let mut connection: SqliteConnection = options(path).connect().await?;
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO state (version, block_size) VALUES (?, ?)")
        .bind(VERSION)
        .bind(block_size as i64)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(())
}

/// What a crash takes from the index is read from the log again.
fn options(path: &Path) -> sqlx::sqlite::SqliteConnectOptions {
    sqlite::connect_options(path).create_if_missing(true).synchronous(SqliteSynchronous::Normal)
}
