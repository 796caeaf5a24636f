//! Walks whole tables to say how good a register's data is, and whether the mapping fits it.
//!
//! Pages by a unique key, each page one short read-only statement on one connection at a time: memory does not grow with
//! the table, and the database is never asked for more than it would be by one caller.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::Utc;
use tokio::time::timeout;

use super::{Found, Live, SqlSource, findable, inspect};
use crate::{
    SourceError,
    catalogue::{key, tables, unindexed},
    cell::Cell,
    database::{Failure, Row},
    mapping::{EncodingChoice, Table},
    plan::{FieldPlan, RecordPlan},
    quality::{RecordQuality, Tally},
    query::{Query, Statement, count, nulls, page},
    record,
};

/// How long one page may take.
pub(super) const PAGE_TIMEOUT: Duration = Duration::from_secs(60);
/// Rows of child tables that may belong to one page.
const CHILD_ROWS_MAX: usize = 200_000;

/// What a mapping and its database have to say about each other.
#[derive(Debug, Clone, Default)]
pub struct Fit {
    /// What the database does not bear out, as `file:line:column: place: reason`.
    pub problems: Vec<String>,
    /// Lookup and join columns no index begins with, as `table.column`.
    pub unindexed: Vec<String>,
    /// Columns of mapped tables that nothing reads, as `table.column`.
    pub unread: Vec<String>,
    /// Fields no column is mapped to: record type and path.
    pub unmapped: Vec<(String, String)>,
}

/// How a table is walked.
#[derive(Debug, Clone)]
pub struct SurveyOptions {
    /// Rows read by one statement.
    pub page_rows: usize,
    /// Rows looked at; absent: all.
    pub rows_max: Option<u64>,
    /// Columns that together tell rows apart. Empty: the table's own primary or unique key.
    pub key: Vec<String>,
}

impl Default for SurveyOptions {
    fn default() -> Self {
        Self { page_rows: 500, rows_max: None, key: Vec::new() }
    }
}

impl SqlSource {
    /// Compares the mapping with the database as it is now.
    pub async fn fit(&self) -> Result<Fit, SourceError> {
        let live = {
            let _loading = self.loading.lock().await;
            timeout(PAGE_TIMEOUT, self.load()).await.map_err(|_| SourceError::Timeout)??
        };
        let mut fit = Fit { problems: live.problems.concat(), ..Fit::default() };
        let mut names: BTreeSet<&str> = BTreeSet::new();
        let mut read: BTreeSet<(&str, String)> = BTreeSet::new();
        for record in &self.plan.records {
            fit.unindexed.extend(unindexed(&live.catalogue, record));
            names.extend(tables(record).map(|table| table.name.value.as_str()));
            read.extend(columns_read(record).into_iter().map(|(table, column)| (table, column.to_lowercase())));
        }
        for table in names {
            let columns = live.catalogue.table(table).unwrap_or_default().iter();
            let unread = columns.filter(|column| !read.contains(&(table, column.name.to_lowercase())));
            fit.unread.extend(unread.map(|column| format!("{table}.{}", column.name)));
        }
        for record in &self.description.records {
            let paths = record.unmapped();
            fit.unmapped.extend(paths.into_iter().map(|path| (record.record_type.name.clone(), path)));
        }
        fit.unindexed.sort();
        fit.unindexed.dedup();
        Ok(fit)
    }

    /// Columns named in a `where` that hold NULL, as `table.column (rows)`. Compared with a literal, NULL is neither equal nor
    /// different: such rows are left out, whatever the mapping's author meant. Columns that are not there are left to [`Self::fit`].
    pub async fn undecided(&self) -> Result<Vec<String>, SourceError> {
        let live = {
            let _loading = self.loading.lock().await;
            within(self.load()).await?
        };
        let mut undecided = Vec::new();
        for (table, column) in self.plan.records.iter().flat_map(filtered) {
            if live.catalogue.column(&table.name.value, column).is_none() {
                continue;
            }
            let rows = self.counted(&nulls(&live.catalogue, table, column)).await?;
            if rows > 0 {
                undecided.push(format!("{}.{column} ({rows})", table.name.value));
            }
        }
        undecided.sort();
        undecided.dedup();
        Ok(undecided)
    }

