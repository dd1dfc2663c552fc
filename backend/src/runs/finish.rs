//! The end of a run: its outcome is decided once, recorded with the counters and the next attempt in one transaction, and
//! then everything it used is given back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fastflow_shared::{ErrorType, Phase, RunStatus, Trigger};

use super::drive::Driver;
use super::launch::new_id;
use super::pump::{Tap, Veil};
use super::sampler::Usage;
use super::timeline::Mark;
use super::workspace::Workspace;
use super::{Runs, Step};
use crate::domain::clock::Millis;
use crate::domain::outcome::{Ending, Outcome, StopReason, classify};
use crate::domain::run::Event;
use crate::engine::{ContainerId, Exit, launcher};
use crate::journal::{Journal, JournalError, LogWriter, RunId};
use crate::store::{Facts, Measured, NewRun, Recorded, Report, StoreError};

/// First pause before a report is repeated while the database is away.
const RECORD_PAUSE: Duration = Duration::from_secs(1);

/// Longest such pause.
const MAX_RECORD_PAUSE: Duration = Duration::from_secs(15);

/// Added to the message of a failure whose log could not be opened.
const NO_LOG: &str =
    " Its log could not be opened since the server came back, so it ends early; check LOGS_DIR and its disk.";

/// The outcome of a run that was stopped before it had a container.
pub(super) fn stopped(reason: StopReason) -> Outcome {
    let outcome = classify(&Ending { stop: Some(reason), ..Ending::default() });
    Outcome { exit_code: None, ..outcome }
}

/// What was recorded of an end.
struct Recording {
    outcome: Outcome,
    /// The status that the row has, and the next attempt, if it was we who recorded it.
    known: Option<(RunStatus, Option<String>)>,
    /// How long its script worked.
    seconds: Option<f64>,
}

impl Driver {
    /// The run never had a container that worked.
    pub(super) async fn finish_unstarted(&self, outcome: Outcome, detail: Option<String>) {
        self.finish_without_container(&outcome, detail, |_| Event::StartFailed).await;
    }

    /// The run had a container, which is gone.
    pub(super) async fn finish_lost(&self, outcome: Outcome) {
        self.finish_without_container(&outcome, None, |_| Event::Failed).await;
    }

    async fn finish_without_container(&self, outcome: &Outcome, detail: Option<String>, event: fn(&Outcome) -> Event) {
        let rooms = &self.runs.inner.rooms;
        let may_have_container = self.live.phase() == Phase::Starting;
        let mut log = match open_log(&rooms.journal, self.live.run).await {
            Ok(writer) => Some(Tap::new(writer, rooms.clock.clone(), Veil::None)),
            Err(error) => {
                tracing::warn!(run = %self.live.run, %error, "no log could be written: {error}");
                None
            }
        };
        if let Some(tap) = &mut log {
            for line in detail.iter().flat_map(|text| text.lines()) {
                tap.mark(line).await;
            }
            tap.flush().await;
        }
        let decide = |stop: Option<StopReason>| stop.map_or_else(|| outcome.clone(), stopped);
        let times = (None, rooms.clock.now());
        let measured = log.as_ref().map(|tap| measured(&Usage::default(), tap.writer.published()));
        let facts = Facts { measured, may_have_mask: true, ..Facts::default() };
        let Some(recorded) = self.record_outcome(None, decide, event, times, facts).await else { return };
        if let Some(tap) = log {
            self.close_log(tap, Some(&recorded.outcome), &Usage::default()).await;
        }
        if may_have_container {
            self.remove_container(None).await;
        }
        self.clean_up().await;
        self.after(recorded).await;
    }

