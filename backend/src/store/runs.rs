//! Inserting and reading single runs, and the small facts that are noted while one works. None of this touches `status`:
//! that is `record`'s alone.

use fastflow_shared::{EnvName, RunStatus};
use sqlx::AnyConnection;

use super::codec::{StoredStop, StoredStrategy, json};
use super::row::Cells;
use super::run_row::{Measured, NewRun, RunRow, run_columns};
use super::sealed::insert_mask;
use super::tx::{Real, Statement, free_text, key};
use super::{Store, StoreError};
use crate::domain::clock::Millis;
use crate::domain::outcome::StopReason;

const INSERT: &str = "INSERT INTO runs (id, pipeline_name, status, trigger_kind, triggered_by, attempt, max_attempts, \
    retry_strategy, retry_of, not_before, job_id, due_at, created_at, queued_at, commit_hash, commit_subject, commit_author, \
    code_path, image, parameters, sealed_env, cpu_limit, memory_limit, cpu_soft_limit, memory_soft_limit, timeout_seconds, \
    instance, owner) \
    VALUES ($1, $2, 'PENDING', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, \
    $22, $23, $24, $25, $26, $27)";

/// The environment that a run was given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UsedEnvironment {
    /// Key of the environment.
    pub key: Option<String>,
    /// Id of the worker image.
    pub image_id: Option<String>,
    /// Version of uv that prepared it.
    pub uv_version: Option<String>,
    /// Seconds that this run spent on it; 0 when it was ready.
    pub setup_seconds: Option<f64>,
}

/// What is noted of a run right before its script gets its job.
#[derive(Debug, Clone, Copy)]
pub struct StartNote<'a> {
    /// Its container.
    pub container_id: &'a str,
    /// When that container, started ahead, gets the job; absent for a cold start.
    pub warm_at: Option<Millis>,
    /// Its environment.
    pub used: &'a UsedEnvironment,
    /// Names of the variables that it receives.
    pub env_names: &'a [EnvName],
    /// The sealed secrets that hide its output, if there are any.
    pub mask: Option<&'a str>,
}

/// Answer to the wish to stop a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopAnswer {
    /// The reason is stored; now the run may be stopped.
    Accepted,
    /// It is being stopped already, for this reason, which stays.
    Already(StopReason),
    /// It has ended.
    Ended(RunStatus),
}

pub(super) async fn insert(connection: &mut AnyConnection, run: &NewRun) -> Result<(), StoreError> {
    // Destructured, so that a new field cannot be forgotten here.
    let NewRun {
        id,
        pipeline_name,
        trigger,
        triggered_by,
        attempt,
        max_attempts,
        retry_strategy,
        retry_of,
        not_before,
        job_id,
        due_at,
        created_at,
        code,
        image,
        parameters,
        sealed_env,
        limits,
        instance,
        owner,
    } = run;
    sqlx::query(INSERT)
        .bind(id)
        .bind(pipeline_name)
        .bind(trigger.as_str())
        .bind(free_text(triggered_by.as_deref()))
        .bind(i64::from(*attempt))
        .bind(i64::from(*max_attempts))
        .bind(retry_strategy.as_ref().map(|strategy| json(&StoredStrategy::from(strategy))))
        .bind(retry_of.as_deref())
        .bind(not_before.map(|time| time.0))
        .bind(job_id.as_deref())
        .bind(due_at.map(|time| time.0))
        .bind(created_at.0)
        .bind(run.queued_at().0)
        .bind(code.commit.as_deref())
        .bind(free_text(code.commit_subject.as_deref()))
        .bind(free_text(code.commit_author.as_deref()))
        .bind(code.path.as_deref())
        .bind(image.as_deref())
        .bind(json(parameters))
        .bind(sealed_env.as_deref())
        .bind(Real(limits.cpu))
        .bind(limits.memory)
        .bind(Real(limits.cpu_soft))
        .bind(limits.memory_soft)
        .bind(limits.timeout_seconds)
        .bind(instance.as_deref())
        .bind(owner.as_deref())
        .execute(connection)
        .await?;
    Ok(())
}

