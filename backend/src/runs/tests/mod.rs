//! The room on a fake Docker, a real database, real files, and a time that passes only when nobody works.
//!
//! A [`World`] is what outlives a server: Docker, database, folders. A [`Server`] is one process: it can be shut down, or
//! crash, and the next one finds what it left. What a run's script does is written in its start, see [`fake::program`].

mod life;
mod mortal;
mod queue;
mod recovery;
mod retries;
mod secrets;
mod shutdown;
mod simulation;
mod stops;
mod trouble;
mod warm;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use fastflow_shared::{ErrorType, Phase, RunStatus, Trigger};
use futures_util::TryStreamExt;
use tempfile::TempDir;
use tokio::time::Instant;

use self::mortal::Mortal;
use super::{LaunchError, Options, Rooms, Runs, RunsError, Start, Steps};
use crate::catalog::{self, Catalog};
use crate::cluster::Cluster;
use crate::crypto::Keyring;
use crate::domain::clock::{Clock, Millis, SharedClock};
use crate::engine::fake::{FakeDocker, program};
use crate::engine::{self, ContainerState, Network};
use crate::environments::{self, Environments};
use crate::journal::{self, Journal, MARK_PREFIX, RunId, TextOptions};
use crate::store::{self, RunRow, Store, testing};
use crate::vault::Vault;

/// Name of the installation under test.
const INSTANCE: &str = "test";

/// Worker image.
const IMAGE: &str = "worker:1";

/// When the world begins.
const BEGIN: i64 = 1_700_000_000_000;

/// What outlives a server.
pub(super) struct World {
    pub docker: FakeDocker,
    pub store: Store,
    pub clock: SharedClock,
    keyring: Arc<Keyring>,
    folder: TempDir,
    database: Option<TempDir>,
    _paused: Paused,
}

/// Time that passes only when everybody waits for it, until this is dropped.
struct Paused;

impl Paused {
    fn begin() -> Self {
        testing::calls_take_no_time();
        tokio::time::pause();
        Self
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        tokio::time::resume();
    }
}

