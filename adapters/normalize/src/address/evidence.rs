//! Which vintage a written address speaks of.

use super::units::OldCommune;
use super::{CommuneUnit, Vintage};
use crate::syllable::is_word_letter;
use crate::{fold_name, marked_key};

/// Unit types and how addresses abbreviate them.
const TYPES: [(&str, &[&str]); 8] = [
    ("Phường", &["P"]),
    ("Xã", &["X"]),
    ("Thị trấn", &["TT"]),
    ("Đặc khu", &["ĐK"]),
    ("Quận", &["Q"]),
    ("Huyện", &["H"]),
    ("Thị xã", &["TX"]),
    ("Thành phố", &["TP"]),
];

/// Decides between the two readings of one code by what was written beside it.
///
/// A name with its type ("Phường Thị Nại", "P. Thị Nại", "TP Quy Nhơn" for the old district) weighs more than a bare
/// name, because names of old communes live on as villages and old districts as communes. Equal evidence for both
/// decides nothing.
pub(super) fn decide(written: &str, old: &OldCommune, current: &CommuneUnit) -> Vintage {
    let text = Written::new(written);
    let full_district = text.names_in_full(old.unit.district);
    let (mut full_old, mut full_new, mut bare_old, mut bare_new) = (false, false, false, false);
    // Some units differ in capitals only (Pa ủ, Pa Ủ): no name tells those apart.
    if marked_key(old.unit.name) != marked_key(current.name) {
        (full_old, full_new) = (text.names_in_full(old.unit.name), text.names_in_full(current.name));
        (bare_old, bare_new) = (text.names_bare(old.unit.name), text.names_bare(current.name));
        // "Xã Tân Thành A" also holds "Xã Tân Thành"; the longer name is the one that was written.
        if full_old && full_new || bare_old && bare_new {
            if extends(old.unit.name, current.name) {
                (full_new, bare_new) = (false, false);
            } else if extends(current.name, old.unit.name) {
                (full_old, bare_old) = (false, false);
            }
        }
    }
    full_old |= full_district;
    match ((full_old, full_new), (bare_old, bare_new)) {
        ((true, false), _) => Vintage::Pre2025,
        ((false, true), _) => Vintage::Post2025,
        ((false, false), (true, false)) => Vintage::Pre2025,
        ((false, false), (false, true)) => Vintage::Post2025,
        _ => Vintage::Unknown,
    }
}

/// Whether the longer name holds the shorter among its words, types aside.
fn extends(longer: &str, shorter: &str) -> bool {
    let bare = |name: &str| padded(&marked_key(split_type(name).map_or(name, |(short, _)| short)));
    bare(longer) != bare(shorter) && bare(longer).contains(&bare(shorter))
}

/// A written address as words between spaces; marks count unless it has none.
struct Written {
    words: String,
    key: fn(&str) -> String,
}

impl Written {
    fn new(written: &str) -> Written {
        let key = if written.is_ascii() { fold_name } else { marked_key };
        Written { words: padded(&key(written)), key }
    }

    /// Whether the unit is named with its type, written out or abbreviated.
    fn names_in_full(&self, name: &str) -> bool {
        if self.holds(name) {
            return true;
        }
        let Some((short, abbreviations)) = split_type(name) else { return false };
        let numbered = short.starts_with(|letter: char| letter.is_ascii_digit());
        abbreviations.iter().any(|abbreviation| {
            self.holds(&format!("{abbreviation} {short}"))
                || (numbered && self.holds(&format!("{abbreviation}{short}")))
        })
    }

    /// Whether the name stands there without its type. A number alone is no name.
    fn names_bare(&self, name: &str) -> bool {
        split_type(name).is_some_and(|(short, _)| short.chars().any(char::is_alphabetic) && self.holds(short))
    }

    fn holds(&self, words: &str) -> bool {
        let words = padded(&(self.key)(words));
        words.len() > 1 && self.words.contains(&words)
    }
}

/// Words with one space before, between and after.
fn padded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(' ');
    for word in
        text.split(|letter: char| !is_word_letter(letter) && !letter.is_ascii_digit()).filter(|word| !word.is_empty())
    {
        out.push_str(word);
        out.push(' ');
    }
    out
}

/// The name without its type, and the type's abbreviations.
fn split_type(name: &str) -> Option<(&str, &'static [&'static str])> {
    TYPES.iter().find_map(|(kind, abbreviations)| Some((name.strip_prefix(kind)?.strip_prefix(' ')?, *abbreviations)))
}
