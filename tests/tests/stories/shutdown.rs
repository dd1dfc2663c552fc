//! The server is asked to stop.

use std::time::Duration;

use fastflow_shared::{ErrorType, RunStatus, events};
use fastflow_tests::{Options, Server, Viewer, docker};

/// Twelve seconds of numbered lines; a handler that would tell of a signal.
const COUNTS: &str = r"
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print('asked to stop'), sys.exit(9)))
for n in range(1, 121):
    print(f'line {n:03d}')
    time.sleep(0.1)
";

#[tokio::test]
async fn a_stop_takes_seconds_leaves_runs_to_continue_and_the_next_start_goes_on() {
    let mut server = Server::start(Options::new().env("MAX_CONCURRENT_RUNS", "1")).await;
    server.pipeline("counts", COUNTS);
    server.pipeline("hello", "print('hello')");
    let run = server.client().start("counts").await;
    let waiting = server.client().start("hello").await;
    server.client().log_when(&run.id, "line 005").await;
    let container = docker::container_of(&run.id).await.expect("a container");

    let mut stream = server.client().stream(fastflow_shared::routes::EVENTS, None).await;
    let mut viewer = Viewer::open(server.client(), &run.id).await;
    viewer.see(5).await;
    let took = server.terminate().await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    while viewer.step().await {}
    assert!(viewer.end.is_none(), "the run has not ended");
    let mut last = None;
    while let Some(event) = stream.event(Duration::from_secs(5)).await {
        last = Some(event.name);
    }
    assert_eq!(last.as_deref(), Some(events::RECONNECT));
    assert_eq!(docker::inspect(&container).await["State"]["Running"], true, "the script works on");

    server.launch().await;
    viewer.reconnect().await;
    viewer.watch().await;
    let client = server.client();
    let run = client.end_of(&run.id).await;
    assert_eq!(run.status, RunStatus::Success, "{:?}", run.error_message);
    let expected: String = (1..=120).map(|n| format!("line {n:03}\n")).collect();
    assert_eq!(client.log_text(&run.id).await, expected);
    assert_eq!(viewer.text(), expected);
    assert_eq!(client.end_of(&waiting.id).await.status, RunStatus::Success);
}

#[tokio::test]
async fn runs_are_stopped_gently_when_the_operator_wants_that() {
    let mut server = Server::start(Options::new().env("SHUTDOWN_STOPS_RUNS", "true")).await;
    server.pipeline("counts", COUNTS);
    let run = server.client().start("counts").await;
    server.client().log_when(&run.id, "line 003").await;
    let took = server.terminate().await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(docker::containers(server.instance()).await.is_empty());
    server.launch().await;
    let run = server.client().run(&run.id).await;
    assert_eq!(
        (run.status, run.error_type),
        (RunStatus::Failed, Some(ErrorType::Cancelled)),
        "{:?}",
        run.error_message
    );
    assert!(run.error_message.is_some_and(|text| text.contains("SHUTDOWN_STOPS_RUNS")));
    assert!(server.client().log_text(&run.id).await.ends_with("asked to stop\n"));
}

#[tokio::test]
async fn runs_left_behind_are_marked_interrupted() {
    let mut server = Server::start(Options::new()).await;
    server.pipeline("counts", COUNTS);
    let run = server.client().start("counts").await;
    server.client().log_when(&run.id, "line 003").await;
    server.terminate().await;
    // Docker is away at the next start, so nothing can be resolved yet: the mark is seen.
    server.options.env.insert("DOCKER_HOST".to_owned(), "unix:///nonexistent.sock".to_owned());
    server.options.unready = true;
    server.launch().await;
    assert_eq!(server.client().run(&run.id).await.status, RunStatus::Interrupted);
    server.kill9();
    server.options.env.remove("DOCKER_HOST");
    server.options.unready = false;
    server.launch().await;
    let run = server.client().end_of(&run.id).await;
    assert_eq!(run.status, RunStatus::Success, "{:?}", run.error_message);
}
