//! Starts pipelines by the clock. A due time is claimed in the database together with the run it starts, so it fires once
//! whatever crashes and however many servers there are.
//!
//! ```text
//! adopt      jobs of the code → stored jobs, whenever the list of pipelines is another one
//! tick       what is due → one pure step each (domain::firing) → claimed with its run in one transaction
//! edit       jobs that people make, and the pause of any job
//! outlook    what will fire, told by the same step (domain::simulate), and what did
//! ```
//! Nobody has to tell anything, and what failed is repeated by the next tick.

mod edit;
mod outlook;
mod repository;
mod show;
#[cfg(test)]
mod tests;
mod tick;

use std::sync::Arc;

use async_trait::async_trait;
use fastflow_shared::{FieldProblem, Run, Trigger as StartedBy};
use thiserror::Error;

use crate::catalog::Catalog;
use crate::domain::clock::{Millis, SharedClock};
use crate::domain::trigger::BadTrigger;
use crate::domain::zone::Zone;
use crate::runs::{LaunchError, Runs, RunsError, Start};
use crate::store::{Claim, NewRun, Store, StoreError, Take};

/// How schedules work.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names this process in the book of firings.
    pub owner: String,
    /// Zone of jobs that name none.
    pub time_zone: Zone,
}

/// What goes wrong with schedules.
#[derive(Debug, Error)]
pub enum ScheduleError {
    /// There is no such job.
    #[error("there is no job {0:?}")]
    UnknownJob(String),
    /// There is no such pipeline.
    #[error("there is no pipeline {0:?}; a job starts one that is there")]
    UnknownPipeline(String),
    /// What the job is to be cannot be.
    #[error("the job cannot be stored: {}", .0.first().map_or("", |problem| problem.message.as_str()))]
    BadJob(Vec<FieldProblem>),
    /// It stands in the repository.
    #[error(
        "the job {0:?} stands in the pipeline.json of {1:?} and is changed there; here it can be paused and started"
    )]
    InRepository(String, String),
    /// A time that is none, or that would take too long to play.
    #[error("{0}")]
    BadSpan(String),
    /// A trigger that cannot be read.
    #[error(transparent)]
    Trigger(#[from] BadTrigger),
    /// A run that somebody asked for was refused.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The runs.
    #[error(transparent)]
    Runs(#[from] RunsError),
}

/// With what a run's row is stored in one transaction.
#[derive(Clone, Copy)]
pub(crate) enum Keep<'a> {
    /// A due time is taken; the runs of these ids make room for the new one.
    Due(Claim<'a>, &'a [String]),
    /// A due time that waited begins: job, due time, the present.
    Waiting(&'a str, Millis, Millis),
    /// Somebody starts a job: job, who, the present.
    ByHand(&'a str, &'a str, Millis),
}

impl Keep<'_> {
    /// Stores it; `false` when somebody else was first.
    pub(crate) async fn store(self, store: &Store, run: &NewRun) -> Result<bool, StoreError> {
        match self {
            Self::Due(claim, replaced) => store.claim(&Claim { take: Take::Start(run, replaced), ..claim }).await,
            Self::Waiting(job, due_at, now) => store.claim_waiting(job, due_at, Take::Start(run, &[]), now).await,
            Self::ByHand(job, by, now) => store.fire_by_hand(job, run, by, now).await,
        }
    }
}

/// What starts and stops runs: [`Runs`]. A thousand simulated weeks are played with one that stores rows and no more.
#[async_trait]
pub(crate) trait Launch: Send + Sync {
    /// See [`Runs::launch_with`].
    async fn launch(
        &self,
        pipeline: &str,
        by: StartedBy,
        start: Start,
        store: &Store,
        keep: Keep<'_>,
    ) -> Result<Option<Run>, LaunchError>;

    /// See [`Runs::cancel`].
    async fn cancel(&self, run: &str, by: &str) -> Result<(), RunsError>;
}

#[async_trait]
impl Launch for Runs {
    async fn launch(
        &self,
        pipeline: &str,
        by: StartedBy,
        start: Start,
        store: &Store,
        keep: Keep<'_>,
    ) -> Result<Option<Run>, LaunchError> {
        self.launch_with(pipeline, by, start, async |run| keep.store(store, run).await).await
    }

    async fn cancel(&self, run: &str, by: &str) -> Result<(), RunsError> {
        Self::cancel(self, run, Some(by.to_owned())).await.map(drop)
    }
}

/// The handle to the schedules. Cheap to clone.
#[derive(Clone)]
pub struct Schedule {
    options: Arc<Options>,
    store: Store,
    catalog: Catalog,
    launcher: Arc<dyn Launch>,
    clock: SharedClock,
    /// Revision of the list of pipelines whose jobs are stored; 0 for none.
    adopted: Arc<tokio::sync::Mutex<u64>>,
}

impl Schedule {
    /// A scheduler; call [`Self::tick`] often.
    #[must_use]
    pub fn new(options: Options, store: Store, catalog: Catalog, runs: Runs, clock: SharedClock) -> Self {
        Self::with_launcher(options, store, catalog, Arc::new(runs), clock)
    }

    pub(crate) fn with_launcher(
        options: Options,
        store: Store,
        catalog: Catalog,
        launcher: Arc<dyn Launch>,
        clock: SharedClock,
    ) -> Self {
        Self { options: Arc::new(options), store, catalog, launcher, clock, adopted: Arc::default() }
    }

    /// The settings.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }
}
