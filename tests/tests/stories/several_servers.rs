//! Several servers on one PostgreSQL, one Docker and one data folder; and why SQLite has one.

use std::time::Duration;

use fastflow_shared::{Chore, ErrorType, RunStatus, routes};
use fastflow_tests::options::Database;
use fastflow_tests::wait::until;
use fastflow_tests::{Options, Server, Viewer, docker};

/// Numbered lines for some six seconds.
const COUNTS: &str =
    "import time\nfor n in range(1, 601):\n    print(f'line {n:04d}', flush=True)\n    time.sleep(0.01)\n";

fn counted() -> String {
    (1..=600).map(|n| format!("line {n:04}\n")).collect()
}

/// What a server says of a chore.
async fn chore(server: &Server, name: &str) -> String {
    until(&format!("a round of the chore {name}"), Duration::from_secs(30), async || {
        let chores: Vec<Chore> = server.client().fetch(routes::CHORES).await;
        let chore = chores.into_iter().find(|chore| chore.name == name).expect("the chore");
        assert_eq!(chore.last_error, None);
        chore.last_result
    })
    .await
}

#[tokio::test]
async fn a_dead_servers_runs_are_finished_by_the_other_and_a_living_ones_are_its_own() {
    let options = Options::new()
        .database(Database::Postgres)
        .env("MAX_CONCURRENT_RUNS", "3")
        .env("LOG_STREAM_RATE_LIMIT", "0")
        .warm(1);
    let mut first = Server::start(options).await;
    for name in ["a", "b", "c", "queued"] {
        first.pipeline(name, COUNTS);
    }
    first.pipeline("naps", "import time\ntime.sleep(600)");
    let mut second = first.second();
    second.launch().await;
    assert!(chore(&first, "servers").await.starts_with("this server leads"));
    assert!(chore(&second, "servers").await.starts_with("another server leads, 1 others"));
    assert_eq!(chore(&second, "schedule").await, "another server does this");

    // Any of them serves: a run of the first is seen, followed and cancelled through the second.
    let naps = first.client().start("naps").await;
    let seen = second.client().running(&naps.id).await;
    assert_eq!(seen.status, RunStatus::Running);
    assert_eq!(second.client().overview().await.running, 1, "all servers' runs are counted");
    let _ = second.client().cancel(&naps.id).await.expect(202);
    let ended = second.client().end_of(&naps.id).await;
    assert_eq!((ended.status, ended.error_type), (RunStatus::Failed, Some(ErrorType::Cancelled)));
    first.client().idle().await;

    let mut runs = Vec::new();
    for name in ["a", "b", "c", "queued"] {
        runs.push(first.client().start(name).await);
    }
    let mut viewer = Viewer::open(second.client(), &runs[0].id).await;
    viewer.see(100).await;
    for run in &runs[..3] {
        first.client().log_when(&run.id, "line 0050").await;
    }
    // Neither has touched what is the other's, though both look for runs that nobody drives.
    assert!(!second.messages().contains("taken over"), "the first one lives");
    assert!(!second.messages().contains("removing a container"), "its parked container is its own");
    first.kill9();

    for run in &runs {
        let ended = second.client().end_of(&run.id).await;
        let name = &ended.pipeline_name;
        assert_eq!(ended.status, RunStatus::Success, "{name}: {:?}", ended.error_message);
        assert_eq!(second.client().log_text(&run.id).await, counted(), "{name}: every line once");
        let stats = second.client().stats(name).await;
        assert_eq!((stats.total_runs, stats.successful_runs), (1, 1), "{name}: the outcome counts once");
    }
    assert_eq!(second.client().runs().await.len(), 5, "and nobody started anything twice");
    while viewer.end.is_none() {
        if !viewer.step().await && viewer.end.is_none() {
            viewer.reconnect().await;
        }
    }
    let lines: Vec<_> = viewer.lines.iter().map(|line| format!("{}\n", line.text)).collect();
    assert!(lines.concat() == counted(), "a viewer at the second server saw every line once: {}", lines.len());
    assert!(second.messages().contains("taken over"));
    second.client().idle().await;
    assert!(chore(&second, "servers").await.starts_with("this server leads, 0 others"));

    // The first comes back, follows, and goes in order: nothing is left to the second to find out.
    first.launch().await;
    assert!(chore(&first, "servers").await.starts_with("another server leads"));
    let run = first.client().run_to_end("a").await;
    assert_eq!(run.status, RunStatus::Success);
    first.terminate().await;
    second.terminate().await;
    docker::all_gone(second.instance()).await;
}

#[tokio::test]
async fn a_second_server_on_the_same_sqlite_is_refused_and_changes_nothing() {
    let first = Server::start(Options::new().database(Database::Sqlite)).await;
    let mut second = first.second();
    second.spawn();
    assert_eq!(second.end().await, Some(3), "{}", second.messages());
    let messages = second.messages();
    assert!(messages.contains("SQLite is for one server at a time") && messages.contains("DATABASE_URL"), "{messages}");
    first.pipeline("p", "print('well')");
    assert_eq!(first.client().run_to_end("p").await.status, RunStatus::Success);
}
