//! Who may come in. Passwords are checked here and nowhere else; everything behind the door asks for an [`Identity`].
//!
//! What holds: an unknown name and a wrong password get the same answer after the same time; guessing is slowed down for
//! the guesser and not for the owner of the name ([`limiter`]); an ended session opens nothing from that moment on; text
//! that is no token is "not logged in", never an error of the server.

mod cache;
mod limiter;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fastflow_shared::{Role, User};
use thiserror::Error;
use tracing::{info, warn};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::crypto::{Cost, PasswordError, Passwords, Token, readable_password};
use crate::domain::clock::{Millis, SharedClock};
use crate::store::{SessionKind, SessionRow, Store, StoreError, UserRow};
use cache::Cache;
use limiter::Limiter;
pub use limiter::{Limits, Rate};

/// Longest name of a user in bytes.
pub const MAX_USERNAME_BYTES: usize = 200;

/// Longest password in bytes: a limit for the hasher's sake that no passphrase reaches.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// Shorter passwords of the first user are warned of.
const SHORT_PASSWORD_CHARS: usize = 8;

/// A session's last use is written down this often at most.
const TOUCH_SECONDS: f64 = 60.0;

/// What is kept of a client's own name.
const MAX_USER_AGENT_CHARS: usize = 200;

/// How the door works.
#[derive(Clone)]
pub struct Options {
    /// Name of the first user.
    pub admin_username: String,
    /// Password of the first user; made when absent.
    pub admin_password: Option<Zeroizing<String>>,
    /// A session ends so long after its login, used or not.
    pub session_lifetime: Duration,
    /// A session ends when it was not used for so long.
    pub session_idle: Duration,
    /// How often a password may be tried.
    pub limits: Limits,
    /// What a password hash costs.
    pub cost: Cost,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("admin_username", &self.admin_username).finish_non_exhaustive()
    }
}

/// Why the door stays shut.
#[derive(Debug, Error)]
pub enum AuthError {
    /// No such user, wrong password, or the user is disabled: nobody is told which.
    #[error("the user name or the password is wrong")]
    InvalidCredentials,
    /// Too many wrong ones.
    #[error("too many attempts; try again in {retry_after} s")]
    TooManyAttempts {
        /// Seconds to wait.
        retry_after: u64,
    },
    /// No session, or no longer.
    #[error("not logged in")]
    Unauthenticated,
    /// The first user cannot be made with these settings.
    #[error("{0}")]
    FirstUser(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The hasher.
    #[error("the password cannot be checked")]
    Password(#[source] PasswordError),
}

/// Where a login comes from.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Its address.
    pub ip: Option<IpAddr>,
    /// What it calls itself.
    pub user_agent: Option<String>,
}

/// A session that has just begun. The only place in which its token is in clear.
#[derive(Debug)]
pub struct Session {
    /// For the client.
    pub token: Token,
    /// When it ends at the latest.
    pub expires_at: Millis,
    /// Whose it is.
    pub user: User,
}

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user: User,
    /// What the session was made for.
    pub kind: SessionKind,
    /// When the session ends at the latest.
    pub expires_at: Millis,
}

/// What became of the first user.
#[derive(Debug)]
pub enum FirstUser {
    /// There are users; nothing was done, and `ADMIN_PASSWORD` was not looked at.
    Present,
    /// Made.
    Created {
        /// Its name.
        username: String,
        /// The password, when it was made up. Exists nowhere else: show it once.
        generated: Option<Zeroizing<String>>,
    },
}

/// The door. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Auth(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    store: Store,
    clock: SharedClock,
    passwords: Passwords,
    limiter: Limiter,
    cache: Cache,
}

impl Auth {
    /// Prepares the door; computes one password hash.
    ///
    /// # Errors
    /// [`AuthError::Password`] when the cost makes no sense.
    pub fn new(options: Options, store: Store, clock: SharedClock) -> Result<Self, AuthError> {
        let passwords = Passwords::new(options.cost).map_err(AuthError::Password)?;
        let limiter = Limiter::new(options.limits);
        Ok(Self(Arc::new(Inner { options, store, clock, passwords, limiter, cache: Cache::default() })))
    }

    /// Makes the first user when there is none. Never changes one: a password set by its owner must survive a restart with
    /// an old `ADMIN_PASSWORD` in the environment.
    ///
    /// # Errors
    /// [`AuthError::FirstUser`] when name or password cannot be used, and those of database and hasher.
    pub async fn ensure_admin(&self) -> Result<FirstUser, AuthError> {
        let Inner { options, store, clock, passwords, .. } = &*self.0;
        if store.has_users().await? {
            if options.admin_password.is_some() {
                info!("ADMIN_PASSWORD is set but there are users already: it counts at the first start only");
            }
            return Ok(FirstUser::Present);
        }
        let username = options.admin_username.trim().to_owned();
        check_first_user(&username, options.admin_password.as_ref().map(|password| password.as_str()))?;
        let generated = options.admin_password.is_none().then(readable_password);
        let password = generated.as_ref().or(options.admin_password.as_ref()).map_or("", |password| password.as_str());
        let now = clock.now();
        let user = UserRow {
            id: Uuid::now_v7().to_string(),
            username: username.clone(),
            password_hash: passwords.hash(password).await.map_err(AuthError::Password)?,
            role: Role::Admin,
            disabled: false,
            created_at: now,
            updated_at: now,
        };
        match store.insert_user(&user).await {
            // Another server on this database was quicker, and shows its password.
            Err(error) if error.is_conflict() => Ok(FirstUser::Present),
            Err(error) => Err(error.into()),
            Ok(()) => Ok(FirstUser::Created { username, generated }),
        }
    }

