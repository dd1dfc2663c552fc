-- When the percentile of a pipeline's durations was last computed: at hundreds of ends a second not each of them reads a
-- thousand rows.
ALTER TABLE pipelines ADD COLUMN p95_at BIGINT;
-- Milliseconds from a run's slot to the moment its script had its job.
ALTER TABLE runs ADD COLUMN start_ms BIGINT;
