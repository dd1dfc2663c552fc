//! Which pipelines there are: reads the folder of pipelines, remembers what it found, and keeps the list in memory.
//!
//! A pipeline is a folder with a regular file `main.py`. Its settings come from `pipeline.json` (or `{name}.json`).
//! Whatever is wrong with one folder is told with that pipeline and never hides another.

mod code;
mod root;
mod scan;
pub mod source;
mod spare;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use fastflow_shared::PipelineProblem;
use thiserror::Error;

use crate::domain::clock::{Millis, SharedClock};
use crate::domain::pipeline::Settings;
use crate::git::{self, Head};
use crate::store::{SeenPipeline, Store, StoreError};

pub use code::copy_into;
pub use root::Root;
pub use scan::{looks_like_one, read_folder, read_settings};

/// Where the pipelines lie.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder that holds one folder per pipeline, until another root is switched to.
    pub pipelines_dir: PathBuf,
    /// Folder for the code that runs were started with.
    pub code_dir: PathBuf,
}

/// Why the list could not be read.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// The folder of pipelines itself.
    #[error("the pipelines folder {} cannot be read: {source}; check PIPELINES_DIR", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A pipeline that is to be deleted here comes from a repository.
    #[error("the pipeline {0:?} comes from a git repository: delete its folder there, then sync")]
    InRepository(String),
    /// The copy of a pipeline's code.
    #[error("the code of {name:?} cannot be kept for the run: {source}")]
    Code {
        /// Name of the pipeline.
        name: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One pipeline as it lies in its folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Name of the folder.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// What `pipeline.json` says; defaults when it is broken (the pipeline cannot be started then).
    pub settings: Settings,
    /// What is wrong with its files.
    pub problems: Vec<PipelineProblem>,
    /// Whether it has a `requirements.txt`.
    pub has_requirements: bool,
    /// Changes when a file of the folder changes (names, sizes and times; in a commit's folder git's own hash).
    pub fingerprint: u64,
    /// Where it was found. While somebody holds it, a commit's folder is not removed.
    pub root: Option<Arc<Root>>,
}

impl Pipeline {
    /// Whether its files are in order.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.problems.is_empty()
    }
}

/// All pipelines at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// By name.
    pub pipelines: BTreeMap<String, Arc<Pipeline>>,
    /// Commit of the folder, when it is in a git repository.
    pub head: Option<Head>,
    /// Pipelines whose files differ from that commit.
    pub dirty: BTreeSet<String>,
    /// Counts the readings that found something new; 0 before the first one.
    pub revision: u64,
    /// When it was read.
    pub read_at: Option<Millis>,
    /// Why the last reading failed; the pipelines are then those of the reading before.
    pub error: Option<String>,
    /// What the last reading that changed anything found.
    pub changes: Changes,
}

/// What differs between two readings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// New names.
    pub added: Vec<String>,
    /// Names whose files differ.
    pub changed: Vec<String>,
    /// Names that are gone.
    pub removed: Vec<String>,
}

impl Changes {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    /// What leads from `old` to `new`.
    #[must_use]
    pub fn between(old: &BTreeMap<String, Arc<Pipeline>>, new: &BTreeMap<String, Arc<Pipeline>>) -> Self {
        let names = |from: &BTreeMap<String, Arc<Pipeline>>, keep: &dyn Fn(&str, &Pipeline) -> bool| {
            from.iter().filter(|(name, p)| keep(name, p)).map(|(name, _)| name.clone()).collect()
        };
        Self {
            added: names(new, &|name, _| !old.contains_key(name)),
            changed: names(new, &|name, p| old.get(name).is_some_and(|before| before.fingerprint != p.fingerprint)),
            removed: names(old, &|name, _| !new.contains_key(name)),
        }
    }
}

/// The present root, and earlier ones that may still be in use.
struct Roots {
    /// `None`: nothing was ever fetched.
    present: Option<Arc<Root>>,
    all: Vec<Weak<Root>>,
}

/// What is known to be wrong with the requirements of a pipeline's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// uv's reason in one line.
    pub summary: String,
    /// All that uv said.
    pub output: String,
}

/// The handle to the list of pipelines. Cheap to clone.
#[derive(Clone)]
pub struct Catalog {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    store: Store,
    clock: SharedClock,
    current: RwLock<Arc<Snapshot>>,
    root: RwLock<Roots>,
    broken: RwLock<HashMap<PathBuf, Broken>>,
    /// One reading at a time: two could store their results in the wrong order.
    reading: tokio::sync::Mutex<()>,
}

impl Catalog {
    /// An empty list; call [`Self::refresh`] to fill it.
    #[must_use]
    pub fn new(options: Options, store: Store, clock: SharedClock) -> Self {
        let current = RwLock::new(Arc::new(Snapshot::default()));
        let present = Arc::new(Root::plain(options.pipelines_dir.clone()));
        let root = RwLock::new(Roots { all: vec![Arc::downgrade(&present)], present: Some(present) });
        let (broken, reading) = (RwLock::default(), tokio::sync::Mutex::new(()));
        Self { inner: Arc::new(Inner { options, store, clock, current, root, broken, reading }) }
    }

