//! Ending the server: within ten seconds, and so that the next one can go on.

use super::*;

/// The shutdown, in the time that a system gives it.
async fn shut_down(server: &Server) {
    let begin = Instant::now();
    server.shutdown().await;
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert!(server.inner.tasks.is_empty(), "nobody works any more");
}

#[tokio::test]
async fn runs_are_left_to_continue_and_the_next_server_goes_on() {
    testing::on_both(async |store| {
        let world = World::on(store);
        world.pipeline("w", r#"{"retry_attempts": 1, "retry_strategy": {"type": "fixed_delay", "delay": 30}}"#);
        let server = world.server_with(|options| options.max_concurrent = 1);
        let retried = server.start_of("w", "exit 1").await;
        let waits = server.ended(&retried).await.retried_by.expect("another attempt");
        let runs = server.start("lines 100 100ms").await;
        let queued = server.start("out later").await;
        server.until_logged(&runs, "20\n").await;
        let mut events = server.subscribe();
        shut_down(&server).await;
        assert_eq!(world.row(&runs).await.status, RunStatus::Interrupted);
        assert_eq!(events.try_recv().expect("told").status, Some(RunStatus::Interrupted));
        assert_eq!(world.row(&queued).await.status, RunStatus::Pending);
        assert_eq!(world.row(&waits).await.status, RunStatus::Pending);
        assert_eq!(world.containers().len(), 1, "left alone");
        pause(2000).await;

        let server = world.server_with(|options| options.max_concurrent = 1);
        let recovery = server.recover().await.expect("recovered");
        assert_eq!((recovery.reattached, recovery.requeued, recovery.removed), (1, 2, 0));
        assert_eq!((server.load().running, server.load().queued), (1, 1));
        assert_eq!(outcome(&server.ended(&runs).await), SUCCESS);
        assert_eq!(server.log(&runs).await, numbers(100));
        assert_eq!(server.marks(&runs).await, Vec::<String>::new());
        assert_eq!(outcome(&server.ended(&queued).await), SUCCESS);
        assert_eq!(outcome(&server.ended(&waits).await), failed(ErrorType::ExitCode, Some(1)));
        world.assert_clean(&server).await;
    })
    .await;
}

#[tokio::test]
async fn runs_are_stopped_when_the_operator_wants_it_and_the_queue_is_kept() {
    let world = World::new().await;
    let server = world.server_with(|options| {
        options.stop_on_shutdown = true;
        options.max_concurrent = 2;
        options.cancel_grace = Duration::from_secs(60);
    });
    let heeds = server.start("term exit 0; hang").await;
    let ignores = server.start("term ignore; hang").await;
    let queued = server.start("exit 0").await;
    server.until_status(&heeds, RunStatus::Running).await;
    server.until_status(&ignores, RunStatus::Running).await;
    shut_down(&server).await;
    assert_eq!(outcome(&world.row(&heeds).await), failed(ErrorType::Cancelled, Some(0)));
    assert_eq!(outcome(&world.row(&ignores).await), failed(ErrorType::Cancelled, Some(137)));
    assert_eq!(world.row(&queued).await.status, RunStatus::Pending, "it had not started, so nothing stops it");
    assert!(world.containers().is_empty());
    let server = world.server();
    server.recover().await.expect("recovered");
    assert_eq!(outcome(&server.ended(&queued).await), SUCCESS);
}

#[tokio::test]
async fn docker_being_away_fails_nobody_at_a_shutdown() {
    let world = World::new().await;
    let server = world.server();
    let starts = server.start("exit 0").await;
    server.ended(&starts).await;
    let runs = server.start("lines 50 1s").await;
    server.until_logged(&runs, "2\n").await;
    let waits = server.start("out x").await;
    world.docker.down(engine::fake::Fate::Survive);
    pause(3000).await;
    shut_down(&server).await;
    assert_eq!(world.row(&runs).await.status, RunStatus::Interrupted);
    assert!(!world.row(&waits).await.status.is_final(), "{}", world.row(&waits).await.status);
    world.docker.up();
    let server = world.server();
    server.recover().await.expect("recovered");
    assert_eq!(outcome(&server.ended(&runs).await), SUCCESS);
    assert_eq!(server.log(&runs).await, numbers(50));
    assert_eq!(outcome(&server.ended(&waits).await), SUCCESS);
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn a_timeout_goes_on_counting_while_no_server_runs() {
    let world = World::new().await;
    world.pipeline("p", r#"{"timeout": 100}"#);
    let server = world.server();
    let run = server.start("hang").await;
    server.until_status(&run, RunStatus::Running).await;
    shut_down(&server).await;
    pause(60_000).await;
    let server = world.server();
    server.recover().await.expect("recovered");
    let row = server.ended(&run).await;
    assert_eq!(outcome(&row), failed(ErrorType::Timeout, Some(137)));
    let lasted = (row.finished_at.expect("ended").0 - row.started_at.expect("started").0) / 1000;
    assert!((100..103).contains(&lasted), "{lasted}");
}

#[tokio::test]
async fn an_outcome_that_cannot_be_recorded_stays_with_its_container() {
    let mut world = World::new().await;
    let server = world.server();
    let run = server.start("lines 5 100ms; exit 3").await;
    server.until_logged(&run, "2\n").await;
    world.store.close().await;
    until("it has ended", async || world.container().exit_code).await;
    pause(20_000).await;
    shut_down(&server).await;
    assert_eq!(world.container().exit_code, Some(3), "it is all that knows how the run ended");
    world.reopen_database().await;
    assert_eq!(world.row(&run).await.status, RunStatus::Running);
    let server = world.server();
    assert_eq!(server.recover().await.expect("recovered").completed, 1);
    assert_eq!(outcome(&server.ended(&run).await), failed(ErrorType::ExitCode, Some(3)));
    assert_eq!(server.log(&run).await, numbers(5));
    world.assert_clean(&server).await;
}
