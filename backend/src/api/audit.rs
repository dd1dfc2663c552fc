//! The audit log, for admins: a page of it, or all of it as a file.

use chrono::{DateTime, Utc};
use fastflow_shared::{AuditPage, AuditResult};
use futures_util::TryStreamExt as _;
use poem::{Body, IntoResponse, Response};
use poem_openapi::param::Query;
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Enum, OpenApi};

use super::gate::audit_detail;
use super::problem::ApiResult;
use super::runs::wrong;
use super::security::Access;
use super::{Api, Tag};
use crate::audit::{Audit, AuditFilter, Format};
use crate::domain::clock::Millis;

/// Entries of a page when the client does not say.
const DEFAULT_LIMIT: u32 = 100;

/// Most entries of a page.
const MAX_LIMIT: u32 = 500;

/// The operations.
pub struct AuditApi(pub Api);

/// Kind of file.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
pub enum FileFormat {
    /// For spreadsheets; what would be a formula is text.
    Csv,
    /// A JSON object per line.
    Jsonl,
}

/// The log as a file.
pub struct AuditFile {
    body: Body,
    format: Format,
}

impl Payload for AuditFile {
    const CONTENT_TYPE: &'static str = "text/csv; charset=utf-8";

    fn schema_ref() -> MetaSchemaRef {
        String::schema_ref()
    }
}

impl IntoResponse for AuditFile {
    fn into_response(self) -> Response {
        let (content_type, ending) = match self.format {
            Format::Csv => (Self::CONTENT_TYPE, "csv"),
            Format::Jsonl => ("application/x-ndjson", "jsonl"),
        };
        Response::builder()
            .content_type(content_type)
            .header("Content-Disposition", format!("attachment; filename=\"fastflow-audit.{ending}\""))
            .body(self.body)
    }
}

impl ApiResponse for AuditFile {
    fn meta() -> MetaResponses {
        let content = |content_type| MetaMediaType { content_type, schema: Self::schema_ref() };
        MetaResponses {
            responses: vec![MetaResponse {
                description: "The entries, latest first.",
                status: Some(200),
                status_range: None,
                content: vec![content(Self::CONTENT_TYPE), content("application/x-ndjson")],
                headers: vec![],
            }],
        }
    }

    fn register(_registry: &mut Registry) {}
}

#[OpenApi(tag = "Tag::People")]
impl AuditApi {
    /// Read the audit log
    ///
    /// Who did what, to what, when, from where, and how it ended; latest first.
    #[oai(path = "/audit", method = "get", operation_id = "listAudit")]
    #[expect(clippy::too_many_arguments, reason = "each is one query parameter")]
    async fn list(
        &self,
        _access: Access,
        /// Name of who did it, in any case.
        actor: Query<Option<String>>,
        /// What was done, like `run.start`, or all of an area, like `run.`.
        action: Query<Option<String>>,
        /// What it was done to.
        target: Query<Option<String>>,
        /// How it ended.
        result: Query<Option<AuditResult>>,
        /// At or after this time.
        from: Query<Option<DateTime<Utc>>>,
        /// Before this time.
        to: Query<Option<DateTime<Utc>>>,
        /// From the page before.
        cursor: Query<Option<String>>,
        /// Entries per page, from 1 to 500; 100 when absent.
        limit: Query<Option<u32>>,
    ) -> ApiResult<Json<AuditPage>> {
        let limit = limit.0.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(wrong("limit", format!("must be from 1 to {MAX_LIMIT}")));
        }
        let parse = |text: &str| {
            Audit::parse_cursor(text).ok_or_else(|| wrong("cursor", "is not one that a page gave".to_owned()))
        };
        let after = cursor.0.as_deref().map(parse).transpose()?;
        let filter = filter(actor.0, action.0, target.0, result.0, from.0, to.0);
        Ok(Json(self.0.audit.page(&filter, after.as_ref(), limit).await?))
    }

    /// Export the audit log
    ///
    /// As a file, streamed, latest first, with the same filters as the list. That somebody did this is in the log as well.
    #[oai(path = "/audit/export", method = "get", operation_id = "exportAudit")]
    #[expect(clippy::too_many_arguments, reason = "each is one query parameter")]
    async fn export(
        &self,
        _access: Access,
        /// Kind of file; CSV when absent.
        format: Query<Option<FileFormat>>,
        /// Name of who did it, in any case.
        actor: Query<Option<String>>,
        /// What was done, like `run.start`, or all of an area, like `run.`.
        action: Query<Option<String>>,
        /// What it was done to.
        target: Query<Option<String>>,
        /// How it ended.
        result: Query<Option<AuditResult>>,
        /// At or after this time.
        from: Query<Option<DateTime<Utc>>>,
        /// Before this time.
        to: Query<Option<DateTime<Utc>>>,
    ) -> ApiResult<AuditFile> {
        let (format, name) = match format.0 {
            None | Some(FileFormat::Csv) => (Format::Csv, "csv"),
            Some(FileFormat::Jsonl) => (Format::Jsonl, "jsonl"),
        };
        audit_detail("format", name);
        let filter = filter(actor.0, action.0, target.0, result.0, from.0, to.0);
        let bytes = self.0.audit.export(filter, format).map_err(std::io::Error::other);
        Ok(AuditFile { body: Body::from_bytes_stream(bytes), format })
    }
}

fn filter(
    actor: Option<String>,
    action: Option<String>,
    target: Option<String>,
    result: Option<AuditResult>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
) -> AuditFilter {
    // An empty field of a form filters nothing.
    let given = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    AuditFilter {
        actor: given(actor),
        action: given(action),
        target: given(target),
        result,
        from: from.map(Millis::from),
        to: to.map(Millis::from),
    }
}
