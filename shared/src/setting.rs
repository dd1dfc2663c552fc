//! Settings that hold, where each comes from, and those that can be changed while the server works.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A setting as it holds now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct Setting {
    /// Heading of its group.
    pub group: String,
    /// Name of the environment variable.
    pub name: String,
    /// What it does.
    pub what: String,
    /// What it may hold, in words.
    pub allowed: String,
    /// Its value; hidden where it is secret, empty when there is none.
    pub value: String,
    /// Where the value comes from: `default`, `environment`, `.env`, `environment, NAME`, or `changed` for one that was
    /// changed while the server worked.
    pub origin: String,
    /// Its default.
    pub default: String,
    /// Whether it can be changed while the server works; others need the environment and a restart.
    pub changeable: bool,
    /// When it was changed.
    pub changed_at: Option<DateTime<Utc>>,
    /// Who changed it.
    pub changed_by: Option<String>,
    /// The value that holds again when the change is taken back.
    pub otherwise: Option<String>,
    /// Where that one comes from.
    pub otherwise_origin: Option<String>,
    /// Why a stored change is not in force: this release does not take it.
    pub problem: Option<String>,
}

/// Changes a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct SettingChange {
    /// The new value, written as in the environment. An empty one is the default.
    pub value: String,
}
