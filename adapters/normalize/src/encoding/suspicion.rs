//! Signs that a column is not in the encoding it was declared in.
//!
//! A sign needs two things at once: a word that is no Vietnamese syllable as declared, and another encoding in which
//! every word that changes is one. Neither alone is evidence: highland names are no syllables, and many syllables read
//! as other syllables.

use std::borrow::Cow;

use super::{Encoding, bytes, decode_legacy};
use crate::syllable::{is_valid, is_word_letter, words};

/// Whether text looks like TCVN3, VNI or UTF-8 bytes that somebody read as Latin-1.
pub fn alarm(text: &str) -> bool {
    // Without a broken word nothing can read better.
    if text.is_ascii() || !text.split_whitespace().any(is_broken) {
        return false;
    }
    let Some(bytes) = bytes::from_latin1(text) else { return false };
    let utf8 = std::str::from_utf8(&bytes).ok().map(Cow::Borrowed);
    let legacy = [Encoding::Tcvn3, Encoding::Vni].into_iter();
    let readings = legacy.filter_map(|other| decode_legacy(&bytes, other).ok().map(Cow::Owned));
    readings.chain(utf8).any(|reading| reads_better(text, &reading))
}

/// Whether bytes decoded as `declared` into `text` look like another encoding.
pub(super) fn misdeclared(input: &[u8], text: &str, declared: Encoding) -> bool {
    // In the legacy encodings two bytes that could be UTF-8 would be two marked vowels in a row.
    if std::str::from_utf8(input).is_ok() {
        return true;
    }
    // Highland names are rightly no syllables; half the marked words of a text being none is odd.
    let (marked, broken) = words(text)
        .filter(|word| !word.is_ascii())
        .fold((0, 0), |(marked, broken), word| (marked + 1, broken + usize::from(!is_valid(word))));
    if broken == 0 || 2 * broken < marked {
        return false;
    }
    [Encoding::Tcvn3, Encoding::Vni, Encoding::Windows1258]
        .into_iter()
        .filter(|&other| other != declared)
        .filter_map(|other| decode_legacy(input, other).ok())
        .any(|reading| reading != text && all_valid(&reading))
}

fn all_valid(text: &str) -> bool {
    words(text).all(is_valid)
}

/// Compares word by word: some word that changes is no syllable in `text`, and all that change are in `reading`.
fn reads_better(text: &str, reading: &str) -> bool {
    let (mut changed, mut broken) = (false, false);
    for (raw, read) in text.split_whitespace().zip(reading.split_whitespace()) {
        if raw == read {
            continue;
        }
        let read = read.trim_matches(|letter: char| letter.is_ascii_punctuation());
        if !is_valid(read) {
            return false;
        }
        changed = true;
        broken |= is_broken(raw);
    }
    changed && broken && text.split_whitespace().count() == reading.split_whitespace().count()
}

/// Whether a word is no syllable, punctuation aside.
fn is_broken(word: &str) -> bool {
    let word = word.trim_matches(|letter: char| letter.is_ascii_punctuation());
    !word.chars().all(is_word_letter) || !is_valid(word)
}
