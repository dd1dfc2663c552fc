//! The heart: accepts starts, drives each run to a true end, and finds runs again after a crash.
//!
//! ```text
//! launch    checks → a place (slot or queue) → row PENDING → a task that drives it
//! drive     environment → secrets (variables) → workspace
//! start     container: create, attach, start, job → RUNNING
//! warm      containers that were started ahead, for starts without the wait
//! follow    waits for the exit and enforces what may end it: stop, timeout, silence, shutdown
//! listen    beside it: output → log, gone on with wherever it breaks
//! finish    outcome decided once → recorded with the counters and the next attempt → container removed → slot free
//! recover   containers and rows are matched; each run goes on where it stands, through the same follow and finish
//! ```
//! One task per run; everything that can stop a run goes through [`live::Live::request_stop`], and the first reason counts.

mod admission;
mod disk;
mod drive;
mod finish;
mod follow;
mod launch;
mod listen;
mod live;
mod others;
mod pump;
mod recover;
mod sampler;
mod start;
mod steps;
#[cfg(test)]
mod tests;
mod timeline;
mod variables;
mod view;
mod warm;
mod workspace;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use fastflow_shared::{LiveEvent, Phase, RunStatus};
use thiserror::Error;
use tokio::sync::{Semaphore, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::catalog::{Catalog, CatalogError};
use crate::cluster::Cluster;
use crate::crypto::Keyring;
use crate::domain::clock::SharedClock;
use crate::domain::outcome::StopReason;
use crate::domain::tuning::Tuning;
use crate::engine::{Engine, EngineError, Network, Swept};
use crate::environments::Environments;
use crate::journal::{Journal, JournalError, RunId};
use crate::store::{Store, StoreError};
use crate::vault::{Vault, VaultError};

pub use admission::{Admission, Load};
pub use disk::Disk;
pub use launch::{Again, LaunchError, Start};
pub use live::{Claim, Live, LiveRuns};
pub use others::Elsewhere;
pub use pump::{Tap, Veil};
pub use recover::Recovery;
pub use steps::{Step, Steps};
pub use warm::WarmPool;

/// How runs are run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of this installation; its containers carry it.
    pub instance: String,
    /// Folder for the private views of runs.
    pub scratch_dir: PathBuf,
    /// Worker image.
    pub image: String,
    /// `uid:gid` that scripts run as.
    pub worker_user: String,
    /// Network of runs.
    pub network: Network,
    /// PEM file with certificate authorities that scripts trust.
    pub ca_bundle: Option<PathBuf>,
    /// Most runs that work at once.
    pub max_concurrent: usize,
    /// Most runs that wait.
    pub max_queued: usize,
    /// Most containers that are started at the same moment: beyond a few only latency grows.
    pub max_starting: usize,
    /// Seconds after which a run is killed when its pipeline does not say; `None` is never.
    pub default_timeout: Option<i64>,
    /// Cores for pipelines without a limit of their own.
    pub default_cpus: Option<f64>,
    /// Bytes of memory for pipelines without a limit of their own.
    pub default_memory: Option<u64>,
    /// Most processes and threads of a run.
    pub pids: Option<u32>,
    /// Attempts after a failed one when the pipeline does not say.
    pub retry_attempts: u32,
    /// Time between SIGTERM and SIGKILL.
    pub cancel_grace: Duration,
    /// Silence after which a run is given up; `None` is never.
    pub silence_limit: Option<Duration>,
    /// How often a working run is looked at.
    pub health_interval: Duration,
    /// Whether a shutdown stops the runs instead of leaving them to the next start.
    pub stop_on_shutdown: bool,
    /// How long a start waits for Docker to come back.
    pub docker_patience: Duration,
    /// How many containers are started ahead; 0 for none.
    pub warm_containers: usize,
    /// Free bytes of the disk below which nothing is started; 0 for none.
    pub min_free_bytes: u64,
    /// Where to hold for a crash test.
    pub steps: Steps,
}

