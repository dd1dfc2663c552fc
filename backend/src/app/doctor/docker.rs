//! Docker, the worker image, and a container as a run gets it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;

use super::Check;
use crate::app::serve;
use crate::config::Config;
use crate::domain::size::format_bytes;
use crate::engine::{
    self, Attachment, ContainerSpec, DockerEngine, Engine, EngineError, EngineInfo, Job, Kind, Limits, Mount,
};

/// Difference of two clocks that makes logs and schedules hard to read, in seconds.
const SKEW: i64 = 2;

/// How long the container that is tried may take.
const TRIAL: Duration = Duration::from_secs(60);

/// Docker, the image, and a container that does what a run needs.
pub(super) async fn docker(config: &Config) -> Vec<Check> {
    let instance = config.instance().unwrap_or_else(|_| "unknown".to_owned());
    // A name of its own, so that a server that works does not take the trial for something left behind.
    let options = serve::engine_options(config, &format!("{instance}-doctor"), "doctor");
    let engine = match DockerEngine::new(options) {
        Ok(engine) => engine,
        Err(error) => return vec![Check::fail("docker", error.to_string(), "set DOCKER_HOST to a unix socket")],
    };
    let info = match engine.info().await {
        Ok(info) => info,
        Err(error) => {
            let mend =
                "start Docker, let this user open its socket (group `docker`), or name another one in DOCKER_HOST";
            return vec![Check::fail("docker", error.to_string(), mend)];
        }
    };
    let mut checks = vec![daemon(&info)];
    let image = match engine.look_for_image(&config.worker.image).await {
        Ok(Some(image)) => image,
        Ok(None) => {
            let mend = format!(
                "it is pulled at the first use; to see now whether it can be: docker pull {}",
                config.worker.image
            );
            checks.push(Check::warn("image", format!("{} is not here yet", config.worker.image), mend));
            return checks;
        }
        Err(error) => {
            checks.push(Check::fail("image", error.to_string(), "see Docker"));
            return checks;
        }
    };
    checks.push(Check::ok("image", format!("{} is here", config.worker.image)));
    match tokio::time::timeout(TRIAL, trial(config, &engine, &image.id)).await {
        Ok(more) => checks.extend(more),
        Err(_) => {
            let detail = format!("a container did not do its work within {} s", TRIAL.as_secs());
            checks.push(Check::fail("container", detail, "see `docker info` and the machine's load"));
        }
    }
    checks
}

pub(super) fn daemon(info: &EngineInfo) -> Check {
    let renamed =
        if info.userns_remap { "; it renames users (userns-remap), from which our containers are exempt" } else { "" };
    let (version, memory) = (&info.engine_version, format_bytes(info.memory_bytes));
    let detail = format!("Docker {version}, {} cores, {memory}{renamed}", info.cpus);
    match engine_trouble(info) {
        Some((detail, mend)) => Check::fail("docker", detail, mend),
        None => Check::ok("docker", detail),
    }
}

/// What makes an engine one that Fast-Flow does not work with, and what to do: told at the start as well.
pub(in crate::app) fn engine_trouble(info: &EngineInfo) -> Option<(&'static str, &'static str)> {
    if info.rootless {
        return Some((
            "this Docker runs rootless: users in containers are others on the host, so runs could not use the folders that \
             the server prepares for them, nor the server delete what they wrote",
            "use a Docker that runs as root; containers of runs have no root, no capabilities and no way to new privileges",
        ));
    }
    if !info.init_available {
        return Some(("Docker does not find its init program", "install docker-init (tini) beside dockerd"));
    }
    None
}

