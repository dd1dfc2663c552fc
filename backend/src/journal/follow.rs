//! A live viewer: an offset that moves along a log, pulled by whoever sends the events.

use std::{io, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio::{sync::watch, time::Instant};

use super::{
    FileKind, Journal, JournalError, LogState, RunId, block,
    feed::{Feed, Look},
    files::blocking,
    pace::{Backlog, Pace, Step},
    read, record,
};

pub use super::feed::Batch;

/// Where a viewer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At a file offset, e.g. of `Last-Event-ID`; moved to the next line, or to the end if it is beyond.
    Offset(u64),
    /// With the last so many lines.
    Tail(u64),
}

/// How a log is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowOptions {
    /// Where to begin.
    pub start: Start,
    /// Lines per second that the viewer is sent at most (`LOG_STREAM_RATE_LIMIT`), after a burst of ten seconds' worth (at
    /// least 500); 0 for everything.
    pub rate: u32,
    /// A sign of life after so much silence.
    pub heartbeat: Duration,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self { start: Start::Offset(0), rate: 100, heartbeat: Duration::from_secs(15) }
    }
}

/// What a viewer is told.
#[derive(Debug, Clone)]
pub enum LogEvent {
    /// The next lines.
    Lines(Arc<Batch>),
    /// The viewer was too far behind: what lies between is not sent, the log has it.
    Skipped {
        /// Where the viewer was.
        from: u64,
        /// Where it goes on; the id of the event.
        to: u64,
        /// How many lines that is; `None` when counting them would keep the viewer waiting.
        lines: Option<u64>,
    },
    /// Nothing happened for a while.
    Heartbeat,
    /// Nothing follows.
    End {
        /// Where the log ends.
        next: u64,
        /// The log is complete. If not, its writer went away (the server shuts down, the run goes on): come back later.
        finished: bool,
    },
}

impl Journal {
    /// Follows a run's log. A log that is complete is read to its end in the same way.
    ///
    /// # Errors
    /// [`JournalError::NotFound`] when the run has no log, or the file could not be read.
    pub async fn follow(&self, run: RunId, options: FollowOptions) -> Result<Follow, JournalError> {
        let state = self.watch(run).await?;
        let feed = match self.inner.feeds.get(run, &state) {
            Some(feed) => feed,
            None => {
                let (file, _) = self.open_file(run, FileKind::Log).await?;
                let feed = Arc::new(Feed::new(file, self.inner.indexes.of(run), state));
                self.inner.feeds.put(run, &feed);
                feed
            }
        };
        let state = feed.state();
        let (file, len) = (feed.file(), state.borrow().len);
        let offset = blocking(move || match options.start {
            Start::Offset(offset) => block::align(&file, offset, len),
            Start::Tail(lines) => read::tail_offset(&file, len, lines, None),
        })
        .await
        .map_err(JournalError::io("read a log"))?;
        let now = Instant::now();
        Ok(Follow {
            pace: Pace::new(options.rate, now, feed.epoch()),
            feed,
            state,
            offset,
            heartbeat: options.heartbeat,
            last_event: now,
            granted: None,
            ended: false,
        })
    }
}

/// One viewer of one log.
#[derive(Debug)]
pub struct Follow {
    /// What it shares with the other viewers.
    feed: Arc<Feed>,
    /// For waiting.
    state: watch::Receiver<LogState>,
    /// Where the next line starts.
    offset: u64,
    /// Its token bucket.
    pace: Pace,
    /// A sign of life after so much silence.
    heartbeat: Duration,
    /// When something was yielded.
    last_event: Instant,
    /// After a jump: so many lines, up to that offset, are sent before anything is decided anew. Without it a receiver that
    /// is slow in a flood would be told of jumps only.
    granted: Option<(u64, u64)>,
    /// The end was yielded.
    ended: bool,
}

