//! Which table a record type stands in, what joins it, and which rows count.

use std::collections::HashSet;

use proto::options::v1::IdentifierKind;

use super::{
    guess::{From, Guess, Named, POSSIBLE, assign, likeness},
    inventory::Inventory,
    sample::Sample,
    target::{Target, Targets},
};
use crate::{
    Engine,
    catalogue::{ColumnType, split},
};

/// A table that is called as the record type is taken when it has this share of the best table's likelihood.
const NAMED_SHARE: f64 = 0.4;

/// Everything guessed of one record type in one table.
#[derive(Debug)]
pub(super) struct Shape<'t> {
    pub(super) table: String,
    pub(super) score: f64,
    pub(super) fields: Vec<Guess<'t>>,
    pub(super) children: Vec<Child<'t>>,
    /// Repeated messages whose parts stand joined in columns of the record's own table.
    pub(super) joined: Vec<(String, Vec<Guess<'t>>)>,
    /// Columns that find the record, by kind of number; with how sure that is.
    pub(super) lookup: Vec<(IdentifierKind, String, f64)>,
    pub(super) as_of: Option<String>,
    /// A column that marks deleted rows, and what stands there in the others.
    pub(super) alive: Option<(String, &'static str)>,
    pub(super) order: Vec<String>,
}

/// A repeated message in a table of its own.
#[derive(Debug)]
pub(super) struct Child<'t> {
    pub(super) container: String,
    pub(super) table: String,
    /// Column there, column of the record's table.
    pub(super) join: Vec<(String, String)>,
    /// Whether the database declares the join.
    pub(super) declared: bool,
    pub(super) fields: Vec<Guess<'t>>,
    pub(super) order: Vec<String>,
    pub(super) score: f64,
}

/// Tables by how much of the record type they seem to hold, the likeliest first.
pub(super) fn ranked(targets: &Targets, record: &proto::RecordType, tables: &[Named<'_>]) -> Vec<(String, f64, usize)> {
    let own: Vec<&Target> = targets.all.iter().filter(|target| target.container.is_none()).collect();
    let mut ranked: Vec<_> = tables
        .iter()
        .map(|table| {
            let guesses = assign(targets, &own, table, &mut HashSet::new(), None);
            let sum: f64 = guesses.iter().map(|guess| guess.score).sum();
            let identifies = guesses.iter().any(|guess| record.fields[guess.target.leaf].identifies.is_some());
            // Words of the table that are the record's own.
            let own = table.meanings.0.iter().flatten().filter(|meaning| targets.context.mean(meaning)).count();
            let called = own as f64 / table.meanings.0.len().max(1) as f64;
            let score = sum * (1.0 + 0.5 * called.min(1.0)) * if identifies { 1.0 } else { 0.5 };
            (called >= 1.0, (table.facts.name.clone(), score, guesses.len()))
        })
        .filter(|(_, (_, score, _))| *score > 0.0)
        .collect();
    ranked.sort_by(|left, right| right.1.1.total_cmp(&left.1.1));
    // A register's other tables hold people with more fields than the one that is called as the record.
    let enough = ranked.first().map_or(0.0, |best| best.1.1 * NAMED_SHARE);
    let named = ranked.iter().position(|(called, (_, score, _))| *called && *score >= enough);
    if let Some(named) = named {
        ranked[..=named].rotate_right(1);
    }
    ranked.into_iter().map(|(_, table)| table).collect()
}

/// What is found of a record type when it stands in this table.
pub(super) fn shape<'t>(
    targets: &'t Targets,
    record: &proto::RecordType,
    inventory: &Inventory,
    tables: &[Named<'_>],
    main: &Named<'_>,
    sample: Option<&Sample>,
) -> Shape<'t> {
    let own: Vec<&Target> = targets.all.iter().filter(|target| target.container.is_none()).collect();
    let mut used = HashSet::new();
    let fields = assign(targets, &own, main, &mut used, sample);
    let (mut children, mut joined) = (Vec::new(), Vec::new());
    for container in targets.containers() {
        let parts: Vec<&Target> =
            targets.all.iter().filter(|target| target.container.as_deref() == Some(container)).collect();
        if let Some(child) = child(targets, container, &parts, tables, main) {
            children.push(child);
            continue;
        }
        let guesses = assign(targets, &parts, main, &mut used, sample);
        if !guesses.is_empty() && guesses.iter().all(|guess| matches!(guess.from, From::Column(_))) {
            joined.push((container.to_owned(), guesses));
        }
    }
    let by_name = |meaning: &'static str| {
        main.columns.iter().filter(move |column| column.names.iter().any(|name| name.mean(meaning)))
    };
    let as_of = by_name("updated").find(|column| column.facts.kind == ColumnType::Date).map(|c| c.facts.name.clone());
    let alive = by_name("removed").find_map(|column| {
        let value = match (&column.facts.kind, inventory.engine) {
            (ColumnType::Bool, Engine::Postgres) => "false",
            (ColumnType::Int | ColumnType::Bool, _) => "0",
            _ => return None,
        };
        Some((column.facts.name.clone(), value))
    });
    Shape {
        table: main.facts.name.clone(),
        score: fields.iter().map(|guess| guess.score).sum(),
        lookup: lookup(targets, record, main, &fields, sample),
        order: main.facts.key().into_iter().map(str::to_owned).collect(),
        fields,
        children,
        joined,
        as_of,
        alive: alive.filter(|(column, _)| !used.contains(column)),
    }
}

