//! A log holds what the script wrote: every byte, once, in order.

use std::process::Command;

use fastflow_shared::{LogHits, LogPage, RunDay, RunStatus, routes};
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

#[tokio::test]
async fn a_log_is_paged_from_any_place_and_searched_on_the_server() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    server.pipeline("lines", "for n in range(1, 3001): print(f'Line {n:04d}')");
    let run = client.run_well("lines").await;
    let page = async |query: &str| -> LogPage {
        client.get(&format!("{}?{query}", routes::run_logs_lines(&run.id))).await.expect(200).json()
    };
    let texts = |page: &LogPage| page.lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>();
    let numbered = |from: i64, to: i64| (from..=to).map(|n| format!("Line {n:04}")).collect::<Vec<_>>();

    // Forwards, page after page, is the whole; so is backwards.
    let (mut forwards, mut offset) = (Vec::new(), 0);
    loop {
        let page = page(&format!("offset={offset}&limit=700")).await;
        assert_eq!(page.first_line, i64::try_from(forwards.len()).expect("few") + 1);
        forwards.extend(texts(&page));
        offset = page.next;
        if page.next == page.end {
            assert!(page.finished);
            break;
        }
    }
    assert_eq!(forwards, numbered(1, 3000));
    let (mut backwards, mut edge) = (Vec::new(), offset);
    while edge > 0 {
        let page = page(&format!("before={edge}&limit=700")).await;
        assert_eq!(page.next, edge, "pages meet");
        backwards.splice(0..0, texts(&page));
        edge = page.start;
    }
    assert_eq!(backwards, numbered(1, 3000));

    let middle = page("line=1500&limit=3").await;
    assert_eq!((middle.first_line, texts(&middle)), (1500, numbered(1500, 1502)));
    let moment = middle.lines[0].time;
    let timed = page(&format!("time={}&limit=1", moment.format("%Y-%m-%dT%H:%M:%S%.9fZ"))).await;
    assert!(timed.first_line <= 1500 && timed.lines[0].time == moment, "{timed:?}");

    let find = async |query: &str| -> LogHits {
        client.get(&format!("{}?{query}", routes::run_logs_search(&run.id))).await.expect(200).json()
    };
    let hits = find("text=line%20299").await;
    assert_eq!(hits.hits.iter().map(|hit| hit.line).collect::<Vec<_>>(), (2990..=2999).collect::<Vec<_>>());
    assert_eq!(hits.next, None);
    let linked = page(&format!("offset={}&limit=1", hits.hits[0].offset)).await;
    assert_eq!(texts(&linked), ["Line 2990"]);
    assert!(find("text=line%20299&case=true").await.hits.is_empty());
    let first = find("text=Line&limit=2").await;
    let more = find(&format!("text=Line&limit=2&from={}", first.next.expect("there is more"))).await;
    assert_eq!(more.hits[0].line, 3);

    for wrong in ["lines?limit=0", "lines?limit=5000", "search?text=", "search?text=x&limit=0"] {
        let answer = client.get(&format!("{}/{wrong}", routes::run_logs(&run.id))).await;
        let _ = answer.problem(422, "invalid_values");
    }
    let nobody = client.get(&routes::run_logs_lines("01a00000-0000-7000-8000-000000000000")).await;
    let _ = nobody.problem(404, "run_not_found");
}

#[tokio::test]
async fn runs_are_counted_by_the_days_of_a_time_zone() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    server.pipeline("good", "print(1)");
    server.pipeline("bad", "raise SystemExit(1)");
    client.run_well("good").await;
    client.run_to_end("bad").await;
    let days = async |query: &str| -> Vec<RunDay> {
        client.get(&format!("{}?{query}", routes::RUN_DAYS)).await.expect(200).json()
    };
    let sum = |days: &[RunDay]| days.iter().fold((0, 0), |sum, day| (sum.0 + day.succeeded, sum.1 + day.failed));
    assert_eq!(sum(&days("").await), (1, 1));
    assert_eq!(sum(&days("timezone=Asia/Kathmandu&pipeline=bad&days=2").await), (0, 1));
    for wrong in ["days=0", "days=9999", "timezone=Mars/Olympus"] {
        let answer = client.get(&format!("{}?{wrong}", routes::RUN_DAYS)).await;
        let _ = answer.problem(422, "invalid_values");
    }
}
