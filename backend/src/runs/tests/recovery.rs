//! What the next server makes of what a crash left: every status of a row with every state of a container.

use super::*;
use crate::domain::run::Event;
use crate::engine::fake::{Call, Moment};
use crate::engine::{ContainerId, Engine, Job, Status};
use crate::store::{Facts, NewRun, Report};

/// Everything that a server awaits at least once in the life of a run, with the moment before and after its effect.
const CALLS: [Call; 9] = [
    Call::EnsureImage,
    Call::EnsureNetwork,
    Call::Create,
    Call::Attach,
    Call::Start,
    Call::Wait,
    Call::Stats,
    Call::Remove,
    Call::List,
];

#[tokio::test]
async fn a_crash_around_every_call_to_docker_leaves_one_true_end_and_a_whole_log() {
    for call in CALLS.into_iter().filter(|call| *call != Call::List) {
        for moment in [Moment::Before, Moment::After] {
            let world = World::new().await;
            let server = world.server();
            server.ended(&server.start("exit 0").await).await;
            let hold = world.docker.hold(call, moment);
            let run = server.start("lines 50 20ms; err end; exit 3").await;
            tokio::time::timeout(Duration::from_secs(60), hold.reached()).await.expect("the call is made");
            server.crash().await;
            drop(hold);
            pause(300).await;
            let server = world.server();
            server.recover().await.expect("recovered");
            let row = server.ended(&run).await;
            assert_eq!(outcome(&row), failed(ErrorType::ExitCode, Some(3)), "{call:?} {moment:?}");
            assert_eq!(server.log(&run).await, format!("{}end\n", numbers(50)), "{call:?} {moment:?}");
            assert_eq!(server.marks(&run).await, Vec::<String>::new(), "{call:?} {moment:?}");
            let stats = world.store.pipeline("p").await.expect("counted").stats;
            assert_eq!((stats.total_runs, stats.failed_runs), (2, 1), "{call:?} {moment:?}");
            server.recover().await.expect("recovered");
            world.assert_clean(&server).await;
        }
    }
}

#[tokio::test]
async fn a_crash_at_every_step_of_time_leaves_one_true_end_and_a_whole_log() {
    for milliseconds in (0..260).step_by(13) {
        let world = World::new().await;
        let server = world.server();
        server.ended(&server.start("exit 0").await).await;
        let run = server.start("lines 20 10ms; exit 3").await;
        pause(milliseconds).await;
        for _ in 0..milliseconds % 7 {
            tokio::task::yield_now().await;
        }
        server.crash().await;
        pause(milliseconds * 31 % 200).await;
        let server = world.server();
        server.recover().await.expect("recovered");
        let row = server.ended(&run).await;
        assert_eq!(outcome(&row), failed(ErrorType::ExitCode, Some(3)), "{milliseconds} ms");
        assert_eq!(server.log(&run).await, numbers(20), "{milliseconds} ms");
        server.recover().await.expect("recovered");
        world.assert_clean(&server).await;
    }
}

/// What is found of a container.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Found {
    Nothing,
    Created,
    /// Started by a server that died before it handed over the job, and noticed.
    GaveUp,
    /// The same, not noticed yet.
    WithoutJob,
    Running,
    Frozen,
    Exited,
}

const FOUND: [Found; 7] =
    [Found::Nothing, Found::Created, Found::GaveUp, Found::WithoutJob, Found::Running, Found::Frozen, Found::Exited];

/// Puts a container of `run` into that state, as a server that is gone did.
async fn leave(world: &World, engine: &dyn Engine, run: &str, found: Found) -> Option<ContainerId> {
    if found == Found::Nothing {
        return None;
    }
    let spec = engine::ContainerSpec {
        name: format!("fastflow-run-{run}"),
        kind: engine::Kind::Run,
        image: IMAGE.to_owned(),
        user: "1:1".to_owned(),
        run_id: Some(run.to_owned()),
        pipeline: Some("p".to_owned()),
        mounts: Vec::new(),
        network: Network::Own,
        limits: engine::Limits::default(),
    };
    let id = engine.create(&spec).await.expect("created");
    if found == Found::Created {
        return Some(id);
    }
    let engine::Attachment { output, input } = engine.attach(&id).await.expect("attached");
    engine.start(&id).await.expect("started");
    if found == Found::GaveUp {
        drop((output, input));
        pause(10).await;
        return Some(id);
    }
    if found == Found::WithoutJob {
        // Docker notices a little later that nobody is there any more.
        tokio::spawn(async move {
            pause(500).await;
            drop((output, input));
        });
        return Some(id);
    }
    let script = if found == Found::Exited { "out old; exit 3" } else { "out old; sleep 5s; exit 3" };
    let env = vec![(program::VARIABLE.to_owned(), script.to_owned())];
    input.send(&Job { argv: vec!["x".to_owned()], env, cwd: "/".to_owned() }).await.expect("sent");
    drop(output);
    pause(100).await;
    if found == Found::Frozen {
        engine.pause(&id).await.expect("frozen");
    }
    let status = world.container().status;
    let expected = match found {
        Found::Exited => Status::Exited,
        Found::Frozen => Status::Paused,
        _ => Status::Running,
    };
    assert_eq!(status, expected);
    Some(id)
}

