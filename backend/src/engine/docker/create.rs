//! A [`ContainerSpec`] in Docker's words. All hardening is in this file, and none of it can be switched off from upstairs.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, HostConfig, HostConfigLogConfig, Mount as DockerMount, MountType,
    RestartPolicy, RestartPolicyNameEnum,
};

use super::super::{ContainerSpec, EngineError, Limits, Mount, Network, Options, Result, launcher};
use super::host_paths::HostPaths;

/// Docker's own log, needed only to fill the gap after a crash of ours.
///
/// The driver is `local`, not `json-file`: the latter replaces every byte that is not UTF-8, so the gap could not be
/// filled exactly, and `local` costs a flood less. Not compressed, because what is rotated is soon thrown away.
const LOG_DRIVER: &str = "local";
const LOG_OPTIONS: [(&str, &str); 3] = [("max-size", "10m"), ("max-file", "3"), ("compress", "false")];

/// The name of the instance's own network.
pub(super) fn network_name(instance: &str) -> String {
    format!("fastflow-{instance}")
}

/// The request for a new container. `cpus` is what the machine has.
pub(super) fn body(
    spec: &ContainerSpec,
    options: &Options,
    paths: &HostPaths,
    cpus: f64,
) -> Result<ContainerCreateBody> {
    spec.check()?;
    // Destructured, so that a new field cannot be forgotten here.
    let ContainerSpec { name: _, kind: _, image, user, run_id: _, pipeline: _, mounts, network, limits } = spec;
    let labels = spec.labels(&options.instance, &options.server).into_iter().collect();

    let mut binds = Vec::new();
    let mut tmpfs = HashMap::new();
    for mount in mounts {
        match mount {
            // `Mounts`, not `Binds`: Docker must refuse a source that is missing instead of making an empty folder of it.
            Mount::Bind { source, target, read_only } => binds.push(DockerMount {
                typ: Some(MountType::BIND),
                source: Some(utf8(paths.on_host(source)?)?),
                target: Some(target.clone()),
                read_only: Some(*read_only),
                ..DockerMount::default()
            }),
            Mount::Tmpfs { target, size_bytes, executable } => {
                let mut flags = format!("rw,nosuid,nodev,mode=1777,{}", if *executable { "exec" } else { "noexec" });
                if let Some(bytes) = size_bytes {
                    flags.push_str(&format!(",size={bytes}"));
                }
                tmpfs.insert(target.clone(), flags);
            }
        }
    }

    let Docked { memory, memory_swap, nano_cpus, pids_limit } = Docked::from(limits, cpus)?;
    let host_config = HostConfig {
        readonly_rootfs: Some(true),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(options.added_capabilities.clone()).filter(|added| !added.is_empty()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        // A daemon that renames users would make the owners of all folders that we mount somebody else's (ADR 37). Where none
        // are renamed, which is nearly everywhere, this changes nothing.
        userns_mode: Some("host".to_owned()),
        // Process 1 gets no default signal action: without an init a plain `sleep` ignores SIGTERM.
        init: Some(true),
        memory,
        memory_swap,
        nano_cpus,
        pids_limit,
        mounts: Some(binds),
        tmpfs: Some(tmpfs),
        network_mode: Some(match network {
            Network::Own => network_name(&options.instance),
            Network::None => "none".to_owned(),
            Network::Named(name) => name.clone(),
        }),
        log_config: Some(HostConfigLogConfig {
            typ: Some(LOG_DRIVER.to_owned()),
            config: Some(LOG_OPTIONS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()),
        }),
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        auto_remove: Some(false),
        ..HostConfig::default()
    };

    Ok(ContainerCreateBody {
        image: Some(image.clone()),
        user: Some(user.clone()),
        entrypoint: Some(vec![launcher::COMMAND.to_owned()]),
        cmd: Some(Vec::new()),
        working_dir: Some("/".to_owned()),
        labels: Some(labels),
        tty: Some(false),
        open_stdin: Some(true),
        // When the attached server dies, the launcher's input ends, and with it the launcher: it cannot wait for ever.
        stdin_once: Some(true),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(host_config),
        ..ContainerCreateBody::default()
    })
}

/// The request to change a container's limits.
pub(super) fn update(limits: &Limits, cpus: f64) -> Result<ContainerUpdateBody> {
    let Docked { memory, memory_swap, nano_cpus, pids_limit } = Docked::from(limits, cpus)?;
    Ok(ContainerUpdateBody { memory, memory_swap, nano_cpus, pids_limit, ..ContainerUpdateBody::default() })
}

/// Limits in Docker's units.
struct Docked {
    memory: Option<i64>,
    memory_swap: Option<i64>,
    nano_cpus: Option<i64>,
    pids_limit: Option<i64>,
}

impl Docked {
    fn from(limits: &Limits, available_cpus: f64) -> Result<Self> {
        limits.check()?;
        let Limits { cpus, memory_bytes, pids } = *limits;
        let memory = memory_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        Ok(Self {
            memory,
            // Equal to memory: no swap. Both together, or Docker refuses to raise memory above the old sum.
            memory_swap: memory,
            // Docker refuses more cores than the machine has. A limit above that is none, not an error.
            nano_cpus: cpus.map(|cpus| (cpus.min(available_cpus) * 1e9).round() as i64),
            pids_limit: pids.map(i64::from),
        })
    }
}

fn utf8(path: std::path::PathBuf) -> Result<String> {
    path.into_os_string()
        .into_string()
        .map_err(|path| EngineError::Invalid { message: format!("the path {} is not valid UTF-8", path.display()) })
}

#[cfg(test)]
mod tests {
    use super::super::super::{Kind, label};
    use super::*;

    fn spec() -> ContainerSpec {
        ContainerSpec {
            name: "name".into(),
            kind: Kind::Run,
            image: "i".into(),
            user: "1:1".into(),
            run_id: Some("r".into()),
            pipeline: None,
            mounts: vec![
                Mount::Bind { source: "/data/x".into(), target: "/app".into(), read_only: true },
                Mount::Tmpfs { target: "/tmp".into(), size_bytes: Some(9), executable: true },
            ],
            network: Network::Own,
            limits: Limits { cpus: Some(64.0), memory_bytes: Some(1 << 30), pids: Some(100) },
        }
    }

    #[test]
    fn every_container_is_hardened_and_holds_no_environment() {
        let body = body(&spec(), &Options::new("t"), &HostPaths::same(), 2.0).expect("valid");
        let host = body.host_config.expect("host config");
        assert_eq!(host.readonly_rootfs, Some(true));
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.cap_add, None);
        assert_eq!(host.security_opt, Some(vec!["no-new-privileges".to_owned()]));
        assert_eq!(host.init, Some(true));
        assert_eq!(host.userns_mode.as_deref(), Some("host"));
        assert_eq!((host.memory, host.memory_swap), (Some(1 << 30), Some(1 << 30)));
        assert_eq!(host.nano_cpus, Some(2_000_000_000), "no more cores than there are");
        assert_eq!(host.network_mode.as_deref(), Some("fastflow-t"));
        assert_eq!(host.tmpfs.expect("tmpfs")["/tmp"], "rw,nosuid,nodev,mode=1777,exec,size=9");
        assert_eq!(host.privileged, None);
        assert_eq!(body.env, None);
        let labels = body.labels.expect("labels");
        assert_eq!(labels[label::INSTANCE], "t");
        assert_eq!(labels[label::RUN_ID], "r");
        assert!(!labels.contains_key(label::PIPELINE));
    }

    #[test]
    fn an_update_moves_memory_and_swap_together_and_leaves_the_rest() {
        let change = update(&Limits { memory_bytes: Some(7), ..Limits::default() }, 2.0).expect("valid");
        assert_eq!((change.memory, change.memory_swap), (Some(7), Some(7)));
        assert_eq!((change.nano_cpus, change.pids_limit), (None, None));
    }
}