impl Store {
    /// Inserts a run as `PENDING`. A further attempt of another run is linked with it both ways.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id exists, or when its job has fired for that due time already.
    pub async fn insert_run(&self, run: &NewRun) -> Result<(), StoreError> {
        self.within(async {
            let Some(before) = &run.retry_of else {
                let _permit = self.permit().await?;
                return insert(&mut *self.pool.acquire().await?, run).await;
            };
            let mut tx = self.write().await?;
            insert(&mut tx, run).await?;
            // The first attempt that followed stays the next one, however often a run is tried by hand.
            const LINK: &str = "UPDATE runs SET retried_by = $1 WHERE id = $2 AND retried_by IS NULL";
            sqlx::query(LINK).bind(&run.id).bind(before).execute(&mut *tx).await?;
            tx.commit().await
        })
        .await
    }

    /// One run.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Corrupt`].
    pub async fn run(&self, id: &str) -> Result<RunRow, StoreError> {
        const SQL: &str = concat!("SELECT ", run_columns!(), " FROM runs WHERE id = $1");
        key("run", id)?;
        self.within(async {
            let row = sqlx::query(SQL).bind(id).fetch_optional(&self.pool).await?;
            RunRow::read(&row.ok_or_else(|| StoreError::not_found("run", id))?)
        })
        .await
    }

    /// Every run that has not ended, in the order of the queue. A row that cannot be read is left out and told apart, for
    /// one bad row must not keep the server from recovering all others.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn unfinished_runs(&self) -> Result<(Vec<RunRow>, Vec<StoreError>), StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            run_columns!(),
            " FROM runs WHERE status IN ('PENDING', 'RUNNING', 'INTERRUPTED') ORDER BY queued_at, id"
        );
        self.within(async {
            let rows = sqlx::query(SQL).fetch_all(&self.pool).await?;
            let (mut good, mut bad) = (Vec::new(), Vec::new());
            for row in &rows {
                match RunRow::read(row) {
                    Ok(run) => good.push(run),
                    Err(error) => bad.push(error),
                }
            }
            Ok((good, bad))
        })
        .await
    }

    /// Stores our own reason to stop a run, before anything is stopped. The first reason stays. A cancellation is also
    /// noted with its time and who asked.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn request_stop(&self, id: &str, reason: &StopReason, now: Millis) -> Result<StopAnswer, StoreError> {
        const SQL: &str = "UPDATE runs SET stop_reason = $2, cancel_requested_at = COALESCE($3, cancel_requested_at), \
            cancel_requested_by = COALESCE($4, cancel_requested_by) \
            WHERE id = $1 AND stop_reason IS NULL AND status NOT IN ('SUCCESS', 'FAILED')";
        let (at, by) = match reason {
            StopReason::Cancelled { by } => (Some(now.0), by.as_deref()),
            _ => (None, None),
        };
        let by = free_text(by);
        key("run", id)?;
        self.within(async {
            let mut tx = self.write().await?;
            let update = sqlx::query(SQL).bind(id).bind(json(&StoredStop::from(reason))).bind(at).bind(by);
            if update.execute(&mut *tx).await?.rows_affected() == 1 {
                tx.commit().await?;
                return Ok(StopAnswer::Accepted);
            }
            let row = sqlx::query("SELECT id, status, stop_reason FROM runs WHERE id = $1")
                .bind(id)
                .fetch_optional(&mut *tx)
                .await?
                .ok_or_else(|| StoreError::not_found("run", id))?;
            let cells = Cells::new(&row, "runs", "id");
            let status: RunStatus = cells.named("status")?;
            match cells.opt_json::<StoredStop>("stop_reason")? {
                Some(reason) if !status.is_final() => Ok(StopAnswer::Already(reason.into())),
                _ => Ok(StopAnswer::Ended(status)),
            }
        })
        .await
    }

    /// Notes, in one transaction, all that must be known of a run before its script begins: a recovery needs the container
    /// and the secrets, everybody else the rest.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn note_start(&self, id: &str, note: &StartNote<'_>) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE runs SET container_id = $2, warm_at = $3, env_names = $4, \
            environment_key = COALESCE($5, environment_key), image_id = COALESCE($6, image_id), \
            uv_version = COALESCE($7, uv_version), setup_duration = COALESCE($8, setup_duration) WHERE id = $1";
        let StartNote { container_id, warm_at, used, env_names, mask } = *note;
        let update = sqlx::query(SQL)
            .bind(id)
            .bind(container_id)
            .bind(warm_at.map(|time| time.0))
            .bind(json(env_names))
            .bind(used.key.as_deref())
            .bind(used.image_id.as_deref())
            .bind(used.uv_version.as_deref())
            .bind(Real(used.setup_seconds));
        let Some(mask) = mask else { return self.one_run(id, update).await };
        self.within(async {
            let mut tx = self.write().await?;
            if update.execute(&mut *tx).await?.rows_affected() == 0 {
                return Err(StoreError::not_found("run", id));
            }
            insert_mask(id, mask).execute(&mut *tx).await?;
            tx.commit().await
        })
        .await
    }

    /// Notes the environment that a run uses. Absent values leave what is stored.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_environment(&self, id: &str, used: &UsedEnvironment) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE runs SET environment_key = COALESCE($2, environment_key), \
            image_id = COALESCE($3, image_id), uv_version = COALESCE($4, uv_version), \
            setup_duration = COALESCE($5, setup_duration) WHERE id = $1";
        let UsedEnvironment { key, image_id, uv_version, setup_seconds } = used;
        let update = sqlx::query(SQL)
            .bind(id)
            .bind(key.as_deref())
            .bind(image_id.as_deref())
            .bind(uv_version.as_deref())
            .bind(Real(*setup_seconds));
        self.one_run(id, update).await
    }

    /// Notes what was measured. Absent values leave what is stored.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_measured(&self, id: &str, measured: &Measured) -> Result<(), StoreError> {
        self.one_run(id, measure(id, measured)).await
    }

    /// Wipes the encrypted start values. Ending a run does so too; call this once no retry can need them.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn clear_sealed_env(&self, id: &str) -> Result<(), StoreError> {
        self.one_run(id, sqlx::query("UPDATE runs SET sealed_env = NULL WHERE id = $1").bind(id)).await
    }

    /// Names the server process that drives a run.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_owner(&self, id: &str, owner: &str) -> Result<(), StoreError> {
        self.one_run(id, sqlx::query("UPDATE runs SET owner = $2 WHERE id = $1").bind(id).bind(owner)).await
    }

    async fn one_run(&self, id: &str, update: Statement<'_>) -> Result<(), StoreError> {
        key("run", id)?;
        match self.execute(update).await?.rows_affected() {
            0 => Err(StoreError::not_found("run", id)),
            _ => Ok(()),
        }
    }
}

