//! A log holds what the script wrote: every byte, once, in order.

use std::process::Command;

use fastflow_shared::{RunStatus, routes};
use fastflow_tests::{Options, Server, place};

/// Both streams, with times on the way: what comes out of each is known, how they mix is not.
const BOTH_STREAMS: &str = r"
import sys
for n in range(1, 2001):
    print(f'out {n:05d}')
    if n % 4 == 0:
        print(f'err {n:05d}', file=sys.stderr)
";

fn numbered(prefix: &str, step: usize) -> String {
    (1..=2000).filter(|n| n % step == 0).map(|n| format!("{prefix} {n:05}\n")).collect()
}

/// What an example prints when it is run by hand.
fn printed_by(example: &str) -> Vec<u8> {
    let folder = place::repository().join("examples/pipelines").join(example);
    let output = Command::new("python3").arg("main.py").current_dir(folder).output().expect("python3 is installed");
    assert!(output.status.success());
    output.stdout
}

/// Shows where two texts part, for a megabyte of difference helps nobody.
fn assert_same(found: &[u8], expected: &[u8]) {
    if found == expected {
        return;
    }
    let at = found.iter().zip(expected).position(|(a, b)| a != b).unwrap_or(found.len().min(expected.len()));
    let around = |bytes: &[u8]| {
        let text = bytes.get(at.saturating_sub(60)..(at + 60).min(bytes.len())).unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    };
    panic!(
        "{} bytes instead of {}, different from byte {at} on:\n{:?}\ninstead of\n{:?}",
        found.len(),
        expected.len(),
        around(found),
        around(expected)
    );
}

#[tokio::test]
async fn a_flood_of_200_000_lines_is_stored_byte_for_byte() {
    let server = Server::start(Options::new()).await;
    server.example("flood");
    let run = server.client().run_well("flood").await;
    let log = server.client().log(&run.id).await;
    assert_same(&log, &printed_by("flood"));
    assert_eq!(log.iter().filter(|byte| **byte == b'\n').count(), 200_000);
    assert!(run.log_bytes.is_some_and(|bytes| bytes > 20_000_000), "{:?}", run.log_bytes);
}

#[tokio::test]
async fn odd_lines_are_stored_byte_for_byte() {
    let server = Server::start(Options::new()).await;
    server.example("oddlines");
    let run = server.client().run_well("oddlines").await;
    assert_same(&server.client().log(&run.id).await, &printed_by("oddlines"));
}

#[tokio::test]
async fn the_streams_are_kept_apart_and_a_part_of_the_log_can_be_asked_for() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    server.pipeline("both", BOTH_STREAMS);
    let run = client.run_well("both").await;

    let (out, err) = (numbered("out", 1), numbered("err", 4));
    assert_same(&client.log_with(&run.id, "?stream=stdout").await, out.as_bytes());
    assert_same(&client.log_with(&run.id, "?stream=stderr").await, err.as_bytes());
    let all = client.log_text(&run.id).await;
    assert_eq!(all.lines().count(), 2500);

    let tail = client.log_with(&run.id, "?stream=stdout&tail=3").await;
    assert_same(&tail, b"out 01998\nout 01999\nout 02000\n");

    let stamped = String::from_utf8(client.log_with(&run.id, "?timestamps=true").await.to_vec()).expect("text");
    let mut earlier = String::new();
    for (line, plain) in stamped.lines().zip(all.lines()) {
        let mut words = line.splitn(3, ' ');
        let (time, stream, text) = (words.next(), words.next(), words.next());
        let time = time.expect("a time");
        assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok() && time >= earlier.as_str(), "{line}");
        time.clone_into(&mut earlier);
        assert_eq!(stream, Some(if plain.starts_with("err") { "stderr" } else { "stdout" }));
        assert_eq!(text, Some(plain));
    }
    assert_eq!(stamped.lines().count(), 2500);

    // Two parts that meet are the whole, wherever the cut is.
    let middle = run.log_bytes.expect("it has a log") / 2;
    let first = client.log_with(&run.id, &format!("?end={middle}")).await;
    let second = client.log_with(&run.id, &format!("?offset={middle}")).await;
    assert!(!first.is_empty() && !second.is_empty());
    assert_same(&[first, second].concat(), all.as_bytes());

    let answer = client.get(&format!("{}?download=true", routes::run_logs(&run.id))).await.expect(200);
    assert!(answer.header("content-disposition").is_some_and(|value| value.starts_with("attachment")));
    assert!(answer.header("content-type").is_some_and(|value| value.starts_with("text/plain")));
}

#[tokio::test]
async fn a_full_disk_stops_neither_the_run_nor_the_server_and_both_say_so() {
    let server = Server::start(Options::new().log_disk("3m")).await;
    let client = server.client();
    server.pipeline("big", "for n in range(60000): print(f'{n:05d} ' + 'x' * 93)\nraise SystemExit(4)");
    let run = client.run_to_end("big").await;
    assert_eq!((run.status, run.exit_code), (RunStatus::Failed, Some(4)), "{:?}", run.error_message);
    let log = client.log_text(&run.id).await;
    for (n, line) in log.lines().take_while(|line| !line.starts_with("[fastflow] ")).enumerate() {
        assert!(line.starts_with(&format!("{n:05} ")), "line {n} is {line:?}");
    }
    assert!(log.lines().count() > 10_000, "{}", log.lines().count());
    assert!(server.messages().contains("cannot be stored"), "the server says so");
    server.pipeline("small", "print('small')");
    client.run_to_end("small").await;
    let _ = client.get(routes::HEALTH).await.expect(200);
}

#[tokio::test]
async fn a_log_that_is_too_large_is_cut_off_with_a_mark_while_the_run_goes_on() {
    let server = Server::start(Options::new().env("LOG_MAX_SIZE_MB", "1")).await;
    server.pipeline("big", "for n in range(40000): print(f'{n:05d} ' + 'x' * 93)\nraise SystemExit(4)");
    let run = server.client().run_to_end("big").await;
    assert_eq!((run.status, run.exit_code), (RunStatus::Failed, Some(4)), "the run itself goes on to its end");
    assert!(run.log_bytes.is_some_and(|bytes| bytes < (1 << 20) + 65_536), "{:?}", run.log_bytes);
    let log = server.client().log_text(&run.id).await;
    let kept: Vec<&str> = log.lines().filter(|line| !line.starts_with("[fastflow] ")).collect();
    for (n, line) in kept.iter().enumerate() {
        assert!(line.starts_with(&format!("{n:05} ")), "line {n} is {line:?}");
    }
    assert!(kept.len() > 5000, "{}", kept.len());
    let marks: Vec<&str> = log.lines().filter(|line| line.starts_with("[fastflow] ")).collect();
    assert!(!marks.is_empty(), "nothing says that the log was cut off");
    assert!(marks.iter().any(|mark| mark.contains("LOG_MAX_SIZE_MB") || mark.contains("limit")), "{marks:?}");
}
