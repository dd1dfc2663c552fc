//! Finding runs again: containers of this installation are matched with the database. The same code runs at the start and
//! periodically, so a crash is nothing special: what slipped through anywhere is caught here.

use std::collections::{HashMap, HashSet};
use std::error::Error as _;
use std::pin::pin;
use std::time::Duration;

use fastflow_shared::{ErrorType, Phase, RunStatus};
use tokio::time::sleep;
use tracing::Instrument as _;

use super::admission::Place;
use super::drive::Driver;
use super::follow::Watch;
use super::live::Claim;
use super::pump::Tap;
use super::sampler::Usage;
use super::start::Begun;
use super::{Inner, Runs, RunsError, parse_id, workspace};
use crate::domain::clock::Millis;
use crate::domain::outcome::Outcome;
use crate::domain::run::Event;
use crate::engine::{ContainerId, ContainerState, ContainerSummary, Exit, Kind, Status, launcher};
use crate::journal::{JournalError, LogWriter};
use crate::store::{Facts, Report, RunRow, StoreError};

/// How long a container is given to show that it never got its job.
const LAUNCHER_GIVES_UP: Duration = Duration::from_secs(2);

/// First pause before a log that cannot be opened is tried again; it doubles up to [`MAX_LOG_PAUSE`].
const FIRST_LOG_PAUSE: Duration = Duration::from_secs(1);

/// Longest such pause.
const MAX_LOG_PAUSE: Duration = Duration::from_secs(15);

/// How often a log is tried after its run has ended, [`FIRST_LOG_PAUSE`] apart, before the end is recorded without it.
const LAST_LOOKS: u32 = 5;

/// What became of opening the log of a found run.
enum Opened {
    Log(Box<LogWriter>),
    /// The watch over the container has ended before.
    Never(Watch),
}

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

/// Whose runs and containers this server looks after: its own, and as the leader those of the dead.
struct Whose {
    me: String,
    leads: bool,
    dead: HashSet<String>,
}

impl Whose {
    /// Nobody's are those of a release that knew of one server alone.
    fn is_ours(&self, server: Option<&str>) -> bool {
        match server.filter(|server| !server.is_empty()) {
            None => self.leads,
            Some(server) => server == self.me || self.dead.contains(server),
        }
    }
}

impl Runs {
    /// Matches containers and rows. What nobody drives is taken up. One run that cannot be taken up does not keep the others.
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
        // Runs whose containers and folders are not to be touched: those in the database, whether they can be read or not.
        let mut known: HashSet<String> = rows.iter().map(|row| row.spec.id.clone()).collect();
        for error in broken {
            tracing::error!(%error, "a run cannot be read and is left alone: {error}");
            if let StoreError::Corrupt { key, .. } = error {
                known.insert(key);
            }
        }
        let (of_runs, others): (Vec<_>, Vec<_>) =
            containers.into_iter().partition(|c| c.kind == Some(Kind::Run) && c.run_id.is_some());
        let by_run: HashMap<String, ContainerSummary> =
            of_runs.into_iter().filter_map(|container| Some((container.run_id.clone()?, container))).collect();

