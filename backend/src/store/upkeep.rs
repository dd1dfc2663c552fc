//! Looking after the database itself: does it answer, is it sound, what may be deleted. And settings kept in it.

use std::time::Duration;

use sqlx::any::AnyRow;

use super::row::Cells;
use super::{Store, StoreError};
use crate::domain::clock::Millis;

/// Checking every page of a large file takes longer than any normal call.
const LONG: Duration = Duration::from_secs(600);

/// A run that may be deleted, with what its files are named by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldRun {
    /// Run id.
    pub id: String,
    /// Name of its pipeline.
    pub pipeline_name: String,
    /// Size of its log in bytes, when known.
    pub log_bytes: Option<i64>,
}

fn old_run(row: &AnyRow) -> Result<OldRun, StoreError> {
    let cells = Cells::new(row, "runs", "id");
    Ok(OldRun {
        id: cells.text("id")?,
        pipeline_name: cells.text("pipeline_name")?,
        log_bytes: cells.opt_int("log_bytes")?,
    })
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

    /// Runs that ended and were accepted before `before`, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn runs_older_than(&self, before: Millis, limit: u32) -> Result<Vec<OldRun>, StoreError> {
        const SQL: &str = "SELECT id, pipeline_name, log_bytes FROM runs \
            WHERE created_at < $1 AND status IN ('SUCCESS', 'FAILED') ORDER BY created_at, id LIMIT $2";
        self.within(async {
            let query = sqlx::query(SQL).bind(before.0).bind(i64::from(limit));
            query.fetch_all(&self.pool).await?.iter().map(old_run).collect()
        })
        .await
    }

    /// Runs of a pipeline that ended, beyond the `keep` latest of those, newest first.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn runs_beyond(&self, pipeline: &str, keep: u32, limit: u32) -> Result<Vec<OldRun>, StoreError> {
        const SQL: &str = "SELECT id, pipeline_name, log_bytes FROM runs \
            WHERE pipeline_name = $1 AND status IN ('SUCCESS', 'FAILED') \
            ORDER BY created_at DESC, id DESC LIMIT $3 OFFSET $2";
        self.within(async {
            let query = sqlx::query(SQL).bind(pipeline).bind(i64::from(keep)).bind(i64::from(limit));
            query.fetch_all(&self.pool).await?.iter().map(old_run).collect()
        })
        .await
    }

    /// Deletes those of the runs that have ended, and says how many. The pipeline's counters keep them.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then none is deleted.
    pub async fn delete_runs(&self, ids: &[String]) -> Result<u64, StoreError> {
        let mut ids: Vec<_> = ids.iter().collect();
        ids.sort_unstable();
        self.within(async {
            let mut tx = self.write().await?;
            let mut deleted = 0;
            for id in ids {
                let delete = sqlx::query("DELETE FROM runs WHERE id = $1 AND status IN ('SUCCESS', 'FAILED')");
                deleted += delete.bind(id).execute(&mut *tx).await?.rows_affected();
            }
            tx.commit().await?;
            Ok(deleted)
        })
        .await
    }

    /// A setting changed at run time.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.within(async {
            let row = sqlx::query("SELECT key, value FROM settings WHERE key = $1").bind(key);
            let row = row.fetch_optional(&self.pool).await?;
            row.map(|row| Cells::new(&row, "settings", "key").text("value")).transpose()
        })
        .await
    }

    /// Writes a setting; `by` is who changed it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn set_setting(&self, key: &str, value: &str, by: Option<&str>, now: Millis) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO settings (key, value, updated_at, updated_by) VALUES ($1, $2, $3, $4) \
            ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at, \
            updated_by = excluded.updated_by";
        self.execute(sqlx::query(SQL).bind(key).bind(value).bind(now.0).bind(by)).await.map(drop)
    }
}
