//! The life of a run as one pure function: which event leads from which status to which.

pub use fastflow_shared::{ErrorType, RunStatus};
use thiserror::Error;

/// What can happen to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Its container was started.
    Started,
    /// It could not be started, or was cancelled before it was.
    StartFailed,
    /// The server stops watching it.
    WatchLost,
    /// Its container was found again, running.
    Reattached,
    /// It ended with exit code 0 and nobody stopped it.
    Succeeded,
    /// It ended otherwise.
    Failed,
    /// A run that was not watched turned out never to have had a container; it waits for one again.
    Requeued,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 7] = [
        Self::Started,
        Self::StartFailed,
        Self::WatchLost,
        Self::Reattached,
        Self::Succeeded,
        Self::Failed,
        Self::Requeued,
    ];
}

/// An event that cannot happen to a run in this status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a run that is {from} cannot take the event {event:?}")]
pub struct Refused {
    /// Status of the run.
    pub from: RunStatus,
    /// What was reported.
    pub event: Event,
}

/// The status after `event`.
///
/// # Errors
/// [`Refused`] when the event cannot happen in that status; final statuses refuse everything.
pub const fn transition(from: RunStatus, event: Event) -> Result<RunStatus, Refused> {
    use Event as E;
    use RunStatus as S;
    match (from, event) {
        (S::Pending, E::Started) | (S::Interrupted, E::Reattached) => Ok(S::Running),
        (S::Running, E::Succeeded) => Ok(S::Success),
        // An interrupted run whose container has vanished fails as it stands: there is nothing to re-attach to.
        (S::Pending, E::StartFailed) | (S::Running | S::Interrupted, E::Failed) => Ok(S::Failed),
        (S::Pending | S::Running, E::WatchLost) => Ok(S::Interrupted),
        (S::Interrupted, E::Requeued) => Ok(S::Pending),
        _ => Err(Refused { from, event }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table, so that a change of one cell is seen here.
    #[test]
    fn every_pair_of_status_and_event() {
        use RunStatus::{Failed as F, Interrupted as I, Pending as P, Running as R, Success as S};
        // Started, StartFailed, WatchLost, Reattached, Succeeded, Failed, Requeued
        let table: [(RunStatus, [Option<RunStatus>; 7]); 5] = [
            (P, [Some(R), Some(F), Some(I), None, None, None, None]),
            (R, [None, None, Some(I), None, Some(S), Some(F), None]),
            (S, [None; 7]),
            (F, [None; 7]),
            (I, [None, None, None, Some(R), None, Some(F), Some(P)]),
        ];
        for (from, row) in table {
            for (event, expected) in Event::ALL.into_iter().zip(row) {
                assert_eq!(transition(from, event).ok(), expected, "{from} + {event:?}");
            }
        }
    }

    #[test]
    fn final_statuses_are_exactly_those_that_refuse_everything() {
        for from in RunStatus::ALL {
            let refuses_all = Event::ALL.into_iter().all(|event| transition(from, event).is_err());
            assert_eq!(from.is_final(), refuses_all, "{from}");
        }
    }
}
