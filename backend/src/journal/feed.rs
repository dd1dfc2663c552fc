//! What the viewers of one log share: the open file, a common look at its length, and the few regions read last.
//!
//! Two hundred viewers of a flood all want the same last lines. They look at the length at the same moments (at most every
//! [`STEADY`]), so they ask for the same regions, and each region is read, split and encoded once. This is the one place
//! for that; a viewer itself holds an offset and a token bucket.

use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    io,
    sync::{Arc, Mutex, OnceLock, Weak},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{OnceCell, watch},
    time::Instant,
};

use super::{
    JournalError, LogLine, LogState, RunId,
    files::blocking,
    index::{LineIndex, lock},
    read,
};

/// For how long viewers see the same length while the log grows.
const STEADY: Duration = Duration::from_millis(50);
/// A batch holds at most this many lines ...
const BATCH_LINES: u64 = 500;
/// ... from at most this many bytes of the file.
const BATCH_BYTES: usize = 256 * 1024;
/// How many regions (and other answers) are kept per log.
const KEPT: usize = 16;
/// A skipped part is counted if that takes no longer; a viewer does not wait for a number.
const PATIENCE: Duration = Duration::from_millis(250);

/// Consecutive lines of a log, shared by all viewers that are sent them.
#[derive(Debug)]
pub struct Batch {
    /// Where the first line starts.
    pub from: u64,
    /// Where to go on; the id of an event that carries this batch.
    pub next: u64,
    /// The lines.
    pub lines: Vec<LogLine>,
    /// See [`Self::rendered`].
    rendered: OnceLock<Bytes>,
}

impl Batch {
    /// The batch in the form that viewers get, made by `render` the first time and shared from then on. Every caller must
    /// render alike.
    pub fn rendered(&self, render: impl FnOnce(&Self) -> Bytes) -> Bytes {
        self.rendered.get_or_init(|| render(self)).clone()
    }
}

/// What a viewer sees when it looks up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// How far it may read.
    pub state: LogState,
    /// The writer went away without an end.
    pub detached: bool,
    /// There is more already; it shows from then on.
    pub more_at: Option<Instant>,
}

/// The shared side of a log's viewers.
#[derive(Debug)]
pub(super) struct Feed {
    /// The log.
    file: Arc<File>,
    /// Its line counts.
    index: Arc<Mutex<LineIndex>>,
    /// Its true state.
    state: watch::Receiver<LogState>,
    /// The state that viewers see, and since when.
    seen: Mutex<(LogState, Option<Instant>)>,
    /// Where the grid of waiting times begins.
    epoch: Instant,
    /// Regions, by start, greatest number of lines, and end of the log.
    batches: Memo<(u64, u64, u64), Arc<Batch>>,
    /// Where the last lines begin, by end of the log and number of lines.
    tails: Memo<(u64, u64), u64>,
    /// How many lines lie in a skipped part, by its ends.
    counts: Memo<(u64, u64), Option<u64>>,
}

impl Feed {
    /// For an open log.
    pub(super) fn new(file: File, index: Arc<Mutex<LineIndex>>, state: watch::Receiver<LogState>) -> Self {
        let seen = Mutex::new((*state.borrow(), None));
        Self {
            file: Arc::new(file),
            index,
            seen,
            state,
            epoch: Instant::now(),
            batches: Memo::default(),
            tails: Memo::default(),
            counts: Memo::default(),
        }
    }

    /// A receiver of the log's state, for waiting.
    pub(super) fn state(&self) -> watch::Receiver<LogState> {
        self.state.clone()
    }

    /// See [`super::pace::Pace::new`].
    pub(super) fn epoch(&self) -> Instant {
        self.epoch
    }

    /// The log's file.
    pub(super) fn file(&self) -> Arc<File> {
        self.file.clone()
    }

    /// What viewers see at this moment.
    pub(super) fn look(&self, now: Instant) -> Look {
        // Asked before the value is read: a writer publishes first and goes away afterwards.
        let closed = self.state.has_changed().is_err();
        let state = *self.state.borrow();
        let mut seen = lock(&self.seen);
        let show_at = seen.1.map(|since| since + STEADY).filter(|&at| at > now && !state.finished && !closed);
        if state != seen.0 && show_at.is_none() {
            *seen = (state, Some(now));
        }
        Look { state: seen.0, detached: closed && !state.finished, more_at: show_at.filter(|_| state != seen.0) }
    }

