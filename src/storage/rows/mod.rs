//! Values as rows over an ordered key-value store: the LSM engine (RocksDB) and the B+ tree engine
//! (LMDB).
//!
//! [`RowEngine`] implements every operation once over `store::OrderedStore`, which `lsm` and `btree`
//! implement. [`format`] draws the rows.
//!
//! # Why the rows are what they are
//! - A collection's elements carry its *version*, not its key: deleting a huge hash removes one row
//!   and notes the version as garbage, renaming would not touch elements, and long keys are not repeated.
//!   Versions are drawn from a counter that is never reused and is stored with the applied index, so that
//!   replaying a log gives the same ones.
//! - Rows of keys carry a *physical* database number: emptying a database gives it a new number and
//!   exchanging two databases exchanges theirs, both at once however many keys there are.
//! - In the LSM tree keys are ordered by slot and hash, which makes work on slots cheap and gives SCAN
//!   cursors that are positions: no state between steps, and a key that stays is met once whatever
//!   else changes. The B+ tree orders keys by their bytes, for range commands, and has a slot index beside.
//! - An expiry index per physical database is ordered by time, so that a sweep costs what it removes, and
//!   it dies with its database.
//! - Lists, and the order of sorted sets, are `counted` trees, whose nodes are rows under the version: an index or a
//!   rank is a few look-ups away, and a queue never iterates over the rows that it removed.
//!
//! # Writing
//! Rows go to an `overlay` first. [`Engine::commit`] marks the end of a log
//! entry; when the overlay has become large it is written together with the counters and the applied index
//! as one atomic batch. So the files always hold the state as of the end of an entry, and say of which.
//! An error of the files leaves the overlay as it was, and the next commit tries again.
//!
//! # Garbage
//! Rows of dead collections and databases are removed a bounded number at a time: a few with each
//! commit, more with [`RowEngine::sweep`], which a shard's ticker calls. They are never read, so replicas
//! may be at different points of it.
//!
//! # Crashes
//! After any crash, of the process or of the machine, RocksDB's files and LMDB's are a prefix of the history.
//! What they lack the raft log has, from [`applied`](crate::storage::Engine::applied) on.
//!
//! # Limits
//! - Keys that share their first 400 bytes and are longer are ordered by their digest in the files. The
//!   range commands sort such a group in memory.
//! - A hash's fields are rows of their own even when there are few.
//! - The engine keeps no access times: `OBJECT IDLETIME` is 0.

mod btree;
mod counted;
mod databases;
mod engine;
mod field_expiry;
mod field_times;
mod fields;
mod format;
mod frozen;
mod keys;
mod lists;
mod lmdb;
mod lsm;
mod markers;
mod options;
mod overlay;
#[allow(unsafe_code, reason = "a snapshot and the database it borrows, in one struct; see the module")]
mod pinned;
mod sets;
mod store;
mod stream;
mod streams;
mod sweep;
mod walks;
mod zsets;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use fields::RowHash;
pub use frozen::FrozenRows;
pub use lists::RowList;
pub use options::RowOptions;
pub use sets::RowSet;
pub use zsets::RowZset;

use btree::BTreeStore;
use databases::Databases;
use format::{Garbage, KeyOrder, RowRange, STATE_ROW, StateRow};
use lsm::LsmStore;
use overlay::{Merged, Overlay};
use store::{OrderedStore, Rows};

use super::{EncodingSettings, Engine, StorageResult};

/// When the overlay is written to the files.
#[derive(Clone, Copy)]
struct FlushLimits {
    rows: usize,
    bytes: usize,
}

impl FlushLimits {
    fn with(self, options: &RowOptions) -> Self {
        Self { rows: options.overlay_rows.unwrap_or(self.rows), ..self }
    }
}

/// A memtable takes single rows as gladly as many; a few hundred save the batch's fixed cost.
const LSM_FLUSH: FlushLimits = FlushLimits { rows: 256, bytes: 1 << 20 };
/// An LMDB commit rewrites the path to every page it touches, so it should touch many rows.
const BTREE_FLUSH: FlushLimits = FlushLimits { rows: 4096, bytes: 4 << 20 };
/// Rows of garbage that a commit removes on its way.
const SWEEP_ROWS_PER_COMMIT: usize = 128;

