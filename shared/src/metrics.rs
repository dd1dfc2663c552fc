//! CPU and memory of a run over time.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One sample, as it is stored in the run's JSONL file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct MetricsSample {
    /// When it was taken.
    pub timestamp: DateTime<Utc>,
    /// CPU in percent of one core.
    pub cpu_percent: f64,
    /// Memory in MiB, without page cache.
    pub ram_mb: f64,
    /// Memory limit in MiB.
    pub ram_limit_mb: Option<f64>,
    /// CPU limit in cores.
    pub cpu_limit: Option<f64>,
    /// Whether a soft limit was exceeded.
    pub soft_limit_exceeded: bool,
    /// Whether CPU has stuck to the hard limit for a sustained time.
    #[serde(default)]
    pub cpu_throttled: bool,
}

/// Samples of a run, thinned out to a number that a chart can draw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct MetricsBatch {
    /// The samples, oldest first.
    pub samples: Vec<MetricsSample>,
    /// Offset to continue at.
    pub next: i64,
}
