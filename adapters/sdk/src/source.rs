//! A database as a source: connects a plan, the live catalogue and the engines.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use proto::{FieldSet, Schema, options::v1::IdentifierKind};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{Instrument, info_span, warn};

use crate::{
    Adapter, DatabaseAddress, FetchRequest, Fetched, Functions, Key, Mapping, MappingError, PoolOptions,
    RecordDescription, SearchField, SearchRequest, SecretUrl, SourceDescription, SourceError,
    catalogue::{Catalogue, fit, unindexed},
    database::{Database, Failure, Row},
    plan::{Plan, RecordPlan, compile},
    query::{ChildRead, Query, Statement},
    record,
    search::Comparison,
};

mod explain;
mod findable;
mod inspect;
mod sample;
mod search;
mod survey;

pub use explain::LookupPlan;
pub use inspect::{Inspected, InspectedColumn, InspectedField};
pub use sample::Sample;
pub use survey::{Fit, SurveyOptions};

/// How long a readiness check waits.
const READY_TIMEOUT: Duration = Duration::from_secs(5);
/// A source whose schema does not fit is looked at again no more often than this.
const RECHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Planned queries kept; field sets come from callers, so their number has no natural bound.
const QUERIES_MAX: usize = 512;

/// Why a source could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The mapping does not fit the record types.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The address cannot be used.
    #[error(transparent)]
    Address(#[from] SourceError),
}

/// A source read from a SQL database by a mapping.
#[derive(Debug)]
pub struct SqlSource {
    description: SourceDescription,
    plan: Plan,
    database: Database,
    options: PoolOptions,
    live: RwLock<Option<Arc<Live>>>,
    /// Held while the catalogue is read, so that callers who need it wait for one reading.
    loading: tokio::sync::Mutex<()>,
}

/// What was found in the database, and the queries planned on it.
#[derive(Debug)]
struct Live {
    catalogue: Catalogue,
    /// What does not fit, per record of the plan.
    problems: Vec<Vec<String>>,
    loaded: Instant,
    queries: RwLock<HashMap<(usize, IdentifierKind, FieldSet), Arc<Query>>>,
}

impl SqlSource {
    /// Binds a mapping to a database. The mapping must fit the record types; the database may be down, and is compared
    /// with the mapping at first contact.
    pub fn open(
        schema: &Schema,
        mapping: &Mapping,
        functions: &Functions,
        url: &SecretUrl,
        options: PoolOptions,
    ) -> Result<Self, OpenError> {
        Self::open_at(schema, mapping, functions, &DatabaseAddress::fixed(url.clone()), options)
    }

    /// The same with an address that may change.
    pub fn open_at(
        schema: &Schema,
        mapping: &Mapping,
        functions: &Functions,
        address: &DatabaseAddress,
        options: PoolOptions,
    ) -> Result<Self, OpenError> {
        let plan = compile(mapping, schema, functions)?;
        let database = Database::new(address, &options)?;
        let records = plan
            .records
            .iter()
            .map(|record| RecordDescription {
                record_type: Arc::clone(&record.record_type),
                lookup: record.lookup.iter().map(|lookup| lookup.kind).collect(),
                alone: record.lookup.iter().filter(|lookup| lookup.alone).map(|lookup| lookup.kind).collect(),
                search: record
                    .search
                    .iter()
                    .map(|search| SearchField { kind: search.kind, field: search.leaf })
                    .collect(),
                fields: record.mapped.clone(),
            })
            .collect();
        let description = SourceDescription {
            id: mapping.source.clone(),
            label_vi: mapping.label_vi.clone(),
            label_en: mapping.label_en.clone(),
            owner: mapping.owner.clone(),
            engine: database.engine(),
            mapping_digest: mapping.digest.clone(),
            records,
        };
        Ok(Self {
            description,
            plan,
            database,
            options,
            live: RwLock::default(),
            loading: tokio::sync::Mutex::default(),
        })
    }

    /// Lookup and join columns without an index, as `table.column`, once the database has been seen: lookups by them
    /// walk the whole table.
    pub fn unindexed_columns(&self) -> Vec<String> {
        let live = self.known();
        let records = self.plan.records.iter();
        let mut columns: Vec<_> = live
            .iter()
            .flat_map(|live| records.clone().flat_map(|record| unindexed(&live.catalogue, record)))
            .collect();
        columns.sort();
        columns.dedup();
        columns
    }

