//! One client for one daemon: connects late, agrees on an API version, bounds every call, and sorts errors.
//!
//! Nothing here happens when the server starts: Docker may be down then, and come, go and come back in another version
//! later. The connection is made by the first call that needs it and forgotten as soon as Docker does not answer.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::sync::{Mutex, OnceCell};

use super::super::{EngineError, Result};

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// bollard bounds the wait for a response's head by itself. Ours is shorter wherever a call has a deadline, and where it
/// has none (wait), Docker sends the head at once.
const HEAD_TIMEOUT_SECONDS: u64 = 3600;

/// The way to the daemon.
pub(super) struct Client {
    socket: String,
    /// For connecting.
    deadline: Duration,
    current: RwLock<Option<Arc<Connection>>>,
    /// Held while connecting, so that a crowd of calls agrees on a version once.
    connecting: Mutex<()>,
}

/// A daemon that has answered.
pub(super) struct Connection {
    /// bollard's handle, speaking a version that the daemon knows.
    pub docker: Docker,
    /// Cores that the daemon can give away; asked for once per connection.
    pub cpus: OnceCell<f64>,
}

impl Client {
    /// Takes `DOCKER_HOST`'s notation; does not connect.
    pub fn new(docker_host: Option<&str>, deadline: Duration) -> Result<Self> {
        let socket = match docker_host.map(str::trim).filter(|host| !host.is_empty()) {
            None => DEFAULT_SOCKET,
            Some(host) => match host.strip_prefix("unix://") {
                Some(path) if path.starts_with('/') => path,
                _ => {
                    return Err(EngineError::Invalid {
                        message: format!("DOCKER_HOST is {host:?}, but only unix:///path/to/docker.sock is supported"),
                    });
                }
            },
        };
        Ok(Self { socket: socket.to_owned(), deadline, current: RwLock::new(None), connecting: Mutex::new(()) })
    }

