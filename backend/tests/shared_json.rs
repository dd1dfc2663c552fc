//! The server writes JSON with poem-openapi, the browser reads it with serde, and both go by the same types. Here every one
//! of them is written by each of the two and read by the other, so that a rename for one alone cannot slip in.
//!
//! Times may be spelled differently (`Z` and `+00:00` are one instant in RFC 3339), so they are compared as instants.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};
use fastflow_shared::*;
use poem_openapi::types::{ParseFromJSON, ToJSON};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Checks samples of one type; returns its name.
fn parity<T: ToJSON + ParseFromJSON + Serialize + DeserializeOwned>(samples: &[T]) -> String {
    let name = T::name().into_owned();
    assert!(!samples.is_empty(), "{name} has no sample");
    for sample in samples {
        let serde = serde_json::to_value(sample).expect("serde writes it");
        let poem = sample.to_json().expect("poem-openapi writes it");
        assert_eq!(instants(poem.clone()), instants(serde.clone()), "{name} as poem-openapi and as serde write it");

        let by_serde: T = serde_json::from_value(poem).unwrap_or_else(|e| panic!("serde cannot read {name}: {e}"));
        assert_eq!(serde_json::to_value(&by_serde).expect("serde writes it"), serde, "{name} read by serde");
        let by_browser: T =
            json::from_str(&serde.to_string()).unwrap_or_else(|e| panic!("the browser cannot read {name}: {e}"));
        assert_eq!(serde_json::to_value(&by_browser).expect("serde writes it"), serde, "{name} read by the browser");
        let written = json::to_string(sample).unwrap_or_else(|e| panic!("the browser cannot write {name}: {e}"));
        // It writes 2 where serde_json writes 2.0, so what is compared is what the server reads.
        let arrived: T = serde_json::from_str(&written).unwrap_or_else(|e| panic!("{name}: {e}: {written}"));
        assert_eq!(serde_json::to_value(&arrived).expect("serde writes it"), serde, "{name} written by the browser");
        let by_poem = read_by_poem::<T>(serde.clone()).unwrap_or_else(|e| panic!("poem cannot read {name}: {e}"));
        assert_eq!(serde_json::to_value(&by_poem).expect("serde writes it"), serde, "{name} read by poem-openapi");
    }
    name
}

/// Checks that both read `json`, with the same result.
fn both_read<T: ParseFromJSON + DeserializeOwned + PartialEq + Debug>(json: &Value, expected: &T) {
    assert_eq!(&serde_json::from_value::<T>(json.clone()).expect("serde reads it"), expected);
    assert_eq!(&read_by_poem::<T>(json.clone()).expect("poem-openapi reads it"), expected);
}

fn read_by_poem<T: ParseFromJSON>(json: Value) -> Result<T, String> {
    T::parse_from_json(Some(json)).map_err(poem_openapi::types::ParseError::into_message)
}

/// Every text that is a time, in one spelling.
fn instants(value: Value) -> Value {
    match value {
        Value::String(text) => match DateTime::parse_from_rfc3339(&text) {
            Ok(time) => json!({ "time": time.with_timezone(&Utc).timestamp_micros() }),
            Err(_) => Value::String(text),
        },
        Value::Array(items) => items.into_iter().map(instants).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, instants(value))).collect(),
        other => other,
    }
}

