//! Which servers there are, which of them leads, and which are dead.
//!
//! Several servers may work on one PostgreSQL, one Docker and one `DATA_DIR`. Any of them serves the API and drives the runs
//! that it accepted; one at a time, the leader, does what must be done once: it fires schedules, syncs by the clock, sweeps,
//! and adopts the runs of servers that died.
//!
//! * **Leading** is a row with an end, taken by compare-and-set and prolonged every few seconds. Who could not prolong it stops
//!   leading by its own clock, before another one can begin.
//! * **Being alive** is a lock on a file in `DATA_DIR/servers`, which the kernel gives back when the process ends, however it
//!   ends. A heartbeat alone would take a server that hangs, or that lost the database for a minute, for a dead one, and two
//!   servers would follow one container. Only where the file is missing does the heartbeat decide.
//!
//! SQLite is one server's: a second one on the same file or the same folder is refused before it touches anything.

mod lock;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;

use crate::domain::clock::{Millis, SharedClock};
use crate::store::{ServerRow, Store, StoreError};
use lock::Held;
pub use lock::{FileLock, Mode};

/// How often a server says that it is there.
pub const BEAT: Duration = Duration::from_secs(3);

/// For how long the leader leads without saying so again, in seconds.
const LEASE_SECONDS: f64 = 15.0;

/// How much earlier the leader itself takes its time for over.
const MARGIN_SECONDS: f64 = 3.0;

/// Silence after which a server whose lock cannot be looked at counts as dead, in seconds.
const SILENCE_SECONDS: f64 = 30.0;

/// How long a dead server is remembered, in seconds.
const FORGET_SECONDS: f64 = 86_400.0;

/// The lease of the leader.
const LEADER: &str = "leader";

/// Why a server may not join.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// Another server works here.
    #[error(
        "another Fast-Flow works on {0}, and SQLite is for one server at a time: stop the other one, give this one another \
         DATA_DIR, or let both use one PostgreSQL (DATABASE_URL)"
    )]
    Taken(PathBuf),
    /// The database belongs to another installation that is alive.
    #[error(
        "the server {host} of the installation {instance} works on this database. Servers of one database share one DATA_DIR \
         (and with it instance, keys, logs and code); give this one that DATA_DIR, or a database of its own"
    )]
    Foreign {
        /// Its installation.
        instance: String,
        /// Its machine.
        host: String,
    },
    /// A lock.
    #[error("the lock {path} cannot be taken: {source}; it needs a file system with locks")]
    Lock {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes the folders that a server writes, before it opens anything in them: alone with SQLite, together with others of the
/// same installation otherwise. Held until dropped.
///
/// # Errors
/// [`ClusterError::Taken`], [`ClusterError::Lock`].
pub fn take_folders<'p>(
    folders: impl IntoIterator<Item = &'p Path>,
    mode: Mode,
) -> Result<Vec<FileLock>, ClusterError> {
    let mut locks = Vec::new();
    for folder in folders {
        let path = folder.join("fastflow.lock");
        match FileLock::try_take(&path, mode) {
            Ok(Some(lock)) => locks.push(lock),
            Ok(None) => return Err(ClusterError::Taken(folder.to_owned())),
            Err(source) => return Err(ClusterError::Lock { path, source }),
        }
    }
    Ok(locks)
}

/// How a server joins.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where servers hold their locks.
    pub folder: PathBuf,
    /// Name of the installation.
    pub instance: String,
    /// Name of this machine.
    pub host: String,
    /// Nobody else can be there (SQLite): this server leads from the beginning and need not say so again and again.
    pub alone: bool,
}

/// What a beat found out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beat {
    /// Whether this server leads now.
    pub leads: bool,
    /// Other servers that live.
    pub others: usize,
    /// Something changed that makes runs nobody's: we lead since now, or a server is gone.
    pub changed: bool,
}

/// The right to do a kind of work that one server does at a time, until dropped.
#[derive(Debug)]
pub struct Turn {
    _lock: Option<FileLock>,
}

