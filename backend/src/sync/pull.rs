//! One sync of a repository: fetch, write out, prepare, switch. One at a time; who asks meanwhile gets the same result.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use fastflow_shared::{LiveEvent, SyncRecord, SyncResult};
use tokio::sync::watch;

use super::live::{self, Live};
use super::log::SyncLog;
use super::source::Source;
use super::{Candidate, Failure, Sync, SyncError};
use crate::catalog::{Changes, Root};
use crate::domain::clock::SharedClock;
use crate::domain::repository::{Address, Scheme, check_branch};
use crate::git::{Auth, FaultKind, GitError, Job, Pulled};

/// How long the sync of another server is waited for.
const OTHERS_SYNC: Duration = Duration::from_secs(20 * 60);

/// What made a sync start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// Somebody asked.
    Manual,
    /// Its time had come.
    Auto,
    /// A push was told.
    Webhook,
    /// Nothing is live yet.
    Start,
    /// The settings were changed.
    Settings,
}

impl Trigger {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Auto => "auto",
            Self::Webhook => "webhook",
            Self::Start => "start",
            Self::Settings => "settings",
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Branch to follow from now on.
    pub branch: Option<String>,
    /// What made it start.
    pub trigger: Trigger,
    /// Who asked.
    pub by: Option<String>,
}

/// A sync under way. Cheap to clone.
#[derive(Clone)]
pub struct Running {
    branch: String,
    result: watch::Receiver<Option<Result<(), Failure>>>,
}

impl Running {
    /// Waits for its end.
    ///
    /// # Errors
    /// [`SyncError::Failed`].
    pub async fn end(mut self) -> Result<(), SyncError> {
        match self.result.wait_for(Option::is_some).await {
            Ok(result) => result.clone().unwrap_or(Ok(())).map_err(SyncError::Failed),
            Err(_) => Err(SyncError::Failed(Failure::interrupted())),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.result.borrow().is_some() || self.result.has_changed().is_err()
    }
}

/// Says things in the log of a sync, if there is one.
pub(super) struct Log {
    log: Option<(Arc<SyncLog>, SharedClock)>,
}

impl Log {
    pub(super) const fn silent() -> Self {
        Self { log: None }
    }

    pub(super) fn say(&self, text: &str) {
        if let Some((log, clock)) = &self.log {
            log.push(clock.now().to_utc(), text);
        }
    }
}

/// How a sync ended well.
struct Report {
    changes: Option<Changes>,
}

impl Sync {
    /// Starts a sync, or joins the one that is under way.
    ///
    /// # Errors
    /// [`SyncError`] when none can be started.
    pub fn begin(&self, request: Request) -> Result<Running, SyncError> {
        let source = self.source();
        if source.repository_url.is_none() {
            return Err(SyncError::NoRepository);
        }
        if self.inner.runs.is_closing() {
            return Err(SyncError::Failed(Failure::interrupted()));
        }
        if let Some(branch) = &request.branch {
            check_branch(branch).map_err(SyncError::Branch)?;
        }
        let branch = request.branch.clone().unwrap_or_else(|| self.branch());
        let mut slot = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(present) = slot.as_ref().filter(|running| !running.is_over()) {
            if present.branch != branch && request.branch.is_some() {
                return Err(SyncError::Busy { branch: present.branch.clone() });
            }
            if matches!(request.trigger, Trigger::Webhook | Trigger::Settings) {
                // What it is about may have come after the fetch.
                self.inner.again.store(true, std::sync::atomic::Ordering::Relaxed);
            }
            return Ok(present.clone());
        }
        let (publish, result) = watch::channel(None);
        let running = Running { branch: branch.clone(), result };
        *slot = Some(running.clone());
        drop(slot);
        let log = Arc::new(SyncLog::new(uuid::Uuid::now_v7().to_string()));
        *self.inner.log.write().unwrap_or_else(PoisonError::into_inner) = Some(log.clone());
        let this = self.clone();
        // In a task of its own: who asked may go away half-way.
        tokio::spawn(async move {
            let ended = this.run_one(&source, &branch, &request, &log).await;
            publish.send_replace(Some(ended));
            this.announce();
            if this.inner.again.swap(false, std::sync::atomic::Ordering::Relaxed) {
                let next = Request { branch: None, trigger: Trigger::Webhook, by: None };
                if let Err(error) = this.begin(next) {
                    tracing::warn!(%error, "the next sync is not begun: {error}");
                }
            }
        });
        self.announce();
        Ok(running)
    }

