//! Text as people read it: composed, with the right letters, without invisible characters and superfluous spaces.
//!
//! Decoding comes before ([`crate::decode`]); names have further rules ([`crate::person_name`]).

use std::borrow::Cow;

use crate::letter::{bare_letter, compose_text};
use crate::{Conversion, Converted, Defect, Note, Notes, alarm};

/// Fillers found in registers, upper case with their marks; also recognised without any.
const PLACEHOLDERS: &[&str] = &[
    "KHÔNG",
    "KHÔNG CÓ",
    "KHÔNG RÕ",
    "KHÔNG BIẾT",
    "KHÔNG XÁC ĐỊNH",
    "KHÔNG CÓ THÔNG TIN",
    "CHƯA RÕ",
    "CHƯA CÓ",
    "CHƯA BIẾT",
    "CHƯA CẬP NHẬT",
    "CHƯA CÓ THÔNG TIN",
    "CHƯA XÁC ĐỊNH",
    "N/A",
    "NULL",
    "NONE",
    "NIL",
    "UNDEFINED",
    "UNKNOWN",
];

/// An all-zero text at least this long is a filler; shorter ones may be codes.
const ZEROS_MIN: usize = 7;

/// Longer than any filler.
const PLACEHOLDER_BYTES_MAX: usize = 40;

/// Cleans text: NFC after sorting marks, Đ for its look-alikes, no invisible characters, single spaces.
///
/// Borrows where nothing changes. A filler is [`Defect::Placeholder`]. A question mark or U+FFFD is noted as
/// `unmappable_letter`, text that reads well only in a legacy encoding as `encoding_alarm`; neither is altered.
pub fn text(input: &str) -> Conversion<Cow<'_, str>> {
    let mut converted = clean(input);
    if converted.value.is_empty() {
        return Err(Defect::Empty);
    }
    if is_placeholder(&converted.value) {
        return Err(Defect::Placeholder);
    }
    converted.notes.insert_if(converted.value.contains(['?', '\u{fffd}']), Note::UnmappableLetter);
    // On the input: one of the letters of TCVN3 is the soft hyphen that cleaning removes.
    converted.notes.insert_if(alarm(input), Note::EncodingAlarm);
    Ok(converted)
}

/// Trims ASCII identifiers and drops fillers; for converters that go on to look at digits.
pub(crate) fn token(input: &str) -> Conversion<Cow<'_, str>> {
    let converted = clean(input);
    if converted.value.is_empty() {
        return Err(Defect::Empty);
    }
    let zeros = converted.value.bytes().all(|byte| byte == b'0');
    if zeros || is_placeholder(&converted.value) {
        return Err(Defect::Placeholder);
    }
    Ok(converted)
}

/// The repairs of [`text`], without judging what the text says.
pub(crate) fn clean(input: &str) -> Converted<Cow<'_, str>> {
    if is_plain(input) {
        return Converted::clean(Cow::Borrowed(input));
    }
    let mut notes = Notes::NONE;
    let trimmed = input.trim();
    let mut value = Cow::Borrowed(trimmed);
    if trimmed.chars().any(is_invisible) || has_odd_space(trimmed) {
        value = Cow::Owned(respace(trimmed));
    }
    notes.insert_if(value.len() != input.len(), Note::Whitespace);
    notes.insert_if(has_odd_space(trimmed), Note::Whitespace);
    if value.contains(['\u{d0}', '\u{189}', '\u{f0}', '\u{256}']) {
        value = Cow::Owned(value.replace(['\u{d0}', '\u{189}'], "Đ").replace(['\u{f0}', '\u{256}'], "đ"));
        notes.insert(Note::LookalikeLetter);
    }
    if !value.chars().all(is_composed) {
        let composed = compose_text(&value);
        if composed != *value {
            notes.insert(Note::UnicodeForm);
            value = Cow::Owned(composed);
        }
    }
    Converted { value, notes }
}

/// Printable ASCII with single inner spaces: by far the most common content of identifiers.
fn is_plain(input: &str) -> bool {
    let bytes = input.as_bytes();
    bytes.iter().all(|byte| matches!(byte, b' '..=b'~'))
        && bytes.first() != Some(&b' ')
        && bytes.last() != Some(&b' ')
        && !bytes.windows(2).any(|pair| pair == b"  ")
}

/// Letters of Vietnamese and its neighbours that are in NFC wherever they stand.
fn is_composed(letter: char) -> bool {
    letter < '\u{300}' || matches!(letter, '\u{1ea0}'..='\u{1ef9}' | '–' | '’' | '“' | '”')
}

