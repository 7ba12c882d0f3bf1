//! What the nodes of a cluster agree on: who is there, which replicas each shard has, and which shard owns
//! which slot.
//!
//! The metadata group keeps names and values (`metadata`); this is the view of them that the rest of the
//! server works with. Every value is encoded by [`crate::codec`].
//!
//! | name | value |
//! |---|---|
//! | `cluster/id` | the cluster's number, 16 bytes |
//! | `cluster/ring` | the ring, see `ring` |
//! | `node/NNNN` | a [`NodeRecord`]; NNNN is the node's number in 16 hexadecimal digits |
//! | `setting/NAME` | the value of a setting that all nodes share, as text |
//! | `shard/NNNN` | a [`ShardRecord`]; NNNN is the shard's number in 8 hexadecimal digits |

use std::collections::BTreeMap;
use std::io;

use bincode::{Decode, Encode};

use super::ring::Ring;
use crate::types::{NodeId, ShardId};

/// Names and values, as the metadata group has them.
pub type Map = BTreeMap<String, Vec<u8>>;

const ID: &str = "cluster/id";
const RING: &str = "cluster/ring";
const NODE: &str = "node/";
const SETTING: &str = "setting/";
const SHARD: &str = "shard/";

/// Nodes that vote in the metadata group, at most; the others follow it.
pub const METADATA_VOTERS_MAX: usize = 5;

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NodeRecord {
    /// Its name: 40 hexadecimal digits, made once and kept in its data directory.
    pub name: String,
    /// Where clients reach it.
    pub host: String,
    /// The port for clients.
    pub port: u16,
    /// The port of the bus.
    pub bus_port: u16,
}

impl NodeRecord {
    /// Where its bus listens, `host:port`.
    pub fn bus_address(&self) -> String {
        address(&self.host, self.bus_port)
    }

    /// Where clients reach it, `host:port`.
    pub fn client_address(&self) -> String {
        address(&self.host, self.port)
    }
}

/// `host:port`, with brackets around an IPv6 address.
pub fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A shard of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ShardRecord {
    /// Its name: 40 hexadecimal digits.
    pub name: String,
    /// Numbers of the nodes that keep a replica. The first is the one that should lead.
    pub replicas: Vec<u64>,
}

/// What the nodes agree on, at one epoch.
#[derive(Clone, Debug, Default)]
pub struct ClusterState {
    /// The cluster's number; `None` before it was created.
    pub id: Option<u128>,
    /// Grows with every change of the metadata.
    pub epoch: u64,
    /// All nodes.
    pub nodes: BTreeMap<NodeId, NodeRecord>,
    /// All shards.
    pub shards: BTreeMap<ShardId, ShardRecord>,
    /// Which shard owns which slot.
    pub ring: Ring,
    /// Settings that all nodes share, by name.
    pub settings: BTreeMap<String, String>,
}

impl ClusterState {
    /// Reads the metadata.
    ///
    /// # Errors
    /// When a value is damaged, or of a newer version.
    pub fn read(map: &Map, epoch: u64) -> io::Result<Self> {
        let damaged = |name: &str| io::Error::new(io::ErrorKind::InvalidData, format!("damaged metadata value {name}"));
        let mut state = Self { epoch, ..Self::default() };
        if let Some(id) = map.get(ID) {
            let id: [u8; 16] = id.as_slice().try_into().map_err(|_| damaged(ID))?;
            state.id = Some(u128::from_le_bytes(id));
        }
        if let Some(ring) = map.get(RING) {
            state.ring = Ring::decode(ring).map_err(|_| damaged(RING))?;
        }
        for (name, value) in prefixed(map, NODE) {
            let number = u64::from_str_radix(&name[NODE.len()..], 16).map_err(|_| damaged(name))?;
            state.nodes.insert(NodeId(number), crate::codec::decode(value)?);
        }
        for (name, value) in prefixed(map, SHARD) {
            let number = u32::from_str_radix(&name[SHARD.len()..], 16).map_err(|_| damaged(name))?;
            state.shards.insert(ShardId(number), crate::codec::decode(value)?);
        }
        for (name, value) in prefixed(map, SETTING) {
            let value = String::from_utf8(value.clone()).map_err(|_| damaged(name))?;
            state.settings.insert(name[SETTING.len()..].to_owned(), value);
        }
        Ok(state)
    }

