//! Ending a run from outside: wherever it is, whatever it does, and at the very moment in which it ends by itself.

use super::*;
use crate::domain::outcome::StopReason;
use crate::engine::fake::{Call, Moment};
use crate::store::StopAnswer;

const CANCELLED: Option<ErrorType> = Some(ErrorType::Cancelled);

#[tokio::test]
async fn in_the_queue() {
    let world = World::new().await;
    let server = world.server_with(|options| options.max_concurrent = 1);
    let first = server.start("sleep 10s").await;
    let second = server.start("out never").await;
    let third = server.start("exit 0").await;
    server.until_phase(&first, Phase::Running).await;
    let asked = world.docker.count(Call::List);
    cancel(&server, &second).await.expect("accepted");
    let row = server.ended(&second).await;
    assert_eq!(outcome(&row), failed(ErrorType::Cancelled, None));
    assert_eq!(row.error_message.as_deref(), Some("Cancelled by somebody."));
    assert_eq!(row.started_at, None);
    assert_eq!(server.marks(&second).await, ["Cancelled by somebody."]);
    assert_eq!(world.docker.count(Call::List), asked, "nothing was created, so Docker is not asked");
    assert_eq!(outcome(&server.ended(&third).await), SUCCESS);
    assert_eq!(outcome(&server.ended(&first).await), SUCCESS);
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn while_its_environment_is_built() {
    let world = World::new().await;
    let server = world.server();
    let hold = world.docker.hold(Call::Start, Moment::Before);
    let run = server.start("out never").await;
    hold.reached().await;
    cancel(&server, &run).await.expect("accepted");
    assert_eq!(outcome(&server.ended(&run).await), failed(ErrorType::Cancelled, None));
    drop(hold);
    // The build goes on for others, and its container goes when it is done.
    until("the container is gone", async || world.containers().is_empty().then_some(())).await;
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn at_every_call_of_its_start() {
    for call in [Call::EnsureImage, Call::EnsureNetwork, Call::Create, Call::Attach, Call::Start] {
        for moment in [Moment::Before, Moment::After] {
            let world = World::new().await;
            let server = world.server();
            let prepares = server.start("exit 0").await;
            server.ended(&prepares).await;
            let hold = world.docker.hold(call, moment);
            let run = server.start("hang").await;
            hold.reached().await;
            cancel(&server, &run).await.expect("accepted");
            hold.release();
            let row = server.ended(&run).await;
            assert_eq!((row.status, row.error_type), (RunStatus::Failed, CANCELLED), "{call:?} {moment:?}");
            world.assert_clean(&server).await;
        }
    }
}

#[tokio::test]
async fn a_script_that_heeds_sigterm_says_good_bye() {
    let world = World::new().await;
    let server = world.server();
    let run = server.start("term exit 4; lines 3; hang").await;
    server.until_logged(&run, "3\n").await;
    cancel(&server, &run).await.expect("accepted");
    let begin = Instant::now();
    let row = server.ended(&run).await;
    assert_eq!(outcome(&row), failed(ErrorType::Cancelled, Some(4)));
    assert!(begin.elapsed() < Duration::from_secs(2), "no need for the grace");
    assert_eq!(server.log(&run).await, numbers(3));
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn a_script_that_ignores_sigterm_is_killed_after_the_grace() {
    let world = World::new().await;
    let server = world.server();
    let run = server.start("term ignore; lines 1000 100ms; hang").await;
    server.until_logged(&run, "3\n").await;
    cancel(&server, &run).await.expect("accepted");
    let begin = Instant::now();
    let row = server.ended(&run).await;
    assert_eq!(outcome(&row), failed(ErrorType::Cancelled, Some(137)));
    assert!((10..12).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    // What it wrote during its grace is there as well, up to some line and without a gap.
    let log = server.log(&run).await;
    assert_eq!(log, numbers(log.lines().count() as u64));
    assert!(log.lines().count() > 90, "{}", log.lines().count());
}

#[tokio::test]
async fn a_script_that_floods_is_killed_although_docker_waits_for_readers() {
    let world = World::new().await;
    world.docker.with_backpressure(8);
    let server = world.server_with(|options| options.cancel_grace = Duration::from_secs(1));
    let run = server.start("term ignore; lines 1000000 1ms").await;
    server.until_logged(&run, "3\n").await;
    cancel(&server, &run).await.expect("accepted");
    let begin = Instant::now();
    let row = server.ended(&run).await;
    assert_eq!(outcome(&row), failed(ErrorType::Cancelled, Some(137)));
    assert!(begin.elapsed() < Duration::from_secs(5), "not after a deadline of Docker's: {:?}", begin.elapsed());
    let log = server.log(&run).await;
    assert_eq!(log, numbers(log.lines().count() as u64));
}

#[tokio::test]
async fn sigterm_is_sent_again_while_docker_is_away() {
    let world = World::new().await;
    let server = world.server();
    let run = server.start("term exit 0; hang").await;
    server.until_phase(&run, Phase::Running).await;
    world.docker.down(engine::fake::Fate::Survive);
    cancel(&server, &run).await.expect("accepted");
    pause(30_000).await;
    world.docker.up();
    assert_eq!(outcome(&server.ended(&run).await), failed(ErrorType::Cancelled, Some(0)), "it had its grace");
}

#[tokio::test]
async fn a_timeout_kills_at_once_and_counts_from_the_start() {
    let world = World::new().await;
    world.pipeline("p", r#"{"timeout": 30}"#);
    let server = world.server();
    let run = server.start("term ignore; lines 100 1s").await;
    let row = server.ended(&run).await;
    assert_eq!(outcome(&row), failed(ErrorType::Timeout, Some(137)));
    let lasted = (row.finished_at.expect("ended").0 - row.started_at.expect("started").0) / 1000;
    assert_eq!(lasted, 30);
    assert_eq!(row.stop_reason, Some(StopReason::Timeout { seconds: 30 }));
}

#[tokio::test]
async fn racing_the_exit_never_gives_two_answers() {
    // The script ends after some milliseconds, the cancellation comes some steps of the scheduler around that.
    let world = World::new().await;
    world.pipeline("p", r#"{"retry_attempts": 1, "retry_strategy": {"type": "fixed_delay", "delay": 1}}"#);
    let server = world.server();
    let (mut cancelled, mut by_itself) = (0, 0);
    for round in 0..200_u64 {
        let script = if round % 2 == 0 { "sleep 20ms; exit 0" } else { "sleep 20ms; exit 3" };
        let run = server.start(script).await;
        while world.row(&run).await.status == RunStatus::Pending {
            pause(1).await;
        }
        pause(15 + round % 8).await;
        for _ in 0..(round * 7) % 60 {
            tokio::task::yield_now().await;
        }
        let answer = world
            .store
            .request_stop(&run, &StopReason::Cancelled { by: None }, world.clock.now())
            .await
            .expect("answered");
        cancel(&server, &run).await.expect("answered");
        let row = server.ended(&run).await;
        if answer == StopAnswer::Accepted {
            cancelled += 1;
            assert_eq!((row.status, row.error_type), (RunStatus::Failed, CANCELLED), "round {round}");
            assert_eq!(row.retried_by, None, "nothing is retried after a cancellation, round {round}");
        } else {
            by_itself += 1;
            assert_ne!(row.error_type, CANCELLED, "round {round}");
            if let Some(next) = row.retried_by {
                server.ended(&next).await;
            }
        }
    }
    assert!(cancelled > 0 && by_itself > 0, "the race is one: {cancelled} to {by_itself}");
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn a_reason_that_was_stored_and_not_handed_on_is_handed_on_by_the_next() {
    let world = World::new().await;
    let server = world.server();
    let run = server.start("hang").await;
    server.until_status(&run, RunStatus::Running).await;
    // The one who asked went away in between.
    let reason = StopReason::Cancelled { by: None };
    world.store.request_stop(&run, &reason, world.clock.now()).await.expect("stored");
    cancel(&server, &run).await.expect("accepted");
    assert_eq!(outcome(&server.ended(&run).await), failed(ErrorType::Cancelled, Some(143)));
}

#[tokio::test]
async fn what_has_ended_or_is_unknown() {
    let world = World::new().await;
    let server = world.server();
    let run = server.start("exit 0").await;
    server.ended(&run).await;
    cancel(&server, &run).await.expect("fine");
    assert_eq!(outcome(&world.row(&run).await), SUCCESS);
    let unknown = uuid::Uuid::now_v7().to_string();
    assert!(matches!(cancel(&server, &unknown).await, Err(RunsError::UnknownRun(_))));
    assert!(matches!(cancel(&server, "x").await, Err(RunsError::UnknownRun(_))));
}
