//! Jobs that start pipelines by the clock: what they are. What became of their due times is `firings`.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::codec::{StoredOverrides, json};
use super::row::Cells;
use super::tx::{Statement, free_text, key};
use super::{Store, StoreError};
use crate::domain::clock::Millis;
use crate::domain::schedules::Overrides;

/// Source of the jobs that stand in pipelines' files.
pub const REPOSITORY: &str = "repository";

/// A job's definition.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// UUIDv7. A repository job that is known already keeps its id.
    pub id: String,
    /// Pipeline that it starts.
    pub pipeline_name: String,
    /// What a person calls it.
    pub name: Option<String>,
    /// `cron`, `interval` or `once`.
    pub trigger_type: String,
    /// Cron expression, seconds, or an instant.
    pub trigger_value: String,
    /// IANA name of the zone in which a cron expression is meant.
    pub time_zone: String,
    /// Whether its definition lets it fire.
    pub enabled: bool,
    /// Whether an operator keeps it from firing.
    pub paused: bool,
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
    /// Most of them, when each is made up for.
    pub catch_up_limit: Option<i64>,
    /// Oldest of them in seconds, when each is made up for.
    pub catch_up_max_age: Option<i64>,
    /// What to do when its last run still works.
    pub overlap: String,
    /// Most runs of it at once.
    pub max_instances: Option<i64>,
    /// Plain values for its runs.
    pub parameters: BTreeMap<String, String>,
    /// What its runs have instead of their pipeline's settings.
    pub overrides: Overrides,
    /// Who made it.
    pub created_by: Option<String>,
    /// When it fires next; absent means never.
    pub next_run_at: Option<Millis>,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// A stored job.
#[derive(Debug, Clone, PartialEq)]
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
    /// As of when the due times that passed are judged, while any of them are left.
    pub decided_at: Option<Millis>,
    /// The clock when a due time was last taken.
    pub claimed_at: Option<Millis>,
}

macro_rules! job_columns {
    () => {
        "id, pipeline_name, name, trigger_type, trigger_value, time_zone, enabled, paused, source, source_id, start_at, end_at, \
         catch_up, catch_up_limit, catch_up_max_age, overlap, max_instances, parameters, overrides, created_by, created_at, \
         updated_at, next_run_at, last_run_at, last_run_id, problem, decided_at, claimed_at"
    };
}

pub(super) use job_columns;

pub(super) fn read(row: &AnyRow) -> Result<JobRow, StoreError> {
    let cells = Cells::new(row, "scheduled_jobs", "id");
    let job = NewJob {
        id: cells.text("id")?,
        pipeline_name: cells.text("pipeline_name")?,
        name: cells.opt_text("name")?,
        trigger_type: cells.text("trigger_type")?,
        trigger_value: cells.text("trigger_value")?,
        time_zone: cells.text("time_zone")?,
        enabled: cells.flag("enabled")?,
        paused: cells.flag("paused")?,
        source: cells.text("source")?,
        source_id: cells.opt_text("source_id")?,
        start_at: cells.opt_time("start_at")?,
        end_at: cells.opt_time("end_at")?,
        catch_up: cells.text("catch_up")?,
        catch_up_limit: cells.opt_int("catch_up_limit")?,
        catch_up_max_age: cells.opt_int("catch_up_max_age")?,
        overlap: cells.text("overlap")?,
        max_instances: cells.opt_int("max_instances")?,
        parameters: cells.json("parameters")?,
        overrides: cells.json::<StoredOverrides>("overrides")?.into(),
        created_by: cells.opt_text("created_by")?,
        next_run_at: cells.opt_time("next_run_at")?,
        problem: cells.opt_text("problem")?,
    };
    Ok(JobRow {
        job,
        created_at: cells.time("created_at")?,
        updated_at: cells.time("updated_at")?,
        last_run_at: cells.opt_time("last_run_at")?,
        last_run_id: cells.opt_text("last_run_id")?,
        decided_at: cells.opt_time("decided_at")?,
        claimed_at: cells.opt_time("claimed_at")?,
    })
}

/// `ON CONFLICT … DO UPDATE` of a repository job: the operator's pause stays, and so do the next due time and a judgement
/// that is being carried out, unless when it fires changed (else each sync would push an interval further away, and a due
/// time that was missed would be forgotten).
macro_rules! insert_job {
    ($tail:expr) => {
        concat!(
            "INSERT INTO scheduled_jobs (id, pipeline_name, name, trigger_type, trigger_value, time_zone, enabled, paused, \
             source, source_id, start_at, end_at, catch_up, catch_up_limit, catch_up_max_age, overlap, max_instances, \
             parameters, overrides, created_by, next_run_at, problem, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, \
             $23, $23)",
            $tail
        )
    };
}

