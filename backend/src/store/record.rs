//! The recorder: the only writer of a run's status.
//!
//! What happened is given as events; the domain's transition function decides where they lead. The new status, the facts
//! that came with it, the pipeline's counters and the row of the next attempt are one transaction, guarded by
//! compare-and-set on the status that was read. So a finish that is reported twice (by a driver and by recovery, say)
//! counts once, a crash leaves either all of it or nothing, and the counters cannot drift from the runs.

use fastflow_shared::{ErrorType, RunStatus};
use sqlx::AnyConnection;

use super::row::Cells;
use super::run_row::{Measured, NewRun};
use super::runs::insert;
use super::tx::{Real, free_text};
use super::{Store, StoreError};
use crate::domain::clock::Millis;
use crate::domain::run::{Event, transition};

/// What is known beside the event. Absent facts leave what is stored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// The run's container.
    pub container_id: Option<String>,
    /// When its container started.
    pub started_at: Option<Millis>,
    /// When it ended; the time of the report when it is absent and the run ends.
    pub finished_at: Option<Millis>,
    /// Exit code of the container.
    pub exit_code: Option<i32>,
    /// Why it failed.
    pub error_type: Option<ErrorType>,
    /// One sentence that a user can act on.
    pub error_message: Option<String>,
    /// What was measured: in one transaction with the end, so that whoever sees the end sees it too.
    pub measured: Option<Measured>,
    /// How long its start took, in ms.
    pub start_ms: Option<i64>,
    /// Whether sealed secrets may be stored for it; an end deletes them then.
    pub may_have_mask: bool,
}

/// A report of what happened to a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Report<'a> {
    /// The run.
    pub run_id: &'a str,
    /// Statuses from which the report makes sense; empty for whichever the events allow.
    pub expected: &'a [RunStatus],
    /// What happened, in order. All of it is recorded, or nothing.
    pub events: &'a [Event],
    /// What is known beside it.
    pub facts: Facts,
    /// Whether the report knows of a reason of ours to stop the run. If it does not, and one has been stored meanwhile, an
    /// end is refused, to be decided anew: whoever was told that a run is cancelled must not see it succeed or be retried.
    pub knows_stop: bool,
    /// When it is reported.
    pub now: Millis,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// The run went from one status to another.
    Applied {
        /// Status before.
        from: RunStatus,
        /// Status now.
        to: RunStatus,
    },
    /// The events cannot happen to a run in this status, or it is to be stopped and the report did not know; nothing was
    /// changed.
    Refused {
        /// Its status.
        current: RunStatus,
    },
}

impl Recorded {
    /// Whether something was changed.
    #[must_use]
    pub const fn applied(self) -> bool {
        matches!(self, Self::Applied { .. })
    }
}

const UPDATE: &str = "UPDATE runs SET status = $3, container_id = COALESCE($4, container_id), \
    started_at = COALESCE($5, started_at), finished_at = COALESCE($6, finished_at), exit_code = COALESCE($7, exit_code), \
    error_type = COALESCE($8, error_type), error_message = COALESCE($9, error_message), \
    retried_by = COALESCE($10, retried_by), sealed_env = CASE WHEN $11 = 1 THEN NULL ELSE sealed_env END, \
    start_ms = COALESCE($13, start_ms), log_bytes = COALESCE($14, log_bytes), \
    cpu_peak_percent = COALESCE($15, cpu_peak_percent), cpu_average_percent = COALESCE($16, cpu_average_percent), \
    ram_peak_mb = COALESCE($17, ram_peak_mb), ram_average_mb = COALESCE($18, ram_average_mb), \
    soft_limit_exceeded = CASE WHEN $19 = 1 THEN 1 ELSE soft_limit_exceeded END, \
    cpu_throttled = CASE WHEN $20 = 1 THEN 1 ELSE cpu_throttled END \
    WHERE id = $1 AND status = $2 AND (stop_reason IS NULL OR $12 = 1) RETURNING id, pipeline_name, started_at, finished_at";

/// Up to 100 timed runs each end moves the percentile, and computing it is cheap. Beyond that it is at most a second old when a
/// run ends: one run among hundreds hardly moves it, and at hundreds of ends a second it would cost more than all the rest. A
/// clock that was set back must not stop it for long.
macro_rules! stale {
    () => {
        "(timed_runs < 100 OR p95_at IS NULL OR p95_at > $2 OR p95_at <= $2 - 1000)"
    };
}

