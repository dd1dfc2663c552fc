//! What becomes of due times: missed ones, overlapping ones, broken jobs, clocks that jump.

use super::*;

const MINUTE: i64 = 60_000;

fn minute(minutes: i64) -> Millis {
    Millis(at(BEGIN).0 + minutes * MINUTE)
}

fn policy(overlap: Overlap, max_instances: Option<u32>) -> Policy {
    Policy { overlap, max_instances, ..LATEST }
}

#[tokio::test]
async fn each_due_time_starts_one_run_and_a_downtime_is_caught_up_with_as_told() {
    testing::on_both(async |store| {
        let world = World::on(store);
        let server = world.server().await;
        let policies = [
            (CatchUp::Latest, vec![10, 20, 90, 100]),
            (CatchUp::Skip, vec![10, 20, 100]),
            (CatchUp::All { most: 2, max_age: 3_600_000 }, vec![10, 20, 80, 90, 100]),
            (CatchUp::All { most: 100, max_age: 40 * MINUTE }, vec![10, 20, 60, 70, 80, 90, 100]),
        ];
        let mut jobs = Vec::new();
        for (catch_up, _) in &policies {
            jobs.push(world.job("interval", "600", Policy { catch_up: *catch_up, ..LATEST }).await);
        }
        for minutes in [5, 10, 15, 20, 25] {
            world.set(minute(minutes));
            server.tick().await.expect("ticks");
        }
        // Nobody is there from 25 to 98; the next server goes on.
        let server = world.server().await;
        for minutes in [98, 99, 100, 101] {
            world.set(minute(minutes));
            server.tick().await.expect("ticks");
        }
        for ((catch_up, expected), job) in policies.iter().zip(&jobs) {
            assert_eq!(&world.started(job).await, expected, "{catch_up:?}");
            world.assert_once(job).await;
        }
        let book = world.book(&jobs[1]).await;
        assert_eq!((book[2].state, book[2].due_times, book[2].until), (FiringState::LeftOut, 7, Some(minute(90))));
    })
    .await;
}

