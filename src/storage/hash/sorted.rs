//! Sorted sets: the large form, and the read view of both forms.

use std::ops::Range;

use super::compact_zset;
use super::dense::{DenseTable, grown, hash_of, record_bytes};
use super::prefetch;
use super::ranking::{Items, Ranking};
use super::record::{self, Payload, Record};
use crate::storage::ScanCursor;
use crate::storage::zsets::{ScoreRule, VisitMember, ZaddOutcome, ZsetEdge, compare, partition_rank};
use crate::types::rng::Rng;

/// Average bytes that a member takes beside its record: a score and its share of the growth.
const SCORE_BYTES: usize = 9;

/// A sorted set with a table and an order of its own. It reports the encoding `skiplist`.
///
/// Members are records without a payload, in the order of their addition; scores stand beside them, at the same
/// positions, so that comparing scores reads nothing else.
pub(super) struct LargeZset {
    table: DenseTable,
    scores: Vec<f64>,
    ranking: Ranking,
    /// Approximate bytes of the members' records.
    bytes: usize,
}

impl LargeZset {
    /// An empty sorted set with room for `members` members.
    fn with_capacity(members: usize) -> Self {
        Self {
            table: DenseTable::with_capacity(members),
            scores: Vec::with_capacity(members),
            ranking: Ranking::new(),
            bytes: 0,
        }
    }

    /// The large form of members that are in order, none twice.
    pub(super) fn from_ordered<'m>(members: impl ExactSizeIterator<Item = (f64, &'m [u8])>) -> Self {
        let mut zset = Self::with_capacity(members.len());
        for (score, member) in members {
            zset.push(hash_of(member), member, score);
        }
        let positions: Vec<u32> = (0..zset.scores.len() as u32).collect();
        zset.ranking = Ranking::from_ordered(&positions, zset.items());
        zset
    }

    /// The large form of members in any order, which becomes the order of walks and random draws. `None` when one
    /// stands twice.
    pub(super) fn from_unordered<'m>(members: impl ExactSizeIterator<Item = (f64, &'m [u8])>) -> Option<Self> {
        let mut zset = Self::with_capacity(members.len());
        for (score, member) in members {
            let hash = hash_of(member);
            if zset.table.find(hash, member).is_some() {
                return None;
            }
            zset.push(hash, member, score);
        }
        let items = zset.items();
        let mut positions: Vec<u32> = (0..zset.scores.len() as u32).collect();
        let key = |position: u32| (items.score(position), items.member(position));
        positions.sort_unstable_by(|&a, &b| compare(key(a), key(b)));
        zset.ranking = Ranking::from_ordered(&positions, items);
        Some(zset)
    }

    /// The large form of a compact sorted set.
    pub(super) fn from_compact(bytes: &[u8]) -> Self {
        let members: Vec<(f64, &[u8])> = compact_zset::iter(bytes).collect();
        Self::from_ordered(members.into_iter())
    }

    /// Number of members.
    pub(super) fn len(&self) -> usize {
        self.scores.len()
    }

    /// Approximate bytes of all members.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + SCORE_BYTES * self.len() + Ranking::bytes(self.len())
    }

    /// The records by member.
    pub(super) fn table(&self) -> &DenseTable {
        &self.table
    }

    /// Members with their scores, in the order of their addition.
    pub(super) fn unordered(&self) -> impl Iterator<Item = (f64, &[u8])> {
        self.scores
            .iter()
            .zip(prefetch::walk(self.table.entries()))
            .map(|(&score, blob)| (score, Record::of(blob).key()))
    }

    fn items(&self) -> Items<'_> {
        Items { table: &self.table, scores: &self.scores }
    }

    /// Adds a member that is not there; the order does not know it yet.
    fn push(&mut self, hash: u64, member: &[u8], score: f64) {
        let blob = record::create(member, None, Payload::Bytes { bytes: b"", edited: false }, 0);
        self.bytes += record_bytes(&blob);
        self.table.push(hash, blob);
        if self.scores.len() == self.scores.capacity() {
            self.scores.reserve_exact(grown::<f64>(self.scores.len()) - self.scores.len());
        }
        self.scores.push(score);
    }

    /// Adds members in turn, or changes their scores, as the rule says.
    pub(super) fn add(&mut self, members: &[(&[u8], f64)], rule: ScoreRule, outcome: &mut ZaddOutcome) {
        for &(member, given) in members {
            let hash = hash_of(member);
            let position = self.table.find(hash, member);
            let old = position.map(|position| self.scores[position]);
            let Some(score) = outcome.note(old, rule.decide(old, given)) else { continue };
            match position {
                Some(position) => {
                    self.ranking.remove(Items { table: &self.table, scores: &self.scores }, position as u32);
                    self.scores[position] = score;
                }
                None => self.push(hash, member, score),
            }
            let position = position.unwrap_or(self.scores.len() - 1) as u32;
            self.ranking.insert(Items { table: &self.table, scores: &self.scores }, position);
        }
    }

    /// Removes a member; answers whether it was there.
    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        let hash = hash_of(member);
        let found = self.table.find(hash, member);
        if let Some(position) = found {
            self.remove_at(hash, position);
        }
        found.is_some()
    }

    /// Removes the member with a rank, after `visit` has seen it.
    pub(super) fn remove_nth(&mut self, rank: usize, visit: &mut dyn FnMut(&[u8], f64)) {
        let position = self.ranking.nth(rank).expect("the rank is below the length") as usize;
        let member = self.table.record(position).key();
        visit(member, self.scores[position]);
        self.remove_at(hash_of(member), position);
    }

    fn remove_at(&mut self, hash: u64, position: usize) {
        let last = self.scores.len() - 1;
        let items = Items { table: &self.table, scores: &self.scores };
        self.ranking.remove(items, position as u32);
        if position != last {
            self.ranking.rename(items, last as u32, position as u32);
        }
        self.bytes -= record_bytes(&self.table.swap_remove(hash, position));
        self.scores.swap_remove(position);
        if self.scores.len() < self.scores.capacity() / 4 {
            self.scores.shrink_to(grown::<f64>(self.scores.len()));
        }
    }
}

