//! Environments: what a pipeline's is made of.

use fastflow_shared::PipelineEnvironment;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;

use super::problem::{ApiError, ApiResult};
use super::security::Access;
use super::{Api, Tag};

/// The operations.
pub struct EnvironmentsApi(pub Api);

#[OpenApi]
impl EnvironmentsApi {
    /// Get a pipeline's environment
    ///
    /// The sealed environment that a start now would use: its locked packages, size and age. Without Docker only its state.
    #[oai(
        path = "/pipelines/:name/environment",
        method = "get",
        operation_id = "getPipelineEnvironment",
        tag = "Tag::Pipelines"
    )]
    async fn environment(&self, _access: Access, name: Path<String>) -> ApiResult<Json<PipelineEnvironment>> {
        let pipeline = self.0.catalog.pipeline(&name).ok_or_else(|| ApiError::no_pipeline(&name))?;
        Ok(Json(self.0.sync.environment(&pipeline).await?))
    }
}
