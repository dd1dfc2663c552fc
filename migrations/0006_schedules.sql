-- Schedules in full: a name, an operator's pause beside the file's own switch, policies with numbers, limits of a job's own,
-- and how far a due time got. Same rules as 0001: one text for SQLite and PostgreSQL, only additions.

ALTER TABLE scheduled_jobs ADD COLUMN name TEXT;
-- An operator's pause; `enabled` is what the definition says. A sync writes the one and never the other.
ALTER TABLE scheduled_jobs ADD COLUMN paused BIGINT NOT NULL DEFAULT 0;
ALTER TABLE scheduled_jobs ADD COLUMN catch_up_limit BIGINT;
ALTER TABLE scheduled_jobs ADD COLUMN catch_up_max_age BIGINT;
-- What its runs have instead of their pipeline's settings.
ALTER TABLE scheduled_jobs ADD COLUMN overrides TEXT NOT NULL DEFAULT '{}';
ALTER TABLE scheduled_jobs ADD COLUMN created_by TEXT;
-- As of when the due times that passed are judged, while any of them are left: a crash must not judge them again.
ALTER TABLE scheduled_jobs ADD COLUMN decided_at BIGINT;
-- The clock when a due time was last taken; one in the future tells that the clock was set back.
ALTER TABLE scheduled_jobs ADD COLUMN claimed_at BIGINT;

-- started, waiting, left_out, failed or by_hand
ALTER TABLE firings ADD COLUMN state TEXT NOT NULL DEFAULT 'started';
-- Due times that this row stands for, and the last of them.
ALTER TABLE firings ADD COLUMN due_times BIGINT NOT NULL DEFAULT 1;
ALTER TABLE firings ADD COLUMN until_at BIGINT;
-- When the run was inserted; later than claimed_at when it had to wait for another one.
ALTER TABLE firings ADD COLUMN started_at BIGINT;

CREATE INDEX firings_waiting ON firings (job_id, due_at) WHERE state = 'waiting';
CREATE INDEX firings_by_due ON firings (due_at, job_id);
