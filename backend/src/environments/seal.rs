//! What lies in the environments folder: locks, environments, and the file beside each that says it is whole.
//!
//! An environment counts only when `{key}.json` lies beside `{key}/`; that file is written last and moved into place, so
//! a build that was cut off anywhere leaves nothing that could be taken for an environment.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::inputs::Wheel;
use super::{EnvironmentError, Inputs, Options};
use crate::cluster::{FileLock, Mode};

/// Most wheels that one build may bring.
const MAX_WHEELS: usize = 2_000;

/// Most bytes of one such wheel.
const MAX_WHEEL_BYTES: u64 = 4 << 30;

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
    /// Files of the wheels that were built from source distributions for this lock.
    #[serde(default)]
    pub built: Vec<String>,
    /// What was installed, as `{name}-{version}`.
    #[serde(default)]
    pub installed: Vec<String>,
    /// Hash of the names, sizes and times of all its files: what it must look like before it is used.
    #[serde(default)]
    pub picture: String,
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
    for name in ["", "built", "cache", "discarded", "environments", "locks", "pythons", "work"] {
        let path = options.root.join(name);
        fs::create_dir_all(&path).map_err(failed("making its folders"))?;
        // These are ours; the rest is written from inside containers.
        let ours = matches!(name, "built" | "discarded" | "locks");
        if let (Some((uid, gid)), true) = (owner, rustix::process::geteuid().is_root() && !ours) {
            std::os::unix::fs::chown(&path, Some(uid), Some(gid))
                .map_err(failed("giving it to the preparation user"))?;
        }
    }
    // A container that was started ahead sees all environments and may only enter the one whose key it is told.
    let all = options.root.join("environments");
    fs::set_permissions(&all, fs::Permissions::from_mode(0o711)).map_err(failed("closing the environments folder"))?;
    // What a build that was cut off left behind, unless another server builds just now.
    let path = options.root.join("locks").join(TIDY);
    match FileLock::try_take(&path, Mode::Alone).map_err(failed("locking its work folder"))? {
        Some(_nobody_builds) => clear_work(&options.root).map_err(failed("clearing its work folder")),
        None => Ok(()),
    }
}

/// The lock that builds share and whoever deletes has alone, among all servers.
pub const TIDY: &str = "tidy.lock";

/// Takes a lock among all servers that use these environments.
pub async fn lock(root: &Path, name: &str, mode: Mode, patience: Duration) -> Result<FileLock, EnvironmentError> {
    let what = "waiting for another server that works on it";
    let lock = FileLock::take(&root.join("locks").join(name), mode, patience).await.map_err(failed(what))?;
    lock.ok_or_else(|| failed(what)(io::ErrorKind::TimedOut.into()))
}

/// User id that the environments belong to.
pub fn owner(root: &Path) -> Option<u32> {
    fs::metadata(root.join("environments")).ok().map(|meta| meta.uid())
}

