//! Keeps the room that environments, uv's cache and old code take within a budget: what was used longest ago goes first, and
//! nothing that somebody uses.
//!
//! Files of the cache and of environments are links to the same bytes, which are free only when the last link is gone. So
//! each link counts its share, and of the cache only what no environment links to is worth deleting.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{EnvironmentError, Environments, Inner, blocking, seal};
use crate::cluster::{FileLock, Mode};
use crate::domain::clock::Millis;

/// What was used within so many seconds stays: a run may be about to start with it.
const RECENT_SECONDS: f64 = 3600.0;

/// Something of another room that may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spare {
    /// A folder.
    pub path: PathBuf,
    /// When it was last used.
    pub last_used: Millis,
}

/// What lies on the disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Storage {
    /// When it was looked at.
    pub measured_at: Millis,
    /// Bytes of everything that counts.
    pub bytes: u64,
    /// What it is to stay within.
    pub budget: Option<u64>,
    /// Sealed environments.
    pub environments: usize,
    /// Those of them that must stay.
    pub in_use: usize,
}

/// What a pass did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Environments that were deleted.
    pub environments: usize,
    /// Packages of the cache that were deleted.
    pub packages: usize,
    /// Folders of other rooms that were deleted.
    pub spares: usize,
    /// Bytes before.
    pub before: u64,
    /// Bytes now.
    pub after: u64,
    /// What they are to stay within.
    pub budget: Option<u64>,
}

impl std::fmt::Display for Pruned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = crate::domain::size::format_bytes;
        let Self { environments, packages, spares, before: _, after, budget } = self;
        write!(
            f,
            "{environments} environments, {packages} packages and {spares} copies of code deleted; {}",
            size(*after)
        )?;
        match budget {
            None => write!(f, ", without a limit"),
            Some(budget) if after > budget => write!(f, " are in use, more than UV_CACHE_MAX_MB ({})", size(*budget)),
            Some(budget) => write!(f, " of {}", size(*budget)),
        }
    }
}

/// What may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Candidate {
    Environment(String),
    /// An unpacked wheel of uv's cache. uv fetches it again when it is wanted again.
    Package(PathBuf),
    Spare(PathBuf),
}

/// What a look at the disk finds.
#[derive(Debug, Default)]
struct Survey {
    bytes: u64,
    /// Keys of sealed environments with the time that they were built.
    sealed: Vec<(String, Millis)>,
    /// Packages that no environment links to, with the time that the last link was made or went.
    orphans: Vec<(PathBuf, Millis)>,
    /// Packages that environments link to.
    linked: Vec<PathBuf>,
}

