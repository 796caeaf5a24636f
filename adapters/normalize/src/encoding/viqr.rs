//! VIQR (RFC 1456): `Nguye^~n Thi. Ho^`ng Nhung`.
//!
//! The longest spelling wins; a backslash makes the next character stand for itself. Whether "ta." is "tạ" or the end of
//! a sentence cannot be told: it is read as "tạ", as the RFC says.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use super::table::TABLES;
use crate::Defect;

/// Longest spelling of one letter: base, shape, tone.
const SPELLING_MAX: usize = 3;

pub(super) fn decode(input: &str) -> Result<Cow<'_, str>, Defect> {
    if !input.is_ascii() {
        return Err(Defect::UndecodableByte);
    }
    let mut out = String::with_capacity(input.len());
    let mut rest = input;
    while let Some(first) = rest.chars().next() {
        if first == '\\' && rest.len() > 1 {
            out.push_str(&rest[1..2]);
            rest = &rest[2..];
            continue;
        }
        let spelled = (2..=SPELLING_MAX).rev().find_map(|length| Some((length, spelling(rest.get(..length)?)?)));
        let (length, letter) = spelled.unwrap_or((1, first));
        out.push(letter);
        rest = &rest[length..];
    }
    Ok(if out == input { Cow::Borrowed(input) } else { Cow::Owned(out) })
}

fn spelling(text: &str) -> Option<char> {
    TABLES.viqr(if text == "Dd" || text == "dD" { "DD" } else { text })
}

pub(super) fn encode(text: &str) -> (Vec<u8>, usize) {
    let mut out = String::with_capacity(text.len() * 2);
    let mut replaced = 0;
    for letter in text.nfc() {
        if let Some(entry) = TABLES.letter(letter) {
            out.push_str(entry.viqr);
        } else if !letter.is_ascii() {
            out.push('?');
            replaced += 1;
        } else {
            if letter == '\\' || would_join(&out, letter) {
                out.push('\\');
            }
            out.push(letter);
        }
    }
    (out.into_bytes(), replaced)
}

/// Whether the character, put after `out`, would be read as a mark or as the second d of đ.
fn would_join(out: &str, letter: char) -> bool {
    match letter {
        'd' | 'D' => out.ends_with(['d', 'D']),
        '^' | '(' | '+' | '\'' | '`' | '?' | '~' | '.' => out
            .trim_end_matches(['^', '(', '+', '\'', '`', '?', '~', '.'])
            .ends_with(['a', 'e', 'i', 'o', 'u', 'y', 'A', 'E', 'I', 'O', 'U', 'Y']),
        _ => false,
    }
}
