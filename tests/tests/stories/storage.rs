//! What is kept on the disk, what goes, and what never does.

use std::collections::BTreeSet;
use std::time::Duration;

use fastflow_shared::{Chore, Cleanup, Role, RunStatus, SettingChange, Storage, routes};
use fastflow_tests::options::Database;
use fastflow_tests::wait::until;
use fastflow_tests::{Client, Options, Server, docker};
use reqwest::Method;

async fn chore(client: &Client, name: &str) -> Chore {
    let chore: Chore = client.post(&routes::chore_run(name)).await.expect(200).json();
    assert_eq!(chore.last_error, None, "{name}");
    chore
}

async fn set(client: &Client, name: &str, value: &str) {
    let change = SettingChange { value: value.to_owned() };
    let _ = client.write(Method::PUT, &routes::setting(name), &change).await.expect(200);
}

fn names(cleanup: &Cleanup) -> BTreeSet<String> {
    cleanup.items.iter().map(|item| item.name.clone()).collect()
}

async fn retention(database: Database) {
    let mut server = Server::start(Options::new().database(database)).await;
    let client = server.client().clone();
    server.pipeline("hello", "print('hello')");
    server.pipeline("sleeps", "import time\nprint('on', flush=True)\ntime.sleep(90)");
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(client.run_well("hello").await.id);
    }
    client.idle().await;
    let none: Cleanup = client.fetch(routes::CLEANUP).await;
    assert_eq!((none.runs, none.done), (0, false), "all is kept until somebody says otherwise");
    let working = client.start("sleeps").await;
    client.running(&working.id).await;

    set(&client, "LOG_RETENTION_RUNS", "2").await;
    let planned: Cleanup = client.fetch(routes::CLEANUP).await;
    assert_eq!(planned.runs, 2);
    assert_eq!(names(&planned), runs[..2].iter().cloned().collect());
    assert!(planned.items.iter().all(|item| item.reason == "count" && item.bytes > 0), "{planned:?}");
    client.run(&runs[0]).await;

    let done: Cleanup = client.post(routes::CLEANUP).await.expect(200).json();
    assert_eq!((done.done, names(&done)), (true, names(&planned)), "what was announced is what happens");
    let logs = server.data_dir().join("logs");
    for (id, kept) in [(&runs[0], false), (&runs[1], false), (&runs[2], true), (&runs[3], true)] {
        assert_eq!(client.get(&routes::run(id)).await.status.as_u16(), if kept { 200 } else { 404 });
        assert_eq!(logs.join(format!("{id}.log")).exists(), kept, "file and row are in step");
        assert_eq!(client.get(&routes::run_logs(id)).await.status.as_u16(), if kept { 200 } else { 404 });
    }
    assert_eq!(client.run(&working.id).await.status, RunStatus::Running, "it has not ended");
    assert_eq!(client.stats("hello").await.total_runs, 4, "the counters keep them");
    let again: Cleanup = client.post(routes::CLEANUP).await.expect(200).json();
    assert_eq!(again.runs, 0);

    let operator = client.new_user("op", Role::Operator).await;
    let _: Cleanup = operator.fetch(routes::CLEANUP).await;
    let _ = operator.post(routes::CLEANUP).await.problem(403, "role_too_low");
    assert!(!client.audit("action=storage.clean_up").await.is_empty());
    let _ = client.cancel(&working.id).await;
    client.end_of(&working.id).await;
    server.kill9();
}

#[tokio::test]
async fn retention_deletes_what_it_announced_and_never_a_run_that_works_on_sqlite() {
    retention(Database::Sqlite).await;
}

#[tokio::test]
async fn retention_deletes_what_it_announced_and_never_a_run_that_works_on_postgresql() {
    retention(Database::Postgres).await;
}

