//! A GitHub App's token for its installation: asked for once an hour, kept in memory only.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::crypto::{SignError, sign_jwt};
use crate::domain::clock::{Millis, SharedClock};
use crate::outbound::{Outbound, OutboundError};

/// Seconds before its end at which a token is renewed: a fetch that begins with it must end with it.
const MARGIN: f64 = 300.0;

/// An installation of an App.
#[derive(Clone, PartialEq, Eq)]
pub struct App {
    /// Number (or client id) of the App.
    pub id: String,
    /// Number of its installation.
    pub installation: String,
    /// Its private key (PEM).
    pub private_key: Zeroizing<String>,
    /// Address of GitHub's API.
    pub api_url: String,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, installation, private_key: _, api_url } = self;
        f.debug_struct("App").field("id", id).field("installation", installation).field("api_url", api_url).finish()
    }
}

/// Why there is no token. Never holds a key or a token.
#[derive(Debug, Error)]
pub enum GithubError {
    /// The private key.
    #[error("the GitHub App's private key cannot be used: {0}")]
    Key(#[from] SignError),
    /// No answer.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// The App itself was refused.
    #[error(
        "GitHub does not accept the App {id} ({status}{words}): compare App ID and private key, and check this machine's clock"
    )]
    Refused {
        /// The App.
        id: String,
        /// Its answer.
        status: u16,
        /// Its words.
        words: String,
    },
    /// The installation.
    #[error("the App {id} has no installation {installation} ({status}{words}): compare the Installation ID")]
    NotInstalled {
        /// The App.
        id: String,
        /// The installation.
        installation: String,
        /// Its answer.
        status: u16,
        /// Its words.
        words: String,
    },
    /// Another answer.
    #[error("GitHub's API at {api_url} answers {status}{words}")]
    Failed {
        /// Address of the API.
        api_url: String,
        /// Its answer.
        status: u16,
        /// Its words.
        words: String,
    },
    /// An answer that makes no sense.
    #[error("{api_url} answers with no token: is that the address of GitHub's API (GITHUB_API_URL)?")]
    NoToken {
        /// Address of the API.
        api_url: String,
    },
    /// A token that is of no use.
    #[error("GitHub handed out a token that has expired already: is this machine's clock right?")]
    Expired,
}

struct Kept {
    app: App,
    token: Zeroizing<String>,
    expires_at: Millis,
}

/// Tokens of Apps. Cheap to clone.
#[derive(Clone)]
pub struct Github {
    outbound: Outbound,
    clock: SharedClock,
    /// Held while a token is asked for, so that many who need one ask once.
    kept: Arc<tokio::sync::Mutex<Option<Kept>>>,
}

impl Github {
    /// No token yet.
    #[must_use]
    pub fn new(outbound: Outbound, clock: SharedClock) -> Self {
        Self { outbound, clock, kept: Arc::default() }
    }

    /// A token that holds for some minutes at least.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn token(&self, app: &App) -> Result<Zeroizing<String>, GithubError> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.app == *app && self.is_fresh(kept.expires_at)) {
            return Ok(kept.token.clone());
        }
        // An answer from a cache in between may be an old one: once more, and no oftener.
        for _ in 0..2 {
            let (token, expires_at) = self.ask(app).await?;
            if self.is_fresh(expires_at) {
                *kept = Some(Kept { app: app.clone(), token: token.clone(), expires_at });
                return Ok(token);
            }
        }
        Err(GithubError::Expired)
    }

    /// Forgets a token that was refused, unless it was replaced already. True when it was the one that is kept.
    pub async fn forget(&self, token: &str) -> bool {
        let mut kept = self.kept.lock().await;
        let is_it = kept.as_ref().is_some_and(|kept| kept.token.as_str() == token);
        if is_it {
            *kept = None;
        }
        is_it
    }

    fn is_fresh(&self, expires_at: Millis) -> bool {
        expires_at.seconds_since(self.clock.now()) > MARGIN
    }

    async fn ask(&self, app: &App) -> Result<(Zeroizing<String>, Millis), GithubError> {
        let now = self.clock.now().0 / 1000;
        // A minute back for a clock that is ahead; GitHub allows ten minutes in all.
        let claims = json!({ "iat": now - 60, "exp": now + 9 * 60, "iss": app.id });
        let jwt = Zeroizing::new(sign_jwt(&claims, &app.private_key)?);
        let api_url = app.api_url.trim_end_matches('/').to_owned();
        let url = format!("{api_url}/app/installations/{}/access_tokens", app.installation);
        let headers = [("Accept", "application/vnd.github+json"), ("X-GitHub-Api-Version", "2022-11-28")];
        let answer = self.outbound.post(&url, &jwt, &headers).await?;
        let json = answer.json.unwrap_or_default();
        let (id, installation, status, words) = (app.id.clone(), app.installation.clone(), answer.status, words(&json));
        match status {
            200 | 201 => {}
            401 | 403 => return Err(GithubError::Refused { id, status, words }),
            404 => return Err(GithubError::NotInstalled { id, installation, status, words }),
            _ => return Err(GithubError::Failed { api_url, status, words }),
        }
        let token = json["token"].as_str().filter(|token| !token.is_empty());
        let expires_at = json["expires_at"].as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        match (token, expires_at) {
            (Some(token), Some(end)) => Ok((Zeroizing::new(token.to_owned()), Millis::from(end.with_timezone(&Utc)))),
            _ => Err(GithubError::NoToken { api_url }),
        }
    }
}

/// GitHub's own message, shortened.
fn words(json: &Value) -> String {
    json["message"]
        .as_str()
        .map_or_else(String::new, |text| format!(", {}", text.chars().take(200).collect::<String>()))
}
