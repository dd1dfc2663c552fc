//! Floor 6: what is kept on the disk. Retention, the byte budget over everything, and backups, as one mechanism: each room
//! below says what it has and what of it may go, here it is weighed and let go.
//!
//! ```text
//! retention   runs beyond LOG_RETENTION_RUNS and LOG_RETENTION_DAYS, with their files
//! room        what is beyond UV_CACHE_MAX_MB and DATA_MAX_MB, the most dispensable first
//! backups     copies of the SQLite database, by schedule and by hand
//! ```

mod backups;
mod retention;
mod room;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastflow_shared::{Backup, Cleanup, Storage as Report, StorageItem, StoragePart};
use thiserror::Error;

use crate::catalog::{Catalog, CatalogError};
use crate::domain::budget::{self, Kind, Limits, Used};
use crate::domain::clock::{Millis, SharedClock};
use crate::domain::retention::Policy;
use crate::domain::size::format_bytes;
use crate::environments::{EnvironmentError, Environments, share};
use crate::journal::{Journal, JournalError};
use crate::runs::{Disk, Runs};
use crate::settings::Settings;
use crate::store::{BackupError, Store, StoreError};
use crate::sync::Sync;

pub use retention::Retention;
use room::{Candidate, Hands, How};

/// Runs whose files are weighed in one pass: those that began first.
const WEIGHED_RUNS: usize = 2000;

/// A run that ended within so many seconds is kept whatever the budget says: somebody may be looking at it.
const RECENT_SECONDS: f64 = 3600.0;

/// How long the code of a run is kept after it was last used, for "run again", however much room there is.
const CODE_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// What goes next, as far as it is shown.
const SHOWN: usize = 20;

/// Age of the last look for left-over files, after which there is another one.
const ORPHANS_EVERY_SECONDS: f64 = 24.0 * 3600.0;

/// Where things are.
#[derive(Debug, Clone)]
pub struct Options {
    /// `DATA_DIR`.
    pub data_dir: PathBuf,
    /// `BACKUP_DIR`.
    pub backup_dir: PathBuf,
}

/// The rooms below whose data this is.
#[derive(Clone)]
pub struct Rooms {
    /// The database.
    pub store: Store,
    /// Run files.
    pub journal: Journal,
    /// Environments and uv's cache.
    pub environments: Environments,
    /// Kept code.
    pub catalog: Catalog,
    /// What is in use.
    pub sync: Sync,
    /// Who works for which run.
    pub runs: Runs,
    /// What is to be kept to.
    pub settings: Settings,
    /// Time.
    pub clock: SharedClock,
}

/// Why a pass did not do everything.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Run files.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Environments.
    #[error(transparent)]
    Environments(#[from] EnvironmentError),
    /// Kept code.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// There is no backup of that name.
    #[error("there is no backup {0:?}")]
    UnknownBackup(String),
    /// A folder.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
    /// Some things could not be removed.
    #[error("{0}")]
    Left(String),
}

/// What is kept on the disk. Cheap to clone.
#[derive(Clone)]
pub struct Storage {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    rooms: Rooms,
    retention: Retention,
    measured: Mutex<Option<Measured>>,
    orphans_at: Mutex<Option<Millis>>,
    /// One backup at a time.
    backing_up: tokio::sync::Mutex<()>,
}

/// What the last pass found.
#[derive(Debug, Clone)]
struct Measured {
    at: Millis,
    used: Used,
    counts: std::collections::BTreeMap<Kind, u64>,
    spare: Used,
    environments: usize,
    environments_in_use: usize,
    next: Vec<StorageItem>,
}

/// What a pass is about to weigh.
struct Inventory {
    survey: crate::environments::Survey,
    candidates: Vec<Candidate>,
    used: Used,
    counts: std::collections::BTreeMap<Kind, u64>,
    note: Option<String>,
}

