//! Secrets: into the run that may have them, and nowhere else.

use std::collections::HashSet;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;

use fastflow_shared::{
    EncryptedValue, ErrorType, NewVaultEntry, RevealedSecret, Run, RunStatus, StartRun, VaultChange, VaultEntry, routes,
};
use fastflow_tests::options::Database;
use fastflow_tests::{Client, Options, Server, Viewer, docker};
use reqwest::Method;
use serde_json::json;

const LEAKS: &str = include_str!("../python/leaks.py");

/// How much of a secret is a leak, in bytes.
const WINDOW: usize = 8;

/// Random letters, for a secret that occurs nowhere else.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(std::hash::RandomState::new().build_hasher().finish() | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn of(&mut self, letters: &str, length: usize) -> String {
        let letters: Vec<char> = letters.chars().collect();
        (0..length).map(|_| letters[(self.next() >> 11) as usize % letters.len()]).collect()
    }

    fn word(&mut self, length: usize) -> String {
        self.of("abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", length)
    }
}

/// A secret, and what of it nobody can know: the rest is form.
struct Planted {
    value: String,
    secret: Vec<String>,
}

fn planted() -> Vec<Planted> {
    let mut random = Random::new();
    let r = &mut random;
    let mut all: Vec<Planted> = Vec::new();
    let whole = |value: String| Planted { secret: vec![value.clone()], value };
    for length in [12, 16, 24, 8, 40, 64] {
        all.push(whole(r.word(length)));
    }
    all.push(whole(r.of("0123456789abcdef", 64)));
    all.push(whole(format!("{}+/==", r.of("ABCDEFGHabcdefgh0123+/", 60))));
    all.push(whole(format!("{}.{}.{}", r.word(36), r.word(80), r.word(43))));
    all.push(whole(format!("{} {} {} {}", r.word(7), r.word(9), r.word(8), r.word(10))));
    all.push(whole(r.of("äöüßéèñçø☃€漢字", 20)));
    all.push(whole(r.of("ab\"'\\cd", 24)));
    all.push(whole(r.of("$`!*?[]{}|;xy", 24)));
    all.push(whole(r.of("%&=+/?#: @,abc", 30).trim().replace(' ', "+") + r.word(6).as_str()));
    all.push(whole(r.of("<>&\"'pq", 24)));
    let lines: Vec<String> = [64, 64, 64, 64, 64, 30].map(|length| r.word(length)).into();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    all.push(Planted { value: pem, secret: lines });
    let lines: Vec<String> = (0..4).map(|_| r.word(20)).collect();
    all.push(Planted { value: lines.join("\r\n"), secret: lines });
    let password = r.word(20);
    all.push(Planted { value: format!("postgres://app:{password}@db.internal:5432/prod"), secret: vec![password] });
    // The first half in lower case: it stays as it is where an URL is written so as a whole.
    let password = format!("{}%2F{}%40", r.word(14).to_lowercase(), r.word(12));
    let decoded = password.replace("%2F", "/").replace("%40", "@");
    let url = format!("https://robot:{password}@git.internal/repo.git?depth=1#main");
    all.push(Planted { value: url, secret: vec![password, decoded] });
    let key: Vec<String> = (0..3).map(|_| r.word(48)).collect();
    let file =
        json!({ "type": "service_account", "project_id": "a-project", "private_key": key.join("\n") }).to_string();
    all.push(Planted { value: file, secret: key });
    all.push(whole(format!("{}\t{}\t{}", r.word(9), r.word(9), r.word(9))));
    all.push(whole(r.word(4_000)));
    all.push(whole(r.word(20_000)));
    all.push(whole(format!(
        "{}-{}-{}",
        r.of("0123456789abcdef", 8),
        r.of("0123456789abcdef", 4),
        r.of("0123456789abcdef", 12)
    )));
    all.push(whole(format!("{}\n", r.word(22))));
    all.push(whole(format!("  {}  ", r.word(22))));
    all.push(whole(r.of("🐍🦀🐳🔑🔒🎲🧊🪐🌊🍀🚲🧭🪁🎻🧵🪵", 16)));
    // One that begins like another, one for `encrypted_env`, one for a start.
    let beginning = all[5].value[..20].to_owned();
    all.push(whole(beginning + r.word(20).as_str()));
    all.push(whole(r.word(33)));
    all.push(whole(r.word(34)));
    assert_eq!(all.len(), 30);
    all
}

