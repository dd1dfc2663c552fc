//! `fastflow doctor`: looks at everything that a server needs, with the server's own settings and code, and says of each thing
//! whether it is well and, when it is not, how to mend it. It changes nothing; a server may run beside it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fastflow_shared::SyncAuth;
use futures_util::StreamExt as _;
use serde::Serialize;

use crate::config::{Config, Mistakes};
use crate::crypto::Keyring;
use crate::domain::clock::SystemClock;
use crate::domain::repository::{Address, Scheme};
use crate::domain::size::format_bytes;
use crate::engine::{
    self, Attachment, ContainerSpec, DockerEngine, Engine, EngineError, EngineInfo, Job, Kind, Limits, Mount,
};
use crate::git::{self, Auth, Git};
use crate::github::Github;
use crate::outbound::Outbound;
use crate::store::{Look, Store};
use crate::vault::Vault;

/// Room below which a disk is a worry, and below which nothing should be started.
const LITTLE: u64 = 5 << 30;
const TOO_LITTLE: u64 = 256 << 20;

/// Difference of two clocks that makes logs and schedules hard to read, in seconds.
const SKEW: i64 = 2;

/// How long the container that is tried may take.
const TRIAL: Duration = Duration::from_secs(60);

/// How long git may take.
const REMOTE: Duration = Duration::from_secs(30);

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// It works.
    Ok,
    /// It works, and may not for long.
    Warn,
    /// Runs will not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    pub(super) detail: String,
    /// How to mend it.
    pub(super) mend: Option<String>,
}

/// Everything that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Diagnosis {
    /// Whether a server works with this.
    pub(super) healthy: bool,
    pub(super) checks: Vec<Check>,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, detail: detail.into(), mend: None }
    }

    fn warn(name: &'static str, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warn, detail: detail.into(), mend: Some(mend.into()) }
    }

    fn fail(name: &'static str, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fail, detail: detail.into(), mend: Some(mend.into()) }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { name, verdict, detail, mend } in &self.checks {
            let word = match verdict {
                Verdict::Ok => "OK",
                Verdict::Warn => "WARN",
                Verdict::Fail => "FAIL",
            };
            writeln!(f, "{word:<5} {name:<12} {detail}")?;
            if let Some(mend) = mend {
                writeln!(f, "      {:<12} → {mend}", "")?;
            }
        }
        Ok(())
    }
}

/// Settings that cannot be read: nothing else can be looked at.
pub(super) fn unreadable(mistakes: &Mistakes) -> Diagnosis {
    let mend = "correct them in the environment or in .env; `fastflow config --example` lists what is allowed";
    Diagnosis { healthy: false, checks: vec![Check::fail("settings", mistakes.to_string().trim_end(), mend)] }
}

/// Looks at everything.
pub(super) async fn examine(config: &Config) -> Diagnosis {
    let mut checks = vec![settings(config)];
    checks.extend(disks(config));
    let look = Store::look(&config.store_options()).await;
    checks.push(database(&look.as_ref().map_err(ToString::to_string)));
    checks.push(key(config, look.as_ref().ok()).await);
    checks.push(link_mode(&config.data.uv_cache_dir));
    checks.extend(docker(config).await);
    checks.push(remote(config).await);
    Diagnosis { healthy: checks.iter().all(|check| check.verdict != Verdict::Fail), checks }
}

fn settings(config: &Config) -> Check {
    if config.unknown.is_empty() {
        return Check::ok("settings", "all can be read");
    }
    let names = config.unknown.join(", ");
    Check::warn("settings", format!("{names} in .env is no setting of this version"), "a typing mistake? remove it")
}

