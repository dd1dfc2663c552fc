//! Watching a log live: every viewer sees the same, however it comes and goes.

use std::time::{Duration, Instant};

use fastflow_shared::{LiveEvent, RunStatus, events, routes};
use fastflow_tests::sse::Item;
use fastflow_tests::wait::within;
use fastflow_tests::{Options, Server, Viewer};

/// 4,000 lines over two seconds, on both streams, and a last one that says when it was written.
const STEADY: &str = r"
import sys, time
for n in range(1, 4001):
    print(f'line {n:05d}', file=sys.stderr if n % 5 == 0 else sys.stdout)
    if n % 20 == 0:
        time.sleep(0.01)
";

#[tokio::test]
async fn two_viewers_and_one_that_reconnects_see_the_same_and_learn_of_the_end_at_once() {
    let server = Server::start(Options::new().env("LOG_STREAM_RATE_LIMIT", "0")).await;
    let client = server.client();
    server.pipeline("steady", STEADY);
    let run = client.start("steady").await;
    // One is there before the first line, one comes in the middle, one comes and goes.
    let mut early = Viewer::open(client, &run.id).await;
    let mut restless = Viewer::open(client, &run.id).await;
    let late = async {
        client.log_when(&run.id, "line 01000").await;
        let mut viewer = Viewer::open(client, &run.id).await;
        viewer.watch().await;
        viewer
    };
    let coming_and_going = async {
        for lines in [300, 1300, 2500] {
            restless.see(lines).await;
            restless.reconnect().await;
        }
        restless.watch().await;
    };
    let end = async {
        let run = client.end_of(&run.id).await;
        (run, Instant::now())
    };
    let (late, (), (), (run, ended)) = tokio::join!(late, coming_and_going, early.watch(), end);

    assert_eq!(run.status, RunStatus::Success);
    for viewer in [&early, &restless, &late] {
        let (end, at) = viewer.end.clone().expect("an end");
        assert_eq!(end.status, RunStatus::Success);
        let late_by = at.saturating_duration_since(ended);
        assert!(late_by < Duration::from_secs(1), "the stream ended {late_by:?} after the run");
        assert_eq!(viewer.lines, early.lines);
        assert!(viewer.skipped.is_empty());
    }
    assert_eq!(early.text(), client.log_text(&run.id).await);
    assert_eq!(early.lines.len(), 4000);
    assert!(early.lines.is_sorted_by(|a, b| a.offset < b.offset && a.time <= b.time));

    // Whoever comes after the end gets all of it and the end at once.
    let mut after = Viewer::open(client, &run.id).await;
    after.watch().await;
    assert_eq!(after.lines, early.lines);
    let mut tail = Viewer::open_at(client, &run.id, "?tail=10").await;
    tail.watch().await;
    assert_eq!(tail.lines, early.lines[3990..]);
}

#[tokio::test]
async fn a_viewer_of_a_flood_is_told_what_was_skipped_and_the_stored_log_is_whole() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    server.example("flood");
    let run = client.start("flood").await;
    let mut viewer = Viewer::open(client, &run.id).await;
    viewer.watch().await;
    assert!(!viewer.skipped.is_empty(), "200,000 lines cannot have been sent at 100 lines a second");

    // What was sent and what was skipped lie side by side without a gap or an overlap.
    let mut pieces: Vec<(i64, i64)> = viewer.skipped.iter().map(|gap| (gap.from, gap.to)).collect();
    assert!(pieces.iter().all(|(from, to)| from < to));
    let known: i64 = viewer.skipped.iter().map(|gap| gap.lines).sum();
    assert!(viewer.skipped.iter().all(|gap| gap.lines > 0), "{:?}", viewer.skipped);
    assert_eq!(known + i64::try_from(viewer.lines.len()).expect("few"), 200_000);
    pieces.extend(viewer.lines.iter().map(|line| (line.offset, line.offset)));
    pieces.sort_unstable();
    for line in &viewer.lines {
        assert!(
            !viewer.skipped.iter().any(|gap| (gap.from..gap.to).contains(&line.offset)),
            "sent and skipped: {line:?}"
        );
    }
    let last = viewer.lines.last().expect("the end of a flood is always shown");
    assert!(last.text.starts_with("line 00200000"), "{}", last.text);

    let log = client.log_text(&run.id).await;
    assert_eq!(log.lines().count(), 200_000);
}

#[tokio::test]
async fn two_hundred_viewers_slow_nobody_down() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    let chatty =
        "import time\nfor n in range(100000):\n    print(f'line {n:06d}')\n    if n % 20 == 0: time.sleep(0.005)";
    server.pipeline("chatty", chatty);
    let run = client.start("chatty").await;
    client.log_when(&run.id, "line 000100").await;
    let mut watching = Vec::new();
    // What an answer takes on this machine at this hour, without anybody who watches.
    let mut alone = Duration::ZERO;
    for viewers in [0, 16, 200] {
        while watching.len() < viewers {
            let mut viewer = Viewer::open(client, &run.id).await;
            watching.push(tokio::spawn(async move { while viewer.step().await {} }));
        }
        let mut times = Vec::new();
        for _ in 0..20 {
            for path in [routes::HEALTH, routes::RUNS] {
                let begin = Instant::now();
                let _ = client.get(path).await.expect(200);
                times.push(begin.elapsed());
            }
        }
        times.sort_unstable();
        let typical = times[times.len() * 9 / 10];
        if viewers == 0 {
            alone = typical;
        }
        let most = Duration::from_millis(100).max(alone * 10);
        assert!(typical < most, "with {viewers} viewers answers take {typical:?}, without any {alone:?}");
    }
    for viewer in &watching {
        viewer.abort();
    }
    let _ = client.cancel(&run.id).await.expect(202);
    client.end_of(&run.id).await;
}

#[tokio::test]
async fn events_tell_of_every_change_and_a_quiet_stream_shows_that_it_lives() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    server.pipeline("hello", "print('hello')");
    let mut stream = client.stream(routes::EVENTS, None).await;
    let run = client.start("hello").await;
    let mut seen = Vec::new();
    while seen.last() != Some(&Some(RunStatus::Success)) {
        let event = stream.event(Duration::from_secs(30)).await.expect("the stream goes on");
        assert_eq!(event.name, events::CHANGE);
        let change: LiveEvent = event.json();
        if change.kind == "run" && change.id == run.id {
            assert_eq!(change.pipeline_name.as_deref(), Some("hello"));
            seen.push(change.status);
        }
    }
    assert!(seen.contains(&Some(RunStatus::Running)), "{seen:?}");
    assert_eq!(client.run(&run.id).await.status, RunStatus::Success, "an event comes after what it tells of");
    let heartbeat = async {
        while !matches!(stream.item(Duration::from_secs(40)).await.expect("the stream goes on"), Item::Comment(_)) {}
    };
    within("a heartbeat", Duration::from_secs(60), heartbeat).await;
}
