//! Figures of the scheduler on the fake engine, in real time: `make bench` prints them. They assert that nothing is lost, and
//! no timing.

use std::time::Duration;

use super::*;
use crate::crypto::Keyring;
use crate::domain::clock::SystemClock;
use crate::engine::fake::{FakeDocker, program};
use crate::engine::{self, Network};
use crate::environments::{self, Environments};
use crate::journal::{self, Journal};
use crate::runs::{Rooms, Runs, Steps};
use crate::vault::Vault;

const JOBS: usize = 500;

const IDLE_JOBS: usize = 1_000;

/// What the preparation container does: the files that its real script would leave behind.
const PREPARATION: &str = "file $WORK/uv uv 0.9.1; file $WORK/python 3.12.1; file $TARGET/bin/python x";

/// All rooms on a fake Docker, at the machine's own time.
async fn real(world: &World) -> Schedule {
    let path = |name: &str| world.folder.path().join(name);
    let clock: SharedClock = Arc::new(SystemClock);
    let engine = Arc::new(FakeDocker::at(Utc::now()).engine(engine::Options::new("bench")));
    let user = format!("{}:{}", rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let prepares = environments::Options {
        root: path("uv"),
        image: "worker:1".to_owned(),
        user: user.clone(),
        network: Network::Own,
        ca_bundle: None,
        uv_env: vec![(program::VARIABLE.to_owned(), PREPARATION.to_owned())],
        deadline: Duration::from_secs(600),
    };
    let store = world.store.clone();
    let keyring = Arc::new(Keyring::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "test").expect("a key"));
    let folders = catalog::Options { pipelines_dir: path("pipelines"), code_dir: path("code") };
    let catalog = Catalog::new(folders, store.clone(), clock.clone());
    catalog.refresh().await.expect("readable");
    let rooms = Rooms {
        store: store.clone(),
        cluster: crate::cluster::Cluster::alone(store.clone(), clock.clone()),
        journal: Journal::open(journal::Options { dir: path("logs"), max_bytes: None }).expect("a journal"),
        engine: engine.clone(),
        catalog: catalog.clone(),
        environments: Environments::open(prepares, engine, store.clone(), clock.clone()).expect("a folder"),
        vault: Vault::new(store.clone(), keyring.clone(), clock.clone()),
        keyring,
        clock: clock.clone(),
    };
    let options = crate::runs::Options {
        instance: "bench".to_owned(),
        scratch_dir: path("scratch"),
        image: "worker:1".to_owned(),
        worker_user: user,
        network: Network::Own,
        ca_bundle: None,
        max_concurrent: 10,
        max_queued: 100,
        warm_containers: 0,
        max_starting: 3,
        default_timeout: None,
        default_cpus: None,
        default_memory: None,
        pids: None,
        retry_attempts: 0,
        cancel_grace: Duration::from_secs(10),
        silence_limit: None,
        min_free_bytes: 0,
        health_interval: Duration::from_secs(15),
        stop_on_shutdown: false,
        docker_patience: Duration::from_secs(60),
        steps: Steps::default(),
    };
    let runs = Runs::new(options, rooms).expect("a folder");
    let options = Options { owner: "bench".to_owned(), time_zone: Zone::UTC };
    Schedule::new(options, store, catalog, runs, clock)
}

async fn once_at(world: &World, number: usize, due: Millis) -> String {
    let id = format!("{number:04}");
    let text = due.to_utc().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let mut job = new_job(&id, "once", &text, "UTC", LATEST, Millis(0));
    job.parameters.insert(program::VARIABLE.to_owned(), "exit 0".to_owned());
    world.store.insert_job(&job, due).await.expect("inserted");
    id
}

/// Lateness of 500 jobs, due `spread` after each other.
async fn lateness(name: &str, spread: Duration) {
    let (store, _folder) = testing::sqlite().await;
    let world = World::on(store);
    let schedule = real(&world).await;
    let first = Millis::from(Utc::now()).plus_seconds(3.0);
    let mut jobs = Vec::new();
    for number in 0..JOBS {
        let number_f = f64::from(u32::try_from(number).expect("fits"));
        jobs.push(once_at(&world, number, first.plus_seconds(number_f * spread.as_secs_f64())).await);
    }
    let seconds = 8 + spread.as_secs() * 500 + u64::from(spread.subsec_millis()) / 2;
    let started = schedule.tick_for(Duration::from_secs(seconds)).await.expect("ticks");
    let mut late = Vec::new();
    for job in &jobs {
        let book = world.book(job).await;
        assert_eq!((book.len(), book[0].state), (1, FiringState::Started), "none is lost");
        // When its run was accepted, not when the tick began that took it.
        let run = book[0].run.as_ref().expect("started");
        late.push(Millis::from(run.created_at).0 - book[0].due_at.0);
    }
    assert_eq!(started, JOBS);
    late.sort_unstable();
    let (half, most, last) = (late[JOBS / 2], late[JOBS * 99 / 100], late[JOBS - 1]);
    println!("{name:<44} p50 {half:>5} ms   p99 {most:>5} ms   most {last:>5} ms   lost 0 of {JOBS}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes more than a minute and prints figures: run by `make bench`"]
async fn five_hundred_jobs_due_in_one_minute() {
    lateness("500 jobs due within a minute", Duration::from_millis(120)).await;
    lateness("500 jobs due at one instant", Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes twenty seconds and prints a figure: run by `make bench`"]
async fn a_thousand_jobs_that_are_not_due() {
    let (store, _folder) = testing::sqlite().await;
    let world = World::on(store);
    let schedule = real(&world).await;
    for number in 0..IDLE_JOBS {
        once_at(&world, number, Millis::from(Utc::now()).plus_seconds(86_400.0)).await;
    }
    let before = cpu_ticks();
    schedule.tick_for(Duration::from_secs(20)).await.expect("ticks");
    let used = cpu_ticks() - before;
    // A tick of this clock is a hundredth of a second on every Linux that we run on.
    println!("{:<44} {:.2} % of one core", "CPU with 1,000 jobs that are not due", used / 20.0);
}

/// Processor time of this process so far.
fn cpu_ticks() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = text.rsplit(") ").next().expect("fields").split(' ').collect();
    fields[11].parse::<f64>().expect("a number") + fields[12].parse::<f64>().expect("a number")
}
