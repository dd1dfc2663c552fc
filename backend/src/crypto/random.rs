//! Random things that are given away once (session tokens, a first password) and what is kept of them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng as _;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Bytes of randomness in a token: nobody guesses 256 bits, so a plain SHA-256 protects it at rest.
const TOKEN_BYTES: usize = 32;

/// Characters of a token: unpadded base64.
const TOKEN_CHARS: usize = 43;

/// What an API token begins with, so that people and scanners of repositories recognise one that lies where it should not.
/// A session's token is shorter by this, so the two cannot be mistaken for one another.
const API_PREFIX: &str = "ff_";

/// Characters of an API token's hint: enough to tell it from others, far from enough to guess it.
const HINT_CHARS: usize = API_PREFIX.len() + 5;

/// No 0/O, 1/l/i: someone will type this from a terminal into a browser on another machine.
const READABLE: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// A bearer of rights: whoever shows it is who it was given to. Exists in clear only here and with its owner.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<String>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// A new session's token from the system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self::with_prefix("")
    }

    /// A new API token.
    #[must_use]
    pub fn generate_api() -> Self {
        Self::with_prefix(API_PREFIX)
    }

    fn with_prefix(prefix: &str) -> Self {
        let mut bytes = Zeroizing::new([0_u8; TOKEN_BYTES]);
        rand::rng().fill(bytes.as_mut_slice());
        let mut text = Zeroizing::new(String::with_capacity(prefix.len() + TOKEN_CHARS));
        text.push_str(prefix);
        URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
        Self(text)
    }

    /// Takes what a client sent; `None` when it cannot be a token of ours, so that rubbish never reaches the database.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let random = match text.len().checked_sub(TOKEN_CHARS)? {
            0 => text,
            length if length == API_PREFIX.len() => text.strip_prefix(API_PREFIX)?,
            _ => return None,
        };
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(random).ok()?);
        (bytes.len() == TOKEN_BYTES).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// Whether it is an API token rather than a session's.
    #[must_use]
    pub fn is_api(&self) -> bool {
        self.0.len() > TOKEN_CHARS
    }

    /// The first characters, for its owner to recognise it.
    #[must_use]
    pub fn hint(&self) -> String {
        self.0.chars().take(HINT_CHARS).collect()
    }

    /// The text to give to its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What may be stored and logged.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(hex::encode(Sha256::digest(self.0.as_bytes())))
    }
}

/// SHA-256 of a token as hexadecimal text: finds a session, but opens none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash(String);

impl TokenHash {
    /// The text for the database.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A password for a person: four groups of five characters that are not mistaken for one another, 99 bits.
#[must_use]
pub fn readable_password() -> Zeroizing<String> {
    let mut rng = rand::rng();
    let mut text = Zeroizing::new(String::with_capacity(23));
    for place in 0..20 {
        if place > 0 && place % 5 == 0 {
            text.push('-');
        }
        text.push(char::from(READABLE[rng.random_range(0..READABLE.len())]));
    }
    text
}

/// A name that nobody else picks by accident: twelve characters, 59 bits. No secret.
#[must_use]
pub fn short_id() -> String {
    let mut rng = rand::rng();
    (0..12).map(|_| char::from(READABLE[rng.random_range(0..READABLE.len())])).collect()
}

/// Compares two secrets in a time that does not depend on where they differ.
#[must_use]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_survives_the_way_to_its_owner_and_back() {
        let token = Token::generate();
        assert_eq!(token.expose().len(), TOKEN_CHARS);
        let back = Token::parse(token.expose()).expect("ours");
        assert_eq!(back.hash(), token.hash());
        assert_eq!(token.hash().as_str().len(), 64);
    }

    #[test]
    fn an_api_token_is_recognised_and_is_no_sessions() {
        let (api, session) = (Token::generate_api(), Token::generate());
        assert!(api.expose().starts_with("ff_") && api.expose().len() == 46);
        let back = Token::parse(api.expose()).expect("ours");
        assert!(back.is_api() && !session.is_api() && back.hash() == api.hash());
        assert_eq!(api.hint(), api.expose()[..8]);
        for text in [&api.expose()[3..], &format!("xx_{}", session.expose())] {
            assert!(Token::parse(text).is_none_or(|token| !token.is_api()), "{text}");
        }
    }

    #[test]
    fn a_token_shows_itself_nowhere_by_accident() {
        let token = Token::generate();
        assert!(!format!("{token:?} {:?}", token.hash()).contains(token.expose()));
    }

    #[test]
    fn no_two_are_alike() {
        let tokens: BTreeSet<_> = (0..1000).map(|_| Token::generate().expose().to_owned()).collect();
        let passwords: BTreeSet<_> = (0..1000).map(|_| readable_password().to_string()).collect();
        let ids: BTreeSet<_> = (0..1000).map(|_| short_id()).collect();
        assert_eq!((tokens.len(), passwords.len(), ids.len()), (1000, 1000, 1000));
    }

    #[test]
    fn a_readable_password_is_four_groups_of_five() {
        let password = readable_password();
        assert_eq!(password.split('-').map(str::len).collect::<Vec<_>>(), [5, 5, 5, 5]);
    }

    #[test]
    fn rubbish_is_no_token() {
        let good = Token::generate().expose().to_owned();
        for text in
            ["", " ", "Bearer", &good[1..], &format!("{good}="), &format!("{good} "), &good.replace(&good[5..6], "+")]
        {
            assert!(Token::parse(text).is_none(), "{text}");
        }
        assert!(Token::parse(&"ä".repeat(22)).is_none());
        assert!(Token::parse(&"A".repeat(10_000_000)).is_none());
    }

    #[test]
    fn comparison() {
        assert!(same(b"abc", b"abc") && !same(b"abc", b"abd") && !same(b"abc", b"ab"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let _ = Token::parse(&text);
        }

        #[test]
        fn what_is_taken_is_taken_as_it_is(text in "(ff_)?[A-Za-z0-9_-]{40,46}") {
            if let Some(token) = Token::parse(&text) {
                prop_assert_eq!(token.expose(), text.as_str());
                prop_assert_eq!(token.is_api(), text.len() == 46);
            }
        }
    }
}
