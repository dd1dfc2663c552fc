//! What of Docker's own log is missing in ours: a pure comparison, used after a crash or a lost connection.
//!
//! Docker's log may have lost its beginning to rotation, ours ends somewhere in the middle of it. Per stream:
//! 1. Docker's log still begins where ours begins → skip as many bytes as we have (exact, whatever the content).
//! 2. It does not → look for our end in it; what follows is missing in ours.
//! 3. Our end is not in it any more → a stretch is lost for good: the caller says so in the log, and appends the rest.

use chrono::{DateTime, TimeDelta, Utc};

use crate::engine::{Source, StoredFrame};
use crate::journal::{StoredLog, StoredStream};

/// How much later than ours Docker's time of the same line may be. Docker reads a line before we do, so only the
/// granularity of clocks lies between.
const TOLERANCE: TimeDelta = TimeDelta::milliseconds(20);

/// How many bytes of our end are looked for.
const NEEDLE: usize = 4096;

/// What is missing in our log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// To be appended, in Docker's order.
    pub frames: Vec<StoredFrame>,
    /// A stretch before them is lost for good.
    pub gap: bool,
}

/// Compares Docker's log (`frames`, oldest first) with ours.
#[must_use]
pub fn missing(ours: &StoredLog, frames: Vec<StoredFrame>) -> Missing {
    let mut skip = [0_u64; 2];
    let mut missing = Missing::default();
    for source in [Source::Stdout, Source::Stderr] {
        let theirs: Vec<&StoredFrame> = frames.iter().filter(|frame| frame.source == source).collect();
        let stored = ours.of(journal_source(source));
        skip[index(source)] = match begin(stored, &theirs) {
            Begin::At(bytes) => bytes,
            Begin::Gap(bytes) => {
                missing.gap = true;
                bytes
            }
        };
    }
    for mut frame in frames {
        let skip = &mut skip[index(frame.source)];
        let length = frame.bytes.len() as u64;
        let cut = length.min(*skip);
        *skip -= cut;
        if cut < length {
            // `cut` is below the length of a buffer in memory.
            frame.bytes = frame.bytes.slice(usize::try_from(cut).unwrap_or(usize::MAX)..);
            missing.frames.push(frame);
        }
    }
    missing
}

/// The journal's word for a stream.
#[must_use]
pub const fn journal_source(source: Source) -> crate::journal::Source {
    match source {
        Source::Stdout => crate::journal::Source::Stdout,
        Source::Stderr => crate::journal::Source::Stderr,
    }
}

const fn index(source: Source) -> usize {
    match source {
        Source::Stdout => 0,
        Source::Stderr => 1,
    }
}

enum Begin {
    /// This many bytes of Docker's log are in ours.
    At(u64),
    /// So many are, but something before them is lost.
    Gap(u64),
}

fn begin(ours: &StoredStream, theirs: &[&StoredFrame]) -> Begin {
    let written = ours.bytes + ours.missing;
    if written == 0 {
        // We have nothing of this stream, so all that Docker has is missing. Whether it has all we cannot know unless the
        // other stream tells; a container that was attached from the start and printed nothing has lost nothing either.
        return Begin::At(0);
    }
    let Some(oldest) = theirs.first() else { return Begin::At(0) };
    let begins_with_ours = {
        let head = joined(theirs.iter(), ours.head.len());
        head == ours.head && ours.first_timestamp.is_none_or(|first| oldest.timestamp <= first + TOLERANCE)
    };
    if begins_with_ours {
        return Begin::At(written);
    }
    find_end(ours, theirs)
}

fn find_end(ours: &StoredStream, theirs: &[&StoredFrame]) -> Begin {
    let needle = &ours.tail[ours.tail.len().saturating_sub(NEEDLE)..];
    let all = joined(theirs.iter(), usize::MAX);
    let latest = ours.last_timestamp.map(|time| time + TOLERANCE);
    // Of several equal places the last one that Docker had read by the time we stored ours.
    let end = memchr::memmem::find_iter(&all, needle)
        .map(|at| at + needle.len())
        .take_while(|end| latest.is_none_or(|latest| time_at(theirs, end - 1) <= latest))
        .last();
    if let Some(end) = end {
        return Begin::At(end as u64);
    }
    // Not there: what Docker read after our last line is surely not in ours.
    let mut older = 0;
    for frame in theirs.iter().take_while(|frame| ours.last_timestamp.is_some_and(|last| frame.timestamp <= last)) {
        older += frame.bytes.len() as u64;
    }
    Begin::Gap(older)
}

