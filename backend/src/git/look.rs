//! Reads what a plain folder of pipelines says of itself when it lies in a git repository. Nothing is written.

use std::collections::BTreeSet;
use std::path::Path;

use super::{GitError, Head};

/// The commit that the work tree around `folder` stands on; `None` when it is in no repository or has no commit yet.
///
/// # Errors
/// [`GitError::Unreadable`] when there is a repository that libgit2 will not or cannot read.
pub async fn head(folder: &Path) -> Result<Option<Head>, GitError> {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || read_head(&folder)).await.map_err(|_| GitError::Interrupted)?
}

fn read_head(folder: &Path) -> Result<Option<Head>, GitError> {
    let unreadable = |source| GitError::Unreadable { path: folder.to_owned(), source };
    if !may_be_in_git(folder) {
        return Ok(None);
    }
    let repository = match git2::Repository::discover(folder) {
        Ok(repository) => repository,
        Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let reference = match repository.head() {
        Ok(reference) => reference,
        Err(error) if matches!(error.code(), git2::ErrorCode::UnbornBranch | git2::ErrorCode::NotFound) => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error)),
    };
    let branch = reference.is_branch().then(|| reference.shorthand().unwrap_or_default().to_owned());
    let commit = reference.peel_to_commit().map_err(unreadable)?;
    Ok(Some(describe(&commit, branch)))
}

/// Whether there is anything to ask libgit2 for. Its first call makes OpenSSL read all authorities of the system, which then
/// stay in memory for as long as the server works: too much for the answer that there is no repository.
fn may_be_in_git(folder: &Path) -> bool {
    // Where the folder really is: a link may lead into a repository.
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    folder.ancestors().any(|above| above.join(".git").exists())
}

/// A commit in words.
pub(super) fn describe(commit: &git2::Commit<'_>, branch: Option<String>) -> Head {
    let subject = String::from_utf8_lossy(commit.summary_bytes().unwrap_or_default()).into_owned();
    let author = String::from_utf8_lossy(commit.author().name_bytes()).into_owned();
    Head { commit: commit.id().to_string(), subject, author, branch }
}

/// Names of the entries directly below `folder` in which anything differs from the commit: changed, new or deleted files that
/// git does not ignore.
///
/// # Errors
/// [`GitError::Unreadable`].
pub async fn changed_below(folder: &Path) -> Result<BTreeSet<String>, GitError> {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || read_changes(&folder)).await.map_err(|_| GitError::Interrupted)?
}

fn read_changes(folder: &Path) -> Result<BTreeSet<String>, GitError> {
    let unreadable = |source| GitError::Unreadable { path: folder.to_owned(), source };
    let repository = git2::Repository::discover(folder).map_err(unreadable)?;
    let Some(root) = repository.workdir() else { return Ok(BTreeSet::new()) };
    // Both resolved, for either may be reached through a link.
    let inside = match (folder.canonicalize(), root.canonicalize()) {
        (Ok(folder), Ok(root)) => folder.strip_prefix(root).map(Path::to_owned).unwrap_or_default(),
        _ => return Ok(BTreeSet::new()),
    };
    let mut options = git2::StatusOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true).include_ignored(false);
    if !inside.as_os_str().is_empty() {
        options.pathspec(&inside).disable_pathspec_match(true);
    }
    let statuses = repository.statuses(Some(&mut options)).map_err(unreadable)?;
    let names = statuses.iter().filter_map(|entry| {
        let path = String::from_utf8_lossy(entry.path_bytes()).into_owned();
        let below = Path::new(&path).strip_prefix(&inside).ok()?;
        Some(below.components().next()?.as_os_str().to_string_lossy().into_owned())
    });
    Ok(names.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_outside_of_git_has_no_head_and_one_inside_has() {
        let folder = tempfile::tempdir().expect("temporary folder");
        assert_eq!(head(folder.path()).await.expect("readable"), None);

        let repository = git2::Repository::init(folder.path()).expect("repository");
        assert_eq!(head(folder.path()).await.expect("readable"), None, "no commit yet");

        let who = git2::Signature::now("Ada", "ada@example.org").expect("signature");
        let tree = repository.index().and_then(|mut index| index.write_tree()).expect("tree");
        let tree = repository.find_tree(tree).expect("tree");
        let commit = repository.commit(Some("HEAD"), &who, &who, "First\n\nbody", &tree, &[]).expect("commit");

        let inner = folder.path().join("pipelines");
        std::fs::create_dir(&inner).expect("folder");
        let found = head(&inner).await.expect("readable").expect("a commit");
        assert_eq!((found.commit, found.subject.as_str(), found.author.as_str()), (commit.to_string(), "First", "Ada"));

        assert!(changed_below(&inner).await.expect("readable").is_empty());
        std::fs::create_dir(inner.join("etl")).expect("folder");
        std::fs::write(inner.join("etl/main.py"), "").expect("file");
        assert!(changed_below(&inner).await.expect("readable").contains("etl"));
    }
}
