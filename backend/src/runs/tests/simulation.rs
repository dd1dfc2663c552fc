//! Thousands of lives of servers and runs, each decided by a seed: starts, cancellations, crashes at any await, restarts,
//! absent Dockers, lost answers, containers that others kill. At the end of each life the promises of the room are checked.
//!
//! `FASTFLOW_SIMULATIONS=5000` plays more of them, `FASTFLOW_SEED=7` one alone. A failure tells its seed.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::domain::outcome::StopReason;
use crate::engine::EngineError;
use crate::engine::fake::{Call, Fate};

/// Lives that are played when nothing is said; some ten seconds without optimisation.
const DEFAULT: u64 = 200;

/// Lives of one world, before another one is made: what is left by one must not disturb the next.
const LIVES_PER_WORLD: u64 = 40;

/// Calls that may fail before their effect.
const FAILING: [Call; 15] = [
    Call::EnsureImage,
    Call::EnsureNetwork,
    Call::Create,
    Call::Attach,
    Call::Reattach,
    Call::Start,
    Call::Wait,
    Call::Inspect,
    Call::Signal,
    Call::Pause,
    Call::Unpause,
    Call::StoredLog,
    Call::Stats,
    Call::Remove,
    Call::List,
];

/// Calls whose effect matters when the answer gets lost.
const LOSING: [Call; 6] = [Call::Create, Call::Attach, Call::Start, Call::Signal, Call::Pause, Call::Remove];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

#[test]
fn whatever_happens_each_run_ends_once_and_truly() {
    let only = number("FASTFLOW_SEED");
    let count = only.map_or_else(|| number("FASTFLOW_SIMULATIONS").unwrap_or(DEFAULT), |_| 1);
    // Other seeds each time would find more, and fail for somebody who changed nothing.
    let first = only.unwrap_or(1);
    let next = Arc::new(AtomicU64::new(first));
    let threads = std::thread::available_parallelism().map_or(2, |threads| threads.get().min(4));
    let players: Vec<_> = (0..threads)
        .map(|_| {
            let next = next.clone();
            std::thread::spawn(move || {
                while next.load(Ordering::SeqCst) < first + count {
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                    runtime.block_on(async {
                        let world = World::new().await;
                        for _ in 0..LIVES_PER_WORLD {
                            let seed = next.fetch_add(1, Ordering::SeqCst);
                            if seed >= first + count {
                                break;
                            }
                            let _tell = Tell(seed);
                            Life::new(&world, seed).play().await;
                        }
                    });
                }
            })
        })
        .collect();
    for player in players {
        if let Err(panic) = player.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Says which seed it was when a life ends in a panic.
struct Tell(u64);

impl Drop for Tell {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was FASTFLOW_SEED={}", self.0);
        }
    }
}

/// What a script of the simulation does.
#[derive(Debug, Clone, Copy)]
struct Script {
    lines: u64,
    code: i32,
}

/// One life: a pipeline of its own on a world that others used before.
struct Life<'w> {
    world: &'w World,
    random: StdRng,
    pipeline: String,
    max_concurrent: usize,
    max_queued: usize,
    grace: u64,
    stops: bool,
    server: Arc<Server>,
    /// What each accepted start should print and how it ends.
    scripts: HashMap<String, Script>,
    /// Names of containers that somebody else removed, and Docker's log with them.
    removed: BTreeSet<String>,
    /// What happened, for whoever has to understand a failure.
    story: Vec<String>,
}

