//! What is true at the moment of asking.

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts, Registry, Result};

use super::process;

/// What is true at the moment of asking, gathered from the rooms by whoever answers.
#[derive(Debug, Clone, Default)]
pub struct Moment {
    /// Version of the program.
    pub version: &'static str,
    /// `SQLite` or `PostgreSQL`.
    pub database: &'static str,
    /// Runs that this server drives and that work.
    pub running: usize,
    /// Runs that wait for a place of this server.
    pub queued: usize,
    /// Most that may work.
    pub max_running: usize,
    /// Most that may wait.
    pub max_queued: usize,
    /// Containers that wait for a run.
    pub parked: usize,
    /// How many shall.
    pub parked_wanted: usize,
    /// Whether this server leads.
    pub leads: bool,
    /// Other servers that live.
    pub others: usize,
    /// Pipelines that there are.
    pub pipelines: usize,
    /// Those of them that cannot be started.
    pub invalid_pipelines: usize,
    /// Whether the database answers.
    pub database_up: bool,
    /// Whether Docker answers.
    pub docker_up: bool,
    /// When the code was last brought up to date, in seconds since the epoch.
    pub synced_at: Option<f64>,
    /// Whether the latest sync went well.
    pub sync_ok: bool,
    /// The chores.
    pub chores: Vec<ChoreMoment>,
    /// Disks.
    pub disks: Vec<DiskMoment>,
}

/// What became of a chore.
#[derive(Debug, Clone)]
pub struct ChoreMoment {
    /// Its name.
    pub name: String,
    /// When it was last done, in seconds since the epoch.
    pub at: f64,
    /// Whether that went well.
    pub ok: bool,
    /// How long it took.
    pub seconds: f64,
}

/// A disk.
#[derive(Debug, Clone)]
pub struct DiskMoment {
    /// Which folder of ours lies on it.
    pub folder: &'static str,
    /// Bytes that we may still write.
    pub free: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// A figure with its labels' values.
type Sample<'a> = (Vec<&'a str>, f64);

impl Moment {
    pub(super) fn families(&self) -> Vec<MetricFamily> {
        let registry = Registry::new();
        // As with the counters: only a mistake in this file can fail, and a test would find it.
        let _ = self.fill(&registry);
        registry.gather()
    }

    fn fill(&self, registry: &Registry) -> Result<()> {
        let gauge = |name: &str, help: &str, labels: &[&str], samples: &[Sample<'_>]| {
            let made = GaugeVec::new(Opts::new(name, help), labels)?;
            for (values, value) in samples {
                made.with_label_values(values).set(*value);
            }
            registry.register(Box::new(made) as Box<dyn Collector>)
        };
        let one = |value: f64| vec![(Vec::new(), value)];
        gauge(
            "fastflow_build_info",
            "Always 1; the labels say which version this is and what it stores rows in.",
            &["version", "database"],
            &[(vec![self.version, self.database], 1.0)],
        )?;
        let runs = [(vec!["running"], number(self.running)), (vec!["queued"], number(self.queued))];
        gauge("fastflow_runs", "Runs of this server that work or wait for a place.", &["state"], &runs)?;
        let limits = [(vec!["running"], number(self.max_running)), (vec!["queued"], number(self.max_queued))];
        gauge("fastflow_runs_limit", "How many of them there may be.", &["state"], &limits)?;
        let parked = [(vec!["ready"], number(self.parked)), (vec!["wanted"], number(self.parked_wanted))];
        gauge(
            "fastflow_parked_containers",
            "Containers that were started ahead and wait for a run, and how many shall.",
            &["state"],
            &parked,
        )?;
        gauge("fastflow_leader", "Whether this server does what one server does.", &[], &one(flag(self.leads)))?;
        gauge("fastflow_servers", "Servers that live, this one included.", &[], &one(number(self.others + 1)))?;
        let valid = self.pipelines.saturating_sub(self.invalid_pipelines);
        let pipelines = [(vec!["valid"], number(valid)), (vec!["invalid"], number(self.invalid_pipelines))];
        gauge("fastflow_pipelines", "Pipelines, by whether they can be started.", &["state"], &pipelines)?;
        let up = [(vec!["database"], flag(self.database_up)), (vec!["docker"], flag(self.docker_up))];
        gauge("fastflow_up", "Whether what this server needs answers.", &["what"], &up)?;
        if let Some(at) = self.synced_at {
            gauge(
                "fastflow_sync_timestamp_seconds",
                "When the code was last brought up to date, successfully or not.",
                &[],
                &one(at),
            )?;
            gauge("fastflow_sync_last_ok", "Whether that went well.", &[], &one(flag(self.sync_ok)))?;
        }
        let of_chores = |figure: fn(&ChoreMoment) -> f64| {
            self.chores.iter().map(|chore| (vec![chore.name.as_str()], figure(chore))).collect::<Vec<_>>()
        };
        gauge(
            "fastflow_chore_last_ok",
            "Whether the latest round of a chore went well.",
            &["chore"],
            &of_chores(|chore| flag(chore.ok)),
        )?;
        gauge(
            "fastflow_chore_timestamp_seconds",
            "When the latest round of a chore ended.",
            &["chore"],
            &of_chores(|chore| chore.at),
        )?;
        gauge(
            "fastflow_chore_duration_seconds",
            "How long the latest round of a chore took.",
            &["chore"],
            &of_chores(|chore| chore.seconds),
        )?;
        let of_disks = |figure: fn(&DiskMoment) -> u64| {
            self.disks.iter().map(|disk| (vec![disk.folder], bytes(figure(disk)))).collect::<Vec<_>>()
        };
        gauge(
            "fastflow_disk_free_bytes",
            "Room that is left on the disk of a folder.",
            &["folder"],
            &of_disks(|d| d.free),
        )?;
        gauge("fastflow_disk_size_bytes", "Size of the disk of a folder.", &["folder"], &of_disks(|d| d.size))?;
        for (name, help, value) in process::figures() {
            gauge(name, help, &[], &one(value))?;
        }
        Ok(())
    }
}

const fn flag(on: bool) -> f64 {
    if on { 1.0 } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "nobody has that many")]
const fn number(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "exact up to eight petabytes")]
const fn bytes(count: u64) -> f64 {
    count as f64
}
