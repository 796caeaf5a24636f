//! A record beside the row it was made from, for those who write and check mappings.

use prost_reflect::{DynamicMessage, FieldDescriptor, Value};

use super::SqlSource;
use crate::{
    FetchRequest, FetchedRecord, SourceError,
    cell::Cell,
    database::Row,
    plan::{FieldPlan, RecordPlan},
    query::{FieldRead, Query},
    record,
};

/// A record and, field by field, what the database holds for it. It has personal values in clear: only for who may read
/// the database itself.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// The record as a fetch gives it.
    pub record: FetchedRecord,
    /// Its fields in the order of the mapping's plan, each element of a repeated message for itself.
    pub fields: Vec<InspectedField>,
}

/// Where one field of one record comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedField {
    /// Position of the leaf field in the record type's fields.
    pub field: usize,
    /// The field's path, with element numbers as marks have them.
    pub path: String,
    /// The columns it is made from.
    pub columns: Vec<InspectedColumn>,
    /// The converter, or the sector's function.
    pub converter: String,
}

/// One column of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedColumn {
    /// Table and column with a dot between.
    pub name: String,
    /// What it holds, as text; bytes that are no UTF-8 as `0x` and hexadecimal digits. Nothing: NULL.
    pub text: Option<String>,
}

impl SqlSource {
    /// Does what a fetch does, and keeps what the database held.
    pub async fn inspect(&self, request: &FetchRequest) -> Result<Vec<Inspected>, SourceError> {
        let (plan, found) = self.within_deadline(request).await?;
        let inspected = found.rows.iter().map(|row| {
            let children = found.children_of(row);
            let record = record::record(plan, &found.query, row, &children, self.plan.time_zone);
            let fields = fields(plan, &found.query, row, &children, &record.message);
            Inspected { record, fields }
        });
        Ok(inspected.collect())
    }
}

/// Where every field of a record comes from.
pub(super) fn fields(
    plan: &RecordPlan,
    query: &Query,
    row: &Row,
    children: &[Vec<&Row>],
    message: &DynamicMessage,
) -> Vec<InspectedField> {
    let own = plan.from.name.value.as_str();
    let released = query.fields.iter().filter(|read| read.released);
    let mut found: Vec<_> = released
        .map(|read| {
            let field = &plan.fields[read.field];
            field_at(field, plan.record_type.fields[field.leaf].path.clone(), own, read, row)
        })
        .collect();
    for read in &query.joined {
        let joined = &plan.joined[read.joined];
        let elements = elements(message, &joined.container);
        for part in read.fields.iter().filter(|part| part.released) {
            let field = &joined.fields[part.field];
            let inner = record::leaf_name(&field.path);
            // Without elements the column is still worth seeing.
            let paths = match elements {
                0 => vec![format!("{}.{inner}", joined.name)],
                _ => (0..elements).map(|at| format!("{}[{at}].{inner}", joined.name)).collect(),
            };
            found.extend(paths.into_iter().map(|path| field_at(field, path, own, part, row)));
        }
    }
    for (read, rows) in query.children.iter().zip(children) {
        let child = &plan.children[read.child];
        let table = child.from.table.name.value.as_str();
        for (at, row) in rows.iter().enumerate() {
            found.extend(read.fields.iter().map(|read| {
                let field = &child.fields[read.field];
                let path = format!("{}[{at}].{}", child.name, record::leaf_name(&field.path));
                field_at(field, path, table, read, row)
            }));
        }
    }
    found
}

fn field_at(field: &FieldPlan, path: String, table: &str, read: &FieldRead, row: &Row) -> InspectedField {
    let text = |slot: usize| row.get(slot).and_then(Cell::shown);
    let columns = match field.exists() {
        Some(through) => {
            let name = format!("a row of {}", through.table.name.value);
            read.columns.iter().map(|column| InspectedColumn { name: name.clone(), text: text(column.slot) }).collect()
        }
        None => {
            let columns = field.input.columns().iter().zip(&read.columns);
            columns
                .map(|(plan, column)| InspectedColumn {
                    name: format!("{table}.{}", plan.column.value),
                    text: text(column.slot),
                })
                .collect()
        }
    };
    InspectedField { field: field.leaf, path, columns, converter: field.convert.clone() }
}

/// How many elements a repeated message has.
fn elements(message: &DynamicMessage, container: &[FieldDescriptor]) -> usize {
    let Some((field, inner)) = container.split_first() else { return 0 };
    match message.get_field(field).as_ref() {
        Value::List(list) => list.len(),
        Value::Message(message) => elements(message, inner),
        _ => 0,
    }
}
