//! What a setting may hold: each kind reads a text and says in words what it takes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use crate::crypto::{Cost, Keyring};
use crate::domain::repository::{Address, check_branch, clean_subdir};
use crate::domain::size::{MIN_MEMORY, parse_bytes};
use crate::domain::zone::Zone;

/// What a setting may hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Any text, taken as it is, spaces included.
    Password,
    /// Fernet keys.
    Keys,
    /// Address and port to listen on.
    Address,
    /// URL of a database.
    Database,
    /// Where Docker listens.
    Docker,
    /// Address of a git repository; a credential in it is not shown.
    Repository,
    /// Name of a branch.
    Branch,
    /// A folder within a repository.
    Subdir,
    /// Address of an HTTP interface.
    Url,
    /// A folder; it is made when it is missing.
    Folder,
    /// A file that must be there.
    File,
    /// Folders here and the same folders on Docker's host.
    HostPaths,
    /// Yes or no.
    Flag,
    /// A whole number.
    Whole {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A number above zero.
    Decimal {
        /// Largest.
        max: f64,
    },
    /// A size in bytes.
    Size,
    /// One of these.
    Choice(&'static [&'static str]),
    /// A time zone.
    Zone,
    /// A filter for log messages.
    Filter,
    /// A user in the container.
    User,
    /// Names of Linux capabilities.
    Capabilities,
    /// IP addresses and networks.
    Networks,
    /// The cost of a password hash.
    HashCost,
    /// A name that can be part of a label and of a network's name.
    Name,
}

/// A setting that was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Path(PathBuf),
    Address(SocketAddr),
    Flag(bool),
    Whole(u64),
    Decimal(f64),
    List(Vec<String>),
    Pairs(Vec<(PathBuf, PathBuf)>),
    Networks(Vec<IpNet>),
    Cost(Cost),
}

impl Kind {
    /// What is allowed, in words that end a sentence.
    #[must_use]
    pub fn allowed(self) -> String {
        match self {
            Self::Text => "any text".to_owned(),
            Self::Password => "any text; put it in single quotes if it holds $, #, \\ or spaces".to_owned(),
            Self::Keys => "Fernet keys, separated by commas; the first one seals, each one opens".to_owned(),
            Self::Address => "an IP address and a port, like 127.0.0.1:8000 or [::1]:8000".to_owned(),
            Self::Database => "postgres://user:password@host:5432/name or sqlite:///path/to/file".to_owned(),
            Self::Docker => "unix:///path/to/socket".to_owned(),
            Self::Repository => "https://host/path, git@host:path or the path of a folder".to_owned(),
            Self::Branch => "the name of a branch".to_owned(),
            Self::Subdir => "a folder within the repository, like a/b".to_owned(),
            Self::Url => "an address that begins with https:// or http://".to_owned(),
            Self::Folder => "a path; it is made when it is missing".to_owned(),
            Self::File => "the path of a file that can be read".to_owned(),
            Self::HostPaths => "pairs /path/here=/path/on/host, separated by commas".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Whole { min, max } => format!("a whole number from {min} to {max}"),
            Self::Decimal { max } => format!("a number above 0, up to {max}"),
            Self::Size => "a size, like 512m or 1.5g, at least 6m".to_owned(),
            Self::Choice(names) => names.join(" or "),
            Self::Zone => "an IANA time zone like Europe/Berlin, or UTC".to_owned(),
            Self::Filter => "filters of the tracing crate, like info or warn,fastflow::sync=debug".to_owned(),
            Self::User => "a numeric uid:gid, not root, like 1000:1000".to_owned(),
            Self::Capabilities => "names like NET_BIND_SERVICE, separated by commas".to_owned(),
            Self::Networks => "addresses and networks, like 127.0.0.1 or 10.0.0.0/8, separated by commas".to_owned(),
            Self::HashCost => {
                "m=MiB,t=passes, at least what OWASP recommends: m=46,t=1 or m=19,t=2 or m=12,t=3 or m=9,t=4 or m=7,t=5"
                    .to_owned()
            }
            Self::Name => "up to 40 letters, digits, dots, dashes and underscores".to_owned(),
        }
    }

