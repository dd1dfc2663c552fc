//! Secrets and parameters that the vault hands to runs.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// An entry of the vault. A secret's value is never in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct VaultEntry {
    /// Name of the environment variable.
    pub key: String,
    /// Whether it is a secret; a plain parameter otherwise.
    pub is_secret: bool,
    /// The value of a parameter; absent for a secret.
    pub value: Option<String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// Creates or changes an entry of the vault.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct NewVaultEntry {
    /// Name of the environment variable.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Whether it is a secret.
    #[serde(default = "yes")]
    #[cfg_attr(feature = "openapi", oai(default = "yes"))]
    pub is_secret: bool,
}

/// A new value for an entry of the vault.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct VaultChange {
    /// Its value.
    pub value: String,
    /// Whether it is a secret from now on; unchanged when absent.
    pub is_secret: Option<bool>,
}

fn yes() -> bool {
    true
}
