//! A place in Docker's own log, per stream.
//!
//! The log can only be read by time, and times repeat: all pieces of a line share one, and the two streams are written by
//! two writers, so that their lines may stand in it slightly out of order. Within a stream, time never goes back. A place
//! is therefore, per stream, the last time seen and how many bytes carried it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;

use super::super::{ContainerId, Engine, EngineError, Frame, Result, Source, StoredFrame};
use super::{Position, STREAMS, StreamPosition};
use crate::domain::mask::{Masked, Masker, SHOWN};

/// By how much two streams' lines may be out of order.
const SKEW: chrono::Duration = chrono::Duration::milliseconds(250);
/// A log smaller than this has lost nothing: Docker keeps three files of 10 MB and drops the oldest when the third is full.
const SURELY_WHOLE: u64 = 19_000_000;
/// What Docker's log driver adds to each message on disk, at least.
const OVERHEAD: u64 = 28;
/// How much of the log is compared with what a reader has in whose output something is hidden.
const COMPARED: u64 = 4096;
/// Docker keeps so much of a line back until it ends.
const OPEN_LINE: usize = 16 * 1024;
/// Pieces are put together up to this size, so that a long gap is not a million tiny frames.
const CHUNK: usize = 64 * 1024;

/// How far the log has been read, and what was found that the reader does not have.
#[derive(Default)]
pub(super) struct Cursor {
    places: [Place; 2],
    /// All messages so far, as they weigh on disk.
    weight: u64,
    /// What was read and not taken yet.
    new: Vec<(Source, BytesMut)>,
}

#[derive(Default)]
struct Place {
    /// All bytes read.
    bytes: u64,
    /// The time of the last message.
    last: Option<DateTime<Utc>>,
    /// Bytes that carry this time.
    at_last: u64,
    /// The reader has everything before this byte; it may not even be in the log yet.
    from: u64,
    /// The last so many bytes before `from`, to compare with what the reader has.
    compare: u64,
    before: BytesMut,
    /// What was read of the current line and not taken yet; see [`Cursor::line`].
    pending: BytesMut,
}

impl Cursor {
    /// Reads the log to its end, and finds the place from which on the reader has nothing. Also names the streams in which
    /// something is missing before that.
    pub async fn open(engine: &dyn Engine, id: &ContainerId, have: &Position) -> Result<(Self, Vec<Source>)> {
        let compare = |have: &StreamPosition| if have.mask.is_some() { COMPARED } else { have.tail.len() as u64 };
        let mut cursor = Self::at([&have.stdout, &have.stderr].map(|have| (have.bytes, compare(have))));
        cursor.read(engine, id).await?;
        let whole = cursor.weight < SURELY_WHOLE;
        if whole && STREAMS.iter().all(|source| cursor.places[*source as usize].agrees(have.of(*source))) {
            return Ok((cursor, Vec::new()));
        }
        // Counting from the start does not lead there, because Docker has dropped the start. So it is looked for.
        let mut starts = [(0, 0); 2];
        let mut gaps = Vec::new();
        for source in STREAMS {
            let found = match have.of(source) {
                StreamPosition { bytes: 0, .. } if whole => Found::Once(0),
                have => find(engine, id, source, have).await?,
            };
            starts[source as usize].0 = match found {
                Found::Once(end) => end,
                Found::Often(last_end) => last_end,
                Found::Never => 0,
            };
            if !matches!(found, Found::Once(_)) {
                gaps.push(source);
            }
        }
        let mut cursor = Self::at(starts);
        cursor.read(engine, id).await?;
        Ok((cursor, gaps))
    }

    fn at(starts: [(u64, u64); 2]) -> Self {
        Self { places: starts.map(|(from, compare)| Place { from, compare, ..Place::default() }), ..Self::default() }
    }