/// Whether a job fires at the same times as before. Absent times compare as an impossible one.
macro_rules! same_times {
    () => {
        "scheduled_jobs.trigger_type = excluded.trigger_type AND scheduled_jobs.trigger_value = excluded.trigger_value \
         AND scheduled_jobs.time_zone = excluded.time_zone AND scheduled_jobs.enabled = excluded.enabled \
         AND COALESCE(scheduled_jobs.start_at, -1) = COALESCE(excluded.start_at, -1) \
         AND COALESCE(scheduled_jobs.end_at, -1) = COALESCE(excluded.end_at, -1)"
    };
}

const INSERT: &str = insert_job!("");
const UPSERT: &str = insert_job!(concat!(
    " ON CONFLICT (source, source_id) DO UPDATE SET pipeline_name = excluded.pipeline_name, name = excluded.name, \
     next_run_at = CASE WHEN ",
    same_times!(),
    " THEN COALESCE(scheduled_jobs.next_run_at, excluded.next_run_at) ELSE excluded.next_run_at END, \
     decided_at = CASE WHEN ",
    same_times!(),
    " THEN scheduled_jobs.decided_at ELSE NULL END, \
     trigger_type = excluded.trigger_type, trigger_value = excluded.trigger_value, time_zone = excluded.time_zone, \
     enabled = excluded.enabled, start_at = excluded.start_at, end_at = excluded.end_at, catch_up = excluded.catch_up, \
     catch_up_limit = excluded.catch_up_limit, catch_up_max_age = excluded.catch_up_max_age, overlap = excluded.overlap, \
     max_instances = excluded.max_instances, parameters = excluded.parameters, overrides = excluded.overrides, \
     problem = excluded.problem, updated_at = excluded.updated_at"
));

/// A job that is changed by hand: its due time is given anew.
const UPDATE: &str = "UPDATE scheduled_jobs SET pipeline_name = $2, name = $3, trigger_type = $4, trigger_value = $5, \
    time_zone = $6, enabled = $7, paused = $8, source = $9, source_id = $10, start_at = $11, end_at = $12, catch_up = $13, \
    catch_up_limit = $14, catch_up_max_age = $15, overlap = $16, max_instances = $17, parameters = $18, overrides = $19, \
    created_by = $20, next_run_at = $21, problem = $22, updated_at = $23, decided_at = NULL WHERE id = $1";

