//! `make bench`: what Fast-Flow costs and what it can take, from one run on an otherwise idle machine.
//!
//! Where Docker does the same work, its own calls are measured beside ours: with containers that are hardened like ours, on
//! the same network, taking turns, so that a busy moment hits both. Where Docker adds nothing, containers live in the
//! server's memory (`FASTFLOW_TEST_ENGINE=fake`); everything else is the shipped server over real HTTP.
//!
//! `bench [PART…] [--write]`: each part prints a table with its counts; `--write` puts the tables into
//! `docs/performance.md` and draws `docs/images/start.svg`.

mod burst;
mod database;
mod fake;
mod flood;
mod masking;
mod picture;
mod report;
mod schedules;
mod size;
mod starts;
mod sync;
mod usage;
mod web;

use std::time::Instant;

use report::Report;

/// Every part, in the order in which they run.
const PARTS: [(&str, &str); 12] = [
    ("starts", "first line and completion, warm and cold, beside Docker and the plan's command"),
    ("burst", "ten and fifty starts at once beside Docker"),
    ("flood", "a flood with 1, 20 and 200 viewers beside Docker"),
    ("masking", "lines per second with 100 secrets and with none"),
    ("throughput", "runs per second without Docker, on both databases"),
    ("memory", "the idle server with 500 pipelines"),
    ("sync", "a repository of 500 pipelines"),
    ("schedules", "500 jobs due in one minute, and 1,000 that are not"),
    ("million", "1,000,000 stored runs on both databases"),
    ("soak", "100,000 runs: memory, open files, write-ahead log"),
    ("web", "500 pipelines and 10,000 runs in a browser: waits, memory, 20 tabs"),
    ("size", "the SPA over the wire, the binary"),
];

#[tokio::main]
async fn main() {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    let writes = wanted.iter().any(|argument| argument == "--write");
    wanted.retain(|argument| argument != "--write");
    if let Some(unknown) = wanted.iter().find(|name| PARTS.iter().all(|(part, _)| part != name)) {
        eprintln!("bench: there is no part {unknown:?}; the parts are");
        for (part, what) in PARTS {
            eprintln!("  {part:<12}{what}");
        }
        std::process::exit(2);
    }
    let begin = Instant::now();
    println!("Machine: {}\n", usage::machine());
    let mut report = Report::default();
    for (part, what) in PARTS {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == part) {
            continue;
        }
        println!("== {part}: {what}");
        let since = Instant::now();
        match part {
            "starts" => starts::part(&mut report).await,
            "burst" => burst::part(&mut report).await,
            "flood" => flood::part(&mut report).await,
            "masking" => masking::part(&mut report),
            "throughput" => fake::throughput(&mut report).await,
            "memory" => fake::memory(&mut report).await,
            "sync" => sync::part(&mut report).await,
            "schedules" => schedules::part(&mut report).await,
            "million" => database::part(&mut report).await,
            "soak" => fake::soak(&mut report).await,
            "web" => web::part(&mut report).await,
            _ => size::part(&mut report).await,
        }
        println!("   ({:.0} s)\n", since.elapsed().as_secs_f64());
    }
    println!("All of it took {:.0} s.", begin.elapsed().as_secs_f64());
    if writes {
        report.write();
    }
}
