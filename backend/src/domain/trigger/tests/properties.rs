//! What must hold for every pattern, in zones that do strange things.

use chrono::{Datelike, Timelike};
use proptest::prelude::*;

use super::*;

/// Half an hour of summer time, three quarters of an hour of offset, midnight that does not exist, summer time that pauses
/// for Ramadan, a day that was left out.
pub(super) const ZONES: [&str; 7] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "America/Sao_Paulo",
    "Africa/Casablanca",
    "Pacific/Apia",
];

/// 2000 and 2040 in seconds.
const SPAN: std::ops::Range<i64> = 946_684_800..2_208_988_800;

fn field(min: u32, max: u32) -> impl Strategy<Value = String> {
    let item = prop_oneof![
        4 => (min..=max).prop_map(|value| value.to_string()),
        1 => (min..=max, min..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (min..=max, min..=max, 1..5_u32).prop_map(|(a, b, n)| format!("{}-{}/{n}", a.min(b), a.max(b))),
        1 => (1..=(max - min)).prop_map(|step| format!("*/{step}")),
    ];
    prop_oneof![2 => Just("*".to_owned()), 5 => proptest::collection::vec(item, 1..3).prop_map(|items| items.join(","))]
}

pub(super) fn expression() -> impl Strategy<Value = String> {
    let days = prop_oneof![3 => Just("*".to_owned()), 2 => field(1, 28), 1 => Just("L".to_owned())];
    let weekdays = prop_oneof![3 => Just("*".to_owned()), 2 => field(0, 6)];
    let months = prop_oneof![3 => Just("*".to_owned()), 1 => field(1, 12)];
    (field(0, 59), field(0, 23), days, months, weekdays).prop_map(|(a, b, c, d, e)| format!("{a} {b} {c} {d} {e}"))
}

/// Instants near a change of the offset, and others.
pub(super) fn start(zone: &'static str) -> impl Strategy<Value = i64> {
    (SPAN, any::<bool>(), -200_000..50_000_i64).prop_map(move |(at, near, off)| {
        let zone = Zone::parse(zone).expect("a zone");
        let change = near.then(|| zone.change(at, at + 400 * 86_400)).flatten();
        change.map_or(at, |change| change.at + off)
    })
}

fn case() -> impl Strategy<Value = (&'static str, String, i64)> {
    proptest::sample::select(&ZONES[..]).prop_flat_map(|zone| (Just(zone), expression(), start(zone)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn due_times_rise_match_and_never_flood((zone, expression, from) in case()) {
        let Ok(table) = Timetable::parse("cron", &expression, zone, None, None) else { return Ok(()) };
        let Trigger::Cron(cron, clock) = &table.trigger else { unreachable!() };
        let mut last = from * 1000;
        let mut all: Vec<i64> = Vec::new();
        for due in table.upcoming(Millis(last), 60) {
            prop_assert!(due.0 > last, "strictly increasing");
            last = due.0;
            let at = due.0 / 1000;
            let wall = clock.local(at).expect("a date");
            let after_gap = clock.change(at - 1, at).filter(Change::is_gap);
            let named = cron.first_from(wall) == Some(wall);
            let made_up = !cron.is_elastic() && after_gap.and_then(|change| change.local_span())
                .is_some_and(|(first, end)| cron.names_any(first, end));
            prop_assert!(named || made_up, "{wall} is not in the pattern");
            prop_assert!(made_up || wall.second() == 0);
            // A fixed time never comes a second time.
            if !cron.is_elastic() && !made_up {
                let before = clock.change(at - 7_200, at).filter(|change| !change.is_gap());
                let again = before.and_then(|change| change.local_span()).is_some_and(|(_, end)| wall < end);
                prop_assert!(!again, "{wall} has been before");
            }
            all.push(at);
        }
        for (index, first) in all.iter().enumerate() {
            let within = all[index..].iter().take_while(|at| **at < first + 3600).count();
            let most = cron.per_hour() as usize;
            // An hour that holds a change may hold the run after a gap as well, and, where the clock goes back or is not set
            // by whole hours, the same minutes twice: at Lord Howe 1:31 and 2:31 lie half an hour apart when 2:00 is 2:30.
            let most = match clock.change(first - 3600, first + 3600) {
                None => most,
                Some(_) if cron.is_elastic() => 2 * most,
                Some(change) if (change.after - change.before) % 3600 != 0 => 2 * most + 1,
                Some(_) => most + 1,
            };
            prop_assert!(within <= most, "{within} in an hour, {most} allowed");
        }
    }

    #[test]
    fn nothing_is_left_out((zone, expression, from) in case()) {
        let Ok(table) = Timetable::parse("cron", &expression, zone, None, None) else { return Ok(()) };
        let Trigger::Cron(cron, clock) = &table.trigger else { unreachable!() };
        // Minute by minute over three days, by another way: each minute is looked at.
        let begin = from.div_euclid(60) * 60;
        let mut expected = Vec::new();
        let mut last_wall = clock.local(begin).expect("a date");
        let mut seen_until = repeated_until(*clock, begin);
        for at in (1..=3 * 1440).map(|minute| begin + minute * 60) {
            let wall = clock.local(at).expect("a date");
            let change = clock.change(at - 60, at);
            let mut fires = cron.first_from(wall) == Some(wall);
            if !cron.is_elastic() {
                if let Some(change) = change {
                    let (first, end) = change.local_span().expect("dates");
                    if change.is_gap() { fires |= cron.names_any(first, end) } else { seen_until = Some(end) }
                }
                fires &= seen_until.is_none_or(|until| wall >= until) || change.is_some_and(|c| c.is_gap());
            }
            if fires {
                expected.push(at * 1000);
            }
            last_wall = wall;
        }
        prop_assert!(last_wall.year() >= 1999);
        let found: Vec<i64> = std::iter::successors(table.next_after(Millis(begin * 1000)), |at| table.next_after(*at))
            .map(|at| at.0).take_while(|at| *at <= (begin + 3 * 86_400) * 1000).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn the_search_does_not_depend_on_where_it_begins((zone, expression, from) in case(), step in 1..5_000_i64) {
        let Ok(table) = Timetable::parse("cron", &expression, zone, None, None) else { return Ok(()) };
        let Some(next) = table.next_after(Millis(from * 1000)) else { return Ok(()) };
        let between = Millis((from * 1000 + step * 1000).min(next.0 - 1));
        prop_assert_eq!(table.next_after(between), Some(next));
        prop_assert_eq!(table.last_in(Millis(from * 1000), next), Some(next));
    }

    #[test]
    fn no_text_makes_it_panic(text in "[ 0-9*,/LW#?@a-z-]{0,24}|\\PC{0,20}", from in any::<i64>()) {
        if let Ok(table) = Timetable::parse("cron", &text, "Europe/Berlin", None, None) {
            let _ = table.next_after(Millis(from));
        }
        let _ = instant(&text);
    }
}