impl Environments {
    /// Deletes what was put away and what is too much. `in_use` are keys of environments that must stay.
    ///
    /// # Errors
    /// The disk or the database. What was deleted until then is gone, and the next pass goes on.
    pub async fn prune(
        &self,
        budget: Option<u64>,
        in_use: &HashSet<String>,
        spares: Vec<Spare>,
    ) -> Result<Pruned, EnvironmentError> {
        let Inner { options, store, clock, .. } = &*self.inner;
        let root = options.root.clone();
        self.put_unfinished_away().await?;
        let (of, keep) = (root.clone(), in_use.clone());
        blocking("deleting what was put away", move || delete_discarded(&of, &keep).map_err(io_error)).await?;

        let of = root.clone();
        let paths: Vec<PathBuf> = spares.iter().map(|spare| spare.path.clone()).collect();
        let survey = blocking("measuring environments", move || survey(&of, &paths).map_err(io_error)).await?;
        let book = store.environments().await?;
        let used: HashMap<&str, Millis> =
            book.iter().filter_map(|row| Some((row.key.as_str(), row.last_used_at?))).collect();
        let recent = |time: Millis| clock.now().seconds_since(time) < RECENT_SECONDS;
        let mut candidates: Vec<(Millis, Candidate)> = Vec::new();
        for (key, built_at) in &survey.sealed {
            let last_used = used.get(key.as_str()).copied().unwrap_or(*built_at).max(*built_at);
            if !in_use.contains(key) && !recent(last_used) {
                candidates.push((last_used, Candidate::Environment(key.clone())));
            }
        }
        let must_stay = survey.sealed.len() - candidates.len();
        candidates.extend(survey.orphans.iter().map(|(path, time)| (*time, Candidate::Package(path.clone()))));
        candidates.extend(spares.into_iter().map(|spare| (spare.last_used, Candidate::Spare(spare.path))));
        // The oldest last, to be taken off the end.
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.0));

        let mut pruned = Pruned { before: survey.bytes, after: survey.bytes, budget, ..Pruned::default() };
        let mut linked = survey.linked;
        let limit = budget.unwrap_or(u64::MAX);
        while pruned.after > limit {
            let Some((last_used, candidate)) = candidates.pop() else { break };
            let Some(away) = self.take_away(&candidate, last_used).await? else { continue };
            let freed = blocking("deleting", move || delete(&away).map_err(io_error)).await?;
            pruned.after = pruned.after.saturating_sub(freed);
            match candidate {
                Candidate::Package(_) => pruned.packages += 1,
                Candidate::Spare(_) => pruned.spares += 1,
                Candidate::Environment(key) => {
                    pruned.environments += 1;
                    store.delete_environment(&key).await?;
                    // What only this one linked to has lost its use with it.
                    let look = linked;
                    let (still, orphans) = blocking("looking at the cache", move || {
                        Ok(look.into_iter().partition(|path| is_linked(path)))
                    })
                    .await?;
                    linked = still;
                    let orphans: Vec<PathBuf> = orphans;
                    candidates.extend(orphans.into_iter().map(|path| (last_used, Candidate::Package(path))));
                }
            }
        }
        *self.inner.storage.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Storage {
            measured_at: clock.now(),
            bytes: pruned.after,
            budget,
            environments: survey.sealed.len() - pruned.environments,
            in_use: must_stay,
        });
        Ok(pruned)
    }

    /// What the last pass found.
    #[must_use]
    pub fn storage(&self) -> Option<Storage> {
        self.inner.storage.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Moves it to where nobody looks for it; `None` when it is wanted after all, or a build is under way that may want it.
    async fn take_away(&self, what: &Candidate, seen: Millis) -> Result<Option<PathBuf>, EnvironmentError> {
        let Inner { options, store, tidying, .. } = &*self.inner;
        let away = options.root.join("discarded").join(uuid::Uuid::now_v7().to_string());
        let Ok(_alone) = tidying.try_write() else { return Ok(None) };
        let Some(_everywhere) = self.alone_everywhere()? else { return Ok(None) };
        let from = match what {
            Candidate::Spare(path) => return Ok(Some(path.clone())),
            Candidate::Package(path) => path.clone(),
            Candidate::Environment(key) => {
                let row = store.environment(key).await?;
                if row.and_then(|row| row.last_used_at).is_some_and(|used| used > seen) {
                    return Ok(None);
                }
                seal::forget(&options.root, key)?;
                seal::folder(&options.root, key)
            }
        };
        match fs::rename(from, &away) {
            Ok(()) => Ok(Some(away)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(error)),
        }
    }

    /// The right to delete, when no other server builds.
    fn alone_everywhere(&self) -> Result<Option<FileLock>, EnvironmentError> {
        let path = self.inner.options.root.join("locks").join(seal::TIDY);
        FileLock::try_take(&path, Mode::Alone).map_err(io_error)
    }

    /// What builds left behind that were cut off; only when none is under way.
    async fn put_unfinished_away(&self) -> Result<(), EnvironmentError> {
        let Ok(_alone) = self.inner.tidying.try_write() else { return Ok(()) };
        let Some(_everywhere) = self.alone_everywhere()? else { return Ok(()) };
        let root = self.inner.options.root.clone();
        blocking("looking for unfinished environments", move || {
            for entry in fs::read_dir(root.join("environments")).map_err(io_error)? {
                let entry = entry.map_err(io_error)?;
                let key = entry.file_name().to_string_lossy().into_owned();
                if entry.path().is_dir() && seal::known(&root, &key)?.is_none() {
                    seal::discard(&root, &key)?;
                }
            }
            Ok(())
        })
        .await
    }
}

fn io_error(source: io::Error) -> EnvironmentError {
    EnvironmentError::Io { what: "keeping its size", source }
}

