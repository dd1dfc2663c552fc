//! What goes first when the disk holds too much: what is easily had again and was not used for long, before what is gone
//! for ever.
//!
//! Each thing has a value that falls with the time since its last use, the faster the easier it is to have it again: a package
//! of uv's cache is downloaded again, an environment built again, a log is lost. What has the least value goes first.

use std::collections::BTreeMap;

use super::clock::Millis;

/// Kinds of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// uv's cache: packages, interpreters, locks.
    Cache,
    /// Sealed environments.
    Environment,
    /// Code that runs were started with, kept for running them again.
    Code,
    /// Folders of commits and the mirror that they come from.
    Commits,
    /// Backups of the database.
    Backup,
    /// Logs and metrics of runs.
    Log,
    /// The database.
    Database,
    /// What runs work with.
    Work,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Cache,
        Self::Environment,
        Self::Code,
        Self::Commits,
        Self::Backup,
        Self::Log,
        Self::Database,
        Self::Work,
    ];

    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Environment => "environments",
            Self::Code => "code",
            Self::Commits => "commits",
            Self::Backup => "backups",
            Self::Log => "logs",
            Self::Database => "database",
            Self::Work => "work",
        }
    }

    /// Whether `UV_CACHE_MAX_MB` counts it.
    #[must_use]
    pub const fn is_cache(self) -> bool {
        matches!(self, Self::Cache | Self::Environment | Self::Code)
    }

    /// How many days without use make it as dispensable as a log of as many days times this.
    const fn ease(self) -> f64 {
        match self {
            Self::Cache => 32.0,
            Self::Environment => 16.0,
            Self::Code => 8.0,
            Self::Commits => 4.0,
            // Later ones hold the same and more.
            Self::Backup => 2.0,
            Self::Log | Self::Database | Self::Work => 1.0,
        }
    }
}

/// Something that may go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spare {
    /// What it is.
    pub kind: Kind,
    /// Bytes that it gives back, about.
    pub bytes: u64,
    /// When it was last used.
    pub last_used: Millis,
}

/// What is to be kept to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Bytes of everything.
    pub all: Option<u64>,
    /// Bytes of environments, uv's cache and kept code.
    pub cache: Option<u64>,
}

/// A limit that is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// That of everything.
    All,
    /// That of environments, uv's cache and kept code.
    Cache,
}

impl Exceeded {
    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "budget",
            Self::Cache => "cache_budget",
        }
    }
}

/// Bytes of each kind.
pub type Used = BTreeMap<Kind, u64>;

/// Bytes of everything.
#[must_use]
pub fn total(used: &Used) -> u64 {
    used.values().sum()
}

/// Bytes of what `UV_CACHE_MAX_MB` counts.
#[must_use]
pub fn cached(used: &Used) -> u64 {
    used.iter().filter(|(kind, _)| kind.is_cache()).map(|(_, bytes)| bytes).sum()
}

/// How dispensable something is: the greater, the sooner it goes.
#[must_use]
pub fn dispensable(spare: &Spare, now: Millis) -> f64 {
    now.seconds_since(spare.last_used).max(0.0) * spare.kind.ease()
}

/// The order in which things go, as indices, the first one first. Of two that are as dispensable the larger goes first.
#[must_use]
pub fn order(spares: &[Spare], now: Millis) -> Vec<usize> {
    let mut order: Vec<_> = (0..spares.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&spares[*a], &spares[*b]);
        dispensable(b, now).total_cmp(&dispensable(a, now)).then(b.bytes.cmp(&a.bytes))
    });
    order
}

/// What has to go so that the limits are kept, as indices with the limit that each is for, the first one first. What is left
/// over a limit when all has gone cannot be helped.
#[must_use]
pub fn choose(spares: &[Spare], used: &Used, limits: Limits, now: Millis) -> Vec<(usize, Exceeded)> {
    let (mut all, mut cache) = (total(used), cached(used));
    let mut chosen = Vec::new();
    for index in order(spares, now) {
        let Spare { kind, bytes, .. } = spares[index];
        let exceeded = if limits.all.is_some_and(|most| all > most) {
            Exceeded::All
        } else if kind.is_cache() && limits.cache.is_some_and(|most| cache > most) {
            Exceeded::Cache
        } else {
            continue;
        };
        all = all.saturating_sub(bytes);
        if kind.is_cache() {
            cache = cache.saturating_sub(bytes);
        }
        chosen.push((index, exceeded));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_000 * 86_400_000);

    fn spare(kind: Kind, bytes: u64, days: i64) -> Spare {
        Spare { kind, bytes, last_used: Millis(NOW.0 - days * 86_400_000) }
    }

    fn used(spares: &[Spare]) -> Used {
        let mut used = Used::new();
        for spare in spares {
            *used.entry(spare.kind).or_default() += spare.bytes;
        }
        used
    }

    #[test]
    fn what_goes_first() {
        use Kind::{Backup, Cache, Code, Environment, Log};
        for (what, spares, expected) in [
            ("the older of a kind", [(Log, 1, 3), (Log, 1, 9)], [1, 0]),
            ("what is had again easily", [(Log, 1, 9), (Cache, 1, 9)], [1, 0]),
            ("a package before its environment", [(Environment, 9, 5), (Cache, 1, 5)], [1, 0]),
            ("code before a backup", [(Backup, 1, 5), (Code, 1, 5)], [1, 0]),
            ("a very old log before an environment of yesterday", [(Environment, 9, 1), (Log, 1, 30)], [1, 0]),
            ("an environment of last week before an old log", [(Log, 1, 30), (Environment, 9, 7)], [1, 0]),
            ("the larger of equals", [(Log, 1, 3), (Log, 2, 3)], [1, 0]),
            ("what was used in the future counts as used now", [(Log, 1, -5), (Log, 1, 1)], [1, 0]),
        ] {
            let spares = spares.map(|(kind, bytes, days)| spare(kind, bytes, days));
            assert_eq!(order(&spares, NOW), expected, "{what}");
        }
    }

    #[test]
    fn as_much_as_needed_goes_and_no_more() {
        use Exceeded::{All, Cache as OfCache};
        use Kind::{Cache, Environment, Log};
        let spares = [spare(Log, 40, 100), spare(Environment, 30, 10), spare(Cache, 20, 10), spare(Log, 10, 1)];
        let mut used = used(&spares);
        // What may not go counts all the same.
        *used.entry(Kind::Database).or_default() += 100;
        assert_eq!(total(&used), 200);
        assert_eq!(cached(&used), 50);
        let limits = |all, cache| Limits { all, cache };
        for (limits, expected) in [
            (limits(None, None), vec![]),
            (limits(Some(200), Some(50)), vec![]),
            (limits(Some(199), None), vec![(2, All)]),
            (limits(Some(180), None), vec![(2, All)]),
            (limits(Some(179), None), vec![(2, All), (1, All)]),
            (limits(None, Some(49)), vec![(2, OfCache)]),
            (limits(None, Some(0)), vec![(2, OfCache), (1, OfCache)]),
            (limits(Some(190), Some(10)), vec![(2, All), (1, OfCache)]),
            (limits(Some(1), None), vec![(2, All), (1, All), (0, All), (3, All)]),
        ] {
            assert_eq!(choose(&spares, &used, limits, NOW), expected, "{limits:?}");
        }
    }
}
