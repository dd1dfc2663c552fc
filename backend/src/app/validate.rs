//! `fastflow validate DIR`: what the server would say of these pipelines, before they are pushed.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fastflow_shared::PipelineProblem;

use crate::domain::pipeline::{check_name, parse_settings};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Pipelines that were looked at.
    pub(super) pipelines: usize,
    /// What is wrong, each with the path of its file.
    pub(super) problems: Vec<(PathBuf, PipelineProblem)>,
}

impl Findings {
    /// A problem of a whole file.
    fn add(&mut self, path: PathBuf, message: String) {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.problems.push((path, PipelineProblem { file, line: None, column: None, message }));
    }
}

impl fmt::Display for Findings {
    /// One line per problem, in the form that editors and CI systems make links of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, problem) in &self.problems {
            write!(f, "{}", path.display())?;
            for number in [problem.line, problem.column].into_iter().flatten() {
                write!(f, ":{number}")?;
            }
            writeln!(f, ": {}", problem.message)?;
        }
        Ok(())
    }
}

/// Looks at one pipeline's folder, or at a folder of such folders.
///
/// # Errors
/// When `dir` cannot be read.
pub(super) fn validate(dir: &Path) -> io::Result<Findings> {
    let mut findings = Findings::default();
    if dir.join("main.py").exists() || dir.join("pipeline.json").exists() {
        pipeline(dir, &mut findings);
        return Ok(findings);
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        // Hidden folders are git's and editors'.
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden {
            folders.push(path);
        }
    }
    folders.sort();
    for folder in folders {
        let is_pipeline = folder.join("main.py").exists() || settings_files(&folder).iter().any(|file| file.exists());
        if is_pipeline {
            pipeline(&folder, &mut findings);
        }
    }
    Ok(findings)
}

fn pipeline(folder: &Path, findings: &mut Findings) {
    findings.pipelines += 1;
    match name_of(folder) {
        None => findings.add(folder.to_owned(), "the folder's name is not UTF-8 text".to_owned()),
        Some(name) => {
            if let Err(message) = check_name(&name) {
                findings.add(folder.to_owned(), message);
            }
        }
    }
    if !folder.join("main.py").is_file() {
        findings.add(folder.join("main.py"), "there is no such file, so nothing to run".to_owned());
    }
    for path in settings_files(folder) {
        match fs::read(&path).map(String::from_utf8) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => findings.add(path, format!("cannot be read: {error}")),
            Ok(Err(_)) => findings.add(path, "the file is not UTF-8 text".to_owned()),
            Ok(Ok(text)) => {
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                let found = parse_settings(&file, &text).err().unwrap_or_default();
                findings.problems.extend(found.into_iter().map(|problem| (path.clone(), problem)));
            }
        }
    }
}

/// The names under which a pipeline's settings are looked for.
fn settings_files(folder: &Path) -> Vec<PathBuf> {
    let own = name_of(folder).filter(|name| name != "pipeline").map(|name| folder.join(format!("{name}.json")));
    [folder.join("pipeline.json")].into_iter().chain(own).collect()
}

/// `.` and `..` have no name of their own.
fn name_of(folder: &Path) -> Option<String> {
    let path = fs::canonicalize(folder).ok()?;
    path.file_name()?.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("folder")).expect("folders");
            fs::write(path, text).expect("write");
        }
        folder
    }

    fn told(dir: &Path, root: &Path) -> String {
        let prefix = format!("{}/", root.display());
        validate(dir).expect("readable").to_string().replace(&prefix, "")
    }

    #[test]
    fn every_problem_of_every_pipeline_with_its_place() {
        let folder = folder(&[
            ("good/main.py", ""),
            ("good/pipeline.json", "{\"timeout\": 3}"),
            ("bad/main.py", ""),
            ("bad/pipeline.json", "{\n  \"timeout\": \"soon\",\n  \"mem_hard_limit\": \"lots\"\n}"),
            ("other/other.json", "{"),
            ("docs/readme.md", ""),
            (".git/pipeline.json", "{"),
        ]);
        let told = told(folder.path(), folder.path());
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines.len(), 4, "{told}");
        assert!(lines.iter().any(|line| line.starts_with("bad/pipeline.json:2:3: `timeout`: expected")), "{told}");
        assert!(lines.iter().any(|line| line.starts_with("bad/pipeline.json:3:3: `mem_hard_limit`: ")), "{told}");
        assert_eq!(lines[2], "other/main.py: there is no such file, so nothing to run");
        assert!(lines[3].starts_with("other/other.json:1:1: not valid JSON"), "{told}");
        assert_eq!(validate(folder.path()).expect("readable").pipelines, 3);
    }

    #[test]
    fn one_pipeline_can_be_named_itself() {
        let folder = folder(&[("etl/main.py", ""), ("etl/pipeline.json", "[]")]);
        let told = told(&folder.path().join("etl"), folder.path());
        assert_eq!(told, "etl/pipeline.json:1:1: the file must hold one JSON object: { … }\n");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        assert!(validate(Path::new("/no/such/folder")).is_err());
    }
}
