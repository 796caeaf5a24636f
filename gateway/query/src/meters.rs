//! What the request path measures of itself, through OpenTelemetry's global meter; nothing when none is installed.
//!
//! Attributes are names of stages, sources, fields and reasons: nothing personal, and few enough to count.

use std::{borrow::Cow, sync::LazyLock, time::Duration};

use adapter_sdk::Fetched;
use opentelemetry::{
    KeyValue, Value,
    metrics::{Counter, Histogram},
};
use proto::RecordType;
use tokio::time::Instant;

use crate::error::Failure;

/// Bounds of histogram buckets, in seconds: from what memory gives to what callers wait for.
pub const DURATION_BOUNDS: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

struct Meters {
    stage: Histogram<f64>,
    source: Histogram<f64>,
    attempts: Counter<u64>,
    marks: Counter<u64>,
}

/// Made at first use, which is after telemetry has started.
static METERS: LazyLock<Meters> = LazyLock::new(|| {
    let meter = opentelemetry::global::meter("lienthong");
    let duration = |name| meter.f64_histogram(name).with_unit("s").with_boundaries(DURATION_BOUNDS.to_vec());
    Meters {
        stage: duration("lienthong.stage.duration").with_description("Time a stage of a call takes").build(),
        source: duration("lienthong.source.duration")
            .with_description("Time a lookup in a source takes, waiting and further attempts included")
            .build(),
        attempts: meter.u64_counter("lienthong.source.attempts").with_description("Attempts at lookups").build(),
        marks: meter
            .u64_counter("lienthong.source.marks")
            .with_description("Values of a field that were repaired, doubted or not fit to release")
            .build(),
    }
});

/// A stage of a call, measured until it is dropped.
pub struct Stage {
    name: &'static str,
    started: Instant,
}

impl Stage {
    /// Begins to measure a stage.
    pub fn begin(name: &'static str) -> Self {
        Self { name, started: Instant::now() }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        METERS.stage.record(self.started.elapsed().as_secs_f64(), &[KeyValue::new("lienthong.stage", self.name)]);
    }
}

/// A source in the attributes of its measurements.
pub(crate) struct SourceMeter {
    answered: [KeyValue; 1],
}

impl SourceMeter {
    pub(crate) fn new(source: &str) -> Self {
        Self { answered: [KeyValue::new("lienthong.source", source.to_owned())] }
    }

    /// A lookup has ended; marks are counted by field.
    pub(crate) fn looked_up(&self, record_type: &RecordType, took: Duration, answer: &Result<Fetched, Failure>) {
        let [source] = &self.answered;
        match answer {
            Ok(fetched) => {
                METERS.source.record(took.as_secs_f64(), &self.answered);
                for mark in fetched.records.iter().flat_map(|record| &record.marks) {
                    let Some(field) = record_type.fields.get(mark.field) else { continue };
                    let attributes = |reason: Value| {
                        [
                            source.clone(),
                            KeyValue::new("lienthong.record_type", record_type.name.clone()),
                            KeyValue::new("lienthong.field", field.path.clone()),
                            KeyValue::new("lienthong.reason", reason),
                        ]
                    };
                    for reason in &mark.reasons {
                        let reason = match reason {
                            Cow::Borrowed(known) => Value::from(*known),
                            Cow::Owned(told) => Value::from(told.clone()),
                        };
                        METERS.marks.add(1, &attributes(reason));
                    }
                }
            }
            Err(failure) => {
                METERS
                    .source
                    .record(took.as_secs_f64(), &[source.clone(), KeyValue::new("error.type", failure.reason)]);
            }
        }
    }

    /// An endpoint was asked once: `answered`, `error`, `busy`, `unreachable` or `timeout`.
    pub(crate) fn attempted(&self, endpoint: &'static str, outcome: &'static str) {
        let [source] = &self.answered;
        let endpoint = KeyValue::new("lienthong.endpoint", endpoint);
        METERS.attempts.add(1, &[source.clone(), endpoint, KeyValue::new("lienthong.outcome", outcome)]);
    }
}
