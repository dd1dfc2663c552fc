//! Which database, and how long to wait for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::StoreError;

/// How to reach the database.
#[derive(Clone)]
pub struct Options {
    /// `postgres://…`, `postgresql://…` or `sqlite:…`; absent means the file `sqlite_path`. It may hold a password.
    pub url: Option<String>,
    /// The SQLite file used when no URL is given. Its folder is created.
    pub sqlite_path: PathBuf,
    /// Most connections open at once.
    pub max_connections: u32,
    /// Longest wait for a free connection, and on SQLite for another process's lock.
    pub acquire_timeout: Duration,
    /// Longest time for one call, the wait for a connection included.
    pub deadline: Duration,
    /// Whether a SQLite file is checked as a whole when it is opened.
    pub check: bool,
}

impl Options {
    /// The defaults on a SQLite file.
    #[must_use]
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self {
            url: None,
            sqlite_path: path.into(),
            max_connections: 10,
            acquire_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(30),
            check: false,
        }
    }

    /// The defaults on that URL.
    #[must_use]
    pub fn url(url: impl Into<String>) -> Self {
        Self { url: Some(url.into()), ..Self::sqlite("") }
    }

    /// Whether the database is a file of SQLite's.
    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        matches!(self.target(), Ok(Target::Sqlite { .. }))
    }

    /// The folder of that file.
    #[must_use]
    pub fn sqlite_folder(&self) -> Option<PathBuf> {
        match self.target() {
            Ok(Target::Sqlite { path, .. }) => path.parent().map(Path::to_owned),
            _ => None,
        }
    }

    /// What the settings mean.
    ///
    /// # Errors
    /// [`StoreError::Settings`] with a sentence that never repeats the URL, for it may hold a password.
    pub(super) fn target(&self) -> Result<Target, StoreError> {
        let Some(url) = self.url.as_deref().filter(|url| !url.trim().is_empty()) else {
            return Target::file(&self.sqlite_path);
        };
        match url.split_once(':') {
            Some(("postgres" | "postgresql", _)) => Ok(Target::Postgres { url: url.to_owned() }),
            Some(("sqlite", rest)) => {
                let rest = rest.strip_prefix("//").unwrap_or(rest);
                let path = rest.split('?').next().unwrap_or_default();
                if path == ":memory:" || rest.contains("mode=memory") {
                    // Every connection would see a database of its own.
                    return Err(StoreError::Settings(
                        "an in-memory SQLite database cannot be used; name a file".into(),
                    ));
                }
                Target::file(Path::new(path))
            }
            _ => Err(StoreError::Settings("the URL must begin with postgres:// or sqlite://".into())),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { url, sqlite_path, max_connections, acquire_timeout, deadline, check } = self;
        f.debug_struct("Options")
            .field("url", &url.as_ref().map(|_| "…"))
            .field("sqlite_path", sqlite_path)
            .field("max_connections", max_connections)
            .field("acquire_timeout", acquire_timeout)
            .field("deadline", deadline)
            .field("check", check)
            .finish()
    }
}

/// A database, found out from the settings.
pub(super) enum Target {
    Sqlite { path: PathBuf, url: String },
    Postgres { url: String },
}

impl Target {
    fn file(path: &Path) -> Result<Self, StoreError> {
        if path.as_os_str().is_empty() {
            return Err(StoreError::Settings("the path of the SQLite file is empty".into()));
        }
        let path = std::path::absolute(path)
            .map_err(|error| StoreError::Settings(format!("the path of the SQLite file makes no sense: {error}")))?;
        let Some(text) = path.to_str() else {
            return Err(StoreError::Settings(format!("the path {} is not UTF-8", path.display())));
        };
        let url = format!("sqlite://{}?mode=rwc", escape(text));
        Ok(Self::Sqlite { path, url })
    }

    pub(super) fn url(&self) -> &str {
        match self {
            Self::Sqlite { url, .. } | Self::Postgres { url } => url,
        }
    }
}

/// Percent-encodes what would end or change the path of a URL.
pub(super) fn escape(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<String, String> {
        Options::url(url).target().map(|target| target.url().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn urls() {
        assert_eq!(target("postgres://u:p@h/d").as_deref(), Ok("postgres://u:p@h/d"));
        assert_eq!(target("sqlite:///data/a.db").as_deref(), Ok("sqlite:///data/a.db?mode=rwc"));
        assert_eq!(target("sqlite:/data/a.db?mode=rw").as_deref(), Ok("sqlite:///data/a.db?mode=rwc"));
        assert!(target("sqlite://data/a.db").is_ok_and(|url| url.ends_with("/data/a.db?mode=rwc")));
        for wrong in ["mysql://u:secret@h/d", "secret", "sqlite::memory:", "sqlite://", "sqlite://x?mode=memory"] {
            let error = target(wrong).expect_err(wrong);
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn paths_with_special_characters() {
        let options = Options::sqlite("/tmp/a b?#ü%.db");
        assert_eq!(
            options.target().map(|t| t.url().to_owned()).unwrap_or_default(),
            "sqlite:///tmp/a%20b%3F%23%C3%BC%25.db?mode=rwc"
        );
    }

    #[test]
    fn a_password_is_not_printed() {
        assert!(!format!("{:?}", Options::url("postgres://u:secret@h/d")).contains("secret"));
    }
}
