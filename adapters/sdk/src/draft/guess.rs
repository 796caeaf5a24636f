//! Which column each field most likely comes from.

use std::collections::{BTreeMap, HashSet};

use proto::FieldKind;

use super::{
    composite,
    inventory::{ColumnFacts, TableFacts},
    sample::Sample,
    target::{Target, Targets},
    words::{Meaning, Meanings, alone, is_known, meanings, of_words, parts, words},
};
use crate::catalogue::{ColumnType, split};

/// Guesses below this are only mentioned.
pub(super) const LIKELY: f64 = 0.5;
/// Guesses below this are not even mentioned.
pub(super) const POSSIBLE: f64 = 0.3;
/// Guesses below this are marked as doubtful.
pub(super) const SURE: f64 = 0.75;
/// How likely a column holds what its name means only because nothing else stands in it.
const ALONE: f64 = 0.7;
/// What a column counts that holds nothing in any of the sampled rows.
const EMPTY: f64 = 0.7;
/// How likely a column holds a person's number when its values have that form and its name does not say so.
const NUMBER: f64 = 0.55;
/// What a column counts that is called after somebody else.
const ANOTHER: f64 = 0.4;
/// The people beside a record's own subject.
const PEOPLE: [&str; 12] = [
    "father",
    "mother",
    "spouse",
    "husband",
    "wife",
    "household head",
    "requester",
    "signer",
    "clerk",
    "legal representative",
    "member",
    "head",
];
/// So many columns must begin alike for the beginning to say nothing.
const PREFIX_COLUMNS_MIN: usize = 4;
/// A shorter word is no name of a table.
const PREFIX_LETTERS_MIN: usize = 3;

/// A table with the meanings of its columns' names.
#[derive(Debug)]
pub(super) struct Named<'t> {
    pub(super) facts: &'t TableFacts,
    pub(super) columns: Vec<NamedColumn<'t>>,
    pub(super) meanings: Meanings,
}

#[derive(Debug)]
pub(super) struct NamedColumn<'t> {
    pub(super) facts: &'t ColumnFacts,
    /// The words of the name, without those that only name the table.
    pub(super) words: Vec<String>,
    /// What the name means only because it is the whole name.
    alone: &'static [Meaning],
    /// The people it is called after.
    people: Vec<&'static str>,
    /// What the name may mean, then what the comment may.
    pub(super) names: Vec<Meanings>,
    /// Whether its values name rows of another table.
    pub(super) refers: bool,
}

impl<'t> Named<'t> {
    pub(super) fn new(facts: &'t TableFacts) -> Self {
        let spelled: Vec<Vec<String>> = facts.columns.iter().map(|column| words(&column.name)).collect();
        let (prefix, suffix) = (prefix(&split(&facts.name).1, &spelled), suffix(&spelled));
        let columns = facts.columns.iter().zip(spelled).map(|(column, mut spelled)| {
            if spelled.len() > 1 && spelled.first() == prefix.as_ref() {
                spelled.remove(0);
            }
            if spelled.len() > 1 && spelled.last() == suffix.as_ref() {
                spelled.pop();
            }
            let words: Vec<String> = spelled.iter().flat_map(|word| parts(word)).collect();
            let mut names = vec![of_words(&words)];
            names.extend(said(&column.comment));
            names.retain(|name| !name.is_empty());
            let called = |meaning: &&str| names.first().is_some_and(|name| name.mean(meaning));
            let people = PEOPLE.into_iter().filter(called).collect();
            let (alone, refers) = (alone(&words), facts.reference(&column.name).is_some());
            NamedColumn { facts: column, words, alone, people, names, refers }
        });
        let (_, name) = split(&facts.name);
        Self { facts, columns: columns.collect(), meanings: meanings(&name).with(meanings(&facts.comment)) }
    }

    pub(super) fn column(&self, name: &str) -> Option<&NamedColumn<'t>> {
        self.columns.iter().find(|column| column.facts.name == name)
    }
}

/// The word that columns begin with only to name their table: most of them, or some where it is short for the table's own
/// name (`emp_` in `hs_hr_employee`).
fn prefix(table: &str, spelled: &[Vec<String>]) -> Option<String> {
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    for word in spelled.iter().filter(|words| words.len() > 1).filter_map(|words| words.first()) {
        *counts.entry(word).or_default() += 1;
    }
    let table = words(table);
    let names_it = |word: &str| {
        word.len() >= PREFIX_LETTERS_MIN && !is_known(word) && table.iter().any(|own| own.starts_with(word))
    };
    let mut common = counts.into_iter().filter(|(_, count)| *count >= PREFIX_COLUMNS_MIN);
    common.find(|(word, count)| *count * 10 >= spelled.len() * 7 || names_it(word)).map(|(word, _)| word.clone())
}

