//! Fetches a branch into the bare mirror. Runs in the helper process.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use git2::cert::Cert;
use git2::{
    AutotagOption, CertificateCheckStatus, Cred, CredentialType, Direction, ErrorClass, ErrorCode, FetchOptions, Oid,
    ProxyOptions, RemoteCallbacks, RemoteRedirect, Repository,
};

use super::Head;
use super::job::{Auth, Fault, FaultKind, Job, Tested};

/// Time between two lines about a fetch that takes long.
const PROGRESS: Duration = Duration::from_secs(2);

/// Branches that are named when the wanted one is missing.
const NAMED: usize = 10;

/// What the callbacks found out: libgit2 passes on only a text.
#[derive(Default)]
struct Notes {
    refused: Cell<bool>,
    untrusted: RefCell<Option<String>>,
}

/// Asks where the branch is, and nothing more.
pub(super) fn test(job: &Job) -> Result<Tested, Fault> {
    let notes = Rc::new(Notes::default());
    let mut remote = git2::Remote::create_detached(job.url.as_str()).map_err(|error| fault(job, &notes, &error))?;
    let mut proxy = ProxyOptions::new();
    proxy.auto();
    let connection = remote
        .connect_auth(Direction::Fetch, Some(callbacks(job, &notes)), Some(proxy))
        .map_err(|error| fault(job, &notes, &error))?;
    let tip = tip(connection.list().map_err(|error| fault(job, &notes, &error))?, &job.branch)?;
    Ok(Tested { commit: tip.to_string() })
}

/// Brings the mirror up to date; the remote always wins. Returns the mirror and where the branch is.
pub(super) fn fetch(job: &Job, log: &mut dyn FnMut(String)) -> Result<(Repository, Oid), Fault> {
    match fetch_once(job, log) {
        // Something in the mirror is broken, by a crash or a full disk: it is only a copy, so it is made anew.
        Err(Failed::Mirror(fault)) => {
            log(format!("the mirror cannot be used ({fault}): it is made anew"));
            std::fs::remove_dir_all(&job.mirror).map_err(|error| Fault::io("the mirror cannot be removed", &error))?;
            fetch_once(job, log).map_err(|failed| match failed {
                Failed::Mirror(fault) | Failed::Remote(fault) => fault,
            })
        }
        Err(Failed::Remote(fault)) => Err(fault),
        Ok(done) => Ok(done),
    }
}

enum Failed {
    Mirror(Fault),
    Remote(Fault),
}

fn fetch_once(job: &Job, log: &mut dyn FnMut(String)) -> Result<(Repository, Oid), Failed> {
    let notes = Rc::new(Notes::default());
    let repository = open(&job.mirror)?;
    let remote_fault = |error: &git2::Error| Failed::Remote(fault(job, &notes, error));
    let tip = {
        let mut remote = repository.remote_anonymous(&job.url).map_err(|error| remote_fault(&error))?;
        let mut proxy = ProxyOptions::new();
        proxy.auto();
        let mut connection = remote
            .connect_auth(Direction::Fetch, Some(callbacks(job, &notes)), Some(proxy))
            .map_err(|error| remote_fault(&error))?;
        let tip = tip(connection.list().map_err(|error| remote_fault(&error))?, &job.branch).map_err(Failed::Remote)?;
        let reference = format!("refs/heads/{}", job.branch);
        let known = repository.refname_to_id(&reference).ok();
        if known == Some(tip) && repository.find_commit(tip).is_ok() {
            log(format!("nothing new on {}: it is at {}", job.branch, short(tip)));
        } else {
            log(format!("fetching {} from {}", job.branch, job.url));
            let mut callbacks = callbacks(job, &notes);
            // The log is told afterwards: libgit2's callback may not hold on to it.
            let lines = Rc::new(RefCell::new(Vec::new()));
            let (told, last) = (lines.clone(), Cell::new(Instant::now()));
            callbacks.transfer_progress(move |progress| {
                if last.get().elapsed() >= PROGRESS {
                    last.set(Instant::now());
                    told.borrow_mut().push(format!(
                        "received {} of {} objects",
                        progress.received_objects(),
                        progress.total_objects()
                    ));
                }
                true
            });
            let mut options = FetchOptions::new();
            options
                .remote_callbacks(callbacks)
                .download_tags(AutotagOption::None)
                .update_fetchhead(false)
                .follow_redirects(RemoteRedirect::None);
            let refspec = format!("+{reference}:{reference}");
            let fetched = connection.remote().fetch(&[&refspec], Some(&mut options), None);
            drop(options);
            lines.take().into_iter().for_each(&mut *log);
            fetched.map_err(|error| match error.class() {
                ErrorClass::Odb | ErrorClass::Reference | ErrorClass::Repository if !is_full(&error) => {
                    Failed::Mirror(fault(job, &notes, &error))
                }
                _ => remote_fault(&error),
            })?;
            let stats = connection.remote().stats();
            log(format!("received {} objects, {} bytes", stats.received_objects(), stats.received_bytes()));
        }
        tip
    };
    Ok((repository, tip))
}

