//! What every adapter must do, as one suite that runs against any of them: a mapping on a live database, in process or behind
//! a remote adapter.
//!
//! The suite only reads. It needs to know some numbers that are in the register ([`Example`]); what it finds wrong it says in
//! names of fields, kinds of number and counts, never with a value of anybody's.

use std::{sync::Arc, time::Duration};

use adapter_sdk::{
    Adapter, FetchRequest, Fetched, FetchedRecord, FieldMark, Key, RecordDescription, SourceDescription, SourceError,
};
use proto::{FieldSet, RecordType, Schema, options::v1::IdentifierKind};
use serde::Serialize;
use tokio::time::Instant;

mod behaviour;
mod content;
mod description;
mod hostile;
mod project;

/// A number that is in the register.
#[derive(Debug, Clone)]
pub struct Example {
    /// Full name of the record type it finds.
    pub record_type: String,
    /// The number.
    pub key: Key,
    /// A record it must find, whole, when that is known from elsewhere.
    pub record: Option<FetchedRecord>,
}

/// How the suite asks.
#[derive(Debug, Clone)]
pub struct Options {
    /// Time for one answer.
    pub timeout: Duration,
    /// Questions at one time, where several are asked side by side.
    pub concurrency: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), concurrency: 8 }
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything was as it must be.
    Passed,
    /// Something was not.
    Failed,
    /// There was nothing to try it on.
    Skipped,
}

/// One check on one record type, or on the source as a whole.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Full name of the record type; empty for the source as a whole.
    pub record_type: String,
    /// Stable name in snake_case.
    pub check: &'static str,
    /// What must be so, in a sentence.
    pub rule: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// Questions asked or values looked at.
    pub cases: usize,
    /// What was wrong, or why it was skipped; the first few.
    pub problems: Vec<String>,
}

/// Problems kept of one check.
const PROBLEMS_MAX: usize = 5;

impl Finding {
    fn new(record_type: &str, check: &'static str, rule: &'static str) -> Self {
        let record_type = record_type.to_owned();
        Self { record_type, check, rule, outcome: Outcome::Passed, cases: 0, problems: Vec::new() }
    }

    /// Looks at one case; the problem is told when it is not as it must be.
    fn expect(&mut self, good: bool, problem: impl FnOnce() -> String) {
        self.cases += 1;
        if good {
            return;
        }
        self.outcome = Outcome::Failed;
        let problem = problem();
        if self.problems.len() < PROBLEMS_MAX && !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Ends a check; without a case it was skipped, for this reason.
    fn or_skipped(mut self, reason: &str) -> Self {
        if self.cases == 0 {
            self.outcome = Outcome::Skipped;
            self.problems = vec![reason.to_owned()];
        }
        self
    }
}

/// Runs all of it.
pub async fn run(adapter: &dyn Adapter, schema: &Schema, examples: &[Example], options: &Options) -> Vec<Finding> {
    let mut findings = description::check(adapter, schema);
    findings.push(behaviour::ready(adapter).await);
    findings.push(behaviour::unknown_record_type(adapter, schema, options).await);
    for record in &adapter.describe().records {
        let examples = examples.iter().filter(|example| example.record_type == record.record_type.name).collect();
        let subject = Subject { adapter, record, examples, options };
        findings.extend(content::check(&subject).await);
        findings.extend(behaviour::check(&subject).await);
        findings.extend(hostile::check(&subject).await);
    }
    findings
}

/// Whether nothing failed.
pub fn conforms(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.outcome != Outcome::Failed)
}

const NO_EXAMPLES: &str = "no number is known to be in the register: the first rows state none, or nobody named one";

/// One record type under test.
struct Subject<'a> {
    adapter: &'a dyn Adapter,
    record: &'a RecordDescription,
    examples: Vec<&'a Example>,
    options: &'a Options,
}

impl Subject<'_> {
    fn finding(&self, check: &'static str, rule: &'static str) -> Finding {
        Finding::new(&self.record.record_type.name, check, rule)
    }

    fn record_type(&self) -> &Arc<RecordType> {
        &self.record.record_type
    }

    async fn ask(&self, kind: IdentifierKind, value: &str, fields: &FieldSet) -> Result<Fetched, SourceError> {
        self.ask_within(kind, value, fields, self.options.timeout).await
    }

    async fn ask_within(
        &self,
        kind: IdentifierKind,
        value: &str,
        fields: &FieldSet,
        time: Duration,
    ) -> Result<Fetched, SourceError> {
        let key = Key { kind, value: value.to_owned() };
        self.adapter.fetch(&request(self.record_type(), key, fields, time)).await
    }

    /// The whole records a number finds.
    async fn whole(&self, key: &Key) -> Result<Fetched, SourceError> {
        self.ask(key.kind, &key.value, &self.record.fields).await
    }

    /// Paths of fields, by position.
    fn path(&self, field: usize) -> &str {
        self.record_type().fields.get(field).map_or("?", |field| field.path.as_str())
    }
}

fn request(record_type: &Arc<RecordType>, key: Key, fields: &FieldSet, time: Duration) -> FetchRequest {
    FetchRequest {
        record_type: Arc::clone(record_type),
        key,
        fields: fields.clone(),
        deadline: Instant::now() + time,
        behalf: Arc::default(),
    }
}

/// What two answers must agree in: the records, in their order, and what is said of them.
fn content(fetched: &Fetched) -> Vec<(&prost_reflect::DynamicMessage, &[FieldMark])> {
    fetched.records.iter().map(|record| (&record.message, record.marks.as_slice())).collect()
}

/// Whether what is said about a source holds the number asked for.
fn tells(error: &SourceError, value: &str) -> bool {
    value.len() >= 4 && (error.to_string().contains(value) || format!("{error:?}").contains(value))
}

fn short(kind: IdentifierKind) -> String {
    kind.as_str_name().to_ascii_lowercase()
}

fn described(adapter: &dyn Adapter) -> &SourceDescription {
    adapter.describe()
}
