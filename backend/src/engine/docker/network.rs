//! The instance's own network: a bridge on which containers cannot see each other.

use std::collections::HashMap;

use bollard::models::{NetworkCreateRequest, NetworkInspect};
use bollard::query_parameters::ListNetworksOptionsBuilder;

use super::super::{EngineError, Result, label};
use super::DockerEngine;
use super::create::network_name;

impl DockerEngine {
    /// See [`super::super::Engine::ensure_network`].
    pub(super) async fn make_network(&self) -> Result<()> {
        let name = network_name(&self.options.instance);
        match self.network(&name).await {
            Ok(found) => return self.is_ours(&found),
            Err(EngineError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let request = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".to_owned()),
            options: Some(HashMap::from([("com.docker.network.bridge.enable_icc".to_owned(), "false".to_owned())])),
            labels: Some(HashMap::from([(label::INSTANCE.to_owned(), self.options.instance.clone())])),
            ..NetworkCreateRequest::default()
        };
        let created =
            self.client
                .call("create network", self.options.slow_deadline, |docker| async move {
                    docker.create_network(request).await
                })
                .await;
        match created {
            Ok(created) => {
                tracing::info!(network = %name, "created the network for this instance's containers");
                self.drop_twins(&name, created.id).await
            }
            // Somebody was quicker.
            Err(EngineError::Conflict { .. }) => Ok(()),
            Err(EngineError::Other { message, .. }) if message.contains("already exists") => Ok(()),
            Err(EngineError::Other { message, .. }) if message.contains("address pool") => Err(EngineError::Invalid {
                message: format!(
                    "{message}; Docker has no address range left: remove unused networks with `docker network prune`"
                ),
            }),
            Err(error) => Err(error),
        }
    }

    /// Removes the instance's network; for tests, and for uninstalling. Ok when it is gone already.
    ///
    /// # Errors
    /// [`EngineError`] when a container still uses it, or when Docker does not answer.
    pub async fn remove_network(&self) -> Result<()> {
        let name = network_name(&self.options.instance);
        let remove = self.client.call("remove network", self.options.slow_deadline, |docker| async move {
            docker.remove_network(&name).await
        });
        match remove.await {
            Err(EngineError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    async fn network(&self, name: &str) -> Result<NetworkInspect> {
        let name = name.to_owned();
        self.client
            .call("inspect network", self.options.deadline, |docker| async move {
                docker.inspect_network(&name, None).await
            })
            .await
    }

    // A network of the same name that somebody else made may be open to others; we do not put runs into it.
    fn is_ours(&self, found: &NetworkInspect) -> Result<()> {
        let owner = found.labels.as_ref().and_then(|labels| labels.get(label::INSTANCE));
        if owner == Some(&self.options.instance) {
            return Ok(());
        }
        let name = network_name(&self.options.instance);
        Err(EngineError::Conflict {
            message: format!(
                "the network {name} exists and was not made by Fast-Flow; remove it, or give this instance another name"
            ),
        })
    }

    // Docker checks names without a lock: two servers that create at once can end up with two networks of one name, and
    // then no container can be started in either. The smallest id stays; whoever made another one takes it back.
    async fn drop_twins(&self, name: &str, own: String) -> Result<()> {
        let filters = HashMap::from([("name", vec![name])]);
        let query = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let all =
            self.client
                .call("list networks", self.options.deadline, |docker| async move {
                    docker.list_networks(Some(query)).await
                })
                .await?;
        // The filter also finds names that only contain ours.
        let twins = all.into_iter().filter(|network| network.name.as_deref() == Some(name));
        let keep = twins.filter_map(|network| network.id).min();
        if keep.is_some_and(|keep| keep != own) {
            let remove = self.client.call("remove network", self.options.slow_deadline, |docker| async move {
                docker.remove_network(&own).await
            });
            remove.await?;
        }
        Ok(())
    }
}
