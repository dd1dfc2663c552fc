//! What lies in the environments folder: locks, environments, and the file beside each that says it is whole.
//!
//! An environment counts only when `{key}.json` lies beside `{key}/`; that file is written last and moved into place, so
//! a build that was cut off anywhere leaves nothing that could be taken for an environment.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{EnvironmentError, Inputs, Options};

/// What is known of a sealed environment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    /// Key of the environment.
    pub key: String,
    /// The lock it was built from.
    pub lock: String,
    /// Version of uv that built it.
    pub uv_version: String,
    /// Version of its Python.
    pub python_version: String,
    /// Id of the image it was built in and works in.
    pub image: String,
    /// When it was built, in ms since the epoch.
    pub built_at: i64,
    /// Seconds that the build took.
    pub seconds: f64,
    /// Bytes of its files.
    pub size_bytes: u64,
    /// Number of its files.
    pub files: u64,
    /// `hardlink` when uv linked its files from the cache, `copy` when it had to copy, `none` when there are none.
    pub link_mode: String,
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> EnvironmentError {
    move |source| EnvironmentError::Io { what, source }
}

/// Folder of an environment on this machine.
pub fn folder(root: &Path, key: &str) -> PathBuf {
    root.join("environments").join(key)
}

fn seal_file(root: &Path, key: &str) -> PathBuf {
    root.join("environments").join(format!("{key}.json"))
}

fn lock_file(root: &Path, input_key: &str) -> PathBuf {
    root.join("locks").join(format!("{input_key}.txt"))
}

/// Makes the folders, owned by the user that preparation containers run as.
pub fn lay_out(options: &Options) -> Result<(), EnvironmentError> {
    let owner = parse_user(&options.user);
    for name in ["", "cache", "environments", "locks", "pythons", "work"] {
        let path = options.root.join(name);
        fs::create_dir_all(&path).map_err(failed("making its folders"))?;
        // The locks and seals are ours; the rest is written from inside containers.
        if let (Some((uid, gid)), true) = (owner, rustix::process::geteuid().is_root() && name != "locks") {
            std::os::unix::fs::chown(&path, Some(uid), Some(gid))
                .map_err(failed("giving it to the preparation user"))?;
        }
    }
    // A container that was started ahead sees all environments and may only enter the one whose key it is told.
    let all = options.root.join("environments");
    fs::set_permissions(&all, fs::Permissions::from_mode(0o711)).map_err(failed("closing the environments folder"))?;
    // What a build that was cut off left behind.
    clear(&options.root.join("work")).map_err(failed("clearing its work folder"))
}

/// User id that the environments belong to.
pub fn owner(root: &Path) -> Option<u32> {
    fs::metadata(root.join("environments")).ok().map(|meta| meta.uid())
}

fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        fs::remove_dir_all(entry?.path())?;
    }
    Ok(())
}

fn parse_user(user: &str) -> Option<(u32, u32)> {
    let (uid, gid) = user.split_once(':')?;
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

/// A folder for one build, deleted with the value.
pub struct WorkFolder(PathBuf);

impl WorkFolder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "a work folder stays behind until the next start: {error}");
        }
    }
}

/// Makes a folder for one build.
pub fn work_folder(options: &Options) -> Result<WorkFolder, EnvironmentError> {
    let path = options.root.join("work").join(uuid::Uuid::now_v7().to_string());
    fs::create_dir(&path).map_err(failed("making a work folder"))?;
    if let (Some((uid, gid)), true) = (parse_user(&options.user), rustix::process::geteuid().is_root()) {
        std::os::unix::fs::chown(&path, Some(uid), Some(gid)).map_err(failed("giving a work folder away"))?;
    }
    Ok(WorkFolder(path))
}

/// The lock for these inputs, if it is known already.
pub fn find_lock(root: &Path, inputs: &Inputs, image: &str) -> Result<Option<String>, EnvironmentError> {
    if inputs.is_empty() {
        return Ok(Some(String::new()));
    }
    if let Some(lock) = &inputs.committed_lock {
        return Ok(Some(lock.clone()));
    }
    read_if_there(&lock_file(root, &inputs.key(image)))
}

