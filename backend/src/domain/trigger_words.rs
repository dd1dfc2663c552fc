//! A trigger, and what a change of the offset does to it, as a sentence in English and in German.

use super::cron::Cron;
use super::trigger::{DstNote, Meeting, Timetable, Trigger};
use super::zone::Zone;

/// A language of the UI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// German.
    German,
}

use Language::{English, German};

const DAYS: [[&str; 2]; 7] = [
    ["Sunday", "Sonntag"],
    ["Monday", "Montag"],
    ["Tuesday", "Dienstag"],
    ["Wednesday", "Mittwoch"],
    ["Thursday", "Donnerstag"],
    ["Friday", "Freitag"],
    ["Saturday", "Samstag"],
];

const MONTHS: [[&str; 2]; 12] = [
    ["January", "Januar"],
    ["February", "Februar"],
    ["March", "März"],
    ["April", "April"],
    ["May", "Mai"],
    ["June", "Juni"],
    ["July", "Juli"],
    ["August", "August"],
    ["September", "September"],
    ["October", "Oktober"],
    ["November", "November"],
    ["December", "Dezember"],
];

const NTH: [[&str; 2]; 5] =
    [["first", "ersten"], ["second", "zweiten"], ["third", "dritten"], ["fourth", "vierten"], ["fifth", "fünften"]];

/// Most times of the day that are listed one by one.
const MAX_TIMES: u32 = 6;

