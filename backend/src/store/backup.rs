//! Backups of a SQLite database: made while it is worked with, looked at, and put back.
//!
//! A backup is one file, whole or not there: it grows under another name, is checked, synced, and gets its name last.
//! PostgreSQL has tools of its own, which [`BackupError::NotSqlite`] names.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Row as _};
use thiserror::Error;

use super::options::{Target, escape};
use super::{MIGRATIONS, Options, Store, StoreError};

/// How long copying or checking a whole database may take.
const LONG: Duration = Duration::from_secs(3600);

/// Ending of a backup that is not whole yet.
const PARTIAL: &str = ".partial";

/// Why there is no backup, or none was put back.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The database is PostgreSQL.
    #[error(
        "the database is PostgreSQL, which backs itself up: pg_dump --format=custom --file FILE \"$DATABASE_URL\" \
         while the server runs, and pg_restore --clean --if-exists --dbname \"$DATABASE_URL\" FILE while it does not"
    )]
    NotSqlite,
    /// There is nothing to back up.
    #[error("there is no database {0}; DATA_DIR or DATABASE_URL says where it is")]
    NoDatabase(PathBuf),
    /// The file to write is there already.
    #[error("{0} is there already and is not written over; name another file")]
    Exists(PathBuf),
    /// A file could not be read or written.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The file is no sound backup of ours.
    #[error("{} is no backup that can be put back: {reason}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It is of a newer release.
    #[error(
        "{} was made by a newer release (schema {version}, this one knows up to {known}): restore it with that release",
        path.display()
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its schema.
        version: i64,
        /// Our latest.
        known: i64,
    },
    /// There is a database already, and nobody said that it may be replaced.
    #[error("{0} is there already; with --force it is replaced, and kept under another name")]
    HasData(PathBuf),
    /// Somebody works with the database.
    #[error("a server (or another command) works with {0}; stop it first")]
    InUse(PathBuf),
    /// The database itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for BackupError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    move |source| BackupError::Io { what, path: path.to_owned(), source }
}

/// What is known of a database in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Version of its schema.
    pub version: i64,
    /// How many runs it knows.
    pub runs: i64,
    /// How many users.
    pub users: i64,
}

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What it holds.
    pub contents: Contents,
    /// Where the database is.
    pub database: PathBuf,
    /// Where the one is that it replaced.
    pub kept: Option<PathBuf>,
}

impl Store {
    /// The SQLite file; `None` on PostgreSQL.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Writes a backup, while others work. Returns its size.
    ///
    /// # Errors
    /// [`BackupError`]; then there is no file.
    pub async fn back_up(&self, to: &Path) -> Result<u64, BackupError> {
        if !self.is_sqlite() {
            return Err(BackupError::NotSqlite);
        }
        write_backup(&self.pool, to).await
    }
}

/// Writes a backup of the database that the options name, without opening it as a server does: nothing of it is changed.
///
/// # Errors
/// [`BackupError`]; then there is no file.
pub async fn back_up(options: &Options, to: &Path) -> Result<u64, BackupError> {
    let path = sqlite_path(options)?;
    if !path.is_file() {
        return Err(BackupError::NoDatabase(path));
    }
    let pool = open(&path, "rw").await?;
    let written = write_backup(&pool, to).await;
    pool.close().await;
    written
}

/// Puts a backup in the place of the database that the options name. The one that is there is kept under another name.
///
/// # Errors
/// [`BackupError`]; then the database is as it was.
pub async fn restore(options: &Options, from: &Path, force: bool, stamp: &str) -> Result<Restored, BackupError> {
    let database = sqlite_path(options)?;
    if !from.is_file() {
        let source = io::Error::from(io::ErrorKind::NotFound);
        return Err(io_error("there is no file", from)(source));
    }
    if let Some(folder) = database.parent() {
        fs::create_dir_all(folder).map_err(io_error("making the folder", folder))?;
    }
    let lock = lock_file(&database).map_err(io_error("opening", &database))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(BackupError::InUse(database)),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(TryLockError::Error(error)) => return Err(io_error("locking", &database)(error)),
    }
    let replaces = database.exists();
    if replaces && !force {
        return Err(BackupError::HasData(database));
    }
    // Everything is found out with a copy, so that the backup itself is never touched.
    let new = with_end(&database, ".restoring");
    let prepared = prepare(from, &new).await;
    let contents = match prepared {
        Ok(contents) => contents,
        Err(error) => {
            remove_all(&new);
            return Err(error);
        }
    };
    let kept =
        if replaces { Some(keep(&database, &with_end(&database, &format!(".before-{stamp}"))).await?) } else { None };
    // The log of the old one must not be taken for the new one's.
    for end in ["-wal", "-shm"] {
        remove(&with_end(&database, end)).map_err(io_error("removing", &database))?;
    }
    fs::rename(&new, &database).map_err(io_error("putting the backup in the place of", &database))?;
    sync_folder(&database).map_err(io_error("syncing the folder of", &database))?;
    Ok(Restored { contents, database, kept })
}

