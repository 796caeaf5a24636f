//! Dates that may be known to the day, the month or only the year.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use chrono::NaiveDate;

use crate::text::token;
use crate::{Conversion, Converted, Defect, Note, outcome::named};

/// Years a register can mean.
const YEARS: RangeInclusive<u16> = 1800..=2100;

/// A date known to the day, the month or only the year. Printed and read as `1985`, `1985-03`, `1985-03-07`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartialDate {
    /// Year, 1800 to 2100.
    pub year: u16,
    /// Month, where known.
    pub month: Option<u8>,
    /// Day, where known; never without a month.
    pub day: Option<u8>,
}

impl PartialDate {
    /// A date if it is in the calendar. A month or day of zero means that it is not known.
    pub fn new(year: u16, month: u8, day: u8) -> Result<PartialDate, Defect> {
        let first = |part: u8| part.max(1).into();
        if year == 0 && month == 0 && day == 0 {
            return Err(Defect::ZeroDate);
        }
        if month == 0 && day != 0 {
            return Err(Defect::BadDate);
        }
        NaiveDate::from_ymd_opt(year.into(), first(month), first(day)).ok_or(Defect::BadDate)?;
        if !YEARS.contains(&year) {
            return Err(Defect::OutOfRange);
        }
        Ok(PartialDate { year, month: (month != 0).then_some(month), day: (day != 0).then_some(day) })
    }
}

impl fmt::Display for PartialDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04}", self.year)?;
        self.month.map_or(Ok(()), |month| write!(formatter, "-{month:02}"))?;
        self.day.map_or(Ok(()), |day| write!(formatter, "-{day:02}"))
    }
}

impl FromStr for PartialDate {
    type Err = Defect;

    fn from_str(text: &str) -> Result<PartialDate, Defect> {
        partial_date(text, DateFormat::Iso).map(|converted| converted.value)
    }
}

/// How a register writes dates; each format has its own shorter forms for dates known less exactly. A midnight after a day
/// with signs between its parts is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DateFormat {
    /// `19850307`, `198503`, `1985`.
    Compact,
    /// `07.03.1985`, `03.1985`, `1985`.
    Dotted,
    /// `07/03/1985`, `03/1985`, `1985`.
    Slashed,
    /// `07-03-1985`, `03-1985`, `1985`.
    Dashed,
    /// `1985-03-07`, `1985-03`, `1985`.
    Iso,
    /// `03/1985`, `1985`.
    MonthSlashed,
    /// `03.1985`, `1985`.
    MonthDotted,
    /// `198503`, `1985`.
    MonthCompact,
    /// `1985`.
    Year,
}

named!("date format" DateFormat {
    "yyyyMMdd" => Compact,
    "dd.MM.yyyy" => Dotted,
    "dd/MM/yyyy" => Slashed,
    "dd-MM-yyyy" => Dashed,
    "yyyy-MM-dd" => Iso,
    "MM/yyyy" => MonthSlashed,
    "MM.yyyy" => MonthDotted,
    "yyyyMM" => MonthCompact,
    "yyyy" => Year,
});

impl DateFormat {
    /// The character between the parts.
    fn separator(self) -> Option<char> {
        match self {
            DateFormat::Compact | DateFormat::MonthCompact | DateFormat::Year => None,
            DateFormat::Dotted | DateFormat::MonthDotted => Some('.'),
            DateFormat::Slashed | DateFormat::MonthSlashed => Some('/'),
            DateFormat::Dashed | DateFormat::Iso => Some('-'),
        }
    }

    /// How many parts the format has at most: 1 year, 2 month and year, 3 all.
    fn parts_max(self) -> usize {
        match self {
            DateFormat::Year => 1,
            DateFormat::MonthSlashed | DateFormat::MonthDotted | DateFormat::MonthCompact => 2,
            _ => 3,
        }
    }
}

/// Reads a date in the declared format or its shorter forms. A month or day of zero ("19850000") or left open ("__/__/1985") is
/// not known.
pub fn partial_date(input: &str, format: DateFormat) -> Conversion<PartialDate> {
    let Converted { value: written, notes } = match token(input) {
        Err(Defect::Placeholder) if is_zeros(input) => return Err(Defect::ZeroDate),
        other => other?,
    };
    if is_zeros(&written) {
        return Err(Defect::ZeroDate);
    }
    let (year, month, day) = match format.separator() {
        None => split_compact(&written, format.parts_max())?,
        Some(separator) => split_separated(&written, separator, format)?,
    };
    Ok(Converted { value: PartialDate::new(year, month, day)?, notes })
}

