//! Vietnamese letters taken apart: base with its shape, tone, and the folding both allow.

use std::{ops::RangeInclusive, sync::LazyLock};

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{compose, decompose_canonical, is_combining_mark};

pub(crate) const GRAVE: char = '\u{300}';
pub(crate) const ACUTE: char = '\u{301}';
pub(crate) const TILDE: char = '\u{303}';
pub(crate) const HOOK: char = '\u{309}';
pub(crate) const DOT_BELOW: char = '\u{323}';

/// Whether the mark is one of the five tones.
pub(crate) fn is_tone(mark: char) -> bool {
    matches!(mark, GRAVE | ACUTE | TILDE | HOOK | DOT_BELOW)
}

/// Circumflex, breve, horn: the marks that make another vowel.
fn is_shape(mark: char) -> bool {
    matches!(mark, '\u{302}' | '\u{306}' | '\u{31b}')
}

/// A letter taken apart.
#[derive(Clone, Copy)]
struct Parts {
    toneless: char,
    tone: Option<char>,
    bare: char,
}

/// The letters names and texts consist of: Latin-1 with its extensions up to ư, and the Vietnamese block.
const BLOCKS: [RangeInclusive<char>; 2] = ['\u{80}'..='\u{1b0}', '\u{1ea0}'..='\u{1eff}'];

/// Those letters taken apart once, since decomposing is most of what reading a name costs.
static TABLES: LazyLock<[Vec<Parts>; 2]> = LazyLock::new(|| {
    BLOCKS.map(|block| {
        let parts = block.map(|letter| {
            let (toneless, tone) = decompose_tone(letter);
            Parts { toneless, tone, bare: decompose_bare(letter) }
        });
        parts.collect()
    })
});

/// The parts of a letter that stands in the tables.
fn known(letter: char) -> Option<Parts> {
    let block = BLOCKS.iter().position(|block| block.contains(&letter))?;
    let at = u32::from(letter) - u32::from(*BLOCKS[block].start());
    TABLES[block].get(at as usize).copied()
}

/// The letter without its tone, and the tone: ễ is ê and tilde.
pub(crate) fn split_tone(letter: char) -> (char, Option<char>) {
    if letter.is_ascii() {
        return (letter, None);
    }
    known(letter).map_or_else(|| decompose_tone(letter), |parts| (parts.toneless, parts.tone))
}

fn decompose_tone(letter: char) -> (char, Option<char>) {
    let (mut base, mut shape, mut tone, mut other) = (None, None, None, false);
    decompose_canonical(letter, |part| match part {
        part if is_tone(part) && tone.is_none() => tone = Some(part),
        part if base.is_none() => base = Some(part),
        part if shape.is_none() => shape = Some(part),
        _ => other = true,
    });
    let toneless = match (base, shape) {
        (Some(base), None) => Some(base),
        (Some(base), Some(shape)) => compose(base, shape),
        _ => None,
    };
    match toneless {
        Some(toneless) if !other && tone.is_some() => (toneless, tone),
        _ => (letter, None),
    }
}

/// The letter with a tone put on it, where such a letter exists.
pub(crate) fn with_tone(letter: char, tone: char) -> Option<char> {
    // Letters with a circumflex or breve compose with a dot below only dot first.
    compose(letter, tone).or_else(|| {
        let (mut base, mut shape) = (None, None);
        decompose_canonical(letter, |part| if base.is_none() { base = Some(part) } else { shape = Some(part) });
        compose(compose(base?, tone)?, shape?)
    })
}

/// The letter without any mark, where it is one; đ becomes d.
pub(crate) fn bare_letter(letter: char) -> char {
    if letter.is_ascii() {
        return letter;
    }
    known(letter).map_or_else(|| decompose_bare(letter), |parts| parts.bare)
}

fn decompose_bare(letter: char) -> char {
    match letter {
        'đ' => 'd',
        'Đ' => 'D',
        letter => {
            let mut base = None;
            decompose_canonical(letter, |part| base = base.or(Some(part)));
            base.unwrap_or(letter)
        }
    }
}

/// Appends the letter without any mark; đ becomes d, a lone mark nothing.
pub(crate) fn push_bare(out: &mut String, letter: char) {
    if letter.is_ascii() {
        out.push(letter);
    } else if let Some(parts) = known(letter) {
        out.push(parts.bare);
    } else {
        decompose_canonical(letter, |part| {
            if !is_combining_mark(part) {
                out.push(part);
            }
        });
    }
}

/// The text in NFC, with each letter's marks first put in the order shape, tone, rest.
///
/// NFC alone leaves e + acute + circumflex as it is, though only ế can be meant.
pub(crate) fn compose_text(text: &str) -> String {
    let mut parts: Vec<char> = text.nfd().collect();
    for marks in parts.chunk_by_mut(|left, right| is_combining_mark(*left) == is_combining_mark(*right)) {
        if is_combining_mark(marks[0]) {
            marks.sort_by_key(|&mark| {
                if is_shape(mark) {
                    0
                } else if is_tone(mark) {
                    1
                } else {
                    2
                }
            });
        }
    }
    parts.into_iter().nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_apart_and_together() {
        for (letter, base, tone) in
            [('ễ', 'ê', TILDE), ('ậ', 'â', DOT_BELOW), ('ớ', 'ơ', ACUTE), ('Ỳ', 'Y', GRAVE), ('ẳ', 'ă', HOOK)]
        {
            assert_eq!(split_tone(letter), (base, Some(tone)));
            assert_eq!(with_tone(base, tone), Some(letter));
        }
        for letter in ['ê', 'đ', 'a', 'č', 'ŭ', 'ö'] {
            assert_eq!(split_tone(letter), (letter, None));
        }
    }

    /// The tables say what taking apart says, and nothing in them is several letters or a mark without any.
    #[test]
    fn letters_in_the_tables_are_taken_apart_as_all_others() {
        for letter in BLOCKS.into_iter().flatten() {
            assert_eq!(split_tone(letter), decompose_tone(letter), "{letter}");
            let mut parts = String::new();
            decompose_canonical(letter, |part| parts.push(part));
            let bare = match letter {
                'đ' => "d".to_owned(),
                'Đ' => "D".to_owned(),
                _ => parts.chars().filter(|part| !is_combining_mark(*part)).collect(),
            };
            let mut pushed = String::new();
            push_bare(&mut pushed, letter);
            assert_eq!((pushed.as_str(), bare_letter(letter).to_string()), (bare.as_str(), bare.clone()), "{letter}");
        }
    }

    #[test]
    fn misordered_marks_compose() {
        assert_eq!(compose_text("e\u{301}\u{302}"), "ế");
        assert_eq!(compose_text("\u{e9}\u{302}"), "ế");
        assert_eq!(compose_text("e\u{323}\u{302}"), "ệ");
        assert_eq!(compose_text("o\u{309}\u{31b}"), "ở");
        assert_eq!(compose_text("\u{ea}\u{303}"), "ễ");
    }
}
