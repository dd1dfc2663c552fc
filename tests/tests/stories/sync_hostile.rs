//! Repositories that mean harm, disks that are full, and starts while commits come in.

use std::collections::BTreeSet;
use std::fs;

use fastflow_shared::{RunStatus, SyncRecord, SyncStatus, routes};
use fastflow_tests::git::{Door, HttpRemote, Repository};
use fastflow_tests::wait::{PATIENCE, until};
use fastflow_tests::{Client, Options, Server};

/// One entry of a tree as git stores it, whatever its name is.
fn entry(mode: &str, name: &[u8], hash: &str) -> Vec<u8> {
    let mut raw = format!("{mode} ").into_bytes();
    raw.extend_from_slice(name);
    raw.push(0);
    raw.extend(hex::decode(hash).expect("a hash"));
    raw
}

async fn synced(client: &Client) -> SyncStatus {
    let look = async || {
        let status: SyncStatus = client.fetch(routes::SYNC_STATUS).await;
        Some(status).filter(|status| !status.running && status.last_sync_at.is_some())
    };
    until("the sync to end", PATIENCE * 3, look).await
}

#[tokio::test]
async fn a_hostile_repository_neither_escapes_nor_breaks_the_others() {
    let repository = Repository::new();
    let blob = |content: &[u8]| repository.plumb(&["hash-object", "-w", "--stdin"], content);
    let tree = |entries: &[Vec<u8>]| {
        repository.plumb(&["hash-object", "-w", "--literally", "-t", "tree", "--stdin"], &entries.concat())
    };
    let outside = repository.work().join("outside");
    fs::write(&outside, "untouched").expect("written");
    let file = |name: &str, hash: &str| entry("100644", name.as_bytes(), hash);
    let (main, hello) = (blob(b"print('evil')"), blob(b"print('good')"));
    let link = |to: &str| blob(to.as_bytes());
    let secret = link("/etc/passwd");
    let up = tree(&[file("main.py", &main)]);
    let evil = tree(&[
        entry("120000", b"absolute", &secret),
        entry("120000", b"climbing", &link("../../../../../../etc/passwd")),
        entry("120000", b"inside", &link("main.py")),
        entry("120000", b"requirements.txt", &secret),
        // A link, and then a folder of its name through which something would be written.
        entry("120000", b"door", &link(outside.parent().and_then(|p| p.to_str()).expect("UTF-8"))),
        entry("40000", b"door", &tree(&[file("outside", &main)])),
        entry("40000", b"..", &up),
        entry("40000", b".git", &up),
        entry("40000", b".GIT", &up),
        file("../escaped.py", &main),
        file("main.py", &main),
        entry("160000", b"submodule", "1234567890123456789012345678901234567890"),
    ]);
    let mut entries = vec![
        entry("120000", b"etc", &link("/etc")),
        entry("40000", b"..", &up),
        entry("40000", b".git", &up),
        entry("40000", b"../up", &up),
        entry("40000", b"evil", &evil),
        entry("40000", b"Case", &tree(&[file("main.py", &hello)])),
        entry("40000", b"case", &tree(&[file("main.py", &hello)])),
        entry("40000", "größe — 大".as_bytes(), &tree(&[file("main.py", &hello)])),
        entry("40000", b"with space", &tree(&[file("main.py", &hello)])),
        entry("40000", b"bytes\xff", &tree(&[file("main.py", &hello)])),
        entry("40000", b"big", &tree(&[file("data.bin", &blob(&vec![7; 200 << 20])), file("main.py", &hello)])),
    ];
    let many = tree(&[file("main.py", &hello)]);
    entries.extend((0..2000).map(|number| entry("40000", format!("p{number:04}").as_bytes(), &many)));
    // One that unfolds to a million files.
    let mut bomb = tree(&(0..100).map(|n| file(&format!("f{n}"), &main)).collect::<Vec<_>>());
    for _ in 0..2 {
        bomb = tree(&(0..100).map(|n| entry("40000", format!("d{n}").as_bytes(), &bomb)).collect::<Vec<_>>());
    }
    entries.push(entry("40000", b"bomb", &tree(&[entry("40000", b"boom", &bomb), file("main.py", &hello)])));
    let root = tree(&entries);
    let commit = repository.plumb(&["commit-tree", &root, "-m", "Evil"], b"");
    repository.plumb(&["update-ref", "refs/heads/main", &commit], b"");

    // A folder, because git's own server checks what it sends.
    let url = repository.bare().to_str().expect("UTF-8").to_owned();
    let server = Server::start(Options::new().env("PIPELINES_REPO_URL", url)).await;
    let client = server.client();
    let told = synced(client).await;
    assert_eq!(
        (told.last_error.as_deref(), told.commit.as_deref()),
        (None, Some(commit.as_str())),
        "{:?}",
        told.last_error
    );
    assert!(told.pipelines > 2005, "{}", told.pipelines);

    let tree = server.data_dir().join("commits").join(&commit).join("tree");
    assert_eq!(fs::read_to_string(&outside).expect("there"), "untouched");
    assert!(
        !tree.join("etc").exists() && !tree.join(".git").exists() && !tree.parent().expect("p").join("up").exists()
    );
    for gone in ["absolute", "climbing", "requirements.txt", ".git", ".GIT"] {
        assert!(fs::symlink_metadata(tree.join("evil").join(gone)).is_err(), "{gone}");
    }
    assert_eq!(fs::read_link(tree.join("evil/inside")).expect("a link").to_str(), Some("main.py"));
    assert!(fs::read_dir(tree.join("evil/submodule")).expect("an empty folder").next().is_none());
    assert!(!server.data_dir().join("commits/escaped.py").exists() && !tree.join("escaped.py").exists());
    let invalid: BTreeSet<&str> = told.invalid.iter().map(String::as_str).collect();
    assert!(invalid.contains("bomb") && !invalid.contains("evil"), "{invalid:?}");
    let record = client.fetch::<Vec<SyncRecord>>(routes::SYNC_HISTORY).await.remove(0);
    let log = client.get(&routes::sync_log(&record.id)).await.expect(200).text();
    for words in ["evil/absolute is left out", "submodule", "../up is left out"] {
        assert!(log.contains(words), "{words}: {log}");
    }
    for good in ["evil", "Case", "case", "größe — 大", "with space", "p1999"] {
        client.run_well(good).await;
    }
}

