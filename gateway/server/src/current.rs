//! What the hub serves with at this moment. A reload swaps it whole, so a call sees either the old files or the new ones and
//! never a mixture; a call that has begun ends with what it began with.

use std::sync::Arc;

use arc_swap::ArcSwap;
use query::Hub;
use tokio::sync::watch;

use crate::tls::Trust;

/// The snapshot in force.
pub(crate) struct Current {
    in_force: ArcSwap<Snapshot>,
    changes: watch::Sender<()>,
}

/// Agreements, policies and catalogues in one hub, and the certificates accepted.
pub(crate) struct Snapshot {
    pub(crate) hub: Arc<Hub>,
    pub(crate) trust: Arc<Trust>,
}

impl Current {
    pub(crate) fn new(hub: Hub, trust: Trust) -> Self {
        let snapshot = Snapshot { hub: Arc::new(hub), trust: Arc::new(trust) };
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

    /// Puts another snapshot in force.
    pub(crate) fn replace(&self, hub: Arc<Hub>, trust: Arc<Trust>) {
        self.in_force.store(Arc::new(Snapshot { hub, trust }));
        self.changes.send_replace(());
    }

    /// Tells of every snapshot put in force from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}
