//! Where a key lives.

use crate::types::{Db, Slot, slot::slot_of};

/// A key with its database and hash slot, computed once per command.
#[derive(Clone, Copy, Debug)]
pub struct Address<'a> {
    /// The logical database.
    pub db: Db,
    /// The hash slot of the key.
    pub slot: Slot,
    /// The key itself.
    pub key: &'a [u8],
}

impl<'a> Address<'a> {
    /// The address of `key` in `db`.
    pub fn new(db: Db, key: &'a [u8]) -> Self {
        Self { db, slot: slot_of(key), key }
    }
}