/// A storage engine over an ordered key-value store.
pub struct RowEngine {
    files: Box<dyn OrderedStore>,
    directory: PathBuf,
    order: KeyOrder,
    flush: FlushLimits,
    overlay: Overlay,
    databases: Databases,
    next_version: u64,
    /// The applied index the files had when they were opened.
    opened_at: u64,
    /// The last index committed.
    committed: u64,
    /// The committed index that the files have.
    flushed: u64,
    /// Whether something was written since the last commit.
    entry_open: bool,
    /// Whether a snapshot is being loaded, so that the files need not be at the end of an entry.
    loading: bool,
    /// Where the first garbage row may be; `None` when there is none.
    garbage_from: Option<Vec<u8>>,
    encoding: EncodingSettings,
}

impl RowEngine {
    /// Opens or creates an LSM engine in a directory.
    ///
    /// # Errors
    /// When RocksDB cannot open the files, or the load of a snapshot into them was interrupted.
    pub fn open_lsm(path: &Path) -> StorageResult<Self> {
        Self::open_lsm_with(path, &RowOptions::default())
    }

    /// [`open_lsm`](Self::open_lsm) with budgets.
    pub fn open_lsm_with(path: &Path, options: &RowOptions) -> StorageResult<Self> {
        markers::check_trusted(path)?;
        let files = Box::new(LsmStore::open(path, options)?);
        Self::open(files, path, KeyOrder::Slot, LSM_FLUSH.with(options))
    }

    /// Opens or creates a B+ tree engine in a directory.
    ///
    /// # Errors
    /// When LMDB cannot open the file, or [`must_rebuild`](Self::must_rebuild) holds.
    pub fn open_btree(path: &Path) -> StorageResult<Self> {
        Self::open_btree_with(path, &RowOptions::default())
    }

    /// [`open_btree`](Self::open_btree) with budgets.
    pub fn open_btree_with(path: &Path, options: &RowOptions) -> StorageResult<Self> {
        markers::check_trusted(path)?;
        let files = Box::new(BTreeStore::open(path, options)?);
        Self::open(files, path, KeyOrder::Bytes, BTREE_FLUSH.with(options))
    }

    /// Whether the files in a directory cannot be trusted, because [`begin_load`](Self::begin_load) had no
    /// [`end_load`](Self::end_load). Opening refuses such a directory.
    ///
    /// # Errors
    /// When the marker cannot be read.
    pub fn must_rebuild(path: &Path) -> StorageResult<bool> {
        Ok(markers::must_rebuild(path)?)
    }

