//! Hashes: fields as element rows.

use std::borrow::Cow;

use super::RowEngine;
use super::field_expiry::field_time;
use super::field_times::{FieldTimes, field_times_before, hash_body};
use super::format::{
    Meta, RowRange, Shape, decode_element, element_body, element_prefix, element_row, element_value, elements_from,
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
    /// The expiries of fields, if any ever had one.
    times: Option<FieldTimes>,
    /// The same with the time of reading, if any is due.
    due: Option<(FieldTimes, UnixMs)>,
}

impl<'a> RowHash<'a> {
    pub(super) fn new(reads: Merged<'a>, meta: (u64, u64), big: bool) -> Self {
        let (version, len) = meta;
        Self { reads, version, len, big, times: None, due: None }
    }

    /// The same hash as of a time: fields that have expired by then are not seen.
    pub(super) fn at(self, times: Option<FieldTimes>, now: UnixMs) -> Self {
        let due = times.filter(|times| times.due().is_some_and(|at| now > at)).map(|times| (times, now));
        Self { times, due, ..self }
    }

    /// Number of fields, those included that have expired and were not yet removed.
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
        if self.is_due(field)? {
            return Ok(None);
        }
        let row = element_row(self.version, field);
        self.reads.get_with(&row, |bytes| Ok(Cow::Owned(element_body(field, bytes)?.to_vec())))
    }

    /// Whether a field has expired.
    fn is_due(&self, field: &[u8]) -> StorageResult<bool> {
        match self.due {
            Some((times, now)) => Ok(field_time(&self.reads, times, field)?.is_some_and(|at| now > at)),
            None => Ok(false),
        }
    }

    /// Number of fields that have not expired.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn live_len(&self) -> StorageResult<u64> {
        let mut live = self.len;
        if let Some((times, now)) = self.due {
            self.reads.walk(&field_times_before(times.times(), now), &mut |_, _| {
                live -= 1;
                Ok(true)
            })?;
        }
        Ok(live)
    }

    /// The expiry of a field, if the field is there.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn field_expiry(&self, field: &[u8]) -> StorageResult<Option<Option<UnixMs>>> {
        if self.is_due(field)? || !self.contains(field)? {
            return Ok(None);
        }
        match self.times.filter(|times| times.count > 0) {
            Some(times) => field_time(&self.reads, times, field).map(Some),
            None => Ok(Some(None)),
        }
    }

    /// Whether any field has an expiry.
    pub fn has_expiries(&self) -> bool {
        self.times.is_some_and(|times| times.count > 0)
    }

    /// Whether a field is there, expired or not.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub(super) fn contains(&self, field: &[u8]) -> StorageResult<bool> {
        self.reads.contains(&element_row(self.version, field))
    }

    /// Visits every field, in the order of their hashes.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn for_each(&self, visit: &mut VisitField<'_>) -> StorageResult<()> {
        self.reads.walk(&RowRange::with_prefix(element_prefix(self.version)), &mut |row, bytes| {
            let (_, field, value) = decode_element(row, bytes)?;
            Ok(self.is_due(field)? || visit(field, value))
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
            stopped = !self.is_due(field)? && !visit(field, value);
            Ok(true)
        })?;
        Ok(next)
    }

    /// Visits one field chosen at random; none if all have expired.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn random(&self, rng: &mut Rng, visit: &mut VisitField<'_>) -> StorageResult<()> {
        let len = self.live_len()?;
        if len == 0 {
            return Ok(());
        }
        let (from, skip) =
            if len <= COUNTED_MAX { (0, rng.below(len)) } else { (rng.next_u64() as u32, rng.below(RANDOM_WINDOW)) };
        // From the place to the end, then from the beginning.
        let mut left = skip;
        let mut found = false;
        for start in [from, 0] {
            self.reads.walk(&elements_from(self.version, start), &mut |row, bytes| {
                if left > 0 && self.due.is_none() {
                    left -= 1;
                    return Ok(true);
                }
                let (_, field, value) = decode_element(row, bytes)?;
                if self.is_due(field)? {
                    return Ok(true);
                }
                if left > 0 {
                    left -= 1;
                    return Ok(true);
                }
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
        keep: bool,
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
        let expires_at = live.and_then(|known| known.expires_at);
        self.write_fields(at, (old, live), pairs, expires_at, (keep, now))
    }

    /// Creates a hash at a key that is not there.
    pub(super) fn new_hash(
        &mut self,
        at: Address<'_>,
        pairs: &[(&[u8], &[u8])],
        expires_at: Option<UnixMs>,
    ) -> StorageResult<()> {
        if !pairs.is_empty() {
            self.write_fields(at, (None, None), pairs, expires_at, (false, UnixMs(0)))?;
        }
        Ok(())
    }

    /// Sets fields of the hash `live`, or of a new one that takes the place of `old`. They keep their expiries, if
    /// `keep`.
    fn write_fields(
        &mut self,
        at: Address<'_>,
        (old, live): (Option<Known>, Option<Known>),
        pairs: &[(&[u8], &[u8])],
        expires_at: Option<UnixMs>,
        (keep, now): (bool, UnixMs),
    ) -> StorageResult<usize> {
        let mut times = live.and_then(|known| known.times);
        let expired = match &mut times {
            Some(times) if times.count > 0 => self.forget_times(times, pairs, keep, now)?,
            _ => 0,
        };
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
        let body = hash_body(version, new_len, times);
        let meta = Meta { expires_at, big, ..Meta::new(Shape::Hash, at.key, &body) };
        self.replace(at, old, Some(&meta))?;
        Ok(added + expired)
    }

    pub(super) fn remove_fields(&mut self, at: Address<'_>, fields: &[&[u8]], now: UnixMs) -> StorageResult<usize> {
        let Some(old) = self.known(at)? else { return Ok(0) };
        if !old.is_live(now) {
            self.replace(at, Some(old), None)?;
            return Ok(0);
        }
        let known = old.expect_kind(Kind::Hash)?;
        let (version, len) = known.collection.expect("a hash is a collection");
        let mut times = known.times;
        let (mut removed, mut expired) = (0, 0);
        for field in fields {
            let row = element_row(version, field);
            if self.reads().contains(&row)? {
                removed += 1;
                self.overlay.remove(row);
                if let Some(times) = times.as_mut().filter(|times| times.count > 0) {
                    expired += usize::from(self.forget_time(times, field)?.is_some_and(|at| now > at));
                }
            }
        }
        if removed == 0 {
            return Ok(0);
        }
        self.settle_earliest(&mut times)?;
        let left = len.checked_sub(removed as u64).expect("the length counts every field");
        let emptied = Known { collection: Some((version, left)), ..known };
        if left == 0 {
            self.replace(at, Some(emptied), None)?;
        } else {
            let body = hash_body(version, left, times);
            let (expires_at, big) = (known.expires_at, known.big);
            let meta = Meta { expires_at, big, ..Meta::new(Shape::Hash, at.key, &body) };
            self.replace(at, Some(old), Some(&meta))?;
        }
        Ok(removed - expired)
    }
}