/// What goes wrong inside of this room.
#[derive(Debug, Error)]
pub enum RunsError {
    /// There is no such run.
    #[error("there is no run {0}")]
    UnknownRun(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The list of pipelines.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Docker.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Run files.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Files of this machine.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
}

/// The rooms below that a run needs.
#[derive(Clone)]
pub struct Rooms {
    /// The database.
    pub store: Store,
    /// The servers that work on it.
    pub cluster: Cluster,
    /// Run files.
    pub journal: Journal,
    /// Docker.
    pub engine: Arc<dyn Engine>,
    /// The list of pipelines.
    pub catalog: Catalog,
    /// Sealed environments.
    pub environments: Environments,
    /// Secrets and parameters.
    pub vault: Vault,
    /// Keys, for values that are given with a start.
    pub keyring: Arc<Keyring>,
    /// Time.
    pub clock: SharedClock,
}

/// The handle to all runs. Cheap to clone.
#[derive(Clone)]
pub struct Runs {
    inner: Arc<Inner>,
}

struct Inner {
    /// As at the start. What can be changed since is to be read from `tuned`.
    options: Options,
    /// As they hold now.
    tuned: RwLock<Arc<Options>>,
    /// Why no run is started for now, besides what each start finds out.
    refusing: Mutex<Option<String>>,
    rooms: Rooms,
    admission: Admission,
    live: LiveRuns,
    starting: Semaphore,
    warm: Arc<warm::Warm>,
    events: broadcast::Sender<LiveEvent>,
    tasks: TaskTracker,
    /// Set when the server shuts down: nothing new is admitted, and what has not started stays where it is.
    closing: CancellationToken,
    /// Set a little later, when runs have had their time to stop: drivers let go of their containers.
    letting_go: CancellationToken,
    /// How to end the tasks as a crash would.
    #[cfg(test)]
    spawned: Mutex<Vec<tokio::task::AbortHandle>>,
    /// Whether Docker answered when it was last asked.
    docker_ok: AtomicBool,
    /// What was last seen of runs that other servers drive.
    others: others::Seen,
}

impl Runs {
    /// Nothing runs yet; call [`Self::recover`] to find what ran before.
    ///
    /// # Errors
    /// [`RunsError::Io`] when the scratch folder cannot be made.
    pub fn new(options: Options, rooms: Rooms) -> Result<Self, RunsError> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&options.scratch_dir)
            .map_err(|source| RunsError::Io { what: "making the scratch folder", source })?;
        let (events, _) = broadcast::channel(1024);
        Ok(Self {
            inner: Arc::new(Inner {
                admission: Admission::new(options.max_concurrent, options.max_queued),
                starting: Semaphore::new(options.max_starting.max(1)),
                live: LiveRuns::default(),
                warm: Arc::default(),
                events,
                tasks: TaskTracker::new(),
                closing: CancellationToken::new(),
                letting_go: CancellationToken::new(),
                #[cfg(test)]
                spawned: Mutex::default(),
                docker_ok: AtomicBool::new(true),
                tuned: RwLock::new(Arc::new(options.clone())),
                others: others::Seen::default(),
                options,
                refusing: Mutex::default(),
                rooms,
            }),
        })
    }

    /// The settings that hold.
    #[must_use]
    pub fn options(&self) -> Arc<Options> {
        self.inner.options()
    }

    /// Takes over what an admin has changed, at once: who waits is admitted if there is room now, and what is decided at a
    /// start holds for the next one.
    pub fn retune(&self, tuning: &Tuning) {
        let Inner { tuned, admission, warm, .. } = &*self.inner;
        Arc::make_mut(&mut tuned.write().unwrap_or_else(PoisonError::into_inner)).tune(tuning);
        admission.resize(tuning.max_concurrent, tuning.max_queued);
        warm.wake();
    }

    /// From now on no run is started, for this reason; `None` lets them start again.
    pub fn refuse_starts(&self, why: Option<String>) {
        let mut refusing = self.inner.refusing.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*refusing, &why) {
            (None, Some(why)) => tracing::error!("no run is started any more: {why}"),
            (Some(_), None) => tracing::info!("runs are started again"),
            _ => {}
        }
        *refusing = why;
    }

    /// Why no run is started for now: what [`Self::refuse_starts`] said, or a disk that is nearly full.
    #[must_use]
    pub fn starts_refused(&self) -> Option<String> {
        let refusing = self.inner.refusing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        refusing.or_else(|| self.disk().and_then(|disk| disk.too_full(self.options().min_free_bytes)))
    }

    /// The fuller one of the disks that runs write to; `None` when neither can be asked.
    #[must_use]
    pub fn disk(&self) -> Option<Disk> {
        let options = self.options();
        let folders = [options.scratch_dir.as_path(), self.inner.rooms.journal.dir()];
        folders.into_iter().filter_map(Disk::of).min_by_key(|disk| disk.free)
    }

    /// Whether somebody in this process drives this run, or writes its files, or a container waits under its id.
    #[must_use]
    pub fn is_busy(&self, run: RunId) -> bool {
        self.is_held(run)
    }

    /// Where a crash is tested.
    #[must_use]
    pub fn steps(&self) -> &Steps {
        &self.inner.options.steps
    }

    /// Removes volumes and networks of this instance that nobody uses.
    ///
    /// # Errors
    /// Docker.
    pub async fn sweep_docker(&self) -> Result<Swept, EngineError> {
        // What waits for a start is in the instance's own network, or will be.
        let keep_network = self.options().network == Network::Own || self.inner.rooms.environments.needs_network();
        self.inner.rooms.engine.sweep(keep_network).await
    }

    /// How many runs work and wait.
    #[must_use]
    pub fn load(&self) -> Load {
        self.inner.admission.load()
    }

    /// Runs of `pipeline` that wait and that work.
    #[must_use]
    pub fn count(&self, pipeline: &str) -> (usize, usize) {
        self.inner.live.count(pipeline)
    }

    /// Changes from now on. A receiver that is too slow loses the oldest and is told so.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<LiveEvent> {
        self.inner.events.subscribe()
    }

    /// Tells everybody who listens.
    pub fn announce(&self, event: LiveEvent) {
        // Nobody listening is fine.
        let _ = self.inner.events.send(event);
    }

    /// Resolves when the server shuts down: long answers end then.
    pub async fn closing(&self) {
        self.inner.closing.cancelled().await;
    }

    /// Whether the server shuts down.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.inner.closing.is_cancelled()
    }

    /// Asks Docker whether it is there, and remembers the answer.
    ///
    /// # Errors
    /// [`EngineError`] with the reason.
    pub async fn ping_docker(&self) -> Result<crate::engine::EngineInfo, EngineError> {
        let limit = Duration::from_secs(3);
        let answer = tokio::time::timeout(limit, self.inner.rooms.engine.info()).await.unwrap_or_else(|_| {
            Err(EngineError::Unavailable {
                call: "ping",
                reason: format!("it did not answer within {} s", limit.as_secs()),
                source: None,
            })
        });
        self.note_docker(answer.is_ok());
        answer
    }

    fn note_docker(&self, ok: bool) {
        if self.inner.docker_ok.swap(ok, Ordering::Relaxed) != ok {
            self.announce(LiveEvent { kind: "docker".into(), id: String::new(), pipeline_name: None, status: None });
            if ok {
                tracing::info!("Docker answers again");
            } else {
                tracing::warn!("Docker does not answer; starts are refused until it does");
            }
        }
    }

    fn changed(&self, live: &Live, status: RunStatus) {
        self.announce(LiveEvent {
            kind: "run".into(),
            id: live.run.to_string(),
            pipeline_name: Some(live.pipeline.clone()),
            status: Some(status),
        });
    }

    /// Stops everything of ours within about ten seconds: runs are left to continue and marked INTERRUPTED, or stopped when
    /// the operator wants that. What has not started stays PENDING and is queued again by the next server.
    pub async fn shutdown(&self) {
        let Inner { closing, letting_go, tasks, live, options, .. } = &*self.inner;
        closing.cancel();
        tasks.close();
        if options.stop_on_shutdown {
            let stop = async {
                for live in live.all().into_iter().filter(|live| has_container(live.phase())) {
                    if let Err(error) = self.stop(live.run, StopReason::Shutdown).await {
                        tracing::warn!(run = %live.run, %error, "a run could not be stopped: {error}");
                    }
                }
                tasks.wait().await;
            };
            let _ = tokio::time::timeout(self.shutdown_grace() + Duration::from_secs(1), stop).await;
        }
        letting_go.cancel();
        if tokio::time::timeout(Duration::from_secs(2), tasks.wait()).await.is_err() {
            tracing::warn!("some runs did not let go in time; the next start finds them by their containers");
        }
    }

    /// Time between SIGTERM and SIGKILL when we shut down: the system that stops us does not wait long.
    fn shutdown_grace(&self) -> Duration {
        self.options().cancel_grace.min(Duration::from_secs(4))
    }

    /// Lets a task run that a shutdown waits for.
    fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
        let handle = self.inner.tasks.spawn(tracing::Instrument::in_current_span(task));
        #[cfg(test)]
        self.inner.spawned.lock().unwrap_or_else(PoisonError::into_inner).push(handle.abort_handle());
        handle
    }

    /// Asks a run to stop, wherever it is. The reason is stored before anything is stopped.
    pub(in crate::runs) async fn stop(&self, run: RunId, reason: StopReason) -> Result<(), RunsError> {
        use crate::store::StopAnswer;
        let Inner { rooms, live, .. } = &*self.inner;
        let reason = match rooms.store.request_stop(&run.to_string(), &reason, rooms.clock.now()).await? {
            StopAnswer::Accepted => reason,
            // Handed on as well: whoever stored it may have gone away before it reached the driver.
            StopAnswer::Already(first) => first,
            StopAnswer::Ended(_) => return Ok(()),
        };
        if let Some(live) = live.get(run) {
            live.request_stop(reason);
        }
        Ok(())
    }

    /// Cancels a run: at once when it has not started, with a grace period when it works. Fine when it has ended.
    ///
    /// # Errors
    /// [`RunsError::UnknownRun`], or the database.
    pub async fn cancel(&self, run: &str, by: Option<String>) -> Result<fastflow_shared::Run, RunsError> {
        let id = parse_id(run)?;
        match self.stop(id, StopReason::Cancelled { by }).await {
            Err(RunsError::Store(StoreError::NotFound { .. })) => return Err(RunsError::UnknownRun(run.to_owned())),
            other => other?,
        }
        self.run(run).await
    }
}