fn joined<'a>(frames: impl Iterator<Item = &'a &'a StoredFrame>, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        let room = most - bytes.len();
        bytes.extend_from_slice(&frame.bytes[..frame.bytes.len().min(room)]);
        if bytes.len() == most {
            break;
        }
    }
    bytes
}

fn time_at(frames: &[&StoredFrame], mut offset: usize) -> DateTime<Utc> {
    for frame in frames {
        if offset < frame.bytes.len() {
            return frame.timestamp;
        }
        offset -= frame.bytes.len();
    }
    DateTime::<Utc>::MAX_UTC
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_700_000_000_000 + ms).expect("in range")
    }

    /// Docker's log: line `n` was read at `n` ms.
    fn docker(lines: std::ops::Range<i64>, text: impl Fn(i64) -> String) -> Vec<StoredFrame> {
        lines
            .map(|n| StoredFrame { source: Source::Stdout, timestamp: at(n), bytes: format!("{}\n", text(n)).into() })
            .collect()
    }

    /// Our log of the first `lines` lines, received 1 ms after Docker read them.
    fn ours(lines: i64, text: impl Fn(i64) -> String) -> StoredLog {
        let all: String = (0..lines).map(|n| format!("{}\n", text(n))).collect();
        let stdout = StoredStream {
            bytes: all.len() as u64,
            lines: lines.unsigned_abs(),
            head: all.bytes().take(4096).collect(),
            tail: all.as_bytes()[all.len().saturating_sub(65536)..].to_vec(),
            first_timestamp: Some(at(1)),
            last_timestamp: Some(at(lines)),
            ..StoredStream::default()
        };
        StoredLog { first_timestamp: Some(at(1)), last_timestamp: Some(at(lines)), stdout, ..StoredLog::default() }
    }

    fn texts(missing: &Missing) -> String {
        missing.frames.iter().map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned()).collect()
    }

    #[test]
    fn an_unrotated_log_is_continued_to_the_byte_whatever_its_content() {
        for text in [|n: i64| format!("line {n}"), |_| "same".to_owned()] {
            let mut log = ours(500, text);
            let missing_now = missing(&log, docker(0..800, text));
            assert!(!missing_now.gap);
            assert_eq!(texts(&missing_now), texts(&Missing { frames: docker(500..800, text), gap: false }));
            // Half a line more is stored: exactly its rest is missing.
            log.stdout.bytes += 2;
            let expected: String = texts(&missing_now).chars().skip(2).collect();
            assert_eq!(texts(&missing(&log, docker(0..800, text))), expected);
        }
    }

    #[test]
    fn a_rotated_log_is_continued_at_our_end() {
        let text = |n| format!("line {n:08}");
        let result = missing(&ours(2000, text), docker(1000..2500, text));
        assert!(!result.gap);
        assert!(texts(&result).starts_with("line 00002000\n") && result.frames.len() == 500);
    }

    #[test]
    fn a_rotated_log_of_equal_lines_is_continued_by_time() {
        let same = |_| "same".to_owned();
        let result = missing(&ours(2000, same), docker(1000..2500, same));
        assert!(!result.gap);
        // Times are only so exact: 20 ms are 20 lines here.
        assert!((480..=500).contains(&result.frames.len()), "{}", result.frames.len());
    }

    #[test]
    fn what_was_rotated_away_is_a_gap() {
        let text = |n| format!("line {n:08}");
        let result = missing(&ours(1000, text), docker(3000..3100, text));
        assert!(result.gap);
        assert_eq!(result.frames.len(), 100);
    }

    #[test]
    fn everything_is_missing_in_an_empty_log() {
        let result = missing(&StoredLog::default(), docker(0..3, |n| n.to_string()));
        assert_eq!((texts(&result).as_str(), result.gap), ("0\n1\n2\n", false));
    }

    #[test]
    fn nothing_is_missing_in_a_whole_log() {
        let text = |n| format!("line {n}");
        assert_eq!(missing(&ours(100, text), docker(0..100, text)), Missing::default());
    }
}
