//! PostgreSQL.

use std::{str::FromStr, sync::Arc};

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use rust_decimal::Decimal;
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Decode, Either, Executor, Postgres, Row as _, SqlSafeStr,
    Statement, TypeInfo, ValueRef,
    error::BoxDynError,
    postgres::{PgConnectOptions, PgConnection, PgRow, PgTypeKind, PgValueFormat, PgValueRef},
};

use super::{Ask, Bind, Row, column_row, pool::Connect, without_parameters};
use crate::cell::Cell;

/// The first version of the server that looks after its callers while it works.
const CONNECTION_CHECK_SINCE: u32 = 140_000;

/// A database in SQL_ASCII knows no encoding, and would be refused what is not UTF-8: the mapping says what its bytes mean.
macro_rules! bytes_as_they_are {
    () => {
        "SELECT set_config('client_encoding', 'SQL_ASCII', false) WHERE current_setting('server_encoding') = 'SQL_ASCII'"
    };
}

pub(crate) struct Driver(PgConnectOptions);

impl Driver {
    pub(super) fn new(url: &str) -> Result<Self, sqlx::Error> {
        let options = PgConnectOptions::from_str(url)?;
        // Statements are timed by the caller's span.
        // Values come in binary; the option is for texts, and poolers refuse a connection that sets it.
        let options = options.application_name("lienthong").disable_statement_logging().extra_float_digits(None);
        Ok(Self(options.options([("default_transaction_read_only", "on")])))
    }
}

impl Connect for Driver {
    type Connection = PgConnection;

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let mut connection = PgConnection::connect_with(&self.0).await?;
        // A caller who has gone is noticed while a statement runs, and the statement is given up.
        if connection.server_version_num() >= Some(CONNECTION_CHECK_SINCE) {
            connection.execute(concat!("SET client_connection_check_interval = '1s'; ", bytes_as_they_are!())).await?;
        } else {
            connection.execute(bytes_as_they_are!()).await?;
        }
        Ok(connection)
    }

    async fn ask(connection: &mut PgConnection, sql: Arc<str>, ask: Ask<'_>) -> Result<Vec<Row>, sqlx::Error> {
        let (Ask::Rows(binds) | Ask::Facts(binds)) = ask else { return columns(connection, sql).await };
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for bind in binds {
            query = match bind {
                // No text here holds a NUL, and a statement with one is refused: it equals nothing.
                Bind::Text(value) => query.bind(value.as_deref().filter(|text| !text.contains('\0'))),
                Bind::Int(value) => query.bind(*value),
                Bind::Bool(value) => query.bind(*value),
                Bind::Bytes(value) => query.bind(value.as_deref()),
            };
        }
        query.fetch_all(connection).await?.iter().map(row).collect()
    }
}

/// The columns a statement would give.
async fn columns(connection: &mut PgConnection, sql: Arc<str>) -> Result<Vec<Row>, sqlx::Error> {
    let statement = connection.prepare(AssertSqlSafe(sql).into_sql_str()).await?;
    without_parameters(match statement.parameters() {
        Some(Either::Left(types)) => types.len(),
        Some(Either::Right(count)) => count,
        None => 0,
    })?;
    let columns = statement.columns().iter();
    Ok(columns
        .map(|column| {
            let kind = column.type_info();
            let class = if matches!(kind.kind(), PgTypeKind::Enum(_)) { "e" } else { "" };
            // The name of the padded type in SQL; the catalogue has its name in the server.
            let name = if kind.name() == "CHAR" { "bpchar" } else { kind.name() };
            column_row(column.name(), name, class)
        })
        .collect())
}

fn row(row: &PgRow) -> Result<Row, sqlx::Error> {
    (0..row.len()).map(|index| cell(row.try_get_raw(index)?).map_err(sqlx::Error::Decode)).collect()
}

fn read<'r, T: Decode<'r, Postgres>>(value: PgValueRef<'r>) -> Result<T, BoxDynError> {
    T::decode(value)
}

