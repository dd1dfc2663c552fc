//! Lists of runs, by keyset: a page starts where the last one ended, by an index that has the order of the list, so page
//! 10,000 costs what page 1 costs.
//!
//! Two things keep each page on an index. A range of time is folded into the cursor, so the index is entered at one place.
//! And a filter by several statuses asks once for each and merges: `status IN (…)` would have to be sorted, or scanned past.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use fastflow_shared::{ErrorType, RunStatus, RunSummary, Trigger};
use sqlx::{AnyConnection, AssertSqlSafe};

use super::row::Cells;
use super::run_row::{RunRow, read_summary, run_columns};
use super::{Store, StoreError};
use crate::domain::clock::Millis;

/// Which runs; absent means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of this pipeline.
    pub pipeline: Option<String>,
    /// In one of these statuses; empty means any.
    pub statuses: Vec<RunStatus>,
    /// Started by this.
    pub trigger: Option<Trigger>,
    /// Failed for this reason.
    pub error_type: Option<ErrorType>,
    /// Accepted at or after this.
    pub from: Option<Millis>,
    /// Accepted before this.
    pub to: Option<Millis>,
}

/// Order of the list, by the time a run was accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunOrder {
    /// Latest first.
    #[default]
    NewestFirst,
    /// Earliest first.
    OldestFirst,
}

/// The last run of a page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunCursor {
    /// When it was accepted.
    pub created_at: Millis,
    /// Its id.
    pub id: String,
}

impl RunCursor {
    /// The text given to clients.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}_{}", self.created_at.0, self.id)
    }

    /// Reads such a text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (time, id) = text.split_once('_')?;
        let plain = !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        plain.then_some(())?;
        Some(Self { created_at: Millis(time.parse().ok()?), id: id.to_owned() })
    }

    fn of(run: &RunRow) -> Self {
        Self { created_at: run.spec.created_at, id: run.spec.id.clone() }
    }
}

/// A page.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRows {
    /// The runs, in order.
    pub rows: Vec<RunRow>,
    /// Where the next page starts; absent on the last one.
    pub next: Option<RunCursor>,
}

/// How many runs of a pipeline are in a status that is not final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveCount {
    /// Name of the pipeline.
    pub pipeline_name: String,
    /// The status.
    pub status: RunStatus,
    /// How many.
    pub count: i64,
}

/// The statement of one combination of filters: constants only, so there are 32 of them.
pub(super) fn page_sql(filter: &RunFilter, by_status: bool, order: RunOrder) -> String {
    let mut sql = concat!("SELECT ", run_columns!(), " FROM runs WHERE ").to_owned();
    // $1 and $2: where to begin. $3: the other end of the range. $4: how many.
    sql.push_str(match order {
        RunOrder::NewestFirst => "(created_at, id) < ($1, $2) AND created_at >= $3",
        RunOrder::OldestFirst => "(created_at, id) > ($1, $2) AND created_at < $3",
    });
    let mut number = 4;
    for (wanted, column) in [
        (filter.pipeline.is_some(), "pipeline_name"),
        (by_status, "status"),
        (filter.trigger.is_some(), "trigger_kind"),
        (filter.error_type.is_some(), "error_type"),
    ] {
        if wanted {
            number += 1;
            // Writing into a String cannot fail.
            let _ = write!(sql, " AND {column} = ${number}");
        }
    }
    sql.push_str(match order {
        RunOrder::NewestFirst => " ORDER BY created_at DESC, id DESC LIMIT $4",
        RunOrder::OldestFirst => " ORDER BY created_at, id LIMIT $4",
    });
    sql
}