/// The handle. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    store: Store,
    clock: SharedClock,
    me: ServerRow,
    /// Until when we lead, by our own clock; 0 when we do not.
    leads_until: AtomicI64,
    others: AtomicUsize,
    /// Servers that lived at the last beat.
    lived: Mutex<HashSet<String>>,
    _alive: FileLock,
}

impl Cluster {
    /// Joins the servers of this database.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn join(options: Options, store: Store, clock: SharedClock) -> Result<Self, ClusterError> {
        let id = uuid::Uuid::now_v7().to_string();
        let path = options.folder.join(format!("{id}.lock"));
        let failed = |source| ClusterError::Lock { path: path.clone(), source };
        let alive = FileLock::try_take(&path, Mode::Alone).map_err(failed)?;
        let alive = alive.ok_or_else(|| failed(std::io::ErrorKind::WouldBlock.into()))?;
        let now = clock.now();
        let me = ServerRow {
            id,
            instance: options.instance.clone(),
            host: options.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: now,
            seen_at: now,
        };
        let inner = Inner {
            options,
            store,
            clock,
            me,
            leads_until: AtomicI64::new(0),
            others: AtomicUsize::new(0),
            lived: Mutex::default(),
            _alive: alive,
        };
        let this = Self { inner: Arc::new(inner) };
        if this.inner.options.alone {
            this.forget_all_others();
            this.inner.leads_until.store(i64::MAX, Ordering::Relaxed);
            return Ok(this);
        }
        let stranger = this
            .inner
            .store
            .servers()
            .await?
            .into_iter()
            .find(|server| this.is_elsewhere(server) && this.lives(Some(server), &server.id));
        if let Some(ServerRow { instance, host, .. }) = stranger {
            return Err(ClusterError::Foreign { instance, host });
        }
        this.beat().await?;
        Ok(this)
    }

    /// A server for tests of other rooms: the only one, leading for ever.
    #[cfg(test)]
    pub(crate) fn alone(store: Store, clock: SharedClock) -> Self {
        let name = || "test".to_owned();
        let me = ServerRow {
            id: name(),
            instance: name(),
            host: name(),
            version: name(),
            started_at: Millis(0),
            seen_at: Millis(0),
        };
        let inner = Inner {
            options: Options { folder: std::env::temp_dir(), instance: name(), host: name(), alone: true },
            store,
            clock,
            me,
            leads_until: AtomicI64::new(i64::MAX),
            others: AtomicUsize::new(0),
            lived: Mutex::default(),
            _alive: FileLock::for_tests(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Id of this server, which owns the runs that it drives.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.me.id
    }

    /// Whether this server does at this moment what one server does.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.inner.clock.now().0 < self.inner.leads_until.load(Ordering::Relaxed)
    }

    /// How many other servers lived at the last beat.
    #[must_use]
    pub fn others(&self) -> usize {
        self.inner.others.load(Ordering::Relaxed)
    }

    /// Says that this server is there, looks who else is, and leads if nobody does.
    ///
    /// # Errors
    /// The database; whoever led goes on until its time is over.
    pub async fn beat(&self) -> Result<Beat, StoreError> {
        let Inner { store, clock, me, options, .. } = &*self.inner;
        if options.alone {
            return Ok(Beat { leads: self.leads(), others: 0, changed: false });
        }
        let now = clock.now();
        store.put_server(&ServerRow { seen_at: now, ..me.clone() }).await?;
        let servers = store.servers().await?;
        let mut living = HashSet::new();
        for server in servers.iter().filter(|server| server.id != me.id) {
            if self.lives(Some(server), &server.id) {
                living.insert(server.id.clone());
            } else if now.seconds_since(server.seen_at) > FORGET_SECONDS {
                store.remove_server(&server.id).await?;
                let _ = std::fs::remove_file(self.lock_of(&server.id));
            }
        }
        let others = living.len();
        self.inner.others.store(others, Ordering::Relaxed);
        let before =
            std::mem::replace(&mut *self.inner.lived.lock().unwrap_or_else(PoisonError::into_inner), living.clone());
        let holder = store.lease_holder(LEADER).await?;
        let dead = holder.filter(|holder| {
            holder != &me.id && !self.lives(servers.iter().find(|server| server.id == *holder), holder)
        });
        let led = self.leads();
        let until = now.plus_seconds(LEASE_SECONDS);
        let leads = store.take_lease(LEADER, &me.id, dead.as_deref(), now, until).await?;
        let own_end = if leads { until.plus_seconds(-MARGIN_SECONDS) } else { Millis(0) };
        self.inner.leads_until.store(own_end.0, Ordering::Relaxed);
        if leads != led {
            let word = if leads { "leads now" } else { "does not lead any more" };
            tracing::info!(server = me.id, others, "this server {word}; {others} others are there");
        }
        let changed = (leads && !led) || before.iter().any(|server| !living.contains(server));
        Ok(Beat { leads, others, changed })
    }

    /// Those of `servers` that are dead: their runs are nobody's.
    ///
    /// # Errors
    /// The database.
    pub async fn dead_among(&self, servers: HashSet<String>) -> Result<HashSet<String>, StoreError> {
        if servers.iter().all(|id| *id == self.inner.me.id) {
            return Ok(HashSet::new());
        }
        let rows = self.inner.store.servers().await?;
        let dead = |id: &String| !self.lives(rows.iter().find(|row| row.id == *id), id);
        Ok(servers.into_iter().filter(dead).collect())
    }

    /// Goes: another server may lead and take what is left.
    pub async fn leave(&self) {
        let Inner { store, me, leads_until, .. } = &*self.inner;
        leads_until.store(0, Ordering::Relaxed);
        let gone = async {
            if self.inner.options.alone {
                return Ok::<_, StoreError>(());
            }
            store.give_lease(LEADER, &me.id).await?;
            store.remove_server(&me.id).await
        };
        // Not told to the others, it is found out: the lock is free in a moment.
        match gone.await {
            Ok(()) => drop(std::fs::remove_file(self.lock_of(&me.id))),
            // The file stays: a server that is in the list without one would be taken for a stranger's.
            Err(error) => tracing::debug!(%error, "the other servers are not told that this one goes: {error}"),
        }
    }

    /// Waits until no other server does this kind of work; `None` when that takes longer than `patience`.
    ///
    /// # Errors
    /// The file system's.
    pub async fn turn(&self, work: &str, patience: Duration) -> std::io::Result<Option<Turn>> {
        if self.inner.options.alone {
            return Ok(Some(Turn { _lock: None }));
        }
        let path = self.inner.options.folder.join(format!("work-{work}.lock"));
        Ok(FileLock::take(&path, Mode::Alone, patience).await?.map(|lock| Turn { _lock: Some(lock) }))
    }

    /// Removes what servers of the past left of their locks.
    fn forget_all_others(&self) {
        let own = self.lock_of(self.id());
        for entry in std::fs::read_dir(&self.inner.options.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path != own && path.extension().is_some_and(|end| end == "lock") {
                let _ = std::fs::remove_file(path);
            }
        }
    }

    fn lives(&self, row: Option<&ServerRow>, id: &str) -> bool {
        if id == self.inner.me.id {
            return true;
        }
        match lock::held(&self.lock_of(id)) {
            Held::Yes => true,
            Held::No => false,
            Held::Unknown => row.is_some_and(|row| self.inner.clock.now().seconds_since(row.seen_at) < SILENCE_SECONDS),
        }
    }

    /// Whether a server works on other folders: it has another name, or its lock is not where ours is.
    fn is_elsewhere(&self, server: &ServerRow) -> bool {
        server.instance != self.inner.me.instance || !self.lock_of(&server.id).exists()
    }

    /// Ids come from the database, and are no paths.
    fn lock_of(&self, id: &str) -> PathBuf {
        let name: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect();
        self.inner.options.folder.join(format!("{name}.lock"))
    }
}
