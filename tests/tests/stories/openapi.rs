//! The API's own description, and a client that was made from it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use fastflow_tests::server::{PASSWORD, USER};
use fastflow_tests::wait::within;
use fastflow_tests::{Options, Server, place};
use serde_json::Value;
use tokio::process::Command;

/// A program in Python that uses the generated client as its authors would.
const PROGRAM: &str = include_str!("../python/client.py");

#[tokio::test]
async fn the_document_is_the_one_that_was_reviewed() {
    let server = Server::start(Options::new()).await;
    let mut document: Value = server.anonymous().fetch("/openapi.json").await;
    // A release must not look like a change of the interface.
    document["info"]["version"] = "0".into();
    let found = format!("{}\n", serde_json::to_string_pretty(&document).expect("JSON"));
    let file = place::repository().join("docs/openapi.json");
    if std::env::var_os("FASTFLOW_BLESS").is_some() {
        std::fs::write(&file, found).expect("written");
        return;
    }
    let reviewed = std::fs::read_to_string(&file).unwrap_or_default();
    let at = found.lines().zip(reviewed.lines()).position(|(a, b)| a != b);
    assert!(
        found == reviewed,
        "the API has changed from line {} of docs/openapi.json on; review the difference after \
         `FASTFLOW_BLESS=1 scripts/test the_document_is_the_one_that_was_reviewed`",
        at.unwrap_or_default() + 1
    );
}

#[tokio::test]
async fn the_document_says_what_a_generated_client_needs() {
    let server = Server::start(Options::new()).await;
    let document: Value = server.anonymous().fetch("/openapi.json").await;
    let mut ids = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let name = format!("{method} {path}");
            ids.push(
                operation["operationId"].as_str().unwrap_or_else(|| panic!("{name} has no operationId")).to_owned(),
            );
            assert!(operation["tags"].as_array().is_some_and(|tags| !tags.is_empty()), "{name} has no tag");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name} has no summary");
            let answers = operation["responses"].as_object().expect("responses");
            if path.starts_with("/api") {
                for (status, answer) in answers.iter().filter(|(status, _)| status.starts_with(['4', '5'])) {
                    let content = answer["content"].as_object().expect("content");
                    assert!(content.contains_key("application/problem+json"), "{name} {status}: {content:?}");
                }
                assert!(answers.keys().any(|status| status.starts_with('4')), "{name} documents no error");
            }
        }
    }
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "every operationId is unique");
    let page = server.anonymous().get("/docs").await.expect(200).text();
    assert!(page.contains("swagger"), "the documentation is readable");
}

async fn python(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(place::service("FASTFLOW_TEST_PYTHON"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = within(&format!("{arguments:?}"), Duration::from_secs(120), command.output()).await;
    let output = output.expect("the Python of the tests");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn a_client_generated_from_the_document_logs_in_starts_a_run_and_reads_its_result() {
    let server = Server::start(Options::new()).await;
    server.pipeline("hello", "import os; print('hello', os.environ['WHOM'])");
    let folder = server.root();
    let document = server.anonymous().get("/openapi.json").await.expect(200).body;
    std::fs::write(folder.join("openapi.json"), document).expect("written");
    std::fs::write(folder.join("config.yml"), "package_name_override: fastflow_client\npost_hooks: []\n")
        .expect("written");
    let module = "openapi_python_client";
    let made = ["-m", module, "generate", "--path", "openapi.json", "--output-path", "made", "--config", "config.yml"];
    let said = python(folder, &made).await;
    assert!(!said.to_lowercase().contains("warning"), "the generator could not read all of it:\n{said}");
    std::fs::write(folder.join("made/program.py"), PROGRAM).expect("written");
    let said = python(&folder.join("made"), &["program.py", &server.base(), USER, PASSWORD]).await;
    assert_eq!(said.trim(), "SUCCESS 0 hello world");
}
