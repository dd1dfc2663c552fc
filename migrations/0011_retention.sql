-- Runs whose rows are deleted and whose files may not be yet: written with the deletion of the row, removed after that of the
-- files, so that a crash between the two leaves neither a row without its log nor a log that nobody knows.
CREATE TABLE deleted_runs (
    run_id     TEXT PRIMARY KEY NOT NULL,
    deleted_at BIGINT NOT NULL
);
-- What refers to a run is cleared when the run goes. Few rows have any, so these cost next to nothing.
CREATE INDEX runs_by_retry_of ON runs (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX runs_by_retried_by ON runs (retried_by) WHERE retried_by IS NOT NULL;
CREATE INDEX firings_by_run ON firings (run_id) WHERE run_id IS NOT NULL;
