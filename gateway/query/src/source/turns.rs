//! Turns at a source, given out fairly: agencies take turns, the lookups of one agency in the order in which they came.
//!
//! A plain queue would let one agency's flood put everybody else's calls behind it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use access::AgencyCode;
use tokio::sync::oneshot;

#[derive(Debug)]
pub(super) struct Turns {
    running_max: usize,
    waiting_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    waiting: usize,
    /// Agencies with waiting lookups, the one whose turn it is first.
    agencies: VecDeque<(AgencyCode, VecDeque<Waiter>)>,
    /// Tells waiters apart.
    next_id: u64,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
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
        (state.running, state.waiting)
    }

    /// Waits for a turn; nothing when too many wait already, of this agency or in all. Of the places in line an agency has
    /// the part it would have if one more agency came.
    pub(super) async fn take(self: &Arc<Self>, agency: &AgencyCode) -> Option<Turn> {
        let (mine, _in_line) = {
            let mut state = self.lock();
            if state.running < self.running_max {
                state.running += 1;
                return Some(Turn(Some(Arc::clone(self))));
            }
            let (called, mine) = oneshot::channel();
            let id = state.enter(agency, called, self.waiting_max)?;
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
    fn enter(&mut self, agency: &AgencyCode, called: oneshot::Sender<Turn>, waiting_max: usize) -> Option<u64> {
        let known = self.agencies.iter().position(|(waiting, _)| waiting == agency);
        let (own, others) =
            known.map_or((0, self.agencies.len()), |at| (self.agencies[at].1.len(), self.agencies.len() - 1));
        if self.waiting >= waiting_max || own >= waiting_max.div_ceil(others + 2) {
            return None;
        }
        self.next_id += 1;
        let waiter = Waiter { id: self.next_id, called };
        match known {
            Some(at) => self.agencies[at].1.push_back(waiter),
            None => self.agencies.push_back((agency.clone(), VecDeque::from([waiter]))),
        }
        self.waiting += 1;
        Some(self.next_id)
    }

    /// The oldest waiter of the agency whose turn it is.
    fn next(&mut self) -> Option<Waiter> {
        let (agency, mut waiters) = self.agencies.pop_front()?;
        let waiter = waiters.pop_front()?;
        self.waiting -= 1;
        if !waiters.is_empty() {
            self.agencies.push_back((agency, waiters));
        }
        Some(waiter)
    }

    fn leave(&mut self, agency: &AgencyCode, id: u64) {
        let Some(at) = self.agencies.iter().position(|(waiting, _)| waiting == agency) else { return };
        let waiters = &mut self.agencies[at].1;
        let before = waiters.len();
        waiters.retain(|waiter| waiter.id != id);
        self.waiting -= before - waiters.len();
        if waiters.is_empty() {
            self.agencies.remove(at);
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
        let running = turns.take(&agency(1)).await.unwrap();
        let (flood, other) = (agency(1), agency(2));
        let in_order = |agency| {
            let turns = Arc::clone(&turns);
            async move { turns.take(agency).await.map(|turn| (agency.clone(), turn)) }
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
        let _running = turns.take(&agency(1)).await.unwrap();
        let (flood, other) = (agency(1), agency(2));
        let mut waiting: Vec<_> = (0..20).map(|_| Box::pin(turns.take(&flood))).collect();
        let refused = waiting.iter_mut().filter_map(|take| take.now_or_never()).filter(Option::is_none).count();
        assert_eq!(refused, 15, "five wait");
        assert!(turns.take(&other).now_or_never().is_none(), "another agency may wait");
        // Whoever gives up makes room.
        drop(waiting);
        assert_eq!(turns.load(), (1, 0));
    }
}
