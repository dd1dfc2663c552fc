//! A Docker daemon of the story's own, which can be stopped and started again. Needs root, as a daemon does.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::wait::until;
use crate::{docker, place};

/// How long a daemon may take to answer.
const START: Duration = Duration::from_secs(60);

/// The daemon. When it is dropped, it ends together with its containers.
#[derive(Debug)]
pub struct Daemon {
    /// Its images and containers, on the disk of the build.
    data: PathBuf,
    /// Its sockets: their paths must be short.
    run: PathBuf,
    process: Option<Child>,
    /// Whether containers outlive it.
    live_restore: bool,
    /// Whether users in its containers are others outside.
    renames_users: bool,
}

impl Daemon {
    /// Starts a daemon that has the worker image. Its containers have no network but `none`.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start(live_restore: bool) -> Self {
        Self::start_as(live_restore, false).await
    }

    /// Starts a daemon with `userns-remap`: root in its containers is nobody outside.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start_renaming() -> Self {
        Self::start_as(false, true).await
    }

    async fn start_as(live_restore: bool, renames_users: bool) -> Self {
        let name = place::unique();
        let (data, run) = (place::scratch().join(format!("{name}-daemon")), std::env::temp_dir().join(&name));
        for folder in [&data, &run] {
            fs::create_dir_all(folder).expect("a folder");
        }
        let mut daemon = Self { data, run, process: None, live_restore, renames_users };
        daemon.come_up().await;
        let load = format!("docker save {} | docker -H {} load", docker::image(), daemon.host());
        let loaded = tokio::process::Command::new("sh").args(["-c", &load]).stdout(Stdio::null()).status().await;
        assert!(loaded.expect("a shell").success(), "the worker image can be loaded");
        daemon
    }

    /// Its address, as `DOCKER_HOST` has it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.at("socket"))
    }

    /// Starts it (again) and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub async fn come_up(&mut self) {
        let log = fs::File::create(self.at("log")).expect("a file for its messages");
        // In a network namespace of its own: a second daemon removes the first one's bridge, even when told to use none. It
        // ends with the story, however that ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "unshare", "--net"]);
        if self.renames_users {
            // Which ranges of users may be renamed to is written in two files of the machine; the daemon sees others instead.
            let ranges = self.at("ranges");
            fs::write(&ranges, "nobody:300000:65536\nnogroup:300000:65536\n").expect("a file");
            let see =
                format!("for file in subuid subgid; do mount --bind '{ranges}' /etc/$file || exit; done; exec \"$@\"");
            command.args(["--mount", "sh", "-c", &see, "sh", "dockerd", "--userns-remap", "nobody:nogroup"]);
        } else {
            command.arg("dockerd");
        }
        command
            .args(["-H", &self.host()])
            .args(["--data-root", &self.data.display().to_string(), "--exec-root", &self.at("exec")])
            .args(["-p", &self.at("pid"), "--bridge", "none", "--iptables=false", "--ip6tables=false"])
            .stdout(Stdio::null())
            .stderr(log);
        if self.live_restore {
            command.arg("--live-restore");
        }
        self.process = Some(command.spawn().expect("setpriv, unshare and dockerd are installed"));
        let host = self.host();
        until("the daemon to answer (a daemon needs root)", START, async || {
            let mut version = tokio::process::Command::new("docker");
            version.args(["-H", &host, "version"]).stdout(Stdio::null()).stderr(Stdio::null());
            version.status().await.is_ok_and(|status| status.success()).then_some(())
        })
        .await;
    }

    /// Stops it as a service manager does.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        terminate(&process);
        until("the daemon to end", START, async || process.try_wait().expect("its state")).await;
        self.forget();
    }

    /// Who was killed leaves these behind, and a successor would believe them.
    fn forget(&self) {
        for pid in ["pid", "exec/containerd/containerd.pid"] {
            let _ = fs::remove_file(self.run.join(pid));
        }
    }

    fn at(&self, name: &str) -> String {
        self.run.join(name).display().to_string()
    }
}

fn terminate(process: &Child) {
    if let Some(pid) = process.id().try_into().ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        // Its containers first: with live restore they would outlive it.
        let remove = format!("docker -H {0} ps -aq | xargs -r docker -H {0} rm -f", self.host());
        let _ = Command::new("sh").args(["-c", &remove]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        terminate(&process);
        let _ = process.wait();
        // A daemon with live restore keeps its folder mounted.
        let _ = Command::new("umount").arg(&self.data).stderr(Stdio::null()).status();
        for folder in [&self.data, &self.run] {
            let _ = fs::remove_dir_all(folder);
        }
    }
}
