//! Everything the product says, in two languages.
//!
//! A language is one constant of [`Texts`]: a text that is missing in one of them does not compile. The program holds none of
//! them. `fastflow-texts` writes each into a file of its own, and the page loads the one it shows.

mod context;
mod form;
// For tests. What is shipped is compiled by `fastflow-texts`.
#[cfg(test)]
mod languages;
mod tables;
mod words;

use std::cell::Cell;

pub use context::use_text;
pub use tables::Texts;

use fastflow_shared::{EnvironmentState, ErrorType, Role, Trigger};

use crate::logic::fault::Fault;
use crate::logic::outcome::Outcome;
use crate::logic::time::Distance;

/// A language of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// German.
    German,
}

impl Language {
    /// Its tag, for `<html lang>` and for what is stored.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// The language of a tag such as `de-AT`.
    #[must_use]
    pub fn from_tag(tag: &str) -> Self {
        if tag.get(..2).is_some_and(|tag| tag.eq_ignore_ascii_case("de")) { Self::German } else { Self::English }
    }

    /// Its texts. None are empty while a page is shown: nothing is drawn in a language before it was [learnt](Self::learn).
    #[must_use]
    pub fn texts(self) -> &'static Texts {
        self.known().unwrap_or_else(|| self.learn(String::new()))
    }

    /// Its texts, if they were loaded.
    #[must_use]
    pub fn known(self) -> Option<&'static Texts> {
        KNOWN.with(|known| known[self as usize].get())
    }

    /// Takes its texts over, for as long as the page lives: there are two languages, and each is loaded once.
    pub fn learn(self, file: String) -> &'static Texts {
        let texts: &_ = Box::leak(Texts::read(file.leak()));
        KNOWN.with(|known| known[self as usize].set(Some(texts)));
        texts
    }
}

