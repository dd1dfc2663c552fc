//! Password hashes: argon2id, off the async threads, and never more at once than the memory bears.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// Hashes under way at once. Each takes [`Cost::memory_kib`] and a whole core: a flood of logins must leave the rest of the
/// server both.
const AT_ONCE: usize = 1;

/// Hashes that may wait behind it, about two seconds' work. Beyond it a flood is refused, not collected.
const MAY_WAIT: usize = 24;

/// What one hash costs him who computes it: us once, a thief of the database for each guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub passes: u32,
}

impl Default for Cost {
    /// Of OWASP's equally strong recommendations the one with the most memory and one pass, for a reason that has nothing to
    /// do with strength: glibc gives blocks beyond 32 MiB back to the system when they are freed, but keeps smaller ones,
    /// once per thread. With 19 MiB and two passes the server was measured to hold 470 MB for ever after a few logins.
    fn default() -> Self {
        Self { memory_kib: 46 * 1024, passes: 1 }
    }
}

impl Cost {
    /// The cheapest there is. For tests only: it protects nothing.
    pub const TRIVIAL: Self = Self { memory_kib: 8, passes: 1 };

    /// OWASP's equally strong recommendations for argon2id: MiB of memory for one pass, two passes and so on.
    const OWASP_MIB: [u32; 5] = [46, 19, 12, 9, 7];

