//! Metrics: what the hub measures of itself, pushed over OTLP, or fetched from an endpoint in Prometheus' text format.
//!
//! The request path measures its own stages and sources (`query`), the log its commits (`audit`); here stand calls, batch
//! items, and what is read only when somebody asks: queues, breakers, readiness, how long the certificate still holds.
//! Attributes are methods, agencies, sources, fields and reasons, never anything personal.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use anyhow::Context;
use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use opentelemetry::{
    KeyValue, TraceId, Value,
    metrics::{AsyncInstrument, Counter, Histogram, ObservableGauge},
};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    Resource,
    metrics::{SdkMeterProvider, Temporality},
};
use prometheus::TextEncoder;
use proto::Schema;
use query::{BreakerState, DURATION_BOUNDS};
use tokio::{net::TcpListener, sync::watch};
use tonic::{Code, body::Body};

use crate::{
    admission::Limit,
    config::TelemetryConfig,
    current::Current,
    exemplars::{Exemplars, OPEN_METRICS},
    listen,
    publish::Published,
    readiness::Readiness,
};

/// Name of the hub's meter.
const METER: &str = "lienthong";

/// Starts measuring, if anybody is to know.
pub(crate) fn provider(config: &TelemetryConfig) -> anyhow::Result<Option<SdkMeterProvider>> {
    if config.otlp_endpoint.is_none() && config.metrics_listen.is_none() {
        return Ok(None);
    }
    let resource = Resource::builder().with_service_name(config.service_name.clone()).build();
    let mut builder = SdkMeterProvider::builder().with_resource(resource);
    if let Some(endpoint) = &config.otlp_endpoint {
        let exporter = opentelemetry_otlp::MetricExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_temporality(Temporality::Cumulative)
            .build()
            .context("telemetry.otlp_endpoint cannot be used")?;
        builder = builder.with_periodic_exporter(exporter);
    }
    if config.metrics_listen.is_some() {
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(prometheus::default_registry().clone())
            .build()
            .context("metrics cannot be registered")?;
        builder = builder.with_reader(exporter);
    }
    let provider = builder.build();
    opentelemetry::global::set_meter_provider(provider.clone());
    Ok(Some(provider))
}

struct Calls {
    duration: Histogram<f64>,
    items: Counter<u64>,
}

/// Made at first use, which is after telemetry has started.
static CALLS: LazyLock<Calls> = LazyLock::new(|| {
    let meter = opentelemetry::global::meter(METER);
    Calls {
        duration: meter
            .f64_histogram("rpc.server.call.duration")
            .with_unit("s")
            .with_description("Time from a call to its answer, or to the first of its answers")
            .with_boundaries(DURATION_BOUNDS.to_vec())
            .build(),
        items: meter.u64_counter("lienthong.batch.items").with_description("Items of batches answered").build(),
    }
});

static EXEMPLARS: LazyLock<Exemplars> = LazyLock::new(Exemplars::default);

/// The methods this hub serves. A path is the caller's text: only these become attributes.
pub(crate) struct Methods(BTreeSet<Arc<str>>);

impl Methods {
    /// All methods of the hub's own services, health and reflection apart.
    pub(crate) fn new(schema: &Schema) -> Self {
        let services = schema.pool().services();
        let names = services.flat_map(|service| {
            let methods: Vec<_> = service.methods().map(|method| (service.full_name().to_owned(), method)).collect();
            methods.into_iter().map(|(service, method)| Arc::from(format!("{service}/{}", method.name())))
        });
        Self(names.collect())
    }
}

/// A call was answered.
pub(crate) fn answered(
    methods: &Methods,
    path: &str,
    agency: &str,
    code: Code,
    took: Duration,
    trace: Option<TraceId>,
) {
    let method = methods.0.get(path).map_or(Value::from("other"), |method| Value::from(Arc::clone(method)));
    if let Some(trace) = trace {
        EXEMPLARS.keep([&method.as_str(), agency, code_name(code)], took, trace);
    }
    let attributes = [
        KeyValue::new("rpc.method", method),
        KeyValue::new("lienthong.agency", agency.to_owned()),
        KeyValue::new("rpc.response.status_code", code_name(code)),
    ];
    CALLS.duration.record(took.as_secs_f64(), &attributes);
}

/// An item of a batch was answered.
pub(crate) fn item_answered(agency: &str, code: Code) {
    let agency = KeyValue::new("lienthong.agency", agency.to_owned());
    CALLS.items.add(1, &[agency, KeyValue::new("rpc.response.status_code", code_name(code))]);
}

/// The name of a code as gRPC writes it.
const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// What gauges are read from.
struct Observed {
    current: Arc<Current>,
    readiness: Arc<Readiness>,
    limit: Limit,
    published: Published,
}

