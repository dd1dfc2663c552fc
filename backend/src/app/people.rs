//! `fastflow user …`: users from the command line, straight in the database. The way in for whoever has the machine but no
//! password any more. What is done here is in the audit log like anything else.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Read as _};
use std::sync::Arc;

use clap::{Subcommand, ValueEnum};
use fastflow_shared::{NewUser, Role, UserAccount, UserChange, UserWithPassword};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::audit::{Audit, Event};
use crate::auth::{Auth, AuthError};
use crate::config::Config;
use crate::domain::clock::{SharedClock, SystemClock};
use crate::store::{Store, StoreError};

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// List all users.
    List,
    /// Create a user. A password is made up and shown once, unless one is given.
    Create {
        /// Name used at login.
        name: String,
        /// What the user may do.
        #[arg(long, value_enum, default_value = "viewer")]
        role: RoleName,
        /// Read the password from standard input, so that it is in no list of processes.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Give a user a new password, end all sessions of theirs, and let them in again if they were locked out.
    ResetPassword {
        /// Name used at login.
        name: String,
        /// Read the password from standard input, so that it is in no list of processes.
        #[arg(long)]
        password_stdin: bool,
    },
}

/// A role, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// Sees.
    Viewer,
    /// Runs.
    Operator,
    /// Configures.
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Viewer => Self::Viewer,
            RoleName::Operator => Self::Operator,
            RoleName::Admin => Self::Admin,
        }
    }
}

/// Why it was not done.
#[derive(Debug, Error)]
pub enum UserError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The door.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// Standard input.
    #[error("the password cannot be read from standard input: {0}")]
    Stdin(std::io::Error),
}

/// Does it and returns what to print.
pub async fn run(command: &UserCommand, config: &Config) -> Result<String, UserError> {
    let clock: SharedClock = Arc::new(SystemClock);
    let store = Store::open(&config.store_options()).await?;
    let auth = Auth::new(config.auth_options(), store.clone(), clock.clone())?;
    let audit = Audit::new(store.clone(), clock);
    let done = act(command, &auth, &audit).await;
    store.close().await;
    done
}

async fn act(command: &UserCommand, auth: &Auth, audit: &Audit) -> Result<String, UserError> {
    match command {
        UserCommand::List => Ok(table(&auth.users().await?)),
        UserCommand::Create { name, role, password_stdin } => {
            let password = password(*password_stdin)?;
            let new = NewUser {
                username: name.clone(),
                role: (*role).into(),
                password: password.as_ref().map(|password| password.to_string()),
            };
            let made = auth.create_user(&new).await?;
            let mut event = Event::done(operator(), "cli", "user.create", &made.user.username);
            event.detail.insert("role".to_owned(), made.user.role.as_str().to_owned());
            audit.record(event).await?;
            Ok(told("created", &made))
        }
        UserCommand::ResetPassword { name, password_stdin } => {
            let id = auth.user_id(name).await?;
            let password = password(*password_stdin)?;
            let reset = auth.reset_password(&id, password.as_ref().map(|password| password.as_str())).await?;
            if reset.user.disabled {
                auth.change_user(&id, &UserChange { role: None, disabled: Some(false) }).await?;
            }
            audit.record(Event::done(operator(), "cli", "user.reset_password", &reset.user.username)).await?;
            Ok(told("has a new password", &reset))
        }
    }
}

/// Who sits at this machine, as far as it says so.
fn operator() -> String {
    let name = ["SUDO_USER", "USER"].into_iter().find_map(|name| std::env::var(name).ok());
    name.unwrap_or_else(|| format!("uid {}", rustix::process::geteuid().as_raw()))
}

/// Longest password that is read; the rest of the rules are the door's.
const MAX_STDIN: u64 = 4096;

fn password(from_stdin: bool) -> Result<Option<Zeroizing<String>>, UserError> {
    if !from_stdin {
        return Ok(None);
    }
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprintln!("Type the password and end the line, then press Ctrl+D:");
    }
    let mut text = Zeroizing::new(String::new());
    stdin.lock().take(MAX_STDIN).read_to_string(&mut text).map_err(UserError::Stdin)?;
    Ok(Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
}

fn told(what: &str, user: &UserWithPassword) -> String {
    let UserWithPassword { user, password } = user;
    let mut text = format!("{} ({}) {what}\n", user.username, user.role.as_str());
    if let Some(password) = password {
        let _ = writeln!(text, "  password  {password}   (it is not shown again)");
    }
    text
}

fn table(users: &[UserAccount]) -> String {
    let width = users.iter().map(|user| user.username.chars().count()).max().unwrap_or_default().max(4);
    let mut text = format!("{:<width$}  {:<8}  {:<8}  {:<16}  {}\n", "NAME", "ROLE", "STATE", "LAST LOGIN", "ID");
    for user in users {
        let state = if user.disabled { "disabled" } else { "enabled" };
        let last = user.last_login_at.map_or("never".to_owned(), |at| at.format("%Y-%m-%d %H:%M").to_string());
        let role = user.role.as_str();
        let _ = writeln!(text, "{:<width$}  {role:<8}  {state:<8}  {last:<16}  {}", user.username, user.id);
    }
    text
}
