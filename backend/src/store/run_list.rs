//! Lists of runs, by keyset: a page starts where the last one ended, by an index that has the order of the list, so page
//! 10,000 costs what page 1 costs.
//!
//! Two things keep each page on an index. A range of time is folded into the cursor, so the index is entered at one place.
//! And a filter by several statuses asks once for each and merges: `status IN (…)` would have to be sorted, or scanned past.
//!
//! By duration there are two indices, one for all runs and one by pipeline: each more would be written twice by every run. What else is
//! filtered for is looked for along them. A run without a duration (it never began, or has not ended) comes last in both directions.

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

/// Order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunOrder {
    /// Accepted latest first.
    #[default]
    NewestFirst,
    /// Accepted earliest first.
    OldestFirst,
    /// The longest duration first.
    LongestFirst,
    /// The shortest duration first.
    ShortestFirst,
}

impl RunOrder {
    /// Every order.
    pub const ALL: [Self; 4] = [Self::NewestFirst, Self::OldestFirst, Self::LongestFirst, Self::ShortestFirst];

    /// What it compares.
    #[must_use]
    pub const fn key(self) -> RunKey {
        match self {
            Self::NewestFirst | Self::OldestFirst => RunKey::Accepted,
            Self::LongestFirst | Self::ShortestFirst => RunKey::Duration,
        }
    }

    const fn descends(self) -> bool {
        matches!(self, Self::NewestFirst | Self::LongestFirst)
    }
}

/// What an order compares; runs that are equal in it, by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKey {
    /// When the run was accepted.
    Accepted,
    /// How long its script ran, in milliseconds; below zero when there is no duration.
    Duration,
}

impl RunKey {
    /// As the indices have it, word by word.
    const fn sql(self) -> &'static str {
        match self {
            Self::Accepted => "created_at",
            Self::Duration => "COALESCE(finished_at - started_at, -1)",
        }
    }

    fn of(self, run: &RunRow) -> i64 {
        match self {
            Self::Accepted => run.spec.created_at.0,
            Self::Duration => run.finished_at.zip(run.started_at).map_or(-1, |(end, start)| end.0 - start.0),
        }
    }
}

/// The last run of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunCursor {
    /// What the page was ordered by.
    pub key: RunKey,
    /// The run's value of it.
    pub value: i64,
    /// Its id.
    pub id: String,
}

impl RunCursor {
    /// The text given to clients.
    #[must_use]
    pub fn to_text(&self) -> String {
        let key = if self.key == RunKey::Duration { "d" } else { "" };
        format!("{key}{}_{}", self.value, self.id)
    }

    /// Reads such a text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (key, text) = text.strip_prefix('d').map_or((RunKey::Accepted, text), |text| (RunKey::Duration, text));
        let (value, id) = text.split_once('_')?;
        let plain = !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        plain.then_some(())?;
        Some(Self { key, value: value.parse().ok()?, id: id.to_owned() })
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

/// The statement of one combination of filters: constants only.
pub(super) fn page_sql(filter: &RunFilter, by_status: bool, order: RunOrder, sqlite: bool) -> String {
    let mut sql = concat!("SELECT ", run_columns!(), " FROM runs WHERE ").to_owned();
    let key = order.key().sql();
    // $1 and $2: where to begin. $3: the other end of the range. $4: how many.
    // Writing into a String cannot fail.
    let _ = if order.descends() {
        write!(sql, "({key}, id) < ($1, $2) AND {key} >= $3")
    } else {
        write!(sql, "({key}, id) > ($1, $2) AND {key} < $3")
    };
    // Without statistics SQLite would take the index of any of these and sort what it finds: a third of all runs, maybe. The plus
    // makes it walk along the order instead. PostgreSQL has statistics, and knows better.
    let by_duration = order.key() == RunKey::Duration;
    let plus = if sqlite && by_duration { "+" } else { "" };
    let mut number = 4;
    for (wanted, condition) in [
        (filter.pipeline.is_some(), "pipeline_name =".to_owned()),
        (by_status, format!("{plus}status =")),
        (filter.trigger.is_some(), format!("{plus}trigger_kind =")),
        (filter.error_type.is_some(), format!("{plus}error_type =")),
        (by_duration && filter.from.is_some(), "created_at >=".to_owned()),
        (by_duration && filter.to.is_some(), "created_at <".to_owned()),
    ] {
        if wanted {
            number += 1;
            let _ = write!(sql, " AND {condition} ${number}");
        }
    }
    let direction = if order.descends() { "DESC" } else { "ASC" };
    let _ = write!(sql, " ORDER BY {key} {direction}, id {direction} LIMIT $4");
    sql
}

/// A stretch of the key, from its lowest value up to and without its end, and where in it to go on.
type Stretch<'c> = (i64, i64, Option<&'c RunCursor>);

