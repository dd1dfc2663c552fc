//! A schema of its own for each server, in the PostgreSQL of the tests.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::place;

/// A schema that is dropped with the value.
#[derive(Debug)]
pub struct Schema {
    name: String,
    server: String,
}

impl Schema {
    /// Makes the schema of an instance.
    ///
    /// # Panics
    /// When the PostgreSQL of the tests is missing.
    pub async fn create(instance: &str) -> Self {
        let schema = Self { name: instance.replace('-', "_"), server: place::service("FASTFLOW_TEST_POSTGRES_URL") };
        let name = &schema.name;
        run(&schema.server, format!("DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}"))
            .await
            .expect("the PostgreSQL of the tests takes a new schema");
        schema
    }

    /// Address of the schema, as an operator would set it.
    #[must_use]
    pub fn url(&self) -> String {
        let joint = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{joint}options=-csearch_path%3D{}", self.server, self.name)
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let sql = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name);
        let server = self.server.clone();
        // A thread, because the story's own runtime cannot be waited for in here.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(run(&server, sql)))
        });
        let _ = dropped.join();
    }
}

/// Every row of every table of the schema that this address leads to, as text.
///
/// # Panics
/// When it cannot be read.
pub async fn rows(url: &str) -> Vec<(String, Vec<String>)> {
    let mut connection = PgConnection::connect(url).await.expect("PostgreSQL answers");
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.expect("its tables");
    let mut all = Vec::new();
    for table in tables {
        let rows = format!("SELECT t::text FROM {table} t");
        let rows = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut connection).await.expect("its rows");
        all.push((table, rows));
    }
    connection.close().await.expect("closed");
    all
}

async fn run(server: &str, sql: String) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(server).await?;
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    connection.close().await
}