    /// Reads on until two readings in a row end at the same place. Only for a container that stands still.
    pub async fn settle(&mut self, engine: &dyn Engine, id: &ContainerId, pause: Duration) -> Result<()> {
        loop {
            let before = self.weight;
            self.read(engine, id).await?;
            if self.weight == before {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// What has been read so far and not been taken.
    pub fn take(&mut self) -> Vec<Frame> {
        let new = std::mem::take(&mut self.new).into_iter();
        new.map(|(source, bytes)| Frame { source, bytes: bytes.freeze() }).collect()
    }

    /// What is new.
    pub async fn advance(&mut self, engine: &dyn Engine, id: &ContainerId) -> Result<Vec<Frame>> {
        self.read(engine, id).await?;
        Ok(self.take())
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
            self.rest(engine, id).await?;
            let pending = &mut self.places[source as usize].pending;
            if let Some(newline) = memchr::memchr(b'\n', pending) {
                return Ok(pending.split_to(newline + 1).freeze());
            }
            tokio::time::sleep(every).await;
        }
        let message = "a line that was printed did not come into Docker's log".to_owned();
        Err(EngineError::Other { call: "read log", message, source: None })
    }

    /// What is left of both streams.
    pub async fn rest(&mut self, engine: &dyn Engine, id: &ContainerId) -> Result<[Bytes; 2]> {
        for Frame { source, bytes } in self.advance(engine, id).await? {
            self.places[source as usize].pending.extend_from_slice(&bytes);
        }
        Ok(STREAMS.map(|source| self.places[source as usize].pending.clone().freeze()))
    }

    /// Reads what is new.
    async fn read(&mut self, engine: &dyn Engine, id: &ContainerId) -> Result<()> {
        let since = self.places.iter().filter_map(|place| place.last).min().map(|last| last - SKEW);
        // Per stream: where the last reading ended, and how many bytes of that moment it has seen.
        let mut marks = STREAMS.map(|source| (self.places[source as usize].last, self.places[source as usize].at_last));
        let mut log = engine.stored_log(id, since).await?;
        while let Some(frame) = log.next().await {
            let StoredFrame { source, timestamp, mut bytes } = frame?;
            let (last, seen) = &mut marks[source as usize];
            match last {
                Some(last) if timestamp < *last => continue,
                Some(last) if timestamp == *last => {
                    let skip = usize::try_from(*seen).unwrap_or(usize::MAX).min(bytes.len());
                    *seen -= skip as u64;
                    bytes = bytes.split_off(skip);
                }
                _ => {}
            }
            if bytes.is_empty() {
                continue;
            }
            self.weight += bytes.len() as u64 + OVERHEAD;
            let new = self.places[source as usize].pass(timestamp, bytes);
            push(&mut self.new, source, &new);
        }
        Ok(())
    }
}

impl Place {
    /// Goes past a message; returns what of it the reader does not have.
    fn pass(&mut self, timestamp: DateTime<Utc>, mut bytes: Bytes) -> Bytes {
        let length = bytes.len() as u64;
        if self.last != Some(timestamp) {
            self.last = Some(timestamp);
            self.at_last = 0;
        }
        self.at_last += length;
        let begin = self.bytes;
        self.bytes += length;
        let within = |offset: u64| usize::try_from(offset.clamp(begin, begin + length) - begin).unwrap_or(0);
        self.before.extend_from_slice(&bytes[within(self.from.saturating_sub(self.compare))..within(self.from)]);
        bytes.split_off(within(self.from))
    }

    /// Whether the log has, right before the place, what the reader has. The end of a line that is not complete is not in
    /// the log yet; what is there must agree.
    fn agrees(&self, have: &StreamPosition) -> bool {
        let beyond = usize::try_from(self.from.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        let Some(mask) = &have.mask else {
            return have.tail.len().checked_sub(beyond).is_some_and(|there| self.before == have.tail[..there]);
        };
        // What is hidden has another length here and there, and the comparison may begin within it: the later half decides.
        let mut shown = Masked::default();
        Masker::new(mask.clone()).push(&self.before, &mut shown);
        let half = shown.text.len().min(have.tail.len()) / 2;
        let end = &shown.text[shown.text.len() - half..];
        beyond <= OPEN_LINE && memchr::memmem::find(&have.tail, end).is_some()
    }
}

impl Position {
    fn of(&self, source: Source) -> &StreamPosition {
        match source {
            Source::Stdout => &self.stdout,
            Source::Stderr => &self.stderr,
        }
    }
}

enum Found {
    Never,
    /// One place, which ends at this offset.
    Once(u64),
    /// Several, the last of which ends there.
    Often(u64),
}

/// A log as its reader has it: with secrets hidden, if there are any.
struct View {
    masker: Option<Masker>,
    /// Where a hidden stretch ends in the view, and how many bytes longer it is in the log.
    hidden: VecDeque<(u64, u64)>,
    /// How much longer all of what was passed is in the log.
    longer: u64,
    /// How long the view is.
    len: u64,
}

impl View {
    fn take(&mut self, bytes: &[u8], window: &mut Vec<u8>) {
        let mut out = Masked::default();
        match &mut self.masker {
            Some(masker) => masker.push(bytes, &mut out),
            None => out.text.extend_from_slice(bytes),
        }
        self.add(&out, window);
    }

    fn finish(&mut self, window: &mut Vec<u8>) {
        let mut out = Masked::default();
        if let Some(masker) = &mut self.masker {
            masker.finish(&mut out);
        }
        self.add(&out, window);
    }

    fn add(&mut self, out: &Masked, window: &mut Vec<u8>) {
        let shown = SHOWN.len();
        let ends = out.hidden.iter().map(|hidden| (self.len + (hidden.at + shown) as u64, hidden.bytes - shown as u64));
        self.hidden.extend(ends);
        self.len += out.text.len() as u64;
        window.extend_from_slice(&out.text);
    }

    /// The log's offset for one of the view. Offsets must not go back.
    fn in_log(&mut self, offset: u64) -> u64 {
        while let Some((_, longer)) = self.hidden.pop_front_if(|(end, _)| *end <= offset) {
            self.longer += longer;
        }
        offset + self.longer
    }
}

/// Looks for the last bytes that a reader has.
async fn find(engine: &dyn Engine, id: &ContainerId, source: Source, have: &StreamPosition) -> Result<Found> {
    let mut found = Found::Never;
    let tail = &have.tail;
    let mut view = View { masker: have.mask.clone().map(Masker::new), hidden: VecDeque::new(), longer: 0, len: 0 };
    if tail.is_empty() {
        return Ok(found);
    }
    let finder = memchr::memmem::Finder::new(tail);
    // What was read from the stream's byte `offset` on; large pieces make a quick search.
    let (mut offset, mut window) = (0_u64, Vec::new());
    let mut log = engine.stored_log(id, None).await?;
    loop {
        let frame = log.next().await.transpose()?;
        let at_end = frame.is_none();
        if let Some(frame) = frame.filter(|frame| frame.source == source) {
            view.take(&frame.bytes, &mut window);
        }
        if at_end {
            view.finish(&mut window);
        }
        if at_end || window.len() > 16 * CHUNK.max(tail.len()) {
            let mut searched = 0;
            while let Some(position) = finder.find(&window[searched..]) {
                let end = view.in_log(offset + (searched + position + tail.len()) as u64);
                found = if matches!(found, Found::Never) { Found::Once(end) } else { Found::Often(end) };
                searched += position + 1;
            }
            // One may span two windows; the overlap holds no whole one that was counted already.
            let done = searched.max((window.len() + 1).saturating_sub(tail.len())).min(window.len());
            window.drain(..done);
            offset += done as u64;
            // Forgets what lies behind: what is found from now on ends later.
            view.in_log(offset);
        }
        if at_end {
            return Ok(found);
        }
    }
}

fn push(pieces: &mut Vec<(Source, BytesMut)>, source: Source, bytes: &[u8]) {
    match pieces.last_mut() {
        Some((last, piece)) if *last == source && piece.len() + bytes.len() <= CHUNK => piece.extend_from_slice(bytes),
        _ if bytes.is_empty() => {}
        _ => pieces.push((source, BytesMut::from(bytes))),
    }
}

#[cfg(test)]
#[path = "cursor_tests.rs"]
mod tests;
