//! Looking at a database without changing it, as somebody does who wants to know why it does not work.

use std::time::Duration;

use sqlx::Row as _;

use super::options::Target;
use super::{MIGRATIONS, Options, Store, StoreError, connect, session_setup};

/// How long a look may take.
const WITHIN: Duration = Duration::from_secs(20);

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// `SQLite` or `PostgreSQL`.
    pub kind: &'static str,
    /// The newest migration that it has; `None` when it is new.
    pub applied: Option<i64>,
    /// The newest that this program knows.
    pub newest: i64,
    /// What SQLite finds wrong with its file.
    pub damage: Vec<String>,
}

impl Store {
    /// Looks at the database: can it be reached, how old is its schema, is its file sound.
    ///
    /// # Errors
    /// [`StoreError::Settings`], [`StoreError::Unavailable`].
    pub async fn look(options: &Options) -> Result<Look, StoreError> {
        super::install_drivers();
        let target = options.target()?;
        let newest = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
        let is_sqlite = matches!(target, Target::Sqlite { .. });
        let kind = if is_sqlite { "SQLite" } else { "PostgreSQL" };
        if let Target::Sqlite { path, .. } = &target
            && !path.exists()
        {
            return Ok(Look { kind, applied: None, newest, damage: Vec::new() });
        }
        let look = async {
            let pool = connect(&target, options, 1, session_setup(&target, options)).await?;
            let mut damage = Vec::new();
            if is_sqlite {
                for row in sqlx::query("PRAGMA quick_check(5)").fetch_all(&pool).await? {
                    let line: String = row.try_get(0)?;
                    damage.extend(Some(line).filter(|line| line != "ok"));
                }
            }
            // A table that is missing is a database that is new; whatever else is wrong was told by the connection.
            let version = sqlx::query("SELECT MAX(version) AS version FROM _sqlx_migrations").fetch_one(&pool).await;
            let applied = version.ok().and_then(|row| row.try_get::<Option<i64>, _>(0).ok()).flatten();
            pool.close().await;
            Ok(Look { kind, applied, newest, damage })
        };
        tokio::time::timeout(WITHIN, look).await.unwrap_or_else(|_| Err(StoreError::too_slow(WITHIN)))
    }
}
