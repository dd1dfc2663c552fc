//! Days as people count them: moments folded into the dates of a time zone.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::clock::Millis;

/// Milliseconds of a quarter of an hour. No zone's offset is finer, so a quarter never belongs to two days.
pub const QUARTER: i64 = 15 * 60 * 1_000;

/// A time zone by its name, e.g. `Europe/Berlin`.
#[must_use]
pub fn zone(name: &str) -> Option<Tz> {
    name.parse().ok()
}

/// The date of a moment in a zone.
#[must_use]
pub fn date(at: Millis, zone: Tz) -> NaiveDate {
    at.to_utc().with_timezone(&zone).date_naive()
}

/// Sums what belongs to the quarters of an hour (counted since the epoch) by date.
pub fn by_date<T, S: Default>(
    quarters: impl IntoIterator<Item = (i64, T)>,
    zone: Tz,
    mut add: impl FnMut(&mut S, T),
) -> BTreeMap<NaiveDate, S> {
    let mut days = BTreeMap::new();
    for (quarter, value) in quarters {
        let day = date(Millis(quarter.saturating_mul(QUARTER)), zone);
        add(days.entry(day).or_default(), value);
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quarter(text: &str) -> i64 {
        let at: chrono::DateTime<chrono::Utc> = text.parse().expect("a time");
        at.timestamp_millis() / QUARTER
    }

    #[test]
    fn a_day_begins_at_midnight_of_its_zone() {
        let table = [
            ("2026-03-28T22:59:00Z", "Europe/Berlin", "2026-03-28"),
            ("2026-03-28T23:00:00Z", "Europe/Berlin", "2026-03-29"),
            // The clock went forward: midnight is an hour earlier in UTC.
            ("2026-03-29T22:00:00Z", "Europe/Berlin", "2026-03-30"),
            ("2026-10-25T22:45:00Z", "Europe/Berlin", "2026-10-25"),
            ("2026-01-01T18:14:00Z", "Asia/Kathmandu", "2026-01-01"),
            ("2026-01-01T18:15:00Z", "Asia/Kathmandu", "2026-01-02"),
            ("2026-01-01T07:59:00Z", "America/Los_Angeles", "2025-12-31"),
        ];
        for (at, name, expected) in table {
            let days = by_date([(quarter(at), 1)], zone(name).expect("a zone"), |sum: &mut i32, n| *sum += n);
            let (day, sum) = days.first_key_value().expect("a day");
            assert_eq!((day.to_string().as_str(), *sum), (expected, 1), "{at} in {name}");
        }
        assert!(zone("Mars/Olympus").is_none());
    }

    #[test]
    fn quarters_of_one_day_are_summed() {
        let quarters = [("2026-06-01T00:00:00Z", 2), ("2026-06-01T23:45:00Z", 3), ("2026-06-02T00:00:00Z", 5)];
        let days = by_date(quarters.map(|(at, n)| (quarter(at), n)), chrono_tz::UTC, |sum: &mut i32, n| *sum += n);
        assert_eq!(days.into_values().collect::<Vec<_>>(), [5, 5]);
    }
}
