//! What an instance leaves behind besides containers: volumes and networks with its label that nobody uses any more.

use std::collections::HashMap;

use bollard::query_parameters::{ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveVolumeOptions};

use super::super::{EngineError, Result, Swept, label};
use super::DockerEngine;
use super::create::network_name;

impl DockerEngine {
    /// See [`super::super::Engine::sweep`].
    pub(super) async fn remove_unused(&self, keep_network: bool) -> Result<Swept> {
        let mut swept = Swept::default();
        for name in self.own_volumes().await? {
            let volume = name.clone();
            let remove = self.client.call("remove volume", self.options.slow_deadline, |docker| async move {
                docker.remove_volume(&volume, None::<RemoveVolumeOptions>).await
            });
            swept.volumes += usize::from(gone(remove.await, &name)?);
        }
        let kept = network_name(&self.options.instance);
        for (id, name) in self.labelled_networks().await? {
            if keep_network && name == kept {
                continue;
            }
            let remove = self.client.call("remove network", self.options.slow_deadline, |docker| async move {
                docker.remove_network(&id).await
            });
            swept.networks += usize::from(gone(remove.await, &name)?);
        }
        Ok(swept)
    }

    fn own_label(&self) -> String {
        format!("{}={}", label::INSTANCE, self.options.instance)
    }

    async fn own_volumes(&self) -> Result<Vec<String>> {
        let filters = HashMap::from([("label", vec![self.own_label()]), ("dangling", vec!["true".to_owned()])]);
        let query = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let list = self.client.call("list volumes", self.options.deadline, |docker| async move {
            docker.list_volumes(Some(query)).await
        });
        // The filter is Docker's; what is deleted is looked at once more.
        let ours = |labels: &HashMap<String, String>| labels.get(label::INSTANCE) == Some(&self.options.instance);
        let volumes = list.await?.volumes.unwrap_or_default();
        Ok(volumes.into_iter().filter(|volume| ours(&volume.labels)).map(|volume| volume.name).collect())
    }

    async fn labelled_networks(&self) -> Result<Vec<(String, String)>> {
        let filters = HashMap::from([("label", vec![self.own_label()])]);
        let query = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let list = self.client.call("list networks", self.options.deadline, |docker| async move {
            docker.list_networks(Some(query)).await
        });
        let ours = |labels: &Option<HashMap<String, String>>| {
            labels.as_ref().and_then(|labels| labels.get(label::INSTANCE)) == Some(&self.options.instance)
        };
        let networks = list.await?.into_iter().filter(|network| ours(&network.labels));
        Ok(networks.filter_map(|network| Some((network.id?, network.name?))).collect())
    }
}

/// Whether it was removed. Docker refuses what somebody uses, which is as it should be.
fn gone(removed: Result<()>, name: &str) -> Result<bool> {
    match removed {
        Ok(()) => Ok(true),
        Err(error) if error.is_unavailable() => Err(error),
        Err(EngineError::NotFound { .. }) => Ok(false),
        Err(error) => {
            tracing::debug!(name, %error, "left alone, for somebody uses it");
            Ok(false)
        }
    }
}
