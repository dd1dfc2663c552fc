//! Runs that may be deleted, and their deletion in step with their files: what is deleted here is noted in the same
//! transaction, and forgotten when the files are gone as well.

use std::collections::HashSet;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::row::Cells;
use super::{Store, StoreError};
use crate::domain::clock::Millis;
use crate::domain::retention::{Policy, Reason};

/// Most ids of one statement.
const BATCH: usize = 200;

/// A run that has ended, with what decides whether it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedRun {
    /// Run id.
    pub id: String,
    /// Name of its pipeline.
    pub pipeline_name: String,
    /// When it ended.
    pub ended_at: Millis,
    /// Size of its log in bytes, when known.
    pub log_bytes: Option<i64>,
}

/// Runs that a policy deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// How many.
    pub runs: i64,
    /// Bytes of their logs, as far as known.
    pub log_bytes: i64,
    /// The first of them, those that ended first, each with why it goes.
    pub items: Vec<(EndedRun, Reason)>,
}

fn ended(row: &AnyRow) -> Result<EndedRun, StoreError> {
    let cells = Cells::new(row, "runs", "id");
    Ok(EndedRun {
        id: cells.text("id")?,
        pipeline_name: cells.text("pipeline_name")?,
        ended_at: cells.time("ended_at")?,
        log_bytes: cells.opt_int("log_bytes")?,
    })
}

/// `$first, $first+1, …`, so many.
fn marks(first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

async fn pipelines_with_runs(connection: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    // From name to name through the index; DISTINCT would read all of it.
    const SQL: &str = "WITH RECURSIVE names (name) AS (SELECT MIN(pipeline_name) FROM runs UNION ALL \
        SELECT (SELECT MIN(pipeline_name) FROM runs WHERE pipeline_name > names.name) FROM names \
        WHERE names.name IS NOT NULL) SELECT name FROM names WHERE name IS NOT NULL";
    let rows = sqlx::query(SQL).fetch_all(connection).await?;
    rows.iter().map(|row| Cells::new(row, "runs", "name").text("name")).collect()
}

/// When the newest of a pipeline's ended runs beyond the `keep` latest was accepted, and its id.
async fn newest_beyond(
    connection: &mut AnyConnection,
    pipeline: &str,
    keep: u32,
) -> Result<Option<(i64, String)>, StoreError> {
    const SQL: &str = "SELECT created_at, id FROM runs WHERE pipeline_name = $1 AND status IN ('SUCCESS', 'FAILED') \
        ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET $2";
    let row = sqlx::query(SQL).bind(pipeline).bind(i64::from(keep)).fetch_optional(connection).await?;
    let Some(row) = row else { return Ok(None) };
    let cells = Cells::new(&row, "runs", "id");
    Ok(Some((cells.int("created_at")?, cells.text("id")?)))
}

/// A pipeline's ended runs between two moments of acceptance (each with an id) that ended before `oldest`.
struct Stretch<'a> {
    pipeline: &'a str,
    after: (i64, &'a str),
    up_to: (i64, &'a str),
    oldest: i64,
}

impl Stretch<'_> {
    /// Counts them, and keeps the first `limit` of all that have been found.
    async fn add(
        &self,
        connection: &mut AnyConnection,
        reason: Reason,
        limit: u32,
        expired: &mut Expired,
    ) -> Result<(), StoreError> {
        // A run is accepted before it ends, so that the index finds those that may have ended early enough.
        macro_rules! which {
            () => {
                "FROM runs WHERE pipeline_name = $1 AND status IN ('SUCCESS', 'FAILED') AND (created_at, id) > ($2, $3) \
                 AND (created_at, id) <= ($4, $5) AND created_at < $6 AND COALESCE(finished_at, created_at) < $6"
            };
        }
        const SUM: &str = concat!(
            "SELECT 'all' AS id, COUNT(*) AS runs, CAST(COALESCE(SUM(log_bytes), 0) AS BIGINT) AS log_bytes ",
            which!()
        );
        const LIST: &str = concat!(
            "SELECT id, pipeline_name, COALESCE(finished_at, created_at) AS ended_at, log_bytes ",
            which!(),
            " ORDER BY ended_at, id LIMIT $7"
        );
        let bound = |sql: &'static str| {
            let query = sqlx::query(sql).bind(self.pipeline).bind(self.after.0).bind(self.after.1);
            query.bind(self.up_to.0).bind(self.up_to.1).bind(self.oldest)
        };
        let row = bound(SUM).fetch_one(&mut *connection).await?;
        let cells = Cells::new(&row, "runs", "id");
        let runs = cells.int("runs")?;
        if runs == 0 {
            return Ok(());
        }
        expired.runs += runs;
        expired.log_bytes += cells.int("log_bytes")?;
        for row in &bound(LIST).bind(i64::from(limit)).fetch_all(connection).await? {
            expired.items.push((ended(row)?, reason));
        }
        expired.items.sort_by(|(a, _), (b, _)| (a.ended_at, &a.id).cmp(&(b.ended_at, &b.id)));
        expired.items.truncate(limit as usize);
        Ok(())
    }
}

