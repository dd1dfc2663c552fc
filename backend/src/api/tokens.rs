//! API tokens: everybody's own, and for admins everybody's.

use fastflow_shared::{ApiToken, ApiTokenCreated, NewApiToken, Role, routes};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::auth::Done;
use super::gate::{audit_detail, audit_target};
use super::problem::ApiResult;
use super::security::Access;
use super::{Api, Tag};

/// The operations.
pub struct TokensApi(pub Api);

/// Answer to a new token.
#[derive(ApiResponse)]
pub enum TokenCreated {
    /// Created.
    #[oai(status = 201)]
    Created(
        Json<ApiTokenCreated>,
        /// Address of the token.
        #[oai(header = "Location")]
        String,
    ),
}

#[OpenApi(tag = "Tag::Access")]
impl TokensApi {
    /// List API tokens
    ///
    /// One's own, latest first. Their texts are not among it: each is shown once, when it is made.
    #[oai(path = "/tokens", method = "get", operation_id = "listTokens")]
    async fn list(
        &self,
        access: Access,
        /// Everybody's, for admins.
        all: Query<Option<bool>>,
    ) -> ApiResult<Json<Vec<ApiToken>>> {
        let all = all.0.unwrap_or_default();
        if all {
            access.require(Role::Admin)?;
        }
        let own = &access.caller().identity.user.id;
        Ok(Json(self.0.auth.tokens((!all).then_some(own.as_str())).await?))
    }

    /// Create an API token
    ///
    /// Its text is in the answer, once. It may do what its role may, and never more than its owner may at that moment.
    #[oai(path = "/tokens", method = "post", operation_id = "createToken")]
    async fn create(&self, access: Access, body: Json<NewApiToken>) -> ApiResult<TokenCreated> {
        audit_target(body.name.trim());
        audit_detail("role", body.role.as_str());
        let made = self.0.auth.create_token(&access.caller().identity, &body).await?;
        audit_detail("id", made.token.id.clone());
        let location = routes::token(&made.token.id);
        Ok(TokenCreated::Created(Json(made), location))
    }

    /// Delete an API token
    ///
    /// It opens nothing from that moment on. Admins may delete everybody's.
    #[oai(path = "/tokens/:id", method = "delete", operation_id = "deleteToken")]
    async fn delete(&self, access: Access, id: Path<String>) -> ApiResult<Done> {
        let user = &access.caller().identity.user;
        let owner = (user.role < Role::Admin).then_some(user.id.as_str());
        self.0.auth.delete_token(&id, owner).await?;
        Ok(Done::Done)
    }
}
