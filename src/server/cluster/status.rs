//! What `kvorum cluster status` shows: nodes, shards, leaders, lag, epoch.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{ClusterNode, ask};
use crate::cluster::state::ClusterState;
use crate::types::NodeId;

/// Digits of names that are enough for people.
const SHORT_NAME: usize = 8;

/// The state of the cluster, gathered from all nodes that answer.
pub struct ClusterStatus {
    /// The node that was asked.
    own: String,
    cluster: u128,
    routing: String,
    state: Option<std::sync::Arc<ClusterState>>,
    /// What each node says of its replicas; `None` of those that do not answer.
    nodes: BTreeMap<NodeId, Option<BTreeMap<u32, ask::ReplicaStatus>>>,
    trouble: Option<String>,
}

/// Asks all nodes.
pub async fn gather(node: &ClusterNode, routing: &str) -> ClusterStatus {
    let state = node.state();
    let numbers: Vec<NodeId> = state.as_ref().map_or_else(Vec::new, |state| state.nodes.keys().copied().collect());
    let asking = numbers.iter().map(|&number| async move {
        let patience = std::time::Duration::from_secs(1);
        match tokio::time::timeout(patience, node.ask(number, &ask::Question::Replicas)).await {
            Ok(Ok(ask::Reply::Replicas(replicas))) => (number, Some(replicas)),
            _ => (number, None),
        }
    });
    ClusterStatus {
        own: node.name.clone(),
        cluster: node.bus.cluster(),
        routing: routing.to_owned(),
        nodes: futures_util::future::join_all(asking).await.into_iter().collect(),
        state,
        trouble: node.trouble.lock().clone(),
    }
}

/// One shard.
struct ShardLine<'a> {
    id: u32,
    slots: u32,
    leader: Option<NodeId>,
    term: u64,
    keys: u64,
    last: u64,
    /// By replica: entries it lacks, if it answers.
    lag: Vec<(NodeId, Option<u64>)>,
    record: &'a crate::cluster::state::ShardRecord,
}

impl ClusterStatus {
    fn replica(&self, node: NodeId, shard: u32) -> Option<&ask::ReplicaStatus> {
        self.nodes.get(&node)?.as_ref()?.get(&shard)
    }

    fn leader_of(&self, shard: u32) -> Option<(NodeId, &ask::ReplicaStatus)> {
        let leading = self.nodes.iter().filter_map(|(node, replicas)| Some((*node, replicas.as_ref()?.get(&shard)?)));
        leading.filter(|(_, replica)| replica.leads).max_by_key(|(_, replica)| replica.term)
    }

