//! From creation to removal: order, repetition, and calls that come too late.

use super::*;

contract! {
    output_and_exit_code_arrive,
    a_program_sees_its_environment,
    large_jobs_arrive,
    a_job_sent_before_the_start_arrives,
    a_launcher_without_a_job_fails,
    a_launcher_whose_server_died_before_the_start_fails,
    sigterm_ends_a_program,
    sigkill_ends_a_program_that_ignores_sigterm,
    a_kill_works_when_nobody_reads_once_the_attach_is_closed,
    waiting_may_begin_before_the_start_and_be_repeated,
    a_start_runs_a_program_once,
    names_are_unique_and_plain,
    a_container_that_is_gone_is_gone,
    removal_ends_a_running_container,
    a_wait_ends_when_the_container_is_removed,
    times_are_docker_s,
}

async fn output_and_exit_code_arrive(ground: Ground) {
    let job = ground.job("echo out; echo err >&2; exit 3", "out out; err err; exit 3");
    let outcome = ground.run("a", &job).await;
    assert_eq!(outcome.exit.code, 3);
    assert!(!outcome.exit.oom_killed);
    assert_eq!(outcome.exit.error, None);
    assert_eq!(text(&outcome.stdout), "out\n");
    assert_eq!(text(&outcome.stderr), "err\n");
    let state = ground.state(&outcome.id).await;
    assert_eq!((state.status, state.exit_code, state.pid), (Status::Exited, Some(3), None));
    assert_eq!(state.exit().expect("ended"), outcome.exit);
}

async fn a_program_sees_its_environment(ground: Ground) {
    let mut job = ground.job("echo \"A=$A\"", "env A");
    job.env.push(("A".to_owned(), "two words, a 'quote', $HOME".to_owned()));
    let outcome = ground.run("a", &job).await;
    assert_eq!(text(&outcome.stdout), "A=two words, a 'quote', $HOME\n");
}

async fn large_jobs_arrive(ground: Ground) {
    let mut job = ground.job("echo \"V9=$V9\"", "env V9");
    let large = "0123456789".repeat(10_000);
    job.env.extend((0..10).map(|n| (format!("V{n}"), large.clone())));
    let outcome = ground.run("a", &job).await;
    assert_eq!(text(&outcome.stdout), format!("V9={large}\n"));
}

async fn a_job_sent_before_the_start_arrives(ground: Ground) {
    let id = ground.engine.create(&ground.spec("a")).await.expect("create");
    let Attachment { output, input } = ground.engine.attach(&id).await.expect("attach");
    input.send(&ground.job("echo early", "out early")).await.expect("hand over the job");
    ground.engine.start(&id).await.expect("start");
    assert_eq!(text(&drain(output).await.0), "early\n");
    assert_eq!(ground.engine.wait(&id).await.expect("wait").code, 0);
}

async fn a_launcher_without_a_job_fails(ground: Ground) {
    let id = ground.engine.create(&ground.spec("a")).await.expect("create");
    let attachment = ground.engine.attach(&id).await.expect("attach");
    ground.engine.start(&id).await.expect("start");
    // The server dies.
    drop(attachment);
    assert_eq!(ground.engine.wait(&id).await.expect("wait").code, launcher::NO_JOB_EXIT_CODE);
    let (stdout, stderr) = ground.logged(&id).await;
    assert_eq!(text(&stdout), "");
    assert!(text(&stderr).contains("ended without starting its job"), "{}", text(&stderr));
}

async fn a_launcher_whose_server_died_before_the_start_fails(ground: Ground) {
    let id = ground.engine.create(&ground.spec("a")).await.expect("create");
    drop(ground.engine.attach(&id).await.expect("attach"));
    ground.engine.start(&id).await.expect("start");
    assert_eq!(ground.engine.wait(&id).await.expect("wait").code, launcher::NO_JOB_EXIT_CODE);
}

async fn sigterm_ends_a_program(ground: Ground) {
    // A program without a handler: only an init as process 1 lets the signal end it.
    let (id, output) = ground.begin("a", &ground.job("echo up; exec sleep 1000", "out up; hang")).await;
    let reader = tokio::spawn(drain(output));
    while ground.logged(&id).await.0.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ground.engine.signal(&id, Signal::Terminate).await.expect("signal");
    assert_eq!(ground.engine.wait(&id).await.expect("wait").code, 143);
    assert_eq!(text(&reader.await.expect("reader").0), "up\n");
    ground.engine.signal(&id, Signal::Terminate).await.expect("signalling an ended container is fine");
}

async fn sigkill_ends_a_program_that_ignores_sigterm(ground: Ground) {
    let job = ground.job("trap '' TERM; echo up; exec sleep 1000", "term ignore; out up; hang");
    let (id, mut output) = ground.begin("a", &job).await;
    read_lines(&mut output, 1).await;
    ground.engine.signal(&id, Signal::Terminate).await.expect("signal");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(ground.state(&id).await.status, Status::Running);
    ground.engine.signal(&id, Signal::Kill).await.expect("kill");
    let exit = ground.engine.wait(&id).await.expect("wait");
    assert_eq!((exit.code, exit.oom_killed), (137, false));
    drain(output).await;
}

