//! `make bench`: what Fast-Flow costs and what it can take, from one run on an otherwise idle machine.
//!
//! Where Docker does the same work, its own calls are measured beside ours: with containers that are hardened like ours, on
//! the same network, taking turns, so that a busy moment hits both. Where Docker adds nothing, containers live in the
//! server's memory (`FASTFLOW_TEST_ENGINE=fake`); everything else is the shipped server over real HTTP.
//!
//! `bench [PART…] [--write]`: each part prints a table with its counts; `--write` puts the tables into
//! `docs/performance.md` and draws `docs/images/start.svg`. A part that fails says why, the others go on, and what was
//! found until then is kept.

mod burst;
mod database;
mod fake;
mod flood;
mod masking;
mod memory;
mod part;
mod picture;
mod report;
mod schedules;
mod size;
mod starts;
mod sync;
mod usage;
mod web;
mod web_log;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use part::{Part, Wish};
use report::Report;

/// Longest time for one part. The longest takes a quarter of an hour; one that hangs must not cost the figures of the others.
const PATIENCE: Duration = Duration::from_secs(25 * 60);

#[tokio::main]
async fn main() -> ExitCode {
    let (parts, writes) = match Wish::read(std::env::args().skip(1)) {
        Ok(Wish::Help) => {
            print!("{}", part::help());
            return ExitCode::SUCCESS;
        }
        Ok(Wish::Measure { parts, writes }) => (parts, writes),
        Err(mistake) => {
            eprint!("bench: {mistake}\n\n{}", part::help());
            return ExitCode::from(2);
        }
    };
    let begin = Instant::now();
    println!("Machine: {}\n", usage::machine());
    let mut report = Report::default();
    let mut failed = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let (name, what) = part.words();
        println!("== {} of {}, {name}: {what}", number + 1, parts.len());
        let since = Instant::now();
        // What a part has found before it fails is in the report by then, so unwinding leaves nothing half-written.
        let measured = std::panic::AssertUnwindSafe(measure(*part, &mut report)).catch_unwind();
        let trouble = match tokio::time::timeout(PATIENCE, measured).await {
            Ok(Ok(())) => None,
            Ok(Err(_)) => Some("it broke off; why stands above"),
            Err(_) => Some("it did not end in time"),
        };
        if let Some(trouble) = trouble {
            println!("   {name} FAILED: {trouble}");
            failed.push(name);
        }
        println!("   ({:.0} s, {:.0} s so far)\n", since.elapsed().as_secs_f64(), begin.elapsed().as_secs_f64());
        if writes {
            // After each, so that whoever breaks it off keeps what there is.
            report.write();
        }
    }
    println!("All of it took {:.0} s.", begin.elapsed().as_secs_f64());
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("Failed: {}. Their places in the document are as they were.", failed.join(", "));
    ExitCode::FAILURE
}

async fn measure(part: Part, report: &mut Report) {
    match part {
        Part::Starts => starts::part(report).await,
        Part::Burst => burst::part(report).await,
        Part::Flood => flood::part(report).await,
        Part::Clients => flood::clients(report).await,
        Part::Masking => masking::part(report),
        Part::Throughput => fake::throughput(report).await,
        Part::Memory => memory::part(report).await,
        Part::Sync => sync::part(report).await,
        Part::Schedules => schedules::part(report).await,
        Part::Million => database::part(report).await,
        Part::Soak => fake::soak(report).await,
        Part::Web => web::part(report).await,
        Part::Size => size::part(report).await,
    }
}