/// A container as a run gets it: it says what is in the image, which time it has, and answers through mounted folders.
async fn trial(config: &Config, engine: &dyn Engine, image: &str) -> Vec<Check> {
    const SCRIPT: &str = "uv --version || echo none; python3 --version || echo none; date +%s; \
        for folder in /probe/*; do cat \"$folder/question\" > \"$folder/answer\"; done";
    let folders = [&config.data.data_dir, &config.data.uv_cache_dir];
    let probes: Vec<_> = folders.iter().filter_map(|folder| Probe::lay_out(folder)).collect();
    let mounts = probes.iter().enumerate().map(|(index, probe)| Mount::Bind {
        source: probe.0.clone(),
        target: format!("/probe/{index}"),
        read_only: false,
    });
    let spec = ContainerSpec {
        name: format!("fastflow-doctor-{}", uuid::Uuid::now_v7()),
        kind: Kind::Preparation,
        image: image.to_owned(),
        user: serve::worker_user(config),
        run_id: None,
        pipeline: None,
        mounts: mounts.collect(),
        network: engine::Network::None,
        limits: Limits::default(),
    };
    let job = Job { argv: ["/bin/sh", "-c", SCRIPT].map(str::to_owned).into(), env: Vec::new(), cwd: "/".to_owned() };
    let (output, before) = match run(engine, &spec, &job).await {
        Ok(done) => done,
        Err(error @ EngineError::NotOnHost { .. }) => {
            let mend =
                "mount the folder into the server's container (a volume or a bind), or say in HOST_PATHS where it lies";
            return vec![Check::fail("folders", error.to_string(), mend)];
        }
        Err(error) => {
            let mend =
                "see Docker's own words; a plain `docker run --rm IMAGE true` shows whether the machine can do it";
            return vec![Check::fail("container", error.to_string(), mend)];
        }
    };
    let answered = probes.iter().all(Probe::answered);
    let mut lines = output.lines();
    let mut told = || lines.next().unwrap_or_default().trim().to_owned();
    let (uv, python, time) = (told(), told(), told());
    vec![
        tools(&uv, &python),
        clock(before, time.parse().ok()),
        folders_check(answered && probes.len() == folders.len()),
    ]
}

pub(super) fn tools(uv: &str, python: &str) -> Check {
    if uv.starts_with("uv ") && python.starts_with("Python ") {
        return Check::ok("uv", format!("{uv}, {python}"));
    }
    let mend = "name an image with uv, Python and /bin/sh in WORKER_BASE_IMAGE";
    Check::fail("uv", format!("the worker image has not what a pipeline needs: {uv:?}, {python:?}"), mend)
}

pub(super) fn clock(ours: i64, theirs: Option<i64>) -> Check {
    match theirs.map(|theirs| theirs - ours) {
        Some(skew) if skew.abs() <= SKEW => Check::ok("clock", "Docker's clock and this machine's agree"),
        Some(skew) => Check::warn(
            "clock",
            format!("Docker's clock is {skew} s ahead of this machine's"),
            "set both by NTP; until then times in logs and durations are off by as much",
        ),
        None => Check::warn("clock", "Docker's clock could not be asked", "see the worker image: it has no `date`"),
    }
}

pub(super) fn folders_check(answered: bool) -> Check {
    if answered {
        return Check::ok("folders", "a container reads and writes what the server lays out for it");
    }
    let mend = "with the server in a container: mount its folders as volumes or binds; otherwise check WORKER_USER and security \
                modules (SELinux, AppArmor), or say in HOST_PATHS where the folders lie on Docker's host";
    Check::fail("folders", "a container does not see, or may not write, what the server lays out for it", mend)
}

/// A folder in which a container answers a question; removed with the value.
struct Probe(PathBuf);

impl Probe {
    fn lay_out(below: &Path) -> Option<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let probe = Self(below.join(format!("doctor-{}", uuid::Uuid::now_v7())));
        std::fs::create_dir_all(&probe.0).ok()?;
        std::fs::set_permissions(&probe.0, std::fs::Permissions::from_mode(0o777)).ok()?;
        std::fs::write(probe.0.join("question"), probe.0.as_os_str().as_encoded_bytes()).ok()?;
        Some(probe)
    }

    fn answered(&self) -> bool {
        std::fs::read(self.0.join("answer")).is_ok_and(|answer| answer == self.0.as_os_str().as_encoded_bytes())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a job to its end; returns what it printed, and the time just before it began.
async fn run(engine: &dyn Engine, spec: &ContainerSpec, job: &Job) -> Result<(String, i64), EngineError> {
    let container = engine.create(spec).await?;
    let work = async {
        let Attachment { mut output, input } = engine.attach(&container).await?;
        engine.start(&container).await?;
        let before = chrono::Utc::now().timestamp();
        input.send(job).await?;
        let mut text = Vec::new();
        while let Some(frame) = output.next().await {
            text.extend_from_slice(&frame?.bytes);
            text.truncate(64 * 1024);
        }
        engine.wait(&container).await?;
        Ok((String::from_utf8_lossy(&text).into_owned(), before))
    };
    let done = work.await;
    // What went wrong first is what matters.
    let removed = engine.remove(&container).await;
    done.and_then(|done| removed.map(|()| done))
}
