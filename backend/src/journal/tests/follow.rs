//! Live viewers. Time stands still and moves on by itself when everybody waits.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;
use tokio::time::Instant;

use super::{Place, at, run, say, texts};
use crate::journal::{
    Batch, Follow, FollowOptions, JournalError, LogEvent, LogWriter, Source, Start,
    pace::{Backlog, Pace, Step},
};

/// What a viewer was told, and when.
#[derive(Default)]
struct Seen {
    lines: Vec<String>,
    skipped: u64,
    jumps: usize,
    /// Lines received by a time.
    pace: Vec<(Instant, usize)>,
    batches: Vec<Arc<Batch>>,
    end: Option<(u64, bool)>,
}

/// Follows to the end; checks that every event begins where the one before ended.
async fn watch(mut follow: Follow) -> Seen {
    let mut seen = Seen::default();
    let mut offset = follow.offset();
    while let Some(event) = follow.next().await {
        match event.expect("readable") {
            LogEvent::Lines(batch) => {
                assert_eq!((batch.from, batch.lines[0].offset), (offset, offset));
                assert!(batch.lines.len() <= 500);
                offset = batch.next;
                seen.lines.extend(texts(&batch.lines));
                seen.pace.push((Instant::now(), seen.lines.len()));
                seen.batches.push(batch);
            }
            LogEvent::Skipped { from, to, lines } => {
                assert!(from == offset && to > from);
                offset = to;
                seen.skipped += lines.expect("counted");
                seen.jumps += 1;
            }
            LogEvent::Heartbeat => {}
            LogEvent::End { next, finished } => {
                assert_eq!(next, offset);
                seen.end = Some((next, finished));
            }
        }
        assert_eq!(follow.offset(), offset);
    }
    seen
}

fn options(start: Start, rate: u32) -> FollowOptions {
    FollowOptions { start, rate, ..FollowOptions::default() }
}

