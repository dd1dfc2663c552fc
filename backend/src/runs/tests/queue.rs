//! Who may start, and in which order.

use super::*;
use crate::store::NewRun;

#[tokio::test]
async fn fifty_at_once_never_exceed_the_limit_and_all_run() {
    let world = World::new().await;
    let server = Arc::new(world.server_with(|options| options.max_concurrent = 4));
    let starts: Vec<_> = (0..50)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move { server.start("sleep 3s").await })
        })
        .collect();
    let mut runs = Vec::new();
    for start in starts {
        runs.push(start.await.expect("no panic"));
    }
    let mut most = 0;
    until("all have ended", async || {
        most = most.max(world.containers().iter().filter(|c| c.status.is_running() && is_run(c)).count());
        (server.load().running == 0).then_some(())
    })
    .await;
    assert_eq!(most, 4);
    for run in &runs {
        assert_eq!(outcome(&server.ended(run).await), SUCCESS);
    }
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn the_queue_is_served_in_order_and_shows_places() {
    let world = World::new().await;
    let server = world.server_with(|options| options.max_concurrent = 1);
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(server.start("sleep 10s").await);
    }
    server.until_phase(&runs[0], Phase::Running).await;
    let mut shown = Vec::new();
    for run in &runs {
        let run = server.run(run).await.expect("there");
        shown.push((run.phase, run.queue_position));
    }
    let queued = |place| (Phase::Queued, Some(place));
    assert_eq!(shown, [(Phase::Running, None), queued(1), queued(2), queued(3)]);
    assert_eq!(server.count("p"), (3, 1));
    let mut begun = Vec::new();
    for run in &runs {
        begun.push(server.ended(run).await.started_at);
    }
    assert!(begun.is_sorted() && begun.iter().all(Option::is_some), "{begun:?}");
}

#[tokio::test]
async fn a_full_queue_refuses_without_a_trace_but_takes_what_was_promised() {
    let world = World::new().await;
    let server = world.server_with(|options| (options.max_concurrent, options.max_queued) = (1, 1));
    server.start("sleep 10s").await;
    server.start("exit 0").await;
    let refused = server.try_start("p", "exit 0").await.expect_err("full");
    assert!(matches!(refused, LaunchError::QueueFull { running: 1, queued: 1, .. }), "{refused}");
    assert_eq!(world.store.unfinished_runs().await.expect("answered").0.len(), 2);
    let store = world.store.clone();
    let insert = async |run: &NewRun| store.insert_run(run).await.map(|()| true);
    let promised = server.launch_with("p", Trigger::Schedule, script_start("exit 0"), insert).await;
    let promised = promised.expect("never refused").expect("ours").id;
    assert_eq!(outcome(&server.ended(&promised).await), SUCCESS);
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn a_start_that_a_rival_has_takes_no_place_from_others() {
    let world = World::new().await;
    let server = world.server_with(|options| (options.max_concurrent, options.max_queued) = (1, 0));
    let lost = server
        .launch_with("p", Trigger::Schedule, script_start("exit 0"), async |_| {
            // While the rivals are sorted out, somebody else starts.
            let other = server.try_start("p", "exit 0").await.expect("the slot is free");
            server.ended(&other).await;
            Ok(false)
        })
        .await;
    assert!(lost.expect("no failure").is_none());
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn what_cannot_be_started_is_refused_without_a_trace() {
    let world = World::new().await;
    world.pipeline("off", r#"{"enabled": false}"#);
    world.pipeline("broken", r#"{"timeout": "soon"}"#);
    world.pipeline("switched", "{}");
    let server = world.server();
    server.inner.rooms.catalog.refresh().await.expect("read");
    world.store.set_enabled("switched", false).await.expect("stored");
    let why = async |name: &str| server.try_start(name, "exit 0").await.expect_err("refused");
    assert!(matches!(why("off").await, LaunchError::Disabled { by: "in its pipeline.json", .. }));
    assert!(matches!(why("switched").await, LaunchError::Disabled { by: "by an operator", .. }));
    assert!(matches!(why("broken").await, LaunchError::Invalid { .. }));
    assert!(matches!(why("unknown").await, LaunchError::UnknownPipeline(_)));
    assert!(matches!(why("../p").await, LaunchError::UnknownPipeline(_)));
    let bad = Start { parameters: BTreeMap::from([("A-B".to_owned(), String::new())]), ..Start::default() };
    let bad = server.launch("p", Trigger::Manual, bad).await.expect_err("refused");
    assert!(matches!(bad, LaunchError::BadValues(_)));
    world.docker.down(engine::fake::Fate::Survive);
    server.ping_docker().await.expect_err("away");
    assert!(matches!(why("p").await, LaunchError::DockerUnavailable(_)));
    world.docker.up();
    server.shutdown().await;
    assert!(matches!(why("p").await, LaunchError::Closing));
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn a_caller_who_goes_away_half_way_leaves_no_row_without_a_driver() {
    let world = World::new().await;
    let server = Arc::new(world.server());
    for yields in 0..40 {
        let start = tokio::spawn({
            let server = server.clone();
            async move { server.start("exit 0").await }
        });
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        start.abort();
    }
    // No recovery needed: whatever was stored is driven.
    until("all end", async || world.store.unfinished_runs().await.expect("answered").0.is_empty().then_some(())).await;
    until("all are let go", async || server.inner.live.all().is_empty().then_some(())).await;
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn a_row_that_cannot_be_stored_holds_no_slot() {
    let world = World::new().await;
    let server = world.server_with(|options| (options.max_concurrent, options.max_queued) = (1, 0));
    world.store.close().await;
    for _ in 0..3 {
        server.try_start("p", "exit 0").await.expect_err("no database");
        assert_eq!(server.load().running, 0);
        assert!(server.inner.live.all().is_empty());
    }
}

#[tokio::test]
async fn a_claim_is_stored_although_its_answer_got_lost() {
    let world = World::new().await;
    let server = world.server();
    let store = world.store.clone();
    let insert = async |run: &NewRun| {
        store.insert_run(run).await?;
        Err(store::StoreError::Unavailable { reason: "the answer got lost".to_owned(), source: None })
    };
    let run = server.launch_with("p", Trigger::Schedule, script_start("exit 0"), insert).await;
    let run = run.expect("it is there").expect("ours");
    assert_eq!(run.status, RunStatus::Pending);
    assert_eq!(outcome(&server.ended(&run.id).await), SUCCESS);
}
