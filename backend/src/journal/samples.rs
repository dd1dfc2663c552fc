//! A run's use of CPU and memory over time, and fewer points of it for a chart. Pure.

use std::io;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One measurement, as it stands in the metrics file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When, RFC 3339 in the file.
    pub timestamp: DateTime<Utc>,
    /// CPU use, per cent of one core.
    pub cpu_percent: f64,
    /// Memory in use without page cache, MB.
    pub ram_mb: f64,
    /// Memory limit, MB.
    #[serde(default)]
    pub ram_limit_mb: Option<f64>,
    /// CPU limit, cores.
    #[serde(default)]
    pub cpu_limit: Option<f64>,
    /// A soft limit of the pipeline was exceeded.
    #[serde(default)]
    pub soft_limit_exceeded: bool,
    /// The CPU was held back at its hard limit.
    #[serde(default)]
    pub throttled: bool,
}

/// What a value did within a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The mean of the samples.
    pub avg: f64,
}

/// A stretch of time as one point of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// The middle of its samples' times.
    pub timestamp: DateTime<Utc>,
    /// CPU use, per cent of one core.
    pub cpu_percent: Spread,
    /// Memory in use, MB.
    pub ram_mb: Spread,
    /// Memory limit at the end of the stretch, MB.
    pub ram_limit_mb: Option<f64>,
    /// CPU limit at the end of the stretch, cores.
    pub cpu_limit: Option<f64>,
    /// Whether a soft limit was exceeded at any time in it.
    pub soft_limit_exceeded: bool,
    /// Whether the CPU was held back at any time in it.
    pub throttled: bool,
    /// How many samples it stands for.
    pub samples: u64,
}

/// At most `points` points for `samples` in order of time. A few samples become a point each; more share equal stretches of
/// time, so that a gap stays a gap, and no peak is lost, for each point knows its least and greatest value.
pub fn downsample(samples: &[Sample], points: usize) -> Vec<Point> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Vec::new() };
    if samples.len() <= points {
        return samples.iter().map(|sample| Stretch::new(0, sample).point()).collect();
    }
    let mut sampler = Downsampler::new(first.timestamp, last.timestamp, points);
    samples.iter().for_each(|sample| sampler.push(sample));
    sampler.finish()
}

/// [`downsample`] for samples that come one by one; memory depends on the number of points only.
#[derive(Debug)]
pub struct Downsampler {
    /// Where the first stretch begins, ms.
    start: i64,
    /// How long all of them are, ms.
    span: i64,
    /// How many there may be.
    limit: usize,
    /// The stretches that are over.
    points: Vec<Point>,
    /// The one that samples go into.
    open: Option<Stretch>,
}

impl Downsampler {
    /// Divides the time from the `first` to the `last` sample into `points` stretches.
    pub fn new(first: DateTime<Utc>, last: DateTime<Utc>, points: usize) -> Self {
        let start = first.timestamp_millis();
        let span = last.timestamp_millis().saturating_sub(start).saturating_add(1).max(1);
        Self { start, span, limit: points, points: Vec::new(), open: None }
    }

    /// Takes the next sample. One from outside the expected time (a clock that was set) goes to the nearest stretch.
    pub fn push(&mut self, sample: &Sample) {
        if self.limit == 0 {
            return;
        }
        let passed = (sample.timestamp.timestamp_millis().saturating_sub(self.start)).clamp(0, self.span - 1);
        let number = (i128::from(passed) * self.limit as i128 / i128::from(self.span)) as usize;
        match &mut self.open {
            // Never back to an earlier stretch: that one is a point already.
            Some(open) if number <= open.number => open.add(sample),
            open => {
                self.points.extend(open.as_ref().map(Stretch::point));
                *open = Some(Stretch::new(number, sample));
            }
        }
    }

    /// The points, in order of time.
    pub fn finish(mut self) -> Vec<Point> {
        self.points.extend(self.open.as_ref().map(Stretch::point));
        self.points
    }
}

