//! Runs: lists, single ones, and what can be done to them.

use chrono::{DateTime, Utc};
use fastflow_shared::{ErrorType, FieldProblem, Run, RunDay, RunHealth, RunPage, RunStatus, Trigger};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, OpenApi};

use super::pipelines::{Started, trigger};
use super::problem::{ApiError, ApiResult};
use super::security::Access;
use super::{Api, Tag};
use crate::domain::calendar;
use crate::domain::clock::Millis;
use crate::runs::Again;
use crate::store::{RunCursor, RunFilter, RunOrder};

/// Rows of a page when the client does not say.
const DEFAULT_LIMIT: u32 = 50;

/// Most rows of a page.
const MAX_LIMIT: u32 = 500;

/// Most days of a calendar.
const MAX_DAYS: i64 = 400;

/// The operations.
pub struct RunsApi(pub Api);

/// Order of a list of runs: by the time they were accepted, or by how long they ran. A run that has not ended or never began has no
/// duration, and comes last.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Order {
    /// Latest first.
    Desc,
    /// Earliest first.
    Asc,
    /// Longest duration first.
    Longest,
    /// Shortest duration first.
    Shortest,
}

impl From<Order> for RunOrder {
    fn from(order: Order) -> Self {
        match order {
            Order::Desc => Self::NewestFirst,
            Order::Asc => Self::OldestFirst,
            Order::Longest => Self::LongestFirst,
            Order::Shortest => Self::ShortestFirst,
        }
    }
}

/// Answer to a cancel.
#[derive(ApiResponse)]
pub enum CancelAccepted {
    /// The run is being stopped, or had ended already.
    #[oai(status = 202)]
    Accepted(Json<Run>),
}

/// Where a page begins and how long it is.
pub(super) struct RunQuery {
    pub cursor: Option<RunCursor>,
    pub limit: u32,
}

impl RunQuery {
    pub(super) fn parse(order: RunOrder, cursor: Option<&str>, limit: Option<u32>) -> ApiResult<Self> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(wrong("limit", format!("must be from 1 to {MAX_LIMIT}")));
        }
        let cursor = cursor
            .map(|text| {
                let cursor = RunCursor::parse(text).filter(|cursor| cursor.key == order.key());
                cursor.ok_or_else(|| wrong("cursor", "is not one that a page in this order gave".to_owned()))
            })
            .transpose()?;
        Ok(Self { cursor, limit })
    }
}

pub(super) fn wrong(field: &str, message: String) -> ApiError {
    let detail = format!("`{field}` {message}.");
    ApiError::unprocessable("invalid_values", detail, vec![FieldProblem { field: field.to_owned(), message }])
}

#[OpenApi(tag = "Tag::Runs")]
impl RunsApi {
    /// List runs
    #[oai(path = "/runs", method = "get", operation_id = "listRuns")]
    #[expect(clippy::too_many_arguments, reason = "each is one query parameter")]
    async fn list(
        &self,
        _access: Access,
        /// Name of a pipeline.
        pipeline: Query<Option<String>>,
        /// One status, or several separated by commas.
        status: Query<Option<String>>,
        /// What started it.
        trigger: Query<Option<Trigger>>,
        /// Why it failed.
        error_type: Query<Option<ErrorType>>,
        /// Accepted at or after this time.
        from: Query<Option<DateTime<Utc>>>,
        /// Accepted before this time.
        to: Query<Option<DateTime<Utc>>>,
        /// Latest first unless asked otherwise.
        order: Query<Option<Order>>,
        /// From the page before.
        cursor: Query<Option<String>>,
        /// Rows per page, from 1 to 500; 50 when absent.
        limit: Query<Option<u32>>,
    ) -> ApiResult<Json<RunPage>> {
        let statuses = statuses(status.0.as_deref().unwrap_or_default())?;
        let filter = RunFilter {
            pipeline: pipeline.0.filter(|name| !name.is_empty()),
            statuses,
            trigger: trigger.0,
            error_type: error_type.0,
            from: from.0.map(Millis::from),
            to: to.0.map(Millis::from),
        };
        let order = order.0.map(RunOrder::from).unwrap_or_default();
        let RunQuery { cursor, limit } = RunQuery::parse(order, cursor.0.as_deref(), limit.0)?;
        Ok(Json(self.0.runs.page(&filter, order, cursor.as_ref(), limit).await?))
    }

