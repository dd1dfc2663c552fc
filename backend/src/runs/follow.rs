//! A working container, from its start (or from when it was found again) to its end. Fresh and found ones share this.
//!
//! Three things go on beside each other and never wait for one another, because Docker blocks a container's end while
//! nobody reads its output: [`listen`](super::listen) reads, this file waits for the exit, and enforces what may end the run.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use fastflow_shared::{Phase, RunStatus};
use tokio::sync::watch;
use tokio::time::sleep;

use super::Step;
use super::drive::Driver;
use super::listen::Container;
use super::pump::Tap;
use super::sampler::{Marks, Sampler, Usage};
use super::start::Begun;
use super::timeline::Mark;
use crate::domain::clock::Millis;
use crate::domain::outcome::StopReason;
use crate::domain::run::Event;
use crate::engine::{ContainerId, Exit, Health, OutputStream, Signal};
use crate::store::{Facts, Recorded};

/// Pause before Docker is asked again about a container.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Pause before a kill is repeated.
const KILL_AGAIN: Duration = Duration::from_secs(5);

/// How the watch over a container ended.
pub(super) enum Watch {
    /// It has ended.
    Exited(Exit),
    /// It is gone without a trace.
    Vanished,
    /// The server shuts down; the container works on.
    Left,
}

