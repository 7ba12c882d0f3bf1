//! The keys of a database that have an expiry, in order of time.

use std::collections::BTreeSet;

use crate::types::{Slot, UnixMs};

/// Average bytes that one entry takes in the tree.
pub(super) const DUE_BYTES: usize = 36;

/// One expiry: where the key is, but not the key itself, which stands in its record.
///
/// Keys that expire in the same millisecond follow one another by slot and hash, which is the same
/// order on every replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    /// When the key expires.
    pub(super) at: UnixMs,
    /// Its slot.
    pub(super) slot: Slot,
    /// Its hash. Keys of one slot that collide and expire together share one entry.
    pub(super) hash: u64,
}

/// The time-ordered index of one database.
#[derive(Default)]
pub(super) struct ExpiryIndex(BTreeSet<Due>);

impl ExpiryIndex {
    /// Takes in an expiry.
    pub(super) fn insert(&mut self, due: Due) {
        self.0.insert(due);
    }

    /// Drops an expiry that no key has any longer.
    pub(super) fn remove(&mut self, due: Due) {
        let was_there = self.0.remove(&due);
        debug_assert!(was_there, "every expiry is in the index");
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The earliest one.
    pub(super) fn first(&self) -> Option<Due> {
        self.0.first().copied()
    }
}
