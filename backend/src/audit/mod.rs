//! Floor 2: the log of who did what, when, from where, and how it ended. Entries are added and read; only their age removes
//! them, and the database itself refuses to change one.
//!
//! Whatever stands in an entry may have been chosen by somebody with bad intentions (the name of a failed login, a user
//! agent, a pipeline's name). It is made harmless once, on its way in ([`text::plain`]): no entry can look like two, and none can
//! be drawn over another one.

mod export;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastflow_shared::{AuditEntry, AuditPage, AuditResult};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::domain::clock::{Millis, SharedClock};
use crate::store::{AuditCursor, AuditRow, Store, StoreError};

pub use crate::store::AuditFilter;
pub use export::Format;

/// What happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// Name of who did it.
    pub actor: String,
    /// The user, when it is one.
    pub actor_id: Option<String>,
    /// With what, see [`AuditEntry::via`].
    pub via: &'static str,
    /// What was done.
    pub action: String,
    /// To what.
    pub target: Option<String>,
    /// How it ended.
    pub result: AuditResult,
    /// HTTP status of the answer.
    pub status: Option<u16>,
    /// Code of the problem.
    pub code: Option<String>,
    /// Address it came from.
    pub ip: Option<String>,
    /// What the client called itself.
    pub user_agent: Option<String>,
    /// Id of the request.
    pub request_id: Option<String>,
    /// More about it, never a secret.
    pub detail: BTreeMap<String, String>,
}

impl Event {
    /// Something that was done, by nobody who came over the network.
    #[must_use]
    pub fn done(actor: impl Into<String>, via: &'static str, action: &str, target: impl Into<String>) -> Self {
        Self {
            actor: actor.into(),
            actor_id: None,
            via,
            action: action.to_owned(),
            target: Some(target.into()),
            result: AuditResult::Ok,
            status: None,
            code: None,
            ip: None,
            user_agent: None,
            request_id: None,
            detail: BTreeMap::new(),
        }
    }
}

/// The log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Audit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: SharedClock,
    /// How many have asked whether an entry can be added.
    asked: AtomicU64,
    tried: Mutex<Tried>,
}

/// Who of those that asked has an answer by an attempt that began after the question.
#[derive(Debug, Default)]
struct Tried {
    well: u64,
    ill: u64,
}

impl Audit {
    /// The log in this database.
    #[must_use]
    pub fn new(store: Store, clock: SharedClock) -> Self {
        Self(Arc::new(Inner { store, clock, asked: AtomicU64::default(), tried: Mutex::default() }))
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// Those of the database; then there is no entry.
    pub async fn record(&self, event: Event) -> Result<(), StoreError> {
        let Inner { store, clock, .. } = &*self.0;
        store.insert_audit(&row(event, clock.now())).await
    }

    /// Whether an entry can be added now: adds one and takes it back, for nothing else tells of a full disk, a table that is
    /// locked, or rights that are gone. Those who ask while an attempt is under way wait for the next one, together.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn is_writable(&self) -> Result<(), StoreError> {
        let Inner { asked, tried, .. } = &*self.0;
        let mine = asked.fetch_add(1, Ordering::SeqCst) + 1;
        {
            let mut tried = tried.lock().await;
            if tried.well >= mine {
                return Ok(());
            }
            if tried.ill < mine {
                let covered = asked.load(Ordering::SeqCst);
                let outcome = self.try_it().await;
                match outcome {
                    Ok(()) => tried.well = covered,
                    Err(_) => tried.ill = covered,
                }
                return outcome;
            }
        }
        // It has just failed for somebody else. Each asks for itself then, so that nobody waits for all others' deadlines.
        self.try_it().await
    }

    async fn try_it(&self) -> Result<(), StoreError> {
        let Inner { store, clock, .. } = &*self.0;
        store.try_audit(&row(Event::done("server", "server", "audit.try", ""), clock.now())).await
    }

    /// One page, latest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn page(
        &self,
        filter: &AuditFilter,
        after: Option<&AuditCursor>,
        limit: u32,
    ) -> Result<AuditPage, StoreError> {
        let page = self.0.store.audit_page(filter, after, limit).await?;
        Ok(AuditPage {
            items: page.rows.into_iter().map(shown).collect(),
            next_cursor: page.next.map(|cursor| format!("{}_{}", cursor.at.0, cursor.id)),
        })
    }

    /// Where a page that was given with this text begins.
    #[must_use]
    pub fn parse_cursor(text: &str) -> Option<AuditCursor> {
        let (time, id) = text.split_once('_')?;
        let plain = !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        Some(AuditCursor { at: Millis(time.parse().ok()?), id: id.to_owned() }).filter(|_| plain)
    }

    /// Removes entries that are older than `keep`. Says how many.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn purge(&self, keep: Duration) -> Result<u64, StoreError> {
        let Inner { store, clock, .. } = &*self.0;
        store.purge_audit(clock.now().plus_seconds(-keep.as_secs_f64())).await
    }
}

