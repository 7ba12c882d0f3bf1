//! Reads ahead for a batch of look-ups.
//!
//! A look-up in a large store reads four places in memory, each of which tells where the next is:
//! the slot's table, its index, its entries, the record. None is in the processor's caches, and
//! one look-up after the other waits for memory four times. Reading the same step of several
//! keys in a row lets the processor wait for all of them at once. A field or member of a large value takes the
//! same steps again, in the value's own table.

use std::hint::black_box;

use super::HashEngine;
use super::blob::Blob;
use super::dense::{DenseTable, hash_of};
use super::record::{Payload, Record};
use super::slot_table::{Large, SlotTable};
use crate::limits::LOOK_AHEAD_COMMANDS_MAX;
use crate::storage::LookUp;

type Of<T> = [Option<T>; LOOK_AHEAD_COMMANDS_MAX];

/// Reads what the first [`LOOK_AHEAD_COMMANDS_MAX`] look-ups will read.
pub(super) fn read(engine: &HashEngine, look_ups: &[LookUp<'_>]) {
    let mut slots: Of<&SlotTable> = [None; LOOK_AHEAD_COMMANDS_MAX];
    let mut tables: Of<(&DenseTable, u64)> = [None; LOOK_AHEAD_COMMANDS_MAX];
    for ((look_up, slot), table) in look_ups.iter().zip(&mut slots).zip(&mut tables) {
        let at = look_up.at;
        *slot = engine.database(at.db).and_then(|database| database.slot(at.slot));
        *table = slot.map(|slot| (&slot.table, hash_of(at.key)));
    }
    let blobs = records(&tables);
    let mut any = false;
    for (((look_up, slot), blob), table) in look_ups.iter().zip(slots).zip(blobs).zip(&mut tables) {
        *table = None;
        if let (Some(member), Some(slot), Some(blob)) = (look_up.member, slot, blob)
            && let Payload::Large(index) = Record::of(blob).payload()
        {
            *table = slot.large(index).members().map(|table| (table, hash_of(member)));
            any |= table.is_some();
        }
    }
    if any {
        records(&tables);
    }
}

/// Reads the tables, and in each the record with a hash.
fn records<'e>(tables: &Of<(&'e DenseTable, u64)>) -> Of<&'e Blob> {
    let mut read = 0;
    for (table, _) in tables.iter().flatten() {
        read += table.len();
    }
    black_box(read);
    let mut blobs = [None; LOOK_AHEAD_COMMANDS_MAX];
    for (table, blob) in tables.iter().zip(&mut blobs) {
        *blob = table.and_then(|(table, hash)| table.candidate(hash));
    }
    for blob in blobs.iter().flatten() {
        read ^= blob.address();
    }
    black_box(read);
    for blob in blobs.iter().flatten() {
        read += usize::from(blob.bytes().last().copied().unwrap_or_default());
    }
    black_box(read);
    blobs
}

/// Blobs that are read at once by a walk over many.
const WALK_AHEAD: usize = 16;

/// All blobs in order, each read before it is asked for, together with its neighbours.
pub(super) fn walk(blobs: &[Blob]) -> impl Iterator<Item = &Blob> {
    blobs.chunks(WALK_AHEAD).flat_map(|group| {
        let mut read = 0;
        for blob in group {
            read += blob.len();
        }
        black_box(read);
        for blob in group {
            read += usize::from(blob.bytes().last().copied().unwrap_or_default());
        }
        black_box(read);
        group
    })
}

impl Large {
    /// The table of fields or members, where the value has one.
    fn members(&self) -> Option<&DenseTable> {
        match self {
            Self::Hash(hash) => Some(hash.table()),
            Self::Set(set) => Some(set.table()),
            Self::Zset(zset) => Some(zset.table()),
            Self::String(_) | Self::List(_) | Self::Stream(_) => None,
        }
    }
}
