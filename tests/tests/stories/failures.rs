//! Why a run failed: one word for programs, one sentence that a user can act on.

use std::time::Duration;

use fastflow_shared::{ErrorType, Run, RunStatus};
use fastflow_tests::options::UvCache;
use fastflow_tests::{Options, Server, docker};
use serde_json::json;

fn failed(run: &Run, kind: ErrorType) -> String {
    assert_eq!((run.status, run.error_type), (RunStatus::Failed, Some(kind)), "{:?}", run.error_message);
    run.error_message.clone().expect("a message")
}

#[tokio::test]
async fn out_of_memory_names_the_limit() {
    let server = Server::start(Options::new()).await;
    server.example("memory");
    let run = server.client().run_to_end("memory").await;
    let message = failed(&run, ErrorType::Oom);
    assert!(message.contains("128 MB") && message.contains("mem_hard_limit"), "{message}");
    assert_eq!(run.exit_code, Some(137));
    assert_eq!(run.memory_limit, Some(128 << 20));
    assert!(server.client().log_text(&run.id).await.contains("100 MB\n"));
}

#[tokio::test]
async fn a_timeout_kills_and_says_so() {
    let server = Server::start(Options::new().env("CONTAINER_TIMEOUT", "300")).await;
    let client = server.client();
    // It ignores SIGTERM and floods: a timeout kills all the same.
    let deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: print('x' * 100)";
    server.pipeline("deaf", deaf).json(&json!({ "timeout": 2 }));
    let run = client.run_to_end("deaf").await;
    let message = failed(&run, ErrorType::Timeout);
    assert!(message.contains("2 s"), "{message}");
    assert_eq!(run.timeout_seconds, Some(2));
    let lasted = run.duration_seconds.expect("a duration");
    assert!((1.8..4.0).contains(&lasted), "{lasted}");

    server.pipeline("default", "print('quick')");
    assert_eq!(client.run_well("default").await.timeout_seconds, Some(300));
    server.pipeline("never", "print('quick')").json(&json!({ "timeout": 0 }));
    assert_eq!(client.run_well("never").await.timeout_seconds, None);
}

#[tokio::test]
async fn a_timeout_is_counted_from_the_containers_start_also_across_a_restart() {
    let mut server = Server::start(Options::new()).await;
    server.pipeline("nap", "import time; print('up', flush=True); time.sleep(60)").json(&json!({ "timeout": 6 }));
    let run = server.client().start("nap").await;
    server.client().log_when(&run.id, "up").await;
    server.kill9();
    tokio::time::sleep(Duration::from_secs(3)).await;
    server.launch().await;
    let run = server.client().end_of(&run.id).await;
    failed(&run, ErrorType::Timeout);
    let lasted = run.duration_seconds.expect("a duration");
    assert!((5.8..8.0).contains(&lasted), "{lasted}");
}

#[tokio::test]
async fn an_exit_code_comes_with_the_exceptions_last_line() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    server.example("failing");
    let run = client.run_to_end("failing").await;
    let message = failed(&run, ErrorType::ExitCode);
    assert_eq!((run.exit_code, message.as_str()), (Some(3), "Exit code 3: KeyError: 'tuesday'"));

    server.pipeline("raises", "def f(): raise ValueError('no rows')\nf()");
    let run = client.run_to_end("raises").await;
    assert_eq!(failed(&run, ErrorType::ExitCode), "Exit code 1: ValueError: no rows");

    server.pipeline("missing", "import os; os.execvp('no-such-program', ['x'])");
    let run = client.run_to_end("missing").await;
    assert!(failed(&run, ErrorType::ExitCode).contains("FileNotFoundError"));

    // What shells, and Docker itself, say with these codes.
    for (code, kind) in [(125, ErrorType::Docker), (126, ErrorType::NotExecutable), (127, ErrorType::NotFound)] {
        server.pipeline("shell", &format!("import sys; sys.exit({code})"));
        let run = client.run_to_end("shell").await;
        assert_eq!((run.exit_code, run.error_type), (Some(code), Some(kind)), "{:?}", run.error_message);
    }
    let stats = client.stats("failing").await;
    assert_eq!((stats.total_runs, stats.failed_runs, stats.success_rate), (1, 1, Some(0.0)));
}

#[tokio::test]
async fn a_container_that_is_taken_away_is_lost_and_one_that_is_killed_was_killed_from_outside() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    server.pipeline("nap", "import time; print('up', flush=True); time.sleep(60)");
    let (removed, killed) = (client.start("nap").await, client.start("nap").await);
    for run in [&removed, &killed] {
        client.log_when(&run.id, "up").await;
    }
    docker::docker(&["rm", "-f", &docker::container_of(&removed.id).await.expect("a container")]).await;
    docker::docker(&["kill", &docker::container_of(&killed.id).await.expect("a container")]).await;
    let removed = client.end_of(&removed.id).await;
    // Docker kills before it removes, and the exit may be seen in between: both are the truth.
    assert_eq!(removed.status, RunStatus::Failed);
    if removed.error_type == Some(ErrorType::Lost) {
        assert!(removed.error_message.is_some_and(|text| text.contains("removed from outside")));
    } else {
        assert!(failed(&removed, ErrorType::ExitCode).contains("killed from outside"));
    }
    let killed = client.end_of(&killed.id).await;
    assert!(failed(&killed, ErrorType::ExitCode).contains("killed from outside"), "{:?}", killed.error_message);
    assert_eq!(killed.exit_code, Some(137));
    client.idle().await;
}

