//! The ring: which shard owns which slot.
//!
//! The 16384 slots are the circle. Every shard has virtual nodes, each at a *token*, which is a slot
//! number; a token owns the slots from itself up to the next token, its *arc*. There is always a token
//! at slot 0, so that no arc goes round the end, and the ranges that `CLUSTER SLOTS` lists are at most as many
//! as the tokens.
//!
//! Tokens are chosen once, when their shard is added, by XXH3 and with a view of the ring as it is
//! (module `place`), and are kept from then on. A ring is therefore a function of the additions, removals
//! and rebalances that made it, not of the set of its shards, and all nodes must take it from the
//! metadata (module `format`) rather than compute it.
//!
//! What holds, and `tests.rs` checks:
//!
//! - Every slot of a ring with shards has exactly one owner, and every shard owns at least one slot.
//! - Adding a shard moves slots to it and between no others.
//! - Removing a shard moves its slots and no others (module `vacate`).
//! - With equal weights and 64 virtual nodes, up to 64 shards, no shard owns more than 1.05 times the mean.
//!
//! The weight of a shard says how large a share it should have beside the others: twice the weight, twice
//! the slots. Its virtual nodes say in how many pieces it takes them, and so from how many shards.
//!
//! A ring says who should own a slot. It moves no data and knows of no slot under way.

mod format;
mod place;
mod rebalance;
#[cfg(test)]
mod tests;
mod vacate;

use std::collections::BTreeMap;

use crate::types::{SLOT_COUNT, ShardId, Slot};

/// Virtual nodes of a shard of average weight, unless the operator says otherwise.
///
/// With fewer, a new shard cannot take a little from each of many; with more, `CLUSTER SLOTS` grows.
pub const DEFAULT_VIRTUAL_NODES: u16 = 64;

/// Weight of a shard, unless the operator says otherwise. It leaves room for smaller ones.
pub const DEFAULT_WEIGHT: u32 = 100;

/// Why a ring refuses a change, or cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// The shard to add is there already.
    #[error("shard {} is in the ring already", .0.0)]
    AlreadyMember(ShardId),
    /// The shard is not there.
    #[error("shard {} is not in the ring", .0.0)]
    NotMember(ShardId),
    /// A shard without weight would own nothing.
    #[error("the weight of a shard must be at least 1")]
    NoWeight,
    /// A shard without tokens would own nothing.
    #[error("a shard must have at least 1 virtual node")]
    NoVirtualNodes,
    /// Every shard owns a single slot.
    #[error("every shard owns a single slot, there is none to give to another")]
    Full,
    /// The bytes are not a ring.
    #[error("damaged ring: {0}")]
    Damaged(&'static str),
}

/// Consecutive slots of one owner, both ends included, as `CLUSTER SLOTS` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotRange {
    /// The first slot.
    pub start: Slot,
    /// The last slot.
    pub end: Slot,
    /// Who owns them.
    pub shard: ShardId,
}

/// Consecutive slots that change their owner in the same way, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotMove {
    /// The first slot.
    pub start: Slot,
    /// The last slot.
    pub end: Slot,
    /// Who owned them; nobody when the old ring was empty.
    pub from: Option<ShardId>,
    /// Who is to own them; nobody when the new ring is empty.
    pub to: Option<ShardId>,
}

impl SlotMove {
    /// Number of slots.
    pub fn slots(&self) -> u16 {
        self.end.0 - self.start.0 + 1
    }
}

/// What a shard owns beside what it should.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The shard.
    pub shard: ShardId,
    /// Number of slots that it owns.
    pub slots: u16,
    /// Number of its tokens.
    pub tokens: u16,
    /// Number of slots that its weight asks for.
    pub target: f64,
}

impl Share {
    /// What it owns as a multiple of what it should: 1 is exact, 1.05 is 5 % too much.
    pub fn load(&self) -> f64 {
        f64::from(self.slots) / self.target
    }
}

/// A shard as the ring knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    weight: u32,
    virtual_nodes: u16,
}

/// One virtual node: owns the slots from `slot` up to the next token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token {
    slot: u16,
    shard: ShardId,
}