        let mut recovery = Recovery::default();
        let mut failure = None;
        let whose = self.whose(&rows, by_run.values().chain(&others)).await?;
        let ours = |row: &RunRow| {
            row.spec.instance.as_ref().is_none_or(|name| *name == self.inner.options.instance)
                && whose.is_ours(row.spec.owner.as_deref())
        };
        let of_others: Vec<String> =
            by_run.values().filter(|c| !whose.is_ours(c.server.as_deref())).filter_map(|c| c.run_id.clone()).collect();
        // Working ones first: they hold their slots before anybody is admitted from the queue.
        let (working, waiting): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .filter(ours)
            .partition(|row| row.status != RunStatus::Pending || by_run.contains_key(&row.spec.id));
        for row in working.into_iter().chain(waiting) {
            let container = by_run.get(&row.spec.id);
            if let Err(error) = self.take_up(&row, container, &mut recovery).await {
                tracing::warn!(run = row.spec.id, %error, "a run is not recovered yet: {error}");
                failure.get_or_insert(error);
            }
        }
        let strays = by_run.into_values().filter(|c| c.run_id.as_ref().is_some_and(|run| !known.contains(run)));
        for container in strays.chain(others) {
            if self.is_closing() || !whose.is_ours(container.server.as_deref()) || self.is_in_use(&container) {
                continue;
            }
            tracing::info!(container = %container.id, name = container.name, "removing a container without a run");
            match rooms.engine.remove(&container.id).await {
                Ok(()) => recovery.removed += 1,
                Err(error) => {
                    failure.get_or_insert(error.into());
                }
            }
        }
        if whose.leads {
            // A container that another server has just parked has a folder and no row.
            known.extend(of_others);
            recovery.folders = self.sweep_workspaces(&known).await?;
            rooms.store.sweep_run_masks().await?;
        }
        failure.map_or(Ok(recovery), Err)
    }

    /// Which servers' runs and containers are for this one to look after.
    async fn whose<'c>(
        &self,
        rows: &[RunRow],
        containers: impl Iterator<Item = &'c ContainerSummary>,
    ) -> Result<Whose, RunsError> {
        let cluster = &self.inner.rooms.cluster;
        let owners = rows.iter().filter_map(|row| row.spec.owner.clone());
        let makers = containers.filter_map(|container| container.server.clone());
        let all = owners.chain(makers).filter(|id| !id.is_empty()).collect();
        let leads = cluster.leads();
        let dead = if leads { cluster.dead_among(all).await? } else { HashSet::new() };
        Ok(Whose { me: cluster.id().to_owned(), leads, dead })
    }

    /// Whether a container without an unfinished row may still be needed by somebody in this process.
    fn is_in_use(&self, container: &ContainerSummary) -> bool {
        let Inner { rooms, .. } = &*self.inner;
        match container.kind {
            Some(Kind::Preparation) => rooms.environments.is_using(&container.name),
            // Its driver removes it in a moment.
            _ => container.run_id.as_deref().and_then(|run| parse_id(run).ok()).is_some_and(|run| self.is_held(run)),
        }
    }

    /// Whether somebody in this process drives this run, or a container waits under its id. In this order and twice,
    /// because a start takes the id from the one to the other.
    pub(super) fn is_held(&self, run: crate::journal::RunId) -> bool {
        let Inner { live, warm, .. } = &*self.inner;
        live.get(run).is_some() || warm.has(run) || live.get(run).is_some()
    }

    async fn take_up(
        &self,
        seen: &RunRow,
        container: Option<&ContainerSummary>,
        recovery: &mut Recovery,
    ) -> Result<(), RunsError> {
        let rooms = &self.inner.rooms;
        let Ok(id) = parse_id(&seen.spec.id) else { return Ok(()) };
        if self.is_closing() {
            return Ok(());
        }
        // None: somebody drives it.
        let Some(claim) = self.inner.live.claim(id, &seen.spec.pipeline_name, Phase::Queued) else { return Ok(()) };
        // What was seen before the claim may be out of date by a whole run; from now on nobody else changes it.
        let row = rooms.store.run(&seen.spec.id).await?;
        if row.status.is_final() || row.spec.owner != seen.spec.owner {
            return Ok(());
        }
        let me = rooms.cluster.id();
        let row = match row.spec.owner.as_deref() {
            Some(owner) if owner == me => row,
            owner => {
                if !rooms.store.take_run(&row.spec.id, owner, me).await? {
                    return Ok(());
                }
                tracing::info!(run = row.spec.id, from = owner, "a run of a server that is gone is taken over");
                rooms.store.run(&seen.spec.id).await?
            }
        };
        let mut state = None;
        let stored = row.container_id.clone().map(ContainerId::new);
        for container in container.map(|container| container.id.clone()).into_iter().chain(stored) {
            if state.is_none() {
                state = rooms.engine.inspect(&container).await?;
            }
        }
        match state {
            Some(state) if never_began(&state, &row) => {
                rooms.engine.remove(&state.id).await?;
                recovery.requeued += 1;
                self.requeue(claim, row).await?;
            }
            Some(state) => {
                if state.status.is_running() {
                    recovery.reattached += 1;
                } else {
                    recovery.completed += 1;
                }
                // Its slot is taken before anybody else can be admitted.
                let place = self.inner.admission.adopt(id);
                claim.set_phase(Phase::Running);
                let span = super::span_of(&claim);
                self.spawn(Driver::new(self.clone(), claim, row).drive_found_container(state, place).instrument(span));
            }
            None if row.status == RunStatus::Pending || row.container_id.is_none() => {
                recovery.requeued += 1;
                self.requeue(claim, row).await?;
            }
            None => {
                recovery.lost += 1;
                claim.set_phase(Phase::Running);
                let span = super::span_of(&claim);
                self.spawn(Driver::new(self.clone(), claim, row).was_lost().instrument(span));
            }
        }
        Ok(())
    }

    async fn requeue(&self, claim: Claim, row: RunRow) -> Result<(), RunsError> {
        let rooms = &self.inner.rooms;
        let run = row.spec.id.clone();
        // It begins anew, perhaps without any.
        rooms.store.clear_run_mask(&run).await?;
        let row = if row.status == RunStatus::Pending {
            row
        } else {
            let report = Report {
                run_id: &run,
                expected: &[row.status],
                events: if row.status == RunStatus::Running {
                    &[Event::WatchLost, Event::Requeued]
                } else {
                    &[Event::Requeued]
                },
                facts: Facts::default(),
                knows_stop: false,
                now: rooms.clock.now(),
            };
            rooms.store.record(&report).await?;
            rooms.store.run(&run).await?
        };
        // Its place in the queue is taken at once, so that the order of the queue survives the crash.
        let waits = row.spec.not_before.is_some_and(|due| due > rooms.clock.now());
        let place = (!waits).then(|| self.inner.admission.enter_always(claim.run));
        self.drive(claim, row, place);
        Ok(())
    }

    async fn sweep_workspaces(&self, known: &HashSet<String>) -> Result<usize, RunsError> {
        let scratch = self.inner.options.scratch_dir.clone();
        let found = tokio::task::spawn_blocking(move || workspace::list(&scratch))
            .await
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(|source| RunsError::Io { what: "reading the scratch folder", source })?;
        let mut removed = 0;
        for run in found {
            // When we shut down, containers work on in folders whose runs nobody drives any more.
            let in_use = known.contains(&run.to_string()) || self.is_held(run) || self.may_be_in_the_making(run);
            if !in_use && !self.is_closing() {
                self.remove_workspace(run).await;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// Age below which another server may still be making what belongs to a folder, in seconds.
const IN_THE_MAKING: f64 = 600.0;

impl Runs {
    /// Whether a folder may be one that another server has just made. Ids tell when they were made.
    fn may_be_in_the_making(&self, run: crate::journal::RunId) -> bool {
        if self.inner.rooms.cluster.others() == 0 {
            return false;
        }
        let made = uuid::Uuid::parse_str(&run.to_string()).ok().and_then(|id| id.get_timestamp());
        made.is_none_or(|made| {
            let (seconds, _) = made.to_unix();
            let made = Millis(i64::try_from(seconds).unwrap_or(i64::MAX / 1000).saturating_mul(1000));
            self.inner.rooms.clock.now().seconds_since(made) < IN_THE_MAKING
        })
    }
}

/// Whether a container that does not run has never begun its script.
fn never_began(state: &ContainerState, row: &RunRow) -> bool {
    state.status == Status::Created
        || (row.status == RunStatus::Pending && state.exit_code == Some(launcher::NO_JOB_EXIT_CODE))
}

/// An error of the journal with the system's words, which it does not print by itself.
fn with_cause(error: &JournalError) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

impl Driver {
    /// A container that works or has ended was found for this run.
    pub(super) async fn drive_found_container(self, state: ContainerState, place: Place) {
        let rooms = &self.runs.inner.rooms;
        let run = self.live.run;
        if self.row.status == RunStatus::Pending && self.gives_up(&state).await {
            let cleared = match rooms.engine.remove(&state.id).await {
                Ok(()) => rooms.store.clear_run_mask(&self.row.spec.id).await.map_err(RunsError::from),
                Err(error) => Err(error.into()),
            };
            return match cleared {
                Ok(()) => self.drive_from_the_beginning(Some(place)).await,
                Err(error) => tracing::warn!(%run, %error, "run {run} waits for the next recovery: {error}"),
            };
        }
        let warm = self.row.warm_at.is_some();
        let started_at = self.row.warm_at.or(state.started_at.map(Millis::from));
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
        self.follow_found(state.id, started_at, warm).await;
        // The slot is free only when nothing of the run is left.
        drop(self);
        drop(place);
    }

    /// Follows a found container to its end, with its log if that can be opened.
    async fn follow_found(&self, container: ContainerId, started_at: Option<Millis>, warm: bool) {
        let rooms = &self.runs.inner.rooms;
        let run = self.live.run;
        let veil = match self.runs.veil_of(&self.row.spec.id).await {
            Ok(veil) => veil,
            // Nothing may be shown before it is known what must not be; the next pass tries again.
            Err(error) => {
                return tracing::error!(%run, %error, "the secrets of run {run} cannot be looked up: {error}");
            }
        };
        let since = started_at.or(self.row.started_at).unwrap_or_else(|| rooms.clock.now());
        match self.open_log_meanwhile(&container, since).await {
            Opened::Log(writer) => {
                let tap = Tap::new(*writer, rooms.clock.clone(), veil);
                let unrecorded = None;
                self.follow_to_the_end(Begun { container, output: None, tap, started_at, warm, unrecorded }).await;
            }
            Opened::Never(Watch::Exited(exit)) => {
                let exit = if warm { Exit { started_at: None, ..exit } } else { exit };
                self.finish_exited(&container, &exit, None, &Usage::default()).await;
            }
            Opened::Never(Watch::Vanished) => self.finish_vanished(&container, None, &Usage::default()).await,
            Opened::Never(Watch::Left) => self.note_left().await,
        }
    }

    /// Opens the run's log, again and again while its container works: a disk may come back. The run is watched all the
    /// while, for limits and cancellations hold without a log as well; once it has ended, its end is not kept back for long.
    async fn open_log_meanwhile(&self, container: &ContainerId, started_at: Millis) -> Opened {
        let run = self.live.run;
        let mut watching = pin!(self.watch(container, started_at));
        let mut ended = None;
        let mut pause = FIRST_LOG_PAUSE;
        loop {
            let error = match super::finish::open_log(&self.runs.inner.rooms.journal, run).await {
                Ok(writer) => return Opened::Log(Box::new(writer)),
                Err(error) => error,
            };
            tracing::error!(%run, %error, "the log of run {run} cannot be opened: {}", with_cause(&error));
            match ended.take() {
                None => tokio::select! {
                    biased;
                    watch = &mut watching => match watch {
                        Watch::Left => return Opened::Never(watch),
                        // One more look: whoever mended the log did so while we paused.
                        watch => ended = Some((watch, LAST_LOOKS)),
                    },
                    () = sleep(pause) => pause = (pause * 2).min(MAX_LOG_PAUSE),
                },
                Some((watch, 0)) => {
                    tracing::error!(%run, "run {run} has ended without a log; what it wrote since is lost");
                    return Opened::Never(watch);
                }
                Some((watch, left)) => {
                    tokio::select! {
                        biased;
                        () = self.runs.inner.letting_go.cancelled() => return Opened::Never(Watch::Left),
                        () = sleep(FIRST_LOG_PAUSE) => ended = Some((watch, left - 1)),
                    }
                }
            }
        }
    }

    /// Whether a container that was started by a server which died before it recorded that is a launcher that never got
    /// its job. Such a one ends by itself as soon as it notices; nothing of what it says may come into the log.
    async fn gives_up(&self, state: &ContainerState) -> bool {
        let ends = self.runs.inner.rooms.engine.wait(&state.id);
        let exit = tokio::time::timeout(LAUNCHER_GIVES_UP, ends).await;
        matches!(exit, Ok(Ok(exit)) if exit.code == launcher::NO_JOB_EXIT_CODE)
    }

    /// The run had a container, and it is gone.
    pub(super) async fn was_lost(self) {
        let outcome = Outcome::failed(
            ErrorType::Lost,
            "Its container was gone when the server came back, so how it ended is not known. Start the run again.",
        );
        self.finish_lost(outcome).await;
    }
}
