//! Stores as they were at one moment, to read whole values from beside service.
//!
//! What [`frozen`](super::frozen) copies are rows; here an engine of its own reads them, and so gives values.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use heed::{Env, RoTxn, WithoutTls};
use parking_lot::ReentrantMutex;
use rocksdb::{DB, ReadOptions, SnapshotWithThreadMode};

use super::btree::{RowTable, walk_table};
use super::format::RowRange;
use super::frozen::FrozenRows;
use super::lsm::walk_rows;
use super::store::{OrderedStore, Rows, StoreView, VisitRow};
use crate::storage::value::EngineUsage;
use crate::storage::{StorageError, StorageResult, SyncJob};

/// Reads of one moment.
trait Pinned: Send + Sync {
    fn get(&self, row: &[u8], found: &mut dyn FnMut(&[u8])) -> StorageResult<()>;
    fn walk(&self, start: &[u8], end: &[u8], reverse: bool, visit: &mut VisitRow<'_>) -> StorageResult<()>;
}

/// A store that only shows what was there at one moment.
struct PinnedStore<P>(P);

impl<P: Pinned> OrderedStore for PinnedStore<P> {
    fn view(&self) -> StorageResult<Box<dyn StoreView + '_>> {
        Ok(Box::new(PinnedView(&self.0)))
    }

    fn write(&self, _rows: &Rows, _removed: &[RowRange]) -> StorageResult<()> {
        Err(read_only())
    }

    fn sync_job(&self) -> SyncJob {
        Box::new(|| Ok(()))
    }

    fn removes_ranges_cheaply(&self) -> bool {
        false
    }

    fn freeze(&self) -> StorageResult<Box<dyn FrozenRows>> {
        Err(read_only())
    }

    fn usage(&self) -> EngineUsage {
        EngineUsage::default()
    }
}

fn read_only() -> StorageError {
    StorageError::Io(std::io::Error::new(std::io::ErrorKind::ReadOnlyFilesystem, "the past cannot be changed"))
}

struct PinnedView<'a, P>(&'a P);

impl<P: Pinned> StoreView for PinnedView<'_, P> {
    fn get(&self, row: &[u8], found: &mut dyn FnMut(&[u8])) -> StorageResult<()> {
        self.0.get(row, found)
    }

    fn walk(&self, start: &[u8], end: &[u8], reverse: bool, visit: &mut VisitRow<'_>) -> StorageResult<()> {
        self.0.walk(start, end, reverse, visit)
    }
}

/// A snapshot of RocksDB. It borrows the database in the crate's types, which nothing that outlives the call
/// that made it could hold.
struct PinnedLsm {
    snapshot: ManuallyDrop<SnapshotWithThreadMode<'static, DB>>,
    db: Arc<DB>,
}

/// RocksDB as it is now.
pub(super) fn pin_lsm(db: Arc<DB>) -> Box<dyn OrderedStore> {
    let snapshot = db.snapshot();
    // SAFETY: only the lifetime changes. The snapshot refers to the DB on the heap behind the Arc that is stored
    // beside it, which nothing moves, and `drop` lets go of the snapshot before the Arc.
    let snapshot =
        unsafe { std::mem::transmute::<SnapshotWithThreadMode<'_, DB>, SnapshotWithThreadMode<'static, DB>>(snapshot) };
    Box::new(PinnedStore(PinnedLsm { snapshot: ManuallyDrop::new(snapshot), db }))
}

impl Drop for PinnedLsm {
    fn drop(&mut self) {
        // SAFETY: it is dropped here only, and not used afterwards.
        unsafe { ManuallyDrop::drop(&mut self.snapshot) };
    }
}

impl Pinned for PinnedLsm {
    fn get(&self, row: &[u8], found: &mut dyn FnMut(&[u8])) -> StorageResult<()> {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        if let Some(value) = self.db.get_pinned_opt(row, &options)? {
            found(&value);
        }
        Ok(())
    }

    fn walk(&self, start: &[u8], end: &[u8], reverse: bool, visit: &mut VisitRow<'_>) -> StorageResult<()> {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        // Everything is read once: what clients use stays in the cache.
        options.fill_cache(false);
        walk_rows(&self.db, options, (start, end), reverse, visit)
    }
}

/// A read transaction of LMDB. The file grows while it lives, as the pages it sees are not used again.
struct PinnedBTree {
    // Walks read other rows on their way, on the same thread.
    read: ReentrantMutex<RoTxn<'static, WithoutTls>>,
    table: RowTable,
}

/// LMDB as it is now.
pub(super) fn pin_btree(env: &Env<WithoutTls>, table: RowTable) -> StorageResult<Box<dyn OrderedStore>> {
    let read = ReentrantMutex::new(env.clone().static_read_txn()?);
    Ok(Box::new(PinnedStore(PinnedBTree { read, table })))
}

impl Pinned for PinnedBTree {
    fn get(&self, row: &[u8], found: &mut dyn FnMut(&[u8])) -> StorageResult<()> {
        if let Some(value) = self.table.get(&self.read.lock(), row)? {
            found(value);
        }
        Ok(())
    }

    fn walk(&self, start: &[u8], end: &[u8], reverse: bool, visit: &mut VisitRow<'_>) -> StorageResult<()> {
        walk_table(&self.table, &self.read.lock(), (start, end), reverse, visit)
    }
}
