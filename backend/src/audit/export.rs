//! The log as a file, streamed: memory does not grow with it.

use bytes::Bytes;
use fastflow_shared::AuditEntry;
use futures_util::{Stream, stream};

use super::text::cell;
use super::{Audit, AuditFilter, shown};
use crate::store::{AuditCursor, StoreError};

/// Entries read at a time.
const PAGE: u32 = 500;

/// The columns of the CSV file.
const HEADING: &str = "time,actor,actor_id,via,action,target,result,status,code,ip,user_agent,request_id,detail,id\r\n";

/// What kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated, with a heading; spreadsheets find no formula in it.
    Csv,
    /// A JSON object per line.
    Jsonl,
}

/// Where an export stands.
enum Next {
    Heading,
    Page(Option<AuditCursor>),
    End,
}

impl Audit {
    /// Every entry from before this moment that the filter lets through, latest first.
    pub fn export(
        &self,
        mut filter: AuditFilter,
        format: Format,
    ) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + use<> {
        let store = self.0.store.clone();
        // Without the entry about this export itself, which comes a moment later or not.
        let now = self.0.clock.now();
        filter.to = Some(filter.to.map_or(now, |to| to.min(now)));
        let first = if format == Format::Csv { Next::Heading } else { Next::Page(None) };
        stream::try_unfold(first, move |next| {
            let (store, filter) = (store.clone(), filter.clone());
            async move {
                let after = match next {
                    Next::Heading => return Ok(Some((Bytes::from_static(HEADING.as_bytes()), Next::Page(None)))),
                    Next::Page(after) => after,
                    Next::End => return Ok(None),
                };
                let page = store.audit_page(&filter, after.as_ref(), PAGE).await?;
                let text: String = page.rows.into_iter().map(|row| line(&shown(row), format)).collect();
                let next = page.next.map_or(Next::End, |cursor| Next::Page(Some(cursor)));
                Ok(Some((Bytes::from(text), next)))
            }
        })
    }
}

fn line(entry: &AuditEntry, format: Format) -> String {
    if format == Format::Jsonl {
        return json(entry) + "\n";
    }
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let cells = [
        entry.time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        entry.actor.clone(),
        text(&entry.actor_id),
        entry.via.clone(),
        entry.action.clone(),
        text(&entry.target),
        entry.result.as_str().to_owned(),
        entry.status.map_or(String::new(), |status| status.to_string()),
        text(&entry.code),
        text(&entry.ip),
        text(&entry.user_agent),
        text(&entry.request_id),
        if entry.detail.is_empty() { String::new() } else { json(&entry.detail) },
        entry.id.clone(),
    ];
    cells.map(|text| cell(&text)).join(",") + "\r\n"
}

/// Texts and numbers only: nothing of it can fail.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