    /// At most `lines` lines from `from` on, of a log that ends at `end`.
    pub(super) async fn batch(&self, from: u64, lines: u64, end: u64) -> Result<Arc<Batch>, JournalError> {
        let lines = lines.min(BATCH_LINES);
        let file = self.file();
        self.batches
            .get((from, lines, end), move || {
                let (lines, next) = read::read_page(&file, from, end, lines as usize, BATCH_BYTES)?;
                crate::meters::log_viewed(next.saturating_sub(from));
                Ok(Arc::new(Batch { from, next, lines, rendered: OnceLock::new() }))
            })
            .await
    }

    /// Where the last `lines` stored lines of a log that ends at `end` begin.
    pub(super) async fn tail(&self, end: u64, lines: u64) -> Result<u64, JournalError> {
        let file = self.file();
        self.tails.get((end, lines), move || read::tail_records(&file, end, lines)).await
    }

    /// How many lines lie between two offsets; `None` when counting would take too long.
    pub(super) async fn count(&self, from: u64, to: u64) -> Result<Option<u64>, JournalError> {
        let (file, index) = (self.file(), self.index.clone());
        self.counts
            .get((from, to), move || {
                let mut index = lock(&index);
                let begin = std::time::Instant::now();
                let Some(to) = index.count_in_time(&file, to, || begin.elapsed() < PATIENCE)? else { return Ok(None) };
                // Lies before `to`, so it is known by now.
                let from = index.count_before(&file, from)?;
                Ok(Some(to.lines.saturating_sub(from.lines)))
            })
            .await
    }
}

/// Answers to recent questions. A question that is being answered is not asked a second time: who comes later waits.
#[derive(Debug)]
struct Memo<K, V> {
    /// The oldest is first.
    kept: Mutex<VecDeque<(K, Arc<OnceCell<V>>)>>,
}

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self { kept: Mutex::default() }
    }
}

impl<K: PartialEq, V: Clone + Send + Sync + 'static> Memo<K, V> {
    /// The answer to `key`, found on a blocking thread by `find` unless it is known.
    async fn get(&self, key: K, find: impl FnOnce() -> io::Result<V> + Send + 'static) -> Result<V, JournalError> {
        let answer = {
            let mut kept = lock(&self.kept);
            if let Some((_, answer)) = kept.iter().find(|(known, _)| *known == key) {
                answer.clone()
            } else {
                let answer = Arc::new(OnceCell::new());
                kept.push_back((key, answer.clone()));
                if kept.len() > KEPT {
                    kept.pop_front();
                }
                answer
            }
        };
        let found = answer.get_or_try_init(|| blocking(find)).await;
        found.cloned().map_err(JournalError::io("read a log"))
    }
}

/// The feeds of logs that have viewers.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    /// A feed lives as long as a viewer holds it.
    feeds: Mutex<HashMap<RunId, Weak<Feed>>>,
}

impl Feeds {
    /// The feed that a run's viewers share, if it is about the log as `state` has it: the same writer, or the same end.
    pub(super) fn get(&self, run: RunId, state: &watch::Receiver<LogState>) -> Option<Arc<Feed>> {
        let feed = lock(&self.feeds).get(&run)?.upgrade()?;
        let (shared, wanted) = (*feed.state.borrow(), *state.borrow());
        (feed.state.same_channel(state) || (shared.finished && shared == wanted)).then_some(feed)
    }

    /// Shares a feed with the viewers to come.
    pub(super) fn put(&self, run: RunId, feed: &Arc<Feed>) {
        let mut feeds = lock(&self.feeds);
        feeds.retain(|_, feed| feed.strong_count() > 0);
        feeds.insert(run, Arc::downgrade(feed));
    }

    /// Lets later viewers begin anew: a writer has begun, or the file is gone.
    pub(super) fn forget(&self, run: RunId) {
        lock(&self.feeds).remove(&run);
    }
}
