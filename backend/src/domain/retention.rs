//! Which runs are kept: the latest of each pipeline, up to a number, and none that ended too long ago.

use super::clock::Millis;

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// What is kept of runs that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// So many of each pipeline, the latest.
    pub runs: Option<u32>,
    /// Those that ended within so many days.
    pub days: Option<u32>,
}

/// Why a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its pipeline has enough later ones.
    Count,
    /// It ended too long ago.
    Age,
}

impl Reason {
    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Age => "age",
        }
    }
}

impl Policy {
    /// Whether nothing is ever deleted.
    #[must_use]
    pub const fn keeps_all(&self) -> bool {
        self.runs.is_none() && self.days.is_none()
    }

    /// Runs that ended before this are too old; nothing is when there is no limit.
    #[must_use]
    pub fn oldest(&self, now: Millis) -> Millis {
        self.days.map_or(Millis(i64::MIN), |days| now.plus_seconds(-DAY * f64::from(days)))
    }

    /// When a run goes that stays for now, by its age.
    #[must_use]
    pub fn goes_at(&self, ended_at: Millis) -> Option<Millis> {
        self.days.map(|days| ended_at.plus_seconds(DAY * f64::from(days)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_old() {
        let now = Millis(100 * 86_400_000);
        let ago = |days: i64| Millis(now.0 - days * 86_400_000);
        let policy = |runs, days| Policy { runs, days };
        assert!(policy(None, None).keeps_all() && !policy(Some(1), None).keeps_all());
        assert_eq!(policy(None, Some(7)).oldest(now), ago(7));
        assert!(policy(Some(1), None).oldest(now) < ago(1_000_000));
        assert_eq!(policy(None, Some(7)).goes_at(ago(8)), Some(ago(1)));
        assert_eq!(policy(Some(1), None).goes_at(ago(8)), None);
    }
}
