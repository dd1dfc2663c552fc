//! A run's container: create, attach, start, hand over the job, record. The order that loses nothing whenever we die.

use std::path::PathBuf;

use fastflow_shared::{EnvName, ErrorType, Phase, RunStatus};
use tokio::sync::SemaphorePermit;

use super::drive::{Driver, FIRST_PAUSE, NotStarted, Patience, docker};
use super::pump::{Tap, Veil};
use super::timeline::Mark;
use super::variables::Variables;
use super::warm::Taken;
use super::workspace::{APP, HOME, TMP, Workspace};
use super::{Inner, Runs, Step};
use crate::domain::clock::Millis;
use crate::domain::env::Merged;
use crate::domain::pipeline::Settings;
use crate::domain::run::Event;
use crate::engine::launcher;
use crate::engine::{
    Attachment, ContainerId, ContainerSpec, Engine, EngineError, Image, Job, Kind, Limits, Mount, Network,
    OutputStream, Status,
};
use crate::environments::{CA_MOUNT, Prepared};
use crate::store::{Facts, RunRow, StartNote, UsedEnvironment};

/// All that is decided about a start before its container is made.
pub(super) struct Plan {
    pub spec: ContainerSpec,
    pub settings: Settings,
    pub prepared: Prepared,
    pub workspace: Workspace,
    /// Whether the network is known to be there.
    pub has_network: bool,
}

/// What is made ready beside the container.
struct Beside {
    tap: Tap,
    job: Job,
    /// Names of the variables.
    names: Vec<EnvName>,
    /// Sealed secrets.
    mask: Option<String>,
}

/// A container that waits for its job, and whether it had been started ahead.
type Launcher = Result<(ContainerId, Attachment, bool), EngineError>;

/// A container that works.
pub(super) struct Begun {
    pub container: ContainerId,
    /// Its live output; `None` when it must be found first.
    pub output: Option<OutputStream>,
    pub tap: Tap,
    /// When it was started.
    pub started_at: Option<Millis>,
    /// Whether it had been started ahead: then Docker's own time of the start says nothing of the run.
    pub warm: bool,
    /// What is to be recorded of its start.
    pub unrecorded: Option<Facts>,
}

impl Runs {
    /// What a run's container sees besides its image.
    pub(super) fn mounts(&self, workspace: &Workspace, environment: Vec<(PathBuf, String)>) -> Vec<Mount> {
        let bind = |source: PathBuf, target: &str, read_only| Mount::Bind { source, target: target.into(), read_only };
        let mut mounts = vec![bind(workspace.app(), APP, false), bind(workspace.tmp(), TMP, false)];
        mounts.extend(environment.into_iter().map(|(folder, target)| bind(folder, &target, true)));
        if let Some(bundle) = &self.inner.options.ca_bundle {
            mounts.push(bind(bundle.clone(), CA_MOUNT, true));
        }
        mounts
    }
}

impl Driver {
    pub(super) fn spec(&self, image: &Image, prepared: &Prepared, workspace: &Workspace) -> ContainerSpec {
        let options = self.runs.inner.options();
        let mounts = self.runs.mounts(workspace, prepared.mounts());
        ContainerSpec {
            name: container_name(self.live.run),
            kind: Kind::Run,
            image: image.id.clone(),
            user: options.worker_user.clone(),
            run_id: Some(self.row.spec.id.clone()),
            pipeline: Some(self.row.spec.pipeline_name.clone()),
            mounts,
            network: options.network.clone(),
            limits: self.limits(),
        }
    }

    fn limits(&self) -> Limits {
        let limits = &self.row.spec.limits;
        Limits {
            cpus: limits.cpu,
            memory_bytes: limits.memory.and_then(|bytes| u64::try_from(bytes).ok()),
            pids: self.runs.inner.options().pids,
        }
    }

