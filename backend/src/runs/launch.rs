//! Accepting a start: everything that can be refused is refused here, before a row exists.

use std::collections::BTreeMap;

use fastflow_shared::{FieldProblem, Phase, PipelineParameter, PipelineProblem, Run, RunStatus, Trigger};
use thiserror::Error;
use tracing::Instrument as _;

use super::admission::{Full, Place};
use super::drive::Driver;
use super::live::Claim;
use super::timeline::Mark;
use super::warm::Reservation;
use super::{Runs, RunsError, Step, parse_id};
use crate::catalog::{CatalogError, Pipeline};
use crate::domain::schedules::Overrides;
use crate::domain::{env, parameters};
use crate::journal::RunId;
use crate::store::{Code, Limits, NewRun, RunRow, StoreError};

/// Seconds after which a client may try again when the queue is full.
const RETRY_AFTER: u32 = 5;

/// What is to be started.
#[derive(Clone, Default)]
pub struct Start {
    /// Plain values; shown with the run.
    pub parameters: BTreeMap<String, String>,
    /// Values that are never shown.
    pub env_vars: BTreeMap<String, String>,
    /// Who or what is behind the start.
    pub triggered_by: Option<String>,
    /// The job that fired, with its due time.
    pub firing: Option<(String, crate::domain::clock::Millis)>,
    /// What the run has instead of what its pipeline says.
    pub overrides: Overrides,
}

impl std::fmt::Debug for Start {
    /// Names without values: some are secret, and the others may be.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { parameters, env_vars, triggered_by, firing, overrides } = self;
        f.debug_struct("Start")
            .field("parameters", &parameters.keys())
            .field("env_vars", &env_vars.keys())
            .field("triggered_by", triggered_by)
            .field("firing", firing)
            .field("overrides", overrides)
            .finish()
    }
}

/// How an earlier run is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The same code, environment and parameters, with the secrets of today.
    Same,
    /// One more attempt of it, with the code of today.
    Retry,
}

/// Why a start was refused.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// There is no such pipeline.
    #[error("there is no pipeline {0:?}")]
    UnknownPipeline(String),
    /// It is switched off.
    #[error("the pipeline {name:?} is switched off {by}")]
    Disabled {
        /// Name of the pipeline.
        name: String,
        /// Where.
        by: &'static str,
    },
    /// Its files are not in order.
    #[error("the pipeline {name:?} cannot be started: {}", first_problem(problems))]
    Invalid {
        /// Name of the pipeline.
        name: String,
        /// What is wrong.
        problems: Vec<PipelineProblem>,
    },
    /// Values that no process can be given, or that the pipeline does not take.
    #[error("some values cannot be given to the run")]
    BadValues(Vec<FieldProblem>),
    /// All slots and all places in the queue are taken.
    #[error("{running} runs work and {queued} wait: the queue is full; try again in {retry_after} s")]
    QueueFull {
        /// Runs that work.
        running: usize,
        /// Runs that wait.
        queued: usize,
        /// Seconds to wait.
        retry_after: u32,
    },
    /// Docker does not answer.
    #[error("Docker is not available, so nothing can be started: {0}")]
    DockerUnavailable(String),
    /// The disk is nearly full, or holds more than it may.
    #[error("no run is started for now: {0}")]
    NoRoom(String),
    /// The server shuts down.
    #[error("the server is shutting down")]
    Closing,
    /// The run to be repeated has not ended.
    #[error("the run {0} has not ended yet")]
    NotEnded(String),
    /// The code of the run to be repeated is not kept any more.
    #[error(
        "the code of the run {0} is not kept any more; start the pipeline, or retry the run with the code of today"
    )]
    CodeGone(String),
    /// Anything below.
    #[error(transparent)]
    Room(#[from] RunsError),
}

/// A full disk is no fault of the code: who asks later may have room.
fn not_kept(error: CatalogError) -> LaunchError {
    match &error {
        CatalogError::Code { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            LaunchError::NoRoom(format!("{error}; make room on the disk of DATA_DIR"))
        }
        _ => RunsError::from(error).into(),
    }
}

