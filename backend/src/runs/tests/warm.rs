//! Containers that are started ahead: the same run, sooner, whatever happens around it.

use super::*;
use crate::engine::fake::{Call, Fate, Moment};
use crate::engine::{EngineError, Status};

/// A server that keeps two containers parked, both ready.
async fn warm_server(world: &World) -> Server {
    let server = world.server_with(|options| options.warm_containers = 2);
    server.recover().await.expect("recovered");
    server.keep_warm();
    full(&server).await;
    server
}

async fn full(server: &Server) {
    until("two containers wait", async || (server.warm_pool().ready == 2).then_some(())).await;
}

fn unavailable() -> EngineError {
    EngineError::Unavailable { call: "test", reason: "told so".to_owned(), source: None }
}

#[tokio::test]
async fn a_run_takes_a_waiting_container_with_its_limits_and_another_one_is_parked() {
    let world = World::new().await;
    world.pipeline("p", r#"{"mem_hard_limit": "64m", "cpu_hard_limit": 0.5}"#);
    let server = warm_server(&world).await;
    // Builds the environment.
    server.ended(&server.start("exit 0").await).await;
    full(&server).await;
    let waiting: Vec<_> = world.containers();
    assert!(waiting.iter().all(|container| world.docker.job(&container.id).is_none()), "no job, no secret, no name");
    pause(30_000).await;
    let (created, began) = (world.docker.count(Call::Create), world.clock.now());
    let run = server.start("lines 5 100ms; env FASTFLOW_RUN_ID; exit 3").await;
    server.until_status(&run, RunStatus::Running).await;
    let row = world.row(&run).await;
    let container = waiting.iter().find(|c| Some(c.id.as_str()) == row.container_id.as_deref()).expect("one of them");
    assert_eq!(container.labels.get(engine::label::RUN_ID), Some(&run), "found by its label as always");
    let limits = world.docker.limits(&container.id).expect("there");
    assert_eq!((limits.cpus, limits.memory_bytes, limits.pids), (Some(0.5), Some(64 << 20), Some(100)));

    let row = server.ended(&run).await;
    assert_eq!(outcome(&row), failed(ErrorType::ExitCode, Some(3)));
    assert_eq!(server.log(&run).await, format!("{}FASTFLOW_RUN_ID={run}\n", numbers(5)));
    let started = row.started_at.expect("started");
    assert!(row.warm_at == Some(started) && started >= began, "counted from its job, not from when it was parked");
    full(&server).await;
    assert_eq!(world.docker.count(Call::Create), created + 1);
    server.shutdown().await;
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn more_starts_than_containers_start_cold_and_all_end_well() {
    let world = World::new().await;
    let server = warm_server(&world).await;
    let mut runs = Vec::new();
    for _ in 0..25 {
        runs.push(server.start("lines 3 10ms").await);
    }
    let mut warm = 0;
    for run in &runs {
        let row = server.ended(run).await;
        assert_eq!(outcome(&row), SUCCESS);
        assert_eq!(server.log(run).await, numbers(3));
        warm += usize::from(row.warm_at.is_some());
    }
    assert!(warm >= 2, "{warm}");
    server.shutdown().await;
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn a_container_that_cannot_be_used_makes_room_for_a_cold_start() {
    let world = World::new().await;
    world.pipeline("p", r#"{"mem_hard_limit": "64m"}"#);
    let server = warm_server(&world).await;
    world.docker.fail_next(Call::UpdateLimits, unavailable());
    let run = server.start("lines 5 1ms").await;
    let row = server.ended(&run).await;
    assert_eq!((outcome(&row), row.warm_at), (SUCCESS, None));
    assert_eq!(server.log(&run).await, numbers(5));

    // Killed in the moment between acceptance and job.
    full(&server).await;
    let hold = world.docker.hold(Call::EnsureImage, Moment::Before);
    let run = server.start("lines 5 1ms").await;
    tokio::time::timeout(Duration::from_secs(60), hold.reached()).await.expect("it looks for its image");
    for container in world.containers() {
        world.docker.kill_behind_our_back(&container.id);
    }
    drop(hold);
    let row = server.ended(&run).await;
    assert_eq!((outcome(&row), row.warm_at), (SUCCESS, None));
    full(&server).await;
    server.shutdown().await;
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn one_that_dies_or_grows_old_is_replaced_and_a_failure_is_told() {
    let world = World::new().await;
    let server = warm_server(&world).await;
    let ids = || world.containers().into_iter().map(|container| container.id).collect::<Vec<_>>();
    let before = ids();
    world.docker.kill_behind_our_back(&before[0]);
    until("it is gone", async || (!ids().contains(&before[0])).then_some(())).await;
    full(&server).await;

    let before = ids();
    pause(3_700_000).await;
    full(&server).await;
    assert!(ids().iter().all(|id| !before.contains(id)), "an hour is enough");

    world.docker.fail_next(Call::Create, unavailable());
    world.docker.kill_behind_our_back(&ids()[0]);
    until("the failure shows", async || server.warm_pool().problem.filter(|why| why.contains("told so"))).await;
    full(&server).await;
    until("the failure is over", async || server.warm_pool().problem.is_none().then_some(())).await;
    server.shutdown().await;
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn a_run_that_is_cancelled_before_its_job_leaves_no_container() {
    let world = World::new().await;
    let server = warm_server(&world).await;
    let hold = world.docker.hold(Call::EnsureImage, Moment::Before);
    let run = server.start("lines 5 1ms").await;
    tokio::time::timeout(Duration::from_secs(60), hold.reached()).await.expect("it looks for its image");
    cancel(&server, &run).await.expect("cancelled");
    drop(hold);
    assert_eq!(outcome(&server.ended(&run).await), failed(ErrorType::Cancelled, None));
    until("its container is gone", async || {
        world.containers().iter().all(|c| c.labels.get(engine::label::RUN_ID) != Some(&run)).then_some(())
    })
    .await;
    full(&server).await;
    server.shutdown().await;
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn a_sweep_leaves_waiting_containers_alone_and_a_crash_leaves_none() {
    let world = World::new().await;
    let server = warm_server(&world).await;
    pause(120_000).await;
    let recovery = server.recover().await.expect("recovered");
    assert_eq!((recovery.removed, recovery.folders), (0, 0));
    server.crash().await;
    pause(300).await;
    assert!(
        world.containers().iter().all(|container| container.status == Status::Exited),
        "they give up by themselves"
    );
    let server = world.server();
    let recovery = server.recover().await.expect("recovered");
    assert_eq!((recovery.removed, recovery.folders), (2, 2));
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn a_crash_at_every_step_of_time_of_a_warm_run_leaves_one_true_end_and_a_whole_log() {
    for milliseconds in (0..260).step_by(13) {
        let world = World::new().await;
        let server = warm_server(&world).await;
        // A timeout that would be over long ago, were it counted from when the container was parked.
        world.pipeline("p", r#"{"timeout": 60}"#);
        pause(600_000).await;
        let run = server.start("lines 20 10ms; exit 3").await;
        pause(milliseconds).await;
        server.crash().await;
        pause(milliseconds * 31 % 200).await;
        let server = world.server_with(|options| options.warm_containers = 2);
        server.recover().await.expect("recovered");
        server.keep_warm();
        let row = server.ended(&run).await;
        assert_eq!(outcome(&row), failed(ErrorType::ExitCode, Some(3)), "{milliseconds} ms");
        assert_eq!(server.log(&run).await, numbers(20), "{milliseconds} ms");
        let lasted = row.finished_at.expect("ended").0 - row.started_at.expect("started").0;
        assert!((0..=1_000).contains(&lasted), "{lasted}");
        server.recover().await.expect("recovered");
        server.shutdown().await;
        world.assert_clean(&server).await;
    }
}

#[tokio::test]
async fn docker_going_away_under_waiting_containers_is_survived() {
    let world = World::new().await;
    let server = warm_server(&world).await;
    world.docker.down(Fate::Die);
    pause(60_000).await;
    world.docker.up();
    full(&server).await;
    let run = server.start("lines 5 1ms").await;
    assert_eq!(outcome(&server.ended(&run).await), SUCCESS);
    // What could not be removed while Docker was away is the sweep's.
    full(&server).await;
    server.recover().await.expect("recovered");
    server.shutdown().await;
    world.assert_clean(&server).await;
}
