//! Floor 8: the only room that reads the environment. Every setting is described once, in [`settings`]; here they become
//! plain values, or a list of all that is wrong with them.
//!
//! A new setting is one line in the table, one field and one line in [`Config::build`].

mod instance;
mod kind;
mod report;
pub mod settings;
mod sources;
mod values;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use zeroize::Zeroizing;

use fastflow_shared::{FieldProblem, SyncAuth, SyncSettingsChange};

use crate::domain::repository::Address;
use crate::domain::tuning::Tuning;
use crate::domain::zone::Zone;
use crate::settings::Known;
use crate::{auth, crypto, store, sync};
pub use instance::InstanceError;
pub use kind::Kind;
pub use report::{Effective, Mistake, Mistakes, Origin, example, markdown, table};
use settings::Setting;
pub use sources::Sources;
use values::Values;

/// Everything that can be set. Never printed as a whole: it holds secrets.
#[derive(Clone)]
pub struct Config {
    /// How the server behaves as a process.
    pub server: Server,
    /// Where things lie.
    pub data: Data,
    /// Where the pipelines' code comes from.
    pub git: Git,
    /// Who may come in.
    pub access: Access,
    /// How runs behave.
    pub runs: Runs,
    /// What a run may use when its pipeline does not say.
    pub limits: Limits,
    /// Docker and what runs find in their container.
    pub worker: Worker,
    /// What is kept, and for how long.
    pub keeping: Keeping,
    /// Every setting with its origin, secrets hidden. For `fastflow config` and the UI.
    pub effective: Vec<Effective>,
    /// Names in `.env` that are no settings of this version: typing mistakes, perhaps. To be told at the start.
    pub unknown: Vec<String>,
}

/// How the server behaves as a process.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// `BIND_ADDRESS`.
    pub bind_address: SocketAddr,
    /// `TRUSTED_PROXIES`.
    pub trusted_proxies: Vec<IpNet>,
    /// `RUST_LOG`, or what `LOG_LEVEL` means as such.
    pub log_filter: String,
    /// `LOG_FORMAT` is `json`.
    pub log_json: bool,
    /// `METRICS_TOKEN`.
    pub metrics_token: Option<Zeroizing<String>>,
    /// `METRICS_ALLOW`.
    pub metrics_allow: Vec<IpNet>,
    /// `SHUTDOWN_STOPS_RUNS`.
    pub shutdown_stops_runs: bool,
    /// `FASTFLOW_INSTANCE`; see [`Config::instance`].
    pub instance: Option<String>,
}

/// Where things lie. Paths are absolute.
#[derive(Clone, PartialEq, Eq)]
pub struct Data {
    /// `DATA_DIR`.
    pub data_dir: PathBuf,
    /// `DATABASE_URL`; may hold a password.
    pub database_url: Option<String>,
    /// `DATABASE_WAIT_SECONDS`.
    pub database_wait: Duration,
    /// `PIPELINES_DIR`.
    pub pipelines_dir: PathBuf,
    /// `LOGS_DIR`.
    pub logs_dir: PathBuf,
    /// `UV_CACHE_DIR`.
    pub uv_cache_dir: PathBuf,
}

/// Where the pipelines' code comes from.
#[derive(Clone, PartialEq, Eq)]
pub struct Git {
    /// `PIPELINES_REPO_URL`, as it was given; may hold a password.
    pub repository_url: Option<String>,
    /// `GIT_BRANCH`.
    pub branch: String,
    /// `PIPELINES_SUBDIR`.
    pub subdir: String,
    /// `AUTO_SYNC_INTERVAL`.
    pub auto_sync_seconds: u64,
    /// `GIT_USERNAME`.
    pub username: String,
    /// `GIT_TOKEN`.
    pub token: Option<Zeroizing<String>>,
    /// `GIT_SSH_KEY_PATH`.
    pub ssh_key: Option<PathBuf>,
    /// `GIT_SSH_KNOWN_HOSTS`.
    pub ssh_known_hosts: Option<PathBuf>,
    /// `GIT_CA_FILE`.
    pub ca_file: Option<PathBuf>,
    /// `GITHUB_APP_ID`.
    pub github_app_id: Option<String>,
    /// `GITHUB_INSTALLATION_ID`.
    pub github_installation_id: Option<String>,
    /// `GITHUB_PRIVATE_KEY_PATH`.
    pub github_private_key: Option<PathBuf>,
    /// `GITHUB_API_URL`.
    pub github_api_url: String,
    /// `SYNC_WEBHOOK_SECRET`.
    pub webhook_secret: Option<Zeroizing<String>>,
}