impl<'w> Life<'w> {
    fn new(world: &'w World, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let pipeline = format!("life-{seed}");
        let retries = random.random_range(0..3);
        let delay = random.random_range(0..20);
        let timeout = if random.random_bool(0.3) { random.random_range(1..20) } else { 0 };
        // Another Python is another environment, so it has to be built first.
        let python = if random.random_bool(0.2) { format!(r#", "python_version": "3.{seed}""#) } else { String::new() };
        let settings = format!(
            r#"{{"retry_attempts": {retries}, "retry_strategy": {{"type": "fixed_delay", "delay": {delay}}}, "timeout": {timeout}{python}}}"#
        );
        world.pipeline(&pipeline, &settings);
        let (max_concurrent, max_queued) = (random.random_range(1..4), random.random_range(0..4));
        let (grace, stops) = (random.random_range(0..5), random.random_bool(0.3));
        let server = Arc::new(Self::serve(world, max_concurrent, max_queued, grace, stops));
        let story =
            vec![format!("{settings}, {max_concurrent} slots, {max_queued} places, grace {grace}, stops {stops}")];
        let (scripts, removed) = (HashMap::new(), BTreeSet::new());
        Self { world, random, pipeline, max_concurrent, max_queued, grace, stops, server, scripts, removed, story }
    }

    fn serve(world: &World, max_concurrent: usize, max_queued: usize, grace: u64, stops: bool) -> Server {
        world.server_with(|options| {
            options.max_concurrent = max_concurrent;
            options.max_queued = max_queued;
            options.cancel_grace = Duration::from_secs(grace);
            options.stop_on_shutdown = stops;
            options.docker_patience = Duration::from_secs(40);
        })
    }

    async fn play(mut self) {
        let steps = self.random.random_range(3..16);
        for _ in 0..steps {
            self.step().await;
            self.linger().await;
        }
        self.tell("the end begins");
        self.world.docker.heal();
        self.settle().await;
        self.check().await;
    }

    fn tell(&mut self, what: impl Into<String>) {
        let at = self.world.clock.now().0 - BEGIN;
        self.story.push(format!("{at:>9} ms  {}", what.into()));
    }

    /// Some time, or only some turns of the scheduler.
    async fn linger(&mut self) {
        if self.random.random_bool(0.5) {
            for _ in 0..self.random.random_range(0..80) {
                tokio::task::yield_now().await;
            }
        } else {
            let most = if self.random.random_bool(0.2) { 20_000 } else { 400 };
            pause(self.random.random_range(0..most)).await;
        }
    }

    async fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..35 => self.start().await,
            35..50 => self.cancel().await,
            50..62 => self.crash().await,
            62..67 => self.shut_down().await,
            67..75 => self.take_docker_away().await,
            75..80 => {
                let call = FAILING[self.random.random_range(0..FAILING.len())];
                let times = self.random.random_range(1..4);
                self.tell(format!("{call:?} fails {times} times"));
                for _ in 0..times {
                    let reason = "the simulation wants it".to_owned();
                    self.world.docker.fail_next(call, EngineError::Unavailable { call: "test", reason, source: None });
                }
            }
            80..85 => {
                let call = LOSING[self.random.random_range(0..LOSING.len())];
                self.tell(format!("the next answer of {call:?} gets lost"));
                self.world.docker.lose_next_answer(call);
            }
            85..90 => self.meddle(),
            _ => {
                self.tell("recover");
                let _ = self.server.recover().await;
            }
        }
    }

    async fn start(&mut self) {
        let random = &mut self.random;
        let script = Script { lines: random.random_range(0..60), code: [0, 0, 0, 1, 3][random.random_range(0..5)] };
        let pause = random.random_range(0..300);
        let term = ["", "term ignore;", "term exit 0;", "term exit 5;"][random.random_range(0..4)];
        let text = format!("{term} lines {} {pause}ms; exit {}", script.lines, script.code);
        if random.random_bool(0.15) {
            // The caller goes away half-way.
            let yields = random.random_range(0..60);
            self.tell(format!("start and go away: {text}"));
            let (server, pipeline) = (self.server.clone(), self.pipeline.clone());
            let start = tokio::spawn(async move { server.try_start(&pipeline, &text).await });
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            start.abort();
            if let Ok(Ok(run)) = start.await {
                self.scripts.insert(run, script);
            }
            return;
        }
        let started = self.server.try_start(&self.pipeline, &text).await;
        self.tell(format!("start {text}: {started:?}"));
        if let Ok(run) = started {
            self.scripts.insert(run, script);
        }
    }

