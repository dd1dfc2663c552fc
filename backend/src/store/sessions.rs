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
    /// Begins a session for whoever knew the password behind `fitted`: unless the user was locked out, or the password
    /// changed, while it was being checked; then `false`. Notes the login, stores `fresh`, the same password's hash with
    /// today's cost, if there is one, and ends the user's sessions beyond the `most` last used: a program that logs in each
    /// minute must not fill the table.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_session(
        &self,
        session: &SessionRow,
        fitted: &str,
        fresh: Option<&str>,
        most: u32,
    ) -> Result<bool, StoreError> {
        self.within(async {
            let mut tx = self.write().await?;
            // First, because it locks the user's row: a change of the password comes before or after all of this.
            let update = sqlx::query(
                "UPDATE users SET last_login_at = $3, password_hash = COALESCE($4, password_hash) \
                 WHERE id = $1 AND password_hash = $2 AND disabled = 0",
            );
            let update = update.bind(&session.user_id).bind(fitted).bind(session.created_at.0).bind(fresh);
            if update.execute(&mut *tx).await?.rows_affected() == 0 {
                return Ok(false);
            }
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
            .bind(&session.user_agent)
            .execute(&mut *tx)
            .await?;
            sqlx::query(
                "DELETE FROM sessions WHERE user_id = $1 AND token_hash NOT IN (SELECT token_hash FROM sessions \
                 WHERE user_id = $1 ORDER BY last_used_at DESC, created_at DESC, token_hash LIMIT $2)",
            )
            .bind(&session.user_id)
            .bind(i64::from(most))
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// The session of that token with its user, expired or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn session(&self, token_hash: &str) -> Result<Option<(SessionRow, UserRow)>, StoreError> {
        self.within(async {
            let row = sqlx::query(
                "SELECT s.token_hash, s.user_id, s.kind, s.created_at, s.expires_at, s.last_used_at, s.ip, s.user_agent, \
                 u.username, u.password_hash, u.role, u.disabled, u.created_at AS user_created_at, u.updated_at, u.last_login_at \
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

    /// Sessions of a user that have not ended by `now` and were used after `idle_since`, last used first; no more than `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sessions_of(
        &self,
        user_id: &str,
        now: Millis,
        idle_since: Millis,
        limit: u32,
    ) -> Result<Vec<SessionRow>, StoreError> {
        self.within(async {
            let rows = sqlx::query(
                "SELECT token_hash, user_id, kind, created_at, expires_at, last_used_at, ip, user_agent FROM sessions \
                 WHERE user_id = $1 AND expires_at > $2 AND last_used_at > $3 \
                 ORDER BY last_used_at DESC, token_hash LIMIT $4",
            )
            .bind(user_id)
            .bind(now.0)
            .bind(idle_since.0)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
            rows.iter().map(SessionRow::read).collect()
        })
        .await
    }

    /// Ends all sessions of a user but `keep`. Says how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_sessions_of(&self, user_id: &str, keep: &str) -> Result<u64, StoreError> {
        let statement =
            sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND token_hash <> $2").bind(user_id).bind(keep);
        Ok(self.execute(statement).await?.rows_affected())
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

    impl Store {
        /// Begins a session of a user made by [`user`].
        pub(crate) async fn insert_session(&self, session: &SessionRow) -> Result<bool, StoreError> {
            self.begin_session(session, &user("", "").password_hash, None, 100).await
        }
    }

    async fn begin(store: &Store, sessions: &[SessionRow]) {
        store.insert_user(&user("u", "ute")).await.expect("new");
        for session in sessions {
            assert!(store.insert_session(session).await.expect("new"));
        }
    }

    fn owner(now: i64) -> UserRow {
        UserRow { last_login_at: Some(Millis(now)), ..user("u", "ute") }
    }

    #[tokio::test]
    async fn a_session_comes_with_its_user() {
        on_both(async |store| {
            let api =
                SessionRow { kind: SessionKind::Api, ip: None, user_agent: Some("curl".into()), ..session("b", 9, 9) };
            begin(&store, &[session("a", 5, 5), api.clone()]).await;
            let (found, user) = store.session("b").await.expect("answers").expect("there");
            assert_eq!((found, user), (api, owner(1)));
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
    async fn a_users_sessions_are_listed_trimmed_and_ended_together() {
        on_both(async |store| {
            begin(&store, &[session("a", 90, 11), session("b", 90, 13), session("c", 90, 12), session("old", 10, 14)])
                .await;
            store.insert_user(&user("v", "uwe")).await.expect("new");
            let other = SessionRow { user_id: "v".to_owned(), ..session("d", 90, 11) };
            store.insert_session(&other).await.expect("new");
            let hashes = async |limit| {
                let found = store.sessions_of("u", Millis(20), Millis(11), limit).await.expect("answers");
                found.into_iter().map(|row| row.token_hash).collect::<Vec<_>>()
            };
            assert_eq!(hashes(9).await, ["b", "c"], "neither the expired nor the idle");
            assert_eq!(hashes(1).await, ["b"]);
            let fitted = user("u", "ute").password_hash;
            let newest = SessionRow { created_at: Millis(15), ..session("e", 90, 15) };
            assert!(store.begin_session(&newest, &fitted, None, 3).await.expect("new"));
            assert_eq!(hashes(9).await, ["e", "b"], "of five the three last used are kept, one of them expired");
            assert_eq!(store.delete_sessions_of("u", "b").await.expect("works"), 2);
            assert_eq!(hashes(9).await, ["b"]);
            assert!(store.session("d").await.expect("answers").is_some(), "somebody else's");
        })
        .await;
    }

    #[tokio::test]
    async fn no_session_without_its_user() {
        on_both(async |store| {
            assert!(!store.insert_session(&session("a", 1, 1)).await.expect("answers"));
        })
        .await;
    }

    #[tokio::test]
    async fn no_session_for_a_password_that_changed_meanwhile_or_a_user_who_is_locked_out() {
        on_both(async |store| {
            store.insert_user(&user("u", "ute")).await.expect("new");
            let old = user("u", "ute").password_hash;
            let begin = async |hash: &str, fresh| {
                let row = SessionRow { token_hash: hash.len().to_string(), ..session("", 90, 9) };
                store.begin_session(&row, hash, fresh, 9).await.expect("answers")
            };
            assert!(begin(&old, Some("fresh")).await);
            assert!(!begin(&old, None).await, "the hash was renewed");
            assert!(begin("fresh", None).await);
            store.set_password("u", "another", None, Millis(9)).await.expect("there");
            assert!(!begin("fresh", None).await);
            store
                .insert_user(&UserRow { role: fastflow_shared::Role::Admin, ..user("v", "admin") })
                .await
                .expect("new");
            store.change_user("u", None, Some(true), Millis(9)).await.expect("works");
            assert!(!begin("another", None).await);
            assert!(store.sessions_of("u", Millis(0), Millis(0), 9).await.expect("answers").is_empty());
        })
        .await;
    }
}
