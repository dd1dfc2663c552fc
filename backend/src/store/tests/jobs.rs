//! Jobs and firings.

use std::collections::BTreeMap;

use super::super::testing::on_both;
use super::super::*;
use super::new_run;
use crate::domain::clock::Millis;

fn job(id: &str, source_id: Option<&str>, next: i64) -> NewJob {
    NewJob {
        id: id.to_owned(),
        pipeline_name: "etl".to_owned(),
        trigger_type: "cron".to_owned(),
        trigger_value: "0 3 * * *".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        enabled: true,
        source: if source_id.is_some() { REPOSITORY } else { "api" }.to_owned(),
        source_id: source_id.map(str::to_owned),
        start_at: Some(Millis(1)),
        end_at: Some(Millis(2)),
        catch_up: "latest".to_owned(),
        overlap: "skip".to_owned(),
        max_instances: Some(3),
        parameters: BTreeMap::from([("DAY".to_owned(), "today".to_owned())]),
        next_run_at: Some(Millis(next)),
        problem: Some("none".to_owned()),
    }
}

fn claim<'a>(job_id: &'a str, due_at: i64, run: Option<&'a NewRun>) -> Claim<'a> {
    Claim {
        job_id,
        due_at: Millis(due_at),
        next: Some(Millis(due_at + 10)),
        by: "host:1",
        now: Millis(due_at + 1),
        run,
        result: run.is_none().then_some("skipped"),
    }
}

#[tokio::test]
async fn every_field_of_a_job_comes_back() {
    on_both(async |store| {
        let new = job("j", None, 100);
        store.insert_job(&new, Millis(7)).await.expect("inserted");
        let row = store.job("j").await.expect("there");
        let expected = JobRow {
            job: new.clone(),
            created_at: Millis(7),
            updated_at: Millis(7),
            last_run_at: None,
            last_run_id: None,
        };
        assert_eq!(row, expected);
        assert_eq!(store.jobs().await.expect("read"), [expected]);
        assert!(store.insert_job(&new, Millis(8)).await.expect_err("twice").is_conflict());
        store.set_last_run("j", "r", Millis(9)).await.expect("noted");
        let row = store.job("j").await.expect("there");
        assert_eq!((row.last_run_id.as_deref(), row.last_run_at), (Some("r"), Some(Millis(9))));
        store.delete_job("j").await.expect("deleted");
        assert!(store.job("j").await.expect_err("gone").is_not_found());
        assert!(store.delete_job("j").await.expect_err("gone").is_not_found());
    })
    .await;
}

#[tokio::test]
async fn a_sync_keeps_pauses_due_times_and_strangers() {
    on_both(async |store| {
        store.insert_job(&job("by-hand", None, 1), Millis(1)).await.expect("inserted");
        let first = [job("1", Some("etl/cron"), 100), job("2", Some("etl/interval"), 200)];
        store.upsert_repository_jobs(&first, Millis(1)).await.expect("noted");
        store.set_job_enabled("1", false, Some(Millis(100)), Millis(2)).await.expect("paused");
        // The same jobs under new ids, as a later sync would make them; the second has another trigger.
        let changed = NewJob { trigger_value: "5 3 * * *".to_owned(), ..job("4", Some("etl/interval"), 400) };
        store.upsert_repository_jobs(&[changed, job("3", Some("etl/cron"), 300)], Millis(3)).await.expect("noted");
        let rows = store.jobs().await.expect("read");
        let short: Vec<_> = rows
            .iter()
            .map(|row| (row.job.id.as_str(), row.job.enabled, row.job.next_run_at.map_or(0, |time| time.0)))
            .collect();
        assert_eq!(short, [("1", false, 100), ("2", true, 400), ("by-hand", true, 1)]);

        store.upsert_repository_jobs(&[], Millis(4)).await.expect("noted");
        let ids: Vec<_> = store.jobs().await.expect("read").into_iter().map(|row| row.job.id).collect();
        assert_eq!(ids, ["by-hand"]);
    })
    .await;
}

