//! The only fake of the product: a Docker in memory.
//!
//! It keeps the engine's contract (the same tests run on it and on the real one), and it can be told to break: calls that
//! fail, answers that get lost, calls that stand still while a test kills the server, a daemon that goes away. What a
//! container does is written in its job, see [`program`].
//!
//! A [`FakeDocker`] is the daemon, a [`FakeEngine`] one server's handle to it. When a server "crashes" its handle, its
//! streams and its attachments are dropped; the containers go on, and the next server gets a new handle from the same
//! `FakeDocker`. Its clock is tokio's, so `tokio::time::pause` turns hours into nothing.

mod container;
mod controls;
mod engine;
mod job;
mod log;
pub mod program;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{ContainerId, ContainerSpec, ContainerState, EngineError, Health, Job, Limits, Options};
use container::{Clock, Container, Settings};
use controls::Controls;
pub use controls::{Call, Hold, Moment};
pub use engine::FakeEngine;

/// What happens to running containers when the daemon goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They go on (Docker's live restore).
    Survive,
    /// They are ended by SIGTERM, as by default.
    Die,
}

/// A Docker daemon in memory. Clones are the same daemon.
#[derive(Clone)]
pub struct FakeDocker {
    world: Arc<World>,
}

struct World {
    controls: Controls,
    state: Mutex<State>,
}

struct State {
    settings: Settings,
    /// By creation, which is the order of the ids.
    containers: BTreeMap<ContainerId, Arc<Container>>,
    created: u64,
    networks: HashSet<String>,
    /// References that no registry has.
    missing_images: HashSet<String>,
    can_pause: bool,
}

impl Default for FakeDocker {
    fn default() -> Self {
        Self::at(Utc::now())
    }
}

impl FakeDocker {
    /// A daemon whose clock shows the present.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A daemon whose clock begins at a given time, for runs that shall repeat exactly.
    #[must_use]
    pub fn at(wall: DateTime<Utc>) -> Self {
        let clock = Clock { wall, since: tokio::time::Instant::now() };
        let state = State {
            // As much as the real ones keep.
            settings: Settings { clock, backpressure: None, log_bytes: 30 * 1024 * 1024 },
            containers: BTreeMap::new(),
            created: 0,
            networks: HashSet::new(),
            missing_images: HashSet::new(),
            can_pause: true,
        };
        Self { world: Arc::new(World { controls: Controls::default(), state: Mutex::new(state) }) }
    }

    /// A server's handle to this daemon.
    #[must_use]
    pub fn engine(&self, options: Options) -> FakeEngine {
        FakeEngine { docker: self.clone(), options }
    }

    /// The daemon's time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.state().settings.clock.now()
    }

    // ---- misbehaviour ----

    /// The next call of this kind fails and has no effect. Several add up, in order. Not for [`Call::Wait`] while the daemon
    /// is down.
    pub fn fail_next(&self, call: Call, error: EngineError) {
        self.world.controls.fail_next(call, error);
    }

    /// The next call of this kind takes effect, and its answer gets lost ([`EngineError::Unavailable`]).
    pub fn lose_next_answer(&self, call: Call) {
        self.world.controls.lose_next_answer(call);
    }

    /// Every call of this kind takes so long from now on, before its effect.
    pub fn delay(&self, call: Call, time: Duration) {
        self.world.controls.delay(call, time);
    }

    /// Calls of this kind stand still until the returned hold is released or dropped.
    #[must_use = "dropping the hold releases it"]
    pub fn hold(&self, call: Call, moment: Moment) -> Hold {
        self.world.controls.hold(call, moment)
    }

    /// The daemon goes away: streams break, calls fail, waits wait.
    pub fn down(&self, fate: Fate) {
        self.world.controls.set_down(true);
        for container in self.all() {
            container.hang_up();
            if fate == Fate::Die {
                // As Docker does, when it stops and when it comes back after a crash.
                container.kill_with(143);
            }
        }
    }

    /// The daemon comes back.
    pub fn up(&self) {
        self.world.controls.set_down(false);
    }

    /// The daemon is there, and whatever was arranged to go wrong and has not yet is forgotten.
    pub fn heal(&self) {
        self.world.controls.forget();
        self.up();
    }

    /// No registry has this image.
    pub fn without_image(&self, reference: &str) {
        self.state().missing_images.insert(reference.to_owned());
    }

    /// This machine cannot freeze containers.
    pub fn without_pause(&self) {
        self.state().can_pause = false;
    }

    /// Containers created from now on block when so many frames of an attach are unread.
    pub fn with_backpressure(&self, frames: usize) {
        self.state().settings.backpressure = Some(frames);
    }

    /// The stored log of containers created from now on keeps only so many bytes.
    pub fn with_stored_log_of(&self, bytes: usize) {
        self.state().settings.log_bytes = bytes;
    }

    /// Somebody else kills it (`docker kill`).
    pub fn kill_behind_our_back(&self, id: &ContainerId) {
        if let Some(container) = self.find(id) {
            container.kill();
        }
    }

    /// Somebody else removes it (`docker rm -f`).
    pub fn remove_behind_our_back(&self, id: &ContainerId) {
        let removed = self.state().containers.remove(id);
        if let Some(container) = removed {
            container.mark_removed();
        }
    }

    /// Its health check decides.
    pub fn set_health(&self, id: &ContainerId, health: Health) {
        if let Some(container) = self.find(id) {
            container.set_health(health);
        }
    }

    // ---- what a test can see ----

    /// How often a call was made.
    #[must_use]
    pub fn count(&self, call: Call) -> usize {
        self.world.controls.count(call)
    }

    /// All containers of all instances, oldest first.
    #[must_use]
    pub fn containers(&self) -> Vec<ContainerState> {
        self.all().iter().map(|container| container.state()).collect()
    }

    /// What a container was created with.
    #[must_use]
    pub fn spec(&self, id: &ContainerId) -> Option<ContainerSpec> {
        self.find(id).map(|container| container.spec.clone())
    }

    /// The job that a container was given.
    #[must_use]
    pub fn job(&self, id: &ContainerId) -> Option<Job> {
        self.find(id)?.job()
    }

    /// The limits that hold for it now.
    #[must_use]
    pub fn limits(&self, id: &ContainerId) -> Option<Limits> {
        self.find(id).map(|container| container.limits())
    }

    /// Whether the network of this instance exists.
    #[must_use]
    pub fn has_network(&self, instance: &str) -> bool {
        self.state().networks.contains(instance)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.world.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: &ContainerId) -> Option<Arc<Container>> {
        self.state().containers.get(id).cloned()
    }

    fn all(&self) -> Vec<Arc<Container>> {
        self.state().containers.values().cloned().collect()
    }
}
