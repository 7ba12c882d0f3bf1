//! Sorted sets as commands see them: what every engine does with them.
//!
//! Members are in order of their scores, those with the same score in order of their bytes. The *rank* of a
//! member is the number of those before it. All ranges are ranges of ranks: a command that speaks of scores or
//! of members first asks [`ZsetRead::count_before`] where they begin and end.

use std::cmp::Ordering;
use std::ops::Range;

use super::{Address, Object, ScanCursor, StorageResult};
use super::{hash::SortedSet, rows::RowZset};
use crate::types::UnixMs;
use crate::types::rng::Rng;

/// Called with a member and its score; answers whether to go on.
pub type VisitMember<'v> = dyn FnMut(&[u8], f64) -> bool + 'v;

/// The order of a sorted set. The two zeros are equal, and no score is a NaN.
#[inline]
pub fn compare(a: (f64, &[u8]), b: (f64, &[u8])) -> Ordering {
    a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal).then_with(|| a.1.cmp(b.1))
}

/// A place between members.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ZsetEdge<'a> {
    /// Before all members.
    First,
    /// Behind all members.
    Last,
    /// Before the members with a score or, when `after`, behind them.
    Score {
        /// The score.
        score: f64,
        /// Whether the place is behind the members with it.
        after: bool,
    },
    /// Before the place of a member or, when `after`, behind it, where all scores are equal. Where they are not, it is
    /// the place that `partition_rank` finds among the members: the right one if they are in order.
    Lex {
        /// The member, which need not be there.
        member: &'a [u8],
        /// Whether the place is behind it.
        after: bool,
    },
}

impl ZsetEdge<'_> {
    /// Whether a member is before this place.
    #[inline]
    pub(super) fn is_behind<'m>(self, score: f64, member: impl Fn() -> &'m [u8]) -> bool {
        match self {
            Self::First => false,
            Self::Last => true,
            Self::Score { score: edge, after } => score < edge || (after && score == edge),
            Self::Lex { member: edge, after } => {
                let order = member().cmp(edge);
                if after { order.is_le() } else { order.is_lt() }
            }
        }
    }
}

/// The rank before which `is_before` holds, found by halving. Which one it is when it holds here and there depends on
/// the ranks alone, so that replicas agree however they keep the set.
pub(super) fn partition_rank(len: u64, mut is_before: impl FnMut(u64) -> bool) -> u64 {
    let (mut from, mut to) = (0, len);
    while from < to {
        let middle = from + (to - from) / 2;
        if is_before(middle) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    from
}

/// What ZADD does with a member, by its options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScoreRule {
    /// `NX`: members that are there stay as they are.
    pub only_new: bool,
    /// `XX`: no members are added.
    pub only_present: bool,
    /// `GT`: scores that are there only grow.
    pub only_greater: bool,
    /// `LT`: scores that are there only shrink.
    pub only_less: bool,
    /// `INCR`: the score is added to the one that is there.
    pub increment: bool,
}

/// What becomes of a member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// The rule leaves it as it is.
    Keep,
    /// It gets this score, which may be the one it has.
    Set(f64),
    /// The sum is not a number.
    NotANumber,
}

impl ScoreRule {
    /// What a member gets that has the score `old`, or is not there, for the score `given`.
    pub fn decide(self, old: Option<f64>, given: f64) -> Verdict {
        let Some(old) = old else {
            return if self.only_present { Verdict::Keep } else { Verdict::Set(given) };
        };
        if self.only_new {
            return Verdict::Keep;
        }
        let new = if self.increment { old + given } else { given };
        if new.is_nan() {
            Verdict::NotANumber
        } else if (self.only_less && new >= old) || (self.only_greater && new <= old) {
            Verdict::Keep
        } else {
            Verdict::Set(new)
        }
    }
}

/// What adding members did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ZaddOutcome {
    /// Members that are new.
    pub added: u64,
    /// Members that were there and have another score now.
    pub updated: u64,
    /// The score that the last member got, if the rule let it have one.
    pub score: Option<f64>,
    /// Whether a sum was not a number; nothing was changed from there on.
    pub not_a_number: bool,
}

