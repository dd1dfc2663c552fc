//! Reading by offset, line, time and as text.

use super::{Place, all, at, run, say, texts};
use crate::journal::{FileKind, MAX_TEXT, Source, TextOptions, index::LineIndex};

#[tokio::test]
async fn pages_begin_at_lines() {
    let place = Place::new();
    let run = place.log_of(["one", "two", "three"]).await;
    let second = 40 + 3 + 1;
    for offset in 1..=second {
        let page = place.read_lines(run, offset, 1, 1).await.expect("readable");
        assert_eq!((texts(&page.lines), page.lines[0].offset), (vec!["two".to_owned()], second));
    }
    let page = place.read_lines(run, u64::MAX, 10, 10).await.expect("readable");
    assert!(page.lines.is_empty() && page.next == page.end && page.finished);
    let page = place.read_lines(run, 0, 0, 10).await.expect("readable");
    assert_eq!(page.next, 0);
}

#[tokio::test]
async fn tails_count_lines_not_pieces() {
    let place = Place::new();
    let run = run();
    let mut writer = place.create(run).await.expect("a writer");
    say(&mut writer, 0, "one").await;
    writer.append(Source::Stderr, at(1), b"err\n").await.expect("taken");
    say(&mut writer, 2, &"x".repeat(3 * MAX_TEXT)).await;
    writer.append(Source::Stdout, at(3), b"open").await.expect("taken");
    writer.finish().await;
    let tail = async |lines, source| {
        let options = TextOptions { tail: Some(lines), source, ..TextOptions::default() };
        place.text_of(run, options).await
    };
    let long = "x".repeat(3 * MAX_TEXT);
    assert_eq!(tail(0, None).await, "");
    assert_eq!(tail(1, None).await, "open");
    assert_eq!(tail(2, None).await, format!("{long}\nopen"));
    assert_eq!(tail(3, None).await, format!("err\n{long}\nopen"));
    assert_eq!(tail(9, None).await, format!("one\nerr\n{long}\nopen"));
    assert_eq!(tail(1, Some(Source::Stderr)).await, "err\n");
    assert_eq!(tail(3, Some(Source::Stdout)).await, format!("one\n{long}\nopen"));
}

#[tokio::test]
async fn text_is_the_scripts_bytes_or_lines_with_times() {
    let place = Place::new();
    let run = run();
    let mut writer = place.create(run).await.expect("a writer");
    writer.append(Source::Stdout, at(0), b"a \xFF\0\r\n\nwait").await.expect("taken");
    writer.flush_partial().await.expect("stored");
    writer.append(Source::Stdout, at(1), b"ing").await.expect("taken");
    writer.flush_partial().await.expect("stored");
    writer.append(Source::Stderr, at(2), b"oops\n").await.expect("taken");
    writer.append(Source::Stdout, at(3), b" done").await.expect("taken");
    writer.flush_partial().await.expect("stored");
    writer.mark(at(4), "a note").await.expect("taken");
    writer.append(Source::Stdout, at(5), b".").await.expect("taken");
    writer.finish().await;
    let text = async |options| all(place.text(run, options).await.expect("text")).await;
    let plain = TextOptions::default();
    assert_eq!(text(plain).await, b"a \xFF\0\r\n\nwaitingoops\n done\n[fastflow] a note\n.");
    let stdout = TextOptions { source: Some(Source::Stdout), ..plain };
    assert_eq!(text(stdout).await, b"a \xFF\0\r\n\nwaiting done.");
    let exact = TextOptions { without_marks: true, ..plain };
    assert_eq!(text(exact).await, b"a \xFF\0\r\n\nwaitingoops\n done.");
    let stamp = |second: u64, rest: &str| format!("2026-01-01T00:00:0{second}.123456789Z {rest}\n").into_bytes();
    let timed = TextOptions { timestamps: true, ..plain };
    let lines = [
        b"2026-01-01T00:00:00.123456789Z stdout a \xFF\0\r\n".to_vec(),
        stamp(0, "stdout "),
        stamp(0, "stdout waiting"),
        stamp(2, "stderr oops"),
        stamp(3, "stdout  done"),
        stamp(4, "stderr [fastflow] a note"),
        stamp(5, "stdout ."),
    ];
    assert_eq!(text(timed).await, lines.concat());
}

#[tokio::test]
async fn raw_bytes_are_cut_to_what_there_is() {
    let place = Place::new();
    let run = place.log_of(["one", "two"]).await;
    let stored = place.stored(run);
    let (range, bytes) = place.raw(run, FileKind::Log, 10..20).await.expect("raw");
    assert_eq!((range, all(bytes).await), (10..20, stored[10..20].to_vec()));
    let (range, bytes) = place.raw(run, FileKind::Log, 50..9999).await.expect("raw");
    assert_eq!((range, all(bytes).await), (50..88, stored[50..].to_vec()));
    let (range, bytes) = place.raw(run, FileKind::Log, 9999..10_000).await.expect("raw");
    assert_eq!((range, all(bytes).await), (88..88, Vec::new()));
}

