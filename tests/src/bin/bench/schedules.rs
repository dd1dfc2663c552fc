//! Schedules: how late 500 jobs fire that are due within a minute, and what 1,000 cost that are not.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use fastflow_shared::{FiringPage, Job, routes};
use fastflow_tests::wait::until;
use fastflow_tests::{Client, Server};
use reqwest::Method;
use serde_json::json;

use crate::fake::{options, pipeline};
use crate::report::{Report, Table};
use crate::usage;

const JOBS: usize = 500;
const IDLE_JOBS: usize = 1_000;

pub async fn part(report: &mut Report) {
    let mut table = Table::new("schedules", &["", "p50", "p95", "p99", "most", "lost"])
        .note("Lateness: from the due time to the acceptance of the run, as both are stored.".to_owned());
    let server = Server::start(options()).await;
    known(&server).await;
    for (name, spread) in [("500 jobs due within a minute", 120), ("500 jobs due at one instant", 0)] {
        let mut late = lateness(server.client(), spread).await;
        late.sort_unstable();
        let at = |share: usize| format!("{} ms", late[(late.len() * share).div_ceil(100) - 1]);
        table.row(&[name, &at(50), &at(95), &at(99), &at(100), &(JOBS - late.len()).to_string()]);
    }
    report.add(table);
    drop(server);

    let server = Server::start(options()).await;
    known(&server).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = share(&server).await;
    for _ in 0..IDLE_JOBS {
        once(server.client(), Utc::now() + chrono::TimeDelta::days(1)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let with = share(&server).await;
    let mut table =
        Table::new("idle", &["the idle server's CPU", "share of a core"]).note("Over 20 seconds each.".to_owned());
    table.row(&["without jobs", &format!("{idle:.2} %")]);
    table.row(&["with 1,000 jobs that are not due", &format!("{with:.2} %")]);
    report.add(table);
}

/// A pipeline that jobs can name.
async fn known(server: &Server) {
    pipeline(server, "p");
    let _ = server.client().post(routes::SYNC).await.expect(200);
    server.client().run_well("p").await;
}

async fn share(server: &Server) -> f64 {
    let before = usage::cpu(server);
    tokio::time::sleep(Duration::from_secs(20)).await;
    (usage::cpu(server) - before).as_secs_f64() * 100.0 / 20.0
}

async fn once(client: &Client, at: DateTime<Utc>) -> String {
    let draft = json!({
        "pipeline_name": "p", "trigger_type": "once", "trigger_value": at.to_rfc3339_opts(SecondsFormat::Millis, true),
    });
    client.write(Method::POST, routes::JOBS, &draft).await.expect(201).json::<Job>().id
}

/// Milliseconds by which each job was late.
async fn lateness(client: &Client, spread_ms: i64) -> Vec<i64> {
    let first = Utc::now() + chrono::TimeDelta::seconds(8);
    let mut jobs = Vec::new();
    for number in 0..JOBS {
        let after = spread_ms * i64::try_from(number).expect("fits");
        jobs.push(once(client, first + chrono::TimeDelta::milliseconds(after)).await);
    }
    let last = first + chrono::TimeDelta::milliseconds(spread_ms * 500);
    let rest = (last - Utc::now()).to_std().unwrap_or_default();
    tokio::time::sleep(rest).await;
    let mut late = Vec::new();
    for job in &jobs {
        let firing = until("the firing", Duration::from_secs(60), async || {
            let page: FiringPage = client.fetch(&routes::job_firings(job)).await;
            page.items.into_iter().find(|firing| firing.run.is_some())
        })
        .await;
        let run = firing.run.expect("started");
        late.push((run.created_at - firing.due_at).num_milliseconds());
    }
    late
}
