//! People. Names are unique whatever their case.

use fastflow_shared::Role;
use sqlx::any::AnyRow;

use super::row::Cells;
use super::tx::{WriteTx, key};
use super::{Store, StoreError};
use crate::domain::clock::Millis;

/// A user, with what login needs.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRow {
    /// UUIDv7.
    pub id: String,
    /// As it was written when the user was made.
    pub username: String,
    /// PHC string.
    pub password_hash: String,
    /// What the user may do.
    pub role: Role,
    /// Whether the user is locked out.
    pub disabled: bool,
    /// When the user was made.
    pub created_at: Millis,
    /// When anything of this was last changed.
    pub updated_at: Millis,
    /// When the user last logged in.
    pub last_login_at: Option<Millis>,
}

// A hash is food for guessing: never printed.
impl std::fmt::Debug for UserRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserRow").field("id", &self.id).field("username", &self.username).finish_non_exhaustive()
    }
}

impl UserRow {
    /// Reads the columns of `users`; `id` is where the user's id stands, which a join may have to rename.
    pub(super) fn read(row: &AnyRow, id: &str) -> Result<Self, StoreError> {
        let cells = Cells::new(row, "users", id);
        Ok(Self {
            id: cells.text(id)?,
            username: cells.text("username")?,
            password_hash: cells.text("password_hash")?,
            role: cells.named("role")?,
            disabled: cells.flag("disabled")?,
            created_at: cells.time("user_created_at")?,
            updated_at: cells.time("updated_at")?,
            last_login_at: cells.opt_time("last_login_at")?,
        })
    }
}

/// What became of a change to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserChanged {
    /// Done; the user as it is now, or as it was when it was deleted.
    Done(UserRow),
    /// Not done: it would leave nobody who can administer.
    LastAdmin,
}

macro_rules! user_columns {
    () => {
        "id, username, password_hash, role, disabled, created_at AS user_created_at, updated_at, last_login_at"
    };
}

/// In Rust, because the databases' own lower() knows different alphabets.
pub(super) fn fold(username: &str) -> String {
    username.to_lowercase()
}

