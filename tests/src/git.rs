//! Git as a team uses it: a repository that is pushed to, served over HTTP by git's own program and over ssh by OpenSSH.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use crate::http::{self, Request, Response};
use crate::place;
use crate::wait::until;

/// A work tree and the bare repository that it is pushed to. Everything goes when it is dropped.
pub struct Repository {
    root: PathBuf,
}

impl Default for Repository {
    fn default() -> Self {
        Self::new()
    }
}

impl Repository {
    /// Without any commit; the branch is `main`.
    ///
    /// # Panics
    /// When git is missing.
    #[must_use]
    pub fn new() -> Self {
        let root = place::scratch().join(format!("git-{}", place::unique()));
        fs::create_dir_all(root.join("work")).expect("a folder can be made");
        let this = Self { root };
        this.git(&["init", "-q", "-b", "main"]);
        git_in(&this.root, &["init", "-q", "--bare", "-b", "main", "bare.git"]);
        let bare = this.bare();
        this.git(&["remote", "add", "origin", bare.to_str().expect("UTF-8")]);
        this
    }

    /// The repository that is pushed to.
    #[must_use]
    pub fn bare(&self) -> PathBuf {
        self.root.join("bare.git")
    }

    /// The work tree.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Writes a file of the work tree.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, path: &str, content: &str) -> &Self {
        let path = self.work().join(path);
        fs::create_dir_all(path.parent().expect("has a parent")).expect("a folder can be made");
        fs::write(path, content).expect("a file can be written");
        self
    }

    /// Removes a file or folder of the work tree.
    ///
    /// # Panics
    /// When it is not there.
    pub fn remove(&self, path: &str) -> &Self {
        self.git(&["rm", "-rqf", path]);
        self
    }

    /// Commits everything and pushes it, by force. Returns the commit.
    pub fn commit(&self, subject: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", subject]);
        self.git(&["push", "-qf", "origin", "HEAD"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git in the work tree.
    pub fn git(&self, arguments: &[&str]) -> String {
        git_in(&self.work(), arguments)
    }

    /// Runs git in the repository that is pushed to, with something on its stdin.
    ///
    /// # Panics
    /// When it fails.
    pub fn plumb(&self, arguments: &[&str], input: &[u8]) -> String {
        use std::io::Write as _;
        let mut child =
            command(&self.bare(), arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("git");
        child.stdin.take().expect("a pipe").write_all(input).expect("git reads");
        let output = child.wait_with_output().expect("git ends");
        assert!(output.status.success(), "git {arguments:?}");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    for (name, value) in [("NAME", "Ada Lovelace"), ("EMAIL", "ada@example.org")] {
        command.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
    }
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    command
}

fn git_in(folder: &Path, arguments: &[&str]) -> String {
    let output = command(folder, arguments).output().expect("git is installed");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("git prints text").trim().to_owned()
}

/// How a server treats those who come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// Everybody may read.
    Open,
    /// Only who has this password.
    Password(String),
    /// It is broken.
    Broken,
}

/// A server of repositories over HTTP.
#[derive(Clone)]
pub struct HttpRemote {
    /// Its address with the repository.
    pub url: String,
    door: Arc<Mutex<Door>>,
    passwords: Arc<Mutex<Vec<String>>>,
}

impl HttpRemote {
    /// Serves a repository.
    pub async fn serve(repository: &Repository, door: Door) -> Self {
        Self::listen(repository, door, None).await
    }

    /// Serves a repository over https.
    pub async fn serve_tls(repository: &Repository, door: Door, tls: TlsAcceptor) -> Self {
        Self::listen(repository, door, Some(tls)).await
    }

    async fn listen(repository: &Repository, door: Door, tls: Option<TlsAcceptor>) -> Self {
        let (door, passwords) = (Arc::new(Mutex::new(door)), Arc::new(Mutex::new(Vec::new())));
        let (root, asked, seen) = (repository.root.clone(), door.clone(), passwords.clone());
        let handler: http::Handler = Arc::new(move |request| {
            let (root, asked, seen) = (root.clone(), asked.clone(), seen.clone());
            Box::pin(async move {
                let door = asked.lock().expect("not poisoned").clone();
                let given = request.headers.get("authorization").map(|header| password(header));
                seen.lock().expect("not poisoned").extend(given.clone());
                match door {
                    Door::Broken => Response::status(500),
                    Door::Password(wanted) if given.as_ref() != Some(&wanted) => {
                        Response::status(401).header("WWW-Authenticate", "Basic realm=\"git\"")
                    }
                    _ => cgi(&root, request).await,
                }
            })
        });
        let base = match tls {
            None => http::serve(handler).await,
            Some(tls) => http::serve_tls(handler, tls).await,
        };
        Self { url: format!("{base}/bare.git"), door, passwords }
    }

    /// Changes how those who come are treated.
    ///
    /// # Panics
    /// Never.
    pub fn door(&self, door: Door) {
        *self.door.lock().expect("not poisoned") = door;
    }

    /// Passwords that were shown so far.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn passwords(&self) -> Vec<String> {
        self.passwords.lock().expect("not poisoned").clone()
    }
}

/// The password of `Basic …`.
fn password(header: &str) -> String {
    let text = header.strip_prefix("Basic ").unwrap_or_default();
    let decoded = base64(text);
    String::from_utf8_lossy(&decoded).split_once(':').map(|(_, password)| password.to_owned()).unwrap_or_default()
}

fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut out) = (0_u32, 0, Vec::new());
    for digit in text.bytes().filter_map(|byte| ALPHABET.iter().position(|known| *known == byte)) {
        bits = (bits << 6) | u32::try_from(digit).expect("below 64");
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from((bits >> count) & 0xff).expect("a byte"));
        }
    }
    out
}

