//! Tax codes, which are also the codes of enterprises.

use std::borrow::Cow;

use crate::personal_id::digits;
use crate::text::token;
use crate::{Conversion, Converted, Defect, Note, PersonalId, personal_id};

const WEIGHTS: [u32; 9] = [31, 29, 23, 19, 17, 13, 7, 5, 3];

/// A tax code, by whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TaxCode {
    /// An enterprise or organisation: 10 digits.
    Enterprise(String),
    /// A branch or dependent unit: `NNNNNNNNNN-XXX`.
    Branch(String),
    /// A person or household business, taxed under the personal number since 1 July 2025.
    Person(PersonalId),
}

impl TaxCode {
    /// Canonical text.
    pub fn as_str(&self) -> &str {
        match self {
            TaxCode::Enterprise(code) | TaxCode::Branch(code) => code,
            TaxCode::Person(id) => id.as_str(),
        }
    }
}

/// Reads a tax code: 10 digits, 13 with or without the dash, or a personal number of 12.
///
/// Nine digits that pass the check with a zero before them are a code that lost it.
pub fn tax_code(input: &str) -> Conversion<TaxCode> {
    let Converted { value: written, notes: cleaned } = token(input)?;
    let (stem, suffix) = match written.split_once('-') {
        Some((stem, suffix)) => (stem.trim(), Some(suffix.trim())),
        None => (&*written, None),
    };
    let Converted { value: stem, notes } = digits(stem)?;
    let mut notes = notes.union(cleaned);
    match (stem.len(), suffix) {
        (10, None) => enterprise(&stem).map(|code| Converted { value: TaxCode::Enterprise(code), notes }),
        (10, Some(suffix)) => branch(&stem, suffix).map(|code| Converted { value: TaxCode::Branch(code), notes }),
        (13, None) => {
            notes.insert(Note::Punctuation);
            branch(&stem[..10], &stem[10..]).map(|code| Converted { value: TaxCode::Branch(code), notes })
        }
        (9, None) => {
            notes.insert(Note::LeadingZeroRestored);
            let code = enterprise(&format!("0{stem}")).map_err(|_| Defect::WrongLength)?;
            Ok(Converted { value: TaxCode::Enterprise(code), notes })
        }
        (11 | 12, None) => {
            let person = personal_id(&stem)?;
            notes.insert_if(without_zero(&stem).is_some(), Note::MayLackZero);
            Ok(Converted { notes: notes.union(person.notes), value: TaxCode::Person(person.value) })
        }
        _ => Err(Defect::WrongLength),
    }
}

/// Reads a tax code from a column of a number type, which keeps no zeros at the front. Twelve digits that with a zero before them
/// are a branch's, check digit included, are that and not a personal number of somebody born abroad.
pub fn tax_code_of_number(input: &str) -> Conversion<TaxCode> {
    match without_zero(&digits(input)?.value) {
        Some(code) => Ok(Converted::noted(TaxCode::Branch(code), Note::LeadingZeroRestored)),
        None => tax_code(input),
    }
}

/// The branch's code, check digit included, that twelve digits are with a zero before them.
fn without_zero(held: &str) -> Option<String> {
    (held.len() == 12).then(|| branch(&format!("0{}", &held[..9]), &held[9..]).ok()).flatten()
}

/// The check digit that completes nine digits; nothing where such a code is never issued, or the input is not nine digits.
pub fn tax_code_check_digit(first_nine: &str) -> Option<u8> {
    let digits = first_nine.as_bytes();
    if digits.len() != WEIGHTS.len() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    // A remainder of 0 would need the digit 10.
    u8::try_from(10 - sum % 11).ok().filter(|&digit| digit < 10)
}

/// Ten digits with the right check digit and a sequence other than zero.
fn enterprise(code: &str) -> Result<String, Defect> {
    let (stem, last) = code.split_at(9);
    let check = tax_code_check_digit(stem).ok_or(Defect::NotIssuable)?;
    if stem[2..].bytes().all(|digit| digit == b'0') {
        return Err(Defect::NotIssuable);
    }
    if last.as_bytes() != [b'0' + check] {
        return Err(Defect::WrongCheckDigit);
    }
    Ok(code.to_owned())
}

