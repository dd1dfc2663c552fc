//! What is known of each pipeline beside its files: when it was seen, its switch, its environment and its counters.

use fastflow_shared::PipelineStats;
use sqlx::any::AnyRow;

use super::row::Cells;
use super::tx::{Statement, key};
use super::{Store, StoreError};
use crate::domain::clock::Millis;

/// A pipeline found in the repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeenPipeline {
    /// Name of its folder.
    pub name: String,
    /// Whether it has a `requirements.txt`.
    pub has_requirements: bool,
}

/// A stored pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineRow {
    /// Name of its folder.
    pub name: String,
    /// When it was first seen.
    pub first_seen_at: Millis,
    /// When it was last seen.
    pub last_seen_at: Millis,
    /// Since when its folder is gone.
    pub removed_at: Option<Millis>,
    /// Whether it had a `requirements.txt` when last seen.
    pub has_requirements: bool,
    /// The operator's switch.
    pub enabled_by_operator: bool,
    /// When its environment was last built.
    pub last_cache_warmup: Option<Millis>,
    /// Key of its latest environment.
    pub environment_key: Option<String>,
    /// Its counters.
    pub stats: PipelineStats,
}

macro_rules! pipeline_columns {
    () => {
        "name, first_seen_at, last_seen_at, removed_at, has_requirements, enabled_by_operator, last_cache_warmup, \
         environment_key, total_runs, successful_runs, failed_runs, total_duration_ms, timed_runs, p95_duration_ms, \
         stats_reset_at"
    };
}

fn read(row: &AnyRow) -> Result<PipelineRow, StoreError> {
    let cells = Cells::new(row, "pipelines", "name");
    Ok(PipelineRow {
        name: cells.text("name")?,
        first_seen_at: cells.time("first_seen_at")?,
        last_seen_at: cells.time("last_seen_at")?,
        removed_at: cells.opt_time("removed_at")?,
        has_requirements: cells.flag("has_requirements")?,
        enabled_by_operator: cells.flag("enabled_by_operator")?,
        last_cache_warmup: cells.opt_time("last_cache_warmup")?,
        environment_key: cells.opt_text("environment_key")?,
        stats: stats(&cells)?,
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts and milliseconds are far below 2^53")]
fn stats(cells: &Cells<'_>) -> Result<PipelineStats, StoreError> {
    let (total, successful) = (cells.int("total_runs")?, cells.int("successful_runs")?);
    let (millis, timed) = (cells.int("total_duration_ms")?, cells.int("timed_runs")?);
    Ok(PipelineStats {
        total_runs: total,
        successful_runs: successful,
        failed_runs: cells.int("failed_runs")?,
        success_rate: (total > 0).then(|| successful as f64 * 100.0 / total as f64),
        mean_duration_seconds: (timed > 0).then(|| millis as f64 / 1000.0 / timed as f64),
        p95_duration_seconds: cells.opt_int("p95_duration_ms")?.map(|ms| ms.max(0) as f64 / 1000.0),
        reset_at: cells.opt_time("stats_reset_at")?.map(Millis::to_utc),
    })
}

impl Store {
    /// Notes which pipelines the repository holds now. New ones are added, those that came back lose their mark, and all
    /// others are marked as removed; switch and counters stay.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn upsert_seen(&self, seen: &[SeenPipeline], now: Millis) -> Result<(), StoreError> {
        const SEE: &str = "INSERT INTO pipelines (name, first_seen_at, last_seen_at, has_requirements) \
            VALUES ($1, $2, $2, $3) ON CONFLICT (name) DO UPDATE SET last_seen_at = excluded.last_seen_at, \
            removed_at = NULL, has_requirements = excluded.has_requirements";
        // One order for everybody who locks several pipelines.
        let mut seen: Vec<_> = seen.iter().collect();
        seen.sort_unstable();
        self.within(async {
            let mut tx = self.write().await?;
            let present = sqlx::query("SELECT name FROM pipelines WHERE removed_at IS NULL ORDER BY name")
                .fetch_all(&mut *tx)
                .await?;
            for pipeline in &seen {
                sqlx::query(SEE)
                    .bind(&pipeline.name)
                    .bind(now.0)
                    .bind(i64::from(pipeline.has_requirements))
                    .execute(&mut *tx)
                    .await?;
            }
            for row in &present {
                let name = Cells::new(row, "pipelines", "name").text("name")?;
                if seen.binary_search_by(|pipeline| pipeline.name.cmp(&name)).is_err() {
                    sqlx::query("UPDATE pipelines SET removed_at = $2 WHERE name = $1")
                        .bind(name)
                        .bind(now.0)
                        .execute(&mut *tx)
                        .await?;
                }
            }
            tx.commit().await
        })
        .await
    }

    /// Every pipeline ever seen, with its counters, by name. Those that are gone have `removed_at`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn pipelines(&self) -> Result<Vec<PipelineRow>, StoreError> {
        const SQL: &str = concat!("SELECT ", pipeline_columns!(), " FROM pipelines ORDER BY name");
        self.within(async { sqlx::query(SQL).fetch_all(&self.pool).await?.iter().map(read).collect() }).await
    }

    /// One pipeline with its counters.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Corrupt`].
    pub async fn pipeline(&self, name: &str) -> Result<PipelineRow, StoreError> {
        const SQL: &str = concat!("SELECT ", pipeline_columns!(), " FROM pipelines WHERE name = $1");
        key("pipeline", name)?;
        self.within(async {
            let row = sqlx::query(SQL).bind(name).fetch_optional(&self.pool).await?;
            read(&row.ok_or_else(|| StoreError::not_found("pipeline", name))?)
        })
        .await
    }

    /// Turns the operator's switch.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_enabled(&self, name: &str, enabled: bool) -> Result<(), StoreError> {
        let update = sqlx::query("UPDATE pipelines SET enabled_by_operator = $2 WHERE name = $1")
            .bind(name)
            .bind(i64::from(enabled));
        self.one_pipeline(name, update).await
    }

    /// Notes the environment of a pipeline and, when it was built just now, the time. Without a time the old one stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_pipeline_environment(
        &self,
        name: &str,
        key: Option<&str>,
        warmed_at: Option<Millis>,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE pipelines SET environment_key = $2, last_cache_warmup = COALESCE($3, last_cache_warmup) \
            WHERE name = $1";
        let update = sqlx::query(SQL).bind(name).bind(key).bind(warmed_at.map(|time| time.0));
        self.one_pipeline(name, update).await
    }

    /// Sets the counters to zero.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn reset_stats(&self, name: &str, now: Millis) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE pipelines SET total_runs = 0, successful_runs = 0, failed_runs = 0, \
            total_duration_ms = 0, timed_runs = 0, p95_duration_ms = NULL, stats_reset_at = $2 WHERE name = $1";
        self.one_pipeline(name, sqlx::query(SQL).bind(name).bind(now.0)).await
    }

    async fn one_pipeline(&self, name: &str, update: Statement<'_>) -> Result<(), StoreError> {
        key("pipeline", name)?;
        match self.execute(update).await?.rows_affected() {
            0 => Err(StoreError::not_found("pipeline", name)),
            _ => Ok(()),
        }
    }
}
