//! A circuit breaker: after too many failures a source is left alone for a while, then tried with one lookup at a time.
//!
//! It is our own because the choice of what counts as a failure is the point of it, and because it is simulated together
//! with the rest of the scheduler under a clock that is not real.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::settings::BreakerSettings;

/// Attempts remembered.
pub(super) const WINDOW: u32 = 16;

/// Whether a source is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// It is.
    Closed,
    /// It is not.
    Open,
    /// One lookup at a time tries whether it answers again.
    HalfOpen,
}

impl fmt::Display for BreakerState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        })
    }
}

#[derive(Debug)]
enum State {
    /// The outcomes of the last attempts, the newest in the lowest bit, failures set.
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
        lasting: Duration,
    },
    Probing {
        lasting: Duration,
    },
}

#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    state: Mutex<State>,
}

/// Leave for one attempt. What becomes of it must be said; dropped without a word, it counts as a wait cut short.
#[derive(Debug)]
pub(super) struct Pass<'b> {
    breaker: &'b Breaker,
    probe: bool,
    started: Instant,
    settled: bool,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    pub(super) fn state(&self) -> BreakerState {
        match *self.lock() {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { until, .. } if until > Instant::now() => BreakerState::Open,
            State::Open { .. } | State::Probing { .. } => BreakerState::HalfOpen,
        }
    }

    /// Whether [`Self::pass`] would refuse now.
    pub(super) fn refuses(&self) -> bool {
        match *self.lock() {
            State::Closed { .. } => false,
            State::Open { until, .. } => until > Instant::now(),
            State::Probing { .. } => true,
        }
    }

    /// Leave to ask, unless the breaker is open.
    pub(super) fn pass(&self) -> Option<Pass<'_>> {
        let mut state = self.lock();
        let probe = match *state {
            State::Closed { .. } => false,
            State::Open { until, lasting } if until <= Instant::now() => {
                *state = State::Probing { lasting };
                true
            }
            State::Open { .. } | State::Probing { .. } => return None,
        };
        Some(Pass { breaker: self, probe, started: Instant::now(), settled: false })
    }

    /// Notes an outcome. Those of attempts begun before the breaker opened no longer count.
    fn note(&self, failed: bool, probe: bool) {
        let mut state = self.lock();
        match *state {
            State::Closed { failures } => {
                let failures = (failures << 1 | u32::from(failed)) & ((1 << WINDOW) - 1);
                *state = if failures.count_ones() >= self.settings.failures_max.min(WINDOW) {
                    let lasting = self.settings.open_min;
                    State::Open { until: Instant::now() + lasting, lasting }
                } else {
                    State::Closed { failures }
                };
            }
            State::Probing { lasting } if probe && failed => {
                let lasting = (lasting * 2).min(self.settings.open_max);
                *state = State::Open { until: Instant::now() + lasting, lasting };
            }
            State::Probing { .. } if probe => *state = State::Closed { failures: 0 },
            State::Probing { .. } | State::Open { .. } => {}
        }
    }

    /// A probe that told nothing makes room for the next.
    fn probe_again(&self) {
        let mut state = self.lock();
        if let State::Probing { lasting } = *state {
            *state = State::Open { until: Instant::now(), lasting };
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The source answered, be it with an error.
    pub(super) fn answered(mut self) {
        self.settled = true;
        self.breaker.note(false, self.probe);
    }

    /// The source could not be reached.
    pub(super) fn failed(mut self) {
        self.settled = true;
        self.breaker.note(true, self.probe);
    }
}

/// The wait ended without an answer: at a deadline, or because another answer came first.
impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if self.started.elapsed() >= self.breaker.settings.patience {
            self.breaker.note(true, self.probe);
        } else if self.probe {
            self.breaker.probe_again();
        }
    }
}
