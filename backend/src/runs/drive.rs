//! One run from its place in the queue to its container's first breath.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use fastflow_shared::{ErrorType, Phase, RunStatus, WaitsFor};
use tokio::time::Instant;

use super::admission::Place;
use super::live::Claim;
use super::pump::Tap;
use super::workspace::{APP, HOME, TMP, Workspace};
use super::{Runs, Step};
use crate::catalog::read_folder;
use crate::domain::clock::Millis;
use crate::domain::env::{Merged, Source};
use crate::domain::outcome::{Outcome, StopReason};
use crate::domain::pipeline::Settings;
use crate::domain::run::Event;
use crate::engine::{
    Attachment, ContainerId, ContainerSpec, Engine, EngineError, Image, Job, Kind, Limits, Mount, OutputStream, Status,
};
use crate::environments::{CA_MOUNT, EnvironmentError, Inputs, Prepared};
use crate::store::{Facts, RunRow, UsedEnvironment};

/// First pause before Docker is asked again; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Longest pause before Docker is asked again.
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// Drives one run.
pub struct Driver {
    pub(super) runs: Runs,
    /// Nobody else drives it while this is held.
    pub(super) live: Claim,
    pub(super) row: RunRow,
}

/// Why a run did not come to start.
pub(super) enum NotStarted {
    /// It was asked to stop before.
    Stopped(StopReason),
    /// It cannot be started.
    Failed(Outcome, Option<String>),
    /// The server shuts down; the row stays PENDING and is queued again at the next start.
    Left,
}

/// How long and how often Docker is asked again.
struct Patience {
    until: Instant,
    pause: Duration,
}

/// A container that works.
pub(super) struct Begun {
    pub container: ContainerId,
    /// Its live output; `None` when it must be found first.
    pub output: Option<OutputStream>,
    pub tap: Tap,
    /// When it was started.
    pub started_at: Option<Millis>,
}

impl NotStarted {
    pub(super) fn failed(kind: ErrorType, message: impl Into<String>) -> Self {
        Self::Failed(Outcome::failed(kind, message), None)
    }
}

impl Driver {
    pub(super) fn new(runs: Runs, live: Claim, row: RunRow) -> Self {
        // A stop that was asked for before a crash still counts.
        if let Some(reason) = row.stop_reason.clone() {
            live.request_stop(reason);
        }
        Self { runs, live, row }
    }

    /// From the queue to the end.
    pub async fn from_the_beginning(self, place: Option<Place>) {
        let mut place = place;
        match self.begin(&mut place).await {
            Ok(begun) => self.follow_to_the_end(begun).await,
            Err(not_started) => self.end_unstarted(not_started).await,
        }
        // The slot is free only when nothing of the run is left.
        drop(self);
        drop(place);
    }

    async fn begin(&self, place: &mut Option<Place>) -> Result<Begun, NotStarted> {
        self.wait_for_its_time().await?;
        let place = place.get_or_insert_with(|| self.runs.inner.admission.enter_always(self.live.run));
        self.live.set_phase(Phase::Queued);
        self.unless_stopped(place.admitted()).await?;

        self.live.set_phase(Phase::Preparing);
        self.runs.changed(&self.live, RunStatus::Pending);
        let settings = self.settings().await?;
        let image = self.image().await?;
        let prepared = self.environment(&image, settings.python_version).await?;
        self.runs.inner.options.steps.reach(Step::EnvironmentReady).await;

        let env = self.variables(settings.default_env).await?;
        let workspace = self.workspace().await?;
        let spec = self.spec(&image, &prepared, &workspace);
        let job = job(&self.runs, &self.row, &prepared, env);
        let permit = self.unless_stopped(self.runs.inner.starting.acquire()).await?;
        self.live.set_phase(Phase::Starting);
        let begun = self.start_container(&spec, &job).await;
        drop(permit);
        begun
    }