/// What must be found nowhere.
struct Search(HashSet<[u8; WINDOW]>);

impl Search {
    fn new(planted: &[Planted]) -> Self {
        let texts = planted.iter().flat_map(|planted| planted.secret.iter());
        let windows = texts.flat_map(|text| {
            let bytes = text.as_bytes();
            bytes.windows(WINDOW).map(|window| window.try_into().expect("of that size")).collect::<Vec<_>>()
        });
        Self(windows.collect())
    }

    fn check(&self, place: &str, bytes: &[u8]) {
        for (at, window) in bytes.windows(WINDOW).enumerate() {
            if self.0.contains(window) {
                let around = &bytes[at.saturating_sub(120)..(at + 60).min(bytes.len())];
                panic!("{place} holds a part of a secret: {}", String::from_utf8_lossy(around));
            }
        }
    }

    fn check_folder(&self, folder: &Path) -> usize {
        let mut files = 0;
        for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())).flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                files += self.check_folder(&path);
            } else if kind.is_file()
                && let Ok(bytes) = fs::read(&path)
            {
                self.check(&path.display().to_string(), &bytes);
                files += 1;
            }
        }
        files
    }
}

async fn store(client: &Client, key: &str, value: &str) -> VaultEntry {
    let entry = NewVaultEntry { key: key.to_owned(), value: value.to_owned(), is_secret: true, pipelines: Vec::new() };
    client.write(Method::POST, routes::SECRETS, &entry).await.expect(201).json()
}

async fn encrypted(client: &Client, value: &str) -> EncryptedValue {
    client.write(Method::POST, routes::SECRETS_ENCRYPT, &json!({ "value": value })).await.expect(200).json()
}

#[tokio::test]
async fn thirty_secrets_leaked_in_twenty_ways_are_found_nowhere() {
    found_nowhere(Database::Sqlite).await;
}

#[tokio::test]
async fn thirty_secrets_leaked_in_twenty_ways_are_not_in_a_dump_of_postgresql() {
    found_nowhere(Database::Postgres).await;
}

