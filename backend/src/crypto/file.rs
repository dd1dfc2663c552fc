//! Small files that are made once and then kept: the encryption key, the name of this instance.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

/// Only the owner reads and writes.
const PRIVATE: u32 = 0o600;

/// Longest file that is read; ours are far shorter, and a wrong path may name anything.
const MAX_BYTES: u64 = 64 * 1024;

/// A kept file that cannot be read or made.
#[derive(Debug, Error)]
#[error("cannot {action} {path}")]
pub struct FileError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Reads the file at `path`, or makes it with what `content` returns. Says whether it was made just now.
///
/// It is made whole or not at all: written under another name, flushed to the disk, then linked to its place, which
/// fails when somebody else was first; then theirs is read. Its folder is made as well.
///
/// # Errors
/// [`FileError`] names the file and what could not be done.
pub fn read_or_create(
    path: &Path,
    content: impl FnOnce() -> Zeroizing<String>,
) -> Result<(Zeroizing<String>, bool), FileError> {
    if let Some(present) = read(path)? {
        return Ok((present, false));
    }
    let failed = |action| move |source| FileError { action, path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed("make the folder of"))?;
    let draft = folder.join(format!(".{}.new", super::short_id()));
    let text = content();
    let made = write_draft(&draft, &text).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        other => other.map(|()| true),
    });
    let removed = fs::remove_file(&draft);
    let made = made.map_err(failed("write"))?;
    removed.map_err(failed("remove the draft of"))?;
    if !made {
        return match read(path)? {
            Some(theirs) => Ok((theirs, false)),
            None => Err(failed("read")(io::ErrorKind::NotFound.into())),
        };
    }
    // Without this the name may be gone after a power cut, although the content was flushed.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("flush the folder of"))?;
    Ok((text, true))
}

/// Takes group's and others' rights to `path` away. Says whether they had any.
///
/// # Errors
/// [`FileError`] when they have and it cannot be changed.
pub(super) fn make_private(path: &Path) -> Result<bool, FileError> {
    let failed = |action| move |source| FileError { action, path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(failed("look at"))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(false);
    }
    fs::set_permissions(path, Permissions::from_mode(PRIVATE)).map_err(failed("restrict the permissions of"))?;
    Ok(true)
}

/// The file's text, or `None` when there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<String>>, FileError> {
    let failed = |source| FileError { action: "read", path: path.to_owned(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(facts) if facts.len() > MAX_BYTES => return Err(failed(io::ErrorKind::FileTooLarge.into())),
        Ok(_) => {}
    }
    fs::read_to_string(path).map(|text| Some(Zeroizing::new(text))).map_err(failed)
}

fn write_draft(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn text(content: &str) -> Zeroizing<String> {
        Zeroizing::new(content.to_owned())
    }

    #[test]
    fn made_once_private_and_then_kept() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("deep/er/name");
        assert_eq!(read_or_create(&path, || text("first\n")).expect("made"), (text("first\n"), true));
        assert_eq!(read_or_create(&path, || unreachable!()).expect("read"), (text("first\n"), false));
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().expect("folder")).expect("list").count(), 1, "no draft is left");
    }

    #[test]
    fn of_many_makers_one_wins_and_all_agree() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("name");
        let start = Barrier::new(16);
        let answers: Vec<_> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..16)
                .map(|n| {
                    let (path, start) = (&path, &start);
                    scope.spawn(move || {
                        start.wait();
                        read_or_create(path, || text(&n.to_string())).expect("works")
                    })
                })
                .collect();
            makers.into_iter().map(|maker| maker.join().expect("thread")).collect()
        });
        assert_eq!(answers.iter().filter(|(_, made)| *made).count(), 1);
        assert!(answers.iter().all(|(content, _)| content == &answers[0].0));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().expect("folder");
        let error = read_or_create(folder.path(), || unreachable!()).expect_err("a folder");
        assert!(error.to_string().contains(&*folder.path().to_string_lossy()), "{error}");
        let path = folder.path().join("binary");
        fs::write(&path, [0xff, 0xfe]).expect("write");
        assert!(read_or_create(&path, || unreachable!()).is_err());
    }
}
