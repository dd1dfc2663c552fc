//! Figures for Prometheus: the only room that knows its crate.
//!
//! They belong to the process, as its messages do: whoever has something to count calls a function of this room, and needs no
//! handle for it. What is true only at the moment of asking (queue, chores, parked containers) is not counted here but handed
//! to [`render`] as [`Moment`].
//!
//! A label never takes a value that grows without bound: pipelines beyond [`MAX_PIPELINES`] share one, everything else comes
//! from a closed list.

mod moment;
mod process;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, Result, TextEncoder,
};

pub use moment::{ChoreMoment, DiskMoment, Moment};

/// Pipelines that have series of their own.
pub const MAX_PIPELINES: usize = 300;

/// The pipelines beyond that.
const OTHERS: &str = "_other";

/// Content type of what [`render`] makes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// From a millisecond to ten seconds: calls to what lies beside us.
const CALL: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0];

/// A warm start takes some 15 ms, a cold one some 300.
const START: [f64; 14] = [0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 30.0];

/// From at once to an hour.
const WAIT: [f64; 10] = [0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

/// From half a second to a day: runs.
const RUN: [f64; 10] = [0.5, 2.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0];

/// From half a second to half an hour: builds and syncs.
const WORK: [f64; 8] = [0.5, 1.0, 3.0, 10.0, 30.0, 120.0, 600.0, 1800.0];

struct Meters {
    registry: Registry,
    runs: IntCounterVec,
    run_seconds: HistogramVec,
    queue_seconds: Histogram,
    start_seconds: HistogramVec,
    build_seconds: HistogramVec,
    lateness: Histogram,
    due: IntCounterVec,
    sync_seconds: HistogramVec,
    docker_seconds: HistogramVec,
    database_seconds: HistogramVec,
    log_bytes: IntCounter,
    viewed_bytes: IntCounter,
    requests: IntCounterVec,
}

impl Meters {
    fn new() -> Result<Self> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let made = IntCounterVec::new(Opts::new(name, help), labels)?;
            register(&registry, &made)?;
            Ok::<_, prometheus::Error>(made)
        };
        let histograms = |name: &str, help: &str, buckets: &[f64], labels: &[&str]| {
            let made = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?;
            register(&registry, &made)?;
            Ok::<_, prometheus::Error>(made)
        };
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let made = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
            register(&registry, &made)?;
            Ok::<_, prometheus::Error>(made)
        };
        let log_bytes = IntCounter::new("fastflow_log_bytes_total", "Bytes that were written into logs of runs.")?;
        register(&registry, &log_bytes)?;
        let viewed_bytes = IntCounter::new(
            "fastflow_log_viewed_bytes_total",
            "Bytes that were read from logs of runs for those who watch: once for all who watch the same lines.",
        )?;
        register(&registry, &viewed_bytes)?;
        Ok(Self {
            runs: counters(
                "fastflow_runs_total",
                "Runs that ended, by pipeline and outcome: success, or the error type of the failure.",
                &["pipeline", "outcome"],
            )?,
            run_seconds: histograms(
                "fastflow_run_duration_seconds",
                "Time from the start of a run's container to its end.",
                &RUN,
                &["pipeline"],
            )?,
            queue_seconds: histogram(
                "fastflow_run_queue_seconds",
                "Time that a run waited for a place, from the moment it was due.",
                &WAIT,
            )?,
            start_seconds: histograms(
                "fastflow_run_start_seconds",
                "Time from having everything that a run needs to its script being told to begin: in a container that was \
                 started ahead (warm) or in a new one (cold).",
                &START,
                &["start"],
            )?,
            build_seconds: histograms(
                "fastflow_environment_build_seconds",
                "Time that building an environment took, by result.",
                &WORK,
                &["result"],
            )?,
            lateness: histogram(
                "fastflow_schedule_lateness_seconds",
                "How long after its due time a scheduled run was accepted.",
                &WAIT,
            )?,
            due: counters(
                "fastflow_schedule_due_times_total",
                "Due times that were dealt with, by what became of them.",
                &["result"],
            )?,
            sync_seconds: histograms(
                "fastflow_sync_duration_seconds",
                "Time that a sync of the code took, by result.",
                &WORK,
                &["result"],
            )?,
            docker_seconds: histograms(
                "fastflow_docker_call_seconds",
                "Time that Docker took to answer, by call and whether it did.",
                &CALL,
                &["call", "result"],
            )?,
            database_seconds: histograms(
                "fastflow_database_call_seconds",
                "Time that a call to the database took, waiting for a connection included, by whether it succeeded.",
                &CALL,
                &["result"],
            )?,
            log_bytes,
            viewed_bytes,
            requests: counters(
                "fastflow_http_requests_total",
                "Requests that were answered, by class of status.",
                &["status"],
            )?,
            registry,
        })
    }
}

