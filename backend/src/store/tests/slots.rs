//! One limit for several servers.

use super::super::testing::{on_both, postgres};
use super::super::*;
use super::{finish, new_run};
use crate::domain::clock::Millis;

async fn insert(store: &Store, id: &str, owner: &str) {
    store.insert_run(&NewRun { owner: Some(owner.to_owned()), ..new_run(id, "etl", 1) }).await.expect("inserted");
}

#[tokio::test]
async fn runs_of_all_servers_count_until_they_end_or_are_queued_again_elsewhere() {
    on_both(async |store| {
        for (id, owner) in [("a", "one"), ("b", "two"), ("c", "one"), ("d", "two")] {
            insert(&store, id, owner).await;
        }
        let take =
            async |id: &str, owner: &str, most| store.take_slot(id, owner, most, Millis(5)).await.expect("asked");
        assert!(take("a", "one", 2).await && take("b", "two", 2).await);
        assert!(!take("c", "one", 2).await, "both are taken");
        assert!(take("a", "one", 2).await, "a run does not stand in its own way");
        assert!(take("c", "one", 3).await, "the limit was raised");
        assert!(!take("d", "two", 3).await);
        // Its server has died and another one has put it into its queue: it has to ask again.
        assert!(store.take_run("c", Some("one"), "two").await.expect("taken over"));
        assert!(take("d", "two", 3).await);
        assert!(!take("c", "two", 3).await);
        finish(&store, "a", true, 10, 20).await;
        assert!(take("c", "two", 3).await, "one has ended");
    })
    .await;
}

/// Four servers ask for five slots with forty runs at the same moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_ask_at_once_no_more_than_the_limit_may_begin() {
    let postgres = postgres().await;
    let mut servers = Vec::new();
    for _ in 0..4 {
        servers.push(postgres.open().await);
    }
    for n in 0..40 {
        insert(&servers[0], &format!("run-{n}"), &format!("server-{}", n % 4)).await;
    }
    let asked = (0..40).map(|n| {
        let store = servers[n % 4].clone();
        tokio::spawn(async move {
            store.take_slot(&format!("run-{n}"), &format!("server-{}", n % 4), 5, Millis(5)).await.expect("asked")
        })
    });
    let asked: Vec<_> = asked.collect();
    let mut begun = 0;
    for answer in asked {
        begun += usize::from(answer.await.expect("no panic"));
    }
    assert_eq!(begun, 5);
    for store in servers {
        store.close().await;
    }
    postgres.drop().await;
}
