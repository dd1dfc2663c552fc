//! A run's files as they are stored, whole or a range of their bytes (RFC 9110, section 14): one range, no more.

use std::ops::Range;

use poem::http::{StatusCode, header};
use poem::{Body, IntoResponse, Request, Response};
use poem_openapi::param::Path;
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::{Binary, Type};
use poem_openapi::{ApiResponse, OpenApi};

use super::problem::{ApiError, ApiResult};
use super::runs::wrong;
use super::security::Access;
use super::{Api, Tag};
use crate::journal::{FileKind, RunId};

/// The operations.
pub struct FilesApi(pub Api);

/// Bytes of a file.
pub struct FileBytes {
    body: Body,
    name: String,
    content_type: &'static str,
    /// What is sent of how many bytes, when a range was asked for.
    part: Option<(Range<u64>, u64)>,
}

impl FileBytes {
    /// A whole file.
    pub fn whole(body: Body, name: String, content_type: &'static str) -> Self {
        Self { body, name, content_type, part: None }
    }
}

impl Payload for FileBytes {
    const CONTENT_TYPE: &'static str = "application/octet-stream";

    fn schema_ref() -> MetaSchemaRef {
        Binary::<Vec<u8>>::schema_ref()
    }
}

impl IntoResponse for FileBytes {
    fn into_response(self) -> Response {
        let mut response = Response::builder()
            .content_type(self.content_type)
            .header(header::ACCEPT_RANGES, "bytes")
            .header(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", self.name));
        if let Some((range, whole)) = self.part {
            let sent = format!("bytes {}-{}/{whole}", range.start, range.end.saturating_sub(1));
            response = response.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, sent);
        }
        response.body(self.body)
    }
}

impl ApiResponse for FileBytes {
    fn meta() -> MetaResponses {
        let response = |status, description| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content: vec![MetaMediaType { content_type: Self::CONTENT_TYPE, schema: Self::schema_ref() }],
            headers: vec![],
        };
        MetaResponses { responses: vec![response(200, "The file."), response(206, "The range that was asked for.")] }
    }

    fn register(_registry: &mut Registry) {}
}

#[OpenApi(tag = "Tag::Runs")]
impl FilesApi {
    /// Get the stored log file
    ///
    /// In the CRI log format: `<RFC 3339 time> <stdout|stderr> <F|P> <text>`, a line each. Understands `Range: bytes=…`.
    #[oai(path = "/runs/:id/logs/file", method = "get", operation_id = "getRunLogFile")]
    async fn log(&self, request: &Request, _access: Access, id: Path<String>) -> ApiResult<FileBytes> {
        self.file(request, &id, FileKind::Log, "log", "text/plain; charset=utf-8").await
    }

    /// Get the stored samples of CPU and memory
    ///
    /// JSON lines, one sample each. Understands `Range: bytes=…`.
    #[oai(path = "/runs/:id/metrics/file", method = "get", operation_id = "getRunMetricsFile")]
    async fn metrics(&self, request: &Request, _access: Access, id: Path<String>) -> ApiResult<FileBytes> {
        self.file(request, &id, FileKind::Metrics, "metrics.jsonl", "application/x-ndjson").await
    }
}

impl FilesApi {
    async fn file(
        &self,
        request: &Request,
        id: &str,
        kind: FileKind,
        ending: &str,
        content_type: &'static str,
    ) -> ApiResult<FileBytes> {
        self.0.runs.run(id).await?;
        let run: RunId = id.parse().map_err(ApiError::from)?;
        let files = self.0.journal.size(run).await?;
        let size = files.and_then(|files| if kind == FileKind::Log { files.log } else { files.metrics }).unwrap_or(0);
        let asked = request.header(header::RANGE).map(|text| parse_range(text, size)).transpose()?;
        let (sent, bytes) = self.0.journal.raw(run, kind, asked.clone().unwrap_or(0..size)).await?;
        use futures_util::StreamExt as _;
        let body = Body::from_bytes_stream(bytes.map(|piece| piece.map_err(std::io::Error::from)));
        Ok(FileBytes { body, name: format!("{id}.{ending}"), content_type, part: asked.map(|_| (sent, size)) })
    }
}

/// Reads `bytes=a-b`, `bytes=a-` or `bytes=-n` for a file of `size` bytes.
fn parse_range(text: &str, size: u64) -> ApiResult<Range<u64>> {
    let bad = |why: &str| wrong("Range", format!("{text:?} {why}; the file has {size} bytes"));
    let spec = text.strip_prefix("bytes=").ok_or_else(|| bad("is not of the form bytes=first-last"))?;
    let (first, last) = spec.split_once('-').ok_or_else(|| bad("is not of the form bytes=first-last"))?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| bad("is not one range of numbers"));
    let range = match (first.trim(), last.trim()) {
        ("", last) => size.saturating_sub(number(last)?)..size,
        (first, "") => number(first)?..size,
        (first, last) => number(first)?..number(last)?.saturating_add(1).min(size),
    };
    if range.is_empty() { Err(bad("holds nothing of the file")) } else { Ok(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_in_the_rfc() {
        for (text, expected) in [
            ("bytes=0-0", 0..1),
            ("bytes=5-", 5..10),
            ("bytes=-3", 7..10),
            ("bytes=2-100", 2..10),
            ("bytes=-100", 0..10),
        ] {
            assert_eq!(parse_range(text, 10).ok(), Some(expected), "{text}");
        }
        for text in ["bytes=10-", "bytes=3-2", "lines=1-2", "bytes=a-b", "bytes=1-2,4-5", "bytes=-0"] {
            assert!(parse_range(text, 10).is_err(), "{text}");
        }
    }
}
