//! What a person types to get to a place in a log: a line's number, or a time of day.

use chrono::{DateTime, Days, FixedOffset, NaiveTime, Utc};

/// A place in a log, as the server is asked for it: the name of the parameter and its value.
#[must_use]
pub fn parse(text: &str, started: DateTime<FixedOffset>) -> Option<(&'static str, String)> {
    let text = text.trim();
    if let Ok(line) = text.trim_start_matches('#').parse::<u32>() {
        return (line > 0).then(|| ("line", line.to_string()));
    }
    let mut parts = text.split(':').map(|part| part.parse::<u32>().ok());
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    let time = NaiveTime::from_hms_opt(hour, minute, second).filter(|_| parts.next().is_none())?;
    let mut at = started.date_naive().and_time(time);
    // Within the minute of the start is meant before midnight, everything earlier the day after.
    if at + chrono::TimeDelta::minutes(1) <= started.naive_local() {
        at = at.checked_add_days(Days::new(1))?;
    }
    let at = at.and_local_timezone(*started.offset()).single()?;
    Some(("time", rfc3339(at.to_utc())))
}

/// A moment as the server reads it.
#[must_use]
pub fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_times_are_told_apart() {
        let started = DateTime::parse_from_rfc3339("2026-11-21T23:50:30+01:00").expect("a time");
        let table = [
            ("1500", Some(("line", "1500"))),
            (" #7 ", Some(("line", "7"))),
            ("0", None),
            ("23:55", Some(("time", "2026-11-21T22:55:00+00:00"))),
            ("23:50", Some(("time", "2026-11-21T22:50:00+00:00"))),
            ("00:10:05", Some(("time", "2026-11-21T23:10:05+00:00"))),
            ("25:00", None),
            ("1:2:3:4", None),
            ("soon", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text, started), expected.map(|(name, value)| (name, value.to_owned())), "{text}");
        }
    }
}