async fn page(
    connection: &mut AnyConnection,
    filter: &RunFilter,
    status: Option<RunStatus>,
    order: RunOrder,
    after: Option<&RunCursor>,
    limit: i64,
) -> Result<Vec<RunRow>, StoreError> {
    let (from, to) = (filter.from.unwrap_or(Millis(i64::MIN)), filter.to.unwrap_or(Millis(i64::MAX)));
    // An id is never empty, so (time, "") lies before every run of that time.
    let edge = |created_at| RunCursor { created_at, id: String::new() };
    let (begin, end) = match order {
        RunOrder::NewestFirst => (after.map_or(edge(to), |cursor| cursor.clone().min(edge(to))), from),
        RunOrder::OldestFirst => (after.map_or(edge(from), |cursor| cursor.clone().max(edge(from))), to),
    };
    // Safe: made of constants, see `page_sql`.
    let mut query = sqlx::query(AssertSqlSafe(page_sql(filter, status.is_some(), order)))
        .bind(begin.created_at.0)
        .bind(begin.id)
        .bind(end.0)
        .bind(limit);
    if let Some(pipeline) = &filter.pipeline {
        query = query.bind(pipeline);
    }
    if let Some(status) = status {
        query = query.bind(status.as_str());
    }
    if let Some(trigger) = filter.trigger {
        query = query.bind(trigger.as_str());
    }
    if let Some(kind) = filter.error_type {
        query = query.bind(kind.as_str());
    }
    query.fetch_all(connection).await?.iter().map(RunRow::read).collect()
}

impl Store {
    /// One page of runs.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] names the row that cannot be read.
    pub async fn runs_page(
        &self,
        filter: &RunFilter,
        order: RunOrder,
        after: Option<&RunCursor>,
        limit: u32,
    ) -> Result<RunRows, StoreError> {
        // No pipeline has such a name, and PostgreSQL refuses to be asked.
        if filter.pipeline.as_ref().is_some_and(|name| name.contains('\0')) {
            return Ok(RunRows { rows: Vec::new(), next: None });
        }
        let mut statuses = filter.statuses.clone();
        statuses.sort_unstable();
        statuses.dedup();
        let all = statuses.is_empty() || statuses.len() == RunStatus::ALL.len();
        let asked = if all { vec![None] } else { statuses.into_iter().map(Some).collect() };
        let size = limit.max(1) as usize;
        // One more than asked for tells whether there is a next page.
        let fetch = i64::from(limit.max(1)) + 1;
        self.within(async {
            let mut rows = Vec::new();
            // One state for all of them, or a run that changes its status meanwhile could show twice or not at all.
            let mut tx = self.read().await?;
            for status in asked {
                rows.extend(page(&mut tx, filter, status, order, after, fetch).await?);
            }
            tx.commit().await?;
            rows.sort_by(|a, b| (a.spec.created_at, &a.spec.id).cmp(&(b.spec.created_at, &b.spec.id)));
            if order == RunOrder::NewestFirst {
                rows.reverse();
            }
            let more = rows.len() > size;
            rows.truncate(size);
            let next = rows.last().filter(|_| more).map(RunCursor::of);
            Ok(RunRows { rows, next })
        })
        .await
    }