type Members = BTreeMap<ShardId, Member>;

/// Slots of a shard while a change is computed; wide enough for products with weights.
type Slots = BTreeMap<ShardId, u64>;

/// The assignment of slots to shards.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ring {
    members: Members,
    /// Ascending; the first is at slot 0.
    tokens: Vec<Token>,
    /// The owner of every slot, or empty when there are no shards.
    owners: Box<[ShardId]>,
}

impl Ring {
    /// A ring without shards.
    pub fn new() -> Self {
        Self::default()
    }

    /// A ring of shards of equal weight, added in this order.
    ///
    /// # Errors
    /// As [`Ring::add`].
    pub fn with_shards(shards: impl IntoIterator<Item = ShardId>, virtual_nodes: u16) -> Result<Self, RingError> {
        let mut ring = Self::new();
        for shard in shards {
            ring.add(shard, DEFAULT_WEIGHT, virtual_nodes)?;
        }
        Ok(ring)
    }

    /// Adds a shard, which takes slots from the most loaded.
    ///
    /// It gets `virtual_nodes` tokens. It gets more where its weight is above the mean, in that
    /// proportion, because no arc would be long enough otherwise, and fewer where its share is fewer slots.
    ///
    /// # Errors
    /// When it is a member already, has no weight or no virtual nodes, or no slot can be spared.
    pub fn add(&mut self, shard: ShardId, weight: u32, virtual_nodes: u16) -> Result<(), RingError> {
        if self.members.contains_key(&shard) {
            return Err(RingError::AlreadyMember(shard));
        }
        if weight == 0 {
            return Err(RingError::NoWeight);
        }
        if virtual_nodes == 0 {
            return Err(RingError::NoVirtualNodes);
        }
        let mut members = self.members.clone();
        members.insert(shard, Member { weight, virtual_nodes });
        let tokens = place::place(&members, &self.tokens, shard).ok_or(RingError::Full)?;
        *self = Self::from_parts(members, tokens);
        Ok(())
    }

    /// Removes a shard; its slots go to the owners of the arcs beside its own.
    ///
    /// # Errors
    /// When it is not a member.
    pub fn remove(&mut self, shard: ShardId) -> Result<(), RingError> {
        let mut members = self.members.clone();
        members.remove(&shard).ok_or(RingError::NotMember(shard))?;
        let tokens = vacate::vacate(&members, &self.tokens, shard);
        *self = Self::from_parts(members, tokens);
        Ok(())
    }

    /// Changes the weight of a shard. No slot moves before the next [`Ring::rebalanced`], but shards that
    /// are added or removed meanwhile go by the new weight.
    ///
    /// # Errors
    /// When it is not a member, or the weight is 0.
    pub fn set_weight(&mut self, shard: ShardId, weight: u32) -> Result<(), RingError> {
        if weight == 0 {
            return Err(RingError::NoWeight);
        }
        self.members.get_mut(&shard).ok_or(RingError::NotMember(shard))?.weight = weight;
        Ok(())
    }

    /// This ring with tokens shifted until every shard is within 5 % of its share, as far as whole slots allow.
    ///
    /// Slots move between shards that stay, so this is for an operator who has seen the plan:
    /// `moves(&ring, &ring.rebalanced())`. Nothing moves if all shards are within the 5 % already.
    #[must_use]
    pub fn rebalanced(&self) -> Self {
        Self::from_parts(self.members.clone(), rebalance::rebalance(&self.members, &self.tokens))
    }

    /// The owner of a slot; none when there are no shards.
    pub fn owner(&self, slot: Slot) -> Option<ShardId> {
        self.owners.get(usize::from(slot.0)).copied()
    }

