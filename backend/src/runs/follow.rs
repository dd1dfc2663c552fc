//! A working container, from its start (or from when it was found again) to its end. Fresh and found ones share this loop.

use std::pin::pin;
use std::time::Duration;

use fastflow_shared::Phase;
use tokio::time::{Instant, sleep_until};

use super::Step;
use super::drive::{Begun, Driver};
use super::pump::{Ended, Tap, last_output, pump};
use super::sampler::{Marks, Sampler, Usage};
use crate::domain::clock::Millis;
use crate::domain::outcome::StopReason;
use crate::domain::run::Event;
use crate::engine::{ContainerId, EngineError, Exit, Health, OutputStream, Signal};
use crate::engine::{Position, Resumed, StreamPosition, resume};
use crate::journal::{JournalError, StoredLog, StoredStream};
use crate::store::Facts;

/// After the output has ended, the exit is expected within this time; otherwise the container is looked at.
const EXIT_EXPECTED: Duration = Duration::from_secs(1);

/// How long the rest of the output may take once the container has ended and nothing more arrives.
const DRAIN: Duration = Duration::from_secs(10);

/// How many bytes of the log's end are compared with Docker's log.
const TAIL: usize = 4096;

/// Said in the log when Docker no longer has what was written meanwhile.
const GAP: &str = "output is missing here: it was written while nobody listened, and Docker's log no longer holds it";

/// Pause before a lost container is looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How the watch over a container ended.
pub(super) enum Watch {
    /// It has ended.
    Exited(Exit),
    /// It is gone without a trace.
    Vanished,
    /// The server shuts down; the container works on.
    Left,
}

/// What became of one stretch of output.
enum Stretch {
    Over(Watch),
    /// The output ended and the container works: listen again.
    Lost,
}

impl Driver {
    /// Follows the container, records what became of it and cleans up.
    pub(super) async fn follow_to_the_end(&self, begun: Begun) {
        let Begun { container, mut output, mut tap, started_at } = begun;
        if self.live.stop_reason().is_none() {
            self.live.set_phase(Phase::Running);
        }
        self.runs.changed(&self.live, fastflow_shared::RunStatus::Running);
        let rooms = &self.runs.inner.rooms;
        let sampler =
            Sampler::start(rooms.engine.clone(), rooms.journal.clone(), self.live.run, container.clone(), self.marks());
        let started_at = started_at.or(self.row.started_at).unwrap_or_else(|| rooms.clock.now());
        let watch = loop {
            let stream = match output.take() {
                Some(stream) => stream,
                None => match self.listen_again(&container, &mut tap).await {
                    Ok(Some(stream)) => stream,
                    Ok(None) => break self.exit_of(&container).await,
                    Err(error) => {
                        let run = self.live.run;
                        tracing::error!(%run, %error, "run {run} is left to the next recovery: {error}");
                        return;
                    }
                },
            };
            match self.stretch(&container, stream, &mut tap, started_at).await {
                Stretch::Over(watch) => break watch,
                Stretch::Lost => {}
            }
        };
        match watch {
            Watch::Left => self.let_go(tap, &sampler.usage()).await,
            Watch::Exited(exit) => {
                self.runs.inner.options.steps.reach(Step::Exited).await;
                let usage = sampler.finish().await;
                self.finish_exited(&container, &exit, tap, &usage).await;
            }
            Watch::Vanished => {
                let usage = sampler.finish().await;
                self.finish_vanished(&container, tap, &usage).await;
            }
        }
    }

    fn marks(&self) -> Marks {
        let limits = &self.row.spec.limits;
        let bytes = |value: Option<i64>| value.and_then(|bytes| u64::try_from(bytes).ok());
        Marks {
            cpu_hard: limits.cpu,
            cpu_soft: limits.cpu_soft,
            memory_hard: bytes(limits.memory),
            memory_soft: bytes(limits.memory_soft),
        }
    }

