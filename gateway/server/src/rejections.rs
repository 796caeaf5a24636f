//! Calls that the transport refuses before a handler sees them (too large, undecodable, unknown method) are recorded and
//! answered like any other refusal.

use http::{HeaderMap, Response};
use proto::audit::v1::entry::Kind;
use query::{CallError, Hub, Violation};
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};

use crate::{call::Timeouts, identity::Peer, status, telemetry};

/// Passes a response on, unless it is a refusal no handler has recorded.
pub(crate) async fn record(
    hub: &Hub,
    peer: &Peer,
    method: &str,
    headers: &HeaderMap,
    timeouts: Timeouts,
    response: Response<Body>,
) -> Response<Body> {
    let Some(refusal) = Status::from_header_map(response.headers()) else { return response };
    let handled = response.headers().contains_key(status::LOG_INDEX_KEY) || !refusal.details().is_empty();
    if refusal.code() == Code::Ok || handled {
        return response;
    }
    let Some(violation) = violation(&refusal, method) else { return response };
    let received = Instant::now();
    let span = telemetry::call_span(method, headers);
    let call = query::Call {
        method: "",
        caller: peer.caller.clone(),
        certificate_sha256: peer.certificate_sha256.clone(),
        received,
        deadline: received + timeouts.default,
        trace_id: telemetry::trace_id(&span, headers),
    };
    let unread = CallError::Invalid { violations: vec![violation], receipt: None };
    let error = hub.reject(&call, Kind::RejectedCall, unread).await;
    status::from_call(&error).into_http()
}

/// What tonic's own refusals mean to a caller.
fn violation(refusal: &Status, method: &str) -> Option<Violation> {
    let (field, english, vietnamese) = match refusal.code() {
        Code::OutOfRange => {
            ("request", "is larger than the hub accepts; ask for less at a time", "lớn hơn mức cho phép, xin chia nhỏ")
        }
        Code::Unimplemented => (
            "method",
            "is not one this hub serves; see reflection or the catalogue",
            "không có trong danh mục dịch vụ của trục",
        ),
        Code::Internal | Code::InvalidArgument => {
            ("request", "is not a valid message of this method", "không phải là thông điệp hợp lệ của phương thức này")
        }
        _ => return None,
    };
    tracing::info!(rpc.method = method, rpc.response.status_code = ?refusal.code(), "call rejected unread");
    Some(Violation { field: field.to_owned(), english: english.to_owned(), vietnamese: vietnamese.to_owned() })
}
