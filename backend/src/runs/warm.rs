//! Containers that are started ahead: each waits on its stdin for the job of one run, is used once, and is removed with it.
//!
//! A parked container is what a cold start would make, up to the moment before the job: same image, user, network, mounts
//! and hardening, and the label of a run that does not exist yet. Whoever accepts a run takes that id, so that everything
//! which finds containers by label goes on working. What a cold container gets at its creation and a parked one cannot know
//! comes later: limits by an update, the code into its (empty) folder, the environment through the folder of all
//! environments, which nobody in a container can list. Its pipeline's label is the one thing that stays missing.
//!
//! ```text
//! park     create → attach → start → waits                     only when nobody waits for a start
//! reserve  a start takes the id                                 at acceptance
//! take     limits → (row) → job                                 when the run's environment and code are ready
//! discard  too old, another image, died, or its run started without it
//! ```
//! A run that finds no parked container, or one that does not fit, is started cold: same behaviour, a quarter of a second
//! later. A crash of ours ends parked containers by itself: their launcher gives up when its stdin closes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastflow_shared::Phase;
use futures_util::StreamExt;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::start::container_name;
use super::workspace::Workspace;
use super::{Inner, Runs, RunsError};
use crate::domain::clock::Millis;
use crate::engine::{Attachment, ContainerId, ContainerSpec, EngineError, Kind, Limits, Network};
use crate::journal::RunId;

/// Age after which a parked container is replaced, in seconds.
const MAX_AGE_SECONDS: f64 = 3600.0;

/// How often parked containers are looked at when nothing happens.
const LOOK: Duration = Duration::from_secs(15);

/// Pause after a start before the next container is parked: starts come in bursts, and they come first.
const QUIET: Duration = Duration::from_millis(200);

/// First pause after a failed parking; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// Longest pause after a failed parking.
const MAX_PAUSE: Duration = Duration::from_secs(300);

/// What the pool holds, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WarmPool {
    /// How many containers shall wait.
    pub wanted: usize,
    /// How many wait now.
    pub ready: usize,
    /// Why the last one could not be parked.
    pub problem: Option<String>,
}

/// The parked containers.
#[derive(Default)]
pub(super) struct Warm {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    parked: Vec<Parked>,
    problem: Option<String>,
}

/// A container that waits.
struct Parked {
    run: RunId,
    container: ContainerId,
    /// Id of its image.
    image: String,
    parked_at: Millis,
    /// Whether a run has its id.
    reserved: bool,
    /// It has ended by itself.
    died: bool,
    /// Asks the watcher for the attachment.
    release: oneshot::Sender<()>,
    /// Holds the attachment; it yields nothing when the container has died.
    watcher: JoinHandle<Option<Attachment>>,
}

/// What a run gets.
pub(super) struct Taken {
    pub container: ContainerId,
    /// Id of its image.
    pub image: String,
    /// `None` when it has died meanwhile.
    pub attachment: Option<Attachment>,
}

/// The id of a parked container, for one start. Dropping it gives the container back.
pub(super) struct Reservation {
    warm: Arc<Warm>,
    run: RunId,
    kept: bool,
}

impl Reservation {
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The id belongs to a row now.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.kept {
            for parked in self.warm.lock().parked.iter_mut().filter(|parked| parked.run == self.run) {
                parked.reserved = false;
            }
        }
    }
}

impl Warm {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened that may make room for another one, or need for one.
    pub fn wake(&self) {
        self.changed.notify_one();
    }

    /// The oldest one that is free.
    pub fn reserve(self: &Arc<Self>) -> Option<Reservation> {
        let mut state = self.lock();
        let parked = state.parked.iter_mut().find(|parked| !parked.reserved && !parked.died)?;
        parked.reserved = true;
        Some(Reservation { warm: self.clone(), run: parked.run, kept: false })
    }

    /// Whether a container waits under this id.
    pub fn has(&self, run: RunId) -> bool {
        self.lock().parked.iter().any(|parked| parked.run == run)
    }

    /// The container that waits under this id, for good.
    pub async fn take(&self, run: RunId) -> Option<Taken> {
        let Parked { container, image, release, watcher, .. } = self.remove(run)?;
        // A watcher that is gone has found it dead.
        let _ = release.send(());
        Some(Taken { container, image, attachment: watcher.await.ok().flatten() })
    }

