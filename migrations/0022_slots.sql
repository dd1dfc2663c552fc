-- Slots of runs while several servers share one limit. Only additions.

-- A run that was let in and has not begun. It counts while its server still owns the run; one that works counts by its status.
CREATE TABLE run_slots (
    run_id   TEXT PRIMARY KEY NOT NULL,
    owner    TEXT NOT NULL,
    taken_at BIGINT NOT NULL
);
