//! A run's log while it is written.
//!
//! The writer encodes into memory and hands batches to a blocking thread, one at a time: while one batch is being written
//! the next is encoded, and when both are full `append` waits. That wait is the back-pressure that reaches the script.
//! Every method may be cancelled at its await: the bytes were taken before it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::{sync::watch, task::JoinHandle};

use crate::domain::mask::{Masked, SHOWN};

use super::{
    FileKind, Journal, JournalError, LogState, PerSource, RunId, Source, StoredLog,
    encode::Encoder,
    files::Cut,
    registry::Registration,
    resume,
    sink::{LineFile, Sink, Stored},
};

/// A batch is handed over at this size. At 1 MiB writing was up to twice as fast when measured, at four times the memory per
/// run; this is some fifteen times what Docker delivers already.
const BATCH: usize = 256 * 1024;
/// A batch's memory is kept for the next one up to this size; one huge frame should not stay for the run's whole life.
const KEEP: usize = 2 * BATCH;

/// Counts of a run's log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// The script's bytes that are in the log (or on their way), newlines included. Marks are not counted.
    pub stored: PerSource,
    /// The script's bytes that the disk refused.
    pub lost: PerSource,
    /// The script's bytes that `max_bytes` left out.
    pub beyond_cap: PerSource,
}

/// What [`LogWriter::finish`] leaves behind.
#[derive(Debug)]
pub struct Finished {
    /// Final counts.
    pub totals: Totals,
    /// The file's length, bytes.
    pub len: u64,
    /// The last write failed; what it cost is in `totals.lost`, and the log could not even say so.
    pub error: Option<JournalError>,
}

/// Writes one run's log; made by [`Journal::create`] or [`Journal::resume`].
///
/// Dropped without [`finish`](Self::finish) it stores what it holds and leaves the log unfinished, as a crash would.
pub struct LogWriter {
    /// Whose log.
    run: RunId,
    /// Where it is, for reading it.
    journal: Journal,
    /// Splits and encodes.
    encoder: Encoder,
    /// Encoded lines that are not handed over yet.
    lines: Vec<u8>,
    /// The file side. Locked by the blocking thread while it writes, otherwise free.
    sink: Arc<Mutex<Sink>>,
    /// The batch being written.
    writing: Option<JoinHandle<Stored>>,
    /// Memory for the next batch.
    spare: Vec<u8>,
    /// The script's bytes that the disk refused.
    lost: PerSource,
    /// The length and whether more will come, for viewers.
    state: Arc<watch::Sender<LogState>>,
    /// Keeps the file ours; given back when the writer is dropped.
    _registration: Registration,
}

impl LogWriter {
    /// Begins to write behind what `file` holds.
    pub(super) fn new(
        journal: Journal,
        run: RunId,
        file: LineFile,
        encoder: Encoder,
        registration: Registration,
    ) -> Self {
        let state = registration.state();
        Self {
            run,
            journal,
            encoder,
            lines: Vec::new(),
            sink: Arc::new(Mutex::new(Sink::new(file, state.clone()))),
            writing: None,
            spare: Vec::new(),
            lost: PerSource::default(),
            state,
            _registration: registration,
        }
    }

    /// Whose log this is.
    pub fn run_id(&self) -> RunId {
        self.run
    }

    /// Bytes that the file holds and viewers may read.
    pub fn published(&self) -> u64 {
        self.state.borrow().len
    }

    /// What was stored, lost and left out so far. A batch that is being written counts as stored.
    pub fn totals(&self) -> Totals {
        Totals { stored: self.encoder.stored(), lost: self.lost, beyond_cap: self.encoder.beyond_cap() }
    }

    /// Whether an unfinished line is held back, so that [`flush_partial`](Self::flush_partial) would show something.
    pub fn has_partial(&self) -> bool {
        self.encoder.has_tails()
    }

    /// Takes the next bytes of an output, cut anywhere, which arrived `at`. They reach the file with the next
    /// [`flush`](Self::flush), or when a batch is full; a line without its newline waits for it.
    ///
    /// # Errors
    /// [`JournalError::Write`] when an *earlier* batch could not be stored. The bytes of this call are taken in any case;
    /// do not send them again, and go on.
    pub async fn append(&mut self, source: Source, at: DateTime<Utc>, bytes: &[u8]) -> Result<(), JournalError> {
        self.encoder.push(&mut self.lines, source, at, bytes);
        if self.lines.len() >= BATCH { self.hand_over().await } else { Ok(()) }
    }