    /// Begins a session.
    ///
    /// # Errors
    /// [`AuthError::InvalidCredentials`], [`AuthError::TooManyAttempts`], and those of database and hasher.
    pub async fn login(&self, username: &str, password: &str, client: &Client) -> Result<Session, AuthError> {
        let Inner { clock, limiter, .. } = &*self.0;
        let username = username.trim();
        let attempt = limiter
            .begin(username, client.ip, clock.now())
            .map_err(|retry_after| AuthError::TooManyAttempts { retry_after })?;
        let outcome = self.decide(username, password, client).await;
        match &outcome {
            Ok(_) => limiter.give_back(&attempt, true),
            Err(AuthError::InvalidCredentials) => {}
            Err(_) => limiter.give_back(&attempt, false),
        }
        outcome
    }

    async fn decide(&self, username: &str, password: &str, client: &Client) -> Result<Session, AuthError> {
        let Inner { options, store, clock, passwords, .. } = &*self.0;
        // What no user can be called is not looked up (PostgreSQL refuses a NUL), but is hashed for like any other.
        let user = if is_possible_name(username) { store.user_by_name(username).await? } else { None };
        let user = user.filter(|user| !user.disabled && password.len() <= MAX_PASSWORD_BYTES);
        let tried = if password.len() <= MAX_PASSWORD_BYTES { password } else { "" };
        let stored = user.as_ref().map(|user| user.password_hash.as_str());
        let fits = passwords.verify(tried, stored).await.map_err(|error| match error {
            PasswordError::Busy => AuthError::TooManyAttempts { retry_after: 1 },
            other => AuthError::Password(other),
        })?;
        let Some(user) = user.filter(|_| fits) else { return Err(AuthError::InvalidCredentials) };
        let token = Token::generate();
        let now = clock.now();
        let expires_at = now.plus_seconds(options.session_lifetime.as_secs_f64());
        store
            .insert_session(&SessionRow {
                token_hash: token.hash().as_str().to_owned(),
                user_id: user.id.clone(),
                kind: SessionKind::Browser,
                created_at: now,
                expires_at,
                last_used_at: now,
                ip: client.ip.map(|ip| ip.to_canonical().to_string()),
                user_agent: client.user_agent.as_deref().map(plain),
            })
            .await?;
        Ok(Session { token, expires_at, user: shown(&user) })
    }

    /// Who shows this token.
    ///
    /// # Errors
    /// [`AuthError::Unauthenticated`] for whatever opens no session, however malformed; and those of the database.
    pub async fn authenticate(&self, token: &str) -> Result<Identity, AuthError> {
        let Inner { options, store, clock, cache, .. } = &*self.0;
        let token = Token::parse(token).ok_or(AuthError::Unauthenticated)?.hash();
        let now = clock.now();
        if let Some(identity) = cache.get(&token, now) {
            return Ok(identity);
        }
        let asked = cache.generation();
        let Some((session, user)) = store.session(token.as_str()).await? else {
            return Err(AuthError::Unauthenticated);
        };
        let idle = now.seconds_since(session.last_used_at);
        if user.disabled || session.expires_at <= now || idle >= options.session_idle.as_secs_f64() {
            return Err(AuthError::Unauthenticated);
        }
        // Often enough for the idle limit to mean something, however short it is.
        if idle >= TOUCH_SECONDS.min(options.session_idle.as_secs_f64() / 4.0)
            && let Err(error) = store.touch_session(token.as_str(), now).await
        {
            // The session is good; a database that cannot be written just now is no reason to turn its owner away.
            warn!(%error, user = %user.username, "the last use of a session of {} could not be stored", user.username);
        }
        let identity = Identity { user: shown(&user), kind: session.kind, expires_at: session.expires_at };
        cache.remember(token, identity.clone(), now, asked);
        Ok(identity)
    }

    /// Ends the session of this token, if there is one.
    ///
    /// # Errors
    /// Those of the database; then the session lives on.
    pub async fn logout(&self, token: &str) -> Result<(), AuthError> {
        let Some(token) = Token::parse(token) else { return Ok(()) };
        let hash = token.hash();
        self.0.store.delete_session(hash.as_str()).await?;
        self.0.cache.forget(&hash);
        Ok(())
    }

    /// Removes ended sessions from the database; they open nothing anyway. Says how many.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn purge_expired(&self) -> Result<u64, AuthError> {
        let Inner { options, store, clock, .. } = &*self.0;
        let now = clock.now();
        Ok(store.purge_sessions(now, now.plus_seconds(-options.session_idle.as_secs_f64())).await?)
    }
}

fn check_first_user(username: &str, password: Option<&str>) -> Result<(), AuthError> {
    if !is_possible_name(username) {
        return Err(AuthError::FirstUser(format!(
            "ADMIN_USERNAME must have 1 to {MAX_USERNAME_BYTES} bytes and no control characters"
        )));
    }
    let Some(password) = password else { return Ok(()) };
    if password.is_empty() || password.len() > MAX_PASSWORD_BYTES {
        return Err(AuthError::FirstUser(format!("ADMIN_PASSWORD must have 1 to {MAX_PASSWORD_BYTES} bytes")));
    }
    if password.chars().count() < SHORT_PASSWORD_CHARS {
        warn!(
            "ADMIN_PASSWORD has fewer than {SHORT_PASSWORD_CHARS} characters: whoever guesses it controls this machine"
        );
    }
    Ok(())
}

fn is_possible_name(username: &str) -> bool {
    (1..=MAX_USERNAME_BYTES).contains(&username.len()) && !username.chars().any(char::is_control)
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_USER_AGENT_CHARS).collect()
}

fn shown(user: &UserRow) -> User {
    User { id: user.id.clone(), username: user.username.clone(), role: user.role, created_at: user.created_at.to_utc() }
}
