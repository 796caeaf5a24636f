//! Admission: how many calls are under way, and whose.
//!
//! A call runs in a task of its own, so that it is recorded even when the caller has gone; the bound is what keeps callers
//! who open and leave from piling up work. No agency takes it all: of the places it has the part it would have if one more
//! agency came. Refusals for want of a place cost next to nothing: they are counted, and the log gets one entry a second
//! for each system that met any.
//!
//! Whoever calls beside others waits for a turn while the hub does not keep up: when most of the time what is ready waits for a
//! processor, more calls run than the processors can serve, and each makes all others wait. Fewer calls of an agency then run at one time,
//! and its others wait in their places for those to end. With few turns, who took more of them lately also lets the others' calls
//! that run end first, before each of its steps. As in CoDel (RFC 8289) a moment's lateness is no overload; as a TCP sender (RFC 7661) the hub counts on no
//! more than was needed, so that a flood finds no room left from quiet times; calls that wait for a slow database keep no
//! processor busy and are given more turns as they wait; and who calls alone makes nobody wait but itself.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::ready,
    thread::available_parallelism,
    time::Duration,
};

use access::{AgencyCode, Caller};
use tokio::{
    sync::{Notify, futures::OwnedNotified, oneshot, watch},
    time::{Instant, Timeout, timeout, timeout_at},
};
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
/// How often the hub looks whether it wakes in time, and after how many looks turns are added or taken away.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
const LOOKS: usize = 10;
/// The fewest turns, for each processor: while one call waits for a disk or a database another has work for it.
const PROCESSOR_TURNS: usize = 2;
/// So many times the fewest turns are few: there are as many as long as nobody needed more, and calls give way.
const FEW_TURNS: usize = 4;
/// How long a call gives way at one of its steps: it may hold what another waits for.
const PAUSE_MAX: Duration = Duration::from_millis(10);
/// There are at least so many times as many turns as calls ran at once.
const SPARE_TURNS: usize = 4;
/// For how many of these intervals, at least, who called is one who calls.
const INTERVALS_KEPT: u32 = 5;

/// Methods of which a call takes one place. A stream takes places as its items come.
const SINGLE_CALLS: [&str; 3] = [
    "lienthong.query.v1.QueryService/Query",
    "lienthong.query.v1.QueryService/Verify",
    "lienthong.query.v1.QueryService/Search",
];

/// Bounds the calls under way.
#[derive(Clone)]
pub(crate) struct Limit {
    state: Arc<Mutex<State>>,
    /// Told whenever a call ends.
    ended: Arc<Notify>,
}

struct State {
    /// Calls that may be under way, running or waiting.
    calls_max: usize,
    /// Calls that may run while several agencies call, as the hub keeps up.
    turns: usize,
    /// Turns an agency has beside others, however late the hub is: a machine that is busy with something else makes it late,
    /// too.
    turns_min: usize,
    /// Most calls that ran at one time, and whether any waited for a turn, since the number of turns was last looked at.
    most_running: usize,
    waited: bool,
    agencies: HashMap<AgencyCode, Calls>,
    /// Turns taken since the number of turns was last looked at.
    taken: HashMap<AgencyCode, usize>,
    /// Who called since this was last begun anew, and who did before that.
    callers: [HashSet<AgencyCode>; 2],
    refused: BTreeMap<(String, String), u64>,
}

/// Calls of one agency.
#[derive(Default)]
struct Calls {
    running: usize,
    /// In the order they came.
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

impl Calls {
    fn under_way(&self) -> usize {
        self.running + self.waiting.len()
    }
}

/// A call's turn, which is the next one's when dropped.
struct Turn {
    limit: Limit,
    agency: AgencyCode,
}

/// What a call meets that comes.
enum Entry {
    Runs(Turn),
    Waits(oneshot::Receiver<Turn>),
}

impl Limit {
    pub(crate) fn new(calls_max: usize) -> Self {
        let turns_min = PROCESSOR_TURNS * available_parallelism().map_or(1, usize::from);
        let state = State {
            calls_max,
            turns: (FEW_TURNS * turns_min).min(calls_max.max(turns_min)),
            turns_min,
            most_running: 0,
            waited: false,
            agencies: HashMap::new(),
            taken: HashMap::new(),
            callers: Default::default(),
            refused: BTreeMap::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), ended: Arc::default() }
    }

