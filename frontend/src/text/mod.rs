//! Everything the product says, in two languages.
//!
//! A language is one constant of [`Texts`]: a text that is missing in one of them does not compile.

mod context;
mod de;
mod de_keep;
mod de_more;
mod de_people;
mod de_pipes;
mod de_run;
mod en;
mod en_keep;
mod en_more;
mod en_people;
mod en_pipes;
mod en_run;
mod tables;
mod words;

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

    /// Its table.
    #[must_use]
    pub const fn texts(self) -> &'static Texts {
        match self {
            Self::English => &en::TEXTS,
            Self::German => &de::TEXTS,
        }
    }
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
            Distance::Seconds(n) => (t.seconds)(n),
            Distance::Minutes(n) => (t.minutes)(n),
            Distance::Hours(n) => (t.hours)(n),
            Distance::Days(n) => (t.days)(n),
            Distance::Months(n) => (t.months)(n),
            Distance::Years(n) => (t.years)(n),
        };
        if ahead { (t.ahead)(text) } else { (t.ago)(text) }
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
        parts.extend(fault.retry_after.map(|seconds| (t.retry_in)(seconds)));
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_found_by_tag() {
        assert_eq!(Language::from_tag("de-AT"), Language::German);
        assert_eq!(Language::from_tag("fr"), Language::English);
    }

    #[test]
    fn distances_are_sentences() {
        let de = Language::German.texts();
        assert_eq!(de.distance((Distance::Minutes(1), false)), "vor 1 Minute");
        assert_eq!(de.distance((Distance::Days(3), true)), "in 3 Tagen");
        let en = Language::English.texts();
        assert_eq!(en.distance((Distance::Hours(2), false)), "2 hours ago");
        assert_eq!(en.distance((Distance::Now, false)), "just now");
    }

    #[test]
    fn a_fault_says_when_to_try_again() {
        let body = r#"{"status":429,"code":"queue_full","title":"","detail":"x","errors":[]}"#;
        let fault = Fault::from_body(429, body, Some(30));
        let advice = Language::English.texts().fault_advice(&fault);
        assert!(advice.contains("30 seconds"), "{advice}");
    }
}
