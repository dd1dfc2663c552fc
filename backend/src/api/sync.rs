//! Where the code comes from: syncs with their logs, the settings, and the door for webhooks.

use std::sync::Arc;
use std::time::Duration;

use fastflow_shared::{
    StartSync, SyncLogEnd, SyncLogLines, SyncRecord, SyncResult, SyncSettings, SyncSettingsChange, SyncStatus,
    SyncTest, WebhookAnswer, events,
};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use poem::Request;
use poem::web::sse::Event;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::{EventStream, Json, PlainText};
use poem_openapi::types::ToJSON;
use poem_openapi::{OpenApi, Union};

use super::problem::{ApiError, ApiResult};
use super::security::Access;
use super::{Api, Tag};
use crate::sync::{Delivery, News, Request as SyncRequest, SyncLog, Trigger};

/// Time between two signs of life of a quiet stream.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Syncs of the past that are listed when nothing is said.
const LISTED: u32 = 20;

/// The operations.
pub struct SyncApi(pub Api);

/// An event of a sync's log.
#[derive(Union)]
pub enum SyncMessage {
    /// More of it.
    Lines(SyncLogLines),
    /// Nothing more will come.
    End(SyncLogEnd),
}

#[OpenApi(tag = "Tag::Sync")]
impl SyncApi {
    /// Bring the code up to date
    ///
    /// Fetches the branch, builds the environments of new and changed pipelines, and then switches to the new code at once.
    /// Answers at the end, or at once with `wait=false`. A sync that is under way is joined and its result is the answer.
    /// Without a repository the plain folder is looked at again.
    #[oai(path = "/sync", method = "post", operation_id = "sync")]
    async fn sync(
        &self,
        access: Access,
        /// Whether to wait for the end (default: true).
        wait: Query<Option<bool>>,
        body: Json<Option<StartSync>>,
    ) -> ApiResult<Json<SyncStatus>> {
        let caller = access.caller();
        let by = Some(caller.identity.user.username.clone());
        let StartSync { branch } = body.0.unwrap_or_default();
        if wait.0.unwrap_or(true) || !self.0.sync.has_repository() {
            self.0.sync.sync(branch, by).await?;
        } else {
            self.0.sync.begin(SyncRequest { branch, trigger: Trigger::Manual, by })?;
        }
        Ok(Json(self.0.sync.status()))
    }

    /// How fresh the code is
    #[oai(path = "/sync/status", method = "get", operation_id = "getSyncStatus")]
    async fn status(&self, _access: Access) -> ApiResult<Json<SyncStatus>> {
        Ok(Json(self.0.sync.status()))
    }

    /// List syncs of the past
    ///
    /// Newest first. Automatic ones that found nothing new are not kept.
    #[oai(path = "/sync/history", method = "get", operation_id = "listSyncs")]
    async fn history(
        &self,
        _access: Access,
        /// At most so many, from 1 to 500.
        limit: Query<Option<u32>>,
    ) -> ApiResult<Json<Vec<SyncRecord>>> {
        let limit = limit.0.unwrap_or(LISTED);
        if !(1..=500).contains(&limit) {
            return Err(ApiError::bad_request("invalid_parameter", "limit: must be from 1 to 500"));
        }
        Ok(Json(self.0.sync.history(limit).await?))
    }

    /// Get the log of a sync as text
    #[oai(path = "/sync/history/:id/log", method = "get", operation_id = "getSyncLog")]
    async fn log(&self, _access: Access, id: Path<String>) -> ApiResult<PlainText<String>> {
        Ok(PlainText(self.0.sync.log_text(&id).await?))
    }

