//! Personal numbers: the 12 digits of today and the 9 digits of the old card.
//!
//! There is no formula from the old number to the new; only a register that carries both links them.

use std::borrow::Cow;
use std::fmt;

use crate::text::token;
use crate::{Conversion, Converted, Defect, Gender, Note, PartialDate};

/// Prefixes of the 63 provinces of birth registration. Which prefixes follow the mergers of 2025 is not published.
const PROVINCES: [u16; 63] = [
    1, 2, 4, 6, 8, 10, 11, 12, 14, 15, 17, 19, 20, 22, 24, 25, 26, 27, 30, 31, 33, 34, 35, 36, 37, 38, 40, 42, 44, 45,
    46, 48, 49, 51, 52, 54, 56, 58, 60, 62, 64, 66, 67, 68, 70, 72, 74, 75, 77, 79, 80, 82, 83, 84, 86, 87, 89, 91, 92,
    93, 94, 95, 96,
];

/// Births registered abroad have the code of the country, from here up.
const COUNTRY_MIN: u16 = 101;

/// A 12-digit personal number: prefix, century and sex, year, six digits. It has no check digit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonalId([u8; 12]);

impl PersonalId {
    /// The digits.
    pub fn as_str(&self) -> &str {
        // Only ASCII digits get in.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The birth year the number was issued for.
    pub fn birth_year(&self) -> u16 {
        1900 + 100 * (self.digit(3) / 2) + 10 * self.digit(4) + self.digit(5)
    }

    /// Whether the number was issued for a man.
    pub fn male(&self) -> bool {
        self.digit(3).is_multiple_of(2)
    }

    /// Three digits: province or country of birth registration, which proves nothing about residence.
    pub fn prefix(&self) -> &str {
        self.as_str().get(..3).unwrap_or_default()
    }

    fn digit(&self, at: usize) -> u16 {
        u16::from(self.0[at] - b'0')
    }
}

impl fmt::Debug for PersonalId {
    /// Withholds the number: debug output ends in logs.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PersonalId(..)")
    }
}

/// Reads a personal number. Eleven digits that make a known province with a zero before them are a number that lost it.
pub fn personal_id(input: &str) -> Conversion<PersonalId> {
    let Converted { value: written, mut notes } = digits(input)?;
    let restored = written.len() == 11;
    let written = if restored { Cow::Owned(format!("0{written}")) } else { written };
    let number: [u8; 12] = written.as_bytes().try_into().map_err(|_| Defect::WrongLength)?;
    let prefix: u16 = written.get(..3).and_then(|prefix| prefix.parse().ok()).ok_or(Defect::NotDigits)?;
    if prefix < COUNTRY_MIN && !PROVINCES.contains(&prefix) {
        return Err(if restored { Defect::WrongLength } else { Defect::UnknownPrefix });
    }
    notes.insert_if(restored, Note::LeadingZeroRestored);
    Ok(Converted { value: PersonalId(number), notes })
}

/// Reads a personal number from a column of a number type, which keeps no zeros at the front: two are lost of the numbers of
/// the provinces 001 to 008.
pub fn personal_id_of_number(input: &str) -> Conversion<PersonalId> {
    let held = digits(input)?.value;
    if held.len() == 10 {
        let mut converted = personal_id(&format!("00{held}")).map_err(|_| Defect::WrongLength)?;
        converted.notes.insert(Note::LeadingZeroRestored);
        return Ok(converted);
    }
    personal_id(input)
}

/// Reads the 9-digit number of the old card (CMND). Eight digits are one that lost its leading zero.
pub fn legacy_id(input: &str) -> Conversion<Cow<'_, str>> {
    let Converted { value, mut notes } = digits(input)?;
    match value.len() {
        9 => Ok(Converted { value, notes }),
        8 => {
            notes.insert(Note::LeadingZeroRestored);
            Ok(Converted { value: Cow::Owned(format!("0{value}")), notes })
        }
        _ => Err(Defect::WrongLength),
    }
}

/// Whether birth year or sex of the number contradict the record.
///
/// A reason to doubt, not to reject: corrections of either leave an old number behind.
pub fn contradicts(id: &PersonalId, birth: Option<PartialDate>, gender: Option<Gender>) -> bool {
    let year = birth.is_some_and(|birth| birth.year != id.birth_year());
    let sex = match gender {
        Some(Gender::Male) => !id.male(),
        Some(Gender::Female) => id.male(),
        _ => false,
    };
    year || sex
}

