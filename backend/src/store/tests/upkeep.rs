//! The database itself, retention, settings.

use std::time::Duration;

use super::super::testing::{on_both, sqlite};
use super::super::*;
use super::new_run;
use crate::domain::clock::Millis;

#[tokio::test]
async fn it_answers_is_sound_and_can_be_copied() {
    on_both(async |store| {
        store.insert_run(&new_run("a", "etl", 1)).await.expect("inserted");
        store.ping(Duration::from_secs(5)).await.expect("answers");
        assert_eq!(store.integrity_check().await.expect("checked"), Vec::<String>::new());
        assert!(store.wal_checkpoint().await.expect("moved"));
        store.close().await;
        let error = store.ping(Duration::from_secs(5)).await.expect_err("closed");
        assert!(error.is_unavailable(), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_reader_holds_the_checkpoint_up_but_not_for_ever() {
    let (store, _folder) = sqlite().await;
    store.insert_run(&new_run("a", "etl", 1)).await.expect("inserted");
    let mut reader = store.read().await.expect("begun");
    sqlx::query("SELECT id FROM runs").fetch_all(&mut *reader).await.expect("read");
    store.insert_run(&new_run("b", "etl", 1)).await.expect("inserted");
    assert!(!store.wal_checkpoint().await.expect("answered"));
    drop(reader);
}

#[tokio::test]
async fn the_log_of_sqlite_is_moved_by_size_or_when_it_is_due_and_a_reader_in_the_way_is_told() {
    let (store, _folder) = sqlite().await;
    store.insert_run(&new_run("a", "etl", 1)).await.expect("inserted");
    let left = store.tend_wal(1 << 30, false).await.expect("looked at");
    assert!(left.bytes > 0 && left.moved.is_none(), "{left:?}");
    let moved = store.tend_wal(1 << 30, true).await.expect("looked after");
    assert_eq!((moved.bytes, moved.moved), (0, Some(true)), "it was due");
    store.insert_run(&new_run("b", "etl", 1)).await.expect("inserted");
    assert_eq!(store.tend_wal(1, false).await.expect("looked after").moved, Some(true), "it was too large");
    let mut reader = store.read().await.expect("begun");
    sqlx::query("SELECT id FROM runs").fetch_all(&mut *reader).await.expect("read");
    store.insert_run(&new_run("c", "etl", 1)).await.expect("inserted");
    let stuck = store.tend_wal(1, false).await.expect("answered");
    assert!(stuck.bytes > 0 && stuck.moved == Some(false), "{stuck:?}");
    drop(reader);
}

#[tokio::test]
async fn settings_are_found_by_their_prefix() {
    on_both(async |store| {
        for (key, by) in [("tuning/A", Some("ada")), ("other", None), ("tuning/B", None)] {
            store.put_settings_document(key, Some("1"), by.unwrap_or_default(), Millis(7)).await.expect("written");
        }
        let found = store.settings_of("tuning/").await.expect("read");
        assert_eq!(found.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["tuning/A", "tuning/B"]);
        let StoredSetting { value, updated_at, updated_by, .. } = &found[0];
        assert_eq!((value.as_str(), *updated_at, updated_by.as_deref()), ("1", Millis(7), Some("ada")));
    })
    .await;
}
