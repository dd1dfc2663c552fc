//! `GET /metrics` for Prometheus. No operation of the API: it has a token and an address list of its own, and is closed when
//! neither is set, for names of pipelines and the pace of a company's work are nobody's business.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use poem::http::StatusCode;
use poem::{IntoResponse as _, Request, Response};
use zeroize::Zeroizing;

use super::Api;
use super::problem::ApiError;
use crate::domain::forwarded::Origin;
use crate::meters::{self, ChoreMoment, DiskMoment, Moment};

/// How long the database and Docker are waited for.
const WITHIN: Duration = Duration::from_secs(2);

/// Who may read the figures.
#[derive(Clone, Default)]
pub struct MetricsAccess {
    /// Whoever shows this.
    pub token: Option<Arc<Zeroizing<String>>>,
    /// Whoever comes from here.
    pub allow: Arc<[IpNet]>,
    /// Folders whose disks are told of.
    pub folders: Vec<(&'static str, std::path::PathBuf)>,
}

impl MetricsAccess {
    fn check(&self, request: &Request) -> Result<(), ApiError> {
        if self.token.is_none() && self.allow.is_empty() {
            let detail = "Nobody may read the figures of this server yet. Set METRICS_TOKEN (and send it as Authorization: \
                          Bearer …) or METRICS_ALLOW (addresses that need no token), and start the server again.";
            return Err(ApiError::forbidden("metrics_closed", detail));
        }
        let ip = request.extensions().get::<Origin>().and_then(|origin| origin.ip);
        if ip.is_some_and(|ip| self.allow.iter().any(|network| network.contains(&ip.to_canonical()))) {
            return Ok(());
        }
        let Some(token) = &self.token else {
            let from = ip.map_or_else(|| "an unknown address".to_owned(), |ip| ip.to_string());
            let detail = format!("{from} is not in METRICS_ALLOW; add it there, or set METRICS_TOKEN and send that.");
            return Err(ApiError::forbidden("metrics_address", detail));
        };
        let shown = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        match shown {
            Some(shown) if crate::crypto::same(shown.trim().as_bytes(), token.as_bytes()) => Ok(()),
            _ => {
                let detail = "The figures need the token of METRICS_TOKEN, as Authorization: Bearer …; a user's or API \
                              token does not open them.";
                Err(ApiError::metrics_token(detail))
            }
        }
    }
}

pub(super) async fn metrics(api: &Api, request: &Request) -> Response {
    if let Err(refused) = api.metrics.check(request) {
        return refused.into_response();
    }
    let moment = moment(api).await;
    // Reading /proc blocks, though not for long.
    match tokio::task::spawn_blocking(move || meters::render(&moment)).await {
        Ok(text) => Response::builder().content_type(meters::CONTENT_TYPE).body(text),
        Err(error) => {
            let mut answer = ApiError::internal(&error).into_response();
            answer.set_status(StatusCode::INTERNAL_SERVER_ERROR);
            answer
        }
    }
}

async fn moment(api: &Api) -> Moment {
    let (database, docker) = tokio::join!(api.store.ping(WITHIN), tokio::time::timeout(WITHIN, api.runs.ping_docker()));
    let (load, options, warm) = (api.runs.load(), api.runs.options(), api.runs.warm_pool());
    let (leads, others) = api.runs.standing();
    let snapshot = api.catalog.snapshot();
    let sync = api.sync.status();
    #[expect(clippy::cast_precision_loss, reason = "exact for the next 280,000 years")]
    let seconds = |at: chrono::DateTime<chrono::Utc>| at.timestamp_millis() as f64 / 1000.0;
    let chores = api.upkeep.report().into_iter().filter_map(|chore| {
        Some(ChoreMoment {
            name: chore.name,
            at: seconds(chore.last_run_at?),
            ok: chore.last_error.is_none(),
            seconds: chore.last_duration_seconds.unwrap_or_default(),
        })
    });
    let disks = api.metrics.folders.iter().filter_map(|(folder, path)| {
        let stat = rustix::fs::statvfs(path).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Some(DiskMoment { folder, free: bytes(stat.f_bavail), size: bytes(stat.f_blocks) })
    });
    Moment {
        version: env!("CARGO_PKG_VERSION"),
        database: api.store.kind(),
        running: load.running,
        queued: load.queued,
        max_running: options.max_concurrent,
        max_queued: options.max_queued,
        parked: warm.ready,
        parked_wanted: warm.wanted,
        leads,
        others,
        pipelines: snapshot.pipelines.len(),
        invalid_pipelines: sync.invalid.len(),
        database_up: database.is_ok(),
        docker_up: docker.is_ok_and(|answer| answer.is_ok()),
        synced_at: sync.last_sync_at.map(seconds),
        sync_ok: sync.last_error.is_none(),
        chores: chores.collect(),
        disks: disks.collect(),
    }
}
