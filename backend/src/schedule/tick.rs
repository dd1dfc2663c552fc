//! Fires what is due.

use std::collections::HashSet;
use std::time::Duration;

use fastflow_shared::Trigger as StartedBy;

use super::{Keep, Schedule, ScheduleError};
use crate::domain::clock::Millis;
use crate::domain::firing::{self, Act, CatchUp, MAX_WAITING, Moment, Overlap, Policy, Step, Why};
use crate::domain::trigger::Timetable;
use crate::runs::{LaunchError, RunsError, Start};
use crate::store::{Claim, FiringState, JobRow, REPLACED, Take};

/// Most jobs that are looked at in one go.
const BATCH: u32 = 500;

/// Most due times that one tick deals with; the next one goes on.
const MAX_PER_TICK: usize = 5_000;

/// Longest pause between two looks: jobs are made, changed and synced at any time.
const EACH: Duration = Duration::from_secs(1);

/// A due time that was taken so long after the present tells that the clock was set back; less is what the clocks of two
/// servers may differ.
const AHEAD: f64 = 60.0;

/// What came of one due time.
pub(super) enum Came {
    /// A run was started.
    Started,
    /// It is dealt with otherwise.
    Done,
    /// Another server has it, or the job was changed.
    NotOurs,
    /// It stays due: nothing can be started just now.
    Later,
}

impl Schedule {
    /// Fires what is due. Returns how many runs were started.
    ///
    /// # Errors
    /// The database, or the first job whose code cannot be read or kept; what was not claimed is still due at the next tick.
    pub async fn tick(&self) -> Result<usize, ScheduleError> {
        self.adopt().await?;
        let now = self.clock.now();
        self.follow_the_clock_back(now).await?;
        let (mut started, mut done, mut failed) = (self.start_waiting(now).await?, 0, None);
        // Jobs that cannot be dealt with in this tick.
        let mut stuck = HashSet::new();
        while done < MAX_PER_TICK {
            let due = self.store.due(now, BATCH).await?;
            let due: Vec<_> = due.into_iter().filter(|row| !stuck.contains(&row.job.id)).collect();
            if due.is_empty() {
                break;
            }
            for row in due {
                done += 1;
                match self.fire(&row, now).await {
                    Ok(Came::Started) => started += 1,
                    Ok(Came::Done | Came::NotOurs) => {}
                    // Docker is away, or we shut down: the others would fare no better.
                    Ok(Came::Later) => return Ok(started),
                    // The database would fail for the others as well, and each could wait for its deadline.
                    Err(error @ (ScheduleError::Store(_) | ScheduleError::Runs(RunsError::Store(_)))) => {
                        return Err(error);
                    }
                    // Code that cannot be read or kept is the fault of that pipeline: the others have their turn.
                    Err(error) => {
                        stuck.insert(row.job.id.clone());
                        failed = failed.or(Some(error));
                    }
                }
            }
        }
        failed.map_or(Ok(started), Err)
    }

