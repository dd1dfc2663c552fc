//! One page of a long list, by keyset: a cursor names the last row seen, so page 10,000 costs what page 1 costs.

use serde::{Deserialize, Serialize};

use crate::Run;

/// A page of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct RunPage {
    /// The rows, in the order asked for.
    pub items: Vec<Run>,
    /// Give it as `cursor` to get the next page; absent on the last one.
    pub next_cursor: Option<String>,
}

/// What became of the runs of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct RunDay {
    /// The day, as `2026-11-21`, in the zone that was asked for.
    pub date: String,
    /// Runs that succeeded.
    pub succeeded: i64,
    /// Runs that failed or were cancelled.
    pub failed: i64,
    /// Runs that have not ended.
    pub active: i64,
}
