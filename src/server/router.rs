//! Which shard executes which command.
//!
//! A key belongs to a slot, and the slot to a shard. With one shard nothing is computed: it executes every
//! command. With several,
//!
//! - a command whose keys are in one slot goes to the slot's shard;
//! - MGET, MSET, DEL, UNLINK, EXISTS and TOUCH are split by shard, and their replies put together. Each part is
//!   atomic, the whole is not;
//! - commands about the whole keyspace go to all shards;
//! - any other command with keys in different slots is refused, even if one shard has both slots today: what a
//!   program may do must not depend on where slots happen to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

use super::merge::Merge;
use crate::command::spec::KeySpec;
use crate::command::table::KeyPositions;
use crate::command::{CommandSpec, Handler, keys_of};
use crate::shard::Shard;
use crate::types::slot::slot_of;
use crate::types::{NodeId, SLOT_COUNT, ShardId, Slot};

/// A shard, and where its commands are executed.
pub struct Target {
    id: ShardId,
    /// The replica in this process, if there is one.
    local: Option<Arc<Shard>>,
    /// Who has replicas; empty if the only one is in this process.
    replicas: Vec<NodeId>,
    /// Who led when somebody last said so, or 0; for a shard without a replica here.
    heard: AtomicU64,
}

impl Target {
    /// A shard with one replica, in this process.
    pub fn single(shard: Arc<Shard>) -> Self {
        Self { id: shard.id(), local: Some(shard), replicas: Vec::new(), heard: AtomicU64::new(0) }
    }

    /// A shard with replicas on nodes, one of them perhaps in this process.
    pub fn replicated(id: ShardId, local: Option<Arc<Shard>>, replicas: Vec<NodeId>) -> Self {
        Self { id, local, replicas, heard: AtomicU64::new(0) }
    }

    /// The shard's number.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// The replica in this process.
    #[inline]
    pub fn local(&self) -> Option<&Arc<Shard>> {
        self.local.as_ref()
    }

    /// The replica in this process, if it may execute commands now, without asking anybody.
    #[inline]
    pub fn serving(&self) -> Option<&Arc<Shard>> {
        self.local.as_ref().filter(|shard| self.replicas.is_empty() || shard.leads())
    }

    /// Who has replicas.
    pub fn replicas(&self) -> &[NodeId] {
        &self.replicas
    }

    /// Who leads, as far as is known here.
    pub fn known_leader(&self) -> Option<NodeId> {
        match &self.local {
            Some(shard) => shard.leader(),
            None => Some(NodeId(self.heard.load(Ordering::Relaxed))).filter(|node| node.0 != 0),
        }
    }

    /// Notes who leads.
    pub fn note_leader(&self, leader: Option<NodeId>) {
        self.heard.store(leader.map_or(0, |node| node.0), Ordering::Relaxed);
    }

    /// Whom to send commands to, other than this node and `avoid`: the leader if it is known; without a replica here,
    /// otherwise, somebody who has one and will know.
    pub fn leader(&self, own: NodeId, avoid: Option<NodeId>) -> Option<NodeId> {
        let possible = |node: &NodeId| *node != own && Some(*node) != avoid;
        match self.known_leader() {
            Some(leader) => Some(leader).filter(possible),
            None if self.local.is_none() => self.replicas.iter().copied().find(possible),
            None => None,
        }
    }
}

/// The shards and their slots, as they are known at one time. Shards are named by their position in the list.
pub struct Router {
    epoch: u64,
    targets: Vec<Target>,
    /// By slot, the position of its shard.
    slots: Box<[u16]>,
    /// By shard, its first slot and how many it has; the shards are in the order of their first slots.
    extents: Vec<(Slot, usize)>,
}

/// Where a command is executed.
pub enum Place<'a> {
    /// On one shard.
    One(usize),
    /// On several, each with arguments of its own.
    Split(Box<Split<'a>>),
    /// On one shard after the other, as far as it takes (SCAN).
    Walk,
    /// On a shard chosen by its number of keys (RANDOMKEY).
    Chance,
    /// Nowhere: its keys are in different slots.
    Apart,
    /// Nowhere: there are no shards yet.
    Nowhere,
}

