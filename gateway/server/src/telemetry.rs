//! Log lines on standard error, spans to OTLP when configured, and W3C trace context from callers.

use anyhow::Context;
use http::HeaderMap;
use opentelemetry::{
    propagation::{Extractor, TextMapPropagator},
    trace::{TraceContextExt, TracerProvider},
};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{LogFormat, TelemetryConfig};

/// Keeps the exporter; dropping it sends what is left.
pub(crate) struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Always quiet: crates under the exporter and the server, which would otherwise trace themselves.
const QUIET: [&str; 4] = ["h2=warn", "hyper=warn", "tonic=warn", "sqlx=warn"];

impl Telemetry {
    /// Installs the process's subscriber.
    pub(crate) fn start(config: &TelemetryConfig) -> anyhow::Result<Self> {
        let mut filter =
            EnvFilter::try_new(&config.filter).with_context(|| "telemetry.filter is not a valid filter".to_owned())?;
        for directive in QUIET {
            filter = filter.add_directive(directive.parse().context("built-in filter")?);
        }
        let lines = match config.format {
            LogFormat::Text => tracing_subscriber::fmt::layer().with_writer(std::io::stderr).boxed(),
            LogFormat::Json => tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr).boxed(),
        };
        let provider = match &config.otlp_endpoint {
            Some(endpoint) => Some(exporter(endpoint, &config.service_name)?),
            None => None,
        };
        let spans =
            provider.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("lienthong")));
        tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .with(spans)
            .try_init()
            .context("telemetry is already started")?;
        Ok(Self { provider })
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = &self.provider
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "last spans were not exported");
        }
    }
}

fn exporter(endpoint: &str, service_name: &str) -> anyhow::Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .context("telemetry.otlp_endpoint cannot be used")?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name(service_name.to_owned()).build())
        .build())
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }
    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// The span of one call, a child of the caller's when it sent a trace context.
pub(crate) fn call_span(method: &str, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        "call",
        otel.name = method,
        otel.kind = "server",
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.response.status_code = tracing::field::Empty,
        lienthong.agency = tracing::field::Empty,
        lienthong.system = tracing::field::Empty,
    );
    let parent = TraceContextPropagator::new().extract(&Headers(headers));
    if parent.span().span_context().is_valid() {
        // Fails only when spans are not exported, and then there is nothing to link.
        let _unlinked = span.set_parent(parent);
    }
    span
}

/// W3C trace id of a span, hex; of the caller's when spans are not exported here; empty when there is none.
pub(crate) fn trace_id(span: &Span, headers: &HeaderMap) -> String {
    let own = span.context().span().span_context().trace_id();
    let id = if own == opentelemetry::TraceId::INVALID {
        TraceContextPropagator::new().extract(&Headers(headers)).span().span_context().trace_id()
    } else {
        own
    };
    if id == opentelemetry::TraceId::INVALID { String::new() } else { id.to_string() }
}
