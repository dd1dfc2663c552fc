//! Carries a container's output into its log, and learns on the way when it last spoke and which exception it printed.
//! Secrets are hidden first, so that neither the file nor the reason of a failure ever holds one.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{FutureExt, StreamExt};

use super::live::Live;
use super::timeline::Mark;
use crate::domain::clock::SharedClock;
use crate::domain::error_line::ExceptionWatch;
use crate::domain::mask::{Mask, Masked, Masker};
use crate::engine::{Frame, OutputStream, Source};
use crate::journal::{JournalError, LogWriter, StoredLog};

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

/// What must not be seen of a run's output.
#[derive(Debug, Clone, Default)]
pub enum Veil {
    /// Nothing is secret.
    #[default]
    None,
    /// These values.
    Secrets(Arc<Mask>),
    /// It is not known what, so all of it.
    Everything,
}

/// Said in the log when output cannot be shown because its secrets are not known any more.
const WITHHELD: &str = "the output from here on is withheld: the secrets of this run can no longer be opened, so they could \
                        not be hidden. Add the former key to ENCRYPTION_KEY and restart the server before the run has ended";

/// The writing end of a run's log together with what is learned from what passes through.
pub struct Tap {
    /// The log.
    pub writer: LogWriter,
    clock: SharedClock,
    exception: ExceptionWatch,
    veil: Veil,
    /// One for each stream, when secrets are hidden.
    maskers: Option<[Masker; 2]>,
    masked: Masked,
    /// Whether it was said that output is withheld.
    told: bool,
    /// Whether the last write failed, so that a full disk is reported once and not per line.
    failing: bool,
}

impl Tap {
    /// A tap on `writer`.
    #[must_use]
    pub fn new(writer: LogWriter, clock: SharedClock, veil: Veil) -> Self {
        let maskers = match &veil {
            Veil::Secrets(mask) => Some([Masker::new(mask.clone()), Masker::new(mask.clone())]),
            Veil::None | Veil::Everything => None,
        };
        let (exception, masked) = (ExceptionWatch::default(), Masked::default());
        Self { writer, clock, exception, veil, maskers, masked, told: false, failing: false }
    }

    /// Whether anything is hidden.
    #[must_use]
    pub const fn hides(&self) -> bool {
        !matches!(self.veil, Veil::None)
    }

    /// What secrets are hidden by, if there are any.
    #[must_use]
    pub fn mask(&self) -> Option<&Arc<Mask>> {
        match &self.veil {
            Veil::Secrets(mask) => Some(mask),
            Veil::None | Veil::Everything => None,
        }
    }

    /// Takes a piece of output. Never fails: what cannot be stored is counted by the writer and marked in the log later.
    pub async fn take(&mut self, source: Source, at: DateTime<Utc>, bytes: &[u8]) {
        if matches!(self.veil, Veil::Everything) {
            if !std::mem::replace(&mut self.told, true) {
                self.mark(WITHHELD).await;
            }
            return;
        }
        let Some(maskers) = &mut self.maskers else {
            if source == Source::Stderr {
                self.exception.feed(bytes);
            }
            let result = self.writer.append(journal_source(source), at, bytes).await;
            return self.note(result);
        };
        self.masked.clear();
        maskers[source as usize].push(bytes, &mut self.masked);
        self.store_masked(source, at).await;
    }

    /// The output has ended: what was held because it might have become a secret is decided.
    pub async fn end_of_output(&mut self) {
        let at = self.clock.now().to_utc();
        for source in [Source::Stdout, Source::Stderr] {
            let Some(maskers) = &mut self.maskers else { return };
            self.masked.clear();
            maskers[source as usize].finish(&mut self.masked);
            self.store_masked(source, at).await;
        }
    }

    /// Says what the log holds, for going on from there. What is held has not been stored, so it comes again.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn stored(&mut self) -> Result<StoredLog, JournalError> {
        for masker in self.maskers.iter_mut().flatten() {
            masker.forget();
        }
        self.writer.stored().await
    }

    async fn store_masked(&mut self, source: Source, at: DateTime<Utc>) {
        if self.masked.text.is_empty() {
            return;
        }
        if source == Source::Stderr {
            self.exception.feed(&self.masked.text);
        }
        let result = self.writer.append_masked(journal_source(source), at, &self.masked).await;
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
                if live.last_output().is_some() {
                    live.timeline.mark(Mark::Output);
                }
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
