//! A server that looks lived in: pipelines with a history, a log, charts, secrets, schedules. All of it is the same each
//! time, counted from one moment, so that pages can be compared with pictures of them.
//!
//! Nothing is executed: the server's containers are the fake ones, and the past is written beside it, as rows and files.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use fastflow_shared::{EnvironmentState, routes};
use reqwest::Method;
use serde_json::{Value, json};

use crate::wait::{PATIENCE, until};
use crate::{Options, Server};

/// Past runs of one pipeline that are close to now.
const CLOSE: i64 = 24;

/// The run that is looked at: its memory was not enough.
const OUT_OF_MEMORY: &str = "train-forecast";

/// A pipeline, and how it has been doing.
struct Past {
    name: &'static str,
    /// Minutes between two runs.
    every: i64,
    /// Seconds of a run.
    takes: i64,
    /// Every so manyth run fails; 0 for none.
    fails: i64,
}

const PASTS: [Past; 6] = [
    Past { name: "daily-report", every: 1440, takes: 74, fails: 9 },
    Past { name: "mail-digest", every: 720, takes: 12, fails: 0 },
    Past { name: "orders-import", every: 60, takes: 38, fails: 11 },
    Past { name: "price-sync", every: 180, takes: 21, fails: 0 },
    Past { name: OUT_OF_MEMORY, every: 1440, takes: 412, fails: 5 },
    Past { name: "warehouse-export", every: 360, takes: 155, fails: 7 },
];

/// What there is to look at.
#[derive(Debug, Clone)]
pub struct Showcase {
    /// A run that was killed for want of memory, with a log, charts, parameters.
    pub failed: String,
    /// A run that went well.
    pub good: String,
}

/// How such a server is started.
#[must_use]
pub fn options() -> Options {
    // Nothing of the past is too old, and nothing is made meanwhile.
    Options::new().env("FASTFLOW_TEST_ENGINE", "fake").env("BACKUP_INTERVAL_HOURS", "0")
}

/// Fills a server of [`options`] with a past before `now`. With `busy` its schedules are due every day, else hardly ever: then
/// none of them comes between two pictures.
///
/// # Panics
/// When the server refuses any of it.
pub async fn fill(server: &Server, now: DateTime<Utc>, busy: bool) -> Showcase {
    pipelines(server, busy);
    let client = server.client();
    let _ = client.post(routes::SYNC).await.expect(200);
    for (key, value, is_secret, pipelines) in [
        ("DATABASE_URL", "postgresql://reader:a-long-password@warehouse/orders", true, json!([])),
        ("MAIL_TOKEN", "a-token-that-nobody-guesses", true, json!(["mail-digest"])),
        ("REGION", "eu-central-1", false, json!([])),
        ("REPORT_RECIPIENTS", "team@example.org", false, json!(["daily-report"])),
    ] {
        let new = json!({ "key": key, "value": value, "is_secret": is_secret, "pipelines": pipelines });
        let _ = client.write(Method::POST, routes::SECRETS, &new).await.expect(201);
    }
    let (kind, value) = if busy { ("cron", "30 2 * * *") } else { ("cron", "30 2 29 2 *") };
    let job = json!({ "pipeline_name": "warehouse-export", "name": "nightly", "trigger_type": kind, "trigger_value": value,
        "time_zone": "Europe/Berlin", "overlap": "skip", "parameters": { "MODE": "full" } });
    let _ = client.write(Method::POST, routes::JOBS, &job).await.expect(201);

    until("the environment of its pipelines", PATIENCE, async || {
        (client.pipeline("orders-import").await.environment_state == EnvironmentState::Ready).then_some(())
    })
    .await;
    let mut rows = vec![format!("UPDATE vault SET updated_at = {}", millis(now - TimeDelta::days(12)))];
    let mut seen = Showcase { failed: String::new(), good: String::new() };
    for (index, past) in PASTS.iter().enumerate() {
        let index = i64::try_from(index).unwrap_or_default();
        let (mut good, mut bad, mut took) = (0, 0, 0);
        for back in (0..CLOSE).rev() {
            let run = one(past, index, back, now);
            rows.push(run.sql);
            *(if run.good { &mut good } else { &mut bad }) += 1;
            took += run.ms;
            if past.name == OUT_OF_MEMORY && back == 0 {
                seen.failed = run.id;
            } else if past.name == "daily-report" && back == 0 {
                seen.good = run.id;
            }
        }
        rows.push(format!(
            "UPDATE pipelines SET total_runs = {CLOSE}, successful_runs = {good}, failed_runs = {bad}, timed_runs = {CLOSE}, \
             total_duration_ms = {took}, p95_duration_ms = {} WHERE name = '{}'",
            past.takes * 1_300,
            past.name,
        ));
    }
    rows.extend(year(now));
    server.sql_all(rows).await;
    files(server, &seen, now);
    seen
}

