//! Pipelines: what there is, the switch, starts and counters.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastflow_shared::{
    Pipeline, PipelineStats, PipelineSwitch, Run, RunPage, SourceEntry, SourceFile, SourceList, StartRun, Trigger,
};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::problem::{ApiError, ApiResult};
use super::runs::{RunQuery, wrong};
use super::security::{Access, Caller};
use super::{Api, Tag};
use crate::catalog;
use crate::domain::clock::Millis;
use crate::runs::Start;
use crate::store::{PipelineRow, RunFilter, RunOrder, StoreError};

/// Latest runs shown with a pipeline.
const LATEST: u32 = 20;

/// The operations.
pub struct PipelinesApi(pub Api);

/// Answer to a start.
#[derive(ApiResponse)]
pub enum Started {
    /// Accepted: it runs, or waits in the queue.
    #[oai(status = 201)]
    Created(
        Json<Run>,
        /// Address of the run.
        #[oai(header = "Location")]
        String,
    ),
}

impl Started {
    pub(super) fn new(run: Run) -> Self {
        let location = fastflow_shared::routes::run(&run.id);
        Self::Created(Json(run), location)
    }
}

/// Answer to a deletion.
#[derive(ApiResponse)]
pub enum PipelineDeleted {
    /// Deleted.
    #[oai(status = 204)]
    Done,
}

pub(super) fn trigger(caller: &Caller) -> Trigger {
    if caller.by_cookie { Trigger::Manual } else { Trigger::Api }
}

#[OpenApi(tag = "Tag::Pipelines")]
impl PipelinesApi {
    /// List pipelines
    #[oai(path = "/pipelines", method = "get", operation_id = "listPipelines")]
    async fn list(
        &self,
        _access: Access,
        /// How many of the latest runs come along with each, from 0 to 20; 20 when nothing is said.
        latest_runs: Query<Option<u32>>,
    ) -> ApiResult<Json<Vec<Pipeline>>> {
        let latest_runs = latest_runs.0.unwrap_or(LATEST);
        if latest_runs > LATEST {
            return Err(wrong("latest_runs", format!("must be from 0 to {LATEST}")));
        }
        let snapshot = self.0.catalog.snapshot();
        let rows = self.0.store.pipelines().await?;
        let mut latest = match latest_runs {
            0 => BTreeMap::new(),
            most => self.0.store.latest_runs(most).await?,
        };
        let mut rows: std::collections::HashMap<_, _> = rows.into_iter().map(|row| (row.name.clone(), row)).collect();
        let commit = snapshot.head.as_ref().map(|head| head.commit.clone());
        let show = |pipeline: &Arc<catalog::Pipeline>| {
            let runs = latest.remove(&pipeline.name).unwrap_or_default();
            self.show(pipeline, rows.remove(&pipeline.name), runs, commit.clone())
        };
        Ok(Json(snapshot.pipelines.values().map(show).collect()))
    }

    /// Get a pipeline
    #[oai(path = "/pipelines/:name", method = "get", operation_id = "getPipeline")]
    async fn get(&self, _access: Access, name: Path<String>) -> ApiResult<Json<Pipeline>> {
        self.one(&name).await
    }

    /// Switch a pipeline on or off
    ///
    /// A pipeline that is switched off cannot be started by anybody; what runs goes on.
    #[oai(path = "/pipelines/:name", method = "patch", operation_id = "switchPipeline")]
    async fn switch(
        &self,
        _access: Access,
        name: Path<String>,
        body: Json<PipelineSwitch>,
    ) -> ApiResult<Json<Pipeline>> {
        self.known(&name)?;
        self.0.store.set_enabled(&name, body.enabled).await?;
        self.announce(&name);
        self.one(&name).await
    }

