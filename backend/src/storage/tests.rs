//! What goes when it is too much, on real files, with the fake engine and a real database.

use std::collections::HashSet;
use std::fs;

use super::*;
use crate::domain::clock::ManualClock;
use crate::domain::run::Event;
use crate::engine::{self, fake::FakeDocker};
use crate::environments::testing::Lab;
use crate::journal::{self, RunId};
use crate::store::{Facts, Limits as RunLimits, NewRun, Report as Recording, testing};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const NOW: Millis = Millis(1_700_000_000_000);

struct World {
    lab: Lab,
    retention: Retention,
    store: Store,
    journal: Journal,
    busy: Arc<Mutex<HashSet<RunId>>>,
    folder: tempfile::TempDir,
}

fn world_on(store: Store) -> World {
    let folder = tempfile::tempdir().expect("temporary folder");
    let clock: SharedClock = Arc::new(ManualClock::at(NOW));
    let engine = Arc::new(FakeDocker::at(NOW.to_utc()).engine(engine::Options::new("test")));
    let lab = Lab::new(folder.path().join("uv"), engine, store.clone(), clock.clone());
    let journal =
        Journal::open(journal::Options { dir: folder.path().join("logs"), max_bytes: None }).expect("a journal");
    let busy: Arc<Mutex<HashSet<RunId>>> = Arc::default();
    let held = busy.clone();
    let is_busy = move |run: RunId| held.lock().expect("free").contains(&run);
    let retention = Retention::new(store.clone(), journal.clone(), clock, is_busy);
    World { lab, retention, store, journal, busy, folder }
}

impl World {
    /// A run that ended so long ago, with a log of that many bytes; `None` for one that has not ended.
    async fn run(&self, pipeline: &str, ended_hours_ago: Option<i64>, bytes: usize) -> String {
        let id = uuid::Uuid::now_v7().to_string();
        let at = Millis(NOW.0 - ended_hours_ago.unwrap_or(1000) * HOUR);
        let new = NewRun {
            id: id.clone(),
            pipeline_name: pipeline.to_owned(),
            trigger: fastflow_shared::Trigger::Manual,
            triggered_by: None,
            attempt: 1,
            max_attempts: 1,
            retry_strategy: None,
            retry_of: None,
            not_before: None,
            job_id: None,
            due_at: None,
            created_at: at,
            code: crate::store::Code::default(),
            image: None,
            parameters: std::collections::BTreeMap::new(),
            sealed_env: None,
            limits: RunLimits::default(),
            instance: None,
            owner: None,
        };
        self.store.insert_run(&new).await.expect("inserted");
        if ended_hours_ago.is_some() {
            let facts = Facts { finished_at: Some(at), ..Facts::default() };
            let events = &[Event::Started, Event::Succeeded];
            let report = Recording { run_id: &id, expected: &[], events, facts, knows_stop: true, now: at };
            assert!(self.store.record(&report).await.expect("recorded").applied());
        }
        fs::write(self.log(&id), vec![b'x'; bytes]).expect("a log");
        id
    }

    fn log(&self, id: &str) -> PathBuf {
        self.folder.path().join("logs").join(format!("{id}.log"))
    }

    async fn is_there(&self, id: &str) -> bool {
        let row = self.store.run(id).await.is_ok();
        assert_eq!(row, self.log(id).exists(), "a row and its file are in step");
        row
    }

