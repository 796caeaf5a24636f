//! The log's SQLite file: what is stored, and the statements that read and write it.
//!
//! | Table | Holds |
//! |---|---|
//! | `meta` | schema version and origin |
//! | `entries` | each entry's bytes under its log index |
//! | `hashes` | the hash of every complete subtree, leaves included, in the order of [`crate::tree::position`] |
//! | `heads` | signed checkpoints by tree size |
//!
//! All three grow at their end only. Tiles of C2SP `tlog-tiles` are selections of `hashes` and `entries`.
//! Durability: write-ahead log with `synchronous = FULL`, so a commit is on the disk before it is reported.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};

use crate::error::{AuditError, Damage};
use crate::tree::{self, Hash};

/// The schema this release writes.
pub(crate) const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE entries (log_index INTEGER PRIMARY KEY, entry BLOB NOT NULL) STRICT;
CREATE TABLE hashes (position INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT;
CREATE TABLE heads (tree_size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
";

/// One text for any number of entries, so that it is prepared once and the whole batch is one round trip to the
/// connection's thread. Its values, in order: first log index, all entries end to end, JSON array of
/// [offset from 1, length]; number of hashes, first position, all hashes end to end; size of the head to drop (or -1);
/// size of the new head, its note.
const APPEND: &str = "
BEGIN IMMEDIATE;
INSERT INTO entries (log_index, entry)
    SELECT ? + key, substr(?, value ->> 0, value ->> 1) FROM json_each(?);
WITH RECURSIVE place (n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM place WHERE n + 1 < ?)
    INSERT INTO hashes (position, hash) SELECT ? + n, substr(?, 32 * n + 1, 32) FROM place;
DELETE FROM heads WHERE tree_size = ?;
INSERT INTO heads (tree_size, note) VALUES (?, ?);
COMMIT;
";

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

/// How the log's own connections are made.
pub(crate) fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging()
}

/// Opens the connection that writes. A missing or empty file becomes a log.
pub(crate) async fn create_or_open(path: &Path, origin: &str) -> Result<SqliteConnection, AuditError> {
    let mut connection = connect_options(path).create_if_missing(true).connect().await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut connection).await?;
    if tables == 0 {
        let mut transaction = connection.begin().await?;
        sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO meta (name, value) VALUES ('schema_version', ?), ('origin', ?)")
            .bind(SCHEMA_VERSION.to_string())
            .bind(origin)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    }
    check_meta(&mut connection, path, origin).await?;
    Ok(connection)
}

/// Opens the connection that writes to a log there must be.
pub(crate) async fn reopen(path: &Path, origin: &str) -> Result<SqliteConnection, AuditError> {
    let mut connection = connect_options(path).connect().await?;
    check_meta(&mut connection, path, origin).await?;
    Ok(connection)
}

/// Refuses files that are no audit log, are of a newer schema or of another origin.
pub(crate) async fn check_meta(connection: &mut SqliteConnection, path: &Path, origin: &str) -> Result<(), AuditError> {
    let not_a_log = || AuditError::NotALog { path: path.display().to_string() };
    let meta: HashMap<String, String> = sqlx::query_as("SELECT name, value FROM meta")
        .fetch_all(connection)
        .await
        .map_err(|error| if is_foreign(&error) { not_a_log() } else { error.into() })?
        .into_iter()
        .collect();
    let found: i64 = meta.get("schema_version").and_then(|text| text.parse().ok()).ok_or_else(not_a_log)?;
    if found > SCHEMA_VERSION {
        return Err(AuditError::NewerSchema { found, known: SCHEMA_VERSION });
    }
    match meta.get("origin") {
        Some(stored) if stored == origin => Ok(()),
        Some(stored) => Err(AuditError::Origin { found: stored.clone(), expected: origin.to_owned() }),
        None => Err(not_a_log()),
    }
}

/// True if the table is missing (SQLITE_ERROR) or the file no database at all (SQLITE_NOTADB).
fn is_foreign(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("1" | "26"))
}

/// Writes a batch in one durable transaction. After an error nothing of it may be acknowledged.
pub(crate) async fn append(connection: &mut SqliteConnection, batch: Batch) -> Result<(), sqlx::Error> {
    let mut start = 1;
    let mut places = Vec::with_capacity(batch.lengths.len());
    for length in &batch.lengths {
        places.push(format!("[{start},{length}]"));
        start += length;
    }
    sqlx::query(APPEND)
        .bind(batch.first_index as i64)
        .bind(batch.entries)
        .bind(format!("[{}]", places.join(",")))
        .bind(batch.hashes.len() as i64)
        .bind(tree::stored_count(batch.first_index) as i64)
        .bind(batch.hashes.concat())
        .bind(batch.dropped_head.map_or(-1, |size| size as i64))
        .bind(batch.tree_size as i64)
        .bind(batch.note)
        .execute(connection)
        .await
        .map(|_| ())
}

/// Ends a transaction that failed half-way, if one is open.
pub(crate) async fn roll_back(connection: &mut SqliteConnection) {
    // Without an open transaction this fails, and that is the state wanted.
    let _ = sqlx::query("ROLLBACK").execute(connection).await;
}

