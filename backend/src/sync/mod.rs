//! Brings the pipelines' code up to date and prepares their environments ahead of time, so that a start finds them ready.
//!
//! Today the code is a plain folder that is looked at again and again; whoever changes it needs no call.

mod environments;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use fastflow_shared::{EnvironmentState, LiveEvent, SyncStatus};
use thiserror::Error;

use crate::catalog::{Catalog, CatalogError, Changes, Pipeline};
use crate::domain::clock::{Millis, SharedClock};
use crate::engine::Engine;
use crate::environments::{EnvironmentError, Environments, Inputs};
use crate::runs::Runs;
use crate::store::Store;

pub use environments::TidyError;

/// Seconds after which an environment that could not be built is tried again without a change of the code.
const TRY_AGAIN_SECONDS: f64 = 600.0;

/// How code is synced.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether environments are built as soon as a pipeline appears or changes.
    pub pre_heat: bool,
    /// Worker image.
    pub image: String,
}

/// Why a sync failed.
#[derive(Debug, Error)]
pub enum SyncError {
    /// The folder or the database.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// What is known of a pipeline's environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Readiness {
    /// How far it is.
    pub state: EnvironmentState,
    /// uv's message when it could not be built.
    pub error: Option<String>,
    fingerprint: u64,
    noted_at: Millis,
}

/// The handle to the sync. Cheap to clone.
#[derive(Clone)]
pub struct Sync {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    catalog: Catalog,
    environments: Environments,
    engine: Arc<dyn Engine>,
    runs: Runs,
    store: Store,
    clock: SharedClock,
    readiness: RwLock<BTreeMap<String, Readiness>>,
    heating: tokio::sync::Mutex<()>,
}

/// The rooms that a sync needs.
pub struct Rooms {
    /// The list of pipelines.
    pub catalog: Catalog,
    /// Sealed environments.
    pub environments: Environments,
    /// Docker, for the image.
    pub engine: Arc<dyn Engine>,
    /// To tell everybody.
    pub runs: Runs,
    /// The database.
    pub store: Store,
    /// Time.
    pub clock: SharedClock,
}

