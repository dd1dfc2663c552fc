//! People as an admin sees them, and what each of them has: sessions and API tokens.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::Role;

/// A user, as an admin sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct UserAccount {
    /// User id.
    pub id: String,
    /// Name used at login.
    pub username: String,
    /// What the user may do.
    pub role: Role,
    /// Whether the user is locked out.
    pub disabled: bool,
    /// When the user was created.
    pub created_at: DateTime<Utc>,
    /// When role, password or the like was last changed.
    pub updated_at: DateTime<Utc>,
    /// When the user last logged in; absent when never.
    pub last_login_at: Option<DateTime<Utc>>,
}

/// Creates a user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct NewUser {
    /// Name used at login; names are unique whatever their case.
    pub username: String,
    /// What the user may do.
    pub role: Role,
    /// First password. When it is absent one is made up, and is in the answer, once.
    pub password: Option<String>,
}

/// A user with the password that was made up. It is shown here and never again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct UserWithPassword {
    /// The user.
    pub user: UserAccount,
    /// The password; absent when the request gave one.
    pub password: Option<String>,
}

/// What to change of a user; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct UserChange {
    /// The new role. API tokens whose role is higher fall with it.
    pub role: Option<Role>,
    /// Whether to lock the user out. Ends all sessions and API tokens of the user at once.
    pub disabled: Option<bool>,
}

/// A password for somebody else.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct PasswordReset {
    /// The password. When it is absent one is made up, and is in the answer, once.
    pub password: Option<String>,
}

/// A new password of one's own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct PasswordChange {
    /// The one that holds now.
    pub current_password: String,
    /// The one that is to hold.
    pub new_password: String,
}

/// A login that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct SessionInfo {
    /// Names the session; opens nothing.
    pub id: String,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute or so.
    pub last_used_at: DateTime<Utc>,
    /// When it ends at the latest.
    pub expires_at: DateTime<Utc>,
    /// Address from which it was begun.
    pub ip: Option<String>,
    /// What the client called itself.
    pub user_agent: Option<String>,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// A token for a program. Its text is shown once, when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct ApiToken {
    /// Token id; opens nothing.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// Name of its owner.
    pub owner: String,
    /// The first characters of its text, to tell it from others.
    pub hint: String,
    /// What it may do; never more than its owner may at that moment.
    pub role: Role,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends; absent when never.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute or so; absent when never.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Address from which it was last used.
    pub last_used_ip: Option<String>,
}

/// Creates a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct NewApiToken {
    /// What it is for.
    pub name: String,
    /// What it may do: at most what its owner may.
    pub role: Role,
    /// Days until it ends. As long as the server allows when it is absent.
    pub expires_in_days: Option<u32>,
}

/// A token that was made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct ApiTokenCreated {
    /// The token.
    pub token: ApiToken,
    /// Give it as `Authorization: Bearer …`. It is shown here and never again.
    pub secret: String,
}
