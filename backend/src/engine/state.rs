//! What is known of containers, images, and the engine itself.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{ContainerId, Kind};

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

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Volumes.
    pub volumes: usize,
    /// Networks.
    pub networks: usize,
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
    /// The server process that made it; `None` when a Fast-Flow did that knew of one server alone.
    pub server: Option<String>,
    /// What it is for; `None` when a newer Fast-Flow made it.
    pub kind: Option<Kind>,
    /// Its state.
    pub status: Status,
    /// When it was created, to the second.
    pub created_at: DateTime<Utc>,
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
