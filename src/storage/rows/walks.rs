//! Walks over many keys: SCAN, ranges, prefixes, random keys, and the sweep of what has expired.

use std::ops::{Bound, RangeBounds};

use super::RowEngine;
use super::format::{
    KeyOrder, Meta, NAME_MAX_BYTES, POSITION_COUNT, Physical, Position, RowRange, after_prefix, after_row, index_name,
    is_digested, key_part, key_prefix, key_row, rows_from_position, split_expiry, split_position,
};
use super::keys::is_live;
use super::overlay::Merged;
use crate::storage::{Address, Kind, ScanCursor, StorageError, StorageResult, VisitKey};
use crate::types::rng::Rng;
use crate::types::{Db, Slot, UnixMs};

/// Bounds of a range of keys.
pub(super) type KeyBounds<'b> = (Bound<&'b [u8]>, Bound<&'b [u8]>);

/// Called with the position, the key and the row of a key; answers whether to go on.
type VisitPosition<'v> = dyn FnMut(Position, &[u8], &Meta<'_>) -> StorageResult<bool> + 'v;

/// Databases of up to this many keys draw a random key from all of them, each with the same chance.
const COUNTED_MAX: u64 = 64;
/// From larger ones it is drawn among this many after a random place, which evens out the gaps.
const RANDOM_WINDOW: usize = 16;
/// Rows looked at for the window; those of expired keys do not count into it.
const RANDOM_ROWS_MAX: usize = 256;
/// Random places tried. One in a slot that has no keys is passed over, or the first keys behind the slots
/// of other shards would be drawn far too often.
const RANDOM_PLACES_MAX: usize = 8;
/// Rows looked at for any live key when chance found none.
const RANDOM_FALLBACK_ROWS_MAX: usize = 100_000;

fn slot_of_position(position: Position) -> Slot {
    Slot((position >> 32) as u16)
}

/// The first byte string behind all those that start with `prefix`, if there is one.
fn behind_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    prefix.iter().any(|&byte| byte != 0xff).then(|| after_prefix(prefix))
}

/// The rows that hold all keys between two bounds, and, where a bound is a digested key, some more.
fn rows_between(physical: Physical, (start, end): KeyBounds<'_>) -> RowRange {
    let row = |key: &[u8]| {
        let mut row = key_prefix(physical);
        row.extend_from_slice(&key[..key.len().min(NAME_MAX_BYTES)]);
        row
    };
    let start = match start {
        Bound::Unbounded => key_prefix(physical),
        Bound::Excluded(key) if !is_digested(key) => after_row(&row(key)),
        Bound::Included(key) | Bound::Excluded(key) => row(key),
    };
    let end = match end {
        Bound::Unbounded => after_prefix(&key_prefix(physical)),
        Bound::Included(key) | Bound::Excluded(key) if is_digested(key) => after_prefix(&row(key)),
        Bound::Included(key) => after_row(&row(key)),
        Bound::Excluded(key) => row(key),
    };
    RowRange { start, end }
}

/// One of the keys, each with the same chance.
fn pick(mut keys: Vec<Vec<u8>>, rng: &mut Rng) -> Option<Vec<u8>> {
    if keys.is_empty() {
        return None;
    }
    let chosen = rng.below(keys.len() as u64) as usize;
    Some(keys.swap_remove(chosen))
}

/// Keys that share their first bytes and are in the files in the order of their digests, gathered
/// to be visited in their own.
struct DigestedGroup {
    keys: Vec<(Vec<u8>, Kind)>,
    reverse: bool,
}

impl DigestedGroup {
    fn takes(&self, key: &[u8]) -> bool {
        self.keys.first().is_none_or(|(first, _)| first[..NAME_MAX_BYTES] == key[..NAME_MAX_BYTES])
    }

    fn visit(&mut self, visit: &mut VisitKey<'_>) -> bool {
        self.keys.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        if self.reverse {
            self.keys.reverse();
        }
        self.keys.drain(..).all(|(key, kind)| visit(&key, kind))
    }
}

