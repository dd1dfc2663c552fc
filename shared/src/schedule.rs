//! Jobs that start pipelines by the clock, what became of their due times, and what is to come.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::RunSummary;

/// What makes a job due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", oai(rename_all = "snake_case"))]
pub enum TriggerType {
    /// A cron expression of five fields, in a time zone.
    #[default]
    Cron,
    /// A number of seconds.
    Interval,
    /// One instant.
    Once,
}

/// What happens to due times that passed while no server could fire them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", oai(rename_all = "snake_case"))]
pub enum CatchUpPolicy {
    /// They are left out.
    Skip,
    /// One run for all of them.
    #[default]
    Latest,
    /// A run for each, up to a number and an age.
    All,
}

/// What happens at a due time while as many runs of the job work as may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", oai(rename_all = "snake_case"))]
pub enum OverlapPolicy {
    /// Another one is started; with `max_instances`, it waits.
    #[default]
    Allow,
    /// The due time is left out.
    Skip,
    /// It waits until one of them has ended.
    Queue,
    /// The oldest of them is cancelled.
    CancelPrevious,
}

/// What a job's runs have instead of what their pipeline says; absent fields leave that.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
#[serde(default)]
#[cfg_attr(feature = "openapi", oai(default))]
pub struct JobOverrides {
    /// CPU limit in cores.
    pub cpu_hard_limit: Option<f64>,
    /// Memory limit in bytes.
    pub mem_hard_limit: Option<i64>,
    /// CPU in cores above which metrics are marked.
    pub cpu_soft_limit: Option<f64>,
    /// Memory in bytes above which metrics are marked.
    pub mem_soft_limit: Option<i64>,
    /// Seconds after which a run is killed; 0 is never.
    pub timeout: Option<i64>,
    /// Attempts after a failed one.
    pub retry_attempts: Option<i32>,
}

/// A sentence in the languages of the UI.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct Sentence {
    /// English.
    pub en: String,
    /// German.
    pub de: String,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct Job {
    /// Job id.
    pub id: String,
    /// What a person calls it.
    pub name: Option<String>,
    /// Pipeline that it starts.
    pub pipeline_name: String,
    /// What makes it due.
    pub trigger_type: TriggerType,
    /// Cron expression of five fields, seconds, or an instant.
    pub trigger_value: String,
    /// IANA name of the zone in which a cron expression is meant.
    pub time_zone: String,
    /// When it fires, in words.
    pub sentence: Sentence,
    /// It does not fire before this.
    pub start_at: Option<DateTime<Utc>>,
    /// It does not fire after this.
    pub end_at: Option<DateTime<Utc>>,
    /// Whether it fires: its definition says so, and nobody has paused it.
    pub enabled: bool,
    /// Whether somebody has paused it.
    pub paused: bool,
    /// `repository` or `api`; what comes from the repository can be paused here and is changed there.
    pub source: String,
    /// For due times that were missed.
    pub catch_up: CatchUpPolicy,
    /// Most of them, with `all`.
    pub catch_up_limit: Option<i32>,
    /// Oldest of them in seconds, with `all`.
    pub catch_up_max_age_seconds: Option<i64>,
    /// For runs that still work.
    pub overlap: OverlapPolicy,
    /// Most runs of it at once.
    pub max_instances: Option<i32>,
    /// Plain values for its runs.
    pub parameters: BTreeMap<String, String>,
    /// What its runs have instead of what their pipeline says.
    pub overrides: JobOverrides,
    /// Who made it.
    pub created_by: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its definition last changed.
    pub updated_at: DateTime<Utc>,
    /// When it fires next.
    pub next_run_at: Option<DateTime<Utc>>,
    /// The due time that it last fired for.
    pub last_run_at: Option<DateTime<Utc>>,
    /// The run it last started.
    pub last_run_id: Option<String>,
    /// Why it cannot start anything.
    pub problem: Option<String>,
}

