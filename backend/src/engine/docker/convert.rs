//! Docker's answers in our words.

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, ContainerStatsResponse, ContainerSummary as DockerSummary,
    HealthStatusEnum, SystemInfo, SystemInfoCgroupVersionEnum, SystemVersion,
};
use chrono::{DateTime, Utc};

use super::super::{ContainerId, ContainerState, ContainerSummary, EngineInfo, Health, Kind, Stats, Status, label};

/// Docker writes "never" as the year 1.
pub(super) fn time(text: Option<&str>) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text?).ok()?.to_utc();
    (time > DateTime::UNIX_EPOCH).then_some(time)
}

/// A container's state.
pub(super) fn state(answer: ContainerInspectResponse) -> ContainerState {
    let state = answer.state.unwrap_or_default();
    let status = state.status.map_or(Status::Dead, status);
    let health = state.health.and_then(|health| health.status).map_or(Health::None, |health| match health {
        HealthStatusEnum::STARTING => Health::Starting,
        HealthStatusEnum::HEALTHY => Health::Healthy,
        HealthStatusEnum::UNHEALTHY => Health::Unhealthy,
        HealthStatusEnum::EMPTY | HealthStatusEnum::NONE => Health::None,
    });
    ContainerState {
        id: ContainerId::new(answer.id.unwrap_or_default()),
        name: answer.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        status,
        exit_code: state.exit_code.filter(|_| status.has_ended()),
        oom_killed: state.oom_killed.unwrap_or(false),
        error: state.error.filter(|error| !error.is_empty()),
        pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        created_at: time(answer.created.as_deref()),
        started_at: time(state.started_at.as_deref()),
        finished_at: time(state.finished_at.as_deref()),
        health,
        labels: answer.config.and_then(|config| config.labels).unwrap_or_default().into_iter().collect(),
    }
}

fn status(status: ContainerStateStatusEnum) -> Status {
    match status {
        ContainerStateStatusEnum::CREATED => Status::Created,
        ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING => Status::Running,
        ContainerStateStatusEnum::PAUSED => Status::Paused,
        ContainerStateStatusEnum::RESTARTING => Status::Restarting,
        ContainerStateStatusEnum::REMOVING => Status::Removing,
        ContainerStateStatusEnum::EXITED => Status::Exited,
        ContainerStateStatusEnum::DEAD | ContainerStateStatusEnum::EMPTY => Status::Dead,
    }
}

/// One line of the list; `None` for one that vanished while it was written.
pub(super) fn summary(answer: DockerSummary) -> Option<ContainerSummary> {
    let labels = answer.labels.unwrap_or_default();
    let name = answer.names.unwrap_or_default().into_iter().next().unwrap_or_default();
    let state = answer.state.map(|state| state.to_string()).unwrap_or_default();
    Some(ContainerSummary {
        id: ContainerId::new(answer.id?),
        name: name.trim_start_matches('/').to_owned(),
        run_id: labels.get(label::RUN_ID).cloned(),
        pipeline: labels.get(label::PIPELINE).cloned(),
        server: labels.get(label::SERVER).cloned(),
        kind: labels.get(label::KIND).and_then(|kind| Kind::parse(kind)),
        status: state.parse().map_or(Status::Dead, status),
        created_at: DateTime::from_timestamp(answer.created.unwrap_or(0), 0).unwrap_or_default(),
    })
}