/// Which end a run finds: by a new container, by the one that was found, or without any.
#[derive(Debug, PartialEq)]
enum End {
    Anew,
    OfTheFound,
    Lost,
}

#[tokio::test]
async fn every_status_with_every_container() {
    for status in [RunStatus::Pending, RunStatus::Running, RunStatus::Interrupted] {
        for found in FOUND {
            for asked_to_stop in [false, true] {
                let world = World::new().await;
                let server = world.server();
                let run = insert(&world, &server, &[], "out new; exit 0").await;
                let engine = world.docker.engine(engine::Options::new(INSTANCE));
                let container = leave(&world, &engine, &run, found).await;
                let known = container.as_ref().map_or("gone".to_owned(), |id| id.as_str().to_owned());
                let events: &[Event] = match status {
                    RunStatus::Running => &[Event::Started],
                    RunStatus::Interrupted => &[Event::Started, Event::WatchLost],
                    _ => &[],
                };
                if !events.is_empty() {
                    let facts = Facts { container_id: Some(known), ..Facts::default() };
                    record(&world, &run, events, facts).await;
                }
                if asked_to_stop {
                    let reason = crate::domain::outcome::StopReason::Cancelled { by: None };
                    world.store.request_stop(&run, &reason, world.clock.now()).await.expect("stored");
                }
                server.recover().await.expect("recovered");
                let row = server.ended(&run).await;
                let log = server.log(&run).await;
                let case = format!("{status} with {found:?}, asked to stop: {asked_to_stop}: {row:?} {log:?}");

                let pending = status == RunStatus::Pending;
                let end = match found {
                    Found::Created => End::Anew,
                    Found::Nothing | Found::GaveUp | Found::WithoutJob if pending => End::Anew,
                    Found::Nothing => End::Lost,
                    // A row that says RUNNING had its job handed over, or nearly.
                    _ => End::OfTheFound,
                };
                if asked_to_stop {
                    assert_eq!((row.status, row.error_type), (RunStatus::Failed, Some(ErrorType::Cancelled)), "{case}");
                    assert!(!log.contains("new"), "{case}");
                } else {
                    let expected = match (&end, found) {
                        (End::Anew, _) => SUCCESS,
                        (End::Lost, _) => failed(ErrorType::Lost, None),
                        (_, Found::GaveUp | Found::WithoutJob) => failed(ErrorType::Docker, None),
                        _ => failed(ErrorType::ExitCode, Some(3)),
                    };
                    assert_eq!(outcome(&row), expected, "{case}");
                    let text = match (&end, found) {
                        (End::Anew, _) => "new\n",
                        (End::Lost, _) => "",
                        (_, Found::GaveUp | Found::WithoutJob) => engine::launcher::COMPLAINT,
                        _ => "old\n",
                    };
                    assert_eq!(log, text, "{case}");
                }
                server.recover().await.expect("recovered");
                world.assert_clean(&server).await;
            }
        }
    }
}

/// A stored run that nobody drives, brought to a status.
async fn insert(world: &World, server: &Server, events: &[Event], script: &str) -> String {
    insert_with(world, server, events, script, |_| {}).await
}

async fn insert_with(
    world: &World,
    server: &Server,
    events: &[Event],
    script: &str,
    change: impl Fn(&mut NewRun),
) -> String {
    let stored = std::sync::Mutex::new(None);
    // Taken from a start, so that it is what a server stores.
    let refused = server.launch_with("p", Trigger::Manual, script_start(script), async |new| {
        let mut new = new.clone();
        change(&mut new);
        world.store.insert_run(&new).await?;
        *stored.lock().expect("free") = Some(new.id);
        Ok(false)
    });
    assert!(refused.await.expect("no failure").is_none());
    let run = stored.into_inner().expect("free").expect("stored");
    if !events.is_empty() {
        record(world, &run, events, Facts::default()).await;
    }
    run
}

