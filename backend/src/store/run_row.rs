//! A run as it is stored.

use std::collections::BTreeMap;

use fastflow_shared::{EnvName, ErrorType, Phase, Run, RunStatus, RunSummary, Trigger};
use sqlx::any::AnyRow;

use super::StoreError;
use super::codec::{StoredStop, StoredStrategy};
use super::row::Cells;
use crate::domain::clock::Millis;
use crate::domain::outcome::StopReason;
use crate::domain::pipeline::RetryStrategy;

/// Every column of `runs`, by name: `SELECT *` would break prepared statements when a migration adds a column.
macro_rules! run_columns {
    () => {
        "id, pipeline_name, status, trigger_kind, triggered_by, attempt, max_attempts, retry_strategy, retry_of, retried_by, \
         not_before, job_id, due_at, created_at, queued_at, started_at, finished_at, exit_code, error_type, error_message, \
         cancel_requested_at, cancel_requested_by, stop_reason, commit_hash, commit_subject, commit_author, code_path, \
         environment_key, image, image_id, uv_version, setup_duration, parameters, env_names, sealed_env, cpu_limit, \
         memory_limit, cpu_soft_limit, memory_soft_limit, timeout_seconds, log_bytes, cpu_peak_percent, cpu_average_percent, \
         ram_peak_mb, ram_average_mb, soft_limit_exceeded, cpu_throttled, container_id, warm_at, start_ms, instance, owner"
    };
}
pub(super) use run_columns;

/// The code that a run executes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Code {
    /// Full hash of the commit, when the pipelines come from git.
    pub commit: Option<String>,
    /// First line of the commit's message.
    pub commit_subject: Option<String>,
    /// Author of the commit.
    pub commit_author: Option<String>,
    /// The immutable folder that holds the pipeline's files at that commit.
    pub path: Option<String>,
}

/// Limits of a run, decided once when it is accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// CPU in cores.
    pub cpu: Option<f64>,
    /// Memory in bytes.
    pub memory: Option<i64>,
    /// CPU in cores above which metrics are marked.
    pub cpu_soft: Option<f64>,
    /// Memory in bytes above which metrics are marked.
    pub memory_soft: Option<i64>,
    /// Seconds after which it is killed.
    pub timeout_seconds: Option<i64>,
}

/// A run as it is accepted. It begins as `PENDING`.
#[derive(Clone, PartialEq)]
pub struct NewRun {
    /// UUIDv7.
    pub id: String,
    /// Name of the pipeline.
    pub pipeline_name: String,
    /// What started it.
    pub trigger: Trigger,
    /// User, token or job behind the trigger.
    pub triggered_by: Option<String>,
    /// 1 for a first attempt.
    pub attempt: i32,
    /// Attempts allowed in all, the first included.
    pub max_attempts: i32,
    /// How long to wait between attempts; kept with the run, so that a sync in between changes nothing.
    pub retry_strategy: Option<RetryStrategy>,
    /// The run of the attempt before this one.
    pub retry_of: Option<String>,
    /// When a waiting attempt becomes due.
    pub not_before: Option<Millis>,
    /// The job that fired. With `due_at` it is unique: leave both empty for retries.
    pub job_id: Option<String>,
    /// The due time for which the job fired.
    pub due_at: Option<Millis>,
    /// When it was accepted.
    pub created_at: Millis,
    /// What it executes.
    pub code: Code,
    /// Worker image.
    pub image: Option<String>,
    /// Plain values given with the start.
    pub parameters: BTreeMap<String, String>,
    /// Encrypted values given with the start; wiped when the run ends, or before.
    pub sealed_env: Option<String>,
    /// Its limits.
    pub limits: Limits,
    /// The installation whose containers it may use.
    pub instance: Option<String>,
    /// The server process that drives it.
    pub owner: Option<String>,
}

/// What was measured of a run. Absent values leave what is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measured {
    /// Size of its stored log in bytes.
    pub log_bytes: Option<i64>,
    /// Highest CPU, in percent of one core.
    pub cpu_peak_percent: Option<f64>,
    /// Mean CPU, in percent of one core.
    pub cpu_average_percent: Option<f64>,
    /// Highest memory, in MiB.
    pub ram_peak_mb: Option<f64>,
    /// Mean memory, in MiB.
    pub ram_average_mb: Option<f64>,
    /// Whether a soft limit was exceeded; once stored as true it stays true.
    pub soft_limit_exceeded: bool,
    /// Whether its CPU stuck to the hard limit; once stored as true it stays true.
    pub cpu_throttled: bool,
}

