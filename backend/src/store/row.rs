//! Reads a row's columns; whatever cannot be read is told with table, key and column.

use fastflow_shared::{AuditResult, ErrorType, Role, RunStatus, SyncResult, Trigger};
use serde::de::DeserializeOwned;
use sqlx::any::AnyRow;
use sqlx::{Any, Decode, Row, Type};

use super::StoreError;
use crate::domain::clock::Millis;

/// A row of `table`.
pub(super) struct Cells<'r> {
    row: &'r AnyRow,
    table: &'static str,
    key: String,
}

impl<'r> Cells<'r> {
    /// A row of `table` whose primary key is in the column `key`.
    pub(super) fn new(row: &'r AnyRow, table: &'static str, key: &str) -> Self {
        let key = row.try_get::<String, _>(key).unwrap_or_else(|_| "?".to_owned());
        Self { row, table, key }
    }

    fn get<T: Decode<'r, Any> + Type<Any>>(&self, column: &str) -> Result<T, StoreError> {
        self.row.try_get(column).map_err(|error| self.corrupt(column, error.to_string()))
    }

    fn corrupt(&self, column: &str, reason: String) -> StoreError {
        StoreError::Corrupt { table: self.table, key: self.key.clone(), column: column.to_owned(), reason }
    }

    pub(super) fn text(&self, column: &str) -> Result<String, StoreError> {
        self.get(column)
    }

    pub(super) fn opt_text(&self, column: &str) -> Result<Option<String>, StoreError> {
        self.get(column)
    }

    pub(super) fn int(&self, column: &str) -> Result<i64, StoreError> {
        self.get(column)
    }

    pub(super) fn opt_int(&self, column: &str) -> Result<Option<i64>, StoreError> {
        self.get(column)
    }

    /// A number that must fit into 32 bits.
    pub(super) fn small(&self, column: &str) -> Result<i32, StoreError> {
        let number = self.int(column)?;
        i32::try_from(number).map_err(|_| self.corrupt(column, format!("{number} is out of range")))
    }

    pub(super) fn opt_small(&self, column: &str) -> Result<Option<i32>, StoreError> {
        let Some(number) = self.opt_int(column)? else { return Ok(None) };
        i32::try_from(number).map(Some).map_err(|_| self.corrupt(column, format!("{number} is out of range")))
    }

    pub(super) fn opt_real(&self, column: &str) -> Result<Option<f64>, StoreError> {
        self.get(column)
    }

    pub(super) fn flag(&self, column: &str) -> Result<bool, StoreError> {
        match self.int(column)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.corrupt(column, format!("{other} is neither 0 nor 1"))),
        }
    }

    pub(super) fn time(&self, column: &str) -> Result<Millis, StoreError> {
        self.int(column).map(Millis)
    }

    pub(super) fn opt_time(&self, column: &str) -> Result<Option<Millis>, StoreError> {
        Ok(self.opt_int(column)?.map(Millis))
    }

    pub(super) fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(column)?).map_err(|error| self.corrupt(column, error.to_string()))
    }

    pub(super) fn opt_json<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, StoreError> {
        let Some(text) = self.opt_text(column)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| self.corrupt(column, error.to_string()))
    }

    /// A name out of a fixed set.
    pub(super) fn named<T: Named>(&self, column: &str) -> Result<T, StoreError> {
        let name = self.text(column)?;
        T::of(&name).ok_or_else(|| self.corrupt(column, format!("{name:?} is not known")))
    }

    pub(super) fn opt_named<T: Named>(&self, column: &str) -> Result<Option<T>, StoreError> {
        let Some(name) = self.opt_text(column)? else { return Ok(None) };
        T::of(&name).map(Some).ok_or_else(|| self.corrupt(column, format!("{name:?} is not known")))
    }
}

/// Something stored by its name.
pub(super) trait Named: Sized {
    fn of(name: &str) -> Option<Self>;
}

macro_rules! named {
    ($($kind:ty),*) => { $(impl Named for $kind {
        fn of(name: &str) -> Option<Self> { Self::parse(name) }
    })* };
}

named!(RunStatus, ErrorType, Trigger, Role, SyncResult, AuditResult);
