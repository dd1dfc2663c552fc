//! Locks between processes of one machine: files that the kernel unlocks when their holder ends, however it ends. So a lock
//! that is free proves that its holder is gone, and one that is held proves that it is not, which no heartbeat can.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often a lock that somebody else has is tried.
const EACH: Duration = Duration::from_millis(100);

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

/// Who may hold it beside us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Others in the same mode.
    Shared,
    /// Nobody.
    Alone,
}

/// What is known of a lock that others hold or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// Somebody has it.
    Yes,
    /// Nobody has it.
    No,
    /// There is no such file, or its file system knows no locks.
    Unknown,
}

impl FileLock {
    /// Takes a lock if it is free now; its file is made when it is missing.
    ///
    /// # Errors
    /// The file system's.
    pub fn try_take(path: &Path, mode: Mode) -> io::Result<Option<Self>> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let taken = match mode {
            Mode::Shared => file.try_lock_shared(),
            Mode::Alone => file.try_lock(),
        };
        match taken {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// A lock that nobody else knows of.
    #[cfg(test)]
    pub(super) fn for_tests() -> Self {
        Self { _file: tempfile::tempfile().expect("a file") }
    }

    /// Waits until a lock is free and takes it; `None` when that takes longer than `patience`.
    ///
    /// # Errors
    /// The file system's.
    pub async fn take(path: &Path, mode: Mode, patience: Duration) -> io::Result<Option<Self>> {
        let until = Instant::now() + patience;
        loop {
            if let Some(lock) = Self::try_take(path, mode)? {
                return Ok(Some(lock));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            sleep(EACH).await;
        }
    }
}

/// Whether somebody holds the lock of this file.
pub(super) fn held(path: &Path) -> Held {
    let Ok(file) = File::open(path) else { return Held::Unknown };
    match file.try_lock_shared() {
        Ok(()) => Held::No,
        Err(TryLockError::WouldBlock) => Held::Yes,
        Err(TryLockError::Error(_)) => Held::Unknown,
    }
}