#[tokio::test]
async fn overlapping_runs_as_told() {
    testing::on_both(async |store| {
        let world = World::on(store);
        let server = world.server().await;
        let skip = world.job("interval", "600", policy(Overlap::Skip, None)).await;
        let queue = world.job("interval", "600", policy(Overlap::Queue, None)).await;
        let cancel = world.job("interval", "600", policy(Overlap::CancelPrevious, Some(2))).await;
        let allow = world.job("interval", "600", policy(Overlap::Allow, None)).await;
        for minutes in [10, 20, 30, 40] {
            world.set(minute(minutes));
            server.tick().await.expect("ticks");
        }
        assert_eq!(world.started(&skip).await, [10]);
        assert_eq!(world.started(&queue).await, [10]);
        assert_eq!(world.started(&cancel).await, [10, 20, 30, 40]);
        assert_eq!(world.started(&allow).await, [10, 20, 30, 40]);
        let runs: Vec<_> = world.book(&cancel).await.into_iter().filter_map(|row| row.run_id).collect();
        for (run, ended) in runs.iter().zip([true, true, false, false]) {
            assert_eq!(status(&world.store, run).await.is_final(), ended);
        }
        // What waits begins as soon as there is room, in order, one at a time.
        let first = world.book(&queue).await[0].run_id.clone().expect("started");
        end(&world.store, &first, minute(41)).await;
        world.set(minute(41));
        server.tick().await.expect("ticks");
        assert_eq!(world.started(&queue).await, [10, 20]);
        let second = &world.book(&queue).await[1];
        assert_eq!((second.claimed_at, second.started_at), (minute(20), Some(minute(41))));
        assert_eq!(world.book(&queue).await[2].state, FiringState::Waiting);
        let reason = world.book(&skip).await[1].result.clone();
        assert_eq!(reason.as_deref(), Some("a run of the job still worked"));
        for job in [&skip, &queue, &cancel, &allow] {
            world.assert_once(job).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_broken_job_is_kept_and_its_due_times_are_recorded_as_failed() {
    let (store, _folder) = testing::sqlite().await;
    let world = World::on(store);
    world.pipeline("p", r#"{ "schedule_interval_seconds": 600 }"#);
    world.pipeline("gone", r#"{ "schedules": [{ "id": "a", "interval_seconds": 600 }] }"#);
    let server = world.server().await;
    server.tick().await.expect("ticks");
    assert_eq!(server.jobs(None).await.expect("read").len(), 2);
    world.pipeline("p", "{ oops");
    std::fs::remove_dir_all(world.folder.path().join("pipelines/gone")).expect("removed");
    server.catalog.refresh().await.expect("readable");
    world.set(minute(10));
    server.tick().await.expect("ticks");
    let jobs = server.jobs(None).await.expect("read");
    let problems: Vec<_> = jobs.iter().filter_map(|job| job.problem.as_deref()).collect();
    assert_eq!(problems, ["its pipeline is gone", "its pipeline is invalid"]);
    for job in &jobs {
        let page = server.history(&job.id, None, 10).await.expect("read");
        assert_eq!(page.items.len(), 1);
        assert_eq!(page.items[0].status, fastflow_shared::FiringStatus::Failed);
        assert!(page.items[0].reason.as_deref().is_some_and(|why| why.contains("pipeline")), "{page:?}");
    }
    // Mended, it goes on; what was removed from a file that can be read is gone.
    world.pipeline("p", r#"{ "schedule_interval_seconds": 600 }"#);
    server.catalog.refresh().await.expect("readable");
    world.set(minute(20));
    server.tick().await.expect("ticks");
    assert_eq!(world.started(&jobs[1].id).await, [20]);
    world.pipeline("p", "{}");
    server.catalog.refresh().await.expect("readable");
    server.tick().await.expect("ticks");
    let left: Vec<_> = server.jobs(None).await.expect("read").into_iter().map(|job| job.pipeline_name).collect();
    assert_eq!(left, ["gone"]);
    server.delete(&jobs[0].id).await.expect("a job whose pipeline is gone can be deleted");
}

#[tokio::test]
async fn a_clock_that_jumps_neither_doubles_nor_loses() {
    testing::on_both(async |store| {
        let world = World::on(store);
        let server = world.server().await;
        let job = world.job("interval", "600", LATEST).await;
        for minutes in [10, 20] {
            world.set(minute(minutes));
            server.tick().await.expect("ticks");
        }
        // Forward by a year, and back again: the job must not sleep for a year.
        world.set(minute(500_005));
        server.tick().await.expect("ticks");
        assert_eq!(world.started(&job).await, [10, 20, 500_000]);
        for minutes in [25, 30, 40] {
            world.set(minute(minutes));
            server.tick().await.expect("ticks");
        }
        assert_eq!(world.started(&job).await, [10, 20, 40, 500_000], "30 was left out when the clock jumped");
        // Back beyond what has fired: that stays fired.
        world.set(minute(5));
        for minutes in [5, 10, 20, 30, 40, 50] {
            world.set(minute(minutes));
            server.tick().await.expect("ticks");
        }
        assert_eq!(world.started(&job).await, [10, 20, 40, 50, 500_000]);
        world.assert_once(&job).await;
    })
    .await;
}

#[tokio::test]
async fn one_time_is_fired_once_also_when_it_was_missed() {
    let (store, _folder) = testing::sqlite().await;
    let world = World::on(store);
    world.pipeline("p", r#"{ "run_once_at": "2026-01-01T00:10:00" }"#);
    world.server().await.tick().await.expect("ticks");
    world.set(minute(300));
    let server = world.server().await;
    server.tick().await.expect("ticks");
    server.tick().await.expect("ticks");
    let job = server.jobs(None).await.expect("read").remove(0);
    assert_eq!((world.started(&job.id).await, job.next_run_at), (vec![10], None));
}