fn time() -> DateTime<Utc> {
    "2026-03-29T01:02:03.456Z".parse().expect("a time")
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn pairs() -> BTreeMap<String, String> {
    BTreeMap::from([("A".to_owned(), "ä \"quoted\"\n".to_owned()), ("EMPTY".to_owned(), String::new())])
}

fn user() -> User {
    User { id: "u".to_owned(), username: "ada".to_owned(), role: Role::Admin, created_at: time() }
}

fn locked_package() -> LockedPackage {
    LockedPackage { name: "rich".to_owned(), version: text("14.0"), built: true }
}

fn environment() -> PipelineEnvironment {
    PipelineEnvironment {
        state: EnvironmentState::Ready,
        error: text("e"),
        named_by: text("uv.lock"),
        key: text("00ff"),
        python_version: text("3.11.2"),
        uv_version: text("0.9.1"),
        image_id: text("sha256:00"),
        built_at: Some(time()),
        build_seconds: Some(1.5),
        last_used_at: None,
        size_bytes: Some(1 << 40),
        files: Some(3),
        link_mode: text("hardlink"),
        packages: vec![locked_package()],
    }
}

fn storage() -> Storage {
    Storage {
        link_mode: "copy".to_owned(),
        measured_at: Some(time()),
        next_at: Some(time()),
        bytes: Some(1 << 40),
        budget_bytes: None,
        cache_bytes: Some(7),
        cache_budget_bytes: Some(9),
        free_bytes: Some(1),
        min_free_bytes: 2,
        starts_refused: text("full"),
        environments: Some(3),
        environments_in_use: Some(2),
        parts: vec![storage_part()],
        next: vec![storage_item()],
    }
}

fn storage_part() -> StoragePart {
    StoragePart { kind: "logs".to_owned(), bytes: 1 << 33, spare_bytes: 1, count: 2 }
}

fn storage_item() -> StorageItem {
    StorageItem {
        kind: "logs".to_owned(),
        name: "n".to_owned(),
        pipeline_name: text("p"),
        bytes: 3,
        last_used_at: time(),
        reason: "age".to_owned(),
        at: Some(time()),
    }
}

fn setting() -> Setting {
    Setting {
        group: "g".to_owned(),
        name: "N".to_owned(),
        what: "w".to_owned(),
        allowed: "a".to_owned(),
        value: "v".to_owned(),
        origin: "changed".to_owned(),
        default: String::new(),
        changeable: true,
        changed_at: Some(time()),
        changed_by: text("ada"),
        otherwise: text("o"),
        otherwise_origin: text("default"),
        problem: None,
    }
}

fn account() -> UserAccount {
    UserAccount {
        id: "u".to_owned(),
        username: "ada".to_owned(),
        role: Role::Operator,
        disabled: true,
        created_at: time(),
        updated_at: time(),
        last_login_at: None,
    }
}

fn session() -> SessionInfo {
    SessionInfo {
        id: "s".to_owned(),
        created_at: time(),
        last_used_at: time(),
        expires_at: time(),
        ip: text("::1"),
        user_agent: None,
        current: true,
    }
}

fn api_token() -> ApiToken {
    ApiToken {
        id: "t".to_owned(),
        name: "deploy".to_owned(),
        owner: "ada".to_owned(),
        hint: "ff_abcde".to_owned(),
        role: Role::Viewer,
        created_at: time(),
        expires_at: Some(time()),
        last_used_at: None,
        last_used_ip: text("10.0.0.1"),
    }
}

fn audit_entry() -> AuditEntry {
    AuditEntry {
        id: "e".to_owned(),
        time: time(),
        actor: "ada".to_owned(),
        actor_id: text("u"),
        via: "session".to_owned(),
        action: "run.start".to_owned(),
        target: text("etl"),
        result: AuditResult::Ok,
        status: Some(201),
        code: None,
        ip: text("::1"),
        user_agent: text("curl"),
        request_id: None,
        detail: pairs(),
    }
}

fn full_run() -> Run {
    Run {
        id: "0198".to_owned(),
        pipeline_name: "etl".to_owned(),
        status: RunStatus::Failed,
        phase: Phase::Ended,
        waits_for: Some(WaitsFor::SharedInstallation),
        trigger: Trigger::Schedule,
        triggered_by: text("ada"),
        attempt: 2,
        max_attempts: 3,
        retry_of: text("0197"),
        retried_by: text("0199"),
        not_before: Some(time()),
        created_at: time(),
        started_at: Some(time()),
        finished_at: Some(time()),
        duration_seconds: Some(1.25),
        exit_code: Some(3),
        error_type: Some(ErrorType::ExitCode),
        error_message: text("Exit code 3."),
        uv_version: text("0.13.0"),
        setup_duration: Some(0.0),
        warm_start: true,
        start_seconds: Some(0.012),
        environment: text("k"),
        image: text("i"),
        commit: text("c"),
        commit_url: text("https://h/c"),
        commit_subject: text("s"),
        commit_author: text("a"),
        queue_position: Some(1),
        cancel_requested: true,
        parameters: pairs(),
        env_names: vec![EnvName { name: "A".to_owned(), source: "start".to_owned(), value: text("v") }],
        cpu_limit: Some(0.5),
        memory_limit: Some(1 << 40),
        cpu_soft_limit: Some(0.25),
        memory_soft_limit: Some(1 << 39),
        timeout_seconds: Some(60),
        log_bytes: Some(1 << 50),
        cpu_peak_percent: Some(99.5),
        cpu_average_percent: Some(50.25),
        ram_peak_mb: Some(10.5),
        ram_average_mb: Some(5.5),
        soft_limit_exceeded: true,
        cpu_throttled: false,
    }
}

fn bare_run() -> Run {
    Run {
        id: "0198".to_owned(),
        pipeline_name: "etl".to_owned(),
        status: RunStatus::Pending,
        phase: Phase::Queued,
        waits_for: None,
        trigger: Trigger::Manual,
        triggered_by: None,
        attempt: 1,
        max_attempts: 1,
        retry_of: None,
        retried_by: None,
        not_before: None,
        created_at: time(),
        started_at: None,
        finished_at: None,
        duration_seconds: None,
        exit_code: None,
        error_type: None,
        error_message: None,
        uv_version: None,
        setup_duration: None,
        warm_start: false,
        start_seconds: None,
        environment: None,
        image: None,
        commit: None,
        commit_url: None,
        commit_subject: None,
        commit_author: None,
        queue_position: None,
        cancel_requested: false,
        parameters: BTreeMap::new(),
        env_names: Vec::new(),
        cpu_limit: None,
        memory_limit: None,
        cpu_soft_limit: None,
        memory_soft_limit: None,
        timeout_seconds: None,
        log_bytes: None,
        cpu_peak_percent: None,
        cpu_average_percent: None,
        ram_peak_mb: None,
        ram_average_mb: None,
        soft_limit_exceeded: false,
        cpu_throttled: false,
    }
}

fn summary() -> RunSummary {
    RunSummary {
        id: "r".to_owned(),
        status: RunStatus::Success,
        error_type: None,
        created_at: time(),
        started_at: Some(time()),
        finished_at: None,
    }
}

fn pipeline_problem() -> PipelineProblem {
    PipelineProblem { file: "pipeline.json".to_owned(), line: Some(2), column: None, message: "m".to_owned() }
}

fn source_entry() -> SourceEntry {
    SourceEntry { path: "lib/a.py".to_owned(), bytes: 12 }
}

fn pipeline() -> Pipeline {
    Pipeline {
        name: "etl".to_owned(),
        description: text("d"),
        tags: vec!["a".to_owned()],
        enabled: false,
        enabled_in_repository: true,
        enabled_by_operator: false,
        valid: false,
        problems: vec![pipeline_problem()],
        has_requirements: true,
        environment_state: EnvironmentState::Failed,
        environment_error: text("no"),
        last_cache_warmup: Some(time()),
        cpu_hard_limit: Some(1.5),
        mem_hard_limit: Some(1 << 30),
        cpu_soft_limit: None,
        mem_soft_limit: None,
        timeout: Some(60),
        retry_attempts: Some(2),
        default_env: pairs(),
        secrets: Some(vec!["A".to_owned()]),
        encrypted_env: vec!["B".to_owned()],
        parameters: vec![parameter()],
        commit: None,
        queued: 1,
        running: 2,
        latest_runs: vec![summary()],
        stats: stats(),
        discovered_at: time(),
    }
}

fn parameter() -> PipelineParameter {
    PipelineParameter {
        name: "A".to_owned(),
        kind: ParameterKind::Integer,
        default: text("1"),
        choices: vec!["1".to_owned(), "2".to_owned()],
        required: false,
        description: text("d"),
        min: Some(0.5),
        max: None,
    }
}

fn stats() -> PipelineStats {
    PipelineStats {
        total_runs: 3,
        successful_runs: 2,
        failed_runs: 1,
        success_rate: Some(66.5),
        mean_duration_seconds: Some(1.5),
        p95_duration_seconds: None,
        reset_at: None,
    }
}

fn line() -> LogLine {
    LogLine {
        offset: 1 << 40,
        time: time(),
        source: LogSource::Stderr,
        complete: false,
        text: "\u{fffd} \"x\"".to_owned(),
    }
}

fn metrics() -> MetricsSample {
    MetricsSample {
        timestamp: time(),
        cpu_percent: 12.5,
        ram_mb: 34.25,
        ram_limit_mb: None,
        cpu_limit: Some(0.5),
        soft_limit_exceeded: false,
        cpu_throttled: true,
    }
}

fn field_problem() -> FieldProblem {
    FieldProblem { field: "A".to_owned(), message: "m".to_owned() }
}

fn sentence() -> Sentence {
    Sentence { en: "e".to_owned(), de: "ä".to_owned() }
}

fn overrides() -> JobOverrides {
    JobOverrides {
        cpu_hard_limit: Some(0.5),
        mem_hard_limit: Some(1 << 40),
        cpu_soft_limit: Some(0.25),
        mem_soft_limit: None,
        timeout: Some(0),
        retry_attempts: Some(2),
    }
}

fn job() -> Job {
    Job {
        id: "j".to_owned(),
        name: text("n"),
        pipeline_name: "etl".to_owned(),
        trigger_type: TriggerType::Cron,
        trigger_value: "0 3 * * *".to_owned(),
        time_zone: "UTC".to_owned(),
        sentence: sentence(),
        start_at: Some(time()),
        end_at: None,
        enabled: false,
        paused: true,
        source: "repository".to_owned(),
        catch_up: CatchUpPolicy::All,
        catch_up_limit: Some(5),
        catch_up_max_age_seconds: Some(1 << 40),
        overlap: OverlapPolicy::CancelPrevious,
        max_instances: Some(2),
        parameters: pairs(),
        overrides: overrides(),
        created_by: text("ada"),
        created_at: time(),
        updated_at: time(),
        next_run_at: Some(time()),
        last_run_at: None,
        last_run_id: text("r"),
        problem: text("p"),
    }
}

fn job_draft() -> JobDraft {
    JobDraft {
        pipeline_name: "etl".to_owned(),
        name: text("n"),
        trigger_type: TriggerType::Interval,
        trigger_value: "60".to_owned(),
        time_zone: text("UTC"),
        start_at: Some(time()),
        end_at: Some(time()),
        paused: true,
        catch_up: CatchUpPolicy::Skip,
        catch_up_limit: Some(1),
        catch_up_max_age_seconds: Some(60),
        overlap: OverlapPolicy::Queue,
        max_instances: Some(1),
        parameters: pairs(),
        overrides: Some(overrides()),
    }
}

fn fire_time() -> FireTime {
    FireTime { at: time(), local: "2026-03-29T03:02:03+02:00".to_owned() }
}

fn firing(status: FiringStatus) -> Firing {
    Firing {
        job_id: "j".to_owned(),
        pipeline_name: "etl".to_owned(),
        due_at: time(),
        status,
        starts_at: Some(time()),
        due_times: 3,
        until: Some(time()),
        run: Some(summary()),
        reason: text("r"),
    }
}

fn vault_entry() -> VaultEntry {
    VaultEntry {
        key: "A".to_owned(),
        is_secret: true,
        value: None,
        pipelines: vec!["etl".to_owned()],
        warning: text("short"),
        created_at: time(),
        updated_at: time(),
    }
}

fn sync_status() -> SyncStatus {
    SyncStatus {
        source: "git".to_owned(),
        repository: text("https://h/r"),
        running: true,
        branch: text("main"),
        commit: None,
        commit_url: text("https://h/c"),
        commit_subject: None,
        commit_author: None,
        ahead: Some(1),
        behind: Some(2),
        last_sync_at: Some(time()),
        last_success_at: None,
        last_error: None,
        last_error_code: text("disk_full"),
        auto_sync_seconds: Some(60),
        added: vec!["a".to_owned()],
        changed: Vec::new(),
        removed: Vec::new(),
        invalid: Vec::new(),
        pipelines: 1,
        details: vec![synced()],
    }
}

fn synced() -> SyncedPipeline {
    SyncedPipeline {
        name: "a".to_owned(),
        change: SyncChange::Added,
        valid: false,
        problem: text("p"),
        environment_state: EnvironmentState::Building,
        environment_error: None,
    }
}

fn sync_record() -> SyncRecord {
    SyncRecord {
        id: "s".to_owned(),
        trigger: "manual".to_owned(),
        triggered_by: text("ada"),
        branch: "main".to_owned(),
        started_at: time(),
        finished_at: Some(time()),
        result: SyncResult::Failed,
        commit_before: text("a"),
        commit: text("b"),
        commit_subject: text("s"),
        commit_author: None,
        error_code: text("disk_full"),
        error_message: text("m"),
        added: 1,
        changed: 2,
        removed: 3,
    }
}

fn sync_settings() -> SyncSettings {
    SyncSettings {
        saved: true,
        repository_url: text("https://h/r"),
        branch: "main".to_owned(),
        subdir: "a/b".to_owned(),
        auto_sync_seconds: 60,
        auth: SyncAuth::GithubApp,
        username: "u".to_owned(),
        token_set: true,
        ssh_key_set: false,
        ssh_known_hosts: "h ssh-rsa A".to_owned(),
        github_app_id: "1".to_owned(),
        github_installation_id: "2".to_owned(),
        github_api_url: "https://h".to_owned(),
        github_private_key_set: true,
        webhook_secret_set: false,
    }
}

fn sync_settings_change() -> SyncSettingsChange {
    SyncSettingsChange {
        repository_url: text("https://h/r"),
        branch: text("main"),
        subdir: text("a"),
        auto_sync_seconds: Some(5),
        auth: SyncAuth::SshKey,
        username: text("u"),
        token: text("t"),
        ssh_key: text("k"),
        ssh_known_hosts: text("h"),
        github_app_id: text("1"),
        github_installation_id: text("2"),
        github_api_url: text("https://h"),
        github_private_key: text("p"),
        webhook_secret: text("w"),
    }
}

fn sync_lines() -> SyncLogLines {
    SyncLogLines { sync_id: "s".to_owned(), lines: vec![sync_line()], next: 1 }
}

fn sync_line() -> SyncLogLine {
    SyncLogLine { time: time(), text: "t".to_owned() }
}

fn chore() -> Chore {
    Chore {
        name: "sync".to_owned(),
        description: "d".to_owned(),
        interval_seconds: 5.0,
        last_run_at: Some(time()),
        last_duration_seconds: Some(0.5),
        last_result: text("did it"),
        last_error: None,
        next_run_at: None,
    }
}

fn overview() -> Overview {
    Overview {
        running: 1,
        queued: 2,
        max_concurrent_runs: 10,
        max_queued_runs: 100,
        version: "0.1.0".to_owned(),
        docker_ok: true,
        docker: "20.10".to_owned(),
        warm_wanted: 2,
        warm_ready: 1,
        warm_problem: text("no room"),
    }
}

fn health() -> RunHealth {
    RunHealth {
        status: RunStatus::Running,
        verdict: "healthy".to_owned(),
        container_state: text("running"),
        container_health: None,
        last_output_at: Some(time()),
        silent_seconds: Some(1.5),
        silence_limit_seconds: None,
        checked_at: time(),
    }
}

fn check() -> Check {
    Check { name: "disk".to_owned(), ok: true, detail: "1 GB free".to_owned() }
}

fn live_event() -> LiveEvent {
    LiveEvent {
        kind: "run".to_owned(),
        id: "r".to_owned(),
        pipeline_name: text("etl"),
        status: Some(RunStatus::Interrupted),
    }
}

#[test]
fn every_type_is_the_same_json_for_the_server_and_the_browser() {
    let checked: BTreeSet<String> = [
        parity(&Role::ALL),
        parity(&[user()]),
        parity(&[Login { username: "ada".to_owned(), password: "p".to_owned() }]),
        parity(&[LoginAnswer {
            access_token: "t".to_owned(),
            token_type: "bearer".to_owned(),
            expires_at: time(),
            user: user(),
        }]),
        parity(&AuditResult::ALL),
        parity(&[audit_entry()]),
        parity(&[AuditPage { items: vec![audit_entry()], next_cursor: None }]),
        parity(&[account()]),
        parity(&[NewUser { username: "ada".to_owned(), role: Role::Admin, password: None }]),
        parity(&[UserWithPassword { user: account(), password: text("p") }]),
        parity(&[UserChange::default(), UserChange { role: Some(Role::Viewer), disabled: Some(true) }]),
        parity(&[PasswordReset::default(), PasswordReset { password: text("p") }]),
        parity(&[PasswordChange { current_password: "a".to_owned(), new_password: "b".to_owned() }]),
        parity(&[session()]),
        parity(&[api_token()]),
        parity(&[NewApiToken { name: "deploy".to_owned(), role: Role::Viewer, expires_in_days: Some(30) }]),
        parity(&[ApiTokenCreated { token: api_token(), secret: "ff_".to_owned() }]),
        parity(&[LogSource::Stdout, LogSource::Stderr]),
        parity(&[line()]),
        parity(&[LogLines { lines: vec![line()], next: 7 }]),
        parity(&[LogSkipped { from: 1, to: 2, lines: 3 }]),
        parity(&[StreamEnd { status: RunStatus::Success }]),
        parity(&[metrics()]),
        parity(&[MetricsBatch { samples: vec![metrics()], next: 7 }]),
        parity(&[RunPage { items: vec![full_run()], next_cursor: text("c") }]),
        parity(&[
            EnvironmentState::Unknown,
            EnvironmentState::Building,
            EnvironmentState::Ready,
            EnvironmentState::Failed,
        ]),
        parity(&[summary()]),
        parity(&[PipelineStats::default(), stats()]),
        parity(&[pipeline_problem()]),
        parity(&[source_entry()]),
        parity(&[SourceList { commit: text("c"), files: vec![source_entry()], truncated: true }]),
        parity(&[SourceFile { path: "main.py".to_owned(), bytes: 3, text: text("a\n"), truncated: false }]),
        parity(&[pipeline()]),
        parity(&[PipelineSwitch { enabled: true }]),
        parity(&[field_problem()]),
        parity(&[Problem {
            status: 429,
            code: "queue_full".to_owned(),
            title: "t".to_owned(),
            detail: "d".to_owned(),
            request_id: text("r"),
            retry_after: Some(5),
            errors: vec![field_problem()],
        }]),
        parity(&RunStatus::ALL),
        parity(&ErrorType::ALL),
        parity(&Trigger::ALL),
        parity(&[
            Phase::Waiting,
            Phase::Queued,
            Phase::Preparing,
            Phase::Starting,
            Phase::Running,
            Phase::Stopping,
            Phase::Ended,
        ]),
        parity(&[WaitsFor::Installation, WaitsFor::SharedInstallation, WaitsFor::Docker]),
        parity(&[LogPage { lines: Vec::new(), first_line: 7, start: 100, next: 200, end: 300, finished: true }]),
        parity(&[log_hit()]),
        parity(&[
            LogHits { hits: vec![log_hit()], scanned: 300, next: None },
            LogHits { hits: Vec::new(), scanned: 300, next: Some(300) },
        ]),
        parity(&[RunDay { date: "2026-11-21".to_owned(), succeeded: 3, failed: 2, active: 1 }]),
        parity(&[EnvName { name: "A".to_owned(), source: "secret".to_owned(), value: None }]),
        parity(&[full_run(), bare_run()]),
        parity(&[StartRun::default(), StartRun { parameters: pairs(), env_vars: pairs() }]),
        parity(&[health()]),
        parity(&[job()]),
        parity(&[TriggerType::Cron, TriggerType::Interval, TriggerType::Once]),
        parity(&[CatchUpPolicy::Skip, CatchUpPolicy::Latest, CatchUpPolicy::All]),
        parity(&[OverlapPolicy::Allow, OverlapPolicy::Skip, OverlapPolicy::Queue, OverlapPolicy::CancelPrevious]),
        parity(&[JobOverrides::default(), overrides()]),
        parity(&[sentence()]),
        parity(&[JobDraft::default(), job_draft()]),
        parity(&[JobSwitch { enabled: true }]),
        parity(&[TriggerDraft {
            trigger_type: TriggerType::Once,
            trigger_value: "t".to_owned(),
            time_zone: text("UTC"),
            start_at: Some(time()),
            end_at: None,
        }]),
        parity(&[fire_time()]),
        parity(&[Outlook {
            sentence: sentence(),
            time_zone: "UTC".to_owned(),
            next: vec![fire_time()],
            clock_changes: vec![sentence()],
        }]),
        parity(&[
            FiringStatus::Planned,
            FiringStatus::Started,
            FiringStatus::Waiting,
            FiringStatus::LeftOut,
            FiringStatus::Failed,
            FiringStatus::ByHand,
        ]),
        parity(&[firing(FiringStatus::Started)]),
        parity(&[FiringPage { items: vec![firing(FiringStatus::Failed)], next_cursor: text("c") }]),
        parity(&[Preview {
            from: time(),
            to: time(),
            now: time(),
            items: vec![firing(FiringStatus::Planned)],
            truncated: true,
        }]),
        parity(&[vault_entry()]),
        parity(&[NewVaultEntry {
            key: "A".to_owned(),
            value: "v".to_owned(),
            is_secret: false,
            pipelines: vec!["etl".to_owned()],
        }]),
        parity(&[
            VaultChange { value: text("v"), is_secret: None, pipelines: Some(Vec::new()) },
            VaultChange { value: None, is_secret: Some(true), pipelines: None },
        ]),
        parity(&[RevealedSecret { key: "A".to_owned(), value: "v".to_owned() }]),
        parity(&[PlainValue { value: "v".to_owned() }]),
        parity(&[EncryptedValue { encrypted: "gAAAA".to_owned(), warning: None }]),
        parity(&[parameter()]),
        parity(&[
            ParameterKind::String,
            ParameterKind::Integer,
            ParameterKind::Number,
            ParameterKind::Boolean,
            ParameterKind::Choice,
        ]),
        parity(&[sync_status()]),
        parity(&[SyncChange::Unchanged, SyncChange::Added, SyncChange::Changed, SyncChange::Removed]),
        parity(&[synced()]),
        parity(&[StartSync::default(), StartSync { branch: text("b") }]),
        parity(&SyncResult::ALL),
        parity(&[sync_record()]),
        parity(&[sync_line()]),
        parity(&[sync_lines()]),
        parity(&[SyncLogEnd { result: SyncResult::Switched }]),
        parity(&[SyncAuth::None, SyncAuth::Token, SyncAuth::GithubApp, SyncAuth::SshKey]),
        parity(&[sync_settings()]),
        parity(&[SyncSettingsChange::default(), sync_settings_change()]),
        parity(&[SyncTest { ok: false, code: text("c"), message: "m".to_owned(), commit: None }]),
        parity(&[WebhookAnswer { sync_started: true, message: "m".to_owned() }]),
        parity(&[locked_package()]),
        parity(&[environment()]),
        parity(&[storage()]),
        parity(&[storage_part()]),
        parity(&[storage_item()]),
        parity(&[Cleanup { done: true, runs: 1, log_bytes: 2, items: vec![storage_item()] }]),
        parity(&[Backup { name: "n".to_owned(), bytes: 1, created_at: time() }]),
        parity(&[setting()]),
        parity(&[SettingChange { value: "7".to_owned() }]),
        parity(&[Health { status: "ok".to_owned(), version: "0.1.0".to_owned() }]),
        parity(&[check()]),
        parity(&[Readiness { ready: true, checks: vec![check()] }]),
        parity(&[chore()]),
        parity(&[overview()]),
        parity(&[live_event()]),
    ]
    .into();
    assert_eq!(checked, declared(), "each type of `shared` has a sample here");
}

fn log_hit() -> LogHit {
    LogHit { offset: 12, line: 3, time: time(), source: LogSource::Stderr, text: "…näh".to_owned() }
}

/// The names of all types that `shared` declares.
fn declared() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/src");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(source).expect("the folder of shared") {
        let path = entry.expect("an entry").path();
        // The reader and the writer of JSON (`json.rs` and the folder `json`) are no types of the conversation.
        if path.file_stem().is_some_and(|stem| stem == "json") {
            continue;
        }
        for line in fs::read_to_string(path).expect("a text").lines() {
            let declared = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "));
            names
                .extend(declared.and_then(|rest| rest.split(|c: char| !c.is_alphanumeric()).next()).map(str::to_owned));
        }
    }
    names
}

