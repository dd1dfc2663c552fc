-- People: when they last came, tokens for their programs, and the log of what everybody did.
-- The audit log's own guards against change are made by the server at each start, for the databases spell them differently.

ALTER TABLE users ADD COLUMN last_login_at BIGINT;

CREATE TABLE api_tokens (
    id           TEXT PRIMARY KEY NOT NULL,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    -- SHA-256 of the token; the token itself is nowhere.
    token_hash   TEXT NOT NULL UNIQUE,
    -- Its first characters, to tell it from others.
    hint         TEXT NOT NULL,
    role         TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT,
    last_used_ip TEXT
);
CREATE INDEX api_tokens_by_user ON api_tokens (user_id);

-- No foreign keys: an entry outlives whom and what it names.
CREATE TABLE audit (
    id           TEXT PRIMARY KEY NOT NULL,
    at           BIGINT NOT NULL,
    actor        TEXT NOT NULL,
    -- The name in lower case by Unicode's rules, to look for.
    actor_folded TEXT NOT NULL,
    actor_id     TEXT,
    via          TEXT NOT NULL,
    -- area.verb, and the area alone, to look for.
    action       TEXT NOT NULL,
    area         TEXT NOT NULL,
    target       TEXT,
    result       TEXT NOT NULL,
    status       BIGINT,
    code         TEXT,
    ip           TEXT,
    user_agent   TEXT,
    request_id   TEXT,
    detail       TEXT NOT NULL DEFAULT '{}'
);
-- Each index ends in the order of the list, so that a page is read from it without sorting.
CREATE INDEX audit_by_time ON audit (at, id);
CREATE INDEX audit_by_actor ON audit (actor_folded, at, id);
CREATE INDEX audit_by_action ON audit (action, at, id);
CREATE INDEX audit_by_area ON audit (area, at, id);
