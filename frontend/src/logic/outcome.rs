//! A run's status, phase and cause as one thing: what a badge says and which colour it has.

use fastflow_shared::{ErrorType, Phase, Run, RunStatus, RunSummary};

/// Where a run stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Waits for its time to retry.
    Waiting,
    /// Waits for a slot.
    Queued,
    /// Its environment is being built.
    Preparing,
    /// Its container starts.
    Starting,
    /// Works.
    Running,
    /// Was told to stop.
    Stopping,
    /// Ended well.
    Success,
    /// Nobody watches it.
    Interrupted,
    /// Ended otherwise.
    Failed(Option<ErrorType>),
}

/// The family of colours an outcome belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing happens, nothing is wrong.
    Quiet,
    /// Waits.
    Wait,
    /// In motion.
    Motion,
    /// Good.
    Good,
    /// Bad.
    Bad,
    /// Needs a look.
    Warn,
}

impl Tone {
    /// CSS class.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Quiet => "tone-quiet",
            Self::Wait => "tone-wait",
            Self::Motion => "tone-motion",
            Self::Good => "tone-good",
            Self::Bad => "tone-bad",
            Self::Warn => "tone-warn",
        }
    }
}

impl Outcome {
    /// Of a run.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        match (run.status, run.phase) {
            (RunStatus::Pending, Phase::Waiting) => Self::Waiting,
            (RunStatus::Pending, Phase::Preparing) => Self::Preparing,
            (RunStatus::Pending, Phase::Starting) => Self::Starting,
            (RunStatus::Pending | RunStatus::Running, Phase::Stopping) => Self::Stopping,
            (status, _) => Self::plain(status, run.error_type),
        }
    }

    /// Of a summary, which knows no phase.
    #[must_use]
    pub fn of_summary(run: &RunSummary) -> Self {
        Self::plain(run.status, run.error_type)
    }

    /// Of a status and a cause.
    #[must_use]
    pub const fn plain(status: RunStatus, cause: Option<ErrorType>) -> Self {
        match status {
            RunStatus::Pending => Self::Queued,
            RunStatus::Running => Self::Running,
            RunStatus::Success => Self::Success,
            RunStatus::Failed => Self::Failed(cause),
            RunStatus::Interrupted => Self::Interrupted,
        }
    }

    /// Its colour.
    #[must_use]
    pub const fn tone(self) -> Tone {
        match self {
            Self::Waiting | Self::Queued => Tone::Wait,
            Self::Preparing | Self::Starting | Self::Running => Tone::Motion,
            Self::Success => Tone::Good,
            Self::Stopping | Self::Failed(Some(ErrorType::Cancelled)) => Tone::Quiet,
            Self::Interrupted => Tone::Warn,
            Self::Failed(_) => Tone::Bad,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancelled_is_not_red() {
        let outcome = Outcome::plain(RunStatus::Failed, Some(ErrorType::Cancelled));
        assert_eq!(outcome.tone(), Tone::Quiet);
        assert_eq!(Outcome::plain(RunStatus::Failed, Some(ErrorType::Oom)).tone(), Tone::Bad);
    }
}
