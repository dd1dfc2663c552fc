//! Starts while commits go live, with all that a server has but Docker: git, sync, catalog, environments and runs are the
//! real ones, and the fake engine's containers read their files from the real disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use fastflow_shared::{RunStatus, SyncAuth, Trigger as StartedBy};
use futures_util::TryStreamExt;

use super::*;
use crate::catalog;
use crate::domain::clock::SystemClock;
use crate::engine::fake::{FakeDocker, program};
use crate::engine::{self, Network};
use crate::environments;
use crate::git;
use crate::journal::{self, Journal, TextOptions};
use crate::outbound::Outbound;
use crate::runs::{Rooms as RunRooms, Start, Steps};
use crate::store::testing;
use crate::vault::Vault;

/// What the preparation container does: the files that its real script would leave behind.
const PREPARATION: &str = "file $WORK/uv uv 0.9.1; file $WORK/python 3.12.1; file $TARGET/bin/python x";

/// What each run prints: three files of its commit.
const PROGRAM: &str = "show /app/a.txt /app/deep/er/b.txt /app/lib/c.txt";

const STARTS: usize = 500;

const COMMITS: u32 = 50;

fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Ada").env(format!("GIT_{role}_EMAIL"), "ada@example.org");
    }
    let output = command.output().expect("git is installed");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn commit(repository: &Path, number: u32) {
    for file in ["main.py", "a.txt", "deep/er/b.txt", "lib/c.txt"] {
        let path = repository.join("etl").join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, number.to_string()).expect("written");
    }
    git(repository, &["add", "-A"]);
    git(repository, &["commit", "-q", "-m", &number.to_string()]);
}

/// Sync and runs on a repository, with a fake Docker; and the journal, to read what runs have said.
async fn rooms(root: &Path, repository: &Path, store: Store) -> (Sync, Runs, Journal) {
    let path = |name: &str| root.join(name);
    let clock: SharedClock = Arc::new(SystemClock);
    let engine = Arc::new(FakeDocker::at(chrono::Utc::now()).engine(engine::Options::new("sync-test")));
    let user = format!("{}:{}", rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let prepares = environments::Options {
        root: path("uv"),
        image: "worker:1".to_owned(),
        user: user.clone(),
        network: Network::Own,
        ca_bundle: None,
        uv_env: vec![(program::VARIABLE.to_owned(), PREPARATION.to_owned())],
        deadline: Duration::from_secs(600),
    };
    let keyring = Arc::new(Keyring::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "test").expect("a key"));
    let folders = catalog::Options { pipelines_dir: path("pipelines"), code_dir: path("code") };
    let catalog = Catalog::new(folders, store.clone(), clock.clone());
    let journal = Journal::open(journal::Options { dir: path("logs"), max_bytes: None }).expect("a journal");
    let environments = Environments::open(prepares, engine.clone(), store.clone(), clock.clone()).expect("a folder");
    let run_rooms = RunRooms {
        store: store.clone(),
        cluster: Cluster::alone(store.clone(), clock.clone()),
        journal: journal.clone(),
        engine: engine.clone(),
        catalog: catalog.clone(),
        environments: environments.clone(),
        vault: Vault::new(store.clone(), keyring.clone(), clock.clone()),
        keyring: keyring.clone(),
        clock: clock.clone(),
    };
    let options = crate::runs::Options {
        instance: "sync-test".to_owned(),
        scratch_dir: path("scratch"),
        image: "worker:1".to_owned(),
        worker_user: user,
        network: Network::Own,
        ca_bundle: None,
        max_concurrent: 20,
        max_queued: STARTS,
        warm_containers: 0,
        min_free_bytes: 0,
        max_starting: 3,
        default_timeout: None,
        default_cpus: None,
        default_memory: None,
        pids: None,
        retry_attempts: 0,
        cancel_grace: Duration::from_secs(10),
        silence_limit: None,
        health_interval: Duration::from_secs(15),
        stop_on_shutdown: false,
        docker_patience: Duration::from_secs(60),
        steps: Steps::default(),
    };
    let runs = Runs::new(options, run_rooms).expect("a folder");
    let source = Source {
        repository_url: Some(repository.to_str().expect("UTF-8").to_owned()),
        branch: "main".to_owned(),
        auth: SyncAuth::None,
        ..Source::default()
    };
    let options = Options {
        pre_heat: true,
        image: "worker:1".to_owned(),
        pipelines_dir: path("pipelines"),
        commits_dir: path("commits"),
        source,
    };
    let minutes = Duration::from_secs(300);
    let rooms = Rooms {
        catalog,
        cluster: Cluster::alone(store.clone(), clock.clone()),
        environments,
        engine,
        runs: runs.clone(),
        store,
        clock: clock.clone(),
        keyring,
        git: Git::new(git::Options {
            program: None,
            folder: path("git"),
            deadline: minutes,
            test_deadline: minutes,
            ca_file: None,
        }),
        github: Github::new(Outbound::new(None).expect("a client"), clock),
    };
    (Sync::open(options, rooms).await.expect("opens"), runs, journal)
}