fn open(path: &Path) -> Result<Repository, Failed> {
    if path.join("HEAD").exists() {
        return Repository::open_bare(path).map_err(|error| {
            Failed::Mirror(Fault::new(FaultKind::Other, format!("the mirror cannot be opened: {}", error.message())))
        });
    }
    Repository::init_bare(path).map_err(|error| {
        let kind = if is_full(&error) { FaultKind::DiskFull } else { FaultKind::Other };
        Failed::Remote(Fault::new(kind, format!("the mirror {} cannot be made: {}", path.display(), error.message())))
    })
}

fn tip(heads: &[git2::RemoteHead<'_>], branch: &str) -> Result<Oid, Fault> {
    let wanted = format!("refs/heads/{branch}");
    if let Some(head) = heads.iter().find(|head| head.name() == wanted) {
        return Ok(head.oid());
    }
    let mut others: Vec<&str> = heads.iter().filter_map(|head| head.name().strip_prefix("refs/heads/")).collect();
    let more = others.len().saturating_sub(NAMED);
    others.truncate(NAMED);
    let others = match (others.is_empty(), more) {
        (true, _) => "it has no branch at all: push one first".to_owned(),
        (false, 0) => format!("it has {}", others.join(", ")),
        (false, more) => format!("it has {} and {more} more", others.join(", ")),
    };
    Err(Fault::new(FaultKind::Branch, format!("the repository has no branch {branch:?} (any more): {others}")))
}

fn callbacks(job: &Job, notes: &Rc<Notes>) -> RemoteCallbacks<'static> {
    let mut callbacks = RemoteCallbacks::new();
    let (auth, host, notes_here) = (job.auth.clone(), job.host.clone(), notes.clone());
    let asked = Cell::new(0_u32);
    callbacks.credentials(move |url, username, kinds| {
        asked.set(asked.get() + 1);
        let refuse = |why: &str| {
            notes_here.refused.set(true);
            Err(git2::Error::new(ErrorCode::Auth, ErrorClass::Callback, why))
        };
        // A server that asks again has refused what it was shown; asking for the ssh user's name is no refusal.
        if asked.get() > 2 || (asked.get() > 1 && kinds.contains(CredentialType::USER_PASS_PLAINTEXT)) {
            return refuse("refused");
        }
        if !is_host(url, &host) {
            return refuse("another host asked for the credential");
        }
        match &auth {
            Auth::Password { username, password } if kinds.contains(CredentialType::USER_PASS_PLAINTEXT) => {
                Cred::userpass_plaintext(username, password)
            }
            Auth::SshKey { .. } if kinds.contains(CredentialType::USERNAME) => {
                Cred::username(username.unwrap_or("git"))
            }
            Auth::SshKey { key, .. } if kinds.contains(CredentialType::SSH_KEY) => {
                Cred::ssh_key_from_memory(username.unwrap_or("git"), None, key, None)
            }
            _ => refuse("there is no credential of the kind that is asked for"),
        }
    });
    if let Auth::SshKey { known_hosts, .. } = &job.auth {
        let (known_hosts, host, notes) = (known_hosts.clone(), job.host.clone(), notes.clone());
        callbacks.certificate_check(move |cert, _| match untrusted(cert, &known_hosts, &host) {
            None => Ok(CertificateCheckStatus::CertificateOk),
            Some(why) => {
                notes.untrusted.replace(Some(why));
                Err(git2::Error::new(ErrorCode::Certificate, ErrorClass::Callback, "the host's key is not pinned"))
            }
        });
    }
    callbacks
}

/// Whether `url` leads to `host`.
fn is_host(url: &str, host: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let found = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    found.eq_ignore_ascii_case(host)
}

/// Why the key that an ssh server shows is none of those that are pinned.
fn untrusted(cert: &Cert<'_>, known_hosts: &str, host: &str) -> Option<String> {
    let Some(key) = cert.as_hostkey() else { return Some("the server showed no ssh host key".to_owned()) };
    let shown = key.hostkey().map(|raw| base64::engine::general_purpose::STANDARD.encode(raw));
    let pinned: Vec<&str> = known_hosts.lines().filter_map(pinned_key).collect();
    if pinned.is_empty() {
        return Some(format!(
            "no host key of {host} is pinned: save what `ssh-keyscan {host}` prints, after comparing it"
        ));
    }
    if shown.as_deref().is_some_and(|shown| pinned.contains(&shown)) {
        return None;
    }
    let print = key.hash_sha256().map_or_else(String::new, |hash| {
        format!(" SHA256:{}", base64::engine::general_purpose::STANDARD_NO_PAD.encode(hash))
    });
    let kind = key.hostkey_type().map_or("unknown", |kind| kind.short_name());
    Some(format!(
        "{host} showed the {kind} key{print}, which is none of the pinned ones: somebody may be in between, or the server has \
         a new key"
    ))
}

