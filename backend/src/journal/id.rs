//! The name of a run's files. A run id comes from a URL sooner or later, so the type itself rules out anything that
//! could walk out of the directory: only a UUID gets in, and only its canonical spelling comes out.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use super::JournalError;

/// A run's id: a UUID, always spelled in lower case with hyphens when it becomes a file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(Uuid);

impl RunId {
    /// The UUID itself.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for RunId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl FromStr for RunId {
    type Err = JournalError;

    /// Reads a UUID in any of its usual spellings; everything else is [`JournalError::InvalidRunId`].
    fn from_str(text: &str) -> Result<Self, JournalError> {
        Uuid::try_parse(text).map(Self).map_err(|_| JournalError::InvalidRunId)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// Which of a run's two files is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// `{run_id}.log`, in the CRI log format.
    Log,
    /// `{run_id}_metrics.jsonl`, one JSON object a line.
    Metrics,
}

impl FileKind {
    /// What follows the run id in the file's name.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Log => ".log",
            Self::Metrics => "_metrics.jsonl",
        }
    }

    /// The file's name for a run.
    pub(super) fn file_name(self, run: RunId) -> String {
        format!("{run}{}", self.suffix())
    }

    /// The run and the kind that a file name belongs to; `None` for anything that is not ours.
    pub(super) fn recognise(name: &str) -> Option<(RunId, Self)> {
        [Self::Log, Self::Metrics].into_iter().find_map(|kind| {
            let run: RunId = name.strip_suffix(kind.suffix())?.parse().ok()?;
            // A UUID has several spellings; only the one that we write is our file.
            (kind.file_name(run) == name).then_some((run, kind))
        })
    }
}