/// Reads a birth date: as [`partial_date`], and 1 January is noted `suspect_precision`, as registers wrote it where only
/// the year was known.
pub fn birth_date(input: &str, format: DateFormat) -> Conversion<PartialDate> {
    partial_date(input, format).map(suspect_new_year)
}

/// Reads a date whose precision stands in another column: `0` day, `1` year, `2` year and month.
///
/// What is finer than the stated precision is padding and dropped; where it cannot be padding (neither 0 nor 1), or
/// where the date is coarser than stated, the two columns contradict each other and `suspect_precision` is noted.
pub fn partial_date_with_precision(input: &str, precision: &str, format: DateFormat) -> Conversion<PartialDate> {
    let mut converted = partial_date(input, format)?;
    let date = &mut converted.value;
    let real = |part: Option<u8>| part.is_some_and(|part| part > 1);
    let contradiction = match precision.trim() {
        "0" => date.day.is_none(),
        "1" => real(date.month) || real(date.day),
        "2" => date.month.is_none() || real(date.day),
        _ => return Err(Defect::UnknownCode),
    };
    match precision.trim() {
        "1" => (date.month, date.day) = (None, None),
        "2" => date.day = None,
        _ => {}
    }
    converted.notes.insert_if(contradiction, Note::SuspectPrecision);
    Ok(converted)
}

/// As [`partial_date_with_precision`], for birth dates: a full date on 1 January is noted `suspect_precision`.
pub fn birth_date_with_precision(input: &str, precision: &str, format: DateFormat) -> Conversion<PartialDate> {
    partial_date_with_precision(input, precision, format).map(suspect_new_year)
}

/// Reads a date whose year, month and day stand in columns of their own. A month or day that is zero or is said to be
/// unknown ("không rõ") is not known; a day without a month, or either without a year, is no date.
pub fn date_of_parts(year: &str, month: &str, day: &str) -> Conversion<PartialDate> {
    let (year, month, day) = (part(year, 4)?, part(month, 2)?, part(day, 2)?);
    if year.value == 0 && (month.value, day.value) != (0, 0) {
        return Err(Defect::BadDate);
    }
    let date = PartialDate::new(year.value, month.value as u8, day.value as u8)?;
    Ok(Converted { value: date, notes: year.notes.union(month.notes).union(day.notes) })
}

/// As [`date_of_parts`], for birth dates: 1 January is noted `suspect_precision`.
pub fn birth_date_of_parts(year: &str, month: &str, day: &str) -> Conversion<PartialDate> {
    date_of_parts(year, month, day).map(suspect_new_year)
}

/// A part of a date as a number of at most so many digits; 0 where it is empty or said to be unknown.
fn part(written: &str, digits_max: usize) -> Conversion<u16> {
    let Converted { value: written, notes } = match token(written) {
        Err(Defect::Empty | Defect::Placeholder) => return Ok(Converted::clean(0)),
        other => other?,
    };
    if written.len() > digits_max {
        return Err(Defect::BadDate);
    }
    digits(&written).map(|number| Converted { value: number, notes })
}

fn suspect_new_year(mut converted: Converted<PartialDate>) -> Converted<PartialDate> {
    let new_year = (converted.value.month, converted.value.day) == (Some(1), Some(1));
    converted.notes.insert_if(new_year, Note::SuspectPrecision);
    converted
}

/// "0000-00-00", "00/00/0000", "00000000": what databases and forms keep in place of no date.
fn is_zeros(text: &str) -> bool {
    text.contains('0') && text.chars().all(|letter| matches!(letter, '0' | '-' | '/' | '.' | ' ' | ':'))
}

fn split_compact(written: &str, parts_max: usize) -> Result<(u16, u8, u8), Defect> {
    const LENGTHS: [usize; 3] = [4, 6, 8];
    if !LENGTHS.iter().take(parts_max).any(|&length| length == written.len()) {
        return Err(Defect::BadDate);
    }
    let part = |range| written.get(range).map_or(Ok(0), digits);
    Ok((part(0..4)?, part(4..6)? as u8, part(6..8)? as u8))
}

fn split_separated(written: &str, separator: char, format: DateFormat) -> Result<(u16, u8, u8), Defect> {
    let written = without_midnight(written);
    let mut parts = [""; 3];
    let mut count = 0;
    for part in written.split(separator) {
        if count == format.parts_max() {
            return Err(Defect::BadDate);
        }
        parts[count] = part.trim();
        count += 1;
    }
    let parts = &mut parts[..count];
    if format != DateFormat::Iso {
        parts.reverse();
    }
    let (year, rest) = parts.split_first().ok_or(Defect::BadDate)?;
    if year.len() != 4 || rest.iter().any(|part| part.len() > 2) {
        return Err(Defect::BadDate);
    }
    let part = |at: usize| rest.get(at).filter(|part| !is_left_blank(part)).map_or(Ok(0), |part| digits(part));
    Ok((digits(year)?, part(0)? as u8, part(1)? as u8))
}

