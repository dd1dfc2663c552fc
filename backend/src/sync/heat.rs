//! Environments ahead of time: which pipeline's is how far, and building what is missing, before a commit is switched to (the
//! gate) and in the background.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use fastflow_shared::{EnvironmentState, LiveEvent};
use futures_util::{StreamExt, stream};

use super::{Sync, pull::Log};
use crate::catalog::{Broken, Pipeline};
use crate::domain::clock::Millis;
use crate::engine::Image;
use crate::environments::{EnvironmentError, Inputs};

/// Seconds after which an environment that could not be built is tried again without a change of the code.
const TRY_AGAIN_SECONDS: f64 = 600.0;

/// Environments that the gate builds at a time: runs come first on a small machine.
const AT_A_TIME: usize = 2;

/// How long new code may be held back by builds. Then it goes live all the same, and they go on.
const GATE_DEADLINE: Duration = Duration::from_secs(30 * 60);

/// Words of uv's that tell of the network and not of the requirements: a start tries again.
const PASSING: [&str; 6] =
    ["Failed to fetch", "error sending request", "Request failed", "dns error", "Could not connect", "timed out"];

/// What is known of a pipeline's environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Readiness {
    /// How far it is.
    pub state: EnvironmentState,
    /// uv's message when it could not be built.
    pub error: Option<String>,
    noted_at: Millis,
}

/// By name and state of the files.
pub(super) type Known = BTreeMap<(String, u64), Readiness>;

fn key(pipeline: &Pipeline) -> (String, u64) {
    (pipeline.name.clone(), pipeline.fingerprint)
}

impl Sync {
    /// How far a pipeline's environment is.
    #[must_use]
    pub fn readiness(&self, pipeline: &Pipeline) -> Readiness {
        self.known(pipeline).unwrap_or_else(|| Readiness {
            state: EnvironmentState::Unknown,
            error: None,
            noted_at: self.inner.clock.now(),
        })
    }

    /// Prepares in the background what is missing of the present pipelines, unless somebody does so already.
    pub(super) fn heat_in_background(&self) {
        let snapshot = self.inner.catalog.snapshot();
        let wanted = |p: &Arc<Pipeline>| p.is_valid() && self.known(p).is_none();
        if self.inner.heating.try_lock().is_ok() && snapshot.pipelines.values().any(wanted) {
            let this = self.clone();
            tokio::spawn(async move {
                let _one_at_a_time = this.inner.heating.lock().await;
                let pipelines = this.inner.catalog.snapshot().pipelines.values().cloned().collect();
                this.forget_others(&[&this.inner.catalog.snapshot().pipelines]);
                this.prepare_all(pipelines, 1, false, &Log::silent()).await;
            });
        }
    }

    /// Builds what new code needs, before it goes live.
    pub(super) async fn gate(&self, pipelines: &BTreeMap<String, Arc<Pipeline>>, log: &Log) {
        let _one_at_a_time = self.inner.heating.lock().await;
        self.forget_others(&[pipelines, &self.inner.catalog.snapshot().pipelines]);
        let all = pipelines.values().cloned().collect();
        if tokio::time::timeout(GATE_DEADLINE, self.prepare_all(all, AT_A_TIME, true, log)).await.is_err() {
            log.say("the environments take too long: the new code goes live, and they are built meanwhile");
        }
    }

