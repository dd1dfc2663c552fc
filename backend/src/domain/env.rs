//! What a run finds in its environment, and which of several sources wins.

use std::collections::BTreeMap;

use fastflow_shared::EnvName;
use serde_json::Value;
use thiserror::Error;

/// Longest value that Linux takes as one environment string (`MAX_ARG_STRLEN` less the name).
pub const MAX_VALUE_BYTES: usize = 120 * 1024;

/// Longest name.
pub const MAX_NAME_BYTES: usize = 255;

/// Prefix of the variables that Fast-Flow sets itself.
pub const RESERVED_PREFIX: &str = "FASTFLOW_";

/// A name or value that no process can be given.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadVariable {
    /// Not a POSIX name.
    #[error("`{0}` is not a name for an environment variable: use letters, digits and _, and no digit first")]
    Name(String),
    /// Too long for a name.
    #[error("`{0}…` is longer than {MAX_NAME_BYTES} bytes, which is too long for a name")]
    LongName(String),
    /// Ours.
    #[error("`{0}` is reserved: names that begin with {RESERVED_PREFIX} are set by Fast-Flow")]
    Reserved(String),
    /// A NUL byte ends a string for the kernel.
    #[error("the value of `{0}` contains a NUL byte, which no environment variable can hold")]
    Nul(String),
    /// Too long for the kernel.
    #[error("the value of `{0}` is longer than {MAX_VALUE_BYTES} bytes: hand such data over as a file")]
    TooLong(String),
}

/// Whether `name` is a POSIX environment name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Checks one variable.
///
/// # Errors
/// [`BadVariable`] says what is wrong.
pub fn check(name: &str, value: &str) -> Result<(), BadVariable> {
    if !is_name(name) {
        return Err(BadVariable::Name(name.to_owned()));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(BadVariable::LongName(name[..40].to_owned()));
    }
    if name.starts_with(RESERVED_PREFIX) {
        return Err(BadVariable::Reserved(name.to_owned()));
    }
    if value.contains('\0') {
        return Err(BadVariable::Nul(name.to_owned()));
    }
    if value.len() > MAX_VALUE_BYTES {
        return Err(BadVariable::TooLong(name.to_owned()));
    }
    Ok(())
}

/// Reads an object of names and values as `pipeline.json` has them, and tells `problem` what cannot be used. Numbers and
/// booleans stand there as well; an environment knows only texts.
pub(super) fn read(value: &Value, mut problem: impl FnMut(&str)) -> BTreeMap<String, String> {
    let Value::Object(entries) = value else {
        problem(&format!("expected an object of names and values, found {}", super::pipeline::shorten(value)));
        return BTreeMap::new();
    };
    let mut variables = BTreeMap::new();
    for (name, value) in entries {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        match check(name, &text) {
            Ok(()) => drop(variables.insert(name.clone(), text)),
            Err(error) => problem(&error.to_string()),
        }
    }
    variables
}

/// Where a variable came from. Later wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// `default_env` of `pipeline.json`.
    DefaultEnv,
    /// `encrypted_env` of `pipeline.json`.
    EncryptedEnv,
    /// A secret of the vault.
    Secret,
    /// A parameter of the vault.
    Parameter,
    /// Given with the start, to be shown.
    Start,
    /// Given with the start, not to be shown.
    HiddenStart,
}

impl Source {
    /// The name shown with a run.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DefaultEnv => "default_env",
            Self::EncryptedEnv => "encrypted_env",
            Self::Secret => "secret",
            Self::Parameter => "parameter",
            Self::Start | Self::HiddenStart => "start",
        }
    }

    /// Whether its values are secret.
    #[must_use]
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::EncryptedEnv | Self::Secret | Self::HiddenStart)
    }

    /// Whether a run shows its values: what is in the code can be read there.
    const fn is_shown(self) -> bool {
        matches!(self, Self::Parameter | Self::Start)
    }
}

/// The variables of a run, merged.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Merged(BTreeMap<String, (Source, String)>);

// Values may be secrets: only names are ever printed.
impl std::fmt::Debug for Merged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Merged {
    /// Adds values of one source; they replace those of an earlier or equal source.
    #[must_use]
    pub fn with(mut self, source: Source, values: impl IntoIterator<Item = (String, String)>) -> Self {
        for (name, value) in values {
            match self.0.get(&name) {
                Some((present, _)) if *present > source => {}
                _ => {
                    self.0.insert(name, (source, value));
                }
            }
        }
        self
    }

    /// Names with their sources, sorted by name; with the values of plain parameters.
    #[must_use]
    pub fn names(&self) -> Vec<EnvName> {
        self.0
            .iter()
            .map(|(name, (source, value))| EnvName {
                name: name.clone(),
                source: source.as_str().to_owned(),
                value: source.is_shown().then(|| value.clone()),
            })
            .collect()
    }

    /// Names and values, sorted by name.
    #[must_use]
    pub fn into_pairs(self) -> Vec<(String, String)> {
        self.0.into_iter().map(|(name, (_, value))| (name, value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn later_sources_win_whatever_the_order_of_merging() {
        let merged = Merged::default()
            .with(Source::Start, [pair("A", "start")])
            .with(Source::DefaultEnv, [pair("A", "default"), pair("B", "default")])
            .with(Source::Secret, [pair("B", "secret")])
            .with(Source::EncryptedEnv, [pair("B", "encrypted")])
            .with(Source::HiddenStart, [pair("C", "hidden")])
            .with(Source::Start, [pair("C", "shown")]);
        assert_eq!(merged.clone().into_pairs(), [pair("A", "start"), pair("B", "secret"), pair("C", "hidden")]);
        let names: Vec<_> = merged.names().into_iter().map(|name| (name.source, name.value)).collect();
        let expected = [("start", Some("start")), ("secret", None), ("start", None)];
        assert_eq!(names, expected.map(|(source, value)| (source.to_owned(), value.map(str::to_owned))));
    }

    #[test]
    fn values_never_show_in_debug_output() {
        let merged = Merged::default().with(Source::Secret, [pair("TOKEN", "hunter2")]);
        assert_eq!(format!("{merged:?}"), r#"{"TOKEN"}"#);
    }

    #[test]
    fn what_no_process_can_be_given_is_refused() {
        assert!(check("OK_1", "value\nwith lines").is_ok());
        for name in ["", "1A", "A-B", "A B", "Ä", "A="] {
            assert_eq!(check(name, ""), Err(BadVariable::Name(name.to_owned())));
        }
        assert!(matches!(check("FASTFLOW_RUN_ID", ""), Err(BadVariable::Reserved(_))));
        assert!(matches!(check(&"A".repeat(256), ""), Err(BadVariable::LongName(_))));
        assert!(matches!(check("A", "\0"), Err(BadVariable::Nul(_))));
        assert!(matches!(check("A", &"x".repeat(MAX_VALUE_BYTES + 1)), Err(BadVariable::TooLong(_))));
    }
}
