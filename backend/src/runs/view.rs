//! Runs as they are shown: what is stored, together with what this process knows of the moment.

use fastflow_shared::{Phase, Run, RunHealth, RunPage, RunStatus};

use super::{Runs, RunsError, parse_id};
use crate::engine::Health;
use crate::store::{RunCursor, RunFilter, RunOrder, RunRow, StoreError};

impl Runs {
    /// One run.
    ///
    /// # Errors
    /// [`RunsError::UnknownRun`], or the database.
    pub async fn run(&self, id: &str) -> Result<Run, RunsError> {
        parse_id(id)?;
        match self.inner.rooms.store.run(id).await {
            Ok(row) => Ok(self.show(row)),
            Err(StoreError::NotFound { .. }) => Err(RunsError::UnknownRun(id.to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    /// A page of runs.
    ///
    /// # Errors
    /// The database.
    pub async fn page(
        &self,
        filter: &RunFilter,
        order: RunOrder,
        cursor: Option<&RunCursor>,
        limit: u32,
    ) -> Result<RunPage, RunsError> {
        let page = self.inner.rooms.store.runs_page(filter, order, cursor, limit).await?;
        Ok(RunPage {
            items: page.rows.into_iter().map(|row| self.show(row)).collect(),
            next_cursor: page.next.map(|cursor| cursor.to_text()),
        })
    }

    pub(in crate::runs) fn show(&self, row: RunRow) -> Run {
        let id = parse_id(&row.spec.id).ok();
        let live = id.and_then(|id| self.inner.live.get(id));
        let phase = match (row.status, &live) {
            (status, _) if status.is_final() => Phase::Ended,
            (RunStatus::Running, None) => Phase::Running,
            (_, Some(live)) => live.phase(),
            // Stored, and about to be driven.
            (_, None) if row.spec.not_before.is_some_and(|due| due > self.inner.rooms.clock.now()) => Phase::Waiting,
            (_, None) => Phase::Queued,
        };
        let position = id.and_then(|id| self.inner.admission.position(id)).and_then(|n| i32::try_from(n).ok());
        let waits_for = live.filter(|_| phase != Phase::Ended).and_then(|live| live.waits_for());
        Run { waits_for, ..row.into_run(phase, position, self.inner.rooms.clock.now()) }
    }

    /// What is known of a run's health right now.
    ///
    /// # Errors
    /// [`RunsError::UnknownRun`], or the database. Docker being away is an answer, not an error.
    pub async fn health(&self, id: &str) -> Result<RunHealth, RunsError> {
        let run_id = parse_id(id)?;
        let row = match self.inner.rooms.store.run(id).await {
            Err(StoreError::NotFound { .. }) => return Err(RunsError::UnknownRun(id.to_owned())),
            other => other?,
        };
        let now = self.inner.rooms.clock.now();
        let limit = self.inner.options().silence_limit;
        let last = self.inner.live.get(run_id).and_then(|live| live.last_output());
        let since = last.or(row.started_at);
        let silent_seconds =
            since.filter(|_| row.status == RunStatus::Running).map(|at| now.seconds_since(at).max(0.0));
        let mut health = RunHealth {
            status: row.status,
            verdict: "not_running".to_owned(),
            container_state: None,
            container_health: None,
            last_output_at: last.map(crate::domain::clock::Millis::to_utc),
            silent_seconds,
            silence_limit_seconds: limit.and_then(|limit| i64::try_from(limit.as_secs()).ok()),
            checked_at: now.to_utc(),
        };
        let (RunStatus::Running, Some(container)) = (row.status, row.container_id) else { return Ok(health) };
        let silent = limit.is_some_and(|limit| silent_seconds.is_some_and(|s| s > limit.as_secs_f64()));
        match self.inner.rooms.engine.inspect(&crate::engine::ContainerId::new(container)).await {
            Err(_) => "unknown".clone_into(&mut health.verdict),
            Ok(None) => "vanished".clone_into(&mut health.verdict),
            Ok(Some(state)) => {
                health.container_state = Some(format!("{:?}", state.status).to_lowercase());
                if state.health != Health::None {
                    health.container_health = Some(format!("{:?}", state.health).to_lowercase());
                }
                let verdict = match state.health {
                    Health::Unhealthy => "unhealthy",
                    _ if silent => "silent",
                    _ => "healthy",
                };
                verdict.clone_into(&mut health.verdict);
            }
        }
        Ok(health)
    }
}
