//! The crash matrix: the server is killed at every named step of a run's life, on both databases, and whatever the step,
//! the run ends once, truly, with its whole log.

use fastflow_shared::{Phase, RunStatus};
use fastflow_tests::options::Database;
use fastflow_tests::{Options, Server, docker};
use futures_util::{StreamExt, stream};

/// Every step, in the order of a run's life, and whether the script has begun when it is reached.
const STEPS: [&str; 11] = [
    "row_inserted",
    "environment_ready",
    "container_created",
    "attached",
    "started",
    "job_sent",
    "running",
    "exited",
    "log_drained",
    "outcome_recorded",
    "container_removed",
];

/// Numbered lines on both streams for about a second and a half, so that the restart falls into it; then a code of its own.
const SCRIPT: &str = r"
import sys, time
for n in range(1, 301):
    print(f'line {n:03d}', file=sys.stderr if n % 3 == 0 else sys.stdout)
    time.sleep(0.005)
sys.exit(7)
";

fn expected(on_stderr: bool) -> String {
    (1..=300).filter(|n| (n % 3 == 0) == on_stderr).map(|n| format!("line {n:03}\n")).collect()
}

async fn survives_a_crash_at(step: &str, database: Database) {
    eprintln!("killed at {step} on {database:?}");
    let mut server = Server::prepare(Options::new().database(database)).await;
    server.pipeline("counts", SCRIPT);
    server.hold_at(step);
    server.launch().await;
    // At the first step the answer to the start never comes, for the server is held before it.
    let starter = server.client().clone();
    let start = tokio::spawn(async move { starter.try_start("counts").await });
    server.held().await;
    server.kill9();
    start.abort();
    server.hold_nowhere();
    server.launch().await;

    let client = server.client();
    let runs = client.runs().await;
    assert_eq!(runs.len(), 1, "{step}: one start, one run");
    let run = client.end_of(&runs[0].id).await;
    let found = (run.status, run.exit_code, run.phase);
    assert_eq!(found, (RunStatus::Failed, Some(7), Phase::Ended), "{step}: {:?}", run.error_message);
    assert_eq!(run.error_type, Some(fastflow_shared::ErrorType::ExitCode), "{step}");
    let (started, finished) = (run.started_at.expect("a start"), run.finished_at.expect("an end"));
    assert!(run.created_at <= started && started < finished && finished <= chrono::Utc::now(), "{step}: {run:?}");
    for (stream, on_stderr) in [("stdout", false), ("stderr", true)] {
        let log = client.log_with(&run.id, &format!("?stream={stream}")).await;
        let log = String::from_utf8_lossy(&log).into_owned();
        assert_eq!(log, expected(on_stderr), "{step}: {stream} is not whole, or something is in it twice");
    }
    docker::all_gone(server.instance()).await;
    client.idle().await;
    let stats = client.stats("counts").await;
    assert_eq!((stats.total_runs, stats.failed_runs, stats.successful_runs), (1, 1, 0), "{step}: counted once");
    assert_eq!(client.runs().await.len(), 1, "{step}: and there is still one run");
}

async fn matrix(database: Database) {
    // Three at a time: a step is mostly waiting.
    stream::iter(STEPS).for_each_concurrent(3, |step| survives_a_crash_at(step, database)).await;
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_one_true_outcome_on_sqlite() {
    matrix(Database::Sqlite).await;
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_one_true_outcome_on_postgresql() {
    matrix(Database::Postgres).await;
}
