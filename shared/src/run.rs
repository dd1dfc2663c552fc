//! A run: one execution of one pipeline in one container.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Where a run stands. `SUCCESS` and `FAILED` are final; `INTERRUPTED` means that the server stopped watching
/// and will find the container again at its next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "openapi", oai(rename_all = "SCREAMING_SNAKE_CASE"))]
pub enum RunStatus {
    /// Accepted; waits for a slot, for its environment or for its container.
    Pending,
    /// Its container works.
    Running,
    /// Ended with exit code 0.
    Success,
    /// Ended otherwise; `error_type` and `error_message` say why.
    Failed,
    /// No longer watched; continues or is resolved at the next start of the server.
    Interrupted,
}

impl RunStatus {
    /// Every status, in the order of a run's life.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Success, Self::Failed, Self::Interrupted];

    /// The name used in JSON, in the database and in query strings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
            Self::Interrupted => "INTERRUPTED",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether nothing can happen to the run any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Failed)
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a run failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", oai(rename_all = "snake_case"))]
pub enum ErrorType {
    /// The script ended with a code other than 0.
    ExitCode,
    /// The kernel killed it for want of memory.
    Oom,
    /// It ran longer than its timeout.
    Timeout,
    /// A person or a policy cancelled it.
    Cancelled,
    /// Its Python environment could not be built.
    Dependency,
    /// Docker could not create or start its container (125), or its image is missing.
    Docker,
    /// The command could not be executed (126).
    NotExecutable,
    /// The command was not found (127).
    NotFound,
    /// The watchdog stopped it.
    Unhealthy,
    /// Its container vanished.
    Lost,
}

impl ErrorType {
    /// Every error type.
    pub const ALL: [Self; 10] = [
        Self::ExitCode,
        Self::Oom,
        Self::Timeout,
        Self::Cancelled,
        Self::Dependency,
        Self::Docker,
        Self::NotExecutable,
        Self::NotFound,
        Self::Unhealthy,
        Self::Lost,
    ];

    /// The name used in JSON and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExitCode => "exit_code",
            Self::Oom => "oom",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Dependency => "dependency",
            Self::Docker => "docker",
            Self::NotExecutable => "not_executable",
            Self::NotFound => "not_found",
            Self::Unhealthy => "unhealthy",
            Self::Lost => "lost",
        }
    }

    /// The error type of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", oai(rename_all = "snake_case"))]
pub enum Trigger {
    /// A person, in the browser.
    Manual,
    /// A program, with a bearer token.
    Api,
    /// A schedule.
    Schedule,
    /// The retry policy, after a failed attempt.
    Retry,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 4] = [Self::Manual, Self::Api, Self::Schedule, Self::Retry];

    /// The name used in JSON and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Api => "api",
            Self::Schedule => "schedule",
            Self::Retry => "retry",
        }
    }

    /// The trigger of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trigger| trigger.as_str() == name)
    }
}

/// What a run is doing between its creation and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", oai(rename_all = "snake_case"))]
pub enum Phase {
    /// Waits for its time to retry; holds no slot.
    Waiting,
    /// Waits for a free slot.
    Queued,
    /// Its environment is being built, or it waits for another run that builds it.
    Preparing,
    /// Its container is being created and started.
    Starting,
    /// Its script works.
    Running,
    /// It was told to stop and has its grace period.
    Stopping,
    /// It has ended.
    Ended,
}

/// What a run that has not started waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", oai(rename_all = "snake_case"))]
pub enum WaitsFor {
    /// Its dependencies are being installed, because of this run.
    Installation,
    /// The same dependencies are being installed already, for another run or ahead of time.
    SharedInstallation,
    /// Docker does not answer; it is asked again and again.
    Docker,
}