impl Storage {
    /// Looks at nothing yet.
    #[must_use]
    pub fn new(options: Options, rooms: Rooms) -> Self {
        let runs = rooms.runs.clone();
        let steps = runs.steps().clone();
        let retention = Retention::new(rooms.store.clone(), rooms.journal.clone(), rooms.clock.clone(), move |run| {
            runs.is_busy(run)
        })
        .with_steps(steps);
        Self {
            inner: Arc::new(Inner {
                options,
                rooms,
                retention,
                measured: Mutex::default(),
                orphans_at: Mutex::default(),
                backing_up: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// What the settings of retention would delete now.
    ///
    /// # Errors
    /// The database.
    pub async fn preview_cleanup(&self) -> Result<Cleanup, StorageError> {
        Ok(self.inner.retention.preview(self.policy()).await?)
    }

    /// Deletes what the settings of retention do not keep; and, once a day, files that belong to no run.
    ///
    /// # Errors
    /// The database; what is deleted is gone as a whole, and the next pass goes on.
    pub async fn clean_up(&self) -> Result<Cleanup, StorageError> {
        let Inner { retention, orphans_at, rooms, .. } = &*self.inner;
        let cleanup = retention.clean(self.policy()).await?;
        let now = rooms.clock.now();
        let last = *orphans_at.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| now.seconds_since(last) > ORPHANS_EVERY_SECONDS) {
            let swept = retention.sweep_orphans().await?;
            if swept > 0 {
                tracing::info!(swept, "files of {swept} runs removed that the database does not know");
            }
            *orphans_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        }
        Ok(cleanup)
    }

    fn policy(&self) -> Policy {
        let tuning = self.inner.rooms.settings.tuning();
        Policy { runs: tuning.keep_runs, days: tuning.keep_days }
    }

    /// Measures everything and lets go what is too much; of several servers the leader lets go, and each measures, so that each
    /// can tell and none starts runs that the limit forbids. Says in words what it did.
    ///
    /// # Errors
    /// [`StorageError`]; what was let go until then is gone, and the next pass goes on.
    pub async fn make_room(&self) -> Result<String, StorageError> {
        let Inner { rooms, retention, .. } = &*self.inner;
        let (leads, _) = rooms.runs.standing();
        let mut outlived = 0;
        if leads {
            retention.finish().await?;
            outlived = rooms.catalog.prune_code(CODE_KEPT).await?;
        }
        let now = rooms.clock.now();
        let Inventory { mut survey, mut candidates, mut used, counts, note } = self.take_stock(now).await?;
        let tuning = rooms.settings.tuning();
        let limits = Limits { all: tuning.data_max_bytes, cache: tuning.uv_cache_max_bytes };
        let hands = Hands { environments: &rooms.environments, retention };
        let kept_to = if leads { limits } else { Limits::default() };
        let made = room::make_room(&hands, &mut survey, &mut candidates, &mut used, kept_to, now).await;
        let total = budget::total(&used);
        let over = limits.all.filter(|most| total > *most);
        rooms.runs.refuse_starts(over.map(|most| {
            format!(
                "the server's data takes {}, more than DATA_MAX_MB allows ({}), and nothing is left that may go: set a larger \
                 DATA_MAX_MB, or make room (page Storage)",
                format_bytes(total),
                format_bytes(most)
            )
        }));
        let went = |kind: Kind| made.gone.iter().filter(|item| item.kind == kind.as_str()).count();
        let measured = Measured {
            at: now,
            next: self.next(&candidates, now).await?,
            counts: counts.into_iter().map(|(kind, n)| (kind, n.saturating_sub(went(kind) as u64))).collect(),
            spare: spare_bytes(&candidates),
            environments: survey.sealed.saturating_sub(went(Kind::Environment)),
            environments_in_use: survey.must_stay,
            used,
        };
        *self.inner.measured.lock().unwrap_or_else(PoisonError::into_inner) = Some(measured);
        if !made.problems.is_empty() {
            return Err(StorageError::Left(format!("some things could not be removed: {}", made.problems.join("; "))));
        }
        let mut said = words(&made.gone);
        if outlived > 0 {
            said.push_str(&format!("; {outlived} copies of code deleted that no run has used for 30 days"));
        }
        said.push_str(&match limits.all {
            None => format!("; {} without a limit", format_bytes(total)),
            Some(most) => format!("; {} of {}", format_bytes(total), format_bytes(most)),
        });
        if let Some(note) = note {
            said.push_str(&format!("; {note}"));
        }
        Ok(said)
    }

    /// The room that everything takes, as it was last measured.
    #[must_use]
    pub fn report(&self, next_at: Option<chrono::DateTime<chrono::Utc>>) -> Report {
        let Inner { rooms, .. } = &*self.inner;
        let tuning = rooms.settings.tuning();
        let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let measured = self.inner.measured.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let measured = measured.as_ref();
        let part = |kind: Kind, bytes: u64, of: &Measured| StoragePart {
            kind: kind.as_str().to_owned(),
            bytes: number(bytes),
            spare_bytes: number(of.spare.get(&kind).copied().unwrap_or_default()),
            count: number(of.counts.get(&kind).copied().unwrap_or_default()),
        };
        let mut parts: Vec<_> = measured
            .into_iter()
            .flat_map(|of| of.used.iter().map(move |(kind, bytes)| part(*kind, *bytes, of)))
            .collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
        Report {
            link_mode: rooms.sync.link_mode().to_owned(),
            measured_at: measured.map(|of| of.at.to_utc()),
            next_at,
            bytes: measured.map(|of| number(budget::total(&of.used))),
            budget_bytes: tuning.data_max_bytes.map(number),
            cache_bytes: measured.map(|of| number(budget::cached(&of.used))),
            cache_budget_bytes: tuning.uv_cache_max_bytes.map(number),
            free_bytes: rooms.runs.disk().map(|disk| number(disk.free)),
            min_free_bytes: number(tuning.min_free_bytes),
            starts_refused: rooms.runs.starts_refused(),
            environments: measured.map(|of| number(of.environments as u64)),
            environments_in_use: measured.map(|of| number(of.environments_in_use as u64)),
            parts,
            next: measured.map(|of| of.next.clone()).unwrap_or_default(),
        }
    }

    /// Looks at everything.
    async fn take_stock(&self, now: Millis) -> Result<Inventory, StorageError> {
        let Inner { options, rooms, .. } = &*self.inner;
        let (in_use, note) = match rooms.sync.environments_in_use().await {
            Ok(Some(in_use)) => (Some(in_use), None),
            Ok(None) => (None, Some("environments are left alone, for some run cannot be read".to_owned())),
            Err(error) => {
                (None, Some(format!("environments are left alone, for it is not known which are needed: {error}")))
            }
        };
        let survey = rooms.environments.survey(in_use.as_ref()).await?;
        let mut candidates: Vec<_> = survey.spares.iter().cloned().map(Candidate::of_environments).collect();
        let mut counts = std::collections::BTreeMap::new();
        let packages = survey.spares.len() + survey.must_stay - survey.sealed;
        counts.insert(Kind::Environment, survey.sealed as u64);
        counts.insert(Kind::Cache, packages as u64);
        let mut used = Used::from([(Kind::Environment, survey.environment_bytes), (Kind::Cache, survey.cache_bytes)]);

        let code = rooms.catalog.spare_code().await?;
        let folders: Vec<_> = ["code", "commits", "git", "scratch"].map(|name| options.data_dir.join(name)).into();
        let backup_dir = options.backup_dir.clone();
        let (sizes, code, backups) = blocking("measuring the data folder", move || {
            let sizes = folders
                .iter()
                .map(|folder| Ok((share(folder)?, entries(folder))))
                .collect::<std::io::Result<Vec<_>>>()?;
            let code = code
                .into_iter()
                .map(|(path, last_used)| Ok((share(&path)?, path, last_used)))
                .collect::<std::io::Result<Vec<_>>>()?;
            Ok((sizes, code, backups::list(&backup_dir)?))
        })
        .await?;
        for ((bytes, count), kind) in sizes.into_iter().zip([Kind::Code, Kind::Commits, Kind::Commits, Kind::Work]) {
            *used.entry(kind).or_default() += bytes;
            *counts.entry(kind).or_default() += count;
        }
        candidates.extend(code.into_iter().map(|(bytes, path, last_used)| Candidate {
            spare: budget::Spare { kind: Kind::Code, bytes, last_used },
            name: room::file_name(&path),
            pipeline_name: None,
            how: How::Folder(path),
        }));
        used.insert(Kind::Backup, backups.iter().map(|backup| u64::try_from(backup.bytes).unwrap_or(0)).sum());
        counts.insert(Kind::Backup, backups.len() as u64);
        // The latest one stays whatever happens.
        candidates.extend(backups.into_iter().skip(1).map(|backup| Candidate {
            spare: budget::Spare {
                kind: Kind::Backup,
                bytes: u64::try_from(backup.bytes).unwrap_or(0),
                last_used: Millis::from(backup.created_at),
            },
            how: How::File(options.backup_dir.join(&backup.name)),
            name: backup.name,
            pipeline_name: None,
        }));
        self.add_logs(now, &mut used, &mut counts, &mut candidates).await?;
        used.insert(Kind::Database, rooms.store.bytes().await?);
        counts.insert(Kind::Database, 1);
        Ok(Inventory { survey, candidates, used, counts, note })
    }

    async fn add_logs(
        &self,
        now: Millis,
        used: &mut Used,
        counts: &mut std::collections::BTreeMap<Kind, u64>,
        candidates: &mut Vec<Candidate>,
    ) -> Result<(), StorageError> {
        let Inner { rooms, retention, .. } = &*self.inner;
        let census = rooms.journal.census(WEIGHED_RUNS).await?;
        used.insert(Kind::Log, census.bytes);
        counts.insert(Kind::Log, census.logs);
        let ids: Vec<_> = census.oldest.iter().map(|files| files.run_id.to_string()).collect();
        let sizes: std::collections::HashMap<_, _> = census
            .oldest
            .iter()
            .map(|files| (files.run_id.to_string(), files.log.unwrap_or(0) + files.metrics.unwrap_or(0)))
            .collect();
        for run in rooms.store.ended_runs(&ids).await? {
            if now.seconds_since(run.ended_at) < RECENT_SECONDS || retention.is_busy(&run.id) {
                continue;
            }
            let bytes = sizes.get(&run.id).copied().unwrap_or_default();
            candidates.push(Candidate {
                spare: budget::Spare { kind: Kind::Log, bytes, last_used: run.ended_at },
                name: run.id.clone(),
                pipeline_name: Some(run.pipeline_name),
                how: How::Run(run.id),
            });
        }
        Ok(())
    }

    /// What goes next: what retention deletes at its next pass, then what would go first if room were needed.
    async fn next(&self, candidates: &[Candidate], now: Millis) -> Result<Vec<StorageItem>, StorageError> {
        let policy = self.policy();
        let expired = self.inner.retention.preview(policy).await?.items;
        let soon = now.plus_seconds(self.inner.rooms.settings.tuning().cleanup_every.as_secs_f64());
        let mut next: Vec<_> =
            expired.into_iter().take(SHOWN / 2).map(|item| StorageItem { at: Some(soon.to_utc()), ..item }).collect();
        let spares: Vec<_> = candidates.iter().map(|candidate| candidate.spare).collect();
        for index in budget::order(&spares, now) {
            if next.len() >= SHOWN {
                break;
            }
            let candidate = &candidates[index];
            if next.iter().any(|item| item.name == candidate.name) {
                continue;
            }
            let at = policy.goes_at(candidate.spare.last_used).filter(|_| candidate.spare.kind == Kind::Log);
            next.push(candidate.shown(if at.is_some() { "age" } else { "room" }, at));
        }
        Ok(next)
    }

    /// The backups that there are, the latest first.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub async fn backups(&self) -> Result<Vec<Backup>, StorageError> {
        let folder = self.inner.options.backup_dir.clone();
        blocking("listing the backups", move || backups::list(&folder)).await
    }

    /// Makes a backup of the database now, while everything goes on.
    ///
    /// # Errors
    /// [`StorageError::Backup`]; then there is none.
    pub async fn back_up(&self) -> Result<Backup, StorageError> {
        let Inner { options, rooms, backing_up, .. } = &*self.inner;
        let _only_one = backing_up.lock().await;
        self.check_room_for_backup()?;
        let now = rooms.clock.now();
        let name = backups::name(now);
        let bytes = rooms.store.back_up(&options.backup_dir.join(&name)).await?;
        Ok(Backup { name, bytes: i64::try_from(bytes).unwrap_or(i64::MAX), created_at: now.to_utc() })
    }

    /// A backup must not be what fills the disk.
    fn check_room_for_backup(&self) -> Result<(), StorageError> {
        let Inner { options, rooms, .. } = &*self.inner;
        let Some(file) = rooms.store.file() else { return Ok(()) };
        let needed = std::fs::metadata(file).map_or(0, |meta| meta.len());
        let near = options.backup_dir.ancestors().find(|folder| folder.is_dir());
        let floor = rooms.settings.tuning().min_free_bytes;
        match near.and_then(Disk::of) {
            Some(disk) if disk.free < needed.saturating_add(floor) => Err(StorageError::Left(format!(
                "a backup needs {}, and the disk of {} has only {} left, of which DATA_MIN_FREE_MB keeps {}: make room, or \
                 set BACKUP_DIR to another disk",
                format_bytes(needed),
                disk.folder.display(),
                format_bytes(disk.free),
                format_bytes(floor)
            ))),
            _ => Ok(()),
        }
    }

    /// The file of a backup.
    ///
    /// # Errors
    /// [`StorageError::UnknownBackup`].
    pub fn backup_file(&self, name: &str) -> Result<PathBuf, StorageError> {
        backups::path(&self.inner.options.backup_dir, name)
            .filter(|path| path.is_file())
            .ok_or_else(|| StorageError::UnknownBackup(name.to_owned()))
    }

    /// Makes a backup when the last one is old enough, and deletes those that are too many. Says in words what it did.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn back_up_if_due(&self) -> Result<String, StorageError> {
        let Inner { options, rooms, .. } = &*self.inner;
        if rooms.store.file().is_none() {
            return Ok("PostgreSQL backs itself up: use pg_dump".to_owned());
        }
        let tuning = rooms.settings.tuning();
        let mut present = self.backups().await?;
        let now = rooms.clock.now();
        let due = tuning.backup_every.is_some_and(|every| {
            let last = present.first().map(|backup| Millis::from(backup.created_at));
            last.is_none_or(|last| now.seconds_since(last) >= every.as_secs_f64())
        });
        let mut said = match (due, tuning.backup_every) {
            (true, _) => {
                let made = self.back_up().await?;
                let said = format!("{} made, {}", made.name, format_bytes(u64::try_from(made.bytes).unwrap_or(0)));
                present.insert(0, made);
                said
            }
            (false, None) => "switched off (BACKUP_INTERVAL_HOURS)".to_owned(),
            (false, Some(_)) => "the last one is young enough".to_owned(),
        };
        let folder = options.backup_dir.clone();
        let too_many: Vec<_> =
            present.into_iter().skip(tuning.backups_kept.max(1)).map(|b| folder.join(b.name)).collect();
        if !too_many.is_empty() {
            said.push_str(&format!("; {} older ones deleted", too_many.len()));
            blocking("deleting old backups", move || too_many.iter().try_for_each(std::fs::remove_file)).await?;
        }
        Ok(said)
    }
}

fn spare_bytes(candidates: &[Candidate]) -> Used {
    let mut spare = Used::new();
    for candidate in candidates {
        *spare.entry(candidate.spare.kind).or_default() += candidate.spare.bytes;
    }
    spare
}

/// What went, in words.
fn words(gone: &[StorageItem]) -> String {
    let mut said = Vec::new();
    for kind in Kind::ALL {
        let of: Vec<_> = gone.iter().filter(|item| item.kind == kind.as_str()).collect();
        if !of.is_empty() {
            let bytes: i64 = of.iter().map(|item| item.bytes).sum();
            said.push(format!(
                "{} of {} ({})",
                of.len(),
                kind.as_str(),
                format_bytes(u64::try_from(bytes).unwrap_or(0))
            ));
        }
    }
    if said.is_empty() { "nothing had to go".to_owned() } else { format!("{} deleted", said.join(", ")) }
}

/// Entries of a folder; none when it is not there.
fn entries(folder: &Path) -> u64 {
    std::fs::read_dir(folder).map_or(0, |entries| entries.count() as u64)
}

async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, StorageError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other).flatten();
    done.map_err(|source| StorageError::Io { what, source })
}
