//! Jobs that start pipelines by the clock, and the book of their firings.
//!
//! A due time fires once because of the primary key of `firings`: whoever inserts (job, due time) has it, whatever other
//! servers, restarts or clocks do. The run is inserted in the same transaction, so a crash cannot lose it in between.

use std::collections::BTreeMap;

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::codec::json;
use super::row::Cells;
use super::run_row::NewRun;
use super::runs::insert;
use super::tx::{Statement, free_text, key};
use super::{Store, StoreError};
use crate::domain::clock::Millis;

/// Source of the jobs that stand in pipelines' files.
pub const REPOSITORY: &str = "repository";

/// A job's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// UUIDv7. A repository job that is known already keeps its id.
    pub id: String,
    /// Pipeline that it starts.
    pub pipeline_name: String,
    /// `cron` or `interval`.
    pub trigger_type: String,
    /// Cron expression, or seconds.
    pub trigger_value: String,
    /// IANA name of the zone in which a cron expression is meant.
    pub time_zone: String,
    /// Whether it fires.
    pub enabled: bool,
    /// `repository` or `api`.
    pub source: String,
    /// Names the job within its source; unique with it when set.
    pub source_id: Option<String>,
    /// It does not fire before this.
    pub start_at: Option<Millis>,
    /// It does not fire after this.
    pub end_at: Option<Millis>,
    /// What to do about due times that passed while no server was running.
    pub catch_up: String,
    /// What to do when its last run still works.
    pub overlap: String,
    /// Most runs of it at once.
    pub max_instances: Option<i64>,
    /// Plain values for its runs.
    pub parameters: BTreeMap<String, String>,
    /// When it fires next; absent means never.
    pub next_run_at: Option<Millis>,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// A stored job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Its definition, with the present `enabled`, `next_run_at` and `problem`.
    pub job: NewJob,
    /// When it was created.
    pub created_at: Millis,
    /// When its definition last changed.
    pub updated_at: Millis,
    /// The due time for which it last fired.
    pub last_run_at: Option<Millis>,
    /// The run it last started.
    pub last_run_id: Option<String>,
}

/// A firing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiringRow {
    /// The job.
    pub job_id: String,
    /// The due time.
    pub due_at: Millis,
    /// When a server took it.
    pub claimed_at: Millis,
    /// Which server.
    pub claimed_by: String,
    /// The run it started.
    pub run_id: Option<String>,
    /// Why it started none, or how it went.
    pub result: Option<String>,
}

/// Takes a due time.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The job.
    pub job_id: &'a str,
    /// The due time: the job's `next_run_at`.
    pub due_at: Millis,
    /// When the job is due after that.
    pub next: Option<Millis>,
    /// The server that takes it.
    pub by: &'a str,
    /// The present time.
    pub now: Millis,
    /// The run that it starts; absent when it is skipped (then `result` says why).
    pub run: Option<&'a NewRun>,
    /// Why it starts none.
    pub result: Option<&'a str>,
}

macro_rules! job_columns {
    () => {
        "id, pipeline_name, trigger_type, trigger_value, time_zone, enabled, source, source_id, start_at, end_at, catch_up, \
         overlap, max_instances, parameters, created_at, updated_at, next_run_at, last_run_at, last_run_id, problem"
    };
}

fn read(row: &AnyRow) -> Result<JobRow, StoreError> {
    let cells = Cells::new(row, "scheduled_jobs", "id");
    let job = NewJob {
        id: cells.text("id")?,
        pipeline_name: cells.text("pipeline_name")?,
        trigger_type: cells.text("trigger_type")?,
        trigger_value: cells.text("trigger_value")?,
        time_zone: cells.text("time_zone")?,
        enabled: cells.flag("enabled")?,
        source: cells.text("source")?,
        source_id: cells.opt_text("source_id")?,
        start_at: cells.opt_time("start_at")?,
        end_at: cells.opt_time("end_at")?,
        catch_up: cells.text("catch_up")?,
        overlap: cells.text("overlap")?,
        max_instances: cells.opt_int("max_instances")?,
        parameters: cells.json("parameters")?,
        next_run_at: cells.opt_time("next_run_at")?,
        problem: cells.opt_text("problem")?,
    };
    Ok(JobRow {
        job,
        created_at: cells.time("created_at")?,
        updated_at: cells.time("updated_at")?,
        last_run_at: cells.opt_time("last_run_at")?,
        last_run_id: cells.opt_text("last_run_id")?,
    })
}

