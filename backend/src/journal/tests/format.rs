//! The format: any frames in, the same bytes out, whatever happens in between.

use std::{fs::File, io::Write};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use proptest::prelude::*;

use super::at;
use crate::journal::{
    MARK_PREFIX, MAX_TEXT, PerSource, RunId, Source, block,
    encode::{self, Encoder},
    files::Cut,
    id::FileKind,
    read,
    record::{self, MAX_RECORD, Record},
    resume,
    stamp::{self, Stamper},
};

/// What a test feeds into an encoder.
#[derive(Debug, Clone)]
enum Input {
    Frame(Source, Vec<u8>),
    FlushTails,
    Mark,
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => proptest::collection::vec(prop_oneof![3 => Just(b'a'), 1 => Just(b'\n'), 1 => any::<u8>()], 0..40),
        2 => "[äß€𝄞x\n\r\0]{0,20}".prop_map(String::into_bytes),
        1 => (0..3 * MAX_TEXT, any::<bool>()).prop_map(|(length, wide)| {
            if wide { "€".repeat(length / 3).into_bytes() } else { vec![b'x'; length] }
        }),
    ];
    proptest::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat())
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let source = prop_oneof![Just(Source::Stdout), Just(Source::Stderr)];
    let input = prop_oneof![
        8 => (source, bytes()).prop_map(|(source, bytes)| Input::Frame(source, bytes)),
        1 => Just(Input::FlushTails),
        1 => Just(Input::Mark),
    ];
    proptest::collection::vec(input, 0..20)
}

/// What the script wrote, by output, and what is stored of it.
fn encode(inputs: &[Input]) -> ([Vec<u8>; 2], Vec<u8>) {
    let mut written = [Vec::new(), Vec::new()];
    let mut stored = Vec::new();
    let mut encoder = Encoder::default();
    for (number, input) in inputs.iter().enumerate() {
        match input {
            Input::Frame(source, bytes) => {
                written[source.index()].extend_from_slice(bytes);
                // Clocks are set back sometimes.
                encoder.push(&mut stored, *source, at((number as u64 * 7) % 5), bytes);
            }
            Input::FlushTails => encoder.flush_tails(&mut stored, false),
            Input::Mark => encoder.mark(&mut stored, at(0), "a mark\nof two lines"),
        }
    }
    encoder.flush_tails(&mut stored, true);
    assert!(!encoder.has_tails());
    let counts = PerSource { stdout: written[0].len() as u64, stderr: written[1].len() as u64 };
    assert_eq!(encoder.stored(), counts);
    (written, stored)
}

