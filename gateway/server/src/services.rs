//! The gRPC services: thin handlers that parse, ask the hub, and map what comes back.

mod audit;
mod catalog;
mod query;

pub(crate) use self::{audit::AuditHandler, catalog::CatalogHandler, query::QueryHandler};

use std::future::Future;

use tonic::Status;
use tracing::{Instrument, Span};

/// Runs a call in a task of its own, so that it is recorded even when the caller has gone.
async fn to_the_end<T: Send + 'static>(
    span: Span,
    work: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    let recording = span.clone();
    let work = async move {
        let answer = work.await;
        let code = answer.as_ref().err().map_or(tonic::Code::Ok, Status::code);
        recording.record("rpc.response.status_code", tracing::field::debug(code));
        answer
    };
    tokio::spawn(work.instrument(span)).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a handler ended abnormally");
        Err(crate::status::plain(
            tonic::Code::Internal,
            "INTERNAL",
            "the hub failed; the operators have been told",
            "Lỗi nội bộ của trục liên thông.",
        ))
    })
}
