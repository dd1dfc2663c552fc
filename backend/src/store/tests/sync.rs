//! Syncs, deliveries and settings, on both databases.

use fastflow_shared::{SyncRecord, SyncResult};

use crate::domain::clock::Millis;
use crate::store::testing::on_both;

fn record(id: &str, second: i64) -> SyncRecord {
    SyncRecord {
        id: id.to_owned(),
        trigger: "manual".to_owned(),
        triggered_by: Some("ada".to_owned()),
        branch: "main".to_owned(),
        started_at: Millis(second * 1000).to_utc(),
        finished_at: None,
        result: SyncResult::Running,
        commit_before: None,
        commit: None,
        commit_subject: None,
        commit_author: None,
        error_code: None,
        error_message: None,
        added: 0,
        changed: 0,
        removed: 0,
    }
}

#[tokio::test]
async fn syncs_are_kept_newest_first_and_not_for_ever() {
    on_both(async |store| {
        for number in 0..510 {
            store.put_sync(&record(&format!("{number:04}"), number), "").await.expect("stored");
        }
        let first = store.syncs(3).await.expect("read");
        assert_eq!(first.iter().map(|sync| sync.id.as_str()).collect::<Vec<_>>(), ["0509", "0508", "0507"]);
        assert_eq!(store.syncs(1000).await.expect("read").len(), 500);

        let ended = SyncRecord {
            finished_at: Some(Millis(999_000).to_utc()),
            result: SyncResult::Switched,
            commit_subject: Some("a\0b".to_owned()),
            added: 3,
            ..record("0509", 509)
        };
        store.put_sync(&ended, "one\ntwo\n").await.expect("stored again");
        let found = store.syncs(1).await.expect("read").remove(0);
        assert_eq!((found.result, found.added), (SyncResult::Switched, 3));
        assert_eq!(found.commit_subject.as_deref(), Some("a\u{fffd}b"));
        assert_eq!(store.sync_log("0509").await.expect("read"), "one\ntwo\n");
        assert!(store.sync_log("none\0").await.expect_err("none").is_not_found());

        assert_eq!(store.end_broken_syncs(Millis(5), "crashed").await.expect("ended"), 499);
        assert!(store.syncs(1000).await.expect("read").iter().all(|sync| sync.result != SyncResult::Running));
    })
    .await;
}

#[tokio::test]
async fn a_delivery_counts_once_by_whichever_name() {
    on_both(async |store| {
        let take = async |names: &[&str], now| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            store.take_delivery(&names, Millis(now), Millis(now - 100)).await.expect("taken")
        };
        assert!(take(&["id-1", "sig-1"], 1000).await);
        assert!(!take(&["id-1", "sig-1"], 1001).await);
        assert!(!take(&["id-2", "sig-1"], 1002).await, "the same body under another id");
        assert!(!take(&["id-1", "sig-3"], 1003).await);
        assert!(take(&["id-1"], 2000).await, "forgotten after its time");
    })
    .await;
}

#[tokio::test]
async fn a_document_of_settings_is_put_read_and_forgotten() {
    on_both(async |store| {
        assert_eq!(store.settings_document("sync").await.expect("read"), None);
        for value in ["a", "b"] {
            store.put_settings_document("sync", Some(value), "ada", Millis(1)).await.expect("put");
            assert_eq!(store.settings_document("sync").await.expect("read").as_deref(), Some(value));
        }
        store.put_settings_document("sync", None, "ada", Millis(2)).await.expect("forgotten");
        assert_eq!(store.settings_document("sync").await.expect("read"), None);
    })
    .await;
}
