//! Who may start: slots, the queue, and every reason to say no.

use std::time::{Duration, Instant};

use fastflow_shared::{Phase, PipelineSwitch, RunStatus, StartRun, routes};
use fastflow_tests::{Options, Server, docker};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn ten_simultaneous_starts_answer_at_once_and_the_eleventh_waits_its_turn() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    server.pipeline("nap", "import time; print('in'); time.sleep(4); print('out')");
    let starts = (0..10).map(|_| async {
        let begin = Instant::now();
        let run = client.start("nap").await;
        (run, begin.elapsed())
    });
    let started = join_all(starts).await;
    for (_, took) in &started {
        assert!(*took < Duration::from_secs(1), "a start was answered after {took:?}");
    }
    let eleventh = client.start("nap").await;
    assert_eq!((eleventh.status, eleventh.phase), (RunStatus::Pending, Phase::Queued));
    assert_eq!(eleventh.queue_position, Some(1));
    let overview = client.overview().await;
    assert_eq!((overview.running, overview.queued, overview.max_concurrent_runs), (10, 1, 10));

    let ends = join_all(started.iter().map(|(run, _)| client.end_of(&run.id))).await;
    for run in &ends {
        assert_eq!(run.status, RunStatus::Success, "{:?}", run.error_message);
    }
    let eleventh = client.end_of(&eleventh.id).await;
    assert_eq!((eleventh.status, eleventh.queue_position), (RunStatus::Success, None));
    let first_end = ends.iter().filter_map(|run| run.finished_at).min();
    assert!(eleventh.started_at > first_end, "it waited until one had ended");
    let stats = client.stats("nap").await;
    assert_eq!((stats.total_runs, stats.successful_runs, stats.failed_runs), (11, 11, 0));
}

#[tokio::test]
async fn fifty_simultaneous_starts_never_exceed_the_limit_and_all_end_well() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    server.pipeline("brief", "import time; time.sleep(0.3)");
    let starts = join_all((0..50).map(|_| client.start("brief"))).await;
    let ids: Vec<String> = starts.into_iter().map(|run| run.id).collect();
    let (mut most_running, mut most_containers) = (0, 0);
    loop {
        let overview = client.overview().await;
        let containers = docker::running(server.instance()).await.len();
        most_running = most_running.max(overview.running);
        most_containers = most_containers.max(containers);
        if overview.running + overview.queued == 0 {
            break;
        }
    }
    assert!(most_running <= 10 && most_containers <= 10, "{most_running} runs, {most_containers} containers");
    assert!(most_running >= 9, "the slots were used: {most_running}");
    for id in ids {
        assert_eq!(client.run(&id).await.status, RunStatus::Success);
    }
    assert_eq!(client.stats("brief").await.successful_runs, 50);
}

#[tokio::test]
async fn the_queue_is_served_in_order_and_refuses_when_it_is_full() {
    let server = Server::start(Options::new().env("MAX_CONCURRENT_RUNS", "1").env("MAX_QUEUED_RUNS", "2")).await;
    let client = server.client();
    server.pipeline("nap", "import time; time.sleep(1.5)");
    let first = client.start("nap").await;
    let second = client.start("nap").await;
    let third = client.start("nap").await;
    assert_eq!((first.queue_position, second.queue_position, third.queue_position), (None, Some(1), Some(2)));

    let refused = client.try_start("nap").await;
    let wait: i64 = refused.header("retry-after").expect("Retry-After").parse().expect("seconds");
    let problem = refused.problem(429, "queue_full");
    assert_eq!(problem.retry_after, Some(wait));
    assert_eq!(client.runs().await.len(), 3, "a refused start leaves no trace");

    client.end_of(&first.id).await;
    client.run_when(&third.id, "to move up", Duration::from_secs(10), |run| run.queue_position == Some(1)).await;
    let (second, third) = (client.end_of(&second.id).await, client.end_of(&third.id).await);
    assert!(second.finished_at <= third.started_at, "one at a time, in order");
}

#[tokio::test]
async fn without_a_queue_a_start_beyond_the_limit_is_refused_at_once() {
    let server = Server::start(Options::new().env("MAX_CONCURRENT_RUNS", "1").env("MAX_QUEUED_RUNS", "0")).await;
    let client = server.client();
    server.pipeline("nap", "import time; time.sleep(1)");
    let first = client.start("nap").await;
    let _ = client.try_start("nap").await.problem(429, "queue_full");
    client.end_of(&first.id).await;
    client.idle().await;
    let again = client.run_to_end("nap").await;
    assert_eq!(again.status, RunStatus::Success);
}

#[tokio::test]
async fn what_cannot_be_started_is_refused_with_the_reason() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    server.pipeline("off", "").json(&json!({ "enabled": false }));
    server.pipeline("broken", "").file("pipeline.json", "{\n  \"timeout\": 3,\n  oops\n}");
    server.pipeline("typo", "").json(&json!({ "mem_hard_limit": "lots" }));
    server.pipeline("fine", "print('fine')");
    let _ = client.post(routes::SYNC).await.expect(200);

    let _ = client.try_start("nobody").await.problem(404, "pipeline_not_found");
    let _ = client.try_start("no/such").await.problem(404, "pipeline_not_found");
    let _ = client.try_start("off").await.problem(409, "pipeline_disabled");
    let problem = client.try_start("broken").await.problem(409, "pipeline_invalid");
    assert!(problem.detail.contains("line 3"), "{}", problem.detail);
    let problem = client.try_start("typo").await.problem(409, "pipeline_invalid");
    assert!(problem.detail.contains("mem_hard_limit"), "{}", problem.detail);
    let broken = client.pipeline("broken").await;
    assert!(!broken.valid);
    assert_eq!((broken.problems[0].line, broken.problems[0].column), (Some(3), Some(3)));

    // Names that no process can have, and those that tell a script who it is.
    for name in ["A-B", "FASTFLOW_PIPELINE"] {
        let mut start = StartRun::default();
        start.parameters.insert(name.to_owned(), "1".to_owned());
        let problem = client.try_start_with("fine", &start).await.problem(422, "invalid_values");
        assert_eq!(problem.errors[0].field, format!("/parameters/{name}"));
    }
    let bad: [(&str, u16); 3] = [("{", 400), ("[1]", 400), (r#"{"parameters": 3}"#, 400)];
    for (body, status) in bad {
        let request = client.request(Method::POST, &routes::pipeline_run("fine"));
        let answer = client.send(request.header("content-type", "application/json").body(body)).await;
        assert!([status, 422].contains(&answer.status.as_u16()), "{body}: {}", answer.status);
        assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"), "{body}");
    }

    let off = PipelineSwitch { enabled: false };
    let _ = client.write(Method::PATCH, &routes::pipeline("fine"), &off).await.expect(200);
    assert!(!client.pipeline("fine").await.enabled);
    let _ = client.try_start("fine").await.problem(409, "pipeline_disabled");
    let on = PipelineSwitch { enabled: true };
    let _ = client.write(Method::PATCH, &routes::pipeline("fine"), &on).await.expect(200);
    assert!(client.runs().await.is_empty(), "nothing of all this left a run");
    client.run_well("fine").await;
}
