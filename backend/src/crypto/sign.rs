//! Signatures for others (RS256 tokens) and of others (HMAC-SHA256 of a webhook's body).

use hmac::{Hmac, Mac as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use sha2::Sha256;
use thiserror::Error;

/// Why nothing was signed. Never holds a key.
#[derive(Debug, Error)]
pub enum SignError {
    /// The key.
    #[error("it is no RSA private key in PEM form (-----BEGIN RSA PRIVATE KEY-----)")]
    Key,
    /// The signature.
    #[error("the token cannot be signed")]
    Sign,
}

/// A JSON web token of these claims, signed by RS256.
///
/// # Errors
/// [`SignError`].
pub fn sign_jwt(claims: &impl Serialize, private_key: &str) -> Result<String, SignError> {
    let key = EncodingKey::from_rsa_pem(private_key.trim().as_bytes()).map_err(|_| SignError::Key)?;
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), claims, &key).map_err(|_| SignError::Sign)
}

/// Whether that is a private key that can sign.
///
/// # Errors
/// [`SignError`].
pub fn check_private_key(private_key: &str) -> Result<(), SignError> {
    sign_jwt(&serde_json::json!({}), private_key).map(|_| ())
}

/// Whether `signature` (hexadecimal) is the HMAC-SHA256 of `body`; takes the same time wherever it differs.
#[must_use]
pub fn hmac_matches(key: &str, body: &[u8], signature: &str) -> bool {
    let (Ok(signature), Ok(mut mac)) = (hex::decode(signature), Hmac::<Sha256>::new_from_slice(key.as_bytes())) else {
        return false;
    };
    mac.update(body);
    mac.verify_slice(&signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn githubs_own_example_matches_and_nothing_else() {
        // From GitHub's documentation of webhooks.
        let (key, body) = ("It's a Secret to Everybody", b"Hello, World!");
        let signature = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(hmac_matches(key, body, signature));
        for (key, body, signature) in [
            (key, &b"Hello, World"[..], signature),
            ("another", &body[..], signature),
            (key, &body[..], &signature[..62]),
            (key, &body[..], "zz"),
            (key, &body[..], ""),
        ] {
            assert!(!hmac_matches(key, body, signature));
        }
    }

    #[test]
    fn what_is_no_key_is_told_without_being_repeated() {
        let error = check_private_key("-----BEGIN RSA PRIVATE KEY-----\nnope").expect_err("no key");
        assert!(!error.to_string().contains("nope"));
    }
}
