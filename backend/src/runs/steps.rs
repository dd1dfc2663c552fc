//! The named steps of a run at which a crash is tested.
//!
//! Each step is a moment between two effects that the outside world can see. The crash stories start a server that holds at
//! one of them (`FASTFLOW_TEST_HOLD_AT=step:file`: the file appears when the step is reached), kill it there, start another
//! one and check what became of the run. In production nothing is set and a step costs one comparison.

use std::path::PathBuf;

/// A moment in the life of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The row is stored, nothing else has happened.
    RowInserted,
    /// Its environment is ready.
    EnvironmentReady,
    /// Its container exists.
    ContainerCreated,
    /// We are attached to it.
    Attached,
    /// It is started, its job not yet handed over.
    Started,
    /// It has its job; the database still says PENDING.
    JobSent,
    /// The database says RUNNING.
    Running,
    /// It has ended.
    Exited,
    /// All its output is stored.
    LogDrained,
    /// Its outcome is stored.
    OutcomeRecorded,
    /// Its container is gone.
    ContainerRemoved,
    /// Retention has deleted its row and noted that its files are to go.
    RowsDeleted,
    /// Its files are gone as well, the note is not.
    FilesDeleted,
}

impl Step {
    /// Every step, in the order of a run's life.
    pub const ALL: [Self; 13] = [
        Self::RowInserted,
        Self::EnvironmentReady,
        Self::ContainerCreated,
        Self::Attached,
        Self::Started,
        Self::JobSent,
        Self::Running,
        Self::Exited,
        Self::LogDrained,
        Self::OutcomeRecorded,
        Self::ContainerRemoved,
        Self::RowsDeleted,
        Self::FilesDeleted,
    ];

    /// The name used in the setting.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RowInserted => "row_inserted",
            Self::EnvironmentReady => "environment_ready",
            Self::ContainerCreated => "container_created",
            Self::Attached => "attached",
            Self::Started => "started",
            Self::JobSent => "job_sent",
            Self::Running => "running",
            Self::Exited => "exited",
            Self::LogDrained => "log_drained",
            Self::OutcomeRecorded => "outcome_recorded",
            Self::ContainerRemoved => "container_removed",
            Self::RowsDeleted => "rows_deleted",
            Self::FilesDeleted => "files_deleted",
        }
    }
}

/// Where to hold, if anywhere.
#[derive(Debug, Clone, Default)]
pub struct Steps(Option<(Step, PathBuf)>);

impl Steps {
    /// Reads `step:file`.
    ///
    /// # Errors
    /// When the step is unknown or the file is missing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, file) = text.split_once(':').ok_or("expected step:file")?;
        let step = Step::ALL.into_iter().find(|step| step.as_str() == name).ok_or("unknown step")?;
        Ok(Self(Some((step, PathBuf::from(file)))))
    }

    /// Called when a step is reached; holds for ever when it is the one to hold at.
    pub async fn reach(&self, step: Step) {
        if let Some((hold, file)) = &self.0
            && *hold == step
        {
            tracing::warn!(step = step.as_str(), "holding at {} as told by FASTFLOW_TEST_HOLD_AT", step.as_str());
            if let Err(error) = tokio::fs::write(file, step.as_str()).await {
                tracing::error!(%error, "the file that tells of the step cannot be written: {error}");
            }
            std::future::pending::<()>().await;
        }
    }
}
