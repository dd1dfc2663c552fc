-- Syncs of the past with their logs, and the deliveries of webhooks that were taken, so that none counts twice.

CREATE TABLE syncs (
    id             TEXT PRIMARY KEY NOT NULL,
    -- manual, auto, webhook, start or settings
    trigger_kind   TEXT NOT NULL,
    triggered_by   TEXT,
    branch         TEXT NOT NULL,
    started_at     BIGINT NOT NULL,
    finished_at    BIGINT,
    -- running, switched, unchanged or failed
    result         TEXT NOT NULL,
    commit_before  TEXT,
    commit_hash    TEXT,
    commit_subject TEXT,
    commit_author  TEXT,
    error_code     TEXT,
    error_message  TEXT,
    added          BIGINT NOT NULL DEFAULT 0,
    changed        BIGINT NOT NULL DEFAULT 0,
    removed        BIGINT NOT NULL DEFAULT 0,
    log            TEXT NOT NULL DEFAULT ''
);
CREATE INDEX syncs_by_time ON syncs (started_at, id);

CREATE TABLE webhook_deliveries (
    -- The sender's id of the delivery, or the signature of its body.
    id          TEXT PRIMARY KEY NOT NULL,
    received_at BIGINT NOT NULL
);
CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries (received_at);
