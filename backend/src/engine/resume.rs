//! Going on with a container's output exactly where a server stopped reading it.
//!
//! What was printed in between lies in Docker's own log, what comes now in a new attach; the two overlap, and nothing in
//! the bytes says where. So the program is frozen for a moment: once its last output has arrived everywhere, the log ends
//! exactly where the attach goes on.
//!
//! One thing differs: the log holds a line only when it is complete. What the program had printed of its current line
//! before the attach is known to nobody until the line ends. Per stream that first line is therefore taken from the log,
//! and the live output begins after its newline ([`Seam`]).
//!
//! Where a machine cannot freeze, the log is read again and again until the container ends: exact as well, only later.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use self::cursor::Cursor;
use super::stream::beside;
use super::{ContainerId, Engine, EngineError, Frame, OutputStream, Result, Source, Status};
use crate::domain::mask::Mask;

mod cursor;

/// How long a frozen container's streams must be silent before nothing is on its way any more.
const SILENCE: Duration = Duration::from_millis(100);
/// How often the log is asked for a line that must come, or (without freezing) for news.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// How often, before it is given up.
const ASK_TIMES: u32 = 40;
/// How often a container is frozen before the log alone has to do.
const FREEZE_TIMES: u32 = 3;
/// Frames that wait for a slow reader, before the container does.
const AHEAD: usize = 64;

const STREAMS: [Source; 2] = [Source::Stdout, Source::Stderr];

/// How much of a container's output somebody has already.
#[derive(Clone, Debug, Default)]
pub struct Position {
    /// Of its stdout.
    pub stdout: StreamPosition,
    /// Of its stderr.
    pub stderr: StreamPosition,
}

/// How much of one stream somebody has already.
#[derive(Clone, Debug, Default)]
pub struct StreamPosition {
    /// All bytes since the container's start.
    pub bytes: u64,
    /// The last of them, a few KiB if there are as many. They find the place in a log that has lost its beginning.
    pub tail: Bytes,
    /// By what secrets are hidden in `tail`, if they are. It is compared with the log after the same is hidden there.
    pub mask: Option<Arc<Mask>>,
}

/// A container's output, continued.
pub struct Resumed {
    /// Everything from the position on. Ends like every [`OutputStream`].
    pub output: OutputStream,
    /// The streams of which output is, or may be, missing before that: Docker has rotated it away.
    pub gaps: Vec<Source>,
}

/// Continues a container's output after `have`, whether it still runs or has ended.
///
/// # Errors
/// Those of the calls it makes. The container is never left frozen, not even when the caller gives up; after a crash of
/// ours in between, the next `resume` thaws it first.
pub async fn resume(engine: Arc<dyn Engine>, id: &ContainerId, have: Position) -> Result<Resumed> {
    // A task of its own: whoever calls may be cancelled, and the container must be thawed all the same.
    let begun = tokio::spawn(begin(engine, id.clone(), have));
    begun.await.unwrap_or_else(|failure| {
        Err(EngineError::Other { call: "resume", message: failure.to_string(), source: Some(Box::new(failure)) })
    })
}

async fn begin(engine: Arc<dyn Engine>, id: ContainerId, have: Position) -> Result<Resumed> {
    for _ in 0..FREEZE_TIMES {
        // A server that died in the middle of this left it frozen, and nobody can attach to it then.
        match engine.unpause(&id).await {
            Ok(()) | Err(EngineError::NotRunning { .. } | EngineError::Unsupported { .. }) => {}
            Err(error) => return Err(error),
        }
        match frozen(&engine, &id, &have).await? {
            Attempt::Joined(joined, gaps) => {
                let (cursor, seam) = *joined;
                let (sender, receiver) = mpsc::channel(AHEAD);
                tokio::spawn(async move { Relay { engine, id, sender }.everything(cursor, seam).await });
                return Ok(Resumed { output: received(receiver), gaps });
            }
            Attempt::Disturbed => {}
            Attempt::Impossible => break,
        }
    }
    stored_only(engine, id, &have).await
}

/// What came of freezing a container.
enum Attempt {
    /// The log ends exactly where the attach goes on.
    Joined(Box<(Cursor, Seam)>, Vec<Source>),
    /// Something moved: a signal of somebody else's has thawed it, or output was under way for very long.
    Disturbed,
    /// It has ended, or this machine cannot freeze.
    Impossible,
}

