//! The directory of run files, and the handle that everything else hangs on.

use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use tokio::sync::watch;

use super::{
    FileKind, JournalError, LogState, LogWriter, RunId, StoredLog, block,
    elsewhere::Shadows,
    encode::{Encoder, PerSource},
    feed::Feeds,
    index::Indexes,
    registry::{Registration, Registry},
    resume,
    sink::LineFile,
};

/// How the journal is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where run files are (`LOGS_DIR`); made if missing.
    pub dir: PathBuf,
    /// How many bytes a log may reach (`LOG_MAX_SIZE_MB`) before a mark is written and further output only counted; `None`
    /// for no limit.
    pub max_bytes: Option<u64>,
}

/// The run files. A cheap handle: clones share everything.
#[derive(Debug, Clone)]
pub struct Journal {
    /// What the clones share.
    pub(super) inner: Arc<Inner>,
}

/// The state behind the handle.
#[derive(Debug)]
pub(super) struct Inner {
    /// Where run files are.
    dir: PathBuf,
    /// How many bytes a log may reach; 0 for no limit.
    max_bytes: AtomicU64,
    /// Files being written.
    pub(super) registry: Registry,
    /// Line counts of logs that were asked about.
    pub(super) indexes: Indexes,
    /// Logs being watched.
    pub(super) feeds: Feeds,
    /// Files that another process writes.
    pub(super) shadows: Shadows,
}

/// What a run's files take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunFiles {
    /// Whose.
    pub run_id: RunId,
    /// Size of the log, bytes; `None` if there is none.
    pub log: Option<u64>,
    /// Size of the metrics, bytes; `None` if there are none.
    pub metrics: Option<u64>,
    /// The later of both files' modification times.
    pub modified: SystemTime,
}

impl Journal {
    /// Opens the directory, makes it if needed, and proves that it can be written. Blocking; for start-up.
    ///
    /// # Errors
    /// [`JournalError::Io`] when the directory cannot be made or written.
    pub fn open(options: Options) -> Result<Self, JournalError> {
        std::fs::create_dir_all(&options.dir).map_err(JournalError::io("make the directory for logs"))?;
        let probe = options.dir.join(format!(".write-check-{}", std::process::id()));
        std::fs::write(&probe, b"fastflow").map_err(JournalError::io("write to the directory for logs"))?;
        std::fs::remove_file(&probe).map_err(JournalError::io("remove a file from the directory for logs"))?;
        let inner = Inner {
            dir: options.dir,
            max_bytes: AtomicU64::new(options.max_bytes.unwrap_or(0)),
            registry: Registry::default(),
            indexes: Indexes::default(),
            feeds: Feeds::default(),
            shadows: Shadows::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Tells when a file of this run begins, for those who wait for it. Who takes it before looking misses nothing.
    #[must_use]
    pub fn begins(&self, run: RunId) -> watch::Receiver<()> {
        self.inner.registry.begins(run)
    }

    /// How many bytes a log may reach that is begun from now on; `None` for no limit.
    pub fn set_max_bytes(&self, max_bytes: Option<u64>) {
        self.inner.max_bytes.store(max_bytes.unwrap_or(0), Ordering::Relaxed);
    }

    /// The directory of run files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// How many bytes a log may reach.
    fn max_bytes(&self) -> Option<u64> {
        Some(self.inner.max_bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    /// Begins a run's log. Do it when the run is accepted, not when its container starts, so that viewers of a waiting run
    /// have something to follow.
    ///
    /// # Errors
    /// [`JournalError::Exists`] when the run has a log, [`JournalError::Busy`] when it is being written.
    pub async fn create(&self, run: RunId) -> Result<LogWriter, JournalError> {
        let registration = self.inner.registry.register(run, FileKind::Log, 0)?;
        let path = self.path(run, FileKind::Log);
        let file = blocking(move || OpenOptions::new().read(true).write(true).create_new(true).open(path))
            .await
            .map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => JournalError::Exists(run),
                _ => JournalError::Io { action: "create a log", source: error },
            })?;
        self.inner.feeds.forget(run);
        self.inner.registry.has_begun(run);
        let encoder = Encoder::new(0, Default::default(), self.max_bytes(), false, PerSource::default());
        Ok(LogWriter::new(self.clone(), run, LineFile::new(Box::new(file), 0), encoder, registration))
    }

    /// Goes on with a run's log after a crash or a restart (or begins it when there is none): cuts off a torn last line and
    /// says what the log holds, so that the gap can be filled from Docker's own log. Reads the whole log once.
    ///
    /// # Errors
    /// [`JournalError::Busy`] when the log is being written, or the file could not be read or cut.
    pub async fn resume(&self, run: RunId) -> Result<(LogWriter, StoredLog), JournalError> {
        let path = self.path(run, FileKind::Log);
        let known = path.clone();
        let len = blocking(move || settled_len_of(&known)).await.map_err(JournalError::io("open a log"))?;
        // From here on nobody else writes; viewers go on with what is whole while the log is being read.
        let registration = self.inner.registry.register(run, FileKind::Log, len)?;
        self.inner.indexes.forget(run);
        self.inner.feeds.forget(run);
        // The registration goes along, so that the file stays ours even if this future is dropped half-way.
        let (file, registration, stored) = blocking(move || {
            let file = open_to_append(path)?;
            let cut = cut_torn_line(&file, &registration)?;
            let stored = resume::scan(&file, cut)?;
            Ok((file, registration, stored))
        })
        .await
        .map_err(JournalError::io("read a log to go on with it"))?;
        self.inner.registry.has_begun(run);
        let bytes = PerSource { stdout: stored.stdout.bytes, stderr: stored.stderr.bytes };
        let latest = stored.last_timestamp.unwrap_or_default();
        let encoder = Encoder::new(stored.len, latest, self.max_bytes(), stored.capped, bytes);
        let file = LineFile::new(Box::new(file), stored.len);
        Ok((LogWriter::new(self.clone(), run, file, encoder, registration), stored))
    }

    /// How far a run's log can be read, and news about it. While it has a writer the value follows it; if the sender goes
    /// away before `finished`, the writer stopped without an end (shutdown). Without a writer the value is the file's
    /// length, finished, and does not change.
    ///
    /// # Errors
    /// [`JournalError::NotFound`] when the run has no log.
    pub async fn watch(&self, run: RunId) -> Result<watch::Receiver<LogState>, JournalError> {
        self.watch_file(run, FileKind::Log).await
    }

    /// As [`Self::watch`], for the run's metrics.
    ///
    /// # Errors
    /// [`JournalError::NotFound`] when the run has no metrics.
    pub async fn watch_metrics(&self, run: RunId) -> Result<watch::Receiver<LogState>, JournalError> {
        self.watch_file(run, FileKind::Metrics).await
    }

    /// Removes a run's files; says how many bytes that freed. Removing nothing is no error. Viewers that have the log open
    /// can still read it to its end.
    ///
    /// # Errors
    /// [`JournalError::Busy`] when one is being written, or a file could not be removed.
    pub async fn remove(&self, run: RunId) -> Result<u64, JournalError> {
        let mut freed = 0;
        for kind in [FileKind::Log, FileKind::Metrics] {
            // Holding the place of the writer keeps a new one from starting in between.
            let _registration = self.inner.registry.register(run, kind, 0)?;
            let path = self.path(run, kind);
            freed += blocking(move || {
                let len = std::fs::metadata(&path)?.len();
                std::fs::remove_file(&path)?;
                Ok(len)
            })
            .await
            .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(0) } else { Err(error) })
            .map_err(JournalError::io("remove a run's file"))?;
        }
        self.inner.indexes.forget(run);
        self.inner.feeds.forget(run);
        Ok(freed)
    }