    /// Makes the container and lets the script begin. Docker takes a quarter of a second for a container; what else a start
    /// needs is done beside that.
    pub(super) async fn start_container(&self, plan: Plan) -> Result<Begun, NotStarted> {
        let Runs { inner } = &self.runs;
        let (rooms, steps) = (&inner.rooms, &inner.options.steps);
        let spec = &plan.spec;
        let run_id = &self.row.spec.id;
        // A container that Docker's absence has spoilt: its script has not begun, so it makes room for another.
        let mut spoilt = None;
        let mut patience = self.patience();
        // Both to their end, also when one of them fails: a container that is being made must not be left alone.
        let (first, beside) = tokio::join!(self.first_launcher(&plan, &mut spoilt), self.beside(&plan));
        let (_permit, first) = first?;
        let Beside { tap, job, names, mask } = beside?;
        let mut first = Some(first);
        let (container, output, started_at, warm) = loop {
            let launcher = match first.take() {
                Some(launcher) => launcher,
                None => self.launcher(spec, false, &mut spoilt).await,
            };
            let (container, Attachment { output, input }, warm) = match launcher {
                Ok(ready) => ready,
                Err(error) => {
                    self.bear_with(&error, &mut patience).await?;
                    continue;
                }
            };
            let started_at = rooms.clock.now();
            steps.reach(Step::Started).await;
            // Before the job: a recovery needs the container and the secrets, and must not take the start of the container
            // for the start of the run.
            let nothing = UsedEnvironment::default();
            let note = StartNote {
                container_id: container.as_str(),
                warm_at: warm.then_some(started_at),
                used: self.used.get().unwrap_or(&nothing),
                env_names: &names,
                mask: mask.as_deref(),
            };
            self.stored(rooms.store.note_start(run_id, &note).await)?;
            self.live.timeline.mark(Mark::Noted);
            match input.send(&job).await {
                Ok(()) => break (container, Some(output), started_at, warm),
                Err(error) if error.is_unavailable() => {
                    drop(output);
                    if self.has_begun(&container, &mut patience).await? {
                        break (container, None, started_at, warm);
                    }
                    spoilt = Some(container);
                    self.bear_with(&error, &mut patience).await?;
                }
                Err(error) => return Err(docker(&error)),
            }
        };
        self.live.timeline.mark(Mark::Sent);
        let took = self.live.timeline.between(Mark::Admitted, Mark::Sent);
        if let Some(took) = took {
            crate::meters::run_started(warm, took);
        }
        let facts = Facts {
            container_id: Some(container.as_str().to_owned()),
            started_at: Some(started_at),
            start_ms: took.and_then(|took| i64::try_from(took.as_millis()).ok()),
            ..Facts::default()
        };
        Ok(Begun { container, output, tap, started_at: Some(started_at), warm, unrecorded: Some(facts) })
    }

    /// Records that the script works. Its output is read meanwhile.
    pub(super) async fn record_start(&self, facts: Facts) {
        let Runs { inner } = &self.runs;
        let run_id = &self.row.spec.id;
        inner.options.steps.reach(Step::JobSent).await;
        if let Err(error) = self.record_from(RunStatus::Pending, &[Event::Started], facts).await {
            // The run works whatever the database says: go on, and let the recorder of the end catch up.
            tracing::error!(run = %run_id, %error, "the start of run {run_id} is not recorded yet: {error}");
        }
        // A next attempt needs them again, also when another server makes it.
        if self.row.spec.sealed_env.is_some() && self.row.spec.attempt >= self.row.spec.max_attempts {
            let _ = self.stored(inner.rooms.store.clear_sealed_env(run_id).await);
        }
        self.runs.note_docker(true);
        inner.options.steps.reach(Step::Running).await;
    }

    /// All that a start needs beside its container.
    async fn beside(&self, plan: &Plan) -> Result<Beside, NotStarted> {
        let (variables, copied) = tokio::join!(self.variables(&plan.settings), self.copy_code(&plan.workspace));
        let Variables { merged, veil, mask } = variables?;
        copied?;
        let tap = self.open_log(veil).await?;
        let names = merged.names();
        let job = job(&self.runs, &self.row, &plan.prepared, merged);
        self.live.timeline.mark(Mark::Ready);
        Ok(Beside { tap, job, names, mask })
    }

    /// The first attempt at a container, within the number of those that Docker starts at a time. One that waits already is
    /// taken without that.
    async fn first_launcher(
        &self,
        plan: &Plan,
        spoilt: &mut Option<ContainerId>,
    ) -> Result<(Option<SemaphorePermit<'_>>, Launcher), NotStarted> {
        let Inner { warm, starting, .. } = &*self.runs.inner;
        let permit = match warm.has(self.live.run) {
            true => None,
            false => self.unless_stopped(starting.acquire()).await?.ok(),
        };
        self.live.set_phase(Phase::Starting);
        Ok((permit, self.launcher(&plan.spec, plan.has_network, spoilt).await))
    }

    /// A container that is started and attached, and waits for its job. When that fails half-way, what was made of it is
    /// left in `spoilt` for the next call to remove. `true` when it had been started ahead.
    async fn launcher(&self, spec: &ContainerSpec, has_network: bool, spoilt: &mut Option<ContainerId>) -> Launcher {
        let Runs { inner } = &self.runs;
        let (engine, steps, timeline) = (&inner.rooms.engine, &inner.options.steps, &self.live.timeline);
        if let Some((container, attachment)) = self.parked(spec, spoilt).await {
            timeline.mark(Mark::Started);
            return Ok((container, attachment, true));
        }
        if let Some(id) = &*spoilt {
            engine.remove(id).await?;
            *spoilt = None;
        }
        if spec.network == Network::Own && !has_network {
            engine.ensure_network().await?;
        }
        let container = create(engine.as_ref(), spec).await?;
        *spoilt = Some(container.clone());
        timeline.mark(Mark::Created);
        steps.reach(Step::ContainerCreated).await;
        let attachment = engine.attach(&container).await?;
        timeline.mark(Mark::Attached);
        steps.reach(Step::Attached).await;
        engine.start(&container).await?;
        timeline.mark(Mark::Started);
        *spoilt = None;
        Ok((container, attachment, false))
    }

