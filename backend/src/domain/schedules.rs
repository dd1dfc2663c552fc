//! The schedules that a `pipeline.json` holds: one by its own fields, any number in `schedules`.
//!
//! ```json
//! { "schedule_cron": "0 2 * * *", "schedule_timezone": "Europe/Berlin",
//!   "schedules": [{ "id": "hourly", "cron": "0 * * * *", "env": { "MODE": "quick" }, "timeout": 600 }] }
//! ```
//! Within an entry of `schedules` each name may be written with or without `schedule_`. What an entry does not say of its
//! policies and its zone, the pipeline's own fields say.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::clock::Millis;
use super::env;
use super::firing::{CatchUp, Overlap, Policy};
use super::pipeline::{RetryStrategy, cores, retry_strategy, shorten, whole};
use super::size::{MIN_MEMORY, parse_bytes};
use super::trigger::{Timetable, instant};

/// Most entries of `schedules`.
const MAX_SCHEDULES: usize = 100;

/// What a job's runs have instead of what their pipeline says; absent fields leave that.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// CPU limit in cores.
    pub cpu_hard_limit: Option<f64>,
    /// Memory limit in bytes.
    pub mem_hard_limit: Option<u64>,
    /// CPU in cores above which metrics are marked.
    pub cpu_soft_limit: Option<f64>,
    /// Memory in bytes above which metrics are marked.
    pub mem_soft_limit: Option<u64>,
    /// Seconds after which a run is killed; 0 is never.
    pub timeout: Option<i64>,
    /// Attempts after a failed one.
    pub retry_attempts: Option<u32>,
    /// How long to wait between attempts.
    pub retry_strategy: Option<RetryStrategy>,
}

/// A schedule as its file says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Names it within its pipeline.
    pub id: String,
    /// `cron`, `interval` or `once`.
    pub kind: &'static str,
    /// Expression, seconds or instant.
    pub value: String,
    /// Zone of a cron expression; absent means the server's setting.
    pub zone: Option<String>,
    /// It does not fire before this.
    pub start: Option<Millis>,
    /// It does not fire after this.
    pub end: Option<Millis>,
    /// How it fires.
    pub policy: Policy,
    /// Whether it fires.
    pub enabled: bool,
    /// Values for its runs.
    pub env: BTreeMap<String, String>,
    /// What its runs have instead of what the pipeline says.
    pub overrides: Overrides,
}

/// What is wrong: the field of the file, and a sentence.
pub type Problems = Vec<(String, String)>;

/// Reads the schedules of a `pipeline.json`.
pub fn read(fields: &Map<String, Value>, problems: &mut Problems) -> Vec<Schedule> {
    let own = Entry { fields, field: None, label: String::new() };
    let defaults = Defaults { zone: own.text("timezone", problems), policy: own.policy(None, problems) };
    let start = own.instant("start", problems);
    let end = own.instant("end", problems);
    let mut schedules = Vec::new();
    for (kind, value) in own.triggers(problems) {
        schedules.push(Schedule {
            id: kind.to_owned(),
            kind,
            value,
            zone: defaults.zone.clone(),
            start,
            end,
            policy: defaults.policy,
            enabled: true,
            env: BTreeMap::new(),
            overrides: Overrides::default(),
        });
    }
    for schedule in &schedules {
        let field = match schedule.kind {
            "cron" => "schedule_cron",
            "interval" => "schedule_interval_seconds",
            _ => "run_once_at",
        };
        check(schedule, field, "", problems);
    }
    schedules.extend(entries(fields, &defaults, problems));
    schedules
}

struct Defaults {
    zone: Option<String>,
    policy: Policy,
}

