//! Deletes runs with everything of theirs: the row and a note in one transaction, then the files, then the note. Wherever that
//! is broken off, no row is without its log, and the next pass finds by the notes what is left of the files.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fastflow_shared::{Cleanup, StorageItem};

use crate::domain::clock::SharedClock;
use crate::domain::retention::{Policy, Reason};
use crate::journal::{Journal, JournalError, RunId};
use crate::runs::{Step, Steps};
use crate::store::{EndedRun, Store, StoreError};

/// Runs that are deleted at once. Between two such batches others have their turn.
const BATCH: u32 = 100;

/// Pause between two batches.
const PAUSE: Duration = Duration::from_millis(50);

/// Most runs that are named in an answer.
const NAMED: usize = 500;

/// Age of a file that belongs to no run, before it is taken for left over.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);

/// The deletion of runs.
#[derive(Clone)]
pub struct Retention {
    store: Store,
    journal: Journal,
    clock: SharedClock,
    /// Whether somebody in this process still works for a run.
    busy: Arc<dyn Fn(RunId) -> bool + Send + Sync>,
    /// One at a time, so that what a pass reports is what it did.
    cleaning: Arc<tokio::sync::Mutex<()>>,
    /// Where a crash is tested.
    steps: Steps,
}

impl Retention {
    /// Deletes nothing yet.
    pub fn new(
        store: Store,
        journal: Journal,
        clock: SharedClock,
        busy: impl Fn(RunId) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { store, journal, clock, busy: Arc::new(busy), cleaning: Arc::default(), steps: Steps::default() }
    }

    /// Holds where the server is told to hold.
    #[must_use]
    pub fn with_steps(self, steps: Steps) -> Self {
        Self { steps, ..self }
    }

    /// What [`Self::clean`] would delete now.
    ///
    /// # Errors
    /// The database.
    pub async fn preview(&self, policy: Policy) -> Result<Cleanup, StoreError> {
        let now = self.clock.now();
        let named = u32::try_from(NAMED).unwrap_or(u32::MAX);
        let found = self.store.expired_runs(policy, now, named).await?;
        let (free, busy): (Vec<_>, Vec<_>) = found.items.into_iter().partition(|(run, _)| !self.is_busy(&run.id));
        let busy_bytes: i64 = busy.iter().filter_map(|(run, _)| run.log_bytes).sum();
        Ok(Cleanup {
            done: false,
            runs: found.runs - i64::try_from(busy.len()).unwrap_or(0),
            log_bytes: found.log_bytes - busy_bytes,
            items: free.iter().map(|(run, reason)| shown(run, reason.as_str())).collect(),
        })
    }

