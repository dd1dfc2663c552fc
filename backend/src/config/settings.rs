//! Every setting, once: its name, what it does, what it may hold and its default. `.env.example`, the start's error
//! messages and `fastflow config` are made from this table, and a test fails when a line of it is not used.

use super::kind::Kind;

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Name of the environment variable.
    pub name: &'static str,
    /// What it does.
    pub what: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Its value when it is not set; empty for none. `{DATA_DIR}` stands for that setting's value.
    pub default: &'static str,
    /// Whether an admin can change it while the server works.
    pub changeable: bool,
}

impl Setting {
    /// Whether its value must not be shown.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Password | Kind::Keys)
    }
}

/// Settings that belong together.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// Its heading.
    pub title: &'static str,
    /// Its settings.
    pub settings: &'static [Setting],
}

const fn setting(name: &'static str, default: &'static str, kind: Kind, what: &'static str) -> Setting {
    Setting { name, what, kind, default, changeable: false }
}

/// One that an admin can change while the server works.
const fn changeable(name: &'static str, default: &'static str, kind: Kind, what: &'static str) -> Setting {
    Setting { changeable: true, ..setting(name, default, kind, what) }
}

/// A year in seconds: the longest time that is not a mistake.
const YEAR: u64 = 31_536_000;

/// Every setting.
pub const GROUPS: &[Group] = &[
    Group {
        title: "Server",
        settings: &[
            setting(
                "BIND_ADDRESS",
                "127.0.0.1:8000",
                Kind::Address,
                "Where the server listens. Put a proxy with TLS in front before you open it to others.",
            ),
            setting(
                "TRUSTED_PROXIES",
                "",
                Kind::Networks,
                "Proxies in front of this server whose X-Forwarded-For, -Proto and -Host are believed. Nobody's are when it is \
                 not set. Behind https they make the session cookie Secure and send HSTS.",
            ),
            setting(
                "LOG_LEVEL",
                "info",
                Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
                "How much the server says.",
            ),
            setting("RUST_LOG", "", Kind::Filter, "The same in detail; wins over LOG_LEVEL."),
            setting(
                "LOG_FORMAT",
                "text",
                Kind::Choice(&["text", "json"]),
                "How the server writes its own messages (to stderr).",
            ),
            setting(
                "METRICS_TOKEN",
                "",
                Kind::Password,
                "Token with which Prometheus may read /metrics (Authorization: Bearer …). /metrics is closed unless this or \
                 METRICS_ALLOW is set.",
            ),
            setting(
                "METRICS_ALLOW",
                "",
                Kind::Networks,
                "Addresses and networks that may read /metrics without a token.",
            ),
            setting(
                "SHUTDOWN_STOPS_RUNS",
                "false",
                Kind::Flag,
                "Whether runs are stopped when the server stops. Otherwise they go on and the next start finds them.",
            ),
            setting(
                "FASTFLOW_INSTANCE",
                "",
                Kind::Name,
                "Name of this installation on its containers. Made once and kept in DATA_DIR/instance-id; two installations on \
                 one Docker must not have the same, several servers of one have.",
            ),
        ],
    },
    Group {
        title: "Data",
        settings: &[
            setting("DATA_DIR", "./data", Kind::Folder, "Everything that must survive a restart. Back it up."),
            setting(
                "DATABASE_URL",
                "",
                Kind::Database,
                "The database; the SQLite file DATA_DIR/fastflow.db when it is not set.",
            ),
            setting(
                "DATABASE_WAIT_SECONDS",
                "60",
                Kind::Whole { min: 0, max: 3600 },
                "How long a start waits for a database that does not answer, before it ends with exit code 3.",
            ),
            setting("PIPELINES_DIR", "./pipelines", Kind::Folder, "The pipelines, one folder each."),
            setting(
                "LOGS_DIR",
                "{DATA_DIR}/logs",
                Kind::Folder,
                "Logs and metrics of runs; under DATA_DIR when it is not set.",
            ),
            setting(
                "UV_CACHE_DIR",
                "{DATA_DIR}/uv_cache",
                Kind::Folder,
                "uv's cache of packages; under DATA_DIR when it is not set. Keep it on one file system with DATA_DIR: then \
                 environments are hard links instead of copies.",
            ),
        ],
    },
    Group {
        title: "Git",
        settings: &[
            setting(
                "PIPELINES_REPO_URL",
                "",
                Kind::Repository,
                "Repository of the pipelines; PIPELINES_DIR is not used then. What is saved in the UI wins over this group.",
            ),
            setting("GIT_BRANCH", "main", Kind::Branch, "Branch that is followed."),
            setting("PIPELINES_SUBDIR", "", Kind::Subdir, "Folder of the repository that holds the pipelines."),
            setting(
                "AUTO_SYNC_INTERVAL",
                "0",
                Kind::Whole { min: 0, max: YEAR },
                "Seconds between two syncs that start by themselves; 0 is never. A webhook is quicker.",
            ),
            setting("GIT_USERNAME", "x-access-token", Kind::Text, "User name that goes with GIT_TOKEN."),
            setting("GIT_TOKEN", "", Kind::Password, "Token or password for a repository over https."),
            setting("GIT_SSH_KEY_PATH", "", Kind::File, "Deploy key (without a passphrase) for a repository over ssh."),
            setting(
                "GIT_SSH_KNOWN_HOSTS",
                "",
                Kind::File,
                "File with the ssh server's host keys, as ssh-keyscan prints them; no other server is trusted.",
            ),
            setting(
                "GIT_CA_FILE",
                "",
                Kind::File,
                "File (PEM) of the authority that signed your git server's certificate, and that of GITHUB_API_URL; trusted \
                 beside the system's.",
            ),
            setting("GITHUB_APP_ID", "", Kind::Text, "Number of a GitHub App that may read the repository."),
            setting("GITHUB_INSTALLATION_ID", "", Kind::Text, "Number of its installation."),
            setting("GITHUB_PRIVATE_KEY_PATH", "", Kind::File, "File with its private key (PEM)."),
            setting(
                "GITHUB_API_URL",
                "https://api.github.com",
                Kind::Url,
                "GitHub's API; another one for GitHub Enterprise.",
            ),
            setting(
                "SYNC_WEBHOOK_SECRET",
                "",
                Kind::Password,
                "Secret of the webhook /api/sync/webhook (GitHub's secret, GitLab's token); closed when it is not set.",
            ),
        ],
    },
    Group {
        title: "Access",
        settings: &[
            setting(
                "ENCRYPTION_KEY",
                "",
                Kind::Keys,
                "Seals stored secrets. Made once and kept in DATA_DIR/encryption.key when it is not set.",
            ),
            setting("ADMIN_USERNAME", "admin", Kind::Text, "Name of the first user. Counts at the first start only."),
            setting(
                "ADMIN_PASSWORD",
                "",
                Kind::Password,
                "Password of the first user. Counts at the first start only; made up and shown once when it is not set.",
            ),
            setting("SESSION_HOURS", "168", Kind::Decimal { max: 8760.0 }, "A login ends after so many hours."),
            setting(
                "SESSION_IDLE_HOURS",
                "24",
                Kind::Decimal { max: 8760.0 },
                "A login ends when it was not used for so many hours.",
            ),
            setting(
                "PASSWORD_MIN_LENGTH",
                "12",
                Kind::Whole { min: 8, max: 128 },
                "Fewest characters of a new password.",
            ),
            setting(
                "PASSWORD_HASHING",
                "m=46,t=1",
                Kind::HashCost,
                "What a password hash costs (argon2id): MiB of memory and passes. Existing hashes are renewed at the next login.",
            ),
            setting(
                "API_TOKEN_MAX_DAYS",
                "365",
                Kind::Whole { min: 0, max: 3650 },
                "Days that an API token lives at most; 0 allows tokens that never end.",
            ),
            changeable(
                "AUDIT_KEEP_DAYS",
                "400",
                Kind::Whole { min: 0, max: 36_500 },
                "Days for which the audit log is kept; 0 is for ever. The database refuses to delete what is younger than 30.",
            ),
        ],
    },
    Group {
        title: "Runs",
        settings: &[
            changeable(
                "MAX_CONCURRENT_RUNS",
                "10",
                Kind::Whole { min: 1, max: 1000 },
                "Runs that work at the same time, on all servers of the database together.",
            ),
            changeable(
                "MAX_QUEUED_RUNS",
                "100",
                Kind::Whole { min: 0, max: 100_000 },
                "Runs that wait for a place; one more is refused (429). 0 refuses as soon as no place is free.",
            ),
            changeable(
                "WARM_CONTAINERS",
                "2",
                Kind::Whole { min: 0, max: 50 },
                "Containers that are started ahead and wait for a run, so that it begins at once; 0 for none.",
            ),
            changeable(
                "CONTAINER_TIMEOUT",
                "0",
                Kind::Whole { min: 0, max: YEAR },
                "Seconds after which a run is killed; 0 is never. A pipeline's own timeout wins.",
            ),
            changeable(
                "RETRY_ATTEMPTS",
                "0",
                Kind::Whole { min: 0, max: 100 },
                "Further attempts after a failed one. A pipeline's own retry_attempts wins.",
            ),
            changeable(
                "CANCEL_GRACE_SECONDS",
                "10",
                Kind::Whole { min: 0, max: 3600 },
                "Seconds that a cancelled run has to end by itself (SIGTERM) before it is killed (SIGKILL).",
            ),
            changeable(
                "HEALTH_SILENCE_SECONDS",
                "0",
                Kind::Whole { min: 0, max: YEAR },
                "Seconds without any output after which a run counts as unhealthy; 0 is never.",
            ),
            setting("SCHEDULE_TIME_ZONE", "UTC", Kind::Zone, "Time zone of cron expressions that name none."),
            changeable(
                "LOG_STREAM_RATE_LIMIT",
                "100",
                Kind::Whole { min: 0, max: 1_000_000 },
                "Lines per second that a viewer of a live log is sent; more are skipped visibly, never lost. 0 sends all.",
            ),
            changeable(
                "LOG_MAX_SIZE_MB",
                "0",
                Kind::Whole { min: 0, max: 1_000_000 },
                "Size at which a run's log is cut off with a mark, while the run goes on; 0 is never.",
            ),
        ],
    },
    Group {
        title: "Keeping and cleaning up",
        settings: &[
            changeable(
                "LOG_RETENTION_RUNS",
                "",
                Kind::Whole { min: 1, max: 10_000_000 },
                "Runs of each pipeline that are kept, the latest, with their logs and metrics; all when it is not set. A run that \
                 has not ended is never deleted.",
            ),
            changeable(
                "LOG_RETENTION_DAYS",
                "",
                Kind::Whole { min: 1, max: 36_500 },
                "Days after its end for which a run is kept, with its log and metrics; for ever when it is not set.",
            ),
            changeable(
                "DATA_MAX_MB",
                "0",
                Kind::Whole { min: 0, max: 1 << 40 },
                "Room in MB for everything that this server keeps: logs, metrics, environments, cache, code, commits, backups and \
                 the database. Beyond it the most dispensable goes first; when nothing is left that may go, no run is \
                 started. 0 is no limit.",
            ),
            changeable(
                "DATA_MIN_FREE_MB",
                "256",
                Kind::Whole { min: 0, max: 1 << 40 },
                "Free room in MB on the disks of DATA_DIR and LOGS_DIR below which no run is started and the server does not call \
                 itself ready; 0 is none.",
            ),
            changeable(
                "CLEANUP_INTERVAL_MINUTES",
                "60",
                Kind::Whole { min: 1, max: 43_200 },
                "Minutes between two looks for runs that LOG_RETENTION_RUNS and LOG_RETENTION_DAYS do not keep.",
            ),
            changeable(
                "STORAGE_INTERVAL_MINUTES",
                "10",
                Kind::Whole { min: 1, max: 43_200 },
                "Minutes between two measurements of what DATA_MAX_MB and UV_CACHE_MAX_MB limit.",
            ),
            changeable(
                "JANITOR_INTERVAL_MINUTES",
                "60",
                Kind::Whole { min: 1, max: 43_200 },
                "Minutes between two looks for volumes and networks in Docker that carry this instance's label and that nobody \
                 uses. Containers without a run are found every 15 seconds. Nothing else in Docker is ever removed.",
            ),
            setting(
                "BACKUP_DIR",
                "{DATA_DIR}/backups",
                Kind::Folder,
                "Where backups of the SQLite database are written; better on another disk.",
            ),
            changeable(
                "BACKUP_INTERVAL_HOURS",
                "24",
                Kind::Whole { min: 0, max: 8760 },
                "Hours between two backups of the SQLite database; 0 is never. PostgreSQL has pg_dump.",
            ),
            changeable("BACKUP_KEEP", "7", Kind::Whole { min: 1, max: 10_000 }, "Backups that are kept, the latest."),
            changeable(
                "SQLITE_WAL_MAX_MB",
                "64",
                Kind::Whole { min: 1, max: 1_000_000 },
                "Size in MB at which SQLite's write-ahead log is moved into the database, which happens every ten minutes in any \
                 case. A log that stays larger, because somebody reads for long, is told among the chores.",
            ),
        ],
    },
    Group {
        title: "Limits of pipelines that set none",
        settings: &[
            changeable(
                "DEFAULT_CPU_LIMIT",
                "",
                Kind::Decimal { max: 4096.0 },
                "CPU cores; all of the machine's when it is not set.",
            ),
            changeable("DEFAULT_MEMORY_LIMIT", "", Kind::Size, "Memory; all of the machine's when it is not set."),
            changeable(
                "DEFAULT_PIDS_LIMIT",
                "512",
                Kind::Whole { min: 16, max: 4_194_304 },
                "Processes and threads. Holds for every pipeline.",
            ),
        ],
    },
    Group {
        title: "Docker and the worker",
        settings: &[
            setting(
                "DOCKER_HOST",
                "",
                Kind::Docker,
                "Where Docker listens; unix:///var/run/docker.sock when it is not set.",
            ),
            setting(
                "HOST_PATHS",
                "",
                Kind::HostPaths,
                "Where folders of this server lie on Docker's host. Found out by itself when it is not set.",
            ),
            setting(
                "UV_PRE_HEAT",
                "true",
                Kind::Flag,
                "Whether the environment of a new or changed pipeline is built at once; otherwise by its first run.",
            ),
            changeable(
                "UV_CACHE_MAX_MB",
                "20480",
                Kind::Whole { min: 0, max: 1 << 40 },
                "Room in MB for environments, uv's cache and kept code; beyond it what was used longest ago is deleted, but \
                 nothing that a pipeline or a run needs. 0 is no limit.",
            ),
            setting(
                "WORKER_BASE_IMAGE",
                "ghcr.io/astral-sh/uv:python3.11-bookworm-slim",
                Kind::Text,
                "Image that pipelines run in. Needs Python and uv.",
            ),
            setting("WORKER_USER", "10001:10001", Kind::User, "User that pipelines run as inside their container."),
            setting(
                "WORKER_CAPABILITIES",
                "",
                Kind::Capabilities,
                "Linux capabilities that pipelines keep; all others are dropped.",
            ),
            setting(
                "WORKER_NETWORK",
                "",
                Kind::Text,
                "Docker network of pipelines; one of our own when it is not set. \"none\" for none.",
            ),
            setting(
                "WORKER_CA_BUNDLE",
                "",
                Kind::File,
                "PEM file of certificate authorities that preparation and runs trust; the file named by SSL_CERT_FILE when it is \
                 not set.",
            ),
        ],
    },
];

/// Every setting, without the groups.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(|group| group.settings)
}