    /// Follow the log of the present sync
    ///
    /// Server-sent events: `lines`, then `end` with the result, or `reconnect` when the server goes away. When no sync is under
    /// way, that of the latest one. An event's id names the line to continue at: send it as `Last-Event-ID`.
    #[oai(path = "/sync/log/stream", method = "get", operation_id = "streamSyncLog")]
    async fn follow(
        &self,
        request: &Request,
        _access: Access,
    ) -> ApiResult<EventStream<BoxStream<'static, SyncMessage>>> {
        let last = request.header("Last-Event-ID").and_then(|id| id.split_once(':'));
        let log = self.0.sync.log();
        let from = match (last, &log) {
            (Some((id, line)), Some(log)) if id == log.sync_id => line.parse().unwrap_or_default(),
            _ => 0,
        };
        let api = self.0.clone();
        let messages = stream::unfold(Some((log, from)), move |state| {
            let api = api.clone();
            async move {
                let (log, from) = state?;
                let Some(log) = log else { return Some((end(SyncResult::Unchanged), None)) };
                tokio::select! {
                    news = log.news(from) => Some(told(log.clone(), news)),
                    () = api.runs.closing() => Some((end(SyncResult::Running), None)),
                }
            }
        });
        Ok(EventStream::new(messages.boxed()).keep_alive(HEARTBEAT).to_event(log_event))
    }

    /// Get the settings of the sync
    ///
    /// Credentials are never shown, only whether there is one.
    #[oai(path = "/sync/settings", method = "get", operation_id = "getSyncSettings")]
    async fn settings(&self, _access: Access) -> ApiResult<Json<SyncSettings>> {
        Ok(Json(self.0.sync.settings()))
    }

    /// Change the settings of the sync
    ///
    /// They win over those of the server's environment, credentials are stored sealed, and a sync by them begins at once.
    #[oai(path = "/sync/settings", method = "put", operation_id = "changeSyncSettings")]
    async fn change_settings(&self, access: Access, body: Json<SyncSettingsChange>) -> ApiResult<Json<SyncSettings>> {
        let caller = access.caller();
        Ok(Json(self.0.sync.change_settings(&body, &caller.identity.user.username).await?))
    }

    /// Forget the saved settings of the sync
    ///
    /// Those of the server's environment hold again.
    #[oai(path = "/sync/settings", method = "delete", operation_id = "resetSyncSettings")]
    async fn reset_settings(&self, access: Access) -> ApiResult<Json<SyncSettings>> {
        let caller = access.caller();
        Ok(Json(self.0.sync.reset_settings(&caller.identity.user.username).await?))
    }

    /// Test the connection to the repository
    ///
    /// With the settings that are given, or without a body with those that hold. Nothing is saved or fetched.
    #[oai(path = "/sync/test", method = "post", operation_id = "testSync")]
    async fn test(&self, _access: Access, body: Json<Option<SyncSettingsChange>>) -> ApiResult<Json<SyncTest>> {
        Ok(Json(self.0.sync.test(body.0.as_ref()).await?))
    }

    /// Be told of a push
    ///
    /// For GitHub (`X-Hub-Signature-256`) and GitLab (`X-Gitlab-Token`). Needs no login: the proof is the secret of the
    /// webhook. A delivery counts once.
    #[oai(path = "/sync/webhook", method = "post", operation_id = "syncWebhook")]
    async fn webhook(&self, request: &Request, body: Vec<u8>) -> ApiResult<Json<WebhookAnswer>> {
        let delivery = Delivery {
            github_signature: request.header("X-Hub-Signature-256"),
            github_event: request.header("X-GitHub-Event"),
            github_delivery: request.header("X-GitHub-Delivery"),
            gitlab_token: request.header("X-Gitlab-Token"),
            gitlab_event: request.header("X-Gitlab-Event"),
            gitlab_delivery: request.header("Idempotency-Key").or(request.header("X-Gitlab-Event-UUID")),
            body: &body,
        };
        Ok(Json(self.0.sync.webhook(delivery).await?))
    }
}

fn end(result: SyncResult) -> SyncMessage {
    SyncMessage::End(SyncLogEnd { result })
}

type Position = Option<(Option<Arc<SyncLog>>, usize)>;

fn told(log: Arc<SyncLog>, news: News) -> (SyncMessage, Position) {
    match news {
        News::Lines(lines, next) => {
            let number = i64::try_from(next).unwrap_or(i64::MAX);
            let lines = SyncLogLines { sync_id: log.sync_id.clone(), lines, next: number };
            (SyncMessage::Lines(lines), Some((Some(log), next)))
        }
        News::End(result) => (end(result), None),
    }
}

fn log_event(message: SyncMessage) -> Event {
    match message {
        SyncMessage::Lines(lines) => {
            let id = format!("{}:{}", lines.sync_id, lines.next);
            Event::message(lines.to_json_string()).event_type(events::LINES).id(id)
        }
        SyncMessage::End(end) => {
            let name = if end.result == SyncResult::Running { events::RECONNECT } else { events::END };
            Event::message(end.to_json_string()).event_type(name)
        }
    }
}
