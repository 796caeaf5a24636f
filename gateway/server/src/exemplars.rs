//! Exemplars: for each bucket of the duration of calls, the trace of a call that fell into it, so that whoever sees slow
//! calls can open one. The SDK's metrics carry none; they are kept here and added to the page in the OpenMetrics format
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>), which alone has a place for them.

use std::{
    collections::HashMap,
    fmt::Write,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::TraceId;
use prometheus::{Result, TextEncoder, proto::MetricFamily};
use query::DURATION_BOUNDS;

/// Media type of the format.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The histogram that has exemplars, as it is called on the page.
const CALLS: &str = "rpc_server_call_duration_seconds";
/// The labels that tell its series apart.
const LABELS: [&str; 3] = ["rpc_method", "lienthong_agency", "rpc_response_status_code"];

/// Where a call leaves its trace if that is kept, for the one who measures it.
#[derive(Debug, Clone, Default)]
pub(crate) struct TraceKept(Arc<OnceLock<TraceId>>);

impl TraceKept {
    pub(crate) fn set(&self, trace: TraceId) {
        // A call has one trace.
        let _again = self.0.set(trace);
    }

    pub(crate) fn get(&self) -> Option<TraceId> {
        self.0.get().copied()
    }
}

#[derive(Debug, Clone, Copy)]
struct Exemplar {
    trace: TraceId,
    seconds: f64,
    at: SystemTime,
}

/// One for each bucket, the last for what is above all bounds.
type Buckets = [Option<Exemplar>; DURATION_BOUNDS.len() + 1];

/// The newest exemplar of each bucket of each series.
#[derive(Debug, Default)]
pub(crate) struct Exemplars(Mutex<HashMap<[String; 3], Buckets>>);

impl Exemplars {
    /// Keeps the trace of a call, by its method, agency and code.
    pub(crate) fn keep(&self, labels: [&str; 3], took: Duration, trace: TraceId) {
        let seconds = took.as_secs_f64();
        let bucket = DURATION_BOUNDS.partition_point(|bound| *bound < seconds);
        let exemplar = Exemplar { trace, seconds, at: SystemTime::now() };
        let mut series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        series.entry(labels.map(str::to_owned)).or_insert([None; DURATION_BOUNDS.len() + 1])[bucket] = Some(exemplar);
    }

    /// The page in the OpenMetrics format: the text format with counters named without their ending, exemplars, and an end.
    pub(crate) fn page(&self, families: &[MetricFamily]) -> Result<String> {
        let mut exemplars = self.of(families).into_iter();
        let mut page = String::new();
        for line in TextEncoder::new().encode_to_string(families)?.lines() {
            match line.strip_prefix("# ").and_then(|rest| rest.split_once("_total ")) {
                Some((told, rest)) if told.split(' ').count() == 2 => page += &format!("# {told} {rest}"),
                _ => page += line,
            }
            let bucket = line.strip_prefix(CALLS).is_some_and(|rest| rest.starts_with("_bucket"));
            if bucket && let Some(Some(Exemplar { trace, seconds, at })) = exemplars.next() {
                let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
                // Writing to a text does not fail.
                let _ = write!(page, " # {{trace_id=\"{trace}\"}} {seconds} {at:.3}");
            }
            page.push('\n');
        }
        page += "# EOF\n";
        Ok(page)
    }

    /// The exemplars in the order of the buckets' lines.
    fn of(&self, families: &[MetricFamily]) -> Vec<Option<Exemplar>> {
        let series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = families.iter().filter(|family| family.name() == CALLS).flat_map(MetricFamily::get_metric);
        let buckets = metrics.flat_map(|metric| {
            let label = |name| metric.get_label().iter().find(|label| label.name() == name);
            let labels = LABELS.map(|name| label(name).map(|label| label.value().to_owned()).unwrap_or_default());
            series.get(&labels).copied().unwrap_or([None; DURATION_BOUNDS.len() + 1])
        });
        buckets.collect()
    }
}
