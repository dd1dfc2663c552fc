//! Floor 1: the only room that knows keys, ciphers, password hashes and randomness. What leaves it is sealed text, a hash,
//! a yes or no, or a fresh random token.

mod file;
mod keyring;
mod password;
mod random;
mod sign;

pub use file::{FileError, read_or_create};
pub use keyring::{Keyring, KeyringError, OpenError, Options};
pub use password::{Cost, PasswordError, Passwords};
pub use random::{Token, TokenHash, readable_password, same, short_id};
pub use sign::{SignError, check_private_key, hmac_matches, sign_jwt};