async fn record(world: &World, run: &str, events: &[Event], facts: Facts) {
    let report = Report { run_id: run, expected: &[], events, facts, knows_stop: true, now: world.clock.now() };
    assert!(world.store.record(&report).await.expect("answered").applied());
}

#[tokio::test]
async fn a_run_of_another_installation_is_left_alone() {
    let world = World::new().await;
    let ours = world.server();
    let theirs = world.server_with(|options| options.instance = "other".to_owned());
    let run = theirs.start("lines 30 100ms").await;
    theirs.until_logged(&run, "3\n").await;
    let waiting = insert_with(&world, &ours, &[], "exit 0", |new| new.instance = Some("other".to_owned())).await;
    assert_eq!(ours.recover().await.expect("recovered"), super::super::Recovery::default());
    assert_eq!(world.row(&run).await.status, RunStatus::Running);
    assert_eq!(world.row(&waiting).await.status, RunStatus::Pending);
    assert_eq!(outcome(&theirs.ended(&run).await), SUCCESS);
}

#[tokio::test]
async fn what_belongs_to_no_run_is_removed_and_a_run_that_cannot_be_read_keeps_what_it_has() {
    let world = World::new().await;
    let server = world.server();
    let engine = world.docker.engine(engine::Options::new(INSTANCE));
    let stray = uuid::Uuid::now_v7().to_string();
    leave(&world, &engine, &stray, Found::Running).await;
    for folder in [&stray, "not a run"] {
        std::fs::create_dir_all(world.path("scratch").join(folder)).expect("a folder");
    }
    let recovery = server.recover().await.expect("recovered");
    assert_eq!((recovery.removed, recovery.folders), (1, 1));
    assert!(world.path("scratch/not a run").exists(), "somebody else's");
    std::fs::remove_dir(world.path("scratch/not a run")).expect("removed");

    let run = server.start("lines 100 100ms").await;
    server.until_logged(&run, "3\n").await;
    server.crash().await;
    world.store.break_run_for_tests(&run).await;
    let server = world.server();
    let recovery = server.recover().await.expect("recovered");
    assert_eq!((recovery.removed, recovery.folders), (0, 0), "a newer release may be able to read it");
    assert_eq!(world.container().status, Status::Running);
}

