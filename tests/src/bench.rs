//! Docker without us, for the bench: the same work by its socket alone.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::docker;
use crate::wait::within;

/// Longest time for one container.
const LIMIT: Duration = Duration::from_secs(120);

/// A container that a bench wants.
#[derive(Debug, Clone)]
pub struct Wanted {
    command: Vec<String>,
    mounts: Vec<String>,
    env: Vec<String>,
    hardened: bool,
}

impl Wanted {
    /// As the server makes them for runs.
    #[must_use]
    pub fn hardened(command: &[&str]) -> Self {
        Self { hardened: true, ..Self::plain(command) }
    }

    /// As Docker makes them when nothing is said.
    #[must_use]
    pub fn plain(command: &[&str]) -> Self {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        Self { command, mounts: Vec::new(), env: Vec::new(), hardened: false }
    }

    /// With these mounts, as `docker run -v` writes them.
    #[must_use]
    pub fn mounted(mut self, mounts: &[&str]) -> Self {
        self.mounts = mounts.iter().map(|mount| (*mount).to_owned()).collect();
        self
    }

    /// With these variables, each as `NAME=value`.
    #[must_use]
    pub fn env(mut self, env: Vec<String>) -> Self {
        self.env = env;
        self
    }
}

/// What was seen of a container.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// From the first call to the first output.
    pub first: Duration,
    /// From the first call until Docker says that it has ended.
    pub end: Duration,
}

/// Docker's socket.
pub struct Raw {
    http: Client,
    network: String,
}

impl Raw {
    /// Containers on the network of an instance, which must have had a run. They do not carry its label: the server would take
    /// them for strays of its own and remove them.
    ///
    /// # Panics
    /// When no HTTP client can be made.
    #[must_use]
    pub fn new(instance: &str) -> Self {
        let host = std::env::var("DOCKER_HOST").unwrap_or_default();
        let socket = host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").to_owned();
        let http = Client::builder().unix_socket(socket).build().expect("an HTTP client");
        Self { http, network: format!("fastflow-{instance}") }
    }

    /// Create, attach, start; then everything until Docker says that it has ended, and the removal.
    ///
    /// # Panics
    /// When Docker refuses, or the container fails.
    pub async fn run(&self, wanted: &Wanted) -> Seen {
        let begin = Instant::now();
        let (id, output) = self.start(wanted).await;
        let mut output = output.bytes_stream();
        let first = within("the first line", LIMIT, output.next()).await.map(|piece| piece.expect("readable"));
        let took = begin.elapsed();
        let mut said = first.map(|bytes| bytes.to_vec()).unwrap_or_default();
        while let Some(piece) = output.next().await {
            said.extend_from_slice(&piece.expect("readable"));
        }
        let ended: Value =
            self.call(&format!("/containers/{id}/wait?condition=not-running"), None).await.json().await.expect("JSON");
        let seen = Seen { first: took, end: begin.elapsed() };
        assert_eq!(ended["StatusCode"], 0, "{:?}: {}", wanted.command, String::from_utf8_lossy(&said));
        self.remove(&id).await;
        seen
    }

    /// Create, attach, start, all output into a file.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub async fn flood(&self, script: &str, file: &Path) -> Duration {
        let begin = Instant::now();
        let (id, output) = self.start(&Wanted::hardened(&["python3", "-u", "-c", script])).await;
        let mut output = output.bytes_stream();
        let file = tokio::fs::File::create(file).await.expect("a file");
        let mut file = tokio::io::BufWriter::with_capacity(1 << 20, file);
        let mut frames = Frames::default();
        while let Some(bytes) = within("more output", LIMIT, output.next()).await {
            for piece in frames.payloads(&bytes.expect("readable")) {
                file.write_all(&piece).await.expect("written");
            }
        }
        file.flush().await.expect("written");
        let took = begin.elapsed();
        self.remove(&id).await;
        took
    }

    async fn start(&self, wanted: &Wanted) -> (String, Response) {
        let log = json!({ "Type": "local", "Config": { "max-size": "10m", "max-file": "3", "compress": "false" } });
        let mut host = json!({ "NetworkMode": self.network, "Binds": wanted.mounts, "LogConfig": log });
        let mut body = json!({ "Image": docker::image(), "Cmd": wanted.command, "Entrypoint": [], "Env": wanted.env });
        if wanted.hardened {
            for (name, value) in [
                ("ReadonlyRootfs", json!(true)),
                ("CapDrop", json!(["ALL"])),
                ("Init", json!(true)),
                ("PidsLimit", json!(512)),
                ("SecurityOpt", json!(["no-new-privileges"])),
            ] {
                host[name] = value;
            }
            body["User"] = json!("10001:10001");
        }
        body["HostConfig"] = host;
        let created: Value = self.call("/containers/create", Some(&body)).await.json().await.expect("JSON");
        let id = created["Id"].as_str().expect("an id").to_owned();
        let attach = format!("/containers/{id}/attach?stream=1&stdout=1&stderr=1");
        let output = self.call(&attach, None).await;
        self.call(&format!("/containers/{id}/start"), None).await;
        (id, output)
    }

    async fn remove(&self, id: &str) {
        let url = format!("http://docker/containers/{id}?force=1");
        let removed = self.http.request(Method::DELETE, url).send().await.expect("Docker answers");
        // Docker may be removing it already, or be done with that.
        assert!(removed.status().is_success() || [404, 409].contains(&removed.status().as_u16()), "{removed:?}");
    }

    async fn call(&self, path: &str, body: Option<&Value>) -> Response {
        let mut request = self.http.post(format!("http://docker{path}"));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = within(path, LIMIT, request.send()).await.expect("Docker answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer
    }
}

/// Docker's framing of two streams in one: eight bytes of head, then the payload.
#[derive(Default)]
struct Frames {
    rest: Vec<u8>,
}

impl Frames {
    fn payloads(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.rest.extend_from_slice(bytes);
        let (mut at, mut found) = (0, Vec::new());
        while let Some(head) = self.rest.get(at..at + 8) {
            let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
            let Some(payload) = self.rest.get(at + 8..at + 8 + length) else { break };
            found.push(payload.to_vec());
            at += 8 + length;
        }
        self.rest.drain(..at);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_found_however_the_frames_are_cut() {
        let stream = [&[1, 0, 0, 0, 0, 0, 0, 2][..], b"ab", &[2, 0, 0, 0, 0, 0, 0, 1], b"c"].concat();
        let mut frames = Frames::default();
        let found: Vec<u8> = stream.iter().flat_map(|byte| frames.payloads(&[*byte])).flatten().collect();
        assert_eq!(found, b"abc");
        assert_eq!(Frames::default().payloads(&stream), [b"ab".to_vec(), b"c".to_vec()]);
    }
}
