//! The calls, one function each.

#![expect(clippy::needless_pass_by_value, reason = "hooks call them with what they own")]

use chrono::{DateTime, Utc};
use fastflow_shared::{
    ApiToken, ApiTokenCreated, AuditPage, Backup, Chore, Cleanup, FiringPage, Job, JobDraft, JobSwitch, LogHits,
    LogPage, Login, LoginAnswer, MetricsBatch, NewApiToken, NewUser, NewVaultEntry, Outlook, Overview, PasswordChange,
    PasswordReset, Pipeline, PipelineEnvironment, PipelineStats, PipelineSwitch, Preview, Readiness, RevealedSecret,
    Run, RunDay, RunHealth, RunPage, SessionInfo, Setting, SettingChange, SourceFile, SourceList, StartRun, Storage,
    SyncStatus, TriggerDraft, User, UserAccount, UserChange, UserWithPassword, VaultChange, VaultEntry, routes,
};
use gloo_net::http::Method;

use super::client::{Ask, deliver, dismiss, get, get_even, order, write};
use crate::logic::plain::Plains;
use crate::logic::query::{RunFilter, url};

/// Rows of one page of runs.
pub const PAGE: usize = 50;
/// Samples a chart can draw.
pub const POINTS: usize = 300;

/// Signs in; the session is in a cookie that this code cannot see.
pub fn login(login: Login) -> Ask<User> {
    Ask::of(async move {
        let answer: LoginAnswer = write(Method::POST, routes::LOGIN, &login).await?;
        Ok(answer.user)
    })
}

