//! The spelling of Vietnamese syllables, as far as a suspicion needs it.
//!
//! Names of highland people and places are rightly outside this grammar, so it may raise an alarm together with other
//! evidence, and MUST NOT reject anything by itself.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::letter::{ACUTE, DOT_BELOW, split_tone};

const INITIALS: &[&str] = &[
    "ngh", "ch", "gh", "gi", "kh", "ng", "nh", "ph", "qu", "th", "tr", "b", "c", "d", "đ", "g", "h", "k", "l", "m",
    "n", "p", "r", "s", "t", "v", "x", "",
];

const RIMES: &[&str] = &[
    "a", "ac", "ach", "ai", "am", "an", "ang", "anh", "ao", "ap", "at", "au", "ay", "e", "ec", "em", "en", "eng", "eo",
    "ep", "et", "i", "ia", "ich", "im", "in", "inh", "ip", "it", "iu", "iêc", "iêm", "iên", "iêng", "iêp", "iêt",
    "iêu", "o", "oa", "oac", "oach", "oai", "oam", "oan", "oang", "oanh", "oao", "oap", "oat", "oay", "oc", "oe",
    "oen", "oeo", "oet", "oi", "om", "on", "ong", "ooc", "oong", "op", "ot", "oăc", "oăm", "oăn", "oăng", "oăt", "u",
    "ua", "uc", "ui", "um", "un", "ung", "uy", "uya", "uych", "uynh", "uyt", "uyu", "uyên", "uyêt", "up", "ut", "uân",
    "uâng", "uât", "uây", "uê", "uêch", "uênh", "uôc", "uôi", "uôm", "uôn", "uông", "uôt", "uơ", "y", "ych", "ynh",
    "yt", "yêm", "yên", "yêng", "yêt", "yêu", "âc", "âm", "ân", "âng", "âp", "ât", "âu", "ây", "ê", "êch", "êm", "ên",
    "ênh", "êp", "êt", "êu", "ô", "ôc", "ôi", "ôm", "ôn", "ông", "ôp", "ôt", "ă", "ăc", "ăm", "ăn", "ăng", "ăp", "ăt",
    "ơ", "ơi", "ơm", "ơn", "ơp", "ơt", "ư", "ưa", "ưc", "ưi", "ưm", "ưng", "ưt", "ưu", "ươc", "ươi", "ươm", "ươn",
    "ương", "ươp", "ươt", "ươu",
];

static RIME_SET: LazyLock<HashSet<&str>> = LazyLock::new(|| RIMES.iter().copied().collect());

/// Longest syllable: nghiêng.
const LETTERS_MAX: usize = 7;

/// Whether one word is a well-formed Vietnamese syllable in any case.
pub(crate) fn is_valid(word: &str) -> bool {
    let mut buffer = [0; LETTERS_MAX * 4];
    let mut end = 0;
    let mut tone = None;
    let mut count = 0;
    for letter in word.chars().flat_map(char::to_lowercase) {
        let (base, mark) = split_tone(letter);
        if mark.is_some() && tone.replace(mark).is_some() {
            return false;
        }
        count += 1;
        if count > LETTERS_MAX {
            return false;
        }
        end += base.encode_utf8(&mut buffer[end..]).len();
    }
    let tone = tone.flatten();
    let Ok(letters) = std::str::from_utf8(&buffer[..end]) else { return false };
    INITIALS.iter().any(|initial| {
        letters.strip_prefix(initial).is_some_and(|rime| {
            RIME_SET.contains(rime) && agree(initial, rime) && (!stops(rime) || matches!(tone, Some(ACUTE | DOT_BELOW)))
        })
    })
}

/// Syllables ending in a stop bear only the acute or the dot below.
fn stops(rime: &str) -> bool {
    rime.ends_with(['c', 'p', 't']) || rime.ends_with("ch")
}

/// The spelling of k, g and ng depends on the vowel that follows.
fn agree(initial: &str, rime: &str) -> bool {
    let front = rime.starts_with(['e', 'ê', 'i', 'y']);
    match initial {
        "k" | "gh" | "ngh" => front,
        "c" | "ng" => !front,
        // gì, gìn and giếng write one i for two.
        "g" => !front || rime.starts_with('i'),
        _ => true,
    }
}

/// The words of a text: runs of letters and marks.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !is_word_letter(letter)).filter(|word| !word.is_empty())
}

/// Whether the character continues a word.
pub(crate) fn is_word_letter(letter: char) -> bool {
    if letter.is_ascii() {
        return letter.is_ascii_alphabetic();
    }
    letter.is_alphabetic() || unicode_normalization::char::is_combining_mark(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_are_syllables() {
        for word in
            words("Nguyễn Thị Hồng Nhung Đặng Quốc Khánh Phước Hòa QUYẾT Giếng Gì Khuỷu Ấp Ý Uyên Nghiêng Quý Hoà")
        {
            assert!(is_valid(word), "{word}");
        }
    }

    #[test]
    fn mojibake_and_foreign_words_are_not() {
        for word in
            ["NguyÔn", "ThÞ", "Hång", "Quèc", "Nguyeãn", "Ksor", "Müller", "Jrai", "Kon", "nguyen", "hoạnghê", "cat"]
        {
            assert!(!is_valid(word), "{word}");
        }
    }
}
