//! Where the pipelines' code comes from and how fresh it is.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::EnvironmentState;

/// What a look at the code found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct SyncStatus {
    /// `folder` or `git`.
    pub source: String,
    /// Address of the repository, without any credential.
    pub repository: Option<String>,
    /// Whether a sync is under way.
    pub running: bool,
    /// Branch, when there is one.
    pub branch: Option<String>,
    /// Commit whose code is live.
    pub commit: Option<String>,
    /// Where it can be looked at, when the repository lies on a host that has pages for commits.
    #[serde(default)]
    pub commit_url: Option<String>,
    /// First line of its message.
    pub commit_subject: Option<String>,
    /// Its author.
    pub commit_author: Option<String>,
    /// Commits that are live and not in the branch, as of the last fetch: more than 0 after its history was rewritten.
    pub ahead: Option<i32>,
    /// Commits of the branch that are not live yet, as of the last fetch.
    pub behind: Option<i32>,
    /// When the code was last looked at.
    pub last_sync_at: Option<DateTime<Utc>>,
    /// When a sync last ended well.
    pub last_success_at: Option<DateTime<Utc>>,
    /// Why the last look failed; the code of before is live then.
    pub last_error: Option<String>,
    /// The same as a stable code, e.g. `repository_unreachable`.
    pub last_error_code: Option<String>,
    /// Seconds between two syncs that start by themselves; absent when none does.
    pub auto_sync_seconds: Option<i64>,
    /// Names of pipelines that the last look added.
    pub added: Vec<String>,
    /// Names of pipelines that the last look changed.
    pub changed: Vec<String>,
    /// Names of pipelines that the last look removed.
    pub removed: Vec<String>,
    /// Names of pipelines whose files are not in order.
    pub invalid: Vec<String>,
    /// Number of pipelines found.
    pub pipelines: i32,
    /// What became of each pipeline, by name.
    pub details: Vec<SyncedPipeline>,
}

/// What a sync did to a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", oai(rename_all = "snake_case"))]
pub enum SyncChange {
    /// As before.
    Unchanged,
    /// New.
    Added,
    /// Its files differ.
    Changed,
    /// Gone.
    Removed,
}

/// A pipeline as the last sync left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct SyncedPipeline {
    /// Name of its folder.
    pub name: String,
    /// What the sync did to it.
    pub change: SyncChange,
    /// Whether its files are in order.
    pub valid: bool,
    /// What is wrong with its files.
    pub problem: Option<String>,
    /// How far its environment is.
    pub environment_state: EnvironmentState,
    /// uv's message when the environment could not be built.
    pub environment_error: Option<String>,
}

/// What is to be synced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object), oai(default))]
#[serde(default)]
pub struct StartSync {
    /// Branch to follow from now on; the present one when it is absent.
    pub branch: Option<String>,
}

/// How a sync ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", oai(rename_all = "snake_case"))]
pub enum SyncResult {
    /// It is under way.
    Running,
    /// Other code is live now.
    Switched,
    /// There was nothing new.
    Unchanged,
    /// It failed; the code of before is live.
    Failed,
}

impl SyncResult {
    /// Every result.
    pub const ALL: [Self; 4] = [Self::Running, Self::Switched, Self::Unchanged, Self::Failed];

    /// The name used in JSON and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Switched => "switched",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }

    /// The result of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|result| result.as_str() == name)
    }
}

/// One sync of the past. Automatic ones that found nothing new are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct SyncRecord {
    /// Its id.
    pub id: String,
    /// `manual`, `auto`, `webhook`, `start` or `settings`.
    pub trigger: String,
    /// Who asked for it.
    pub triggered_by: Option<String>,
    /// Branch that was followed.
    pub branch: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub result: SyncResult,
    /// Commit that was live before.
    pub commit_before: Option<String>,
    /// Commit that it found.
    pub commit: Option<String>,
    /// First line of that commit's message.
    pub commit_subject: Option<String>,
    /// That commit's author.
    pub commit_author: Option<String>,
    /// Why it failed, as a stable code.
    pub error_code: Option<String>,
    /// Why it failed, in words.
    pub error_message: Option<String>,
    /// Pipelines that it added.
    pub added: i32,
    /// Pipelines that it changed.
    pub changed: i32,
    /// Pipelines that it removed.
    pub removed: i32,
}

