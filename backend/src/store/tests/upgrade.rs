//! Databases of every schema so far open in this program, with every row intact. See `tests/fixtures/schema/README.md`.

use std::path::{Path, PathBuf};

use fastflow_shared::RunStatus;
use sqlx::migrate::Migrator;

use super::super::testing::postgres;
use super::*;

/// The files of rows, with the schema that each is for.
fn fixtures() -> Vec<(i64, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/schema");
    let mut found: Vec<(i64, PathBuf)> = std::fs::read_dir(folder)
        .expect("the folder of fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "sql"))
        .map(|path| (path.file_stem().and_then(|name| name.to_str()?.parse().ok()).expect("a number"), path))
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(version, path)| (version, std::fs::read_to_string(path).expect("SQL"))).collect()
}

/// Makes a database as a program of that time left it.
async fn make(options: &Options, version: i64) {
    Store::look(options).await.expect("the drivers are installed");
    let target = options.target().expect("settings");
    if let Target::Sqlite { path, .. } = &target {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    }
    let pool = connect(&target, options, 1, session_setup(&target, options)).await.expect("it opens");
    let of_then = MIGRATIONS.iter().filter(|migration| migration.version <= version).cloned().collect();
    Migrator::with_migrations(of_then).run(&pool).await.expect("the migrations of then");
    for (_, sql) in fixtures().into_iter().filter(|(of, _)| *of <= version) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&pool).await.expect("the rows of then");
    }
    pool.close().await;
}

/// What the rows say, read by this program.
async fn check(store: &Store, version: i64) {
    let told = format!("schema {version} on {}", store.kind());
    let run = |n: u8| format!("018bcfe5-6800-7000-8000-00000000000{n}");
    let first = store.run(&run(1)).await.expect(&told);
    assert_eq!((first.status, first.exit_code), (RunStatus::Success, Some(0)), "{told}");
    assert_eq!(first.spec.parameters["DAY"], "1", "{told}");
    assert_eq!(first.spec.limits.memory, Some(536_870_912), "{told}");
    assert_eq!(first.spec.code.commit.as_deref(), Some("abc123"), "{told}");
    assert_eq!(
        (first.started_at, first.finished_at),
        (Some(Millis(1_700_000_001_000)), Some(Millis(1_700_000_004_000)))
    );
    let second = store.run(&run(2)).await.expect(&told);
    assert_eq!(second.retried_by, Some(run(3)), "{told}");
    let (unfinished, broken) = store.unfinished_runs().await.expect(&told);
    assert_eq!(unfinished.iter().map(|row| row.spec.id.clone()).collect::<Vec<_>>(), [run(3)], "{told}");
    assert!(broken.is_empty(), "{told}");

    let pipeline = store.pipeline("etl").await.expect(&told);
    assert_eq!(
        (pipeline.stats.total_runs, pipeline.stats.successful_runs, pipeline.enabled_by_operator),
        (3, 2, false),
        "{told}"
    );
    let users = store.users().await.expect(&told);
    assert_eq!(users.iter().map(|user| user.username.as_str()).collect::<Vec<_>>(), ["Ada"], "{told}");
    assert!(store.session(&"01".repeat(32)).await.expect(&told).is_some(), "{told}");
    let vault = store.vault_rows().await.expect(&told);
    assert_eq!(vault.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["API_KEY", "REGION"], "{told}");
    assert_eq!(store.environment("key1").await.expect(&told).expect("a row").size_bytes, Some(1_048_576), "{told}");
    let jobs = store.jobs().await.expect(&told);
    assert_eq!((jobs.len(), jobs[0].job.trigger_value.as_str()), (1, "0 6 * * *"), "{told}");
    assert_eq!(jobs[0].job.parameters["DAY"], "2", "{told}");
    assert_eq!(store.settings_document("some.setting").await.expect(&told).as_deref(), Some("its value"), "{told}");

    let since = |with: i64, found: bool, what: &str| assert_eq!(found, version >= with, "{what} of {told}");
    since(2, store.syncs(10).await.expect(&told).len() == 1, "the sync");
    since(4, !store.tokens(Some("u1")).await.expect(&told).is_empty(), "the API token");
    since(4, store.token(&"02".repeat(32)).await.expect(&told).is_some(), "its hash");
    since(8, first.warm_at == Some(Millis(1_700_000_000_900)), "the warm start");
    since(11, store.deleted_runs(9).await.expect(&told) == ["018bcfe5-6800-7000-8000-0000000000d1"], "the deleted run");
    since(14, store.servers().await.expect(&told).len() == 1, "the server");
    let slots = number(store, "SELECT COUNT(*) FROM run_slots").await;
    since(22, slots == 1, "the slot");

    // And it can be worked with: the run that waited goes on to its end.
    finish(store, &run(3), true, 1_700_000_300_000, 1_700_000_301_000).await;
    assert_eq!(store.pipeline("etl").await.expect(&told).stats.total_runs, 4, "{told}");
}

#[tokio::test]
async fn a_database_of_every_schema_opens_with_its_rows_intact() {
    for version in MIGRATIONS.iter().map(|migration| migration.version) {
        let folder = tempfile::tempdir().expect("a folder");
        let postgres = postgres().await;
        for options in [Options::sqlite(folder.path().join("old.db")), postgres.options()] {
            make(&options, version).await;
            let before = Store::look(&options).await.expect("it answers");
            assert_eq!(before.applied, Some(version));
            let store = Store::open(&options).await.expect("it opens");
            check(&store, version).await;
            store.close().await;
            let after = Store::look(&options).await.expect("it answers");
            assert_eq!((after.applied, after.damage), (Some(after.newest), Vec::new()));
        }
        postgres.drop().await;
    }
}

/// The previous release still runs on the new schema while a new one is rolled out: what it knows stays where it is.
#[test]
fn migrations_only_add() {
    let mut wrong = Vec::new();
    for migration in MIGRATIONS.iter() {
        let text: String = migration
            .sql
            .as_str()
            .lines()
            .map(|line| line.split("--").next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join(" ");
        for statement in text.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            let words: Vec<_> = statement.split_whitespace().map(str::to_uppercase).collect();
            let adds = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["CREATE", "TABLE" | "INDEX", ..]
                | ["CREATE", "UNIQUE", "INDEX", ..]
                | ["INSERT" | "UPDATE", ..]
                // An index is no fact: one that nothing uses any more may go.
                | ["DROP", "INDEX", ..] => true,
                ["ALTER", "TABLE", _, "ADD", "COLUMN", ..] => {
                    !words.contains(&"NOT".to_owned()) || words.contains(&"DEFAULT".to_owned())
                }
                _ => false,
            };
            if !adds {
                wrong.push(format!("{}: {statement}", migration.version));
            }
        }
    }
    assert!(wrong.is_empty(), "migrations that take something away from the previous release:\n{}", wrong.join("\n"));
}

/// A schema without rows of its time proves nothing later.
#[test]
fn every_schema_that_has_new_tables_or_columns_has_rows() {
    let have: Vec<_> = fixtures().into_iter().map(|(version, _)| version).collect();
    // Only an index.
    let without = [7];
    let lacking: Vec<_> = MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .filter(|version| *version <= 8 || *version == 14)
        .filter(|version| !have.contains(version) && !without.contains(version))
        .collect();
    assert!(lacking.is_empty(), "add tests/fixtures/schema/ files for {lacking:?}");
}
