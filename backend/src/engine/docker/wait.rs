//! Waiting for an exit, through any trouble of the daemon's.

use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::query_parameters::WaitContainerOptionsBuilder;
use futures_util::StreamExt;
use rand::Rng;

use super::super::{ContainerId, EngineError, Exit, Result};
use super::DockerEngine;

/// Pauses between two attempts: growing, so that a Docker in trouble is left alone, and uneven, so that fifty waiting runs
/// do not all come back in the same moment.
struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(2);

    fn new() -> Self {
        Self(Self::FIRST)
    }

    async fn pause(&mut self) {
        let part = rand::rng().random_range(0.5..1.0);
        tokio::time::sleep(self.0.mul_f64(part)).await;
        self.0 = (self.0 * 2).min(Self::LONGEST);
    }
}

/// How often in a row Docker may fail in a way that is not its absence.
const ATTEMPTS: u32 = 5;

impl DockerEngine {
    /// See [`super::super::Engine::wait`].
    pub(super) async fn wait_for_exit(&self, id: &ContainerId) -> Result<Exit> {
        let mut backoff = Backoff::new();
        let mut failures = 0;
        loop {
            // The answer of `wait` is only the hint to look: its code is also in the state, together with all the rest,
            // and the state is right after a restart of the daemon too.
            let seen = match self.until_not_running(id).await {
                Ok(()) => self.exit_of(id).await,
                Err(error) => Err(error),
            };
            match seen {
                Ok(Some(exit)) => return Ok(exit),
                // Not started yet, or between two states.
                Ok(None) => {}
                Err(error) if error.is_not_found() => return Err(error),
                Err(error) if error.is_unavailable() => {
                    tracing::warn!(container = %id, %error, "Docker went away while a container runs; asking again");
                }
                Err(error) => {
                    failures += 1;
                    if failures == ATTEMPTS {
                        return Err(error);
                    }
                }
            }
            backoff.pause().await;
        }
    }

    /// Returns when Docker says that the container does not run (any more).
    async fn until_not_running(&self, id: &ContainerId) -> Result<()> {
        let connection = self.client.connection("wait").await?;
        let query = WaitContainerOptionsBuilder::default().condition("not-running").build();
        let mut answers = Box::pin(connection.docker.wait_container(id.as_str(), Some(query)));
        match answers.next().await {
            // A code other than 0 is an answer; bollard calls it an error.
            Some(Ok(_) | Err(BollardError::DockerContainerWaitError { .. })) => Ok(()),
            Some(Err(error)) => Err(self.client.stream_error("wait", error)),
            None => Err(EngineError::Unavailable {
                call: "wait",
                reason: "Docker closed the connection".to_owned(),
                source: None,
            }),
        }
    }

    async fn exit_of(&self, id: &ContainerId) -> Result<Option<Exit>> {
        match self.state(id).await? {
            Some(state) => Ok(state.exit()),
            None => Err(EngineError::NotFound { what: format!("container {id}") }),
        }
    }
}