impl Store {
    /// Adds a user.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is one of that name, in any case.
    pub async fn insert_user(&self, user: &UserRow) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "INSERT INTO users (id, username, username_folded, password_hash, role, disabled, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(&user.id)
            .bind(&user.username)
            .bind(fold(&user.username))
            .bind(&user.password_hash)
            .bind(user.role.as_str())
            .bind(i64::from(user.disabled))
            .bind(user.created_at.0)
            .bind(user.updated_at.0),
        )
        .await
        .map(|_| ())
    }

    /// The user of that name, in any case.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn user_by_name(&self, username: &str) -> Result<Option<UserRow>, StoreError> {
        self.within(async {
            let sql = concat!("SELECT ", user_columns!(), " FROM users WHERE username_folded = $1");
            let row = sqlx::query(sql).bind(fold(username)).fetch_optional(&self.pool).await?;
            row.map(|row| UserRow::read(&row, "id")).transpose()
        })
        .await
    }

    /// The user of that id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn user(&self, id: &str) -> Result<UserRow, StoreError> {
        key("user", id)?;
        self.within(async {
            let sql = concat!("SELECT ", user_columns!(), " FROM users WHERE id = $1");
            let row = sqlx::query(sql).bind(id).fetch_optional(&self.pool).await?;
            UserRow::read(&row.ok_or_else(|| StoreError::not_found("user", id))?, "id")
        })
        .await
    }

    /// Everybody, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn users(&self) -> Result<Vec<UserRow>, StoreError> {
        self.within(async {
            let rows = sqlx::query(concat!("SELECT ", user_columns!(), " FROM users")).fetch_all(&self.pool).await?;
            let mut rows: Vec<_> = rows.iter().map(|row| UserRow::read(row, "id")).collect::<Result<_, _>>()?;
            // Here, because the databases sort by rules of their own.
            rows.sort_by_cached_key(|row| fold(&row.username));
            Ok(rows)
        })
        .await
    }

    /// Changes role and lock of a user; what is absent stays. Whoever is locked out loses all sessions and tokens in the
    /// same transaction. The last admin who can log in is left alone, however many such changes come at once.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn change_user(
        &self,
        id: &str,
        role: Option<Role>,
        disabled: Option<bool>,
        now: Millis,
    ) -> Result<UserChanged, StoreError> {
        key("user", id)?;
        self.within(async {
            let mut tx = self.write_users().await?;
            let update = concat!(
                "UPDATE users SET role = COALESCE($2, role), disabled = COALESCE($3, disabled), updated_at = $4 \
                 WHERE id = $1 RETURNING ",
                user_columns!()
            );
            let row = sqlx::query(update)
                .bind(id)
                .bind(role.map(Role::as_str))
                .bind(disabled.map(i64::from))
                .bind(now.0)
                .fetch_optional(&mut *tx)
                .await?;
            let user = UserRow::read(&row.ok_or_else(|| StoreError::not_found("user", id))?, "id")?;
            if user.disabled {
                for sql in ["DELETE FROM sessions WHERE user_id = $1", "DELETE FROM api_tokens WHERE user_id = $1"] {
                    sqlx::query(sql).bind(id).execute(&mut *tx).await?;
                }
            }
            if !has_admin(&mut tx).await? {
                return Ok(UserChanged::LastAdmin);
            }
            tx.commit().await?;
            Ok(UserChanged::Done(user))
        })
        .await
    }

    /// Deletes a user with all sessions and tokens, unless it is the last admin who can log in.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn delete_user(&self, id: &str) -> Result<UserChanged, StoreError> {
        key("user", id)?;
        self.within(async {
            let mut tx = self.write_users().await?;
            let delete = concat!("DELETE FROM users WHERE id = $1 RETURNING ", user_columns!());
            let row = sqlx::query(delete).bind(id).fetch_optional(&mut *tx).await?;
            let user = UserRow::read(&row.ok_or_else(|| StoreError::not_found("user", id))?, "id")?;
            if !has_admin(&mut tx).await? {
                return Ok(UserChanged::LastAdmin);
            }
            tx.commit().await?;
            Ok(UserChanged::Done(user))
        })
        .await
    }

    /// Stores a new password hash and ends the user's sessions but `keep`, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_password(
        &self,
        id: &str,
        password_hash: &str,
        keep: Option<&str>,
        now: Millis,
    ) -> Result<UserRow, StoreError> {
        key("user", id)?;
        self.within(async {
            let mut tx = self.write().await?;
            let update = concat!(
                "UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1 RETURNING ",
                user_columns!()
            );
            let update = sqlx::query(update).bind(id).bind(password_hash).bind(now.0);
            let row = update.fetch_optional(&mut *tx).await?;
            let user = UserRow::read(&row.ok_or_else(|| StoreError::not_found("user", id))?, "id")?;
            let end = sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND token_hash <> $2");
            end.bind(id).bind(keep.unwrap_or_default()).execute(&mut *tx).await?;
            tx.commit().await?;
            Ok(user)
        })
        .await
    }

    /// A transaction that is alone in changing users. Two of them could else each see the other's admin and both go. SQLite
    /// has one writer anyway; PostgreSQL's lock leaves readers and logins alone.
    async fn write_users(&self) -> Result<WriteTx<'_>, StoreError> {
        let mut tx = self.write().await?;
        if !self.is_sqlite() {
            sqlx::query("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE").execute(&mut *tx).await?;
        }
        Ok(tx)
    }

    /// Whether there is any user.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_users(&self) -> Result<bool, StoreError> {
        self.within(async {
            Ok(sqlx::query("SELECT id FROM users LIMIT 1").fetch_optional(&self.pool).await?.is_some())
        })
        .await
    }
}

