//! The scheduler with a clock that tests move, on real databases. Its runs are rows and no more, see [`Rows`]: what becomes of
//! a run is the business of another room and of the stories.

mod crashes;
mod edit;
mod policies;
mod servers;
mod simulated;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use fastflow_shared::{JobDraft, Run, RunStatus, Trigger as StartedBy};
use tempfile::TempDir;

use super::*;
use crate::catalog::{self, Catalog};
use crate::domain::clock::{Clock, ManualClock, Millis};
use crate::domain::firing::{CatchUp, Overlap, Policy};
use crate::domain::run::Event;
use crate::store::{Code, Facts, FiringRow, FiringState, Limits, NewJob, NewRun, Report, testing};

/// When the tests begin: a Thursday, at midnight.
pub(super) const BEGIN: &str = "2026-01-01T00:00:00Z";

pub(super) fn at(text: &str) -> Millis {
    Millis::from(text.parse::<DateTime<Utc>>().expect("a time"))
}

/// Starts runs by storing them. They end when a test says so.
pub(super) struct Rows {
    store: Store,
    catalog: Catalog,
    clock: ManualClock,
    working: Working,
}

/// Runs that have not ended: job, run, when it was started.
pub(super) type Working = Arc<std::sync::Mutex<Vec<(String, String, Millis)>>>;

#[async_trait]
impl Launch for Rows {
    async fn launch(
        &self,
        pipeline: &str,
        by: StartedBy,
        start: Start,
        store: &Store,
        keep: Keep<'_>,
    ) -> Result<Option<Run>, LaunchError> {
        match self.catalog.pipeline(pipeline) {
            None => return Err(LaunchError::UnknownPipeline(pipeline.to_owned())),
            Some(found) if !found.is_valid() => {
                return Err(LaunchError::Invalid { name: pipeline.to_owned(), problems: found.problems.clone() });
            }
            Some(_) => {}
        }
        let (job_id, due_at) = start.firing.clone().unzip();
        let run = NewRun {
            id: uuid::Uuid::now_v7().to_string(),
            pipeline_name: pipeline.to_owned(),
            trigger: by,
            triggered_by: start.triggered_by,
            attempt: 1,
            max_attempts: 1,
            retry_strategy: None,
            retry_of: None,
            not_before: None,
            job_id,
            due_at,
            created_at: self.clock.now(),
            code: Code::default(),
            image: None,
            parameters: start.parameters,
            sealed_env: None,
            limits: Limits::default(),
            instance: None,
            owner: None,
        };
        if !keep.store(store, &run).await? {
            return Ok(None);
        }
        let job = run.job_id.clone().unwrap_or_default();
        self.working.lock().expect("not poisoned").push((job, run.id.clone(), self.clock.now()));
        let row = crate::store::RunRow::from(run);
        Ok(Some(row.into_run(fastflow_shared::Phase::Queued, None, self.clock.now())))
    }

    async fn cancel(&self, run: &str, _by: &str) -> Result<(), RunsError> {
        self.working.lock().expect("not poisoned").retain(|(_, id, _)| id != run);
        end(&self.store, run, self.clock.now()).await;
        Ok(())
    }
}

/// A run ends, whatever reason there was to stop it.
pub(super) async fn end(store: &Store, run: &str, now: Millis) {
    let report = Report {
        run_id: run,
        expected: &[],
        events: &[Event::StartFailed],
        facts: Facts { finished_at: Some(now), ..Facts::default() },
        now,
        knows_stop: true,
    };
    store.record(&report).await.expect("recorded");
}

/// What outlives a server: the database, the pipelines, the clock.
pub(super) struct World {
    pub store: Store,
    pub clock: ManualClock,
    pub folder: TempDir,
}

impl World {
    pub fn on(store: Store) -> Self {
        let world =
            Self { store, clock: ManualClock::at(at(BEGIN)), folder: tempfile::tempdir().expect("a temporary folder") };
        world.pipeline("p", "{}");
        world
    }

