//! A few numbers that are in a register, each with a record it must find: what a conformance suite begins with.

use std::sync::Arc;

use prost_reflect::{DynamicMessage, FieldDescriptor, Value};
use tokio::time::timeout;

use super::SqlSource;
use crate::{
    FetchedRecord, Grade, Key, SourceError, catalogue::key, plan::RecordPlan, query::page, record,
    source::survey::PAGE_TIMEOUT,
};

/// A number that is in the register. The record has personal values in clear.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The number.
    pub key: Key,
    /// The whole record it stands in.
    pub record: FetchedRecord,
}

impl SqlSource {
    /// Numbers from the first rows of a record type's table: for each kind that finds the record type up to `per_kind`, as far
    /// as the records themselves state numbers of that kind without doubt.
    pub async fn sample(&self, record_type: &str, rows: usize, per_kind: usize) -> Result<Vec<Sample>, SourceError> {
        let index = self.index(record_type)?;
        let plan = &self.plan.records[index];
        let live = self.fitting(index).await?;
        let read = async {
            // Without a key, as in a view or a SELECT, any rows will do.
            let key = key(&self.database, &plan.from).await?;
            let (query, statement) = page(plan, &live.catalogue, &key, false, rows);
            let rows = self.database.rows(statement.sql(), &statement.binds(&[])).await?;
            Ok::<_, SourceError>(self.found(plan, Arc::new(query), rows, &live, self.options.child_rows_max).await?)
        };
        let found = timeout(PAGE_TIMEOUT, read).await.map_err(|_| SourceError::Timeout)??;
        let records: Vec<_> = found
            .rows
            .iter()
            .map(|row| record::record(plan, &found.query, row, &found.children_of(row), self.plan.time_zone))
            .collect();
        let mut samples = Vec::new();
        for lookup in &plan.lookup {
            let stated = records.iter().filter_map(|record| {
                let value = number(plan, record, lookup.kind)?;
                Some(Sample { key: Key { kind: lookup.kind, value }, record: record.clone() })
            });
            samples.extend(stated.take(per_kind));
        }
        Ok(samples)
    }
}

/// The number of a kind that a record states of its own subject, without doubt.
fn number(plan: &RecordPlan, record: &FetchedRecord, kind: proto::options::v1::IdentifierKind) -> Option<String> {
    let mut stating = plan.record_type.fields.iter().enumerate();
    let (at, field) = stating.find(|(_, field)| field.identifies == Some(kind) && !field.repeated)?;
    let doubted = record.marks.iter().any(|mark| mark.field == at && mark.grade > Grade::Repaired);
    text(&record.message, &field.descriptors).filter(|_| !doubted)
}

fn text(message: &DynamicMessage, path: &[FieldDescriptor]) -> Option<String> {
    let (first, below) = path.split_first()?;
    match message.get_field(first).as_ref() {
        Value::String(text) if below.is_empty() && !text.is_empty() => Some(text.clone()),
        Value::Message(inner) => text(inner, below),
        _ => None,
    }
}