/// Deletes what was put away, but not what a run may have mounted.
fn delete_discarded(root: &Path, in_use: &HashSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(root.join("discarded"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !in_use.iter().any(|key| name.starts_with(key.as_str())) {
            seal::remove_tree(&entry.path())?;
        }
    }
    Ok(())
}

fn survey(root: &Path, spares: &[PathBuf]) -> io::Result<Survey> {
    let mut survey = Survey { bytes: share(root)?, ..Survey::default() };
    for spare in spares {
        survey.bytes += share(spare)?;
    }
    for entry in fs::read_dir(root.join("environments"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some(key) = name.strip_suffix(".json") else { continue };
        if let Ok(Some(sealed)) = seal::known(root, key) {
            survey.sealed.push((key.to_owned(), Millis(sealed.built_at)));
        }
    }
    for bucket in fs::read_dir(root.join("cache"))? {
        let bucket = bucket?;
        if !bucket.file_name().as_encoded_bytes().starts_with(b"archive-") {
            continue;
        }
        for package in fs::read_dir(bucket.path())? {
            let path = package?.path();
            if is_linked(&path) {
                survey.linked.push(path);
            } else {
                // Making and losing a link changes a file's change time.
                let time = first_file(&path).map_or(0, |meta| meta.ctime());
                survey.orphans.push((path, Millis(time.saturating_mul(1000))));
            }
        }
    }
    Ok(survey)
}

/// Bytes on the disk, of a file with several links this link's part alone.
fn share(path: &Path) -> io::Result<u64> {
    let mut bytes = 0.0;
    visit(path, &mut |meta| {
        #[expect(clippy::cast_precision_loss, reason = "a size, told to about a percent")]
        let part = (meta.blocks() * 512) as f64 / meta.nlink().max(1) as f64;
        bytes += part;
    })?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sum of sizes")]
    Ok(bytes as u64)
}

/// Deletes a folder. Returns how many bytes that gave back: those that nobody else links to.
fn delete(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    visit(path, &mut |meta| {
        if meta.nlink() == 1 {
            bytes += meta.blocks() * 512;
        }
    })?;
    seal::remove_tree(path)?;
    Ok(bytes)
}

/// Looks at every file below `path`. What vanishes meanwhile is no error.
fn visit(path: &Path, look: &mut impl FnMut(&fs::Metadata)) -> io::Result<()> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => visit(&entry.path(), look)?,
            Ok(meta) => look(&meta),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether an environment links to a package: its files are linked together.
fn is_linked(package: &Path) -> bool {
    let mut linked = false;
    let _ = visit(package, &mut |meta| linked |= meta.nlink() > 1);
    linked
}

fn first_file(package: &Path) -> Option<fs::Metadata> {
    let mut first = None;
    let _ = visit(package, &mut |meta| {
        first.get_or_insert_with(|| meta.clone());
    });
    first
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::domain::clock::ManualClock;
    use crate::engine::fake::FakeDocker;
    use crate::engine::{self, Network};
    use crate::environments::{Options, Sealed};
    use crate::store::{EnvironmentRow, Store, testing};

    const HOUR: i64 = 3_600_000;
    const NOW: Millis = Millis(1_700_000_000_000);

    struct World {
        environments: Environments,
        store: Store,
        root: PathBuf,
        _folders: (tempfile::TempDir, tempfile::TempDir),
    }

    async fn world() -> World {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (store, database) = testing::sqlite().await;
        let root = folder.path().join("uv");
        let options = Options {
            root: root.clone(),
            image: "i".into(),
            user: "x".into(),
            network: Network::Own,
            ca_bundle: None,
            uv_env: Vec::new(),
            deadline: Duration::from_secs(1),
        };
        let engine = Arc::new(FakeDocker::at(NOW.to_utc()).engine(engine::Options::new("test")));
        let clock = Arc::new(ManualClock::at(NOW));
        let environments = Environments::open(options, engine, store.clone(), clock).expect("laid out");
        World { environments, store, root, _folders: (folder, database) }
    }

    impl World {
        /// An environment that links to packages of the cache and has 64 KiB of its own, used so many hours ago.
        async fn environment(&self, key: &str, packages: &[&str], hours: i64) {
            let site = seal::folder(&self.root, key).join("lib");
            fs::create_dir_all(&site).expect("folder");
            fs::write(site.join("own"), vec![7; 64 << 10]).expect("file");
            for package in packages {
                let from = self.package(package);
                fs::hard_link(from.join("code.py"), site.join(format!("{package}.py"))).expect("a link");
            }
            let sealed = Sealed { built_at: NOW.0 - 900 * HOUR, ..Sealed::measure(&self.root, key).expect("measured") };
            seal::store(&self.root, &sealed).expect("sealed");
            let row = EnvironmentRow {
                key: key.to_owned(),
                state: fastflow_shared::EnvironmentState::Ready,
                lock_hash: None,
                python: None,
                image: None,
                uv_version: None,
                link_mode: None,
                size_bytes: None,
                seconds: None,
                error: None,
                built_at: None,
                last_used_at: Some(Millis(NOW.0 - hours * HOUR)),
            };
            self.store.upsert_environment(&row, NOW).await.expect("stored");
        }

        /// 128 KiB in uv's cache.
        fn package(&self, name: &str) -> PathBuf {
            let folder = self.root.join("cache/archive-v0").join(name);
            fs::create_dir_all(&folder).expect("folder");
            if !folder.join("code.py").exists() {
                fs::write(folder.join("code.py"), vec![7; 128 << 10]).expect("file");
            }
            folder
        }

        fn left(&self, folder: &str) -> Vec<String> {
            let entries = fs::read_dir(self.root.join(folder)).expect("there").flatten();
            let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.retain(|name| !name.ends_with(".json"));
            names.sort();
            names
        }

        async fn prune(&self, kilobytes: u64, in_use: &[&str]) -> Pruned {
            let in_use = in_use.iter().map(|key| (*key).to_owned()).collect();
            self.environments.prune(Some(kilobytes << 10), &in_use, Vec::new()).await.expect("pruned")
        }
    }

    #[tokio::test]
    async fn what_was_used_longest_ago_goes_first_and_takes_along_what_only_it_needed() {
        let world = world().await;
        world.environment("new", &["shared", "newer"], 2).await;
        world.environment("old", &["shared", "older"], 30).await;
        world.environment("oldest", &["oldest"], 300).await;
        let all = world.prune(4096, &[]).await;
        assert_eq!((all.environments, all.packages), (0, 0), "there is room");
        // 3 × 64 of their own and 4 × 128 in the cache, whoever links to them; some for the books.
        assert!((704..900).contains(&(all.before >> 10)), "{}", all.before >> 10);

        let pruned = world.prune(600, &[]).await;
        assert_eq!((pruned.environments, pruned.packages), (1, 1), "{pruned:?}");
        assert_eq!(world.left("environments"), ["new", "old"]);
        assert_eq!(world.left("cache/archive-v0"), ["newer", "older", "shared"]);
        assert!(world.store.environment("oldest").await.expect("answered").is_none());

        let pruned = world.prune(100, &[]).await;
        assert_eq!((pruned.environments, pruned.packages), (2, 3), "{pruned:?}");
        assert_eq!((world.left("environments").len(), world.left("cache/archive-v0").len()), (0, 0));
        assert!(world.left("discarded").is_empty(), "what is put away is deleted");
    }

    #[tokio::test]
    async fn what_is_in_use_or_was_used_just_now_stays_however_little_room_there_is() {
        let world = world().await;
        world.environment("running", &["a"], 500).await;
        world.environment("just-now", &["b"], 0).await;
        world.environment("unused", &["c"], 3).await;
        world.package("nobodys");
        let pruned = world.prune(1, &["running"]).await;
        assert_eq!((pruned.environments, pruned.packages), (1, 2), "{pruned:?}");
        assert_eq!(world.left("environments"), ["just-now", "running"]);
        assert_eq!(world.left("cache/archive-v0"), ["a", "b"]);
        assert!(pruned.to_string().contains("more than UV_CACHE_MAX_MB"), "{pruned}");
        let storage = world.environments.storage().expect("looked at");
        assert_eq!((storage.environments, storage.in_use), (2, 2));
    }

    #[tokio::test]
    async fn without_a_budget_nothing_goes_but_what_was_put_away() {
        let world = world().await;
        world.environment("old", &["a"], 5000).await;
        for key in ["gone", "mounted"] {
            world.environment(key, &[], 5000).await;
            seal::discard(&world.root, key).expect("put away");
        }
        fs::create_dir(seal::folder(&world.root, "half-built")).expect("folder");
        let in_use = HashSet::from(["mounted".to_owned()]);
        let pruned = world.environments.prune(None, &in_use, Vec::new()).await.expect("pruned");
        assert_eq!((pruned.environments, pruned.before), (0, pruned.after));
        assert_eq!(world.left("environments"), ["old"]);
        let left = world.left("discarded");
        assert!(left.len() == 1 && left[0].starts_with("mounted-"), "{left:?}");
    }

    #[tokio::test]
    async fn nothing_is_deleted_while_somebody_builds() {
        let world = world().await;
        world.environment("old", &["a"], 5000).await;
        let building = world.environments.inner.tidying.read().await;
        assert_eq!(world.prune(1, &[]).await.environments, 0);
        drop(building);
        assert_eq!(world.prune(1, &[]).await.environments, 1);
    }

    #[tokio::test]
    async fn spares_of_other_rooms_take_part_by_their_age() {
        let world = world().await;
        world.environment("new", &[], 10).await;
        let spare = world.root.parent().expect("a folder").join("code");
        fs::create_dir(&spare).expect("folder");
        fs::write(spare.join("main.py"), vec![7; 64 << 10]).expect("file");
        let spares = vec![Spare { path: spare.clone(), last_used: Millis(NOW.0 - 20 * HOUR) }];
        let pruned = world.environments.prune(Some(100 << 10), &HashSet::new(), spares).await.expect("pruned");
        assert_eq!((pruned.spares, pruned.environments), (1, 0), "{pruned:?}");
        assert!(!spare.exists());
    }
}