/// Who may come in.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// `ENCRYPTION_KEY`.
    pub encryption_key: Option<Zeroizing<String>>,
    /// `ADMIN_USERNAME`.
    pub admin_username: String,
    /// `ADMIN_PASSWORD`.
    pub admin_password: Option<Zeroizing<String>>,
    /// `SESSION_HOURS`.
    pub session_lifetime: Duration,
    /// `SESSION_IDLE_HOURS`.
    pub session_idle: Duration,
    /// `PASSWORD_MIN_LENGTH`.
    pub password_min_chars: usize,
    /// `PASSWORD_HASHING`.
    pub password_cost: crypto::Cost,
    /// `API_TOKEN_MAX_DAYS`; `None` is no limit.
    pub token_max_days: Option<u32>,
    /// `AUDIT_KEEP_DAYS`; `None` is for ever.
    pub audit_kept: Option<Duration>,
}

/// How runs behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs {
    /// `MAX_CONCURRENT_RUNS`.
    pub max_concurrent: usize,
    /// `MAX_QUEUED_RUNS`.
    pub max_queued: usize,
    /// `WARM_CONTAINERS`.
    pub warm_containers: usize,
    /// `CONTAINER_TIMEOUT`; `None` is never.
    pub timeout: Option<Duration>,
    /// `RETRY_ATTEMPTS`.
    pub retry_attempts: u32,
    /// `CANCEL_GRACE_SECONDS`.
    pub cancel_grace: Duration,
    /// `HEALTH_SILENCE_SECONDS`; `None` is never.
    pub silence: Option<Duration>,
    /// `SCHEDULE_TIME_ZONE`.
    pub schedule_zone: String,
    /// `LOG_STREAM_RATE_LIMIT`; 0 is all.
    pub log_stream_rate: u32,
    /// `LOG_MAX_SIZE_MB` in bytes; `None` is no limit.
    pub log_max_bytes: Option<u64>,
}

/// What a run may use when its pipeline does not say.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// `DEFAULT_CPU_LIMIT` in cores.
    pub cpus: Option<f64>,
    /// `DEFAULT_MEMORY_LIMIT` in bytes.
    pub memory: Option<u64>,
    /// `DEFAULT_PIDS_LIMIT`.
    pub pids: u32,
}

/// Docker and what runs find in their container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `HOST_PATHS`: here, on Docker's host.
    pub host_paths: Vec<(PathBuf, PathBuf)>,
    /// `UV_PRE_HEAT`.
    pub pre_heat: bool,
    /// `UV_CACHE_MAX_MB` in bytes; `None` is no limit.
    pub uv_cache_max_bytes: Option<u64>,
    /// `WORKER_BASE_IMAGE`.
    pub image: String,
    /// `WORKER_USER`, as `uid:gid`.
    pub user: String,
    /// `WORKER_CAPABILITIES`, without `CAP_`.
    pub capabilities: Vec<String>,
    /// `WORKER_NETWORK`; `None` is one of our own.
    pub network: Option<String>,
    /// `WORKER_CA_BUNDLE`.
    pub ca_bundle: Option<PathBuf>,
}

/// What is kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeping {
    /// `LOG_RETENTION_RUNS`; `None` is all.
    pub runs: Option<u32>,
    /// `LOG_RETENTION_DAYS`; `None` is for ever.
    pub days: Option<u32>,
    /// `DATA_MAX_MB` in bytes; `None` is no limit.
    pub data_max_bytes: Option<u64>,
    /// `DATA_MIN_FREE_MB` in bytes.
    pub min_free_bytes: u64,
    /// `CLEANUP_INTERVAL_MINUTES`.
    pub cleanup_every: Duration,
    /// `STORAGE_INTERVAL_MINUTES`.
    pub storage_every: Duration,
    /// `JANITOR_INTERVAL_MINUTES`.
    pub janitor_every: Duration,
    /// `BACKUP_DIR`.
    pub backup_dir: PathBuf,
    /// `BACKUP_INTERVAL_HOURS`; `None` is never.
    pub backup_every: Option<Duration>,
    /// `BACKUP_KEEP`.
    pub backups: usize,
    /// `SQLITE_WAL_MAX_MB` in bytes.
    pub wal_max_bytes: u64,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.effective).finish()
    }
}

