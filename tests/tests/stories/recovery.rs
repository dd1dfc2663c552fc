//! The server dies while a run works.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fastflow_shared::{Run, RunStatus};
use fastflow_tests::options::Database;
use fastflow_tests::wait::{PATIENCE, until};
use fastflow_tests::{Options, Server, Viewer, docker};
use rustix::process::Signal;

/// Numbered lines for some four seconds, quicker than a reader of a screen; then the time of the end.
const PRINTS: &str = r"
import os, sys, time
for n in range(1, 4001):
    print(f'line {n:05d}', file=sys.stderr if n % 7 == 0 else sys.stdout)
    if n % 10 == 0:
        time.sleep(0.01)
print(f'ends at {time.time():.3f}')
sys.exit(5)
";

fn expected() -> Vec<String> {
    (1..=4000).map(|n| format!("line {n:05}")).collect()
}

/// Checks the log of [`PRINTS`]: every line once, each stream in order. Returns when the script says that it ended.
fn check(log: &str) -> DateTime<Utc> {
    let (last, lines) = log.lines().collect::<Vec<_>>().split_last().map(|(l, r)| (*l, r.to_vec())).expect("lines");
    for wanted in [0, 1] {
        let of_stream = |line: &&str| {
            let number: usize = line[5..].parse().unwrap_or_else(|_| panic!("not a line of the script: {line:?}"));
            usize::from(number.is_multiple_of(7)) == wanted
        };
        let found: Vec<&str> = lines.iter().copied().filter(of_stream).collect();
        let expected = expected();
        let expected: Vec<&str> = expected.iter().map(String::as_str).filter(of_stream).collect();
        assert_eq!(found.len(), expected.len(), "lines of stream {wanted}");
        assert!(found == expected, "stream {wanted} is not in order");
    }
    let seconds: f64 = last.strip_prefix("ends at ").expect("the last line").parse().expect("a time");
    #[expect(clippy::cast_possible_truncation, reason = "a time of today in milliseconds")]
    DateTime::from_timestamp_millis((seconds * 1000.0) as i64).expect("a time")
}

fn check_end(run: &Run, ended: DateTime<Utc>) {
    assert_eq!((run.status, run.exit_code), (RunStatus::Failed, Some(5)), "{:?}", run.error_message);
    let after = run.finished_at.expect("an end") - ended;
    let fits = after > TimeDelta::milliseconds(-50) && after < TimeDelta::milliseconds(1500);
    assert!(fits, "the end is told {after} after the script's own: it must be the container's");
}

async fn goes_on_after_kill_9(database: Database) {
    let mut server = Server::start(Options::new().database(database).env("LOG_STREAM_RATE_LIMIT", "0")).await;
    server.pipeline("prints", PRINTS);
    let run = server.client().start("prints").await;
    let mut viewer = Viewer::open(server.client(), &run.id).await;
    viewer.see(800).await;
    server.restart().await;
    let seen = viewer.lines.len();
    assert!(seen < 3900, "it was killed too late to show anything: {seen}");
    viewer.reconnect().await;
    viewer.watch().await;
    let client = server.client();
    let run = client.end_of(&run.id).await;
    let log = client.log_text(&run.id).await;
    check_end(&run, check(&log));
    assert_eq!(viewer.text(), log, "a viewer that came back saw the same");
    let stats = client.stats("prints").await;
    assert_eq!((stats.total_runs, stats.failed_runs), (1, 1));
    docker::all_gone(server.instance()).await;
}

#[tokio::test]
async fn after_kill_9_a_run_goes_on_and_its_log_is_whole_on_sqlite() {
    goes_on_after_kill_9(Database::Sqlite).await;
}

#[tokio::test]
async fn after_kill_9_a_run_goes_on_and_its_log_is_whole_on_postgresql() {
    goes_on_after_kill_9(Database::Postgres).await;
}

#[tokio::test]
async fn a_run_that_ends_while_the_server_is_away_is_recorded_as_it_was() {
    let mut server = Server::start(Options::new()).await;
    server.pipeline("prints", PRINTS);
    let run = server.client().start("prints").await;
    server.client().log_when(&run.id, "line 00500").await;
    let container = docker::container_of(&run.id).await.expect("it has a container");
    server.kill9();
    until("the script's end", Duration::from_secs(30), async || {
        (docker::inspect(&container).await["State"]["Running"] == false).then_some(())
    })
    .await;
    // Long enough that a wrong end time cannot look right.
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.launch().await;
    let run = server.client().end_of(&run.id).await;
    check_end(&run, check(&server.client().log_text(&run.id).await));
}

/// Waits for a file beside it, then prints 40 MB, more than Docker keeps of a container.
const PRINTS_MUCH: &str = r"
import os, sys, time
print('begins', flush=True)
while not os.path.exists('go'):
    time.sleep(0.05)
sys.stdout.write(''.join(f'line {n:06d} ' + 'x' * 87 + '\n' for n in range(400_000)))
print('ends')
";

