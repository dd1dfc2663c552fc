//! Where the time of a run goes: when each step of it was reached, by a clock that only moves forward.
//!
//! At the end of a run they become one line of the server's messages (`RUST_LOG=info,fastflow::timeline=debug`), from which
//! `make bench` draws its picture.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A moment in the life of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Its row is stored.
    Accepted,
    /// It has a slot.
    Admitted,
    /// Its files were read and its image looked up.
    Read,
    /// Its environment was found or built.
    Environment,
    /// Its folders are there, so that a container can mount them.
    Folders,
    /// Docker has created its container.
    Created,
    /// We are attached to it.
    Attached,
    /// Docker has started it, or the limits of one that was started ahead are set.
    Started,
    /// Beside that: its variables are merged, its code is copied, its log is open.
    Ready,
    /// What a recovery needs is stored.
    Noted,
    /// It has its job.
    Sent,
    /// Its first output is in the log.
    Output,
    /// Its end is known.
    Exited,
    /// All its output is in the log.
    Drained,
    /// Its outcome is stored.
    Recorded,
    /// Its container is gone.
    Removed,
}

impl Mark {
    /// Every mark, in the order of a run's life.
    const ALL: [Self; 16] = [
        Self::Accepted,
        Self::Admitted,
        Self::Read,
        Self::Environment,
        Self::Folders,
        Self::Created,
        Self::Attached,
        Self::Started,
        Self::Ready,
        Self::Noted,
        Self::Sent,
        Self::Output,
        Self::Exited,
        Self::Drained,
        Self::Recorded,
        Self::Removed,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Admitted => "admitted",
            Self::Read => "read",
            Self::Environment => "environment",
            Self::Folders => "folders",
            Self::Created => "created",
            Self::Attached => "attached",
            Self::Started => "started",
            Self::Ready => "ready",
            Self::Noted => "noted",
            Self::Sent => "sent",
            Self::Output => "output",
            Self::Exited => "exited",
            Self::Drained => "drained",
            Self::Recorded => "recorded",
            Self::Removed => "removed",
        }
    }
}

/// When each mark was first reached.
#[derive(Debug)]
pub(super) struct Timeline {
    begin: Instant,
    /// Microseconds since `begin`, plus one; 0 is never.
    at: [AtomicU64; Mark::ALL.len()],
}

impl Default for Timeline {
    fn default() -> Self {
        Self { begin: Instant::now(), at: Default::default() }
    }
}

impl Timeline {
    /// Notes a mark, the first time.
    pub fn mark(&self, mark: Mark) {
        let place = &self.at[mark as usize];
        if place.load(Ordering::Relaxed) == 0 {
            let micros = u64::try_from(self.begin.elapsed().as_micros()).unwrap_or(u64::MAX - 1);
            place.store(micros + 1, Ordering::Relaxed);
        }
    }

    /// Microseconds until a mark, if it was reached.
    fn micros(&self, mark: Mark) -> Option<u64> {
        self.at[mark as usize].load(Ordering::Relaxed).checked_sub(1)
    }

    /// From one mark to another.
    pub fn between(&self, from: Mark, to: Mark) -> Option<Duration> {
        Some(Duration::from_micros(self.micros(to)?.saturating_sub(self.micros(from)?)))
    }
}

impl fmt::Display for Timeline {
    /// `accepted=120 admitted=133 …`, in microseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut divider = "";
        for mark in Mark::ALL {
            if let Some(micros) = self.micros(mark) {
                write!(f, "{divider}{}={micros}", mark.as_str())?;
                divider = " ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_mark_stays_where_it_was_first_reached() {
        let timeline = Timeline::default();
        timeline.mark(Mark::Accepted);
        tokio::time::sleep(Duration::from_millis(5)).await;
        timeline.mark(Mark::Sent);
        tokio::time::sleep(Duration::from_millis(5)).await;
        timeline.mark(Mark::Sent);
        assert_eq!(timeline.to_string(), "accepted=0 sent=5000");
        assert_eq!(timeline.between(Mark::Accepted, Mark::Sent), Some(Duration::from_millis(5)));
        assert_eq!(timeline.between(Mark::Accepted, Mark::Removed), None);
    }

    #[test]
    fn marks_lie_where_their_number_says() {
        for (place, mark) in Mark::ALL.into_iter().enumerate() {
            assert_eq!(mark as usize, place);
        }
    }
}
