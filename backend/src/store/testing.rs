//! Runs a test on SQLite and on PostgreSQL, each with an empty database of its own.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
use uuid::Uuid;

use super::{Options, Store};

/// URL of a PostgreSQL that tests may make schemas in.
const POSTGRES: &str = "FASTFLOW_TEST_POSTGRES_URL";

/// Runs `test` on both databases. Without PostgreSQL it fails: a test that skips half of its work would pass unseen.
pub(crate) async fn on_both(test: impl AsyncFn(Store)) {
    on_both_with(|options| options, test).await;
}

/// The same with other options.
pub(crate) async fn on_both_with(change: impl Fn(Options) -> Options, test: impl AsyncFn(Store)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = change(Options::sqlite(folder.path().join("new folder/test.db")));
    on_one(&options, &test).await;

    let postgres = postgres().await;
    let options = Options { url: postgres.options.url.clone(), ..change(Options::sqlite("")) };
    let outcome = AssertUnwindSafe(on_one(&options, &test)).catch_unwind().await;
    postgres.drop().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// A schema of its own on PostgreSQL, for tests that open it several times.
pub(crate) struct Postgres {
    url: String,
    schema: String,
    options: Options,
}

/// An empty PostgreSQL; call [`Postgres::drop`] at the end.
pub(crate) async fn postgres() -> Postgres {
    let url = std::env::var(POSTGRES)
        .unwrap_or_else(|_| panic!("{POSTGRES} is not set: run the tests by `make test`, which starts a PostgreSQL"));
    let schema = format!("test_{}", Uuid::now_v7().simple());
    on_server(&url, format!("CREATE SCHEMA {schema}")).await;
    let separator = if url.contains('?') { '&' } else { '?' };
    let mut options = Options::sqlite("");
    options.url = Some(format!("{url}{separator}options=-csearch_path%3D{schema}"));
    Postgres { url, schema, options }
}

impl Postgres {
    /// One more server's way to it.
    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.options).await.expect("the database opens")
    }

    /// How to open it.
    pub(crate) fn options(&self) -> Options {
        self.options.clone()
    }

    /// The address of the schema, for another process.
    pub(crate) fn url(&self) -> &str {
        self.options.url.as_deref().unwrap_or_default()
    }

    pub(crate) async fn drop(self) {
        on_server(&self.url, format!("DROP SCHEMA {} CASCADE", self.schema)).await;
    }
}

/// A store on SQLite for tests of the rooms above, which need not know which database it is. Keep the folder.
pub(crate) async fn sqlite() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&Options::sqlite(folder.path().join("test.db"))).await.expect("SQLite opens");
    (store, folder)
}

thread_local! {
    static HOLDS_TIME: Cell<bool> = const { Cell::new(false) };
}

/// From now on, tokio's paused time stands still on this thread while a call of a store is under way: a database works in
/// real time, and hours of the test's time would pass meanwhile.
pub(crate) fn calls_take_no_time() {
    HOLDS_TIME.set(true);
}

/// While it is held, tokio's paused time does not move by itself.
pub(crate) struct Still {
    _over: Option<std::sync::mpsc::Sender<()>>,
}

/// Holds paused time, if this thread wants it so.
pub(super) fn hold_time() -> Still {
    if HOLDS_TIME.get() { still() } else { Still { _over: None } }
}

/// Holds paused time.
pub(crate) fn still() -> Still {
    let (over, wait) = std::sync::mpsc::channel::<()>();
    // Tokio's paused time does not move while a blocking task works.
    tokio::task::spawn_blocking(move || {
        let _ = wait.recv();
    });
    Still { _over: Some(over) }
}

tokio::task_local! {
    /// Where a server of a test crashes within a claim: from there on it does nothing any more.
    pub(crate) static CRASH_AT: &'static str;
}

/// Hangs for ever where the test wants the server to crash; the test drops the task then.
pub(super) async fn crash_point(name: &'static str) {
    if CRASH_AT.try_with(|point| *point == name) == Ok(true) {
        std::future::pending::<()>().await;
    }
}

async fn on_one(options: &Options, test: &impl AsyncFn(Store)) {
    let store = Store::open(options).await.expect("the database opens");
    // Shown only when the test fails.
    println!("-- on {}", store.kind());
    test(store.clone()).await;
    store.close().await;
}

async fn on_server(url: &str, statement: String) {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(url).await.expect("PostgreSQL answers");
    connection.execute(AssertSqlSafe(statement)).await.expect("the schema is made and dropped");
    connection.close().await.expect("the connection closes");
}

impl Store {
    /// Makes the row of a run unreadable, as one of a newer release might be.
    pub(crate) async fn break_run_for_tests(&self, id: &str) {
        let _still = still();
        let update = sqlx::query("UPDATE runs SET trigger_kind = 'new and unknown' WHERE id = $1").bind(id);
        update.execute(&self.pool).await.expect("updated");
    }
}