async fn frozen(engine: &Arc<dyn Engine>, id: &ContainerId, have: &Position) -> Result<Attempt> {
    let live = match engine.reattach(id).await {
        Ok(live) => live,
        Err(EngineError::NotRunning { .. }) => return Ok(Attempt::Impossible),
        Err(error) => return Err(error),
    };
    let mut seam = Seam { live, lines: [Line::Unknown, Line::Unknown], kept: VecDeque::new() };
    // All that can be read while the program still runs is read now, to freeze it for as short as can be.
    let (mut cursor, gaps) = seam.absorbing(Cursor::open(&**engine, id, have)).await?;
    match seam.absorbing(engine.pause(id)).await {
        Ok(()) => {}
        Err(EngineError::NotRunning { .. } | EngineError::Unsupported { .. }) => return Ok(Attempt::Impossible),
        Err(error) => {
            // The answer may have got lost and the container be frozen all the same.
            drop(seam);
            thaw(&**engine, id).await?;
            return Err(error);
        }
    }
    seam.fall_silent().await;
    let settled = seam.keeping(async {
        cursor.settle(&**engine, id, SILENCE).await?;
        engine.inspect(id).await
    });
    let settled = settled.await;
    // Whatever came after the silence may be in the log and may not be: nothing may have come.
    let still = seam.kept.is_empty();
    seam.keeping(thaw(&**engine, id)).await?;
    let frozen = settled?.is_some_and(|state| state.status == Status::Paused);
    Ok(if still && frozen { Attempt::Joined(Box::new((cursor, seam)), gaps) } else { Attempt::Disturbed })
}

/// The output of a container that has ended, or cannot be frozen: all from the log.
async fn stored_only(engine: Arc<dyn Engine>, id: ContainerId, have: &Position) -> Result<Resumed> {
    let (cursor, gaps) = Cursor::open(&*engine, &id, have).await?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(async move { Relay { engine, id, sender }.follow_log(cursor).await });
    Ok(Resumed { output: received(receiver), gaps })
}

async fn thaw(engine: &dyn Engine, id: &ContainerId) -> Result<()> {
    let mut attempts = 0;
    loop {
        match engine.unpause(id).await {
            Ok(()) | Err(EngineError::NotRunning { .. } | EngineError::NotFound { .. }) => return Ok(()),
            Err(error) if attempts == ASK_TIMES => return Err(error),
            Err(error) => {
                tracing::warn!(container = %id, %error, "a frozen container could not be thawed; trying again");
                attempts += 1;
                tokio::time::sleep(ASK_EVERY).await;
            }
        }
    }
}

fn received(receiver: mpsc::Receiver<Result<Frame>>) -> OutputStream {
    let items = stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|item| (item, receiver)) });
    Box::pin(items.fuse())
}

/// What is known of a stream's current line at the seam.
enum Line {
    /// How it begins is not known: nothing, or no newline, has come since we attached.
    Unknown,
    /// All of it so far.
    Begun(BytesMut),
}

/// The new attach, with what it said before the program stood still.
struct Seam {
    live: OutputStream,
    lines: [Line; 2],
    /// What came after that and was not handed on yet.
    kept: VecDeque<Result<Frame>>,
}

impl Seam {
    /// Works while the program runs. What it says meanwhile comes into the log before that is read for the last time, so
    /// only the unfinished lines are remembered.
    async fn absorbing<T>(&mut self, work: impl Future<Output = T>) -> T {
        let lines = &mut self.lines;
        beside(&mut self.live, |frame| absorb(lines, frame), work).await
    }

    /// Works while output is kept.
    async fn keeping<T>(&mut self, work: impl Future<Output = T>) -> T {
        let kept = &mut self.kept;
        beside(&mut self.live, |frame| kept.push_back(frame), work).await
    }

    /// Reads what was on its way when the program was frozen.
    async fn fall_silent(&mut self) {
        while let Ok(Some(frame)) = tokio::time::timeout(SILENCE, self.live.next()).await {
            absorb(&mut self.lines, frame);
        }
    }

    async fn next(&mut self) -> Option<Result<Frame>> {
        match self.kept.pop_front() {
            Some(frame) => Some(frame),
            None => self.live.next().await,
        }
    }
}