async fn write_job(tx: &mut AnyConnection, sql: &'static str, job: &NewJob, now: Millis) -> Result<u64, StoreError> {
    // Destructured, so that a new field cannot be forgotten here.
    let NewJob {
        id,
        pipeline_name,
        name,
        trigger_type,
        trigger_value,
        time_zone,
        enabled,
        paused,
        source,
        source_id,
        start_at,
        end_at,
        catch_up,
        catch_up_limit,
        catch_up_max_age,
        overlap,
        max_instances,
        parameters,
        overrides,
        created_by,
        next_run_at,
        problem,
    } = job;
    let written = sqlx::query(sql)
        .bind(id)
        .bind(pipeline_name)
        .bind(free_text(name.as_deref()))
        .bind(trigger_type)
        .bind(trigger_value)
        .bind(time_zone)
        .bind(i64::from(*enabled))
        .bind(i64::from(*paused))
        .bind(source)
        .bind(source_id.as_deref())
        .bind(start_at.map(|time| time.0))
        .bind(end_at.map(|time| time.0))
        .bind(catch_up)
        .bind(*catch_up_limit)
        .bind(*catch_up_max_age)
        .bind(overlap)
        .bind(*max_instances)
        .bind(json(parameters))
        .bind(json(&StoredOverrides::from(overrides)))
        .bind(free_text(created_by.as_deref()))
        .bind(next_run_at.map(|time| time.0))
        .bind(free_text(problem.as_deref()))
        .bind(now.0)
        .execute(tx)
        .await?;
    Ok(written.rows_affected())
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

    /// Changes a job; its due time is the given one from now on.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn update_job(&self, job: &NewJob, now: Millis) -> Result<(), StoreError> {
        key("job", &job.id)?;
        self.within(async {
            let mut tx = self.write().await?;
            if write_job(&mut tx, UPDATE, job, now).await? == 0 {
                return Err(StoreError::not_found("job", &job.id));
            }
            tx.commit().await
        })
        .await
    }

    /// Makes the repository's jobs of `pipelines` exactly these; each must have a `source_id`. Pauses, due times and
    /// histories stay, jobs that are gone are deleted with their firings. Jobs of other pipelines stay as they are: nobody
    /// could read what their files say.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn upsert_repository_jobs(
        &self,
        jobs: &[NewJob],
        pipelines: &BTreeSet<String>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut jobs: Vec<_> = jobs.iter().collect();
        jobs.sort_unstable_by(|a, b| a.source_id.cmp(&b.source_id));
        self.within(async {
            let mut tx = self.write().await?;
            const KNOWN: &str =
                "SELECT id, source_id, pipeline_name FROM scheduled_jobs WHERE source = $1 ORDER BY source_id";
            let known = sqlx::query(KNOWN).bind(REPOSITORY).fetch_all(&mut *tx).await?;
            for job in &jobs {
                write_job(&mut tx, UPSERT, job, now).await?;
            }
            for row in &known {
                let cells = Cells::new(row, "scheduled_jobs", "id");
                let source_id = cells.opt_text("source_id")?;
                let is_gone = jobs.binary_search_by(|job| job.source_id.cmp(&source_id)).is_err();
                if is_gone && pipelines.contains(&cells.text("pipeline_name")?) {
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

    /// Jobs that fire and are due, the longest due first.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn due(&self, now: Millis, limit: u32) -> Result<Vec<JobRow>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            job_columns!(),
            " FROM scheduled_jobs WHERE enabled = 1 AND paused = 0 AND next_run_at <= $1 ORDER BY next_run_at, id LIMIT $2"
        );
        self.within(async {
            let query = sqlx::query(SQL).bind(now.0).bind(i64::from(limit));
            query.fetch_all(&self.pool).await?.iter().map(read).collect()
        })
        .await
    }

    /// When the next job is due.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn next_due(&self) -> Result<Option<Millis>, StoreError> {
        const SQL: &str = "SELECT MIN(next_run_at) AS next_run_at FROM scheduled_jobs WHERE enabled = 1 AND paused = 0";
        self.within(async {
            let row = sqlx::query(SQL).fetch_one(&self.pool).await?;
            Cells::new(&row, "scheduled_jobs", "next_run_at").opt_time("next_run_at")
        })
        .await
    }

    /// Jobs of which a due time was taken after `now`: the clock was set back since.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn jobs_ahead_of(&self, now: Millis) -> Result<Vec<JobRow>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            job_columns!(),
            " FROM scheduled_jobs WHERE enabled = 1 AND paused = 0 AND claimed_at > $1 ORDER BY id"
        );
        self.within(async { sqlx::query(SQL).bind(now.0).fetch_all(&self.pool).await?.iter().map(read).collect() })
            .await
    }

    /// Gives a job another due time, unless it was changed since it was read. `false` when it was.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn reset_due(&self, row: &JobRow, next: Option<Millis>, now: Millis) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE scheduled_jobs SET next_run_at = $2, decided_at = NULL, claimed_at = $3 \
            WHERE id = $1 AND COALESCE(next_run_at, -1) = $4 AND updated_at = $5";
        let before = row.job.next_run_at.map_or(-1, |time| time.0);
        let update = sqlx::query(SQL).bind(&row.job.id).bind(next.map(|time| time.0)).bind(now.0).bind(before);
        Ok(self.execute(update.bind(row.updated_at.0)).await?.rows_affected() == 1)
    }

    /// Notes the run that a job started otherwise than by a due time.
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
    pub async fn set_job_paused(
        &self,
        id: &str,
        paused: bool,
        next: Option<Millis>,
        now: Millis,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE scheduled_jobs SET paused = $2, next_run_at = $3, decided_at = NULL, updated_at = $4 \
            WHERE id = $1";
        let update = sqlx::query(SQL).bind(id).bind(i64::from(paused)).bind(next.map(|time| time.0)).bind(now.0);
        self.one_job(id, update).await
    }

    /// Deletes a job with its firings.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn delete_job(&self, id: &str) -> Result<(), StoreError> {
        self.one_job(id, sqlx::query("DELETE FROM scheduled_jobs WHERE id = $1").bind(id)).await
    }

    /// Deletes the jobs of a pipeline with their firings. Returns how many there were.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn delete_jobs_of(&self, pipeline: &str) -> Result<u64, StoreError> {
        let delete = sqlx::query("DELETE FROM scheduled_jobs WHERE pipeline_name = $1").bind(pipeline);
        Ok(self.execute(delete).await?.rows_affected())
    }

    async fn one_job(&self, id: &str, update: Statement<'_>) -> Result<(), StoreError> {
        key("job", id)?;
        match self.execute(update).await?.rows_affected() {
            0 => Err(StoreError::not_found("job", id)),
            _ => Ok(()),
        }
    }
}
