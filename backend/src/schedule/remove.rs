//! Deleting a pipeline with everything that would start it and everything of it that runs.

use super::{Schedule, ScheduleError};

/// Who stops the runs of a pipeline that is deleted.
const DELETED: &str = "the deletion of its pipeline";

/// What was deleted with a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Jobs.
    pub jobs: usize,
    /// Runs that are being stopped.
    pub runs: usize,
}

impl Schedule {
    /// Deletes a pipeline: its folder, its jobs, and then the runs of it that have not ended are cancelled. What has ended
    /// stays. One that is gone already is cleaned up after. Whatever breaks in between, the same call goes on with it.
    ///
    /// # Errors
    /// [`ScheduleError::NotConfirmed`] when it has jobs or runs and `confirmed` is not set, [`ScheduleError::NoPipeline`],
    /// [`ScheduleError::Catalog`] when its folder comes from a repository or cannot be deleted, or the database.
    pub async fn remove_pipeline(&self, name: &str, confirmed: bool) -> Result<Removed, ScheduleError> {
        self.adopt().await?;
        let is_there = self.catalog.pipeline(name).is_some();
        let jobs = self.store.jobs().await?.into_iter().filter(|row| row.job.pipeline_name == name).count();
        let runs = self.unfinished(name).await?.len();
        if !is_there && jobs == 0 && runs == 0 {
            return Err(ScheduleError::NoPipeline(name.to_owned()));
        }
        if !confirmed && (jobs > 0 || runs > 0) {
            return Err(ScheduleError::NotConfirmed { name: name.to_owned(), jobs, runs });
        }
        // First what new runs would be started from.
        if is_there {
            self.catalog.delete(name).await?;
        }
        self.adopt().await?;
        self.store.delete_jobs_of(name).await?;
        let runs = self.unfinished(name).await?;
        for run in &runs {
            self.launcher.cancel(run, DELETED).await?;
        }
        tracing::info!(pipeline = name, jobs, runs = runs.len(), "the pipeline {name} was deleted");
        Ok(Removed { jobs, runs: runs.len() })
    }

    async fn unfinished(&self, pipeline: &str) -> Result<Vec<String>, ScheduleError> {
        let (rows, _) = self.store.unfinished_runs().await?;
        Ok(rows.into_iter().filter(|row| row.spec.pipeline_name == pipeline).map(|row| row.spec.id).collect())
    }
}