    /// The shards, in ascending order.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> + '_ {
        self.members.keys().copied()
    }

    /// The weight of a shard, if it is a member.
    pub fn weight(&self, shard: ShardId) -> Option<u32> {
        self.members.get(&shard).map(|member| member.weight)
    }

    /// Number of tokens of all shards; [`Ring::ranges`] are never more.
    pub fn token_count(&self) -> usize {
        self.tokens.len()
    }

    /// The slots in ascending order, with neighbouring arcs of one shard as one range.
    pub fn ranges(&self) -> Vec<SlotRange> {
        let mut ranges: Vec<SlotRange> = Vec::with_capacity(self.tokens.len());
        for arc in arcs(&self.tokens) {
            match ranges.last_mut() {
                Some(last) if last.shard == arc.shard => last.end = Slot(arc.end - 1),
                _ => ranges.push(SlotRange { start: Slot(arc.start), end: Slot(arc.end - 1), shard: arc.shard }),
            }
        }
        ranges
    }

    /// What every shard owns, in ascending order of shards.
    pub fn shares(&self) -> Vec<Share> {
        let slots = slots_of(&self.members, &self.tokens);
        let total_weight = total_weight(&self.members);
        let share = |(&shard, member): (&ShardId, &Member)| Share {
            shard,
            slots: narrow(slots[&shard]),
            tokens: narrow(self.tokens.iter().filter(|token| token.shard == shard).count() as u64),
            target: f64::from(SLOT_COUNT) * f64::from(member.weight) / total_weight as f64,
        };
        self.members.iter().map(share).collect()
    }

    /// The largest [`Share::load`]; 1 when there are no shards.
    pub fn max_load(&self) -> f64 {
        self.shares().iter().map(Share::load).reduce(f64::max).unwrap_or(1.0)
    }

    fn from_parts(members: Members, tokens: Vec<Token>) -> Self {
        assert!(tokens.is_empty() == members.is_empty(), "a ring has tokens if it has shards");
        assert!(tokens.first().is_none_or(|token| token.slot == 0), "the first token is at slot 0");
        assert!(tokens.is_sorted_by(|a, b| a.slot < b.slot), "tokens ascend");
        assert!(tokens.last().is_none_or(|token| token.slot < SLOT_COUNT), "tokens are slots");
        let owners = arcs(&tokens).flat_map(|arc| std::iter::repeat_n(arc.shard, usize::from(arc.len()))).collect();
        Self { members, tokens, owners }
    }
}

/// What changes its owner between two rings, in ascending order of slots.
pub fn moves(old: &Ring, new: &Ring) -> Vec<SlotMove> {
    let mut moves: Vec<SlotMove> = Vec::new();
    for slot in (0..SLOT_COUNT).map(Slot) {
        let (from, to) = (old.owner(slot), new.owner(slot));
        if from == to {
            continue;
        }
        match moves.last_mut() {
            Some(last) if last.end.0 + 1 == slot.0 && last.from == from && last.to == to => last.end = slot,
            _ => moves.push(SlotMove { start: slot, end: slot, from, to }),
        }
    }
    moves
}

/// The slots that one token owns: `start` is the token, `end` the next one, or the end of the circle.
#[derive(Clone, Copy, Debug)]
struct Arc {
    /// Position of the token in the list.
    index: usize,
    start: u16,
    end: u16,
    shard: ShardId,
}

impl Arc {
    fn len(&self) -> u16 {
        self.end - self.start
    }
}

fn arcs(tokens: &[Token]) -> impl Iterator<Item = Arc> + '_ {
    let ends = tokens.iter().skip(1).map(|token| token.slot).chain([SLOT_COUNT]);
    let with_ends = tokens.iter().zip(ends).enumerate();
    with_ends.map(|(index, (token, end))| Arc { index, start: token.slot, end, shard: token.shard })
}

/// The number of slots of every member, 0 included.
fn slots_of(members: &Members, tokens: &[Token]) -> Slots {
    let mut slots: Slots = members.keys().map(|&shard| (shard, 0)).collect();
    for arc in arcs(tokens) {
        *slots.entry(arc.shard).or_default() += u64::from(arc.len());
    }
    slots
}

fn total_weight(members: &Members) -> u64 {
    members.values().map(|member| u64::from(member.weight)).sum()
}

/// For numbers of slots and tokens, which are at most [`SLOT_COUNT`].
fn narrow(number: u64) -> u16 {
    u16::try_from(number).expect("there are no more slots, and so no more tokens, than 16384")
}
