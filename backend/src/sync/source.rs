//! Where code comes from: what the environment says, what was saved over it, and how a change is checked. Credentials are
//! sealed in the database, and shown to nobody.

use std::fmt;

use fastflow_shared::{FieldProblem, SyncAuth, SyncSettings, SyncSettingsChange};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::crypto::{Keyring, check_private_key};
use crate::domain::repository::{Address, Scheme, check_branch, clean_subdir};
use crate::github::App;

/// User name that GitHub wants with a token, and that others take as well.
pub const TOKEN_USER: &str = "x-access-token";

/// GitHub's own API.
pub const GITHUB_API: &str = "https://api.github.com";

/// Longest credential.
const MAX_SECRET: usize = 64 * 1024;

/// Where code comes from and how we show who we are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// Address without any credential; `None` for a plain folder.
    pub repository_url: Option<String>,
    /// Branch that is followed.
    pub branch: String,
    /// Folder in the repository; empty for the whole.
    pub subdir: String,
    /// Seconds between two syncs that start by themselves; 0 for never.
    pub auto_sync_seconds: u64,
    /// Which credential is used.
    pub auth: SyncAuth,
    /// User name that goes with a token.
    pub username: String,
    /// Lines of a `known_hosts` file.
    pub ssh_known_hosts: String,
    /// Number of the GitHub App.
    pub github_app_id: String,
    /// Number of its installation.
    pub github_installation_id: String,
    /// Address of GitHub's API.
    pub github_api_url: String,
    /// What must not be seen.
    pub secrets: Secrets,
}

/// Credentials.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secrets {
    /// Token or password.
    pub token: Option<Zeroizing<String>>,
    /// Deploy key.
    pub ssh_key: Option<Zeroizing<String>>,
    /// The App's private key.
    pub github_private_key: Option<Zeroizing<String>>,
    /// Secret of the webhook.
    pub webhook_secret: Option<Zeroizing<String>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// Settings as they are stored. A credential that is absent comes from the environment; an empty one is none.
#[derive(Serialize, Deserialize)]
struct Stored {
    repository_url: Option<String>,
    branch: String,
    subdir: String,
    auto_sync_seconds: u64,
    auth: SyncAuth,
    username: String,
    ssh_known_hosts: String,
    github_app_id: String,
    github_installation_id: String,
    github_api_url: String,
    /// [`StoredSecrets`], sealed.
    sealed: String,
}

#[derive(Serialize, Deserialize, Default)]
struct StoredSecrets {
    token: Option<String>,
    ssh_key: Option<String>,
    github_private_key: Option<String>,
    webhook_secret: Option<String>,
}

