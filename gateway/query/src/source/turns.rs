//! Turns at a source, given out fairly: agencies take turns, the lookups of one agency in the order in which they came.
//!
//! A plain queue would let one agency's flood put everybody else's calls behind it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use access::AgencyCode;
use tokio::sync::oneshot;

/// Which lookup of a call at this source it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The first: too many of these are refused at once.
    First,
    /// One of those that follow, by other numbers of the subject. To refuse it would waste what was done for the call.
    Further,
}

impl Step {
    /// How many times as many as first lookups may wait. A call asks by three further numbers at one time.
    fn times(self) -> usize {
        match self {
            Self::First => 1,
            Self::Further => 3,
        }
    }
}

/// How many there are of each [`Step`].
type Counts = [usize; 2];

#[derive(Debug)]
pub(super) struct Turns {
    running_max: usize,
    waiting_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    waiting: Counts,
    /// Agencies with waiting lookups, the one whose turn it is first.
    lines: VecDeque<Line>,
    /// Tells waiters apart.
    next_id: u64,
}

/// The waiting lookups of one agency.
#[derive(Debug)]
struct Line {
    agency: AgencyCode,
    waiters: VecDeque<Waiter>,
    waiting: Counts,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    step: Step,
    called: oneshot::Sender<Turn>,
}

/// Leave for one lookup. Dropped, it goes to the next in line.
#[derive(Debug)]
pub(super) struct Turn(Option<Arc<Turns>>);

/// Somebody in line, who may leave it.
struct InLine<'t> {
    turns: &'t Turns,
    agency: &'t AgencyCode,
    id: u64,
}

impl Turns {
    pub(super) fn new(running_max: usize, waiting_max: usize) -> Arc<Self> {
        Arc::new(Self { running_max: running_max.max(1), waiting_max, state: Mutex::default() })
    }

    /// Lookups that run and that wait.
    pub(super) fn load(&self) -> (usize, usize) {
        let state = self.lock();
        (state.running, state.waiting.iter().sum())
    }

    /// Waits for a turn; nothing when too many wait already, of this agency or in all. Of the places in line an agency has
    /// the part it would have if one more agency came.
    pub(super) async fn take(self: &Arc<Self>, agency: &AgencyCode, step: Step) -> Option<Turn> {
        let (mine, _in_line) = {
            let mut state = self.lock();
            if state.running < self.running_max {
                state.running += 1;
                return Some(Turn(Some(Arc::clone(self))));
            }
            let (called, mine) = oneshot::channel();
            let id = state.enter(agency, step, called, self.waiting_max * step.times())?;
            (mine, InLine { turns: self, agency, id })
        };
        mine.await.ok()
    }