    /// Waits until a retry is due. Holds no slot.
    async fn wait_for_its_time(&self) -> Result<(), NotStarted> {
        let Some(due) = self.row.spec.not_before else { return Ok(()) };
        loop {
            let wait = due.seconds_since(self.runs.inner.rooms.clock.now());
            if wait <= 0.0 {
                return Ok(());
            }
            self.live.set_phase(Phase::Waiting);
            // In slices, so that a clock that is set does not make it wait for the old time.
            let slice = Duration::from_secs_f64(wait.min(30.0));
            self.unless_stopped(tokio::time::sleep(slice)).await?;
        }
    }

    /// Waits for `work` unless the run is stopped or the server shuts down first.
    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, NotStarted> {
        tokio::select! {
            biased;
            reason = self.live.stopped() => Err(NotStarted::Stopped(reason)),
            () = self.runs.closing() => Err(NotStarted::Left),
            done = work => Ok(done),
        }
    }

    /// The worker image, looked for anew each time: somebody may have removed it, or pulled a newer one.
    async fn image(&self) -> Result<Image, NotStarted> {
        let Runs { inner } = &self.runs;
        let mut patience = self.patience();
        loop {
            match self.unless_stopped(inner.rooms.engine.ensure_image(&inner.options.image)).await? {
                Ok(image) => return Ok(image),
                Err(error) => self.bear_with(&error, &mut patience).await?,
            }
        }
    }

