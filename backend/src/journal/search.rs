//! Finding text in a log: a scan from an offset with a bound on its work and its memory, and a place to go on.

use std::{fs::File, io, ops::ControlFlow};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use memchr::memmem::Finder;

use super::{
    FileKind, Journal, JournalError, RunId, Source, block, index,
    record::{self, Record},
};

/// The longest text that can be looked for, bytes.
pub const MAX_NEEDLE: usize = 1024;
/// A call reads at most this much of the log.
const SCAN: u64 = 64 * 1024 * 1024;
/// Bytes of text shown on each side of a hit.
const AROUND: usize = 100;

/// What to look for, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The text, 1 to [`MAX_NEEDLE`] bytes.
    pub needle: String,
    /// Whether `Error` finds `ERROR`, for all letters that Unicode knows.
    pub ignore_case: bool,
    /// Only in this output; `None` for both. Marks count as stderr.
    pub source: Option<Source>,
    /// The offset to begin at: 0, or where the last page said to go on.
    pub from: u64,
    /// Hits wanted at most.
    pub limit: usize,
}

/// A stored line with the text in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Where the stored line starts: a place to read or to link to.
    pub offset: u64,
    /// The number of the line, the first is 1.
    pub line: u64,
    /// When it arrived.
    pub timestamp: DateTime<Utc>,
    /// Which output.
    pub source: Source,
    /// The text around the first place found, without torn characters.
    pub excerpt: Bytes,
}

/// Some hits, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPage {
    /// What was found.
    pub hits: Vec<Hit>,
    /// Everything before this offset was looked at.
    pub scanned: u64,
    /// Where to go on; `None` when the end was reached (for a run that goes on, go on at `scanned` later).
    pub next: Option<u64>,
}

impl Journal {
    /// Looks for a text, line by line. A call returns after [`Search::limit`] hits or 64 MiB of log, whatever is first, with
    /// the place to go on; a page may be empty without being the last. Text that runs over a border between the pieces of a
    /// long line is found, and counts for the later piece.
    ///
    /// # Errors
    /// [`JournalError::Needle`], [`JournalError::NotFound`], or the file could not be read.
    pub async fn search(&self, run: RunId, search: Search) -> Result<SearchPage, JournalError> {
        if search.needle.is_empty() || search.needle.len() > MAX_NEEDLE {
            return Err(JournalError::Needle { max: MAX_NEEDLE });
        }
        let index = self.inner.indexes.of(run);
        self.with_file(run, FileKind::Log, move |file, state| {
            let from = block::align(file, search.from, state.len)?;
            let before = index::lock(&index).count_before(file, from)?;
            scan(file, from, state.len, before.lines, &search, SCAN)
        })
        .await
    }
}

/// Looks through `from..end` of a log, of which `lines` lines lie before `from`, but reads no more than about `budget` bytes.
pub(super) fn scan(
    file: &File,
    from: u64,
    end: u64,
    mut lines: u64,
    search: &Search,
    budget: u64,
) -> io::Result<SearchPage> {
    let mut matcher = Matcher::new(search);
    matcher.look_back(file, from)?;
    let mut cursor = block::Lines::new(file, from, end);
    let mut hits = Vec::new();
    while hits.len() < search.limit && cursor.offset() - from < budget {
        let Some((offset, line)) = cursor.next()? else {
            return Ok(SearchPage { hits, scanned: cursor.offset(), next: None });
        };
        let record = Record::read(line);
        if let Some(excerpt) = matcher.find(&record) {
            let (timestamp, source) = (record.timestamp(), record.source);
            hits.push(Hit { offset, line: lines + 1, timestamp, source, excerpt });
        }
        lines += u64::from(record.terminated);
    }
    let scanned = cursor.offset();
    Ok(SearchPage { hits, scanned, next: (scanned < end).then_some(scanned) })
}

/// Looks into lines one after the other.
struct Matcher<'s> {
    /// What is wanted.
    search: &'s Search,
    /// Finds the needle (in lower case if the case is ignored).
    finder: Finder<'static>,
    /// The end of an unfinished line, by [`Source::index`]: the needle may begin there.
    carry: [Vec<u8>; 2],
    /// Memory for a line in lower case.
    folded: Vec<u8>,
}

impl<'s> Matcher<'s> {
    /// For one search.
    fn new(search: &'s Search) -> Self {
        let needle = if search.ignore_case { search.needle.to_lowercase() } else { search.needle.clone() };
        let finder = Finder::new(&needle).into_owned();
        Self { search, finder, carry: [Vec::new(), Vec::new()], folded: Vec::new() }
    }

    /// Takes up the piece right before the place where the search begins, in case that is within a long line.
    fn look_back(&mut self, file: &File, from: u64) -> io::Result<()> {
        let mut before = None;
        block::visit_backwards(file, from, |offset, _| {
            before = Some(offset);
            ControlFlow::Break(())
        })?;
        if let Some(offset) = before {
            let line = block::read_range(file, offset, from.saturating_sub(1).min(offset + record::MAX_RECORD as u64))?;
            self.find(&Record::read(&line));
        }
        Ok(())
    }

    /// The text around the needle, if it is in this line.
    fn find(&mut self, record: &Record<'_>) -> Option<Bytes> {
        if self.search.source.is_some_and(|source| source != record.source) {
            return None;
        }
        let carry = &mut self.carry[record.source.index()];
        // A mark may come between the pieces of a line, but is no part of it.
        if record.mark || (record.terminated && carry.is_empty()) {
            return find_in(&self.finder, &mut self.folded, self.search.ignore_case, record.text);
        }
        carry.extend_from_slice(record.text);
        let found = find_in(&self.finder, &mut self.folded, self.search.ignore_case, carry);
        if record.terminated || found.is_some() {
            carry.clear();
        }
        if !record.terminated {
            // What an incomplete match can consist of. A letter in lower case has at least a third of its bytes.
            let keep = (self.finder.needle().len() * 3).min(carry.len());
            carry.drain(..carry.len() - keep);
        }
        found
    }
}

/// The text around the first place where the needle is.
fn find_in(finder: &Finder<'_>, folded: &mut Vec<u8>, ignore_case: bool, text: &[u8]) -> Option<Bytes> {
    let at = if !ignore_case {
        finder.find(text)?
    } else if finder.needle().is_ascii() && text.is_ascii() {
        folded.clear();
        folded.extend_from_slice(text);
        folded.make_ascii_lowercase();
        finder.find(folded)?
    } else {
        // Folding may shift places a little; the excerpt is wide enough.
        finder.find(String::from_utf8_lossy(text).to_lowercase().as_bytes())?.min(text.len())
    };
    let mut from = at.saturating_sub(AROUND);
    while from > 0 && from < at && text[from] & 0xC0 == 0x80 {
        from += 1;
    }
    let to = text.len().min(at + finder.needle().len() + AROUND);
    let to = from + record::whole_chars(&text[from..to], text.len() - from);
    Some(Bytes::copy_from_slice(&text[from..to]))
}
