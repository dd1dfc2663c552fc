//! Hearing all that a container prints, whatever happens to the connection.
//!
//! An output stream ends when the container has ended, and just as well when Docker goes away for a moment. So the end of
//! a stream is believed only when it came after the container's own; otherwise it is gone on with from where the log ends.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::drive::Driver;
use super::pump::{Ended, Tap, pump};
use crate::domain::clock::Millis;
use crate::domain::mask::Mask;
use crate::engine::{ContainerId, OutputStream, Position, Resumed, StreamPosition, resume};
use crate::journal::{StoredLog, StoredStream};

/// After the output has ended, the exit is expected within this time; otherwise the connection was cut.
const EXIT_EXPECTED: Duration = Duration::from_secs(1);

/// How long the rest of the output may take once the container has ended and nothing more arrives.
const DRAIN: Duration = Duration::from_secs(10);

/// How many bytes of the log's end are compared with Docker's log.
const TAIL: usize = 4096;

/// Said in the log when Docker no longer has what was written meanwhile.
const GAP: &str = "output is missing here: it was written while nobody listened, and Docker's log no longer holds it";

/// First pause before a container is listened to again; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Longest such pause.
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// How often listening may fail for another reason than Docker's absence, before the output is given up.
const ATTEMPTS: u32 = 8;

/// What the watch over the container has found out, for those who listen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    /// Nothing yet.
    Works,
    /// It ended then, by Docker's clock.
    Ended(Millis),
    /// It is gone.
    Gone,
}

/// What became of listening again.
enum Again {
    /// From where the log ends, or from somewhere later: there is a gap then.
    Output {
        stream: OutputStream,
        gap: bool,
    },
    Gone,
    GivenUp,
}

impl Driver {
    /// Carries the container's output into the log until it has ended and there is no more. `output` is its stream since
    /// the start; without one it is gone on with from where the log ends.
    pub(super) async fn listen(
        &self,
        container: &ContainerId,
        output: Option<OutputStream>,
        tap: &mut Tap,
        mut told: watch::Receiver<Container>,
    ) {
        let run = self.live.run;
        let mut from_the_start = output.is_some();
        // Everything seems to be there, and Docker's log is asked only to be sure.
        let mut only_asks = false;
        let mut next = output;
        let mut pause = FIRST_PAUSE;
        loop {
            // Known before the stream is made: then it is made of Docker's log alone, which holds everything.
            let had_ended = *told.borrow() != Container::Works;
            let (stream, gap) = match next.take() {
                Some(stream) => (stream, false),
                None => match self.listen_again(container, tap).await {
                    Again::Output { stream, gap } => (stream, gap),
                    Again::Gone | Again::GivenUp => {
                        tap.end_of_output().await;
                        return tap.mark(GAP).await;
                    }
                },
            };
            if gap && !only_asks {
                tap.mark(GAP).await;
            }
            let before = tap.heard();
            let how = self.pump_to_the_end(stream, tap, &mut told).await;
            if gap && only_asks && tap.heard() > before {
                tap.mark(GAP).await;
            }
            let closed_at = self.runs.inner.rooms.clock.now();
            let end = timeout(EXIT_EXPECTED, told.wait_for(|told| *told != Container::Works)).await;
            match end.ok().and_then(Result::ok).map(|told| *told) {
                Some(Container::Ended(at)) if how == Ended::Closed => {
                    if had_ended || (from_the_start && closed_at >= at) {
                        return;
                    }
                    only_asks = true;
                }
                Some(Container::Gone) if how == Ended::Closed => return,
                Some(Container::Gone) => return tap.mark(GAP).await,
                _ => {
                    tracing::warn!(%run, ?how, "the output of run {run} was cut off; listening again");
                    // A program may close its output and work on: that is not asked about every second.
                    pause = if tap.heard() > before { FIRST_PAUSE } else { (pause * 2).min(MAX_PAUSE) };
                    let _ = timeout(pause, told.wait_for(|told| *told != Container::Works)).await;
                }
            }
            from_the_start = false;
        }
    }

    /// Until the stream ends, or stays silent for long after the container has ended.
    async fn pump_to_the_end(
        &self,
        stream: OutputStream,
        tap: &mut Tap,
        told: &mut watch::Receiver<Container>,
    ) -> Ended {
        let silence = async {
            // The sender lives as long as the run is followed.
            let _ = told.wait_for(|told| *told != Container::Works).await;
            loop {
                let heard = self.live.last_output();
                sleep(DRAIN).await;
                if self.live.last_output() == heard {
                    return;
                }
            }
        };
        let mut pumping = pin!(pump(stream, tap, &self.live));
        tokio::select! {
            biased;
            how = &mut pumping => how,
            () = silence => Ended::Broken,
        }
    }

    /// A stream from where the log ends, whether the container works or has ended.
    async fn listen_again(&self, container: &ContainerId, tap: &mut Tap) -> Again {
        let run = self.live.run;
        let mut pause = FIRST_PAUSE;
        let mut failures = 0;
        while failures < ATTEMPTS {
            let stored = match tap.stored().await {
                Ok(stored) => stored,
                Err(error) => {
                    tracing::error!(%run, %error, "the log of run {run} cannot be read: {error}");
                    failures += 1;
                    sleep(pause).await;
                    continue;
                }
            };
            match resume(self.runs.inner.rooms.engine.clone(), container, position(&stored, tap.mask())).await {
                Ok(Resumed { output, gaps }) => {
                    // Beyond its size limit the log has no place for what is missing anyway.
                    return Again::Output { stream: output, gap: !gaps.is_empty() && !stored.capped };
                }
                Err(error) if error.is_not_found() => return Again::Gone,
                Err(error) => {
                    tracing::warn!(%run, %error, "run {run} cannot be listened to yet: {error}");
                    failures += u32::from(!error.is_unavailable());
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        Again::GivenUp
    }
}

/// How much of its output the log has.
fn position(stored: &StoredLog, mask: Option<&Arc<Mask>>) -> Position {
    let stream = |stream: &StoredStream| StreamPosition {
        bytes: stream.bytes + stream.missing,
        tail: bytes::Bytes::copy_from_slice(&stream.tail[stream.tail.len().saturating_sub(TAIL)..]),
        mask: mask.cloned(),
    };
    Position { stdout: stream(&stored.stdout), stderr: stream(&stored.stderr) }
}