/// The stretches that hold what follows the cursor, one after the other.
fn stretches<'c>(filter: &RunFilter, order: RunOrder, after: Option<&'c RunCursor>) -> Vec<Stretch<'c>> {
    let time = (filter.from.map_or(i64::MIN, |from| from.0), filter.to.map_or(i64::MAX, |to| to.0), after);
    match (order, after) {
        (RunOrder::NewestFirst | RunOrder::OldestFirst, _) => vec![time],
        (RunOrder::LongestFirst, after) => vec![(i64::MIN, i64::MAX, after)],
        // What has no duration is below zero, and comes last all the same.
        (RunOrder::ShortestFirst, Some(cursor)) if cursor.value < 0 => vec![(i64::MIN, 0, after)],
        (RunOrder::ShortestFirst, after) => vec![(0, i64::MAX, after), (i64::MIN, 0, None)],
    }
}

/// The rows of one status and one stretch.
async fn page(
    connection: &mut AnyConnection,
    (filter, status, order): (&RunFilter, Option<RunStatus>, RunOrder),
    (lowest, end, after): Stretch<'_>,
    (limit, sqlite): (i64, bool),
) -> Result<Vec<RunRow>, StoreError> {
    // An id is never empty, so (value, "") lies before every run of that value.
    let after = after.map(|cursor| (cursor.value, cursor.id.clone()));
    let (begin, other) = if order.descends() {
        (after.map_or((end, String::new()), |after| after.min((end, String::new()))), lowest)
    } else {
        (after.map_or((lowest, String::new()), |after| after.max((lowest, String::new()))), end)
    };
    // Safe: made of constants, see `page_sql`.
    let mut query = sqlx::query(AssertSqlSafe(page_sql(filter, status.is_some(), order, sqlite)))
        .bind(begin.0)
        .bind(begin.1)
        .bind(other)
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
    if order.key() == RunKey::Duration {
        for time in [filter.from, filter.to].into_iter().flatten() {
            query = query.bind(time.0);
        }
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
                let mut left = fetch;
                for stretch in stretches(filter, order, after) {
                    let found = page(&mut tx, (filter, status, order), stretch, (left, self.is_sqlite())).await?;
                    left -= i64::try_from(found.len()).unwrap_or(left);
                    rows.extend(found);
                    if left == 0 {
                        break;
                    }
                }
            }
            tx.commit().await?;
            let key = order.key();
            rows.sort_by(|a, b| {
                let (a, b) = ((key.of(a), &a.spec.id), (key.of(b), &b.spec.id));
                let last = |value: i64| order == RunOrder::ShortestFirst && value < 0;
                let rising = (last(a.0), a).cmp(&(last(b.0), b));
                if order.descends() { rising.reverse() } else { rising }
            });
            let more = rows.len() > size;
            rows.truncate(size);
            let next =
                rows.last().filter(|_| more).map(|run| RunCursor { key, value: key.of(run), id: run.spec.id.clone() });
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
        self.within(async {
            let query = sqlx::query(LATEST_OF).bind(pipeline).bind(i64::from(limit));
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
pub(super) const LATEST_OF: &str = "SELECT id, status, error_type, created_at, started_at, finished_at FROM runs \
    WHERE pipeline_name = $1 ORDER BY created_at DESC, id DESC LIMIT $2";
const LATEST_POSTGRES: &str = "SELECT r.pipeline_name, r.id, r.status, r.error_type, r.created_at, r.started_at, \
    r.finished_at FROM pipelines p CROSS JOIN LATERAL (SELECT * FROM runs x WHERE x.pipeline_name = p.name \
    ORDER BY x.created_at DESC, x.id DESC LIMIT $1) r WHERE p.removed_at IS NULL \
    ORDER BY r.pipeline_name, r.created_at DESC, r.id DESC";
