//! Transactions and deadlines: the three ways in which this room talks to the database.

use std::future::Future;
use std::ops::{Deref, DerefMut};

use sqlx::any::{AnyArguments, AnyQueryResult};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Transaction};
use tokio::sync::SemaphorePermit;

use super::{Store, StoreError};

/// A statement with its values.
pub(super) type Statement<'q> = Query<'q, Any, AnyArguments>;

/// A transaction that writes. Rolls back when it is dropped without [`WriteTx::commit`].
pub(super) struct WriteTx<'s> {
    // Fields drop in this order: the roll-back is under way before the next writer is let in.
    transaction: Transaction<'static, Any>,
    _permit: Option<SemaphorePermit<'s>>,
}

impl WriteTx<'_> {
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }
}

impl Deref for WriteTx<'_> {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.transaction
    }
}

impl DerefMut for WriteTx<'_> {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }
}

impl Store {
    /// Runs one whole call with the deadline. What it holds (transaction, connection) is given back when time is up.
    pub(super) async fn within<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        tokio::time::timeout(self.deadline, call).await.unwrap_or_else(|_| Err(StoreError::too_slow(self.deadline)))
    }

    /// Begins a transaction that writes.
    pub(super) async fn write(&self) -> Result<WriteTx<'_>, StoreError> {
        let permit = self.permit().await?;
        // A transaction that begins by reading and writes later fails on SQLite whenever another one wrote in between.
        let begin = if self.is_sqlite() { "BEGIN IMMEDIATE" } else { "BEGIN" };
        Ok(WriteTx { transaction: self.pool.begin_with(begin).await?, _permit: permit })
    }

    /// Begins a transaction whose statements all see the same state.
    pub(super) async fn read(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let begin = if self.is_sqlite() { "BEGIN" } else { "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" };
        Ok(self.pool.begin_with(begin).await?)
    }

    /// Executes a single statement that writes.
    pub(super) async fn execute(&self, statement: Statement<'_>) -> Result<AnyQueryResult, StoreError> {
        self.within(async {
            let _permit = self.permit().await?;
            Ok(statement.execute(&self.pool).await?)
        })
        .await
    }

    async fn permit(&self) -> Result<Option<SemaphorePermit<'_>>, StoreError> {
        match &self.writer {
            None => Ok(None),
            Some(writer) => match writer.acquire().await {
                Ok(permit) => Ok(Some(permit)),
                Err(_) => Err(sqlx::Error::PoolClosed.into()),
            },
        }
    }
}
