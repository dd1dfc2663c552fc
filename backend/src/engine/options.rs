//! What an operator can set about the engine; `config` fills it.

use std::path::PathBuf;
use std::time::Duration;

/// The engine's settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of this Fast-Flow instance; the label and the network carry it, so two instances can share one Docker.
    pub instance: String,
    /// The server process that makes the containers; a label tells it, so that several servers of one instance leave each
    /// other's alone.
    pub server: String,
    /// Where Docker listens, in `DOCKER_HOST`'s notation; `None` is `unix:///var/run/docker.sock`. Only `unix://`.
    pub docker_host: Option<String>,
    /// Where folders of this process lie on Docker's host. Empty: find out (see `docker/host_paths.rs`).
    pub host_paths: Vec<HostPath>,
    /// Capabilities that every container gets although all others are dropped, such as `NET_BIND_SERVICE`.
    pub added_capabilities: Vec<String>,
    /// How long Docker may take to answer an ordinary call.
    pub deadline: Duration,
    /// How long Docker may take to create, start or remove a container, which a busy machine makes slow.
    pub slow_deadline: Duration,
    /// How long pulling an image may take.
    pub pull_deadline: Duration,
}

impl Options {
    /// The defaults for an instance of this name.
    #[must_use]
    pub fn new(instance: impl Into<String>) -> Self {
        Self {
            instance: instance.into(),
            server: String::new(),
            docker_host: None,
            host_paths: Vec::new(),
            added_capabilities: Vec::new(),
            deadline: Duration::from_secs(30),
            slow_deadline: Duration::from_secs(60),
            pull_deadline: Duration::from_secs(15 * 60),
        }
    }
}

/// One folder as this process sees it, and as Docker's host does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPath {
    /// Absolute path in this process's view.
    pub inside: PathBuf,
    /// The same folder's absolute path on Docker's host.
    pub on_host: PathBuf,
}
