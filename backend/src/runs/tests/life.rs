//! A run that nothing disturbs, and all the ways in which a script can end by itself.

use fastflow_shared::{ErrorType, LiveEvent, RunStatus};

use super::*;
use crate::engine::fake::{Call, Moment};

#[tokio::test]
async fn a_run_succeeds_and_leaves_nothing_but_its_row_and_log() {
    testing::on_both(async |store| {
        let world = World::on(store);
        let server = world.server();
        let run = server.start("lines 5 100ms; err done").await;
        let row = server.ended(&run).await;
        assert_eq!(outcome(&row), SUCCESS);
        assert_eq!(server.log(&run).await, format!("{}done\n", numbers(5)));
        assert!(server.marks(&run).await.is_empty());
        // Tokio's timers are up to a millisecond late, each of them.
        let lasted = row.finished_at.expect("ended").0 - row.started_at.expect("started").0;
        assert!((500..=510).contains(&lasted), "{lasted}");
        assert_eq!(row.uv_version.as_deref(), Some("0.9.1"));
        let stats = world.store.pipeline("p").await.expect("counted").stats;
        assert_eq!((stats.total_runs, stats.successful_runs, stats.failed_runs), (1, 1, 0));
        world.assert_clean(&server).await;
    })
    .await;
}

#[tokio::test]
async fn an_exit_code_is_told_with_the_exceptions_line() {
    let world = World::new().await;
    let server = world.server();
    let script = "err Traceback (most recent call last):;err   File x;err ValueError: no rows;exit 3";
    let run = server.start(script).await;
    let row = server.ended(&run).await;
    assert_eq!(outcome(&row), failed(ErrorType::ExitCode, Some(3)));
    assert_eq!(row.error_message.as_deref(), Some("Exit code 3: ValueError: no rows"));
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn the_kernels_flag_makes_it_out_of_memory() {
    let world = World::new().await;
    world.pipeline("p", r#"{"mem_hard_limit": "64m"}"#);
    let server = world.server();
    let run = server.start("memory 67000000; sleep 5s; oom").await;
    let row = server.ended(&run).await;
    assert_eq!(outcome(&row), failed(ErrorType::Oom, Some(137)));
    assert!(row.error_message.expect("told").contains("64 MB of 64 MB"));
    assert!(row.measured.ram_peak_mb.expect("measured") > 60.0);
}

#[tokio::test]
async fn what_is_written_without_newline_at_the_end_is_in_the_log() {
    let world = World::new().await;
    let server = world.server();
    let run = server.start("out a; hex out 62").await;
    server.ended(&run).await;
    assert_eq!(server.log(&run).await, "a\nb");
}

#[tokio::test]
async fn dependencies_that_cannot_be_prepared_fail_the_run_with_uvs_words() {
    let world = World::new().await;
    // The preparation's script knows no TARGET when it resolves.
    world.file("p", "requirements.txt", "nope\n");
    let server = world.server();
    let run = server.start("exit 0").await;
    let row = server.ended(&run).await;
    assert_eq!(outcome(&row), failed(ErrorType::Dependency, None));
    let marks = server.marks(&run).await;
    assert_eq!(marks[0], "TARGET unset", "uv's output comes first");
    assert!(marks[1].starts_with("The dependencies could not be installed"), "{marks:?}");
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn the_values_of_a_start_outrank_the_pipelines_and_are_wiped() {
    let world = World::new().await;
    world.pipeline("p", r#"{"default_env": {"A": "file", "B": "file"}}"#);
    let server = world.server();
    let mut start = script_start("env A; env B; env FASTFLOW_ATTEMPT");
    start.env_vars.insert("A".to_owned(), "start".to_owned());
    assert!(!format!("{start:?}").contains("\"start\""), "values are not printed");
    let run = server.launch("p", Trigger::Manual, start).await.expect("accepted").id;
    let row = server.ended(&run).await;
    assert_eq!(server.log(&run).await, "A=start\nB=file\nFASTFLOW_ATTEMPT=1\n");
    assert_eq!(row.spec.sealed_env, None);
}

#[tokio::test]
async fn viewers_are_told_of_each_step_with_its_true_status() {
    let world = World::new().await;
    let server = world.server();
    let mut events = server.subscribe();
    let run = server.start("exit 0").await;
    server.ended(&run).await;
    let mut seen = Vec::new();
    while let Ok(LiveEvent { kind, status: Some(status), .. }) = events.try_recv() {
        assert_eq!(kind, "run");
        if seen.last() != Some(&status) {
            seen.push(status);
        }
    }
    assert_eq!(seen, [RunStatus::Pending, RunStatus::Running, RunStatus::Success]);
}

#[tokio::test]
async fn an_image_that_somebody_removed_is_asked_for_again() {
    let world = World::new().await;
    let server = world.server();
    let first = server.start("exit 0").await;
    assert_eq!(outcome(&server.ended(&first).await), SUCCESS);
    let before = world.docker.count(Call::EnsureImage);
    let second = server.start("exit 0").await;
    assert_eq!(outcome(&server.ended(&second).await), SUCCESS);
    assert_eq!(world.docker.count(Call::EnsureImage), before + 1);
}

#[tokio::test]
async fn ninety_seven_is_an_exit_code_like_any_other() {
    let world = World::new().await;
    let server = world.server();
    for script in ["exit 97", "out my own words;exit 97"] {
        let run = server.start(script).await;
        assert_eq!(outcome(&server.ended(&run).await), failed(ErrorType::ExitCode, Some(97)), "{script}");
    }
}

#[tokio::test]
async fn a_watchdog_gives_up_a_silent_run_and_an_unhealthy_one() {
    let world = World::new().await;
    let server = world.server_with(|options| options.silence_limit = Some(Duration::from_secs(60)));
    let talks = server.start("lines 200 1s").await;
    let silent = server.start("out hello; hang").await;
    let unhealthy = server.start("health unhealthy; lines 200 1s").await;
    assert_eq!(outcome(&server.ended(&talks).await), SUCCESS);
    for run in [&silent, &unhealthy] {
        assert_eq!(outcome(&world.row(run).await), failed(ErrorType::Unhealthy, Some(137)));
    }
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn a_container_that_vanishes_is_lost() {
    let world = World::new().await;
    let server = world.server();
    let run = server.start("lines 3; hang").await;
    server.until_logged(&run, "3\n").await;
    world.docker.remove_behind_our_back(&world.container().id);
    let row = server.ended(&run).await;
    assert_eq!(outcome(&row), failed(ErrorType::Lost, None));
    assert_eq!(server.log(&run).await, numbers(3));
    assert!(server.marks(&run).await[0].starts_with("Its container vanished"));
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn code_and_log_are_ready_while_docker_starts_the_container() {
    let world = World::new().await;
    let server = world.server();
    server.ended(&server.start("exit 0").await).await;
    let hold = world.docker.hold(Call::Start, Moment::Before);
    let run = server.start("lines 3").await;
    hold.reached().await;
    let main = world.path("scratch").join(&run).join("app/main.py");
    until("the code is there", async || {
        (main.is_file() && log_file(&world.path("logs"), &run).is_file()).then_some(())
    })
    .await;
    assert_eq!(world.row(&run).await.container_id, None, "it has no job yet");
    hold.release();
    let row = server.ended(&run).await;
    assert_eq!(outcome(&row), SUCCESS);
    assert!(row.start_ms.is_some());
    assert_eq!(server.log(&run).await, numbers(3));
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn what_fails_beside_the_container_ends_the_run_and_removes_it() {
    let world = World::new().await;
    let server = world.server();
    server.ended(&server.start("exit 0").await).await;
    // Sealed with a key that is not there any more.
    let other = Keyring::parse("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "test").expect("a key");
    world.pipeline("p", &format!(r#"{{"encrypted_env": {{"A": "{}"}}}}"#, other.seal("x")));
    let created = world.docker.hold(Call::Create, Moment::After);
    let run = server.start("lines 3").await;
    created.reached().await;
    drop(created);
    let row = server.ended(&run).await;
    assert_eq!(outcome(&row), failed(ErrorType::Docker, None));
    assert!(row.error_message.expect("told").starts_with("The run was not started"));
    assert!(row.environment_key.is_some(), "what was known of it is stored");
    assert_eq!((row.container_id, server.log(&run).await.as_str()), (None, ""));
    world.assert_clean(&server).await;
}
