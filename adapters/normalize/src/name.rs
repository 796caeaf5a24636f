//! Names of people and organisations: tone placement, capitals, and the keys names are matched by.
//!
//! A full name stays one text: highland names do not put the family name first, so no parts are guessed.

use std::borrow::Cow;

use crate::letter::{compose_text, push_bare, split_tone, with_tone};
use crate::syllable::{is_valid, is_word_letter};
use crate::text::{clean, is_placeholder};
use crate::{Conversion, Converted, Defect, Note, text};

/// Longer than any name, shorter than a text that strayed into the column.
const NAME_CHARS_MAX: usize = 200;

/// A person's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonName {
    /// Canonical spelling: composed, old-style tone placement (hòa, thủy), capitals at word starts.
    pub full: String,
    /// What the register wrote, only where it differs.
    pub as_written: Option<String>,
    /// Key for finding: see [`fold_name`].
    pub folded: String,
    /// Key for telling apart what folding merges: see [`marked_key`].
    pub marked_key: String,
}

/// Reads a person's name.
///
/// Capitals are restored where the name has none or nothing else, and in single words of mixed names that are
/// Vietnamese syllables ("Nguyễn văn An"); other words ("Kpă", "McDonald") are left as written.
///
/// A name of two or more words without any mark is noted `no_diacritics`. That suspects the few real names of this
/// kind too ("Phan Nam Anh", "Siu Lan", foreign names): which of them lost marks cannot be told from the name.
pub fn person_name(input: &str) -> Conversion<PersonName> {
    let Converted { value: cleaned, mut notes } = text(input)?;
    if cleaned.chars().count() > NAME_CHARS_MAX {
        return Err(Defect::TooLong);
    }
    let straight = straight_apostrophes(&cleaned);
    if straight != cleaned {
        // Some apostrophes count as letters: without them a filler may be left.
        if is_placeholder(&straight) {
            return Err(Defect::Placeholder);
        }
        notes.insert(Note::LookalikeLetter);
    }
    if !straight.chars().any(char::is_alphabetic) {
        return Err(Defect::WrongForm);
    }
    let toned = canonical_tone(&straight);
    notes.insert_if(toned != straight, Note::TonePlacement);
    let full = match restore_capitals(&toned) {
        // A capital may compose with a mark that its small letter does not compose with: ı and İ.
        Cow::Owned(restored) => Cow::Owned(compose_text(&restored)),
        right => right,
    };
    notes.insert_if(full != toned, Note::Capitals);
    notes.insert_if(full.is_ascii() && full.contains(' '), Note::NoDiacritics);
    // What fold_name and marked_key give, without doing again what was done to come by the name.
    let marked_key = full.to_uppercase();
    let name = PersonName {
        as_written: (full != input).then(|| input.to_owned()),
        folded: fold_capitals(&marked_key),
        marked_key,
        full: full.into_owned(),
    };
    Ok(Converted { value: name, notes })
}

/// Reads the name of a firm or agency, or an address: as [`text`], with canonical tone placement, capitals untouched.
pub fn org_name(input: &str) -> Conversion<Cow<'_, str>> {
    let Converted { value: cleaned, mut notes } = text(input)?;
    let Cow::Owned(toned) = canonical_tone(&cleaned) else {
        return Ok(Converted { value: cleaned, notes });
    };
    notes.insert(Note::TonePlacement);
    Ok(Converted { value: Cow::Owned(toned), notes })
}

/// The key for finding a name however it was typed: cleaned, upper case, no marks, đ as d.
pub fn fold_name(name: &str) -> String {
    // Capitals first: those of some letters are several, with marks and apostrophes of their own.
    fold_capitals(&clean(name).value.to_uppercase())
}

fn fold_capitals(upper: &str) -> String {
    let mut bare = String::with_capacity(upper.len());
    for letter in straight_apostrophes(upper).chars() {
        // A mark that stood alone leaves a second space behind.
        if letter != ' ' || !(bare.is_empty() || bare.ends_with(' ')) {
            push_bare(&mut bare, letter);
        }
    }
    bare.truncate(bare.trim_end().len());
    bare
}