/// A clock that goes with tokio's.
#[derive(Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Millis {
        Millis(BEGIN + i64::try_from(self.0.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}

/// A key of 32 zero bytes, as Fernet writes keys.
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

impl World {
    /// A world on SQLite with one pipeline `p`.
    pub async fn new() -> Self {
        let (store, database) = testing::sqlite().await;
        let mut world = Self::on(store);
        world.database = Some(database);
        world
    }

    /// A world on that database. Time stands still from now on.
    pub fn on(store: Store) -> Self {
        let paused = Paused::begin();
        let wall = DateTime::<Utc>::from_timestamp_millis(BEGIN).expect("a date");
        let world = Self {
            docker: FakeDocker::at(wall),
            store,
            clock: Arc::new(TokioClock(Instant::now())),
            keyring: Arc::new(Keyring::parse(KEY, "test").expect("a key")),
            folder: tempfile::tempdir().expect("a temporary folder"),
            database: None,
            _paused: paused,
        };
        world.pipeline("p", "{}");
        world
    }

    /// The database is closed under everybody's feet, and another server finds it well again.
    pub async fn reopen_database(&mut self) {
        let _still = testing::still();
        let folder = self.database.as_ref().expect("a database of its own").path();
        self.store = Store::open(&store::Options::sqlite(folder.join("test.db"))).await.expect("SQLite opens");
    }

    /// Makes a pipeline, or gives it other settings.
    pub fn pipeline(&self, name: &str, settings: &str) {
        let folder = self.path("pipelines").join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("main.py"), "pass\n").expect("a file");
        std::fs::write(folder.join("pipeline.json"), settings).expect("a file");
    }

    /// A file in the folder of a pipeline.
    pub fn file(&self, pipeline: &str, name: &str, text: &str) {
        std::fs::write(self.path("pipelines").join(pipeline).join(name), text).expect("a file");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A server with settings that do not matter to the test.
    pub fn server(&self) -> Server {
        self.server_with(|_| {})
    }

    pub fn server_with(&self, change: impl FnOnce(&mut Options)) -> Server {
        let mut options = Options {
            instance: INSTANCE.to_owned(),
            scratch_dir: self.path("scratch"),
            image: IMAGE.to_owned(),
            worker_user: "1:1".to_owned(),
            network: Network::Own,
            ca_bundle: None,
            max_concurrent: 10,
            max_queued: 100,
            warm_containers: 0,
            max_starting: 3,
            default_timeout: None,
            default_cpus: None,
            default_memory: None,
            pids: Some(100),
            retry_attempts: 0,
            cancel_grace: Duration::from_secs(10),
            silence_limit: None,
            min_free_bytes: 0,
            health_interval: Duration::from_secs(15),
            stop_on_shutdown: false,
            docker_patience: Duration::from_secs(300),
            steps: Steps::default(),
        };
        change(&mut options);
        let engine = Mortal::new(self.docker.engine(engine::Options::new(options.instance.clone())));
        let journal = Journal::open(journal::Options { dir: self.path("logs"), max_bytes: None }).expect("a journal");
        let root = self.path("uv");
        let prepares = environments::Options {
            root,
            image: IMAGE.to_owned(),
            user: format!("{}:{}", rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
            network: Network::Own,
            ca_bundle: None,
            uv_env: vec![(program::VARIABLE.to_owned(), program::PREPARATION.to_owned())],
            deadline: Duration::from_secs(1800),
        };
        let (store, clock, keyring) = (self.store.clone(), self.clock.clone(), self.keyring.clone());
        let environments =
            Environments::open(prepares, engine.clone(), store.clone(), clock.clone()).expect("a folder");
        let folders = catalog::Options { pipelines_dir: self.path("pipelines"), code_dir: self.path("code") };
        let rooms = Rooms {
            store: store.clone(),
            cluster: Cluster::alone(store.clone(), clock.clone()),
            journal,
            engine: engine.clone(),
            catalog: Catalog::new(folders, store.clone(), clock.clone()),
            environments,
            vault: Vault::new(store, keyring.clone(), clock.clone()),
            keyring,
            clock,
        };
        Server { runs: Runs::new(options, rooms).expect("a folder"), engine, logs: self.path("logs") }
    }

    pub async fn row(&self, run: &str) -> RunRow {
        self.store.run(run).await.expect("the run is stored")
    }

    /// The run's containers.
    pub fn containers(&self) -> Vec<ContainerState> {
        self.docker.containers()
    }

    /// The one container there is.
    pub fn container(&self) -> ContainerState {
        let mut all = self.containers();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// Nothing is left behind anywhere, and the counters are what the rows say.
    pub async fn assert_clean(&self, server: &Server) {
        assert_eq!(self.containers().iter().map(|c| (&c.name, c.status)).collect::<Vec<_>>(), []);
        let load = server.load();
        assert_eq!((load.running, load.queued), (0, 0), "slots and queue");
        assert!(server.inner.live.all().is_empty(), "nobody is driven");
        let folders: Vec<_> = std::fs::read_dir(self.path("scratch")).expect("readable").flatten().collect();
        assert!(folders.is_empty(), "{folders:?}");
        let (unfinished, broken) = self.store.unfinished_runs().await.expect("answered");
        assert!(unfinished.is_empty() && broken.is_empty());
    }
}

fn is_run(container: &ContainerState) -> bool {
    container.labels.contains_key(engine::label::RUN_ID)
}

/// One process.
pub(super) struct Server {
    runs: Runs,
    engine: Arc<Mortal>,
    logs: PathBuf,
}

impl Deref for Server {
    type Target = Runs;

    fn deref(&self) -> &Runs {
        &self.runs
    }
}

impl Server {
    /// Starts `p` with that script.
    pub async fn start(&self, script: &str) -> String {
        self.start_of("p", script).await
    }

    pub async fn start_of(&self, pipeline: &str, script: &str) -> String {
        self.try_start(pipeline, script).await.unwrap_or_else(|error| panic!("not accepted: {error}"))
    }

    pub async fn try_start(&self, pipeline: &str, script: &str) -> Result<String, LaunchError> {
        self.launch(pipeline, Trigger::Manual, script_start(script)).await.map(|run| run.id)
    }

    /// Waits until it has ended and nobody is busy with it any more.
    pub async fn ended(&self, run: &str) -> RunRow {
        let id: RunId = run.parse().expect("an id");
        until("the run ends", async || {
            let row = self.inner.rooms.store.run(run).await.expect("the run is stored");
            (row.status.is_final() && self.inner.live.get(id).is_none()).then_some(row)
        })
        .await
    }

    /// Waits until it has that status.
    pub async fn until_status(&self, run: &str, status: RunStatus) {
        until("the run gets there", async || {
            let row = self.inner.rooms.store.run(run).await.expect("the run is stored");
            (row.status == status).then_some(())
        })
        .await;
    }

    /// Waits until it is in that phase.
    pub async fn until_phase(&self, run: &str, phase: Phase) {
        until("the run gets there", async || (self.run(run).await.expect("there").phase == phase).then_some(())).await;
    }

    /// Waits until the log holds that text.
    pub async fn until_logged(&self, run: &str, text: &str) {
        until("the log has it", async || self.log(run).await.contains(text).then_some(())).await;
    }

    /// What the script wrote, as it is stored.
    pub async fn log(&self, run: &str) -> String {
        self.text(run, true).await
    }

    /// Our own lines in the log.
    pub async fn marks(&self, run: &str) -> Vec<String> {
        let path = log_file(&self.logs, run);
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mark = |line: &str| line.split_once(MARK_PREFIX).map(|(_, mark)| mark.trim().to_owned());
        text.lines().filter_map(mark).collect()
    }

    async fn text(&self, run: &str, without_marks: bool) -> String {
        let options = TextOptions { without_marks, ..TextOptions::default() };
        let Ok(stream) = self.inner.rooms.journal.text(run.parse().expect("an id"), options).await else {
            return String::new();
        };
        let pieces: Vec<_> = stream.try_collect().await.expect("readable");
        String::from_utf8(pieces.concat()).expect("text")
    }

    /// The process is gone from one moment to the next; Docker and its containers go on.
    pub async fn crash(&self) {
        self.engine.kill();
        let spawned = std::mem::take(&mut *self.inner.spawned.lock().unwrap_or_else(PoisonError::into_inner));
        for task in spawned {
            task.abort();
        }
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

fn script_start(script: &str) -> Start {
    let parameters = BTreeMap::from([(program::VARIABLE.to_owned(), script.to_owned())]);
    Start { parameters, ..Start::default() }
}

fn log_file(logs: &Path, run: &str) -> PathBuf {
    logs.join(format!("{run}.log"))
}

/// Waits until `look` finds something. Hours of the test's time, which cost nothing.
pub(super) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for round in 0..20_000 {
        if let Some(found) = look().await {
            return found;
        }
        pause(if round < 2_000 { 50 } else { 1_000 }).await;
    }
    panic!("never: {what}");
}

/// Lets time pass.
pub(super) async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// `1\n2\n…`
fn numbers(last: u64) -> String {
    (1..=last).map(|number| format!("{number}\n")).collect()
}

/// Status, kind of failure, exit code.
fn outcome(row: &RunRow) -> (RunStatus, Option<ErrorType>, Option<i32>) {
    (row.status, row.error_type, row.exit_code)
}

const SUCCESS: (RunStatus, Option<ErrorType>, Option<i32>) = (RunStatus::Success, None, Some(0));

fn failed(kind: ErrorType, code: Option<i32>) -> (RunStatus, Option<ErrorType>, Option<i32>) {
    (RunStatus::Failed, Some(kind), code)
}

/// Asks for its end, as a user would.
async fn cancel(server: &Server, run: &str) -> Result<(), RunsError> {
    server.cancel(run, Some("somebody".to_owned())).await.map(drop)
}
