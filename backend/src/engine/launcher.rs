//! How a container gets its job: over its stdin, never in its settings.
//!
//! Whatever a container is created with stays readable in `docker inspect` for as long as it exists. So every container is
//! created with the same harmless command, `/bin/sh`, which reads commands from its stdin. Down that pipe go
//!
//! 1. the [`PRELUDE`], as soon as we attach: a trap that turns an end without a job into [`NO_JOB_EXIT_CODE`]. Without it a
//!    server that died between start and hand-over would leave a shell that ends with 0 at the end of its input: a success
//!    that never ran;
//! 2. the [`script`]: it goes to the job's folder, exports its environment and becomes its program. It stands in braces,
//!    so a shell runs all of it or, when the end is missing, nothing.
//!
//! Only shell builtins come before the `exec`, so no value ever shows among a process's arguments.

use bytes::Bytes;

/// What the shell reads first. `echo` says why, for whoever reads the log.
pub const PRELUDE: &str = "trap 'echo \"fastflow: the launcher ended without starting its job\" >&2; exit 97' EXIT\n";

/// What the trap says, with its newline: all that a container prints whose launcher never became the program.
pub const COMPLAINT: &str = "fastflow: the launcher ended without starting its job\n";

/// The exit code of a container whose launcher never became the program: no job came, only a part of one, or the job's
/// folder is not there. (A program may of course end with the same code by itself; the line on stderr tells them apart.)
pub const NO_JOB_EXIT_CODE: i64 = 97;

/// The command of every container.
pub const COMMAND: &str = "/bin/sh";

/// Longest `NAME=value` or argument in bytes, with the closing NUL: the kernel's `MAX_ARG_STRLEN`.
pub const MAX_STRING: usize = 128 * 1024;

/// Most that arguments and environment may weigh together, in bytes, pointers included. The kernel gives them a quarter
/// of the stack limit, which is 2 MiB by default; the rest is left to what the image itself brings.
pub const MAX_TOTAL: usize = 2 * 1024 * 1024 - 64 * 1024;

/// What a container shall do.
#[derive(Clone, PartialEq, Eq)]
pub struct Job {
    /// The program and its arguments; a program without a slash is looked for in the job's `PATH`.
    pub argv: Vec<String>,
    /// Environment beyond the image's own; a later value of a name wins.
    pub env: Vec<(String, String)>,
    /// Absolute path of the working directory.
    pub cwd: String,
}

impl std::fmt::Debug for Job {
    /// Names but no values: a job holds secrets, and a log line must not.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Job").field("argv", &self.argv).field("env", &names).field("cwd", &self.cwd).finish()
    }
}

/// Why a job cannot be handed over. Messages never hold a value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// No program, or one that a shell would take for an option.
    #[error("the job names no program")]
    NoProgram,
    /// A relative working directory.
    #[error("the working directory {0:?} is not an absolute path")]
    RelativeFolder(String),
    /// A name that no shell can export.
    #[error("{0:?} is not a usable name of an environment variable: letters, digits and _, not beginning with a digit")]
    BadName(String),
    /// A value that the shell itself would choke on.
    #[error("the environment variable {0} must be a whole number: the shell that starts the program insists on it")]
    NotANumber(String),
    /// A NUL byte, which ends every string the kernel takes.
    #[error("{0} holds a NUL byte, which neither arguments nor the environment can carry")]
    Nul(String),
    /// One string is too long for the kernel.
    #[error(
        "{what} is {bytes} bytes long; Linux takes at most {MAX_STRING} for one variable or argument. Put it into a file"
    )]
    TooLong {
        /// Which one.
        what: String,
        /// Its length with name and closing NUL.
        bytes: usize,
    },
    /// All strings together are too long for the kernel.
    #[error(
        "arguments and environment are {0} bytes together; Linux takes about {MAX_TOTAL}. Put large values into files"
    )]
    TooMuch(usize),
}

/// The shell script that makes a launcher become the job's program.
///
/// # Errors
/// When the job cannot be expressed, see [`JobError`]; nothing of it is silently changed.
pub fn script(job: &Job) -> Result<Bytes, JobError> {
    check(job)?;
    let values: usize = job.env.iter().map(|(name, value)| name.len() + value.len()).sum();
    let mut out = Vec::with_capacity(values + values / 8 + 32 * job.env.len() + 1024);
    // The folder first: `cd` sets PWD and OLDPWD, which the program would not have in a plain container.
    out.extend_from_slice(b"{ cd -- ");
    quote(&mut out, &job.cwd);
    out.extend_from_slice(b" || exit\nunset PWD OLDPWD\n");
    for (name, value) in &job.env {
        out.extend_from_slice(b"export ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        quote(&mut out, value);
        out.push(b'\n');
    }
    out.extend_from_slice(b"trap - EXIT\nexec");
    for argument in &job.argv {
        out.push(b' ');
        quote(&mut out, argument);
    }
    out.extend_from_slice(b" </dev/null\n}\n");
    Ok(out.into())
}

fn check(job: &Job) -> Result<(), JobError> {
    if job.argv.first().is_none_or(|program| program.is_empty() || program.starts_with('-')) {
        return Err(JobError::NoProgram);
    }
    if !job.cwd.starts_with('/') {
        return Err(JobError::RelativeFolder(job.cwd.clone()));
    }
    no_nul(|| "the working directory".to_owned(), &job.cwd)?;
    let mut total = 0;
    for (position, argument) in job.argv.iter().enumerate() {
        let what = || format!("argument {position}");
        no_nul(what, argument)?;
        total += weigh(what, argument.len() + 1)?;
    }
    for (name, value) in &job.env {
        if !is_name(name) {
            return Err(JobError::BadName(name.clone()));
        }
        // The shell counts its options there and stops at anything but a number; it has no way around it.
        if name == "OPTIND" && (value.is_empty() || value.len() > 9 || !value.bytes().all(|b| b.is_ascii_digit())) {
            return Err(JobError::NotANumber(name.clone()));
        }
        let what = || format!("the environment variable {name}");
        no_nul(what, value)?;
        total += weigh(what, name.len() + value.len() + 2)?;
    }
    if total > MAX_TOTAL { Err(JobError::TooMuch(total)) } else { Ok(()) }
}

/// Whether a shell can export a variable of this name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let starts_well = name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    starts_well && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

// `what` names the part of the job, and is asked only for an error.
fn no_nul(what: impl Fn() -> String, text: &str) -> Result<(), JobError> {
    if text.as_bytes().contains(&0) { Err(JobError::Nul(what())) } else { Ok(()) }
}

fn weigh(what: impl Fn() -> String, bytes: usize) -> Result<usize, JobError> {
    if bytes > MAX_STRING {
        return Err(JobError::TooLong { what: what(), bytes });
    }
    Ok(bytes + size_of::<usize>())
}

/// Single quotes protect everything but a single quote, which stands outside of them, escaped.
fn quote(out: &mut Vec<u8>, text: &str) {
    out.push(b'\'');
    let mut pieces = text.split('\'');
    out.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
    for piece in pieces {
        out.extend_from_slice(b"'\\''");
        out.extend_from_slice(piece.as_bytes());
    }
    out.push(b'\'');
}

#[cfg(test)]
#[path = "launcher_tests.rs"]
mod tests;
