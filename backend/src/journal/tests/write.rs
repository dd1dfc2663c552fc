//! Writing: order, marks, one writer, crashes, full disks, the size limit.

use std::{fs::OpenOptions, sync::atomic::Ordering};

use super::{Disk, Place, all, at, run, say, texts};
use crate::journal::{
    FileKind, JournalError, LogWriter, MARK_PREFIX, PerSource, Source, TextOptions, encode::Encoder, sink::LineFile,
};

const ALL: usize = usize::MAX >> 1;

#[tokio::test]
async fn the_file_comes_first_then_the_length() {
    let place = Place::new();
    let run = run();
    let mut writer = place.create(run).await.expect("a writer");
    let mut state = place.watch(run).await.expect("a state");
    say(&mut writer, 0, "hello").await;
    assert_eq!(state.borrow_and_update().len, 0);
    assert!(place.stored(run).is_empty());
    writer.flush().await.expect("stored");
    assert!(state.has_changed().expect("live"));
    let seen = *state.borrow_and_update();
    assert_eq!(seen.len, place.stored(run).len() as u64);
    assert!(!seen.finished);

    // A line without its end is held back until asked for.
    writer.append(Source::Stderr, at(1), b"50 %").await.expect("taken");
    writer.flush().await.expect("stored");
    assert!(writer.has_partial());
    assert_eq!(state.borrow().len, seen.len);
    writer.flush_partial().await.expect("stored");
    assert!(state.borrow().len > seen.len && !writer.has_partial());

    let finished = writer.finish().await;
    assert!(state.borrow().finished);
    assert_eq!(finished.len, place.stored(run).len() as u64);
    assert_eq!(finished.totals.stored, PerSource { stdout: 6, stderr: 4 });
    let later = *place.watch(run).await.expect("a state").borrow();
    assert_eq!((later.len, later.finished), (finished.len, true));
}

#[tokio::test]
async fn a_run_has_one_log_and_one_writer() {
    let place = Place::new();
    let run = run();
    assert!(matches!(place.watch(run).await, Err(JournalError::NotFound(_))));
    let writer = place.create(run).await.expect("a writer");
    assert!(matches!(place.create(run).await, Err(JournalError::Busy(_))));
    assert!(matches!(place.resume(run).await, Err(JournalError::Busy(_))));
    assert!(matches!(place.remove(run).await, Err(JournalError::Busy(_))));
    drop(writer);
    assert!(matches!(place.create(run).await, Err(JournalError::Exists(_))));
    drop(place.resume(run).await.expect("a writer"));
    assert!(place.remove(run).await.is_ok());
}

#[tokio::test]
async fn batches_keep_their_order() {
    let place = Place::new();
    let run = run();
    let mut writer = place.create(run).await.expect("a writer");
    let mut frame = Vec::new();
    for number in 0..200_000 {
        frame.extend_from_slice(format!("line {number}\n").as_bytes());
        if frame.len() > 10_000 {
            // Cut in the middle of a line.
            let rest = frame.split_off(9_995);
            writer.append(Source::Stdout, at(0), &frame).await.expect("stored");
            frame = rest;
        }
    }
    writer.append(Source::Stdout, at(0), &frame).await.expect("stored");
    let finished = writer.finish().await;
    assert!(finished.error.is_none());
    let text = place.text_of(run, TextOptions::default()).await;
    assert_eq!(text.len() as u64, finished.totals.stored.stdout);
    assert!(text.lines().enumerate().all(|(number, line)| line == format!("line {number}")));
}

#[tokio::test]
async fn a_dropped_writer_stores_what_it_held() {
    let place = Place::new();
    let run = run();
    let mut writer = place.create(run).await.expect("a writer");
    say(&mut writer, 0, "one").await;
    writer.append(Source::Stdout, at(0), b"two").await.expect("taken");
    // A flush that nobody waits for.
    tokio::select! {
        biased;
        _ = writer.flush() => {}
        () = std::future::ready(()) => {}
    }
    say(&mut writer, 0, "").await;
    drop(writer);
    assert_eq!(place.text_of(run, TextOptions::default()).await, "one\ntwo\n");
}

#[tokio::test]
async fn any_crash_leaves_a_log_to_go_on_with() {
    let place = Place::new();
    let first = place.log_of(["one", "two", "three"]).await;
    let stored = place.stored(first);
    for cut in 0..=stored.len() {
        let run = run();
        std::fs::write(place.log_path(run), &stored[..cut]).expect("written");
        let whole = stored[..cut].iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        // Before it is resumed the torn line does not show.
        assert_eq!(place.watch(run).await.expect("a state").borrow().len, whole as u64);
        let (mut writer, log) = place.resume(run).await.expect("a writer");
        assert_eq!((log.len, log.cut), (whole as u64, (cut - whole) as u64));
        let have = log.stdout.bytes as usize;
        let script = b"one\ntwo\nthree\n";
        assert_eq!(log.stdout.tail, script[..have]);
        writer.append(Source::Stdout, at(9), &script[have..]).await.expect("stored");
        assert_eq!(writer.finish().await.totals.stored.stdout, script.len() as u64);
        assert_eq!(place.text_of(run, TextOptions::default()).await.as_bytes(), script);
    }
}

