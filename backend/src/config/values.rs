//! Settings that were read, to be taken as plain values.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::kind::Value;
use crate::crypto::Cost;

/// What was read, by name. Each value is taken once, as the type that its line of the table gives it: whatever else is a
/// mistake in this room, which the first test to load a configuration finds.
#[derive(Debug, Default)]
pub(super) struct Values(BTreeMap<&'static str, Option<Value>>);

macro_rules! take {
    ($($name:ident, $variant:ident => $type:ty;)*) => { $(
        pub(super) fn $name(&mut self, name: &'static str) -> Option<$type> {
            match self.0.remove(name).unwrap_or_else(|| unreachable!("{name} is not in the table, or used twice")) {
                None => None,
                Some(Value::$variant(value)) => Some(value),
                Some(other) => unreachable!("{name} is {other:?}"),
            }
        }
    )* };
}

impl Values {
    pub(super) fn insert(&mut self, name: &'static str, value: Option<Value>) {
        self.0.insert(name, value);
    }

    /// Names of what was not taken.
    pub(super) fn left(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }

    take! {
        opt_text, Text => String;
        opt_path, Path => PathBuf;
        opt_address, Address => SocketAddr;
        opt_flag, Flag => bool;
        opt_whole, Whole => u64;
        opt_decimal, Decimal => f64;
        opt_list, List => Vec<String>;
        opt_pairs, Pairs => Vec<(PathBuf, PathBuf)>;
        opt_networks, Networks => Vec<IpNet>;
        opt_cost, Cost => Cost;
    }

    pub(super) fn text(&mut self, name: &'static str) -> String {
        self.opt_text(name).unwrap_or_else(|| unreachable!("{name} has a default"))
    }

    pub(super) fn path(&mut self, name: &'static str) -> PathBuf {
        self.opt_path(name).unwrap_or_else(|| unreachable!("{name} has a default"))
    }

    pub(super) fn address(&mut self, name: &'static str) -> SocketAddr {
        self.opt_address(name).unwrap_or_else(|| unreachable!("{name} has a default"))
    }

    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        self.opt_flag(name).unwrap_or_else(|| unreachable!("{name} has a default"))
    }

    pub(super) fn whole<T: TryFrom<u64>>(&mut self, name: &'static str) -> T {
        let number = self.opt_whole(name).and_then(|number| T::try_from(number).ok());
        number.unwrap_or_else(|| unreachable!("{name} has a default and fits its type"))
    }

    /// Zero is none.
    pub(super) fn days(&mut self, name: &'static str) -> Option<u32> {
        Some(self.whole(name)).filter(|days| *days > 0)
    }

    pub(super) fn networks(&mut self, name: &'static str) -> Vec<IpNet> {
        self.opt_networks(name).unwrap_or_default()
    }

    /// Zero is none.
    pub(super) fn seconds(&mut self, name: &'static str) -> Option<Duration> {
        Some(self.whole(name)).filter(|seconds| *seconds > 0).map(Duration::from_secs)
    }

    pub(super) fn minutes(&mut self, name: &'static str) -> Duration {
        Duration::from_secs(self.whole::<u64>(name) * 60)
    }

    /// In bytes.
    pub(super) fn megabytes(&mut self, name: &'static str) -> u64 {
        self.whole::<u64>(name).saturating_mul(1 << 20)
    }

    pub(super) fn hours(&mut self, name: &'static str) -> Duration {
        Duration::from_secs_f64(self.opt_decimal(name).unwrap_or_default() * 3600.0)
    }

    pub(super) fn list(&mut self, name: &'static str) -> Vec<String> {
        self.opt_list(name).unwrap_or_default()
    }

    pub(super) fn pairs(&mut self, name: &'static str) -> Vec<(PathBuf, PathBuf)> {
        self.opt_pairs(name).unwrap_or_default()
    }
}