    /// The container that was started ahead for this run, with the run's limits; when it does not fit, or has died, it is
    /// left in `spoilt`.
    async fn parked(
        &self,
        spec: &ContainerSpec,
        spoilt: &mut Option<ContainerId>,
    ) -> Option<(ContainerId, Attachment)> {
        let Runs { inner } = &self.runs;
        let Taken { container, image, attachment } = inner.warm.take(self.live.run).await?;
        *spoilt = Some(container.clone());
        let attachment = attachment.filter(|_| image == spec.image)?;
        // The number of processes has been limited from the beginning.
        let limits = Limits { pids: None, ..spec.limits };
        if limits != Limits::default()
            && let Err(error) = inner.rooms.engine.update_limits(&container, &limits).await
        {
            tracing::warn!(run = %self.live.run, %error, "the limits could not be set ahead; starting cold: {error}");
            return None;
        }
        *spoilt = None;
        Some((container, attachment))
    }

    /// Whether the job has arrived although handing it over failed: only the container can tell, by not giving up.
    async fn has_begun(&self, container: &ContainerId, patience: &mut Patience) -> Result<bool, NotStarted> {
        let mut looks = 0;
        while looks < 8 {
            match self.runs.inner.rooms.engine.inspect(container).await {
                Ok(Some(state)) if state.status.is_running() => {
                    looks += 1;
                    tokio::time::sleep(FIRST_PAUSE).await;
                }
                Ok(Some(state)) => return Ok(state.exit_code != Some(launcher::NO_JOB_EXIT_CODE)),
                Ok(None) => break,
                Err(error) => self.bear_with(&error, patience).await?,
            }
        }
        Ok(true)
    }

    async fn open_log(&self, veil: Veil) -> Result<Tap, NotStarted> {
        let rooms = &self.runs.inner.rooms;
        let writer = super::finish::open_log(&rooms.journal, self.live.run).await;
        let writer = writer.map_err(|error| {
            NotStarted::failed(ErrorType::Docker, format!("The log file could not be opened: {error}."))
        })?;
        Ok(Tap::new(writer, rooms.clock.clone(), veil))
    }
}

/// Name of a run's container.
pub(super) fn container_name(run: crate::journal::RunId) -> String {
    format!("fastflow-run-{run}")
}

/// Creates the container; one of the same name that was never started (the answer got lost, or its server died) is replaced.
async fn create(engine: &dyn Engine, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
    match engine.create(spec).await {
        Err(EngineError::Conflict { message }) => {
            let left = engine.list().await?.into_iter().find(|c| c.name == spec.name);
            match left {
                Some(container) if container.status == Status::Created => {
                    engine.remove(&container.id).await?;
                    engine.create(spec).await
                }
                _ => Err(EngineError::Conflict { message }),
            }
        }
        other => other,
    }
}

fn job(runs: &Runs, row: &RunRow, prepared: &Prepared, env: Merged) -> Job {
    let options = &runs.inner.options;
    let bin = format!("{}/bin", prepared.target());
    let mut variables: Vec<(String, String)> = [
        ("PATH", format!("{bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")),
        ("VIRTUAL_ENV", prepared.target()),
        ("HOME", HOME.to_owned()),
        ("USER", "worker".to_owned()),
        ("LOGNAME", "worker".to_owned()),
        ("TMPDIR", TMP.to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("PYTHONUNBUFFERED", "1".to_owned()),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if options.ca_bundle.is_some() {
        for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
            variables.push((name.to_owned(), CA_MOUNT.to_owned()));
        }
    }
    let pairs = env.into_pairs();
    variables.retain(|(name, _)| pairs.iter().all(|(given, _)| given != name));
    variables.extend(pairs);
    let spec = &row.spec;
    variables.push(("FASTFLOW_RUN_ID".to_owned(), spec.id.clone()));
    variables.push(("FASTFLOW_PIPELINE".to_owned(), spec.pipeline_name.clone()));
    variables.push(("FASTFLOW_ATTEMPT".to_owned(), spec.attempt.to_string()));
    variables.push(("FASTFLOW_COMMIT".to_owned(), spec.code.commit.clone().unwrap_or_default()));
    Job { argv: vec![prepared.python(), "-u".to_owned(), "main.py".to_owned()], env: variables, cwd: APP.to_owned() }
}