    async fn cancel(&mut self) {
        let (rows, _) = self.world.store.unfinished_runs().await.expect("answered");
        if rows.is_empty() {
            return;
        }
        let run = rows[self.random.random_range(0..rows.len())].spec.id.clone();
        self.tell(format!("cancel {run}"));
        cancel(&self.server, &run).await.expect("answered");
    }

    async fn crash(&mut self) {
        self.tell("crash");
        self.server.crash().await;
        // What was on its way to the disk is lost as well.
        let (rows, _) = self.world.store.unfinished_runs().await.expect("answered");
        for row in rows {
            if self.random.random_bool(0.5) {
                continue;
            }
            let path = log_file(&self.server.logs, &row.spec.id);
            let Ok(file) = std::fs::OpenOptions::new().write(true).open(path) else { continue };
            let length = file.metadata().expect("readable").len();
            file.set_len(length - self.random.random_range(0..=length.min(200))).expect("cut");
        }
        self.next_server().await;
    }

    async fn shut_down(&mut self) {
        self.tell("shut down");
        self.server.shutdown().await;
        self.server.crash().await;
        self.next_server().await;
    }

    async fn next_server(&mut self) {
        self.linger().await;
        let Self { world, max_concurrent, max_queued, grace, stops, .. } = self;
        let server = Self::serve(world, *max_concurrent, *max_queued, *grace, *stops);
        let recovered = server.recover().await;
        self.server = Arc::new(server);
        self.tell(format!("another server: {recovered:?}"));
    }

    async fn take_docker_away(&mut self) {
        let fate = if self.random.random_bool(0.3) { Fate::Die } else { Fate::Survive };
        let long = self.random.random_bool(0.1);
        let time = self.random.random_range(0..if long { 60_000 } else { 3_000 });
        self.tell(format!("Docker goes away for {time} ms, its containers {fate:?}"));
        self.world.docker.down(fate);
        if self.random.random_bool(0.7) {
            pause(time).await;
            self.world.docker.up();
        } else {
            // Something else happens meanwhile.
            let docker = self.world.docker.clone();
            tokio::spawn(async move {
                pause(time).await;
                docker.up();
            });
        }
    }

    /// Somebody else kills or removes a container.
    fn meddle(&mut self) {
        let containers = self.world.containers();
        if containers.is_empty() {
            return;
        }
        let victim = &containers[self.random.random_range(0..containers.len())];
        if self.random.random_bool(0.5) {
            self.tell(format!("somebody kills {}", victim.name));
            self.world.docker.kill_behind_our_back(&victim.id);
        } else {
            self.tell(format!("somebody removes {}", victim.name));
            self.world.docker.remove_behind_our_back(&victim.id);
            self.removed.insert(victim.name.clone());
        }
    }

    /// Until everything has ended, with the chore that every server has.
    async fn settle(&mut self) {
        for _ in 0..200 {
            pause(15_000).await;
            if let Err(error) = self.server.recover().await {
                self.tell(format!("the recovery failed: {error}"));
            }
            let (rows, _) = self.world.store.unfinished_runs().await.expect("answered");
            if rows.is_empty() && self.server.inner.live.all().is_empty() && self.world.containers().is_empty() {
                return;
            }
        }
        let (rows, _) = self.world.store.unfinished_runs().await.expect("answered");
        let live: Vec<_> = self.server.inner.live.all().iter().map(|live| (live.run, live.phase())).collect();
        panic!(
            "never ends: {rows:?}, driven {live:?}, containers {:?}\n{}",
            self.world.containers(),
            self.story.join("\n")
        );
    }

