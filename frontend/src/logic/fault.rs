//! A call that failed, as the pages see it: a reason, and enough to say what to do about it.

use fastflow_shared::{FieldProblem, Problem, json};

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// HTTP status; 0 when no answer came.
    pub status: u16,
    /// Stable name of the error; `network` when no answer came, `unreadable` when it could not be understood.
    pub code: String,
    /// The server's sentence.
    pub detail: String,
    /// Seconds after which to try again.
    pub retry_after: Option<i64>,
    /// Id of the request in the server's log.
    pub request_id: Option<String>,
    /// What is wrong with which field.
    pub errors: Vec<FieldProblem>,
}

impl Fault {
    /// No answer came.
    #[must_use]
    pub fn network(detail: String) -> Self {
        Self::bare(0, "network", detail)
    }

    /// Whether no answer came: the question may be asked again.
    #[must_use]
    pub fn is_network(&self) -> bool {
        self.status == 0
    }

    /// An answer came that is not ours.
    #[must_use]
    pub fn unreadable(status: u16, detail: String) -> Self {
        Self::bare(status, "unreadable", detail)
    }

    fn bare(status: u16, code: &str, detail: String) -> Self {
        Self { status, code: code.to_owned(), detail, retry_after: None, request_id: None, errors: Vec::new() }
    }

    /// What an unsuccessful answer says: the problem in its body, if there is one.
    #[must_use]
    pub fn from_body(status: u16, body: &str, retry_after: Option<i64>) -> Self {
        match json::from_str::<Problem>(body) {
            Ok(problem) => Self {
                status,
                code: problem.code,
                detail: if problem.detail.is_empty() { problem.title } else { problem.detail },
                retry_after: problem.retry_after.or(retry_after),
                request_id: problem.request_id,
                errors: problem.errors,
            },
            Err(_) => Self { retry_after, ..Self::unreadable(status, body.chars().take(200).collect()) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_read_and_anything_else_is_kept_short() {
        let body = r#"{"status":429,"code":"queue_full","title":"Queue full","detail":"100 runs wait","request_id":"r1","retry_after":30,"errors":[]}"#;
        let fault = Fault::from_body(429, body, None);
        assert_eq!((fault.code.as_str(), fault.retry_after), ("queue_full", Some(30)));
        let proxy = Fault::from_body(502, &"<html>".repeat(100), Some(5));
        assert_eq!((proxy.code.as_str(), proxy.detail.len(), proxy.retry_after), ("unreadable", 200, Some(5)));
    }
}
