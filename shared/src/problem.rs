//! The one shape of every error: `application/problem+json` (RFC 9457) with a stable `code`.

use serde::{Deserialize, Serialize};

/// What went wrong with one field of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct FieldProblem {
    /// Name of the field.
    pub field: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// An error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct Problem {
    /// HTTP status code.
    pub status: u16,
    /// Stable, machine-readable name of the error, e.g. `pipeline_not_found`.
    pub code: String,
    /// Short, human-readable name of the kind of error.
    pub title: String,
    /// What happened here and how to mend it.
    pub detail: String,
    /// Id of the request, also in the server's log.
    pub request_id: Option<String>,
    /// Seconds after which to try again.
    pub retry_after: Option<i64>,
    /// Which fields of the input are wrong.
    pub errors: Vec<FieldProblem>,
}