impl Language {
    const fn pick(self, english: &'static str, german: &'static str) -> &'static str {
        match self {
            English => english,
            German => german,
        }
    }

    const fn of(self, both: [&'static str; 2]) -> &'static str {
        match self {
            English => both[0],
            German => both[1],
        }
    }
}

/// When it fires, in words.
#[must_use]
pub fn sentence(timetable: &Timetable, language: Language) -> String {
    match &timetable.trigger {
        Trigger::Cron(cron, zone) => {
            let zone = if *zone == Zone::UTC { "UTC" } else { zone.name() };
            format!("{} ({zone})", cron_words(cron, language))
        }
        Trigger::Interval { every, .. } => interval_words(every / 1000, language),
        Trigger::Once(at) => {
            let at = at.to_utc().format("%Y-%m-%d %H:%M:%S");
            match language {
                English => format!("Once, at {at} UTC"),
                German => format!("Einmal, am {at} UTC"),
            }
        }
    }
}

/// What a change of the offset does to it, in words.
#[must_use]
pub fn note(note: &DstNote, language: Language) -> String {
    let Some((first, after)) = note.change.local_span() else { return String::new() };
    let day = first.format("%Y-%m-%d");
    let (from, to) = (first.format("%H:%M"), after.format("%H:%M"));
    match (note.meeting, language) {
        (Meeting::GapOnce, English) => {
            format!("On {day} the clock jumps from {from} to {to}: it fires once, at {to}.")
        }
        (Meeting::GapOnce, German) => {
            format!("Am {day} springt die Uhr von {from} auf {to}: er startet einmal, um {to}.")
        }
        (Meeting::GapLeftOut, English) => {
            format!("On {day} the clock jumps from {from} to {to}: its times in between do not exist and are left out.")
        }
        (Meeting::GapLeftOut, German) => {
            format!(
                "Am {day} springt die Uhr von {from} auf {to}: seine Zeiten dazwischen gibt es nicht, sie entfallen."
            )
        }
        (Meeting::OverlapOnce, English) => {
            format!("On {day} the time from {from} to {to} comes twice: it fires the first time only.")
        }
        (Meeting::OverlapOnce, German) => {
            format!("Am {day} kommt die Zeit von {from} bis {to} zweimal: er startet nur beim ersten Mal.")
        }
        (Meeting::OverlapTwice, English) => {
            format!("On {day} the time from {from} to {to} comes twice: it fires in both.")
        }
        (Meeting::OverlapTwice, German) => {
            format!("Am {day} kommt die Zeit von {from} bis {to} zweimal: er startet beide Male.")
        }
    }
}

fn interval_words(seconds: i64, language: Language) -> String {
    let units = [
        (604_800, ["week", "Woche"], ["weeks", "Wochen"]),
        (86_400, ["day", "Tag"], ["days", "Tage"]),
        (3600, ["hour", "Stunde"], ["hours", "Stunden"]),
        (60, ["minute", "Minute"], ["minutes", "Minuten"]),
        (1, ["second", "Sekunde"], ["seconds", "Sekunden"]),
    ];
    let unit = units.iter().find(|(size, ..)| seconds % size == 0);
    let Some((size, one, many)) = unit else { return String::new() };
    match (seconds / size, language) {
        (1, English) => format!("Every {}", one[0]),
        (1, German) => format!("{} {}", if one[1] == "Tag" { "Jeden" } else { "Jede" }, one[1]),
        (n, English) => format!("Every {n} {}", many[0]),
        (n, German) => format!("Alle {n} {}", many[1]),
    }
}

/// A cron expression, without its zone.
#[must_use]
pub fn cron_words(cron: &Cron, language: Language) -> String {
    let times = times(cron, language);
    let days = days(cron, language);
    let months = months(cron, language);
    let at_times = times.starts_with("At ") || times.starts_with("Um ");
    let days = match days {
        Some(days) => format!(" {days}"),
        None if at_times => language.pick(" every day", " jeden Tag").to_owned(),
        None => String::new(),
    };
    format!("{times}{days}{}", months.map_or_else(String::new, |months| format!(" {months}")))
}

fn times(cron: &Cron, l: Language) -> String {
    let minutes = bits(cron.minutes, 0, 59);
    let hours = bits(u64::from(cron.hours), 0, 23);
    let all_hours = hours.len() == 24;
    if minutes.len() == 60 {
        return match all_hours {
            true => l.pick("Every minute", "Jede Minute").to_owned(),
            false => format!("{} {}", l.pick("Every minute", "Jede Minute"), hour_spans(&hours, l)),
        };
    }
    let count = cron.minutes.count_ones() * cron.hours.count_ones();
    let few = count <= MAX_TIMES && !cron.is_elastic();
    if let Some(step) = even_step(&minutes, 60).filter(|_| !few) {
        let every = match l {
            English => format!("Every {step} minutes"),
            German => format!("Alle {step} Minuten"),
        };
        return if all_hours { every } else { format!("{every} {}", hour_spans(&hours, l)) };
    }
    if let [minute] = minutes[..] {
        if all_hours {
            return match (minute, l) {
                (0, _) => l.pick("Every hour, on the hour", "Jede Stunde, zur vollen Stunde").to_owned(),
                (_, English) => format!("Every hour, at minute {minute}"),
                (_, German) => format!("Jede Stunde, zur Minute {minute}"),
            };
        }
        if let Some(step) = even_step(&hours, 24).filter(|_| !few) {
            return match l {
                English => format!("Every {step} hours, at minute {minute}"),
                German => format!("Alle {step} Stunden, zur Minute {minute}"),
            };
        }
    }
    if count <= MAX_TIMES {
        let all = hours.iter().flat_map(|hour| minutes.iter().map(move |minute| format!("{hour:02}:{minute:02}")));
        let list = join(&all.collect::<Vec<_>>(), l);
        return format!("{} {list}", l.pick("At", "Um"));
    }
    let at = join(&spans(&minutes, l, |minute| minute.to_string()), l);
    let within = if all_hours { l.pick("of every hour", "jeder Stunde").to_owned() } else { hour_spans(&hours, l) };
    match l {
        English => format!("In the minutes {at} {within}"),
        German => format!("In den Minuten {at} {within}"),
    }
}

/// "from 09:00 to 17:59": the hours as spans of time.
fn hour_spans(hours: &[u32], l: Language) -> String {
    let spans: Vec<_> = runs(hours)
        .into_iter()
        .map(|(first, last)| match l {
            English => format!("from {first:02}:00 to {last:02}:59"),
            German => format!("von {first:02}:00 bis {last:02}:59"),
        })
        .collect();
    join(&spans, l)
}

fn days(cron: &Cron, l: Language) -> Option<String> {
    let dates = (cron.fields[2] != "*").then(|| date_words(cron, l));
    let weekdays = (cron.fields[4] != "*").then(|| weekday_words(cron, l));
    Some(match (dates, weekdays) {
        (None, None) => return None,
        (Some(days), None) | (None, Some(days)) => days,
        (Some(dates), Some(weekdays)) if cron.either_day => format!("{dates} {} {weekdays}", l.pick("or", "oder")),
        (Some(dates), Some(weekdays)) => match l {
            English => format!("{dates}, if it is also {weekdays}"),
            German => format!("{dates}, sofern auch {weekdays}"),
        },
    })
}

fn date_words(cron: &Cron, l: Language) -> String {
    let dates = bits(u64::from(cron.days), 1, 31);
    let mut parts = Vec::new();
    if !dates.is_empty() {
        let list = join(&spans(&dates, l, |day| day.to_string()), l);
        parts.push(match l {
            English => format!("on day {list} of the month"),
            German => format!("am {} Tag des Monats", join(&spans(&dates, l, |day| format!("{day}.")), l)),
        });
    }
    if cron.last_day {
        parts.push(l.pick("on the last day of the month", "am letzten Tag des Monats").to_owned());
    }
    join(&parts, l)
}

fn weekday_words(cron: &Cron, l: Language) -> String {
    let name = |day: u32| l.of(DAYS[(day % 7) as usize]).to_owned();
    // Monday first, so that a week's end is one span.
    let plain = u64::from(cron.weekdays);
    let rotated = (plain >> 1) | ((plain & 1) << 6);
    let days = bits(rotated, 0, 6);
    let mut parts = Vec::new();
    if !days.is_empty() {
        let list = join(&spans(&days, l, |day| name(day + 1)), l);
        parts.push(format!("{} {list}", l.pick("on", "am")));
    }
    for (index, set) in cron.nth_weekdays.iter().enumerate() {
        for day in bits(u64::from(*set), 0, 6) {
            let nth = l.of(NTH[index]);
            parts.push(match l {
                English => format!("on the {nth} {} of the month", name(day)),
                German => format!("am {nth} {} des Monats", name(day)),
            });
        }
    }
    for day in bits(u64::from(cron.last_weekdays), 0, 6) {
        parts.push(match l {
            English => format!("on the last {} of the month", name(day)),
            German => format!("am letzten {} des Monats", name(day)),
        });
    }
    join(&parts, l)
}

fn months(cron: &Cron, l: Language) -> Option<String> {
    let months = bits(u64::from(cron.months), 1, 12);
    let list = || join(&spans(&months, l, |month| l.of(MONTHS[month as usize - 1]).to_owned()), l);
    (months.len() < 12).then(|| format!("{} {}", l.pick("in", "im"), list()))
}

/// The numbers from `min` to `max` whose bits are set.
fn bits(set: u64, min: u32, max: u32) -> Vec<u32> {
    (min..=max).filter(|bit| set & (1 << bit) != 0).collect()
}

/// The step of numbers that divide `whole` evenly from 0 on, when there are several.
fn even_step(numbers: &[u32], whole: u32) -> Option<u32> {
    let step = numbers.get(1)? - numbers.first()?;
    let even = whole % step == 0 && numbers.len() as u32 == whole / step && numbers[0] == 0;
    (even && numbers.windows(2).all(|pair| pair[1] - pair[0] == step)).then_some(step)
}

/// Neighbours as spans.
fn runs(numbers: &[u32]) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    runs
}