#[tokio::test]
async fn a_container_that_vanishes_while_the_server_is_away_is_lost() {
    let mut server = Server::start(Options::new()).await;
    server.pipeline("nap", "import time; print('up', flush=True); time.sleep(60)");
    let run = server.client().start("nap").await;
    server.client().log_when(&run.id, "up").await;
    let container = docker::container_of(&run.id).await.expect("a container");
    server.kill9();
    docker::docker(&["rm", "-f", &container]).await;
    server.launch().await;
    let run = server.client().end_of(&run.id).await;
    let message = failed(&run, ErrorType::Lost);
    assert!(message.contains("gone when the server came back"), "{message}");
    let log = server.client().log_text(&run.id).await;
    assert!(log.starts_with("up\n") && log.contains(&message), "{log}");
}

#[tokio::test]
async fn an_image_that_does_not_exist_is_named() {
    let server = Server::start(Options::new().env("WORKER_BASE_IMAGE", "localhost:1/no/such/image:1")).await;
    server.pipeline("hello", "print('hello')");
    let run = server.client().run_to_end("hello").await;
    let message = failed(&run, ErrorType::Docker);
    assert!(message.contains("no/such/image"), "{message}");
}

#[tokio::test]
async fn a_silent_run_is_given_up_when_the_operator_wants_that() {
    let server = Server::start(Options::new().env("HEALTH_SILENCE_SECONDS", "3")).await;
    let client = server.client();
    server.pipeline("silent", "import time; print('last words', flush=True); time.sleep(60)");
    let run = client.start("silent").await;
    client.log_when(&run.id, "last words").await;
    let health: fastflow_shared::RunHealth = client.fetch(&fastflow_shared::routes::run_health(&run.id)).await;
    assert_eq!((health.verdict.as_str(), health.silence_limit_seconds), ("healthy", Some(3)));
    let run = client.end_of(&run.id).await;
    let message = failed(&run, ErrorType::Unhealthy);
    assert!(message.contains("HEALTH_SILENCE_SECONDS"), "{message}");
}

#[tokio::test]
async fn an_unhealthy_container_is_ended_and_says_why() {
    let check = "HEALTHCHECK --interval=1s --timeout=5s --retries=2 CMD test ! -e /tmp/sick";
    let image = docker::Image::changed(Some(check), "true").await;
    let server = Server::start(Options::new().uv_cache(UvCache::Own).env("WORKER_BASE_IMAGE", &image.name)).await;
    let client = server.client();
    server.pipeline("well", "import time; time.sleep(20)");
    server.pipeline("sick", "import time; open('/tmp/sick', 'w'); print('sick', flush=True); time.sleep(120)");
    let (well, sick) = (client.start("well").await, client.start("sick").await);
    client.log_when(&sick.id, "sick").await;
    let sick = client.end_of(&sick.id).await;
    let message = failed(&sick, ErrorType::Unhealthy);
    assert!(message.contains("health check"), "{message}");
    assert!(sick.duration_seconds.is_some_and(|seconds| seconds < 60.0), "{:?}", sick.duration_seconds);
    assert_eq!(client.end_of(&well.id).await.status, RunStatus::Success);
    client.idle().await;
}

#[tokio::test]
async fn what_docker_refuses_is_told_in_its_words() {
    let server = Server::start(Options::new().env("WORKER_CAPABILITIES", "NO_SUCH_RIGHT")).await;
    server.pipeline("hello", "print('hello')");
    let run = server.client().run_to_end("hello").await;
    let message = failed(&run, ErrorType::Docker);
    assert!(message.contains("NO_SUCH_RIGHT"), "{message}");
    assert_eq!(run.exit_code, None);
    server.client().idle().await;
    docker::all_gone(server.instance()).await;
}

#[tokio::test]
async fn a_worker_image_that_cannot_work_is_named() {
    for (script, kind, wanted) in [
        ("rm /usr/local/bin/uv", ErrorType::NotFound, "uv"),
        ("chmod a-x /usr/local/bin/uv", ErrorType::NotExecutable, "uv"),
        ("chmod a-x /usr/bin/dash", ErrorType::NotExecutable, "/bin/sh"),
        ("rm /bin/sh", ErrorType::NotFound, "/bin/sh"),
    ] {
        let image = docker::Image::changed(None, script).await;
        let server = Server::start(Options::new().uv_cache(UvCache::Own).env("WORKER_BASE_IMAGE", &image.name)).await;
        server.pipeline("hello", "print('hello')");
        let run = server.client().run_to_end("hello").await;
        let message = failed(&run, kind);
        assert!(message.contains(wanted) && message.contains("WORKER_BASE_IMAGE"), "{script}: {message}");
        server.client().idle().await;
        docker::all_gone(server.instance()).await;
    }
}
