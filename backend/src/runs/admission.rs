//! Who may start: a fixed number of slots and, before them, a bounded queue that is served strictly in order.
//!
//! Everything happens under one short lock that is never held across an await, so the limit cannot be exceeded however many
//! starts arrive at once. A [`Place`] is either in the queue or holds a slot; dropping it gives up whichever it has.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::journal::RunId;

/// The queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// Runs that work.
    pub running: usize,
    /// Runs that wait.
    pub queued: usize,
}

/// How many runs work and wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Runs that hold a slot.
    pub running: usize,
    /// Runs that wait for one.
    pub queued: usize,
}

/// Slots and queue.
#[derive(Debug, Clone)]
pub struct Admission {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    slots: usize,
    places: usize,
    running: usize,
    /// Of those that hold a slot here, how many wait for the other servers.
    held_back: usize,
    /// Runs that wait, next one first. The sender is their turn.
    queue: VecDeque<(RunId, oneshot::Sender<()>)>,
}

impl Admission {
    /// `slots` runs may work at once, `places` more may wait.
    #[must_use]
    pub fn new(slots: usize, places: usize) -> Self {
        let state = State { slots: slots.max(1), places, running: 0, held_back: 0, queue: VecDeque::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Asks for a slot; the run waits in the queue when none is free.
    ///
    /// # Errors
    /// [`Full`] when no slot is free and the queue is full.
    pub fn enter(&self, run: RunId) -> Result<Place, Full> {
        self.enter_if(run, |state| state.queue.len() < state.places)
    }

    /// Like [`Self::enter`], but the queue takes it however long it is: what has been promised (a schedule, a retry, a run
    /// that waited before a crash) is never refused.
    #[must_use]
    pub fn enter_always(&self, run: RunId) -> Place {
        self.enter_if(run, |_| true).unwrap_or_else(|_| unreachable!("an unbounded queue is never full"))
    }

    /// Takes a slot at once, even beyond the limit: for a run whose container works already.
    #[must_use]
    pub fn adopt(&self, run: RunId) -> Place {
        self.lock().running += 1;
        Place { admission: self.clone(), run, turn: None }
    }

    /// Place in the queue, 1 for the next one; `None` when the run does not wait.
    #[must_use]
    pub fn position(&self, run: RunId) -> Option<usize> {
        self.lock().queue.iter().position(|(waiting, _)| *waiting == run).map(|index| index + 1)
    }

    /// How many work and wait.
    #[must_use]
    pub fn load(&self) -> Load {
        let state = self.lock();
        let held_back = state.held_back.min(state.running);
        Load { running: state.running - held_back, queued: state.queue.len() + held_back }
    }

    fn enter_if(&self, run: RunId, has_room: impl Fn(&State) -> bool) -> Result<Place, Full> {
        let mut state = self.lock();
        // Nobody overtakes: a free slot goes to the newcomer only when nobody waits for it.
        if state.running < state.slots && state.queue.is_empty() {
            state.running += 1;
            return Ok(Place { admission: self.clone(), run, turn: None });
        }
        if !has_room(&state) {
            return Err(Full { running: state.running, queued: state.queue.len() });
        }
        let (turn, wait) = oneshot::channel();
        state.queue.push_back((run, turn));
        Ok(Place { admission: self.clone(), run, turn: Some(wait) })
    }

    /// Other limits from now on. Who waits is admitted when there is room; who works or waits beyond a smaller limit stays.
    pub fn resize(&self, slots: usize, places: usize) {
        let mut state = self.lock();
        state.slots = slots.max(1);
        state.places = places;
        Self::admit(&mut state);
    }

    fn release_slot(&self) {
        let mut state = self.lock();
        state.running -= 1;
        Self::admit(&mut state);
    }

    fn admit(state: &mut State) {
        while state.running < state.slots {
            let Some((_, turn)) = state.queue.pop_front() else { break };
            // Counted here, under the lock, so that no newcomer can take the slot before the waiter wakes up.
            if turn.send(()).is_ok() {
                state.running += 1;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue, or a slot.
#[derive(Debug)]
pub struct Place {
    admission: Admission,
    run: RunId,
    /// `None` once the slot is held.
    turn: Option<oneshot::Receiver<()>>,
}

impl Place {
    /// Waits for the slot. Safe to drop and call again.
    pub async fn admitted(&mut self) {
        if let Some(turn) = &mut self.turn {
            // The sender lives in the queue until it is used, and the queue lives as long as this place.
            let _ = turn.await;
            self.turn = None;
        }
    }

    /// Says that it waits for other servers, although it has its slot here, until this is dropped.
    #[must_use]
    pub fn held_back(&self) -> HeldBack {
        self.admission.lock().held_back += 1;
        HeldBack { admission: self.admission.clone() }
    }

    /// Whether it waits.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.turn.is_some()
    }
}

/// A run that has its slot here and waits for other servers.
#[derive(Debug)]
pub struct HeldBack {
    admission: Admission,
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        self.admission.lock().held_back -= 1;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(turn) = &mut self.turn else { return self.admission.release_slot() };
        let mut state = self.admission.lock();
        state.queue.retain(|(waiting, _)| *waiting != self.run);
        // The turn may have come between the last look and this drop: the slot is ours then and must be given back.
        let was_admitted = turn.try_recv().is_ok();
        drop(state);
        if was_admitted {
            self.admission.release_slot();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> RunId {
        RunId::from(uuid::Uuid::now_v7())
    }

    #[tokio::test]
    async fn other_limits_hold_at_once_and_nobody_is_thrown_out() {
        let admission = Admission::new(1, 1);
        let (_first, mut second) = (admission.enter(id()).expect("a slot"), admission.enter(id()).expect("a place"));
        assert!(second.is_waiting() && admission.enter(id()).is_err());
        admission.resize(2, 1);
        second.admitted().await;
        assert_eq!(admission.load(), Load { running: 2, queued: 0 });
        let third = admission.enter(id()).expect("a place");
        admission.resize(1, 0);
        assert_eq!(admission.load(), Load { running: 2, queued: 1 });
        assert!(admission.enter(id()).is_err());
        drop(second);
        assert!(third.is_waiting(), "one still works, and one is the limit");
        assert_eq!(admission.load(), Load { running: 1, queued: 1 });
    }

    #[tokio::test]
    async fn the_queue_is_served_in_order() {
        let admission = Admission::new(1, 10);
        let first = admission.enter(id()).expect("free slot");
        let (b, c) = (id(), id());
        let mut second = admission.enter(b).expect("room");
        let mut third = admission.enter(c).expect("room");
        assert_eq!((admission.position(b), admission.position(c)), (Some(1), Some(2)));
        drop(first);
        second.admitted().await;
        assert_eq!((admission.position(b), admission.position(c)), (None, Some(1)));
        assert!(third.is_waiting());
        drop(second);
        third.admitted().await;
        drop(third);
        assert_eq!(admission.load(), Load { running: 0, queued: 0 });
    }

    #[tokio::test]
    async fn a_full_queue_refuses_but_not_what_was_promised() {
        let admission = Admission::new(1, 0);
        let _slot = admission.enter(id()).expect("free slot");
        assert_eq!(admission.enter(id()).expect_err("full"), Full { running: 1, queued: 0 });
        let promised = admission.enter_always(id());
        assert!(promised.is_waiting());
    }

    #[tokio::test]
    async fn leaving_the_queue_frees_nothing_and_blocks_nobody() {
        let admission = Admission::new(1, 10);
        let slot = admission.enter(id()).expect("free slot");
        let leaver = admission.enter(id()).expect("room");
        let mut stayer = admission.enter(id()).expect("room");
        drop(leaver);
        assert_eq!(admission.load(), Load { running: 1, queued: 1 });
        drop(slot);
        stayer.admitted().await;
        assert_eq!(admission.load(), Load { running: 1, queued: 0 });
    }

    #[tokio::test]
    async fn who_waits_for_other_servers_waits() {
        let admission = Admission::new(2, 10);
        let (one, _two) = (admission.enter(id()).expect("free slot"), admission.enter(id()).expect("free slot"));
        let held_back = one.held_back();
        assert_eq!(admission.load(), Load { running: 1, queued: 1 });
        assert!(admission.enter(id()).expect("room").is_waiting(), "nobody overtakes it");
        drop(held_back);
        assert_eq!(admission.load(), Load { running: 2, queued: 0 });
    }

    #[tokio::test]
    async fn a_turn_that_nobody_takes_goes_to_the_next() {
        let admission = Admission::new(1, 10);
        let slot = admission.enter(id()).expect("free slot");
        let gone = admission.enter(id()).expect("room");
        let mut next = admission.enter(id()).expect("room");
        drop(slot); // `gone` is admitted now, without knowing it yet
        drop(gone);
        next.admitted().await;
        drop(next);
        assert_eq!(admission.load(), Load { running: 0, queued: 0 });
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn fifty_at_once_never_exceed_the_limit() {
        let admission = Admission::new(10, 100);
        let most = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (admission, most) = (admission.clone(), most.clone());
                tokio::spawn(async move {
                    let mut place = admission.enter(id()).expect("room");
                    place.admitted().await;
                    most.fetch_max(admission.load().running, std::sync::atomic::Ordering::SeqCst);
                    tokio::task::yield_now().await;
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        assert!(most.load(std::sync::atomic::Ordering::SeqCst) <= 10);
        assert_eq!(admission.load(), Load { running: 0, queued: 0 });
    }

    #[tokio::test]
    async fn an_adopted_run_counts_even_beyond_the_limit() {
        let admission = Admission::new(1, 10);
        let a = admission.adopt(id());
        let b = admission.adopt(id());
        let mut waiting = admission.enter(id()).expect("room");
        drop(a);
        assert!(waiting.is_waiting() && admission.load().running == 1);
        drop(b);
        waiting.admitted().await;
    }
}