/// The key that keeps marks (folding merges Thủy and Thúy): cleaned, canonical tone placement, upper case.
pub fn marked_key(name: &str) -> String {
    canonical_tone(&straight_apostrophes(&clean(name).value)).to_uppercase()
}

/// Puts the tone of the open rimes oa, oe, uy on their first vowel: hoà to hòa, thuỷ to thủy. Expects composed text.
///
/// Closed rimes (hoàng) and "qu" (quý) have one spelling only and are left alone.
pub fn canonical_tone(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let (mut at, mut copied) = (0, 0);
    for word in text.split_inclusive(|letter: char| !is_word_letter(letter)) {
        let letters = word.trim_end_matches(|letter: char| !is_word_letter(letter));
        if let Some(moved) = move_tone(letters) {
            out.push_str(&text[copied..at]);
            out.push_str(&moved);
            copied = at + letters.len();
        }
        at += word.len();
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// The word with its tone moved to the first vowel, if it is one of those with two spellings.
fn move_tone(word: &str) -> Option<String> {
    let mut letters = word.chars();
    let (second, tone) = split_tone(letters.next_back()?);
    let tone = tone?;
    let first = letters.next_back()?;
    let pair = (first.to_ascii_lowercase(), second.to_ascii_lowercase());
    if !matches!(pair, ('o', 'a' | 'e') | ('u', 'y')) {
        return None;
    }
    let onset = letters.as_str();
    let vowels = |letter: char| {
        matches!(split_tone(letter).0, 'a' | 'e' | 'i' | 'o' | 'u' | 'y' | 'ă' | 'â' | 'ê' | 'ô' | 'ơ' | 'ư')
    };
    if onset.ends_with(['q', 'Q']) || onset.to_lowercase().chars().any(vowels) {
        return None;
    }
    let mut moved = onset.to_owned();
    moved.push(with_tone(first, tone)?);
    moved.push(second);
    Some(moved)
}

/// Typographic apostrophes after a letter, as in H’Lan, made straight.
fn straight_apostrophes(text: &str) -> Cow<'_, str> {
    const CURLY: [char; 5] = ['’', '‘', 'ʼ', '´', '`'];
    if text.contains(CURLY) { Cow::Owned(text.replace(CURLY, "'")) } else { Cow::Borrowed(text) }
}

fn restore_capitals(name: &str) -> Cow<'_, str> {
    if name.split(' ').all(is_title_case) {
        return Cow::Borrowed(name);
    }
    let upper = name.chars().any(char::is_uppercase);
    let lower = name.chars().any(char::is_lowercase);
    let several = name.split(' ').any(is_all_capitals);
    let mut out = String::with_capacity(name.len());
    for (index, word) in name.split(' ').enumerate() {
        if index > 0 {
            out.push(' ');
        }
        let uniform = (upper && !lower && several) || (lower && !upper);
        let odd = is_all_capitals(word) || word.chars().next().is_some_and(char::is_lowercase);
        if uniform || (odd && is_valid(word)) {
            push_title_case(&mut out, word);
        } else {
            out.push_str(word);
        }
    }
    if out == name {
        return Cow::Borrowed(name);
    }
    // With its last small initial gone, the name may now be all capitals.
    if out.chars().any(char::is_lowercase) { Cow::Owned(out) } else { Cow::Owned(restore_capitals(&out).into_owned()) }
}

/// Whether a word has a capital at its start and small letters after it: nothing to restore.
fn is_title_case(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(char::is_uppercase) && letters.all(char::is_lowercase)
}

/// Whether a word has at least two letters and all are capitals: "A" and "Y" are as they should be.
fn is_all_capitals(word: &str) -> bool {
    let mut letters = word.chars().filter(|letter| letter.is_alphabetic());
    letters.clone().count() >= 2 && letters.all(char::is_uppercase)
}

/// A capital at the start and after apostrophe and hyphen (H'Lan, M'Drắk), small letters elsewhere.
fn push_title_case(out: &mut String, word: &str) {
    let mut starts = true;
    for letter in word.chars() {
        out.push(if starts { upper(letter) } else { lower(letter) });
        starts = matches!(letter, '\'' | '-' | '.' | '(');
    }
}

/// Case mappings to several characters are left out: they belong to other languages and do not come back.
fn upper(letter: char) -> char {
    single(letter.to_uppercase(), letter)
}

