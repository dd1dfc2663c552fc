//! Transactions, deadlines and values: the ways in which this room talks to the database.

use std::future::Future;
use std::ops::{Deref, DerefMut};

use sqlx::any::{AnyArguments, AnyQueryResult, AnyTypeInfo};
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Database, Transaction, Type};
use tokio::sync::SemaphorePermit;

use super::{Store, StoreError};

/// A statement with its values.
pub(super) type Statement<'q> = Query<'q, Any, AnyArguments>;

/// A number that may be absent. Bind this, never an `Option<f64>`: sqlx 0.9 tells PostgreSQL that an absent `f64` is a FLOAT4
/// (and an absent `f32` a FLOAT8: it mixes the two up). The statement is prepared, and cached, with that type, and the next
/// number that is there fails with "incorrect binary data format". A test tells when this is mended.
pub(super) struct Real(pub(super) Option<f64>);

impl Encode<'_, Any> for Real {
    fn encode_by_ref(&self, buffer: &mut <Any as Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        match self.0 {
            Some(number) => Encode::<Any>::encode_by_ref(&number, buffer),
            None => Encode::<Any>::encode_by_ref(&None::<f32>, buffer),
        }
    }
}

impl Type<Any> for Real {
    fn type_info() -> AnyTypeInfo {
        <f64 as Type<Any>>::type_info()
    }
}

/// Text that came from outside (a script's last words, a commit's subject), as both databases can hold it: PostgreSQL refuses
/// the character NUL, and a run must not stay unrecorded for what its script printed.
pub(super) fn free_text(text: Option<&str>) -> Option<String> {
    text.map(|text| text.replace('\0', "\u{fffd}"))
}

/// A key to look for. What PostgreSQL cannot hold is nowhere to be found, rather than a mistake of ours.
pub(super) fn key(what: &'static str, key: &str) -> Result<(), StoreError> {
    if key.contains('\0') { Err(StoreError::not_found(what, key)) } else { Ok(()) }
}

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
        #[cfg(test)]
        let _still = super::testing::hold_time();
        let begin = std::time::Instant::now();
        let answer = tokio::time::timeout(self.deadline, call).await;
        let answer = answer.unwrap_or_else(|_| Err(StoreError::too_slow(self.deadline)));
        // A conflict or a row that is not there is an answer; only silence is none.
        let answered = answer.as_ref().err().is_none_or(|error| !error.is_unavailable());
        crate::meters::database_called(answered, begin.elapsed());
        answer
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

    /// The right to write, on SQLite.
    pub(super) async fn permit(&self) -> Result<Option<SemaphorePermit<'_>>, StoreError> {
        match &self.writer {
            None => Ok(None),
            Some(writer) => match writer.acquire().await {
                Ok(permit) => Ok(Some(permit)),
                Err(_) => Err(sqlx::Error::PoolClosed.into()),
            },
        }
    }
}
