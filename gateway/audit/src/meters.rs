//! What the writer measures of itself, through OpenTelemetry's global meter; nothing when none is installed.

use std::sync::LazyLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;

struct Meters {
    size: Histogram<u64>,
    duration: Histogram<f64>,
}

/// Made at first use, which is after telemetry has started.
static METERS: LazyLock<Meters> = LazyLock::new(|| {
    let meter = opentelemetry::global::meter("lienthong");
    let powers = |count| (0..count).map(|power| f64::from(1_u32 << power));
    Meters {
        size: meter
            .u64_histogram("lienthong.audit.commit.size")
            .with_description("Entries written in one transaction")
            .with_boundaries(powers(10).collect())
            .build(),
        duration: meter
            .f64_histogram("lienthong.audit.commit.duration")
            .with_unit("s")
            .with_description("Time until a transaction is durable, or has failed")
            .with_boundaries(powers(16).map(|power| power * 0.000_1).collect())
            .build(),
    }
});

/// A transaction has ended.
pub(crate) fn committed(entries: usize, took: Duration, durable: bool) {
    let outcome = [KeyValue::new("lienthong.outcome", if durable { "durable" } else { "failed" })];
    METERS.size.record(entries as u64, &outcome);
    METERS.duration.record(took.as_secs_f64(), &outcome);
}
