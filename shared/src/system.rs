//! The state of the server itself.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Answer of `/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct Health {
    /// Always `ok`: the server answers.
    pub status: String,
    /// Version of the server.
    pub version: String,
}

/// One thing that the server needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct Check {
    /// `database`, `docker`, `disk` (the data), `logs` or `environments`.
    pub name: String,
    /// Whether it works.
    pub ok: bool,
    /// What is wrong, or a figure.
    pub detail: String,
}

/// Answer of `/ready`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct Readiness {
    /// Whether all checks are good.
    pub ready: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

/// One periodic chore with its last result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct Chore {
    /// Name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Seconds between two runs.
    pub interval_seconds: f64,
    /// When it last ended.
    pub last_run_at: Option<DateTime<Utc>>,
    /// Seconds that it took.
    pub last_duration_seconds: Option<f64>,
    /// What it did, in words.
    pub last_result: Option<String>,
    /// Why it failed.
    pub last_error: Option<String>,
    /// When it is due next.
    pub next_run_at: Option<DateTime<Utc>>,
}

/// Numbers for the head of the dashboard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct Overview {
    /// Runs that work now.
    pub running: i32,
    /// Runs that wait in the queue.
    pub queued: i32,
    /// Most runs that may work at once.
    pub max_concurrent_runs: i32,
    /// Most runs that may wait.
    pub max_queued_runs: i32,
    /// Version of the server.
    pub version: String,
    /// Whether Docker answers.
    pub docker_ok: bool,
    /// Version of Docker, or what is wrong with it.
    pub docker: String,
    /// Containers that shall wait, started ahead.
    pub warm_wanted: i32,
    /// Containers that wait now.
    pub warm_ready: i32,
    /// Why the last one could not be started ahead.
    pub warm_problem: Option<String>,
}

/// Payload of the SSE event `change` of `/api/events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct LiveEvent {
    /// `run`, `pipeline`, `sync` or `docker`.
    pub kind: String,
    /// Id of the run or name of the pipeline.
    pub id: String,
    /// Pipeline that it is about.
    pub pipeline_name: Option<String>,
    /// New status of the run.
    pub status: Option<crate::RunStatus>,
}
