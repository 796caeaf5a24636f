//! Whether each source could answer now: a real round trip at an interval, shown in health and catalogue.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use query::Sources;
use tokio::sync::watch;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::listen::told_to_stop;

/// Longest wait for one source.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(5);

/// One flag per source, in the order of the sources.
pub(crate) struct Readiness {
    flags: Vec<AtomicBool>,
}

impl Readiness {
    /// Nothing is ready until a round trip has shown it.
    pub(crate) fn new(sources: &Sources) -> Self {
        Self { flags: sources.adapters().map(|_| AtomicBool::new(false)).collect() }
    }

    /// The flags.
    pub(crate) fn flags(&self) -> impl Iterator<Item = &AtomicBool> {
        self.flags.iter()
    }
}

/// Name under which a source stands in `grpc.health.v1`.
fn health_name(id: &str) -> String {
    format!("lienthong.source.{id}")
}

/// Asks all sources side by side at an interval until told to stop.
pub(crate) async fn watch(
    readiness: Arc<Readiness>,
    sources: Arc<Sources>,
    health: HealthReporter,
    interval: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let mut ticks = tokio::time::interval(interval);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = told_to_stop(&mut stop) => return,
        }
        let round = sources.adapters().zip(readiness.flags()).map(|(adapter, flag)| {
            let health = health.clone();
            async move {
                let ready = matches!(tokio::time::timeout(ROUND_TRIP_MAX, adapter.ready()).await, Ok(Ok(())));
                let source = &adapter.describe().id;
                if flag.swap(ready, Ordering::Relaxed) != ready {
                    tracing::info!(lienthong.source = source, ready, "source readiness changed");
                }
                let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
                health.set_service_status(health_name(source), status).await;
            }
        });
        futures::future::join_all(round).await;
    }
}
