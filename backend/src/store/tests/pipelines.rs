//! Pipelines, their counters, their environments.

use fastflow_shared::EnvironmentState;

use super::super::testing::on_both;
use super::super::*;
use super::{finish, new_run, record};
use crate::domain::clock::Millis;
use crate::domain::run::Event;

fn seen(names: &[&str]) -> Vec<SeenPipeline> {
    names.iter().map(|name| SeenPipeline { name: (*name).to_owned(), has_requirements: *name == "b" }).collect()
}

#[tokio::test]
async fn pipelines_come_go_and_come_back() {
    on_both(async |store| {
        store.upsert_seen(&seen(&["b", "a"]), Millis(1)).await.expect("noted");
        store.set_enabled("a", false).await.expect("switched");
        // The same instant again: what counts is the list, not the clock.
        store.upsert_seen(&seen(&["b", "c"]), Millis(1)).await.expect("noted");
        store.upsert_seen(&seen(&["b", "c"]), Millis(3)).await.expect("noted");
        let rows = store.pipelines().await.expect("read");
        let short: Vec<_> = rows
            .iter()
            .map(|row| (row.name.as_str(), row.first_seen_at.0, row.last_seen_at.0, row.removed_at.map(|time| time.0)))
            .collect();
        assert_eq!(short, [("a", 1, 1, Some(1)), ("b", 1, 3, None), ("c", 1, 3, None)]);
        assert!(rows[1].has_requirements && !rows[2].has_requirements);

        store.upsert_seen(&seen(&["a"]), Millis(4)).await.expect("noted");
        let back = store.pipeline("a").await.expect("there");
        assert_eq!((back.removed_at, back.enabled_by_operator), (None, false), "the switch outlives its folder");
        assert_eq!(store.pipeline("b").await.expect("there").removed_at, Some(Millis(4)));
        assert!(store.pipeline("x").await.expect_err("unknown").is_not_found());
        assert!(store.set_enabled("x", true).await.expect_err("unknown").is_not_found());
        assert!(store.reset_stats("x", Millis(1)).await.expect_err("unknown").is_not_found());
    })
    .await;
}

#[tokio::test]
async fn counters_mean_and_percentile() {
    on_both(async |store| {
        store.upsert_seen(&seen(&["a"]), Millis(1)).await.expect("noted");
        let stats = store.pipeline("a").await.expect("there").stats;
        assert_eq!(stats, fastflow_shared::PipelineStats::default());
        // 1 s, 2 s … 20 s: the 19th of 20 is the first that 95 % do not exceed.
        for number in 1..=20 {
            let id = format!("run-{number:02}");
            store.insert_run(&new_run(&id, "a", number)).await.expect("inserted");
            finish(&store, &id, number > 5, 1_000, 1_000 + number * 1_000).await;
        }
        // Never had a container: counted, but without a time.
        store.insert_run(&new_run("failed", "a", 21)).await.expect("inserted");
        record(&store, "failed", &[Event::StartFailed], Facts::default(), 90).await;
        // The engine's clock is behind ours.
        store.insert_run(&new_run("skewed", "a", 22)).await.expect("inserted");
        finish(&store, "skewed", true, 5_000, 4_000).await;

        let stats = store.pipeline("a").await.expect("there").stats;
        assert_eq!((stats.total_runs, stats.successful_runs, stats.failed_runs), (22, 16, 6));
        assert_eq!(stats.success_rate, Some(1600.0 / 22.0));
        assert_eq!(stats.mean_duration_seconds, Some(10.0));
        assert_eq!(stats.p95_duration_seconds, Some(19.0));
        assert_eq!(store.pipelines().await.expect("read")[0].stats, stats);

        store.reset_stats("a", Millis(1_000)).await.expect("reset");
        let stats = store.pipeline("a").await.expect("there").stats;
        assert_eq!((stats.total_runs, stats.mean_duration_seconds, stats.p95_duration_seconds), (0, None, None));
        assert_eq!(stats.reset_at.map(|time| time.timestamp_millis()), Some(1_000));
        store.insert_run(&new_run("after", "a", 1_001)).await.expect("inserted");
        finish(&store, "after", true, 2_000, 2_500).await;
        let stats = store.pipeline("a").await.expect("there").stats;
        assert_eq!((stats.total_runs, stats.p95_duration_seconds), (1, Some(0.5)));
    })
    .await;
}

#[tokio::test]
async fn a_run_of_a_pipeline_that_no_sync_has_seen_is_counted() {
    on_both(async |store| {
        store.insert_run(&new_run("a", "ghost", 1)).await.expect("inserted");
        finish(&store, "a", false, 1, 2).await;
        let row = store.pipeline("ghost").await.expect("there");
        assert_eq!((row.stats.failed_runs, row.removed_at), (1, Some(Millis(2))));
    })
    .await;
}

#[tokio::test]
async fn the_environment_of_a_pipeline() {
    on_both(async |store| {
        store.upsert_seen(&seen(&["a"]), Millis(1)).await.expect("noted");
        store.set_pipeline_environment("a", Some("k1"), Some(Millis(5))).await.expect("noted");
        store.set_pipeline_environment("a", Some("k2"), None).await.expect("noted");
        let row = store.pipeline("a").await.expect("there");
        assert_eq!((row.environment_key.as_deref(), row.last_cache_warmup), (Some("k2"), Some(Millis(5))));
    })
    .await;
}

#[tokio::test]
async fn environments_are_written_touched_listed_and_forgotten() {
    on_both(async |store| {
        let building = EnvironmentRow {
            key: "k".into(),
            state: EnvironmentState::Building,
            lock_hash: Some("l".into()),
            python: Some("3.11".into()),
            image: Some("i".into()),
            uv_version: None,
            link_mode: None,
            size_bytes: None,
            seconds: None,
            error: None,
            built_at: None,
            last_used_at: None,
        };
        store.upsert_environment(&building, Millis(1)).await.expect("written");
        assert_eq!(store.environment("k").await.expect("read"), Some(building.clone()));
        store.touch_environment("k", Millis(9)).await.expect("touched");
        store.touch_environment("k", Millis(8)).await.expect("an older touch changes nothing");
        let ready = EnvironmentRow {
            state: EnvironmentState::Ready,
            uv_version: Some("0.13".into()),
            link_mode: Some("hardlink".into()),
            size_bytes: Some(1 << 40),
            seconds: Some(2.0),
            built_at: Some(Millis(7)),
            last_used_at: Some(Millis(7)),
            ..building.clone()
        };
        store.upsert_environment(&ready, Millis(2)).await.expect("written");
        let stored = store.environment("k").await.expect("read").expect("there");
        assert_eq!(stored, EnvironmentRow { last_used_at: Some(Millis(9)), ..ready });
        for state in [EnvironmentState::Unknown, EnvironmentState::Failed] {
            let other =
                EnvironmentRow { key: "j".into(), state, error: Some("no such package".into()), ..building.clone() };
            store.upsert_environment(&other, Millis(3)).await.expect("written");
            assert_eq!(store.environment("j").await.expect("read"), Some(other));
        }
        let keys: Vec<_> = store.environments().await.expect("read").into_iter().map(|row| row.key).collect();
        assert_eq!(keys, ["j", "k"]);
        store.delete_environment("k").await.expect("deleted");
        store.delete_environment("k").await.expect("twice is no error");
        store.touch_environment("k", Millis(1)).await.expect("unknown is no error");
        assert_eq!(store.environment("k").await.expect("read"), None);
    })
    .await;
}