fn spans(numbers: &[u32], l: Language, name: impl Fn(u32) -> String) -> Vec<String> {
    let to = l.pick("to", "bis");
    runs(numbers)
        .into_iter()
        .flat_map(|(first, last)| match last - first {
            0 => vec![name(first)],
            1 => vec![name(first), name(last)],
            _ => vec![format!("{} {to} {}", name(first), name(last))],
        })
        .collect()
}

fn join(parts: &[String], l: Language) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} {} {last}", first.join(", "), l.pick("and", "und")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::Millis;
    use super::*;

    #[test]
    fn expressions_in_words() {
        for (expression, english, german) in [
            ("* * * * *", "Every minute", "Jede Minute"),
            ("*/15 * * * *", "Every 15 minutes", "Alle 15 Minuten"),
            (
                "*/15 9-17 * * 1-5",
                "Every 15 minutes from 09:00 to 17:59 on Monday to Friday",
                "Alle 15 Minuten von 09:00 bis 17:59 am Montag bis Freitag",
            ),
            ("0 * * * *", "Every hour, on the hour", "Jede Stunde, zur vollen Stunde"),
            ("30 * * * *", "Every hour, at minute 30", "Jede Stunde, zur Minute 30"),
            ("5 */6 * * *", "Every 6 hours, at minute 5", "Alle 6 Stunden, zur Minute 5"),
            ("30 2 * * *", "At 02:30 every day", "Um 02:30 jeden Tag"),
            (
                "0,30 8,20 * * *",
                "At 08:00, 08:30, 20:00 and 20:30 every day",
                "Um 08:00, 08:30, 20:00 und 20:30 jeden Tag",
            ),
            ("0 6 * * 6,0", "At 06:00 on Saturday and Sunday", "Um 06:00 am Samstag und Sonntag"),
            ("0 0 1,15 * *", "At 00:00 on day 1 and 15 of the month", "Um 00:00 am 1. und 15. Tag des Monats"),
            ("0 0 L * *", "At 00:00 on the last day of the month", "Um 00:00 am letzten Tag des Monats"),
            ("0 0 * * 5L", "At 00:00 on the last Friday of the month", "Um 00:00 am letzten Freitag des Monats"),
            ("0 0 * * 2#1", "At 00:00 on the first Tuesday of the month", "Um 00:00 am ersten Dienstag des Monats"),
            (
                "0 0 13 * 5",
                "At 00:00 on day 13 of the month or on Friday",
                "Um 00:00 am 13. Tag des Monats oder am Freitag",
            ),
            (
                "0 0 */2 * 1",
                "At 00:00 on day 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29 and 31 of the month, if it is also on Monday",
                "",
            ),
            (
                "0 0 1 1,7 *",
                "At 00:00 on day 1 of the month in January and July",
                "Um 00:00 am 1. Tag des Monats im Januar und Juli",
            ),
            (
                "0 0 1 3-9 *",
                "At 00:00 on day 1 of the month in March to September",
                "Um 00:00 am 1. Tag des Monats im März bis September",
            ),
            (
                "7-59/13 * * * *",
                "In the minutes 7, 20, 33, 46 and 59 of every hour",
                "In den Minuten 7, 20, 33, 46 und 59 jeder Stunde",
            ),
            (
                "* 2,4 * * *",
                "Every minute from 02:00 to 02:59 and from 04:00 to 04:59",
                "Jede Minute von 02:00 bis 02:59 und von 04:00 bis 04:59",
            ),
        ] {
            let cron = Cron::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
            assert_eq!(cron_words(&cron, English), english, "{expression}");
            if !german.is_empty() {
                assert_eq!(cron_words(&cron, German), german, "{expression}");
            }
        }
    }

    #[test]
    fn other_triggers_and_zones_in_words() {
        let say = |kind: &str, value: &str, zone: &str, language| {
            sentence(&Timetable::parse(kind, value, zone, None, None).expect("a trigger"), language)
        };
        assert_eq!(say("interval", "300", "UTC", English), "Every 5 minutes");
        assert_eq!(say("interval", "86400", "UTC", German), "Jeden Tag");
        assert_eq!(say("interval", "90", "UTC", German), "Alle 90 Sekunden");
        assert_eq!(say("once", "2026-03-01T02:00", "UTC", English), "Once, at 2026-03-01 02:00:00 UTC");
        assert_eq!(say("cron", "@daily", "Europe/Berlin", German), "Um 00:00 jeden Tag (Europe/Berlin)");
    }

    #[test]
    fn changes_of_the_offset_in_words() {
        let table = Timetable::parse("cron", "30 2 * * *", "Europe/Berlin", None, None).expect("a trigger");
        let notes = table.dst_notes(Millis(1_767_225_600_000), Millis(1_798_761_600_000));
        let said: Vec<_> = notes.iter().map(|one| note(one, English)).collect();
        assert_eq!(
            said,
            [
                "On 2026-03-29 the clock jumps from 02:00 to 03:00: it fires once, at 03:00.",
                "On 2026-10-25 the time from 02:00 to 03:00 comes twice: it fires the first time only."
            ]
        );
        assert!(note(&notes[0], German).starts_with("Am 2026-03-29 springt die Uhr"));
    }
}
