//! The server seen from outside: figures for Prometheus, messages for a collector, an answer for a load balancer.

use std::io::Write as _;
use std::process::{Command, Stdio};

use fastflow_shared::{Readiness, RunStatus, routes};
use fastflow_tests::options::Database;
use fastflow_tests::place;
use fastflow_tests::{Options, Server};
use reqwest::Method;
use serde_json::Value;

const TOKEN: &str = "figures for prometheus alone";

/// Reads the figures with Prometheus' own client, which is strict, and prints every sample as `name{labels} value`.
const PARSE: &str = r#"
import sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation and family.type != "unknown", family
    for sample in family.samples:
        labels = ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items()))
        print(f"{sample.name}{{{labels}}} {sample.value}")
"#;

fn parsed(text: &str) -> String {
    let mut python = Command::new(place::service("FASTFLOW_TEST_PYTHON"))
        .args(["-c", PARSE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python");
    python.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let output = python.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

async fn figures(server: &Server) -> String {
    let request = server.anonymous().request(Method::GET, "/metrics").bearer_auth(TOKEN);
    let answer = server.anonymous().send(request).await.expect(200);
    assert_eq!(answer.header("content-type").as_deref(), Some("text/plain; version=0.0.4; charset=utf-8"));
    parsed(&answer.text())
}

/// The value of a series, 0 when there is none.
fn value(figures: &str, series: &str) -> f64 {
    let line = figures.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}

#[tokio::test]
async fn figures_tell_of_runs_and_open_for_their_token_alone() {
    let options = Options::new().env("METRICS_TOKEN", TOKEN).env("LOG_FORMAT", "json").warm(1);
    let server = Server::start(options).await;
    let client = server.client();
    server.pipeline("good", "print('well')");
    server.pipeline("bad", "raise SystemExit(3)");

    let problem = server.anonymous().get("/metrics").await.problem(401, "metrics_token");
    assert!(problem.detail.contains("METRICS_TOKEN"), "{}", problem.detail);
    // Not even an admin's session opens them: whoever collects figures needs no more rights than that.
    let _ = client.get("/metrics").await.problem(401, "metrics_token");

    let first = client.run_to_end("good").await;
    let cold = client.run_to_end("good").await;
    let bad = client.run_to_end("bad").await;
    assert_eq!((first.status, cold.status, bad.status), (RunStatus::Success, RunStatus::Success, RunStatus::Failed));
    client.idle().await;
    let seen = figures(&server).await;
    for (series, expected) in [
        ("fastflow_runs_total{outcome=\"success\",pipeline=\"good\"}", 2.0),
        ("fastflow_runs_total{outcome=\"exit_code\",pipeline=\"bad\"}", 1.0),
        ("fastflow_run_duration_seconds_count{pipeline=\"good\"}", 2.0),
        ("fastflow_run_queue_seconds_count{}", 3.0),
        ("fastflow_runs{state=\"running\"}", 0.0),
        ("fastflow_runs_limit{state=\"running\"}", 10.0),
        ("fastflow_parked_containers{state=\"wanted\"}", 1.0),
        ("fastflow_up{what=\"docker\"}", 1.0),
        ("fastflow_up{what=\"database\"}", 1.0),
    ] {
        assert!((value(&seen, series) - expected).abs() < 1e-9, "{series} is not {expected} in\n{seen}");
    }
    let starts: f64 = ["warm", "cold"]
        .iter()
        .map(|start| value(&seen, &format!("fastflow_run_start_seconds_count{{start=\"{start}\"}}")))
        .sum();
    assert!((starts - 3.0).abs() < 1e-9, "{seen}");
    assert!(value(&seen, "fastflow_run_start_seconds_count{start=\"warm\"}") >= 1.0, "{seen}");
    for more_than_nothing in [
        "fastflow_docker_call_seconds_count{call=\"list\",result=\"ok\"}",
        "fastflow_database_call_seconds_count{result=\"ok\"}",
        "fastflow_log_bytes_total{}",
        "fastflow_disk_free_bytes{folder=\"data\"}",
        "process_resident_memory_bytes{}",
        "process_open_fds{}",
    ] {
        assert!(value(&seen, more_than_nothing) > 0.0, "{more_than_nothing} in\n{seen}");
    }

    // The same run in the messages: each is one JSON object, and all of a run's carry its id and the request behind it.
    let messages: Vec<Value> = server
        .messages()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}")))
        .collect();
    let of_run: Vec<_> = messages.iter().filter(|message| message["run"] == bad.id.as_str()).collect();
    let end = of_run.iter().find(|message| message["error_type"] == "exit_code").expect("its end is told");
    assert_eq!((&end["pipeline"], &end["level"]), (&Value::from("bad"), &Value::from("INFO")), "{end}");
    let request = end["request_id"].as_str().expect("the request that started it");
    let asked = messages.iter().find(|message| message["request_id"] == request && message["method"] == "POST");
    assert!(asked.is_some_and(|asked| asked["path"] == routes::pipeline_run("bad")), "{asked:?}");
}

#[tokio::test]
async fn figures_are_closed_until_somebody_is_let_in_and_then_open_by_address() {
    let mut server = Server::start(Options::new().database(Database::Sqlite)).await;
    let problem = server.client().get("/metrics").await.problem(403, "metrics_closed");
    assert!(problem.detail.contains("METRICS_TOKEN") && problem.detail.contains("METRICS_ALLOW"));
    server.options.env.insert("METRICS_ALLOW".to_owned(), "192.0.2.0/24".to_owned());
    server.restart().await;
    let problem = server.client().get("/metrics").await.problem(403, "metrics_address");
    assert!(problem.detail.contains("127.0.0.1"), "{}", problem.detail);
    // Nobody can claim to come from there, for no proxy is trusted.
    let request = server.anonymous().request(Method::GET, "/metrics").header("X-Forwarded-For", "192.0.2.7");
    let _ = server.anonymous().send(request).await.problem(403, "metrics_address");
    server.options.env.insert("METRICS_ALLOW".to_owned(), "192.0.2.0/24, 127.0.0.0/8".to_owned());
    server.restart().await;
    let answer = server.anonymous().get("/metrics").await.expect(200);
    assert!(value(&parsed(&answer.text()), "fastflow_build_info{database=\"SQLite\",version=\"0.1.0\"}") > 0.0);

    let readiness: Readiness = server.anonymous().fetch(routes::READY).await;
    let names: Vec<_> = readiness.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["database", "docker", "disk", "logs", "environments"]);
}
