//! Who is writing what: at most one writer per file, and where its readers learn how long the file is.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{FileKind, JournalError, RunId};

/// How far a file may be read, and whether it will grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogState {
    /// Bytes of whole lines in the file.
    pub len: u64,
    /// Nothing more will come.
    pub finished: bool,
}

/// A file of a run.
type Key = (RunId, FileKind);

/// The files that have a writer.
#[derive(Debug, Default, Clone)]
pub(super) struct Registry {
    /// Their states, by file.
    live: Arc<Mutex<HashMap<Key, Arc<watch::Sender<LogState>>>>>,
    /// Who waits for a file to begin; an entry lives as long as somebody does.
    awaited: Arc<Mutex<HashMap<RunId, watch::Sender<()>>>>,
}

impl Registry {
    /// Makes the caller the one writer of a file whose whole lines end at `len`; [`JournalError::Busy`] if there is one.
    pub(super) fn register(&self, run: RunId, kind: FileKind, len: u64) -> Result<Registration, JournalError> {
        let mut live = self.lock();
        if live.contains_key(&(run, kind)) {
            return Err(JournalError::Busy(run));
        }
        let state = Arc::new(watch::Sender::new(LogState { len, finished: false }));
        live.insert((run, kind), state.clone());
        Ok(Registration { registry: self.clone(), key: (run, kind), state })
    }

    /// The state of a file that is being written.
    pub(super) fn watch(&self, run: RunId, kind: FileKind) -> Option<watch::Receiver<LogState>> {
        self.lock().get(&(run, kind)).map(|state| state.subscribe())
    }

    /// See [`super::Journal::begins`].
    pub(super) fn begins(&self, run: RunId) -> watch::Receiver<()> {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = awaited.get(&run) {
            return sender.subscribe();
        }
        awaited.retain(|_, sender| sender.receiver_count() > 0);
        awaited.entry(run).or_default().subscribe()
    }

    /// Tells those who wait: a file of this run is there now.
    pub(super) fn has_begun(&self, run: RunId) {
        if let Some(sender) = self.awaited.lock().unwrap_or_else(PoisonError::into_inner).get(&run) {
            sender.send_replace(());
        }
    }

    /// The map; its operations cannot leave it half changed.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<watch::Sender<LogState>>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Being the one writer of a file, until dropped.
#[derive(Debug)]
pub(super) struct Registration {
    /// Where to sign off.
    registry: Registry,
    /// The file.
    key: Key,
    /// Its published state.
    state: Arc<watch::Sender<LogState>>,
}

impl Registration {
    /// Where to publish the file's state.
    pub(super) fn state(&self) -> Arc<watch::Sender<LogState>> {
        self.state.clone()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.key);
    }
}