    /// The container has ended. Without a `tap` its log could not be opened.
    pub(super) async fn finish_exited(
        &self,
        container: &ContainerId,
        exit: &Exit,
        mut tap: Option<Tap>,
        usage: &Usage,
    ) {
        if let Some(tap) = &mut tap {
            tap.end_of_output().await;
            tap.flush_partial().await;
        }
        self.live.timeline.mark(Mark::Drained);
        self.runs.inner.options.steps.reach(Step::LogDrained).await;
        let limit = self.row.spec.limits.memory.and_then(|bytes| u64::try_from(bytes).ok());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of bytes")]
        let peak = (usage.samples > 0).then_some((usage.ram_peak * 1_048_576.0) as u64);
        let ending = Ending {
            stop: None,
            oom_killed: exit.oom_killed,
            code: exit.code,
            docker_error: exit.error.clone(),
            exception: tap.as_mut().and_then(Tap::exception),
            // The kernel counts finer than our samples: at an out-of-memory kill the limit was the peak.
            peak_memory: if exit.oom_killed { limit.or(peak) } else { peak },
            memory_limit: limit,
        };
        let complained = tap.as_ref().is_none_or(|tap| tap.heard() == launcher::COMPLAINT.len() as u64);
        let never_began = exit.code == launcher::NO_JOB_EXIT_CODE && complained;
        let decide = |stop: Option<StopReason>| {
            if never_began && stop.is_none() {
                Outcome::failed(ErrorType::Docker, "The connection to Docker broke before the script could begin.")
            } else {
                classify(&Ending { stop, ..ending.clone() })
            }
        };
        let times = (exit.started_at.map(Millis::from), Millis::from(exit.finished_at));
        self.finish(container, decide, times, tap, usage).await;
    }

    /// The container is gone without having told its exit.
    pub(super) async fn finish_vanished(&self, container: &ContainerId, tap: Option<Tap>, usage: &Usage) {
        let decide = |stop: Option<StopReason>| {
            let vanished = || {
                Outcome::failed(
                    ErrorType::Lost,
                    "Its container vanished: it was removed from outside, or Docker lost it. Start the run again.",
                )
            };
            stop.map_or_else(vanished, stopped)
        };
        let times = (None, self.runs.inner.rooms.clock.now());
        self.finish(container, decide, times, tap, usage).await;
    }

    async fn finish(
        &self,
        container: &ContainerId,
        decide: impl Fn(Option<StopReason>) -> Outcome,
        times: Times,
        mut tap: Option<Tap>,
        usage: &Usage,
    ) {
        let steps = &self.runs.inner.options.steps;
        let has_log = tap.is_some();
        if let Some(tap) = &mut tap {
            tap.end_of_output().await;
            tap.flush_partial().await;
        }
        let decide = |stop| {
            let outcome = decide(stop);
            if has_log { outcome } else { without_log(outcome) }
        };
        let facts = Facts {
            measured: tap.as_ref().map(|tap| measured(usage, tap.writer.published())),
            may_have_mask: tap.as_ref().is_none_or(Tap::hides),
            ..Facts::default()
        };
        let Some(recorded) = self.record_outcome(Some(RunStatus::Running), decide, Outcome::event, times, facts).await
        else {
            // We shut down and the database is away: the container keeps the truth for the next server.
            if let Some(tap) = tap {
                tap.writer.detach().await;
            }
            return;
        };
        self.live.timeline.mark(Mark::Recorded);
        steps.reach(Step::OutcomeRecorded).await;
        // Viewers are told of the end only when the outcome can be read.
        let script_told = recorded.outcome.exit_code.is_some();
        if let Some(tap) = tap {
            self.close_log(tap, Some(&recorded.outcome).filter(|_| !script_told), usage).await;
        }
        self.remove_container(Some(container)).await;
        self.live.timeline.mark(Mark::Removed);
        steps.reach(Step::ContainerRemoved).await;
        self.clean_up().await;
        tracing::debug!(target: "fastflow::timeline", run = %self.live.run, "{}", self.live.timeline);
        self.after(recorded).await;
    }

    /// Ends the log, with the reason of a failure when the script could not give it.
    async fn close_log(&self, mut tap: Tap, reason: Option<&Outcome>, usage: &Usage) {
        let recorded = tap.writer.published();
        if let Some(failure) = reason.and_then(|outcome| outcome.failure.as_ref()) {
            tap.mark(&failure.message).await;
        }
        let finished = tap.writer.finish().await;
        if finished.len != recorded {
            self.store_usage(usage, finished.len).await;
        }
    }