    /// As [`append`](Self::append), for output in which secrets are hidden. The log counts the bytes that the script wrote.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub async fn append_masked(
        &mut self,
        source: Source,
        at: DateTime<Utc>,
        masked: &Masked,
    ) -> Result<(), JournalError> {
        let mut from = 0;
        for hidden in &masked.hidden {
            self.encoder.push(&mut self.lines, source, at, &masked.text[from..hidden.at]);
            self.encoder.push_hidden(&mut self.lines, source, at, SHOWN.as_bytes(), hidden.bytes);
            from = hidden.at + SHOWN.len();
        }
        self.append(source, at, &masked.text[from..]).await
    }

    /// Writes a line of ours, stored as stderr with [`MARK_PREFIX`](super::MARK_PREFIX) and told apart from the script's
    /// output for good. Each line of a longer text becomes a mark. An unfinished line of the script stays whole behind it;
    /// call [`flush_partial`](Self::flush_partial) first when the mark's place matters.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub async fn mark(&mut self, at: DateTime<Utc>, text: &str) -> Result<(), JournalError> {
        self.encoder.mark(&mut self.lines, at, text);
        if self.lines.len() >= BATCH { self.hand_over().await } else { Ok(()) }
    }

    /// Stores all whole lines taken so far, then shows them to the viewers. Call it when the engine has nothing more
    /// ready.
    ///
    /// # Errors
    /// [`JournalError::Write`] when not all of it could be stored: it is counted, and the next flush will say so in the
    /// log if it can. The writer stays usable.
    pub async fn flush(&mut self) -> Result<(), JournalError> {
        let earlier = self.hand_over().await;
        let latest = self.settle().await;
        earlier.and(latest)
    }

    /// Stores unfinished lines too, as pieces, so that a prompt or a progress bar shows. Call it after a short silence.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn flush_partial(&mut self) -> Result<(), JournalError> {
        self.encoder.flush_tails(&mut self.lines, false);
        self.flush().await
    }

    /// Stores everything, unfinished lines too, and says what the log holds, as [`Journal::resume`] would, while its viewers
    /// stay: for filling a gap after Docker was away. Reads the whole log once.
    ///
    /// # Errors
    /// The log could not be read. What could not be stored is in [`StoredStream::missing`](super::StoredStream::missing).
    pub async fn stored(&mut self) -> Result<StoredLog, JournalError> {
        self.encoder.flush_tails(&mut self.lines, true);
        if let Err(error) = self.flush().await {
            tracing::debug!(run_id = %self.run, %error, "the loss is counted in what the log is said to hold");
        }
        let mut stored = self
            .journal
            .with_file(self.run, FileKind::Log, |file, state| resume::scan(file, Cut { len: state.len, torn: 0 }))
            .await?;
        let unmarked = self.sink().unmarked();
        stored.stdout.missing += unmarked.stdout;
        stored.stderr.missing += unmarked.stderr;
        Ok(stored)
    }

    /// Stores everything and tells the viewers that nothing more will come.
    pub async fn finish(mut self) -> Finished {
        let finished = self.close().await;
        self.state.send_modify(|state| state.finished = true);
        finished
    }

    /// Stores everything but leaves the log unfinished: the run goes on without us (shutdown) and is resumed later. Its
    /// viewers get an end that says so.
    pub async fn detach(mut self) -> Finished {
        self.close().await
    }

    /// Everything into the file, with a second attempt at a loss mark.
    async fn close(&mut self) -> Finished {
        self.encoder.flush_tails(&mut self.lines, true);
        let mut error = self.flush().await.err();
        if self.sink().owes_mark() {
            self.start();
            error = self.settle().await.err();
        }
        let len = self.state.borrow().len;
        Finished { totals: self.totals(), len, error }
    }

    /// Waits for the batch being written, then hands over the next.
    async fn hand_over(&mut self) -> Result<(), JournalError> {
        let earlier = self.settle().await;
        if !self.lines.is_empty() {
            self.put();
            self.start();
        }
        earlier
    }

    /// Moves the encoded lines to the sink.
    fn put(&mut self) {
        let lines = std::mem::replace(&mut self.lines, std::mem::take(&mut self.spare));
        let latest = self.encoder.latest();
        self.sink().put(lines, latest);
    }

    /// Lets a blocking thread write what the sink holds. The task carries no data: if it never runs (the runtime is
    /// going down), the lines are still with the sink.
    fn start(&mut self) {
        let sink = self.sink.clone();
        self.writing = Some(tokio::task::spawn_blocking(move || lock(&sink).store()));
    }

    /// Waits for the batch being written, if there is one.
    async fn settle(&mut self) -> Result<(), JournalError> {
        let Some(writing) = &mut self.writing else { return Ok(()) };
        let stored = writing.await;
        self.writing = None;
        let stored = stored.map_err(|error| JournalError::Io { action: "write a log", source: error.into() })?;
        self.account(stored)
    }

    /// Takes note of what became of a batch.
    fn account(&mut self, stored: Stored) -> Result<(), JournalError> {
        self.encoder.settle(stored.len + self.lines.len() as u64, stored.lost);
        for source in Source::ALL {
            *self.lost.of_mut(source) += stored.lost.of(source);
        }
        if stored.spare.capacity() <= KEEP {
            self.spare = stored.spare;
        }
        match stored.error {
            None => Ok(()),
            Some(source) => Err(JournalError::Write { lost: stored.lost.total(), source }),
        }
    }

    /// The sink, for us alone.
    fn sink(&self) -> MutexGuard<'_, Sink> {
        lock(&self.sink)
    }
}

/// A panic in the writing thread would be a bug of ours; the sink's invariants hold at every step, so go on with it.
fn lock(sink: &Mutex<Sink>) -> MutexGuard<'_, Sink> {
    sink.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for LogWriter {
    /// Stores what is left, in place: it is at most a batch or two, and the alternative is to lose it. Waits for a batch in
    /// flight, so that nothing of ours touches the file after this.
    fn drop(&mut self) {
        self.encoder.flush_tails(&mut self.lines, true);
        if !self.lines.is_empty() || self.writing.is_some() {
            self.put();
            if let Some(error) = self.sink().store().error {
                tracing::warn!(run_id = %self.run, %error, "a log writer was dropped and could not store its last lines");
            }
        }
        self.sink().close();
    }
}