impl Inner {
    fn options(&self) -> Arc<Options> {
        self.tuned.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Options {
    /// Takes over what can be changed while the server works.
    pub fn tune(&mut self, tuning: &Tuning) {
        self.max_concurrent = tuning.max_concurrent;
        self.max_queued = tuning.max_queued;
        self.warm_containers = tuning.warm_containers;
        self.default_timeout = tuning.timeout;
        self.default_cpus = tuning.cpus;
        self.default_memory = tuning.memory;
        self.pids = Some(tuning.pids);
        self.retry_attempts = tuning.retry_attempts;
        self.cancel_grace = tuning.cancel_grace;
        self.silence_limit = tuning.silence;
        self.min_free_bytes = tuning.min_free_bytes;
    }
}

/// Whether a run in this phase has a container, or may have one at any moment.
const fn has_container(phase: Phase) -> bool {
    matches!(phase, Phase::Starting | Phase::Running | Phase::Stopping)
}

/// What is said while a run is driven carries its id; the request that started it is told as well.
fn span_of(live: &Live) -> tracing::Span {
    tracing::error_span!("run", run = %live.run, pipeline = live.pipeline)
}

fn parse_id(run: &str) -> Result<RunId, RunsError> {
    run.parse().map_err(|_| RunsError::UnknownRun(run.to_owned()))
}
