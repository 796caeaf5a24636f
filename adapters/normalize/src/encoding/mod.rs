//! Text from the encodings Vietnamese registers were built in, and back.
//!
//! The encoding of a column is declared in its mapping and never detected: single names are truly ambiguous. What can
//! be told is that a declaration does not fit ([`alarm`], and the note `encoding_alarm`).

mod bytes;
mod suspicion;
mod table;
mod viqr;

use std::borrow::Cow;

use crate::letter::split_tone;
use crate::syllable::{is_valid, words};
use crate::{Conversion, Converted, Defect, Note, Notes, outcome::named};

pub use suspicion::alarm;

/// How a register stores text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// UTF-8.
    Utf8,
    /// TCVN 5712:1993 as the .VnTime fonts use it (also called ABC): one byte a letter, no capitals with tones.
    Tcvn3,
    /// VNI for Windows: a base letter followed by a byte for its marks.
    Vni,
    /// VIQR (RFC 1456): marks written as ASCII punctuation.
    Viqr,
    /// Windows-1258: base letters with some shapes, tones as combining bytes.
    Windows1258,
    /// TCVN3 bytes kept as Latin-1 characters in a Unicode column.
    Tcvn3AsLatin1,
    /// VNI bytes kept as Latin-1 characters in a Unicode column.
    VniAsLatin1,
}

named!("encoding" Encoding {
    "utf-8" => Utf8,
    "tcvn3" => Tcvn3,
    "vni" => Vni,
    "viqr" => Viqr,
    "windows-1258" => Windows1258,
    "tcvn3-as-latin1" => Tcvn3AsLatin1,
    "vni-as-latin1" => VniAsLatin1,
});

/// Decodes the bytes of a column. UTF-8 and plain ASCII are borrowed.
///
/// A byte the encoding does not have is [`Defect::UndecodableByte`]. Bytes of a legacy column that are well-formed
/// UTF-8, or read well only in another encoding, are decoded as declared and noted as `encoding_alarm`. A word of TCVN3
/// that starts with a toned letter, or was given capitals on little evidence, is noted as `case_unknown`.
pub fn decode(input: &[u8], encoding: Encoding) -> Conversion<Cow<'_, str>> {
    match encoding {
        Encoding::Tcvn3 | Encoding::Vni | Encoding::Windows1258 if !input.is_ascii() => {
            let value = decode_legacy(input, encoding)?;
            let mut notes = Notes::NONE;
            notes.insert_if(suspicion::misdeclared(input, &value, encoding), Note::EncodingAlarm);
            let case_unknown = starts_with_small_tone(&value) || capitals_are_a_guess(&value);
            notes.insert_if(encoding == Encoding::Tcvn3 && case_unknown, Note::CaseUnknown);
            Ok(Converted { value: Cow::Owned(value), notes })
        }
        _ => decode_text(std::str::from_utf8(input).map_err(|_| Defect::UndecodableByte)?, encoding),
    }
}

/// Decodes a text column. For the single-byte encodings the characters are first taken back to the bytes they were
/// mistaken for, through Windows-1252 with Latin-1 for its holes.
pub fn decode_text(input: &str, encoding: Encoding) -> Conversion<Cow<'_, str>> {
    match encoding {
        Encoding::Utf8 => Ok(Converted::clean(Cow::Borrowed(input))),
        Encoding::Viqr => viqr::decode(input).map(Converted::clean),
        _ if input.is_ascii() => Ok(Converted::clean(Cow::Borrowed(input))),
        Encoding::Tcvn3 | Encoding::Tcvn3AsLatin1 => decode_bytes_of(input, Encoding::Tcvn3),
        Encoding::Vni | Encoding::VniAsLatin1 => decode_bytes_of(input, Encoding::Vni),
        Encoding::Windows1258 => decode_bytes_of(input, Encoding::Windows1258),
    }
}

fn decode_bytes_of(input: &str, encoding: Encoding) -> Conversion<Cow<'_, str>> {
    let bytes = bytes::from_latin1(input).ok_or(Defect::UndecodableByte)?;
    let converted = decode(&bytes, encoding)?;
    Ok(converted.map(|value| Cow::Owned(value.into_owned())))
}

fn decode_legacy(input: &[u8], encoding: Encoding) -> Result<String, Defect> {
    match encoding {
        Encoding::Tcvn3 => bytes::decode_tcvn3(input),
        Encoding::Vni => bytes::decode_vni(input),
        _ => bytes::decode_windows_1258(input),
    }
}

/// Whether a word starts with a small letter whose capital TCVN3 could not have written: "ái" may have been "Ái".
fn starts_with_small_tone(text: &str) -> bool {
    words(text)
        .filter_map(|word| word.chars().next())
        .any(|first| first.is_lowercase() && split_tone(first).1.is_some())
}

/// Whether a toned capital was given back on little evidence: "SRÓ" may have been "SRó", and "XÃ AL BÁ" may have been
/// "Xã AL Bá". Evidence is a Vietnamese syllable with two or more plain capitals ("THỊ"): nobody writes "THị".
fn capitals_are_a_guess(text: &str) -> bool {
    let toned_capital = |letter: char| letter.is_uppercase() && split_tone(letter).1.is_some();
    let in_capitals = |word: &str| {
        let mut plain = word.chars().filter(char::is_ascii_alphabetic);
        plain.clone().count() >= 2 && plain.all(|letter| letter.is_ascii_uppercase()) && is_valid(word)
    };
    let all_in_capitals = !text.contains(char::is_lowercase) && words(text).any(in_capitals);
    words(text).any(|word| word.contains(toned_capital) && !all_in_capitals && !in_capitals(word))
}

/// Encodes text, for those who write test data. The number counts the letters the encoding lacks, each written as `?`.
///
/// TCVN3 has no toned capitals: they become the byte of the lower-case letter. The `-as-latin1` forms give the UTF-8 of
/// the characters the bytes are mistaken for.
pub fn encode(text: &str, encoding: Encoding) -> (Vec<u8>, usize) {
    match encoding {
        Encoding::Utf8 => (text.as_bytes().to_vec(), 0),
        Encoding::Tcvn3 => bytes::encode(text, bytes::encode_tcvn3),
        Encoding::Vni => bytes::encode(text, bytes::encode_vni),
        Encoding::Windows1258 => bytes::encode(text, bytes::encode_windows_1258),
        Encoding::Viqr => viqr::encode(text),
        Encoding::Tcvn3AsLatin1 => as_latin1(encode(text, Encoding::Tcvn3)),
        Encoding::VniAsLatin1 => as_latin1(encode(text, Encoding::Vni)),
    }
}

fn as_latin1((bytes, replaced): (Vec<u8>, usize)) -> (Vec<u8>, usize) {
    (bytes.into_iter().map(bytes::to_latin1).collect::<String>().into_bytes(), replaced)
}

#[cfg(test)]
mod tests;
