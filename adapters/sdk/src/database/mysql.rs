//! MySQL and MariaDB.

use std::{str::FromStr, sync::Arc};

use chrono::{NaiveDate, NaiveTime};
use rust_decimal::Decimal;
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Decode, Either, Executor, MySql, Row as _, SqlSafeStr,
    Statement, TypeInfo, ValueRef,
    error::BoxDynError,
    mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlValueRef},
};

use super::{Ask, Bind, Row, column_row, pool::Connect, without_parameters};
use crate::cell::Cell;

/// The zone in which the server gives and takes points in time.
const SESSION_ZONE: &str = "+00:00";

pub(crate) struct Driver(MySqlConnectOptions);

impl Driver {
    pub(super) fn new(url: &str) -> Result<Self, sqlx::Error> {
        // Statements are timed by the caller's span.
        let options = MySqlConnectOptions::from_str(url)?.timezone(SESSION_ZONE.to_owned());
        // In a SELECT of a mapping || means what it means to the server's own clients.
        Ok(Self(options.pipes_as_concat(false).disable_statement_logging()))
    }
}

impl Connect for Driver {
    type Connection = MySqlConnection;

    async fn connect(&self) -> Result<MySqlConnection, sqlx::Error> {
        let mut connection = MySqlConnection::connect_with(&self.0).await?;
        connection.execute("SET SESSION TRANSACTION READ ONLY").await?;
        Ok(connection)
    }

    async fn ask(connection: &mut MySqlConnection, sql: Arc<str>, ask: Ask<'_>) -> Result<Vec<Row>, sqlx::Error> {
        let (Ask::Rows(binds) | Ask::Facts(binds)) = ask else { return columns(connection, sql).await };
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for bind in binds {
            query = match bind {
                Bind::Text(value) => query.bind(value.as_deref()),
                Bind::Int(value) => query.bind(*value),
                Bind::Bool(value) => query.bind(*value),
                Bind::Bytes(value) => query.bind(value.as_deref()),
            };
        }
        query.fetch_all(connection).await?.iter().map(row).collect()
    }
}

/// The columns a statement would give.
async fn columns(connection: &mut MySqlConnection, sql: Arc<str>) -> Result<Vec<Row>, sqlx::Error> {
    let statement = connection.prepare(AssertSqlSafe(sql).into_sql_str()).await?;
    without_parameters(match statement.parameters() {
        Some(Either::Left(types)) => types.len(),
        Some(Either::Right(count)) => count,
        None => 0,
    })?;
    let columns = statement.columns().iter();
    Ok(columns
        .map(|column| {
            let name = column.type_info().name().trim_end_matches(" UNSIGNED");
            let name = if name == "BOOLEAN" { "TINYINT" } else { name };
            column_row(column.name(), if name == "NULL" { "VARCHAR" } else { name }, "")
        })
        .collect())
}

fn row(row: &MySqlRow) -> Result<Row, sqlx::Error> {
    (0..row.len()).map(|index| cell(row.try_get_raw(index)?).map_err(sqlx::Error::Decode)).collect()
}

fn read<'r, T: Decode<'r, MySql>>(value: MySqlValueRef<'r>) -> Result<T, BoxDynError> {
    T::decode(value)
}

fn cell(value: MySqlValueRef<'_>) -> Result<Cell, BoxDynError> {
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let kind = value.type_info().name().to_owned();
    Ok(match kind.as_str() {
        // TINYINT(1) may hold other numbers than 0 and 1.
        "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => Cell::Int(read::<i64>(value)?),
        "TINYINT UNSIGNED" | "SMALLINT UNSIGNED" | "MEDIUMINT UNSIGNED" | "INT UNSIGNED" | "BIGINT UNSIGNED"
        | "YEAR" => whole(read::<u64>(value)?),
        "BIT" => whole(read::<&[u8]>(value)?.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte))),
        "FLOAT" => Cell::float(read::<f32>(value)?),
        "DOUBLE" => Cell::float(read::<f64>(value)?),
        // A number of more digits than decimals hold is still one as text.
        "DECIMAL" => {
            let digits = read::<&[u8]>(value)?;
            let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<Decimal>().ok());
            number.map_or_else(|| characters(digits), Cell::Decimal)
        }
        "DATE" => Cell::Date(day(read::<&[u8]>(value)?)),
        "DATETIME" => moment(read::<&[u8]>(value)?),
        // Kept as points in time and given in the session's zone; a DATETIME is given as it was written.
        "TIMESTAMP" => match moment(read::<&[u8]>(value)?) {
            Cell::DateTime(time) => Cell::Instant(time.and_utc()),
            other => other,
        },
        "TIME" => Cell::Text(time(read::<&[u8]>(value)?)),
        // Padded with zero bytes to its width.
        "BINARY" => {
            let bytes = read::<&[u8]>(value)?;
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            Cell::Bytes(bytes[..end].to_vec())
        }
        "VARBINARY" | "TINYBLOB" | "BLOB" | "MEDIUMBLOB" | "LONGBLOB" | "GEOMETRY" => {
            Cell::Bytes(read::<&[u8]>(value)?.to_vec())
        }
        _ => characters(read::<&[u8]>(value)?),
    })
}

/// Text; what is none stays bytes, for the mapping's encoding to decode.
fn characters(bytes: &[u8]) -> Cell {
    std::str::from_utf8(bytes).map_or_else(|_| Cell::Bytes(bytes.to_vec()), |text| Cell::Text(text.to_owned()))
}

/// A time of the binary protocol (length, sign, days, hour, minute, second), which may be of many days.
fn time(bytes: &[u8]) -> String {
    let [_, negative, a, b, c, d, hour, minute, second, ..] = bytes else { return "00:00:00".to_owned() };
    let hours = u64::from(u32::from_le_bytes([*a, *b, *c, *d])) * 24 + u64::from(*hour);
    let sign = if *negative == 1 { "-" } else { "" };
    format!("{sign}{hours:02}:{minute:02}:{second:02}")
}

fn whole(number: u64) -> Cell {
    i64::try_from(number).map_or_else(|_| Cell::Decimal(Decimal::from(number)), Cell::Int)
}

/// A date of the binary protocol (length, year, month, day), whose month and day may be zero, which chrono could not
/// hold. The driver gives one of zeros throughout as NULL.
fn day(bytes: &[u8]) -> String {
    match bytes {
        [_, low, high, month, day, ..] => {
            let year = u16::from_le_bytes([*low, *high]);
            match (month, day) {
                (0, 0) if year != 0 => format!("{year:04}"),
                (month, 0) if year != 0 => format!("{year:04}-{month:02}"),
                (month, day) => format!("{year:04}-{month:02}-{day:02}"),
            }
        }
        _ => "0000-00-00".to_owned(),
    }
}

/// A date and time; one that is in no calendar is kept as its date.
fn moment(bytes: &[u8]) -> Cell {
    let [hour, minute, second] = match bytes.get(5..8) {
        Some([hour, minute, second]) => [*hour, *minute, *second].map(u32::from),
        _ => [0; 3],
    };
    let micro = match bytes.get(8..12) {
        Some([a, b, c, d]) => u32::from_le_bytes([*a, *b, *c, *d]),
        _ => 0,
    };
    let date = day(bytes);
    let time = NaiveTime::from_hms_micro_opt(hour, minute, second, micro);
    match (date.parse::<NaiveDate>(), time) {
        (Ok(date), Some(time)) => Cell::DateTime(date.and_time(time)),
        _ => Cell::Date(date),
    }
}