fn entries(fields: &Map<String, Value>, defaults: &Defaults, problems: &mut Problems) -> Vec<Schedule> {
    let list = match fields.get("schedules") {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(list)) if list.len() <= MAX_SCHEDULES => list,
        Some(other) => {
            let expected = format!("expected a list of at most {MAX_SCHEDULES} objects, found {}", shorten(other));
            problems.push(("schedules".to_owned(), expected));
            return Vec::new();
        }
    };
    let mut ids = BTreeSet::new();
    let mut schedules = Vec::new();
    for (index, entry) in list.iter().enumerate() {
        let mut problem =
            |message: String| problems.push(("schedules".to_owned(), format!("entry {}: {message}", index + 1)));
        let Value::Object(fields) = entry else {
            problem(format!("expected an object, found {}", shorten(entry)));
            continue;
        };
        let Some(id) = fields.get("id").and_then(Value::as_str).filter(|id| good_id(id)) else {
            problem("`id` must name it: 1 to 100 letters, digits, dots, dashes and underscores".to_owned());
            continue;
        };
        if ["cron", "interval", "once"].contains(&id) || !ids.insert(id.to_owned()) {
            problem(format!(
                "the id `{id}` is taken; each schedule needs its own (cron, interval and once are the pipeline's)"
            ));
            continue;
        }
        let entry = Entry { fields, field: Some("schedules"), label: format!("`{id}`: ") };
        schedules.extend(entry.schedule(id, defaults, problems));
    }
    schedules
}

/// Whether a text can name a schedule.
#[must_use]
pub fn good_id(id: &str) -> bool {
    (1..=100).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Checks a trigger as a whole.
fn check(schedule: &Schedule, field: &str, label: &str, problems: &mut Problems) {
    let Schedule { kind, value, zone, start, end, .. } = schedule;
    if let Err(error) = Timetable::parse(kind, value, zone.as_deref().unwrap_or("UTC"), *start, *end) {
        problems.push((field.to_owned(), format!("{label}{error}")));
    }
}

/// The fields of one schedule: the pipeline's own, or an entry of `schedules`.
struct Entry<'a> {
    fields: &'a Map<String, Value>,
    /// The field of the file to blame; absent for the pipeline's own, which are blamed one by one.
    field: Option<&'static str>,
    label: String,
}

