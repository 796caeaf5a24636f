//! Whether each source could answer now: a real round trip at an interval, shown in health and catalogue.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use query::Sources;
use tokio::sync::watch;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    current::{Current, InForce as _},
    expiry,
    listen::told_to_stop,
    publish::{self, Published},
};

/// Longest wait for one source.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(5);

/// Which sources answered their last round trip.
#[derive(Default)]
pub(crate) struct Readiness(RwLock<BTreeMap<String, bool>>);

impl Readiness {
    /// Nothing is ready until a round trip has shown it.
    pub(crate) fn is_ready(&self, source: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(source).copied().unwrap_or(false)
    }

    /// Remembers how a source answered. Gives how it answered before.
    fn set(&self, source: &str, ready: bool) -> Option<bool> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(source.to_owned(), ready)
    }

    /// Takes out the sources that are no longer served.
    fn retain(&self, served: &Sources) -> Vec<String> {
        let mut flags = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<_> = flags.keys().filter(|id| served.get(id).is_none()).cloned().collect();
        for id in &gone {
            flags.remove(id);
        }
        gone
    }
}

/// Name under which a source stands in `grpc.health.v1`.
fn health_name(id: &str) -> String {
    format!("lienthong.source.{id}")
}

const fn status_of(well: bool) -> ServingStatus {
    if well { ServingStatus::Serving } else { ServingStatus::NotServing }
}

/// Asks all sources side by side at an interval, and when they change, until told to stop.
pub(crate) async fn watch(
    readiness: Arc<Readiness>,
    current: Arc<Current>,
    mut health: HealthReporter,
    interval: Duration,
    mut published: watch::Receiver<Published>,
    mut stop: watch::Receiver<bool>,
) {
    let mut changes = current.changes();
    let mut ticks = tokio::time::interval(interval);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = changes.changed() => {}
            // Without a publication there is nobody to tell.
            Ok(()) = published.changed() => {}
            () = told_to_stop(&mut stop) => return,
        }
        let ending = expiry::ending_soon(&current.snapshot(), chrono::Utc::now());
        health.set_service_status(expiry::HEALTH_NAME, status_of(ending.is_empty())).await;
        let well = published.borrow_and_update().is_well();
        health.set_service_status(publish::HEALTH_NAME, status_of(well)).await;
        let sources = Arc::clone(&current.hub().sources);
        for gone in readiness.retain(&sources) {
            health.clear_service_status(&health_name(&gone)).await;
        }
        let round = sources.adapters().map(|adapter| {
            let (health, readiness) = (health.clone(), &readiness);
            async move {
                let ready = matches!(tokio::time::timeout(ROUND_TRIP_MAX, adapter.ready()).await, Ok(Ok(())));
                let source = &adapter.describe().id;
                if readiness.set(source, ready).unwrap_or(false) != ready {
                    tracing::info!(lienthong.source = source, ready, "source readiness changed");
                }
                health.set_service_status(health_name(source), status_of(ready)).await;
            }
        });
        futures::future::join_all(round).await;
    }
}
