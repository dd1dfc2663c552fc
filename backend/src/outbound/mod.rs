//! The door to other servers' HTTP: the only room that knows reqwest. Every call has a deadline and a limit for the answer, no
//! redirect is followed (a credential must not travel), and what an answer says is data, never shown unshortened.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

/// Longest time that a call may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// Longest answer.
const MAX_BODY: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum OutboundError {
    /// No client can be made.
    #[error("no HTTP client can be made: {0}")]
    Client(String),
    /// The file of authorities is none.
    #[error("GIT_CA_FILE: {path} {reason}")]
    Authorities {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers.
    #[error("{host} cannot be reached: {reason}")]
    Unreachable {
        /// Host that was asked.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// The answer is longer than anything that was asked for.
    #[error("{0} answers with more than can be taken")]
    TooLong(String),
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body, when it is JSON.
    pub json: Option<Value>,
}

/// The client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbound {
    client: reqwest::Client,
}

impl Outbound {
    /// A client that trusts the system's authorities and those of a file (PEM).
    ///
    /// # Errors
    /// [`OutboundError::Authorities`], [`OutboundError::Client`].
    pub fn new(authorities: Option<&Path>) -> Result<Self, OutboundError> {
        let own = match authorities {
            None => Vec::new(),
            Some(path) => read_authorities(path)?,
        };
        let client = reqwest::Client::builder()
            .tls_certs_merge(own)
            .timeout(DEADLINE)
            .connect_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("fastflow/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| OutboundError::Client(chain(&error)))?;
        Ok(Self { client })
    }

    /// `POST` without a body, with a bearer token.
    ///
    /// # Errors
    /// [`OutboundError`].
    pub async fn post(&self, url: &str, bearer: &str, headers: &[(&str, &str)]) -> Result<Answer, OutboundError> {
        let mut request = self.client.post(url).bearer_auth(bearer);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let host = host(url);
        let unreachable = |error: reqwest::Error| OutboundError::Unreachable {
            host: host.clone(),
            reason: advise(chain(&error.without_url())),
        };
        let mut response = request.send().await.map_err(unreachable)?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(unreachable)? {
            if body.len() + piece.len() > MAX_BODY {
                return Err(OutboundError::TooLong(host));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer { status: response.status().as_u16(), json: serde_json::from_slice(&body).ok() })
    }
}

fn read_authorities(path: &Path) -> Result<Vec<reqwest::Certificate>, OutboundError> {
    let wrong = |reason: String| OutboundError::Authorities { path: path.display().to_string(), reason };
    let text = std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    match reqwest::Certificate::from_pem_bundle(&text) {
        Ok(found) if found.is_empty() => Err(wrong("holds no certificate; it is to be a PEM file".to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(wrong(format!("holds no certificates that can be read: {}", chain(&error)))),
    }
}

/// What to do about a certificate that is not trusted; rustls says only what is wrong with it.
fn advise(reason: String) -> String {
    if reason.contains("certificate") { reason + ": GIT_CA_FILE can name its authority" } else { reason }
}

fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_owned()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_authorities_that_is_none_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.pem");
        for (text, words) in [
            (None, "cannot be read"),
            (Some("nothing"), "holds no certificate"),
            (Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "certificate"),
        ] {
            if let Some(text) = text {
                std::fs::write(&path, text).expect("written");
            }
            let error = Outbound::new(Some(&path)).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(words), "{text:?}: {error}");
        }
        assert!(Outbound::new(None).is_ok());
    }
}
