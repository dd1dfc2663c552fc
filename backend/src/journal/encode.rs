//! From the frames of a container's output to stored lines. Pure: bytes in, bytes out, nothing is opened here.
//!
//! Frames cut the output anywhere, and the two outputs interleave, so each has its own unfinished tail. A line is stored
//! when its newline arrives; a line longer than [`MAX_TEXT`] is stored in pieces as it grows, so memory stays constant
//! whatever a script prints.

use chrono::{DateTime, Utc};

use super::{
    record::{self, HIDDEN_TAG, MAX_TEXT, Source},
    stamp::Stamper,
};

/// Byte counts for the two outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerSource {
    /// For standard output.
    pub stdout: u64,
    /// For standard error.
    pub stderr: u64,
}

impl PerSource {
    /// Both together.
    pub fn total(self) -> u64 {
        self.stdout + self.stderr
    }

    /// The count of one output.
    pub fn of(self, source: Source) -> u64 {
        match source {
            Source::Stdout => self.stdout,
            Source::Stderr => self.stderr,
        }
    }

    /// The count of one output, to change it.
    pub(super) fn of_mut(&mut self, source: Source) -> &mut u64 {
        match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        }
    }
}

/// An output's text since its last stored line.
#[derive(Debug, Default)]
struct Tail {
    /// At most [`MAX_TEXT`] bytes without a newline.
    text: Vec<u8>,
    /// How many bytes more the script wrote, for something is hidden in it.
    hidden: u64,
    /// When the last of them arrived.
    at: DateTime<Utc>,
}

/// The most that is hidden in one stored line: what its tag can tell, with room for one more.
const MAX_HIDDEN: u64 = 0x7fff_ffff;

/// Splits, stamps and encodes; counts what it stored and what the cap made it leave out.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    /// Formats timestamps.
    stamper: Stamper,
    /// The latest timestamp used: a log never goes back in time, whatever the machine's clock does, so that it can be
    /// searched by time.
    latest: DateTime<Utc>,
    /// The unfinished lines, by [`Source::index`].
    tails: [Tail; 2],
    /// How long the file is once everything encoded so far is in it.
    len: u64,
    /// The length that the script's lines may fill.
    max_len: Option<u64>,
    /// The cap was reached and its mark is written.
    capped: bool,
    /// Bytes of the script that were encoded.
    stored: PerSource,
    /// Bytes of the script that the cap left out.
    beyond_cap: PerSource,
}

impl Encoder {
    /// For a file of `len` bytes whose last line is from `latest`; `capped` when its cap was reached before.
    pub(super) fn new(len: u64, latest: DateTime<Utc>, max_len: Option<u64>, capped: bool, stored: PerSource) -> Self {
        Self { len, latest, max_len, capped, stored, ..Self::default() }
    }

    /// Bytes of the script that were encoded, including what a resumed file held.
    pub(super) fn stored(&self) -> PerSource {
        self.stored
    }

    /// Bytes of the script that the cap left out.
    pub(super) fn beyond_cap(&self) -> PerSource {
        self.beyond_cap
    }

    /// Whether unfinished lines wait for their newline.
    pub(super) fn has_tails(&self) -> bool {
        self.tails.iter().any(|tail| !tail.text.is_empty())
    }

    /// The latest timestamp used.
    pub(super) fn latest(&self) -> DateTime<Utc> {
        self.latest
    }

    /// What really happened to what was encoded: the file will be `len` bytes long, and `lost` bytes of the script are not
    /// in it because the disk refused them.
    pub(super) fn settle(&mut self, len: u64, lost: PerSource) {
        self.len = len;
        for source in Source::ALL {
            let stored = self.stored.of_mut(source);
            *stored = stored.saturating_sub(lost.of(source));
        }
    }