fn cell(value: PgValueRef<'_>) -> Result<Cell, BoxDynError> {
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let kind = value.type_info().name().to_owned();
    // Statements are prepared, whose values come in their binary form.
    if value.format() == PgValueFormat::Text {
        return Ok(characters(value.as_bytes()?));
    }
    Ok(match kind.as_str() {
        "BOOL" => Cell::Bool(read::<bool>(value)?),
        "INT2" => Cell::Int(read::<i16>(value)?.into()),
        "INT4" => Cell::Int(read::<i32>(value)?.into()),
        "INT8" => Cell::Int(read::<i64>(value)?),
        "FLOAT4" => Cell::float(read::<f32>(value)?),
        "FLOAT8" => Cell::float(read::<f64>(value)?),
        "NUMERIC" => read::<Decimal>(value).map_or(Cell::Unfit, Cell::Decimal),
        "BIT" | "VARBIT" => bits(value.as_bytes()?),
        "BYTEA" => Cell::Bytes(read::<Vec<u8>>(value)?),
        "DATE" => date(read::<i32>(value)?),
        "TIME" => Cell::Text(time(read::<i64>(value)?)),
        "TIMESTAMP" => moment(read::<i64>(value)?).map_or(Cell::Unfit, Cell::DateTime),
        "TIMESTAMPTZ" => moment(read::<i64>(value)?).map_or(Cell::Unfit, |time| Cell::Instant(time.and_utc())),
        "UUID" => Cell::Text(read::<sqlx::types::Uuid>(value)?.to_string()),
        // The binary form has a version byte before the text.
        "JSONB" => characters(value.as_bytes()?.strip_prefix(b"\x01").unwrap_or_default()),
        // Text in all its names, and enumerations.
        _ => characters(value.as_bytes()?),
    })
}

/// Text; in a database that knows no encoding it stays bytes, for the mapping's encoding to decode.
fn characters(bytes: &[u8]) -> Cell {
    std::str::from_utf8(bytes).map_or_else(|_| Cell::Bytes(bytes.to_vec()), |text| Cell::Text(text.to_owned()))
}

/// Days since 2000. The driver would panic at infinity, which registers write where a validity has no end.
fn date(days: i32) -> Cell {
    let epoch = NaiveDate::from_ymd_opt(2000, 1, 1);
    let date = epoch.and_then(|epoch| epoch.checked_add_signed(TimeDelta::try_days(days.into())?));
    date.map_or(Cell::Unfit, |date| Cell::Date(date.to_string()))
}

/// Microseconds since 2000; nothing for infinity and what is in no calendar.
fn moment(microseconds: i64) -> Option<NaiveDateTime> {
    let epoch = NaiveDate::from_ymd_opt(2000, 1, 1)?.and_time(NaiveTime::MIN);
    epoch.checked_add_signed(TimeDelta::microseconds(microseconds))
}

/// Microseconds since midnight; the end of a day is not its beginning.
fn time(microseconds: i64) -> String {
    let day = TimeDelta::days(1).num_microseconds();
    match NaiveTime::MIN.overflowing_add_signed(TimeDelta::microseconds(microseconds)) {
        _ if Some(microseconds) == day => "24:00:00".to_owned(),
        (time, _) => time.to_string(),
    }
}

/// A count of bits, then the bits, filled up with zeros at the end.
fn bits(bytes: &[u8]) -> Cell {
    let Some((count, bits)) = bytes.split_first_chunk::<4>() else { return Cell::Unfit };
    let unused = (8 * bits.len()).checked_sub(i32::from_be_bytes(*count).unsigned_abs() as usize);
    match unused {
        Some(unused @ 0..8) if bits.len() < 8 => {
            Cell::Int(bits.iter().fold(0, |number, byte| number << 8 | i64::from(*byte)) >> unused)
        }
        _ => Cell::Unfit,
    }
}
