//! The door to other servers' HTTP: the only room that knows reqwest. Every call has a deadline and a limit for the answer, no
//! redirect is followed (a credential must not travel), and what an answer says is data, never shown unshortened.

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
    /// A client that trusts the system's authorities.
    ///
    /// # Errors
    /// [`OutboundError::Client`].
    pub fn new() -> Result<Self, OutboundError> {
        let client = reqwest::Client::builder()
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
            reason: chain(&error.without_url()),
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