fn row(event: Event, at: Millis) -> AuditRow {
    let clean = |value: Option<String>, most| value.map(|value| text::plain(&value, most));
    AuditRow {
        id: Uuid::now_v7().to_string(),
        at,
        actor: text::plain(&event.actor, 100),
        actor_id: event.actor_id,
        via: event.via.to_owned(),
        action: event.action,
        target: clean(event.target, 200),
        result: event.result,
        status: event.status.map(i32::from),
        code: event.code,
        ip: event.ip,
        user_agent: clean(event.user_agent, 200),
        request_id: event.request_id,
        detail: event.detail.into_iter().map(|(name, value)| (name, text::plain(&value, 500))).collect(),
    }
}

fn shown(row: AuditRow) -> AuditEntry {
    AuditEntry {
        id: row.id,
        time: row.at.to_utc(),
        actor: row.actor,
        actor_id: row.actor_id,
        via: row.via,
        action: row.action,
        target: row.target,
        result: row.result,
        status: row.status.and_then(|status| u16::try_from(status).ok()),
        code: row.code,
        ip: row.ip,
        user_agent: row.user_agent,
        request_id: row.request_id,
        detail: row.detail,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;
    use crate::domain::clock::ManualClock;
    use crate::store::testing::sqlite;

    async fn whole(audit: &Audit, format: Format) -> String {
        let pieces: Vec<_> = audit.export(AuditFilter::default(), format).try_collect().await.expect("exports");
        String::from_utf8(pieces.concat()).expect("text")
    }

    /// Who asks after an attempt began may not be answered by it: the disk may have become full since.
    #[tokio::test]
    async fn those_who_ask_together_share_an_attempt_and_nobody_gets_an_old_answer() {
        let (store, _folder) = sqlite().await;
        let audit = Audit::new(store.clone(), Arc::new(ManualClock::at(Millis(1))));
        let ask = async |many: usize| {
            let questions = (0..many).map(|_| {
                let audit = audit.clone();
                tokio::spawn(async move { audit.is_writable().await.is_ok() })
            });
            futures_util::future::join_all(questions).await.into_iter().map(|told| told.expect("no panic")).collect()
        };
        let told: Vec<bool> = ask(50).await;
        assert_eq!(told, [true; 50]);
        let asked = audit.0.asked.load(Ordering::SeqCst);
        assert_eq!((asked, audit.0.tried.lock().await.well), (50, 50));
        assert!(whole(&audit, Format::Jsonl).await.is_empty(), "nothing stays of it");

        store.close().await;
        let told: Vec<bool> = ask(50).await;
        assert_eq!(told, [false; 50], "each by an attempt of its own time");
    }

    #[tokio::test]
    async fn nobody_forges_an_entry() {
        let (store, _folder) = sqlite().await;
        let clock = ManualClock::at(Millis(1_700_000_000_000));
        let audit = Audit::new(store, Arc::new(clock.clone()));
        let forged = "eve\r\n{\"actor\":\"admin\"}\n2026-01-01T00:00:00Z,admin,,session,user.create,eve,ok";
        let mut event = Event::done(forged, "login", "auth.login", "=HYPERLINK(\"http://evil\")\u{202e}");
        event.user_agent = Some(forged.to_owned());
        event.detail.insert("why".to_owned(), forged.to_owned());
        audit.record(event).await.expect("recorded");
        audit.record(Event::done("ute", "session", "run.start", "a,b\"c")).await.expect("recorded");

        clock.advance_seconds(1.0);
        let lines = whole(&audit, Format::Jsonl).await;
        let entries: Vec<AuditEntry> =
            lines.lines().map(|line| serde_json::from_str(line).expect("each line is an entry")).collect();
        assert_eq!(entries.len(), 2, "{lines}");
        assert!(entries[1].actor.starts_with("eve\\u{d}\\u{a}{"), "{:?}", entries[1].actor);
        assert!(entries.iter().all(|entry| entry.actor != "admin"));

        let csv = whole(&audit, Format::Csv).await;
        let rows: Vec<_> = csv.split("\r\n").collect();
        // A heading, two entries, and the end of the last line.
        assert_eq!((rows.len(), rows[3]), (4, ""), "{csv}");
        assert!(rows[1].contains(",\"a,b\"\"c\","), "{}", rows[1]);
        assert!(rows[2].contains(",\"'=HYPERLINK("), "{}", rows[2]);
    }

    #[tokio::test]
    async fn an_export_has_every_entry_once_however_many_there_are() {
        let (store, _folder) = sqlite().await;
        let clock = ManualClock::at(Millis(1_700_000_000_000));
        let audit = Audit::new(store, Arc::new(clock.clone()));
        for n in 0..1203 {
            audit.record(Event::done("ute", "session", "run.start", format!("{n}"))).await.expect("recorded");
            if n % 5 == 0 {
                clock.advance_seconds(1.0);
            }
        }
        clock.advance_seconds(1.0);
        let lines = whole(&audit, Format::Jsonl).await;
        let targets: Vec<_> = lines
            .lines()
            .map(|line| serde_json::from_str::<AuditEntry>(line).expect("an entry").target.unwrap_or_default())
            .collect();
        assert_eq!(targets, (0..1203).rev().map(|n| n.to_string()).collect::<Vec<_>>());
    }
}