async fn sync_now(sync: &Sync) {
    let request = Request { branch: None, trigger: Trigger::Manual, by: None };
    sync.begin(request).expect("begun").end().await.expect("synced");
}

async fn said(journal: &Journal, run: &str) -> String {
    let stream = journal.text(run.parse().expect("an id"), TextOptions::default()).await.expect("a log");
    let pieces: Vec<_> = stream.try_collect().await.expect("readable");
    String::from_utf8(pieces.concat()).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_runs_end_while_fifty_commits_go_live_and_none_mixes_two() {
    let folder = tempfile::tempdir().expect("a folder");
    let repository = folder.path().join("repository");
    std::fs::create_dir_all(&repository).expect("made");
    git(&repository, &["init", "-q", "-b", "main"]);
    commit(&repository, 0);
    let (store, _database) = testing::sqlite().await;
    let (sync, runs, journal) = rooms(folder.path(), &repository, store.clone()).await;
    sync_now(&sync).await;

    // The commits come one for each ten starts, so they spread over all of them however quick this machine is.
    let (due, mut wanted) = tokio::sync::mpsc::channel::<u32>(1);
    let commits = async {
        while let Some(number) = wanted.recv().await {
            let repository = repository.clone();
            tokio::task::spawn_blocking(move || commit(&repository, number)).await.expect("committed");
            sync_now(&sync).await;
        }
    };
    let starts = async {
        let mut started = Vec::new();
        for number in 0..STARTS {
            if number % 10 == 0 {
                let next = u32::try_from(number / 10).expect("fits") + 1;
                due.send(next).await.expect("somebody commits");
            }
            let parameters = BTreeMap::from([(program::VARIABLE.to_owned(), PROGRAM.to_owned())]);
            let start = Start { parameters, ..Start::default() };
            started.push(runs.launch("etl", StartedBy::Manual, start).await.expect("accepted"));
        }
        drop(due);
        started
    };
    let ((), started) = tokio::join!(commits, starts);
    assert_eq!(started.len(), STARTS);
    let idle = async {
        while !store.unfinished_runs().await.expect("read").0.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), idle).await.expect("all runs end");

    let mut seen = BTreeSet::new();
    for run in &started {
        let row = store.run(&run.id).await.expect("stored");
        assert_eq!(row.status, RunStatus::Success, "{:?}", row.error_message);
        let number = run.commit_subject.clone().expect("a start says which commit it keeps");
        assert_eq!(said(&journal, &run.id).await, format!("{number} {number} {number}\n"));
        seen.insert(number);
    }
    eprintln!("{} of {} commits were run", seen.len(), COMMITS + 1);
    assert!(seen.len() > 20, "starts and commits came together: {seen:?}");
    let live = sync.status();
    assert_eq!(live.commit_subject.as_deref(), Some("50"));
    runs.shutdown().await;
}
