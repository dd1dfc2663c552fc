//! What the server knows of a run that it drives right now, beyond the database: its phase, and whether it is to stop.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastflow_shared::{Phase, WaitsFor};
use tokio::sync::watch;

use crate::domain::outcome::StopReason;
use crate::journal::RunId;

/// A run that is being driven.
#[derive(Debug)]
pub struct Live {
    /// Its id.
    pub run: RunId,
    /// Its pipeline.
    pub pipeline: String,
    /// When the script last wrote anything, in ms since the epoch; 0 before.
    pub last_output: AtomicI64,
    phase: watch::Sender<Phase>,
    waits_for: Mutex<Option<WaitsFor>>,
    stop: watch::Sender<Option<StopReason>>,
}

impl Live {
    /// A run in `phase`.
    #[must_use]
    pub fn new(run: RunId, pipeline: &str, phase: Phase) -> Arc<Self> {
        Arc::new(Self {
            run,
            pipeline: pipeline.to_owned(),
            last_output: AtomicI64::new(0),
            phase: watch::Sender::new(phase),
            waits_for: Mutex::default(),
            stop: watch::Sender::new(None),
        })
    }

    /// What it is doing.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// What it waits for.
    #[must_use]
    pub fn waits_for(&self) -> Option<WaitsFor> {
        *self.waits_for.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what it waits for.
    pub fn set_waits_for(&self, what: Option<WaitsFor>) {
        *self.waits_for.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// Notes what it is doing.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Asks it to stop. The first reason counts; `false` when there was one already.
    pub fn request_stop(&self, reason: StopReason) -> bool {
        self.stop.send_if_modified(|present| {
            let first = present.is_none();
            if first {
                *present = Some(reason);
            }
            first
        })
    }

    /// Why it is to stop, if it is.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.stop.borrow().clone()
    }

    /// Waits until somebody asks it to stop.
    pub async fn stopped(&self) -> StopReason {
        let mut stop = self.stop.subscribe();
        loop {
            if let Some(reason) = stop.borrow_and_update().clone() {
                return reason;
            }
            if stop.changed().await.is_err() {
                // The sender is in `self`, so it outlives this call.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Notes that the script wrote something `at` (ms since the epoch).
    pub fn heard(&self, at: i64) {
        self.last_output.store(at, Ordering::Relaxed);
    }
}

/// All runs that are driven by this process.
#[derive(Debug, Default)]
pub struct LiveRuns(Mutex<HashMap<RunId, Arc<Live>>>);

impl LiveRuns {
    /// Adds one. `false` when it is driven already.
    pub fn add(&self, live: &Arc<Live>) -> bool {
        let mut map = self.lock();
        if map.contains_key(&live.run) {
            return false;
        }
        map.insert(live.run, live.clone());
        true
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, run: RunId) -> Option<Arc<Live>> {
        self.lock().get(&run).cloned()
    }

    /// Forgets one.
    pub fn remove(&self, run: RunId) {
        self.lock().remove(&run);
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Live>> {
        self.lock().values().cloned().collect()
    }

    /// How many runs of `pipeline` wait and work.
    #[must_use]
    pub fn count(&self, pipeline: &str) -> (usize, usize) {
        let map = self.lock();
        let of_it = map.values().filter(|live| live.pipeline == pipeline);
        of_it.fold((0, 0), |(waiting, working), live| match live.phase() {
            Phase::Waiting | Phase::Queued => (waiting + 1, working),
            Phase::Ended => (waiting, working),
            _ => (waiting, working + 1),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Arc<Live>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
