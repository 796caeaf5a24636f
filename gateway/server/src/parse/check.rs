//! What is wrong in a request, said so that the caller can mend it and nobody's number is repeated.

use query::{Asked, Violation};

/// Why a request is no question, and what could be read of it all the same.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) violations: Vec<Violation>,
    pub(crate) asked: Asked,
}

/// Collects what is wrong, so that a caller learns all of it at once.
#[derive(Default)]
pub(super) struct Check {
    pub(super) prefix: String,
    pub(super) violations: Vec<Violation>,
    pub(super) asked: Asked,
}

impl Check {
    pub(super) fn wrong(&mut self, field: impl AsRef<str>, english: impl Into<String>, vietnamese: impl Into<String>) {
        self.violations.push(Violation {
            field: format!("{}{}", self.prefix, field.as_ref()),
            english: english.into(),
            vietnamese: vietnamese.into(),
        });
    }

    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Box<Unreadable>> {
        match value {
            Some(value) if self.violations.is_empty() => Ok(value),
            _ => Err(Box::new(Unreadable { violations: self.violations, asked: self.asked })),
        }
    }
}

/// Whether a text holds a run of digits long enough to name a person.
pub(crate) fn has_long_number(text: &str) -> bool {
    longest_run_of_digits(text) >= 9
}

fn longest_run_of_digits(text: &str) -> usize {
    text.split(|letter: char| !letter.is_ascii_digit()).map(str::len).max().unwrap_or(0)
}

/// Longest name repeated back to a caller; what is longer was no misspelling.
const NAME_CHARACTERS_MAX: usize = 100;

pub(super) fn unknown_name<'a>(
    check: &mut Check,
    at: &str,
    what: &str,
    what_vi: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) {
    // A misplaced value could be a person's: only what looks like a name of ours is repeated back.
    let like_a_name = name.len() <= NAME_CHARACTERS_MAX
        && longest_run_of_digits(name) < 6
        && name.chars().any(|letter| letter.is_ascii_alphabetic())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-*".contains(letter));
    let shown = if like_a_name { format!(" \"{name}\"") } else { String::new() };
    // Record types are often written without their package.
    let likeness = |candidate: &str| {
        let last = candidate.rsplit('.').next().unwrap_or(candidate);
        strsim::jaro_winkler(name, candidate).max(strsim::jaro_winkler(name, last))
    };
    let nearest = known
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.8 && like_a_name)
        // Of names alike in their last part the shortest is meant.
        .max_by(|one, two| one.0.total_cmp(&two.0).then_with(|| two.1.len().cmp(&one.1.len())));
    let (hint, hint_vi) = nearest.map_or_else(
        || (String::new(), String::new()),
        |(_, candidate)| (format!("; did you mean \"{candidate}\"?"), format!("; có phải \"{candidate}\"?")),
    );
    check.wrong(at, format!("unknown {what}{shown}{hint}"), format!("không có {what_vi}{shown}{hint_vi}"));
}
