//! How a source is asked, and what is done when it does not answer.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Limits on how a source is asked. A hung source costs the hub at most `concurrency_max + queue_max` waiting lookups, and
/// these for `attempt_timeout` at most; then its breaker opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSettings {
    /// Lookups under way at one time, from 1.
    pub concurrency_max: usize,
    /// Lookups that may wait for their turn; further ones fail at once.
    pub queue_max: usize,
    /// Longest time for one attempt, whatever the caller's deadline.
    pub attempt_timeout: Duration,
    /// Attempts in all, from 1; further ones are made only after failures that may pass, and while time remains.
    pub attempts_max: usize,
    /// Wait before the second attempt; doubled for each further one, up to one second, plus a random part of the same
    /// size.
    pub retry_delay: Duration,
    /// When to ask the replica, too, if the source has not answered. A failed source's replica is asked at once.
    pub hedge_delay: Duration,
    /// When to stop asking.
    pub breaker: BreakerSettings,
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self {
            concurrency_max: 32,
            queue_max: 512,
            attempt_timeout: Duration::from_secs(5),
            attempts_max: 2,
            retry_delay: Duration::from_millis(20),
            hedge_delay: Duration::from_millis(100),
            breaker: BreakerSettings::default(),
        }
    }
}

impl SourceSettings {
    /// The waits between attempts, one shorter than the attempts.
    pub(super) fn retry_delays(&self) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(self.retry_delay)
            .with_max_delay(Duration::from_secs(1))
            .with_max_times(self.attempts_max.saturating_sub(1))
            .with_jitter()
            .build()
    }
}

/// When a source counts as down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures among the last [`super::breaker::WINDOW`] attempts that open the breaker, 1 to 32. Failures are broken or
    /// refused connections and answers that did not come in time; a database that answers with an error is there.
    pub failures_max: u32,
    /// A wait shorter than this that ended without an answer says nothing about the source: callers may be in a hurry.
    pub patience: Duration,
    /// How long nothing is asked after the breaker has opened; doubled each time the probe after it fails.
    pub open_min: Duration,
    /// Longest such time.
    pub open_max: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures_max: 8,
            patience: Duration::from_secs(1),
            open_min: Duration::from_secs(1),
            open_max: Duration::from_secs(15),
        }
    }
}
