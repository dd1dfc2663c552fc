//! What an environment is made from, and the keys under which results are found again.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

/// Most bytes of requirement files that are read.
const MAX_BYTES: u64 = 4 << 20;

/// The files and wishes that decide what is installed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Folder of the pipeline; requirement files may refer to others in it.
    pub folder: PathBuf,
    /// `requirements.txt` and every file it includes, by relative path. Empty: nothing is to be installed.
    pub files: BTreeMap<String, String>,
    /// A committed `requirements.txt.lock` that covers all that `requirements.txt` names.
    pub committed_lock: Option<String>,
    /// Version of Python that `pipeline.json` asks for; `None` is that of the image.
    pub python: Option<String>,
}

impl Inputs {
    /// Reads the inputs of the pipeline in `folder`. Blocking.
    ///
    /// # Errors
    /// When a requirement file exists and cannot be read as UTF-8, or is too large.
    pub fn read(folder: &Path, python: Option<String>) -> io::Result<Self> {
        let mut inputs = Self { folder: folder.to_owned(), python, ..Self::default() };
        if folder.join("requirements.txt").is_file() {
            inputs.include(Path::new("requirements.txt"))?;
            let lock = folder.join("requirements.txt.lock");
            if lock.is_file() {
                let lock = read_text(&lock)?;
                inputs.committed_lock = covers(&lock, inputs.files.values()).then_some(lock);
            }
        }
        Ok(inputs)
    }

    fn include(&mut self, relative: &Path) -> io::Result<()> {
        let name = relative.to_string_lossy().into_owned();
        if self.files.contains_key(&name) {
            return Ok(());
        }
        let text = read_text(&self.folder.join(relative))?;
        let included: Vec<_> = text.lines().filter_map(included_file).map(str::to_owned).collect();
        self.files.insert(name, text);
        for file in included {
            let path = relative.parent().unwrap_or(Path::new("")).join(file);
            // What lies elsewhere (an address, a file outside) is left to uv, which sees only this folder.
            let inside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            if inside && self.folder.join(&path).is_file() {
                self.include(&path)?;
            }
        }
        Ok(())
    }

    /// Whether nothing is to be installed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Key of the resolution: the same inputs on the same image have the same lock until somebody asks for a new one.
    #[must_use]
    pub fn key(&self, image_id: &str) -> String {
        let mut hash = Sha256::new();
        for (name, text) in &self.files {
            field(&mut hash, name);
            field(&mut hash, text);
        }
        field(&mut hash, self.committed_lock.as_deref().unwrap_or_default());
        field(&mut hash, self.python.as_deref().unwrap_or_default());
        field(&mut hash, image_id);
        hex::encode(&hash.finalize()[..16])
    }
}

/// Key of the environment: what is in it, not who asked for it, so equal ones are shared.
#[must_use]
pub fn environment_key(lock: &str, inputs: &Inputs, image_id: &str) -> String {
    let mut hash = Sha256::new();
    // Comments name the file that a requirement came from; they do not change what is installed.
    for line in lock.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        field(&mut hash, line);
    }
    field(&mut hash, inputs.python.as_deref().unwrap_or_default());
    field(&mut hash, std::env::consts::ARCH);
    field(&mut hash, image_id);
    hex::encode(&hash.finalize()[..16])
}

fn field(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text.as_bytes());
}

fn read_text(path: &Path) -> io::Result<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if fs::metadata(path)?.len() > MAX_BYTES {
        return Err(io::Error::other(format!("{name} is larger than {MAX_BYTES} bytes")));
    }
    String::from_utf8(fs::read(path)?).map_err(|_| io::Error::other(format!("{name} is not valid UTF-8")))
}

fn included_file(line: &str) -> Option<&str> {
    let line = line.trim();
    let rest = ["--requirement", "--constraint", "-r", "-c"].iter().find_map(|flag| line.strip_prefix(flag))?;
    let file = rest.trim_start_matches(['=', ' ', '\t']).split(" #").next()?.trim();
    (!file.is_empty()).then_some(file)
}

/// Name of the package that a requirement line asks for, normalised as in PEP 503.
fn package(line: &str) -> Option<String> {
    let line = line.split('#').next()?.trim();
    if line.is_empty() || line.starts_with('-') {
        return None;
    }
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))).unwrap_or(line.len());
    let name: Vec<_> = line[..end].split(['.', '-', '_']).filter(|part| !part.is_empty()).collect();
    (!name.is_empty()).then(|| name.join("-").to_ascii_lowercase())
}

/// A committed lock is fresh when it pins each package that the requirement files name.
fn covers<'a>(lock: &str, mut files: impl Iterator<Item = &'a String>) -> bool {
    let pinned: std::collections::HashSet<_> =
        lock.lines().filter(|line| line.contains("==")).filter_map(package).collect();
    files.all(|text| text.lines().filter_map(package).all(|name| pinned.contains(&name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(files: &[(&str, &str)]) -> Inputs {
        let folder = tempfile::tempdir().expect("temporary folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("file");
        }
        let mut inputs = Inputs::read(folder.path(), None).expect("readable");
        inputs.folder = PathBuf::new();
        inputs
    }

    #[test]
    fn the_key_follows_every_input() {
        let base = inputs(&[("requirements.txt", "requests\n-r more.txt"), ("more.txt", "rich")]);
        assert_eq!(base.files.len(), 2);
        let other_file = inputs(&[("requirements.txt", "requests\n-r more.txt"), ("more.txt", "rich==14")]);
        let other_python = Inputs { python: Some("3.12".into()), ..base.clone() };
        let keys = [base.key("i"), base.key("j"), other_file.key("i"), other_python.key("i")];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), 4);
        assert_eq!(base.key("i"), base.clone().key("i"));
    }

    #[test]
    fn equal_locks_share_an_environment_whatever_their_comments_say() {
        let inputs = Inputs::default();
        let a = environment_key("# from a\nrequests==2.0 \\\n    --hash=sha256:00\n", &inputs, "i");
        let b = environment_key("requests==2.0 \\\n    --hash=sha256:00\n    # via b\n", &inputs, "i");
        assert_eq!(a, b);
        assert_ne!(a, environment_key("requests==2.1", &inputs, "i"));
    }

    #[test]
    fn a_committed_lock_counts_only_when_it_covers_everything() {
        let fresh = inputs(&[
            ("requirements.txt", "Requests>=2  # http\nruamel.yaml"),
            ("requirements.txt.lock", "requests==2.0\nruamel-yaml==0.18\n"),
        ]);
        assert!(fresh.committed_lock.is_some());
        let stale = inputs(&[("requirements.txt", "requests\nrich"), ("requirements.txt.lock", "requests==2.0\n")]);
        assert_eq!(stale.committed_lock, None);
    }

    #[test]
    fn files_outside_of_the_folder_are_not_read() {
        let inputs = inputs(&[("requirements.txt", "-r ../../etc/passwd\n-r /etc/passwd\n-r missing.txt")]);
        assert_eq!(inputs.files.len(), 1);
    }
}
