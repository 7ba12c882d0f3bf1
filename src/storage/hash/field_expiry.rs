//! Expiries of fields in memory.
//!
//! A field that expires is a record with an expiry, in the large form of its hash; the hash keeps its expiries in order
//! of time, and its database keeps the hashes in order of their earliest. A hash none of whose fields ever expired has
//! neither.

use std::collections::BTreeSet;

use super::database::{Database, NewValue};
use super::dense::hash_of;
use super::fields::{FieldExpiry, LargeHash};
use super::record::Payload;
use super::slot_table::Large;
use super::{HashEngine, clock_of, database_mut, hashes};
use crate::storage::field_expiry::{ExpiringField, FieldExpiryEngine, FieldRemoved};
use crate::storage::{Address, EncodingSettings, StorageError, StorageResult};
use crate::types::{Db, UnixMs};

/// Average bytes that one entry takes in the tree.
const ENTRY_BYTES: usize = 24;

/// The expiries of one hash's fields.
#[derive(Default)]
pub(super) struct FieldExpiries {
    /// Time and hash of the field. Fields that collide and expire together share one entry.
    by_time: BTreeSet<(UnixMs, u64)>,
    /// The hash reports `listpackex`.
    pub(super) small: bool,
}

impl FieldExpiries {
    /// Takes in an expiry.
    pub(super) fn insert(&mut self, at: UnixMs, hash: u64) {
        self.by_time.insert((at, hash));
    }

    /// Drops an expiry that no field has any longer.
    pub(super) fn remove(&mut self, at: UnixMs, hash: u64) {
        let was_there = self.by_time.remove(&(at, hash));
        debug_assert!(was_there, "every expiry is in the index");
    }

    /// The earliest one.
    pub(super) fn first(&self) -> Option<(UnixMs, u64)> {
        self.by_time.first().copied()
    }

    /// Approximate bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.by_time.len() * ENTRY_BYTES
    }
}

/// The earliest expiry of a large value's fields.
pub(super) fn field_due(large: &Large) -> Option<UnixMs> {
    match large {
        Large::Hash(hash) => hash.first_expiry(),
        _ => None,
    }
}

fn is_small(settings: &EncodingSettings, fields: &[ExpiringField]) -> bool {
    let longest = fields.iter().map(|field| field.field.len().max(field.value.len())).max().unwrap_or(0);
    fields.len() <= settings.hash_max_listpack_entries && longest <= settings.hash_max_listpack_value
}

impl FieldExpiryEngine for HashEngine {
    fn hash_update(&mut self, at: Address<'_>, pairs: &[(&[u8], &[u8])], now: UnixMs) -> StorageResult<usize> {
        hashes::set(self, at, hash_of(at.key), pairs, FieldExpiry::Keep, now)
    }

    fn set_field_expiry(
        &mut self,
        at: Address<'_>,
        field: &[u8],
        expires_at: Option<UnixMs>,
        now: UnixMs,
    ) -> StorageResult<bool> {
        let hash = hash_of(at.key);
        let Some(position) = self.live_position(at, hash, now) else { return Ok(false) };
        let clock = clock_of(now);
        self.clock = clock;
        let database = database_mut(&mut self.databases, at.db);
        let record = database.record(at.slot, position);
        match record.payload() {
            Payload::Compact(bytes) => {
                let mut large = LargeHash::from_compact(bytes);
                let found = large.set_expiry(field, expires_at, now);
                if found && expires_at.is_some() {
                    large.make_small();
                    let key_expires_at = record.expires_at();
                    let value = NewValue::Large(Large::Hash(Box::new(large)));
                    database.put((at.slot, hash, at.key), Some(position), key_expires_at, value, clock);
                }
                Ok(found)
            }
            Payload::Large(index) if hashes::is_hash(database, at, index) => {
                Ok(database.change_large(at.slot, position, index, clock, |large| match large {
                    Large::Hash(hash) => hash.set_expiry(field, expires_at, now),
                    _ => unreachable!("it was a hash"),
                }))
            }
            _ => Err(StorageError::WrongType),
        }
    }

    fn put_expiring_hash(
        &mut self,
        at: Address<'_>,
        fields: &[ExpiringField],
        expires_at: Option<UnixMs>,
    ) -> StorageResult<()> {
        let hash = hash_of(at.key);
        let clock = self.clock;
        let mut large = LargeHash::with_capacity(fields.len());
        for ExpiringField { field, value, expires_at } in fields {
            large.load_field(field, value, *expires_at);
        }
        if is_small(&self.encoding, fields) {
            large.make_small();
        }
        let database = database_mut(&mut self.databases, at.db);
        let position = database.find(at.slot, hash, at.key);
        if large.len() > 0 {
            let value = NewValue::Large(Large::Hash(Box::new(large)));
            database.put((at.slot, hash, at.key), position, expires_at, value, clock);
        } else if let Some(position) = position {
            database.remove(at.slot, hash, position);
        }
        Ok(())
    }

    fn next_field_expiry(&self) -> Option<UnixMs> {
        self.databases.iter().flatten().filter_map(|database| database.first_field_due()).map(|due| due.at).min()
    }

    fn expire_fields_due(&mut self, now: UnixMs, limit: usize, removed: &mut FieldRemoved<'_>) -> StorageResult<usize> {
        let mut count = 0;
        while count < limit {
            let first = self.databases.iter_mut().enumerate().filter_map(|(number, database)| {
                let database = database.as_mut()?;
                Some((database.first_field_due()?, Db(number as u16), database))
            });
            let Some((due, db, database)) = first.min_by_key(|(due, db, _)| (due.at, *db)) else { break };
            if due.at >= now {
                break;
            }
            let position = database.find_field_due(due).expect("a hash has every expiry of the index");
            count += expire_in(database, (due.slot, due.hash, position), now, limit - count, &mut |key, field| {
                removed(db, key, field);
            });
        }
        Ok(count)
    }
}

/// Removes up to `limit` fields of one hash that are due, and the hash with its last field.
fn expire_in(
    database: &mut Database,
    (slot, hash, position): (crate::types::Slot, u64, usize),
    now: UnixMs,
    limit: usize,
    removed: &mut dyn FnMut(&[u8], &[u8]),
) -> usize {
    let record = database.record(slot, position);
    let key = record.key().to_vec();
    let Payload::Large(index) = record.payload() else { unreachable!("a hash with expiries is large") };
    let clock = database.clock(slot, position);
    let (count, left) = database.change_large(slot, position, index, clock, |large| {
        let Large::Hash(hash) = large else { unreachable!("only hashes have fields that expire") };
        let mut count = 0;
        while count < limit
            && let Some(field) = hash.remove_first_due(now)
        {
            removed(&key, &field);
            count += 1;
        }
        (count, hash.len())
    });
    if left == 0 {
        database.remove(slot, hash, position);
    }
    count
}
