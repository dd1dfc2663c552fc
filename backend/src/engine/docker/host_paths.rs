//! Where our folders lie on Docker's host.
//!
//! Docker resolves the source of a bind mount on its own host. When this process runs in a container, its `/data` may be
//! the host's `/srv/fastflow`, or a volume's folder, and its `/tmp` may be nowhere at all. Docker itself knows: it holds
//! our own container's mounts.

use std::path::{Path, PathBuf};

use super::super::{EngineError, HostPath, Result};

/// The translation from this process's paths to those of Docker's host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPaths(Option<Vec<HostPath>>);

impl HostPaths {
    /// This process sees the host's own file system.
    pub fn same() -> Self {
        Self(None)
    }

    /// Only these folders, and what is in them, lie on the host; the deepest one that fits decides.
    pub fn only(mut known: Vec<HostPath>) -> Self {
        known.sort_by_key(|path| std::cmp::Reverse(path.inside.components().count()));
        Self(Some(known))
    }

    /// Translates an absolute path.
    pub fn on_host(&self, path: &Path) -> Result<PathBuf> {
        let Some(known) = &self.0 else { return Ok(path.to_owned()) };
        for HostPath { inside, on_host } in known {
            if let Ok(rest) = path.strip_prefix(inside) {
                // `join("")` would leave a trailing slash, which Docker takes for another path.
                return Ok(if rest.as_os_str().is_empty() { on_host.clone() } else { on_host.join(rest) });
            }
        }
        Err(EngineError::NotOnHost { path: path.to_owned() })
    }
}

/// The ids under which Docker may know our own container, best guess first; empty when we are not in one.
///
/// `mountinfo` is the text of `/proc/self/mountinfo`, `cgroup` that of `/proc/self/cgroup`. A guess must be confirmed by
/// asking Docker: a container of another engine has an id too.
pub(super) fn own_container(mountinfo: &str, cgroup: &str, hostname: Option<&str>, in_container: bool) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut add = |id: &str| {
        if !found.iter().any(|known| known == id) {
            found.push(id.to_owned());
        }
    };
    // Docker mounts its own /etc/hostname, /etc/hosts and /etc/resolv.conf over the image's. The host's mounts hold such
    // paths too, but never at these targets.
    for line in mountinfo.lines() {
        let mut fields = line.split(' ').skip(3);
        let (Some(root), Some(target)) = (fields.next(), fields.next()) else { continue };
        if matches!(target, "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf") {
            root.split('/').filter(|part| is_full_id(part)).for_each(&mut add);
        }
    }
    // cgroup v1 names the container; v2 in a private namespace shows only "/".
    for line in cgroup.lines().filter(|line| line.contains("docker")) {
        let parts = line.split(['/', ':', '-', '.']);
        parts.filter(|part| is_full_id(part)).for_each(&mut add);
    }
    if in_container && let Some(name) = hostname.map(str::trim).filter(|name| is_short_id(name)) {
        add(name);
    }
    found
}

fn is_full_id(text: &str) -> bool {
    text.len() == 64 && is_hex(text)
}

fn is_short_id(text: &str) -> bool {
    text.len() == 12 && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn known(pairs: &[(&str, &str)]) -> HostPaths {
        let path = |(inside, on_host): &(&str, &str)| HostPath { inside: inside.into(), on_host: on_host.into() };
        HostPaths::only(pairs.iter().map(path).collect())
    }

    #[test]
    fn the_deepest_mount_decides() {
        let paths = known(&[
            ("/data", "/srv/ff"),
            ("/data/cache", "/fast/cache"),
            ("/logs", "/var/lib/docker/volumes/l/_data"),
        ]);
        let on_host = |path: &str| paths.on_host(Path::new(path)).expect("mounted").display().to_string();
        assert_eq!(on_host("/data"), "/srv/ff");
        assert_eq!(on_host("/data/runs/1"), "/srv/ff/runs/1");
        assert_eq!(on_host("/data/cache/x"), "/fast/cache/x");
        assert_eq!(on_host("/logs/a.log"), "/var/lib/docker/volumes/l/_data/a.log");
    }

    #[test]
    fn a_folder_of_our_own_container_cannot_be_mounted() {
        let paths = known(&[("/data", "/srv/ff")]);
        for inside in ["/tmp/x", "/database", "/"] {
            assert!(matches!(paths.on_host(Path::new(inside)), Err(EngineError::NotOnHost { .. })), "{inside}");
        }
    }

    #[test]
    fn on_the_host_itself_paths_stay() {
        assert_eq!(HostPaths::same().on_host(Path::new("/tmp/x")).expect("same"), Path::new("/tmp/x"));
    }

    #[test]
    fn our_container_is_found_by_its_mounts() {
        let mountinfo = format!(
            "600 580 0:50 / / rw - overlay overlay rw\n\
             612 600 254:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/vda1 rw\n"
        );
        assert_eq!(own_container(&mountinfo, "0::/\n", Some("web"), true), [ID]);
    }

    #[test]
    fn our_container_is_found_by_its_cgroup_or_hostname() {
        assert_eq!(own_container("", &format!("4:memory:/docker/{ID}\n"), None, true), [ID]);
        assert_eq!(own_container("", &format!("1:x:/system.slice/docker-{ID}.scope\n"), None, true), [ID]);
        assert_eq!(own_container("", "0::/\n", Some("0123456789ab\n"), true), ["0123456789ab"]);
    }

    #[test]
    fn a_docker_host_is_not_taken_for_a_container() {
        let mountinfo = format!("700 20 0:60 / /var/lib/docker/containers/{ID}/mounts/shm rw - tmpfs shm rw\n");
        assert!(own_container(&mountinfo, "0::/init.scope\n", Some("0123456789ab"), false).is_empty());
    }
}
