//! Sealed values. What is sealed and how is not known here.

use sqlx::any::AnyRow;

use super::codec::json;
use super::row::Cells;
use super::{Store, StoreError};
use crate::domain::clock::Millis;

/// An entry of the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultRow {
    /// Name of the environment variable.
    pub key: String,
    /// Whether it is a secret, or a parameter.
    pub is_secret: bool,
    /// Names of the pipelines that it is for; none for all.
    pub pipelines: Vec<String>,
    /// The value, sealed.
    pub sealed_value: String,
    /// When it was made.
    pub created_at: Millis,
    /// When it was last changed.
    pub updated_at: Millis,
}

impl VaultRow {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let cells = Cells::new(row, "vault", "key");
        Ok(Self {
            key: cells.text("key")?,
            is_secret: cells.flag("is_secret")?,
            pipelines: cells.opt_json("pipelines")?.unwrap_or_default(),
            sealed_value: cells.text("sealed_value")?,
            created_at: cells.time("created_at")?,
            updated_at: cells.time("updated_at")?,
        })
    }
}

impl Store {
    /// All entries, sorted by key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn vault_rows(&self) -> Result<Vec<VaultRow>, StoreError> {
        self.within(async {
            let rows = sqlx::query("SELECT key, is_secret, pipelines, sealed_value, created_at, updated_at FROM vault")
                .fetch_all(&self.pool)
                .await?;
            let mut rows: Vec<_> = rows.iter().map(VaultRow::read).collect::<Result<_, _>>()?;
            // Here, because PostgreSQL would sort by the rules of its language.
            rows.sort_by(|a, b| a.key.cmp(&b.key));
            Ok(rows)
        })
        .await
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is one of that key.
    pub async fn insert_vault_row(&self, row: &VaultRow) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "INSERT INTO vault (key, is_secret, sealed_value, created_at, updated_at, pipelines) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(&row.key)
            .bind(i64::from(row.is_secret))
            .bind(&row.sealed_value)
            .bind(row.created_at.0)
            .bind(row.updated_at.0)
            .bind(json(&row.pipelines)),
        )
        .await
        .map(|_| ())
    }

    /// One entry.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none of that key.
    pub async fn vault_row(&self, key: &str) -> Result<VaultRow, StoreError> {
        self.within(async {
            let row = sqlx::query(
                "SELECT key, is_secret, pipelines, sealed_value, created_at, updated_at FROM vault WHERE key = $1",
            )
            .bind(key)
            .fetch_optional(&self.pool)
            .await?;
            row.map(|row| VaultRow::read(&row))
                .transpose()?
                .ok_or_else(|| StoreError::not_found("entry of the vault", key))
        })
        .await
    }

    /// Changes an entry; what is not given stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none of that key.
    pub async fn change_vault_row(
        &self,
        key: &str,
        sealed_value: Option<&str>,
        is_secret: Option<bool>,
        pipelines: Option<&[String]>,
        now: Millis,
    ) -> Result<VaultRow, StoreError> {
        self.within(async {
            let mut tx = self.write().await?;
            let row = sqlx::query(
                "UPDATE vault SET sealed_value = COALESCE($2, sealed_value), is_secret = COALESCE($3, is_secret), \
                 pipelines = COALESCE($5, pipelines), updated_at = $4 WHERE key = $1 \
                 RETURNING key, is_secret, pipelines, sealed_value, created_at, updated_at",
            )
            .bind(key)
            .bind(sealed_value)
            .bind(is_secret.map(i64::from))
            .bind(now.0)
            .bind(pipelines.map(json))
            .fetch_optional(&mut *tx)
            .await?;
            let changed = row.map(|row| VaultRow::read(&row)).transpose()?;
            let changed = changed.ok_or_else(|| StoreError::not_found("entry of the vault", key))?;
            tx.commit().await?;
            Ok(changed)
        })
        .await
    }

    /// Removes an entry.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none of that key.
    pub async fn delete_vault_row(&self, key: &str) -> Result<(), StoreError> {
        let done = self.execute(sqlx::query("DELETE FROM vault WHERE key = $1").bind(key)).await?;
        if done.rows_affected() == 0 { Err(StoreError::not_found("entry of the vault", key)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::on_both;

    fn entry(key: &str) -> VaultRow {
        VaultRow {
            key: key.to_owned(),
            is_secret: true,
            pipelines: vec!["etl".to_owned()],
            sealed_value: "sealed".to_owned(),
            created_at: Millis(1),
            updated_at: Millis(1),
        }
    }

    #[tokio::test]
    async fn entries_come_sorted_and_exist_once() {
        on_both(async |store| {
            for key in ["b", "A", "_", "a", "B"] {
                store.insert_vault_row(&entry(key)).await.expect("new");
            }
            let keys: Vec<_> = store.vault_rows().await.expect("answers").into_iter().map(|row| row.key).collect();
            assert_eq!(keys, ["A", "B", "_", "a", "b"]);
            assert!(store.insert_vault_row(&entry("a")).await.expect_err("there is one").is_conflict());
        })
        .await;
    }

    #[tokio::test]
    async fn a_change_keeps_what_it_does_not_name() {
        on_both(async |store| {
            store.insert_vault_row(&entry("A")).await.expect("new");
            let changed = store.change_vault_row("A", Some("other"), None, None, Millis(2)).await.expect("there");
            assert_eq!(changed, VaultRow { sealed_value: "other".to_owned(), updated_at: Millis(2), ..entry("A") });
            let changed = store.change_vault_row("A", None, Some(false), Some(&[]), Millis(3)).await.expect("there");
            assert!(!changed.is_secret && changed.pipelines.is_empty() && changed.sealed_value == "other");
            assert_eq!(store.vault_row("A").await.expect("there"), changed);
            assert_eq!(store.vault_rows().await.expect("answers"), [changed]);
            assert!(
                store.change_vault_row("B", Some("x"), None, None, Millis(2)).await.expect_err("none").is_not_found()
            );
        })
        .await;
    }

    #[tokio::test]
    async fn a_removed_entry_is_gone() {
        on_both(async |store| {
            store.insert_vault_row(&entry("A")).await.expect("new");
            store.delete_vault_row("A").await.expect("there");
            assert!(store.delete_vault_row("A").await.expect_err("gone").is_not_found());
            assert_eq!(store.vault_rows().await.expect("answers"), []);
        })
        .await;
    }
}