    /// Lets go what is beyond so many kB of cache; `None` when it is not known what is in use.
    async fn make_room(
        &self,
        kilobytes: Option<u64>,
        in_use: &[&str],
        others: Vec<Candidate>,
    ) -> (Vec<StorageItem>, u64) {
        let in_use = in_use.iter().map(|key| (*key).to_owned()).collect();
        let mut survey = self.lab.environments.survey(Some(&in_use)).await.expect("looked at");
        let mut candidates: Vec<_> = survey.spares.iter().cloned().map(Candidate::of_environments).collect();
        let mut used = Used::from([(Kind::Environment, survey.environment_bytes), (Kind::Cache, survey.cache_bytes)]);
        for other in others {
            *used.entry(other.spare.kind).or_default() += other.spare.bytes;
            candidates.push(other);
        }
        let limits = Limits { all: None, cache: kilobytes.map(|kilobytes| kilobytes << 10) };
        let hands = Hands { environments: &self.lab.environments, retention: &self.retention };
        let made = room::make_room(&hands, &mut survey, &mut candidates, &mut used, limits, NOW).await;
        assert!(made.problems.is_empty(), "{:?}", made.problems);
        (made.gone, budget::total(&used))
    }
}

fn count(gone: &[StorageItem], kind: Kind) -> usize {
    gone.iter().filter(|item| item.kind == kind.as_str()).count()
}

fn counts(gone: &[StorageItem]) -> (usize, usize) {
    (count(gone, Kind::Environment), count(gone, Kind::Cache))
}

#[tokio::test]
async fn what_was_used_longest_ago_goes_first_and_takes_along_what_only_it_needed() {
    let (store, _database) = testing::sqlite().await;
    let world = world_on(store.clone());
    let lab = &world.lab;
    lab.environment("new", &["shared", "newer"], 2).await;
    lab.environment("old", &["shared", "older"], 30).await;
    lab.environment("oldest", &["oldest"], 300).await;
    let (gone, bytes) = world.make_room(Some(4096), &[], Vec::new()).await;
    assert_eq!(counts(&gone), (0, 0), "there is room");
    // 3 × 64 of their own and 4 × 128 in the cache, whoever links to them; some for the books.
    assert!((704..900).contains(&(bytes >> 10)), "{}", bytes >> 10);

    let (gone, _) = world.make_room(Some(600), &[], Vec::new()).await;
    assert_eq!(counts(&gone), (1, 1), "{gone:?}");
    assert!(gone.iter().all(|item| item.reason == "cache_budget"));
    assert_eq!(lab.left("environments"), ["new", "old"]);
    assert_eq!(lab.left("cache/archive-v0"), ["newer", "older", "shared"]);
    assert!(store.environment("oldest").await.expect("answered").is_none());

    let (gone, _) = world.make_room(Some(100), &[], Vec::new()).await;
    assert_eq!(counts(&gone), (2, 3), "{gone:?}");
    assert_eq!((lab.left("environments").len(), lab.left("cache/archive-v0").len()), (0, 0));
    assert!(lab.left("discarded").is_empty(), "what is put away is deleted");
}

#[tokio::test]
async fn what_is_in_use_or_was_used_just_now_stays_however_little_room_there_is() {
    let (store, _database) = testing::sqlite().await;
    let world = world_on(store);
    let lab = &world.lab;
    lab.environment("running", &["a"], 500).await;
    lab.environment("just-now", &["b"], 0).await;
    lab.environment("unused", &["c"], 3).await;
    lab.package("nobodys");
    let (gone, left) = world.make_room(Some(1), &["running"], Vec::new()).await;
    assert_eq!(counts(&gone), (1, 2), "{gone:?}");
    assert_eq!(lab.left("environments"), ["just-now", "running"]);
    assert_eq!(lab.left("cache/archive-v0"), ["a", "b"]);
    assert!(left > 1 << 10, "what cannot be helped");
    let survey = lab.environments.survey(None).await.expect("looked at");
    assert_eq!((survey.sealed, survey.must_stay), (2, 2), "nothing is spare when nobody knows what is in use");
}

#[tokio::test]
async fn without_a_limit_nothing_goes_but_what_was_put_away() {
    let (store, _database) = testing::sqlite().await;
    let world = world_on(store);
    let lab = &world.lab;
    lab.environment("old", &["a"], 5000).await;
    for key in ["gone", "mounted"] {
        lab.environment(key, &[], 5000).await;
        lab.put_away(key);
    }
    lab.half_built("half-built");
    let (gone, _) = world.make_room(None, &["mounted"], Vec::new()).await;
    assert!(gone.is_empty(), "{gone:?}");
    assert_eq!(lab.left("environments"), ["old"]);
    let left = lab.left("discarded");
    assert!(left.len() == 1 && left[0].starts_with("mounted-"), "{left:?}");
}

