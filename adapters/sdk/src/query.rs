//! From a set of fields to statements that read just the columns these need, every value bound.

use std::{borrow::Cow, sync::Arc};

use proto::{FieldSet, options::v1::IdentifierKind};

use crate::{
    Criterion,
    catalogue::{Catalogue, ColumnType},
    database::Bind,
    mapping::{EncodingChoice, Table, Through},
    plan::{CheckPlan, ChildPlan, FieldPlan, JoinedPlan, RecordPlan},
};

mod narrow;
mod sql;
#[cfg(test)]
mod tests;

use sql::Builder;
pub(crate) use sql::{Statement, can_hold, identifier, quoted};

/// How to fetch one set of fields of a record type by one kind of key.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) statement: Statement,
    pub(crate) as_of: Option<usize>,
    pub(crate) fields: Vec<FieldRead>,
    pub(crate) joined: Vec<JoinedRead>,
    pub(crate) children: Vec<ChildRead>,
    /// Positions in [`RecordPlan::checks`] to run.
    pub(crate) checks: Vec<usize>,
}

/// A field to make, by position in its plan, with where its columns are in the row.
#[derive(Debug)]
pub(crate) struct FieldRead {
    pub(crate) field: usize,
    /// In the order of the plan's columns.
    pub(crate) columns: Vec<ColumnRead>,
    /// False for a field only checks look at.
    pub(crate) released: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct ColumnRead {
    pub(crate) slot: usize,
    /// The column that tells this one's encoding.
    pub(crate) encoding: Option<usize>,
    /// Whether spaces at its end are padding.
    pub(crate) padded: bool,
}

#[derive(Debug)]
pub(crate) struct JoinedRead {
    pub(crate) joined: usize,
    /// The leading field first, released or not.
    pub(crate) fields: Vec<FieldRead>,
}

#[derive(Debug)]
pub(crate) struct ChildRead {
    pub(crate) child: usize,
    /// Where the parent's row holds the join's values.
    pub(crate) parent_keys: Vec<usize>,
    /// Where the child's row holds them.
    pub(crate) own_keys: Vec<usize>,
    pub(crate) fields: Vec<FieldRead>,
    columns: Vec<Selected>,
}

/// What a statement selects of a table.
struct Columns<'a> {
    selected: Vec<Selected>,
    catalogue: &'a Catalogue,
    table: &'a str,
}

#[derive(Debug, PartialEq)]
enum Selected {
    Column(String),
    /// Position of a field of the record whose input asks for rows of another table.
    Exists(usize),
}

impl Columns<'_> {
    fn slot(&mut self, selected: Selected) -> usize {
        self.selected.iter().position(|known| *known == selected).unwrap_or_else(|| {
            self.selected.push(selected);
            self.selected.len() - 1
        })
    }

    fn is_padded(&self, name: &str) -> bool {
        let column = self.catalogue.column(self.table, name);
        column.is_some_and(|column| matches!(column.kind, ColumnType::Padded(_)))
    }

    fn column(&mut self, name: &str) -> usize {
        self.slot(Selected::Column(name.to_owned()))
    }

    fn read(&mut self, position: usize, field: &FieldPlan, released: bool) -> FieldRead {
        let mut columns: Vec<_> = field
            .input
            .columns()
            .iter()
            .map(|used| ColumnRead {
                slot: self.column(&used.column.value),
                encoding: match &used.encoding {
                    EncodingChoice::Fixed(_) => None,
                    EncodingChoice::ByColumn { column, .. } => Some(self.column(&column.value)),
                },
                padded: self.is_padded(&used.column.value),
            })
            .collect();
        if field.exists().is_some() {
            columns.push(ColumnRead { slot: self.slot(Selected::Exists(position)), encoding: None, padded: false });
        }
        FieldRead { field: position, columns, released }
    }
}

impl Query {
    /// Plans the statements; nothing when the record is not looked up by this kind of key.
    pub(crate) fn new(
        record: &RecordPlan,
        kind: IdentifierKind,
        wanted: &FieldSet,
        catalogue: &Catalogue,
        rows_max: usize,
    ) -> Option<Self> {
        let lookup = record.lookup.iter().find(|lookup| lookup.kind == kind)?;
        let statement = |selected: &[Selected]| Builder::new(catalogue).record(record, lookup, selected, rows_max);
        Some(Self::reading(record, wanted, catalogue, &[], statement))
    }

    /// Plans what to read for these fields, in the columns that `statement` selects; some columns come first.
    fn reading(
        record: &RecordPlan,
        wanted: &FieldSet,
        catalogue: &Catalogue,
        first: &[String],
        statement: impl FnOnce(&[Selected]) -> Statement,
    ) -> Self {
        let selected = first.iter().map(|name| Selected::Column(name.clone())).collect();
        let mut columns = Columns { selected, catalogue, table: &record.from.name.value };
        let checks: Vec<usize> = (0..record.checks.len())
            .filter(|&check| doubts(&record.checks[check]).any(|field| wanted.contains(record.fields[field].leaf)))
            .collect();
        let checked =
            |field| checks.iter().any(|&check| record.checks[check].fields.iter().any(|(_, read)| *read == field));
        let fields = record
            .fields
            .iter()
            .enumerate()
            .map(|(position, field)| (position, field, wanted.contains(field.leaf)))
            .filter(|(position, _, released)| *released || checked(*position))
            .map(|(position, field, released)| columns.read(position, field, released))
            .collect();
        let joined = record.joined.iter().enumerate();
        let joined = joined.filter_map(|(at, plan)| joined_read(at, plan, wanted, &mut columns)).collect();
        let children = record.children.iter().enumerate();
        let children = children.filter_map(|(at, plan)| child_read(at, plan, wanted, &mut columns)).collect();
        let as_of = record.as_of.as_ref().map(|column| columns.column(&column.value));
        let statement = statement(&columns.selected);
        Self { statement, as_of, fields, joined, children, checks }
    }
}

