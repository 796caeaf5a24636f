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
    let (mut as_old, mut as_new) = (Mention::None, Mention::None);
    // Some units differ in capitals only (Pa ủ, Pa Ủ): no name tells those apart.
    if old.unit.name != current.name && marked_key(old.unit.name) != marked_key(current.name) {
        (as_old, as_new) = (text.mentions(old.unit.name), text.mentions(current.name));
        // "Xã Tân Thành A" also holds "Xã Tân Thành"; the longer name is the one that was written.
        if as_old == as_new && as_old != Mention::None {
            if extends(old.unit.name, current.name) {
                as_new = Mention::None;
            } else if extends(current.name, old.unit.name) {
                as_old = Mention::None;
            }
        }
    }
    if text.mentions(old.unit.district) == Mention::Full {
        as_old = Mention::Full;
    }
    match (as_old, as_new) {
        (Mention::Full, Mention::None | Mention::Bare) | (Mention::Bare, Mention::None) => Vintage::Pre2025,
        (Mention::None | Mention::Bare, Mention::Full) | (Mention::None, Mention::Bare) => Vintage::Post2025,
        _ => Vintage::Unknown,
    }
}

/// Whether the longer name holds the shorter among its words, types aside.
fn extends(longer: &str, shorter: &str) -> bool {
    let bare = |name: &str| padded(&marked_key(split_type(name).map_or(name, |(_, short, _)| short)));
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

    /// Whether and how the unit is named: with its type, written out or abbreviated, or without. A number alone is no
    /// name.
    fn mentions(&self, name: &str) -> Mention {
        let Some((kind, short, abbreviations)) = split_type(name) else { return Mention::None };
        let short = padded(&(self.key)(short));
        let numbered = short.trim_start().starts_with(|letter: char| letter.is_ascii_digit());
        let held = self.words.contains(&short);
        let typed = |kind: &str| {
            let kind = (self.key)(kind);
            (held && self.words.contains(&format!(" {kind}{short}")))
                || (numbered && self.words.contains(&format!(" {kind}{}", &short[1..])))
        };
        if (held || numbered) && (typed(kind) || abbreviations.iter().any(|abbreviation| typed(abbreviation))) {
            return Mention::Full;
        }
        if held && short.chars().any(char::is_alphabetic) { Mention::Bare } else { Mention::None }
    }
}

/// How an address names a unit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mention {
    None,
    Bare,
    Full,
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

/// The unit's type, its name without it, and the type's abbreviations.
fn split_type(name: &str) -> Option<(&str, &str, &'static [&'static str])> {
    TYPES
        .iter()
        .find_map(|(kind, abbreviations)| Some((*kind, name.strip_prefix(kind)?.strip_prefix(' ')?, *abbreviations)))
}