fn millis(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis()
}

/// An id as a server makes them: of the time, and different from all others.
fn id(at: DateTime<Utc>, number: i64) -> String {
    let ms = millis(at);
    format!(
        "{:08x}-{:04x}-7{:03x}-8a5e-{:012x}",
        ms >> 16,
        ms & 0xffff,
        number & 0xfff,
        number.wrapping_mul(0x9e37_79b9)
    )
}

struct Row {
    id: String,
    sql: String,
    good: bool,
    ms: i64,
}

/// The run so many runs ago.
fn one(past: &Past, index: i64, back: i64, now: DateTime<Utc>) -> Row {
    // A number that looks like chance and is none.
    let chance = (index * 7919 + back * 104_729) % 97;
    let ended = now - TimeDelta::minutes(past.every * back + 9 + index * 4);
    let last_of_memory = past.name == OUT_OF_MEMORY && back == 0;
    let bad = last_of_memory || (past.fails > 0 && back % past.fails == past.fails - 1);
    let ms = past.takes * (700 + chance * 6);
    let started = ended - TimeDelta::milliseconds(ms);
    let created = started - TimeDelta::milliseconds(420);
    let id = id(created, index * 1_000 + back);
    let mib = 90 + index * 40 + chance;
    let (status, code, error, message, peak) = if last_of_memory {
        ("FAILED", "137", "'oom'", "'Out of memory: peak 512 MB of 512 MB'", 512)
    } else if bad {
        ("FAILED", "1", "'exit_code'", "'The script ended with exit code 1'", mib)
    } else {
        ("SUCCESS", "0", "NULL", "NULL", mib)
    };
    let (trigger, by) = match chance % 3 {
        0 => ("manual", "'ada'"),
        1 => ("api", "'deploy'"),
        _ => ("schedule", "NULL"),
    };
    let warm = if chance % 4 == 0 { "NULL".to_owned() } else { millis(created).to_string() };
    let sql = format!(
        "INSERT INTO runs (id, pipeline_name, status, trigger_kind, triggered_by, attempt, max_attempts, created_at, queued_at, \
         started_at, finished_at, exit_code, error_type, error_message, commit_hash, commit_subject, commit_author, image, \
         uv_version, setup_duration, parameters, env_names, cpu_limit, memory_limit, memory_soft_limit, timeout_seconds, \
         log_bytes, cpu_peak_percent, cpu_average_percent, ram_peak_mb, ram_average_mb, soft_limit_exceeded, warm_at) VALUES \
         ('{id}', '{}', '{status}', '{trigger}', {by}, 1, 1, {}, {}, {}, {}, {code}, {error}, {message}, \
         '4f1c9d27ab03e65d8821f0c7739be2a45d60817c', 'Read orders in pages of a thousand', 'Ada', \
         'ghcr.io/astral-sh/uv:python3.11-bookworm-slim', '0.9.1', 0.18, '{{\"REGION\":\"eu\",\"DAY\":\"2026-11-17\"}}', \
         '[]', 2.0, 536870912, 419430400, 900, {}, {}, {}, {peak}.0, {}.0, {}, {warm})",
        past.name,
        millis(created),
        millis(created),
        millis(started),
        millis(ended),
        4_000 + chance * 37,
        120 + chance,
        60 + chance / 2,
        mib * 3 / 4,
        i64::from(last_of_memory),
    );
    Row { id, sql, good: !bad, ms }
}

/// A run on most days of the year before.
fn year(now: DateTime<Utc>) -> Vec<String> {
    let mut rows = Vec::new();
    for day in 40..364 {
        let at = now - TimeDelta::days(day);
        for n in 0..(day * 31 % 5) {
            let status = if (day + n) % 41 == 0 { "FAILED" } else { "SUCCESS" };
            let at = at - TimeDelta::minutes(n * 11);
            rows.push(format!(
                "INSERT INTO runs (id, pipeline_name, status, trigger_kind, attempt, max_attempts, created_at, queued_at, \
                 started_at, finished_at) VALUES ('{}', 'mail-digest', '{status}', 'schedule', 1, 1, {ms}, {ms}, {ms}, {})",
                id(at, 100_000 + day * 10 + n),
                millis(at) + 11_000,
                ms = millis(at),
            ));
        }
    }
    rows
}

