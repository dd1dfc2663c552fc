//! A pipeline: one folder of the repository.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{ErrorType, RunStatus};

/// How far a pipeline's Python environment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", oai(rename_all = "snake_case"))]
pub enum EnvironmentState {
    /// Not looked at since the code last changed; built on first use.
    Unknown,
    /// Being built.
    Building,
    /// Sealed: a run needs no network.
    Ready,
    /// Could not be built; `environment_error` says why.
    Failed,
}

/// What a list needs to know of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct RunSummary {
    /// Run id.
    pub id: String,
    /// Where it stands.
    pub status: RunStatus,
    /// Why it failed.
    pub error_type: Option<ErrorType>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When its container started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Counters of a pipeline since the last reset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct PipelineStats {
    /// Runs that ended.
    pub total_runs: i64,
    /// Runs that ended with exit code 0.
    pub successful_runs: i64,
    /// All others that ended.
    pub failed_runs: i64,
    /// `successful_runs / total_runs` in percent; absent before the first run.
    pub success_rate: Option<f64>,
    /// Mean seconds of the runs that had a container.
    pub mean_duration_seconds: Option<f64>,
    /// 95th percentile of the seconds of the latest runs (at most 1,000).
    pub p95_duration_seconds: Option<f64>,
    /// When the counters were last set to zero.
    pub reset_at: Option<DateTime<Utc>>,
}

/// A mistake in a pipeline's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct PipelineProblem {
    /// File, relative to the pipeline's folder.
    pub file: String,
    /// Line, from 1.
    pub line: Option<i32>,
    /// Column, from 1.
    pub column: Option<i32>,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// One pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct Pipeline {
    /// Name of its folder.
    pub name: String,
    /// From `pipeline.json`.
    pub description: Option<String>,
    /// From `pipeline.json`.
    pub tags: Vec<String>,
    /// Whether it may be started: `pipeline.json` and the switch in the UI must both say so.
    pub enabled: bool,
    /// Whether `pipeline.json` enables it.
    pub enabled_in_repository: bool,
    /// The switch in the UI.
    pub enabled_by_operator: bool,
    /// Whether its files are in order; an invalid pipeline cannot be started.
    pub valid: bool,
    /// What is wrong with its files.
    pub problems: Vec<PipelineProblem>,
    /// Whether it has a `requirements.txt`.
    pub has_requirements: bool,
    /// How far its environment is.
    pub environment_state: EnvironmentState,
    /// uv's message when the environment could not be built.
    pub environment_error: Option<String>,
    /// When its environment was last built.
    pub last_cache_warmup: Option<DateTime<Utc>>,
    /// CPU limit in cores.
    pub cpu_hard_limit: Option<f64>,
    /// Memory limit in bytes.
    pub mem_hard_limit: Option<i64>,
    /// CPU in cores above which metrics are marked.
    pub cpu_soft_limit: Option<f64>,
    /// Memory in bytes above which metrics are marked.
    pub mem_soft_limit: Option<i64>,
    /// Seconds after which a run is killed.
    pub timeout: Option<i64>,
    /// Attempts after a failed one.
    pub retry_attempts: Option<i32>,
    /// Names set by `default_env`, with their values (they are in the repository, so they are no secret).
    pub default_env: BTreeMap<String, String>,
    /// Names of the vault's secrets that it asks for; absent for all that it may have.
    #[serde(default)]
    pub secrets: Option<Vec<String>>,
    /// Names of the secrets that lie encrypted beside its code.
    #[serde(default)]
    pub encrypted_env: Vec<String>,
    /// What it may be started with; empty when anything goes.
    pub parameters: Vec<PipelineParameter>,
    /// Commit of the code that a start now would use.
    pub commit: Option<String>,
    /// Runs that wait now.
    pub queued: i32,
    /// Runs that work now.
    pub running: i32,
    /// The latest runs, newest first (at most 20).
    pub latest_runs: Vec<RunSummary>,
    /// Counters.
    pub stats: PipelineStats,
    /// When the folder was first seen.
    pub discovered_at: DateTime<Utc>,
}

/// What kind of value a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", oai(rename_all = "snake_case"))]
pub enum ParameterKind {
    /// Any text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of the choices.
    Choice,
}

impl ParameterKind {
    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "string" => Some(Self::String),
            "integer" => Some(Self::Integer),
            "number" => Some(Self::Number),
            "boolean" => Some(Self::Boolean),
            "choice" => Some(Self::Choice),
            _ => None,
        }
    }
}

/// A value that a pipeline may be started with, as its `pipeline.json` defines it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct PipelineParameter {
    /// Name of the environment variable.
    pub name: String,
    /// What it takes.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", oai(rename = "type"))]
    pub kind: ParameterKind,
    /// What it is when nothing is given.
    pub default: Option<String>,
    /// What it may be; empty when anything of its kind goes.
    pub choices: Vec<String>,
    /// Whether it must be given.
    pub required: bool,
    /// For people.
    pub description: Option<String>,
    /// Smallest number.
    pub min: Option<f64>,
    /// Largest number.
    pub max: Option<f64>,
}

/// Switches a pipeline on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct PipelineSwitch {
    /// Whether it may be started.
    pub enabled: bool,
}