/// A stored run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// What was decided when it was accepted.
    pub spec: NewRun,
    /// Where it stands.
    pub status: RunStatus,
    /// The run that is the next attempt of this one.
    pub retried_by: Option<String>,
    /// Orders the queue: when it was accepted, or when its wait for a retry ends.
    pub queued_at: Millis,
    /// When its container started.
    pub started_at: Option<Millis>,
    /// When it ended.
    pub finished_at: Option<Millis>,
    /// Exit code of the container.
    pub exit_code: Option<i32>,
    /// Why it failed.
    pub error_type: Option<ErrorType>,
    /// One sentence that a user can act on.
    pub error_message: Option<String>,
    /// When somebody asked for its end.
    pub cancel_requested_at: Option<Millis>,
    /// Who asked.
    pub cancel_requested_by: Option<String>,
    /// Our own reason to stop it, stored before anything is stopped.
    pub stop_reason: Option<StopReason>,
    /// Key of its sealed environment.
    pub environment_key: Option<String>,
    /// Id of the image at the time.
    pub image_id: Option<String>,
    /// Version of uv that prepared its environment.
    pub uv_version: Option<String>,
    /// Seconds spent on preparing the environment for this run.
    pub setup_duration: Option<f64>,
    /// Names of the variables that it received.
    pub env_names: Vec<EnvName>,
    /// What was measured.
    pub measured: Measured,
    /// Its container.
    pub container_id: Option<String>,
    /// When a container that had been started ahead got its job; absent after a cold start.
    pub warm_at: Option<Millis>,
    /// Milliseconds from its slot to the moment its script had its job.
    pub start_ms: Option<i64>,
}

impl From<NewRun> for RunRow {
    /// The row as it is inserted.
    fn from(spec: NewRun) -> Self {
        Self {
            status: RunStatus::Pending,
            retried_by: None,
            queued_at: spec.queued_at(),
            started_at: None,
            finished_at: None,
            exit_code: None,
            error_type: None,
            error_message: None,
            cancel_requested_at: None,
            cancel_requested_by: None,
            stop_reason: None,
            environment_key: None,
            image_id: None,
            uv_version: None,
            setup_duration: None,
            env_names: Vec::new(),
            measured: Measured::default(),
            container_id: None,
            warm_at: None,
            start_ms: None,
            spec,
        }
    }
}

impl NewRun {
    /// Orders the queue: when it was accepted, or when its wait for a retry ends.
    #[must_use]
    pub fn queued_at(&self) -> Millis {
        self.not_before.map_or(self.created_at, |due| due.max(self.created_at))
    }
}

