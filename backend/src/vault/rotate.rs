//! Replacing the key: everything that is sealed is sealed anew with the first key, so that the others can go.
//!
//! It goes in small steps, each of which stands by itself: it may be broken off and started again, and a server may work on
//! meanwhile. What somebody changes during it is sealed with the first key of their server, and left alone here.

use std::fmt;

use super::{Vault, VaultError};
use crate::store::{SealedColumn, SealedRow};

/// Values per step.
const BATCH: u32 = 100;

/// What became of one kind of values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rotated {
    /// What they are.
    pub what: &'static str,
    /// Sealed anew.
    pub resealed: usize,
    /// Sealed with the first key before.
    pub current: usize,
    /// Keys of the rows whose values no key opens; they are left as they are.
    pub unreadable: Vec<String>,
}

/// What became of everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rotation(pub Vec<Rotated>);

impl Rotation {
    /// Whether everything can be opened with the first key alone now.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.iter().all(|kind| kind.unreadable.is_empty())
    }
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Rotated { what, resealed, current, unreadable } in &self.0 {
            let failed = unreadable.len();
            writeln!(f, "{what}: {resealed} encrypted anew, {current} had the first key already, {failed} failed")?;
            for key in unreadable {
                writeln!(f, "  {key}: none of the keys opens it")?;
            }
        }
        Ok(())
    }
}

impl Vault {
    /// Seals everything with the first key.
    ///
    /// # Errors
    /// [`VaultError::Store`]; what was done until then is done, and the next call goes on.
    pub async fn rotate(&self) -> Result<Rotation, VaultError> {
        let mut rotation = Rotation::default();
        for column in SealedColumn::ALL {
            let mut rotated = Rotated { what: column.what, ..Rotated::default() };
            let mut after = String::new();
            loop {
                let page = self.store.sealed_page(column, &after, BATCH).await.map_err(VaultError::Store)?;
                let Some(last) = page.last() else { break };
                after.clone_from(&last.key);
                for row in page {
                    self.rotate_one(column, row, &mut rotated).await?;
                }
            }
            rotation.0.push(rotated);
        }
        Ok(rotation)
    }

    async fn rotate_one(&self, column: SealedColumn, row: SealedRow, rotated: &mut Rotated) -> Result<(), VaultError> {
        if self.keyring.is_current(&row.sealed) {
            rotated.current += 1;
            return Ok(());
        }
        match self.keyring.open(&row.sealed) {
            Ok(value) => {
                let sealed = self.keyring.seal(&value);
                // Somebody was quicker: they have the same keys, or the next call finds it.
                let done = self.store.reseal(column, &row, &sealed).await.map_err(VaultError::Store)?;
                rotated.resealed += usize::from(done);
            }
            Err(_) => rotated.unreadable.push(row.key),
        }
        Ok(())
    }
}
