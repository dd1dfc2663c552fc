//! The end of a run: its outcome is decided once, recorded with the counters and the next attempt in one transaction, and
//! then everything it used is given back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fastflow_shared::{ErrorType, Phase, RunStatus, Trigger};

use super::drive::Driver;
use super::launch::new_id;
use super::pump::Tap;
use super::sampler::Usage;
use super::workspace::Workspace;
use super::{Runs, Step};
use crate::domain::clock::Millis;
use crate::domain::outcome::{Ending, Outcome, StopReason, classify};
use crate::domain::run::Event;
use crate::engine::{ContainerId, Exit, launcher};
use crate::journal::{Journal, JournalError, LogWriter, RunId};
use crate::store::{Facts, Measured, NewRun, Recorded, Report, StoreError};

/// Pause before a report is repeated while the database is away.
const RECORD_PAUSE: Duration = Duration::from_secs(1);

/// The outcome of a run that was stopped before it had a container.
pub(super) fn stopped(reason: StopReason) -> Outcome {
    let outcome = classify(&Ending { stop: Some(reason), ..Ending::default() });
    Outcome { exit_code: None, ..outcome }
}

impl Driver {
    /// The run never had a container that worked.
    pub(super) async fn finish_unstarted(&self, outcome: Outcome, detail: Option<String>) {
        self.finish_without_container(&outcome, detail, Event::StartFailed).await;
    }

    /// The run had a container, which is gone.
    pub(super) async fn finish_lost(&self, outcome: Outcome) {
        self.finish_without_container(&outcome, None, Event::Failed).await;
    }

    async fn finish_without_container(&self, outcome: &Outcome, detail: Option<String>, event: Event) {
        let rooms = &self.runs.inner.rooms;
        let mut log = None;
        match open_log(&rooms.journal, self.live.run).await {
            Ok(writer) => {
                let mut tap = Tap::new(writer, rooms.clock.clone());
                for line in detail.iter().flat_map(|text| text.lines()) {
                    tap.mark(line).await;
                }
                if let Some(failure) = &outcome.failure {
                    tap.mark(&failure.message).await;
                }
                tap.flush().await;
                log = Some(tap);
            }
            Err(error) => tracing::warn!(run = %self.live.run, %error, "no log could be written: {error}"),
        }
        self.remove_container(None).await;
        let facts = facts(outcome, None, Some(rooms.clock.now()));
        let recorded = self.record_outcome(outcome, event, facts).await;
        if let Some(tap) = log {
            let finished = tap.writer.finish().await;
            self.store_usage(&Usage::default(), finished.len).await;
        }
        self.clean_up().await;
        self.after(recorded).await;
    }

    /// The container has ended.
    pub(super) async fn finish_exited(&self, container: &ContainerId, exit: &Exit, mut tap: Tap, usage: &Usage) {
        tap.flush_partial().await;
        self.runs.inner.options.steps.reach(Step::LogDrained).await;
        let limit = self.row.spec.limits.memory.and_then(|bytes| u64::try_from(bytes).ok());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of bytes")]
        let peak = (usage.samples > 0).then_some((usage.ram_peak * 1_048_576.0) as u64);
        let stop = self.live.stop_reason();
        let outcome = if exit.code == launcher::NO_JOB_EXIT_CODE && stop.is_none() && !tap.has_heard() {
            Outcome::failed(ErrorType::Lost, "The server died before the script could begin.")
        } else {
            classify(&Ending {
                stop,
                oom_killed: exit.oom_killed,
                code: exit.code,
                docker_error: exit.error.clone(),
                exception: tap.exception(),
                // The kernel counts finer than our samples: at an out-of-memory kill the limit was the peak.
                peak_memory: if exit.oom_killed { limit.or(peak) } else { peak },
                memory_limit: limit,
            })
        };
        let facts = facts(&outcome, exit.started_at.map(Millis::from), Some(Millis::from(exit.finished_at)));
        self.finish(container, &outcome, facts, tap, usage).await;
    }

    /// The container is gone without having told its exit.
    pub(super) async fn finish_vanished(&self, container: &ContainerId, mut tap: Tap, usage: &Usage) {
        let outcome = match self.live.stop_reason() {
            Some(reason) => stopped(reason),
            None => Outcome::failed(
                ErrorType::Lost,
                "Its container vanished: it was removed from outside, or Docker lost it. Start the run again.",
            ),
        };
        if let Some(failure) = &outcome.failure {
            tap.mark(&failure.message).await;
        }
        let facts = facts(&outcome, None, Some(self.runs.inner.rooms.clock.now()));
        self.finish(container, &outcome, facts, tap, usage).await;
    }

