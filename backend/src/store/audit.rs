//! The audit log: entries are added and read, and in the end removed by their age. Nothing here changes one, and the
//! database refuses it even to others ([`guard`]).

use std::collections::BTreeMap;

use fastflow_shared::AuditResult;
use sqlx::any::AnyRow;
use sqlx::{AnyPool, AssertSqlSafe, Executor};

use super::codec::json;
use super::row::Cells;
use super::tx::{Statement, free_text};
use super::users::fold;
use super::{Store, StoreError};
use crate::domain::clock::Millis;

/// Days for which the database itself refuses to delete an entry, whoever asks.
const KEPT_DAYS: i64 = 30;

/// Entries deleted by one statement, so that no transaction is long.
const AT_ONCE: i64 = 5_000;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// UUIDv7.
    pub id: String,
    /// When it happened.
    pub at: Millis,
    /// Name of who did it.
    pub actor: String,
    /// The user, when it is one.
    pub actor_id: Option<String>,
    /// With what.
    pub via: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub target: Option<String>,
    /// How it ended.
    pub result: AuditResult,
    /// HTTP status.
    pub status: Option<i32>,
    /// Code of the problem.
    pub code: Option<String>,
    /// From where.
    pub ip: Option<String>,
    /// What the client called itself.
    pub user_agent: Option<String>,
    /// Id of the request.
    pub request_id: Option<String>,
    /// More about it.
    pub detail: BTreeMap<String, String>,
}

macro_rules! audit_columns {
    () => {
        "id, at, actor, actor_id, via, action, target, result, status, code, ip, user_agent, request_id, detail"
    };
}

impl AuditRow {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let cells = Cells::new(row, "audit", "id");
        Ok(Self {
            id: cells.text("id")?,
            at: cells.time("at")?,
            actor: cells.text("actor")?,
            actor_id: cells.opt_text("actor_id")?,
            via: cells.text("via")?,
            action: cells.text("action")?,
            target: cells.opt_text("target")?,
            result: cells.named("result")?,
            status: cells.opt_small("status")?,
            code: cells.opt_text("code")?,
            ip: cells.opt_text("ip")?,
            user_agent: cells.opt_text("user_agent")?,
            request_id: cells.opt_text("request_id")?,
            detail: cells.json("detail")?,
        })
    }
}

/// Which entries; absent means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Done by somebody of this name, in any case.
    pub actor: Option<String>,
    /// This action, or with a dot at its end all of this area.
    pub action: Option<String>,
    /// With this end.
    pub result: Option<AuditResult>,
    /// Done to this.
    pub target: Option<String>,
    /// At or after this.
    pub from: Option<Millis>,
    /// Before this.
    pub to: Option<Millis>,
}

/// The last entry of a page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditCursor {
    /// When it happened.
    pub at: Millis,
    /// Its id.
    pub id: String,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRows {
    /// The entries, latest first.
    pub rows: Vec<AuditRow>,
    /// Where the next page starts; absent on the last one.
    pub next: Option<AuditCursor>,
}

/// The statement of one combination of filters: made of constants only.
fn page_sql(filter: &AuditFilter) -> String {
    // $1 and $2: where to begin. $3: the earliest time. $4: how many.
    let mut sql = concat!("SELECT ", audit_columns!(), " FROM audit WHERE (at, id) < ($1, $2) AND at >= $3").to_owned();
    let mut next = 5;
    let mut add = |text: &str| {
        sql.push_str(&text.replace('?', &format!("${next}")));
        next += 1;
    };
    if filter.actor.is_some() {
        add(" AND actor_folded = ?");
    }
    if let Some(action) = &filter.action {
        add(if action.ends_with('.') { " AND area = ?" } else { " AND action = ?" });
    }
    if filter.result.is_some() {
        add(" AND result = ?");
    }
    if filter.target.is_some() {
        add(" AND target = ?");
    }
    sql.push_str(" ORDER BY at DESC, id DESC LIMIT $4");
    sql
}

