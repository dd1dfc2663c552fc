//! The audit log: who did what, when, from where, and how it ended.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", oai(rename_all = "snake_case"))]
pub enum AuditResult {
    /// It was done.
    Ok,
    /// It was refused: not allowed, or a wrong password.
    Denied,
    /// It was allowed and was not done: wrong input, the wrong state, a fault.
    Failed,
}

impl AuditResult {
    /// Every result.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Denied, Self::Failed];

    /// The name used in JSON and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }

    /// The result of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|result| result.as_str() == name)
    }
}

/// Something that somebody did, or tried to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct AuditEntry {
    /// Id of the entry.
    pub id: String,
    /// When it ended.
    pub time: DateTime<Utc>,
    /// Name of who did it; of a failed login the name that was tried.
    pub actor: String,
    /// Id of the user; absent when it was nobody who is known.
    pub actor_id: Option<String>,
    /// With what: `session`, `token` or `login`; `cli` for the command line, `outside` for a webhook, `server` for itself.
    pub via: String,
    /// What was done, like `run.start`.
    pub action: String,
    /// To what: a name or an id; absent when the action says it all.
    pub target: Option<String>,
    /// How it ended.
    pub result: AuditResult,
    /// HTTP status of the answer; absent when it did not come by HTTP.
    pub status: Option<u16>,
    /// The stable `code` of the problem when there was one.
    pub code: Option<String>,
    /// Address it came from.
    pub ip: Option<String>,
    /// What the client called itself.
    pub user_agent: Option<String>,
    /// Id of the request, also in the server's log.
    pub request_id: Option<String>,
    /// More about it, never a secret.
    pub detail: BTreeMap<String, String>,
}

/// A page of the audit log, latest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct AuditPage {
    /// The entries.
    pub items: Vec<AuditEntry>,
    /// Give it as `cursor` to get the next page; absent on the last one.
    pub next_cursor: Option<String>,
}
