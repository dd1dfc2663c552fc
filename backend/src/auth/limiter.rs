//! Slows down guessing. Attempts are counted per client address and per name *from that address*: whoever guesses at a name
//! from elsewhere uses up his own attempts and never those of the name's owner.
//!
//! The count is a leaky bucket kept as one instant per key (GCRA): the time at which the bucket will be empty. Memory is
//! bounded; when it is full, the emptiest buckets are forgotten first, which gives a guesser nothing he would not get by
//! waiting or by coming from yet another address.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use crate::domain::clock::Millis;

/// Most buckets kept; 16 bytes each.
const MAX_BUCKETS: usize = 20_000;

/// How many attempts, how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Attempts that may follow each other at once.
    pub burst: u32,
    /// Seconds until one of them is given back.
    pub seconds_each: u32,
}

impl Rate {
    const fn step(self) -> i64 {
        self.seconds_each as i64 * 1000
    }

    const fn capacity(self) -> i64 {
        self.step() * self.burst as i64
    }
}

/// The two counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Per client address, whatever the name. An office behind one address shares it.
    pub per_address: Rate,
    /// Per name from one address.
    pub per_name: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self { per_address: Rate { burst: 30, seconds_each: 10 }, per_name: Rate { burst: 5, seconds_each: 30 } }
    }
}

/// Counts attempts.
#[derive(Debug)]
pub(super) struct Limiter {
    limits: Limits,
    /// Keys are hashed, so a name takes no space however long it is, and nobody can aim at collisions.
    hasher: RandomState,
    buckets: Mutex<HashMap<u64, i64>>,
}

/// An attempt that was let through; it counts unless it is given back.
#[derive(Debug)]
#[must_use]
pub(super) struct Attempt {
    address: u64,
    name: u64,
}

impl Limiter {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, hasher: RandomState::new(), buckets: Mutex::default() }
    }

    /// Counts an attempt, before it is known whether it is good: else a hundred at once would count as one.
    ///
    /// # Errors
    /// Seconds to wait. A refused attempt does not count, so waiting that long is enough.
    pub(super) fn begin(&self, name: &str, address: Option<IpAddr>, now: Millis) -> Result<Attempt, u64> {
        let address = address.map(network);
        let attempt = Attempt {
            address: self.hasher.hash_one(address),
            name: self.hasher.hash_one((address, name.to_lowercase())),
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = [(attempt.address, self.limits.per_address), (attempt.name, self.limits.per_name)];
        let wait = keys.iter().map(|(key, rate)| wait(&buckets, *key, *rate, now)).max().unwrap_or_default();
        if wait > 0 {
            return Err(u64::try_from(wait).unwrap_or_default().div_ceil(1000));
        }
        if buckets.len() + keys.len() > MAX_BUCKETS {
            make_room(&mut buckets, now);
        }
        for (key, rate) in keys {
            let empty_at = now.0 + level(&buckets, key, rate, now) + rate.step();
            buckets.insert(key, empty_at);
        }
        Ok(attempt)
    }

    /// The attempt was good, or was never decided: it does not count. A good one also clears the name's count, for its
    /// owner is there, but not the address's: someone with one account may still be guessing at others.
    pub(super) fn give_back(&self, attempt: &Attempt, was_good: bool) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(empty_at) = buckets.get_mut(&attempt.address) {
            *empty_at -= self.limits.per_address.step();
        }
        if was_good {
            buckets.remove(&attempt.name);
        } else if let Some(empty_at) = buckets.get_mut(&attempt.name) {
            *empty_at -= self.limits.per_name.step();
        }
    }
}

/// Milliseconds until one more fits into the bucket; not above zero when it does now.
fn wait(buckets: &HashMap<u64, i64>, key: u64, rate: Rate, now: Millis) -> i64 {
    level(buckets, key, rate, now) + rate.step() - rate.capacity()
}

/// Milliseconds until the bucket is empty. Never more than it holds: a clock that was set back must not lock anyone out.
fn level(buckets: &HashMap<u64, i64>, key: u64, rate: Rate, now: Millis) -> i64 {
    buckets.get(&key).map_or(0, |empty_at| (empty_at - now.0).clamp(0, rate.capacity()))
}

/// Forgets the empty buckets and, when these are few, the emptiest, so that this happens rarely.
fn make_room(buckets: &mut HashMap<u64, i64>, now: Millis) {
    buckets.retain(|_, empty_at| *empty_at > now.0);
    let target = MAX_BUCKETS / 8 * 7;
    if buckets.len() > target {
        let mut levels: Vec<i64> = buckets.values().copied().collect();
        let excess = levels.len() - target;
        let (_, limit, _) = levels.select_nth_unstable(excess);
        let limit = *limit;
        buckets.retain(|_, empty_at| *empty_at > limit);
    }
}

