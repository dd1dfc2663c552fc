//! The database itself, retention, settings.

use std::time::Duration;

use super::super::testing::{on_both, sqlite};
use super::super::*;
use super::{finish, new_run};
use crate::domain::clock::Millis;

#[tokio::test]
async fn it_answers_is_sound_and_can_be_copied() {
    on_both(async |store| {
        store.insert_run(&new_run("a", "etl", 1)).await.expect("inserted");
        store.ping(Duration::from_secs(5)).await.expect("answers");
        assert_eq!(store.integrity_check().await.expect("checked"), Vec::<String>::new());
        assert!(store.wal_checkpoint().await.expect("moved"));
        store.close().await;
        let error = store.ping(Duration::from_secs(5)).await.expect_err("closed");
        assert!(error.is_unavailable(), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_reader_holds_the_checkpoint_up_but_not_for_ever() {
    let (store, _folder) = sqlite().await;
    store.insert_run(&new_run("a", "etl", 1)).await.expect("inserted");
    let mut reader = store.read().await.expect("begun");
    sqlx::query("SELECT id FROM runs").fetch_all(&mut *reader).await.expect("read");
    store.insert_run(&new_run("b", "etl", 1)).await.expect("inserted");
    assert!(!store.wal_checkpoint().await.expect("answered"));
    drop(reader);
}

#[tokio::test]
async fn old_runs_are_found_and_deleted_but_never_one_that_works() {
    on_both(async |store| {
        for number in 1..=6 {
            let id = format!("run-{number}");
            store.insert_run(&new_run(&id, "etl", number)).await.expect("inserted");
            if number != 2 {
                finish(&store, &id, true, 10, 20).await;
            }
        }
        let measured = Measured { log_bytes: Some(99), ..Measured::default() };
        store.set_measured("run-1", &measured).await.expect("noted");
        let ids = |runs: Vec<OldRun>| runs.into_iter().map(|run| run.id).collect::<Vec<_>>();
        let old = store.runs_older_than(Millis(4), 10).await.expect("read");
        let first = OldRun { id: "run-1".into(), pipeline_name: "etl".into(), log_bytes: Some(99) };
        assert_eq!(old[0], first);
        assert_eq!(ids(old), ["run-1", "run-3"]);
        assert_eq!(ids(store.runs_older_than(Millis(4), 1).await.expect("read")), ["run-1"]);
        assert_eq!(ids(store.runs_beyond("etl", 2, 10).await.expect("read")), ["run-4", "run-3", "run-1"]);
        assert_eq!(ids(store.runs_beyond("etl", 2, 1).await.expect("read")), ["run-4"]);
        assert!(store.runs_beyond("other", 0, 10).await.expect("read").is_empty());

        let doomed = ["run-1", "run-2", "run-3", "unknown"].map(str::to_owned);
        assert_eq!(store.delete_runs(&doomed).await.expect("deleted"), 2);
        assert!(store.run("run-2").await.is_ok(), "it has not ended");
        assert!(store.run("run-3").await.expect_err("gone").is_not_found());
        assert_eq!(store.pipeline("etl").await.expect("there").stats.total_runs, 5);
    })
    .await;
}

#[tokio::test]
async fn settings() {
    on_both(async |store| {
        assert_eq!(store.setting("k").await.expect("read"), None);
        store.set_setting("k", "1", Some("ada"), Millis(1)).await.expect("written");
        store.set_setting("k", "2", None, Millis(2)).await.expect("written");
        assert_eq!(store.setting("k").await.expect("read").as_deref(), Some("2"));
    })
    .await;
}
