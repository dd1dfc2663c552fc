//! Secrets and parameters that runs find in their environment. All are sealed in the database; a parameter's value is shown, a
//! secret's leaves only into a run, and to an admin who asks for that one.
//!
//! Who receives a secret: it goes to every pipeline, or only to those that it names; and a pipeline takes every one, or only
//! those that its `secrets` names. Both must agree. A parameter is nothing that a pipeline must be kept from, so only its own
//! list of pipelines counts.

use std::sync::Arc;

use fastflow_shared::{EncryptedValue, FieldProblem, NewVaultEntry, RevealedSecret, VaultChange, VaultEntry};
use thiserror::Error;
use tracing::warn;

use crate::crypto::{Keyring, OpenError};
use crate::domain::clock::SharedClock;
use crate::domain::env::{self, Source};
use crate::domain::{mask, pipeline};
use crate::store::{Store, StoreError, VaultRow};

mod rotate;
#[cfg(test)]
mod tests;

pub use rotate::{Rotated, Rotation};

/// Longest secret: it is looked for in all that its runs print. What is larger (a key store, say) belongs into a file.
pub const MAX_SECRET_BYTES: usize = 32 * 1024;

/// Most pipelines that an entry names.
const MAX_PIPELINES: usize = 1000;

/// What went wrong with an entry. Never holds a value.
#[derive(Debug, Error)]
pub enum VaultError {
    /// What was given is wrong, each with its JSON pointer.
    #[error("{}", .0.first().map_or("the entry is wrong", |problem| problem.message.as_str()))]
    Bad(Vec<FieldProblem>),
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
    /// A value of `encrypted_env` does not open.
    #[error(
        "the value of `{name}` in encrypted_env of pipeline.json cannot be opened with ENCRYPTION_KEY; encrypt it again on \
         this server"
    )]
    Encrypted {
        /// Name of the variable.
        name: String,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// A pipeline wants a secret that it does not get.
    #[error("pipeline.json asks for the secret `{key}`, {why}")]
    NotGiven {
        /// Name of the secret.
        key: String,
        /// Why it does not get it.
        why: &'static str,
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

    /// All entries, sorted by name. One that cannot be opened says so: one bad entry must not hide the rest.
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
        check(Some(&entry.key), Some((&entry.key, &entry.value, entry.is_secret)), Some(&entry.pipelines))?;
        let now = self.clock.now();
        let row = VaultRow {
            key: entry.key.clone(),
            is_secret: entry.is_secret,
            pipelines: sorted(&entry.pipelines),
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

    /// Changes an entry. A secret can become a parameter only together with a new value, so this reveals nothing.
    ///
    /// # Errors
    /// [`VaultError::Bad`], [`VaultError::NotFound`], [`VaultError::Store`].
    pub async fn change(&self, key: &str, change: &VaultChange) -> Result<VaultEntry, VaultError> {
        known_form(key)?;
        let before = self.store.vault_row(key).await.map_err(|error| of_key(key, error))?;
        let is_secret = change.is_secret.unwrap_or(before.is_secret);
        let value = change.value.as_deref().map(|value| (key, value, is_secret));
        check(None, value, change.pipelines.as_deref())?;
        if before.is_secret && !is_secret && value.is_none() {
            let message = "a secret becomes a parameter only with a new value, for its own would be shown then";
            return Err(VaultError::Bad(vec![bad("value", message)]));
        }
        let sealed = change.value.as_deref().map(|value| self.keyring.seal(value));
        let pipelines = change.pipelines.as_deref().map(sorted);
        let now = self.clock.now();
        // The kind goes along with the value even if it was not given: what was checked is what is stored.
        let is_secret = change.is_secret.or(value.map(|_| is_secret));
        let changed = self.store.change_vault_row(key, sealed.as_deref(), is_secret, pipelines.as_deref(), now).await;
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

    /// The value of one entry, for an admin who asked for it. Whoever calls this writes it into the audit log.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], [`VaultError::Unreadable`], [`VaultError::Store`].
    pub async fn reveal(&self, key: &str) -> Result<RevealedSecret, VaultError> {
        known_form(key)?;
        let row = self.store.vault_row(key).await.map_err(|error| of_key(key, error))?;
        let Variable { name, value, .. } = self.open(row)?;
        Ok(RevealedSecret { key: name, value })
    }

    /// Encrypts a value for `encrypted_env` of a `pipeline.json`.
    ///
    /// # Errors
    /// [`VaultError::Bad`].
    pub fn encrypt(&self, value: &str) -> Result<EncryptedValue, VaultError> {
        check(None, Some(("VALUE", value, true)), None)?;
        Ok(EncryptedValue { encrypted: self.keyring.seal(value), warning: warning(value) })
    }

    /// Opens a value of `encrypted_env`.
    ///
    /// # Errors
    /// [`VaultError::Encrypted`].
    pub fn open_encrypted(&self, name: &str, sealed: &str) -> Result<String, VaultError> {
        let opened = self.keyring.open(sealed);
        opened
            .map(|value| value.as_str().to_owned())
            .map_err(|source| VaultError::Encrypted { name: name.to_owned(), source })
    }

    /// What a run of `pipeline` finds in its environment, sorted by name. `wanted` is the pipeline's list of secrets, if it
    /// has one.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] for the first that does not open, and [`VaultError::NotGiven`] for one that is wanted and
    /// not given: a run without a secret that it needs fails later and less clearly. And [`VaultError::Store`].
    pub async fn open_for(&self, pipeline: &str, wanted: Option<&[String]>) -> Result<Vec<Variable>, VaultError> {
        let rows = self.store.vault_rows().await.map_err(VaultError::Store)?;
        for key in wanted.unwrap_or_default() {
            let why = match rows.iter().find(|row| row.key == *key) {
                None => "which is not in the vault",
                Some(row) if !is_for(row, pipeline) => "which is kept for other pipelines",
                Some(_) => continue,
            };
            return Err(VaultError::NotGiven { key: key.clone(), why });
        }
        let is_wanted = |row: &VaultRow| wanted.is_none_or(|names| !row.is_secret || names.contains(&row.key));
        let given = rows.into_iter().filter(|row| is_for(row, pipeline) && is_wanted(row));
        let variables = given.map(|row| self.open(row)).collect::<Result<Vec<_>, _>>()?;
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
        let (value, warning) = match self.keyring.open(&row.sealed_value) {
            Ok(value) if row.is_secret => (None, warning(&value)),
            Ok(value) => (Some(value.as_str().to_owned()), None),
            Err(error) => {
                warn!(key = %row.key, %error, "the entry {} of the vault cannot be opened", row.key);
                (None, Some("It cannot be opened with ENCRYPTION_KEY; save its value again.".to_owned()))
            }
        };
        VaultEntry {
            key: row.key,
            is_secret: row.is_secret,
            value,
            pipelines: row.pipelines,
            warning,
            created_at: row.created_at.to_utc(),
            updated_at: row.updated_at.to_utc(),
        }
    }
}

fn is_for(row: &VaultRow, pipeline: &str) -> bool {
    row.pipelines.is_empty() || row.pipelines.iter().any(|name| name == pipeline)
}

/// What to know about a secret that is otherwise in order.
fn warning(value: &str) -> Option<String> {
    mask::is_too_short(value).then(|| {
        format!(
            "It is too short to be hidden in logs: it has less than {} characters and would be found everywhere.",
            mask::MIN_BYTES
        )
    })
}

fn bad(field: &str, message: impl Into<String>) -> FieldProblem {
    FieldProblem { field: format!("/{field}"), message: message.into() }
}

/// Checks what is given: a new name, a value with its name and kind, pipelines. Tells all mistakes, never a value.
fn check(
    new_key: Option<&str>,
    value: Option<(&str, &str, bool)>,
    pipelines: Option<&[String]>,
) -> Result<(), VaultError> {
    let mut problems = Vec::new();
    if let Some(Err(error)) = new_key.map(|key| env::check(key, "")) {
        problems.push(bad("key", error.to_string()));
    }
    if let Some((key, value, is_secret)) = value {
        let name = if env::is_name(key) { key } else { "VALUE" };
        if is_secret && value.len() > MAX_SECRET_BYTES {
            let message =
                format!("a secret has at most {MAX_SECRET_BYTES} bytes: larger ones cannot be hidden in logs");
            problems.push(bad("value", message));
        } else if let Err(error @ (env::BadVariable::Nul(_) | env::BadVariable::TooLong(_))) = env::check(name, value) {
            problems.push(bad("value", error.to_string()));
        }
    }
    let pipelines = pipelines.unwrap_or_default();
    if pipelines.len() > MAX_PIPELINES {
        problems.push(bad("pipelines", format!("at most {MAX_PIPELINES} pipelines can be named; name none for all")));
    } else {
        let wrong = |(index, name): (usize, &String)| Some((index, pipeline::check_name(name).err()?));
        let wrong = pipelines.iter().enumerate().filter_map(wrong);
        problems.extend(wrong.map(|(index, why)| bad(&format!("pipelines/{index}"), why)));
    }
    if problems.is_empty() { Ok(()) } else { Err(VaultError::Bad(problems)) }
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    names
}

/// What cannot be a name is in no row, and some of it (a NUL) the database refuses to look for.
fn known_form(key: &str) -> Result<(), VaultError> {
    if env::is_name(key) { Ok(()) } else { Err(VaultError::NotFound(key.to_owned())) }
}

fn of_key(key: &str, error: StoreError) -> VaultError {
    if error.is_not_found() { VaultError::NotFound(key.to_owned()) } else { VaultError::Store(error) }
}
