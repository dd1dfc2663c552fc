//! Triggers against facts, against two other programs, and against what must hold for every pattern.

mod oracles;
mod properties;

use serde_json::Value;

use super::*;

pub(super) fn at(text: &str) -> Millis {
    Millis::from(text.parse::<DateTime<Utc>>().unwrap_or_else(|error| panic!("{text}: {error}")))
}

pub(super) fn cron(expression: &str, zone: &str) -> Timetable {
    Timetable::parse("cron", expression, zone, None, None).unwrap_or_else(|error| panic!("{expression}: {error}"))
}

fn table(kind: &str, value: &str, start: Option<&str>, end: Option<&str>) -> Timetable {
    Timetable::parse(kind, value, "UTC", start.map(at), end.map(at)).unwrap_or_else(|error| panic!("{value}: {error}"))
}

#[test]
fn every_vector_holds() {
    let file: Value = serde_json::from_str(include_str!("vectors.json")).expect("JSON");
    let vectors = file["vectors"].as_array().expect("a list");
    assert!(vectors.len() > 60);
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().expect("a text");
        let expected: Vec<_> =
            vector["expected"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        let found: Vec<_> = cron(text("expression"), text("zone"))
            .upcoming(at(text("from")), expected.len())
            .map(|time| time.to_utc().format("%Y-%m-%dT%H:%M:%SZ").to_string())
            .collect();
        assert_eq!(found, expected, "{vector}");
    }
}

#[test]
fn an_interval_keeps_its_phase() {
    let every = table("interval", "300", None, None);
    assert_eq!(every.next_after(at("2026-03-01T00:01:00Z")), Some(at("2026-03-01T00:05:00Z")));
    assert_eq!(every.next_after(at("2026-03-01T00:05:00Z")), Some(at("2026-03-01T00:10:00Z")));
    let anchored = table("interval", "420", Some("2026-03-01T00:03:00Z"), Some("2026-03-01T00:20:00Z"));
    let all: Vec<_> = anchored.upcoming(at("2026-01-01T00:00:00Z"), 9).collect();
    assert_eq!(all, ["2026-03-01T00:03:00Z", "2026-03-01T00:10:00Z", "2026-03-01T00:17:00Z"].map(at));
    assert_eq!(anchored.next_after(at("2026-03-01T00:04:00Z")), Some(at("2026-03-01T00:10:00Z")));
}

#[test]
fn one_time_fires_once() {
    let once = table("once", "2026-03-01T02:00", None, None);
    assert_eq!(once.next_after(at("2026-03-01T01:59:59Z")), Some(at("2026-03-01T02:00:00Z")));
    assert_eq!(once.next_after(at("2026-03-01T02:00:00Z")), None);
}

