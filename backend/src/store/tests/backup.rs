//! Backups and putting them back.

use super::super::testing::{postgres, sqlite};
use super::super::*;
use super::new_run;

#[tokio::test]
async fn a_backup_is_made_while_others_write_and_holds_what_was_there() {
    let (store, folder) = sqlite().await;
    for number in 1..=20 {
        store.insert_run(&new_run(&format!("run-{number}"), "etl", number)).await.expect("inserted");
    }
    let file = folder.path().join("new folder/a.db");
    let writing = async {
        for number in 21..=60 {
            store.insert_run(&new_run(&format!("run-{number}"), "etl", number)).await.expect("inserted");
        }
    };
    let (backed_up, ()) = tokio::join!(store.back_up(&file), writing);
    assert!(backed_up.expect("written") > 4096);
    let contents = inspect(&file).await.expect("sound");
    assert!((20..=60).contains(&contents.runs), "{contents:?}");
    assert!(matches!(store.back_up(&file).await, Err(BackupError::Exists(_))));
    let names: Vec<_> = std::fs::read_dir(file.parent().expect("a folder")).expect("there").flatten().collect();
    assert_eq!(names.len(), 1, "nothing is left beside it: {names:?}");
}

#[tokio::test]
async fn only_a_sound_backup_that_fits_is_put_back_and_the_old_database_is_kept() {
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name);
    let options = Options::sqlite(path("live.db"));
    let store = Store::open(&options).await.expect("opened");
    store.insert_run(&new_run("a", "etl", 1)).await.expect("inserted");
    back_up(&options, &path("good.db")).await.expect("backed up");
    store.insert_run(&new_run("b", "etl", 1)).await.expect("inserted");

    assert!(matches!(restore(&options, &path("good.db"), true, "1").await, Err(BackupError::InUse(_))));
    store.close().await;
    drop(store);
    assert!(matches!(restore(&options, &path("good.db"), false, "1").await, Err(BackupError::HasData(_))));
    std::fs::write(path("text.db"), "this is no database, not at all, not even a little bit").expect("write");
    std::fs::write(path("cut.db"), {
        let whole = std::fs::read(path("good.db")).expect("read");
        whole[..whole.len() / 2].to_vec()
    })
    .expect("write");
    for wrong in ["text.db", "cut.db"] {
        let error = restore(&options, &path(wrong), true, "1").await.expect_err(wrong);
        assert!(matches!(error, BackupError::Unfit { .. }), "{wrong}: {error}");
    }
    assert!(matches!(restore(&options, &path("none.db"), true, "1").await, Err(BackupError::Io { .. })));
    {
        std::fs::copy(path("good.db"), path("newer.db")).expect("copied");
        let newer = Store::open(&Options::sqlite(path("newer.db"))).await.expect("opened");
        let sql = "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) \
            VALUES (9999, 'later', 0, 1, '', 0)";
        sqlx::query(sql).execute(&newer.pool).await.expect("written");
        newer.wal_checkpoint().await.expect("moved");
        newer.close().await;
    }
    let error = restore(&options, &path("newer.db"), true, "1").await.expect_err("newer");
    assert!(matches!(error, BackupError::TooNew { version: 9999, .. }), "{error}");
    let store = Store::open(&options).await.expect("opened");
    assert!(store.run("b").await.is_ok(), "nothing was changed so far");
    store.close().await;
    drop(store);

    let restored = restore(&options, &path("good.db"), true, "1").await.expect("restored");
    assert_eq!((restored.contents.runs, restored.database.clone()), (1, path("live.db")));
    let kept = Store::open(&Options::sqlite(restored.kept.expect("kept"))).await.expect("opened");
    assert!(kept.run("b").await.is_ok(), "the old one is whole");
    let store = Store::open(&Options { check: true, ..options }).await.expect("opened");
    assert!(store.run("a").await.is_ok() && store.run("b").await.is_err());
}

#[tokio::test]
async fn a_damaged_file_is_told_at_the_start_with_the_way_out() {
    let folder = tempfile::tempdir().expect("folder");
    let options = Options { check: true, ..Options::sqlite(folder.path().join("a.db")) };
    std::fs::write(&options.sqlite_path, "this is no database, not at all, not even a little bit").expect("write");
    let error = Store::open(&options).await.expect_err("damaged");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("fastflow restore"), "{error}");
}

#[tokio::test]
async fn postgresql_is_told_its_own_tools() {
    let postgres = postgres().await;
    let store = postgres.open().await;
    let error = store.back_up(Path::new("/nowhere/a.db")).await.expect_err("refused");
    assert!(matches!(error, BackupError::NotSqlite) && error.to_string().contains("pg_dump"), "{error}");
    store.close().await;
    postgres.drop().await;
}
