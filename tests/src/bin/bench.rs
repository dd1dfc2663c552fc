//! `make bench`: our numbers beside Docker's own, from one run on an otherwise idle machine.
//!
//! Docker's side speaks to its socket directly, with containers that are hardened like ours and on the same network, so that
//! what lies between the two columns is what Fast-Flow adds. The two take turns, so that a busy moment hits both.

use std::fs;
use std::time::{Duration, Instant};

use fastflow_shared::{NewVaultEntry, StartRun, events, routes};
use fastflow_tests::bench::Raw;
use fastflow_tests::{Client, Options, Server, place};
use reqwest::Method;

/// Starts per side.
const STARTS: usize = 21;

/// Floods per side.
const FLOODS: usize = 3;

/// Lines of the flood.
const LINES: u32 = 1_000_000;

/// Secrets that are looked for in the masked flood.
const SECRETS: u32 = 100;

/// Bytes of each of them, the newline included.
const LINE_BYTES: u32 = 100;

const FIRST_LINE: &str = "print('first line')";

#[tokio::main]
async fn main() {
    let server = Server::start(Options::new().env("LOG_LEVEL", "warn")).await;
    let client = server.client();
    server.pipeline("first", FIRST_LINE);
    server.example("flood");
    client.run_well("first").await;
    let raw = Raw::new(server.instance());
    let idle = memory(&server, "VmRSS");

    println!("Fast-Flow beside Docker: {STARTS} starts each, then {LINES} lines of {LINE_BYTES} bytes\n");
    let parking = Server::start(Options::new().warm(1).env("LOG_LEVEL", "warn")).await;
    parking.pipeline("first", FIRST_LINE);
    assert!(parking.client().run_well("first").await.warm_start, "the first run takes the parked container");
    let (mut cold, mut warm, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        theirs.push(raw.first_line(FIRST_LINE).await);
        cold.push(first_line(client).await);
        client.idle().await;
        parking.all_parked().await;
        warm.push(first_line(parking.client()).await);
        parking.client().idle().await;
    }
    drop(parking);
    println!("{:<36}{:>14}{:>14}{:>14}", "", "Fast-Flow", "Docker", "ratio");
    for (name, ours) in [("cold", &mut cold), ("warm", &mut warm)] {
        let [a, b] = [median(ours), median(&mut theirs)];
        row(&format!("start to first line, {name}, median"), &millis(a), &millis(b), ratio(a, b));
        let [a, b] = [p95(ours), p95(&theirs)];
        row(&format!("start to first line, {name}, p95"), &millis(a), &millis(b), ratio(a, b));
    }

    let script = fs::read_to_string(place::repository().join("examples/pipelines/flood/main.py")).expect("the example");
    let script = format!("import os; os.environ['LINES'] = '{LINES}'\n{script}");
    let bare = server.root().join("bare.log");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..FLOODS {
        theirs.push(raw.flood(&script, &bare).await);
        let (took, run) = flood(client, "flood").await;
        check_flood(&server, &run, &bare).await;
        ours.push(took);
        client.idle().await;
    }
    let [ours, theirs] = [median(&mut ours), median(&mut theirs)];
    let rate = |took: Duration| format!("{:.0}/s", f64::from(LINES) / took.as_secs_f64());
    row("flood to the end, median", &seconds(ours), &seconds(theirs), ratio(ours, theirs));
    row("flood, lines", &rate(ours), &rate(theirs), ratio(theirs, ours));
    let masked = masked(&server).await;
    println!("\n{:<34}{:>14}{:>14}{:>14}", "", format!("{SECRETS} secrets"), "none", "ratio");
    row("flood, lines, masked", &rate(masked), &rate(ours), ratio(masked, ours));

    println!();
    line("server's memory, idle", &idle);
    line("server's memory, after the floods", &memory(&server, "VmRSS"));
    line("server's memory, at its peak", &memory(&server, "VmHWM"));
    let (bytes, files) = spa(&server).await;
    line("SPA over the wire", &format!("{} in {files} files", kilobytes(bytes)));
    let binary = fs::metadata(place::server_binary()).expect("the binary").len();
    line("server's binary", &format!("{:.1} MB", f64::from(u32::try_from(binary / 1000).unwrap_or(u32::MAX)) / 1000.0));
}

