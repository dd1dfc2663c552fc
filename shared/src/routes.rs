//! Every path of the HTTP interface that the browser calls, once.

/// Root of the JSON API.
pub const API: &str = "/api";
/// Alive.
pub const HEALTH: &str = "/health";
/// Able to work.
pub const READY: &str = "/ready";
/// `POST`: log in.
pub const LOGIN: &str = "/api/auth/login";
/// `POST`: end this session.
pub const LOGOUT: &str = "/api/auth/logout";
/// `GET`: who am I.
pub const ME: &str = "/api/auth/me";
/// `POST`: change one's own password.
pub const PASSWORD: &str = "/api/auth/password";
/// `GET`: own sessions; `DELETE`: end all but this one.
pub const SESSIONS: &str = "/api/auth/sessions";
/// `GET`, `POST`: API tokens.
pub const TOKENS: &str = "/api/tokens";
/// `GET`, `POST`: users.
pub const USERS: &str = "/api/users";
/// `GET`: the audit log.
pub const AUDIT: &str = "/api/audit";
/// `GET`: the audit log as a file.
pub const AUDIT_EXPORT: &str = "/api/audit/export";
/// `GET`: pipelines.
pub const PIPELINES: &str = "/api/pipelines";
/// `GET`: runs.
pub const RUNS: &str = "/api/runs";
/// `GET`: how many runs there were on each day.
pub const RUN_DAYS: &str = "/api/runs/days";
/// `GET`: numbers for the dashboard.
pub const OVERVIEW: &str = "/api/overview";
/// `GET`: SSE, what changes on the server.
pub const EVENTS: &str = "/api/events";
/// `POST`: look at the code again.
pub const SYNC: &str = "/api/sync";
/// `GET`: how fresh the code is.
pub const SYNC_STATUS: &str = "/api/sync/status";
/// `GET`: syncs of the past, newest first.
pub const SYNC_HISTORY: &str = "/api/sync/history";
/// `GET`: SSE, the log of the present or latest sync.
pub const SYNC_LOG_STREAM: &str = "/api/sync/log/stream";
/// `GET`, `PUT`, `DELETE`: where the code comes from.
pub const SYNC_SETTINGS: &str = "/api/sync/settings";
/// `POST`: try settings without saving them.
pub const SYNC_TEST: &str = "/api/sync/test";
/// `POST`: a push, told by GitHub or GitLab.
pub const SYNC_WEBHOOK: &str = "/api/sync/webhook";
/// `GET`, `POST`: secrets and parameters.
pub const SECRETS: &str = "/api/secrets";
/// `GET`: jobs; `POST`: make one.
pub const JOBS: &str = "/api/scheduler/jobs";
/// `GET`: the settings that hold.
pub const SETTINGS: &str = "/api/settings";
/// `GET`: what retention would delete; `POST`: delete it now.
pub const CLEANUP: &str = "/api/cleanup";
/// `GET`, `POST`: backups of the database.
pub const BACKUPS: &str = "/api/backups";
/// `GET`: what is kept on the disk.
pub const STORAGE: &str = "/api/storage";
/// `POST`: explain a trigger.
pub const EXPLAIN: &str = "/api/scheduler/explain";
/// `GET`: what fired and what would fire between two instants.
pub const PREVIEW: &str = "/api/scheduler/preview";
/// `GET`: names of time zones.
pub const ZONES: &str = "/api/scheduler/zones";
/// `GET`: periodic chores.
pub const CHORES: &str = "/api/chores";

