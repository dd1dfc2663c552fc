//! What a password must be. Length is what makes guessing hopeless (NIST SP 800-63B); beside it only what everybody tries
//! first is refused. No rules about digits and signs: they make passwords worse.

/// Longest password in bytes: a limit for the hasher's sake that no passphrase reaches.
pub const MAX_BYTES: usize = 1024;

/// Fewer different characters than this are a pattern, not a password.
const MIN_DIFFERENT: usize = 5;

/// Parts of what people choose when they are told to choose something long.
const COMMON: [&str; 8] =
    ["password", "passwort", "qwertz", "qwerty", "12345678", "letmein", "fastflow", "administrator"];

/// Says what is wrong with a password for `username`, in words that end a sentence about it.
///
/// # Errors
/// What is wrong and what is allowed.
pub fn check(password: &str, username: &str, min_chars: usize) -> Result<(), String> {
    if password.chars().count() < min_chars {
        return Err(format!("must have at least {min_chars} characters"));
    }
    if password.len() > MAX_BYTES {
        return Err(format!("must have at most {MAX_BYTES} bytes"));
    }
    if password.chars().any(char::is_control) {
        return Err("must not hold control characters".to_owned());
    }
    let folded = password.to_lowercase();
    if different(&folded) < MIN_DIFFERENT {
        return Err(format!("must have at least {MIN_DIFFERENT} different characters"));
    }
    // What is left when the obvious is taken away must be a password of its own.
    let name = username.to_lowercase();
    let obvious = COMMON.into_iter().chain((name.chars().count() >= 3).then_some(name.as_str()));
    for part in obvious {
        let rest = folded.replace(part, "");
        let too_little = rest.chars().count() < min_chars / 2 || different(&rest) < 3;
        if rest.len() != folded.len() && too_little {
            return Err(if part == name {
                "must be more than the user name with something added".to_owned()
            } else {
                format!("must be more than {part:?} with something added")
            });
        }
    }
    Ok(())
}

fn different(text: &str) -> usize {
    let mut chars: Vec<_> = text.chars().collect();
    chars.sort_unstable();
    chars.dedup();
    chars.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_and_what_is_not() {
        for (password, wrong) in [
            ("short", Some("at least 12")),
            ("elevenchars", Some("at least 12")),
            ("aaaaaaaaaaaaaaaa", Some("different")),
            ("abababababababab", Some("different")),
            ("ute.mueller2024", Some("user name")),
            ("UTE.MUELLERute.mueller1", Some("user name")),
            ("ute.mueller--------", Some("user name")),
            ("Password1234!", Some("password")),
            ("123456789012", Some("12345678")),
            ("line\nbreak in it", Some("control")),
            ("correct horse battery", None),
            ("Grüße aus Köln!", None),
            ("ute.mueller rides a horse", None),
            ("k7f2p-9xq4m-hh3wd-zt8ra", None),
        ] {
            match (check(password, "ute.mueller", 12), wrong) {
                (Ok(()), None) => {}
                (Err(told), Some(wrong)) => assert!(told.contains(wrong), "{password}: {told}"),
                other => panic!("{password}: {other:?}"),
            }
        }
        assert!(check(&"long ".repeat(300), "ute", 12).is_err());
        // Characters count, not bytes.
        assert!(check("ößüäéñçø", "ute", 12).is_err());
        // A short name is part of too many words.
        assert!(check("a quiet cat on a mat", "at", 12).is_ok());
    }
}
