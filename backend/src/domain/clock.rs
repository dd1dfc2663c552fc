//! Time as a dependency: what asks for the time is given a clock, so that a test decides what time it is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};

/// Milliseconds since the Unix epoch, UTC: how every instant is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

impl Millis {
    /// This instant plus `seconds` (which may be negative or fractional).
    #[must_use]
    pub fn plus_seconds(self, seconds: f64) -> Self {
        // A timeout of centuries must not wrap around.
        #[expect(clippy::cast_possible_truncation, reason = "saturates, which is what is wanted")]
        let delta = (seconds * 1000.0) as i64;
        Self(self.0.saturating_add(delta))
    }

    /// Seconds from `earlier` to this instant; negative when `earlier` is later.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "exact for 285,000 years")]
        let millis = (self.0 - earlier.0) as f64;
        millis / 1000.0
    }

    /// As a date; an instant outside chrono's range becomes the epoch.
    #[must_use]
    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or_default()
    }
}

impl From<DateTime<Utc>> for Millis {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_millis())
    }
}

/// Tells the time.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// The present instant.
    fn now(&self) -> Millis;
}

/// A clock that can be shared.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        Millis::from(Utc::now())
    }
}

/// A clock that stands still until it is told to move. For tests and simulations.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn at(now: Millis) -> Self {
        Self(Arc::new(AtomicI64::new(now.0)))
    }

    /// Sets the clock.
    pub fn set(&self, now: Millis) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Moves the clock; a negative number moves it back.
    pub fn advance_seconds(&self, seconds: f64) {
        self.0.store(self.now().plus_seconds(seconds).0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}
