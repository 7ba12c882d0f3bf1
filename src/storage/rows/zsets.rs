//! Sorted sets as rows.
//!
//! Each member has an element row with its score, which answers ZSCORE and gives ZSCAN its order. Beside them a
//! counted tree has the members in order, as items `score member`, the score in eight bytes that sort as the numbers
//! do. What is asked by rank, score or member is a path through the tree, and a removal writes the nodes of
//! such a path: nothing iterates over places where rows were.
//!
//! Both zeros sort alike, so an item cannot tell which it is. The key's row notes whether the set may have a negative
//! one, and only then scores of zero are looked up. Behind the head of the tree it has a byte for that: 1 or 0.
//! As in Redis a set in the compact encoding has no negative zeros: they become zero.

use std::ops::Range;

use super::RowEngine;
use super::counted::{Counted, HEAD_BYTES, Order};
use super::format::{Meta, Shape, decode_element, element_body, element_row, element_value, elements_from};
use super::keys::Known;
use super::overlay::Merged;
use crate::storage::zsets::{ScoreRule, VisitMember, ZaddOutcome, ZsetEdge, ZsetEngine, ZsetRead, partition_rank};
use crate::storage::{Address, Kind, ScanCursor, StorageError, StorageResult};
use crate::types::UnixMs;
use crate::types::rng::Rng;

/// Sets of up to this many members that are removed whole are removed at once, not left to the sweep.
const REMOVED_AT_ONCE_MAX: u64 = 64;
/// Members whose rows are made before they are written.
const FILL_MEMBERS: usize = 4096;

const SIGN_BIT: u64 = 1 << 63;

/// A score as a number whose order is that of the scores.
fn score_key(score: f64) -> u64 {
    // Adding zero makes the two zeros one.
    let bits = (score + 0.0).to_bits();
    if bits & SIGN_BIT == 0 { bits | SIGN_BIT } else { !bits }
}

fn score_of_key(key: u64) -> f64 {
    f64::from_bits(if key & SIGN_BIT == 0 { !key } else { key & !SIGN_BIT })
}

fn item(score: f64, member: &[u8]) -> Vec<u8> {
    let mut item = Vec::with_capacity(8 + member.len());
    item.extend_from_slice(&score_key(score).to_be_bytes());
    item.extend_from_slice(member);
    item
}

fn split_item(item: &[u8]) -> StorageResult<(f64, &[u8])> {
    let (key, member) = item.split_first_chunk().ok_or_else(|| corrupt("an item that is cut off"))?;
    Ok((score_of_key(u64::from_be_bytes(*key)), member))
}

fn decode_score(bytes: &[u8]) -> StorageResult<f64> {
    let bytes = bytes.try_into().map_err(|_| corrupt("a score that has not eight bytes"))?;
    Ok(f64::from_be_bytes(bytes))
}

fn corrupt(detail: &str) -> StorageError {
    StorageError::Corrupt { what: "sorted set", detail: detail.to_owned() }
}

fn is_negative_zero(score: f64) -> bool {
    score == 0.0 && score.is_sign_negative()
}

/// What the row of a sorted set says.
#[derive(Clone, Copy)]
struct Head {
    tree: Counted,
    /// It left the compact encoding.
    big: bool,
    /// Whether a score may be a negative zero.
    negative_zeros: bool,
}

impl Head {
    fn of(meta: &Meta<'_>) -> StorageResult<Self> {
        if meta.shape != Shape::Zset {
            return Err(StorageError::WrongType);
        }
        let collection = meta.collection()?;
        let tree = Counted::decode(collection, &meta.body[16..], Order::Bytes)?;
        let negative_zeros = meta.body.get(16 + HEAD_BYTES) == Some(&1);
        Ok(Self { tree, big: meta.big, negative_zeros })
    }

    fn new(version: u64) -> Self {
        Self { tree: Counted::new(version, Order::Bytes), big: false, negative_zeros: false }
    }

    fn body(&self) -> Vec<u8> {
        let mut body = self.tree.body();
        body.push(u8::from(self.negative_zeros));
        body
    }
}

fn score_in(reads: &Merged<'_>, version: u64, member: &[u8]) -> StorageResult<Option<f64>> {
    reads.get_with(&element_row(version, member), |bytes| decode_score(element_body(member, bytes)?))
}

/// A read view of a sorted set kept as rows.
pub struct RowZset<'a> {
    reads: Merged<'a>,
    head: Head,
}

impl<'a> RowZset<'a> {
    fn new(reads: Merged<'a>, head: Head) -> Self {
        Self { reads, head }
    }

    /// Whether it is kept compactly.
    pub fn is_compact(&self) -> bool {
        !self.head.big
    }