fn disks(config: &Config) -> Vec<Check> {
    let of = |name, setting, folder: &Path| {
        let made = std::fs::create_dir_all(folder);
        let looked = made.map_err(|error| error.to_string()).and_then(|()| {
            let writable = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK);
            writable.and_then(|()| rustix::fs::statvfs(folder)).map_err(|error| error.to_string())
        });
        match looked {
            Err(error) => Check::fail(
                name,
                format!("{} cannot be written: {error}", folder.display()),
                format!("let the server's user own it, or set {setting}"),
            ),
            Ok(stat) => {
                let free = stat.f_bavail.saturating_mul(stat.f_frsize);
                room(name, folder, free)
            }
        }
    };
    vec![
        of("data", "DATA_DIR", &config.data.data_dir),
        of("logs", "LOGS_DIR", &config.data.logs_dir),
        of("uv cache", "UV_CACHE_DIR", &config.data.uv_cache_dir),
    ]
}

fn room(name: &'static str, folder: &Path, free: u64) -> Check {
    let detail = format!("{} has {} free", folder.display(), format_bytes(free));
    let mend = "make room on that disk, or move the folder to a larger one";
    match free {
        ..TOO_LITTLE => Check::fail(name, detail, mend),
        TOO_LITTLE..LITTLE => Check::warn(name, detail, mend),
        _ => Check::ok(name, detail),
    }
}

fn database(look: &Result<&Look, String>) -> Check {
    let name = "database";
    let Look { kind, applied, newest, damage } = match look {
        Ok(look) => look,
        Err(error) => {
            let mend = "start it, and check DATABASE_URL (host, port, name, user, password) and the firewall";
            return Check::fail(name, error, mend);
        }
    };
    if !damage.is_empty() {
        let mend = "stop the server and restore a backup; keep the damaged file";
        return Check::fail(name, format!("{kind}: the file is damaged: {}", damage.join("; ")), mend);
    }
    match applied {
        None => Check::ok(name, format!("{kind}: empty; the first start makes its tables")),
        Some(applied) if applied > newest => {
            let detail = format!("{kind}: its schema {applied} is newer than this program, which knows {newest}");
            Check::fail(name, detail, "start the newer release, or restore a backup from before the upgrade")
        }
        Some(applied) if applied < newest => {
            Check::ok(name, format!("{kind}: schema {applied}; the next start brings it to {newest}"))
        }
        Some(applied) => Check::ok(name, format!("{kind}: schema {applied}, up to date")),
    }
}

/// The keys, and whether they open what was sealed.
async fn key(config: &Config, look: Option<&Look>) -> Check {
    let name = "key";
    let options = config.crypto_options();
    let source =
        if options.keys.is_some() { "ENCRYPTION_KEY".to_owned() } else { options.key_file.display().to_string() };
    if options.keys.is_none() && !options.key_file.exists() {
        return Check::ok(name, "none yet; the first start makes one. Back it up then");
    }
    let lost =
        "restore the key that was used when the secrets were saved; without it they are lost and must be set anew";
    let keyring = match Keyring::load(&options) {
        Ok(keyring) => Arc::new(keyring),
        Err(error) => return Check::fail(name, format!("{source} cannot be used: {error}"), lost),
    };
    // Only a database that is up to date is opened: opening another one would change it.
    if look.is_none_or(|look| look.applied != Some(look.newest)) {
        return Check::ok(name, format!("{source} can be read"));
    }
    let sealed = async {
        let store = Store::open(&config.store_options()).await.map_err(|error| error.to_string())?;
        let vault = Vault::new(store.clone(), keyring, Arc::new(SystemClock));
        let unreadable = vault.unreadable().await.map_err(|error| error.to_string());
        store.close().await;
        unreadable
    };
    match sealed.await {
        Err(error) => Check::warn(name, format!("{source} can be read, the vault cannot: {error}"), "see the database"),
        Ok(unreadable) if unreadable.is_empty() => Check::ok(name, format!("{source} opens every secret")),
        Ok(unreadable) => Check::fail(name, format!("{source} does not open {}", unreadable.join(", ")), lost),
    }
}

