//! How nodes become a cluster.
//!
//! One node is told who the others are (`kvorum cluster create`). It chooses the cluster's number, notes it in
//! its data directory, asks each of the others to come in, makes the metadata group, and commits the layout as
//! the first transaction. Each step is one that the next attempt finds done, so that after a failure or a crash
//! anywhere the same command completes what was begun.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bincode::{Decode, Encode};
use tokio::time::Instant;

use super::{ClusterNode, ask, services};
use crate::cluster::metadata::Transaction;
use crate::cluster::state::{ClusterState, METADATA_VOTERS_MAX, NodeRecord, address, lay_out, node_number};
use crate::raft::bus::{BusError, Class, Target};
use crate::raft::{MembershipError, bus::Answer};
use crate::server::datadir;
use crate::types::NodeId;

/// How long one attempt to reach a node may take.
const CALL_PATIENCE: Duration = Duration::from_secs(3);
/// How long creation waits for nodes and elections.
const CREATE_PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two attempts.
const RETRY: Duration = Duration::from_millis(100);

/// Come into this cluster.
#[derive(Clone, Debug, Encode, Decode)]
struct Invitation {
    cluster: u128,
    /// Who is meant.
    name: String,
}

/// A cluster to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its nodes.
    pub nodes: Vec<NodeRecord>,
    /// How many shards.
    pub shards: usize,
    /// How many replicas of each.
    pub replicas: usize,
}

/// Lets other nodes ask this one to come into their cluster.
pub(super) fn serve(node: &Arc<ClusterNode>) {
    let weak = Arc::downgrade(node);
    node.bus.serve_strangers(
        services::JOIN,
        Arc::new(move |incoming| {
            let weak = weak.clone();
            Box::pin(async move {
                let node = weak.upgrade().ok_or("the node is going down")?;
                let invitation: Invitation =
                    crate::codec::decode(&incoming.payload).map_err(|error| error.to_string())?;
                // Joining makes all connections anew, this one too: the answer goes out before.
                if node.bus.cluster() == invitation.cluster && node.metadata().is_some() {
                    return Answer::Ok(Vec::new().into());
                }
                node.check_invitation(&invitation)?;
                tokio::spawn(async move {
                    if let Err(error) = node.enter(invitation.cluster).await {
                        tracing::error!(%error, "joining a cluster failed");
                    }
                });
                Err(COMING.to_owned())
            })
        }),
    );
}

/// The answer of a node that is about to join: ask again.
const COMING: &str = "joining; ask again";

impl ClusterNode {
    fn check_invitation(&self, invitation: &Invitation) -> Result<(), String> {
        if invitation.name != self.name {
            return Err(format!("this is node {}, not {}", self.name, invitation.name));
        }
        match self.bus.cluster() {
            0 => Ok(()),
            cluster if cluster == invitation.cluster => Ok(()),
            _ => Err(format!("node {} belongs to another cluster", self.name)),
        }
    }

    /// Becomes a member of a cluster, for the life of the data directory.
    async fn enter(&self, cluster: u128) -> Result<(), String> {
        let _one_at_a_time = self.joining.lock().await;
        match self.bus.cluster() {
            0 => {}
            own if own == cluster => return self.open_metadata().await.map_err(|error| error.to_string()),
            _ => return Err("this node belongs to another cluster".to_owned()),
        }
        let dir = self.factory.dir.clone();
        let written = tokio::task::spawn_blocking(move || datadir::set_cluster_id(&dir, cluster)).await;
        written.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        self.open_metadata().await.map_err(|error| error.to_string())?;
        self.bus.set_identity(cluster, self.number);
        tracing::info!(cluster = format!("{cluster:032x}"), "this node has joined a cluster");
        Ok(())
    }

    /// Makes a cluster of this node and others, and returns when every shard has a leader.
    ///
    /// # Errors
    /// In words. What was begun is completed by the next attempt.
    pub async fn create(&self, plan: Plan) -> Result<Arc<ClusterState>, String> {
        if !plan.nodes.iter().any(|record| record.name == self.name) {
            return Err(format!("this node, {}, is not among the nodes of the cluster", self.name));
        }
        let mut numbers = BTreeMap::new();
        for record in &plan.nodes {
            let number = node_number(&record.name).ok_or_else(|| format!("'{}' is no name of a node", record.name))?;
            if numbers.insert(number, record.bus_address()).is_some() {
                return Err(format!("node {} is named twice", record.name));
            }
        }
        let id = match self.bus.cluster() {
            0 => fresh_id(),
            id => id,
        };
        let layout = lay_out(id, plan.nodes.clone(), plan.shards, plan.replicas).map_err(|error| error.to_string())?;
        if let Some(state) = self.state() {
            same_cluster(&state, &layout)?;
            return self.wait_for_leaders().await;
        }
        self.enter(id).await?;
        let deadline = Instant::now() + CREATE_PATIENCE;
        for record in plan.nodes.iter().filter(|record| record.name != self.name) {
            self.invite(id, record, deadline).await?;
        }
        self.place(numbers.iter().map(|(node, address)| (*node, address.clone())));
        let metadata = self.metadata().ok_or("the metadata are not open")?;
        // This node is one of the first voters, and the others come in the order in which they were named.
        let others = plan.nodes.iter().filter(|record| record.name != self.name).map(|record| &record.name);
        let voters: BTreeMap<NodeId, String> = std::iter::once(&self.name)
            .chain(others)
            .take(METADATA_VOTERS_MAX)
            .filter_map(|name| node_number(name))
            .map(|number| (number, numbers[&number].clone()))
            .collect();
        match metadata.group().initialize(&voters).await {
            Ok(()) | Err(MembershipError::Initialized) => {}
            Err(error) => return Err(error.to_string()),
        }
        let mut changes: Vec<(String, Option<Vec<u8>>)> = Vec::new();
        for (name, value) in layout.creation().map_err(|error| error.to_string())? {
            changes.push((name, Some(value)));
        }
        for (name, value) in crate::cluster::metadata::keyspace_values(&self.factory.rules) {
            changes.push((name, Some(value)));
        }
        self.commit(Transaction::new(Some(0), changes), deadline).await?;
        let state = self.wait_for_state(deadline).await?;
        same_cluster(&state, &layout)?;
        self.wait_for_leaders().await
    }

