//! Which commit's folder is live, on disk: one small file that is replaced as a whole. And the removal of folders that nobody
//! needs any more.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Name of the file, beside the commits' folders.
const FILE: &str = "live.json";

/// What is live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Name of the commit's folder.
    pub folder: String,
    /// The repository that it came from.
    pub repository_url: String,
    /// The branch that was followed.
    pub branch: String,
    /// The folder of the repository that was taken.
    pub subdir: String,
}

impl Live {
    /// What was live last. Blocking.
    ///
    /// # Errors
    /// When nothing ever was, or the file cannot be read.
    pub fn read(commits: &Path) -> io::Result<Self> {
        serde_json::from_slice(&fs::read(commits.join(FILE))?).map_err(io::Error::other)
    }

    /// Makes this live for the next start. Blocking.
    ///
    /// # Errors
    /// When it cannot be written; what was live before is so still.
    pub fn write(&self, commits: &Path) -> io::Result<()> {
        let new = commits.join(format!("{FILE}.new"));
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&new, commits.join(FILE))?;
        File::open(commits)?.sync_all()
    }
}

/// Removes the folders of commits but for that named `live` and those in which one of `in_use` lies; and mirrors other than
/// `mirror`. Returns how many. Blocking. What cannot be removed now is tried again after the next sync.
pub fn prune(commits: &Path, live: &str, in_use: &HashSet<PathBuf>, mirror: &Path) -> usize {
    let mut removed = 0;
    for entry in fs::read_dir(commits).into_iter().flatten().flatten() {
        let path = entry.path();
        let needed = entry.file_name() == live || in_use.iter().any(|folder| folder.starts_with(&path));
        if path.is_dir() && !needed {
            // First its name: half of a folder must not be taken for a whole one.
            let gone = commits.join(format!("partial-gone-{}", entry.file_name().to_string_lossy()));
            if fs::rename(&path, &gone).and_then(|()| fs::remove_dir_all(&gone)).is_ok() {
                removed += 1;
            }
        }
    }
    let mirrors = mirror.parent().map(fs::read_dir).into_iter().flatten().flatten().flatten();
    for path in mirrors.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "git")) {
        if path != mirror {
            let _ = fs::remove_dir_all(path);
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_needs_is_removed() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (commits, git) = (folder.path().join("commits"), folder.path().join("git"));
        for name in ["a/tree/p", "b/tree/p", "c/tree/p"] {
            fs::create_dir_all(commits.join(name)).expect("folder");
        }
        for name in ["old.git", "new.git"] {
            fs::create_dir_all(git.join(name)).expect("folder");
        }
        let live = Live { folder: "b".into(), repository_url: "u".into(), branch: "m".into(), subdir: String::new() };
        live.write(&commits).expect("written");
        let in_use = HashSet::from([commits.join("c/tree")]);
        assert_eq!(prune(&commits, "b", &in_use, &git.join("new.git")), 1);
        assert!(!commits.join("a").exists() && commits.join("b/tree/p").exists() && commits.join("c/tree/p").exists());
        assert!(!git.join("old.git").exists() && git.join("new.git").exists());
        assert_eq!(Live::read(&commits).expect("read"), live);
    }
}
