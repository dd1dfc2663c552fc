//! Opening, migrating, waiting.

mod backup;
mod jobs;
mod list;
mod million;
mod pipelines;
mod record;
mod retention;
mod runs;
mod slots;
mod sync;
mod upgrade;
mod upkeep;

use std::time::{Duration, Instant};

use sqlx::Row;

use super::testing::{on_both, on_both_with, sqlite};
use super::*;
use crate::domain::clock::Millis;
use crate::domain::run::Event;

/// A run of `pipeline` accepted at `at`, with little else.
fn new_run(id: &str, pipeline: &str, at: i64) -> NewRun {
    NewRun {
        id: id.to_owned(),
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
        created_at: Millis(at),
        code: Code::default(),
        image: None,
        parameters: std::collections::BTreeMap::new(),
        sealed_env: None,
        limits: Limits::default(),
        instance: None,
        owner: None,
    }
}

/// Records `events` at the time `now`.
async fn record(store: &Store, id: &str, events: &[Event], facts: Facts, now: i64) -> Recorded {
    let report = Report { run_id: id, expected: &[], events, facts, knows_stop: true, now: Millis(now) };
    store.record(&report).await.expect("recorded or refused")
}

/// Takes a run from its start to its end; seconds from `start` to `end` in milliseconds.
async fn finish(store: &Store, id: &str, success: bool, start: i64, end: i64) {
    let started = Facts { started_at: Some(Millis(start)), ..Facts::default() };
    assert!(record(store, id, &[Event::Started], started, start).await.applied());
    let ended = Facts { finished_at: Some(Millis(end)), exit_code: Some(i32::from(!success)), ..Facts::default() };
    let event = if success { Event::Succeeded } else { Event::Failed };
    assert!(record(store, id, &[event], ended, end).await.applied());
}

async fn number(store: &Store, statement: &'static str) -> i64 {
    let row = sqlx::query(statement).fetch_one(&store.pool).await.expect("answers");
    row.try_get(0).expect("a number")
}

#[tokio::test]
async fn opening_makes_every_table() {
    on_both(async |store| {
        for statement in [
            "SELECT COUNT(*) FROM pipelines",
            "SELECT COUNT(*) FROM runs",
            "SELECT COUNT(*) FROM users",
            "SELECT COUNT(*) FROM sessions",
            "SELECT COUNT(*) FROM api_tokens",
            "SELECT COUNT(*) FROM audit",
            "SELECT COUNT(*) FROM vault",
            "SELECT COUNT(*) FROM environments",
            "SELECT COUNT(*) FROM scheduled_jobs",
            "SELECT COUNT(*) FROM firings",
            "SELECT COUNT(*) FROM settings",
        ] {
            assert_eq!(number(&store, statement).await, 0, "{statement}");
        }
    })
    .await;
}

#[tokio::test]
async fn opening_twice_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options::sqlite(folder.path().join("a b/c?.db"));
    let first = Store::open(&options).await.expect("opens");
    let second = Store::open(&options).await.expect("opens again");
    assert!(folder.path().join("a b/c?.db").exists());
    assert_eq!(number(&first, "SELECT COUNT(*) FROM runs").await, number(&second, "SELECT COUNT(*) FROM runs").await);
}

#[tokio::test]
async fn a_database_of_a_newer_release_is_refused_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options::sqlite(folder.path().join("x.db"));
    let store = Store::open(&options).await.expect("opens");
    sqlx::query("UPDATE _sqlx_migrations SET version = version + 9000").execute(&store.pool).await.expect("changed");
    let error = Store::open(&options).await.expect_err("must be refused");
    assert!(matches!(&error, StoreError::Migration { .. }), "{error:?}");
    assert!(error.to_string().contains("newer release"), "{error}");
}

#[tokio::test]
async fn every_connection_has_its_pragmas() {
    let (store, _folder) = sqlite().await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut connection = store.pool.acquire().await.expect("a connection");
        for (pragma, expected) in [("PRAGMA foreign_keys", 1), ("PRAGMA synchronous", 1), ("PRAGMA busy_timeout", 5000)]
        {
            let row = sqlx::query(pragma).fetch_one(&mut *connection).await.expect("answers");
            assert_eq!(row.try_get::<i64, _>(0).ok(), Some(expected), "{pragma}");
        }
        let row = sqlx::query("PRAGMA journal_mode").fetch_one(&mut *connection).await.expect("answers");
        assert_eq!(row.try_get::<String, _>(0).ok().as_deref(), Some("wal"));
        held.push(connection);
    }
}

