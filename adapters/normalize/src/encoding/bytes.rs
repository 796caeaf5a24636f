//! The single-byte encodings: TCVN3, VNI, Windows-1258, and Windows-1252 as the disguise they come in.

use unicode_normalization::UnicodeNormalization;

use super::table::TABLES;
use crate::Defect;
use crate::letter::{ACUTE, DOT_BELOW, GRAVE, HOOK, TILDE, split_tone};
use crate::syllable::is_word_letter;

/// Windows-1252 from 0x80; Latin-1 fills its five holes.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The character a byte is mistaken for.
pub(super) fn to_latin1(byte: u8) -> char {
    match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

/// The byte that was mistaken for a character.
fn from_latin1_char(letter: char) -> Option<u8> {
    match u8::try_from(letter) {
        Ok(byte) => Some(byte),
        Err(_) => (0x80..=0x9f).find(|&byte| to_latin1(byte) == letter),
    }
}

/// The bytes that were mistaken for this text; nothing if they cannot have been.
pub(super) fn from_latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(from_latin1_char).collect()
}

/// Punctuation every Windows font has at these places, whatever letters it has elsewhere.
fn punctuation(byte: u8) -> Option<char> {
    matches!(byte, 0x85 | 0x91..=0x97 | 0xa0).then(|| to_latin1(byte))
}

/// Tones and capitals that TCVN 5712 has beyond the letters of the TCVN3 fonts.
fn tcvn3_beyond_fonts(byte: u8) -> Option<char> {
    Some(match byte {
        0xb0 => GRAVE,
        0xb1 => HOOK,
        0xb2 => TILDE,
        0xb3 => ACUTE,
        0xb4 => DOT_BELOW,
        0xaf => 'Ằ',
        0xba => 'Ẳ',
        0xbf => 'Ẵ',
        0xc0 => 'Ắ',
        0xc1 => 'Ầ',
        0xc2 => 'Ẩ',
        0xc3 => 'Ẫ',
        0xc4 => 'Ấ',
        0xc5 => 'Ề',
        0xcd => 'Ể',
        0xd9 => 'Ễ',
        0xda => 'Ế',
        0xdb => 'Ồ',
        0xe0 => 'Ổ',
        0xf0 => 'Ỗ',
        0xff => 'Ố',
        _ => return None,
    })
}

pub(super) fn decode_tcvn3(input: &[u8]) -> Result<String, Defect> {
    let mut out = String::with_capacity(input.len() * 3 / 2);
    let mut has_marks = false;
    for &byte in input {
        let letter = match byte {
            0..=0x7f => char::from(byte),
            _ => TABLES.tcvn3[usize::from(byte)]
                .or_else(|| tcvn3_beyond_fonts(byte))
                .or_else(|| punctuation(byte))
                .ok_or(Defect::UndecodableByte)?,
        };
        has_marks |= matches!(byte, 0xb0..=0xb4);
        out.push(letter);
    }
    let out = if has_marks { out.nfc().collect() } else { out };
    Ok(restore_capitals(out))
}

/// Gives toned letters back the capitals their font showed.
///
/// A word whose ASCII letters (two or more) are capitals is all capitals, unless it has a small letter that TCVN3 could
/// have written as a capital. Where it has fewer than two, as in "HÀ", the whole text decides; "Hà" in mixed text stays
/// as it is.
fn restore_capitals(text: String) -> String {
    const SMALL_WITH_CAPITAL: [char; 7] = ['ă', 'â', 'ê', 'ô', 'ơ', 'ư', 'đ'];
    let capitals = |part: &str| {
        let mut ascii = part.chars().filter(char::is_ascii_alphabetic);
        ascii.clone().count() >= 2
            && ascii.all(|letter| letter.is_ascii_uppercase())
            && !part.contains(SMALL_WITH_CAPITAL)
    };
    if !text.split(|letter| !is_word_letter(letter)).any(capitals) {
        return text;
    }
    if capitals(&text) {
        return text.to_uppercase();
    }
    let mut out = String::with_capacity(text.len());
    for part in text.split_inclusive(|letter| !is_word_letter(letter)) {
        if capitals(part) {
            out.extend(part.chars().flat_map(char::to_uppercase));
        } else {
            out.push_str(part);
        }
    }
    out
}

