//! One server's handle to the fake daemon: the contract's calls.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;

use super::super::{
    Attachment, ContainerId, ContainerSpec, ContainerState, ContainerSummary, Engine, EngineError, EngineInfo, Exit,
    Frame, Image, JobInput, Limits, Mount, Options, OutputStream, Result, Signal, Stats, StatsStream, Status,
    StoredLogStream, Swept,
};
use super::container::Container;
use super::{Call, FakeDocker};

/// Docker's own lower bound.
const LEAST_MEMORY: u64 = 6 * 1024 * 1024;

/// An engine in memory; made by [`FakeDocker::engine`].
pub struct FakeEngine {
    pub(super) docker: FakeDocker,
    pub(super) options: Options,
}

impl FakeEngine {
    /// Goes through all that a test has arranged for a call, around its effect.
    async fn call<T>(&self, call: Call, effect: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.docker.world.controls.before(call).await?;
        let result = effect.await;
        self.docker.world.controls.after(call).await?;
        result
    }

    fn get(&self, id: &ContainerId) -> Result<Arc<Container>> {
        self.docker.find(id).ok_or_else(|| EngineError::NotFound { what: format!("container {id}") })
    }

    fn not_running(id: &ContainerId) -> EngineError {
        EngineError::NotRunning { what: format!("container {id}") }
    }

    fn check(spec: &ContainerSpec) -> Result<()> {
        spec.check()?;
        for mount in &spec.mounts {
            if let Mount::Bind { source, .. } = mount
                && !source.exists()
            {
                return Err(EngineError::MountMissing { path: source.clone() });
            }
        }
        if spec.limits.memory_bytes.is_some_and(|bytes| bytes < LEAST_MEMORY) {
            return Err(EngineError::Invalid { message: "Minimum memory limit allowed is 6MB".to_owned() });
        }
        Ok(())
    }

    // Nobody answers for a name that ends in `.invalid`, with the real Docker neither.
    fn find_image(&self, image: &str) -> Result<Image> {
        let registry = image.split('/').next().unwrap_or_default();
        if registry.ends_with(".invalid") {
            return Err(EngineError::PullFailed { image: image.to_owned(), message: "no such host".to_owned() });
        }
        if self.docker.state().missing_images.contains(image) {
            return Err(EngineError::ImageMissing { image: image.to_owned(), message: "manifest unknown".to_owned() });
        }
        Ok(Image { id: format!("sha256:{}", hex::encode(image)), reference: image.to_owned() })
    }
}

#[async_trait]
impl Engine for FakeEngine {
    async fn info(&self) -> Result<EngineInfo> {
        self.call(Call::Info, async {
            Ok(EngineInfo {
                engine_version: "fake".to_owned(),
                api_version: "1.41".to_owned(),
                cgroup_version: 2,
                init_available: true,
                rootless: false,
                userns_remap: false,
                live_restore: false,
                cpus: 2,
                memory_bytes: 8 << 30,
            })
        })
        .await
    }

    async fn ensure_image(&self, image: &str) -> Result<Image> {
        self.call(Call::EnsureImage, async { self.find_image(image) }).await
    }

    async fn ensure_network(&self) -> Result<()> {
        self.call(Call::EnsureNetwork, async {
            self.docker.state().networks.insert(self.options.instance.clone());
            Ok(())
        })
        .await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        self.call(Call::Create, async {
            Self::check(spec)?;
            if let Err(error) = self.find_image(&spec.image) {
                let message = error.to_string();
                return Err(EngineError::ImageMissing { image: spec.image.clone(), message });
            }
            let mut state = self.docker.state();
            if state.containers.values().any(|other| other.spec.name == spec.name) {
                let message = format!("The container name \"/{}\" is already in use", spec.name);
                return Err(EngineError::Conflict { message });
            }
            state.created += 1;
            // As long as Docker's, and in the order of creation.
            let id = ContainerId::new(format!("{:012x}{:052x}", state.created, 0));
            let container = Container::new(id.clone(), spec.clone(), &self.options, state.settings);
            state.containers.insert(id.clone(), container);
            Ok(id)
        })
        .await
    }

    async fn attach(&self, id: &ContainerId) -> Result<Attachment> {
        self.call(Call::Attach, async {
            let container = self.get(id)?;
            // Docker would allow it; the contract does not, and here is where a mistake shows.
            if container.state().status != Status::Created || !container.take_input() {
                return Err(EngineError::Conflict {
                    message: format!("container {id} was attached or started before"),
                });
            }
            let receiver = container.listen();
            let connection = Arc::new(Connection(container));
            let input = Box::pin(Input(Arc::clone(&connection)));
            Ok(Attachment {
                output: frames(receiver, Some(connection)),
                input: JobInput::new(input, self.options.slow_deadline),
            })
        })
        .await
    }

    async fn reattach(&self, id: &ContainerId) -> Result<OutputStream> {
        self.call(Call::Reattach, async {
            let container = self.get(id)?;
            let receiver = container.listen();
            match container.state().status {
                Status::Paused => Err(EngineError::Conflict { message: format!("container {id} is paused") }),
                status if status.is_running() => Ok(frames(receiver, None)),
                _ => Err(Self::not_running(id)),
            }
        })
        .await
    }

    async fn start(&self, id: &ContainerId) -> Result<()> {
        self.call(Call::Start, async {
            self.get(id)?.start();
            Ok(())
        })
        .await
    }

