//! Cron expressions of five fields: reading them, and the wall-clock times that they name. What the wall clock does when a
//! zone changes its offset is not this file's business but [`super::trigger`]'s.
//!
//! The dialect is Vixie cron's, with `L` and `#` from its successors:
//!
//! ```text
//! field         values    more
//! minute        0-59
//! hour          0-23
//! day of month  1-31      L (the last day), ? (as *)
//! month         1-12      JAN-DEC
//! day of week   0-7       SUN-SAT, 0 and 7 are Sunday; 5L (the last Friday), 5#2 (the second Friday), ? (as *)
//! ```
//! Each field is a list of values, ranges `a-b`, steps `*/n`, `a-b/n` and `a/n` (from `a` on). When neither day field
//! begins with `*`, a day that either of them names will do; otherwise both must.

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};

use super::trigger::BadTrigger;

/// How many years a search goes on: February 29 on a certain weekday comes once in 28 years, or 40 around 2100.
const HORIZON_YEARS: i32 = 48;

/// Longest expression in bytes.
const MAX_BYTES: usize = 200;

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const ALIASES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// A cron expression that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    /// Bit n for minute n.
    pub(super) minutes: u64,
    /// Bit n for hour n.
    pub(super) hours: u32,
    /// Bit n for day n of the month.
    pub(super) days: u32,
    /// Whether the last day of the month is named.
    pub(super) last_day: bool,
    /// Bit n for month n.
    pub(super) months: u16,
    /// Bit n for weekday n, Sunday is 0.
    pub(super) weekdays: u8,
    /// The same for the last such day of the month.
    pub(super) last_weekdays: u8,
    /// The same for the first to the fifth such day of the month.
    pub(super) nth_weekdays: [u8; 5],
    /// Whether one of the two day fields is enough.
    pub(super) either_day: bool,
    /// Whether minute or hour holds a `*` or a step: such a pattern follows elapsed time rather than the wall clock.
    elastic: bool,
    /// The five fields as they were written, aliases written out.
    pub(super) fields: [String; 5],
}

/// What a field may hold.
struct Kind {
    name: &'static str,
    min: u32,
    max: u32,
    names: &'static [&'static str],
    /// The number of the first name.
    first: u32,
}

