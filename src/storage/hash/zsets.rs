//! Sorted sets in memory: writes, in both their forms.

use std::ops::Range;

use super::database::{Database, NewValue};
use super::dense::hash_of;
use super::record::Payload;
use super::slot_table::Large;
use super::sorted::LargeZset;
use super::{HashEngine, clock_of, compact_zset, database_mut};
use crate::storage::zsets::{ScoreRule, ZaddOutcome, ZsetEngine, ZsetRead};
use crate::storage::{Address, EncodingSettings, StorageError, StorageResult};
use crate::types::UnixMs;

impl ZsetEngine for HashEngine {
    fn zset(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<ZsetRead<'_>>> {
        Ok(self.sorted_set(at, now)?.map(ZsetRead::Native))
    }

    fn zset_add(
        &mut self,
        at: Address<'_>,
        members: &[(&[u8], f64)],
        rule: ScoreRule,
        now: UnixMs,
    ) -> StorageResult<ZaddOutcome> {
        let hash = hash_of(at.key);
        let position = self.live_position(at, hash, now);
        let clock = clock_of(now);
        self.clock = clock;
        let Self { databases, encoding, scratch, .. } = self;
        let database = database_mut(databases, at.db);
        let mut outcome = ZaddOutcome::default();
        let mut expires_at = None;
        match position {
            None => compact_zset::clear(scratch),
            Some(position) => {
                let record = database.record(at.slot, position);
                expires_at = record.expires_at();
                match record.payload() {
                    Payload::Zset(bytes) => {
                        scratch.clear();
                        scratch.extend_from_slice(bytes);
                    }
                    Payload::Large(index) if is_zset(database, at, index) => {
                        database.change_large(at.slot, position, index, clock, |large| {
                            zset_of(large).add(members, rule, &mut outcome);
                        });
                        return Ok(outcome);
                    }
                    _ => return Err(StorageError::WrongType),
                }
            }
        }
        for (index, &(member, given)) in members.iter().enumerate() {
            let old = compact_zset::score(scratch, member);
            // A member that may break a threshold is left to the large form, which takes all the rest.
            let full = compact_zset::len(scratch) >= encoding.zset_max_listpack_entries;
            if old.is_none() && !rule.only_present && (full || !fits(encoding, member)) {
                let mut large = LargeZset::from_compact(scratch);
                large.add(&members[index..], rule, &mut outcome);
                let value = NewValue::Large(Large::Zset(Box::new(large)));
                database.put((at.slot, hash, at.key), position, expires_at, value, clock);
                return Ok(outcome);
            }
            if let Some(score) = outcome.note(old, rule.decide(old, given)) {
                compact_zset::set(scratch, score, member);
            }
        }
        if outcome.changed() > 0 {
            let value = NewValue::Inline(Payload::Zset(scratch));
            database.put((at.slot, hash, at.key), position, expires_at, value, clock);
        }
        Ok(outcome)
    }

    fn zset_remove(&mut self, at: Address<'_>, members: &[&[u8]], now: UnixMs) -> StorageResult<u64> {
        self.shrink_zset(
            at,
            now,
            |compact| members.iter().filter(|member| compact_zset::remove(compact, member)).count(),
            |zset| members.iter().filter(|member| zset.remove(member)).count(),
        )
    }

    fn zset_remove_range(
        &mut self,
        at: Address<'_>,
        ranks: Range<u64>,
        reverse: bool,
        now: UnixMs,
        removed: &mut dyn FnMut(&[u8], f64),
    ) -> StorageResult<u64> {
        // Only one of the two closures is called.
        let removed = std::cell::RefCell::new(removed);
        let wanted = |len: usize| ranks.start.min(len as u64) as usize..ranks.end.min(len as u64) as usize;
        self.shrink_zset(
            at,
            now,
            |compact| {
                let ranks = wanted(compact_zset::len(compact));
                let members: Vec<(f64, Vec<u8>)> = compact_zset::iter(compact)
                    .take(ranks.end)
                    .skip(ranks.start)
                    .map(|(score, member)| (score, member.to_vec()))
                    .collect();
                let mut report = |(score, member): &(f64, Vec<u8>)| {
                    compact_zset::remove(compact, member);
                    removed.borrow_mut()(member, *score);
                };
                if reverse {
                    members.iter().rev().for_each(&mut report)
                } else {
                    members.iter().for_each(&mut report)
                }
                members.len()
            },
            |zset| {
                let ranks = wanted(zset.len());
                let count = ranks.len();
                for done in 0..count {
                    let rank = if reverse { ranks.end - 1 - done } else { ranks.start };
                    zset.remove_nth(rank, &mut **removed.borrow_mut());
                }
                count
            },
        )
    }