#[tokio::test]
async fn due_jobs_are_enabled_and_the_longest_due_comes_first() {
    on_both(async |store| {
        for (id, next) in [("c", 30), ("a", 10), ("b", 20), ("paused", 5)] {
            store.insert_job(&job(id, None, next), Millis(1)).await.expect("inserted");
        }
        let never = NewJob { next_run_at: None, ..job("never", None, 0) };
        store.insert_job(&never, Millis(1)).await.expect("inserted");
        store.set_job_enabled("paused", false, Some(Millis(5)), Millis(2)).await.expect("paused");
        let ids = async |now, limit| {
            let due = store.due(Millis(now), limit).await.expect("read");
            due.into_iter().map(|row| row.job.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(20, 10).await, ["a", "b"]);
        assert_eq!(ids(99, 1).await, ["a"]);
        assert!(ids(9, 10).await.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_servers_one_gets_the_due_time() {
    on_both(async |store| {
        store.insert_job(&job("j", None, 100), Millis(1)).await.expect("inserted");
        let mut servers = tokio::task::JoinSet::new();
        for number in 0..20 {
            let store = store.clone();
            servers.spawn(async move {
                let id = format!("run-{number:02}");
                let run =
                    NewRun { job_id: Some("j".to_owned()), due_at: Some(Millis(100)), ..new_run(&id, "etl", 101) };
                (store.claim(&claim("j", 100, Some(&run))).await.expect("answered"), id)
            });
        }
        let winners: Vec<_> = servers.join_all().await.into_iter().filter(|(won, _)| *won).map(|(_, id)| id).collect();
        assert_eq!(winners.len(), 1);
        let all = store.runs_page(&RunFilter::default(), RunOrder::NewestFirst, None, 10).await.expect("read");
        assert_eq!(all.rows.iter().map(|run| run.spec.id.clone()).collect::<Vec<_>>(), winners);
        let row = store.job("j").await.expect("there");
        assert_eq!((row.job.next_run_at, row.last_run_at), (Some(Millis(110)), Some(Millis(100))));
        assert_eq!(row.last_run_id.as_ref(), winners.first());
        let expected = FiringRow {
            job_id: "j".into(),
            due_at: Millis(100),
            claimed_at: Millis(101),
            claimed_by: "host:1".into(),
            run_id: winners.first().cloned(),
            result: None,
        };
        assert_eq!(store.firings("j", 5).await.expect("read"), [expected]);
    })
    .await;
}

#[tokio::test]
async fn a_due_time_never_fires_twice_whatever_the_clock_does() {
    on_both(async |store| {
        store.insert_job(&job("j", None, 100), Millis(1)).await.expect("inserted");
        let run = new_run("r1", "etl", 101);
        assert!(store.claim(&claim("j", 100, Some(&run))).await.expect("answered"));
        // Somebody sets the job back to the time that fired.
        store.set_job_enabled("j", true, Some(Millis(100)), Millis(2)).await.expect("set back");
        let again = new_run("r2", "etl", 101);
        assert!(!store.claim(&claim("j", 100, Some(&again))).await.expect("answered"));
        assert!(store.run("r2").await.expect_err("not inserted").is_not_found());
        assert_eq!(store.job("j").await.expect("there").job.next_run_at, Some(Millis(110)), "but it moves on");

        assert!(store.claim(&claim("j", 110, None)).await.expect("answered"), "skipping takes the time, too");
        assert_eq!(store.firings("j", 1).await.expect("read")[0].result.as_deref(), Some("skipped"));
        store.set_job_enabled("j", false, Some(Millis(120)), Millis(3)).await.expect("paused");
        assert!(!store.claim(&claim("j", 120, None)).await.expect("answered"), "paused since it was read");
        assert!(!store.claim(&claim("gone", 1, None)).await.expect("answered"));
    })
    .await;
}

#[tokio::test]
async fn a_run_that_cannot_be_inserted_leaves_the_due_time_free() {
    on_both(async |store| {
        store.insert_run(&new_run("taken", "etl", 1)).await.expect("inserted");
        store.insert_job(&job("j", None, 100), Millis(1)).await.expect("inserted");
        let run = new_run("taken", "etl", 101);
        let error = store.claim(&claim("j", 100, Some(&run))).await.expect_err("the id is taken");
        assert!(error.is_conflict(), "{error:?}");
        assert_eq!(store.job("j").await.expect("there").job.next_run_at, Some(Millis(100)));
        assert!(store.firings("j", 5).await.expect("read").is_empty());
    })
    .await;
}
