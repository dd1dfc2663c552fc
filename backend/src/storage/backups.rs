//! The folder of backups: `fastflow-YYYYMMDD-HHMMSS-mmm.db`, in UTC. Only files of such names are looked at.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDateTime, Utc};
use fastflow_shared::Backup;

use crate::domain::clock::Millis;

/// How the time is written in a name.
const STAMP: &str = "%Y%m%d-%H%M%S-%3f";

/// Name of a backup that is made at `now`.
pub fn name(now: Millis) -> String {
    format!("fastflow-{}.db", now.to_utc().format(STAMP))
}

/// When the backup of this name was made; `None` for any other name.
fn made_at(name: &str) -> Option<DateTime<Utc>> {
    let stamp = name.strip_prefix("fastflow-")?.strip_suffix(".db")?;
    let time = NaiveDateTime::parse_from_str(stamp, STAMP).ok()?.and_utc();
    // Only the one spelling is ours.
    (time.format(STAMP).to_string() == stamp).then_some(time)
}

/// The backups in a folder, the latest first. Blocking.
///
/// # Errors
/// When the folder cannot be read. One that is not there holds none.
pub fn list(folder: &Path) -> io::Result<Vec<Backup>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(created_at) = made_at(&name) else { continue };
        match entry.metadata() {
            Ok(meta) => {
                let bytes = i64::try_from(meta.len()).unwrap_or(i64::MAX);
                found.push(Backup { name, bytes, created_at });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_by_key(|backup| std::cmp::Reverse(backup.created_at));
    Ok(found)
}

/// The file of a backup; `None` when this is no name of one.
pub fn path(folder: &Path, name: &str) -> Option<PathBuf> {
    made_at(name).map(|_| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_backups_are_found_and_the_latest_comes_first() {
        let folder = tempfile::tempdir().expect("folder");
        let (older, newer) = (name(Millis(1_700_000_000_000)), name(Millis(1_800_000_000_123)));
        assert_eq!(older, "fastflow-20231114-221320-000.db");
        for name in [older.as_str(), newer.as_str(), "fastflow.db", "fastflow-20231114-221320-000.db.partial", "x"] {
            fs::write(folder.path().join(name), "12345").expect("write");
        }
        let found = list(folder.path()).expect("read");
        assert_eq!(found.iter().map(|backup| &backup.name).collect::<Vec<_>>(), [&newer, &older]);
        assert_eq!((found[0].bytes, found[0].created_at), (5, Millis(1_800_000_000_123).to_utc()));
        assert!(list(&folder.path().join("none")).expect("nothing there").is_empty());
        assert!(path(folder.path(), &older).is_some());
        for wrong in ["../fastflow.db", "fastflow.db", "fastflow-../x.db", "", "fastflow-20231114-221320-0.db"] {
            assert_eq!(path(folder.path(), wrong), None, "{wrong}");
        }
    }
}