    /// Where pipelines are found now; `None` when nothing was ever fetched.
    #[must_use]
    pub fn root(&self) -> Option<Arc<Root>> {
        self.inner.root.read().unwrap_or_else(PoisonError::into_inner).present.clone()
    }

    /// Lets every start from now on find pipelines there. What began before goes on with what it found. Call
    /// [`Self::refresh`] afterwards: the list follows then.
    pub fn switch(&self, root: Option<Arc<Root>>) {
        let mut roots = self.inner.root.write().unwrap_or_else(PoisonError::into_inner);
        roots.all.retain(|root| root.strong_count() > 0);
        roots.all.extend(root.iter().map(Arc::downgrade));
        roots.present = root;
    }

    /// Folders that must not be removed: the present root's, and those that somebody is reading.
    #[must_use]
    pub fn folders_in_use(&self) -> HashSet<PathBuf> {
        let roots = self.inner.root.read().unwrap_or_else(PoisonError::into_inner);
        roots.all.iter().filter_map(Weak::upgrade).map(|root| root.folder.clone()).collect()
    }

    /// Reads all pipelines of a root, whether it is the present one or not.
    ///
    /// # Errors
    /// [`CatalogError::Folder`].
    pub async fn read(&self, root: &Arc<Root>) -> Result<BTreeMap<String, Arc<Pipeline>>, CatalogError> {
        let (path, root) = (root.folder.clone(), root.clone());
        let found =
            blocking(move || scan::read_root(&root)).await.map_err(|source| CatalogError::Folder { path, source })?;
        Ok(found.into_iter().map(|p| (p.name.clone(), Arc::new(p))).collect())
    }

    /// Notes that this very code's requirements cannot be installed, or no longer so: a start need not find out again.
    pub fn mark_broken(&self, pipeline: &Pipeline, broken: Option<Broken>) {
        let copy = code::path(&self.inner.options.code_dir, pipeline);
        let mut all = self.inner.broken.write().unwrap_or_else(PoisonError::into_inner);
        // Of each pipeline one state counts, so that this does not grow with every commit.
        all.retain(|path, _| path.file_name() != copy.file_name());
        if let Some(broken) = broken {
            all.insert(copy, broken);
        }
    }

    /// What is known to be wrong with the requirements of the code that lies at `copy`.
    #[must_use]
    pub fn broken(&self, copy: &std::path::Path) -> Option<Broken> {
        self.inner.broken.read().unwrap_or_else(PoisonError::into_inner).get(copy).cloned()
    }

    /// The list as it was last read.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.inner.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One pipeline as it was last read.
    #[must_use]
    pub fn pipeline(&self, name: &str) -> Option<Arc<Pipeline>> {
        self.snapshot().pipelines.get(name).cloned()
    }

    /// The files of a pipeline as they are in use.
    ///
    /// # Errors
    /// [`CatalogError::Folder`] when the folder cannot be read.
    pub async fn files(&self, pipeline: &Arc<Pipeline>) -> Result<source::Listing, CatalogError> {
        let (held, path) = (pipeline.clone(), pipeline.folder.clone());
        blocking(move || source::list(&held.folder)).await.map_err(|source| CatalogError::Folder { path, source })
    }

    /// One of them; `None` when there is none that may be shown at that path.
    ///
    /// # Errors
    /// [`CatalogError::Folder`] when it cannot be read.
    pub async fn file(&self, pipeline: &Arc<Pipeline>, path: &str) -> Result<Option<source::Content>, CatalogError> {
        let (held, asked, path) = (pipeline.clone(), path.to_owned(), pipeline.folder.join(path));
        blocking(move || source::read(&held.folder, &asked))
            .await
            .map_err(|source| CatalogError::Folder { path, source })
    }

    /// Reads one pipeline's folder again, so that a start uses what lies there now. `None` when it is no pipeline.
    ///
    /// # Errors
    /// [`CatalogError::Folder`] when the folder cannot be read.
    pub async fn reread(&self, name: &str) -> Result<Option<Arc<Pipeline>>, CatalogError> {
        if crate::domain::pipeline::check_name(name).is_err() {
            return Ok(None);
        }
        let Some(root) = self.root() else { return Ok(None) };
        let path = root.folder.join(name);
        let folder = path.clone();
        let found =
            blocking(move || root.pipeline(&folder)).await.map_err(|source| CatalogError::Folder { path, source })?;
        Ok(found.map(Arc::new))
    }

    /// An unchangeable copy of the pipeline's folder as it is now.
    ///
    /// # Errors
    /// [`CatalogError::Code`].
    pub async fn keep_code(&self, pipeline: &Arc<Pipeline>) -> Result<PathBuf, CatalogError> {
        let (root, kept) = (self.inner.options.code_dir.clone(), pipeline.clone());
        blocking(move || code::keep(&root, &kept))
            .await
            .map_err(|source| CatalogError::Code { name: pipeline.name.clone(), source })
    }

