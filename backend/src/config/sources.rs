//! Where settings come from: the real environment and the file `.env` beside it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;

use super::report::Mistake;
use super::settings;

/// Texts by name, as they were found.
#[derive(Clone, Default)]
pub struct Sources {
    /// The process's own environment.
    pub environment: BTreeMap<String, OsString>,
    /// Content of the file `.env`, if there is one.
    pub dotenv: Option<Vec<u8>>,
    /// What was changed while the server worked; an empty text is the default.
    pub changes: BTreeMap<String, String>,
}

impl Sources {
    /// The environment of this process and `.env` of its working directory. Parent folders are not searched: which settings
    /// hold must not depend on what lies above.
    ///
    /// # Errors
    /// When there is a `.env` that cannot be read.
    pub fn of_process() -> io::Result<Self> {
        // A name that is no text is none of ours.
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
        let dotenv = match std::fs::read(".env") {
            Ok(content) => Some(content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { environment, dotenv, changes: BTreeMap::new() })
    }
}

/// Reads the lines of a `.env`. Of several lines for one name the first counts, as for all readers of such files.
pub(super) fn read_dotenv(content: &[u8], mistakes: &mut Vec<Mistake>) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let Ok(text) = std::str::from_utf8(content) else {
        mistakes.push(Mistake::of_file("the file is not UTF-8 text"));
        return values;
    };
    for item in dotenvy::from_read_iter(text.as_bytes()) {
        match item {
            Ok((name, value)) => {
                values.entry(name).or_insert(value);
            }
            Err(dotenvy::Error::LineParse(rest, _)) => mistakes.push(Mistake::of_file(&unreadable(text, &rest))),
            Err(error) => {
                mistakes.push(Mistake::of_file(&error.to_string()));
                break;
            }
        }
    }
    values
}

/// The message for what could not be read. It repeats nothing but a line's number and a name of ours: whatever else stands
/// there may be part of a secret.
fn unreadable(file: &str, rest: &str) -> String {
    let begins = rest.trim().lines().next().unwrap_or_default();
    let found = file.lines().enumerate().find(|(_, line)| !begins.is_empty() && line.contains(begins));
    let place = found.map_or("a line".to_owned(), |(index, _)| format!("line {}", index + 1));
    let name = found.and_then(|(_, line)| line.split_once('=')).map_or("", |(name, _)| name.trim());
    let name = settings::all().find(|setting| setting.name == name).map_or("", |setting| setting.name);
    let gap = if name.is_empty() { "" } else { ", " };
    format!(
        "{place}{gap}{name} cannot be read: write NAME=value, and put values with spaces, quotes, $ or # in single quotes"
    )
}
