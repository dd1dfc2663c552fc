//! The engine that is Docker.
//!
//! `client` reaches the daemon, `create` writes down what a container is (all hardening), `output` and `wait` follow it,
//! `network`, `image` and `host_paths` provide what it needs, `convert` reads Docker's answers. This file is the list of calls.

mod client;
mod convert;
mod create;
#[cfg(test)]
mod daemon_tests;
mod host_paths;
mod image;
#[cfg(test)]
mod live_tests;
mod network;
mod output;
mod start;
mod sweep;
mod wait;

use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StatsOptionsBuilder,
};
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::OnceCell;

use super::{
    Attachment, ContainerId, ContainerSpec, ContainerState, ContainerSummary, Engine, EngineError, EngineInfo, Exit,
    Image, Limits, Options, OutputStream, Result, Signal, StatsStream, StoredLogStream, Swept, label,
};
use client::{Client, Connection};
use host_paths::HostPaths;

/// Containers on the Docker daemon of this machine (or wherever its socket leads).
pub struct DockerEngine {
    options: Options,
    client: Arc<Client>,
    /// Found out at the first container.
    host_paths: OnceCell<HostPaths>,
    /// One pull at a time.
    pulling: tokio::sync::Mutex<()>,
    /// One making of the network at a time.
    networking: tokio::sync::Mutex<()>,
    /// Containers that this handle created and has not tried to start: those can be started without looking first.
    fresh: Mutex<HashSet<ContainerId>>,
}

impl DockerEngine {
    /// Prepares the engine; does not talk to Docker yet, which may be down.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] when the Docker host is given in a way we do not support.
    pub fn new(options: Options) -> Result<Self> {
        let client = Arc::new(Client::new(options.docker_host.as_deref(), options.deadline)?);
        Ok(Self {
            options,
            client,
            host_paths: OnceCell::new(),
            pulling: tokio::sync::Mutex::new(()),
            networking: tokio::sync::Mutex::new(()),
            fresh: Mutex::new(HashSet::new()),
        })
    }

