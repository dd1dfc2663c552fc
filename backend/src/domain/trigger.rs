//! When a schedule fires. Pure: the present and the last firing are given.
//!
//! What cron means when a zone changes its offset, in one place:
//!
//! * A fixed time (no `*` and no step in minute and hour) that the wall clock leaves out fires once, right after the gap,
//!   however many such times the gap holds.
//! * A fixed time that comes twice fires the first time only.
//! * `*` and steps follow elapsed time: they fire at each time that the wall clock shows, in an overlap at both, in a gap at
//!   none.
//!
//! Intervals and single instants know no zone.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use thiserror::Error;

use super::clock::Millis;
use super::cron::Cron;
use super::zone::{Change, Zone, local};

/// Longest interval in seconds: ten years.
const MAX_INTERVAL: i64 = 315_360_000;

/// Longest change of an offset: a whole day at the date line, and a little more.
const LONGEST_CHANGE: i64 = 26 * 3600;

/// A year and a day.
pub const YEAR: i64 = 366 * 86_400_000;

/// A trigger that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadTrigger {
    /// Not five fields.
    #[error(
        "`{text}` has {count} fields; a cron expression here has five: minute hour day-of-month month day-of-week{hint}",
        hint = hint(*.count, .five.as_deref())
    )]
    Fields {
        /// What was given.
        text: String,
        /// How many it has.
        count: usize,
        /// Five of them that may have been meant.
        five: Option<String>,
    },
    /// Five fields that say nothing.
    #[error("`{0}` is not a cron expression: {1}")]
    Cron(String, String),
    /// No such zone.
    #[error("`{0}` is not an IANA time zone; use a name like Europe/Berlin, or UTC")]
    Zone(String),
    /// Not a number of seconds above 0.
    #[error("`{0}` is not an interval: use a whole number of seconds from 1 to {MAX_INTERVAL}")]
    Interval(String),
    /// Not an instant.
    #[error("`{0}` is not a time; use one like 2026-03-29T02:30:00Z (without a zone it is UTC)")]
    Instant(String),
    /// No such kind.
    #[error("`{0}` is not a kind of trigger: use cron, interval or once")]
    Kind(String),
    /// The end comes before the start.
    #[error("the end must come after the start")]
    Window,
}

fn hint(count: usize, five: Option<&str>) -> String {
    match five {
        Some(five) => format!(". Seconds and years are not supported: write `{five}`"),
        None if count > 5 => ". Seconds and years are not supported: leave them out".to_owned(),
        None => String::new(),
    }
}

/// What makes a job due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// A cron expression, meant in a zone.
    Cron(Box<Cron>, Zone),
    /// Every so many milliseconds from an anchor on, and before it: the phase depends on nothing but these two numbers, so
    /// it survives restarts and syncs.
    Interval {
        /// The distance.
        every: i64,
        /// An instant at which it fires.
        anchor: i64,
    },
    /// One time.
    Once(Millis),
}

/// A trigger with the time in which it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timetable {
    /// The trigger.
    pub trigger: Trigger,
    /// It does not fire before this.
    pub start: Option<Millis>,
    /// It does not fire after this.
    pub end: Option<Millis>,
}

/// What a change of the offset does to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meeting {
    /// Fixed times that do not exist: fires once, right after.
    GapOnce,
    /// Repeated times that do not exist: left out.
    GapLeftOut,
    /// Fixed times that come twice: fires the first time only.
    OverlapOnce,
    /// Repeated times that come twice: fires at both.
    OverlapTwice,
}

/// A job meets a change of the offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DstNote {
    /// The change.
    pub change: Change,
    /// What it does.
    pub meeting: Meeting,
}

impl Timetable {
    /// Reads a stored trigger. `kind` is `cron` (an expression), `interval` (seconds) or `once` (an instant).
    ///
    /// # Errors
    /// [`BadTrigger`] says what is wrong and what is allowed.
    pub fn parse(
        kind: &str,
        value: &str,
        zone: &str,
        start: Option<Millis>,
        end: Option<Millis>,
    ) -> Result<Self, BadTrigger> {
        let zone = Zone::parse(zone)?;
        let trigger = match kind {
            "cron" => Trigger::Cron(Box::new(Cron::parse(value)?), zone),
            "interval" => {
                let seconds = value.trim().parse().ok().filter(|s| (1..=MAX_INTERVAL).contains(s));
                let seconds: i64 = seconds.ok_or_else(|| BadTrigger::Interval(value.to_owned()))?;
                Trigger::Interval { every: seconds * 1000, anchor: start.map_or(0, |start| start.0) }
            }
            "once" => Trigger::Once(instant(value)?),
            other => return Err(BadTrigger::Kind(other.to_owned())),
        };
        if start.zip(end).is_some_and(|(start, end)| end <= start) {
            return Err(BadTrigger::Window);
        }
        Ok(Self { trigger, start, end })
    }

    /// The first due time after `after`; `None` when there is none.
    #[must_use]
    pub fn next_after(&self, after: Millis) -> Option<Millis> {
        let after = self.start.map_or(after, |start| after.max(Millis(start.0.saturating_sub(1))));
        let next = self.trigger.next_after(after)?;
        self.end.is_none_or(|end| next <= end).then_some(next)
    }

