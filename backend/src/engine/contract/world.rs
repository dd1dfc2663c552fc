//! What is around a container: instances, images, networks, limits, statistics.

use super::*;

contract! {
    an_instance_sees_its_own_containers_only,
    the_engine_introduces_itself,
    images_are_there_or_say_why_not,
    the_network_can_be_made_by_many_at_once,
    a_missing_mount_source_is_named,
    impossible_limits_are_refused,
    limits_can_be_changed,
    too_much_memory_is_reported_as_such,
    statistics_arrive,
}

async fn an_instance_sees_its_own_containers_only(ground: Ground) {
    let ended = ground.run("ended", &ground.job("exit 0", "exit 0")).await.id;
    let (running, _output) = ground.begin("running", &ground.job("exec sleep 1000", "hang")).await;
    let spec = ContainerSpec { kind: Kind::Preparation, run_id: None, pipeline: None, ..ground.spec("created") };
    let created = ground.engine.create(&spec).await.expect("create");
    let foreign = ground.neighbour.create(&ground.spec("foreign")).await.expect("create");

    let list = ground.engine.list().await.expect("list");
    let find = |id: &ContainerId| list.iter().find(|summary| summary.id == *id).expect("listed");
    assert_eq!(list.len(), 3);
    assert_eq!(find(&ended).status, Status::Exited);
    assert_eq!(find(&created).status, Status::Created);
    let summary = find(&running);
    assert_eq!(summary.status, Status::Running);
    assert_eq!(summary.name, ground.spec("running").name);
    assert_eq!(summary.run_id.as_deref(), Some("run-running"));
    assert_eq!(summary.pipeline.as_deref(), Some("test"));
    assert_eq!(summary.kind, Some(Kind::Run));
    assert_eq!((find(&created).kind, &find(&created).run_id), (Some(Kind::Preparation), &None));

    let theirs = ground.neighbour.list().await.expect("list");
    assert_eq!(theirs.iter().map(|summary| &summary.id).collect::<Vec<_>>(), [&foreign]);

    let state = ground.state(&running).await;
    assert!(state.pid.is_some() && state.started_at.is_some() && state.finished_at.is_none());
    assert_eq!((state.exit_code, state.exit(), state.health), (None, None, Health::None));
    assert_eq!(state.labels[label::RUN_ID], "run-running");
    assert_eq!(state.labels[label::INSTANCE], ground.instance);
}

async fn the_engine_introduces_itself(ground: Ground) {
    let info = ground.engine.info().await.expect("info");
    assert!(!info.engine_version.is_empty() && info.api_version.starts_with("1."), "{info:?}");
    assert!(info.init_available, "without docker-init no container starts; install tini");
    assert!(matches!(info.cgroup_version, 1 | 2) && info.cpus > 0 && info.memory_bytes > 0, "{info:?}");
}

async fn images_are_there_or_say_why_not(ground: Ground) {
    let image = ground.engine.ensure_image(&ground.image).await.expect("there");
    assert!(image.id.starts_with("sha256:"), "{image:?}");
    assert_eq!(image.reference, ground.image);

    let nowhere = "registry.invalid/fastflow/none:1";
    let error = ground.engine.ensure_image(nowhere).await.expect_err("nobody answers for .invalid");
    assert!(matches!(&error, EngineError::PullFailed { image, .. } if image == nowhere), "{error:?}");
    assert!(error.to_string().contains("check the network"), "{error}");

    let spec = ContainerSpec { image: nowhere.to_owned(), ..ground.spec("a") };
    let error = ground.engine.create(&spec).await.expect_err("not there");
    assert!(matches!(&error, EngineError::ImageMissing { image, .. } if image == nowhere), "{error:?}");
}

async fn the_network_can_be_made_by_many_at_once(ground: Ground) {
    let many = (0..4).map(|_| ground.engine.ensure_network());
    for made in futures_util::future::join_all(many).await {
        made.expect("made");
    }
    ground.engine.ensure_network().await.expect("it is there");
    let spec = ContainerSpec { network: Network::Own, ..ground.spec("a") };
    let id = ground.engine.create(&spec).await.expect("create");
    let Attachment { output, input } = ground.engine.attach(&id).await.expect("attach");
    ground.engine.start(&id).await.expect("start");
    input.send(&ground.job("exit 4", "exit 4")).await.expect("hand over the job");
    drain(output).await;
    assert_eq!(ground.engine.wait(&id).await.expect("wait").code, 4);
}

