//! A script that prints as quickly as it can, and those who watch.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use fastflow_shared::{StartRun, routes};
use fastflow_tests::bench::Raw;
use fastflow_tests::{Client, Options, Server, place};
use futures_util::StreamExt;
use reqwest::Method;
use tokio::task::JoinSet;

use crate::fake::megabytes;
use crate::report::{Report, Table, Times, rate, ratio, seconds};
use crate::usage;

/// Floods per row.
const FLOODS: usize = 3;

/// Lines of each.
const LINES: u32 = 1_000_000;

/// Bytes of each line, the newline included.
const LINE_BYTES: u32 = 100;

pub async fn part(report: &mut Report) {
    let server = Server::start(Options::new().env("LOG_LEVEL", "warn")).await;
    server.example("flood");
    let client = server.client();
    server.pipeline("first", "print(1)");
    client.run_well("first").await;
    let raw = Raw::new(server.instance());
    let script = fs::read_to_string(place::repository().join("examples/pipelines/flood/main.py")).expect("the example");
    let script = format!("import os; os.environ['LINES'] = '{LINES}'\n{script}");
    let bare = server.root().join("bare.log");
    let mut table = Table::new("flood", &["", "to the end", "of Docker's", "lines per second", "server's CPU", "its memory", "sent to viewers"])
        .note(format!(
            "Medians of {FLOODS} floods of {LINES} lines of {LINE_BYTES} bytes; viewers as browsers are by default, 100 lines a second \
             each. Every log was compared with what Docker delivered."
        ));
    let mut theirs = Times::default();
    for _ in 0..FLOODS {
        theirs.push(raw.flood(&script, &bare).await);
    }
    let docker = theirs.median();
    let lines = |took| format!("{:.0}", rate(LINES as usize, took));
    table.row(&["Docker's attach into a file", &seconds(docker), "1.00x", &lines(docker), "–", "–", "–"]);
    for viewers in [1, 20, 200] {
        let (mut took, mut cpu, mut sent, mut memory) = (Times::default(), Times::default(), 0, 0.0_f64);
        for _ in 0..FLOODS {
            let before = usage::cpu(&server);
            let (time, bytes, run) = flood(client, viewers).await;
            took.push(time);
            cpu.push(usage::cpu(&server).saturating_sub(before));
            sent = bytes;
            memory = memory.max(usage::memory(&server, "VmRSS"));
            check(client, &run, &bare).await;
            client.idle().await;
        }
        let name = if viewers == 1 { "1 viewer".to_owned() } else { format!("{viewers} viewers") };
        table.row(&[
            &name,
            &seconds(took.median()),
            &ratio(took.median(), docker),
            &lines(took.median()),
            &seconds(cpu.median()),
            &megabytes(memory),
            &format!("{} MB", sent / 1_000_000),
        ]);
    }
    report.add(table);
}

/// From the request to start until the first viewer has learnt of the end; bytes that all viewers were sent; the run.
async fn flood(client: &Client, viewers: usize) -> (Duration, usize, String) {
    let mut start = StartRun::default();
    start.parameters.insert("LINES".to_owned(), LINES.to_string());
    let begin = Instant::now();
    let run = client.start_with("flood", &start).await;
    let mut watching = JoinSet::new();
    for _ in 0..viewers {
        watching.spawn(view(client.clone(), run.id.clone(), begin));
    }
    let mut sent = 0;
    let mut ended = None;
    while let Some(seen) = watching.join_next().await {
        let (bytes, took) = seen.expect("no panic");
        sent += bytes;
        ended.get_or_insert(took);
    }
    (ended.expect("a viewer"), sent, run.id)
}

/// Reads a stream to its end without looking at it: the bench shares the machine with the server.
async fn view(client: Client, run: String, begin: Instant) -> (usize, Duration) {
    let request = client.request(Method::GET, &routes::run_logs_stream(&run)).header("Accept", "text/event-stream");
    let answer = request.send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
    let mut bytes = answer.bytes_stream();
    let mut count = 0;
    let mut last = bytes::Bytes::new();
    while let Some(piece) = bytes.next().await {
        last = piece.expect("readable");
        count += last.len();
    }
    assert!(last.windows(11).any(|window| window == b"event: end\n"), "it ends with an end");
    (count, begin.elapsed())
}

/// A quick flood that lost something would be worth nothing.
async fn check(client: &Client, run: &str, bare: &Path) {
    let log = client.log(run).await;
    let bare = fs::read(bare).expect("the bare log");
    assert!(log == bare, "our log has {} bytes, the bare one {}", log.len(), bare.len());
    assert_eq!(log.len(), usize::try_from(LINES * LINE_BYTES).expect("fits"));
}

/// What clients cost that wait for something to happen.
pub async fn clients(report: &mut Report) {
    const CLIENTS: usize = 200;
    let server = &Server::start(Options::new().env("LOG_LEVEL", "warn").env("MALLOC_ARENA_MAX", "2")).await;
    let client = server.client();
    server.pipeline("quiet", "import time\nprint('hello', flush=True)\ntime.sleep(40)");
    let run = client.start("quiet").await;
    client.running(&run.id).await;
    let before = usage::memory(server, "VmRSS");
    let mut streams = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = client.stream(&routes::run_logs_stream(&run.id), None).await;
        stream.event(Duration::from_secs(30)).await.expect("its first line");
        streams.push(stream);
    }
    let (after, cpu) = (usage::memory(server, "VmRSS"), usage::cpu(server));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let cpu = usage::cpu(server).saturating_sub(cpu);
    let mut table = Table::new("clients", &["200 clients of a quiet run", "server"])
        .note("Memory: what the server has more than without them; CPU: over ten seconds.".to_owned());
    table.row(&["memory for each", &format!("{:.0} kB", (after - before).max(0.0) * 1024.0 / 200.0)]);
    table.row(&["CPU", &format!("{:.2} % of a core", cpu.as_secs_f64() * 10.0)]);
    report.add(table);
    let _ = client.cancel(&run.id).await;
    drop(streams);
    client.end_of(&run.id).await;
}
