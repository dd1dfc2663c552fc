//! A place in Docker's own log, per stream.
//!
//! The log can only be read by time, and times repeat: all pieces of a line share one, and the two streams are written by
//! two writers, so that their lines may stand in it slightly out of order. Within a stream, time never goes back. A place
//! is therefore, per stream, the last time seen and how many bytes carried it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;

use super::super::{ContainerId, Engine, EngineError, Frame, Result, Source, StoredFrame};
use super::{Position, StreamPosition};

/// By how much two streams' lines may be out of order.
const SKEW: chrono::Duration = chrono::Duration::seconds(2);
/// A log smaller than this has lost nothing: Docker keeps three files of 10 MB and drops the oldest when the third is full.
const SURELY_WHOLE: u64 = 19_000_000;
/// What Docker's log driver adds to each message on disk, at least.
const OVERHEAD: u64 = 28;
/// Pieces are put together up to this size, so that a long gap is not a million tiny frames.
const CHUNK: usize = 64 * 1024;

/// Where a stream goes on.
#[derive(Clone, Copy)]
pub(super) struct Start {
    /// In bytes from the log's beginning; beyond its end when the reader had some of an unfinished line.
    pub at: u64,
    /// Whether nothing is missing before that.
    pub whole: bool,
}

/// How far the log has been read.
#[derive(Default)]
pub(super) struct Cursor {
    places: [Place; 2],
    /// All messages so far, as they weigh on disk.
    weight: u64,
}

#[derive(Default)]
struct Place {
    bytes: u64,
    last: Option<DateTime<Utc>>,
    /// Bytes that carry the time `last`.
    at_last: u64,
    /// What was read of the current line and not taken yet; see [`Cursor::line`].
    pending: BytesMut,
}

