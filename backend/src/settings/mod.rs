//! Floor 2: settings while the server works. Limits, intervals and what is kept can be changed by an admin; such a change is
//! stored, holds at once and after every restart, and can be taken back, so that the environment's value holds again.
//!
//! What settings there are, what each may hold, and what the environment says is handed in by `config`; so is who has to be
//! told of a change, by `app`.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use fastflow_shared::{FieldProblem, Setting};
use thiserror::Error;
use tokio::sync::watch;

use crate::domain::clock::{Millis, SharedClock};
use crate::domain::tuning::Tuning;
use crate::store::{Store, StoreError, StoredSetting};

/// Where changes are kept among the settings of the database.
const PREFIX: &str = "tuning/";

/// A setting as the environment leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Heading of its group.
    pub group: &'static str,
    /// Name of the variable.
    pub name: &'static str,
    /// What it does.
    pub what: &'static str,
    /// What it may hold.
    pub allowed: String,
    /// Its default.
    pub default: String,
    /// Its value, hidden where it is secret.
    pub value: String,
    /// Where that comes from.
    pub origin: String,
    /// Whether it can be changed while the server works.
    pub changeable: bool,
}

/// What changes, by name, mean together with the environment; or what is wrong with which of them.
pub type Read = Box<dyn Fn(&BTreeMap<String, String>) -> Result<Tuning, Vec<FieldProblem>> + Send + Sync>;

/// What is handed in.
pub struct Options {
    /// Every setting.
    pub known: Vec<Known>,
    /// Reads changes.
    pub read: Read,
    /// Told of every change before whoever made it has the answer.
    pub apply: Box<dyn Fn(&Tuning) + Send + Sync>,
}

/// Why a setting was not changed.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// There is none of that name.
    #[error("there is no setting {0:?}")]
    Unknown(String),
    /// It holds from the start to the end of the process.
    #[error(
        "{0} cannot be changed while the server works: set it in the environment or in .env, and restart the server"
    )]
    Fixed(String),
    /// The value is not allowed.
    #[error("the value is not allowed")]
    Bad(Vec<FieldProblem>),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The settings. Cheap to clone.
#[derive(Clone)]
pub struct Settings {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    store: Store,
    clock: SharedClock,
    stored: RwLock<BTreeMap<String, StoredSetting>>,
    /// Stored changes that this release does not take, with the reason.
    refused: RwLock<BTreeMap<String, String>>,
    tuning: watch::Sender<Arc<Tuning>>,
    /// One change at a time, so that what holds is what was stored last.
    changing: tokio::sync::Mutex<()>,
}

impl Settings {
    /// Reads what was changed, and tells it.
    ///
    /// # Errors
    /// The database, or an environment that makes no sense any more.
    pub async fn open(options: Options, store: Store, clock: SharedClock) -> Result<Self, SettingsError> {
        let tuning = (options.read)(&BTreeMap::new()).map_err(SettingsError::Bad)?;
        let inner = Inner {
            options,
            store,
            clock,
            stored: RwLock::default(),
            refused: RwLock::default(),
            tuning: watch::Sender::new(Arc::new(tuning)),
            changing: tokio::sync::Mutex::default(),
        };
        let settings = Self { inner: Arc::new(inner) };
        settings.reload().await?;
        (settings.inner.options.apply)(&settings.tuning());
        Ok(settings)
    }

    /// The values that hold.
    #[must_use]
    pub fn tuning(&self) -> Arc<Tuning> {
        self.inner.tuning.borrow().clone()
    }

