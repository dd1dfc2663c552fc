//! The database: the only room that knows sqlx.
//!
//! One [`Store`] serves SQLite and PostgreSQL with the same statements, and every test of this room runs on both.
//! What holds everywhere in here:
//!
//! * **One writer of `runs.status`**: `record`, by compare-and-set, in one transaction with the pipeline's counters.
//! * **Locks are taken in one order** (run, then pipeline; several of a kind sorted by key), so transactions cannot deadlock.
//! * **Every call has a deadline** and fails as [`StoreError::Unavailable`]. A call that timed out while it committed may have
//!   happened; all writes can therefore be repeated safely, or refuse the second time.
//! * **SQL is static text**; values are only ever bound.

mod audit;
mod backup;
mod cluster;
mod codec;
mod environments;
mod error;
mod firings;
mod jobs;
mod look;
mod options;
mod pipelines;
mod record;
mod retention;
mod row;
mod run_list;
mod run_row;
mod runs;
mod sealed;
mod sessions;
mod slots;
mod sync;
mod tokens;
mod tx;
mod upkeep;
mod users;
mod vault;

#[cfg(test)]
pub(crate) mod testing;

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, AnyPool, Connection, Executor};
use tokio::sync::Semaphore;

pub use audit::{AuditCursor, AuditFilter, AuditRow, AuditRows};
pub use backup::{BackupError, Contents, Restored, back_up, inspect, restore};
pub use cluster::{OthersRun, ServerRow};
pub use environments::EnvironmentRow;
pub use error::StoreError;
pub use firings::{Claim, FiringRow, FiringState, REPLACED, Take};
pub use jobs::{JobRow, NewJob, REPOSITORY};
pub use look::Look;
pub use options::Options;
use options::Target;
pub use pipelines::{PipelineRow, SeenPipeline};
pub use record::{Facts, Recorded, Report};
pub use retention::{EndedRun, Expired};
pub use run_list::{ActiveCount, RunCursor, RunFilter, RunKey, RunOrder, RunRows};
pub use run_row::{Code, Limits, Measured, NewRun, RunRow};
pub use runs::{StartNote, StopAnswer, UsedEnvironment};
pub use sealed::{SealedColumn, SealedRow};
pub use sessions::{SessionKind, SessionRow};
pub use tokens::TokenRow;
pub use upkeep::{StoredSetting, Wal};
pub use users::{UserChanged, UserRow};
pub use vault::VaultRow;

/// A connection that was used within this time is not asked whether it still works.
const TRUSTED: Duration = Duration::from_secs(1);

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// The database. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
    /// SQLite has one writer at a time. Ours wait here, in order, instead of polling for SQLite's lock with a connection in
    /// hand: nobody starves, and readers always find a connection. Absent on PostgreSQL.
    writer: Option<Arc<Semaphore>>,
    deadline: Duration,
    /// The SQLite file.
    file: Option<Arc<Path>>,
    /// Held as long as the database is worked with, so that nobody replaces its file meanwhile.
    _held: Option<Arc<File>>,
}

impl Store {
    /// Connects, creating the SQLite file and its folder when they are missing, and brings the tables up to date.
    ///
    /// # Errors
    /// [`StoreError::Settings`], [`StoreError::Unavailable`] or [`StoreError::Migration`].
    pub async fn open(options: &Options) -> Result<Self, StoreError> {
        install_drivers();
        let target = options.target()?;
        let (mut file, mut held) = (None, None);
        if let Target::Sqlite { path, .. } = &target {
            create_folder(path).await?;
            held = backup::hold(path)?.map(Arc::new);
            file = Some(Arc::from(path.as_path()));
            if options.check && path.exists() {
                backup::check(path).await?;
            }
        }
        let setup = session_setup(&target, options);
        migrate(&target, options, Arc::clone(&setup)).await?;
        let pool = connect(&target, options, options.max_connections.max(2), setup).await?;
        let writer = matches!(target, Target::Sqlite { .. }).then(|| Arc::new(Semaphore::new(1)));
        Ok(Self { pool, writer, deadline: options.deadline, file, _held: held })
    }

