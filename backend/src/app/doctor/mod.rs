//! `fastflow doctor`: looks at everything that a server needs, with the server's own settings and code, and says of each thing
//! whether it is well and, when it is not, how to mend it. It changes nothing; a server may run beside it.

mod docker;
mod remote;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::config::{Config, Mistakes};
use crate::crypto::Keyring;
use crate::domain::clock::SystemClock;
use crate::domain::size::format_bytes;
use crate::store::{Look, Store};
use crate::vault::Vault;
pub(super) use docker::engine_trouble;

/// Room below which a disk is a worry, and below which nothing should be started.
const LITTLE: u64 = 5 << 30;
const TOO_LITTLE: u64 = 256 << 20;

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
    checks.extend(docker::docker(config).await);
    checks.push(remote::remote(config).await);
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

#[cfg(test)]
mod tests {
    use super::docker::{clock, daemon, folders_check, tools};
    use super::*;
    use crate::engine::EngineInfo;

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
        let renames = daemon(&EngineInfo { userns_remap: true, ..info() });
        assert!(renames.verdict == Verdict::Ok && renames.detail.contains("userns-remap"), "{renames:?}");
        for odd in [EngineInfo { rootless: true, ..info() }, EngineInfo { init_available: false, ..info() }] {
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