/// What stored lines say that the script wrote, by output; checks each line on the way.
fn decode(stored: &[u8]) -> [Vec<u8>; 2] {
    let mut written = [Vec::new(), Vec::new()];
    let mut latest = DateTime::<Utc>::MIN_UTC;
    for line in stored.split_inclusive(|&byte| byte == b'\n') {
        assert!(line.len() <= MAX_RECORD);
        let record = Record::parse(line.strip_suffix(b"\n").expect("a whole line")).expect("our format");
        assert_eq!(record::glance(line), (record.source, record.terminated));
        let time = stamp::parse(record.stamp).expect("a time");
        assert!(time >= latest, "time goes on");
        latest = time;
        if record.mark {
            assert!(record.text.starts_with(MARK_PREFIX.as_bytes()));
            continue;
        }
        let bytes = &mut written[record.source.index()];
        bytes.extend_from_slice(record.text);
        bytes.extend(record.terminated.then_some(b'\n'));
    }
    written
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("written");
    file
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_what_is_read(inputs in inputs()) {
        let (written, stored) = encode(&inputs);
        prop_assert_eq!(decode(&stored), written);
    }

    #[test]
    fn pages_cover_the_file_without_gap_or_overlap(inputs in inputs(), lines in 1_usize..9, bytes in 0..3 * MAX_RECORD) {
        let (_, stored) = encode(&inputs);
        let file = file_of(&stored);
        let (mut offset, mut again) = (0, Vec::new());
        while offset < stored.len() as u64 {
            let (page, next) = read::read_page(&file, offset, stored.len() as u64, lines, bytes).expect("readable");
            prop_assert!(!page.is_empty() && page.len() <= lines);
            prop_assert_eq!(page[0].offset, offset);
            for line in page {
                prop_assert_eq!(line.offset as usize, again.len());
                let mut stamper = Stamper::default();
                let stamp = stamper.set(line.timestamp);
                if line.mark {
                    let text = std::str::from_utf8(&line.text).expect("UTF-8");
                    record::write_mark(&mut again, stamp, text.strip_prefix(MARK_PREFIX).expect("the prefix"));
                } else {
                    record::write(&mut again, stamp, line.source, line.terminated, 0, &line.text);
                }
            }
            offset = next;
        }
        prop_assert_eq!(again, stored);
    }

    #[test]
    fn any_cut_leaves_a_valid_beginning(inputs in inputs(), cut in 0.0..1.0_f64) {
        let (written, stored) = encode(&inputs);
        let cut = (stored.len() as f64 * cut) as usize;
        let file = file_of(&stored[..cut]);
        let len = block::settled_len(&file, cut as u64).expect("readable");
        prop_assert!(stored[..cut].len() - (len as usize) < MAX_RECORD);
        let whole = decode(&stored[..len as usize]);
        let log = resume::scan(&file, Cut { len, torn: cut as u64 - len }).expect("readable");
        for source in Source::ALL {
            let (bytes, found) = (&whole[source.index()], log.of(source));
            prop_assert!(written[source.index()].starts_with(bytes));
            prop_assert_eq!(found.bytes, bytes.len() as u64);
            prop_assert_eq!(found.lines, bytes.iter().filter(|&&byte| byte == b'\n').count() as u64);
            prop_assert_eq!(found.open, bytes.last().is_some_and(|&byte| byte != b'\n'));
            prop_assert!(bytes.starts_with(&found.head) && bytes.ends_with(&found.tail));
            prop_assert_eq!(found.tail.is_empty(), bytes.is_empty());
        }
    }

    #[test]
    fn timestamps_survive(seconds in -62_135_596_800_i64..253_402_300_799, nanos in 0_u32..1_000_000_000) {
        let time = DateTime::from_timestamp(seconds, nanos).expect("a time");
        let mut stamper = Stamper::default();
        stamper.set(time - TimeDelta::milliseconds(1));
        let text = stamper.set(time);
        prop_assert_eq!(std::str::from_utf8(text).expect("ASCII"), time.to_rfc3339_opts(SecondsFormat::Nanos, true));
        prop_assert_eq!(stamp::parse(text), Some(time));
    }
}

#[test]
fn the_stored_form_is_the_cri_log_format() {
    let mut stored = Vec::new();
    let mut encoder = Encoder::default();
    encoder.push(&mut stored, Source::Stdout, at(0), b"one\ntwo");
    encoder.push(&mut stored, Source::Stderr, at(1), b"oops\r\n\n");
    encoder.flush_tails(&mut stored, false);
    encoder.mark(&mut stored, at(2), "a note");
    encoder.push(&mut stored, Source::Stdout, at(3), b"\n");
    assert_eq!(
        String::from_utf8_lossy(&stored),
        "2026-01-01T00:00:00.123456789Z stdout F one\n\
         2026-01-01T00:00:01.123456789Z stderr F oops\r\n\
         2026-01-01T00:00:01.123456789Z stderr F \n\
         2026-01-01T00:00:01.123456789Z stdout P two\n\
         2026-01-01T00:00:02.123456789+00:00 stderr F [fastflow] a note\n\
         2026-01-01T00:00:03.123456789Z stdout F \n"
    );
}

