//! The daemon goes away and comes back while a container runs; on a daemon of the test's own, because others use this
//! machine's. That needs root, as a daemon does.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::super::contract::{IMAGE, drain, text};
use super::super::*;

/// A Docker daemon in a folder of its own.
struct Daemon {
    folder: tempfile::TempDir,
    process: std::process::Child,
    live_restore: bool,
}

impl Daemon {
    fn new(live_restore: bool) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let process = Self::spawn(folder.path(), live_restore);
        let daemon = Self { folder, process, live_restore };
        daemon.await_answer();
        let load = format!("set -e; docker save {IMAGE} | docker -H {} load", daemon.host());
        assert!(Command::new("sh").args(["-c", &load]).stdout(Stdio::null()).status().expect("sh").success());
        daemon
    }

    fn spawn(folder: &std::path::Path, live_restore: bool) -> std::process::Child {
        let at = |name: &str| folder.join(name).display().to_string();
        // In a network namespace of its own: a second daemon removes the first one's bridge, even when told to use none.
        let mut command = Command::new("unshare");
        command
            .args(["--net", "dockerd", "-H", &format!("unix://{}", at("socket"))])
            .args(["--data-root", &at("data"), "--exec-root", &at("exec")])
            .args(["-p", &at("pid"), "--bridge", "none", "--iptables=false", "--ip6tables=false"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if live_restore {
            command.arg("--live-restore");
        }
        command.spawn().expect("unshare, dockerd, and root")
    }

    fn host(&self) -> String {
        format!("unix://{}/socket", self.folder.path().display())
    }

    fn await_answer(&self) {
        for _ in 0..100 {
            let version = Command::new("docker").args(["-H", &self.host(), "version"]).output().expect("docker");
            if version.status.success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("the daemon does not answer");
    }

    fn stop(&mut self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
        self.process.wait().expect("it ends");
        // Who was killed leaves these behind, and a successor would believe them.
        for pid in ["pid", "exec/containerd/containerd.pid"] {
            let _ = std::fs::remove_file(self.folder.path().join(pid));
        }
    }

    fn start(&mut self) {
        self.process = Self::spawn(self.folder.path(), self.live_restore);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Its containers first: with live restore they would outlive it.
        let remove = format!("docker -H {0} ps -aq | xargs -r docker -H {0} rm -f", self.host());
        let _ = Command::new("sh").args(["-c", &remove]).stdout(Stdio::null()).status();
        self.stop("-TERM");
        // A daemon with live restore keeps its folder mounted.
        let _ = Command::new("umount").arg(self.folder.path().join("data")).stderr(Stdio::null()).status();
    }
}

/// Runs a container through a stop and a start of the daemon; returns its exit code and how many of its 100 lines came.
async fn through_a_restart(signal: &str, live_restore: bool) -> (i64, usize) {
    let mut daemon = Daemon::new(live_restore);
    let options = Options { docker_host: Some(daemon.host()), ..Options::new("test") };
    let engine: Arc<dyn Engine> = Arc::new(DockerEngine::new(options).expect("engine"));
    let spec = ContainerSpec {
        name: "one".into(),
        kind: Kind::Run,
        image: IMAGE.into(),
        user: "10001:10001".into(),
        run_id: None,
        pipeline: None,
        mounts: Vec::new(),
        network: Network::None,
        limits: Limits::default(),
    };
    let id = engine.create(&spec).await.expect("create");
    let Attachment { output, input } = engine.attach(&id).await.expect("attach");
    engine.start(&id).await.expect("start");
    let count = "i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo $i; sleep 0.1; done";
    let argv = ["/bin/sh", "-c", count].map(str::to_owned).to_vec();
    input.send(&Job { argv, env: Vec::new(), cwd: "/".into() }).await.expect("job");
    let waiting = tokio::spawn({
        let (engine, id) = (Arc::clone(&engine), id.clone());
        async move { engine.wait(&id).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;

    daemon.stop(signal);
    let (mut journal, _) = drain(output).await;
    for call in [engine.info().await.err(), engine.list().await.err(), engine.inspect(&id).await.err()] {
        assert!(call.expect("it is away").is_unavailable());
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished(), "an absent daemon is no exit");
    daemon.start();
    daemon.await_answer();

    let tail = journal.clone().into();
    let stdout = StreamPosition { bytes: journal.len() as u64, tail, mask: None };
    let resumed = resume(Arc::clone(&engine), &id, Position { stdout, ..Position::default() }).await.expect("resume");
    assert_eq!(resumed.gaps, []);
    journal.extend(drain(resumed.output).await.0);
    let lines = text(&journal).lines().count();
    assert_eq!(text(&journal), (1..=lines).map(|line| format!("{line}\n")).collect::<String>());
    let exit = waiting.await.expect("task").expect("wait");
    (exit.code, lines)
}

#[tokio::test]
async fn with_live_restore_a_run_outlives_its_daemon() {
    for signal in ["-TERM", "-KILL"] {
        assert_eq!(through_a_restart(signal, true).await, (0, 100), "{signal}");
    }
}

#[tokio::test]
async fn without_live_restore_a_run_ends_with_its_daemon_and_says_so() {
    for signal in ["-TERM", "-KILL"] {
        let (code, lines) = through_a_restart(signal, false).await;
        assert_eq!(code, 143, "{signal}");
        assert!((5..100).contains(&lines), "{signal}: {lines}");
    }
}