/// The statement that notes what was measured of a run.
fn measure<'q>(id: &'q str, measured: &Measured) -> Statement<'q> {
    const SQL: &str = "UPDATE runs SET log_bytes = COALESCE($2, log_bytes), \
        cpu_peak_percent = COALESCE($3, cpu_peak_percent), cpu_average_percent = COALESCE($4, cpu_average_percent), \
        ram_peak_mb = COALESCE($5, ram_peak_mb), ram_average_mb = COALESCE($6, ram_average_mb), \
        soft_limit_exceeded = CASE WHEN $7 = 1 THEN 1 ELSE soft_limit_exceeded END, \
        cpu_throttled = CASE WHEN $8 = 1 THEN 1 ELSE cpu_throttled END WHERE id = $1";
    let Measured {
        log_bytes,
        cpu_peak_percent,
        cpu_average_percent,
        ram_peak_mb,
        ram_average_mb,
        soft_limit_exceeded,
        cpu_throttled,
    } = *measured;
    sqlx::query(SQL)
        .bind(id)
        .bind(log_bytes)
        .bind(Real(cpu_peak_percent))
        .bind(Real(cpu_average_percent))
        .bind(Real(ram_peak_mb))
        .bind(Real(ram_average_mb))
        .bind(i64::from(soft_limit_exceeded))
        .bind(i64::from(cpu_throttled))
}