#[tokio::test]
async fn one_run_that_cannot_be_taken_up_does_not_keep_the_others() {
    let world = World::new().await;
    let server = world.server();
    let first = server.start("lines 10 100ms").await;
    let second = server.start("lines 10 100ms").await;
    server.until_logged(&second, "3\n").await;
    server.crash().await;
    let server = world.server();
    let message = "odd".to_owned();
    world.docker.fail_next(Call::Inspect, engine::EngineError::Other { call: "inspect", message, source: None });
    server.recover().await.expect_err("told");
    assert_eq!(outcome(&server.ended(&second).await), SUCCESS);
    server.recover().await.expect("recovered");
    assert_eq!(outcome(&server.ended(&first).await), SUCCESS);
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn what_a_recovery_saw_may_be_out_of_date_when_it_comes_to_act() {
    // The run waits when the rows are read, then it is started, ends, and is let go, before its turn comes.
    let world = World::new().await;
    let server = Arc::new(world.server_with(|options| options.max_concurrent = 1));
    let working = server.start("sleep 1s").await;
    let waiting = server.start("out once").await;
    let stuck = insert(&world, &server, &[Event::Started, Event::WatchLost], "exit 0").await;
    let hold = world.docker.hold(Call::Inspect, Moment::Before);
    record_container(&world, &stuck).await;
    let recovery = tokio::spawn({
        let server = server.clone();
        async move { server.recover().await }
    });
    hold.reached().await;
    server.ended(&working).await;
    assert_eq!(outcome(&server.ended(&waiting).await), SUCCESS);
    drop(hold);
    recovery.await.expect("no panic").expect("recovered");
    server.ended(&stuck).await;
    assert_eq!(server.log(&waiting).await, "once\n", "it was not run a second time");
    let stats = world.store.pipeline("p").await.expect("counted").stats;
    assert_eq!(stats.total_runs, 3);
    world.assert_clean(&server).await;
}

async fn record_container(world: &World, run: &str) {
    let used = store::UsedEnvironment::default();
    let note = store::StartNote { container_id: "gone", warm_at: None, used: &used, env_names: &[], mask: None };
    world.store.note_start(run, &note).await.expect("stored");
}

#[tokio::test]
async fn found_containers_hold_their_slots_before_the_queue_is_served() {
    let world = World::new().await;
    let server = world.server_with(|options| options.max_concurrent = 2);
    // The older one has crashed before it had a container.
    let waiting = insert(&world, &server, &[], "exit 0").await;
    pause(10).await;
    let mut working = Vec::new();
    for _ in 0..2 {
        working.push(server.start("sleep 60s").await);
    }
    server.until_status(&working[1], RunStatus::Running).await;
    server.crash().await;
    let server = world.server_with(|options| options.max_concurrent = 2);
    server.recover().await.expect("recovered");
    assert_eq!((server.load().running, server.load().queued), (2, 1));
    for run in working.iter().chain([&waiting]) {
        assert_eq!(outcome(&server.ended(run).await), SUCCESS);
    }
}

#[tokio::test]
async fn a_driver_that_panics_gives_its_run_up_to_the_recovery() {
    let world = World::new().await;
    let server = world.server();
    let run = server.start("lines 100 100ms").await;
    server.until_logged(&run, "3\n").await;
    // A panic and an abort end a task alike: everything it holds is dropped.
    for task in server.inner.spawned.lock().expect("free").drain(..) {
        task.abort();
    }
    until("it is let go", async || server.inner.live.all().is_empty().then_some(())).await;
    assert_eq!(server.load().running, 0);
    assert_eq!(server.recover().await.expect("recovered").reattached, 1);
    assert_eq!(outcome(&server.ended(&run).await), SUCCESS);
    assert_eq!(server.log(&run).await, numbers(100));
    world.assert_clean(&server).await;
}

/// A run whose server died, and whose log is a folder now: nobody can open it. Returns its log and where the true one lies.
async fn with_a_log_that_cannot_be_opened(world: &World, script: &str) -> (String, PathBuf, PathBuf) {
    let server = world.server();
    let run = server.start(script).await;
    server.until_logged(&run, "5\n").await;
    server.crash().await;
    let file = log_file(&server.logs, &run);
    let kept = file.with_extension("kept");
    std::fs::rename(&file, &kept).expect("moved away");
    std::fs::create_dir(&file).expect("in its place");
    (run, file, kept)
}

#[tokio::test]
async fn a_log_that_cannot_be_opened_does_not_keep_a_run_from_its_true_end() {
    for (script, expected) in
        [("lines 50 100ms; exit 3", failed(ErrorType::ExitCode, Some(3))), ("lines 50 100ms", SUCCESS)]
    {
        let world = World::new().await;
        let (run, ..) = with_a_log_that_cannot_be_opened(&world, script).await;
        let server = world.server();
        server.recover().await.expect("recovered");
        let row = server.ended(&run).await;
        assert_eq!(outcome(&row), expected);
        let told = row.error_message.unwrap_or_default();
        assert_eq!(told.contains("LOGS_DIR"), expected != SUCCESS, "{told}");
        world.assert_clean(&server).await;
    }
}

#[tokio::test]
async fn a_run_without_its_log_can_be_cancelled_and_times_out() {
    for cancels in [true, false] {
        let world = World::new().await;
        world.pipeline("p", r#"{"timeout": 30}"#);
        let (run, ..) = with_a_log_that_cannot_be_opened(&world, "lines 9; sleep 600s").await;
        let server = world.server();
        server.recover().await.expect("recovered");
        if cancels {
            cancel(&server, &run).await.expect("accepted");
        }
        let row = server.ended(&run).await;
        let kind = if cancels { ErrorType::Cancelled } else { ErrorType::Timeout };
        assert_eq!((row.status, row.error_type), (RunStatus::Failed, Some(kind)));
        world.assert_clean(&server).await;
    }
}

#[tokio::test]
async fn a_log_that_can_be_opened_again_is_whole() {
    // While the run works, and in the moments after its end.
    for after in [2_000, 9_000, 11_500] {
        let world = World::new().await;
        let (run, file, kept) = with_a_log_that_cannot_be_opened(&world, "lines 100 100ms; exit 3").await;
        let server = world.server();
        server.recover().await.expect("recovered");
        pause(after).await;
        std::fs::remove_dir(&file).expect("gone");
        std::fs::rename(&kept, &file).expect("back");
        assert_eq!(outcome(&server.ended(&run).await), failed(ErrorType::ExitCode, Some(3)), "{after}");
        assert_eq!(server.log(&run).await, numbers(100), "{after}");
        assert_eq!(server.marks(&run).await, Vec::<String>::new(), "{after}");
        world.assert_clean(&server).await;
    }
}