/// One line of a sync's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct SyncLogLine {
    /// When it was written.
    pub time: DateTime<Utc>,
    /// Its text.
    pub text: String,
}

/// Payload of the SSE event `lines` of a sync's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct SyncLogLines {
    /// The sync that they belong to.
    pub sync_id: String,
    /// The lines, in order.
    pub lines: Vec<SyncLogLine>,
    /// Number of the line after them.
    pub next: i64,
}

/// Payload of the SSE event `end` of a sync's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct SyncLogEnd {
    /// How it ended.
    pub result: SyncResult,
}

/// How the server shows the repository who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", oai(rename_all = "snake_case"))]
pub enum SyncAuth {
    /// Not at all.
    #[default]
    None,
    /// A token or password, over https.
    Token,
    /// A GitHub App's installation, over https.
    GithubApp,
    /// A deploy key, over ssh.
    SshKey,
}

/// Where code comes from. Credentials are never shown, only whether there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct SyncSettings {
    /// Whether they were saved here; otherwise they come from the server's environment.
    pub saved: bool,
    /// Address of the repository; absent when a plain folder is used.
    pub repository_url: Option<String>,
    /// Branch that is followed.
    pub branch: String,
    /// Folder of the repository that holds the pipelines; empty for the whole.
    pub subdir: String,
    /// Seconds between two syncs that start by themselves; 0 for never.
    pub auto_sync_seconds: i64,
    /// Which credential is used.
    pub auth: SyncAuth,
    /// User name that goes with a token.
    pub username: String,
    /// Whether there is a token.
    pub token_set: bool,
    /// Whether there is a deploy key.
    pub ssh_key_set: bool,
    /// Keys of the ssh server, as lines of a `known_hosts` file.
    pub ssh_known_hosts: String,
    /// Number of the GitHub App.
    pub github_app_id: String,
    /// Number of its installation.
    pub github_installation_id: String,
    /// Address of GitHub's API.
    pub github_api_url: String,
    /// Whether there is a private key of the GitHub App.
    pub github_private_key_set: bool,
    /// Whether there is a secret for the webhook; without one it is closed.
    pub webhook_secret_set: bool,
}

/// New settings. A credential that is absent stays as it is; an empty one is forgotten.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object), oai(default))]
#[serde(default)]
pub struct SyncSettingsChange {
    /// Address of the repository; absent or empty for a plain folder.
    pub repository_url: Option<String>,
    /// Branch to follow; `main` when it is absent.
    pub branch: Option<String>,
    /// Folder of the repository that holds the pipelines.
    pub subdir: Option<String>,
    /// Seconds between two syncs that start by themselves; 0 for never.
    pub auto_sync_seconds: Option<i64>,
    /// Which credential is used.
    pub auth: SyncAuth,
    /// User name that goes with a token.
    pub username: Option<String>,
    /// Token or password.
    pub token: Option<String>,
    /// Deploy key, as in its file.
    pub ssh_key: Option<String>,
    /// Keys of the ssh server, as lines of a `known_hosts` file (what `ssh-keyscan HOST` prints, after you have compared it).
    pub ssh_known_hosts: Option<String>,
    /// Number of the GitHub App.
    pub github_app_id: Option<String>,
    /// Number of its installation.
    pub github_installation_id: Option<String>,
    /// Address of GitHub's API.
    pub github_api_url: Option<String>,
    /// Private key of the GitHub App (PEM).
    pub github_private_key: Option<String>,
    /// Secret of the webhook.
    pub webhook_secret: Option<String>,
}

impl std::fmt::Debug for SyncSettingsChange {
    /// Without credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SyncSettingsChange")
            .field("branch", &self.branch)
            .field("subdir", &self.subdir)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

/// What a test of the connection found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct SyncTest {
    /// Whether the branch can be read.
    pub ok: bool,
    /// What is wrong, as a stable code.
    pub code: Option<String>,
    /// What was found, or what is wrong and how to mend it.
    pub message: String,
    /// Commit that the branch is at.
    pub commit: Option<String>,
}

/// Answer to a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct WebhookAnswer {
    /// Whether a sync was started by it.
    pub sync_started: bool,
    /// Why, in words.
    pub message: String,
}