const MINUTE: Kind = Kind { name: "minute", min: 0, max: 59, names: &[], first: 0 };
const HOUR: Kind = Kind { name: "hour", min: 0, max: 23, names: &[], first: 0 };
const DAY: Kind = Kind { name: "day of month", min: 1, max: 31, names: &[], first: 0 };
const MONTH: Kind = Kind { name: "month", min: 1, max: 12, names: &MONTHS, first: 1 };
const WEEKDAY: Kind = Kind { name: "day of week", min: 0, max: 7, names: &WEEKDAYS, first: 0 };

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`BadTrigger`] says what is wrong and how to mend it.
    pub fn parse(text: &str) -> Result<Self, BadTrigger> {
        let bad = |why: String| BadTrigger::Cron(shorten(text), why);
        if text.len() > MAX_BYTES {
            return Err(bad(format!("it is longer than {MAX_BYTES} bytes")));
        }
        let written = text.trim();
        let written = match written.strip_prefix('@') {
            None => written,
            Some(_) => alias(written).map_err(bad)?,
        };
        let fields: Vec<&str> = written.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(BadTrigger::Fields { text: shorten(text), count: fields.len(), five: five_of(&fields) });
        };
        let mut days = DayOfMonth::default();
        let mut weekdays = DayOfWeek::default();
        let cron = Self {
            minutes: read(minute, &MINUTE, |_| Ok(false)).map_err(bad)?,
            hours: low(read(hour, &HOUR, |_| Ok(false)).map_err(bad)?),
            days: low(read(blank(day), &DAY, |item| Ok(days.take(item))).map_err(bad)?),
            last_day: days.last,
            months: low(read(month, &MONTH, |_| Ok(false)).map_err(bad)?) as u16,
            weekdays: {
                let bits = low(read(blank(weekday), &WEEKDAY, |item| weekdays.take(item)).map_err(bad)?);
                (bits | bits >> 7) as u8 & 0x7f
            },
            last_weekdays: weekdays.last,
            nth_weekdays: weekdays.nth,
            either_day: !blank(day).starts_with('*') && !blank(weekday).starts_with('*'),
            elastic: [minute, hour].iter().any(|field| field.contains(['*', '/'])),
            fields: [minute, hour, blank(day), month, blank(weekday)].map(str::to_uppercase),
        };
        // Any 400 years hold every combination of dates and weekdays; a leap year holds every date.
        let start = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap_or_default().and_hms_opt(0, 0, 0).unwrap_or_default();
        if cron.first_from(start).is_none() {
            return Err(bad("no calendar has such a day, so it would never fire".to_owned()));
        }
        Ok(cron)
    }

    /// Whether the pattern follows elapsed time (`*` or a step in minute or hour) rather than the wall clock.
    #[must_use]
    pub const fn is_elastic(&self) -> bool {
        self.elastic
    }

    /// The first wall-clock time from `from` on (inclusive) that the pattern names; whole minutes only.
    #[must_use]
    pub fn first_from(&self, from: NaiveDateTime) -> Option<NaiveDateTime> {
        let from = ceil_minute(from)?;
        let (mut year, mut month, mut day) = (from.year(), from.month(), from.day());
        let mut minute = from.hour() * 60 + from.minute();
        let last = year.saturating_add(HORIZON_YEARS);
        while year <= last {
            if self.months & (1 << month) != 0 {
                let mut left = self.days_of(year, month)? & (u32::MAX << day);
                while left != 0 {
                    let date = left.trailing_zeros();
                    let earliest = if date == day { minute } else { 0 };
                    if let Some(found) = self.minute_from(earliest) {
                        return NaiveDate::from_ymd_opt(year, month, date)?.and_hms_opt(found / 60, found % 60, 0);
                    }
                    left &= left - 1;
                }
            }
            (day, minute) = (1, 0);
            (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        }
        None
    }

    /// Whether the pattern names any time in `from..until`.
    #[must_use]
    pub fn names_any(&self, from: NaiveDateTime, until: NaiveDateTime) -> bool {
        self.first_from(from).is_some_and(|first| first < until)
    }

    /// The first minute of the day from `from` on.
    fn minute_from(&self, from: u32) -> Option<u32> {
        let (hour, minute) = (from / 60, from % 60);
        if self.hours & (1 << hour) != 0 {
            let left = self.minutes & (u64::MAX << minute);
            if left != 0 {
                return Some(hour * 60 + left.trailing_zeros());
            }
        }
        let later = self.hours & (u32::MAX << hour << 1);
        (later != 0).then(|| later.trailing_zeros() * 60 + self.minutes.trailing_zeros())
    }

    /// Bit n for each day n of that month on which it may fire.
    fn days_of(&self, year: i32, month: u32) -> Option<u32> {
        let first = NaiveDate::from_ymd_opt(year, month, 1)?;
        let length = u32::from(first.num_days_in_month());
        let all = ((1_u64 << (length + 1)) - 2) as u32;
        let mut by_date = self.days & all;
        if self.last_day {
            by_date |= 1 << length;
        }
        let begins = first.weekday().num_days_from_sunday();
        let mut by_weekday = 0_u32;
        for day in 1..=length {
            let bit = 1_u8 << ((begins + day - 1) % 7);
            let nth = self.nth_weekdays[((day - 1) / 7) as usize] & bit != 0;
            let is_last = day + 7 > length && self.last_weekdays & bit != 0;
            if self.weekdays & bit != 0 || nth || is_last {
                by_weekday |= 1 << day;
            }
        }
        Some(if self.either_day { by_date | by_weekday } else { by_date & by_weekday })
    }

    /// How many times an hour that it names holds.
    #[must_use]
    pub const fn per_hour(&self) -> u32 {
        self.minutes.count_ones()
    }
}

/// The bits that fit into 32; fields other than minutes have no more.
fn low(bits: u64) -> u32 {
    (bits & u64::from(u32::MAX)) as u32
}

fn blank(field: &str) -> &str {
    if field == "?" { "*" } else { field }
}

fn ceil_minute(time: NaiveDateTime) -> Option<NaiveDateTime> {
    let floor = time.with_second(0)?.with_nanosecond(0)?;
    if floor == time { Some(time) } else { floor.checked_add_signed(chrono::TimeDelta::minutes(1)) }
}

/// At most 60 characters of an expression, for a message.
fn shorten(text: &str) -> String {
    if text.chars().count() > 60 {
        format!("{}…", text.chars().take(60).collect::<String>())
    } else {
        text.to_owned()
    }
}

fn alias(text: &str) -> Result<&'static str, String> {
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("@every") {
        return Err("for a fixed distance use an interval in seconds".to_owned());
    }
    if lower == "@reboot" {
        return Err("nothing is started here because a server started".to_owned());
    }
    let known = ALIASES.iter().find(|(name, _)| *name == lower).map(|(_, fields)| *fields);
    known.ok_or_else(|| {
        let names: Vec<_> = ALIASES.iter().map(|(name, _)| *name).collect();
        format!("the names are {}", names.join(", "))
    })
}