/// A read view of a sorted set in this engine.
#[derive(Clone, Copy)]
pub struct SortedSet<'a>(Form<'a>);

#[derive(Clone, Copy)]
enum Form<'a> {
    Compact(&'a [u8]),
    Large(&'a LargeZset),
}

impl<'a> SortedSet<'a> {
    pub(super) fn compact(bytes: &'a [u8]) -> Self {
        Self(Form::Compact(bytes))
    }

    pub(super) fn large(zset: &'a LargeZset) -> Self {
        Self(Form::Large(zset))
    }

    /// Whether it is kept compactly.
    pub fn is_compact(&self) -> bool {
        matches!(self.0, Form::Compact(_))
    }

    /// Number of members.
    pub fn len(&self) -> u64 {
        match self.0 {
            Form::Compact(bytes) => compact_zset::len(bytes) as u64,
            Form::Large(zset) => zset.len() as u64,
        }
    }

    /// Never true: empty sorted sets do not exist.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self.0 {
            Form::Compact(bytes) => compact_zset::score(bytes, member),
            Form::Large(zset) => zset.table.find(hash_of(member), member).map(|position| zset.scores[position]),
        }
    }

    /// Rank and score of a member.
    pub fn rank(&self, member: &[u8]) -> Option<(u64, f64)> {
        match self.0 {
            Form::Compact(bytes) => {
                let mut members = compact_zset::iter(bytes).enumerate();
                members.find(|(_, (_, other))| *other == member).map(|(rank, (score, _))| (rank as u64, score))
            }
            Form::Large(zset) => {
                let position = zset.table.find(hash_of(member), member)?;
                Some((zset.ranking.rank(zset.items(), position as u32) as u64, zset.scores[position]))
            }
        }
    }

    /// Number of members before a place.
    pub fn count_before(&self, edge: ZsetEdge<'_>) -> u64 {
        match self.0 {
            Form::Compact(bytes) => {
                let members: Vec<(f64, &[u8])> = compact_zset::iter(bytes).collect();
                partition_rank(members.len() as u64, |rank| {
                    let (score, member) = members[rank as usize];
                    edge.is_behind(score, || member)
                })
            }
            Form::Large(zset) => {
                let items = zset.items();
                let is_behind = |score, position| edge.is_behind(score, || items.member(position));
                let item = |rank: usize| zset.ranking.nth(rank).map_or((0.0, 0), |item| (items.score(item), item));
                let ordered = !matches!(edge, ZsetEdge::Lex { .. }) || item(0).0 == item(zset.len() - 1).0;
                if ordered {
                    zset.ranking.count_before(items, is_behind) as u64
                } else {
                    partition_rank(zset.len() as u64, |rank| {
                        let (score, position) = item(rank as usize);
                        is_behind(score, position)
                    })
                }
            }
        }
    }

    /// Visits the members with the ranks of a range, upwards or, when `reverse`, downwards.
    pub fn walk(&self, ranks: Range<u64>, reverse: bool, visit: &mut VisitMember<'_>) {
        let ranks = ranks.start as usize..ranks.end as usize;
        match self.0 {
            Form::Compact(bytes) => {
                let mut members = compact_zset::iter(bytes).take(ranks.end).skip(ranks.start);
                if reverse {
                    let members: Vec<(f64, &[u8])> = members.collect();
                    members.into_iter().rev().all(|(score, member)| visit(member, score));
                } else {
                    members.all(|(score, member)| visit(member, score));
                }
            }
            Form::Large(zset) => {
                let items = zset.items();
                zset.ranking.walk(ranks, reverse, &mut |position| visit(items.member(position), items.score(position)));
            }
        }
    }

    /// One step of `ZSCAN`. A large set is walked downwards through the order of addition, and the cursor is the
    /// position to go on below; a compact one is visited whole.
    pub fn scan(&self, cursor: ScanCursor, count: usize, visit: &mut VisitMember<'_>) -> ScanCursor {
        let Form::Large(zset) = self.0 else {
            self.walk(0..self.len(), false, visit);
            return ScanCursor::START;
        };
        let mut position = match cursor {
            ScanCursor::START => zset.len(),
            ScanCursor(below) => zset.len().min(usize::try_from(below).unwrap_or(usize::MAX)),
        };
        let mut left = count.max(1);
        while position > 0 && left > 0 {
            position -= 1;
            left -= 1;
            if !visit(zset.table.record(position).key(), zset.scores[position]) {
                break;
            }
        }
        ScanCursor(position as u64)
    }

    /// Visits one member chosen at random, each with the same chance.
    pub fn random(&self, rng: &mut Rng, visit: &mut VisitMember<'_>) {
        let chosen = rng.below(self.len()) as usize;
        match self.0 {
            Form::Compact(bytes) => {
                if let Some((score, member)) = compact_zset::iter(bytes).nth(chosen) {
                    visit(member, score);
                }
            }
            Form::Large(zset) => {
                visit(zset.table.record(chosen).key(), zset.scores[chosen]);
            }
        }
    }
}
