//! Docker as an operator sees it: by its own command line.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::wait::{until, within};

/// Label that every container and network of a server carries.
pub const INSTANCE: &str = "fastflow-instance";

/// Label that names a container's run.
pub const RUN: &str = "fastflow-run-id";

/// Label that says what a container is for.
pub const KIND: &str = "fastflow-kind";

/// Runs `docker` with these arguments and returns what it prints.
///
/// # Panics
/// When it fails or hangs.
pub async fn docker(arguments: &[&str]) -> String {
    let mut command = Command::new("docker");
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = within(&format!("docker {arguments:?}"), Duration::from_secs(30), command.output()).await;
    let output = output.expect("the docker command exists");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("docker prints text").trim().to_owned()
}

/// Ids of all containers of an instance, whatever their state.
pub async fn containers(instance: &str) -> Vec<String> {
    let filter = format!("label={INSTANCE}={instance}");
    docker(&["ps", "-aq", "--no-trunc", "--filter", &filter]).await.lines().map(str::to_owned).collect()
}

/// Waits until an instance has no container any more: a run's goes a moment after its end.
pub async fn all_gone(instance: &str) {
    let look = async || containers(instance).await.is_empty().then_some(());
    until("all containers to be gone", Duration::from_secs(10), look).await;
}

/// Ids of the containers of an instance that run.
pub async fn running(instance: &str) -> Vec<String> {
    let filter = format!("label={INSTANCE}={instance}");
    docker(&["ps", "-q", "--no-trunc", "--filter", &filter]).await.lines().map(str::to_owned).collect()
}

/// Id of the container of a run.
pub async fn container_of(run: &str) -> Option<String> {
    let filter = format!("label={RUN}={run}");
    docker(&["ps", "-aq", "--no-trunc", "--filter", &filter]).await.lines().next().map(str::to_owned)
}

/// All that Docker knows of a container.
pub async fn inspect(container: &str) -> Value {
    let text = docker(&["inspect", container]).await;
    let mut all: Vec<Value> = serde_json::from_str(&text).expect("docker inspect prints JSON");
    all.pop().expect("one container")
}

/// Name of the worker image.
#[must_use]
pub fn image() -> String {
    let set = std::env::var("WORKER_BASE_IMAGE").ok().filter(|name| !name.is_empty());
    set.unwrap_or_else(|| "ghcr.io/astral-sh/uv:python3.11-bookworm-slim".to_owned())
}

/// An image of a story's own; it is removed with the value.
#[derive(Debug)]
pub struct Image {
    /// Its name.
    pub name: String,
}

impl Image {
    /// The worker image with a change in the words of a Dockerfile, like `HEALTHCHECK CMD false`, and with what a script does
    /// to its files.
    pub async fn changed(change: Option<&str>, script: &str) -> Self {
        let image = Self { name: format!("fastflow-{}:1", crate::place::unique()) };
        let base = self::image();
        let container = docker(&["create", "--network", "none", &base, "sh", "-c", script]).await;
        docker(&["start", "-a", &container]).await;
        let mut arguments = vec!["commit"];
        arguments.extend(change.into_iter().flat_map(|change| ["--change", change]));
        arguments.extend([container.as_str(), &image.name]);
        docker(&arguments).await;
        docker(&["rm", &container]).await;
        image
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // Containers of a story that failed may still stand in the way; the sweep takes those.
        let mut remove = std::process::Command::new("docker");
        let _ = remove.args(["image", "rm", "-f", &self.name]).stdin(Stdio::null()).output();
    }
}

/// Removes everything of an instance. Blocking, for use while a story is dropped; says what went wrong and goes on.
pub fn remove_all_of(instance: &str) {
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new("docker").args(arguments).stdin(Stdio::null()).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let filter = format!("label={INSTANCE}={instance}");
    let containers = run(&["ps", "-aq", "--filter", &filter]);
    if !containers.is_empty() {
        let mut arguments = vec!["rm", "-f"];
        arguments.extend(containers.iter().map(String::as_str));
        run(&arguments);
    }
    let networks = run(&["network", "ls", "-q", "--filter", &filter]);
    if !networks.is_empty() {
        let mut arguments = vec!["network", "rm"];
        arguments.extend(networks.iter().map(String::as_str));
        run(&arguments);
    }
}

/// Instances that have containers or networks. Blocking.
pub(crate) fn instances() -> Vec<String> {
    let format = format!("{{{{.Label \"{INSTANCE}\"}}}}");
    let filter = format!("label={INSTANCE}");
    let mut found = Vec::new();
    for kind in [&["ps", "-a"][..], &["network", "ls"]] {
        let mut command = std::process::Command::new("docker");
        command.args(kind).args(["--filter", &filter, "--format", &format]).stdin(Stdio::null());
        let output = command.output().map(|output| output.stdout).unwrap_or_default();
        found.extend(String::from_utf8_lossy(&output).lines().map(str::to_owned));
    }
    found.sort_unstable();
    found.dedup();
    found
}