/// The container of a build that was cut off may still be writing, for as long as nobody has removed it; then its folder cannot be
/// deleted yet. Out of the way it is all the same, and the chore that keeps the budget deletes it.
fn clear_work(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root.join("work"))? {
        let away = root.join("discarded").join(uuid::Uuid::now_v7().to_string());
        fs::rename(entry?.path(), &away)?;
        if let Err(error) = remove_tree(&away) {
            tracing::warn!(%error, "what a build left behind is deleted later: {error}");
        }
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
        if let Err(error) = remove_tree(&self.0) {
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

/// What is known of an environment that was sealed, without a look at its files.
pub fn known(root: &Path, key: &str) -> Result<Option<Sealed>, EnvironmentError> {
    let Some(text) = read_if_there(&seal_file(root, key))? else { return Ok(None) };
    match serde_json::from_str(&text) {
        Ok(sealed) => Ok(Some(sealed)),
        Err(error) => {
            tracing::warn!(environment = key, %error, "the seal of environment {key} is damaged: it is built anew");
            Ok(None)
        }
    }
}

/// A sealed environment whose files look as they did when it was sealed.
pub fn find(root: &Path, key: &str) -> Result<Option<Sealed>, EnvironmentError> {
    let Some(sealed) = known(root, key)? else { return Ok(None) };
    match picture(&folder(root, key)) {
        Ok(picture) if picture == sealed.picture => Ok(Some(sealed)),
        Ok(_) => {
            tracing::warn!(environment = key, "environment {key} was changed or is damaged: it is built anew");
            Ok(None)
        }
        Err(error) => {
            tracing::warn!(environment = key, %error, "environment {key} cannot be read, so it is built anew: {error}");
            Ok(None)
        }
    }
}

/// Forgets that an environment is whole.
pub fn forget(root: &Path, key: &str) -> Result<(), EnvironmentError> {
    remove_tree(&seal_file(root, key))
        .and_then(|()| remove_tree(&root.join("built").join(key)))
        .map_err(failed("unsealing"))
}

/// Puts away what is there of an environment that is not whole. Its files stay for runs that still have them mounted; the
/// chore that keeps the budget deletes them.
pub fn discard(root: &Path, key: &str) -> Result<(), EnvironmentError> {
    let away = root.join("discarded").join(format!("{key}-{}", uuid::Uuid::now_v7()));
    for done in [fs::remove_file(seal_file(root, key)), fs::rename(folder(root, key), away)] {
        match done {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("putting an unfinished environment away")(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes a file or a folder, also one whose folders were sealed.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    // Root needs no permission.
    if !rustix::process::geteuid().is_root() {
        open_up(path)?;
    }
    fs::remove_dir_all(path)
}

fn open_up(folder: &Path) -> io::Result<()> {
    let mode = fs::symlink_metadata(folder)?.permissions().mode();
    fs::set_permissions(folder, fs::Permissions::from_mode(mode | 0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

/// Takes everybody's right to write from an environment's files and folders. Files that are links into the cache share that
/// with it: what lies in the cache is not to be changed either.
pub fn protect(root: &Path, key: &str) -> Result<(), EnvironmentError> {
    fn walk(folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                walk(&entry.path())?;
            } else if kind.is_file() {
                shut(&entry.path())?;
            }
        }
        shut(folder)
    }
    fn shut(path: &Path) -> io::Result<()> {
        let mode = fs::symlink_metadata(path)?.permissions().mode();
        fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o555))
    }
    walk(&folder(root, key)).map_err(failed("sealing an environment"))
}

/// A hash of all that is below `folder`: names, kinds, sizes, times of change, and where links lead. Not of the contents,
/// which would take a second for each of a large environment's starts.
fn picture(folder: &Path) -> io::Result<String> {
    fn walk(folder: &Path, hash: &mut Sha256) -> io::Result<()> {
        let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let meta = entry.metadata()?;
            hash.update(entry.file_name().as_encoded_bytes());
            hash.update([0]);
            if meta.is_dir() {
                walk(&entry.path(), hash)?;
                hash.update([1]);
            } else if meta.is_symlink() {
                hash.update(fs::read_link(entry.path())?.as_os_str().as_encoded_bytes());
                hash.update([2]);
            } else {
                for number in [i128::from(meta.size()), meta.mtime().into(), meta.mtime_nsec().into()] {
                    hash.update(number.to_le_bytes());
                }
            }
        }
        Ok(())
    }
    let mut hash = Sha256::new();
    walk(folder, &mut hash)?;
    Ok(hex::encode(&hash.finalize()[..16]))
}

/// Reads a text from a folder in which foreign code has run: a link is not followed, and only a file counts.
pub fn read_foreign(path: &Path, limit: u64) -> io::Result<String> {
    let mut text = String::new();
    open_foreign(path)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

fn open_foreign(path: &Path) -> io::Result<fs::File> {
    use rustix::fs::{Mode, OFlags};
    // Without NONBLOCK a pipe would keep us waiting for ever.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

/// The wheels that uv built in this cache.
pub fn built_wheels(cache: &Path) -> io::Result<Vec<PathBuf>> {
    fn walk(folder: &Path, depth: u32, found: &mut Vec<PathBuf>) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, entry.path());
            // `src` is the unpacked source, where a wheel would be the author's.
            if kind.is_dir() && depth > 0 && entry.file_name() != "src" {
                walk(&path, depth - 1, found)?;
            } else if kind.is_file() && path.extension().is_some_and(|end| end == "whl") && found.len() < MAX_WHEELS {
                found.push(path);
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name().as_encoded_bytes().starts_with(b"sdists-") {
            walk(&entry.path(), 8, &mut found)?;
        }
    }
    found.sort();
    Ok(found)
}

/// Keeps wheels for the environment `key`, where nobody but us writes.
pub fn keep_wheels(root: &Path, key: &str, wheels: &[PathBuf]) -> io::Result<Vec<Wheel>> {
    let (folder, partial) = (root.join("built").join(key), root.join("built").join(format!("{key}.partial")));
    remove_tree(&partial)?;
    fs::create_dir(&partial)?;
    for wheel in wheels {
        let Some(name) = wheel.file_name() else { continue };
        let to = partial.join(name);
        io::copy(&mut open_foreign(wheel)?.take(MAX_WHEEL_BYTES), &mut fs::File::create(&to)?)?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o444))?;
    }
    remove_tree(&folder)?;
    fs::rename(&partial, &folder)?;
    kept_wheels(root, key)
}

/// The wheels that are kept for the environment `key`.
pub fn kept_wheels(root: &Path, key: &str) -> io::Result<Vec<Wheel>> {
    let folder = match fs::read_dir(root.join("built").join(key)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut wheels = Vec::new();
    for entry in folder {
        let entry = entry?;
        let mut hash = Sha256::new();
        io::copy(&mut fs::File::open(entry.path())?, &mut hash)?;
        let file = entry.file_name().to_string_lossy().into_owned();
        wheels.push(Wheel { file, sha256: hex::encode(hash.finalize()) });
    }
    wheels.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(wheels)
}

/// Whether files can be linked from the cache into environments, or must be copied.
pub fn link_mode(root: &Path) -> &'static str {
    let probe = uuid::Uuid::now_v7().to_string();
    let (from, to) = (root.join("cache").join(&probe), root.join("environments").join(format!(".{probe}")));
    let linked = fs::write(&from, b"").and_then(|()| fs::hard_link(&from, &to)).is_ok();
    let _ = (fs::remove_file(from), fs::remove_file(to));
    if linked { "hardlink" } else { "copy" }
}

/// Seals an environment.
pub fn store(root: &Path, sealed: &Sealed) -> Result<(), EnvironmentError> {
    let text = serde_json::to_vec_pretty(sealed).map_err(|error| failed("sealing")(io::Error::other(error)))?;
    write_whole(&seal_file(root, &sealed.key), &text).map_err(failed("sealing an environment"))
}

impl Sealed {
    /// Size, number of files and link mode of the environment as it lies there.
    pub fn measure(root: &Path, key: &str) -> Result<Self, EnvironmentError> {
        let picture = picture(&folder(root, key)).map_err(failed("measuring an environment"))?;
        let mut sealed = Self { key: key.to_owned(), picture, ..Self::default() };
        let mut linked = 0_u64;
        let mut installed = 0_u64;
        let mut folders = vec![folder(root, key)];
        while let Some(folder) = folders.pop() {
            let in_packages = folder.components().any(|part| part.as_os_str() == "site-packages");
            for entry in fs::read_dir(&folder).map_err(failed("measuring an environment"))? {
                let entry = entry.map_err(failed("measuring an environment"))?;
                let meta = entry.metadata().map_err(failed("measuring an environment"))?;
                if meta.is_dir() {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    sealed.installed.extend(name.strip_suffix(".dist-info").map(str::to_owned));
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
        sealed.installed.sort();
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

    /// A sealed environment.
    fn sealed(root: &Path, key: &str) -> Sealed {
        let bin = folder(root, key).join("bin");
        fs::create_dir_all(&bin).expect("folder");
        fs::create_dir_all(root.join("discarded")).expect("folder");
        std::os::unix::fs::symlink("/usr/bin/python3", bin.join("python")).expect("link");
        fs::write(bin.join("tool"), "#!").expect("file");
        protect(root, key).expect("protected");
        let sealed = Sealed { uv_version: "1".into(), ..Sealed::measure(root, key).expect("measured") };
        store(root, &sealed).expect("sealed");
        sealed
    }

    #[test]
    fn only_a_sealed_environment_counts() {
        let root = tempfile::tempdir().expect("temporary folder");
        let root = root.path();
        let sealed = sealed(root, "k");
        assert_eq!(find(root, "k").expect("readable"), Some(sealed.clone()));
        let mode = |name: &str| fs::metadata(folder(root, "k").join(name)).expect("there").permissions().mode();
        assert_eq!((mode("bin") & 0o222, mode("bin/tool") & 0o222), (0, 0), "nobody may write");

        fs::write(seal_file(root, "k"), "{").expect("damaged");
        assert_eq!(find(root, "k").expect("readable"), None, "damaged seal");
        store(root, &sealed).expect("sealed");
        discard(root, "k").expect("put away");
        assert!(!folder(root, "k").exists() && find(root, "k").expect("readable").is_none());
        discard(root, "k").expect("nothing is fine");
        let away: Vec<_> = fs::read_dir(root.join("discarded")).expect("there").flatten().collect();
        assert_eq!(away.len(), 1);
        remove_tree(&away[0].path()).expect("deleted although it was sealed");
    }

    #[test]
    fn what_a_build_left_is_out_of_the_way_though_somebody_still_writes_into_it() {
        let root = tempfile::tempdir().expect("temporary folder");
        let work = root.path().join("work");
        fs::create_dir_all(root.path().join("discarded")).expect("folder");
        for round in 0..20 {
            let folder = work.join(round.to_string());
            fs::create_dir_all(&folder).expect("folder");
            // By its handle, as a container has it by its mount: wherever it is moved to.
            let handle = fs::File::open(&folder).expect("a folder");
            let by_handle = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&handle));
            let stop = std::sync::atomic::AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut number = 0;
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        number += 1;
                        let _ = fs::write(format!("{by_handle}/{number}"), "");
                    }
                });
                let cleared = clear_work(root.path());
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
                cleared.expect("out of the way");
            });
            assert_eq!(fs::read_dir(&work).expect("there").count(), 0);
        }
    }

    #[test]
    fn an_environment_that_is_damaged_in_any_way_does_not_count() {
        let damages: [fn(&Path); 5] = [
            |folder| fs::remove_file(folder.join("bin/python")).expect("removed"),
            |folder| fs::write(folder.join("bin/more"), "").expect("written"),
            |folder| fs::write(folder.join("bin/tool"), "#!x").expect("written"),
            |folder| {
                let tool = folder.join("bin/tool");
                fs::remove_file(&tool).expect("removed");
                fs::write(tool, "#?").expect("as long, and later");
            },
            |folder| remove_tree(folder).expect("removed"),
        ];
        for (number, damage) in damages.into_iter().enumerate() {
            let root = tempfile::tempdir().expect("temporary folder");
            sealed(root.path(), "k");
            let folder = folder(root.path(), "k");
            open_up(&folder).expect("opened");
            fs::set_permissions(folder.join("bin/tool"), fs::Permissions::from_mode(0o644)).expect("opened");
            assert!(find(root.path(), "k").expect("readable").is_some(), "modes alone are no damage");
            damage(&folder);
            assert_eq!(find(root.path(), "k").expect("readable"), None, "damage {number}");
        }
    }

    #[test]
    fn of_a_build_only_wheels_are_taken_and_no_link_is_followed() {
        let root = tempfile::tempdir().expect("temporary folder");
        let (root, cache) = (root.path(), root.path().join("work/cache"));
        let built = cache.join("sdists-v9/pypi/a/1/x");
        fs::create_dir_all(built.join("src")).expect("folders");
        fs::create_dir_all(cache.join("archive-v0")).expect("folders");
        fs::create_dir(root.join("built")).expect("folder");
        fs::write(built.join("a-1-py3-none-any.whl"), "abc").expect("file");
        fs::write(built.join("src/b-1-py3-none-any.whl"), "the author's").expect("file");
        fs::write(cache.join("archive-v0/c-1-py3-none-any.whl"), "not built").expect("file");
        std::os::unix::fs::symlink("/etc/passwd", built.join("d-1-py3-none-any.whl")).expect("link");
        std::os::unix::fs::symlink("/etc", cache.join("sdists-v9/etc")).expect("link");
        let wheels = built_wheels(&cache).expect("readable");
        assert_eq!(wheels, [built.join("a-1-py3-none-any.whl")]);
        let kept = keep_wheels(root, "k", &wheels).expect("kept");
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        assert_eq!(kept, [Wheel { file: "a-1-py3-none-any.whl".into(), sha256 }]);
        assert_eq!(kept_wheels(root, "k").expect("readable"), kept);
        assert_eq!(kept_wheels(root, "other").expect("none"), []);
        assert!(read_foreign(&built.join("d-1-py3-none-any.whl"), 9).is_err(), "a link");
        assert!(read_foreign(&built, 9).is_err(), "a folder");
    }

    #[test]
    fn links_are_possible_within_one_file_system() {
        let root = tempfile::tempdir().expect("temporary folder");
        for name in ["cache", "environments"] {
            fs::create_dir(root.path().join(name)).expect("folder");
        }
        assert_eq!(link_mode(root.path()), "hardlink");
        assert_eq!(fs::read_dir(root.path().join("cache")).expect("there").count(), 0, "it leaves nothing");
        assert_eq!(link_mode(&root.path().join("nowhere")), "copy");
    }
}
