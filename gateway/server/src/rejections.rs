//! Refusals and failures that no handler has recorded: what the transport refuses unread (too large, undecodable, unknown
//! method), wrong questions to the catalogue, handlers that ended abnormally. Each is recorded here; calls over the limit,
//! of which nothing was read, by the second ([`record_refused`]): in a flood an entry each would be a second flood.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use audit::AuditLog;
use http::{HeaderMap, Response};
use proto::audit::v1::entry::{Kind, Outcome};
use query::{Asked, CallError, Hub, Violation};
use tokio::{sync::watch, time::Instant};
use tonic::{Code, Status, body::Body};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    admission::{self, Limit},
    call::Timeouts,
    current::Current,
    identity::Peer,
    listen::told_to_stop,
    own_events::record_event,
    status, telemetry,
};

/// Passes a response on, unless it is an error without an entry.
pub(crate) async fn record(
    hub: &Hub,
    peer: &Peer,
    path: &str,
    headers: &HeaderMap,
    timeouts: Timeouts,
    response: Response<Body>,
) -> Response<Body> {
    let Some(error) = Status::from_header_map(response.headers()) else { return response };
    if error.code() == Code::Ok || response.headers().contains_key(status::LOG_INDEX_KEY) {
        return response;
    }
    let reason = status::reason(&error);
    // That the log cannot record is itself not recordable.
    if reason == NOT_RECORDED || reason == admission::TOO_MANY_CALLS {
        return response;
    }
    // Boxed: it is large, and most calls never come here.
    Box::pin(rejected(hub, peer, path, headers, timeouts, error, reason)).await
}

/// Records an error that nobody has recorded, and gives the answer.
async fn rejected(
    hub: &Hub,
    peer: &Peer,
    path: &str,
    headers: &HeaderMap,
    timeouts: Timeouts,
    error: Status,
    reason: String,
) -> Response<Body> {
    let method = known_method(hub, path);
    let received = Instant::now();
    let span = telemetry::call_span(&method, &peer.caller, headers);
    let call = query::Call {
        caller: peer.caller.clone(),
        certificate_sha256: peer.certificate_sha256.clone(),
        received,
        deadline: received + timeouts.default,
        deadline_given: false,
        trace_id: telemetry::trace_id(&telemetry::trace(&span, headers)),
        method,
    };
    tracing::info!(rpc.method = call.method, rpc.response.status_code = ?error.code(), reason, "call rejected");
    if reason.is_empty() {
        // Made by the transport: said again in the words of this hub.
        let unread = CallError::Invalid { violations: vec![violation(&error)], receipt: None };
        let recorded = hub.reject(&call, Kind::RejectedCall, &Asked::default(), unread).await;
        return status::from_call(&recorded).into_http();
    }
    let mut entry = query::begin_entry(Kind::RejectedCall, &call);
    entry.set_outcome(match error.code() {
        Code::InvalidArgument | Code::NotFound => Outcome::Invalid,
        Code::PermissionDenied | Code::Unauthenticated => Outcome::Refused,
        _ => Outcome::Failed,
    });
    entry.reason = reason;
    match hub.record(&call, entry).await {
        Ok(receipt) => status::with_log_index(error, receipt.log_index).into_http(),
        Err(unrecorded) => status::from_call(&unrecorded).into_http(),
    }
}

const NOT_RECORDED: &str = "AUDIT_LOG_UNAVAILABLE";

/// The method a path names, if it is one of this hub's; a path is the caller's text and goes nowhere else.
fn known_method(hub: &Hub, path: &str) -> String {
    let named = path.rsplit_once('/').and_then(|(service, method)| {
        let service = hub.schema.pool().get_service_by_name(service)?;
        service.methods().find(|known| known.name() == method).map(|_| path.to_owned())
    });
    named.unwrap_or_else(|| "unknown".to_owned())
}

/// What the transport's own refusals mean to a caller.
fn violation(refusal: &Status) -> Violation {
    let (field, english, vietnamese) = match refusal.code() {
        Code::OutOfRange => {
            ("request", "is larger than the hub accepts; ask for less at a time", "lớn hơn mức cho phép, xin chia nhỏ")
        }
        Code::Unimplemented => (
            "method",
            "is not one this hub serves; see reflection or the catalogue",
            "không có trong danh mục dịch vụ của trục",
        ),
        _ => {
            ("request", "is not a valid message of this method", "không phải là thông điệp hợp lệ của phương thức này")
        }
    };
    Violation { field: field.to_owned(), english: english.to_owned(), vietnamese: vietnamese.to_owned() }
}

/// Name under which the hub says in `grpc.health.v1` whether it takes more calls.
const CAPACITY: &str = "lienthong.capacity";
/// How often refused calls are recorded.
const REFUSED_INTERVAL: Duration = Duration::from_secs(1);

/// Those who were turned away before it was known who they are: how many, for which reason. An entry each would let anybody
/// who reaches the port fill the log.
#[derive(Clone, Default)]
pub(crate) struct Strangers(Arc<Mutex<BTreeMap<(&'static str, &'static str), u64>>>);

/// Event of those turned away.
const TURNED_AWAY: &str = "callers without a valid certificate refused";
/// Event of those who read entries where anybody may.
const READ_BY_ANYBODY: &str = "entries read by anybody";

impl Strangers {
    /// Counts one who is turned away.
    pub(crate) fn note(&self, reason: &'static str) {
        self.count(TURNED_AWAY, reason);
    }

    /// Counts one who reads entries where anybody may.
    pub(crate) fn note_reading(&self, what: &'static str) {
        self.count(READ_BY_ANYBODY, what);
    }

    fn count(&self, event: &'static str, reason: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((event, reason)).or_default() += 1;
    }

    fn take(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Records from time to time how many calls were refused for want of a place, and how many strangers were turned away, until
/// told to stop. While calls are refused, health says so.
pub(crate) async fn watch_refused(
    current: Arc<Current>,
    limit: Limit,
    strangers: Strangers,
    health: HealthReporter,
    mut stop: watch::Receiver<bool>,
) {
    health.set_service_status(CAPACITY, ServingStatus::Serving).await;
    loop {
        tokio::select! {
            () = tokio::time::sleep(REFUSED_INTERVAL) => {}
            () = told_to_stop(&mut stop) => return,
        }
        let refused = record_refused(&current.hub().audit, &limit, &strangers).await;
        let status = if refused { ServingStatus::NotServing } else { ServingStatus::Serving };
        health.set_service_status(CAPACITY, status).await;
    }
}

/// Records the calls refused since the last time, an entry for each system, and the strangers, an entry for each reason.
/// Whether calls were refused.
pub(crate) async fn record_refused(log: &AuditLog, limit: &Limit, strangers: &Strangers) -> bool {
    for ((event, reason), count) in strangers.take() {
        let count = count.to_string();
        let details = [("reason", reason), ("count", count.as_str())];
        if let Err(error) = record_event(log, event, &details).await {
            tracing::error!(%error, reason, count, "callers counted are not in the log");
        }
    }
    let refused = limit.take_refused();
    let any = !refused.is_empty();
    for ((agency, system), count) in refused {
        let count = count.to_string();
        let details = [("agency", agency.as_str()), ("system", system.as_str()), ("count", count.as_str())];
        if let Err(error) = record_event(log, "calls refused over the limit", &details).await {
            tracing::error!(%error, agency, system, count, "refused calls are not in the log");
        }
    }
    any
}
