//! The server itself: alive, able to work, its chores, and what changes.

use std::time::Duration;

use fastflow_shared::{Check, Chore, Health, LiveEvent, Overview, Readiness, events};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use poem::web::sse::Event;
use poem_openapi::param::Path;
use poem_openapi::payload::{EventStream, Json};
use poem_openapi::types::ToJSON;
use poem_openapi::{ApiResponse, OpenApi};
use tokio::sync::broadcast::error::RecvError;

use super::problem::{ApiError, ApiResult};
use super::security::Access;
use super::{Api, Tag};

/// The operations below `/api`.
pub struct SystemApi(pub Api);

/// The operations that need no login.
pub struct ProbeApi(pub Api);

/// Answer to the question whether the server can work.
#[derive(ApiResponse)]
pub enum ReadyAnswer {
    /// It can.
    #[oai(status = 200)]
    Ready(Json<Readiness>),
    /// It cannot; the checks say why.
    #[oai(status = 503)]
    NotReady(Json<Readiness>),
}

#[OpenApi(tag = "Tag::System")]
impl ProbeApi {
    /// Is the server alive?
    #[oai(path = "/health", method = "get", operation_id = "getHealth")]
    async fn health(&self) -> Json<Health> {
        Json(Health { status: "ok".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() })
    }

    /// Can the server work?
    ///
    /// Asks the database, Docker and the disks of the data, of logs and of environments. Needs no login, so it says no more
    /// than what a probe needs.
    #[oai(path = "/ready", method = "get", operation_id = "getReadiness")]
    async fn ready(&self) -> ReadyAnswer {
        let (database, docker) = tokio::join!(self.0.store.ping(Duration::from_secs(2)), self.0.runs.ping_docker());
        let database = Check {
            name: "database".to_owned(),
            ok: database.is_ok(),
            detail: database.map_or_else(|error| error.to_string(), |()| self.0.store.kind().to_owned()),
        };
        let docker = Check {
            name: "docker".to_owned(),
            ok: docker.is_ok(),
            detail: docker.map_or_else(|error| error.to_string(), |info| format!("Docker {}", info.engine_version)),
        };
        let mut checks = vec![database, docker];
        let floor = self.0.settings.tuning().min_free_bytes;
        checks.extend(self.0.metrics.folders.iter().map(|(name, folder)| disk(name, folder, floor)));
        let readiness = Readiness { ready: checks.iter().all(|check| check.ok), checks };
        if readiness.ready { ReadyAnswer::Ready(Json(readiness)) } else { ReadyAnswer::NotReady(Json(readiness)) }
    }
}

/// Whether a folder can be written and has room.
fn disk(name: &str, folder: &std::path::Path, floor: u64) -> Check {
    use rustix::fs::{Access, access, statvfs};
    let name = if name == "data" { "disk" } else { name }.to_owned();
    let looked = access(folder, Access::WRITE_OK).and_then(|()| statvfs(folder));
    let (ok, detail) = match looked {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let text = format!("{} free", crate::domain::size::format_bytes(free));
            (free >= floor, text)
        }
        Err(error) => (false, format!("the folder cannot be written: {error}")),
    };
    Check { name, ok, detail }
}

#[OpenApi(tag = "Tag::System")]
impl SystemApi {
    /// Numbers for the head of the dashboard
    #[oai(path = "/overview", method = "get", operation_id = "getOverview")]
    async fn overview(&self, _access: Access) -> ApiResult<Json<Overview>> {
        let load = self.0.runs.load_of_all().await?;
        let options = self.0.runs.options();
        let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        let docker = self.0.runs.ping_docker().await;
        let warm = self.0.runs.warm_pool();
        Ok(Json(Overview {
            running: count(load.running),
            queued: count(load.queued),
            max_concurrent_runs: count(options.max_concurrent),
            max_queued_runs: count(options.max_queued),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            docker_ok: docker.is_ok(),
            docker: docker.map_or_else(|error| error.to_string(), |info| info.engine_version),
            warm_wanted: count(warm.wanted),
            warm_ready: count(warm.ready),
            warm_problem: warm.problem,
        }))
    }

    /// List the periodic chores
    #[oai(path = "/chores", method = "get", operation_id = "listChores")]
    async fn chores(&self, _access: Access) -> ApiResult<Json<Vec<Chore>>> {
        Ok(Json(self.0.upkeep.report()))
    }

    /// Do a periodic chore now
    ///
    /// Instead of when it is due next. The answer comes when it is done, and says what became of it.
    #[oai(path = "/chores/:name/run", method = "post", operation_id = "runChore")]
    async fn run_chore(&self, _access: Access, name: Path<String>) -> ApiResult<Json<Chore>> {
        let unknown = || ApiError::not_found("chore_not_found", format!("There is no chore {:?}.", *name));
        Ok(Json(self.0.upkeep.run(&name).await.ok_or_else(unknown)?))
    }

    /// Follow what changes on the server
    ///
    /// Server-sent events named `change`: which run, pipeline or other thing to look at again. `reconnect` when the server
    /// goes away. A client that was too slow to take every event gets one with the kind `everything`.
    #[oai(path = "/events", method = "get", operation_id = "streamEvents")]
    async fn events(&self, _access: Access) -> ApiResult<EventStream<BoxStream<'static, LiveEvent>>> {
        let changes = self.0.runs.subscribe();
        let api = self.0.clone();
        let hello = stream::once(async { plain("hello") });
        let news = stream::unfold(Some(changes), move |changes| {
            let api = api.clone();
            async move {
                let mut changes = changes?;
                tokio::select! {
                    event = changes.recv() => match event {
                        Ok(event) => Some((event, Some(changes))),
                        Err(RecvError::Lagged(_)) => Some((plain("everything"), Some(changes))),
                        Err(RecvError::Closed) => None,
                    },
                    () = api.runs.closing() => Some((plain(events::RECONNECT), None)),
                }
            }
        });
        let to_event = |event: LiveEvent| {
            let name = if event.kind == events::RECONNECT { events::RECONNECT } else { events::CHANGE };
            Event::message(event.to_json_string()).event_type(name)
        };
        Ok(EventStream::new(hello.chain(news).boxed()).keep_alive(Duration::from_secs(15)).to_event(to_event))
    }
}

fn plain(kind: &str) -> LiveEvent {
    LiveEvent { kind: kind.to_owned(), id: String::new(), pipeline_name: None, status: None }
}
