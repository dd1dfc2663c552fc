//! Who may come in. Passwords are checked here and nowhere else; everything behind the door asks for an [`Identity`].
//!
//! What holds: an unknown name and a wrong password get the same answer after the same time; guessing is slowed down for
//! the guesser and not for the owner of the name ([`limiter`]); an ended session opens nothing from that moment on; text
//! that is no token is "not logged in", never an error of the server.

mod cache;
mod limiter;
mod people;
mod sessions;
mod tokens;

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
use crate::domain::password;
use crate::store::{SessionKind, SessionRow, Store, StoreError, UserRow};
use cache::Cache;
use limiter::Limiter;
pub use limiter::{Limits, Rate};

/// Longest name of a user in bytes.
pub const MAX_USERNAME_BYTES: usize = 200;

/// Longest password in bytes.
pub const MAX_PASSWORD_BYTES: usize = password::MAX_BYTES;

/// Sessions that a user may have; the one that was not used for longest ends when another begins.
const MAX_SESSIONS: u32 = 100;

/// How often an open stream looks whether its login still holds, beside being told at once of what this server ended.
const STREAM_CHECK: Duration = Duration::from_secs(30);

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
    /// Fewest characters of a password.
    pub password_min_chars: usize,
    /// Most days that an API token lives; `None` allows tokens that never end.
    pub token_max_days: Option<u32>,
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
    /// The present password was not given right.
    #[error("the current password is wrong")]
    WrongPassword,
    /// A field of the input.
    #[error("`{field}` {message}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What is wrong and what is allowed.
        message: String,
    },
    /// There is a user of that name.
    #[error("there is a user {0:?} already; names are the same whatever their case")]
    UserExists(String),
    /// There is no such user.
    #[error("there is no user {0:?}")]
    UserNotFound(String),
    /// There is no such session of this user.
    #[error("there is no session {0:?} of yours")]
    SessionNotFound(String),
    /// There is no such token, or it is somebody else's.
    #[error("there is no API token {0:?} of yours")]
    TokenNotFound(String),
    /// It would leave nobody who can administer.
    #[error("this is the last admin who can log in; make another user an admin first")]
    LastAdmin,
    /// No more tokens.
    #[error("a user has at most {0} API tokens; delete one first")]
    TooManyTokens(u32),
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
    /// What opened the door.
    pub means: Means,
    /// When that ends at the latest; `None` is never.
    pub expires_at: Option<Millis>,
}

