//! What only a real container can show: hardening, isolation, what `docker inspect` reveals, the host's own tools.

use std::sync::Arc;

use futures_util::StreamExt;

use super::super::contract::{Ground, docker_options, drain, on_docker, read_lines, text};
use super::super::*;
use super::create::network_name;

fn script(shell: &str) -> Job {
    Job { argv: vec!["/bin/sh".into(), "-c".into(), shell.into()], env: Vec::new(), cwd: "/tmp".into() }
}

/// A container from `spec`, run to its end.
async fn run(ground: &Ground, spec: &ContainerSpec, job: &Job) -> (Exit, String) {
    let id = ground.engine.create(spec).await.expect("create");
    let Attachment { output, input } = ground.engine.attach(&id).await.expect("attach");
    ground.engine.start(&id).await.expect("start");
    input.send(job).await.expect("hand over the job");
    let (stdout, stderr) = drain(output).await;
    (ground.engine.wait(&id).await.expect("wait"), text(&stdout) + &text(&stderr))
}

#[tokio::test]
async fn a_container_is_hardened() {
    on_docker(|ground| async move {
        let checks = "
            echo uid=$(id -u) gid=$(id -g) groups=$(id -G)
            grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status
            touch /usr/x /etc/x /x 2>&1 | grep -c 'Read-only file system'
            touch /tmp/x && echo tmp=writable
            cat /proc/1/comm
            ls /var/run/docker.sock /run/docker.sock 2>/dev/null; echo no-socket
            readlink /proc/self/fd/0";
        let (exit, output) = run(&ground, &ground.spec("a"), &script(checks)).await;
        assert_eq!(exit.code, 0, "{output}");
        for expected in [
            "uid=10001 gid=10001 groups=10001\n",
            "CapInh:\t0000000000000000\n",
            "CapPrm:\t0000000000000000\n",
            "CapEff:\t0000000000000000\n",
            "CapBnd:\t0000000000000000\n",
            "CapAmb:\t0000000000000000\n",
            "NoNewPrivs:\t1\n",
            "Seccomp:\t2\n",
            "\n3\ntmp=writable\n",
            "docker-init\nno-socket\n",
            "/dev/null\n",
        ] {
            assert!(output.contains(expected), "{expected:?} is not in:\n{output}");
        }
    })
    .await;
}

#[tokio::test]
async fn docker_inspect_shows_no_value_of_the_job() {
    on_docker(|ground| async move {
        let mut job = script("test \"$TOKEN\" = s3cret-value && echo inside; exec sleep 1000 arg-s3cret-value");
        job.env.push(("TOKEN".into(), "s3cret-value".into()));
        let id = ground.engine.create(&ground.spec("a")).await.expect("create");
        let Attachment { mut output, input } = ground.engine.attach(&id).await.expect("attach");
        ground.engine.start(&id).await.expect("start");
        input.send(&job).await.expect("hand over the job");
        read_lines(&mut output, 1).await;

        let docker = DockerEngine::new(docker_options(&ground.instance)).expect("engine");
        let name = id.clone();
        let deadline = docker.options.deadline;
        let inspect = docker
            .client
            .call("inspect", deadline, |docker| async move { docker.inspect_container(name.as_str(), None).await });
        let shown = serde_json::to_string(&inspect.await.expect("inspect")).expect("JSON");
        assert!(shown.contains(&ground.instance), "it is the right container");
        assert!(!shown.contains("s3cret") && !shown.contains("TOKEN"), "{shown}");
    })
    .await;
}

#[tokio::test]
async fn a_program_that_cannot_be_run_says_why_by_its_exit_code() {
    on_docker(|ground| async move {
        let of = |program: &str| Job { argv: vec![program.into()], env: Vec::new(), cwd: "/".into() };
        assert_eq!(run(&ground, &ground.spec("a"), &of("/nonexistent")).await.0.code, 127);
        assert_eq!(run(&ground, &ground.spec("b"), &of("/etc/passwd")).await.0.code, 126);
        let lost = Job { cwd: "/nonexistent".into(), ..of("/bin/true") };
        let (exit, output) = run(&ground, &ground.spec("c"), &lost).await;
        assert_eq!(exit.code, launcher::NO_JOB_EXIT_CODE, "{output}");
    })
    .await;
}

