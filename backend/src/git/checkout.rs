//! Writes one commit into a folder that is never changed afterwards. Runs in the helper process. The tree may have been made
//! by an enemy: nothing of it leads out of its pipeline's folder, and what is wrong with one pipeline harms no other.
//!
//! ```text
//! {commits}/{hash}[-{subdir's hash}]/manifest.json   the commit, and the hash of each entry below `tree`
//! {commits}/{hash}[-{subdir's hash}]/tree/…          the files
//! ```

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use git2::{ObjectType, Odb, Oid, Repository, Tree};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Head;
use super::fetch::short;
use super::job::{Fault, FaultKind, Job};
use crate::domain::repository::link_stays_inside;

/// Most entries of one pipeline that are written, its own folder included: one more than the catalog accepts, so that it tells
/// of it.
const MAX_ENTRIES: usize = 50_002;

/// Folders within folders.
const MAX_DEPTH: usize = 60;

/// Largest file.
const MAX_FILE: usize = 1 << 30;

/// Most bytes of a whole commit.
const MAX_BYTES: u64 = 8 << 30;

/// Lines of the log about things that were left out.
const MAX_NOTES: usize = 50;

/// Name under which a folder grows.
pub(super) const PARTIAL: &str = "partial-";

/// What is known of a commit's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The commit.
    pub head: Head,
    /// Git's hash of each entry of the folder, by name.
    pub trees: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads that of a commit's folder. Blocking.
    ///
    /// # Errors
    /// When it is not there or was not written by us.
    pub fn read(folder: &Path) -> io::Result<Self> {
        serde_json::from_slice(&fs::read(folder.join("manifest.json"))?).map_err(io::Error::other)
    }
}

/// Name of the folder of a commit, or of a folder in it.
#[must_use]
pub fn folder_name(commit: &str, subdir: &str) -> String {
    if subdir.is_empty() {
        return commit.to_owned();
    }
    format!("{commit}-{}", hex::encode(&Sha256::digest(subdir.as_bytes())[..6]))
}

