//! Reading a file of lines in bounded pieces: forwards, backwards, and to the nearest line. Blocking, constant memory
//! whatever the file's size, positions instead of a cursor in the file handle, so that any number of readers share one.

use std::{fs::File, io, ops::ControlFlow, os::unix::fs::FileExt};

use super::record::{MARK_HEADER, MAX_RECORD};

/// How much is read at a time.
pub(super) const BLOCK: usize = 256 * 1024;
/// The same when only a few lines near one place are wanted.
const SMALL_BLOCK: usize = 32 * 1024;

/// Fills `buffer` from `offset` on as far as the file goes; says how many bytes that was.
pub(super) fn read_up_to(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<usize> {
    let wanted = buffer.len();
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => break,
            Ok(read) => {
                buffer = &mut buffer[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(wanted - buffer.len())
}

/// The bytes from `from` to `to`, fewer if the file ends before.
pub(super) fn read_range(file: &File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; to.saturating_sub(from) as usize];
    let read = read_up_to(file, &mut bytes, from)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Where the last whole line of the first `len` bytes ends: behind its newline, or 0. Bytes after it are a torn line.
pub(super) fn settled_len(file: &File, len: u64) -> io::Result<u64> {
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(SMALL_BLOCK as u64);
        let block = read_range(file, start, end)?;
        if let Some(newline) = memchr::memrchr(b'\n', &block) {
            return Ok(start + newline as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// The first start of a line at or after `offset`; `end` (which must be one) when there is none before it.
pub(super) fn align(file: &File, offset: u64, end: u64) -> io::Result<u64> {
    if offset == 0 || offset >= end {
        return Ok(offset.min(end));
    }
    // A line starts behind a newline, so the byte before `offset` decides whether it is one already.
    let mut from = offset - 1;
    while from < end {
        let block = read_range(file, from, end.min(from + SMALL_BLOCK as u64))?;
        if let Some(newline) = memchr::memchr(b'\n', &block) {
            return Ok(from + newline as u64 + 1);
        }
        if block.is_empty() {
            break;
        }
        from += block.len() as u64;
    }
    Ok(end)
}

/// Walks over the lines from `offset` (the start of one) to `end`.
pub(super) struct Lines<'f> {
    /// What is read.
    file: &'f File,
    /// Nothing beyond this is read.
    end: u64,
    /// Bytes read but not walked over yet, at `buffer[pos..filled]`.
    buffer: Vec<u8>,
    /// See `buffer`.
    pos: usize,
    /// See `buffer`.
    filled: usize,
    /// Where `buffer[pos]` is in the file.
    offset: u64,
}

impl<'f> Lines<'f> {
    /// From `offset` to `end`.
    pub(super) fn new(file: &'f File, offset: u64, end: u64) -> Self {
        let size = end.saturating_sub(offset).min(BLOCK as u64) as usize;
        Self { file, end, buffer: vec![0; size], pos: 0, filled: 0, offset }
    }

    /// Where the next line starts.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next line's offset and bytes (without the newline); `None` at the end or before a torn line. A line that is
    /// longer than any of ours is cut, its rest skipped: the file was damaged, and memory must stay bounded.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        let mut searched = 0;
        loop {
            let unread = &self.buffer[self.pos..self.filled];
            if let Some(newline) = memchr::memchr(b'\n', &unread[searched..]) {
                let (start, length, offset) = (self.pos, searched + newline, self.offset);
                self.pos += length + 1;
                self.offset += length as u64 + 1;
                return Ok(Some((offset, &self.buffer[start..start + length])));
            }
            searched = unread.len();
            if searched > MAX_RECORD && self.filled == self.buffer.len() && self.pos == 0 {
                return self.cut_long_line();
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads on behind what is left; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.copy_within(self.pos..self.filled, 0);
        self.filled -= self.pos;
        self.pos = 0;
        let from = self.offset + self.filled as u64;
        let room = (self.buffer.len() - self.filled) as u64;
        let wanted = room.min(self.end.saturating_sub(from)) as usize;
        let read = read_up_to(self.file, &mut self.buffer[self.filled..self.filled + wanted], from)?;
        self.filled += read;
        Ok(read > 0)
    }

    /// The buffer is full of one line: returns its beginning and goes on behind its newline.
    fn cut_long_line(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        let offset = self.offset;
        self.offset = align(self.file, offset + self.filled as u64, self.end)?;
        self.pos = self.filled;
        Ok(Some((offset, &self.buffer[..MAX_RECORD])))
    }
}

/// Visits the lines before `end` (the end of one) from the last to the first, each with its offset and its first bytes, at
/// least a header if the line has one.
pub(super) fn visit_backwards(
    file: &File,
    end: u64,
    mut visit: impl FnMut(u64, &[u8]) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut upper = end;
    let mut block_size = SMALL_BLOCK;
    while upper > 0 {
        // Line starts in (lower, upper]; each lies behind a newline, or at 0. The block reads a header further than that.
        let lower = upper.saturating_sub(block_size as u64);
        let block = read_range(file, lower, end.min(upper + MARK_HEADER as u64))?;
        let inner = block.len().min((upper - lower) as usize);
        for newline in memchr::memrchr_iter(b'\n', &block[..inner]) {
            let start = lower + newline as u64 + 1;
            if start < end && visit(start, &block[newline + 1..]).is_break() {
                return Ok(());
            }
        }
        if lower == 0 {
            let _ = visit(0, &block);
            return Ok(());
        }
        upper = lower;
        block_size = BLOCK;
    }
    Ok(())
}
