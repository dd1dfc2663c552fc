//! Inserting, reading back, noting facts.

use std::collections::BTreeMap;

use fastflow_shared::{EnvName, ErrorType, Phase, Run, RunStatus, Trigger};
use serde_json::{Value, json};

use super::super::testing::on_both;
use super::super::*;
use super::{finish, new_run, record};
use crate::domain::clock::Millis;
use crate::domain::outcome::StopReason;
use crate::domain::pipeline::RetryStrategy;
use crate::domain::run::Event;

/// A run in which every field says something.
fn full_run() -> NewRun {
    NewRun {
        id: "0197-full".to_owned(),
        pipeline_name: "Größe 'mit' \"allem\"; --".to_owned(),
        trigger: Trigger::Schedule,
        triggered_by: Some("job 7".to_owned()),
        attempt: 2,
        max_attempts: 4,
        retry_strategy: Some(RetryStrategy::ExponentialBackoff {
            initial_delay: 1.5,
            max_delay: 60.0,
            multiplier: 2.0,
        }),
        retry_of: Some("0197-before".to_owned()),
        not_before: Some(Millis(1_700_000_005_000)),
        job_id: Some("job-7".to_owned()),
        due_at: Some(Millis(1_700_000_000_000)),
        created_at: Millis(1_700_000_000_123),
        code: Code {
            commit: Some("c0ffee".to_owned()),
            commit_subject: Some("Count – once".to_owned()),
            commit_author: Some("Ada".to_owned()),
            path: Some("/code/c0ffee/etl".to_owned()),
        },
        image: Some("worker:1".to_owned()),
        parameters: BTreeMap::from([("A".to_owned(), "1\n2 💚 \u{1}".to_owned()), ("B".to_owned(), String::new())]),
        sealed_env: Some("gAAAA-sealed".to_owned()),
        limits: Limits {
            cpu: Some(1.5),
            memory: Some(1 << 40),
            cpu_soft: Some(2.0),
            memory_soft: Some(1 << 30),
            timeout_seconds: Some(3600),
        },
        instance: Some("instance-1".to_owned()),
        owner: Some("host:1".to_owned()),
    }
}

#[tokio::test]
async fn every_field_of_a_new_run_comes_back() {
    on_both(async |store| {
        let new = full_run();
        store.insert_run(&new).await.expect("inserted");
        let row = store.run(&new.id).await.expect("there");
        assert_eq!(row.spec, new);
        assert_eq!(row.status, RunStatus::Pending);
        assert_eq!(row.queued_at, Millis(1_700_000_005_000), "a waiting attempt queues when its wait ends");

        let bare = new_run("0197-bare", "etl", 5);
        store.insert_run(&bare).await.expect("inserted");
        let row = store.run(&bare.id).await.expect("there");
        assert_eq!(row.spec, bare);
        assert_eq!((row.queued_at, row.measured, row.env_names.len()), (Millis(5), Measured::default(), 0));
    })
    .await;
}