    /// What the files of one run take; `None` if it has none.
    ///
    /// # Errors
    /// The files could not be looked at.
    pub async fn size(&self, run: RunId) -> Result<Option<RunFiles>, JournalError> {
        let paths = [FileKind::Log, FileKind::Metrics].map(|kind| self.path(run, kind));
        blocking(move || {
            let mut found = None;
            for (path, kind) in paths.iter().zip([FileKind::Log, FileKind::Metrics]) {
                match std::fs::metadata(path) {
                    Ok(meta) => RunFiles::add(&mut found, run, kind, meta.len(), meta.modified()?),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(found)
        })
        .await
        .map_err(JournalError::io("look at a run's files"))
    }

    /// Counts all run files and names those of the `oldest` runs that began first; memory does not grow with the number of
    /// runs. Other files are left out.
    ///
    /// # Errors
    /// The directory could not be read.
    pub async fn census(&self, oldest: usize) -> Result<Census, JournalError> {
        let dir = self.inner.dir.clone();
        blocking(move || census(&dir, oldest)).await.map_err(JournalError::io("list the run files"))
    }

    /// Ids of runs that have a log which was not touched since `before`, in pieces of at most 500.
    #[must_use]
    pub fn settled_runs(&self, before: SystemTime) -> tokio::sync::mpsc::Receiver<Vec<RunId>> {
        let (send, receive) = tokio::sync::mpsc::channel(1);
        let dir = self.inner.dir.clone();
        tokio::task::spawn_blocking(move || {
            let mut piece = Vec::new();
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                let Some((run, _)) = entry.file_name().to_str().and_then(FileKind::recognise) else { continue };
                if entry.metadata().and_then(|meta| meta.modified()).is_ok_and(|time| time < before) {
                    piece.push(run);
                }
                if piece.len() == 500 && send.blocking_send(std::mem::take(&mut piece)).is_err() {
                    return;
                }
            }
            let _ = send.blocking_send(piece);
        });
        receive
    }

    /// Where a file is.
    pub(super) fn path(&self, run: RunId, kind: FileKind) -> PathBuf {
        self.inner.dir.join(kind.file_name(run))
    }

    /// See [`Self::watch`].
    async fn watch_file(&self, run: RunId, kind: FileKind) -> Result<watch::Receiver<LogState>, JournalError> {
        if let Some(state) = self.inner.registry.watch(run, kind) {
            return Ok(state);
        }
        if let Some(state) = self.inner.shadows.watch(run, kind) {
            // There is nothing to follow before the file is there.
            self.open_file(run, kind).await?;
            return Ok(state);
        }
        let (_, state) = self.open_file(run, kind).await?;
        Ok(watch::channel(state).1)
    }

    /// Opens a file for reading, with the state that it may be read to.
    pub(super) async fn open_file(&self, run: RunId, kind: FileKind) -> Result<(File, LogState), JournalError> {
        self.with_owned_file(run, kind, |file, state| Ok((file, state))).await
    }

    /// Runs `read` on a blocking thread with a file and the state that it may be read to.
    pub(super) async fn with_file<T: Send + 'static>(
        &self,
        run: RunId,
        kind: FileKind,
        read: impl FnOnce(&File, LogState) -> io::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        self.with_owned_file(run, kind, move |file, state| read(&file, state)).await
    }