    async fn check(&self) {
        let story = || self.story.join("\n");
        self.world.assert_clean(&self.server).await;
        let rows = self.rows().await;
        let ids: BTreeSet<_> = rows.keys().cloned().collect();
        for run in self.scripts.keys() {
            assert!(ids.contains(run), "the accepted run {run} is gone\n{}", story());
        }
        let (mut good, mut bad) = (0, 0);
        for row in rows.values() {
            let why = format!("{row:?}\n{}", story());
            assert!(row.status.is_final(), "{why}");
            good += i64::from(row.status == RunStatus::Success);
            bad += i64::from(row.status == RunStatus::Failed);
            assert!(row.finished_at.is_some() && row.spec.attempt <= row.spec.max_attempts, "{why}");
            assert_eq!(row.status == RunStatus::Success, row.error_type.is_none(), "{why}");
            if let Some(reason) = &row.stop_reason {
                let kind = match reason {
                    StopReason::Cancelled { .. } | StopReason::Shutdown => ErrorType::Cancelled,
                    StopReason::Timeout { .. } => ErrorType::Timeout,
                    StopReason::Unhealthy { .. } => ErrorType::Unhealthy,
                };
                assert_eq!(row.error_type, Some(kind), "our own reason outranks all: {why}");
            }
            let wants_next = row.status == RunStatus::Failed
                && row.error_type != Some(ErrorType::Cancelled)
                && row.spec.attempt < row.spec.max_attempts;
            assert_eq!(row.retried_by.is_some(), wants_next, "{why}");
            if let Some(next) = &row.retried_by {
                assert_eq!(rows[next].spec.retry_of.as_ref(), Some(&row.spec.id), "{why}");
            }
            self.check_log(row, &rows, &why).await;
        }
        if !rows.is_empty() {
            let stats = self.world.store.pipeline(&self.pipeline).await.expect("counted").stats;
            let counted = (stats.total_runs, stats.successful_runs, stats.failed_runs);
            assert_eq!(counted, (good + bad, good, bad), "the counters are the rows\n{}", story());
        }
    }

    /// All runs of this life.
    async fn rows(&self) -> HashMap<String, RunRow> {
        let mut rows = HashMap::new();
        for run in self.world.store.latest_runs_of(&self.pipeline, 1000).await.expect("answered") {
            rows.insert(run.id.clone(), self.world.row(&run.id).await);
        }
        rows
    }

    async fn check_log(&self, row: &RunRow, rows: &HashMap<String, RunRow>, why: &str) {
        let mut first = row;
        while let Some(before) = &first.spec.retry_of {
            first = &rows[before];
        }
        let log = self.server.log(&row.spec.id).await;
        let marks = self.server.marks(&row.spec.id).await;
        let gap = marks.iter().any(|mark| mark.starts_with("output is missing"));
        let was_removed =
            self.removed.contains(&super::super::start::container_name(row.spec.id.parse().expect("an id")));
        assert!(!gap || was_removed, "Docker has everything, so nothing can be missing: {log:?} {why}");
        // One whose caller went away: what it should print stands in its start.
        let script = self.scripts.get(&first.spec.id).copied().unwrap_or_else(|| parse(&row.spec.parameters));
        if log == engine::launcher::COMPLAINT {
            assert_eq!(row.status, RunStatus::Failed, "{why}");
            return;
        }
        let whole = numbers(script.lines);
        assert!(whole.starts_with(&log), "nothing doubled, nothing skipped: {log:?} {why}");
        let by_itself = row.stop_reason.is_none()
            && (row.status == RunStatus::Success || row.exit_code == Some(script.code) && script.code != 0);
        if by_itself {
            assert!(log == whole || gap, "a script that ended by itself has said everything: {log:?} {why}");
            assert_eq!(row.exit_code, Some(script.code), "{why}");
        }
    }
}

/// The script of a start, from its text.
fn parse(parameters: &BTreeMap<String, String>) -> Script {
    let text = &parameters[program::VARIABLE];
    let after = |word: &str| {
        let rest = text.rsplit_once(word).map(|(_, rest)| rest.trim()).unwrap_or_default();
        rest.split([' ', ';']).next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default()
    };
    Script { lines: after("lines "), code: i32::try_from(after("exit ")).unwrap_or_default() }
}
