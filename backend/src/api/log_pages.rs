//! A stored log by place: pages of lines around an offset, a line or a moment, and where a text occurs.

use chrono::{DateTime, Utc};
use fastflow_shared::{LogHit, LogHits, LogPage};
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::logs::{self, Known, source};
use super::problem::ApiResult;
use super::runs::wrong;
use super::security::Access;
use super::{Api, Tag};
use crate::journal::{JournalError, Search};

/// Lines of a page when the client does not say.
const DEFAULT_LINES: usize = 500;
/// Most lines of a page.
const MAX_LINES: usize = 2_000;
/// Most bytes of the file in one page; a line more is always whole.
const PAGE_BYTES: usize = 1 << 20;
/// Hits of a page when the client does not say.
const DEFAULT_HITS: usize = 100;
/// Most hits of a page.
const MAX_HITS: usize = 1_000;

/// The operations.
pub struct LogPagesApi(pub Api);

#[OpenApi(tag = "Tag::Runs")]
impl LogPagesApi {
    /// Get a page of a run's log
    ///
    /// Begins at an offset, at a line, at a moment, or so many lines before an offset; at the beginning when nothing is
    /// said. Costs the same anywhere in the log; only the first question for a line number reads up to it.
    #[oai(path = "/runs/:id/logs/lines", method = "get", operation_id = "getRunLogLines")]
    #[expect(clippy::too_many_arguments, reason = "each is one query parameter")]
    async fn lines(
        &self,
        _access: Access,
        id: Path<String>,
        /// Begin at this offset of the stored file.
        offset: Query<Option<u64>>,
        /// The lines before this offset.
        before: Query<Option<u64>>,
        /// Begin at this line; the first is 1.
        line: Query<Option<u64>>,
        /// Begin with the first line from this moment or later.
        time: Query<Option<DateTime<Utc>>>,
        /// Lines per page, from 1 to 2,000; 500 when absent.
        limit: Query<Option<usize>>,
    ) -> ApiResult<Json<LogPage>> {
        let run = Known::find(&self.0, &id).await?.0;
        let limit = bounded("limit", limit.0, DEFAULT_LINES, MAX_LINES)?;
        let journal = &self.0.journal;
        let (asked, mut lines) = match self.place(run, offset.0, before.0, line.0, time.0, limit).await {
            Ok(start) => {
                let page = journal.read_lines(run, start, limit, PAGE_BYTES).await?;
                (page.lines.first().map_or(page.next, |line| line.offset), page)
            }
            // A run that waits, or that ended before it could write, has an empty log.
            Err(JournalError::NotFound(_)) => {
                let empty = LogPage { lines: Vec::new(), first_line: 1, start: 0, next: 0, end: 0, finished: false };
                return Ok(Json(empty));
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(edge) = before.0 {
            // The page before ends where the known one begins, however long its lines are.
            lines.lines.retain(|line| line.offset < edge);
            lines.next = lines.next.min(edge);
        }
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        Ok(Json(LogPage {
            first_line: number(journal.line_at(run, asked).await?),
            lines: lines.lines.iter().map(logs::line).collect(),
            start: number(asked),
            next: number(lines.next),
            end: number(lines.end),
            finished: lines.finished,
        }))
    }

    /// Find a text in a run's log
    ///
    /// Looks at 64 MiB at most and answers with the place to go on: a page without a hit need not be the last.
    #[oai(path = "/runs/:id/logs/search", method = "get", operation_id = "searchRunLog")]
    async fn search(
        &self,
        _access: Access,
        id: Path<String>,
        /// What to look for, 1 to 1,024 bytes.
        text: Query<String>,
        /// Whether capital and small letters differ; they do not when absent.
        case: Query<Option<bool>>,
        /// Begin at this offset of the stored file.
        from: Query<Option<u64>>,
        /// Hits per page, from 1 to 1,000; 100 when absent.
        limit: Query<Option<usize>>,
    ) -> ApiResult<Json<LogHits>> {
        let run = Known::find(&self.0, &id).await?.0;
        let limit = bounded("limit", limit.0, DEFAULT_HITS, MAX_HITS)?;
        let ignore_case = !case.0.unwrap_or(false);
        let from = from.0.unwrap_or_default();
        let search = Search { needle: text.0, ignore_case, source: None, from, limit };
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let page = match self.0.journal.search(run, search).await {
            Ok(page) => page,
            Err(JournalError::NotFound(_)) => {
                return Ok(Json(LogHits { hits: Vec::new(), scanned: 0, next: None }));
            }
            Err(JournalError::Needle { max }) => {
                return Err(wrong("text", format!("must have from 1 to {max} bytes")));
            }
            Err(error) => return Err(error.into()),
        };
        let hits = page.hits.into_iter().map(|hit| LogHit {
            offset: number(hit.offset),
            line: number(hit.line),
            time: hit.timestamp,
            source: source(hit.source),
            text: String::from_utf8_lossy(&hit.excerpt).into_owned(),
        });
        Ok(Json(LogHits { hits: hits.collect(), scanned: number(page.scanned), next: page.next.map(number) }))
    }
}

impl LogPagesApi {
    async fn place(
        &self,
        run: crate::journal::RunId,
        offset: Option<u64>,
        before: Option<u64>,
        line: Option<u64>,
        time: Option<DateTime<Utc>>,
        limit: usize,
    ) -> Result<u64, JournalError> {
        let journal = &self.0.journal;
        match (offset, before, line, time) {
            (Some(offset), ..) => Ok(offset),
            (_, Some(before), ..) => journal.offset_back(run, before, limit as u64).await,
            (_, _, Some(line), _) => journal.offset_of_line(run, line).await,
            (_, _, _, Some(time)) => journal.offset_of_time(run, time).await,
            _ => Ok(0),
        }
    }
}

fn bounded(name: &str, value: Option<usize>, default: usize, most: usize) -> ApiResult<usize> {
    let value = value.unwrap_or(default);
    if (1..=most).contains(&value) { Ok(value) } else { Err(wrong(name, format!("must be from 1 to {most}"))) }
}