/// A server is killed when rows are deleted and their files are not yet, and once more when the files are and the note of them
/// is not: at no moment does a run that is listed lack its log, and nothing is left in the end.
async fn killed_during_retention(database: Database) {
    let mut server = Server::start(Options::new().database(database)).await;
    server.pipeline("hello", "print('hello')");
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(server.client().run_well("hello").await.id);
    }
    server.client().idle().await;
    let log = |server: &Server, id: &str| server.data_dir().join("logs").join(format!("{id}.log"));
    let no_broken_link = async |server: &Server, kept: usize| {
        let listed = server.client().runs().await;
        assert_eq!(listed.len(), kept);
        for run in &listed {
            assert_eq!(server.client().log_text(&run.id).await, "hello\n", "{} is listed", run.id);
        }
    };
    for (step, keep, files_are_left) in [("rows_deleted", 3, true), ("files_deleted", 2, false)] {
        set(server.client(), "LOG_RETENTION_RUNS", &keep.to_string()).await;
        let goes = runs.remove(0);
        server.hold_at(step);
        server.restart().await;
        let client = server.client().clone();
        let pass = tokio::spawn(async move { client.post(routes::CLEANUP).await });
        server.held().await;
        no_broken_link(&server, keep).await;
        let _ = server.client().get(&routes::run(&goes)).await.problem(404, "run_not_found");
        assert_eq!(log(&server, &goes).exists(), files_are_left, "{step}");
        server.kill9();
        pass.abort();
        server.hold_nowhere();
        server.launch().await;
        no_broken_link(&server, keep).await;
        let _ = server.client().get(&routes::run_logs(&goes)).await.problem(404, "run_not_found");
        let done: Cleanup = server.client().post(routes::CLEANUP).await.expect(200).json();
        assert_eq!(done.runs, 0, "{step}: nothing is deleted twice");
        let own = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(&goes).then_some(());
        let left = std::fs::read_dir(server.data_dir().join("logs")).expect("logs").flatten().filter_map(own).count();
        assert_eq!(left, 0, "{step}: its files are gone");
        no_broken_link(&server, keep).await;
    }
    assert_eq!(server.client().stats("hello").await.total_runs, 4, "the counters keep them");
}

#[tokio::test]
async fn a_server_that_is_killed_during_retention_leaves_no_broken_link_on_sqlite() {
    killed_during_retention(Database::Sqlite).await;
}

#[tokio::test]
async fn a_server_that_is_killed_during_retention_leaves_no_broken_link_on_postgresql() {
    killed_during_retention(Database::Postgres).await;
}

#[tokio::test]
async fn the_storage_report_says_what_takes_the_room_and_what_goes_next_on_sqlite() {
    storage_report(Database::Sqlite).await;
}

#[tokio::test]
async fn the_storage_report_says_what_takes_the_room_and_what_goes_next_on_postgresql() {
    storage_report(Database::Postgres).await;
}

async fn storage_report(database: Database) {
    let server = Server::start(Options::new().database(database)).await;
    let backups = database == Database::Sqlite;
    let client = server.client();
    server.pipeline("talks", "for n in range(20000): print('x' * 50)");
    let run = client.run_well("talks").await;
    for _ in 0..if backups { 2 } else { 0 } {
        let _ = client.post(routes::BACKUPS).await.expect(201);
    }
    chore(client, "storage").await;
    let storage: Storage = client.fetch(routes::STORAGE).await;
    let part = |kind: &str| storage.parts.iter().find(|part| part.kind == kind).expect("listed").clone();
    assert!(part("logs").bytes > 1_000_000 && part("logs").count == 1, "{storage:?}");
    assert_eq!(part("logs").spare_bytes, 0, "a run that has just ended is not spare");
    assert_eq!((part("backups").count, part("backups").spare_bytes > 0), (if backups { 2 } else { 0 }, backups));
    assert!(part("database").bytes > 100_000, "PostgreSQL's tables count as SQLite's file does: {storage:?}");
    assert_eq!(storage.bytes, Some(storage.parts.iter().map(|part| part.bytes).sum()));
    assert!(storage.parts.is_sorted_by_key(|part| -part.bytes));
    assert!(storage.free_bytes.is_some_and(|bytes| bytes > 0) && storage.starts_refused.is_none());
    let next = storage.next.iter().any(|item| item.kind == "backups" && item.reason == "room");
    assert_eq!(next, backups, "{storage:?}");
    assert!(storage.measured_at < storage.next_at);

    // The budget is smaller than what nothing may be taken of: starts are refused, and say what to do.
    set(client, "DATA_MAX_MB", "1").await;
    chore(client, "storage").await;
    let problem = client.try_start("talks").await.problem(503, "storage_full");
    assert!(problem.detail.contains("DATA_MAX_MB"), "{}", problem.detail);
    let storage: Storage = client.fetch(routes::STORAGE).await;
    assert!(storage.starts_refused.is_some() && storage.bytes > storage.budget_bytes);
    let kept: Vec<fastflow_shared::Backup> = client.fetch(routes::BACKUPS).await;
    assert_eq!(kept.len(), usize::from(backups), "what is spare went, and the latest backup stays");
    assert!(client.get(&routes::run(&run.id)).await.status.is_success(), "it ended less than an hour ago");

    set(client, "DATA_MAX_MB", "0").await;
    chore(client, "storage").await;
    client.run_well("talks").await;
}