fn branch(stem: &str, suffix: &str) -> Result<String, Defect> {
    let suffix: Cow<'_, str> = suffix.into();
    if !suffix.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Defect::NotDigits);
    }
    if suffix.len() != 3 {
        return Err(Defect::WrongLength);
    }
    // Of one digit all through it is a filler here, too, though 2222222222 has the right check digit.
    let enterprise = enterprise(&digits(stem)?.value)?;
    if suffix == "000" {
        return Err(Defect::NotIssuable);
    }
    Ok(format!("{enterprise}-{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_of_the_worked_table() {
        for (stem, check) in [
            ("010023348", Some(8)),
            ("031440905", Some(8)),
            ("410000001", Some(8)),
            ("410100000", Some(3)),
            ("590012345", Some(1)),
            ("410000000", Some(0)),
            ("410000004", None),
            ("01002334", None),
            ("01002334X", None),
        ] {
            assert_eq!(tax_code_check_digit(stem), check, "{stem}");
        }
    }

    #[test]
    fn a_column_of_numbers_takes_the_zero_of_a_branch() {
        let read = |text: &str| {
            tax_code_of_number(text)
                .map(|code| (code.value.as_str().to_owned(), code.notes.contains(Note::LeadingZeroRestored)))
        };
        let restored = |code: &str| Ok((code.to_owned(), true));
        // 0314409058 and its branch 002 are of the worked table; 0100109106 is the right form of its last line.
        assert_eq!(read("314409058002"), restored("0314409058-002"));
        assert_eq!(read("100109106001"), restored("0100109106-001"));
        assert_eq!(read("314409058"), restored("0314409058"));
        assert_eq!(read("4101000003001"), Ok(("4101000003-001".to_owned(), false)));
        // Another check digit: no branch, but a number that somebody born abroad may have.
        assert_eq!(read("314409057002"), Ok(("314409057002".to_owned(), false)));
        assert_eq!(read("314409058000"), Ok(("314409058000".to_owned(), false)));
    }

    #[test]
    fn forms_are_told_apart() {
        for (input, canonical, notes) in [
            ("0100233488", "0100233488", vec![]),
            ("0314409058-002", "0314409058-002", vec![]),
            ("0314409058002", "0314409058-002", vec![Note::Punctuation]),
            ("0314409058 - 002", "0314409058-002", vec![]),
            ("100233488", "0100233488", vec![Note::LeadingZeroRestored]),
            ("052185000123", "052185000123", vec![]),
            ("0000000017", "0000000017", vec![]),
            ("314409058002", "314409058002", vec![Note::MayLackZero]),
            ("314409057002", "314409057002", vec![]),
        ] {
            let converted = tax_code(input).unwrap();
            assert_eq!(converted.value.as_str(), canonical);
            assert_eq!(converted.notes.iter().collect::<Vec<_>>(), notes, "{input}");
        }
        assert!(matches!(tax_code("052185000123").unwrap().value, TaxCode::Person(_)));
    }

    #[test]
    fn wrong_codes_are_defects() {
        for (input, defect) in [
            ("0100109107", Defect::WrongCheckDigit),
            ("2222222222", Defect::Placeholder),
            ("2222222222207", Defect::Placeholder),
            ("2222222222-207", Defect::Placeholder),
            ("4100000000", Defect::NotIssuable),
            ("4100000041", Defect::NotIssuable),
            ("0314409058-000", Defect::NotIssuable),
            ("0314409058-02", Defect::WrongLength),
            ("0314409058-0A2", Defect::NotDigits),
            ("0314409057-002", Defect::WrongCheckDigit),
            ("123456789", Defect::WrongLength),
            ("0000000000", Defect::Placeholder),
            ("-", Defect::Placeholder),
            ("03144090580021", Defect::WrongLength),
        ] {
            assert_eq!(tax_code(input), Err(defect), "{input}");
        }
    }
}
