//! One stored line, as bytes: `<RFC 3339 nanos> <stdout|stderr> <F|P> <text>\n`, the CRI log format.
//!
//! The header has a fixed width, so a line can be recognised from its first bytes. Marks (lines of ours) are stderr lines
//! with a prefix that people see; what tells them apart for certain is their timestamp, which spells UTC as `+00:00`
//! where a script's line has `Z`. Both are RFC 3339, so every log shipper reads both, and no script can forge a mark by
//! printing our prefix. That matters: a mark is not the script's output and must not be counted as such.
//!
//! A line in which secrets are hidden says, in a second tag (CRI separates tags by colons), how many bytes longer the script
//! wrote it: `F:0000001c`. So the file alone tells, after any crash, how much of the script's output it stands for.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::stamp::{self, STAMP};

/// What every mark's text begins with.
pub const MARK_PREFIX: &str = "[fastflow] ";
/// The most text that one stored line carries; a longer line is stored in pieces. The CRI runtimes use the same size.
pub const MAX_TEXT: usize = 16 * 1024;

/// How a mark spells UTC.
const MARK_ZONE: &[u8; 6] = b"+00:00";
/// Bytes before the text of a script's line: stamp, source and tag with a space after each.
pub(super) const HEADER: usize = STAMP + 1 + 6 + 1 + 1 + 1;
/// Bytes before the text of a mark.
pub(super) const MARK_HEADER: usize = HEADER + MARK_ZONE.len() - 1;
/// Bytes of the tag that says how much is hidden: a colon and eight hexadecimal digits.
pub(super) const HIDDEN_TAG: usize = 1 + 8;
/// The longest stored line, with its newline.
pub(super) const MAX_RECORD: usize = HEADER + HIDDEN_TAG + MAX_TEXT + 1;
/// The shortest stored line, with its newline.
pub(super) const MIN_RECORD: usize = HEADER + 1;

/// Which of the script's two outputs a line came from. Marks count as stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Source {
    /// Both, for iterating.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// The word in the stored line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    /// A place in a two-element array.
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// A line (or a piece of one) as a reader gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Where the stored line begins in the file, in bytes.
    pub offset: u64,
    /// When its last byte arrived, UTC. Never earlier than the line before it.
    pub timestamp: DateTime<Utc>,
    /// Which output it came from.
    pub source: Source,
    /// Whether the script ended it with a newline; if not, the source's next line goes on where this one stops.
    pub terminated: bool,
    /// Whether it is a mark of ours and not the script's output.
    pub mark: bool,
    /// The text without the newline, byte for byte.
    pub text: Bytes,
}

/// A stored line taken apart; borrows from the bytes it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// The timestamp's text.
    pub stamp: &'a [u8],
    /// Which output.
    pub source: Source,
    /// `F` as opposed to `P`.
    pub terminated: bool,
    /// A line of ours.
    pub mark: bool,
    /// How many bytes longer the script wrote it, for secrets are hidden in it.
    pub hidden: u64,
    /// What follows the header.
    pub text: &'a [u8],
}

impl<'a> Record<'a> {
    /// Takes a stored line apart (without its newline). A line that is not ours (someone edited the file) is shown whole,
    /// as a terminated line of stdout from 1970, rather than hidden.
    pub(super) fn read(line: &'a [u8]) -> Self {
        Self::parse(line).unwrap_or(Self {
            stamp: b"",
            source: Source::Stdout,
            terminated: true,
            mark: false,
            hidden: 0,
            text: line,
        })
    }