    fn remove(&self, run: RunId) -> Option<Parked> {
        let mut state = self.lock();
        let index = state.parked.iter().position(|parked| parked.run == run)?;
        Some(state.parked.remove(index))
    }

    fn died(&self, run: RunId) {
        for parked in self.lock().parked.iter_mut().filter(|parked| parked.run == run) {
            parked.died = true;
        }
        self.wake();
    }

    /// Those that nobody should use any more, out of the list.
    fn remove_unfit(&self, unfit: impl Fn(&Parked) -> bool) -> Vec<Parked> {
        let mut state = self.lock();
        let (gone, kept) = state.parked.drain(..).partition(|parked| !parked.reserved && unfit(parked));
        state.parked = kept;
        gone
    }
}

impl Runs {
    /// What the pool holds.
    #[must_use]
    pub fn warm_pool(&self) -> WarmPool {
        let state = self.inner.warm.lock();
        let ready = state.parked.iter().filter(|parked| !parked.reserved && !parked.died).count();
        WarmPool { wanted: self.inner.options().warm_containers, ready, problem: state.problem.clone() }
    }

    /// Keeps containers parked until the server shuts down. Call it once, after the recovery.
    pub fn keep_warm(&self) {
        if self.inner.options().warm_containers > 0
            && let Some(why) = self.cannot_park()
        {
            tracing::info!("no containers are started ahead: {why}");
        }
        let runs = self.clone();
        self.spawn(async move { runs.park_until_closed().await });
    }