fn pipelines(server: &Server, busy: bool) {
    let cron = |often: &'static str, seldom: &'static str| if busy { often } else { seldom };
    let make = |name: &str, code: &str, settings: &Value| {
        let _ = server.pipeline(name, code).json(settings);
    };
    make(
        "orders-import",
        ORDERS,
        &json!({ "description": "Fetches new orders from the shop into the warehouse", "tags": ["etl", "hourly"],
        "cpu_hard_limit": 2.0, "mem_hard_limit": "512m", "mem_soft_limit": "400m", "timeout": 900,
        "schedule_cron": cron("15 * * * *", "15 6 29 2 *"), "default_env": { "BATCH": "1000" } }),
    );
    make(
        "daily-report",
        "print('report')\n",
        &json!({ "description": "Sends the figures of yesterday", "tags": ["report"], "timeout": 600,
        "schedule_cron": cron("0 6 * * 1-5", "0 6 29 2 *"), "schedule_timezone": "Europe/Berlin",
        "parameters": [{ "name": "DAY", "required": true, "description": "Which day to report" },
            { "name": "MODE", "choices": ["short", "full"], "default": "short" }] }),
    );
    make(
        "price-sync",
        "print('prices')\n",
        &json!({ "description": "Takes over the prices of our suppliers", "tags": ["etl"] }),
    );
    make(
        OUT_OF_MEMORY,
        "print('training')\n",
        &json!({ "description": "Trains the forecast of sales on three years of orders", "tags": ["ml"],
        "cpu_hard_limit": 2.0, "mem_hard_limit": "512m", "mem_soft_limit": "400m", "timeout": 3600 }),
    );
    make(
        "warehouse-export",
        "print('export')\n",
        &json!({ "description": "Writes the tables of the warehouse as Parquet", "tags": ["etl", "nightly"],
        "parameters": [{ "name": "MODE", "choices": ["delta", "full"], "default": "delta" }] }),
    );
    make(
        "mail-digest",
        "print('mail')\n",
        &json!({ "description": "Mails what is new to those who want to know", "tags": ["report"] }),
    );
    make(
        "legacy-import",
        "print('old')\n",
        &json!({ "description": "The importer before orders-import", "timeout": "soon" }),
    );
    make(
        "year-end",
        "print('closing')\n",
        &json!({ "description": "Closes the books; switched on in January", "enabled": false }),
    );
}

/// The log and the samples of the two runs that are looked at.
fn files(server: &Server, seen: &Showcase, now: DateTime<Utc>) {
    let folder = server.data_dir().join("logs");
    std::fs::create_dir_all(&folder).expect("the folder of logs");
    let began = now - TimeDelta::minutes(32);
    let (mut log, mut samples) = (String::new(), String::new());
    let mut line = |second: i64, stream: &str, text: &str| {
        let at = (began + TimeDelta::milliseconds(second * 1_000 + 137)).to_rfc3339_opts(SecondsFormat::Nanos, true);
        let _ = writeln!(log, "{at} {stream} F {text}");
    };
    line(0, "stdout", "\u{1b}[1mTraining the forecast\u{1b}[0m, orders of 2023 to 2026");
    for step in 1..=60_i64 {
        let text = format!(
            "\u{1b}[36mepoch {step:02}/80\u{1b}[0m  loss {}.{:03}  rows {}",
            1 + 9 / step,
            900 - step * 13,
            step * 48_211
        );
        line(step * 5, "stdout", &text);
        if step % 20 == 0 {
            line(step * 5 + 1, "stderr", "UserWarning: 212 rows without a price were left out");
        }
    }
    line(303, "stdout", "\u{1b}[33mthe frame of features holds 488 MB\u{1b}[0m");
    line(305, "stderr", "Killed");
    for second in (0..306_i64).step_by(3) {
        let sample = json!({
            "timestamp": (began + TimeDelta::seconds(second)).to_rfc3339_opts(SecondsFormat::Millis, true),
            "cpu_percent": 92.0 + f64::from(i32::try_from(second * 37 % 71).unwrap_or_default()),
            "ram_mb": 80.0 + f64::from(i32::try_from(second).unwrap_or_default()) * 1.4,
            "ram_limit_mb": 512.0, "cpu_limit": 2.0, "soft_limit_exceeded": second > 228,
        });
        let _ = writeln!(samples, "{sample}");
    }
    for run in [&seen.failed, &seen.good] {
        std::fs::write(folder.join(format!("{run}.log")), &log).expect("a log");
        std::fs::write(folder.join(format!("{run}_metrics.jsonl")), &samples).expect("samples");
    }
}

const ORDERS: &str = r#"""Fetches new orders from the shop into the warehouse."""
import os

BATCH = int(os.environ.get("BATCH", "100"))


def pages(total: int):
    # The shop answers at most a thousand rows.
    for start in range(0, total, BATCH):
        yield range(start, min(start + BATCH, total))


if __name__ == "__main__":
    print(f"{sum(len(page) for page in pages(48_211))} orders")
"#;