    fn put_zset(
        &mut self,
        at: Address<'_>,
        members: Vec<(Vec<u8>, f64)>,
        expires_at: Option<UnixMs>,
    ) -> StorageResult<()> {
        let hash = hash_of(at.key);
        let Self { databases, encoding, scratch, clock, .. } = self;
        let database = database_mut(databases, at.db);
        let position = database.find(at.slot, hash, at.key);
        if members.is_empty() {
            if let Some(position) = position {
                database.remove(at.slot, hash, position);
            }
            return Ok(());
        }
        let small = members.len() <= encoding.zset_max_listpack_entries
            && members.iter().all(|(member, _)| fits(encoding, member));
        let value = if small {
            compact_zset::clear(scratch);
            members.iter().for_each(|(member, score)| compact_zset::append(scratch, *score, member));
            NewValue::Inline(Payload::Zset(scratch))
        } else {
            let members = members.iter().map(|(member, score)| (*score, &member[..]));
            NewValue::Large(Large::Zset(Box::new(LargeZset::from_ordered(members))))
        };
        database.put((at.slot, hash, at.key), position, expires_at, value, *clock);
        Ok(())
    }
}

impl HashEngine {
    /// Removes members by the closure for the form that a sorted set has, and the key with the last member. Answers
    /// what the closure says it removed.
    fn shrink_zset(
        &mut self,
        at: Address<'_>,
        now: UnixMs,
        compact: impl FnOnce(&mut Vec<u8>) -> usize,
        large: impl FnOnce(&mut LargeZset) -> usize,
    ) -> StorageResult<u64> {
        let hash = hash_of(at.key);
        let Some(position) = self.live_position(at, hash, now) else { return Ok(0) };
        let clock = clock_of(now);
        self.clock = clock;
        let Self { databases, scratch, .. } = self;
        let database = database_mut(databases, at.db);
        let record = database.record(at.slot, position);
        let removed;
        let left;
        match record.payload() {
            Payload::Zset(bytes) => {
                scratch.clear();
                scratch.extend_from_slice(bytes);
                removed = compact(scratch);
                left = compact_zset::len(scratch);
                if removed > 0 && left > 0 {
                    let expires_at = record.expires_at();
                    let value = NewValue::Inline(Payload::Zset(scratch));
                    database.put((at.slot, hash, at.key), Some(position), expires_at, value, clock);
                }
            }
            Payload::Large(index) if is_zset(database, at, index) => {
                (removed, left) = database.change_large(at.slot, position, index, clock, |value| {
                    let zset = zset_of(value);
                    (large(zset), zset.len())
                });
            }
            _ => return Err(StorageError::WrongType),
        }
        if left == 0 {
            database.remove(at.slot, hash, position);
        }
        Ok(removed as u64)
    }
}

fn is_zset(database: &Database, at: Address<'_>, index: u32) -> bool {
    matches!(database.slot(at.slot).expect("the key was found").large(index), Large::Zset(_))
}

fn zset_of(large: &mut Large) -> &mut LargeZset {
    match large {
        Large::Zset(zset) => zset,
        _ => unreachable!("it was a sorted set"),
    }
}

fn fits(encoding: &EncodingSettings, member: &[u8]) -> bool {
    member.len() <= encoding.zset_max_listpack_value
}