    /// Count runs by day
    ///
    /// The days on which a run was accepted, oldest first; a day without runs is left out.
    #[oai(path = "/runs/days", method = "get", operation_id = "countRunsByDay")]
    async fn days(
        &self,
        _access: Access,
        /// Name of a pipeline.
        pipeline: Query<Option<String>>,
        /// Where a day begins, as a name such as `Europe/Berlin`; UTC when absent.
        timezone: Query<Option<String>>,
        /// How many days up to today, from 1 to 400; 365 when absent.
        days: Query<Option<i64>>,
    ) -> ApiResult<Json<Vec<RunDay>>> {
        let days = days.0.unwrap_or(365);
        if !(1..=MAX_DAYS).contains(&days) {
            return Err(wrong("days", format!("must be from 1 to {MAX_DAYS}")));
        }
        let name = timezone.0.as_deref().unwrap_or("UTC");
        let zone = calendar::zone(name).ok_or_else(|| wrong("timezone", format!("{name:?} is no known time zone")))?;
        let now = self.0.clock.now();
        // A day more than asked for, whose beginning may lie outside: it is left out again below.
        let from = Millis(now.0 - (days + 1) * 86_400_000);
        let pipeline = pipeline.0.filter(|name| !name.is_empty());
        let counts = self.0.store.run_counts(pipeline.as_deref(), from, Millis(i64::MAX)).await?;
        let quarters = counts.into_iter().map(|(quarter, status, number)| (quarter, (status, number)));
        let by_date = calendar::by_date(quarters, zone, |day: &mut (i64, i64, i64), (status, number)| match status {
            RunStatus::Success => day.0 += number,
            RunStatus::Failed => day.1 += number,
            _ => day.2 += number,
        });
        let first = calendar::date(Millis(now.0 - (days - 1) * 86_400_000), zone);
        let day = |(date, (succeeded, failed, active)): (chrono::NaiveDate, (i64, i64, i64))| RunDay {
            date: date.to_string(),
            succeeded,
            failed,
            active,
        };
        Ok(Json(by_date.into_iter().filter(|(date, _)| *date >= first).map(day).collect()))
    }

    /// Get a run
    #[oai(path = "/runs/:id", method = "get", operation_id = "getRun")]
    async fn get(&self, _access: Access, id: Path<String>) -> ApiResult<Json<Run>> {
        Ok(Json(self.linked(self.0.runs.run(&id).await?)))
    }

    /// Cancel a run
    ///
    /// Answers at once. A run that works gets SIGTERM and, after a grace period, SIGKILL; one that waits ends right away.
    #[oai(path = "/runs/:id/cancel", method = "post", operation_id = "cancelRun")]
    async fn cancel(&self, access: Access, id: Path<String>) -> ApiResult<CancelAccepted> {
        let caller = access.caller();
        let by = Some(caller.identity.user.username.clone());
        Ok(CancelAccepted::Accepted(Json(self.linked(self.0.runs.cancel(&id, by).await?))))
    }

    /// Run the same again
    ///
    /// With the same commit, environment and parameters, and the secrets of today.
    #[oai(path = "/runs/:id/rerun", method = "post", operation_id = "rerunRun")]
    async fn rerun(&self, access: Access, id: Path<String>) -> ApiResult<Started> {
        self.again(&access, &id, Again::Same).await
    }

    /// Try a run once more
    ///
    /// One more attempt of an ended run, with the code of today.
    #[oai(path = "/runs/:id/retry", method = "post", operation_id = "retryRun")]
    async fn retry(&self, access: Access, id: Path<String>) -> ApiResult<Started> {
        self.again(&access, &id, Again::Retry).await
    }

    /// Get a run's health
    #[oai(path = "/runs/:id/health", method = "get", operation_id = "getRunHealth")]
    async fn health(&self, _access: Access, id: Path<String>) -> ApiResult<Json<RunHealth>> {
        Ok(Json(self.0.runs.health(&id).await?))
    }
}

impl RunsApi {
    /// The run, with the page of its commit.
    fn linked(&self, run: Run) -> Run {
        Run { commit_url: run.commit.as_deref().and_then(|commit| self.0.sync.commit_page(commit)), ..run }
    }

    async fn again(&self, access: &Access, id: &str, how: Again) -> ApiResult<Started> {
        let caller = access.caller();
        let by = Some(caller.identity.user.username.clone());
        Ok(Started::new(self.0.runs.launch_again(id, how, trigger(caller), by).await?))
    }
}

fn statuses(text: &str) -> ApiResult<Vec<RunStatus>> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| {
            RunStatus::parse(name).ok_or_else(|| {
                let allowed: Vec<_> = RunStatus::ALL.iter().map(|status| status.as_str()).collect();
                wrong("status", format!("{name:?} is none of {}", allowed.join(", ")))
            })
        })
        .collect()
}
