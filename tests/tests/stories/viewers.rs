//! Watching a log live: every viewer sees the same, however it comes and goes.

use std::time::{Duration, Instant};

use fastflow_shared::{LiveEvent, RunStatus, events, routes};
use fastflow_tests::sse::Item;
use fastflow_tests::wait::{PATIENCE, within};
use fastflow_tests::{Options, Server, Viewer};
use reqwest::Method;

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

/// Checks what a viewer was told of 200,000 lines: what was sent and what was skipped lie side by side without a gap or an overlap.
fn check_flood(viewer: &Viewer) {
    assert!(viewer.skipped.iter().all(|gap| gap.from < gap.to && gap.lines > 0), "{:?}", viewer.skipped);
    let known: i64 = viewer.skipped.iter().map(|gap| gap.lines).sum();
    // On a busy machine a line may come in pieces, each of which is an entry of its own.
    let entries = known + i64::try_from(viewer.lines.len()).expect("few");
    assert!((200_000..200_100).contains(&entries), "{entries}");
    for line in &viewer.lines {
        assert!(
            !viewer.skipped.iter().any(|gap| (gap.from..gap.to).contains(&line.offset)),
            "sent and skipped: {line:?}"
        );
    }
    let last = viewer.lines.last().expect("the end of a flood is always shown");
    assert!(last.text.starts_with("line 00200000"), "{}", last.text);
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

    check_flood(&viewer);
    let log = client.log_text(&run.id).await;
    assert_eq!(log.lines().count(), 200_000);
}

const TOKEN: &str = "figures for prometheus alone";

/// Bytes that were read from logs for those who watch.
async fn viewed(server: &Server) -> u64 {
    let request = server.anonymous().request(Method::GET, "/metrics").bearer_auth(TOKEN);
    let figures = server.anonymous().send(request).await.expect(200).text();
    let value = figures.lines().find_map(|line| line.strip_prefix("fastflow_log_viewed_bytes_total "));
    value.expect("the figure").parse().expect("a number")
}

#[tokio::test]
async fn two_hundred_viewers_cost_one_reading_and_others_are_answered() {
    let server = Server::start(Options::new().env("LOG_STREAM_RATE_LIMIT", "0").env("METRICS_TOKEN", TOKEN)).await;
    let client = server.client();
    server.pipeline("chatty", "import time\nfor n in range(1, 4001): print(f'line {n:05d}')\ntime.sleep(600)");
    let run = client.start("chatty").await;
    client.log_when(&run.id, "line 04000").await;
    let mut first = Viewer::open(client, &run.id).await;
    first.see(4000).await;
    let once = viewed(&server).await;
    assert!(once > 4000 * "line 00000\n".len() as u64, "{once} bytes were read for all of the log");

    let mut watching = tokio::task::JoinSet::new();
    for _ in 1..200 {
        let mut viewer = Viewer::open(client, &run.id).await;
        watching.spawn(async move {
            viewer.see(4000).await;
            viewer
        });
    }
    let mut viewers = within("all to see all", PATIENCE, watching.join_all()).await;
    assert_eq!(viewed(&server).await, once, "what one was sent, nobody reads again");
    for path in [routes::HEALTH, routes::RUNS, routes::OVERVIEW] {
        let _ = client.get(path).await.expect(200);
    }
    viewers.push(first);
    let _ = client.cancel(&run.id).await.expect(202);
    for mut viewer in viewers {
        viewer.watch().await;
        assert_eq!(viewer.lines.len(), 4000);
        assert!(viewer.skipped.is_empty());
    }
}

#[tokio::test]
async fn a_viewer_that_does_not_read_holds_up_nobody_and_is_told_what_it_missed() {
    let server = Server::start(Options::new().env("LOG_STREAM_RATE_LIMIT", "5000")).await;
    let client = server.client();
    server.example("flood");
    let run = client.start("flood").await;
    // Its connection is full before long, and stays so: the run ends and others see that all the same.
    let mut slow = Viewer::open(client, &run.id).await;
    let mut quick = Viewer::open(client, &run.id).await;
    quick.watch().await;
    check_flood(&quick);
    assert_eq!(client.end_of(&run.id).await.status, RunStatus::Success);
    assert_eq!(client.log_text(&run.id).await.lines().count(), 200_000);
    client.idle().await;
    assert!(slow.lines.is_empty(), "nothing was taken from it yet");
    slow.watch().await;
    assert!(!slow.skipped.is_empty(), "more than its rate and burst allow");
    check_flood(&slow);
    assert_eq!(slow.end.map(|(end, _)| end.status), Some(RunStatus::Success));
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
