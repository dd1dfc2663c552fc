//! Finding runs again: containers of this installation are matched with the database. The same code runs at the start and
//! periodically, so a crash is nothing special: what slipped through anywhere is caught here.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use fastflow_shared::{ErrorType, Phase, RunStatus};

use super::drive::{Begun, Driver};
use super::live::Live;
use super::pump::Tap;
use super::{Runs, RunsError, parse_id, workspace};
use crate::domain::clock::Millis;
use crate::domain::outcome::Outcome;
use crate::domain::run::Event;
use crate::engine::{ContainerState, ContainerSummary, Kind, Status, launcher};
use crate::journal::RunId;
use crate::store::{Facts, RunRow};

/// A container or folder younger than this may belong to a start that is under way.
const YOUNG: f64 = 60.0;

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Runs whose container works and is followed again.
    pub reattached: usize,
    /// Runs whose container had ended.
    pub completed: usize,
    /// Runs that were put back into the queue.
    pub requeued: usize,
    /// Runs whose container is gone.
    pub lost: usize,
    /// Containers without a run that were removed.
    pub removed: usize,
    /// Folders without a run that were removed.
    pub folders: usize,
}

impl std::fmt::Display for Recovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { reattached, completed, requeued, lost, removed, folders } = self;
        write!(
            f,
            "{reattached} runs followed again, {completed} completed, {requeued} queued again, {lost} lost; {removed} containers and {folders} folders removed"
        )
    }
}

impl Runs {
    /// Matches containers and rows. What nobody drives is taken up, unless it is so young that a start of this very process
    /// may be about to: whatever is older than the process is left over from another one.
    ///
    /// # Errors
    /// Docker or the database; nothing is guessed then, and the next pass tries again.
    pub async fn recover(&self) -> Result<Recovery, RunsError> {
        let rooms = &self.inner.rooms;
        // Containers first: a run that starts between the two calls has a row, and is driven by somebody.
        let containers = rooms.engine.list().await.inspect_err(|error| {
            if error.is_unavailable() {
                self.note_docker(false);
            }
        })?;
        let (rows, broken) = rooms.store.unfinished_runs().await?;
        for error in broken {
            tracing::error!(%error, "a run cannot be read and is left alone: {error}");
        }
        let now = rooms.clock.now();
        let mut recovery = Recovery::default();
        let mut by_run: HashMap<String, ContainerSummary> = HashMap::new();
        let mut strays = Vec::new();
        for container in containers {
            match (&container.run_id, container.kind) {
                (Some(run), Some(Kind::Run)) => {
                    by_run.insert(run.clone(), container);
                }
                _ => strays.push(container),
            }
        }
        let mut known = HashSet::new();
        for row in rows {
            let Ok(id) = parse_id(&row.spec.id) else { continue };
            known.insert(id);
            let container = by_run.remove(&row.spec.id);
            if self.inner.live.get(id).is_some() || self.is_closing() {
                continue;
            }
            // The row may have been read just before its driver took it up.
            let accepted = row.spec.created_at;
            if accepted >= self.inner.born && now.seconds_since(accepted) < YOUNG && row.status == RunStatus::Pending {
                continue;
            }
            self.recover_run(id, row, container, &mut recovery).await?;
        }
        strays.extend(by_run.into_values());
        for container in strays {
            let created = Millis::from(container.created_at);
            let young = created >= self.inner.born && now.seconds_since(created) < YOUNG;
            let driven = container.run_id.as_deref().and_then(|run| parse_id(run).ok());
            let driven = driven.is_some_and(|run| self.inner.live.get(run).is_some());
            if driven || young || (container.kind == Some(Kind::Preparation) && created >= self.inner.born) {
                continue;
            }
            tracing::info!(container = %container.id, name = container.name, "removing a container without a run");
            rooms.engine.remove(&container.id).await?;
            recovery.removed += 1;
        }
        recovery.folders = self.sweep_workspaces(&known).await?;
        Ok(recovery)
    }

    async fn recover_run(
        &self,
        id: RunId,
        row: RunRow,
        container: Option<ContainerSummary>,
        recovery: &mut Recovery,
    ) -> Result<(), RunsError> {
        let engine = &self.inner.rooms.engine;
        let state = match &container {
            Some(container) => engine.inspect(&container.id).await?,
            None => None,
        };
        match state {
            Some(state) if state.status.is_running() => {
                recovery.reattached += 1;
                self.follow_found(id, row, state);
            }
            // The script never began: created and not started, or started and left without its job.
            Some(state) if never_began(&state, &row) => {
                engine.remove(&state.id).await?;
                recovery.requeued += 1;
                self.requeue(id, row).await?;
            }
            Some(state) => {
                recovery.completed += 1;
                self.follow_found(id, row, state);
            }
            None if row.status == RunStatus::Pending || row.container_id.is_none() => {
                recovery.requeued += 1;
                self.requeue(id, row).await?;
            }
            None => {
                recovery.lost += 1;
                let live = Live::new(id, &row.spec.pipeline_name, Phase::Running);
                if self.inner.live.add(&live) {
                    let driver = Driver::new(self.clone(), live, row);
                    self.inner.tasks.spawn(driver.was_lost());
                }
            }
        }
        Ok(())
    }