    /// News about the values that hold.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Tuning>> {
        self.inner.tuning.subscribe()
    }

    /// Takes over what another server, or a restored database, has stored. Says whether something is different now.
    ///
    /// # Errors
    /// The database.
    pub async fn reload(&self) -> Result<bool, SettingsError> {
        let _only_one = self.inner.changing.lock().await;
        let rows = self.inner.store.settings_of(PREFIX).await?;
        let stored: BTreeMap<_, _> =
            rows.into_iter().filter_map(|row| Some((row.key.strip_prefix(PREFIX)?.to_owned(), row))).collect();
        if *self.inner.stored.read().unwrap_or_else(PoisonError::into_inner) == stored {
            return Ok(false);
        }
        Ok(self.take_over(stored))
    }

    /// All settings, in the order of their groups.
    #[must_use]
    pub fn list(&self) -> Vec<Setting> {
        self.inner.options.known.iter().map(|known| self.shown(known)).collect()
    }

    /// Changes a setting from now on.
    ///
    /// # Errors
    /// [`SettingsError`]; then nothing is different.
    pub async fn change(&self, name: &str, value: &str, by: &str) -> Result<Setting, SettingsError> {
        self.put(name, Some(value.trim()), by).await
    }

    /// Takes a change back: the environment's value holds again. Fine when there is no change.
    ///
    /// # Errors
    /// [`SettingsError`]; then nothing is different.
    pub async fn reset(&self, name: &str, by: &str) -> Result<Setting, SettingsError> {
        self.put(name, None, by).await
    }

    async fn put(&self, name: &str, value: Option<&str>, by: &str) -> Result<Setting, SettingsError> {
        let Inner { options, store, clock, changing, .. } = &*self.inner;
        let known = options.known.iter().find(|known| known.name == name);
        let known = known.ok_or_else(|| SettingsError::Unknown(name.to_owned()))?;
        if !known.changeable {
            return Err(SettingsError::Fixed(name.to_owned()));
        }
        let _only_one = changing.lock().await;
        let mut stored = self.inner.stored.read().unwrap_or_else(PoisonError::into_inner).clone();
        let key = format!("{PREFIX}{name}");
        let now = clock.now();
        match value {
            None => drop(stored.remove(name)),
            Some(value) => {
                // Alone: what else is stored and refused must not keep this one from being mended.
                (options.read)(&BTreeMap::from([(name.to_owned(), value.to_owned())])).map_err(SettingsError::Bad)?;
                let row = StoredSetting {
                    key: key.clone(),
                    value: value.to_owned(),
                    updated_at: now,
                    updated_by: Some(by.to_owned()),
                };
                stored.insert(name.to_owned(), row);
            }
        }
        store.put_settings_document(&key, value, by, now).await?;
        self.take_over(stored);
        Ok(self.shown(known))
    }

    /// Lets stored changes hold, as far as this release takes them.
    fn take_over(&self, stored: BTreeMap<String, StoredSetting>) -> bool {
        let Inner { options, .. } = &*self.inner;
        let mut changes: BTreeMap<_, _> = stored.iter().map(|(name, row)| (name.clone(), row.value.clone())).collect();
        let mut refused = BTreeMap::new();
        let tuning = loop {
            match (options.read)(&changes) {
                Ok(tuning) => break Some(tuning),
                Err(problems) => {
                    let before = changes.len();
                    for FieldProblem { field, message } in problems {
                        tracing::error!(setting = field, "the stored change of {field} does not hold: {message}");
                        changes.remove(&field);
                        refused.insert(field, message);
                    }
                    if changes.len() == before {
                        break None;
                    }
                }
            }
        };
        *self.inner.stored.write().unwrap_or_else(PoisonError::into_inner) = stored;
        *self.inner.refused.write().unwrap_or_else(PoisonError::into_inner) = refused;
        let Some(tuning) = tuning.map(Arc::new) else { return false };
        let different = *self.tuning() != *tuning;
        if different {
            (options.apply)(&tuning);
            self.inner.tuning.send_replace(tuning);
        }
        different
    }

    fn shown(&self, known: &Known) -> Setting {
        let stored = self.inner.stored.read().unwrap_or_else(PoisonError::into_inner);
        let refused = self.inner.refused.read().unwrap_or_else(PoisonError::into_inner);
        let Known { group, name, what, allowed, default, value, origin, changeable } = known;
        let problem = refused.get(*name).cloned();
        let change = stored.get(*name);
        let holds = change.filter(|_| problem.is_none());
        let now_value = |row: &StoredSetting| if row.value.is_empty() { default.clone() } else { row.value.clone() };
        Setting {
            group: (*group).to_owned(),
            name: (*name).to_owned(),
            what: (*what).to_owned(),
            allowed: allowed.clone(),
            value: holds.map_or_else(|| value.clone(), now_value),
            origin: if holds.is_some() { "changed".to_owned() } else { origin.clone() },
            default: default.clone(),
            changeable: *changeable,
            changed_at: change.map(|row| Millis::to_utc(row.updated_at)),
            changed_by: change.and_then(|row| row.updated_by.clone()),
            otherwise: holds.map(|_| value.clone()),
            otherwise_origin: holds.map(|_| origin.clone()),
            problem,
        }
    }
}

#[cfg(test)]
mod tests;
