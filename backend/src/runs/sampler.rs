//! Watches what a run uses: about one sample a second into its metrics file, peaks and means for its row.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastflow_shared::MetricsSample;
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::engine::{ContainerId, Engine, EngineError, Stats};
use crate::journal::{Journal, MetricsWriter, RunId};

/// Samples over which CPU must stick to the hard limit to count as throttled: about ten seconds.
const SUSTAINED: usize = 10;

/// Share of the hard limit that counts as sticking to it.
const AT_LIMIT: f64 = 0.95;

/// A run that ends sooner is not sampled: Docker's first figures take another second, and asking for them costs it something, most
/// of all when many start at once and each of them takes its time.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// Pause before Docker is asked for samples again.
const TRY_AGAIN: Duration = Duration::from_secs(5);

const MIB: f64 = 1_048_576.0;

/// The limits that samples are compared with.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Marks {
    /// CPU limit in cores.
    pub cpu_hard: Option<f64>,
    /// CPU in cores above which a sample is marked.
    pub cpu_soft: Option<f64>,
    /// Memory limit in bytes.
    pub memory_hard: Option<u64>,
    /// Memory in bytes above which a sample is marked.
    pub memory_soft: Option<u64>,
}

/// What a run used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Samples taken.
    pub samples: u32,
    /// Highest CPU, in percent of one core.
    pub cpu_peak: f64,
    /// Mean CPU, in percent of one core.
    pub cpu_average: f64,
    /// Highest memory, in MiB.
    pub ram_peak: f64,
    /// Mean memory, in MiB.
    pub ram_average: f64,
    /// Whether a soft limit was exceeded at any time.
    pub soft_exceeded: bool,
    /// Whether CPU stuck to the hard limit at any time.
    pub throttled: bool,
}

/// Turns Docker's counters into samples. Pure.
#[derive(Debug)]
pub struct Meter {
    marks: Marks,
    last: Option<Stats>,
    at_limit: VecDeque<bool>,
    usage: Usage,
}

impl Meter {
    /// A meter with nothing seen.
    #[must_use]
    pub fn new(marks: Marks) -> Self {
        Self { marks, last: None, at_limit: VecDeque::with_capacity(SUSTAINED), usage: Usage::default() }
    }

    /// Takes Docker's counters; `None` for the first ones, from which no CPU can be told.
    pub fn read(&mut self, stats: &Stats) -> Option<MetricsSample> {
        let cpu_percent = self.last.replace(stats.clone()).as_ref().and_then(|last| stats.cpu_percent_since(last))?;
        #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
        let ram_mb = stats.memory_usage_bytes as f64 / MIB;
        let Marks { cpu_hard, cpu_soft, memory_hard, memory_soft } = self.marks;
        let soft_limit_exceeded = cpu_soft.is_some_and(|cores| cpu_percent > cores * 100.0)
            || memory_soft.is_some_and(|bytes| stats.memory_usage_bytes > bytes);
        if self.at_limit.len() == SUSTAINED {
            self.at_limit.pop_front();
        }
        self.at_limit.push_back(cpu_hard.is_some_and(|cores| cpu_percent >= cores * 100.0 * AT_LIMIT));
        let cpu_throttled = self.at_limit.len() == SUSTAINED && self.at_limit.iter().all(|at_limit| *at_limit);

        let usage = &mut self.usage;
        usage.samples += 1;
        let n = f64::from(usage.samples);
        usage.cpu_peak = usage.cpu_peak.max(cpu_percent);
        usage.ram_peak = usage.ram_peak.max(ram_mb);
        usage.cpu_average += (cpu_percent - usage.cpu_average) / n;
        usage.ram_average += (ram_mb - usage.ram_average) / n;
        usage.soft_exceeded |= soft_limit_exceeded;
        usage.throttled |= cpu_throttled;
        #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
        let ram_limit_mb = memory_hard.map(|bytes| bytes as f64 / MIB);
        Some(MetricsSample {
            timestamp: stats.read_at,
            cpu_percent: round(cpu_percent),
            ram_mb: round(ram_mb),
            ram_limit_mb,
            cpu_limit: cpu_hard,
            soft_limit_exceeded,
            cpu_throttled,
        })
    }

    /// What was seen so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage
    }
}

