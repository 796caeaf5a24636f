//! How a database would run the lookups of a mapping, in its own words: whether an index serves a SELECT, only it knows.

use std::sync::Arc;

use proto::options::v1::IdentifierKind;

use super::SqlSource;
use crate::{Engine, SourceError, cell::Cell, query::Query};

/// A value no key has.
const ANY_KEY: &str = "0";

/// How one lookup would be run.
#[derive(Debug, Clone)]
pub struct LookupPlan {
    /// The record type looked up.
    pub record_type: String,
    /// The kind of number it is looked up by.
    pub kind: IdentifierKind,
    /// The database's explanation of the statement.
    pub lines: Vec<String>,
}

impl SqlSource {
    /// Asks the database to explain every lookup. Nothing is looked up.
    pub async fn explain(&self) -> Result<Vec<LookupPlan>, SourceError> {
        let mut plans = Vec::new();
        for (index, record) in self.plan.records.iter().enumerate() {
            let live = self.fitting(index).await?;
            for lookup in &record.lookup {
                let query = Query::new(record, lookup.kind, &record.mapped, &live.catalogue, self.options.rows_max);
                let Some(query) = query else { continue };
                let explain = match self.description.engine {
                    Engine::Postgres | Engine::MySql => "EXPLAIN",
                    Engine::Sqlite => "EXPLAIN QUERY PLAN",
                };
                let sql = Arc::from(format!("{explain} {}", query.statement.sql()));
                let binds = query.statement.binds(&[ANY_KEY.to_owned()]);
                let rows = self.database.rows(&sql, &binds).await?;
                let lines = rows.iter().map(|row| row.iter().filter_map(Cell::shown).collect::<Vec<_>>().join(" | "));
                plans.push(LookupPlan {
                    record_type: record.record_type.name.clone(),
                    kind: lookup.kind,
                    lines: lines.collect(),
                });
            }
        }
        Ok(plans)
    }
}
