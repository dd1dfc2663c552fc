//! Who may read the repository, and who may say that there is something new: GitHub Apps, settings that are changed while the
//! server works, webhooks.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use fastflow_shared::{SyncAuth, SyncSettings, SyncSettingsChange, SyncStatus, SyncTest, WebhookAnswer, routes};
use fastflow_tests::git::{self, Door, HttpRemote, Repository};
use fastflow_tests::http::{self, Request, Response};
use fastflow_tests::wait::{PATIENCE, until};
use fastflow_tests::{Client, Options, Server};
use hmac::{Hmac, Mac as _};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio_rustls::TlsAcceptor;

fn repository(text: &str) -> Repository {
    let repository = Repository::new();
    repository.write("etl/main.py", &format!("print({text:?})"));
    repository.commit("First");
    repository
}

async fn status_when(client: &Client, what: &str, wanted: impl Fn(&SyncStatus) -> bool) -> SyncStatus {
    let look = async || Some(client.fetch::<SyncStatus>(routes::SYNC_STATUS).await).filter(|status| wanted(status));
    until(what, PATIENCE, look).await
}

/// A stand-in for GitHub's API: it checks what GitHub checks and hands out tokens.
#[derive(Default)]
struct Stand {
    /// What it was asked and how it judged.
    calls: Vec<Result<String, String>>,
    /// How many of the next tokens have expired already.
    expired: usize,
}

fn judge(request: &Request, public_key: &str) -> Result<String, String> {
    if request.path != "/app/installations/4711/access_tokens" || request.method != "POST" {
        return Err(format!("404 {} {}", request.method, request.path));
    }
    let token = request.headers.get("authorization").and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
    let key = DecodingKey::from_rsa_pem(public_key.as_bytes()).expect("a public key");
    let mut validation = Validation::new(Algorithm::RS256);
    validation.leeway = 0;
    validation.set_required_spec_claims(&["exp", "iss"]);
    validation.set_issuer(&["99"]);
    let claims =
        jsonwebtoken::decode::<Value>(token, &key, &validation).map_err(|error| format!("401 {error}"))?.claims;
    let (now, number) = (chrono::Utc::now().timestamp(), |name: &str| claims[name].as_i64().unwrap_or_default());
    if number("iat") > now || number("exp") > now + 600 || number("exp") - number("iat") > 660 {
        return Err(format!("401 times {claims}"));
    }
    Ok("201".to_owned())
}

pub(super) struct GithubApi {
    pub(super) url: String,
    pub(super) private_key: String,
    state: Arc<Mutex<Stand>>,
}

pub(super) async fn github(folder: &Path, tls: Option<TlsAcceptor>) -> GithubApi {
    fs::create_dir_all(folder).expect("a folder");
    git::key(folder, "app", &["-t", "rsa", "-b", "2048", "-m", "PEM"]);
    let private_key = fs::read_to_string(folder.join("app")).expect("a key");
    let public_key =
        std::process::Command::new("ssh-keygen").args(["-e", "-m", "PEM", "-f"]).arg(folder.join("app")).output();
    let public_key = String::from_utf8(public_key.expect("ssh-keygen").stdout).expect("text");
    fs::remove_file(folder.join("app")).expect("removed");
    let state = Arc::new(Mutex::new(Stand::default()));
    let shared = state.clone();
    let handler: http::Handler = Arc::new(move |request| {
        let (state, public_key) = (shared.clone(), public_key.clone());
        Box::pin(async move {
            let judged = judge(&request, &public_key);
            let mut state = state.lock().expect("not poisoned");
            state.calls.push(judged.clone());
            match judged {
                Err(why) => Response::json(why[..3].parse().expect("a status"), &json!({ "message": why })),
                Ok(_) => {
                    let number = state.calls.len();
                    let life = if state.expired > 0 { -60 } else { 3600 };
                    state.expired = state.expired.saturating_sub(1);
                    let end = chrono::Utc::now() + chrono::TimeDelta::seconds(life);
                    Response::json(
                        201,
                        &json!({ "token": format!("ghs_story_{number}"), "expires_at": end.to_rfc3339() }),
                    )
                }
            }
        })
    });
    let url = match tls {
        None => http::serve(handler).await,
        Some(tls) => http::serve_tls(handler, tls).await,
    };
    GithubApi { url, private_key, state }
}

