//! What the server and its helper process say to each other: one job in, lines of JSON out. And the helper's own side.

use std::fmt;
use std::io::{Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Head, checkout, fetch};

/// Most bytes of a job: a key, a few lines of known hosts, paths.
const MAX_JOB: u64 = 1 << 20;

/// What the helper is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Address, without any credential.
    pub url: String,
    /// Host that may be shown the credential.
    pub host: String,
    /// Branch to follow.
    pub branch: String,
    /// How to show who we are.
    pub auth: Auth,
    /// Only ask where the branch is.
    pub test: bool,
    /// The bare mirror.
    pub mirror: PathBuf,
    /// Folder of the commits' folders.
    pub commits: PathBuf,
    /// Folder of the repository that is wanted; empty for the whole.
    pub subdir: String,
    /// Commit that is live.
    pub live: Option<String>,
}

/// How to show who we are.
#[derive(Clone, Serialize, Deserialize)]
pub enum Auth {
    /// Not at all.
    None,
    /// By HTTP.
    Password {
        /// User name.
        username: String,
        /// Token or password.
        password: String,
    },
    /// By ssh.
    SshKey {
        /// The private key as in its file.
        key: String,
        /// Lines of a `known_hosts` file: other servers are refused.
        known_hosts: String,
    },
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Password { .. } => "Password(…)",
            Self::SshKey { .. } => "SshKey(…)",
        })
    }
}

impl Auth {
    /// What must not be seen in any message.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Password { password, .. } => Some(password),
            Self::SshKey { key, .. } => Some(key),
        }
    }
}

/// A commit whose folder is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulled {
    /// The commit.
    pub head: Head,
    /// Its folder below the folder of commits.
    pub folder: String,
    /// Commits that are live and not in the branch.
    pub ahead: usize,
    /// Commits of the branch that are not live.
    pub behind: usize,
}

/// A branch that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// Where it is.
    pub commit: String,
}

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// No answer, or an answer that makes no sense.
    Unreachable,
    /// The credential is missing or wrong.
    Credentials,
    /// The ssh server is not the one that was pinned, or its certificate is not trusted.
    Untrusted,
    /// There is no such repository, or it is hidden from us.
    NotFound,
    /// There is no such branch.
    Branch,
    /// There is no such folder in the commit.
    Subdir,
    /// No space left.
    DiskFull,
    /// It took too long.
    Slow,
    /// Anything else.
    Other,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Its kind.
    pub kind: FaultKind,
    /// What is wrong, where, and how to mend it.
    pub message: String,
}

impl Fault {
    /// A fault.
    #[must_use]
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(super) fn io(what: &str, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => FaultKind::DiskFull,
            _ => FaultKind::Other,
        };
        Self::new(kind, format!("{what}: {error}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A line of the helper's.
#[derive(Serialize, Deserialize)]
pub(super) enum Said {
    /// For the log.
    Log(String),
    /// The end of a pull.
    Pulled(Pulled),
    /// The end of a test.
    Tested(Tested),
    /// The end, badly.
    Fault(Fault),
}

/// The helper process, for `main`: as [`serve`] on stdin and stdout. Ends when the server does.
///
/// # Errors
/// When nobody listens.
pub fn helper() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    serve(std::io::stdin().lock(), std::io::stdout().lock())
}

/// Reads a job from `input`, does it, tells what it does on `output`.
///
/// # Errors
/// When nobody listens.
pub fn serve(input: impl Read, mut output: impl Write) -> std::io::Result<()> {
    let mut text = String::new();
    let mut tell = |said: &Said| {
        serde_json::to_writer(&mut output, said)?;
        output.write_all(b"\n")?;
        output.flush()
    };
    let read = input.take(MAX_JOB).read_to_string(&mut text);
    let job: Job = match read.and_then(|_| serde_json::from_str(&text).map_err(std::io::Error::other)) {
        Ok(job) => job,
        // The text holds a credential, and so may the parser's words.
        Err(_) => return tell(&Said::Fault(Fault::new(FaultKind::Other, "the helper process got no job"))),
    };
    let mut log = |line: String| {
        // When the server is gone, the next write of the result fails as well, and that ends us.
        let _ = tell(&Said::Log(line));
    };
    let said = if job.test { fetch::test(&job).map(Said::Tested) } else { pull(&job, &mut log).map(Said::Pulled) };
    tell(&said.unwrap_or_else(Said::Fault))
}

fn pull(job: &Job, log: &mut dyn FnMut(String)) -> Result<Pulled, Fault> {
    let (repository, tip) = fetch::fetch(job, log)?;
    let head = fetch::describe(&repository, tip, &job.branch)?;
    let (ahead, behind) = fetch::distance(&repository, job.live.as_deref(), tip);
    let folder = checkout::ensure(&repository, tip, &head, job, log)?;
    Ok(Pulled { head, folder, ahead, behind })
}
