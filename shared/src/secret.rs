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
    /// Names of the pipelines that receive it; empty for all.
    pub pipelines: Vec<String>,
    /// What to know about it: too short to be hidden in logs, or it cannot be opened.
    pub warning: Option<String>,
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
    /// Names of the pipelines that receive it; empty for all.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", oai(default))]
    pub pipelines: Vec<String>,
}

/// A change of an entry of the vault; what is absent stays.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct VaultChange {
    /// Its value. Needed to make a parameter of a secret.
    pub value: Option<String>,
    /// Whether it is a secret from now on.
    pub is_secret: Option<bool>,
    /// Names of the pipelines that receive it; empty for all.
    pub pipelines: Option<Vec<String>>,
}

/// The value of one secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct RevealedSecret {
    /// Name of the environment variable.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// A value to be encrypted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct PlainValue {
    /// The value.
    pub value: String,
}

/// A value that only this server can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct EncryptedValue {
    /// To be written into `encrypted_env` of a `pipeline.json`.
    pub encrypted: String,
    /// What to know about it: too short to be hidden in logs.
    pub warning: Option<String>,
}

fn yes() -> bool {
    true
}
