//! Settings as people read them: what is wrong, what holds, and an example file.

use std::fmt::{self, Write as _};

use super::kind::Kind;
use super::settings::{GROUPS, Setting};
use crate::domain::repository::Address;

/// Stands for a value that is not shown.
const HIDDEN: &str = "(hidden)";

/// Longest value that is repeated in a message.
const MAX_SHOWN_CHARS: usize = 120;

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The process's environment.
    Environment,
    /// The file `.env`.
    DotEnv,
    /// The environment, under another name.
    Other(&'static str),
    /// Changed by an admin while the server worked.
    Changed,
    /// Not set.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("environment"),
            Self::DotEnv => f.write_str(".env"),
            Self::Other(name) => write!(f, "environment, {name}"),
            Self::Changed => f.write_str("changed"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Heading of its group.
    pub group: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its value, hidden where it is secret; empty when there is none.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// A setting that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake(String);

impl Mistake {
    pub(super) fn of_file(text: &str) -> Self {
        Self(format!(".env: {text}"))
    }

    pub(super) fn of_setting(setting: &Setting, text: &str, origin: Origin, more: Option<&str>) -> Self {
        let value = shown(setting, text);
        let more = more.map_or(String::new(), |more| format!("; {more}"));
        Self(format!("{} = {value} (from {origin}): allowed is {}{more}", setting.name, setting.kind.allowed()))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl std::error::Error for Mistakes {}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "{count} {} wrong:", if count == 1 { "setting is" } else { "settings are" })?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

/// A value that may be shown to anyone who may see the server's messages.
pub(super) fn shown(setting: &Setting, text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    if setting.is_secret() {
        return HIDDEN.to_owned();
    }
    let text = match setting.kind {
        Kind::Database => without_password(text),
        Kind::Repository => Address::parse(text).map_or(HIDDEN.to_owned(), |(address, _)| address.url),
        _ => text.to_owned(),
    };
    if text.chars().count() <= MAX_SHOWN_CHARS {
        return text;
    }
    format!("{}…", text.chars().take(MAX_SHOWN_CHARS).collect::<String>())
}

/// Hides everything of a URL that may hold a password, even of one that is written wrongly.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return if url.starts_with("sqlite:") { url.to_owned() } else { HIDDEN.to_owned() };
    };
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?…"));
    // Up to the last @: a password may hold one that was not encoded.
    let rest = rest.rsplit_once('@').map_or(rest.to_owned(), |(_, host)| format!("…@{host}"));
    format!("{scheme}://{rest}{query}")
}

/// A page of documentation with every setting.
#[must_use]
pub fn markdown() -> String {
    let mut text = "# Configure\n\n<!-- Made by `fastflow config --markdown`; a test compares it with the table in \
        config/settings.rs. -->\n\nNothing has to be set. A variable of the environment wins over a line of `.env` (in the \
        folder that the server is started in), which wins over the default. `fastflow config` shows what holds and where it \
        comes from; a mistake stops the start, and all mistakes are told at once.\n"
        .to_owned();
    for group in GROUPS {
        text.push_str(&format!(
            "\n## {}\n\n| setting | default | meaning | allowed |\n|---|---|---|---|\n",
            group.title
        ));
        for setting in group.settings {
            let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
            let default = if setting.default.is_empty() { String::new() } else { format!("`{}`", setting.default) };
            let (what, allowed) = (cell(setting.what), cell(&setting.kind.allowed()));
            text.push_str(&format!("| `{}` | {default} | {what} | {allowed} |\n", setting.name));
        }
    }
    text
}

/// The file `.env.example`.
#[must_use]
pub fn example() -> String {
    let mut text = String::from(
        "# Settings of Fast-Flow. None is needed: each line shows a default. Copy this file to .env and change what you need;\n\
         # a variable of the real environment wins over .env, and an empty value is as good as none.\n\
         # Put values that hold $, #, quotes, \\ or spaces in single quotes.\n\
         #\n\
         # Made by `fastflow config --example`.\n",
    );
    for group in GROUPS {
        let _ = write!(text, "\n# == {} ==\n", group.title);
        for setting in group.settings {
            let default = setting.default.replace("{DATA_DIR}", "./data");
            text.push('\n');
            wrap(&mut text, setting.what);
            wrap(&mut text, &format!("Allowed: {}.", setting.kind.allowed()));
            let _ = writeln!(text, "#{}={default}", setting.name);
        }
    }
    text
}

/// Writes a comment of at most about a hundred characters per line.
fn wrap(text: &mut String, sentence: &str) {
    let mut length = usize::MAX;
    for word in sentence.split(' ') {
        if length.saturating_add(word.len()) > 100 {
            if length != usize::MAX {
                text.push('\n');
            }
            text.push('#');
            length = 1;
        }
        text.push(' ');
        text.push_str(word);
        length += word.len() + 1;
    }
    text.push('\n');
}

/// The settings that hold, one per line, in columns.
#[must_use]
pub fn table(effective: &[Effective]) -> String {
    let widths = effective
        .iter()
        .fold((0, 0), |(name, value), line| (line.name.len().max(name), line.value.chars().count().max(value)));
    let (mut text, mut group) = (String::new(), "");
    for line in effective {
        if line.group != group {
            group = line.group;
            let gap = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}# {group}");
        }
        let Effective { name, value, origin, .. } = line;
        let _ = writeln!(text, "{name:<0$}  {value:<1$}  {origin}", widths.0, widths.1);
    }
    text
}
