//! What is asked of a source: the records of a number, or candidates.

use std::sync::Arc;

use adapter_sdk::{Adapter, FetchRequest, Fetched, SearchRequest, SourceError};
use proto::RecordType;
use tokio::time::Instant;

/// A question on its way to an adapter.
#[derive(Debug, Clone)]
pub(super) enum Lookup {
    Key(FetchRequest),
    Search(SearchRequest),
}

impl Lookup {
    pub(super) fn record_type(&self) -> &Arc<RecordType> {
        match self {
            Self::Key(request) => &request.record_type,
            Self::Search(request) => &request.record_type,
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        match self {
            Self::Key(request) => request.deadline,
            Self::Search(request) => request.deadline,
        }
    }

    /// The same, given up at another moment.
    pub(super) fn until(mut self, moment: Instant) -> Self {
        match &mut self {
            Self::Key(request) => request.deadline = moment,
            Self::Search(request) => request.deadline = moment,
        }
        self
    }

    pub(super) async fn ask(&self, adapter: &dyn Adapter) -> Result<Fetched, SourceError> {
        match self {
            Self::Key(request) => adapter.fetch(request).await,
            Self::Search(request) => adapter.search(request).await,
        }
    }
}