/// Characters nobody sees: soft hyphen, zero-width and directional marks, byte order mark, controls.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
        || (letter.is_control() && !letter.is_whitespace())
}

/// Whether a space other than U+0020 or two spaces in a row occur.
fn has_odd_space(text: &str) -> bool {
    text.contains("  ") || text.chars().any(|letter| letter.is_whitespace() && letter != ' ')
}

fn respace(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars().filter(|&letter| !is_invisible(letter)) {
        if !letter.is_whitespace() {
            out.push(letter);
        } else if !out.is_empty() && !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Whether a text is a filler, or holds neither letters nor digits.
pub(crate) fn is_placeholder(text: &str) -> bool {
    if !text.chars().any(char::is_alphanumeric) {
        return true;
    }
    if text.len() >= ZEROS_MIN && text.bytes().all(|byte| byte == b'0') {
        return true;
    }
    let bare = text.trim_matches(|letter: char| !letter.is_alphanumeric());
    // The first letters rule out nearly every text.
    let suspicious = bare.starts_with(['k', 'K', 'c', 'C', 'n', 'N', 'u', 'U']) && bare.len() <= PLACEHOLDER_BYTES_MAX;
    suspicious && PLACEHOLDERS.iter().any(|placeholder| is_written(placeholder, bare))
}

/// Whether a text is this filler in any case: with its marks, or without any.
fn is_written(placeholder: &str, text: &str) -> bool {
    let upper = text.chars().flat_map(char::to_uppercase);
    if text.is_ascii() { placeholder.chars().map(bare_letter).eq(upper) } else { placeholder.chars().eq(upper) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_and_notes(input: &str) -> (String, Vec<&'static str>) {
        let converted = text(input).unwrap();
        (converted.value.into_owned(), converted.notes.iter().map(Note::reason).collect())
    }

    #[test]
    fn clean_text_is_borrowed() {
        for input in ["Phường Quy Nhơn", "Số 12, tổ 3", "H'Lan Siu", "Kpă Rčăm"] {
            assert!(
                matches!(text(input).unwrap(), Converted { value: Cow::Borrowed(_), notes } if notes.is_empty()),
                "{input}"
            );
        }
    }

    #[test]
    fn defects_of_form_are_repaired_and_named() {
        assert_eq!(value_and_notes("  Quy\u{a0} Nhơn\u{200b} "), ("Quy Nhơn".into(), vec!["whitespace"]));
        assert_eq!(value_and_notes("Ðà Nẵng"), ("Đà Nẵng".into(), vec!["lookalike_letter"]));
        assert_eq!(value_and_notes("e\u{301}\u{302}m"), ("ếm".into(), vec!["unicode_form"]));
        assert_eq!(value_and_notes("Ph\u{ad}ường"), ("Phường".into(), vec!["whitespace"]));
    }

    #[test]
    fn nfd_of_a_name_becomes_the_21_code_points_of_nfc() {
        let decomposed = "Nguye\u{302}\u{303}n Thi\u{323} Ho\u{302}\u{300}ng Nhung";
        assert_eq!(decomposed.chars().count(), 26);
        let (value, notes) = value_and_notes(decomposed);
        assert_eq!((value.chars().count(), value.len()), (21, 27));
        assert_eq!((value.as_str(), notes), ("Nguyễn Thị Hồng Nhung", vec!["unicode_form"]));
    }

    #[test]
    fn fillers_are_defects() {
        for filler in ["không", "KHÔNG", "khong co", "…", "-", "N/A", "0000000000", "Chưa rõ.", "(null)", "???"] {
            assert_eq!(text(filler), Err(Defect::Placeholder), "{filler}");
        }
        for empty in ["", "   ", "\u{200b}", "\u{a0}\t"] {
            assert_eq!(text(empty), Err(Defect::Empty));
        }
        for real in ["00", "Khổng", "Không Gian", "Na"] {
            assert!(text(real).is_ok(), "{real}");
        }
    }

    #[test]
    fn doubts_are_noted_and_nothing_altered() {
        assert_eq!(value_and_notes("Nguy?n Văn A"), ("Nguy?n Văn A".into(), vec!["unmappable_letter"]));
        assert_eq!(value_and_notes("NguyÔn ThÞ Hång Nhung"), ("NguyÔn ThÞ Hång Nhung".into(), vec!["encoding_alarm"]));
    }
}
