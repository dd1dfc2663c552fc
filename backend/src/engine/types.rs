//! The words in which the rest of the product speaks of containers. Nothing here knows bollard.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::launcher::{self, Job};
use super::{EngineError, OutputStream, Result};

/// The labels that every container of ours carries. Recovery finds containers by them, so they never change.
pub mod label {
    /// Which Fast-Flow instance the container belongs to.
    pub const INSTANCE: &str = "fastflow-instance";
    /// Which run it executes.
    pub const RUN_ID: &str = "fastflow-run-id";
    /// Which pipeline that run belongs to.
    pub const PIPELINE: &str = "fastflow-pipeline";
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
    pub(super) fn labels(&self, instance: &str) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([
            (label::INSTANCE.to_owned(), instance.to_owned()),
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

/// Both ends of a container that has not been started yet.
pub struct Attachment {
    /// All its output, from the first byte.
    pub output: OutputStream,
    /// Where its job goes.
    pub input: JobInput,
}

/// The pipe into a container's launcher.
pub struct JobInput {
    pipe: Pin<Box<dyn AsyncWrite + Send>>,
    deadline: Duration,
}

impl JobInput {
    /// `deadline` bounds [`JobInput::send`].
    pub(super) fn new(pipe: Pin<Box<dyn AsyncWrite + Send>>, deadline: Duration) -> Self {
        Self { pipe, deadline }
    }

    /// Hands the job over; the launcher becomes the program as soon as all of it has arrived. A job that arrives in part
    /// is never begun. Send it after the start, or beside it: a large one fits into no buffer before.
    ///
    /// # Errors
    /// [`EngineError::Job`] before anything was sent; [`EngineError::Unavailable`] when the connection broke or the
    /// container took nothing within the slow deadline.
    pub async fn send(mut self, job: &Job) -> Result<()> {
        let script = launcher::script(job)?;
        let broken = |reason: String, source| EngineError::Unavailable { call: "send job", reason, source };
        let sent = tokio::time::timeout(self.deadline, async {
            self.pipe.write_all(&script).await?;
            self.pipe.flush().await
        });
        // The pipe is not shut down: the program's stdin is /dev/null anyway, and some proxies before a Docker socket take
        // a half-closed connection for a closed one, which would cut off the output.
        match sent.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(cause)) => Err(broken("the connection to the container broke".into(), Some(Box::new(cause)))),
            Err(_) => Err(broken(format!("the container did not take its job within {:?}", self.deadline), None)),
        }
    }
}

/// Which stream a piece of output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of live output: what the program wrote, cut anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The stream.
    pub source: Source,
    /// The bytes, untouched.
    pub bytes: Bytes,
}

/// A piece of Docker's own log: a line with its newline, or a part of a long or unfinished one without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFrame {
    /// The stream.
    pub source: Source,
    /// When Docker read it; pieces of one line share it.
    pub timestamp: DateTime<Utc>,
    /// The bytes, untouched.
    pub bytes: Bytes,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The program's exit code; 128 + n when signal n killed it.
    pub code: i64,
    /// Whether the kernel killed a process of it for want of memory.
    pub oom_killed: bool,
    /// When it was started, by Docker's clock.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended, by Docker's clock.
    pub finished_at: DateTime<Utc>,
    /// Docker's own complaint, if any (not the program's).
    pub error: Option<String>,
}

/// A container's state as Docker names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Never started.
    Created,
    /// Running.
    Running,
    /// Running, frozen.
    Paused,
    /// Between two runs; ours never restart.
    Restarting,
    /// Being removed.
    Removing,
    /// Ended.
    Exited,
    /// Ended, and Docker could not clean up after it.
    Dead,
}

impl Status {
    /// Whether its processes exist (frozen or not).
    #[must_use]
    pub fn is_running(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }

    /// Whether it has run and will not again.
    #[must_use]
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Exited | Self::Dead)
    }
}

/// What the image's own health check says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It has none.
    #[default]
    None,
    /// Not decided yet.
    Starting,
    /// Good.
    Healthy,
    /// Failed several times in a row.
    Unhealthy,
}