#[tokio::test]
async fn a_folder_is_mounted_as_asked() {
    on_docker(|ground| async move {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("file"), "content").expect("file");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).expect("permissions");
        let bind = |target: &str, read_only| Mount::Bind {
            source: folder.path().to_owned(),
            target: target.into(),
            read_only,
        };
        let spec = ContainerSpec { mounts: vec![bind("/ro", true), bind("/rw", false)], ..ground.spec("a") };
        let job = Job {
            cwd: "/rw".into(),
            ..script("cat /ro/file; touch /ro/x 2>/dev/null || echo refused; echo new > made")
        };
        let (exit, output) = run(&ground, &spec, &job).await;
        assert_eq!((exit.code, output.as_str()), (0, "contentrefused\n"));
        assert_eq!(std::fs::read_to_string(folder.path().join("made")).expect("made"), "new\n");
    })
    .await;
}

#[tokio::test]
async fn containers_on_the_own_network_reach_out_but_not_each_other() {
    on_docker(|ground| async move {
        ground.engine.ensure_network().await.expect("network");
        let spec = |name: &str| ContainerSpec { network: Network::Own, ..ground.spec(name) };
        let serve = "hostname -i; exec python3 -m http.server 8000 --bind 0.0.0.0 --directory /tmp 2>/dev/null";
        let server = ground.engine.create(&spec("server")).await.expect("create");
        let Attachment { mut output, input } = ground.engine.attach(&server).await.expect("attach");
        ground.engine.start(&server).await.expect("start");
        input.send(&script(serve)).await.expect("hand over the job");
        let address = text(&read_lines(&mut output, 1).await).trim().to_owned();
        tokio::spawn(drain(output));

        // From the host the server answers; from a container beside it, it does not.
        let reach = |address: &str| {
            format!("import socket; socket.create_connection(('{address}', 8000), timeout=2).close(); print('reached')")
        };
        let mut answered = false;
        for _ in 0..50 {
            answered = tokio::net::TcpStream::connect(format!("{address}:8000")).await.is_ok();
            if answered {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert!(answered, "the server listens at {address}");
        let job = Job { argv: vec!["python3".into(), "-c".into(), reach(&address)], ..script("") };
        let (exit, output) = run(&ground, &spec("client"), &job).await;
        assert_ne!(exit.code, 0, "{output}");
        assert!(!output.contains("reached"), "{output}");

        // And without a network there is nothing at all but the loopback.
        let (_, output) = run(&ground, &ground.spec("alone"), &script("ls /sys/class/net | tr '\\n' ' '")).await;
        assert_eq!(output, "lo ");
    })
    .await;
}

#[tokio::test]
async fn a_pruned_network_is_made_again_for_the_next_start() {
    on_docker(|ground| async move {
        ground.engine.ensure_network().await.expect("network");
        let spec = |name: &str| ContainerSpec { network: Network::Own, ..ground.spec(name) };
        let id = ground.engine.create(&spec("a")).await.expect("create");
        let docker = DockerEngine::new(docker_options(&ground.instance)).expect("engine");
        docker.remove_network().await.expect("prune");
        let attachment = ground.engine.attach(&id).await.expect("attach");
        // The failed start cuts off the attachment, so a second attempt must not leave a launcher that waits for ever.
        for _ in 0..2 {
            let error = ground.engine.start(&id).await.expect_err("no network");
            assert!(matches!(error, EngineError::StartFailed { class: StartFailure::Docker, .. }), "{error:?}");
        }
        assert_eq!(ground.engine.inspect(&id).await.expect("inspect").expect("there").status, Status::Created);
        drop(attachment);
        assert_eq!(run(&ground, &spec("b"), &script("exit 6")).await.0.code, 6);
    })
    .await;
}

#[tokio::test]
async fn twins_of_the_network_are_removed() {
    on_docker(|ground| async move {
        // Several servers of one instance begin in the same moment.
        let engines: Vec<_> =
            (0..4).map(|_| Arc::new(DockerEngine::new(docker_options(&ground.instance)).expect("engine"))).collect();
        let made = engines.iter().map(|engine| engine.ensure_network());
        for result in futures_util::future::join_all(made).await {
            result.expect("made");
        }
        let name = network_name(&ground.instance);
        let list = engines[0].client.call("list networks", engines[0].options.deadline, |docker| async move {
            docker.list_networks(None).await
        });
        let same = list.await.expect("list").into_iter().filter(|network| network.name.as_ref() == Some(&name)).count();
        assert_eq!(same, 1);
    })
    .await;
}

#[tokio::test]
async fn a_start_between_twins_of_the_network_is_worth_another_one() {
    on_docker(|ground| async move {
        let docker = DockerEngine::new(docker_options(&ground.instance)).expect("engine");
        docker.ensure_network().await.expect("network");
        let spec = |name: &str| ContainerSpec { network: Network::Own, ..ground.spec(name) };
        let id = ground.engine.create(&spec("a")).await.expect("create");
        // As another server does at the same moment. A newer Docker than 23 does not let it.
        docker.create_network().await.expect("a twin");
        if docker.own_networks().await.expect("list").len() == 2 {
            let error = ground.engine.start(&id).await.expect_err("of two networks none is meant");
            assert!(error.is_unavailable(), "so it is tried again: {error:?}");
        }
        assert_eq!(docker.own_networks().await.expect("list").len(), 1);
        assert_eq!(run(&ground, &spec("b"), &script("exit 6")).await.0.code, 6);
    })
    .await;
}

#[tokio::test]
async fn a_limit_on_processes_holds() {
    on_docker(|ground| async move {
        let limits = Limits { pids: Some(10), ..Limits::default() };
        let spec = ContainerSpec { limits, ..ground.spec("a") };
        let bomb = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep 5 & done; wait";
        let (_, output) = run(&ground, &spec, &script(bomb)).await;
        assert!(output.contains("Cannot fork"), "{output}");
    })
    .await;
}

#[tokio::test]
async fn a_throttled_container_shows_in_the_statistics() {
    on_docker(|ground| async move {
        let limits = Limits { cpus: Some(0.2), ..Limits::default() };
        let spec = ContainerSpec { limits, ..ground.spec("a") };
        let id = ground.engine.create(&spec).await.expect("create");
        let Attachment { output: _output, input } = ground.engine.attach(&id).await.expect("attach");
        ground.engine.start(&id).await.expect("start");
        input.send(&script("while :; do :; done")).await.expect("hand over the job");
        let mut samples = ground.engine.stats(&id).await.expect("stats");
        let mut next = async || samples.next().await.expect("a sample").expect("stats");
        let first = next().await;
        let mut last = next().await;
        // A machine so busy that the container does not even get its share throttles nobody; that passes.
        for _ in 0..30 {
            if last.throttled_periods > first.throttled_periods {
                break;
            }
            last = next().await;
        }
        assert!(last.throttled_periods > first.throttled_periods && last.periods > first.periods, "{first:?} {last:?}");
        let percent = last.cpu_percent_since(&first).expect("time has passed");
        assert!(percent < 40.0, "{percent}");
    })
    .await;
}

#[tokio::test]
async fn the_flag_for_too_much_memory_is_there_when_the_exit_is() {
    on_docker(|ground| async move {
        for round in 0..5 {
            let limits = Limits { memory_bytes: Some(24 << 20), ..Limits::default() };
            let spec = ContainerSpec { limits, ..ground.spec(&round.to_string()) };
            let eat = "exec python3 -c 'x = bytearray(256 << 20)'";
            let (exit, output) = run(&ground, &spec, &script(eat)).await;
            assert_eq!((exit.code, exit.oom_killed), (137, true), "round {round}: {output}");
        }
    })
    .await;
}