/// A command that is divided over shards.
pub struct Split<'a> {
    /// Position of each part's shard, and its arguments.
    pub parts: SmallVec<[(usize, Args<'a>); 4]>,
    /// By key, the position of its shard.
    pub routes: SmallVec<[u16; 16]>,
    /// How the replies are put together.
    pub how: Merge,
}

impl Split<'_> {
    /// Leaves out the shards that are not at one of these positions.
    pub fn keep(&mut self, positions: &[usize]) {
        self.parts.retain(|(position, _)| positions.contains(position));
        self.routes.retain(|route| positions.contains(&usize::from(*route)));
    }
}

/// Arguments of a request.
pub type Args<'a> = SmallVec<[&'a [u8]; 8]>;

/// Divides the slots among shards: to each a range, all as equal as can be.
pub fn equal_ranges(shards: usize) -> Box<[u16]> {
    assert!((1..=usize::from(SLOT_COUNT)).contains(&shards), "there are as many slots as shards, or more");
    (0..usize::from(SLOT_COUNT)).map(|slot| (slot * shards / usize::from(SLOT_COUNT)) as u16).collect()
}

impl Router {
    /// The table of a node that is in no cluster yet.
    pub fn empty() -> Self {
        Self { epoch: 0, targets: Vec::new(), slots: Box::default(), extents: Vec::new() }
    }

    /// A table of `targets`, of which each has the slots that `slots` gives its position to.
    ///
    /// # Panics
    /// When a slot has no shard, a shard no slot, or the shards are not in the order of their first slots.
    pub fn new(epoch: u64, targets: Vec<Target>, slots: Box<[u16]>) -> Self {
        assert_eq!(slots.len(), usize::from(SLOT_COUNT), "every slot has a shard");
        let mut extents = vec![None; targets.len()];
        for (slot, &position) in (0..).zip(&slots) {
            extents[usize::from(position)].get_or_insert((Slot(slot), 0)).1 += 1;
        }
        let extents: Vec<(Slot, usize)> =
            extents.into_iter().map(|extent| extent.expect("every shard has slots")).collect();
        assert!(extents.is_sorted(), "shards are in the order of their first slots");
        Self { epoch, targets, slots, extents }
    }

    /// Grows with every change of the table.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Number of shards.
    #[inline]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are no shards: the node is in no cluster yet.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// All shards.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The shard at a position.
    #[inline]
    pub fn target(&self, position: usize) -> &Target {
        &self.targets[position]
    }

    /// The shards of which this process has a replica.
    pub fn shards(&self) -> impl Iterator<Item = &Arc<Shard>> {
        self.targets.iter().filter_map(Target::local)
    }

    /// The first slot of the shard at a position, and how many it has.
    pub fn extent(&self, position: usize) -> (Slot, usize) {
        self.extents[position]
    }

    /// The position of a slot's shard.
    #[inline]
    pub fn position_of(&self, slot: Slot) -> usize {
        usize::from(self.slots[usize::from(slot.0)])
    }

    /// The position of a key's shard.
    #[inline]
    pub fn position_of_key(&self, key: &[u8]) -> usize {
        if self.targets.len() == 1 { 0 } else { self.position_of(slot_of(key)) }
    }

    /// This process's replica of the shard of a key.
    pub fn shard_of_key(&self, key: &[u8]) -> Option<&Arc<Shard>> {
        if self.is_empty() { None } else { self.target(self.position_of_key(key)).local() }
    }

