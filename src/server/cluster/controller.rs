//! Makes this node what the metadata say it is.
//!
//! Whenever the metadata change, and twice a second besides, it looks at them and does what is missing: tells the
//! bus where the nodes are, opens the replicas that this node is to keep, puts the table of routes and the cluster's
//! settings in force,
//! and, where this node leads, completes the members of groups and hands leaders back to where they belong.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::{ClusterNode, settings};
use crate::cluster::state::ClusterState;
use crate::raft::{MembershipError, Role};
use crate::server::Server;
use crate::server::router::{Router, Target};
use crate::shard::{Shard, clock};
use crate::types::{NodeId, SLOT_COUNT, ShardId, Slot};

/// How often the controller looks even if nothing has changed.
const ROUND: Duration = Duration::from_millis(500);
/// For how long a shard's leader waits before it hands leadership back to the node that should have it.
const SETTLED: Duration = Duration::from_secs(5);
/// Entries that a replica may lack and be handed leadership.
const CLOSE_ENTRIES: u64 = 1000;
/// How long a new learner of the metadata is waited for.
const LEARNER_PATIENCE: Duration = Duration::from_secs(5);

/// Follows the metadata until the server ends.
pub async fn follow(server: Weak<Server>, node: Arc<ClusterNode>) {
    let mut led_since = BTreeMap::new();
    loop {
        let joined = node.joined.notified();
        let Some(metadata) = node.metadata() else {
            joined.await;
            continue;
        };
        let mut watch = metadata.watch();
        loop {
            let Some(server) = server.upgrade() else { return };
            let trouble = match node.state() {
                Some(state) => round(&server, &node, &state, &mut led_since).await.err(),
                None => None,
            };
            if let Some(trouble) = &trouble
                && node.trouble.lock().as_ref() != Some(trouble)
            {
                tracing::error!(%trouble, "this node cannot do what the metadata say");
            }
            *node.trouble.lock() = trouble;
            drop(server);
            if let Ok(Err(_)) = tokio::time::timeout(ROUND, watch.changed()).await {
                return;
            }
        }
    }
}

async fn round(
    server: &Arc<Server>,
    node: &Arc<ClusterNode>,
    state: &Arc<ClusterState>,
    led_since: &mut BTreeMap<ShardId, Instant>,
) -> Result<(), String> {
    node.place(state.nodes.iter().map(|(number, record)| (*number, record.bus_address())));
    if let Some(metadata) = node.metadata() {
        metadata.check_keyspaces(&node.factory.rules).map_err(|error| error.to_string())?;
    }
    open_replicas(node, state).await?;
    let epoch = state.epoch.saturating_add(1);
    if server.router().epoch() < epoch
        && let Some(router) = routes(node, state, epoch)
    {
        server.set_router(router);
    }
    complete_metadata(node, state).await;
    spread_leaders(node, state, led_since);
    settings::follow(server, node, state)
}

/// Opens what this node is to keep, and makes the members of new groups.
async fn open_replicas(node: &Arc<ClusterNode>, state: &ClusterState) -> Result<(), String> {
    let mine = |replicas: &[u64]| replicas.contains(&node.number.0);
    let missing: Vec<ShardId> = state
        .shards
        .iter()
        .filter(|(id, record)| mine(&record.replicas) && node.shard(**id).is_none())
        .map(|(id, _)| *id)
        .collect();
    if !missing.is_empty() {
        let count = state.shards.values().filter(|record| mine(&record.replicas)).count();
        let opened = node.factory.open(node.number, &missing, count, Some(node.raft_options()));
        let opened = opened.await.map_err(|error| format!("{error:#}"))?;
        node.shards.write().extend(opened.into_iter().map(|shard| (shard.id(), shard)));
    }
    for (id, record) in &state.shards {
        let Some(shard) = node.shard(*id).filter(|_| record.replicas.first() == Some(&node.number.0)) else { continue };
        if shard.status().voters.is_empty() {
            let members = record.replicas.iter().map(|number| NodeId(*number));
            let members =
                members.filter_map(|number| Some((number, state.nodes.get(&number)?.bus_address()))).collect();
            match shard.initialize(&members).await {
                Ok(()) | Err(MembershipError::Initialized) => {}
                Err(error) => return Err(format!("shard {}: {error}", id.0)),
            }
        }
    }
    Ok(())
}

