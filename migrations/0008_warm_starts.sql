-- When a container that had been started ahead got its job, in ms since the epoch; absent after a cold start.
ALTER TABLE runs ADD COLUMN warm_at BIGINT;
