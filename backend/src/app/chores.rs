//! The list of periodic chores: what is done, how often, and in which words its result is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::audit::Audit;
use crate::auth::Auth;
use crate::cluster::{BEAT, Cluster};
use crate::domain::size::format_bytes;
use crate::runs::{Runs, RunsError};
use crate::schedule::Schedule;
use crate::settings::{Settings, SettingsError};
use crate::storage::Storage;
use crate::store::{Store, StoreError};
use crate::sync::Sync;
use crate::upkeep::Chore;

/// How long what became of a due time is kept.
const FIRINGS_KEPT: Duration = Duration::from_secs(366 * 24 * 3600);

/// How long a round of the schedules looks, each second and at each due time.
const SCHEDULE_ROUND: Duration = Duration::from_secs(10);

/// Pause between two such rounds: how late a due time may be noticed.
const SCHEDULE_PAUSE: Duration = Duration::from_millis(50);

/// The rooms whose chores these are.
pub struct Rooms {
    /// Sessions.
    pub auth: Auth,
    /// Entries of the audit log.
    pub audit: Audit,
    /// Which server leads.
    pub cluster: Cluster,
    /// Containers, networks and volumes.
    pub runs: Runs,
    /// Due times.
    pub schedule: Schedule,
    /// What was changed elsewhere.
    pub settings: Settings,
    /// What is kept on the disk.
    pub storage: Storage,
    /// SQLite's log.
    pub store: Store,
    /// The code.
    pub sync: Sync,
}

/// What each server does for itself; everything else is done by the one that leads.
const EVERYWHERE: [&str; 7] = ["servers", "others", "docker", "recover", "settings", "storage", "sync"];

/// How often the size of SQLite's write-ahead log is looked at.
const WAL_LOOK: Duration = Duration::from_secs(30);

/// How often it is moved into the database whatever its size.
const WAL_EVERY: Duration = Duration::from_secs(600);

