//! The calls, one function each.

use fastflow_shared::{
    Chore, Job, Login, LoginAnswer, MetricsBatch, NewVaultEntry, Overview, Pipeline, PipelineStats, PipelineSwitch,
    Readiness, Run, RunHealth, RunPage, StartRun, SyncStatus, User, VaultChange, VaultEntry, routes,
};
use gloo_net::http::Method;
use serde_json::{Map, Value};

use super::client::{Answer, dismiss, get, get_even, order, write};
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
pub async fn me() -> Answer<User> {
    get(routes::ME).await
}

/// Numbers of the server.
pub async fn overview() -> Answer<Overview> {
    get(routes::OVERVIEW).await
}

/// All pipelines.
pub async fn pipelines() -> Answer<Vec<Pipeline>> {
    get(routes::PIPELINES).await
}

/// One pipeline.
pub async fn pipeline(name: String) -> Answer<Pipeline> {
    get(&routes::pipeline(&name)).await
}

/// Switches a pipeline on or off.
pub async fn switch_pipeline(name: String, enabled: bool) -> Answer<Pipeline> {
    write(Method::PATCH, &routes::pipeline(&name), &PipelineSwitch { enabled }).await
}

/// Sets a pipeline's counters to zero.
pub async fn reset_stats(name: String) -> Answer<PipelineStats> {
    order(Method::POST, &routes::pipeline_stats_reset(&name)).await
}

/// Starts a pipeline.
pub async fn start_run(name: String, start: StartRun) -> Answer<Run> {
    write(Method::POST, &routes::pipeline_run(&name), &start).await
}

/// A page of runs.
pub async fn runs(filter: RunFilter, cursor: Option<String>, limit: usize) -> Answer<RunPage> {
    let mut pairs = filter.pairs();
    pairs.push(("cursor", cursor.unwrap_or_default()));
    pairs.push(("limit", limit.to_string()));
    get(&url(routes::RUNS, &pairs)).await
}

/// One run.
pub async fn run(id: String) -> Answer<Run> {
    get(&routes::run(&id)).await
}

/// What the watchdog knows of a run.
pub async fn run_health(id: String) -> Answer<RunHealth> {
    get(&routes::run_health(&id)).await
}

/// Cancels a run.
pub async fn cancel_run(id: String) -> Answer<Run> {
    order(Method::POST, &routes::run_cancel(&id)).await
}

/// Starts the same again.
pub async fn run_again(id: String) -> Answer<Run> {
    order(Method::POST, &routes::run_again(&id)).await
}

/// One more attempt.
pub async fn retry_run(id: String) -> Answer<Run> {
    order(Method::POST, &routes::run_retry(&id)).await
}

/// CPU and memory of a run, thinned out for a chart.
pub async fn metrics(id: String) -> Answer<MetricsBatch> {
    get(&url(&routes::run_metrics(&id), &[("points", POINTS.to_string())])).await
}

/// Where to download a run's log.
#[must_use]
pub fn log_download(id: &str, timestamps: bool) -> String {
    url(&routes::run_logs(id), &[("timestamps", timestamps.to_string()), ("download", "true".to_owned())])
}

/// Looks at the code again.
pub async fn sync() -> Answer<SyncStatus> {
    order(Method::POST, routes::SYNC).await
}

/// Begins to sync, or joins; the log tells the rest.
pub async fn sync_begin() -> Answer<SyncStatus> {
    order(Method::POST, &url(routes::SYNC, &[("wait", "false".to_owned())])).await
}

/// Where the code comes from. As plain JSON: the form is made from a list of fields.
pub async fn sync_settings() -> Answer<Map<String, Value>> {
    get(routes::SYNC_SETTINGS).await
}

/// Saves where the code comes from, or only tries it.
pub async fn sync_change((settings, save): (Map<String, Value>, bool)) -> Answer<Map<String, Value>> {
    let (method, path) = if save { (Method::PUT, routes::SYNC_SETTINGS) } else { (Method::POST, routes::SYNC_TEST) };
    write(method, path, &settings).await
}

/// How fresh the code is.
pub async fn sync_status() -> Answer<SyncStatus> {
    get(routes::SYNC_STATUS).await
}

/// Secrets and parameters.
pub async fn vault() -> Answer<Vec<VaultEntry>> {
    get(routes::SECRETS).await
}

/// Adds a secret or a parameter.
pub async fn add_entry(entry: NewVaultEntry) -> Answer<VaultEntry> {
    write(Method::POST, routes::SECRETS, &entry).await
}

/// Changes a secret or a parameter.
pub async fn change_entry(key: String, change: VaultChange) -> Answer<VaultEntry> {
    write(Method::PUT, &routes::secret(&key), &change).await
}

/// Deletes a secret or a parameter.
pub async fn delete_entry(key: String) -> Answer<()> {
    dismiss(Method::DELETE, &routes::secret(&key)).await
}

/// Schedules.
pub async fn jobs() -> Answer<Vec<Job>> {
    get(routes::JOBS).await
}

/// Periodic chores.
pub async fn chores() -> Answer<Vec<Chore>> {
    get(routes::CHORES).await
}

/// Whether the server can work; its 503 is an answer as well.
pub async fn readiness() -> Answer<Readiness> {
    get_even(routes::READY, 503).await
}
