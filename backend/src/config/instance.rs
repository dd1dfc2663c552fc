//! The name by which this server knows its own containers.

use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use super::kind::is_instance_name;
use crate::crypto::{FileError, read_or_create, short_id};

/// Why there is no name.
#[derive(Debug, Error)]
pub enum InstanceError {
    /// The file that keeps it.
    #[error("the name of this instance is not available")]
    File(#[from] FileError),
    /// What it holds.
    #[error("{0} does not hold the name of an instance; remove the file, or set FASTFLOW_INSTANCE")]
    Malformed(PathBuf),
}

/// The name that is set, else the one that is kept in `data_dir`, else a new one, kept from now on.
pub(super) fn of(set: Option<&str>, data_dir: &Path) -> Result<String, InstanceError> {
    if let Some(name) = set {
        return Ok(name.to_owned());
    }
    let path = data_dir.join("instance-id");
    let (text, _) = read_or_create(&path, || Zeroizing::new(format!("{}\n", short_id())))?;
    let name = text.trim();
    if is_instance_name(name) { Ok(name.to_owned()) } else { Err(InstanceError::Malformed(path)) }
}
