//! Several servers on one database: who is there, who leads, and which of them drives a run.

use fastflow_shared::RunStatus;

use super::codec::StoredStop;
use super::row::Cells;
use super::{Store, StoreError};
use crate::domain::clock::Millis;
use crate::domain::outcome::StopReason;

/// Most runs of other servers that are looked at in one go.
const MOST: i64 = 5_000;

/// A server, as it told of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerRow {
    /// Id of this start of the process.
    pub id: String,
    /// Name of the installation.
    pub instance: String,
    /// Name of its machine, or container.
    pub host: String,
    /// Its version.
    pub version: String,
    /// When it was started.
    pub started_at: Millis,
    /// When it last said that it is there.
    pub seen_at: Millis,
}

/// A run that another server drives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OthersRun {
    /// Its id.
    pub id: String,
    /// Its pipeline.
    pub pipeline_name: String,
    /// Its status.
    pub status: RunStatus,
}

impl Store {
    /// Says that a server is there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn put_server(&self, server: &ServerRow) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO servers (id, instance, host, version, started_at, seen_at) \
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at";
        let ServerRow { id, instance, host, version, started_at, seen_at } = server;
        let insert = sqlx::query(SQL).bind(id).bind(instance).bind(host).bind(version);
        self.execute(insert.bind(started_at.0).bind(seen_at.0)).await.map(drop)
    }

    /// Forgets a server.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn remove_server(&self, id: &str) -> Result<(), StoreError> {
        self.execute(sqlx::query("DELETE FROM servers WHERE id = $1").bind(id)).await.map(drop)
    }

    /// All servers that have not been forgotten.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn servers(&self) -> Result<Vec<ServerRow>, StoreError> {
        const SQL: &str = "SELECT id, instance, host, version, started_at, seen_at FROM servers ORDER BY id";
        self.within(async {
            let rows = sqlx::query(SQL).fetch_all(&self.pool).await?;
            let read = |row| {
                let cells = Cells::new(row, "servers", "id");
                Ok(ServerRow {
                    id: cells.text("id")?,
                    instance: cells.text("instance")?,
                    host: cells.text("host")?,
                    version: cells.text("version")?,
                    started_at: cells.time("started_at")?,
                    seen_at: cells.time("seen_at")?,
                })
            };
            rows.iter().map(read).collect()
        })
        .await
    }

    /// Takes or prolongs a lease until `until`: when nobody has it, `holder` has it, its time is over, or its holder is
    /// `dead`. One statement, so of two who try one has it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then it is not known who has it.
    pub async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        dead: Option<&str>,
        now: Millis,
        until: Millis,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "INSERT INTO leases (name, holder, until_at) VALUES ($1, $2, $3) \
            ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_at = excluded.until_at \
            WHERE leases.holder = excluded.holder OR leases.until_at <= $4 OR leases.holder = $5";
        let take = sqlx::query(SQL).bind(name).bind(holder).bind(until.0).bind(now.0).bind(dead.unwrap_or_default());
        Ok(self.execute(take).await?.rows_affected() == 1)
    }

    /// Who has a lease, whether or not its time is over.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn lease_holder(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.within(async {
            let query = sqlx::query("SELECT name, holder FROM leases WHERE name = $1").bind(name);
            let row = query.fetch_optional(&self.pool).await?;
            row.map(|row| Cells::new(&row, "leases", "name").text("holder")).transpose()
        })
        .await
    }

    /// Gives a lease back before its time.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn give_lease(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        let give = sqlx::query("DELETE FROM leases WHERE name = $1 AND holder = $2").bind(name).bind(holder);
        self.execute(give).await.map(drop)
    }

    /// Makes `to` the server that drives a run, unless another one than `from` does by now. Says whether it is.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn take_run(&self, id: &str, from: Option<&str>, to: &str) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE runs SET owner = $3 WHERE id = $1 AND COALESCE(owner, '') = $2 \
            AND status NOT IN ('SUCCESS', 'FAILED')";
        let take = sqlx::query(SQL).bind(id).bind(from.unwrap_or_default()).bind(to);
        Ok(self.execute(take).await?.rows_affected() == 1)
    }

    /// Runs of `owner` that are to stop and have not ended, with the reason: another server may have stored it.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn stops_of(&self, owner: &str) -> Result<Vec<(String, StopReason)>, StoreError> {
        const SQL: &str = "SELECT id, stop_reason FROM runs WHERE owner = $1 \
            AND status IN ('PENDING', 'RUNNING', 'INTERRUPTED') AND stop_reason IS NOT NULL LIMIT $2";
        self.within(async {
            let rows = sqlx::query(SQL).bind(owner).bind(MOST).fetch_all(&self.pool).await?;
            let mut found = Vec::new();
            for row in &rows {
                let cells = Cells::new(row, "runs", "id");
                if let Some(reason) = cells.opt_json::<StoredStop>("stop_reason")? {
                    found.push((cells.text("id")?, reason.into()));
                }
            }
            Ok(found)
        })
        .await
    }

    /// Runs that other servers than `owner` drive, or have ended since `since`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub async fn runs_of_others(&self, owner: &str, since: Millis) -> Result<Vec<OthersRun>, StoreError> {
        const ACTIVE: &str = "SELECT id, pipeline_name, status FROM runs \
            WHERE status IN ('PENDING', 'RUNNING', 'INTERRUPTED') AND COALESCE(owner, '') <> $1 \
            ORDER BY created_at DESC, id DESC LIMIT $2";
        // Begun by the index of times: a run that ended just now and began long ago was among the active ones before.
        const ENDED: &str = "SELECT id, pipeline_name, status FROM runs \
            WHERE status IN ('SUCCESS', 'FAILED') AND finished_at >= $2 AND created_at >= $3 \
            AND COALESCE(owner, '') <> $1 ORDER BY created_at DESC, id DESC LIMIT $4";
        let long_ago = since.plus_seconds(-3600.0);
        self.within(async {
            let mut rows = sqlx::query(ACTIVE).bind(owner).bind(MOST).fetch_all(&self.pool).await?;
            let ended = sqlx::query(ENDED).bind(owner).bind(since.0).bind(long_ago.0).bind(MOST);
            rows.extend(ended.fetch_all(&self.pool).await?);
            let read = |row| {
                let cells = Cells::new(row, "runs", "id");
                let (id, pipeline_name) = (cells.text("id")?, cells.text("pipeline_name")?);
                Ok(OthersRun { id, pipeline_name, status: cells.named("status")? })
            };
            rows.iter().map(read).collect()
        })
        .await
    }
}