    /// Deletes a pipeline's folder for good, and reads the list again. Fine when there is none of that name.
    ///
    /// # Errors
    /// [`CatalogError::InRepository`] when its files are those of a synced commit, [`CatalogError::Folder`] when they cannot be
    /// deleted.
    pub async fn delete(&self, name: &str) -> Result<(), CatalogError> {
        if let Some(pipeline) = self.pipeline(name) {
            if pipeline.root.as_ref().is_some_and(|root| root.head().is_some()) {
                return Err(CatalogError::InRepository(name.to_owned()));
            }
            let (folder, path) = (pipeline.folder.clone(), pipeline.folder.clone());
            blocking(move || delete_folder(&folder)).await.map_err(|source| CatalogError::Folder { path, source })?;
        }
        self.refresh().await.map(drop)
    }

    /// Removes code that nobody has used for `age`, but not what unfinished runs need.
    ///
    /// # Errors
    /// The database or the folder.
    pub async fn prune_code(&self, age: Duration) -> Result<usize, CatalogError> {
        let (rows, _) = self.inner.store.unfinished_runs().await?;
        let in_use: HashSet<_> = rows.into_iter().filter_map(|row| row.spec.code.path).map(PathBuf::from).collect();
        let root = self.inner.options.code_dir.clone();
        let path = root.clone();
        blocking(move || code::prune(&root, &in_use, age)).await.map_err(|source| CatalogError::Folder { path, source })
    }

    /// The commit that a run of this pipeline can be said to have; `None` when its files are not those of a commit.
    #[must_use]
    pub fn commit_of(&self, pipeline: &Pipeline) -> Option<Head> {
        // Of the very root that its files were found in: the list may be a moment behind or ahead.
        if let Some(head) = pipeline.root.as_ref().and_then(|root| root.head()) {
            return Some(head.clone());
        }
        let snapshot = self.snapshot();
        snapshot.head.clone().filter(|_| !snapshot.dirty.contains(&pipeline.name))
    }

    /// Reads all folders and stores which pipelines there are.
    ///
    /// # Errors
    /// [`CatalogError`] when the folder or the database cannot be read; the list stays as it was and tells the reason.
    pub async fn refresh(&self) -> Result<Changes, CatalogError> {
        let _one_at_a_time = self.inner.reading.lock().await;
        let result = self.read_all().await;
        if let Err(error) = &result {
            let mut snapshot = Snapshot::clone(&self.snapshot());
            snapshot.error = Some(error.to_string());
            self.replace(snapshot);
        }
        result
    }

    async fn read_all(&self) -> Result<Changes, CatalogError> {
        let root = self.root();
        let pipelines = match &root {
            Some(root) => self.read(root).await?,
            None => BTreeMap::new(),
        };
        let committed = root.as_ref().is_none_or(|root| root.head().is_some());
        let head = match &root {
            Some(root) if !committed => git::head(&root.folder).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "runs will not carry a commit: {error}");
                None
            }),
            root => root.as_ref().and_then(|root| root.head()).cloned(),
        };
        let before = self.snapshot();
        let changes = Changes::between(&before.pipelines, &pipelines);
        let now = self.inner.clock.now();
        let is_news = !changes.is_empty() || before.read_at.is_none();
        if is_news {
            let seen: Vec<_> = pipelines
                .values()
                .map(|p| SeenPipeline { name: p.name.clone(), has_requirements: p.has_requirements })
                .collect();
            self.inner.store.upsert_seen(&seen, now).await?;
        }
        // Asking git for every file is dear, so it is asked only when something moved.
        let dirty = if committed {
            BTreeSet::new()
        } else if changes.is_empty() && head == before.head {
            before.dirty.clone()
        } else if let (Some(_), Some(root)) = (&head, &root) {
            git::changed_below(&root.folder).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "runs may carry a commit that their files differ from: {error}");
                BTreeSet::new()
            })
        } else {
            BTreeSet::new()
        };
        let shown = if changes.is_empty() { before.changes.clone() } else { changes.clone() };
        let revision = before.revision + u64::from(is_news);
        self.replace(Snapshot { pipelines, head, dirty, revision, read_at: Some(now), error: None, changes: shown });
        Ok(changes)
    }

    fn replace(&self, snapshot: Snapshot) {
        *self.inner.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }
}

/// Deletes a folder. It goes out of sight first, by a name that is no pipeline's, so that nobody ever sees half of it; of a
/// link only the link is deleted.
fn delete_folder(folder: &std::path::Path) -> std::io::Result<()> {
    let is_link = match std::fs::symlink_metadata(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?.file_type().is_symlink(),
    };
    if is_link {
        return std::fs::remove_file(folder);
    }
    let aside = folder.with_file_name(format!(".deleted-{}", uuid::Uuid::now_v7()));
    std::fs::rename(folder, &aside)?;
    std::fs::remove_dir_all(aside)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}
