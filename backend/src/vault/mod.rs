//! Secrets and parameters that runs find in their environment. Both are sealed in the database; a parameter's value is
//! shown, a secret's leaves only into a run.

use std::sync::Arc;

use fastflow_shared::{NewVaultEntry, VaultChange, VaultEntry};
use thiserror::Error;
use tracing::warn;

use crate::crypto::{Keyring, OpenError};
use crate::domain::clock::SharedClock;
use crate::domain::env::{self, BadVariable, Source};
use crate::store::{Store, StoreError, VaultRow};

#[cfg(test)]
mod tests;

/// What went wrong with an entry. Never holds a value.
#[derive(Debug, Error)]
pub enum VaultError {
    /// Name or value cannot be an environment variable's.
    #[error(transparent)]
    Bad(#[from] BadVariable),
    /// There is one of that name.
    #[error("there is an entry `{0}` already")]
    Exists(String),
    /// There is none of that name.
    #[error("there is no entry `{0}`")]
    NotFound(String),
    /// The value does not open: the key is another one.
    #[error("the value of `{key}` cannot be opened; check ENCRYPTION_KEY, or save the value again")]
    Unreadable {
        /// Name of the entry.
        key: String,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// The database.
    #[error(transparent)]
    Store(StoreError),
}

/// A variable for a run.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value, in clear.
    pub value: String,
    /// [`Source::Secret`] or [`Source::Parameter`].
    pub source: Source,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Variable").field("name", &self.name).field("source", &self.source).finish_non_exhaustive()
    }
}

/// The vault. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Vault {
    store: Store,
    keyring: Arc<Keyring>,
    clock: SharedClock,
}

impl Vault {
    /// A vault over that database, sealed with those keys.
    #[must_use]
    pub fn new(store: Store, keyring: Arc<Keyring>, clock: SharedClock) -> Self {
        Self { store, keyring, clock }
    }

    /// All entries, sorted by name. A parameter that cannot be opened has no value: one bad entry must not hide the rest.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub async fn list(&self) -> Result<Vec<VaultEntry>, VaultError> {
        let rows = self.store.vault_rows().await.map_err(VaultError::Store)?;
        Ok(rows.into_iter().map(|row| self.shown(row)).collect())
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// [`VaultError::Bad`], [`VaultError::Exists`], [`VaultError::Store`].
    pub async fn create(&self, entry: &NewVaultEntry) -> Result<VaultEntry, VaultError> {
        env::check(&entry.key, &entry.value)?;
        let now = self.clock.now();
        let row = VaultRow {
            key: entry.key.clone(),
            is_secret: entry.is_secret,
            sealed_value: self.keyring.seal(&entry.value),
            created_at: now,
            updated_at: now,
        };
        match self.store.insert_vault_row(&row).await {
            Ok(()) => Ok(self.shown(row)),
            Err(error) if error.is_conflict() => Err(VaultError::Exists(row.key)),
            Err(error) => Err(VaultError::Store(error)),
        }
    }

    /// Gives an entry a new value. A secret can become a parameter only together with one, so this reveals nothing.
    ///
    /// # Errors
    /// [`VaultError::Bad`], [`VaultError::NotFound`], [`VaultError::Store`].
    pub async fn change(&self, key: &str, change: &VaultChange) -> Result<VaultEntry, VaultError> {
        known_form(key)?;
        env::check(key, &change.value)?;
        let sealed = self.keyring.seal(&change.value);
        let changed = self.store.change_vault_row(key, &sealed, change.is_secret, self.clock.now()).await;
        changed.map(|row| self.shown(row)).map_err(|error| of_key(key, error))
    }

    /// Removes an entry.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], [`VaultError::Store`].
    pub async fn delete(&self, key: &str) -> Result<(), VaultError> {
        known_form(key)?;
        self.store.delete_vault_row(key).await.map_err(|error| of_key(key, error))
    }

    /// What a run of `pipeline` finds in its environment, sorted by name: every entry, for every pipeline may have all.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] for the first that does not open: a run without a secret that it needs fails later and
    /// less clearly. And [`VaultError::Store`].
    pub async fn open_for(&self, pipeline: &str) -> Result<Vec<Variable>, VaultError> {
        let rows = self.store.vault_rows().await.map_err(VaultError::Store)?;
        let variables = rows.into_iter().map(|row| self.open(row)).collect::<Result<Vec<_>, _>>()?;
        tracing::debug!(
            pipeline,
            count = variables.len(),
            "opened {} entries of the vault for {pipeline}",
            variables.len()
        );
        Ok(variables)
    }

    /// Names of the entries that do not open. To be looked at when the server starts, so that a wrong key is noticed
    /// before a run fails by it.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub async fn unreadable(&self) -> Result<Vec<String>, VaultError> {
        let rows = self.store.vault_rows().await.map_err(VaultError::Store)?;
        Ok(rows.into_iter().filter(|row| self.keyring.open(&row.sealed_value).is_err()).map(|row| row.key).collect())
    }

    fn open(&self, row: VaultRow) -> Result<Variable, VaultError> {
        let source = if row.is_secret { Source::Secret } else { Source::Parameter };
        match self.keyring.open(&row.sealed_value) {
            Ok(value) => Ok(Variable { name: row.key, value: value.as_str().to_owned(), source }),
            Err(source) => Err(VaultError::Unreadable { key: row.key, source }),
        }
    }

    fn shown(&self, row: VaultRow) -> VaultEntry {
        let value = if row.is_secret {
            None
        } else {
            match self.keyring.open(&row.sealed_value) {
                Ok(value) => Some(value.as_str().to_owned()),
                Err(error) => {
                    warn!(key = %row.key, %error, "the parameter {} cannot be opened", row.key);
                    None
                }
            }
        };
        VaultEntry {
            key: row.key,
            is_secret: row.is_secret,
            value,
            created_at: row.created_at.to_utc(),
            updated_at: row.updated_at.to_utc(),
        }
    }
}

/// What cannot be a name is in no row, and some of it (a NUL) the database refuses to look for.
fn known_form(key: &str) -> Result<(), VaultError> {
    if env::is_name(key) { Ok(()) } else { Err(VaultError::NotFound(key.to_owned())) }
}

fn of_key(key: &str, error: StoreError) -> VaultError {
    if error.is_not_found() { VaultError::NotFound(key.to_owned()) } else { VaultError::Store(error) }
}