impl Driver {
    /// Follows the container, records what became of it and cleans up.
    pub(super) async fn follow_to_the_end(&self, begun: Begun) {
        let Begun { container, output, mut tap, started_at, warm, unrecorded } = begun;
        let rooms = &self.runs.inner.rooms;
        let sampler =
            Sampler::start(rooms.engine.clone(), rooms.journal.clone(), self.live.run, container.clone(), self.marks());
        let started_at = started_at.or(self.row.started_at).unwrap_or_else(|| rooms.clock.now());
        let _ = self.started.set(started_at);
        let recorded = async {
            if let Some(facts) = unrecorded {
                self.record_start(facts).await;
            }
            if self.live.stop_reason().is_none() {
                self.live.set_phase(Phase::Running);
            }
            self.runs.changed(&self.live, RunStatus::Running);
        };
        // The first line does not wait for the database.
        let ((), watch) = tokio::join!(recorded, self.listen_and_watch(&container, output, &mut tap, started_at));
        match watch {
            Watch::Left => self.let_go(tap, &sampler.usage()).await,
            Watch::Exited(exit) => {
                self.live.timeline.mark(Mark::Exited);
                self.runs.inner.options.steps.reach(Step::Exited).await;
                let usage = sampler.finish().await;
                let exit = if warm { Exit { started_at: None, ..exit } } else { exit };
                self.finish_exited(&container, &exit, Some(tap), &usage).await;
            }
            Watch::Vanished => {
                let usage = sampler.finish().await;
                self.finish_vanished(&container, Some(tap), &usage).await;
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

    /// Until the container has ended and all its output is in the log.
    async fn listen_and_watch(
        &self,
        container: &ContainerId,
        output: Option<OutputStream>,
        tap: &mut Tap,
        started_at: Millis,
    ) -> Watch {
        let letting_go = &self.runs.inner.letting_go;
        let (tell, told) = watch::channel(Container::Works);
        let mut listening = pin!(self.listen(container, output, tap, told));
        let mut watching = pin!(self.watch(container, started_at));
        let mut heard_all = false;
        let watch = loop {
            tokio::select! {
                biased;
                watch = &mut watching => break watch,
                () = &mut listening, if !heard_all => heard_all = true,
            }
        };
        tell.send_replace(match &watch {
            Watch::Exited(exit) => Container::Ended(exit.finished_at.into()),
            Watch::Vanished => Container::Gone,
            Watch::Left => return watch,
        });
        if !heard_all {
            tokio::select! {
                biased;
                () = listening => {}
                // What is missing lies in Docker's log, which is out of reach just now; the next server completes it.
                () = letting_go.cancelled() => return Watch::Left,
            }
        }
        watch
    }

    /// Waits for the exit, and sees to it that there is one when there is a reason to stop.
    pub(super) async fn watch(&self, container: &ContainerId, started_at: Millis) -> Watch {
        tokio::select! {
            biased;
            watch = self.exit_of(container) => watch,
            never = self.enforce(container, started_at) => match never {},
            () = self.runs.inner.letting_go.cancelled() => Watch::Left,
        }
    }

    async fn exit_of(&self, container: &ContainerId) -> Watch {
        loop {
            match self.runs.inner.rooms.engine.wait(container).await {
                Ok(exit) => return Watch::Exited(exit),
                Err(error) if error.is_not_found() => return Watch::Vanished,
                Err(error) => {
                    let run = self.live.run;
                    tracing::warn!(%run, %error, "waiting for run {run} failed, waiting again: {error}");
                    sleep(ASK_AGAIN).await;
                }
            }
        }
    }

    /// Waits for a reason to stop the run, then stops it: again and again until it is gone, for a kill that fails is not the
    /// end of the matter.
    async fn enforce(&self, container: &ContainerId, started_at: Millis) -> Infallible {
        let (run, engine) = (self.live.run, &self.runs.inner.rooms.engine);
        let reason = tokio::select! {
            biased;
            reason = self.live.stopped() => reason,
            reason = self.limit(container, started_at) => self.stop_for(reason).await,
        };
        self.live.set_phase(Phase::Stopping);
        self.runs.changed(&self.live, RunStatus::Running);
        let grace = match reason {
            StopReason::Cancelled { .. } => self.runs.inner.options().cancel_grace,
            StopReason::Shutdown => self.runs.shutdown_grace(),
            StopReason::Timeout { .. } | StopReason::Unhealthy { .. } => Duration::ZERO,
        };
        if grace > Duration::ZERO {
            // The grace begins when the script has the signal.
            while let Err(error) = engine.signal(container, Signal::Terminate).await {
                tracing::warn!(%run, %error, "run {run} could not be sent SIGTERM: {error}");
                if !error.is_unavailable() {
                    break;
                }
                sleep(ASK_AGAIN).await;
            }
            sleep(grace).await;
        }
        loop {
            if let Err(error) = engine.signal(container, Signal::Kill).await {
                tracing::warn!(%run, %error, "run {run} could not be killed, trying again: {error}");
            }
            sleep(KILL_AGAIN).await;
        }
    }

    /// Waits until the run has exceeded a limit.
    async fn limit(&self, container: &ContainerId, started_at: Millis) -> StopReason {
        tokio::select! {
            biased;
            seconds = self.timed_out(started_at) => StopReason::Timeout { seconds },
            why = self.unwell(container, started_at) => StopReason::Unhealthy { why },
        }
    }

    /// Waits for the timeout; counted from the container's start, also after a restart of ours.
    async fn timed_out(&self, started_at: Millis) -> i64 {
        let Some(seconds) = self.row.spec.limits.timeout_seconds else { return std::future::pending().await };
        let gone = self.runs.inner.rooms.clock.now().seconds_since(started_at);
        #[expect(clippy::cast_precision_loss, reason = "exact for 285 million years")]
        let left = (seconds as f64 - gone).clamp(0.0, 1.0e9);
        sleep(Duration::from_secs_f64(left)).await;
        seconds
    }

    /// Waits until the watchdog has something to complain about.
    async fn unwell(&self, container: &ContainerId, started_at: Millis) -> String {
        let rooms = &self.runs.inner.rooms;
        // A run that was found again was not silent while nobody listened.
        let watched_since = rooms.clock.now().max(started_at);
        loop {
            sleep(self.runs.inner.options.health_interval).await;
            if let Some(limit) = self.runs.inner.options().silence_limit {
                let heard = self.live.last_output().unwrap_or(watched_since);
                if rooms.clock.now().seconds_since(heard) > limit.as_secs_f64() {
                    return format!("it has written nothing for {} s (HEALTH_SILENCE_SECONDS)", limit.as_secs());
                }
            }
            // A container that is gone is noticed by the wait; Docker being away is no fault of the run's.
            if let Ok(Some(state)) = rooms.engine.inspect(container).await
                && state.health == Health::Unhealthy
            {
                return "the health check of its image reports it as unhealthy".to_owned();
            }
        }
    }

    /// Stops the run for a reason of ours: stored first, so that a crash keeps it. The reason that counts is the first one.
    async fn stop_for(&self, reason: StopReason) -> StopReason {
        if let Err(error) = self.runs.stop(self.live.run, reason.clone()).await {
            tracing::warn!(run = %self.live.run, %error, "the reason to stop could not be stored: {error}");
        }
        // Also when the database is away: a limit holds without it.
        self.live.request_stop(reason.clone());
        self.live.stop_reason().unwrap_or(reason)
    }

    /// Leaves the container to the next start of the server.
    async fn let_go(&self, tap: Tap, usage: &Usage) {
        let finished = tap.writer.detach().await;
        self.store_usage(usage, finished.len).await;
        self.note_left().await;
    }

    /// Notes that nobody watches the container any more.
    pub(super) async fn note_left(&self) {
        match self.record(&[Event::WatchLost], Facts::default()).await {
            Ok(Recorded::Applied { to, .. }) => self.runs.changed(&self.live, to),
            Ok(Recorded::Refused { .. }) => {}
            Err(error) => {
                tracing::warn!(run = %self.live.run, %error, "the run is left without a note: {error}");
            }
        }
    }
}
