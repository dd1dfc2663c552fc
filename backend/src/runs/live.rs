//! What the server knows of a run that it drives right now, beyond the database: its phase, and whether it is to stop.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastflow_shared::{Phase, WaitsFor};
use tokio::sync::watch;

use super::timeline::Timeline;
use crate::domain::clock::Millis;
use crate::domain::outcome::StopReason;
use crate::journal::RunId;

/// A run that is being driven.
#[derive(Debug)]
pub struct Live {
    /// Its id.
    pub run: RunId,
    /// Its pipeline.
    pub pipeline: String,
    /// When it reached what.
    pub(super) timeline: Timeline,
    /// When the script last wrote anything, in ms since the epoch; 0 before.
    last_output: AtomicI64,
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
            timeline: Timeline::default(),
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

    /// Notes that the script wrote something.
    pub fn heard(&self, at: Millis) {
        self.last_output.store(at.0, Ordering::Relaxed);
    }

    /// When the script last wrote anything that we heard.
    #[must_use]
    pub fn last_output(&self) -> Option<Millis> {
        Some(Millis(self.last_output.load(Ordering::Relaxed))).filter(|at| at.0 > 0)
    }
}

/// All runs that are driven by this process. Clones are the same list.
#[derive(Debug, Default, Clone)]
pub struct LiveRuns(Arc<Mutex<HashMap<RunId, Arc<Live>>>>);

/// The right to drive a run, which only one task of this process has at a time. However that task ends (a panic included),
/// dropping this gives it up, so that a recovery can take the run up again.
#[derive(Debug)]
pub struct Claim {
    live: Arc<Live>,
    all: LiveRuns,
}

impl Deref for Claim {
    type Target = Live;

    fn deref(&self) -> &Live {
        &self.live
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.all.lock().remove(&self.live.run);
    }
}

impl LiveRuns {
    /// The right to drive a run that is in `phase`; `None` when somebody has it.
    #[must_use]
    pub fn claim(&self, run: RunId, pipeline: &str, phase: Phase) -> Option<Claim> {
        let mut map = self.lock();
        if map.contains_key(&run) {
            return None;
        }
        let live = Live::new(run, pipeline, phase);
        map.insert(run, live.clone());
        Some(Claim { live, all: self.clone() })
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, run: RunId) -> Option<Arc<Live>> {
        self.lock().get(&run).cloned()
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
