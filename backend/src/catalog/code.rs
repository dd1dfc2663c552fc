//! Keeps the code that runs were started with: one unchangeable copy of a pipeline's folder per state of it, so that a run
//! which waits, is recovered or is repeated works with what it was started with, whatever happened to the folder since.
//!
//! `{code}/{fingerprint}/{pipeline}`; the folder's name stays the pipeline's, for `{pipeline}.json` depends on it.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Pipeline, scan};

/// How often a folder that changes while it is copied is copied again.
const TRIES: u32 = 5;

/// Name under which a copy grows; never taken for a copy.
const PARTIAL: &str = "partial-";

/// Where the copy of this state of `pipeline` lies, or would lie.
pub fn path(root: &Path, pipeline: &Pipeline) -> PathBuf {
    root.join(format!("{:016x}", pipeline.fingerprint)).join(&pipeline.name)
}

/// The copy of `pipeline`'s folder, made now if it is not there. Blocking.
///
/// # Errors
/// When the folder cannot be read, the copy cannot be written, or the folder never stands still.
pub fn keep(root: &Path, pipeline: &Pipeline) -> io::Result<PathBuf> {
    let mut print = pipeline.fingerprint;
    for _ in 0..TRIES {
        let state = root.join(format!("{print:016x}"));
        let copy = state.join(&pipeline.name);
        if copy.is_dir() {
            touch(&state)?;
            return Ok(copy);
        }
        let partial = root.join(format!("{PARTIAL}{}", uuid::Uuid::now_v7()));
        fs::create_dir_all(&partial)?;
        fs::set_permissions(root, Permissions::from_mode(0o700))?;
        copy_folder(&pipeline.folder, &partial.join("code"))?;
        // A commit's folder stands still.
        let committed = pipeline.root.as_ref().is_some_and(|root| root.head().is_some());
        let after = if committed { print } else { scan::fingerprint_of(&pipeline.folder)? };
        if after == print {
            fs::create_dir_all(&state)?;
            // Somebody else may have been quicker; theirs is as good.
            if let Err(error) = fs::rename(partial.join("code"), &copy)
                && !copy.is_dir()
            {
                return Err(error);
            }
        }
        fs::remove_dir_all(&partial)?;
        print = after;
    }
    Err(io::Error::other("the folder changes faster than it can be copied"))
}

/// Notes that a copy was used just now, unless that was noted within a minute: those that go were not used for long.
fn touch(state: &Path) -> io::Result<()> {
    let file = state.join(".used");
    let noted = fs::metadata(&file).and_then(|meta| meta.modified()).ok();
    let is_recent = |at| SystemTime::now().duration_since(at).is_ok_and(|age| age < Duration::from_secs(60));
    if noted.is_some_and(is_recent) { Ok(()) } else { fs::write(file, b"") }
}

/// Removes copies that nobody has used for `age`, but none of `in_use`. Returns how many. Blocking.
///
/// # Errors
/// When the folder cannot be read or something in it cannot be removed.
pub fn prune(root: &Path, in_use: &HashSet<PathBuf>, age: Duration) -> io::Result<usize> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        other => other?,
    };
    let mut removed = 0;
    for entry in entries {
        let state = entry?.path();
        let used = fs::metadata(state.join(".used")).or_else(|_| fs::metadata(&state))?.modified()?;
        let old = SystemTime::now().duration_since(used).is_ok_and(|unused| unused > age);
        if old && !in_use.iter().any(|copy| copy.starts_with(&state)) {
            fs::remove_dir_all(&state)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Copies files, folders and links as they are. A link is never followed: inside the container it can only lead to what the
/// container sees. Sockets, pipes and devices are left out, and so is `.git`.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    copy_into(from, to)
}

/// The same, into an empty folder that is there already.
pub fn copy_into(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name());
        let target = to.join(&name);
        if kind.is_dir() {
            if name != ".git" {
                copy_folder(&entry.path(), &target)?;
            }
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
            let executable = fs::metadata(&target)?.permissions().mode() & 0o111 != 0;
            fs::set_permissions(&target, Permissions::from_mode(if executable { 0o777 } else { 0o666 }))?;
        }
    }
    fs::set_permissions(to, Permissions::from_mode(0o777))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_the_folder_is_copied_once_and_kept_as_it_was() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (source, root) = (folder.path().join("p"), folder.path().join("code"));
        fs::create_dir(&source).expect("folder");
        fs::write(source.join("main.py"), "one").expect("file");
        let read = || scan::read_folder(&source).expect("readable").expect("a pipeline");

        let first = keep(&root, &read()).expect("copied");
        assert_eq!(first, keep(&root, &read()).expect("there"));
        fs::write(source.join("main.py"), "three").expect("file");
        let second = keep(&root, &read()).expect("copied");
        assert_ne!(first, second);
        assert_eq!(fs::read(first.join("main.py")).expect("kept"), b"one");
        assert_eq!(second.file_name(), source.file_name());

        // A stale view of the folder leads to a copy of what is there now.
        let stale = read();
        fs::write(source.join("more.py"), "").expect("file");
        assert!(keep(&root, &stale).expect("copied").join("main.py").exists());
    }

    #[test]
    fn only_what_is_old_and_unused_is_pruned() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (source, root) = (folder.path().join("p"), folder.path().join("code"));
        fs::create_dir(&source).expect("folder");
        fs::write(source.join("main.py"), "").expect("file");
        let copy = keep(&root, &scan::read_folder(&source).expect("readable").expect("a pipeline")).expect("copied");
        let (nobody, somebody) = (HashSet::new(), HashSet::from([copy.clone()]));
        assert_eq!(prune(&root, &nobody, Duration::from_secs(3600)).expect("pruned"), 0);
        assert_eq!(prune(&root, &somebody, Duration::ZERO).expect("pruned"), 0);
        assert_eq!(prune(&root, &nobody, Duration::ZERO).expect("pruned"), 1);
        assert!(!copy.exists());
        assert_eq!(prune(&folder.path().join("none"), &nobody, Duration::ZERO).expect("nothing there"), 0);
    }
}
