//! Docker is away: the server serves everything else and says so.

use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use fastflow_shared::{Readiness, RunStatus, routes};
use fastflow_tests::options::UvCache;
use fastflow_tests::wait::until;
use fastflow_tests::{Options, Server};

fn check(readiness: &Readiness, name: &str) -> bool {
    readiness.checks.iter().find(|check| check.name == name).expect("the check").ok
}

#[tokio::test]
async fn without_docker_starts_are_refused_and_the_rest_is_served() {
    let options = Options::new().env("DOCKER_HOST", "unix:///nonexistent.sock").uv_cache(UvCache::Own).unready();
    let server = Server::start(options).await;
    let client = server.client();
    server.pipeline("hello", "print('hello')");
    let _ = client.post(routes::SYNC).await.expect(200);
    let answer = client.get(routes::READY).await.expect(503);
    let readiness: Readiness = answer.json();
    assert!(!readiness.ready && !check(&readiness, "docker") && check(&readiness, "database"));
    let begin = Instant::now();
    let refused = client.try_start("hello").await;
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    assert!(refused.header("retry-after").is_some());
    let problem = refused.problem(503, "docker_unavailable");
    assert!(problem.detail.contains("nonexistent.sock"), "{}", problem.detail);
    assert!(client.runs().await.is_empty());
    assert!(!client.overview().await.docker_ok);
    assert_eq!(client.pipeline("hello").await.name, "hello");
    for path in ["/health", routes::ME, routes::PIPELINES, routes::RUNS, routes::SECRETS, routes::CHORES, "/"] {
        let begin = Instant::now();
        let _ = client.get(path).await.expect(200);
        assert!(begin.elapsed() < Duration::from_secs(1), "{path} took {:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn when_docker_comes_back_starts_work_and_a_running_script_was_not_disturbed() {
    // Docker's socket by a link of our own, so that it can be taken away without stopping anybody else's Docker.
    let mut server = Server::prepare(Options::new().unready()).await;
    let link = server.root().join("docker.sock");
    server.options.env.insert("DOCKER_HOST".to_owned(), format!("unix://{}", link.display()));
    server.launch().await;
    let client = server.client();
    server.pipeline("nap", "import time\nfor n in range(60): print(n, flush=True); time.sleep(0.1)");
    let _ = client.try_start("nap").await.problem(503, "docker_unavailable");

    symlink("/var/run/docker.sock", &link).expect("a link");
    let run = until("a start to be accepted", Duration::from_secs(20), async || {
        let answer = client.try_start("nap").await;
        (answer.status == 201).then(|| answer.json::<fastflow_shared::Run>())
    })
    .await;
    client.log_when(&run.id, "5\n").await;
    std::fs::remove_file(&link).expect("removed");
    until("the server to notice", Duration::from_secs(30), async || {
        (client.get(routes::READY).await.status == 503).then_some(())
    })
    .await;
    let refused = client.try_start("nap").await;
    let _ = refused.problem(503, "docker_unavailable");
    symlink("/var/run/docker.sock", &link).expect("a link");
    let run = client.end_of(&run.id).await;
    assert_eq!(run.status, RunStatus::Success, "{:?}", run.error_message);
    let expected: String = (0..60).map(|n| format!("{n}\n")).collect();
    assert_eq!(client.log_text(&run.id).await, expected);
    until("a start to be accepted again", Duration::from_secs(20), async || {
        (client.get(routes::READY).await.status == 200).then_some(())
    })
    .await;
    client.run_well("nap").await;
}
