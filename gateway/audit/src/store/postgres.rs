//! Logs in a PostgreSQL database: the schema, and the statements that read and write it.
//!
//! All tables lie in the schema `lienthong_audit`. A database holds any number of logs, one for each replica of the
//! gateway. Durability: `synchronous_commit = on`, so a commit is on the disk of the server, and of its synchronous
//! standbys where there are any, before it is reported.

use std::ops::Range;
use std::time::Duration;

use futures::TryStreamExt;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};

use super::runs::{RUN_MAX, run_count};
use super::{Batch, Location, LogId, Packed, SCHEMA_VERSION, signed};
use crate::error::AuditError;
use crate::keys::{KeyHistory, LogKeys};
use crate::tree;

/// What a log holds does not refer to `logs` by a key of the database, which would look there and lock a row for each row added:
/// who changes a table behind the log's back is found by verifying.
const SCHEMA: &str = "
CREATE SCHEMA IF NOT EXISTS lienthong_audit;
CREATE TABLE meta (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE logs (
    log_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    origin text NOT NULL UNIQUE,
    verifier_key text NOT NULL
);
CREATE TABLE entries (
    log_index bigint NOT NULL, entry bytea NOT NULL, log_id integer NOT NULL, PRIMARY KEY (log_id, log_index)
);
CREATE TABLE hashes (
    position bigint NOT NULL, hash bytea NOT NULL, log_id integer NOT NULL, PRIMARY KEY (log_id, position)
);
CREATE TABLE heads (
    tree_size bigint NOT NULL, note text NOT NULL, log_id integer NOT NULL, PRIMARY KEY (log_id, tree_size)
);
";

/// One statement for any number of entries: one transaction, one round trip. Its values: number of the log, first log
/// index, all entries end to end, where each begins (from 1) and its length; first position, all hashes end to end, the number
/// of runs they make, and of hashes in each but the last; size of the head to drop (or -1); size of the new head, its note. Two processes that write one log give out
/// the same indices: the primary keys let one of them fail whole. It has one plan, which is made once: the server would
/// otherwise make one each time, which takes longer than carrying it out.
const APPEND: &str = "
WITH added AS (
    INSERT INTO entries (log_index, entry, log_id)
    SELECT $2::int8 + place.n - 1, substr($3::bytea, place.first, place.length), $1::int4
    FROM unnest($4::int4[], $5::int4[]) WITH ORDINALITY AS place (first, length, n)
), hashed AS (
    INSERT INTO hashes (position, hash, log_id)
    SELECT $6::int8 + $9::int4 * n, substr($7::bytea, 32 * $9::int4 * n + 1, 32 * $9::int4), $1::int4
    FROM generate_series(0, $8::int4 - 1) AS n
), dropped AS (
    DELETE FROM heads WHERE log_id = $1::int4 AND tree_size = $10::int8
)
INSERT INTO heads (tree_size, note, log_id) VALUES ($11::int8, $12::text, $1::int4)";

/// Longest time for one transaction. The server gives up first, so that its answer is known where there is one.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(6);
/// Longest time to make a connection that writes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What a binary copy begins with.
const COPY_SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Every question to a log goes down one of its primary keys; without statistics the planner would at times read a table
/// whole, or sort what the key has in order.
pub(crate) const BY_KEY: [(&str, &str); 4] =
    [("enable_seqscan", "off"), ("enable_bitmapscan", "off"), ("enable_hashjoin", "off"), ("enable_mergejoin", "off")];
/// Tells advisory locks on logs from anybody else's in the same database.
const LOCK_CLASS: i32 = 0x4c54_4c31;

/// How connections to the log are made. A server drops a connection whose other end has gone after some seconds, so that
/// a writer that was cut off does not keep the log from the one that follows it.
pub(crate) fn connect_options(options: &PgConnectOptions, synchronous_commit: &str) -> PgConnectOptions {
    options
        .clone()
        .application_name("lienthong-audit")
        .options([
            ("search_path", "lienthong_audit"),
            ("synchronous_commit", synchronous_commit),
            ("lock_timeout", "3s"),
            ("tcp_keepalives_idle", "5"),
            ("tcp_keepalives_interval", "2"),
            ("tcp_keepalives_count", "3"),
        ])
        .disable_statement_logging()
}

/// Opens the connection that writes the log of these keys; makes the tables, and enters the log, unless it must exist.
pub(super) async fn write(
    location: &Location,
    options: &PgConnectOptions,
    keys: &KeyHistory,
    must_exist: bool,
) -> Result<(PgConnection, LogId), AuditError> {
    let connecting = async {
        let own = [("statement_timeout", "5s"), ("plan_cache_mode", "force_generic_plan")];
        let mut connection = connect_options(options, "on").options(own).connect().await?;
        if !must_exist {
            create(&mut connection).await?;
            warn_unless_durable(&mut connection, location).await?;
            raise_schema(&mut connection, location).await?;
            sqlx::query("INSERT INTO logs (origin, verifier_key) VALUES ($1, $2) ON CONFLICT (origin) DO NOTHING")
                .bind(keys.origin())
                .bind(keys.to_string())
                .execute(&mut connection)
                .await?;
        }
        let log = log_id(&mut connection, location, keys.origin()).await?;
        lock(&mut connection, location, log).await?;
        // A key may have been replaced since the log was entered.
        sqlx::query("UPDATE logs SET verifier_key = $2 WHERE log_id = $1 AND verifier_key <> $2")
            .bind(log)
            .bind(keys.to_string())
            .execute(&mut connection)
            .await?;
        Ok((connection, log))
    };
    tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or(Err(AuditError::Timeout))
}

/// Opens a connection that reads the log of this origin.
pub(super) async fn read(
    location: &Location,
    options: &PgConnectOptions,
    origin: &str,
) -> Result<(PgConnection, LogId), AuditError> {
    let mut connection = connect_options(options, "on").options(BY_KEY).connect().await?;
    let log = log_id(&mut connection, location, origin).await?;
    Ok((connection, log))
}

/// Makes the tables if they are missing. Replicas that start together wait for each other.
async fn create(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1, 0)").bind(LOCK_CLASS).execute(&mut *transaction).await?;
    let missing: bool = sqlx::query_scalar("SELECT to_regclass('lienthong_audit.entries') IS NULL")
        .fetch_one(&mut *transaction)
        .await?;
    if missing {
        sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
        sqlx::raw_sql(crate::index::postgres::SCHEMA).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO meta (name, value) VALUES ('schema_version', $1)")
            .bind(SCHEMA_VERSION.to_string())
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

async fn warn_unless_durable(connection: &mut PgConnection, location: &Location) -> Result<(), sqlx::Error> {
    let fsync: String = sqlx::query_scalar("SHOW fsync").fetch_one(connection).await?;
    if fsync != "on" {
        tracing::warn!(store = %location, fsync, "the audit log's database does not survive a loss of power");
    }
    Ok(())
}

/// Makes the schema of an older log this release's. The owner of the tables can; whoever may only add to the log cannot.
async fn raise_schema(connection: &mut PgConnection, location: &Location) -> Result<(), AuditError> {
    let found = check_meta(connection, location).await?;
    if found == SCHEMA_VERSION {
        return Ok(());
    }
    let raise = "UPDATE meta SET value = $1 WHERE name = 'schema_version'";
    match sqlx::query(raise).bind(SCHEMA_VERSION.to_string()).execute(connection).await {
        // insufficient_privilege
        Err(error) if code(&error).as_deref() == Some("42501") => {
            Err(AuditError::OlderSchema { found, known: SCHEMA_VERSION })
        }
        raised => Ok(raised.map(drop)?),
    }
}

/// The schema of a log. Refuses databases that hold no audit log or one of a newer schema.
async fn check_meta(connection: &mut PgConnection, location: &Location) -> Result<i64, AuditError> {
    let not_a_log = || AuditError::NotALog { path: location.to_string() };
    let found: Option<String> = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'schema_version'")
        .fetch_optional(connection)
        .await
        .map_err(|error| if is_foreign(&error) { not_a_log() } else { error.into() })?;
    let found: i64 = found.and_then(|text| text.parse().ok()).ok_or_else(not_a_log)?;
    if found > SCHEMA_VERSION { Err(AuditError::NewerSchema { found, known: SCHEMA_VERSION }) } else { Ok(found) }
}

/// Number of the log of this origin.
async fn log_id(connection: &mut PgConnection, location: &Location, origin: &str) -> Result<LogId, AuditError> {
    check_meta(connection, location).await?;
    let logs = logs(connection).await?;
    match logs.iter().find(|log| log.origin == origin) {
        Some(log) => Ok(log.id),
        None => {
            let origins: Vec<&str> = logs.iter().map(|log| log.origin.as_str()).collect();
            Err(AuditError::Origin { found: origins.join(", "), expected: origin.to_owned() })
        }
    }
}

/// A log of the database, as it was entered.
#[derive(Debug, Clone)]
pub(crate) struct LogRow {
    pub(crate) id: LogId,
    pub(crate) origin: String,
    /// One public key a line, the newest first.
    pub(crate) verifier_keys: String,
}

/// All logs of the database.
pub(crate) async fn logs(connection: &mut PgConnection) -> Result<Vec<LogRow>, sqlx::Error> {
    let select = "SELECT log_id, origin, verifier_key FROM logs ORDER BY log_id";
    let rows: Vec<(LogId, String, String)> = sqlx::query_as(select).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(id, origin, verifier_keys)| LogRow { id, origin, verifier_keys }).collect())
}