/// The key of a line `host type key comment` or `type key comment`, in base64.
fn pinned_key(line: &str) -> Option<&str> {
    let line = line.trim();
    if line.starts_with(['#', '@']) {
        return None;
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let kind = words.iter().position(|word| word.starts_with("ssh-") || word.starts_with("ecdsa-"))?;
    words.get(kind + 1).copied()
}

fn is_full(error: &git2::Error) -> bool {
    let text = error.message();
    text.contains("No space left") || text.contains("Disk quota")
}

/// What libgit2 says, as something that can be acted on.
fn fault(job: &Job, notes: &Notes, error: &git2::Error) -> Fault {
    let Job { url, .. } = job;
    let words = error.message().trim();
    if is_full(error) {
        return Fault::new(FaultKind::DiskFull, format!("the disk of the data folder is full: {words}"));
    }
    if let Some(why) = notes.untrusted.take() {
        return Fault::new(FaultKind::Untrusted, why);
    }
    let status = |code: &str| words.contains(&format!("status code: {code}"));
    let unauthorised = notes.refused.get() || error.code() == ErrorCode::Auth || status("401") || status("403");
    if unauthorised || words.contains("authentication required") {
        let why = match &job.auth {
            Auth::None => "it asks for a credential and none is set",
            Auth::Password { .. } => {
                "it refused the token: is it right, still valid, and allowed to read this repository?"
            }
            Auth::SshKey { .. } => "it refused the deploy key: is it added there, and of a kind without a passphrase?",
        };
        return Fault::new(FaultKind::Credentials, format!("{url} cannot be read: {why} ({words})"));
    }
    if error.code() == ErrorCode::Certificate || error.class() == ErrorClass::Ssl {
        return Fault::new(
            FaultKind::Untrusted,
            format!(
                "the certificate of {} is not trusted ({words}): it must be made for this name, be valid today, and come \
                 from an authority that this system knows or that GIT_CA_FILE names",
                job.host
            ),
        );
    }
    if error.class() == ErrorClass::Odb {
        return Fault::new(
            FaultKind::Other,
            format!("the repository at {url} is damaged ({words}): run git fsck there"),
        );
    }
    let missing = error.code() == ErrorCode::NotFound || status("404") || words.contains("failed to resolve path");
    if missing || words.contains("not found") && error.class() != ErrorClass::Net {
        return Fault::new(
            FaultKind::NotFound,
            format!("there is no repository at {url}, or the credential may not see it ({words})"),
        );
    }
    let kind = match error.class() {
        ErrorClass::Net | ErrorClass::Http | ErrorClass::Ssh | ErrorClass::Os => FaultKind::Unreachable,
        _ => FaultKind::Other,
    };
    Fault::new(kind, format!("{url} cannot be reached: {words}"))
}

/// The commit in words.
pub(super) fn describe(repository: &Repository, tip: Oid, branch: &str) -> Result<Head, Fault> {
    let commit = repository
        .find_commit(tip)
        .map_err(|error| Fault::new(FaultKind::Other, format!("the branch is at no commit: {}", error.message())))?;
    Ok(super::look::describe(&commit, Some(branch.to_owned())))
}

/// Commits that only the live one has, and that only the branch has.
pub(super) fn distance(repository: &Repository, live: Option<&str>, tip: Oid) -> (usize, usize) {
    let live = live.and_then(|live| Oid::from_str(live).ok());
    live.and_then(|live| repository.graph_ahead_behind(live, tip).ok()).unwrap_or_default()
}

pub(super) fn short(commit: Oid) -> String {
    commit.to_string()[..10].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_shown_to_its_host_alone() {
        assert!(is_host("https://git.example.org/r", "git.example.org"));
        assert!(is_host("ssh://git@Git.example.org:22/r", "git.example.org:22"));
        for other in [
            "https://git.example.org.evil.net/r",
            "https://evil.net/git.example.org",
            "https://git.example.org@evil.net/",
        ] {
            assert!(!is_host(other, "git.example.org"), "{other}");
        }
    }

    #[test]
    fn keys_are_found_in_lines_of_known_hosts() {
        assert_eq!(pinned_key("h ssh-ed25519 AAAA me"), Some("AAAA"));
        assert_eq!(pinned_key("[h]:22,1.2.3.4 ecdsa-sha2-nistp256 BBBB"), Some("BBBB"));
        assert_eq!(pinned_key("ssh-rsa CCCC"), Some("CCCC"));
        for none in ["", "# h ssh-rsa X", "h", "@revoked h ssh-rsa X", "h ssh-rsa"] {
            assert_eq!(pinned_key(none), None, "{none}");
        }
    }
}