#[tokio::test]
async fn resuming_says_what_is_there() {
    let place = Place::new();
    let run = run();
    let mut writer = place.create(run).await.expect("a writer");
    say(&mut writer, 1, "out").await;
    writer.mark(at(2), "a note").await.expect("taken");
    writer.append(Source::Stderr, at(3), b"err").await.expect("taken");
    writer.detach().await;
    let (writer, log) = place.resume(run).await.expect("a writer");
    assert_eq!((log.stdout.bytes, log.stdout.lines, log.stdout.open), (4, 1, false));
    assert_eq!((log.stderr.bytes, log.stderr.lines, log.stderr.open), (3, 0, true));
    assert_eq!((log.marks, log.capped), (1, false));
    assert_eq!((log.first_timestamp, log.last_timestamp), (Some(at(1)), Some(at(3))));
    assert_eq!(writer.totals().stored, PerSource { stdout: 4, stderr: 3 });
    // A run without a log yet is begun.
    let (_, log) = place.resume(super::run()).await.expect("a writer");
    assert_eq!(log.len, 0);
}

#[tokio::test]
async fn a_writer_can_say_what_its_log_holds() {
    let place = Place::new();
    let run = run();
    let mut writer = place.create(run).await.expect("a writer");
    let state = place.watch(run).await.expect("a state");
    writer.append(Source::Stdout, at(0), b"one\nhalf a line and half a \xC3").await.expect("taken");
    let log = writer.stored().await.expect("readable");
    assert_eq!(
        log.stdout.tail, b"one\nhalf a line and half a \xC3",
        "nothing is held back: it would be filled in twice"
    );
    assert!(log.stdout.open);
    writer.append(Source::Stdout, at(1), b"\xBC\n").await.expect("taken");
    writer.finish().await;
    assert!(state.borrow().finished, "the viewers stayed");
    assert_eq!(place.text_of(run, TextOptions::default()).await, "one\nhalf a line and half a ü\n");
}

/// A writer on a disk that fails when told to.
fn on_disk(place: &Place, run: crate::journal::RunId) -> (LogWriter, Disk) {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(place.log_path(run)).expect("a file");
    let disk = Disk::new(file);
    let registration = place.inner.registry.register(run, FileKind::Log, 0).expect("free");
    let file = LineFile::new(Box::new(disk.clone()), 0);
    (LogWriter::new(place.journal.clone(), run, file, Encoder::default(), registration), disk)
}

#[tokio::test]
async fn a_full_disk_costs_what_did_not_fit_and_the_log_says_so() {
    let place = Place::new();
    let run = run();
    let (mut writer, disk) = on_disk(&place, run);
    say(&mut writer, 0, "before").await;
    writer.flush().await.expect("room");
    let len = place.stored(run).len() as u64;

    // Room for one more line and a half.
    disk.has_room_for(len + 70);
    say(&mut writer, 1, "fits").await;
    say(&mut writer, 1, "does not").await;
    writer.append(Source::Stderr, at(1), b"nor this\n").await.expect("taken");
    writer.mark(at(1), "an important note").await.expect("taken");
    let error = writer.flush().await.expect_err("full");
    assert!(matches!(error, JournalError::Write { lost: 18, .. }), "{error:?}");
    let stored = place.stored(run);
    assert!(stored.ends_with(b"fits\n"), "no half line");
    assert_eq!(place.watch(run).await.expect("live").borrow().len, stored.len() as u64);

    // Still full: more is lost, the writer lives.
    say(&mut writer, 2, "gone").await;
    assert!(writer.flush().await.is_err());
    assert_eq!(writer.totals().lost, PerSource { stdout: 14, stderr: 9 });
    let log = writer.stored().await.expect("readable");
    assert_eq!((log.stdout.bytes, log.stdout.missing, log.stderr.missing), (12, 14, 9));
    assert_eq!(writer.totals().stored, PerSource { stdout: 12, stderr: 0 });

    disk.has_room_for(u64::MAX);
    say(&mut writer, 3, "after").await;
    writer.flush().await.expect("room again");
    let expected = "before\nfits\n[fastflow] an important note\n\
        [fastflow] 14 bytes of output could not be stored: No space left on device (stdout)\n\
        [fastflow] 9 bytes of output could not be stored: No space left on device (stderr)\nafter\n";
    assert_eq!(place.text_of(run, TextOptions::default()).await, expected);
    drop(writer);
    let (_, log) = place.resume(run).await.expect("a writer");
    assert_eq!((log.stdout.bytes, log.stdout.missing, log.stderr.missing), (18, 14, 9));
}

#[tokio::test]
async fn a_disk_that_stays_full_is_told_at_the_end() {
    let place = Place::new();
    let run = run();
    let (mut writer, disk) = on_disk(&place, run);
    disk.has_room_for(0);
    disk.stuck.store(true, Ordering::SeqCst);
    say(&mut writer, 0, "gone").await;
    let finished = writer.finish().await;
    assert!(matches!(finished.error, Some(JournalError::Write { .. })));
    assert_eq!((finished.len, finished.totals.lost.stdout), (0, 5));
}