/// The columns of fields that identify; where there is none, the likeliest column that could, or the table's key.
fn lookup(
    targets: &Targets,
    record: &proto::RecordType,
    main: &Named<'_>,
    fields: &[Guess<'_>],
    sample: Option<&Sample>,
) -> Vec<(IdentifierKind, String, f64)> {
    let kind = |target: &Target| record.fields[target.leaf].identifies;
    let mut lookup: Vec<_> = fields
        .iter()
        .filter_map(|guess| match &guess.from {
            From::Column(column) => Some((kind(guess.target)?, column.clone(), guess.score)),
            _ => None,
        })
        .collect();
    if lookup.is_empty() {
        let identifying = targets.all.iter().filter_map(|target| Some((target, kind(target)?)));
        let weak = identifying.clone().flat_map(|(target, kind)| {
            let scored = main.columns.iter().map(move |column| (column, likeness(targets, target, column, sample)));
            scored
                .filter(|(_, score)| *score > POSSIBLE / 2.0)
                .map(move |(column, score)| (kind, column.facts.name.clone(), score))
        });
        let best = weak.max_by(|left, right| left.2.total_cmp(&right.2));
        let key = || {
            let (_, kind) = identifying.clone().next()?;
            let readable =
                |column: &&super::guess::NamedColumn<'_>| !matches!(column.facts.kind, ColumnType::Unsupported(_));
            let column =
                main.columns.iter().find(|column| column.facts.key).or_else(|| main.columns.iter().find(readable))?;
            Some((kind, column.facts.name.clone(), 0.0))
        };
        lookup.extend(best.or_else(key));
    }
    if lookup.is_empty() {
        // No number names the record's own subject: the people in it are looked for.
        let people = fields.iter().filter(|guess| guess.target.convert == "personal_id");
        lookup.extend(people.filter_map(|guess| match &guess.from {
            From::Column(column) => Some((IdentifierKind::PersonalId, column.clone(), guess.score)),
            _ => None,
        }));
        let key = main.columns.iter().find(|column| column.facts.key).or_else(|| main.columns.first());
        let instead = key.filter(|_| lookup.is_empty());
        lookup.extend(instead.map(|column| (IdentifierKind::PersonalId, column.facts.name.clone(), 0.0)));
    }
    lookup
}

/// The table that most likely holds the parts of a repeated message, among those that join the record's.
fn child<'t>(
    targets: &Targets,
    container: &str,
    parts: &[&'t Target],
    tables: &[Named<'_>],
    main: &Named<'_>,
) -> Option<Child<'t>> {
    let others = tables.iter().filter(|table| table.facts.name != main.facts.name);
    let found = others.filter_map(|table| {
        let (join, declared) = join(table, main)?;
        let mut used = join.iter().map(|(column, _)| column.clone()).collect();
        let fields = assign(targets, parts, table, &mut used, None);
        let called = super::words::meanings(&container.replace('.', " "));
        let named = targets.weights.alike(&table.meanings, &called);
        let sum = fields.iter().map(|guess| guess.score).sum::<f64>();
        let score = sum + named;
        let key = table.facts.key().into_iter().map(str::to_owned).collect();
        let enough = fields.iter().any(|guess| guess.score >= 0.6) && (score >= 1.2 || named >= 0.6);
        let (container, table) = (container.to_owned(), table.facts.name.clone());
        enough.then_some(Child { container, table, join, declared, fields, order: key, score })
    });
    found.max_by(|left, right| left.score.total_cmp(&right.score))
}

/// How another table's rows belong to the record's: by a declared key, or by a column of the same name.
pub(super) fn join(other: &Named<'_>, main: &Named<'_>) -> Option<(Vec<(String, String)>, bool)> {
    if let Some(reference) = other.facts.references.iter().find(|reference| reference.table == main.facts.name) {
        return Some((reference.columns.iter().cloned().zip(reference.others.iter().cloned()).collect(), true));
    }
    let key = main.facts.key();
    let keyed = |own: &str| key == [own];
    let same = |own: &str| {
        let found = other.facts.columns.iter().find(|column| column.name.eq_ignore_ascii_case(own));
        found.map(|column| (vec![(column.name.clone(), own.to_owned())], false))
    };
    // A column called as the key of the record's table, or as the table and "id".
    let own = main.facts.columns.iter().filter(|column| keyed(&column.name) || column.indexed);
    let by_name = own.filter(|column| !column.name.eq_ignore_ascii_case("id")).find_map(|column| same(&column.name));
    by_name.or_else(|| {
        let [own] = key.as_slice() else { return None };
        let short = split(&main.facts.name).1.to_lowercase();
        let named = other.facts.columns.iter().find(|column| {
            let name = column.name.to_lowercase();
            [format!("{short}_id"), format!("id_{short}"), format!("{short}id"), format!("ma_{short}")].contains(&name)
        })?;
        Some((vec![(named.name.clone(), (*own).to_owned())], false))
    })
}
