//! What a stored log holds, for a writer that goes on with it.
//!
//! After a crash of ours the container kept printing. Docker's own log has (part of) what we missed; to append exactly that,
//! the caller needs to know how much of each output we have and how it begins and ends.

use std::{fs::File, io};

use chrono::{DateTime, Utc};

use super::{Source, block::Lines, encode, files::Cut, record::Record};

/// How much of an output's beginning is kept for comparing.
const HEAD: usize = 4 * 1024;
/// How much of an output's end is kept for comparing.
const TAIL: usize = 64 * 1024;

/// What a log holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredLog {
    /// The file's length, bytes, after a torn line was cut off.
    pub len: u64,
    /// Bytes of a torn last line that were cut off.
    pub cut: u64,
    /// When the first line arrived.
    pub first_timestamp: Option<DateTime<Utc>>,
    /// When the last line arrived.
    pub last_timestamp: Option<DateTime<Utc>>,
    /// What standard output wrote.
    pub stdout: StoredStream,
    /// What standard error wrote, without marks.
    pub stderr: StoredStream,
    /// How many marks there are.
    pub marks: u64,
    /// The log has reached its size limit: further output is counted, not stored, so there is no gap to fill.
    pub capped: bool,
}

/// What a log holds of one output. The script has written `bytes + missing` bytes to it up to the end of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredStream {
    /// Bytes of the script that are stored, newlines and what is hidden included.
    pub bytes: u64,
    /// Bytes that the disk refused, by the log's own marks. They lie somewhere before the end.
    pub missing: u64,
    /// Lines ended.
    pub lines: u64,
    /// The last line is not ended yet.
    pub open: bool,
    /// The first bytes, up to 4 KiB: whether Docker's log still begins at the beginning.
    pub head: Vec<u8>,
    /// The last bytes, up to 64 KiB, with what is hidden hidden: where in Docker's log ours ends.
    pub tail: Vec<u8>,
    /// When the first of them arrived.
    pub first_timestamp: Option<DateTime<Utc>>,
    /// When the last of them arrived.
    pub last_timestamp: Option<DateTime<Utc>>,
}

impl StoredLog {
    /// One of the two outputs.
    pub fn of(&self, source: Source) -> &StoredStream {
        match source {
            Source::Stdout => &self.stdout,
            Source::Stderr => &self.stderr,
        }
    }

    /// One of the two outputs, to change it.
    fn of_mut(&mut self, source: Source) -> &mut StoredStream {
        match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        }
    }
}

/// Reads a log whose torn last line was cut off.
pub(super) fn scan(file: &File, cut: Cut) -> io::Result<StoredLog> {
    let mut log = StoredLog { len: cut.len, cut: cut.torn, ..StoredLog::default() };
    let mut lines = Lines::new(file, 0, cut.len);
    while let Some((_, line)) = lines.next()? {
        // A foreign line (someone edited the file) is nothing the script wrote.
        let Some(record) = Record::parse(line) else { continue };
        let at = super::stamp::parse(record.stamp);
        log.first_timestamp = log.first_timestamp.or(at);
        log.last_timestamp = log.last_timestamp.max(at);
        if record.mark {
            log.marks += 1;
            log.capped |= encode::is_cap_mark(record.text);
            if let Some((bytes, source)) = encode::read_loss_mark(record.text) {
                log.of_mut(source).missing += bytes;
            }
        } else {
            log.of_mut(record.source).add(&record, at);
        }
    }
    for source in Source::ALL {
        log.of_mut(source).trim();
    }
    Ok(log)
}

impl StoredStream {
    /// Notes one stored line.
    fn add(&mut self, record: &Record<'_>, at: Option<DateTime<Utc>>) {
        self.bytes += record.script_bytes();
        self.lines += u64::from(record.terminated);
        self.open = !record.terminated;
        self.first_timestamp = self.first_timestamp.or(at);
        self.last_timestamp = at.or(self.last_timestamp);
        let newline: &[u8] = if record.terminated { b"\n" } else { b"" };
        for bytes in [record.text, newline] {
            let room = HEAD - self.head.len();
            self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
            self.tail.extend_from_slice(bytes);
        }
        // Trimming now and then, not at each line, keeps this a copy per byte.
        if self.tail.len() > 4 * TAIL {
            self.trim();
        }
    }

    /// Forgets all but the last [`TAIL`] bytes.
    fn trim(&mut self) {
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
    }
}
