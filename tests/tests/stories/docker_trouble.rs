//! Docker is away, slow, or hangs: the server serves everything else and says so.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fastflow_shared::{
    ErrorType, FiringPage, FiringStatus, Job, JobDraft, Readiness, Run, RunStatus, Trigger, TriggerType, WaitsFor,
    routes,
};
use fastflow_tests::daemon::Daemon;
use fastflow_tests::docker::{container_of, containers};
use fastflow_tests::options::UvCache;
use fastflow_tests::proxy::{Door, Proxy};
use fastflow_tests::wait::until;
use fastflow_tests::{Client, Options, Server};
use reqwest::Method;

fn check(readiness: &Readiness, name: &str) -> bool {
    readiness.checks.iter().find(|check| check.name == name).expect("the check").ok
}

/// A server that looks for Docker's socket at a link that is not there: so Docker can come and go without stopping anybody else's.
async fn without_docker_yet() -> (Server, PathBuf) {
    let mut server = Server::prepare(Options::new().unready()).await;
    let link = server.root().join("docker.sock");
    server.options.env.insert("DOCKER_HOST".to_owned(), format!("unix://{}", link.display()));
    server.launch().await;
    (server, link)
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
    let refused = client.try_start("hello").await;
    assert!(refused.header("retry-after").is_some());
    let problem = refused.problem(503, "docker_unavailable");
    assert!(problem.detail.contains("nonexistent.sock"), "{}", problem.detail);
    assert!(client.runs().await.is_empty());
    assert!(!client.overview().await.docker_ok);
    assert_eq!(client.pipeline("hello").await.name, "hello");
    for path in ["/health", routes::ME, routes::PIPELINES, routes::RUNS, routes::SECRETS, routes::CHORES, "/"] {
        let _ = client.get(path).await.expect(200);
    }
}

