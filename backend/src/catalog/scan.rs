//! Reads folders of pipelines. Blocking; knows nothing of databases.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsStr;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use fastflow_shared::PipelineProblem;

use super::{Pipeline, Root};
use crate::domain::pipeline::{Dependencies, Settings, check_name, parse_settings};
use crate::domain::script::{project_python, script_metadata};

/// Most bytes that a `pipeline.json` may have; a larger one is a mistake, not a setting.
const MAX_SETTINGS_BYTES: u64 = 1 << 20;

/// Most bytes of a script or a project that are looked through for what names its packages.
const MAX_METADATA_BYTES: u64 = 4 << 20;

/// Most files and folders of a pipeline: beyond them a change could go unnoticed, and each run copies them all.
const MAX_FILES: usize = 50_000;

/// Reads every pipeline below `root`, sorted by name.
///
/// # Errors
/// When `root` itself cannot be read. A folder below it that cannot be read becomes a pipeline with a problem.
pub fn read_root(root: &Arc<Root>) -> io::Result<Vec<Pipeline>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(&root.folder)? {
        let entry = entry?;
        // A link could lead out of the repository, so only real folders count.
        if !entry.file_type()?.is_dir() || entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        match read_folder(&entry.path()) {
            Ok(Some(pipeline)) => found.push(root.own(pipeline)),
            Ok(None) => {}
            Err(error) => found.push(root.own(unreadable(&entry.path(), &error))),
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Reads one folder; `None` when it is no pipeline (it has no regular file `main.py`).
///
/// # Errors
/// When the folder exists and cannot be read.
pub fn read_folder(folder: &Path) -> io::Result<Option<Pipeline>> {
    if !is_kind(folder, fs::FileType::is_dir)? || !is_kind(&folder.join("main.py"), fs::FileType::is_file)? {
        return Ok(None);
    }
    let raw_name = folder.file_name().unwrap_or_default();
    let name = raw_name.to_string_lossy().into_owned();
    let mut problems = Vec::new();
    if raw_name.to_str().is_none() {
        problems.push(problem(".", "the folder's name is not valid UTF-8: rename it"));
    } else if let Err(message) = check_name(&name) {
        problems.push(problem(".", &message));
    }
    let settings = match settings_file(folder, &name)? {
        None => Settings::default(),
        Some((file, Ok(text))) => parse_settings(&file, &text).unwrap_or_else(|mut found| {
            problems.append(&mut found);
            Settings::default()
        }),
        Some((file, Err(message))) => {
            problems.push(problem(&file, &message));
            Settings::default()
        }
    };
    problems.extend(dependency_problems(folder, settings.dependencies)?);
    let has_requirements = is_kind(&folder.join("requirements.txt"), fs::FileType::is_file)?;
    let fingerprint = fingerprint_of(folder)?;
    Ok(Some(Pipeline {
        name,
        folder: folder.to_owned(),
        settings,
        problems,
        has_requirements,
        fingerprint,
        root: None,
    }))
}

/// The settings file that counts, with its text or what is wrong with it.
type SettingsFile = Option<(String, Result<String, String>)>;

fn settings_file(folder: &Path, name: &str) -> io::Result<SettingsFile> {
    for file in ["pipeline.json".to_owned(), format!("{name}.json")] {
        let path = folder.join(&file);
        if !is_kind(&path, fs::FileType::is_file)? {
            continue;
        }
        if fs::metadata(&path)?.len() > MAX_SETTINGS_BYTES {
            return Ok(Some((file, Err(format!("larger than {MAX_SETTINGS_BYTES} bytes")))));
        }
        let text = String::from_utf8(fs::read(&path)?).map_err(|_| "not valid UTF-8: save it as UTF-8".to_owned());
        return Ok(Some((file, text)));
    }
    Ok(None)
}

/// What is wrong with the files that name a pipeline's packages.
fn dependency_problems(folder: &Path, named: Option<Dependencies>) -> io::Result<Vec<PipelineProblem>> {
    let is_file = |name: &str| is_kind(&folder.join(name), fs::FileType::is_file);
    let mut problems = Vec::new();
    let missing = |name: &str, kind: Dependencies| {
        let words = format!("it is not there, but `dependencies` is {:?}", kind.as_str());
        problem(name, &words)
    };
    match named {
        Some(kind @ Dependencies::Requirements) if !is_file("requirements.txt")? => {
            problems.push(missing("requirements.txt", kind));
        }
        Some(kind @ Dependencies::UvLock) => {
            if !is_file("uv.lock")? {
                problems.push(missing("uv.lock", kind));
            }
            if is_file("pyproject.toml")? {
                let text = String::from_utf8_lossy(&start_of(&folder.join("pyproject.toml"))?).into_owned();
                problems.extend(project_python("pyproject.toml", &text).err());
            } else {
                problems.push(missing("pyproject.toml", kind));
            }
        }
        Some(Dependencies::Requirements) => {}
        None if is_file("requirements.txt")? => {}
        None | Some(Dependencies::Script) => {
            let text = String::from_utf8_lossy(&start_of(&folder.join("main.py"))?).into_owned();
            match script_metadata("main.py", &text) {
                Err(found) => problems.push(found),
                Ok(None) if named.is_some() => {
                    let words = "there is no block `# /// script` in it, but `dependencies` is \"main.py\"";
                    problems.push(problem("main.py", words));
                }
                Ok(_) => {}
            }
        }
    }
    Ok(problems)
}

/// The beginning of a file, where its metadata stands.
fn start_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_METADATA_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether `path` itself (not what a link leads to) exists and is of that kind.
fn is_kind(path: &Path, kind: impl Fn(&fs::FileType) -> bool) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(kind(&meta.file_type())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A number that changes when anything in the folder changes.
///
/// # Errors
/// When the folder cannot be read.
pub fn fingerprint_of(folder: &Path) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    let mut budget = MAX_FILES;
    fingerprint(folder, &mut hasher, &mut budget)?;
    Ok(hasher.finish())
}

fn fingerprint(folder: &Path, hasher: &mut DefaultHasher, budget: &mut usize) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if *budget == 0 {
            return Err(io::Error::other(format!(
                "it holds more than {MAX_FILES} files: keep data out of the repository"
            )));
        }
        *budget -= 1;
        let name = entry.file_name();
        if name == OsStr::new(".git") || name == OsStr::new("__pycache__") {
            continue;
        }
        name.hash(hasher);
        // A file that vanishes while we look has changed; its name alone says so.
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() {
            fingerprint(&entry.path(), hasher, budget)?;
        } else {
            // The change time, not the modification time: it cannot be set back by a tool that restores times.
            (meta.len(), meta.ino(), meta.ctime(), meta.ctime_nsec()).hash(hasher);
        }
    }
    Ok(())
}

