//! What the code of this moment needs of the environments: which one a pipeline has, and which may go.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use fastflow_shared::{EnvironmentState, LockedPackage, PipelineEnvironment};
use thiserror::Error;

use super::Sync;
use crate::catalog::Pipeline;
use crate::domain::clock::Millis;
use crate::engine::EngineError;
use crate::environments::{EnvironmentError, Inputs, NamedBy, Pin, Sealed, pins};
use crate::store::StoreError;

/// Why environments could not be looked at.
#[derive(Debug, Error)]
pub enum TidyError {
    /// Docker, which knows the worker image.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The environments.
    #[error(transparent)]
    Environments(#[from] EnvironmentError),
}

impl Sync {
    /// The environment that a start of `pipeline` now would use.
    ///
    /// # Errors
    /// [`TidyError`] when the disk or the database cannot be read. Without Docker, it is not known which one it is.
    pub async fn environment(&self, pipeline: &Pipeline) -> Result<PipelineEnvironment, TidyError> {
        let inner = &self.inner;
        let readiness = self.readiness(pipeline);
        let mut shown = PipelineEnvironment {
            state: readiness.state,
            error: readiness.error,
            named_by: None,
            key: None,
            python_version: None,
            uv_version: None,
            image_id: None,
            built_at: None,
            build_seconds: None,
            last_used_at: None,
            size_bytes: None,
            files: None,
            link_mode: None,
            packages: Vec::new(),
        };
        let inputs = match inputs_of(pipeline).await {
            Ok(inputs) => inputs,
            Err(error) => {
                shown.state = EnvironmentState::Failed;
                shown.error = Some(error.to_string());
                return Ok(shown);
            }
        };
        shown.named_by = named_by(&inputs).map(str::to_owned);
        let Ok(image) = inner.engine.ensure_image(&inner.options.image).await else { return Ok(shown) };
        let Some(sealed) = inner.environments.known(&inputs, &image.id).await? else { return Ok(shown) };
        let row = inner.store.environment(&sealed.key).await?;
        shown.state = EnvironmentState::Ready;
        shown.error = None;
        shown.last_used_at = row.and_then(|row| row.last_used_at).map(Millis::to_utc);
        fill(&mut shown, sealed);
        Ok(shown)
    }

    /// How uv puts packages into environments: `hardlink` or `copy`.
    #[must_use]
    pub fn link_mode(&self) -> &str {
        self.inner.environments.link_mode()
    }

    /// Keys of the environments that runs need which have not ended, and that a start of a pipeline would use. `None` when
    /// that is not known, because some run cannot be read.
    ///
    /// # Errors
    /// [`TidyError`], also when Docker is away, which knows the worker image.
    pub async fn environments_in_use(&self) -> Result<Option<HashSet<String>>, TidyError> {
        let inner = &self.inner;
        let image = inner.engine.ensure_image(&inner.options.image).await?;
        let mut in_use = HashSet::new();
        for pipeline in inner.catalog.snapshot().pipelines.values() {
            let Ok(inputs) = inputs_of(pipeline).await else { continue };
            in_use.extend(inner.environments.known(&inputs, &image.id).await?.map(|sealed| sealed.key));
        }
        let (rows, broken) = inner.store.unfinished_runs().await?;
        in_use.extend(rows.into_iter().filter_map(|row| row.environment_key));
        // Which environment such a run has mounted nobody knows.
        Ok(broken.is_empty().then_some(in_use))
    }
}

async fn inputs_of(pipeline: &Pipeline) -> std::io::Result<Inputs> {
    let (folder, settings) = (pipeline.folder.clone(), pipeline.settings.clone());
    let read = move || Inputs::read(Path::new(&folder), &settings);
    tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other)?
}

fn named_by(inputs: &Inputs) -> Option<&'static str> {
    match inputs.named_by {
        NamedBy::Nobody => None,
        NamedBy::Requirements if inputs.committed_lock.is_some() => Some("requirements.txt.lock"),
        NamedBy::Requirements => Some("requirements.txt"),
        NamedBy::Script => Some("main.py"),
        NamedBy::UvLock => Some("uv.lock"),
    }
}

fn fill(shown: &mut PipelineEnvironment, sealed: Sealed) {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let plain = |name: &str| name.to_ascii_lowercase().replace(['-', '.'], "_");
    let built: HashSet<String> = sealed.built.iter().filter_map(|file| file.split('-').next()).map(plain).collect();
    // A lock may name packages for other platforms and other Pythons as well.
    let installed: BTreeMap<String, &str> =
        sealed.installed.iter().filter_map(|name| name.split_once('-')).map(|(name, v)| (plain(name), v)).collect();
    let is_there = |pin: &Pin| match (installed.get(&plain(&pin.name)), &pin.version) {
        (Some(there), Some(version)) => there == version,
        (there, _) => there.is_some(),
    };
    shown.packages = pins(&sealed.lock)
        .into_iter()
        .filter(is_there)
        .map(|pin| LockedPackage { built: built.contains(&plain(&pin.name)), name: pin.name, version: pin.version })
        .collect();
    shown.key = Some(sealed.key);
    shown.python_version = Some(sealed.python_version);
    shown.uv_version = Some(sealed.uv_version);
    shown.image_id = Some(sealed.image);
    shown.built_at = Some(Millis(sealed.built_at).to_utc());
    shown.build_seconds = Some(sealed.seconds);
    shown.size_bytes = Some(number(sealed.size_bytes));
    shown.files = Some(number(sealed.files));
    shown.link_mode = Some(sealed.link_mode);
}