/// Ends the session.
pub fn logout() -> Ask<()> {
    dismiss(Method::POST, routes::LOGOUT)
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

/// All pipelines without their runs, for lists of names.
pub fn plain_pipelines() -> Ask<Vec<Pipeline>> {
    get(&url(routes::PIPELINES, &[("latest_runs", "0".to_owned())]))
}

/// One pipeline.
pub fn pipeline(name: String) -> Ask<Pipeline> {
    get(&routes::pipeline(&name))
}

/// The files of a pipeline.
pub fn pipeline_files(name: &str) -> Ask<SourceList> {
    get(&routes::pipeline_files(name))
}

/// One of them.
pub fn pipeline_file(name: &str, path: String) -> Ask<SourceFile> {
    get(&url(&routes::pipeline_file(name), &[("path", path)]))
}

/// The sealed environment of a pipeline.
pub fn environment(name: String) -> Ask<PipelineEnvironment> {
    get(&routes::pipeline_environment(&name))
}

/// Deletes a pipeline with its schedules; its runs are cancelled.
pub fn delete_pipeline(name: String) -> Ask<()> {
    dismiss(Method::DELETE, &url(&routes::pipeline(&name), &[("confirm", "true".to_owned())]))
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
    let mut pairs = audit_times(filter.pairs());
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

/// Begins to sync, or joins; the log tells the rest.
pub fn sync_begin() -> Ask<SyncStatus> {
    order(Method::POST, &url(routes::SYNC, &[("wait", "false".to_owned())]))
}

/// Where the code comes from. As plain JSON: the form is made from a list of fields.
pub fn sync_settings() -> Ask<Plains> {
    get(routes::SYNC_SETTINGS)
}

/// Saves where the code comes from, or only tries it.
pub fn sync_change((settings, save): (Plains, bool)) -> Ask<Plains> {
    let (method, path) = if save { (Method::PUT, routes::SYNC_SETTINGS) } else { (Method::POST, routes::SYNC_TEST) };
    write(method, path, &settings)
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

/// The value of one secret.
pub fn reveal_entry(key: String) -> Ask<RevealedSecret> {
    order(Method::POST, &routes::secret_reveal(&key))
}

/// Deletes a secret or a parameter.
pub fn delete_entry(key: String) -> Ask<()> {
    dismiss(Method::DELETE, &routes::secret(&key))
}

/// Schedules.
pub fn jobs() -> Ask<Vec<Job>> {
    get(routes::JOBS)
}

/// Schedules of one pipeline.
pub fn jobs_of(pipeline: String) -> Ask<Vec<Job>> {
    get(&url(routes::JOBS, &[("pipeline", pipeline)]))
}

/// Pauses a schedule, or lets it go on.
pub fn switch_job(id: String, enabled: bool) -> Ask<Job> {
    write(Method::PATCH, &routes::job(&id), &JobSwitch { enabled })
}

/// Makes a schedule, or changes one.
pub fn save_job(id: Option<String>, draft: JobDraft) -> Ask<Job> {
    match id {
        None => write(Method::POST, routes::JOBS, &draft),
        Some(id) => write(Method::PUT, &routes::job(&id), &draft),
    }
}

/// Deletes a schedule.
pub fn delete_job(id: String) -> Ask<()> {
    dismiss(Method::DELETE, &routes::job(&id))
}

/// Starts a schedule's run now.
pub fn run_job(id: String) -> Ask<Run> {
    order(Method::POST, &routes::job_run(&id))
}

/// What became of a schedule's due times.
pub fn job_firings(id: String) -> Ask<FiringPage> {
    get(&routes::job_firings(&id))
}

/// What a trigger means.
pub fn explain(trigger: TriggerDraft) -> Ask<Outlook> {
    write(Method::POST, routes::EXPLAIN, &trigger)
}

/// What fired and what would fire.
pub fn preview(from: DateTime<Utc>, to: DateTime<Utc>) -> Ask<Preview> {
    #[expect(clippy::cast_precision_loss, reason = "exact for 285,000 years")]
    let text = |at: DateTime<Utc>| {
        let date = js_sys::Date::new(&(at.timestamp_millis() as f64).into());
        String::from(date.to_iso_string())
    };
    get(&url(routes::PREVIEW, &[("from", text(from)), ("to", text(to))]))
}

/// Names of time zones.
pub fn zones() -> Ask<Vec<String>> {
    get(routes::ZONES)
}

/// Periodic chores.
pub fn chores() -> Ask<Vec<Chore>> {
    get(routes::CHORES)
}

/// Whether the server can work; its 503 is an answer as well.
pub fn readiness() -> Ask<Readiness> {
    get_even(routes::READY, 503)
}

/// Changes one's own password.
pub fn change_password(change: PasswordChange) -> Ask<()> {
    deliver(Method::POST, routes::PASSWORD, &change)
}

/// One's own sessions.
pub fn sessions() -> Ask<Vec<SessionInfo>> {
    get(routes::SESSIONS)
}

/// Ends one of them.
pub fn end_session(id: String) -> Ask<()> {
    dismiss(Method::DELETE, &routes::session(&id))
}

/// Ends all of them but this one.
pub fn end_other_sessions() -> Ask<()> {
    dismiss(Method::DELETE, routes::SESSIONS)
}

/// One's own API tokens.
pub fn tokens() -> Ask<Vec<ApiToken>> {
    get(routes::TOKENS)
}

/// Makes an API token.
pub fn add_token(new: NewApiToken) -> Ask<ApiTokenCreated> {
    write(Method::POST, routes::TOKENS, &new)
}

/// Deletes an API token.
pub fn delete_token(id: String) -> Ask<()> {
    dismiss(Method::DELETE, &routes::token(&id))
}

/// All users.
pub fn users() -> Ask<Vec<UserAccount>> {
    get(routes::USERS)
}

/// Creates a user.
pub fn add_user(new: NewUser) -> Ask<UserWithPassword> {
    write(Method::POST, routes::USERS, &new)
}

/// Changes role or lock of a user.
pub fn change_user(id: String, change: UserChange) -> Ask<UserAccount> {
    write(Method::PATCH, &routes::user(&id), &change)
}

/// Deletes a user.
pub fn delete_user(id: String) -> Ask<()> {
    dismiss(Method::DELETE, &routes::user(&id))
}

/// Gives a user a password that is made up.
pub fn reset_password(id: String) -> Ask<UserWithPassword> {
    write(Method::POST, &routes::user_password(&id), &PasswordReset::default())
}

/// A page of the audit log.
pub fn audit(pairs: Vec<(&'static str, String)>, cursor: String) -> Ask<AuditPage> {
    let mut pairs = audit_times(pairs);
    pairs.push(("cursor", cursor));
    get(&url(routes::AUDIT, &pairs))
}

/// Days as they are chosen, as times for the server: a whole day of this browser's, its end included.
#[must_use]
pub fn audit_times(mut pairs: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    for (key, value) in pairs.iter_mut().filter(|(key, value)| ["from", "to"].contains(key) && !value.is_empty()) {
        let begin = js_sys::Date::new(&format!("{value}T00:00:00").into());
        begin.set_date(begin.get_date() + u32::from(*key == "to"));
        *value = begin.to_iso_string().into();
    }
    pairs
}

/// What is kept on the disk.
pub fn storage() -> Ask<Storage> {
    get(routes::STORAGE)
}

/// What retention would delete.
pub fn cleanup() -> Ask<Cleanup> {
    get(routes::CLEANUP)
}

/// Deletes what retention does not keep.
pub fn clean_up() -> Ask<Cleanup> {
    order(Method::POST, routes::CLEANUP)
}

/// Backups of the database.
pub fn backups() -> Ask<Vec<Backup>> {
    get(routes::BACKUPS)
}

/// Makes a backup.
pub fn back_up() -> Ask<Backup> {
    order(Method::POST, routes::BACKUPS)
}

/// The settings that hold.
pub fn settings() -> Ask<Vec<Setting>> {
    get(routes::SETTINGS)
}

/// Changes a setting.
pub fn change_setting(name: String, value: String) -> Ask<Setting> {
    write(Method::PUT, &routes::setting(&name), &SettingChange { value })
}

/// Takes a change of a setting back.
pub fn reset_setting(name: String) -> Ask<Setting> {
    order(Method::DELETE, &routes::setting(&name))
}