/// Every field of the DTO, through the database. The text is the contract: a column that is not written, not read or
/// mixed up with its neighbour changes it.
#[tokio::test]
async fn every_field_of_the_dto_goes_through_the_database() {
    on_both(async |store| {
        let new = full_run();
        let id = new.id.as_str();
        store.insert_run(&new).await.expect("inserted");
        let names = [EnvName { name: "A".to_owned(), source: "start".to_owned(), value: Some("v".to_owned()) }];
        let used = UsedEnvironment {
            key: Some("env-1".to_owned()),
            image_id: Some("sha256:1".to_owned()),
            uv_version: Some("0.13.0".to_owned()),
            setup_seconds: Some(0.0),
        };
        let note = StartNote {
            container_id: "container-1",
            warm_at: Some(Millis(1_700_000_006_000)),
            used: &used,
            env_names: &names,
            mask: Some("sealed"),
        };
        store.note_start(id, &note).await.expect("noted");
        assert_eq!(store.run_mask(id).await.expect("answers").as_deref(), Some("sealed"));
        let measured = Measured {
            log_bytes: Some(84_000_000_000),
            cpu_peak_percent: Some(199.5),
            cpu_average_percent: Some(50.0),
            ram_peak_mb: Some(512.25),
            ram_average_mb: Some(100.125),
            soft_limit_exceeded: true,
            cpu_throttled: true,
        };
        store.set_measured(id, &measured).await.expect("noted");
        let cancel = StopReason::Cancelled { by: Some("ada".to_owned()) };
        store.request_stop(id, &cancel, Millis(1_700_000_008_000)).await.expect("noted");
        let started =
            Facts { started_at: Some(Millis(1_700_000_006_000)), start_ms: Some(12), ..Facts::default() };
        record(&store, id, &[Event::Started], started, 1_700_000_006_000).await;
        let ended = Facts {
            finished_at: Some(Millis(1_700_000_009_500)),
            exit_code: Some(143),
            error_type: Some(ErrorType::Cancelled),
            error_message: Some("Cancelled by ada.".to_owned()),
            may_have_mask: true,
            ..Facts::default()
        };
        let next = NewRun { job_id: None, due_at: None, ..new_run("0197-next", "etl", 9) };
        let report = Report {
            run_id: id,
            expected: &[],
            events: &[Event::Failed],
            facts: ended,
            knows_stop: true,
            now: Millis(9),
        };
        store.record_with_retry(&report, Some(&next)).await.expect("recorded");

        assert_eq!(store.run_mask(id).await.expect("answers"), None, "an ended run keeps no secret");
        let row = store.run(id).await.expect("there");
        assert_eq!(row.image_id.as_deref(), Some("sha256:1"));
        assert_eq!(row.container_id.as_deref(), Some("container-1"));
        assert_eq!(row.stop_reason.as_ref(), Some(&cancel));
        assert_eq!(row.cancel_requested_at, Some(Millis(1_700_000_008_000)));
        assert_eq!(row.cancel_requested_by.as_deref(), Some("ada"));
        assert_eq!(row.spec.sealed_env, None, "an ended run keeps no secret");
        let shown: Run = row.into_run(Phase::Ended, Some(3), Millis(0));
        let expected = json!({
            "id": "0197-full", "pipeline_name": "Größe 'mit' \"allem\"; --", "status": "FAILED", "phase": "ended",
            "trigger": "schedule", "triggered_by": "job 7", "attempt": 2, "max_attempts": 4,
            "retry_of": "0197-before", "retried_by": "0197-next", "not_before": "2023-11-14T22:13:25Z",
            "created_at": "2023-11-14T22:13:20.123Z", "started_at": "2023-11-14T22:13:26Z",
            "finished_at": "2023-11-14T22:13:29.500Z", "duration_seconds": 3.5, "exit_code": 143,
            "error_type": "cancelled", "error_message": "Cancelled by ada.", "uv_version": "0.13.0",
            "setup_duration": 0.0, "environment": "env-1", "image": "worker:1", "commit": "c0ffee",
            "commit_subject": "Count – once", "commit_author": "Ada", "queue_position": 3, "cancel_requested": true,
            "parameters": {"A": "1\n2 💚 \u{1}", "B": ""}, "env_names": [{"name": "A", "source": "start", "value": "v"}],
            "cpu_limit": 1.5, "memory_limit": 1_099_511_627_776_i64, "cpu_soft_limit": 2.0,
            "memory_soft_limit": 1_073_741_824, "timeout_seconds": 3600, "log_bytes": 84_000_000_000_i64,
            "cpu_peak_percent": 199.5, "cpu_average_percent": 50.0, "ram_peak_mb": 512.25, "ram_average_mb": 100.125,
            "soft_limit_exceeded": true, "cpu_throttled": true
        });
        let mut shown: Value = serde_json::to_value(shown).expect("serialises");
        // Of the moment, not of the database; apart, for the macro above is at its recursion limit.
        assert_eq!(shown["waits_for"].take(), Value::Null);
        assert_eq!(shown["warm_start"].take(), json!(true));
        let all = shown.as_object_mut().expect("an object");
        // Of the present repository, which the store does not know.
        assert_eq!(all.remove("commit_url"), Some(Value::Null));
        all.remove("waits_for");
        all.remove("warm_start");
        assert_eq!(all.remove("start_seconds"), Some(json!(0.012)));
        assert_eq!(shown, expected);
    })
    .await;
}

#[tokio::test]
async fn the_duration_of_a_working_run_grows_and_never_runs_backwards() {
    on_both(async |store| {
        store.insert_run(&new_run("a", "etl", 1)).await.expect("inserted");
        let started = Facts { started_at: Some(Millis(10_000)), ..Facts::default() };
        record(&store, "a", &[Event::Started], started, 10_000).await;
        let row = store.run("a").await.expect("there");
        let seconds = |now| row.clone().into_run(Phase::Running, None, Millis(now)).duration_seconds;
        assert_eq!((seconds(12_500), seconds(9_000)), (Some(2.5), Some(0.0)));
    })
    .await;
}