/// Lets the gauges be read whenever metrics are collected, from whatever is in force then; nothing once the hub has ended.
pub(crate) fn observe(
    current: &Arc<Current>,
    readiness: &Arc<Readiness>,
    limit: &Limit,
    published: &watch::Receiver<Published>,
) {
    let published = published.clone();
    let (current, readiness, limit) = (Arc::downgrade(current), Arc::downgrade(readiness), limit.clone());
    let look = move || {
        let (current, readiness) = (current.upgrade()?, readiness.upgrade()?);
        Some(Observed { current, readiness, limit: limit.clone(), published: published.borrow().clone() })
    };
    gauge(
        "lienthong.source.breaker",
        "Whether a source is asked: 0 closed, 1 half open, 2 open",
        &look,
        |seen, tell| {
            for load in seen.current.hub().sources.loads() {
                let state = match load.breaker {
                    BreakerState::Closed => 0.0,
                    BreakerState::HalfOpen => 1.0,
                    BreakerState::Open => 2.0,
                };
                tell(state, &endpoint(&load));
            }
        },
    );
    gauge("lienthong.source.running", "Lookups under way", &look, |seen, tell| {
        seen.current.hub().sources.loads().for_each(|load| tell(load.running as f64, &endpoint(&load)));
    });
    gauge("lienthong.source.waiting", "Lookups waiting for their turn", &look, |seen, tell| {
        seen.current.hub().sources.loads().for_each(|load| tell(load.waiting as f64, &endpoint(&load)));
    });
    gauge("lienthong.source.ready", "Whether a source answered when last asked: 1 yes, 0 no", &look, |seen, tell| {
        for adapter in seen.current.hub().sources.adapters() {
            let source = &adapter.describe().id;
            let ready = f64::from(u8::from(seen.readiness.is_ready(source)));
            tell(ready, &[KeyValue::new("lienthong.source", source.clone())]);
        }
    });
    gauge("lienthong.calls.running", "Calls and batch items that run", &look, |seen, tell| {
        tell(seen.limit.running() as f64, &[]);
    });
    gauge(
        "lienthong.calls.waiting",
        "Calls and batch items that wait for others of their agency to end",
        &look,
        |seen, tell| {
            tell(seen.limit.waiting() as f64, &[]);
        },
    );
    let runtime = tokio::runtime::Handle::current();
    gauge("lienthong.tasks", "Tasks of the hub's runtime", &look, move |_, tell| {
        tell(runtime.metrics().num_alive_tasks() as f64, &[]);
    });
    gauge(
        "lienthong.calls.turns",
        "Calls and batch items that may run while several agencies call",
        &look,
        |seen, tell| {
            tell(seen.limit.turns() as f64, &[]);
        },
    );
    gauge("lienthong.audit.waiting", "Entries waiting to be written", &look, |seen, tell| {
        tell(seen.current.hub().audit.waiting() as f64, &[]);
    });
    gauge("lienthong.audit.published", "Entries that the published checkpoint covers", &look, |seen, tell| {
        if let Some(checkpoint) = &seen.published.checkpoint {
            tell(checkpoint.tree_size as f64, &[]);
        }
    });
    gauge(
        "lienthong.audit.cosignatures_lacking",
        "Cosignatures of witnesses that the newest checkpoint lacks to be published",
        &look,
        |seen, tell| tell(seen.published.cosignatures_lacking as f64, &[]),
    );
    gauge(
        "lienthong.certificate.days_left",
        "How long certificates and revocation lists still hold, by file",
        &look,
        |seen, tell| {
            for (file, days) in seen.current.trust().days_left(chrono::Utc::now()) {
                tell(days as f64, &[KeyValue::new("lienthong.file", file.to_owned())]);
            }
        },
    );
    gauge(
        "lienthong.agreement.days_left",
        "How long agreements still hold, by number; negative once ended",
        &look,
        |seen, tell| {
            let now = chrono::Utc::now();
            for agreement in seen.current.hub().access.agreements() {
                tell(
                    agreement.days_left(now) as f64,
                    &[KeyValue::new("lienthong.agreement", agreement.number.clone())],
                );
            }
        },
    );
}

fn endpoint(load: &query::EndpointLoad<'_>) -> [KeyValue; 2] {
    [KeyValue::new("lienthong.source", load.source.to_owned()), KeyValue::new("lienthong.endpoint", load.endpoint)]
}

type Tell<'t> = &'t mut dyn FnMut(f64, &[KeyValue]);

fn gauge(
    name: &'static str,
    description: &'static str,
    look: &(impl Fn() -> Option<Observed> + Clone + Send + Sync + 'static),
    read: impl Fn(&Observed, Tell<'_>) + Send + Sync + 'static,
) {
    let look = look.clone();
    let callback = move |instrument: &dyn AsyncInstrument<f64>| {
        if let Some(seen) = look() {
            read(&seen, &mut |value, attributes| instrument.observe(value, attributes));
        }
    };
    // The provider keeps the callback.
    let _gauge: ObservableGauge<f64> = opentelemetry::global::meter(METER)
        .f64_observable_gauge(name)
        .with_description(description)
        .with_callback(callback)
        .build();
}

/// Listens for those who fetch metrics. There is no TLS and no caller: keep it on the loopback interface or a network of
/// the operators' own.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot serve metrics on {address}"))?;
    tracing::info!(address = %listener.local_addr()?, "metrics");
    Ok(listener)
}

/// Serves `GET /metrics` until told to stop.
pub(crate) async fn serve(listener: TcpListener, stop: watch::Receiver<bool>) {
    let connection = |stream| async move {
        let service = TowerToHyperService::new(tower::service_fn(|request| std::future::ready(page(&request))));
        let served = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        if let Err(error) = served {
            tracing::debug!(%error, "connection for metrics broke");
        }
    };
    listen::accept(listener, Duration::ZERO, stop, connection).await;
}

fn page(request: &Request<Incoming>) -> Result<Response<Body>, http::Error> {
    if request.method() != Method::GET || request.uri().path() != "/metrics" {
        return Response::builder().status(StatusCode::NOT_FOUND).body(Body::empty());
    }
    let accepts = request.headers().get(header::ACCEPT).and_then(|accepts| accepts.to_str().ok());
    let open = accepts.is_some_and(|accepts| accepts.contains("application/openmetrics-text"));
    let families = prometheus::default_registry().gather();
    let (format, page) = if open {
        (OPEN_METRICS, EXEMPLARS.page(&families))
    } else {
        (prometheus::TEXT_FORMAT, TextEncoder::new().encode_to_string(&families))
    };
    match page {
        Ok(text) => Response::builder().header(header::CONTENT_TYPE, format).body(Body::new(text)),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR).body(Body::empty())
        }
    }
}
