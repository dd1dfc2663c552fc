-- The first schema. One text for SQLite and PostgreSQL, hence TEXT, BIGINT and DOUBLE PRECISION only:
--   times      BIGINT, milliseconds since the Unix epoch, UTC (columns end in _at)
--   booleans   BIGINT, 0 or 1
--   ids        TEXT, UUIDv7
--   structures TEXT, JSON
-- Later migrations only add (tables, nullable columns, columns with a default, indices), so that the previous release still
-- runs on the new schema while a new one is rolled out.

CREATE TABLE pipelines (
    name                TEXT PRIMARY KEY NOT NULL,
    first_seen_at       BIGINT NOT NULL,
    last_seen_at        BIGINT NOT NULL,
    removed_at          BIGINT,
    has_requirements    BIGINT NOT NULL DEFAULT 0,
    enabled_by_operator BIGINT NOT NULL DEFAULT 1,
    last_cache_warmup   BIGINT,
    environment_key     TEXT,
    total_runs          BIGINT NOT NULL DEFAULT 0,
    successful_runs     BIGINT NOT NULL DEFAULT 0,
    failed_runs         BIGINT NOT NULL DEFAULT 0,
    total_duration_ms   BIGINT NOT NULL DEFAULT 0,
    timed_runs          BIGINT NOT NULL DEFAULT 0,
    -- Written when a run ends: asking for it in each list would read a thousand runs of every pipeline.
    p95_duration_ms     BIGINT,
    stats_reset_at      BIGINT
);

-- No foreign key to pipelines: a run outlives its pipeline's folder, and inserting must not lock the counters' row.
CREATE TABLE runs (
    id                  TEXT PRIMARY KEY NOT NULL,
    pipeline_name       TEXT NOT NULL,
    status              TEXT NOT NULL,
    trigger_kind        TEXT NOT NULL,
    triggered_by        TEXT,
    -- attempts
    attempt             BIGINT NOT NULL,
    max_attempts        BIGINT NOT NULL,
    retry_strategy      TEXT,
    retry_of            TEXT,
    retried_by          TEXT,
    not_before          BIGINT,
    -- the clock that started it
    job_id              TEXT,
    due_at              BIGINT,
    -- its life
    created_at          BIGINT NOT NULL,
    queued_at           BIGINT NOT NULL,
    started_at          BIGINT,
    finished_at         BIGINT,
    exit_code           BIGINT,
    error_type          TEXT,
    error_message       TEXT,
    -- asked to end; written before anything is stopped, so that a crash keeps the reason
    cancel_requested_at BIGINT,
    cancel_requested_by TEXT,
    stop_reason         TEXT,
    -- what it runs
    commit_hash         TEXT,
    commit_subject      TEXT,
    commit_author       TEXT,
    code_path           TEXT,
    environment_key     TEXT,
    image               TEXT,
    image_id            TEXT,
    uv_version          TEXT,
    setup_duration      DOUBLE PRECISION,
    parameters          TEXT NOT NULL DEFAULT '{}',
    env_names           TEXT NOT NULL DEFAULT '[]',
    sealed_env          TEXT,
    -- limits, decided once
    cpu_limit           DOUBLE PRECISION,
    memory_limit        BIGINT,
    cpu_soft_limit      DOUBLE PRECISION,
    memory_soft_limit   BIGINT,
    timeout_seconds     BIGINT,
    -- what was measured
    log_bytes           BIGINT,
    cpu_peak_percent    DOUBLE PRECISION,
    cpu_average_percent DOUBLE PRECISION,
    ram_peak_mb         DOUBLE PRECISION,
    ram_average_mb      DOUBLE PRECISION,
    soft_limit_exceeded BIGINT NOT NULL DEFAULT 0,
    cpu_throttled       BIGINT NOT NULL DEFAULT 0,
    -- who drives it
    container_id        TEXT,
    instance            TEXT,
    owner               TEXT,
    owner_until         BIGINT
);

