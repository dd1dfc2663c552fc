//! The keys that seal what is stored: Fernet, in the format of Python's `cryptography`, so that values made elsewhere open
//! here and the other way round.
//!
//! The keys come from `ENCRYPTION_KEY` or, when that is not set, from a file that is made at the first start. There are
//! several when a key is being replaced: the first one seals, each one opens.

use std::fmt;
use std::path::{Path, PathBuf};

use fernet::Fernet;
use thiserror::Error;
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::file::{self, FileError};

/// Fernet carries the time of sealing and the crate refuses values from the future. Python does so only when asked to
/// check an age, and rightly: a server whose clock was once wrong must not lose its secrets. So we always open as of a
/// time that is later than any.
const END_OF_TIME: u64 = i64::MAX as u64;

/// Where the keys are.
#[derive(Clone)]
pub struct Options {
    /// `ENCRYPTION_KEY`: one or several keys, separated by commas.
    pub keys: Option<Zeroizing<String>>,
    /// Holds the keys when none is set; made when absent.
    pub key_file: PathBuf,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("set", &self.keys.is_some()).field("key_file", &self.key_file).finish()
    }
}

/// Why there is no keyring. Never holds a key.
#[derive(Debug, Error)]
pub enum KeyringError {
    /// Not a key. The message gives no example, for somebody would use it.
    #[error(
        "key {number} of {count} in {origin} is malformed ({characters} characters): a key is 32 random bytes in URL-safe \
         base64, that is 43 letters, digits, - and _, then =. Make one with: \
         python3 -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'"
    )]
    Malformed {
        /// `ENCRYPTION_KEY` or the file.
        origin: String,
        /// Which one, from 1.
        number: usize,
        /// How many there are.
        count: usize,
        /// How long it is.
        characters: usize,
    },
    /// The key file.
    #[error("the encryption key is not available")]
    File(#[from] FileError),
}

/// A sealed value that does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// Wrong key, or not what was sealed.
    #[error("none of the encryption keys opens it: it was sealed with another key, or it is damaged")]
    Refused,
    /// Sealed by something else: our values are text.
    #[error("what it holds is not UTF-8 text")]
    NotText,
}

/// Seals and opens.
pub struct Keyring {
    /// Never empty.
    keys: Vec<Fernet>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("keys", &self.keys.len()).finish()
    }
}

impl Keyring {
    /// Takes the keys that are set, else those of the file, else makes one.
    ///
    /// # Errors
    /// [`KeyringError`] when a key is malformed or the file cannot be used.
    pub fn load(options: &Options) -> Result<Self, KeyringError> {
        let Options { keys, key_file } = options;
        let shown = key_file.display();
        if let Some(keys) = keys {
            let ring = Self::parse(keys, "ENCRYPTION_KEY")?;
            ring.warn_of_a_forgotten_file(key_file)?;
            return Ok(ring);
        }
        let (text, made) = file::read_or_create(key_file, || Zeroizing::new(format!("{}\n", Fernet::generate_key())))?;
        if made {
            warn!(
                path = %shown,
                "ENCRYPTION_KEY is not set: made a key and keep it in {shown}. Back this file up: without it, stored \
                 secrets are lost"
            );
        } else if file::make_private(key_file)? {
            warn!(path = %shown, "{shown} could be read by other users; its permissions are now 0600");
        } else {
            info!(path = %shown, "ENCRYPTION_KEY is not set: the key is the one in {shown}");
        }
        Self::parse(&text, &shown.to_string())
    }

    /// Reads keys, separated by commas or line ends.
    ///
    /// # Errors
    /// [`KeyringError::Malformed`] for the first that is none.
    pub fn parse(text: &str, origin: &str) -> Result<Self, KeyringError> {
        let mut texts: Vec<&str> = text.split([',', '\n']).map(str::trim).filter(|key| !key.is_empty()).collect();
        if texts.is_empty() {
            texts.push("");
        }
        let read = |(index, key): (usize, &&str)| {
            Fernet::new(key).ok_or_else(|| KeyringError::Malformed {
                origin: origin.to_owned(),
                number: index + 1,
                count: texts.len(),
                characters: key.chars().count(),
            })
        };
        Ok(Self { keys: texts.iter().enumerate().map(read).collect::<Result<_, _>>()? })
    }

    /// Seals a text with the first key.
    #[must_use]
    pub fn seal(&self, text: &str) -> String {
        self.keys[0].encrypt(text.as_bytes())
    }

    /// Whether the first key opens it, so that no other is needed.
    #[must_use]
    pub fn is_current(&self, sealed: &str) -> bool {
        self.keys[0].decrypt_at_time(sealed, None, END_OF_TIME).map(Zeroizing::new).is_ok()
    }

    /// Opens a sealed text with whichever key fits.
    ///
    /// # Errors
    /// [`OpenError`] when none does.
    pub fn open(&self, sealed: &str) -> Result<Zeroizing<String>, OpenError> {
        let bytes = self
            .keys
            .iter()
            .find_map(|key| key.decrypt_at_time(sealed, None, END_OF_TIME).ok())
            .ok_or(OpenError::Refused)?;
        String::from_utf8(bytes).map(Zeroizing::new).map_err(|error| {
            drop(Zeroizing::new(error.into_bytes()));
            OpenError::NotText
        })
    }

