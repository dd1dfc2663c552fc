//! The command line without a server: what is wrong with pipelines, and a schema for editors that says the same.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use fastflow_tests::place;
use fastflow_tests::wait::within;
use serde_json::{Value, json};
use tokio::process::Command;

/// Checks each document of a list with a schema; prints one line of `true` or `false` each.
const CHECK: &str = r"
import json, sys
from jsonschema import Draft202012Validator
schema = json.load(open(sys.argv[1]))
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
for document in json.load(open(sys.argv[2])):
    print('true' if validator.is_valid(document) else 'false')
";

/// A folder of the story's own, deleted with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = place::scratch().join(place::unique());
        fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    fn write(&self, file: &str, text: &str) -> String {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(&path, text).expect("a file");
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Exit code and standard output.
async fn run(program: PathBuf, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = within("a command", Duration::from_secs(60), command.output()).await.expect("it starts");
    let code = output.status.code().expect("a code");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(code != 2 && !errors.contains("Traceback"), "{arguments:?}: {errors}");
    (code, String::from_utf8(output.stdout).expect("text"))
}

async fn fastflow(arguments: &[&str]) -> (i32, String) {
    run(place::server_binary(), arguments).await
}

/// Documents of all fields: what may stand in them, and what may not.
fn samples() -> Vec<Value> {
    let values: &[(&str, &[Value])] = &[
        ("description", &[json!("x"), json!(""), json!(3), json!(["x"])]),
        ("tags", &[json!([]), json!(["a", "b"]), json!("a"), json!(["a", 1]), json!([null])]),
        ("enabled", &[json!(true), json!(false), json!("yes"), json!(1)]),
        ("timeout", &[json!(0), json!(60), json!(60.0), json!(1.5), json!(-1), json!("60"), json!(4_294_967_296_u64)]),
        ("retry_attempts", &[json!(0), json!(100), json!(101), json!(-1), json!("3"), json!(2.5)]),
        (
            "retry_strategy",
            &[
                json!({ "type": "fixed_delay" }),
                json!({ "type": "fixed_delay", "delay": 2.5, "delays": "ignored" }),
                json!({ "type": "fixed_delay", "delay": "2" }),
                json!({ "type": "fixed_delay", "delay": null }),
                json!({ "type": "exponential_backoff" }),
                json!({ "type": "exponential_backoff", "initial_delay": 1, "max_delay": 9, "multiplier": 1.5 }),
                json!({ "type": "exponential_backoff", "multiplier": 0.5 }),
                json!({ "type": "exponential_backoff", "max_delay": 2_592_001 }),
                json!({ "type": "custom_schedule", "delays": [1, 2.5] }),
                json!({ "type": "custom_schedule", "delays": [] }),
                json!({ "type": "custom_schedule", "delays": [-1] }),
                json!({ "type": "custom_schedule" }),
                json!({ "type": "linear" }),
                json!({ "delay": 3 }),
                json!("fixed_delay"),
            ],
        ),
        ("cpu_hard_limit", &[json!(1), json!(0.5), json!(0), json!(0.001), json!("1"), json!(4097)]),
        ("cpu_soft_limit", &[json!(0.8), json!(-1), json!(true)]),
        (
            "mem_hard_limit",
            &[
                json!("512m"),
                json!("1.5g"),
                json!("1.5 GiB"),
                json!("64MB"),
                json!(".5g"),
                json!("8388608"),
                json!(8_388_608),
                json!(1000),
                json!("0m"),
                json!("lots"),
                json!("12x"),
                json!("m"),
                json!("-1g"),
                json!("1.2.3g"),
                json!(true),
            ],
        ),
        ("mem_soft_limit", &[json!("100k"), json!(1), json!(0), json!(-5), json!([])]),
        (
            "default_env",
            &[
                json!({}),
                json!({ "A": "b", "_c1": 3, "D": true, "E": null, "F": { "g": [1] } }),
                json!({ "A-B": "c" }),
                json!({ "1A": "c" }),
                json!({ "": "c" }),
                json!({ "FASTFLOW_X": "c" }),
                json!(["A=b"]),
            ],
        ),
        (
            "dependencies",
            &[json!("requirements.txt"), json!("main.py"), json!("uv.lock"), json!("poetry.lock"), json!(["rich"])],
        ),
        ("python_version", &[json!("3.12"), json!("3.12.1"), json!(3.12), json!(""), json!(">=3.12")]),
        ("schedule_cron", &[json!("0 6 * * *"), json!("@daily"), json!(6)]),
        ("schedule_interval_seconds", &[json!(300), json!(0), json!(-5), json!("300")]),
        ("run_once_at", &[json!("2030-01-01T00:00:00Z"), json!("2030-01-01"), json!("soon"), json!(5)]),
        ("schedule_timezone", &[json!("Europe/Berlin"), json!(1)]),
        ("schedule_start", &[json!("2026-01-01T00:00:00"), json!("now"), json!(0)]),
        ("schedule_end", &[json!("2036-01-01"), json!(false)]),
        ("schedule_catch_up", &[json!("all"), json!("latest"), json!("none"), json!(true)]),
        ("schedule_catch_up_limit", &[json!(5), json!(0), json!("5")]),
        ("schedule_catch_up_max_age_seconds", &[json!(60), json!(-1)]),
        ("schedule_overlap", &[json!("skip"), json!("cancel_previous"), json!("wait")]),
        ("schedule_max_instances", &[json!(1), json!(0), json!("many")]),
        (
            "schedules",
            &[
                json!([]),
                json!([{ "id": "a", "cron": "@daily" }, { "id": "b", "schedule_interval_seconds": 60, "enabled": false }]),
                json!([{ "id": "a", "run_once_at": "2030-01-01", "env": { "A": 1 }, "overlap": "queue", "timeout": 5 }]),
                json!([{ "cron": "@daily" }]),
                json!([{ "id": "a" }]),
                json!([{ "id": "once", "cron": "@daily" }]),
                json!([{ "id": "a b", "cron": "@daily" }]),
                json!([{ "id": "a", "cron": 5 }]),
                json!([{ "id": "a", "cron": "@daily", "overlap": "wait" }]),
                json!(["@daily"]),
                json!({ "id": "a", "cron": "@daily" }),
            ],
        ),
        (
            "encrypted_env",
            &[
                json!({}),
                json!({ "A": format!("gAAAA{}", "x".repeat(95)) }),
                json!({ "A": "plain" }),
                json!({ "1A": format!("gAAAA{}", "x".repeat(95)) }),
                json!([]),
            ],
        ),
        ("secrets", &[json!([]), json!(["A"]), json!(["A-B"]), json!([1]), json!("A")]),
        (
            "parameters",
            &[
                json!([]),
                json!([{ "name": "A" }, { "name": "B", "type": "integer", "min": 1, "max": 3, "default": 2 }]),
                json!([{ "name": "A", "choices": ["x", 1, true], "required": true, "description": "d" }]),
                json!([{ "name": "A", "type": "choice" }]),
                json!([{ "name": "A", "type": "date" }]),
                json!([{ "name": "A", "default": [1] }]),
                json!([{ "name": "A", "surprise": 1 }]),
                json!([{ "name": "A-B" }]),
                json!([{ "type": "string" }]),
                json!([{ "name": "A", "choices": [] }]),
                json!(["A"]),
                json!({ "name": "A" }),
            ],
        ),
        ("something_new", &[json!([1, 2]), json!(null)]),
    ];
    let mut documents = vec![json!({}), json!([]), json!("x"), json!(null), json!(3)];
    for (name, values) in values {
        for value in values.iter().chain([&Value::Null]) {
            documents.push(json!({ *name: value }));
        }
    }
    documents
}

#[tokio::test]
async fn the_schema_takes_what_the_server_takes_and_nothing_else() {
    let folder = Folder::new();
    let (code, schema) = fastflow(&["schema"]).await;
    assert_eq!(code, 0);
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let documents = samples();
    // No field is left out of the samples.
    for name in schema["properties"].as_object().expect("fields").keys() {
        assert!(documents.iter().any(|document| document.get(name).is_some_and(|value| !value.is_null())), "{name}");
    }
    for (number, document) in documents.iter().enumerate() {
        let name = format!("pipelines/p{number:03}");
        folder.write(&format!("{name}/pipeline.json"), &document.to_string());
        // Whatever they ask for is there, so that only the settings count.
        let block = "# /// script\n# dependencies = []\n# ///\n";
        for (file, text) in [("main.py", block), ("requirements.txt", ""), ("uv.lock", ""), ("pyproject.toml", "")] {
            folder.write(&format!("{name}/{file}"), text);
        }
    }
    let pipelines = folder.0.join("pipelines").display().to_string();
    let (code, findings) = fastflow(&["validate", "--json", &pipelines]).await;
    assert_eq!(code, 1, "there are mistakes among them");
    let findings: Value = serde_json::from_str(&findings).expect("JSON");
    assert_eq!(findings["pipelines"], documents.len());
    let refused = |number: usize| {
        let part = format!("/p{number:03}/");
        let problems = findings["problems"].as_array().expect("a list");
        problems.iter().any(|problem| problem["path"].as_str().is_some_and(|path| path.contains(&part)))
    };

    let schema = folder.write("schema.json", &schema.to_string());
    let list = folder.write("documents.json", &Value::from(documents.clone()).to_string());
    let program = folder.write("check.py", CHECK);
    let (_, told) = run(place::service("FASTFLOW_TEST_PYTHON").into(), &[&program, &schema, &list]).await;
    let told: Vec<bool> = told.lines().map(|line| line == "true").collect();
    assert_eq!(told.len(), documents.len());
    let differ: Vec<_> = (0..documents.len())
        .filter(|number| told[*number] == refused(*number))
        .map(|number| format!("{}: schema {}, server {}", documents[number], told[number], !refused(number)))
        .collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert!(told.iter().filter(|taken| **taken).count() > 40 && told.iter().filter(|taken| !**taken).count() > 40);
}

#[tokio::test]
async fn mistakes_are_told_as_editors_and_pipelines_of_ci_read_them() {
    let folder = Folder::new();
    folder.write("good/main.py", "print()");
    folder.write("bad/main.py", "print()");
    folder.write("bad/pipeline.json", "{\n  \"timeout\": \"soon\",\n  \"retry_attempts\": 1000\n}");
    let root = folder.0.display().to_string();
    let (code, told) = fastflow(&["validate", &root]).await;
    let lines: Vec<_> = told.lines().collect();
    assert_eq!((code, lines.len()), (1, 2), "{told}");
    assert!(lines[0].starts_with(&format!("{root}/bad/pipeline.json:")), "{told}");
    assert!(told.contains(":2:3: `timeout`") && told.contains(":3:3: `retry_attempts`"), "{told}");
    let (code, told) = fastflow(&["validate", &format!("{root}/good")]).await;
    assert_eq!((code, told.as_str()), (0, ""));
}