#[tokio::test]
async fn a_torn_write_that_cannot_be_cut_is_cut_later() {
    let place = Place::new();
    let run = run();
    let (mut writer, disk) = on_disk(&place, run);
    disk.has_room_for(60);
    disk.stuck.store(true, Ordering::SeqCst);
    say(&mut writer, 0, "first").await;
    say(&mut writer, 0, "second").await;
    assert!(writer.flush().await.is_err());
    assert_eq!(place.stored(run).len(), 60, "half a line is there");
    assert_eq!(place.text_of(run, TextOptions::default()).await, "first\n", "but nobody sees it");
    disk.has_room_for(u64::MAX);
    say(&mut writer, 1, "third").await;
    assert!(writer.flush().await.is_err(), "not before the half line is gone");
    disk.stuck.store(false, Ordering::SeqCst);
    let finished = writer.finish().await;
    assert!(finished.error.is_none(), "{:?}", finished.error);
    let text = place.text_of(run, TextOptions::default()).await;
    let mark = "[fastflow] 13 bytes of output could not be stored: Input/output error (stdout)";
    assert_eq!(text, format!("first\n{mark}\n"));
}

#[tokio::test]
async fn the_size_limit_is_marked_once_and_the_rest_counted() {
    let place = Place::with_cap(Some(1000));
    let run = run();
    let mut writer = place.create(run).await.expect("a writer");
    for number in 0..100 {
        say(&mut writer, number, "0123456789").await;
    }
    writer.flush().await.expect("stored");
    let totals = writer.totals();
    assert_eq!(totals.stored.stdout + totals.beyond_cap.stdout, 1100);
    assert_eq!(totals.stored.stdout, 19 * 11);
    drop(writer);
    let (mut writer, log) = place.resume(run).await.expect("a writer");
    assert!(log.capped);
    say(&mut writer, 100, "still too much").await;
    writer.mark(at(101), "marks still get in").await.expect("taken");
    assert_eq!(writer.finish().await.totals.beyond_cap.stdout, 15);
    let text = place.text_of(run, TextOptions::default()).await;
    let marks: Vec<_> = text.lines().filter(|line| line.starts_with(MARK_PREFIX)).collect();
    assert_eq!(marks.len(), 2);
    assert!(marks[0].contains("limit of 1 MB"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_may_read_while_a_writer_writes() {
    let place = Place::new();
    let run = run();
    let mut writer = place.create(run).await.expect("a writer");
    let journal = place.journal.clone();
    let reader = async move {
        let mut state = journal.watch(run).await.expect("a state");
        let (mut offset, mut seen) = (0, Vec::new());
        loop {
            let now = *state.borrow_and_update();
            while offset < now.len {
                let page = journal.read_lines(run, offset, ALL, 50_000).await.expect("readable");
                assert!(!page.lines.is_empty());
                seen.extend(texts(&page.lines));
                offset = page.next;
            }
            if now.finished {
                return seen;
            }
            state.changed().await.expect("a writer");
        }
    };
    let writing = tokio::spawn(async move {
        for number in 0..20_000_u64 {
            say(&mut writer, number / 100, &format!("line {number}")).await;
            if number % 97 == 0 {
                writer.flush().await.expect("stored");
            }
        }
        assert!(writer.finish().await.error.is_none());
    });
    let (seen, written) = tokio::join!(reader, writing);
    written.expect("written");
    assert!(seen.iter().enumerate().all(|(number, line)| *line == format!("line {number}")));
    assert_eq!(seen.len(), 20_000);
}

#[tokio::test]
async fn sizes_and_removal() {
    let place = Place::new();
    let run = place.log_of(["one", "two"]).await;
    let mut metrics = place.metrics_writer(run).await.expect("a writer");
    metrics.append(&1).await.expect("stored");
    metrics.finish();
    std::fs::write(place.log_path(run).with_file_name("notes.txt"), "not ours").expect("written");
    let census = place.census(10).await.expect("listed");
    let sizes = census.oldest;
    assert_eq!((sizes.len(), census.logs, census.bytes), (1, 1, 2 * 41 + 8));
    assert_eq!((sizes[0].run_id, sizes[0].log, sizes[0].metrics), (run, Some(2 * 41 + 6), Some(2)));
    assert_eq!(place.size(run).await.expect("looked"), Some(sizes[0]));
    let raw = place.raw(run, FileKind::Log, 0..u64::MAX).await.expect("raw");
    assert_eq!(place.remove(run).await.expect("removed"), 2 * 41 + 8);
    assert_eq!(all(raw.1).await.len(), 2 * 41 + 6, "who has it open reads on");
    assert_eq!(place.remove(run).await.expect("nothing to do"), 0);
    assert_eq!(place.size(run).await.expect("looked"), None);
    assert!(matches!(place.read_lines(run, 0, 1, 1).await, Err(JournalError::NotFound(_))));
}
