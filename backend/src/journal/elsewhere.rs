//! Files that another process of this machine writes. Its lengths are not published here, so they are looked up, a few times a
//! second and only while somebody reads; whole lines alone are shown, as with a writer of our own.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;

use super::{FileKind, Journal, LogState, RunId, files};

/// How often the file's length is looked up.
const EACH: Duration = Duration::from_millis(200);

/// How many looks there are for one question whether the other process still writes.
const LOOKS: u32 = 5;

/// Whether the other process still writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// It does.
    Still,
    /// The file is complete.
    NoMore,
    /// It does not, but somebody will: readers come back.
    Later,
}

/// The state of a file for as long as somebody looks at it.
type Shadow = Weak<watch::Sender<LogState>>;

/// Files that are being looked at.
#[derive(Debug, Default)]
pub(super) struct Shadows(Mutex<HashMap<(RunId, FileKind), Shadow>>);

impl Shadows {
    /// The state of such a file, if somebody looks at it.
    pub(super) fn watch(&self, run: RunId, kind: FileKind) -> Option<watch::Receiver<LogState>> {
        let shadows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shadows.get(&(run, kind)).and_then(Weak::upgrade).map(|state| state.subscribe())
    }
}

impl Journal {
    /// From now on, and for as long as somebody reads, the run's log and metrics are followed as another process writes them.
    /// `writes` is asked again and again whether it still does.
    pub async fn look_elsewhere<F, Fut>(&self, run: RunId, writes: F)
    where
        F: Fn() -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Writes> + Send,
    {
        for kind in [FileKind::Log, FileKind::Metrics] {
            let key = (run, kind);
            let path = self.path(run, kind);
            // Known from the beginning, for a reader that comes back says where it was.
            let len = files::blocking(move || files::settled_len_of(&path)).await.unwrap_or_default();
            let mut shadows = self.inner.shadows.0.lock().unwrap_or_else(PoisonError::into_inner);
            if shadows.get(&key).is_some_and(|state| state.strong_count() > 0) {
                continue;
            }
            shadows.retain(|_, state| state.strong_count() > 0);
            let state = Arc::new(watch::Sender::new(LogState { len, finished: false }));
            shadows.insert(key, Arc::downgrade(&state));
            drop(shadows);
            let (journal, writes) = (self.clone(), writes.clone());
            tokio::spawn(async move { journal.follow_file(run, kind, &state, writes).await });
        }
    }

    async fn follow_file<F, Fut>(&self, run: RunId, kind: FileKind, state: &watch::Sender<LogState>, writes: F)
    where
        F: Fn() -> Fut + Send,
        Fut: Future<Output = Writes> + Send,
    {
        let path = self.path(run, kind);
        let mut looks = 0;
        loop {
            // Asked before looking: what is complete has its whole length then.
            let answer = if looks % LOOKS == 0 { writes().await } else { Writes::Still };
            looks += 1;
            let of = path.clone();
            if let Ok(len) = files::blocking(move || files::settled_len_of(&of)).await {
                // A file never grows shorter for its readers.
                state.send_if_modified(|state| len > state.len && std::mem::replace(&mut state.len, len) != len);
            }
            match answer {
                Writes::Still => {}
                Writes::NoMore => {
                    state.send_modify(|state| state.finished = true);
                    return;
                }
                // The sender goes: readers see a writer that went away.
                Writes::Later => return,
            }
            // A reader that has just asked for it has not subscribed yet.
            if looks > LOOKS && state.receiver_count() == 0 {
                return;
            }
            tokio::time::sleep(EACH).await;
        }
    }
}
