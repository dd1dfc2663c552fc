//! What became of due times: the book that makes each of them fire once.
//!
//! A due time fires once because of the primary key of `firings`: whoever inserts (job, due time) has it, whatever other
//! servers, restarts or clocks do. The run is inserted in the same transaction, and so are the job's next due time and the
//! reasons to stop the runs that make room for it: a crash leaves all of it or nothing.

use fastflow_shared::RunSummary;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::codec::{StoredStop, json};
use super::jobs::{JobRow, job_columns, read as read_job};
use super::row::{Cells, Named};
use super::run_row::{NewRun, read_summary};
use super::runs::insert;
use super::tx::{free_text, key};
use super::{Store, StoreError};
use crate::domain::clock::Millis;
use crate::domain::outcome::StopReason;

/// How far a due time got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FiringState {
    /// It has started its run.
    Started,
    /// It waits for another run of the job to end.
    Waiting,
    /// It starts none, by a policy or because the pipeline is switched off.
    LeftOut,
    /// It could start none.
    Failed,
    /// No due time: somebody started the job.
    ByHand,
}

impl FiringState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Started, Self::Waiting, Self::LeftOut, Self::Failed, Self::ByHand];

    /// The name used in JSON and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Waiting => "waiting",
            Self::LeftOut => "left_out",
            Self::Failed => "failed",
            Self::ByHand => "by_hand",
        }
    }
}

impl Named for FiringState {
    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A firing.
#[derive(Debug, Clone, PartialEq)]
pub struct FiringRow {
    /// The job.
    pub job_id: String,
    /// Its pipeline.
    pub pipeline_name: String,
    /// The due time.
    pub due_at: Millis,
    /// How far it got.
    pub state: FiringState,
    /// When a server took it.
    pub claimed_at: Millis,
    /// Which server.
    pub claimed_by: String,
    /// Due times that this one stands for.
    pub due_times: i64,
    /// The last of them.
    pub until: Option<Millis>,
    /// The run it started.
    pub run_id: Option<String>,
    /// When it started it.
    pub started_at: Option<Millis>,
    /// What became of it.
    pub run: Option<RunSummary>,
    /// Why it started none.
    pub result: Option<String>,
}

/// What is done with a due time.
#[derive(Debug, Clone, Copy)]
pub enum Take<'a> {
    /// A run is started, and the runs of these ids are to stop.
    Start(&'a NewRun, &'a [String]),
    /// It waits for another run of the job.
    Wait,
    /// Nothing is started: state, reason, due times that this one stands for, the last of them.
    Nothing(FiringState, &'a str, i64, Millis),
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
    /// As of when the due times up to now are judged, while any of them are left.
    pub decided_at: Option<Millis>,
    /// The server that takes it.
    pub by: &'a str,
    /// The present time.
    pub now: Millis,
    /// What is done with it.
    pub take: Take<'a>,
}

/// Firings `f` with their runs `r`; names that both have belong to the run.
macro_rules! select_firings {
    ($tail:literal) => {
        concat!(
            "SELECT f.job_id, j.pipeline_name, f.due_at, f.state, f.claimed_at, f.claimed_by, f.due_times, f.until_at, \
             f.run_id, f.started_at AS fired_at, f.result, r.id, r.status, r.error_type, r.created_at, r.started_at, \
             r.finished_at FROM firings f JOIN scheduled_jobs j ON j.id = f.job_id LEFT JOIN runs r ON r.id = f.run_id ",
            $tail
        )
    };
}

fn read(row: &AnyRow) -> Result<FiringRow, StoreError> {
    let cells = Cells::new(row, "firings", "job_id");
    Ok(FiringRow {
        job_id: cells.text("job_id")?,
        pipeline_name: cells.text("pipeline_name")?,
        due_at: cells.time("due_at")?,
        state: cells.named("state")?,
        claimed_at: cells.time("claimed_at")?,
        claimed_by: cells.text("claimed_by")?,
        due_times: cells.int("due_times")?,
        until: cells.opt_time("until_at")?,
        run_id: cells.opt_text("run_id")?,
        started_at: cells.opt_time("fired_at")?,
        // A run that was cleaned up is known by its id only.
        run: cells.opt_text("id")?.is_some().then(|| read_summary(row)).transpose()?,
        result: cells.opt_text("result")?,
    })
}

/// Inserts a firing; `false` when there is one for that due time already.
async fn write(tx: &mut AnyConnection, claim: &Claim<'_>, by_hand: bool) -> Result<bool, StoreError> {
    const SQL: &str = "INSERT INTO firings (job_id, due_at, claimed_at, claimed_by, state, due_times, until_at, run_id, \
        started_at, result) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (job_id, due_at) DO NOTHING";
    let Claim { job_id, due_at, by, now, take, .. } = *claim;
    let started = if by_hand { FiringState::ByHand } else { FiringState::Started };
    let (state, run, why, due_times, until) = match take {
        Take::Start(run, _) => (started, Some(run.id.as_str()), None, 1, due_at),
        Take::Wait => (FiringState::Waiting, None, None, 1, due_at),
        Take::Nothing(state, why, due_times, until) => (state, None, Some(why), due_times, until),
    };
    let written = sqlx::query(SQL)
        .bind(job_id)
        .bind(due_at.0)
        .bind(now.0)
        .bind(by)
        .bind(state.as_str())
        .bind(due_times)
        .bind((until > due_at).then_some(until.0))
        .bind(run)
        .bind(run.map(|_| now.0))
        .bind(free_text(why))
        .execute(tx)
        .await?;
    Ok(written.rows_affected() == 1)
}

/// Stores that these runs are to stop, unless they have another reason already.
async fn stop(tx: &mut AnyConnection, runs: &[String], now: Millis) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE runs SET stop_reason = $2, cancel_requested_at = $3, cancel_requested_by = $4 \
        WHERE id = $1 AND stop_reason IS NULL AND status NOT IN ('SUCCESS', 'FAILED')";
    let reason = StopReason::Cancelled { by: Some(REPLACED.to_owned()) };
    let mut runs: Vec<_> = runs.iter().collect();
    // One order for everybody who locks several runs.
    runs.sort_unstable();
    for run in runs {
        let update = sqlx::query(SQL).bind(run).bind(json(&StoredStop::from(&reason))).bind(now.0).bind(REPLACED);
        update.execute(&mut *tx).await?;
    }
    Ok(())
}

