//! Wires the rooms together, serves, and takes everything down again in the right order.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{getegid, geteuid};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use super::chores;
use crate::api::{Api, Door, MetricsAccess};
use crate::audit::{self, Audit};
use crate::auth::{Auth, AuthError, FirstUser};
use crate::catalog::{self, Catalog};
use crate::cluster::{self, Cluster, ClusterError, Mode};
use crate::config::{Config, InstanceError, Sources};
use crate::crypto::{Keyring, KeyringError};
use crate::domain::clock::{SharedClock, SystemClock};
use crate::engine::fake::{FakeDocker, program};
use crate::engine::{self, DockerEngine, Engine, EngineError, HostPath, Network};
use crate::environments::{self, EnvironmentError, Environments};
use crate::git::{self, Git};
use crate::github::Github;
use crate::journal::{self, Journal, JournalError};
use crate::outbound::{Outbound, OutboundError};
use crate::runs::{self, Runs, RunsError, Steps};
use crate::schedule::{self, Schedule};
use crate::settings::{self, Settings, SettingsError};
use crate::storage::{self, Storage};
use crate::store::{self, Store, StoreError};
use crate::sync::{self, Sync, SyncError};
use crate::upkeep::Upkeep;
use crate::vault::{Rotation, Vault, VaultError};

/// User id of preparation containers when the server is root: neither root nor the user of runs.
const PREPARATION_USER: &str = "10002:10002";

/// User of runs that `config` gives when nothing is set.
const DEFAULT_WORKER_USER: &str = "10001:10001";

/// Variables of the server's own environment that uv understands and that preparation is given.
const UV_VARIABLES: [&str; 14] = [
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_INDEX_STRATEGY",
    "UV_PYTHON_INSTALL_MIRROR",
    "UV_PYTHON_DOWNLOADS_JSON_URL",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Longest time that building one environment may take.
const BUILD_DEADLINE: Duration = Duration::from_secs(30 * 60);

/// Longest time that fetching and writing out a commit may take.
const PULL_DEADLINE: Duration = Duration::from_secs(15 * 60);

/// Longest time that a test of the connection may take.
const TEST_DEADLINE: Duration = Duration::from_secs(30);

/// Pause before a database that does not answer is asked again.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);

/// How long open connections may take to end at a shutdown.
const CONNECTIONS_END: Duration = Duration::from_secs(2);

/// How long chores may take to end at a shutdown.
const CHORES_END: Duration = Duration::from_secs(2);

/// Why the server ended.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The keys.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The name of this instance.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The other servers.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The door.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Settings that were changed while a server worked.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Where the code comes from.
    #[error("the settings of git are wrong: {0}")]
    Source(String),
    /// What was saved of it.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The client for other servers.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// Docker's client; Docker itself may be away.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Run files.
    #[error("the logs folder cannot be used (LOGS_DIR)")]
    Journal(#[from] JournalError),
    /// The environments folder.
    #[error("{0}; check UV_CACHE_DIR")]
    Environments(#[from] EnvironmentError),
    /// The runs room.
    #[error(transparent)]
    Runs(#[from] RunsError),
    /// A folder of ours.
    #[error("the folder {0} cannot be made: {1}")]
    Folder(String, std::io::Error),
    /// The address.
    #[error(
        "the address {address} cannot be listened on: {source}; choose another BIND_ADDRESS or stop what listens there"
    )]
    Bind {
        /// The address.
        address: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// The crash tests' setting.
    #[error("FASTFLOW_TEST_HOLD_AT is wrong: {0}")]
    HoldAt(String),
    /// The server broke off.
    #[error("the server broke off: {0}")]
    Served(std::io::Error),
}

impl ServeError {
    /// Whether a later start may work without anybody changing a setting.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Store(error) | Self::Cluster(ClusterError::Store(error)) => error.is_unavailable(),
            Self::Cluster(ClusterError::Taken(_)) | Self::Bind { .. } => true,
            _ => false,
        }
    }
}

