//! A run's metrics file: one JSON object a line, appended about once a second, read and followed by offset like the log.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use serde::Serialize;
use tokio::{sync::watch, time::Instant};

use super::{
    FileKind, Journal, JournalError, LogState, Point, RunId, block,
    files::{self, blocking},
    index::lock,
    registry::Registration,
    samples,
    sink::LineFile,
};

/// A page of metrics holds about this many bytes of the file.
const PAGE: usize = 256 * 1024;

/// A stored sample as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawSample {
    /// Where its line starts.
    pub offset: u64,
    /// One JSON object, without the newline.
    pub json: Bytes,
}

/// Some samples and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsPage {
    /// The samples, oldest first.
    pub samples: Vec<RawSample>,
    /// Where the next page starts.
    pub next: u64,
    /// Where the file ended when this was read. The page is the last one when `next` is equal.
    pub end: u64,
    /// Nothing will be added behind `end`.
    pub finished: bool,
}

impl Journal {
    /// Writes a run's metrics, behind what is there already; a torn last line is cut off.
    ///
    /// # Errors
    /// [`JournalError::Busy`] when they are being written, or the file could not be opened.
    pub async fn metrics_writer(&self, run: RunId) -> Result<MetricsWriter, JournalError> {
        let path = self.path(run, FileKind::Metrics);
        let known = path.clone();
        let len = blocking(move || files::settled_len_of(&known)).await.map_err(JournalError::io("open metrics"))?;
        let registration = self.inner.registry.register(run, FileKind::Metrics, len)?;
        let (file, registration) = blocking(move || {
            let file = files::open_to_append(path)?;
            let cut = files::cut_torn_line(&file, &registration)?;
            Ok((LineFile::new(Box::new(file), cut.len), registration))
        })
        .await
        .map_err(JournalError::io("open metrics"))?;
        self.inner.registry.has_begun(run);
        let state = registration.state();
        Ok(MetricsWriter { file: Arc::new(Mutex::new((file, registration))), state })
    }

    /// Samples from `offset` on, at most about 256 KiB of them. An offset inside a line moves on to the next; one beyond the
    /// end becomes the end.
    ///
    /// # Errors
    /// [`JournalError::NotFound`], or the file could not be read.
    pub async fn read_metrics(&self, run: RunId, offset: u64) -> Result<MetricsPage, JournalError> {
        self.with_file(run, FileKind::Metrics, move |file, state| read_page(file, offset, state)).await
    }

    /// At most `points` points of a run's metrics, see [`samples::downsample`]; the file is streamed, not kept.
    ///
    /// # Errors
    /// [`JournalError::NotFound`], or the file could not be read.
    pub async fn metrics_points(&self, run: RunId, points: usize) -> Result<Vec<Point>, JournalError> {
        self.with_file(run, FileKind::Metrics, move |file, state| {
            samples::downsample_lines(points, |line| {
                let mut lines = block::Lines::new(file, 0, state.len);
                while let Some((_, text)) = lines.next()? {
                    line(text);
                }
                Ok(())
            })
        })
        .await
    }

    /// Follows a run's metrics from `offset` on, with a sign of life after `heartbeat` without a sample.
    ///
    /// # Errors
    /// [`JournalError::NotFound`] when the run has no metrics, or the file could not be read.
    pub async fn follow_metrics(
        &self,
        run: RunId,
        offset: u64,
        heartbeat: Duration,
    ) -> Result<MetricsFollow, JournalError> {
        let state = self.watch_metrics(run).await?;
        let (file, _) = self.open_file(run, FileKind::Metrics).await?;
        Ok(MetricsFollow { file: Arc::new(file), state, offset, heartbeat, ended: false })
    }
}

/// Reads a page, see [`Journal::read_metrics`].
fn read_page(file: &std::fs::File, offset: u64, state: LogState) -> io::Result<MetricsPage> {
    let start = block::align(file, offset, state.len)?;
    let mut lines = block::Lines::new(file, start, state.len);
    let mut samples = Vec::new();
    while lines.offset() - start < PAGE as u64 {
        let Some((offset, json)) = lines.next()? else { break };
        samples.push(RawSample { offset, json: Bytes::copy_from_slice(json) });
    }
    Ok(MetricsPage { samples, next: lines.offset(), end: state.len, finished: state.finished })
}

