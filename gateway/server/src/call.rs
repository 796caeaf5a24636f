//! What every RPC starts with: who calls, until when, traced as what.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use query::Call;
use tokio::time::Instant;
use tonic::{Extensions, Status, metadata::MetadataMap};
use tracing::Span;

use crate::{exemplars::TraceKept, identity::Peer, status, telemetry, tokens::Proof};

#[cfg(test)]
mod tests;

/// Limits on the time of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// When the caller sets no deadline.
    pub(crate) default: Duration,
    /// Longest a caller may set.
    pub(crate) max: Duration,
}

/// Reads the call's frame from metadata and connection.
pub(crate) fn begin(
    method: &'static str,
    metadata: &MetadataMap,
    extensions: &Extensions,
    timeouts: Timeouts,
) -> Result<(Call, Span), Status> {
    let received = Instant::now();
    let peer =
        extensions.get::<Peer>().ok_or_else(|| status::from_identity(crate::identity::IdentityError::NoCertificate))?;
    let headers: &HeaderMap = metadata.as_ref();
    let span = telemetry::call_span(method, &peer.caller, headers);
    let trace = telemetry::trace(&span, headers);
    if trace.is_sampled()
        && let Some(kept) = extensions.get::<TraceKept>()
    {
        kept.set(trace.trace_id());
    }
    let call = Call {
        method: method.to_owned(),
        caller: peer.caller.clone(),
        certificate_sha256: peer.certificate_sha256.clone(),
        received,
        deadline: received + timeout(headers, timeouts)?,
        deadline_given: headers.contains_key("grpc-timeout"),
        trace_id: telemetry::trace_id(&trace),
    };
    Ok((call, span))
}

/// What the call's token proves, as `listen` found it.
pub(crate) fn proof<T>(request: &tonic::Request<T>) -> Option<Arc<Proof>> {
    request.extensions().get::<Arc<Proof>>().map(Arc::clone)
}

fn timeout(headers: &HeaderMap, timeouts: Timeouts) -> Result<Duration, Status> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(timeouts.default) };
    value.to_str().ok().and_then(parse_timeout).map(|asked| asked.min(timeouts.max)).ok_or_else(|| {
        status::plain(
            tonic::Code::InvalidArgument,
            "MALFORMED_TIMEOUT",
            "grpc-timeout must be 1 to 8 digits and a unit (H, M, S, m, u, n)",
            "Thời hạn grpc-timeout phải gồm 1 đến 8 chữ số và đơn vị (H, M, S, m, u, n).",
        )
    })
}

/// `grpc-timeout` as the gRPC protocol over HTTP/2 defines it.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3_600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}
