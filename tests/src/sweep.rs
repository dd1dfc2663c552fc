//! Cleans up after test processes that were killed: their servers, containers and folders. Only what carries the name of a
//! story whose process is gone is touched.

use std::fs;
use std::path::Path;
use std::sync::Once;

use rustix::process::{Pid, Signal, kill_process};

use crate::{docker, place};

/// Sweeps, once per process. Blocking.
pub(crate) fn once() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for entry in fs::read_dir(place::scratch()).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_orphan(&name) {
                stop_server(&entry.path(), &name);
                kill_browser(&entry.path());
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        for instance in docker::instances().iter().filter(|instance| is_orphan(instance)) {
            docker::remove_all_of(instance);
        }
    });
}

/// Kills the browser whose profile lies in this folder: a driver that is killed leaves its browser behind. Blocking.
pub(crate) fn kill_browser(folder: &Path) {
    let wanted = format!("--user-data-dir={}", folder.display());
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if arguments.split(|byte| *byte == 0).any(|argument| argument == wanted.as_bytes())
            && let Some(pid) = pid
        {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Whether this is the name of a story (see [`place::unique`]) whose process has ended.
fn is_orphan(name: &str) -> bool {
    let pid = name.strip_prefix("story-").and_then(|rest| rest.split('-').next()).and_then(|pid| pid.parse().ok());
    pid.is_some_and(|pid: i32| !Path::new(&format!("/proc/{pid}")).exists())
}

/// Stops the server that works in this folder, if it still does.
fn stop_server(folder: &Path, instance: &str) {
    let pid = fs::read_to_string(folder.join("server.pid")).ok().and_then(|text| text.trim().parse::<i32>().ok());
    let Some(pid) = pid else { return };
    // The number may belong to somebody else by now: the environment tells.
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let wanted = format!("FASTFLOW_INSTANCE={instance}");
    if environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
        && let Some(pid) = Pid::from_raw(pid)
    {
        let _ = kill_process(pid, Signal::KILL);
    }
}
