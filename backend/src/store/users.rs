//! People. Names are unique whatever their case.

use fastflow_shared::Role;
use sqlx::any::AnyRow;

use super::row::Cells;
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
        })
    }
}

/// In Rust, because the databases' own lower() knows different alphabets.
fn fold(username: &str) -> String {
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
            let row = sqlx::query(
                "SELECT id, username, password_hash, role, disabled, created_at AS user_created_at, updated_at \
                 FROM users WHERE username_folded = $1",
            )
            .bind(fold(username))
            .fetch_optional(&self.pool)
            .await?;
            row.map(|row| UserRow::read(&row, "id")).transpose()
        })
        .await
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::testing::on_both;

    pub(crate) fn user(id: &str, username: &str) -> UserRow {
        UserRow {
            id: id.to_owned(),
            username: username.to_owned(),
            password_hash: "$argon2id$…".to_owned(),
            role: Role::Operator,
            disabled: false,
            created_at: Millis(1_000),
            updated_at: Millis(2_000),
        }
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