    async fn requeue(&self, id: RunId, row: RunRow) -> Result<(), RunsError> {
        let run = row.spec.id.clone();
        let row = if row.status == RunStatus::Pending {
            row
        } else {
            let report = crate::store::Report {
                run_id: &run,
                expected: &[row.status],
                events: if row.status == RunStatus::Running {
                    &[Event::WatchLost, Event::Requeued]
                } else {
                    &[Event::Requeued]
                },
                facts: Facts::default(),
                now: self.inner.rooms.clock.now(),
            };
            self.inner.rooms.store.record(&report).await?;
            self.inner.rooms.store.run(&run).await?
        };
        // Its place in the queue is taken at once, so that the order of the queue survives the crash.
        let waits = row.spec.not_before.is_some_and(|due| due > self.inner.rooms.clock.now());
        let place = (!waits).then(|| self.inner.admission.enter_always(id));
        self.drive(id, row, place);
        Ok(())
    }

    fn follow_found(&self, id: RunId, row: RunRow, state: ContainerState) {
        let live = Live::new(id, &row.spec.pipeline_name, Phase::Running);
        if !self.inner.live.add(&live) {
            return;
        }
        if let Some(reason) = row.stop_reason.clone() {
            live.request_stop(reason);
        }
        // Its slot is taken before anybody else can be admitted.
        let place = self.inner.admission.adopt(id);
        let driver = Driver::new(self.clone(), live, row);
        self.inner.tasks.spawn(async move {
            driver.from_a_found_container(state).await;
            drop(place);
        });
    }

    async fn sweep_workspaces(&self, known: &HashSet<RunId>) -> Result<usize, RunsError> {
        let scratch = self.inner.options.scratch_dir.clone();
        let found = tokio::task::spawn_blocking(move || workspace::list(&scratch))
            .await
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(|source| RunsError::Io { what: "reading the scratch folder", source })?;
        let mut removed = 0;
        for run in found {
            if !known.contains(&run) && self.inner.live.get(run).is_none() {
                self.remove_workspace(run).await;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// Whether a container that does not run has never begun its script.
fn never_began(state: &ContainerState, row: &RunRow) -> bool {
    state.status == Status::Created
        || (row.status == RunStatus::Pending && state.exit_code == Some(launcher::NO_JOB_EXIT_CODE))
}

impl Driver {
    /// A container that works or has ended was found for this run.
    pub(super) async fn from_a_found_container(self, state: ContainerState) {
        let rooms = &self.runs.inner.rooms;
        let run = self.live.run;
        let started_at = state.started_at.map(Millis::from);
        let facts = Facts { container_id: Some(state.id.as_str().to_owned()), started_at, ..Facts::default() };
        let events: &[Event] = match self.row.status {
            RunStatus::Pending => &[Event::Started],
            RunStatus::Interrupted => &[Event::Reattached],
            _ => &[],
        };
        if !events.is_empty()
            && let Err(error) = self.record(events, facts).await
        {
            tracing::error!(%run, %error, "run {run} is followed again, but not recorded so: {error}");
        }
        tracing::info!(%run, container = %state.id, "run {run} is followed again");
        match super::finish::open_log(&rooms.journal, run).await {
            Ok(writer) => {
                let tap = Tap::new(writer, rooms.clock.clone());
                self.follow_to_the_end(Begun { container: state.id, output: None, tap, started_at }).await;
            }
            Err(error) => {
                // Without its log the run cannot be followed; the next pass tries again.
                tracing::error!(%run, %error, "the log of run {run} cannot be opened: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        self.runs.inner.live.remove(run);
    }

    /// The run had a container, and it is gone.
    pub(super) async fn was_lost(self) {
        let outcome = match self.row.stop_reason.clone() {
            Some(reason) => super::finish::stopped(reason),
            None => Outcome::failed(
                ErrorType::Lost,
                "Its container was gone when the server came back, so how it ended is not known. Start the run again.",
            ),
        };
        self.finish_lost(outcome).await;
        self.runs.inner.live.remove(self.live.run);
    }
}