async fn cgi(root: &Path, request: Request) -> Response {
    let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
    let mut child = tokio::process::Command::new(place::service("FASTFLOW_TEST_GIT_HTTP_BACKEND"))
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("git's http-backend");
    let mut input = child.stdin.take().expect("a pipe");
    let body = request.body.clone();
    tokio::spawn(async move {
        let _ = input.write_all(&body).await;
    });
    let output = child.wait_with_output().await.expect("its output").stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").expect("headers");
    let mut response = Response::status(200);
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        match name {
            "Status" => response.status = value[..3].parse().expect("a status"),
            _ => response.headers.push((name.to_owned(), value.to_owned())),
        }
    }
    response.body = Bytes::copy_from_slice(&output[end + 4..]);
    response
}

/// An ssh server on a port of its own, and a deploy key that it takes.
pub struct SshRemote {
    /// Its address with the repository.
    pub url: String,
    /// The private key that it takes.
    pub key: String,
    /// Its host key as a line of `known_hosts`.
    pub known_hosts: String,
    process: Child,
    folder: PathBuf,
}

impl SshRemote {
    /// Serves a repository.
    ///
    /// # Panics
    /// When OpenSSH is missing.
    pub async fn serve(repository: &Repository) -> Self {
        let folder = place::scratch().join(format!("ssh-{}", place::unique()));
        fs::create_dir_all(&folder).expect("a folder can be made");
        let path = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
        for name in ["host", "deploy"] {
            key(&folder, name, &["-t", "ed25519"]);
        }
        // A second host key of the kind that clients prefer: the pinned one must be asked for.
        key(&folder, "host2", &["-t", "ecdsa"]);
        fs::copy(folder.join("deploy.pub"), folder.join("authorized")).expect("copied");
        let port = place::free_port();
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nPidFile none\n\
             PasswordAuthentication no\nPermitRootLogin yes\nLogLevel ERROR\n",
            path("host"),
            path("host2"),
            path("authorized"),
        );
        fs::write(folder.join("config"), config).expect("written");
        let log = fs::File::create(folder.join("log")).expect("a log");
        let process = Command::new(place::service("FASTFLOW_TEST_SSHD"))
            .args(["-D", "-e", "-f", &path("config")])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("sshd starts");
        until("sshd to listen", Duration::from_secs(20), async || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        })
        .await;
        let host = fs::read_to_string(folder.join("host.pub")).expect("a key");
        let user = Command::new("id").arg("-un").output().expect("id").stdout;
        let user = String::from_utf8(user).expect("text");
        Self {
            url: format!("ssh://{}@127.0.0.1:{port}{}", user.trim(), repository.bare().display()),
            key: fs::read_to_string(folder.join("deploy")).expect("a key"),
            known_hosts: format!("[127.0.0.1]:{port} {}", host.trim()),
            process,
            folder,
        }
    }

    /// A line of `known_hosts` with a key that is not the server's.
    #[must_use]
    pub fn foreign_host(&self) -> String {
        let own = self.known_hosts.split_whitespace().next().unwrap_or_default();
        let deploy = fs::read_to_string(self.folder.join("deploy.pub")).expect("a key");
        format!("{own} {}", deploy.trim())
    }
}

impl Drop for SshRemote {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Makes a pair of keys.
///
/// # Panics
/// When `ssh-keygen` is missing.
pub fn key(folder: &Path, name: &str, options: &[&str]) {
    let done = Command::new("ssh-keygen").args(options).args(["-q", "-N", "", "-f"]).arg(folder.join(name)).status();
    assert!(done.expect("ssh-keygen is installed").success());
}
