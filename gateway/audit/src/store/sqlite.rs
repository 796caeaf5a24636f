//! The log's SQLite file: its schema, and the statements that read and write it.
//!
//! Durability: write-ahead log with `synchronous = FULL`, so a commit is on the disk before it is reported.

use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};

use super::runs::{RUN_MAX, run_count};
use super::{Batch, Packed, SCHEMA_VERSION};
use crate::error::AuditError;
use crate::tree;

const SCHEMA: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE entries (log_index INTEGER PRIMARY KEY, entry BLOB NOT NULL) STRICT;
CREATE TABLE hashes (position INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT;
CREATE TABLE heads (tree_size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
";

/// What the writing connection alone has, and no file: a view that stands for a batch, and a trigger that stores one. So a batch
/// is one statement, which is one transaction, one round trip to the connection's thread and one answer from it. The rows of
/// a batch are counted out by a table of numbers, which takes less time than reading a list.
const BATCHES: &str = "
CREATE TEMP TABLE numbers (n INTEGER PRIMARY KEY);
CREATE TEMP VIEW batches AS
    SELECT 0 AS first_index, 0 AS entry_count, x'' AS entries, x'' AS places, 0 AS first_position, 0 AS run_count,
           0 AS run_length, x'' AS hashes, 0 AS dropped_head, 0 AS tree_size, '' AS note;
CREATE TEMP TRIGGER batch INSTEAD OF INSERT ON batches BEGIN
    SELECT RAISE(ABORT, 'batch larger than the connection was opened for')
        WHERE max(NEW.entry_count, NEW.run_count) > 1 + (SELECT max(n) FROM numbers);
    INSERT INTO entries (log_index, entry)
        SELECT NEW.first_index + n,
               substr(NEW.entries, CAST(substr(NEW.places, 20 * n + 1, 10) AS INTEGER),
                      CAST(substr(NEW.places, 20 * n + 11, 10) AS INTEGER))
        FROM numbers WHERE n < NEW.entry_count;
    INSERT INTO hashes (position, hash)
        SELECT NEW.first_position + NEW.run_length * n, substr(NEW.hashes, 32 * NEW.run_length * n + 1, 32 * NEW.run_length)
        FROM numbers WHERE n < NEW.run_count;
    DELETE FROM heads WHERE tree_size = NEW.dropped_head;
    INSERT INTO heads (tree_size, note) VALUES (NEW.tree_size, NEW.note);
END;
";
const COUNT_OUT: &str = "
INSERT INTO numbers
WITH RECURSIVE counted (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < ?) SELECT n FROM counted";
/// Its values: first log index, number of entries, all entries end to end, offset from 1 and length of each, of ten digits;
/// first position, number of runs, hashes of each but the last, all hashes end to end; size of the head to drop (or -1); size of
/// the new head, its note.
const APPEND: &str = "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Pages of the write-ahead log (8 MB) from which on the connection that writes moves them into the file, before it answers.
/// [`super::Backfill`] has moved most of them by then. Only while all are moved does SQLite begin the write-ahead log anew; a
/// longer one would be written where the disk has no blocks for it yet, which takes longer than to overwrite some.
const WAL_PAGES_MAX: &str = "2000";

/// How the log's own connections are made.
pub(crate) fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging()
}

/// Opens the connection that writes batches of at most so many entries. A missing or empty file becomes a log, unless it must
/// exist.
pub(super) async fn write(
    path: &Path,
    origin: &str,
    batch_size_max: usize,
    must_exist: bool,
) -> Result<SqliteConnection, AuditError> {
    let options = connect_options(path).create_if_missing(!must_exist).pragma("wal_autocheckpoint", WAL_PAGES_MAX);
    let mut connection = options.connect().await?;
    if !must_exist {
        create(&mut connection, origin).await?;
    }
    check_meta(&mut connection, path, origin).await?;
    let raise = "UPDATE meta SET value = ?1 WHERE name = 'schema_version' AND value <> ?1";
    sqlx::query(raise).bind(SCHEMA_VERSION.to_string()).execute(&mut connection).await?;
    sqlx::raw_sql(BATCHES).execute(&mut connection).await?;
    // One for each entry; what a batch has of runs of hashes is less, or few.
    let number_count = batch_size_max as i64 + 8;
    sqlx::query(COUNT_OUT).bind(number_count).execute(&mut connection).await?;
    Ok(connection)
}

/// Makes the tables of an empty file.
async fn create(connection: &mut SqliteConnection, origin: &str) -> Result<(), sqlx::Error> {
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await?;
    if tables > 0 {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO meta (name, value) VALUES ('schema_version', ?), ('origin', ?)")
        .bind(SCHEMA_VERSION.to_string())
        .bind(origin)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

/// Refuses files that are no audit log, are of a newer schema or of another origin.
pub(super) async fn check_meta(connection: &mut SqliteConnection, path: &Path, origin: &str) -> Result<(), AuditError> {
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
pub(super) async fn append(connection: &mut SqliteConnection, batch: Batch) -> Result<(), sqlx::Error> {
    let mut start = 1;
    let mut places = String::with_capacity(20 * batch.lengths.len());
    for length in &batch.lengths {
        // Writing to a text cannot fail.
        let _ = write!(places, "{start:010}{length:010}");
        start += length;
    }
    sqlx::query(APPEND)
        .bind(batch.first_index as i64)
        .bind(batch.lengths.len() as i64)
        .bind(batch.entries)
        .bind(places.into_bytes())
        .bind(tree::stored_count(batch.first_index) as i64)
        .bind(run_count(batch.hashes.len()))
        .bind(RUN_MAX as i64)
        .bind(batch.hashes.concat())
        .bind(batch.dropped_head.map_or(-1, |size| size as i64))
        .bind(batch.tree_size as i64)
        .bind(batch.note)
        .execute(connection)
        .await
        .map(|_| ())
}

/// Ends a transaction that failed half-way, if one is open.
pub(super) async fn roll_back(connection: &mut SqliteConnection) {
    // Without an open transaction this fails, and that is the state wanted.
    let _ = sqlx::query("ROLLBACK").execute(connection).await;
}

/// Stores a first checkpoint, that of the empty tree.
pub(super) async fn insert_head(
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

/// Opens the file for reading only. Without a write-ahead log beside it nobody has it open, and it can be read from a
/// medium on which nothing can be written.
pub(super) async fn read(path: &Path, origin: &str) -> Result<SqliteConnection, AuditError> {
    let mut write_ahead_log = path.as_os_str().to_owned();
    write_ahead_log.push("-wal");
    let closed = !Path::new(&write_ahead_log).exists();
    let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(closed);
    let mut connection = options.disable_statement_logging().connect().await?;
    check_meta(&mut connection, path, origin).await?;
    Ok(connection)
}

pub(super) async fn heads(
    connection: &mut SqliteConnection,
    condition: &str,
    first: i64,
    last: i64,
) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
    let select = format!("SELECT tree_size, CAST(note AS BLOB) FROM heads WHERE {condition}");
    sqlx::query_as(AssertSqlSafe(select)).bind(first).bind(last).fetch_all(connection).await
}

/// First and one past the last log index, first and one past the last position. A row of hashes stands for one at least, and
/// what is left over for one more.
pub(super) async fn ends(connection: &mut SqliteConnection) -> Result<(i64, i64, i64, i64), sqlx::Error> {
    sqlx::query_as(
        "SELECT coalesce((SELECT min(log_index) FROM entries), 0), coalesce((SELECT max(log_index) FROM entries), -1) + 1,
                coalesce((SELECT min(position) FROM hashes), 0),
                coalesce((SELECT position + max(1, (length(hash) + 31) / 32) FROM hashes ORDER BY position DESC LIMIT 1), 0)",
    )
    .fetch_one(connection)
    .await
}

/// Each hash out of the last run that begins at or before its position, if that reaches it.
const HASHES_AT: &str = "
SELECT wanted.value, substr(run.hash, 32 * (wanted.value - run.position) + 1, 32)
FROM json_each(?1) AS wanted
CROSS JOIN hashes AS run ON run.position = (
    SELECT position FROM hashes WHERE position > wanted.value - ?2 AND position <= wanted.value ORDER BY position DESC LIMIT 1)";

pub(super) async fn hashes_at(
    connection: &mut SqliteConnection,
    positions: &[u64],
) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
    sqlx::query_as(HASHES_AT).bind(json_array(positions)).bind(RUN_MAX as i64).fetch_all(connection).await
}

/// A text joined from blobs is their bytes end to end, as long as the database keeps texts in UTF-8, which it does. What a
/// damaged file holds in the place of a blob counts with the bytes it adds to that, none for NULL.
pub(super) const PACKED_ENTRIES: &str = "
SELECT CAST(group_concat(entry, '') AS BLOB), group_concat(log_index), group_concat(coalesce(octet_length(entry), 0))
FROM (SELECT log_index, entry FROM entries WHERE log_index >= ? AND log_index < ? ORDER BY log_index)";
pub(super) const PACKED_RUNS: &str = "
SELECT CAST(group_concat(hash, '') AS BLOB), group_concat(position), group_concat(coalesce(octet_length(hash), 0))
FROM (SELECT position, hash FROM hashes WHERE position >= ? AND position < ? ORDER BY position)";

/// Rows of one of the statements above as one value, with a list of the keys and one of the lengths: a row each would cost
/// more than to hash them.
pub(super) async fn packed(
    connection: &mut SqliteConnection,
    select: &'static str,
    keys: &Range<u64>,
) -> Result<Packed, sqlx::Error> {
    let query = sqlx::query_as(select).bind(keys.start as i64).bind(keys.end as i64);
    let (bytes, keys, lengths): (Option<Vec<u8>>, Option<String>, Option<String>) = query.fetch_one(connection).await?;
    let (keys, lengths) = (keys.unwrap_or_default(), lengths.unwrap_or_default());
    let keys = keys.split(',').filter_map(|key| key.parse().ok());
    let lengths = lengths.split(',').filter_map(|length| length.parse().ok());
    Packed::new(bytes.unwrap_or_default(), keys.zip(lengths))
        .ok_or_else(|| sqlx::Error::Protocol("values that are not as long as the file says".to_owned()))
}

pub(super) async fn entries_at(
    connection: &mut SqliteConnection,
    indices: &[u64],
) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
    let select = "SELECT log_index, entry FROM entries
                  WHERE log_index IN (SELECT value FROM json_each(?)) ORDER BY log_index";
    sqlx::query_as(select).bind(json_array(indices)).fetch_all(connection).await
}

pub(super) async fn next_entries(
    connection: &mut SqliteConnection,
    range: &Range<u64>,
    count_max: u32,
) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
    let select =
        "SELECT log_index, entry FROM entries WHERE log_index >= ? AND log_index < ? ORDER BY log_index LIMIT ?";
    let query = sqlx::query_as(select).bind(range.start as i64).bind(range.end as i64).bind(count_max);
    query.fetch_all(connection).await
}

/// A connection that leaves nothing of what it deletes in the file.
pub(super) async fn remover(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    connect_options(path).pragma("secure_delete", "ON").connect().await
}

/// Numbers as a JSON array, to bind a list of any length as one value.
pub(crate) fn json_array(numbers: &[u64]) -> String {
    let texts: Vec<String> = numbers.iter().map(u64::to_string).collect();
    format!("[{}]", texts.join(","))
}