/// From the request to start until a viewer has the first line.
async fn first_line(client: &Client) -> Duration {
    let begin = Instant::now();
    let run = client.start("first").await;
    let mut stream = client.stream(&routes::run_logs_stream(&run.id), None).await;
    while stream.event(Duration::from_secs(30)).await.expect("the stream goes on").name != events::LINES {}
    let took = begin.elapsed();
    client.end_of(&run.id).await;
    took
}

/// The flood of a run that was given secrets, each of forty letters and digits.
async fn masked(server: &Server) -> Duration {
    let client = server.client();
    let script = fs::read_to_string(place::repository().join("examples/pipelines/flood/main.py")).expect("the example");
    server.pipeline("masked", &script);
    let mut seed = 88_172_645_463_325_252_u64;
    for number in 0..SECRETS {
        let value: String = (0..40)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[usize::try_from(seed >> 11).unwrap_or(0) % 36])
            })
            .collect();
        let key = format!("SECRET_{number}");
        let entry = NewVaultEntry { key, value, is_secret: true, pipelines: vec!["masked".to_owned()] };
        let _ = client.write(Method::POST, routes::SECRETS, &entry).await.expect(201);
    }
    let mut times = Vec::new();
    for _ in 0..FLOODS {
        let (took, run) = flood(client, "masked").await;
        assert_eq!(client.log(&run).await.len(), usize::try_from(LINES * LINE_BYTES).expect("fits"));
        times.push(took);
        client.idle().await;
    }
    median(&mut times)
}

/// From the request to start until a viewer has learnt of the end. Returns the run as well.
async fn flood(client: &Client, pipeline: &str) -> (Duration, String) {
    let mut start = StartRun::default();
    start.parameters.insert("LINES".to_owned(), LINES.to_string());
    let begin = Instant::now();
    let run = client.start_with(pipeline, &start).await;
    let mut stream = client.stream(&routes::run_logs_stream(&run.id), None).await;
    while stream.event(Duration::from_secs(60)).await.expect("the stream goes on").name != events::END {}
    (begin.elapsed(), run.id)
}

/// A quick flood that lost something would be worth nothing.
async fn check_flood(server: &Server, run: &str, bare: &std::path::Path) {
    let log = server.client().log(run).await;
    let bare = fs::read(bare).expect("the bare log");
    assert!(log == bare, "our log has {} bytes, the bare one {}", log.len(), bare.len());
    assert_eq!(log.len(), usize::try_from(LINES * LINE_BYTES).expect("fits"));
}

/// What a browser's first visit takes: the page and every file that it names.
async fn spa(server: &Server) -> (usize, usize) {
    let client = server.anonymous();
    let get = async |path: &str| {
        let request = client.request(Method::GET, path).header("Accept-Encoding", "br, gzip");
        client.send(request).await.expect(200)
    };
    let page = client.get("/").await.expect(200).text();
    let quoted = page.split(['"', '\'']).filter(|text| text.starts_with('/'));
    let mut files: Vec<&str> =
        quoted.filter(|text| [".js", ".wasm", ".css"].iter().any(|end| text.ends_with(end))).collect();
    files.sort_unstable();
    files.dedup();
    assert!(!files.is_empty(), "the server was built without its pages: `make web`, then build it again");
    let mut bytes = get("/").await.body.len();
    for file in &files {
        bytes += get(file).await.body.len();
    }
    (bytes, files.len() + 1)
}

/// A figure of the process's status.
fn memory(server: &Server, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid().as_raw_nonzero())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the figure");
    let kilobytes: f64 = line.trim_matches([':', '\t', ' ']).trim_end_matches(" kB").parse().expect("a number");
    format!("{:.1} MB", kilobytes / 1024.0)
}

fn row(what: &str, ours: &str, theirs: &str, ratio: f64) {
    println!("{what:<36}{ours:>14}{theirs:>14}{ratio:>13.2}x");
}

fn line(what: &str, value: &str) {
    println!("{what:<36}{value:>14}");
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The time that 95 of 100 do not exceed, by nearest rank.
fn p95(sorted: &[Duration]) -> Duration {
    sorted[(sorted.len() * 95).div_ceil(100) - 1]
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

fn millis(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1000.0)
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn kilobytes(bytes: usize) -> String {
    format!("{:.0} kB", f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 1000.0)
}
