//! Backups of the database, and putting them back.

use fastflow_shared::{Backup, Role, routes};
use fastflow_tests::options::Database;
use fastflow_tests::{Options, Server};

#[tokio::test]
async fn a_backup_of_a_working_server_is_restored_and_the_server_works_on() {
    let mut server = Server::start(Options::new().database(Database::Sqlite)).await;
    let client = server.client().clone();
    server.pipeline("hello", "print('hello')");
    let kept = client.run_well("hello").await;
    client.new_user("ada", Role::Operator).await;

    let file = server.root().join("backup.db");
    let path = file.to_str().expect("text").to_owned();
    let (code, said) = server.call(&["backup", &path]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("encryption key") && said.contains("LOGS_DIR"), "it says what is not in it: {said}");
    let (code, said) = server.call(&["backup", &path]);
    assert!(code == Some(1) && said.contains("is there already"), "{said}");

    let lost = client.run_well("hello").await;
    let (code, said) = server.call(&["restore", &path, "--force"]);
    assert!(code == Some(1) && said.contains("stop it first"), "{said}");
    server.terminate().await;
    let (code, said) = server.call(&["restore", &path]);
    assert!(code == Some(1) && said.contains("--force"), "{said}");
    std::fs::write(server.root().join("no.db"), "no database at all, only some text that is long enough")
        .expect("write");
    let (code, said) = server.call(&["restore", server.root().join("no.db").to_str().expect("text"), "--force"]);
    assert!(code == Some(1) && said.contains("no backup that can be put back"), "{said}");
    let (code, said) = server.call(&["restore", &path, "--force"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 runs, 2 users") && said.contains("before-"), "{said}");

    server.launch().await;
    let client =
        fastflow_tests::Client::program(&server.base(), fastflow_tests::server::USER, fastflow_tests::server::PASSWORD)
            .await;
    assert_eq!(client.run(&kept.id).await.id, kept.id);
    assert_eq!(client.log_text(&kept.id).await, "hello\n");
    let _ = client.get(&routes::run(&lost.id)).await.problem(404, "run_not_found");
    let run = client.run_well("hello").await;
    assert_eq!(client.log_text(&run.id).await, "hello\n");
}

#[tokio::test]
async fn backups_are_made_by_the_api_and_by_schedule_and_the_oldest_go() {
    let mut server = Server::start(Options::new().database(Database::Sqlite).env("BACKUP_KEEP", "2")).await;
    let client = server.client().clone();
    let answer = client.post(routes::BACKUPS).await.expect(201);
    let made: Backup = answer.json();
    assert_eq!(answer.header("location"), Some(routes::backup_file(&made.name)));
    for _ in 0..2 {
        let _ = client.post(routes::BACKUPS).await.expect(201);
    }
    let chore: fastflow_shared::Chore = client.post(&routes::chore_run("backup")).await.expect(200).json();
    assert!(chore.last_result.as_deref().is_some_and(|said| said.contains("1 older ones deleted")), "{chore:?}");
    let backups: Vec<Backup> = client.fetch(routes::BACKUPS).await;
    assert_eq!(backups.len(), 2);
    assert!(!backups.contains(&made), "the oldest went: {backups:?}");

    let newest = &backups[0];
    let file = client.get(&routes::backup_file(&newest.name)).await.expect(200);
    assert!(file.body.starts_with(b"SQLite format 3\0") && file.body.len() as i64 == newest.bytes);
    let _ = client.get(&routes::backup_file("../fastflow.db")).await.problem(404, "backup_not_found");
    let operator = client.new_user("op", Role::Operator).await;
    for refused in [operator.get(routes::BACKUPS).await, operator.get(&routes::backup_file(&newest.name)).await] {
        let _ = refused.problem(403, "role_too_low");
    }
    assert_eq!(client.audit("action=backup.download").await.len(), 3);

    // A downloaded file is one that can be put back, into a folder that holds nothing yet.
    let path = server.root().join("downloaded.db");
    std::fs::write(&path, &file.body).expect("write");
    server.terminate().await;
    std::fs::remove_file(server.data_dir().join("fastflow.db")).expect("removed");
    let (code, said) = server.call(&["restore", path.to_str().expect("text")]);
    assert_eq!(code, Some(0), "{said}");
    server.launch().await;
}

#[tokio::test]
async fn a_damaged_database_is_told_at_the_start_and_a_backup_is_the_way_out() {
    let mut server = Server::start(Options::new().database(Database::Sqlite)).await;
    let client = server.client().clone();
    server.pipeline("hello", "print('hello')");
    client.run_well("hello").await;
    let made: Backup = client.post(routes::BACKUPS).await.expect(201).json();
    server.terminate().await;
    let database = server.data_dir().join("fastflow.db");
    let mut bytes = std::fs::read(&database).expect("read");
    let middle = bytes.len() / 4;
    bytes[middle..middle * 3].fill(0xa5);
    std::fs::write(&database, bytes).expect("write");

    let (code, said) = server.call(&["serve"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("damaged") && said.contains("fastflow restore FILE --force"), "{said}");
    let backup = server.data_dir().join("backups").join(&made.name);
    let (code, said) = server.call(&["restore", backup.to_str().expect("text"), "--force"]);
    assert_eq!(code, Some(0), "{said}");
    server.launch().await;
    let client =
        fastflow_tests::Client::program(&server.base(), fastflow_tests::server::USER, fastflow_tests::server::PASSWORD)
            .await;
    client.run_well("hello").await;
}

#[tokio::test]
async fn on_postgresql_pg_dump_is_named() {
    let server = Server::start(Options::new().database(Database::Postgres)).await;
    let problem = server.client().post(routes::BACKUPS).await.problem(409, "backup_by_pg_dump");
    assert!(problem.detail.contains("pg_dump --format=custom"), "{}", problem.detail);
    let (code, said) = server.call(&["backup", "/tmp/never.db"]);
    assert!(code == Some(1) && said.contains("pg_dump"), "{said}");
}
