//! Logins. A session is found by the hash of its token; the token itself is never here.

use sqlx::any::AnyRow;

use super::row::{Cells, Named};
use super::{Store, StoreError, UserRow};
use crate::domain::clock::Millis;

/// What a session was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionKind {
    /// A login with a password.
    Browser,
    /// A token for a program.
    Api,
}

impl SessionKind {
    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Api => "api",
        }
    }
}

impl Named for SessionKind {
    fn of(name: &str) -> Option<Self> {
        [Self::Browser, Self::Api].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// SHA-256 of the token, hexadecimal.
    pub token_hash: String,
    /// Whose it is.
    pub user_id: String,
    /// What it was made for.
    pub kind: SessionKind,
    /// When it began.
    pub created_at: Millis,
    /// When it ends at the latest.
    pub expires_at: Millis,
    /// When it was last used, to the minute or so.
    pub last_used_at: Millis,
    /// Where the login came from.
    pub ip: Option<String>,
    /// What the client called itself.
    pub user_agent: Option<String>,
}

impl SessionRow {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let cells = Cells::new(row, "sessions", "token_hash");
        Ok(Self {
            token_hash: cells.text("token_hash")?,
            user_id: cells.text("user_id")?,
            kind: cells.named("kind")?,
            created_at: cells.time("created_at")?,
            expires_at: cells.time("expires_at")?,
            last_used_at: cells.time("last_used_at")?,
            ip: cells.opt_text("ip")?,
            user_agent: cells.opt_text("user_agent")?,
        })
    }
}

impl Store {
    /// Begins a session.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_session(&self, session: &SessionRow) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "INSERT INTO sessions (token_hash, user_id, kind, created_at, expires_at, last_used_at, ip, user_agent) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(&session.token_hash)
            .bind(&session.user_id)
            .bind(session.kind.as_str())
            .bind(session.created_at.0)
            .bind(session.expires_at.0)
            .bind(session.last_used_at.0)
            .bind(&session.ip)
            .bind(&session.user_agent),
        )
        .await
        .map(|_| ())
    }

    /// The session of that token with its user, expired or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn session(&self, token_hash: &str) -> Result<Option<(SessionRow, UserRow)>, StoreError> {
        self.within(async {
            let row = sqlx::query(
                "SELECT s.token_hash, s.user_id, s.kind, s.created_at, s.expires_at, s.last_used_at, s.ip, s.user_agent, \
                 u.username, u.password_hash, u.role, u.disabled, u.created_at AS user_created_at, u.updated_at \
                 FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.token_hash = $1",
            )
            .bind(token_hash)
            .fetch_optional(&self.pool)
            .await?;
            row.map(|row| Ok((SessionRow::read(&row)?, UserRow::read(&row, "user_id")?))).transpose()
        })
        .await
    }

    /// Notes that a session was used.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn touch_session(&self, token_hash: &str, now: Millis) -> Result<(), StoreError> {
        // Never backwards: of two servers one may be late.
        self.execute(
            sqlx::query("UPDATE sessions SET last_used_at = $2 WHERE token_hash = $1 AND last_used_at < $2")
                .bind(token_hash)
                .bind(now.0),
        )
        .await
        .map(|_| ())
    }

    /// Ends a session. Says whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_session(&self, token_hash: &str) -> Result<bool, StoreError> {
        let statement = sqlx::query("DELETE FROM sessions WHERE token_hash = $1").bind(token_hash);
        Ok(self.execute(statement).await?.rows_affected() > 0)
    }

    /// Removes the sessions that ended by `now` and those not used since `idle_since`. Says how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn purge_sessions(&self, now: Millis, idle_since: Millis) -> Result<u64, StoreError> {
        let statement = sqlx::query("DELETE FROM sessions WHERE expires_at <= $1 OR last_used_at <= $2")
            .bind(now.0)
            .bind(idle_since.0);
        Ok(self.execute(statement).await?.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::on_both;
    use crate::store::users::tests::user;

    fn session(token_hash: &str, expires: i64, used: i64) -> SessionRow {
        SessionRow {
            token_hash: token_hash.to_owned(),
            user_id: "u".to_owned(),
            kind: SessionKind::Browser,
            created_at: Millis(1),
            expires_at: Millis(expires),
            last_used_at: Millis(used),
            ip: Some("::1".to_owned()),
            user_agent: None,
        }
    }

    async fn begin(store: &Store, sessions: &[SessionRow]) {
        store.insert_user(&user("u", "ute")).await.expect("new");
        for session in sessions {
            store.insert_session(session).await.expect("new");
        }
    }

    #[tokio::test]
    async fn a_session_comes_with_its_user() {
        on_both(async |store| {
            let api =
                SessionRow { kind: SessionKind::Api, ip: None, user_agent: Some("curl".into()), ..session("b", 9, 9) };
            begin(&store, &[session("a", 5, 5), api.clone()]).await;
            let (found, owner) = store.session("b").await.expect("answers").expect("there");
            assert_eq!((found, owner), (api, user("u", "ute")));
            assert_eq!(store.session("c").await.expect("answers"), None);
        })
        .await;
    }

    #[tokio::test]
    async fn use_moves_forward_only() {
        on_both(async |store| {
            begin(&store, &[session("a", 9_000, 10)]).await;
            for (now, expected) in [(20, 20), (15, 20)] {
                store.touch_session("a", Millis(now)).await.expect("works");
                let (found, _) = store.session("a").await.expect("answers").expect("there");
                assert_eq!(found.last_used_at, Millis(expected));
            }
            store.touch_session("none", Millis(1)).await.expect("nothing to do");
        })
        .await;
    }

    #[tokio::test]
    async fn an_ended_session_is_gone() {
        on_both(async |store| {
            begin(&store, &[session("a", 9, 9)]).await;
            assert!(store.delete_session("a").await.expect("works"));
            assert!(!store.delete_session("a").await.expect("works"));
            assert_eq!(store.session("a").await.expect("answers"), None);
        })
        .await;
    }

    #[tokio::test]
    async fn the_expired_and_the_idle_are_swept() {
        on_both(async |store| {
            begin(&store, &[session("good", 101, 51), session("expired", 100, 51), session("idle", 101, 50)]).await;
            assert_eq!(store.purge_sessions(Millis(100), Millis(50)).await.expect("works"), 2);
            assert!(store.session("good").await.expect("answers").is_some());
        })
        .await;
    }

    #[tokio::test]
    async fn no_session_without_its_user() {
        on_both(async |store| {
            assert!(store.insert_session(&session("a", 1, 1)).await.is_err());
        })
        .await;
    }
}