/// What Docker knows of one container.
#[derive(Clone, Debug)]
pub struct ContainerState {
    /// Its id.
    pub id: ContainerId,
    /// Its name, without Docker's leading slash.
    pub name: String,
    /// Its state.
    pub status: Status,
    /// The exit code once it has ended.
    pub exit_code: Option<i64>,
    /// Whether the kernel killed a process of it for want of memory.
    pub oom_killed: bool,
    /// Docker's own complaint, if any.
    pub error: Option<String>,
    /// Process id of its init on Docker's host, while it runs.
    pub pid: Option<u32>,
    /// When it was created.
    pub created_at: Option<DateTime<Utc>>,
    /// When it was started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Its health check's verdict.
    pub health: Health,
    /// All labels, see [`label`].
    pub labels: BTreeMap<String, String>,
}

impl ContainerState {
    /// How it ended, if it has.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        self.status.has_ended().then(|| Exit {
            code: self.exit_code.unwrap_or(-1),
            oom_killed: self.oom_killed,
            started_at: self.started_at,
            // Docker leaves the time out only when it lost track of the container; now is the best guess then.
            finished_at: self.finished_at.unwrap_or_else(Utc::now),
            error: self.error.clone(),
        })
    }
}

/// One line of [`super::Engine::list`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSummary {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// The run it is for.
    pub run_id: Option<String>,
    /// The pipeline it is for.
    pub pipeline: Option<String>,
    /// What it is for; `None` when a newer Fast-Flow made it.
    pub kind: Option<Kind>,
    /// Its state.
    pub status: Status,
    /// When it was created, to the second.
    pub created_at: DateTime<Utc>,
}

/// A signal we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: please end.
    Terminate,
    /// SIGKILL: end.
    Kill,
}

/// An image that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Immutable id, `sha256:…`.
    pub id: String,
    /// The reference it was asked by.
    pub reference: String,
}

/// One sample of what a container uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// When it was taken, by Docker's clock.
    pub read_at: DateTime<Utc>,
    /// Processor time of the container since its start, in ns.
    pub cpu_total_ns: u64,
    /// Processor time of the whole machine since boot, idle included, in ns; 0 where Docker does not say.
    pub system_cpu_ns: u64,
    /// Cores of the machine.
    pub online_cpus: u32,
    /// Memory in bytes as `docker stats` counts it: without page cache that can be dropped at once.
    pub memory_usage_bytes: u64,
    /// The memory limit in bytes; the machine's memory when there is none.
    pub memory_limit_bytes: u64,
    /// Scheduling periods in which the container had a processor limit.
    pub periods: u64,
    /// How many of them ended early because the limit was reached.
    pub throttled_periods: u64,
    /// Processes and threads.
    pub pids: u64,
}

impl Stats {
    /// Processor use between `earlier` and this sample in percent of one core (200 is two cores busy). `None` when no time
    /// passed between them. By the clock rather than by `system_cpu_ns`, which ticks in steps of 10 ms.
    #[must_use]
    pub fn cpu_percent_since(&self, earlier: &Self) -> Option<f64> {
        let wall_ns = (self.read_at - earlier.read_at).num_nanoseconds().filter(|ns| *ns > 0)?;
        Some(self.cpu_total_ns.saturating_sub(earlier.cpu_total_ns) as f64 * 100.0 / wall_ns as f64)
    }
}

/// What engine this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// Docker's version.
    pub engine_version: String,
    /// The API version we agreed on.
    pub api_version: String,
    /// 1 or 2.
    pub cgroup_version: u8,
    /// Whether Docker finds its init program; without it no container of ours starts.
    pub init_available: bool,
    /// Whether the daemon runs without root.
    pub rootless: bool,
    /// Whether root in a container is somebody else on the host.
    pub userns_remap: bool,
    /// Whether containers survive a restart of the daemon.
    pub live_restore: bool,
    /// Cores that containers can use.
    pub cpus: u32,
    /// Memory that containers can use, in bytes.
    pub memory_bytes: u64,
}