    async fn run_one(
        &self,
        source: &Source,
        branch: &str,
        request: &Request,
        log: &Arc<SyncLog>,
    ) -> Result<(), Failure> {
        let clock = self.inner.clock.clone();
        let before = self.inner.catalog.root().and_then(|root| root.head().cloned());
        let mut record = SyncRecord {
            id: log.sync_id.clone(),
            trigger: request.trigger.as_str().to_owned(),
            triggered_by: request.by.clone(),
            branch: branch.to_owned(),
            started_at: clock.now().to_utc(),
            finished_at: None,
            result: SyncResult::Running,
            commit_before: before.map(|head| head.commit),
            commit: None,
            commit_subject: None,
            commit_author: None,
            error_code: None,
            error_message: None,
            added: 0,
            changed: 0,
            removed: 0,
        };
        let is_auto = request.trigger == Trigger::Auto;
        if !is_auto {
            self.keep(&record, log).await;
        }
        let say = Log { log: Some((log.clone(), clock.clone())) };
        let ended = async {
            // The mirror and the folders of commits are shared by all servers.
            let lock = self.inner.cluster.turn(super::LOCK, OTHERS_SYNC).await;
            match lock.map_err(SyncError::Folder)? {
                Some(_alone) => self.pull(source, branch, request, &say, &mut record).await,
                None => {
                    let why = format!("another server's sync takes longer than {} s", OTHERS_SYNC.as_secs());
                    Err(SyncError::Failed(Failure::new("sync_busy", &why)))
                }
            }
        }
        .await;
        self.set_candidate(None);

        let now = clock.now();
        record.finished_at = Some(now.to_utc());
        let failure = ended.as_ref().err().map(SyncError::failure);
        let before = self.note_end(now, failure.clone());
        let result = match &ended {
            Ok(Report { changes: Some(_) }) => "switched",
            Ok(_) => "unchanged",
            Err(_) => "failed",
        };
        crate::meters::synced(result, now.seconds_since(crate::domain::clock::Millis::from(record.started_at)));
        match (&ended, &failure) {
            (Ok(Report { changes: Some(changes) }), _) => {
                record.result = SyncResult::Switched;
                let count = |names: &Vec<String>| i32::try_from(names.len()).unwrap_or(i32::MAX);
                record.added = count(&changes.added);
                record.changed = count(&changes.changed);
                record.removed = count(&changes.removed);
                say.say("done: the new code is live");
            }
            (Ok(_), _) => {
                record.result = SyncResult::Unchanged;
                say.say("done: nothing new");
            }
            (Err(_), failure) => {
                record.result = SyncResult::Failed;
                if let Some(failure) = failure {
                    say.say(&format!("failed: {}", failure.message));
                    tracing::warn!(
                        code = failure.code,
                        "the sync failed, the code of before stays live: {}",
                        failure.message
                    );
                    record.error_code = Some(failure.code.to_owned());
                    record.error_message = Some(failure.message.clone());
                }
            }
        }
        log.end(record.result);
        // One that starts by itself and finds nothing, or fails as the one before did, is no news.
        let is_news = match record.result {
            SyncResult::Unchanged => false,
            SyncResult::Failed => before.as_deref() != record.error_code.as_deref(),
            _ => true,
        };
        if !is_auto || is_news {
            self.keep(&record, log).await;
        }
        failure.map_or(Ok(()), Err)
    }

    async fn keep(&self, record: &SyncRecord, log: &SyncLog) {
        if let Err(error) = self.inner.store.put_sync(record, &log.text()).await {
            tracing::warn!(%error, "a sync cannot be noted: {error}");
        }
    }

    async fn pull(
        &self,
        source: &Source,
        branch: &str,
        request: &Request,
        log: &Log,
        record: &mut SyncRecord,
    ) -> Result<Report, SyncError> {
        let Self { inner } = self;
        let commits = inner.options.commits_dir.clone();
        let pulled = self.fetch(source, branch, log).await?;
        record.commit = Some(pulled.head.commit.clone());
        record.commit_subject = Some(pulled.head.subject.clone());
        record.commit_author = Some(pulled.head.author.clone());
        self.note_distance(pulled.ahead, pulled.behind);
        let short: String = pulled.head.commit.chars().take(10).collect();
        log.say(&format!("{branch} is at {short} “{}” by {}", pulled.head.subject, pulled.head.author));

        let folder = commits.join(&pulled.folder);
        let root = blocking(move || Root::of_commit(&folder)).await?;
        let root = Arc::new(root);
        let live = Live {
            folder: pulled.folder.clone(),
            repository_url: source.repository_url.clone().unwrap_or_default(),
            branch: branch.to_owned(),
            subdir: source.subdir.clone(),
        };
        let is_live = inner.catalog.root().is_some_and(|present| *present == *root);
        let before = inner.catalog.root().filter(|_| inner.cluster.others() > 0).map(|root| root.folder.clone());
        let changes = if is_live {
            if request.trigger == Trigger::Manual {
                self.retry_failed();
            }
            None
        } else {
            let pipelines = inner.catalog.read(&root).await?;
            let changes = Changes::between(&inner.catalog.snapshot().pipelines, &pipelines);
            tell_changes(&changes, log);
            for pipeline in pipelines.values() {
                for problem in &pipeline.problems {
                    log.say(&format!("{}: {}: {}", pipeline.name, problem.file, problem.message));
                }
            }
            self.set_candidate(Some(Candidate { pipelines: pipelines.clone(), changes: changes.clone() }));
            self.announce();
            if inner.options.pre_heat {
                self.gate(&pipelines, log).await;
            }
            Some(changes)
        };
        if inner.runs.is_closing() {
            return Err(SyncError::Failed(Failure::interrupted()));
        }
        if *self.source() != *source {
            // They were changed while we worked: what they say now is synced next.
            inner.again.store(true, std::sync::atomic::Ordering::Relaxed);
            return Err(SyncError::Failed(Failure::new("settings_changed", "the settings were changed meanwhile")));
        }
        let (note, at) = (live.clone(), commits.clone());
        blocking(move || if Live::read(&at).is_ok_and(|present| present == note) { Ok(()) } else { note.write(&at) })
            .await?;
        if let Some(wanted) = &request.branch {
            self.follow(wanted, request.by.as_deref().unwrap_or_default()).await?;
        }
        if !is_live {
            inner.catalog.switch(Some(root));
        }
        self.note_distance(0, 0);
        if !is_live || inner.catalog.snapshot().error.is_some() {
            inner.catalog.refresh().await?;
        }
        let (mut in_use, mirror) = (inner.catalog.folders_in_use(), inner.git.mirror(&live.repository_url));
        // Another server may be on the commit of before for a few seconds more.
        in_use.extend(before);
        let removed = blocking(move || Ok(live::prune(&commits, &live.folder, &in_use, &mirror))).await?;
        if removed > 0 {
            tracing::debug!(removed, "{removed} folders of old commits removed");
        }
        Ok(Report { changes })
    }

