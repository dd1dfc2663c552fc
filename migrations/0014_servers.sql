-- Several servers on one database: who is there, and who leads. Only additions.

CREATE TABLE servers (
    -- One per start of a process; runs.owner names it.
    id         TEXT PRIMARY KEY NOT NULL,
    instance   TEXT NOT NULL,
    host       TEXT NOT NULL,
    version    TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);

-- A task that one server has at a time, until a time.
CREATE TABLE leases (
    name     TEXT PRIMARY KEY NOT NULL,
    holder   TEXT NOT NULL,
    until_at BIGINT NOT NULL
);

-- Each server asks for its own runs, and for those of the others.
CREATE INDEX runs_by_owner ON runs (owner, status);
