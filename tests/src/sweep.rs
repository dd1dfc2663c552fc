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
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        for instance in docker::instances().iter().filter(|instance| is_orphan(instance)) {
            docker::remove_all_of(instance);
        }
    });
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