#[tokio::test]
async fn ids_and_firings_are_unique_and_unknown_runs_are_told() {
    on_both(async |store| {
        let first = NewRun { job_id: Some("j".into()), due_at: Some(Millis(1)), ..new_run("a", "etl", 1) };
        store.insert_run(&first).await.expect("inserted");
        let error = store.insert_run(&first).await.expect_err("the same id");
        assert!(error.is_conflict(), "{error:?}");
        let again = NewRun { id: "b".into(), ..first };
        let error = store.insert_run(&again).await.expect_err("the same due time");
        assert!(error.is_conflict(), "{error:?}");

        assert!(store.run("x").await.expect_err("unknown").is_not_found());
        assert!(store.note_start("x", &container(Some("sealed"))).await.expect_err("unknown").is_not_found());
        assert_eq!(store.run_mask("x").await.expect("answers"), None, "all of it or nothing");
        assert!(store.clear_sealed_env("x").await.expect_err("unknown").is_not_found());
        let stop = store.request_stop("x", &StopReason::Shutdown, Millis(1)).await;
        assert!(stop.expect_err("unknown").is_not_found());
    })
    .await;
}

#[tokio::test]
async fn an_attempt_by_hand_is_linked_both_ways() {
    on_both(async |store| {
        store.insert_run(&new_run("a", "etl", 1)).await.expect("inserted");
        for (id, at) in [("b", 2), ("c", 3)] {
            let again = NewRun { attempt: 2, retry_of: Some("a".into()), ..new_run(id, "etl", at) };
            store.insert_run(&again).await.expect("inserted");
        }
        assert_eq!(store.run("a").await.expect("there").retried_by.as_deref(), Some("b"));
    })
    .await;
}

#[tokio::test]
async fn absent_measurements_leave_what_is_stored() {
    on_both(async |store| {
        store.insert_run(&new_run("a", "etl", 1)).await.expect("inserted");
        let first =
            Measured { log_bytes: Some(10), ram_peak_mb: Some(1.0), cpu_throttled: true, ..Measured::default() };
        store.set_measured("a", &first).await.expect("noted");
        let second = Measured { log_bytes: Some(20), soft_limit_exceeded: true, ..Measured::default() };
        store.set_measured("a", &second).await.expect("noted");
        let both = Measured { log_bytes: Some(20), soft_limit_exceeded: true, ..first };
        assert_eq!(store.run("a").await.expect("there").measured, both);

        let prepared =
            UsedEnvironment { key: Some("k".into()), setup_seconds: Some(1.5), ..UsedEnvironment::default() };
        store.set_environment("a", &prepared).await.expect("noted");
        let image = UsedEnvironment { image_id: Some("i".into()), ..UsedEnvironment::default() };
        store.set_environment("a", &image).await.expect("noted");
        let row = store.run("a").await.expect("there");
        assert_eq!((row.environment_key.as_deref(), row.setup_duration), (Some("k"), Some(1.5)));
        assert_eq!(row.image_id.as_deref(), Some("i"));
    })
    .await;
}

#[tokio::test]
async fn the_first_reason_to_stop_stays() {
    on_both(async |store| {
        store.insert_run(&new_run("a", "etl", 1)).await.expect("inserted");
        let timeout = StopReason::Timeout { seconds: 5 };
        let cancel = StopReason::Cancelled { by: Some("ada".into()) };
        assert_eq!(store.request_stop("a", &timeout, Millis(2)).await.ok(), Some(StopAnswer::Accepted));
        let second = store.request_stop("a", &cancel, Millis(3)).await;
        assert_eq!(second.ok(), Some(StopAnswer::Already(timeout.clone())));
        let row = store.run("a").await.expect("there");
        assert_eq!((row.stop_reason, row.cancel_requested_at), (Some(timeout), None));

        store.insert_run(&new_run("b", "etl", 1)).await.expect("inserted");
        finish(&store, "b", true, 2, 3).await;
        let late = store.request_stop("b", &cancel, Millis(4)).await;
        assert_eq!(late.ok(), Some(StopAnswer::Ended(RunStatus::Success)));
        assert_eq!(store.run("b").await.expect("there").stop_reason, None);
    })
    .await;
}

#[tokio::test]
async fn start_values_can_be_wiped_and_the_owner_changes() {
    on_both(async |store| {
        let new = full_run();
        store.insert_run(&new).await.expect("inserted");
        store.clear_sealed_env(&new.id).await.expect("wiped");
        store.set_owner(&new.id, "host:2").await.expect("noted");
        let row = store.run(&new.id).await.expect("there");
        assert_eq!((row.spec.sealed_env, row.spec.owner.as_deref()), (None, Some("host:2")));
    })
    .await;
}