/// A job as it is made or changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct JobDraft {
    /// Pipeline that it starts.
    pub pipeline_name: String,
    /// What a person calls it.
    pub name: Option<String>,
    /// What makes it due.
    pub trigger_type: TriggerType,
    /// Cron expression of five fields, seconds, or an instant (RFC 3339; without a zone it is UTC).
    pub trigger_value: String,
    /// IANA name of the zone in which a cron expression is meant; absent means the server's setting.
    pub time_zone: Option<String>,
    /// It does not fire before this; an interval counts from here.
    pub start_at: Option<DateTime<Utc>>,
    /// It does not fire after this.
    pub end_at: Option<DateTime<Utc>>,
    /// Whether it is paused.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", oai(default))]
    pub paused: bool,
    /// For due times that were missed.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", oai(default))]
    pub catch_up: CatchUpPolicy,
    /// Most of them, with `all`; 1,000 when it is absent.
    pub catch_up_limit: Option<i32>,
    /// Oldest of them in seconds, with `all`; 30 days when it is absent.
    pub catch_up_max_age_seconds: Option<i64>,
    /// For runs that still work.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", oai(default))]
    pub overlap: OverlapPolicy,
    /// Most runs of it at once.
    pub max_instances: Option<i32>,
    /// Plain values for its runs.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", oai(default))]
    pub parameters: BTreeMap<String, String>,
    /// What its runs have instead of what their pipeline says.
    pub overrides: Option<JobOverrides>,
}

/// Pauses a job, or lets it go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct JobSwitch {
    /// Whether it fires.
    pub enabled: bool,
}

/// A trigger that is to be explained; it need not belong to a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct TriggerDraft {
    /// What makes it due.
    pub trigger_type: TriggerType,
    /// Cron expression of five fields, seconds, or an instant.
    pub trigger_value: String,
    /// IANA name of the zone; absent means the server's setting.
    pub time_zone: Option<String>,
    /// It does not fire before this.
    pub start_at: Option<DateTime<Utc>>,
    /// It does not fire after this.
    pub end_at: Option<DateTime<Utc>>,
}

/// A due time to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct FireTime {
    /// The instant.
    pub at: DateTime<Utc>,
    /// What the wall clock shows then in the job's zone, with its offset.
    pub local: String,
}

/// A trigger, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct Outlook {
    /// When it fires, in words.
    pub sentence: Sentence,
    /// The zone.
    pub time_zone: String,
    /// The next due times.
    pub next: Vec<FireTime>,
    /// What changes of the clock (summer time) do to it within a year.
    pub clock_changes: Vec<Sentence>,
}

/// How far a due time got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", oai(rename_all = "snake_case"))]
pub enum FiringStatus {
    /// It is still to come.
    Planned,
    /// It has started its run.
    Started,
    /// It waits for another run of its job to end.
    Waiting,
    /// It starts none, by a policy or because the pipeline is switched off.
    LeftOut,
    /// It could start none.
    Failed,
    /// No due time: somebody started the job.
    ByHand,
}

/// A due time and what became of it, or what is to become of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct Firing {
    /// The job.
    pub job_id: String,
    /// Its pipeline.
    pub pipeline_name: String,
    /// The due time.
    pub due_at: DateTime<Utc>,
    /// How far it got.
    pub status: FiringStatus,
    /// When its run was or will be started.
    pub starts_at: Option<DateTime<Utc>>,
    /// Due times that this one stands for.
    pub due_times: i64,
    /// The last of them.
    pub until: Option<DateTime<Utc>>,
    /// Its run.
    pub run: Option<RunSummary>,
    /// Why it started none.
    pub reason: Option<String>,
}

/// Firings, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct FiringPage {
    /// The firings.
    pub items: Vec<Firing>,
    /// For the next page.
    pub next_cursor: Option<String>,
}

/// What fired and what would fire between two instants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct Preview {
    /// The beginning.
    pub from: DateTime<Utc>,
    /// The end.
    pub to: DateTime<Utc>,
    /// The present: until then it is what happened, from then on what would happen.
    pub now: DateTime<Utc>,
    /// The due times, oldest first.
    pub items: Vec<Firing>,
    /// Whether there are more than are shown.
    pub truncated: bool,
}
