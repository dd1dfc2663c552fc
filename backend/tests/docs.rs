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
