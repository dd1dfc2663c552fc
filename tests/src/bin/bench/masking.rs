//! What hiding secrets costs: the log's own path, without Docker.

use std::process::Command;

use fastflow_tests::place;

use crate::report::{Report, Table, times};

const LINES: u32 = 1_000_000;
const SECRETS: u32 = 100;
const ROUNDS: usize = 21;

pub fn part(report: &mut Report) {
    let (mut plain, mut masked) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.push(lines_per_second(0));
        masked.push(lines_per_second(SECRETS));
    }
    let middle = |rates: &mut Vec<f64>| {
        rates.sort_unstable_by(f64::total_cmp);
        // The rate that 95 of 100 reach.
        (rates[rates.len() / 2], rates[rates.len() / 20])
    };
    let (plain, masked) = (middle(&mut plain), middle(&mut masked));
    let mut table = Table::new("masking", &["lines per second", "none", "100 secrets", "ratio"])
        .note(format!("{ROUNDS} times {LINES} lines of 100 bytes each, in turns."));
    for (what, a, b) in [("median", plain.0, masked.0), ("95 of 100 are quicker", plain.1, masked.1)] {
        table.row(&[what, &format!("{a:.0}"), &format!("{b:.0}"), &times(b / a)]);
    }
    report.add(table);
}

/// The hidden command of the server's own binary.
pub fn lines_per_second(secrets: u32) -> f64 {
    let mut command = Command::new(place::server_binary());
    command.args(["measure-log-path", "--lines", &LINES.to_string(), "--secrets", &secrets.to_string()]);
    // On the disk of the build, as logs are.
    let output = command.env("TMPDIR", place::scratch()).output().expect("the server's binary");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = text.lines().find_map(|line| line.strip_prefix("lines_per_second "));
    found.and_then(|rate| rate.parse().ok()).unwrap_or_else(|| panic!("{output:?}"))
}