    /// Reads a text, or says why it cannot be read if there is more to say than what is allowed.
    pub(super) fn read(self, text: &str) -> Result<Value, Option<String>> {
        self.parse(text).ok_or_else(|| match self {
            Self::Keys => Keyring::parse(text, "ENCRYPTION_KEY").err().map(|error| error.to_string()),
            Self::File => std::fs::File::open(text).err().map(|error| format!("the file cannot be read: {error}")),
            _ => None,
        })
    }

    fn parse(self, text: &str) -> Option<Value> {
        let as_text = || Value::Text(text.to_owned());
        match self {
            Self::Text | Self::Password => Some(as_text()),
            Self::Keys => Keyring::parse(text, "").is_ok().then(as_text),
            Self::Address => text.parse().ok().map(Value::Address),
            Self::Database => {
                let known = ["postgres://", "postgresql://", "sqlite:"];
                known.iter().any(|start| text.starts_with(start) && text.len() > start.len()).then(as_text)
            }
            Self::Docker => text.strip_prefix("unix://").is_some_and(|path| path.starts_with('/')).then(as_text),
            Self::Repository => Address::parse(text).is_ok().then(as_text),
            Self::Branch => check_branch(text).is_ok().then(as_text),
            Self::Subdir => clean_subdir(text).ok().map(Value::Text),
            Self::Url => ["https://", "http://"].iter().any(|start| text.starts_with(start)).then(as_text),
            Self::Folder => absolute(text).map(Value::Path),
            Self::File => {
                let path = absolute(text)?;
                (path.is_file() && std::fs::File::open(&path).is_ok()).then_some(Value::Path(path))
            }
            Self::HostPaths => items(text).map(host_path).collect::<Option<_>>().map(Value::Pairs),
            Self::Flag => match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Some(Value::Flag(true)),
                "false" | "0" | "no" | "off" => Some(Value::Flag(false)),
                _ => None,
            },
            Self::Whole { min, max } => {
                text.parse().ok().filter(|number| (min..=max).contains(number)).map(Value::Whole)
            }
            Self::Decimal { max } => {
                let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                text.parse().ok().filter(|number| plain && *number > 0.0 && *number <= max).map(Value::Decimal)
            }
            Self::Size => parse_bytes(text).ok().filter(|bytes| *bytes >= MIN_MEMORY).map(Value::Whole),
            Self::Choice(names) => {
                names.iter().find(|name| name.eq_ignore_ascii_case(text)).map(|name| Value::Text((*name).to_owned()))
            }
            Self::Zone => Zone::parse(text).is_ok().then(as_text),
            Self::Filter => EnvFilter::try_new(text).is_ok().then(as_text),
            Self::User => is_user(text).then(as_text),
            Self::Capabilities => items(text).map(capability).collect::<Option<_>>().map(Value::List),
            Self::Networks => items(text).map(network).collect::<Option<_>>().map(Value::Networks),
            Self::HashCost => Cost::parse(text).map(Value::Cost),
            Self::Name => is_instance_name(text).then(as_text),
        }
    }
}

/// Whether a text can be the name of an instance.
pub(super) fn is_instance_name(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=40).contains(&text.len()) && text.bytes().all(good) && text.as_bytes()[0].is_ascii_alphanumeric()
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn absolute(text: &str) -> Option<PathBuf> {
    std::path::absolute(text).ok()
}

fn host_path(pair: &str) -> Option<(PathBuf, PathBuf)> {
    let (here, there) = pair.split_once('=')?;
    let both = [here, there].map(|path| Path::new(path.trim()));
    both.iter().all(|path| path.is_absolute()).then(|| (both[0].to_owned(), both[1].to_owned()))
}

/// An address alone is a network of one.
fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address).map(|network: IpNet| network.trunc())
}

fn is_user(text: &str) -> bool {
    let Some((user, group)) = text.split_once(':') else { return false };
    let id = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
    id(user).is_some_and(|user| user > 0) && id(group).is_some()
}

fn capability(name: &str) -> Option<String> {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    // Each of them together is what dropping them was for.
    let good = !name.is_empty() && name != "ALL" && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    good.then(|| name.to_owned())
}
