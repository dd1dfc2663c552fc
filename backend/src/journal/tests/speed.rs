//! How fast it is. Prints figures and asserts nothing, so it runs only when asked for:
//! `cargo test --release -p fastflow --lib -- --ignored --nocapture journal::tests::speed`.

use std::time::Instant;

use super::{Place, at, run};
use crate::journal::{FollowOptions, LogEvent, Search, Source, Start, TextOptions};

/// What a script prints in a flood: lines of 100 bytes.
const LINES: u64 = 5_000_000;

#[ignore = "measures, see above"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_in_figures() {
    let place = Place::new();
    let run = run();
    let frame = format!("{}\n", "x".repeat(99)).repeat(320);
    let mut writer = place.create(run).await.expect("a writer");
    let begin = Instant::now();
    for number in 0..LINES / 320 {
        // Docker's frames are 32 KiB at most, and each comes with a time of its own.
        writer.append(Source::Stdout, at(number / 100), frame.as_bytes()).await.expect("stored");
    }
    let finished = writer.finish().await;
    rate("written", finished.totals.stored.stdout / 100, begin);

    let begin = Instant::now();
    let mut offset = 0;
    let mut lines = 0;
    loop {
        let page = place.read_lines(run, offset, 500, 256 * 1024).await.expect("readable");
        lines += page.lines.len() as u64;
        offset = page.next;
        if offset == page.end {
            break;
        }
    }
    rate("read in pages of 500", lines, begin);

    let begin = Instant::now();
    let text = super::all(place.text(run, TextOptions::default()).await.expect("text")).await;
    rate("read as text", text.len() as u64 / 100, begin);

    let begin = Instant::now();
    place.line_at(run, offset).await.expect("counted");
    rate("counted", lines, begin);
    let begin = Instant::now();
    place.offset_of_line(run, lines / 2).await.expect("found");
    println!("line found with the index in {:?}", begin.elapsed());
    let begin = Instant::now();
    place.offset_of_time(run, at(77)).await.expect("found");
    println!("time found in {:?}", begin.elapsed());

    for ignore_case in [false, true] {
        let begin = Instant::now();
        let (mut from, mut search) = (0, Search { needle: "Y".into(), ignore_case, source: None, from: 0, limit: 10 });
        while let Some(next) = place.search(run, search.clone()).await.expect("searched").next {
            from = next;
            search.from = from;
        }
        assert!(from > 0);
        rate(if ignore_case { "searched, any case" } else { "searched" }, lines, begin);
    }

    let begin = Instant::now();
    drop(place.resume(run).await.expect("a writer"));
    rate("scanned to resume", lines, begin);

    let begin = Instant::now();
    let options = FollowOptions { start: Start::Offset(0), ..FollowOptions::default() };
    let mut follow = place.follow(run, options).await.expect("a viewer");
    while let Some(event) = follow.next().await {
        if let LogEvent::Skipped { lines, .. } = event.expect("readable") {
            println!("skipped {lines:?} lines");
        }
    }
    println!("a viewer from the start to the end of the finished log in {:?}", begin.elapsed());
}

/// Writes a flood for a while with so many viewers.
#[ignore = "measures, see above"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_of_a_flood_in_figures() {
    for viewers in [0, 1, 20, 200] {
        let place = Place::new();
        let run = run();
        let frame = format!("{}\n", "x".repeat(99)).repeat(320);
        let mut writer = place.create(run).await.expect("a writer");
        let mut watching = tokio::task::JoinSet::new();
        for _ in 0..viewers {
            let mut follow = place.follow(run, FollowOptions::default()).await.expect("a viewer");
            watching.spawn(async move {
                let mut sent = 0;
                while let Some(event) = follow.next().await {
                    if let LogEvent::Lines(batch) = event.expect("readable") {
                        sent += batch
                            .rendered(|batch| batch.lines.iter().flat_map(|line| line.text.clone()).collect())
                            .len();
                    }
                }
                sent
            });
        }
        let begin = Instant::now();
        for number in 0..LINES / 320 {
            writer.append(Source::Stdout, at(number / 100), frame.as_bytes()).await.expect("stored");
        }
        writer.finish().await;
        rate(&format!("written with {viewers} viewers"), LINES, begin);
        let sent = watching.join_all().await.into_iter().sum::<usize>();
        println!("  they were sent {sent} bytes, the last {:?} after the start", begin.elapsed());
    }
}

fn rate(what: &str, lines: u64, begin: Instant) {
    let took = begin.elapsed();
    println!("{what}: {lines} lines in {took:?}, {:.1} million lines/s", lines as f64 / took.as_secs_f64() / 1e6);
}
