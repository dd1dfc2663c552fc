//! The door to Docker: the only room that knows containers exist as a technology.
//!
//! Everybody upstairs sees the [`Engine`] trait. Two things stand behind it: [`DockerEngine`], which speaks to the daemon,
//! and [`fake::FakeEngine`], which keeps its containers in memory and can be told to misbehave. One contract test suite
//! (`contract/`) runs on both, so the fake cannot promise what Docker does not keep.
//!
//! # How a run's container lives
//!
//! ```text
//! create  → nothing runs yet; the container carries labels, limits, mounts, and no secret at all
//! attach  → before the start, so that no byte of output can be missed and Docker's own log is never needed
//! start   → the launcher (`launcher.rs`) waits on its stdin
//! send    → the job (argv, environment, folder) goes down the attached stdin; the launcher becomes the program
//! wait    → the exit, as the kernel and Docker report it
//! remove  → the only call that deletes; an exited container stays until then, so that a crash of ours loses nothing
//! ```
//!
//! Every step is a call of its own, because a server can die between any two of them and the next server must find its way:
//! each call says below what happens when it is made twice, or too late.
//!
//! # Re-attaching without a gap
//!
//! After a crash of ours the program has gone on printing, and what nobody read lies in Docker's own log. [`resume`] goes on
//! exactly where a server stopped, with the calls below. Docker refuses to attach to a frozen container, so the order is:
//! attach, freeze, read the log, thaw.
//!
//! # Deadlines
//!
//! Every call ends within [`Options::deadline`] (slow ones within [`Options::slow_deadline`], a pull within
//! [`Options::pull_deadline`]) with [`EngineError::Unavailable`] when Docker does not answer. The exceptions are streams,
//! which end when their container does, and [`Engine::wait`], which by nature has none.

mod docker;
mod error;
pub mod fake;
pub mod launcher;
mod options;
mod resume;
mod spec;
mod state;
mod stream;

#[cfg(test)]
mod contract;

use std::pin::Pin;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::Stream;

pub use docker::DockerEngine;
pub use error::{EngineError, StartFailure};
pub use launcher::{Job, JobError};
pub use options::{HostPath, Options};
pub use resume::{Position, Resumed, StreamPosition, resume};
pub use spec::{ContainerId, ContainerSpec, Kind, Limits, Mount, Network, label};
pub use state::{ContainerState, ContainerSummary, EngineInfo, Exit, Health, Image, Stats, Status, Swept};
pub use stream::{Attachment, Frame, JobInput, Signal, Source, StoredFrame};

/// What every engine call returns.
pub type Result<T> = std::result::Result<T, EngineError>;

/// Live output of a container; ends when the container's output is closed, or when Docker goes away. The two look alike:
/// after the end ask [`Engine::wait`] or [`Engine::inspect`] what happened. Polling it after the end is harmless.
///
/// Whoever holds this stream must read it. Docker's attach has back-pressure: an unread stream blocks first the program's
/// writes and then, when the program has ended, nearly every other call about this container, `wait`, `signal`, `pause`,
/// `inspect` and `stored_log` among them. So never await one of those without reading beside it. Dropping the stream lifts
/// the block.
pub type OutputStream = Pin<Box<dyn Stream<Item = Result<Frame>> + Send>>;

/// Docker's own log of a container, oldest first; ends at what was logged when the call was made.
pub type StoredLogStream = Pin<Box<dyn Stream<Item = Result<StoredFrame>> + Send>>;

/// Samples about once a second; ends when the container does.
pub type StatsStream = Pin<Box<dyn Stream<Item = Result<Stats>> + Send>>;