/// One sample; `None` for the empty ones that Docker sends when a container does not run.
pub(super) fn stats(answer: ContainerStatsResponse) -> Option<Stats> {
    let read_at = time(answer.read.as_deref())?;
    let cpu = answer.cpu_stats.unwrap_or_default();
    let memory = answer.memory_stats.unwrap_or_default();
    let cpu_total_ns = cpu.cpu_usage.and_then(|usage| usage.total_usage).filter(|ns| *ns > 0)?;
    let used = memory.usage.unwrap_or(0);
    let details = memory.stats.unwrap_or_default();
    // cgroup v1 counts child groups in `total_…`; v2 always does and has no such field.
    let cache = details.get("total_inactive_file").or_else(|| details.get("inactive_file")).copied().unwrap_or(0);
    let throttling = cpu.throttling_data.unwrap_or_default();
    Some(Stats {
        read_at,
        cpu_total_ns,
        system_cpu_ns: cpu.system_cpu_usage.unwrap_or(0),
        online_cpus: cpu.online_cpus.unwrap_or(0),
        // Larger than the whole happens when the two were read at different moments; then nothing is subtracted.
        memory_usage_bytes: used.checked_sub(cache).unwrap_or(used),
        memory_limit_bytes: memory.limit.unwrap_or(0),
        periods: throttling.periods.unwrap_or(0),
        throttled_periods: throttling.throttled_periods.unwrap_or(0),
        pids: answer.pids_stats.and_then(|pids| pids.current).unwrap_or(0),
    })
}

/// What engine it is.
pub(super) fn info(info: SystemInfo, version: SystemVersion, agreed_api: String) -> EngineInfo {
    let security = info.security_options.unwrap_or_default();
    let has = |name: &str| security.iter().any(|option| option == name || option.starts_with(&format!("{name},")));
    let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
    EngineInfo {
        engine_version: version.version.unwrap_or_default(),
        api_version: agreed_api,
        cgroup_version: if info.cgroup_version == Some(SystemInfoCgroupVersionEnum::_2) { 2 } else { 1 },
        // Docker runs its init once to ask for its version, and says so when there is none.
        init_available: info.init_commit.and_then(|commit| commit.id).as_deref() != Some("N/A"),
        rootless: has("name=rootless"),
        userns_remap: has("name=userns"),
        live_restore: info.live_restore_enabled.unwrap_or(false),
        cpus: u32::try_from(number(info.ncpu)).unwrap_or(u32::MAX),
        memory_bytes: number(info.mem_total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(memory: &str) -> ContainerStatsResponse {
        let text = format!(
            r#"{{"read":"2026-01-02T03:04:05.5Z","cpu_stats":{{"cpu_usage":{{"total_usage":5}},"system_cpu_usage":9,"online_cpus":2,
               "throttling_data":{{"periods":4,"throttled_periods":3,"throttled_time":1}}}},"memory_stats":{memory},"pids_stats":{{"current":6}}}}"#
        );
        serde_json::from_str(&text).expect("valid")
    }

    #[test]
    fn memory_is_counted_without_droppable_cache_on_both_cgroup_versions() {
        let v1 = stats(sample(r#"{"usage":100,"limit":500,"stats":{"total_inactive_file":30,"inactive_file":1}}"#))
            .expect("v1");
        assert_eq!((v1.memory_usage_bytes, v1.memory_limit_bytes), (70, 500));
        assert_eq!((v1.periods, v1.throttled_periods, v1.pids, v1.online_cpus), (4, 3, 6, 2));
        let v2 = stats(sample(r#"{"usage":100,"limit":500,"stats":{"inactive_file":20}}"#)).expect("v2");
        assert_eq!(v2.memory_usage_bytes, 80);
        let odd = stats(sample(r#"{"usage":10,"stats":{"inactive_file":20}}"#)).expect("odd");
        assert_eq!(odd.memory_usage_bytes, 10);
    }

    #[test]
    fn cpu_is_percent_of_one_core() {
        let mut earlier = stats(sample("{}")).expect("sample");
        let mut later = earlier.clone();
        later.read_at += chrono::Duration::seconds(2);
        later.cpu_total_ns = earlier.cpu_total_ns + 3_000_000_000;
        assert_eq!(later.cpu_percent_since(&earlier), Some(150.0));
        earlier.read_at = later.read_at;
        assert_eq!(later.cpu_percent_since(&earlier), None);
    }

    #[test]
    fn empty_samples_and_the_year_one_are_nothing() {
        assert_eq!(stats(serde_json::from_str(r#"{"read":"0001-01-01T00:00:00Z"}"#).expect("valid")), None);
        assert_eq!(time(Some("0001-01-01T00:00:00Z")), None);
        assert_eq!(time(None), None);
    }
}
