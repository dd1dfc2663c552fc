//! One driver for all periodic chores. Each is a function without input that may run at any time: start, crash and ordinary
//! work are the same to it. The driver records what became of the last round, so that nobody has to guess.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastflow_shared::Chore as Report;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::clock::{Millis, SharedClock};
use crate::domain::tuning::Tuning;

/// Longest time that a round of a chore may take.
const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// What is told of a chore that another server does.
const NOT_OURS: &str = "another server does this";

type Round = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Something that is done again and again.
pub struct Chore {
    name: &'static str,
    description: &'static str,
    interval: Interval,
    /// When the first round is due after the start, if sooner than after the interval.
    first: Option<Duration>,
    round: Box<dyn Fn() -> Round + Send + Sync>,
    /// Whether it is for this server at this moment.
    ours: Box<dyn Fn() -> bool + Send + Sync>,
    /// One round at a time, whoever asks for it.
    alone: tokio::sync::Mutex<()>,
}

/// How long a chore waits between two rounds.
enum Interval {
    Fixed(Duration),
    /// As an admin has set it.
    Set(fn(&Tuning) -> Duration),
}

impl Chore {
    /// A chore: `round` says in words what it did, or why it could not.
    pub fn new<F, E>(
        name: &'static str,
        description: &'static str,
        interval: Duration,
        round: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: std::fmt::Display,
    {
        let round = move || -> Round {
            let work = round();
            Box::pin(async move { work.await.map_err(|error| error.to_string()) })
        };
        let interval = Interval::Fixed(interval);
        Self {
            name,
            description,
            interval,
            first: None,
            round: Box::new(round),
            ours: Box::new(|| true),
            alone: tokio::sync::Mutex::default(),
        }
    }

    /// The same with an interval that an admin may change while the server works.
    #[must_use]
    pub fn every(self, interval: fn(&Tuning) -> Duration) -> Self {
        Self { interval: Interval::Set(interval), ..self }
    }

    /// The same with its first round so soon after the start.
    #[must_use]
    pub fn first_after(self, first: Duration) -> Self {
        Self { first: Some(first), ..self }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The same, done only while `ours` says so: of several servers one does it.
    #[must_use]
    pub fn while_ours(self, ours: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { ours: Box::new(ours), ..self }
    }
}

#[derive(Debug, Clone, Default)]
struct State {
    last_run_at: Option<Millis>,
    seconds: Option<f64>,
    result: Option<String>,
    error: Option<String>,
    next_run_at: Option<Millis>,
}

/// The handle to the driver. Cheap to clone.
#[derive(Clone)]
pub struct Upkeep {
    inner: Arc<Inner>,
}

struct Inner {
    clock: SharedClock,
    tuning: watch::Receiver<Arc<Tuning>>,
    chores: Vec<Chore>,
    states: Mutex<BTreeMap<&'static str, State>>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl Upkeep {
    /// Takes the chores; none is done yet.
    #[must_use]
    pub fn new(clock: SharedClock, tuning: watch::Receiver<Arc<Tuning>>, chores: Vec<Chore>) -> Self {
        Self {
            inner: Arc::new(Inner {
                clock,
                tuning,
                chores,
                states: Mutex::default(),
                closing: CancellationToken::new(),
                tasks: TaskTracker::new(),
            }),
        }
    }

    /// Begins. The first round of each chore is due after its interval, or sooner when it says so.
    pub fn start(&self) {
        for index in 0..self.inner.chores.len() {
            let this = self.clone();
            self.inner.tasks.spawn(async move { this.drive(index).await });
        }
    }

    /// Ends; a round that is under way is given up.
    pub async fn stop(&self) {
        self.inner.closing.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// What became of each chore.
    #[must_use]
    pub fn report(&self) -> Vec<Report> {
        let states = self.inner.states.lock().unwrap_or_else(PoisonError::into_inner);
        let report = |chore: &Chore| {
            let state = states.get(chore.name).cloned().unwrap_or_default();
            Report {
                name: chore.name.to_owned(),
                description: chore.description.to_owned(),
                interval_seconds: self.interval(chore).as_secs_f64(),
                last_run_at: state.last_run_at.map(Millis::to_utc),
                last_duration_seconds: state.seconds,
                last_result: state.result,
                last_error: state.error,
                next_run_at: state.next_run_at.map(Millis::to_utc),
            }
        };
        self.inner.chores.iter().map(report).collect()
    }

    /// Does a round of this chore now and says what became of it; `None` when there is no such chore.
    pub async fn run(&self, name: &str) -> Option<Report> {
        let chore = self.inner.chores.iter().find(|chore| chore.name == name)?;
        tokio::select! {
            () = self.inner.closing.cancelled() => {}
            () = self.round(chore) => {}
        }
        self.report().into_iter().find(|report| report.name == name)
    }

    fn interval(&self, chore: &Chore) -> Duration {
        match chore.interval {
            Interval::Fixed(interval) => interval,
            Interval::Set(interval) => interval(&self.inner.tuning.borrow()),
        }
    }

    async fn drive(&self, index: usize) {
        let Inner { clock, chores, closing, tuning, .. } = &*self.inner;
        let chore = &chores[index];
        let mut tuning = tuning.clone();
        let mut first = chore.first;
        loop {
            let begin = tokio::time::Instant::now();
            loop {
                let interval = first.unwrap_or_else(|| self.interval(chore));
                let left = interval.saturating_sub(begin.elapsed());
                self.update(chore.name, |state| {
                    state.next_run_at = Some(clock.now().plus_seconds(left.as_secs_f64()));
                });
                tokio::select! {
                    () = closing.cancelled() => return,
                    () = tokio::time::sleep(left) => break,
                    // Another interval, perhaps. When nobody can change it any more, nothing comes.
                    Ok(()) = tuning.changed() => {}
                }
            }
            first = None;
            tokio::select! {
                () = closing.cancelled() => return,
                () = self.round(chore) => {}
            }
        }
    }

    async fn round(&self, chore: &Chore) {
        let _alone = chore.alone.lock().await;
        let begin = self.inner.clock.now();
        if !(chore.ours)() {
            return self.update(chore.name, |state| {
                *state =
                    State { result: Some(NOT_OURS.to_owned()), next_run_at: state.next_run_at, ..State::default() };
            });
        }
        // In a task of its own, so that a panic of one chore ends neither the driver nor the others.
        let work = tokio::spawn((chore.round)());
        let abort = work.abort_handle();
        let result = match tokio::time::timeout(DEADLINE, work).await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(format!("it broke off: {panic}")),
            Err(_) => {
                abort.abort();
                Err(format!("it took longer than {} s", DEADLINE.as_secs()))
            }
        };
        let end = self.inner.clock.now();
        self.update(chore.name, |state| {
            match &result {
                // The same failure again and again is one message, not one per round.
                Err(error) if state.error.as_ref() != Some(error) => {
                    tracing::warn!(chore = chore.name, "the chore {} failed: {error}", chore.name);
                }
                Ok(_) if state.error.is_some() => {
                    tracing::info!(chore = chore.name, "the chore {} works again", chore.name);
                }
                _ => {}
            }
            state.last_run_at = Some(end);
            state.seconds = Some(end.seconds_since(begin).max(0.0));
            state.error = result.as_ref().err().cloned();
            state.result = result.ok();
        });
    }

    fn update(&self, name: &'static str, change: impl FnOnce(&mut State)) {
        let mut states = self.inner.states.lock().unwrap_or_else(PoisonError::into_inner);
        change(states.entry(name).or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::domain::clock::ManualClock;

    #[tokio::test(start_paused = true)]
    async fn each_round_is_recorded_and_a_panic_stops_nobody() {
        let rounds = Arc::new(AtomicU32::new(0));
        let counted = rounds.clone();
        let work = move || {
            let round = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                match round {
                    0 => Ok("did it".to_owned()),
                    1 => Err("no luck"),
                    _ => panic!("broken"),
                }
            }
        };
        let clock = Arc::new(ManualClock::at(Millis(0)));
        let chores = vec![Chore::new("test", "counts", Duration::from_secs(60), work)];
        let upkeep = Upkeep::new(clock, watch::channel(Arc::new(Tuning::example())).1, chores);
        upkeep.start();
        let after = async |rounds_done: u32| {
            while rounds.load(Ordering::SeqCst) < rounds_done {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            upkeep.report().remove(0)
        };
        assert_eq!(after(1).await.last_result.as_deref(), Some("did it"));
        assert_eq!(after(2).await.last_error.as_deref(), Some("no luck"));
        assert!(after(3).await.last_error.is_some_and(|error| error.contains("broke off")));
        let _ = after(4).await;
        upkeep.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_interval_that_is_changed_holds_at_once_and_a_round_can_be_asked_for() {
        let rounds = Arc::new(AtomicU32::new(0));
        let counted = rounds.clone();
        let work = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, &str>("did it".to_owned()) }
        };
        let long = Tuning { cleanup_every: Duration::from_secs(1000), ..Tuning::example() };
        let (change, tuning) = watch::channel(Arc::new(long.clone()));
        let chore = Chore::new("test", "counts", Duration::from_secs(1), work)
            .every(|tuning| tuning.cleanup_every)
            .first_after(Duration::from_secs(5));
        let upkeep = Upkeep::new(Arc::new(ManualClock::at(Millis(0))), tuning, vec![chore]);
        upkeep.start();
        let done = || rounds.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(done(), 1, "the first one comes sooner");
        tokio::time::sleep(Duration::from_secs(500)).await;
        assert_eq!(done(), 1);
        assert_eq!(upkeep.run("test").await.and_then(|report| report.last_result).as_deref(), Some("did it"));
        assert!(upkeep.run("other").await.is_none());
        assert_eq!(done(), 2);
        change.send_replace(Arc::new(Tuning { cleanup_every: Duration::from_secs(400), ..long }));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(done(), 3, "more than the new interval has passed already");
        assert!((upkeep.report()[0].interval_seconds - 400.0).abs() < 0.1);
        upkeep.stop().await;
    }
}