    /// Follows one stretch of live output.
    async fn stretch(
        &self,
        container: &ContainerId,
        output: OutputStream,
        tap: &mut Tap,
        started_at: Millis,
    ) -> Stretch {
        let rooms = &self.runs.inner.rooms;
        let options = &self.runs.inner.options;
        let engine = &rooms.engine;
        let run = self.live.run;
        let mut pumping = pin!(pump(output, tap, &self.live.last_output));
        let mut ended: Option<Ended> = None;
        let mut exit = pin!(engine.wait(container));
        let mut stopping = false;
        let mut kill_at: Option<Instant> = None;
        let mut look_at = Instant::now() + options.health_interval;
        let timeout_at = self.timeout_at(started_at);

        let result = loop {
            tokio::select! {
                biased;
                result = &mut exit => break result,
                how = &mut pumping, if ended.is_none() => {
                    ended = Some(how);
                    look_at = Instant::now() + EXIT_EXPECTED;
                }
                reason = self.live.stopped(), if !stopping => {
                    stopping = true;
                    self.live.set_phase(Phase::Stopping);
                    self.runs.changed(&self.live, fastflow_shared::RunStatus::Running);
                    kill_at = Some(self.begin_stop(container, &reason).await);
                }
                () = sleep_until(kill_at.unwrap_or_else(Instant::now)), if kill_at.is_some() => {
                    // Asked again and again until it is gone: a kill that fails is not the end of the matter.
                    let sent = engine.signal(container, Signal::Kill).await;
                    if let Err(error) = sent {
                        tracing::warn!(%run, %error, "run {run} could not be killed, trying again: {error}");
                    }
                    kill_at = Some(Instant::now() + Duration::from_secs(5));
                }
                () = sleep_until(timeout_at.unwrap_or_else(Instant::now)), if timeout_at.is_some() && !stopping => {
                    let seconds = self.row.spec.limits.timeout_seconds.unwrap_or_default();
                    self.stop_for(StopReason::Timeout { seconds }).await;
                }
                () = sleep_until(look_at) => {
                    look_at = Instant::now() + options.health_interval;
                    if !stopping && let Some(why) = self.is_unwell(container, started_at).await {
                        self.stop_for(StopReason::Unhealthy { why }).await;
                    }
                    if let Some(how) = ended && self.still_runs(container).await {
                        tracing::warn!(%run, ?how, "the output of run {run} was cut off; listening again");
                        return Stretch::Lost;
                    }
                }
                () = self.runs.closing() => return Stretch::Over(Watch::Left),
            }
        };
        match result {
            Ok(exit) => {
                let mut quiet = Instant::now();
                let mut heard = last_output(&self.live.last_output);
                while ended.is_none() {
                    if let Ok(how) = tokio::time::timeout(Duration::from_millis(500), &mut pumping).await {
                        ended = Some(how);
                    } else if last_output(&self.live.last_output) != heard {
                        heard = last_output(&self.live.last_output);
                        quiet = Instant::now();
                    } else if quiet.elapsed() > DRAIN {
                        tracing::warn!(%run, "the output of run {run} did not end with its container");
                        break;
                    }
                }
                let exit_was_late = ended == Some(Ended::Broken);
                if exit_was_late { Stretch::Lost } else { Stretch::Over(Watch::Exited(exit)) }
            }
            Err(error) if error.is_not_found() => Stretch::Over(Watch::Vanished),
            Err(error) => {
                tracing::warn!(%run, %error, "waiting for run {run} failed, looking again: {error}");
                tokio::time::sleep(LOOK_AGAIN).await;
                Stretch::Lost
            }
        }
    }

    /// When the timeout strikes; counted from the container's start, also after a restart of ours.
    fn timeout_at(&self, started_at: Millis) -> Option<Instant> {
        let seconds = self.row.spec.limits.timeout_seconds?;
        let gone = self.runs.inner.rooms.clock.now().seconds_since(started_at);
        #[expect(clippy::cast_precision_loss, reason = "exact for 285 million years")]
        let left = (seconds as f64 - gone).clamp(0.0, 1.0e9);
        Some(Instant::now() + Duration::from_secs_f64(left))
    }

