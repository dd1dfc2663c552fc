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
