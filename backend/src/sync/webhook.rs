//! A push, told by GitHub or GitLab. Everybody may knock at this door, so nothing is believed before its proof was checked, and
//! what was taken once is not taken again.

use fastflow_shared::WebhookAnswer;
use serde::Deserialize;

use super::pull::{Request, Trigger};
use super::{Sync, SyncError};
use crate::crypto::{hmac_matches, same};

/// Seconds for which deliveries are remembered.
const REMEMBERED: f64 = 90.0 * 24.0 * 3600.0;

/// Longest id of a delivery.
const MAX_ID: usize = 200;

/// What a webhook brings.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// `X-Hub-Signature-256`.
    pub github_signature: Option<&'a str>,
    /// `X-GitHub-Event`.
    pub github_event: Option<&'a str>,
    /// `X-GitHub-Delivery`.
    pub github_delivery: Option<&'a str>,
    /// `X-Gitlab-Token`.
    pub gitlab_token: Option<&'a str>,
    /// `X-Gitlab-Event`.
    pub gitlab_event: Option<&'a str>,
    /// `Idempotency-Key`, or `X-Gitlab-Event-UUID`.
    pub gitlab_delivery: Option<&'a str>,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

#[derive(Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    reference: String,
}

impl Sync {
    /// Takes a delivery: a push to the branch that is followed starts a sync.
    ///
    /// # Errors
    /// [`SyncError::WebhookClosed`], [`SyncError::WebhookRefused`], [`SyncError::WebhookMalformed`], the database.
    pub async fn webhook(&self, delivery: Delivery<'_>) -> Result<WebhookAnswer, SyncError> {
        let source = self.source();
        let Some(secret) = source.secrets.webhook_secret.as_ref().filter(|_| source.repository_url.is_some()) else {
            return Err(SyncError::WebhookClosed);
        };
        let (is_push, names) = match (delivery.github_signature, delivery.gitlab_token) {
            (Some(signature), _) => {
                let hex = signature.strip_prefix("sha256=").unwrap_or_default();
                if !hmac_matches(secret, delivery.body, hex) {
                    return Err(SyncError::WebhookRefused);
                }
                // The id is not signed, but the body is: under another id it is still the same.
                let id = delivery.github_delivery.map(|id| format!("github:{}", cut(id)));
                let body = format!("body:{}", hex.to_ascii_lowercase());
                (delivery.github_event == Some("push"), id.into_iter().chain([body]).collect::<Vec<_>>())
            }
            (None, Some(token)) => {
                if !same(token.as_bytes(), secret.as_bytes()) {
                    return Err(SyncError::WebhookRefused);
                }
                let id = delivery.gitlab_delivery.map(|id| format!("gitlab:{}", cut(id)));
                (delivery.gitlab_event == Some("Push Hook"), id.into_iter().collect())
            }
            (None, None) => return Err(SyncError::WebhookRefused),
        };
        let answer = |sync_started, message: &str| Ok(WebhookAnswer { sync_started, message: message.to_owned() });
        if !is_push {
            return answer(false, "The signature is right. Only pushes start a sync.");
        }
        let push: Push = serde_json::from_slice(delivery.body).map_err(|_| SyncError::WebhookMalformed)?;
        if push.reference != format!("refs/heads/{}", self.branch()) {
            return answer(false, "That branch is not the one that is followed.");
        }
        let now = self.inner.clock.now();
        if !self.inner.store.take_delivery(&names, now, now.plus_seconds(-REMEMBERED)).await? {
            return answer(false, "This delivery was taken already.");
        }
        self.begin(Request { branch: None, trigger: Trigger::Webhook, by: None })?;
        answer(true, "A sync was started.")
    }
}

fn cut(id: &str) -> String {
    id.chars().filter(|c| !c.is_control()).take(MAX_ID).collect()
}
