//! Whether a lookup finds the rows whose numbers the engine reads: a number it repairs may be one no statement asks for.

use prost_reflect::Value;

use crate::{
    Engine, FetchedRecord,
    catalogue::{Catalogue, ColumnType},
    cell::Cell,
    database::Row,
    plan::{FieldPlan, InputPlan, RecordPlan},
    query::{Query, other_form},
};

/// Fields of a record that hold a number it is looked up by, and by which its row is not found.
pub(super) fn unfindable(
    plan: &RecordPlan,
    query: &Query,
    catalogue: &Catalogue,
    row: &Row,
    record: &FetchedRecord,
) -> Vec<usize> {
    let fields = query.fields.iter().filter(|read| looked_up(plan, &plan.fields[read.field]));
    let lost = fields.filter(|read| {
        let field = &plan.fields[read.field];
        let value = number(record, field);
        let columns = field.input.columns().iter().zip(&read.columns);
        let found = |value: &str| {
            columns.clone().any(|(used, column)| {
                let kind = catalogue.column(&plan.from.name.value, &used.column.value).map(|column| &column.kind);
                row.get(column.slot).zip(kind).is_some_and(|(cell, kind)| finds(catalogue.engine(), kind, cell, value))
            })
        };
        value.is_some_and(|value| !found(&value))
    });
    lost.map(|read| plan.fields[read.field].leaf).collect()
}

/// Whether all columns of a lookup are what this field is made of, so that its row tells what the lookup sees.
fn looked_up(plan: &RecordPlan, field: &FieldPlan) -> bool {
    let Some(kind) = plan.record_type.fields[field.leaf].identifies else { return false };
    let (InputPlan::Roles(columns) | InputPlan::FirstOf(columns)) = &field.input else { return false };
    let mut lookups = plan.lookup.iter().filter(|lookup| lookup.kind == kind && lookup.through.is_none());
    lookups.any(|lookup| {
        let read = |name: &String| columns.iter().any(|used| used.column.value == *name);
        lookup.columns.iter().all(|column| read(&column.value)) && columns.len() == lookup.columns.len()
    })
}

/// The number the record states.
fn number(record: &FetchedRecord, field: &FieldPlan) -> Option<String> {
    let (last, above) = field.path.split_last()?;
    let mut at = record.message.clone();
    for step in above {
        at = at.get_field(step).as_message()?.clone();
    }
    match at.get_field(last).as_ref() {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// What the statement's comparison answers for this cell.
fn finds(engine: Engine, kind: &ColumnType, cell: &Cell, value: &str) -> bool {
    match (kind, cell) {
        (ColumnType::Int | ColumnType::Number, Cell::Text(text)) => {
            text.trim().parse::<i64>().ok() == value.parse().ok()
        }
        (ColumnType::Int | ColumnType::Number, cell) => {
            cell.shown().and_then(|shown| shown.parse().ok()) == value.parse::<rust_decimal::Decimal>().ok()
        }
        (ColumnType::Bytes, Cell::Bytes(bytes)) => bytes == value.as_bytes(),
        (ColumnType::Text | ColumnType::Padded(_), Cell::Text(text)) => {
            // MySQL compares as if both were padded.
            let padded = engine == Engine::MySql || matches!(kind, ColumnType::Padded(_));
            let held = if padded { text.trim_end_matches(' ') } else { text };
            held == value || held == other_form(value)
        }
        _ => cell.key().is_some_and(|held| held == value),
    }
}