fn problem(file: &str, message: &str) -> PipelineProblem {
    PipelineProblem { file: file.to_owned(), line: None, column: None, message: message.to_owned() }
}

fn unreadable(folder: &Path, error: &io::Error) -> Pipeline {
    Pipeline {
        name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        folder: folder.to_owned(),
        settings: Settings::default(),
        problems: vec![problem(".", &format!("the folder cannot be read: {error}"))],
        has_requirements: false,
        fingerprint: 0,
        root: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().expect("has a parent")).expect("folder");
        fs::write(path, text).expect("file");
    }

    fn read(root: &Path) -> Vec<Pipeline> {
        read_root(&Arc::new(Root::plain(root.to_owned()))).expect("readable")
    }

    fn names(root: &Path) -> Vec<String> {
        read(root).into_iter().map(|p| p.name).collect()
    }

    #[test]
    fn a_pipeline_is_a_real_folder_with_a_real_main_py() {
        let root = tempfile::tempdir().expect("temporary folder");
        let root = root.path();
        write(root, "b ü/main.py", "");
        write(root, "a/main.py", "");
        write(root, "a/requirements.txt", "requests");
        write(root, "no_main/other.py", "");
        write(root, ".hidden/main.py", "");
        write(root, "file.py", "");
        fs::create_dir(root.join("linked_main")).expect("folder");
        std::os::unix::fs::symlink("/etc/passwd", root.join("linked_main/main.py")).expect("link");
        std::os::unix::fs::symlink(root.join("a"), root.join("linked")).expect("link");
        assert_eq!(names(root), ["a", "b ü"]);
        let a = read_folder(&root.join("a")).expect("readable").expect("a pipeline");
        assert!(a.has_requirements && a.is_valid());
    }

    #[test]
    fn one_broken_settings_file_hides_nobody() {
        let root = tempfile::tempdir().expect("temporary folder");
        let root = root.path();
        write(root, "good/main.py", "");
        write(root, "broken/main.py", "");
        write(root, "broken/pipeline.json", "{\n  \"timeout\": ,\n}");
        let found = read(root);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].problems[0].line, Some(2));
        assert!(found[1].is_valid());
    }

    #[test]
    fn what_names_the_packages_must_be_there_and_in_order() {
        let root = tempfile::tempdir().expect("temporary folder");
        let root = root.path();
        let named = |kind: &str| format!("{{\"dependencies\": \"{kind}\"}}");
        for (name, file, text, kind) in [
            ("a", "main.py", "# /// script\n# dependencies = 3\n# ///\n", None),
            ("b", "main.py", "pass\n", Some("main.py")),
            ("c", "uv.lock", "", Some("uv.lock")),
            ("d", "pyproject.toml", "[", Some("uv.lock")),
            ("e", "other.txt", "", Some("requirements.txt")),
        ] {
            write(root, &format!("{name}/main.py"), "");
            write(root, &format!("{name}/{file}"), text);
            if let Some(kind) = kind {
                write(root, &format!("{name}/pipeline.json"), &named(kind));
            }
        }
        // Nobody asks for what is broken here.
        write(root, "f/main.py", "# /// script\n# dependencies = 3\n# ///\n");
        write(root, "f/requirements.txt", "");
        write(root, "f/pyproject.toml", "[");
        let told = |p: &Pipeline| p.problems.iter().map(|p| (p.file.clone(), p.line)).collect::<Vec<_>>();
        let found = read_root(&Arc::new(Root::plain(root.to_owned()))).expect("readable");
        let file = |name: &str, line| (name.to_owned(), line);
        assert_eq!(told(&found[0]), [file("main.py", Some(2))]);
        assert_eq!(told(&found[1]), [file("main.py", None)]);
        assert_eq!(told(&found[2]), [file("pyproject.toml", None)]);
        assert_eq!(told(&found[3]), [file("uv.lock", None), file("pyproject.toml", Some(1))]);
        assert_eq!(told(&found[4]), [file("requirements.txt", None)]);
        assert!(found[5].is_valid());
    }

    #[test]
    fn settings_may_bear_the_pipelines_name() {
        let root = tempfile::tempdir().expect("temporary folder");
        write(root.path(), "p/main.py", "");
        write(root.path(), "p/p.json", r#"{"timeout": 7}"#);
        let found = read_folder(&root.path().join("p")).expect("readable").expect("a pipeline");
        assert_eq!(found.settings.timeout, Some(7));
    }

    #[test]
    fn a_changed_file_changes_the_fingerprint() {
        let root = tempfile::tempdir().expect("temporary folder");
        let folder = root.path().join("p");
        write(root.path(), "p/main.py", "");
        let print = || read_folder(&folder).expect("readable").expect("a pipeline").fingerprint;
        let before = print();
        assert_eq!(print(), before);
        write(root.path(), "p/lib/helper.py", "x");
        assert_ne!(print(), before);
    }
}