#[tokio::test]
async fn more_output_than_docker_keeps_while_no_server_runs_leaves_a_mark() {
    let mut server = Server::start(Options::new()).await;
    server.pipeline("much", PRINTS_MUCH);
    let run = server.client().start("much").await;
    server.client().log_when(&run.id, "begins").await;
    let container = docker::container_of(&run.id).await.expect("it has a container");
    server.kill9();
    let app = server.data_dir().join("scratch").join(&run.id).join("app");
    std::fs::write(app.join("go"), "").expect("a file beside the script");
    until("the script's end", PATIENCE, async || {
        (docker::inspect(&container).await["State"]["Running"] == false).then_some(())
    })
    .await;
    server.launch().await;
    let client = server.client();
    assert_eq!(client.end_of(&run.id).await.status, RunStatus::Success);
    let log = client.log_text(&run.id).await;
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!((lines.first(), lines.last()), (Some(&"begins"), Some(&"ends")));
    let marks: Vec<&&str> = lines.iter().filter(|line| line.starts_with("[fastflow] ")).collect();
    assert!(marks.len() == 1 && marks[0].contains("output is missing here"), "{marks:?}");
    assert_eq!(lines[1], *marks[0], "the mark stands where it is missing");
    // What Docker has kept is there, in order and to the end.
    let number = |line: &&str| line.get(5..11).and_then(|digits| digits.parse::<u32>().ok()).expect("a number");
    let kept: Vec<u32> = lines[2..lines.len() - 1].iter().skip(1).map(number).collect();
    assert!(kept.len() > 50_000 && kept.last() == Some(&399_999), "{} {:?}", kept.len(), kept.last());
    assert!(kept.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

/// What SQLite has in its files at one moment, as a disk has it that lost what came later.
fn database(server: &Server) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let files = ["fastflow.db", "fastflow.db-wal"].map(|name| server.data_dir().join(name));
    files.into_iter().filter_map(|path| std::fs::read(&path).ok().map(|content| (path, content))).collect()
}

#[tokio::test]
async fn after_a_power_cut_the_database_opens_and_every_run_it_knows_ends_truly() {
    let mut server = Server::start(Options::new().database(Database::Sqlite)).await;
    server.pipeline("naps", "import time; print('works', flush=True); time.sleep(600)");
    let client = server.client().clone();
    let known = client.start("naps").await;
    client.log_when(&known.id, "works").await;
    client.running(&known.id).await;
    server.signal(Signal::STOP);
    let kept = database(&server);
    server.signal(Signal::CONT);
    let forgotten = client.start("naps").await;
    client.log_when(&forgotten.id, "works").await;

    // The server and all containers at once; and the last commits with them.
    server.kill9();
    for container in docker::running(server.instance()).await {
        docker::docker(&["kill", &container]).await;
    }
    let _ = std::fs::remove_file(server.data_dir().join("fastflow.db-shm"));
    for (path, content) in kept {
        std::fs::write(path, content).expect("a file");
    }
    server.launch().await;
    let run = client.end_of(&known.id).await;
    assert_eq!((run.status, run.exit_code), (RunStatus::Failed, Some(137)), "{:?}", run.error_message);
    assert_eq!(client.log_text(&known.id).await, "works\n");
    let _ = client.get(&fastflow_shared::routes::run(&forgotten.id)).await.problem(404, "run_not_found");
    docker::all_gone(server.instance()).await;
    let (code, told) = server.call(&["doctor"]);
    assert_eq!(code, Some(0), "{told}");
    let stats = client.stats("naps").await;
    assert_eq!((stats.total_runs, stats.failed_runs), (1, 1));
}

#[tokio::test]
async fn after_a_third_and_fourth_crash_the_log_is_still_whole() {
    let mut server = Server::start(Options::new()).await;
    server.pipeline("prints", PRINTS);
    let run = server.client().start("prints").await;
    for line in ["line 00200", "line 00900", "line 01600", "line 02300"] {
        server.client().log_when(&run.id, line).await;
        server.restart().await;
    }
    let run = server.client().end_of(&run.id).await;
    check_end(&run, check(&server.client().log_text(&run.id).await));
}

#[tokio::test]
async fn what_waited_in_the_queue_waits_on_in_the_same_order() {
    let mut server = Server::start(Options::new().env("MAX_CONCURRENT_RUNS", "1")).await;
    // Until the story lets it: however long a restart takes, the first one still works.
    server.pipeline("nap", "import os, time\nwhile not os.path.exists('/app/go'): time.sleep(0.02)");
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(server.client().start("nap").await.id);
    }
    server.client().running(&ids[0]).await;
    server.restart().await;
    let client = server.client();
    client.run_when(&ids[1], "to be next", PATIENCE, |run| run.queue_position == Some(1)).await;
    assert_eq!(client.run(&ids[2]).await.queue_position, Some(2));
    let mut ends = Vec::new();
    for id in &ids {
        client.running(id).await;
        std::fs::write(server.data_dir().join("scratch").join(id).join("app/go"), "").expect("its folder");
        let run = client.end_of(id).await;
        assert_eq!(run.status, RunStatus::Success, "{:?}", run.error_message);
        ends.push((run.started_at.expect("a start"), run.finished_at.expect("an end")));
    }
    assert!(ends[0].1 <= ends[1].0 && ends[1].1 <= ends[2].0, "{ends:?}");
}

#[tokio::test]
async fn containers_of_others_are_never_touched() {
    let mut server = Server::start(Options::new()).await;
    let other = Server::start(Options::new()).await;
    other.pipeline("nap", "import time; time.sleep(8); print('undisturbed')");
    let run = other.client().start("nap").await;
    other.client().running(&run.id).await;
    let foreign = docker::docker(&["run", "-d", "--rm", "--network", "none", &docker::image(), "sleep", "60"]).await;
    server.restart().await;
    let run = other.client().end_of(&run.id).await;
    assert_eq!(run.status, RunStatus::Success, "{:?}", run.error_message);
    assert_eq!(docker::inspect(&foreign).await["State"]["Running"], true);
    docker::docker(&["rm", "-f", &foreign]).await;
}
