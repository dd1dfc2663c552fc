//! Sealed values wherever they are stored: those of working runs, and all of them in turn when a key is replaced.

use super::row::Cells;
use super::tx::{Statement, key};
use super::{Store, StoreError};

/// A column that holds sealed values. Whoever adds one adds it to [`SealedColumn::ALL`], or a replaced key loses its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedColumn {
    /// What is in it, for people.
    pub what: &'static str,
    table: &'static str,
    page: &'static str,
    update: &'static str,
}

macro_rules! column {
    ($what:literal, $table:literal, $key:literal, $column:literal) => {
        SealedColumn {
            what: $what,
            table: $table,
            page: concat!(
                "SELECT ",
                $key,
                " AS key, ",
                $column,
                " AS sealed FROM ",
                $table,
                " WHERE ",
                $key,
                " > $1 AND ",
                $column,
                " IS NOT NULL ORDER BY ",
                $key,
                " LIMIT $2"
            ),
            update: concat!("UPDATE ", $table, " SET ", $column, " = $3 WHERE ", $key, " = $1 AND ", $column, " = $2"),
        }
    };
}

impl SealedColumn {
    /// Every column that holds sealed values.
    pub const ALL: [Self; 3] = [
        column!("secrets and parameters", "vault", "key", "sealed_value"),
        column!("values given with a start", "runs", "id", "sealed_env"),
        column!("secrets of working runs", "run_masks", "run_id", "sealed_value"),
    ];
}

/// A sealed value and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRow {
    /// Primary key of its row.
    pub key: String,
    /// The value.
    pub sealed: String,
}

impl Store {
    /// The next sealed values of a column, sorted by key, after `after` (at first: the empty text).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sealed_page(
        &self,
        column: SealedColumn,
        after: &str,
        limit: u32,
    ) -> Result<Vec<SealedRow>, StoreError> {
        self.within(async {
            let rows = sqlx::query(column.page).bind(after).bind(i64::from(limit)).fetch_all(&self.pool).await?;
            rows.iter()
                .map(|row| {
                    let cells = Cells::new(row, column.table, "key");
                    Ok(SealedRow { key: cells.text("key")?, sealed: cells.text("sealed")? })
                })
                .collect()
        })
        .await
    }

    /// Replaces a sealed value, unless somebody else has changed it meanwhile. Says whether it did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reseal(&self, column: SealedColumn, row: &SealedRow, sealed: &str) -> Result<bool, StoreError> {
        let update = sqlx::query(column.update).bind(&row.key).bind(&row.sealed).bind(sealed);
        Ok(self.execute(update).await?.rows_affected() > 0)
    }

    /// Keeps the sealed secrets of a run while it works.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_run_mask(&self, run: &str, sealed: &str) -> Result<(), StoreError> {
        self.execute(insert_mask(run, sealed)).await.map(|_| ())
    }

    /// The sealed secrets of a working run, if it has any.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn run_mask(&self, run: &str) -> Result<Option<String>, StoreError> {
        key("run", run)?;
        self.within(async {
            let row = sqlx::query("SELECT run_id, sealed_value FROM run_masks WHERE run_id = $1")
                .bind(run)
                .fetch_optional(&self.pool)
                .await?;
            row.map(|row| Cells::new(&row, "run_masks", "run_id").text("sealed_value")).transpose()
        })
        .await
    }

    /// Forgets the sealed secrets of a run. Fine when there are none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn clear_run_mask(&self, run: &str) -> Result<(), StoreError> {
        self.execute(sqlx::query("DELETE FROM run_masks WHERE run_id = $1").bind(run)).await.map(|_| ())
    }

    /// Forgets the sealed secrets of runs that have ended, or are gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sweep_run_masks(&self) -> Result<u64, StoreError> {
        let delete = sqlx::query(
            "DELETE FROM run_masks WHERE run_id NOT IN (SELECT id FROM runs WHERE status NOT IN ('SUCCESS', 'FAILED'))",
        );
        Ok(self.execute(delete).await?.rows_affected())
    }
}

/// The statement that keeps the sealed secrets of a run.
pub(super) fn insert_mask<'q>(run: &'q str, sealed: &'q str) -> Statement<'q> {
    let insert = sqlx::query(
        "INSERT INTO run_masks (run_id, sealed_value) VALUES ($1, $2) \
         ON CONFLICT (run_id) DO UPDATE SET sealed_value = excluded.sealed_value",
    );
    insert.bind(run).bind(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::Millis;
    use crate::store::VaultRow;
    use crate::store::testing::on_both;

    #[tokio::test]
    async fn pages_reach_every_value_once_and_a_change_meanwhile_is_kept() {
        on_both(async |store| {
            let column = SealedColumn::ALL[0];
            for name in ["A", "B", "C"] {
                let row = VaultRow {
                    key: name.to_owned(),
                    is_secret: true,
                    pipelines: Vec::new(),
                    sealed_value: format!("old {name}"),
                    created_at: Millis(1),
                    updated_at: Millis(1),
                };
                store.insert_vault_row(&row).await.expect("new");
            }
            let first = store.sealed_page(column, "", 2).await.expect("answers");
            assert_eq!(first.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["A", "B"]);
            assert!(store.reseal(column, &first[0], "new A").await.expect("answers"));
            assert!(
                !store.reseal(column, &first[0], "newer A").await.expect("answers"),
                "it is not the old one any more"
            );
            let rest = store.sealed_page(column, "B", 2).await.expect("answers");
            assert_eq!(rest, [SealedRow { key: "C".to_owned(), sealed: "old C".to_owned() }]);
            for column in SealedColumn::ALL {
                store.sealed_page(column, "", 1).await.expect("each column exists");
            }
        })
        .await;
    }

    #[tokio::test]
    async fn secrets_of_a_run_go_with_it() {
        on_both(async |store| {
            assert_eq!(store.run_mask("a").await.expect("answers"), None);
            store.set_run_mask("a", "1").await.expect("stored");
            store.set_run_mask("a", "2").await.expect("stored");
            assert_eq!(store.run_mask("a").await.expect("answers").as_deref(), Some("2"));
            store.clear_run_mask("a").await.expect("cleared");
            store.set_run_mask("b", "1").await.expect("stored");
            assert_eq!(store.sweep_run_masks().await.expect("swept"), 1, "there is no such run");
            assert_eq!(store.run_mask("b").await.expect("answers"), None);
        })
        .await;
    }
}