impl RunRow {
    pub(super) fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let cells = Cells::new(row, "runs", "id");
        let spec = NewRun {
            id: cells.text("id")?,
            pipeline_name: cells.text("pipeline_name")?,
            trigger: cells.named("trigger_kind")?,
            triggered_by: cells.opt_text("triggered_by")?,
            attempt: cells.small("attempt")?,
            max_attempts: cells.small("max_attempts")?,
            retry_strategy: cells.opt_json::<StoredStrategy>("retry_strategy")?.map(Into::into),
            retry_of: cells.opt_text("retry_of")?,
            not_before: cells.opt_time("not_before")?,
            job_id: cells.opt_text("job_id")?,
            due_at: cells.opt_time("due_at")?,
            created_at: cells.time("created_at")?,
            code: Code {
                commit: cells.opt_text("commit_hash")?,
                commit_subject: cells.opt_text("commit_subject")?,
                commit_author: cells.opt_text("commit_author")?,
                path: cells.opt_text("code_path")?,
            },
            image: cells.opt_text("image")?,
            parameters: cells.json("parameters")?,
            sealed_env: cells.opt_text("sealed_env")?,
            limits: Limits {
                cpu: cells.opt_real("cpu_limit")?,
                memory: cells.opt_int("memory_limit")?,
                cpu_soft: cells.opt_real("cpu_soft_limit")?,
                memory_soft: cells.opt_int("memory_soft_limit")?,
                timeout_seconds: cells.opt_int("timeout_seconds")?,
            },
            instance: cells.opt_text("instance")?,
            owner: cells.opt_text("owner")?,
        };
        Ok(Self {
            spec,
            status: cells.named("status")?,
            retried_by: cells.opt_text("retried_by")?,
            queued_at: cells.time("queued_at")?,
            started_at: cells.opt_time("started_at")?,
            finished_at: cells.opt_time("finished_at")?,
            exit_code: cells.opt_small("exit_code")?,
            error_type: cells.opt_named("error_type")?,
            error_message: cells.opt_text("error_message")?,
            cancel_requested_at: cells.opt_time("cancel_requested_at")?,
            cancel_requested_by: cells.opt_text("cancel_requested_by")?,
            stop_reason: cells.opt_json::<StoredStop>("stop_reason")?.map(Into::into),
            environment_key: cells.opt_text("environment_key")?,
            image_id: cells.opt_text("image_id")?,
            uv_version: cells.opt_text("uv_version")?,
            setup_duration: cells.opt_real("setup_duration")?,
            env_names: cells.json("env_names")?,
            measured: Measured {
                log_bytes: cells.opt_int("log_bytes")?,
                cpu_peak_percent: cells.opt_real("cpu_peak_percent")?,
                cpu_average_percent: cells.opt_real("cpu_average_percent")?,
                ram_peak_mb: cells.opt_real("ram_peak_mb")?,
                ram_average_mb: cells.opt_real("ram_average_mb")?,
                soft_limit_exceeded: cells.flag("soft_limit_exceeded")?,
                cpu_throttled: cells.flag("cpu_throttled")?,
            },
            container_id: cells.opt_text("container_id")?,
            warm_at: cells.opt_time("warm_at")?,
            start_ms: cells.opt_int("start_ms")?,
        })
    }

    /// The run as it is shown; what the database does not know is given: phase, place in the queue, and the present time
    /// for a duration that still grows.
    #[must_use]
    pub fn into_run(self, phase: Phase, queue_position: Option<i32>, now: Millis) -> Run {
        let end = self.finished_at.unwrap_or(now);
        let duration_seconds = self.started_at.map(|start| end.seconds_since(start).max(0.0));
        let Self { spec, measured, .. } = self;
        Run {
            id: spec.id,
            pipeline_name: spec.pipeline_name,
            status: self.status,
            phase,
            waits_for: None,
            trigger: spec.trigger,
            triggered_by: spec.triggered_by,
            attempt: spec.attempt,
            max_attempts: spec.max_attempts,
            retry_of: spec.retry_of,
            retried_by: self.retried_by,
            not_before: spec.not_before.map(Millis::to_utc),
            created_at: spec.created_at.to_utc(),
            started_at: self.started_at.map(Millis::to_utc),
            finished_at: self.finished_at.map(Millis::to_utc),
            duration_seconds,
            exit_code: self.exit_code,
            error_type: self.error_type,
            error_message: self.error_message,
            uv_version: self.uv_version,
            setup_duration: self.setup_duration,
            warm_start: self.warm_at.is_some(),
            start_seconds: self.start_ms.map(|ms| Millis(ms).seconds_since(Millis(0))),
            environment: self.environment_key,
            image: spec.image,
            commit: spec.code.commit,
            // Of the present repository, which this room does not know.
            commit_url: None,
            commit_subject: spec.code.commit_subject,
            commit_author: spec.code.commit_author,
            queue_position,
            cancel_requested: self.cancel_requested_at.is_some(),
            parameters: spec.parameters,
            env_names: self.env_names,
            cpu_limit: spec.limits.cpu,
            memory_limit: spec.limits.memory,
            cpu_soft_limit: spec.limits.cpu_soft,
            memory_soft_limit: spec.limits.memory_soft,
            timeout_seconds: spec.limits.timeout_seconds,
            log_bytes: measured.log_bytes,
            cpu_peak_percent: measured.cpu_peak_percent,
            cpu_average_percent: measured.cpu_average_percent,
            ram_peak_mb: measured.ram_peak_mb,
            ram_average_mb: measured.ram_average_mb,
            soft_limit_exceeded: measured.soft_limit_exceeded,
            cpu_throttled: measured.cpu_throttled,
        }
    }
}

impl std::fmt::Debug for NewRun {
    /// Without values: parameters may hold what should not be in the server's log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewRun")
            .field("id", &self.id)
            .field("pipeline_name", &self.pipeline_name)
            .field("trigger", &self.trigger)
            .field("attempt", &self.attempt)
            .field("parameters", &self.parameters.keys())
            .finish_non_exhaustive()
    }
}

/// What a list of latest runs needs.
pub(super) fn read_summary(row: &AnyRow) -> Result<RunSummary, StoreError> {
    let cells = Cells::new(row, "runs", "id");
    Ok(RunSummary {
        id: cells.text("id")?,
        status: cells.named("status")?,
        error_type: cells.opt_named("error_type")?,
        created_at: cells.time("created_at")?.to_utc(),
        started_at: cells.opt_time("started_at")?.map(Millis::to_utc),
        finished_at: cells.opt_time("finished_at")?.map(Millis::to_utc),
    })
}
