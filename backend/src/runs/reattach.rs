//! Going on with a container that runs without us: freeze it, fill the gap from Docker's log, listen again, thaw it.
//!
//! While the container is frozen Docker's log cannot grow, so what is filled in and what is heard afterwards meet exactly.
//! One thing is in neither: the beginning of a line that Docker had read but not yet logged (it logs whole lines). So the
//! first line of each stream after the thaw is held until it is complete, and then taken from Docker's log.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};

use super::overlap::missing;
use super::pump::Tap;
use crate::engine::{ContainerId, Engine, EngineError, Frame, OutputStream, Source, StoredFrame};
use crate::journal::StoredLog;

/// Said in the log when Docker no longer has what was written meanwhile.
pub const GAP: &str =
    "output is missing here: it was written while the server was away, and Docker's log no longer holds it";

/// Silence after which nothing more is on its way from a frozen container.
const SETTLED: Duration = Duration::from_millis(50);

/// Longest first line that is held, in bytes.
const MAX_HELD: usize = 1 << 20;

/// How often Docker's log is asked for the first line.
const TRIES: usize = 20;

/// What came of it.
pub enum Found {
    /// It runs; this is its output from here on.
    Live(OutputStream),
    /// It has ended; the log is complete.
    Ended,
}

/// Fills the gap in the log and listens again.
///
/// # Errors
/// [`EngineError`] when Docker goes away meanwhile; whatever was appended stays, and calling again is safe with a new
/// [`StoredLog`].
pub async fn reattach(
    engine: &Arc<dyn Engine>,
    id: &ContainerId,
    stored: &StoredLog,
    tap: &mut Tap,
) -> Result<Found, EngineError> {
    let frozen = match engine.pause(id).await {
        Ok(()) => true,
        Err(EngineError::NotRunning { .. }) => {
            fill(engine, id, stored, tap).await?;
            return Ok(Found::Ended);
        }
        Err(EngineError::Unsupported { message, .. }) => {
            tracing::warn!("this machine cannot freeze containers ({message}): lines may be doubled after a crash");
            false
        }
        Err(error) => return Err(error),
    };
    let result = listen(engine, id, stored, tap).await;
    if frozen {
        // Also after an error: a container must not stay frozen.
        match engine.unpause(id).await {
            Err(error) if result.is_ok() && !matches!(error, EngineError::NotRunning { .. }) => return Err(error),
            _ => {}
        }
    }
    result
}

async fn listen(
    engine: &Arc<dyn Engine>,
    id: &ContainerId,
    stored: &StoredLog,
    tap: &mut Tap,
) -> Result<Found, EngineError> {
    let mut output = engine.reattach(id).await?;
    // What still arrives was on its way when the container froze; Docker's log has it too.
    while let Ok(Some(_)) = tokio::time::timeout(SETTLED, output.next()).await {}
    let last = fill(engine, id, stored, tap).await?;
    let splice = Splice { engine: engine.clone(), id: id.clone(), last, held: [Some(Vec::new()), Some(Vec::new())] };
    Ok(Found::Live(splice.repair(output)))
}

/// Appends what Docker has and we have not. Returns the time of Docker's last line.
pub async fn fill(
    engine: &Arc<dyn Engine>,
    id: &ContainerId,
    stored: &StoredLog,
    tap: &mut Tap,
) -> Result<Option<DateTime<Utc>>, EngineError> {
    // Docker keeps at most three files of 10 MB, so this is bounded whatever the script wrote.
    let frames = read_stored(engine, id, None).await?;
    let last = frames.last().map(|frame| frame.timestamp);
    if stored.capped {
        return Ok(last);
    }
    let missing = missing(stored, frames);
    if missing.gap {
        tap.mark(GAP).await;
    }
    for frame in missing.frames {
        tap.take(frame.source, frame.timestamp, &frame.bytes).await;
    }
    tap.flush().await;
    Ok(last)
}

async fn read_stored(
    engine: &Arc<dyn Engine>,
    id: &ContainerId,
    since: Option<DateTime<Utc>>,
) -> Result<Vec<StoredFrame>, EngineError> {
    let mut stream = engine.stored_log(id, since).await?;
    let mut frames = Vec::new();
    while let Some(frame) = stream.next().await {
        frames.push(frame?);
    }
    Ok(frames)
}

/// Repairs the first line of each stream.
struct Splice {
    engine: Arc<dyn Engine>,
    id: ContainerId,
    /// Time of the last line that was taken from Docker's log; later ones are new.
    last: Option<DateTime<Utc>>,
    /// What was heard of the first line, per stream; `None` once it is done.
    held: [Option<Vec<u8>>; 2],
}

impl Splice {
    fn repair(self, output: OutputStream) -> OutputStream {
        Box::pin(
            stream::unfold((self, Some(output), Vec::new()), |(mut splice, mut output, mut ready)| async move {
                loop {
                    if let Some(frame) = ready.pop() {
                        return Some((Ok(frame), (splice, output, ready)));
                    }
                    match output.as_mut()?.next().await {
                        Some(Ok(frame)) => ready = splice.hear(frame).await,
                        Some(Err(error)) => return Some((Err(error), (splice, output, ready))),
                        None => {
                            output = None;
                            ready = splice.rest().await;
                            if ready.is_empty() {
                                return None;
                            }
                        }
                    }
                }
            })
            .fuse(),
        )
    }

    /// Frames to pass on, in reverse order.
    async fn hear(&mut self, frame: Frame) -> Vec<Frame> {
        let Some(held) = &mut self.held[frame.source as usize] else { return vec![frame] };
        let newline = memchr::memchr(b'\n', &frame.bytes);
        let (first, rest) = match newline {
            Some(at) => (&frame.bytes[..=at], frame.bytes.slice(at + 1..)),
            None => (&frame.bytes[..], Bytes::new()),
        };
        held.extend_from_slice(first);
        if newline.is_none() && held.len() < MAX_HELD {
            return Vec::new();
        }
        let held = self.held[frame.source as usize].take().unwrap_or_default();
        let whole = self.whole_line(frame.source, &held).await.unwrap_or(held);
        let mut ready = vec![Frame { source: frame.source, bytes: rest }];
        ready.push(Frame { source: frame.source, bytes: whole.into() });
        ready.retain(|frame| !frame.bytes.is_empty());
        ready
    }

    /// What is held when the output ends.
    async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        for source in [Source::Stdout, Source::Stderr] {
            let Some(held) = self.held[source as usize].take() else { continue };
            let whole = self.whole_line(source, &held).await.unwrap_or(held);
            if !whole.is_empty() {
                frames.push(Frame { source, bytes: whole.into() });
            }
        }
        frames
    }

    /// The first line after the thaw as Docker logged it; it ends with what was heard of it.
    async fn whole_line(&self, source: Source, heard: &[u8]) -> Option<Vec<u8>> {
        for _ in 0..TRIES {
            let frames = read_stored(&self.engine, &self.id, self.last).await.ok()?;
            let mut line = Vec::new();
            for frame in frames {
                if frame.source != source || self.last.is_some_and(|last| frame.timestamp <= last) {
                    continue;
                }
                line.extend_from_slice(&frame.bytes);
                if line.ends_with(b"\n") {
                    break;
                }
            }
            if !line.is_empty() && line.ends_with(heard) {
                return Some(line);
            }
            if heard.is_empty() {
                return None;
            }
            // Docker hands a line to its log a moment after it hands it to us.
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        None
    }
}
