//! What a pipeline sees: the worker contract.

use fastflow_shared::{EnvName, NewVaultEntry, RunStatus, StartRun, routes};
use fastflow_tests::{Options, Server, docker};
use reqwest::Method;
use serde_json::{Value, json};

/// Tells all that it sees, as one line of JSON.
const LOOKS_AROUND: &str = r"
import json, os, sys, helper, tempfile, pathlib, socket

def can_write(path):
    try:
        pathlib.Path(path, 'probe').write_text('x')
        return True
    except OSError:
        return False

status = dict(line.split(':\t', 1) for line in open('/proc/self/status').read().splitlines() if ':\t' in line)
print(json.dumps({
    'argv': sys.argv, 'name': __name__, 'cwd': os.getcwd(), 'helper': helper.VALUE,
    'by_name': open('/app/looks/data/table.csv').read(), 'relative': open('data/table.csv').read(),
    'home': os.path.expanduser('~'), 'home_writable': can_write(os.path.expanduser('~')),
    'tmp_writable': can_write('/tmp') and can_write(tempfile.gettempdir()), 'app_writable': can_write('/app'),
    'root_writable': can_write('/'), 'usr_writable': can_write('/usr'),
    'uid': os.getuid(), 'gid': os.getgid(), 'groups': os.getgroups(),
    'capabilities': [status[name] for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')],
    'no_new_privileges': status['NoNewPrivs'], 'prefix': sys.prefix,
    'in_environment': sys.prefix != sys.base_prefix,
    'env': dict(os.environ), 'stdin': sys.stdin.read(),
}))
print('to stderr', file=sys.stderr)
";

#[tokio::test]
async fn the_worker_contract_holds() {
    the_worker_contract_holds_with(0).await;
}

#[tokio::test]
async fn the_worker_contract_holds_for_a_warm_start() {
    the_worker_contract_holds_with(2).await;
}

async fn the_worker_contract_holds_with(warm: usize) {
    let server = Server::start(Options::new().warm(warm)).await;
    let client = server.client();
    let pipeline = server.pipeline("looks", LOOKS_AROUND).file("helper.py", "VALUE = 'sibling'");
    std::fs::create_dir(pipeline.folder().join("data")).expect("a folder");
    pipeline.file("data/table.csv", "a;b\n");
    let run = client.run_well("looks").await;
    let out = client.log_with(&run.id, "?stream=stdout").await;
    assert_eq!(client.log_with(&run.id, "?stream=stderr").await, "to stderr\n");
    let seen: Value = serde_json::from_slice(&out).expect("one line of JSON");
    let expected = json!({
        "argv": ["main.py"], "name": "__main__", "cwd": "/app", "helper": "sibling",
        "by_name": "a;b\n", "relative": "a;b\n",
        "home_writable": true, "tmp_writable": true, "app_writable": true, "root_writable": false, "usr_writable": false,
        "uid": 10001, "gid": 10001, "no_new_privileges": "1", "in_environment": true, "stdin": "",
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&seen[name], value, "{name}");
    }
    for set in seen["capabilities"].as_array().expect("a list") {
        assert_eq!(set, "0000000000000000", "all capabilities are dropped");
    }
    let env = &seen["env"];
    assert_eq!(env["FASTFLOW_RUN_ID"], run.id.as_str());
    assert_eq!(env["FASTFLOW_PIPELINE"], "looks");
    assert_eq!(env["FASTFLOW_ATTEMPT"], "1");
    assert_eq!(env["FASTFLOW_COMMIT"], run.commit.as_deref().unwrap_or_default());
    assert_eq!(env["HOME"], seen["home"]);
    for secret in ["ADMIN_PASSWORD", "ENCRYPTION_KEY", "DATABASE_URL", "DOCKER_HOST"] {
        assert!(env.get(secret).is_none(), "{secret} of the server is none of the run's business");
    }
    assert_eq!(run.warm_start, warm > 0);
    assert!(run.uv_version.is_some() && run.setup_duration.is_some() && run.environment.is_some());
}

#[tokio::test]
async fn the_container_is_hardened_labelled_and_limited() {
    the_container_is_hardened_labelled_and_limited_with(0).await;
}

#[tokio::test]
async fn the_container_is_hardened_labelled_and_limited_for_a_warm_start() {
    the_container_is_hardened_labelled_and_limited_with(2).await;
}

async fn the_container_is_hardened_labelled_and_limited_with(warm: usize) {
    let server = Server::start(Options::new().warm(warm)).await;
    let client = server.client();
    let limits =
        json!({ "cpu_hard_limit": 0.5, "mem_hard_limit": "96m", "cpu_soft_limit": 0.4, "mem_soft_limit": "80M" });
    server.pipeline("nap", "import time; print('up', flush=True); time.sleep(4)").json(&limits);
    let run = client.start("nap").await;
    client.log_when(&run.id, "up").await;
    let container = docker::inspect(&docker::container_of(&run.id).await.expect("a container")).await;
    let (host, config) = (&container["HostConfig"], &container["Config"]);
    assert_eq!(config["Labels"]["fastflow-run-id"], run.id.as_str());
    // A container that was started ahead did not know yet.
    assert_eq!(config["Labels"]["fastflow-pipeline"].as_str(), (warm == 0).then_some("nap"));
    assert_eq!(config["Labels"]["fastflow-instance"], server.instance());
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(host["Privileged"], false);
    assert_eq!(host["CapDrop"], json!(["ALL"]));
    assert_eq!(host["SecurityOpt"], json!(["no-new-privileges"]));
    assert_eq!(host["PidsLimit"], 512);
    assert_eq!((host["Memory"].as_i64(), host["MemorySwap"].as_i64()), (Some(96 << 20), Some(96 << 20)));
    assert_eq!(host["NanoCpus"], 500_000_000);
    assert_ne!(host["NetworkMode"], "host");
    assert_ne!(host["NetworkMode"], "bridge", "a network of our own");
    assert_eq!(config["User"], "10001:10001");
    for mount in container["Mounts"].as_array().expect("a list") {
        let target = mount["Destination"].as_str().unwrap_or_default();
        let writable = mount["RW"].as_bool().unwrap_or(true);
        assert!(!writable || ["/app", "/tmp"].contains(&target), "{target} is writable");
        assert!(!mount["Source"].as_str().unwrap_or_default().contains("docker.sock"));
    }
    let shown = client.run(&run.id).await;
    assert_eq!((shown.cpu_limit, shown.memory_limit), (Some(0.5), Some(96 << 20)));
    assert_eq!((shown.cpu_soft_limit, shown.memory_soft_limit), (Some(0.4), Some(80 << 20)));
    let run = client.end_of(&run.id).await;
    assert_eq!(run.warm_start, warm > 0);
    let mut server = server;
    server.terminate().await;
    docker::all_gone(server.instance()).await;
}

#[tokio::test]
async fn values_given_at_start_win_over_the_vault_and_that_over_default_env() {
    values_given_at_start_win_over_the_vault_and_that_over_default_env_with(0).await;
}

#[tokio::test]
async fn values_given_at_start_win_over_the_vault_and_that_over_default_env_for_a_warm_start() {
    values_given_at_start_win_over_the_vault_and_that_over_default_env_with(2).await;
}

async fn values_given_at_start_win_over_the_vault_and_that_over_default_env_with(warm: usize) {
    let server = Server::start(Options::new().warm(warm)).await;
    let client = server.client();
    let names = ["ONLY_DEFAULT", "VAULT_WINS", "START_WINS", "GIVEN", "NUMBER", "SECRET"];
    let script = format!(
        "import os, sys\nfor name in {names:?}: print(name, os.environ[name], sep='=')\nprint(os.environ['FASTFLOW_PIPELINE'])"
    );
    server.pipeline("env", &script).json(&json!({ "default_env": {
        "ONLY_DEFAULT": "default", "VAULT_WINS": "default", "START_WINS": "default", "NUMBER": 10
    }}));
    for (key, is_secret) in [("VAULT_WINS", false), ("START_WINS", true), ("SECRET", true)] {
        let entry = NewVaultEntry { key: key.to_owned(), value: "vault".to_owned(), is_secret, pipelines: Vec::new() };
        let _ = client.write(Method::POST, routes::SECRETS, &entry).await.expect(201);
    }
    let mut start = StartRun::default();
    start.parameters.insert("GIVEN".to_owned(), "ü = \"1\"\n2".to_owned());
    start.env_vars.insert("START_WINS".to_owned(), "start".to_owned());
    let run = client.start_with("env", &start).await;
    let run = client.end_of(&run.id).await;
    let log = client.log_text(&run.id).await;
    assert_eq!(run.status, RunStatus::Success, "{log}");
    let expected =
        "ONLY_DEFAULT=default\nVAULT_WINS=vault\nSTART_WINS=start\nGIVEN=ü = \"1\"\n2\nNUMBER=10\nSECRET=vault\nenv\n";
    assert_eq!(log, expected);
    let source_of = |name: &str| {
        let found = run.env_names.iter().find(|entry: &&EnvName| entry.name == name);
        found.map(|entry| entry.source.as_str())
    };
    assert_eq!(run.warm_start, warm > 0);
    let found = names.map(source_of);
    let expected = ["default_env", "parameter", "start", "start", "default_env", "secret"].map(Some);
    assert_eq!(found, expected);
    assert_eq!(run.parameters.get("GIVEN").map(String::as_str), Some("ü = \"1\"\n2"));
    assert!(!run.parameters.contains_key("START_WINS"), "values in env_vars are never shown");
}
