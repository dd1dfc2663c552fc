//! Sealed environments: what is in them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::EnvironmentState;

/// A package of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct LockedPackage {
    /// Name.
    pub name: String,
    /// Version; absent when it comes from an address or a path.
    pub version: Option<String>,
    /// Whether it was built from a source distribution.
    pub built: bool,
}

/// The environment that a start of a pipeline now would use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct PipelineEnvironment {
    /// How far it is.
    pub state: EnvironmentState,
    /// uv's message when it could not be built.
    pub error: Option<String>,
    /// What names the packages: `requirements.txt`, `requirements.txt.lock`, `main.py` or `uv.lock`; absent when nothing does.
    pub named_by: Option<String>,
    /// Key of the environment; equal ones are shared. This and what follows is there when it is sealed.
    pub key: Option<String>,
    /// Version of Python.
    pub python_version: Option<String>,
    /// Version of uv that built it.
    pub uv_version: Option<String>,
    /// Id of the image that it was built in.
    pub image_id: Option<String>,
    /// When it was built.
    pub built_at: Option<DateTime<Utc>>,
    /// Seconds that the build took.
    pub build_seconds: Option<f64>,
    /// When a run last used it.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Bytes of its files, which it may share with uv's cache.
    pub size_bytes: Option<i64>,
    /// Number of its files.
    pub files: Option<i64>,
    /// How its files came from uv's cache: `hardlink`, `copy`, or `none` when there are none.
    pub link_mode: Option<String>,
    /// Its packages, as they are locked.
    pub packages: Vec<LockedPackage>,
}