/// Who cancels a run that makes room for the next one of its job.
pub const REPLACED: &str = "the next run of its schedule";

impl Store {
    /// Takes a due time, once among all servers, and inserts its run in the same transaction. `false` means that somebody
    /// else has it, or that the job was changed, paused or deleted since it was read.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the run's id exists.
    pub async fn claim(&self, claim: &Claim<'_>) -> Result<bool, StoreError> {
        const ADVANCE: &str = "UPDATE scheduled_jobs SET next_run_at = $3, last_run_at = $2, \
            last_run_id = COALESCE($4, last_run_id), decided_at = $5, claimed_at = $6 \
            WHERE id = $1 AND next_run_at = $2 AND enabled = 1 AND paused = 0";
        let Claim { job_id, due_at, next, decided_at, now, take, .. } = *claim;
        let run = if let Take::Start(run, _) = take { Some(run) } else { None };
        self.within(async {
            let mut tx = self.write().await?;
            self.moment("begun").await;
            let advance = sqlx::query(ADVANCE)
                .bind(job_id)
                .bind(due_at.0)
                .bind(next.map(|time| time.0))
                .bind(run.map(|run| run.id.as_str()))
                .bind(decided_at.map(|time| time.0))
                .bind(now.0);
            if advance.execute(&mut *tx).await?.rows_affected() == 0 {
                return Ok(false);
            }
            self.moment("next time stored").await;
            let fired = write(&mut tx, claim, false).await?;
            self.moment("claimed").await;
            if let Take::Start(run, stops) = take
                && fired
            {
                insert(&mut tx, run).await?;
                stop(&mut tx, stops, now).await?;
                self.moment("run inserted").await;
            }
            // A due time that fired before (the clock was set back) moves the job on, but starts nothing.
            tx.commit().await?;
            Ok(fired)
        })
        .await
    }