/// The 95th percentile of the latest 1,000 runs since the counters were reset, by nearest rank: the smallest duration that
/// at least 95 % of them do not exceed.
macro_rules! percentile {
    () => {
        "SELECT MIN(d.ms) AS p95 FROM (SELECT l.ms, CUME_DIST() OVER (ORDER BY l.ms) AS share FROM \
         (SELECT finished_at - started_at AS ms FROM runs WHERE pipeline_name = $1 AND created_at >= \
         COALESCE((SELECT stats_reset_at FROM pipelines WHERE name = $1), 0) ORDER BY created_at DESC, id DESC LIMIT 1000) l \
         WHERE l.ms IS NOT NULL) d WHERE d.share >= 0.95"
    };
}

/// Counters add up; the percentile is taken as it is: of two ends at the same instant on PostgreSQL it may miss one until the
/// next. Databases compute a branch of `CASE` only when it is taken.
const COUNT: &str = concat!(
    "UPDATE pipelines SET total_runs = total_runs + 1, successful_runs = successful_runs + $3, \
     failed_runs = failed_runs + $4, total_duration_ms = total_duration_ms + $5, timed_runs = timed_runs + $6, \
     p95_duration_ms = CASE WHEN ",
    stale!(),
    " THEN (",
    percentile!(),
    ") ELSE p95_duration_ms END, p95_at = CASE WHEN ",
    stale!(),
    " THEN $2 ELSE p95_at END WHERE name = $1"
);

/// For a pipeline that no sync has ever seen: its first end brings the row. Of two at once the later one counts again.
const FIRST: &str = "INSERT INTO pipelines (name, first_seen_at, last_seen_at, removed_at) VALUES ($1, $2, $2, $2) \
    ON CONFLICT (name) DO NOTHING";

impl Store {
    /// Records what happened to a run. Repeating a report is safe: the second time it is refused.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Unavailable`], after which it is not known whether it was recorded, so the
    /// report should be repeated.
    pub async fn record(&self, report: &Report<'_>) -> Result<Recorded, StoreError> {
        self.record_with_retry(report, None).await
    }

    /// The same, and inserts the next attempt in the same transaction, linked both ways: a crash neither loses nor doubles
    /// a retry. `next` is inserted only when the report is applied.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub async fn record_with_retry(&self, report: &Report<'_>, next: Option<&NewRun>) -> Result<Recorded, StoreError> {
        self.within(async {
            // Who names one status is nearly always right: then nothing needs to be read, and short of an end one statement
            // is all there is.
            if let [current] = *report.expected
                && let Some(to) = lead(report, current)
                && !to.is_final()
                && next.is_none()
                && !report.events.contains(&Event::Requeued)
            {
                let _permit = self.permit().await?;
                let mut connection = self.pool.acquire().await?;
                if apply(&mut connection, report, current, to, None).await? {
                    return Ok(Recorded::Applied { from: current, to });
                }
            }
            let mut tx = self.write().await?;
            if let [current] = *report.expected
                && let Some(to) = lead(report, current)
                && apply(&mut tx, report, current, to, next).await?
            {
                tx.commit().await?;
                return Ok(Recorded::Applied { from: current, to });
            }
            loop {
                let (current, is_to_stop) = status(&mut tx, report.run_id).await?;
                let Some(to) = lead(report, current) else { return Ok(Recorded::Refused { current }) };
                if is_to_stop && to.is_final() && !report.knows_stop {
                    return Ok(Recorded::Refused { current });
                }
                // On PostgreSQL another transaction may have changed the status since it was read: then nothing matches,
                // and the report is judged again on what it is now. Statuses do not go in circles for ever, so this ends.
                if apply(&mut tx, report, current, to, next).await? {
                    tx.commit().await?;
                    return Ok(Recorded::Applied { from: current, to });
                }
            }
        })
        .await
    }
}

/// The status that the report leads to.
fn lead(report: &Report<'_>, current: RunStatus) -> Option<RunStatus> {
    if !report.expected.is_empty() && !report.expected.contains(&current) {
        return None;
    }
    report.events.iter().try_fold(current, |status, event| transition(status, *event)).ok()
}

