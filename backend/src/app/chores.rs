//! The list of periodic chores: what is done, how often, and in which words its result is told.

use std::time::Duration;

use crate::audit::Audit;
use crate::auth::Auth;
use crate::catalog::Catalog;
use crate::cluster::{BEAT, Cluster};
use crate::runs::{Runs, RunsError};
use crate::schedule::Schedule;
use crate::store::{Store, StoreError};
use crate::sync::Sync;
use crate::upkeep::Chore;

/// How long the code of a run is kept after it was last used, for "run again".
const CODE_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long what became of a due time is kept.
const FIRINGS_KEPT: Duration = Duration::from_secs(366 * 24 * 3600);

/// How long a round of the schedules looks, each second and at each due time.
const SCHEDULE_ROUND: Duration = Duration::from_secs(10);

/// Pause between two such rounds: how late a due time may be noticed.
const SCHEDULE_PAUSE: Duration = Duration::from_millis(50);

/// What each server does for itself; everything else is done by the one that leads.
const EVERYWHERE: [&str; 5] = ["servers", "others", "docker", "recover", "sync"];

/// All chores.
#[expect(clippy::too_many_arguments, reason = "each is a room whose chores these are")]
pub fn all(
    auth: &Auth,
    catalog: &Catalog,
    store: &Store,
    runs: &Runs,
    sync: &Sync,
    schedule: &Schedule,
    uv_cache_max_bytes: Option<u64>,
    audit: &Audit,
    audit_kept: Option<Duration>,
    cluster: &Cluster,
) -> Vec<Chore> {
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
                let audit = audit.clone();
                move || {
                    let audit = audit.clone();
                    async move {
                        let purged = match audit_kept {
                            Some(kept) => audit.purge(kept).await?,
                            None => 0,
                        };
                        Ok::<_, StoreError>(format!("{purged} entries deleted"))
                    }
                }
            },
        ),
        Chore::new("code", "Deletes code that no run has used for 30 days.", seconds(3600), {
            let catalog = catalog.clone();
            move || {
                let catalog = catalog.clone();
                async move { catalog.prune_code(CODE_KEPT).await.map(|pruned| format!("{pruned} copies deleted")) }
            }
        }),
        Chore::new(
            "environments",
            "Keeps environments, uv's cache and kept code within UV_CACHE_MAX_MB.",
            seconds(600),
            {
                let sync = sync.clone();
                move || {
                    let sync = sync.clone();
                    async move { sync.tidy(uv_cache_max_bytes).await.map(|pruned| pruned.to_string()) }
                }
            },
        ),
        Chore::new("checkpoint", "Moves SQLite's write-ahead log into the database.", seconds(600), {
            let store = store.clone();
            move || {
                let store = store.clone();
                async move {
                    store.wal_checkpoint().await.map(|whole| {
                        if whole { "all of it moved".to_owned() } else { "readers were in the way".to_owned() }
                    })
                }
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