    /// Lets what failed be tried again now.
    pub(super) fn retry_failed(&self) {
        let mut known = self.inner.readiness.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, readiness| matches!(readiness.state, EnvironmentState::Ready | EnvironmentState::Building));
    }

    /// What was found out about this very state of the pipeline, if it still counts.
    fn known(&self, pipeline: &Pipeline) -> Option<Readiness> {
        let known = self.inner.readiness.read().unwrap_or_else(PoisonError::into_inner).get(&key(pipeline)).cloned()?;
        let counts = match known.state {
            EnvironmentState::Building | EnvironmentState::Ready => true,
            // What failed may work later without a change: a package that was missing has been published.
            EnvironmentState::Failed | EnvironmentState::Unknown => {
                self.inner.clock.now().seconds_since(known.noted_at) < TRY_AGAIN_SECONDS
            }
        };
        counts.then_some(known)
    }

    /// Forgets what is known of pipelines that are in none of these lists.
    fn forget_others(&self, lists: &[&BTreeMap<String, Arc<Pipeline>>]) {
        let mut known = self.inner.readiness.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(name, print), _| {
            lists.iter().any(|list| list.get(name).is_some_and(|pipeline| pipeline.fingerprint == *print))
        });
    }

    async fn prepare_all(&self, pipelines: Vec<Arc<Pipeline>>, at_a_time: usize, gate: bool, log: &Log) {
        let image = match self.inner.engine.ensure_image(&self.inner.options.image).await {
            Ok(image) => image,
            Err(error) => {
                log.say(&format!("environments are not prepared ahead: {error}"));
                tracing::warn!(%error, "environments are not prepared ahead: {error}");
                return;
            }
        };
        let wanted = pipelines.into_iter().filter(|p| p.is_valid() && self.known(p).is_none());
        let work = stream::iter(wanted).for_each_concurrent(at_a_time, |pipeline| {
            let image = &image;
            async move {
                if !self.inner.runs.is_closing() {
                    self.prepare(&pipeline, image, gate, log).await;
                }
            }
        });
        work.await;
    }

    async fn prepare(&self, pipeline: &Arc<Pipeline>, image: &Image, gate: bool, log: &Log) {
        let name = &pipeline.name;
        let (folder, settings) = (pipeline.folder.clone(), pipeline.settings.clone());
        let read = tokio::task::spawn_blocking(move || Inputs::read(&folder, &settings)).await;
        let inputs = match read.map_err(std::io::Error::other).flatten() {
            Ok(inputs) => inputs,
            Err(error) => {
                log.say(&format!("{name}: the requirements cannot be read: {error}"));
                self.note(pipeline, EnvironmentState::Failed, Some(error.to_string()));
                return;
            }
        };
        if self.inner.environments.is_ready(&inputs, image).await {
            self.note(pipeline, EnvironmentState::Ready, None);
            return;
        }
        if !self.inner.options.pre_heat {
            self.note(pipeline, EnvironmentState::Unknown, None);
            return;
        }
        self.note(pipeline, EnvironmentState::Building, None);
        log.say(&format!("{name}: building its environment"));
        match self.inner.environments.prepare(&inputs, image).await {
            Ok(prepared) => {
                self.note(pipeline, EnvironmentState::Ready, None);
                self.inner.catalog.mark_broken(pipeline, None);
                log.say(&format!("{name}: its environment is ready after {:.1} s", prepared.seconds));
                let (key, now) = (&prepared.sealed.key, self.inner.clock.now());
                match self.inner.store.set_pipeline_environment(name, Some(key), Some(now)).await {
                    // A new pipeline is in the database only when it is live.
                    Err(error) if !error.is_not_found() => {
                        tracing::warn!(%error, pipeline = name, "the preparation could not be noted: {error}");
                    }
                    _ => {}
                }
            }
            Err(error) => {
                let message = error.to_string();
                // A fault of Docker's or ours says nothing of the requirements: the next start tries again.
                let state = match &*error {
                    EnvironmentError::Dependency { summary, output } => {
                        if gate && !PASSING.iter().any(|words| output.contains(words)) {
                            let (summary, output) = (summary.clone(), output.clone());
                            self.inner.catalog.mark_broken(pipeline, Some(Broken { summary, output }));
                        }
                        EnvironmentState::Failed
                    }
                    EnvironmentError::Python { .. } => EnvironmentState::Failed,
                    _ => EnvironmentState::Unknown,
                };
                log.say(&format!("{name}: its environment could not be built: {message}"));
                tracing::warn!(pipeline = name, "the environment of {name} is not ready: {message}");
                self.note(pipeline, state, Some(message));
            }
        }
    }

    fn note(&self, pipeline: &Pipeline, state: EnvironmentState, error: Option<String>) {
        let readiness = Readiness { state, error, noted_at: self.inner.clock.now() };
        self.inner.readiness.write().unwrap_or_else(PoisonError::into_inner).insert(key(pipeline), readiness);
        self.inner.runs.announce(LiveEvent {
            kind: "pipeline".into(),
            id: pipeline.name.clone(),
            pipeline_name: Some(pipeline.name.clone()),
            status: None,
        });
    }
}
