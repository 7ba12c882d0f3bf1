//! Expiries of the fields of hashes: what every engine does with them.
//!
//! A field expires as a key does: reads treat it as absent from the millisecond after its expiry on, and the sweep
//! removes it on every replica alike, the key with its last field. Until then [`HashRead::len`](super::HashRead::len) counts it.

use super::{Address, StorageResult};
use crate::types::{Db, UnixMs};

/// A field with its value and its expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiringField {
    /// The field.
    pub field: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// When it expires, if it does.
    pub expires_at: Option<UnixMs>,
}

/// Called with a database, a key and a field that has expired.
pub type FieldRemoved<'r> = dyn FnMut(Db, &[u8], &[u8]) + 'r;

/// The operations on the expiries of fields; part of [`super::Engine`].
pub trait FieldExpiryEngine {
    /// Sets fields as [`hash_set`](super::Engine::hash_set) does, but lets those that are there keep their expiries.
    fn hash_update(&mut self, at: Address<'_>, pairs: &[(&[u8], &[u8])], now: UnixMs) -> StorageResult<usize>;
    /// Sets or clears the expiry of a field; answers whether the field is there.
    fn set_field_expiry(
        &mut self,
        at: Address<'_>,
        field: &[u8],
        expires_at: Option<UnixMs>,
        now: UnixMs,
    ) -> StorageResult<bool>;
    /// Creates or replaces a key with a hash. Without fields the key is gone afterwards.
    fn put_expiring_hash(
        &mut self,
        at: Address<'_>,
        fields: &[ExpiringField],
        expires_at: Option<UnixMs>,
    ) -> StorageResult<()>;
    /// The earliest expiry of all fields, if any field has one.
    fn next_field_expiry(&self) -> Option<UnixMs>;
    /// Removes up to `limit` fields whose expiry is before `now`, and reports each: hash by hash, beginning with the
    /// one whose earliest is due the longest. Deterministic. Returns how many were removed.
    fn expire_fields_due(&mut self, now: UnixMs, limit: usize, removed: &mut FieldRemoved<'_>) -> StorageResult<usize>;
}

#[cfg(test)]
mod tests;
