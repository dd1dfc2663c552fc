//! Numbers and times the way a language writes them, in the browser's time zone.

use chrono::{DateTime, Local, Utc};
use fastflow_shared::Sentence;

use super::Texts;
use crate::logic::{format, time};

impl Texts {
    /// What the server says in both languages.
    #[must_use]
    pub fn say<'s>(&self, sentence: &'s Sentence) -> &'s str {
        // German writes the day of a date with a dot, and is the only one of the two that does.
        if self.dotted_day { &sentence.de } else { &sentence.en }
    }

    /// `21 Nov 2026, 18:34:05`.
    #[must_use]
    pub fn exact(&self, at: DateTime<Utc>) -> String {
        time::exact(at.with_timezone(&Local).fixed_offset(), &self.months, self.dotted_day)
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
        format!("{} %", text.replace('.', &self.point.to_string()))
    }
}
