//! Log lines on standard error, spans and metrics to OTLP when configured, and W3C trace context from callers.

use std::io::IsTerminal;

use access::Caller;
use anyhow::Context;
use http::HeaderMap;
use opentelemetry::{
    propagation::{Extractor, Injector, TextMapPropagator},
    trace::{SpanContext, TraceContextExt, TracerProvider},
};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    Resource,
    metrics::SdkMeterProvider,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, LevelFilter, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    config::{LogFormat, TelemetryConfig},
    metrics,
};

/// Keeps the exporter; dropping it sends what is left.
pub(crate) struct Telemetry {
    provider: Option<SdkTracerProvider>,
    meters: Option<SdkMeterProvider>,
}

/// Name of the span around a call.
const CALL_SPAN: &str = "call";

/// Always quiet: crates under the exporter and the server, which would otherwise trace themselves.
const QUIET: [&str; 5] = ["h2=warn", "hyper=warn", "tonic=warn", "sqlx=warn", "opentelemetry=warn"];

impl Telemetry {
    /// Installs the process's subscriber.
    pub(crate) fn start(config: &TelemetryConfig) -> anyhow::Result<Self> {
        let provider = match &config.otlp_endpoint {
            Some(endpoint) => Some(exporter(endpoint, config)?),
            None => None,
        };
        subscriber(config, provider.as_ref())?.try_init().context("telemetry is already started")?;
        Ok(Self { provider, meters: metrics::provider(config)? })
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = &self.provider
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "last spans were not exported");
        }
        if let Some(meters) = &self.meters
            && let Err(error) = meters.shutdown()
        {
            tracing::warn!(%error, "last metrics were not exported");
        }
    }
}

/// Lines on standard error, and spans where there is somebody to have them.
fn subscriber(
    config: &TelemetryConfig,
    provider: Option<&SdkTracerProvider>,
) -> anyhow::Result<impl Subscriber + SubscriberInitExt + use<>> {
    let lines = match config.format {
        LogFormat::Text => {
            let colours =
                std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
            tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(std::io::stderr).boxed()
        }
        LogFormat::Json => tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr).boxed(),
    };
    // A line says of which call it is. Spans of stages are for traces: written down for lines, they would cost more than they
    // tell.
    let told = filter_fn(|metadata| metadata.is_event() || metadata.name() == CALL_SPAN);
    // Without word of the most it takes, every span of every crate would be asked about.
    let told = told.with_max_level_hint(LevelFilter::TRACE);
    let mut layers = vec![lines.with_filter(filter(config)?.and(told)).boxed()];
    if let Some(provider) = provider {
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("lienthong"));
        layers.push(spans.with_filter(filter(config)?).boxed());
    }
    // An optional layer that is absent has no filter: it would take every span that the others do not want.
    Ok(tracing_subscriber::registry().with(layers))
}

fn filter(config: &TelemetryConfig) -> anyhow::Result<EnvFilter> {
    let mut filter =
        EnvFilter::try_new(&config.filter).with_context(|| "telemetry.filter is not a valid filter".to_owned())?;
    for directive in QUIET {
        filter = filter.add_directive(directive.parse().context("built-in filter")?);
    }
    Ok(filter)
}

fn exporter(endpoint: &str, config: &TelemetryConfig) -> anyhow::Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .context("telemetry.otlp_endpoint cannot be used")?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
            f64::from(config.trace_percent) / 100.0,
        ))))
        .with_resource(Resource::builder().with_service_name(config.service_name.clone()).build())
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

struct Metadata<'a>(&'a mut tonic::metadata::MetadataMap);

impl Injector for Metadata<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = tonic::metadata::MetadataKey::from_bytes(key.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value.parse()) {
            self.0.insert(name, value);
        }
    }
}

/// Adds the trace of the current span to a call that goes on from here.
pub(crate) fn pass_on(metadata: &mut tonic::metadata::MetadataMap) {
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut Metadata(metadata));
}

/// The span of one call, a child of the caller's when it sent a trace context.
pub(crate) fn call_span(method: &str, caller: &Caller, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        "call",
        otel.name = method,
        otel.kind = "server",
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.response.status_code = tracing::field::Empty,
        lienthong.agency = caller.agency.as_str(),
        lienthong.system = caller.system,
    );
    let parent = TraceContextPropagator::new().extract(&Headers(headers));
    if parent.span().span_context().is_valid() {
        // Fails only when spans are not exported, and then there is nothing to link.
        let _unlinked = span.set_parent(parent);
    }
    span
}

/// The trace a span belongs to; the caller's when spans are not exported here; not a valid one when there is none.
pub(crate) fn trace(span: &Span, headers: &HeaderMap) -> SpanContext {
    let own = span.context().span().span_context().clone();
    if own.is_valid() { own } else { caller_trace(headers) }
}

fn caller_trace(headers: &HeaderMap) -> SpanContext {
    TraceContextPropagator::new().extract(&Headers(headers)).span().span_context().clone()
}

/// W3C trace id, hex; empty when there is none.
pub(crate) fn trace_id(trace: &SpanContext) -> String {
    if trace.is_valid() { trace.trace_id().to_string() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    /// Spans are written by the dozen for each frame of HTTP/2: they must cost nothing when nobody wants them.
    #[test]
    fn spans_nobody_wants_are_not_made() {
        for provider in [None, Some(SdkTracerProvider::builder().build())] {
            let subscriber = subscriber(&TelemetryConfig::default(), provider.as_ref()).unwrap();
            assert_eq!(subscriber.max_level_hint(), Some(LevelFilter::INFO));
            tracing::subscriber::with_default(subscriber, || {
                assert!(!tracing::enabled!(target: "h2::proto", Level::TRACE));
                assert!(tracing::trace_span!(target: "h2::proto", "poll").is_disabled());
                assert!(!tracing::info_span!(CALL_SPAN).is_disabled());
                assert_eq!(tracing::info_span!("validate").is_disabled(), provider.is_none(), "stages are for traces");
            });
        }
    }
}