impl RowEngine {
    /// Visits the keys of a database in the order of SCAN, expired ones included.
    fn walk_positions(
        &self,
        reads: &Merged<'_>,
        physical: Physical,
        from: Position,
        visit: &mut VisitPosition<'_>,
    ) -> StorageResult<()> {
        reads.walk(&rows_from_position(self.order, physical, from), &mut |row, value| {
            let (position, part) = split_position(row)?;
            match self.order {
                KeyOrder::Slot => {
                    let meta = Meta::decode(value)?;
                    visit(position, meta.key(part), &meta)
                }
                KeyOrder::Bytes => {
                    let key = index_name(part, value);
                    let row = key_row(self.order, physical, slot_of_position(position), key);
                    let going = reads.get_with(&row, |value| visit(position, key, &Meta::decode(value)?))?;
                    going.ok_or_else(|| StorageError::Corrupt {
                        what: "slot index",
                        detail: format!("no row for key {}", key.escape_ascii()),
                    })
                }
            }
        })
    }

    /// One step of SCAN. The cursor is one more than the position to go on at; keys of the same position are
    /// visited in one step.
    pub(super) fn scan_keys(
        &self,
        db: Db,
        cursor: ScanCursor,
        count: usize,
        now: UnixMs,
        visit: &mut VisitKey<'_>,
    ) -> StorageResult<ScanCursor> {
        let from = cursor.0.saturating_sub(1);
        let Some(database) = self.databases.get(db).filter(|_| from < POSITION_COUNT) else {
            return Ok(ScanCursor::START);
        };
        let mut next = ScanCursor::START;
        let (mut visited, mut last, mut stopped) = (0, None, false);
        self.walk_positions(&self.reads(), database.physical, from, &mut |position, key, meta| {
            if stopped || (visited >= count.max(1) && last != Some(position)) {
                next = ScanCursor(position + 1);
                return Ok(false);
            }
            last = Some(position);
            if is_live(meta.expires_at, now) {
                visited += 1;
                stopped = !visit(key, meta.shape.kind());
            }
            Ok(true)
        })?;
        Ok(next)
    }

    /// Visits the live keys that start with `prefix`, in the order of the rows.
    pub(super) fn walk_prefix(
        &self,
        db: Db,
        prefix: &[u8],
        now: UnixMs,
        visit: &mut VisitKey<'_>,
    ) -> StorageResult<()> {
        let Some(database) = self.databases.get(db) else { return Ok(()) };
        match self.order {
            KeyOrder::Slot => self.walk_positions(&self.reads(), database.physical, 0, &mut |_, key, meta| {
                let wanted = key.starts_with(prefix) && is_live(meta.expires_at, now);
                Ok(!wanted || visit(key, meta.shape.kind()))
            }),
            KeyOrder::Bytes => {
                let behind = behind_prefix(prefix);
                let end = behind.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                self.walk_range(db, (Bound::Included(prefix), end), false, now, visit)
            }
        }
    }

    /// Visits the live keys between two bounds in byte order, or backwards. Only where rows are ordered by key.
    pub(super) fn walk_range(
        &self,
        db: Db,
        bounds: KeyBounds<'_>,
        reverse: bool,
        now: UnixMs,
        visit: &mut VisitKey<'_>,
    ) -> StorageResult<()> {
        assert_eq!(self.order, KeyOrder::Bytes, "the rows are ordered by key");
        let Some(database) = self.databases.get(db) else { return Ok(()) };
        let mut group = DigestedGroup { keys: Vec::new(), reverse };
        let mut going = true;
        let rows = rows_between(database.physical, bounds);
        self.reads().walk_either_way(&rows, reverse, &mut |row, value| {
            let meta = Meta::decode(value)?;
            let key = meta.key(key_part(KeyOrder::Bytes, row)?);
            if !is_live(meta.expires_at, now) || !RangeBounds::<[u8]>::contains(&bounds, key) {
                return Ok(true);
            }
            let kind = meta.shape.kind();
            if is_digested(key) && group.takes(key) {
                group.keys.push((key.to_vec(), kind));
                return Ok(true);
            }
            going = group.visit(visit);
            if going && is_digested(key) {
                group.keys.push((key.to_vec(), kind));
            } else if going {
                going = visit(key, kind);
            }
            Ok(going)
        })?;
        if going {
            group.visit(visit);
        }
        Ok(())
    }

