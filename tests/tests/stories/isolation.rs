//! One pipeline cannot touch another, whatever it tries.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, os::unix::fs::MetadataExt};

use fastflow_shared::{NewVaultEntry, StartRun, routes};
use fastflow_tests::options::{Database, UvCache};
use fastflow_tests::{Options, Server, docker};
use reqwest::Method;

/// Tries every way out that comes to mind and reports each that worked.
const VANDAL: &str = r"
import os, sys, glob, pathlib, subprocess, humanize

def attempt(name, action):
    try:
        action()
    except (OSError, PermissionError) as error:
        print(f'refused: {name}: {type(error).__name__}')
    else:
        print(f'WORKED: {name}')

def overwrite(path):
    with open(path, 'a') as file:
        file.write('# vandal')

package = humanize.__file__
attempt('append to a package', lambda: overwrite(package))
attempt('replace a package', lambda: os.replace(package, '/tmp/gone'))
attempt('add to the environment', lambda: overwrite(os.path.join(sys.prefix, 'vandal.py')))
attempt('change modes', lambda: os.chmod(package, 0o777))
attempt('write beside the environments', lambda: overwrite(os.path.join(sys.prefix, '..', 'vandal')))
attempt('write into the cache', lambda: overwrite('/fastflow/uv/cache/vandal'))
attempt('list the cache', lambda: print(os.listdir('/fastflow/uv/cache')))
attempt('list other environments', lambda: [] if len(os.listdir('/fastflow/uv/environments')) > 1 else os.listdir('/nowhere'))
attempt('write into the system', lambda: overwrite('/usr/bin/python3'))
attempt('write at the root', lambda: overwrite('/vandal'))
attempt('leave the folder', lambda: overwrite('/app/../victim/main.py'))
attempt('read another pipeline', lambda: open('/app/../victim/main.py').read())
attempt('talk to Docker', lambda: open('/var/run/docker.sock').read())
attempt('become root', lambda: os.setuid(0))
attempt('mount', lambda: subprocess.run(['mount', '-o', 'remount,rw', '/'], check=True, stderr=subprocess.DEVNULL) if os.path.exists('/bin/nothing') else os.listdir('/nowhere'))
# Its own view is its own: it may do what it wants there.
overwrite('/app/main.py')
overwrite('/app/vandal/main.py')
os.remove('/app/kept.txt')
print('done')
";

/// Every file below a folder with its size, time and content's start; links as they are.
fn picture(root: &Path) -> BTreeMap<String, (u64, i64, i64, u32)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let meta = entry.metadata().expect("readable");
            if meta.is_dir() {
                folders.push(entry.path());
            } else {
                let facts = (meta.size(), meta.mtime(), meta.mtime_nsec(), meta.mode());
                all.insert(entry.path().display().to_string(), facts);
            }
        }
    }
    all
}

#[tokio::test]
async fn a_pipeline_cannot_change_anything_but_its_own_view() {
    a_pipeline_cannot_change_anything_but_its_own_view_with(0).await;
}

#[tokio::test]
async fn a_pipeline_cannot_change_anything_but_its_own_view_for_a_warm_start() {
    a_pipeline_cannot_change_anything_but_its_own_view_with(2).await;
}

async fn a_pipeline_cannot_change_anything_but_its_own_view_with(warm: usize) {
    let server = Server::start(Options::new().uv_cache(UvCache::Own).warm(warm)).await;
    let client = server.client();
    server.pipeline("victim", "import humanize; print('unharmed')").requirements("humanize>=4.9,<5\n");
    server.pipeline("vandal", VANDAL).requirements("humanize>=4.9,<5\n").file("kept.txt", "still here");
    client.run_well("victim").await;
    let (repository, uv) = (server.pipelines_dir(), server.uv_cache_dir());
    let before = (picture(&repository), picture(&uv));
    let run = client.run_well("vandal").await;
    let log = client.log_text(&run.id).await;
    assert!(!log.contains("WORKED") && log.ends_with("done\n"), "{log}");
    assert_eq!(log.matches("refused").count(), 15, "{log}");
    assert_eq!(picture(&repository), before.0, "the repository is as it was");
    assert_eq!(picture(&uv), before.1, "cache and environments are as they were");
    assert!(client.log_text(&client.run_well("victim").await.id).await.contains("unharmed"));
    client.idle().await;
    assert_eq!(run.warm_start, warm > 0);
    assert!(!server.data_dir().join("scratch").join(&run.id).exists(), "views vanish with their runs");
}

#[tokio::test]
async fn docker_inspect_the_database_and_the_messages_show_no_value() {
    docker_inspect_the_database_and_the_messages_show_no_value_with(0).await;
}

#[tokio::test]
async fn docker_inspect_the_database_and_the_messages_show_no_value_for_a_warm_start() {
    docker_inspect_the_database_and_the_messages_show_no_value_with(2).await;
}

async fn docker_inspect_the_database_and_the_messages_show_no_value_with(warm: usize) {
    // Its file is read below, byte by byte.
    let server = Server::start(Options::new().database(Database::Sqlite).warm(warm)).await;
    let client = server.client();
    server.pipeline(
        "spy",
        "import os, time; print(len(os.environ['VAULT_SECRET']), len(os.environ['GIVEN']), flush=True); time.sleep(3)",
    );
    let secret = NewVaultEntry {
        key: "VAULT_SECRET".to_owned(),
        value: "vault-value-9f2c".to_owned(),
        is_secret: true,
        pipelines: Vec::new(),
    };
    let _ = client.write(Method::POST, routes::SECRETS, &secret).await.expect(201);
    let mut start = StartRun::default();
    start.env_vars.insert("GIVEN".to_owned(), "given-value-71ab".to_owned());
    let run = client.start_with("spy", &start).await;
    client.log_when(&run.id, "16 16").await;
    let container = docker::container_of(&run.id).await.expect("it has a container");
    let inspected = docker::inspect(&container).await.to_string();
    let shown = serde_json::to_string(&client.run(&run.id).await).expect("JSON");
    let listed = client.get(routes::SECRETS).await.expect(200).text();
    let run = client.end_of(&run.id).await;
    assert_eq!(run.warm_start, warm > 0);
    assert_eq!(run.env_names.len(), 2, "{:?}", run.env_names);
    let mut files = fs::read(server.data_dir().join("fastflow.db")).expect("the database");
    files.extend(fs::read(server.data_dir().join("fastflow.db-wal")).unwrap_or_default());
    let messages = server.messages();
    for value in ["vault-value-9f2c", "given-value-71ab"] {
        let holds = |text: &str| text.contains(value);
        assert!(!holds(&inspected) && !holds(&shown) && !holds(&listed) && !holds(&messages), "{value} is shown");
        let found = files.windows(value.len()).any(|window| window == value.as_bytes());
        assert!(!found, "{value} lies in the database in clear");
    }
    assert!(!inspected.contains("VAULT_SECRET") && !inspected.contains("FASTFLOW_RUN_ID"), "not even the names");
}
