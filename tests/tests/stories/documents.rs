//! The documents, run: every block marked `sh` in `docs/`, in order, against a live server; every `pipeline.json` that they show is
//! checked. `console` blocks need a machine of their own; install.md's of Docker Compose are run by the story of that name.

use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::Duration;

use fastflow_tests::options::Database;
use fastflow_tests::pipelines::Pipeline;
use fastflow_tests::server::{PASSWORD, USER};
use fastflow_tests::{Options, Server, place};

const TOKEN: &str = "figures for prometheus alone";

/// The documents that show commands.
const DOCUMENTS: [&str; 5] = ["install.md", "operate.md", "pipelines.md", "api.md", "migrate.md"];

/// The blocks of a document that are marked so.
fn blocks(text: &str, mark: &str) -> Vec<String> {
    let start = format!("```{mark}");
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        if line.trim() != start {
            continue;
        }
        let body = lines.by_ref().take_while(|line| line.trim() != "```");
        blocks.push(body.map(|line| line.get(indent..).unwrap_or_default()).collect::<Vec<_>>().join("\n"));
    }
    blocks
}

#[tokio::test]
async fn every_command_in_the_documents_works() {
    let server = Server::start(Options::new().database(Database::Sqlite).env("METRICS_TOKEN", TOKEN)).await;
    server.pipeline("hello", "print('hello')");
    server.pipeline("report", "import os\nprint(os.environ['DAY'])");
    let token = server.client().token().expect("a program has one").to_owned();
    let bin = server.root().join("bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    symlink(place::server_binary(), bin.join("fastflow")).expect("a link");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a PATH"));
    let mut commands = 0;
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(place::repository().join("docs").join(document)).expect("a document");
        let found = blocks(&text, "sh");
        assert!(!found.is_empty(), "{document} shows no command");
        commands += found.iter().map(|block| block.lines().count()).sum::<usize>();
        let script = found.join("\n").replace("http://127.0.0.1:8000", &server.base());
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-euxc", &script]).current_dir(server.root()).stdin(Stdio::null()).kill_on_drop(true);
        server.give_settings(&mut shell);
        shell.env("PATH", &path).env("TOKEN", &token).env("ADMIN_USERNAME", USER).env("ADMIN_PASSWORD", PASSWORD);
        let output = tokio::time::timeout(Duration::from_secs(120), shell.output()).await;
        let output = output.unwrap_or_else(|_| panic!("{document}: a command does not end")).expect("a shell");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{document} ends with {}:\n{said}", output.status);
        if document == "api.md" {
            assert!(said.contains("event: end") && said.contains("hello"), "{said}");
        }
    }
    assert!(commands > 15, "{commands} lines were run");
}

#[tokio::test]
async fn every_pipeline_json_in_the_documents_is_valid() {
    let folder = place::scratch().join(place::unique());
    let mut shown = 0;
    for document in ["docs/pipelines.md", "README.md"] {
        let text = std::fs::read_to_string(place::repository().join(document)).expect("a document");
        for settings in blocks(&text, "json") {
            shown += 1;
            let _ = Pipeline::create(&folder, &format!("p{shown}"), "print('hello')").file("pipeline.json", &settings);
        }
    }
    let mut validate = tokio::process::Command::new(place::server_binary());
    let output = validate.arg("validate").arg(&folder).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(60), output).await.expect("it ends").expect("it starts");
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let _ = std::fs::remove_dir_all(&folder);
    assert!(output.status.success() && shown > 3, "{shown} shown: {told}");
}

/// A page that nobody links to is read by nobody.
#[test]
fn every_document_can_be_found_from_the_readme() {
    let repository = place::repository();
    let readme = std::fs::read_to_string(repository.join("README.md")).expect("README.md");
    for entry in std::fs::read_dir(repository.join("docs")).expect("docs").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            assert!(readme.contains(&format!("docs/{name}")), "README.md does not name docs/{name}");
        }
    }
}

/// Links between documents lead somewhere.
#[test]
fn links_between_documents_lead_to_files() {
    let docs = place::repository().join("docs");
    let mut broken = Vec::new();
    for entry in
        std::fs::read_dir(&docs).expect("docs").flatten().filter(|e| e.path().extension().is_some_and(|x| x == "md"))
    {
        let text = std::fs::read_to_string(entry.path()).expect("a document");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") && !docs.join(file).exists() {
                broken.push(format!("{}: {link}", entry.file_name().to_string_lossy()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
