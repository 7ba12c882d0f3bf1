//! Reads ahead for a batch of keys.
//!
//! A look-up in a large store reads four places in memory, each of which tells where the next is:
//! the slot's table, its index, its entries, the record. None is in the processor's caches, and
//! one look-up after the other waits for memory four times. Reading the same step of several
//! keys in a row lets the processor wait for all of them at once.

use std::hint::black_box;

use super::HashEngine;
use super::blob::Blob;
use super::dense::hash_of;
use super::slot_table::SlotTable;
use crate::limits::LOOK_AHEAD_COMMANDS_MAX;
use crate::storage::Address;

/// Reads what look-ups of the first [`LOOK_AHEAD_COMMANDS_MAX`] keys will read.
pub(super) fn keys(engine: &HashEngine, keys: &[Address<'_>]) {
    let mut tables: [Option<&SlotTable>; LOOK_AHEAD_COMMANDS_MAX] = [None; LOOK_AHEAD_COMMANDS_MAX];
    let mut hashes = [0u64; LOOK_AHEAD_COMMANDS_MAX];
    for ((key, table), hash) in keys.iter().zip(&mut tables).zip(&mut hashes) {
        *table = engine.database(key.db).and_then(|database| database.slot(key.slot));
        *hash = hash_of(key.key);
    }
    let mut read = 0;
    for table in tables.iter().flatten() {
        read += table.table.len();
    }
    black_box(read);
    let mut blobs: [Option<&Blob>; LOOK_AHEAD_COMMANDS_MAX] = [None; LOOK_AHEAD_COMMANDS_MAX];
    for ((table, hash), blob) in tables.iter().zip(hashes).zip(&mut blobs) {
        *blob = table.and_then(|table| table.table.candidate(hash));
    }
    for blob in blobs.iter().flatten() {
        read ^= blob.address();
    }
    black_box(read);
    for blob in blobs.iter().flatten() {
        read += usize::from(blob.bytes().last().copied().unwrap_or_default());
    }
    black_box(read);
}
