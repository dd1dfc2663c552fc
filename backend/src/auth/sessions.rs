//! Somebody's own sessions, listed and ended. A session is named by the beginning of its token's hash, which opens nothing.

use fastflow_shared::SessionInfo;

use super::{Auth, AuthError, Identity, Inner, MAX_SESSIONS};
use crate::crypto::Token;
use crate::store::SessionRow;

/// Characters of a hash that name a session: 64 bits, of which a user has a hundred at most.
const NAME_CHARS: usize = 16;

impl Auth {
    /// The sessions of who asks with `token`, last used first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sessions(&self, identity: &Identity, token: &str) -> Result<Vec<SessionInfo>, AuthError> {
        let own = Token::parse(token).map(|token| token.hash());
        let rows = self.session_rows(identity).await?;
        let show = |row: &SessionRow| SessionInfo {
            id: name(row).to_owned(),
            created_at: row.created_at.to_utc(),
            last_used_at: row.last_used_at.to_utc(),
            expires_at: row.expires_at.to_utc(),
            ip: row.ip.clone(),
            user_agent: row.user_agent.clone(),
            current: own.as_ref().is_some_and(|own| own.as_str() == row.token_hash),
        };
        Ok(rows.iter().map(show).collect())
    }

    /// Ends one of them.
    ///
    /// # Errors
    /// [`AuthError::SessionNotFound`].
    pub async fn end_session(&self, identity: &Identity, id: &str) -> Result<(), AuthError> {
        let Inner { store, cache, .. } = &*self.0;
        let rows = self.session_rows(identity).await?;
        let row = rows.iter().find(|row| name(row) == id).ok_or_else(|| AuthError::SessionNotFound(id.to_owned()))?;
        store.delete_session(&row.token_hash).await?;
        cache.forget(&row.token_hash);
        Ok(())
    }

    /// Ends all of them but the one that asks.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn end_other_sessions(&self, identity: &Identity, token: &str) -> Result<u64, AuthError> {
        let keep = Token::parse(token).ok_or(AuthError::Unauthenticated)?.hash();
        let ended = self.0.store.delete_sessions_of(&identity.user.id, keep.as_str()).await?;
        self.0.cache.forget_user(&identity.user.id);
        Ok(ended)
    }

    async fn session_rows(&self, identity: &Identity) -> Result<Vec<SessionRow>, AuthError> {
        let Inner { options, store, clock, .. } = &*self.0;
        let now = clock.now();
        let idle_since = now.plus_seconds(-options.session_idle.as_secs_f64());
        Ok(store.sessions_of(&identity.user.id, now, idle_since, MAX_SESSIONS).await?)
    }
}

fn name(row: &SessionRow) -> &str {
    row.token_hash.get(..NAME_CHARS).unwrap_or(&row.token_hash)
}