/// `ON CONFLICT … DO UPDATE` of a repository job: the operator's pause stays, and so does the next due time unless the
/// trigger itself changed (else each sync would push an interval further away).
macro_rules! insert_job {
    ($tail:literal) => {
        concat!(
            "INSERT INTO scheduled_jobs (id, pipeline_name, trigger_type, trigger_value, time_zone, enabled, source, \
             source_id, start_at, end_at, catch_up, overlap, max_instances, parameters, next_run_at, problem, created_at, \
             updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17)",
            $tail
        )
    };
}

const INSERT: &str = insert_job!("");
const UPSERT: &str = insert_job!(
    " ON CONFLICT (source, source_id) DO UPDATE SET pipeline_name = excluded.pipeline_name, \
     next_run_at = CASE WHEN scheduled_jobs.trigger_type = excluded.trigger_type \
     AND scheduled_jobs.trigger_value = excluded.trigger_value AND scheduled_jobs.time_zone = excluded.time_zone \
     AND scheduled_jobs.next_run_at IS NOT NULL AND excluded.next_run_at IS NOT NULL \
     THEN scheduled_jobs.next_run_at ELSE excluded.next_run_at END, \
     trigger_type = excluded.trigger_type, trigger_value = excluded.trigger_value, time_zone = excluded.time_zone, \
     start_at = excluded.start_at, end_at = excluded.end_at, catch_up = excluded.catch_up, overlap = excluded.overlap, \
     max_instances = excluded.max_instances, parameters = excluded.parameters, problem = excluded.problem, \
     updated_at = excluded.updated_at"
);

async fn write_job(tx: &mut AnyConnection, sql: &'static str, job: &NewJob, now: Millis) -> Result<(), StoreError> {
    let NewJob {
        id,
        pipeline_name,
        trigger_type,
        trigger_value,
        time_zone,
        enabled,
        source,
        source_id,
        start_at,
        end_at,
        catch_up,
        overlap,
        max_instances,
        parameters,
        next_run_at,
        problem,
    } = job;
    sqlx::query(sql)
        .bind(id)
        .bind(pipeline_name)
        .bind(trigger_type)
        .bind(trigger_value)
        .bind(time_zone)
        .bind(i64::from(*enabled))
        .bind(source)
        .bind(source_id.as_deref())
        .bind(start_at.map(|time| time.0))
        .bind(end_at.map(|time| time.0))
        .bind(catch_up)
        .bind(overlap)
        .bind(*max_instances)
        .bind(json(parameters))
        .bind(next_run_at.map(|time| time.0))
        .bind(free_text(problem.as_deref()))
        .bind(now.0)
        .execute(tx)
        .await?;
    Ok(())
}

impl Store {
    /// Inserts a job.
    ///
    /// # Errors
    /// [`StoreError::Conflict`].
    pub async fn insert_job(&self, job: &NewJob, now: Millis) -> Result<(), StoreError> {
        self.within(async {
            let mut tx = self.write().await?;
            write_job(&mut tx, INSERT, job, now).await?;
            tx.commit().await
        })
        .await
    }

