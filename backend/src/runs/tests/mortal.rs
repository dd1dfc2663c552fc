//! A server's way to Docker that a crash can cut: from then on nothing of that server reaches Docker, and no answer comes
//! back, even if a task of it was overlooked.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::engine::fake::FakeEngine;
use crate::engine::{
    Attachment, ContainerId, ContainerSpec, ContainerState, ContainerSummary, Engine, EngineInfo, Exit, Image, Limits,
    OutputStream, Result, Signal, StatsStream, StoredLogStream, Swept,
};

/// An engine that can die.
pub(super) struct Mortal {
    engine: FakeEngine,
    dead: CancellationToken,
}

impl Mortal {
    pub fn new(engine: FakeEngine) -> Arc<Self> {
        Arc::new(Self { engine, dead: CancellationToken::new() })
    }

    pub fn kill(&self) {
        self.dead.cancel();
    }

    async fn alive<T>(&self, call: impl Future<Output = T> + Send) -> T {
        match self.dead.run_until_cancelled(call).await {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

macro_rules! calls {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Engine for Mortal {
            $(async fn $name(&self, $($argument: $kind),*) -> $answer {
                self.alive(self.engine.$name($($argument),*)).await
            })*
        }
    };
}

calls! {
    info() -> Result<EngineInfo>;
    ensure_image(image: &str) -> Result<Image>;
    ensure_network() -> Result<()>;
    create(spec: &ContainerSpec) -> Result<ContainerId>;
    attach(id: &ContainerId) -> Result<Attachment>;
    reattach(id: &ContainerId) -> Result<OutputStream>;
    start(id: &ContainerId) -> Result<()>;
    wait(id: &ContainerId) -> Result<Exit>;
    inspect(id: &ContainerId) -> Result<Option<ContainerState>>;
    signal(id: &ContainerId, signal: Signal) -> Result<()>;
    pause(id: &ContainerId) -> Result<()>;
    unpause(id: &ContainerId) -> Result<()>;
    stored_log(id: &ContainerId, since: Option<DateTime<Utc>>) -> Result<StoredLogStream>;
    stats(id: &ContainerId) -> Result<StatsStream>;
    update_limits(id: &ContainerId, limits: &Limits) -> Result<()>;
    remove(id: &ContainerId) -> Result<()>;
    list() -> Result<Vec<ContainerSummary>>;
    sweep(keep_network: bool) -> Result<Swept>;
}
