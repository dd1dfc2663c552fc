//! Jobs and firings.

use std::collections::{BTreeMap, BTreeSet};

use super::super::testing::on_both;
use super::super::*;
use super::new_run;
use crate::domain::clock::Millis;
use crate::domain::outcome::StopReason;
use crate::domain::pipeline::RetryStrategy;
use crate::domain::schedules::Overrides;

fn job(id: &str, source_id: Option<&str>, next: i64) -> NewJob {
    NewJob {
        id: id.to_owned(),
        pipeline_name: "etl".to_owned(),
        name: Some("nightly".to_owned()),
        trigger_type: "cron".to_owned(),
        trigger_value: "0 3 * * *".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        enabled: true,
        paused: false,
        source: if source_id.is_some() { REPOSITORY } else { "api" }.to_owned(),
        source_id: source_id.map(str::to_owned),
        start_at: Some(Millis(1)),
        end_at: Some(Millis(2)),
        catch_up: "all".to_owned(),
        catch_up_limit: Some(5),
        catch_up_max_age: Some(3600),
        overlap: "skip".to_owned(),
        max_instances: Some(3),
        parameters: BTreeMap::from([("DAY".to_owned(), "today".to_owned())]),
        overrides: Overrides {
            cpu_hard_limit: Some(0.5),
            mem_hard_limit: Some(1 << 30),
            timeout: Some(60),
            retry_attempts: Some(2),
            retry_strategy: Some(RetryStrategy::FixedDelay { delay: 5.0 }),
            ..Overrides::default()
        },
        created_by: Some("ada".to_owned()),
        next_run_at: Some(Millis(next)),
        problem: Some("none".to_owned()),
    }
}

fn claim<'a>(job_id: &'a str, due_at: i64, run: Option<&'a NewRun>) -> Claim<'a> {
    Claim {
        job_id,
        due_at: Millis(due_at),
        next: Some(Millis(due_at + 10)),
        decided_at: None,
        by: "host:1",
        now: Millis(due_at + 1),
        take: run
            .map_or(Take::Nothing(FiringState::LeftOut, "skipped", 3, Millis(due_at + 2)), |run| Take::Start(run, &[])),
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
            decided_at: None,
            claimed_at: None,
        };
        assert_eq!(row, expected);
        assert_eq!(store.jobs().await.expect("read"), [expected]);
        assert!(store.insert_job(&new, Millis(8)).await.expect_err("twice").is_conflict());
        store.set_last_run("j", "r", Millis(9)).await.expect("noted");
        let row = store.job("j").await.expect("there");
        assert_eq!((row.last_run_id.as_deref(), row.last_run_at), (Some("r"), Some(Millis(9))));
        let changed = NewJob { name: None, overrides: Overrides::default(), paused: true, ..job("j", None, 200) };
        store.update_job(&changed, Millis(11)).await.expect("changed");
        let row = store.job("j").await.expect("there");
        assert_eq!((row.job, row.created_at, row.updated_at), (changed.clone(), Millis(7), Millis(11)));
        let stranger = NewJob { id: "stranger".to_owned(), ..changed };
        assert!(store.update_job(&stranger, Millis(11)).await.expect_err("unknown").is_not_found());
        store.delete_job("j").await.expect("deleted");
        assert!(store.job("j").await.expect_err("gone").is_not_found());
        assert!(store.delete_job("j").await.expect_err("gone").is_not_found());
    })
    .await;
}