#[tokio::test]
async fn a_full_disk_in_the_middle_of_a_fetch_leaves_the_old_code_live() {
    let repository = Repository::new();
    repository.write("etl/main.py", "print('kept')");
    repository.commit("First");
    let remote = HttpRemote::serve(&repository, Door::Open).await;
    let server = Server::start(Options::new().env("PIPELINES_REPO_URL", &remote.url).git_disk("2m")).await;
    let client = server.client();
    assert_eq!(synced(client).await.last_error, None);
    // What cannot be compressed.
    let noise: String =
        (0..400_000_u64).map(|n| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31))).collect();
    repository.write("etl/noise.txt", &noise).write("etl/main.py", "print('new')");
    repository.commit("Too much");
    for _ in 0..2 {
        let problem = client.post(routes::SYNC).await.problem(503, "disk_full");
        assert!(problem.detail.contains("full") || problem.detail.contains("space"), "{problem:?}");
    }
    let run = client.run_well("etl").await;
    assert_eq!(client.log_text(&run.id).await, "kept\n");

    // Less of it fits again: what the full disk left of the mirror is no obstacle.
    repository.git(&["reset", "-q", "--hard", "HEAD~1"]);
    repository.write("etl/main.py", "print('small')");
    repository.commit("Small");
    let _ = client.post(routes::SYNC).await.expect(200);
    let run = client.run_well("etl").await;
    assert_eq!(client.log_text(&run.id).await, "small\n");
}

#[tokio::test]
async fn five_hundred_starts_while_fifty_commits_are_synced_never_mix_files() {
    start_while_commits_are_synced(12).await;
}

#[tokio::test]
#[ignore = "takes minutes: all of them in Docker"]
async fn five_hundred_runs_while_fifty_commits_are_synced_never_mix_files() {
    start_while_commits_are_synced(500).await;
}

/// Five hundred starts over HTTP while fifty commits go live. Every start keeps its code at once; all of these copies are
/// looked at, and some of the runs, spread over all, say in Docker what they see. The others are cancelled.
async fn start_while_commits_are_synced(ended: usize) {
    const MAIN: &str = "import lib.c\nprint(open('a.txt').read(), open('deep/er/b.txt').read(), lib.c.VALUE)";
    let repository = Repository::new();
    let commit = |number: u32| {
        repository
            .write("etl/main.py", MAIN)
            .write("etl/a.txt", &number.to_string())
            .write("etl/deep/er/b.txt", &number.to_string())
            .write("etl/lib/c.py", &format!("VALUE = {number}"));
        repository.commit(&number.to_string())
    };
    commit(0);
    let remote = HttpRemote::serve(&repository, Door::Open).await;
    let options = Options::new().env("PIPELINES_REPO_URL", &remote.url).env("MAX_QUEUED_RUNS", "1000");
    let server = Server::start(options).await;
    let client = server.client();
    assert_eq!(synced(client).await.last_error, None);

    let commits = async {
        for number in 1..=50 {
            commit(number);
            let _ = client.post(routes::SYNC).await.expect(200);
        }
    };
    let starts = async {
        let mut runs = Vec::new();
        for _ in 0..100 {
            let five = (0..5).map(|_| client.start("etl"));
            runs.extend(futures_util::future::join_all(five).await);
        }
        runs
    };
    let ((), runs) = tokio::join!(commits, starts);
    assert_eq!(runs.len(), 500);

    let mut states = BTreeSet::new();
    for state in fs::read_dir(server.data_dir().join("code")).expect("kept code").flatten() {
        let folder = state.path().join("etl");
        let read = |file: &str| fs::read_to_string(folder.join(file)).expect("whole");
        let (a, b, c) = (read("a.txt"), read("deep/er/b.txt"), read("lib/c.py"));
        assert_eq!((&b, &c), (&a, &format!("VALUE = {a}")), "{}", folder.display());
        states.insert(a);
    }
    let subjects: BTreeSet<String> = runs.iter().filter_map(|run| run.commit_subject.clone()).collect();
    assert_eq!(subjects, states, "each start says which commit it keeps");
    eprintln!("{} commits were started", states.len());
    assert!(states.len() > 5, "starts and commits came together: {states:?}");

    let kept: Vec<_> = runs.iter().step_by(runs.len() / ended).take(ended).collect();
    for run in runs.iter().filter(|run| kept.iter().all(|kept| kept.id != run.id)) {
        let _ = client.cancel(&run.id).await;
    }
    for run in kept {
        let ended = client.end_of(&run.id).await;
        assert_eq!(ended.status, RunStatus::Success, "{:?}", ended.error_message);
        let number = run.commit_subject.clone().expect("a subject");
        assert_eq!(client.log_text(&run.id).await, format!("{number} {number} {number}\n"));
    }
    client.idle().await;
}
