//! What is kept on the disk: how much of what, what goes next, what is cleaned up, and backups.

use fastflow_shared::{Backup, Cleanup, Storage, routes};
use poem::Body;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::files::FileBytes;
use super::gate::{audit_detail, audit_target};
use super::problem::ApiResult;
use super::security::Access;
use super::{Api, Tag};
use crate::storage::StorageError;

/// The operations.
pub struct StorageApi(pub Api);

/// Answer to a new backup.
#[derive(ApiResponse)]
pub enum BackupCreated {
    /// Made.
    #[oai(status = 201)]
    Created(
        Json<Backup>,
        /// Address of the file.
        #[oai(header = "Location")]
        String,
    ),
}

#[OpenApi(tag = "Tag::System")]
impl StorageApi {
    /// Get what is kept on the disk
    ///
    /// How much of what, within which limits, and what goes next. Measured by the chore `storage`.
    #[oai(path = "/storage", method = "get", operation_id = "getStorage")]
    async fn storage(&self, _access: Access) -> ApiResult<Json<Storage>> {
        let next_at = self.0.upkeep.report().into_iter().find(|chore| chore.name == "storage");
        Ok(Json(self.0.storage.report(next_at.and_then(|chore| chore.next_run_at))))
    }

    /// Get what retention would delete
    ///
    /// Runs beyond `LOG_RETENTION_RUNS` and `LOG_RETENTION_DAYS`, as the same call by `POST` deletes them.
    #[oai(path = "/cleanup", method = "get", operation_id = "previewCleanup")]
    async fn preview(&self, _access: Access) -> ApiResult<Json<Cleanup>> {
        Ok(Json(self.0.storage.preview_cleanup().await?))
    }

    /// Delete what retention does not keep
    ///
    /// Now, instead of at the next round of the chore `cleanup`: runs with their logs and metrics, never one that has not ended.
    #[oai(path = "/cleanup", method = "post", operation_id = "cleanUp")]
    async fn clean_up(&self, _access: Access) -> ApiResult<Json<Cleanup>> {
        let done = self.0.storage.clean_up().await?;
        audit_detail("runs", done.runs.to_string());
        Ok(Json(done))
    }

    /// List backups
    ///
    /// Of the SQLite database, the latest first.
    #[oai(path = "/backups", method = "get", operation_id = "listBackups")]
    async fn backups(&self, _access: Access) -> ApiResult<Json<Vec<Backup>>> {
        Ok(Json(self.0.storage.backups().await?))
    }

    /// Make a backup
    ///
    /// Of the SQLite database, while everything goes on; the answer comes when it is written and checked. It holds neither the
    /// encryption key nor logs. PostgreSQL has `pg_dump` (409).
    #[oai(path = "/backups", method = "post", operation_id = "createBackup")]
    async fn back_up(&self, _access: Access) -> ApiResult<BackupCreated> {
        let backup = self.0.storage.back_up().await?;
        audit_target(backup.name.clone());
        let location = routes::backup_file(&backup.name);
        Ok(BackupCreated::Created(Json(backup), location))
    }

    /// Get a backup as a file
    ///
    /// It holds password hashes and sealed secrets: keep it as you keep the server. `fastflow restore FILE` puts it back.
    #[oai(path = "/backups/:name/file", method = "get", operation_id = "getBackupFile")]
    async fn file(&self, _access: Access, name: Path<String>) -> ApiResult<FileBytes> {
        let path = self.0.storage.backup_file(&name)?;
        let file = tokio::fs::File::open(&path)
            .await
            .map_err(|source| StorageError::Io { what: "reading the backup", source })?;
        Ok(FileBytes::whole(Body::from_async_read(file), name.0, "application/vnd.sqlite3"))
    }
}
