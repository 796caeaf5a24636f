//! SQLite. Types are those of each value: a column's declared type binds nobody.

use std::{str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Decode, Either, Executor, Row as _, SqlSafeStr, Sqlite,
    Statement, TypeInfo, ValueRef,
    error::BoxDynError,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow, SqliteValueRef},
};

use super::{Ask, Bind, Row, column_row, pool::Connect, without_parameters};
use crate::cell::Cell;

/// How long a reader waits for a writer of the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Pages a connection keeps, in KiB as SQLite wants them written: the upper ones of its indexes. The system keeps the rest of
/// the file once for all connections.
const CACHE_SIZE: &str = "-512";

pub(crate) struct Driver(SqliteConnectOptions);

impl Driver {
    pub(super) fn new(url: &str) -> Result<Self, sqlx::Error> {
        // Statements are timed by the caller's span.
        let options = SqliteConnectOptions::from_str(url)?.disable_statement_logging();
        let options = options.read_only(true).create_if_missing(false).pragma("cache_size", CACHE_SIZE);
        Ok(Self(options.busy_timeout(BUSY_TIMEOUT)))
    }
}

impl Connect for Driver {
    type Connection = SqliteConnection;

    async fn connect(&self) -> Result<SqliteConnection, sqlx::Error> {
        SqliteConnection::connect_with(&self.0).await
    }

    async fn ask(connection: &mut SqliteConnection, sql: Arc<str>, ask: Ask<'_>) -> Result<Vec<Row>, sqlx::Error> {
        let (Ask::Rows(binds) | Ask::Facts(binds)) = ask else { return columns(connection, sql).await };
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for bind in binds {
            query = match bind.clone() {
                Bind::Text(value) => query.bind(value),
                Bind::Int(value) => query.bind(value),
                Bind::Bool(value) => query.bind(value),
                Bind::Bytes(value) => query.bind(value),
            };
        }
        query.fetch_all(connection).await?.iter().map(row).collect()
    }
}

/// The columns a statement would give.
async fn columns(connection: &mut SqliteConnection, sql: Arc<str>) -> Result<Vec<Row>, sqlx::Error> {
    let statement = connection.prepare(AssertSqlSafe(sql).into_sql_str()).await?;
    without_parameters(match statement.parameters() {
        Some(Either::Left(types)) => types.len(),
        Some(Either::Right(count)) => count,
        None => 0,
    })?;
    let columns = statement.columns().iter();
    Ok(columns
        .map(|column| {
            // A column without a declared type holds what it holds.
            let name = column.type_info().name();
            column_row(column.name(), if name == "NULL" { "" } else { name }, "")
        })
        .collect())
}

fn row(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    (0..row.len()).map(|index| cell(row.try_get_raw(index)?).map_err(sqlx::Error::Decode)).collect()
}

fn read<'r, T: Decode<'r, Sqlite>>(value: SqliteValueRef<'r>) -> Result<T, BoxDynError> {
    T::decode(value)
}

fn cell(value: SqliteValueRef<'_>) -> Result<Cell, BoxDynError> {
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let kind = value.type_info().name().to_owned();
    Ok(match kind.as_str() {
        "INTEGER" | "BOOLEAN" => Cell::Int(read::<i64>(value)?),
        "REAL" => Cell::float(read::<f64>(value)?),
        "BLOB" => Cell::Bytes(read::<Vec<u8>>(value)?),
        // Text of another encoding than UTF-8 stays bytes, for the mapping's encoding to decode.
        _ => {
            String::from_utf8(read::<Vec<u8>>(value)?).map_or_else(|error| Cell::Bytes(error.into_bytes()), Cell::Text)
        }
    })
}