    /// Number of members.
    pub fn len(&self) -> u64 {
        self.head.tree.len()
    }

    /// Never true: empty sorted sets do not exist.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn score(&self, member: &[u8]) -> StorageResult<Option<f64>> {
        score_in(&self.reads, self.head.tree.version(), member)
    }

    /// Rank and score of a member.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn rank(&self, member: &[u8]) -> StorageResult<Option<(u64, f64)>> {
        let Some(score) = self.score(member)? else { return Ok(None) };
        let (rank, found) = self.head.tree.rank(&self.reads, &item(score, member))?;
        if found { Ok(Some((rank, score))) } else { Err(corrupt("a member that is not in the order")) }
    }

    /// Number of members before a place.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn count_before(&self, edge: ZsetEdge<'_>) -> StorageResult<u64> {
        let bound = match edge {
            ZsetEdge::First => return Ok(0),
            ZsetEdge::Last => return Ok(self.len()),
            ZsetEdge::Score { score, after } => (score_key(score) + u64::from(after)).to_be_bytes().to_vec(),
            ZsetEdge::Lex { member, after } => {
                let lowest = self.score_of_rank(0)?;
                if lowest != self.score_of_rank(self.len() - 1)? {
                    return self.halve(edge);
                }
                let mut bound = item(lowest, member);
                if after {
                    bound.push(0);
                }
                bound
            }
        };
        Ok(self.head.tree.rank(&self.reads, &bound)?.0)
    }

    fn score_of_rank(&self, rank: u64) -> StorageResult<f64> {
        let score = self.head.tree.get(&self.reads, rank, |item| split_item(item).map(|(score, _)| score))?;
        Ok(score.transpose()?.unwrap_or(0.0))
    }

    /// The number of members before a place among members that are not ordered by it.
    fn halve(&self, edge: ZsetEdge<'_>) -> StorageResult<u64> {
        let mut failure = None;
        let before = partition_rank(self.len(), |rank| {
            let read = |item: &[u8]| split_item(item).map(|(score, member)| edge.is_behind(score, || member));
            match self.head.tree.get(&self.reads, rank, read) {
                Ok(Some(Ok(before))) => before,
                Ok(None) => false,
                Ok(Some(Err(error))) | Err(error) => {
                    failure = Some(error);
                    false
                }
            }
        });
        failure.map_or(Ok(before), Err)
    }

    /// Visits the members with the ranks of a range, upwards or, when `reverse`, downwards.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn walk(&self, ranks: Range<u64>, reverse: bool, visit: &mut VisitMember<'_>) -> StorageResult<()> {
        let mut left = ranks.end.min(self.len()).saturating_sub(ranks.start);
        if left == 0 {
            return Ok(());
        }
        let from = if reverse { ranks.start + left - 1 } else { ranks.start };
        self.head.tree.walk(&self.reads, from, reverse, &mut |item| {
            let (score, member) = split_item(item)?;
            left -= 1;
            Ok(visit(member, self.with_sign(score, member)?) && left > 0)
        })
    }

    /// The score of a member as it was given, which an item tells but for the sign of zeros.
    fn with_sign(&self, score: f64, member: &[u8]) -> StorageResult<f64> {
        if score == 0.0 && self.head.negative_zeros { Ok(self.score(member)?.unwrap_or(score)) } else { Ok(score) }
    }

    /// One step of `ZSCAN`. The cursor is one more than the hash to go on at; members of the same hash are visited
    /// in one step. A compact set is visited whole.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn scan(&self, cursor: ScanCursor, count: usize, visit: &mut VisitMember<'_>) -> StorageResult<ScanCursor> {
        if !self.head.big {
            if cursor == ScanCursor::START {
                self.walk(0..self.len(), false, visit)?;
            }
            return Ok(ScanCursor::START);
        }
        let Ok(from) = u32::try_from(cursor.0.saturating_sub(1)) else { return Ok(ScanCursor::START) };
        let mut next = ScanCursor::START;
        let (mut visited, mut last, mut stopped) = (0, None, false);
        self.reads.walk(&elements_from(self.head.tree.version(), from), &mut |row, bytes| {
            let (hash, member, score) = decode_element(row, bytes)?;
            if stopped || (visited >= count.max(1) && last != Some(hash)) {
                next = ScanCursor(u64::from(hash) + 1);
                return Ok(false);
            }
            visited += 1;
            last = Some(hash);
            stopped = !visit(member, decode_score(score)?);
            Ok(true)
        })?;
        Ok(next)
    }

    /// Visits one member chosen at random, each with the same chance.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn random(&self, rng: &mut Rng, visit: &mut VisitMember<'_>) -> StorageResult<()> {
        let rank = rng.below(self.len());
        self.walk(rank..rank + 1, false, visit)
    }
}

