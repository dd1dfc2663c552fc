//! Makes room: lets things go in the order that `domain::budget` decides, until the limits are kept or nothing is left that may
//! go. Things of all kinds go through here, whichever room they belong to.

use std::path::PathBuf;

use fastflow_shared::StorageItem;

use super::retention::Retention;
use crate::domain::budget::{self, Exceeded, Kind, Limits, Used};
use crate::domain::clock::Millis;
use crate::environments::{self, Environments, Survey, What};

/// How something is let go.
#[derive(Debug, Clone)]
pub enum How {
    /// An environment, or a package of the cache.
    Environment(environments::Spare),
    /// A folder that nobody needs.
    Folder(PathBuf),
    /// A file that nobody needs.
    File(PathBuf),
    /// A run with its files.
    Run(String),
}

/// Something that may go.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What decides when.
    pub spare: budget::Spare,
    /// Its name for people.
    pub name: String,
    /// Pipeline of a run.
    pub pipeline_name: Option<String>,
    /// How.
    pub how: How,
}

impl Candidate {
    /// An environment or package.
    pub fn of_environments(spare: environments::Spare) -> Self {
        let (kind, name) = match &spare.what {
            What::Environment(key) => (Kind::Environment, key.clone()),
            What::Package(path) => (Kind::Cache, file_name(path)),
        };
        let spare_of = budget::Spare { kind, bytes: spare.bytes, last_used: spare.last_used };
        Self { spare: spare_of, name, pipeline_name: None, how: How::Environment(spare) }
    }

    /// As the API shows it.
    pub fn shown(&self, reason: &str, at: Option<Millis>) -> StorageItem {
        StorageItem {
            kind: self.spare.kind.as_str().to_owned(),
            name: self.name.clone(),
            pipeline_name: self.pipeline_name.clone(),
            bytes: i64::try_from(self.spare.bytes).unwrap_or(i64::MAX),
            last_used_at: self.spare.last_used.to_utc(),
            reason: reason.to_owned(),
            at: at.map(Millis::to_utc),
        }
    }
}

/// The last part of a path.
pub fn file_name(path: &std::path::Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What was done.
#[derive(Debug, Default)]
pub struct Made {
    /// What went.
    pub gone: Vec<StorageItem>,
    /// What could not be removed, and why.
    pub problems: Vec<String>,
}

/// Who can let things go.
pub struct Hands<'a> {
    /// Environments and packages.
    pub environments: &'a Environments,
    /// Runs.
    pub retention: &'a Retention,
}

/// Lets go what is too much. `candidates` and `used` are what is left afterwards.
pub async fn make_room(
    hands: &Hands<'_>,
    survey: &mut Survey,
    candidates: &mut Vec<Candidate>,
    used: &mut Used,
    limits: Limits,
    now: Millis,
) -> Made {
    let mut made = Made::default();
    loop {
        let spares: Vec<_> = candidates.iter().map(|candidate| candidate.spare).collect();
        let chosen = budget::choose(&spares, used, limits, now);
        if chosen.is_empty() {
            return made;
        }
        let mut taken = Vec::new();
        let mut more = Vec::new();
        for (index, why) in chosen {
            taken.push(index);
            let candidate = &candidates[index];
            match let_go(hands, candidate, survey, &mut more).await {
                Ok(None) => {}
                Ok(Some(freed)) => {
                    let left = used.entry(candidate.spare.kind).or_default();
                    *left = left.saturating_sub(freed);
                    made.gone.push(gone(candidate, freed, why));
                }
                Err(problem) => made.problems.push(format!("{}: {problem}", candidate.name)),
            }
            // What an environment gives back, and which packages nobody links to now, shows only afterwards.
            if candidate.spare.kind == Kind::Environment {
                break;
            }
        }
        // From the end, so that the places of the others stay.
        taken.sort_unstable_by(|a, b| b.cmp(a));
        for index in taken {
            candidates.swap_remove(index);
        }
        candidates.extend(more.into_iter().map(Candidate::of_environments));
    }
}

fn gone(candidate: &Candidate, freed: u64, why: Exceeded) -> StorageItem {
    let bytes = i64::try_from(freed).unwrap_or(i64::MAX);
    StorageItem { bytes, ..candidate.shown(why.as_str(), None) }
}

/// Says how many bytes it gave back; `None` when it is wanted after all.
async fn let_go(
    hands: &Hands<'_>,
    candidate: &Candidate,
    survey: &mut Survey,
    more: &mut Vec<environments::Spare>,
) -> Result<Option<u64>, String> {
    let bytes = candidate.spare.bytes;
    match &candidate.how {
        How::Environment(spare) => {
            hands.environments.discard(spare, survey, more).await.map_err(|error| error.to_string())
        }
        How::Run(id) => {
            let deleted = hands.retention.delete(std::slice::from_ref(id)).await.map_err(|error| error.to_string())?;
            Ok((!deleted.is_empty()).then_some(bytes))
        }
        How::Folder(path) => removed(tokio::fs::remove_dir_all(path).await, bytes),
        How::File(path) => removed(tokio::fs::remove_file(path).await, bytes),
    }
}

fn removed(result: std::io::Result<()>, bytes: u64) -> Result<Option<u64>, String> {
    match result {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}