    /// The latest runs of every pipeline that is there, newest first, at most `limit` of each.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn latest_runs(&self, limit: u32) -> Result<BTreeMap<String, Vec<RunSummary>>, StoreError> {
        self.within(async {
            let sql = if self.is_sqlite() { LATEST_SQLITE } else { LATEST_POSTGRES };
            let rows = sqlx::query(sql).bind(i64::from(limit.max(1))).fetch_all(&self.pool).await?;
            let mut latest: BTreeMap<String, Vec<RunSummary>> = BTreeMap::new();
            for row in &rows {
                let name = Cells::new(row, "runs", "id").text("pipeline_name")?;
                let runs = latest.entry(name).or_default();
                // Several runs may share the time that the statement reads on from.
                if runs.len() < limit.max(1) as usize {
                    runs.push(read_summary(row)?);
                }
            }
            Ok(latest)
        })
        .await
    }

    /// The latest runs of one pipeline, newest first.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn latest_runs_of(&self, pipeline: &str, limit: u32) -> Result<Vec<RunSummary>, StoreError> {
        const SQL: &str = "SELECT id, status, error_type, created_at, started_at, finished_at FROM runs \
            WHERE pipeline_name = $1 ORDER BY created_at DESC, id DESC LIMIT $2";
        self.within(async {
            let query = sqlx::query(SQL).bind(pipeline).bind(i64::from(limit));
            query.fetch_all(&self.pool).await?.iter().map(read_summary).collect()
        })
        .await
    }

    /// How many runs were accepted in `from..to`, by quarter of an hour (counted since the epoch) and status. Quarters,
    /// because only the caller knows where a day begins; a year has 35,000 of them at most.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn run_counts(
        &self,
        pipeline: Option<&str>,
        from: Millis,
        to: Millis,
    ) -> Result<Vec<(i64, RunStatus, i64)>, StoreError> {
        // Read from `runs_by_day` or `runs_by_pipeline_and_status` alone, without a look at the rows.
        const ALL: &str = "SELECT created_at / 900000 AS quarter, status, COUNT(*) AS number FROM runs \
            WHERE created_at >= $1 AND created_at < $2 GROUP BY created_at / 900000, status";
        const ONE: &str = "SELECT created_at / 900000 AS quarter, status, COUNT(*) AS number FROM runs \
            WHERE created_at >= $1 AND created_at < $2 AND pipeline_name = $3 GROUP BY created_at / 900000, status";
        if pipeline.is_some_and(|name| name.contains('\0')) {
            return Ok(Vec::new());
        }
        self.within(async {
            let mut query = sqlx::query(if pipeline.is_some() { ONE } else { ALL }).bind(from.0).bind(to.0);
            if let Some(pipeline) = pipeline {
                query = query.bind(pipeline);
            }
            let read = |row| {
                let cells = Cells::new(row, "runs", "quarter");
                Ok((cells.int("quarter")?, cells.named("status")?, cells.int("number")?))
            };
            query.fetch_all(&self.pool).await?.iter().map(read).collect()
        })
        .await
    }

    /// How many runs each pipeline has in each status that is not final.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn active_counts(&self) -> Result<Vec<ActiveCount>, StoreError> {
        const SQL: &str = "SELECT pipeline_name, status, COUNT(*) AS number FROM runs \
            WHERE status IN ('PENDING', 'RUNNING', 'INTERRUPTED') GROUP BY pipeline_name, status \
            ORDER BY pipeline_name, status";
        self.within(async {
            let rows = sqlx::query(SQL).fetch_all(&self.pool).await?;
            let read = |row| {
                let cells = Cells::new(row, "runs", "pipeline_name");
                let (pipeline_name, status) = (cells.text("pipeline_name")?, cells.named("status")?);
                Ok(ActiveCount { pipeline_name, status, count: cells.int("number")? })
            };
            rows.iter().map(read).collect()
        })
        .await
    }
}

/// A window function would read every run there is. Both of these take, for each pipeline, one step into the index; each
/// in the words of its own database, for PostgreSQL joins SQLite's by hashing all runs, and SQLite knows no `LATERAL`.
pub(super) const LATEST_SQLITE: &str = "WITH edge AS MATERIALIZED (SELECT p.name AS name, COALESCE((SELECT x.created_at \
    FROM runs x WHERE x.pipeline_name = p.name ORDER BY x.created_at DESC, x.id DESC LIMIT 1 OFFSET $1 - 1), 0) AS since \
    FROM pipelines p WHERE p.removed_at IS NULL) \
    SELECT r.pipeline_name, r.id, r.status, r.error_type, r.created_at, r.started_at, r.finished_at \
    FROM edge e CROSS JOIN runs r WHERE r.pipeline_name = e.name AND r.created_at >= e.since \
    ORDER BY r.pipeline_name, r.created_at DESC, r.id DESC";
const LATEST_POSTGRES: &str = "SELECT r.pipeline_name, r.id, r.status, r.error_type, r.created_at, r.started_at, \
    r.finished_at FROM pipelines p CROSS JOIN LATERAL (SELECT * FROM runs x WHERE x.pipeline_name = p.name \
    ORDER BY x.created_at DESC, x.id DESC LIMIT $1) r WHERE p.removed_at IS NULL \
    ORDER BY r.pipeline_name, r.created_at DESC, r.id DESC";