impl Follow {
    /// Where the next line starts.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What it shares with the other viewers.
    #[cfg(test)]
    pub(super) fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Waits for the next event; `None` after the end. May be cancelled and called again: nothing is lost. After an error
    /// it tries again at the same place.
    pub async fn next(&mut self) -> Option<Result<LogEvent, JournalError>> {
        if self.ended {
            return None;
        }
        let event = self.pull().await;
        self.last_event = Instant::now();
        self.ended = matches!(event, Ok(LogEvent::End { .. }));
        Some(event)
    }

    /// As a stream that ends after the end or an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<LogEvent, JournalError>> + Send + 'static {
        stream::unfold(Some(self), |follow| async move {
            let mut follow = follow?;
            let event = follow.next().await?;
            let go_on = event.is_ok();
            Some((event, go_on.then_some(follow)))
        })
    }

    /// See [`Self::next`].
    async fn pull(&mut self) -> Result<LogEvent, JournalError> {
        loop {
            if let Some((lines, upto)) = self.granted.filter(|&(lines, upto)| lines > 0 && upto > self.offset) {
                let event = self.send(lines, upto).await?;
                return Ok(event);
            }
            self.granted = None;
            // Marked as seen before looking, so that news in between wakes the wait below.
            self.state.borrow_and_update();
            let now = Instant::now();
            let look = self.feed.look(now);
            let LogState { len, finished } = look.state;
            if self.offset >= len {
                if finished || look.detached {
                    return Ok(LogEvent::End { next: self.offset, finished });
                }
                if !self.wait(look).await {
                    return Ok(LogEvent::Heartbeat);
                }
                continue;
            }
            let tokens = self.pace.tokens(now, finished);
            let backlog = self.backlog(len, tokens).await?;
            match self.pace.step(now, tokens, backlog, finished) {
                Step::Send(lines) => return self.send(lines, len).await,
                Step::Jump(lines) => return self.jump(lines, len).await,
                Step::Wait(until) => tokio::time::sleep_until(until).await,
            }
        }
    }

    /// Whether a viewer with so many tokens can be sent all up to `len`.
    async fn backlog(&self, len: u64, tokens: u64) -> Result<Backlog, JournalError> {
        // Each line takes some bytes, so a short stretch needs no counting.
        let at_most = (len - self.offset) / record::MIN_RECORD as u64 + 1;
        if at_most <= tokens || self.feed.tail(len, tokens).await? <= self.offset {
            return Ok(Backlog::Fits);
        }
        let far = tokens + self.pace.lag();
        let near = at_most <= far || self.feed.tail(len, far).await? <= self.offset;
        Ok(if near { Backlog::Near } else { Backlog::Far })
    }

    /// Yields the next lines, and takes their tokens.
    async fn send(&mut self, lines: u64, len: u64) -> Result<LogEvent, JournalError> {
        let batch = self.feed.batch(self.offset, lines, len).await?;
        if batch.next <= self.offset {
            // Somebody cut the file behind our back; better an error than an endless row of empty batches.
            return Err(JournalError::Io { action: "read a log", source: io::ErrorKind::UnexpectedEof.into() });
        }
        let sent = batch.lines.len() as u64;
        self.offset = batch.next;
        self.pace.spend(sent);
        self.granted = self.granted.map(|(lines, upto)| (lines.saturating_sub(sent), upto));
        Ok(LogEvent::Lines(batch))
    }

    /// Goes on with the last `lines` lines.
    async fn jump(&mut self, lines: u64, len: u64) -> Result<LogEvent, JournalError> {
        let (from, to) = (self.offset, self.feed.tail(len, lines).await?);
        let skipped = self.feed.count(from, to).await?;
        self.offset = to;
        self.granted = Some((lines, len));
        Ok(LogEvent::Skipped { from, to, lines: skipped })
    }

    /// Waits for news; false when it is time for a sign of life.
    async fn wait(&mut self, look: Look) -> bool {
        let heartbeat = self.last_event + self.heartbeat;
        if let Some(at) = look.more_at {
            tokio::time::sleep_until(at).await;
            return true;
        }
        tokio::select! {
            // An error means that the writer is gone, which is news too.
            _ = self.state.changed() => true,
            () = tokio::time::sleep_until(heartbeat) => false,
        }
    }
}
