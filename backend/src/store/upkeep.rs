//! Looking after the database itself: does it answer, is it sound, how large is its log. And settings kept in it.

use std::time::Duration;

use super::row::Cells;
use super::{Store, StoreError};
use crate::domain::clock::Millis;

/// Checking every page of a large file takes longer than any normal call.
const LONG: Duration = Duration::from_secs(600);

/// SQLite's write-ahead log after it was looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wal {
    /// Its bytes now.
    pub bytes: u64,
    /// Whether it was moved into the database as a whole; `None` when there was no need to.
    pub moved: Option<bool>,
}

/// A value that was changed while the server worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSetting {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// When it was changed.
    pub updated_at: Millis,
    /// Who changed it.
    pub updated_by: Option<String>,
}

impl Store {
    /// Asks the database for an answer.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] after `limit` at the latest.
    pub async fn ping(&self, limit: Duration) -> Result<(), StoreError> {
        let ask = async {
            // A table of ours, so that a connection to an emptied database is noticed as well.
            sqlx::query("SELECT key FROM settings LIMIT 1").fetch_optional(&self.pool).await
        };
        match tokio::time::timeout(limit, ask).await {
            Ok(answer) => Ok(answer.map(drop)?),
            Err(_) => Err(StoreError::too_slow(limit)),
        }
    }

    /// Moves SQLite's write-ahead log into the file and empties it; a backup by copying then holds everything. Returns
    /// whether all of it could be moved: a long reader prevents it. Nothing to do on PostgreSQL.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn wal_checkpoint(&self) -> Result<bool, StoreError> {
        if !self.is_sqlite() {
            return Ok(true);
        }
        self.within(async {
            let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.pool).await?;
            Ok(sqlx::Row::try_get::<i64, _>(&row, 0)? == 0)
        })
        .await
    }

    /// Reads the whole SQLite file and says what is wrong with it; nothing when it is sound. PostgreSQL has its own tools.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn integrity_check(&self) -> Result<Vec<String>, StoreError> {
        if !self.is_sqlite() {
            return Ok(Vec::new());
        }
        let check = async {
            let rows = sqlx::query("PRAGMA integrity_check(20)").fetch_all(&self.pool).await?;
            let lines: Result<Vec<String>, _> = rows.iter().map(|row| sqlx::Row::try_get(row, 0)).collect();
            Ok(lines?.into_iter().filter(|line| line != "ok").collect())
        };
        tokio::time::timeout(LONG, check).await.unwrap_or_else(|_| Err(StoreError::too_slow(LONG)))
    }

    /// Looks after SQLite's write-ahead log: moves it into the database when it has more than `most` bytes, or in any case
    /// when `now_due`. Nothing to do on PostgreSQL.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn tend_wal(&self, most: u64, now_due: bool) -> Result<Wal, StoreError> {
        let Some(file) = self.file.clone() else { return Ok(Wal { bytes: 0, moved: None }) };
        let size = async || {
            let mut name = file.as_os_str().to_owned();
            name.push("-wal");
            tokio::fs::metadata(name).await.map_or(0, |meta| meta.len())
        };
        let bytes = size().await;
        if bytes == 0 || !(now_due || bytes > most) {
            return Ok(Wal { bytes, moved: None });
        }
        let moved = self.wal_checkpoint().await?;
        Ok(Wal { bytes: size().await, moved: Some(moved) })
    }

    /// Bytes that the database takes: SQLite's file with its log, or PostgreSQL's tables of this server's schema with their
    /// indices. What else lives in the same PostgreSQL is none of ours.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn bytes(&self) -> Result<u64, StoreError> {
        const SQL: &str = "SELECT CAST(COALESCE(SUM(pg_total_relation_size(oid)), 0) AS BIGINT) FROM pg_class \
                           WHERE relkind IN ('r', 'p', 'm') \
                           AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())";
        let Some(file) = &self.file else {
            let size: i64 = self.within(async { Ok(sqlx::query_scalar(SQL).fetch_one(&self.pool).await?) }).await?;
            return Ok(u64::try_from(size).unwrap_or(0));
        };
        let mut bytes = 0;
        for end in ["", "-wal"] {
            let mut name = file.as_os_str().to_owned();
            name.push(end);
            bytes += tokio::fs::metadata(name).await.map_or(0, |meta| meta.len());
        }
        Ok(bytes)
    }

    /// Settings whose keys begin with `prefix`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn settings_of(&self, prefix: &str) -> Result<Vec<StoredSetting>, StoreError> {
        const SQL: &str = "SELECT key, value, updated_at, updated_by FROM settings ORDER BY key";
        self.within(async {
            let rows = sqlx::query(SQL).fetch_all(&self.pool).await?;
            let all = rows.iter().map(|row| {
                let cells = Cells::new(row, "settings", "key");
                Ok(StoredSetting {
                    key: cells.text("key")?,
                    value: cells.text("value")?,
                    updated_at: cells.time("updated_at")?,
                    updated_by: cells.opt_text("updated_by")?,
                })
            });
            let of = |row: &Result<StoredSetting, StoreError>| !matches!(row, Ok(row) if !row.key.starts_with(prefix));
            all.filter(of).collect()
        })
        .await
    }
}