#[test]
fn a_script_cannot_forge_a_mark() {
    let mut stored = Vec::new();
    Encoder::default().push(
        &mut stored,
        Source::Stderr,
        at(0),
        b"[fastflow] 5 bytes of output could not be stored: x (stdout)\n",
    );
    assert!(!Record::read(stored.trim_ascii_end()).mark);
}

#[test]
fn long_lines_are_cut_between_characters() {
    let mut stored = Vec::new();
    let line = format!("x{}", "€".repeat(MAX_TEXT));
    Encoder::default().push(&mut stored, Source::Stdout, at(0), format!("{line}\n").as_bytes());
    let pieces: Vec<_> =
        stored.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(Record::read).collect();
    assert_eq!(pieces.len(), 4);
    for (number, piece) in pieces.iter().enumerate() {
        assert!(std::str::from_utf8(piece.text).is_ok());
        assert_eq!(piece.terminated, number == 3);
    }
}

#[test]
fn a_torn_character_waits_for_its_rest() {
    let (first, rest) = "ü".as_bytes().split_at(1);
    let (mut stored, mut encoder) = (Vec::new(), Encoder::default());
    encoder.push(&mut stored, Source::Stdout, at(0), first);
    encoder.flush_tails(&mut stored, false);
    assert!(stored.is_empty());
    encoder.push(&mut stored, Source::Stdout, at(0), rest);
    encoder.flush_tails(&mut stored, false);
    assert!(stored.ends_with("stdout P ü\n".as_bytes()));
    // At the end there is no rest to wait for.
    encoder.push(&mut stored, Source::Stdout, at(0), first);
    encoder.flush_tails(&mut stored, true);
    assert!(stored.ends_with(b"stdout P \xC3\n"));
}

#[test]
fn a_long_mark_is_several_lines() {
    let mut stored = Vec::new();
    Encoder::default().mark(&mut stored, at(0), &"ä".repeat(MAX_TEXT));
    let lines: Vec<_> = stored.split_inclusive(|&byte| byte == b'\n').collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.len() <= MAX_RECORD && Record::read(line.trim_ascii_end()).mark));
}

#[test]
fn loss_marks_can_be_read_back() {
    for source in Source::ALL {
        let text = format!("{MARK_PREFIX}{}", encode::loss_mark(17, source, "No space (left)"));
        assert_eq!(encode::read_loss_mark(text.as_bytes()), Some((17, source)));
    }
    assert_eq!(encode::read_loss_mark(b"[fastflow] something else (stdout)"), None);
}

#[test]
fn what_is_not_ours_is_shown_whole() {
    for line in ["", "hello", "2026-01-01T00:00:00.123456789Z stdin F x", "2026-01-01T00:00:00.123456789Z stdout X x"] {
        let record = Record::read(line.as_bytes());
        assert_eq!((record.text, record.terminated), (line.as_bytes(), true));
        assert_eq!(record.timestamp(), DateTime::UNIX_EPOCH);
    }
}

#[test]
fn only_uuids_are_run_ids_and_file_names() {
    let id = "0197F0C0-0000-7000-8000-0123456789AB";
    let run: RunId = id.parse().expect("a UUID");
    assert_eq!(run.to_string(), id.to_lowercase());
    for bad in ["", "..", "../../etc/passwd", "0197f0c0-0000-7000-8000-0123456789ab/..", "0197f0c0"] {
        assert!(bad.parse::<RunId>().is_err(), "{bad}");
    }
    assert_eq!(FileKind::recognise(&format!("{run}.log")), Some((run, FileKind::Log)));
    assert_eq!(FileKind::recognise(&format!("{run}_metrics.jsonl")), Some((run, FileKind::Metrics)));
    for other in [format!("{id}.log"), format!("{run}.log.1"), ".write-check-1".to_owned()] {
        assert_eq!(FileKind::recognise(&other), None);
    }
}
