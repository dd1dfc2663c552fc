//! The disk of everything (database, code, workspaces, logs) is full: starts are refused, what works goes on, and once there is room
//! all is as it was. Containers are in the server's memory, for Docker could not see such a disk.

use std::fs::{File, remove_file};
use std::io::Write as _;
use std::path::PathBuf;

use fastflow_shared::{NewVaultEntry, RunStatus, routes};
use fastflow_tests::options::{Database, UvCache};
use fastflow_tests::wait::{PATIENCE, until};
use fastflow_tests::{Options, Server};
use reqwest::Method;
use serde_json::json;

/// Takes all the room but `left` bytes, through the server's own view of its disk. Returns what to remove.
fn fill(server: &Server, left: u64) -> PathBuf {
    let path = PathBuf::from(format!("/proc/{}/root{}/filler", server.pid(), server.data_dir().display()));
    let mut file = File::create(&path).expect("a file");
    for piece in [1 << 20, 4096, 1] {
        while file.write_all(&vec![0; piece]).is_ok() {}
    }
    let size = file.metadata().expect("its size").len();
    file.set_len(size.saturating_sub(left)).expect("it can be made smaller");
    path
}

#[tokio::test]
async fn a_full_disk_of_everything_refuses_starts_and_loses_no_run() {
    let mut options =
        Options::new().database(Database::Sqlite).uv_cache(UvCache::Own).env("FASTFLOW_TEST_ENGINE", "fake");
    options.data_disk = Some("24m");
    let server = Server::start(options).await;
    let client = server.client();
    let program = |text: &str| json!({ "default_env": { "FAKE_PROGRAM": text } });
    server.pipeline("works", "").json(&program("out began; sleep 5s; out done"));
    server.pipeline("big", "").json(&program("out big")).file("data.bin", &"x".repeat(2 << 20));
    let _ = client.post(routes::SYNC).await.expect(200);
    let run = client.start("works").await;
    client.log_when(&run.id, "began").await;

    let filler = fill(&server, 0);
    // The log of SQLite may have some room yet.
    let secret = async |number: usize| {
        let (key, value) = (format!("SECRET_{number}"), "x".repeat(16 << 10));
        client
            .write(Method::POST, routes::SECRETS, &NewVaultEntry { key, value, is_secret: true, pipelines: Vec::new() })
            .await
    };
    let mut number = 0;
    let refused = until("the database to be full", PATIENCE, async || {
        number += 1;
        Some(secret(number).await).filter(|answer| answer.status != 201)
    })
    .await;
    let problem = refused.problem(503, "storage_full");
    assert!(problem.detail.contains("full"), "{problem:?}");
    let problem = client.try_start("works").await.problem(503, "storage_full");
    assert!(problem.detail.contains("full"), "{problem:?}");
    let _ = client.get(routes::HEALTH).await.expect(200);
    assert!(!client.runs().await.is_empty(), "what is stored can be read");
    let in_vain = async || server.messages().contains("the outcome cannot be recorded yet").then_some(());
    until("the run's end to be reported in vain", PATIENCE, in_vain).await;
    assert_eq!(client.run(&run.id).await.status, RunStatus::Running);

    remove_file(filler).expect("removed");
    assert_eq!(client.end_of(&run.id).await.status, RunStatus::Success);
    assert!(client.log_text(&run.id).await.starts_with("began\n"));
    client.idle().await;
    assert_eq!(client.stats("works").await.total_runs, 1);
    // On whatever connection: SQLite ends a transaction by itself when it is full, which leaves none unusable.
    for more in 1..=40 {
        let _ = secret(number + more).await.expect(201);
    }

    // Room for a row and not for the code: nothing of a half copy is ever used.
    let filler = fill(&server, 1 << 20);
    let problem = client.try_start("big").await.problem(503, "storage_full");
    assert!(problem.detail.contains("space") || problem.detail.contains("full"), "{problem:?}");
    assert_eq!(client.runs().await.len(), 1, "refused before it has a row");
    remove_file(filler).expect("removed");
    let run = client.run_to_end("big").await;
    assert_eq!(run.status, RunStatus::Success, "{:?}", run.error_message);
}