    /// As [`Self::with_file`], giving the file away.
    async fn with_owned_file<T: Send + 'static>(
        &self,
        run: RunId,
        kind: FileKind,
        read: impl FnOnce(File, LogState) -> io::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        // Asked first: a writer that ends after this leaves a file that is longer, never shorter.
        let live = self.inner.registry.watch(run, kind).map(|state| *state.borrow());
        let path = self.path(run, kind);
        blocking(move || {
            let file = File::open(path)?;
            let state = match live {
                Some(state) => state,
                // Without a writer there may be a torn line at the end, left by a crash.
                None => LogState { len: block::settled_len(&file, file.metadata()?.len())?, finished: true },
            };
            read(file, state)
        })
        .await
        .map_err(JournalError::open(run, "read a run's file"))
    }
}

impl RunFiles {
    /// Notes one file of a run.
    fn add(found: &mut Option<Self>, run_id: RunId, kind: FileKind, len: u64, modified: SystemTime) {
        let files = found.get_or_insert(Self { run_id, log: None, metrics: None, modified });
        match kind {
            FileKind::Log => files.log = Some(len),
            FileKind::Metrics => files.metrics = Some(len),
        }
        files.modified = files.modified.max(modified);
    }
}

/// What all run files take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Bytes of all.
    pub bytes: u64,
    /// How many logs.
    pub logs: u64,
    /// Those of the runs that began first, the first one first.
    pub oldest: Vec<RunFiles>,
}

fn census(dir: &Path, oldest: usize) -> io::Result<Census> {
    let mut census = Census::default();
    // Ids are made in the order of time.
    let mut first: std::collections::BTreeMap<RunId, RunFiles> = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let Some((run, kind)) = entry.file_name().to_str().and_then(FileKind::recognise) else { continue };
        let meta = match entry.metadata() {
            Ok(meta) => meta,
            // Removed since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        census.bytes += meta.len();
        census.logs += u64::from(kind == FileKind::Log);
        if first.len() >= oldest && first.last_key_value().is_none_or(|(last, _)| *last < run) {
            continue;
        }
        let mut files = first.remove(&run);
        RunFiles::add(&mut files, run, kind, meta.len(), meta.modified()?);
        first.extend(files.map(|files| (run, files)));
        if first.len() > oldest {
            first.pop_last();
        }
    }
    census.oldest = first.into_values().collect();
    Ok(census)
}

/// Where the last whole line of a file ends; 0 when there is no file.
pub(super) fn settled_len_of(path: &Path) -> io::Result<u64> {
    match File::open(path) {
        Ok(file) => block::settled_len(&file, file.metadata()?.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Opens (or makes) a file to go on with. Changes nothing yet. Register first: a reader who finds a file without a writer
/// takes the run for ended.
pub(super) fn open_to_append(path: PathBuf) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// Cuts a torn last line off a file that is ours by now, and publishes its length; returns both. A writer may have ended
/// between looking and registering, so the length is looked up again.
pub(super) fn cut_torn_line(file: &File, registration: &Registration) -> io::Result<Cut> {
    let on_disk = file.metadata()?.len();
    let len = block::settled_len(file, on_disk)?;
    if len < on_disk {
        file.set_len(len)?;
    }
    registration.state().send_if_modified(|state| std::mem::replace(&mut state.len, len) != len);
    Ok(Cut { len, torn: on_disk - len })
}

/// What [`cut_torn_line`] did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// The file's length now.
    pub len: u64,
    /// Bytes that were cut off.
    pub torn: u64,
}

/// Runs file work on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    // A panic in there is a bug, a cancelled task a runtime that is going down: both are told as an I/O error.
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.into()))
}