impl From<StoreError> for LaunchError {
    fn from(error: StoreError) -> Self {
        Self::Room(error.into())
    }
}

fn first_problem(problems: &[PipelineProblem]) -> String {
    problems.first().map_or_else(String::new, |problem| {
        let place = problem.line.map_or_else(String::new, |line| format!(" line {line}"));
        format!("{}{place}: {}", problem.file, problem.message)
    })
}

impl Runs {
    /// Starts a pipeline, or queues the start.
    ///
    /// # Errors
    /// [`LaunchError`] says why nothing was started; no trace of the start is left then. (One exception: a database that
    /// breaks off while it stores the row, and does not answer afterwards either, may turn out to have stored it.)
    pub async fn launch(&self, pipeline: &str, trigger: Trigger, start: Start) -> Result<Run, LaunchError> {
        self.check_open().await?;
        check_values(&start)?;
        let found = self.startable(pipeline).await?;
        let id = new_id();
        let mut new = self.new_run(&found, &found.settings.parameters, id, trigger, &start).await?;
        new.triggered_by.clone_from(&start.triggered_by);
        self.accept(id, new).await
    }

    /// Starts a pipeline whose row is stored by `store`, in a transaction of the caller's; `None` when `store` says that
    /// somebody else has the start. Such a start was promised (a schedule), so the queue takes it however long it is.
    ///
    /// # Errors
    /// [`LaunchError`]; nothing is started then, and `store` was not called or has failed.
    pub async fn launch_with(
        &self,
        pipeline: &str,
        trigger: Trigger,
        start: Start,
        store: impl AsyncFnOnce(&NewRun) -> Result<bool, StoreError>,
    ) -> Result<Option<Run>, LaunchError> {
        self.check_open().await?;
        check_values(&start)?;
        let found = self.startable(pipeline).await?;
        let id = new_id();
        let mut new = self.new_run(&found, &found.settings.parameters, id, trigger, &start).await?;
        new.triggered_by.clone_from(&start.triggered_by);
        let (id, reservation) = self.with_parked(id, &mut new);
        let claim = self.claim_new(id, &new.pipeline_name);
        match store(&new).await {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => self.was_it_stored(&new, error).await?,
        }
        if let Some(reservation) = reservation {
            reservation.keep();
        }
        // Only now, when the start is ours: a rival's start must not take a place from others, not even for a moment.
        let place = self.inner.admission.enter_always(id);
        Ok(Some(self.begin(claim, new, place).await))
    }

    /// Starts an earlier run again.
    ///
    /// # Errors
    /// [`LaunchError`], also when that run has not ended.
    pub async fn launch_again(
        &self,
        run: &str,
        how: Again,
        trigger: Trigger,
        by: Option<String>,
    ) -> Result<Run, LaunchError> {
        self.check_open().await?;
        parse_id(run)?;
        let row = match self.inner.rooms.store.run(run).await {
            Err(StoreError::NotFound { .. }) => return Err(RunsError::UnknownRun(run.to_owned()).into()),
            other => other?,
        };
        if !row.status.is_final() {
            return Err(LaunchError::NotEnded(run.to_owned()));
        }
        let found = self.startable(&row.spec.pipeline_name).await?;
        let id = new_id();
        let start = Start { parameters: row.spec.parameters.clone(), triggered_by: by, ..Start::default() };
        // The same code takes what it took then, whatever today's code asks for.
        let definitions = match how {
            Again::Same => &[][..],
            Again::Retry => &found.settings.parameters[..],
        };
        let mut new = self.new_run(&found, definitions, id, trigger, &start).await?;
        new.triggered_by = start.triggered_by;
        match how {
            Again::Same => {
                let kept = row.spec.code.path.as_ref().is_some_and(|path| std::path::Path::new(path).is_dir());
                if !kept {
                    return Err(LaunchError::CodeGone(run.to_owned()));
                }
                new.code = row.spec.code;
                new.limits = row.spec.limits;
            }
            Again::Retry => {
                new.attempt = row.spec.attempt.saturating_add(1);
                new.max_attempts = new.max_attempts.max(new.attempt);
                new.retry_of = Some(row.spec.id);
            }
        }
        self.accept(id, new).await
    }

