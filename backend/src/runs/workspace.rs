//! A run's private, writable view of its code: a copy of the pipeline's folder that is deleted with the run.
//!
//! ```text
//! {scratch}/{run id}/app   → /app   the code; `/app/{pipeline}` leads to it as well
//! {scratch}/{run id}/tmp   → /tmp   temporary files and HOME, on disk so that they do not count as memory
//! ```
//! The folder above is readable by the server alone; the two inside are writable for every user id, because which one the
//! container's user is on this machine depends on how Docker is set up.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::catalog::copy_into;
use crate::journal::RunId;

/// Where the code is seen.
pub const APP: &str = "/app";

/// Where temporary files are seen.
pub const TMP: &str = "/tmp";

/// Home of the script's user.
pub const HOME: &str = "/tmp/home";

/// The folders of one run on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The workspace of `run`, whether it exists or not.
    #[must_use]
    pub fn of(scratch: &Path, run: RunId) -> Self {
        Self { root: scratch.join(run.to_string()) }
    }

    /// The folder mounted at [`APP`].
    #[must_use]
    pub fn app(&self) -> PathBuf {
        self.root.join("app")
    }

    /// The folder mounted at [`TMP`].
    #[must_use]
    pub fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Makes the folders, without any code. Blocking. What an earlier attempt left is removed first.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn lay_out(&self) -> io::Result<()> {
        self.remove()?;
        fs::DirBuilder::new().mode(0o700).recursive(true).create(&self.root)?;
        for folder in [self.app(), self.tmp(), self.tmp().join("home")] {
            fs::create_dir(&folder)?;
            fs::set_permissions(&folder, Permissions::from_mode(0o777))?;
        }
        fs::set_permissions(self.tmp(), Permissions::from_mode(0o1777))
    }

    /// Copies the pipeline's folder into the empty one, which a container may see already. Blocking.
    ///
    /// # Errors
    /// When the code cannot be read or the copy cannot be written.
    pub fn fill(&self, code: &Path, pipeline: &str) -> io::Result<()> {
        copy_into(code, &self.app())?;
        // A file of that name in the pipeline's own folder is the pipeline's business.
        match symlink(".", self.app().join(pipeline)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// Deletes it. Blocking. Fine when it is not there.
    ///
    /// # Errors
    /// When something in it cannot be deleted.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.root) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Runs that have a workspace. Blocking.
///
/// # Errors
/// When the scratch folder cannot be read.
pub fn list(scratch: &Path) -> io::Result<Vec<RunId>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(scratch)? {
        if let Some(run) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
            found.push(run);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> RunId {
        RunId::from(uuid::Uuid::now_v7())
    }

    #[test]
    fn the_copy_is_private_writable_and_complete() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let code = folder.path().join("code");
        fs::create_dir_all(code.join("lib/.git")).expect("folder");
        fs::write(code.join("main.py"), "1").expect("file");
        fs::write(code.join("lib/a.py"), "2").expect("file");
        fs::set_permissions(code.join("main.py"), Permissions::from_mode(0o444)).expect("mode");
        symlink("/etc/passwd", code.join("link")).expect("link");

        let workspace = Workspace::of(&folder.path().join("scratch"), run());
        workspace.lay_out().expect("made");
        workspace.fill(&code, "p").expect("copied");
        let app = workspace.app();
        assert_eq!(fs::read(app.join("p/lib/a.py")).expect("seen under its name too"), b"2");
        assert_eq!(fs::read_link(app.join("link")).expect("a link still"), Path::new("/etc/passwd"));
        assert!(!app.join("lib/.git").exists());
        assert_eq!(fs::metadata(app.join("main.py")).expect("there").permissions().mode() & 0o777, 0o666);
        let outer = app.parent().expect("has a parent");
        assert_eq!(fs::metadata(outer).expect("there").permissions().mode() & 0o777, 0o700);

        fs::write(app.join("main.py"), "changed").expect("writable");
        assert_eq!(fs::read(code.join("main.py")).expect("original"), b"1");
        workspace.remove().expect("deleted");
        workspace.remove().expect("deleting nothing is fine");
    }

    #[test]
    fn a_folder_of_the_pipelines_own_name_wins() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let code = folder.path().join("etl");
        fs::create_dir_all(code.join("etl")).expect("folder");
        fs::write(code.join("main.py"), "").expect("file");
        fs::write(code.join("etl/__init__.py"), "").expect("file");
        let workspace = Workspace::of(&folder.path().join("scratch"), run());
        workspace.lay_out().expect("made");
        workspace.fill(&code, "etl").expect("copied");
        assert!(workspace.app().join("etl/__init__.py").exists());
        assert!(!workspace.app().join("etl").is_symlink());
    }
}
