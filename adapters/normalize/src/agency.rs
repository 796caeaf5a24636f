//! Codes of agencies, dossiers and budget units.

use std::borrow::Cow;

use crate::personal_id::digits;
use crate::text::token;
use crate::{Conversion, Defect, Note, PartialDate};

/// Longest agency code of Decision 20/2020.
const AGENCY_CHARS_MAX: usize = 35;

/// Reads the code of a unit with relations to the budget: seven digits, the first not zero.
pub fn budget_unit_code(input: &str) -> Conversion<Cow<'_, str>> {
    let converted = digits(input)?;
    if converted.value.len() != 7 {
        return Err(Defect::WrongLength);
    }
    if converted.value.starts_with('0') {
        return Err(Defect::UnknownPrefix);
    }
    Ok(converted)
}

/// Reads an agency code in the form of Decision 20/2020 (`H21.12.03`), level 1 first.
///
/// The form of QCVN 102:2016 (`000.12.21.H08`) is turned round, its zero groups dropped, and noted
/// `old_agency_format`.
pub fn agency_code(input: &str) -> Conversion<Cow<'_, str>> {
    let mut converted = capitals(input)?;
    if is_old_agency(&converted.value) {
        let groups = converted.value.split('.').rev().filter(|group| group.bytes().any(|byte| byte != b'0'));
        converted.value = Cow::Owned(groups.collect::<Vec<_>>().join("."));
        converted.notes.insert(Note::OldAgencyFormat);
        return Ok(converted);
    }
    if converted.value.len() > AGENCY_CHARS_MAX {
        return Err(Defect::TooLong);
    }
    if !is_agency(&converted.value) {
        return Err(Defect::WrongForm);
    }
    Ok(converted)
}

/// Reads a dossier number: `<agency>-yyMMdd-<sequence of four digits or more>`.
///
/// The agency part may have either form and is kept as written, since the whole is the dossier's name.
pub fn dossier_number(input: &str) -> Conversion<Cow<'_, str>> {
    let converted = capitals(input)?;
    let parts: Vec<&str> = converted.value.split('-').collect();
    let [agency, date, sequence] = parts[..] else { return Err(Defect::WrongForm) };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !(is_agency(agency) || is_old_agency(agency)) || !all_digits(date) || !all_digits(sequence) {
        return Err(Defect::WrongForm);
    }
    if date.len() != 6 || sequence.len() < 4 {
        return Err(Defect::WrongLength);
    }
    let pair = |at: usize| date.get(at..at + 2).and_then(|pair| pair.parse::<u8>().ok()).unwrap_or_default();
    let received = PartialDate::new(2000 + u16::from(pair(0)), pair(2), pair(4))?;
    if received.day.is_none() {
        return Err(Defect::BadDate);
    }
    Ok(converted)
}

fn capitals(input: &str) -> Conversion<Cow<'_, str>> {
    let mut converted = token(input)?;
    if converted.value.bytes().any(|byte| byte.is_ascii_lowercase()) {
        converted.value = Cow::Owned(converted.value.to_ascii_uppercase());
        converted.notes.insert(Note::Capitals);
    }
    Ok(converted)
}

/// A letter and two digits, then groups of two or three digits or capitals.
fn is_agency(code: &str) -> bool {
    let mut groups = code.split('.');
    groups.next().is_some_and(is_province)
        && groups.all(|group| {
            matches!(group.len(), 2 | 3) && group.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
        })
}

fn is_province(group: &str) -> bool {
    matches!(group.as_bytes(), [letter, tens, units]
        if letter.is_ascii_uppercase() && tens.is_ascii_digit() && units.is_ascii_digit())
}

/// `V1V2V3.Z1Z2.Y1Y2.H49`, read right to left.
fn is_old_agency(code: &str) -> bool {
    let groups: Vec<&str> = code.split('.').collect();
    let [fourth, third, second, first] = groups[..] else { return false };
    let digits = |group: &str, length: usize| group.len() == length && group.bytes().all(|byte| byte.is_ascii_digit());
    digits(fourth, 3) && digits(third, 2) && digits(second, 2) && is_province(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::Converted;

    #[test]
    fn old_agency_codes_are_turned_round() {
        for (old, new) in [
            ("000.12.21.H08", "H08.21.12"),
            ("000.00.00.H49", "H49"),
            ("000.00.07.H56", "H56.07"),
            ("001.12.21.H08", "H08.21.12.001"),
        ] {
            assert_eq!(agency_code(old).unwrap(), Converted::noted(new.into(), Note::OldAgencyFormat));
        }
        for new in ["H08", "H08.12", "H21.12.03", "H21.65"] {
            assert_eq!(agency_code(new).unwrap(), Converted::clean(new.into()));
        }
        for wrong in ["H8", "08.12", "H21.1", "H21.", "H21..12", "00.12.21.H08", "H21 12"] {
            assert_eq!(agency_code(wrong), Err(Defect::WrongForm), "{wrong}");
        }
        assert_eq!(agency_code(&format!("H21{}", ".123".repeat(9))), Err(Defect::TooLong));
    }

    #[test]
    fn dossier_numbers_have_three_parts() {
        for right in ["H21.65-220914-0011", "H21-260101-00001", "000.65.21.H21-220914-0011"] {
            assert_eq!(dossier_number(right).unwrap(), Converted::clean(right.into()));
        }
        assert_eq!(dossier_number("h21.65-220914-0011").unwrap().notes, Note::Capitals.into());
        for (wrong, defect) in [
            ("H21.65-220914", Defect::WrongForm),
            ("H21.65-221314-0011", Defect::BadDate),
            ("H21.65-220900-0011", Defect::BadDate),
            ("H21.65-22091-0011", Defect::WrongLength),
            ("H21.65-220914-011", Defect::WrongLength),
            ("H21.65-220914-001A", Defect::WrongForm),
            ("65-220914-0011", Defect::WrongForm),
        ] {
            assert_eq!(dossier_number(wrong), Err(defect), "{wrong}");
        }
    }

    #[test]
    fn budget_codes_have_seven_digits() {
        for right in ["2000005", "1055507"] {
            assert_eq!(budget_unit_code(right).unwrap(), Converted::clean(right.into()));
        }
        assert_eq!(budget_unit_code("0055507"), Err(Defect::UnknownPrefix));
        assert_eq!(budget_unit_code("105550"), Err(Defect::WrongLength));
        assert_eq!(budget_unit_code("0000000"), Err(Defect::Placeholder));
    }
}
