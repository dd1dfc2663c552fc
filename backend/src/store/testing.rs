//! Runs a test on SQLite and on PostgreSQL, each with an empty database of its own.

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

    let url = std::env::var(POSTGRES)
        .unwrap_or_else(|_| panic!("{POSTGRES} is not set: run the tests by `make test`, which starts a PostgreSQL"));
    let schema = format!("test_{}", Uuid::now_v7().simple());
    on_server(&url, format!("CREATE SCHEMA {schema}")).await;
    let separator = if url.contains('?') { '&' } else { '?' };
    let mut options = change(Options::sqlite(""));
    options.url = Some(format!("{url}{separator}options=-csearch_path%3D{schema}"));
    let outcome = AssertUnwindSafe(on_one(&options, &test)).catch_unwind().await;
    on_server(&url, format!("DROP SCHEMA {schema} CASCADE")).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// A store on SQLite for tests of the rooms above, which need not know which database it is. Keep the folder.
pub(crate) async fn sqlite() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&Options::sqlite(folder.path().join("test.db"))).await.expect("SQLite opens");
    (store, folder)
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
