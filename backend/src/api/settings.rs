//! Settings: those that hold with their origin, and changes of those that an admin may change while the server works.

use fastflow_shared::{Setting, SettingChange};
use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;

use super::gate::audit_detail;
use super::problem::ApiResult;
use super::security::Access;
use super::{Api, Tag};

/// The operations.
pub struct SettingsApi(pub Api);

#[OpenApi(tag = "Tag::System")]
impl SettingsApi {
    /// List the settings that hold
    ///
    /// With what each means, what it may hold, and where its value comes from. Secrets are hidden.
    #[oai(path = "/settings", method = "get", operation_id = "listSettings")]
    async fn list(&self, _access: Access) -> ApiResult<Json<Vec<Setting>>> {
        Ok(Json(self.0.settings.list()))
    }

    /// Change a setting
    ///
    /// Holds at once and after every restart, until it is changed again or taken back. Only settings that are `changeable`.
    #[oai(path = "/settings/:name", method = "put", operation_id = "changeSetting")]
    async fn change(&self, access: Access, name: Path<String>, body: Json<SettingChange>) -> ApiResult<Json<Setting>> {
        let by = &access.caller().identity.user.username;
        // None of those that can be changed is secret.
        let before = self.0.settings.list().into_iter().find(|setting| setting.name == *name);
        if let Some(before) = before.filter(|setting| setting.changeable) {
            audit_detail("from", before.value);
            audit_detail("to", body.value.trim().chars().take(100).collect::<String>());
        }
        Ok(Json(self.0.settings.change(&name, &body.value, by).await?))
    }

    /// Take a change of a setting back
    ///
    /// The value of the environment, of `.env` or the default holds again, at once. Fine when there is no change.
    #[oai(path = "/settings/:name", method = "delete", operation_id = "resetSetting")]
    async fn reset(&self, access: Access, name: Path<String>) -> ApiResult<Json<Setting>> {
        let by = &access.caller().identity.user.username;
        let setting = self.0.settings.reset(&name, by).await?;
        audit_detail("to", setting.value.clone());
        Ok(Json(setting))
    }
}