/// A day or month that a form left open: `  /  /1985`, `__/__/1985`, `??/03/1985`.
fn is_left_blank(part: &str) -> bool {
    part.bytes().all(|byte| matches!(byte, b' ' | b'_' | b'?' | b'x' | b'X'))
}

/// A date written as a timestamp: `1985-03-07 00:00:00`, `07/03/1985 0:00`. Another time is not dropped: whose midnight it
/// stands for, nobody says.
fn without_midnight(written: &str) -> &str {
    let midnight =
        |time: &str| time.starts_with(['0', ' ']) && time.contains(':') && time.chars().all(|c| "0:. Z".contains(c));
    match written.split_once([' ', 'T']) {
        Some((date, time)) if midnight(time) => date,
        _ => written,
    }
}

/// Up to four ASCII digits.
fn digits(part: &str) -> Result<u16, Defect> {
    if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Defect::BadDate);
    }
    part.parse().map_err(|_| Defect::BadDate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &str, format: &str) -> Result<String, Defect> {
        partial_date(input, format.parse().unwrap()).map(|converted| converted.value.to_string())
    }

    #[test]
    fn every_format_reads_its_own_partial_forms() {
        for (input, format, date) in [
            ("19850307", "yyyyMMdd", "1985-03-07"),
            ("198503", "yyyyMMdd", "1985-03"),
            ("1985", "yyyyMMdd", "1985"),
            ("19850000", "yyyyMMdd", "1985"),
            ("19850300", "yyyyMMdd", "1985-03"),
            ("07.03.1985", "dd.MM.yyyy", "1985-03-07"),
            ("03.1985", "dd.MM.yyyy", "1985-03"),
            ("7/3/1985", "dd/MM/yyyy", "1985-03-07"),
            ("03/1985", "dd/MM/yyyy", "1985-03"),
            ("1985", "dd/MM/yyyy", "1985"),
            ("1985-00-00", "yyyy-MM-dd", "1985"),
            ("  /  /1985", "dd/MM/yyyy", "1985"),
            ("__/__/1985", "dd/MM/yyyy", "1985"),
            ("??.03.1985", "dd.MM.yyyy", "1985-03"),
            ("xx-xx-1985", "dd-MM-yyyy", "1985"),
            ("1985-03-", "yyyy-MM-dd", "1985-03"),
            ("1985-03-07 00:00:00", "yyyy-MM-dd", "1985-03-07"),
            ("1985-03-07T00:00:00.000Z", "yyyy-MM-dd", "1985-03-07"),
            ("07/03/1985 00:00:00", "dd/MM/yyyy", "1985-03-07"),
            ("7/3/1985 0:00", "dd/MM/yyyy", "1985-03-07"),
            ("07-03-1985 00:00", "dd-MM-yyyy", "1985-03-07"),
            ("2024-02-29", "yyyy-MM-dd", "2024-02-29"),
            ("03/1985", "MM/yyyy", "1985-03"),
            ("198503", "yyyyMM", "1985-03"),
            ("1985", "yyyy", "1985"),
        ] {
            assert_eq!(read(input, format).as_deref(), Ok(date), "{input} as {format}");
        }
    }

    #[test]
    fn what_is_no_date_is_a_defect() {
        for (input, format, defect) in [
            ("29.02.2023", "dd.MM.yyyy", Defect::BadDate),
            ("07/03/1985", "dd.MM.yyyy", Defect::BadDate),
            ("07/03/1985", "MM/yyyy", Defect::BadDate),
            ("85", "yyyy", Defect::BadDate),
            ("07/03/85", "dd/MM/yyyy", Defect::BadDate),
            ("13/1985", "MM/yyyy", Defect::BadDate),
            ("1985-00-07", "yyyy-MM-dd", Defect::BadDate),
            ("1985-03-07 14:30:00", "yyyy-MM-dd", Defect::BadDate),
            ("07/03/1985 17:00:00", "dd/MM/yyyy", Defect::BadDate),
            ("07/03/1985 0", "dd/MM/yyyy", Defect::BadDate),
            ("07/  /1985", "dd/MM/yyyy", Defect::BadDate),
            ("07/03/    ", "dd/MM/yyyy", Defect::BadDate),
            ("__/__/____", "dd/MM/yyyy", Defect::Placeholder),
            ("0000-00-00", "yyyy-MM-dd", Defect::ZeroDate),
            ("0000-00-00 00:00:00", "yyyy-MM-dd", Defect::ZeroDate),
            ("00/00/0000", "dd/MM/yyyy", Defect::ZeroDate),
            ("00000000", "yyyyMMdd", Defect::ZeroDate),
            ("17850307", "yyyyMMdd", Defect::OutOfRange),
            ("không", "dd/MM/yyyy", Defect::Placeholder),
            ("", "yyyy", Defect::Empty),
            ("+985", "yyyy", Defect::BadDate),
        ] {
            assert_eq!(read(input, format), Err(defect), "{input} as {format}");
        }
    }

    #[test]
    fn only_birth_dates_suspect_new_year() {
        let noted = |conversion: Conversion<PartialDate>| conversion.unwrap().notes.contains(Note::SuspectPrecision);
        assert!(noted(birth_date("01/01/1950", DateFormat::Slashed)));
        assert!(!noted(birth_date("1950", DateFormat::Slashed)));
        assert!(!noted(birth_date("01/1950", DateFormat::Slashed)));
        assert!(!noted(partial_date("01/01/1950", DateFormat::Slashed)));
        assert!(noted(birth_date_with_precision("19500101", "0", DateFormat::Compact)));
        assert!(!noted(birth_date_with_precision("19500101", "1", DateFormat::Compact)));
    }

    #[test]
    fn precision_in_another_column_wins_over_padding() {
        for (input, precision, date, doubtful) in [
            ("19850307", "0", "1985-03-07", false),
            ("19850101", "1", "1985", false),
            ("1985", "1", "1985", false),
            ("19850000", "1", "1985", false),
            ("19850301", "2", "1985-03", false),
            ("198503", "2", "1985-03", false),
            ("19850307", "1", "1985", true),
            ("1985", "0", "1985", true),
        ] {
            let converted = partial_date_with_precision(input, precision, DateFormat::Compact).unwrap();
            assert_eq!(converted.value.to_string(), date);
            assert_eq!(converted.notes.contains(Note::SuspectPrecision), doubtful, "{input} {precision}");
        }
        let unknown = partial_date_with_precision("19850307", "9", DateFormat::Compact);
        assert_eq!(unknown, Err(Defect::UnknownCode));
        for (input, format) in [("1985-03-07", DateFormat::Iso), ("07/03/1985", DateFormat::Slashed)] {
            let year = partial_date_with_precision(input, "1", format).unwrap();
            assert_eq!((year.value.to_string().as_str(), year.notes.contains(Note::SuspectPrecision)), ("1985", true));
            let month = partial_date_with_precision(input, "2", format).unwrap();
            assert_eq!(month.value.to_string(), "1985-03");
        }
    }

    #[test]
    fn a_date_in_three_columns_is_as_exact_as_they_are() {
        for (parts, date) in [
            (["1985", "3", "7"], Ok("1985-03-07")),
            (["1985", "03", " 07 "], Ok("1985-03-07")),
            (["1985", "3", "0"], Ok("1985-03")),
            (["1985", "03", ""], Ok("1985-03")),
            (["1985", "00", "00"], Ok("1985")),
            (["1985", "không rõ", ""], Ok("1985")),
            (["2024", "2", "29"], Ok("2024-02-29")),
            (["2023", "2", "29"], Err(Defect::BadDate)),
            (["1985", "", "7"], Err(Defect::BadDate)),
            (["", "3", "7"], Err(Defect::BadDate)),
            (["0", "3", "0"], Err(Defect::BadDate)),
            (["85", "3", "7"], Err(Defect::OutOfRange)),
            (["1985", "13", "7"], Err(Defect::BadDate)),
            (["1985", "3", "1985-03-07"], Err(Defect::BadDate)),
            (["19850307", "3", "7"], Err(Defect::BadDate)),
            (["0", "0", "0"], Err(Defect::ZeroDate)),
        ] {
            let [year, month, day] = parts;
            let read = date_of_parts(year, month, day).map(|converted| converted.value.to_string());
            assert_eq!(read, date.map(str::to_owned), "{parts:?}");
        }
        let noted = |month, day| birth_date_of_parts("1950", month, day).unwrap().notes;
        assert!(noted("1", "1").contains(Note::SuspectPrecision) && noted("", "").is_empty());
        assert!(noted("2 ", "3").contains(Note::Whitespace));
    }

    #[test]
    fn text_form_comes_back() {
        for text in ["1985", "1985-03", "1985-03-07"] {
            assert_eq!(text.parse::<PartialDate>().unwrap().to_string(), text);
        }
    }
}
