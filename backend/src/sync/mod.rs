//! Brings the pipelines' code up to date and prepares their environments ahead of time, so that a start finds them ready.
//!
//! Without a repository the code is a plain folder that is looked at again and again; whoever changes it needs no call. With
//! one, each commit becomes a folder of its own that never changes, its environments are built, and then one atomic switch
//! makes it what starts find (ADR 9).

mod environments;
mod heat;
mod live;
mod log;
mod pull;
mod source;
#[cfg(test)]
mod tests;
mod webhook;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use fastflow_shared::{
    FieldProblem, SyncChange, SyncRecord, SyncSettings, SyncSettingsChange, SyncStatus, SyncTest, SyncedPipeline,
};
use thiserror::Error;

use crate::catalog::{Catalog, CatalogError, Changes, Pipeline, Root};
use crate::cluster::Cluster;
use crate::crypto::Keyring;
use crate::domain::clock::{Millis, SharedClock};
use crate::domain::repository::Address;
use crate::engine::Engine;
use crate::environments::Environments;
use crate::git::{FaultKind, Git, GitError};
use crate::github::{Github, GithubError};
use crate::runs::Runs;
use crate::store::{Store, StoreError};

pub use environments::TidyError;
pub use heat::Readiness;
use live::Live;
pub use log::{News, SyncLog};
pub use pull::{Request, Running, Trigger};
pub use source::{GITHUB_API, Secrets, Source, TOKEN_USER};
pub use webhook::Delivery;

/// Name of the settings' document in the database.
const SETTINGS: &str = "sync";

/// The lock of whoever syncs, among all servers.
const LOCK: &str = "sync";

/// Name of the document that holds a branch chosen with a sync.
const BRANCH: &str = "sync.branch";

/// How code is synced.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether environments are built as soon as a pipeline appears or changes.
    pub pre_heat: bool,
    /// Worker image.
    pub image: String,
    /// The plain folder, when there is no repository.
    pub pipelines_dir: PathBuf,
    /// Folder of the commits' folders.
    pub commits_dir: PathBuf,
    /// Where code comes from, unless something else was saved.
    pub source: Source,
}

/// What went wrong, as it is told to everybody who waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Stable code.
    pub code: &'static str,
    /// What, where, and how to mend it.
    pub message: String,
}

impl Failure {
    fn new(code: &'static str, message: &str) -> Self {
        Self { code, message: message.to_owned() }
    }

    fn interrupted() -> Self {
        Self::new("shutting_down", "the server is shutting down")
    }
}

/// Why a sync failed, or was not begun.
#[derive(Debug, Error)]
pub enum SyncError {
    /// The folder or the database.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// GitHub's API.
    #[error(transparent)]
    Github(#[from] GithubError),
    /// Our own folders.
    #[error("the folder of commits cannot be used: {0}")]
    Folder(std::io::Error),
    /// It ended badly.
    #[error("{}", .0.message)]
    Failed(Failure),
    /// There is a plain folder only.
    #[error(
        "no repository is set, so there is no branch: set PIPELINES_REPO_URL, or save an address in the sync's settings"
    )]
    NoRepository,
    /// Another branch is being synced.
    #[error("the branch {branch:?} is being synced now: wait for its end")]
    Busy {
        /// That branch.
        branch: String,
    },
    /// Not a branch.
    #[error("{0}")]
    Branch(String),
    /// Settings that make no sense.
    #[error("some settings are wrong")]
    Settings(Vec<FieldProblem>),
    /// No secret is set.
    #[error("the webhook is closed: set SYNC_WEBHOOK_SECRET and a repository, or save both in the sync's settings")]
    WebhookClosed,
    /// No proof, or a wrong one.
    #[error("the signature or token does not fit the webhook's secret")]
    WebhookRefused,
    /// Not what a push looks like.
    #[error("the body is no push event as JSON: choose application/json as the webhook's content type")]
    WebhookMalformed,
}

