//! Where the tokens of a new shard go: best of several candidates.
//!
//! The shards that own more than their weight says, once the new one counts, are the donors. For each virtual
//! node of the new shard the donor with the largest load gives one piece: of [`CANDIDATES`] of
//! its slots, drawn by XXH3 from shard, virtual node and candidate, the new token takes the one that
//! cuts off closest to what is wanted. What is wanted is an equal part of what the new
//! shard still lacks, but not so much that the donor would end below its own share.
//!
//! Plain consistent hashing, one hash per virtual node, leaves the largest of 8 shards with 64 virtual nodes at
//! about 1.2 times the mean. Choosing keeps what makes it worth having, few moves and short tables, and
//! repairs the shares: the power of several choices (Byers, Considine, Mitzenmacher: "Simple load
//! balancing for distributed hash tables", 2003), with the donor chosen by its load.
//!
//! All is computed in whole numbers, so that every machine gets the same.

use twox_hash::XxHash3_64;

use super::{Arc, Members, Slots, Token, arcs, narrow, slots_of, total_weight};
use crate::types::{SLOT_COUNT, ShardId};

/// Slots that each virtual node chooses from.
const CANDIDATES: u32 = 32;

/// A donor may end this part of its share below it, 1/32. More donors than tokens would
/// leave the new shard short otherwise.
const DONOR_SLACK_DIVISOR: i64 = 32;

/// The tokens with those of `shard`, which is a member and has none yet; none if no slot can be spared.
pub(super) fn place(members: &Members, tokens: &[Token], shard: ShardId) -> Option<Vec<Token>> {
    let mut placing = Placing {
        members,
        total_weight: total_weight(members),
        slots: slots_of(members, tokens),
        tokens: tokens.to_vec(),
        shard,
    };
    if tokens.is_empty() {
        placing.found();
    } else {
        placing.join();
    }
    placing.tokens.iter().any(|token| token.shard == shard).then_some(placing.tokens)
}

/// The candidate's draw.
fn draw(shard: ShardId, node: u32, candidate: u32) -> u64 {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&shard.0.to_le_bytes());
    bytes[4..8].copy_from_slice(&node.to_le_bytes());
    bytes[8..].copy_from_slice(&candidate.to_le_bytes());
    XxHash3_64::oneshot(&bytes)
}

/// Where weights differ, many tokens may go into relieving small donors of few slots each. A new shard
/// that still lacks over 1/32 of its share gets up to this many times its tokens.
const EXTRA_FACTOR: u32 = 3;
const EXTRA_LACK_DIVISOR: i64 = 32;

/// Of candidates equally close to what is wanted, to this part of it, 1/8, the longest arc is cut. That keeps arcs
/// even, which removals need: the slots of a long arc have only two neighbours to go to.
const CLOSENESS: u64 = 8;

/// A ring while a shard is added to it.
struct Placing<'a> {
    members: &'a Members,
    total_weight: u64,
    slots: Slots,
    tokens: Vec<Token>,
    shard: ShardId,
}