    /// Fetches with the credential of this moment; a token that was refused is replaced once.
    async fn fetch(&self, source: &Source, branch: &str, log: &Log) -> Result<Pulled, SyncError> {
        let (job, token) = self.job(source, branch, false).await?;
        match self.inner.git.pull(&job, |line| log.say(&line)).await {
            Err(GitError::Fault(fault)) if fault.kind == FaultKind::Credentials => {
                let Some(token) = token else { return Err(GitError::Fault(fault).into()) };
                if !self.inner.github.forget(&token).await {
                    return Err(GitError::Fault(fault).into());
                }
                log.say("GitHub's token was refused: asking for another one");
                let (job, _) = self.job(source, branch, false).await?;
                Ok(self.inner.git.pull(&job, |line| log.say(&line)).await?)
            }
            other => Ok(other?),
        }
    }

    /// What git is to do, with GitHub's token when that is the credential.
    pub(super) async fn job(
        &self,
        source: &Source,
        branch: &str,
        test: bool,
    ) -> Result<(Job, Option<zeroize::Zeroizing<String>>), SyncError> {
        use fastflow_shared::SyncAuth;
        let url = source.repository_url.clone().ok_or(SyncError::NoRepository)?;
        let (address, _) =
            Address::parse(&url).map_err(|message| SyncError::Failed(Failure::new("invalid_address", &message)))?;
        let text =
            |secret: &Option<zeroize::Zeroizing<String>>| secret.as_ref().map(|s| s.to_string()).unwrap_or_default();
        let mut token = None;
        let auth = match source.auth {
            _ if address.scheme == Scheme::Local => Auth::None,
            SyncAuth::None => Auth::None,
            SyncAuth::Token => {
                Auth::Password { username: source.username.clone(), password: text(&source.secrets.token) }
            }
            SyncAuth::SshKey => Auth::SshKey {
                // Without its last line end OpenSSL does not know a key.
                key: format!("{}\n", text(&source.secrets.ssh_key).trim()),
                known_hosts: source.ssh_known_hosts.clone(),
            },
            SyncAuth::GithubApp => {
                let app = source.app().ok_or(SyncError::NoRepository)?;
                let fresh = self.inner.github.token(&app).await?;
                let password = fresh.to_string();
                token = Some(fresh);
                Auth::Password { username: super::source::TOKEN_USER.to_owned(), password }
            }
        };
        let live = self.inner.catalog.root().and_then(|root| root.head().map(|head| head.commit.clone()));
        let job = Job {
            mirror: self.inner.git.mirror(&url),
            url,
            host: address.host,
            branch: branch.to_owned(),
            auth,
            test,
            commits: self.inner.options.commits_dir.clone(),
            subdir: source.subdir.clone(),
            live,
        };
        Ok((job, token))
    }

    pub(super) fn announce(&self) {
        let event = LiveEvent { kind: "sync".into(), id: String::new(), pipeline_name: None, status: None };
        self.inner.runs.announce(event);
    }
}

fn tell_changes(changes: &Changes, log: &Log) {
    if changes.is_empty() {
        log.say("no pipeline is different");
    }
    for (what, names) in [("added", &changes.added), ("changed", &changes.changed), ("removed", &changes.removed)] {
        if !names.is_empty() {
            log.say(&format!("{what}: {}", names.join(", ")));
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, SyncError> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other).flatten().map_err(SyncError::Folder)
}
