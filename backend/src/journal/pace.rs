//! How much a viewer is sent. Pure: time comes in as an argument.
//!
//! A token bucket: `rate` lines a second, and a burst for the beginning. A viewer that is further behind than its tokens
//! allow is let fall behind by up to a second, then jumps to the tail. Waiting times end on a common grid, so that the
//! viewers of a flood wake together and ask for the same region of the file, which is then read once for all.

use std::time::Duration;

use tokio::time::Instant;

/// Viewers of a flood are served this many times a second.
const TICKS: u64 = 4;
/// No wait is longer, so that a viewer notices the end of a run in time.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// What lies between a viewer and the end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backlog {
    /// No more than there are tokens.
    Fits,
    /// More, by at most [`Pace::lag`] lines.
    Near,
    /// Even more.
    Far,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Send at most so many lines.
    Send(u64),
    /// Go to the last so many lines, then send them.
    Jump(u64),
    /// Look again then.
    Wait(Instant),
}

/// A viewer's token bucket. A token is a stored line, pieces and marks included.
#[derive(Debug)]
pub(super) struct Pace {
    /// Tokens per second; 0 for no limit.
    rate: u32,
    /// What the bucket holds at most, and at the beginning.
    burst: f64,
    /// What it holds.
    tokens: f64,
    /// When that was.
    at: Instant,
    /// Where the grid of waiting times begins.
    epoch: Instant,
}

impl Pace {
    /// A full bucket: ten seconds' worth, at least 500 lines.
    pub(super) fn new(rate: u32, now: Instant, epoch: Instant) -> Self {
        let burst = (f64::from(rate) * 10.0).max(500.0);
        Self { rate, burst, tokens: burst, at: now, epoch }
    }

    /// How many lines may be sent now. Once the run is finished a second's worth is always granted: its last lines are what
    /// everybody wants to see, and nothing follows them.
    pub(super) fn tokens(&mut self, now: Instant, finished: bool) -> u64 {
        if self.rate == 0 {
            return u64::MAX;
        }
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed * f64::from(self.rate)).min(self.burst);
        if finished {
            self.tokens = self.tokens.max(f64::from(self.rate));
        }
        self.tokens as u64
    }

    /// Takes the tokens of lines that were sent.
    pub(super) fn spend(&mut self, lines: u64) {
        self.tokens = (self.tokens - lines as f64).max(0.0);
    }

    /// How many lines a viewer may be behind what it has tokens for before it jumps: a second's worth.
    pub(super) fn lag(&self) -> u64 {
        u64::from(self.rate)
    }

    /// Decides, given what [`Self::tokens`] said.
    pub(super) fn step(&self, now: Instant, tokens: u64, backlog: Backlog, finished: bool) -> Step {
        let chunk = self.chunk();
        match backlog {
            Backlog::Fits => Step::Send(tokens),
            _ if finished => Step::Jump(tokens),
            _ if tokens < chunk => Step::Wait(self.when_chunk(now)),
            Backlog::Near => Step::Send(tokens),
            // Whole chunks only, so that viewers in the same situation jump to the same place.
            Backlog::Far => Step::Jump(tokens - tokens % chunk),
        }
    }

    /// The lines that are sent at a time in a flood.
    fn chunk(&self) -> u64 {
        (u64::from(self.rate) / TICKS).max(1)
    }

    /// When there will be tokens for a chunk, on the grid.
    fn when_chunk(&self, now: Instant) -> Instant {
        let missing = (self.chunk() as f64 - self.tokens).max(0.0);
        let ready = now + Duration::from_secs_f64(missing / f64::from(self.rate.max(1)));
        let tick = 1_000_000 / u128::from(TICKS);
        let ticks = ready.saturating_duration_since(self.epoch).as_micros() / tick + 1;
        let on_grid = self.epoch + Duration::from_micros(u64::try_from(ticks * tick).unwrap_or(u64::MAX));
        on_grid.min(now + LONGEST_WAIT)
    }
}