#[test]
fn the_names_in_the_database_are_those_in_json() {
    for status in RunStatus::ALL {
        assert_eq!((json!(status), RunStatus::parse(status.as_str())), (json!(status.as_str()), Some(status)));
    }
    for kind in ErrorType::ALL {
        assert_eq!((json!(kind), ErrorType::parse(kind.as_str())), (json!(kind.as_str()), Some(kind)));
    }
    for trigger in Trigger::ALL {
        assert_eq!((json!(trigger), Trigger::parse(trigger.as_str())), (json!(trigger.as_str()), Some(trigger)));
    }
    for result in AuditResult::ALL {
        assert_eq!((json!(result), AuditResult::parse(result.as_str())), (json!(result.as_str()), Some(result)));
    }
    for role in Role::ALL {
        assert_eq!((json!(role), Role::parse(role.as_str())), (json!(role.as_str()), Some(role)));
    }
}

#[test]
fn what_a_client_may_leave_out_is_left_out_for_both() {
    both_read(&json!({}), &StartRun::default());
    both_read(
        &json!({ "env_vars": { "A": "1" } }),
        &StartRun { env_vars: BTreeMap::from([("A".to_owned(), "1".to_owned())]), ..StartRun::default() },
    );
    both_read(
        &json!({ "pipeline_name": "etl", "trigger_type": "cron", "trigger_value": "@daily" }),
        &JobDraft { pipeline_name: "etl".to_owned(), trigger_value: "@daily".to_owned(), ..JobDraft::default() },
    );
    let entry: NewVaultEntry = serde_json::from_value(json!({ "key": "A", "value": "v" })).expect("serde reads it");
    let same = read_by_poem::<NewVaultEntry>(json!({ "key": "A", "value": "v" })).expect("poem-openapi reads it");
    assert!(entry.is_secret && same.is_secret, "what is not said to be plain is a secret");
    let change = read_by_poem::<VaultChange>(json!({ "value": "v" })).expect("poem-openapi reads it");
    assert_eq!(change.is_secret, None);
}