    /// Starts the run of a due time that waited, once among all servers.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the run's id exists.
    pub async fn claim_waiting(
        &self,
        job_id: &str,
        due_at: Millis,
        take: Take<'_>,
        now: Millis,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE firings SET state = $3, run_id = $4, started_at = $5, result = $6 \
            WHERE job_id = $1 AND due_at = $2 AND state = 'waiting'";
        let (state, run, why) = match take {
            Take::Start(run, _) => (FiringState::Started, Some(run), None),
            Take::Nothing(state, why, ..) => (state, None, Some(why)),
            Take::Wait => return Ok(false),
        };
        self.within(async {
            let mut tx = self.write().await?;
            let update = sqlx::query(SQL)
                .bind(job_id)
                .bind(due_at.0)
                .bind(state.as_str())
                .bind(run.map(|run| run.id.as_str()))
                .bind(run.map(|_| now.0))
                .bind(free_text(why));
            if update.execute(&mut *tx).await?.rows_affected() == 0 {
                return Ok(false);
            }
            if let Some(run) = run {
                insert(&mut tx, run).await?;
                let last = sqlx::query("UPDATE scheduled_jobs SET last_run_id = $2 WHERE id = $1");
                last.bind(job_id).bind(&run.id).execute(&mut *tx).await?;
            }
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Inserts a run that somebody starts by hand for a job, with its entry in the book.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the job, [`StoreError::Conflict`] when the run's id exists.
    pub async fn fire_by_hand(&self, job_id: &str, run: &NewRun, by: &str, now: Millis) -> Result<bool, StoreError> {
        const LAST: &str = "UPDATE scheduled_jobs SET last_run_id = $2, last_run_at = $3 WHERE id = $1";
        let due_at = run.due_at.unwrap_or(now);
        self.within(async {
            let mut tx = self.write().await?;
            let last = sqlx::query(LAST).bind(job_id).bind(&run.id).bind(due_at.0).execute(&mut *tx).await?;
            if last.rows_affected() == 0 {
                return Err(StoreError::not_found("job", job_id));
            }
            let take = Take::Start(run, &[]);
            let claim = Claim { job_id, due_at, next: None, decided_at: None, by, now, take };
            if !write(&mut tx, &claim, true).await? {
                return Ok(false);
            }
            insert(&mut tx, run).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Runs of a job that have not ended, their retries included, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn active_runs_of_job(&self, job_id: &str, pipeline: &str) -> Result<Vec<String>, StoreError> {
        // A retry does not carry its job: the first attempt does, so the chain is followed back to it.
        const SQL: &str = "WITH RECURSIVE chain (id, before, job) AS (\
            SELECT id, retry_of, job_id FROM runs WHERE pipeline_name = $1 AND status IN ('PENDING', 'RUNNING', 'INTERRUPTED') \
            UNION ALL SELECT chain.id, runs.retry_of, runs.job_id FROM chain JOIN runs ON runs.id = chain.before \
            WHERE chain.job IS NULL) SELECT DISTINCT id FROM chain WHERE job = $2 ORDER BY id";
        self.within(async {
            let rows = sqlx::query(SQL).bind(pipeline).bind(job_id).fetch_all(&self.pool).await?;
            rows.iter().map(|row| Cells::new(row, "runs", "id").text("id")).collect()
        })
        .await
    }

    /// How many due times of a job wait.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn count_waiting(&self, job_id: &str) -> Result<usize, StoreError> {
        const SQL: &str = "SELECT COUNT(*) AS waiting FROM firings WHERE job_id = $1 AND state = 'waiting'";
        self.within(async {
            let row = sqlx::query(SQL).bind(job_id).fetch_one(&self.pool).await?;
            Ok(usize::try_from(Cells::new(&row, "firings", "waiting").int("waiting")?).unwrap_or_default())
        })
        .await
    }

    /// Jobs that fire and have due times that wait, with the oldest of these.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn waiting_jobs(&self, limit: u32) -> Result<Vec<(JobRow, Millis)>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            job_columns!(),
            ", w.first_due FROM scheduled_jobs JOIN (SELECT job_id, MIN(due_at) AS first_due FROM firings \
             WHERE state = 'waiting' GROUP BY job_id) w ON w.job_id = id WHERE enabled = 1 AND paused = 0 \
             ORDER BY w.first_due, id LIMIT $1"
        );
        self.within(async {
            let rows = sqlx::query(SQL).bind(i64::from(limit)).fetch_all(&self.pool).await?;
            let both = |row| Ok((read_job(row)?, Cells::new(row, "firings", "id").time("first_due")?));
            rows.iter().map(both).collect()
        })
        .await
    }

    /// The latest firings of a job before `before`, newest first.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn firings(
        &self,
        job_id: &str,
        before: Option<Millis>,
        limit: u32,
    ) -> Result<Vec<FiringRow>, StoreError> {
        const SQL: &str = select_firings!("WHERE f.job_id = $1 AND f.due_at < $2 ORDER BY f.due_at DESC LIMIT $3");
        key("job", job_id)?;
        self.within(async {
            let before = before.map_or(i64::MAX, |time| time.0);
            let query = sqlx::query(SQL).bind(job_id).bind(before).bind(i64::from(limit));
            query.fetch_all(&self.pool).await?.iter().map(read).collect()
        })
        .await
    }

    /// Firings of all jobs that were due in `from..until`, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn firings_between(&self, from: Millis, until: Millis, limit: u32) -> Result<Vec<FiringRow>, StoreError> {
        const SQL: &str =
            select_firings!("WHERE f.due_at >= $1 AND f.due_at < $2 ORDER BY f.due_at, f.job_id LIMIT $3");
        self.within(async {
            let query = sqlx::query(SQL).bind(from.0).bind(until.0).bind(i64::from(limit));
            query.fetch_all(&self.pool).await?.iter().map(read).collect()
        })
        .await
    }

    /// Deletes what the book says of due times that were taken before `before`, but for what still waits.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn prune_firings(&self, before: Millis) -> Result<u64, StoreError> {
        let delete = sqlx::query("DELETE FROM firings WHERE claimed_at < $1 AND state <> 'waiting'").bind(before.0);
        Ok(self.execute(delete).await?.rows_affected())
    }

    /// A moment within a claim at which a test may let the server crash.
    #[cfg(test)]
    async fn moment(&self, name: &'static str) {
        super::testing::crash_point(name).await;
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_async, reason = "a test waits here")]
    async fn moment(&self, _name: &'static str) {}
}