#[tokio::test]
async fn unfinished_runs_come_in_the_order_of_the_queue_and_bad_rows_apart() {
    on_both(async |store| {
        for (id, at) in [("c", 3), ("a", 1), ("b", 2), ("done", 0), ("bad", 0)] {
            store.insert_run(&new_run(id, "etl", at)).await.expect("inserted");
        }
        let waiting = NewRun { not_before: Some(Millis(10)), ..new_run("wait", "etl", 0) };
        store.insert_run(&waiting).await.expect("inserted");
        finish(&store, "done", true, 1, 2).await;
        record(&store, "b", &[Event::WatchLost], Facts::default(), 5).await;
        let spoil = "UPDATE runs SET parameters = '{oops' WHERE id = 'bad'";
        sqlx::query(spoil).execute(&store.pool).await.expect("spoilt");

        let (runs, bad) = store.unfinished_runs().await.expect("read");
        let ids: Vec<_> = runs.iter().map(|run| run.spec.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c", "wait"]);
        let messages: Vec<_> = bad.iter().map(ToString::to_string).collect();
        assert_eq!(messages.len(), 1);
        assert!(messages[0].starts_with("column \"parameters\" of runs \"bad\" cannot be read: "), "{messages:?}");
    })
    .await;
}

#[tokio::test]
async fn words_of_a_newer_release_are_told_apart() {
    on_both(async |store| {
        store.insert_run(&new_run("a", "etl", 1)).await.expect("inserted");
        sqlx::query("UPDATE runs SET status = 'PAUSED'").execute(&store.pool).await.expect("changed");
        let error = store.run("a").await.expect_err("unknown word");
        assert_eq!(error.to_string(), "column \"status\" of runs \"a\" cannot be read: \"PAUSED\" is not known");
    })
    .await;
}

/// PostgreSQL refuses the character NUL in a text; SQLite does not.
#[tokio::test]
async fn nul_stops_neither_a_record_nor_a_question() {
    on_both(async |store| {
        let odd = "a\0b".to_owned();
        let mut run = new_run("a", "etl", 1);
        run.triggered_by = Some(odd.clone());
        run.code.commit_subject = Some(odd.clone());
        run.parameters.insert("X".to_owned(), odd.clone());
        store.insert_run(&run).await.expect("inserted");
        let by = StopReason::Cancelled { by: Some(odd.clone()) };
        assert_eq!(store.request_stop("a", &by, Millis(1)).await.ok(), Some(StopAnswer::Accepted));
        let facts = Facts { error_message: Some(odd.clone()), ..Facts::default() };
        assert!(record(&store, "a", &[Event::StartFailed], facts, 2).await.applied());
        let row = store.run("a").await.expect("there");
        assert_eq!(row.error_message.as_deref(), Some("a\u{fffd}b"));
        assert_eq!(row.spec.parameters["X"], odd, "a value is given to the run as it is");

        assert!(store.run(&odd).await.expect_err("unknown").is_not_found());
        assert!(store.note_start(&odd, &container(None)).await.expect_err("unknown").is_not_found());
        assert!(store.pipeline(&odd).await.expect_err("unknown").is_not_found());
        assert!(store.set_enabled(&odd, true).await.expect_err("unknown").is_not_found());
        assert!(store.job(&odd).await.expect_err("unknown").is_not_found());
        let filter = RunFilter { pipeline: Some(odd), ..RunFilter::default() };
        assert!(store.runs_page(&filter, RunOrder::NewestFirst, None, 5).await.expect("answered").rows.is_empty());
    })
    .await;
}

#[tokio::test]
async fn of_two_servers_that_take_a_run_one_has_it() {
    on_both(async |store| {
        let run = new_run("r1", "etl", 1);
        store.insert_run(&run).await.expect("stored");
        assert!(store.take_run("r1", None, "a").await.expect("answered"));
        assert!(!store.take_run("r1", None, "b").await.expect("answered"));
        assert!(store.take_run("r1", Some("a"), "b").await.expect("answered"));
        assert_eq!(store.run("r1").await.expect("row").spec.owner.as_deref(), Some("b"));
        let of_others = async |me| store.runs_of_others(me, Millis(0)).await.expect("answered").len();
        assert_eq!((of_others("a").await, of_others("b").await), (1, 0));
        assert!(store.stops_of("b").await.expect("answered").is_empty());
        let reason = StopReason::Cancelled { by: None };
        store.request_stop("r1", &reason, Millis(5)).await.expect("stored");
        assert_eq!(store.stops_of("b").await.expect("answered"), [("r1".to_owned(), reason)]);
        assert!(store.stops_of("a").await.expect("answered").is_empty());
    })
    .await;
}

/// A note of a container alone.
fn container(mask: Option<&str>) -> StartNote<'_> {
    const NOTHING: &UsedEnvironment =
        &UsedEnvironment { key: None, image_id: None, uv_version: None, setup_seconds: None };
    StartNote { container_id: "c", warm_at: None, used: NOTHING, env_names: &[], mask }
}
