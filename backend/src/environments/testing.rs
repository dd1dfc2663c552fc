//! Environments and packages on a real disk, for tests of what becomes of them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Environments, Options, Sealed, seal};
use crate::domain::clock::{Millis, SharedClock};
use crate::engine::{Engine, Network};
use crate::store::{EnvironmentRow, Store};

const HOUR: i64 = 3_600_000;

/// A folder of environments.
pub(crate) struct Lab {
    pub environments: Environments,
    pub root: PathBuf,
    store: Store,
    now: Millis,
}

impl Lab {
    pub fn new(root: PathBuf, engine: Arc<dyn Engine>, store: Store, clock: SharedClock) -> Self {
        let options = Options {
            root: root.clone(),
            image: "i".into(),
            user: "x".into(),
            network: Network::Own,
            ca_bundle: None,
            uv_env: Vec::new(),
            deadline: Duration::from_secs(1),
        };
        let now = clock.now();
        let environments = Environments::open(options, engine, store.clone(), clock).expect("laid out");
        Self { environments, root, store, now }
    }

    /// An environment that links to packages of the cache and has 64 KiB of its own, used so many hours ago.
    pub async fn environment(&self, key: &str, packages: &[&str], hours: i64) {
        let site = seal::folder(&self.root, key).join("lib");
        fs::create_dir_all(&site).expect("folder");
        fs::write(site.join("own"), vec![7; 64 << 10]).expect("file");
        for package in packages {
            let from = self.package(package);
            fs::hard_link(from.join("code.py"), site.join(format!("{package}.py"))).expect("a link");
        }
        let sealed =
            Sealed { built_at: self.now.0 - 900 * HOUR, ..Sealed::measure(&self.root, key).expect("measured") };
        seal::store(&self.root, &sealed).expect("sealed");
        let row = EnvironmentRow {
            key: key.to_owned(),
            state: fastflow_shared::EnvironmentState::Ready,
            lock_hash: None,
            python: None,
            image: None,
            uv_version: None,
            link_mode: None,
            size_bytes: None,
            seconds: None,
            error: None,
            built_at: None,
            last_used_at: Some(Millis(self.now.0 - hours * HOUR)),
        };
        self.store.upsert_environment(&row, self.now).await.expect("stored");
    }

    /// 128 KiB in uv's cache.
    pub fn package(&self, name: &str) -> PathBuf {
        let folder = self.root.join("cache/archive-v0").join(name);
        fs::create_dir_all(&folder).expect("folder");
        if !folder.join("code.py").exists() {
            fs::write(folder.join("code.py"), vec![7; 128 << 10]).expect("file");
        }
        folder
    }

    /// Puts an environment away, as a build that replaces it does.
    pub fn put_away(&self, key: &str) {
        seal::discard(&self.root, key).expect("put away");
    }

    /// A folder that a build has left half done.
    pub fn half_built(&self, key: &str) {
        fs::create_dir(seal::folder(&self.root, key)).expect("folder");
    }

    /// Keeps everything as a build does that is under way.
    pub async fn building(&self) -> impl Drop + use<'_> {
        self.environments.inner.tidying.read().await
    }

    /// Names of what is left in a folder.
    pub fn left(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(folder)).expect("there").flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.ends_with(".json"));
        names.sort();
        names
    }
}
