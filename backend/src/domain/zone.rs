//! A time zone: its offset at an instant, and when it changes it. Instants are seconds since the epoch, UTC.

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

use super::trigger::BadTrigger;

/// No zone has ever changed its offset twice within so short a time.
const DAY: i64 = 86_400;

/// A time zone of the IANA database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(Tz);

/// A zone changes its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The first instant of the new offset.
    pub at: i64,
    /// Seconds east of UTC until then.
    pub before: i64,
    /// Seconds east of UTC from then on.
    pub after: i64,
}

impl Change {
    /// Whether the wall clock is set forward: some times of the day do not exist.
    #[must_use]
    pub const fn is_gap(&self) -> bool {
        self.after > self.before
    }

    /// The wall-clock times that do not exist, or that come twice: the first one, and the first one after them.
    #[must_use]
    pub fn local_span(&self) -> Option<(NaiveDateTime, NaiveDateTime)> {
        let (from, to) = (self.before.min(self.after), self.before.max(self.after));
        Some((local(self.at.checked_add(from)?)?, local(self.at.checked_add(to)?)?))
    }
}

impl Zone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self(Tz::UTC);

    /// The zone of that name.
    ///
    /// # Errors
    /// [`BadTrigger::Zone`].
    pub fn parse(name: &str) -> Result<Self, BadTrigger> {
        name.parse().map(Self).map_err(|_| BadTrigger::Zone(name.chars().take(60).collect()))
    }

    /// Its name in the IANA database.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Every name there is, in order.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect()
    }

    /// Seconds east of UTC; 0 for an instant that no calendar has.
    #[must_use]
    pub fn offset(self, at: i64) -> i64 {
        let Some(time) = DateTime::from_timestamp(at, 0) else { return 0 };
        i64::from(self.0.offset_from_utc_datetime(&time.naive_utc()).fix().local_minus_utc())
    }

    /// The wall clock at an instant.
    #[must_use]
    pub fn local(self, at: i64) -> Option<NaiveDateTime> {
        local(at.checked_add(self.offset(at))?)
    }

    /// The first change of the offset in `(after, until]`.
    #[must_use]
    pub fn change(self, after: i64, until: i64) -> Option<Change> {
        let (mut from, before) = (after, self.offset(after));
        while from < until {
            let to = from.saturating_add(DAY).min(until);
            if self.offset(to) != before {
                let (mut low, mut high) = (from, to);
                while high - low > 1 {
                    let middle = low + (high - low) / 2;
                    if self.offset(middle) == before { low = middle } else { high = middle }
                }
                return Some(Change { at: high, before, after: self.offset(high) });
            }
            from = to;
        }
        None
    }
}

/// The date and time that so many seconds since the epoch are, on a wall clock that shows UTC.
pub(super) fn local(seconds: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp(seconds, 0).map(|time| time.naive_utc())
}