    /// Tells everybody, and lets the next attempt wait for its time.
    async fn after(&self, recorded: Recording) {
        self.live.set_phase(Phase::Ended);
        let store = &self.runs.inner.rooms.store;
        let (status, next) = match recorded.known {
            Some(known) => known,
            None => match store.run(&self.row.spec.id).await {
                Ok(row) => (row.status, row.retried_by),
                Err(error) => {
                    // A next attempt is found by the recovery; viewers ask again by themselves.
                    tracing::warn!(run = %self.live.run, %error, "the end of the run cannot be announced: {error}");
                    return;
                }
            },
        };
        let (pipeline, outcome) = (&self.row.spec.pipeline_name, recorded.outcome.failure.as_ref());
        crate::meters::run_ended(
            pipeline,
            outcome.map_or("success", |failure| failure.kind.as_str()),
            recorded.seconds,
        );
        self.runs.changed(&self.live, status);
        let Some(next) = next.filter(|_| !self.runs.is_closing()) else { return };
        let Ok(id) = next.parse::<RunId>() else { return };
        // None: a recovery was quicker.
        let Some(claim) = self.runs.inner.live.claim(id, &self.row.spec.pipeline_name, Phase::Waiting) else { return };
        match store.run(&next).await {
            Ok(row) if row.status == RunStatus::Pending => {
                self.runs.changed(&claim, RunStatus::Pending);
                self.runs.drive(claim, row, None);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(run = next, %error, "the next attempt waits for the recovery: {error}"),
        }
    }

    /// Records the outcome, asking again for as long as the database is away. `decide` is asked with our own reason to stop
    /// the run; when one is stored at the last moment, it is asked again, for whoever asked was told that it counts.
    /// `likely` is the status that the row most likely has: it is tried without looking, and the database refuses what is wrong.
    /// `None` when the server shuts down and the outcome is not recorded.
    async fn record_outcome(
        &self,
        likely: Option<RunStatus>,
        decide: impl Fn(Option<StopReason>) -> Outcome,
        event: fn(&Outcome) -> Event,
        times: Times,
        known: Facts,
    ) -> Option<Recording> {
        let rooms = &self.runs.inner.rooms;
        let mut pause = RECORD_PAUSE;
        let started = times.0.or(self.started.get().copied());
        let seconds = started.map(|start| times.1.seconds_since(start).max(0.0));
        // A reason that we know may not be the one that is stored.
        let mut likely = likely.filter(|_| self.live.stop_reason().is_none());
        loop {
            let seen = match likely.take() {
                Some(status) => Ok((status, None)),
                None => rooms.store.run(&self.row.spec.id).await.map(|row| (row.status, row.stop_reason)),
            };
            let (current, stored_stop) = match seen {
                Ok(seen) => seen,
                Err(StoreError::NotFound { .. }) => {
                    tracing::error!(run = %self.live.run, "the row of a run is gone; its outcome is lost");
                    return Some(Recording { outcome: decide(self.live.stop_reason()), known: None, seconds });
                }
                Err(error) => {
                    self.wait_for_database(&error, &mut pause).await?;
                    continue;
                }
            };
            // The stored reason is the first one. One that only we know was given while the database was away.
            let stop = stored_stop.or_else(|| self.live.stop_reason());
            let outcome = decide(stop.clone());
            let next = self.next_attempt(&outcome);
            let path = path_to(current, event(&outcome));
            let report = Report {
                run_id: &self.row.spec.id,
                expected: &[current],
                events: &path,
                facts: Facts { measured: known.measured, may_have_mask: known.may_have_mask, ..facts(&outcome, times) },
                knows_stop: stop.is_some(),
                now: rooms.clock.now(),
            };
            match rooms.store.record_with_retry(&report, next.as_ref()).await {
                Ok(Recorded::Applied { to, .. }) => {
                    self.log_outcome(&outcome, to);
                    return Some(Recording { outcome, known: Some((to, next.map(|next| next.id))), seconds });
                }
                Ok(Recorded::Refused { current: now }) if now.is_final() => {
                    // By a call of ours whose answer got lost, most likely.
                    tracing::warn!(run = %self.live.run, status = %now, "the outcome was recorded already");
                    return Some(Recording { outcome, known: None, seconds });
                }
                // It has moved on, or is to stop since a moment ago.
                Ok(Recorded::Refused { .. }) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => self.wait_for_database(&error, &mut pause).await?,
            }
        }
    }

    fn log_outcome(&self, outcome: &Outcome, status: RunStatus) {
        let (run, pipeline) = (self.live.run, &self.live.pipeline);
        match &outcome.failure {
            None => tracing::info!(%run, pipeline, %status, "run {run} of {pipeline} succeeded"),
            Some(failure) => {
                tracing::info!(%run, pipeline, %status, error_type = failure.kind.as_str(), "run {run} of {pipeline} failed: {}", failure.message);
            }
        }
    }

    /// A pause; `None` when the server shuts down, and the next start has to find out.
    async fn wait_for_database(&self, error: &StoreError, pause: &mut Duration) -> Option<()> {
        tracing::error!(run = %self.live.run, %error, "the outcome cannot be recorded yet: {error}");
        tokio::select! {
            () = tokio::time::sleep(*pause) => {}
            () = self.runs.inner.letting_go.cancelled() => return None,
        }
        *pause = (*pause * 2).min(MAX_RECORD_PAUSE);
        Some(())
    }

    /// The next attempt, when the policy wants one.
    fn next_attempt(&self, outcome: &Outcome) -> Option<NewRun> {
        let failure = outcome.failure.as_ref()?;
        let spec = &self.row.spec;
        if failure.kind == ErrorType::Cancelled || spec.attempt >= spec.max_attempts {
            return None;
        }
        let attempt = spec.attempt + 1;
        let strategy = spec.retry_strategy.clone().unwrap_or_default();
        let now = self.runs.inner.rooms.clock.now();
        let wait = strategy.delay_before(u32::try_from(attempt).unwrap_or(u32::MAX));
        Some(NewRun {
            id: new_id().to_string(),
            trigger: Trigger::Retry,
            attempt,
            retry_of: Some(spec.id.clone()),
            not_before: Some(now.plus_seconds(wait)),
            // A due time belongs to the first attempt alone.
            job_id: None,
            due_at: None,
            created_at: now,
            owner: Some(self.runs.inner.rooms.cluster.id().to_owned()),
            ..spec.clone()
        })
    }

    /// Records something short of the end, once.
    pub(super) async fn record(&self, events: &[Event], facts: Facts) -> Result<Recorded, StoreError> {
        self.report(&[], events, facts).await
    }

    /// The same for a run that is in this status, and in no other.
    pub(super) async fn record_from(
        &self,
        status: RunStatus,
        events: &[Event],
        facts: Facts,
    ) -> Result<Recorded, StoreError> {
        self.report(&[status], events, facts).await
    }

    async fn report(&self, expected: &[RunStatus], events: &[Event], facts: Facts) -> Result<Recorded, StoreError> {
        let now = self.runs.inner.rooms.clock.now();
        let report = Report { run_id: &self.row.spec.id, expected, events, facts, knows_stop: false, now };
        self.runs.inner.rooms.store.record(&report).await
    }

    pub(super) async fn store_usage(&self, usage: &Usage, log_bytes: u64) {
        let measured = measured(usage, log_bytes);
        if let Err(error) = self.runs.inner.rooms.store.set_measured(&self.row.spec.id, &measured).await {
            tracing::warn!(run = %self.live.run, %error, "the usage of the run could not be stored: {error}");
        }
    }

    /// Removes the run's container; without an id it is looked for by name. What stays is found by the sweep.
    async fn remove_container(&self, container: Option<&ContainerId>) {
        let engine = &self.runs.inner.rooms.engine;
        let name = super::start::container_name(self.live.run);
        let removed = match container {
            Some(id) => engine.remove(id).await,
            // A start that failed early has created nothing, and Docker may be away: no need to insist.
            None if !self.runs.inner.docker_ok.load(Ordering::Relaxed) => return,
            None => match engine.list().await {
                Ok(all) => match all.into_iter().find(|c| c.name == name) {
                    Some(found) => engine.remove(&found.id).await,
                    None => Ok(()),
                },
                Err(error) => Err(error),
            },
        };
        if let Err(error) = removed {
            tracing::warn!(run = %self.live.run, %error, "the container stays until the next sweep: {error}");
        }
    }

    async fn clean_up(&self) {
        self.runs.remove_workspace(self.live.run).await;
    }
}

impl Runs {
    pub(super) async fn remove_workspace(&self, run: RunId) {
        let workspace = Workspace::of(&self.inner.options.scratch_dir, run);
        let removed =
            tokio::task::spawn_blocking(move || workspace.remove()).await.map_err(std::io::Error::other).flatten();
        if let Err(error) = removed {
            tracing::warn!(%run, %error, "the workspace of run {run} stays until the next sweep: {error}");
        }
    }
}

/// The outcome of a run whose log could not be opened any more: as true as ever, and a failure says where its words are gone.
fn without_log(mut outcome: Outcome) -> Outcome {
    if let Some(failure) = &mut outcome.failure {
        failure.message.push_str(NO_LOG);
    }
    outcome
}

fn measured(usage: &Usage, log_bytes: u64) -> Measured {
    let seen = |value: f64| (usage.samples > 0).then_some(value);
    Measured {
        log_bytes: i64::try_from(log_bytes).ok(),
        cpu_peak_percent: seen(usage.cpu_peak),
        cpu_average_percent: seen(usage.cpu_average),
        ram_peak_mb: seen(usage.ram_peak),
        ram_average_mb: seen(usage.ram_average),
        soft_limit_exceeded: usage.soft_exceeded,
        cpu_throttled: usage.throttled,
    }
}

/// When it started, if that was not recorded before, and when it ended.
type Times = (Option<Millis>, Millis);

fn facts(outcome: &Outcome, (started_at, finished_at): Times) -> Facts {
    let failure = outcome.failure.as_ref();
    Facts {
        started_at,
        finished_at: Some(finished_at),
        exit_code: outcome.exit_code,
        error_type: failure.map(|failure| failure.kind),
        error_message: failure.map(|failure| failure.message.clone()),
        ..Facts::default()
    }
}

/// The events that lead from where the row stands to the end: a crash or a fault of the database can leave the row a step
/// behind (or ahead of) what the driver saw.
fn path_to(current: RunStatus, end: Event) -> Vec<Event> {
    match (current, end) {
        (RunStatus::Pending, Event::StartFailed) => vec![end],
        (RunStatus::Pending, _) => vec![Event::Started, end],
        (RunStatus::Interrupted, Event::StartFailed) => vec![Event::Requeued, end],
        (RunStatus::Interrupted, _) => vec![Event::Reattached, end],
        // The start was recorded by a server that died before its container began to work.
        (_, Event::StartFailed) => vec![Event::Failed],
        _ => vec![end],
    }
}

/// Opens the log of a run, new or begun before.
pub(super) async fn open_log(journal: &Journal, run: RunId) -> Result<LogWriter, JournalError> {
    match journal.create(run).await {
        Err(JournalError::Exists(_)) => journal.resume(run).await.map(|(writer, _)| writer),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::transition;

    #[test]
    fn every_end_can_be_reached_from_every_status_that_is_not_final() {
        for current in RunStatus::ALL.into_iter().filter(|status| !status.is_final()) {
            for end in [Event::Succeeded, Event::Failed, Event::StartFailed] {
                let reached = path_to(current, end).into_iter().try_fold(current, transition);
                let expected = if end == Event::Succeeded { RunStatus::Success } else { RunStatus::Failed };
                assert_eq!(reached, Ok(expected), "{current} to {end:?}");
            }
        }
    }
}
