//! What other servers' runs do, and what other servers ask of ours. A server looks into the database once a second while there
//! are others, and not at all while it is alone: one short question then costs less than a channel beside the database that
//! could be cut off by itself, and what is asked anew each time cannot be missed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use fastflow_shared::{LiveEvent, RunStatus};

use super::{Load, Runs, RunsError, parse_id};
use crate::domain::clock::Millis;
use crate::journal::RunId;

/// How far back the ends of runs are looked for, in seconds: longer than between two looks.
const BACK: f64 = 30.0;

/// Runs of others as they were last seen, and when that was.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<HashMap<String, RunStatus>>);

/// What a reader of a run's files must know of who writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// Another server drives it.
    Works,
    /// It has ended.
    Ended,
    /// This server drives it, or nobody does yet.
    Here,
}

impl Runs {
    /// Tells viewers what changed in other servers' runs, and stops those of ours that another server was asked to stop.
    /// Returns how much was new.
    ///
    /// # Errors
    /// The database.
    pub async fn look_at_others(&self) -> Result<usize, RunsError> {
        let rooms = &self.inner.rooms;
        let (store, cluster) = (&rooms.store, &rooms.cluster);
        if cluster.others() == 0 {
            self.inner.others.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
            return Ok(0);
        }
        let mut news = 0;
        for (run, reason) in store.stops_of(cluster.id()).await? {
            let live = parse_id(&run).ok().and_then(|id| self.inner.live.get(id));
            if let Some(live) = live.filter(|live| live.stop_reason().is_none()) {
                live.request_stop(reason);
                news += 1;
            }
        }
        let since = rooms.clock.now().plus_seconds(-BACK);
        let now = store.runs_of_others(cluster.id(), since).await?;
        let mut fresh = HashMap::new();
        let mut changed = Vec::new();
        {
            let mut seen = self.inner.others.0.lock().unwrap_or_else(PoisonError::into_inner);
            let first = seen.is_empty();
            for run in now {
                // What had ended before the first look is no news.
                if seen.get(&run.id) != Some(&run.status) && !(first && run.status.is_final()) {
                    changed.push(run.clone());
                }
                fresh.insert(run.id, run.status);
            }
            *seen = fresh;
        }
        news += changed.len();
        for run in changed {
            self.announce(LiveEvent {
                kind: "run".into(),
                id: run.id,
                pipeline_name: Some(run.pipeline_name),
                status: Some(run.status),
            });
        }
        Ok(news)
    }

    /// Who writes the files of a run.
    ///
    /// # Errors
    /// The database.
    pub async fn elsewhere(&self, run: RunId) -> Result<Elsewhere, RunsError> {
        let Self { inner } = self;
        if inner.live.get(run).is_some() || inner.rooms.cluster.others() == 0 {
            return Ok(Elsewhere::Here);
        }
        let row = inner.rooms.store.run(&run.to_string()).await?;
        if row.status.is_final() {
            return Ok(Elsewhere::Ended);
        }
        let theirs = row.spec.owner.as_deref().is_some_and(|owner| owner != inner.rooms.cluster.id());
        Ok(if theirs { Elsewhere::Works } else { Elsewhere::Here })
    }

    /// Whether this server leads, and how many others there are.
    #[must_use]
    pub fn standing(&self) -> (bool, usize) {
        let cluster = &self.inner.rooms.cluster;
        (cluster.leads(), cluster.others())
    }

    /// How many runs work and wait on all servers together.
    ///
    /// # Errors
    /// The database, which is only asked while there are others.
    pub async fn load_of_all(&self) -> Result<Load, RunsError> {
        let own = self.load();
        if self.inner.rooms.cluster.others() == 0 {
            return Ok(own);
        }
        let since = Millis(i64::MAX);
        let theirs = self.inner.rooms.store.runs_of_others(self.inner.rooms.cluster.id(), since).await?;
        let waiting = theirs.iter().filter(|run| run.status == RunStatus::Pending).count();
        Ok(Load { running: own.running + theirs.len() - waiting, queued: own.queued + waiting })
    }
}
