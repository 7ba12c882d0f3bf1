//! Hashes: fields as element rows.

use std::borrow::Cow;

use super::RowEngine;
use super::format::{
    Meta, RowRange, Shape, collection_body, decode_element, element_body, element_prefix, element_row, element_value,
    elements_from,
};
use super::keys::Known;
use super::overlay::Merged;
use crate::storage::value::VisitField;
use crate::storage::{Address, Kind, ScanCursor, StorageResult};
use crate::types::UnixMs;
use crate::types::rng::Rng;

/// Largest hash from which a random field is drawn by counting, each with exactly the same chance.
const COUNTED_MAX: u64 = 128;
/// From larger ones it is drawn among this many after a random place, which evens out the gaps
/// between hashes.
const RANDOM_WINDOW: u64 = 16;

/// A read view of a hash kept as rows.
pub struct RowHash<'a> {
    reads: Merged<'a>,
    version: u64,
    len: u64,
    big: bool,
}

impl<'a> RowHash<'a> {
    pub(super) fn new(reads: Merged<'a>, meta: (u64, u64), big: bool) -> Self {
        let (version, len) = meta;
        Self { reads, version, len, big }
    }

    /// Number of fields.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Never true: empty hashes do not exist.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a field.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn get(&self, field: &[u8]) -> StorageResult<Option<Cow<'a, [u8]>>> {
        let row = element_row(self.version, field);
        self.reads.get_with(&row, |bytes| Ok(Cow::Owned(element_body(field, bytes)?.to_vec())))
    }

    /// Visits every field, in the order of their hashes.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn for_each(&self, visit: &mut VisitField<'_>) -> StorageResult<()> {
        self.reads.walk(&RowRange::with_prefix(element_prefix(self.version)), &mut |row, bytes| {
            let (_, field, value) = decode_element(row, bytes)?;
            Ok(visit(field, value))
        })
    }

    /// One step of `HSCAN`. The cursor is one more than the hash to go on at; fields of the same hash are
    /// visited in one step. A compact hash is visited whole.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn scan(&self, cursor: ScanCursor, count: usize, visit: &mut VisitField<'_>) -> StorageResult<ScanCursor> {
        if !self.big {
            if cursor == ScanCursor::START {
                self.for_each(visit)?;
            }
            return Ok(ScanCursor::START);
        }
        let Ok(from) = u32::try_from(cursor.0.saturating_sub(1)) else { return Ok(ScanCursor::START) };
        let mut next = ScanCursor::START;
        let (mut visited, mut last, mut stopped) = (0, None, false);
        self.reads.walk(&elements_from(self.version, from), &mut |row, bytes| {
            let (hash, field, value) = decode_element(row, bytes)?;
            if stopped || (visited >= count.max(1) && last != Some(hash)) {
                next = ScanCursor(u64::from(hash) + 1);
                return Ok(false);
            }
            visited += 1;
            last = Some(hash);
            stopped = !visit(field, value);
            Ok(true)
        })?;
        Ok(next)
    }

    /// Visits one field chosen at random.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn random(&self, rng: &mut Rng, visit: &mut VisitField<'_>) -> StorageResult<()> {
        if self.len == 0 {
            return Ok(());
        }
        let (from, skip) = if self.len <= COUNTED_MAX {
            (0, rng.below(self.len))
        } else {
            (rng.next_u64() as u32, rng.below(RANDOM_WINDOW))
        };
        // From the place to the end, then from the beginning.
        let mut left = skip;
        let mut found = false;
        for start in [from, 0] {
            self.reads.walk(&elements_from(self.version, start), &mut |row, bytes| {
                if left > 0 {
                    left -= 1;
                    return Ok(true);
                }
                let (_, field, value) = decode_element(row, bytes)?;
                found = true;
                visit(field, value);
                Ok(false)
            })?;
            if found {
                break;
            }
        }
        Ok(())
    }
}

impl RowEngine {
    pub(super) fn set_fields(
        &mut self,
        at: Address<'_>,
        pairs: &[(&[u8], &[u8])],
        now: UnixMs,
    ) -> StorageResult<usize> {
        let old = self.known(at)?;
        let live = match old.filter(|known| known.is_live(now)) {
            Some(known) => Some(known.expect_kind(Kind::Hash)?),
            None => None,
        };
        if pairs.is_empty() {
            return Ok(0);
        }
        self.write_fields(at, old, live, pairs, live.and_then(|known| known.expires_at))
    }

    /// Creates a hash at a key that is not there.
    pub(super) fn new_hash(
        &mut self,
        at: Address<'_>,
        pairs: &[(&[u8], &[u8])],
        expires_at: Option<UnixMs>,
    ) -> StorageResult<()> {
        if !pairs.is_empty() {
            self.write_fields(at, None, None, pairs, expires_at)?;
        }
        Ok(())
    }

    /// Sets fields of the hash `live`, or of a new one that takes the place of `old`.
    fn write_fields(
        &mut self,
        at: Address<'_>,
        old: Option<Known>,
        live: Option<Known>,
        pairs: &[(&[u8], &[u8])],
        expires_at: Option<UnixMs>,
    ) -> StorageResult<usize> {
        let kept = live.and_then(|known| known.collection);
        let (version, len) = kept.unwrap_or_else(|| (self.new_version(), 0));
        let longest = self.encoding.hash_max_listpack_value;
        let mut big = live.is_some_and(|known| known.big);
        let mut added = 0;
        // A view is of the files alone, so the overlay can be written while it is open.
        let mut view = None;
        for &(field, value) in pairs {
            big |= field.len() > longest || value.len() > longest;
            let row = element_row(version, field);
            let there = match self.overlay.get(&row) {
                Some(value) => value.is_some(),
                // A new version has no rows but those just written.
                None if kept.is_none() => false,
                None => {
                    let view = match &mut view {
                        Some(view) => view,
                        empty => empty.insert(self.files.view()?),
                    };
                    let mut there = false;
                    view.get(&row, &mut |_| there = true)?;
                    there
                }
            };
            added += usize::from(!there);
            self.overlay.put(row, element_value(field, value));
        }
        drop(view);
        let new_len = len + added as u64;
        big |= new_len > self.encoding.hash_max_listpack_entries as u64;
        let body = collection_body(version, new_len);
        let meta = Meta { expires_at, big, ..Meta::new(Shape::Hash, at.key, &body) };
        self.replace(at, old, Some(&meta))?;
        Ok(added)
    }

    pub(super) fn remove_fields(&mut self, at: Address<'_>, fields: &[&[u8]], now: UnixMs) -> StorageResult<usize> {
        let Some(old) = self.known(at)? else { return Ok(0) };
        if !old.is_live(now) {
            self.replace(at, Some(old), None)?;
            return Ok(0);
        }
        let known = old.expect_kind(Kind::Hash)?;
        let (version, len) = known.collection.expect("a hash is a collection");
        let mut removed = 0;
        for field in fields {
            let row = element_row(version, field);
            if self.reads().contains(&row)? {
                removed += 1;
                self.overlay.remove(row);
            }
        }
        if removed == 0 {
            return Ok(0);
        }
        let left = len.checked_sub(removed as u64).expect("the length counts every field");
        let emptied = Known { collection: Some((version, left)), ..known };
        if left == 0 {
            self.replace(at, Some(emptied), None)?;
        } else {
            let body = collection_body(version, left);
            let (expires_at, big) = (known.expires_at, known.big);
            let meta = Meta { expires_at, big, ..Meta::new(Shape::Hash, at.key, &body) };
            self.replace(at, Some(old), Some(&meta))?;
        }
        Ok(removed)
    }
}
