//! The fake's copy of Docker's own log, with the habits of the real one: it takes whole lines, cuts long ones, and forgets
//! its oldest messages when it is full.

use std::collections::VecDeque;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::super::{Source, StoredFrame};

/// Docker's logger cuts lines after so many bytes.
const PIECE: usize = 16 * 1024;

/// One container's log.
pub(super) struct Log {
    messages: VecDeque<StoredFrame>,
    bytes: usize,
    most: usize,
    /// Per stream: what is held until the line is complete.
    unfinished: [Vec<u8>; 2],
}

impl Log {
    /// Keeps at most so many bytes.
    pub fn new(most: usize) -> Self {
        Self { messages: VecDeque::new(), bytes: 0, most, unfinished: [Vec::new(), Vec::new()] }
    }

    pub fn messages(&self) -> Vec<StoredFrame> {
        self.messages.iter().cloned().collect()
    }

    pub fn write(&mut self, now: DateTime<Utc>, source: Source, bytes: &[u8]) {
        let mut pending = std::mem::take(&mut self.unfinished[source as usize]);
        pending.extend_from_slice(bytes);
        let mut rest = Bytes::from(pending);
        loop {
            let window = &rest[..rest.len().min(PIECE)];
            let piece = match memchr::memchr(b'\n', window) {
                Some(newline) => newline + 1,
                None if window.len() == PIECE => PIECE,
                None => break,
            };
            let piece = rest.split_to(piece);
            self.store(now, source, piece);
        }
        self.unfinished[source as usize] = rest.into();
    }

    /// The streams have ended; what is unfinished stays so.
    pub fn end(&mut self, now: DateTime<Utc>) {
        for source in [Source::Stdout, Source::Stderr] {
            let rest = std::mem::take(&mut self.unfinished[source as usize]);
            if !rest.is_empty() {
                self.store(now, source, rest.into());
            }
        }
    }

    fn store(&mut self, timestamp: DateTime<Utc>, source: Source, bytes: Bytes) {
        self.bytes += bytes.len();
        self.messages.push_back(StoredFrame { source, timestamp, bytes });
        while self.bytes > self.most {
            let Some(oldest) = self.messages.pop_front() else { break };
            self.bytes -= oldest.bytes.len();
        }
    }
}
