//! A git server and a GitHub whose certificates come from a company's own authority.

use fastflow_shared::{SyncAuth, SyncSettingsChange, SyncStatus, SyncTest, routes};
use fastflow_tests::authority::Authority;
use fastflow_tests::git::{Door, HttpRemote, Repository};
use fastflow_tests::wait::{PATIENCE, until};
use fastflow_tests::{Client, Options, Server};
use reqwest::Method;

const TOKEN: &str = "t0ken-over-tls-of-the-story";

async fn status_when(client: &Client, what: &str, wanted: impl Fn(&SyncStatus) -> bool) -> SyncStatus {
    let look = async || Some(client.fetch::<SyncStatus>(routes::SYNC_STATUS).await).filter(|s| !s.running && wanted(s));
    until(what, PATIENCE, look).await
}

async fn tested(client: &Client, change: &SyncSettingsChange) -> SyncTest {
    client.write(Method::POST, routes::SYNC_TEST, change).await.expect(200).json()
}

#[tokio::test]
async fn over_https_with_an_authority_of_ones_own() {
    let repository = Repository::new();
    repository.write("etl/main.py", "print('over https')");
    let commit = repository.commit("First");
    let (company, stranger) = (Authority::new(), Authority::new());
    let door = Door::Password(TOKEN.to_owned());
    let remote = HttpRemote::serve_tls(&repository, door.clone(), company.server("IP:127.0.0.1")).await;
    let options = Options::new().env("PIPELINES_REPO_URL", &remote.url).env("GIT_TOKEN", TOKEN);
    let mut server = Server::start(options).await;

    // Nobody vouches for it: no code, no credential for whoever that is, and what to do.
    let told = status_when(server.client(), "the first sync", |status| status.last_sync_at.is_some()).await;
    assert_eq!((told.last_error_code.as_deref(), told.commit), (Some("host_not_trusted"), None));
    let words = told.last_error.expect("words");
    assert!(words.contains("certificate of 127.0.0.1") && words.contains("GIT_CA_FILE"), "{words}");
    assert_eq!(remote.passwords(), Vec::<String>::new());

    let authority = company.file().to_str().expect("UTF-8").to_owned();
    server.options.env.insert("GIT_CA_FILE".to_owned(), authority);
    server.restart().await;
    let client = server.client();
    let told = status_when(client, "the sync that trusts", |status| status.commit.is_some()).await;
    assert_eq!((told.commit, told.last_error), (Some(commit), None));
    let run = client.run_well("etl").await;
    assert_eq!(client.log_text(&run.id).await, "over https\n");

    // The right authority and another name, the right name and another authority.
    for tls in [company.server("DNS:git.example.org"), stranger.server("IP:127.0.0.1")] {
        let wrong = HttpRemote::serve_tls(&repository, door.clone(), tls).await;
        let change = SyncSettingsChange {
            repository_url: Some(wrong.url.clone()),
            auth: SyncAuth::Token,
            token: Some(TOKEN.to_owned()),
            ..SyncSettingsChange::default()
        };
        let test = tested(client, &change).await;
        assert!(!test.ok && test.message.contains("certificate"), "{test:?}");
        assert_eq!(wrong.passwords(), Vec::<String>::new());
    }

    // GitHub Enterprise: its API is behind the same authority.
    let door = Door::Password("ghs_story_1".to_owned());
    let remote = HttpRemote::serve_tls(&repository, door, company.server("IP:127.0.0.1")).await;
    let mut change = SyncSettingsChange {
        repository_url: Some(remote.url.clone()),
        auth: SyncAuth::GithubApp,
        github_app_id: Some("99".to_owned()),
        github_installation_id: Some("4711".to_owned()),
        ..SyncSettingsChange::default()
    };
    for (authority, works) in [(&stranger, false), (&company, true)] {
        let api =
            super::sync_settings::github(&server.root().join("github"), Some(authority.server("IP:127.0.0.1"))).await;
        change.github_api_url = Some(api.url.clone());
        change.github_private_key = Some(api.private_key.clone());
        let test = tested(client, &change).await;
        assert_eq!(test.ok, works, "{test:?}");
        assert!(works || test.message.contains("GIT_CA_FILE"), "{test:?}");
        std::fs::remove_dir_all(server.root().join("github")).expect("removed");
    }

    // What is no certificate stops the start with the setting's name.
    server.kill9();
    let nonsense = server.root().join("nonsense.pem");
    std::fs::write(&nonsense, "nothing").expect("written");
    server.options.env.insert("GIT_CA_FILE".to_owned(), nonsense.to_str().expect("UTF-8").to_owned());
    let (code, printed) = server.call(&["serve"]);
    assert!(code.is_some_and(|code| code != 0) && printed.contains("GIT_CA_FILE"), "{code:?} {printed}");
}
