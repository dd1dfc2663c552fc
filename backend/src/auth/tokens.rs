//! API tokens: for programs, with a role that is never above their owner's, whatever becomes of that.

use std::net::IpAddr;

use fastflow_shared::{ApiToken, ApiTokenCreated, NewApiToken};
use tracing::warn;
use uuid::Uuid;

use super::people::may_give;
use super::{Auth, AuthError, Identity, Inner, Means, TOUCH_SECONDS, shown};
use crate::crypto::Token;
use crate::domain::clock::Millis;
use crate::store::{TokenRow, UserRow};

/// Tokens that a user may have.
const MAX_TOKENS: u32 = 100;

/// Most characters of a token's name.
const MAX_NAME_CHARS: usize = 80;

/// Seconds of a day.
const DAY: f64 = 86_400.0;

impl Auth {
    /// Tokens of one user or of everybody, latest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn tokens(&self, owner: Option<&str>) -> Result<Vec<ApiToken>, AuthError> {
        Ok(self.0.store.tokens(owner).await?.iter().map(|(token, user)| show(token, user)).collect())
    }

    /// Makes a token for who asks.
    ///
    /// # Errors
    /// [`AuthError::Field`], [`AuthError::TooManyTokens`].
    pub async fn create_token(&self, identity: &Identity, new: &NewApiToken) -> Result<ApiTokenCreated, AuthError> {
        let Inner { options, store, clock, .. } = &*self.0;
        let name = new.name.trim();
        if !(1..=MAX_NAME_CHARS).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            let message = format!("must have 1 to {MAX_NAME_CHARS} characters, none of them a control character");
            return Err(AuthError::Field { field: "name", message });
        }
        may_give(identity.user.role, new.role)?;
        let days = match (new.expires_in_days, options.token_max_days) {
            (None, most) => most,
            (Some(days), most) if days > 0 && days <= most.unwrap_or(36_500) => Some(days),
            (Some(_), most) => {
                let message = format!("must be from 1 to {}", most.unwrap_or(36_500));
                return Err(AuthError::Field { field: "expires_in_days", message });
            }
        };
        let owner = store.user(&identity.user.id).await?;
        let token = Token::generate_api();
        let now = clock.now();
        let row = TokenRow {
            id: Uuid::now_v7().to_string(),
            user_id: owner.id.clone(),
            name: name.to_owned(),
            token_hash: token.hash().as_str().to_owned(),
            hint: token.hint(),
            role: new.role,
            created_at: now,
            expires_at: days.map(|days| now.plus_seconds(f64::from(days) * DAY)),
            last_used_at: None,
            last_used_ip: None,
        };
        if !store.insert_token(&row, MAX_TOKENS).await? {
            return Err(AuthError::TooManyTokens(MAX_TOKENS));
        }
        Ok(ApiTokenCreated { token: show(&row, &owner), secret: token.expose().to_owned() })
    }

    /// Ends a token, of that owner when one is given.
    ///
    /// # Errors
    /// [`AuthError::TokenNotFound`].
    pub async fn delete_token(&self, id: &str, owner: Option<&str>) -> Result<(), AuthError> {
        let hash = self.0.store.delete_token(id, owner).await.map_err(|error| {
            if error.is_not_found() { AuthError::TokenNotFound(id.to_owned()) } else { error.into() }
        })?;
        self.0.cache.forget(&hash);
        Ok(())
    }

    /// Who shows the token of this hash; `used` says from where it is used, if it is.
    pub(super) async fn api_token(
        &self,
        hash: &str,
        used: Option<Option<IpAddr>>,
        now: Millis,
    ) -> Result<Identity, AuthError> {
        let store = &self.0.store;
        let Some((token, user)) = store.token(hash).await? else { return Err(AuthError::Unauthenticated) };
        if user.disabled || token.expires_at.is_some_and(|end| end <= now) {
            return Err(AuthError::Unauthenticated);
        }
        let stale = token.last_used_at.is_none_or(|last| now.seconds_since(last) >= TOUCH_SECONDS);
        if let Some(ip) = used.filter(|_| stale) {
            let ip = ip.map(|ip| ip.to_canonical().to_string());
            if let Err(error) = store.touch_token(&token.id, ip.as_deref(), now).await {
                // The token is good; a database that cannot be written just now is no reason to turn a program away.
                warn!(%error, token = token.id, "the last use of a token could not be stored");
            }
        }
        let role = token.role.min(user.role);
        Ok(Identity {
            user: shown(&user, role),
            means: Means::Token { name: token.name },
            expires_at: token.expires_at,
        })
    }
}

fn show(token: &TokenRow, owner: &UserRow) -> ApiToken {
    ApiToken {
        id: token.id.clone(),
        name: token.name.clone(),
        owner: owner.username.clone(),
        hint: token.hint.clone(),
        role: token.role.min(owner.role),
        created_at: token.created_at.to_utc(),
        expires_at: token.expires_at.map(Millis::to_utc),
        last_used_at: token.last_used_at.map(Millis::to_utc),
        last_used_ip: token.last_used_ip.clone(),
    }
}
