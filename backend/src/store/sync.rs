//! Syncs of the past with their logs, webhooks that were taken, and documents of settings.

use fastflow_shared::{SyncRecord, SyncResult};
use sqlx::any::AnyRow;

use super::row::Cells;
use super::tx::{free_text, key};
use super::{Store, StoreError};
use crate::domain::clock::Millis;

/// Syncs that are kept.
const KEPT: i64 = 500;

macro_rules! columns {
    () => {
        "id, trigger_kind, triggered_by, branch, started_at, finished_at, result, commit_before, commit_hash, \
         commit_subject, commit_author, error_code, error_message, added, changed, removed"
    };
}

fn read(row: &AnyRow) -> Result<SyncRecord, StoreError> {
    let cells = Cells::new(row, "syncs", "id");
    Ok(SyncRecord {
        id: cells.text("id")?,
        trigger: cells.text("trigger_kind")?,
        triggered_by: cells.opt_text("triggered_by")?,
        branch: cells.text("branch")?,
        started_at: cells.time("started_at")?.to_utc(),
        finished_at: cells.opt_time("finished_at")?.map(Millis::to_utc),
        result: cells.named("result")?,
        commit_before: cells.opt_text("commit_before")?,
        commit: cells.opt_text("commit_hash")?,
        commit_subject: cells.opt_text("commit_subject")?,
        commit_author: cells.opt_text("commit_author")?,
        error_code: cells.opt_text("error_code")?,
        error_message: cells.opt_text("error_message")?,
        added: cells.small("added")?,
        changed: cells.small("changed")?,
        removed: cells.small("removed")?,
    })
}

impl Store {
    /// Stores a sync with its log, over what was stored of it before, and forgets the oldest.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn put_sync(&self, sync: &SyncRecord, log: &str) -> Result<(), StoreError> {
        const PUT: &str = "INSERT INTO syncs (id, trigger_kind, triggered_by, branch, started_at, finished_at, result, \
            commit_before, commit_hash, commit_subject, commit_author, error_code, error_message, added, changed, removed, log) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) \
            ON CONFLICT (id) DO UPDATE SET finished_at = excluded.finished_at, result = excluded.result, \
            commit_before = excluded.commit_before, commit_hash = excluded.commit_hash, \
            commit_subject = excluded.commit_subject, commit_author = excluded.commit_author, \
            error_code = excluded.error_code, error_message = excluded.error_message, added = excluded.added, \
            changed = excluded.changed, removed = excluded.removed, log = excluded.log";
        const FORGET: &str = "DELETE FROM syncs WHERE id IN (SELECT id FROM syncs ORDER BY started_at DESC, id DESC \
            LIMIT 1000 OFFSET $1)";
        self.within(async {
            let mut tx = self.write().await?;
            sqlx::query(PUT)
                .bind(&sync.id)
                .bind(&sync.trigger)
                .bind(&sync.triggered_by)
                .bind(&sync.branch)
                .bind(sync.started_at.timestamp_millis())
                .bind(sync.finished_at.map(|time| time.timestamp_millis()))
                .bind(sync.result.as_str())
                .bind(&sync.commit_before)
                .bind(&sync.commit)
                .bind(free_text(sync.commit_subject.as_deref()))
                .bind(free_text(sync.commit_author.as_deref()))
                .bind(&sync.error_code)
                .bind(free_text(sync.error_message.as_deref()))
                .bind(i64::from(sync.added))
                .bind(i64::from(sync.changed))
                .bind(i64::from(sync.removed))
                .bind(free_text(Some(log)))
                .execute(&mut *tx)
                .await?;
            sqlx::query(FORGET).bind(KEPT).execute(&mut *tx).await?;
            tx.commit().await
        })
        .await
    }

    /// Syncs of the past, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn syncs(&self, limit: u32) -> Result<Vec<SyncRecord>, StoreError> {
        const SQL: &str = concat!("SELECT ", columns!(), " FROM syncs ORDER BY started_at DESC, id DESC LIMIT $1");
        self.within(async {
            sqlx::query(SQL).bind(i64::from(limit)).fetch_all(&self.pool).await?.iter().map(read).collect()
        })
        .await
    }

    /// The log of a sync.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn sync_log(&self, id: &str) -> Result<String, StoreError> {
        key("sync", id)?;
        self.within(async {
            let row =
                sqlx::query("SELECT id, log FROM syncs WHERE id = $1").bind(id).fetch_optional(&self.pool).await?;
            let row = row.ok_or_else(|| StoreError::not_found("sync", id))?;
            Cells::new(&row, "syncs", "id").text("log")
        })
        .await
    }

    /// Marks syncs as failed that a crash has broken off. Returns how many.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn end_broken_syncs(&self, now: Millis, message: &str) -> Result<u64, StoreError> {
        const SQL: &str = "UPDATE syncs SET result = $1, finished_at = $2, error_code = 'interrupted', error_message = $3 \
            WHERE result = $4";
        let update = sqlx::query(SQL)
            .bind(SyncResult::Failed.as_str())
            .bind(now.0)
            .bind(message)
            .bind(SyncResult::Running.as_str());
        Ok(self.execute(update).await?.rows_affected())
    }

    /// Takes a delivery of a webhook by all of its names; false when one of them was seen before. Forgets those before `old`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn take_delivery(&self, names: &[String], now: Millis, old: Millis) -> Result<bool, StoreError> {
        const TAKE: &str =
            "INSERT INTO webhook_deliveries (id, received_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
        let mut names: Vec<_> = names.iter().collect();
        names.sort_unstable();
        self.within(async {
            let mut tx = self.write().await?;
            sqlx::query("DELETE FROM webhook_deliveries WHERE received_at < $1").bind(old.0).execute(&mut *tx).await?;
            let mut new = true;
            for name in &names {
                let taken = sqlx::query(TAKE).bind(name.as_str()).bind(now.0).execute(&mut *tx).await?;
                new &= taken.rows_affected() == 1;
            }
            tx.commit().await?;
            Ok(new)
        })
        .await
    }

    /// A document of settings.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn settings_document(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.within(async {
            let row =
                sqlx::query("SELECT key, value FROM settings WHERE key = $1").bind(name).fetch_optional(&self.pool);
            row.await?.map(|row| Cells::new(&row, "settings", "key").text("value")).transpose()
        })
        .await
    }

    /// Stores a document of settings, or forgets it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn put_settings_document(
        &self,
        name: &str,
        value: Option<&str>,
        by: &str,
        now: Millis,
    ) -> Result<(), StoreError> {
        const PUT: &str = "INSERT INTO settings (key, value, updated_at, updated_by) VALUES ($1, $2, $3, $4) \
            ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at, \
            updated_by = excluded.updated_by";
        let statement = match value {
            Some(value) => sqlx::query(PUT).bind(name).bind(value).bind(now.0).bind(by),
            None => sqlx::query("DELETE FROM settings WHERE key = $1").bind(name),
        };
        self.execute(statement).await.map(|_| ())
    }
}
