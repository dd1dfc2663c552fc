//! Jobs that start pipelines by the clock.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct Job {
    /// Job id.
    pub id: String,
    /// Pipeline that it starts.
    pub pipeline_name: String,
    /// `cron` or `interval`.
    pub trigger_type: String,
    /// Cron expression of five fields, or seconds.
    pub trigger_value: String,
    /// Whether it fires.
    pub enabled: bool,
    /// `repository` or `api`.
    pub source: String,
    /// When it fires next.
    pub next_run_at: Option<DateTime<Utc>>,
    /// When it last fired.
    pub last_run_at: Option<DateTime<Utc>>,
    /// The run it last started.
    pub last_run_id: Option<String>,
    /// What is wrong with it.
    pub problem: Option<String>,
}
