//! What can go wrong with run files.

use std::io;

use super::RunId;

/// Everything that the journal reports. No variant names a path: these texts may reach a client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The run has no such file (never started, or removed by retention).
    #[error("run {0} has no stored file")]
    NotFound(RunId),
    /// [`create`](super::Journal::create) was called for a run that already has a log; use `resume`.
    #[error("run {0} already has a log")]
    Exists(RunId),
    /// Another writer of the same file is alive; there is one per run at a time.
    #[error("the file of run {0} is being written")]
    Busy(RunId),
    /// The text is not a UUID.
    #[error("a run id is a UUID")]
    InvalidRunId,
    /// A search for nothing, or for more than fits into one stored line.
    #[error("a search needs between 1 and {max} bytes to look for")]
    Needle {
        /// The longest needle, in bytes.
        max: usize,
    },
    /// A metrics sample could not be turned into JSON.
    #[error("a sample could not be turned into JSON")]
    Encode(#[from] serde_json::Error),
    /// The output did not reach the disk. The bytes are counted as lost, the writer goes on, and the log gets a mark
    /// as soon as writing works again.
    #[error("{lost} bytes could not be stored")]
    Write {
        /// Bytes of the script's output that this failure cost.
        lost: u64,
        /// Why, e.g. "No space left on device".
        #[source]
        source: io::Error,
    },
    /// Any other trouble with a file.
    #[error("could not {action}")]
    Io {
        /// What was being done, as a verb phrase.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl JournalError {
    /// For `map_err`: an I/O failure while doing `action`.
    pub(super) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }

    /// For `map_err`: like [`Self::io`], but a missing file is [`Self::NotFound`].
    pub(super) fn open(run: RunId, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound(run),
            _ => Self::Io { action, source },
        }
    }
}

impl From<JournalError> for io::Error {
    /// So that a byte stream of ours can be an HTTP body.
    fn from(error: JournalError) -> Self {
        Self::other(error)
    }
}
