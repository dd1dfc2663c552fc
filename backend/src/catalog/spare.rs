//! Kept code that nobody needs: it may go when room is short, and is otherwise kept for running a run again.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::{Catalog, CatalogError, blocking};
use crate::domain::clock::Millis;

/// Code that was used within so many seconds stays: a run may be about to start with it.
const RECENT_SECONDS: f64 = 24.0 * 3600.0;

impl Catalog {
    /// Kept code that no run needs which has not ended, with the time that each was last used.
    ///
    /// # Errors
    /// The database or the folder.
    pub async fn spare_code(&self) -> Result<Vec<(PathBuf, Millis)>, CatalogError> {
        let (rows, broken) = self.inner.store.unfinished_runs().await?;
        if !broken.is_empty() {
            // Which code such a run needs nobody knows.
            return Ok(Vec::new());
        }
        let in_use: HashSet<_> = rows.into_iter().filter_map(|row| row.spec.code.path).map(PathBuf::from).collect();
        let (root, now) = (self.inner.options.code_dir.clone(), self.inner.clock.now());
        let path = root.clone();
        blocking(move || spare(&root, &in_use, now)).await.map_err(|source| CatalogError::Folder { path, source })
    }
}

fn spare(root: &Path, in_use: &HashSet<PathBuf>, now: Millis) -> io::Result<Vec<(PathBuf, Millis)>> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let state = entry?.path();
        let used = fs::metadata(state.join(".used")).or_else(|_| fs::metadata(&state))?.modified()?;
        let used = Millis::from(DateTime::<Utc>::from(used));
        let needed = in_use.iter().any(|copy| copy.starts_with(&state));
        if !needed && now.seconds_since(used) > RECENT_SECONDS {
            found.push((state, used));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_needs_and_nobody_used_today() {
        let root = tempfile::tempdir().expect("temporary folder");
        let state = root.path().join("0011");
        fs::create_dir_all(state.join("p")).expect("folder");
        fs::write(state.join(".used"), "").expect("file");
        let now = Millis::from(Utc::now());
        let (nobody, somebody) = (HashSet::new(), HashSet::from([state.join("p")]));
        let look = |in_use, hours: f64| spare(root.path(), in_use, now.plus_seconds(hours * 3600.0)).expect("readable");
        assert_eq!(look(&nobody, 1.0), []);
        assert_eq!(look(&somebody, 48.0), []);
        let found = look(&nobody, 48.0);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, state);
        assert_eq!(spare(&root.path().join("none"), &nobody, now).expect("nothing there"), []);
    }
}
