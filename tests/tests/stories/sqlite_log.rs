//! SQLite's write-ahead log: it stays small while the server works, grows while somebody reads for long, says so, and is small
//! again afterwards.

use fastflow_shared::{Chore, NewVaultEntry, VaultChange, routes};
use fastflow_tests::options::Database;
use fastflow_tests::{Client, Options, Server};
use reqwest::Method;
use sqlx::Connection as _;

/// Writes about 30 kB into the database.
async fn write(client: &Client, n: u8) {
    let value = char::from(b'a' + n % 26).to_string().repeat(30_000);
    let change = VaultChange { value: Some(value), is_secret: None, pipelines: None };
    let _ = client.write(Method::PUT, &routes::secret("BULK"), &change).await.expect(200);
}

async fn checkpoint(client: &Client) -> Chore {
    client.post(&routes::chore_run("checkpoint")).await.expect(200).json()
}

fn log_bytes(server: &Server) -> u64 {
    std::fs::metadata(server.data_dir().join("fastflow.db-wal")).map_or(0, |meta| meta.len())
}

#[tokio::test]
async fn the_log_is_bounded_by_its_size_and_who_keeps_it_from_that_is_told() {
    const MB: u64 = 1_000_000;
    // The chore's own call is an entry of the audit log.
    const SMALL: u64 = 200_000;
    let options = Options::new().database(Database::Sqlite).env("SQLITE_WAL_MAX_MB", "1");
    let server = Server::start(options).await;
    let client = server.client();
    let entry = NewVaultEntry { key: "BULK".into(), value: "x".into(), is_secret: false, pipelines: Vec::new() };
    let _ = client.write(Method::POST, routes::SECRETS, &entry).await.expect(201);

    // Some 9 MB of writes: SQLite moves pages along by itself, and the chore empties the file.
    let mut most = 0;
    for n in 0..200 {
        write(client, n).await;
        most = most.max(log_bytes(&server));
    }
    assert!(most < 6 * MB, "nobody reads, so the log does not grow with what is written: {most}");
    let chore = checkpoint(client).await;
    assert_eq!(chore.last_error, None);
    assert!(log_bytes(&server) < SMALL, "only what was written since: {}", log_bytes(&server));

    // Somebody reads for long: a backup program, an export, a shell that was left open.
    let url = format!("sqlite://{}?mode=ro", server.data_dir().join("fastflow.db").display());
    sqlx::any::install_default_drivers();
    let mut reader = sqlx::AnyConnection::connect(&url).await.expect("its database");
    let mut reading = reader.begin().await.expect("begun");
    let _ = sqlx::query("SELECT COUNT(*) FROM runs").fetch_one(&mut *reading).await.expect("read");
    for n in 0..60 {
        write(client, n).await;
    }
    let grown = log_bytes(&server);
    assert!(grown > MB, "what the reader may still want to see is kept: {grown}");
    let chore = checkpoint(client).await;
    let error = chore.last_error.expect("it is told");
    assert!(error.contains("SQLITE_WAL_MAX_MB") && error.contains("reads"), "{error}");
    // Nobody waits for the reader: what is written is answered as before.
    write(client, 7).await;

    drop(reading);
    drop(reader);
    let chore = checkpoint(client).await;
    assert_eq!((chore.last_error, chore.last_result.as_deref()), (None, Some("all of it moved")));
    assert!(log_bytes(&server) < SMALL, "{}", log_bytes(&server));
}