    /// Reads all records of a type and counts what can be said of their fields. `progress` hears how many rows have been
    /// read, and how many there are.
    pub async fn survey(
        &self,
        record_type: &str,
        options: &SurveyOptions,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<RecordQuality, SourceError> {
        let index = self.index(record_type)?;
        let plan = &self.plan.records[index];
        let live = self.fitting(index).await?;
        let table = plan.from.name.value.as_str();
        let key = match options.key.as_slice() {
            [] => within(key(&self.database, &plan.from)).await?,
            given => given.to_vec(),
        };
        if key.is_empty() {
            return Err(SourceError::NoKey { table: table.to_owned() });
        }
        let rows_in_table = self.counted(&count(&live.catalogue, plan)).await?;
        let total = options.rows_max.map_or(rows_in_table, |max| max.min(rows_in_table));
        let mut tally = Tally::new(Arc::clone(&plan.record_type), table, self.encodings(plan), &plan.mapped);
        tally.quality.rows_in_table = rows_in_table;
        tally.quality.tells_age = plan.as_of.is_some();
        let mut after: Option<Vec<String>> = None;
        while tally.quality.rows < total {
            let wanted =
                usize::try_from(total - tally.quality.rows).unwrap_or(usize::MAX).min(options.page_rows.max(1));
            let (query, statement) = page(plan, &live.catalogue, &key, after.is_some(), wanted);
            let given = after.take().unwrap_or_default();
            let rows = within(self.database_rows(&statement, &given)).await?;
            let Some(last) = rows.last() else { break };
            let position = position(last, key.len()).ok_or_else(|| SourceError::NoKey { table: table.to_owned() })?;
            // A page that ends where the one before ended would be read for ever.
            if position == given {
                return Err(SourceError::NoKey { table: table.to_owned() });
            }
            let full = rows.len() == wanted;
            self.count_page(plan, query, rows, &live, &mut tally).await?;
            progress(tally.quality.rows, total);
            if !full {
                break;
            }
            after = Some(position);
        }
        Ok(tally.quality)
    }

    /// Whether an index can serve pages by these columns; without one every page walks the whole table.
    pub async fn pages_are_indexed(&self, record_type: &str, key: &[String]) -> Result<bool, SourceError> {
        let index = self.index(record_type)?;
        let live = self.fitting(index).await?;
        let table = &self.plan.records[index].from.name.value;
        let first = key.first().and_then(|column| live.catalogue.column(table, column));
        Ok(first.is_none_or(|column| column.indexed))
    }

    async fn count_page(
        &self,
        plan: &RecordPlan,
        query: Query,
        rows: Vec<Row>,
        live: &Live,
        tally: &mut Tally,
    ) -> Result<(), SourceError> {
        let found = timeout(PAGE_TIMEOUT, self.found(plan, Arc::new(query), rows, live, CHILD_ROWS_MAX)).await;
        let found: Found = found.map_err(|_| SourceError::Timeout)?.map_err(SourceError::from)?;
        let now = Utc::now();
        for row in &found.rows {
            let children = found.children_of(row);
            let mut seen = |field, filled| tally.seen(field, filled);
            let record = record::observed(plan, &found.query, row, &children, self.plan.time_zone, &mut seen);
            for leaf in findable::unfindable(plan, &found.query, &live.catalogue, row, &record) {
                tally.unfindable(leaf);
            }
            if tally.record(&record, now) {
                tally.examples(&record, &inspect::fields(plan, &found.query, row, &children, &record.message));
            }
        }
        Ok(())
    }

    async fn counted(&self, statement: &Statement) -> Result<u64, SourceError> {
        let rows = within(self.database_rows(statement, &[])).await?;
        match rows.first().and_then(|row| row.first()) {
            Some(Cell::Int(rows)) => Ok(u64::try_from(*rows).unwrap_or_default()),
            _ => Err(SourceError::Internal("the database counted no rows")),
        }
    }

    async fn database_rows(&self, statement: &Statement, given: &[String]) -> Result<Vec<Row>, Failure> {
        self.database.rows(statement.sql(), &statement.binds(given)).await
    }

    /// The declared encoding of every field's text, by leaf.
    fn encodings(&self, plan: &RecordPlan) -> Vec<(usize, String)> {
        let declared = all_fields(plan).filter_map(|(_, field)| {
            let name = match &field.input.columns().first()?.encoding {
                EncodingChoice::Fixed(encoding) => encoding.name().to_owned(),
                EncodingChoice::ByColumn { column, .. } => format!("told by {}", column.value),
            };
            Some((field.leaf, name))
        });
        declared.collect()
    }
}

async fn within<T>(read: impl Future<Output = Result<T, Failure>>) -> Result<T, SourceError> {
    Ok(timeout(PAGE_TIMEOUT, read).await.map_err(|_| SourceError::Timeout)??)
}

/// The texts of the key columns, which a page's rows begin with.
fn position(row: &Row, columns: usize) -> Option<Vec<String>> {
    row.get(..columns)?.iter().map(Cell::position).collect()
}

/// Every field of a record with the table its columns are in.
fn all_fields(plan: &RecordPlan) -> impl Iterator<Item = (&str, &FieldPlan)> {
    let own = plan.from.name.value.as_str();
    let joined = plan.joined.iter().flat_map(|joined| &joined.fields);
    let children = plan
        .children
        .iter()
        .flat_map(|child| child.fields.iter().map(move |field| (child.from.table.name.value.as_str(), field)));
    plan.fields.iter().chain(joined).map(move |field| (own, field)).chain(children)
}

/// Every column a `where` of a record's mapping names, with its table.
fn filtered(plan: &RecordPlan) -> Vec<(&Table, &str)> {
    let of_tables = tables(plan).flat_map(|table| table.filters.iter().map(move |(column, _)| (table, column)));
    let of_lookups = plan.lookup.iter().flat_map(|lookup| {
        let table = lookup.through.as_ref().map_or(&plan.from, |through| &through.table);
        lookup.filters.iter().map(move |(column, _)| (table, column))
    });
    of_tables.chain(of_lookups).map(|(table, column)| (table, column.value.as_str())).collect()
}

/// Every column a record's mapping names, with its table.
fn columns_read(plan: &RecordPlan) -> Vec<(&str, &str)> {
    let own = plan.from.name.value.as_str();
    let mut read: Vec<(&str, &str)> = plan.as_of.iter().map(|column| (own, column.value.as_str())).collect();
    let lookups = plan.lookup.iter().filter_map(|lookup| lookup.through.as_ref());
    let exists = plan.fields.iter().filter_map(FieldPlan::exists);
    let throughs: Vec<_> = lookups.chain(plan.children.iter().map(|child| &child.from)).chain(exists).collect();
    for table in throughs.iter().map(|through| &through.table).chain([&plan.from]) {
        let columns = table.order.iter().chain(table.filters.iter().map(|(column, _)| column));
        read.extend(columns.map(|column| (table.name.value.as_str(), column.value.as_str())));
    }
    for through in &throughs {
        for join in &through.join {
            read.push((own, &join.own.value));
            read.push((&through.table.name.value, &join.other.value));
        }
    }
    for lookup in &plan.lookup {
        let table = lookup.through.as_ref().map_or(own, |through| through.table.name.value.as_str());
        let filters = lookup.filters.iter().map(|(column, _)| column);
        read.extend(lookup.columns.iter().chain(filters).map(|column| (table, column.value.as_str())));
    }
    for (table, field) in all_fields(plan) {
        for used in field.input.columns() {
            read.push((table, &used.column.value));
            if let EncodingChoice::ByColumn { column, .. } = &used.encoding {
                read.push((table, &column.value));
            }
        }
    }
    read
}