    /// Lets as many calls run as the hub can serve, until told to stop: fewer while what is ready mostly waits longer than it may.
    pub(crate) async fn keep_up(self, lateness_max: Duration, mut stop: watch::Receiver<bool>) {
        let keeping_up = async {
            for interval in 1_u32.. {
                let mut late = Vec::with_capacity(LOOKS);
                for _ in 0..LOOKS {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                    // From here on, and not from when the timer was due: timers keep to whole milliseconds.
                    let ready = Instant::now();
                    tokio::task::yield_now().await;
                    late.push(ready.elapsed());
                }
                late.sort_unstable();
                let next = {
                    let mut state = self.lock();
                    state.adapt(late[(LOOKS - 1) / 2].as_secs_f64() / lateness_max.as_secs_f64());
                    if interval.is_multiple_of(INTERVALS_KEPT) {
                        state.forget_callers();
                    }
                    state.next()
                };
                self.give(next);
            }
        };
        tokio::select! {
            () = keeping_up => {}
            () = told_to_stop(&mut stop) => {}
        }
    }

    /// Calls that may run at one time beside others, as the hub keeps up now.
    pub(crate) fn turns(&self) -> usize {
        self.lock().turns
    }

    /// Calls that run.
    pub(crate) fn running(&self) -> usize {
        self.lock().running()
    }