    /// Reads `m=46,t=1`: MiB of memory and passes. Refuses what is weaker than OWASP recommends, and what would take the
    /// memory or the minutes of a whole machine for each login.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (memory, passes) = text.split_once(',')?;
        let memory: u32 = memory.trim().strip_prefix("m=")?.parse().ok()?;
        let passes: u32 = passes.trim().strip_prefix("t=")?.parse().ok()?;
        let index = usize::try_from(passes.checked_sub(1)?).ok()?.min(Self::OWASP_MIB.len() - 1);
        let good = passes <= 20 && (Self::OWASP_MIB[index]..=1024).contains(&memory);
        good.then_some(Self { memory_kib: memory * 1024, passes })
    }

    /// How a PHC string of this cost begins.
    fn phc(self) -> String {
        format!("$argon2id$v=19$m={},t={},p=1$", self.memory_kib, self.passes)
    }
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum PasswordError {
    /// Too many hashes are waiting.
    #[error("too many passwords are being checked at this moment")]
    Busy,
    /// The stored hash is not one of ours.
    #[error("a stored password hash cannot be read")]
    Stored(#[source] password_hash::phc::Error),
    /// argon2 refuses.
    #[error("argon2 failed")]
    Argon2(#[source] password_hash::Error),
    /// The parameters make no sense.
    #[error("argon2 takes no such cost")]
    Cost(#[source] argon2::Error),
    /// The thread died or the server is stopping.
    #[error("the hashing thread ended early")]
    Thread(#[source] tokio::task::JoinError),
}

/// Makes and checks password hashes.
#[derive(Clone)]
pub struct Passwords {
    argon2: Arc<Argon2<'static>>,
    /// Checked against when there is no such user, so that the answer takes as long.
    decoy: Arc<str>,
    room: Arc<Semaphore>,
    work: Arc<Semaphore>,
    /// How the hashes of today begin.
    phc: Arc<str>,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords").field("at_work", &(AT_ONCE - self.work.available_permits())).finish_non_exhaustive()
    }
}

impl Passwords {
    /// Prepares hashing; computes one hash, so it takes as long as one.
    ///
    /// # Errors
    /// When argon2 takes no such cost.
    pub fn new(cost: Cost) -> Result<Self, PasswordError> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(PasswordError::Cost)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy = argon2.hash_password(b"nobody's password").map_err(PasswordError::Argon2)?.to_string();
        Ok(Self {
            argon2: Arc::new(argon2),
            decoy: decoy.into(),
            room: Arc::new(Semaphore::new(AT_ONCE + MAY_WAIT)),
            work: Arc::new(Semaphore::new(AT_ONCE)),
            phc: cost.phc().into(),
        })
    }

    /// Whether a stored hash was made with the cost of today, so that it need not be made anew.
    #[must_use]
    pub fn is_current(&self, stored: &str) -> bool {
        stored.starts_with(&*self.phc)
    }

    /// Hashes a password with a fresh salt, as a PHC string that carries its parameters.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let password = Zeroizing::new(password.to_owned());
        self.run(move |argon2| {
            Ok(argon2.hash_password(password.as_bytes()).map_err(PasswordError::Argon2)?.to_string())
        })
        .await
    }

    /// Whether `password` is the one that `stored` was made of. Without a stored hash the answer is no, and takes as long.
    ///
    /// # Errors
    /// [`PasswordError`]; a wrong password is no error.
    pub async fn verify(&self, password: &str, stored: Option<&str>) -> Result<bool, PasswordError> {
        let password = Zeroizing::new(password.to_owned());
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.decoy).to_owned();
        self.run(move |argon2| {
            let hash = PasswordHash::new(&stored).map_err(PasswordError::Stored)?;
            match argon2.verify_password(password.as_bytes(), &hash) {
                Ok(()) => Ok(known),
                Err(password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(PasswordError::Argon2(error)),
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Argon2<'static>) -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place: OwnedSemaphorePermit =
            Arc::clone(&self.room).try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        let turn = Arc::clone(&self.work).acquire_owned().await.map_err(|_| PasswordError::Busy)?;
        let argon2 = Arc::clone(&self.argon2);
        spawn_blocking(move || {
            let result = job(&argon2);
            // Given back here and not by the caller: a client that hangs up does not stop the thread.
            drop((turn, place));
            result
        })
        .await
        .map_err(PasswordError::Thread)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let passwords = Passwords::new(Cost::TRIVIAL).expect("cost");
        let hash = passwords.hash("Grüße, hunter2").await.expect("hash");
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        assert!(passwords.verify("Grüße, hunter2", Some(&hash)).await.expect("verify"));
        for wrong in ["", "hunter2", "grüße, hunter2", "Grüße, hunter2 "] {
            assert!(!passwords.verify(wrong, Some(&hash)).await.expect("verify"));
        }
    }

    #[tokio::test]
    async fn nobodys_password_opens_nothing() {
        let passwords = Passwords::new(Cost::TRIVIAL).expect("cost");
        assert!(!passwords.verify("nobody's password", None).await.expect("verify"));
    }

    #[tokio::test]
    async fn a_hash_made_with_another_cost_still_fits() {
        let old = Passwords::new(Cost { memory_kib: 16, passes: 2 }).expect("cost").hash("x").await.expect("hash");
        let passwords = Passwords::new(Cost::TRIVIAL).expect("cost");
        assert!(passwords.verify("x", Some(&old)).await.expect("verify"));
        assert!(!passwords.is_current(&old) && passwords.is_current(&passwords.hash("x").await.expect("hash")));
    }

    #[test]
    fn no_cost_below_the_recommendations_is_taken() {
        for (text, expected) in [
            ("m=46,t=1", Some((46, 1))),
            ("m=19, t=2", Some((19, 2))),
            ("m=7,t=5", Some((7, 5))),
            ("m=7,t=20", Some((7, 20))),
            ("m=1024,t=1", Some((1024, 1))),
            ("m=45,t=1", None),
            ("m=18,t=2", None),
            ("m=6,t=20", None),
            ("m=46,t=0", None),
            ("m=46,t=21", None),
            ("m=1025,t=1", None),
            ("46,1", None),
            ("m=46", None),
            ("", None),
        ] {
            let found = Cost::parse(text).map(|cost| (cost.memory_kib / 1024, cost.passes));
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(Cost::parse("m=46,t=1"), Some(Cost::default()));
    }

    #[tokio::test]
    async fn a_broken_hash_is_told_and_is_no_match() {
        let passwords = Passwords::new(Cost::TRIVIAL).expect("cost");
        for broken in ["", "plain", "$2b$12$abc", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$"] {
            assert!(passwords.verify("plain", Some(broken)).await.is_err(), "{broken:?}");
        }
        let without_hash = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ";
        assert!(!passwords.verify("plain", Some(without_hash)).await.unwrap_or(false));
    }

    #[tokio::test]
    async fn an_unknown_user_takes_as_long_as_a_wrong_password() {
        let passwords = Passwords::new(Cost { memory_kib: 4096, passes: 2 }).expect("cost");
        let hash = passwords.hash("right").await.expect("hash");
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..15 {
            for (stored, times) in [Some(hash.as_str()), None].into_iter().zip(&mut times) {
                let began = std::time::Instant::now();
                assert!(!passwords.verify("wrong", stored).await.expect("verify"));
                times.push(began.elapsed());
            }
        }
        let [wrong, unknown] = times.map(|mut times| {
            times.sort();
            times[times.len() / 2].as_secs_f64()
        });
        assert!((0.2..5.0).contains(&(wrong / unknown)), "{wrong} against {unknown}");
    }

    #[tokio::test]
    async fn a_flood_is_refused_instead_of_collected() {
        let passwords = Passwords::new(Cost::TRIVIAL).expect("cost");
        let held = Arc::clone(&passwords.work).acquire_many_owned(u32::try_from(AT_ONCE).expect("small")).await;
        let waiting: Vec<_> = (0..AT_ONCE + MAY_WAIT)
            .map(|_| {
                let passwords = passwords.clone();
                tokio::spawn(async move { passwords.verify("x", None).await })
            })
            .collect();
        while passwords.room.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(passwords.verify("x", None).await, Err(PasswordError::Busy)));
        drop(held);
        for task in waiting {
            assert!(matches!(task.await.expect("task"), Ok(false)));
        }
        assert!(passwords.verify("x", None).await.is_ok());
    }
}