    /// What the very code of this run says of itself: the list of pipelines may know an older or newer one.
    async fn settings(&self) -> Result<Settings, NotStarted> {
        let folder = self.code_folder();
        let read = tokio::task::spawn_blocking(move || read_folder(&folder)).await;
        let failed = |why: String| {
            NotStarted::failed(ErrorType::Docker, format!("The pipeline's files cannot be used any more: {why}."))
        };
        match read.map_err(std::io::Error::other).flatten() {
            Ok(Some(pipeline)) => match pipeline.problems.first() {
                None => Ok(pipeline.settings),
                Some(problem) => Err(failed(format!("{}: {}", problem.file, problem.message))),
            },
            Ok(None) => Err(failed("main.py is gone".to_owned())),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    async fn environment(&self, image: &Image, python: Option<String>) -> Result<Prepared, NotStarted> {
        let rooms = &self.runs.inner.rooms;
        let folder = self.code_folder();
        let inputs = tokio::task::spawn_blocking(move || Inputs::read(&folder, python))
            .await
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(|error| {
                NotStarted::failed(ErrorType::Dependency, format!("The requirements cannot be read: {error}."))
            })?;
        let mut patience = self.patience();
        let prepared = loop {
            let waits_for = if rooms.environments.is_building(&inputs, image) {
                Some(WaitsFor::SharedInstallation)
            } else if rooms.environments.is_ready(&inputs, image).await {
                None
            } else {
                Some(WaitsFor::Installation)
            };
            self.waits_for(waits_for);
            match self.unless_stopped(rooms.environments.prepare(&inputs, image)).await? {
                Ok(prepared) => break prepared,
                Err(error) => match &*error {
                    EnvironmentError::Engine(error) => self.bear_with(error, &mut patience).await?,
                    other => return Err(environment_failure(other)),
                },
            }
        };
        let used = UsedEnvironment {
            key: Some(prepared.sealed.key.clone()),
            image_id: Some(image.id.clone()),
            uv_version: Some(prepared.sealed.uv_version.clone()),
            setup_seconds: Some(prepared.seconds),
        };
        self.waits_for(None);
        self.stored(rooms.store.set_environment(&self.row.spec.id, &used).await)?;
        Ok(prepared)
    }

    /// Tells what the run waits for.
    fn waits_for(&self, what: Option<WaitsFor>) {
        if self.live.waits_for() != what {
            self.live.set_waits_for(what);
            self.runs.changed(&self.live, RunStatus::Pending);
        }
    }

    /// The run's variables, decided now: secrets are those of this moment.
    async fn variables(&self, defaults: BTreeMap<String, String>) -> Result<Merged, NotStarted> {
        let rooms = &self.runs.inner.rooms;
        let spec = &self.row.spec;
        let vault = rooms.vault.open_for(&spec.pipeline_name).await.map_err(|error| {
            NotStarted::failed(ErrorType::Docker, format!("The secrets could not be opened: {error}."))
        })?;
        let given: BTreeMap<String, String> = match &spec.sealed_env {
            None => BTreeMap::new(),
            Some(sealed) => {
                rooms.keyring.open(sealed).ok().and_then(|text| serde_json::from_str(&text).ok()).ok_or_else(|| {
                    NotStarted::failed(
                        ErrorType::Docker,
                        "The values given with the start can no longer be opened: was ENCRYPTION_KEY changed?",
                    )
                })?
            }
        };
        let mut merged = Merged::default().with(Source::DefaultEnv, defaults);
        for variable in vault {
            merged = merged.with(variable.source, [(variable.name.clone(), variable.value.clone())]);
        }
        let merged = merged.with(Source::Start, spec.parameters.clone()).with(Source::Start, given);
        self.stored(rooms.store.set_env_names(&spec.id, &merged.names()).await)?;
        Ok(merged)
    }

    async fn workspace(&self) -> Result<Workspace, NotStarted> {
        let workspace = Workspace::of(&self.runs.inner.options.scratch_dir, self.live.run);
        let (made, code, name) = (workspace.clone(), self.code_folder(), self.row.spec.pipeline_name.clone());
        tokio::task::spawn_blocking(move || made.create(&code, &name))
            .await
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(|error| {
            NotStarted::failed(ErrorType::Docker, format!("The code could not be copied for the run: {error}."))
        })?;
        Ok(workspace)
    }

    pub(super) fn code_folder(&self) -> PathBuf {
        PathBuf::from(self.row.spec.code.path.clone().unwrap_or_default())
    }

    fn spec(&self, image: &Image, prepared: &Prepared, workspace: &Workspace) -> ContainerSpec {
        let options = &self.runs.inner.options;
        let bind = |source: PathBuf, target: &str, read_only| Mount::Bind { source, target: target.into(), read_only };
        let mut mounts = vec![bind(workspace.app(), APP, false), bind(workspace.tmp(), TMP, false)];
        mounts.extend(prepared.mounts().into_iter().map(|(folder, target)| bind(folder, &target, true)));
        if let Some(bundle) = &options.ca_bundle {
            mounts.push(bind(bundle.clone(), CA_MOUNT, true));
        }
        let limits = &self.row.spec.limits;
        ContainerSpec {
            name: container_name(self.live.run),
            kind: Kind::Run,
            image: image.id.clone(),
            user: options.worker_user.clone(),
            run_id: Some(self.row.spec.id.clone()),
            pipeline: Some(self.row.spec.pipeline_name.clone()),
            mounts,
            network: options.network.clone(),
            limits: Limits {
                cpus: limits.cpu,
                memory_bytes: limits.memory.and_then(|bytes| u64::try_from(bytes).ok()),
                pids: options.pids,
            },
        }
    }

    /// Create, attach, start, hand over the job, record: the order that loses nothing whenever we die.
    async fn start_container(&self, spec: &ContainerSpec, job: &Job) -> Result<Begun, NotStarted> {
        let Runs { inner } = &self.runs;
        let (rooms, steps) = (&inner.rooms, &inner.options.steps);
        let tap = self.open_log().await?;
        // A container that Docker's absence has spoilt: its script cannot have begun, so it makes room for another.
        let mut spoilt = None;
        let mut patience = self.patience();
        let (container, attachment) = loop {
            match self.launcher(spec, &mut spoilt).await {
                Ok(ready) => break ready,
                Err(error) => self.bear_with(&error, &mut patience).await?,
            }
        };
        let started_at = rooms.clock.now();
        steps.reach(Step::Started).await;
        let run_id = &self.row.spec.id;
        self.stored(rooms.store.set_container(run_id, container.as_str()).await)?;
        let Attachment { output, input } = attachment;
        let output = match input.send(job).await {
            Ok(()) => Some(output),
            Err(error) if error.is_unavailable() => {
                // Whether the job arrived before the connection broke only the container can tell, by how it ends.
                tracing::warn!(run = %run_id, %error, "the job of run {run_id} may not have arrived: {error}");
                None
            }
            Err(error) => return Err(docker(&error)),
        };
        steps.reach(Step::JobSent).await;

        let facts = Facts {
            container_id: Some(container.as_str().to_owned()),
            started_at: Some(started_at),
            ..Facts::default()
        };
        if let Err(error) = self.record(&[Event::Started], facts).await {
            // The run works whatever the database says: go on, and let the recorder of the end catch up.
            tracing::error!(run = %run_id, %error, "the start of run {run_id} is not recorded yet: {error}");
        }
        // A next attempt needs them again, also when another server makes it.
        if self.row.spec.sealed_env.is_some() && self.row.spec.attempt >= self.row.spec.max_attempts {
            let _ = self.stored(rooms.store.clear_sealed_env(run_id).await);
        }
        self.runs.note_docker(true);
        steps.reach(Step::Running).await;
        Ok(Begun { container, output, tap, started_at: Some(started_at) })
    }

    /// A container that is started and attached, and waits for its job. When that fails half-way, what was made of it is
    /// left in `spoilt` for the next call to remove.
    async fn launcher(
        &self,
        spec: &ContainerSpec,
        spoilt: &mut Option<ContainerId>,
    ) -> Result<(ContainerId, Attachment), EngineError> {
        let Runs { inner } = &self.runs;
        let (engine, steps) = (&inner.rooms.engine, &inner.options.steps);
        if let Some(id) = &*spoilt {
            engine.remove(id).await?;
            *spoilt = None;
        }
        if spec.network == crate::engine::Network::Own {
            engine.ensure_network().await?;
        }
        let container = create(engine.as_ref(), spec).await?;
        *spoilt = Some(container.clone());
        steps.reach(Step::ContainerCreated).await;
        let attachment = engine.attach(&container).await?;
        steps.reach(Step::Attached).await;
        engine.start(&container).await?;
        *spoilt = None;
        Ok((container, attachment))
    }

    async fn open_log(&self) -> Result<Tap, NotStarted> {
        let rooms = &self.runs.inner.rooms;
        let writer = super::finish::open_log(&rooms.journal, self.live.run).await;
        let writer = writer.map_err(|error| {
            NotStarted::failed(ErrorType::Docker, format!("The log file could not be opened: {error}."))
        })?;
        Ok(Tap::new(writer, rooms.clock.clone()))
    }

    fn patience(&self) -> Patience {
        Patience { until: Instant::now() + self.runs.inner.options.docker_patience, pause: FIRST_PAUSE }
    }

    /// After a failed call: waits until it is time to try again when Docker was away and the operator's patience is not at
    /// its end; otherwise the start has failed.
    async fn bear_with(&self, error: &EngineError, patience: &mut Patience) -> Result<(), NotStarted> {
        if !error.is_unavailable() {
            return Err(docker(error));
        }
        self.runs.note_docker(false);
        if Instant::now() + patience.pause >= patience.until {
            return Err(docker(error));
        }
        self.waits_for(Some(WaitsFor::Docker));
        self.unless_stopped(tokio::time::sleep(jittered(patience.pause))).await?;
        self.waits_for(None);
        patience.pause = (patience.pause * 2).min(MAX_PAUSE);
        Ok(())
    }

    /// Turns a failed note into a failed start: without the database nothing may be started.
    fn stored(&self, result: Result<(), crate::store::StoreError>) -> Result<(), NotStarted> {
        result.map_err(|error| {
            tracing::error!(run = %self.live.run, %error, "the database failed while a run was being started: {error}");
            NotStarted::failed(ErrorType::Docker, "The database failed while the run was being started.")
        })
    }

    async fn end_unstarted(&self, not_started: NotStarted) {
        match not_started {
            NotStarted::Left => {}
            NotStarted::Stopped(reason) => self.finish_unstarted(super::finish::stopped(reason), None).await,
            NotStarted::Failed(outcome, detail) => self.finish_unstarted(outcome, detail).await,
        }
    }
}

/// Name of a run's container.
pub(super) fn container_name(run: crate::journal::RunId) -> String {
    format!("fastflow-run-{run}")
}

/// Creates the container; one of the same name that was never started (the answer got lost, or its server died) is replaced.
async fn create(engine: &dyn Engine, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
    match engine.create(spec).await {
        Err(EngineError::Conflict { message }) => {
            let left = engine.list().await?.into_iter().find(|c| c.name == spec.name);
            match left {
                Some(container) if container.status == Status::Created => {
                    engine.remove(&container.id).await?;
                    engine.create(spec).await
                }
                _ => Err(EngineError::Conflict { message }),
            }
        }
        other => other,
    }
}

fn job(runs: &Runs, row: &RunRow, prepared: &Prepared, env: Merged) -> Job {
    let options = &runs.inner.options;
    let bin = format!("{}/bin", prepared.target());
    let mut variables: Vec<(String, String)> = [
        ("PATH", format!("{bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")),
        ("VIRTUAL_ENV", prepared.target()),
        ("HOME", HOME.to_owned()),
        ("USER", "worker".to_owned()),
        ("LOGNAME", "worker".to_owned()),
        ("TMPDIR", TMP.to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("PYTHONUNBUFFERED", "1".to_owned()),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if options.ca_bundle.is_some() {
        for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
            variables.push((name.to_owned(), CA_MOUNT.to_owned()));
        }
    }
    let pairs = env.into_pairs();
    variables.retain(|(name, _)| pairs.iter().all(|(given, _)| given != name));
    variables.extend(pairs);
    let spec = &row.spec;
    variables.push(("FASTFLOW_RUN_ID".to_owned(), spec.id.clone()));
    variables.push(("FASTFLOW_PIPELINE".to_owned(), spec.pipeline_name.clone()));
    variables.push(("FASTFLOW_ATTEMPT".to_owned(), spec.attempt.to_string()));
    variables.push(("FASTFLOW_COMMIT".to_owned(), spec.code.commit.clone().unwrap_or_default()));
    Job { argv: vec![prepared.python(), "-u".to_owned(), "main.py".to_owned()], env: variables, cwd: APP.to_owned() }
}

/// Between half of `pause` and all of it, so that many runs do not ask at the same moment.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..1.0))
}

fn docker(error: &EngineError) -> NotStarted {
    let kind = match error {
        EngineError::StartFailed { class, .. } => match class.exit_code() {
            126 => ErrorType::NotExecutable,
            127 => ErrorType::NotFound,
            _ => ErrorType::Docker,
        },
        _ => ErrorType::Docker,
    };
    NotStarted::failed(kind, format!("{error}."))
}

fn environment_failure(error: &EnvironmentError) -> NotStarted {
    match error {
        EnvironmentError::Engine(error) => docker(error),
        EnvironmentError::Dependency { summary, output } => NotStarted::Failed(
            Outcome::failed(
                ErrorType::Dependency,
                format!(
                    "The dependencies could not be installed: {summary}. Check requirements.txt; uv's full message is in the log."
                ),
            ),
            Some(output.clone()),
        ),
        other => NotStarted::failed(ErrorType::Dependency, format!("{other}.")),
    }
}