#[tokio::test]
async fn when_docker_comes_back_starts_work_and_a_running_script_was_not_disturbed() {
    let (server, link) = without_docker_yet().await;
    let client = server.client();
    server.pipeline("nap", "import time\nfor n in range(60): print(n, flush=True); time.sleep(0.1)");
    let _ = client.try_start("nap").await.problem(503, "docker_unavailable");

    symlink("/var/run/docker.sock", &link).expect("a link");
    let run = until("a start to be accepted", Duration::from_secs(20), async || {
        let answer = client.try_start("nap").await;
        (answer.status == 201).then(|| answer.json::<Run>())
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

/// Prints a hundred numbers in ten seconds.
const COUNTS: &str = "import time\nfor n in range(100): print(n, flush=True); time.sleep(0.1)";

fn numbers(up_to: usize) -> String {
    (0..up_to).map(|n| format!("{n}\n")).collect()
}

async fn until_ready(client: &Client, status: u16) -> Readiness {
    until(&format!("/ready to answer {status}"), Duration::from_secs(60), async || {
        let answer = client.get(routes::READY).await;
        (answer.status == status).then(|| answer.json())
    })
    .await
}

/// A run through a stop and a start of the very daemon that it works on.
async fn through_a_restart_of_the_daemon(live_restore: bool) -> (Run, String) {
    let mut daemon = Daemon::start(live_restore).await;
    let options = Options::new().env("DOCKER_HOST", daemon.host()).env("WORKER_NETWORK", "none");
    let server = Server::start(options).await;
    let client = server.client();
    server.pipeline("counts", COUNTS);
    let run = client.start("counts").await;
    client.log_when(&run.id, "9\n").await;
    daemon.stop().await;
    let readiness = until_ready(client, 503).await;
    assert!(!check(&readiness, "docker") && check(&readiness, "database"), "{readiness:?}");
    let _ = client.try_start("counts").await.problem(503, "docker_unavailable");
    assert_eq!(client.run(&run.id).await.status, RunStatus::Running, "nothing is guessed while Docker is away");
    daemon.come_up().await;
    let run = client.end_of(&run.id).await;
    let log = client.log_text(&run.id).await;
    until_ready(client, 200).await;
    client.idle().await;
    client.run_well("counts").await;
    (run, log)
}

#[tokio::test]
async fn a_run_outlives_its_daemon_that_keeps_containers_and_no_line_is_lost() {
    let (run, log) = through_a_restart_of_the_daemon(true).await;
    assert_eq!(run.status, RunStatus::Success, "{:?}", run.error_message);
    assert_eq!(log, numbers(100));
}

#[tokio::test]
async fn a_run_ends_truly_with_its_daemon_that_takes_containers_along() {
    let (run, log) = through_a_restart_of_the_daemon(false).await;
    assert_eq!((run.status, run.error_type), (RunStatus::Failed, Some(ErrorType::ExitCode)), "{:?}", run.error_message);
    assert!(matches!(run.exit_code, Some(137 | 143)), "{:?}", run.exit_code);
    let script: String =
        log.lines().filter(|line| !line.starts_with("[fastflow] ")).map(|l| format!("{l}\n")).collect();
    let lines = script.lines().count();
    assert!((10..100).contains(&lines) && script == numbers(lines), "{log}");
}

/// A door through which a server will reach Docker.
fn door_before(server: &mut Server) -> Proxy {
    // Short, for a socket's path has little room.
    let socket = std::env::temp_dir().join(format!("{}.sock", server.instance()));
    let _ = std::fs::remove_file(&socket);
    let proxy = Proxy::unix(&socket, Path::new("/var/run/docker.sock"));
    server.options.env.insert("DOCKER_HOST".to_owned(), format!("unix://{}", socket.display()));
    proxy
}

/// A server that reaches Docker through a door.
async fn behind_a_door() -> (Server, Proxy) {
    let mut server = Server::prepare(Options::new()).await;
    let proxy = door_before(&mut server);
    server.launch().await;
    (server, proxy)
}

#[tokio::test]
async fn a_slow_docker_makes_a_run_late_and_nothing_else() {
    let (server, docker) = behind_a_door().await;
    let client = server.client();
    server.pipeline("hello", "for n in range(1000): print(n)");
    docker.set(Door::Slow(Duration::from_millis(500)));
    let run = client.start("hello").await;
    let run = client.end_of(&run.id).await;
    assert_eq!(run.status, RunStatus::Success, "{:?}", run.error_message);
    assert_eq!(client.log_text(&run.id).await, numbers(1000));
    docker.set(Door::Open);
    client.idle().await;
    fastflow_tests::docker::all_gone(server.instance()).await;
}

#[tokio::test]
async fn a_docker_that_hangs_holds_up_neither_the_server_nor_for_ever_a_run() {
    let (server, docker) = behind_a_door().await;
    let client = server.client();
    server.pipeline("counts", COUNTS);
    let run = client.start("counts").await;
    client.log_when(&run.id, "9\n").await;
    docker.set(Door::Hangs);
    let readiness = until_ready(client, 503).await;
    let detail = &readiness.checks.iter().find(|check| check.name == "docker").expect("the check").detail;
    assert!(detail.contains("not answer within"), "{detail}");
    let refused = client.try_start("counts").await;
    let _ = refused.problem(503, "docker_unavailable");
    // Docker hangs all the while: whoever waited for it would not come back.
    for path in ["/health", routes::RUNS, routes::PIPELINES] {
        let _ = client.get(path).await.expect(200);
    }
    // Longer than the run: it ends while nobody hears it.
    tokio::time::sleep(Duration::from_secs(10)).await;
    docker.set(Door::Open);
    let run = client.end_of(&run.id).await;
    assert_eq!(run.status, RunStatus::Success, "{:?}", run.error_message);
    assert_eq!(client.log_text(&run.id).await, numbers(100));
    let lasted = run.duration_seconds.expect("a duration");
    assert!((9.0..14.0).contains(&lasted), "its own end, not when we heard of it: {lasted}");
    until_ready(client, 200).await;
    client.run_well("counts").await;
}

#[tokio::test]
async fn a_start_waits_for_a_docker_that_goes_away_in_the_middle_of_it() {
    let (server, docker) = behind_a_door().await;
    let client = server.client();
    server.pipeline("hello", "print('hello')");
    // Slow first, so that the start is accepted and far from its container.
    docker.set(Door::Slow(Duration::from_millis(200)));
    let run = client.start("hello").await;
    docker.set(Door::Shut);
    let what = "to say that it waits for Docker";
    client.run_when(&run.id, what, Duration::from_secs(30), |run| run.waits_for == Some(WaitsFor::Docker)).await;
    docker.set(Door::Open);
    let run = client.end_of(&run.id).await;
    assert_eq!(run.status, RunStatus::Success, "{:?}", run.error_message);
    assert_eq!(client.log_text(&run.id).await, "hello\n");
    client.idle().await;
    fastflow_tests::docker::all_gone(server.instance()).await;
}

#[tokio::test]
async fn a_container_that_docker_does_not_remove_is_swept_once_it_does() {
    let (server, docker) = behind_a_door().await;
    let client = server.client();
    server.pipeline("hello", "print('hello')");
    // A version that no Docker knows: it answers that, and removes nothing.
    docker.set(Door::Alters("DELETE /containers/", "DELETE /v9.99/containers/"));
    let run = client.run_to_end("hello").await;
    assert_eq!(run.status, RunStatus::Success, "{:?}", run.error_message);
    client.idle().await;
    let container = container_of(&run.id).await;
    assert!(container.is_some() && server.messages().contains("the container stays until the next sweep"));
    // It holds no place: other runs start as ever.
    client.run_well("hello").await;
    docker.set(Door::Open);
    let limit = Duration::from_secs(40);
    until("the sweep", limit, async || containers(server.instance()).await.is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_due_time_while_docker_is_away_waits_and_starts_one_run() {
    let (server, link) = without_docker_yet().await;
    let client = server.client();
    server.pipeline("hello", "print('hello')");
    let _ = client.post(routes::SYNC).await.expect(200);
    until_ready(client, 503).await;
    let due = chrono::Utc::now() + chrono::TimeDelta::seconds(2);
    let draft = JobDraft {
        pipeline_name: "hello".to_owned(),
        trigger_type: TriggerType::Once,
        trigger_value: due.format("%Y-%m-%dT%H:%M:%S").to_string(),
        time_zone: Some("UTC".to_owned()),
        ..JobDraft::default()
    };
    let job: Job = client.write(Method::POST, routes::JOBS, &draft).await.expect(201).json();
    // The clock looks each second: it has seen the due time more than once by then.
    let passed = async || (chrono::Utc::now() > due + chrono::TimeDelta::seconds(4)).then_some(());
    until("the due time to have passed", Duration::from_secs(30), passed).await;
    assert!(client.runs().await.is_empty(), "nothing can be started");
    let fired = async || client.get(&routes::job_firings(&job.id)).await.expect(200).json::<FiringPage>().items;
    assert!(fired().await.is_empty(), "and nothing was given up");

    symlink("/var/run/docker.sock", &link).expect("a link");
    let look = async || client.runs().await.into_iter().next();
    let run = until("the run that was due", Duration::from_secs(30), look).await;
    let run = client.end_of(&run.id).await;
    assert_eq!((run.status, run.trigger), (RunStatus::Success, Trigger::Schedule), "{:?}", run.error_message);
    client.idle().await;
    let fired = fired().await;
    assert_eq!((fired.len(), fired[0].status), (1, FiringStatus::Started), "{fired:?}");
    assert_eq!(client.runs().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_docker_without_root_is_told_at_the_start_and_by_the_doctor() {
    // This machine's Docker, which says of itself that it runs rootless.
    let mut server = Server::prepare(Options::new()).await;
    let docker = door_before(&mut server);
    docker.set(Door::Alters(r#"name=seccomp,profile=default"#, r#"name=rootless","name=seccomp"#));
    server.launch().await;
    let messages = server.messages();
    assert!(messages.contains("this Docker runs rootless") && messages.contains("Mend it: use a Docker"), "{messages}");
    let (code, told) = tokio::task::block_in_place(|| server.call(&["doctor"]));
    assert!(code == Some(1) && told.contains("FAIL  docker") && told.contains("rootless"), "{told}");
}
