//! Admission: how many calls are under way, and whose.
//!
//! A call runs in a task of its own, so that it is recorded even when the caller has gone; the bound is what keeps callers
//! who open and leave from piling up work. No agency takes it all: of the places it has the part it would have if one more
//! agency came. Refusals for want of a place cost next to nothing: they are counted, and the log gets one entry a second
//! for each system that met any.
//!
//! How many places there are depends on how the hub keeps up. While it wakes late most of the time, more calls are under way
//! than its processors can serve, each makes all others wait, and there are fewer places until that passes; calls that wait
//! for a slow database keep no processor busy and take nobody's place. As in CoDel (RFC 8289) a moment's lateness is no
//! overload: a burst passes, and a flood meets fewer places after a second.

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use access::{AgencyCode, Caller};
use tokio::{sync::watch, time::Instant};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tracing::{Instrument, Span};

use crate::{listen::told_to_stop, status};

/// Reason of a refusal for want of a place.
pub(crate) const TOO_MANY_CALLS: &str = "TOO_MANY_CALLS";
/// A caller is asked to wait for a random time between this and twice this, so that those refused together do not come
/// back together.
const RETRY_AFTER_MIN: Duration = Duration::from_millis(500);
/// How often an item of a batch looks for a place.
const ITEM_WAIT: Duration = Duration::from_millis(5);
/// How often the hub looks whether it wakes in time, and after how many looks places are added or taken away.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
const LOOKS: u32 = 50;
/// Places that are left, however late the hub is: a machine that is busy with something else makes it late, too, and a few calls
/// then wait rather than be refused.
const PLACES_MIN: usize = 64;

/// Bounds the calls under way.
#[derive(Clone)]
pub(crate) struct Limit {
    calls_max: usize,
    state: Arc<Mutex<State>>,
}

struct State {
    /// Calls that may be under way now.
    places: usize,
    running: usize,
    /// The most calls that were under way since places were last counted.
    most: usize,
    agencies: HashMap<AgencyCode, usize>,
    refused: BTreeMap<(String, String), u64>,
}

/// A place, given back when dropped.
struct Place {
    limit: Limit,
    agency: AgencyCode,
}

impl Limit {
    pub(crate) fn new(calls_max: usize) -> Self {
        let state =
            State { places: calls_max, running: 0, most: 0, agencies: HashMap::new(), refused: BTreeMap::new() };
        Self { calls_max, state: Arc::new(Mutex::new(state)) }
    }

    /// Has as many places as the hub can serve, until told to stop: fewer while it always wakes later than it may.
    pub(crate) async fn keep_up(self, lateness_max: Duration, mut stop: watch::Receiver<bool>) {
        let keeping_up = async {
            loop {
                let mut late = 0;
                for _ in 0..LOOKS {
                    let due = Instant::now() + LOOK_INTERVAL;
                    tokio::time::sleep_until(due).await;
                    late += u32::from(due.elapsed() > lateness_max);
                }
                self.lock().adapt(late > LOOKS / 2, self.calls_max);
            }
        };
        tokio::select! {
            () = keeping_up => {}
            () = told_to_stop(&mut stop) => {}
        }
    }

    /// Calls that may be under way at one time, as the hub keeps up now.
    pub(crate) fn places(&self) -> usize {
        self.lock().places
    }

    /// Calls under way.
    pub(crate) fn running(&self) -> usize {
        self.lock().running
    }

    /// How many calls of which agency's system were refused since this was last asked.
    pub(crate) fn take_refused(&self) -> BTreeMap<(String, String), u64> {
        std::mem::take(&mut self.lock().refused)
    }

