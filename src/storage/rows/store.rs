//! What rows need of an ordered key-value store.

use std::collections::BTreeMap;

use super::format::RowRange;
use super::frozen::FrozenRows;
use crate::storage::value::EngineUsage;
use crate::storage::{StorageResult, SyncJob};

/// Rows to write: a value, or `None` to remove the row.
pub(super) type Rows = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Called with a row and its value; answers whether to go on.
pub(super) type VisitRow<'v> = dyn FnMut(&[u8], &[u8]) -> StorageResult<bool> + 'v;

/// An ordered key-value store with atomic batches.
pub(super) trait OrderedStore: Send + Sync {
    /// A view to read from. No batch is written while one is alive, so all views are alike.
    fn view(&self) -> StorageResult<Box<dyn StoreView + '_>>;
    /// Removes the ranges and then writes the rows, all or nothing, visible to views opened afterwards
    /// and to the next process after a crash of this one (LSM: at the latest once a sync job has run).
    fn write(&self, rows: &Rows, removed: &[RowRange]) -> StorageResult<()>;
    /// Makes everything written so far durable. Runs without any lock, also beside reads and writes.
    fn sync_job(&self) -> SyncJob;
    /// Whether removing a range costs about as much as removing one row.
    fn removes_ranges_cheaply(&self) -> bool;
    /// All rows as of now, to be read later.
    fn freeze(&self) -> StorageResult<Box<dyn FrozenRows>>;
    /// The store as it is now, to be read only; not every store has a past.
    fn pin(&self) -> StorageResult<Box<dyn OrderedStore>> {
        Err(std::io::Error::from(std::io::ErrorKind::Unsupported).into())
    }
    /// Bytes in memory and on disk.
    fn usage(&self) -> EngineUsage;
}

/// Reads of one engine call.
pub(super) trait StoreView: Send {
    /// Passes the value of a row to `found`, if the row is there.
    fn get(&self, row: &[u8], found: &mut dyn FnMut(&[u8])) -> StorageResult<()>;
    /// Visits the rows from `start` to before `end` in order, or in the opposite one.
    fn walk(&self, start: &[u8], end: &[u8], reverse: bool, visit: &mut VisitRow<'_>) -> StorageResult<()>;
}
