//! Items of a collection as several commands treat them alike: the fields of hashes, the members of sets and sorted sets.

use crate::resp::{Protocol, Reply};
use crate::storage::{HashRead, ScanCursor, SetRead, StorageResult, ZsetRead};
use crate::types::rng::Rng;

/// What belongs to an item's name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Companion<'c> {
    /// A member of a set is alone.
    None,
    /// The value of a field.
    Value(&'c [u8]),
    /// The score of a member.
    Score(f64),
    /// The score of a member in a step of ZSCAN, where it is written by all its digits.
    Whole(i64),
}

/// Called with an item; answers whether to go on.
pub(super) type VisitItem<'v> = dyn FnMut(&[u8], Companion<'_>) -> bool + 'v;

/// A collection whose items have names, each another one.
pub(super) trait Items {
    /// Number of items.
    fn count(&self) -> StorageResult<u64>;
    /// Visits every item, in an order that depends only on the history of writes.
    fn each(&self, visit: &mut VisitItem<'_>) -> StorageResult<()>;
    /// Visits one item chosen at random, each with the same chance (as nearly as the engine can); there must be one.
    fn draw(&self, rng: &mut Rng, visit: &mut VisitItem<'_>) -> StorageResult<()>;
    /// One step of HSCAN and its like.
    fn step(&self, cursor: ScanCursor, count: usize, visit: &mut VisitItem<'_>) -> StorageResult<ScanCursor>;
}

impl Items for HashRead<'_> {
    fn count(&self) -> StorageResult<u64> {
        self.live_len()
    }

    fn each(&self, visit: &mut VisitItem<'_>) -> StorageResult<()> {
        self.for_each(&mut |field, value| visit(field, Companion::Value(value)))
    }

    fn draw(&self, rng: &mut Rng, visit: &mut VisitItem<'_>) -> StorageResult<()> {
        self.random(rng, &mut |field, value| visit(field, Companion::Value(value)))
    }

    fn step(&self, cursor: ScanCursor, count: usize, visit: &mut VisitItem<'_>) -> StorageResult<ScanCursor> {
        self.scan(cursor, count, &mut |field, value| visit(field, Companion::Value(value)))
    }
}

impl Items for SetRead<'_> {
    fn count(&self) -> StorageResult<u64> {
        Ok(self.len())
    }

    fn each(&self, visit: &mut VisitItem<'_>) -> StorageResult<()> {
        self.for_each(&mut |member| visit(member, Companion::None))
    }

    fn draw(&self, rng: &mut Rng, visit: &mut VisitItem<'_>) -> StorageResult<()> {
        self.random(rng, &mut |member| {
            visit(member, Companion::None);
        })
    }

    fn step(&self, cursor: ScanCursor, count: usize, visit: &mut VisitItem<'_>) -> StorageResult<ScanCursor> {
        self.scan(cursor, count, &mut |member| visit(member, Companion::None))
    }
}

impl Items for ZsetRead<'_> {
    fn count(&self) -> StorageResult<u64> {
        Ok(self.len())
    }

    fn each(&self, visit: &mut VisitItem<'_>) -> StorageResult<()> {
        self.walk(0..self.len(), false, &mut |member, score| visit(member, Companion::Score(score)))
    }

    fn draw(&self, rng: &mut Rng, visit: &mut VisitItem<'_>) -> StorageResult<()> {
        self.random(rng, &mut |member, score| visit(member, Companion::Score(score)))
    }

    fn step(&self, cursor: ScanCursor, count: usize, visit: &mut VisitItem<'_>) -> StorageResult<ScanCursor> {
        let compact = self.is_compact();
        self.scan(cursor, count, &mut |member, score| {
            let whole = listpack_integer(score).filter(|_| compact);
            visit(member, whole.map_or(Companion::Score(score), Companion::Whole))
        })
    }
}

/// The integer that Redis's listpacks have for a score (`double2ll` of its `util.c`). ZSCAN answers what is in the
/// listpack of a small sorted set; all other commands make a double of it first, and write large ones with an exponent.
fn listpack_integer(score: f64) -> Option<i64> {
    const MAX: f64 = (1u64 << 62) as f64;
    (score.abs() <= MAX && score.trunc() == score).then_some(score as i64)
}

/// Replies with names, or with names and what belongs to them: in RESP3 pair by pair, in RESP2 flat.
pub(super) struct Pairs<'r, 'b> {
    pub(super) reply: &'r mut Reply<'b>,
    pub(super) with_companions: bool,
}

impl Pairs<'_, '_> {
    /// Announces so many items.
    pub(super) fn begin(&mut self, count: usize) {
        let flat = self.with_companions && self.reply.protocol() == Protocol::Resp2;
        self.reply.array(if flat { count * 2 } else { count });
    }

    /// The next item.
    pub(super) fn push(&mut self, name: &[u8], companion: Companion<'_>) {
        if self.with_companions && self.reply.protocol() == Protocol::Resp3 {
            self.reply.array(2);
        }
        self.reply.bulk(name);
        match companion {
            Companion::Value(value) if self.with_companions => self.reply.bulk(value),
            Companion::Score(score) if self.with_companions => self.reply.double(score),
            _ => {}
        }
    }
}
