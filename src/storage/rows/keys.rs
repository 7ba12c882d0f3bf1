//! Looking up and replacing the row of a key.

use super::RowEngine;
use super::field_times::{FieldTimes, field_due_row};
use super::format::{Garbage, Meta, Physical, expiry_row, index_value, key_row, slot_row};
use super::overlay::Merged;
use crate::storage::sets::SetEncoding;
use crate::storage::{Address, Kind, StorageError, StorageResult};
use crate::types::UnixMs;

/// What is known of a key that is there, expired or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) kind: Kind,
    pub(super) expires_at: Option<UnixMs>,
    /// A hash that left the compact encoding.
    pub(super) big: bool,
    /// How a set is kept.
    pub(super) set_encoding: SetEncoding,
    /// The expiries of a hash's fields.
    pub(super) times: Option<FieldTimes>,
    /// Version and length of a collection.
    pub(super) collection: Option<(u64, u64)>,
}

impl Known {
    pub(super) fn of(meta: &Meta<'_>) -> StorageResult<Self> {
        let collection = if meta.shape.is_collection() { Some(meta.collection()?) } else { None };
        Ok(Self {
            kind: meta.shape.kind(),
            expires_at: meta.expires_at,
            big: meta.big,
            set_encoding: meta.set_encoding(),
            times: FieldTimes::of(meta)?,
            collection,
        })
    }

    /// Whether reads see the key.
    pub(super) fn is_live(&self, now: UnixMs) -> bool {
        is_live(self.expires_at, now)
    }

    /// Fails when the key holds another kind of value.
    pub(super) fn expect_kind(self, kind: Kind) -> StorageResult<Self> {
        if self.kind == kind { Ok(self) } else { Err(StorageError::WrongType) }
    }
}

/// Whether reads see a key with this expiry.
pub(super) fn is_live(expires_at: Option<UnixMs>, now: UnixMs) -> bool {
    expires_at.is_none_or(|at| now <= at)
}

impl RowEngine {
    /// What `read` makes of a key's row, expired or not.
    pub(super) fn read_key<T>(
        &self,
        reads: &Merged<'_>,
        at: Address<'_>,
        read: impl FnOnce(&Meta<'_>) -> StorageResult<T>,
    ) -> StorageResult<Option<T>> {
        let Some(database) = self.databases.get(at.db) else { return Ok(None) };
        let row = key_row(self.order, database.physical, at.slot, at.key);
        reads.get_with(&row, |value| read(&Meta::decode(value)?))
    }

    /// What `read` makes of a live key's row.
    pub(super) fn read_live<T>(
        &self,
        reads: &Merged<'_>,
        at: Address<'_>,
        now: UnixMs,
        read: impl FnOnce(&Meta<'_>) -> StorageResult<T>,
    ) -> StorageResult<Option<T>> {
        let found = self
            .read_key(reads, at, |meta| if is_live(meta.expires_at, now) { read(meta).map(Some) } else { Ok(None) })?;
        Ok(found.flatten())
    }

    /// A key, expired or not.
    pub(super) fn known(&self, at: Address<'_>) -> StorageResult<Option<Known>> {
        self.read_key(&self.reads(), at, Known::of)
    }

    /// Puts a key's row in the place of `old`, or removes it, and keeps the indexes, the counters and
    /// the garbage in step. All changes of keys come through here.
    pub(super) fn replace(&mut self, at: Address<'_>, old: Option<Known>, new: Option<&Meta<'_>>) -> StorageResult<()> {
        let new_known = new.map(Known::of).transpose()?;
        let database = self.databases.get_mut(at.db);
        let physical = database.physical;
        let old_expiry = old.and_then(|known| known.expires_at);
        let new_expiry = new_known.and_then(|known| known.expires_at);
        if old_expiry != new_expiry {
            if let Some(expires_at) = old_expiry {
                database.expiry_removed(expires_at);
                self.overlay.remove(expiry_row(physical, expires_at, at.key));
            }
            if let Some(expires_at) = new_expiry {
                database.expiry_added(expires_at);
                self.overlay.put(expiry_row(physical, expires_at, at.key), index_value(at.key));
            }
        }
        let old_due = old.and_then(|known| known.times?.due());
        let new_due = new_known.and_then(|known| known.times?.due());
        if old_due != new_due {
            if let Some(due) = old_due {
                database.field_due_removed(due);
                self.overlay.remove(field_due_row(physical, due, at.key));
            }
            if let Some(due) = new_due {
                database.field_due_added(due);
                self.overlay.put(field_due_row(physical, due, at.key), index_value(at.key));
            }
        }
        match (old.is_some(), new.is_some()) {
            (false, true) => {
                database.key_added();
                self.index_slot(physical, at, true);
            }
            (true, false) => {
                database.key_removed();
                self.index_slot(physical, at, false);
            }
            (true, true) | (false, false) => {}
        }
        let row = key_row(self.order, physical, at.slot, at.key);
        match new {
            Some(meta) => self.overlay.put(row, meta.encode()),
            None if old.is_some() => self.overlay.remove(row),
            None => {}
        }
        let old_collection = old.and_then(|known| known.collection);
        let new_version = new_known.and_then(|known| known.collection).map(|(version, _)| version);
        match old_collection {
            // An emptied collection has no elements left to sweep.
            Some((version, len)) if Some(version) != new_version && len > 0 => {
                self.note_garbage(Garbage::Collection(version), len.to_be_bytes().to_vec());
                self.note_field_garbage(old.and_then(|known| known.times));
            }
            _ => {}
        }
        self.wrote()
    }

    fn index_slot(&mut self, physical: Physical, at: Address<'_>, present: bool) {
        match self.order {
            super::KeyOrder::Slot => {}
            super::KeyOrder::Bytes if present => {
                self.overlay.put(slot_row(physical, at.slot, at.key), index_value(at.key));
            }
            super::KeyOrder::Bytes => self.overlay.remove(slot_row(physical, at.slot, at.key)),
        }
    }

    /// Notes the rows of a dead hash's expiries as garbage.
    pub(super) fn note_field_garbage(&mut self, times: Option<FieldTimes>) {
        if let Some(times) = times.filter(|times| times.count > 0) {
            for version in [times.expiries, times.times()] {
                self.note_garbage(Garbage::Collection(version), times.count.to_be_bytes().to_vec());
            }
        }
    }

    /// A version no collection had.
    pub(super) fn new_version(&mut self) -> u64 {
        let version = self.next_version;
        self.next_version += 1;
        version
    }
}
