//! How structures of the domain are written into JSON columns. Kept here so that the domain need not know how it is stored,
//! and so that renaming something there cannot make old rows unreadable.

use serde::{Deserialize, Serialize};

use crate::domain::outcome::StopReason;
use crate::domain::pipeline::RetryStrategy;
use crate::domain::schedules::Overrides;

/// The text of anything that has no way to fail: maps and lists of texts and numbers.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    // Only maps with keys that are no texts, or an own `Serialize` that fails, could end here; there are none.
    serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}

/// [`StopReason`] as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum StoredStop {
    Cancelled { by: Option<String> },
    Timeout { seconds: i64 },
    Unhealthy { why: String },
    Shutdown,
}

impl From<&StopReason> for StoredStop {
    fn from(reason: &StopReason) -> Self {
        match reason.clone() {
            StopReason::Cancelled { by } => Self::Cancelled { by },
            StopReason::Timeout { seconds } => Self::Timeout { seconds },
            StopReason::Unhealthy { why } => Self::Unhealthy { why },
            StopReason::Shutdown => Self::Shutdown,
        }
    }
}

impl From<StoredStop> for StopReason {
    fn from(stored: StoredStop) -> Self {
        match stored {
            StoredStop::Cancelled { by } => Self::Cancelled { by },
            StoredStop::Timeout { seconds } => Self::Timeout { seconds },
            StoredStop::Unhealthy { why } => Self::Unhealthy { why },
            StoredStop::Shutdown => Self::Shutdown,
        }
    }
}

/// [`RetryStrategy`] as it is stored: the same words as in `pipeline.json`.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum StoredStrategy {
    FixedDelay { delay: f64 },
    ExponentialBackoff { initial_delay: f64, max_delay: f64, multiplier: f64 },
    CustomSchedule { delays: Vec<f64> },
}

impl From<&RetryStrategy> for StoredStrategy {
    fn from(strategy: &RetryStrategy) -> Self {
        match strategy.clone() {
            RetryStrategy::FixedDelay { delay } => Self::FixedDelay { delay },
            RetryStrategy::ExponentialBackoff { initial_delay, max_delay, multiplier } => {
                Self::ExponentialBackoff { initial_delay, max_delay, multiplier }
            }
            RetryStrategy::CustomSchedule { delays } => Self::CustomSchedule { delays },
        }
    }
}

impl From<StoredStrategy> for RetryStrategy {
    fn from(stored: StoredStrategy) -> Self {
        match stored {
            StoredStrategy::FixedDelay { delay } => Self::FixedDelay { delay },
            StoredStrategy::ExponentialBackoff { initial_delay, max_delay, multiplier } => {
                Self::ExponentialBackoff { initial_delay, max_delay, multiplier }
            }
            StoredStrategy::CustomSchedule { delays } => Self::CustomSchedule { delays },
        }
    }
}

/// [`Overrides`] as they are stored: the same words as in `pipeline.json`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct StoredOverrides {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_hard_limit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mem_hard_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_soft_limit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mem_soft_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_strategy: Option<StoredStrategy>,
}

impl From<&Overrides> for StoredOverrides {
    fn from(overrides: &Overrides) -> Self {
        let Overrides {
            cpu_hard_limit,
            mem_hard_limit,
            cpu_soft_limit,
            mem_soft_limit,
            timeout,
            retry_attempts,
            retry_strategy,
        } = overrides;
        Self {
            cpu_hard_limit: *cpu_hard_limit,
            mem_hard_limit: *mem_hard_limit,
            cpu_soft_limit: *cpu_soft_limit,
            mem_soft_limit: *mem_soft_limit,
            timeout: *timeout,
            retry_attempts: *retry_attempts,
            retry_strategy: retry_strategy.as_ref().map(StoredStrategy::from),
        }
    }
}

impl From<StoredOverrides> for Overrides {
    fn from(stored: StoredOverrides) -> Self {
        Self {
            cpu_hard_limit: stored.cpu_hard_limit,
            mem_hard_limit: stored.mem_hard_limit,
            cpu_soft_limit: stored.cpu_soft_limit,
            mem_soft_limit: stored.mem_soft_limit,
            timeout: stored.timeout,
            retry_attempts: stored.retry_attempts,
            retry_strategy: stored.retry_strategy.map(Into::into),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of old releases stay readable only as long as these texts stay the same.
    #[test]
    fn the_stored_words() {
        for (reason, text) in [
            (StopReason::Cancelled { by: Some("ada".into()) }, r#"{"kind":"cancelled","by":"ada"}"#),
            (StopReason::Timeout { seconds: 5 }, r#"{"kind":"timeout","seconds":5}"#),
            (StopReason::Unhealthy { why: "silent".into() }, r#"{"kind":"unhealthy","why":"silent"}"#),
            (StopReason::Shutdown, r#"{"kind":"shutdown"}"#),
        ] {
            assert_eq!(json(&StoredStop::from(&reason)), text);
            let read: StoredStop = serde_json::from_str(text).expect("readable");
            assert_eq!(StopReason::from(read), reason);
        }
        for (strategy, text) in [
            (RetryStrategy::FixedDelay { delay: 1.5 }, r#"{"type":"fixed_delay","delay":1.5}"#),
            (
                RetryStrategy::ExponentialBackoff { initial_delay: 1.0, max_delay: 9.0, multiplier: 2.0 },
                r#"{"type":"exponential_backoff","initial_delay":1.0,"max_delay":9.0,"multiplier":2.0}"#,
            ),
            (
                RetryStrategy::CustomSchedule { delays: vec![1.0, 5.0] },
                r#"{"type":"custom_schedule","delays":[1.0,5.0]}"#,
            ),
        ] {
            assert_eq!(json(&StoredStrategy::from(&strategy)), text);
            let read: StoredStrategy = serde_json::from_str(text).expect("readable");
            assert_eq!(RetryStrategy::from(read), strategy);
        }
    }
}
