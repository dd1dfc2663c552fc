//! Lists stay quick with a million runs. Takes about a minute, so it is run by name: `cargo test -p fastflow --lib million
//! -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use fastflow_shared::{ErrorType, RunStatus, Trigger};

use super::super::testing::on_both_with;
use super::super::*;
use super::{new_run, number};
use crate::domain::clock::Millis;
use crate::domain::run::Event;

/// Longest time for one call, in a debug build on a busy machine.
const LIMIT: Duration = Duration::from_millis(250);

/// A million runs of 50 pipelines, one each second. One pipeline has half of them, one (`rare`) none for a long time; one
/// run in a thousand failed, five are active.
const FILL: &str = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999) \
    INSERT INTO runs (id, pipeline_name, status, trigger_kind, attempt, max_attempts, created_at, queued_at, started_at, \
    finished_at, exit_code, error_type) \
    SELECT 'run-' || CAST(1000000 + i AS TEXT), \
    CASE WHEN i % 2 = 0 THEN 'big' WHEN i < 10 THEN 'rare' ELSE 'p' || CAST(i % 97 % 48 AS TEXT) END, \
    CASE WHEN i >= 999995 THEN 'RUNNING' WHEN i % 1000 = 0 THEN 'FAILED' ELSE 'SUCCESS' END, \
    CASE WHEN i = 77 THEN 'api' ELSE 'schedule' END, 1, 1, i * 1000, i * 1000, i * 1000 + 10, i * 1000 + 10 + i % 5000, 0, \
    CASE WHEN i % 1000 = 0 THEN 'exit_code' ELSE NULL END FROM n";

#[tokio::test]
#[ignore = "takes a minute"]
async fn lists_stay_quick_with_a_million_runs() {
    let patient = |mut options: Options| {
        options.deadline = Duration::from_secs(600);
        options
    };
    on_both_with(patient, async |store| {
        store.execute(sqlx::query(FILL)).await.expect("filled");
        let seen =
            "INSERT INTO pipelines (name, first_seen_at, last_seen_at) SELECT DISTINCT pipeline_name, 1, 1 FROM runs";
        store.execute(sqlx::query(seen)).await.expect("filled");
        println!("{} runs", number(&store, "SELECT COUNT(*) FROM runs").await);
        // With and without statistics: a fresh database has none yet.
        for statistics in [false, true] {
            if statistics {
                store.execute(sqlx::query("ANALYZE")).await.expect("analysed");
            }
            println!("- statistics: {statistics}");
            measure(&store, statistics).await;
        }
    })
    .await;
}

async fn timed<T>(what: &str, call: impl Future<Output = Result<T, StoreError>>) -> T {
    let since = Instant::now();
    let answer = call.await.expect("answered");
    let took = since.elapsed();
    println!("{took:>12.3?}  {what}");
    assert!(took < LIMIT, "{what}: {took:?}");
    answer
}

async fn measure(store: &Store, statistics: bool) {
    let middle = |key: RunKey| RunCursor {
        key,
        value: if key == RunKey::Accepted { 500_000_000 } else { 500 },
        id: "run-1500000".into(),
    };
    let name = |name: &str| Some(name.to_owned());
    let all = RunFilter::default();
    let filters = [
        ("all", all.clone()),
        ("of the big pipeline", RunFilter { pipeline: name("big"), ..all.clone() }),
        ("of a rare pipeline", RunFilter { pipeline: name("rare"), ..all.clone() }),
        ("of no pipeline", RunFilter { pipeline: name("none"), ..all.clone() }),
        ("failed", RunFilter { statuses: vec![RunStatus::Failed], ..all.clone() }),
        ("active", RunFilter { statuses: vec![RunStatus::Pending, RunStatus::Running], ..all.clone() }),
        ("ended", RunFilter { statuses: vec![RunStatus::Success, RunStatus::Failed], ..all.clone() }),
        ("failed of the big one", {
            RunFilter { pipeline: name("big"), statuses: vec![RunStatus::Failed], ..all.clone() }
        }),
        ("failed of a rare one", {
            RunFilter { pipeline: name("rare"), statuses: vec![RunStatus::Failed], ..all.clone() }
        }),
        ("by the API", RunFilter { trigger: Some(Trigger::Api), ..all.clone() }),
        ("lost", RunFilter { error_type: Some(ErrorType::Lost), ..all.clone() }),
        ("failed by exit code", RunFilter { error_type: Some(ErrorType::ExitCode), ..all.clone() }),
        ("of a day", RunFilter { from: Some(Millis(86_400_000)), to: Some(Millis(2 * 86_400_000)), ..all.clone() }),
        ("of a day, big, ended", {
            RunFilter {
                pipeline: name("big"),
                statuses: vec![RunStatus::Success, RunStatus::Failed],
                from: Some(Millis(86_400_000)),
                to: Some(Millis(2 * 86_400_000)),
                ..all.clone()
            }
        }),
    ];
    // The first statement on a connection also opens it.
    store.ping(Duration::from_secs(5)).await.expect("answers");
    for (what, filter) in &filters {
        for order in RunOrder::ALL {
            let first = timed(&format!("{what}, {order:?}"), store.runs_page(filter, order, None, 50)).await;
            let second = format!("{what}, {order:?}, from the middle: {} rows before", first.rows.len());
            timed(&second, store.runs_page(filter, order, Some(&middle(order.key())), 50)).await;
        }
    }
    timed("latest of all pipelines", store.latest_runs(20)).await;
    timed("latest of one", store.latest_runs_of("big", 20)).await;
    timed("unfinished", store.unfinished_runs()).await;
    timed("active counts", store.active_counts()).await;
    timed("all pipelines", store.pipelines()).await;
    if statistics {
        // Without statistics PostgreSQL sorts all runs of a pipeline for these; it gathers them within a minute of a change.
        let id = format!("new-{}", store.kind());
        store.insert_run(&new_run(&id, "big", 1_000_000_000)).await.expect("inserted");
        let events = [Event::StartFailed];
        let now = Millis(1_000_000_001);
        let report =
            Report { run_id: &id, expected: &[], events: &events, facts: Facts::default(), knows_stop: true, now };
        timed("an end", store.record(&report)).await;
        timed("older than", store.runs_ended_before(Millis(400_000_000), 500)).await;
        timed("beyond 1,000", store.runs_beyond("big", 1_000, 500)).await;
        timed("pipelines with runs", store.pipelines_with_runs()).await;
    }
}