impl RowEngine {
    /// A sorted set that is to be changed, and the key that it is at: `None` in its place when it has to be made.
    fn zset_to_change(&mut self, at: Address<'_>, now: UnixMs) -> StorageResult<(Option<Known>, Option<Head>)> {
        let Some(known) = self.known(at)? else { return Ok((None, None)) };
        if !known.is_live(now) {
            return Ok((Some(known), None));
        }
        known.expect_kind(Kind::Zset)?;
        Ok((Some(known), self.read_key(&self.reads(), at, Head::of)?))
    }

    /// Puts a changed sorted set in the place of `old`; `kept` if it is the same one.
    fn put_head(
        &mut self,
        at: Address<'_>,
        old: Option<Known>,
        head: Head,
        expires_at: Option<UnixMs>,
    ) -> StorageResult<()> {
        let body = head.body();
        let meta = Meta { expires_at, big: head.big, ..Meta::new(Shape::Zset, at.key, &body) };
        self.replace(at, old, Some(&meta))
    }

    /// About how many bytes the order of a sorted set takes; see [`Counted::sampled_bytes`].
    pub(super) fn sampled_order_bytes(&self, at: Address<'_>, samples: usize, now: UnixMs) -> StorageResult<usize> {
        match self.zset(at, now)? {
            Some(ZsetRead::Rows(zset)) => zset.head.tree.sampled_bytes(&zset.reads, samples),
            _ => Ok(0),
        }
    }

    /// Gives a member a score, in place of the score `old` if it has one.
    fn set_score(&mut self, head: &mut Head, member: &[u8], old: Option<f64>, score: f64) -> StorageResult<()> {
        let mut nodes = self.nodes_mut();
        if let Some(old) = old {
            let (rank, found) = head.tree.rank(&nodes, &item(old, member))?;
            if !found {
                return Err(corrupt("a member that is not in the order"));
            }
            head.tree.remove(&mut nodes, &[rank..rank + 1])?;
        }
        head.tree.insert(&mut nodes, &item(score, member))?;
        drop(nodes);
        head.big |= old.is_none() && !self.is_small(member, head.tree.len());
        self.put_score(head, member, score);
        Ok(())
    }

    /// Whether a member leaves a set of so many members in the compact encoding.
    fn is_small(&self, member: &[u8], members: u64) -> bool {
        member.len() <= self.encoding.zset_max_listpack_value
            && members <= self.encoding.zset_max_listpack_entries as u64
    }

    /// Writes the element row of a member.
    fn put_score(&mut self, head: &mut Head, member: &[u8], score: f64) {
        // Adding zero makes a negative zero a positive one.
        let score = if head.big { score } else { score + 0.0 };
        head.negative_zeros |= is_negative_zero(score);
        let row = element_row(head.tree.version(), member);
        self.overlay.put(row, element_value(member, &score.to_be_bytes()));
    }

    /// Removes the members with the ranks of ranges, which are in order and apart, whose element rows are `rows`.
    fn remove_members(
        &mut self,
        at: Address<'_>,
        known: Known,
        mut head: Head,
        ranges: &[Range<u64>],
        rows: Vec<Vec<u8>>,
    ) -> StorageResult<()> {
        let removed = rows.len() as u64;
        if removed == 0 {
            return Ok(());
        }
        if removed == head.tree.len() && removed > REMOVED_AT_ONCE_MAX {
            return self.replace(at, Some(known), None);
        }
        head.tree.remove(&mut self.nodes_mut(), ranges)?;
        rows.into_iter().for_each(|row| self.overlay.remove(row));
        if head.tree.len() == 0 {
            // Nothing is left to sweep.
            let emptied = Known { collection: Some((head.tree.version(), 0)), ..known };
            return self.replace(at, Some(emptied), None);
        }
        self.put_head(at, Some(known), head, known.expires_at)
    }

    /// Removes a key that is there although it has expired.
    fn remove_if_expired(&mut self, at: Address<'_>, old: Option<Known>) -> StorageResult<()> {
        match old {
            Some(_) => self.replace(at, old, None),
            None => Ok(()),
        }
    }
}

/// Ranks as ranges that are in order and apart.
fn ranges_of(mut ranks: Vec<u64>) -> Vec<Range<u64>> {
    ranks.sort_unstable();
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for rank in ranks {
        match ranges.last_mut() {
            Some(last) if last.end == rank => last.end += 1,
            _ => ranges.push(rank..rank + 1),
        }
    }
    ranges
}

impl ZsetEngine for RowEngine {
    fn zset(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<ZsetRead<'_>>> {
        let reads = self.reads();
        let head = self.read_live(&reads, at, now, Head::of)?;
        Ok(head.map(|head| ZsetRead::Rows(RowZset::new(reads, head))))
    }

