//! A repository of 500 pipelines: a push that changes one of them, and a look when there is nothing new.

use std::time::{Duration, Instant};

use fastflow_shared::routes;
use fastflow_tests::git::Repository;
use fastflow_tests::{Client, Server};
use reqwest::Method;
use serde_json::json;

use crate::fake::options;
use crate::report::{Report, Table, Times, both, millis};

const PIPELINES: usize = 500;
const SYNCS: usize = 21;

pub async fn part(report: &mut Report) {
    let repository = Repository::new();
    for number in 0..PIPELINES {
        let folder = format!("pipeline-{number:03}");
        repository.write(&format!("{folder}/main.py"), &format!("print({number})\n"));
        repository.write(&format!("{folder}/pipeline.json"), "{\"timeout\": 60}\n");
        repository.write(&format!("{folder}/lib/helper.py"), "VALUE = 1\n");
    }
    repository.commit("the first");
    let url = repository.bare().display().to_string();
    let server = Server::start(options().env("PIPELINES_REPO_URL", url).env("GIT_BRANCH", "main")).await;
    let client = server.client();
    let begin = Instant::now();
    sync(client).await;
    let first = begin.elapsed();
    let (mut changed, mut nothing) = (Times::default(), Times::default());
    for number in 0..SYNCS {
        repository.write("pipeline-007/main.py", &format!("print('change {number}')\n"));
        repository.commit(&format!("change {number}"));
        changed.push(sync(client).await);
        nothing.push(sync(client).await);
    }
    let mut table = Table::new("sync", &["a repository of 500 pipelines", "median / p95"])
        .note(format!("{SYNCS} each, from the request to its answer; 1,500 files, a repository on this machine."));
    table.row(&["the first sync (or joining it)", &millis(first)]);
    table.row(&["one pipeline has changed", &both(&changed)]);
    table.row(&["nothing is new", &both(&nothing)]);
    report.add(table);
}

async fn sync(client: &Client) -> Duration {
    let begin = Instant::now();
    let answer = client.write(Method::POST, routes::SYNC, &json!({})).await;
    assert!(answer.status.is_success(), "{}: {}", answer.status, answer.text());
    begin.elapsed()
}
