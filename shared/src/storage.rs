//! What the server keeps on its disk: how much of what, what goes next, what is cleaned up, and backups.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What the server keeps on its disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct Storage {
    /// `hardlink` when uv can link files from its cache into environments, `copy` when they take their room twice.
    pub link_mode: String,
    /// When it was measured; absent until the chore `storage` has run once, a few seconds after the start.
    pub measured_at: Option<DateTime<Utc>>,
    /// When it is measured next, and what is too much goes.
    pub next_at: Option<DateTime<Utc>>,
    /// Bytes of everything.
    pub bytes: Option<i64>,
    /// What that is to stay within (`DATA_MAX_MB`); absent when there is no limit.
    pub budget_bytes: Option<i64>,
    /// Bytes of environments, uv's cache and kept code.
    pub cache_bytes: Option<i64>,
    /// What those are to stay within (`UV_CACHE_MAX_MB`); absent when there is no limit.
    pub cache_budget_bytes: Option<i64>,
    /// Free bytes of the fullest disk that is written to, now; absent when it cannot be asked.
    pub free_bytes: Option<i64>,
    /// Free bytes below which no run is started (`DATA_MIN_FREE_MB`).
    pub min_free_bytes: i64,
    /// Why no run is started for now.
    pub starts_refused: Option<String>,
    /// Sealed environments.
    pub environments: Option<i64>,
    /// Those of them that pipelines or runs use.
    pub environments_in_use: Option<i64>,
    /// What takes the room, largest first.
    pub parts: Vec<StoragePart>,
    /// What goes next, in this order.
    pub next: Vec<StorageItem>,
}

/// One kind of data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct StoragePart {
    /// `logs`, `environments`, `cache`, `code`, `commits`, `backups`, `database` or `work`.
    pub kind: String,
    /// Bytes on the disk.
    pub bytes: i64,
    /// Bytes of what may go when room is needed.
    pub spare_bytes: i64,
    /// How many things it is.
    pub count: i64,
}

/// Something that goes, or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct StorageItem {
    /// As of a part: `logs` is a run with its log and metrics.
    pub kind: String,
    /// Id of the run, key of the environment, name of the file or folder.
    pub name: String,
    /// Pipeline of the run.
    pub pipeline_name: Option<String>,
    /// Bytes that this gives back, about.
    pub bytes: i64,
    /// When it was last used, or the run ended.
    pub last_used_at: DateTime<Utc>,
    /// Why: `count` (`LOG_RETENTION_RUNS`), `age` (`LOG_RETENTION_DAYS`), `budget` (`DATA_MAX_MB`), `cache_budget`
    /// (`UV_CACHE_MAX_MB`), `backups` (`BACKUP_KEEP`), or `room`: nothing is too much, and this is the first to go when it is.
    pub reason: String,
    /// When; absent for what goes only when room is needed.
    pub at: Option<DateTime<Utc>>,
}

/// Runs that the settings of retention delete, with their logs and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct Cleanup {
    /// Whether they were deleted, or would be.
    pub done: bool,
    /// How many runs.
    pub runs: i64,
    /// Bytes of their logs, as far as known.
    pub log_bytes: i64,
    /// The first of them, at most 500.
    pub items: Vec<StorageItem>,
}

/// A backup of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct Backup {
    /// Name of the file.
    pub name: String,
    /// Its size.
    pub bytes: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}
