//! Industry codes (VSIC), whose two editions are both in use.

use crate::text::token;
use crate::{Conversion, Converted, Defect, Note, outcome::named};

/// Which edition of VSIC a code belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IndustryVintage {
    /// Decision 27/2018: sections A to U, 88 divisions.
    Vsic2018,
    /// Decision 36/2025, from 15 November 2025: sections A to V, 87 divisions.
    Vsic2025,
}

named!("industry vintage" IndustryVintage { "2018" => Vsic2018, "2025" => Vsic2025 });

/// An industry code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndustryCode {
    /// A letter (section), or two to five digits.
    pub code: String,
    /// 1 for a section to 5 for the finest level.
    pub level: u8,
    /// The edition.
    pub vintage: IndustryVintage,
}

/// Reads an industry code by its form; a section or division its edition does not have is noted `unknown_code`.
///
/// A dot between division and rest ("47.11") and a section letter before digits ("G4711") are dropped.
pub fn industry_code(input: &str, vintage: IndustryVintage) -> Conversion<IndustryCode> {
    let Converted { value, mut notes } = token(input)?;
    let mut code = value.to_ascii_uppercase();
    notes.insert_if(code != *value, Note::Capitals);
    let has_section = code.starts_with(|letter: char| letter.is_ascii_uppercase());
    if code.contains('.') || (has_section && code.len() > 1) {
        code.retain(|letter| letter != '.');
        if has_section && code.len() > 1 {
            code.remove(0);
        }
        notes.insert(Note::Punctuation);
    }
    if code.bytes().all(|byte| byte == b'0') {
        return Err(Defect::Placeholder);
    }
    let level = match code.len() {
        1 if code.bytes().all(|byte| byte.is_ascii_uppercase()) => 1,
        2..=5 if code.bytes().all(|byte| byte.is_ascii_digit()) => code.len() as u8,
        2..=5 => return Err(Defect::NotDigits),
        _ => return Err(Defect::WrongLength),
    };
    notes.insert_if(!is_known(&code, vintage), Note::UnknownCode);
    Ok(Converted { value: IndustryCode { code, level, vintage }, notes })
}

/// Whether the edition has the code's section or division. The 2025 edition has no division 45.
fn is_known(code: &str, vintage: IndustryVintage) -> bool {
    let last_section = if vintage == IndustryVintage::Vsic2018 { "U" } else { "V" };
    match code.get(..2).map(str::parse::<u8>) {
        None => ("A"..=last_section).contains(&code),
        Some(Ok(45)) => vintage == IndustryVintage::Vsic2018,
        Some(Ok(division)) => !matches!(division, 0 | 4 | 34 | 40 | 44 | 48 | 54 | 57 | 67 | 76 | 83 | 89 | 100..),
        Some(Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_from_the_form() {
        for (input, code, level) in [
            ("A", "A", 1),
            ("47", "47", 2),
            ("471", "471", 3),
            ("4711", "4711", 4),
            ("47110", "47110", 5),
            ("G4711", "4711", 4),
            ("47.11", "4711", 4),
            ("g", "G", 1),
        ] {
            let converted = industry_code(input, IndustryVintage::Vsic2018).unwrap();
            assert_eq!((converted.value.code.as_str(), converted.value.level), (code, level), "{input}");
            assert!(!converted.notes.contains(Note::UnknownCode));
        }
    }

    #[test]
    fn editions_have_88_and_87_divisions() {
        let count = |vintage| (0..100).filter(|division| is_known(&format!("{division:02}"), vintage)).count();
        assert_eq!(count(IndustryVintage::Vsic2018), 88);
        assert_eq!(count(IndustryVintage::Vsic2025), 87);
        let sections = |vintage| ('A'..='Z').filter(|letter| is_known(&letter.to_string(), vintage)).count();
        assert_eq!((sections(IndustryVintage::Vsic2018), sections(IndustryVintage::Vsic2025)), (21, 22));
        assert!(industry_code("4511", IndustryVintage::Vsic2025).unwrap().notes.contains(Note::UnknownCode));
    }

    #[test]
    fn other_forms_are_defects() {
        for (input, defect) in [
            ("4", Defect::WrongLength),
            ("471100", Defect::WrongLength),
            ("47A1", Defect::NotDigits),
            ("", Defect::Empty),
            ("G00", Defect::Placeholder),
            ("Đ", Defect::NotDigits),
        ] {
            assert_eq!(industry_code(input, IndustryVintage::Vsic2025), Err(defect), "{input}");
        }
    }
}