/// Percent-encodes one path segment (RFC 3986: all but unreserved characters).
#[must_use]
pub fn segment(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Takes the percent-encoding of [`segment`] away. What is no encoding stays as it is, and what is no UTF-8 is replaced.
#[must_use]
pub fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let is_code = |code: &&[u8]| *first == b'%' && code.iter().all(u8::is_ascii_hexdigit);
        let code = tail.get(..2).filter(is_code).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `POST`: do a periodic chore now.
#[must_use]
pub fn chore_run(name: &str) -> String {
    format!("{CHORES}/{}/run", segment(name))
}

/// `PUT`: change a setting; `DELETE`: back to the environment's value.
#[must_use]
pub fn setting(name: &str) -> String {
    format!("{SETTINGS}/{}", segment(name))
}

/// `GET`: a backup as a file.
#[must_use]
pub fn backup_file(name: &str) -> String {
    format!("{BACKUPS}/{}/file", segment(name))
}

/// `GET`, `PUT`, `PATCH`, `DELETE`: one job.
#[must_use]
pub fn job(id: &str) -> String {
    format!("{JOBS}/{}", segment(id))
}

/// `POST`: start a job now.
#[must_use]
pub fn job_run(id: &str) -> String {
    format!("{}/run", job(id))
}

/// `GET`: the next due times of a job.
#[must_use]
pub fn job_next(id: &str) -> String {
    format!("{}/next", job(id))
}

/// `GET`: what became of a job's due times.
#[must_use]
pub fn job_firings(id: &str) -> String {
    format!("{}/firings", job(id))
}

/// `GET`: one pipeline; `PATCH`: switch it.
#[must_use]
pub fn pipeline(name: &str) -> String {
    format!("{PIPELINES}/{}", segment(name))
}

/// `POST`: start a pipeline.
#[must_use]
pub fn pipeline_run(name: &str) -> String {
    format!("{}/run", pipeline(name))
}

/// `GET`: runs of a pipeline.
#[must_use]
pub fn pipeline_runs(name: &str) -> String {
    format!("{}/runs", pipeline(name))
}

/// `GET`: the environment of a pipeline.
#[must_use]
pub fn pipeline_environment(name: &str) -> String {
    format!("{}/environment", pipeline(name))
}

/// `GET`: files of a pipeline.
#[must_use]
pub fn pipeline_files(name: &str) -> String {
    format!("{}/files", pipeline(name))
}

/// `GET`: one of them.
#[must_use]
pub fn pipeline_file(name: &str) -> String {
    format!("{}/file", pipeline(name))
}

/// `GET`: counters of a pipeline.
#[must_use]
pub fn pipeline_stats(name: &str) -> String {
    format!("{}/stats", pipeline(name))
}

/// `POST`: set the counters of a pipeline to zero.
#[must_use]
pub fn pipeline_stats_reset(name: &str) -> String {
    format!("{}/stats/reset", pipeline(name))
}

/// `GET`: one run.
#[must_use]
pub fn run(id: &str) -> String {
    format!("{RUNS}/{}", segment(id))
}

/// `POST`: cancel a run.
#[must_use]
pub fn run_cancel(id: &str) -> String {
    format!("{}/cancel", run(id))
}

/// `POST`: start the same again (same commit, environment and parameters; current secrets).
#[must_use]
pub fn run_again(id: &str) -> String {
    format!("{}/rerun", run(id))
}

/// `POST`: one more attempt of a failed run, with the pipeline's current code.
#[must_use]
pub fn run_retry(id: &str) -> String {
    format!("{}/retry", run(id))
}

/// `GET`: what the watchdog knows.
#[must_use]
pub fn run_health(id: &str) -> String {
    format!("{}/health", run(id))
}

/// `GET`: the log as text.
#[must_use]
pub fn run_logs(id: &str) -> String {
    format!("{}/logs", run(id))
}

/// `GET`: SSE, the log live.
#[must_use]
pub fn run_logs_stream(id: &str) -> String {
    format!("{}/logs/stream", run(id))
}

/// `GET`: a page of the log, by offset, line or time.
#[must_use]
pub fn run_logs_lines(id: &str) -> String {
    format!("{}/logs/lines", run(id))
}

/// `GET`: where a text occurs in the log.
#[must_use]
pub fn run_logs_search(id: &str) -> String {
    format!("{}/logs/search", run(id))
}

/// `GET`: the stored log file (CRI log format), with `Range`.
#[must_use]
pub fn run_logs_file(id: &str) -> String {
    format!("{}/logs/file", run(id))
}

/// `GET`: the stored samples of CPU and memory (JSON lines), with `Range`.
#[must_use]
pub fn run_metrics_file(id: &str) -> String {
    format!("{}/metrics/file", run(id))
}

/// `GET`: CPU and memory.
#[must_use]
pub fn run_metrics(id: &str) -> String {
    format!("{}/metrics", run(id))
}

/// `GET`: SSE, CPU and memory live.
#[must_use]
pub fn run_metrics_stream(id: &str) -> String {
    format!("{}/metrics/stream", run(id))
}

/// `POST`: encrypt a value for `encrypted_env` of a `pipeline.json`.
pub const SECRETS_ENCRYPT: &str = "/api/secrets/encrypt";

/// `POST`: the value of one secret.
#[must_use]
pub fn secret_reveal(key: &str) -> String {
    format!("{}/reveal", secret(key))
}

/// `GET`: the log of a sync of the past as text.
#[must_use]
pub fn sync_log(id: &str) -> String {
    format!("{SYNC_HISTORY}/{}/log", segment(id))
}

/// `PUT`, `DELETE`: one secret or parameter.
#[must_use]
pub fn secret(key: &str) -> String {
    format!("{SECRETS}/{}", segment(key))
}

/// `DELETE`: one of the own sessions.
#[must_use]
pub fn session(id: &str) -> String {
    format!("{SESSIONS}/{}", segment(id))
}

/// `DELETE`: one API token.
#[must_use]
pub fn token(id: &str) -> String {
    format!("{TOKENS}/{}", segment(id))
}

/// `GET`, `PATCH`, `DELETE`: one user.
#[must_use]
pub fn user(id: &str) -> String {
    format!("{USERS}/{}", segment(id))
}

/// `POST`: a new password for a user.
#[must_use]
pub fn user_password(id: &str) -> String {
    format!("{}/password", user(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_one_segment() {
        assert_eq!(pipeline_run("a b/ü"), "/api/pipelines/a%20b%2F%C3%BC/run");
    }

    #[test]
    fn a_segment_is_read_back() {
        for text in ["a b/ü", "100%", "%2", "%zz", "", "a+b"] {
            assert_eq!(decode(&segment(text)), text);
        }
        assert_eq!(decode("100%&%e4%ff"), "100%&\u{fffd}\u{fffd}");
    }
}
