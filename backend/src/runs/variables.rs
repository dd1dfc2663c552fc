//! What a run finds in its environment, and what of that must not be seen in its output.

use std::collections::BTreeMap;

use fastflow_shared::ErrorType;

use super::Runs;
use super::drive::{Driver, NotStarted};
use super::pump::Veil;
use crate::domain::env::{MAX_TOTAL_BYTES, Merged, Source};
use crate::domain::mask::{Mask, TooMuch};
use crate::domain::pipeline::Settings;
use crate::store::StoreError;

impl Driver {
    /// The run's variables, decided now: secrets are those of this moment. Also what hides the secret ones.
    pub(super) async fn variables(&self, settings: &Settings) -> Result<(Merged, Veil), NotStarted> {
        let rooms = &self.runs.inner.rooms;
        let spec = &self.row.spec;
        let refused = |why: String| NotStarted::failed(ErrorType::Docker, format!("The run was not started: {why}."));
        let vault = rooms.vault.open_for(&spec.pipeline_name, settings.secrets.as_deref()).await;
        let vault = vault.map_err(|error| refused(error.to_string()))?;
        let encrypted = settings
            .encrypted_env
            .iter()
            .map(|(name, sealed)| Ok((name.clone(), rooms.vault.open_encrypted(name, sealed)?)))
            .collect::<Result<Vec<_>, crate::vault::VaultError>>()
            .map_err(|error| refused(error.to_string()))?;
        let given: BTreeMap<String, String> = match &spec.sealed_env {
            None => BTreeMap::new(),
            Some(sealed) => {
                rooms.keyring.open(sealed).ok().and_then(|text| serde_json::from_str(&text).ok()).ok_or_else(|| {
                    refused("the values given with it can no longer be opened: was ENCRYPTION_KEY changed?".to_owned())
                })?
            }
        };
        let of_vault = vault.iter().filter(|variable| variable.source.is_secret()).map(|variable| &variable.value);
        let secrets: Vec<String> =
            of_vault.chain(encrypted.iter().map(|(_, value)| value)).chain(given.values()).cloned().collect();

        let mut merged = Merged::default()
            .with(Source::DefaultEnv, settings.default_env.clone())
            .with(Source::EncryptedEnv, encrypted);
        for variable in vault {
            merged = merged.with(variable.source, [(variable.name, variable.value)]);
        }
        let merged = merged.with(Source::Start, spec.parameters.clone()).with(Source::HiddenStart, given);
        let total = merged.total_bytes();
        if total > MAX_TOTAL_BYTES {
            return Err(refused(format!(
                "its variables take {total} bytes, and a process can be given {MAX_TOTAL_BYTES}: hand large values over as \
                 files, or give it fewer secrets, by `secrets` in pipeline.json"
            )));
        }
        self.stored(rooms.store.set_env_names(&spec.id, &merged.names()).await)?;
        let veil = self.veil(secrets).await?;
        Ok((merged, veil))
    }

    /// What hides these secrets. They are kept, sealed, for a server that finds the run after a crash.
    async fn veil(&self, mut secrets: Vec<String>) -> Result<Veil, NotStarted> {
        let rooms = &self.runs.inner.rooms;
        let run = &self.row.spec.id;
        secrets.sort_unstable();
        secrets.dedup();
        if secrets.is_empty() {
            self.stored(rooms.store.clear_run_mask(run).await)?;
            return Ok(Veil::None);
        }
        // A list of texts always becomes JSON.
        let sealed = rooms.keyring.seal(&serde_json::to_string(&secrets).unwrap_or_default());
        self.stored(rooms.store.set_run_mask(run, &sealed).await)?;
        compile(secrets)
            .await
            .map_err(|error| NotStarted::failed(ErrorType::Docker, format!("The run was not started: {error}.")))
    }
}

impl Runs {
    /// What hides the secrets of a run that was found: those that it was started with.
    pub(super) async fn veil_of(&self, run: &str) -> Result<Veil, StoreError> {
        let rooms = &self.inner.rooms;
        let Some(sealed) = rooms.store.run_mask(run).await? else { return Ok(Veil::None) };
        let opened = rooms.keyring.open(&sealed).ok().and_then(|text| serde_json::from_str(&text).ok());
        let veil = match opened {
            Some(secrets) => compile(secrets).await.ok(),
            None => None,
        };
        Ok(veil.unwrap_or_else(|| {
            tracing::error!(run, "the secrets of run {run} cannot be opened any more; its output is withheld");
            Veil::Everything
        }))
    }

    /// The run has ended: its secrets are not needed any more. What stays is found by the next sweep.
    pub(super) async fn forget_secrets(&self, run: &str) {
        if let Err(error) = self.inner.rooms.store.clear_run_mask(run).await {
            tracing::warn!(run, %error, "the sealed secrets of run {run} stay until the next sweep: {error}");
        }
    }
}

async fn compile(secrets: Vec<String>) -> Result<Veil, TooMuch> {
    // Large secrets take some milliseconds.
    let compiled = tokio::task::spawn_blocking(move || Mask::new(secrets.iter().map(String::as_str))).await;
    match compiled {
        Ok(mask) => Ok(mask?.map_or(Veil::None, Veil::Secrets)),
        // Only when the server goes down; then nothing is shown.
        Err(_) => Ok(Veil::Everything),
    }
}