async fn a_kill_works_when_nobody_reads_once_the_attach_is_closed(ground: Ground) {
    let (id, output) = ground.begin("a", &ground.job("exec yes", "lines 100000 1ms")).await;
    // Long enough for every buffer between the program and us to be full.
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(output);
    ground.engine.signal(&id, Signal::Kill).await.expect("kill");
    assert_eq!(ground.engine.wait(&id).await.expect("wait").code, 137);
}

async fn waiting_may_begin_before_the_start_and_be_repeated(ground: Ground) {
    let id = ground.engine.create(&ground.spec("a")).await.expect("create");
    let early = tokio::spawn({
        let (engine, id) = (Arc::clone(&ground.engine), id.clone());
        async move { engine.wait(&id).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!early.is_finished(), "a created container has not ended");
    let Attachment { output, input } = ground.engine.attach(&id).await.expect("attach");
    ground.engine.start(&id).await.expect("start");
    input.send(&ground.job("exit 5", "exit 5")).await.expect("hand over the job");
    drain(output).await;
    let exit = early.await.expect("task").expect("wait");
    assert_eq!(exit.code, 5);
    assert_eq!(ground.engine.wait(&id).await.expect("again"), exit);
}

async fn a_start_runs_a_program_once(ground: Ground) {
    let (id, mut output) = ground.begin("a", &ground.job("echo once; exec sleep 1000", "out once; hang")).await;
    read_lines(&mut output, 1).await;
    let started_at = ground.state(&id).await.started_at;
    ground.engine.start(&id).await.expect("starting a running container is fine");
    ground.engine.signal(&id, Signal::Kill).await.expect("kill");
    let exit = ground.engine.wait(&id).await.expect("wait");
    ground.engine.start(&id).await.expect("starting an ended container is fine, and does nothing");
    assert_eq!(ground.engine.wait(&id).await.expect("wait"), exit);
    assert_eq!(ground.state(&id).await.started_at, started_at);
    assert_eq!(text(&ground.logged(&id).await.0), "once\n");
}

async fn names_are_unique_and_plain(ground: Ground) {
    ground.engine.create(&ground.spec("a")).await.expect("create");
    let error = ground.engine.create(&ground.spec("a")).await.expect_err("the name is taken");
    assert!(matches!(&error, EngineError::Conflict { message } if message.contains("already in use")), "{error}");
    for name in ["", "a", "-ab", "a b", "ä-b", "a/b"] {
        let error = ground.engine.create(&ContainerSpec { name: name.into(), ..ground.spec("b") }).await.err();
        assert!(matches!(error, Some(EngineError::Invalid { .. })), "{name:?}: {error:?}");
    }
}

async fn a_container_that_is_gone_is_gone(ground: Ground) {
    let outcome = ground.run("a", &ground.job("exit 0", "exit 0")).await;
    let engine = &ground.engine;
    let id = &outcome.id;
    engine.remove(id).await.expect("remove");
    engine.remove(id).await.expect("removing twice is fine");
    engine.signal(id, Signal::Kill).await.expect("signalling what is gone is fine");
    assert!(engine.inspect(id).await.expect("inspect").is_none());
    assert!(engine.list().await.expect("list").is_empty());
    let not_found = [
        engine.wait(id).await.err(),
        engine.start(id).await.err(),
        engine.pause(id).await.err(),
        engine.unpause(id).await.err(),
        engine.attach(id).await.err(),
        engine.reattach(id).await.err(),
        engine.stored_log(id, None).await.err(),
        engine.update_limits(id, &Limits { pids: Some(7), ..Limits::default() }).await.err(),
    ];
    for (call, error) in not_found.into_iter().enumerate() {
        let error = error.expect("it is gone");
        assert!(error.is_not_found(), "{call}: {error:?}");
    }
    let stats = match engine.stats(id).await {
        Ok(mut samples) => samples.next().await.expect("an item").err(),
        Err(error) => Some(error),
    };
    assert!(stats.expect("it is gone").is_not_found());
}

async fn removal_ends_a_running_container(ground: Ground) {
    let (id, output) = ground.begin("a", &ground.job("exec sleep 1000", "hang")).await;
    let reader = tokio::spawn(drain(output));
    ground.engine.remove(&id).await.expect("remove");
    assert!(ground.engine.inspect(&id).await.expect("inspect").is_none());
    reader.await.expect("the stream ends");
}

async fn a_wait_ends_when_the_container_is_removed(ground: Ground) {
    let (id, output) = ground.begin("a", &ground.job("exec sleep 1000", "hang")).await;
    let reader = tokio::spawn(drain(output));
    let waiting = tokio::spawn({
        let (engine, id) = (Arc::clone(&ground.engine), id.clone());
        async move { engine.wait(&id).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    ground.engine.remove(&id).await.expect("remove");
    match waiting.await.expect("task") {
        Ok(exit) => assert_eq!(exit.code, 137),
        Err(error) => assert!(error.is_not_found(), "{error}"),
    }
    reader.await.expect("the stream ends");
}

async fn times_are_docker_s(ground: Ground) {
    let outcome = ground.run("a", &ground.job("sleep 0.3", "sleep 300ms")).await;
    let state = ground.state(&outcome.id).await;
    let (created, started) = (state.created_at.expect("created"), outcome.exit.started_at.expect("started"));
    assert!(created <= started);
    let lasted = outcome.exit.finished_at - started;
    assert!(lasted >= chrono::Duration::milliseconds(300), "{lasted}");
    assert!(lasted < chrono::Duration::seconds(20), "{lasted}");
}