impl SyncError {
    /// Code and words.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let code = match self {
            Self::Failed(failure) => return failure.clone(),
            Self::Git(GitError::Fault(fault)) => match fault.kind {
                FaultKind::Unreachable => "repository_unreachable",
                FaultKind::Credentials => "credentials_rejected",
                FaultKind::Untrusted => "host_not_trusted",
                FaultKind::NotFound => "repository_not_found",
                FaultKind::Branch => "branch_not_found",
                FaultKind::Subdir => "subdir_not_found",
                FaultKind::DiskFull => "disk_full",
                FaultKind::Slow => "repository_too_slow",
                FaultKind::Other => "sync_failed",
            },
            Self::Github(_) => "github_app_failed",
            Self::Folder(error) if error.kind() == std::io::ErrorKind::StorageFull => "disk_full",
            Self::Git(_) | Self::Folder(_) => "sync_failed",
            Self::Catalog(CatalogError::Store(_)) | Self::Store(_) => "database_unavailable",
            Self::Catalog(_) => "pipelines_unreadable",
            Self::NoRepository => "no_repository",
            Self::Busy { .. } => "sync_busy",
            Self::Branch(_) => "invalid_branch",
            Self::Settings(_) => "invalid_settings",
            Self::WebhookClosed => "webhook_closed",
            Self::WebhookRefused => "webhook_refused",
            Self::WebhookMalformed => "webhook_malformed",
        };
        Failure { code, message: self.to_string() }
    }
}

/// New code that is being prepared.
struct Candidate {
    pipelines: BTreeMap<String, Arc<Pipeline>>,
    changes: Changes,
}

/// What is known of the syncs so far.
#[derive(Default)]
struct State {
    last_sync_at: Option<Millis>,
    last_success_at: Option<Millis>,
    failure: Option<(String, String)>,
    distance: Option<(usize, usize)>,
    candidate: Option<Candidate>,
}

/// The settings that hold.
struct Effective {
    source: Arc<Source>,
    saved: bool,
    /// A branch that was chosen with a sync, and the one of the settings that it is followed instead of.
    chosen: Option<(String, String)>,
}

/// The handle to the sync. Cheap to clone.
#[derive(Clone)]
pub struct Sync {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    catalog: Catalog,
    cluster: Cluster,
    environments: Environments,
    engine: Arc<dyn Engine>,
    runs: Runs,
    store: Store,
    clock: SharedClock,
    keyring: Arc<Keyring>,
    git: Git,
    github: Github,
    readiness: RwLock<heat::Known>,
    heating: tokio::sync::Mutex<()>,
    effective: RwLock<Effective>,
    state: RwLock<State>,
    running: Mutex<Option<Running>>,
    /// Whether one more sync is wanted when the present one ends.
    again: AtomicBool,
    log: RwLock<Option<Arc<SyncLog>>>,
}

/// The rooms that a sync needs.
pub struct Rooms {
    /// The list of pipelines.
    pub catalog: Catalog,
    /// The servers that share the code.
    pub cluster: Cluster,
    /// Sealed environments.
    pub environments: Environments,
    /// Docker, for the image.
    pub engine: Arc<dyn Engine>,
    /// To tell everybody.
    pub runs: Runs,
    /// The database.
    pub store: Store,
    /// Time.
    pub clock: SharedClock,
    /// To seal credentials.
    pub keyring: Arc<Keyring>,
    /// The repository.
    pub git: Git,
    /// GitHub's tokens.
    pub github: Github,
}

impl Sync {
    /// Finds what was saved and what was live last. Nothing is fetched yet.
    ///
    /// # Errors
    /// [`SyncError::Store`].
    pub async fn open(options: Options, rooms: Rooms) -> Result<Self, SyncError> {
        let Rooms { catalog, cluster, environments, engine, runs, store, clock, keyring, git, github } = rooms;
        let mut source = options.source.clone();
        let saved = store.settings_document(SETTINGS).await?;
        if let Some(document) = &saved {
            match Source::restore(document, &options.source, &keyring) {
                Ok(found) => source = found,
                Err(error) => {
                    tracing::error!(
                        "the saved settings of the sync cannot be used, those of the environment hold: {error}"
                    );
                }
            }
        }
        let chosen = store.settings_document(BRANCH).await?.and_then(|text| serde_json::from_str(&text).ok());
        let effective = Effective { source: Arc::new(source), saved: saved.is_some(), chosen };
        let this = Self {
            inner: Arc::new(Inner {
                options,
                catalog,
                cluster,
                environments,
                engine,
                runs,
                store,
                clock,
                keyring,
                git,
                github,
                readiness: RwLock::default(),
                heating: tokio::sync::Mutex::default(),
                effective: RwLock::new(effective),
                state: RwLock::default(),
                running: Mutex::default(),
                again: AtomicBool::default(),
                log: RwLock::default(),
            }),
        };
        this.restore().await?;
        Ok(this)
    }

