//! The files of a pipeline as they are in use, for somebody who wants to read them: bounded, text only, and nothing beside
//! the pipeline's folder.

use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// Most files of a list.
pub const MAX_FILES: usize = 500;
/// Most bytes of a file that are shown.
pub const MAX_BYTES: u64 = 256 * 1024;
/// Deepest folder that is looked into.
const MAX_DEPTH: usize = 12;
/// Folders that hold nothing that somebody wrote.
const NOT_SOURCE: [&str; 2] = ["__pycache__", "node_modules"];

/// A file of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path within the pipeline's folder, with `/`.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}

/// The files of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// By path.
    pub files: Vec<Entry>,
    /// Whether there are more.
    pub truncated: bool,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Its size.
    pub bytes: u64,
    /// Its text; `None` when it is no UTF-8 text.
    pub text: Option<String>,
    /// Whether the text goes on.
    pub truncated: bool,
}

/// Whether a name is shown. Hidden files are not: in a folder that no repository filters, they may hold secrets.
fn shown(name: &str) -> bool {
    !name.starts_with('.') && !NOT_SOURCE.contains(&name)
}

/// The files below `folder`. Links are not followed and not listed. Blocking.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(folder: &Path) -> io::Result<Listing> {
    let mut out = Listing::default();
    walk(folder, "", 0, &mut out)?;
    Ok(out)
}

fn walk(folder: &Path, above: &str, depth: usize, out: &mut Listing) -> io::Result<()> {
    let mut entries: Vec<(bool, String, PathBuf, u64)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        // A name that is no text cannot be asked for.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !shown(&name) || !(kind.is_dir() || kind.is_file()) {
            continue;
        }
        // One folder is bounded as well; a little more than the list, so that it is seen to be cut.
        if entries.len() > MAX_FILES {
            out.truncated = true;
            break;
        }
        let bytes = if kind.is_file() { entry.metadata().map_or(0, |meta| meta.len()) } else { 0 };
        entries.push((kind.is_dir(), name, entry.path(), bytes));
    }
    // Files before folders, each by name.
    entries.sort();
    for (is_folder, name, path, bytes) in entries {
        let shown = format!("{above}{name}");
        if out.files.len() >= MAX_FILES || (is_folder && depth >= MAX_DEPTH) {
            out.truncated = true;
        } else if is_folder {
            walk(&path, &format!("{shown}/"), depth + 1, out)?;
        } else {
            out.files.push(Entry { path: shown, bytes });
        }
    }
    Ok(())
}

/// The file at `path` within `folder`; `None` when there is none that may be shown. Blocking.
///
/// # Errors
/// When it cannot be read.
pub fn read(folder: &Path, path: &str) -> io::Result<Option<Content>> {
    let Some(file) = inside(folder, path)? else { return Ok(None) };
    let handle = fs::File::open(&file)?;
    let bytes = handle.metadata()?.len();
    let mut raw = Vec::new();
    handle.take(MAX_BYTES + 1).read_to_end(&mut raw)?;
    let truncated = raw.len() as u64 > MAX_BYTES;
    raw.truncate(usize::try_from(MAX_BYTES).unwrap_or(usize::MAX));
    Ok(Some(Content { bytes, text: text(raw, truncated), truncated }))
}

/// The place of a path, when each step of it is a plain folder or, at the end, a plain file.
fn inside(folder: &Path, path: &str) -> io::Result<Option<PathBuf>> {
    let mut place = folder.to_path_buf();
    let mut steps = Path::new(path).components().peekable();
    while let Some(step) = steps.next() {
        let Component::Normal(name) = step else { return Ok(None) };
        if !name.to_str().is_some_and(shown) {
            return Ok(None);
        }
        place.push(name);
        let kind = match fs::symlink_metadata(&place) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            other => other?.file_type(),
        };
        if !(if steps.peek().is_some() { kind.is_dir() } else { kind.is_file() }) {
            return Ok(None);
        }
    }
    Ok((place != folder).then_some(place))
}

fn text(raw: Vec<u8>, truncated: bool) -> Option<String> {
    if raw.contains(&0) {
        return None;
    }
    match String::from_utf8(raw) {
        Ok(text) => Some(text),
        // A cut may go through a character.
        Err(error) if truncated && error.utf8_error().error_len().is_none() => {
            let whole = error.utf8_error().valid_up_to();
            let mut raw = error.into_bytes();
            raw.truncate(whole);
            String::from_utf8(raw).ok()
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let outer = tempfile::tempdir().expect("temporary folder");
        let root = outer.path().join("p");
        fs::create_dir_all(root.join("lib/deep")).expect("folders");
        fs::create_dir_all(root.join("__pycache__")).expect("folders");
        fs::write(root.join("main.py"), "print('ü')").expect("file");
        fs::write(root.join("lib/deep/a.py"), "").expect("file");
        fs::write(root.join("__pycache__/a.pyc"), "").expect("file");
        fs::write(root.join(".env"), "SECRET=1").expect("file");
        fs::write(root.join("picture.png"), b"\x89PNG\0").expect("file");
        fs::write(outer.path().join("outside"), "no").expect("file");
        std::os::unix::fs::symlink(outer.path().join("outside"), root.join("link")).expect("link");
        std::os::unix::fs::symlink(outer.path(), root.join("up")).expect("link");
        outer
    }

    #[test]
    fn what_somebody_wrote_is_listed() {
        let outer = folder();
        let listing = list(&outer.path().join("p")).expect("readable");
        let paths: Vec<&str> = listing.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["main.py", "picture.png", "lib/deep/a.py"]);
        assert!(!listing.truncated);
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let folder = tempfile::tempdir().expect("temporary folder");
        for n in 0..=MAX_FILES + 5 {
            fs::write(folder.path().join(format!("{n}.py")), "").expect("file");
        }
        let listing = list(folder.path()).expect("readable");
        assert_eq!((listing.files.len(), listing.truncated), (MAX_FILES, true));
    }

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let outer = folder();
        let root = outer.path().join("p");
        let text = |path: &str| read(&root, path).expect("no fault").map(|content| content.text);
        assert_eq!(text("main.py"), Some(Some("print('ü')".to_owned())));
        assert_eq!(text("lib/deep/a.py"), Some(Some(String::new())));
        assert_eq!(text("picture.png"), Some(None));
        for bad in [
            "",
            ".",
            "..",
            "../outside",
            "lib/../../outside",
            "/etc/passwd",
            "link",
            "up/outside",
            "lib",
            "lib/none",
            "main.py/x",
            ".env",
            "__pycache__/a.pyc",
            "lib/../.env",
        ] {
            assert_eq!(text(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_long_file_is_cut_between_characters() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let long = format!("x{}", "ü".repeat(usize::try_from(MAX_BYTES).expect("small")));
        fs::write(folder.path().join("long.py"), &long).expect("file");
        let content = read(folder.path(), "long.py").expect("readable").expect("there");
        assert!(content.truncated);
        assert_eq!(content.bytes, long.len() as u64);
        let text = content.text.expect("text");
        assert!(text.len() as u64 <= MAX_BYTES && long.starts_with(&text));
    }
}