pub(super) fn decode_vni(input: &[u8]) -> Result<String, Defect> {
    let mut out = String::with_capacity(input.len() * 3 / 2);
    let mut rest = input;
    while let [first, tail @ ..] = rest {
        // A base with its mark before a letter of its own: the pair is never two letters.
        if let Some(pair) = tail.first().and_then(|&mark| TABLES.vni_pair(*first, mark)) {
            out.push(pair);
            rest = &tail[1..];
            continue;
        }
        out.push(match first {
            0..=0x7f => char::from(*first),
            _ => {
                TABLES.vni_single[usize::from(*first)].or_else(|| punctuation(*first)).ok_or(Defect::UndecodableByte)?
            }
        });
        rest = tail;
    }
    Ok(out)
}

/// What Windows-1258 has in other places than Windows-1252.
const WINDOWS_1258: [(u8, char); 14] = [
    (0xc3, 'Ă'),
    (0xcc, GRAVE),
    (0xd0, 'Đ'),
    (0xd2, HOOK),
    (0xd5, 'Ơ'),
    (0xdd, 'Ư'),
    (0xde, TILDE),
    (0xe3, 'ă'),
    (0xec, ACUTE),
    (0xf0, 'đ'),
    (0xf2, DOT_BELOW),
    (0xf5, 'ơ'),
    (0xfd, 'ư'),
    (0xfe, '₫'),
];

fn windows_1258(byte: u8) -> Option<char> {
    match byte {
        0x81 | 0x8a | 0x8d..=0x90 | 0x9a | 0x9d | 0x9e => None,
        _ => WINDOWS_1258
            .iter()
            .find(|(at, _)| *at == byte)
            .map_or_else(|| Some(to_latin1(byte)), |&(_, letter)| Some(letter)),
    }
}

pub(super) fn decode_windows_1258(input: &[u8]) -> Result<String, Defect> {
    // Three bytes of UTF-8 for two bytes, a base and its tone, at most.
    let mut out = String::with_capacity(input.len() * 2);
    if input.iter().any(|&byte| windows_1258(byte).is_none()) {
        return Err(Defect::UndecodableByte);
    }
    out.extend(input.iter().filter_map(|&byte| windows_1258(byte)).nfc());
    Ok(out)
}

/// Encodes letter by letter; `write` answers whether the encoding has the letter.
pub(super) fn encode(text: &str, write: impl Fn(char, &mut Vec<u8>) -> bool) -> (Vec<u8>, usize) {
    let mut out = Vec::with_capacity(text.len());
    let mut replaced = 0;
    for letter in text.nfc() {
        if letter.is_ascii() {
            out.push(letter as u8);
        } else if !write(letter, &mut out) {
            out.push(b'?');
            replaced += 1;
        }
    }
    (out, replaced)
}

pub(super) fn encode_tcvn3(letter: char, out: &mut Vec<u8>) -> bool {
    let byte = TABLES.letter(letter).map(|entry| entry.tcvn3).or_else(|| punctuation_byte(letter));
    out.extend(byte);
    byte.is_some()
}

pub(super) fn encode_vni(letter: char, out: &mut Vec<u8>) -> bool {
    if let Some(entry) = TABLES.letter(letter) {
        out.extend_from_slice(&entry.vni);
        return true;
    }
    let byte = punctuation_byte(letter);
    out.extend(byte);
    byte.is_some()
}

pub(super) fn encode_windows_1258(letter: char, out: &mut Vec<u8>) -> bool {
    let byte_of = |letter: char| (0x80..=0xff).find(|&byte| windows_1258(byte) == Some(letter));
    if let Some(byte) = byte_of(letter) {
        out.push(byte);
        return true;
    }
    let (base, tone) = split_tone(letter);
    let base = u8::try_from(base).ok().filter(u8::is_ascii).or_else(|| byte_of(base));
    match (base, tone.and_then(byte_of)) {
        (Some(base), Some(tone)) => {
            out.extend([base, tone]);
            true
        }
        _ => false,
    }
}

fn punctuation_byte(letter: char) -> Option<u8> {
    from_latin1_char(letter).filter(|&byte| punctuation(byte).is_some())
}