#[tokio::test]
async fn a_github_app_reads_the_repository_with_one_token_an_hour() {
    let repository = repository("by the app");
    let remote = HttpRemote::serve(&repository, Door::Password("ghs_story_2".to_owned())).await;
    let mut server = Server::start(Options::new()).await;
    let api = github(&server.root().join("github"), None).await;
    // The first token has expired already when it arrives.
    api.state.lock().expect("not poisoned").expired = 1;
    let client = server.client();
    let mut change = SyncSettingsChange {
        repository_url: Some(remote.url.clone()),
        auth: SyncAuth::GithubApp,
        github_app_id: Some("99".to_owned()),
        github_installation_id: Some("4711".to_owned()),
        github_api_url: Some(api.url.clone()),
        github_private_key: Some(api.private_key.clone()),
        ..SyncSettingsChange::default()
    };
    let saved: SyncSettings = client.write(Method::PUT, routes::SYNC_SETTINGS, &change).await.expect(200).json();
    assert!(saved.saved && saved.github_private_key_set);
    let told = status_when(client, "the app's sync", |status| status.commit.is_some() && !status.running).await;
    assert_eq!(told.last_error, None);
    for _ in 0..5 {
        let _ = client.post(routes::SYNC).await.expect(200);
    }
    let calls = api.state.lock().expect("not poisoned").calls.clone();
    assert_eq!(calls, [Ok("201".to_owned()), Ok("201".to_owned())], "one that had expired, one for all syncs");

    // Revoked before its time: it is replaced once.
    remote.door(Door::Password("ghs_story_3".to_owned()));
    let _ = client.post(routes::SYNC).await.expect(200);
    assert_eq!(api.state.lock().expect("not poisoned").calls.len(), 3);
    remote.door(Door::Password("nobody".to_owned()));
    let _ = client.post(routes::SYNC).await.problem(409, "credentials_rejected");
    assert_eq!(api.state.lock().expect("not poisoned").calls.len(), 4, "no endless asking");

    // What is wrong is said, and nothing is saved by a test.
    change.github_installation_id = Some("1".to_owned());
    let test: SyncTest = client.write(Method::POST, routes::SYNC_TEST, &change).await.expect(200).json();
    assert!(!test.ok && test.message.contains("Installation ID"), "{test:?}");
    change.github_installation_id = Some("4711".to_owned());
    change.github_app_id = Some("100".to_owned());
    let test: SyncTest = client.write(Method::POST, routes::SYNC_TEST, &change).await.expect(200).json();
    assert!(!test.ok && test.message.contains("App ID"), "{test:?}");
    change.github_private_key = Some("nonsense".to_owned());
    let problem = client.write(Method::POST, routes::SYNC_TEST, &change).await.problem(422, "invalid_settings");
    assert_eq!(problem.errors[0].field, "github_private_key");
    assert_eq!(client.fetch::<SyncSettings>(routes::SYNC_SETTINGS).await.github_app_id, "99");

    // Neither the key nor a token lies anywhere, also after a restart.
    server.restart().await;
    remote.door(Door::Open);
    let _ = server.client().post(routes::SYNC).await.expect(200);
    let line = api.private_key.lines().nth(5).expect("a line of the key").to_owned();
    for secret in ["ghs_story_", &line] {
        assert_eq!(super::sync::holds(server.root(), secret), None);
        for path in [routes::SYNC_STATUS, routes::SYNC_SETTINGS, routes::SYNC_HISTORY] {
            assert!(!server.client().get(path).await.expect(200).text().contains(secret), "{path}");
        }
    }
}

#[tokio::test]
async fn settings_are_changed_tested_and_forgotten_while_the_server_works() {
    const TOKEN: &str = "s3ttings-t0ken-of-the-story";
    let repository = repository("from git");
    let remote = HttpRemote::serve(&repository, Door::Password(TOKEN.to_owned())).await;
    let server = Server::start(Options::new()).await;
    server.pipeline("plain", "print('plain')");
    let client = server.client();
    let _ = client.post(routes::SYNC).await.expect(200);
    assert_eq!(client.log_text(&client.run_well("plain").await.id).await, "plain\n");
    let branch = fastflow_shared::StartSync { branch: Some("main".to_owned()) };
    let _ = client.write(Method::POST, routes::SYNC, &branch).await.problem(409, "no_repository");

    let mut change = SyncSettingsChange {
        repository_url: Some(remote.url.clone()),
        auth: SyncAuth::Token,
        token: Some("wrong".to_owned()),
        ..SyncSettingsChange::default()
    };
    let test: SyncTest = client.write(Method::POST, routes::SYNC_TEST, &change).await.expect(200).json();
    assert_eq!((test.ok, test.code.as_deref()), (false, Some("credentials_rejected")), "{test:?}");
    change.token = Some(TOKEN.to_owned());
    change.branch = Some("none".to_owned());
    let test: SyncTest = client.write(Method::POST, routes::SYNC_TEST, &change).await.expect(200).json();
    assert_eq!(test.code.as_deref(), Some("branch_not_found"), "{test:?}");
    change.branch = None;
    let test: SyncTest = client.write(Method::POST, routes::SYNC_TEST, &change).await.expect(200).json();
    assert!(test.ok && test.commit.is_some(), "{test:?}");

    let answer = client.write(Method::PUT, routes::SYNC_SETTINGS, &change).await.expect(200);
    assert!(!answer.text().contains(TOKEN));
    assert!(answer.json::<SyncSettings>().token_set);
    status_when(client, "the new source", |status| {
        status.source == "git" && status.commit.is_some() && !status.running
    })
    .await;
    assert_eq!(client.log_text(&client.run_well("etl").await.id).await, "from git\n");
    let _ = client.try_start("plain").await.problem(404, "pipeline_not_found");

    // Kept when it is not given again, but not for another host.
    change.token = None;
    let _ = client.write(Method::PUT, routes::SYNC_SETTINGS, &change).await.expect(200);
    let elsewhere = SyncSettingsChange { repository_url: Some("https://evil.example/r".to_owned()), ..change };
    let problem = client.write(Method::POST, routes::SYNC_TEST, &elsewhere).await.problem(422, "invalid_settings");
    assert_eq!(problem.errors[0].field, "token");
    assert_eq!(super::sync::holds(server.root(), TOKEN), None);

    let _ = client.send(client.request(Method::DELETE, routes::SYNC_SETTINGS)).await.expect(200);
    status_when(client, "the plain folder again", |status| status.source == "folder" && status.pipelines == 1).await;
    assert_eq!(client.log_text(&client.run_well("plain").await.id).await, "plain\n");
}

fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn a_push_that_is_told_starts_a_sync_once_and_only_with_proof() {
    const SECRET: &str = "a secret of the webhook";
    let repository = repository("one");
    let remote = HttpRemote::serve(&repository, Door::Open).await;
    let options = Options::new().env("PIPELINES_REPO_URL", &remote.url).env("SYNC_WEBHOOK_SECRET", SECRET);
    let server = Server::start(options).await;
    let (client, stranger) = (server.client(), server.anonymous());
    status_when(client, "the first sync", |status| status.commit.is_some() && !status.running).await;
    let send = async |headers: &[(&str, &str)], body: &str| {
        let mut request =
            stranger.request(Method::POST, routes::SYNC_WEBHOOK).header("Content-Type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        stranger.send(request.body(body.to_owned())).await
    };
    let github = async |event: &str, id: &str, body: &str, signature: &str| {
        let headers = [("X-GitHub-Event", event), ("X-GitHub-Delivery", id), ("X-Hub-Signature-256", signature)];
        send(&headers, body).await
    };
    let push = |number: u32| json!({ "ref": "refs/heads/main", "number": number }).to_string();

    repository.write("etl/main.py", "print('two')");
    let commit = repository.commit("Second");
    let (body, proof) = (push(1), signature(SECRET, &push(1)));
    for wrong in ["", "sha256=", "sha256=00", &signature("another", &body), &proof[7..]] {
        let _ = github("push", "1", &body, wrong).await.problem(401, "webhook_refused");
    }
    let _ = send(&[], &body).await.problem(401, "webhook_refused");
    let _ = send(&[("X-Gitlab-Token", "wrong")], &body).await.problem(401, "webhook_refused");
    assert_ne!(client.fetch::<SyncStatus>(routes::SYNC_STATUS).await.commit.as_ref(), Some(&commit));

    let ping: WebhookAnswer = github("ping", "0", "{}", &signature(SECRET, "{}")).await.expect(200).json();
    assert!(!ping.sync_started);
    let other = json!({ "ref": "refs/heads/other" }).to_string();
    let other: WebhookAnswer = github("push", "2", &other, &signature(SECRET, &other)).await.expect(200).json();
    assert!(!other.sync_started);
    let _ = github("push", "3", "[", &signature(SECRET, "[")).await.problem(400, "webhook_malformed");

    let answer: WebhookAnswer = github("push", "4", &body, &proof).await.expect(200).json();
    assert!(answer.sync_started, "{answer:?}");
    status_when(client, "the pushed commit", |status| status.commit.as_ref() == Some(&commit)).await;
    for id in ["4", "another id"] {
        let again: WebhookAnswer = github("push", id, &body, &proof).await.expect(200).json();
        assert!(!again.sync_started && again.message.contains("already"), "{again:?}");
    }

    repository.write("etl/main.py", "print('three')");
    let commit = repository.commit("Third");
    let headers = [("X-Gitlab-Token", SECRET), ("X-Gitlab-Event", "Push Hook"), ("Idempotency-Key", "k")];
    assert!(send(&headers, &push(2)).await.expect(200).json::<WebhookAnswer>().sync_started);
    status_when(client, "GitLab's commit", |status| status.commit.as_ref() == Some(&commit)).await;
    assert!(!send(&headers, &push(2)).await.expect(200).json::<WebhookAnswer>().sync_started);
    assert_eq!(super::sync::holds(server.root(), SECRET), None);
}