/// Whether anybody is left who can administer.
async fn has_admin(tx: &mut WriteTx<'_>) -> Result<bool, StoreError> {
    let any = sqlx::query("SELECT id FROM users WHERE role = 'admin' AND disabled = 0 LIMIT 1");
    Ok(any.fetch_optional(&mut **tx).await?.is_some())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::testing::on_both;
    use crate::store::{SessionKind, SessionRow};

    pub(crate) fn user(id: &str, username: &str) -> UserRow {
        UserRow {
            id: id.to_owned(),
            username: username.to_owned(),
            password_hash: "$argon2id$…".to_owned(),
            role: Role::Operator,
            disabled: false,
            created_at: Millis(1_000),
            updated_at: Millis(2_000),
            last_login_at: None,
        }
    }

    fn admin(id: &str) -> UserRow {
        UserRow { role: Role::Admin, ..user(id, &format!("admin {id}")) }
    }

    fn came(id: &str) -> UserRow {
        UserRow { last_login_at: Some(Millis(1)), ..admin(id) }
    }

    async fn log_in(store: &Store, user_id: &str, token_hash: &str) {
        let session = SessionRow {
            token_hash: token_hash.to_owned(),
            user_id: user_id.to_owned(),
            kind: SessionKind::Browser,
            created_at: Millis(1),
            expires_at: Millis(9),
            last_used_at: Millis(1),
            ip: None,
            user_agent: None,
        };
        assert!(store.insert_session(&session).await.expect("new"));
    }

    #[tokio::test]
    async fn the_last_admin_stays_whatever_is_tried() {
        on_both(async |store| {
            store.insert_user(&admin("1")).await.expect("new");
            store.insert_user(&UserRow { disabled: true, ..admin("2") }).await.expect("new");
            store.insert_user(&user("3", "ute")).await.expect("new");
            log_in(&store, "1", "a").await;
            let refused = Ok(UserChanged::LastAdmin);
            let now = Millis(5);
            let text = |result: Result<UserChanged, StoreError>| result.map_err(|error| error.to_string());
            assert_eq!(text(store.change_user("1", Some(Role::Viewer), None, now).await), refused);
            assert_eq!(text(store.change_user("1", None, Some(true), now).await), refused);
            assert_eq!(text(store.delete_user("1").await), refused);
            assert_eq!(store.user("1").await.expect("there"), came("1"));
            assert!(store.session("a").await.expect("answers").is_some(), "a refused change ends nothing");
            // Another admin can be unlocked, and then the first one may go.
            let unlocked = UserRow { updated_at: now, ..admin("2") };
            assert_eq!(text(store.change_user("2", None, Some(false), now).await), Ok(UserChanged::Done(unlocked)));
            assert_eq!(text(store.delete_user("1").await), Ok(UserChanged::Done(came("1"))));
            assert_eq!(store.session("a").await.expect("answers"), None);
            assert!(store.user("1").await.expect_err("gone").is_not_found());
            assert!(store.delete_user("nul\0").await.expect_err("nobody").is_not_found());
        })
        .await;
    }

    #[tokio::test]
    async fn of_many_admins_who_remove_each_other_at_once_one_is_left() {
        on_both(async |store| {
            for round in 0..5 {
                let ids: Vec<_> = (0..8).map(|n| format!("{round}-{n}")).collect();
                for id in &ids {
                    store.insert_user(&admin(id)).await.expect("new");
                }
                if round == 0 {
                    // From now on there is always one left of the round before.
                } else {
                    let left: Vec<_> = store.users().await.expect("answers");
                    let old =
                        left.iter().find(|user| !ids.contains(&user.id) && user.role == Role::Admin && !user.disabled);
                    let old = old.expect("one was left").id.clone();
                    assert!(matches!(store.delete_user(&old).await, Ok(UserChanged::Done(_))));
                }
                let tasks: Vec<_> = ids
                    .into_iter()
                    .enumerate()
                    .map(|(n, id)| {
                        let store = store.clone();
                        tokio::spawn(async move {
                            match n % 3 {
                                0 => store.delete_user(&id).await,
                                1 => store.change_user(&id, None, Some(true), Millis(5)).await,
                                _ => store.change_user(&id, Some(Role::Operator), None, Millis(5)).await,
                            }
                        })
                    })
                    .collect();
                let mut refused = 0;
                for task in tasks {
                    refused += usize::from(task.await.expect("task").expect("works") == UserChanged::LastAdmin);
                }
                let users = store.users().await.expect("answers");
                let left = users.iter().filter(|user| user.role == Role::Admin && !user.disabled).count();
                assert_eq!((refused, left), (1, 1));
            }
        })
        .await;
    }

    #[tokio::test]
    async fn a_new_password_ends_the_other_sessions() {
        on_both(async |store| {
            store.insert_user(&user("1", "ute")).await.expect("new");
            store.insert_user(&user("2", "uwe")).await.expect("new");
            for (owner, token) in [("1", "a"), ("1", "b"), ("2", "c")] {
                log_in(&store, owner, token).await;
            }
            let changed = store.set_password("1", "new", Some("b"), Millis(7)).await.expect("there");
            assert_eq!((changed.password_hash.as_str(), changed.updated_at), ("new", Millis(7)));
            assert_eq!(store.session("a").await.expect("answers"), None);
            for kept in ["b", "c"] {
                assert!(store.session(kept).await.expect("answers").is_some(), "{kept}");
            }
            store.set_password("1", "newer", None, Millis(8)).await.expect("there");
            assert_eq!(store.session("b").await.expect("answers"), None);
        })
        .await;
    }

    #[tokio::test]
    async fn a_user_is_found_in_any_case_and_exists_once() {
        on_both(async |store| {
            assert!(!store.has_users().await.expect("answers"));
            let ute = user("1", "Ünal");
            store.insert_user(&ute).await.expect("new");
            assert!(store.has_users().await.expect("answers"));
            for name in ["Ünal", "ünal", "ÜNAL"] {
                assert_eq!(store.user_by_name(name).await.expect("answers").as_ref(), Some(&ute), "{name}");
            }
            assert_eq!(store.user_by_name("unal").await.expect("answers"), None);
            let error = store.insert_user(&user("2", "ÜNAL")).await.expect_err("there is one");
            assert!(error.is_conflict(), "{error:?}");
        })
        .await;
    }

    #[tokio::test]
    async fn what_is_written_is_read() {
        on_both(async |store| {
            let admin = UserRow { role: Role::Admin, disabled: true, ..user("1", "a") };
            store.insert_user(&admin).await.expect("new");
            assert_eq!(store.user_by_name("a").await.expect("answers"), Some(admin));
        })
        .await;
    }

    #[test]
    fn a_hash_is_not_printed() {
        assert!(!format!("{:?}", user("1", "a")).contains("argon2"));
    }
}