/// The statement that adds an entry.
fn insert(row: &AuditRow) -> Statement<'_> {
    let detail: BTreeMap<_, _> =
        row.detail.iter().map(|(name, value)| (name.as_str(), free_text(Some(value)))).collect();
    sqlx::query(concat!(
        "INSERT INTO audit (actor_folded, area, ",
        audit_columns!(),
        ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
    ))
    .bind(free_text(Some(&fold(&row.actor))))
    .bind(row.action.split('.').next().unwrap_or_default())
    .bind(&row.id)
    .bind(row.at.0)
    .bind(free_text(Some(&row.actor)))
    .bind(&row.actor_id)
    .bind(&row.via)
    .bind(&row.action)
    .bind(free_text(row.target.as_deref()))
    .bind(row.result.as_str())
    .bind(row.status.map(i64::from))
    .bind(&row.code)
    .bind(&row.ip)
    .bind(free_text(row.user_agent.as_deref()))
    .bind(&row.request_id)
    .bind(json(&detail))
}

impl Store {
    /// Adds an entry.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_audit(&self, row: &AuditRow) -> Result<(), StoreError> {
        self.execute(insert(row)).await.map(drop)
    }

    /// Adds an entry and takes it back: whether one can be added now.
    ///
    /// # Errors
    /// [`StoreError`], as adding it would have failed.
    pub async fn try_audit(&self, row: &AuditRow) -> Result<(), StoreError> {
        self.within(async {
            let mut tx = self.write().await?;
            insert(row).execute(&mut *tx).await?;
            Ok(())
        })
        .await
    }

    /// One page, latest first.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] names the row that cannot be read.
    pub async fn audit_page(
        &self,
        filter: &AuditFilter,
        after: Option<&AuditCursor>,
        limit: u32,
    ) -> Result<AuditRows, StoreError> {
        let texts = [&filter.actor, &filter.action, &filter.target];
        // No entry holds such a text, and PostgreSQL refuses to be asked.
        if texts.into_iter().flatten().any(|text| text.contains('\0')) {
            return Ok(AuditRows { rows: Vec::new(), next: None });
        }
        // An id is never empty, so (time, "") lies before every entry of that time.
        let edge = AuditCursor { at: filter.to.unwrap_or(Millis(i64::MAX)), id: String::new() };
        let begin = after.map_or(edge.clone(), |cursor| cursor.clone().min(edge));
        let size = limit.max(1) as usize;
        self.within(async {
            // Safe: made of constants, see `page_sql`.
            let mut query = sqlx::query(AssertSqlSafe(page_sql(filter)))
                .bind(begin.at.0)
                .bind(begin.id)
                .bind(filter.from.unwrap_or(Millis(i64::MIN)).0)
                // One more than asked for tells whether there is a next page.
                .bind(i64::from(limit.max(1)) + 1);
            if let Some(actor) = &filter.actor {
                query = query.bind(fold(actor));
            }
            if let Some(action) = &filter.action {
                query = query.bind(action.strip_suffix('.').unwrap_or(action));
            }
            if let Some(result) = filter.result {
                query = query.bind(result.as_str());
            }
            if let Some(target) = &filter.target {
                query = query.bind(target);
            }
            let rows = query.fetch_all(&self.pool).await?;
            let mut rows: Vec<_> = rows.iter().map(AuditRow::read).collect::<Result<_, _>>()?;
            let more = rows.len() > size;
            rows.truncate(size);
            let next = rows.last().filter(|_| more).map(|row| AuditCursor { at: row.at, id: row.id.clone() });
            Ok(AuditRows { rows, next })
        })
        .await
    }

    /// Removes entries from before `before`. Says how many.
    ///
    /// # Errors
    /// [`StoreError`]; the database refuses entries that are younger than thirty days.
    pub async fn purge_audit(&self, before: Millis) -> Result<u64, StoreError> {
        let mut purged = 0;
        loop {
            let statement = sqlx::query(
                "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 ORDER BY at, id LIMIT $2)",
            );
            let deleted = self.execute(statement.bind(before.0).bind(AT_ONCE)).await?.rows_affected();
            purged += deleted;
            if i64::try_from(deleted).unwrap_or(i64::MAX) < AT_ONCE {
                return Ok(purged);
            }
        }
    }
}