    fn shards<'a>(&'a self, state: &'a ClusterState) -> Vec<ShardLine<'a>> {
        let mut slots: BTreeMap<u32, u32> = BTreeMap::new();
        for share in state.ring.shares() {
            slots.insert(share.shard.0, u32::from(share.slots));
        }
        let line = |(id, record): (&crate::types::ShardId, &'a crate::cluster::state::ShardRecord)| {
            let leader = self.leader_of(id.0);
            let last = leader.map_or(0, |(_, replica)| replica.last_log);
            let lag = record.replicas.iter().map(|&number| {
                let node = NodeId(number);
                (node, self.replica(node, id.0).map(|replica| last.saturating_sub(replica.applied)))
            });
            ShardLine {
                id: id.0,
                slots: slots.get(&id.0).copied().unwrap_or(0),
                leader: leader.map(|(node, _)| node),
                term: leader.map_or(0, |(_, replica)| replica.term),
                keys: leader.map_or(0, |(_, replica)| replica.keys),
                last,
                lag: lag.collect(),
                record,
            }
        };
        state.shards.iter().map(line).collect()
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let Some(state) = &self.state else {
            let _ = writeln!(text, "node {} is in no cluster yet", self.own);
            return text;
        };
        let name =
            |node: NodeId| state.nodes.get(&node).map_or_else(|| "?".to_owned(), |record| record.client_address());
        let shards = self.shards(state);
        let led = shards.iter().filter(|shard| shard.leader.is_some()).count();
        let up = self.nodes.values().filter(|node| node.is_some()).count();
        let health = if led == shards.len() && up == state.nodes.len() { "healthy" } else { "DEGRADED" };
        let _ = writeln!(
            text,
            "cluster {:032x}: {health}; {up} of {} nodes answer, {led} of {} shards have a leader; epoch {}, routing {}",
            self.cluster,
            state.nodes.len(),
            shards.len(),
            state.epoch,
            self.routing
        );
        if let Some(trouble) = &self.trouble {
            let _ = writeln!(text, "this node has trouble: {trouble}");
        }
        let _ = writeln!(
            text,
            "\n{:<10} {:<24} {:<7} {:>6} {:>9}  metadata",
            "NODE", "ADDRESS", "STATE", "LEADS", "REPLICAS"
        );
        for (number, record) in &state.nodes {
            let leads = shards.iter().filter(|shard| shard.leader == Some(*number)).count();
            let replicas = state.shards.values().filter(|shard| shard.replicas.contains(&number.0)).count();
            let answers = self.nodes.get(number).is_some_and(Option::is_some);
            let metadata = match self.replica(*number, 0) {
                None => "-",
                Some(replica) if replica.leads => "leader",
                Some(_) => "follower",
            };
            let _ = writeln!(
                text,
                "{:<10} {:<24} {:<7} {leads:>6} {replicas:>9}  {metadata}",
                &record.name[..SHORT_NAME.min(record.name.len())],
                record.client_address(),
                if answers { "up" } else { "DOWN" },
            );
        }
        let _ = writeln!(
            text,
            "\n{:>5} {:>6} {:>6} {:>12}  {:<24} lag of the others (entries)",
            "SHARD", "SLOTS", "TERM", "KEYS", "LEADER"
        );
        for shard in &shards {
            let lag: Vec<String> = shard
                .lag
                .iter()
                .filter(|(node, _)| Some(*node) != shard.leader)
                .map(|(node, lag)| {
                    let lag = lag.map_or_else(|| "does not answer".to_owned(), |lag| lag.to_string());
                    format!("{} {lag}", name(*node))
                })
                .collect();
            let leader = shard.leader.map_or_else(|| "NONE".to_owned(), name);
            let _ = writeln!(
                text,
                "{:>5} {:>6} {:>6} {:>12}  {leader:<24} {}",
                shard.id,
                shard.slots,
                shard.term,
                shard.keys,
                lag.join(", ")
            );
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> String {
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let Some(state) = &self.state else {
            return format!("{{\"node\":{},\"cluster\":null}}\n", quoted(&self.own));
        };
        let name = |node: Option<NodeId>| {
            let record = node.and_then(|node| state.nodes.get(&node));
            record.map_or_else(|| "null".to_owned(), |record| quoted(&record.name))
        };
        let nodes: Vec<String> = state
            .nodes
            .iter()
            .map(|(number, record)| {
                format!(
                    "{{\"id\":{},\"host\":{},\"port\":{},\"bus_port\":{},\"up\":{},\"metadata_leader\":{}}}",
                    quoted(&record.name),
                    quoted(&record.host),
                    record.port,
                    record.bus_port,
                    self.nodes.get(number).is_some_and(Option::is_some),
                    self.replica(*number, 0).is_some_and(|replica| replica.leads),
                )
            })
            .collect();
        let shards: Vec<String> = self
            .shards(state)
            .iter()
            .map(|shard| {
                let replicas: Vec<String> = shard
                    .lag
                    .iter()
                    .map(|(node, lag)| {
                        let lag = lag.map_or_else(|| "null".to_owned(), |lag| lag.to_string());
                        format!("{{\"node\":{},\"lag\":{lag}}}", name(Some(*node)))
                    })
                    .collect();
                format!(
                    "{{\"shard\":{},\"id\":{},\"slots\":{},\"leader\":{},\"term\":{},\"keys\":{},\"last_log\":{},\"replicas\":[{}]}}",
                    shard.id,
                    quoted(&shard.record.name),
                    shard.slots,
                    name(shard.leader),
                    shard.term,
                    shard.keys,
                    shard.last,
                    replicas.join(",")
                )
            })
            .collect();
        format!(
            "{{\"cluster\":\"{:032x}\",\"epoch\":{},\"routing\":{},\"node\":{},\"nodes\":[{}],\"shards\":[{}]}}\n",
            self.cluster,
            state.epoch,
            quoted(&self.routing),
            quoted(&self.own),
            nodes.join(","),
            shards.join(",")
        )
    }
}
