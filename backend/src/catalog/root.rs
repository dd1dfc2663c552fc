//! A folder that holds pipelines at one moment: a plain folder, or one commit's, which never changes.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Pipeline, scan};
use crate::git::{Head, Manifest};

/// Where pipelines are found.
#[derive(Debug, PartialEq, Eq)]
pub struct Root {
    /// The folder that holds one folder per pipeline.
    pub folder: PathBuf,
    commit: Option<Commit>,
}

#[derive(Debug, PartialEq, Eq)]
struct Commit {
    head: Head,
    /// Git's hash of each pipeline's folder, cut to what a fingerprint has.
    prints: HashMap<String, u64>,
}

impl Root {
    /// A folder that anybody may change at any time.
    #[must_use]
    pub fn plain(folder: PathBuf) -> Self {
        Self { folder, commit: None }
    }

    /// The files of a commit, in the folder that `git` wrote out. Blocking.
    ///
    /// # Errors
    /// When the folder is not whole.
    pub fn of_commit(folder: &Path) -> io::Result<Self> {
        let Manifest { head, trees } = Manifest::read(folder)?;
        let print = |hash: &str| hash.get(..16).and_then(|start| u64::from_str_radix(start, 16).ok());
        let prints = trees.into_iter().filter_map(|(name, hash)| Some((name, print(&hash)?))).collect();
        let folder = folder.join("tree");
        if !folder.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        Ok(Self { folder, commit: Some(Commit { head, prints }) })
    }

    /// The commit, of a commit's folder.
    #[must_use]
    pub fn head(&self) -> Option<&Head> {
        self.commit.as_ref().map(|commit| &commit.head)
    }

    /// Reads one pipeline's folder. Blocking.
    pub(super) fn pipeline(self: &Arc<Self>, folder: &Path) -> io::Result<Option<Pipeline>> {
        Ok(scan::read_folder(folder)?.map(|pipeline| self.own(pipeline)))
    }

    /// Makes a pipeline one of this root.
    pub(super) fn own(self: &Arc<Self>, mut pipeline: Pipeline) -> Pipeline {
        if let Some(print) = self.commit.as_ref().and_then(|commit| commit.prints.get(&pipeline.name)) {
            pipeline.fingerprint = *print;
        }
        pipeline.root = Some(self.clone());
        pipeline
    }
}
