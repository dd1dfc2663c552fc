//! How a story's server is started.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where a server keeps its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Database {
    /// The embedded default.
    #[default]
    Sqlite,
    /// A schema of its own in the PostgreSQL of the tests.
    Postgres,
}

impl Database {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];
}

/// Where a server keeps uv's cache and its environments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum UvCache {
    /// Together with all other stories; holds the environment of pipelines without requirements, ready to use.
    #[default]
    Shared,
    /// The server's own. For stories that build environments.
    Own,
    /// That of another server, which must not build at the same time.
    At(PathBuf),
}

/// How a story's server is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Environment variables beyond those that every server gets.
    pub env: BTreeMap<String, String>,
    /// Where it keeps its rows.
    pub database: Database,
    /// Where it keeps uv's cache and its environments.
    pub uv_cache: UvCache,
    /// Size of a disk of its own for logs, like `2m`; needs the right to mount.
    pub log_disk: Option<&'static str>,
    /// Containers that it keeps parked; a start waits until they are.
    pub warm: usize,
    /// Size of a disk of its own for the mirror of git, like `2m`; needs the right to mount.
    pub git_disk: Option<&'static str>,
    /// Size of a disk of its own for all data, like `2m`; needs the right to mount. Docker does not see it: for a fake engine.
    pub data_disk: Option<&'static str>,
    /// Whether a start only waits for `/health`, because `/ready` will not come.
    pub unready: bool,
}

impl Options {
    /// The defaults of the product, and SQLite unless `FASTFLOW_TEST_DATABASE=postgres` says otherwise: then every story that
    /// does not name its database runs on PostgreSQL.
    #[must_use]
    pub fn new() -> Self {
        let postgres = std::env::var("FASTFLOW_TEST_DATABASE").is_ok_and(|name| name.starts_with("postgres"));
        Self { database: if postgres { Database::Postgres } else { Database::Sqlite }, ..Self::default() }
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Where rows are kept.
    #[must_use]
    pub fn database(mut self, database: Database) -> Self {
        self.database = database;
        self
    }

    /// Where uv's cache and environments are kept.
    #[must_use]
    pub fn uv_cache(mut self, cache: UvCache) -> Self {
        self.uv_cache = cache;
        self
    }

    /// Logs lie on a disk of their own, as small as this.
    #[must_use]
    pub fn log_disk(mut self, size: &'static str) -> Self {
        self.log_disk = Some(size);
        self
    }

    /// So many containers are started ahead.
    #[must_use]
    pub fn warm(mut self, containers: usize) -> Self {
        self.warm = containers;
        self
    }

    /// The mirror of git lies on a disk of its own, as small as this.
    #[must_use]
    pub fn git_disk(mut self, size: &'static str) -> Self {
        self.git_disk = Some(size);
        self
    }

    /// A start does not wait for `/ready`.
    #[must_use]
    pub fn unready(mut self) -> Self {
        self.unready = true;
        self
    }
}