#[tokio::test]
async fn no_run_is_started_on_a_disk_that_is_nearly_full() {
    let mut options = Options::new().env("DATA_MIN_FREE_MB", "3");
    options.log_disk = Some("6m");
    let server = Server::start(options).await;
    let client = server.client();
    server.pipeline("fills", "for n in range(80000): print('x' * 50)");
    let run = client.run_to_end("fills").await;
    let problem = client.try_start("fills").await.problem(503, "storage_full");
    assert!(problem.detail.contains("DATA_MIN_FREE_MB"), "{}", problem.detail);
    assert!(!client.is_well(routes::READY).await, "/ready says so");
    // Retention makes room, and starts work again at once.
    set(client, "LOG_RETENTION_RUNS", "1").await;
    set(client, "DATA_MIN_FREE_MB", "0").await;
    server.pipeline("fills", "print('little')");
    client.run_well("fills").await;
    client.idle().await;
    let done: Cleanup = client.post(routes::CLEANUP).await.expect(200).json();
    assert_eq!(names(&done), BTreeSet::from([run.id]));
    set(client, "DATA_MIN_FREE_MB", "3").await;
    client.run_well("fills").await;
}

#[tokio::test]
async fn the_janitor_removes_what_is_ours_and_nothing_else() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    server.pipeline("hello", "print('hello')");
    client.run_well("hello").await;
    let own = server.instance().to_owned();
    let (neighbour, stranger) = (format!("{own}-neighbour"), format!("{own}-stranger"));
    let label = |instance: &str| format!("fastflow-instance={instance}");
    let image = docker::image();
    for (name, labels) in [
        (&own, vec!["--label".to_owned(), label(&own)]),
        (&neighbour, vec!["--label".to_owned(), label(&neighbour)]),
        (&stranger, Vec::new()),
    ] {
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let of = |first: &[&str], last: &[&str]| {
            [first, &labels, last].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let volume = format!("{name}-left");
        for arguments in [
            of(&["volume", "create"], &[&volume]),
            of(&["network", "create"], &[&volume]),
            of(&["create", "--name", &volume, "--network", "none"], &[&image, "true"]),
        ] {
            docker::docker(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
        }
    }
    // One of ours that somebody uses.
    let used = format!("{own}-used");
    docker::docker(&["volume", "create", "--label", &label(&own), &used]).await;
    docker::docker(&["create", "--name", &used, "--network", "none", "-v", &format!("{used}:/v"), &image, "true"])
        .await;

    chore(client, "recover").await;
    let swept = chore(client, "janitor").await;
    assert_eq!(swept.last_result.as_deref(), Some("1 volumes and 1 networks removed"));
    let there = async |what: &str, name: &str| {
        let filter = format!("name=^/?{name}$");
        let arguments: &[&str] = match what {
            "container" => &["ps", "-aq", "--filter", &filter],
            what => &[what, "ls", "-q", "--filter", &filter],
        };
        !docker::docker(arguments).await.is_empty()
    };
    for what in ["container", "volume", "network"] {
        if what != "container" {
            assert!(!there(what, &format!("{own}-left")).await, "our {what}");
        }
        for foreign in [&neighbour, &stranger] {
            assert!(there(what, &format!("{foreign}-left")).await, "the {what} of {foreign}");
        }
    }
    until("our container's end", Duration::from_secs(90), async || {
        chore(client, "recover").await;
        (!there("container", &format!("{own}-left")).await).then_some(())
    })
    .await;
    assert!(there("volume", &used).await, "somebody uses it");
    assert!(there("network", &format!("fastflow-{own}")).await, "runs are started in it");
    client.run_well("hello").await;

    for name in [&neighbour, &stranger] {
        let name = format!("{name}-left");
        docker::docker(&["rm", "-f", &name]).await;
        docker::docker(&["volume", "rm", &name]).await;
        docker::docker(&["network", "rm", &name]).await;
    }
    docker::docker(&["rm", "-f", &used]).await;
    docker::docker(&["volume", "rm", &used]).await;
}