/// Remembers the lock for these inputs.
pub fn store_lock(root: &Path, input_key: &str, lock: &str) -> Result<(), EnvironmentError> {
    write_whole(&lock_file(root, input_key), lock.as_bytes()).map_err(failed("storing a lock"))
}

/// A sealed environment, checked: its seal is readable and its interpreter is in place.
pub fn find(root: &Path, key: &str) -> Result<Option<Sealed>, EnvironmentError> {
    let Some(text) = read_if_there(&seal_file(root, key))? else { return Ok(None) };
    let sealed: Sealed = match serde_json::from_str(&text) {
        Ok(sealed) => sealed,
        Err(error) => {
            tracing::warn!(environment = key, %error, "the seal of environment {key} is damaged: it is built anew");
            return Ok(None);
        }
    };
    // `bin/python` leads into the image, so the link itself is what must be there.
    if fs::symlink_metadata(folder(root, key).join("bin/python")).is_err() {
        tracing::warn!(environment = key, "environment {key} has lost its files: it is built anew");
        return Ok(None);
    }
    Ok(Some(sealed))
}

/// Removes what is there of an environment that is not sealed.
pub fn discard(root: &Path, key: &str) -> Result<(), EnvironmentError> {
    for removed in [fs::remove_file(seal_file(root, key)), fs::remove_dir_all(folder(root, key))] {
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("removing an unfinished environment")(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Seals an environment.
pub fn store(root: &Path, sealed: &Sealed) -> Result<(), EnvironmentError> {
    let text = serde_json::to_vec_pretty(sealed).map_err(|error| failed("sealing")(io::Error::other(error)))?;
    write_whole(&seal_file(root, &sealed.key), &text).map_err(failed("sealing an environment"))
}

impl Sealed {
    /// Size, number of files and link mode of the environment as it lies there.
    pub fn measure(root: &Path, key: &str) -> Result<Self, EnvironmentError> {
        let mut sealed = Self { key: key.to_owned(), ..Self::default() };
        let mut linked = 0_u64;
        let mut installed = 0_u64;
        let mut folders = vec![folder(root, key)];
        while let Some(folder) = folders.pop() {
            let in_packages = folder.components().any(|part| part.as_os_str() == "site-packages");
            for entry in fs::read_dir(&folder).map_err(failed("measuring an environment"))? {
                let entry = entry.map_err(failed("measuring an environment"))?;
                let meta = entry.metadata().map_err(failed("measuring an environment"))?;
                if meta.is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                sealed.files += 1;
                sealed.size_bytes += meta.len();
                // Bytecode is compiled in place and never linked, so only sources tell the mode.
                if in_packages && entry.path().extension().is_some_and(|e| e == "py") && meta.len() > 0 {
                    installed += 1;
                    linked += u64::from(meta.nlink() > 1);
                }
            }
        }
        // Virtual environments bring a few files of their own, which are copies.
        sealed.link_mode = match (installed, linked) {
            (0..=2, _) => "none",
            (_, 0) => "copy",
            _ => "hardlink",
        }
        .to_owned();
        Ok(sealed)
    }
}

fn read_if_there(path: &Path) -> Result<Option<String>, EnvironmentError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("reading it")(error)),
    }
}

/// Writes a file that is either there as a whole or not at all, also after a power cut.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let mut file = fs::File::create(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sealed_environment_with_its_interpreter_counts() {
        let root = tempfile::tempdir().expect("temporary folder");
        let root = root.path();
        let bin = folder(root, "k").join("bin");
        fs::create_dir_all(&bin).expect("folder");
        assert_eq!(find(root, "k").expect("readable"), None, "not sealed");

        let sealed = Sealed { key: "k".into(), uv_version: "1".into(), ..Sealed::default() };
        store(root, &sealed).expect("sealed");
        assert_eq!(find(root, "k").expect("readable"), None, "no interpreter");

        std::os::unix::fs::symlink("/usr/bin/python3", bin.join("python")).expect("link");
        assert_eq!(find(root, "k").expect("readable"), Some(sealed));

        fs::write(seal_file(root, "k"), "{").expect("damaged");
        assert_eq!(find(root, "k").expect("readable"), None, "damaged seal");
        discard(root, "k").expect("removed");
        assert!(!folder(root, "k").exists());
        discard(root, "k").expect("removing nothing is fine");
    }
}
