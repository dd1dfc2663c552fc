//! The repository that the pipelines come from.

use std::sync::Arc;
use std::time::Duration;

use fastflow_shared::SyncAuth;

use super::Check;
use crate::config::Config;
use crate::domain::clock::SystemClock;
use crate::domain::repository::{Address, Scheme};
use crate::git::{self, Auth, Git};
use crate::github::Github;
use crate::outbound::Outbound;

/// How long git may take.
const REMOTE: Duration = Duration::from_secs(30);

/// The repository of the environment's settings; what was saved in the UI is tested there.
pub(super) async fn remote(config: &Config) -> Check {
    let name = "git";
    let mend =
        "check PIPELINES_REPO_URL, GIT_BRANCH and the credential; what is saved in the UI is tested on the page “Code”";
    let source = match config.sync_source() {
        Ok(source) => source,
        Err(error) => return Check::fail(name, error, mend),
    };
    let Some(url) = source.repository_url.clone() else {
        let folder = config.data.pipelines_dir.display();
        return Check::ok(name, format!("no repository in the settings; pipelines are in {folder}, or set in the UI"));
    };
    let asked = async {
        let (address, _) = Address::parse(&url)?;
        let auth = match source.auth {
            _ if address.scheme == Scheme::Local => Auth::None,
            SyncAuth::None => Auth::None,
            SyncAuth::Token => Auth::Password {
                username: source.username.clone(),
                password: source.secrets.token.as_ref().map(|token| token.to_string()).unwrap_or_default(),
            },
            SyncAuth::SshKey => Auth::SshKey {
                key: format!("{}\n", source.secrets.ssh_key.as_ref().map(|key| key.trim()).unwrap_or_default()),
                known_hosts: source.ssh_known_hosts.clone(),
            },
            SyncAuth::GithubApp => {
                let app = source.app().ok_or("the GitHub App is not set up")?;
                let github = Github::new(
                    Outbound::new(config.git.ca_file.as_deref()).map_err(|error| error.to_string())?,
                    Arc::new(SystemClock),
                );
                let token = github.token(&app).await.map_err(|error| error.to_string())?;
                Auth::Password { username: crate::sync::TOKEN_USER.to_owned(), password: token.to_string() }
            }
        };
        let folder = config.data.data_dir.join("git");
        let git = Git::new(git::Options {
            program: None,
            folder: folder.clone(),
            deadline: REMOTE,
            test_deadline: REMOTE,
            ca_file: config.git.ca_file.clone(),
        });
        let job = git::Job {
            mirror: git.mirror(&url),
            url: url.clone(),
            host: address.host,
            branch: source.branch.clone(),
            auth,
            test: true,
            commits: config.data.data_dir.join("commits"),
            subdir: source.subdir.clone(),
            live: None,
        };
        git.test(&job).await.map_err(|error| error.to_string())
    };
    match asked.await {
        Ok(tested) => Check::ok(name, format!("{url}: {} is at {}", source.branch, tested.commit)),
        Err(error) => Check::fail(name, error, mend),
    }
}
