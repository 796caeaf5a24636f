//! The gRPC services: thin handlers that parse, ask the hub, and map what comes back.

mod audit;
mod catalog;
mod query;

pub(crate) use self::{audit::AuditHandler, catalog::CatalogHandler, query::QueryHandler};

use std::{future::Future, sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tracing::{Instrument, Span};

use crate::status;

/// How long a caller is asked to wait when too many calls are under way.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Bounds the calls under way. A call runs in a task of its own, so that it is recorded even when the caller has gone; the
/// bound is what keeps callers who open and leave from piling up work.
#[derive(Clone)]
pub(crate) struct Limit(Arc<Semaphore>);

impl Limit {
    pub(crate) fn new(calls_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(calls_max)))
    }

    /// Runs a call to its end.
    async fn to_the_end<T: Send + 'static>(
        &self,
        span: Span,
        work: impl Future<Output = Result<T, Status>> + Send + 'static,
    ) -> Result<T, Status> {
        let Ok(slot) = Arc::clone(&self.0).try_acquire_owned() else { return Err(too_many_calls()) };
        let recording = span.clone();
        let work = async move {
            let answer = work.await;
            let code = answer.as_ref().err().map_or(Code::Ok, Status::code);
            recording.record("rpc.response.status_code", tracing::field::debug(code));
            drop(slot);
            answer
        };
        tokio::spawn(work.instrument(span)).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a handler ended abnormally");
            Err(status::plain(Code::Internal, "INTERNAL", "the hub failed", "Lỗi nội bộ của trục liên thông."))
        })
    }
}

fn too_many_calls() -> Status {
    let mut details = ErrorDetails::with_error_info("TOO_MANY_CALLS", status::DOMAIN, std::collections::HashMap::new());
    details.set_retry_info(Some(RETRY_AFTER));
    details.set_localized_message("vi", "Trục đang xử lý quá nhiều yêu cầu, xin thử lại sau.");
    Status::with_error_details(Code::ResourceExhausted, "too many calls are under way; try again later", details)
}