/// What the product asks of a container engine. Implementations belong to one instance of Fast-Flow and never touch a
/// container that does not carry its label.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Says what engine this is. Reaches the daemon each time, so it serves as the ping behind `/ready`.
    async fn info(&self) -> Result<EngineInfo>;

    /// Makes sure that `image` is there, pulling it when it is not, and returns its immutable id.
    ///
    /// # Errors
    /// [`EngineError::ImageMissing`] when no registry has it (or wants a login), [`EngineError::PullFailed`] when the
    /// registry could not be reached or the pull broke off. Safe to call at the same time from several tasks.
    async fn ensure_image(&self, image: &str) -> Result<Image>;

    /// Makes sure that this instance's own bridge network is there, with communication between its containers off.
    /// Idempotent; harmless when several servers of the same instance do it at once.
    async fn ensure_network(&self) -> Result<()>;

    /// Creates a container, never starts it. When the answer does not arrive in time the container may exist all the same:
    /// [`Engine::list`] shows it.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] when the name is taken, [`EngineError::ImageMissing`] when the image is not there,
    /// [`EngineError::MountMissing`] when a bind source does not exist on Docker's host,
    /// [`EngineError::Invalid`] when Docker refuses the settings.
    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId>;

    /// Attaches to a container that has been created and not started: both output streams and the pipe for its job.
    /// Once per container.
    ///
    /// Dropping the whole attachment before a job was sent makes the launcher give up with
    /// [`launcher::NO_JOB_EXIT_CODE`] as soon as it runs: a container can never sit waiting for a server that died.
    async fn attach(&self, id: &ContainerId) -> Result<Attachment>;

    /// Attaches to the output of a running container from this moment on; its input is left alone. What it printed before
    /// is in [`Engine::stored_log`]; [`resume`] puts the two together.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] when the container is paused: Docker refuses that.
    /// [`EngineError::NotRunning`] when the container has ended (its whole output is then in [`Engine::stored_log`]).
    async fn reattach(&self, id: &ContainerId) -> Result<OutputStream>;

    /// Starts a created container. A container that has been started before, running or ended, is left as it is: a start
    /// whose answer got lost can be repeated, and never runs a program twice.
    ///
    /// A start that failed is final: the container is good for nothing but [`Engine::remove`].
    ///
    /// # Errors
    /// [`EngineError::StartFailed`] with its class, [`EngineError::MountMissing`].
    async fn start(&self, id: &ContainerId) -> Result<()>;

    /// Waits until the container has ended, and says how. Has no deadline. When Docker goes away it keeps asking, with
    /// growing pauses, until Docker is back: the caller never has to tell a lost connection from an exit. A container that
    /// was never started is waited for as well. Calling it again after the exit returns the same answer at once.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] when the container was removed under us. (When it ended first and the removal came so late
    /// that its state could still be read, the exit is returned.)
    async fn wait(&self, id: &ContainerId) -> Result<Exit>;

    /// What Docker knows of the container now; `None` when it is gone.
    async fn inspect(&self, id: &ContainerId) -> Result<Option<ContainerState>>;

    /// Sends a signal to the program (its init hands it on). Ok when the container has ended or is gone.
    /// Docker thaws a frozen container for it. `Kill` returns when the container is dead.
    async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<()>;

    /// Freezes all processes of the container. Ok when it is frozen already.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] when this machine cannot freeze, [`EngineError::NotRunning`], [`EngineError::NotFound`].
    async fn pause(&self, id: &ContainerId) -> Result<()>;

    /// Thaws the container. Ok when it is not frozen. Errors as for [`Engine::pause`].
    async fn unpause(&self, id: &ContainerId) -> Result<()>;

    /// Docker's own log, from `since` (inclusive) or from its beginning. Per stream its bytes are exactly those that an
    /// attach delivers, except for what Docker has rotated away and for a line that is not complete yet. One item is one
    /// message of Docker's: a line, or a piece of at most 16 KiB of a longer one.
    async fn stored_log(&self, id: &ContainerId, since: Option<DateTime<Utc>>) -> Result<StoredLogStream>;

    /// Resource usage, about one sample a second, the first after about a second. That the container is gone may show only
    /// as the stream's first item.
    async fn stats(&self, id: &ContainerId) -> Result<StatsStream>;

    /// Applies limits to a created or running container; `None` leaves that limit as it is.
    async fn update_limits(&self, id: &ContainerId, limits: &Limits) -> Result<()>;

    /// Removes the container with its anonymous volumes, killing it if it runs. Ok when it is gone already. Returns when
    /// it is really gone.
    async fn remove(&self, id: &ContainerId) -> Result<()>;

    /// All containers of this instance, in any state.
    async fn list(&self) -> Result<Vec<ContainerSummary>>;

    /// Removes volumes and networks that carry this instance's label and that nobody uses; with `keep_network` not the network
    /// of [`Engine::ensure_network`]. Whatever has another label or none is not even looked at.
    async fn sweep(&self, keep_network: bool) -> Result<Swept>;
}
