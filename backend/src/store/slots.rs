//! Slots of runs while several servers share one limit.

use sqlx::Row as _;

use super::{Store, StoreError};
use crate::domain::clock::Millis;

impl Store {
    /// Lets `owner` begin with a run, unless `most` others work already on all servers together. Says whether it may. One
    /// such question is answered at a time.
    ///
    /// Nothing has to be given back: a slot counts while its run has not begun and belongs to who took it. One that works
    /// counts by its status, and one that has ended, or was taken over and queued again, does not count.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then it may not begin.
    pub async fn take_slot(&self, run: &str, owner: &str, most: usize, now: Millis) -> Result<bool, StoreError> {
        // Until the end of the transaction, and for servers of this schema only.
        const LOCK: &str =
            "SELECT CAST(pg_advisory_xact_lock(hashtext('fastflow.slots.' || current_schema())) AS TEXT)";
        const COUNT: &str = "SELECT COUNT(*) FROM runs WHERE id <> $1 AND (status IN ('RUNNING', 'INTERRUPTED') \
            OR (status = 'PENDING' AND EXISTS \
                (SELECT 1 FROM run_slots s WHERE s.run_id = runs.id AND s.owner = runs.owner)))";
        const TIDY: &str = "DELETE FROM run_slots WHERE NOT EXISTS (SELECT 1 FROM runs \
            WHERE runs.id = run_slots.run_id AND runs.owner = run_slots.owner AND runs.status = 'PENDING')";
        const TAKE: &str = "INSERT INTO run_slots (run_id, owner, taken_at) VALUES ($1, $2, $3) \
            ON CONFLICT (run_id) DO UPDATE SET owner = excluded.owner, taken_at = excluded.taken_at";
        self.within(async {
            let mut tx = self.write().await?;
            if !self.is_sqlite() {
                sqlx::query(LOCK).fetch_one(&mut *tx).await?;
            }
            let working: i64 = sqlx::query(COUNT).bind(run).fetch_one(&mut *tx).await?.try_get(0)?;
            if usize::try_from(working).unwrap_or(usize::MAX) >= most.max(1) {
                return Ok(false);
            }
            sqlx::query(TIDY).execute(&mut *tx).await?;
            sqlx::query(TAKE).bind(run).bind(owner).bind(now.0).execute(&mut *tx).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }
}
