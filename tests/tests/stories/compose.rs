//! The compose file, with all its profiles: its services are started as it describes them, with stand-ins for images that cannot
//! be pulled here, and used from outside over HTTPS. What the file says that this story does not know makes it fail.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use fastflow_tests::docker::{self, docker};
use fastflow_tests::pipelines::Pipeline;
use fastflow_tests::server::{PASSWORD, USER};
use fastflow_tests::wait::{PATIENCE, until};
use fastflow_tests::{place, wait};
use serde_json::{Value, json};

use super::image::Product;

/// Prints a YAML file as JSON.
const TO_JSON: &str = "import json, sys; from ruamel.yaml import YAML; \
    json.dump(YAML(typ='safe').load(open(sys.argv[1])), sys.stdout)";

/// What the image of PostgreSQL does at its first start, with this machine's PostgreSQL.
const POSTGRES: &str = r#"
set -eu
mkdir -p /run/postgresql "$PGDATA"
printf %s "$POSTGRES_PASSWORD" >/tmp/password
chown nobody /run/postgresql "$PGDATA" /tmp/password
chmod 700 "$PGDATA"
as() { setpriv --reuid nobody --regid nogroup --clear-groups "$@"; }
as initdb -D "$PGDATA" -U "$POSTGRES_USER" --pwfile /tmp/password --auth-local trust --auth-host scram-sha-256 -E UTF8 --locale C.UTF-8
echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
echo "CREATE DATABASE $POSTGRES_DB" | as postgres --single -D "$PGDATA" postgres
exec setpriv --reuid nobody --regid nogroup --clear-groups postgres -D "$PGDATA" -c "listen_addresses=*"
"#;

/// The file, and what was started of it; removed with the value.
struct Compose {
    /// Name of the project, with which everything of it begins.
    project: String,
    root: PathBuf,
    file: Value,
    /// What `.env` says, which also replaces `${…}` in the file.
    variables: BTreeMap<String, String>,
    /// Ports of this machine, by those of the file.
    ports: BTreeMap<String, u16>,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

impl Compose {
    fn read(project: &str, root: PathBuf, variables: BTreeMap<String, String>) -> Self {
        let path = place::repository().join("docker-compose.yaml");
        let mut python = std::process::Command::new(place::service("FASTFLOW_TEST_PYTHON"));
        let output = python.args(["-c", TO_JSON]).arg(path).output().expect("Python");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let file = serde_json::from_slice(&output.stdout).expect("JSON");
        let env: String = variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        std::fs::write(root.join(".env"), env).expect("a file");
        Self { project: project.to_owned(), root, file, variables, ports: BTreeMap::new() }
    }

    /// Replaces `${NAME:-default}`.
    fn filled(&self, text: &str) -> String {
        let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
        let (name, after) = rest.split_once('}').expect("it ends");
        let (name, default) = name.split_once(":-").unwrap_or((name, ""));
        let value = self.variables.get(name).map_or(default, String::as_str);
        format!("{before}{value}{}", self.filled(after))
    }

    fn container(&self, service: &str) -> String {
        format!("{}-{service}", self.project)
    }

    fn network(&self) -> String {
        format!("{}-front", self.project)
    }

    /// Makes the network, but with a subnet that nobody on this machine has.
    async fn make_network(&self, subnet: &str) {
        assert_eq!(self.file["networks"], json!({"front": {"ipam": {"config": [{"subnet": "172.30.40.0/24"}]}}}));
        docker(&["network", "create", "--subnet", subnet, &self.network()]).await;
    }