/// The word every column ends with, as those of one's own do in some products (`cccd_c`).
fn suffix(spelled: &[Vec<String>]) -> Option<String> {
    let last = spelled.first()?.last()?;
    let all = spelled.len() >= PREFIX_COLUMNS_MIN && spelled.iter().all(|words| words.last() == Some(last));
    (all && !is_known(last)).then(|| last.clone())
}

/// What a comment calls the column: all of its head, and the part before a comma.
fn said(comment: &str) -> Vec<Meanings> {
    let head = comment.split([':', '(', ';', '\n', '.', '[', '=']).next().unwrap_or_default();
    let head = head.split(" - ").next().unwrap_or_default();
    let mut said = vec![meanings(head)];
    if let Some((before, _)) = head.split_once(',') {
        said.push(meanings(before));
    }
    said
}

/// Where a field's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    Column(String),
    /// Joined by spaces.
    Together(Vec<String>),
    Roles(Vec<(&'static str, String)>),
}

impl From {
    pub(super) fn columns(&self) -> Vec<&str> {
        match self {
            Self::Column(column) => vec![column],
            Self::Together(columns) => columns.iter().map(String::as_str).collect(),
            Self::Roles(roles) => roles.iter().map(|(_, column)| column.as_str()).collect(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Guess<'t> {
    pub(super) target: &'t Target,
    pub(super) from: From,
    pub(super) score: f64,
    /// Other columns it might be, the likeliest first.
    pub(super) others: Vec<(String, f64)>,
}

/// How likely a column holds a field, from 0 to 1.
pub(super) fn likeness(targets: &Targets, target: &Target, column: &NamedColumn<'_>, sample: Option<&Sample>) -> f64 {
    let alike = |name: &Meanings| {
        let scores = target.names.iter().map(|(known, worth)| targets.weights.alike(name, known) * worth);
        scores.fold(0.0, f64::max)
    };
    let alone = |(known, worth): &(Meanings, f64)| match &known.0[..] {
        [place] if column.alone.iter().any(|meaning| place.contains(meaning)) => ALONE * worth,
        _ => 0.0,
    };
    let named = column.names.iter().map(alike).fold(0.0, f64::max);
    let others = is_of_another(target, column);
    let another = if others { ANOTHER } else { 1.0 };
    let named = target.names.iter().map(alone).fold(named, f64::max) * apart(target, column) * another;
    let fits = fits(target, column);
    let counts = matches!(column.facts.kind, ColumnType::Int | ColumnType::Number);
    let held = sample.and_then(|sample| sample.accepted(&column.facts.name, &target.convert, target.list.as_deref()));
    match held {
        // What is empty in all rows holds nothing, whatever its name.
        _ if sample.is_some_and(|sample| sample.is_empty(&column.facts.name)) => named * fits * EMPTY,
        // The number tells what a name does not: hardly anything else has its form, but for the seconds of a clock.
        Some(share)
            if target.identifies && target.convert == "personal_id" && share > 0.9 && (named > 0.0 || !counts) =>
        {
            let told = if others { 0.0 } else { NUMBER };
            (named * fits).max(told)
        }
        Some(share) => named * fits * (0.3 + 0.7 * share),
        None => named * fits,
    }
}

/// Whether a column is called after a person the field does not speak of.
fn is_of_another(target: &Target, column: &NamedColumn<'_>) -> bool {
    let silent = |meaning: &str| !target.names.iter().any(|(name, _)| name.mean(meaning));
    column.people.iter().any(|meaning| silent(meaning))
}

/// What the rest of a name takes from a guess: why, when and where something is say more than that it is, and a part of a
/// name is less than the name.
fn apart(target: &Target, column: &NamedColumn<'_>) -> f64 {
    let other: &[&str] = match target.convert.as_str() {
        "boolean" => &["cause", "note", "place", "date"],
        "person_name" => &["surname", "middle name", "given name"],
        _ => &[],
    };
    let says = |name: &Meanings| other.iter().any(|meaning| name.mean(meaning));
    if column.names.first().is_some_and(says) { 0.5 } else { 1.0 }
}

/// Whether a column of this type can hold the field.
fn fits(target: &Target, named: &NamedColumn<'_>) -> f64 {
    use ColumnType as C;
    let column = named.facts;
    let width = |least: usize| if column.width.is_some_and(|width| width < least) { 0.1 } else { 1.0 };
    if matches!(column.kind, C::Unsupported(_)) {
        return 0.0;
    }
    match (target.convert.as_str(), &column.kind) {
        ("partial_date" | "birth_date", C::Date) => 1.0,
        ("partial_date" | "birth_date", C::Text | C::Padded(_)) => 0.95 * width(4),
        ("partial_date" | "birth_date", C::Int | C::Bytes) => 0.8,
        ("partial_date" | "birth_date", _) | (_, C::Date) => 0.0,
        ("boolean", C::Bool) => 1.0,
        ("boolean", C::Int | C::Text | C::Padded(_) | C::Enumeration) => 0.9,
        ("code", C::Bool) => 0.7,
        ("boolean", _) | (_, C::Bool | C::Uuid) => 0.0,
        ("money" | "decimal" | "integer", C::Int | C::Number) if column.key || named.refers => 0.2,
        ("money" | "decimal" | "integer", C::Int | C::Number) => 1.0,
        ("money" | "decimal" | "integer", C::Text | C::Padded(_)) => 0.8,
        ("money" | "decimal" | "integer", _) => 0.0,
        ("code", C::Int) if column.key => 0.3,
        // Seldom is a key that counts rows the number people know.
        (
            "personal_id"
            | "legacy_id"
            | "tax_code"
            | "social_insurance_number"
            | "health_insurance_card"
            | "budget_unit_code",
            C::Int,
        ) if column.key || named.refers => 0.3,
        ("personal_id", _) => width(12),
        ("legacy_id", _) => width(9),
        ("tax_code" | "social_insurance_number" | "health_insurance_card", _) => width(10),
        ("budget_unit_code", _) => width(7),
        ("person_name" | "org_name", C::Text | C::Padded(_) | C::Bytes) => width(10),
        ("address", C::Text | C::Padded(_) | C::Bytes) => width(15),
        ("person_name" | "org_name" | "address", _) => 0.0,
        _ => 1.0,
    }
}

/// The best columns for these fields within one table, none used twice.
pub(super) fn assign<'t>(
    targets: &Targets,
    wanted: &[&'t Target],
    table: &Named<'_>,
    used: &mut HashSet<String>,
    sample: Option<&Sample>,
) -> Vec<Guess<'t>> {
    let mut scored: Vec<(f64, &'t Target, From)> = Vec::new();
    for target in wanted.iter().copied() {
        for column in &table.columns {
            let score = likeness(targets, target, column, sample);
            if score >= POSSIBLE {
                scored.push((score, target, From::Column(column.facts.name.clone())));
            }
        }
    }
    scored.extend(composite::guesses(targets, wanted, table, sample));
    // Of equals, the one the record type names first.
    scored.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.leaf.cmp(&right.1.leaf)));
    let mut guesses: Vec<Guess<'t>> = Vec::new();
    for (score, target, from) in &scored {
        let taken = guesses.iter().any(|guess| guess.target.leaf == target.leaf);
        let free = from.columns().iter().all(|column| !used.contains(*column));
        if *score < LIKELY || taken || !free {
            continue;
        }
        used.extend(from.columns().into_iter().map(str::to_owned));
        guesses.push(Guess { target, from: from.clone(), score: *score, others: Vec::new() });
    }
    for guess in &mut guesses {
        let others = scored.iter().filter(|(_, target, from)| target.leaf == guess.target.leaf && *from != guess.from);
        let named = others.filter_map(|(score, _, from)| match from {
            From::Column(column) => Some((column.clone(), *score)),
            _ => None,
        });
        guess.others = named.filter(|(column, _)| !used.contains(column)).take(3).collect();
    }
    guesses.sort_by_key(|guess| guess.target.leaf);
    guesses
}

/// Columns that might hold a field nothing was found for.
pub(super) fn possible(
    targets: &Targets,
    target: &Target,
    table: &Named<'_>,
    used: &[&str],
    sample: Option<&Sample>,
) -> Vec<(String, f64)> {
    let free = table.columns.iter().filter(|column| !used.contains(&column.facts.name.as_str()));
    let mut found: Vec<_> = free
        .map(|column| (column.facts.name.clone(), likeness(targets, target, column, sample)))
        .filter(|(_, score)| *score >= POSSIBLE)
        .collect();
    found.sort_by(|left, right| right.1.total_cmp(&left.1));
    found.truncate(3);
    found
}

/// Whether a field is a date the engine cannot read without a format.
pub(super) fn needs_format(target: &Target, column: &ColumnFacts) -> bool {
    let date = matches!(&target.kind, FieldKind::Value(name) if name.ends_with(".PartialDate"));
    date && column.kind != ColumnType::Date
}