/// What opened the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Means {
    /// A login with a password.
    Session,
    /// An API token.
    Token {
        /// Its name.
        name: String,
    },
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
        check_first_user(options)?;
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
            last_login_at: None,
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
        let fits = passwords.verify(tried, stored).await.map_err(hashing)?;
        let Some(user) = user.filter(|_| fits) else { return Err(AuthError::InvalidCredentials) };
        // The cost was raised since: this is the only moment at which the password is there to be hashed anew.
        let fresh = match passwords.is_current(&user.password_hash) {
            true => None,
            false => Some(passwords.hash(tried).await.map_err(hashing)?),
        };
        let token = Token::generate();
        let now = clock.now();
        let expires_at = now.plus_seconds(options.session_lifetime.as_secs_f64());
        let session = SessionRow {
            token_hash: token.hash().as_str().to_owned(),
            user_id: user.id.clone(),
            kind: SessionKind::Browser,
            created_at: now,
            expires_at,
            last_used_at: now,
            ip: client.ip.map(|ip| ip.to_canonical().to_string()),
            user_agent: client.user_agent.as_deref().map(plain),
        };
        match store.begin_session(&session, &user.password_hash, fresh.as_deref(), MAX_SESSIONS).await? {
            true => Ok(Session { token, expires_at, user: shown(&user, user.role) }),
            // Locked out, or the password changed, while it was being checked.
            false => Err(AuthError::InvalidCredentials),
        }
    }

    /// Who shows this token, and from where it is used.
    ///
    /// # Errors
    /// [`AuthError::Unauthenticated`] for whatever opens nothing, however malformed; and those of the database.
    pub async fn authenticate(&self, token: &str, ip: Option<IpAddr>) -> Result<Identity, AuthError> {
        self.look_up(token, Some(ip)).await
    }

    /// Ends when this token opens nothing any more. For streams, which go on long after they were let in.
    pub async fn ended(&self, token: String) {
        let mut forgotten = self.0.cache.watch();
        loop {
            tokio::select! {
                _ = forgotten.changed() => {}
                () = tokio::time::sleep(STREAM_CHECK) => {}
            }
            // Looking is no use: a page that is left open does not keep its session alive. And a database that is away
            // for a moment ends nothing.
            if matches!(self.look_up(&token, None).await, Err(AuthError::Unauthenticated)) {
                return;
            }
        }
    }

    /// Who it is; `used` says from where it is used, if it is.
    async fn look_up(&self, token: &str, used: Option<Option<IpAddr>>) -> Result<Identity, AuthError> {
        let Inner { clock, cache, .. } = &*self.0;
        let token = Token::parse(token).ok_or(AuthError::Unauthenticated)?;
        let (hash, now) = (token.hash(), clock.now());
        if let Some(identity) = cache.get(&hash, now) {
            return Ok(identity);
        }
        let asked = cache.generation();
        let identity = match token.is_api() {
            true => self.api_token(hash.as_str(), used, now).await?,
            false => self.session(hash.as_str(), used.is_some(), now).await?,
        };
        cache.remember(hash, identity.clone(), now, asked);
        Ok(identity)
    }

    async fn session(&self, hash: &str, used: bool, now: Millis) -> Result<Identity, AuthError> {
        let Inner { options, store, .. } = &*self.0;
        let Some((session, user)) = store.session(hash).await? else { return Err(AuthError::Unauthenticated) };
        let idle = now.seconds_since(session.last_used_at);
        if user.disabled || session.expires_at <= now || idle >= options.session_idle.as_secs_f64() {
            return Err(AuthError::Unauthenticated);
        }
        // Often enough for the idle limit to mean something, however short it is.
        if used
            && idle >= TOUCH_SECONDS.min(options.session_idle.as_secs_f64() / 4.0)
            && let Err(error) = store.touch_session(hash, now).await
        {
            // The session is good; a database that cannot be written just now is no reason to turn its owner away.
            warn!(%error, user = %user.username, "the last use of a session could not be stored");
        }
        Ok(Identity { user: shown(&user, user.role), means: Means::Session, expires_at: Some(session.expires_at) })
    }

    /// Ends the session of this token, if there is one.
    ///
    /// # Errors
    /// Those of the database; then the session lives on.
    pub async fn logout(&self, token: &str) -> Result<(), AuthError> {
        let Some(token) = Token::parse(token) else { return Ok(()) };
        let hash = token.hash();
        self.0.store.delete_session(hash.as_str()).await?;
        self.0.cache.forget(hash.as_str());
        Ok(())
    }

    /// Removes ended sessions and tokens from the database; they open nothing anyway. Says how many sessions.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn purge_expired(&self) -> Result<u64, AuthError> {
        let Inner { options, store, clock, .. } = &*self.0;
        let now = clock.now();
        // A token that has ended is shown for a week more, so that its owner sees why a program is turned away.
        store.purge_tokens(now.plus_seconds(-7.0 * 86_400.0)).await?;
        Ok(store.purge_sessions(now, now.plus_seconds(-options.session_idle.as_secs_f64())).await?)
    }
}

fn check_first_user(options: &Options) -> Result<(), AuthError> {
    let username = options.admin_username.trim();
    if !is_possible_name(username) {
        return Err(AuthError::FirstUser(format!(
            "ADMIN_USERNAME must have 1 to {MAX_USERNAME_BYTES} bytes and no control characters"
        )));
    }
    let Some(password) = &options.admin_password else { return Ok(()) };
    if password.is_empty() || password.len() > MAX_PASSWORD_BYTES {
        return Err(AuthError::FirstUser(format!("ADMIN_PASSWORD must have 1 to {MAX_PASSWORD_BYTES} bytes")));
    }
    if let Err(wrong) = password::check(password, username, options.password_min_chars) {
        warn!("ADMIN_PASSWORD {wrong}; it is taken, but whoever guesses it controls this machine");
    }
    Ok(())
}

fn is_possible_name(username: &str) -> bool {
    (1..=MAX_USERNAME_BYTES).contains(&username.len()) && !username.chars().any(char::is_control)
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_USER_AGENT_CHARS).collect()
}

/// Too much at once is the asker's matter, all else ours.
fn hashing(error: PasswordError) -> AuthError {
    match error {
        PasswordError::Busy => AuthError::TooManyAttempts { retry_after: 1 },
        other => AuthError::Password(other),
    }
}

/// The user with the role that holds here and now.
fn shown(user: &UserRow, role: Role) -> User {
    User { id: user.id.clone(), username: user.username.clone(), role, created_at: user.created_at.to_utc() }
}