/// Sees to it that the commit's folder is there, and returns its name.
pub(super) fn ensure(
    repository: &Repository,
    commit: Oid,
    head: &Head,
    job: &Job,
    log: &mut dyn FnMut(String),
) -> Result<String, Fault> {
    let name = folder_name(&head.commit, &job.subdir);
    let folder = job.commits.join(&name);
    if Manifest::read(&folder).is_ok() {
        return Ok(name);
    }
    fs::create_dir_all(&job.commits).map_err(|error| Fault::io("the folder of commits cannot be made", &error))?;
    // What a helper left that was killed; there is one at a time.
    for entry in fs::read_dir(&job.commits).into_iter().flatten().flatten() {
        if entry.file_name().as_bytes().starts_with(PARTIAL.as_bytes()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let partial = Partial(job.commits.join(format!("{PARTIAL}{}", uuid::Uuid::now_v7())));
    let git = |error: &git2::Error| {
        Fault::new(FaultKind::Other, format!("{} cannot be read: {}", short(commit), error.message()))
    };
    let mut tree = repository.find_commit(commit).and_then(|commit| commit.tree()).map_err(|error| git(&error))?;
    if !job.subdir.is_empty() {
        let found = tree
            .get_path(Path::new(&job.subdir))
            .and_then(|entry| entry.to_object(repository))
            .and_then(|o| o.peel_to_tree());
        tree = found.map_err(|_| {
            let message = format!("{} has no folder {:?} (PIPELINES_SUBDIR)", short(commit), job.subdir);
            Fault::new(FaultKind::Subdir, message)
        })?;
    }
    let odb = repository.odb().map_err(|error| git(&error))?;
    let mut writer = Writer { repository, odb, left: 0, bytes: 0, files: 0, notes: Vec::new() };
    let written = writer.whole(&tree, &partial.0.join("tree"));
    let (files, bytes) = (writer.files, writer.bytes);
    let notes = std::mem::take(&mut writer.notes);
    let more = notes.len().saturating_sub(MAX_NOTES);
    notes.into_iter().take(MAX_NOTES).for_each(&mut *log);
    if more > 0 {
        log(format!("and {more} more things were left out"));
    }
    let trees = written?;
    let seal = || -> io::Result<()> {
        let manifest = serde_json::to_vec(&Manifest { head: head.clone(), trees })?;
        let mut file = File::create(partial.0.join("manifest.json"))?;
        file.write_all(&manifest)?;
        // One flush of the file system instead of thousands of files one by one.
        flush(&file)?;
        // Half of an older attempt cannot be read, or we would not be here.
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(&partial.0, &folder)?;
        File::open(&job.commits)?.sync_all()
    };
    seal().map_err(|error| Fault::io("the commit's folder cannot be written", &error))?;
    log(format!("{} written out: {files} files, {bytes} bytes", short(commit)));
    Ok(name)
}

#[cfg(target_os = "linux")]
fn flush(file: &File) -> io::Result<()> {
    rustix::fs::syncfs(file).map_err(io::Error::from)
}

#[cfg(not(target_os = "linux"))]
fn flush(file: &File) -> io::Result<()> {
    file.sync_all()?;
    rustix::fs::sync();
    Ok(())
}

/// A folder that goes when it was not renamed.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Writer<'r> {
    repository: &'r Repository,
    odb: Odb<'r>,
    /// Entries that the present pipeline may still have.
    left: usize,
    bytes: u64,
    files: usize,
    notes: Vec<String>,
}

impl Writer<'_> {
    fn whole(&mut self, tree: &Tree<'_>, to: &Path) -> Result<BTreeMap<String, String>, Fault> {
        let io = |error: io::Error| Fault::io("the commit's files cannot be written", &error);
        fs::create_dir_all(to).map_err(io)?;
        let mut trees = BTreeMap::new();
        for entry in tree {
            self.left = MAX_ENTRIES;
            let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
            if self.entry(&entry, to, &name, 0)? {
                trees.insert(name, entry.id().to_string());
            }
        }
        Ok(trees)
    }

    /// Writes one entry; `depth` counts the folders between it and its top folder's parent. False when it was left out.
    fn entry(&mut self, entry: &git2::TreeEntry<'_>, into: &Path, shown: &str, depth: usize) -> Result<bool, Fault> {
        let name = entry.name_bytes();
        if let Some(why) = bad_name(name) {
            return Ok(self.leave_out(shown, why));
        }
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        let path = into.join(OsStr::from_bytes(name));
        let done = match (entry.kind(), entry.filemode()) {
            (Some(ObjectType::Tree), _) => return self.folder(entry, &path, shown, depth),
            (Some(ObjectType::Commit), _) => {
                self.notes.push(format!("{shown} is a submodule: it is left empty, submodules are not fetched"));
                fs::create_dir(&path)
            }
            (Some(ObjectType::Blob), mode) => {
                let Ok((size, ObjectType::Blob)) = self.odb.read_header(entry.id()) else {
                    return Ok(self.leave_out(shown, "its content is missing in the repository"));
                };
                self.bytes = self.bytes.saturating_add(size as u64);
                if self.bytes > MAX_BYTES {
                    return Err(Fault::new(
                        FaultKind::Other,
                        "the commit has more than 8 GB: keep data out of the repository",
                    ));
                }
                if size > MAX_FILE {
                    return Ok(self.leave_out(shown, "it is larger than 1 GB: keep data out of the repository"));
                }
                let Ok(blob) = self.repository.find_blob(entry.id()) else {
                    return Ok(self.leave_out(shown, "its content cannot be read"));
                };
                if mode & 0o170_000 == 0o120_000 {
                    // Links of the top folder itself belong to no pipeline: none of them is wanted.
                    if depth == 0 || !link_stays_inside(blob.content(), depth - 1) {
                        return Ok(self.leave_out(shown, "it is a link that leads out of its pipeline's folder"));
                    }
                    symlink(OsStr::from_bytes(blob.content()), &path)
                } else {
                    self.files += 1;
                    write(&path, blob.content(), mode & 0o111 != 0)
                }
            }
            _ => return Ok(self.leave_out(shown, "git does not know such a thing")),
        };
        self.settle(done, shown)
    }

    fn folder(&mut self, entry: &git2::TreeEntry<'_>, path: &Path, shown: &str, depth: usize) -> Result<bool, Fault> {
        if depth >= MAX_DEPTH {
            return Ok(self.leave_out(shown, "too many folders within folders"));
        }
        let Ok(tree) = self.repository.find_tree(entry.id()) else {
            return Ok(self.leave_out(shown, "its content is missing in the repository"));
        };
        if !self.settle(fs::create_dir(path), shown)? {
            return Ok(false);
        }
        // Files before folders: what says of a pipeline that it is one is there, however much lies beneath.
        let (folders, files): (Vec<_>, Vec<_>) = tree.iter().partition(|inner| inner.kind() == Some(ObjectType::Tree));
        for inner in files.iter().chain(&folders) {
            let name = format!("{shown}/{}", String::from_utf8_lossy(inner.name_bytes()));
            self.entry(inner, path, &name, depth + 1)?;
        }
        Ok(true)
    }

    fn leave_out(&mut self, shown: &str, why: &str) -> bool {
        self.notes.push(format!("{} is left out: {why}", shown.escape_debug()));
        false
    }

    /// What one entry does wrong (a name that the file system does not take, one that collides) is its own business; a full
    /// disk is everybody's.
    fn settle(&mut self, done: io::Result<()>, shown: &str) -> Result<bool, Fault> {
        let Err(error) = done else { return Ok(true) };
        match error.kind() {
            io::ErrorKind::AlreadyExists => {
                Ok(self.leave_out(shown, "another entry has the same name on this file system"))
            }
            io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput => {
                Ok(self.leave_out(shown, "this file system does not take its name"))
            }
            _ => Err(Fault::io("the commit's files cannot be written", &error)),
        }
    }
}

fn write(path: &Path, content: &[u8], executable: bool) -> io::Result<()> {
    let mode = if executable { 0o755 } else { 0o644 };
    // Never through a link and never over something: what is there is another entry of that name.
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(content)
}

fn bad_name(name: &[u8]) -> Option<&'static str> {
    let git = name.len() >= 4 && name[..4].eq_ignore_ascii_case(b".git");
    match name {
        b"" | b"." | b".." => Some("its name leads elsewhere"),
        _ if name.contains(&b'/') || name.contains(&0) => Some("its name leads elsewhere"),
        // `.gitignore` is a file like any other.
        _ if git && name[4..].iter().all(|byte| b" .".contains(byte)) => Some("its name is git's own"),
        _ if name.eq_ignore_ascii_case(b"git~1") => Some("its name is git's own"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for bad in ["", ".", "..", "a/b", "../x", ".git", ".GIT", ".git ", ".Git.", "git~1", "a\0b"] {
            assert!(bad_name(bad.as_bytes()).is_some(), "{bad:?}");
        }
        for good in [".gitignore", "git", "...", "a b", "ü", ".github"] {
            assert!(bad_name(good.as_bytes()).is_none(), "{good:?}");
        }
    }
}