    /// Calls that wait for a turn.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().agencies.values().map(|calls| calls.waiting.len()).sum()
    }

    /// How many calls of which agency's system were refused since this was last asked.
    pub(crate) fn take_refused(&self) -> BTreeMap<(String, String), u64> {
        std::mem::take(&mut self.lock().refused)
    }

    /// What a call of this method (`service/method`) is refused with for want of a place, before anything of it is read: what is
    /// refused in a flood takes the time of those who are served.
    pub(crate) fn refusal(&self, caller: &Caller, method: &str) -> Option<Status> {
        if !SINGLE_CALLS.contains(&method) || self.lock().has_place(&caller.agency) {
            return None;
        }
        Some(self.refuse(caller))
    }

    fn refuse(&self, caller: &Caller) -> Status {
        let system = (caller.agency.to_string(), caller.system.clone());
        *self.lock().refused.entry(system).or_default() += 1;
        too_many_calls()
    }

    /// Runs a call to its end, in its turn, or refuses it; also when its turn has not come by the deadline, and nothing was
    /// done. The work is moved several times on its way: large, it had better be boxed.
    pub(crate) async fn to_the_end<T: Send + 'static>(
        &self,
        caller: &Caller,
        deadline: Instant,
        span: Span,
        work: impl Future<Output = Result<T, Status>> + Send + 'static,
    ) -> Result<T, Status> {
        let turn = match self.enter(&caller.agency) {
            None => None,
            Some(Entry::Runs(turn)) => Some(turn),
            Some(Entry::Waits(turn)) => timeout_at(deadline, turn).await.ok().and_then(Result::ok),
        };
        let Some(turn) = turn else { return Err(self.refuse(caller)) };
        run(turn, span, work).await
    }

    /// Runs an item of a batch to its end, once there is a place for it. Its stream waits with it, and its caller with the
    /// stream.
    pub(crate) async fn in_its_turn<T: Send + 'static, W: Future<Output = Result<T, Status>> + Send + 'static>(
        &self,
        caller: &Caller,
        span: Span,
        work: impl FnOnce() -> W + Send,
    ) -> Result<T, Status> {
        let turn = loop {
            match self.enter(&caller.agency) {
                Some(Entry::Runs(turn)) => break turn,
                Some(Entry::Waits(turn)) => {
                    if let Ok(turn) = turn.await {
                        break turn;
                    }
                }
                None => tokio::time::sleep(ITEM_WAIT).await,
            }
        };
        run(turn, span, work()).await
    }

    fn enter(&self, agency: &AgencyCode) -> Option<Entry> {
        let mut state = self.lock();
        if !state.has_place(agency) {
            return None;
        }
        let calls = state.agencies.entry(agency.clone()).or_default();
        if calls.waiting.is_empty() && state.may_run(agency) {
            state.run(agency);
            return Some(Entry::Runs(Turn { limit: self.clone(), agency: agency.clone() }));
        }
        let (turn, waits) = oneshot::channel();
        state.waited = true;
        state.agencies.entry(agency.clone()).or_default().waiting.push_back(turn);
        Some(Entry::Waits(waits))
    }

    /// What a call waits for before its next step, when it gives way.
    fn pause(&self, agency: &AgencyCode) -> Option<Pin<Box<Timeout<OwnedNotified>>>> {
        // Made before anybody looks, so that no end is missed.
        let ended = Arc::clone(&self.ended).notified_owned();
        self.lock().gives_way(agency).then(|| Box::pin(timeout(PAUSE_MAX, ended)))
    }

    fn give(&self, next: Vec<(AgencyCode, oneshot::Sender<Turn>)>) {
        for (agency, waiting) in next {
            // One who has gone meanwhile drops the turn, and the next one has it.
            drop(waiting.send(Turn { limit: self.clone(), agency }));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Of the turns that are taken so many times fewer as the hub is later than it may be, at most half of them; in time, a quarter
    /// more while calls wait for turns, and otherwise back to as many as nobody needs more than.
    fn adapt(&mut self, lateness: f64) {
        let running = self.running();
        let enough = (FEW_TURNS * self.turns_min).max(SPARE_TURNS * self.most_running);
        self.turns = if lateness > 1.0 {
            (self.turns.min(running) as f64 / lateness.max(2.0)) as usize
        } else if self.waited {
            self.turns + self.turns.div_ceil(4)
        } else if self.turns < enough {
            (self.turns + self.turns.div_ceil(4)).min(enough)
        } else {
            (self.turns - self.turns / 4).max(enough)
        };
        self.turns = self.turns.clamp(self.turns_min, self.calls_max.max(self.turns_min));
        (self.most_running, self.waited) = (running, !self.agencies.values().all(|calls| calls.waiting.is_empty()));
        self.taken.clear();
    }

    fn running(&self) -> usize {
        self.agencies.values().map(|calls| calls.running).sum()
    }

    fn forget_callers(&mut self) {
        self.callers.swap(0, 1);
        self.callers[0].clear();
    }

    /// The part an agency has of what all share: as if one more agency came.
    fn part(&self, agency: &AgencyCode, whole: usize) -> usize {
        let others = self.agencies.len() - usize::from(self.agencies.contains_key(agency));
        whole.div_ceil(others + 2)
    }

    /// Whether an agency may have one more call under way. Notes that it calls.
    fn has_place(&mut self, agency: &AgencyCode) -> bool {
        let [now, _] = &mut self.callers;
        if !now.contains(agency) {
            now.insert(agency.clone());
        }
        let own = self.agencies.get(agency).map_or(0, Calls::under_way);
        let all: usize = self.agencies.values().map(Calls::under_way).sum();
        all < self.calls_max && own < self.part(agency, self.calls_max)
    }

    /// How many calls of an agency may run.
    fn turns_of(&self, agency: &AgencyCode) -> usize {
        if self.calls_alone(agency) { self.calls_max } else { self.part(agency, self.turns).max(self.turns_min) }
    }

    /// Whether no other agency calls, or did lately.
    fn calls_alone(&self, agency: &AgencyCode) -> bool {
        self.agencies.keys().chain(self.callers.iter().flatten()).all(|caller| caller == agency)
    }

    fn may_run(&self, agency: &AgencyCode) -> bool {
        let running = self.agencies.get(agency).map_or(0, |calls| calls.running);
        running < self.turns_of(agency) && !self.gives_way(agency)
    }

    /// Whether calls of others run who took fewer turns lately, while the hub hardly keeps up.
    fn gives_way(&self, agency: &AgencyCode) -> bool {
        let taken = |agency| self.taken.get(agency).copied().unwrap_or(0);
        self.turns <= FEW_TURNS * self.turns_min
            && self.agencies.iter().any(|(other, calls)| calls.running > 0 && taken(other) < taken(agency))
    }

    fn run(&mut self, agency: &AgencyCode) {
        self.agencies.entry(agency.clone()).or_default().running += 1;
        *self.taken.entry(agency.clone()).or_default() += 1;
        self.most_running = self.most_running.max(self.running());
    }

    fn take_back(&mut self, agency: &AgencyCode) {
        if let Some(calls) = self.agencies.get_mut(agency) {
            calls.running -= 1;
        }
    }

    /// Those that wait and may run now, who run from here on. Agencies without calls are forgotten.
    fn next(&mut self) -> Vec<(AgencyCode, oneshot::Sender<Turn>)> {
        let mut next = Vec::new();
        let waiting = self.agencies.iter().filter(|(_, calls)| !calls.waiting.is_empty());
        for agency in waiting.map(|(agency, _)| agency.clone()).collect::<Vec<_>>() {
            while self.may_run(&agency)
                && let Some(waiting) = self.agencies.get_mut(&agency).and_then(|calls| calls.waiting.pop_front())
            {
                if !waiting.is_closed() {
                    self.run(&agency);
                    next.push((agency.clone(), waiting));
                }
            }
        }
        self.agencies.retain(|_, calls| calls.under_way() > 0);
        next
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut state = self.limit.lock();
            state.take_back(&self.agency);
            state.next()
        };
        self.limit.give(next);
        self.limit.ended.notify_waiters();
    }
}