impl Config {
    /// Reads all settings.
    ///
    /// # Errors
    /// All that are wrong, not only the first.
    pub fn load(sources: &Sources) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let dotenv = sources.dotenv.as_deref().map(|content| sources::read_dotenv(content, &mut mistakes));
        let dotenv = dotenv.unwrap_or_default();
        let mut reader =
            Reader { sources, dotenv: &dotenv, values: Values::default(), effective: Vec::new(), mistakes };
        let data_dir = settings::all().find(|setting| setting.name == "DATA_DIR").map(|setting| reader.find(setting).0);
        for group in settings::GROUPS {
            for setting in group.settings {
                reader.read(group.title, setting, data_dir.as_deref().unwrap_or_default());
            }
        }
        let Reader { values, effective, mistakes, .. } = reader;
        if !mistakes.is_empty() {
            return Err(Mistakes(mistakes));
        }
        let known: BTreeSet<_> = settings::all().map(|setting| setting.name).collect();
        let unknown = dotenv.into_keys().filter(|name| !known.contains(name.as_str())).collect();
        Ok(Self::build(values, effective, unknown))
    }

    fn build(mut v: Values, effective: Vec<Effective>, unknown: Vec<String>) -> Self {
        let level = v.text("LOG_LEVEL");
        let config = Self {
            server: Server {
                bind_address: v.address("BIND_ADDRESS"),
                trusted_proxies: v.networks("TRUSTED_PROXIES"),
                // Libraries speak up when something is wrong; what they do otherwise is noise to an operator.
                log_filter: v.opt_text("RUST_LOG").unwrap_or_else(|| match level.as_str() {
                    "error" => "error".to_owned(),
                    level => format!("warn,fastflow={level}"),
                }),
                log_json: v.text("LOG_FORMAT") == "json",
                metrics_token: v.opt_text("METRICS_TOKEN").map(Zeroizing::new),
                metrics_allow: v.networks("METRICS_ALLOW"),
                shutdown_stops_runs: v.flag("SHUTDOWN_STOPS_RUNS"),
                instance: v.opt_text("FASTFLOW_INSTANCE"),
            },
            data: Data {
                data_dir: v.path("DATA_DIR"),
                database_url: v.opt_text("DATABASE_URL"),
                database_wait: v.seconds("DATABASE_WAIT_SECONDS").unwrap_or_default(),
                pipelines_dir: v.path("PIPELINES_DIR"),
                logs_dir: v.path("LOGS_DIR"),
                uv_cache_dir: v.path("UV_CACHE_DIR"),
            },
            git: Git {
                repository_url: v.opt_text("PIPELINES_REPO_URL"),
                branch: v.text("GIT_BRANCH"),
                subdir: v.opt_text("PIPELINES_SUBDIR").unwrap_or_default(),
                auto_sync_seconds: v.whole("AUTO_SYNC_INTERVAL"),
                username: v.text("GIT_USERNAME"),
                token: v.opt_text("GIT_TOKEN").map(Zeroizing::new),
                ssh_key: v.opt_path("GIT_SSH_KEY_PATH"),
                ssh_known_hosts: v.opt_path("GIT_SSH_KNOWN_HOSTS"),
                ca_file: v.opt_path("GIT_CA_FILE"),
                github_app_id: v.opt_text("GITHUB_APP_ID"),
                github_installation_id: v.opt_text("GITHUB_INSTALLATION_ID"),
                github_private_key: v.opt_path("GITHUB_PRIVATE_KEY_PATH"),
                github_api_url: v.text("GITHUB_API_URL"),
                webhook_secret: v.opt_text("SYNC_WEBHOOK_SECRET").map(Zeroizing::new),
            },
            access: Access {
                encryption_key: v.opt_text("ENCRYPTION_KEY").map(Zeroizing::new),
                admin_username: v.text("ADMIN_USERNAME"),
                admin_password: v.opt_text("ADMIN_PASSWORD").map(Zeroizing::new),
                session_lifetime: v.hours("SESSION_HOURS"),
                session_idle: v.hours("SESSION_IDLE_HOURS"),
                password_min_chars: v.whole("PASSWORD_MIN_LENGTH"),
                password_cost: v.opt_cost("PASSWORD_HASHING").unwrap_or_default(),
                token_max_days: v.days("API_TOKEN_MAX_DAYS"),
                audit_kept: v.days("AUDIT_KEEP_DAYS").map(|days| Duration::from_secs(u64::from(days) * 86_400)),
            },
            runs: Runs {
                max_concurrent: v.whole("MAX_CONCURRENT_RUNS"),
                max_queued: v.whole("MAX_QUEUED_RUNS"),
                warm_containers: v.whole("WARM_CONTAINERS"),
                timeout: v.seconds("CONTAINER_TIMEOUT"),
                retry_attempts: v.whole("RETRY_ATTEMPTS"),
                cancel_grace: v.seconds("CANCEL_GRACE_SECONDS").unwrap_or_default(),
                silence: v.seconds("HEALTH_SILENCE_SECONDS"),
                schedule_zone: v.text("SCHEDULE_TIME_ZONE"),
                log_stream_rate: v.whole("LOG_STREAM_RATE_LIMIT"),
                log_max_bytes: Some(v.whole::<u64>("LOG_MAX_SIZE_MB")).filter(|mb| *mb > 0).map(|mb| mb << 20),
            },
            limits: Limits {
                cpus: v.opt_decimal("DEFAULT_CPU_LIMIT"),
                memory: v.opt_whole("DEFAULT_MEMORY_LIMIT"),
                pids: v.whole("DEFAULT_PIDS_LIMIT"),
            },
            worker: Worker {
                docker_host: v.opt_text("DOCKER_HOST"),
                host_paths: v.pairs("HOST_PATHS"),
                pre_heat: v.flag("UV_PRE_HEAT"),
                uv_cache_max_bytes: Some(v.whole::<u64>("UV_CACHE_MAX_MB")).filter(|mb| *mb > 0).map(|mb| mb << 20),
                image: v.text("WORKER_BASE_IMAGE"),
                user: v.text("WORKER_USER"),
                capabilities: v.list("WORKER_CAPABILITIES"),
                network: v.opt_text("WORKER_NETWORK"),
                ca_bundle: v.opt_path("WORKER_CA_BUNDLE"),
            },
            keeping: Keeping {
                runs: v.opt_whole("LOG_RETENTION_RUNS").and_then(|runs| u32::try_from(runs).ok()),
                days: v.opt_whole("LOG_RETENTION_DAYS").and_then(|days| u32::try_from(days).ok()),
                data_max_bytes: Some(v.megabytes("DATA_MAX_MB")).filter(|bytes| *bytes > 0),
                min_free_bytes: v.megabytes("DATA_MIN_FREE_MB"),
                cleanup_every: v.minutes("CLEANUP_INTERVAL_MINUTES"),
                storage_every: v.minutes("STORAGE_INTERVAL_MINUTES"),
                janitor_every: v.minutes("JANITOR_INTERVAL_MINUTES"),
                backup_dir: v.path("BACKUP_DIR"),
                backup_every: v.seconds("BACKUP_INTERVAL_HOURS").map(|hours| hours * 3600),
                backups: v.whole("BACKUP_KEEP"),
                wal_max_bytes: v.megabytes("SQLITE_WAL_MAX_MB"),
            },
            effective,
            unknown,
        };
        assert!(v.left().is_empty(), "settings that nothing uses: {:?}", v.left());
        config
    }

    /// What changes of an admin mean together with the environment. Each is checked as the environment's value is.
    ///
    /// # Errors
    /// What is wrong, by the setting's name.
    pub fn tuned(sources: &Sources, changes: &BTreeMap<String, String>) -> Result<Tuning, Vec<FieldProblem>> {
        let check = |(name, value): (&String, &String)| {
            let message = match settings::all().find(|setting| setting.name == name.as_str()) {
                None => "there is no such setting".to_owned(),
                Some(setting) if !setting.changeable => "it cannot be changed while the server works".to_owned(),
                Some(_) if value.is_empty() => return None,
                Some(setting) => {
                    setting.kind.read(value).err()?;
                    format!("allowed is {}", setting.kind.allowed())
                }
            };
            Some(FieldProblem { field: name.clone(), message })
        };
        let problems: Vec<_> = changes.iter().filter_map(check).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let sources = Sources { changes: changes.clone(), ..sources.clone() };
        let field = |mistake: &Mistake| FieldProblem { field: "environment".to_owned(), message: mistake.to_string() };
        let config = Self::load(&sources).map_err(|Mistakes(all)| all.iter().map(field).collect::<Vec<_>>())?;
        Ok(config.tuning())
    }

    /// What an admin may change while the server works, as the environment says.
    #[must_use]
    pub fn tuning(&self) -> Tuning {
        let Self { runs, limits, worker, keeping, access, .. } = self;
        Tuning {
            max_concurrent: runs.max_concurrent,
            max_queued: runs.max_queued,
            warm_containers: runs.warm_containers,
            timeout: runs.timeout.and_then(|timeout| i64::try_from(timeout.as_secs()).ok()),
            retry_attempts: runs.retry_attempts,
            cancel_grace: runs.cancel_grace,
            silence: runs.silence,
            cpus: limits.cpus,
            memory: limits.memory,
            pids: limits.pids,
            log_stream_rate: runs.log_stream_rate,
            log_max_bytes: runs.log_max_bytes,
            audit_kept: access.audit_kept,
            keep_runs: keeping.runs,
            keep_days: keeping.days,
            data_max_bytes: keeping.data_max_bytes,
            min_free_bytes: keeping.min_free_bytes,
            uv_cache_max_bytes: worker.uv_cache_max_bytes,
            cleanup_every: keeping.cleanup_every,
            storage_every: keeping.storage_every,
            janitor_every: keeping.janitor_every,
            backup_every: keeping.backup_every,
            backups_kept: keeping.backups,
            wal_max_bytes: keeping.wal_max_bytes,
        }
    }

    /// Every setting as it is to be shown, with what it may hold.
    #[must_use]
    pub fn known(&self) -> Vec<Known> {
        let known = |line: &Effective| {
            let setting = settings::all().find(|setting| setting.name == line.name)?;
            Some(Known {
                group: line.group,
                name: setting.name,
                what: setting.what,
                allowed: setting.kind.allowed(),
                default: setting.default.replace("{DATA_DIR}", &self.data.data_dir.to_string_lossy()),
                value: line.value.clone(),
                origin: line.origin.to_string(),
                changeable: setting.changeable,
            })
        };
        self.effective.iter().filter_map(known).collect()
    }

    /// The options of the database.
    #[must_use]
    pub fn store_options(&self) -> store::Options {
        let sqlite = store::Options::sqlite(self.data.data_dir.join("fastflow.db"));
        store::Options { url: self.data.database_url.clone(), ..sqlite }
    }

    /// Zone of jobs that name none.
    #[must_use]
    pub fn schedule_zone(&self) -> Zone {
        // It was checked when it was read.
        Zone::parse(&self.runs.schedule_zone).unwrap_or(Zone::UTC)
    }

    /// The options of the keyring.
    #[must_use]
    pub fn crypto_options(&self) -> crypto::Options {
        crypto::Options {
            keys: self.access.encryption_key.clone(),
            key_file: self.data.data_dir.join("encryption.key"),
        }
    }

    /// The options of the door.
    #[must_use]
    pub fn auth_options(&self) -> auth::Options {
        let access = &self.access;
        auth::Options {
            admin_username: access.admin_username.clone(),
            admin_password: access.admin_password.clone(),
            session_lifetime: access.session_lifetime,
            session_idle: access.session_idle,
            limits: auth::Limits::default(),
            cost: access.password_cost,
            password_min_chars: access.password_min_chars,
            token_max_days: access.token_max_days,
        }
    }

    /// Where code comes from as the environment says. Reads the files that hold keys.
    ///
    /// # Errors
    /// What is wrong, with the setting's name.
    pub fn sync_source(&self) -> Result<sync::Source, String> {
        let Git { repository_url, .. } = &self.git;
        let file = |name: &str, path: &Option<PathBuf>| match path {
            None => Ok(None),
            Some(path) => std::fs::read_to_string(path)
                .map(|text| Some(Zeroizing::new(text)))
                .map_err(|error| format!("{name}: {} cannot be read: {error}", path.display())),
        };
        let known_hosts = file("GIT_SSH_KNOWN_HOSTS", &self.git.ssh_known_hosts)?;
        let auth = match (&self.git.github_app_id, &self.git.ssh_key, &self.git.token) {
            (Some(_), _, _) => SyncAuth::GithubApp,
            (None, Some(_), _) => SyncAuth::SshKey,
            // A token may be in the address itself.
            (None, None, token) => {
                let pasted = repository_url.as_deref().and_then(|url| Address::parse(url).ok()).and_then(|(_, p)| p);
                if token.is_some() || pasted.is_some() { SyncAuth::Token } else { SyncAuth::None }
            }
        };
        let text = |secret: Option<Zeroizing<String>>| secret.map(|text| text.to_string());
        let change = SyncSettingsChange {
            repository_url: repository_url.clone(),
            branch: Some(self.git.branch.clone()),
            subdir: Some(self.git.subdir.clone()),
            auto_sync_seconds: i64::try_from(self.git.auto_sync_seconds).ok(),
            auth: if repository_url.is_some() { auth } else { SyncAuth::None },
            username: Some(self.git.username.clone()),
            token: text(self.git.token.clone()),
            ssh_key: text(file("GIT_SSH_KEY_PATH", &self.git.ssh_key)?),
            ssh_known_hosts: text(known_hosts),
            github_app_id: self.git.github_app_id.clone(),
            github_installation_id: self.git.github_installation_id.clone(),
            github_api_url: Some(self.git.github_api_url.clone()),
            github_private_key: text(file("GITHUB_PRIVATE_KEY_PATH", &self.git.github_private_key)?),
            webhook_secret: text(self.git.webhook_secret.clone()),
        };
        sync::Source::default().changed(&change).map_err(|problems| {
            let name = |field: &str| match field {
                "repository_url" => "PIPELINES_REPO_URL",
                "auto_sync_seconds" => "AUTO_SYNC_INTERVAL",
                "token" => "GIT_TOKEN",
                "ssh_key" => "GIT_SSH_KEY_PATH",
                "ssh_known_hosts" => "GIT_SSH_KNOWN_HOSTS",
                "github_app_id" => "GITHUB_APP_ID",
                "github_installation_id" => "GITHUB_INSTALLATION_ID",
                "github_private_key" => "GITHUB_PRIVATE_KEY_PATH",
                "github_api_url" => "GITHUB_API_URL",
                "webhook_secret" => "SYNC_WEBHOOK_SECRET",
                "auth" => "PIPELINES_REPO_URL and its credential",
                _ => "the settings of git",
            };
            let told: Vec<_> = problems.iter().map(|p| format!("{}: {}", name(&p.field), p.message)).collect();
            told.join("; ")
        })
    }

    /// Name of this server on its containers: the one that is set, else the one that is kept, else a new one.
    ///
    /// # Errors
    /// [`InstanceError`] when the file that keeps it cannot be used.
    pub fn instance(&self) -> Result<String, InstanceError> {
        instance::of(self.server.instance.as_deref(), &self.data.data_dir)
    }
}