/// Holds the log for this connection. It ends with the connection, however that ends; one that is just ending is waited
/// for.
async fn lock(connection: &mut PgConnection, location: &Location, log: LogId) -> Result<(), AuditError> {
    let locked = sqlx::query("SELECT pg_advisory_lock($1, $2)").bind(LOCK_CLASS).bind(log).execute(connection).await;
    match locked {
        Ok(_) => Ok(()),
        // lock_not_available
        Err(error) if code(&error).as_deref() == Some("55P03") => Err(AuditError::InUse { path: location.to_string() }),
        Err(error) => Err(error.into()),
    }
}

/// True if the schema or the table is missing.
fn is_foreign(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some("3F000" | "42P01"))
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned())
}

pub(super) async fn append(connection: &mut PgConnection, log: LogId, batch: Batch) -> Result<(), AuditError> {
    let (mut starts, mut lengths, mut start) = (Vec::new(), Vec::new(), 1);
    for length in &batch.lengths {
        // A batch is bounded far below 2^31 bytes.
        let length = *length as i32;
        starts.push(start);
        lengths.push(length);
        start += length;
    }
    let appending = sqlx::query(APPEND)
        .bind(log)
        .bind(batch.first_index as i64)
        .bind(batch.entries)
        .bind(starts)
        .bind(lengths)
        .bind(tree::stored_count(batch.first_index) as i64)
        .bind(batch.hashes.concat())
        .bind(run_count(batch.hashes.len()) as i32)
        .bind(RUN_MAX as i32)
        .bind(batch.dropped_head.map_or(-1, |size| size as i64))
        .bind(batch.tree_size as i64)
        .bind(batch.note)
        .execute(connection);
    match tokio::time::timeout(COMMIT_TIMEOUT, appending).await {
        Ok(done) => Ok(done.map(drop)?),
        Err(_) => Err(AuditError::Timeout),
    }
}

