//! A server dies at each step of a firing; the next one finds what it left. Each due time has one run.

use super::*;
use crate::store::testing::CRASH_AT;

/// Moments of a firing within its transaction (see `Store::claim`), and after it. The last one is no crash.
const MOMENTS: [&str; 5] = ["begun", "next time stored", "claimed", "run inserted", "never"];

#[tokio::test]
async fn a_crash_at_each_step_of_a_firing_leaves_one_run_per_due_time() {
    testing::on_both(async |store| {
        let world = World::on(store);
        let all = Policy { catch_up: CatchUp::All { most: 1000, max_age: 30 * 86_400_000 }, ..LATEST };
        for policy in [LATEST, all, Policy { overlap: Overlap::CancelPrevious, ..LATEST }] {
            let job = world.job("interval", "600", policy).await;
            let mut expected = Vec::new();
            for moment in MOMENTS {
                let next = world.store.job(&job).await.expect("there").job.next_run_at.expect("due");
                world.set(next);
                expected.push((next.0 - at(BEGIN).0) / 60_000);
                let server = world.server().await;
                let schedule = server.schedule.clone();
                let life = tokio::spawn(CRASH_AT.scope(moment, async move { schedule.tick().await.map(drop) }));
                let abort = life.abort_handle();
                if moment == "never" {
                    life.await.expect("no panic").expect("ticks");
                } else {
                    // It hangs at its moment, with what it has done so far in a transaction that nobody will commit.
                    tokio::time::timeout(std::time::Duration::from_millis(400), life).await.expect_err("it hangs");
                    abort.abort();
                }
                let server = world.server().await;
                server.tick().await.expect("ticks");
                server.tick().await.expect("ticks");
                assert_eq!(world.started(&job).await, expected, "after a crash at: {moment}");
                world.assert_once(&job).await;
            }
            world.store.delete_job(&job).await.expect("deleted");
        }
    })
    .await;
}

#[tokio::test]
async fn a_crash_while_catching_up_changes_nothing_of_what_was_decided() {
    testing::on_both(async |store| {
        let world = World::on(store);
        let policy = Policy { catch_up: CatchUp::All { most: 5, max_age: 3_600_000 }, ..LATEST };
        let job = world.job("interval", "600", policy).await;
        // Ten hours of downtime: 550 to 590 are to be made up for, then 600 is just due.
        world.set(Millis(at(BEGIN).0 + 600 * 60_000));
        let server = world.server().await;
        let row = || async { world.store.job(&job).await.expect("there") };
        // The first server leaves out what is too old, makes up for one, and dies.
        for _ in 0..2 {
            let row = row().await;
            let moment = crate::domain::firing::Moment {
                timetable: &tick::timetable(&row).expect("a trigger"),
                policy,
                due: row.job.next_run_at.expect("due"),
                decided_at: row.decided_at,
                now: world.clock.now(),
                active: 0,
                waiting: 0,
            };
            let step = crate::domain::firing::step(&moment).expect("due");
            server.fire(&row, world.clock.now()).await.expect("fires");
            let after = world.store.job(&job).await.expect("there");
            assert_eq!((after.job.next_run_at, after.decided_at), (step.next, step.decided_at));
        }
        // The next one comes three hours later; what was decided is carried out, what passed since is judged anew.
        world.set(Millis(at(BEGIN).0 + 785 * 60_000));
        world.server().await.tick().await.expect("ticks");
        let expected = [550, 560, 570, 580, 590, 600, 740, 750, 760, 770, 780];
        assert_eq!(world.started(&job).await, expected);
        world.assert_once(&job).await;
    })
    .await;
}

#[tokio::test]
async fn a_due_time_that_waits_survives_a_crash_and_begins_once() {
    testing::on_both(async |store| {
        let world = World::on(store);
        let job = world.job("interval", "600", Policy { overlap: Overlap::Queue, ..LATEST }).await;
        for minutes in [10, 20] {
            world.set(Millis(at(BEGIN).0 + minutes * 60_000));
            world.server().await.tick().await.expect("ticks");
        }
        let first = world.book(&job).await[0].run_id.clone().expect("started");
        end(&world.store, &first, world.clock.now()).await;
        let (a, b) = (world.server().await, world.server().await);
        let (a, b) = tokio::join!(a.tick(), b.tick());
        assert_eq!(a.expect("ticks") + b.expect("ticks"), 1);
        assert_eq!(world.started(&job).await, [10, 20]);
        world.assert_once(&job).await;
    })
    .await;
}
