//! Retention: which runs go, and that they go with everything that referred to them.

use super::super::testing::on_both;
use super::super::*;
use super::{finish, new_run};
use crate::domain::clock::Millis;
use crate::domain::retention::{Policy, Reason};

fn named(expired: &Expired) -> Vec<(&str, Reason)> {
    expired.items.iter().map(|(run, reason)| (run.id.as_str(), *reason)).collect()
}

fn ids(runs: &[EndedRun]) -> Vec<&str> {
    runs.iter().map(|run| run.id.as_str()).collect()
}

#[tokio::test]
async fn what_would_be_deleted_is_what_the_batches_find() {
    on_both(async |store| {
        for number in 1..=6 {
            let id = format!("run-{number}");
            store.insert_run(&new_run(&id, "etl", number)).await.expect("inserted");
            if number != 2 {
                finish(&store, &id, true, number, number * 10).await;
            }
        }
        store.insert_run(&new_run("other-1", "other", 1)).await.expect("inserted");
        finish(&store, "other-1", true, 1, 5).await;
        let measured = Measured { log_bytes: Some(99), ..Measured::default() };
        store.set_measured("run-1", &measured).await.expect("noted");

        let all = store.expired_runs(Policy::default(), Millis(100), 10).await.expect("read");
        assert_eq!((all.runs, all.items.len()), (0, 0), "nothing is set");
        let policy = Policy { runs: Some(2), days: None };
        let found = store.expired_runs(policy, Millis(100), 2).await.expect("read");
        let two = vec![("run-1", Reason::Count), ("run-3", Reason::Count)];
        assert_eq!((found.runs, found.log_bytes, named(&found)), (3, 99, two), "two of three");
        let beyond = store.runs_beyond("etl", 2, 10).await.expect("read");
        assert_eq!(ids(&beyond), ["run-4", "run-3", "run-1"]);
        assert_eq!(ids(&store.runs_beyond("etl", 2, 1).await.expect("read")), ["run-4"]);
        assert!(store.runs_beyond("nobody", 0, 10).await.expect("read").is_empty());
        assert_eq!(store.pipelines_with_runs().await.expect("read"), ["etl", "other"]);

        let day = 86_400_000;
        let policy = Policy { runs: None, days: Some(1) };
        let found = store.expired_runs(policy, Millis(day + 31), 10).await.expect("read");
        let old = ["other-1", "run-1", "run-3"].map(|id| (id, Reason::Age));
        assert_eq!(named(&found), old, "by the end, not by the beginning");
        // Each run goes once, and the number decides first: it must not depend on what age has deleted before.
        let policy = Policy { runs: Some(3), days: Some(1) };
        let found = store.expired_runs(policy, Millis(day + 41), 10).await.expect("read");
        let count = |id| (id, Reason::Count);
        let both = vec![("other-1", Reason::Age), count("run-1"), count("run-3"), ("run-4", Reason::Age)];
        assert_eq!((found.runs, named(&found)), (4, both));
        let before = store.runs_ended_before(Millis(31), 10).await.expect("read");
        let mut same = ids(&before);
        same.sort_unstable();
        assert_eq!(same, ["other-1", "run-1", "run-3"]);
        assert_eq!(store.runs_ended_before(Millis(31), 1).await.expect("read").len(), 1);
        let some = ["run-1", "run-2", "nobody"].map(str::to_owned);
        assert_eq!(ids(&store.ended_runs(&some).await.expect("read")), ["run-1"]);
        let known = store.known_runs(&some).await.expect("read");
        assert!(known.len() == 2 && !known.contains("nobody"), "{known:?}");
    })
    .await;
}

#[tokio::test]
async fn a_deleted_run_leaves_no_reference_and_a_note_until_its_files_are_gone() {
    on_both(async |store| {
        for number in 1..=3 {
            let id = format!("run-{number}");
            let mut run = new_run(&id, "etl", number);
            if number == 3 {
                run.retry_of = Some("run-1".to_owned());
            }
            store.insert_run(&run).await.expect("inserted");
        }
        finish(&store, "run-1", false, 10, 20).await;
        let doomed = ["run-1", "run-2", "unknown"].map(str::to_owned);
        assert_eq!(store.delete_runs(&doomed, Millis(50)).await.expect("deleted"), ["run-1"], "run-2 has not ended");
        assert!(store.run("run-1").await.expect_err("gone").is_not_found());
        assert!(store.run("run-2").await.is_ok());
        assert_eq!(store.run("run-3").await.expect("there").spec.retry_of, None, "no broken link");
        assert_eq!(store.pipeline("etl").await.expect("there").stats.total_runs, 1, "the counters keep it");
        assert_eq!(store.deleted_runs(10).await.expect("read"), ["run-1"]);
        store.forget_deleted(&["run-1".to_owned()]).await.expect("forgotten");
        assert!(store.deleted_runs(10).await.expect("read").is_empty());
    })
    .await;
}