impl Placing<'_> {
    /// Places the first shard of the ring: each token but the one at slot 0 halves an arc as well as one
    /// of the candidates can, so that later shards find arcs of even lengths.
    fn found(&mut self) {
        let nodes = self.node_count();
        self.tokens.push(Token { slot: 0, shard: self.shard });
        for node in 1..nodes {
            let drawn = (0..CANDIDATES).map(|candidate| draw(self.shard, node, candidate) % u64::from(SLOT_COUNT));
            let cut = |slot: u16| {
                let index = self.tokens.partition_point(|token| token.slot <= slot);
                let end = self.tokens.get(index).map_or(SLOT_COUNT, |token| token.slot);
                (u16::min(end - slot, slot - self.tokens[index - 1].slot), index, slot)
            };
            let (shorter, index, slot) =
                drawn.map(|slot| cut(narrow(slot))).max().expect("there is at least one candidate");
            if shorter > 0 {
                self.tokens.insert(index, Token { slot, shard: self.shard });
            }
        }
    }

    /// Places a shard beside others.
    fn join(&mut self) {
        let target = self.target(self.shard).max(1);
        let nodes = self.node_count();
        let mut weights = self.members.values().map(|member| member.weight);
        let same_weight = weights.next().is_some_and(|first| weights.all(|weight| weight == first));
        let nodes_max = if same_weight { nodes } else { nodes * EXTRA_FACTOR };
        for node in 0..nodes_max {
            let lacking = target - self.slots[&self.shard].cast_signed();
            let enough = if node < nodes { 0 } else { target / EXTRA_LACK_DIVISOR };
            if lacking <= enough {
                break;
            }
            let nodes_left = i64::from(if node < nodes { nodes - node } else { nodes_max - node });
            let piece = ((lacking + nodes_left / 2) / nodes_left).max(1);
            // A donor of single slots only cannot give; then the next one does.
            if !self.donors().into_iter().any(|donor| self.take(donor, node, piece)) {
                break;
            }
        }
    }

    /// Number of tokens the new shard gets.
    fn node_count(&self) -> u32 {
        let member = &self.members[&self.shard];
        let by_weight = u64::from(member.virtual_nodes) * u64::from(member.weight) * self.members.len() as u64;
        let wanted = by_weight.div_ceil(self.total_weight).max(u64::from(member.virtual_nodes));
        let at_most = u64::try_from(self.target(self.shard)).unwrap_or(0).max(1);
        u32::from(narrow(wanted.min(at_most)))
    }

    /// The slots that a shard's weight asks for, rounded to the nearest.
    fn target(&self, shard: ShardId) -> i64 {
        let weighted = u64::from(self.members[&shard].weight) * u64::from(SLOT_COUNT);
        ((weighted + self.total_weight / 2) / self.total_weight).cast_signed()
    }

    /// What a shard owns above its target, times the total weight.
    fn excess(&self, shard: ShardId) -> i64 {
        let weighted = u64::from(self.members[&shard].weight) * u64::from(SLOT_COUNT);
        (self.slots[&shard] * self.total_weight).cast_signed() - weighted.cast_signed()
    }

    /// The other shards, those that should give first: shards with at least a slot too much, the largest load first;
    /// then the rest, the largest excess first.
    fn donors(&self) -> Vec<ShardId> {
        let mut donors: Vec<_> = self.members.keys().copied().filter(|&shard| shard != self.shard).collect();
        let has_slot_too_much = |shard| self.excess(shard) >= self.total_weight.cast_signed();
        let weight = |shard: ShardId| u64::from(self.members[&shard].weight);
        donors.sort_by(|&a, &b| {
            let clear = (has_slot_too_much(a), has_slot_too_much(b));
            let order = match clear {
                (true, true) => (self.slots[&b] * weight(a)).cmp(&(self.slots[&a] * weight(b))),
                (false, false) => self.excess(b).cmp(&self.excess(a)),
                (a_has, b_has) => b_has.cmp(&a_has),
            };
            order.then(a.cmp(&b))
        });
        donors
    }

    /// Gives the new shard a token that takes about `piece` slots from the donor; false if it has none to spare.
    fn take(&mut self, donor: ShardId, node: u32, piece: i64) -> bool {
        let arcs: Vec<Arc> = arcs(&self.tokens).filter(|arc| arc.shard == donor).collect();
        // Where a donor has more tokens than it should have slots, or no arc to cut, tokens change hands whole.
        let token_count = arcs.len() as u64;
        let too_many = token_count.cast_signed() > self.target(donor) || token_count == self.slots[&donor];
        let may_take_whole = token_count > 1 && too_many;
        // A cut leaves the donor as many arcs as before, so each must lose its part of the excess.
        let excess = self.excess(donor) / self.total_weight.cast_signed();
        let at_most = (excess + self.target(donor) / DONOR_SLACK_DIVISOR).max(1);
        let wanted = piece.max(excess / token_count.cast_signed()).min(at_most);
        let drawn = (0..CANDIDATES).map(|candidate| {
            let mut at = draw(self.shard, node, candidate) % self.slots[&donor];
            let holds = |arc: &&Arc| match at.checked_sub(u64::from(arc.len())) {
                Some(beyond) => {
                    at = beyond;
                    false
                }
                None => true,
            };
            let arc = *arcs.iter().find(holds).expect("the draw is below the sum of the arcs");
            (arc, arc.start + narrow(at))
        });
        let possible = drawn.filter(|(arc, slot)| may_take_whole || *slot > arc.start);
        let rank = |(arc, slot): &(Arc, u16)| {
            let distance = i64::from(arc.end - slot).abs_diff(wanted);
            let about = distance * CLOSENESS / wanted.cast_unsigned();
            (about, std::cmp::Reverse(arc.len()), distance, *slot)
        };
        let best = possible.min_by_key(rank).or_else(|| {
            let longest = *arcs.iter().max_by_key(|arc| arc.len())?;
            let at_most = if may_take_whole { longest.len() } else { longest.len() - 1 };
            let taken = u16::min(at_most, u16::try_from(wanted).unwrap_or(u16::MAX));
            (taken > 0).then_some((longest, longest.end - taken))
        });
        let Some((arc, slot)) = best else { return false };
        let token = Token { slot, shard: self.shard };
        if slot == arc.start {
            self.tokens[arc.index] = token;
        } else {
            self.tokens.insert(arc.index + 1, token);
        }
        let taken = u64::from(arc.end - slot);
        *self.slots.get_mut(&donor).expect("a donor is a member") -= taken;
        *self.slots.get_mut(&self.shard).expect("the new shard is a member") += taken;
        true
    }
}
