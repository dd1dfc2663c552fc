//! Secrets and parameters. A secret's value goes in and comes out one at a time, for an admin who asks for it.

use fastflow_shared::{EncryptedValue, NewVaultEntry, PlainValue, RevealedSecret, VaultChange, VaultEntry};
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::problem::ApiResult;
use super::security::Access;
use super::{Api, Tag};

/// The operations.
pub struct SecretsApi(pub Api);

/// Answer to a new entry.
#[derive(ApiResponse)]
pub enum EntryCreated {
    /// Stored.
    #[oai(status = 201)]
    Created(
        Json<VaultEntry>,
        /// Address of the entry.
        #[oai(header = "Location")]
        String,
    ),
}

/// Answer to a deletion.
#[derive(ApiResponse)]
pub enum EntryDeleted {
    /// Deleted.
    #[oai(status = 204)]
    Done,
}

#[OpenApi(tag = "Tag::Secrets")]
impl SecretsApi {
    /// List secrets and parameters
    ///
    /// Values of parameters are shown, values of secrets never.
    #[oai(path = "/secrets", method = "get", operation_id = "listSecrets")]
    async fn list(&self, _access: Access) -> ApiResult<Json<Vec<VaultEntry>>> {
        Ok(Json(self.0.vault.list().await?))
    }

    /// Store a secret or parameter
    ///
    /// A secret that is too short to be hidden in logs is stored as well; `warning` says so.
    #[oai(path = "/secrets", method = "post", operation_id = "createSecret")]
    async fn create(&self, _access: Access, body: Json<NewVaultEntry>) -> ApiResult<EntryCreated> {
        let entry = self.0.vault.create(&body).await?;
        let location = format!("{}/{}", fastflow_shared::routes::SECRETS, fastflow_shared::routes::segment(&entry.key));
        Ok(EntryCreated::Created(Json(entry), location))
    }

    /// Change a secret or parameter
    ///
    /// What is absent stays. A secret becomes a parameter only with a new value.
    #[oai(path = "/secrets/:key", method = "put", operation_id = "changeSecret")]
    async fn change(&self, _access: Access, key: Path<String>, body: Json<VaultChange>) -> ApiResult<Json<VaultEntry>> {
        let entry = self.0.vault.change(&key, &body).await?;
        Ok(Json(entry))
    }

    /// Delete a secret or parameter
    #[oai(path = "/secrets/:key", method = "delete", operation_id = "deleteSecret")]
    async fn delete(&self, _access: Access, key: Path<String>) -> ApiResult<EntryDeleted> {
        self.0.vault.delete(&key).await?;
        Ok(EntryDeleted::Done)
    }

    /// Reveal a secret
    ///
    /// The value of one entry. Who asked for which is written into the audit log.
    #[oai(path = "/secrets/:key/reveal", method = "post", operation_id = "revealSecret")]
    async fn reveal(&self, _access: Access, key: Path<String>) -> ApiResult<Json<RevealedSecret>> {
        let revealed = self.0.vault.reveal(&key).await?;
        Ok(Json(revealed))
    }

    /// Encrypt a value
    ///
    /// For `encrypted_env` of a `pipeline.json`: only this server can read it. Nothing is stored.
    #[oai(path = "/secrets/encrypt", method = "post", operation_id = "encryptValue")]
    async fn encrypt(&self, _access: Access, body: Json<PlainValue>) -> ApiResult<Json<EncryptedValue>> {
        Ok(Json(self.0.vault.encrypt(&body.value)?))
    }
}
