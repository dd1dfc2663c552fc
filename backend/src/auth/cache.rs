//! Remembers for a few seconds who a token belongs to, so that a page with twenty requests asks the database once.
//!
//! A session that is ended here is forgotten at once. With several servers on one database, another one may let it pass
//! until its memory is a few seconds old.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Identity;
use crate::crypto::TokenHash;
use crate::domain::clock::Millis;

/// Seconds for which an answer is good.
const SECONDS: f64 = 5.0;

/// Most sessions remembered.
const MAX_ENTRIES: usize = 10_000;

/// The memory.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Memory>);

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
        let fresh = (0.0..SECONDS).contains(&now.seconds_since(*since)) && identity.expires_at > now;
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

    pub(super) fn forget(&self, token: &TokenHash) {
        let mut memory = self.memory();
        memory.generation += 1;
        memory.entries.remove(token);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use fastflow_shared::{Role, User};

    use super::*;
    use crate::crypto::Token;
    use crate::store::SessionKind;

    fn identity(expires_at: i64) -> Identity {
        Identity {
            user: User {
                id: "u".to_owned(),
                username: "ute".to_owned(),
                role: Role::Admin,
                created_at: DateTime::default(),
            },
            kind: SessionKind::Browser,
            expires_at: Millis(expires_at),
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
        cache.forget(&token);
        cache.remember(token.clone(), identity(9), Millis(0), asked);
        assert_eq!(cache.get(&token, Millis(0)), None);
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
