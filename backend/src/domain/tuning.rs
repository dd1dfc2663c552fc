//! What an admin may change while the server works: limits, intervals, and what is kept for how long.

use std::time::Duration;

/// The values that hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// `MAX_CONCURRENT_RUNS`.
    pub max_concurrent: usize,
    /// `MAX_QUEUED_RUNS`.
    pub max_queued: usize,
    /// `WARM_CONTAINERS`.
    pub warm_containers: usize,
    /// `CONTAINER_TIMEOUT` in seconds; `None` is never.
    pub timeout: Option<i64>,
    /// `RETRY_ATTEMPTS`.
    pub retry_attempts: u32,
    /// `CANCEL_GRACE_SECONDS`.
    pub cancel_grace: Duration,
    /// `HEALTH_SILENCE_SECONDS`; `None` is never.
    pub silence: Option<Duration>,
    /// `DEFAULT_CPU_LIMIT` in cores.
    pub cpus: Option<f64>,
    /// `DEFAULT_MEMORY_LIMIT` in bytes.
    pub memory: Option<u64>,
    /// `DEFAULT_PIDS_LIMIT`.
    pub pids: u32,
    /// `LOG_STREAM_RATE_LIMIT`; 0 is all.
    pub log_stream_rate: u32,
    /// `LOG_MAX_SIZE_MB` in bytes; `None` is no limit.
    pub log_max_bytes: Option<u64>,
    /// `AUDIT_KEEP_DAYS`; `None` is for ever.
    pub audit_kept: Option<Duration>,
    /// `LOG_RETENTION_RUNS`; `None` is all.
    pub keep_runs: Option<u32>,
    /// `LOG_RETENTION_DAYS`; `None` is for ever.
    pub keep_days: Option<u32>,
    /// `DATA_MAX_MB` in bytes; `None` is no limit.
    pub data_max_bytes: Option<u64>,
    /// `DATA_MIN_FREE_MB` in bytes; 0 is none.
    pub min_free_bytes: u64,
    /// `UV_CACHE_MAX_MB` in bytes; `None` is no limit.
    pub uv_cache_max_bytes: Option<u64>,
    /// `CLEANUP_INTERVAL_MINUTES`.
    pub cleanup_every: Duration,
    /// `STORAGE_INTERVAL_MINUTES`.
    pub storage_every: Duration,
    /// `JANITOR_INTERVAL_MINUTES`.
    pub janitor_every: Duration,
    /// `BACKUP_INTERVAL_HOURS`; `None` is never.
    pub backup_every: Option<Duration>,
    /// `BACKUP_KEEP`.
    pub backups_kept: usize,
    /// `SQLITE_WAL_MAX_MB` in bytes.
    pub wal_max_bytes: u64,
}

#[cfg(test)]
impl Tuning {
    /// Values for tests.
    #[must_use]
    pub fn example() -> Self {
        let hour = Duration::from_secs(3600);
        Self {
            max_concurrent: 10,
            max_queued: 100,
            warm_containers: 0,
            timeout: None,
            retry_attempts: 0,
            cancel_grace: Duration::from_secs(10),
            silence: None,
            cpus: None,
            memory: None,
            pids: 512,
            log_stream_rate: 100,
            log_max_bytes: None,
            audit_kept: None,
            keep_runs: None,
            keep_days: None,
            data_max_bytes: None,
            min_free_bytes: 0,
            uv_cache_max_bytes: None,
            cleanup_every: hour,
            storage_every: hour,
            janitor_every: hour,
            backup_every: None,
            backups_kept: 7,
            wal_max_bytes: 64 << 20,
        }
    }
}
