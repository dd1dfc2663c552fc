//! Starts pipelines by the clock. A due time is claimed in the database together with the run it starts, so it fires once
//! whatever crashes and however many servers there are.
//!
//! Jobs come from the `pipeline.json` files: whenever the list of pipelines is another one, they are taken over from it.
//! Nobody has to tell, and what failed is repeated by the next tick. Due times that passed while no server was running are
//! caught up with one run.

use std::sync::Arc;

use fastflow_shared::{Job, Trigger as StartedBy};
use thiserror::Error;

use crate::catalog::{Catalog, Pipeline};
use crate::domain::clock::{Millis, SharedClock};
use crate::domain::trigger::Trigger;
use crate::runs::{LaunchError, Runs, RunsError, Start};
use crate::store::{Claim, JobRow, NewJob, REPOSITORY, Store, StoreError};

/// Most jobs that are looked at in one go.
const BATCH: u32 = 200;

/// What goes wrong with schedules.
#[derive(Debug, Error)]
pub enum ScheduleError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Starting the run.
    #[error(transparent)]
    Runs(#[from] RunsError),
}

/// The handle to the schedules. Cheap to clone.
#[derive(Clone)]
pub struct Schedule {
    store: Store,
    catalog: Catalog,
    runs: Runs,
    clock: SharedClock,
    /// Names this process in the book of firings.
    owner: String,
    /// Revision of the list of pipelines whose jobs are stored; 0 for none.
    adopted: Arc<tokio::sync::Mutex<u64>>,
}

impl Schedule {
    /// A scheduler; call [`Self::tick`] often.
    #[must_use]
    pub fn new(store: Store, catalog: Catalog, runs: Runs, clock: SharedClock, owner: String) -> Self {
        Self { store, catalog, runs, clock, owner, adopted: Arc::default() }
    }

    /// Makes the stored jobs of the repository equal to what the pipelines' files say, when the list of pipelines is not the
    /// one that they were last taken from.
    async fn adopt_repository_jobs(&self) -> Result<(), ScheduleError> {
        // Held all the while, so that an older list is never stored over a newer one.
        let mut adopted = self.adopted.lock().await;
        let snapshot = self.catalog.snapshot();
        if snapshot.revision == *adopted {
            return Ok(());
        }
        let now = self.clock.now();
        let jobs: Vec<NewJob> =
            snapshot.pipelines.values().flat_map(|pipeline| repository_jobs(pipeline, now)).collect();
        self.store.upsert_repository_jobs(&jobs, now).await?;
        *adopted = snapshot.revision;
        Ok(())
    }

    /// Fires what is due. Returns how many runs were started.
    ///
    /// # Errors
    /// The database, or the first job whose code cannot be read or kept; what was not claimed is still due at the next tick.
    pub async fn tick(&self) -> Result<usize, ScheduleError> {
        self.adopt_repository_jobs().await?;
        let now = self.clock.now();
        let (mut fired, mut failed) = (0, None);
        for row in self.store.due(now, BATCH).await? {
            match self.fire(&row, now).await {
                Ok(begun) => fired += usize::from(begun),
                // The database would fail for the others as well, and each could wait for its deadline.
                Err(error @ (ScheduleError::Store(_) | ScheduleError::Runs(RunsError::Store(_)))) => return Err(error),
                // Code that cannot be read or kept is the fault of that pipeline: the others have their turn.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(fired), Err)
    }

    async fn fire(&self, row: &JobRow, now: Millis) -> Result<bool, ScheduleError> {
        let (job, Some(due_at)) = (&row.job, row.job.next_run_at) else { return Ok(false) };
        // From now on, not from the due time: what was missed meanwhile is caught up with this one run.
        let next = Trigger::parse(&job.trigger_type, &job.trigger_value, &job.time_zone)
            .ok()
            .and_then(|trigger| trigger.next_after(now.max(due_at)));
        let start = Start {
            parameters: job.parameters.clone(),
            triggered_by: job.source_id.clone().or_else(|| Some(job.id.clone())),
            firing: Some((job.id.clone(), due_at)),
            ..Start::default()
        };
        let claim = Claim { job_id: &job.id, due_at, next, by: &self.owner, now, run: None, result: None };
        let result = self
            .runs
            .launch_with(&job.pipeline_name, StartedBy::Schedule, start, async |run| {
                self.store.claim(&Claim { run: Some(run), ..claim }).await
            })
            .await;
        match result {
            Ok(Some(_)) => Ok(true),
            // Another server has it; or Docker is away or we shut down, and it stays due.
            Ok(None) | Err(LaunchError::DockerUnavailable(_) | LaunchError::Closing) => Ok(false),
            Err(LaunchError::Room(error)) => Err(error.into()),
            Err(refused) => {
                let why = refused.to_string();
                tracing::warn!(
                    job = job.id,
                    pipeline = job.pipeline_name,
                    "a scheduled run could not be started: {why}"
                );
                self.store.claim(&Claim { result: Some(&why), ..claim }).await?;
                Ok(false)
            }
        }
    }

    /// All jobs.
    ///
    /// # Errors
    /// The database.
    pub async fn jobs(&self) -> Result<Vec<Job>, ScheduleError> {
        // Whoever has just synced expects to see the jobs of that code.
        self.adopt_repository_jobs().await?;
        let snapshot = self.catalog.snapshot();
        let jobs = self.store.jobs().await?.into_iter().map(|row| {
            let problem = row.job.problem.clone().or_else(|| match snapshot.pipelines.get(&row.job.pipeline_name) {
                None => Some("its pipeline is gone".to_owned()),
                Some(pipeline) if !pipeline.is_valid() => Some("its pipeline is invalid".to_owned()),
                Some(_) => None,
            });
            Job {
                id: row.job.id,
                pipeline_name: row.job.pipeline_name,
                trigger_type: row.job.trigger_type,
                trigger_value: row.job.trigger_value,
                enabled: row.job.enabled,
                source: row.job.source,
                next_run_at: row.job.next_run_at.filter(|_| row.job.enabled).map(Millis::to_utc),
                last_run_at: row.last_run_at.map(Millis::to_utc),
                last_run_id: row.last_run_id,
                problem,
            }
        });
        Ok(jobs.collect())
    }
}

fn repository_jobs(pipeline: &Pipeline, now: Millis) -> Vec<NewJob> {
    let settings = &pipeline.settings;
    let cron = settings.schedule_cron.clone().map(|text| ("cron", text));
    let interval = settings.schedule_interval_seconds.map(|seconds| ("interval", seconds.to_string()));
    cron.into_iter()
        .chain(interval)
        .map(|(kind, value)| {
            let trigger = Trigger::parse(kind, &value, "UTC");
            NewJob {
                id: uuid::Uuid::now_v7().to_string(),
                pipeline_name: pipeline.name.clone(),
                trigger_type: kind.to_owned(),
                trigger_value: value,
                time_zone: "UTC".to_owned(),
                enabled: true,
                source: REPOSITORY.to_owned(),
                source_id: Some(format!("{}#{kind}", pipeline.name)),
                start_at: None,
                end_at: None,
                catch_up: "latest".to_owned(),
                overlap: "allow".to_owned(),
                max_instances: None,
                parameters: std::collections::BTreeMap::new(),
                next_run_at: trigger.as_ref().ok().and_then(|trigger| trigger.next_after(now)),
                problem: trigger.err().map(|error| error.to_string()),
            }
        })
        .collect()
}