/// Stores a first checkpoint, that of the empty tree.
pub(crate) async fn insert_head(
    connection: &mut SqliteConnection,
    tree_size: u64,
    note: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO heads (tree_size, note) VALUES (?, ?)")
        .bind(tree_size as i64)
        .bind(note)
        .execute(connection)
        .await
        .map(|_| ())
}

/// The newest checkpoint: size it is filed under, and note.
pub(crate) async fn newest_head(connection: &mut SqliteConnection) -> Result<Option<(u64, String)>, sqlx::Error> {
    let head: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT tree_size, CAST(note AS BLOB) FROM heads ORDER BY tree_size DESC LIMIT 1")
            .fetch_optional(connection)
            .await?;
    Ok(head.map(|(size, note)| (size as u64, note_text(note))))
}

/// The oldest checkpoint of at least this size: size it is filed under, and note.
pub(crate) async fn head_from(
    connection: &mut SqliteConnection,
    size_min: u64,
) -> Result<Option<(u64, String)>, sqlx::Error> {
    let head: Option<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT tree_size, CAST(note AS BLOB) FROM heads WHERE tree_size >= ? ORDER BY tree_size LIMIT 1",
    )
    .bind(size_min as i64)
    .fetch_optional(connection)
    .await?;
    Ok(head.map(|(size, note)| (size as u64, note_text(note))))
}

/// The checkpoints in a range of sizes, ascending.
pub(crate) async fn heads(
    connection: &mut SqliteConnection,
    sizes: Range<u64>,
) -> Result<Vec<(u64, String)>, sqlx::Error> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT tree_size, CAST(note AS BLOB) FROM heads WHERE tree_size >= ? AND tree_size < ? ORDER BY tree_size",
    )
    .bind(sizes.start as i64)
    .bind(sizes.end as i64)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(size, note)| (size as u64, note_text(note))).collect())
}

/// Bytes that are no text make a text that no key has signed, and are reported as such.
fn note_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Checks by the ends of the tables alone that there are as many entries and hashes as a tree of this size has.
pub(crate) async fn check_ends(connection: &mut SqliteConnection, tree_size: u64) -> Result<(), AuditError> {
    let (first, entries, first_hash, hashes): (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT coalesce((SELECT min(log_index) FROM entries), 0), coalesce((SELECT max(log_index) FROM entries), -1) + 1,
                coalesce((SELECT min(position) FROM hashes), 0), coalesce((SELECT max(position) FROM hashes), -1) + 1",
    )
    .fetch_one(connection)
    .await?;
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
pub(crate) async fn subtree_hashes<'e>(
    executor: impl sqlx::SqliteExecutor<'e>,
    subtrees: &[(u32, u64)],
) -> Result<Vec<Hash>, AuditError> {
    let positions: Vec<u64> = subtrees.iter().map(|(level, index)| tree::position(*level, *index)).collect();
    let rows: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT position, hash FROM hashes WHERE position IN (SELECT value FROM json_each(?))")
            .bind(json_array(&positions))
            .fetch_all(executor)
            .await?;
    let found: HashMap<u64, Vec<u8>> = rows.into_iter().map(|(position, hash)| (position as u64, hash)).collect();
    subtrees
        .iter()
        .zip(positions)
        .map(|((level, index), position)| {
            let hash = found.get(&position).and_then(|hash| hash.as_slice().try_into().ok());
            hash.ok_or(AuditError::Damaged(Damage::HashMissing { level: *level, index: *index, position }))
        })
        .collect()
}

/// Entries with their stored leaf hashes, for the indices asked for that exist, ascending.
pub(crate) async fn entries(pool: &SqlitePool, indices: &[u64]) -> Result<Vec<(u64, Vec<u8>, Vec<u8>)>, sqlx::Error> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT log_index, entry FROM entries WHERE log_index IN (SELECT value FROM json_each(?)) ORDER BY log_index",
    )
    .bind(json_array(indices))
    .fetch_all(pool)
    .await?;
    let positions: Vec<u64> = rows.iter().map(|(index, _)| tree::position(0, *index as u64)).collect();
    let hashes: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT position, hash FROM hashes WHERE position IN (SELECT value FROM json_each(?))")
            .bind(json_array(&positions))
            .fetch_all(pool)
            .await?;
    let mut hashes: HashMap<u64, Vec<u8>> = hashes.into_iter().map(|(at, hash)| (at as u64, hash)).collect();
    let with_hash = |((index, entry), position)| (index as u64, entry, hashes.remove(&position).unwrap_or_default());
    Ok(rows.into_iter().zip(positions).map(with_hash).collect())
}

/// The bytes of the entries in a range of indices, ascending.
pub(crate) async fn entry_bytes<'e>(
    executor: impl sqlx::SqliteExecutor<'e>,
    range: Range<u64>,
) -> Result<Vec<(u64, Vec<u8>)>, sqlx::Error> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT log_index, entry FROM entries WHERE log_index >= ? AND log_index < ? ORDER BY log_index",
    )
    .bind(range.start as i64)
    .bind(range.end as i64)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|(index, entry)| (index as u64, entry)).collect())
}

/// Numbers as a JSON array, to bind a list of any length as one value.
pub(crate) fn json_array(numbers: &[u64]) -> String {
    let texts: Vec<String> = numbers.iter().map(u64::to_string).collect();
    format!("[{}]", texts.join(","))
}
