//! Which table a record type stands in, what joins it, and which rows count.

use std::collections::HashSet;

use proto::options::v1::IdentifierKind;

use super::{
    DraftRequest, Found,
    guess::{From, Guess, Named, NamedColumn, assign},
    inventory::Inventory,
    lookup,
    rows::{self, Marker},
    target::{Target, Targets},
    words,
};
use crate::catalogue::{ColumnType, split};

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
    /// The column that marks deleted rows.
    pub(super) alive: Option<Marker>,
    /// Other columns nothing reads that may say which rows count.
    pub(super) markers: Vec<Marker>,
    /// Flags that say whether a repeated message is there at all, with the container of that.
    pub(super) exists: Vec<(&'t Target, String)>,
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
    /// Whether the table is called as the repeated message.
    pub(super) named: bool,
    pub(super) fields: Vec<Guess<'t>>,
    /// The rows that count, as a known mapping of the record leaves others out.
    pub(super) counted: Option<Marker>,
    /// Columns nothing reads that may say which rows count.
    pub(super) markers: Vec<Marker>,
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
    found: &'t Found,
    request: &DraftRequest,
    inventory: &Inventory,
    tables: &[Named<'_>],
    main: &Named<'_>,
) -> Shape<'t> {
    let (targets, record, sample) = (&found.targets, &found.record_type, found.sample(main));
    let own: Vec<&Target> = targets.all.iter().filter(|target| target.container.is_none()).collect();
    let mut used = HashSet::new();
    let fields = assign(targets, &own, main, &mut used, sample);
    let mut children = children(targets, tables, main);
    children.retain_mut(|child| {
        let Some(table) = tables.iter().find(|table| table.facts.name == child.table) else { return false };
        complete(child, found, request, inventory, table);
        !child.fields.is_empty()
    });
    let mut joined = Vec::new();
    for container in targets.containers() {
        if children.iter().any(|child| child.container == container) {
            continue;
        }
        let mut tried = used.clone();
        let guesses = assign(targets, &parts(targets, container), main, &mut tried, sample);
        // A column of the record's own is a part of something else only if it is called so.
        let called = called(found, container);
        let speaks = |guess: &Guess<'_>| {
            let columns = guess.from.columns().into_iter().filter_map(|column| main.column(column));
            columns.flat_map(|column| &column.names).any(|name| called.iter().any(|meaning| name.mean(meaning)))
        };
        let whole = guesses.iter().all(|guess| matches!(guess.from, From::Column(_)));
        if whole && guesses.iter().any(speaks) {
            joined.push((container.to_owned(), guesses));
            used = tried;
        }
    }
    let updated = |column: &&NamedColumn<'_>| {
        column.facts.kind == ColumnType::Date && column.names.iter().any(|name| name.mean("updated"))
    };
    let as_of = main.columns.iter().find(updated).map(|column| column.facts.name.clone());
    let mut markers = rows::markers(main, inventory.engine, sample);
    markers.retain(|marker| !used.contains(&marker.column));
    let alive = markers.iter().position(|marker| marker.removes() && marker.filter().is_some());
    let alive = alive.map(|at| markers.remove(at));
    let exists = own.iter().filter(|target| !fields.iter().any(|guess| guess.target.leaf == target.leaf));
    let exists = exists.filter_map(|target| {
        let container = rows::exists_by_known(&request.known, &record.name, &target.path)?;
        let left_out = rows::left_out_by_known(&request.known, &record.name, &container);
        let child = children.iter().find(|child| child.container == container)?;
        (left_out.is_empty() || child.counted.is_some()).then_some((*target, container))
    });
    Shape {
        table: main.facts.name.clone(),
        score: fields.iter().map(|guess| guess.score).sum(),
        lookup: lookup::lookup(found, request, main, &fields),
        order: main.facts.key().into_iter().map(str::to_owned).collect(),
        exists: exists.collect(),
        fields,
        children,
        joined,
        as_of,
        alive,
        markers,
    }
}

