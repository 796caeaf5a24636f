//! What the hub serves with at this moment. A reload swaps it whole, so a call sees either the old files or the new ones and
//! never a mixture; a call that has begun ends with what it began with.

use std::sync::Arc;

use arc_swap::ArcSwap;
use query::Hub;
use tokio::sync::watch;
use tonic::service::Routes;

use crate::{tls::Trust, tokens::Tokens};

/// What a listener holds its connections to.
pub(crate) trait InForce: Send + Sync {
    /// The certificates accepted now.
    fn trust(&self) -> Arc<Trust>;

    /// Tells of every change from now on.
    fn changes(&self) -> watch::Receiver<()>;

    /// The hub that calls are for, where their refusals are recorded; a source served by itself has none.
    fn snapshot(&self) -> Option<Arc<Snapshot>>;
}

/// The snapshot in force.
pub(crate) struct Current {
    in_force: ArcSwap<Snapshot>,
    changes: watch::Sender<()>,
}

/// Agreements, policies and catalogues in one hub, and the certificates and tokens accepted.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(crate) hub: Arc<Hub>,
    pub(crate) trust: Arc<Trust>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) record_types: Arc<RecordTypes>,
}

/// What follows from the record types beside the hub itself, whose schema they are.
pub(crate) struct RecordTypes {
    /// Reflection on them.
    pub(crate) reflection: Routes,
    /// SHA-256 over the `.proto` files of sectors that are not built in, hex.
    pub(crate) digest: String,
}

impl Current {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self { in_force: ArcSwap::from_pointee(snapshot), changes: watch::Sender::new(()) }
    }

    /// The hub to serve one call with.
    pub(crate) fn hub(&self) -> Arc<Hub> {
        Arc::clone(&self.in_force.load().hub)
    }

    /// The certificates accepted now.
    pub(crate) fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.in_force.load().trust)
    }

    /// All of it.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.in_force.load_full()
    }

    /// Puts another snapshot in force.
    pub(crate) fn replace(&self, snapshot: Snapshot) {
        self.in_force.store(Arc::new(snapshot));
        self.changes.send_replace(());
    }
}

impl InForce for Current {
    fn trust(&self) -> Arc<Trust> {
        Self::trust(self)
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        Some(Self::snapshot(self))
    }
}
