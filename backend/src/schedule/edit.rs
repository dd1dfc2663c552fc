//! Jobs that people make, and what people may do to any job.

use fastflow_shared::{
    CatchUpPolicy, FieldProblem, Job, JobDraft, JobOverrides, OverlapPolicy, Run, Trigger, TriggerType,
};

use super::tick::{start_of, timetable};
use super::{Keep, Schedule, ScheduleError};
use crate::domain::clock::Millis;
use crate::domain::env;
use crate::domain::schedules::Overrides;
use crate::domain::size::MIN_MEMORY;
use crate::domain::trigger::{BadTrigger, Timetable};
use crate::store::{JobRow, NewJob, REPOSITORY};

/// Source of the jobs that people make.
const API: &str = "api";

/// Longest name of a job in characters.
const MAX_NAME: usize = 100;

impl Schedule {
    /// Makes a job.
    ///
    /// # Errors
    /// [`ScheduleError::BadJob`] with every mistake, or the database.
    pub async fn create(&self, draft: JobDraft, by: &str) -> Result<Job, ScheduleError> {
        let now = self.clock.now();
        let job = NewJob { created_by: Some(by.to_owned()), ..self.read_draft(draft, now)? };
        self.store.insert_job(&job, now).await?;
        self.job(&job.id).await
    }

    /// Changes a job. It is due next as if it were new.
    ///
    /// # Errors
    /// [`ScheduleError::UnknownJob`], [`ScheduleError::InRepository`], [`ScheduleError::BadJob`], or the database.
    pub async fn update(&self, id: &str, draft: JobDraft) -> Result<Job, ScheduleError> {
        let now = self.clock.now();
        let row = self.row(id).await?;
        if row.job.source == REPOSITORY {
            return Err(in_repository(&row));
        }
        let job = NewJob { id: row.job.id, created_by: row.job.created_by, ..self.read_draft(draft, now)? };
        self.store.update_job(&job, now).await?;
        self.job(id).await
    }

    /// Deletes a job with its history. What it has started goes on. A job of the repository can be deleted only when its
    /// pipeline is gone, for the next sync would bring it back.
    ///
    /// # Errors
    /// [`ScheduleError::UnknownJob`], [`ScheduleError::InRepository`], or the database.
    pub async fn delete(&self, id: &str) -> Result<(), ScheduleError> {
        let row = self.row(id).await?;
        if row.job.source == REPOSITORY && self.catalog.pipeline(&row.job.pipeline_name).is_some() {
            return Err(in_repository(&row));
        }
        Ok(self.store.delete_job(id).await?)
    }

    /// Pauses a job, or lets it go on from now: what was due meanwhile is not made up for.
    ///
    /// # Errors
    /// [`ScheduleError::UnknownJob`], or the database.
    pub async fn switch(&self, id: &str, enabled: bool) -> Result<Job, ScheduleError> {
        let now = self.clock.now();
        let row = self.row(id).await?;
        if row.job.paused == enabled {
            let next = timetable(&row).ok().and_then(|timetable| timetable.next_after(now));
            self.store.set_job_paused(id, !enabled, next, now).await?;
        }
        self.job(id).await
    }

    /// Starts a job's run now, beside its due times.
    ///
    /// # Errors
    /// [`ScheduleError::UnknownJob`], [`ScheduleError::Launch`] when it is refused, or the database.
    pub async fn run_now(&self, id: &str, trigger: Trigger, by: &str) -> Result<Run, ScheduleError> {
        let row = self.row(id).await?;
        let now = self.clock.now();
        let mut start = start_of(&row, now);
        start.triggered_by = Some(by.to_owned());
        let keep = Keep::ByHand(&row.job.id, by, now);
        let run = self.launcher.launch(&row.job.pipeline_name, trigger, start, &self.store, keep).await?;
        // Only a due time, or another start, in this very millisecond keeps it from being stored.
        run.ok_or_else(|| ScheduleError::BadSpan("the job was started in this very moment; try again".to_owned()))
    }

