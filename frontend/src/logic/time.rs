//! Times in words: relative, exact, and durations. The caller says what time it is and where.

use chrono::{DateTime, Datelike, FixedOffset, Local, Timelike, Utc};

use super::format::fixed;

/// A distance in time, rounded the way a person says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distance {
    /// Less than five seconds.
    Now,
    /// Seconds.
    Seconds(i64),
    /// Minutes.
    Minutes(i64),
    /// Hours.
    Hours(i64),
    /// Days.
    Days(i64),
    /// Months.
    Months(i64),
    /// Years.
    Years(i64),
}

/// How far `time` is from `now`, and whether it lies ahead.
#[must_use]
pub fn distance(time: DateTime<Utc>, now: DateTime<Utc>) -> (Distance, bool) {
    let seconds = (time - now).num_seconds();
    let (ahead, s) = (seconds > 0, seconds.abs());
    let distance = match s {
        0..5 => Distance::Now,
        5..60 => Distance::Seconds(s),
        60..3_600 => Distance::Minutes(s / 60),
        3_600..86_400 => Distance::Hours(s / 3_600),
        86_400..2_592_000 => Distance::Days(s / 86_400),
        2_592_000..31_536_000 => Distance::Months(s / 2_592_000),
        _ => Distance::Years(s / 31_536_000),
    };
    (distance, ahead)
}

/// A duration in at most two units: `0.4 s`, `12.3 s`, `4m 05s`, `2h 07m`, `3d 4h`. `point` is the decimal sign.
#[must_use]
pub fn duration(seconds: f64, point: &str) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".to_owned();
    }
    if seconds < 0.95 {
        return format!("{} ms", fixed(seconds * 1_000.0, 0));
    }
    if seconds < 59.95 {
        return format!("{} s", fixed(seconds, 1)).replace('.', point);
    }
    let whole = seconds.round() as i64;
    let (d, h, m, s) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    if d > 0 {
        format!("{d}d {h}h")
    } else if h > 0 {
        format!("{h}h {m:02}m")
    } else {
        format!("{m}m {s:02}s")
    }
}

/// A round span that somebody chose, without its zeros: `30 s`, `5m`, `1h 30m`.
#[must_use]
pub fn span(seconds: f64, point: &str) -> String {
    let text = if (0.95..59.95).contains(&seconds) && seconds.fract() < 0.05 {
        format!("{} s", fixed(seconds, 0))
    } else {
        duration(seconds, point)
    };
    let short = [" 00s", " 00m", " 0h"].into_iter().find_map(|zero| text.strip_suffix(zero));
    short.map_or(text.clone(), str::to_owned)
}

/// A running clock without fractions, so that it does not jitter: `7 s`, `4m 05s`.
#[must_use]
pub fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0).floor();
    if whole < 60.0 { format!("{} s", fixed(whole, 0)) } else { duration(whole, ".") }
}

/// Seconds between two times.
#[must_use]
pub fn seconds_between(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).num_milliseconds() as f64 / 1_000.0
}

/// `21 Nov 2026, 18:34:05` with the given month names.
#[must_use]
pub fn exact(time: DateTime<FixedOffset>, months: &[&str; 12], dot: &str) -> String {
    let month = months[time.month0() as usize];
    format!("{}{dot} {month} {}, {:02}:{:02}:{:02}", time.day(), time.year(), time.hour(), time.minute(), time.second())
}

/// `18:34:05.123`, for a log line.
#[must_use]
pub fn stamp(time: DateTime<FixedOffset>) -> String {
    format!(
        "{:02}:{:02}:{:02}.{:03}",
        time.hour(),
        time.minute(),
        time.second(),
        time.timestamp_subsec_millis().min(999)
    )
}

/// `2026-11-21T18:34`, as a field for a local time has it.
#[must_use]
pub fn local_input(time: DateTime<Utc>) -> String {
    let time = time.with_timezone(&Local);
    format!("{:04}-{:02}-{:02}T{:02}:{:02}", time.year(), time.month(), time.day(), time.hour(), time.minute())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn a_local_time_has_the_form_of_its_field() {
        let shown = local_input(DateTime::from_timestamp(1_700_000_040, 0).expect("a time"));
        assert!(shown.len() == 16 && shown.starts_with("2023-11-1") && shown.as_bytes()[10] == b'T', "{shown}");
    }

    #[test]
    fn distances_round_down() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(10_000);
        let ago = |s: i64| distance(now - TimeDelta::seconds(s), now);
        assert_eq!(ago(3), (Distance::Now, false));
        assert_eq!(ago(59), (Distance::Seconds(59), false));
        assert_eq!(ago(119), (Distance::Minutes(1), false));
        assert_eq!(ago(7_199), (Distance::Hours(1), false));
        assert_eq!(ago(86_400 * 29), (Distance::Days(29), false));
        assert_eq!(ago(86_400 * 70), (Distance::Months(2), false));
        assert_eq!(ago(86_400 * 800), (Distance::Years(2), false));
        assert_eq!(ago(-90), (Distance::Minutes(1), true));
    }

    #[test]
    fn durations_have_two_units() {
        let d = |s: f64| duration(s, ".");
        assert_eq!(d(0.0), "0 ms");
        assert_eq!(d(0.381), "381 ms");
        assert_eq!(d(0.96), "1.0 s");
        assert_eq!(d(59.94), "59.9 s");
        assert_eq!(d(59.99), "1m 00s");
        assert_eq!(d(245.0), "4m 05s");
        assert_eq!(d(7_620.0), "2h 07m");
        assert_eq!(d(273_600.0), "3d 4h");
        assert_eq!(d(-1.0), "–");
        assert_eq!(duration(12.34, ","), "12,3 s");
        let s = |s: f64| span(s, ".");
        assert_eq!([s(30.0), s(300.0), s(3_600.0), s(5_400.0), s(86_400.0)], ["30 s", "5m", "1h", "1h 30m", "1d"]);
        assert_eq!(clock(7.9), "7 s");
        assert_eq!(clock(65.0), "1m 05s");
    }

    #[test]
    fn exact_times_are_local() {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let zone = FixedOffset::east_opt(3_600).expect("one hour is an offset");
        let time = DateTime::from_timestamp_millis(1_795_285_445_123).expect("in range").with_timezone(&zone);
        assert_eq!(exact(time, &months, ""), "21 Nov 2026, 19:24:05");
        assert_eq!(exact(time, &months, "."), "21. Nov 2026, 19:24:05");
        assert_eq!(stamp(time), "19:24:05.123");
    }
}