#[tokio::test]
async fn large_texts_come_in_pieces() {
    let place = Place::new();
    let run = place.log_of((0..50_000).map(|number| format!("line {number}"))).await;
    let text = place.text_of(run, TextOptions::default()).await;
    assert!(text.lines().enumerate().all(|(number, line)| line == format!("line {number}")));
    assert_eq!(text.lines().count(), 50_000);
    let offset = place.offset_of_line(run, 40_001).await.expect("found");
    let end = place.offset_of_line(run, 40_003).await.expect("found");
    let part = TextOptions { offset: Some(offset), end: Some(end), ..TextOptions::default() };
    assert_eq!(place.text_of(run, part).await, "line 40000\nline 40001\n");
}

#[tokio::test]
async fn lines_and_times_are_found_in_a_growing_log() {
    let place = Place::new();
    let run = run();
    let mut writer = place.create(run).await.expect("a writer");
    let mut offsets = Vec::new();
    let mut len = 0;
    for number in 0..30_000_u64 {
        let text = format!("line {number} {}", "x".repeat((number % 50) as usize));
        offsets.push(len);
        len += 40 + text.len() as u64 + 1;
        // Ten lines a second, then a silence.
        say(&mut writer, number / 10 + if number >= 20_000 { 3600 } else { 0 }, &text).await;
        if number % 7 == 0 {
            // Pieces are part of the next line, and do not count.
            writer.append(Source::Stdout, at(number / 10), b"...").await.expect("taken");
            writer.flush_partial().await.expect("stored");
            len += 44;
        }
        if number % 5000 == 4999 {
            writer.flush().await.expect("stored");
            for known in [0, 1, 8, number / 2, number - 1] {
                let start = match known {
                    0 => 0,
                    known if known % 7 == 1 => offsets[known as usize] - 44,
                    known => offsets[known as usize],
                };
                assert_eq!(place.offset_of_line(run, known + 1).await.expect("found"), start);
                assert_eq!(place.line_at(run, start).await.expect("counted"), known + 1);
            }
        }
    }
    writer.finish().await;
    assert_eq!(place.offset_of_line(run, 1_000_000).await.expect("found"), len);
    let file = std::fs::File::open(place.log_path(run)).expect("a file");
    let mut index = LineIndex::default();
    assert_eq!(index.count_in_time(&file, len, || false).expect("readable"), None, "no patience");
    let mut steps = 0;
    let count = index
        .count_in_time(&file, len, || {
            steps += 1;
            true
        })
        .expect("readable")
        .expect("counted");
    assert_eq!((count.lines, count.records, steps), (30_000, 30_000 + 4286, len / (256 * 1024)));
    let between = place.count_lines(run, offsets[123], offsets[27_123]).await.expect("counted");
    assert_eq!(between, 27_000);
    for (second, line) in
        [(0, 0), (1, 10), (1234, 12_340), (2500, 20_000), (5600, 20_000), (5700, 21_000), (9999, 30_000)]
    {
        let expected = match line {
            30_000 => len,
            // A piece goes before; it is from the second before.
            line => offsets[line],
        };
        assert_eq!(place.offset_of_time(run, at(second)).await.expect("found"), expected, "second {second}");
    }
}

#[tokio::test]
async fn damaged_files_are_read_with_bounded_memory() {
    let place = Place::new();
    let run = place.log_of(["one", "two"]).await;
    let mut stored = place.stored(run);
    let whole = stored.clone();
    stored.extend(std::iter::repeat_n(b'?', 1_000_000));
    stored.push(b'\n');
    stored.extend_from_slice(&whole);
    std::fs::write(place.log_path(run), &stored).expect("written");
    let (mut offset, mut seen) = (0, Vec::new());
    loop {
        let page = place.read_lines(run, offset, 2, 1000).await.expect("readable");
        if page.next == page.end && page.lines.is_empty() {
            break;
        }
        seen.extend(texts(&page.lines));
        offset = page.next;
    }
    assert_eq!(seen.len(), 5);
    assert!(seen[2].starts_with("???") && seen[2].len() < 20_000);
    assert_eq!(&seen[3..], ["one", "two"]);
    let text = place.text_of(run, TextOptions::default()).await;
    assert!(text.starts_with("one\ntwo\n???") && text.ends_with("one\ntwo\n"));
    assert_eq!(place.resume(run).await.expect("a writer").1.stdout.lines, 4);
}
