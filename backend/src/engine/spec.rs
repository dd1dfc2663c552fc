//! What a container shall be: decided once, before it exists.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::{EngineError, Result};

/// The labels that every container of ours carries. Recovery finds containers by them, so they never change.
pub mod label {
    /// Which Fast-Flow instance the container belongs to.
    pub const INSTANCE: &str = "fastflow-instance";
    /// Which run it executes.
    pub const RUN_ID: &str = "fastflow-run-id";
    /// Which pipeline that run belongs to.
    pub const PIPELINE: &str = "fastflow-pipeline";
    /// Which server process of that instance made it.
    pub const SERVER: &str = "fastflow-server";
    /// What the container is for, see [`super::Kind`].
    pub const KIND: &str = "fastflow-kind";
}

/// Docker's full id of a container (64 hex digits).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId(String);

impl ContainerId {
    /// Takes an id as Docker gave it.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as Docker wants it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    /// The twelve digits that `docker ps` shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..12).unwrap_or(&self.0))
    }
}

/// What a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It executes a run's program.
    Run,
    /// It builds a dependency environment, without secrets.
    Preparation,
}

impl Kind {
    /// The value of the label [`label::KIND`].
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Preparation => "preparation",
        }
    }

    /// Reads the label's value; `None` when it was written by a newer Fast-Flow.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Run, Self::Preparation].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// All that is decided about a container when it is created. It holds no secret: those come with the job.
///
/// Hardening is not in here because it is always on: read-only root file system, all capabilities dropped, no new
/// privileges, an init as process 1, memory and swap limited together.
#[derive(Clone, Debug)]
pub struct ContainerSpec {
    /// Unique name, `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// Image id or reference; it must be there, see [`super::Engine::ensure_image`].
    pub image: String,
    /// `uid:gid` of the program.
    pub user: String,
    /// The run it is for (label), if any.
    pub run_id: Option<String>,
    /// The pipeline it is for (label), if any.
    pub pipeline: Option<String>,
    /// What it sees besides its image.
    pub mounts: Vec<Mount>,
    /// What it can reach.
    pub network: Network,
    /// What it may use.
    pub limits: Limits,
}

impl ContainerSpec {
    /// Docker gives a container with an empty name one of its own choice, and nobody would find it by name again.
    pub(super) fn check(&self) -> Result<()> {
        let mut name = self.name.bytes();
        let begins = name.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let goes_on = name.len() > 0 && name.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if !(begins && goes_on) {
            return Err(EngineError::Invalid { message: format!("{:?} is not a name for a container", self.name) });
        }
        self.limits.check()
    }

    /// The labels by which an instance finds its containers again.
    pub(super) fn labels(&self, instance: &str, server: &str) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([
            (label::INSTANCE.to_owned(), instance.to_owned()),
            (label::SERVER.to_owned(), server.to_owned()),
            (label::KIND.to_owned(), self.kind.as_str().to_owned()),
        ]);
        labels.extend(self.run_id.clone().map(|id| (label::RUN_ID.to_owned(), id)));
        labels.extend(self.pipeline.clone().map(|name| (label::PIPELINE.to_owned(), name)));
        labels
    }
}

/// Something mounted into a container. Targets are absolute paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mount {
    /// A file or folder that exists, as *this process* sees it; the engine translates it for Docker's host.
    Bind {
        /// Absolute path in this process's view.
        source: PathBuf,
        /// Where the container sees it.
        target: String,
        /// Whether the container may write.
        read_only: bool,
    },
    /// An empty folder in memory that anybody in the container may write; it counts towards the memory limit.
    Tmpfs {
        /// Where the container sees it.
        target: String,
        /// The most it can hold, in bytes; `None` is half of the host's memory (the container's limit still holds).
        size_bytes: Option<u64>,
        /// Whether files in it can be executed, or loaded as compiled Python modules.
        executable: bool,
    },
}

/// What a container can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// The instance's own bridge: the outside world, but no other container. See [`super::Engine::ensure_network`].
    Own,
    /// Nothing but itself.
    None,
    /// A network that the operator made, or `host`.
    Named(String),
}

/// What a container may use; `None` is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Processor cores, 0.01 or more; more than the machine has is as many as it has.
    pub cpus: Option<f64>,
    /// Memory and swap together, in bytes; Docker wants at least 6 MiB.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

impl Limits {
    /// Docker takes some limits that cannot work, and fails much later; these are refused at once.
    pub(super) fn check(&self) -> Result<()> {
        match self.cpus {
            Some(cpus) if !cpus.is_finite() || cpus < 0.01 => Err(EngineError::Invalid {
                message: format!("a limit of {cpus} processor cores; at least 0.01 are needed"),
            }),
            _ => Ok(()),
        }
    }
}
