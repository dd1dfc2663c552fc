//! The instance's own network: a bridge on which containers cannot see each other.

use std::collections::HashMap;

use bollard::models::{Network as DockerNetwork, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptionsBuilder;

use super::super::{EngineError, Result, label};
use super::DockerEngine;
use super::create::network_name;

impl DockerEngine {
    /// See [`super::super::Engine::ensure_network`].
    pub(super) async fn make_network(&self) -> Result<()> {
        // One at a time in this process; between processes see `drop_twins`.
        let _only_one = self.networking.lock().await;
        match self.own_networks().await?.len() {
            1 => return Ok(()),
            0 => self.create_network().await?,
            _ => {}
        }
        self.drop_twins().await
    }

    /// Removes the instance's network; for tests, and for uninstalling. Ok when it is gone already.
    ///
    /// # Errors
    /// [`EngineError`] when a container still uses it, or when Docker does not answer.
    pub async fn remove_network(&self) -> Result<()> {
        for network in self.own_networks().await? {
            self.drop_network(network).await?;
        }
        Ok(())
    }

    pub(super) async fn create_network(&self) -> Result<()> {
        let name = network_name(&self.options.instance);
        let request = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".to_owned()),
            options: Some(HashMap::from([("com.docker.network.bridge.enable_icc".to_owned(), "false".to_owned())])),
            labels: Some(HashMap::from([(label::INSTANCE.to_owned(), self.options.instance.clone())])),
            ..NetworkCreateRequest::default()
        };
        let create = self.client.call("create network", self.options.slow_deadline, |docker| async move {
            docker.create_network(request).await
        });
        match create.await {
            Ok(_) => {
                tracing::info!(network = %name, "created the network for this instance's containers");
                Ok(())
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

    /// The ids of all networks that carry our name.
    pub(super) async fn own_networks(&self) -> Result<Vec<String>> {
        let name = network_name(&self.options.instance);
        let filters = HashMap::from([("name", vec![name.as_str()])]);
        let query = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let list = self.client.call("list networks", self.options.deadline, |docker| async move {
            docker.list_networks(Some(query)).await
        });
        // The filter also finds names that only contain ours.
        let same_name = list.await?.into_iter().filter(|network| network.name.as_deref() == Some(&name));
        let mut ids = same_name.map(|network| self.ours(network)).collect::<Result<Vec<_>>>()?;
        ids.sort_unstable();
        Ok(ids)
    }

    // A network of the same name that somebody else made may be open to others; we do not put runs into it.
    fn ours(&self, network: DockerNetwork) -> Result<String> {
        let owner = network.labels.as_ref().and_then(|labels| labels.get(label::INSTANCE));
        if owner == Some(&self.options.instance) {
            return Ok(network.id.unwrap_or_default());
        }
        let name = network_name(&self.options.instance);
        Err(EngineError::Conflict {
            message: format!(
                "the network {name} exists and was not made by Fast-Flow; remove it, or give this instance another name"
            ),
        })
    }

    // Docker checks names without a lock: two servers that create at once can end up with two networks of one name, and
    // then no container can be started in either. All keep the one with the smallest id, unless another is in use already.
    async fn drop_twins(&self) -> Result<()> {
        loop {
            let mut twins = self.own_networks().await?;
            if twins.len() < 2 {
                return Ok(());
            }
            let smallest = twins.remove(0);
            for twin in twins {
                if let Err(error) = self.drop_network(twin).await {
                    tracing::debug!(%error, "keeping a network that is in use");
                    self.drop_network(smallest).await?;
                    break;
                }
            }
        }
    }

    async fn drop_network(&self, id: String) -> Result<()> {
        let remove = self.client.call("remove network", self.options.slow_deadline, |docker| async move {
            docker.remove_network(&id).await
        });
        match remove.await {
            Err(EngineError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }
}