    /// The last due time in `(after, until]`.
    #[must_use]
    pub fn last_in(&self, after: Millis, until: Millis) -> Option<Millis> {
        let mut span = 120_000_i64;
        loop {
            let from = Millis(until.0.saturating_sub(span)).max(after);
            let mut last = None;
            let mut at = from;
            // Most patterns fire a few times in a span that is just long enough to hold a firing.
            while let Some(next) = self.next_after(at).filter(|next| *next <= until) {
                (last, at) = (Some(next), next);
            }
            if last.is_some() || from == after {
                return last;
            }
            span = span.saturating_mul(4);
        }
    }

    /// The next `count` due times after `after`.
    pub fn upcoming(&self, after: Millis, count: usize) -> impl Iterator<Item = Millis> {
        std::iter::successors(self.next_after(after), |last| self.next_after(*last)).take(count)
    }

    /// What changes of the zone's offset do to the job in `(from, until]`.
    #[must_use]
    pub fn dst_notes(&self, from: Millis, until: Millis) -> Vec<DstNote> {
        let Trigger::Cron(cron, zone) = &self.trigger else { return Vec::new() };
        let from = self.start.map_or(from, |start| from.max(start));
        let until = self.end.map_or(until, |end| until.min(end));
        let (mut at, until) = (from.0.div_euclid(1000), until.0.div_euclid(1000));
        let mut notes = Vec::new();
        while let Some(change) = zone.change(at, until) {
            at = change.at;
            let meets = change.local_span().is_some_and(|(first, after)| cron.names_any(first, after));
            let meeting = match (change.is_gap(), cron.is_elastic()) {
                (true, false) => Meeting::GapOnce,
                (true, true) => Meeting::GapLeftOut,
                (false, false) => Meeting::OverlapOnce,
                (false, true) => Meeting::OverlapTwice,
            };
            if meets {
                notes.push(DstNote { change, meeting });
            }
        }
        notes
    }
}

impl Trigger {
    /// The first due time after `after`; `None` when there is none within what the calendar can say.
    #[must_use]
    pub fn next_after(&self, after: Millis) -> Option<Millis> {
        match self {
            Self::Cron(cron, zone) => {
                next_cron(cron, *zone, after.0.div_euclid(1000)).and_then(|at| at.checked_mul(1000)).map(Millis)
            }
            Self::Interval { every, anchor } => {
                let passed = after.0.checked_sub(*anchor)?.div_euclid(*every);
                passed.checked_add(1)?.checked_mul(*every)?.checked_add(*anchor).map(Millis)
            }
            Self::Once(at) => (*at > after).then_some(*at),
        }
    }
}

/// The first instant after the second `after`. The zone's constant offsets are gone through one by one: within each of
/// them the wall clock and the instants run side by side.
fn next_cron(cron: &Cron, zone: Zone, after: i64) -> Option<i64> {
    let mut from = after;
    let mut offset = zone.offset(after);
    // Strictly after: the next whole minute of the wall clock.
    let mut wall = local(after.checked_add(offset)?.div_euclid(60).checked_add(1)?.checked_mul(60)?)?;
    if !cron.is_elastic()
        && let Some(repeated_until) = repeated_until(zone, after)
    {
        wall = wall.max(repeated_until);
    }
    loop {
        let found = cron.first_from(wall)?;
        let at = found.and_utc().timestamp() - offset;
        let Some(change) = zone.change(from, at) else { return Some(at) };
        let (first, end) = change.local_span()?;
        (from, offset) = (change.at, change.after);
        wall = match (change.is_gap(), cron.is_elastic()) {
            (true, false) if cron.names_any(first, end) => return Some(change.at),
            (true, _) | (false, false) => end,
            (false, true) => first,
        };
    }
}

/// When the second `at` lies in times that come a second time: the end of those times.
fn repeated_until(zone: Zone, at: i64) -> Option<NaiveDateTime> {
    let mut from = at.checked_sub(LONGEST_CHANGE)?;
    let mut last = None;
    while let Some(change) = zone.change(from, at) {
        from = change.at;
        last = Some(change);
    }
    last.filter(|change| !change.is_gap()).and_then(|change| change.local_span()).map(|(_, end)| end)
}

/// Reads an instant: RFC 3339, or without a zone, which is UTC then; a date alone is its midnight.
///
/// # Errors
/// [`BadTrigger::Instant`].
pub fn instant(text: &str) -> Result<Millis, BadTrigger> {
    let text = text.trim();
    let zoned = DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc));
    let naive = || {
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"]
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
            .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))
    };
    zoned
        .or_else(|| naive().map(|time| time.and_utc()))
        .map(Millis::from)
        // Far enough from the ends of the calendar that no arithmetic leaves it.
        .filter(|at| (0..=253_402_300_799_000).contains(&at.0))
        .ok_or_else(|| BadTrigger::Instant(text.chars().take(60).collect()))
}

#[cfg(test)]
mod tests;
