//! `[sources.lookup]`: how a source is asked, and what is done when it does not answer.

use std::time::Duration;

use anyhow::ensure;
use query::{BreakerSettings, SourceSettings};
use serde::Deserialize;

/// Limits on lookups in one source. What they mean stands at [`SourceSettings`] and [`BreakerSettings`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LookupConfig {
    /// Lookups that may wait for their turn.
    queue_max: usize,
    /// Longest time for one attempt.
    attempt_timeout_ms: u64,
    /// Attempts in all.
    attempts_max: usize,
    /// Wait before the second attempt.
    retry_delay_ms: u64,
    /// When the replica is asked, too.
    hedge_delay_ms: u64,
    /// Failures among the last 16 attempts that open the breaker.
    breaker_failures_max: u32,
    /// A shorter wait without an answer is no failure.
    breaker_patience_ms: u64,
    /// How long a source is left alone at first.
    breaker_open_min_ms: u64,
    /// How long at most.
    breaker_open_max_ms: u64,
}

/// Milliseconds of a default, which are few.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Default for LookupConfig {
    fn default() -> Self {
        let settings = SourceSettings::default();
        Self {
            queue_max: settings.queue_max,
            attempt_timeout_ms: milliseconds(settings.attempt_timeout),
            attempts_max: settings.attempts_max,
            retry_delay_ms: milliseconds(settings.retry_delay),
            hedge_delay_ms: milliseconds(settings.hedge_delay),
            breaker_failures_max: settings.breaker.failures_max,
            breaker_patience_ms: milliseconds(settings.breaker.patience),
            breaker_open_min_ms: milliseconds(settings.breaker.open_min),
            breaker_open_max_ms: milliseconds(settings.breaker.open_max),
        }
    }
}

impl LookupConfig {
    /// Refuses what would never ask, or never stop asking.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        ensure!(self.attempt_timeout_ms > 0, "attempt_timeout_ms must be at least 1");
        ensure!((1..=10).contains(&self.attempts_max), "attempts_max must be from 1 to 10");
        ensure!((1..=16).contains(&self.breaker_failures_max), "breaker_failures_max must be from 1 to 16");
        ensure!(self.breaker_open_min_ms > 0, "breaker_open_min_ms must be at least 1");
        ensure!(
            self.breaker_open_min_ms <= self.breaker_open_max_ms,
            "breaker_open_min_ms must not be more than breaker_open_max_ms"
        );
        Ok(())
    }

    /// The settings, with the bound on lookups under way, which stands beside the connections.
    pub(crate) fn settings(&self, concurrency_max: usize) -> SourceSettings {
        SourceSettings {
            concurrency_max,
            queue_max: self.queue_max,
            attempt_timeout: Duration::from_millis(self.attempt_timeout_ms),
            attempts_max: self.attempts_max,
            retry_delay: Duration::from_millis(self.retry_delay_ms),
            hedge_delay: Duration::from_millis(self.hedge_delay_ms),
            breaker: BreakerSettings {
                failures_max: self.breaker_failures_max,
                patience: Duration::from_millis(self.breaker_patience_ms),
                open_min: Duration::from_millis(self.breaker_open_min_ms),
                open_max: Duration::from_millis(self.breaker_open_max_ms),
            },
        }
    }
}