async fn found_nowhere(database: Database) {
    let server = Server::start(Options::new().database(database).env("LOG_STREAM_RATE_LIMIT", "0")).await;
    let client = server.client();
    let planted = planted();
    let names: Vec<String> = (0..planted.len()).map(|number| format!("SECRET_{number:02}")).collect();
    for (name, planted) in names.iter().zip(&planted).take(28) {
        assert_eq!(store(client, name, &planted.value).await.warning, None, "{name}");
    }
    let sealed = encrypted(client, &planted[28].value).await.encrypted;
    server.pipeline("leaks", LEAKS).json(&json!({
        "encrypted_env": { &names[28]: sealed },
        "default_env": { "NAMES": names.join(","), "WAIT": "2" },
    }));
    let mut start = StartRun::default();
    start.env_vars.insert(names[29].clone(), planted[29].value.clone());
    let run = client.start_with("leaks", &start).await;
    let mut viewer = Viewer::open(client, &run.id).await;
    client.log_when(&run.id, "ready").await;
    let container = docker::container_of(&run.id).await.expect("it has a container");
    let inspected = docker::inspect(&container).await.to_string();
    viewer.watch().await;
    let run = client.end_of(&run.id).await;

    let log = client.log_text(&run.id).await;
    for way in 1..=20 {
        assert!(log.contains(&format!("way {way:02} done")), "way {way} did not come:\n{log}");
    }
    assert!(log.matches("***").count() > 1_000, "{}", log.matches("***").count());
    assert_eq!((run.status, run.error_type), (RunStatus::Failed, Some(ErrorType::ExitCode)));
    let message = run.error_message.clone().expect("a reason");
    assert!(message.contains("could not log in with ***"), "{message}");

    let search = Search::new(&planted);
    search.check("docker inspect", inspected.as_bytes());
    search.check("the live log", viewer.text().as_bytes());
    search.check("the log", log.as_bytes());
    search.check("the server's messages", server.messages().as_bytes());
    let stream = routes::run_logs_file(&run.id);
    for path in [
        &routes::run(&run.id),
        routes::RUNS,
        routes::PIPELINES,
        &routes::pipeline("leaks"),
        routes::SECRETS,
        routes::JOBS,
        routes::OVERVIEW,
        routes::CHORES,
        &routes::run_metrics(&run.id),
        &stream,
    ] {
        search.check(path, &client.get(path).await.expect(200).body);
    }
    assert!(search.check_folder(&server.data_dir()) > 3);
    if database == Database::Postgres {
        let tables = server.rows().await;
        for (table, rows) in &tables {
            search.check(&format!("table {table}"), rows.join("\n").as_bytes());
        }
        let count = |name: &str| tables.iter().find(|(table, _)| table == name).map_or(0, |(_, rows)| rows.len());
        assert!(count("vault") == 28 && count("runs") == 1 && count("audit") > 28, "the dump is whole");
    }
    // The search itself can find something.
    let found = std::panic::catch_unwind(|| search.check("a probe", planted[0].value.as_bytes()));
    assert!(found.is_err());
    docker::all_gone(server.instance()).await;
}

/// Numbered lines with a secret in each, some of them written in two parts, for some four seconds.
const PRINTS: &str = r"
import os, sys, time
token = os.environ['TOKEN']
for n in range(1, 2001):
    out = sys.stderr if n % 7 == 0 else sys.stdout
    out.write(f'line {n:05d} {token[:9]}')
    if n % 10 == 0:
        out.flush()
        time.sleep(0.02)
    out.write(f'{token[9:]} end\n')
    out.flush()
";

async fn goes_on_masked_after_kill_9(database: Database) {
    let mut server = Server::start(Options::new().database(database)).await;
    let secret = format!("a-token-{}", Random::new().word(30));
    store(server.client(), "TOKEN", &secret).await;
    server.pipeline("prints", PRINTS);
    let run = server.client().start("prints").await;
    for (crash, line) in ["line 00200", "line 00700", "line 01200"].iter().enumerate() {
        server.client().log_when(&run.id, line).await;
        if crash == 1 {
            // The run keeps the value that it was given, and so does what hides it.
            let change = VaultChange { value: Some("a new value".to_owned()), is_secret: None, pipelines: None };
            let _ = server.client().write(Method::PUT, &routes::secret("TOKEN"), &change).await.expect(200);
        }
        server.restart().await;
    }
    let client = server.client();
    let run = client.end_of(&run.id).await;
    assert_eq!(run.status, RunStatus::Success, "{:?}", run.error_message);
    for (stream, wanted) in [("stdout", 0), ("stderr", 1)] {
        let log = client.log_with(&run.id, &format!("?stream={stream}")).await;
        let expected: String = (1..=2000_usize)
            .filter(|number| usize::from(number.is_multiple_of(7)) == wanted)
            .map(|number| format!("line {number:05} *** end\n"))
            .collect();
        assert!(String::from_utf8_lossy(&log) == expected, "{stream}: {}", String::from_utf8_lossy(&log));
    }
    docker::all_gone(server.instance()).await;
}

#[tokio::test]
async fn after_kill_9_a_masked_log_is_whole_on_sqlite() {
    goes_on_masked_after_kill_9(Database::Sqlite).await;
}

#[tokio::test]
async fn after_kill_9_a_masked_log_is_whole_on_postgresql() {
    goes_on_masked_after_kill_9(Database::Postgres).await;
}

const SHOWS: &str = "import os; print(sorted(name for name in os.environ if name.startswith('S_')))";

