//! `fastflow backup` and `fastflow restore`: the SQLite database as a file, with the server running or (to restore) not.

use std::path::Path;

use chrono::Utc;

use crate::config::Config;
use crate::domain::size::format_bytes;
use crate::store::{self, BackupError};

/// What a backup does not hold, for people.
const NOT_IN_IT: &str = "\
It holds users, secrets (sealed), schedules, runs and settings. Not in it, and to be kept elsewhere:
  the encryption key (DATA_DIR/encryption.key or ENCRYPTION_KEY): without it the sealed secrets are lost, and with it in
  the same place they are no secrets
  logs and metrics (LOGS_DIR): copy that folder if you want them; files of runs that have ended do not change
Everything else of DATA_DIR is made anew.
";

/// Writes a backup to `file` and says what is in it.
///
/// # Errors
/// [`BackupError`].
pub async fn back_up(config: &Config, file: &Path) -> Result<String, BackupError> {
    let bytes = store::back_up(&config.store_options(), file).await?;
    Ok(format!("{} written and checked, {}.\n{NOT_IN_IT}", file.display(), format_bytes(bytes)))
}

/// Puts the backup `file` in the place of the database and says what became of the old one.
///
/// # Errors
/// [`BackupError`]; then the database is as it was.
pub async fn restore(config: &Config, file: &Path, force: bool) -> Result<String, BackupError> {
    let stamp = Utc::now().format("%Y%m%d-%H%M%S").to_string();
    let restored = store::restore(&config.store_options(), file, force, &stamp).await?;
    let store::Contents { version, runs, users } = restored.contents;
    let kept =
        restored.kept.map_or_else(String::new, |kept| format!("The one before is kept as {}.\n", kept.display()));
    Ok(format!(
        "{} is restored: {runs} runs, {users} users, schema {version}.\n{kept}\
         The next start of the server brings its tables up to date. It opens the sealed secrets with the encryption key of the time \
         of the backup. Due times that have passed since are treated by each schedule's policy for missed ones.\n",
        restored.database.display()
    ))
}
