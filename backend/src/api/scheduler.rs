//! Jobs that start pipelines by the clock, what became of their due times, and what is to come.

use chrono::{DateTime, Utc};
use fastflow_shared::{FiringPage, Job, JobDraft, JobSwitch, Outlook, Preview, TriggerDraft};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::pipelines::{Started, trigger};
use super::problem::ApiResult;
use super::runs::wrong;
use super::security::Access;
use super::{Api, Tag};
use crate::domain::clock::Millis;
use crate::domain::zone::Zone;

/// Most due times per answer.
const MAX_NEXT: u32 = 100;

/// Most rows of a page.
const MAX_LIMIT: u32 = 500;

/// The operations.
pub struct SchedulerApi(pub Api);

/// Answer to a new job.
#[derive(ApiResponse)]
pub enum JobCreated {
    /// Stored.
    #[oai(status = 201)]
    Created(
        Json<Job>,
        /// Address of the job.
        #[oai(header = "Location")]
        String,
    ),
}

/// Answer to a deletion.
#[derive(ApiResponse)]
pub enum JobDeleted {
    /// Deleted.
    #[oai(status = 204)]
    Done,
}

#[OpenApi(tag = "Tag::Schedules")]
impl SchedulerApi {
    /// List the jobs
    ///
    /// Those of the pipelines' files and those that people made. A job that cannot start anything is among them, with its
    /// `problem`.
    #[oai(path = "/scheduler/jobs", method = "get", operation_id = "listJobs")]
    async fn list(
        &self,
        _access: Access,
        /// Name of a pipeline.
        pipeline: Query<Option<String>>,
    ) -> ApiResult<Json<Vec<Job>>> {
        let pipeline = pipeline.0.filter(|name| !name.is_empty());
        Ok(Json(self.0.schedule.jobs(pipeline.as_deref()).await?))
    }

    /// Make a job
    #[oai(path = "/scheduler/jobs", method = "post", operation_id = "createJob")]
    async fn create(&self, access: Access, body: Json<JobDraft>) -> ApiResult<JobCreated> {
        let caller = access.caller();
        let job = self.0.schedule.create(body.0, &caller.identity.user.username).await?;
        self.announce(&job.pipeline_name);
        let location = fastflow_shared::routes::job(&job.id);
        Ok(JobCreated::Created(Json(job), location))
    }

    /// Get a job
    #[oai(path = "/scheduler/jobs/:id", method = "get", operation_id = "getJob")]
    async fn get(&self, _access: Access, id: Path<String>) -> ApiResult<Json<Job>> {
        Ok(Json(self.0.schedule.job(&id).await?))
    }

    /// Change a job
    ///
    /// Replaces it as a whole; it is due next as if it were new. A job of the repository is changed there (409).
    #[oai(path = "/scheduler/jobs/:id", method = "put", operation_id = "changeJob")]
    async fn change(&self, _access: Access, id: Path<String>, body: Json<JobDraft>) -> ApiResult<Json<Job>> {
        let job = self.0.schedule.update(&id, body.0).await?;
        self.announce(&job.pipeline_name);
        Ok(Json(job))
    }

    /// Pause a job, or let it go on
    ///
    /// A pause survives syncs. What was due meanwhile is not made up for.
    #[oai(path = "/scheduler/jobs/:id", method = "patch", operation_id = "switchJob")]
    async fn switch(&self, _access: Access, id: Path<String>, body: Json<JobSwitch>) -> ApiResult<Json<Job>> {
        let job = self.0.schedule.switch(&id, body.enabled).await?;
        self.announce(&job.pipeline_name);
        Ok(Json(job))
    }

    /// Delete a job
    ///
    /// With its history; what it has started goes on. A job of the repository is deleted there (409), unless its pipeline is
    /// gone.
    #[oai(path = "/scheduler/jobs/:id", method = "delete", operation_id = "deleteJob")]
    async fn delete(&self, _access: Access, id: Path<String>) -> ApiResult<JobDeleted> {
        self.0.schedule.delete(&id).await?;
        self.announce("");
        Ok(JobDeleted::Done)
    }