impl Store {
    /// What the policy would delete now, all of it counted and the first `limit` named.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn expired_runs(&self, policy: Policy, now: Millis, limit: u32) -> Result<Expired, StoreError> {
        let mut expired = Expired { runs: 0, log_bytes: 0, items: Vec::new() };
        if policy.keeps_all() {
            return Ok(expired);
        }
        let oldest = policy.oldest(now);
        self.within(async {
            let mut tx = self.read().await?;
            // Pipeline by pipeline, so that an index leads to what goes and nothing else is read: to give each of a million
            // runs its place among its pipeline's takes half a minute.
            for pipeline in pipelines_with_runs(&mut tx).await? {
                let newest = match policy.runs {
                    Some(keep) => newest_beyond(&mut tx, &pipeline, keep).await?,
                    None => None,
                };
                let after = newest.clone().unwrap_or((i64::MIN, String::new()));
                if let Some(newest) = newest {
                    let beyond = Stretch {
                        pipeline: &pipeline,
                        after: (i64::MIN, ""),
                        up_to: (newest.0, &newest.1),
                        oldest: i64::MAX,
                    };
                    beyond.add(&mut tx, Reason::Count, limit, &mut expired).await?;
                }
                if policy.days.is_some() {
                    let up_to = (i64::MAX, "");
                    let old = Stretch { pipeline: &pipeline, after: (after.0, &after.1), up_to, oldest: oldest.0 };
                    old.add(&mut tx, Reason::Age, limit, &mut expired).await?;
                }
            }
            Ok(expired)
        })
        .await
    }

    /// Runs that ended before `before`, those that were accepted first, first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn runs_ended_before(&self, before: Millis, limit: u32) -> Result<Vec<EndedRun>, StoreError> {
        // A run is accepted before it ends, so that the index finds those that may have ended early enough.
        const SQL: &str = "SELECT id, pipeline_name, COALESCE(finished_at, created_at) AS ended_at, log_bytes FROM runs \
            WHERE created_at < $1 AND COALESCE(finished_at, created_at) < $1 AND status IN ('SUCCESS', 'FAILED') \
            ORDER BY created_at, id LIMIT $2";
        self.within(async {
            let query = sqlx::query(SQL).bind(before.0).bind(i64::from(limit));
            query.fetch_all(&self.pool).await?.iter().map(ended).collect()
        })
        .await
    }

    /// Runs of a pipeline that ended, beyond the `keep` latest of those, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn runs_beyond(&self, pipeline: &str, keep: u32, limit: u32) -> Result<Vec<EndedRun>, StoreError> {
        const SQL: &str = "SELECT id, pipeline_name, COALESCE(finished_at, created_at) AS ended_at, log_bytes FROM runs \
            WHERE pipeline_name = $1 AND status IN ('SUCCESS', 'FAILED') \
            ORDER BY created_at DESC, id DESC LIMIT $3 OFFSET $2";
        self.within(async {
            let query = sqlx::query(SQL).bind(pipeline).bind(i64::from(keep)).bind(i64::from(limit));
            query.fetch_all(&self.pool).await?.iter().map(ended).collect()
        })
        .await
    }

    /// Names of all pipelines that have runs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn pipelines_with_runs(&self) -> Result<Vec<String>, StoreError> {
        self.within(async { pipelines_with_runs(&mut *self.pool.acquire().await?).await }).await
    }

    /// Those of these runs that have ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ended_runs(&self, ids: &[String]) -> Result<Vec<EndedRun>, StoreError> {
        let mut found = Vec::new();
        for ids in ids.chunks(BATCH) {
            let sql = format!(
                "SELECT id, pipeline_name, COALESCE(finished_at, created_at) AS ended_at, log_bytes \
                 FROM runs WHERE status IN ('SUCCESS', 'FAILED') AND id IN ({})",
                marks(1, ids.len())
            );
            let rows: Vec<EndedRun> = self
                .within(async {
                    // Safe: constants and numbers.
                    let query = ids.iter().fold(sqlx::query(AssertSqlSafe(sql)), sqlx::query::Query::bind);
                    query.fetch_all(&self.pool).await?.iter().map(ended).collect()
                })
                .await?;
            found.extend(rows);
        }
        Ok(found)
    }

    /// Those of these ids that have a row.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn known_runs(&self, ids: &[String]) -> Result<HashSet<String>, StoreError> {
        let mut found = HashSet::new();
        for ids in ids.chunks(BATCH) {
            let sql = format!("SELECT id FROM runs WHERE id IN ({})", marks(1, ids.len()));
            let rows: Vec<String> = self
                .within(async {
                    let query = ids.iter().fold(sqlx::query(AssertSqlSafe(sql)), sqlx::query::Query::bind);
                    let rows = query.fetch_all(&self.pool).await?;
                    rows.iter().map(|row| Cells::new(row, "runs", "id").text("id")).collect()
                })
                .await?;
            found.extend(rows);
        }
        Ok(found)
    }

    /// Deletes those of the runs that have ended, and returns their ids. The pipeline's counters keep them; what referred to
    /// them does so no more; and that their files have to go is noted until [`Self::forget_deleted`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then those of earlier batches are deleted.
    pub async fn delete_runs(&self, ids: &[String], now: Millis) -> Result<Vec<String>, StoreError> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        let mut deleted = Vec::new();
        for ids in ids.chunks(BATCH) {
            deleted.extend(self.delete_batch(ids, now).await?);
        }
        Ok(deleted)
    }

    async fn delete_batch(&self, ids: &[String], now: Millis) -> Result<Vec<String>, StoreError> {
        const NOTE: &str =
            "INSERT INTO deleted_runs (run_id, deleted_at) VALUES ($1, $2) ON CONFLICT (run_id) DO NOTHING";
        self.within(async {
            let mut tx = self.write().await?;
            let delete = format!(
                "DELETE FROM runs WHERE id IN ({}) AND status IN ('SUCCESS', 'FAILED') RETURNING id",
                marks(1, ids.len())
            );
            let query = ids.iter().fold(sqlx::query(AssertSqlSafe(delete)), sqlx::query::Query::bind);
            let rows = query.fetch_all(&mut *tx).await?;
            let deleted: Vec<String> =
                rows.iter().map(|row| Cells::new(row, "runs", "id").text("id")).collect::<Result<_, _>>()?;
            if deleted.is_empty() {
                return Ok(deleted);
            }
            for id in &deleted {
                sqlx::query(NOTE).bind(id).bind(now.0).execute(&mut *tx).await?;
            }
            for (table, column) in
                [("runs", "retry_of"), ("runs", "retried_by"), ("firings", "run_id"), ("scheduled_jobs", "last_run_id")]
            {
                let clear =
                    format!("UPDATE {table} SET {column} = NULL WHERE {column} IN ({})", marks(1, deleted.len()));
                let query = deleted.iter().fold(sqlx::query(AssertSqlSafe(clear)), sqlx::query::Query::bind);
                query.execute(&mut *tx).await?;
            }
            tx.commit().await?;
            Ok(deleted)
        })
        .await
    }

    /// Runs whose rows are deleted and whose files may be there still.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn deleted_runs(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "SELECT run_id FROM deleted_runs ORDER BY deleted_at, run_id LIMIT $1";
        self.within(async {
            let rows = sqlx::query(SQL).bind(i64::from(limit)).fetch_all(&self.pool).await?;
            rows.iter().map(|row| Cells::new(row, "deleted_runs", "run_id").text("run_id")).collect()
        })
        .await
    }

    /// Forgets deleted runs whose files are gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_deleted(&self, ids: &[String]) -> Result<(), StoreError> {
        for ids in ids.chunks(BATCH) {
            let sql = format!("DELETE FROM deleted_runs WHERE run_id IN ({})", marks(1, ids.len()));
            self.execute(ids.iter().fold(sqlx::query(AssertSqlSafe(sql)), sqlx::query::Query::bind)).await?;
        }
        Ok(())
    }
}