impl Entry<'_> {
    fn schedule(&self, id: &str, defaults: &Defaults, problems: &mut Problems) -> Option<Schedule> {
        let before = problems.len();
        let mut triggers = self.triggers(problems);
        let zone = self.text("timezone", problems).or_else(|| defaults.zone.clone());
        let schedule = Schedule {
            id: id.to_owned(),
            kind: "",
            value: String::new(),
            zone,
            start: self.instant("start", problems),
            end: self.instant("end", problems),
            policy: self.policy(Some(defaults.policy), problems),
            enabled: self.read("enabled", "true or false", Value::as_bool, problems).unwrap_or(true),
            env: self.env(problems),
            overrides: self.overrides(problems),
        };
        if problems.len() > before {
            return None;
        }
        let (Some((kind, value)), true) = (triggers.pop(), triggers.is_empty()) else {
            self.problem("cron", "an entry has one trigger: `cron`, `interval_seconds` or `run_once_at`", problems);
            return None;
        };
        let schedule = Schedule { kind, value, ..schedule };
        check(&schedule, "schedules", &self.label, problems);
        Some(schedule)
    }

    fn triggers(&self, problems: &mut Problems) -> Vec<(&'static str, String)> {
        let seconds = |value: &Value| whole(value, 1).map(|seconds| seconds.to_string());
        let text = |value: &Value| value.as_str().map(str::to_owned);
        [
            ("cron", self.read("cron", "a cron expression of five fields", text, problems)),
            ("interval", self.read("interval_seconds", "a whole number of seconds above 0", seconds, problems)),
            ("once", self.read("run_once_at", "a time like \"2026-03-29T02:30:00Z\"", text, problems)),
        ]
        .into_iter()
        .filter_map(|(kind, value)| Some((kind, value?)))
        .collect()
    }

    fn policy(&self, defaults: Option<Policy>, problems: &mut Problems) -> Policy {
        let most = self.read("catch_up_limit", "a whole number above 0", |v| whole(v, 1), problems);
        let age = self.read("catch_up_max_age_seconds", "a whole number of seconds above 0", |v| whole(v, 1), problems);
        let catch_up = |v: &Value| CatchUp::parse(v.as_str()?, most, age);
        let catch_up = self.read("catch_up", "\"skip\", \"latest\" or \"all\"", catch_up, problems);
        let overlap = |v: &Value| Overlap::parse(v.as_str()?);
        let overlap = self.read("overlap", "\"allow\", \"skip\", \"queue\" or \"cancel_previous\"", overlap, problems);
        let most = |v: &Value| whole(v, 1).and_then(|n| u32::try_from(n).ok());
        let max_instances = self.read("max_instances", "a whole number above 0", most, problems);
        Policy {
            catch_up: catch_up.unwrap_or(defaults.map_or(CatchUp::Latest, |policy| policy.catch_up)),
            overlap: overlap.unwrap_or(defaults.map_or(Overlap::Allow, |policy| policy.overlap)),
            max_instances: max_instances.or(defaults.and_then(|policy| policy.max_instances)),
        }
    }

    fn overrides(&self, problems: &mut Problems) -> Overrides {
        let attempts = |v: &Value| whole(v, 0).and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= 100);
        Overrides {
            cpu_hard_limit: self.read("cpu_hard_limit", "a number of cores above 0, like 1.5", cores, problems),
            mem_hard_limit: self
                .read("mem_hard_limit", "a size of at least 6m, like \"512m\"", size, problems)
                .filter(|bytes| *bytes >= MIN_MEMORY || self.too_small(problems)),
            cpu_soft_limit: self.read("cpu_soft_limit", "a number of cores above 0, like 0.8", cores, problems),
            mem_soft_limit: self.read("mem_soft_limit", "a size, like \"512m\"", size, problems),
            timeout: self.read("timeout", "a whole number of seconds, 0 for none", |v| whole(v, 0), problems),
            retry_attempts: self.read("retry_attempts", "a whole number from 0 to 100", attempts, problems),
            retry_strategy: self.read("retry_strategy", "an object as in the pipeline's own", retry_strategy, problems),
        }
    }

    fn too_small(&self, problems: &mut Problems) -> bool {
        self.problem("mem_hard_limit", "it is less than Docker's minimum of 6m", problems);
        false
    }

    fn env(&self, problems: &mut Problems) -> BTreeMap<String, String> {
        let value = self.fields.get("env").or_else(|| self.fields.get("default_env")).filter(|value| !value.is_null());
        value.map_or_else(BTreeMap::new, |value| env::read(value, |problem| self.problem("env", problem, problems)))
    }

    fn text(&self, name: &'static str, problems: &mut Problems) -> Option<String> {
        self.read(name, "a text", |value| value.as_str().map(str::to_owned), problems)
    }

    fn instant(&self, name: &'static str, problems: &mut Problems) -> Option<Millis> {
        let read = |value: &Value| value.as_str().and_then(|text| instant(text).ok());
        self.read(name, "a time like \"2026-03-29T02:30:00Z\" (without a zone it is UTC)", read, problems)
    }

    /// A field by its name; the pipeline's own have the prefix, those of an entry may have it.
    fn read<T>(
        &self,
        name: &'static str,
        expected: &str,
        convert: impl Fn(&Value) -> Option<T>,
        problems: &mut Problems,
    ) -> Option<T> {
        let plain = self.field.and_then(|_| self.fields.get(name));
        let value = plain.or_else(|| self.fields.get(&self.full_name(name))).filter(|value| !value.is_null())?;
        let converted = convert(value);
        if converted.is_none() {
            self.problem(name, &format!("expected {expected}, found {}", shorten(value)), problems);
        }
        converted
    }

    fn full_name(&self, name: &str) -> String {
        if name == "run_once_at" { name.to_owned() } else { format!("schedule_{name}") }
    }

    fn problem(&self, name: &str, message: &str, problems: &mut Problems) {
        problems.push(match self.field {
            None => (self.full_name(name), message.to_owned()),
            Some(field) => (field.to_owned(), format!("{}`{name}`: {message}", self.label)),
        });
    }
}