#[tokio::test]
async fn nobody_waits_for_ever_for_a_connection() {
    let quick = |mut options: Options| {
        options.max_connections = 2;
        options.acquire_timeout = Duration::from_millis(200);
        options
    };
    on_both_with(quick, async |store| {
        let _first = store.pool.acquire().await.expect("free");
        let _second = store.pool.acquire().await.expect("free");
        let since = Instant::now();
        let error = store.write().await.err().expect("all are taken");
        assert!(error.is_unavailable(), "{error:?}");
        assert!(since.elapsed() < Duration::from_secs(2));
    })
    .await;
}

#[tokio::test]
async fn a_call_has_a_deadline_and_gives_its_locks_back() {
    let quick = |mut options: Options| {
        options.deadline = Duration::from_millis(300);
        options
    };
    on_both_with(quick, async |store| {
        let error = store
            .within(async {
                let mut tx = store.write().await?;
                sqlx::query("INSERT INTO settings (key, value, updated_at) VALUES ('a', 'b', 1)")
                    .execute(&mut *tx)
                    .await?;
                tokio::time::sleep(Duration::from_secs(60)).await;
                tx.commit().await
            })
            .await
            .expect_err("too slow");
        assert!(error.is_unavailable(), "{error:?}");
        let insert = "INSERT INTO settings (key, value, updated_at) VALUES ('a', 'c', 1)";
        store.execute(sqlx::query(insert)).await.expect("the row was rolled back and nothing is locked");
        let error = store.execute(sqlx::query(insert)).await.expect_err("twice");
        assert!(error.is_conflict(), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable() {
    let mut options = Options::url("postgres://user:secret@127.0.0.1:1/none");
    options.acquire_timeout = Duration::from_millis(500);
    let error = Store::open(&options).await.expect_err("nobody listens there");
    assert!(error.is_unavailable(), "{error:?}");
    assert!(!format!("{error:?}").contains("secret"));
}

/// A prepared statement keeps the types of its first values, so each type must be the same whether or not a value is there.
#[tokio::test]
async fn absent_values_have_the_type_of_present_ones() {
    const SQL: &str = "INSERT INTO environments (key, state, created_at, updated_at, size_bytes, seconds, error) \
        VALUES ($1, 'ready', 1, 1, $2, $3, $4)";
    on_both(async |store| {
        for absent_first in [true, false] {
            // A connection of its own knows no statements yet.
            let mut connection = store.pool.acquire().await.expect("free").detach();
            for absent in [absent_first, !absent_first] {
                sqlx::query(SQL)
                    .bind(format!("{absent_first} {absent}"))
                    .bind((!absent).then_some(1_i64 << 40))
                    .bind(tx::Real((!absent).then_some(0.1)))
                    .bind((!absent).then_some("text"))
                    .execute(&mut connection)
                    .await
                    .expect("inserted");
            }
        }
        let rows = store.environments().await.expect("read");
        let seconds: Vec<_> = rows.iter().map(|row| row.seconds).collect();
        assert_eq!(seconds, [Some(0.1), None, Some(0.1), None]);
    })
    .await;
}

/// The rooms above spawn tasks that call us.
#[tokio::test]
async fn calls_can_move_between_threads() {
    fn check<T: Send>(_: &T) {}
    let (store, _folder) = sqlite().await;
    let run = new_run("a", "etl", 1);
    let filter = RunFilter::default();
    check(&store.runs_page(&filter, RunOrder::NewestFirst, None, 1));
    check(&store.insert_run(&run));
    check(&store.unfinished_runs());
    check(&store.upsert_seen(&[], Millis(1)));
    check(&store.upsert_repository_jobs(&[], &std::collections::BTreeSet::new(), Millis(1)));
    check(&store.delete_runs(&[], Millis(1)));
    check(&store.latest_runs(1));
    check(&Store::open(&Options::sqlite("")));
}
