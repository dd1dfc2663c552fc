//! The fake's own abilities: what the contract does not ask for, and the tests upstairs rely on.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

use super::super::*;
use super::*;

fn spec(name: &str) -> ContainerSpec {
    ContainerSpec {
        name: name.into(),
        kind: Kind::Run,
        image: "image".into(),
        user: "1:1".into(),
        run_id: Some(name.into()),
        pipeline: Some("p".into()),
        mounts: Vec::new(),
        network: Network::None,
        limits: Limits::default(),
    }
}

fn job(program: &str) -> Job {
    Job { argv: vec!["x".into()], env: vec![(program::VARIABLE.into(), program.into())], cwd: "/".into() }
}

async fn begin(engine: &dyn Engine, name: &str, program: &str) -> (ContainerId, OutputStream) {
    let id = engine.create(&spec(name)).await.expect("create");
    let Attachment { output, input } = engine.attach(&id).await.expect("attach");
    engine.start(&id).await.expect("start");
    input.send(&job(program)).await.expect("job");
    (id, output)
}

fn failure() -> EngineError {
    EngineError::StartFailed { class: StartFailure::Docker, message: "arranged".into() }
}

#[tokio::test(start_paused = true)]
async fn an_arranged_failure_happens_once_and_has_no_effect() {
    let docker = FakeDocker::new();
    let engine = docker.engine(Options::new("a"));
    let id = engine.create(&spec("one")).await.expect("create");
    docker.fail_next(Call::Start, failure());
    assert!(matches!(engine.start(&id).await, Err(EngineError::StartFailed { .. })));
    assert_eq!(docker.containers()[0].status, Status::Created);
    engine.start(&id).await.expect("the second one works");
    assert_eq!(docker.count(Call::Start), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_has_an_effect() {
    let docker = FakeDocker::new();
    let engine = docker.engine(Options::new("a"));
    docker.lose_next_answer(Call::Create);
    let error = engine.create(&spec("one")).await.expect_err("lost");
    assert!(error.is_unavailable());
    assert_eq!(engine.list().await.expect("list").len(), 1, "it exists all the same");
}

#[tokio::test(start_paused = true)]
async fn a_held_call_stands_still_before_or_after_its_effect() {
    for (moment, expected) in [(Moment::Before, Status::Created), (Moment::After, Status::Running)] {
        let docker = FakeDocker::new();
        let engine = Arc::new(docker.engine(Options::new("a")));
        let id = engine.create(&spec("one")).await.expect("create");
        let _attachment = engine.attach(&id).await.expect("attach");
        let hold = docker.hold(Call::Start, moment);
        let starting = tokio::spawn({
            let (engine, id) = (Arc::clone(&engine), id.clone());
            async move { engine.start(&id).await }
        });
        hold.reached().await;
        assert_eq!(docker.containers()[0].status, expected, "{moment:?}");
        assert!(!starting.is_finished());
        drop(hold);
        starting.await.expect("task").expect("start");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_takes_its_time() {
    let docker = FakeDocker::new();
    docker.delay(Call::List, Duration::from_secs(20));
    let begun = docker.now();
    docker.engine(Options::new("a")).list().await.expect("list");
    assert_eq!(docker.now() - begun, chrono::Duration::seconds(20));
}

#[tokio::test(start_paused = true)]
async fn containers_outlive_the_daemon_or_do_not() {
    for (fate, code) in [(Fate::Survive, 7), (Fate::Die, 143)] {
        let docker = FakeDocker::new();
        let engine = Arc::new(docker.engine(Options::new("a")));
        let (id, mut output) = begin(&*engine, "one", "out 1; sleep 10s; out 2; sleep 10s; exit 7").await;
        assert!(output.next().await.is_some());
        let waiting = tokio::spawn({
            let (engine, id) = (Arc::clone(&engine), id.clone());
            async move { engine.wait(&id).await }
        });
        docker.down(fate);
        assert!(output.next().await.is_none(), "streams break");
        assert!(engine.info().await.expect_err("away").is_unavailable());
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!waiting.is_finished(), "waits wait");
        docker.up();
        assert_eq!(waiting.await.expect("task").expect("wait").code, code);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unread_attach_blocks_program_and_kill_until_it_is_closed() {
    let docker = FakeDocker::new();
    docker.with_backpressure(10);
    let engine = docker.engine(Options::new("a"));
    let (id, output) = begin(&engine, "one", "lines 1000").await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(docker.containers()[0].status, Status::Running, "blocked by the reader");
    assert!(engine.signal(&id, Signal::Kill).await.expect_err("blocked as well").is_unavailable());
    drop(output);
    assert_eq!(engine.wait(&id).await.expect("wait").code, 137);
}

#[tokio::test(start_paused = true)]
async fn others_can_interfere() {
    let docker = FakeDocker::new();
    let engine = docker.engine(Options::new("a"));
    let (killed, _output) = begin(&engine, "killed", "hang").await;
    let (removed, _output) = begin(&engine, "removed", "hang").await;
    docker.set_health(&killed, Health::Unhealthy);
    assert_eq!(engine.inspect(&killed).await.expect("inspect").expect("there").health, Health::Unhealthy);
    docker.kill_behind_our_back(&killed);
    assert_eq!(engine.wait(&killed).await.expect("wait").code, 137);
    docker.remove_behind_our_back(&removed);
    assert!(engine.wait(&removed).await.expect_err("gone").is_not_found());
}

#[tokio::test(start_paused = true)]
async fn a_new_server_finds_what_the_old_one_left() {
    let docker = FakeDocker::new();
    let old = docker.engine(Options::new("a"));
    let (id, output) = begin(&old, "one", "sleep 1h; exit 3").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop((old, output));
    let new = docker.engine(Options::new("a"));
    assert_eq!(new.list().await.expect("list")[0].run_id.as_deref(), Some("one"));
    assert_eq!(docker.job(&id), Some(job("sleep 1h; exit 3")));
    let exit = new.wait(&id).await.expect("wait");
    assert_eq!(exit.code, 3);
    assert_eq!(exit.finished_at - exit.started_at.expect("started"), chrono::Duration::hours(1));
}

#[tokio::test(start_paused = true)]
async fn nonsense_in_a_program_is_an_error_with_words() {
    let docker = FakeDocker::new();
    let engine = docker.engine(Options::new("a"));
    let (id, mut output) = begin(&engine, "one", "jump").await;
    let frame = output.next().await.expect("a complaint").expect("output");
    assert!(String::from_utf8_lossy(&frame.bytes).contains("jump"));
    assert_eq!(engine.wait(&id).await.expect("wait").code, 2);
}
