//! `fastflow validate DIR`: what the server would say of these pipelines, before they are pushed.
//!
//! What is wrong is found by the very code that the server looks with. Warnings are beyond that: things that work, but most
//! likely not as they are meant.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fastflow_shared::PipelineProblem;
use serde::Serialize;

use crate::catalog::{looks_like_one, read_folder, read_settings};
use crate::domain::pipeline::Settings;
use crate::environments::{Inputs, NamedBy};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// The server will not start the pipeline.
    Error,
    /// It works.
    Warning,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    path: PathBuf,
    line: Option<i32>,
    column: Option<i32>,
    severity: Severity,
    message: String,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Findings {
    /// Pipelines that were looked at.
    pub(super) pipelines: usize,
    /// What was found.
    pub(super) problems: Vec<Finding>,
}

impl Findings {
    /// How many errors there are.
    pub(super) fn errors(&self) -> usize {
        self.problems.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    fn add(&mut self, path: PathBuf, severity: Severity, message: String) {
        self.problems.push(Finding { path, line: None, column: None, severity, message });
    }

    fn told(&mut self, folder: &Path, problem: PipelineProblem) {
        let PipelineProblem { file, line, column, message } = problem;
        // The folder itself is `.` to the server.
        let path = if file == "." { folder.to_owned() } else { folder.join(file) };
        self.problems.push(Finding { path, line, column, severity: Severity::Error, message });
    }
}

impl fmt::Display for Findings {
    /// One line per problem, in the form that editors and CI systems make links of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { path, line, column, severity, message } in &self.problems {
            write!(f, "{}", path.display())?;
            for number in [line, column].into_iter().flatten() {
                write!(f, ":{number}")?;
            }
            let mark = if *severity == Severity::Warning { "warning: " } else { "" };
            writeln!(f, ": {mark}{message}")?;
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
    let real = fs::canonicalize(dir)?;
    if looks_like_one(&real) {
        pipeline(dir, &mut findings);
        return Ok(findings);
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // As the server sees it: hidden folders and links are none.
        if entry.file_type()?.is_dir() && !entry.file_name().as_encoded_bytes().starts_with(b".") {
            folders.push(entry.path());
        }
    }
    folders.sort();
    for folder in folders.iter().filter(|folder| looks_like_one(folder)) {
        pipeline(folder, &mut findings);
    }
    Ok(findings)
}

/// `shown` is how the user calls the folder; `.` and `..` have no name of their own.
fn pipeline(shown: &Path, findings: &mut Findings) {
    findings.pipelines += 1;
    let looked = fs::canonicalize(shown).and_then(|folder| look(&folder, shown, findings));
    if let Err(error) = looked {
        findings.add(shown.to_owned(), Severity::Error, format!("cannot be read: {error}"));
    }
}

fn look(folder: &Path, shown: &Path, findings: &mut Findings) -> io::Result<()> {
    let (settings, problems) = match read_folder(folder)? {
        Some(pipeline) => (pipeline.settings, pipeline.problems),
        None => {
            let main = shown.join("main.py");
            findings.add(main, Severity::Error, "there is no such file, so nothing to run".to_owned());
            read_settings(folder)?
        }
    };
    let is_valid = problems.is_empty();
    for problem in problems {
        findings.told(shown, problem);
    }
    if is_valid && folder.join("main.py").is_file() {
        dependencies(folder, shown, &settings, findings);
    }
    Ok(())
}

/// What a preparation would stumble over, as far as that can be told without an index.
fn dependencies(folder: &Path, shown: &Path, settings: &Settings, findings: &mut Findings) {
    match Inputs::read(folder, settings) {
        Err(error) => {
            findings.add(shown.to_owned(), Severity::Error, format!("what names the packages cannot be read: {error}"));
        }
        Ok(inputs) => {
            let lock = folder.join("requirements.txt.lock");
            if inputs.named_by == NamedBy::Requirements && inputs.committed_lock.is_none() && lock.exists() {
                let message = "does not pin every package that the requirement files name, so it is not used; make it anew: \
                               uv pip compile requirements.txt --generate-hashes -o requirements.txt.lock";
                findings.add(shown.join("requirements.txt.lock"), Severity::Warning, message.to_owned());
            }
        }
    }
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
            ("cron/main.py", ""),
            ("cron/pipeline.json", "{\n  \"schedule_cron\": \"every day\"\n}"),
            ("other/other.json", "{"),
            ("script/main.py", "import x\n# /// script\n# dependencies = [1]\n# ///\n"),
            ("docs/readme.md", ""),
            (".git/pipeline.json", "{"),
        ]);
        let told = told(folder.path(), folder.path());
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines.len(), 6, "{told}");
        assert!(lines.iter().any(|line| line.starts_with("bad/pipeline.json:2:3: `timeout`: expected")), "{told}");
        assert!(lines.iter().any(|line| line.starts_with("bad/pipeline.json:3:3: `mem_hard_limit`: ")), "{told}");
        assert!(lines[2].starts_with("cron/pipeline.json:2:3: `schedule_cron`"), "{told}");
        assert_eq!(lines[3], "other/main.py: there is no such file, so nothing to run");
        assert!(lines[4].starts_with("other/other.json:1:1: not valid JSON"), "{told}");
        assert!(lines[5].starts_with("script/main.py:3:19: `dependencies`"), "{told}");
        let found = validate(folder.path()).expect("readable");
        assert_eq!((found.pipelines, found.errors()), (5, 6));
    }

    #[test]
    fn one_pipeline_can_be_named_itself() {
        let folder = folder(&[("etl/main.py", ""), ("etl/pipeline.json", "[]")]);
        let told = told(&folder.path().join("etl"), folder.path());
        assert_eq!(told, "etl/pipeline.json:1:1: the file must hold one JSON object: { … }\n");
    }

    #[test]
    fn a_lock_that_is_not_fresh_is_a_warning_and_requirements_that_nobody_can_read_are_an_error() {
        let folder = folder(&[
            ("stale/main.py", ""),
            ("stale/requirements.txt", "rich\nrequests\n"),
            ("stale/requirements.txt.lock", "rich==14.0\n"),
            ("fresh/main.py", ""),
            ("fresh/requirements.txt", "rich\n"),
            ("fresh/requirements.txt.lock", "rich==14.0\n"),
            ("bytes/main.py", ""),
        ]);
        fs::write(folder.path().join("bytes/requirements.txt"), [0xff]).expect("write");
        let told = told(folder.path(), folder.path());
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines.len(), 2, "{told}");
        assert!(lines[0].starts_with("bytes: ") && lines[0].contains("requirements.txt is not valid UTF-8"), "{told}");
        assert!(lines[1].starts_with("stale/requirements.txt.lock: warning: "), "{told}");
        assert_eq!(validate(folder.path()).expect("readable").errors(), 1);
        let json = serde_json::to_value(validate(folder.path()).expect("readable")).expect("JSON");
        assert_eq!(json["problems"][1]["severity"], "warning");
        assert_eq!(json["pipelines"], 3);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        assert!(validate(Path::new("/no/such/folder")).is_err());
    }
}
