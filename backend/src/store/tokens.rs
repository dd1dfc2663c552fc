//! API tokens. A token is found by its hash; its text is never here.

use fastflow_shared::Role;
use sqlx::any::AnyRow;

use super::row::Cells;
use super::tx::key;
use super::{Store, StoreError, UserRow};
use crate::domain::clock::Millis;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// UUIDv7.
    pub id: String,
    /// Whose it is.
    pub user_id: String,
    /// What it is for.
    pub name: String,
    /// SHA-256 of its text, hexadecimal.
    pub token_hash: String,
    /// The first characters of its text.
    pub hint: String,
    /// What it may do at most.
    pub role: Role,
    /// When it was made.
    pub created_at: Millis,
    /// When it ends.
    pub expires_at: Option<Millis>,
    /// When it was last used, to the minute or so.
    pub last_used_at: Option<Millis>,
    /// From where.
    pub last_used_ip: Option<String>,
}

macro_rules! token_columns {
    () => {
        "t.id AS token_id, t.user_id, t.name, t.token_hash, t.hint, t.role AS token_role, \
         t.created_at AS token_created_at, t.expires_at, t.last_used_at, t.last_used_ip, u.username, u.password_hash, \
         u.role, u.disabled, u.created_at AS user_created_at, u.updated_at, u.last_login_at"
    };
}

fn read(row: &AnyRow) -> Result<(TokenRow, UserRow), StoreError> {
    let cells = Cells::new(row, "api_tokens", "token_id");
    let token = TokenRow {
        id: cells.text("token_id")?,
        user_id: cells.text("user_id")?,
        name: cells.text("name")?,
        token_hash: cells.text("token_hash")?,
        hint: cells.text("hint")?,
        role: cells.named("token_role")?,
        created_at: cells.time("token_created_at")?,
        expires_at: cells.opt_time("expires_at")?,
        last_used_at: cells.opt_time("last_used_at")?,
        last_used_ip: cells.opt_text("last_used_ip")?,
    };
    Ok((token, UserRow::read(row, "user_id")?))
}

impl Store {
    /// Adds a token, unless its owner has `most` already: then `false`.
    ///
    /// # Errors
    /// [`StoreError`], also when there is no such user.
    pub async fn insert_token(&self, token: &TokenRow, most: u32) -> Result<bool, StoreError> {
        let statement = sqlx::query(
            "INSERT INTO api_tokens (id, user_id, name, token_hash, hint, role, created_at, expires_at) \
             SELECT $1, $2, $3, $4, $5, $6, $7, $8 \
             WHERE (SELECT COUNT(*) FROM api_tokens WHERE user_id = $2) < $9",
        )
        .bind(&token.id)
        .bind(&token.user_id)
        .bind(&token.name)
        .bind(&token.token_hash)
        .bind(&token.hint)
        .bind(token.role.as_str())
        .bind(token.created_at.0)
        .bind(token.expires_at.map(|at| at.0))
        .bind(i64::from(most));
        Ok(self.execute(statement).await?.rows_affected() > 0)
    }