    /// Gives a turn that has ended to the next in line.
    fn pass_on(self: Arc<Self>) {
        let mut turn = Turn(Some(self.clone()));
        loop {
            let next = {
                let mut state = self.lock();
                match state.next() {
                    Some(waiter) => waiter,
                    None => {
                        state.running -= 1;
                        turn.0 = None;
                        return;
                    }
                }
            };
            match next.called.send(turn) {
                Ok(()) => return,
                Err(unwanted) => turn = unwanted,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(
        &mut self,
        agency: &AgencyCode,
        step: Step,
        called: oneshot::Sender<Turn>,
        waiting_max: usize,
    ) -> Option<u64> {
        let known = self.lines.iter().position(|line| line.agency == *agency);
        let own = known.map_or(0, |at| self.lines[at].waiting[step as usize]);
        let others = self.lines.len() - usize::from(known.is_some());
        if self.waiting[step as usize] >= waiting_max || own >= waiting_max.div_ceil(others + 2) {
            return None;
        }
        let at = known.unwrap_or_else(|| {
            self.lines.push_back(Line { agency: agency.clone(), waiters: VecDeque::new(), waiting: [0; 2] });
            self.lines.len() - 1
        });
        self.next_id += 1;
        self.lines[at].waiters.push_back(Waiter { id: self.next_id, step, called });
        self.lines[at].waiting[step as usize] += 1;
        self.waiting[step as usize] += 1;
        Some(self.next_id)
    }

    /// The oldest waiter of the agency whose turn it is.
    fn next(&mut self) -> Option<Waiter> {
        let mut line = self.lines.pop_front()?;
        let waiter = line.waiters.pop_front()?;
        line.waiting[waiter.step as usize] -= 1;
        self.waiting[waiter.step as usize] -= 1;
        if !line.waiters.is_empty() {
            self.lines.push_back(line);
        }
        Some(waiter)
    }

    fn leave(&mut self, agency: &AgencyCode, id: u64) {
        let Some(at) = self.lines.iter().position(|line| line.agency == *agency) else { return };
        let line = &mut self.lines[at];
        let Some(left) = line.waiters.iter().position(|waiter| waiter.id == id) else { return };
        if let Some(waiter) = line.waiters.remove(left) {
            line.waiting[waiter.step as usize] -= 1;
            self.waiting[waiter.step as usize] -= 1;
        }
        if line.waiters.is_empty() {
            self.lines.remove(at);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.pass_on();
        }
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.turns.lock().leave(self.agency, self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt, stream::FuturesUnordered};

    use super::*;

    fn agency(number: usize) -> AgencyCode {
        format!("H21.{number:02}").parse().unwrap()
    }

    #[tokio::test]
    async fn agencies_take_turns_however_many_calls_one_of_them_makes() {
        let turns = Turns::new(1, 100);
        let running = turns.take(&agency(1), Step::First).await.unwrap();
        let (flood, other) = (agency(1), agency(2));
        let in_order = |agency| {
            let turns = Arc::clone(&turns);
            async move { turns.take(agency, Step::First).await.map(|turn| (agency.clone(), turn)) }
        };
        let mut waiting = FuturesUnordered::new();
        for _ in 0..40 {
            waiting.push(in_order(&flood));
        }
        assert!(waiting.next().now_or_never().is_none());
        for _ in 0..3 {
            waiting.push(in_order(&other));
        }
        assert!(waiting.next().now_or_never().is_none());
        drop(running);
        let mut served = Vec::new();
        while let Some(turn) = waiting.next().await {
            served.push(turn.unwrap().0);
        }
        let others: Vec<_> = (0..served.len()).filter(|&at| served[at] == other).collect();
        assert_eq!(others, [1, 3, 5]);
        assert_eq!(turns.load(), (0, 0));
    }

    #[tokio::test]
    async fn one_agency_does_not_fill_the_line() {
        let turns = Turns::new(1, 10);
        let _running = turns.take(&agency(1), Step::First).await.unwrap();
        let (flood, other) = (agency(1), agency(2));
        let mut waiting: Vec<_> = (0..20).map(|_| Box::pin(turns.take(&flood, Step::First))).collect();
        let refused = waiting.iter_mut().filter_map(|take| take.now_or_never()).filter(Option::is_none).count();
        assert_eq!(refused, 15, "five wait");
        assert!(turns.take(&other, Step::First).now_or_never().is_none(), "another agency may wait");
        // Whoever gives up makes room.
        drop(waiting);
        assert_eq!(turns.load(), (1, 0));
    }

    #[tokio::test]
    async fn lookups_that_follow_wait_beside_the_first_ones() {
        let turns = Turns::new(1, 10);
        let _running = turns.take(&agency(1), Step::First).await.unwrap();
        let one = agency(1);
        let refused = |step| {
            let mut waiting: Vec<_> = (0..20).map(|_| Box::pin(turns.take(&one, step))).collect();
            let refused = waiting.iter_mut().filter_map(|take| take.now_or_never()).filter(Option::is_none).count();
            (refused, waiting)
        };
        let (first, _first_wait) = refused(Step::First);
        let (further, _further_wait) = refused(Step::Further);
        assert_eq!((first, further), (15, 5), "five and fifteen wait");
        assert_eq!(turns.load(), (1, 20));
        // Others may still come.
        assert!(turns.take(&agency(2), Step::First).now_or_never().is_none());
        drop((_first_wait, _further_wait));
        assert_eq!(turns.load(), (1, 0));
    }
}
