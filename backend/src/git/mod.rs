//! The door to git (libgit2). Today it reads what a folder of pipelines says of itself; nothing is ever written.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// What went wrong with a repository.
#[derive(Debug, Error)]
pub enum GitError {
    /// The repository exists but cannot be read.
    #[error("the git repository at {} cannot be read: {source}", path.display())]
    Unreadable {
        /// Where it was looked for.
        path: PathBuf,
        /// libgit2's words.
        source: git2::Error,
    },
    /// The reading task died.
    #[error("reading the git repository was interrupted")]
    Interrupted,
}

/// The commit that a work tree stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Full hash, 40 hexadecimal digits.
    pub commit: String,
    /// First line of the message.
    pub subject: String,
    /// Name of the author.
    pub author: String,
    /// Branch, unless the head is detached.
    pub branch: Option<String>,
}

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
    let subject = String::from_utf8_lossy(commit.summary_bytes().unwrap_or_default()).into_owned();
    let author = String::from_utf8_lossy(commit.author().name_bytes()).into_owned();
    Ok(Some(Head { commit: commit.id().to_string(), subject, author, branch }))
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
    }
}