#[tokio::test]
async fn a_sync_keeps_pauses_due_times_and_strangers() {
    on_both(async |store| {
        let read = BTreeSet::from(["etl".to_owned()]);
        store.insert_job(&job("by-hand", None, 1), Millis(1)).await.expect("inserted");
        let first = [job("1", Some("etl/cron"), 100), job("2", Some("etl/interval"), 200)];
        store.upsert_repository_jobs(&first, &read, Millis(1)).await.expect("noted");
        store.set_job_paused("1", true, Some(Millis(100)), Millis(2)).await.expect("paused");
        // The same jobs under new ids, as a later sync would make them; the second has another trigger.
        let changed = NewJob { trigger_value: "5 3 * * *".to_owned(), ..job("4", Some("etl/interval"), 400) };
        // A due time that has passed is not forgotten because the file has nothing to come any more.
        let over = NewJob { next_run_at: None, ..job("3", Some("etl/cron"), 300) };
        store.upsert_repository_jobs(&[changed, over], &read, Millis(3)).await.expect("noted");
        let rows = store.jobs().await.expect("read");
        let short: Vec<_> = rows
            .iter()
            .map(|row| (row.job.id.as_str(), !row.job.paused, row.job.next_run_at.map_or(0, |time| time.0)))
            .collect();
        assert_eq!(short, [("1", false, 100), ("2", true, 400), ("by-hand", true, 1)]);

        store.upsert_repository_jobs(&[], &BTreeSet::new(), Millis(4)).await.expect("noted");
        assert_eq!(store.jobs().await.expect("read").len(), 3, "whose file could not be read keeps its jobs");
        store.upsert_repository_jobs(&[], &read, Millis(4)).await.expect("noted");
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
        store.set_job_paused("paused", true, Some(Millis(5)), Millis(2)).await.expect("paused");
        let off = NewJob { enabled: false, ..job("off", None, 5) };
        store.insert_job(&off, Millis(1)).await.expect("inserted");
        assert_eq!(store.next_due().await.expect("read"), Some(Millis(10)));
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
        let book = store.firings("j", None, 5).await.expect("read");
        let [firing] = &book[..] else { panic!("{book:?}") };
        assert_eq!((firing.due_at, firing.state, firing.claimed_at), (Millis(100), FiringState::Started, Millis(101)));
        assert_eq!((firing.run_id.as_ref(), firing.started_at), (winners.first(), Some(Millis(101))));
        assert_eq!(firing.run.as_ref().map(|run| &run.id), winners.first());
        assert_eq!(store.firings_between(Millis(100), Millis(101), 5).await.expect("read"), book);
        assert!(store.firings_between(Millis(101), Millis(200), 5).await.expect("read").is_empty());
        assert!(store.firings("j", Some(Millis(100)), 5).await.expect("read").is_empty());
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
        store.set_job_paused("j", false, Some(Millis(100)), Millis(2)).await.expect("set back");
        let again = new_run("r2", "etl", 101);
        assert!(!store.claim(&claim("j", 100, Some(&again))).await.expect("answered"));
        assert!(store.run("r2").await.expect_err("not inserted").is_not_found());
        assert_eq!(store.job("j").await.expect("there").job.next_run_at, Some(Millis(110)), "but it moves on");

        assert!(store.claim(&claim("j", 110, None)).await.expect("answered"), "skipping takes the time, too");
        let left_out = &store.firings("j", None, 1).await.expect("read")[0];
        assert_eq!((left_out.state, left_out.result.as_deref()), (FiringState::LeftOut, Some("skipped")));
        assert_eq!((left_out.due_times, left_out.until), (3, Some(Millis(112))));
        store.set_job_paused("j", true, Some(Millis(120)), Millis(3)).await.expect("paused");
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
        assert!(store.firings("j", None, 5).await.expect("read").is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_waits_begins_once_and_retries_count_for_their_job() {
    on_both(async |store| {
        store.insert_job(&job("j", None, 100), Millis(1)).await.expect("inserted");
        let first = NewRun { job_id: Some("j".into()), due_at: Some(Millis(100)), ..new_run("r1", "etl", 101) };
        assert!(store.claim(&claim("j", 100, Some(&first))).await.expect("answered"));
        assert!(store.claim(&Claim { take: Take::Wait, ..claim("j", 110, None) }).await.expect("answered"));
        assert_eq!(store.count_waiting("j").await.expect("read"), 1);
        let waiting = store.waiting_jobs(5).await.expect("read");
        assert_eq!(waiting.iter().map(|(row, due)| (row.job.id.as_str(), due.0)).collect::<Vec<_>>(), [("j", 110)]);

        // A retry does not carry the job, and counts for it all the same.
        let retry = NewRun { retry_of: Some("r1".into()), ..new_run("r2", "etl", 102) };
        let again = NewRun { retry_of: Some("r2".into()), ..new_run("r3", "etl", 103) };
        for run in [&retry, &again, &new_run("stranger", "etl", 104)] {
            store.insert_run(run).await.expect("inserted");
        }
        assert_eq!(store.active_runs_of_job("j", "etl").await.expect("read"), ["r1", "r2", "r3"]);

        let second = NewRun { job_id: Some("j".into()), due_at: Some(Millis(110)), ..new_run("r4", "etl", 105) };
        let start = Take::Start(&second, &[]);
        assert!(store.claim_waiting("j", Millis(110), start, Millis(120)).await.expect("answered"));
        let third = NewRun { id: "r5".into(), ..second.clone() };
        let start = Take::Start(&third, &[]);
        assert!(!store.claim_waiting("j", Millis(110), start, Millis(120)).await.expect("answered"));
        assert!(store.run("r5").await.expect_err("not inserted").is_not_found());
        let book = store.firings("j", None, 1).await.expect("read");
        assert_eq!(
            (book[0].state, book[0].claimed_at, book[0].started_at),
            (FiringState::Started, Millis(111), Some(Millis(120)))
        );

        let by_hand = NewRun { job_id: Some("j".into()), due_at: Some(Millis(130)), ..new_run("r6", "etl", 130) };
        assert!(store.fire_by_hand("j", &by_hand, "ada", Millis(130)).await.expect("answered"));
        let gone = store.fire_by_hand("gone", &new_run("r7", "etl", 1), "ada", Millis(1)).await;
        assert!(gone.expect_err("no such job").is_not_found());
        assert_eq!(store.firings("j", None, 1).await.expect("read")[0].state, FiringState::ByHand);
        assert_eq!(store.prune_firings(Millis(112)).await.expect("pruned"), 2);
        assert_eq!(store.delete_jobs_of("etl").await.expect("deleted"), 1);
    })
    .await;
}

#[tokio::test]
async fn runs_that_make_room_are_to_stop_from_the_claim_on() {
    on_both(async |store| {
        store.insert_job(&job("j", None, 100), Millis(1)).await.expect("inserted");
        store.insert_run(&new_run("old", "etl", 1)).await.expect("inserted");
        let run = new_run("new", "etl", 101);
        let stops = ["old".to_owned()];
        assert!(
            store.claim(&Claim { take: Take::Start(&run, &stops), ..claim("j", 100, None) }).await.expect("answered")
        );
        let old = store.run("old").await.expect("there");
        assert_eq!(old.stop_reason, Some(StopReason::Cancelled { by: Some(REPLACED.to_owned()) }));
        assert_eq!(old.cancel_requested_by.as_deref(), Some(REPLACED));
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_was_set_back_is_noticed() {
    on_both(async |store| {
        store.insert_job(&job("j", None, 1_000), Millis(1)).await.expect("inserted");
        assert!(store.claim(&claim("j", 1_000, None)).await.expect("answered"));
        assert!(store.jobs_ahead_of(Millis(1_001)).await.expect("read").is_empty());
        let ahead = store.jobs_ahead_of(Millis(500)).await.expect("read");
        assert_eq!(ahead.len(), 1);
        assert!(store.reset_due(&ahead[0], Some(Millis(600)), Millis(500)).await.expect("answered"));
        assert!(!store.reset_due(&ahead[0], Some(Millis(700)), Millis(500)).await.expect("answered"), "changed since");
        assert_eq!(store.job("j").await.expect("there").job.next_run_at, Some(Millis(600)));
        assert!(store.jobs_ahead_of(Millis(500)).await.expect("read").is_empty());
    })
    .await;
}
