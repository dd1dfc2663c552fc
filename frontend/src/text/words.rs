//! Numbers and times the way a language writes them, in the browser's time zone.

use chrono::{DateTime, Datelike as _, Local, NaiveDate, Utc};
use fastflow_shared::Sentence;

use super::Texts;
use crate::logic::query::RunOrder;
use crate::logic::{format, time};

impl Texts {
    /// The name of an order of runs.
    #[must_use]
    pub const fn order(&self, order: RunOrder) -> &'static str {
        match order {
            RunOrder::Newest => self.runs.newest,
            RunOrder::Oldest => self.runs.oldest,
            RunOrder::Longest => self.runs.longest,
            RunOrder::Shortest => self.runs.shortest,
        }
    }

    /// How many runs wait and work.
    #[must_use]
    pub fn active(&self, running: i32, queued: i32) -> String {
        match (running, queued) {
            (0, queued) => self.dash.some_queued(queued),
            (running, 0) => self.dash.some_running(running),
            _ => self.dash.both(running, queued),
        }
    }

    /// A day of the year's map.
    #[must_use]
    pub fn day(&self, day: NaiveDate, all: i64, bad: i64) -> String {
        let day = format!("{}{} {}", day.day(), self.day_dot, self.months[day.month0() as usize]);
        match (all, bad) {
            (0, _) => self.dash.day_none(&day),
            (all, 0) => self.dash.day_good(&day, all),
            _ => self.dash.day(&day, all, bad),
        }
    }

    /// What goes with a pipeline that is deleted.
    #[must_use]
    pub fn goes(&self, runs: i32, jobs: &[String]) -> String {
        let t = &self.pipeline;
        let runs = if runs == 0 { t.delete_no_runs.to_owned() } else { t.delete_runs(runs) };
        let jobs = if jobs.is_empty() { t.delete_no_jobs.to_owned() } else { t.delete_jobs(&jobs.join("; ")) };
        t.delete_lead(&runs, &jobs)
    }

    /// What the server says in both languages.
    #[must_use]
    pub fn say<'s>(&self, sentence: &'s Sentence) -> &'s str {
        // German writes the day of a date with a dot, and is the only one of the two that does.
        if self.day_dot.is_empty() { &sentence.en } else { &sentence.de }
    }

    /// `21 Nov 2026, 18:34:05`.
    #[must_use]
    pub fn exact(&self, at: DateTime<Utc>) -> String {
        time::exact(at.with_timezone(&Local).fixed_offset(), &self.months, self.day_dot)
    }

    /// `18:34:05.123`.
    #[must_use]
    pub fn stamp(&self, at: DateTime<Utc>) -> String {
        time::stamp(at.with_timezone(&Local).fixed_offset())
    }

    /// `4m 05s`.
    #[must_use]
    pub fn duration(&self, seconds: f64) -> String {
        time::duration(seconds, self.point)
    }

    /// `5m`.
    #[must_use]
    pub fn span(&self, seconds: f64) -> String {
        time::span(seconds, self.point)
    }

    /// `1.5 GiB`.
    #[must_use]
    pub fn bytes(&self, bytes: f64) -> String {
        format::bytes(bytes, self.point)
    }

    /// `12,345`.
    #[must_use]
    pub fn number(&self, n: i64) -> String {
        format::thousands(n, self.separator)
    }

    /// `1.5`.
    #[must_use]
    pub fn decimal(&self, value: f64) -> String {
        format::decimal(value, self.point)
    }

    /// `98.5 %`.
    #[must_use]
    pub fn percent(&self, value: f64) -> String {
        // 99.96 is not 100: one failure among thousands must stay visible.
        let shown = if value < 100.0 { value.min(99.9) } else { value };
        let text = format::fixed(shown, if shown.fract() < 0.05 { 0 } else { 1 });
        format!("{} %", text.replace('.', self.point))
    }
}
