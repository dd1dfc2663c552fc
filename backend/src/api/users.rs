//! Users, for admins.

use fastflow_shared::{NewUser, PasswordReset, UserAccount, UserChange, UserWithPassword, routes};
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::auth::Done;
use super::gate::{audit_detail, audit_target};
use super::problem::ApiResult;
use super::security::Access;
use super::{Api, Tag};

/// The operations.
pub struct UsersApi(pub Api);

/// Answer to a new user.
#[derive(ApiResponse)]
pub enum UserCreated {
    /// Created.
    #[oai(status = 201)]
    Created(
        Json<UserWithPassword>,
        /// Address of the user.
        #[oai(header = "Location")]
        String,
    ),
}

#[OpenApi(tag = "Tag::People")]
impl UsersApi {
    /// List users
    #[oai(path = "/users", method = "get", operation_id = "listUsers")]
    async fn list(&self, _access: Access) -> ApiResult<Json<Vec<UserAccount>>> {
        Ok(Json(self.0.auth.users().await?))
    }

    /// Create a user
    ///
    /// Without a password one is made up, and is in the answer, once.
    #[oai(path = "/users", method = "post", operation_id = "createUser")]
    async fn create(&self, _access: Access, body: Json<NewUser>) -> ApiResult<UserCreated> {
        audit_target(body.username.trim());
        audit_detail("role", body.role.as_str());
        let made = self.0.auth.create_user(&body).await?;
        let location = routes::user(&made.user.id);
        Ok(UserCreated::Created(Json(made), location))
    }

    /// Get a user
    #[oai(path = "/users/:id", method = "get", operation_id = "getUser")]
    async fn get(&self, _access: Access, id: Path<String>) -> ApiResult<Json<UserAccount>> {
        Ok(Json(self.0.auth.user(&id).await?))
    }

    /// Change a user's role, or lock a user out
    ///
    /// Takes effect at once, also for who is logged in. The last admin who can log in stays one.
    #[oai(path = "/users/:id", method = "patch", operation_id = "changeUser")]
    async fn change(&self, _access: Access, id: Path<String>, body: Json<UserChange>) -> ApiResult<Json<UserAccount>> {
        if let Some(role) = body.role {
            audit_detail("role", role.as_str());
        }
        if let Some(disabled) = body.disabled {
            audit_detail("disabled", disabled.to_string());
        }
        self.named(&id).await?;
        Ok(Json(self.0.auth.change_user(&id, &body).await?))
    }

    /// Delete a user
    ///
    /// With all sessions and API tokens. Runs and the audit log keep the name.
    #[oai(path = "/users/:id", method = "delete", operation_id = "deleteUser")]
    async fn delete(&self, _access: Access, id: Path<String>) -> ApiResult<Done> {
        self.named(&id).await?;
        self.0.auth.delete_user(&id).await?;
        Ok(Done::Done)
    }

    /// Give a user a new password
    ///
    /// Ends all sessions of the user. Without a password one is made up, and is in the answer, once.
    #[oai(path = "/users/:id/password", method = "post", operation_id = "resetUserPassword")]
    async fn reset_password(
        &self,
        _access: Access,
        id: Path<String>,
        body: Json<PasswordReset>,
    ) -> ApiResult<Json<UserWithPassword>> {
        self.named(&id).await?;
        Ok(Json(self.0.auth.reset_password(&id, body.password.as_deref()).await?))
    }
}

impl UsersApi {
    /// The audit log names users as people do.
    async fn named(&self, id: &str) -> ApiResult<()> {
        let user = self.0.auth.user(id).await?;
        audit_target(user.username);
        audit_detail("id", user.id);
        Ok(())
    }
}
