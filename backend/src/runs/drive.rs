//! One run from its place in the queue to where its container can be started: due time, slot, environment, secrets, code.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use fastflow_shared::{ErrorType, Phase, RunStatus, WaitsFor};
use tokio::time::Instant;

use super::admission::Place;
use super::live::Claim;
use super::start::{Begun, Plan};
use super::timeline::Mark;
use super::workspace::Workspace;
use super::{Runs, Step};
use crate::catalog::read_folder;
use crate::domain::clock::Millis;
use crate::domain::outcome::{Outcome, StopReason};
use crate::domain::pipeline::Settings;
use crate::engine::{EngineError, Image, Network};
use crate::environments::{EnvironmentError, Inputs, Prepared};
use crate::store::{RunRow, UsedEnvironment};

/// First pause before Docker is asked again; it doubles up to [`MAX_PAUSE`].
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Longest pause before Docker is asked again.
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// How often it is asked whether the other servers have room for one more run.
const OTHERS_PAUSE: Duration = Duration::from_millis(500);

/// Drives one run.
pub struct Driver {
    pub(super) runs: Runs,
    /// Nobody else drives it while this is held.
    pub(super) live: Claim,
    pub(super) row: RunRow,
    /// Its environment, once that is known; stored with its container, or when it does not get that far.
    pub(super) used: OnceLock<UsedEnvironment>,
    /// When its script began.
    pub(super) started: OnceLock<Millis>,
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
pub(super) struct Patience {
    until: Instant,
    pause: Duration,
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
        Self { runs, live, row, used: OnceLock::new(), started: OnceLock::new() }
    }

    /// From the queue to the end.
    pub async fn drive_from_the_beginning(self, place: Option<Place>) {
        let mut place = place;
        match self.begin(&mut place).await {
            Ok(begun) => self.follow_to_the_end(begun).await,
            Err(not_started) => self.end_unstarted(not_started).await,
        }
        self.runs.discard_parked(self.live.run).await;
        // The slot is free only when nothing of the run is left.
        drop(self);
        drop(place);
    }

    async fn begin(&self, place: &mut Option<Place>) -> Result<Begun, NotStarted> {
        self.wait_for_its_time().await?;
        let place = place.get_or_insert_with(|| self.runs.inner.admission.enter_always(self.live.run));
        self.live.set_phase(Phase::Queued);
        self.unless_stopped(place.admitted()).await?;
        self.admitted_among_all(place).await?;
        self.live.timeline.mark(Mark::Admitted);
        let waited = self.runs.inner.rooms.clock.now().seconds_since(self.row.queued_at);
        crate::meters::run_admitted(waited);

        self.live.set_phase(Phase::Preparing);
        self.runs.changed(&self.live, RunStatus::Pending);
        // Docker is asked while our own files are read.
        let read = async { tokio::try_join!(self.settings(), self.image()) };
        let (read, has_network) = tokio::join!(read, self.network());
        let (settings, image) = read?;
        self.live.timeline.mark(Mark::Read);
        let prepared = self.environment(&image, settings.clone()).await?;
        self.live.timeline.mark(Mark::Environment);
        self.runs.inner.options.steps.reach(Step::EnvironmentReady).await;

        let workspace = self.folders().await?;
        self.live.timeline.mark(Mark::Folders);
        let spec = self.spec(&image, &prepared, &workspace);
        self.start_container(Plan { spec, settings, prepared, workspace, has_network }).await
    }

    /// Waits until the limit has room on all servers together. Alone, there is nobody to ask. Holds no container, only its
    /// place among the runs of this server, so the others' runs end whatever happens here.
    async fn admitted_among_all(&self, place: &Place) -> Result<(), NotStarted> {
        let Runs { inner } = &self.runs;
        let (store, cluster, clock) = (&inner.rooms.store, &inner.rooms.cluster, &inner.rooms.clock);
        let mut held_back = None;
        while cluster.others() > 0 {
            let most = inner.options().max_concurrent;
            match store.take_slot(&self.row.spec.id, cluster.id(), most, clock.now()).await {
                Ok(true) => break,
                Ok(false) => {}
                // Without the database nothing begins anyway.
                Err(error) => tracing::warn!(%error, "the other servers' runs cannot be counted: {error}"),
            }
            if held_back.is_none() {
                held_back = Some(place.held_back());
                self.runs.changed(&self.live, RunStatus::Pending);
            }
            self.unless_stopped(tokio::time::sleep(OTHERS_PAUSE)).await?;
        }
        Ok(())
    }

