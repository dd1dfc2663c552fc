//! The simulator tells what the real scheduler does: a thousand random job sets with outages, each played by both.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::domain::simulate::{Fate, Played, Player, play};
use crate::domain::trigger::Timetable;

const SETS: u64 = 1_000;

const MINUTE: i64 = 60_000;

/// One job as both play it.
struct Job {
    id: String,
    player: Player,
}

/// A week around a change of the clock, or some other week.
fn begin(random: &mut StdRng) -> Millis {
    let changes = ["2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z", "2026-04-04T03:00:00Z", "2026-06-01T00:00:00Z"];
    Millis(at(changes[random.random_range(0..changes.len())]).0 + random.random_range(0..600) * MINUTE)
}

fn policy(random: &mut StdRng) -> Policy {
    Policy {
        catch_up: match random.random_range(0..4) {
            0 => CatchUp::Skip,
            1 => CatchUp::All { most: random.random_range(1..6), max_age: random.random_range(1..600) * MINUTE },
            _ => CatchUp::Latest,
        },
        overlap: Overlap::ALL[random.random_range(0..4)],
        max_instances: random.random_bool(0.3).then(|| random.random_range(1..4)),
    }
}

fn trigger(random: &mut StdRng) -> (&'static str, String, &'static str) {
    let zones = ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/New_York"];
    let zone = zones[random.random_range(0..zones.len())];
    let crons =
        ["*/20 * * * *", "30 2 * * *", "15 * * * *", "0 */3 * * *", "0,30 1-3 * * *", "10 4 * * 0", "7 2,14 * * *"];
    match random.random_range(0..3) {
        0 => ("interval", (random.random_range(5..200) * 60).to_string(), "UTC"),
        _ => ("cron", crons[random.random_range(0..crons.len())].to_owned(), zone),
    }
}

/// Sets that are played on one database: counting the runs of a pipeline takes longer, the more there are.
const SETS_PER_WORLD: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_simulator_tells_what_the_scheduler_does() {
    let play_every = async |first: u64| {
        let mut compared = 0;
        for begin in (first..SETS).step_by(2 * SETS_PER_WORLD as usize) {
            let (store, _folder) = testing::sqlite().await;
            let world = World::on(store);
            let server = world.server().await;
            for seed in begin..begin + SETS_PER_WORLD {
                compared += one_set(&world, &server, &mut StdRng::seed_from_u64(seed), seed).await;
            }
        }
        compared
    };
    let (a, b) = tokio::join!(
        tokio::spawn(async move { play_every(0).await }),
        tokio::spawn(async move { play_every(SETS_PER_WORLD).await })
    );
    let compared = a.expect("no panic") + b.expect("no panic");
    println!("{compared} due times compared");
    assert!(compared > 5_000, "only {compared}");
}

async fn one_set(world: &World, server: &Server, random: &mut StdRng, seed: u64) -> usize {
    let start = begin(random);
    let until = Millis(start.0 + random.random_range(3..20) * 60 * MINUTE);
    let mut outages: Vec<(Millis, Millis)> = Vec::new();
    let mut free = start.0;
    for _ in 0..random.random_range(0..3) {
        let from = free + random.random_range(1..300) * MINUTE;
        free = from + random.random_range(1..400) * MINUTE + random.random_range(0..60_000);
        outages.push((Millis(from), Millis(free)));
    }
    world.set(start);
    let mut jobs = Vec::new();
    for number in 0..random.random_range(1..4) {
        let ((kind, value, zone), policy) = (trigger(random), policy(random));
        let id = format!("{seed}-{number}");
        let stored = new_job(&id, kind, &value, zone, policy, start);
        let timetable = Timetable::parse(kind, &value, zone, None, None).expect("a trigger");
        let player = Player {
            timetable,
            policy,
            next: stored.next_run_at,
            decided_at: None,
            duration: random.random_range(1..90) * MINUTE + 1,
            active: Vec::new(),
            waiting: Vec::new(),
        };
        world.store.insert_job(&stored, start).await.expect("inserted");
        jobs.push(Job { id, player });
    }
    live(world, server, &jobs, &outages, until).await;
    let mut compared = 0;
    for job in jobs {
        let expected = play(job.player.clone(), &outages, until, usize::MAX);
        let done = world.book(&job.id).await;
        assert_eq!(done.len(), expected.len(), "seed {seed} {}: {done:#?}\n{expected:#?}", job.id);
        for (done, expected) in done.iter().zip(&expected) {
            assert_same(done, expected, seed);
        }
        compared += done.len();
        world.store.delete_job(&job.id).await.expect("deleted");
    }
    compared
}

fn assert_same(done: &FiringRow, expected: &Played, seed: u64) {
    let story = || format!("seed {seed}: {done:?} {expected:?}");
    assert_eq!((done.due_at, done.claimed_at), (expected.due, expected.at), "{}", story());
    match expected.fate {
        Fate::Starts { at, .. } => {
            assert_eq!((done.state, done.started_at), (FiringState::Started, Some(at)), "{}", story());
        }
        Fate::Waits => assert_eq!(done.state, FiringState::Waiting, "{}", story()),
        Fate::LeftOut { count, until, .. } => {
            assert_eq!(done.state, FiringState::LeftOut, "{}", story());
            let told = (usize::try_from(done.due_times).expect("fits"), done.until.unwrap_or(done.due_at));
            assert_eq!(told, (count, until), "{}", story());
        }
    }
}

/// The real scheduler, woken whenever something is due, a run ends, or an outage is over.
async fn live(world: &World, server: &Server, jobs: &[Job], outages: &[(Millis, Millis)], until: Millis) {
    let duration = |id: &str| jobs.iter().find(|job| job.id == id).map_or(0, |job| job.player.duration);
    let ends = || -> Vec<(Millis, String)> {
        let working = server.working.lock().expect("not poisoned");
        working.iter().map(|(job, run, started)| (Millis(started.0 + duration(job)), run.clone())).collect()
    };
    loop {
        let due = world.store.next_due().await.expect("read");
        let Some(event) = due.into_iter().chain(ends().into_iter().map(|(end, _)| end)).min() else { break };
        let event = event.max(world.clock.now());
        let now = outages.iter().find(|(from, to)| (*from..*to).contains(&event)).map_or(event, |(_, to)| *to);
        if now > until {
            break;
        }
        world.set(now);
        for (_, run) in ends().into_iter().filter(|(end, _)| *end <= now) {
            server.launcher.cancel(&run, "its script").await.expect("ended");
        }
        server.tick().await.expect("ticks");
    }
    // The next set must not meet these.
    for (_, run) in ends() {
        server.launcher.cancel(&run, "the test").await.expect("ended");
    }
}