/// Writes numbered lines: so many at a time, so many times, 10 ms apart.
async fn flood(mut writer: LogWriter, at_a_time: u64, times: u64) {
    for number in 0..at_a_time * times {
        say(&mut writer, number / 1000, &format!("line {number}")).await;
        if number % at_a_time == at_a_time - 1 {
            writer.flush().await.expect("stored");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    writer.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_viewer_sees_lines_as_they_come_and_the_end() {
    let place = Place::new();
    let run = run();
    let mut writer = place.create(run).await.expect("a writer");
    let mut follow = place.follow(run, FollowOptions::default()).await.expect("a viewer");
    let begin = Instant::now();
    assert!(matches!(follow.next().await, Some(Ok(LogEvent::Heartbeat))));
    assert!(matches!(follow.next().await, Some(Ok(LogEvent::Heartbeat))));
    assert_eq!(begin.elapsed().as_secs(), 30);
    say(&mut writer, 0, "hello").await;
    writer.append(Source::Stderr, at(1), b"50 %\r").await.expect("taken");
    writer.flush_partial().await.expect("stored");
    let Some(Ok(LogEvent::Lines(batch))) = follow.next().await else { panic!("lines") };
    assert_eq!(texts(&batch.lines), ["hello", "50 %\r"]);
    assert!(batch.lines[0].terminated && !batch.lines[1].terminated);
    assert_eq!(begin.elapsed().as_secs(), 30, "at once");
    // A viewer that comes back begins where it was.
    let again = place.follow(run, options(Start::Offset(batch.lines[1].offset), 100)).await.expect("a viewer");
    let len = writer.finish().await.len;
    assert!(matches!(follow.next().await, Some(Ok(LogEvent::End { next, finished: true })) if next == len));
    assert!(follow.next().await.is_none());
    let seen = watch(again).await;
    assert_eq!((seen.lines, seen.end), (vec!["50 %\r".to_owned()], Some((len, true))));
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_goes_away_is_told() {
    let place = Place::new();
    let run = run();
    assert!(matches!(place.follow(run, FollowOptions::default()).await, Err(JournalError::NotFound(_))));
    let mut writer = place.create(run).await.expect("a writer");
    say(&mut writer, 0, "one").await;
    let follow = place.follow(run, FollowOptions::default()).await.expect("a viewer");
    let len = writer.detach().await.len;
    assert_eq!(watch(follow).await.end, Some((len, false)));
    // The next writer has new viewers, and they see all.
    let (mut writer, _) = place.resume(run).await.expect("a writer");
    let follow = place.follow(run, FollowOptions::default()).await.expect("a viewer");
    say(&mut writer, 1, "two").await;
    writer.finish().await;
    assert_eq!(watch(follow).await.lines, ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_of_the_past_does_not_end_those_of_the_present() {
    let place = Place::new();
    let run = place.log_of(["one"]).await;
    // Somebody still holds the log as it was before it was resumed, and shares it.
    let old = place.follow(run, FollowOptions::default()).await.expect("a viewer");
    let (mut writer, _) = place.resume(run).await.expect("a writer");
    place.inner.feeds.put(run, old.feed());
    let new = place.follow(run, FollowOptions::default()).await.expect("a viewer");
    say(&mut writer, 1, "two").await;
    writer.finish().await;
    assert_eq!(watch(old).await.lines, ["one"]);
    assert_eq!(watch(new).await.lines, ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_everything_is_sent() {
    let place = Place::new();
    let run = run();
    let writer = place.create(run).await.expect("a writer");
    let follow = place.follow(run, options(Start::Offset(0), 0)).await.expect("a viewer");
    let (seen, ()) = tokio::join!(watch(follow), flood(writer, 3000, 10));
    assert!(seen.lines.iter().enumerate().all(|(number, line)| *line == format!("line {number}")));
    assert_eq!((seen.lines.len(), seen.jumps), (30_000, 0));
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_cut_to_the_rate_and_says_so() {
    let place = Place::new();
    let run = run();
    let writer = place.create(run).await.expect("a writer");
    let follow = place.follow(run, options(Start::Offset(0), 100)).await.expect("a viewer");
    let begin = Instant::now();
    // 100,000 lines a second for five seconds.
    let (seen, ()) = tokio::join!(watch(follow), flood(writer, 1000, 500));
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(6), "the end comes within a second: {took:?}");
    assert_eq!(seen.lines.len() as u64 + seen.skipped, 500_000);
    assert!(seen.jumps >= 4);
    for (time, lines) in seen.pace {
        let allowed = 1000.0 + 100.0 * (time - begin).as_secs_f64() + 100.0;
        assert!(lines as f64 <= allowed, "{lines} lines after {:?}", time - begin);
    }
    // It used what it was allowed, and saw the last lines.
    assert!(seen.lines.len() > 1200);
    let last = &seen.lines[seen.lines.len() - 20..];
    assert!(last.iter().zip(499_980..).all(|(line, number)| *line == format!("line {number}")));
}

#[tokio::test(start_paused = true)]
async fn a_little_too_fast_is_skipped_a_little() {
    let place = Place::new();
    let run = run();
    let writer = place.create(run).await.expect("a writer");
    let follow = place.follow(run, options(Start::Offset(0), 100)).await.expect("a viewer");
    // 200 lines a second for a minute.
    let (seen, ()) = tokio::join!(watch(follow), flood(writer, 2, 6000));
    assert_eq!(seen.lines.len() as u64 + seen.skipped, 12_000);
    assert!(seen.lines.len() >= 6500, "{}", seen.lines.len());
    assert!(seen.jumps <= 60, "one jump a second at most, not one a batch: {}", seen.jumps);
}

#[tokio::test(start_paused = true)]
async fn a_burst_within_the_limit_is_sent_whole() {
    let place = Place::new();
    let run = run();
    let writer = place.create(run).await.expect("a writer");
    let follow = place.follow(run, options(Start::Offset(0), 100)).await.expect("a viewer");
    let (seen, ()) = tokio::join!(watch(follow), flood(writer, 1000, 1));
    assert_eq!((seen.lines.len(), seen.jumps), (1000, 0));
}

#[tokio::test(start_paused = true)]
async fn a_long_finished_log_ends_at_once() {
    let place = Place::new();
    let run = place.log_of((0..100_000).map(|number| format!("line {number}"))).await;
    let begin = Instant::now();
    for (rate, lines) in [(100, 1000), (1, 500)] {
        let seen = watch(place.follow(run, options(Start::Offset(0), rate)).await.expect("a viewer")).await;
        assert_eq!((seen.lines.len(), seen.skipped), (lines, 100_000 - lines as u64));
        assert_eq!(seen.lines.last().map(String::as_str), Some("line 99999"));
    }
    let seen = watch(place.follow(run, options(Start::Tail(3), 100)).await.expect("a viewer")).await;
    assert_eq!(seen.lines, ["line 99997", "line 99998", "line 99999"]);
    let seen = watch(place.follow(run, options(Start::Offset(u64::MAX), 100)).await.expect("a viewer")).await;
    assert!(seen.lines.is_empty() && seen.end.is_some());
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_slow_receiver_sees_lines_not_only_jumps() {
    let place = Place::new();
    let run = run();
    let writer = place.create(run).await.expect("a writer");
    let mut follow = place.follow(run, options(Start::Offset(0), 100)).await.expect("a viewer");
    let slow = async {
        let (mut lines, mut jumps) = (0, 0);
        while let Some(event) = follow.next().await {
            match event.expect("readable") {
                LogEvent::Lines(batch) => lines += batch.lines.len(),
                LogEvent::Skipped { .. } => jumps += 1,
                LogEvent::Heartbeat | LogEvent::End { .. } => {}
            }
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        (lines, jumps)
    };
    let ((lines, jumps), ()) = tokio::join!(slow, flood(writer, 1000, 1000));
    assert!(lines > 1000 && jumps > 2, "{lines} lines, {jumps} jumps");
}

#[tokio::test(start_paused = true)]
async fn viewers_of_a_flood_share_what_is_read_and_rendered() {
    let place = Place::new();
    let run = run();
    let writer = place.create(run).await.expect("a writer");
    let mut viewers = Vec::new();
    for _ in 0..20 {
        viewers.push(watch(place.follow(run, options(Start::Offset(0), 100)).await.expect("a viewer")));
    }
    let (all, ()) = tokio::join!(futures_util::future::join_all(viewers), flood(writer, 1000, 300));
    let mut batches: Vec<&Arc<Batch>> = all.iter().flat_map(|seen| &seen.batches).collect();
    let sent = batches.len();
    batches.sort_by_key(|batch| Arc::as_ptr(batch));
    batches.dedup_by(|a, b| Arc::ptr_eq(a, b));
    assert!(batches.len() * 10 <= sent, "{} batches were read for {sent} sent", batches.len());
    let first = batches[0].rendered(|_| Bytes::from_static(b"once"));
    assert_eq!(batches[0].rendered(|_| unreachable!("a second time")), first);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the backlog does, nobody gets more than burst and rate allow, and no wait is longer than half a second.
    #[test]
    fn the_bucket_holds(rate in 1_u32..5000, moves in proptest::collection::vec((0_u64..2000, 0_u8..3), 1..100)) {
        let epoch = Instant::now();
        let mut now = epoch;
        let mut pace = Pace::new(rate, now, epoch);
        let mut sent = 0;
        for (millis, backlog) in moves {
            now += Duration::from_millis(millis);
            let tokens = pace.tokens(now, false);
            let backlog = [Backlog::Fits, Backlog::Near, Backlog::Far][usize::from(backlog)];
            match pace.step(now, tokens, backlog, false) {
                Step::Send(lines) | Step::Jump(lines) => {
                    prop_assert!(lines <= tokens);
                    pace.spend(lines);
                    sent += lines;
                }
                Step::Wait(until) => {
                    prop_assert!(until > now && until - now <= Duration::from_millis(500));
                }
            }
            let burst = (10.0 * f64::from(rate)).max(500.0);
            let allowed = burst + f64::from(rate) * (now - epoch).as_secs_f64();
            prop_assert!(sent as f64 <= allowed + 1.0);
        }
        // At the end a second's worth is granted, and nothing waits.
        let tokens = pace.tokens(now, true);
        prop_assert!(tokens >= u64::from(rate));
        prop_assert_eq!(pace.step(now, tokens, Backlog::Far, true), Step::Jump(tokens));
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_log_is_told_when_it_begins() {
    let place = Place::new();
    let (one, other) = (run(), run());
    let mut waiting = [place.begins(one), place.begins(one)];
    let mut elsewhere = place.begins(other);
    drop(place.create(one).await.expect("a writer"));
    for waiting in &mut waiting {
        waiting.changed().await.expect("told");
    }
    assert!(!elsewhere.has_changed().expect("nobody gave up"));
    drop(place.metrics_writer(other).await.expect("a writer"));
    elsewhere.changed().await.expect("told of metrics as well");
}
