//! Values made of several columns: names in parts, addresses with codes, identity documents, dates in parts.

use std::collections::BTreeMap;

use proto::FieldKind;

use super::{
    guess::{From, LIKELY, Named, NamedColumn, SURE, likeness},
    sample::Sample,
    target::{Target, Targets},
    words::{Meanings, of_words},
};
use crate::catalogue::ColumnType;

/// What a part of the value is called, and the role of its column.
type Part = (&'static str, &'static [&'static str]);

const NAME: [Part; 3] = [("surname", &["surname"]), ("middle", &["middle name"]), ("given", &["given name"])];
const ADDRESS: [Part; 4] = [
    ("commune", &["commune"]),
    ("district", &["district"]),
    ("province", &["province"]),
    ("text", &["address", "detail", "street"]),
];
const DOCUMENT: [Part; 4] = [
    ("issue_date", &["issue date"]),
    ("issue_place", &["issue place"]),
    ("type", &["kind"]),
    ("number", &["identity document", "legacy id"]),
];
/// The parts of an address that have codes, the roles of columns that hold their names, in the order an address names them.
const UNITS: [(&str, &str); 3] =
    [("commune", "commune's name"), ("district", "district's name"), ("province", "province's name")];
/// Text in a wider column names a unit rather than to be its code.
const CODE_WIDTH_MAX: usize = 12;
/// The parts of a date with what they are called.
const DATE: [Part; 3] =
    [("day", &["ngay", "day", "dd"]), ("month", &["thang", "month", "mm"]), ("year", &["nam", "year", "yyyy", "yr"])];
/// Meanings that belong to no context.
const PLAIN: [&str; 8] = ["number", "name", "place", "address", "detail", "street", "person", "identity document"];

/// Columns that share a context: role to column.
type Group<'n, 't> = (Meanings, BTreeMap<&'static str, &'n NamedColumn<'t>>);

/// Everything a table's columns could be put together to.
pub(super) fn guesses<'t>(
    targets: &Targets,
    wanted: &[&'t Target],
    table: &Named<'_>,
    sample: Option<&Sample>,
) -> Vec<(f64, &'t Target, From)> {
    let mut found = dates(targets, wanted, table, sample);
    for (kind, parts) in [("PersonName", &NAME[..]), ("Address", &ADDRESS[..]), ("IdentityDocument", &DOCUMENT[..])] {
        let fields: Vec<_> = wanted.iter().copied().filter(|target| is(target, kind)).collect();
        if fields.is_empty() {
            continue;
        }
        for mut group in groups(table, kind, parts, sample) {
            // Units that nothing says the address of belong to the record's only one.
            let text = match &fields[..] {
                [only] if kind == "Address" && group.0.is_empty() && !group.1.contains_key("text") => {
                    best_text(targets, only, table, sample)
                }
                _ => None,
            };
            let joined = text.map_or(0.0, |(text, score)| {
                group.1.insert("text", text);
                score
            });
            let Some(from) = put_together(kind, &group, table) else { continue };
            for target in &fields {
                // Text with codes says more than the text alone.
                let more = if from.columns().len() > 1 { 0.04 } else { 0.0 };
                let fits = context_fits(targets, target, &group.0, fields.len()).max(joined);
                found.push(((fits + more).min(1.01), *target, from.clone()));
            }
        }
    }
    found
}

/// The column that holds an address's text, units apart.
fn best_text<'n, 't>(
    targets: &Targets,
    target: &Target,
    table: &'n Named<'t>,
    sample: Option<&Sample>,
) -> Option<(&'n NamedColumn<'t>, f64)> {
    let textual = table.columns.iter().filter(|column| {
        let unit = column.names.iter().any(|name| part(name, &ADDRESS).is_some_and(|(role, _)| role != "text"));
        matches!(column.facts.kind, ColumnType::Text | ColumnType::Padded(_) | ColumnType::Bytes) && !unit
    });
    let scored = textual.map(|column| (column, likeness(targets, target, column, sample)));
    scored.filter(|(_, score)| *score >= SURE).max_by(|left, right| left.1.total_cmp(&right.1))
}

fn is(target: &Target, kind: &str) -> bool {
    matches!(&target.kind, FieldKind::Value(name) if name.rsplit('.').next() == Some(kind))
}

/// Dates whose year, month and day stand in columns of their own, called alike but for the part: `ngay_sinh`,
/// `thang_sinh`, `nam_sinh`.
fn dates<'t>(
    targets: &Targets,
    wanted: &[&'t Target],
    table: &Named<'_>,
    sample: Option<&Sample>,
) -> Vec<(f64, &'t Target, From)> {
    let mut groups: Vec<(Vec<String>, BTreeMap<&'static str, &NamedColumn<'_>>)> = Vec::new();
    for column in &table.columns {
        let words = &column.words;
        let named =
            |(_, names): &&(&str, &[&str])| words.iter().filter(|word| names.contains(&word.as_str())).count() == 1;
        let Some((part, names)) = DATE.iter().find(named) else { continue };
        let rest: Vec<String> = words.iter().filter(|word| !names.contains(&word.as_str())).cloned().collect();
        match groups.iter_mut().find(|(known, _)| *known == rest) {
            Some((_, parts)) => {
                parts.entry(part).or_insert(column);
            }
            None => groups.push((rest, BTreeMap::from([(*part, column)]))),
        }
    }
    let mut found = Vec::new();
    for (rest, parts) in groups {
        let whole = |(part, column): (&&'static str, &&NamedColumn<'_>)| !holds_part(part, column, sample);
        if !parts.contains_key("year") || !parts.contains_key("month") || parts.iter().any(whole) {
            continue;
        }
        let date = of_words(&[vec!["ngay".to_owned()], rest].concat());
        let names: Vec<&Meanings> = parts.values().filter_map(|column| column.names.first()).chain([&date]).collect();
        let given = |role| Some((role, parts.get(role)?.facts.name.clone()));
        let from = From::Roles(["year", "month", "day"].into_iter().filter_map(given).collect());
        for target in wanted.iter().filter(|target| ["partial_date", "birth_date"].contains(&target.convert.as_str())) {
            let alike = target
                .names
                .iter()
                .flat_map(|(known, worth)| names.iter().map(move |name| targets.weights.alike(name, known) * worth));
            found.push((alike.fold(0.0, f64::max), *target, from.clone()));
        }
    }
    found
}

/// Whether a column holds a year, a month or a day, and no whole date: a small number, or text that has no room for more.
fn holds_part(part: &str, column: &NamedColumn<'_>, sample: Option<&Sample>) -> bool {
    let digits = if part == "year" { 4 } else { 2 };
    let texts = sample.map(|sample| sample.texts(&column.facts.name)).unwrap_or_default();
    let fits = texts.iter().all(|text| text.len() <= digits);
    fits && match column.facts.kind {
        ColumnType::Int | ColumnType::Number => true,
        ColumnType::Text | ColumnType::Padded(_) => {
            !texts.is_empty() || column.facts.width.is_some_and(|width| width <= digits)
        }
        _ => false,
    }
}

fn groups<'n, 't>(table: &'n Named<'t>, kind: &str, parts: &[Part], sample: Option<&Sample>) -> Vec<Group<'n, 't>> {
    let mut groups: Vec<Group<'n, 't>> = Vec::new();
    for column in &table.columns {
        let Some((role, context)) = column.names.iter().find_map(|name| part(name, parts)) else { continue };
        let textual = matches!(column.facts.kind, ColumnType::Text | ColumnType::Padded(_) | ColumnType::Bytes);
        if (kind == "PersonName" || role == "text") && !textual {
            continue;
        }
        let unit = UNITS.iter().find(|(unit, _)| kind == "Address" && *unit == role);
        let role = unit.filter(|_| textual && is_worded(column, sample)).map_or(role, |(_, named)| named);
        match groups.iter_mut().find(|(known, _)| *known == context) {
            Some((_, roles)) => {
                roles.entry(role).or_insert(column);
            }
            None => groups.push((context, BTreeMap::from([(role, column)]))),
        }
    }
    groups
}

/// Whether the columns of an address have names that speak of different ones.
pub(super) fn are_of_several(from: &From, table: &Named<'_>) -> bool {
    let columns = from.columns().into_iter().filter_map(|column| table.column(column));
    let mut contexts = columns.filter_map(|column| column.names.iter().find_map(|name| part(name, &ADDRESS)));
    let Some((_, first)) = contexts.next() else { return false };
    contexts.any(|(_, context)| context != first)
}

/// Whether a column holds the name of a unit and no code of it.
fn is_worded(column: &NamedColumn<'_>, sample: Option<&Sample>) -> bool {
    let texts = sample.map(|sample| sample.texts(&column.facts.name)).unwrap_or_default();
    let worded =
        texts.iter().filter(|text| !text.bytes().any(|byte| byte.is_ascii_digit()) || text.contains(' ')).count();
    let named = column.names.first().is_some_and(|name| name.mean("name"));
    match texts.len() {
        0 => named || column.facts.width.is_none_or(|width| width > CODE_WIDTH_MAX),
        all => worded * 2 > all,
    }
}

/// The part of a value a name speaks of, and of which value.
fn part(name: &Meanings, parts: &[Part]) -> Option<(&'static str, Meanings)> {
    let (role, own) = parts.iter().find(|(_, meanings)| meanings.iter().any(|meaning| name.mean(meaning)))?;
    let all: Vec<&str> = own.iter().copied().chain(PLAIN).collect();
    Some((role, name.without(&all)))
}

fn put_together(kind: &str, (context, roles): &Group<'_, '_>, table: &Named<'_>) -> Option<From> {
    let column = |role: &str| roles.get(role).map(|column| column.facts.name.clone());
    if kind == "PersonName" {
        // "Tên" alone is a given name only beside a family name.
        let plain = || {
            let named = |column: &&NamedColumn<'_>| {
                let name = column.names.first();
                name.is_some_and(|name| name.mean("name") && name.without(&["name"]) == *context)
            };
            table.columns.iter().find(named).map(|column| column.facts.name.clone())
        };
        let parts = [column("surname")?, column("middle").unwrap_or_default(), column("given").or_else(plain)?];
        return Some(From::Together(parts.into_iter().filter(|part| !part.is_empty()).collect()));
    }
    if kind == "Address" {
        // "Nơi sinh" beside "mã xã nơi sinh" is its text.
        let plain = || {
            let textual = |column: &&NamedColumn<'_>| {
                let kind = &column.facts.kind;
                let same = column.names.iter().any(|name| !name.is_empty() && name.without(&PLAIN) == *context);
                same && column.names.iter().all(|name| part(name, &ADDRESS).is_none())
                    && matches!(kind, ColumnType::Text | ColumnType::Padded(_) | ColumnType::Bytes)
            };
            let found = table.columns.iter().find(textual).filter(|_| !context.is_empty());
            found.map(|column| column.facts.name.clone())
        };
        let text = column("text").or_else(plain);
        let order = ["commune", "province", "district"];
        let codes: Vec<_> = order.into_iter().filter_map(|role| Some((role, column(role)?))).collect();
        let names: Vec<_> = UNITS.iter().filter_map(|(_, named)| column(named)).collect();
        if codes.is_empty() && !names.is_empty() {
            return Some(From::Together(text.into_iter().chain(names).collect()));
        }
        return Some(From::Roles(text.map(|text| ("text", text)).into_iter().chain(codes).collect()));
    }
    let order = ["number", "type", "issue_date", "issue_place"];
    let given: Vec<_> = order.into_iter().filter_map(|role| Some((role, column(role)?))).collect();
    given.iter().any(|(role, _)| *role == "number").then_some(From::Roles(given))
}

/// How well columns of a context fit a field: an address without a word beside it is the record's only one, or its plain one.
fn context_fits(targets: &Targets, target: &Target, context: &Meanings, fields: usize) -> f64 {
    let own = target.names.iter().map(|(name, _)| name.without(&[&PLAIN[..], &["full name"]].concat()));
    let scores = own.map(|own| match (context.is_empty(), own.is_empty()) {
        (true, true) if target.convert == "address" => 0.97,
        (true, true) => 0.9,
        (true, false) if fields == 1 => 0.72,
        (true, false) => 0.2,
        (false, true) => 0.2,
        (false, false) => {
            // The only address there is to find is likely the record's, whatever else it is called.
            let only = if target.convert == "address" && fields == 1 { LIKELY } else { 0.0 };
            (0.97 * targets.weights.alike(context, &own)).max(only)
        }
    });
    scores.fold(0.0, f64::max)
}
