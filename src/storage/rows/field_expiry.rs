//! Expiries of fields as rows: one for each field that expires, one that orders it by time, and one for the hash, by its
//! earliest. [`format`](super::format) draws them.
//!
//! A hash's own row tells its earliest expiry, so reads of a hash with nothing due read nothing more.

use super::RowEngine;
use super::field_times::{FieldTimes, field_time_row, field_times_before, hash_body, split_field_time};
use super::format::{
    Meta, RowRange, Shape, element_body, element_prefix, element_row, element_value, index_name, index_value,
    split_expiry,
};
use super::keys::Known;
use super::overlay::Merged;
use crate::storage::field_expiry::{ExpiringField, FieldExpiryEngine, FieldRemoved};
use crate::storage::{Address, Kind, StorageError, StorageResult};
use crate::types::{Db, UnixMs};

/// The expiry of a field.
pub(super) fn field_time(reads: &Merged<'_>, times: FieldTimes, field: &[u8]) -> StorageResult<Option<UnixMs>> {
    reads.get_with(&element_row(times.expiries, field), |bytes| {
        let body = element_body(field, bytes)?;
        let at = body.try_into().map_err(|_| StorageError::Corrupt {
            what: "expiry of a field",
            detail: format!("{} bytes", body.len()),
        })?;
        Ok(UnixMs(i64::from_be_bytes(at)))
    })
}

impl RowEngine {
    /// Removes the rows of a field's expiry, and answers it. The earliest is to be settled afterwards.
    pub(super) fn forget_time(&mut self, times: &mut FieldTimes, field: &[u8]) -> StorageResult<Option<UnixMs>> {
        let Some(at) = field_time(&self.reads(), *times, field)? else { return Ok(None) };
        self.overlay.remove(element_row(times.expiries, field));
        self.overlay.remove(field_time_row(times.times(), at, field));
        times.count -= 1;
        Ok(Some(at))
    }

    /// Forgets the expiries of fields that are about to be set, of those that are due even if the others are kept.
    /// Answers how many were due.
    pub(super) fn forget_times(
        &mut self,
        times: &mut FieldTimes,
        pairs: &[(&[u8], &[u8])],
        keep: bool,
        now: UnixMs,
    ) -> StorageResult<usize> {
        let mut expired = 0;
        for &(field, _) in pairs {
            let is_due = times.due().is_some_and(|due| now > due)
                && field_time(&self.reads(), *times, field)?.is_some_and(|at| now > at);
            if is_due || !keep {
                self.forget_time(times, field)?;
            }
            expired += usize::from(is_due);
        }
        let mut settled = Some(*times);
        self.settle_earliest(&mut settled)?;
        *times = settled.expect("it was there");
        Ok(expired)
    }

    /// Looks up the earliest expiry after expiries have been removed.
    pub(super) fn settle_earliest(&self, times: &mut Option<FieldTimes>) -> StorageResult<()> {
        let Some(times) = times else { return Ok(()) };
        times.earliest = UnixMs(0);
        if times.count > 0 {
            self.reads().walk(&RowRange::with_prefix(element_prefix(times.times())), &mut |row, value| {
                times.earliest = split_field_time(row, value)?.0;
                Ok(false)
            })?;
        }
        Ok(())
    }

    fn add_time(&mut self, times: &mut FieldTimes, field: &[u8], at: UnixMs) {
        self.overlay.put(element_row(times.expiries, field), element_value(field, &at.0.to_be_bytes()));
        self.overlay.put(field_time_row(times.times(), at, field), index_value(field));
        times.earliest = times.due().map_or(at, |due| due.min(at));
        times.count += 1;
    }

    fn new_times(&mut self) -> FieldTimes {
        let expiries = self.new_version();
        // The one after it is for the rows in order of time.
        self.new_version();
        FieldTimes { expiries, count: 0, earliest: UnixMs(0) }
    }

    fn write_hash_row(
        &mut self,
        at: Address<'_>,
        old: Known,
        len: u64,
        times: Option<FieldTimes>,
    ) -> StorageResult<()> {
        let (version, _) = old.collection.expect("a hash is a collection");
        let body = hash_body(version, len, times);
        let meta = Meta { expires_at: old.expires_at, big: old.big, ..Meta::new(Shape::Hash, at.key, &body) };
        self.replace(at, Some(old), Some(&meta))
    }

