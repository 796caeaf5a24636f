//! Values made of several columns: names in parts, addresses with codes, identity documents.

use std::collections::BTreeMap;

use proto::FieldKind;

use super::{
    guess::{From, Named, NamedColumn},
    target::{Target, Targets},
    words::Meanings,
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
    ("number", &["identity document"]),
];
/// Meanings that belong to no context.
const PLAIN: [&str; 8] = ["number", "name", "place", "address", "detail", "street", "person", "identity document"];

/// Columns that share a context: role to column.
type Group<'n, 't> = (Meanings, BTreeMap<&'static str, &'n NamedColumn<'t>>);

/// Everything a table's columns could be put together to.
pub(super) fn guesses<'t>(targets: &Targets, wanted: &[&'t Target], table: &Named<'_>) -> Vec<(f64, &'t Target, From)> {
    let mut found = Vec::new();
    for (kind, parts) in [("PersonName", &NAME[..]), ("Address", &ADDRESS[..]), ("IdentityDocument", &DOCUMENT[..])] {
        let fields: Vec<_> = wanted.iter().copied().filter(|target| is(target, kind)).collect();
        if fields.is_empty() {
            continue;
        }
        for group in groups(table, kind, parts) {
            let Some(from) = put_together(kind, &group, table) else { continue };
            for target in &fields {
                // Text with codes says more than the text alone.
                let more = if from.columns().len() > 1 { 0.04 } else { 0.0 };
                let score = (context_fits(targets, target, &group.0, fields.len()) + more).min(1.01);
                found.push((score, *target, from.clone()));
            }
        }
    }
    found
}

fn is(target: &Target, kind: &str) -> bool {
    matches!(&target.kind, FieldKind::Value(name) if name.rsplit('.').next() == Some(kind))
}

fn groups<'n, 't>(table: &'n Named<'t>, kind: &str, parts: &[Part]) -> Vec<Group<'n, 't>> {
    let mut groups: Vec<Group<'n, 't>> = Vec::new();
    for column in &table.columns {
        let Some((role, context)) = column.names.iter().find_map(|name| part(name, parts)) else { continue };
        let textual = matches!(column.facts.kind, ColumnType::Text | ColumnType::Padded(_) | ColumnType::Bytes);
        let coded = kind == "Address" && role != "text";
        // A unit's name is no code of it.
        let named = column.names.first().is_some_and(|name| name.mean("name"));
        if coded && named || kind == "PersonName" && !textual || role == "text" && !textual {
            continue;
        }
        match groups.iter_mut().find(|(known, _)| *known == context) {
            Some((_, roles)) => {
                roles.entry(role).or_insert(column);
            }
            None => groups.push((context, BTreeMap::from([(role, column)]))),
        }
    }
    groups
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
        let order = ["commune", "province", "district"];
        let codes = order.into_iter().filter_map(|role| Some((role, column(role)?)));
        let text = column("text").or_else(plain).map(|text| ("text", text));
        return Some(From::Roles(text.into_iter().chain(codes).collect()));
    }
    let order = ["number", "type", "issue_date", "issue_place"];
    let given: Vec<_> = order.into_iter().filter_map(|role| Some((role, column(role)?))).collect();
    given.iter().any(|(role, _)| *role == "number").then_some(From::Roles(given))
}

/// How well columns of a context fit a field: an address without a word beside it is the record's only one, or its plain one.
fn context_fits(targets: &Targets, target: &Target, context: &Meanings, fields: usize) -> f64 {
    let own = target.names.iter().map(|(name, _)| name.without(&[&PLAIN[..], &["full name"]].concat()));
    let scores = own.map(|own| match (context.is_empty(), own.is_empty()) {
        (true, true) => 0.9,
        (true, false) if fields == 1 => 0.72,
        (true, false) => 0.2,
        (false, true) => 0.2,
        (false, false) => 0.97 * targets.weights.alike(context, &own),
    });
    scores.fold(0.0, f64::max)
}
