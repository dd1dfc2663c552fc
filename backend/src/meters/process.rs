//! The process itself, under the names that Prometheus' own clients use. Linux tells it in `/proc`; elsewhere there is nothing.

use std::fs;

type Figure = (&'static str, &'static str, f64);

/// Memory and open files.
pub(super) fn figures() -> Vec<Figure> {
    let mut figures = Vec::new();
    if let Some(bytes) = fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident) {
        figures.push(("process_resident_memory_bytes", "Memory that the process has in RAM.", bytes));
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        let open = f64::from(u32::try_from(open.count()).unwrap_or(u32::MAX));
        figures.push(("process_open_fds", "Files and connections that the process has open.", open));
    }
    if let Some(most) = fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(max_open) {
        figures.push(("process_max_fds", "How many it may have open.", most));
    }
    figures
}

/// From `VmRSS: 17020 kB`, with blanks between.
fn resident(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024.0)
}

/// From `Max open files            1048576              1048576              files`.
fn max_open(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read() {
        assert_eq!(resident("Name:\tfastflow\nVmRSS:\t   17020 kB\n"), Some(17020.0 * 1024.0));
        assert_eq!(max_open("Limit\nMax open files            1024      4096      files\n"), Some(1024.0));
        assert_eq!(max_open("Max open files            unlimited      unlimited      files\n"), None);
        assert!(resident("").is_none() && max_open("").is_none());
        if cfg!(target_os = "linux") {
            assert_eq!(figures().len(), 3);
        }
    }
}