/// Where one environment variable of a run came from. Only plain parameters show their value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct EnvName {
    /// Name of the variable.
    pub name: String,
    /// `default_env`, `encrypted_env`, `secret`, `parameter` (from the vault) or `start` (given with the start).
    pub source: String,
    /// The value of a plain parameter; never that of a secret.
    #[serde(default)]
    pub value: Option<String>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct Run {
    /// UUIDv7, so ids sort by creation.
    pub id: String,
    /// Name of the pipeline.
    pub pipeline_name: String,
    /// Where the run stands.
    pub status: RunStatus,
    /// What it is doing within that status.
    pub phase: Phase,
    /// What it waits for while it prepares or starts.
    pub waits_for: Option<WaitsFor>,
    /// What started it.
    pub trigger: Trigger,
    /// User name, token name or schedule id behind the trigger.
    pub triggered_by: Option<String>,
    /// 1 for a first attempt.
    pub attempt: i32,
    /// Attempts allowed in all, the first included.
    pub max_attempts: i32,
    /// The run of the attempt before this one.
    pub retry_of: Option<String>,
    /// The run that is the next attempt of this one.
    pub retried_by: Option<String>,
    /// For an attempt that waits: when it becomes due.
    pub not_before: Option<DateTime<Utc>>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When its container started.
    pub started_at: Option<DateTime<Utc>>,
    /// When its container ended (or the run failed without one).
    pub finished_at: Option<DateTime<Utc>>,
    /// Seconds from start to end, or to now while it runs.
    pub duration_seconds: Option<f64>,
    /// Exit code of the container.
    pub exit_code: Option<i32>,
    /// Why it failed.
    pub error_type: Option<ErrorType>,
    /// One sentence that a user can act on.
    pub error_message: Option<String>,
    /// Version of uv that prepared its environment.
    pub uv_version: Option<String>,
    /// Seconds spent on preparing the environment for this run; 0 when it was ready.
    pub setup_duration: Option<f64>,
    /// Whether its container had been started ahead and waited for it.
    pub warm_start: bool,
    /// Seconds from its slot to the moment its script had its job: environment check, code, container.
    #[serde(default)]
    pub start_seconds: Option<f64>,
    /// Key of its sealed environment.
    pub environment: Option<String>,
    /// Worker image it runs in.
    pub image: Option<String>,
    /// Commit of its code, when the pipelines come from git.
    pub commit: Option<String>,
    /// Where that commit can be looked at, when the repository lies on a host that has pages for commits. In the answers about a
    /// single run.
    #[serde(default)]
    pub commit_url: Option<String>,
    /// First line of that commit's message.
    pub commit_subject: Option<String>,
    /// Author of that commit.
    pub commit_author: Option<String>,
    /// 1 is next; absent when it does not wait in the queue.
    pub queue_position: Option<i32>,
    /// Whether somebody asked for its end.
    pub cancel_requested: bool,
    /// Plain values given with the start.
    pub parameters: BTreeMap<String, String>,
    /// Names of the variables that it received, with where each came from.
    pub env_names: Vec<EnvName>,
    /// CPU limit in cores.
    pub cpu_limit: Option<f64>,
    /// Memory limit in bytes.
    pub memory_limit: Option<i64>,
    /// CPU in cores above which its metrics are marked.
    pub cpu_soft_limit: Option<f64>,
    /// Memory in bytes above which its metrics are marked.
    pub memory_soft_limit: Option<i64>,
    /// Seconds after which it is killed.
    pub timeout_seconds: Option<i64>,
    /// Size of its stored log in bytes.
    pub log_bytes: Option<i64>,
    /// Highest CPU seen, in percent of one core.
    pub cpu_peak_percent: Option<f64>,
    /// Mean CPU, in percent of one core.
    pub cpu_average_percent: Option<f64>,
    /// Highest memory seen, in MiB.
    pub ram_peak_mb: Option<f64>,
    /// Mean memory, in MiB.
    pub ram_average_mb: Option<f64>,
    /// Whether a soft limit was exceeded at any time.
    pub soft_limit_exceeded: bool,
    /// Whether its CPU stuck to the hard limit for a sustained time.
    pub cpu_throttled: bool,
}

/// What to start a pipeline with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
#[serde(default)]
#[cfg_attr(feature = "openapi", oai(default))]
pub struct StartRun {
    /// Plain values, shown with the run; they become environment variables and win over everything else.
    pub parameters: BTreeMap<String, String>,
    /// Values that are handed to the run and its retries, stored encrypted until the last attempt has begun, never shown.
    pub env_vars: BTreeMap<String, String>,
}

/// What the watchdog knows of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct RunHealth {
    /// Where the run stands.
    pub status: RunStatus,
    /// `healthy`, `silent`, `unhealthy`, `vanished`, `not_running` or `unknown`.
    pub verdict: String,
    /// Docker's word for the container's state.
    pub container_state: Option<String>,
    /// Docker's health check, when the image has one.
    pub container_health: Option<String>,
    /// When the script last wrote anything.
    pub last_output_at: Option<DateTime<Utc>>,
    /// Seconds of silence so far.
    pub silent_seconds: Option<f64>,
    /// Seconds of silence allowed; absent when the watch is off.
    pub silence_limit_seconds: Option<i64>,
    /// When this was looked at.
    pub checked_at: DateTime<Utc>,
}
