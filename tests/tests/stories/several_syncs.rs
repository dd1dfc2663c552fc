//! Two servers, one repository: one of them syncs at a time, the other one follows, and one that dies half-way holds up nobody.

use std::time::Duration;

use fastflow_shared::{SyncRecord, SyncResult, SyncStatus, routes};
use fastflow_tests::git::{Door, HttpRemote, Repository};
use fastflow_tests::options::Database;
use fastflow_tests::proxy::{self, Proxy};
use fastflow_tests::wait::{PATIENCE, until};
use fastflow_tests::{Options, Server};

async fn status(server: &Server) -> SyncStatus {
    server.client().fetch(routes::SYNC_STATUS).await
}

async fn at(server: &Server, commit: &str) -> SyncStatus {
    until("the server to be at the commit", PATIENCE, async || {
        Some(status(server).await).filter(|status| status.commit.as_deref() == Some(commit) && !status.running)
    })
    .await
}

async fn output(server: &Server) -> String {
    let run = server.client().run_well("etl").await;
    server.client().log_text(&run.id).await
}

#[tokio::test]
async fn one_of_two_servers_syncs_at_a_time_and_the_other_one_follows() {
    let repository = Repository::new();
    let push = |text: &str| {
        repository.write("etl/main.py", &format!("print({text:?})"));
        repository.commit(text)
    };
    let mut commit = push("one");
    let remote = HttpRemote::serve(&repository, Door::Open).await;
    let host = remote.url.trim_start_matches("http://").split('/').next().expect("a host").to_owned();
    let proxy = Proxy::tcp(&host).await;
    let url = remote.url.replacen(&host, &proxy.address(), 1);
    let options = Options::new().database(Database::Postgres).env("PIPELINES_REPO_URL", url);
    let mut first = Server::start(options).await;
    let mut second = first.second();
    second.launch().await;
    for server in [&first, &second] {
        at(server, &commit).await;
        assert_eq!(output(server).await, "one\n");
    }

    // The first one syncs; the second one, which nobody told, runs the new code within seconds.
    commit = push("two");
    let synced: SyncStatus = first.client().post(routes::SYNC).await.expect(200).json();
    assert_eq!(synced.commit.as_deref(), Some(commit.as_str()));
    at(&second, &commit).await;
    assert_eq!(output(&second).await, "two\n");

    // Both are asked at the same moment: both succeed, one after the other, and nothing is half of each.
    commit = push("three");
    let (one, two) = tokio::join!(first.client().post(routes::SYNC), second.client().post(routes::SYNC));
    for answer in [one, two] {
        let synced: SyncStatus = answer.expect(200).json();
        assert_eq!((synced.commit.as_deref(), synced.last_error), (Some(commit.as_str()), None));
    }
    let history: Vec<SyncRecord> = first.client().fetch(routes::SYNC_HISTORY).await;
    assert!(
        history.iter().all(|sync| matches!(sync.result, SyncResult::Switched | SyncResult::Unchanged)),
        "{history:?}"
    );

    // The first one dies in the middle of a sync, with the right to do so. The kernel takes that back.
    commit = push("four");
    proxy.set(proxy::Door::Hangs);
    let client = first.client().clone();
    let never = tokio::spawn(async move { client.post(routes::SYNC).await });
    until("the sync to be under way", PATIENCE, async || status(&first).await.running.then_some(())).await;
    let client = second.client().clone();
    let waits = tokio::spawn(async move { client.post(routes::SYNC).await });
    until("the other one to wait", PATIENCE, async || status(&second).await.running.then_some(())).await;
    first.kill9();
    never.abort();
    proxy.set(proxy::Door::Open);
    let synced: SyncStatus = waits.await.expect("no panic").expect(200).json();
    assert_eq!(synced.commit.as_deref(), Some(commit.as_str()));
    assert_eq!(output(&second).await, "four\n");
    first.launch().await;
    at(&first, &commit).await;
    assert_eq!(output(&first).await, "four\n");
    let commits = std::fs::read_dir(first.data_dir().join("commits")).expect("commits").flatten();
    let whole = commits.filter(|entry| entry.path().join("manifest.json").exists()).count();
    assert!((1..=2).contains(&whole), "old commits go: {whole}");
    until("the leader", Duration::from_secs(30), async || {
        let chores: Vec<fastflow_shared::Chore> = second.client().fetch(routes::CHORES).await;
        let said = chores.into_iter().find(|chore| chore.name == "servers").and_then(|chore| chore.last_result);
        said.filter(|said| said.contains("1 others"))
    })
    .await;
    drop(second);
}
