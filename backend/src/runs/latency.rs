//! How long starts take, counted since the server began: for those who watch the server from outside.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper edges of the buckets, in ms.
pub const EDGES_MS: [u64; 12] = [10, 20, 50, 100, 200, 300, 500, 1_000, 2_000, 5_000, 15_000, 60_000];

/// A histogram that many write at once.
#[derive(Debug, Default)]
struct Histogram {
    /// How many lay in each bucket; the last one has no upper edge.
    buckets: [AtomicU64; EDGES_MS.len() + 1],
    sum_ms: AtomicU64,
}

/// How many starts took how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartTimes {
    /// How many took at most as long as the edge of that place in [`EDGES_MS`] and longer than the one before it; the last
    /// number is of those that took longer than all edges.
    pub buckets: Vec<u64>,
    /// All of them together, in ms.
    pub sum_ms: u64,
}

impl StartTimes {
    /// How many starts there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// From a run's slot to its script, for starts in a parked container and for cold ones.
#[derive(Debug, Default)]
pub(super) struct Latency {
    warm: Histogram,
    cold: Histogram,
}

impl Latency {
    pub fn note(&self, warm: bool, ms: i64) {
        let histogram = if warm { &self.warm } else { &self.cold };
        let ms = u64::try_from(ms).unwrap_or_default();
        let bucket = EDGES_MS.iter().position(|edge| ms <= *edge).unwrap_or(EDGES_MS.len());
        histogram.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        histogram.sum_ms.fetch_add(ms, Ordering::Relaxed);
    }

    pub fn read(&self, warm: bool) -> StartTimes {
        let histogram = if warm { &self.warm } else { &self.cold };
        StartTimes {
            buckets: histogram.buckets.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum_ms: histogram.sum_ms.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_lies_in_one_bucket() {
        let latency = Latency::default();
        for ms in [-1, 0, 10, 11, 60_000, 60_001] {
            latency.note(true, ms);
        }
        let times = latency.read(true);
        assert_eq!((times.buckets[0], times.buckets[1], times.buckets[11], times.buckets[12]), (3, 1, 1, 1));
        assert_eq!((times.count(), times.sum_ms), (6, 120_022));
        assert_eq!(latency.read(false).count(), 0);
    }
}
