//! Placeholder for the wiring of all rooms: prepares those behind the door and ends.

use std::sync::Arc;

use thiserror::Error;
use tracing::{error, info, warn};

use crate::auth::{Auth, AuthError, FirstUser};
use crate::config::{Config, InstanceError};
use crate::crypto::{Keyring, KeyringError};
use crate::domain::clock::{SharedClock, SystemClock};
use crate::store::{Store, StoreError};
use crate::vault::{Vault, VaultError};

/// Why the server ended.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The keys.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The name of this instance.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The door.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// [`ServeError`] when something that it needs is missing.
pub async fn serve(config: Config) -> Result<(), ServeError> {
    for name in &config.unknown {
        warn!(%name, "{name} in .env is no setting of this version and does nothing");
    }
    let clock: SharedClock = Arc::new(SystemClock);
    let keyring = Arc::new(Keyring::load(&config.crypto_options())?);
    let instance = config.instance()?;
    let store = Store::open(&config.store_options()).await?;
    let auth = Auth::new(config.auth_options(), store.clone(), clock.clone())?;
    let vault = Vault::new(store.clone(), keyring, clock);
    let unreadable = vault.unreadable().await?;
    if !unreadable.is_empty() {
        error!(names = ?unreadable, "{} entries of the vault do not open with ENCRYPTION_KEY: {}", unreadable.len(), unreadable.join(", "));
    }
    if let FirstUser::Created { username, generated } = auth.ensure_admin().await? {
        info!(%username, "made the first user, {username}");
        if let Some(password) = generated {
            // To the terminal and not to the log, which others keep and read.
            println!(
                "First start. Log in as {username} with the password {}\nIt is not shown again.",
                password.as_str()
            );
        }
    }
    info!(%instance, "nothing to serve yet");
    store.close().await;
    Ok(())
}
