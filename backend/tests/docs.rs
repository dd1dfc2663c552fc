//! The documents name tests as proof of what they say. A test that is renamed or deleted must not leave a claim behind.
//!
//! Two forms are read, both in backticks: `file::test` is a story in `tests/tests/stories/file.rs`, and
//! `room/file.rs::test` is a test below `backend/src/`.

use std::fs;
use std::path::Path;

/// Documents that name tests.
const DOCUMENTS: [&str; 2] = ["README.md", "docs/reliability.md"];

#[test]
fn every_test_that_a_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut named, mut missing) = (0, Vec::new());
    for document in DOCUMENTS {
        let text = fs::read_to_string(root.join(document)).expect("a document");
        for (file, test) in text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")) {
            let is_name = |text: &str, more: &[char]| {
                !text.is_empty()
                    && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || more.contains(&c))
            };
            if !is_name(file, &['_', '/', '.']) || !is_name(test, &['_']) || !test.contains('_') {
                continue;
            }
            let path = match file.strip_suffix(".rs") {
                Some(_) => root.join("backend/src").join(file),
                None => root.join("tests/tests/stories").join(file).with_extension("rs"),
            };
            named += 1;
            let code = fs::read_to_string(&path).unwrap_or_default();
            if !code.contains(&format!("fn {test}(")) {
                missing.push(format!("{document} names {file}::{test}, which is not in {}", path.display()));
            }
        }
    }
    assert!(named > 40, "only {named} tests are named: has the form changed?");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// `scripts/test` leaves out of its pass on PostgreSQL what would be the same once more. A story that leaves its database open
/// would silently lose that pass.
#[test]
fn what_is_left_out_on_postgresql_has_named_its_database() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let script = fs::read_to_string(root.join("scripts/test")).expect("scripts/test");
    let list = script.split_once("already_run=(").and_then(|(_, rest)| rest.split_once("\n)")).expect("the list").0;
    let names = list.lines().flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
    let stories: Vec<_> = fs::read_dir(root.join("tests/tests/stories"))
        .expect("the stories")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path))
        .map(|(name, path)| (name, text_of(&path)))
        .collect();
    let (mut listed, mut wrong) = (0, Vec::new());
    for name in names {
        listed += 1;
        if let Some(module) = name.strip_suffix("::") {
            let Some((_, text)) = stories.iter().find(|(story, _)| story == module) else {
                wrong.push(format!("there is no {module}.rs"));
                continue;
            };
            let open = |rest: &str| !rest.trim_start().starts_with(".database(");
            if text.split("Options::new()").skip(1).any(open) {
                wrong.push(format!("{module}.rs starts a server that does not name its database"));
            }
            continue;
        }
        let all =
            stories.iter().flat_map(|(story, text)| text.split("\nasync fn ").skip(1).map(move |rest| (story, rest)));
        let of_it: Vec<_> = all.filter(|(_, rest)| rest.split('(').next().unwrap_or_default().contains(name)).collect();
        if of_it.is_empty() {
            wrong.push(format!("no story has {name} in its name"));
        }
        for (story, rest) in of_it {
            let body = rest.split("\n}").next().unwrap_or_default();
            if !body.contains("Database::") {
                wrong.push(format!("{story}::{} does not name its database", body.lines().next().unwrap_or_default()));
            }
        }
    }
    assert!(listed > 5, "only {listed} names are read: has the form changed?");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Of a file, or of all files of a folder.
fn text_of(path: &Path) -> String {
    if path.is_dir() {
        return fs::read_dir(path).expect("a folder").map(|entry| text_of(&entry.expect("an entry").path())).collect();
    }
    fs::read_to_string(path).expect("a story")
}
