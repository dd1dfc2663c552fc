//! What a run finds in its environment, and what of that must not be seen in its output.

use std::collections::BTreeMap;

use fastflow_shared::ErrorType;

use super::Runs;
use super::drive::{Driver, NotStarted};
use super::pump::Veil;
use crate::domain::env::{Merged, Source};
use crate::domain::mask::{Mask, TooMuch};
use crate::domain::pipeline::Settings;
use crate::store::StoreError;

/// What a run finds in its environment.
pub(super) struct Variables {
    /// Name, value and source of each.
    pub merged: Merged,
    /// What hides the secret ones.
    pub veil: Veil,
    /// Those, sealed, for a server that finds the run after a crash.
    pub mask: Option<String>,
}

impl Driver {
    /// The run's variables, decided now: secrets are those of this moment.
    pub(super) async fn variables(&self, settings: &Settings) -> Result<Variables, NotStarted> {
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
        let (veil, mask) = self.veil(secrets).await?;
        Ok(Variables { merged, veil, mask })
    }

    /// What hides these secrets, and they themselves, sealed.
    async fn veil(&self, mut secrets: Vec<String>) -> Result<(Veil, Option<String>), NotStarted> {
        secrets.sort_unstable();
        secrets.dedup();
        if secrets.is_empty() {
            return Ok((Veil::None, None));
        }
        // A list of texts always becomes JSON.
        let sealed = self.runs.inner.rooms.keyring.seal(&serde_json::to_string(&secrets).unwrap_or_default());
        let veil = compile(secrets)
            .await
            .map_err(|error| NotStarted::failed(ErrorType::Docker, format!("The run was not started: {error}.")))?;
        Ok((veil, Some(sealed)))
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