#[tokio::test]
async fn nothing_of_environments_is_deleted_while_somebody_builds() {
    let (store, _database) = testing::sqlite().await;
    let world = world_on(store);
    world.lab.environment("old", &["a"], 5000).await;
    let building = world.lab.building().await;
    assert_eq!(counts(&world.make_room(Some(1), &[], Vec::new()).await.0), (0, 0));
    drop(building);
    assert_eq!(counts(&world.make_room(Some(1), &[], Vec::new()).await.0).0, 1);
}

#[tokio::test]
async fn things_of_other_rooms_take_part_by_their_value() {
    let (store, _database) = testing::sqlite().await;
    let world = world_on(store);
    world.lab.environment("new", &[], 10).await;
    let folder = world.folder.path().join("code");
    fs::create_dir(&folder).expect("folder");
    fs::write(folder.join("main.py"), vec![7; 64 << 10]).expect("file");
    let code = |hours: i64| Candidate {
        spare: budget::Spare { kind: Kind::Code, bytes: 64 << 10, last_used: Millis(NOW.0 - hours * HOUR) },
        name: "code".to_owned(),
        pipeline_name: None,
        how: How::Folder(folder.clone()),
    };
    let (gone, _) = world.make_room(Some(100), &[], vec![code(50)]).await;
    assert_eq!((counts(&gone).0, count(&gone, Kind::Code)), (0, 1), "{gone:?}");
    assert!(!folder.exists());
}

#[tokio::test]
async fn what_would_be_deleted_is_what_is_deleted_and_files_go_along() {
    testing::on_both(async |store| {
        let world = world_on(store);
        let mut runs = Vec::new();
        for hours in [400, 300, 200, 20, 10] {
            runs.push(world.run("etl", Some(hours), 10).await);
        }
        let working = world.run("etl", None, 10).await;
        let alone = world.run("other", Some(500), 10).await;
        let held = world.run("other", Some(501), 10).await;
        world.busy.lock().expect("free").insert(held.parse().expect("an id"));
        let policy = Policy { runs: Some(3), days: Some(10) };

        let planned = world.retention.preview(policy).await.expect("read");
        assert!(!planned.done && planned.items.iter().all(|item| item.kind == "logs"));
        assert!(world.is_there(&runs[0]).await, "a preview deletes nothing");
        let done = world.retention.clean(policy).await.expect("cleaned");
        let names = |cleanup: &Cleanup| {
            cleanup.items.iter().map(|item| (item.name.clone(), item.reason.clone())).collect::<Vec<_>>()
        };
        assert_eq!(names(&planned), names(&done));
        assert_eq!((done.done, planned.runs, done.runs), (true, 3, 3));
        let reason = |id: &String| names(&done).into_iter().find(|(name, _)| name == id).map(|(_, reason)| reason);
        assert_eq!(reason(&runs[0]).as_deref(), Some("count"), "two of five are too many");
        assert_eq!(reason(&runs[1]).as_deref(), Some("count"));
        assert_eq!(reason(&alone).as_deref(), Some("age"));
        for (id, there) in [(&runs[0], false), (&runs[1], false), (&alone, false), (&runs[2], true), (&runs[4], true)] {
            assert_eq!(world.is_there(id).await, there);
        }
        assert!(world.is_there(&working).await, "it has not ended");
        assert!(world.is_there(&held).await, "somebody still works for it");
        assert!(world.store.deleted_runs(10).await.expect("read").is_empty());
        assert_eq!(world.retention.preview(policy).await.expect("read").runs, 0);
    })
    .await;
}

