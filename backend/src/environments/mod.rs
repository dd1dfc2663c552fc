//! Sealed Python environments: built once per key in preparation containers, mounted read-only into every run.
//!
//! ```text
//! inputs (requirements, Python, image)  → input key → lock with hashes   (`uv pip compile`, needs the index once)
//! lock + Python + platform + image      → key       → environment folder (wheels unpacked, then never written again)
//! ```
//! Everything lies below one folder, so that uv can link files from its cache instead of copying them. Inside every
//! container that folder is `/fastflow/uv`, because a Python environment only works at the path it was built at.
//! A build is one task that all who need it wait for; whoever stops waiting does not stop the build. Code of packages never
//! runs where it could write what others use ([`build`]); what nobody uses is deleted when it is too much ([`prune`]).

mod build;
mod inputs;
mod prune;
mod seal;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastflow_shared::EnvironmentState;
use thiserror::Error;
use tokio::sync::watch;

use crate::cluster::Mode;
use crate::domain::clock::{Millis, SharedClock};
use crate::engine::{Engine, EngineError, Image, Network};
use crate::store::{EnvironmentRow, Store, StoreError};

pub use inputs::{Inputs, NamedBy, Pin, pins};
pub use prune::{Spare, Survey, What, share};
pub use seal::{Sealed, link_mode as link_mode_of};

/// Where the common folder is mounted in every container.
pub const MOUNT: &str = "/fastflow/uv";

/// Where the bundle of trusted certificate authorities is mounted.
pub const CA_MOUNT: &str = "/fastflow/ca.pem";

/// How long a build waits for another server that tidies.
const BUSY: Duration = Duration::from_secs(10 * 60);

/// How often the use of one environment is written down at most.
const NOTED_EVERY_SECONDS: f64 = 60.0;

/// How environments are built.
#[derive(Clone)]
pub struct Options {
    /// The one folder for uv's cache and all environments, on this machine.
    pub root: PathBuf,
    /// Worker image.
    pub image: String,
    /// `uid:gid` that preparation containers run as; it must be able to write `root`.
    pub user: String,
    /// Network of preparation containers.
    pub network: Network,
    /// PEM file with certificate authorities to trust.
    pub ca_bundle: Option<PathBuf>,
    /// Variables for uv, such as another package index; handed over by stdin.
    pub uv_env: Vec<(String, String)>,
    /// Longest time that one build may take.
    pub deadline: Duration,
}

impl std::fmt::Debug for Options {
    /// Variables by name alone: the address of a package index may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { root, image, user, network, ca_bundle, uv_env, deadline } = self;
        let names: Vec<&str> = uv_env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Options")
            .field("root", root)
            .field("image", image)
            .field("user", user)
            .field("network", network)
            .field("ca_bundle", ca_bundle)
            .field("uv_env", &names)
            .field("deadline", deadline)
            .finish()
    }
}

/// Why an environment is not there.
#[derive(Debug, Error)]
pub enum EnvironmentError {
    /// uv could not resolve or install the requirements.
    #[error("the dependencies could not be prepared: {summary}")]
    Dependency {
        /// uv's own reason, in one line.
        summary: String,
        /// Everything that uv printed (its end, if it was long).
        output: String,
    },
    /// The worker image lacks what a preparation needs: a shell, uv, or Python.
    #[error(
        "the worker image cannot prepare environments (exit code {code}: {reason}); WORKER_BASE_IMAGE must name an image with /bin/sh, uv and Python"
    )]
    Worker {
        /// 126: something may not be executed; 127: something is not there.
        code: i64,
        /// The shell's words.
        reason: String,
    },
    /// The wanted Python is neither in the image nor to be had.
    #[error(
        "Python {version} is not in the worker image and could not be fetched: {reason}; ask for another `python_version`, \
         use a worker image that has it, or let the server reach the place uv fetches it from (UV_PYTHON_INSTALL_MIRROR, UV_PYTHON_DOWNLOADS_JSON_URL)"
    )]
    Python {
        /// What was asked for.
        version: String,
        /// uv's reason.
        reason: String,
    },
    /// It took too long.
    #[error("preparing the dependencies took longer than {seconds} s")]
    Deadline {
        /// The limit in seconds.
        seconds: u64,
    },
    /// Docker.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The book of environments.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Files of this machine.
    #[error("the environments folder cannot be used ({what}): {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
    /// The building task died.
    #[error("the preparation was interrupted")]
    Interrupted,
}

