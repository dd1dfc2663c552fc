//! The server's side of the helper process: starts it, hands it a job, reads what it says, and kills it when its time is over.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use super::job::Said;
use super::{Auth, Fault, FaultKind, GitError, Job, Pulled, Tested, checkout};

/// Longest line of the helper's.
const MAX_LINE: u64 = 1 << 20;

/// Name of the file of all trusted authorities in a helper's home.
const AUTHORITIES: &str = "authorities.pem";

/// Begin of the names of the helpers' homes.
const HOME: &str = "home-";

/// What the helper takes over from our environment: how to find programs, authorities and proxies.
const PASSED_ON: [&str; 13] = [
    "PATH",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "RUST_BACKTRACE",
];

/// How the helper is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program `fastflow`; this very program when it is absent.
    pub program: Option<PathBuf>,
    /// Folder for mirrors and the helper's home.
    pub folder: PathBuf,
    /// Longest time that a pull may take.
    pub deadline: Duration,
    /// Longest time that a test of the connection may take.
    pub test_deadline: Duration,
    /// File (PEM) of authorities that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// The handle to git's remotes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Git {
    options: Options,
}

impl Git {
    /// Nothing is started yet. Homes that a crash left behind are removed.
    #[must_use]
    pub fn new(options: Options) -> Self {
        for entry in std::fs::read_dir(&options.folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(HOME) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        Self { options }
    }

    /// The mirror of that repository.
    #[must_use]
    pub fn mirror(&self, url: &str) -> PathBuf {
        self.options.folder.join(format!("{}.git", checkout::folder_name("mirror", url)))
    }

    /// Fetches the branch and writes its commit out; `log` gets a line at a time.
    ///
    /// # Errors
    /// [`GitError::Fault`] with what is wrong.
    pub async fn pull(&self, job: &Job, mut log: impl FnMut(String) + Send) -> Result<Pulled, GitError> {
        self.within(self.options.deadline, job, &mut log).await.and_then(|said| match said {
            Said::Pulled(pulled) => Ok(pulled),
            _ => Err(broken("the helper process said something else than expected")),
        })
    }

    /// Asks where the branch is.
    ///
    /// # Errors
    /// [`GitError::Fault`] with what is wrong.
    pub async fn test(&self, job: &Job) -> Result<Tested, GitError> {
        self.within(self.options.test_deadline, job, &mut |_| {}).await.and_then(|said| match said {
            Said::Tested(tested) => Ok(tested),
            _ => Err(broken("the helper process said something else than expected")),
        })
    }

    async fn within(&self, limit: Duration, job: &Job, log: &mut (dyn FnMut(String) + Send)) -> Result<Said, GitError> {
        let home = Home::make(&self.options, &job.auth).await?;
        // Dropping the work kills the helper.
        let said = tokio::time::timeout(limit, self.run(job, &home.0, log)).await.unwrap_or_else(|_| {
            let message = format!("{} did not answer within {} s", job.url, limit.as_secs());
            Err(GitError::Fault(Fault::new(FaultKind::Slow, message)))
        });
        match said {
            Ok(Said::Fault(fault)) => Err(GitError::Fault(clean(fault, &job.auth))),
            other => other,
        }
    }

    async fn run(&self, job: &Job, home: &Path, log: &mut (dyn FnMut(String) + Send)) -> Result<Said, GitError> {
        #[cfg(test)]
        if self.options.program.is_none() {
            return tests::in_this_process(job, log).await;
        }
        let program = match &self.options.program {
            Some(program) => program.clone(),
            // Stays right when the file was replaced by a newer one meanwhile.
            None if cfg!(target_os = "linux") => PathBuf::from("/proc/self/exe"),
            None => std::env::current_exe().map_err(|error| not_started(&error))?,
        };
        let mut command = Command::new(program);
        command.arg("git-helper").env_clear().env("HOME", home).env("XDG_CONFIG_HOME", home);
        for name in PASSED_ON {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if self.options.ca_file.is_some() {
            command.env("SSL_CERT_FILE", home.join(AUTHORITIES));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| not_started(&error))?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(broken("the helper process has no pipes"));
        };
        let text = zeroize::Zeroizing::new(serde_json::to_vec(job).unwrap_or_default());
        input.write_all(&text).await.map_err(|error| not_started(&error))?;
        drop(input);
        let mut output = BufReader::new(output);
        let mut line = String::new();
        loop {
            line.clear();
            let read = (&mut output).take(MAX_LINE).read_line(&mut line).await.map_err(|error| not_started(&error))?;
            if read == 0 {
                let status = child.wait().await.map_err(|error| not_started(&error))?;
                return Err(broken(&format!("the helper process ended without a result ({status})")));
            }
            match serde_json::from_str(&line) {
                Ok(Said::Log(text)) => log(hide(text, &job.auth)),
                Ok(end) => {
                    let _ = child.wait().await;
                    return Ok(end);
                }
                Err(_) => return Err(broken("the helper process cannot be understood")),
            }
        }
    }
}

fn broken(message: &str) -> GitError {
    GitError::Fault(Fault::new(FaultKind::Other, message))
}

fn not_started(error: &std::io::Error) -> GitError {
    GitError::Fault(Fault::io("the helper process for git cannot be used", error))
}

/// Nothing that a library or a server says may show the credential.
fn hide(text: String, auth: &Auth) -> String {
    match auth.secret().map(str::trim).filter(|secret| secret.len() >= 4) {
        Some(secret) if text.contains(secret) => text.replace(secret, "***"),
        _ => text,
    }
}

fn clean(fault: Fault, auth: &Auth) -> Fault {
    Fault { kind: fault.kind, message: hide(fault.message, auth) }
}

/// The helper's home: empty, so that nobody's own configuration of git changes what we do, but for the pinned host keys, by
/// which libssh2 chooses the kind of key that it asks for.
struct Home(PathBuf);

impl Home {
    async fn make(options: &Options, auth: &Auth) -> Result<Self, GitError> {
        let home = Self(options.folder.join(format!("{HOME}{}", uuid::Uuid::now_v7())));
        let known_hosts = match auth {
            Auth::SshKey { known_hosts, .. } => Some(known_hosts.as_str()),
            _ => None,
        };
        let make = async {
            tokio::fs::create_dir_all(home.0.join(".ssh")).await?;
            if let Some(own) = &options.ca_file {
                tokio::fs::write(home.0.join(AUTHORITIES), authorities(own).await?).await?;
            }
            match known_hosts {
                Some(lines) => {
                    tokio::fs::write(home.0.join(".ssh/known_hosts"), format!("{}\n", lines.trim_end())).await
                }
                None => Ok(()),
            }
        };
        make.await.map_err(|error| GitError::Fault(Fault::io("the folder for git cannot be used", &error)))?;
        Ok(home)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The system's authorities and those of `own`: OpenSSL reads one file.
async fn authorities(own: &Path) -> std::io::Result<Vec<u8>> {
    let named = |path: &Path, error: std::io::Error| {
        std::io::Error::new(error.kind(), format!("{} cannot be read: {error}", path.display()))
    };
    let mut all = tokio::fs::read(own).await.map_err(|error| named(own, error))?;
    if let Some(system) = openssl_probe::probe().cert_file {
        all.push(b'\n');
        all.extend(tokio::fs::read(&system).await.map_err(|error| named(&system, error))?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A test's program is no `fastflow`, so the same work is done in it, by the same job and the same lines.
    pub(super) async fn in_this_process(job: &Job, log: &mut (dyn FnMut(String) + Send)) -> Result<Said, GitError> {
        let text = serde_json::to_vec(job).expect("JSON");
        let work = tokio::task::spawn_blocking(move || {
            let mut output = Vec::new();
            super::super::serve(&text[..], &mut output).map(|()| output)
        });
        let output = work.await.expect("no panic").map_err(|error| not_started(&error))?;
        for line in String::from_utf8_lossy(&output).lines() {
            match serde_json::from_str(line).expect("a line of the helper's") {
                Said::Log(line) => log(line),
                end => return Ok(end),
            }
        }
        Err(broken("the helper ended without a result"))
    }

    #[test]
    fn a_credential_is_hidden_whoever_repeats_it() {
        let auth = Auth::Password { username: "u".to_owned(), password: "s3cret".to_owned() };
        assert_eq!(hide("http://u:s3cret@h failed".to_owned(), &auth), "http://u:***@h failed");
        assert_eq!(format!("{auth:?}"), "Password(…)");
    }
}