    /// The values that make a new cluster.
    ///
    /// # Errors
    /// When a record cannot be encoded.
    pub fn creation(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let id = self.id.ok_or_else(|| io::Error::other("a cluster without a number"))?;
        let mut values = vec![(ID.to_owned(), id.to_le_bytes().to_vec()), (RING.to_owned(), self.ring.encode())];
        for (node, record) in &self.nodes {
            values.push((node_name(*node), crate::codec::encode(record)?));
        }
        for (shard, record) in &self.shards {
            values.push((shard_name(*shard), crate::codec::encode(record)?));
        }
        Ok(values)
    }

    /// The node with a name.
    pub fn node_by_name(&self, name: &str) -> Option<(NodeId, &NodeRecord)> {
        self.nodes.iter().find(|(_, record)| record.name == name).map(|(node, record)| (*node, record))
    }
}

/// Under which name a node's record is kept.
pub fn node_name(node: NodeId) -> String {
    format!("{NODE}{:016x}", node.0)
}

/// Under which name a shard's record is kept.
pub fn shard_name(shard: ShardId) -> String {
    format!("{SHARD}{:08x}", shard.0)
}

/// Under which name the value of a setting is kept.
pub fn setting_name(setting: &str) -> String {
    format!("{SETTING}{setting}")
}

fn prefixed<'m>(map: &'m Map, prefix: &'m str) -> impl Iterator<Item = (&'m String, &'m Vec<u8>)> {
    map.range(prefix.to_owned()..).take_while(move |(name, _)| name.starts_with(prefix))
}

/// The number of the node with this name: its first 16 digits.
pub fn node_number(name: &str) -> Option<NodeId> {
    // 0 means nobody, and 1 is a standalone server.
    u64::from_str_radix(name.get(..16)?, 16).ok().filter(|&number| number > 1).map(NodeId)
}

/// Why a cluster cannot be laid out.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LayoutError {
    /// There is nothing to lay it out on.
    #[error("a cluster has at least one node")]
    NoNodes,
    /// More replicas than nodes.
    #[error("{replicas} replicas of each shard need {replicas} nodes, and there are {nodes}")]
    TooFewNodes {
        /// Replicas asked for.
        replicas: usize,
        /// Nodes there are.
        nodes: usize,
    },
    /// A number of shards that the slots cannot be divided over.
    #[error("the number of shards must be between 1 and {}", SHARDS_MAX)]
    BadShards,
}

/// Shards that a cluster can be created with.
pub const SHARDS_MAX: usize = 1024;

/// Lays out a new cluster: `shards` shards over the nodes in their order, each with `replicas` replicas
/// on different nodes. Leaders and replicas are spread evenly: shard i begins at node i, and
/// its other replicas follow at a distance that changes from round to round, so that the load of a
/// failed node falls on many.
///
/// # Errors
/// See [`LayoutError`].
pub fn lay_out(id: u128, nodes: Vec<NodeRecord>, shards: usize, replicas: usize) -> Result<ClusterState, LayoutError> {
    if nodes.is_empty() {
        return Err(LayoutError::NoNodes);
    }
    if replicas == 0 || replicas > nodes.len() {
        return Err(LayoutError::TooFewNodes { replicas, nodes: nodes.len() });
    }
    if shards == 0 || shards > SHARDS_MAX {
        return Err(LayoutError::BadShards);
    }
    let mut state = ClusterState { id: Some(id), ..ClusterState::default() };
    let mut numbers = Vec::new();
    for record in nodes {
        let number = node_number(&record.name).unwrap_or(NodeId(2));
        numbers.push(number.0);
        state.nodes.insert(number, record);
    }
    let count = numbers.len();
    for index in 0..shards {
        let number = ShardId(index as u32 + 1);
        // With three nodes the rounds alternate 1,2 and 2,1.
        let stride = if count > 2 { 1 + (index / count) % (count - 1) } else { 1 };
        let mut chosen: Vec<u64> = Vec::with_capacity(replicas);
        let mut at = index % count;
        while chosen.len() < replicas {
            if !chosen.contains(&numbers[at]) {
                chosen.push(numbers[at]);
                at = (at + stride) % count;
            } else {
                at = (at + 1) % count;
            }
        }
        state.shards.insert(number, ShardRecord { name: shard_hex(id, number), replicas: chosen });
        state
            .ring
            .add(number, super::ring::DEFAULT_WEIGHT, super::ring::DEFAULT_VIRTUAL_NODES)
            .map_err(|_| LayoutError::BadShards)?;
    }
    Ok(state)
}