/// A sealed environment, ready to be mounted.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// What is known of it.
    pub sealed: Arc<Sealed>,
    /// Its folder on this machine, to be mounted at [`Prepared::target`] read-only.
    pub folder: PathBuf,
    /// The folder of the Pythons that uv fetched, when the pipeline asked for one: the environment leads into it.
    pub pythons: Option<PathBuf>,
    /// Seconds that this call took.
    pub seconds: f64,
}

impl Prepared {
    /// What a run needs to see of it, read-only: folders on this machine and where they belong.
    #[must_use]
    pub fn mounts(&self) -> Vec<(PathBuf, String)> {
        let mut mounts = vec![(self.folder.clone(), self.target())];
        mounts.extend(self.pythons.clone().map(|pythons| (pythons, format!("{MOUNT}/pythons"))));
        mounts
    }

    /// Where its folder must be mounted.
    #[must_use]
    pub fn target(&self) -> String {
        target(&self.sealed.key)
    }

    /// Its interpreter, inside the container.
    #[must_use]
    pub fn python(&self) -> String {
        format!("{}/bin/python", self.target())
    }
}

fn target(key: &str) -> String {
    format!("{MOUNT}/environments/{key}")
}

type BuildResult = Result<Arc<Sealed>, Arc<EnvironmentError>>;
type Building = watch::Receiver<Option<BuildResult>>;

/// The handle to the environments. Cheap to clone.
#[derive(Clone)]
pub struct Environments {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    engine: Arc<dyn Engine>,
    /// The book of environments: when each was last used.
    store: Store,
    clock: SharedClock,
    /// Builds under way, by input key.
    building: Mutex<HashMap<String, Building>>,
    /// One installation per environment key, even when different inputs lead to it.
    installing: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Names of the preparation containers that builds of this process use.
    in_use: build::Names,
    /// When the use of an environment was last written down.
    noted: Mutex<HashMap<String, Millis>>,
    /// Builds share it; whoever deletes has it alone.
    tidying: tokio::sync::RwLock<()>,
    /// What the last look at the disk found.
    link_mode: &'static str,
}

impl Environments {
    /// Lays out the folder.
    ///
    /// # Errors
    /// [`EnvironmentError::Io`] when the folder cannot be made or given to the preparation user.
    pub fn open(
        options: Options,
        engine: Arc<dyn Engine>,
        store: Store,
        clock: SharedClock,
    ) -> Result<Self, EnvironmentError> {
        seal::lay_out(&options)?;
        let link_mode = seal::link_mode(&options.root);
        if link_mode != "hardlink" {
            tracing::warn!(
                "environments are copied from uv's cache, for files cannot be linked within {}; they take twice the room",
                options.root.display()
            );
        }
        Ok(Self {
            inner: Arc::new(Inner {
                options,
                engine,
                store,
                clock,
                building: Mutex::default(),
                installing: Mutex::default(),
                in_use: build::Names::default(),
                noted: Mutex::default(),
                tidying: tokio::sync::RwLock::default(),
                link_mode,
            }),
        })
    }

    /// What a container needs to see to find any environment, now or later: for those that are started before it is known
    /// which one they will need. The folder can be entered and not listed, and a key cannot be guessed.
    #[must_use]
    pub fn all_mounts(&self) -> Vec<(PathBuf, String)> {
        ["environments", "pythons"].map(|name| (self.inner.options.root.join(name), format!("{MOUNT}/{name}"))).to_vec()
    }

    /// Whether the folders belong to this user id, who may list them then.
    #[must_use]
    pub fn belongs_to(&self, uid: u32) -> bool {
        seal::owner(&self.inner.options.root).is_none_or(|owner| owner == uid)
    }

    /// Whether a start with these inputs would have to build something first, without asking anybody.
    pub async fn is_ready(&self, inputs: &Inputs, image: &Image) -> bool {
        matches!(self.known(inputs, &image.id).await, Ok(Some(_)))
    }

    /// The sealed environment of these inputs, if there is one; its files are not looked at.
    ///
    /// # Errors
    /// [`EnvironmentError::Io`].
    pub async fn known(&self, inputs: &Inputs, image: &str) -> Result<Option<Sealed>, EnvironmentError> {
        let (root, inputs, image) = (self.inner.options.root.clone(), inputs.clone(), image.to_owned());
        blocking("looking for an environment", move || {
            let Some(lock) = seal::find_lock(&root, &inputs, &image)? else { return Ok(None) };
            seal::known(&root, &inputs::environment_key(&lock, &inputs, &image))
        })
        .await
    }

