//! The server without Docker: what it can record, what it needs, and whether that grows.

use std::time::{Duration, Instant};

use fastflow_shared::{RunStatus, StartRun};
use fastflow_tests::options::{Database, UvCache};
use fastflow_tests::wait::until;
use fastflow_tests::{Client, Options, Server};
use serde_json::json;
use tokio::task::JoinSet;

use crate::report::{Report, Table, Times, both, rate};
use crate::usage;

/// Runs for the throughput.
const RUNS: usize = 5_000;

/// Runs of the soak, unless `SOAK_RUNS` says otherwise.
const SOAK: usize = 100_000;

/// Programs that start runs at the same time.
const CALLERS: usize = 16;

/// A server whose containers live in its memory.
pub fn options() -> Options {
    Options::new()
        .env("FASTFLOW_TEST_ENGINE", "fake")
        .uv_cache(UvCache::Own)
        .env("LOG_LEVEL", "warn")
        .env("MAX_CONCURRENT_RUNS", "64")
        .env("MAX_QUEUED_RUNS", "100000")
        .env("AUDIT_KEEP_DAYS", "1")
}

/// A pipeline whose runs print a line and end.
pub fn pipeline(server: &Server, name: &str) {
    let settings = json!({ "default_env": { "FAKE_PROGRAM": "out hello; exit 0" } });
    let _ = server.pipeline(name, "print('hello')").json(&settings);
}

/// Starts so many runs, and waits until all have ended. How long each request took.
async fn run(client: &Client, pipeline: &'static str, runs: usize) -> Times {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let client = client.clone();
        callers.spawn(async move {
            let mut times = Vec::new();
            for _ in (caller..runs).step_by(CALLERS) {
                let begin = Instant::now();
                let _ = client.try_start_with(pipeline, &StartRun::default()).await.expect(201);
                times.push(begin.elapsed());
            }
            times
        });
    }
    let times = callers.join_all().await.into_iter().flatten().collect();
    until("all runs to end", Duration::from_secs(600), async || {
        let overview = client.overview().await;
        (overview.running == 0 && overview.queued == 0).then_some(())
    })
    .await;
    times
}

pub async fn throughput(report: &mut Report) {
    let mut table =
        Table::new("throughput", &["database", "runs per second", "request, median / p95", "server's CPU per run"]);
    let mut durability = String::new();
    for database in Database::ALL {
        let server = Server::start(options().database(database)).await;
        if database == Database::Postgres {
            durability = crate::database::durability(&server).await;
        }
        pipeline(&server, "p");
        // The first ones build the environment.
        run(server.client(), "p", 200).await;
        let (begin, cpu) = (Instant::now(), usage::cpu(&server));
        let requests = run(server.client(), "p", RUNS).await;
        let took = begin.elapsed();
        let cpu = (usage::cpu(&server) - cpu) / u32::try_from(RUNS).expect("fits");
        let stats = server.client().stats("p").await;
        assert_eq!(stats.successful_runs, i64::try_from(RUNS + 200).expect("fits"), "all of them, and each once");
        let name = format!("{database:?}");
        let cpu = format!("{:.2} ms", cpu.as_secs_f64() * 1000.0);
        table.row(&[&name, &format!("{:.0}", rate(RUNS, took)), &both(&requests), &cpu]);
    }
    report.add(table.note(format!(
        "{RUNS} runs by {CALLERS} callers over HTTP, which share the machine with the server: accepted, started, logged, recorded, \
         removed; 64 at a time. {durability}"
    )));
}

pub async fn soak(report: &mut Report) {
    let wanted = std::env::var("SOAK_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(SOAK);
    let steps = 10;
    let mut table =
        Table::new("soak", &["runs", "memory", "open files", "write-ahead log", "disk per run", "runs per second"]);
    let server = Server::start(options()).await;
    pipeline(&server, "p");
    run(server.client(), "p", 500).await;
    let disk = usage::disk(&server.data_dir());
    let wal = server.data_dir().join("fastflow.db-wal");
    let mut seen = Vec::new();
    let mut speed = 0.0;
    for step in 0..=steps {
        let memory = usage::memory(&server, "VmRSS");
        let done = 500 + step * (wanted / steps);
        seen.push((done, memory));
        table.row(&[
            &done.to_string(),
            &megabytes(memory),
            &usage::files(&server).to_string(),
            &megabytes(usage::size(&wal)),
            &if step == 0 {
                "–".to_owned()
            } else {
                per_run(usage::disk(&server.data_dir()).saturating_sub(disk), done - 500)
            },
            &if step == 0 { "–".to_owned() } else { format!("{speed:.0}") },
        ]);
        println!("   {done} runs, {}", megabytes(memory));
        if step < steps {
            let begin = Instant::now();
            run(server.client(), "p", wanted / steps).await;
            speed = rate(wanted / steps, begin.elapsed());
        }
    }
    let stats = server.client().stats("p").await;
    assert_eq!(stats.total_runs, i64::try_from(500 + wanted / steps * steps).expect("fits"), "each counts once");
    let page = server.client().runs().await;
    assert!(page.iter().all(|run| run.status == RunStatus::Success));
    report.add(table.note(format!(
        "Slope of the memory over the second half: {:.2} MB per 10,000 runs.",
        slope(&seen[seen.len() / 2..]) * 10_000.0
    )));
}

#[expect(clippy::cast_precision_loss, reason = "a size to two digits")]
fn per_run(bytes: u64, runs: usize) -> String {
    format!("{:.1} kB", bytes as f64 / runs as f64 / 1000.0)
}

/// Of the line that fits best.
#[expect(clippy::cast_precision_loss, reason = "a slope to two digits")]
fn slope(points: &[(usize, f64)]) -> f64 {
    let n = points.len() as f64;
    let x = points.iter().map(|(x, _)| *x as f64).sum::<f64>() / n;
    let y = points.iter().map(|(_, y)| y).sum::<f64>() / n;
    let above: f64 = points.iter().map(|(px, py)| (*px as f64 - x) * (py - y)).sum();
    let below: f64 = points.iter().map(|(px, _)| (*px as f64 - x).powi(2)).sum();
    above / below
}

pub fn megabytes(size: f64) -> String {
    format!("{size:.1} MB")
}
