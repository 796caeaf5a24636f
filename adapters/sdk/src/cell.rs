//! What a database holds in one column of one row, before anyone interprets it.

use std::borrow::Cow;

use chrono::{DateTime, FixedOffset, NaiveDateTime, NaiveTime, Utc};
use normalize::{Converted, Defect, Encoding, Note, Notes};
use rust_decimal::Decimal;

/// A cell. NULL and empty text mean the same to every reader.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Text(String),
    Bytes(Vec<u8>),
    Int(i64),
    Decimal(Decimal),
    Bool(bool),
    /// `yyyy-MM-dd`; MySQL may hold zeros for any part.
    Date(String),
    DateTime(NaiveDateTime),
    Instant(DateTime<Utc>),
    /// A value that no register means and no type here holds: not a number, infinity, a day in no calendar.
    Unfit,
}

/// The text of a cell, decoded.
#[derive(Debug)]
pub(crate) struct CellText<'r> {
    pub(crate) text: Cow<'r, str>,
    pub(crate) native_date: bool,
    pub(crate) number: bool,
}

impl Cell {
    /// A binary fraction by its shortest decimal digits; as text where no decimal holds it.
    pub(crate) fn float(number: impl ToString) -> Self {
        let digits = number.to_string();
        digits.parse().map_or_else(|_| Self::Text(digits), Self::Decimal)
    }

    /// The text of the cell, nothing when it is empty. Spaces at the end of a padded column are no content.
    pub(crate) fn text(
        &self,
        encoding: Encoding,
        time_zone: FixedOffset,
        padded: bool,
    ) -> Result<Option<Converted<CellText<'_>>>, Defect> {
        let converted = match self {
            Self::Null => return Ok(None),
            Self::Unfit => return Err(Defect::OutOfRange),
            Self::Text(text) if padded => normalize::decode_text(text.trim_end_matches(' '), encoding)?,
            Self::Text(text) => normalize::decode_text(text, encoding)?,
            Self::Bytes(bytes) => normalize::decode(bytes, encoding)?,
            Self::Int(number) => return Ok(Some(number_text(number.to_string()))),
            Self::Decimal(number) => return Ok(Some(number_text(number.normalize().to_string()))),
            Self::Bool(flag) => plain(if *flag { "1" } else { "0" }.to_owned()),
            Self::Date(date) => return Ok(Some(native(date.as_str().into()))),
            Self::DateTime(time) => return Ok(Some(day(*time))),
            Self::Instant(time) => return Ok(Some(day(time.with_timezone(&time_zone).naive_local()))),
        };
        let empty = converted.value.trim().is_empty();
        Ok((!empty).then(|| converted.map(|text| CellText { text, native_date: false, number: false })))
    }

    /// The cell as the text that compares equal in joins, without padding: nothing when it is empty.
    pub(crate) fn key(&self) -> Option<String> {
        match self {
            Self::Bytes(bytes) => String::from_utf8(bytes.clone()).ok(),
            other => other
                .text(Encoding::Utf8, FixedOffset::east_opt(0)?, true)
                .ok()
                .flatten()
                .map(|text| text.value.text.into_owned()),
        }
    }

    /// The cell as people read it, bytes as text where they are some; nothing for NULL.
    pub(crate) fn shown(&self) -> Option<String> {
        Some(match self {
            Self::Null => return None,
            Self::Unfit => "(out of range)".to_owned(),
            Self::Text(text) | Self::Date(text) => text.clone(),
            Self::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
                _ => format!("0x{}", hex::encode(bytes)),
            },
            Self::Int(number) => number.to_string(),
            Self::Decimal(number) => number.to_string(),
            Self::Bool(flag) => flag.to_string(),
            Self::DateTime(time) => time.to_string(),
            Self::Instant(time) => time.to_rfc3339(),
        })
    }

    /// The cell as a text that places it in the order of its column.
    pub(crate) fn position(&self) -> Option<String> {
        match self {
            Self::Unfit => None,
            Self::Bytes(bytes) => String::from_utf8(bytes.clone()).ok(),
            Self::DateTime(time) => Some(time.format("%Y-%m-%d %H:%M:%S%.6f").to_string()),
            // Sessions are in UTC, and MariaDB reads no offset.
            Self::Instant(time) => Some(time.format("%Y-%m-%d %H:%M:%S%.6f").to_string()),
            other => other.shown(),
        }
    }

    /// The cell as a point in time; times without zone are in the register's.
    pub(crate) fn instant(&self, time_zone: FixedOffset) -> Option<DateTime<Utc>> {
        let local = match self {
            Self::Instant(time) => return Some(*time),
            Self::DateTime(time) => *time,
            Self::Date(text) => midnight(text)?,
            Self::Text(text) => match DateTime::parse_from_rfc3339(text) {
                Ok(time) => return Some(time.to_utc()),
                Err(_) => local_time(text)?,
            },
            _ => return None,
        };
        local.and_local_timezone(time_zone).single().map(|time| time.to_utc())
    }
}

