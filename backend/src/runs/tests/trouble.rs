//! Docker that is away, slow, or loses its answers; output that is cut while the script goes on.

use super::*;
use crate::engine::EngineError;
use crate::engine::fake::{Call, Fate, Moment};

fn away() -> EngineError {
    EngineError::Unavailable { call: "test", reason: "it is away".to_owned(), source: None }
}

/// A world whose environment is built already.
async fn prepared() -> (World, Server) {
    let world = World::new().await;
    let server = world.server();
    let run = server.start("exit 0").await;
    server.ended(&run).await;
    (world, server)
}

const OF_A_START: [Call; 5] = [Call::EnsureImage, Call::EnsureNetwork, Call::Create, Call::Attach, Call::Start];

#[tokio::test]
async fn a_start_survives_docker_being_away_at_any_call() {
    for call in OF_A_START {
        let (world, server) = prepared().await;
        for _ in 0..4 {
            world.docker.fail_next(call, away());
        }
        let run = server.start("lines 3").await;
        assert_eq!(outcome(&server.ended(&run).await), SUCCESS, "{call:?}");
        assert_eq!(server.log(&run).await, numbers(3), "{call:?}");
        world.assert_clean(&server).await;
    }
}

#[tokio::test]
async fn a_start_survives_lost_answers() {
    for call in OF_A_START {
        let (world, server) = prepared().await;
        for _ in 0..2 {
            world.docker.lose_next_answer(call);
        }
        let run = server.start("lines 3").await;
        assert_eq!(outcome(&server.ended(&run).await), SUCCESS, "{call:?}");
        assert_eq!(server.log(&run).await, numbers(3), "{call:?}");
        world.assert_clean(&server).await;
    }
}

#[tokio::test]
async fn a_start_survives_the_daemon_dying_at_any_call() {
    for call in OF_A_START {
        for moment in [Moment::Before, Moment::After] {
            let (world, server) = prepared().await;
            let hold = world.docker.hold(call, moment);
            let run = server.start("lines 3; sleep 1s").await;
            hold.reached().await;
            world.docker.down(Fate::Survive);
            hold.release();
            pause(20_000).await;
            world.docker.up();
            assert_eq!(outcome(&server.ended(&run).await), SUCCESS, "{call:?} {moment:?}");
            assert_eq!(server.log(&run).await, numbers(3), "{call:?} {moment:?}");
            world.assert_clean(&server).await;
        }
    }
}