fn register(registry: &Registry, collector: &(impl Collector + Clone + 'static)) -> Result<()> {
    registry.register(Box::new(collector.clone()))
}

/// `None` only if a name or a label in this file were wrong, which a test would find: counting must never end a server.
static METERS: LazyLock<Option<Meters>> = LazyLock::new(|| Meters::new().ok());

fn with(count: impl FnOnce(&Meters)) {
    if let Some(meters) = &*METERS {
        count(meters);
    }
}

/// The label of a pipeline.
fn pipeline_label(name: &str) -> &str {
    static KNOWN: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    bounded(KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default(), name)
}

fn bounded<'n>(known: &mut HashSet<String>, name: &'n str) -> &'n str {
    if known.contains(name) {
        return name;
    }
    if known.len() >= MAX_PIPELINES {
        return OTHERS;
    }
    known.insert(name.to_owned());
    name
}

/// A run has ended; `outcome` is `success` or an error type.
pub fn run_ended(pipeline: &str, outcome: &str, seconds: Option<f64>) {
    with(|meters| {
        let pipeline = pipeline_label(pipeline);
        meters.runs.with_label_values(&[pipeline, outcome]).inc();
        if let Some(seconds) = seconds {
            meters.run_seconds.with_label_values(&[pipeline]).observe(seconds.max(0.0));
        }
    });
}

/// A run got its place.
pub fn run_admitted(waited_seconds: f64) {
    with(|meters| meters.queue_seconds.observe(waited_seconds.max(0.0)));
}

/// A run's script was told to begin.
pub fn run_started(warm: bool, took: Duration) {
    let start = if warm { "warm" } else { "cold" };
    with(|meters| meters.start_seconds.with_label_values(&[start]).observe(took.as_secs_f64()));
}

/// An environment was built, or was not.
pub fn environment_built(well: bool, seconds: f64) {
    with(|meters| meters.build_seconds.with_label_values(&[result(well)]).observe(seconds.max(0.0)));
}

/// A due time was dealt with; `late` when it started a run.
pub fn due_time(result: &'static str, late: Option<f64>) {
    with(|meters| {
        meters.due.with_label_values(&[result]).inc();
        if let Some(seconds) = late {
            meters.lateness.observe(seconds.max(0.0));
        }
    });
}

/// A sync has ended.
pub fn synced(result: &'static str, seconds: f64) {
    with(|meters| meters.sync_seconds.with_label_values(&[result]).observe(seconds.max(0.0)));
}

/// Docker has answered, or has not.
pub fn docker_called(call: &'static str, well: bool, took: Duration) {
    with(|meters| meters.docker_seconds.with_label_values(&[call, result(well)]).observe(took.as_secs_f64()));
}

/// The database has answered, or has not.
pub fn database_called(well: bool, took: Duration) {
    with(|meters| meters.database_seconds.with_label_values(&[result(well)]).observe(took.as_secs_f64()));
}

/// Bytes went into a log.
pub fn log_written(bytes: u64) {
    with(|meters| meters.log_bytes.inc_by(bytes));
}

/// Bytes of a log were read for those who watch it.
pub fn log_viewed(bytes: u64) {
    with(|meters| meters.viewed_bytes.inc_by(bytes));
}

/// A request was answered with that status.
pub fn request_answered(status: u16) {
    let class = match status {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    with(|meters| meters.requests.with_label_values(&[class]).inc());
}

const fn result(well: bool) -> &'static str {
    if well { "ok" } else { "error" }
}

/// Everything, in Prometheus' text format: what was counted, and what is true at this moment.
#[must_use]
pub fn render(moment: &Moment) -> String {
    let mut text = Vec::new();
    let mut families = METERS.as_ref().map(|meters| meters.registry.gather()).unwrap_or_default();
    families.extend(moment.families());
    // A family without a sample says nothing, and the encoder refuses it.
    families.retain(|family| !family.get_metric().is_empty());
    families.sort_by(|a, b| a.name().cmp(b.name()));
    // Writing into memory cannot fail.
    let _ = TextEncoder::new().encode(&families, &mut text);
    String::from_utf8(text).unwrap_or_default()
}