    /// `SQLite` or `PostgreSQL`, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        if self.is_sqlite() { "SQLite" } else { "PostgreSQL" }
    }

    /// Closes all connections, waiting for calls that are under way. Later calls fail as unavailable.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    const fn is_sqlite(&self) -> bool {
        self.writer.is_some()
    }
}

fn install_drivers() {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);
}

async fn create_folder(path: &Path) -> Result<(), StoreError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    tokio::fs::create_dir_all(folder).await.map_err(|error| StoreError::Unavailable {
        reason: format!("the folder {} cannot be created: {error}", folder.display()),
        source: Some(error.into()),
    })
}

/// What each connection is told first.
fn session_setup(target: &Target, options: &Options) -> Arc<[String]> {
    let lock = options.acquire_timeout.as_millis();
    let deadline = options.deadline.as_millis();
    match target {
        // busy_timeout first: switching to WAL needs a lock itself. NORMAL may lose the last commits when the machine (not
        // the process) dies, but never the file.
        Target::Sqlite { .. } => Arc::new([
            format!("PRAGMA busy_timeout = {lock}"),
            "PRAGMA journal_mode = WAL".to_owned(),
            "PRAGMA synchronous = NORMAL".to_owned(),
            "PRAGMA foreign_keys = ON".to_owned(),
            // After a flood the file of the write-ahead log shrinks again.
            "PRAGMA journal_size_limit = 67108864".to_owned(),
            // 4 MiB of pages per connection: what is not among them is in the system's own cache, a call away, and that one
            // gives its memory back when it is needed elsewhere.
            "PRAGMA cache_size = -4096".to_owned(),
        ]),
        // The server gives up by itself what we no longer wait for, so that no lock outlives our deadline.
        Target::Postgres { .. } => Arc::new([
            format!("SET statement_timeout = {deadline}"),
            format!("SET idle_in_transaction_session_timeout = {deadline}"),
        ]),
    }
}

async fn set_up(connection: &mut AnyConnection, setup: Arc<[String]>) -> Result<(), sqlx::Error> {
    for statement in setup.iter() {
        // Safe: built above from constants and numbers.
        connection.execute(sqlx::AssertSqlSafe(statement.clone())).await?;
    }
    Ok(())
}

/// On a connection of its own, without PostgreSQL's time limits: a migration may take longer than any call.
async fn migrate(target: &Target, options: &Options, setup: Arc<[String]>) -> Result<(), StoreError> {
    let setup = if matches!(target, Target::Sqlite { .. }) { setup } else { Arc::new([]) };
    let pool = connect(target, options, 1, setup).await?;
    let mut outcome = MIGRATIONS.run(&pool).await.map_err(StoreError::from);
    if outcome.is_ok() {
        outcome = audit::guard(&pool, matches!(target, Target::Sqlite { .. })).await;
    }
    if outcome.is_ok() && matches!(target, Target::Sqlite { .. }) {
        outcome = complete_statistics(&pool).await;
    }
    pool.close().await;
    outcome
}

/// Statistics that somebody gathered (`ANALYZE`) before a migration made an index lead SQLite astray: it takes the index that it knows
/// nothing of for the best. Ours need none, so where there are none it stays so.
async fn complete_statistics(pool: &AnyPool) -> Result<(), StoreError> {
    let gathered = "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'";
    if sqlx::query_scalar::<_, i64>(gathered).fetch_one(pool).await? > 0 {
        // A sample of each index: milliseconds, whatever the number of rows.
        pool.execute("PRAGMA analysis_limit = 1000; ANALYZE").await?;
    }
    Ok(())
}

async fn connect(target: &Target, options: &Options, most: u32, setup: Arc<[String]>) -> Result<AnyPool, StoreError> {
    let pool = AnyPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(options.acquire_timeout)
        .after_connect(move |connection, _| {
            let setup = Arc::clone(&setup);
            Box::pin(async move { set_up(connection, setup).await })
        })
        // One that was used a moment ago needs no question first: under load that is each of them, and each question a way
        // to the server and back.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                // When its disk is full, SQLite ends a transaction by itself. The driver believes that it goes on, and would
                // refuse to begin another one on this connection for ever.
                if connection.is_in_transaction() {
                    return Ok(false);
                }
                if meta.idle_for >= TRUSTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        });
    Ok(pool.connect(target.url()).await?)
}

#[cfg(test)]
mod tests;
