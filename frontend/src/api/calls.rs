//! The calls, one function each.

use fastflow_shared::{
    Chore, Job, LogHits, LogPage, Login, LoginAnswer, MetricsBatch, NewVaultEntry, Overview, Pipeline, PipelineStats,
    PipelineSwitch, Readiness, Run, RunDay, RunHealth, RunPage, StartRun, SyncStatus, User, VaultChange, VaultEntry,
    routes,
};
use gloo_net::http::Method;

use super::client::{Answer, Ask, dismiss, get, get_even, order, write};
use crate::logic::query::{RunFilter, url};

/// Rows of one page of runs.
pub const PAGE: usize = 50;
/// Samples a chart can draw.
pub const POINTS: usize = 300;

/// Signs in; the session is in a cookie that this code cannot see.
pub async fn login(login: Login) -> Answer<User> {
    let answer: LoginAnswer = write(Method::POST, routes::LOGIN, &login).await?;
    Ok(answer.user)
}

/// Ends the session.
pub async fn logout() -> Answer<()> {
    dismiss(Method::POST, routes::LOGOUT).await
}

/// Who is signed in.
pub fn me() -> Ask<User> {
    get(routes::ME)
}

/// Numbers of the server.
pub fn overview() -> Ask<Overview> {
    get(routes::OVERVIEW)
}

/// All pipelines.
pub fn pipelines() -> Ask<Vec<Pipeline>> {
    get(routes::PIPELINES)
}

/// One pipeline.
pub fn pipeline(name: String) -> Ask<Pipeline> {
    get(&routes::pipeline(&name))
}

/// Switches a pipeline on or off.
pub fn switch_pipeline(name: String, enabled: bool) -> Ask<Pipeline> {
    write(Method::PATCH, &routes::pipeline(&name), &PipelineSwitch { enabled })
}

/// Sets a pipeline's counters to zero.
pub fn reset_stats(name: String) -> Ask<PipelineStats> {
    order(Method::POST, &routes::pipeline_stats_reset(&name))
}

/// Starts a pipeline.
pub fn start_run(name: String, start: StartRun) -> Ask<Run> {
    write(Method::POST, &routes::pipeline_run(&name), &start)
}

/// A page of runs.
pub fn runs(filter: RunFilter, cursor: Option<String>, limit: usize) -> Ask<RunPage> {
    let mut pairs = filter.pairs();
    pairs.push(("cursor", cursor.unwrap_or_default()));
    pairs.push(("limit", limit.to_string()));
    get(&url(routes::RUNS, &pairs))
}

/// The last runs that failed since a moment.
pub fn failed_since(from: String, limit: usize) -> Ask<RunPage> {
    let pairs = [("status", "FAILED".to_owned()), ("from", from), ("limit", limit.to_string())];
    get(&url(routes::RUNS, &pairs))
}

/// How many runs there were on each day of a year, in a time zone.
pub fn run_days(timezone: String) -> Ask<Vec<RunDay>> {
    get(&url(routes::RUN_DAYS, &[("timezone", timezone), ("days", "371".to_owned())]))
}

/// One run.
pub fn run(id: String) -> Ask<Run> {
    get(&routes::run(&id))
}

/// What the watchdog knows of a run.
pub fn run_health(id: String) -> Ask<RunHealth> {
    get(&routes::run_health(&id))
}

/// Cancels a run.
pub fn cancel_run(id: String) -> Ask<Run> {
    order(Method::POST, &routes::run_cancel(&id))
}

/// Starts the same again.
pub fn run_again(id: String) -> Ask<Run> {
    order(Method::POST, &routes::run_again(&id))
}

/// One more attempt.
pub fn retry_run(id: String) -> Ask<Run> {
    order(Method::POST, &routes::run_retry(&id))
}

/// CPU and memory of a run, thinned out for a chart.
pub fn metrics(id: String) -> Ask<MetricsBatch> {
    get(&url(&routes::run_metrics(&id), &[("points", POINTS.to_string())]))
}

/// A page of a run's log: at `("offset" | "line" | "time" | "before", value)`.
pub fn log_page(id: &str, at: (&'static str, String), limit: usize) -> Ask<LogPage> {
    get(&url(&routes::run_logs_lines(id), &[at, ("limit", limit.to_string())]))
}

/// Where a text occurs in a run's log, from an offset on.
pub fn log_search(id: &str, text: &str, from: i64) -> Ask<LogHits> {
    get(&url(&routes::run_logs_search(id), &[("text", text.to_owned()), ("from", from.to_string())]))
}

/// Where to download a run's log.
#[must_use]
pub fn log_download(id: &str, timestamps: bool) -> String {
    url(&routes::run_logs(id), &[("timestamps", timestamps.to_string()), ("download", "true".to_owned())])
}

/// Looks at the code again.
pub fn sync() -> Ask<SyncStatus> {
    order(Method::POST, routes::SYNC)
}

/// How fresh the code is.
pub fn sync_status() -> Ask<SyncStatus> {
    get(routes::SYNC_STATUS)
}

/// Secrets and parameters.
pub fn vault() -> Ask<Vec<VaultEntry>> {
    get(routes::SECRETS)
}

/// Adds a secret or a parameter.
pub fn add_entry(entry: NewVaultEntry) -> Ask<VaultEntry> {
    write(Method::POST, routes::SECRETS, &entry)
}

/// Changes a secret or a parameter.
pub fn change_entry(key: String, change: VaultChange) -> Ask<VaultEntry> {
    write(Method::PUT, &routes::secret(&key), &change)
}

/// Deletes a secret or a parameter.
pub async fn delete_entry(key: String) -> Answer<()> {
    dismiss(Method::DELETE, &routes::secret(&key)).await
}

/// Schedules.
pub fn jobs() -> Ask<Vec<Job>> {
    get(routes::JOBS)
}

/// Periodic chores.
pub fn chores() -> Ask<Vec<Chore>> {
    get(routes::CHORES)
}

/// Whether the server can work; its 503 is an answer as well.
pub fn readiness() -> Ask<Readiness> {
    get_even(routes::READY, 503)
}
