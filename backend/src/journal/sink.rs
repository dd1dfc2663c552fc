//! The file side of a writer: blocking, whole lines only, and never worse off after a failure than before it.
//!
//! A disk that is full must not take the run down, nor leave half a line behind, nor pretend that nothing happened. So a
//! short write is cut back to its last whole line, what did not fit is counted by output, and as soon as writing works
//! again the log says how much is missing and why.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::{
    LogState,
    encode::{self, PerSource},
    record::{self, Record, Source},
    stamp::Stamper,
};

/// What a writer needs of a file; small, so that tests can put a failing disk in its place.
pub(super) trait Storage: Send {
    /// Writes some of `bytes` at `offset`, says how many.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Cuts the file to `len` bytes.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

impl Storage for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

/// A file of whole lines that grows at its end.
pub(super) struct LineFile {
    /// The file itself.
    storage: Box<dyn Storage>,
    /// Where the last whole line ends.
    len: u64,
    /// A failed write may have left bytes beyond `len` that could not be cut off yet.
    torn: bool,
}

impl LineFile {
    /// For a file whose whole lines end at `len`.
    pub(super) fn new(storage: Box<dyn Storage>, len: u64) -> Self {
        Self { storage, len, torn: false }
    }

    /// Where the last whole line ends.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Appends lines. On failure the bytes of the whole lines that did get in are returned with the reason, and the file
    /// ends with the last of them.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        if self.torn {
            self.storage.truncate(self.len).map_err(|error| (0, error))?;
            self.torn = false;
        }
        let mut done = 0;
        while done < lines.len() {
            let error = match self.storage.write_at(&lines[done..], self.len + done as u64) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(written) => {
                    done += written;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            let whole = memchr::memrchr(b'\n', &lines[..done]).map_or(0, |newline| newline + 1);
            self.cut(self.len + whole as u64);
            return Err((whole, error));
        }
        self.len += lines.len() as u64;
        Ok(())
    }

    /// Makes `len` the end of the file, now or before the next write.
    fn cut(&mut self, len: u64) {
        self.len = len;
        self.torn = self.storage.truncate(len).is_err();
    }
}

/// Marks that could not be stored are kept up to this size, so that a reason given to the reader is not lost with the rest.
const KEPT_MARKS: usize = 64 * 1024;

/// A log file with its bookkeeping of losses. It owns the batch being written, so that a writer that is dropped half-way
/// loses nothing: whoever locks the sink next stores what is waiting.
pub(super) struct Sink {
    /// The log.
    file: LineFile,
    /// Where the length is published, after the bytes are in the file.
    state: Arc<watch::Sender<LogState>>,
    /// Encoded lines that wait to be written, and the time of the newest.
    waiting: (Vec<u8>, DateTime<Utc>),
    /// Bytes of the script lost since the last loss mark.
    unmarked: PerSource,
    /// Why they were lost.
    reason: String,
    /// Encoded marks that could not be stored.
    marks: Vec<u8>,
    /// The writer is gone; a task of its that comes late must not touch the file.
    closed: bool,
}

/// What became of a batch.
pub(super) struct Stored {
    /// The file's length now.
    pub len: u64,
    /// Bytes of the script that did not get in.
    pub lost: PerSource,
    /// Why, if any or a mark did not.
    pub error: Option<io::Error>,
    /// The batch's memory, emptied, for the next one.
    pub spare: Vec<u8>,
}

impl Sink {
    /// For a log file that publishes its length through `state`.
    pub(super) fn new(file: LineFile, state: Arc<watch::Sender<LogState>>) -> Self {
        Self {
            file,
            state,
            waiting: (Vec::new(), DateTime::UNIX_EPOCH),
            unmarked: PerSource::default(),
            reason: String::new(),
            marks: Vec::new(),
            closed: false,
        }
    }

    /// Hands over encoded lines, the newest of them from `latest`; [`Self::store`] writes them.
    pub(super) fn put(&mut self, lines: Vec<u8>, latest: DateTime<Utc>) {
        if self.waiting.0.is_empty() {
            self.waiting = (lines, latest);
        } else {
            self.waiting.0.extend_from_slice(&lines);
            self.waiting.1 = latest;
        }
    }

    /// Writes what is waiting, a loss mark first if one is due, then publishes the new length.
    pub(super) fn store(&mut self) -> Stored {
        let (mut lines, latest) = std::mem::take(&mut self.waiting);
        let mut lost = PerSource::default();
        if self.closed {
            return Stored { len: self.file.len(), lost, error: None, spare: lines };
        }
        let before = self.file.len();
        let result =
            self.report_loss(&lines, latest).map_err(|error| (0, error)).and_then(|()| self.file.append(&lines));
        let error = result.err().map(|(whole, error)| {
            lost = self.give_up(&lines[whole..], &error);
            error
        });
        let len = self.file.len();
        crate::meters::log_written(len.saturating_sub(before));
        self.state.send_if_modified(|state| std::mem::replace(&mut state.len, len) != len);
        lines.clear();
        Stored { len, lost, error, spare: lines }
    }

    /// From now on [`Self::store`] does nothing.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Whether a loss has not been marked in the log yet.
    pub(super) fn owes_mark(&self) -> bool {
        self.unmarked.total() > 0 || !self.marks.is_empty()
    }

    /// Bytes of the script that are lost and not marked in the log yet.
    pub(super) fn unmarked(&self) -> PerSource {
        self.unmarked
    }

    /// Writes the marks that are due, all or none. They get the time of the first of the `lines` that follow.
    fn report_loss(&mut self, lines: &[u8], latest: DateTime<Utc>) -> io::Result<()> {
        if !self.owes_mark() {
            return Ok(());
        }
        let mut notice = self.marks.clone();
        let at = match memchr::memchr(b'\n', lines) {
            Some(end) => Record::read(&lines[..end]).timestamp(),
            None => latest,
        };
        let mut stamper = Stamper::default();
        for source in Source::ALL {
            let bytes = self.unmarked.of(source);
            if bytes > 0 {
                record::write_mark(&mut notice, stamper.set(at), &encode::loss_mark(bytes, source, &self.reason));
            }
        }
        let before = self.file.len();
        self.file.append(&notice).map_err(|(_, error)| {
            self.file.cut(before);
            error
        })?;
        self.unmarked = PerSource::default();
        self.marks.clear();
        Ok(())
    }

    /// Counts what is in `lines` as lost; marks among them are kept for later.
    fn give_up(&mut self, lines: &[u8], error: &io::Error) -> PerSource {
        let mut lost = PerSource::default();
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', lines) {
            let record = Record::read(&lines[start..end]);
            *lost.of_mut(record.source) += record.script_bytes();
            if record.mark && self.marks.len() < KEPT_MARKS {
                self.marks.extend_from_slice(&lines[start..=end]);
            }
            start = end + 1;
        }
        for source in Source::ALL {
            *self.unmarked.of_mut(source) += lost.of(source);
        }
        let text = error.to_string();
        self.reason = text.split(" (os error").next().unwrap_or_default().to_owned();
        lost
    }
}