pub(super) async fn insert_head(
    connection: &mut PgConnection,
    log: LogId,
    tree_size: u64,
    note: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO heads (tree_size, note, log_id) VALUES ($1, $2, $3)")
        .bind(tree_size as i64)
        .bind(note)
        .bind(log)
        .execute(connection)
        .await
        .map(drop)
}

pub(super) async fn heads(
    connection: &mut PgConnection,
    log: LogId,
    condition: &str,
    first: i64,
    last: i64,
) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
    let select = format!("SELECT tree_size, convert_to(note, 'UTF8') FROM heads WHERE log_id = $3 AND {condition}");
    sqlx::query_as(AssertSqlSafe(select)).bind(first).bind(last).bind(log).fetch_all(connection).await
}

/// First and one past the last log index, first and one past the last position. A row of hashes stands for one at least, and
/// what is left over for one more.
pub(super) async fn ends(connection: &mut PgConnection, log: LogId) -> Result<(i64, i64, i64, i64), sqlx::Error> {
    sqlx::query_as(
        "SELECT coalesce((SELECT min(log_index) FROM entries WHERE log_id = $1), 0),
                coalesce((SELECT max(log_index) FROM entries WHERE log_id = $1), -1) + 1,
                coalesce((SELECT min(position) FROM hashes WHERE log_id = $1), 0),
                coalesce((SELECT position + greatest(1, (length(hash) + 31) / 32) FROM hashes WHERE log_id = $1
                          ORDER BY position DESC LIMIT 1), 0)",
    )
    .bind(log)
    .fetch_one(connection)
    .await
}

/// Each hash out of the last run that begins at or before its position, if that reaches it.
const HASHES_AT: &str = "
SELECT wanted, substr(run.hash, 32 * (wanted - run.position)::int4 + 1, 32)
FROM unnest($2::int8[]) AS wanted CROSS JOIN LATERAL (
    SELECT position, hash FROM hashes WHERE log_id = $1 AND position > wanted - $3::int4 AND position <= wanted
    ORDER BY position DESC LIMIT 1) AS run";