fn plain(text: String) -> Converted<Cow<'static, str>> {
    Converted::clean(Cow::Owned(text))
}

fn number_text(text: String) -> Converted<CellText<'static>> {
    Converted::clean(CellText { text: text.into(), native_date: false, number: true })
}

fn native(text: Cow<'_, str>) -> Converted<CellText<'_>> {
    Converted { value: CellText { text, native_date: true, number: false }, notes: Notes::NONE }
}

/// The day of a time. Where it is not midnight nobody says that the register means that day: what was midnight where the row was
/// written may be another day's evening where it is read.
fn day(time: NaiveDateTime) -> Converted<CellText<'static>> {
    let mut day = native(time.format("%Y-%m-%d").to_string().into());
    day.notes.insert_if(time.time() != NaiveTime::MIN, Note::TimeDropped);
    day
}

fn midnight(day: &str) -> Option<NaiveDateTime> {
    day.parse::<chrono::NaiveDate>().ok().map(|day| day.and_time(NaiveTime::MIN))
}

/// `yyyy-MM-dd`, with a time after a space or T.
fn local_time(text: &str) -> Option<NaiveDateTime> {
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text.trim(), format).ok())
        .or_else(|| midnight(text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day_and_notes(cell: &Cell, hours_east: i32) -> (String, Notes) {
        let zone = FixedOffset::east_opt(hours_east * 3600).unwrap();
        let read = cell.text(Encoding::Utf8, zone, false).unwrap().unwrap();
        assert!(read.value.native_date);
        (read.value.text.into_owned(), read.notes)
    }

    #[test]
    fn a_day_taken_from_a_time_other_than_midnight_says_so() {
        let at = |text: &str| local_time(text).unwrap();
        let noted = Notes::from(Note::TimeDropped);
        assert_eq!(day_and_notes(&Cell::DateTime(at("1985-03-07 00:00:00")), 7), ("1985-03-07".into(), Notes::NONE));
        // Midnight of Việt Nam, kept in UTC without a word of it.
        assert_eq!(day_and_notes(&Cell::DateTime(at("1985-03-06 17:00:00")), 7), ("1985-03-06".into(), noted));
        let instant = Cell::Instant(at("1985-03-06 17:00:00").and_utc());
        assert_eq!(day_and_notes(&instant, 7), ("1985-03-07".into(), Notes::NONE));
        // Midnight in Sài Gòn in 1965, when it was eight hours east of Greenwich.
        let instant = Cell::Instant(at("1965-03-06 16:00:00").and_utc());
        assert_eq!(day_and_notes(&instant, 7), ("1965-03-06".into(), noted));
        assert_eq!(day_and_notes(&instant, 8), ("1965-03-07".into(), Notes::NONE));
    }
}
