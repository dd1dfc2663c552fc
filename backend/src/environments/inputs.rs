//! What an environment is made from, and the keys under which results are found again.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use fastflow_shared::PipelineProblem;
use sha2::{Digest, Sha256};

use crate::domain::pipeline::{Dependencies, Settings};
use crate::domain::script::{project_python, script_metadata};

/// The file that names packages by default.
const REQUIREMENTS: &str = "requirements.txt";

/// Most bytes of requirement files that are read.
const MAX_BYTES: u64 = 4 << 20;

/// What names the packages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NamedBy {
    /// Nothing: there are none.
    #[default]
    Nobody,
    /// `requirements.txt` and what it includes.
    Requirements,
    /// The block of PEP 723 in `main.py`.
    Script,
    /// `pyproject.toml` and `uv.lock`.
    UvLock,
}

/// The files and wishes that decide what is installed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Folder of the pipeline; requirement files may refer to others in it.
    pub folder: PathBuf,
    /// What names the packages.
    pub named_by: NamedBy,
    /// The files that name them, by relative path; of a script, its requirements alone.
    pub files: BTreeMap<String, String>,
    /// A committed `requirements.txt.lock` that covers all that `requirements.txt` names.
    pub committed_lock: Option<String>,
    /// Version of Python that is asked for, like `3.12` or `>=3.11`; `None` is that of the image.
    pub python: Option<String>,
}

impl Inputs {
    /// Reads the inputs of the pipeline in `folder`. Blocking.
    ///
    /// # Errors
    /// When a file that names packages exists and cannot be read or understood, is too large, or is missing although
    /// `pipeline.json` names it.
    pub fn read(folder: &Path, settings: &Settings) -> io::Result<Self> {
        let mut inputs = Self { folder: folder.to_owned(), python: settings.python_version.clone(), ..Self::default() };
        let requirements = folder.join(REQUIREMENTS).is_file();
        match settings.dependencies {
            Some(Dependencies::UvLock) => inputs.read_project()?,
            Some(Dependencies::Script) => inputs.read_script()?,
            Some(Dependencies::Requirements) => inputs.read_requirements()?,
            None if requirements => inputs.read_requirements()?,
            None => inputs.read_script()?,
        }
        Ok(inputs)
    }

    fn read_requirements(&mut self) -> io::Result<()> {
        self.named_by = NamedBy::Requirements;
        self.include(Path::new(REQUIREMENTS))?;
        let lock = self.folder.join("requirements.txt.lock");
        if lock.is_file() {
            let lock = read_text(&lock)?;
            self.committed_lock = covers(&lock, self.files.values()).then_some(lock);
        }
        Ok(())
    }

    fn read_script(&mut self) -> io::Result<()> {
        let told = |problem: PipelineProblem| io::Error::other(in_words(&problem));
        let text = read_start(&self.folder.join("main.py"))?;
        let Some(metadata) = script_metadata("main.py", &text).map_err(told)? else { return Ok(()) };
        if self.python.is_none() {
            self.python = metadata.requires_python;
        }
        if !metadata.dependencies.is_empty() {
            self.named_by = NamedBy::Script;
            self.files.insert("main.py".to_owned(), metadata.dependencies.join("\n") + "\n");
        }
        Ok(())
    }

    fn read_project(&mut self) -> io::Result<()> {
        self.named_by = NamedBy::UvLock;
        for name in ["pyproject.toml", "uv.lock"] {
            let text = read_text(&self.folder.join(name))?;
            if name == "pyproject.toml" {
                let wanted = project_python(name, &text).map_err(|problem| io::Error::other(in_words(&problem)))?;
                self.python = self.python.take().or(wanted);
            }
            self.files.insert(name.to_owned(), text);
        }
        Ok(())
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
        field(&mut hash, &format!("{:?}", self.named_by));
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
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
    if fs::metadata(path).map_err(named)?.len() > MAX_BYTES {
        return Err(io::Error::other(format!("{name} is larger than {MAX_BYTES} bytes")));
    }
    String::from_utf8(fs::read(path)?).map_err(|_| io::Error::other(format!("{name} is not valid UTF-8")))
}

/// The beginning of a script, where its metadata stands. What is not UTF-8 there is Python's to judge.
fn read_start(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn in_words(problem: &PipelineProblem) -> String {
    let line = problem.line.map(|line| format!(", line {line}")).unwrap_or_default();
    format!("{}{line}: {}", problem.file, problem.message)
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
    let name: Vec<_> = line[..end_of_name(line)].split(['.', '-', '_']).filter(|part| !part.is_empty()).collect();
    (!name.is_empty()).then(|| name.join("-").to_ascii_lowercase())
}

fn end_of_name(line: &str) -> usize {
    line.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))).unwrap_or(line.len())
}

/// A committed lock is fresh when it pins each package that the requirement files name.
fn covers<'a>(lock: &str, mut files: impl Iterator<Item = &'a String>) -> bool {
    let pinned: std::collections::HashSet<_> =
        lock.lines().filter(|line| line.contains("==")).filter_map(package).collect();
    files.all(|text| text.lines().filter_map(package).all(|name| pinned.contains(&name)))
}

/// A package of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Name, as the lock writes it.
    pub name: String,
    /// Version; `None` when the lock names an address or a path.
    pub version: Option<String>,
}

