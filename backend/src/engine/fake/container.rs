//! One fake container: a task that follows its program, and the state that all handles see.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, watch};

use super::super::{
    ContainerId, ContainerSpec, ContainerState, Frame, Health, Job, Limits, Mount, Source, Status, StoredFrame,
    launcher,
};
use super::job;
use super::log::Log;
use super::program::{self, Reaction, Step};

/// Docker's clock: starts at a given time and goes with tokio's, so a test that pauses tokio's time holds it too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub wall: DateTime<Utc>,
    pub since: tokio::time::Instant,
}

impl Clock {
    pub fn now(&self) -> DateTime<Utc> {
        self.wall + self.since.elapsed()
    }
}

/// What all containers of one fake Docker have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub clock: Clock,
    /// How many frames an attach holds before it blocks the program; `None` never blocks.
    pub backpressure: Option<usize>,
    /// How much the stored log keeps before it forgets its oldest.
    pub log_bytes: usize,
}

/// A container.
pub(super) struct Container {
    pub id: ContainerId,
    pub spec: ContainerSpec,
    pub instance: String,
    /// The server process that made it.
    pub server: String,
    settings: Settings,
    created_at: DateTime<Utc>,
    inner: Mutex<Inner>,
    /// Counts changes of `inner`, for those who wait for one.
    changes: watch::Sender<u64>,
}

struct Inner {
    status: Status,
    removed: bool,
    exit_code: Option<i64>,
    oom_killed: bool,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    health: Health,
    limits: Limits,
    memory: u64,
    /// Percent of one core, and the processor time before it was set, in ns, and when that was.
    cpu: (u64, u64, DateTime<Utc>),
    /// What came down stdin, and whether more can come.
    input: Vec<u8>,
    input_open: bool,
    attached: bool,
    job: Option<Job>,
    terminate: bool,
    /// The exit code with which it is killed.
    kill: Option<i64>,
    on_term: Reaction,
    listeners: Vec<mpsc::Sender<Frame>>,
    log: Log,
}

/// How a program ended.
#[derive(Clone, Copy)]
struct End {
    code: i64,
    oom: bool,
}

impl Container {
    pub fn new(id: ContainerId, spec: ContainerSpec, options: &super::super::Options, settings: Settings) -> Arc<Self> {
        let now = settings.clock.now();
        let limits = spec.limits;
        let inner = Inner {
            status: Status::Created,
            removed: false,
            exit_code: None,
            oom_killed: false,
            started_at: None,
            finished_at: None,
            health: Health::None,
            limits,
            memory: 1 << 20,
            cpu: (0, 1_000_000, now),
            input: Vec::new(),
            input_open: true,
            attached: false,
            job: None,
            terminate: false,
            kill: None,
            on_term: Reaction::Die,
            listeners: Vec::new(),
            log: Log::new(settings.log_bytes),
        };
        let (changes, _) = watch::channel(0);
        let (instance, server) = (options.instance.clone(), options.server.clone());
        Arc::new(Self { id, spec, instance, server, settings, created_at: now, inner: Mutex::new(inner), changes })
    }

    // ---- what handles ask and tell ----

    pub fn state(&self) -> ContainerState {
        let inner = self.lock();
        ContainerState {
            id: self.id.clone(),
            name: self.spec.name.clone(),
            status: inner.status,
            exit_code: inner.exit_code,
            oom_killed: inner.oom_killed,
            error: None,
            pid: inner.status.is_running().then_some(4711),
            created_at: Some(self.created_at),
            started_at: inner.started_at,
            finished_at: inner.finished_at,
            health: inner.health,
            labels: self.spec.labels(&self.instance, &self.server),
        }
    }

    pub fn job(&self) -> Option<Job> {
        self.lock().job.clone()
    }

    pub fn limits(&self) -> Limits {
        self.lock().limits
    }

    pub fn set_health(&self, health: Health) {
        self.change(|inner| inner.health = health);
    }

    /// `None` leaves a limit as it is.
    pub fn set_limits(&self, new: &Limits) {
        self.change(|inner| {
            let Limits { cpus, memory_bytes, pids } = *new;
            inner.limits.cpus = cpus.or(inner.limits.cpus);
            inner.limits.memory_bytes = memory_bytes.or(inner.limits.memory_bytes);
            inner.limits.pids = pids.or(inner.limits.pids);
        });
    }

    /// Starts it unless it has been started before.
    pub fn start(self: &Arc<Self>) {
        let begins = self.change(|inner| {
            let begins = inner.status == Status::Created;
            if begins {
                inner.status = Status::Running;
                inner.started_at = Some(self.now());
            }
            begins
        });
        if begins {
            tokio::spawn(Arc::clone(self).live());
        }
    }

    pub fn terminate(&self) {
        self.change(|inner| {
            inner.terminate = inner.status.is_running();
            inner.thaw();
        });
    }