async fn names_in(client: &Client, pipeline: &str) -> String {
    let run = client.run_well(pipeline).await;
    client.log_text(&run.id).await.trim().to_owned()
}

async fn refused(client: &Client, pipeline: &str) -> (Run, String) {
    let run = client.run_to_end(pipeline).await;
    assert_eq!((run.status, run.started_at), (RunStatus::Failed, None));
    let message = run.error_message.clone().expect("a reason");
    (run, message)
}

#[tokio::test]
async fn a_secret_goes_to_the_pipelines_that_may_have_it() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    server.pipeline("all", SHOWS);
    server.pipeline("one", SHOWS).json(&json!({ "secrets": ["S_ALL", "S_ONE"] }));
    server.pipeline("none", SHOWS).json(&json!({ "secrets": [] }));
    server.pipeline("wants", SHOWS).json(&json!({ "secrets": ["S_ONE"] }));
    store(client, "S_ALL", "for everybody").await;
    let one = json!({ "key": "S_ONE", "value": "for one", "pipelines": ["one"] });
    let entry: VaultEntry = client.write(Method::POST, routes::SECRETS, &one).await.expect(201).json();
    assert_eq!((entry.pipelines, entry.value), (vec!["one".to_owned()], None));
    assert_eq!(names_in(client, "all").await, "['S_ALL']");
    assert_eq!(names_in(client, "one").await, "['S_ALL', 'S_ONE']");
    assert_eq!(names_in(client, "none").await, "[]");
    let (_, message) = refused(client, "wants").await;
    assert!(message.contains("`S_ONE`") && message.contains("other pipelines"), "{message}");
    let change = VaultChange { value: None, is_secret: None, pipelines: Some(vec!["wants".to_owned()]) };
    let _ = client.write(Method::PUT, &routes::secret("S_ONE"), &change).await.expect(200);
    assert_eq!(names_in(client, "wants").await, "['S_ONE']");
    let (_, message) = refused(client, "one").await;
    assert!(message.contains("`S_ONE`"), "{message}");
}

#[tokio::test]
async fn values_are_written_once_revealed_one_at_a_time_and_refused_with_pointers() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    store(client, "TOKEN", "swordfish-4711").await;
    assert!(store(client, "PIN", "1234").await.warning.expect("a warning").contains("too short"));
    let listed = client.get(routes::SECRETS).await.expect(200);
    assert!(!listed.text().contains("swordfish"), "{}", listed.text());
    let answer = client.post(&routes::secret_reveal("TOKEN")).await.expect(200);
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    let revealed: RevealedSecret = answer.json();
    assert_eq!(revealed.value, "swordfish-4711");
    let audit = client.get(routes::AUDIT).await.expect(200).text();
    assert!(audit.contains("secret.reveal") && !audit.contains("swordfish"), "{audit}");
    assert!(!server.messages().contains("swordfish"));
    let _ = client.post(&routes::secret_reveal("NONE")).await.problem(404, "secret_not_found");
    let _ = server.anonymous().post(&routes::secret_reveal("TOKEN")).await.problem(401, "unauthenticated");
    let body = json!({ "key": "A-B", "value": "x".repeat(40_000), "pipelines": ["a/b"] });
    let problem = client.write(Method::POST, routes::SECRETS, &body).await.problem(422, "invalid_values");
    let fields: Vec<_> = problem.errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["/key", "/value", "/pipelines/0"]);
    let open = VaultChange { value: None, is_secret: Some(false), pipelines: None };
    let problem = client.write(Method::PUT, &routes::secret("TOKEN"), &open).await.problem(422, "invalid_values");
    assert_eq!(problem.errors[0].field, "/value");
}