    fn known(&self) -> Option<Arc<Live>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_known(&self, live: Arc<Live>) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Some(live);
    }

    /// What the database looks like, read when it is not known or when `stale` is what is known.
    async fn live(&self, stale: Option<&Arc<Live>>) -> Result<Arc<Live>, Failure> {
        let usable = |live: &Arc<Live>| stale.is_none_or(|stale| !Arc::ptr_eq(stale, live));
        if let Some(live) = self.known().filter(usable) {
            return Ok(live);
        }
        let _loading = self.loading.lock().await;
        if let Some(live) = self.known().filter(usable) {
            return Ok(live);
        }
        self.load().await
    }

    async fn load(&self) -> Result<Arc<Live>, Failure> {
        let catalogue = Catalogue::load(&self.database, &self.plan.records).await?;
        let problems = self.plan.records.iter().map(|record| self.problems(&catalogue, record)).collect();
        let before = self.known();
        if let Some(same) =
            before.filter(|before| before.catalogue == catalogue && before.problems == problems && before.sound())
        {
            return Ok(same);
        }
        for record in &self.plan.records {
            for column in unindexed(&catalogue, record) {
                warn!(lienthong.source = self.description.id, column, "lookup column without an index");
            }
        }
        let live = Arc::new(Live { catalogue, problems, loaded: Instant::now(), queries: RwLock::default() });
        self.set_known(Arc::clone(&live));
        Ok(live)
    }

    fn problems(&self, catalogue: &Catalogue, record: &RecordPlan) -> Vec<String> {
        let problems = fit(catalogue, record, &self.plan.text);
        problems.iter().map(|problem| format!("{}:{problem}", self.plan.file)).collect()
    }

    /// The live database, looked at again when it did not fit the record a while ago.
    async fn fitting(&self, record: usize) -> Result<Arc<Live>, SourceError> {
        let mut live = self.live(None).await?;
        if live.problem(record).is_some() && live.loaded.elapsed() >= RECHECK_INTERVAL {
            live = self.live(Some(&live)).await?;
        }
        live.problem(record).map_or(Ok(live), Err)
    }

    async fn answer(&self, index: usize, question: Question<'_>) -> Result<Found, SourceError> {
        let live = self.fitting(index).await?;
        match self.read(index, question, &live).await {
            Err(ReadError::Failed(Failure::Schema { code, .. })) => {
                // The database changed under us: look again, say what is missing, or ask once more in its new shape.
                let changed = self.live(Some(&live)).await?;
                if let Some(problem) = changed.problem(index) {
                    return Err(problem);
                }
                self.read(index, question, &changed).await.map_err(|error| match error {
                    ReadError::Failed(Failure::Schema { .. }) => SourceError::Database { code },
                    other => other.into(),
                })
            }
            outcome => outcome.map_err(Into::into),
        }
    }

    async fn read(&self, index: usize, question: Question<'_>, live: &Live) -> Result<Found, ReadError> {
        let plan = &self.plan.records[index];
        let request = match question {
            Question::Key(request) => request,
            Question::Search(request, comparisons) => return self.narrowed(plan, request, comparisons, live).await,
        };
        let query = live.query(index, plan, request, self.options.rows_max)?;
        let key = [request.key.value.clone()];
        let rows = if names_nobody(&request.key) {
            Vec::new()
        } else {
            self.rows(&query.statement, &key, &plan.from.name.value, self.options.rows_max).await?
        };
        self.found(plan, query, rows, live, self.options.child_rows_max).await
    }

    /// The rows of a record's table with those of its children.
    async fn found(
        &self,
        plan: &RecordPlan,
        query: Arc<Query>,
        rows: Vec<Row>,
        live: &Live,
        child_rows_max: usize,
    ) -> Result<Found, ReadError> {
        let retrieved_at = Utc::now();
        let children = query.children.iter().map(|read| self.children(plan, read, &rows, live, child_rows_max));
        let children = futures::future::try_join_all(children).await?;
        Ok(Found { query, rows, children, retrieved_at })
    }

    /// The position of a record type in the plan.
    fn index(&self, record_type: &str) -> Result<usize, SourceError> {
        let index = self.plan.records.iter().position(|record| record.record_type.name == record_type);
        index.ok_or_else(|| SourceError::UnknownRecordType { record_type: record_type.to_owned() })
    }

    /// What a request finds, within its deadline.
    async fn within_deadline(&self, request: &FetchRequest) -> Result<(&RecordPlan, Found), SourceError> {
        let index = self.index(&request.record_type.name)?;
        let plan = &self.plan.records[index];
        // The timer below is coarser than a clock.
        if request.deadline <= Instant::now() {
            return Err(SourceError::Timeout);
        }
        let span = info_span!(
            "fetch",
            db.system.name = self.description.engine.name(),
            db.collection.name = plan.from.name.value,
            lienthong.source = self.description.id,
        );
        let found = timeout_at(request.deadline, self.answer(index, Question::Key(request))).instrument(span).await;
        Ok((plan, found.unwrap_or(Err(SourceError::Timeout))?))
    }

    /// The rows of one child table for all parents, by the parents' keys.
    async fn children(
        &self,
        plan: &RecordPlan,
        read: &ChildRead,
        parents: &[Row],
        live: &Live,
        rows_max: usize,
    ) -> Result<BTreeMap<Vec<String>, Vec<Row>>, ReadError> {
        let mut wanted: Vec<Vec<String>> = parents.iter().filter_map(|row| keys(row, &read.parent_keys)).collect();
        wanted.sort();
        wanted.dedup();
        let mut found: BTreeMap<Vec<String>, Vec<Row>> = BTreeMap::new();
        if wanted.is_empty() {
            return Ok(found);
        }
        let from = &plan.children[read.child].from;
        let statement = read.statement(from, wanted.len(), &live.catalogue, rows_max);
        for row in self.rows(&statement, &wanted.concat(), &from.table.name.value, rows_max).await? {
            if let Some(key) = keys(&row, &read.own_keys) {
                found.entry(key).or_default().push(row);
            }
        }
        Ok(found)
    }

    async fn rows(
        &self,
        statement: &Statement,
        given: &[String],
        table: &str,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        let rows = self.database.rows(statement.sql(), &statement.binds(given)).await.map_err(ReadError::Failed)?;
        if rows.len() > limit {
            return Err(ReadError::Refused(SourceError::TooManyRecords { table: table.to_owned(), limit }));
        }
        Ok(rows)
    }
}

