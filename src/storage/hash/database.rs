//! One logical database: a table for each slot that has keys, and what is known of all of them.

use std::sync::Arc;

use super::blob::Blob;
use super::dense::{hash_of, record_bytes};
use super::expiry::{DUE_BYTES, Due, ExpiryIndex};
use super::field_expiry::field_due;
use super::quicklist::Quicklist;
use super::record::{self, Payload, Record};
use super::slot_table::{Large, SlotTable};
use super::snapshot::Part;
use crate::types::rng::Rng;
use crate::types::{SLOT_COUNT, Slot, UnixMs};

const SLOTS: usize = SLOT_COUNT as usize;
/// Slots that share one word of the bitmap and one count of keys.
const GROUP: usize = 64;
const GROUPS: usize = SLOTS / GROUP;

/// How often [`Database::random`] draws before it looks for any live key.
const RANDOM_TRIES: usize = 100;

/// A value on its way into the store.
pub(super) enum NewValue<'a> {
    /// It stands in the record.
    Inline(Payload<'a>),
    /// It stands beside the record.
    Large(Large),
}

/// How [`Database::extend_list`] ended.
pub(super) enum Extended {
    Done,
    /// There is no such key.
    NotThere(Box<Quicklist>),
    /// The key has a value of another kind.
    OtherValue,
}

/// One logical database.
pub(super) struct Database {
    slots: Box<[Option<Box<SlotTable>>]>,
    /// A bit for each slot that has keys.
    occupied: [u64; GROUPS],
    /// Number of keys in each group of slots.
    group_keys: [u32; GROUPS],
    keys: u64,
    with_expiry: u64,
    expiries: ExpiryIndex,
    /// The hashes with fields that expire, by the earliest of them.
    field_expiries: ExpiryIndex,
    /// Approximate bytes of all keys and values.
    bytes: usize,
    /// Snapshots that still want the slots as they were.
    frozen: Vec<Arc<Part>>,
}

