//! The database goes away while a run works: nothing is lost, nothing hangs, and the server says what is wrong.

use std::time::{Duration, Instant};

use fastflow_shared::{Readiness, RunStatus, routes};
use fastflow_tests::options::Database;
use fastflow_tests::proxy::{Door, Proxy};
use fastflow_tests::wait::until;
use fastflow_tests::{Client, Options, Server};

const NAPS: &str = "import time\nfor n in range(50): print(n, flush=True); time.sleep(0.1)\nraise SystemExit(4)";

/// A server that reaches its PostgreSQL through a door.
async fn behind_a_door() -> (Server, Proxy) {
    let mut server = Server::prepare(Options::new().database(Database::Postgres)).await;
    let url = server.postgres_url();
    // postgresql://user:password@host:port/…
    let host = url.split_once('@').and_then(|(_, rest)| rest.split_once('/')).expect("a host").0;
    let proxy = Proxy::tcp(host).await;
    server.options.env.insert("DATABASE_URL".to_owned(), url.replacen(host, &proxy.address(), 1));
    server.launch().await;
    (server, proxy)
}

async fn until_ready(client: &Client, status: u16) -> Readiness {
    until(&format!("/ready to answer {status}"), Duration::from_secs(60), async || {
        let answer = client.get(routes::READY).await;
        (answer.status == status).then(|| answer.json())
    })
    .await
}

async fn a_run_without_a_database(door: Door) {
    let (server, database) = behind_a_door().await;
    let client = server.client();
    server.pipeline("naps", NAPS);
    let run = client.start("naps").await;
    client.log_when(&run.id, "9\n").await;
    database.set(door);

    let begin = Instant::now();
    let readiness = until_ready(client, 503).await;
    assert!(begin.elapsed() < Duration::from_secs(15), "{door:?}: a deadline holds: {:?}", begin.elapsed());
    let check = |name: &str| readiness.checks.iter().find(|check| check.name == name).expect("the check").clone();
    assert!(!check("database").ok && check("docker").ok, "{door:?}: {readiness:?}");
    assert!(!check("database").detail.is_empty());
    let _ = client.get("/health").await.expect(200);
    let begin = Instant::now();
    let refused = client.try_start("naps").await;
    assert!(begin.elapsed() < Duration::from_secs(25), "{door:?}: {:?}", begin.elapsed());
    let problem = refused.problem(503, "database_unavailable");
    assert!(!problem.detail.contains("password") && !problem.detail.contains('@'), "{}", problem.detail);

    // It ends while nobody can note it.
    let container = || async { fastflow_tests::docker::running(server.instance()).await.is_empty().then_some(()) };
    until("the script to end", Duration::from_secs(30), async || container().await).await;
    database.set(Door::Open);
    let run = client.end_of(&run.id).await;
    assert_eq!((run.status, run.exit_code), (RunStatus::Failed, Some(4)), "{door:?}: {:?}", run.error_message);
    let expected: String = (0..50).map(|n| format!("{n}\n")).collect();
    assert_eq!(client.log_text(&run.id).await, expected, "{door:?}");
    let lasted = run.duration_seconds.expect("a duration");
    assert!((4.5..8.0).contains(&lasted), "{door:?}: the container's own end counts: {lasted}");
    until_ready(client, 200).await;
    client.idle().await;
    let stats = client.stats("naps").await;
    assert_eq!((stats.total_runs, stats.failed_runs), (1, 1), "{door:?}");
    fastflow_tests::docker::all_gone(server.instance()).await;
}

#[tokio::test]
async fn a_run_ends_truly_though_the_database_was_cut_off_meanwhile() {
    a_run_without_a_database(Door::Shut).await;
}

#[tokio::test]
async fn a_run_ends_truly_though_the_database_hung_meanwhile() {
    a_run_without_a_database(Door::Hangs).await;
}

#[tokio::test]
async fn a_start_without_its_database_waits_for_it_and_then_says_so() {
    let mut server = Server::prepare(Options::new().database(Database::Postgres)).await;
    let url = server.postgres_url();
    let host = url.split_once('@').and_then(|(_, rest)| rest.split_once('/')).expect("a host").0;
    let proxy = Proxy::tcp(host).await;
    proxy.set(Door::Shut);
    server.options.env.insert("DATABASE_URL".to_owned(), url.replacen(host, &proxy.address(), 1));

    // Too long: an exit code of its own, for whoever starts it again, and words that name the setting and no password.
    server.options.env.insert("DATABASE_WAIT_SECONDS".to_owned(), "2".to_owned());
    server.spawn();
    assert_eq!(server.end().await, Some(3), "{}", server.messages());
    let messages = server.messages();
    assert!(messages.contains("DATABASE_WAIT_SECONDS") && messages.contains("cannot go on"), "{messages}");
    let password =
        url.split_once(':').and_then(|(_, rest)| rest.split_once(':')).and_then(|(_, rest)| rest.split_once('@'));
    assert!(!messages.contains(password.expect("a password").0), "{messages}");

    // A database that comes in time is waited for.
    server.options.env.insert("DATABASE_WAIT_SECONDS".to_owned(), "60".to_owned());
    let before = messages.len();
    server.spawn();
    until("it to wait", Duration::from_secs(30), async || {
        server.messages()[before..].contains("does not answer yet").then_some(())
    })
    .await;
    proxy.set(Door::Open);
    let anonymous = server.anonymous();
    until("the server to be ready", Duration::from_secs(60), async || {
        anonymous.is_well(routes::READY).await.then_some(())
    })
    .await;
}