async fn run<T: Send + 'static>(
    turn: Turn,
    span: Span,
    work: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    let recording = span.clone();
    let work = async move {
        let answer = giving_way(&turn, work).await;
        let code = answer.as_ref().err().map_or(Code::Ok, Status::code);
        recording.record("rpc.response.status_code", tracing::field::debug(code));
        drop(turn);
        answer
    };
    tokio::spawn(work.instrument(span)).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a handler ended abnormally");
        Err(status::plain(Code::Internal, "INTERNAL", "the hub failed", "Lỗi nội bộ của trục liên thông."))
    })
}

/// Work that waits at each of its steps while its agency gives way: all tasks are alike to the runtime.
async fn giving_way<T>(turn: &Turn, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut pause = None;
    poll_fn(|context| {
        if pause.is_none() {
            pause = turn.limit.pause(&turn.agency);
        }
        if let Some(waiting) = &mut pause {
            // Whether a call ended or it waited long enough.
            let _either = ready!(waiting.as_mut().poll(context));
            pause = None;
        }
        work.as_mut().poll(context)
    })
    .await
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

    /// The calls of so many that may run, and those that wait.
    fn enter(limit: &Limit, agency: &str, times: usize) -> (Vec<Turn>, Vec<oneshot::Receiver<Turn>>) {
        let agency = agency.parse().unwrap();
        let (mut run, mut wait) = (Vec::new(), Vec::new());
        for entry in (0..times).map_while(|_| limit.enter(&agency)) {
            match entry {
                Entry::Runs(turn) => run.push(turn),
                Entry::Waits(turn) => wait.push(turn),
            }
        }
        (run, wait)
    }

    fn limit(calls_max: usize) -> Limit {
        let limit = Limit::new(calls_max);
        {
            let mut state = limit.lock();
            (state.turns_min, state.turns) = (2, calls_max);
        }
        limit
    }

    #[test]
    fn a_hub_that_is_late_lets_fewer_calls_run_beside_others() {
        let limit = limit(1_000);
        let (alone, waiting) = enter(&limit, "H21.01", 1_000);
        assert_eq!((alone.len(), waiting.len()), (500, 0), "who calls alone makes nobody wait");
        limit.lock().adapt(2.0);
        assert_eq!(limit.turns(), 250, "half of those that run");
        let (other, waiting) = enter(&limit, "H21.02", 1_000);
        assert_eq!((other.len(), waiting.len()), (84, 250), "a third of the turns, and of the places");
        drop((alone, other, waiting));
        limit.lock().adapt(2.0);
        let (first, _wait) = enter(&limit, "H21.01", 100);
        let (second, wait) = enter(&limit, "H21.02", 100);
        assert_eq!((first.len(), second.len(), wait.len()), (2, 2, 98));
        assert_eq!((limit.running(), limit.waiting()), (4, 196));
        (0..40).for_each(|_| limit.lock().adapt(0.5));
        assert_eq!(limit.turns(), 1_000, "more and more while calls wait");
        drop((first, second, wait, _wait));
        (0..40).for_each(|_| limit.lock().adapt(0.5));
        assert_eq!(limit.turns(), 2 * FEW_TURNS, "a flood finds no room left from then");
    }

    #[test]
    fn the_later_the_hub_is_the_fewer_calls_run() {
        let limit = limit(1_000);
        let _running = enter(&limit, "H21.01", 400);
        limit.lock().adapt(1.2);
        assert_eq!(limit.turns(), 200);
        limit.lock().adapt(20.0);
        assert_eq!(limit.turns(), 10);
        limit.lock().adapt(1_000.0);
        assert_eq!(limit.turns(), 2);
        limit.lock().adapt(0.5);
        assert_eq!(limit.turns(), 3);
        (0..40).for_each(|_| limit.lock().adapt(0.5));
        assert_eq!(limit.turns(), 1_000, "as many again, since four hundred run");
    }

    #[test]
    fn turns_go_to_those_who_wait_in_the_order_they_came() {
        let limit = limit(90);
        limit.lock().turns = 9;
        let _other = enter(&limit, "H21.02", 1);
        let (mut run, mut wait) = enter(&limit, "H21.01", 100);
        assert_eq!((run.len(), wait.len()), (3, 27), "a third of the turns, and of the places");
        drop(wait.remove(0));
        drop(run.pop());
        let turn = wait[0].try_recv().unwrap();
        assert!(wait[1].try_recv().is_err());
        // One whose caller goes in the moment it is given passes it on.
        drop(turn);
        assert!(wait[1].try_recv().is_ok());
        (0..20).for_each(|_| limit.lock().adapt(0.5));
        let running = run.len();
        drop(run);
        assert_eq!(running, 2);
        let given = wait[2..].iter_mut().filter_map(|turn| turn.try_recv().ok()).collect::<Vec<_>>();
        assert_eq!(given.len(), 24, "all of them, now that the hub keeps up");
        drop((given, wait));
        assert_eq!((limit.running(), limit.waiting()), (1, 0));
    }

    #[test]
    fn with_few_turns_who_took_more_lets_the_others_end_first() {
        let limit = limit(90);
        limit.lock().adapt(2.0);
        let (other, _) = enter(&limit, "H21.02", 1);
        let (mut run, mut wait) = enter(&limit, "H21.01", 6);
        assert_eq!((run.len(), wait.len()), (2, 4));
        drop(run.pop());
        assert!(wait[0].try_recv().is_err(), "it has taken two, and the other one");
        drop(other);
        let turn = wait[0].try_recv().unwrap();
        let (other, _) = enter(&limit, "H21.02", 1);
        drop(turn);
        assert!(wait[1].try_recv().is_err());
        limit.lock().adapt(2.0);
        let next = limit.lock().next();
        limit.give(next);
        assert!(wait[1].try_recv().is_ok(), "from then on it counts anew");
        drop(other);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_under_way_gives_way_at_its_next_step() {
        let limit = limit(90);
        limit.lock().adapt(2.0);
        let (mut flood, _) = enter(&limit, "H21.01", 2);
        let turn = flood.pop().unwrap();
        let (other, _) = enter(&limit, "H21.02", 1);
        let begun = Instant::now();
        let work = giving_way(&turn, async { begun.elapsed() });
        let (waited, ()) = tokio::join!(work, async {
            tokio::time::sleep(PAUSE_MAX / 2).await;
            drop(other);
        });
        assert_eq!(waited, PAUSE_MAX / 2);
        let (other, _) = enter(&limit, "H21.02", 1);
        limit.lock().taken.clear();
        assert_eq!(giving_way(&turn, async { begun.elapsed() }).await, waited, "neither has taken more");
        limit.lock().run(&turn.agency);
        assert_eq!(giving_way(&turn, async { begun.elapsed() }).await, waited + PAUSE_MAX, "it does not wait for long");
        drop(other);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_turn_does_not_come_is_refused_at_its_deadline() {
        let limit = limit(90);
        limit.lock().adapt(2.0);
        let _other = enter(&limit, "H21.02", 1);
        let _running = enter(&limit, "H21.01", 2);
        let caller = Caller { agency: "H21.01".parse().unwrap(), system: "all".to_owned() };
        let begun = Instant::now();
        let work = async { Ok::<_, Status>(()) };
        let deadline = begun + Duration::from_millis(300);
        let refused = limit.to_the_end(&caller, deadline, Span::none(), work).await.unwrap_err();
        assert_eq!((refused.code(), status::reason(&refused).as_str()), (Code::ResourceExhausted, TOO_MANY_CALLS));
        assert_eq!(begun.elapsed().as_millis() / 10, 30);
        assert_eq!(limit.take_refused().into_values().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_flood_of_one_agency_leaves_places_to_others() {
        let limit = Limit::new(12);
        let flood = enter(&limit, "H21.01", 100).0;
        assert_eq!(flood.len(), 6);
        let second = enter(&limit, "H21.02", 100).0;
        assert_eq!(second.len(), 4, "a third of all, now that there are two");
        let third = enter(&limit, "H21.03", 100).0;
        assert_eq!((third.len(), limit.running()), (2, 12), "what is left");
        drop((flood, second, third));
        assert_eq!(limit.running(), 0);
        assert!(limit.lock().agencies.is_empty());
    }
}