/// Two decimals are more than the counters are worth.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Samples a container in the background until it ends or the sampler is dropped.
pub struct Sampler {
    usage: Arc<Mutex<Usage>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Sampler {
    /// Begins. A run whose usage cannot be read works all the same; the reason is logged.
    #[must_use]
    pub fn start(engine: Arc<dyn Engine>, journal: Journal, run: RunId, container: ContainerId, marks: Marks) -> Self {
        let usage = Arc::new(Mutex::new(Usage::default()));
        let stop = CancellationToken::new();
        let (shared, stopped) = (usage.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let sampling = sample(&engine, &journal, run, &container, Meter::new(marks), &shared, &stopped);
            if let Err(error) = sampling.await {
                tracing::warn!(%run, %error, "the usage of run {run} is not recorded any more: {error}");
            }
        });
        Self { usage, stop, task }
    }

    /// What was seen so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it and says what was seen.
    pub async fn finish(mut self) -> Usage {
        self.stop.cancel();
        // It only has to close its file.
        let _ = tokio::time::timeout(Duration::from_secs(1), &mut self.task).await;
        self.usage()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn sample(
    engine: &Arc<dyn Engine>,
    journal: &Journal,
    run: RunId,
    container: &ContainerId,
    mut meter: Meter,
    usage: &Mutex<Usage>,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    if stop.run_until_cancelled(tokio::time::sleep(FIRST_LOOK)).await.is_none() {
        return Ok(());
    }
    let mut writer = journal.metrics_writer(run).await?;
    let sampling = async {
        loop {
            let broken = stretch(engine, container, &mut meter, usage, &mut writer).await?;
            if matches!(&broken, Some(error) if error.is_not_found()) {
                return Ok(());
            }
            // Docker went away, or the container has ended and we are told so in a moment.
            tokio::time::sleep(TRY_AGAIN).await;
        }
    };
    let result = stop.run_until_cancelled(sampling).await.unwrap_or(Ok(()));
    writer.finish();
    result
}

/// Takes samples until Docker gives no more; says why if it does.
async fn stretch(
    engine: &Arc<dyn Engine>,
    container: &ContainerId,
    meter: &mut Meter,
    usage: &Mutex<Usage>,
    writer: &mut MetricsWriter,
) -> Result<Option<EngineError>, Failure> {
    let mut stats = match engine.stats(container).await {
        Ok(stats) => stats,
        Err(error) => return Ok(Some(error)),
    };
    while let Some(next) = stats.next().await {
        let next = match next {
            Ok(next) => next,
            Err(error) => return Ok(Some(error)),
        };
        let Some(sample) = meter.read(&next) else { continue };
        *usage.lock().unwrap_or_else(PoisonError::into_inner) = meter.usage();
        writer.append(&sample).await?;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn stats(second: i64, cpu_seconds: f64, memory: u64) -> Stats {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small positive numbers")]
        let cpu_total_ns = (cpu_seconds * 1e9) as u64;
        Stats {
            read_at: DateTime::from_timestamp(1_700_000_000 + second, 0).expect("in range"),
            cpu_total_ns,
            system_cpu_ns: 0,
            online_cpus: 2,
            memory_usage_bytes: memory,
            memory_limit_bytes: 1 << 30,
            periods: 0,
            throttled_periods: 0,
            pids: 1,
        }
    }

    #[test]
    fn cpu_is_told_from_the_second_sample_on() {
        let mut meter = Meter::new(Marks { memory_soft: Some(2 << 20), ..Marks::default() });
        assert_eq!(meter.read(&stats(0, 5.0, 1 << 20)), None);
        let first = meter.read(&stats(1, 5.5, 1 << 20)).expect("a sample");
        assert!((first.cpu_percent - 50.0).abs() < 1e-9 && !first.soft_limit_exceeded);
        let second = meter.read(&stats(2, 7.5, 3 << 20)).expect("a sample");
        assert!((second.cpu_percent - 200.0).abs() < 1e-9 && second.soft_limit_exceeded);
        let usage = meter.usage();
        assert!((usage.cpu_average - 125.0).abs() < 1e-9 && (usage.ram_peak - 3.0).abs() < 1e-9 && usage.soft_exceeded);
    }

    #[test]
    fn only_sustained_cpu_at_the_limit_is_throttling() {
        let mut meter = Meter::new(Marks { cpu_hard: Some(0.5), ..Marks::default() });
        let mut cpu = 0.0;
        meter.read(&stats(0, cpu, 0));
        for second in 1..=10 {
            cpu += if second == 5 { 0.1 } else { 0.5 };
            assert!(!meter.read(&stats(second, cpu, 0)).expect("a sample").cpu_throttled, "second {second}");
        }
        for second in 11..=15 {
            cpu += 0.5;
            assert_eq!(meter.read(&stats(second, cpu, 0)).expect("a sample").cpu_throttled, second == 15);
        }
    }
}