/// All chores.
#[must_use]
pub fn all(rooms: &Rooms) -> Vec<Chore> {
    let Rooms { auth, audit, cluster, runs, schedule, settings, storage, store, sync } = rooms;
    let seconds = Duration::from_secs;
    let all = vec![
        Chore::new("servers", "Says that this server is there, looks who else is, and which one leads.", BEAT, {
            let (cluster, runs) = (cluster.clone(), runs.clone());
            move || {
                let (cluster, runs) = (cluster.clone(), runs.clone());
                async move {
                    let beat = cluster.beat().await?;
                    let others = beat.others;
                    let role = if beat.leads { "this server leads" } else { "another server leads" };
                    // What became nobody's a moment ago does not wait for the next round of `recover`.
                    if beat.changed {
                        let recovery = runs.recover().await?;
                        return Ok::<_, RunsError>(format!("{role}, {others} others; {recovery}"));
                    }
                    Ok(format!("{role}, {others} others"))
                }
            }
        }),
        Chore::new("others", "Takes note of what other servers' runs do, and of what they ask of ours.", seconds(1), {
            let runs = runs.clone();
            move || {
                let runs = runs.clone();
                async move { runs.look_at_others().await.map(|news| format!("{news} changes")) }
            }
        }),
        Chore::new(
            "schedule",
            "Takes over the jobs of the code and starts what is due, at its instant.",
            SCHEDULE_PAUSE,
            {
                let schedule = schedule.clone();
                move || {
                    let schedule = schedule.clone();
                    async move { schedule.tick_for(SCHEDULE_ROUND).await.map(|fired| format!("{fired} runs started")) }
                }
            },
        ),
        Chore::new("firings", "Deletes what is known of due times that passed a year ago.", seconds(3600), {
            let schedule = schedule.clone();
            move || {
                let schedule = schedule.clone();
                async move { schedule.prune(FIRINGS_KEPT).await.map(|pruned| format!("{pruned} entries deleted")) }
            }
        }),
        Chore::new("sync", "Looks for new, changed and removed pipelines.", seconds(5), {
            let sync = sync.clone();
            move || {
                let sync = sync.clone();
                async move { sync.tick().await }
            }
        }),
        Chore::new("docker", "Asks whether Docker answers.", seconds(5), {
            let runs = runs.clone();
            move || {
                let runs = runs.clone();
                async move { runs.ping_docker().await.map(|info| format!("Docker {}", info.engine_version)) }
            }
        }),
        Chore::new("recover", "Matches containers with runs and takes up what nobody watches.", seconds(15), {
            let runs = runs.clone();
            move || {
                let runs = runs.clone();
                async move { runs.recover().await.map(|recovery| recovery.to_string()) }
            }
        }),
        Chore::new("sessions", "Deletes sessions that have ended.", seconds(600), {
            let auth = auth.clone();
            move || {
                let auth = auth.clone();
                async move { auth.purge_expired().await.map(|purged| format!("{purged} sessions deleted")) }
            }
        }),
        Chore::new(
            "audit",
            "Deletes entries of the audit log that are old enough (AUDIT_KEEP_DAYS).",
            seconds(3600),
            {
                let (audit, settings) = (audit.clone(), settings.clone());
                move || {
                    let (audit, kept) = (audit.clone(), settings.tuning().audit_kept);
                    async move {
                        let purged = match kept {
                            Some(kept) => audit.purge(kept).await?,
                            None => 0,
                        };
                        Ok::<_, StoreError>(format!("{purged} entries deleted"))
                    }
                }
            },
        ),
        Chore::new("settings", "Takes over settings that were changed elsewhere.", seconds(10), {
            let settings = settings.clone();
            move || {
                let settings = settings.clone();
                async move {
                    let different = settings.reload().await?;
                    Ok::<_, SettingsError>(if different { "taken over" } else { "nothing new" }.to_owned())
                }
            }
        }),
        Chore::new(
            "cleanup",
            "Deletes runs that LOG_RETENTION_RUNS and LOG_RETENTION_DAYS do not keep, with their files.",
            seconds(3600),
            {
                let storage = storage.clone();
                move || {
                    let storage = storage.clone();
                    async move {
                        storage.clean_up().await.map(|done| {
                            let bytes = u64::try_from(done.log_bytes).unwrap_or(0);
                            format!("{} runs deleted, {}", done.runs, format_bytes(bytes))
                        })
                    }
                }
            },
        )
        .every(|tuning| tuning.cleanup_every)
        .first_after(seconds(60)),
        Chore::new(
            "storage",
            "Measures what is kept and keeps it within UV_CACHE_MAX_MB and DATA_MAX_MB.",
            seconds(600),
            {
                let storage = storage.clone();
                move || {
                    let storage = storage.clone();
                    async move { storage.make_room().await }
                }
            },
        )
        .every(|tuning| tuning.storage_every)
        .first_after(seconds(5)),
        Chore::new(
            "backup",
            "Makes a backup of SQLite when the last one is old enough, and deletes the oldest.",
            seconds(600),
            {
                let storage = storage.clone();
                move || {
                    let storage = storage.clone();
                    async move { storage.back_up_if_due().await }
                }
            },
        )
        .first_after(seconds(120)),
        Chore::new(
            "janitor",
            "Removes volumes and networks in Docker that carry our label and that nobody uses.",
            seconds(3600),
            {
                let runs = runs.clone();
                move || {
                    let runs = runs.clone();
                    async move {
                        let swept = runs.sweep_docker().await;
                        swept.map(|swept| format!("{} volumes and {} networks removed", swept.volumes, swept.networks))
                    }
                }
            },
        )
        .every(|tuning| tuning.janitor_every)
        .first_after(seconds(90)),
        Chore::new("checkpoint", "Moves SQLite's write-ahead log into the database.", WAL_LOOK, {
            let (store, settings) = (store.clone(), settings.clone());
            let last = Arc::new(AtomicU64::new(0));
            move || {
                let (store, most, last) = (store.clone(), settings.tuning().wal_max_bytes, last.clone());
                async move { checkpoint(&store, most, &last).await }
            }
        }),
    ];
    let led = |chore: Chore| {
        if EVERYWHERE.contains(&chore.name()) {
            return chore;
        }
        let cluster = cluster.clone();
        chore.while_ours(move || cluster.leads())
    };
    all.into_iter().map(led).collect()
}

/// Looks after the write-ahead log; `looks` counts since it was last moved.
async fn checkpoint(store: &Store, most: u64, looks: &AtomicU64) -> Result<String, String> {
    let due = looks.fetch_add(1, Ordering::Relaxed) + 1 >= WAL_EVERY.as_secs() / WAL_LOOK.as_secs();
    let wal = store.tend_wal(most, due).await.map_err(|error| error.to_string())?;
    let size = format_bytes(wal.bytes);
    match wal.moved {
        None => Ok(format!("{size} in it")),
        Some(true) => {
            looks.store(0, Ordering::Relaxed);
            Ok("all of it moved".to_owned())
        }
        Some(false) if wal.bytes > most => Err(format!(
            "it has grown to {size}, more than SQLITE_WAL_MAX_MB, and cannot be moved while somebody reads: look for a long \
             export, or for another program that has the database open"
        )),
        Some(false) => Ok(format!("readers were in the way; {size} in it")),
    }
}
