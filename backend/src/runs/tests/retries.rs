//! Attempts after a failed one.

use super::*;

/// The chain that begins with `run`, waited for to its end.
async fn chain(server: &Server, run: &str) -> Vec<RunRow> {
    let mut rows = vec![server.ended(run).await];
    while let Some(next) = rows.last().and_then(|row| row.retried_by.clone()) {
        rows.push(server.ended(&next).await);
    }
    rows
}

#[tokio::test]
async fn each_attempt_is_a_run_of_its_own_linked_and_in_its_time() {
    let strategies = [
        (r#"{"type": "fixed_delay", "delay": 60}"#, [60, 60, 60]),
        (r#"{"type": "exponential_backoff", "initial_delay": 10, "max_delay": 30, "multiplier": 2}"#, [10, 20, 30]),
        (r#"{"type": "custom_schedule", "delays": [5, 3600]}"#, [5, 3600, 3600]),
    ];
    for (strategy, waits) in strategies {
        let world = World::new().await;
        world.pipeline("p", &format!(r#"{{"retry_attempts": 3, "retry_strategy": {strategy}}}"#));
        let server = world.server();
        let run = server.start("env FASTFLOW_ATTEMPT; exit 2").await;
        let rows = chain(&server, &run).await;
        assert_eq!(rows.iter().map(|row| row.spec.attempt).collect::<Vec<_>>(), [1, 2, 3, 4]);
        for (pair, wait) in rows.windows(2).zip(waits) {
            let [before, after] = pair else { unreachable!() };
            assert_eq!(after.spec.retry_of.as_ref(), Some(&before.spec.id));
            assert_eq!((after.spec.trigger, &after.spec.parameters), (Trigger::Retry, &before.spec.parameters));
            let waited = (after.started_at.expect("ran").0 - before.finished_at.expect("ended").0) / 1000;
            assert_eq!(waited, wait, "{strategy}");
            assert_eq!(server.log(&after.spec.id).await, format!("FASTFLOW_ATTEMPT={}\n", after.spec.attempt));
        }
        let stats = world.store.pipeline("p").await.expect("counted").stats;
        assert_eq!((stats.total_runs, stats.failed_runs), (4, 4));
        world.assert_clean(&server).await;
    }
}

#[tokio::test]
async fn waiting_holds_no_slot_and_can_be_cancelled() {
    let world = World::new().await;
    world.pipeline("p", r#"{"retry_attempts": 5, "retry_strategy": {"type": "fixed_delay", "delay": 600}}"#);
    let server = world.server_with(|options| (options.max_concurrent, options.max_queued) = (1, 0));
    let run = server.start("exit 2").await;
    let next = server.ended(&run).await.retried_by.expect("another attempt");
    server.until_phase(&next, Phase::Waiting).await;
    assert_eq!((server.load().running, server.load().queued, server.count("p")), (0, 0, (1, 0)));
    let other = server.start("exit 0").await;
    server.ended(&other).await;
    cancel(&server, &next).await.expect("accepted");
    let row = server.ended(&next).await;
    assert_eq!(outcome(&row), failed(ErrorType::Cancelled, None));
    assert_eq!(row.retried_by, None);
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn a_crash_while_waiting_changes_nothing() {
    let world = World::new().await;
    world.pipeline("p", r#"{"retry_attempts": 1, "retry_strategy": {"type": "fixed_delay", "delay": 600}}"#);
    let server = world.server();
    let mut start = script_start("env SECRET; exit 2");
    start.env_vars.insert("SECRET".to_owned(), "x".to_owned());
    let run = server.launch("p", Trigger::Manual, start).await.expect("accepted").id;
    let first = server.ended(&run).await;
    let next = first.retried_by.expect("another attempt");
    server.until_phase(&next, Phase::Waiting).await;
    server.crash().await;
    pause(60_000).await;
    let server = world.server();
    assert_eq!(server.recover().await.expect("recovered").requeued, 1);
    server.until_phase(&next, Phase::Waiting).await;
    let row = server.ended(&next).await;
    let waited = (row.started_at.expect("ran").0 - first.finished_at.expect("ended").0) / 1000;
    assert_eq!(waited, 600);
    assert_eq!(server.log(&next).await, "SECRET=x\n");
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn the_values_of_a_start_survive_a_crash_of_the_attempt_before() {
    let world = World::new().await;
    world.pipeline("p", r#"{"retry_attempts": 1, "retry_strategy": {"type": "fixed_delay", "delay": 1}}"#);
    let server = world.server();
    let mut start = script_start("env SECRET; sleep 60s; exit 2");
    start.env_vars.insert("SECRET".to_owned(), "x".to_owned());
    let run = server.launch("p", Trigger::Manual, start).await.expect("accepted").id;
    server.until_status(&run, RunStatus::Running).await;
    server.crash().await;
    let server = world.server();
    server.recover().await.expect("recovered");
    let rows = chain(&server, &run).await;
    assert_eq!(rows.len(), 2);
    assert_eq!(server.log(&rows[1].spec.id).await, "SECRET=x\n");
    assert!(rows.iter().all(|row| row.spec.sealed_env.is_none()), "wiped at the end");
}

#[tokio::test]
async fn an_attempt_by_hand_may_exceed_the_number_and_is_linked() {
    let world = World::new().await;
    let server = world.server();
    let run = server.start("exit 2").await;
    server.ended(&run).await;
    let again = server.launch_again(&run, super::super::Again::Retry, Trigger::Manual, None).await.expect("accepted");
    assert_eq!((again.attempt, again.max_attempts, again.retry_of.as_ref()), (2, 2, Some(&run)));
    assert_eq!(outcome(&server.ended(&again.id).await), failed(ErrorType::ExitCode, Some(2)));
    let working = server.start("hang").await;
    let refused = server.launch_again(&working, super::super::Again::Same, Trigger::Manual, None).await;
    assert!(matches!(refused, Err(LaunchError::NotEnded(_))));
}
