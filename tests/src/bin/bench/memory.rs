//! What the server needs while it waits.

use std::time::Duration;

use fastflow_shared::routes;
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
         run, and ten seconds of nothing."
            .to_owned(),
    );
    // As an operator starts the program: no variable of the C library's.
    let mut server = Server::prepare(Options::new().env("LOG_LEVEL", "warn").warm(2)).await;
    for number in 0..PIPELINES {
        server.pipeline(&format!("pipeline-{number:03}"), "print('hello')");
    }
    server.launch().await;
    let client = server.client();
    until("500 pipelines", Duration::from_secs(60), async || {
        let answer = client.get(routes::PIPELINES).await;
        answer.text().contains("pipeline-499").then_some(())
    })
    .await;
    let now = |what: &str, table: &mut Table| {
        let usage::Resident { all, own, file, shared } = usage::resident(&server);
        let cells = [all, own, file, shared].map(megabytes);
        table.row(&[what, &cells[0], &cells[1], &cells[2], &cells[3]]);
    };
    now("just started", &mut table);
    for _ in 0..60 {
        client.get(routes::PIPELINES).await;
        client.overview().await;
        client.runs().await;
    }
    client.run_well("pipeline-000").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    now("idle", &mut table);
    table.row(&["its peak until then", &megabytes(usage::memory(&server, "VmHWM")), "–", "–", "–"]);
    report.add(table);
}
