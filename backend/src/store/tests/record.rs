//! The recorder: what is applied, what is refused, and that counters never drift.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastflow_shared::{ErrorType, RunStatus};

use super::super::testing::{on_both, on_both_with};
use super::super::*;
use super::{finish, new_run, number, record};
use crate::domain::clock::Millis;
use crate::domain::outcome::StopReason;
use crate::domain::run::{Event, transition};

async fn counters(store: &Store, name: &str) -> (i64, i64, i64) {
    let stats = store.pipeline(name).await.expect("there").stats;
    (stats.total_runs, stats.successful_runs, stats.failed_runs)
}

#[tokio::test]
async fn every_pair_of_status_and_event_does_what_the_domain_says() {
    on_both(async |store| {
        // How to reach each status.
        let ways: [(RunStatus, &[Event]); 5] = [
            (RunStatus::Pending, &[]),
            (RunStatus::Running, &[Event::Started]),
            (RunStatus::Success, &[Event::Started, Event::Succeeded]),
            (RunStatus::Failed, &[Event::StartFailed]),
            (RunStatus::Interrupted, &[Event::WatchLost]),
        ];
        for (number, (from, way)) in ways.into_iter().enumerate() {
            for event in Event::ALL {
                let id = format!("{number}-{event:?}");
                store.insert_run(&new_run(&id, "etl", 1)).await.expect("inserted");
                if !way.is_empty() {
                    assert!(record(&store, &id, way, Facts::default(), 2).await.applied());
                }
                let recorded = record(&store, &id, &[event], Facts::default(), 3).await;
                let expected = transition(from, event)
                    .map_or(Recorded::Refused { current: from }, |to| Recorded::Applied { from, to });
                assert_eq!(recorded, expected, "{from} + {event:?}");
                let stored = store.run(&id).await.expect("there").status;
                assert_eq!(stored, transition(from, event).unwrap_or(from));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_end_counts_once_however_often_it_is_reported() {
    on_both(async |store| {
        store.insert_run(&new_run("a", "etl", 1)).await.expect("inserted");
        finish(&store, "a", true, 1_000, 3_500).await;
        for event in Event::ALL {
            let again = record(&store, "a", &[event], Facts { exit_code: Some(9), ..Facts::default() }, 9).await;
            assert_eq!(again, Recorded::Refused { current: RunStatus::Success });
        }
        let row = store.run("a").await.expect("there");
        assert_eq!((row.exit_code, row.finished_at), (Some(0), Some(Millis(3_500))));
        let stats = store.pipeline("etl").await.expect("there").stats;
        assert_eq!((stats.total_runs, stats.successful_runs, stats.failed_runs), (1, 1, 0));
        assert_eq!(stats.mean_duration_seconds, Some(2.5));
    })
    .await;
}

#[tokio::test]
async fn several_events_are_one_step_or_none() {
    on_both(async |store| {
        store.insert_run(&new_run("a", "etl", 1)).await.expect("inserted");
        record(&store, "a", &[Event::Started, Event::WatchLost], Facts::default(), 2).await;
        let facts = Facts {
            error_type: Some(ErrorType::Lost),
            error_message: Some("Its container vanished.".into()),
            ..Facts::default()
        };
        // The second event cannot happen: neither does the first.
        let refused = record(&store, "a", &[Event::Reattached, Event::Started], facts.clone(), 3).await;
        assert_eq!(refused, Recorded::Refused { current: RunStatus::Interrupted });
        let recorded = record(&store, "a", &[Event::Reattached, Event::Failed], facts, 4).await;
        assert_eq!(recorded, Recorded::Applied { from: RunStatus::Interrupted, to: RunStatus::Failed });
        let row = store.run("a").await.expect("there");
        assert_eq!(row.finished_at, Some(Millis(4)), "an end without a time ends when it is reported");
        assert_eq!(row.error_message.as_deref(), Some("Its container vanished."));
        assert_eq!(counters(&store, "etl").await, (1, 0, 1));
    })
    .await;
}

#[tokio::test]
async fn an_end_that_does_not_know_of_a_stop_is_refused() {
    on_both(async |store| {
        store.insert_run(&new_run("a", "etl", 1)).await.expect("inserted");
        store.request_stop("a", &StopReason::Cancelled { by: None }, Millis(2)).await.expect("stored");
        let report = |event: &'static [Event], knows_stop| Report {
            run_id: "a",
            expected: &[],
            events: event,
            facts: Facts::default(),
            knows_stop,
            now: Millis(3),
        };
        let started = store.record(&report(&[Event::Started], false)).await.expect("answered");
        assert!(started.applied(), "only an end has to know");
        let ignorant = store.record(&report(&[Event::Succeeded], false)).await.expect("answered");
        assert_eq!(ignorant, Recorded::Refused { current: RunStatus::Running });
        assert!(store.record(&report(&[Event::Failed], true)).await.expect("answered").applied());
    })
    .await;
}

#[tokio::test]
async fn a_report_for_another_status_is_refused() {
    on_both(async |store| {
        store.insert_run(&new_run("a", "etl", 1)).await.expect("inserted");
        let mut report = Report {
            run_id: "a",
            expected: &[RunStatus::Running],
            events: &[Event::WatchLost],
            facts: Facts::default(),
            knows_stop: true,
            now: Millis(2),
        };
        let refused = Recorded::Refused { current: RunStatus::Pending };
        assert_eq!(store.record(&report).await.expect("answered"), refused);
        report.expected = &[RunStatus::Running, RunStatus::Pending];
        assert!(store.record(&report).await.expect("answered").applied());
        report.run_id = "x";
        assert!(store.record(&report).await.expect_err("unknown").is_not_found());
    })
    .await;
}

#[tokio::test]
async fn a_requeued_run_forgets_its_container() {
    on_both(async |store| {
        store.insert_run(&new_run("a", "etl", 1)).await.expect("inserted");
        let used = UsedEnvironment::default();
        let note = StartNote { container_id: "c1", warm_at: None, used: &used, env_names: &[], mask: None };
        store.note_start("a", &note).await.expect("noted");
        record(&store, "a", &[Event::WatchLost], Facts::default(), 2).await;
        record(&store, "a", &[Event::Requeued], Facts::default(), 3).await;
        let row = store.run("a").await.expect("there");
        assert_eq!((row.status, row.container_id, row.queued_at), (RunStatus::Pending, None, Millis(1)));
    })
    .await;
}

#[tokio::test]
async fn the_next_attempt_is_inserted_with_the_outcome_or_not_at_all() {
    on_both(async |store| {
        store.insert_run(&new_run("a", "etl", 1)).await.expect("inserted");
        record(&store, "a", &[Event::Started], Facts::default(), 2).await;
        let next =
            NewRun { attempt: 2, retry_of: Some("a".into()), not_before: Some(Millis(100)), ..new_run("b", "etl", 3) };
        let report = Report {
            run_id: "a",
            expected: &[],
            events: &[Event::Failed],
            facts: Facts::default(),
            knows_stop: true,
            now: Millis(3),
        };
        // The next attempt cannot be inserted: the outcome is not recorded either.
        let taken = NewRun { id: "a".into(), ..next.clone() };
        let error = store.record_with_retry(&report, Some(&taken)).await.expect_err("the id is taken");
        assert!(error.is_conflict(), "{error:?}");
        assert_eq!(store.run("a").await.expect("there").status, RunStatus::Running);
        assert!(store.pipeline("etl").await.expect_err("nothing was counted").is_not_found());

        assert!(store.record_with_retry(&report, Some(&next)).await.expect("recorded").applied());
        let other = NewRun { id: "c".into(), ..next.clone() };
        assert!(!store.record_with_retry(&report, Some(&other)).await.expect("answered").applied());
        assert_eq!(store.run("a").await.expect("there").retried_by.as_deref(), Some("b"));
        assert_eq!(store.run("b").await.expect("there").spec, next);
        assert!(store.run("c").await.expect_err("never inserted").is_not_found());
        assert_eq!(counters(&store, "etl").await, (1, 0, 1));
    })
    .await;
}

/// 1,280 transactions at once: 640 runs of one pipeline, each end reported by two rivals (one says success, one failure).
#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_all_succeed_and_the_counters_are_exact() {
    const RUNS: i64 = 640;
    let few = |mut options: Options| {
        options.acquire_timeout = Duration::from_secs(60);
        options.deadline = Duration::from_secs(60);
        options
    };
    on_both_with(few, async |store| {
        let ids: Vec<String> = (0..RUNS).map(|number| format!("run-{number:04}")).collect();
        for id in &ids {
            store.insert_run(&new_run(id, "etl", 1)).await.expect("inserted");
            record(&store, id, &[Event::Started], Facts { started_at: Some(Millis(0)), ..Facts::default() }, 0).await;
        }
        let since = Instant::now();
        let barrier = Arc::new(tokio::sync::Barrier::new(ids.len() * 2));
        let mut rivals = tokio::task::JoinSet::new();
        for id in &ids {
            for event in [Event::Succeeded, Event::Failed] {
                let (store, id, barrier) = (store.clone(), id.clone(), Arc::clone(&barrier));
                rivals.spawn(async move {
                    barrier.wait().await;
                    let facts = Facts { finished_at: Some(Millis(1_000)), ..Facts::default() };
                    let events = [event];
                    let report = Report {
                        run_id: &id,
                        expected: &[],
                        events: &events,
                        facts,
                        knows_stop: true,
                        now: Millis(1_000),
                    };
                    store.record(&report).await
                });
            }
        }
        let mut applied = 0;
        for outcome in rivals.join_all().await {
            applied += i64::from(outcome.expect("no transaction fails").applied());
        }
        println!("{} transactions in {:?}", RUNS * 2, since.elapsed());
        assert_eq!(applied, RUNS);
        let succeeded = number(&store, "SELECT COUNT(*) FROM runs WHERE status = 'SUCCESS'").await;
        assert_eq!(counters(&store, "etl").await, (RUNS, succeeded, RUNS - succeeded));
        assert_eq!(number(&store, "SELECT total_duration_ms FROM pipelines").await, RUNS * 1_000);
        assert_eq!(number(&store, "SELECT timed_runs FROM pipelines").await, RUNS);
    })
    .await;
}

/// Of hundreds of ends within a second not each one computes the percentile anew; of a few runs each one does.
#[tokio::test]
async fn the_percentile_is_exact_for_few_runs_and_at_most_a_second_old_for_many() {
    on_both(async |store| {
        let p95 = async || store.pipeline("etl").await.expect("there").stats.p95_duration_seconds;
        let mut count = 0;
        let mut end = async |seconds: i64, at: i64| {
            count += 1;
            let id = format!("run-{count:04}");
            store.insert_run(&new_run(&id, "etl", count)).await.expect("inserted");
            finish(&store, &id, true, at - seconds * 1_000, at).await;
        };
        for _ in 0..100 {
            end(1, 1_000_000).await;
        }
        assert_eq!(p95().await, Some(1.0));
        for _ in 0..20 {
            end(9, 1_000_500).await;
        }
        assert_eq!(p95().await, Some(1.0), "computed half a second ago");
        end(9, 1_001_000).await;
        assert_eq!(p95().await, Some(9.0), "21 of 121 took so long");
        store.reset_stats("etl", Millis(1_001_100)).await.expect("reset");
        assert_eq!(p95().await, None);
    })
    .await;
}

/// Who names one status is believed without a look, and refused when the row has another one.
#[tokio::test]
async fn a_report_from_one_status_needs_no_look_and_does_no_harm_when_it_is_wrong() {
    on_both(async |store| {
        store.insert_run(&new_run("a", "etl", 1)).await.expect("inserted");
        let report = |expected, events, knows_stop| Report {
            run_id: "a",
            expected,
            events,
            facts: Facts::default(),
            knows_stop,
            now: Millis(2),
        };
        let ended = report(&[RunStatus::Running], &[Event::Succeeded], false);
        let refused = Recorded::Refused { current: RunStatus::Pending };
        assert_eq!(store.record(&ended).await.expect("answered"), refused);
        let started = report(&[RunStatus::Pending], &[Event::Started], false);
        assert!(store.record(&started).await.expect("answered").applied());
        store.request_stop("a", &StopReason::Shutdown, Millis(2)).await.expect("stored");
        let refused = Recorded::Refused { current: RunStatus::Running };
        assert_eq!(store.record(&ended).await.expect("answered"), refused, "it is to be stopped");
        let knowing = report(&[RunStatus::Running], &[Event::Failed], true);
        assert!(store.record(&knowing).await.expect("answered").applied());
        assert_eq!(counters(&store, "etl").await, (1, 0, 1));
    })
    .await;
}

/// Two servers have two pools and two queues of writers.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_file_wait_for_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options::sqlite(folder.path().join("shared.db"));
    let stores = [Store::open(&options).await.expect("opens"), Store::open(&options).await.expect("opens")];
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..200 {
        let store = stores[number % 2].clone();
        writers.spawn(async move {
            let id = format!("run-{number}");
            store.insert_run(&new_run(&id, "etl", 1)).await?;
            let events = [Event::StartFailed];
            let report = Report {
                run_id: &id,
                expected: &[],
                events: &events,
                facts: Facts::default(),
                knows_stop: true,
                now: Millis(2),
            };
            store.record(&report).await
        });
    }
    for outcome in writers.join_all().await {
        assert!(outcome.expect("no transaction fails").applied());
    }
    assert_eq!(counters(&stores[0], "etl").await, (200, 0, 200));
}