impl Sync {
    /// Nothing is looked at yet.
    #[must_use]
    pub fn new(options: Options, rooms: Rooms) -> Self {
        let Rooms { catalog, environments, engine, runs, store, clock } = rooms;
        Self {
            inner: Arc::new(Inner {
                options,
                catalog,
                environments,
                engine,
                runs,
                store,
                clock,
                readiness: RwLock::default(),
                heating: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// Looks at the code, and prepares what changed in the background. Jobs are none of its business: `schedule` looks at the
    /// same list of pipelines by itself.
    ///
    /// # Errors
    /// [`SyncError`]; what was live stays live.
    pub async fn run(&self) -> Result<Changes, SyncError> {
        let first = self.inner.catalog.snapshot().read_at.is_none();
        let changes = self.inner.catalog.refresh().await?;
        if first || !changes.is_empty() {
            let event = LiveEvent { kind: "sync".into(), id: String::new(), pipeline_name: None, status: None };
            self.inner.runs.announce(event);
        }
        // Also without a change: Docker may have been away when something changed, or the package index.
        if self.wants_heat() {
            let this = self.clone();
            tokio::spawn(async move { this.heat().await });
        }
        Ok(changes)
    }

    /// Whether a pipeline's environment should be looked at, and nobody does so now.
    fn wants_heat(&self) -> bool {
        let snapshot = self.inner.catalog.snapshot();
        let wanted = |p: &Arc<Pipeline>| p.is_valid() && self.known(p).is_none();
        self.inner.heating.try_lock().is_ok() && snapshot.pipelines.values().any(wanted)
    }

    /// What was found out about this very state of the pipeline, if it still counts.
    fn known(&self, pipeline: &Pipeline) -> Option<Readiness> {
        let known = self.inner.readiness.read().unwrap_or_else(PoisonError::into_inner).get(&pipeline.name).cloned()?;
        let counts = match known.state {
            EnvironmentState::Building | EnvironmentState::Ready => true,
            // What failed may work later without a change: a package that was missing has been published.
            EnvironmentState::Failed | EnvironmentState::Unknown => {
                self.inner.clock.now().seconds_since(known.noted_at) < TRY_AGAIN_SECONDS
            }
        };
        (counts && known.fingerprint == pipeline.fingerprint).then_some(known)
    }

    /// How far a pipeline's environment is.
    #[must_use]
    pub fn readiness(&self, pipeline: &Pipeline) -> Readiness {
        self.known(pipeline).unwrap_or_else(|| Readiness {
            state: EnvironmentState::Unknown,
            error: None,
            fingerprint: pipeline.fingerprint,
            noted_at: self.inner.clock.now(),
        })
    }

    /// What the last looks found.
    #[must_use]
    pub fn status(&self) -> SyncStatus {
        let snapshot = self.inner.catalog.snapshot();
        let head = snapshot.head.clone();
        SyncStatus {
            source: "folder".to_owned(),
            branch: head.as_ref().and_then(|head| head.branch.clone()),
            commit: head.as_ref().map(|head| head.commit.clone()),
            commit_subject: head.as_ref().map(|head| head.subject.clone()),
            commit_author: head.map(|head| head.author),
            last_sync_at: snapshot.read_at.map(Millis::to_utc),
            last_error: snapshot.error.clone(),
            added: snapshot.changes.added.clone(),
            changed: snapshot.changes.changed.clone(),
            removed: snapshot.changes.removed.clone(),
            invalid: snapshot.pipelines.values().filter(|p| !p.is_valid()).map(|p| p.name.clone()).collect(),
            pipelines: i32::try_from(snapshot.pipelines.len()).unwrap_or(i32::MAX),
        }
    }

    /// Prepares the environments of all pipelines that need it, one after the other: runs come first on a small machine.
    async fn heat(&self) {
        let _one_at_a_time = self.inner.heating.lock().await;
        let image = match self.inner.engine.ensure_image(&self.inner.options.image).await {
            Ok(image) => image,
            Err(error) => {
                tracing::warn!(%error, "environments are not prepared ahead: {error}");
                return;
            }
        };
        let snapshot = self.inner.catalog.snapshot();
        for pipeline in snapshot.pipelines.values().filter(|pipeline| pipeline.is_valid()) {
            if self.inner.runs.is_closing() {
                return;
            }
            if self.known(pipeline).is_some() {
                continue;
            }
            let (folder, settings) = (pipeline.folder.clone(), pipeline.settings.clone());
            let read = tokio::task::spawn_blocking(move || Inputs::read(&folder, &settings)).await;
            let inputs = match read.map_err(std::io::Error::other).flatten() {
                Ok(inputs) => inputs,
                Err(error) => {
                    self.note(pipeline, EnvironmentState::Failed, Some(error.to_string()));
                    continue;
                }
            };
            if self.inner.environments.is_ready(&inputs, &image).await {
                self.note(pipeline, EnvironmentState::Ready, None);
                continue;
            }
            if !self.inner.options.pre_heat {
                self.note(pipeline, EnvironmentState::Unknown, None);
                continue;
            }
            self.note(pipeline, EnvironmentState::Building, None);
            match self.inner.environments.prepare(&inputs, &image).await {
                Ok(prepared) => {
                    self.note(pipeline, EnvironmentState::Ready, None);
                    let (name, key, now) = (&pipeline.name, &prepared.sealed.key, self.inner.clock.now());
                    if let Err(error) = self.inner.store.set_pipeline_environment(name, Some(key), Some(now)).await {
                        tracing::warn!(%error, pipeline = name, "the preparation could not be noted: {error}");
                    }
                }
                Err(error) => {
                    let message = error.to_string();
                    // A fault of Docker's or ours says nothing of the requirements: the next start tries again.
                    let state = match &*error {
                        EnvironmentError::Dependency { .. } | EnvironmentError::Python { .. } => {
                            EnvironmentState::Failed
                        }
                        _ => EnvironmentState::Unknown,
                    };
                    tracing::warn!(
                        pipeline = pipeline.name,
                        "the environment of {} is not ready: {message}",
                        pipeline.name
                    );
                    self.note(pipeline, state, Some(message));
                }
            }
        }
    }

    fn note(&self, pipeline: &Pipeline, state: EnvironmentState, error: Option<String>) {
        let noted_at = self.inner.clock.now();
        let readiness = Readiness { state, error, fingerprint: pipeline.fingerprint, noted_at };
        self.inner.readiness.write().unwrap_or_else(PoisonError::into_inner).insert(pipeline.name.clone(), readiness);
        self.inner.runs.announce(LiveEvent {
            kind: "pipeline".into(),
            id: pipeline.name.clone(),
            pipeline_name: Some(pipeline.name.clone()),
            status: None,
        });
    }
}