    /// Whether the network is known to be there; if not, it is made sure of before a container needs it.
    async fn network(&self) -> bool {
        let Runs { inner } = &self.runs;
        let needed = inner.options.network == Network::Own && !inner.warm.has(self.live.run);
        needed && inner.rooms.engine.ensure_network().await.is_ok()
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
    pub(super) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, NotStarted> {
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

    async fn environment(&self, image: &Image, settings: Settings) -> Result<Prepared, NotStarted> {
        let rooms = &self.runs.inner.rooms;
        let folder = self.code_folder();
        let inputs = tokio::task::spawn_blocking(move || Inputs::read(&folder, &settings))
            .await
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(|error| {
                NotStarted::failed(ErrorType::Dependency, format!("What names the packages cannot be read: {error}."))
            })?;
        if let Ok(Some(prepared)) = rooms.environments.ready(&inputs, image).await {
            let _ = self.used.set(used_environment(&prepared, image));
            return Ok(prepared);
        }
        if let Some(broken) = rooms.catalog.broken(&self.code_folder()) {
            // Found out when this code was synced: the same failure once more would only be later.
            let crate::catalog::Broken { summary, output } = broken;
            return Err(environment_failure(&EnvironmentError::Dependency { summary, output }));
        }
        let mut patience = self.patience();
        let prepared = loop {
            self.waits_for(Some(match rooms.environments.is_building(&inputs, image) {
                true => WaitsFor::SharedInstallation,
                false => WaitsFor::Installation,
            }));
            match self.unless_stopped(rooms.environments.prepare(&inputs, image)).await? {
                Ok(prepared) => break prepared,
                Err(error) => match &*error {
                    EnvironmentError::Engine(error) => self.bear_with(error, &mut patience).await?,
                    other => return Err(environment_failure(other)),
                },
            }
        };
        self.waits_for(None);
        let _ = self.used.set(used_environment(&prepared, image));
        Ok(prepared)
    }

    /// Tells what the run waits for.
    fn waits_for(&self, what: Option<WaitsFor>) {
        if self.live.waits_for() != what {
            self.live.set_waits_for(what);
            self.runs.changed(&self.live, RunStatus::Pending);
        }
    }

    /// The run's folders, for a container to mount: without code as yet.
    async fn folders(&self) -> Result<Workspace, NotStarted> {
        let workspace = Workspace::of(&self.runs.inner.options.scratch_dir, self.live.run);
        // Those that were made ahead are mounted already: they are filled, not replaced.
        if !self.runs.inner.warm.has(self.live.run) {
            let made = workspace.clone();
            on_disk(move || made.lay_out(), "Its folders could not be made").await?;
        }
        Ok(workspace)
    }

    /// Copies the code into the run's folders.
    pub(super) async fn copy_code(&self, workspace: &Workspace) -> Result<(), NotStarted> {
        let (made, code, name) = (workspace.clone(), self.code_folder(), self.row.spec.pipeline_name.clone());
        on_disk(move || made.fill(&code, &name), "The code could not be copied for the run").await
    }

    pub(super) fn code_folder(&self) -> PathBuf {
        PathBuf::from(self.row.spec.code.path.clone().unwrap_or_default())
    }

    pub(super) fn patience(&self) -> Patience {
        Patience { until: Instant::now() + self.runs.inner.options.docker_patience, pause: FIRST_PAUSE }
    }

    /// After a failed call: waits until it is time to try again when Docker was away and the operator's patience is not at
    /// its end; otherwise the start has failed.
    pub(super) async fn bear_with(&self, error: &EngineError, patience: &mut Patience) -> Result<(), NotStarted> {
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
    pub(super) fn stored(&self, result: Result<(), crate::store::StoreError>) -> Result<(), NotStarted> {
        result.map_err(|error| {
            tracing::error!(run = %self.live.run, %error, "the database failed while a run was being started: {error}");
            NotStarted::failed(ErrorType::Docker, "The database failed while the run was being started.")
        })
    }

    async fn end_unstarted(&self, not_started: NotStarted) {
        if let Some(used) = self.used.get()
            && let Err(error) = self.runs.inner.rooms.store.set_environment(&self.row.spec.id, used).await
        {
            tracing::warn!(run = %self.live.run, %error, "the environment of the run could not be noted: {error}");
        }
        match not_started {
            NotStarted::Left => {}
            NotStarted::Stopped(reason) => self.finish_unstarted(super::finish::stopped(reason), None).await,
            NotStarted::Failed(outcome, detail) => self.finish_unstarted(outcome, detail).await,
        }
    }
}

/// What a run notes of its environment.
fn used_environment(prepared: &Prepared, image: &Image) -> UsedEnvironment {
    UsedEnvironment {
        key: Some(prepared.sealed.key.clone()),
        image_id: Some(image.id.clone()),
        uv_version: Some(prepared.sealed.uv_version.clone()),
        setup_seconds: Some(prepared.seconds),
    }
}

/// Does something with files; `trouble` says what has failed if it fails.
async fn on_disk(work: impl FnOnce() -> std::io::Result<()> + Send + 'static, trouble: &str) -> Result<(), NotStarted> {
    let done = tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other).flatten();
    done.map_err(|error| NotStarted::failed(ErrorType::Docker, format!("{trouble}: {error}.")))
}

/// Between half of `pause` and all of it, so that many runs do not ask at the same moment.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..1.0))
}

pub(super) fn docker(error: &EngineError) -> NotStarted {
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
        EnvironmentError::Worker { code, .. } => {
            let kind = if *code == 126 { ErrorType::NotExecutable } else { ErrorType::NotFound };
            NotStarted::failed(kind, format!("{error}."))
        }
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
