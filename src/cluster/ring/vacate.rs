//! Who gets the slots of a shard that is removed.
//!
//! Consecutive arcs of the removed shard are a gap between two arcs of others. Each gap is cut in two: the shard on its
//! left takes the slots before the cut, and the token on its right moves down to the cut. Only slots of the removed
//! shard move. The cuts are chosen one after the other so that the two shards beside the
//! gap are loaded equally, and again until none changes; as every step lowers the sum of
//! `slots² / weight`, which is convex, that ends with shares as even as cuts can make them.

use super::{Members, Slots, Token, arcs};
use crate::types::{SLOT_COUNT, ShardId};

/// Rounds of choosing all cuts; in practice the cuts settle in under ten.
const ROUNDS_MAX: usize = 32;

/// Slots without an owner.
struct Gap {
    start: u16,
    end: u16,
    /// None where the gap begins the circle.
    left: Option<ShardId>,
    /// None where the gap ends the circle.
    right: Option<ShardId>,
    /// Where the right one's slots begin.
    cut: u16,
}

/// The tokens without those of `shard`, which is no member any more.
pub(super) fn vacate(members: &Members, tokens: &[Token], shard: ShardId) -> Vec<Token> {
    if members.is_empty() {
        return Vec::new();
    }
    let mut slots = Slots::new();
    let mut gaps: Vec<Gap> = Vec::new();
    let mut left = None;
    for arc in arcs(tokens) {
        match gaps.last_mut() {
            Some(gap) if arc.shard == shard && gap.end == arc.start => gap.end = arc.end,
            _ if arc.shard == shard => {
                gaps.push(Gap { start: arc.start, end: arc.end, left, right: None, cut: arc.start });
            }
            last => {
                if let Some(gap) = last.filter(|gap| gap.end == arc.start) {
                    gap.right = Some(arc.shard);
                }
                *slots.entry(arc.shard).or_default() += u64::from(arc.len());
                left = Some(arc.shard);
            }
        }
    }
    choose_cuts(members, &mut slots, &mut gaps);
    let mut remaining: Vec<Token> = tokens.iter().copied().filter(|token| token.shard != shard).collect();
    for gap in gaps.iter().filter(|gap| gap.end < SLOT_COUNT) {
        let index = remaining.partition_point(|token| token.slot < gap.end);
        remaining[index].slot = gap.cut;
    }
    remaining
}

/// Chooses the cuts and counts the slots where they go.
fn choose_cuts(members: &Members, slots: &mut Slots, gaps: &mut [Gap]) {
    // A gap with the same shard on both sides, or at an end of the circle, leaves no choice.
    let (mut open, closed): (Vec<_>, Vec<_>) =
        gaps.iter_mut().partition(|gap| gap.left.zip(gap.right).is_some_and(|(left, right)| left != right));
    for gap in closed {
        gap.cut = if gap.left.is_some() { gap.end } else { gap.start };
        let owner = gap.left.or(gap.right).expect("a shard remains, so a gap has a neighbour");
        *slots.entry(owner).or_default() += u64::from(gap.end - gap.start);
    }
    open.sort_by_key(|gap| (std::cmp::Reverse(gap.end - gap.start), gap.start));
    for round in 0..ROUNDS_MAX {
        let mut changed = false;
        for gap in &mut open {
            let (Some(left), Some(right)) = (gap.left, gap.right) else { continue };
            let mut left_slots = slots[&left];
            let mut right_slots = slots[&right];
            if round > 0 {
                left_slots -= u64::from(gap.cut - gap.start);
                right_slots -= u64::from(gap.end - gap.cut);
            }
            let length = u64::from(gap.end - gap.start);
            let (left_weight, right_weight) = (u64::from(members[&left].weight), u64::from(members[&right].weight));
            // Equal loads: (left_slots + x) / left_weight = (right_slots + length - x) / right_weight.
            let sum_weight = left_weight + right_weight;
            let above = (left_weight * (right_slots + length)).saturating_sub(right_weight * left_slots);
            let to_left = ((above + sum_weight / 2) / sum_weight).min(length);
            let cut = gap.start + super::narrow(to_left);
            changed |= round == 0 || cut != gap.cut;
            gap.cut = cut;
            slots.insert(left, left_slots + to_left);
            slots.insert(right, right_slots + length - to_left);
        }
        if !changed {
            break;
        }
    }
}