fn size(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => parse_bytes(text).ok(),
        Value::Number(number) => parse_bytes(&number.to_string()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_value(value: &Value) -> (Vec<Schedule>, Problems) {
        let mut problems = Vec::new();
        let schedules = read(value.as_object().expect("an object"), &mut problems);
        (schedules, problems)
    }

    #[test]
    fn every_field() {
        let (schedules, problems) = read_value(&json!({
            "schedule_cron": "0 2 * * *", "schedule_interval_seconds": 300, "run_once_at": "2026-03-01T02:00:00",
            "schedule_start": "2026-01-01T00:00:00", "schedule_end": "2027-01-01", "schedule_timezone": "Europe/Berlin",
            "schedule_overlap": "skip", "schedule_max_instances": 2, "schedule_catch_up": "skip",
            "schedules": [
                { "id": "a", "cron": "@hourly", "enabled": false, "env": { "N": 1, "T": "x" }, "cpu_hard_limit": 0.5,
                  "mem_hard_limit": "64m", "timeout": 60, "retry_attempts": 2,
                  "retry_strategy": { "type": "fixed_delay", "delay": 5 }, "timezone": "UTC" },
                { "id": "b", "schedule_interval_seconds": 60, "overlap": "queue", "catch_up": "all", "catch_up_limit": 5,
                  "catch_up_max_age_seconds": 7200, "max_instances": 1, "start": "2026-01-01", "default_env": {} },
            ],
        }));
        assert_eq!(problems, []);
        let short: Vec<_> = schedules.iter().map(|s| (s.id.as_str(), s.kind, s.value.as_str())).collect();
        assert_eq!(
            short,
            [
                ("cron", "cron", "0 2 * * *"),
                ("interval", "interval", "300"),
                ("once", "once", "2026-03-01T02:00:00"),
                ("a", "cron", "@hourly"),
                ("b", "interval", "60")
            ]
        );
        let policy = Policy { catch_up: CatchUp::Skip, overlap: Overlap::Skip, max_instances: Some(2) };
        assert_eq!((schedules[0].policy, schedules[0].zone.as_deref()), (policy, Some("Europe/Berlin")));
        assert_eq!(schedules[0].start, instant("2026-01-01T00:00:00Z").ok());
        let a = &schedules[3];
        assert_eq!((a.policy, a.enabled, a.zone.as_deref(), a.env["N"].as_str()), (policy, false, Some("UTC"), "1"));
        assert_eq!((a.overrides.mem_hard_limit, a.overrides.timeout, a.start), (Some(64 << 20), Some(60), None));
        let all = CatchUp::All { most: 5, max_age: 7_200_000 };
        assert_eq!(schedules[4].policy, Policy { catch_up: all, overlap: Overlap::Queue, max_instances: Some(1) });
    }

    #[test]
    fn every_mistake_is_told_with_its_field() {
        for (value, field, hint) in [
            (json!({ "schedule_cron": "0 0 2 * * *" }), "schedule_cron", "has 6 fields"),
            (json!({ "schedule_cron": 5 }), "schedule_cron", "found 5"),
            (json!({ "schedule_interval_seconds": 0 }), "schedule_interval_seconds", "above 0"),
            (json!({ "run_once_at": "soon" }), "run_once_at", "is not a time"),
            (json!({ "schedule_start": "soon" }), "schedule_start", "without a zone it is UTC"),
            (json!({ "schedule_cron": "@daily", "schedule_timezone": "Mars" }), "schedule_cron", "IANA"),
            (json!({ "schedule_overlap": "maybe" }), "schedule_overlap", "cancel_previous"),
            (json!({ "schedules": {} }), "schedules", "expected a list"),
            (json!({ "schedules": [5] }), "schedules", "entry 1: expected an object"),
            (json!({ "schedules": [{ "cron": "@daily" }] }), "schedules", "entry 1: `id`"),
            (json!({ "schedules": [{ "id": "a b", "cron": "@daily" }] }), "schedules", "`id`"),
            (json!({ "schedules": [{ "id": "cron", "cron": "@daily" }] }), "schedules", "is taken"),
            (json!({ "schedules": [{ "id": "a" }] }), "schedules", "`a`: `cron`: an entry has one trigger"),
            (
                json!({ "schedules": [{ "id": "a", "cron": "@daily", "interval_seconds": 5 }] }),
                "schedules",
                "one trigger",
            ),
            (json!({ "schedules": [{ "id": "a", "cron": "61 * * * *" }] }), "schedules", "`a`: `61 * * * *`"),
            (json!({ "schedules": [{ "id": "a", "cron": "@daily", "mem_hard_limit": "1m" }] }), "schedules", "minimum"),
            (json!({ "schedules": [{ "id": "a", "cron": "@daily", "timeout": "x" }] }), "schedules", "`timeout`"),
            (json!({ "schedules": [{ "id": "a", "cron": "@daily", "env": { "A-B": 1 } }] }), "schedules", "`env`"),
        ] {
            let (_, problems) = read_value(&value);
            assert_eq!(problems.len(), 1, "{value}: {problems:?}");
            assert!(problems[0].0 == field && problems[0].1.contains(hint), "{value}: {problems:?}");
        }
    }
}
