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
    /// A look-up leaves a trace for OBJECT IDLETIME.
    pub touch: bool,
}

impl<'a> Address<'a> {
    /// The same address, for a look-up that leaves a trace or does not.
    #[must_use]
    pub fn touching(self, touch: bool) -> Self {
        Self { touch, ..self }
    }

    /// The address of `key` in `db`, where the slot of `known` is known: that is the key most often.
    #[inline]
    pub fn with_known(db: Db, key: &'a [u8], known: Option<(&[u8], Slot)>) -> Self {
        match known {
            Some((other, slot)) if std::ptr::eq(other, key) => Self { db, slot, key, touch: false },
            _ => Self::new(db, key),
        }
    }

    /// The address of `key` in `db`.
    pub fn new(db: Db, key: &'a [u8]) -> Self {
        Self { db, slot: slot_of(key), key, touch: false }
    }
}

/// What a command is about to look up.
#[derive(Clone, Copy, Debug)]
pub struct LookUp<'a> {
    /// The key.
    pub at: Address<'a>,
    /// A field or member of its value.
    pub member: Option<&'a [u8]>,
}