/// What somebody who wrote six or seven fields (seconds first, a year last) may have meant.
fn five_of(fields: &[&str]) -> Option<String> {
    let is_year = |field: &str| field == "*" || field.len() >= 4 && field.as_bytes()[0].is_ascii_digit();
    let five = match fields.len() {
        6 if is_year(fields[5]) && fields[5] != "*" => &fields[..5],
        6 => &fields[1..],
        7 => &fields[1..6],
        _ => return None,
    };
    let text = five.join(" ");
    Cron::parse(&text).is_ok().then_some(text)
}

/// Days of the month that are not numbers.
#[derive(Default)]
struct DayOfMonth {
    last: bool,
}

impl DayOfMonth {
    fn take(&mut self, item: &str) -> bool {
        let is_last = item.eq_ignore_ascii_case("L");
        self.last |= is_last;
        is_last
    }
}

/// Weekdays of which not each counts.
#[derive(Default)]
struct DayOfWeek {
    last: u8,
    nth: [u8; 5],
}

impl DayOfWeek {
    fn take(&mut self, item: &str) -> Result<bool, String> {
        if item.eq_ignore_ascii_case("L") {
            return Err("`L` alone names no day of the week; `5L` is the last Friday, `6` is Saturday".to_owned());
        }
        if let Some((day, nth)) = item.split_once('#') {
            let day = value(day, &WEEKDAY)?;
            let nth: usize =
                nth.parse().ok().filter(|n| (1..=5).contains(n)).ok_or_else(|| {
                    format!("`{item}`: after # stands which such day of the month is meant, from 1 to 5")
                })?;
            self.nth[nth - 1] |= 1 << (day % 7);
            return Ok(true);
        }
        let Some(day) = item.strip_suffix(['L', 'l']).filter(|day| !day.is_empty()) else { return Ok(false) };
        self.last |= 1 << (value(day, &WEEKDAY)? % 7);
        Ok(true)
    }
}

/// The bits of a field. `special` takes items that are no numbers.
fn read(field: &str, kind: &Kind, mut special: impl FnMut(&str) -> Result<bool, String>) -> Result<u64, String> {
    let mut bits = 0;
    for item in field.split(',') {
        if item.is_empty() {
            return Err(format!("the {} `{field}` has an empty item between its commas", kind.name));
        }
        if !special(item)? {
            bits |= item_bits(item, kind)?;
        }
    }
    Ok(bits)
}

fn item_bits(item: &str, kind: &Kind) -> Result<u64, String> {
    let (range, step) = match item.split_once('/') {
        None => (item, None),
        Some((range, step)) => (range, Some(step_of(step, item, kind)?)),
    };
    let (from, to) = if range == "*" {
        (kind.min, if kind.max == 7 { 6 } else { kind.max })
    } else if let Some((from, to)) = range.split_once('-') {
        let (from, to) = (value(from, kind)?, value(to, kind)?);
        // A week may end with Sunday: FRI-SUN, 5-0.
        let to = if kind.max == 7 && to == 0 && from > 0 { 7 } else { to };
        if from > to {
            let (min, max) = (kind.min, if kind.max == 7 { 6 } else { kind.max });
            return Err(format!(
                "the {} range `{range}` runs backwards; write it as two: {from}-{max},{min}-{to}",
                kind.name
            ));
        }
        (from, to)
    } else {
        let from = value(range, kind)?;
        (from, if step.is_some() { if kind.max == 7 { 6.max(from) } else { kind.max } } else { from })
    };
    let mut bits = 0;
    for value in (from..=to).step_by(step.unwrap_or(1)) {
        bits |= 1 << value;
    }
    Ok(bits)
}

fn step_of(text: &str, item: &str, kind: &Kind) -> Result<usize, String> {
    let most = (if kind.max == 7 { 6 } else { kind.max }) - kind.min + 1;
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
    match number {
        Some(step) if (1..=most).contains(&step) => Ok(step as usize),
        Some(step) if step > most => Err(format!(
            "the step of the {} `{item}` is larger than {most}, so it would never step; for a longer distance use an \
             interval in seconds",
            kind.name
        )),
        _ => Err(format!("the step of the {} `{item}` is a whole number from 1 to {most}", kind.name)),
    }
}

/// A number or a name.
fn value(text: &str, kind: &Kind) -> Result<u32, String> {
    let named = kind.names.iter().zip(kind.first..).find(|(name, _)| name.eq_ignore_ascii_case(text));
    let number = || {
        let digits = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten().filter(|number| (kind.min..=kind.max).contains(number))
    };
    named.map(|(_, number)| number).or_else(number).ok_or_else(|| {
        let names = match kind.names {
            [] => String::new(),
            names => format!(" or {}-{}", names[0], names[names.len() - 1]),
        };
        format!("`{text}` is no {}: {}-{}{names}", kind.name, kind.min, kind.max)
    })
}