pub(super) async fn hashes_at(
    connection: &mut PgConnection,
    log: LogId,
    positions: &[u64],
) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
    let query = sqlx::query_as(HASHES_AT).bind(log).bind(signed(positions)).bind(RUN_MAX as i32);
    query.fetch_all(connection).await
}

pub(super) async fn packed_entries(
    connection: &mut PgConnection,
    log: LogId,
    range: &Range<u64>,
) -> Result<Packed, sqlx::Error> {
    let (start, end) = (range.start, range.end);
    let select = format!(
        "SELECT log_index, entry FROM entries
         WHERE log_id = {log} AND log_index >= {start} AND log_index < {end} ORDER BY log_index"
    );
    packed(connection, &select).await
}

pub(super) async fn packed_runs(
    connection: &mut PgConnection,
    log: LogId,
    positions: &Range<u64>,
) -> Result<Packed, sqlx::Error> {
    let (start, end) = (positions.start, positions.end);
    let select = format!(
        "SELECT position, hash FROM hashes
         WHERE log_id = {log} AND position >= {start} AND position < {end} ORDER BY position"
    );
    packed(connection, &select).await
}

/// Keys and values as the server copies them out: it sends each as it reads it, and never holds many in one value. Such a
/// statement takes no values; what is written into it are numbers.
async fn packed(connection: &mut PgConnection, select: &str) -> Result<Packed, sqlx::Error> {
    let mut messages = connection.copy_out_raw(&format!("COPY ({select}) TO STDOUT (FORMAT binary)")).await?;
    let mut copied = Vec::new();
    while let Some(message) = messages.try_next().await? {
        copied.extend_from_slice(&message);
    }
    copied_rows(&copied).ok_or_else(|| sqlx::Error::Protocol("malformed binary copy".to_owned()))
}

/// The rows of a binary copy of two columns, a number and a byte string: a header, for each row the number of its columns
/// (2 bytes) and the length of each value (4 bytes) before the value, and at the end -1 in the place of a number of columns.
fn copied_rows(copied: &[u8]) -> Option<Packed> {
    let (signature, rest) = copied.split_at_checked(COPY_SIGNATURE.len())?;
    let (_flags, rest) = rest.split_at_checked(4)?;
    let (extension, rest) = rest.split_first_chunk()?;
    let mut rest = rest.get(u32::from_be_bytes(*extension) as usize..)?;
    let mut rows = Packed { bytes: Vec::with_capacity(copied.len()), ends: Vec::new() };
    loop {
        let (columns, after) = rest.split_first_chunk()?;
        match i16::from_be_bytes(*columns) {
            -1 => return (signature == COPY_SIGNATURE && after.is_empty()).then_some(rows),
            2 => {}
            _ => return None,
        }
        let (key, after) = copied_value(after)?;
        let (value, after) = copied_value(after)?;
        rows.push(i64::from_be_bytes(key.try_into().ok()?) as u64, value);
        rest = after;
    }
}

fn copied_value(copied: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = copied.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

pub(super) async fn entries_at(
    connection: &mut PgConnection,
    log: LogId,
    indices: &[u64],
) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
    let select = "SELECT log_index, entry FROM entries WHERE log_id = $1 AND log_index = ANY($2) ORDER BY log_index";
    sqlx::query_as(select).bind(log).bind(signed(indices)).fetch_all(connection).await
}

pub(super) async fn next_entries(
    connection: &mut PgConnection,
    log: LogId,
    range: &Range<u64>,
    count_max: u32,
) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
    let select = "SELECT log_index, entry FROM entries
                  WHERE log_id = $1 AND log_index >= $2 AND log_index < $3 ORDER BY log_index LIMIT $4";
    let query = sqlx::query_as(select).bind(log).bind(range.start as i64).bind(range.end as i64);
    query.bind(i64::from(count_max)).fetch_all(connection).await
}

pub(super) async fn entries_within(
    connection: &mut PgConnection,
    log: LogId,
    range: &Range<u64>,
) -> Result<Packed, sqlx::Error> {
    let select = "SELECT log_index, entry FROM entries
                  WHERE log_id = $1 AND log_index >= $2 AND log_index < $3 ORDER BY log_index";
    let query = sqlx::query(select).bind(log).bind(range.start as i64).bind(range.end as i64);
    let (mut rows, mut packed) = (query.fetch(connection), Packed::default());
    while let Some(row) = rows.try_next().await? {
        packed.push(row.try_get::<i64, _>(0)? as u64, row.try_get(1)?);
    }
    Ok(packed)
}

/// A connection that removes entry bodies.
pub(super) async fn remover(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    connect_options(options, "on").connect().await
}
