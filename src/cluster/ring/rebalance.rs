//! Evens out the shares of a ring by shifting tokens.
//!
//! Shifting a token hands slots from one of the two shards beside it to the other. A shard that owns over 5 % too much
//! gives what is above that to the nearest shard that owns too little: nearest in the graph whose edges are the
//! tokens between two shards, so that as few slots as possible move, most of them once. A shard that owns over 5 % too
//! little then takes, in the same way, from the nearest that owns too much.
//!
//! No tokens are added, so the bound on ranges stays. A shard loses tokens only where it has more of
//! them than its weight gives it slots, or where nothing else is left to shift.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{Members, Slots, Token, arcs, narrow, slots_of, total_weight};
use crate::types::{SLOT_COUNT, ShardId};

/// How far a share may be from its target before slots move, in percent.
const TOLERANCE_PERCENT: u64 = 5;

/// The tokens, shifted.
pub(super) fn rebalance(members: &Members, tokens: &[Token]) -> Vec<Token> {
    let total_weight = total_weight(members);
    let bounds = members.iter().map(|(&shard, member)| (shard, Bounds::new(member.weight, total_weight)));
    let mut shifting = Shifting { bounds: bounds.collect(), slots: slots_of(members, tokens), tokens: tokens.to_vec() };
    // Every step brings at least one slot to where it is wanted, and takes none away.
    for _step in 0..SLOT_COUNT {
        let paths = |giving| shifting.path_from_excess(giving).or_else(|| shifting.path_to_lack(giving));
        let Some(path) = paths(Giving::Parts).or_else(|| paths(Giving::Wholes)) else { break };
        shifting.apply(&path);
    }
    shifting.tokens
}

/// How many slots a shard may own.
struct Bounds {
    /// With fewer it takes.
    low: u64,
    /// What its weight asks for, rounded down.
    floor: u64,
    /// What its weight asks for, rounded up.
    ceiling: u64,
    /// With more it gives.
    high: u64,
}

impl Bounds {
    fn new(weight: u32, total_weight: u64) -> Self {
        let weighted = u64::from(weight) * u64::from(SLOT_COUNT);
        let floor = (weighted / total_weight).max(1);
        let ceiling = weighted.div_ceil(total_weight);
        let low = (weighted * (100 - TOLERANCE_PERCENT)).div_ceil(total_weight * 100).min(floor);
        let high = (weighted * (100 + TOLERANCE_PERCENT) / (total_weight * 100)).max(ceiling);
        Self { low, floor, ceiling, high }
    }
}

/// A token that can be shifted so that one shard gives slots to another.
#[derive(Clone, Copy)]
struct Edge {
    giver: ShardId,
    taker: ShardId,
    /// Its position in the list.
    token: usize,
    /// Down gives slots to the token's own shard, up takes slots from it.
    down: bool,
    /// Slots that can be given.
    capacity: u16,
}

/// Edges from the shard that gives to the shard that gets, each to be shifted by `amount`.
struct Path {
    giver: ShardId,
    taker: ShardId,
    edges: Vec<Edge>,
    amount: u64,
}

/// Which way a search goes along the edges.
#[derive(Clone, Copy, PartialEq)]
enum Towards {
    Takers,
    Givers,
}

/// What an arc may give.
#[derive(Clone, Copy, PartialEq)]
enum Giving {
    /// All but one slot, unless its shard has more tokens than it should have slots.
    Parts,
    /// All, unless it is the shard's last.
    Wholes,
}

/// A ring while its tokens are shifted.
struct Shifting {
    bounds: BTreeMap<ShardId, Bounds>,
    slots: Slots,
    tokens: Vec<Token>,
}

impl Shifting {
    /// A way out for slots of the shard that is furthest above its bound.
    fn path_from_excess(&self, giving: Giving) -> Option<Path> {
        let excess = |shard: ShardId| self.slots[&shard].saturating_sub(self.bounds[&shard].high);
        let room = |shard: ShardId| self.bounds[&shard].ceiling.saturating_sub(self.slots[&shard]);
        self.worst_first(excess).into_iter().find_map(|giver| {
            let (taker, edges) = self.shortest_path(giver, giving, Towards::Takers, |shard| room(shard) > 0)?;
            Some(Path { giver, taker, edges, amount: excess(giver).min(room(taker)) })
        })
    }