/// The status, and whether the run is to be stopped.
async fn status(tx: &mut AnyConnection, id: &str) -> Result<(RunStatus, bool), StoreError> {
    let row = sqlx::query("SELECT id, status, stop_reason FROM runs WHERE id = $1").bind(id).fetch_optional(tx).await?;
    let row = row.ok_or_else(|| StoreError::not_found("run", id))?;
    let cells = Cells::new(&row, "runs", "id");
    Ok((cells.named("status")?, cells.opt_text("stop_reason")?.is_some()))
}

async fn apply(
    tx: &mut AnyConnection,
    report: &Report<'_>,
    from: RunStatus,
    to: RunStatus,
    next: Option<&NewRun>,
) -> Result<bool, StoreError> {
    let Facts {
        container_id,
        started_at,
        finished_at,
        exit_code,
        error_type,
        error_message,
        measured,
        start_ms,
        may_have_mask,
    } = &report.facts;
    let measured = measured.unwrap_or_default();
    let finished_at = if to.is_final() { Some(finished_at.unwrap_or(report.now)) } else { *finished_at };
    let row = sqlx::query(UPDATE)
        .bind(report.run_id)
        .bind(from.as_str())
        .bind(to.as_str())
        .bind(container_id.as_deref())
        .bind(started_at.map(|time| time.0))
        .bind(finished_at.map(|time| time.0))
        .bind(exit_code.map(i64::from))
        .bind(error_type.map(ErrorType::as_str))
        .bind(free_text(error_message.as_deref()))
        .bind(next.map(|run| run.id.as_str()))
        .bind(i64::from(to.is_final()))
        .bind(i64::from(report.knows_stop || !to.is_final()))
        .bind(*start_ms)
        .bind(measured.log_bytes)
        .bind(Real(measured.cpu_peak_percent))
        .bind(Real(measured.cpu_average_percent))
        .bind(Real(measured.ram_peak_mb))
        .bind(Real(measured.ram_average_mb))
        .bind(i64::from(measured.soft_limit_exceeded))
        .bind(i64::from(measured.cpu_throttled))
        .fetch_optional(&mut *tx)
        .await?;
    let Some(row) = row else { return Ok(false) };
    if report.events.contains(&Event::Requeued) && to == RunStatus::Pending {
        // It never had a container that worked; the next one is another.
        sqlx::query("UPDATE runs SET container_id = NULL, started_at = NULL, warm_at = NULL WHERE id = $1")
            .bind(report.run_id)
            .execute(&mut *tx)
            .await?;
    }
    if let Some(next) = next {
        insert(&mut *tx, next).await?;
    }
    if to.is_final() {
        let cells = Cells::new(&row, "runs", "id");
        let span = cells.opt_time("started_at")?.zip(cells.opt_time("finished_at")?);
        // Two clocks may disagree (Docker's and ours); time never runs backwards in the counters.
        let duration = span.map(|(start, end)| (end.0 - start.0).max(0));
        let name = cells.text("pipeline_name")?;
        if *may_have_mask {
            sqlx::query("DELETE FROM run_masks WHERE run_id = $1").bind(report.run_id).execute(&mut *tx).await?;
        }
        // Last, so that the row all runs of a pipeline share is locked for as short as can be.
        let end = End { succeeded: to == RunStatus::Success, duration };
        if !count(tx, &name, end, report.now).await? {
            sqlx::query(FIRST).bind(&name).bind(report.now.0).execute(&mut *tx).await?;
            count(tx, &name, end, report.now).await?;
        }
    }
    Ok(true)
}

/// What of a run's end is counted.
#[derive(Clone, Copy)]
struct End {
    succeeded: bool,
    duration: Option<i64>,
}

/// Counts an end; `false` when the pipeline has no row.
async fn count(tx: &mut AnyConnection, pipeline: &str, end: End, now: Millis) -> Result<bool, StoreError> {
    let counted = sqlx::query(COUNT)
        .bind(pipeline)
        .bind(now.0)
        .bind(i64::from(end.succeeded))
        .bind(i64::from(!end.succeeded))
        .bind(end.duration.unwrap_or_default())
        .bind(i64::from(end.duration.is_some()))
        .execute(tx)
        .await?;
    Ok(counted.rows_affected() > 0)
}