    /// The token of that hash with its owner, ended or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn token(&self, token_hash: &str) -> Result<Option<(TokenRow, UserRow)>, StoreError> {
        self.within(async {
            let sql = concat!(
                "SELECT ",
                token_columns!(),
                " FROM api_tokens t JOIN users u ON u.id = t.user_id WHERE t.token_hash = $1"
            );
            sqlx::query(sql).bind(token_hash).fetch_optional(&self.pool).await?.map(|row| read(&row)).transpose()
        })
        .await
    }

    /// Tokens of one user or of everybody, latest first, ended ones included.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tokens(&self, user_id: Option<&str>) -> Result<Vec<(TokenRow, UserRow)>, StoreError> {
        self.within(async {
            let sql = concat!(
                "SELECT ",
                token_columns!(),
                " FROM api_tokens t JOIN users u ON u.id = t.user_id WHERE CAST($1 AS TEXT) IS NULL OR t.user_id = $1 \
                  ORDER BY t.created_at DESC, t.id DESC LIMIT 1000"
            );
            sqlx::query(sql).bind(user_id).fetch_all(&self.pool).await?.iter().map(read).collect()
        })
        .await
    }

    /// Notes that a token was used.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn touch_token(&self, id: &str, ip: Option<&str>, now: Millis) -> Result<(), StoreError> {
        // Never backwards: of two servers one may be late.
        let statement = sqlx::query(
            "UPDATE api_tokens SET last_used_at = $2, last_used_ip = $3 \
             WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)",
        );
        self.execute(statement.bind(id).bind(now.0).bind(ip)).await.map(drop)
    }

    /// Ends a token, of that owner when one is given. Returns what it was.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn delete_token(&self, id: &str, owner: Option<&str>) -> Result<String, StoreError> {
        key("token", id)?;
        self.within(async {
            let mut tx = self.write().await?;
            let delete = sqlx::query(
                "DELETE FROM api_tokens WHERE id = $1 AND (CAST($2 AS TEXT) IS NULL OR user_id = $2) \
                 RETURNING id, token_hash",
            );
            let row = delete.bind(id).bind(owner).fetch_optional(&mut *tx).await?;
            let row = row.ok_or_else(|| StoreError::not_found("token", id))?;
            let hash = Cells::new(&row, "api_tokens", "id").text("token_hash")?;
            tx.commit().await?;
            Ok(hash)
        })
        .await
    }

    /// Removes tokens that ended before `before`. Says how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn purge_tokens(&self, before: Millis) -> Result<u64, StoreError> {
        let statement = sqlx::query("DELETE FROM api_tokens WHERE expires_at <= $1").bind(before.0);
        Ok(self.execute(statement).await?.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::on_both;
    use crate::store::users::tests::user;

    fn token(id: &str, owner: &str, at: i64) -> TokenRow {
        TokenRow {
            id: id.to_owned(),
            user_id: owner.to_owned(),
            name: format!("token {id}"),
            token_hash: format!("hash {id}"),
            hint: "ff_abcde".to_owned(),
            role: Role::Viewer,
            created_at: Millis(at),
            expires_at: None,
            last_used_at: None,
            last_used_ip: None,
        }
    }

    #[tokio::test]
    async fn tokens_live_with_their_owner() {
        on_both(async |store| {
            for (id, name) in [("u", "ute"), ("v", "uwe")] {
                store.insert_user(&user(id, name)).await.expect("new");
            }
            let ends = TokenRow { expires_at: Some(Millis(50)), ..token("1", "u", 1) };
            for row in [&ends, &token("2", "u", 2), &token("3", "v", 3)] {
                assert!(store.insert_token(row, 2).await.expect("new"));
            }
            assert!(!store.insert_token(&token("4", "u", 4), 2).await.expect("refused"), "no more than two");
            assert!(store.insert_token(&token("5", "nobody", 4), 2).await.is_err());
            assert_eq!(store.token("hash 1").await.expect("answers"), Some((ends.clone(), user("u", "ute"))));
            assert_eq!(store.token("hash 9").await.expect("answers"), None);
            let ids = async |owner| {
                let rows = store.tokens(owner).await.expect("answers");
                rows.into_iter().map(|(token, _)| token.id).collect::<Vec<_>>()
            };
            assert_eq!(
                (ids(Some("u")).await, ids(None).await),
                (vec!["2".into(), "1".into()], vec!["3".into(), "2".into(), "1".into()])
            );
            for (now, expected) in [(20, 20), (15, 20)] {
                store.touch_token("2", Some("::1"), Millis(now)).await.expect("works");
                let (found, _) = store.token("hash 2").await.expect("answers").expect("there");
                assert_eq!((found.last_used_at, found.last_used_ip.as_deref()), (Some(Millis(expected)), Some("::1")));
            }
            assert!(store.delete_token("3", Some("u")).await.expect_err("somebody else's").is_not_found());
            assert_eq!(store.delete_token("3", None).await.expect("there"), "hash 3");
            assert_eq!(store.purge_tokens(Millis(50)).await.expect("works"), 1);
            // Whoever is locked out has no tokens when let in again.
            store.insert_user(&UserRow { role: Role::Admin, ..user("w", "admin") }).await.expect("new");
            store.change_user("u", None, Some(true), Millis(9)).await.expect("works");
            assert!(ids(None).await.is_empty());
        })
        .await;
    }
}
