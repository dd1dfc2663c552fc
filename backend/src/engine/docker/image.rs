//! Images: there already, or pulled.

use std::time::{Duration, Instant};

use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use super::super::{EngineError, Image, Result};
use super::DockerEngine;

/// How often a pull reports into the log.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

impl DockerEngine {
    /// See [`super::super::Engine::ensure_image`].
    pub(super) async fn image(&self, reference: &str) -> Result<Image> {
        if let Some(found) = self.find_image(reference).await? {
            return Ok(found);
        }
        // One pull at a time: the second waits for the first and then finds the image.
        let _only_one = self.pulling.lock().await;
        if let Some(found) = self.find_image(reference).await? {
            return Ok(found);
        }
        self.pull(reference).await?;
        self.find_image(reference).await?.ok_or_else(|| EngineError::PullFailed {
            image: reference.to_owned(),
            message: "Docker reported success, but the image is not there".to_owned(),
        })
    }

    /// Whether an image is here, without pulling it.
    ///
    /// # Errors
    /// Docker's.
    pub async fn look_for_image(&self, reference: &str) -> Result<Option<Image>> {
        self.find_image(reference).await
    }

    async fn find_image(&self, reference: &str) -> Result<Option<Image>> {
        let name = reference.to_owned();
        let inspect = self
            .client
            .call("inspect image", self.options.deadline, |docker| async move { docker.inspect_image(&name).await });
        match inspect.await {
            Ok(found) => {
                let id = found.id.unwrap_or_else(|| reference.to_owned());
                Ok(Some(Image { id, reference: reference.to_owned() }))
            }
            Err(EngineError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn pull(&self, reference: &str) -> Result<()> {
        let failed = |message: String| EngineError::PullFailed { image: reference.to_owned(), message };
        tracing::info!(image = reference, "pulling the image");
        let begun = Instant::now();
        let connection = self.client.connection("pull image").await?;
        let query = CreateImageOptionsBuilder::default().from_image(&with_tag(reference)).build();
        let mut progress = connection.docker.create_image(Some(query), None, None);
        let whole = async {
            let mut reported = Instant::now();
            while let Some(step) = progress.next().await {
                let step = step.map_err(|error| self.pull_error(reference, error))?;
                if reported.elapsed() >= PROGRESS_EVERY {
                    reported = Instant::now();
                    tracing::info!(image = reference, layer = step.id, status = step.status, "still pulling the image");
                }
            }
            Ok(())
        };
        let deadline = self.options.pull_deadline;
        tokio::time::timeout(deadline, whole)
            .await
            .unwrap_or_else(|_| Err(failed(format!("it took longer than {} s", deadline.as_secs()))))?;
        tracing::info!(image = reference, seconds = begun.elapsed().as_secs_f32(), "pulled the image");
        Ok(())
    }

    fn pull_error(&self, reference: &str, error: bollard::errors::Error) -> EngineError {
        let image = reference.to_owned();
        match self.client.stream_error("pull image", error) {
            unavailable @ EngineError::Unavailable { .. } => unavailable,
            EngineError::NotFound { what: message } => EngineError::ImageMissing { image, message },
            EngineError::Invalid { message } | EngineError::Other { message, .. } => {
                // Registries word it differently; these are the ones that no second attempt mends.
                let missing = ["manifest unknown", "not found", "pull access denied", "denied", "unauthorized"];
                let no_network = message.contains("dial tcp") || message.contains("lookup ");
                if !no_network && missing.iter().any(|text| message.contains(text)) {
                    EngineError::ImageMissing { image, message }
                } else {
                    EngineError::PullFailed { image, message }
                }
            }
            other => EngineError::PullFailed { image, message: other.to_string() },
        }
    }
}

/// Docker's API pulls *every* tag of a reference that names none.
fn with_tag(reference: &str) -> String {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    if last.contains(':') || reference.contains('@') { reference.to_owned() } else { format!("{reference}:latest") }
}

#[cfg(test)]
mod tests {
    use super::with_tag;

    #[test]
    fn a_reference_without_a_tag_means_latest() {
        assert_eq!(with_tag("debian"), "debian:latest");
        assert_eq!(with_tag("registry.example:5000/a/b"), "registry.example:5000/a/b:latest");
        for whole in ["debian:12", "registry.example:5000/a/b:1", "a/b@sha256:00"] {
            assert_eq!(with_tag(whole), whole);
        }
    }
}
