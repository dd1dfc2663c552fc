//! Where the pipelines' code comes from and how fresh it is.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What a look at the code found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct SyncStatus {
    /// `folder` or `git`.
    pub source: String,
    /// Branch, when there is one.
    pub branch: Option<String>,
    /// Commit whose code is live.
    pub commit: Option<String>,
    /// First line of its message.
    pub commit_subject: Option<String>,
    /// Its author.
    pub commit_author: Option<String>,
    /// When the code was last looked at.
    pub last_sync_at: Option<DateTime<Utc>>,
    /// Why the last look failed.
    pub last_error: Option<String>,
    /// Names of pipelines that the last look added.
    pub added: Vec<String>,
    /// Names of pipelines that the last look changed.
    pub changed: Vec<String>,
    /// Names of pipelines that the last look removed.
    pub removed: Vec<String>,
    /// Names of pipelines whose files are not in order.
    pub invalid: Vec<String>,
    /// Number of pipelines found.
    pub pipelines: i32,
}