    async fn check_open(&self) -> Result<(), LaunchError> {
        if self.is_closing() {
            return Err(LaunchError::Closing);
        }
        if let Some(why) = self.starts_refused() {
            return Err(LaunchError::NoRoom(why));
        }
        // Known to be well: no need to ask. A container that cannot be created a moment later is retried with patience.
        if !self.inner.docker_ok.load(std::sync::atomic::Ordering::Relaxed)
            && let Err(error) = self.ping_docker().await
        {
            return Err(LaunchError::DockerUnavailable(error.to_string()));
        }
        Ok(())
    }

    async fn startable(&self, name: &str) -> Result<std::sync::Arc<Pipeline>, LaunchError> {
        let rooms = &self.inner.rooms;
        let Some(pipeline) = rooms.catalog.reread(name).await.map_err(RunsError::from)? else {
            return Err(LaunchError::UnknownPipeline(name.to_owned()));
        };
        if !pipeline.is_valid() {
            return Err(LaunchError::Invalid { name: name.to_owned(), problems: pipeline.problems.clone() });
        }
        if pipeline.settings.enabled == Some(false) {
            return Err(LaunchError::Disabled { name: name.to_owned(), by: "in its pipeline.json" });
        }
        // A folder that was added a moment ago is not in the database yet, and nobody has switched it off.
        match rooms.store.pipeline(name).await {
            Ok(row) if !row.enabled_by_operator => {
                return Err(LaunchError::Disabled { name: name.to_owned(), by: "by an operator" });
            }
            Ok(_) | Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(pipeline)
    }

    async fn new_run(
        &self,
        pipeline: &std::sync::Arc<Pipeline>,
        definitions: &[PipelineParameter],
        id: RunId,
        trigger: Trigger,
        start: &Start,
    ) -> Result<NewRun, LaunchError> {
        let Self { inner } = self;
        let (settings, options) = (&pipeline.settings, inner.options());
        let values =
            parameters::apply(definitions, &start.parameters, &start.env_vars).map_err(LaunchError::BadValues)?;
        let head = inner.rooms.catalog.commit_of(pipeline);
        // Kept now: the run may wait, and the folder may change meanwhile.
        let code = inner.rooms.catalog.keep_code(pipeline).await.map_err(not_kept)?;
        let own = &start.overrides;
        let attempts = own.retry_attempts.or(settings.retry_attempts).unwrap_or(options.retry_attempts);
        let timeout = own.timeout.or(settings.timeout).or(options.default_timeout).filter(|seconds| *seconds > 0);
        let to_i64 = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let sealed_env = (!start.env_vars.is_empty()).then(|| {
            // A map of texts always becomes JSON.
            inner.rooms.keyring.seal(&serde_json::to_string(&start.env_vars).unwrap_or_default())
        });
        let (job_id, due_at) = start.firing.clone().unzip();
        Ok(NewRun {
            id: id.to_string(),
            pipeline_name: pipeline.name.clone(),
            trigger,
            triggered_by: None,
            attempt: 1,
            max_attempts: i32::try_from(attempts.saturating_add(1)).unwrap_or(i32::MAX),
            retry_strategy: own.retry_strategy.clone().or_else(|| settings.retry_strategy.clone()),
            retry_of: None,
            not_before: None,
            job_id,
            due_at,
            created_at: inner.rooms.clock.now(),
            code: Code {
                commit: head.as_ref().map(|head| head.commit.clone()),
                commit_subject: head.as_ref().map(|head| head.subject.clone()),
                commit_author: head.map(|head| head.author),
                path: Some(code.to_string_lossy().into_owned()),
            },
            image: Some(options.image.clone()),
            parameters: values,
            sealed_env,
            limits: Limits {
                cpu: own.cpu_hard_limit.or(settings.cpu_hard_limit).or(options.default_cpus),
                memory: own.mem_hard_limit.or(settings.mem_hard_limit).or(options.default_memory).map(to_i64),
                cpu_soft: own.cpu_soft_limit.or(settings.cpu_soft_limit),
                memory_soft: own.mem_soft_limit.or(settings.mem_soft_limit).map(to_i64),
                timeout_seconds: timeout,
            },
            instance: Some(options.instance.clone()),
            owner: Some(inner.rooms.cluster.id().to_owned()),
        })
    }

    /// Takes a place, stores the row, and lets a task drive it.
    async fn accept(&self, id: RunId, mut new: NewRun) -> Result<Run, LaunchError> {
        let (id, reservation) = self.with_parked(id, &mut new);
        let place = self.inner.admission.enter(id).map_err(|Full { running, queued }| LaunchError::QueueFull {
            running,
            queued,
            retry_after: RETRY_AFTER,
        })?;
        let runs = self.clone();
        // In a task of its own: a caller who goes away half-way must not leave a row behind that nobody drives.
        let stored = self.spawn(async move {
            // Given back behind the claim: whoever gets the id next claims it.
            let reservation = reservation;
            let claim = runs.claim_new(id, &new.pipeline_name);
            if let Err(error) = runs.inner.rooms.store.insert_run(&new).await {
                runs.was_it_stored(&new, error).await?;
            }
            if let Some(reservation) = reservation {
                reservation.keep();
            }
            Ok(runs.begin(claim, new, place).await)
        });
        stored.await.unwrap_or(Err(LaunchError::Closing))
    }

    /// Gives the start the id of a container that waits for one, if there is any.
    fn with_parked(&self, id: RunId, new: &mut NewRun) -> (RunId, Option<Reservation>) {
        // A run that waits in the queue, or for an older code's environment, may keep it for long; others start cold then.
        let Some(reservation) = self.inner.warm.reserve() else { return (id, None) };
        new.id = reservation.run().to_string();
        (reservation.run(), Some(reservation))
    }

    /// The claim on a run that has no row yet. It comes before the row, so that whoever sees the row finds the driver: a
    /// cancellation reaches it, and a recovery leaves it alone.
    fn claim_new(&self, id: RunId, pipeline: &str) -> Claim {
        self.inner.live.claim(id, pipeline, Phase::Queued).unwrap_or_else(|| unreachable!("a new id is nobody's"))
    }

    /// After a failed insertion: a call that took too long may have been carried out all the same.
    async fn was_it_stored(&self, new: &NewRun, error: StoreError) -> Result<(), StoreError> {
        match self.inner.rooms.store.run(&new.id).await {
            Ok(_) if error.is_unavailable() => Ok(()),
            _ => Err(error),
        }
    }

    async fn begin(&self, claim: Claim, new: NewRun, place: Place) -> Run {
        claim.timeline.mark(Mark::Accepted);
        self.inner.options.steps.reach(Step::RowInserted).await;
        let row = RunRow::from(new);
        let shown = self.show(row.clone());
        self.changed(&claim, RunStatus::Pending);
        self.drive(claim, row, Some(place));
        shown
    }

    /// Lets a task drive a stored run from its beginning. Without a place it asks for one when its time has come.
    pub(in crate::runs) fn drive(&self, claim: Claim, row: RunRow, place: Option<Place>) {
        claim.set_phase(if place.is_some() { Phase::Queued } else { Phase::Waiting });
        let span = super::span_of(&claim);
        let driver = Driver::new(self.clone(), claim, row);
        self.spawn(driver.drive_from_the_beginning(place).instrument(span));
    }
}

pub(in crate::runs) fn new_id() -> RunId {
    RunId::from(uuid::Uuid::now_v7())
}

fn check_values(start: &Start) -> Result<(), LaunchError> {
    let of = |place: &str, values: &BTreeMap<String, String>| -> Vec<FieldProblem> {
        let problem = |(name, value): (&String, &String)| {
            let message = env::check(name, value).err()?.to_string();
            Some(FieldProblem { field: format!("/{place}/{}", parameters::pointer(name)), message })
        };
        values.iter().filter_map(problem).collect()
    };
    let mut problems = of("parameters", &start.parameters);
    problems.extend(of("env_vars", &start.env_vars));
    if problems.is_empty() { Ok(()) } else { Err(LaunchError::BadValues(problems)) }
}
