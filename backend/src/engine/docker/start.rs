//! Starting: once, with failures sorted by whose fault they are, and the paths that a container is given.

use std::path::PathBuf;

use super::super::{ContainerId, EngineError, HostPath, Result, StartFailure, Status};
use super::DockerEngine;
use super::host_paths::{HostPaths, own_container};

impl DockerEngine {
    /// See [`super::super::Engine::start`].
    pub(super) async fn start_once(&self, id: &ContainerId) -> Result<()> {
        // Docker's start *re*starts an ended container. So unless we know that this one never ran, we look first.
        let fresh = self.fresh().remove(id);
        if !fresh {
            let state =
                self.state(id).await?.ok_or_else(|| EngineError::NotFound { what: format!("container {id}") })?;
            match (state.status, state.error) {
                (Status::Created, None) => {}
                // A failed start cuts off everybody attached. A second one could succeed, and then the launcher would
                // wait for a job that nobody can send.
                (Status::Created, Some(message)) => {
                    return Err(start_trouble(EngineError::Other { call: "start", message, source: None }));
                }
                _ => return Ok(()),
            }
        }
        match self.start_now(id).await {
            // Somebody pruned the networks since the server made sure of ours. Too late for this container, in time for
            // the next.
            Err(EngineError::NotFound { what }) if what.contains("network") => {
                tracing::warn!(container = %id, what, "making the network again");
                self.make_network().await?;
                Err(EngineError::StartFailed {
                    class: StartFailure::Docker,
                    message: format!("{what}; it has been made again, so the next start will find it"),
                })
            }
            // Another server has made the network at the same moment. One of the two is removed, by either of us; with a new
            // container the start works.
            Err(error) if error.to_string().contains("is ambiguous (") => {
                tracing::info!(container = %id, %error, "removing the second network of this name");
                self.make_network().await?;
                Err(EngineError::Unavailable { call: "start", reason: error.to_string(), source: None })
            }
            other => other.map_err(start_trouble),
        }
    }

    async fn start_now(&self, id: &ContainerId) -> Result<()> {
        let name = id.clone();
        let start = self.client.call("start", self.options.slow_deadline, |docker| async move {
            docker.start_container(name.as_str(), None).await
        });
        start.await
    }

    /// How our paths translate to Docker's host; found out once.
    pub(super) async fn paths(&self) -> Result<&HostPaths> {
        self.host_paths
            .get_or_try_init(|| async {
                let found = if self.options.host_paths.is_empty() {
                    self.detect_paths().await?
                } else {
                    HostPaths::only(self.options.host_paths.clone())
                };
                tracing::debug!(paths = ?found, "paths on Docker's host");
                Ok(found)
            })
            .await
    }

    async fn detect_paths(&self) -> Result<HostPaths> {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let in_container = ["/.dockerenv", "/run/.containerenv"].iter().any(|path| std::path::Path::new(path).exists());
        let guesses =
            own_container(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"), hostname.as_deref(), in_container);
        for guess in guesses {
            let name = guess.clone();
            let inspect = self.client.call("inspect own container", self.options.deadline, |docker| async move {
                docker.inspect_container(&name, None).await
            });
            match inspect.await {
                Ok(own) => {
                    tracing::info!(container = %guess, "Fast-Flow runs in a container; its mounts lead to the host's paths");
                    let mounts = own.mounts.unwrap_or_default().into_iter();
                    let known = mounts.filter_map(|mount| {
                        let (inside, on_host) = (mount.destination?, mount.source?);
                        // A mount in memory has no source.
                        (!on_host.is_empty())
                            .then(|| HostPath { inside: PathBuf::from(inside), on_host: PathBuf::from(on_host) })
                    });
                    return Ok(HostPaths::only(known.collect()));
                }
                // Our container belongs to another engine; then this daemon most likely shares our view of the files.
                Err(EngineError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(HostPaths::same())
    }
}

/// Sorts what a start can fail with.
fn start_trouble(error: EngineError) -> EngineError {
    let error = mount_trouble(error);
    let (EngineError::Invalid { message } | EngineError::Other { message, .. } | EngineError::Conflict { message }) =
        &error
    else {
        return error;
    };
    let says = |text: &str| message.contains(text);
    if says("docker-init") {
        let message = "Docker's init program (docker-init) is missing on the Docker host; \
                       install it (Debian and Ubuntu: `apt-get install tini`) and try again";
        return EngineError::StartFailed { class: StartFailure::Docker, message: message.to_owned() };
    }
    // The program itself is named after `exec:`; other files that are missing are Docker's affair.
    let class = if !says("exec: ") {
        StartFailure::Docker
    } else if says("permission denied") {
        StartFailure::NotExecutable
    } else if says("executable file not found") || says("no such file or directory") {
        StartFailure::NotFound
    } else {
        StartFailure::Docker
    };
    EngineError::StartFailed { class, message: message.clone() }
}

/// Recognizes a bind source that is not there, at creation or (removed in between) at the start.
pub(super) fn mount_trouble(error: EngineError) -> EngineError {
    let (EngineError::Invalid { message } | EngineError::Other { message, .. }) = &error else { return error };
    match message.split_once("bind source path does not exist: ") {
        Some((_, path)) => EngineError::MountMissing { path: PathBuf::from(path.trim()) },
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(message: &str) -> EngineError {
        start_trouble(EngineError::Other { call: "start", message: message.to_owned(), source: None })
    }

    fn class(message: &str) -> Option<StartFailure> {
        match sorted(message) {
            EngineError::StartFailed { class, .. } => Some(class),
            _ => None,
        }
    }

    #[test]
    fn failures_are_sorted_by_whose_fault_they_are() {
        let oci = "failed to create shim: OCI runtime create failed: container_linux.go:380: ";
        assert_eq!(
            class(&format!("{oci}exec: \"x\": executable file not found in $PATH")),
            Some(StartFailure::NotFound)
        );
        assert_eq!(class(&format!("{oci}exec: \"/x\": permission denied")), Some(StartFailure::NotExecutable));
        assert_eq!(class("error while mounting volume: no such file or directory"), Some(StartFailure::Docker));
    }

    #[test]
    fn a_missing_init_says_how_to_mend_it() {
        let error = sorted("exec: \"docker-init\": executable file not found in $PATH: unknown");
        assert!(error.to_string().contains("apt-get install tini"), "{error}");
    }

    #[test]
    fn a_missing_bind_source_is_named() {
        let error = sorted("invalid mount config for type \"bind\": bind source path does not exist: /srv/x");
        assert!(matches!(&error, EngineError::MountMissing { path } if path == std::path::Path::new("/srv/x")));
    }
}