    /// Removes up to `limit` fields of a hash that are due, and the hash with its last field.
    fn expire_in(
        &mut self,
        at: Address<'_>,
        now: UnixMs,
        limit: usize,
        removed: &mut FieldRemoved<'_>,
    ) -> StorageResult<usize> {
        let missing = || StorageError::Corrupt {
            what: "index of fields that expire",
            detail: format!("no hash with such fields at key {}", at.key.escape_ascii()),
        };
        let known = self.known(at)?.ok_or_else(missing)?;
        let (mut times, (version, len)) = known.times.zip(known.collection).ok_or_else(missing)?;
        let mut fields = Vec::new();
        self.reads().walk(&field_times_before(times.times(), now), &mut |row, value| {
            fields.push(split_field_time(row, value)?.1.to_vec());
            Ok(fields.len() < limit)
        })?;
        if fields.is_empty() {
            return Err(missing());
        }
        for field in &fields {
            self.forget_time(&mut times, field)?;
            self.overlay.remove(element_row(version, field));
            removed(at.db, at.key, field);
        }
        let mut times = Some(times);
        self.settle_earliest(&mut times)?;
        let left = len.checked_sub(fields.len() as u64).expect("the length counts every field");
        if left == 0 {
            self.replace(at, Some(Known { collection: Some((version, 0)), ..known }), None)?;
        } else {
            self.write_hash_row(at, known, left, times)?;
        }
        Ok(fields.len())
    }
}

impl FieldExpiryEngine for RowEngine {
    fn hash_update(&mut self, at: Address<'_>, pairs: &[(&[u8], &[u8])], now: UnixMs) -> StorageResult<usize> {
        self.set_fields(at, pairs, true, now)
    }

    fn set_field_expiry(
        &mut self,
        at: Address<'_>,
        field: &[u8],
        expires_at: Option<UnixMs>,
        now: UnixMs,
    ) -> StorageResult<bool> {
        let Some(old) = self.known(at)? else { return Ok(false) };
        if !old.is_live(now) {
            self.replace(at, Some(old), None)?;
            return Ok(false);
        }
        let known = old.expect_kind(Kind::Hash)?;
        let (version, len) = known.collection.expect("a hash is a collection");
        if !self.reads().contains(&element_row(version, field))? {
            return Ok(false);
        }
        let mut times = match (known.times, expires_at) {
            (Some(times), _) => times,
            (None, None) => return Ok(true),
            (None, Some(_)) => self.new_times(),
        };
        if times.count > 0 {
            if field_time(&self.reads(), times, field)?.is_some_and(|at| now > at) {
                return Ok(false);
            }
            self.forget_time(&mut times, field)?;
        }
        let mut settled = Some(times);
        self.settle_earliest(&mut settled)?;
        let mut times = settled.expect("it was there");
        if let Some(expires_at) = expires_at {
            self.add_time(&mut times, field, expires_at);
        }
        self.write_hash_row(at, known, len, Some(times))?;
        Ok(true)
    }

    fn put_expiring_hash(
        &mut self,
        at: Address<'_>,
        fields: &[ExpiringField],
        expires_at: Option<UnixMs>,
    ) -> StorageResult<()> {
        let old = self.known(at)?;
        if old.is_some() {
            self.replace(at, old, None)?;
        }
        let pairs: Vec<(&[u8], &[u8])> = fields.iter().map(|field| (&field.field[..], &field.value[..])).collect();
        self.new_hash(at, &pairs, expires_at)?;
        let Some(known) = self.known(at)? else { return Ok(()) };
        let mut times = self.new_times();
        for field in fields {
            if let Some(expires_at) = field.expires_at {
                self.add_time(&mut times, &field.field, expires_at);
            }
        }
        let (_, len) = known.collection.expect("a hash is a collection");
        self.write_hash_row(at, known, len, Some(times))
    }

    fn next_field_expiry(&self) -> Option<UnixMs> {
        let reads = self.reads();
        self.databases.iter().filter_map(|(_, database)| database.next_field_expiry(&reads)).min()
    }

    fn expire_fields_due(&mut self, now: UnixMs, limit: usize, removed: &mut FieldRemoved<'_>) -> StorageResult<usize> {
        let Some(last) = now.0.checked_sub(1).filter(|_| limit > 0) else { return Ok(0) };
        let mut due: Vec<(UnixMs, Db, Vec<u8>)> = Vec::new();
        let reads = self.reads();
        for (db, database) in self.databases.iter() {
            if database.next_field_expiry(&reads).is_none_or(|at| at >= now) {
                continue;
            }
            let mut left = limit;
            reads.walk(&database.field_dues_until(UnixMs(last)), &mut |row, value| {
                let (at, part) = split_expiry(row)?;
                due.push((at, db, index_name(part, value).to_vec()));
                left -= 1;
                Ok(left > 0)
            })?;
        }
        drop(reads);
        due.sort_unstable();
        let mut count = 0;
        for (_, db, key) in &due {
            if count == limit {
                break;
            }
            count += self.expire_in(Address::new(*db, key), now, limit - count, removed)?;
        }
        Ok(count)
    }
}