    /// Where a read or a write is executed. Its number of arguments was checked.
    #[inline]
    pub fn place<'a>(&self, spec: &'static CommandSpec, args: &[&'a [u8]]) -> Place<'a> {
        if self.targets.len() == 1 {
            return Place::One(0);
        }
        if self.targets.is_empty() {
            return Place::Nowhere;
        }
        match spec.keys {
            [KeySpec::Range { first: 1, last: 1, .. }] => Place::One(self.position_of(slot_of(args[1]))),
            _ => self.place_several(spec, args),
        }
    }

    fn place_several<'a>(&self, spec: &'static CommandSpec, args: &[&'a [u8]]) -> Place<'a> {
        // What is wrong with the arguments any shard can say.
        let Ok(keys) = keys_of(spec, args) else { return Place::One(0) };
        let Some(&(first, _)) = keys.first() else { return self.place_without_keys(spec, args) };
        let slot = slot_of(args[first]);
        if keys[1..].iter().all(|&(index, _)| slot_of(args[index]) == slot) {
            return Place::One(self.position_of(slot));
        }
        match spec.name {
            "DEL" | "EXISTS" | "TOUCH" | "UNLINK" => self.split(&keys, args, 1, Merge::Sum),
            "MGET" => self.split(&keys, args, 1, Merge::Values),
            "MSET" if args.len().is_multiple_of(2) => Place::One(0),
            "MSET" => self.split(&keys, args, 2, Merge::Ok),
            _ => Place::Apart,
        }
    }

    fn place_without_keys<'a>(&self, spec: &'static CommandSpec, args: &[&'a [u8]]) -> Place<'a> {
        if !spec.subcommands.is_empty() {
            // A subcommand without a key, such as OBJECT HELP.
            return Place::One(0);
        }
        let how = match (spec.name, spec.handler) {
            ("SCAN", _) => return Place::Walk,
            ("RANDOMKEY", _) => return Place::Chance,
            ("KEYS", _) => Merge::Concatenated,
            ("KEYCOUNT", _) => Merge::Sum,
            ("KEYRANGE", _) => Merge::range(args),
            (_, Handler::Write(_)) => Merge::Ok,
            _ => return Place::One(0),
        };
        let parts = (0..self.len()).map(|position| (position, args.iter().copied().collect())).collect();
        let routes = (0..self.len()).map(|position| position as u16).collect();
        Place::Split(Box::new(Split { parts, routes, how }))
    }

    /// Divides a command whose arguments are keys, each with `width - 1` arguments that belong to it.
    fn split<'a>(&self, keys: &KeyPositions, args: &[&'a [u8]], width: usize, how: Merge) -> Place<'a> {
        let mut split = Split { parts: SmallVec::new(), routes: SmallVec::with_capacity(keys.len()), how };
        for &(index, _) in keys {
            let position = self.position_of(slot_of(args[index]));
            split.routes.push(position as u16);
            let part = match split.parts.iter().position(|&(other, _)| other == position) {
                Some(part) => part,
                None => {
                    split.parts.push((position, Args::from_slice(&args[..1])));
                    split.parts.len() - 1
                }
            };
            split.parts[part].1.extend_from_slice(&args[index..index + width]);
        }
        match split.parts.len() {
            1 => Place::One(split.parts[0].0),
            _ => Place::Split(Box::new(split)),
        }
    }
}

/// The answer to a command whose keys are in different slots.
pub const CROSS_SLOT: &str = "CROSSSLOT Keys in request don't hash to the same slot";
/// The answer to a command on a node that is in no cluster yet.
pub const NO_SHARDS: &str = "CLUSTERDOWN Hash slot not served";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table;

    #[test]
    fn ranges_are_equal_and_in_order() {
        for shards in [1, 2, 3, 4, 7, 1000, 1024] {
            let slots = equal_ranges(shards);
            assert!(slots.is_sorted());
            let count = |shard: usize| slots.iter().filter(|&&other| usize::from(other) == shard).count();
            let (least, most) = (16384 / shards, 16384usize.div_ceil(shards));
            assert!((0..shards).all(|shard| (least..=most).contains(&count(shard))), "{shards} shards");
        }
    }

    #[test]
    fn commands_without_keys_are_known() {
        // A new command about the whole keyspace must say here how its replies are put together.
        let known = ["FLUSHALL", "FLUSHDB", "KEYCOUNT", "KEYRANGE", "KEYS", "RANDOMKEY", "SCAN", "SWAPDB"];
        for spec in table::all() {
            let is_container = !spec.subcommands.is_empty();
            if spec.keys.is_empty() && !is_container && !matches!(spec.handler, Handler::Server(_)) {
                assert!(known.contains(&spec.name), "{}", spec.name);
            }
        }
    }
}