fn lower(letter: char) -> char {
    single(letter.to_lowercase(), letter)
}

fn single(mut mapped: impl Iterator<Item = char>, letter: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(only), None) => only,
        _ => letter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full_and_notes(input: &str) -> (String, Vec<&'static str>) {
        let converted = person_name(input).unwrap();
        (converted.value.full, converted.notes.iter().map(Note::reason).collect())
    }

    #[test]
    fn good_names_are_left_alone() {
        for name in [
            "Nguyễn Thị Hồng Nhung",
            "Rơ Châm H'Lan",
            "Kpă Rčăm",
            "Y Bhim Niê",
            "A Đổi",
            "Hoàng Quý Thủy",
            "Ksor H'Nguyệt",
            "Ý",
        ] {
            let converted = person_name(name).unwrap();
            assert!(converted.notes.is_empty(), "{name}: {:?}", converted.notes);
            assert_eq!((converted.value.full.as_str(), converted.value.as_written), (name, None));
        }
    }

    #[test]
    fn tone_goes_to_the_first_vowel_of_open_rimes_only() {
        for (written, canonical) in [
            ("Hoà", "Hòa"),
            ("Thuỷ", "Thủy"),
            ("THUÝ", "THÚY"),
            ("hoá khoẻ", "hóa khỏe"),
            ("Uỷ", "Ủy"),
            ("Loan Toả.", "Loan Tỏa."),
        ] {
            assert_eq!(canonical_tone(written), canonical);
        }
        for only in ["Hoàng", "quý", "Quỳ", "Khoát", "Nguyễn Huỳnh", "Hòa", "hoài", "khuỷu"] {
            assert!(matches!(canonical_tone(only), Cow::Borrowed(_)), "{only}");
        }
        assert_eq!(full_and_notes("Trần Văn Hoà"), ("Trần Văn Hòa".into(), vec!["tone_placement"]));
    }

    #[test]
    fn capitals_are_restored() {
        for (written, name) in [
            ("NGUYỄN THỊ HỒNG NHUNG", "Nguyễn Thị Hồng Nhung"),
            ("nguyễn văn an", "Nguyễn Văn An"),
            ("Nguyễn văn An", "Nguyễn Văn An"),
            ("KSOR H'NGUYỆT", "Ksor H'Nguyệt"),
            ("Y MÉP", "Y Mép"),
            ("Nguyễn ái Quốc", "Nguyễn Ái Quốc"),
            ("Lê HỒNG Phong", "Lê Hồng Phong"),
        ] {
            assert_eq!(full_and_notes(written), (name.into(), vec!["capitals"]));
        }
        assert_eq!(person_name("LÊ Ý").unwrap().value.as_written.as_deref(), Some("LÊ Ý"));
    }

    #[test]
    fn missing_marks_are_suspected_and_apostrophes_straightened() {
        assert_eq!(full_and_notes("Nguyen Van An").1, ["no_diacritics"]);
        assert!(full_and_notes("Lan").1.is_empty());
        assert_eq!(full_and_notes("H’Lê Siu"), ("H'Lê Siu".into(), vec!["lookalike_letter"]));
    }

    #[test]
    fn keys_follow_the_matching_rule() {
        assert_eq!(fold_name(" Đặng  Thuỷ\u{a0}Hoà"), "DANG THUY HOA");
        assert_eq!(fold_name("H’Lan"), "H'LAN");
        assert_eq!(marked_key("Thuỷ"), marked_key("THỦY"));
        assert_ne!(marked_key("Thủy"), marked_key("Thúy"));
        assert_eq!(fold_name("Thủy"), fold_name("Thúy"));
    }

    #[test]
    fn what_is_no_name_is_a_defect() {
        assert_eq!(person_name("không"), Err(Defect::Placeholder));
        assert_eq!(person_name("12345"), Err(Defect::WrongForm));
        for filler in ["ʼ", "ʼkhôngʼ"] {
            assert_eq!(person_name(filler), Err(Defect::Placeholder), "{filler}: U+02BC is a letter");
        }
        assert_eq!(person_name("ʼ0"), Err(Defect::WrongForm));
        assert_eq!(person_name(&"An ".repeat(100)), Err(Defect::TooLong));
    }
}