#[tokio::test]
async fn a_key_is_replaced_and_what_only_the_old_one_opens_fails_by_name() {
    const OLD: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const NEW: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    let mut server = Server::start(Options::new().env("ENCRYPTION_KEY", OLD)).await;
    store(server.client(), "TOKEN", "swordfish-4711").await;
    let old = encrypted(server.client(), "encrypted with the old key").await.encrypted;
    server.pipeline("uses", "import os; print(len(os.environ['TOKEN']))");
    server.pipeline("old", "pass").json(&json!({ "encrypted_env": { "OTHER": old } }));

    server.options.env.insert("ENCRYPTION_KEY".to_owned(), format!("{NEW},{OLD}"));
    server.restart().await;
    let (code, told) = server.call(&["rotate-key"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("secrets and parameters: 1 encrypted anew, 0 had the first key already, 0 failed"), "{told}");
    let (code, told) = server.call(&["rotate-key"]);
    assert!(code == Some(0) && told.contains("0 encrypted anew, 1 had"), "{told}");

    server.options.env.insert("ENCRYPTION_KEY".to_owned(), NEW.to_owned());
    server.restart().await;
    let client = server.client();
    let run = client.run_well("uses").await;
    assert_eq!(client.log_text(&run.id).await, "14\n");
    let (run, message) = refused(client, "old").await;
    assert!(message.contains("`OTHER` in encrypted_env"), "{message}");
    assert!(client.log_text(&run.id).await.contains("`OTHER`"), "the log says so as well");

    server.options.env.insert("ENCRYPTION_KEY".to_owned(), OLD.to_owned());
    let (code, told) = server.call(&["rotate-key"]);
    assert!(code == Some(1) && told.contains("TOKEN: none of the keys opens it"), "{told}");
}

#[tokio::test]
async fn a_start_is_checked_against_the_parameters_of_the_pipeline() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    let script = "import os\nfor name in ('DAY', 'LIMIT', 'DRY', 'MODE'): print(name, os.environ.get(name))";
    server.pipeline("asks", script).json(&json!({ "parameters": [
        { "name": "DAY", "required": true, "description": "Which day" },
        { "name": "LIMIT", "type": "integer", "default": 10, "min": 1 },
        { "name": "DRY", "type": "boolean", "default": false },
        { "name": "MODE", "choices": ["fast", "full"] },
    ]}));
    let problem = client.try_start("asks").await.problem(422, "invalid_values");
    assert_eq!(problem.errors[0].field, "/parameters/DAY");
    let mut start = StartRun::default();
    for (name, value) in [("DAY", "today"), ("LIMIT", "0"), ("DRY", "maybe"), ("MODE", "slow"), ("DAYS", "2")] {
        start.parameters.insert(name.to_owned(), value.to_owned());
    }
    let problem = client.try_start_with("asks", &start).await.problem(422, "invalid_values");
    let fields: Vec<_> = problem.errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["/parameters/DAYS", "/parameters/LIMIT", "/parameters/DRY", "/parameters/MODE"]);
    assert_eq!(client.runs().await.len(), 0, "nothing was started");

    let mut start = StartRun::default();
    start.parameters.insert("DAY".to_owned(), "today".to_owned());
    start.parameters.insert("DRY".to_owned(), "True".to_owned());
    let run = client.start_with("asks", &start).await;
    let run = client.end_of(&run.id).await;
    assert_eq!(client.log_text(&run.id).await, "DAY today\nLIMIT 10\nDRY true\nMODE None\n");
    assert_eq!(run.parameters.len(), 3, "defaults are shown with the run: {:?}", run.parameters);
    let of_day = run.env_names.iter().find(|env| env.name == "DAY").expect("there");
    assert_eq!((of_day.source.as_str(), of_day.value.as_deref()), ("start", Some("today")));

    let _ = client.post(routes::SYNC).await.expect(200);
    let shown = client.pipeline("asks").await.parameters;
    assert_eq!((shown.len(), shown[3].choices.len()), (4, 2));
    server.pipeline("broken", script).file("pipeline.json", "{\n \"parameters\": [\n  {\"name\": \"A-B\"}\n ]\n}");
    let _ = client.post(routes::SYNC).await;
    let problem = client.try_start("broken").await.problem(409, "pipeline_invalid");
    assert!(problem.detail.contains("pipeline.json line 3"), "{}", problem.detail);
}