    /// Runs a call to its end, or refuses it. The work is moved several times on its way: large, it had better be boxed.
    pub(crate) async fn to_the_end<T: Send + 'static>(
        &self,
        caller: &Caller,
        span: Span,
        work: impl Future<Output = Result<T, Status>> + Send + 'static,
    ) -> Result<T, Status> {
        let Some(place) = self.enter(&caller.agency) else {
            let system = (caller.agency.to_string(), caller.system.clone());
            *self.lock().refused.entry(system).or_default() += 1;
            return Err(too_many_calls());
        };
        run(place, span, work).await
    }

    /// Runs an item of a batch to its end, once there is a place for it. Its stream waits with it, and its caller with the
    /// stream.
    pub(crate) async fn in_its_turn<T: Send + 'static, W: Future<Output = Result<T, Status>> + Send + 'static>(
        &self,
        caller: &Caller,
        span: Span,
        work: impl FnOnce() -> W + Send,
    ) -> Result<T, Status> {
        loop {
            if let Some(place) = self.enter(&caller.agency) {
                return run(place, span, work()).await;
            }
            tokio::time::sleep(ITEM_WAIT).await;
        }
    }

    fn enter(&self, agency: &AgencyCode) -> Option<Place> {
        let mut state = self.lock();
        let own = state.agencies.get(agency).copied().unwrap_or(0);
        let others = state.agencies.len() - usize::from(own > 0);
        if state.running >= state.places || own >= state.places.div_ceil(others + 2) {
            return None;
        }
        state.running += 1;
        state.most = state.most.max(state.running);
        *state.agencies.entry(agency.clone()).or_default() += 1;
        Some(Place { limit: self.clone(), agency: agency.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Half as many places as were in use, or some more than there were.
    fn adapt(&mut self, late: bool, calls_max: usize) {
        let most = std::mem::replace(&mut self.most, self.running);
        self.places = if late {
            // One agency alone uses half of the places.
            (self.places.min(2 * most) / 2).max(PLACES_MIN)
        } else {
            self.places + self.places / 16 + 1
        };
        self.places = self.places.min(calls_max);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.limit.lock();
        state.running -= 1;
        if let Some(own) = state.agencies.get_mut(&self.agency) {
            *own -= 1;
            if *own == 0 {
                state.agencies.remove(&self.agency);
            }
        }
    }
}

async fn run<T: Send + 'static>(
    place: Place,
    span: Span,
    work: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    let recording = span.clone();
    let work = async move {
        let answer = work.await;
        let code = answer.as_ref().err().map_or(Code::Ok, Status::code);
        recording.record("rpc.response.status_code", tracing::field::debug(code));
        drop(place);
        answer
    };
    tokio::spawn(work.instrument(span)).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a handler ended abnormally");
        Err(status::plain(Code::Internal, "INTERNAL", "the hub failed", "Lỗi nội bộ của trục liên thông."))
    })
}

fn too_many_calls() -> Status {
    let mut details = ErrorDetails::with_error_info(TOO_MANY_CALLS, status::DOMAIN, HashMap::new());
    details.set_retry_info(Some(RETRY_AFTER_MIN.mul_f64(1.0 + fastrand::f64())));
    details.set_localized_message("vi", "Trục đang xử lý quá nhiều yêu cầu, xin thử lại sau.");
    Status::with_error_details(Code::ResourceExhausted, "too many calls are under way; try again later", details)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(limit: &Limit, agency: &str, times: usize) -> Vec<Place> {
        let agency = agency.parse().unwrap();
        (0..times).map_while(|_| limit.enter(&agency)).collect()
    }

    #[test]
    fn a_hub_that_is_late_has_fewer_places_until_it_keeps_up() {
        let limit = Limit::new(1_000);
        let flood = enter(&limit, "H21.01", 200);
        limit.lock().adapt(true, 1_000);
        assert_eq!(limit.places(), 200, "half of what is in use and of what another agency might use");
        assert!(enter(&limit, "H21.01", 1).is_empty());
        drop(flood);
        let halves = [enter(&limit, "H21.01", 200), enter(&limit, "H21.02", 200)];
        assert_eq!(halves.each_ref().map(Vec::len), [100, 67], "the second agency has a third");
        drop(halves);
        for _ in 0..20 {
            limit.lock().adapt(true, 1_000);
        }
        assert_eq!(limit.places(), PLACES_MIN);
        for _ in 0..100 {
            limit.lock().adapt(false, 1_000);
        }
        assert_eq!(limit.places(), 1_000);
    }

    #[test]
    fn a_flood_of_one_agency_leaves_places_to_others() {
        let limit = Limit::new(12);
        let flood = enter(&limit, "H21.01", 100);
        assert_eq!(flood.len(), 6);
        let second = enter(&limit, "H21.02", 100);
        assert_eq!(second.len(), 4, "a third of all, now that there are two");
        let third = enter(&limit, "H21.03", 100);
        assert_eq!((third.len(), limit.running()), (2, 12), "what is left");
        drop((flood, second, third));
        assert_eq!(limit.running(), 0);
        assert!(limit.lock().agencies.is_empty());
    }
}