/// Samples being joined.
#[derive(Debug)]
struct Stretch {
    /// Which of the stretches.
    number: usize,
    /// The first and the last time, ms.
    times: (i64, i64),
    /// CPU, with the sum where the mean goes.
    cpu: Spread,
    /// Memory, with the sum where the mean goes.
    ram: Spread,
    /// The latest sample.
    last: Sample,
    /// At any time, see [`Point`].
    soft_limit_exceeded: bool,
    /// At any time, see [`Point`].
    throttled: bool,
    /// How many samples.
    count: u64,
}

impl Stretch {
    /// Of one sample.
    fn new(number: usize, sample: &Sample) -> Self {
        let at = sample.timestamp.timestamp_millis();
        Self {
            number,
            times: (at, at),
            cpu: Spread { min: sample.cpu_percent, max: sample.cpu_percent, avg: sample.cpu_percent },
            ram: Spread { min: sample.ram_mb, max: sample.ram_mb, avg: sample.ram_mb },
            last: *sample,
            soft_limit_exceeded: sample.soft_limit_exceeded,
            throttled: sample.throttled,
            count: 1,
        }
    }

    /// Joins one more.
    fn add(&mut self, sample: &Sample) {
        for (spread, value) in [(&mut self.cpu, sample.cpu_percent), (&mut self.ram, sample.ram_mb)] {
            spread.min = spread.min.min(value);
            spread.max = spread.max.max(value);
            spread.avg += value;
        }
        self.times.1 = self.times.1.max(sample.timestamp.timestamp_millis());
        self.last = *sample;
        self.soft_limit_exceeded |= sample.soft_limit_exceeded;
        self.throttled |= sample.throttled;
        self.count += 1;
    }

    /// What it comes to.
    fn point(&self) -> Point {
        let mean = |sum: Spread| Spread { avg: sum.avg / self.count as f64, ..sum };
        let middle = self.times.0 + (self.times.1 - self.times.0) / 2;
        Point {
            timestamp: DateTime::from_timestamp_millis(middle).unwrap_or(self.last.timestamp),
            cpu_percent: mean(self.cpu),
            ram_mb: mean(self.ram),
            ram_limit_mb: self.last.ram_limit_mb,
            cpu_limit: self.last.cpu_limit,
            soft_limit_exceeded: self.soft_limit_exceeded,
            throttled: self.throttled,
            samples: self.count,
        }
    }
}

/// Reads a stored line; one that is not a sample (an older version's, a damaged one) is `None`.
pub(super) fn read(line: &[u8]) -> Option<Sample> {
    serde_json::from_slice(line).ok()
}

/// Down-samples lines that are read twice, so that none are kept: `each` calls back with every line in order.
pub(super) fn downsample_lines(
    points: usize,
    mut each: impl FnMut(&mut dyn FnMut(&[u8])) -> io::Result<()>,
) -> io::Result<Vec<Point>> {
    let (mut count, mut first, mut last) = (0_usize, None, None);
    // Every stored line was a sample when it was written, so the first pass parses two of them only.
    let mut latest = Vec::new();
    each(&mut |line| {
        count += 1;
        if first.is_none() {
            first = read(line);
        }
        latest.clear();
        latest.extend_from_slice(line);
    })?;
    if let Some(sample) = read(&latest) {
        last = Some(sample);
    }
    let Some(first) = first else { return Ok(Vec::new()) };
    let last = last.unwrap_or(first);
    let mut few = Vec::new();
    let mut sampler = Downsampler::new(first.timestamp, last.timestamp, points);
    each(&mut |line| {
        let Some(sample) = read(line) else { return };
        if count <= points {
            few.push(sample);
        } else {
            sampler.push(&sample);
        }
    })?;
    Ok(if count <= points { downsample(&few, points) } else { sampler.finish() })
}