    /// Asks a node to come in until it has.
    async fn invite(&self, cluster: u128, record: &NodeRecord, deadline: Instant) -> Result<(), String> {
        let payload = crate::codec::encode(&Invitation { cluster, name: record.name.clone() });
        let payload = payload.map_err(|error| error.to_string())?;
        let target = Target::Address(record.bus_address());
        loop {
            let asked = self.bus.call(&target, Class::Forward, services::JOIN, 0, payload.clone(), CALL_PATIENCE).await;
            let problem = match asked {
                Ok(_) => return Ok(()),
                Err(BusError::Refused(reason)) if reason != COMING => return Err(reason),
                // No time makes a friend of it.
                Err(error @ BusError::Stranger(_)) => {
                    return Err(format!("node {} at {} is not let in: {error}", record.name, record.bus_address()));
                }
                Err(error) => error,
            };
            if Instant::now() >= deadline {
                return Err(format!("node {} at {} did not join: {problem}", record.name, record.bus_address()));
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Commits a transaction, wherever the leader of the metadata is. A transaction for an epoch is safe to
    /// repeat: it is accepted once.
    pub(super) async fn commit(&self, transaction: Transaction, deadline: Instant) -> Result<(), String> {
        let metadata = self.metadata().ok_or("this node is in no cluster")?;
        loop {
            let leader = metadata.group().leadership().borrow().leader;
            let problem = match leader {
                None => "the metadata have no leader".to_owned(),
                Some(leader) => match self.ask(leader, &ask::Question::Transact(transaction.clone())).await {
                    // Who was first has done the same, or something else: the caller looks.
                    Ok(ask::Reply::Done | ask::Reply::Conflict) => return Ok(()),
                    Ok(other) => format!("the metadata's leader answered {other:?}"),
                    Err(error) => error,
                },
            };
            if Instant::now() >= deadline {
                return Err(problem);
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn wait_for_state(&self, deadline: Instant) -> Result<Arc<ClusterState>, String> {
        loop {
            if let Some(state) = self.state() {
                return Ok(state);
            }
            if Instant::now() >= deadline {
                return Err("the metadata of the new cluster did not arrive".to_owned());
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Waits until every shard has a leader that serves.
    async fn wait_for_leaders(&self) -> Result<Arc<ClusterState>, String> {
        let deadline = Instant::now() + CREATE_PATIENCE;
        loop {
            let state = self.state().ok_or("this node is in no cluster")?;
            let mut led = std::collections::BTreeSet::new();
            for node in state.nodes.keys() {
                if let Ok(ask::Reply::Replicas(replicas)) = self.ask(*node, &ask::Question::Replicas).await {
                    led.extend(replicas.into_iter().filter(|(_, replica)| replica.leads).map(|(shard, _)| shard));
                }
            }
            let missing = state.shards.keys().filter(|shard| !led.contains(&shard.0)).count();
            if missing == 0 {
                return Ok(state);
            }
            if Instant::now() >= deadline {
                return Err(format!("{missing} of {} shards have no leader yet", state.shards.len()));
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

fn fresh_id() -> u128 {
    use crate::shard::clock::entropy;
    // 0 means no cluster.
    (u128::from(entropy()) << 64 | u128::from(entropy())).max(1)
}

/// Whether what exists is what is asked for.
fn same_cluster(existing: &ClusterState, wanted: &ClusterState) -> Result<(), String> {
    if existing.id != wanted.id {
        return Err("these nodes belong to another cluster".to_owned());
    }
    let names = |state: &ClusterState| -> Vec<String> {
        state.nodes.values().map(|record| format!("{} {}", record.name, record.client_address())).collect()
    };
    if names(existing) != names(wanted) {
        return Err(format!(
            "the cluster exists and has other nodes: {}",
            existing.nodes.values().map(|record| address(&record.host, record.port)).collect::<Vec<_>>().join(", ")
        ));
    }
    if existing.shards.len() != wanted.shards.len() {
        return Err(format!("the cluster exists and has {} shards", existing.shards.len()));
    }
    Ok(())
}