    /// Start a job now
    ///
    /// With its values and limits, beside its due times and whether it is paused or not.
    #[oai(path = "/scheduler/jobs/:id/run", method = "post", operation_id = "runJob")]
    async fn run(&self, access: Access, id: Path<String>) -> ApiResult<Started> {
        let caller = access.caller();
        let by = caller.identity.user.username.clone();
        Ok(Started::new(self.0.schedule.run_now(&id, trigger(caller), &by).await?))
    }

    /// Get the next due times of a job
    #[oai(path = "/scheduler/jobs/:id/next", method = "get", operation_id = "getJobOutlook")]
    async fn next(
        &self,
        _access: Access,
        id: Path<String>,
        /// How many, from 1 to 100; 5 when absent.
        count: Query<Option<u32>>,
    ) -> ApiResult<Json<Outlook>> {
        Ok(Json(self.0.schedule.next(&id, next_count(count.0)?).await?))
    }

    /// List what became of a job's due times
    ///
    /// Newest first, with the runs that they started, and the starts by hand.
    #[oai(path = "/scheduler/jobs/:id/firings", method = "get", operation_id = "listJobFirings")]
    async fn firings(
        &self,
        _access: Access,
        id: Path<String>,
        /// From the page before.
        cursor: Query<Option<String>>,
        /// Rows per page, from 1 to 500; 50 when absent.
        limit: Query<Option<u32>>,
    ) -> ApiResult<Json<FiringPage>> {
        let limit = limit.0.unwrap_or(50);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(wrong("limit", format!("must be from 1 to {MAX_LIMIT}")));
        }
        let not_ours = || wrong("cursor", "is not one that a page gave".to_owned());
        let before = cursor.0.map(|text| text.parse().map(Millis).map_err(|_| not_ours())).transpose()?;
        Ok(Json(self.0.schedule.history(&id, before, limit).await?))
    }

    /// Explain a trigger
    ///
    /// In words, with its next due times and what changes of the clock (summer time) do to it within a year. It need not be
    /// stored; one that cannot be read is answered with 422 and how to mend it.
    #[oai(path = "/scheduler/explain", method = "post", operation_id = "explainTrigger")]
    async fn explain(
        &self,
        _access: Access,
        body: Json<TriggerDraft>,
        /// How many due times, from 1 to 100; 5 when absent.
        count: Query<Option<u32>>,
    ) -> ApiResult<Json<Outlook>> {
        Ok(Json(self.0.schedule.explain(&body.0, next_count(count.0)?)?))
    }

    /// Tell what fired and what would fire
    ///
    /// Between two instants, at most a year apart. Up to the present it is what happened; from then on the scheduler's own
    /// decisions are played, with runs that take as long as those of their pipeline take on average, and without the limit
    /// of concurrent runs, which only delays.
    #[oai(path = "/scheduler/preview", method = "get", operation_id = "previewSchedules")]
    async fn preview(
        &self,
        _access: Access,
        /// The first instant.
        from: Query<DateTime<Utc>>,
        /// The instant after the last.
        to: Query<DateTime<Utc>>,
        /// Name of a pipeline.
        pipeline: Query<Option<String>>,
    ) -> ApiResult<Json<Preview>> {
        let pipeline = pipeline.0.filter(|name| !name.is_empty());
        let (from, to) = (Millis::from(from.0), Millis::from(to.0));
        Ok(Json(self.0.schedule.preview(from, to, pipeline.as_deref()).await?))
    }

    /// List the names of time zones
    #[oai(path = "/scheduler/zones", method = "get", operation_id = "listTimeZones")]
    async fn zones(&self, _access: Access) -> ApiResult<Json<Vec<String>>> {
        Ok(Json(Zone::names().into_iter().map(str::to_owned).collect()))
    }
}

impl SchedulerApi {
    fn announce(&self, pipeline: &str) {
        self.0.runs.announce(fastflow_shared::LiveEvent {
            kind: "job".to_owned(),
            id: String::new(),
            pipeline_name: (!pipeline.is_empty()).then(|| pipeline.to_owned()),
            status: None,
        });
    }
}

fn next_count(count: Option<u32>) -> ApiResult<usize> {
    let count = count.unwrap_or(5);
    if (1..=MAX_NEXT).contains(&count) {
        Ok(count as usize)
    } else {
        Err(wrong("count", format!("must be from 1 to {MAX_NEXT}")))
    }
}