/// Finds and reads settings one by one.
struct Reader<'a> {
    sources: &'a Sources,
    dotenv: &'a BTreeMap<String, String>,
    values: Values,
    effective: Vec<Effective>,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn read(&mut self, group: &'static str, setting: &'static Setting, data_dir: &str) {
        let (text, origin) = self.find(setting);
        let text = text.replace("{DATA_DIR}", data_dir);
        self.effective.push(Effective { group, name: setting.name, value: report::shown(setting, &text), origin });
        if text.is_empty() {
            self.values.insert(setting.name, None);
            return;
        }
        match setting.kind.read(&text) {
            Ok(value) => {
                self.values.insert(setting.name, Some(value));
            }
            Err(more) => self.mistakes.push(Mistake::of_setting(setting, &text, origin, more.as_deref())),
        }
    }

    /// A setting's text and where it stands. An empty one counts as not set, as compose files like to pass such.
    fn find(&mut self, setting: &Setting) -> (String, Origin) {
        if let Some(text) = self.sources.changes.get(setting.name) {
            let text = tidy(setting, text);
            return (if text.is_empty() { setting.default } else { text }.to_owned(), Origin::Changed);
        }
        if let Some(value) = self.sources.environment.get(setting.name) {
            let Some(text) = value.to_str() else {
                self.mistakes.push(Mistake::of_setting(
                    setting,
                    "?",
                    Origin::Environment,
                    Some("it is not UTF-8 text"),
                ));
                return (setting.default.to_owned(), Origin::Default);
            };
            if !tidy(setting, text).is_empty() {
                return (tidy(setting, text).to_owned(), Origin::Environment);
            }
        }
        if let Some(text) =
            self.dotenv.get(setting.name).map(|text| tidy(setting, text)).filter(|text| !text.is_empty())
        {
            return (text.to_owned(), Origin::DotEnv);
        }
        if setting.name == "WORKER_CA_BUNDLE"
            && let Some(text) = self.sources.environment.get("SSL_CERT_FILE").and_then(|value| value.to_str())
            && Kind::File.read(text).is_ok()
        {
            return (text.to_owned(), Origin::Other("SSL_CERT_FILE"));
        }
        (setting.default.to_owned(), Origin::Default)
    }
}

/// Without the spaces that copying leaves around a value; a password may want its own.
fn tidy<'t>(setting: &Setting, text: &'t str) -> &'t str {
    if setting.kind == Kind::Password { text } else { text.trim() }
}
