//! Several servers on one PostgreSQL, one Docker and one data folder; and why SQLite has one.

use std::time::Duration;

use fastflow_shared::{Chore, ErrorType, RunStatus, SettingChange, Storage, routes};
use fastflow_tests::options::Database;
use fastflow_tests::wait::until;
use fastflow_tests::{Options, Server, Viewer, docker};
use reqwest::Method;

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

/// One limit for all servers: however the starts are spread, no more than `MAX_CONCURRENT_RUNS` work at any moment.
#[tokio::test]
async fn the_limit_of_runs_holds_for_all_servers_together() {
    const NAPS: &str = "import time\nprint('on', flush=True)\ntime.sleep(2)";
    let options = Options::new().database(Database::Postgres).env("MAX_CONCURRENT_RUNS", "2");
    let first = Server::start(options).await;
    first.pipeline("naps", NAPS);
    let mut second = first.second();
    second.launch().await;
    for server in [&first, &second] {
        until("the servers to know of each other", Duration::from_secs(30), async || {
            chore(server, "servers").await.contains("1 others").then_some(())
        })
        .await;
    }
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(first.client().start("naps").await.id);
        runs.push(second.client().start("naps").await.id);
    }
    let mut spans = Vec::new();
    for id in &runs {
        let run = second.client().end_of(id).await;
        assert_eq!(run.status, RunStatus::Success, "{:?}", run.error_message);
        spans.push((run.started_at.expect("a start"), run.finished_at.expect("an end")));
    }
    // By Docker's clock: at the start of each run at most one other works.
    for (begin, _) in &spans {
        let working = spans.iter().filter(|(from, to)| from <= begin && begin < to).count();
        assert!(working <= 2, "{working} at {begin}: {spans:?}");
    }
    // And both slots are used: with one at a time, six naps would not overlap at all.
    assert!(spans.iter().any(|(begin, _)| spans.iter().filter(|(from, to)| from <= begin && begin < to).count() == 2));
    first.client().idle().await;
    drop(second);
}

/// Each server knows what is kept, and none of them starts runs when it is too much, whichever leads.
#[tokio::test]
async fn what_is_kept_is_told_by_each_server_and_no_room_is_none_for_all() {
    let first = Server::start(Options::new().database(Database::Postgres)).await;
    first.pipeline("talks", "for n in range(40000): print('x' * 50)");
    first.client().run_well("talks").await;
    let mut second = first.second();
    second.launch().await;
    assert!(chore(&second, "servers").await.starts_with("another server leads"));
    let limit = SettingChange { value: "1".to_owned() };
    let _ = first.client().write(Method::PUT, &routes::setting("DATA_MAX_MB"), &limit).await.expect(200);
    for server in [&first, &second] {
        for chore in ["settings", "storage"] {
            let done: Chore = server.client().post(&routes::chore_run(chore)).await.expect(200).json();
            assert_eq!(done.last_error, None);
        }
        let storage: Storage = server.client().fetch(routes::STORAGE).await;
        assert!(storage.bytes > storage.budget_bytes && storage.starts_refused.is_some(), "{storage:?}");
        let _ = server.client().try_start("talks").await.problem(503, "storage_full");
    }
    drop(second);
}

#[tokio::test]
async fn a_second_server_on_the_same_database_with_a_folder_of_its_own_is_refused() {
    let first = Server::start(Options::new().database(Database::Postgres)).await;
    for instance in ["another", first.instance()] {
        let mut second = first.second();
        let folder = first.root().join("another").display().to_string();
        second.options.env.insert("DATA_DIR".to_owned(), folder);
        second.options.env.insert("FASTFLOW_INSTANCE".to_owned(), instance.to_owned());
        second.spawn();
        let code = second.end().await;
        assert!(matches!(code, Some(1 | 3)), "{code:?}: {}", second.messages());
        let messages = second.messages();
        assert!(messages.contains("share one DATA_DIR"), "{instance}: {messages}");
    }
    let _ = first.client().overview().await;
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