#[tokio::test]
async fn patience_ends_and_the_slot_is_given_back() {
    let (world, server) = prepared().await;
    let begin = Instant::now();
    let run = server.start("exit 0").await;
    world.docker.down(Fate::Survive);
    let row = server.ended(&run).await;
    assert_eq!(outcome(&row), failed(ErrorType::Docker, None));
    assert!((280..=300).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    assert_eq!(server.load().running, 0);
    let refused = server.try_start("p", "exit 0").await.expect_err("known to be away");
    assert!(matches!(refused, LaunchError::DockerUnavailable(_)));
    world.docker.up();
    server.recover().await.expect("recovered");
    let run = server.start("exit 0").await;
    assert_eq!(outcome(&server.ended(&run).await), SUCCESS);
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn a_cancellation_does_not_wait_for_docker() {
    let (world, server) = prepared().await;
    world.docker.down(Fate::Survive);
    let run = server.start("exit 0").await;
    pause(60_000).await;
    let begin = Instant::now();
    cancel(&server, &run).await.expect("accepted");
    assert_eq!(outcome(&server.ended(&run).await), failed(ErrorType::Cancelled, None));
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_start_that_docker_refuses_fails_at_once_with_its_class() {
    use crate::engine::StartFailure;
    let start_failed = |class| EngineError::StartFailed { class, message: "no".to_owned() };
    let missing = || EngineError::ImageMissing { image: IMAGE.to_owned(), message: "no".to_owned() };
    for (call, error, kind) in [
        (Call::Start, start_failed(StartFailure::NotExecutable), ErrorType::NotExecutable),
        (Call::Start, start_failed(StartFailure::NotFound), ErrorType::NotFound),
        (Call::Start, start_failed(StartFailure::Docker), ErrorType::Docker),
        (Call::EnsureImage, missing(), ErrorType::Docker),
        (Call::Create, missing(), ErrorType::Docker),
        (Call::Create, EngineError::MountMissing { path: "/x".into() }, ErrorType::Docker),
    ] {
        let (world, server) = prepared().await;
        world.docker.fail_next(call, error);
        let run = server.start("exit 0").await;
        assert_eq!(outcome(&server.ended(&run).await), failed(kind, None), "{call:?}");
        world.assert_clean(&server).await;
    }
}

#[tokio::test]
async fn a_job_that_cannot_be_handed_over_fails_the_run() {
    let (world, server) = prepared().await;
    let mut start = script_start("exit 0");
    // Each of them could be handed over.
    start.env_vars.extend((0..30).map(|number| (format!("LARGE_{number}"), "x".repeat(100_000))));
    let run = server.launch("p", Trigger::Manual, start).await.expect("accepted").id;
    let row = server.ended(&run).await;
    assert_eq!(outcome(&row), failed(ErrorType::Docker, None));
    assert!(row.error_message.expect("told").contains("bytes together"));
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn the_daemon_goes_away_during_a_run_and_no_line_is_lost() {
    for (down_after, down_for) in [(2_000, 1), (2_000, 700), (2_013, 30_000), (5_000, 120_000)] {
        let (world, server) = prepared().await;
        // Ends while Docker is away in the last case.
        let run = server.start("lines 400 100ms; err end").await;
        server.until_phase(&run, Phase::Running).await;
        pause(down_after).await;
        world.docker.down(Fate::Survive);
        pause(down_for).await;
        world.docker.up();
        let row = server.ended(&run).await;
        assert_eq!(outcome(&row), SUCCESS, "{down_for}");
        let lasted = (row.finished_at.expect("ended").0 - row.started_at.expect("started").0) / 1000;
        assert!((40..=41).contains(&lasted), "the true end, not when we heard of it: {lasted}");
        assert_eq!(server.log(&run).await, format!("{}end\n", numbers(400)), "{down_for}");
        assert_eq!(server.marks(&run).await, Vec::<String>::new(), "{down_for}");
        world.assert_clean(&server).await;
    }
}

#[tokio::test]
async fn a_cut_just_before_the_exit_is_noticed() {
    // The stream's end looks like the container's own; only the times tell them apart.
    for before in [1, 5, 50, 400, 900] {
        let (world, server) = prepared().await;
        let script = format!("lines 5; sleep 5s; out cut; sleep {before}ms; out after; exit 3");
        let run = server.start(&script).await;
        server.until_logged(&run, "5\n").await;
        until("it is cut", async || {
            let cut = server.log(&run).await.contains("cut");
            if !cut {
                pause(1).await;
            }
            cut.then_some(())
        })
        .await;
        world.docker.down(Fate::Survive);
        world.docker.up();
        let row = server.ended(&run).await;
        assert_eq!(outcome(&row), failed(ErrorType::ExitCode, Some(3)));
        assert_eq!(server.log(&run).await, format!("{}cut\nafter\n", numbers(5)), "{before} ms before");
    }
}

#[tokio::test]
async fn cut_again_and_again_while_it_is_taken_up() {
    let (world, server) = prepared().await;
    let run = server.start("lines 3000 10ms").await;
    server.until_logged(&run, "10\n").await;
    for round in 0..40 {
        pause(round * 37 % 900).await;
        world.docker.down(Fate::Survive);
        pause(round * 13 % 50).await;
        world.docker.up();
    }
    assert_eq!(outcome(&server.ended(&run).await), SUCCESS);
    assert_eq!(server.log(&run).await, numbers(3000));
    assert_eq!(server.marks(&run).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_daemon_that_takes_its_containers_along_ends_them_truly() {
    let (world, server) = prepared().await;
    let run = server.start("lines 400 100ms").await;
    server.until_logged(&run, "9\n").await;
    world.docker.down(Fate::Die);
    pause(5_000).await;
    world.docker.up();
    let row = server.ended(&run).await;
    assert_eq!(outcome(&row), failed(ErrorType::ExitCode, Some(143)));
    let log = server.log(&run).await;
    assert_eq!(log, numbers(log.lines().count() as u64));
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn output_that_docker_no_longer_has_is_marked() {
    let world = World::new().await;
    world.docker.with_stored_log_of(6_000);
    let server = world.server();
    let run = server.start("lines 6000 10ms").await;
    server.until_logged(&run, "100\n").await;
    world.docker.down(Fate::Survive);
    pause(30_000).await;
    world.docker.up();
    assert_eq!(outcome(&server.ended(&run).await), SUCCESS);
    assert_eq!(server.marks(&run).await.len(), 1);
    let log = server.log(&run).await;
    let lines: Vec<u64> = log.lines().map(|line| line.parse().expect("a number")).collect();
    assert!(lines.is_sorted() && lines.len() < 6000 && lines.last() == Some(&6000), "{}", lines.len());
}

#[tokio::test]
async fn a_log_of_dockers_that_cannot_be_read_does_not_keep_a_run_from_ending() {
    let (world, server) = prepared().await;
    let run = server.start("lines 600 100ms").await;
    server.until_logged(&run, "10\n").await;
    for _ in 0..100 {
        let message = "configured logging driver does not support reading".to_owned();
        world.docker.fail_next(Call::StoredLog, EngineError::Other { call: "read log", message, source: None });
    }
    world.docker.down(Fate::Survive);
    world.docker.up();
    let row = server.ended(&run).await;
    assert_eq!(outcome(&row), SUCCESS);
    assert_eq!(server.marks(&run).await.len(), 1, "said, not hidden");
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn a_container_that_docker_does_not_remove_is_swept_later() {
    let (world, server) = prepared().await;
    world.docker.fail_next(Call::Remove, away());
    let run = server.start("exit 0").await;
    assert_eq!(outcome(&server.ended(&run).await), SUCCESS);
    assert_eq!(world.containers().len(), 1);
    assert_eq!(server.recover().await.expect("recovered").removed, 1);
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn a_preparation_container_that_stayed_is_swept_but_not_one_at_work() {
    let world = World::new().await;
    let server = world.server();
    let hold = world.docker.hold(Call::Start, Moment::Before);
    let run = server.start("exit 0").await;
    hold.reached().await;
    assert_eq!(server.recover().await.expect("recovered").removed, 0, "somebody works with it");
    world.docker.fail_next(Call::Remove, away());
    drop(hold);
    assert_eq!(outcome(&server.ended(&run).await), SUCCESS);
    assert_eq!(server.recover().await.expect("recovered").removed, 1, "the builder could not remove it");
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn a_slow_docker_is_waited_for() {
    let (world, server) = prepared().await;
    for call in OF_A_START.into_iter().chain([Call::Inspect, Call::Remove, Call::Signal]) {
        world.docker.delay(call, Duration::from_secs(5));
    }
    let run = server.start("lines 3").await;
    assert_eq!(outcome(&server.ended(&run).await), SUCCESS);
    assert_eq!(server.log(&run).await, numbers(3));
    world.assert_clean(&server).await;
}