    /// Delete a pipeline
    ///
    /// With its folder and its schedules; its runs that have not ended are cancelled, ended ones stay. When it has schedules or
    /// such runs, this needs `confirm=true` and is refused with what they are otherwise. A pipeline of a git repository is
    /// deleted there; once it is gone, this cleans up after it.
    #[oai(path = "/pipelines/:name", method = "delete", operation_id = "deletePipeline")]
    async fn delete(
        &self,
        _access: Access,
        name: Path<String>,
        /// Whether its schedules and runs may go as well.
        confirm: Query<Option<bool>>,
    ) -> ApiResult<PipelineDeleted> {
        self.0.schedule.remove_pipeline(&name, confirm.0 == Some(true)).await?;
        self.announce(&name);
        Ok(PipelineDeleted::Done)
    }

    /// Start a pipeline
    ///
    /// Starts at once when a slot is free, and otherwise waits in the queue.
    #[oai(path = "/pipelines/:name/run", method = "post", operation_id = "startPipeline")]
    async fn start(&self, access: Access, name: Path<String>, body: Json<Option<StartRun>>) -> ApiResult<Started> {
        let caller = access.caller();
        let StartRun { parameters, env_vars } = body.0.unwrap_or_default();
        let by = Some(caller.identity.user.username.clone());
        let start = Start { parameters, env_vars, triggered_by: by, ..Start::default() };
        Ok(Started::new(self.0.runs.launch(&name, trigger(caller), start).await?))
    }

    /// List runs of a pipeline
    #[oai(path = "/pipelines/:name/runs", method = "get", operation_id = "listPipelineRuns")]
    async fn runs(
        &self,
        _access: Access,
        name: Path<String>,
        /// From the page before.
        cursor: Query<Option<String>>,
        /// Rows per page, from 1 to 500.
        limit: Query<Option<u32>>,
    ) -> ApiResult<Json<RunPage>> {
        let filter = RunFilter { pipeline: Some(name.0), ..RunFilter::default() };
        let RunQuery { cursor, limit } = RunQuery::parse(RunOrder::NewestFirst, cursor.0.as_deref(), limit.0)?;
        Ok(Json(self.0.runs.page(&filter, RunOrder::NewestFirst, cursor.as_ref(), limit).await?))
    }

    /// List the files of a pipeline
    ///
    /// Of the code that a start now would use; hidden files and links are left out.
    #[oai(path = "/pipelines/:name/files", method = "get", operation_id = "listPipelineFiles")]
    async fn files(&self, _access: Access, name: Path<String>) -> ApiResult<Json<SourceList>> {
        let pipeline = self.known(&name)?;
        let found = self.0.catalog.files(&pipeline).await?;
        let files =
            found.files.into_iter().map(|file| SourceEntry { path: file.path, bytes: size(file.bytes) }).collect();
        let commit = self.0.catalog.commit_of(&pipeline).map(|head| head.commit);
        Ok(Json(SourceList { commit, files, truncated: found.truncated }))
    }

    /// Get a file of a pipeline
    ///
    /// Its text, at most 256 KiB of it; without a text when it is none.
    #[oai(path = "/pipelines/:name/file", method = "get", operation_id = "getPipelineFile")]
    async fn file(
        &self,
        _access: Access,
        name: Path<String>,
        /// Path from the list of files.
        path: Query<String>,
    ) -> ApiResult<Json<SourceFile>> {
        let pipeline = self.known(&name)?;
        let Some(found) = self.0.catalog.file(&pipeline, &path).await? else {
            let detail =
                format!("The pipeline has no file {:?} that can be shown. Its files are listed at …/files.", path.0);
            return Err(ApiError::not_found("file_not_found", detail));
        };
        let catalog::source::Content { bytes, text, truncated } = found;
        Ok(Json(SourceFile { path: path.0, bytes: size(bytes), text, truncated }))
    }

    /// Get the counters of a pipeline
    #[oai(path = "/pipelines/:name/stats", method = "get", operation_id = "getPipelineStats")]
    async fn stats(&self, _access: Access, name: Path<String>) -> ApiResult<Json<PipelineStats>> {
        Ok(Json(self.row(&name).await?.stats))
    }

