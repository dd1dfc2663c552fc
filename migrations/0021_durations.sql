-- Runs in the order of their durations, all of them and those of one pipeline. A run without a duration has -1, so that each list
-- has every run. The expression is that of `store::run_list`, word by word, or no planner finds the index.
CREATE INDEX runs_by_duration ON runs ((COALESCE(finished_at - started_at, -1)), id);
CREATE INDEX runs_by_pipeline_and_duration ON runs (pipeline_name, (COALESCE(finished_at - started_at, -1)), id);
