//! What can go wrong with the engine, in the classes that the rest of the product acts upon.

use std::path::PathBuf;

use super::launcher::JobError;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why an engine call failed. Each message is a sentence that an operator can act on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Docker is down, refuses, or does not answer in time. The only class that is worth a retry.
    #[error("Docker is not available ({call}): {reason}")]
    Unavailable {
        /// Which call it was.
        call: &'static str,
        /// What happened, and what to do about it where we know.
        reason: String,
        /// The error below, when there is one (a deadline has none).
        #[source]
        source: Option<Cause>,
    },
    /// The container (or network) does not exist, or exists no more.
    #[error("{what} does not exist (any more)")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// The call needs a running container, and this one is not.
    #[error("{what} is not running")]
    NotRunning {
        /// Which container.
        what: String,
    },
    /// The name is taken, or another operation on the same object is under way.
    #[error("conflict with another container: {message}")]
    Conflict {
        /// Docker's words.
        message: String,
    },
    /// No registry offers this image, or it wants a login.
    #[error(
        "the image {image} does not exist here and cannot be pulled: {message}; check its name, or `docker login` and `docker pull` it on the Docker host"
    )]
    ImageMissing {
        /// The image's reference.
        image: String,
        /// Docker's words.
        message: String,
    },
    /// The pull began, or tried to, and failed.
    #[error(
        "pulling the image {image} failed: {message}; check the network and the registry, or `docker pull` it by hand"
    )]
    PullFailed {
        /// The image's reference.
        image: String,
        /// Docker's words, or how long we waited.
        message: String,
    },
    /// A folder to be mounted does not exist where Docker looks for it: on Docker's host.
    #[error(
        "the folder {} does not exist on the Docker host; if Fast-Flow itself runs in a container, its data must be a mount that the host sees too", path.display()
    )]
    MountMissing {
        /// The path on Docker's host.
        path: PathBuf,
    },
    /// A folder of ours lies inside our own container only, so no other container can mount it.
    #[error(
        "the folder {} lies only inside Fast-Flow's own container: mount it as a volume or bind, or set its host path", path.display()
    )]
    NotOnHost {
        /// The path as this process sees it.
        path: PathBuf,
    },
    /// The container exists and could not be started.
    #[error("the container could not be started: {message}")]
    StartFailed {
        /// Whose fault it is.
        class: StartFailure,
        /// What happened, and what to do about it where we know.
        message: String,
    },
    /// This machine or this Docker cannot do that at all.
    #[error("this Docker host does not support {call}: {message}")]
    Unsupported {
        /// Which call it was.
        call: &'static str,
        /// Docker's words.
        message: String,
    },
    /// Docker refused the settings (a limit too small, a name with a wrong character, a broken option).
    #[error("Docker refused the settings: {message}")]
    Invalid {
        /// Docker's words.
        message: String,
    },
    /// The job cannot be handed to a launcher.
    #[error(transparent)]
    Job(#[from] JobError),
    /// Anything else, with Docker's words.
    #[error("Docker failed ({call}): {message}")]
    Other {
        /// Which call it was.
        call: &'static str,
        /// Docker's words.
        message: String,
        /// The error below.
        #[source]
        source: Option<Cause>,
    },
}

impl EngineError {
    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether the container in question is gone.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// Why a container did not start, in the classes of `docker run`'s exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFailure {
    /// The program exists and may not be executed (126).
    NotExecutable,
    /// The program does not exist in the image (127).
    NotFound,
    /// Docker itself failed (125).
    Docker,
}

impl StartFailure {
    /// The exit code with which `docker run` reports this class.
    #[must_use]
    pub fn exit_code(self) -> i64 {
        match self {
            Self::Docker => 125,
            Self::NotExecutable => 126,
            Self::NotFound => 127,
        }
    }
}
