//! Settings that a cluster has as one: kept in the metadata, obeyed by every node.
//!
//! `CONFIG SET` of such a setting changes the metadata, and each node's controller changes the node's own setting when
//! it learns of that: within milliseconds, or when it is back. Until somebody has set it so, a node
//! has what its configuration file and command line say.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::ClusterNode;
use crate::cluster::metadata::Transaction;
use crate::cluster::state::{ClusterState, setting_name};
use crate::server::Server;
use crate::server::settings::Origin;

/// How long a change may take.
const PATIENCE: Duration = Duration::from_secs(5);

impl ClusterNode {
    /// Changes settings on all nodes of the cluster, and returns when this node has the change.
    ///
    /// # Errors
    /// In words; whether the change was made is unknown then.
    pub async fn set_cluster_wide(&self, values: &[(&str, String)]) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        let changes = values.iter().map(|(name, value)| (setting_name(name), Some(value.clone().into_bytes())));
        self.commit(Transaction::new(None, changes.collect()), deadline).await?;
        let Some(metadata) = self.metadata() else { return Ok(()) };
        let mut watch = metadata.watch();
        let is_here = |state: &Arc<ClusterState>| {
            values.iter().all(|(name, value)| state.settings.get(*name).is_some_and(|here| here == value))
        };
        match tokio::time::timeout_at(deadline, watch.wait_for(is_here)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err("this node has not heard of it".to_owned()),
        }
    }
}

/// Makes this node obey what the cluster's settings have become since it last looked.
pub(super) fn follow(server: &Arc<Server>, node: &ClusterNode, state: &ClusterState) -> Result<(), String> {
    let mut obeyed = node.obeyed.lock();
    for (name, value) in &state.settings {
        if obeyed.get(name) == Some(value) {
            continue;
        }
        let set = server.settings.set_many(&[(name, value)], Origin::Local, |_changed| {
            server.apply_settings();
            Ok(())
        });
        set.map_err(|error| format!("the cluster's setting {name}: {error}"))?;
        tracing::info!(setting = %name, %value, "a setting of the cluster is obeyed");
        obeyed.insert(name.clone(), value.clone());
    }
    Ok(())
}