/// The table of routes; `None` while the metadata do not give every slot a shard.
fn routes(node: &ClusterNode, state: &ClusterState, epoch: u64) -> Option<Router> {
    let owners: Option<Vec<ShardId>> = (0..SLOT_COUNT).map(|slot| state.ring.owner(Slot(slot))).collect();
    let owners = owners?;
    let mut order: Vec<ShardId> = Vec::new();
    let mut positions = BTreeMap::new();
    for owner in &owners {
        positions.entry(*owner).or_insert_with(|| {
            order.push(*owner);
            order.len() - 1
        });
    }
    let targets = order.iter().map(|id| {
        let replicas =
            state.shards.get(id).map(|record| record.replicas.iter().map(|number| NodeId(*number)).collect());
        Target::replicated(*id, node.shard(*id), replicas.unwrap_or_default())
    });
    let slots = owners.iter().map(|owner| positions[owner] as u16).collect();
    Some(Router::new(epoch, targets.collect(), slots))
}

/// The leader of the metadata takes in nodes that are not members yet.
async fn complete_metadata(node: &ClusterNode, state: &ClusterState) {
    let Some(metadata) = node.metadata() else { return };
    let group = metadata.group();
    let status = group.status();
    if status.state != Role::Leader {
        return;
    }
    for (number, record) in &state.nodes {
        if !status.voters.contains(number) && !status.learners.contains(number) {
            if let Err(error) = group.add_learner(*number, &record.bus_address(), LEARNER_PATIENCE).await {
                tracing::debug!(node = %record.name, %error, "a learner of the metadata is not there yet");
            }
            return;
        }
    }
}

/// Hands leadership of shards to the node that the layout names first, when it is there and has nearly everything.
fn spread_leaders(node: &Arc<ClusterNode>, state: &ClusterState, led_since: &mut BTreeMap<ShardId, Instant>) {
    let now = clock::instant();
    for (id, record) in &state.shards {
        let Some(shard) = node.shard(*id) else { continue };
        let status = shard.status();
        if status.state != Role::Leader {
            led_since.remove(id);
            continue;
        }
        let since = *led_since.entry(*id).or_insert(now);
        let Some(preferred) = record.replicas.first().map(|number| NodeId(*number)) else { continue };
        let has_nearly_everything = status
            .matched
            .get(&preferred)
            .copied()
            .flatten()
            .is_some_and(|matched| matched + CLOSE_ENTRIES >= status.last_log_index.unwrap_or(0));
        if preferred == node.number
            || now.duration_since(since) < SETTLED
            || !has_nearly_everything
            || !status.voters.contains(&preferred)
            || !node.is_connected(preferred)
        {
            continue;
        }
        led_since.insert(*id, now);
        tokio::spawn(hand_over(shard, preferred));
        // One at a time: each is a moment without a leader for its keys.
        return;
    }
}

async fn hand_over(shard: Arc<Shard>, to: NodeId) {
    match shard.transfer_leader(to).await {
        Ok(()) => tracing::info!(shard = shard.id().0, to = format!("{:016x}", to.0), "leadership was handed over"),
        Err(error) => tracing::warn!(shard = shard.id().0, %error, "leadership was not handed over"),
    }
}

/// Before this node ends, others are asked to lead what it leads.
pub async fn hand_everything_over(node: &Arc<ClusterNode>) {
    const PATIENCE: Duration = Duration::from_secs(3);
    let shards: Vec<Arc<Shard>> = node.shards.read().values().cloned().collect();
    let mut moving = tokio::task::JoinSet::new();
    for shard in shards {
        if let Some(to) = successor(node, &shard.status()) {
            moving.spawn(hand_over(shard, to));
        }
    }
    if let Some(metadata) = node.metadata().cloned()
        && let Some(to) = successor(node, &metadata.group().status())
    {
        moving.spawn(async move {
            if let Err(error) = metadata.group().transfer_leader(to).await {
                tracing::warn!(%error, "leadership of the metadata was not handed over");
            }
        });
    }
    let _ = tokio::time::timeout(PATIENCE, moving.join_all()).await;
}

/// The voter that has most of what this leader has.
fn successor(node: &ClusterNode, status: &crate::raft::GroupStatus) -> Option<NodeId> {
    if status.state != Role::Leader {
        return None;
    }
    let candidates = status.matched.iter().filter(|(number, _)| status.voters.contains(number));
    candidates.filter(|(number, _)| node.is_connected(**number)).max_by_key(|(_, index)| **index).map(|(node, _)| *node)
}