    /// Takes a stored line apart, `None` if it is not in our format.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let (mark, header) = match line.get(STAMP - 1)? {
            b'Z' => (false, HEADER),
            b'+' => (true, MARK_HEADER),
            _ => return None,
        };
        let (head, text) = line.split_at_checked(header)?;
        let source = match &head[header - 10..header - 2] {
            b" stdout " => Source::Stdout,
            b" stderr " => Source::Stderr,
            _ => return None,
        };
        let terminated = match head[header - 2] {
            b'F' => true,
            b'P' => false,
            _ => return None,
        };
        let (hidden, text) = match head[header - 1] {
            b' ' => (0, text),
            b':' if !mark => {
                let (digits, text) = text.split_at_checked(HIDDEN_TAG)?;
                let digits = digits.strip_suffix(b" ").filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
                (u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?, text)
            }
            _ => return None,
        };
        Some(Self { stamp: &line[..header - 10], source, terminated, mark, hidden, text })
    }

    /// When it was written; the epoch when the line is not ours.
    pub(super) fn timestamp(&self) -> DateTime<Utc> {
        stamp::parse(self.stamp).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// How many of the script's bytes it stands for: none for a mark, else its text, what is hidden in it, and the newline it
    /// ended with.
    pub(super) fn script_bytes(&self) -> u64 {
        if self.mark { 0 } else { self.text.len() as u64 + u64::from(self.terminated) + self.hidden }
    }
}

/// What the first bytes of a stored line (at least [`MARK_HEADER`] of them, or all there are) say about it: its source, and
/// whether it ends a line of the script, as everything but a `P` piece does. Cheaper than [`Record::parse`], for counting.
pub(super) fn glance(head: &[u8]) -> (Source, bool) {
    let header = match head.get(STAMP - 1) {
        Some(b'Z') => HEADER,
        Some(b'+') => MARK_HEADER,
        _ => return (Source::Stdout, true),
    };
    let source = if head.get(header - 6) == Some(&b'e') { Source::Stderr } else { Source::Stdout };
    (source, head.get(header - 2) != Some(&b'P'))
}

/// Appends one stored line of the script to `out`; `hidden` is how many bytes longer it was.
pub(super) fn write(
    out: &mut Vec<u8>,
    stamp: &[u8; STAMP],
    source: Source,
    terminated: bool,
    hidden: u64,
    text: &[u8],
) {
    let mut header = *b"                               stdout F ";
    header[..STAMP].copy_from_slice(stamp);
    if source == Source::Stderr {
        header[STAMP + 4..STAMP + 7].copy_from_slice(b"err");
    }
    if !terminated {
        header[HEADER - 2] = b'P';
    }
    out.reserve(HEADER + HIDDEN_TAG + text.len() + 1);
    if hidden == 0 {
        out.extend_from_slice(&header);
    } else {
        out.extend_from_slice(&header[..HEADER - 1]);
        // The masker never hides as much as eight digits cannot tell in one line: see `encode`.
        out.extend_from_slice(format!(":{hidden:08x} ").as_bytes());
    }
    out.extend_from_slice(text);
    out.push(b'\n');
}

/// Appends a mark to `out`: one stored line for each line of `text`, each with [`MARK_PREFIX`].
pub(super) fn write_mark(out: &mut Vec<u8>, stamp: &[u8; STAMP], text: &str) {
    for line in text.lines() {
        let mut rest = line.as_bytes();
        loop {
            let piece = rest.len().min(MAX_TEXT - MARK_PREFIX.len());
            let piece = whole_chars(&rest[..piece], rest.len());
            out.extend_from_slice(&stamp[..STAMP - 1]);
            out.extend_from_slice(MARK_ZONE);
            out.extend_from_slice(b" stderr F ");
            out.extend_from_slice(MARK_PREFIX.as_bytes());
            out.extend_from_slice(&rest[..piece]);
            out.push(b'\n');
            rest = &rest[piece..];
            if rest.is_empty() {
                break;
            }
        }
    }
}

/// Where to cut so that no UTF-8 character is torn: `piece.len()`, or up to three bytes less. `of` is the length of what
/// `piece` was taken from; a piece that is all of it is not cut. Bytes that are no UTF-8 are cut anywhere.
pub(super) fn whole_chars(piece: &[u8], of: usize) -> usize {
    if piece.len() == of {
        return of;
    }
    let torn = torn_char(piece);
    if torn < piece.len() { piece.len() - torn } else { piece.len() }
}

/// How many bytes at the end are the beginning of a UTF-8 character whose rest is missing.
pub(super) fn torn_char(text: &[u8]) -> usize {
    for back in 1..=text.len().min(3) {
        let byte = text[text.len() - back];
        let width = match byte {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            0x80..=0xBF => continue,
            _ => return 0,
        };
        return if width > back { back } else { 0 };
    }
    0
}
