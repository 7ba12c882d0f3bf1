//! The hash engine: a shard's keys in memory, by hash slot.
//!
//! ```text
//! HashEngine -> Database (one per number, made on first use)
//!            -> SlotTable (one per slot with keys)  = DenseTable + large values
//!            -> Blob (one block of memory per key)  = record: tag, expiry, key, value
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `blob` | bytes behind one thin pointer; with `slab` the only unsafe code |
//! | `slab` | memory for blobs, in steps of four bytes |
//! | `record` | the bytes of a key with its value |
//! | `compact` | a small hash inside its key's record |
//! | `dense` | records in order, found by key |
//! | `fields` | large hashes, and the read view of all hashes |
//! | `compact_zset`, `sorted`, `ranking` | sorted sets: small, large, and the order of large ones |
//! | `slot_table` | the keys of a slot |
//! | `expiry` | keys in order of expiry |
//! | `database` | the slots of a database, its counts, and the gate that all changes pass |
//! | `engine` | the [`Engine`](super::Engine) interface |
//! | `hashes` | its writes of hashes |
//! | `lists` | lists: the small form, the read view and the writes |
//! | `packed` | elements of a list as bytes that are read from both ends |
//! | `quicklist` | a large list |
//! | `hashes`, `zsets` | its writes of hashes and of sorted sets |
//! | `stream` | one stream: packed entries, groups |
//! | `streams` | the engine's interface to streams |
//! | `field_expiry` | fields that expire |
//! | `small_set` | a small set inside its key's record |
//! | `set_members` | large sets, and the read view of all sets |
//! | `sets` | the engine's operations of sets |
//! | `chunk`, `snapshot` | serialised slots, beside writes |
//!
//! # Invariants
//! - The order of keys in a slot and of fields in a hash depends on the history of writes alone, and
//!   a snapshot keeps it: replicas iterate alike.
//! - A slot changes only through `Database::slot_mut`, which first serves running snapshots.
//! - A hash that has become large stays so until its key goes.
//!
//! Key hashes have a fixed seed: nothing here is random, and the order of expiry follows from them.

#[allow(unsafe_code, reason = "a header and bytes behind one thin pointer; see the module")]
mod blob;
mod chunk;
mod compact;
mod compact_zset;
mod database;
mod dense;
mod engine;
mod expiry;
mod field_expiry;
mod fields;
mod hashes;
mod lists;
mod packed;
mod prefetch;
mod quicklist;
mod ranking;
mod record;
mod set_members;
mod sets;
#[allow(unsafe_code, reason = "hands out memory; see the module")]
mod slab;
mod slot_table;
mod small_set;
mod snapshot;
mod sorted;
mod stream;
mod streams;
#[cfg(test)]
mod tests;
mod transfer;
mod zsets;

use std::sync::Arc;

pub use fields::HashFields;
pub use lists::ListElements;
pub use set_members::SetMembers;
pub use slab::idle_bytes;
pub use snapshot::{HashSnapshot, SlotCursor};
pub use sorted::SortedSet;
pub(in crate::storage) use stream::MemoryStream;

use self::database::Database;
use self::snapshot::Part;
use super::{EncodingSettings, StorageResult};
use crate::types::{Db, Slot, UnixMs};

/// Keys or fields from which what holds them is freed by another thread.
const LAZY_FREE_MIN_ITEMS: usize = 4096;

/// Longest string that stands in its key's record. Longer ones stand beside it, so that a change
/// of the expiry does not copy them.
const INLINE_MAX_BYTES: usize = 16 * 1024;

/// Longest edited string that stands in its key's record. Longer ones keep their room to grow.
const INLINE_EDITED_MAX_BYTES: usize = 256;

/// Databases by number.
type Databases = Vec<Option<Box<Database>>>;

/// The hash engine of one shard.
pub struct HashEngine {
    databases: Databases,
    encoding: EncodingSettings,
    /// Time of the last write, for keys that come without one. In seconds.
    clock: u32,
    /// Room to build compact hashes in.
    scratch: Vec<u8>,
}

impl HashEngine {
    /// An empty engine.
    pub fn new(encoding: EncodingSettings) -> Self {
        Self { databases: Vec::new(), encoding, clock: 0, scratch: Vec::new() }
    }

    /// The thresholds of the compact encodings.
    pub fn encoding_settings(&self) -> &EncodingSettings {
        &self.encoding
    }

    /// Removes all keys of all databases.
    pub fn clear(&mut self) {
        for database in self.databases.drain(..).flatten() {
            database.retire();
        }
    }

    /// Tells the time to engines that are loaded before the first write, so that idle times count
    /// from there.
    pub fn set_clock(&mut self, now: UnixMs) {
        self.clock = clock_of(now);
    }

    /// Begins a snapshot of the state as it is now. Several may run at once.
    pub fn begin_snapshot(&mut self) -> HashSnapshot {
        let databases = self.databases.iter_mut().enumerate();
        HashSnapshot::begin(databases.filter_map(|(number, database)| {
            Some((Db(number as u16), database.as_deref_mut()?)).filter(|(_, database)| database.len() > 0)
        }))
    }

    /// Adds the keys of one chunk of a snapshot. Loaded into an empty engine, all chunks of a
    /// snapshot in order give its state with all orders the same.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are not a chunk or name a key that is there already; keys before
    /// the damage are there then.
    pub fn load_chunk(&mut self, chunk: &[u8]) -> StorageResult<()> {
        chunk::load(chunk, self.clock, &mut self.databases)
    }

    /// Number of keys in a slot of a database, expired ones included.
    pub fn keys_in_slot(&self, db: Db, slot: Slot) -> usize {
        self.database(db).and_then(|database| database.slot(slot)).map_or(0, |slot| slot.table.len())
    }

    #[inline]
    fn database(&self, db: Db) -> Option<&Database> {
        self.databases.get(usize::from(db.0))?.as_deref()
    }

    /// The database that holds the slots of a part of a snapshot.
    fn database_of(&self, part: &Arc<Part>) -> Option<&Database> {
        self.databases.iter().flatten().map(Box::as_ref).find(|database| database.is_frozen_for(part))
    }
}

/// A database, made if it is not there.
#[inline]
fn database_mut(databases: &mut Databases, db: Db) -> &mut Database {
    let index = usize::from(db.0);
    if databases.len() <= index {
        databases.resize_with(index + 1, || None);
    }
    databases[index].get_or_insert_with(|| Box::new(Database::new()))
}

/// A time as access clocks count it: in seconds since the epoch.
#[inline]
fn clock_of(now: UnixMs) -> u32 {
    u32::try_from(now.0.max(0) / 1000).unwrap_or(u32::MAX)
}

/// Frees something on another thread.
fn free_later<T: Send + 'static>(garbage: T) {
    // If no thread can be had, the closure is dropped at once, and the garbage with it.
    let _ = std::thread::Builder::new().name("lazyfree".to_owned()).spawn(move || drop(garbage));
}
