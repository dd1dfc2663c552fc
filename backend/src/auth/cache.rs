//! Remembers for a few seconds who a token belongs to, so that a page with twenty requests asks the database once.
//!
//! A session that is ended here is forgotten at once. With several servers on one database, another one may let it pass
//! until its memory is a few seconds old.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Identity;
use crate::crypto::TokenHash;
use crate::domain::clock::Millis;

/// Seconds for which an answer is good.
const SECONDS: f64 = 5.0;

/// Most sessions remembered.
const MAX_ENTRIES: usize = 10_000;

/// The memory.
#[derive(Debug, Default)]
pub(super) struct Cache {
    memory: Mutex<Memory>,
    /// Tells open streams that something was forgotten: one of them may be that session's.
    forgotten: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Memory {
    entries: HashMap<TokenHash, (Millis, Identity)>,
    /// Counts what was forgotten. See [`Cache::remember`].
    generation: u64,
}

/// Taken before the database is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Generation(u64);

impl Cache {
    pub(super) fn generation(&self) -> Generation {
        Generation(self.memory().generation)
    }

    /// Who it was a moment ago.
    pub(super) fn get(&self, token: &TokenHash, now: Millis) -> Option<Identity> {
        let memory = self.memory();
        let (since, identity) = memory.entries.get(token)?;
        let fresh =
            (0.0..SECONDS).contains(&now.seconds_since(*since)) && identity.expires_at.is_none_or(|end| end > now);
        fresh.then(|| identity.clone())
    }

    /// Keeps what the database said, unless something was forgotten since it was asked: that may have been this session.
    pub(super) fn remember(&self, token: TokenHash, identity: Identity, now: Millis, asked: Generation) {
        let mut memory = self.memory();
        if memory.generation != asked.0 {
            return;
        }
        if memory.entries.len() >= MAX_ENTRIES {
            memory.entries.retain(|_, (since, _)| (0.0..SECONDS).contains(&now.seconds_since(*since)));
        }
        if memory.entries.len() < MAX_ENTRIES {
            memory.entries.insert(token, (now, identity));
        }
    }

    /// A session or token has ended.
    pub(super) fn forget(&self, token: &str) {
        self.forget_all(|hash, _| hash.as_str() == token);
    }

    /// Something of a user has changed: nothing that is remembered of that user holds.
    pub(super) fn forget_user(&self, user_id: &str) {
        self.forget_all(|_, identity| identity.user.id == user_id);
    }

    fn forget_all(&self, which: impl Fn(&TokenHash, &Identity) -> bool) {
        let mut memory = self.memory();
        memory.generation += 1;
        memory.entries.retain(|hash, (_, identity)| !which(hash, identity));
        self.forgotten.send_replace(memory.generation);
    }

    /// Changes whenever something was forgotten.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.forgotten.subscribe()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use fastflow_shared::{Role, User};

    use super::*;
    use crate::auth::Means;
    use crate::crypto::Token;

    fn identity(expires_at: i64) -> Identity {
        Identity {
            user: User {
                id: "u".to_owned(),
                username: "ute".to_owned(),
                role: Role::Admin,
                created_at: DateTime::default(),
            },
            means: Means::Session,
            expires_at: Some(Millis(expires_at)),
        }
    }

    #[test]
    fn remembers_for_five_seconds_and_never_beyond_the_sessions_end() {
        let cache = Cache::default();
        let (long, short) = (Token::generate().hash(), Token::generate().hash());
        cache.remember(long.clone(), identity(100_000), Millis(0), cache.generation());
        cache.remember(short.clone(), identity(2_000), Millis(0), cache.generation());
        for (now, expected) in
            [(0, (true, true)), (2_000, (true, false)), (5_000, (false, false)), (-1, (false, false))]
        {
            let found = |token| cache.get(token, Millis(now)).is_some();
            assert_eq!((found(&long), found(&short)), expected, "at {now}");
        }
    }

    #[test]
    fn an_answer_from_before_a_logout_is_not_kept() {
        let cache = Cache::default();
        let token = Token::generate().hash();
        let asked = cache.generation();
        cache.forget(token.as_str());
        cache.remember(token.clone(), identity(9), Millis(0), asked);
        assert_eq!(cache.get(&token, Millis(0)), None);
    }

    #[test]
    fn what_changes_of_a_user_is_forgotten_and_told() {
        let cache = Cache::default();
        let mut told = cache.watch();
        let (hers, his) = (Token::generate().hash(), Token::generate().hash());
        let mut other = identity(9);
        other.user.id = "v".to_owned();
        cache.remember(hers.clone(), identity(9), Millis(0), cache.generation());
        cache.remember(his.clone(), other, Millis(0), cache.generation());
        assert!(!told.has_changed().expect("open"));
        cache.forget_user("u");
        assert!(told.has_changed().expect("open"));
        told.mark_unchanged();
        assert!(cache.get(&hers, Millis(0)).is_none() && cache.get(&his, Millis(0)).is_some());
    }

    #[test]
    fn memory_is_bounded() {
        let cache = Cache::default();
        for _ in 0..MAX_ENTRIES + 100 {
            cache.remember(Token::generate().hash(), identity(9), Millis(0), cache.generation());
        }
        assert_eq!(cache.memory().entries.len(), MAX_ENTRIES);
        let late = Token::generate().hash();
        cache.remember(late.clone(), identity(99_999), Millis(9_000), cache.generation());
        assert!(cache.get(&late, Millis(9_000)).is_some());
    }
}