impl ZaddOutcome {
    /// Notes the verdict on a member that has the score `old`. Answers the score to set, if that changes anything.
    pub(super) fn note(&mut self, old: Option<f64>, verdict: Verdict) -> Option<f64> {
        self.score = None;
        match (verdict, old) {
            (Verdict::Keep, _) => None,
            (Verdict::NotANumber, _) => {
                self.not_a_number = true;
                None
            }
            (Verdict::Set(score), None) => {
                self.added += 1;
                self.score = Some(score);
                Some(score)
            }
            (Verdict::Set(score), Some(old)) => {
                self.score = Some(score);
                self.updated += u64::from(score != old);
                (score != old).then_some(score)
            }
        }
    }

    /// Number of members that were added or got another score.
    pub fn changed(&self) -> u64 {
        self.added + self.updated
    }
}

/// The operations of sorted sets; part of [`super::Engine`].
pub trait ZsetEngine {
    /// A read view of the sorted set at a key; `WrongType` when it holds another kind.
    fn zset(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<ZsetRead<'_>>>;
    /// The whole value of a key that is known to hold this kind.
    fn zset_object(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<Object>> {
        let Some(zset) = self.zset(at, now)? else { return Ok(None) };
        let mut members = Vec::with_capacity(zset.len() as usize);
        zset.walk(0..zset.len(), false, &mut |member, score| {
            members.push((member.to_vec(), score));
            true
        })?;
        Ok(Some(Object::Zset(members)))
    }
    /// Adds members in turn, or changes their scores, as the rule says; creates the set with its first member.
    /// No score is a NaN.
    fn zset_add(
        &mut self,
        at: Address<'_>,
        members: &[(&[u8], f64)],
        rule: ScoreRule,
        now: UnixMs,
    ) -> StorageResult<ZaddOutcome>;
    /// Removes members, and the key with the last one; answers how many were there.
    fn zset_remove(&mut self, at: Address<'_>, members: &[&[u8]], now: UnixMs) -> StorageResult<u64>;
    /// Removes the members with the ranks of a range, and the key with the last one. Reports each, upwards or, when
    /// `reverse`, downwards.
    fn zset_remove_range(
        &mut self,
        at: Address<'_>,
        ranks: Range<u64>,
        reverse: bool,
        now: UnixMs,
        removed: &mut dyn FnMut(&[u8], f64),
    ) -> StorageResult<u64>;
    /// Creates or replaces a key with the whole value: members in order, none twice, no score a NaN. No members
    /// are no key.
    fn put_zset(
        &mut self,
        at: Address<'_>,
        members: Vec<(Vec<u8>, f64)>,
        expires_at: Option<UnixMs>,
    ) -> StorageResult<()>;
}

/// A read view of one sorted set.
pub enum ZsetRead<'a> {
    /// In the hash engine.
    Native(SortedSet<'a>),
    /// As rows.
    Rows(RowZset<'a>),
}

impl ZsetRead<'_> {
    /// Number of members.
    pub fn len(&self) -> u64 {
        match self {
            Self::Native(zset) => zset.len(),
            Self::Rows(zset) => zset.len(),
        }
    }

    /// Never true: empty sorted sets do not exist.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is kept compactly: as a listpack, in Redis's words.
    pub fn is_compact(&self) -> bool {
        match self {
            Self::Native(zset) => zset.is_compact(),
            Self::Rows(zset) => zset.is_compact(),
        }
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> StorageResult<Option<f64>> {
        match self {
            Self::Native(zset) => Ok(zset.score(member)),
            Self::Rows(zset) => zset.score(member),
        }
    }

    /// Rank and score of a member.
    pub fn rank(&self, member: &[u8]) -> StorageResult<Option<(u64, f64)>> {
        match self {
            Self::Native(zset) => Ok(zset.rank(member)),
            Self::Rows(zset) => zset.rank(member),
        }
    }

    /// Number of members before a place: the rank of the first one behind it.
    pub fn count_before(&self, edge: ZsetEdge<'_>) -> StorageResult<u64> {
        match self {
            Self::Native(zset) => Ok(zset.count_before(edge)),
            Self::Rows(zset) => zset.count_before(edge),
        }
    }

    /// The ranks between two places; empty when the second is not behind the first.
    pub fn ranks(&self, from: ZsetEdge<'_>, to: ZsetEdge<'_>) -> StorageResult<Range<u64>> {
        let end = self.count_before(to)?;
        Ok(self.count_before(from)?.min(end)..end)
    }

    /// Visits the members with the ranks of a range, upwards or, when `reverse`, downwards.
    pub fn walk(&self, ranks: Range<u64>, reverse: bool, visit: &mut VisitMember<'_>) -> StorageResult<()> {
        let ranks = ranks.start..ranks.end.min(self.len());
        if ranks.is_empty() {
            return Ok(());
        }
        match self {
            Self::Native(zset) => {
                zset.walk(ranks, reverse, visit);
                Ok(())
            }
            Self::Rows(zset) => zset.walk(ranks, reverse, visit),
        }
    }

    /// One step of `ZSCAN`, with the guarantees of [`super::Engine::scan`]. A compact set is visited whole in
    /// one step.
    pub fn scan(&self, cursor: ScanCursor, count: usize, visit: &mut VisitMember<'_>) -> StorageResult<ScanCursor> {
        match self {
            Self::Native(zset) => Ok(zset.scan(cursor, count, visit)),
            Self::Rows(zset) => zset.scan(cursor, count, visit),
        }
    }

    /// Visits one member chosen at random, each with the same chance.
    pub fn random(&self, rng: &mut Rng, visit: &mut VisitMember<'_>) -> StorageResult<()> {
        match self {
            Self::Native(zset) => {
                zset.random(rng, visit);
                Ok(())
            }
            Self::Rows(zset) => zset.random(rng, visit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_decide_as_redis_does() {
        let plain = ScoreRule::default();
        assert_eq!(plain.decide(None, 1.0), Verdict::Set(1.0));
        assert_eq!(plain.decide(Some(2.0), 1.0), Verdict::Set(1.0));
        let nx = ScoreRule { only_new: true, ..plain };
        assert_eq!(nx.decide(Some(2.0), 1.0), Verdict::Keep);
        let xx = ScoreRule { only_present: true, ..plain };
        assert_eq!(xx.decide(None, 1.0), Verdict::Keep);
        let gt = ScoreRule { only_greater: true, increment: true, ..plain };
        assert_eq!(gt.decide(Some(2.0), -1.0), Verdict::Keep);
        assert_eq!(gt.decide(Some(2.0), 1.0), Verdict::Set(3.0));
        assert_eq!(gt.decide(None, -1.0), Verdict::Set(-1.0));
        let incr = ScoreRule { increment: true, ..plain };
        assert_eq!(incr.decide(Some(f64::INFINITY), f64::NEG_INFINITY), Verdict::NotANumber);
        let lt = ScoreRule { only_less: true, ..plain };
        assert_eq!(lt.decide(Some(2.0), 2.0), Verdict::Keep);
    }

    #[test]
    fn outcomes_count() {
        let mut outcome = ZaddOutcome::default();
        assert_eq!(outcome.note(None, Verdict::Set(1.0)), Some(1.0));
        assert_eq!(outcome.note(Some(1.0), Verdict::Set(1.0)), None);
        assert_eq!((outcome.added, outcome.updated, outcome.score), (1, 0, Some(1.0)));
        assert_eq!(outcome.note(Some(1.0), Verdict::Set(2.0)), Some(2.0));
        assert_eq!(outcome.note(Some(1.0), Verdict::Keep), None);
        assert_eq!((outcome.changed(), outcome.score), (2, None));
    }
}
