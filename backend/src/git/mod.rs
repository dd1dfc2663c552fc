//! The door to git (libgit2).
//!
//! A plain folder is looked at in this process ([`head`], [`changed_below`]). Whatever speaks to a remote or reads objects that
//! strangers made happens in a process of its own ([`Git`], [`serve`]; ADR 8): it can be killed when its time is over, it can
//! fill neither our memory nor crash us, and the credential reaches it by a pipe and lies nowhere else.

mod checkout;
mod fetch;
mod job;
mod look;
mod process;

use std::path::PathBuf;

use thiserror::Error;

pub use checkout::{Manifest, folder_name};
pub use job::{Auth, Fault, FaultKind, Job, Pulled, Tested, helper, serve};
pub use look::{changed_below, head};
pub use process::{Git, Options};

/// What went wrong with a repository.
#[derive(Debug, Error)]
pub enum GitError {
    /// The repository exists but cannot be read.
    #[error("the git repository at {} cannot be read: {source}", path.display())]
    Unreadable {
        /// Where it was looked for.
        path: PathBuf,
        /// libgit2's words.
        source: git2::Error,
    },
    /// The reading task died.
    #[error("reading the git repository was interrupted")]
    Interrupted,
    /// The helper process said what is wrong.
    #[error("{0}")]
    Fault(Fault),
}

/// The commit that a work tree stands on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Head {
    /// Full hash, 40 hexadecimal digits.
    pub commit: String,
    /// First line of the message.
    pub subject: String,
    /// Name of the author.
    pub author: String,
    /// Branch, unless the head is detached.
    pub branch: Option<String>,
}