    /// A way in for slots that the shard lacks which is furthest below its bound.
    fn path_to_lack(&self, giving: Giving) -> Option<Path> {
        let lack = |shard: ShardId| self.bounds[&shard].low.saturating_sub(self.slots[&shard]);
        let spare = |shard: ShardId| self.slots[&shard].saturating_sub(self.bounds[&shard].floor);
        self.worst_first(lack).into_iter().find_map(|taker| {
            let (giver, edges) = self.shortest_path(taker, giving, Towards::Givers, |shard| spare(shard) > 0)?;
            Some(Path { giver, taker, edges, amount: lack(taker).min(spare(giver)) })
        })
    }

    /// The shards of which `measure` is not 0, the largest first.
    fn worst_first(&self, measure: impl Fn(ShardId) -> u64) -> Vec<ShardId> {
        let mut shards: Vec<_> = self.bounds.keys().copied().filter(|&shard| measure(shard) > 0).collect();
        shards.sort_by_key(|&shard| (Reverse(measure(shard)), shard));
        shards
    }

    /// All tokens that can be shifted, each in both directions where both can give.
    fn edges(&self, giving: Giving) -> Vec<Edge> {
        let mut counts: BTreeMap<ShardId, u64> = BTreeMap::new();
        for token in &self.tokens {
            *counts.entry(token.shard).or_default() += 1;
        }
        let kept = |shard: ShardId| {
            let at_least = if giving == Giving::Wholes { 1 } else { self.bounds[&shard].floor };
            u16::from(counts[&shard] <= at_least)
        };
        let all: Vec<_> = arcs(&self.tokens).collect();
        let pairs = all.windows(2).filter(|pair| pair[0].shard != pair[1].shard);
        let both = pairs.flat_map(|pair| {
            let (left, right) = (pair[0], pair[1]);
            let edge = |giver: super::Arc, taker: super::Arc, down| Edge {
                giver: giver.shard,
                taker: taker.shard,
                token: right.index,
                down,
                capacity: giver.len() - kept(giver.shard),
            };
            [edge(left, right, true), edge(right, left, false)]
        });
        both.filter(|edge| edge.capacity > 0).collect()
    }

    /// The fewest edges between `start` and a shard that is wanted; where several go between the same two shards,
    /// the one that can give most.
    fn shortest_path(
        &self,
        start: ShardId,
        giving: Giving,
        towards: Towards,
        wanted: impl Fn(ShardId) -> bool,
    ) -> Option<(ShardId, Vec<Edge>)> {
        let edges = self.edges(giving);
        let mut came_by: BTreeMap<ShardId, Option<Edge>> = BTreeMap::from([(start, None)]);
        let mut reached = vec![start];
        let mut next = 0;
        while let Some(&near) = reached.get(next) {
            next += 1;
            let ends = |edge: &Edge| match towards {
                Towards::Takers => (edge.giver, edge.taker),
                Towards::Givers => (edge.taker, edge.giver),
            };
            let mut leaving: Vec<_> = edges.iter().filter(|edge| ends(edge).0 == near).collect();
            leaving.sort_by_key(|edge| (Reverse(edge.capacity), edge.token));
            for edge in leaving {
                let far = ends(edge).1;
                if came_by.contains_key(&far) {
                    continue;
                }
                came_by.insert(far, Some(*edge));
                reached.push(far);
                if wanted(far) {
                    let mut path = Vec::new();
                    let mut at = far;
                    while let Some(edge) = came_by[&at] {
                        path.push(edge);
                        at = ends(&edge).0;
                    }
                    return Some((far, path));
                }
            }
        }
        None
    }

    /// Shifts the tokens of a path.
    fn apply(&mut self, path: &Path) {
        let amount = path.edges.iter().map(|edge| u64::from(edge.capacity)).fold(path.amount, u64::min);
        let shift = narrow(amount);
        for edge in &path.edges {
            let slot = &mut self.tokens[edge.token].slot;
            *slot = if edge.down { *slot - shift } else { *slot + shift };
        }
        // Where an arc was given whole, its token has met the next one, or the end of the circle.
        let kept: Vec<Token> = arcs(&self.tokens)
            .filter(|arc| arc.len() > 0)
            .map(|arc| Token { slot: arc.start, shard: arc.shard })
            .collect();
        self.tokens = kept;
        *self.slots.get_mut(&path.giver).expect("the giver is a member") -= amount;
        *self.slots.get_mut(&path.taker).expect("the taker is a member") += amount;
    }
}