impl Cursor {
    /// Reads on to the end, and again until two readings in a row are the same, `pause` apart. Only for a container that
    /// stands still.
    pub async fn settle(&mut self, engine: &dyn Engine, id: &ContainerId, pause: Duration) -> Result<()> {
        loop {
            let before = self.weight;
            self.read(engine, id, |_, _| {}).await?;
            if self.weight == before || pause.is_zero() {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// What is new since the last reading.
    pub async fn advance(&mut self, engine: &dyn Engine, id: &ContainerId) -> Result<Vec<Frame>> {
        let mut new = Vec::new();
        self.read(engine, id, |source, bytes| push(&mut new, source, bytes)).await?;
        Ok(new)
    }

    /// The stream's next line with its newline, which must come into the log soon because it has been printed.
    pub async fn line(
        &mut self,
        engine: &dyn Engine,
        id: &ContainerId,
        source: Source,
        every: Duration,
        times: u32,
    ) -> Result<Bytes> {
        for _ in 0..times {
            let pending = &mut self.places[source as usize].pending;
            if let Some(newline) = memchr::memchr(b'\n', pending) {
                return Ok(pending.split_to(newline + 1).freeze());
            }
            for Frame { source, bytes } in self.advance(engine, id).await? {
                self.places[source as usize].pending.extend_from_slice(&bytes);
            }
            if memchr::memchr(b'\n', &self.places[source as usize].pending).is_none() {
                tokio::time::sleep(every).await;
            }
        }
        let message = "a line that was printed did not come into Docker's log".to_owned();
        Err(EngineError::Other { call: "read log", message, source: None })
    }

    /// What is left of a stream now that its container has ended.
    pub async fn rest(&mut self, engine: &dyn Engine, id: &ContainerId, source: Source) -> Result<Bytes> {
        for Frame { source, bytes } in self.advance(engine, id).await? {
            self.places[source as usize].pending.extend_from_slice(&bytes);
        }
        Ok(self.places[source as usize].pending.split().freeze())
    }

    /// Where in the log each stream goes on for a reader who has `have`, and whether nothing is missing before that.
    pub async fn locate(&self, engine: &dyn Engine, id: &ContainerId, have: &Position) -> Result<[Start; 2]> {
        Ok([
            self.place(engine, id, Source::Stdout, &have.stdout).await?,
            self.place(engine, id, Source::Stderr, &have.stderr).await?,
        ])
    }

    /// All that the log holds from `starts` up to where this cursor stands.
    pub async fn since(&self, engine: &dyn Engine, id: &ContainerId, starts: &[Start; 2]) -> Result<Vec<Frame>> {
        let mut at = [0, 0];
        let mut found = Vec::new();
        let mut log = engine.stored_log(id, None).await?;
        while let Some(frame) = log.next().await {
            let StoredFrame { source, bytes, .. } = frame?;
            let at = &mut at[source as usize];
            let (begin, end) = (*at, *at + bytes.len() as u64);
            *at = end;
            let until = self.places[source as usize].bytes;
            let wanted = starts[source as usize].at.clamp(begin, end)..until.clamp(begin, end);
            if !wanted.is_empty() {
                let within = |offset: u64| usize::try_from(offset - begin).unwrap_or(bytes.len());
                push(&mut found, source, bytes.slice(within(wanted.start)..within(wanted.end)));
            }
        }
        Ok(found)
    }

    /// How many bytes of a stream the reader has beyond what the log holds: of a line that is not complete yet.
    pub fn beyond(&self, source: Source, starts: &[Start; 2]) -> u64 {
        starts[source as usize].at.saturating_sub(self.places[source as usize].bytes)
    }

    /// Where in the log the reader's part of a stream ends, and whether nothing is missing after it.
    async fn place(
        &self,
        engine: &dyn Engine,
        id: &ContainerId,
        source: Source,
        have: &StreamPosition,
    ) -> Result<Start> {
        let surely_whole = self.weight < SURELY_WHOLE;
        let total = self.places[source as usize].bytes;
        if have.bytes == 0 {
            return Ok(Start { at: 0, whole: surely_whole });
        }
        // By counting. What the reader had of an unfinished line is not in the log yet.
        let beyond = usize::try_from(have.bytes.saturating_sub(total)).unwrap_or(usize::MAX);
        if surely_whole && let Some(length) = have.tail.len().checked_sub(beyond) {
            let end = have.bytes.min(total);
            let there = self.slice(engine, id, source, end.saturating_sub(length as u64), end).await?;
            if there == have.tail[..length] {
                return Ok(Start { at: have.bytes, whole: true });
            }
        }
        // By looking for it: the log has lost its beginning.
        Ok(match self.find(engine, id, source, &have.tail).await? {
            Found::Once(end) => Start { at: end, whole: true },
            Found::Never => Start { at: 0, whole: false },
            Found::Often(last_end) => Start { at: last_end, whole: false },
        })
    }

    /// The bytes of a stream between two offsets.
    async fn slice(&self, engine: &dyn Engine, id: &ContainerId, source: Source, from: u64, to: u64) -> Result<Bytes> {
        let mut found = BytesMut::new();
        let mut at = 0;
        let mut log = engine.stored_log(id, None).await?;
        while let Some(frame) = log.next().await {
            let frame = frame?;
            if frame.source != source {
                continue;
            }
            let (begin, end) = (at, at + frame.bytes.len() as u64);
            at = end;
            let within = |offset: u64| usize::try_from(offset.clamp(begin, end) - begin).unwrap_or(0);
            found.extend_from_slice(&frame.bytes[within(from)..within(to)]);
            if end >= to {
                break;
            }
        }
        Ok(found.freeze())
    }

    async fn find(&self, engine: &dyn Engine, id: &ContainerId, source: Source, tail: &[u8]) -> Result<Found> {
        let mut found = Found::Never;
        if tail.is_empty() {
            return Ok(found);
        }
        let finder = memchr::memmem::Finder::new(tail);
        // What was read, from the stream's byte `offset` on; large pieces make a quick search.
        let (mut offset, mut window) = (0_u64, Vec::new());
        let mut log = engine.stored_log(id, None).await?;
        loop {
            let frame = log.next().await.transpose()?;
            let at_end = frame.is_none();
            if let Some(frame) = frame.filter(|frame| frame.source == source) {
                window.extend_from_slice(&frame.bytes);
            }
            if at_end || window.len() > 16 * CHUNK.max(tail.len()) {
                let mut searched = 0;
                while let Some(position) = finder.find(&window[searched..]) {
                    let end = offset + (searched + position + tail.len()) as u64;
                    found = if matches!(found, Found::Never) { Found::Once(end) } else { Found::Often(end) };
                    searched += position + 1;
                }
                // An occurrence may span two windows; those in the overlap have not been seen.
                let keep = (tail.len() - 1).min(window.len() - searched.min(window.len()));
                let done = window.len() - keep;
                window.drain(..done);
                offset += done as u64;
            }
            if at_end {
                return Ok(found);
            }
        }
    }

    /// Reads what is new, hands each piece to `take`, and moves on.
    async fn read(
        &mut self,
        engine: &dyn Engine,
        id: &ContainerId,
        mut take: impl FnMut(Source, Bytes) + Send,
    ) -> Result<()> {
        let since = self.places.iter().filter_map(|place| place.last).min().map(|last| last - SKEW);
        // Per stream: how many bytes at its last time have been read before.
        let mut known = [self.places[0].at_last, self.places[1].at_last];
        let marks = [self.places[0].last, self.places[1].last];
        let mut log = engine.stored_log(id, since).await?;
        while let Some(frame) = log.next().await {
            let StoredFrame { source, timestamp, mut bytes } = frame?;
            let (place, known) = (&mut self.places[source as usize], &mut known[source as usize]);
            match marks[source as usize] {
                Some(mark) if timestamp < mark => continue,
                Some(mark) if timestamp == mark => {
                    let skip = usize::try_from(*known).unwrap_or(usize::MAX).min(bytes.len());
                    *known -= skip as u64;
                    bytes = bytes.split_off(skip);
                    // Only an empty piece can be met twice without harm.
                    if bytes.is_empty() {
                        continue;
                    }
                }
                _ => {}
            }
            let length = bytes.len() as u64;
            if place.last != Some(timestamp) {
                place.last = Some(timestamp);
                place.at_last = 0;
            }
            place.at_last += length;
            place.bytes += length;
            self.weight += length + OVERHEAD;
            take(source, bytes);
        }
        Ok(())
    }
}

enum Found {
    Never,
    /// One place, which ends at this offset.
    Once(u64),
    /// Several, the last of which ends there.
    Often(u64),
}

fn push(frames: &mut Vec<Frame>, source: Source, bytes: Bytes) {
    match frames.last_mut() {
        Some(last) if last.source == source && last.bytes.len() + bytes.len() <= CHUNK => {
            let mut joined = BytesMut::from(std::mem::take(&mut last.bytes));
            joined.extend_from_slice(&bytes);
            last.bytes = joined.freeze();
        }
        _ => frames.push(Frame { source, bytes }),
    }
}

#[cfg(test)]
#[path = "cursor_tests.rs"]
mod tests;
