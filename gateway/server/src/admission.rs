//! Admission: how many calls are under way, and whose.
//!
//! A call runs in a task of its own, so that it is recorded even when the caller has gone; the bound is what keeps callers
//! who open and leave from piling up work. No agency takes it all: of the places it has the part it would have if one more
//! agency came. Refusals for want of a place cost next to nothing: they are counted, and the log gets one entry a second
//! for each system that met any.
//!
//! Whoever calls beside others has less while the hub does not keep up: when it wakes late most of a second, more calls are
//! under way than its processors can serve, each makes all others wait, and an agency's part is that of fewer places. As in
//! CoDel (RFC 8289) a moment's lateness is no overload; calls that wait for a slow database keep no processor busy and cost
//! nobody a place; and who calls alone makes nobody wait but itself.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
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
/// Places an agency has beside others, however late the hub is: a machine that is busy with something else makes it late, too.
const PLACES_MIN: usize = 16;

/// Bounds the calls under way.
#[derive(Clone)]
pub(crate) struct Limit {
    calls_max: usize,
    state: Arc<Mutex<State>>,
}

struct State {
    /// Calls that may be under way while several agencies call, as the hub keeps up.
    places: usize,
    running: usize,
    /// Calls under way, by agency.
    agencies: HashMap<AgencyCode, usize>,
    /// Who called since places were last counted, and who did in the interval before.
    callers: [HashSet<AgencyCode>; 2],
    refused: BTreeMap<(String, String), u64>,
}

/// A place, given back when dropped.
struct Place {
    limit: Limit,
    agency: AgencyCode,
}

impl Limit {
    pub(crate) fn new(calls_max: usize) -> Self {
        let state = State {
            places: calls_max,
            running: 0,
            agencies: HashMap::new(),
            callers: Default::default(),
            refused: BTreeMap::new(),
        };
        Self { calls_max, state: Arc::new(Mutex::new(state)) }
    }

    /// Has as many places as the hub can serve, until told to stop: fewer while it mostly wakes later than it may.
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
        let part = |places: usize| places.div_ceil(others + 2);
        let mut part_max = part(self.calls_max);
        if state.calls_beside_others(agency) {
            part_max = part_max.min(part(state.places).max(PLACES_MIN));
        }
        if state.running >= self.calls_max || own >= part_max {
            return None;
        }
        state.running += 1;
        *state.agencies.entry(agency.clone()).or_default() += 1;
        Some(Place { limit: self.clone(), agency: agency.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Half as many places as there were, or twice as many.
    fn adapt(&mut self, late: bool, calls_max: usize) {
        self.places = if late { self.places / 2 } else { 2 * self.places };
        self.places = self.places.clamp(PLACES_MIN, calls_max.max(PLACES_MIN));
        self.callers.swap(0, 1);
        self.callers[0].clear();
    }

    /// Whether another agency calls, or did in the last seconds. Notes that this one does.
    fn calls_beside_others(&mut self, agency: &AgencyCode) -> bool {
        let [now, _] = &mut self.callers;
        if !now.contains(agency) {
            now.insert(agency.clone());
        }
        self.agencies.keys().chain(self.callers.iter().flatten()).any(|caller| caller != agency)
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
    fn a_hub_that_is_late_gives_an_agency_less_beside_others() {
        let limit = Limit::new(1_000);
        let late = |times| (0..times).for_each(|_| limit.lock().adapt(true, 1_000));
        late(1);
        assert_eq!(limit.places(), 500);
        let alone = enter(&limit, "H21.01", 1_000);
        assert_eq!(alone.len(), 500, "who calls alone makes nobody wait");
        let other = enter(&limit, "H21.02", 1_000);
        assert_eq!(other.len(), 167, "a third of the places, whoever holds them");
        drop(alone);
        assert_eq!(enter(&limit, "H21.01", 1_000).len(), 167);
        late(20);
        drop(other);
        let least = [enter(&limit, "H21.01", 100), enter(&limit, "H21.02", 100)];
        assert_eq!(least.each_ref().map(Vec::len), [100, PLACES_MIN], "the second calls beside the first");
        drop(least);
        (0..2).for_each(|_| limit.lock().adapt(false, 1_000));
        assert_eq!(limit.places(), 4 * PLACES_MIN);
        assert_eq!(enter(&limit, "H21.01", 1_000).len(), 500, "nobody else has called for two intervals");
        (0..10).for_each(|_| limit.lock().adapt(false, 1_000));
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