/// A shard's name: 40 hexadecimal digits that depend on the cluster and the number only.
fn shard_hex(cluster: u128, shard: ShardId) -> String {
    let digits = |salt: u8| {
        let bytes: Vec<u8> = cluster.to_le_bytes().into_iter().chain(shard.0.to_le_bytes()).chain([salt]).collect();
        twox_hash::XxHash3_64::oneshot(&bytes)
    };
    format!("{:016x}{:016x}{:08x}", digits(0), digits(1), digits(2) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(count: u64) -> Vec<NodeRecord> {
        (0..count)
            .map(|number| NodeRecord {
                name: format!("{:016x}{:024x}", 0x1000 + number, 0),
                host: "127.0.0.1".to_owned(),
                port: 7000 + number as u16,
                bus_port: 17000 + number as u16,
            })
            .collect()
    }

    #[test]
    fn replicas_and_leaders_are_spread() {
        for (count, shards, replicas) in
            [(3, 8, 3), (3, 9, 3), (5, 20, 3), (7, 42, 3), (2, 4, 2), (1, 3, 1), (4, 12, 3)]
        {
            let state = lay_out(7, nodes(count), shards, replicas).unwrap();
            assert_eq!(state.shards.len(), shards);
            let mut leaders = BTreeMap::new();
            let mut all = BTreeMap::new();
            for record in state.shards.values() {
                assert_eq!(record.replicas.len(), replicas);
                let different: std::collections::BTreeSet<_> = record.replicas.iter().collect();
                assert_eq!(different.len(), replicas, "replicas of a shard are on different nodes");
                *leaders.entry(record.replicas[0]).or_insert(0) += 1;
                for node in &record.replicas {
                    assert!(state.nodes.contains_key(&NodeId(*node)));
                    *all.entry(*node).or_insert(0) += 1;
                }
            }
            let spread = |counts: &BTreeMap<u64, i32>| counts.values().max().unwrap() - counts.values().min().unwrap();
            assert!(spread(&leaders) <= 1, "{count} nodes, {shards} shards: leaders {leaders:?}");
            assert!(spread(&all) <= replicas as i32, "{count} nodes, {shards} shards: replicas {all:?}");
        }
    }

    #[test]
    fn a_state_comes_back_from_its_values() {
        let state = lay_out(99, nodes(3), 8, 3).unwrap();
        let map: Map = state.creation().unwrap().into_iter().collect();
        let back = ClusterState::read(&map, 5).unwrap();
        assert_eq!(back.id, Some(99));
        assert_eq!(back.epoch, 5);
        assert_eq!(back.nodes, state.nodes);
        assert_eq!(back.shards, state.shards);
        assert_eq!(back.ring.encode(), state.ring.encode());
        let mut with_setting = map.clone();
        with_setting.insert(setting_name("read-policy"), b"stale".to_vec());
        let settings = ClusterState::read(&with_setting, 6).unwrap().settings;
        assert_eq!(settings, BTreeMap::from([("read-policy".to_owned(), "stale".to_owned())]));
        let mut broken = map;
        broken.insert("node/zz".to_owned(), vec![1]);
        assert!(ClusterState::read(&broken, 5).is_err());
    }

    #[test]
    fn impossible_layouts_are_refused() {
        assert_eq!(lay_out(1, vec![], 1, 1).unwrap_err(), LayoutError::NoNodes);
        assert_eq!(lay_out(1, nodes(2), 1, 3).unwrap_err(), LayoutError::TooFewNodes { replicas: 3, nodes: 2 });
        assert_eq!(lay_out(1, nodes(2), 0, 1).unwrap_err(), LayoutError::BadShards);
    }

    #[test]
    fn node_numbers_come_from_names() {
        assert_eq!(node_number("00000000000010010000"), Some(NodeId(0x1001)));
        assert_eq!(node_number("short"), None);
        assert_eq!(node_number("0000000000000001ffff"), None);
    }
}
