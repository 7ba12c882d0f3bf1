//! Writes of hashes, in both their forms.

use super::database::{Database, NewValue};
use super::fields::{FieldExpiry, LargeHash};
use super::record::Payload;
use super::slot_table::Large;
use super::{HashEngine, clock_of, compact, database_mut};
use crate::storage::{Address, EncodingSettings, StorageError, StorageResult};
use crate::types::UnixMs;

/// Sets fields of a hash; answers how many are new. Later duplicates win.
pub(super) fn set(
    engine: &mut HashEngine,
    at: Address<'_>,
    hash: u64,
    pairs: &[(&[u8], &[u8])],
    expiry: FieldExpiry,
    now: UnixMs,
) -> StorageResult<usize> {
    let position = engine.live_position(at, hash, now);
    let clock = clock_of(now);
    engine.clock = clock;
    let HashEngine { databases, encoding, scratch, .. } = engine;
    let database = database_mut(databases, at.db);
    let mut expires_at = None;
    match position {
        None if pairs.is_empty() => return Ok(0),
        None => compact::clear(scratch),
        Some(position) => {
            let record = database.record(at.slot, position);
            expires_at = record.expires_at();
            match record.payload() {
                Payload::Compact(bytes) => {
                    scratch.clear();
                    scratch.extend_from_slice(bytes);
                }
                Payload::Large(index) if is_hash(database, at, index) => {
                    return Ok(database.change_large(at.slot, position, index, clock, |large| match large {
                        Large::Hash(hash) => {
                            let added = set_all(hash, pairs, expiry, now);
                            hash.check_small(encoding, pairs);
                            added
                        }
                        _ => unreachable!("it was a hash"),
                    }));
                }
                _ => return Err(StorageError::WrongType),
            }
        }
    }
    let mut added = 0;
    for (index, &(field, value)) in pairs.iter().enumerate() {
        // A pair that may break a threshold is left to the large form, which takes all the rest.
        let full =
            compact::len(scratch) >= encoding.hash_max_listpack_entries && compact::get(scratch, field).is_none();
        if full || !fits(encoding, field, value) {
            let mut large = LargeHash::from_compact(scratch);
            added += set_all(&mut large, &pairs[index..], expiry, now);
            let value = NewValue::Large(Large::Hash(Box::new(large)));
            database.put((at.slot, hash, at.key), position, expires_at, value, clock);
            return Ok(added);
        }
        added += usize::from(compact::set(scratch, field, value));
    }
    let value = NewValue::Inline(Payload::Compact(scratch));
    database.put((at.slot, hash, at.key), position, expires_at, value, clock);
    Ok(added)
}

/// Removes fields of a hash, and the key with the last; answers how many were there.
pub(super) fn remove(
    engine: &mut HashEngine,
    at: Address<'_>,
    hash: u64,
    fields: &[&[u8]],
    now: UnixMs,
) -> StorageResult<usize> {
    let Some(position) = engine.live_position(at, hash, now) else { return Ok(0) };
    let clock = clock_of(now);
    engine.clock = clock;
    let HashEngine { databases, scratch, .. } = engine;
    let database = database_mut(databases, at.db);
    let record = database.record(at.slot, position);
    let removed;
    let left;
    match record.payload() {
        Payload::Compact(bytes) => {
            scratch.clear();
            scratch.extend_from_slice(bytes);
            removed = fields.iter().filter(|field| compact::remove(scratch, field)).count();
            left = compact::len(scratch);
            if removed > 0 && left > 0 {
                let expires_at = record.expires_at();
                let value = NewValue::Inline(Payload::Compact(scratch));
                database.put((at.slot, hash, at.key), Some(position), expires_at, value, clock);
            }
        }
        Payload::Large(index) if is_hash(database, at, index) => {
            (removed, left) = database.change_large(at.slot, position, index, clock, |large| match large {
                Large::Hash(hash) => (fields.iter().filter(|field| hash.remove(field, now)).count(), hash.len()),
                _ => unreachable!("it was a hash"),
            });
        }
        _ => return Err(StorageError::WrongType),
    }
    if left == 0 {
        database.remove(at.slot, hash, position);
    }
    Ok(removed)
}

pub(super) fn is_hash(database: &Database, at: Address<'_>, index: u32) -> bool {
    matches!(database.slot(at.slot).expect("the key was found").large(index), Large::Hash(_))
}

fn fits(encoding: &EncodingSettings, field: &[u8], value: &[u8]) -> bool {
    field.len() <= encoding.hash_max_listpack_value && value.len() <= encoding.hash_max_listpack_value
}

fn set_all(hash: &mut LargeHash, pairs: &[(&[u8], &[u8])], expiry: FieldExpiry, now: UnixMs) -> usize {
    pairs.iter().filter(|(field, value)| hash.set(field, value, expiry, now)).count()
}
