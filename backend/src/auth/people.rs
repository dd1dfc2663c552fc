//! Users: made, changed and removed by an admin, or from the command line.

use fastflow_shared::{NewUser, Role, UserAccount, UserChange, UserWithPassword};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Auth, AuthError, Client, Identity, Inner, hashing};
use crate::crypto::{Token, readable_password};
use crate::domain::clock::Millis;
use crate::domain::password;
use crate::store::{StoreError, UserChanged, UserRow};

/// Most characters of a new user's name.
const MAX_NAME_CHARS: usize = 64;

/// Signs that a name may hold beside letters and digits. No spaces and no signs that are not seen: two names that look
/// alike would be one person to whoever reads the audit log.
const NAME_SIGNS: &str = "._-@+";

impl Auth {
    /// Everybody, by name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn users(&self) -> Result<Vec<UserAccount>, AuthError> {
        Ok(self.0.store.users().await?.iter().map(account).collect())
    }

    /// One user.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`].
    pub async fn user(&self, id: &str) -> Result<UserAccount, AuthError> {
        Ok(account(&self.0.store.user(id).await.map_err(|error| missing(error, id))?))
    }

    /// The id of the user of that name, in any case.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`].
    pub async fn user_id(&self, name: &str) -> Result<String, AuthError> {
        let unknown = || AuthError::UserNotFound(name.to_owned());
        if name.contains('\0') {
            return Err(unknown());
        }
        Ok(self.0.store.user_by_name(name.trim()).await?.ok_or_else(unknown)?.id)
    }

    /// Makes a user.
    ///
    /// # Errors
    /// [`AuthError::Field`], [`AuthError::UserExists`].
    pub async fn create_user(&self, new: &NewUser) -> Result<UserWithPassword, AuthError> {
        let Inner { store, clock, .. } = &*self.0;
        let username = new.username.trim();
        let chars = username.chars().count();
        let plain = |c: char| c.is_alphanumeric() || NAME_SIGNS.contains(c);
        if !(1..=MAX_NAME_CHARS).contains(&chars) || !username.chars().all(plain) {
            let message = format!("must have 1 to {MAX_NAME_CHARS} letters, digits and signs of {NAME_SIGNS}");
            return Err(AuthError::Field { field: "username", message });
        }
        let (hash, made_up) = self.new_password(new.password.as_deref(), username, "password").await?;
        let now = clock.now();
        let row = UserRow {
            id: Uuid::now_v7().to_string(),
            username: username.to_owned(),
            password_hash: hash,
            role: new.role,
            disabled: false,
            created_at: now,
            updated_at: now,
            last_login_at: None,
        };
        match store.insert_user(&row).await {
            Err(error) if error.is_conflict() => Err(AuthError::UserExists(username.to_owned())),
            Err(error) => Err(error.into()),
            Ok(()) => Ok(UserWithPassword { user: account(&row), password: made_up }),
        }
    }

    /// Changes role and lock of a user. What was logged in with the old ones is looked at anew at once.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`], [`AuthError::LastAdmin`].
    pub async fn change_user(&self, id: &str, change: &UserChange) -> Result<UserAccount, AuthError> {
        let Inner { store, clock, cache, .. } = &*self.0;
        let changed = store.change_user(id, change.role, change.disabled, clock.now()).await;
        cache.forget_user(id);
        done(changed, id)
    }

    /// Deletes a user with all sessions and tokens. Runs and the audit log keep the name.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`], [`AuthError::LastAdmin`].
    pub async fn delete_user(&self, id: &str) -> Result<UserAccount, AuthError> {
        let deleted = self.0.store.delete_user(id).await;
        self.0.cache.forget_user(id);
        done(deleted, id)
    }

    /// Gives a user a new password and ends all sessions of theirs.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`], [`AuthError::Field`].
    pub async fn reset_password(&self, id: &str, given: Option<&str>) -> Result<UserWithPassword, AuthError> {
        let user = self.user(id).await?;
        let (hash, made_up) = self.new_password(given, &user.username, "password").await?;
        let row = self.store_password(id, &hash, None).await?;
        Ok(UserWithPassword { user: account(&row), password: made_up })
    }

    /// Changes one's own password and ends one's other sessions. Guesses at the present one are slowed down like logins.
    ///
    /// # Errors
    /// [`AuthError::WrongPassword`], [`AuthError::Field`], [`AuthError::TooManyAttempts`].
    pub async fn change_password(
        &self,
        identity: &Identity,
        session: &str,
        current: &str,
        new: &str,
        client: &Client,
    ) -> Result<(), AuthError> {
        let Inner { store, clock, limiter, passwords, .. } = &*self.0;
        let user = store.user(&identity.user.id).await.map_err(|error| missing(error, &identity.user.id))?;
        let attempt = limiter
            .begin(&user.username, client.ip, clock.now())
            .map_err(|retry_after| AuthError::TooManyAttempts { retry_after })?;
        let tried = if current.len() <= password::MAX_BYTES { current } else { "" };
        match passwords.verify(tried, Some(&user.password_hash)).await {
            Ok(true) => limiter.give_back(&attempt, true),
            Ok(false) => return Err(AuthError::WrongPassword),
            Err(error) => {
                limiter.give_back(&attempt, false);
                return Err(hashing(error));
            }
        }
        if new == current {
            let message = "must be another one than the current password".to_owned();
            return Err(AuthError::Field { field: "new_password", message });
        }
        let (hash, _) = self.new_password(Some(new), &user.username, "new_password").await?;
        let keep = Token::parse(session).map(|token| token.hash());
        self.store_password(&user.id, &hash, keep.as_ref().map(|hash| hash.as_str())).await.map(drop)
    }

    async fn store_password(&self, id: &str, hash: &str, keep: Option<&str>) -> Result<UserRow, AuthError> {
        let Inner { store, clock, cache, .. } = &*self.0;
        let changed = store.set_password(id, hash, keep, clock.now()).await;
        cache.forget_user(id);
        changed.map_err(|error| missing(error, id))
    }

    /// The hash of the given password, or of one that is made up and returned as well.
    async fn new_password(
        &self,
        given: Option<&str>,
        username: &str,
        field: &'static str,
    ) -> Result<(String, Option<String>), AuthError> {
        let Inner { options, passwords, .. } = &*self.0;
        if let Some(given) = given {
            password::check(given, username, options.password_min_chars)
                .map_err(|message| AuthError::Field { field, message })?;
            return Ok((passwords.hash(given).await.map_err(hashing)?, None));
        }
        // As long as is asked for, whatever is set.
        let mut made_up: Zeroizing<String> = readable_password();
        while made_up.len() < options.password_min_chars {
            made_up.push('-');
            made_up.push_str(&readable_password());
        }
        Ok((passwords.hash(&made_up).await.map_err(hashing)?, Some(made_up.to_string())))
    }
}

fn done(changed: Result<UserChanged, StoreError>, id: &str) -> Result<UserAccount, AuthError> {
    match changed.map_err(|error| missing(error, id))? {
        UserChanged::Done(row) => Ok(account(&row)),
        UserChanged::LastAdmin => Err(AuthError::LastAdmin),
    }
}

fn missing(error: StoreError, id: &str) -> AuthError {
    if error.is_not_found() { AuthError::UserNotFound(id.to_owned()) } else { error.into() }
}

fn account(row: &UserRow) -> UserAccount {
    UserAccount {
        id: row.id.clone(),
        username: row.username.clone(),
        role: row.role,
        disabled: row.disabled,
        created_at: row.created_at.to_utc(),
        updated_at: row.updated_at.to_utc(),
        last_login_at: row.last_login_at.map(Millis::to_utc),
    }
}

/// Whether a role may be given by somebody who has `own`.
pub(super) fn may_give(own: Role, role: Role) -> Result<(), AuthError> {
    if role <= own {
        return Ok(());
    }
    let message = format!("must be no higher than your own role, which is {}", own.as_str());
    Err(AuthError::Field { field: "role", message })
}