    /// Calls Docker within `deadline`, connecting first if need be.
    pub async fn call<T, F, Fut>(&self, call: &'static str, deadline: Duration, action: F) -> Result<T>
    where
        F: FnOnce(Docker) -> Fut + Send,
        Fut: Future<Output = std::result::Result<T, BollardError>> + Send,
    {
        let begin = std::time::Instant::now();
        let bounded = tokio::time::timeout(deadline, async {
            let connection = self.connection(call).await?;
            action(connection.docker.clone()).await.map_err(|error| classify(call, error, &self.socket))
        });
        let result = bounded.await.unwrap_or_else(|_| Err(self.silent(call, deadline)));
        let answered = result.as_ref().err().is_none_or(|error| !error.is_unavailable());
        crate::meters::docker_called(call, answered, begin.elapsed());
        if matches!(&result, Err(error) if error.is_unavailable()) {
            self.forget();
        }
        result
    }

    /// An established connection, for calls whose answer is a stream.
    pub async fn connection(&self, call: &'static str) -> Result<Arc<Connection>> {
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let bounded = tokio::time::timeout(self.deadline, self.connect(call));
        bounded.await.unwrap_or_else(|_| Err(self.silent(call, self.deadline)))
    }

    async fn connect(&self, call: &'static str) -> Result<Arc<Connection>> {
        let _only_one = self.connecting.lock().await;
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let failed = |error| classify(call, error, &self.socket);
        let docker =
            Docker::connect_with_unix(&self.socket, HEAD_TIMEOUT_SECONDS, API_DEFAULT_VERSION).map_err(failed)?;
        let docker = docker.negotiate_version().await.map_err(failed)?;
        tracing::info!(socket = %self.socket, api = %docker.client_version(), "connected to Docker");
        let connection = Arc::new(Connection { docker, cpus: OnceCell::new() });
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// The error for a Docker that said nothing for so long.
    pub fn silent(&self, call: &'static str, waited: Duration) -> EngineError {
        self.forget();
        let reason = format!("no answer within {} s", waited.as_secs_f32());
        EngineError::Unavailable { call, reason, source: None }
    }

    /// Sorts an error that came out of a stream, and forgets the connection if it says that Docker is gone.
    pub fn stream_error(&self, call: &'static str, error: BollardError) -> EngineError {
        let error = classify(call, error, &self.socket);
        if error.is_unavailable() {
            self.forget();
        }
        error
    }

    fn current(&self) -> Option<Arc<Connection>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    // The next call connects anew and agrees on a version anew: Docker may come back upgraded.
    fn forget(&self) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Gives bollard's errors our classes.
pub(super) fn classify(call: &'static str, error: BollardError, socket: &str) -> EngineError {
    match error {
        BollardError::DockerResponseServerError { status_code, message } => by_status(call, status_code, message),
        BollardError::DockerStreamError { error } => EngineError::Other { call, message: error, source: None },
        BollardError::SocketNotFoundError(path) => EngineError::Unavailable {
            call,
            reason: format!("there is no socket at {path}; is Docker installed and running?"),
            source: None,
        },
        error @ (BollardError::RequestTimeoutError
        | BollardError::HyperLegacyError { .. }
        | BollardError::HyperResponseError { .. }
        | BollardError::IOError { .. }) => {
            let reason = match io_kind(&error) {
                Some(io::ErrorKind::PermissionDenied) => {
                    format!("{socket} may not be opened by this user; add it to the group `docker`")
                }
                Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
                    format!("nobody listens on {socket}; is Docker running?")
                }
                _ => format!("the connection to {socket} broke"),
            };
            EngineError::Unavailable { call, reason, source: Some(Box::new(error)) }
        }
        error => EngineError::Other { call, message: error.to_string(), source: Some(Box::new(error)) },
    }
}

fn by_status(call: &'static str, status: u16, message: String) -> EngineError {
    let says = |text: &str| message.contains(text);
    match status {
        404 => EngineError::NotFound { what: what_is_missing(&message) },
        409 if says("is not running") => EngineError::NotRunning { what: "the container".into() },
        409 => EngineError::Conflict { message },
        // The daemon was replaced by one that does not speak the version we agreed on.
        400 if says("client version") => EngineError::Unavailable { call, reason: message, source: None },
        400 => EngineError::Invalid { message },
        // containerd does the daemon's work; without it nothing goes, and it usually comes back.
        503 => EngineError::Unavailable { call, reason: message, source: None },
        500 if says("containerd") && (says("connection") || says("unavailable")) => {
            EngineError::Unavailable { call, reason: message, source: None }
        }
        _ => EngineError::Other { call, message, source: None },
    }
}

// Docker says "No such container: <id>"; the id is enough.
fn what_is_missing(message: &str) -> String {
    match message.split_once("No such container: ") {
        Some((_, id)) => format!("container {}", id.get(..12).unwrap_or(id)),
        None => message.trim().to_owned(),
    }
}

fn io_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(docker_host: Option<&str>) -> Result<Client> {
        Client::new(docker_host, Duration::from_millis(200))
    }

    #[test]
    fn only_unix_sockets_are_taken() {
        assert_eq!(new(None).expect("default").socket, DEFAULT_SOCKET);
        assert_eq!(new(Some(" ")).expect("empty").socket, DEFAULT_SOCKET);
        assert_eq!(new(Some("unix:///run/d.sock")).expect("unix").socket, "/run/d.sock");
        for refused in ["tcp://127.0.0.1:2375", "ssh://host", "/var/run/docker.sock", "unix://relative"] {
            assert!(matches!(new(Some(refused)), Err(EngineError::Invalid { .. })), "{refused}");
        }
    }

    #[test]
    fn statuses_become_classes() {
        let class = |status, message: &str| by_status("test", status, message.to_owned());
        assert_eq!(
            class(404, "No such container: 0123456789abcdef").to_string(),
            "container 0123456789ab does not exist (any more)"
        );
        assert!(matches!(class(409, "Container x is not running"), EngineError::NotRunning { .. }));
        assert!(matches!(class(409, "name already in use"), EngineError::Conflict { .. }));
        assert!(matches!(class(400, "Minimum memory limit allowed is 6MB"), EngineError::Invalid { .. }));
        assert!(class(400, "client version 1.41 is too old").is_unavailable());
        assert!(class(500, "connection error: desc = dial unix containerd.sock").is_unavailable());
        assert!(matches!(class(500, "something"), EngineError::Other { .. }));
    }

    #[tokio::test]
    async fn a_missing_socket_says_what_to_do() {
        let client = new(Some("unix:///nonexistent/docker.sock")).expect("valid");
        let error = client.call("info", Duration::from_secs(1), |docker| async move { docker.version().await }).await;
        let error = error.expect_err("nothing listens");
        assert!(error.is_unavailable());
        assert!(error.to_string().contains("is Docker installed and running?"), "{error}");
    }

    #[tokio::test]
    async fn a_silent_daemon_costs_no_more_than_the_deadline() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("docker.sock");
        // It accepts connections (the backlog does) and never answers.
        let _listener = tokio::net::UnixListener::bind(&path).expect("socket");
        let client = new(Some(&format!("unix://{}", path.display()))).expect("valid");
        let call = client.call("info", Duration::from_millis(100), |docker| async move { docker.version().await });
        let error = call.await.expect_err("silence");
        assert!(error.is_unavailable());
        assert!(error.to_string().contains("no answer within 0.1 s"), "{error}");
        let error = client.connection("stats").await.err().expect("silence");
        assert!(error.to_string().contains("no answer within 0.2 s"), "{error}");
    }

    #[tokio::test]
    async fn a_dead_socket_says_so() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("docker.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("socket"));
        let client = new(Some(&format!("unix://{}", path.display()))).expect("valid");
        let call = client.call("info", Duration::from_secs(1), |docker| async move { docker.version().await });
        assert!(call.await.expect_err("refused").to_string().contains("nobody listens"));
    }
}
