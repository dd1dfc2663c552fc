//! A million stored runs: how long lists, details and the dashboard take, and how long a migration of them takes.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use fastflow_shared::{RunPage, routes};
use fastflow_tests::options::Database;
use fastflow_tests::{Client, Server, place};
use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;
use sqlx::{AnyPool, AssertSqlSafe, Executor};

use crate::fake::{options, pipeline};
use crate::report::{Report, Table, Times, both, seconds};

/// How many, unless `MILLION_RUNS` says otherwise.
const RUNS: i64 = 1_000_000;

/// Requests of each kind.
const ASKED: usize = 50;

/// The schema that the runs are filled into: the one of the first release with parked containers.
const OLD: i64 = 8;

/// A run each second until now, of 50 pipelines; one of them has half of all, one run in a thousand failed.
fn fill(runs: i64, now_ms: i64) -> String {
    let begin = now_ms - runs * 1000;
    format!(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {}) \
         INSERT INTO runs (id, pipeline_name, status, trigger_kind, attempt, max_attempts, created_at, queued_at, \
         started_at, finished_at, exit_code, error_type, code_path, environment_key, image) \
         SELECT '01900000-0000-7000-8000-00000' || CAST(1000000 + i AS TEXT), \
         CASE WHEN i % 2 = 0 THEN 'big' ELSE 'p' || CAST(i % 97 % 48 AS TEXT) END, \
         CASE WHEN i % 1000 = 0 THEN 'FAILED' ELSE 'SUCCESS' END, \
         CASE WHEN i % 3 = 0 THEN 'api' ELSE 'schedule' END, 1, 1, {begin} + i * 1000, {begin} + i * 1000, \
         {begin} + i * 1000 + 10, {begin} + i * 1000 + 10 + i % 5000, CASE WHEN i % 1000 = 0 THEN 1 ELSE 0 END, \
         CASE WHEN i % 1000 = 0 THEN 'exit_code' ELSE NULL END, '/data/code/0123456789abcdef/p', \
         '0123456789abcdef0123456789abcdef', 'worker:1' FROM n",
        runs - 1
    )
}