/// Who has one IPv6 address has 2^64 of them: they count as one. An IPv4 address written as IPv6 is that IPv4 address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Millis = Millis(1_000_000);

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    fn limiter() -> Limiter {
        Limiter::new(Limits::default())
    }

    fn fail(limiter: &Limiter, name: &str, address: &str, times: usize, now: Millis) {
        for _ in 0..times {
            let _ = limiter.begin(name, ip(address), now).expect("let through");
        }
    }

    #[test]
    fn five_wrong_passwords_then_one_every_half_minute() {
        let limiter = limiter();
        fail(&limiter, "ute", "10.0.0.1", 5, START);
        assert_eq!(limiter.begin("UTE", ip("10.0.0.1"), START).expect_err("slowed"), 30);
        assert_eq!(limiter.begin("ute", ip("10.0.0.1"), START.plus_seconds(29.5)).expect_err("slowed"), 1);
        fail(&limiter, "ute", "10.0.0.1", 1, START.plus_seconds(30.0));
        assert!(limiter.begin("ute", ip("10.0.0.1"), START.plus_seconds(30.0)).is_err());
    }

    #[test]
    fn guessing_from_elsewhere_does_not_lock_the_owner_out() {
        let limiter = limiter();
        for host in 1..200 {
            fail(&limiter, "ute", &format!("10.0.0.{host}"), 5, START);
        }
        fail(&limiter, "ute", "10.1.0.1", 1, START);
    }

    #[test]
    fn one_address_cannot_try_name_after_name() {
        let limiter = limiter();
        for n in 0..30 {
            fail(&limiter, &format!("user{n}"), "10.0.0.1", 1, START);
        }
        assert_eq!(limiter.begin("another", ip("10.0.0.1"), START).expect_err("slowed"), 10);
    }

    #[test]
    fn a_good_login_clears_its_name_but_not_the_guesses_at_others() {
        let limiter = limiter();
        fail(&limiter, "ute", "10.0.0.1", 4, START);
        let good = limiter.begin("ute", ip("10.0.0.1"), START).expect("let through");
        limiter.give_back(&good, true);
        fail(&limiter, "ute", "10.0.0.1", 5, START);
        // 4 + 5 of the address's 30 are used up.
        for n in 0..21 {
            fail(&limiter, &format!("user{n}"), "10.0.0.1", 1, START);
        }
        assert!(limiter.begin("another", ip("10.0.0.1"), START).is_err());
    }

    #[test]
    fn an_attempt_that_was_never_decided_does_not_count() {
        let limiter = limiter();
        for _ in 0..100 {
            let undecided = limiter.begin("ute", ip("10.0.0.1"), START).expect("let through");
            limiter.give_back(&undecided, false);
        }
    }

    #[test]
    fn neighbours_in_ipv6_are_one() {
        let limiter = limiter();
        fail(&limiter, "ute", "2001:db8::1", 3, START);
        fail(&limiter, "ute", "2001:db8::ffff:1", 2, START);
        assert!(limiter.begin("ute", ip("2001:db8::2"), START).is_err());
        assert!(limiter.begin("ute", ip("2001:db8:0:1::1"), START).is_ok());
        fail(&limiter, "ute", "10.0.0.1", 5, START);
        assert!(limiter.begin("ute", ip("::ffff:10.0.0.1"), START).is_err());
    }

    #[test]
    fn memory_is_bounded_and_the_fullest_bucket_is_kept() {
        let limiter = limiter();
        fail(&limiter, "ute", "192.168.0.1", 5, START);
        for n in 0..100_000_u32 {
            let address = IpAddr::from(n.to_be_bytes());
            let _ = limiter.begin("x", Some(address), START).expect("let through");
        }
        assert!(limiter.buckets.lock().expect("no panic").len() <= MAX_BUCKETS);
        assert!(limiter.begin("ute", ip("192.168.0.1"), START).is_err());
    }

    #[test]
    fn a_clock_that_jumps_back_locks_nobody_out_for_long() {
        let limiter = limiter();
        fail(&limiter, "ute", "10.0.0.1", 1, START);
        let wait = limiter.begin("ute", ip("10.0.0.1"), START.plus_seconds(-86_400.0)).expect_err("slowed");
        assert_eq!(wait, 30);
    }
}