#[test]
fn start_and_end_belong_to_it() {
    let hourly = table("cron", "0 * * * *", Some("2026-03-01T05:00:00Z"), Some("2026-03-01T06:00:00Z"));
    let all: Vec<_> = hourly.upcoming(at("2026-01-01T00:00:00Z"), 9).collect();
    assert_eq!(all, ["2026-03-01T05:00:00Z", "2026-03-01T06:00:00Z"].map(at));
    assert_eq!(hourly.last_in(at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z")), Some(all[1]));
    let window = Timetable::parse("cron", "* * * * *", "UTC", Some(Millis(5)), Some(Millis(5)));
    assert_eq!(window, Err(BadTrigger::Window));
}

#[test]
fn the_last_due_time_of_a_span() {
    let daily = table("cron", "0 2 * * *", None, None);
    let (from, until) = (at("2026-03-01T02:00:00Z"), at("2026-03-05T01:59:59Z"));
    assert_eq!(daily.last_in(from, until), Some(at("2026-03-04T02:00:00Z")));
    assert_eq!(daily.last_in(from, at("2026-03-02T02:00:00Z")), Some(at("2026-03-02T02:00:00Z")));
    assert_eq!(daily.last_in(from, at("2026-03-02T01:00:00Z")), None);
}

#[test]
fn instants_without_a_zone_are_utc() {
    for text in ["2026-03-29T02:30:00Z", "2026-03-29T02:30", "2026-03-29 02:30:00", "2026-03-29T04:30:00+02:00"] {
        assert_eq!(instant(text), Ok(at("2026-03-29T02:30:00Z")), "{text}");
    }
    assert_eq!(instant("2026-03-29"), Ok(at("2026-03-29T00:00:00Z")));
    for text in ["", "tomorrow", "2026-02-30", "99999-01-01", "1969-12-31"] {
        assert!(instant(text).is_err(), "{text}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_fix() {
    let refused = |text: &str| {
        Timetable::parse("cron", text, "UTC", None, None).err().unwrap_or_else(|| panic!("{text} is taken")).to_string()
    };
    for (text, hint) in [
        ("0 0 2 * * *", "has 6 fields"),
        ("0 0 2 * * *", "write `0 2 * * *`"),
        ("0 2 * * * 2026", "write `0 2 * * *`"),
        ("0 0 2 ? * MON *", "write `0 2 ? * MON`"),
        ("0 2 * *", "has 4 fields"),
        ("", "has 0 fields"),
        ("61 * * * *", "`61` is no minute: 0-59"),
        ("* 24 * * *", "`24` is no hour: 0-23"),
        ("* * 0 * *", "`0` is no day of month: 1-31"),
        ("* * * FOO *", "`FOO` is no month: 1-12 or JAN-DEC"),
        ("* * * * 8", "`8` is no day of week: 0-7 or SUN-SAT"),
        ("0 0 30 2 *", "never fire"),
        ("0 0 31 4,6 *", "never fire"),
        ("*/0 * * * *", "whole number from 1 to 60"),
        ("*/90 * * * *", "interval"),
        ("0 22-6 * * *", "22-23,0-6"),
        ("1,,2 * * * *", "empty item"),
        ("0 0 * * L", "5L"),
        ("0 0 * * 5#6", "from 1 to 5"),
        ("@reboot", "server started"),
        ("@every 5m", "interval"),
        ("@fortnightly", "@daily"),
        ("-1 * * * *", "is no minute"),
        ("+1 * * * *", "is no minute"),
        ("ä * * * *", "is no minute"),
    ] {
        let message = refused(text);
        assert!(message.contains(hint), "{text}: {message}");
    }
    assert!(refused(&"1,".repeat(200)).contains("longer than"));
    let parse = |kind, value, zone| Timetable::parse(kind, value, zone, None, None);
    assert!(matches!(parse("cron", "* * * * *", "Mars/North"), Err(BadTrigger::Zone(_))));
    for value in ["0", "-5", "1.5", "999999999999", ""] {
        assert!(matches!(parse("interval", value, "UTC"), Err(BadTrigger::Interval(_))), "{value}");
    }
    assert!(matches!(parse("moon", "full", "UTC"), Err(BadTrigger::Kind(_))));
}

#[test]
fn a_job_is_told_of_the_changes_that_it_meets() {
    let year = |expression: &str| {
        let notes = cron(expression, "Europe/Berlin").dst_notes(at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        notes.iter().map(|note| (note.meeting, note.change.at)).collect::<Vec<_>>()
    };
    let (spring, autumn) = (at("2026-03-29T01:00:00Z").0 / 1000, at("2026-10-25T01:00:00Z").0 / 1000);
    assert_eq!(year("30 2 * * *"), [(Meeting::GapOnce, spring), (Meeting::OverlapOnce, autumn)]);
    assert_eq!(year("*/5 2 * * *"), [(Meeting::GapLeftOut, spring), (Meeting::OverlapTwice, autumn)]);
    assert_eq!(year("30 2 29 3 *"), [(Meeting::GapOnce, spring)]);
    assert_eq!(year("0 9 * * *"), []);
    assert_eq!(table("interval", "60", None, None).dst_notes(Millis(0), Millis(YEAR)), []);
}
