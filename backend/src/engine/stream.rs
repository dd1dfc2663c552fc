//! What goes into a container and what comes out of it.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::launcher::{self, Job};
use super::{EngineError, OutputStream, Result};

/// Both ends of a container that has not been started yet.
pub struct Attachment {
    /// All its output, from the first byte.
    pub output: OutputStream,
    /// Where its job goes.
    pub input: JobInput,
}

/// The pipe into a container's launcher.
pub struct JobInput {
    pipe: Pin<Box<dyn AsyncWrite + Send>>,
    deadline: Duration,
}

impl JobInput {
    /// `deadline` bounds [`JobInput::send`].
    pub(super) fn new(pipe: Pin<Box<dyn AsyncWrite + Send>>, deadline: Duration) -> Self {
        Self { pipe, deadline }
    }

    /// Hands the job over; the launcher becomes the program as soon as all of it has arrived. A job that arrives in part
    /// is never begun. Send it after the start, or beside it: a large one fits into no buffer before.
    ///
    /// # Errors
    /// [`EngineError::Job`] before anything was sent; [`EngineError::Unavailable`] when the connection broke or the
    /// container took nothing within the slow deadline.
    pub async fn send(mut self, job: &Job) -> Result<()> {
        let script = launcher::script(job)?;
        let broken = |reason: String, source| EngineError::Unavailable { call: "send job", reason, source };
        let sent = tokio::time::timeout(self.deadline, async {
            self.pipe.write_all(&script).await?;
            self.pipe.flush().await
        });
        // The pipe is not shut down: the program's stdin is /dev/null anyway, and some proxies before a Docker socket take
        // a half-closed connection for a closed one, which would cut off the output.
        match sent.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(cause)) => Err(broken("the connection to the container broke".into(), Some(Box::new(cause)))),
            Err(_) => Err(broken(format!("the container did not take its job within {:?}", self.deadline), None)),
        }
    }
}

/// Which stream a piece of output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of live output: what the program wrote, cut anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The stream.
    pub source: Source,
    /// The bytes, untouched.
    pub bytes: Bytes,
}

/// A piece of Docker's own log: a line with its newline, or a part of a long or unfinished one without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFrame {
    /// The stream.
    pub source: Source,
    /// When Docker read it; pieces of one line share it.
    pub timestamp: DateTime<Utc>,
    /// The bytes, untouched.
    pub bytes: Bytes,
}

/// A signal we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: please end.
    Terminate,
    /// SIGKILL: end.
    Kill,
}

/// Does `work` and reads on meanwhile; `take` gets what comes.
///
/// When a program has ended, Docker waits for whoever is attached to take the rest of its output, and holds the container's
/// lock until then. Who is attached and asks Docker for anything else without reading may wait for itself.
pub(super) async fn beside<T>(
    output: &mut OutputStream,
    mut take: impl FnMut(Result<Frame>),
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            Some(frame) = output.next() => take(frame),
        }
    }
}