    /// Checks what a job is to be.
    fn read_draft(&self, draft: JobDraft, now: Millis) -> Result<NewJob, ScheduleError> {
        let zone = draft.time_zone.clone().unwrap_or_else(|| self.options.time_zone.name().to_owned());
        let (start, end) = (draft.start_at.map(Millis::from), draft.end_at.map(Millis::from));
        let kind = kind_of(draft.trigger_type);
        let timetable = Timetable::parse(kind, &draft.trigger_value, &zone, start, end);
        let next = timetable.as_ref().ok().and_then(|timetable| timetable.next_after(now));
        let mut problems = Vec::new();
        let mut problem = |field: &str, message: String| {
            problems.push(FieldProblem { field: field.to_owned(), message });
        };
        match &timetable {
            Err(error) => problem(field_of(error), error.to_string()),
            Ok(_) if next.is_none() => {
                problem("trigger_value", "it would never fire: all its times have passed".to_owned());
            }
            Ok(_) => {}
        }
        let name = draft.name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        if name.as_ref().is_some_and(|name| name.chars().count() > MAX_NAME) {
            problem("name", format!("a name has at most {MAX_NAME} characters"));
        }
        if self.catalog.pipeline(&draft.pipeline_name).is_none() {
            let there = format!("there is no pipeline {:?}; a job starts one that is there", draft.pipeline_name);
            problem("pipeline_name", there);
        }
        for (field, value) in [
            ("catch_up_limit", draft.catch_up_limit.map(i64::from)),
            ("catch_up_max_age_seconds", draft.catch_up_max_age_seconds),
            ("max_instances", draft.max_instances.map(i64::from)),
        ] {
            if value.is_some_and(|value| value < 1) {
                problem(field, "it is a whole number above 0".to_owned());
            }
        }
        for (name, value) in &draft.parameters {
            if let Err(error) = env::check(name, value) {
                problem("parameters", error.to_string());
            }
        }
        let overrides = read_overrides(&draft.overrides.clone().unwrap_or_default(), &mut problem);
        if !problems.is_empty() {
            return Err(ScheduleError::BadJob(problems));
        }
        Ok(NewJob {
            id: uuid::Uuid::now_v7().to_string(),
            pipeline_name: draft.pipeline_name,
            name,
            trigger_type: kind.to_owned(),
            trigger_value: draft.trigger_value.trim().to_owned(),
            time_zone: zone,
            enabled: true,
            paused: draft.paused,
            source: API.to_owned(),
            source_id: None,
            start_at: start,
            end_at: end,
            catch_up: catch_up_of(draft.catch_up).to_owned(),
            catch_up_limit: draft.catch_up_limit.map(i64::from),
            catch_up_max_age: draft.catch_up_max_age_seconds,
            overlap: overlap_of(draft.overlap).to_owned(),
            max_instances: draft.max_instances.map(i64::from),
            parameters: draft.parameters,
            overrides,
            created_by: None,
            next_run_at: next,
            problem: None,
        })
    }
}

fn in_repository(row: &JobRow) -> ScheduleError {
    let name = row.job.name.clone().unwrap_or_else(|| row.job.trigger_type.clone());
    ScheduleError::InRepository(name, row.job.pipeline_name.clone())
}

/// The stored word for a kind of trigger.
pub(super) const fn kind_of(kind: TriggerType) -> &'static str {
    match kind {
        TriggerType::Cron => "cron",
        TriggerType::Interval => "interval",
        TriggerType::Once => "once",
    }
}

/// The field of a request that a mistake in a trigger belongs to.
pub(super) const fn field_of(error: &BadTrigger) -> &'static str {
    match error {
        BadTrigger::Zone(_) => "time_zone",
        BadTrigger::Window => "end_at",
        _ => "trigger_value",
    }
}

const fn catch_up_of(policy: CatchUpPolicy) -> &'static str {
    match policy {
        CatchUpPolicy::Skip => "skip",
        CatchUpPolicy::Latest => "latest",
        CatchUpPolicy::All => "all",
    }
}

const fn overlap_of(policy: OverlapPolicy) -> &'static str {
    match policy {
        OverlapPolicy::Allow => "allow",
        OverlapPolicy::Skip => "skip",
        OverlapPolicy::Queue => "queue",
        OverlapPolicy::CancelPrevious => "cancel_previous",
    }
}

fn read_overrides(overrides: &JobOverrides, problem: &mut impl FnMut(&str, String)) -> Overrides {
    for (field, cores) in [("cpu_hard_limit", overrides.cpu_hard_limit), ("cpu_soft_limit", overrides.cpu_soft_limit)] {
        if cores.is_some_and(|cores| !(0.01..=4096.0).contains(&cores)) {
            problem(field, "it is a number of cores from 0.01 to 4096".to_owned());
        }
    }
    for (field, least, value) in [
        ("mem_hard_limit", MIN_MEMORY.cast_signed(), overrides.mem_hard_limit),
        ("mem_soft_limit", 1, overrides.mem_soft_limit),
        ("timeout", 0, overrides.timeout),
        ("retry_attempts", 0, overrides.retry_attempts.map(i64::from)),
    ] {
        if value.is_some_and(|value| value < least) {
            problem(field, format!("it is a whole number, at least {least}"));
        }
    }
    if overrides.retry_attempts.is_some_and(|attempts| attempts > 100) {
        problem("retry_attempts", "there are at most 100 further attempts".to_owned());
    }
    Overrides {
        cpu_hard_limit: overrides.cpu_hard_limit,
        mem_hard_limit: overrides.mem_hard_limit.and_then(|bytes| u64::try_from(bytes).ok()),
        cpu_soft_limit: overrides.cpu_soft_limit,
        mem_soft_limit: overrides.mem_soft_limit.and_then(|bytes| u64::try_from(bytes).ok()),
        timeout: overrides.timeout,
        retry_attempts: overrides.retry_attempts.and_then(|attempts| u32::try_from(attempts).ok()),
        retry_strategy: None,
    }
}
