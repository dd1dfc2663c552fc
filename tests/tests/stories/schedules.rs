//! Schedules over HTTP: made, explained, refused, paused, fired; and a server that is killed in the middle of a firing.

use std::collections::BTreeMap;
use std::time::Duration;

use fastflow_shared::{
    FiringPage, FiringStatus, Job, JobDraft, JobSwitch, Outlook, Preview, Run, RunSummary, Trigger, TriggerDraft,
    TriggerType, routes,
};
use fastflow_tests::options::Database;
use fastflow_tests::wait::until;
use fastflow_tests::{Client, Options, Server};
use reqwest::Method;

const SCRIPT: &str = "import os; print(os.environ['WHO'])";

fn draft(kind: TriggerType, value: &str) -> JobDraft {
    JobDraft {
        pipeline_name: "hello".to_owned(),
        trigger_type: kind,
        trigger_value: value.to_owned(),
        parameters: BTreeMap::from([("WHO".to_owned(), "the clock".to_owned())]),
        ..JobDraft::default()
    }
}

async fn firings(client: &Client, job: &Job) -> FiringPage {
    client.get(&routes::job_firings(&job.id)).await.expect(200).json()
}

async fn fires_once_in_spite_of_a_kill(database: Database) {
    let mut server = Server::prepare(Options::new().database(database)).await;
    server.pipeline("hello", SCRIPT);
    server.hold_at("row_inserted");
    server.launch().await;
    let job: Job =
        server.client().write(Method::POST, routes::JOBS, &draft(TriggerType::Interval, "2")).await.expect(201).json();
    // A due time has its row and its run; nobody has begun to drive it.
    server.held().await;
    server.kill9();
    server.hold_nowhere();
    server.launch().await;
    let client = server.client();
    let runs: Vec<RunSummary> = until("three due times have fired", Duration::from_secs(60), async || {
        let page = firings(client, &job).await;
        let started = page.items.into_iter().filter(|firing| firing.status == FiringStatus::Started);
        let runs: Vec<_> = started.map(|firing| firing.run.expect("what was started has a run")).collect();
        (runs.len() >= 3).then_some(runs)
    })
    .await;
    let _ = client.write(Method::PATCH, &routes::job(&job.id), &JobSwitch { enabled: false }).await.expect(200);
    for run in &runs {
        let run = client.end_of(&run.id).await;
        assert_eq!((run.exit_code, run.trigger, run.attempt), (Some(0), Trigger::Schedule, 1));
        assert_eq!(client.log(&run.id).await, "the clock\n");
    }
    client.idle().await;
    let started = firings(client, &job).await.items.iter().filter(|firing| firing.run.is_some()).count();
    assert_eq!(client.runs().await.len(), started, "no run beside the book");
}

#[tokio::test]
async fn a_killed_server_fires_each_due_time_once() {
    fires_once_in_spite_of_a_kill(Database::Sqlite).await;
    fires_once_in_spite_of_a_kill(Database::Postgres).await;
}

#[tokio::test]
async fn a_job_over_http_from_its_making_to_its_end() {
    let server = Server::start(Options::new().env("SCHEDULE_TIME_ZONE", "Europe/Berlin")).await;
    server.pipeline("hello", SCRIPT).json(&serde_json::json!({
        "schedules": [{ "id": "a", "cron": "@daily", "env": { "WHO": "the file" }, "timeout": 30 }]
    }));
    let client = server.client();
    let _ = client.post(routes::SYNC).await.expect(200);

    let six = client.write(Method::POST, routes::JOBS, &draft(TriggerType::Cron, "0 0 2 * * *")).await;
    let problem = six.problem(422, "invalid_job");
    assert_eq!(problem.errors[0].field, "trigger_value");
    assert!(problem.errors[0].message.contains("write `0 2 * * *`"), "{problem:?}");

    let made = client.write(Method::POST, routes::JOBS, &draft(TriggerType::Cron, "30 2 * * *")).await.expect(201);
    let job: Job = made.json();
    assert_eq!(made.header("location"), Some(routes::job(&job.id)));
    assert_eq!((job.time_zone.as_str(), job.created_by.as_deref()), ("Europe/Berlin", Some("admin")));
    let outlook: Outlook = client.fetch(&format!("{}/next?count=3", routes::job(&job.id))).await;
    assert_eq!((outlook.next.len(), outlook.clock_changes.len()), (3, 2));
    assert_eq!(outlook.sentence.en, "At 02:30 every day (Europe/Berlin)");
    let unsaved = TriggerDraft { trigger_value: "*/5 * * * *".to_owned(), ..TriggerDraft::default() };
    let unsaved: Outlook = client.write(Method::POST, routes::EXPLAIN, &unsaved).await.expect(200).json();
    assert_eq!(unsaved.next.len(), 5);
    let zones: Vec<String> = client.fetch(routes::ZONES).await;
    assert!(zones.iter().any(|zone| zone == "Pacific/Apia"));

    let run: Run = client.post(&routes::job_run(&job.id)).await.expect(201).json();
    client.end_of(&run.id).await;
    assert_eq!(client.log(&run.id).await, "the clock\n");
    assert_eq!(firings(client, &job).await.items[0].status, FiringStatus::ByHand);

    let changed: Job = client
        .write(Method::PUT, &routes::job(&job.id), &draft(TriggerType::Interval, "3600"))
        .await
        .expect(200)
        .json();
    assert_eq!((changed.id.as_str(), changed.trigger_type), (job.id.as_str(), TriggerType::Interval));
    let from = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ");
    let to = (chrono::Utc::now() + chrono::TimeDelta::days(1)).format("%Y-%m-%dT%H:%M:%SZ");
    let preview: Preview = client.fetch(&format!("{}?from={from}&to={to}", routes::PREVIEW)).await;
    let planned = preview.items.iter().filter(|item| item.status == FiringStatus::Planned).count();
    assert!((24..=26).contains(&planned), "an hourly job and a daily one: {planned}");

    let jobs: Vec<Job> = client.fetch(routes::JOBS).await;
    let of_code = jobs.iter().find(|job| job.source == "repository").expect("from pipeline.json");
    assert_eq!((of_code.name.as_deref(), of_code.overrides.timeout), (Some("a"), Some(30)));
    let refused = client.write(Method::PUT, &routes::job(&of_code.id), &draft(TriggerType::Cron, "@daily")).await;
    let _ = refused.problem(409, "job_in_repository");
    let run: Run = client.post(&routes::job_run(&of_code.id)).await.expect(201).json();
    assert_eq!(run.timeout_seconds, Some(30));
    client.end_of(&run.id).await;
    assert_eq!(client.log(&run.id).await, "the file\n");

    let _ = client.send(client.request(Method::DELETE, &routes::job(&job.id))).await.expect(204);
    let _ = client.get(&routes::job(&job.id)).await.problem(404, "job_not_found");
    let _ = server.anonymous().get(routes::JOBS).await.expect(401);
}