    /// The state of a container, `None` when it is gone.
    async fn state(&self, id: &ContainerId) -> Result<Option<ContainerState>> {
        let name = id.clone();
        let inspect = self.client.call("inspect", self.options.deadline, |docker| async move {
            docker.inspect_container(name.as_str(), None).await
        });
        match inspect.await {
            Ok(answer) => Ok(Some(convert::state(answer))),
            Err(EngineError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Cores of Docker's machine, asked for once per connection.
    async fn cpus(&self) -> Result<f64> {
        let connection = self.client.connection("info").await?;
        let Connection { docker: _, cpus } = &*connection;
        let ask = || async {
            let info = self.client.call("info", self.options.deadline, |docker| async move { docker.info().await });
            Ok::<f64, EngineError>(info.await?.ncpu.filter(|count| *count > 0).map_or(f64::MAX, |count| count as f64))
        };
        cpus.get_or_try_init(ask).await.copied()
    }

    fn fresh(&self) -> std::sync::MutexGuard<'_, HashSet<ContainerId>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Engine for DockerEngine {
    async fn info(&self) -> Result<EngineInfo> {
        let ask = self.client.call("info", self.options.deadline, |docker| async move {
            let (info, version) = tokio::try_join!(docker.info(), docker.version())?;
            Ok(convert::info(info, version, docker.client_version().to_string()))
        });
        ask.await
    }

    async fn ensure_image(&self, image: &str) -> Result<Image> {
        self.image(image).await
    }

    async fn ensure_network(&self) -> Result<()> {
        self.make_network().await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        let cpus = if spec.limits.cpus.is_some() { self.cpus().await? } else { f64::MAX };
        let body = create::body(spec, &self.options, self.paths().await?, cpus)?;
        let query = CreateContainerOptionsBuilder::default().name(&spec.name).build();
        let created = self.client.call("create", self.options.slow_deadline, |docker| async move {
            docker.create_container(Some(query), body).await
        });
        let created = created.await.map_err(|error| match error {
            EngineError::NotFound { what: message } => EngineError::ImageMissing { image: spec.image.clone(), message },
            error => start::mount_trouble(error),
        })?;
        for warning in created.warnings {
            tracing::debug!(container = %spec.name, warning, "Docker warns");
        }
        let id = ContainerId::new(created.id);
        self.fresh().insert(id.clone());
        Ok(id)
    }

    async fn attach(&self, id: &ContainerId) -> Result<Attachment> {
        self.attach_before_start(id).await
    }

    async fn reattach(&self, id: &ContainerId) -> Result<OutputStream> {
        self.attach_to_running(id).await
    }

    async fn start(&self, id: &ContainerId) -> Result<()> {
        self.start_once(id).await
    }

    async fn wait(&self, id: &ContainerId) -> Result<Exit> {
        self.wait_for_exit(id).await
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<ContainerState>> {
        self.state(id).await
    }

    async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<()> {
        let name = id.clone();
        let query = KillContainerOptionsBuilder::default().signal(match signal {
            Signal::Terminate => "SIGTERM",
            Signal::Kill => "SIGKILL",
        });
        let kill = self.client.call("signal", self.options.deadline, |docker| async move {
            docker.kill_container(name.as_str(), Some(query.build())).await
        });
        match kill.await {
            Err(EngineError::NotFound { .. } | EngineError::NotRunning { .. }) => Ok(()),
            other => other,
        }
    }

    async fn pause(&self, id: &ContainerId) -> Result<()> {
        let name = id.clone();
        let pause = self
            .client
            .call("pause", self.options.deadline, |docker| async move { docker.pause_container(name.as_str()).await });
        match pause.await {
            Err(EngineError::Conflict { message }) if message.contains("already paused") => Ok(()),
            // No freezer in this kernel or container, or rootless on cgroup v1.
            Err(EngineError::Other { message, .. })
                if ["freezer", "cgroup", "not supported"].iter().any(|word| message.contains(word)) =>
            {
                Err(EngineError::Unsupported { call: "pause", message })
            }
            other => other,
        }
    }

    async fn unpause(&self, id: &ContainerId) -> Result<()> {
        let name = id.clone();
        let unpause = self.client.call("unpause", self.options.deadline, |docker| async move {
            docker.unpause_container(name.as_str()).await
        });
        match unpause.await {
            Err(error) if error.to_string().contains("is not paused") => Ok(()),
            other => other,
        }
    }

    async fn stored_log(&self, id: &ContainerId, since: Option<DateTime<Utc>>) -> Result<StoredLogStream> {
        self.docker_log(id, since).await
    }

    async fn stats(&self, id: &ContainerId) -> Result<StatsStream> {
        let connection = self.client.connection("stats").await?;
        let query = StatsOptionsBuilder::default().stream(true).build();
        let answers = connection.docker.stats(id.as_str(), Some(query));
        let client = Arc::clone(&self.client);
        let samples =
            answers.map(move |answer| answer.map(convert::stats).map_err(|error| client.stream_error("stats", error)));
        // The first sample may be empty because the container is just starting; a later one because it has ended.
        let mut running = false;
        let samples = samples.try_take_while(move |sample| {
            running |= sample.is_some();
            ready(Ok(sample.is_some() || !running))
        });
        Ok(Box::pin(samples.try_filter_map(|sample| ready(Ok(sample)))))
    }

    async fn update_limits(&self, id: &ContainerId, limits: &Limits) -> Result<()> {
        let cpus = if limits.cpus.is_some() { self.cpus().await? } else { f64::MAX };
        let name = id.clone();
        let change = create::update(limits, cpus)?;
        let update = self.client.call("update limits", self.options.slow_deadline, |docker| async move {
            docker.update_container(name.as_str(), change).await
        });
        update.await
    }

    async fn remove(&self, id: &ContainerId) -> Result<()> {
        self.fresh().remove(id);
        let begun = Instant::now();
        loop {
            let name = id.clone();
            let query = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            let remove = self.client.call("remove", self.options.slow_deadline, |docker| async move {
                docker.remove_container(name.as_str(), Some(query)).await
            });
            match remove.await {
                Err(EngineError::NotFound { .. }) => return Ok(()),
                // Somebody else is at it; it is gone when they are done.
                Err(EngineError::Conflict { message }) if begun.elapsed() < self.options.slow_deadline => {
                    tracing::debug!(container = %id, message, "waiting for another removal");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                other => return other,
            }
        }
    }

    async fn list(&self) -> Result<Vec<ContainerSummary>> {
        let own = format!("{}={}", label::INSTANCE, self.options.instance);
        let filters = HashMap::from([("label", vec![own])]);
        let query = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let list = self
            .client
            .call("list", self.options.deadline, |docker| async move { docker.list_containers(Some(query)).await });
        Ok(list.await?.into_iter().filter_map(convert::summary).collect())
    }

    async fn sweep(&self, keep_network: bool) -> Result<Swept> {
        self.remove_unused(keep_network).await
    }
}