/// Whether a key is no number at all: nothing, zeros, a filler, or letters that no number has. Rows whose number is empty
/// would be found by some, and a column of an old character set cannot be compared with others.
fn names_nobody(key: &Key) -> bool {
    let value = key.value.trim();
    value.bytes().all(|byte| byte == b'0') || !value.is_ascii() || normalize::text(value).is_err()
}

/// What is asked of the database.
#[derive(Clone, Copy)]
enum Question<'a> {
    /// The records of a key.
    Key(&'a FetchRequest),
    /// The records that may fit.
    Search(&'a SearchRequest, &'a [Comparison<'a>]),
}

/// What a question found: rows of the record's table and, per child table, rows by the parent's key.
struct Found {
    query: Arc<Query>,
    rows: Vec<Row>,
    children: Vec<BTreeMap<Vec<String>, Vec<Row>>>,
    retrieved_at: DateTime<Utc>,
}

impl Found {
    /// The children of one row, in the order of the query's children.
    fn children_of(&self, row: &Row) -> Vec<Vec<&Row>> {
        let reads = self.query.children.iter().zip(&self.children);
        reads
            .map(|(read, found)| {
                let key = keys(row, &read.parent_keys);
                key.and_then(|key| found.get(&key)).map(|rows| rows.iter().collect()).unwrap_or_default()
            })
            .collect()
    }
}

/// The texts of key columns; nothing when one is empty, which joins nothing.
fn keys(row: &Row, slots: &[usize]) -> Option<Vec<String>> {
    slots.iter().map(|slot| row.get(*slot)?.key()).collect()
}

/// Why reading stopped: in the database, or by a rule of ours.
enum ReadError {
    Failed(Failure),
    Refused(SourceError),
}

impl From<ReadError> for SourceError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Failed(failure) => failure.into(),
            ReadError::Refused(error) => error,
        }
    }
}

impl Live {
    fn problem(&self, record: usize) -> Option<SourceError> {
        let problems = self.problems.get(record).filter(|problems| !problems.is_empty())?;
        Some(SourceError::SchemaChanged { problems: problems.clone() })
    }

    fn sound(&self) -> bool {
        self.problems.iter().all(Vec::is_empty)
    }

    fn query(
        &self,
        index: usize,
        plan: &RecordPlan,
        request: &FetchRequest,
        rows_max: usize,
    ) -> Result<Arc<Query>, ReadError> {
        let key = (index, request.key.kind, request.fields.clone());
        if let Some(query) = self.queries.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(query));
        }
        let query = Query::new(plan, request.key.kind, &request.fields, &self.catalogue, rows_max);
        let query = Arc::new(query.ok_or_else(|| {
            ReadError::Refused(SourceError::UnsupportedKey {
                record_type: plan.record_type.name.clone(),
                kind: request.key.kind.as_str_name(),
            })
        })?);
        let mut queries = self.queries.write().unwrap_or_else(PoisonError::into_inner);
        if queries.len() >= QUERIES_MAX {
            queries.clear();
        }
        queries.insert(key, Arc::clone(&query));
        Ok(query)
    }
}

#[async_trait]
impl Adapter for SqlSource {
    fn describe(&self) -> &SourceDescription {
        &self.description
    }

    async fn fetch(&self, request: &FetchRequest) -> Result<Fetched, SourceError> {
        let (plan, found) = self.within_deadline(request).await?;
        let record = |row: &Row| record::record(plan, &found.query, row, &found.children_of(row), self.plan.time_zone);
        Ok(Fetched { records: found.rows.iter().map(record).collect(), retrieved_at: found.retrieved_at })
    }

    async fn search(&self, request: &SearchRequest) -> Result<Fetched, SourceError> {
        self.candidates(request).await
    }

    async fn ready(&self) -> Result<(), SourceError> {
        let check = async {
            let _loading = self.loading.lock().await;
            let live = self.load().await?;
            let problems = live.problems.concat();
            if problems.is_empty() { Ok(()) } else { Err(SourceError::SchemaChanged { problems }) }
        };
        timeout(READY_TIMEOUT, check).await.unwrap_or(Err(SourceError::Timeout))
    }
}
