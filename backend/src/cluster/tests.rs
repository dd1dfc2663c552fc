//! Two servers in one process: each holds its own lock, as two processes would.

use super::*;
use crate::domain::clock::{Clock as _, ManualClock};
use crate::store::testing;

struct World {
    store: Store,
    clock: Arc<ManualClock>,
    folder: tempfile::TempDir,
}

impl World {
    async fn on(store: Store) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { store, clock: Arc::new(ManualClock::at(Millis(1_000_000))), folder }
    }

    async fn try_join(&self, instance: &str) -> Result<Cluster, ClusterError> {
        let options = Options {
            folder: self.folder.path().join("servers"),
            instance: instance.to_owned(),
            host: format!("host of {instance}"),
            alone: false,
        };
        Cluster::join(options, self.store.clone(), self.clock.clone()).await
    }

    async fn join(&self) -> Cluster {
        self.try_join("house").await.expect("it may join")
    }

    fn pass(&self, seconds: f64) {
        self.clock.set(self.clock.now().plus_seconds(seconds));
    }
}

async fn beats(server: &Cluster) -> Beat {
    server.beat().await.expect("the database answers")
}

#[tokio::test]
async fn one_leads_and_another_one_follows_when_it_is_gone() {
    testing::on_both(async |store| {
        let world = World::on(store).await;
        let (first, second) = (world.join().await, world.join().await);
        assert!(first.leads() && !second.leads());
        assert_eq!((first.others(), second.others()), (0, 1));
        for _ in 0..10 {
            world.pass(3.0);
            assert!(beats(&first).await.leads && !beats(&second).await.leads);
        }
        assert_eq!(first.others(), 1);
        // As a kill does it: nothing is told, the kernel gives the lock back.
        let gone = first.id().to_owned();
        drop(first);
        assert_eq!(beats(&second).await, Beat { leads: true, others: 0, changed: true });
        assert_eq!(beats(&second).await, Beat { leads: true, others: 0, changed: false });
        let asked = HashSet::from([gone.clone(), second.id().to_owned(), "nobody ever".to_owned()]);
        let dead = second.dead_among(asked).await.expect("answered");
        assert_eq!(dead, HashSet::from([gone, "nobody ever".to_owned()]));
    })
    .await;
}

#[tokio::test]
async fn a_leader_that_hangs_stops_leading_by_its_own_clock_before_another_one_begins() {
    testing::on_both(async |store| {
        let world = World::on(store).await;
        let (first, second) = (world.join().await, world.join().await);
        world.pass(11.0);
        assert!(first.leads() && !beats(&second).await.leads);
        world.pass(1.5);
        assert!(!first.leads(), "its own end comes first");
        assert!(!beats(&second).await.leads, "and for a moment nobody leads");
        world.pass(3.0);
        assert!(beats(&second).await.leads && !first.leads());
        assert!(!beats(&first).await.leads, "it comes back and follows");
        // It hangs, but it lives: its runs are its own, however long it is silent.
        world.pass(3600.0);
        let asked = HashSet::from([first.id().to_owned()]);
        assert!(second.dead_among(asked).await.expect("answered").is_empty());
    })
    .await;
}

#[tokio::test]
async fn who_goes_in_order_leaves_at_once() {
    testing::on_both(async |store| {
        let world = World::on(store).await;
        let (first, second) = (world.join().await, world.join().await);
        first.leave().await;
        assert!(!first.leads());
        assert!(beats(&second).await.leads);
        assert_eq!(world.store.servers().await.expect("rows").len(), 1);
        assert!(!second.dead_among(HashSet::from([first.id().to_owned()])).await.expect("answered").is_empty());
    })
    .await;
}

#[tokio::test]
async fn another_installation_is_refused_while_one_lives() {
    testing::on_both(async |store| {
        let world = World::on(store).await;
        let first = world.join().await;
        let error = world.try_join("garden").await.err().expect("refused").to_string();
        assert!(error.contains("host of house") && error.contains("DATA_DIR"), "{error}");
        drop(first);
        world.try_join("garden").await.expect("nobody else is there");
    })
    .await;
}

#[tokio::test]
async fn where_locks_cannot_be_looked_at_the_heartbeat_decides() {
    let (store, _kept) = testing::sqlite().await;
    let world = World::on(store).await;
    let (first, second) = (world.join().await, world.join().await);
    std::fs::remove_file(first.lock_of(first.id())).expect("removed");
    world.pass(29.0);
    let asked = || HashSet::from([first.id().to_owned()]);
    assert!(second.dead_among(asked()).await.expect("answered").is_empty());
    world.pass(2.0);
    assert_eq!(second.dead_among(asked()).await.expect("answered"), asked());
}

#[test]
fn a_folder_is_one_sqlite_servers_or_many_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let take = |mode| take_folders([folder.path()], mode);
    let alone = take(Mode::Alone).expect("free");
    for mode in [Mode::Alone, Mode::Shared] {
        let error = take(mode).expect_err("taken").to_string();
        assert!(error.contains("DATABASE_URL"), "{error}");
    }
    drop(alone);
    let _many = (take(Mode::Shared).expect("free"), take(Mode::Shared).expect("shared"));
    assert!(take(Mode::Alone).is_err());
}
