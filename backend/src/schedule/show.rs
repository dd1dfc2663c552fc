//! Jobs and firings as they are shown.

use fastflow_shared::{
    CatchUpPolicy, Firing, FiringPage, FiringStatus, Job, JobOverrides, OverlapPolicy, Sentence, TriggerType,
};

use super::tick::{policy, timetable};
use super::{Schedule, ScheduleError};
use crate::catalog::Snapshot;
use crate::domain::clock::Millis;
use crate::domain::firing::{CatchUp, Overlap};
use crate::domain::schedules::Overrides;
use crate::domain::trigger::Timetable;
use crate::domain::trigger_words::{self, Language};
use crate::store::{FiringRow, FiringState, JobRow, StoreError};

impl Schedule {
    /// All jobs, or those of one pipeline.
    ///
    /// # Errors
    /// The database.
    pub async fn jobs(&self, pipeline: Option<&str>) -> Result<Vec<Job>, ScheduleError> {
        // Whoever has just synced expects to see the jobs of that code.
        self.adopt().await?;
        let snapshot = self.catalog.snapshot();
        let rows = self.store.jobs().await?.into_iter();
        let wanted = rows.filter(|row| pipeline.is_none_or(|name| row.job.pipeline_name == name));
        Ok(wanted.map(|row| show(row, &snapshot)).collect())
    }

    /// One job.
    ///
    /// # Errors
    /// [`ScheduleError::UnknownJob`], or the database.
    pub async fn job(&self, id: &str) -> Result<Job, ScheduleError> {
        self.adopt().await?;
        Ok(show(self.row(id).await?, &self.catalog.snapshot()))
    }

    /// What became of a job's due times before `before`, newest first.
    ///
    /// # Errors
    /// [`ScheduleError::UnknownJob`], or the database.
    pub async fn history(&self, id: &str, before: Option<Millis>, limit: u32) -> Result<FiringPage, ScheduleError> {
        self.row(id).await?;
        let rows = self.store.firings(id, before, limit).await?;
        let is_full = rows.len() == limit as usize;
        let next_cursor = rows.last().filter(|_| is_full).map(|row| row.due_at.0.to_string());
        Ok(FiringPage { items: rows.into_iter().map(show_firing).collect(), next_cursor })
    }

    pub(super) async fn row(&self, id: &str) -> Result<JobRow, ScheduleError> {
        match self.store.job(id).await {
            Err(StoreError::NotFound { .. }) => Err(ScheduleError::UnknownJob(id.to_owned())),
            other => Ok(other?),
        }
    }
}

pub(super) fn sentence(timetable: &Timetable) -> Sentence {
    let say = |language| trigger_words::sentence(timetable, language);
    Sentence { en: say(Language::English), de: say(Language::German) }
}

fn show(row: JobRow, snapshot: &Snapshot) -> Job {
    let timetable = timetable(&row);
    let policy = policy(&row);
    let JobRow { job, created_at, updated_at, last_run_at, last_run_id, .. } = row;
    let problem = job.problem.or_else(|| timetable.as_ref().err().map(ToString::to_string));
    let problem = problem.or_else(|| match snapshot.pipelines.get(&job.pipeline_name) {
        None => Some("its pipeline is gone".to_owned()),
        Some(pipeline) if !pipeline.is_valid() => Some("its pipeline is invalid".to_owned()),
        Some(_) => None,
    });
    let enabled = job.enabled && !job.paused;
    let small = |number: Option<i64>| number.and_then(|number| i32::try_from(number).ok());
    Job {
        id: job.id,
        name: job.name,
        pipeline_name: job.pipeline_name,
        trigger_type: match job.trigger_type.as_str() {
            "interval" => TriggerType::Interval,
            "once" => TriggerType::Once,
            _ => TriggerType::Cron,
        },
        trigger_value: job.trigger_value,
        time_zone: job.time_zone,
        sentence: timetable.as_ref().map(sentence).unwrap_or_default(),
        start_at: job.start_at.map(Millis::to_utc),
        end_at: job.end_at.map(Millis::to_utc),
        enabled,
        paused: job.paused,
        source: job.source,
        catch_up: match policy.catch_up {
            CatchUp::Skip => CatchUpPolicy::Skip,
            CatchUp::Latest => CatchUpPolicy::Latest,
            CatchUp::All { .. } => CatchUpPolicy::All,
        },
        catch_up_limit: small(job.catch_up_limit),
        catch_up_max_age_seconds: job.catch_up_max_age,
        overlap: match policy.overlap {
            Overlap::Allow => OverlapPolicy::Allow,
            Overlap::Skip => OverlapPolicy::Skip,
            Overlap::Queue => OverlapPolicy::Queue,
            Overlap::CancelPrevious => OverlapPolicy::CancelPrevious,
        },
        max_instances: small(job.max_instances),
        parameters: job.parameters,
        overrides: show_overrides(&job.overrides),
        created_by: job.created_by,
        created_at: created_at.to_utc(),
        updated_at: updated_at.to_utc(),
        next_run_at: job.next_run_at.filter(|_| enabled).map(Millis::to_utc),
        last_run_at: last_run_at.map(Millis::to_utc),
        last_run_id,
        problem,
    }
}

fn show_overrides(overrides: &Overrides) -> JobOverrides {
    let bytes = |size: Option<u64>| size.map(|size| i64::try_from(size).unwrap_or(i64::MAX));
    JobOverrides {
        cpu_hard_limit: overrides.cpu_hard_limit,
        mem_hard_limit: bytes(overrides.mem_hard_limit),
        cpu_soft_limit: overrides.cpu_soft_limit,
        mem_soft_limit: bytes(overrides.mem_soft_limit),
        timeout: overrides.timeout,
        retry_attempts: overrides.retry_attempts.and_then(|attempts| i32::try_from(attempts).ok()),
    }
}

pub(super) fn show_firing(row: FiringRow) -> Firing {
    Firing {
        job_id: row.job_id,
        pipeline_name: row.pipeline_name,
        due_at: row.due_at.to_utc(),
        status: match row.state {
            FiringState::Started => FiringStatus::Started,
            FiringState::Waiting => FiringStatus::Waiting,
            FiringState::LeftOut => FiringStatus::LeftOut,
            FiringState::Failed => FiringStatus::Failed,
            FiringState::ByHand => FiringStatus::ByHand,
        },
        starts_at: row.started_at.map(Millis::to_utc),
        due_times: row.due_times,
        until: row.until.map(Millis::to_utc),
        run: row.run,
        reason: row.result,
    }
}
