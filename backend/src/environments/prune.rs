//! What environments and uv's cache take on the disk, and what of it may go. What does go, and in which order, is decided
//! upstairs, where all kinds of data are weighed against each other.
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

/// Something that may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spare {
    /// What it is.
    pub what: What,
    /// Its share of bytes.
    pub bytes: u64,
    /// When it was last used.
    pub last_used: Millis,
}

/// Kinds of what may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A sealed environment, by its key.
    Environment(String),
    /// An unpacked wheel of uv's cache. uv fetches it again when it is wanted again.
    Package(PathBuf),
}

/// What lies on the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Bytes of environments.
    pub environment_bytes: u64,
    /// Bytes of uv's cache and what else is beside them.
    pub cache_bytes: u64,
    /// Sealed environments.
    pub sealed: usize,
    /// Those of them that must stay.
    pub must_stay: usize,
    /// What may go.
    pub spares: Vec<Spare>,
    /// Packages that environments link to.
    linked: Vec<PathBuf>,
}

/// What a look at the disk finds.
#[derive(Debug, Default)]
struct Found {
    environment_bytes: u64,
    cache_bytes: u64,
    /// Keys of sealed environments with the time that they were built, and their share of bytes.
    sealed: Vec<(String, Millis, u64)>,
    /// Packages that no environment links to, with the time that the last link was made or went.
    orphans: Vec<Spare>,
    /// Packages that environments link to.
    linked: Vec<PathBuf>,
}

impl Environments {
    /// Deletes what was put away and what broken-off builds left, and looks at the rest. `in_use` are keys of environments that
    /// must stay; `None` when that is not known, and then all of them must.
    ///
    /// # Errors
    /// The disk or the database.
    pub async fn survey(&self, in_use: Option<&HashSet<String>>) -> Result<Survey, EnvironmentError> {
        let Inner { options, store, clock, .. } = &*self.inner;
        let root = options.root.clone();
        if let Some(in_use) = in_use {
            self.put_unfinished_away().await?;
            let (of, keep) = (root.clone(), in_use.clone());
            blocking("deleting what was put away", move || delete_discarded(&of, &keep).map_err(io_error)).await?;
        }
        let found = blocking("measuring environments", move || look(&root).map_err(io_error)).await?;
        let book = store.environments().await?;
        let used: HashMap<&str, Millis> =
            book.iter().filter_map(|row| Some((row.key.as_str(), row.last_used_at?))).collect();
        let recent = |time: Millis| clock.now().seconds_since(time) < RECENT_SECONDS;
        let mut survey = Survey {
            environment_bytes: found.environment_bytes,
            cache_bytes: found.cache_bytes,
            sealed: found.sealed.len(),
            linked: found.linked,
            ..Survey::default()
        };
        for (key, built_at, bytes) in found.sealed {
            let last_used = used.get(key.as_str()).copied().unwrap_or(built_at).max(built_at);
            if in_use.is_some_and(|in_use| !in_use.contains(&key)) && !recent(last_used) {
                survey.spares.push(Spare { what: What::Environment(key), bytes, last_used });
            }
        }
        survey.must_stay = survey.sealed - survey.spares.len();
        survey.spares.extend(found.orphans);
        Ok(survey)
    }

    /// Deletes one spare thing and says how many bytes that gave back; `None` when it is wanted after all, or a build is under
    /// way that may want it. Packages that lose their last link with it are spare from then on, and are added to `more`.
    ///
    /// # Errors
    /// The disk or the database; the next pass goes on.
    pub async fn discard(
        &self,
        spare: &Spare,
        survey: &mut Survey,
        more: &mut Vec<Spare>,
    ) -> Result<Option<u64>, EnvironmentError> {
        let Some(away) = self.take_away(spare).await? else { return Ok(None) };
        let freed = blocking("deleting", move || delete(&away).map_err(io_error)).await?;
        if let What::Environment(key) = &spare.what {
            self.inner.store.delete_environment(key).await?;
            let linked = std::mem::take(&mut survey.linked);
            let (still, orphans) = blocking("looking at the cache", move || {
                Ok(linked.into_iter().partition::<Vec<_>, _>(|path| is_linked(path)))
            })
            .await?;
            survey.linked = still;
            let last_used = spare.last_used;
            let orphans = blocking("measuring the cache", move || {
                let spare = |path: PathBuf| {
                    let bytes = share(&path).map_err(io_error)?;
                    Ok(Spare { what: What::Package(path), bytes, last_used })
                };
                orphans.into_iter().map(spare).collect::<Result<Vec<_>, EnvironmentError>>()
            })
            .await?;
            more.extend(orphans);
        }
        Ok(Some(freed))
    }

    /// Moves it to where nobody looks for it.
    async fn take_away(&self, spare: &Spare) -> Result<Option<PathBuf>, EnvironmentError> {
        let Inner { options, store, tidying, .. } = &*self.inner;
        let away = options.root.join("discarded").join(uuid::Uuid::now_v7().to_string());
        let Ok(_alone) = tidying.try_write() else { return Ok(None) };
        let Some(_everywhere) = self.alone_everywhere()? else { return Ok(None) };
        let from = match &spare.what {
            What::Package(path) => path.clone(),
            What::Environment(key) => {
                let row = store.environment(key).await?;
                if row.and_then(|row| row.last_used_at).is_some_and(|used| used > spare.last_used) {
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

fn look(root: &Path) -> io::Result<Found> {
    let environments = root.join("environments");
    let mut found = Found { environment_bytes: share(&environments)?, ..Found::default() };
    found.cache_bytes = share(root)?.saturating_sub(found.environment_bytes);
    for entry in fs::read_dir(&environments)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some(key) = name.strip_suffix(".json") else { continue };
        if let Ok(Some(sealed)) = seal::known(root, key) {
            found.sealed.push((key.to_owned(), Millis(sealed.built_at), share(&seal::folder(root, key))?));
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
                found.linked.push(path);
            } else {
                // Making and losing a link changes a file's change time.
                let time = first_file(&path).map_or(0, |meta| meta.ctime());
                let bytes = share(&path)?;
                found.orphans.push(Spare {
                    what: What::Package(path),
                    bytes,
                    last_used: Millis(time.saturating_mul(1000)),
                });
            }
        }
    }
    Ok(found)
}

/// Bytes below a folder on the disk, of a file with several links this link's part alone. What vanishes meanwhile, or is not
/// there, is no error. Blocking.
///
/// # Errors
/// When something cannot be read.
pub fn share(path: &Path) -> io::Result<u64> {
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