pub async fn part(report: &mut Report) {
    let runs = std::env::var("MILLION_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(RUNS);
    let mut columns = Vec::new();
    for database in Database::ALL {
        columns.push(measure(database, runs).await);
        println!("   {database:?} done");
    }
    let head = format!("{runs} stored runs, median / p95");
    let mut table = Table::new("million", &[&head, "SQLite", "PostgreSQL"]).note(format!(
        "{ASKED} requests each over HTTP, pages of 50; the migration is from schema {OLD} to the present one."
    ));
    let (sqlite, postgres) = (&columns[0], &columns[1]);
    for ((what, a), (_, b)) in sqlite.iter().zip(postgres) {
        table.row(&[what, a, b]);
    }
    report.add(table);
}

async fn measure(database: Database, runs: i64) -> Vec<(&'static str, String)> {
    // Retention that would delete a tenth of them, looked at and not done: the first round of the chore is a month away.
    let options = options().env("LOG_RETENTION_DAYS", "10").env("CLEANUP_INTERVAL_MINUTES", "43200");
    let mut server = Server::prepare(options.database(database)).await;
    std::fs::create_dir_all(server.data_dir()).expect("a folder");
    pipeline(&server, "big");
    for number in 0..48 {
        pipeline(&server, &format!("p{number}"));
    }
    let url = match database {
        Database::Sqlite => format!("sqlite://{}?mode=rwc", server.data_dir().join("fastflow.db").display()),
        Database::Postgres => server.postgres_url(),
    };
    sqlx::any::install_default_drivers();
    let pool = AnyPoolOptions::new().max_connections(1).connect(&url).await.expect("the database answers");
    if database == Database::Sqlite {
        pool.execute("PRAGMA journal_mode = WAL").await.expect("WAL");
        pool.execute("PRAGMA synchronous = NORMAL").await.expect("quick");
    }
    migrate(&pool, Some(OLD)).await;
    let now = chrono::Utc::now().timestamp_millis();
    pool.execute(sqlx::raw_sql(AssertSqlSafe(fill(runs, now)))).await.expect("filled");
    let seen =
        "INSERT INTO pipelines (name, first_seen_at, last_seen_at) SELECT DISTINCT pipeline_name, 1, 1 FROM runs";
    pool.execute(seen).await.expect("filled");
    pool.execute("ANALYZE").await.expect("analysed");
    let begin = Instant::now();
    migrate(&pool, None).await;
    let migrated = begin.elapsed();
    pool.close().await;
    let begin = Instant::now();
    server.launch().await;
    let started = begin.elapsed();
    let client = server.client();
    let middle = now - runs * 500;
    let cursor = format!("{middle}_zzz");
    let detail = routes::run(&format!("01900000-0000-7000-8000-00000{}", 1_000_000 + runs / 2));
    let page = async |query: &str| ask(client, &format!("{}?limit=50{query}", routes::RUNS)).await;
    let found = vec![
        ("migration", seconds(migrated)),
        ("start of the server on them, to ready", seconds(started)),
        ("list", both(&page("").await)),
        ("filter: a pipeline", both(&page("&pipeline=p7").await)),
        ("filter: failed of the big one", both(&page("&pipeline=big&status=FAILED").await)),
        ("filter: trigger and a day", {
            let day = |back: i64| {
                let at = chrono::DateTime::from_timestamp_millis(now - back * 86_400_000).expect("in range");
                at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
            };
            both(&page(&format!("&trigger=api&from={}&to={}", day(6), day(5))).await)
        }),
        ("longest", both(&page("&order=longest").await)),
        ("shortest of a pipeline", both(&page("&order=shortest&pipeline=p7").await)),
        ("the page in the middle", both(&page(&format!("&cursor={cursor}")).await)),
        ("detail", both(&ask(client, &detail).await)),
        ("dashboard: overview", both(&ask(client, routes::OVERVIEW).await)),
        ("dashboard: pipelines with their latest runs", both(&ask(client, routes::PIPELINES).await)),
        ("dashboard: runs by day", both(&ask(client, routes::RUN_DAYS).await)),
        ("what a cleanup would delete", both(&ask(client, routes::CLEANUP).await)),
    ];
    // A quick answer that is empty would be worth nothing.
    let deep: RunPage = client.fetch(&format!("{}?limit=50&cursor={cursor}", routes::RUNS)).await;
    assert_eq!(deep.items.len(), 50);
    found
}

/// How the PostgreSQL that is measured treats the disk: without that, a figure of it says little.
pub async fn durability(server: &Server) -> String {
    sqlx::any::install_default_drivers();
    let pool = AnyPoolOptions::new().max_connections(1).connect(&server.postgres_url()).await.expect("it answers");
    let sql = "SELECT CAST(setting AS TEXT) FROM pg_settings WHERE name = 'fsync'";
    let fsync: String = sqlx::query_scalar(sql).fetch_one(&pool).await.expect("a setting");
    pool.close().await;
    format!("PostgreSQL on this machine with fsync = {fsync}.")
}

async fn ask(client: &Client, path: &str) -> Times {
    let mut times = Times::default();
    for _ in 0..ASKED {
        let begin = Instant::now();
        let _ = client.get(path).await.expect(200);
        times.push(begin.elapsed());
    }
    times
}

/// Up to that version, or to the present.
pub async fn migrate(pool: &AnyPool, up_to: Option<i64>) {
    let mut migrator = Migrator::new(place::repository().join("migrations")).await.expect("migrations");
    if let Some(last) = up_to {
        let old = migrator.migrations.iter().filter(|migration| migration.version <= last).cloned().collect();
        migrator.migrations = Cow::Owned(old);
    }
    let whole = tokio::time::timeout(Duration::from_secs(600), migrator.run(pool)).await;
    whole.expect("in time").expect("migrated");
}