fn absorb(lines: &mut [Line; 2], frame: Result<Frame>) {
    // A broken connection shows again when the stream is read on: it has ended then, and the container has not.
    let Ok(Frame { source, bytes }) = frame else { return };
    let line = &mut lines[source as usize];
    match (memchr::memrchr(b'\n', &bytes), &mut *line) {
        (Some(newline), _) => *line = Line::Begun(BytesMut::from(&bytes[newline + 1..])),
        (None, Line::Begun(begun)) => begun.extend_from_slice(&bytes),
        (None, Line::Unknown) => {}
    }
}

/// Hands output on until it ends or nobody wants it (`None`).
struct Relay {
    engine: Arc<dyn Engine>,
    id: ContainerId,
    sender: mpsc::Sender<Result<Frame>>,
}

impl Relay {
    async fn everything(self, mut cursor: Cursor, mut seam: Seam) -> Option<()> {
        self.all(cursor.take()).await?;
        for source in STREAMS {
            if let Line::Begun(begun) = &mut seam.lines[source as usize] {
                let begun = begun.split().freeze();
                self.frame(source, begun).await?;
            }
        }
        loop {
            // A reader that has gone must not keep the attach open: unread, it would block the container.
            let frame = tokio::select! {
                () = self.sender.closed() => return None,
                frame = seam.next() => frame,
            };
            let Frame { source, bytes } = match frame {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return self.fail(error).await,
                None => break,
            };
            if matches!(seam.lines[source as usize], Line::Begun(_)) {
                self.frame(source, bytes).await?;
            } else if let Some(newline) = memchr::memchr(b'\n', &bytes) {
                match seam.keeping(cursor.line(&*self.engine, &self.id, source, ASK_EVERY, ASK_TIMES)).await {
                    Ok(line) => self.frame(source, line).await?,
                    Err(error) => return self.fail(error).await,
                }
                seam.lines[source as usize] = Line::Begun(BytesMut::new());
                self.frame(source, bytes.slice(newline + 1..)).await?;
            }
        }
        if !self.ended().await? {
            let reason = "the connection to a running container broke".to_owned();
            return self.fail(EngineError::Unavailable { call: "attach", reason, source: None }).await;
        }
        // A line that never got its newline is in the log now.
        if seam.lines.iter().any(|line| matches!(line, Line::Unknown)) {
            let rest = match cursor.rest(&*self.engine, &self.id).await {
                Ok(rest) => rest,
                Err(error) => return self.fail(error).await,
            };
            for (source, rest) in STREAMS.into_iter().zip(rest) {
                if matches!(seam.lines[source as usize], Line::Unknown) {
                    self.frame(source, rest).await?;
                }
            }
        }
        Some(())
    }

    /// Hands on what is in the log, and what comes into it, until the container has ended.
    async fn follow_log(&self, mut cursor: Cursor) -> Option<()> {
        loop {
            // Asked before the log is read, so that the last reading is surely after the end.
            let ended = match self.engine.inspect(&self.id).await {
                Ok(state) => state.is_none_or(|state| !state.status.is_running()),
                Err(error) => return self.fail(error).await,
            };
            match cursor.advance(&*self.engine, &self.id).await {
                Ok(frames) => self.all(frames).await?,
                Err(error) => return self.fail(error).await,
            }
            if ended {
                return Some(());
            }
            tokio::select! {
                () = self.sender.closed() => return None,
                () = tokio::time::sleep(ASK_EVERY) => {}
            }
        }
    }

    /// Whether the container ends now that its output has: Docker closes the one a little before it reports the other.
    async fn ended(&self) -> Option<bool> {
        for _ in 0..ASK_TIMES {
            match self.engine.inspect(&self.id).await {
                Ok(Some(state)) if state.status.is_running() => tokio::time::sleep(ASK_EVERY).await,
                Ok(_) => return Some(true),
                Err(error) => return self.fail(error).await,
            }
        }
        Some(false)
    }

    async fn all(&self, frames: Vec<Frame>) -> Option<()> {
        for frame in frames {
            self.sender.send(Ok(frame)).await.ok()?;
        }
        Some(())
    }

    async fn frame(&self, source: Source, bytes: Bytes) -> Option<()> {
        if bytes.is_empty() {
            return Some(());
        }
        self.sender.send(Ok(Frame { source, bytes })).await.ok()
    }

    async fn fail<T>(&self, error: EngineError) -> Option<T> {
        // Whether anybody hears it or not, this is the end.
        let _ = self.sender.send(Err(error)).await;
        None
    }
}