    /// Throws away files that cannot be trusted, see [`must_rebuild`](Self::must_rebuild): another replica has the
    /// data.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub fn discard_untrusted(path: &Path) -> StorageResult<()> {
        if Self::must_rebuild(path)? {
            std::fs::remove_dir_all(path)?;
        }
        Ok(())
    }

    fn open(files: Box<dyn OrderedStore>, path: &Path, order: KeyOrder, flush: FlushLimits) -> StorageResult<Self> {
        let (state, databases) = read_state(&*files)?;
        Ok(Self {
            files,
            directory: path.to_owned(),
            order,
            flush,
            overlay: Overlay::default(),
            databases,
            next_version: state.next_version,
            opened_at: state.applied,
            committed: state.applied,
            flushed: state.applied,
            entry_open: false,
            loading: false,
            garbage_from: Some(format::garbage_rows().start),
            encoding: EncodingSettings::default(),
        })
    }

    /// Begins to load a snapshot into this engine, which must be empty: from now on rows may
    /// reach the files in the middle of an entry, so that loading takes little memory.
    /// Until [`end_load`](Self::end_load) has succeeded the files count as unusable.
    ///
    /// # Errors
    /// When the marker cannot be written.
    pub fn begin_load(&mut self) -> StorageResult<()> {
        markers::begin_loading(&self.directory)?;
        self.loading = true;
        Ok(())
    }

    /// Ends the load of a snapshot whose last entry is `index`, and makes it durable. Slow.
    ///
    /// # Errors
    /// When the files cannot be written; the load stays unfinished.
    pub fn end_load(&mut self, index: u64) -> StorageResult<()> {
        self.commit(index)?;
        if let Some(job) = self.prepare_sync()? {
            job()?;
        }
        markers::end_loading(&self.directory)?;
        self.loading = false;
        Ok(())
    }

    /// Freezes all rows as of the last commit, to be copied to another replica. To be called between entries.
    ///
    /// # Errors
    /// When the files cannot be written or read.
    pub fn freeze(&mut self) -> StorageResult<Box<dyn FrozenRows>> {
        self.write_out()?;
        self.files.freeze()
    }

    /// An engine that shows everything as of the last commit and cannot be changed. To be called between entries.
    ///
    /// # Errors
    /// When the files cannot be written or read.
    pub fn pin(&mut self) -> StorageResult<Self> {
        self.write_out()?;
        let mut pinned = Self::open(self.files.pin()?, &self.directory, self.order, self.flush)?;
        pinned.encoding = self.encoding.clone();
        Ok(pinned)
    }

    /// Begins to replace everything by what another replica has frozen. Until [`end_copy`](Self::end_copy) has
    /// succeeded the files count as unusable.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn begin_copy(&mut self) -> StorageResult<()> {
        markers::begin_loading(&self.directory)?;
        self.overlay = Overlay::default();
        // Rows begin with a letter, and none is empty.
        self.files.write(&Rows::new(), &[RowRange { start: vec![0], end: vec![0xff; 4] }])
    }

    /// Writes the rows of a chunk.
    ///
    /// # Errors
    /// When it is damaged, or the files cannot be written.
    pub fn copy(&mut self, chunk: &[u8]) -> StorageResult<()> {
        self.files.write(&frozen::rows_of(chunk)?, &[])
    }

    /// Ends what [`begin_copy`](Self::begin_copy) began, and makes it durable. Slow.
    ///
    /// # Errors
    /// When the files cannot be written, or are not what an engine writes.
    pub fn end_copy(&mut self) -> StorageResult<()> {
        let (state, databases) = read_state(&*self.files)?;
        self.databases = databases;
        self.next_version = state.next_version;
        (self.opened_at, self.committed, self.flushed) = (state.applied, state.applied, state.applied);
        self.entry_open = false;
        self.garbage_from = Some(format::garbage_rows().start);
        self.files.sync_job()()?;
        markers::end_loading(&self.directory)?;
        Ok(())
    }

    /// Whether there may be garbage for [`sweep`](Self::sweep).
    pub fn has_garbage(&self) -> bool {
        self.garbage_from.is_some()
    }

    /// Tries again what a commit could not write, for lack of room on the disk.
    ///
    /// # Errors
    /// When there still is none.
    pub fn retry(&mut self) -> StorageResult<()> {
        self.flush_if_large()
    }

    fn reads(&self) -> Merged<'_> {
        Merged::new(&self.overlay, &*self.files)
    }

    /// To be called after each change of the rows by an operation.
    fn wrote(&mut self) -> StorageResult<()> {
        self.entry_open = true;
        if self.loading { self.flush_if_large() } else { Ok(()) }
    }

    fn flush_if_large(&mut self) -> StorageResult<()> {
        let large = self.overlay.len() >= self.flush.rows || self.overlay.bytes() >= self.flush.bytes;
        if large { self.write_out() } else { Ok(()) }
    }

    /// Writes the overlay, the counters and the applied index as one batch.
    fn write_out(&mut self) -> StorageResult<()> {
        self.databases.write(&mut self.overlay);
        let state = StateRow {
            applied: self.committed,
            next_version: self.next_version,
            next_physical: self.databases.next_physical(),
        };
        self.overlay.put(STATE_ROW.to_vec(), state.encode());
        self.overlay.flush(&*self.files)?;
        self.databases.written();
        self.flushed = self.committed;
        Ok(())
    }

    fn note_garbage(&mut self, garbage: Garbage, value: Vec<u8>) {
        let row = garbage.row();
        match &mut self.garbage_from {
            Some(from) if *from <= row => {}
            from => *from = Some(row.clone()),
        }
        self.overlay.put(row, value);
    }
}

/// The counters and databases that the files hold.
fn read_state(files: &dyn OrderedStore) -> StorageResult<(StateRow, Databases)> {
    let overlay = Overlay::default();
    let reads = Merged::new(&overlay, files);
    let state = reads.get_with(STATE_ROW, StateRow::decode)?;
    let state = state.unwrap_or(StateRow { applied: 0, next_version: 1, next_physical: 1 });
    let databases = Databases::load(&reads, state.next_physical)?;
    Ok((state, databases))
}
