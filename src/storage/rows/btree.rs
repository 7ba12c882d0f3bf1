//! Rows in LMDB.
//!
//! `NO_META_SYNC` without `WRITE_MAP`: a commit waits until its pages are on the disk, but not for the page that
//! points to them. So a crash of the machine costs at most the last commit, which the raft log has, and the
//! file is sound whatever happens. Without any sync a crash of the machine could leave a file of which nothing
//! is readable, and the log before the last snapshot is gone by then.
//!
//! The file is read through a map without read-ahead: what is in memory is up to the kernel, and it may be a small
//! part of the file.
//!
//! Read transactions are not bound to threads, so that a read may be on any thread, and are kept for the
//! next read until something is written: opening one costs more than looking up a row. A kept
//! transaction would stop LMDB from reusing pages, hence all are dropped before a write.

use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, MdbError, RoTxn, WithoutTls};
use parking_lot::Mutex;

use super::format::RowRange;
use super::frozen::{BTreeRows, FrozenRows};
use super::lmdb::open_environment;
use super::options::RowOptions;
use super::pinned;
use super::store::{OrderedStore, Rows, StoreView, VisitRow};
use crate::storage::value::EngineUsage;
use crate::storage::{StorageError, StorageResult, SyncJob};

pub(super) type RowTable = Database<'static, Bytes, Bytes>;
type ReadTransaction = RoTxn<'static, WithoutTls>;

/// Most read transactions kept for later reads.
const KEPT_READS_MAX: usize = 16;

/// With less room than this a write that was cut short was cut short for lack of room.
const FULL_DISK_BYTES: u64 = 8 << 20;

/// An LMDB directory.
pub(super) struct BTreeStore {
    // First, so that it is dropped first: the environment must outlive its transactions.
    kept_reads: Mutex<Vec<ReadTransaction>>,
    env: Env<WithoutTls>,
    table: RowTable,
    directory: PathBuf,
}

impl BTreeStore {
    /// Opens or creates the environment in a directory.
    pub(super) fn open(path: &Path, options: &RowOptions) -> StorageResult<Self> {
        std::fs::create_dir_all(path)?;
        let env = open_environment(path, options)?;
        let table = env
            .open_databases_and_commit(env.read_txn()?, |opener, read| {
                opener.open_database::<Bytes, Bytes>(read, None).map(CommitOrAbort::<_, ()>::Commit)
            })?
            .commit()
            .flatten()
            .ok_or_else(|| StorageError::Corrupt {
                what: "B+ tree engine",
                detail: "the environment has no main table".to_owned(),
            })?;
        Ok(Self { kept_reads: Mutex::default(), env, table, directory: path.to_owned() })
    }

    fn explain(&self, error: heed::Error) -> StorageError {
        if matches!(&error, heed::Error::Io(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()))
            && self.disk_is_full()
        {
            // LMDB's word for a write that the disk took only a part of.
            return StorageError::Io(io::Error::from(io::ErrorKind::StorageFull));
        }
        if !matches!(error, heed::Error::Mdb(MdbError::MapFull)) {
            return StorageError::BTree(error);
        }
        let map_bytes = self.env.info().map_size;
        let text = format!("the B+ tree file has reached its limit of {map_bytes} bytes (MDB_MAP_FULL)");
        StorageError::Io(io::Error::new(io::ErrorKind::StorageFull, text))
    }

    fn disk_is_full(&self) -> bool {
        rustix::fs::statvfs(&self.directory)
            .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < FULL_DISK_BYTES)
    }

    fn write_in_transaction(&self, rows: &Rows, removed: &[RowRange]) -> heed::Result<()> {
        let mut write = self.env.write_txn()?;
        for range in removed {
            let bounds = (Bound::Included(&range.start[..]), Bound::Excluded(&range.end[..]));
            self.table.delete_range(&mut write, &bounds)?;
        }
        for (row, value) in rows {
            match value {
                Some(value) => self.table.put(&mut write, row, value)?,
                None => {
                    self.table.delete(&mut write, row)?;
                }
            }
        }
        write.commit()
    }
}

