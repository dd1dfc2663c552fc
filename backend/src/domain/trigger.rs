//! When a schedule fires next. Pure: the present and the last firing are given.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use thiserror::Error;

use super::clock::Millis;

/// A trigger that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadTrigger {
    /// Not five fields.
    #[error(
        "`{0}` has {1} fields; a cron expression here has five: minute hour day-of-month month day-of-week (seconds are not supported)"
    )]
    Fields(String, usize),
    /// Five fields that say nothing.
    #[error("`{0}` is not a cron expression: {1}")]
    Cron(String, String),
    /// No such zone.
    #[error("`{0}` is not an IANA time zone like Europe/Berlin")]
    Zone(String),
    /// Not a number of seconds above 0.
    #[error("`{0}` is not a number of seconds above 0")]
    Interval(String),
    /// Neither cron nor interval.
    #[error("`{0}` is not a kind of trigger: use cron or interval")]
    Kind(String),
}

/// What makes a job due.
#[derive(Debug, Clone)]
pub enum Trigger {
    /// A cron expression of five fields, meant in a zone. Day of month and day of week combine by OR, as in Vixie cron.
    Cron(Box<Cron>, Tz),
    /// Every so many milliseconds since the epoch: the phase depends on nothing but the number, so it survives restarts.
    Interval(i64),
}

impl Trigger {
    /// Reads a stored trigger.
    ///
    /// # Errors
    /// [`BadTrigger`] says what is wrong and what is allowed.
    pub fn parse(kind: &str, value: &str, zone: &str) -> Result<Self, BadTrigger> {
        match kind {
            "cron" => Self::cron(value, zone),
            "interval" => {
                let seconds: Option<i64> = value.trim().parse().ok().filter(|s| (1..=315_360_000).contains(s));
                seconds.map(|s| Self::Interval(s * 1000)).ok_or_else(|| BadTrigger::Interval(value.to_owned()))
            }
            other => Err(BadTrigger::Kind(other.to_owned())),
        }
    }

    fn cron(text: &str, zone: &str) -> Result<Self, BadTrigger> {
        let zone: Tz = zone.parse().map_err(|_| BadTrigger::Zone(zone.to_owned()))?;
        let fields = text.split_whitespace().count();
        if fields != 5 && !text.trim().starts_with('@') {
            return Err(BadTrigger::Fields(text.to_owned(), fields));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| BadTrigger::Cron(text.to_owned(), error.to_string()))?;
        Ok(Self::Cron(Box::new(cron), zone))
    }

    /// The first due time after `after`; `None` when there is none within what the calendar can say.
    #[must_use]
    pub fn next_after(&self, after: Millis) -> Option<Millis> {
        match self {
            Self::Interval(every) => Some(Millis(after.0.div_euclid(*every).checked_add(1)?.checked_mul(*every)?)),
            Self::Cron(cron, zone) => {
                let start: DateTime<Tz> = after.to_utc().with_timezone(zone);
                let next = cron.find_next_occurrence(&start, false).ok()?;
                Some(Millis::from(next.with_timezone(&Utc)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        Millis::from(text.parse::<DateTime<Utc>>().expect("a time"))
    }

    fn next(kind: &str, value: &str, zone: &str, after: &str) -> Option<Millis> {
        Trigger::parse(kind, value, zone).expect("a trigger").next_after(at(after))
    }

    #[test]
    fn cron_in_a_zone() {
        assert_eq!(next("cron", "0 2 * * *", "UTC", "2026-03-01T02:00:00Z"), Some(at("2026-03-02T02:00:00Z")));
        assert_eq!(
            next("cron", "30 6 * * 1-5", "Europe/Berlin", "2026-07-03T05:00:00Z"),
            Some(at("2026-07-06T04:30:00Z"))
        );
        assert_eq!(next("cron", "@daily", "UTC", "2026-03-01T00:00:01Z"), Some(at("2026-03-02T00:00:00Z")));
        // Both days are given: either will do.
        assert_eq!(next("cron", "0 0 13 * 5", "UTC", "2026-03-01T00:00:00Z"), Some(at("2026-03-06T00:00:00Z")));
    }

    #[test]
    fn a_time_in_the_gap_fires_right_after_it_and_one_in_the_overlap_once() {
        // 2026-03-29: 02:00 becomes 03:00 in Berlin.
        assert_eq!(
            next("cron", "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z"),
            Some(at("2026-03-29T01:00:00Z"))
        );
        // 2026-10-25: 03:00 becomes 02:00.
        let first = next("cron", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z").expect("fires");
        assert_eq!(first, at("2026-10-25T00:30:00Z"));
        let trigger = Trigger::parse("cron", "30 2 * * *", "Europe/Berlin").expect("a trigger");
        assert_eq!(trigger.next_after(first), Some(at("2026-10-26T01:30:00Z")));
    }

    #[test]
    fn an_interval_keeps_its_phase() {
        assert_eq!(next("interval", "300", "UTC", "2026-03-01T00:01:00Z"), Some(at("2026-03-01T00:05:00Z")));
        assert_eq!(next("interval", "300", "UTC", "2026-03-01T00:05:00Z"), Some(at("2026-03-01T00:10:00Z")));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_a_reason() {
        assert!(matches!(Trigger::parse("cron", "0 0 2 * * *", "UTC"), Err(BadTrigger::Fields(_, 6))));
        assert!(matches!(Trigger::parse("cron", "61 * * * *", "UTC"), Err(BadTrigger::Cron(..))));
        assert!(matches!(Trigger::parse("cron", "* * * * *", "Mars/North"), Err(BadTrigger::Zone(_))));
        assert!(matches!(Trigger::parse("interval", "0", "UTC"), Err(BadTrigger::Interval(_))));
        assert!(matches!(Trigger::parse("moon", "full", "UTC"), Err(BadTrigger::Kind(_))));
    }
}