/// Looks at a repeated message again with the rows of its table, and at which of these count.
fn complete<'t>(
    child: &mut Child<'t>,
    found: &'t Found,
    request: &DraftRequest,
    inventory: &Inventory,
    table: &Named<'_>,
) {
    let (targets, sample) = (&found.targets, found.sample(table));
    if sample.is_some() {
        let mut used = child.join.iter().map(|(column, _)| column.clone()).collect();
        child.fields = assign(targets, &parts(targets, &child.container), table, &mut used, sample);
    }
    let called = called(found, &child.container);
    child.named = table.meanings.0.iter().flatten().any(|meaning| called.contains(meaning));
    child.markers = rows::markers(table, inventory.engine, sample);
    let known = rows::left_out_by_known(&request.known, &found.record_type.name, &child.container);
    child.counted = rows::certain(&child.markers, &known);
    let read: Vec<&str> = child.fields.iter().flat_map(|guess| guess.from.columns()).collect();
    child.markers.retain(|marker| !read.contains(&marker.column.as_str()) && child.counted.as_ref() != Some(marker));
}

/// What a repeated message is called, by its path and its labels.
fn called(found: &Found, container: &str) -> Vec<String> {
    let fields = found.targets.all.iter().filter(|target| target.container.as_deref() == Some(container));
    let field = fields.map(|target| &found.record_type.fields[target.leaf]).next();
    let label = |label: &str| label.split(": ").next().unwrap_or_default().to_owned();
    let labels = field.map(|field| [label(&field.label_vi), label(&field.label_en)]).unwrap_or_default();
    let names = labels.iter().map(String::as_str).chain([container]).map(words::meanings);
    names.flat_map(|name| name.0.into_iter().flatten()).collect()
}

fn parts<'t>(targets: &'t Targets, container: &str) -> Vec<&'t Target> {
    targets.all.iter().filter(|target| target.container.as_deref() == Some(container)).collect()
}

/// The tables of the repeated messages, as far as names tell.
pub(super) fn children<'t>(targets: &'t Targets, tables: &[Named<'_>], main: &Named<'_>) -> Vec<Child<'t>> {
    let containers = targets.containers().into_iter();
    containers.filter_map(|container| child(targets, container, &parts(targets, container), tables, main)).collect()
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
        let (counted, markers, named) = (None, Vec::new(), false);
        enough.then_some(Child { container, table, join, declared, named, fields, counted, markers, order: key, score })
    });
    found.max_by(|left, right| left.score.total_cmp(&right.score))
}

/// Whether a key of this name numbers the rows of its own table, as every other table has one: equal numbers mean nothing.
fn is_row_number(column: &str) -> bool {
    ["id", "_id", "id_c", "rowid", "row_id", "stt", "pk", "oid", "uid", "uuid", "name"]
        .iter()
        .any(|name| column.eq_ignore_ascii_case(name))
}

/// How another table's rows belong to the record's: by a declared key, by a key of the same columns, or by a column of the
/// same name.
pub(super) fn join(other: &Named<'_>, main: &Named<'_>) -> Option<(Vec<(String, String)>, bool)> {
    if let Some(reference) = other.facts.references.iter().find(|reference| reference.table == main.facts.name) {
        return Some((reference.columns.iter().cloned().zip(reference.others.iter().cloned()).collect(), true));
    }
    let key = main.facts.key();
    if key.len() > 1 && other.facts.key() == key {
        return Some((key.iter().map(|own| ((*own).to_owned(), (*own).to_owned())).collect(), false));
    }
    let keyed = |own: &str| key == [own];
    let same = |own: &str| {
        let found = other.facts.columns.iter().find(|column| column.name.eq_ignore_ascii_case(own));
        found.map(|column| (vec![(column.name.clone(), own.to_owned())], false))
    };
    // A column called as the key of the record's table, or as the table and "id".
    let own = main.facts.columns.iter().filter(|column| keyed(&column.name) || column.indexed);
    let by_name = own.filter(|column| !is_row_number(&column.name)).find_map(|column| same(&column.name));
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