/// The packages of a lock, in its order.
#[must_use]
pub fn pins(lock: &str) -> Vec<Pin> {
    let entries = lock.lines().filter(|line| !line.starts_with([' ', '\t', '#', '-']));
    let pin = |line: &str| {
        let line = line.split([';', '#']).next()?.trim().trim_end_matches('\\').trim();
        let name = line[..end_of_name(line)].to_owned();
        let version =
            line.split_once("==").map(|(_, version)| version.split_whitespace().next().unwrap_or("").to_owned());
        (!name.is_empty()).then_some(Pin { name, version })
    };
    entries.filter_map(pin).collect()
}

/// A wheel that was built from a source distribution of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wheel {
    /// Its file name, `{name}-{version}-….whl`.
    pub file: String,
    /// Hash of its content.
    pub sha256: String,
}

/// The lock with what was built in place of what it was built from. `folder` is where the wheels lie in the container.
#[must_use]
pub fn with_wheels(lock: &str, wheels: &[Wheel], folder: &str) -> String {
    let built: BTreeMap<String, &Wheel> =
        wheels.iter().filter_map(|wheel| Some((package(wheel.file.split('-').next()?)?, wheel))).collect();
    let mut text = String::with_capacity(lock.len());
    let mut replaced = false;
    for line in lock.lines() {
        // Hashes and comments of an entry stand further right.
        if !line.starts_with([' ', '\t']) {
            let wheel = package(line).and_then(|name| Some((built.get(&name)?, name)));
            replaced = wheel.is_some();
            if let Some((wheel, name)) = wheel {
                let marker = line.split_once(';').map(|(_, marker)| marker.trim_end_matches('\\').trim());
                let marker = marker.map(|marker| format!(" ; {marker}")).unwrap_or_default();
                let Wheel { file, sha256 } = wheel;
                text.push_str(&format!("{name} @ file://{folder}/{file}{marker} --hash=sha256:{sha256}\n"));
            }
        }
        if !replaced {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(files: &[(&str, &str)]) -> Inputs {
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::write(folder.path().join("main.py"), "").expect("file");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("file");
        }
        let mut inputs = Inputs::read(folder.path(), &Settings::default()).expect("readable");
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

    #[test]
    fn who_names_the_packages() {
        let script = "# /// script\n# dependencies = [\"rich\"]\n# requires-python = \">=3.9\"\n# ///\n";
        let alone = inputs(&[("main.py", script)]);
        assert_eq!((alone.named_by, alone.files["main.py"].as_str()), (NamedBy::Script, "rich\n"));
        assert_eq!(alone.python.as_deref(), Some(">=3.9"));
        let both = inputs(&[("main.py", script), ("requirements.txt", "requests")]);
        assert_eq!((both.named_by, both.python), (NamedBy::Requirements, None));
        assert_eq!(inputs(&[("main.py", "pass")]), Inputs::default());

        let folder = tempfile::tempdir().expect("temporary folder");
        let settings = |dependencies| Settings {
            dependencies: Some(dependencies),
            python_version: Some("3.12".to_owned()),
            ..Settings::default()
        };
        let read = |kind| Inputs::read(folder.path(), &settings(kind));
        fs::write(folder.path().join("main.py"), script).expect("file");
        assert_eq!(read(Dependencies::Script).expect("readable").python.as_deref(), Some("3.12"), "pipeline.json wins");
        let missing = read(Dependencies::UvLock).expect_err("no project").to_string();
        assert!(missing.starts_with("pyproject.toml: "), "{missing}");
        assert!(read(Dependencies::Requirements).is_err());
        fs::write(folder.path().join("pyproject.toml"), "[project]\nrequires-python = '>=3.10'\n").expect("file");
        fs::write(folder.path().join("uv.lock"), "version = 1\n").expect("file");
        let project = read(Dependencies::UvLock).expect("readable");
        assert_eq!((project.named_by, project.files.len()), (NamedBy::UvLock, 2));
        fs::write(folder.path().join("main.py"), "# /// script\n# dependencies = 3\n# ///\n").expect("file");
        let broken = read(Dependencies::Script).expect_err("broken").to_string();
        assert!(broken.starts_with("main.py, line 2: "), "{broken}");
    }

    const LOCK: &str = "# made by uv\n--index-url https://index\naa==1.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\n    \
                        # via x\nB_b.c==2 ; python_version < '4' \\\n    --hash=sha256:02\ndd @ https://host/dd.tar.gz\n";

    #[test]
    fn the_packages_of_a_lock() {
        let pin = |name: &str, version: Option<&str>| Pin { name: name.into(), version: version.map(str::to_owned) };
        assert_eq!(pins(LOCK), [pin("aa", Some("1.0")), pin("B_b.c", Some("2")), pin("dd", None)]);
        assert_eq!(pins(""), []);
    }

    #[test]
    fn what_was_built_takes_the_place_of_what_it_was_built_from() {
        let wheel = |file: &str| Wheel { file: file.into(), sha256: "ff".into() };
        let text = with_wheels(LOCK, &[wheel("b_b_c-2-py3-none-any.whl"), wheel("dd-1-py3-none-any.whl")], "/w");
        assert_eq!(
            text,
            "# made by uv\n--index-url https://index\naa==1.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\n    # via x\n\
             b-b-c @ file:///w/b_b_c-2-py3-none-any.whl ; python_version < '4' --hash=sha256:ff\n\
             dd @ file:///w/dd-1-py3-none-any.whl --hash=sha256:ff\n"
        );
        assert_eq!(with_wheels(LOCK, &[], "/w"), LOCK);
    }
}