    /// Sends the first signal; says when the kill is due.
    async fn begin_stop(&self, container: &ContainerId, reason: &StopReason) -> Instant {
        let options = &self.runs.inner.options;
        let gently = matches!(reason, StopReason::Cancelled { .. } | StopReason::Shutdown);
        if !gently {
            return Instant::now();
        }
        if let Err(error) = self.runs.inner.rooms.engine.signal(container, Signal::Terminate).await {
            tracing::warn!(run = %self.live.run, %error, "SIGTERM could not be sent: {error}");
        }
        Instant::now() + options.cancel_grace
    }

    /// Stops the run for a reason of ours: stored first, so that a crash keeps it.
    async fn stop_for(&self, reason: StopReason) {
        if let Err(error) = self.runs.stop(self.live.run, reason.clone()).await {
            tracing::warn!(run = %self.live.run, %error, "the reason to stop could not be stored: {error}");
        }
        // Also when the database is away: a limit holds without it.
        self.live.request_stop(reason);
    }

    /// What the watchdog has to complain about.
    async fn is_unwell(&self, container: &ContainerId, started_at: Millis) -> Option<String> {
        let now = self.runs.inner.rooms.clock.now();
        if let Some(limit) = self.runs.inner.options.silence_limit {
            let heard = last_output(&self.live.last_output).unwrap_or(started_at);
            if now.seconds_since(heard) > limit.as_secs_f64() {
                return Some(format!("it has written nothing for {} s (HEALTH_SILENCE_SECONDS)", limit.as_secs()));
            }
        }
        match self.runs.inner.rooms.engine.inspect(container).await {
            Ok(Some(state)) if state.health == Health::Unhealthy => {
                Some("the health check of its image reports it as unhealthy".to_owned())
            }
            // A container that is gone is noticed by the wait; Docker being away is no fault of the run's.
            _ => None,
        }
    }

    async fn still_runs(&self, container: &ContainerId) -> bool {
        let state = self.runs.inner.rooms.engine.inspect(container).await;
        matches!(state, Ok(Some(state)) if state.status.is_running())
    }

    /// Listens to a container from where the log ends, whether it works or has ended. `None`: it is gone, or we shut down.
    async fn listen_again(&self, container: &ContainerId, tap: &mut Tap) -> Result<Option<OutputStream>, JournalError> {
        let mut pause = LOOK_AGAIN;
        loop {
            let stored = tap.writer.stored().await?;
            match resume(self.runs.inner.rooms.engine.clone(), container, position(&stored)).await {
                Ok(Resumed { output, gaps }) => {
                    // Beyond its size limit the log has no place for what is missing anyway.
                    if !gaps.is_empty() && !stored.capped {
                        tap.mark(GAP).await;
                    }
                    return Ok(Some(output));
                }
                Err(EngineError::NotFound { .. }) => return Ok(None),
                Err(error) => {
                    let run = self.live.run;
                    tracing::warn!(%run, %error, "run {run} cannot be listened to yet: {error}");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.runs.closing() => return Ok(None),
            }
            pause = (pause * 2).min(Duration::from_secs(15));
        }
    }

    /// The exit of a container that has ended, however long Docker takes to tell.
    async fn exit_of(&self, container: &ContainerId) -> Watch {
        loop {
            tokio::select! {
                result = self.runs.inner.rooms.engine.wait(container) => match result {
                    Ok(exit) => return Watch::Exited(exit),
                    Err(error) if error.is_not_found() => return Watch::Vanished,
                    Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
                },
                () = self.runs.closing() => return Watch::Left,
            }
        }
    }

    /// Leaves the container to the next start of the server.
    async fn let_go(&self, tap: Tap, usage: &Usage) {
        let finished = tap.writer.detach().await;
        self.store_usage(usage, finished.len).await;
        if let Err(error) = self.record(&[Event::WatchLost], Facts::default()).await {
            tracing::warn!(run = %self.live.run, %error, "the run is left without a note: {error}");
        }
    }
}

/// How much of its output the log has.
fn position(stored: &StoredLog) -> Position {
    let stream = |stream: &StoredStream| StreamPosition {
        bytes: stream.bytes + stream.missing,
        tail: bytes::Bytes::copy_from_slice(&stream.tail[stream.tail.len().saturating_sub(TAIL)..]),
    };
    Position { stdout: stream(&stored.stdout), stderr: stream(&stored.stderr) }
}
