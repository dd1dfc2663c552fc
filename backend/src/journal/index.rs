//! Counting and finding: how many lines lie before an offset, where line N starts, where a moment lies.
//!
//! Lines have different lengths, so a count needs a scan; the index remembers the counts at every [`STEP`] bytes, made when
//! first needed and extended as the file grows. A gigabyte of log costs 64 KiB of index, and from then on each question
//! reads one step of the file. Time needs no index: timestamps never go back, so halving finds it.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};

use super::{
    RunId, block,
    record::{self, MARK_HEADER, Record},
};

/// Bytes between two remembered counts.
const STEP: u64 = 256 * 1024;
/// Indexes kept at a time; the least recently used goes first.
const KEPT: usize = 64;

/// A number of stored lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// All stored lines, pieces and marks included.
    pub records: u64,
    /// Those that end a line: what people number.
    pub lines: u64,
}

/// The remembered counts of one log.
#[derive(Debug)]
pub(super) struct LineIndex {
    /// `counts[i]` is about the stored lines that start before `i * STEP`.
    counts: Vec<Count>,
}

impl Default for LineIndex {
    fn default() -> Self {
        Self { counts: vec![Count::default()] }
    }
}

impl LineIndex {
    /// Counts the stored lines that start before `offset`.
    pub(super) fn count_before(&mut self, file: &File, offset: u64) -> io::Result<Count> {
        let count = self.count_in_time(file, offset, || true)?;
        Ok(count.unwrap_or_default())
    }

    /// As [`Self::count_before`], but gives up (`None`) when `patient` says so. What was counted by then is kept, so a later
    /// question gets further.
    pub(super) fn count_in_time(
        &mut self,
        file: &File,
        offset: u64,
        mut patient: impl FnMut() -> bool,
    ) -> io::Result<Option<Count>> {
        let wanted = offset / STEP;
        while (self.counts.len() as u64 - 1) < wanted {
            if !patient() {
                return Ok(None);
            }
            self.extend(file)?;
        }
        let mut count = self.counts[wanted as usize];
        add_starts(&mut count, file, wanted * STEP, offset)?;
        Ok(Some(count))
    }

    /// Where line `number` (the first is 1) starts in the first `end` bytes; `end` when there are fewer lines.
    pub(super) fn offset_of_line(&mut self, file: &File, number: u64, end: u64) -> io::Result<u64> {
        // A line starts behind the stored line that ended the one before it.
        let before = number.saturating_sub(1);
        if before == 0 {
            return Ok(0);
        }
        while self.last().lines < before && (self.counts.len() as u64) * STEP <= end {
            self.extend(file)?;
        }
        let step = self.counts.partition_point(|count| count.lines < before) - 1;
        let mut lines = self.counts[step].lines;
        let mut cursor = block::Lines::new(file, block::align(file, step as u64 * STEP, end)?, end);
        while let Some((_, line)) = cursor.next()? {
            lines += u64::from(record::glance(line).1);
            if lines == before {
                return Ok(cursor.offset());
            }
        }
        Ok(end)
    }

    /// The count at the last remembered place.
    fn last(&self) -> Count {
        self.counts.last().copied().unwrap_or_default()
    }

    /// Remembers one more place.
    fn extend(&mut self, file: &File) -> io::Result<()> {
        let from = (self.counts.len() as u64 - 1) * STEP;
        let mut count = self.last();
        add_starts(&mut count, file, from, from + STEP)?;
        self.counts.push(count);
        Ok(())
    }
}

/// Counts the stored lines that start in `from..to`.
fn add_starts(count: &mut Count, file: &File, from: u64, to: u64) -> io::Result<()> {
    if from >= to {
        return Ok(());
    }
    // A start is 0 or lies behind a newline; a header reaches further than the range.
    let lower = from.saturating_sub(1);
    let block = block::read_range(file, lower, to + MARK_HEADER as u64)?;
    let mut add = |head: &[u8]| {
        count.records += 1;
        count.lines += u64::from(record::glance(head).1);
    };
    if from == 0 && !block.is_empty() {
        add(&block);
    }
    let inner = block.len().min((to - 1 - lower) as usize);
    for newline in memchr::memchr_iter(b'\n', &block[..inner]) {
        let head = &block[newline + 1..];
        // The end of the file is no start of a line.
        if !head.is_empty() {
            add(head);
        }
    }
    Ok(())
}

/// Where the first stored line of the first `end` bytes starts that is from `at` or later; `end` when none is.
pub(super) fn offset_of_time(file: &File, at: DateTime<Utc>, end: u64) -> io::Result<u64> {
    let earlier = |line: &[u8]| Record::read(line).timestamp() < at;
    // All lines that start before `low` are earlier, none that starts at `high` or behind it is.
    let (mut low, mut high) = (0, end);
    while high - low > STEP {
        let middle = block::align(file, low + (high - low) / 2, high)?;
        let mut cursor = block::Lines::new(file, middle, high.min(middle + record::MAX_RECORD as u64));
        match cursor.next()? {
            Some((_, line)) if earlier(line) => low = cursor.offset(),
            Some(_) => high = middle,
            // No line starts in the upper half: scan what is left.
            None => break,
        }
    }
    let mut cursor = block::Lines::new(file, low, high);
    while let Some((offset, line)) = cursor.next()? {
        if !earlier(line) {
            return Ok(offset);
        }
    }
    Ok(high)
}

/// The indexes of the logs that were asked about lately.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    /// The most recently used is last.
    kept: Mutex<VecDeque<(RunId, Arc<Mutex<LineIndex>>)>>,
}

impl Indexes {
    /// The index of a run's log. Lock it (see [`lock`]) on a blocking thread only.
    pub(super) fn of(&self, run: RunId) -> Arc<Mutex<LineIndex>> {
        let mut kept = lock(&self.kept);
        let index = match kept.iter().position(|(other, _)| *other == run) {
            Some(at) => kept.remove(at).map(|(_, index)| index),
            None => None,
        }
        .unwrap_or_default();
        kept.push_back((run, index.clone()));
        if kept.len() > KEPT {
            kept.pop_front();
        }
        index
    }

    /// Forgets a run: its file is gone or was cut.
    pub(super) fn forget(&self, run: RunId) {
        lock(&self.kept).retain(|(other, _)| *other != run);
    }
}

/// Locks; a panic while counting leaves nothing half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