    pub fn kill(&self) {
        self.kill_with(137);
    }

    /// Ends it with this exit code, whatever it does.
    pub fn kill_with(&self, code: i64) {
        self.change(|inner| {
            inner.kill = inner.status.is_running().then_some(code);
            inner.thaw();
        });
    }

    /// Freezes or thaws; false when it was not running.
    pub fn set_paused(&self, paused: bool) -> bool {
        self.change(|inner| {
            let running = inner.status.is_running();
            if running {
                inner.status = if paused { Status::Paused } else { Status::Running };
            }
            running
        })
    }

    pub fn mark_removed(&self) {
        self.change(|inner| {
            inner.removed = true;
            inner.kill = Some(137);
            inner.listeners.clear();
        });
    }

    /// Breaks all attached streams, and the way to stdin, as a daemon does that goes away.
    pub fn hang_up(&self) {
        self.change(|inner| {
            inner.listeners.clear();
            if inner.attached {
                inner.input_open = false;
            }
        });
    }

    /// A new listener to the output from now on.
    pub fn listen(&self) -> mpsc::Receiver<Frame> {
        // A channel takes memory only for what is in it.
        let room = self.settings.backpressure.unwrap_or(tokio::sync::Semaphore::MAX_PERMITS);
        let (sender, receiver) = mpsc::channel(room);
        self.change(|inner| {
            if !inner.status.has_ended() {
                inner.listeners.push(sender);
            }
        });
        receiver
    }

    /// Takes the input for a new attachment; false when somebody had it already.
    pub fn take_input(&self) -> bool {
        self.change(|inner| !std::mem::replace(&mut inner.attached, true))
    }

    /// False when nobody is there to take it.
    pub fn write_input(&self, bytes: &[u8]) -> bool {
        self.change(|inner| {
            let open = inner.input_open && !inner.removed && !inner.status.has_ended();
            if open {
                inner.input.extend_from_slice(bytes);
            }
            open
        })
    }

    pub fn close_input(&self) {
        self.change(|inner| inner.input_open = false);
    }

    pub fn log(&self) -> Vec<StoredFrame> {
        self.lock().log.messages()
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.settings.clock.now()
    }

