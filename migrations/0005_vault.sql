-- Which pipelines an entry of the vault is for: a JSON list of names; absent for all.
ALTER TABLE vault ADD COLUMN pipelines TEXT;

-- The secrets that a run was given, sealed, while it works: a server that finds it after a crash must hide them in the rest of
-- its output, whatever has become of them in the vault. Deleted when the run has ended.
CREATE TABLE run_masks (
    run_id       TEXT PRIMARY KEY NOT NULL,
    sealed_value TEXT NOT NULL
);