impl OrderedStore for BTreeStore {
    fn view(&self) -> StorageResult<Box<dyn StoreView + '_>> {
        let kept = self.kept_reads.lock().pop();
        let read = match kept {
            Some(read) => read,
            None => self.env.clone().static_read_txn()?,
        };
        Ok(Box::new(BTreeView { store: self, read: Some(read) }))
    }

    fn write(&self, rows: &Rows, removed: &[RowRange]) -> StorageResult<()> {
        self.kept_reads.lock().clear();
        self.write_in_transaction(rows, removed).map_err(|error| self.explain(error))
    }

    fn sync_job(&self) -> SyncJob {
        let env = self.env.clone();
        Box::new(move || Ok(env.force_sync()?))
    }

    fn removes_ranges_cheaply(&self) -> bool {
        false
    }

    fn freeze(&self) -> StorageResult<Box<dyn FrozenRows>> {
        Ok(Box::new(BTreeRows::freeze(&self.env, self.table)?))
    }

    fn pin(&self) -> StorageResult<Box<dyn OrderedStore>> {
        pinned::pin_btree(&self.env, self.table)
    }

    fn usage(&self) -> EngineUsage {
        // Pages are the kernel's cache, not this process' memory.
        EngineUsage { memory_bytes: 0, disk_bytes: self.env.real_disk_size().unwrap_or(0) }
    }
}

struct BTreeView<'a> {
    store: &'a BTreeStore,
    read: Option<ReadTransaction>,
}

impl BTreeView<'_> {
    fn read(&self) -> &ReadTransaction {
        self.read.as_ref().expect("only drop takes it")
    }
}

impl Drop for BTreeView<'_> {
    fn drop(&mut self) {
        let mut kept = self.store.kept_reads.lock();
        if kept.len() < KEPT_READS_MAX {
            kept.extend(self.read.take());
        }
    }
}

impl StoreView for BTreeView<'_> {
    fn get(&self, row: &[u8], found: &mut dyn FnMut(&[u8])) -> StorageResult<()> {
        if let Some(value) = self.store.table.get(self.read(), row)? {
            found(value);
        }
        Ok(())
    }

    fn walk(&self, start: &[u8], end: &[u8], reverse: bool, visit: &mut VisitRow<'_>) -> StorageResult<()> {
        walk_table(&self.store.table, self.read(), (start, end), reverse, visit)
    }
}

/// Visits the rows between two bounds.
pub(super) fn walk_table(
    table: &RowTable,
    read: &ReadTransaction,
    (start, end): (&[u8], &[u8]),
    reverse: bool,
    visit: &mut VisitRow<'_>,
) -> StorageResult<()> {
    let bounds = (Bound::Included(start), Bound::Excluded(end));
    if reverse {
        for item in table.rev_range(read, &bounds)? {
            let (row, value) = item?;
            if !visit(row, value)? {
                break;
            }
        }
    } else {
        for item in table.range(read, &bounds)? {
            let (row, value) = item?;
            if !visit(row, value)? {
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_map_says_so_and_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let options = RowOptions { btree_map_bytes: 1 << 20, ..RowOptions::default() };
        let store = BTreeStore::open(dir.path(), &options).unwrap();
        let row = |key: &[u8], bytes: usize| Rows::from([(key.to_vec(), Some(vec![7; bytes]))]);
        store.write(&row(b"small", 100), &[]).unwrap();
        let error = store.write(&row(b"large", 2 << 20), &[]).unwrap_err();
        assert!(error.to_string().contains("limit of 1048576 bytes"), "{error}");
        store.write(&row(b"other", 100), &[]).unwrap();
        let view = store.view().unwrap();
        let mut rows = Vec::new();
        view.walk(b"a", b"z", false, &mut |row, _| {
            rows.push(row.to_vec());
            Ok(true)
        })
        .unwrap();
        assert_eq!(rows, [b"other".to_vec(), b"small".to_vec()]);
    }
}