    /// Whether preparation uses the instance's own network.
    #[must_use]
    pub fn needs_network(&self) -> bool {
        self.inner.options.network == Network::Own
    }

    /// Whether files are linked from uv's cache into environments (`hardlink`) or must be copied (`copy`).
    #[must_use]
    pub fn link_mode(&self) -> &'static str {
        self.inner.link_mode
    }

    /// Whether somebody builds for these inputs right now.
    #[must_use]
    pub fn is_building(&self, inputs: &Inputs, image: &Image) -> bool {
        let key = inputs.key(&image.id);
        self.inner.building.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&key)
    }

    /// Whether a build of this process uses the container of that name; all others were left behind.
    #[must_use]
    pub fn is_using(&self, container: &str) -> bool {
        self.inner.in_use.lock().unwrap_or_else(PoisonError::into_inner).contains(container)
    }

    /// The environment for `inputs`, built if need be. Safe to drop at any time: a build that others wait for goes on.
    ///
    /// # Errors
    /// [`EnvironmentError`], shared by all who waited for the same build.
    pub async fn prepare(&self, inputs: &Inputs, image: &Image) -> Result<Prepared, Arc<EnvironmentError>> {
        let begin = self.inner.clock.now();
        if let Some(ready) = self.ready(inputs, image).await.map_err(Arc::new)? {
            return Ok(ready);
        }
        let sealed = self.join_or_build(inputs, image).await?;
        Ok(self.prepared(sealed, inputs, begin))
    }

    /// The environment for `inputs`, if it is there.
    ///
    /// # Errors
    /// [`EnvironmentError::Io`].
    pub async fn ready(&self, inputs: &Inputs, image: &Image) -> Result<Option<Prepared>, EnvironmentError> {
        let begin = self.inner.clock.now();
        // What is found must not be deleted before it is noted as used.
        let _nobody_tidies = self.inner.tidying.read().await;
        let Some(sealed) = self.find(inputs, image).await? else { return Ok(None) };
        self.note_use(&sealed).await;
        Ok(Some(self.prepared(sealed, inputs, begin)))
    }

    fn prepared(&self, sealed: Arc<Sealed>, inputs: &Inputs, begin: Millis) -> Prepared {
        let folder = seal::folder(&self.inner.options.root, &sealed.key);
        let pythons = inputs.python.as_ref().map(|_| self.inner.options.root.join("pythons"));
        Prepared { sealed, folder, pythons, seconds: self.inner.clock.now().seconds_since(begin).max(0.0) }
    }

    /// Writes into the book that somebody uses an environment now, if that was not written a moment ago. The book is needed
    /// for tidying alone, which leaves alone what was used within the hour.
    async fn note_use(&self, sealed: &Sealed) {
        let now = self.inner.clock.now();
        {
            let mut noted = self.inner.noted.lock().unwrap_or_else(PoisonError::into_inner);
            if noted.get(&sealed.key).is_some_and(|at| (0.0..NOTED_EVERY_SECONDS).contains(&now.seconds_since(*at))) {
                return;
            }
            noted.retain(|_, at| now.seconds_since(*at) < NOTED_EVERY_SECONDS);
            noted.insert(sealed.key.clone(), now);
        }
        let row = EnvironmentRow {
            key: sealed.key.clone(),
            state: EnvironmentState::Ready,
            lock_hash: None,
            python: Some(sealed.python_version.clone()),
            image: Some(sealed.image.clone()),
            uv_version: Some(sealed.uv_version.clone()),
            link_mode: Some(sealed.link_mode.clone()),
            size_bytes: i64::try_from(sealed.size_bytes).ok(),
            seconds: Some(sealed.seconds),
            error: None,
            built_at: Some(Millis(sealed.built_at)),
            last_used_at: Some(now),
        };
        if let Err(error) = self.inner.store.upsert_environment(&row, now).await {
            self.inner.noted.lock().unwrap_or_else(PoisonError::into_inner).remove(&sealed.key);
            tracing::warn!(environment = sealed.key, %error, "the use of an environment could not be noted: {error}");
        }
    }

    async fn find(&self, inputs: &Inputs, image: &Image) -> Result<Option<Arc<Sealed>>, EnvironmentError> {
        let (root, inputs, image) = (self.inner.options.root.clone(), inputs.clone(), image.id.clone());
        blocking("looking for an environment", move || {
            let Some(lock) = seal::find_lock(&root, &inputs, &image)? else { return Ok(None) };
            seal::find(&root, &inputs::environment_key(&lock, &inputs, &image))
        })
        .await
        .map(|found| found.map(Arc::new))
    }

    async fn join_or_build(&self, inputs: &Inputs, image: &Image) -> BuildResult {
        let key = inputs.key(&image.id);
        let mut result = {
            let mut building = self.inner.building.lock().unwrap_or_else(PoisonError::into_inner);
            match building.get(&key) {
                Some(present) => present.clone(),
                None => {
                    let (publish, receiver) = watch::channel(None);
                    building.insert(key.clone(), receiver.clone());
                    let (this, inputs, image) = (self.clone(), inputs.clone(), image.clone());
                    tokio::spawn(async move {
                        let result = this.build(&inputs, &image).await.map(Arc::new).map_err(Arc::new);
                        this.inner.building.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
                        publish.send_replace(Some(result));
                    });
                    receiver
                }
            }
        };
        match result.wait_for(Option::is_some).await {
            Ok(value) => value.clone().unwrap_or_else(|| Err(Arc::new(EnvironmentError::Interrupted))),
            Err(_) => Err(Arc::new(EnvironmentError::Interrupted)),
        }
    }

    async fn build(&self, inputs: &Inputs, image: &Image) -> Result<Sealed, EnvironmentError> {
        let limit = self.inner.options.deadline;
        let begin = self.inner.clock.now();
        let built = tokio::time::timeout(limit, self.build_steps(inputs, image))
            .await
            .map_err(|_| EnvironmentError::Deadline { seconds: limit.as_secs() })
            .flatten();
        crate::meters::environment_built(built.is_ok(), self.inner.clock.now().seconds_since(begin));
        built
    }

    async fn build_steps(&self, inputs: &Inputs, image: &Image) -> Result<Sealed, EnvironmentError> {
        let Inner { options, engine, clock, in_use, .. } = &*self.inner;
        let begin = clock.now();
        let _nobody_tidies = self.inner.tidying.read().await;
        let _nobody_here_or_elsewhere = seal::lock(&options.root, seal::TIDY, Mode::Shared, BUSY).await?;
        let worker = build::Worker { options, engine, image, in_use };
        worker.fetch_python(inputs).await?;

        let root = options.root.clone();
        let (for_lock, id) = (inputs.clone(), image.id.clone());
        let known = blocking("reading the lock", move || seal::find_lock(&root, &for_lock, &id)).await?;
        let lock = match known {
            Some(lock) => lock,
            None => {
                let lock = worker.resolve(inputs).await?;
                seal::store_lock(&options.root, &inputs.key(&image.id), &lock)?;
                lock
            }
        };

        let key = inputs::environment_key(&lock, inputs, &image.id);
        let one_at_a_time = {
            let mut installing = self.inner.installing.lock().unwrap_or_else(PoisonError::into_inner);
            installing.entry(key.clone()).or_default().clone()
        };
        let _guard = one_at_a_time.lock().await;
        let _of_all_servers = seal::lock(&options.root, &format!("{key}.build"), Mode::Alone, options.deadline).await?;
        let (root, wanted) = (options.root.clone(), key.clone());
        if let Some(sealed) = blocking("looking for an environment", move || seal::find(&root, &wanted)).await? {
            return Ok(sealed);
        }
        tracing::info!(environment = key, "building environment {key}");
        seal::discard(&options.root, &key)?;
        let report = worker.install(&key, &lock, inputs).await?;
        let (root, of) = (options.root.clone(), key.clone());
        let measured = blocking("measuring an environment", move || {
            seal::protect(&root, &of)?;
            Sealed::measure(&root, &of)
        })
        .await?;
        let sealed = Sealed {
            built_at: clock.now().0,
            seconds: clock.now().seconds_since(begin),
            uv_version: report.uv_version,
            python_version: report.python_version,
            image: image.id.clone(),
            lock,
            built: report.built,
            ..measured
        };
        seal::store(&options.root, &sealed)?;
        self.note_use(&sealed).await;
        tracing::info!(
            environment = key,
            seconds = sealed.seconds,
            link_mode = sealed.link_mode,
            "environment {key} is sealed after {:.1} s",
            sealed.seconds
        );
        Ok(sealed)
    }
}

async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, EnvironmentError> + Send + 'static,
) -> Result<T, EnvironmentError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| EnvironmentError::Io { what, source: std::io::Error::other(error) })?
}