fn link_mode(folder: &Path) -> Check {
    match crate::environments::link_mode_of(folder) {
        "hardlink" => Check::ok("link mode", "environments are hard links into uv's cache"),
        _ => Check::warn(
            "link mode",
            format!("files cannot be linked within {}, so environments are copies", folder.display()),
            "put UV_CACHE_DIR on one ordinary file system (ext4, xfs, btrfs); it works like this, in twice the room",
        ),
    }
}

/// Docker, the image, and a container that does what a run needs.
async fn docker(config: &Config) -> Vec<Check> {
    let instance = config.instance().unwrap_or_else(|_| "unknown".to_owned());
    // A name of its own, so that a server that works does not take the trial for something left behind.
    let options = super::serve::engine_options(config, &format!("{instance}-doctor"), "doctor");
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

fn daemon(info: &EngineInfo) -> Check {
    let detail = format!("Docker {}, {} cores, {}", info.engine_version, info.cpus, format_bytes(info.memory_bytes));
    match engine_trouble(info) {
        Some((detail, mend)) => Check::fail("docker", detail, mend),
        None => Check::ok("docker", detail),
    }
}

/// What makes an engine one that Fast-Flow does not work with, and what to do: told at the start as well.
pub(super) fn engine_trouble(info: &EngineInfo) -> Option<(&'static str, &'static str)> {
    if info.rootless {
        return Some((
            "this Docker runs rootless: users in containers are others on the host, so runs could not use the folders that \
             the server prepares for them, nor the server delete what they wrote",
            "use a Docker that runs as root; containers of runs have no root, no capabilities and no way to new privileges",
        ));
    }
    if info.userns_remap {
        return Some((
            "this Docker renames users (userns-remap), so runs could not use the folders that the server prepares for them",
            "switch userns-remap off in /etc/docker/daemon.json, or give Fast-Flow a Docker of its own (DOCKER_HOST)",
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
        user: super::serve::worker_user(config),
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

fn tools(uv: &str, python: &str) -> Check {
    if uv.starts_with("uv ") && python.starts_with("Python ") {
        return Check::ok("uv", format!("{uv}, {python}"));
    }
    let mend = "name an image with uv, Python and /bin/sh in WORKER_BASE_IMAGE";
    Check::fail("uv", format!("the worker image has not what a pipeline needs: {uv:?}, {python:?}"), mend)
}

fn clock(ours: i64, theirs: Option<i64>) -> Check {
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

fn folders_check(answered: bool) -> Check {
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

/// The repository of the environment's settings; what was saved in the UI is tested there.
async fn remote(config: &Config) -> Check {
    let name = "git";
    let mend =
        "check PIPELINES_REPO_URL, GIT_BRANCH and the credential; what is saved in the UI is tested on the page “Code”";
    let source = match config.sync_source() {
        Ok(source) => source,
        Err(error) => return Check::fail(name, error, mend),
    };
    let Some(url) = source.repository_url.clone() else {
        let folder = config.data.pipelines_dir.display();
        return Check::ok(name, format!("no repository in the settings; pipelines are in {folder}, or set in the UI"));
    };
    let asked = async {
        let (address, _) = Address::parse(&url)?;
        let auth = match source.auth {
            _ if address.scheme == Scheme::Local => Auth::None,
            SyncAuth::None => Auth::None,
            SyncAuth::Token => Auth::Password {
                username: source.username.clone(),
                password: source.secrets.token.as_ref().map(|token| token.to_string()).unwrap_or_default(),
            },
            SyncAuth::SshKey => Auth::SshKey {
                key: format!("{}\n", source.secrets.ssh_key.as_ref().map(|key| key.trim()).unwrap_or_default()),
                known_hosts: source.ssh_known_hosts.clone(),
            },
            SyncAuth::GithubApp => {
                let app = source.app().ok_or("the GitHub App is not set up")?;
                let github = Github::new(Outbound::new().map_err(|error| error.to_string())?, Arc::new(SystemClock));
                let token = github.token(&app).await.map_err(|error| error.to_string())?;
                Auth::Password { username: crate::sync::TOKEN_USER.to_owned(), password: token.to_string() }
            }
        };
        let folder = config.data.data_dir.join("git");
        let git =
            Git::new(git::Options { program: None, folder: folder.clone(), deadline: REMOTE, test_deadline: REMOTE });
        let job = git::Job {
            mirror: git.mirror(&url),
            url: url.clone(),
            host: address.host,
            branch: source.branch.clone(),
            auth,
            test: true,
            commits: config.data.data_dir.join("commits"),
            subdir: source.subdir.clone(),
            live: None,
        };
        git.test(&job).await.map_err(|error| error.to_string())
    };
    match asked.await {
        Ok(tested) => Check::ok(name, format!("{url}: {} is at {}", source.branch, tested.commit)),
        Err(error) => Check::fail(name, error, mend),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> EngineInfo {
        EngineInfo {
            engine_version: "28.0".to_owned(),
            api_version: "1.48".to_owned(),
            cgroup_version: 2,
            init_available: true,
            rootless: false,
            userns_remap: false,
            live_restore: false,
            cpus: 2,
            memory_bytes: 8 << 30,
        }
    }

    #[test]
    fn each_verdict_says_how_to_mend_it() {
        let look = |applied, damage: &[&str]| Look {
            kind: "SQLite",
            applied,
            newest: 14,
            damage: damage.iter().map(|text| (*text).to_owned()).collect(),
        };
        let verdict = |look: &Look| database(&Ok(look)).verdict;
        assert_eq!(verdict(&look(None, &[])), Verdict::Ok);
        assert_eq!(verdict(&look(Some(14), &[])), Verdict::Ok);
        assert_eq!(verdict(&look(Some(8), &[])), Verdict::Ok);
        let newer = database(&Ok(&look(Some(15), &[])));
        assert!(newer.verdict == Verdict::Fail && newer.mend.is_some_and(|mend| mend.contains("newer release")));
        assert_eq!(verdict(&look(Some(14), &["row 5 missing"])), Verdict::Fail);
        assert_eq!(database(&Err("away".to_owned())).verdict, Verdict::Fail);

        let at = Path::new("/data");
        assert_eq!(room("data", at, 10 << 30).verdict, Verdict::Ok);
        assert_eq!(room("data", at, 1 << 30).verdict, Verdict::Warn);
        assert_eq!(room("data", at, 1 << 20).verdict, Verdict::Fail);

        assert_eq!(daemon(&info()).verdict, Verdict::Ok);
        for odd in [
            EngineInfo { rootless: true, ..info() },
            EngineInfo { userns_remap: true, ..info() },
            EngineInfo { init_available: false, ..info() },
        ] {
            let check = daemon(&odd);
            assert!(check.verdict == Verdict::Fail && check.mend.is_some(), "{check:?}");
        }

        assert_eq!(clock(100, Some(101)).verdict, Verdict::Ok);
        assert_eq!(clock(100, Some(90)).verdict, Verdict::Warn);
        assert_eq!(clock(100, None).verdict, Verdict::Warn);
        assert_eq!(tools("uv 0.9.0", "Python 3.11.7").verdict, Verdict::Ok);
        assert_eq!(tools("none", "Python 3.11.7").verdict, Verdict::Fail);
        assert_eq!(folders_check(false).verdict, Verdict::Fail);
    }

    #[test]
    fn it_is_printed_a_line_each_with_the_way_out_below() {
        let checks = vec![Check::ok("docker", "Docker 28"), Check::fail("git", "no such branch", "name another one")];
        let text = Diagnosis { healthy: false, checks }.to_string();
        assert_eq!(
            text,
            "OK    docker       Docker 28\nFAIL  git          no such branch\n                   → name another one\n"
        );
    }
}