/// The digits of a number, without the spaces and dots people group them with. One digit all through is a filler.
pub(crate) fn digits(input: &str) -> Conversion<Cow<'_, str>> {
    let Converted { mut value, mut notes } = token(input)?;
    if value.contains([' ', '.']) {
        value = Cow::Owned(value.replace([' ', '.'], ""));
        notes.insert(Note::Punctuation);
    }
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Defect::NotDigits);
    }
    let bytes = value.as_bytes();
    if bytes.len() > 1 && bytes.iter().all(|byte| Some(byte) == bytes.first()) {
        return Err(Defect::Placeholder);
    }
    Ok(Converted { value, notes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &str) -> PersonalId {
        personal_id(input).unwrap().value
    }

    #[test]
    fn worked_examples_say_year_and_sex() {
        for (number, prefix, year, male) in [
            ("052185000123", "052", 1985, false),
            ("064205012345", "064", 2005, true),
            ("001198000001", "001", 1998, false),
            ("052300999999", "052", 2000, false),
        ] {
            let id = read(number);
            assert_eq!((id.as_str(), id.prefix(), id.birth_year(), id.male()), (number, prefix, year, male));
            assert!(personal_id(number).unwrap().notes.is_empty());
        }
    }

    #[test]
    fn lost_zero_is_restored_only_before_a_known_province() {
        let converted = personal_id("52185000123").unwrap();
        assert_eq!(converted.value.as_str(), "052185000123");
        assert_eq!(converted.notes, Note::LeadingZeroRestored.into());
        assert_eq!(personal_id("53185000123"), Err(Defect::WrongLength));
    }

    #[test]
    fn numbers_of_the_first_provinces_lose_two_zeros_in_a_column_of_numbers() {
        for (held, number) in
            [("1193580287", "001193580287"), ("8085000123", "008085000123"), ("52185000123", "052185000123")]
        {
            let converted = personal_id_of_number(held).unwrap();
            assert_eq!(converted.value.as_str(), number);
            assert_eq!(converted.notes, Note::LeadingZeroRestored.into());
        }
        assert!(personal_id_of_number("101185000123").unwrap().notes.is_empty());
        // As text ten digits are a tax code or an insurance number; 003 is no province; three zeros are no prefix.
        assert_eq!(personal_id("1193580287"), Err(Defect::WrongLength));
        for wrong in ["3193580287", "193580287", "2222222222"] {
            assert!(personal_id_of_number(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_number_is_a_defect() {
        for (input, defect) in [
            ("003185000123", Defect::UnknownPrefix),
            ("000185000123", Defect::UnknownPrefix),
            ("097185000123", Defect::UnknownPrefix),
            ("05218500012", Defect::WrongLength),
            ("0521850001234", Defect::WrongLength),
            ("05218500012X", Defect::NotDigits),
            ("٠٥٢١٨٥٠٠٠١٢٣", Defect::NotDigits),
            ("000000000000", Defect::Placeholder),
            ("111111111111", Defect::Placeholder),
            ("", Defect::Empty),
            ("không", Defect::Placeholder),
        ] {
            assert_eq!(personal_id(input), Err(defect), "{input}");
        }
        assert!(personal_id("101185000123").is_ok());
        assert_eq!(personal_id("052 185 000 123").unwrap().notes, Note::Punctuation.into());
    }

    #[test]
    fn old_numbers_have_nine_digits() {
        assert_eq!(legacy_id("211234567").unwrap(), Converted::clean("211234567".into()));
        assert_eq!(legacy_id("11234567").unwrap(), Converted::noted("011234567".into(), Note::LeadingZeroRestored));
        assert_eq!(legacy_id("052185000123"), Err(Defect::WrongLength));
    }

    #[test]
    fn contradictions_are_of_year_and_sex_only() {
        let id = read("052185000123");
        let born = |text: &str| Some(text.parse().unwrap());
        assert!(!contradicts(&id, born("1985-03-07"), Some(Gender::Female)));
        assert!(contradicts(&id, born("1986"), Some(Gender::Female)));
        assert!(contradicts(&id, born("1985"), Some(Gender::Male)));
        assert!(!contradicts(&id, None, Some(Gender::Unknown)));
    }

    #[test]
    fn debug_output_withholds_the_number() {
        assert!(!format!("{:?}", read("052185000123")).contains("0521"));
    }
}
