//! Reading a log by position. Every call is one visit to the file: positions are byte offsets of stored lines, so nothing
//! has to be remembered between calls, and memory is bounded by what was asked for.

use std::{fs::File, io, ops::ControlFlow};

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::{
    FileKind, Journal, JournalError, LogLine, RunId, Source, block, index,
    record::{self, MAX_RECORD, Record},
};

/// No page reads more of a file than this, whatever is asked for.
const LARGEST_PAGE: usize = 8 * 1024 * 1024;

/// Some lines of a log and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The lines, oldest first.
    pub lines: Vec<LogLine>,
    /// The offset behind the last of them: where the next page starts.
    pub next: u64,
    /// Where the log ended when this was read. The page is the last one when `next` is equal.
    pub end: u64,
    /// Nothing will be added behind `end`.
    pub finished: bool,
}

impl Journal {
    /// At most `max_lines` stored lines (pieces and marks count) from `offset` on, and at most about `max_bytes` of the
    /// file (8 MiB are the most), but at least one line if there is one. An offset inside a line moves on to the next; one beyond the end
    /// becomes the end.
    ///
    /// # Errors
    /// [`JournalError::NotFound`], or the file could not be read.
    pub async fn read_lines(
        &self,
        run: RunId,
        offset: u64,
        max_lines: usize,
        max_bytes: usize,
    ) -> Result<Page, JournalError> {
        self.with_file(run, FileKind::Log, move |file, state| {
            let start = block::align(file, offset, state.len)?;
            let (lines, next) = read_page(file, start, state.len, max_lines, max_bytes)?;
            Ok(Page { lines, next, end: state.len, finished: state.finished })
        })
        .await
    }

    /// Where the last `lines` lines begin, read backwards from the end. Pieces belong to the line they are part of; output
    /// without a final newline counts as a line, as in `tail`. With `source`, only that output's lines are counted.
    ///
    /// # Errors
    /// [`JournalError::NotFound`], or the file could not be read.
    pub async fn tail_offset(&self, run: RunId, lines: u64, source: Option<Source>) -> Result<u64, JournalError> {
        self.with_file(run, FileKind::Log, move |file, state| tail_offset(file, state.len, lines, source)).await
    }

    /// Where the `lines` lines before `offset` begin: the page before one. See [`Self::tail_offset`].
    ///
    /// # Errors
    /// [`JournalError::NotFound`], or the file could not be read.
    pub async fn offset_back(&self, run: RunId, offset: u64, lines: u64) -> Result<u64, JournalError> {
        self.with_file(run, FileKind::Log, move |file, state| {
            let end = block::align(file, offset, state.len)?;
            tail_offset(file, end, lines, None)
        })
        .await
    }

    /// How many lines end in the stored lines that start in `from..to`: the number of lines that a viewer who jumps from
    /// one offset to the other does not see. The first question about a log reads it up to `to`.
    ///
    /// # Errors
    /// [`JournalError::NotFound`], or the file could not be read.
    pub async fn count_lines(&self, run: RunId, from: u64, to: u64) -> Result<u64, JournalError> {
        let index = self.inner.indexes.of(run);
        self.with_file(run, FileKind::Log, move |file, state| {
            let mut index = index::lock(&index);
            let mut before = |offset| {
                let offset = block::align(file, offset, state.len)?;
                Ok::<_, io::Error>(index.count_before(file, offset)?.lines)
            };
            Ok(before(to)?.saturating_sub(before(from)?))
        })
        .await
    }

    /// The number of the line at `offset`; the first is 1. The first question about a log reads it up to `offset`.
    ///
    /// # Errors
    /// [`JournalError::NotFound`], or the file could not be read.
    pub async fn line_at(&self, run: RunId, offset: u64) -> Result<u64, JournalError> {
        Ok(self.count_lines(run, 0, offset).await? + 1)
    }

    /// Where line `number` begins; the first is 1. Beyond the last line it is the end. The first question about a log reads
    /// it up to that line.
    ///
    /// # Errors
    /// [`JournalError::NotFound`], or the file could not be read.
    pub async fn offset_of_line(&self, run: RunId, number: u64) -> Result<u64, JournalError> {
        let index = self.inner.indexes.of(run);
        self.with_file(run, FileKind::Log, move |file, state| {
            index::lock(&index).offset_of_line(file, number, state.len)
        })
        .await
    }

    /// Where the first line from `at` or later begins; the end if there is none. Found by halving, without reading the log.
    ///
    /// # Errors
    /// [`JournalError::NotFound`], or the file could not be read.
    pub async fn offset_of_time(&self, run: RunId, at: DateTime<Utc>) -> Result<u64, JournalError> {
        self.with_file(run, FileKind::Log, move |file, state| index::offset_of_time(file, at, state.len)).await
    }
}

/// The lines from `start` (the beginning of one) on, and the offset behind them.
pub(super) fn read_page(
    file: &File,
    start: u64,
    end: u64,
    max_lines: usize,
    max_bytes: usize,
) -> io::Result<(Vec<LogLine>, u64)> {
    let upper = end.min(start.saturating_add(max_bytes.clamp(MAX_RECORD, LARGEST_PAGE) as u64));
    let mut bytes = block::read_range(file, start, upper)?;
    let mut ends: Vec<usize> = memchr::memchr_iter(b'\n', &bytes).take(max_lines).collect();
    let mut next = start + ends.last().map_or(0, |&newline| newline as u64 + 1);
    if ends.is_empty() && max_lines > 0 && upper < end {
        // Longer than any line of ours: the file was damaged. Show the beginning, go on behind it.
        next = block::align(file, upper, end)?;
        ends.push(bytes.len().min(MAX_RECORD));
    }
    // The lines share one block of memory; it must not be larger than they are, for a cache may keep it.
    bytes.truncate(ends.last().map_or(0, |&newline| newline));
    bytes.shrink_to_fit();
    let bytes = Bytes::from(bytes);
    let mut from = 0;
    let lines = ends.into_iter().map(|newline| {
        let line = bytes.slice(from..newline);
        let record = Record::read(&line);
        let entry = LogLine {
            offset: start + from as u64,
            timestamp: record.timestamp(),
            source: record.source,
            terminated: record.terminated,
            mark: record.mark,
            text: line.slice_ref(record.text),
        };
        from = newline + 1;
        entry
    });
    Ok((lines.collect(), next))
}

/// Where the last `lines` lines before `end` begin, see [`Journal::tail_offset`].
pub(super) fn tail_offset(file: &File, end: u64, lines: u64, source: Option<Source>) -> io::Result<u64> {
    let mut found = 0;
    let mut start = end;
    block::visit_backwards(file, end, |offset, head| {
        let (line_source, ends_line) = record::glance(head);
        if source.is_some_and(|source| source != line_source) {
            return ControlFlow::Continue(());
        }
        // Going backwards, a line begins where the one before it ended; the very last needs no end of its own.
        if ends_line || found == 0 {
            if found == lines {
                return ControlFlow::Break(());
            }
            found += 1;
        }
        start = offset;
        ControlFlow::Continue(())
    })?;
    Ok(start)
}

/// Where the last `count` stored lines (pieces and marks count) before `end` begin.
pub(super) fn tail_records(file: &File, end: u64, count: u64) -> io::Result<u64> {
    let (mut found, mut start) = (0, end);
    if count == 0 {
        return Ok(end);
    }
    block::visit_backwards(file, end, |offset, _| {
        found += 1;
        start = offset;
        if found >= count { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(start)
}