/// Opens the database, which may be starting itself: it is asked again for as long as the operator wants.
async fn open_store(options: &store::Options, patience: Duration) -> Result<Store, StoreError> {
    let until = tokio::time::Instant::now() + patience;
    let mut told = false;
    loop {
        match Store::open(options).await {
            Err(error) if error.is_unavailable() && tokio::time::Instant::now() + DATABASE_PAUSE < until => {
                if !std::mem::replace(&mut told, true) {
                    let seconds = patience.as_secs();
                    warn!(
                        %error,
                        "the database does not answer yet ({error}); it is asked again for {seconds} s (DATABASE_WAIT_SECONDS)"
                    );
                }
                tokio::select! {
                    () = stop_signal() => return Err(error),
                    () = tokio::time::sleep(DATABASE_PAUSE) => {}
                }
            }
            other => return other,
        }
    }
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// [`ServeError`] when something that it needs is missing. Docker is not among it: the server waits for it.
pub async fn serve(config: Config, sources: Sources) -> Result<(), ServeError> {
    for name in &config.unknown {
        warn!(%name, "{name} in .env is no setting of this version and does nothing");
    }
    let clock: SharedClock = Arc::new(SystemClock);
    let keyring = Arc::new(Keyring::load(&config.crypto_options())?);
    let instance = config.instance()?;
    // Before the database is touched: a second server on the same SQLite must not get as far as its tables.
    let store_options = store::Options { check: true, ..config.store_options() };
    let mode = if store_options.is_sqlite() { Mode::Alone } else { Mode::Shared };
    let folders = std::iter::once(config.data.data_dir.clone()).chain(store_options.sqlite_folder());
    let folders: std::collections::BTreeSet<_> = folders.collect();
    let _folders = cluster::take_folders(folders.iter().map(std::path::PathBuf::as_path), mode)?;
    let store = open_store(&store_options, config.data.database_wait).await?;
    let cluster = Cluster::join(
        cluster::Options {
            folder: config.data.data_dir.join("servers"),
            instance: instance.clone(),
            host: host_name(),
            alone: mode == Mode::Alone,
        },
        store.clone(),
        clock.clone(),
    )
    .await?;
    let auth = Auth::new(config.auth_options(), store.clone(), clock.clone())?;
    let audit = Audit::new(store.clone(), clock.clone());
    let vault = Vault::new(store.clone(), keyring.clone(), clock.clone());
    let unreadable = vault.unreadable().await?;
    if !unreadable.is_empty() {
        error!(names = ?unreadable, "{} entries of the vault do not open with ENCRYPTION_KEY: {}", unreadable.len(), unreadable.join(", "));
    }
    let journal =
        Journal::open(journal::Options { dir: config.data.logs_dir.clone(), max_bytes: config.runs.log_max_bytes })?;
    let engine = engine(&config, &instance, cluster.id())?;
    let engine_seen = engine.clone();
    let environments = Environments::open(environment_options(&config), engine.clone(), store.clone(), clock.clone())?;
    create_folder(&config.data.pipelines_dir)?;
    let catalog = Catalog::new(
        catalog::Options {
            pipelines_dir: config.data.pipelines_dir.clone(),
            code_dir: config.data.data_dir.join("code"),
        },
        store.clone(),
        clock.clone(),
    );
    let rooms = runs::Rooms {
        store: store.clone(),
        cluster: cluster.clone(),
        journal: journal.clone(),
        engine: engine.clone(),
        catalog: catalog.clone(),
        environments: environments.clone(),
        vault: vault.clone(),
        keyring: keyring.clone(),
        clock: clock.clone(),
    };
    let runs = Runs::new(run_options(&config, &instance)?, rooms)?;
    let settings = {
        let (journal, runs) = (journal.clone(), runs.clone());
        let options = settings::Options {
            known: config.known(),
            read: Box::new(move |changes| Config::tuned(&sources, changes)),
            apply: Box::new(move |tuning| {
                journal.set_max_bytes(tuning.log_max_bytes);
                runs.retune(tuning);
            }),
        };
        Settings::open(options, store.clone(), clock.clone()).await?
    };
    let schedule = Schedule::new(
        schedule::Options { owner: uuid::Uuid::now_v7().to_string(), time_zone: config.schedule_zone() },
        store.clone(),
        catalog.clone(),
        runs.clone(),
        clock.clone(),
    );
    let git = Git::new(git::Options {
        program: None,
        folder: config.data.data_dir.join("git"),
        deadline: PULL_DEADLINE,
        test_deadline: TEST_DEADLINE,
        ca_file: config.git.ca_file.clone(),
    });
    let sync = Sync::open(
        sync::Options {
            pre_heat: config.worker.pre_heat,
            image: config.worker.image.clone(),
            pipelines_dir: config.data.pipelines_dir.clone(),
            commits_dir: config.data.data_dir.join("commits"),
            source: config.sync_source().map_err(ServeError::Source)?,
        },
        sync::Rooms {
            catalog: catalog.clone(),
            cluster: cluster.clone(),
            environments: environments.clone(),
            engine,
            runs: runs.clone(),
            store: store.clone(),
            clock: clock.clone(),
            keyring,
            git,
            github: Github::new(Outbound::new(config.git.ca_file.as_deref())?, clock.clone()),
        },
    )
    .await?;

    let first_user = auth.ensure_admin().await?;
    if let FirstUser::Created { username, .. } = &first_user {
        audit.record(audit::Event::done("server", "server", "user.create", username)).await?;
    }
    look_at_docker(engine_seen.as_ref()).await;
    // The door is opened only when what ran before has its slots again; Docker being away delays that, not the server.
    match runs.recover().await {
        Ok(recovery) => info!("{recovery}"),
        Err(error) => warn!(%error, "runs are not recovered yet: {error}"),
    }
    if let Err(error) = sync.start().await {
        error!(%error, "the pipelines cannot be read: {error}");
    }
    let repository = sync.settings().repository_url;
    let storage = Storage::new(
        storage::Options { data_dir: config.data.data_dir.clone(), backup_dir: config.keeping.backup_dir.clone() },
        storage::Rooms {
            store: store.clone(),
            journal: journal.clone(),
            environments,
            catalog: catalog.clone(),
            sync: sync.clone(),
            runs: runs.clone(),
            settings: settings.clone(),
            clock: clock.clone(),
        },
    );
    let upkeep = Upkeep::new(
        clock.clone(),
        settings.watch(),
        chores::all(&chores::Rooms {
            auth: auth.clone(),
            audit: audit.clone(),
            cluster: cluster.clone(),
            runs: runs.clone(),
            schedule: schedule.clone(),
            settings: settings.clone(),
            storage: storage.clone(),
            store: store.clone(),
            sync: sync.clone(),
        }),
    );
    let api = Api {
        audit,
        auth,
        catalog,
        journal,
        runs: runs.clone(),
        schedule,
        settings,
        storage,
        store: store.clone(),
        sync,
        upkeep: upkeep.clone(),
        vault,
        clock,
        metrics: MetricsAccess {
            token: config.server.metrics_token.clone().map(Arc::new),
            allow: config.server.metrics_allow.clone().into(),
            folders: vec![
                ("data", config.data.data_dir.clone()),
                ("logs", config.data.logs_dir.clone()),
                ("environments", config.data.uv_cache_dir.clone()),
            ],
        },
        trusted_proxies: config.server.trusted_proxies.clone().into(),
    };

    let door = Door::open(config.server.bind_address)
        .await
        .map_err(|source| ServeError::Bind { address: config.server.bind_address.to_string(), source })?;
    upkeep.start();
    runs.keep_warm();
    let folder = config.data.pipelines_dir.display().to_string();
    greet(door.address(), &first_user, &config, repository.as_deref().unwrap_or(&folder));
    let stop = async {
        stop_signal().await;
        info!("shutting down");
        // A chore that waits for Docker or the database must not hold up the end.
        if tokio::time::timeout(CHORES_END, upkeep.stop()).await.is_err() {
            warn!("some chores did not end in time");
        }
        runs.shutdown().await;
    };
    let served = door.serve(&api, stop, CONNECTIONS_END).await;
    cluster.leave().await;
    store.close().await;
    served.map_err(ServeError::Served)
}

/// Encrypts everything anew with the first key.
///
/// # Errors
/// [`ServeError`] when the keys or the database are not there.
pub async fn rotate(config: &Config) -> Result<Rotation, ServeError> {
    let keyring = Arc::new(Keyring::load(&config.crypto_options())?);
    let store = Store::open(&config.store_options()).await?;
    let rotation = Vault::new(store.clone(), keyring, Arc::new(SystemClock)).rotate().await;
    store.close().await;
    Ok(rotation?)
}

/// Docker; or, for measurements and tests of all the rest, containers in memory: `FASTFLOW_TEST_ENGINE=fake`.
fn engine(config: &Config, instance: &str, server: &str) -> Result<Arc<dyn Engine>, ServeError> {
    let options = engine_options(config, instance, server);
    if !is_fake() {
        return Ok(Arc::new(DockerEngine::new(options)?));
    }
    warn!("FASTFLOW_TEST_ENGINE is set: nothing is executed, runs only look as if");
    Ok(Arc::new(FakeDocker::new().engine(options)))
}

fn is_fake() -> bool {
    std::env::var_os("FASTFLOW_TEST_ENGINE").is_some_and(|engine| engine == "fake")
}

pub(super) fn engine_options(config: &Config, instance: &str, server: &str) -> engine::Options {
    engine::Options {
        server: server.to_owned(),
        docker_host: config.worker.docker_host.clone(),
        host_paths: config
            .worker
            .host_paths
            .iter()
            .map(|(inside, on_host)| HostPath { inside: inside.clone(), on_host: on_host.clone() })
            .collect(),
        added_capabilities: config.worker.capabilities.clone(),
        ..engine::Options::new(instance)
    }
}

fn environment_options(config: &Config) -> environments::Options {
    let own = || format!("{}:{}", geteuid().as_raw(), getegid().as_raw());
    environments::Options {
        root: config.data.uv_cache_dir.clone(),
        image: config.worker.image.clone(),
        user: if geteuid().is_root() { PREPARATION_USER.to_owned() } else { own() },
        // Preparation reaches the package index even when runs may reach nothing.
        network: match config.worker.network.as_deref() {
            None | Some("none") => Network::Own,
            Some(name) => Network::Named(name.to_owned()),
        },
        ca_bundle: config.worker.ca_bundle.clone(),
        uv_env: UV_VARIABLES
            .iter()
            .filter_map(|name| std::env::var(name).ok().map(|value| ((*name).to_owned(), value)))
            .chain(is_fake().then(|| (program::VARIABLE.to_owned(), program::PREPARATION.to_owned())))
            .collect(),
        deadline: BUILD_DEADLINE,
    }
}

/// The user of runs. A server that is not root could not delete what another user wrote into a run's folder.
pub(super) fn worker_user(config: &Config) -> String {
    if config.worker.user == DEFAULT_WORKER_USER && !geteuid().is_root() {
        format!("{}:{}", geteuid().as_raw(), getegid().as_raw())
    } else {
        config.worker.user.clone()
    }
}

/// Says at the start what makes Docker one that runs cannot work with; Docker being away is told by the chores.
async fn look_at_docker(engine: &dyn Engine) {
    let look = tokio::time::timeout(Duration::from_secs(5), engine.info()).await;
    if let Ok(Ok(info)) = look
        && let Some((trouble, mend)) = super::doctor::engine_trouble(&info)
    {
        error!("{trouble}. Mend it: {mend}");
    }
}

fn run_options(config: &Config, instance: &str) -> Result<runs::Options, ServeError> {
    let worker_user = worker_user(config);
    let steps = match std::env::var("FASTFLOW_TEST_HOLD_AT") {
        Ok(text) => Steps::parse(&text).map_err(ServeError::HoldAt)?,
        Err(_) => Steps::default(),
    };
    Ok(runs::Options {
        instance: instance.to_owned(),
        scratch_dir: config.data.data_dir.join("scratch"),
        image: config.worker.image.clone(),
        worker_user,
        network: match config.worker.network.as_deref() {
            None => Network::Own,
            Some("none") => Network::None,
            Some(name) => Network::Named(name.to_owned()),
        },
        ca_bundle: config.worker.ca_bundle.clone(),
        max_concurrent: config.runs.max_concurrent,
        max_queued: config.runs.max_queued,
        max_starting: 3,
        default_timeout: config.runs.timeout.and_then(|timeout| i64::try_from(timeout.as_secs()).ok()),
        default_cpus: config.limits.cpus,
        default_memory: config.limits.memory,
        pids: Some(config.limits.pids),
        retry_attempts: config.runs.retry_attempts,
        cancel_grace: config.runs.cancel_grace,
        silence_limit: config.runs.silence,
        health_interval: Duration::from_secs(15),
        stop_on_shutdown: config.server.shutdown_stops_runs,
        docker_patience: Duration::from_secs(5 * 60),
        warm_containers: config.runs.warm_containers,
        min_free_bytes: config.keeping.min_free_bytes,
        steps,
    })
}

/// What this machine, or container, calls itself.
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn create_folder(path: &std::path::Path) -> Result<(), ServeError> {
    std::fs::create_dir_all(path).map_err(|error| ServeError::Folder(path.display().to_string(), error))
}

/// What a person who started the server needs to know, on the terminal and not in the log.
fn greet(bound: std::net::SocketAddr, first_user: &FirstUser, config: &Config, pipelines: &str) {
    let mut text = format!("\nFast-Flow {} is ready: http://{bound}\n", env!("CARGO_PKG_VERSION"));
    match first_user {
        FirstUser::Created { username, generated: Some(password) } => {
            text.push_str(&format!(
                "  user      {username}\n  password  {}   (made up at this first start; it is not shown again)\n",
                password.as_str()
            ));
        }
        FirstUser::Created { username, generated: None } => {
            text.push_str(&format!("  user      {username}\n  password  as set in ADMIN_PASSWORD\n"));
        }
        FirstUser::Present => {
            text.push_str(&format!(
                "  user      {}   (password as at the first start)\n",
                config.access.admin_username
            ));
        }
    }
    text.push_str(&format!("  pipelines {pipelines}\n"));
    // A closed terminal is no reason to stop.
    let _ = std::io::stdout().write_all(text.as_bytes());
    info!(%bound, "ready");
}

/// Waits for SIGTERM or SIGINT.
async fn stop_signal() {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    match signals {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ => {
            warn!("signals cannot be listened to; stop the server with SIGKILL");
            std::future::pending::<()>().await;
        }
    }
}