/// Makes the database itself refuse to change an entry, and to delete one that is younger than [`KEPT_DAYS`]: a guard
/// against our own mistakes and against a stolen connection that may write rows but not alter tables.
pub(super) async fn guard(pool: &AnyPool, sqlite: bool) -> Result<(), StoreError> {
    let age = KEPT_DAYS * 86_400_000;
    if sqlite {
        for (name, event, when) in [
            ("audit_keeps", "UPDATE", "1".to_owned()),
            ("audit_stays", "DELETE", format!("OLD.at > CAST(strftime('%s', 'now') AS INTEGER) * 1000 - {age}")),
        ] {
            let sql = format!(
                "CREATE TRIGGER IF NOT EXISTS {name} BEFORE {event} ON audit WHEN {when} \
                 BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            );
            // Safe: made of constants.
            pool.execute(AssertSqlSafe(sql)).await?;
        }
        return Ok(());
    }
    let mut tx = pool.begin().await?;
    // Servers that start together take their turns. The number means nothing.
    tx.execute("SELECT pg_advisory_xact_lock(7240911523)").await?;
    let known =
        "SELECT tgname::text AS name FROM pg_trigger WHERE tgname = 'audit_keeps' AND tgrelid = 'audit'::regclass";
    if tx.fetch_optional(known).await?.is_none() {
        let function = format!(
            "CREATE OR REPLACE FUNCTION audit_keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF TG_OP = 'DELETE' THEN \
               IF OLD.at <= (extract(epoch FROM now()) * 1000)::bigint - {age} THEN RETURN OLD; END IF; \
             END IF; \
             RAISE EXCEPTION 'the audit log is append-only'; END $$"
        );
        tx.execute(AssertSqlSafe(function)).await?;
        for trigger in [
            "CREATE TRIGGER audit_keeps BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_keeps()",
            "CREATE TRIGGER audit_stays BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_keeps()",
        ] {
            tx.execute(trigger).await?;
        }
    }
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::on_both;

    fn entry(id: &str, at: i64, actor: &str, action: &str) -> AuditRow {
        AuditRow {
            id: id.to_owned(),
            at: Millis(at),
            actor: actor.to_owned(),
            actor_id: None,
            via: "session".to_owned(),
            action: action.to_owned(),
            target: Some("etl".to_owned()),
            result: AuditResult::Ok,
            status: Some(201),
            code: None,
            ip: Some("::1".to_owned()),
            user_agent: Some("curl".to_owned()),
            request_id: Some("r".to_owned()),
            detail: BTreeMap::from([("role".to_owned(), "viewer".to_owned())]),
        }
    }

    async fn ids(store: &Store, filter: &AuditFilter, after: Option<&AuditCursor>, limit: u32) -> Vec<String> {
        let page = store.audit_page(filter, after, limit).await.expect("answers");
        page.rows.into_iter().map(|row| row.id).collect()
    }

    #[tokio::test]
    async fn what_is_written_is_read_latest_first_and_in_pages() {
        on_both(async |store| {
            let rows: Vec<_> = (0..5).map(|n| entry(&format!("{n}"), 10 + n / 2, "Ute", "run.start")).collect();
            for row in &rows {
                store.insert_audit(row).await.expect("new");
            }
            let all = AuditFilter::default();
            let first = store.audit_page(&all, None, 2).await.expect("answers");
            assert_eq!(first.rows, [rows[4].clone(), rows[3].clone()]);
            let second = store.audit_page(&all, first.next.as_ref(), 2).await.expect("answers");
            assert_eq!(second.rows, [rows[2].clone(), rows[1].clone()]);
            let third = store.audit_page(&all, second.next.as_ref(), 2).await.expect("answers");
            assert_eq!((third.rows.as_slice(), third.next), (&rows[..1], None));
        })
        .await;
    }

    #[tokio::test]
    async fn every_filter_finds_its_own() {
        on_both(async |store| {
            let denied = AuditRow { result: AuditResult::Denied, target: None, ..entry("4", 4, "uwe", "user.create") };
            for row in [
                &entry("1", 1, "Ünal", "run.start"),
                &entry("2", 2, "uwe", "run.cancel"),
                &entry("3", 3, "uwe", "runs"),
                &denied,
            ] {
                store.insert_audit(row).await.expect("new");
            }
            let text = |text: &str| Some(text.to_owned());
            let none = AuditFilter::default();
            for (filter, expected) in [
                (AuditFilter { actor: text("ÜNAL"), ..none.clone() }, vec!["1"]),
                (AuditFilter { action: text("run."), ..none.clone() }, vec!["2", "1"]),
                (AuditFilter { action: text("run.start"), ..none.clone() }, vec!["1"]),
                (AuditFilter { action: text("%"), ..none.clone() }, vec![]),
                (AuditFilter { result: Some(AuditResult::Denied), ..none.clone() }, vec!["4"]),
                (AuditFilter { target: text("etl"), actor: text("uwe"), ..none.clone() }, vec!["3", "2"]),
                (AuditFilter { from: Some(Millis(2)), to: Some(Millis(4)), ..none.clone() }, vec!["3", "2"]),
                (AuditFilter { actor: text("a\0"), ..none.clone() }, vec![]),
            ] {
                assert_eq!(ids(&store, &filter, None, 9).await, expected, "{filter:?}");
            }
        })
        .await;
    }

    #[tokio::test]
    async fn the_database_refuses_to_forget_or_change() {
        on_both(async |store| {
            let now = Millis::from(chrono::Utc::now());
            let days = |days: f64| now.plus_seconds(-days * 86_400.0).0;
            store.insert_audit(&entry("young", days(29.0), "ute", "run.start")).await.expect("new");
            store.insert_audit(&entry("old", days(31.0), "ute", "run.start")).await.expect("new");
            for sql in [
                "UPDATE audit SET actor = 'x' WHERE id = 'old'",
                "DELETE FROM audit WHERE id = 'young'",
                "DELETE FROM audit",
            ] {
                let error = store.execute(sqlx::query(sql)).await.expect_err("must be refused");
                assert!(format!("{error:?}").contains("append-only"), "{error:?}");
            }
            if !store.is_sqlite() {
                assert!(store.execute(sqlx::query("TRUNCATE audit")).await.is_err());
            }
            assert_eq!(
                store.purge_audit(now).await.map_err(|error| format!("{error:?}").contains("append-only")),
                Err(true)
            );
            assert_eq!(ids(&store, &AuditFilter::default(), None, 9).await, ["young", "old"]);
            assert_eq!(store.purge_audit(Millis(days(30.0))).await.expect("old enough"), 1);
            assert_eq!(ids(&store, &AuditFilter::default(), None, 9).await, ["young"]);
        })
        .await;
    }

    #[tokio::test]
    async fn text_that_a_database_cannot_hold_does_not_keep_an_entry_out() {
        on_both(async |store| {
            let odd = AuditRow {
                user_agent: Some("\0".to_owned()),
                detail: BTreeMap::from([("x".to_owned(), "a\0b".to_owned())]),
                ..entry("1", 1, "nul\0", "auth.login")
            };
            store.insert_audit(&odd).await.expect("stored all the same");
            let found = store.audit_page(&AuditFilter::default(), None, 1).await.expect("answers").rows;
            assert_eq!((found[0].actor.as_str(), found[0].detail["x"].as_str()), ("nul\u{fffd}", "a\u{fffd}b"));
        })
        .await;
    }
}