    /// Makes the repository's jobs exactly these; each must have a `source_id`. Pauses, due times and histories stay, jobs
    /// that are gone are deleted with their firings.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn upsert_repository_jobs(&self, jobs: &[NewJob], now: Millis) -> Result<(), StoreError> {
        let mut jobs: Vec<_> = jobs.iter().collect();
        jobs.sort_unstable_by(|a, b| a.source_id.cmp(&b.source_id));
        self.within(async {
            let mut tx = self.write().await?;
            let known = sqlx::query("SELECT id, source_id FROM scheduled_jobs WHERE source = $1 ORDER BY source_id")
                .bind(REPOSITORY)
                .fetch_all(&mut *tx)
                .await?;
            for job in &jobs {
                write_job(&mut tx, UPSERT, job, now).await?;
            }
            for row in &known {
                let cells = Cells::new(row, "scheduled_jobs", "id");
                let source_id = cells.opt_text("source_id")?;
                if jobs.binary_search_by(|job| job.source_id.cmp(&source_id)).is_err() {
                    let id = cells.text("id")?;
                    sqlx::query("DELETE FROM scheduled_jobs WHERE id = $1").bind(id).execute(&mut *tx).await?;
                }
            }
            tx.commit().await
        })
        .await
    }

    /// All jobs, by pipeline.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn jobs(&self) -> Result<Vec<JobRow>, StoreError> {
        const SQL: &str = concat!("SELECT ", job_columns!(), " FROM scheduled_jobs ORDER BY pipeline_name, id");
        self.within(async { sqlx::query(SQL).fetch_all(&self.pool).await?.iter().map(read).collect() }).await
    }

    /// One job.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Corrupt`].
    pub async fn job(&self, id: &str) -> Result<JobRow, StoreError> {
        const SQL: &str = concat!("SELECT ", job_columns!(), " FROM scheduled_jobs WHERE id = $1");
        key("job", id)?;
        self.within(async {
            let row = sqlx::query(SQL).bind(id).fetch_optional(&self.pool).await?;
            read(&row.ok_or_else(|| StoreError::not_found("job", id))?)
        })
        .await
    }

    /// Jobs that are enabled and due, the longest due first.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn due(&self, now: Millis, limit: u32) -> Result<Vec<JobRow>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            job_columns!(),
            " FROM scheduled_jobs WHERE enabled = 1 AND next_run_at <= $1 ORDER BY next_run_at, id LIMIT $2"
        );
        self.within(async {
            let query = sqlx::query(SQL).bind(now.0).bind(i64::from(limit));
            query.fetch_all(&self.pool).await?.iter().map(read).collect()
        })
        .await
    }

    /// Takes a due time, once among all servers, and inserts its run in the same transaction. `false` means that somebody
    /// else has it, or that the job was changed, paused or deleted since it was read.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the run's id exists.
    pub async fn claim(&self, claim: &Claim<'_>) -> Result<bool, StoreError> {
        const ADVANCE: &str = "UPDATE scheduled_jobs SET next_run_at = $3, last_run_at = $2, \
            last_run_id = COALESCE($4, last_run_id) WHERE id = $1 AND next_run_at = $2 AND enabled = 1";
        const FIRE: &str = "INSERT INTO firings (job_id, due_at, claimed_at, claimed_by, run_id, result) \
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (job_id, due_at) DO NOTHING";
        let Claim { job_id, due_at, next, by, now, run, result } = *claim;
        let run_id = run.map(|run| run.id.as_str());
        self.within(async {
            let mut tx = self.write().await?;
            let advance = sqlx::query(ADVANCE).bind(job_id).bind(due_at.0).bind(next.map(|time| time.0)).bind(run_id);
            if advance.execute(&mut *tx).await?.rows_affected() == 0 {
                return Ok(false);
            }
            let fire =
                sqlx::query(FIRE).bind(job_id).bind(due_at.0).bind(now.0).bind(by).bind(run_id).bind(free_text(result));
            let fired = fire.execute(&mut *tx).await?.rows_affected() == 1;
            if let Some(run) = run.filter(|_| fired) {
                insert(&mut tx, run).await?;
            }
            // A due time that fired before (the clock was set back) moves the job on, but starts nothing.
            tx.commit().await?;
            Ok(fired)
        })
        .await
    }

    /// Notes the run that a job started otherwise than by [`Store::claim`].
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_last_run(&self, id: &str, run_id: &str, at: Millis) -> Result<(), StoreError> {
        let update = sqlx::query("UPDATE scheduled_jobs SET last_run_id = $2, last_run_at = $3 WHERE id = $1");
        self.one_job(id, update.bind(id).bind(run_id).bind(at.0)).await
    }

    /// Pauses a job or lets it go on, due next at `next`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_job_enabled(
        &self,
        id: &str,
        enabled: bool,
        next: Option<Millis>,
        now: Millis,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE scheduled_jobs SET enabled = $2, next_run_at = $3, updated_at = $4 WHERE id = $1";
        let update = sqlx::query(SQL).bind(id).bind(i64::from(enabled)).bind(next.map(|time| time.0)).bind(now.0);
        self.one_job(id, update).await
    }

    /// Deletes a job with its firings.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn delete_job(&self, id: &str) -> Result<(), StoreError> {
        self.one_job(id, sqlx::query("DELETE FROM scheduled_jobs WHERE id = $1").bind(id)).await
    }

    /// The latest firings of a job, newest first.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn firings(&self, job_id: &str, limit: u32) -> Result<Vec<FiringRow>, StoreError> {
        const SQL: &str = "SELECT job_id, due_at, claimed_at, claimed_by, run_id, result FROM firings \
            WHERE job_id = $1 ORDER BY due_at DESC LIMIT $2";
        self.within(async {
            let read = |row| {
                let cells = Cells::new(row, "firings", "job_id");
                Ok(FiringRow {
                    job_id: cells.text("job_id")?,
                    due_at: cells.time("due_at")?,
                    claimed_at: cells.time("claimed_at")?,
                    claimed_by: cells.text("claimed_by")?,
                    run_id: cells.opt_text("run_id")?,
                    result: cells.opt_text("result")?,
                })
            };
            let query = sqlx::query(SQL).bind(job_id).bind(i64::from(limit));
            query.fetch_all(&self.pool).await?.iter().map(read).collect()
        })
        .await
    }

    async fn one_job(&self, id: &str, update: Statement<'_>) -> Result<(), StoreError> {
        key("job", id)?;
        match self.execute(update).await?.rows_affected() {
            0 => Err(StoreError::not_found("job", id)),
            _ => Ok(()),
        }
    }
}