    /// Who sets `ENCRYPTION_KEY` after starting without it would otherwise learn from failing runs that the secrets so
    /// far need the file's key as well.
    fn warn_of_a_forgotten_file(&self, key_file: &Path) -> Result<(), KeyringError> {
        let shown = key_file.display();
        let Some(text) = file::read(key_file)? else { return Ok(()) };
        let Ok(old) = Self::parse(&text, "the key file") else { return Ok(()) };
        if self.open(&old.seal("")).is_err() {
            warn!(
                path = %shown,
                "ENCRYPTION_KEY is set, so the key in {shown} is not used. To open what was sealed with it, put it behind \
                 yours in ENCRYPTION_KEY, separated by a comma; else remove the file"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use proptest::prelude::*;

    use super::*;

    /// The key of the Fernet specification's example.
    const SPEC_KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";

    fn ring(keys: &[&str]) -> Keyring {
        Keyring::parse(&keys.join(","), "test").expect("keys")
    }

    #[test]
    fn the_first_key_seals_and_each_opens() {
        let (old, new) = (Fernet::generate_key(), Fernet::generate_key());
        let sealed = ring(&[&old]).seal("text");
        assert_eq!(ring(&[&new, &old]).open(&sealed).expect("opens").as_str(), "text");
        assert_eq!(ring(&[&new]).open(&sealed), Err(OpenError::Refused));
        let sealed = ring(&[&new, &old]).seal("text");
        assert!(ring(&[&new]).open(&sealed).is_ok() && ring(&[&old]).open(&sealed).is_err());
    }

    #[test]
    fn the_example_of_the_fernet_specification_opens() {
        let sealed =
            "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
        assert_eq!(ring(&[SPEC_KEY]).open(sealed).expect("opens").as_str(), "hello");
    }

    #[test]
    fn a_clock_that_was_once_wrong_loses_nothing() {
        let key = Fernet::generate_key();
        let in_seventy_years = 4_000_000_000;
        let sealed = Fernet::new(&key).expect("key").encrypt_at_time(b"text", in_seventy_years);
        assert_eq!(ring(&[&key]).open(&sealed).expect("opens").as_str(), "text");
    }

    #[test]
    fn a_malformed_key_is_told_but_not_shown() {
        let good = Fernet::generate_key();
        for (text, told) in [
            (format!("{good},hunter2"), "key 2 of 2 in ENCRYPTION_KEY is malformed (7 characters)"),
            (good[..40].to_owned(), "(40 characters)"),
            (" , ".to_owned(), "key 1 of 1"),
        ] {
            let error = Keyring::parse(&text, "ENCRYPTION_KEY").expect_err("malformed").to_string();
            assert!(error.contains(told) && error.contains("32 random bytes"), "{error}");
            assert!(!error.contains("hunter2") && !error.contains(&good[..40]), "{error}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let key = Fernet::generate_key();
        let sealed = Fernet::new(&key).expect("key").encrypt(&[0xff]);
        assert_eq!(ring(&[&key]).open(&sealed), Err(OpenError::NotText));
    }

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().expect("folder");
        let options = Options { keys: None, key_file: folder.path().join("data/encryption.key") };
        let sealed = Keyring::load(&options).expect("made").seal("text");
        fs::set_permissions(&options.key_file, fs::Permissions::from_mode(0o644)).expect("chmod");
        assert_eq!(Keyring::load(&options).expect("kept").open(&sealed).expect("opens").as_str(), "text");
        assert_eq!(fs::metadata(&options.key_file).expect("there").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_set_key_wins_and_the_file_is_left_alone() {
        let folder = tempfile::tempdir().expect("folder");
        let key = Fernet::generate_key();
        let mut options = Options { keys: Some(Zeroizing::new(key.clone())), key_file: folder.path().join("key") };
        let sealed = Keyring::load(&options).expect("set").seal("text");
        assert!(!options.key_file.exists() && ring(&[&key]).open(&sealed).is_ok());
        options.keys = None;
        let made = Keyring::load(&options).expect("made").seal("text");
        options.keys = Some(Zeroizing::new(key));
        assert!(Keyring::load(&options).expect("set").open(&made).is_err());
    }

    #[test]
    fn a_malformed_file_stops_the_start_and_is_not_replaced() {
        let folder = tempfile::tempdir().expect("folder");
        let options = Options { keys: None, key_file: folder.path().join("key") };
        fs::write(&options.key_file, "").expect("write");
        let error = Keyring::load(&options).expect_err("empty").to_string();
        assert!(error.contains(&*options.key_file.to_string_lossy()), "{error}");
        assert_eq!(fs::read(&options.key_file).expect("there"), b"");
    }

    #[test]
    fn nothing_of_a_key_shows_in_debug_output() {
        let key = Fernet::generate_key();
        let options = Options { keys: Some(Zeroizing::new(key.clone())), key_file: "k".into() };
        assert!(!format!("{options:?} {:?}", ring(&[&key])).contains(&key));
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(text in "\\PC*") {
            let ring = ring(&[SPEC_KEY]);
            let opened = ring.open(&ring.seal(&text)).expect("opens");
            prop_assert_eq!(opened.as_str(), text);
        }

        #[test]
        fn rubbish_is_refused_without_a_panic(text in "\\PC*") {
            prop_assert!(ring(&[SPEC_KEY]).open(&text).is_err());
        }
    }
}