/// What a database in a file holds, if it is a sound one of ours.
///
/// # Errors
/// [`BackupError::Unfit`], [`BackupError::TooNew`].
pub async fn inspect(path: &Path) -> Result<Contents, BackupError> {
    let unfit = |reason: String| BackupError::Unfit { path: path.to_owned(), reason };
    let plain = |error: sqlx::Error| match StoreError::from(error) {
        StoreError::Damaged { reason } => unfit(reason),
        other => unfit(other.to_string()),
    };
    let pool = open(path, "rw").await.map_err(|error| unfit(error.to_string()))?;
    let looked = async {
        let rows = sqlx::query("PRAGMA integrity_check(3)").fetch_all(&pool).await.map_err(plain)?;
        let lines: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(plain)?;
        if lines != ["ok"] {
            return Err(unfit(lines.join("; ")));
        }
        let number = async |sql: &'static str| {
            let row = sqlx::query(sql).fetch_one(&pool).await?;
            row.try_get::<i64, _>(0)
        };
        let ours = number("SELECT COUNT(*) FROM sqlite_master WHERE name IN ('_sqlx_migrations', 'runs', 'users')");
        if ours.await.map_err(plain)? != 3 {
            return Err(unfit("it is no database of Fast-Flow".to_owned()));
        }
        let version = number("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations").await.map_err(plain)?;
        let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
        if version > known {
            return Err(BackupError::TooNew { path: path.to_owned(), version, known });
        }
        Ok(Contents {
            version,
            runs: number("SELECT COUNT(*) FROM runs").await.map_err(plain)?,
            users: number("SELECT COUNT(*) FROM users").await.map_err(plain)?,
        })
    };
    let contents = tokio::time::timeout(LONG, looked).await;
    pool.close().await;
    contents.unwrap_or_else(|_| Err(StoreError::too_slow(LONG).into()))
}

/// Reads a whole database file once, before anything is built on it.
///
/// # Errors
/// [`StoreError::Damaged`].
pub(super) async fn check(path: &Path) -> Result<(), StoreError> {
    let pool = open(path, "rw").await?;
    let checked = async {
        let rows = sqlx::query("PRAGMA quick_check(3)").fetch_all(&pool).await?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()
    };
    let checked = tokio::time::timeout(LONG, checked).await;
    pool.close().await;
    let lines = checked.map_err(|_| StoreError::too_slow(LONG))??;
    if lines == ["ok"] { Ok(()) } else { Err(StoreError::Damaged { reason: lines.join("; ") }) }
}

async fn prepare(from: &Path, new: &Path) -> Result<Contents, BackupError> {
    remove_all(new);
    fs::copy(from, new).map_err(io_error("copying", from))?;
    let contents = inspect(new).await?;
    File::open(new).and_then(|file| file.sync_all()).map_err(io_error("syncing", new))?;
    Ok(contents)
}

/// Gives the present database a second name, with what is in its log. A damaged one is kept as it is.
async fn keep(database: &Path, kept: &Path) -> Result<PathBuf, BackupError> {
    if let Ok(pool) = open(database, "rw").await {
        // Best effort: when it is damaged, its log is kept beside it.
        let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_optional(&pool).await;
        pool.close().await;
    }
    for end in ["", "-wal"] {
        let (from, to) = (with_end(database, end), with_end(kept, end));
        if from.exists() {
            fs::hard_link(&from, &to)
                .or_else(|_| fs::copy(&from, &to).map(drop))
                .map_err(io_error("keeping the present database as", &to))?;
        }
    }
    Ok(kept.to_owned())
}

async fn write_backup(pool: &AnyPool, to: &Path) -> Result<u64, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(io_error("making the folder", folder))?;
    }
    let partial = with_end(to, PARTIAL);
    let done = async {
        remove_all(&partial);
        let Some(name) = partial.to_str() else {
            return Err(BackupError::Unfit { path: partial.clone(), reason: "its name is not UTF-8".to_owned() });
        };
        // A consistent copy without gaps, from one read transaction: writers go on meanwhile.
        let copy = sqlx::query("VACUUM INTO $1").bind(name).execute(pool);
        match tokio::time::timeout(LONG, copy).await {
            Ok(copied) => copied.map(drop)?,
            Err(_) => return Err(StoreError::too_slow(LONG).into()),
        }
        inspect(&partial).await?;
        let file = File::open(&partial).map_err(io_error("reading", &partial))?;
        file.sync_all().map_err(io_error("syncing", &partial))?;
        // It holds password hashes and sealed secrets.
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(io_error("protecting", &partial))?;
        let bytes = file.metadata().map_err(io_error("reading", &partial))?.len();
        fs::rename(&partial, to).map_err(io_error("naming", to))?;
        sync_folder(to).map_err(io_error("syncing the folder of", to))?;
        Ok(bytes)
    }
    .await;
    if done.is_err() {
        remove_all(&partial);
    }
    done
}

fn sqlite_path(options: &Options) -> Result<PathBuf, BackupError> {
    match options.target()? {
        Target::Sqlite { path, .. } => Ok(path),
        Target::Postgres { .. } => Err(BackupError::NotSqlite),
    }
}

/// Opens a file that is there, as it is.
async fn open(path: &Path, mode: &str) -> Result<AnyPool, StoreError> {
    super::install_drivers();
    let text = path.to_str().ok_or_else(|| StoreError::Settings(format!("{} is not UTF-8", path.display())))?;
    let url = format!("sqlite://{}?mode={mode}", escape(text));
    let options = AnyPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(30));
    Ok(options.connect(&url).await?)
}

/// The file that says by its lock that somebody works with a database.
fn lock_file(database: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(with_end(database, ".lock"))
}

/// Says for as long as the answer lives that the database is worked with.
///
/// # Errors
/// When it is being put back at this moment.
pub(super) fn hold(database: &Path) -> Result<Option<File>, StoreError> {
    // A file system without locks, or a folder that cannot be written, is told of by others.
    let Ok(file) = lock_file(database) else { return Ok(None) };
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Err(StoreError::Unavailable {
            reason: "a backup is being restored; wait for its end".to_owned(),
            source: None,
        }),
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a file of SQLite with what belongs to it, as far as possible.
fn remove_all(path: &Path) {
    for end in ["", "-wal", "-shm", "-journal"] {
        let _ = remove(&with_end(path, end));
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
