//! Snapshots of the engine beside writes, without fork and without a copy of the data.
//!
//! Beginning one costs nothing: each database notes a [`Part`], with a bit for every slot that is
//! done. From then on two sides serialise slots, each slot once:
//! - the snapshot's own task, a few slots at a time under the shard's read lock
//!   ([`HashSnapshot::serialise_slot`]);
//! - every write, just before it first changes a slot ([`Part::freeze`]).
//!
//! So each slot is written as it was at the beginning. A database that is flushed meanwhile is
//! handed to the part whole, and read from there. Databases that are swapped take their parts along.
//!
//! A write waits for one slot to be serialised, at about a gigabyte a second. A slot of 61 keys of
//! 80 bytes takes it some microseconds, a hash of a million small fields a tenth of a second: the
//! largest single slot is the bound. Large lists, queues above all, are not serialised: the snapshot shares their chunks, and
//! a write copies the chunk it changes. The queue between both sides holds what writes have
//! serialised and the task has not yet drained; at worst, with the task stalled, the data set.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::HashEngine;
use super::chunk::{self, ChunkWriter, Piece};
use super::database::Database;
use super::slot_table::SlotTable;
use crate::types::{Db, SLOT_COUNT, Slot};

/// Bytes after which one step of the walk ends, so that the lock is held for well under a
/// millisecond unless a single slot is larger.
const STEP_BYTES: usize = 64 * 1024;

/// What all parts of a snapshot share.
#[derive(Default)]
struct Shared {
    writer: Mutex<ChunkWriter>,
    /// The snapshot was finished or abandoned: nothing wants the slots any more.
    over: AtomicBool,
}

/// One database as of the beginning of a snapshot.
pub(super) struct Part {
    /// Its number at that time.
    db: Db,
    /// A bit for each slot that was serialised, or had no keys.
    done: Vec<AtomicU64>,
    shared: Arc<Shared>,
    /// The database itself, if it was flushed since.
    retired: Mutex<Option<Arc<Database>>>,
}

impl Part {
    /// Whether nothing wants the slots any more.
    pub(super) fn is_over(&self) -> bool {
        self.shared.over.load(Ordering::Relaxed)
    }

    /// Serialises a slot unless that was done; answers the bytes written.
    pub(super) fn freeze(&self, slot: Slot, table: Option<&SlotTable>) -> usize {
        // The shard's lock orders the walk and the writes: they are never here at once.
        let word = &self.done[usize::from(slot.0) / 64];
        let bit = 1 << (slot.0 % 64);
        if word.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return 0;
        }
        table.map_or(0, |table| self.shared.writer.lock().write_slot(self.db, slot, table))
    }

    /// Takes a database that leaves the engine.
    pub(super) fn take_over(&self, database: Arc<Database>) {
        *self.retired.lock() = Some(database);
    }
}

/// Where the walk of a snapshot goes on. The default is its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotCursor {
    part: usize,
    slot: usize,
}

/// A snapshot being taken. Dropping it before [`finish`](Self::finish) abandons it.
pub struct HashSnapshot {
    parts: Vec<Arc<Part>>,
    shared: Arc<Shared>,
    walked: AtomicBool,
}

impl HashSnapshot {
    /// Begins with the databases that have keys.
    pub(super) fn begin<'d>(databases: impl Iterator<Item = (Db, &'d mut Database)>) -> Self {
        let shared = Arc::new(Shared::default());
        let mut parts = Vec::new();
        for (db, database) in databases {
            let done = (0..usize::from(SLOT_COUNT) / 64).map(|_| AtomicU64::new(0)).collect();
            let part = Arc::new(Part { db, done, shared: Arc::clone(&shared), retired: Mutex::new(None) });
            database.freeze_for(Arc::clone(&part));
            parts.push(part);
        }
        Self { parts, shared, walked: AtomicBool::new(false) }
    }

    /// Serialises some slots from `next` on, at least one if any is left. Answers where to go on,
    /// or `None` when all are done.
    ///
    /// # Panics
    /// When `engine` is not the one the snapshot was begun on.
    pub fn serialise_slot(&self, engine: &HashEngine, next: SlotCursor) -> Option<SlotCursor> {
        let SlotCursor { mut part, mut slot } = next;
        let mut written = 0;
        while let Some(current) = self.parts.get(part) {
            let retired = current.retired.lock().clone();
            let database = retired.as_deref().or_else(|| engine.database_of(current));
            let database = database.expect("a database is in its engine or was handed over");
            while let Some(occupied) = database.next_occupied(slot) {
                written += current.freeze(occupied, database.slot(occupied));
                slot = usize::from(occupied.0) + 1;
                if written >= STEP_BYTES {
                    return Some(SlotCursor { part, slot });
                }
            }
            part += 1;
            slot = 0;
        }
        self.walked.store(true, Ordering::Relaxed);
        None
    }

    /// Whether the last value in a chunk goes on in the next.
    pub fn is_unfinished(chunk: &[u8]) -> bool {
        chunk::is_unfinished(chunk)
    }

    /// Takes the full chunks out of the queue, to write them out. Their order matters.
    pub fn drain(&self) -> impl Iterator<Item = Vec<u8>> + use<> {
        let pieces = self.shared.writer.lock().take_full();
        pieces.into_iter().flat_map(Piece::into_chunks)
    }

    /// Ends the snapshot and gives out the last chunks.
    ///
    /// # Panics
    /// When [`serialise_slot`](Self::serialise_slot) has not answered that all is done.
    pub fn finish(self) -> impl Iterator<Item = Vec<u8>> + use<> {
        assert!(self.walked.load(Ordering::Relaxed), "a snapshot is finished after its walk");
        self.shared.over.store(true, Ordering::Relaxed);
        let pieces = self.shared.writer.lock().take();
        pieces.into_iter().flat_map(Piece::into_chunks)
    }
}

impl Drop for HashSnapshot {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        // The engine lets go of the parts at its next writes. What they hold is freed here.
        self.shared.writer.lock().take();
        for part in &self.parts {
            part.retired.lock().take();
        }
    }
}