thread_local! {
    static KNOWN: [Cell<Option<&'static Texts>>; 2] = const { [const { Cell::new(None) }; 2] };
}

impl Texts {
    /// The word for an outcome.
    #[must_use]
    pub const fn outcome(&self, outcome: Outcome) -> &'static str {
        let t = &self.status;
        match outcome {
            Outcome::Waiting => t.waiting,
            Outcome::Queued => t.queued,
            Outcome::Preparing => t.preparing,
            Outcome::Starting => t.starting,
            Outcome::Running => t.running,
            Outcome::Stopping => t.stopping,
            Outcome::Success => t.success,
            Outcome::Interrupted => t.interrupted,
            Outcome::Failed(None) => t.failed,
            Outcome::Failed(Some(cause)) => self.cause(cause),
        }
    }

    /// The word for a cause.
    #[must_use]
    pub const fn cause(&self, cause: ErrorType) -> &'static str {
        let t = &self.status;
        match cause {
            ErrorType::ExitCode => t.failed,
            ErrorType::Oom => t.oom,
            ErrorType::Timeout => t.timeout,
            ErrorType::Cancelled => t.cancelled,
            ErrorType::Dependency => t.dependency,
            ErrorType::Docker => t.docker,
            ErrorType::NotExecutable => t.not_executable,
            ErrorType::NotFound => t.not_found,
            ErrorType::Unhealthy => t.unhealthy,
            ErrorType::Lost => t.lost,
        }
    }

    /// The word for a trigger.
    #[must_use]
    pub const fn trigger(&self, trigger: Trigger) -> &'static str {
        match trigger {
            Trigger::Manual => self.run.by_hand,
            Trigger::Api => self.run.by_api,
            Trigger::Schedule => self.run.by_schedule,
            Trigger::Retry => self.run.by_retry,
        }
    }

    /// The word for a role.
    #[must_use]
    pub const fn role(&self, role: Role) -> &'static str {
        match role {
            Role::Viewer => self.nav.viewer,
            Role::Operator => self.nav.operator,
            Role::Admin => self.nav.admin,
        }
    }

    /// The word for the state of an environment.
    #[must_use]
    pub const fn environment(&self, state: EnvironmentState) -> &'static str {
        match state {
            EnvironmentState::Unknown => self.pipeline.env_unknown,
            EnvironmentState::Building => self.pipeline.env_building,
            EnvironmentState::Ready => self.pipeline.env_ready,
            EnvironmentState::Failed => self.pipeline.env_failed,
        }
    }

    /// A distance in time.
    #[must_use]
    pub fn distance(&self, (distance, ahead): (Distance, bool)) -> String {
        let t = &self.time;
        let text = match distance {
            Distance::Now => return t.now.to_owned(),
            Distance::Seconds(n) => t.seconds(n),
            Distance::Minutes(n) => t.minutes(n),
            Distance::Hours(n) => t.hours(n),
            Distance::Days(n) => t.days(n),
            Distance::Months(n) => t.months(n),
            Distance::Years(n) => t.years(n),
        };
        if ahead { t.ahead(&text) } else { t.ago(&text) }
    }

    /// Headline of a fault: the reason, in a few words.
    #[must_use]
    pub fn fault_title(&self, fault: &Fault) -> &'static str {
        let t = &self.fault;
        match (fault.code.as_str(), fault.status) {
            ("network", _) => t.network,
            ("invalid_credentials", _) => t.credentials,
            ("too_many_attempts", _) => t.attempts,
            ("queue_full", _) => t.queue_full,
            ("pipeline_disabled", _) => t.disabled,
            ("pipeline_invalid", _) => t.invalid,
            ("pipeline_not_found", _) => t.no_pipeline,
            ("run_not_found", _) => t.no_run,
            ("docker_unavailable", _) => t.docker,
            (_, 401) => t.signed_out,
            (_, 403) => t.forbidden,
            (_, 404) => t.not_found,
            (_, 409) => t.conflict,
            (_, 400 | 422) => t.input,
            (_, 429) => t.busy,
            (_, 502..=504) => t.unavailable,
            _ => t.server,
        }
    }

    /// What to do about a fault, when we know better than the server's sentence.
    #[must_use]
    pub fn fault_advice(&self, fault: &Fault) -> String {
        let t = &self.fault;
        let known = match fault.code.as_str() {
            "network" => t.network_advice,
            "invalid_credentials" => t.credentials_advice,
            "queue_full" => t.queue_full_advice,
            "pipeline_disabled" => t.disabled_advice,
            "pipeline_invalid" => t.invalid_advice,
            "docker_unavailable" => t.docker_advice,
            "unreadable" => t.unreadable_advice,
            _ => "",
        };
        let mut parts: Vec<String> = Vec::new();
        if known.is_empty() {
            parts.extend((!fault.detail.is_empty()).then(|| fault.detail.clone()));
        } else {
            parts.push(known.to_owned());
        }
        parts.extend(fault.retry_after.map(|seconds| t.retry_in(seconds)));
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(language: Language) -> &'static Texts {
        language.known().unwrap_or_else(|| {
            let all = &languages::ALL;
            language.learn(all[language as usize].1.write())
        })
    }

    #[test]
    fn a_language_arrives_as_it_was_written() {
        let (de, en) = (learnt(Language::German), learnt(Language::English));
        assert_eq!((de.months[2], de.point, de.separator, de.day_dot), ("März", ",", ".", "."));
        // The first and the last fields of the shape.
        assert_eq!((en.nav.dashboard, en.lost.title), ("Dashboard", languages::ALL[0].1.lost.title));
        assert_eq!(de.pipeline.at_column("main.py", 3, 7), "main.py, Zeile 3, Spalte 7");
        assert_eq!(
            en.goes(1, &[]),
            "Its folder is deleted for good. 1 run that waits or works is stopped. It has no \
                                     schedules. Ended runs and their logs stay."
        );
        assert_eq!((en.active(0, 2), en.active(3, 0)), ("2 queued".to_owned(), "3 running".to_owned()));
        assert_eq!(de.active(1, 2), "1 läuft, 2 warten");
    }

    #[test]
    fn languages_are_found_by_tag() {
        assert_eq!(Language::from_tag("de-AT"), Language::German);
        assert_eq!(Language::from_tag("fr"), Language::English);
    }

    #[test]
    fn distances_are_sentences() {
        let de = learnt(Language::German);
        assert_eq!(de.distance((Distance::Minutes(1), false)), "vor 1 Minute");
        assert_eq!(de.distance((Distance::Days(3), true)), "in 3 Tagen");
        let en = learnt(Language::English);
        assert_eq!(en.distance((Distance::Hours(2), false)), "2 hours ago");
        assert_eq!(en.distance((Distance::Now, false)), "just now");
    }

    #[test]
    fn a_fault_says_when_to_try_again() {
        let body = r#"{"status":429,"code":"queue_full","title":"","detail":"x","errors":[]}"#;
        let fault = Fault::from_body(429, body, Some(30));
        let advice = learnt(Language::English).fault_advice(&fault);
        assert!(advice.contains("30 seconds"), "{advice}");
    }
}