#[tokio::test]
async fn a_deletion_that_was_broken_off_is_finished() {
    testing::on_both(async |store| {
        let world = world_on(store);
        let (gone, kept) = (world.run("etl", Some(9), 10).await, world.run("etl", Some(8), 10).await);
        // The server dies between the row and the file.
        world.store.delete_runs(std::slice::from_ref(&gone), NOW).await.expect("deleted");
        assert!(world.log(&gone).exists());
        assert_eq!(world.retention.finish().await.expect("finished"), 1);
        assert!(!world.log(&gone).exists() && world.is_there(&kept).await);
        // And between the file and the note.
        let gone = world.run("etl", Some(7), 10).await;
        world.store.delete_runs(std::slice::from_ref(&gone), NOW).await.expect("deleted");
        fs::remove_file(world.log(&gone)).expect("removed");
        assert_eq!(world.retention.finish().await.expect("finished"), 1);
        assert!(world.store.deleted_runs(10).await.expect("read").is_empty());
    })
    .await;
}

#[tokio::test]
async fn files_that_belong_to_no_run_go_when_nobody_has_touched_them_for_a_day() {
    let (store, _database) = testing::sqlite().await;
    let world = world_on(store);
    let known = world.run("etl", Some(9), 10).await;
    let (old, young) = (uuid::Uuid::now_v7().to_string(), uuid::Uuid::now_v7().to_string());
    let long_ago = std::time::SystemTime::now() - Duration::from_millis(2 * DAY.unsigned_abs());
    for (id, touched) in [(&known, Some(long_ago)), (&old, Some(long_ago)), (&young, None)] {
        fs::write(world.log(id), "x").expect("write");
        if let Some(touched) = touched {
            fs::File::options().write(true).open(world.log(id)).and_then(|f| f.set_modified(touched)).expect("set");
        }
    }
    assert_eq!(world.retention.sweep_orphans().await.expect("swept"), 1);
    assert!(world.log(&known).exists() && !world.log(&old).exists() && world.log(&young).exists());
}

#[tokio::test]
async fn logs_go_last_and_as_whole_runs() {
    let (store, _database) = testing::sqlite().await;
    let world = world_on(store);
    let (old, new) = (world.run("etl", Some(24 * 300), 50 << 10).await, world.run("etl", Some(48), 50 << 10).await);
    world.lab.environment("unused", &[], 24 * 30).await;
    let census = world.journal.census(10).await.expect("counted");
    assert_eq!((census.logs, census.bytes, census.oldest.len()), (2, 100 << 10, 2));
    assert_eq!(world.journal.census(1).await.expect("counted").oldest.len(), 1);
    let log = |id: &String, hours: i64| Candidate {
        spare: budget::Spare { kind: Kind::Log, bytes: 50 << 10, last_used: Millis(NOW.0 - hours * HOUR) },
        name: id.clone(),
        pipeline_name: None,
        how: How::Run(id.clone()),
    };
    let mut survey = world.lab.environments.survey(Some(&HashSet::new())).await.expect("looked at");
    let mut candidates: Vec<_> = survey.spares.iter().cloned().map(Candidate::of_environments).collect();
    candidates.extend([log(&old, 24 * 300), log(&new, 48)]);
    let mut used = Used::from([(Kind::Environment, survey.environment_bytes), (Kind::Log, 100 << 10)]);
    let limits = Limits { all: Some(budget::total(&used) - (64 << 10) - 1), cache: None };
    let hands = Hands { environments: &world.lab.environments, retention: &world.retention };
    let made = room::make_room(&hands, &mut survey, &mut candidates, &mut used, limits, NOW).await;
    let went: Vec<_> = made.gone.iter().map(|item| (item.kind.as_str(), item.reason.as_str())).collect();
    assert_eq!(went, [("environments", "budget"), ("logs", "budget")]);
    assert!(!world.is_there(&old).await && world.is_there(&new).await);
    assert_eq!(candidates.len(), 1);
}