    async fn finish(&self, container: &ContainerId, outcome: &Outcome, facts: Facts, tap: Tap, usage: &Usage) {
        let steps = &self.runs.inner.options.steps;
        let recorded = self.record_outcome(outcome, outcome.event(), facts).await;
        steps.reach(Step::OutcomeRecorded).await;
        // Viewers are told of the end only when the outcome can be read.
        let finished = tap.writer.finish().await;
        self.store_usage(usage, finished.len).await;
        self.remove_container(Some(container)).await;
        steps.reach(Step::ContainerRemoved).await;
        self.clean_up().await;
        self.after(recorded).await;
    }

    /// Tells everybody, and lets the next attempt wait for its time.
    async fn after(&self, recorded: Option<NewRun>) {
        self.live.set_phase(Phase::Ended);
        let status = match self.runs.inner.rooms.store.run(&self.row.spec.id).await {
            Ok(row) => row.status,
            Err(_) => RunStatus::Failed,
        };
        self.runs.changed(&self.live, status);
        if let Some(next) = recorded
            && let (Ok(id), Ok(row)) = (next.id.parse::<RunId>(), self.runs.inner.rooms.store.run(&next.id).await)
            && !self.runs.is_closing()
        {
            let live = self.runs.drive(id, row, None);
            self.runs.changed(&live, RunStatus::Pending);
        }
    }

    /// Records the outcome, asking again for as long as the database is away. The next attempt, when it was inserted with it.
    async fn record_outcome(&self, outcome: &Outcome, event: Event, facts: Facts) -> Option<NewRun> {
        let next = self.next_attempt(outcome);
        loop {
            let rooms = &self.runs.inner.rooms;
            let current = match rooms.store.run(&self.row.spec.id).await {
                Ok(row) => row.status,
                Err(StoreError::NotFound { .. }) => {
                    tracing::error!(run = %self.live.run, "the row of a run is gone; its outcome is lost");
                    return None;
                }
                Err(error) => {
                    self.wait_for_database(&error).await?;
                    continue;
                }
            };
            let path = path_to(current, event);
            let report = Report {
                run_id: &self.row.spec.id,
                expected: &[current],
                events: &path,
                facts: facts.clone(),
                now: rooms.clock.now(),
            };
            match rooms.store.record_with_retry(&report, next.as_ref()).await {
                Ok(Recorded::Applied { to, .. }) => {
                    self.log_outcome(outcome, to);
                    return next;
                }
                Ok(Recorded::Refused { current: now }) if now.is_final() => {
                    tracing::warn!(run = %self.live.run, status = %now, "the outcome was recorded already");
                    return None;
                }
                Ok(Recorded::Refused { .. }) => {}
                Err(error) => self.wait_for_database(&error).await?,
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
    async fn wait_for_database(&self, error: &StoreError) -> Option<()> {
        tracing::error!(run = %self.live.run, %error, "the outcome cannot be recorded yet: {error}");
        tokio::select! {
            () = tokio::time::sleep(RECORD_PAUSE) => Some(()),
            () = self.runs.closing() => None,
        }
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
            ..spec.clone()
        })
    }

    /// Records something short of the end, once.
    pub(super) async fn record(&self, events: &[Event], facts: Facts) -> Result<Recorded, StoreError> {
        let now = self.runs.inner.rooms.clock.now();
        let report = Report { run_id: &self.row.spec.id, expected: &[], events, facts, now };
        self.runs.inner.rooms.store.record(&report).await
    }

    pub(super) async fn store_usage(&self, usage: &Usage, log_bytes: u64) {
        let seen = |value: f64| (usage.samples > 0).then_some(value);
        let measured = Measured {
            log_bytes: i64::try_from(log_bytes).ok(),
            cpu_peak_percent: seen(usage.cpu_peak),
            cpu_average_percent: seen(usage.cpu_average),
            ram_peak_mb: seen(usage.ram_peak),
            ram_average_mb: seen(usage.ram_average),
            soft_limit_exceeded: usage.soft_exceeded,
            cpu_throttled: usage.throttled,
        };
        if let Err(error) = self.runs.inner.rooms.store.set_measured(&self.row.spec.id, &measured).await {
            tracing::warn!(run = %self.live.run, %error, "the usage of the run could not be stored: {error}");
        }
    }

    /// Removes the run's container; without an id it is looked for by name. What stays is found by the sweep.
    async fn remove_container(&self, container: Option<&ContainerId>) {
        let engine = &self.runs.inner.rooms.engine;
        let name = super::drive::container_name(self.live.run);
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

fn facts(outcome: &Outcome, started_at: Option<Millis>, finished_at: Option<Millis>) -> Facts {
    let failure = outcome.failure.as_ref();
    Facts {
        container_id: None,
        started_at,
        finished_at,
        exit_code: outcome.exit_code,
        error_type: failure.map(|failure| failure.kind),
        error_message: failure.map(|failure| failure.message.clone()),
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
