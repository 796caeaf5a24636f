//! Dates that may be known to the day, the month or the year only.
use crate::{Conversion, Defect, outcome::named};
use std::fmt;
use std::str::FromStr;
/// A date known to the day, the month or only the year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartialDate {
    /// Year, 1800 to 2100.
    pub year: u16,
    /// Month, where known.
    pub month: Option<u8>,
    /// Day, where known; never without a month.
    pub day: Option<u8>,
}
impl fmt::Display for PartialDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = formatter;
        todo!()
    }
}
impl FromStr for PartialDate {
    type Err = Defect;
    fn from_str(text: &str) -> Result<Self, Defect> {
        let _ = text;
        todo!()
    }
}
/// How a register writes dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DateFormat {
    /// 19850307, 198503, 1985
    Compact,
    /// 07.03.1985, 03.1985, 1985
    Dotted,
    /// 07/03/1985, 03/1985, 1985
    Slashed,
    /// 07-03-1985, 03-1985, 1985
    Dashed,
    /// 1985-03-07, 1985-03, 1985
    Iso,
    /// 03/1985, 1985
    MonthSlashed,
    /// 03.1985, 1985
    MonthDotted,
    /// 198503, 1985
    MonthCompact,
    /// 1985
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
/// Reads a date.
pub fn partial_date(input: &str, format: DateFormat) -> Conversion<PartialDate> {
    let _ = (input, format);
    todo!()
}
/// Reads a birth date: as [`partial_date`], and 1 January is noted.
pub fn birth_date(input: &str, format: DateFormat) -> Conversion<PartialDate> {
    let _ = (input, format);
    todo!()
}
/// Reads a date whose precision stands in another column: 0 day, 1 year, 2 month.
pub fn partial_date_with_precision(input: &str, precision: &str) -> Conversion<PartialDate> {
    let _ = (input, precision);
    todo!()
}
/// As [`partial_date_with_precision`], for birth dates.
pub fn birth_date_with_precision(input: &str, precision: &str) -> Conversion<PartialDate> {
    let _ = (input, precision);
    todo!()
}