    pub fn pipeline(&self, name: &str, settings: &str) {
        let folder = self.folder.path().join("pipelines").join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("main.py"), "pass\n").expect("a file");
        std::fs::write(folder.join("pipeline.json"), settings).expect("a file");
    }

    /// A server on this world's database, which has read the pipelines.
    pub async fn server(&self) -> Server {
        self.server_on(self.store.clone()).await
    }

    pub async fn server_on(&self, store: Store) -> Server {
        let options = catalog::Options {
            pipelines_dir: self.folder.path().join("pipelines"),
            code_dir: self.folder.path().join("code"),
        };
        let shared: SharedClock = Arc::new(self.clock.clone());
        let catalog = Catalog::new(options, store.clone(), shared.clone());
        catalog.refresh().await.expect("readable");
        let working = Working::default();
        let rows = Rows {
            store: store.clone(),
            catalog: catalog.clone(),
            clock: self.clock.clone(),
            working: working.clone(),
        };
        let options = Options { owner: uuid::Uuid::now_v7().to_string(), time_zone: Zone::UTC };
        let schedule = Schedule::with_launcher(options, store, catalog.clone(), Arc::new(rows), shared);
        Server { schedule, catalog, working }
    }

    /// A job, due as its trigger says from the present on.
    pub async fn job(&self, kind: &str, value: &str, policy: Policy) -> String {
        let id = uuid::Uuid::now_v7().to_string();
        let job = new_job(&id, kind, value, "UTC", policy, self.clock.now());
        self.store.insert_job(&job, self.clock.now()).await.expect("inserted");
        id
    }

    pub fn set(&self, time: Millis) {
        self.clock.set(time);
    }

    pub async fn book(&self, job: &str) -> Vec<FiringRow> {
        let mut rows = self.store.firings(job, None, 100_000).await.expect("read");
        rows.reverse();
        rows
    }

    /// Minutes since the beginning of the due times that have started a run.
    pub async fn started(&self, job: &str) -> Vec<i64> {
        let rows = self.book(job).await.into_iter().filter(|row| row.state == FiringState::Started);
        rows.map(|row| (row.due_at.0 - at(BEGIN).0) / 60_000).collect()
    }

    /// Each run of a job belongs to one due time and the other way round.
    pub async fn assert_once(&self, job: &str) {
        let book = self.book(job).await;
        let mut runs = std::collections::BTreeSet::new();
        for firing in &book {
            assert_eq!(firing.run_id.is_some(), matches!(firing.state, FiringState::Started | FiringState::ByHand));
            if let Some(run) = &firing.run_id {
                assert!(runs.insert(run.clone()), "{run} stands for two due times");
                let row = self.store.run(run).await.expect("a firing has its run");
                assert_eq!((row.spec.job_id.as_deref(), row.spec.due_at), (Some(job), Some(firing.due_at)));
            }
        }
        let filter = crate::store::RunFilter { trigger: Some(StartedBy::Schedule), ..Default::default() };
        let all = self.store.runs_page(&filter, crate::store::RunOrder::NewestFirst, None, 20_000).await.expect("read");
        let of_job = all.rows.iter().filter(|row| row.spec.job_id.as_deref() == Some(job)).count();
        assert_eq!(
            of_job,
            book.iter().filter(|row| row.state == FiringState::Started).count(),
            "no run beside the book"
        );
    }
}

pub(super) fn new_job(id: &str, kind: &str, value: &str, zone: &str, policy: Policy, now: Millis) -> NewJob {
    let timetable = crate::domain::trigger::Timetable::parse(kind, value, zone, None, None).expect("a trigger");
    let (most, age) = match policy.catch_up {
        CatchUp::All { most, max_age } => (Some(i64::from(most)), Some(max_age / 1000)),
        _ => (None, None),
    };
    NewJob {
        id: id.to_owned(),
        pipeline_name: "p".to_owned(),
        name: None,
        trigger_type: kind.to_owned(),
        trigger_value: value.to_owned(),
        time_zone: zone.to_owned(),
        enabled: true,
        paused: false,
        source: "api".to_owned(),
        source_id: None,
        start_at: None,
        end_at: None,
        catch_up: policy.catch_up.as_str().to_owned(),
        catch_up_limit: most,
        catch_up_max_age: age,
        overlap: policy.overlap.as_str().to_owned(),
        max_instances: policy.max_instances.map(i64::from),
        parameters: std::collections::BTreeMap::new(),
        overrides: crate::domain::schedules::Overrides::default(),
        created_by: None,
        next_run_at: timetable.next_after(now),
        problem: None,
    }
}

pub(super) const LATEST: Policy = Policy { catch_up: CatchUp::Latest, overlap: Overlap::Allow, max_instances: None };

/// One process.
pub(super) struct Server {
    pub schedule: Schedule,
    pub catalog: Catalog,
    pub working: Working,
}

impl std::ops::Deref for Server {
    type Target = Schedule;

    fn deref(&self) -> &Schedule {
        &self.schedule
    }
}

pub(super) fn draft(kind: fastflow_shared::TriggerType, value: &str) -> JobDraft {
    JobDraft {
        pipeline_name: "p".to_owned(),
        trigger_type: kind,
        trigger_value: value.to_owned(),
        ..JobDraft::default()
    }
}

/// The status of a run, for those that are ended by hand.
pub(super) async fn status(store: &Store, run: &str) -> RunStatus {
    store.run(run).await.expect("there").status
}