    /// Starts a service as the file describes it; `more` is what a stand-in needs instead of its image.
    async fn up(&mut self, service: &str, image: &str, more: &[String], command: &[String]) {
        let described = self.file["services"][service].as_object().expect("the service").clone();
        let name = self.container(service);
        let mut arguments: Vec<String> = ["run", "--detach", "--name", &name].map(str::to_owned).into();
        if described.get("init") == Some(&json!(true)) {
            arguments.push("--init".to_owned());
        }
        let mut own_command = Vec::new();
        let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
        for (key, value) in &described {
            let list = || value.as_array().into_iter().flatten();
            match key.as_str() {
                // Built, named and added above, and chosen by whom the story plays.
                "build" | "image" | "profiles" | "init" => {}
                "restart" => add("--restart", text(value).to_owned()),
                "userns_mode" => add("--userns", text(value).to_owned()),
                "stop_grace_period" => add("--stop-timeout", text(value).trim_end_matches('s').to_owned()),
                "env_file" => {
                    assert_eq!(*value, json!([{"path": ".env", "required": false}]));
                    add("--env-file", self.root.join(".env").display().to_string());
                }
                "environment" => {
                    for (name, value) in value.as_object().expect("names and values") {
                        add("--env", format!("{name}={}", self.filled(text(value))));
                    }
                }
                "ports" => {
                    for port in list() {
                        let inside = text(port).rsplit(':').next().expect("a port").to_owned();
                        let outside = place::free_port();
                        add("--publish", format!("127.0.0.1:{outside}:{inside}"));
                        self.ports.insert(inside, outside);
                    }
                }
                "volumes" => {
                    for volume in list() {
                        let (source, target) = text(volume).split_once(':').expect("a source and a target");
                        let source = match source.chars().next() {
                            Some('/') => source.to_owned(),
                            Some('.') => self.root.join(source.trim_start_matches("./")).display().to_string(),
                            _ => {
                                assert!(self.file["volumes"].get(source).is_some(), "{source} is declared");
                                format!("{}-{source}", self.project)
                            }
                        };
                        add("--volume", format!("{source}:{target}"));
                    }
                }
                "security_opt" => list().for_each(|option| add("--security-opt", text(option).to_owned())),
                "networks" => {
                    assert_eq!(*value, json!(["front"]));
                    add("--network", format!("{}-front", self.project));
                    add("--network-alias", service.to_owned());
                }
                "healthcheck" => {
                    assert_eq!(value["test"][0], "CMD-SHELL");
                    add("--health-cmd", text(&value["test"][1]).to_owned());
                    add("--health-interval", text(&value["interval"]).to_owned());
                    add("--health-timeout", text(&value["timeout"]).to_owned());
                    add("--health-retries", value["retries"].to_string());
                }
                "command" => own_command = list().map(|word| self.filled(text(word))).collect(),
                other => panic!("the story does not know what {other:?} of {service} means"),
            }
        }
        arguments.extend_from_slice(more);
        arguments.push(image.to_owned());
        arguments.extend(own_command);
        arguments.extend_from_slice(command);
        docker(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }

    /// Asks through the proxy, as a client that has never heard of its authority.
    async fn https(&self, path: &str, more: &[&str]) -> Option<String> {
        let mut curl = tokio::process::Command::new("curl");
        curl.args(["--insecure", "--silent", "--show-error", "--include", "--no-buffer", "--max-time", "60"]);
        curl.args(more).arg(format!("https://localhost:{}{path}", self.ports["443"])).kill_on_drop(true);
        let output = wait::within(path, Duration::from_secs(90), curl.output()).await.expect("curl");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        let run = |arguments: &[&str]| std::process::Command::new("docker").args(arguments).output();
        for service in ["fastflow", "postgres", "proxy"] {
            let name = self.container(service);
            if std::thread::panicking()
                && let Ok(logs) = run(&["logs", "--tail", "40", &name])
            {
                eprintln!("{service} said:\n{}", String::from_utf8_lossy(&[logs.stdout, logs.stderr].concat()));
            }
            let _ = run(&["rm", "--force", "--volumes", &name]);
        }
        for volume in ["data", "postgres", "certificates"] {
            let _ = run(&["volume", "rm", &format!("{}-{volume}", self.project)]);
        }
        let _ = run(&["network", "rm", &self.network()]);
    }
}

#[tokio::test]
async fn the_services_of_all_profiles_work_together_as_the_compose_file_describes_them() {
    let product = Product::build().await;
    let subnet = format!("172.30.{}.0/24", 41 + std::process::id() % 200);
    let root = product.pipelines.parent().expect("its folder").to_owned();
    let _ = Pipeline::create(&product.pipelines, "hello", "print('hello from behind a proxy')");
    let worker = docker::image();
    let variables = [
        ("POSTGRES_PASSWORD", "a-quiet-word"),
        ("DATABASE_URL", "postgres://fastflow:a-quiet-word@postgres:5432/fastflow"),
        ("FASTFLOW_DOMAIN", "localhost"),
        ("TRUSTED_PROXIES", subnet.as_str()),
        ("ADMIN_PASSWORD", PASSWORD),
        ("FASTFLOW_INSTANCE", product.name.as_str()),
        ("WORKER_BASE_IMAGE", worker.as_str()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut compose = Compose::read(&format!("{}-compose", product.name), root, variables);
    compose.make_network(&subnet).await;

    // Nothing says which one comes first: the product waits for its database.
    compose.up("fastflow", &product.name, &[], &[]).await;
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let programs = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL").flatten().map(|entry| entry.path());
    let programs = programs.max().expect("a version").join("bin").display().to_string();
    let path = format!("PATH={programs}:/usr/sbin:/usr/bin:/sbin:/bin");
    let as_postgres = ["--volume", "/usr:/usr:ro", "--env", &path, "--env", "PGDATA=/var/lib/postgresql/data/pg"];
    let stand_in = [&as_postgres[..], &["--entrypoint", "/bin/sh"]].concat();
    compose.up("postgres", &worker, &owned(&stand_in), &owned(&["-c", POSTGRES])).await;
    let caddy = format!("{}:/usr/local/bin/caddy:ro", place::service("FASTFLOW_TEST_CADDY"));
    let as_caddy = ["--volume", &caddy, "--env", "XDG_DATA_HOME=/data", "--env", "HOME=/data", "--entrypoint", ""];
    compose.up("proxy", &worker, &owned(&as_caddy), &[]).await;

    let database = compose.container("postgres");
    until("the database's health check", PATIENCE, async || {
        let health = docker(&["inspect", "--format", "{{.State.Health.Status}}", &database]).await;
        (health == "healthy").then_some(())
    })
    .await;
    until("the product behind its proxy", PATIENCE, async || {
        let ready = compose.https("/ready", &[]).await;
        ready.filter(|answer| answer.lines().next().is_some_and(|line| line.contains(" 200")))
    })
    .await;

    // Over HTTPS the cookie is for HTTPS alone, because the proxy is believed; and a stream is not held back.
    let login = json!({ "username": USER, "password": PASSWORD }).to_string();
    let json = ["--header", "Content-Type: application/json", "--data", &login];
    let answer = compose.https("/api/auth/login", &json).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let head = head.to_lowercase();
    let cookie = head.lines().find(|line| line.starts_with("set-cookie:")).expect("a cookie");
    assert!(cookie.contains("secure") && head.contains("strict-transport-security:"), "{head}");
    let token =
        serde_json::from_str::<Value>(body).expect("JSON")["access_token"].as_str().expect("a token").to_owned();
    let bearer = format!("Authorization: Bearer {token}");
    let started = compose.https("/api/pipelines/hello/run", &["--header", &bearer, "--request", "POST"]).await;
    let started = started.expect("an answer");
    let run = serde_json::from_str::<Value>(started.split_once("\r\n\r\n").expect("a body").1).expect("JSON");
    let stream = format!("/api/runs/{}/logs/stream", run["id"].as_str().unwrap_or_else(|| panic!("{started}")));
    let streamed = compose.https(&stream, &["--header", &bearer]).await.expect("it ends by itself");
    assert!(streamed.contains("hello from behind a proxy") && streamed.contains("event: end"), "{streamed}");
    assert!(streamed.contains("SUCCESS"), "{streamed}");

    let product = compose.container("fastflow");
    let told = docker(&["exec", &product, "fastflow", "doctor"]).await;
    assert!(told.contains("PostgreSQL") && !told.contains("FAIL"), "{told}");
}
