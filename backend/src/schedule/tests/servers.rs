//! Several servers on one database: each due time is fired by one of them.

use super::*;

/// Due times that two schedulers share.
const DUE_TIMES: usize = 10_000;

const JOBS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_schedulers_share_ten_thousand_due_times_without_a_double_or_a_loss() {
    let options = testing::postgres().await;
    let [one, two] = [options.open().await, options.open().await];
    let world = World::on(one.clone());
    let all = Policy { catch_up: CatchUp::All { most: 1000, max_age: 30 * 86_400_000 }, ..LATEST };
    let mut jobs = Vec::new();
    for _ in 0..JOBS {
        jobs.push(world.job("cron", "* * * * *", all).await);
    }
    let servers = [world.server_on(one).await.schedule, world.server_on(two).await.schedule];
    let per_job = DUE_TIMES / JOBS;
    let mut won = [0, 0];
    // In five leaps, so that the two meet at ordinary due times as well as in a backlog.
    for leap in 1..=5 {
        let minutes = i64::try_from(per_job * leap / 5).expect("fits");
        world.set(Millis(at(BEGIN).0 + minutes * 60_000));
        let lives = servers.clone().map(|server| {
            tokio::spawn(async move {
                let mut started = 0;
                loop {
                    match server.tick().await.expect("ticks") {
                        0 => return started,
                        more => started += more,
                    }
                }
            })
        });
        for (sum, life) in won.iter_mut().zip(lives) {
            *sum += life.await.expect("no panic");
        }
    }
    println!("{won:?}");
    assert_eq!(won[0] + won[1], DUE_TIMES, "{won:?}");
    assert!(won.iter().all(|won| *won > 0), "both take part: {won:?}");
    let expected: Vec<i64> = (1..=i64::try_from(per_job).expect("fits")).collect();
    for job in &jobs {
        assert_eq!(world.started(job).await, expected);
    }
    let filter = crate::store::RunFilter::default();
    let mut runs = 0;
    let mut cursor = None;
    loop {
        let page = world
            .store
            .runs_page(&filter, crate::store::RunOrder::OldestFirst, cursor.as_ref(), 500)
            .await
            .expect("read");
        runs += page.rows.len();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(runs, DUE_TIMES, "no run without a due time");
    options.drop().await;
}
