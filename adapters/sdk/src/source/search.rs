//! Searching: indexed columns narrow the rows, a bounded number of them becomes records, and those that fit are the answer.

use std::sync::Arc;

use tokio::time::timeout_at;
use tracing::{Instrument, info_span};

use super::{Found, Live, Question, ReadError, SqlSource};
use crate::{
    Fetched, SearchRequest, SourceError,
    plan::RecordPlan,
    query, record,
    search::{Comparison, comparisons},
};

impl SqlSource {
    /// The records that fit all criteria, within the request's deadline.
    pub(super) async fn candidates(&self, request: &SearchRequest) -> Result<Fetched, SourceError> {
        let index = self.index(&request.record_type.name)?;
        let plan = &self.plan.records[index];
        let comparisons = comparisons(plan, &request.criteria)
            .filter(|comparisons| !comparisons.is_empty())
            .ok_or_else(|| SourceError::SearchNotOffered { record_type: plan.record_type.name.clone() })?;
        let span = info_span!(
            "search",
            db.system.name = self.description.engine.name(),
            db.collection.name = plan.from.name.value,
            lienthong.source = self.description.id,
        );
        let reading = self.answer(index, Question::Search(request, &comparisons));
        let found =
            timeout_at(request.deadline, reading).instrument(span).await.unwrap_or(Err(SourceError::Timeout))?;
        let records = found
            .rows
            .iter()
            .map(|row| record::record(plan, &found.query, row, &found.children_of(row), self.plan.time_zone));
        let fitting = records.filter(|record| comparisons.iter().all(|comparison| comparison.fits(plan, record)));
        Ok(Fetched { records: fitting.collect(), retrieved_at: found.retrieved_at })
    }

    /// The rows that indexed columns leave.
    pub(super) async fn narrowed(
        &self,
        plan: &RecordPlan,
        request: &SearchRequest,
        comparisons: &[Comparison<'_>],
        live: &Live,
    ) -> Result<Found, ReadError> {
        let table = &plan.from.name.value;
        let mut fields = request.fields.clone();
        comparisons.iter().for_each(|comparison| fields.insert(comparison.leaf()));
        let rows_max = self.options.search_rows_max;
        let planned = query::search(plan, &request.criteria, &fields, &live.catalogue, rows_max);
        let (query, values) =
            planned.ok_or_else(|| ReadError::Refused(SourceError::SearchUnindexed { table: table.clone() }))?;
        let rows = self.rows(&query.statement, &values, table, rows_max).await.map_err(|error| match error {
            ReadError::Refused(SourceError::TooManyRecords { table, limit }) => {
                ReadError::Refused(SourceError::SearchTooBroad { table, limit })
            }
            other => other,
        })?;
        self.found(plan, Arc::new(query), rows, live, self.options.child_rows_max).await
    }
}