    /// Set the counters of a pipeline to zero
    #[oai(path = "/pipelines/:name/stats/reset", method = "post", operation_id = "resetPipelineStats")]
    async fn reset_stats(&self, _access: Access, name: Path<String>) -> ApiResult<Json<PipelineStats>> {
        self.row(&name).await?;
        self.0.store.reset_stats(&name, self.0.clock.now()).await?;
        self.announce(&name);
        Ok(Json(self.row(&name).await?.stats))
    }
}

impl PipelinesApi {
    fn known(&self, name: &str) -> ApiResult<Arc<catalog::Pipeline>> {
        self.0.catalog.pipeline(name).ok_or_else(|| unknown(name))
    }

    async fn row(&self, name: &str) -> ApiResult<PipelineRow> {
        match self.0.store.pipeline(name).await {
            Err(StoreError::NotFound { .. }) => Err(unknown(name)),
            other => Ok(other?),
        }
    }

    async fn one(&self, name: &str) -> ApiResult<Json<Pipeline>> {
        let pipeline = self.known(name)?;
        let row = self.row(name).await.ok();
        let runs = self.0.store.latest_runs_of(name, LATEST).await?;
        let commit = self.0.catalog.snapshot().head.as_ref().map(|head| head.commit.clone());
        Ok(Json(self.show(&pipeline, row, runs, commit)))
    }

    fn announce(&self, name: &str) {
        self.0.runs.announce(fastflow_shared::LiveEvent {
            kind: "pipeline".to_owned(),
            id: name.to_owned(),
            pipeline_name: Some(name.to_owned()),
            status: None,
        });
    }

    fn show(
        &self,
        pipeline: &catalog::Pipeline,
        row: Option<PipelineRow>,
        latest_runs: Vec<fastflow_shared::RunSummary>,
        commit: Option<String>,
    ) -> Pipeline {
        let settings = &pipeline.settings;
        let readiness = self.0.sync.readiness(pipeline);
        let (queued, running) = self.0.runs.count(&pipeline.name);
        let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        let to_i64 = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let in_repository = settings.enabled.unwrap_or(true);
        let by_operator = row.as_ref().is_none_or(|row| row.enabled_by_operator);
        let first_seen = row.as_ref().map_or_else(|| self.0.clock.now(), |row| row.first_seen_at);
        Pipeline {
            name: pipeline.name.clone(),
            description: settings.description.clone(),
            tags: settings.tags.clone(),
            enabled: in_repository && by_operator,
            enabled_in_repository: in_repository,
            enabled_by_operator: by_operator,
            valid: pipeline.is_valid(),
            problems: pipeline.problems.clone(),
            has_requirements: pipeline.has_requirements,
            environment_state: readiness.state,
            environment_error: readiness.error,
            last_cache_warmup: row.as_ref().and_then(|row| row.last_cache_warmup).map(Millis::to_utc),
            cpu_hard_limit: settings.cpu_hard_limit,
            mem_hard_limit: settings.mem_hard_limit.map(to_i64),
            cpu_soft_limit: settings.cpu_soft_limit,
            mem_soft_limit: settings.mem_soft_limit.map(to_i64),
            timeout: settings.timeout,
            retry_attempts: settings.retry_attempts.and_then(|attempts| i32::try_from(attempts).ok()),
            default_env: settings.default_env.clone(),
            secrets: settings.secrets.clone(),
            encrypted_env: settings.encrypted_env.keys().cloned().collect(),
            parameters: settings.parameters.clone(),
            commit,
            queued: count(queued),
            running: count(running),
            latest_runs,
            stats: row.map(|row| row.stats).unwrap_or_default(),
            discovered_at: first_seen.to_utc(),
        }
    }
}

fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn unknown(name: &str) -> ApiError {
    ApiError::no_pipeline(name)
}
