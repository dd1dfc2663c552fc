//! How full a disk is. Asked before each start: a run that fills the last bytes takes the database down with it.

use std::path::{Path, PathBuf};

use crate::domain::size::format_bytes;

/// A disk, seen from a folder of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The folder.
    pub folder: PathBuf,
    /// Free bytes for us.
    pub free: u64,
}

impl Disk {
    /// The disk of a folder; `None` when it cannot be asked. One call of the system that reads nothing from the disk.
    #[must_use]
    pub fn of(folder: &Path) -> Option<Self> {
        let stat = rustix::fs::statvfs(folder).ok()?;
        Some(Self { folder: folder.to_owned(), free: stat.f_bavail.saturating_mul(stat.f_frsize) })
    }

    /// Why nothing may be started on it, if less than `floor` is free.
    #[must_use]
    pub fn too_full(&self, floor: u64) -> Option<String> {
        (self.free < floor).then(|| {
            format!(
                "the disk of {} has only {} left, and DATA_MIN_FREE_MB keeps {} free: make room there, or set a smaller \
                 DATA_MAX_MB or LOG_RETENTION_DAYS so that Fast-Flow does",
                self.folder.display(),
                format_bytes(self.free),
                format_bytes(floor)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_full_below_the_floor() {
        let disk = Disk { folder: "/data".into(), free: 100 << 20 };
        assert_eq!(disk.too_full(100 << 20), None);
        assert!(disk.too_full(101 << 20).is_some_and(|why| why.contains("/data has only 100 MB left")));
        assert!(Disk::of(Path::new("/")).is_some() && Disk::of(Path::new("/no/such/folder")).is_none());
    }
}