-- Each index ends in the order of the list, so that a page is read from it without sorting.
CREATE INDEX runs_by_time ON runs (created_at, id);
CREATE INDEX runs_by_pipeline ON runs (pipeline_name, created_at, id);
CREATE INDEX runs_by_status ON runs (status, created_at, id);
CREATE INDEX runs_by_pipeline_and_status ON runs (pipeline_name, status, created_at, id);
CREATE INDEX runs_by_trigger ON runs (trigger_kind, created_at, id);
CREATE INDEX runs_by_error ON runs (error_type, created_at, id);
-- A due time starts one run; its retries do not carry the job.
CREATE UNIQUE INDEX runs_by_firing ON runs (job_id, due_at);

CREATE TABLE users (
    id              TEXT PRIMARY KEY NOT NULL,
    username        TEXT NOT NULL,
    -- The name in lower case by Unicode's rules: lower() differs between the databases.
    username_folded TEXT NOT NULL UNIQUE,
    password_hash   TEXT NOT NULL,
    role            TEXT NOT NULL,
    disabled        BIGINT NOT NULL DEFAULT 0,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);

CREATE TABLE sessions (
    token_hash   TEXT PRIMARY KEY NOT NULL,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- browser or api
    kind         TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    ip           TEXT,
    user_agent   TEXT
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE vault (
    key          TEXT PRIMARY KEY NOT NULL,
    is_secret    BIGINT NOT NULL,
    -- A Fernet token, for secrets and parameters alike.
    sealed_value TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL
);

CREATE TABLE environments (
    key          TEXT PRIMARY KEY NOT NULL,
    state        TEXT NOT NULL,
    lock_hash    TEXT,
    python       TEXT,
    image        TEXT,
    uv_version   TEXT,
    link_mode    TEXT,
    size_bytes   BIGINT,
    seconds      DOUBLE PRECISION,
    error        TEXT,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    built_at     BIGINT,
    last_used_at BIGINT
);

CREATE TABLE scheduled_jobs (
    id             TEXT PRIMARY KEY NOT NULL,
    pipeline_name  TEXT NOT NULL,
    -- cron or interval
    trigger_type   TEXT NOT NULL,
    trigger_value  TEXT NOT NULL,
    time_zone      TEXT NOT NULL DEFAULT 'UTC',
    enabled        BIGINT NOT NULL DEFAULT 1,
    -- repository or api; source_id names the job within a repository
    source         TEXT NOT NULL,
    source_id      TEXT,
    start_at       BIGINT,
    end_at         BIGINT,
    catch_up       TEXT NOT NULL DEFAULT 'latest',
    overlap        TEXT NOT NULL DEFAULT 'allow',
    max_instances  BIGINT,
    parameters     TEXT NOT NULL DEFAULT '{}',
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    next_run_at    BIGINT,
    last_run_at    BIGINT,
    last_run_id    TEXT,
    problem        TEXT
);
CREATE UNIQUE INDEX scheduled_jobs_by_source ON scheduled_jobs (source, source_id);
CREATE INDEX scheduled_jobs_by_next ON scheduled_jobs (enabled, next_run_at);
CREATE INDEX scheduled_jobs_by_pipeline ON scheduled_jobs (pipeline_name);

-- One row per due time that some server took: the primary key is what makes it fire once.
CREATE TABLE firings (
    job_id     TEXT NOT NULL REFERENCES scheduled_jobs (id) ON DELETE CASCADE,
    due_at     BIGINT NOT NULL,
    claimed_at BIGINT NOT NULL,
    claimed_by TEXT NOT NULL,
    run_id     TEXT,
    result     TEXT,
    PRIMARY KEY (job_id, due_at)
);
CREATE INDEX firings_by_claim ON firings (claimed_at);

CREATE TABLE settings (
    key        TEXT PRIMARY KEY NOT NULL,
    value      TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT
);
