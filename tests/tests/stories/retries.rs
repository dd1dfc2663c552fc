//! Another attempt after a failed one.

use std::time::Duration;

use fastflow_shared::{Phase, Run, RunStatus, Trigger, routes};
use fastflow_tests::wait::{PATIENCE, until};
use fastflow_tests::{Client, Options, Server};
use serde_json::{Value, json};

fn policy(attempts: u32, delays: &[f64]) -> Value {
    json!({ "retry_attempts": attempts, "retry_strategy": { "type": "custom_schedule", "delays": delays } })
}

async fn next_of(client: &Client, run: &Run) -> Run {
    let next = client.run_when(&run.id, "to be tried again", PATIENCE, |run| run.retried_by.is_some()).await;
    client.run(next.retried_by.as_deref().unwrap_or_default()).await
}

#[tokio::test]
async fn each_attempt_is_a_run_of_its_own_linked_with_the_others() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    let script = "import os, sys\nattempt = os.environ['FASTFLOW_ATTEMPT']\nprint(attempt)\nsys.exit(0 if attempt == '3' else 1)";
    server.pipeline("third", script).json(&policy(4, &[0.2, 0.5]));
    let first = client.run_to_end("third").await;
    assert_eq!((first.status, first.attempt, first.max_attempts), (RunStatus::Failed, 1, 5));
    let second = next_of(client, &first).await;
    assert_eq!((second.attempt, second.trigger, second.retry_of.as_ref()), (2, Trigger::Retry, Some(&first.id)));
    let second = client.end_of(&second.id).await;
    assert!(second.started_at > first.finished_at);
    let third = next_of(client, &second).await;
    let third = client.end_of(&third.id).await;
    assert_eq!((third.status, third.attempt, third.retried_by.as_ref()), (RunStatus::Success, 3, None));
    assert_eq!(client.log_text(&third.id).await, "3\n");
    let stats = client.stats("third").await;
    assert_eq!((stats.total_runs, stats.successful_runs, stats.failed_runs), (3, 1, 2));
    assert_eq!(client.runs().await.len(), 3);
}

#[tokio::test]
async fn waiting_holds_no_slot_survives_a_restart_and_can_be_cancelled() {
    let mut server = Server::start(Options::new().env("MAX_CONCURRENT_RUNS", "1")).await;
    server.pipeline("fails", "raise SystemExit(1)").json(&policy(3, &[6.0, 300.0]));
    server.pipeline("hello", "print('hello')");
    let first = server.client().run_to_end("fails").await;
    let second = next_of(server.client(), &first).await;
    assert_eq!((second.status, second.phase), (RunStatus::Pending, Phase::Waiting));
    let due = second.not_before.expect("a time");
    server.client().run_well("hello").await;
    server.restart().await;
    let client = server.client();
    let second = client.end_of(&second.id).await;
    assert!(second.started_at.is_some_and(|at| at >= due), "not before its time");
    let third = next_of(client, &second).await;
    assert_eq!(third.phase, Phase::Waiting);
    let _ = client.cancel(&third.id).await.expect(202);
    let third = client.run_when(&third.id, "to end", Duration::from_secs(3), |run| run.status.is_final()).await;
    assert_eq!(third.error_type, Some(fastflow_shared::ErrorType::Cancelled));
    assert_eq!(client.runs().await.iter().filter(|run| run.pipeline_name == "fails").count(), 3, "no fourth attempt");
}

#[tokio::test]
async fn after_a_cancel_there_is_no_further_attempt() {
    let server = Server::start(Options::new().env("RETRY_ATTEMPTS", "2")).await;
    let client = server.client();
    server
        .pipeline("nap", "import time; print('up', flush=True); time.sleep(60)")
        .json(&json!({ "retry_strategy": { "type": "fixed_delay", "delay": 0 } }));
    let run = client.start("nap").await;
    assert_eq!(run.max_attempts, 3);
    client.log_when(&run.id, "up").await;
    let _ = client.cancel(&run.id).await.expect(202);
    let run = client.end_of(&run.id).await;
    assert_eq!(run.retried_by, None);
    server.pipeline("hello", "print('hello')");
    client.run_well("hello").await;
    assert_eq!(client.runs().await.len(), 2);
}

#[tokio::test]
async fn a_run_can_be_repeated_by_hand() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    server.pipeline("given", "import os; print(os.environ['WHAT'])");
    let mut start = fastflow_shared::StartRun::default();
    start.parameters.insert("WHAT".to_owned(), "the same".to_owned());
    let run = client.start_with("given", &start).await;
    let first = client.end_of(&run.id).await;
    let again: Run = client.post(&routes::run_again(&first.id)).await.expect(201).json();
    let again = client.end_of(&again.id).await;
    assert_eq!((again.status, &again.parameters), (RunStatus::Success, &first.parameters));
    assert_eq!(client.log_text(&again.id).await, "the same\n");

    server.pipeline("fails", "raise SystemExit(1)");
    let failed = client.run_to_end("fails").await;
    let retry: Run = client.post(&routes::run_retry(&failed.id)).await.expect(201).json();
    assert_eq!((retry.attempt, retry.retry_of.as_ref()), (2, Some(&failed.id)));
    until("the link", PATIENCE, async || client.run(&failed.id).await.retried_by.filter(|id| *id == retry.id)).await;
    let retry = client.end_of(&retry.id).await;
    assert_eq!(retry.exit_code, Some(1));

    server.pipeline("nap", "import time; time.sleep(3)");
    let working = client.start("nap").await;
    let _ = client.post(&routes::run_retry(&working.id)).await.problem(409, "run_not_ended");
    client.end_of(&working.id).await;
}
