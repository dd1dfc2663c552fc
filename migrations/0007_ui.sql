-- Counts per day are read from this index alone.
CREATE INDEX runs_by_day ON runs (created_at, status);
