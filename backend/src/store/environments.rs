//! The book of sealed environments. The environments themselves are folders; a row says what one is made of and how it went.

use fastflow_shared::EnvironmentState;
use sqlx::any::AnyRow;

use super::row::{Cells, Named};
use super::tx::{Real, free_text};
use super::{Store, StoreError};
use crate::domain::clock::Millis;

/// A stored environment.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvironmentRow {
    /// Hash of all that it is made of.
    pub key: String,
    /// How far it is.
    pub state: EnvironmentState,
    /// Hash of the lock file.
    pub lock_hash: Option<String>,
    /// Version of Python.
    pub python: Option<String>,
    /// Id of the image it was built in.
    pub image: Option<String>,
    /// Version of uv that built it.
    pub uv_version: Option<String>,
    /// How files came from the cache, e.g. `hardlink` or `copy`.
    pub link_mode: Option<String>,
    /// Its size in bytes.
    pub size_bytes: Option<i64>,
    /// Seconds that building it took.
    pub seconds: Option<f64>,
    /// Why it could not be built.
    pub error: Option<String>,
    /// When it was built.
    pub built_at: Option<Millis>,
    /// When a run last used it.
    pub last_used_at: Option<Millis>,
}

const fn state_name(state: EnvironmentState) -> &'static str {
    match state {
        EnvironmentState::Unknown => "unknown",
        EnvironmentState::Building => "building",
        EnvironmentState::Ready => "ready",
        EnvironmentState::Failed => "failed",
    }
}

impl Named for EnvironmentState {
    fn of(name: &str) -> Option<Self> {
        [Self::Unknown, Self::Building, Self::Ready, Self::Failed].into_iter().find(|state| state_name(*state) == name)
    }
}

macro_rules! environment_columns {
    () => {
        "key, state, lock_hash, python, image, uv_version, link_mode, size_bytes, seconds, error, built_at, last_used_at"
    };
}

fn read(row: &AnyRow) -> Result<EnvironmentRow, StoreError> {
    let cells = Cells::new(row, "environments", "key");
    Ok(EnvironmentRow {
        key: cells.text("key")?,
        state: cells.named("state")?,
        lock_hash: cells.opt_text("lock_hash")?,
        python: cells.opt_text("python")?,
        image: cells.opt_text("image")?,
        uv_version: cells.opt_text("uv_version")?,
        link_mode: cells.opt_text("link_mode")?,
        size_bytes: cells.opt_int("size_bytes")?,
        seconds: cells.opt_real("seconds")?,
        error: cells.opt_text("error")?,
        built_at: cells.opt_time("built_at")?,
        last_used_at: cells.opt_time("last_used_at")?,
    })
}

impl Store {
    /// Writes an environment as it is now, all fields, but for `last_used_at`, which never goes back.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn upsert_environment(&self, environment: &EnvironmentRow, now: Millis) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO environments (key, state, lock_hash, python, image, uv_version, link_mode, size_bytes, \
            seconds, error, built_at, last_used_at, created_at, updated_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13) \
            ON CONFLICT (key) DO UPDATE SET state = excluded.state, lock_hash = excluded.lock_hash, \
            python = excluded.python, image = excluded.image, uv_version = excluded.uv_version, \
            link_mode = excluded.link_mode, size_bytes = excluded.size_bytes, seconds = excluded.seconds, \
            error = excluded.error, built_at = excluded.built_at, updated_at = excluded.updated_at, \
            last_used_at = CASE WHEN environments.last_used_at > excluded.last_used_at THEN environments.last_used_at \
            ELSE COALESCE(excluded.last_used_at, environments.last_used_at) END";
        let EnvironmentRow {
            key,
            state,
            lock_hash,
            python,
            image,
            uv_version,
            link_mode,
            size_bytes,
            seconds,
            error,
            built_at,
            last_used_at,
        } = environment;
        let insert = sqlx::query(SQL)
            .bind(key)
            .bind(state_name(*state))
            .bind(lock_hash.as_deref())
            .bind(python.as_deref())
            .bind(image.as_deref())
            .bind(uv_version.as_deref())
            .bind(link_mode.as_deref())
            .bind(*size_bytes)
            .bind(Real(*seconds))
            .bind(free_text(error.as_deref()))
            .bind(built_at.map(|time| time.0))
            .bind(last_used_at.map(|time| time.0))
            .bind(now.0);
        self.execute(insert).await.map(drop)
    }

    /// One environment, if it is known.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn environment(&self, key: &str) -> Result<Option<EnvironmentRow>, StoreError> {
        const SQL: &str = concat!("SELECT ", environment_columns!(), " FROM environments WHERE key = $1");
        self.within(async {
            sqlx::query(SQL).bind(key).fetch_optional(&self.pool).await?.as_ref().map(read).transpose()
        })
        .await
    }

    /// All environments, by key.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn environments(&self) -> Result<Vec<EnvironmentRow>, StoreError> {
        const SQL: &str = concat!("SELECT ", environment_columns!(), " FROM environments ORDER BY key");
        self.within(async { sqlx::query(SQL).fetch_all(&self.pool).await?.iter().map(read).collect() }).await
    }

    /// Notes that a run uses an environment now. An unknown key is no error.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn touch_environment(&self, key: &str, now: Millis) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE environments SET last_used_at = $2 \
            WHERE key = $1 AND COALESCE(last_used_at, 0) < $2";
        self.execute(sqlx::query(SQL).bind(key).bind(now.0)).await.map(drop)
    }

    /// Forgets an environment whose folder is gone. An unknown key is no error.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn delete_environment(&self, key: &str) -> Result<(), StoreError> {
        self.execute(sqlx::query("DELETE FROM environments WHERE key = $1").bind(key)).await.map(drop)
    }
}
