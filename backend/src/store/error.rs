//! What can go wrong with the database, in classes that callers can act on.

use std::time::Duration;

use thiserror::Error;

/// Where an error came from, kept for the log.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why it is unavailable when its disk is full.
const FULL: &str = "its disk is full";

/// What went wrong with the database.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database does not answer, is locked, full, read-only or too slow. Trying again may help.
    #[error("the database is unavailable: {reason}")]
    Unavailable {
        /// What was noticed, without connection details.
        reason: String,
        /// The driver's own error.
        #[source]
        source: Option<Source>,
    },
    /// A row with that key is there already.
    #[error("{what} exists already")]
    Conflict {
        /// What the row is, e.g. a constraint's name.
        what: String,
        /// The driver's own error.
        #[source]
        source: Source,
    },
    /// There is no such row.
    #[error("there is no {what} {key:?}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its key.
        key: String,
    },
    /// A row holds what this program cannot have written, or was written by a newer one.
    #[error("column {column:?} of {table} {key:?} cannot be read: {reason}")]
    Corrupt {
        /// Table of the row.
        table: &'static str,
        /// Its primary key.
        key: String,
        /// Column that cannot be read.
        column: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The tables could not be brought up to date.
    #[error("the database cannot be brought up to date: {reason}")]
    Migration {
        /// What is wrong and what to do.
        reason: String,
        /// The migrator's own error.
        #[source]
        source: Option<Source>,
    },
    /// The file of the database is damaged, or is none.
    #[error(
        "the file of the database is damaged ({reason}). Put a backup in its place while no server runs: \
         `fastflow restore FILE --force` keeps the damaged one under another name; backups made by this server are in \
         DATA_DIR/backups"
    )]
    Damaged {
        /// What SQLite says.
        reason: String,
    },
    /// The settings of the database make no sense.
    #[error("the database settings are wrong: {0}")]
    Settings(String),
    /// A mistake of ours: a statement that the database refuses.
    #[error("the database refused a statement")]
    Other(#[source] Source),
}

impl StoreError {
    /// Whether the same call may work in a moment.
    #[must_use]
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether nothing can be written for want of room. Trying again helps once somebody has made some.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Unavailable { reason, .. } if reason == FULL)
    }

    /// Whether the row is there already.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    /// Whether there is no such row.
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    pub(super) fn not_found(what: &'static str, key: &str) -> Self {
        Self::NotFound { what, key: key.to_owned() }
    }

    pub(super) fn too_slow(limit: Duration) -> Self {
        Self::Unavailable { reason: format!("no answer within {} s", limit.as_secs_f64()), source: None }
    }

    fn unavailable(reason: impl Into<String>, source: sqlx::Error) -> Self {
        Self::Unavailable { reason: reason.into(), source: Some(source.into()) }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::PoolTimedOut => Self::unavailable("no connection became free in time", error),
            E::PoolClosed => Self::unavailable("it was closed", error),
            E::Io(_) | E::Tls(_) | E::Protocol(_) | E::WorkerCrashed => {
                Self::unavailable("the connection failed", error)
            }
            E::Database(database) if database.is_unique_violation() => {
                let what = database.constraint().unwrap_or("a row with that key").to_owned();
                Self::Conflict { what, source: error.into() }
            }
            E::Database(database) if is_damage(database.code().as_deref().unwrap_or_default()) => {
                Self::Damaged { reason: database.message().to_owned() }
            }
            E::Database(database) if is_full(database.code().as_deref().unwrap_or_default()) => {
                Self::unavailable(FULL, error)
            }
            E::Database(database) if may_pass(database.code().as_deref().unwrap_or_default()) => {
                Self::unavailable(database.message().to_owned(), error)
            }
            _ => Self::Other(error.into()),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError as E;
        let reason = match error {
            // A database that cannot be reached is no broken migration.
            E::Execute(error) => match Self::from(error) {
                Self::Other(source) => {
                    return Self::Migration { reason: "a statement failed".to_owned(), source: Some(source) };
                }
                other => return other,
            },
            E::VersionMissing(version) => {
                format!(
                    "it was written by a newer release (migration {version}); start that release or restore a backup"
                )
            }
            E::VersionMismatch(version) => format!("migration {version} was changed after it had been applied"),
            E::Dirty(version) => format!("migration {version} was begun and never finished; restore a backup"),
            ref other => other.to_string(),
        };
        Self::Migration { reason, source: Some(error.into()) }
    }
}

/// Whether SQLite says that its file is malformed, or no database.
fn is_damage(code: &str) -> bool {
    matches!((code.len(), code.parse::<u32>()), (1..=4, Ok(number)) if matches!(number & 0xff, 11 | 26))
}

/// Whether an error code of either database says that its disk is full.
fn is_full(code: &str) -> bool {
    code == "53100" || matches!((code.len(), code.parse::<u32>()), (1..=4, Ok(number)) if number & 0xff == 13)
}

/// Whether an error code of either database tells of a state that may pass, rather than of a mistake in a statement.
fn may_pass(code: &str) -> bool {
    // SQLite: a number whose lowest byte is the class. Codes of PostgreSQL have five characters.
    if let (1..=4, Ok(number)) = (code.len(), code.parse::<u32>()) {
        // busy, locked, read-only, I/O, full, cannot open
        return matches!(number & 0xff, 5 | 6 | 8 | 10 | 13 | 14);
    }
    // connection, rollback (deadlock), resources, operator's intervention (shutdown, time limit), system
    let class = ["08", "40", "53", "57", "58"];
    // lock not available; read-only (a standby); idle in transaction for too long
    let codes = ["55P03", "25006", "25P03"];
    class.iter().any(|prefix| code.starts_with(prefix)) || codes.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_may_pass() {
        for code in ["5", "517", "10", "4874", "13", "14", "8", "08006", "40P01", "53300", "57014", "55P03"] {
            assert!(may_pass(code), "{code}");
        }
        assert!(is_full("13") && is_full("53100") && !is_full("14") && !is_full("1300") && !is_full("53300"));
        for code in ["11", "26", "267"] {
            assert!(is_damage(code), "{code}");
        }
        assert!(!is_damage("5") && !is_damage("42601") && !is_damage("11000"));
        for code in ["1", "11", "19", "2067", "42601", "23505", ""] {
            assert!(!may_pass(code), "{code}");
        }
    }

    #[test]
    fn a_closed_pool_may_come_back() {
        assert!(StoreError::from(sqlx::Error::PoolClosed).is_unavailable());
        assert!(!StoreError::from(sqlx::Error::RowNotFound).is_unavailable());
    }
}