    async fn restore(&self) -> Result<(), SyncError> {
        let Self { inner } = self;
        // One that another server works on is not broken.
        if let Ok(Some(_nobody_syncs)) = inner.cluster.turn(LOCK, std::time::Duration::ZERO).await {
            inner.store.end_broken_syncs(inner.clock.now(), "the server stopped while it was under way").await?;
        }
        if let Some(last) = inner.store.syncs(1).await?.pop() {
            let text = inner.store.sync_log(&last.id).await?;
            let log = SyncLog::of_text(last.id.clone(), &text, last.result);
            *inner.log.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(log));
            let mut state = inner.state.write().unwrap_or_else(PoisonError::into_inner);
            state.last_sync_at = last.finished_at.map(Millis::from);
            state.failure = last.error_code.zip(last.error_message);
        }
        self.place_root().await;
        Ok(())
    }

    /// Lets the catalog find what was live last, or the plain folder.
    async fn place_root(&self) {
        let Self { inner } = self;
        if self.source().repository_url.is_none() {
            if inner.catalog.root().is_none_or(|root| root.head().is_some()) {
                inner.catalog.switch(Some(Arc::new(Root::plain(inner.options.pipelines_dir.clone()))));
            }
            return;
        }
        if inner.catalog.root().is_some_and(|root| root.head().is_some()) {
            return;
        }
        let commits = inner.options.commits_dir.clone();
        let found = tokio::task::spawn_blocking(move || {
            let live = Live::read(&commits)?;
            Root::of_commit(&commits.join(&live.folder))
        });
        let found = found.await.map_err(std::io::Error::other).flatten();
        inner.catalog.switch(found.ok().map(Arc::new));
    }

    /// Whether what is live is not what the settings ask for.
    async fn is_outdated(&self) -> bool {
        let (source, branch) = (self.source(), self.branch());
        let commits = self.inner.options.commits_dir.clone();
        let live =
            tokio::task::spawn_blocking(move || Live::read(&commits)).await.map_err(std::io::Error::other).flatten();
        let as_asked = |live: &Live| {
            source.repository_url.as_ref() == Some(&live.repository_url)
                && live.branch == branch
                && live.subdir == source.subdir
        };
        self.inner.catalog.root().is_none() || !live.is_ok_and(|live| as_asked(&live))
    }

    /// At the start: what was live is read, and a sync begins when nothing is live that the settings ask for.
    ///
    /// # Errors
    /// [`SyncError`]; the server serves all the same.
    pub async fn start(&self) -> Result<(), SyncError> {
        self.look().await?;
        if self.source().repository_url.is_some() && self.is_outdated().await {
            self.begin(Request { branch: None, trigger: Trigger::Start, by: None })?;
        }
        Ok(())
    }

    /// The chore: looks at a plain folder, begins a sync whose time has come, prepares what is missing. Jobs are none of its
    /// business: `schedule` looks at the same list of pipelines by itself.
    ///
    /// # Errors
    /// [`SyncError`]; what was live stays live.
    pub async fn tick(&self) -> Result<String, SyncError> {
        if self.inner.cluster.others() > 0 {
            self.follow_the_others().await?;
        }
        let source = self.source();
        if source.repository_url.is_none() {
            let changes = self.look().await?;
            let (added, changed, removed) = (changes.added.len(), changes.changed.len(), changes.removed.len());
            return Ok(format!("{added} added, {changed} changed, {removed} removed"));
        }
        // A commit's folder does not change; only a list that could not be read or stored is read again.
        let snapshot = self.inner.catalog.snapshot();
        if snapshot.error.is_some()
            || snapshot.head.as_ref() != self.inner.catalog.root().as_ref().and_then(|r| r.head())
        {
            self.look().await?;
        } else {
            self.heat_in_background();
        }
        let again = self.inner.again.load(Ordering::Relaxed) && !self.is_running();
        let trigger = if again {
            self.inner.again.store(false, Ordering::Relaxed);
            Trigger::Webhook
        } else if self.inner.cluster.leads()
            && source.auto_sync_seconds > 0
            && self.is_due(source.auto_sync_seconds)
            && !self.is_running()
        {
            Trigger::Auto
        } else {
            return Ok(if self.is_running() { "a sync is under way" } else { "nothing to do" }.to_owned());
        };
        self.begin(Request { branch: None, trigger, by: None })?;
        Ok("a sync was begun".to_owned())
    }

    /// Takes over what another server has made live, or saved as settings.
    async fn follow_the_others(&self) -> Result<(), SyncError> {
        let Self { inner } = self;
        let saved = inner.store.settings_document(SETTINGS).await?;
        let chosen = inner.store.settings_document(BRANCH).await?.and_then(|text| serde_json::from_str(&text).ok());
        let source = match &saved {
            None => inner.options.source.clone(),
            // One that cannot be read was told of when it was saved.
            Some(document) => match Source::restore(document, &inner.options.source, &inner.keyring) {
                Ok(source) => source,
                Err(_) => return Ok(()),
            },
        };
        let changed = {
            let mut effective = inner.effective.write().unwrap_or_else(PoisonError::into_inner);
            let changed = *effective.source != source || effective.chosen != chosen;
            if changed {
                *effective = Effective { source: Arc::new(source), saved: saved.is_some(), chosen };
            }
            changed
        };
        if changed {
            self.place_root().await;
        }
        if self.source().repository_url.is_none() || self.is_running() {
            return Ok(());
        }
        let commits = inner.options.commits_dir.clone();
        let live = tokio::task::spawn_blocking(move || Root::of_commit(&commits.join(Live::read(&commits)?.folder)));
        // Nothing live yet, or removed a moment ago: the next look finds out.
        let Ok(Ok(root)) = live.await else { return Ok(()) };
        if inner.catalog.root().is_none_or(|present| *present != root) {
            inner.catalog.switch(Some(Arc::new(root)));
            inner.catalog.refresh().await?;
            self.announce();
        }
        Ok(())
    }

    fn is_due(&self, seconds: u64) -> bool {
        let last = self.inner.state.read().unwrap_or_else(PoisonError::into_inner).last_sync_at;
        #[expect(clippy::cast_precision_loss, reason = "at most a year")]
        last.is_none_or(|last| self.inner.clock.now().seconds_since(last) >= seconds as f64)
    }

    /// Reads the present root again, and prepares what changed in the background.
    async fn look(&self) -> Result<Changes, SyncError> {
        let first = self.inner.catalog.snapshot().read_at.is_none();
        let changes = self.inner.catalog.refresh().await?;
        if first || !changes.is_empty() {
            self.announce();
        }
        // Also without a change: Docker may have been away when something changed, or the package index.
        self.heat_in_background();
        Ok(changes)
    }

    /// Brings the code up to date now and waits for the end; joins a sync that is under way.
    ///
    /// # Errors
    /// [`SyncError`]; what was live stays live.
    pub async fn sync(&self, branch: Option<String>, by: Option<String>) -> Result<(), SyncError> {
        if self.source().repository_url.is_none() {
            if branch.is_some() {
                return Err(SyncError::NoRepository);
            }
            return self.look().await.map(|_| ());
        }
        self.begin(Request { branch, trigger: Trigger::Manual, by })?.end().await
    }

    /// Whether the code comes from a repository, or from a plain folder.
    #[must_use]
    pub fn has_repository(&self) -> bool {
        self.source().repository_url.is_some()
    }

    /// The settings that hold.
    fn source(&self) -> Arc<Source> {
        self.inner.effective.read().unwrap_or_else(PoisonError::into_inner).source.clone()
    }

    /// The branch that is followed.
    fn branch(&self) -> String {
        let effective = self.inner.effective.read().unwrap_or_else(PoisonError::into_inner);
        match &effective.chosen {
            // Whoever changes the settings' branch afterwards means it.
            Some((instead_of, chosen)) if *instead_of == effective.source.branch => chosen.clone(),
            _ => effective.source.branch.clone(),
        }
    }

    /// Follows this branch from now on.
    async fn follow(&self, branch: &str, by: &str) -> Result<(), SyncError> {
        let base = self.source().branch.clone();
        let chosen = (base != branch).then(|| (base, branch.to_owned()));
        let document = chosen.as_ref().and_then(|chosen| serde_json::to_string(chosen).ok());
        self.inner.store.put_settings_document(BRANCH, document.as_deref(), by, self.inner.clock.now()).await?;
        self.inner.effective.write().unwrap_or_else(PoisonError::into_inner).chosen = chosen;
        Ok(())
    }

    fn is_running(&self) -> bool {
        let running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().is_some_and(|running| !running.is_over())
    }

    fn set_candidate(&self, candidate: Option<Candidate>) {
        self.inner.state.write().unwrap_or_else(PoisonError::into_inner).candidate = candidate;
    }

    fn note_distance(&self, ahead: usize, behind: usize) {
        self.inner.state.write().unwrap_or_else(PoisonError::into_inner).distance = Some((ahead, behind));
    }

    /// Notes how a sync ended; returns the code of the failure before.
    fn note_end(&self, now: Millis, failure: Option<Failure>) -> Option<String> {
        let mut state = self.inner.state.write().unwrap_or_else(PoisonError::into_inner);
        state.last_sync_at = Some(now);
        if failure.is_none() {
            state.last_success_at = Some(now);
        }
        let before = state.failure.take();
        state.failure = failure.map(|failure| (failure.code.to_owned(), failure.message));
        before.map(|(code, _)| code)
    }

    /// Where a commit of the repository can be looked at, when it lies on a host that has pages for them.
    #[must_use]
    pub fn commit_page(&self, commit: &str) -> Option<String> {
        let source = self.source();
        Address::parse(source.repository_url.as_deref()?).ok()?.0.commit_page(commit)
    }

    /// How fresh the code is.
    #[must_use]
    pub fn status(&self) -> SyncStatus {
        let snapshot = self.inner.catalog.snapshot();
        let source = self.source();
        let is_git = source.repository_url.is_some();
        let head = snapshot.head.clone();
        let state = self.inner.state.read().unwrap_or_else(PoisonError::into_inner);
        let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        let failure = if is_git { state.failure.clone() } else { None };
        let unread = snapshot.error.clone().map(|error| ("pipelines_unreadable".to_owned(), error));
        let (last_error_code, last_error) = failure.or(unread).unzip();
        let looked_at = snapshot.read_at;
        SyncStatus {
            source: if is_git { "git" } else { "folder" }.to_owned(),
            repository: source.repository_url.clone(),
            running: self.is_running(),
            branch: if is_git { Some(self.branch()) } else { head.as_ref().and_then(|head| head.branch.clone()) },
            commit: head.as_ref().map(|head| head.commit.clone()),
            commit_url: head.as_ref().and_then(|head| self.commit_page(&head.commit)),
            commit_subject: head.as_ref().map(|head| head.subject.clone()),
            commit_author: head.map(|head| head.author),
            ahead: state.distance.filter(|_| is_git).map(|(ahead, _)| count(ahead)),
            behind: state.distance.filter(|_| is_git).map(|(_, behind)| count(behind)),
            last_sync_at: if is_git { state.last_sync_at } else { looked_at }.map(Millis::to_utc),
            last_success_at: if is_git { state.last_success_at } else { looked_at }.map(Millis::to_utc),
            last_error,
            last_error_code,
            auto_sync_seconds: i64::try_from(source.auto_sync_seconds).ok().filter(|seconds| is_git && *seconds > 0),
            added: snapshot.changes.added.clone(),
            changed: snapshot.changes.changed.clone(),
            removed: snapshot.changes.removed.clone(),
            invalid: snapshot.pipelines.values().filter(|p| !p.is_valid()).map(|p| p.name.clone()).collect(),
            pipelines: count(snapshot.pipelines.len()),
            details: match &state.candidate {
                Some(candidate) => self.details(&candidate.pipelines, &candidate.changes),
                None => self.details(&snapshot.pipelines, &snapshot.changes),
            },
        }
    }

    fn details(&self, pipelines: &BTreeMap<String, Arc<Pipeline>>, changes: &Changes) -> Vec<SyncedPipeline> {
        let present = pipelines.values().map(|pipeline| {
            let readiness = self.readiness(pipeline);
            let change = if changes.added.contains(&pipeline.name) {
                SyncChange::Added
            } else if changes.changed.contains(&pipeline.name) {
                SyncChange::Changed
            } else {
                SyncChange::Unchanged
            };
            SyncedPipeline {
                name: pipeline.name.clone(),
                change,
                valid: pipeline.is_valid(),
                problem: pipeline.problems.first().map(|problem| format!("{}: {}", problem.file, problem.message)),
                environment_state: readiness.state,
                environment_error: readiness.error,
            }
        });
        let gone = changes.removed.iter().filter(|name| !pipelines.contains_key(*name)).map(|name| SyncedPipeline {
            name: name.clone(),
            change: SyncChange::Removed,
            valid: true,
            problem: None,
            environment_state: fastflow_shared::EnvironmentState::Unknown,
            environment_error: None,
        });
        let mut all: Vec<_> = present.chain(gone).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The log of the present or latest sync.
    #[must_use]
    pub fn log(&self) -> Option<Arc<SyncLog>> {
        self.inner.log.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Syncs of the past, newest first.
    ///
    /// # Errors
    /// [`SyncError::Store`].
    pub async fn history(&self, limit: u32) -> Result<Vec<SyncRecord>, SyncError> {
        Ok(self.inner.store.syncs(limit).await?)
    }

    /// The log of a sync of the past, as text.
    ///
    /// # Errors
    /// [`SyncError::Store`].
    pub async fn log_text(&self, id: &str) -> Result<String, SyncError> {
        match self.log().filter(|log| log.sync_id == id) {
            Some(log) => Ok(log.text()),
            None => Ok(self.inner.store.sync_log(id).await?),
        }
    }

    /// The settings that hold, without credentials.
    #[must_use]
    pub fn settings(&self) -> SyncSettings {
        let effective = self.inner.effective.read().unwrap_or_else(PoisonError::into_inner);
        effective.source.shown(effective.saved)
    }

    /// Saves settings and syncs by them.
    ///
    /// # Errors
    /// [`SyncError::Settings`], [`SyncError::Store`].
    pub async fn change_settings(&self, change: &SyncSettingsChange, by: &str) -> Result<SyncSettings, SyncError> {
        let source = self.source().changed(change).map_err(SyncError::Settings)?;
        let document = source.store(&self.inner.keyring);
        self.put_settings(Some(&document), source, by).await
    }

    /// Forgets what was saved: the settings of the environment hold again.
    ///
    /// # Errors
    /// [`SyncError::Store`].
    pub async fn reset_settings(&self, by: &str) -> Result<SyncSettings, SyncError> {
        self.put_settings(None, self.inner.options.source.clone(), by).await
    }

    async fn put_settings(&self, document: Option<&str>, source: Source, by: &str) -> Result<SyncSettings, SyncError> {
        let Self { inner } = self;
        let now = inner.clock.now();
        inner.store.put_settings_document(SETTINGS, document, by, now).await?;
        inner.store.put_settings_document(BRANCH, None, by, now).await?;
        *inner.effective.write().unwrap_or_else(PoisonError::into_inner) =
            Effective { source: Arc::new(source), saved: document.is_some(), chosen: None };
        self.place_root().await;
        if self.source().repository_url.is_some() {
            self.begin(Request { branch: None, trigger: Trigger::Settings, by: Some(by.to_owned()) })?;
        } else if let Err(error) = self.look().await {
            tracing::warn!(%error, "the plain folder cannot be read: {error}");
        }
        self.announce();
        Ok(self.settings())
    }

    /// Tries settings without saving them.
    ///
    /// # Errors
    /// [`SyncError::Settings`]. What the repository says is an answer, not an error.
    pub async fn test(&self, change: Option<&SyncSettingsChange>) -> Result<SyncTest, SyncError> {
        let source = match change {
            Some(change) => self.source().changed(change).map_err(SyncError::Settings)?,
            None => Source::clone(&self.source()),
        };
        let branch = if change.is_some() { source.branch.clone() } else { self.branch() };
        let tested = async {
            let (job, token) = self.job(&source, &branch, true).await?;
            let mut tested = self.inner.git.test(&job).await;
            if let (Err(GitError::Fault(fault)), Some(token)) = (&tested, token)
                && fault.kind == FaultKind::Credentials
                && self.inner.github.forget(&token).await
            {
                let (job, _) = self.job(&source, &branch, true).await?;
                tested = self.inner.git.test(&job).await;
            }
            Ok::<_, SyncError>(tested?)
        };
        Ok(match tested.await {
            Ok(tested) => SyncTest {
                ok: true,
                code: None,
                message: format!("{branch} can be read: it is at {}.", tested.commit),
                commit: Some(tested.commit),
            },
            Err(error) => {
                let Failure { code, message } = error.failure();
                SyncTest { ok: false, code: Some(code.to_owned()), message, commit: None }
            }
        })
    }
}
