//! A log as a stream of bytes: as the script wrote it, with or without timestamps, or as it is stored. Read piece by piece as
//! the receiver takes it, so a gigabyte costs no more memory than a line.

use std::{fs::File, io, ops::Range};

use bytes::Bytes;
use futures_util::{StreamExt, stream, stream::BoxStream};

use super::{
    FileKind, Journal, JournalError, RunId, Source,
    block::{self, BLOCK, Lines},
    files::blocking,
    read,
    record::Record,
};

/// Bytes in bounded pieces.
pub type ByteStream = BoxStream<'static, Result<Bytes, JournalError>>;

/// What of a log is wanted as text. The default is all of it, as the script wrote it, with our marks in between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextOptions {
    /// Only this output; `None` for both. Marks count as stderr.
    pub source: Option<Source>,
    /// Each line as `<RFC 3339> <stdout|stderr> <text>`.
    pub timestamps: bool,
    /// Leaves our marks out: then the text is exactly the script's bytes.
    pub without_marks: bool,
    /// Only the last so many lines.
    pub tail: Option<u64>,
    /// Begin at this file offset (moved to the next line).
    pub offset: Option<u64>,
    /// End before this file offset (moved to the next line).
    pub end: Option<u64>,
}

impl Journal {
    /// A log as text, up to where it ends now. Without timestamps it is the script's bytes; the text of a mark begins on a
    /// line of its own. With timestamps a line that is stored in pieces is joined again unless the other output came
    /// between them.
    ///
    /// # Errors
    /// [`JournalError::NotFound`], or the file could not be read; while streaming, only the latter.
    pub async fn text(&self, run: RunId, options: TextOptions) -> Result<ByteStream, JournalError> {
        let (file, state) = self.open_file(run, FileKind::Log).await?;
        let printer = blocking(move || {
            let end = block::align(&file, options.end.unwrap_or(state.len), state.len)?;
            let mut offset = block::align(&file, options.offset.unwrap_or(0), end)?;
            if let Some(lines) = options.tail {
                offset = offset.max(read::tail_offset(&file, end, lines, options.source)?);
            }
            Ok(Printer { file, options, offset, end, open: None })
        })
        .await
        .map_err(JournalError::io("read a log"))?;
        Ok(in_pieces(printer, Printer::piece))
    }

    /// The stored bytes of a file within `range` (cut to what there is), and the range they are from.
    ///
    /// # Errors
    /// [`JournalError::NotFound`], or the file could not be read; while streaming, only the latter.
    pub async fn raw(
        &self,
        run: RunId,
        kind: FileKind,
        range: Range<u64>,
    ) -> Result<(Range<u64>, ByteStream), JournalError> {
        let (file, state) = self.open_file(run, kind).await?;
        let start = range.start.min(state.len);
        let range = start..range.end.clamp(start, state.len);
        let bytes = in_pieces((file, range.clone()), |(file, range)| {
            let piece = block::read_range(file, range.start, range.end.min(range.start + BLOCK as u64))?;
            range.start += piece.len() as u64;
            Ok((!piece.is_empty()).then_some(piece))
        });
        Ok((range, bytes))
    }
}

/// A stream of what `piece` returns until that is `None`, each piece made on a blocking thread when it is asked for.
fn in_pieces<S: Send + 'static>(state: S, piece: fn(&mut S) -> io::Result<Option<Vec<u8>>>) -> ByteStream {
    let pieces = stream::try_unfold(state, move |mut state| async move {
        blocking(move || Ok(piece(&mut state)?.map(|piece| (Bytes::from(piece), state))))
            .await
            .map_err(JournalError::io("read a run's file"))
    });
    pieces.boxed()
}

/// Turns stored lines into text.
struct Printer {
    /// The log.
    file: File,
    /// What is wanted.
    options: TextOptions,
    /// Where the next stored line is.
    offset: u64,
    /// Where to stop.
    end: u64,
    /// The text so far ends within a line of this output.
    open: Option<Source>,
}

impl Printer {
    /// The text of the next block of the file.
    fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut out = Vec::new();
        // A block may hold nothing that is wanted; an empty piece would look like the end.
        while out.is_empty() && self.offset < self.end {
            let mut lines = Lines::new(&self.file, self.offset, self.end.min(self.offset + BLOCK as u64));
            while let Some((_, line)) = lines.next()? {
                print(&mut out, &mut self.open, self.options, &Record::read(line));
            }
            let reached = lines.offset();
            // No line ends in a whole block: the rest is not ours.
            self.offset = if reached > self.offset { reached } else { self.end };
        }
        if out.is_empty() && self.options.timestamps && self.open.take().is_some() {
            out.push(b'\n');
        }
        Ok((!out.is_empty()).then_some(out))
    }
}

/// Appends one stored line's text.
fn print(out: &mut Vec<u8>, open: &mut Option<Source>, options: TextOptions, record: &Record<'_>) {
    if options.source.is_some_and(|source| source != record.source) || (record.mark && options.without_marks) {
        return;
    }
    let goes_on = *open == Some(record.source) && !record.mark;
    if open.is_some() && (record.mark || (options.timestamps && !goes_on)) {
        out.push(b'\n');
    }
    if options.timestamps && !goes_on {
        // A mark spells UTC differently in the file; people see one spelling.
        out.extend_from_slice(record.stamp.get(..29).unwrap_or_default());
        out.extend_from_slice(b"Z ");
        out.extend_from_slice(record.source.name().as_bytes());
        out.push(b' ');
    }
    out.extend_from_slice(record.text);
    if record.terminated {
        out.push(b'\n');
    }
    *open = (!record.terminated).then_some(record.source);
}
