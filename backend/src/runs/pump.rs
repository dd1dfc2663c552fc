//! Carries a container's output into its log, and learns on the way when it last spoke and which exception it printed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{FutureExt, StreamExt};

use super::live::Live;
use crate::domain::clock::SharedClock;
use crate::domain::error_line::ExceptionWatch;
use crate::engine::{Frame, OutputStream, Source};
use crate::journal::{JournalError, LogWriter};

/// Silence after which an unfinished line is shown.
const PARTIAL_AFTER: Duration = Duration::from_millis(100);

/// How an output stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The stream was closed. The container has ended, or Docker has.
    Closed,
    /// The connection broke.
    Broken,
}

/// The writing end of a run's log together with what is learned from what passes through.
pub struct Tap {
    /// The log.
    pub writer: LogWriter,
    clock: SharedClock,
    exception: ExceptionWatch,
    /// Whether the last write failed, so that a full disk is reported once and not per line.
    failing: bool,
}

impl Tap {
    /// A tap on `writer`.
    #[must_use]
    pub fn new(writer: LogWriter, clock: SharedClock) -> Self {
        Self { writer, clock, exception: ExceptionWatch::default(), failing: false }
    }

    /// Takes a piece of output. Never fails: what cannot be stored is counted by the writer and marked in the log later.
    pub async fn take(&mut self, source: Source, at: DateTime<Utc>, bytes: &[u8]) {
        if source == Source::Stderr {
            self.exception.feed(bytes);
        }
        let result = self.writer.append(journal_source(source), at, bytes).await;
        self.note(result);
    }

    /// Writes a line of ours.
    pub async fn mark(&mut self, text: &str) {
        let now = self.clock.now().to_utc();
        let result = self.writer.mark(now, text).await;
        self.note(result);
    }

    /// Stores what was taken and shows it to viewers.
    pub async fn flush(&mut self) {
        let result = self.writer.flush().await;
        self.note(result);
    }

    /// Stores unfinished lines too.
    pub async fn flush_partial(&mut self) {
        let result = self.writer.flush_partial().await;
        self.note(result);
    }

    /// How many bytes of the script the log has, or would have if disk and size limit had allowed it.
    #[must_use]
    pub fn heard(&self) -> u64 {
        let totals = self.writer.totals();
        totals.stored.total() + totals.lost.total() + totals.beyond_cap.total()
    }

    /// The last exception seen so far; forgets it.
    #[must_use]
    pub fn exception(&mut self) -> Option<String> {
        std::mem::take(&mut self.exception).exception()
    }

    fn note(&mut self, result: Result<(), JournalError>) {
        match result {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                self.failing = true;
                let run = self.writer.run_id();
                tracing::error!(%run, %error, "the log of run {run} cannot be stored: {error}; the run goes on");
            }
            Err(_) => {}
        }
    }
}

/// Moves `output` into the log until it ends, noting each time that something came.
pub async fn pump(mut output: OutputStream, tap: &mut Tap, live: &Live) -> Ended {
    loop {
        // What is ready is taken without pause; only then is it worth a write.
        let ready = output.next().now_or_never();
        let next = match ready {
            Some(next) => next,
            None => {
                tap.flush().await;
                wait_for_more(&mut output, tap).await
            }
        };
        match next {
            Some(Ok(Frame { source, bytes })) => {
                let now = tap.clock.now();
                live.heard(now);
                tap.take(source, now.to_utc(), &bytes).await;
            }
            Some(Err(error)) => {
                tracing::warn!(run = %tap.writer.run_id(), %error, "the output stream broke: {error}");
                tap.flush().await;
                return Ended::Broken;
            }
            None => {
                tap.flush().await;
                return Ended::Closed;
            }
        }
    }
}

/// The journal's word for a stream.
const fn journal_source(source: Source) -> crate::journal::Source {
    match source {
        Source::Stdout => crate::journal::Source::Stdout,
        Source::Stderr => crate::journal::Source::Stderr,
    }
}

async fn wait_for_more(output: &mut OutputStream, tap: &mut Tap) -> Option<crate::engine::Result<Frame>> {
    if tap.writer.has_partial() {
        if let Ok(next) = tokio::time::timeout(PARTIAL_AFTER, output.next()).await {
            return next;
        }
        tap.flush_partial().await;
    }
    output.next().await
}