async fn a_missing_mount_source_is_named(ground: Ground) {
    let source = std::path::PathBuf::from("/nonexistent/of fastflow");
    let mount = Mount::Bind { source: source.clone(), target: "/data".into(), read_only: true };
    let spec = ContainerSpec { mounts: vec![mount], ..ground.spec("a") };
    let error = ground.engine.create(&spec).await.expect_err("not there");
    assert!(matches!(&error, EngineError::MountMissing { path } if *path == source), "{error:?}");
}

async fn impossible_limits_are_refused(ground: Ground) {
    let too_small = [
        Limits { memory_bytes: Some(1 << 20), ..Limits::default() },
        Limits { cpus: Some(0.001), ..Limits::default() },
    ];
    for limits in too_small {
        let spec = ContainerSpec { limits, ..ground.spec("a") };
        let error = ground.engine.create(&spec).await.expect_err("refused");
        assert!(matches!(error, EngineError::Invalid { .. }), "{error:?}");
    }
    // More than the machine has is not too much.
    let limits = Limits { cpus: Some(4096.0), ..Limits::default() };
    ground.engine.create(&ContainerSpec { limits, ..ground.spec("a") }).await.expect("as many as there are");
}

async fn limits_can_be_changed(ground: Ground) {
    let (id, _output) = ground.begin("a", &ground.job("exec sleep 1000", "hang")).await;
    let limits = Limits { cpus: Some(0.5), memory_bytes: Some(512 << 20), pids: Some(50) };
    ground.engine.update_limits(&id, &limits).await.expect("raise");
    let mut samples = ground.engine.stats(&id).await.expect("stats");
    let sample = samples.next().await.expect("a sample").expect("stats");
    assert_eq!(sample.memory_limit_bytes, 512 << 20);
    // One alone leaves the others.
    ground
        .engine
        .update_limits(&id, &Limits { memory_bytes: Some(128 << 20), ..Limits::default() })
        .await
        .expect("lower");
    let sample = samples.next().await.expect("a sample").expect("stats");
    assert!(sample.memory_limit_bytes <= 512 << 20);
}

async fn too_much_memory_is_reported_as_such(ground: Ground) {
    let spec =
        ContainerSpec { limits: Limits { memory_bytes: Some(32 << 20), ..Limits::default() }, ..ground.spec("a") };
    let id = ground.engine.create(&spec).await.expect("create");
    let Attachment { output, input } = ground.engine.attach(&id).await.expect("attach");
    ground.engine.start(&id).await.expect("start");
    let eat = "exec python3 -c 'x = bytearray(256 << 20)'";
    input.send(&ground.job(eat, "oom")).await.expect("hand over the job");
    drain(output).await;
    let exit = ground.engine.wait(&id).await.expect("wait");
    assert_eq!((exit.code, exit.oom_killed), (137, true));
}

async fn statistics_arrive(ground: Ground) {
    let shell = "python3 -c \"x = b'x' * (64 << 20)\nwhile True: pass\"";
    let (id, _output) = ground.begin("a", &ground.job(shell, "memory 67108864; cpu 100; hang")).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut samples = ground.engine.stats(&id).await.expect("stats");
    let first = samples.next().await.expect("a sample").expect("stats");
    let mut last = first.clone();
    for _ in 0..2 {
        last = samples.next().await.expect("a sample").expect("stats");
    }
    let apart = last.read_at - first.read_at;
    assert!(apart >= chrono::Duration::milliseconds(1500), "two seconds, more or less: {apart}");
    let percent = last.cpu_percent_since(&first).expect("time has passed");
    assert!((10.0..130.0).contains(&percent), "one core, on a machine that may be busy: {percent}");
    assert!(last.memory_usage_bytes >= 60 << 20 && last.memory_usage_bytes < 200 << 20, "{last:?}");
    assert_eq!(last.memory_limit_bytes, 256 << 20);
    assert!(last.pids >= 1);
    ground.engine.signal(&id, Signal::Kill).await.expect("kill");
    let end = async { while samples.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), end).await.expect("the stream ends with its container");
}