#[tokio::test]
async fn deleting_a_pipeline_warns_and_stops_its_container() {
    let server = Server::start(Options::new()).await;
    server.pipeline("hello", "import time; time.sleep(600)");
    let client = server.client();
    let _ = client.post(routes::SYNC).await;
    let run = client.start("hello").await;
    client.running(&run.id).await;
    let delete = async |query: &str| {
        let path = format!("{}{query}", routes::pipeline("hello"));
        client.send(client.request(Method::DELETE, &path)).await
    };
    let warning = delete("").await.problem(409, "confirmation_needed");
    assert!(warning.detail.contains("1 runs"), "{warning:?}");
    let _ = delete("?confirm=true").await.expect(204);
    let ended = client.end_of(&run.id).await;
    assert_eq!(ended.error_type, Some(fastflow_shared::ErrorType::Cancelled));
    fastflow_tests::docker::all_gone(server.instance()).await;
    let _ = client.get(&routes::pipeline("hello")).await.problem(404, "pipeline_not_found");
    let _ = delete("").await.problem(404, "pipeline_not_found");
}

#[tokio::test]
async fn a_full_limit_delays_what_is_scheduled_and_drops_none() {
    let options = Options::new().env("MAX_CONCURRENT_RUNS", "1").env("MAX_QUEUED_RUNS", "1");
    let server = Server::start(options).await;
    let client = server.client();
    server.pipeline("hello", SCRIPT);
    server.pipeline("busy", "import time; print('busy', flush=True); time.sleep(600)");
    let _ = client.post(routes::SYNC).await.expect(200);
    let busy = client.start("busy").await;
    client.log_when(&busy.id, "busy").await;
    let values = fastflow_shared::StartRun {
        parameters: BTreeMap::from([("WHO".to_owned(), "a person".to_owned())]),
        ..fastflow_shared::StartRun::default()
    };
    let waiting = client.start_with("hello", &values).await;
    let _ = client.try_start_with("hello", &values).await.problem(429, "queue_full");

    // What a person is refused, the clock is not.
    let job: Job =
        client.write(Method::POST, routes::JOBS, &draft(TriggerType::Interval, "1")).await.expect(201).json();
    let due = async || {
        let items = firings(client, &job).await.items;
        (items.len() >= 5).then_some(items)
    };
    let items = until("five due times", Duration::from_secs(60), due).await;
    assert!(items.iter().all(|firing| firing.status == FiringStatus::Started && firing.reason.is_none()), "{items:?}");
    let _ = client.try_start_with("hello", &values).await.problem(429, "queue_full");
    let _ = client.write(Method::PATCH, &routes::job(&job.id), &JobSwitch { enabled: false }).await.expect(200);
    assert_eq!(client.overview().await.running, 1, "the limit holds");

    let _ = client.cancel(&busy.id).await;
    client.idle().await;
    let items = firings(client, &job).await.items;
    assert!(items.len() >= 5);
    for firing in items {
        let run = client.run(&firing.run.expect("what fired has a run").id).await;
        assert_eq!((run.status, run.trigger), (fastflow_shared::RunStatus::Success, Trigger::Schedule));
        assert_eq!(client.log(&run.id).await, "the clock\n");
    }
    assert_eq!(client.run(&waiting.id).await.status, fastflow_shared::RunStatus::Success);
}