    async fn wait(&self, id: &ContainerId) -> Result<Exit> {
        self.call(Call::Wait, async {
            let container = self.get(id)?;
            loop {
                let gone = || EngineError::NotFound { what: format!("container {id}") };
                let seen =
                    container.until(|state, removed| if removed { Some(Err(gone())) } else { state.exit().map(Ok) });
                let seen = seen.await;
                // What happened while the daemon was away is told when it is back.
                self.docker.world.controls.until_up().await;
                if seen.is_err() || self.docker.find(id).is_some() {
                    return seen;
                }
            }
        })
        .await
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<ContainerState>> {
        self.call(Call::Inspect, async { Ok(self.docker.find(id).map(|container| container.state())) }).await
    }

    async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<()> {
        self.call(Call::Signal, async {
            let Some(container) = self.docker.find(id) else { return Ok(()) };
            match signal {
                Signal::Terminate => container.terminate(),
                Signal::Kill => {
                    container.kill();
                    // Docker answers when it is dead; an attach that nobody reads keeps it from dying.
                    let dead = container.until(|state, removed| (removed || !state.status.is_running()).then_some(()));
                    if tokio::time::timeout(self.options.deadline, dead).await.is_err() {
                        let reason = "no answer: somebody is attached and does not read".to_owned();
                        return Err(EngineError::Unavailable { call: "signal", reason, source: None });
                    }
                }
            }
            Ok(())
        })
        .await
    }

    async fn pause(&self, id: &ContainerId) -> Result<()> {
        self.call(Call::Pause, async {
            let container = self.get(id)?;
            if !self.docker.state().can_pause {
                let message = "cgroup freezer is not there".to_owned();
                return Err(EngineError::Unsupported { call: "pause", message });
            }
            if container.set_paused(true) { Ok(()) } else { Err(Self::not_running(id)) }
        })
        .await
    }

    async fn unpause(&self, id: &ContainerId) -> Result<()> {
        self.call(Call::Unpause, async {
            self.get(id)?.set_paused(false);
            Ok(())
        })
        .await
    }

    async fn stored_log(&self, id: &ContainerId, since: Option<DateTime<Utc>>) -> Result<StoredLogStream> {
        self.call(Call::StoredLog, async {
            let log = self.get(id)?.log().into_iter();
            let wanted = log.filter(move |frame| since.is_none_or(|since| frame.timestamp >= since));
            let stream: StoredLogStream = Box::pin(stream::iter(wanted.map(Ok)));
            Ok(stream)
        })
        .await
    }

    async fn stats(&self, id: &ContainerId) -> Result<StatsStream> {
        self.call(Call::Stats, async {
            let container = self.get(id)?;
            let docker = self.docker.clone();
            let stream: StatsStream = Box::pin(stream::unfold((container, docker), |(container, docker)| async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                // A daemon that goes away breaks this stream like any other.
                let goes_on = container.state().status.is_running() && !docker.world.controls.is_down();
                goes_on.then(|| (Ok(sample(&container)), (container, docker)))
            }));
            Ok(stream)
        })
        .await
    }

    async fn update_limits(&self, id: &ContainerId, limits: &Limits) -> Result<()> {
        self.call(Call::UpdateLimits, async {
            limits.check()?;
            self.get(id)?.set_limits(limits);
            Ok(())
        })
        .await
    }

    async fn remove(&self, id: &ContainerId) -> Result<()> {
        self.call(Call::Remove, async {
            self.docker.remove_behind_our_back(id);
            Ok(())
        })
        .await
    }

    async fn sweep(&self, _keep_network: bool) -> Result<Swept> {
        // It has neither volumes nor networks.
        Ok(Swept::default())
    }

    async fn list(&self) -> Result<Vec<ContainerSummary>> {
        self.call(Call::List, async {
            let all = self.docker.all().into_iter();
            let own = all.filter(|container| container.instance == self.options.instance);
            Ok(own.map(|container| summary(&container)).collect())
        })
        .await
    }
}

fn summary(container: &Container) -> ContainerSummary {
    let state = container.state();
    ContainerSummary {
        id: state.id,
        name: state.name,
        run_id: container.spec.run_id.clone(),
        pipeline: container.spec.pipeline.clone(),
        server: Some(container.server.clone()),
        kind: Some(container.spec.kind),
        status: state.status,
        created_at: state.created_at.unwrap_or_default(),
    }
}

fn sample(container: &Container) -> Stats {
    let (memory_usage_bytes, cpu_total_ns) = container.usage();
    Stats {
        read_at: container.now(),
        cpu_total_ns,
        system_cpu_ns: 0,
        online_cpus: 2,
        memory_usage_bytes,
        memory_limit_bytes: container.limits().memory_bytes.unwrap_or(8 << 30),
        periods: 0,
        throttled_periods: 0,
        pids: 2,
    }
}

/// An attached client. When its last part is dropped, the container's stdin ends.
struct Connection(Arc<Container>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.close_input();
    }
}

struct Input(Arc<Connection>);

impl AsyncWrite for Input {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let taken = self.0.0.write_input(bytes);
        Poll::Ready(if taken { Ok(bytes.len()) } else { Err(std::io::ErrorKind::BrokenPipe.into()) })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The connection lives as long as its stream.
fn frames(receiver: mpsc::Receiver<Frame>, connection: Option<Arc<Connection>>) -> OutputStream {
    let frames = stream::unfold((receiver, connection), |(mut receiver, connection)| async {
        let frame = receiver.recv().await?;
        Some((Ok(frame), (receiver, connection)))
    });
    Box::pin(frames.fuse())
}
