//! How a database would run the lookups of a mapping, in its own words: whether an index serves a SELECT, only it knows.

use std::sync::Arc;

use super::SqlSource;
use normalize::PartialDate;
use proto::options::v1::IdentifierKind;

use crate::{
    Criterion, CriterionKind, Engine, SourceError,
    cell::Cell,
    query::{self, Query, Statement},
};

/// What a search is explained with where the value does not matter.
const ANY: &str = "0";

/// How one lookup or search would be run.
#[derive(Debug, Clone)]
pub struct LookupPlan {
    /// The record type looked up.
    pub record_type: String,
    /// The kind of number it is looked up by, or the criterion it is searched by.
    pub by: String,
    /// The database's explanation of the statement.
    pub lines: Vec<String>,
}

impl SqlSource {
    /// Asks the database to explain every lookup, and a search by every criterion that narrows. Nothing is looked up.
    pub async fn explain(&self) -> Result<Vec<LookupPlan>, SourceError> {
        let mut plans = Vec::new();
        for (index, record) in self.plan.records.iter().enumerate() {
            let live = self.fitting(index).await?;
            let mut statements = Vec::new();
            for lookup in &record.lookup {
                let query = Query::new(record, lookup.kind, &record.mapped, &live.catalogue, self.options.rows_max);
                let by = lookup.kind.as_str_name().to_ascii_lowercase();
                statements.extend(query.map(|query| (by, query.statement, vec![number(lookup.kind).to_owned()])));
            }
            for search in &record.search {
                let criteria = [any(search.kind)];
                let rows_max = self.options.search_rows_max;
                let planned = query::search(record, &criteria, &record.mapped, &live.catalogue, rows_max);
                let by = format!("search by {}", search.kind.as_str());
                statements.extend(planned.map(|(query, values)| (by, query.statement, values)));
            }
            for (by, statement, values) in statements {
                let lines = self.explained(&statement, &values).await?;
                plans.push(LookupPlan { record_type: record.record_type.name.clone(), by, lines });
            }
        }
        Ok(plans)
    }

    async fn explained(&self, statement: &Statement, values: &[String]) -> Result<Vec<String>, SourceError> {
        let explain = match self.description.engine {
            Engine::Postgres | Engine::MySql => "EXPLAIN",
            Engine::Sqlite => "EXPLAIN QUERY PLAN",
        };
        let sql = Arc::from(format!("{explain} {}", statement.sql()));
        let rows = self.database.rows(&sql, &statement.binds(values)).await?;
        Ok(rows.iter().map(|row| row.iter().filter_map(Cell::shown).collect::<Vec<_>>().join(" | ")).collect())
    }
}

/// A number of the right form that is never issued: a planner that knows how many rows are empty takes another way for
/// those.
const fn number(kind: IdentifierKind) -> &'static str {
    match kind {
        IdentifierKind::PersonalId => "052199999999",
        IdentifierKind::LegacyId => "219999999",
        IdentifierKind::SocialInsuranceNumber | IdentifierKind::EnterpriseCode => "4199999999",
        IdentifierKind::BudgetUnitCode => "1999999",
        IdentifierKind::Unspecified => ANY,
    }
}

/// A criterion with a value of no meaning.
fn any(kind: CriterionKind) -> Criterion {
    match kind {
        CriterionKind::PersonName => Criterion::PersonName(ANY.to_owned()),
        CriterionKind::OrganisationName => Criterion::OrganisationName(ANY.to_owned()),
        CriterionKind::BirthDate => Criterion::BirthDate(PartialDate { year: 1985, month: None, day: None }),
        CriterionKind::Commune => Criterion::Commune(ANY.to_owned()),
    }
}