    /// Takes the next bytes of an output, which arrived `at`; finished lines and full pieces go to `out`.
    pub(super) fn push(&mut self, out: &mut Vec<u8>, source: Source, at: DateTime<Utc>, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.stamp(at);
        let mut tail = std::mem::take(&mut self.tails[source.index()]);
        tail.at = at;
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            self.text(out, source, &mut tail, &bytes[start..end], true);
            start = end + 1;
        }
        self.text(out, source, &mut tail, &bytes[start..], false);
        self.tails[source.index()] = tail;
    }

    /// Takes `shown` in the place of `bytes` bytes that the script wrote and that are hidden. It is never cut in two, so that
    /// each stored line knows what it stands for.
    pub(super) fn push_hidden(
        &mut self,
        out: &mut Vec<u8>,
        source: Source,
        at: DateTime<Utc>,
        shown: &[u8],
        bytes: u64,
    ) {
        self.stamp(at);
        let mut tail = std::mem::take(&mut self.tails[source.index()]);
        tail.at = at;
        if !tail.text.is_empty() && (tail.text.len() + shown.len() > MAX_TEXT || tail.hidden >= MAX_HIDDEN) {
            self.emit(out, source, false, std::mem::take(&mut tail.hidden), &tail.text);
            tail.text.clear();
        }
        tail.text.extend_from_slice(shown);
        tail.hidden += bytes.saturating_sub(shown.len() as u64);
        self.tails[source.index()] = tail;
    }

    /// Stores the unfinished lines as pieces. Unless `last`, a torn UTF-8 character waits for its rest, so that a viewer
    /// who decodes line by line sees it whole.
    pub(super) fn flush_tails(&mut self, out: &mut Vec<u8>, last: bool) {
        for source in Source::ALL {
            let mut tail = std::mem::take(&mut self.tails[source.index()]);
            let keep = if last { 0 } else { record::torn_char(&tail.text) };
            let cut = tail.text.len() - keep;
            if cut > 0 {
                self.stamp(tail.at);
                self.emit(out, source, false, std::mem::take(&mut tail.hidden), &tail.text[..cut]);
                tail.text.drain(..cut);
            }
            self.tails[source.index()] = tail;
        }
    }

    /// Writes a mark. The cap does not hold it back: marks are few, and the reason something is missing must be seen.
    pub(super) fn mark(&mut self, out: &mut Vec<u8>, at: DateTime<Utc>, text: &str) {
        self.stamp(at);
        self.mark_now(out, text);
    }

    /// Writes a mark with the latest timestamp.
    fn mark_now(&mut self, out: &mut Vec<u8>, text: &str) {
        let before = out.len();
        record::write_mark(out, self.stamper.set(self.latest), text);
        self.len += (out.len() - before) as u64;
    }

    /// Moves the clock of the log on to `at`, if that is later.
    fn stamp(&mut self, at: DateTime<Utc>) {
        self.latest = self.latest.max(at);
    }

    /// Text of a source without a newline in it; `ends` when one followed. `tail` is what came before on the same line.
    fn text(&mut self, out: &mut Vec<u8>, source: Source, tail: &mut Tail, mut text: &[u8], ends: bool) {
        while tail.text.len() + text.len() > MAX_TEXT {
            if tail.text.is_empty() {
                let cut = record::whole_chars(&text[..MAX_TEXT], text.len());
                self.emit(out, source, false, 0, &text[..cut]);
                text = &text[cut..];
            } else {
                let (fill, rest) = text.split_at(MAX_TEXT - tail.text.len());
                tail.text.extend_from_slice(fill);
                text = rest;
                let cut = record::whole_chars(&tail.text, tail.text.len() + rest.len());
                self.emit(out, source, false, std::mem::take(&mut tail.hidden), &tail.text[..cut]);
                tail.text.drain(..cut);
            }
        }
        if !ends {
            tail.text.extend_from_slice(text);
        } else if tail.text.is_empty() {
            self.emit(out, source, true, 0, text);
        } else {
            tail.text.extend_from_slice(text);
            self.emit(out, source, true, std::mem::take(&mut tail.hidden), &tail.text);
            tail.text.clear();
        }
    }

    /// One stored line, unless the cap is reached.
    fn emit(&mut self, out: &mut Vec<u8>, source: Source, terminated: bool, hidden: u64, text: &[u8]) {
        let script_bytes = text.len() as u64 + u64::from(terminated) + hidden;
        let tag = if hidden == 0 { 0 } else { HIDDEN_TAG };
        let record = (record::HEADER + tag + text.len() + 1) as u64;
        if let Some(max) = self.max_len.filter(|&max| !self.capped && self.len + record > max) {
            self.capped = true;
            self.mark_now(out, &cap_mark(max));
        }
        if self.capped {
            *self.beyond_cap.of_mut(source) += script_bytes;
            return;
        }
        record::write(out, self.stamper.set(self.latest), source, terminated, hidden, text);
        self.len += record;
        *self.stored.of_mut(source) += script_bytes;
    }
}

/// How the mark of a reached cap ends; a resumed log is recognised as capped by it.
const CAP_MARK: &str = "further output is not stored";

/// The mark's text when a log reaches `max` bytes.
fn cap_mark(max: u64) -> String {
    format!("this log has reached its limit of {} MB, {CAP_MARK}", max.div_ceil(1024 * 1024))
}

/// Whether a mark's text (with its prefix) says that the cap was reached.
pub(super) fn is_cap_mark(text: &[u8]) -> bool {
    text.ends_with(CAP_MARK.as_bytes())
}

/// The mark's text when `bytes` of an output did not reach the disk.
pub(super) fn loss_mark(bytes: u64, source: Source, reason: &str) -> String {
    format!("{bytes} bytes of output could not be stored: {reason} ({})", source.name())
}

/// Reads [`loss_mark`] back from a mark's text (with its prefix).
pub(super) fn read_loss_mark(text: &[u8]) -> Option<(u64, Source)> {
    let text = std::str::from_utf8(text).ok()?.strip_prefix(record::MARK_PREFIX)?;
    let (bytes, rest) = text.split_once(" bytes of output could not be stored: ")?;
    let source = Source::ALL.into_iter().find(|source| {
        rest.strip_suffix(')').and_then(|rest| rest.strip_suffix(source.name())).is_some_and(|rest| rest.ends_with('('))
    })?;
    Some((bytes.parse().ok()?, source))
}