    /// Deletes what the policy does not keep, in small batches. Never a run that has not ended.
    ///
    /// # Errors
    /// The database. What was deleted until then is gone, and the next pass goes on.
    pub async fn clean(&self, policy: Policy) -> Result<Cleanup, StoreError> {
        let _only_one = self.cleaning.lock().await;
        let mut done = Cleanup { done: true, runs: 0, log_bytes: 0, items: Vec::new() };
        self.finish().await?;
        // By number first: which runs are the latest must not depend on what age has deleted before.
        if let Some(keep) = policy.runs {
            for pipeline in self.store.pipelines_with_runs().await? {
                while self
                    .batch(self.store.runs_beyond(&pipeline, keep, BATCH).await?, Reason::Count, &mut done)
                    .await?
                {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        if policy.days.is_some() {
            let oldest = policy.oldest(self.clock.now());
            while self.batch(self.store.runs_ended_before(oldest, BATCH).await?, Reason::Age, &mut done).await? {
                tokio::time::sleep(PAUSE).await;
            }
        }
        done.items.sort_by(|a, b| (a.last_used_at, &a.name).cmp(&(b.last_used_at, &b.name)));
        Ok(done)
    }

    /// Deletes one batch; says whether there may be more.
    async fn batch(&self, found: Vec<EndedRun>, reason: Reason, done: &mut Cleanup) -> Result<bool, StoreError> {
        let whole = found.len() == BATCH as usize;
        let runs: Vec<_> = found.into_iter().filter(|run| !self.is_busy(&run.id)).collect();
        let deleted = self.delete(&runs.iter().map(|run| run.id.clone()).collect::<Vec<_>>()).await?;
        for run in runs.iter().filter(|run| deleted.contains(&run.id)) {
            done.runs += 1;
            done.log_bytes += run.log_bytes.unwrap_or(0);
            if done.items.len() < NAMED {
                done.items.push(shown(run, reason.as_str()));
            }
        }
        Ok(whole && !deleted.is_empty())
    }

    /// Deletes those of these runs that have ended and that nobody works for, with their files. Returns their ids.
    ///
    /// # Errors
    /// The database.
    pub async fn delete(&self, ids: &[String]) -> Result<Vec<String>, StoreError> {
        let free: Vec<_> = ids.iter().filter(|id| !self.is_busy(id)).cloned().collect();
        if free.is_empty() {
            return Ok(free);
        }
        let deleted = self.store.delete_runs(&free, self.clock.now()).await?;
        self.steps.reach(Step::RowsDeleted).await;
        self.remove_files(&deleted).await?;
        Ok(deleted)
    }

    /// Removes the files of runs whose rows are gone already: what a crash has left of a deletion. Returns how many.
    ///
    /// # Errors
    /// The database.
    pub async fn finish(&self) -> Result<usize, StoreError> {
        let left = self.store.deleted_runs(1000).await?;
        self.remove_files(&left).await
    }

    async fn remove_files(&self, ids: &[String]) -> Result<usize, StoreError> {
        let mut removed = Vec::new();
        for id in ids {
            let Ok(run) = id.parse::<RunId>() else {
                removed.push(id.clone());
                continue;
            };
            match self.journal.remove(run).await {
                Ok(_) => removed.push(id.clone()),
                // The note stays, and the next pass tries again.
                Err(JournalError::Busy(_)) => {}
                Err(error) => {
                    tracing::warn!(%run, %error, "the files of the deleted run {run} cannot be removed yet: {error}");
                }
            }
        }
        if removed.is_empty() {
            return Ok(0);
        }
        self.steps.reach(Step::FilesDeleted).await;
        self.store.forget_deleted(&removed).await?;
        Ok(removed.len())
    }

    /// Removes files of runs that the database does not know: there are some after an older backup was restored. Only files
    /// that nobody has touched for a day.
    ///
    /// # Errors
    /// The database.
    pub async fn sweep_orphans(&self) -> Result<usize, StoreError> {
        let Some(before) = SystemTime::now().checked_sub(ORPHAN_AGE) else { return Ok(0) };
        let mut pieces = self.journal.settled_runs(before);
        let mut removed = 0;
        while let Some(piece) = pieces.recv().await {
            let ids: Vec<_> = piece.iter().map(ToString::to_string).collect();
            let known = self.store.known_runs(&ids).await?;
            for run in piece.into_iter().filter(|run| !known.contains(&run.to_string()) && !(self.busy)(*run)) {
                match self.journal.remove(run).await {
                    Ok(_) => removed += 1,
                    Err(error) => {
                        tracing::warn!(%run, %error, "left-over files of run {run} cannot be removed: {error}");
                    }
                }
            }
        }
        Ok(removed)
    }

    /// Whether somebody works for a run; also for what is no id of ours.
    pub fn is_busy(&self, id: &str) -> bool {
        id.parse::<RunId>().map_or(true, |run| (self.busy)(run))
    }
}

fn shown(run: &EndedRun, reason: &str) -> StorageItem {
    StorageItem {
        kind: "logs".to_owned(),
        name: run.id.clone(),
        pipeline_name: Some(run.pipeline_name.clone()),
        bytes: run.log_bytes.unwrap_or(0),
        last_used_at: run.ended_at.to_utc(),
        reason: reason.to_owned(),
        at: None,
    }
}