impl Source {
    /// The document for the database.
    #[must_use]
    pub fn store(&self, keyring: &Keyring) -> String {
        let text =
            |secret: &Option<Zeroizing<String>>| Some(secret.as_ref().map_or_else(String::new, |s| s.to_string()));
        let Secrets { token, ssh_key, github_private_key, webhook_secret } = &self.secrets;
        let secrets = StoredSecrets {
            token: text(token),
            ssh_key: text(ssh_key),
            github_private_key: text(github_private_key),
            webhook_secret: text(webhook_secret),
        };
        let secrets = Zeroizing::new(serde_json::to_string(&secrets).unwrap_or_default());
        let stored = Stored {
            repository_url: self.repository_url.clone(),
            branch: self.branch.clone(),
            subdir: self.subdir.clone(),
            auto_sync_seconds: self.auto_sync_seconds,
            auth: self.auth,
            username: self.username.clone(),
            ssh_known_hosts: self.ssh_known_hosts.clone(),
            github_app_id: self.github_app_id.clone(),
            github_installation_id: self.github_installation_id.clone(),
            github_api_url: self.github_api_url.clone(),
            sealed: keyring.seal(&secrets),
        };
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// Settings that were saved over `environment`.
    ///
    /// # Errors
    /// Why they cannot be used.
    pub fn restore(document: &str, environment: &Self, keyring: &Keyring) -> Result<Self, String> {
        let stored: Stored = serde_json::from_str(document).map_err(|error| error.to_string())?;
        let opened = keyring.open(&stored.sealed).map_err(|error| error.to_string())?;
        let secrets: StoredSecrets = serde_json::from_str(&opened).map_err(|error| error.to_string())?;
        let pick = |stored: Option<String>, environment: &Option<Zeroizing<String>>| match stored {
            None => environment.clone(),
            Some(text) => Some(text).filter(|text| !text.is_empty()).map(Zeroizing::new),
        };
        let own = &environment.secrets;
        Ok(Self {
            repository_url: stored.repository_url,
            branch: stored.branch,
            subdir: stored.subdir,
            auto_sync_seconds: stored.auto_sync_seconds,
            auth: stored.auth,
            username: stored.username,
            ssh_known_hosts: stored.ssh_known_hosts,
            github_app_id: stored.github_app_id,
            github_installation_id: stored.github_installation_id,
            github_api_url: stored.github_api_url,
            secrets: Secrets {
                token: pick(secrets.token, &own.token),
                ssh_key: pick(secrets.ssh_key, &own.ssh_key),
                github_private_key: pick(secrets.github_private_key, &own.github_private_key),
                webhook_secret: pick(secrets.webhook_secret, &own.webhook_secret),
            },
        })
    }

    /// What may be shown.
    #[must_use]
    pub fn shown(&self, saved: bool) -> SyncSettings {
        let Secrets { token, ssh_key, github_private_key, webhook_secret } = &self.secrets;
        SyncSettings {
            saved,
            repository_url: self.repository_url.clone(),
            branch: self.branch.clone(),
            subdir: self.subdir.clone(),
            auto_sync_seconds: i64::try_from(self.auto_sync_seconds).unwrap_or(i64::MAX),
            auth: self.auth,
            username: self.username.clone(),
            token_set: token.is_some(),
            ssh_key_set: ssh_key.is_some(),
            ssh_known_hosts: self.ssh_known_hosts.clone(),
            github_app_id: self.github_app_id.clone(),
            github_installation_id: self.github_installation_id.clone(),
            github_api_url: self.github_api_url.clone(),
            github_private_key_set: github_private_key.is_some(),
            webhook_secret_set: webhook_secret.is_some(),
        }
    }

    /// These settings with a change.
    ///
    /// # Errors
    /// Every field that is wrong, and how to mend it.
    pub fn changed(&self, change: &SyncSettingsChange) -> Result<Self, Vec<FieldProblem>> {
        let mut problems = Vec::new();
        let mut wrong = |field: &str, message: String| problems.push(FieldProblem { field: field.to_owned(), message });
        let text = |given: &Option<String>| given.as_deref().unwrap_or_default().trim().to_owned();
        let or = |given: &Option<String>, default: &str| {
            Some(text(given)).filter(|t| !t.is_empty()).unwrap_or(default.to_owned())
        };

        let mut pasted = None;
        let mut address = None;
        if !text(&change.repository_url).is_empty() {
            match Address::parse(&text(&change.repository_url)) {
                Ok((found, password)) => {
                    address = Some(found);
                    pasted = password;
                }
                Err(message) => wrong("repository_url", message),
            }
        }
        let branch = or(&change.branch, "main");
        check_branch(&branch).unwrap_or_else(|message| wrong("branch", message));
        let subdir = clean_subdir(&text(&change.subdir)).unwrap_or_else(|message| {
            wrong("subdir", message);
            String::new()
        });
        let auto_sync_seconds = change.auto_sync_seconds.unwrap_or_default();
        if auto_sync_seconds != 0 && !(5..=31_536_000).contains(&auto_sync_seconds) {
            wrong("auto_sync_seconds", "0 for never, or from 5 seconds to a year".to_owned());
        }
        let github_api_url = or(&change.github_api_url, GITHUB_API);
        if !github_api_url.starts_with("https://") && !github_api_url.starts_with("http://") {
            wrong("github_api_url", "an address like https://api.github.com".to_owned());
        }
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');

        // A credential that is kept must not be sent to somebody else: who may change the address need not know it.
        let host = |url: &str| Address::parse(url).map(|(address, _)| address.host).unwrap_or_default();
        let (old, new) = (self.repository_url.as_deref().map(host), address.as_ref().map(|a| a.host.clone()));
        let moved = old.is_some() && new.is_some() && old != new;
        let api_moved = self.secrets.github_private_key.is_some() && self.github_api_url != github_api_url;
        let mut secret =
            |field: &str, given: Option<&str>, kept: &Option<Zeroizing<String>>, moved: bool, used: bool| match given {
                Some(text) if text.len() > MAX_SECRET => {
                    wrong(field, format!("longer than {MAX_SECRET} bytes"));
                    None
                }
                Some(text) => {
                    Some(text.trim()).filter(|text| !text.is_empty()).map(|text| Zeroizing::new(text.to_owned()))
                }
                None if moved && used && kept.is_some() => {
                    wrong(field, "the address leads to another host now: give the credential again".to_owned());
                    None
                }
                None => kept.clone(),
            };
        let own = &self.secrets;
        let token = change.token.as_deref().or(pasted.as_ref().map(|text| text.as_str()));
        let token = secret("token", token, &own.token, moved, change.auth == SyncAuth::Token);
        let ssh_key =
            secret("ssh_key", change.ssh_key.as_deref(), &own.ssh_key, moved, change.auth == SyncAuth::SshKey);
        let app_key = change.github_private_key.as_deref();
        let is_app = change.auth == SyncAuth::GithubApp;
        let github_private_key =
            secret("github_private_key", app_key, &own.github_private_key, moved || api_moved, is_app);
        let webhook_secret =
            secret("webhook_secret", change.webhook_secret.as_deref(), &own.webhook_secret, false, false);
        if webhook_secret.as_ref().is_some_and(|text| text.len() < 16) {
            wrong("webhook_secret", "at least 16 characters: everybody may try to guess it".to_owned());
        }

        let scheme = address.as_ref().map(|address| address.scheme);
        let is_http = matches!(scheme, Some(Scheme::Http | Scheme::Https));
        match change.auth {
            SyncAuth::None => {}
            SyncAuth::Token => {
                if token.is_none() {
                    wrong("token", "give a token".to_owned());
                }
                if scheme.is_some() && !is_http {
                    wrong("auth", "a token is for addresses that begin with https://".to_owned());
                }
            }
            SyncAuth::GithubApp => {
                if scheme.is_some() && !is_http {
                    wrong("auth", "a GitHub App is for addresses that begin with https://".to_owned());
                }
                if !digits(&text(&change.github_app_id)) {
                    wrong("github_app_id", "the App ID, from the App's settings page".to_owned());
                }
                let installation = text(&change.github_installation_id);
                if installation.is_empty() || !installation.bytes().all(|byte| byte.is_ascii_digit()) {
                    wrong("github_installation_id", "the number at the end of the installation's address".to_owned());
                }
                match &github_private_key {
                    None => wrong("github_private_key", "give the App's private key (PEM)".to_owned()),
                    Some(key) => {
                        if let Err(error) = check_private_key(key) {
                            wrong("github_private_key", error.to_string());
                        }
                    }
                }
            }
            SyncAuth::SshKey => {
                if scheme.is_some() && scheme != Some(Scheme::Ssh) {
                    wrong("auth", "a deploy key is for addresses like git@host:path".to_owned());
                }
                match &ssh_key {
                    None => wrong("ssh_key", "give the deploy key".to_owned()),
                    Some(key) if !key.contains("PRIVATE KEY-----") => {
                        wrong("ssh_key", "the private key as in its file, from -----BEGIN on".to_owned());
                    }
                    Some(key) if key.contains("ENCRYPTED") => {
                        wrong("ssh_key", "a key with a passphrase cannot be used: make one without".to_owned());
                    }
                    Some(_) => {}
                }
                if text(&change.ssh_known_hosts).is_empty() {
                    wrong(
                        "ssh_known_hosts",
                        "the server's host keys: what `ssh-keyscan HOST` prints, compared".to_owned(),
                    );
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let username = address.as_ref().filter(|_| is_http).and_then(|address| address.username.clone());
        Ok(Self {
            repository_url: address.map(|address| address.url),
            branch,
            subdir,
            auto_sync_seconds: auto_sync_seconds.unsigned_abs(),
            auth: change.auth,
            username: username.unwrap_or_else(|| or(&change.username, TOKEN_USER)),
            ssh_known_hosts: text(&change.ssh_known_hosts),
            github_app_id: text(&change.github_app_id),
            github_installation_id: text(&change.github_installation_id),
            github_api_url,
            secrets: Secrets { token, ssh_key, github_private_key, webhook_secret },
        })
    }

    /// The App's installation, when that is what is used.
    #[must_use]
    pub fn app(&self) -> Option<App> {
        (self.auth == SyncAuth::GithubApp).then(|| App {
            id: self.github_app_id.clone(),
            installation: self.github_installation_id.clone(),
            private_key: self.secrets.github_private_key.clone().unwrap_or_default(),
            api_url: self.github_api_url.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring() -> Keyring {
        Keyring::parse("cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=", "test").expect("a key")
    }

    fn change(url: &str, auth: SyncAuth) -> SyncSettingsChange {
        SyncSettingsChange { repository_url: Some(url.to_owned()), auth, ..SyncSettingsChange::default() }
    }

    fn fields(result: Result<Source, Vec<FieldProblem>>) -> Vec<String> {
        result.expect_err("must be refused").into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn a_pasted_token_leaves_the_address_and_is_sealed() {
        let source = Source::default().changed(&change("https://me:t0psecret@h/r.git", SyncAuth::Token)).expect("good");
        assert_eq!(source.repository_url.as_deref(), Some("https://h/r.git"));
        assert_eq!((source.username.as_str(), source.branch.as_str()), ("me", "main"));
        let document = source.store(&keyring());
        let shown = serde_json::to_string(&source.shown(true)).expect("JSON");
        for text in [&document, &shown, &format!("{source:?}")] {
            assert!(!text.contains("t0psecret"), "{text}");
        }
        let back = Source::restore(&document, &Source::default(), &keyring()).expect("opens");
        assert_eq!(back, source);
    }

    #[test]
    fn a_credential_stays_goes_or_is_asked_for_again() {
        let first = Source::default()
            .changed(&SyncSettingsChange { token: Some("one".into()), ..change("https://h/r", SyncAuth::Token) })
            .expect("good");
        let kept = first.changed(&change("https://h/other", SyncAuth::Token)).expect("the same host");
        assert_eq!(kept.secrets, first.secrets);
        assert_eq!(fields(first.changed(&change("https://evil/r", SyncAuth::Token))), ["token", "token"]);
        let gone =
            first.changed(&SyncSettingsChange { token: Some(String::new()), ..change("https://h/r", SyncAuth::None) });
        assert_eq!(gone.expect("good").secrets.token, None);
    }

    #[test]
    fn every_wrong_field_is_named() {
        let all = SyncSettingsChange {
            repository_url: Some("git://h/r".into()),
            branch: Some("a..b".into()),
            subdir: Some("../x".into()),
            auto_sync_seconds: Some(1),
            auth: SyncAuth::SshKey,
            webhook_secret: Some("short".into()),
            ..SyncSettingsChange::default()
        };
        assert_eq!(
            fields(Source::default().changed(&all)),
            ["repository_url", "branch", "subdir", "auto_sync_seconds", "webhook_secret", "ssh_key", "ssh_known_hosts"]
        );
        let app = SyncSettingsChange { github_private_key: Some("x".into()), ..change("git@h:r", SyncAuth::GithubApp) };
        assert_eq!(
            fields(Source::default().changed(&app)),
            ["auth", "github_app_id", "github_installation_id", "github_private_key"]
        );
    }
}