/// A page of all records in the order of a key, after a position in it or from the beginning. The key's columns come
/// first in each row; the position is given to the statement as their texts.
pub(crate) fn page(
    record: &RecordPlan,
    catalogue: &Catalogue,
    key: &[String],
    after: bool,
    rows: usize,
) -> (Query, Statement) {
    let builder = |selected: &[Selected]| Builder::new(catalogue).page(record, selected, key, after, rows);
    let query = Query::reading(record, &record.mapped, catalogue, key, builder);
    let statement = query.statement.clone();
    (query, statement)
}

/// The records that indexed columns leave for a search to compare, and the values to give; none when no index narrows them.
pub(crate) fn search(
    record: &RecordPlan,
    criteria: &[Criterion],
    fields: &FieldSet,
    catalogue: &Catalogue,
    rows_max: usize,
) -> Option<(Query, Vec<String>)> {
    let (conditions, values) = narrow::narrowing(record, criteria, catalogue)?;
    let statement = |selected: &[Selected]| Builder::new(catalogue).search(record, &conditions, selected, rows_max);
    Some((Query::reading(record, fields, catalogue, &[], statement), values))
}

/// How many records there are.
pub(crate) fn count(catalogue: &Catalogue, record: &RecordPlan) -> Statement {
    Builder::new(catalogue).count(record)
}

/// In how many rows of a table a column holds nothing.
pub(crate) fn nulls(catalogue: &Catalogue, table: &Table, column: &str) -> Statement {
    Builder::new(catalogue).nulls(table, column)
}

/// The fields a check may doubt.
fn doubts(check: &CheckPlan) -> impl Iterator<Item = usize> + '_ {
    check.check.doubts.iter().filter_map(|role| check.field(role))
}

fn joined_read(joined: usize, plan: &JoinedPlan, wanted: &FieldSet, columns: &mut Columns<'_>) -> Option<JoinedRead> {
    if !plan.fields.iter().any(|field| wanted.contains(field.leaf)) {
        return None;
    }
    let fields = plan.fields.iter().enumerate();
    // The leading column says how many elements there are, wanted or not.
    let fields = fields
        .filter(|(position, field)| *position == 0 || wanted.contains(field.leaf))
        .map(|(position, field)| columns.read(position, field, wanted.contains(field.leaf)))
        .collect();
    Some(JoinedRead { joined, fields })
}

fn child_read(child: usize, plan: &ChildPlan, wanted: &FieldSet, parent: &mut Columns<'_>) -> Option<ChildRead> {
    let mut columns = Columns { selected: Vec::new(), catalogue: parent.catalogue, table: &plan.from.table.name.value };
    let own_keys = plan.from.join.iter().map(|join| columns.column(&join.other.value)).collect();
    let fields = plan.fields.iter().enumerate().filter(|(_, field)| wanted.contains(field.leaf));
    let fields: Vec<_> = fields.map(|(position, field)| columns.read(position, field, true)).collect();
    if fields.is_empty() {
        return None;
    }
    let parent_keys = plan.from.join.iter().map(|join| parent.column(&join.own.value)).collect();
    Some(ChildRead { child, parent_keys, own_keys, fields, columns: columns.selected })
}

impl ChildRead {
    /// The statement that reads the children of so many parents.
    pub(crate) fn statement(
        &self,
        from: &Through,
        parents: usize,
        catalogue: &Catalogue,
        rows_max: usize,
    ) -> Statement {
        Builder::new(catalogue).children(from, &self.columns, parents, rows_max)
    }
}

/// A place for a value in a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Known from the mapping.
    Literal(Bind),
    /// The n-th value given when the statement runs, as a column of this type compares it.
    Given(usize, crate::catalogue::ColumnType),
    /// The same in its other form.
    GivenOtherwise(usize),
    /// The same, padded to the column's width.
    GivenPadded(usize, usize),
}

/// The other form in which a number may stand: the code of a branch without its dash, any other without the leading zero
/// that spreadsheets take; unchanged when it has neither.
pub(crate) fn other_form(number: &str) -> Cow<'_, str> {
    let branch = number.split_once('-').filter(|(stem, suffix)| {
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        stem.len() == 10 && suffix.len() == 3 && digits(stem) && digits(suffix)
    });
    match branch {
        Some((stem, suffix)) => Cow::Owned(format!("{stem}{suffix}")),
        None => Cow::Borrowed(number.strip_prefix('0').unwrap_or(number)),
    }
}

impl Statement {
    /// The values to bind.
    pub(crate) fn binds(&self, given: &[String]) -> Vec<Bind> {
        self.slots
            .iter()
            .map(|slot| match slot {
                Slot::Literal(bind) => bind.clone(),
                Slot::Given(at, kind) => sql::bind(kind, given.get(*at).map(String::as_str)),
                Slot::GivenOtherwise(at) => Bind::Text(given.get(*at).map(|text| other_form(text).into_owned())),
                Slot::GivenPadded(at, width) => Bind::Text(given.get(*at).map(|text| format!("{text:<width$}"))),
            })
            .collect()
    }

    pub(crate) fn sql(&self) -> &Arc<str> {
        &self.sql
    }
}
