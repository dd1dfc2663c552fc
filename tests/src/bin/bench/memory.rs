//! What the server needs while it waits.

use std::path::Path;
use std::time::Duration;

use fastflow_shared::routes;
use fastflow_tests::git::Repository;
use fastflow_tests::wait::until;
use fastflow_tests::{Options, Server};

use crate::fake::megabytes;
use crate::report::{Report, Table};
use crate::usage;

/// Pipelines of the server.
const PIPELINES: usize = 500;

pub async fn part(report: &mut Report) {
    let head = ["server with 500 pipelines", "resident", "its own", "of the program file", "shared with others"];
    let mut table = Table::new("memory", &head).note(
        "As the kernel counts it (smaps_rollup, Docker as engine, 2 parked containers as by default); idle: after 180 requests and a \
         run, and half a minute of nothing."
            .to_owned(),
    );
    // Beside everything of the bench, for that lies in a repository: the one of the product.
    let plain = std::env::temp_dir().join(format!("fastflow-bench-{}", std::process::id()));
    lay_out(&plain);
    let server = Server::prepare(options().env("PIPELINES_DIR", plain.display().to_string())).await;
    measure(server, "a plain folder", &mut table).await;
    std::fs::remove_dir_all(&plain).expect("removed");

    let repository = Repository::new();
    lay_out(&repository.work());
    repository.commit("all");
    let url = repository.bare().display().to_string();
    let server = Server::prepare(options().env("PIPELINES_REPO_URL", url).env("GIT_BRANCH", "main")).await;
    measure(server, "synced from git", &mut table).await;

    let server = Server::prepare(options()).await;
    lay_out(&server.pipelines_dir());
    measure(server, "a working tree of git", &mut table).await;
    report.add(table);
}

/// As an operator starts the program: no variable of the C library's.
fn options() -> Options {
    Options::new().env("LOG_LEVEL", "warn").warm(2)
}

fn lay_out(folder: &Path) {
    for number in 0..PIPELINES {
        let pipeline = folder.join(format!("pipeline-{number:03}"));
        std::fs::create_dir_all(&pipeline).expect("a folder");
        std::fs::write(pipeline.join("main.py"), "print('hello')").expect("a script");
    }
}

async fn measure(mut server: Server, whose: &str, table: &mut Table) {
    server.launch().await;
    let client = server.client();
    until("500 pipelines", Duration::from_secs(60), async || {
        let answer = client.get(routes::PIPELINES).await;
        answer.text().contains("pipeline-499").then_some(())
    })
    .await;
    for _ in 0..60 {
        client.get(routes::PIPELINES).await;
        client.overview().await;
        client.runs().await;
    }
    client.run_well("pipeline-000").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let usage::Resident { all, own, file, shared } = usage::resident(&server);
    let cells = [all, own, file, shared].map(megabytes);
    table.row(&[&format!("{whose}, idle"), &cells[0], &cells[1], &cells[2], &cells[3]]);
    let peak = megabytes(usage::memory(&server, "VmHWM"));
    table.row(&[&format!("{whose}, its peak until then"), &peak, "–", "–", "–"]);
}