    /// Ticks for so long: each second, and at each due time.
    ///
    /// # Errors
    /// As [`Self::tick`].
    pub async fn tick_for(&self, time: Duration) -> Result<usize, ScheduleError> {
        let end = tokio::time::Instant::now() + time;
        let mut started = 0;
        loop {
            started += self.tick().await?;
            let next = self.store.next_due().await?;
            let until = next.map(|next| next.0 - self.clock.now().0).and_then(|wait| u64::try_from(wait).ok());
            // What stayed due although it was tried waits for a whole second as well.
            let wait = until.filter(|wait| *wait > 0).map_or(EACH, Duration::from_millis).min(EACH);
            if tokio::time::Instant::now() + wait >= end {
                return Ok(started);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Deletes what the book says of due times that are older than `age`.
    ///
    /// # Errors
    /// The database.
    pub async fn prune(&self, age: Duration) -> Result<u64, ScheduleError> {
        let before = self.clock.now().plus_seconds(-age.as_secs_f64());
        Ok(self.store.prune_firings(before).await?)
    }

    /// Jobs that have fired in what is the future again are due when they were meant to be; what they fired for stays fired.
    async fn follow_the_clock_back(&self, now: Millis) -> Result<(), ScheduleError> {
        for row in self.store.jobs_ahead_of(now.plus_seconds(AHEAD)).await? {
            let next = timetable(&row).ok().and_then(|timetable| timetable.next_after(now));
            let next = match (next, row.job.next_run_at) {
                (Some(next), Some(stored)) => Some(next.min(stored)),
                (next, stored) => next.or(stored),
            };
            if self.store.reset_due(&row, next, now).await? {
                tracing::warn!(job = row.job.id, "the clock was set back; the job is due again as it was meant to be");
            }
        }
        Ok(())
    }

    /// Starts due times that waited for another run of their job.
    async fn start_waiting(&self, now: Millis) -> Result<usize, ScheduleError> {
        let mut started = 0;
        // A job with room for several has them one after the other.
        for _ in 0..MAX_WAITING {
            let mut begun = 0;
            for (row, due_at) in self.store.waiting_jobs(BATCH).await? {
                let (active, limit) = (self.active(&row).await?.len(), policy(&row).limit());
                if active >= limit {
                    continue;
                }
                let (id, pipeline) = (&row.job.id, &row.job.pipeline_name);
                let (start, keep) = (start_of(&row, due_at), Keep::Waiting(id, due_at, now));
                match self.launcher.launch(pipeline, StartedBy::Schedule, start, &self.store, keep).await {
                    Ok(run) => begun += usize::from(run.is_some()),
                    Err(LaunchError::DockerUnavailable(_) | LaunchError::NoRoom(_) | LaunchError::Closing) => {
                        return Ok(started + begun);
                    }
                    Err(LaunchError::Room(error)) => return Err(error.into()),
                    Err(refused) => {
                        let why = refused.to_string();
                        let take = Take::Nothing(state_of(&refused), &why, 1, due_at);
                        self.store.claim_waiting(id, due_at, take, now).await?;
                    }
                }
            }
            if begun == 0 {
                break;
            }
            started += begun;
        }
        Ok(started)
    }

    /// Runs of a job that count for its limit.
    async fn active(&self, row: &JobRow) -> Result<Vec<String>, ScheduleError> {
        Ok(self.store.active_runs_of_job(&row.job.id, &row.job.pipeline_name).await?)
    }

    pub(super) async fn fire(&self, row: &JobRow, now: Millis) -> Result<Came, ScheduleError> {
        let (job, Some(due)) = (&row.job, row.job.next_run_at) else { return Ok(Came::NotOurs) };
        let nothing = |state, why, count, until| Take::Nothing(state, why, count, until);
        let claim = Claim {
            job_id: &job.id,
            due_at: due,
            next: None,
            decided_at: None,
            by: &self.options.owner,
            now,
            take: Take::Wait,
        };
        let timetable = match timetable(row) {
            Ok(timetable) => timetable,
            Err(error) => {
                let why = error.to_string();
                let take = nothing(FiringState::Failed, &why, 1, due);
                return self.settle(&Claim { take, ..claim }).await;
            }
        };
        let policy = policy(row);
        // Most jobs have no limit: nothing needs to be asked for them.
        let (active, waiting) = if policy.limit() == usize::MAX {
            (Vec::new(), 0)
        } else {
            (self.active(row).await?, self.store.count_waiting(&job.id).await?)
        };
        let moment = Moment {
            timetable: &timetable,
            policy,
            due,
            decided_at: row.decided_at,
            now,
            active: active.len(),
            waiting,
        };
        let Some(Step { act, next, decided_at }) = firing::step(&moment) else { return Ok(Came::NotOurs) };
        let claim = Claim { next, decided_at, ..claim };
        match act {
            Act::Wait => self.settle(&claim).await,
            Act::LeaveOut { why, count, until } => {
                let words = words(why, active.len(), count);
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                let take = nothing(FiringState::LeftOut, &words, count, until);
                self.settle(&Claim { take, ..claim }).await
            }
            Act::Start { cancel } => self.start(row, &claim, &active[..cancel.min(active.len())]).await,
        }
    }

    async fn settle(&self, claim: &Claim<'_>) -> Result<Came, ScheduleError> {
        if !self.store.claim(claim).await? {
            return Ok(Came::NotOurs);
        }
        let result = match claim.take {
            Take::Wait => "waiting",
            Take::Nothing(FiringState::LeftOut, ..) => "left_out",
            _ => "failed",
        };
        crate::meters::due_time(result, None);
        Ok(Came::Done)
    }

    async fn start(&self, row: &JobRow, claim: &Claim<'_>, replaced: &[String]) -> Result<Came, ScheduleError> {
        let job = &row.job;
        let (start, keep) = (start_of(row, claim.due_at), Keep::Due(*claim, replaced));
        match self.launcher.launch(&job.pipeline_name, StartedBy::Schedule, start, &self.store, keep).await {
            Ok(Some(_)) => {
                let late = self.clock.now().seconds_since(claim.due_at);
                crate::meters::due_time("started", Some(late));
                // That they are to stop is stored; a crash before this is made up for by the recovery of runs.
                for run in replaced {
                    if let Err(error) = self.launcher.cancel(run, REPLACED).await {
                        tracing::warn!(run, %error, "a run that was replaced could not be stopped yet: {error}");
                    }
                }
                Ok(Came::Started)
            }
            Ok(None) => Ok(Came::NotOurs),
            Err(LaunchError::DockerUnavailable(_) | LaunchError::NoRoom(_) | LaunchError::Closing) => Ok(Came::Later),
            Err(LaunchError::Room(error)) => Err(error.into()),
            Err(refused) => {
                let why = refused.to_string();
                let (id, pipeline) = (&job.id, &job.pipeline_name);
                tracing::warn!(job = id, pipeline, "a scheduled run could not be started: {why}");
                let take = Take::Nothing(state_of(&refused), &why, 1, claim.due_at);
                self.settle(&Claim { take, ..*claim }).await
            }
        }
    }
}

/// A pipeline that somebody switched off is no failure.
const fn state_of(refused: &LaunchError) -> FiringState {
    match refused {
        LaunchError::Disabled { .. } => FiringState::LeftOut,
        _ => FiringState::Failed,
    }
}

/// Why due times started nothing, in words.
pub(super) fn words(why: Why, active: usize, count: usize) -> String {
    match why {
        Why::Missed if count == 1 => "it passed while no server could fire it".to_owned(),
        Why::Missed => format!("{count} due times passed while no server could fire them"),
        Why::StillRunning if active == 1 => "a run of the job still worked".to_owned(),
        Why::StillRunning => format!("{active} runs of the job still worked"),
        Why::TooManyWait => format!("{MAX_WAITING} due times of the job wait already"),
    }
}

/// What a run of the job is started with.
pub(super) fn start_of(row: &JobRow, due_at: Millis) -> Start {
    let job = &row.job;
    Start {
        parameters: job.parameters.clone(),
        triggered_by: job.source_id.clone().or_else(|| job.name.clone()).or_else(|| Some(job.id.clone())),
        firing: Some((job.id.clone(), due_at)),
        overrides: job.overrides.clone(),
        ..Start::default()
    }
}

/// When a stored job fires.
pub(super) fn timetable(row: &JobRow) -> Result<Timetable, crate::domain::trigger::BadTrigger> {
    let job = &row.job;
    Timetable::parse(&job.trigger_type, &job.trigger_value, &job.time_zone, job.start_at, job.end_at)
}

/// How a stored job fires; a policy that this release does not know is the default.
pub(super) fn policy(row: &JobRow) -> Policy {
    let job = &row.job;
    Policy {
        catch_up: CatchUp::parse(&job.catch_up, job.catch_up_limit, job.catch_up_max_age).unwrap_or(CatchUp::Latest),
        overlap: Overlap::parse(&job.overlap).unwrap_or(Overlap::Allow),
        max_instances: job.max_instances.and_then(|most| u32::try_from(most).ok()),
    }
}