    /// Up to `keys_max` live keys from a position on, and the first position there is, expired or not.
    fn live_keys_from(
        &self,
        reads: &Merged<'_>,
        physical: Physical,
        from: Position,
        (keys_max, rows_max): (usize, usize),
        now: UnixMs,
    ) -> StorageResult<(Vec<Vec<u8>>, Option<Position>)> {
        let (mut keys, mut first, mut rows) = (Vec::new(), None, 0);
        self.walk_positions(reads, physical, from, &mut |position, key, meta| {
            first.get_or_insert(position);
            rows += 1;
            if is_live(meta.expires_at, now) {
                keys.push(key.to_vec());
            }
            Ok(keys.len() < keys_max && rows < rows_max)
        })?;
        Ok((keys, first))
    }

    /// A random live key.
    pub(super) fn draw_key(&self, db: Db, now: UnixMs, rng: &mut Rng) -> StorageResult<Option<Vec<u8>>> {
        let Some(database) = self.databases.get(db).filter(|database| database.len > 0) else { return Ok(None) };
        let (reads, physical) = (self.reads(), database.physical);
        if database.len <= COUNTED_MAX {
            let (keys, _) = self.live_keys_from(&reads, physical, 0, (usize::MAX, usize::MAX), now)?;
            return Ok(pick(keys, rng));
        }
        for place in 1..=RANDOM_PLACES_MAX {
            let position = rng.below(POSITION_COUNT);
            let window = (RANDOM_WINDOW, RANDOM_ROWS_MAX);
            let (keys, first) = self.live_keys_from(&reads, physical, position, window, now)?;
            let in_slot = first.is_some_and(|first| slot_of_position(first) == slot_of_position(position));
            if !keys.is_empty() && (in_slot || place == RANDOM_PLACES_MAX) {
                return Ok(pick(keys, rng));
            }
        }
        let (keys, _) = self.live_keys_from(&reads, physical, 0, (1, RANDOM_FALLBACK_ROWS_MAX), now)?;
        Ok(keys.into_iter().next())
    }

    /// Removes up to `limit` keys whose expiry is before `now`, oldest first.
    pub(super) fn remove_expired(
        &mut self,
        now: UnixMs,
        limit: usize,
        removed: &mut dyn FnMut(Db, &[u8]),
    ) -> StorageResult<usize> {
        let Some(last) = now.0.checked_sub(1).filter(|_| limit > 0) else { return Ok(0) };
        let mut due = Vec::new();
        let reads = self.reads();
        for (db, database) in self.databases.iter().filter(|(_, database)| database.expires > 0) {
            let mut left = limit;
            reads.walk(&database.expiries_until(UnixMs(last)), &mut |row, value| {
                let (at, part) = split_expiry(row)?;
                due.push((at, db, index_name(part, value).to_vec()));
                left -= 1;
                Ok(left > 0)
            })?;
        }
        drop(reads);
        due.sort_unstable();
        due.truncate(limit);
        for (_, db, key) in &due {
            let at = Address::new(*db, key);
            let old = self.known(at)?;
            if old.is_none() {
                let detail = format!("no row for key {}", key.escape_ascii());
                return Err(StorageError::Corrupt { what: "expiry index", detail });
            }
            self.replace(at, old, None)?;
            removed(*db, key);
        }
        Ok(due.len())
    }
}