    /// A parked container sees the folder of all environments and relies on not being allowed to list it.
    fn cannot_park(&self) -> Option<&'static str> {
        let Inner { rooms, .. } = &*self.inner;
        let options = self.options();
        let user = options.worker_user.split(':').next().and_then(|uid| uid.parse::<u32>().ok());
        match user {
            Some(0) | None => {
                Some("WORKER_USER is root or a name, which could list the environments of other pipelines")
            }
            Some(uid) if rooms.environments.belongs_to(uid) => {
                Some("the environments belong to the user of runs, who could list those of other pipelines")
            }
            Some(_) => None,
        }
    }

    async fn park_until_closed(&self) {
        let warm = &self.inner.warm;
        let mut failed = FIRST_PAUSE;
        while !self.is_closing() {
            let wanted = self.inner.options().warm_containers;
            let impossible = self.cannot_park().filter(|_| wanted > 0);
            if wanted == 0 || impossible.is_some() {
                for parked in warm.remove_unfit(|_| true) {
                    self.unpark(parked).await;
                }
                warm.lock().problem = impossible.map(str::to_owned);
                tokio::select! {
                    () = self.inner.closing.cancelled() => break,
                    () = warm.changed.notified() => {}
                }
                continue;
            }
            let image = self.inner.rooms.engine.ensure_image(&self.inner.options.image).await;
            let now = self.inner.rooms.clock.now();
            let id = image.as_ref().map(|image| image.id.clone()).ok();
            let surplus = AtomicUsize::new(self.warm_pool().ready.saturating_sub(wanted));
            let one_less = |left: usize| left.checked_sub(1);
            let one_too_many = || surplus.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok();
            let unfit = |parked: &Parked| {
                parked.died
                    || one_too_many()
                    || now.seconds_since(parked.parked_at) > MAX_AGE_SECONDS
                    || id.as_ref().is_some_and(|id| *id != parked.image)
            };
            let mut died = false;
            for parked in warm.remove_unfit(unfit) {
                died |= parked.died;
                self.unpark(parked).await;
            }
            let result = match image {
                _ if died => Err("a waiting container has ended by itself".to_owned()),
                Ok(image) => self.fill(&image.id).await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            let closing = self.inner.closing.cancelled();
            match result {
                Ok(()) => {
                    failed = FIRST_PAUSE;
                    warm.lock().problem = None;
                    tokio::select! {
                        () = closing => break,
                        () = warm.changed.notified() => tokio::time::sleep(QUIET).await,
                        () = tokio::time::sleep(LOOK) => {}
                    }
                }
                Err(problem) => {
                    tracing::warn!("no container could be started ahead, trying again in {failed:?}: {problem}");
                    warm.lock().problem = Some(problem);
                    tokio::select! {
                        () = closing => break,
                        () = tokio::time::sleep(failed) => {}
                    }
                    failed = (failed * 2).min(MAX_PAUSE);
                }
            }
        }
        // Those that a run has reserved are its own, and it removes them; the others end with us.
        let all = warm.remove_unfit(|_| true);
        futures_util::future::join_all(all.into_iter().map(|parked| self.unpark(parked))).await;
    }

    /// Parks what is missing, as long as nobody waits for a start.
    async fn fill(&self, image: &str) -> Result<(), RunsError> {
        loop {
            let pool = self.warm_pool();
            let wanted = pool.wanted.saturating_sub(pool.ready);
            if wanted == 0 || self.is_closing() || self.inner.admission.load().queued > 0 {
                return Ok(());
            }
            // The permits of cold starts: when all are taken, the machine has enough to do.
            let Ok(_permit) = self.inner.starting.try_acquire() else { return Ok(()) };
            self.park(image).await?;
        }
    }

    async fn park(&self, image: &str) -> Result<(), RunsError> {
        let Self { inner } = self;
        let (engine, run) = (&inner.rooms.engine, super::launch::new_id());
        let workspace = Workspace::of(&inner.options.scratch_dir, run);
        let made = workspace.clone();
        // Keeps the sweep away from what is being made.
        let making = inner.live.claim(run, "", Phase::Queued);
        tokio::task::spawn_blocking(move || made.lay_out())
            .await
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(|source| RunsError::Io { what: "making a workspace", source })?;
        let spec = self.parked_spec(run, image, &workspace);
        let mut created = None;
        let (container, attachment) = match self.start_parked(&spec, &mut created).await {
            Ok(started) => started,
            Err(error) => {
                if let Some(container) = created {
                    let _ = engine.remove(&container).await;
                }
                self.remove_workspace(run).await;
                return Err(error.into());
            }
        };
        let (release, released) = oneshot::channel();
        let warm = inner.warm.clone();
        let watcher = self.spawn(watch(warm, run, attachment, released));
        let parked_at = inner.rooms.clock.now();
        let image = image.to_owned();
        let parked = Parked { run, container, image, parked_at, reserved: false, died: false, release, watcher };
        let mut state = inner.warm.lock();
        // Under the lock: whoever reserves this id claims it.
        drop(making);
        state.parked.push(parked);
        Ok(())
    }

    /// As a cold start does it, up to the moment before the job. What was made of it when it fails is in `created`.
    async fn start_parked(
        &self,
        spec: &ContainerSpec,
        created: &mut Option<ContainerId>,
    ) -> Result<(ContainerId, Attachment), EngineError> {
        let engine = &self.inner.rooms.engine;
        if spec.network == Network::Own {
            engine.ensure_network().await?;
        }
        let container = engine.create(spec).await?;
        *created = Some(container.clone());
        let attachment = engine.attach(&container).await?;
        engine.start(&container).await?;
        Ok((container, attachment))
    }

    fn parked_spec(&self, run: RunId, image: &str, workspace: &Workspace) -> ContainerSpec {
        let Inner { rooms, .. } = &*self.inner;
        let options = self.options();
        ContainerSpec {
            name: container_name(run),
            kind: Kind::Run,
            image: image.to_owned(),
            user: options.worker_user.clone(),
            run_id: Some(run.to_string()),
            pipeline: None,
            mounts: self.mounts(workspace, rooms.environments.all_mounts()),
            network: options.network.clone(),
            limits: Limits { pids: options.pids, ..Limits::default() },
        }
    }

    /// Removes what is left of a container that nobody takes.
    async fn unpark(&self, parked: Parked) {
        let Parked { run, container, .. } = parked;
        if let Err(error) = self.inner.rooms.engine.remove(&container).await {
            tracing::warn!(%container, %error, "a waiting container stays until the next sweep: {error}");
        }
        self.remove_workspace(run).await;
    }

    /// After a run: the container that waited under its id is of no use to anybody else.
    pub(super) async fn discard_parked(&self, run: RunId) {
        if let Some(parked) = self.inner.warm.remove(run) {
            self.unpark(parked).await;
        }
        self.inner.warm.wake();
    }
}

/// Holds the attachment of a waiting container until somebody wants it. A launcher without a job says nothing, so whatever
/// comes (or the end of its output) means that it has ended.
async fn watch(
    warm: Arc<Warm>,
    run: RunId,
    mut attachment: Attachment,
    released: oneshot::Receiver<()>,
) -> Option<Attachment> {
    tokio::select! {
        biased;
        _ = released => Some(attachment),
        _ = attachment.output.next() => {
            drop(attachment);
            warm.died(run);
            None
        }
    }
}