    fn zset_add(
        &mut self,
        at: Address<'_>,
        members: &[(&[u8], f64)],
        rule: ScoreRule,
        now: UnixMs,
    ) -> StorageResult<ZaddOutcome> {
        let (old, live) = self.zset_to_change(at, now)?;
        let mut outcome = ZaddOutcome::default();
        if live.is_none() && rule.only_present {
            self.remove_if_expired(at, old)?;
            return Ok(outcome);
        }
        let mut head = match live {
            Some(head) => head,
            None => Head::new(self.new_version()),
        };
        for &(member, given) in members {
            let score = score_in(&self.reads(), head.tree.version(), member)?;
            if let Some(new) = outcome.note(score, rule.decide(score, given)) {
                self.set_score(&mut head, member, score, new)?;
            }
        }
        if outcome.changed() > 0 {
            let expires_at = live.and(old).and_then(|known| known.expires_at);
            self.put_head(at, old, head, expires_at)?;
        }
        Ok(outcome)
    }

    fn zset_remove(&mut self, at: Address<'_>, members: &[&[u8]], now: UnixMs) -> StorageResult<u64> {
        let (old, live) = self.zset_to_change(at, now)?;
        let (Some(known), Some(head)) = (old, live) else {
            self.remove_if_expired(at, old)?;
            return Ok(0);
        };
        let mut members = members.to_vec();
        members.sort_unstable();
        members.dedup();
        let (mut ranks, mut rows) = (Vec::new(), Vec::new());
        let zset = RowZset::new(self.reads(), head);
        for member in members {
            if let Some((rank, _)) = zset.rank(member)? {
                ranks.push(rank);
                rows.push(element_row(head.tree.version(), member));
            }
        }
        drop(zset);
        let removed = rows.len() as u64;
        self.remove_members(at, known, head, &ranges_of(ranks), rows)?;
        Ok(removed)
    }

    fn zset_remove_range(
        &mut self,
        at: Address<'_>,
        ranks: Range<u64>,
        reverse: bool,
        now: UnixMs,
        removed: &mut dyn FnMut(&[u8], f64),
    ) -> StorageResult<u64> {
        let (old, live) = self.zset_to_change(at, now)?;
        let (Some(known), Some(head)) = (old, live) else {
            self.remove_if_expired(at, old)?;
            return Ok(0);
        };
        let ranks = ranks.start..ranks.end.min(head.tree.len());
        let mut rows = Vec::new();
        RowZset::new(self.reads(), head).walk(ranks.clone(), reverse, &mut |member, score| {
            removed(member, score);
            rows.push(element_row(head.tree.version(), member));
            true
        })?;
        let count = rows.len() as u64;
        self.remove_members(at, known, head, &[ranks], rows)?;
        Ok(count)
    }

    fn put_zset(
        &mut self,
        at: Address<'_>,
        members: Vec<(Vec<u8>, f64)>,
        expires_at: Option<UnixMs>,
    ) -> StorageResult<()> {
        let old = self.known(at)?;
        if members.is_empty() {
            return self.remove_if_expired(at, old);
        }
        let mut head = Head::new(self.new_version());
        head.big = !members.iter().all(|(member, _)| self.is_small(member, members.len() as u64));
        for part in members.chunks(FILL_MEMBERS) {
            let items: Vec<Vec<u8>> = part.iter().map(|(member, score)| item(*score, member)).collect();
            head.tree.fill(&mut self.nodes_mut(), items.iter().map(Vec::as_slice))?;
            for (member, score) in part {
                self.put_score(&mut head, member, *score);
            }
        }
        self.put_head(at, old, head, expires_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_sort_as_bytes() {
        let scores = [
            f64::NEG_INFINITY,
            f64::MIN,
            -1.5,
            -f64::MIN_POSITIVE,
            0.0,
            f64::MIN_POSITIVE,
            1.0,
            1.0 + f64::EPSILON,
            f64::MAX,
            f64::INFINITY,
        ];
        assert!(scores.windows(2).all(|pair| item(pair[0], b"z") < item(pair[1], b"a")));
        assert!(scores.iter().all(|&score| score_of_key(score_key(score)) == score));
        assert_eq!(score_key(-0.0), score_key(0.0));
        assert_eq!(split_item(&item(2.5, b"member")).unwrap(), (2.5, &b"member"[..]));
        assert!(score_key(f64::INFINITY) < u64::MAX, "the place behind it has a number");
    }

    #[test]
    fn ranks_become_ranges() {
        assert_eq!(ranges_of(vec![7, 1, 2, 4, 3]), [1..5, 7..8]);
        assert_eq!(ranges_of(Vec::new()), []);
    }
}
