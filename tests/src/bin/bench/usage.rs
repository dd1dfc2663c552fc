//! What a process uses, and what machine this is.

use std::fs;
use std::time::Duration;

use fastflow_tests::Server;

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Cores, memory and system.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("/proc/meminfo");
    let kilobytes: f64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or_default();
    let system = read("/etc/os-release");
    let name = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux").trim_matches('"');
    format!("{cores} cores, {:.0} GiB, {name}", kilobytes / 1_048_576.0)
}

fn pid(server: &Server) -> i32 {
    server.pid().as_raw_nonzero().get()
}

/// A figure in kB of the process's status, in MB (2^20 bytes).
pub fn memory(server: &Server, name: &str) -> f64 {
    let status = read(&format!("/proc/{}/status", pid(server)));
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the figure");
    let kilobytes: f64 = line.trim_matches([':', '\t', ' ']).trim_end_matches(" kB").parse().expect("a number");
    kilobytes / 1024.0
}

/// Memory that is in the machine for the process, in MB (2^20 bytes).
pub struct Resident {
    /// All of it.
    pub all: f64,
    /// What belongs to nothing but the process: heap, stacks, data.
    pub own: f64,
    /// Pages of files (the program, mostly) that nobody has changed: the kernel drops them when it needs room.
    pub file: f64,
    /// Of those, what is on other processes' accounts, which have the same pages mapped.
    pub shared: f64,
}

/// What the kernel counts for the process's mappings together.
pub fn resident(server: &Server) -> Resident {
    let rollup = read(&format!("/proc/{}/smaps_rollup", pid(server)));
    let figure = |name: &str| -> f64 {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name)).expect("the figure");
        line.trim_matches([':', ' ']).trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
    };
    let (all, own, share) = (figure("Rss"), figure("Anonymous"), figure("Pss"));
    Resident { all, own, file: all - own, shared: all - share }
}

/// Processor time of the process so far.
pub fn cpu(server: &Server) -> Duration {
    let text = read(&format!("/proc/{}/stat", pid(server)));
    let fields: Vec<&str> = text.rsplit(") ").next().expect("fields").split(' ').collect();
    // A tick of this clock is a hundredth of a second on every Linux that we run on.
    let ticks = fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number");
    Duration::from_millis(ticks * 10)
}

/// How many files the process has open.
pub fn files(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", pid(server))).map_or(0, Iterator::count)
}

/// Size of a file in MB (2^20 bytes); 0 when it is not there.
#[expect(clippy::cast_precision_loss, reason = "a size to three digits")]
pub fn size(path: &std::path::Path) -> f64 {
    fs::metadata(path).map_or(0.0, |meta| meta.len() as f64 / 1_048_576.0)
}

/// What a folder takes on the disk, in bytes.
pub fn disk(folder: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    // What goes away meanwhile takes nothing.
    let sizes = entries.flatten().filter_map(|entry| {
        let meta = entry.metadata().ok()?;
        Some(if meta.is_dir() { disk(&entry.path()) } else { meta.blocks() * 512 })
    });
    sizes.sum()
}