    /// Memory in bytes, and processor time in ns.
    pub fn usage(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.memory, cpu_time(inner.cpu, self.now()))
    }

    /// Waits until `wanted` says something of the state.
    pub async fn until<T>(&self, mut wanted: impl FnMut(&ContainerState, bool) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        loop {
            let removed = self.lock().removed;
            if let Some(found) = wanted(&self.state(), removed) {
                return found;
            }
            // The sender lives in `self`.
            let _ = changes.changed().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.lock());
        self.changes.send_modify(|count| *count += 1);
        result
    }

    async fn when<T>(&self, mut ready: impl FnMut(&mut Inner) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        loop {
            if let Some(found) = ready(&mut self.lock()) {
                return found;
            }
            let _ = changes.changed().await;
        }
    }

    // ---- its life ----

    async fn live(self: Arc<Self>) {
        let end = tokio::select! {
            biased;
            end = self.signalled() => end,
            end = self.launcher() => end,
        };
        // Docker reports an exit only when everybody attached has taken all output. Whoever does not read, waits.
        let listeners = self.lock().listeners.clone();
        for listener in listeners.iter().filter(|_| self.settings.backpressure.is_some()) {
            let _drained = listener.reserve_many(listener.max_capacity()).await;
        }
        self.change(|inner| {
            inner.log.end(self.now());
            inner.status = Status::Exited;
            inner.exit_code = Some(end.code);
            inner.oom_killed = end.oom;
            inner.finished_at = Some(self.now());
            inner.listeners.clear();
        });
    }

    async fn signalled(&self) -> End {
        let code = self.when(|inner| {
            if inner.kill.is_some() {
                return inner.kill;
            }
            if !inner.terminate {
                return None;
            }
            match inner.on_term {
                Reaction::Die => Some(143),
                Reaction::Exit(code) => Some(code),
                Reaction::Ignore => {
                    inner.terminate = false;
                    None
                }
            }
        });
        End { code: code.await, oom: false }
    }

    async fn launcher(&self) -> End {
        let input = self.when(|inner| match job::decode(&inner.input) {
            Some(job) => Some(Some(job)),
            None => (!inner.input_open).then_some(None),
        });
        let Some(job) = input.await else {
            self.print(Source::Stderr, Bytes::from_static(launcher::COMPLAINT.as_bytes())).await;
            return End { code: launcher::NO_JOB_EXIT_CODE, oom: false };
        };
        self.change(|inner| inner.job = Some(job.clone()));
        let program = job.env.iter().rev().find(|(name, _)| name == program::VARIABLE).map_or("", |(_, value)| value);
        match program::parse(program) {
            Ok(steps) => self.follow(steps, &job).await,
            Err(complaint) => {
                self.print(Source::Stderr, format!("{complaint}\n").into()).await;
                End { code: 2, oom: false }
            }
        }
    }

    async fn follow(&self, steps: Vec<Step>, job: &Job) -> End {
        for step in steps {
            self.when(|inner| (inner.status != Status::Paused).then_some(())).await;
            match step {
                Step::Print(source, bytes) => self.print(source, bytes).await,
                Step::Lines(count, pause) => {
                    for number in 1..=count {
                        self.print(Source::Stdout, format!("{number}\n").into()).await;
                        if pause > Duration::ZERO {
                            tokio::time::sleep(pause).await;
                        }
                    }
                }
                Step::Env(name) => {
                    let value = job.env.iter().rev().find(|(known, _)| *known == name);
                    let line =
                        value.map_or_else(|| format!("{name} unset\n"), |(_, value)| format!("{name}={value}\n"));
                    self.print(Source::Stdout, line.into()).await;
                }
                Step::File(path, text) => {
                    if let Err(complaint) = self.write(&path, &text, job) {
                        self.print(Source::Stderr, format!("{complaint}\n").into()).await;
                        return End { code: 1, oom: false };
                    }
                }
                Step::Show(paths) => {
                    let texts: Result<Vec<_>, _> = paths.iter().map(|path| self.read(path)).collect();
                    match texts {
                        Ok(texts) => self.print(Source::Stdout, format!("{}\n", texts.join(" ")).into()).await,
                        Err(complaint) => {
                            self.print(Source::Stderr, format!("{complaint}\n").into()).await;
                            return End { code: 1, oom: false };
                        }
                    }
                }
                Step::Sleep(time) => tokio::time::sleep(time).await,
                Step::OnTerm(reaction) => self.change(|inner| inner.on_term = reaction),
                Step::Health(health) => self.set_health(health),
                Step::Memory(bytes) => self.change(|inner| inner.memory = bytes),
                Step::Cpu(percent) => {
                    let now = self.now();
                    self.change(|inner| inner.cpu = (percent, cpu_time(inner.cpu, now), now));
                }
                Step::Exit(code) => return End { code, oom: false },
                Step::Oom => return End { code: 137, oom: true },
                Step::Hang => std::future::pending().await,
            }
        }
        End { code: 0, oom: false }
    }

    /// What is in the file that the container sees at `path`, through its mounts.
    fn read(&self, path: &str) -> Result<String, String> {
        let on_host = self.spec.mounts.iter().find_map(|mount| match mount {
            Mount::Bind { source, target, .. } => Some(source.join(Path::new(path).strip_prefix(target).ok()?)),
            _ => None,
        });
        let on_host = on_host.ok_or_else(|| format!("{path}: No such file or directory"))?;
        std::fs::read_to_string(on_host).map(|text| text.trim().to_owned()).map_err(|error| format!("{path}: {error}"))
    }

    /// Writes a file where the container sees `path`, through its mounts.
    fn write(&self, path: &str, text: &str, job: &Job) -> Result<(), String> {
        let absolute = match path.strip_prefix('$').and_then(|path| path.split_once('/')) {
            None => path.to_owned(),
            Some((name, rest)) => {
                let value = job.env.iter().rev().find(|(known, _)| known == name);
                let (_, value) = value.ok_or_else(|| format!("{name} unset"))?;
                format!("{value}/{rest}")
            }
        };
        let on_host = self.spec.mounts.iter().find_map(|mount| match mount {
            Mount::Bind { source, target, read_only: false } => {
                Some(source.join(Path::new(&absolute).strip_prefix(target).ok()?))
            }
            _ => None,
        });
        let on_host = on_host.ok_or_else(|| format!("{absolute}: Read-only file system"))?;
        let folder = on_host.parent().unwrap_or(&on_host);
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&on_host, text))
            .map_err(|error| format!("{absolute}: {error}"))
    }

    /// Output goes to Docker's log and to everybody attached at this very moment.
    async fn print(&self, source: Source, bytes: Bytes) {
        let mut bytes = Some(bytes);
        let print = self.when(|inner| {
            if inner.status == Status::Paused {
                return None;
            }
            let bytes = bytes.take()?;
            inner.log.write(self.now(), source, &bytes);
            Some((bytes, inner.listeners.clone()))
        });
        let (bytes, listeners) = print.await;
        for listener in listeners {
            // Who has hung up hears nothing.
            let _ = listener.send(Frame { source, bytes: bytes.clone() }).await;
        }
    }
}

impl Inner {
    /// Docker thaws a container that it signals.
    fn thaw(&mut self) {
        if self.status == Status::Paused {
            self.status = Status::Running;
        }
    }
}

fn cpu_time((percent, before, since): (u64, u64, DateTime<Utc>), now: DateTime<Utc>) -> u64 {
    let elapsed = u64::try_from((now - since).num_nanoseconds().unwrap_or(0)).unwrap_or(0);
    before + elapsed / 100 * percent
}