impl Database {
    pub(super) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| None).collect(),
            occupied: [0; GROUPS],
            group_keys: [0; GROUPS],
            keys: 0,
            with_expiry: 0,
            expiries: ExpiryIndex::default(),
            field_expiries: ExpiryIndex::default(),
            bytes: 0,
            frozen: Vec::new(),
        }
    }

    // ---- reading ----

    /// Number of keys.
    pub(super) fn len(&self) -> u64 {
        self.keys
    }

    /// Number of keys with an expiry.
    pub(super) fn with_expiry(&self) -> u64 {
        self.with_expiry
    }

    /// Approximate bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let due = (self.with_expiry as usize + self.field_expiries.len()) * DUE_BYTES;
        size_of::<Self>() + SLOTS * size_of::<usize>() + self.bytes + due
    }

    /// The earliest expiry.
    pub(super) fn first_due(&self) -> Option<Due> {
        self.expiries.first()
    }

    /// The hash with the earliest expiry of a field.
    pub(super) fn first_field_due(&self) -> Option<Due> {
        self.field_expiries.first()
    }

    /// The keys of a slot, if it has any.
    #[inline]
    pub(super) fn slot(&self, slot: Slot) -> Option<&SlotTable> {
        self.slots[usize::from(slot.0)].as_deref()
    }

    /// The first slot from `from` on that has keys.
    pub(super) fn next_occupied(&self, from: usize) -> Option<Slot> {
        if from >= SLOTS {
            return None;
        }
        let mut group = from / GROUP;
        let mut word = self.occupied[group] & (u64::MAX << (from % GROUP));
        while word == 0 {
            group += 1;
            word = *self.occupied.get(group)?;
        }
        Some(Slot((group * GROUP) as u16 + word.trailing_zeros() as u16))
    }

    /// The slots that have keys, upwards, with their tables.
    pub(super) fn occupied_slots(&self) -> impl Iterator<Item = (Slot, &SlotTable)> {
        let mut next = 0;
        std::iter::from_fn(move || {
            let slot = self.next_occupied(next)?;
            next = usize::from(slot.0) + 1;
            Some((slot, self.slot(slot).expect("its bit is set")))
        })
    }

    /// The position of a key in its slot.
    #[inline]
    pub(super) fn find(&self, slot: Slot, hash: u64, key: &[u8]) -> Option<usize> {
        self.slot(slot)?.table.find(hash, key)
    }

    /// The record at a position that was found.
    #[inline]
    pub(super) fn record(&self, slot: Slot, position: usize) -> Record<'_> {
        self.slot(slot).expect("the position was found").table.record(position)
    }

    /// The position of a key that expires as `due` says; of several the first by key.
    pub(super) fn find_due(&self, due: Due) -> Option<usize> {
        let mut first: Option<usize> = None;
        let table = &self.slot(due.slot)?.table;
        table.for_each_with_hash(due.hash, |position, record| {
            let earlier = first.is_none_or(|other| record.key() < table.record(other).key());
            if record.expires_at() == Some(due.at) && earlier {
                first = Some(position);
            }
        });
        first
    }

    /// The position of a hash whose earliest field expires as `due` says; of several the first by key.
    pub(super) fn find_field_due(&self, due: Due) -> Option<usize> {
        let mut first: Option<usize> = None;
        let table = self.slot(due.slot)?;
        table.table.for_each_with_hash(due.hash, |position, record| {
            let earlier = first.is_none_or(|other| record.key() < table.table.record(other).key());
            if let Payload::Large(index) = record.payload()
                && field_due(table.large(index)) == Some(due.at)
                && earlier
            {
                first = Some(position);
            }
        });
        first
    }

    /// The time of the last access of the key at a position.
    pub(super) fn clock(&self, slot: Slot, position: usize) -> u32 {
        self.slot(slot).expect("the position was found").table.entries()[position].clock()
    }

    /// A random live key, each with the same chance.
    pub(super) fn random(&self, now: UnixMs, rng: &mut Rng) -> Option<&[u8]> {
        if self.keys == 0 {
            return None;
        }
        let drawn = (0..RANDOM_TRIES).map(|_| self.nth(rng.below(self.keys))).find(|record| !record.is_expired(now));
        let any_live = || {
            let mut records = self.occupied_slots().flat_map(|(_, slot)| slot.table.entries()).map(Record::of);
            records.find(|record| !record.is_expired(now))
        };
        drawn.or_else(any_live).map(Record::key)
    }

    /// The record at a position among all keys.
    fn nth(&self, mut index: u64) -> Record<'_> {
        for (group, &count) in self.group_keys.iter().enumerate() {
            if index >= u64::from(count) {
                index -= u64::from(count);
                continue;
            }
            for slot in self.slots[group * GROUP..(group + 1) * GROUP].iter().flatten() {
                if index < slot.table.len() as u64 {
                    return slot.table.record(index as usize);
                }
                index -= slot.table.len() as u64;
            }
        }
        unreachable!("the counts of the groups add up to the number of keys")
    }

    // ---- writing ----

    /// A slot's table, to change it: every change of a slot comes through here, after the
    /// snapshots that still want the slot have got it.
    #[inline]
    fn slot_mut(&mut self, slot: Slot) -> &mut Option<Box<SlotTable>> {
        if !self.frozen.is_empty() {
            self.before_change(slot);
        }
        &mut self.slots[usize::from(slot.0)]
    }

    #[cold]
    fn before_change(&mut self, slot: Slot) {
        self.frozen.retain(|part| !part.is_over());
        let table = self.slots[usize::from(slot.0)].as_deref();
        for part in &self.frozen {
            part.freeze(slot, table);
        }
    }

    /// Makes room for keys of a slot that are about to be loaded.
    pub(super) fn reserve(&mut self, slot: Slot, keys: usize) {
        self.slot_mut(slot).get_or_insert_with(|| Box::new(SlotTable::with_capacity(keys)));
    }

    /// Sets a key that is at `position`, or is not there.
    pub(super) fn put(
        &mut self,
        (slot, hash, key): (Slot, u64, &[u8]),
        position: Option<usize>,
        expires_at: Option<UnixMs>,
        value: NewValue<'_>,
        clock: u32,
    ) {
        match position {
            Some(position) => self.replace((slot, hash, key), position, expires_at, value, clock),
            None => self.insert((slot, hash, key), expires_at, value, clock),
        }
    }

    fn insert(
        &mut self,
        (slot, hash, key): (Slot, u64, &[u8]),
        expires_at: Option<UnixMs>,
        value: NewValue<'_>,
        clock: u32,
    ) {
        let table = self.slot_mut(slot).get_or_insert_with(|| Box::new(SlotTable::with_capacity(0)));
        let mut fields_due = None;
        let (payload, large_bytes) = match value {
            NewValue::Inline(payload) => (payload, 0),
            NewValue::Large(large) => {
                let bytes = large.bytes();
                fields_due = field_due(&large);
                (Payload::Large(table.add_large(large)), bytes)
            }
        };
        let blob = record::create(key, expires_at, payload, clock);
        let bytes = record_bytes(&blob) + large_bytes;
        table.table.push(hash, blob);
        self.note_added(slot, bytes);
        self.change_expiry(slot, hash, None, expires_at);
        self.change_field_expiry(slot, hash, None, fields_due);
    }

    /// Adds a record that was made elsewhere, and its large value, unless its key is there;
    /// answers whether it was not. `make` gets the index of the large value.
    pub(super) fn load(
        &mut self,
        slot: Slot,
        key: &[u8],
        large: Option<Large>,
        make: impl FnOnce(Option<u32>) -> Blob,
    ) -> bool {
        let hash = hash_of(key);
        let table = self.slot_mut(slot).get_or_insert_with(|| Box::new(SlotTable::with_capacity(0)));
        if table.table.find(hash, key).is_some() {
            return false;
        }
        let fields_due = large.as_ref().and_then(field_due);
        let blob = make(large.map(|large| table.add_large(large)));
        let bytes = table.key_bytes(&blob);
        let expires_at = Record::of(&blob).expires_at();
        table.table.push(hash, blob);
        self.note_added(slot, bytes);
        self.change_expiry(slot, hash, None, expires_at);
        self.change_field_expiry(slot, hash, None, fields_due);
        true
    }

    /// Adds what a snapshot tells of a list later than of its beginning.
    pub(super) fn extend_list(&mut self, slot: Slot, key: &[u8], more: Box<Quicklist>) -> Extended {
        let Some(table) = self.slot_mut(slot) else { return Extended::NotThere(more) };
        let Some(position) = table.table.find(hash_of(key), key) else { return Extended::NotThere(more) };
        let Payload::Large(index) = table.table.record(position).payload() else { return Extended::OtherValue };
        let Large::List(list) = table.large_mut(index) else { return Extended::OtherValue };
        let before = list.bytes();
        list.extend(*more);
        let after = list.bytes();
        self.bytes = self.bytes - before + after;
        Extended::Done
    }

    fn note_added(&mut self, slot: Slot, bytes: usize) {
        let group = usize::from(slot.0) / GROUP;
        self.occupied[group] |= 1 << (usize::from(slot.0) % GROUP);
        self.group_keys[group] += 1;
        self.keys += 1;
        self.bytes += bytes;
    }

    fn replace(
        &mut self,
        (slot, hash, key): (Slot, u64, &[u8]),
        position: usize,
        expires_at: Option<UnixMs>,
        value: NewValue<'_>,
        clock: u32,
    ) {
        let table = self.slot_mut(slot).as_mut().expect("the position was found");
        let old = table.table.record(position);
        let old_expires_at = old.expires_at();
        let old_large = match old.payload() {
            Payload::Large(index) => Some(index),
            _ => None,
        };
        let mut freed = record_bytes(&table.table.entries()[position]);
        let (mut old_fields_due, mut fields_due) = (None, None);
        if let Some(index) = old_large {
            let large = table.take_large(index);
            freed += large.bytes();
            old_fields_due = field_due(&large);
            free(large);
        }
        let mut added = 0;
        let payload = match value {
            NewValue::Inline(payload) => payload,
            NewValue::Large(large) => {
                added += large.bytes();
                fields_due = field_due(&large);
                Payload::Large(table.add_large(large))
            }
        };
        let blob = table.table.blob_mut(position);
        record::replace(blob, key, expires_at, payload, clock);
        added += record_bytes(blob);
        self.bytes = self.bytes - freed + added;
        self.change_expiry(slot, hash, old_expires_at, expires_at);
        self.change_field_expiry(slot, hash, old_fields_due, fields_due);
    }

    /// Sets or clears the expiry of the key at `position`.
    pub(super) fn set_expiry(
        &mut self,
        (slot, hash, key): (Slot, u64, &[u8]),
        position: usize,
        expires_at: Option<UnixMs>,
    ) {
        let table = self.slot_mut(slot).as_mut().expect("the position was found");
        let blob = table.table.blob_mut(position);
        let old = Record::of(blob);
        let old_expires_at = old.expires_at();
        let new = record::create(key, expires_at, old.payload(), blob.clock());
        let freed = record_bytes(blob);
        let added = record_bytes(&new);
        *blob = new;
        self.bytes = self.bytes - freed + added;
        self.change_expiry(slot, hash, old_expires_at, expires_at);
    }

    /// Notes an access of the key at `position`.
    pub(super) fn touch(&self, slot: Slot, position: usize, clock: u32) {
        self.slot(slot).expect("the position was found").table.entries()[position].set_clock(clock);
    }

    /// Changes a large value in place and answers what `change` did.
    pub(super) fn change_large<T>(
        &mut self,
        slot: Slot,
        position: usize,
        index: u32,
        clock: u32,
        change: impl FnOnce(&mut Large) -> T,
    ) -> T {
        let table = self.slot_mut(slot).as_mut().expect("the position was found");
        table.table.entries()[position].set_clock(clock);
        let large = table.large_mut(index);
        let (freed, old_fields_due) = (large.bytes(), field_due(large));
        let result = change(large);
        let (added, fields_due) = (large.bytes(), field_due(large));
        self.bytes = self.bytes - freed + added;
        if old_fields_due != fields_due {
            let hash = hash_of(self.record(slot, position).key());
            self.change_field_expiry(slot, hash, old_fields_due, fields_due);
        }
        result
    }

    /// Removes the key at `position`.
    pub(super) fn remove(&mut self, slot: Slot, hash: u64, position: usize) {
        if let (_, Some(large)) = self.take(slot, hash, position) {
            free(large);
        }
    }

    /// Removes the key at `position` and gives out its record, and its value where that stands beside the record.
    pub(super) fn take(&mut self, slot: Slot, hash: u64, position: usize) -> (Blob, Option<Large>) {
        let place = self.slot_mut(slot);
        let table = place.as_mut().expect("the position was found");
        let blob = table.table.swap_remove(hash, position);
        let record = Record::of(&blob);
        let expires_at = record.expires_at();
        let large = match record.payload() {
            Payload::Large(index) => Some(table.take_large(index)),
            _ => None,
        };
        let freed = record_bytes(&blob) + large.as_ref().map_or(0, Large::bytes);
        let fields_due = large.as_ref().and_then(field_due);
        let group = usize::from(slot.0) / GROUP;
        if table.table.len() == 0 {
            *place = None;
            self.occupied[group] &= !(1 << (usize::from(slot.0) % GROUP));
        }
        self.group_keys[group] -= 1;
        self.keys -= 1;
        self.bytes -= freed;
        self.change_expiry(slot, hash, expires_at, None);
        self.change_field_expiry(slot, hash, fields_due, None);
        (blob, large)
    }

    /// The same for the index of hashes with fields that expire.
    fn change_field_expiry(&mut self, slot: Slot, hash: u64, old: Option<UnixMs>, new: Option<UnixMs>) {
        if old == new {
            return;
        }
        if let Some(at) = old {
            let due = Due { at, slot, hash };
            if self.find_field_due(due).is_none() {
                self.field_expiries.remove(due);
            }
        }
        if let Some(at) = new {
            self.field_expiries.insert(Due { at, slot, hash });
        }
    }

    /// Brings the index of expiries up to date after the record of a key has changed.
    fn change_expiry(&mut self, slot: Slot, hash: u64, old: Option<UnixMs>, new: Option<UnixMs>) {
        if old == new {
            return;
        }
        if let Some(at) = old {
            self.with_expiry -= 1;
            let due = Due { at, slot, hash };
            if self.find_due(due).is_none() {
                self.expiries.remove(due);
            }
        }
        if let Some(at) = new {
            self.with_expiry += 1;
            self.expiries.insert(Due { at, slot, hash });
        }
    }

    // ---- snapshots ----

    /// Promises a snapshot the slots as they are now.
    pub(super) fn freeze_for(&mut self, part: Arc<Part>) {
        self.frozen.retain(|part| !part.is_over());
        self.frozen.push(part);
    }

    /// Whether the database holds the slots of a part of a snapshot.
    pub(super) fn is_frozen_for(&self, part: &Arc<Part>) -> bool {
        self.frozen.iter().any(|other| Arc::ptr_eq(other, part))
    }

    /// Ends the database: snapshots that are not done with it get it, otherwise it is freed.
    pub(super) fn retire(mut self: Box<Self>) {
        let mut parts = std::mem::take(&mut self.frozen);
        parts.retain(|part| !part.is_over());
        if !parts.is_empty() {
            let shared = Arc::new(*self);
            for part in parts {
                part.take_over(Arc::clone(&shared));
            }
        } else if self.keys >= super::LAZY_FREE_MIN_ITEMS as u64 {
            super::free_later(self);
        }
    }
}

fn free(large: Large) {
    if large.is_slow_to_free() {
        super::free_later(large);
    }
}