/// Writes one run's metrics. Dropping it leaves the file unfinished, as a crash would.
pub struct MetricsWriter {
    /// The file, and the right to write it. They go together, for a write may outlive the call that began it.
    file: Arc<Mutex<(LineFile, Registration)>>,
    /// Its length, for readers.
    state: Arc<watch::Sender<LogState>>,
}

impl MetricsWriter {
    /// Stores a sample and shows it to the readers.
    ///
    /// # Errors
    /// [`JournalError::Encode`] when it is no JSON, [`JournalError::Write`] when it did not reach the disk. Either way the
    /// sample is dropped, the file is as before, and the next one may succeed.
    pub async fn append<T: Serialize + ?Sized>(&mut self, sample: &T) -> Result<(), JournalError> {
        let mut line = serde_json::to_vec(sample)?;
        line.push(b'\n');
        let (file, state, lost) = (self.file.clone(), self.state.clone(), line.len() as u64);
        let work = move || {
            let file = &mut lock(&file).0;
            file.append(&line).map_err(|(_, error)| error)?;
            state.send_modify(|state| state.len = file.len());
            Ok(())
        };
        blocking(work).await.map_err(|source| JournalError::Write { lost, source })
    }

    /// Tells the readers that no more will come.
    pub fn finish(self) {
        self.state.send_modify(|state| state.finished = true);
    }
}

/// What a reader of live metrics is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricsEvent {
    /// The next samples, and the offset behind them: the id of the event.
    Samples(Vec<RawSample>, u64),
    /// Nothing happened for a while.
    Heartbeat,
    /// Nothing follows.
    End {
        /// Where the file ends.
        next: u64,
        /// The metrics are complete. If not, their writer went away: come back later.
        finished: bool,
    },
}

/// One reader of one run's metrics.
#[derive(Debug)]
pub struct MetricsFollow {
    /// The metrics.
    file: Arc<std::fs::File>,
    /// How far they go.
    state: watch::Receiver<LogState>,
    /// Where the next line starts.
    offset: u64,
    /// A sign of life after so much silence.
    heartbeat: Duration,
    /// The end was yielded.
    ended: bool,
}

impl MetricsFollow {
    /// Waits for the next event; `None` after the end. May be cancelled and called again.
    pub async fn next(&mut self) -> Option<Result<MetricsEvent, JournalError>> {
        if self.ended {
            return None;
        }
        let event = self.pull().await;
        self.ended = matches!(event, Ok(MetricsEvent::End { .. }));
        Some(event)
    }

    /// See [`Self::next`].
    async fn pull(&mut self) -> Result<MetricsEvent, JournalError> {
        let quiet_until = Instant::now() + self.heartbeat;
        loop {
            // In this order: a writer publishes first and goes away afterwards.
            let closed = self.state.has_changed().is_err();
            let state = *self.state.borrow_and_update();
            if self.offset < state.len {
                let (file, offset) = (self.file.clone(), self.offset);
                let page = blocking(move || read_page(&file, offset, state))
                    .await
                    .map_err(JournalError::io("read metrics"))?;
                self.offset = page.next;
                if !page.samples.is_empty() {
                    return Ok(MetricsEvent::Samples(page.samples, page.next));
                }
                // The file was cut behind our back; what is gone cannot be waited for.
                self.offset = self.offset.max(state.len);
                continue;
            }
            if state.finished || closed {
                return Ok(MetricsEvent::End { next: self.offset, finished: state.finished });
            }
            tokio::select! {
                // An error means that the writer is gone, which is news too.
                _ = self.state.changed() => {}
                () = tokio::time::sleep_until(quiet_until) => return Ok(MetricsEvent::Heartbeat),
            }
        }
    }
}
