//! Rows in RocksDB.
//!
//! One column family, because then memtables reach the files in the order in which they were filled:
//! whatever survives a crash is a prefix of the batches written, and as each batch carries the applied
//! index, that row says how long the prefix is. RocksDB's own log is off: the raft log is the log.
//!
//! Block cache and write buffers are shared by all instances of the process and fill only as they
//! are used, so that an idle shard costs little.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, LogLevel, Options, ReadOptions, WriteBatch, WriteBufferManager,
    WriteOptions, properties,
};

use super::format::RowRange;
use super::frozen::{FrozenRows, LsmRows};
use super::options::RowOptions;
use super::pinned;
use super::store::{OrderedStore, Rows, StoreView, VisitRow};
use crate::storage::value::EngineUsage;
use crate::storage::{StorageResult, SyncJob};

const WRITE_BUFFER_BYTES: usize = 32 << 20;
const WRITE_BUFFER_COUNT: i32 = 3;
const BACKGROUND_JOBS: i32 = 2;
const BLOOM_BITS_PER_KEY: f64 = 10.0;
/// Share of a memtable that its own bloom filter takes; it answers "no such key" for new keys.
const MEMTABLE_BLOOM_SHARE: f64 = 0.02;
const BLOCK_BYTES: usize = 8 << 10;
const LOG_FILE_BYTES: usize = 1 << 20;
const OPEN_FILES_MAX: i32 = 1024;

/// What all instances of the process share; made by the first one.
struct Shared {
    cache: Cache,
    buffers: WriteBufferManager,
    open: AtomicU64,
}

fn shared(options: &RowOptions) -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| Shared {
        cache: Cache::new_lru_cache(options.lsm_block_cache_bytes),
        buffers: WriteBufferManager::new_write_buffer_manager(options.lsm_write_buffer_bytes, false),
        open: AtomicU64::new(0),
    })
}

fn database_options(shared: &Shared) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&shared.cache);
    table.set_block_size(BLOCK_BYTES);
    table.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
    table.set_optimize_filters_for_memory(true);
    // In the cache, so that the cache's size bounds them too.
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(5);

    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_manager(&shared.buffers);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(WRITE_BUFFER_COUNT);
    options.set_memtable_whole_key_filtering(true);
    options.set_memtable_prefix_bloom_ratio(MEMTABLE_BLOOM_SHARE);
    options.set_max_background_jobs(BACKGROUND_JOBS);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(LOG_FILE_BYTES);
    options
}

/// A RocksDB directory.
pub(super) struct LsmStore {
    db: Arc<DB>,
    shared: &'static Shared,
}

impl LsmStore {
    /// Opens or creates the database in a directory.
    pub(super) fn open(path: &Path, options: &RowOptions) -> StorageResult<Self> {
        std::fs::create_dir_all(path)?;
        let shared = shared(options);
        let db = Arc::new(DB::open(&database_options(shared), path)?);
        shared.open.fetch_add(1, Ordering::Relaxed);
        Ok(Self { db, shared })
    }

    fn property(&self, name: &rocksdb::properties::PropName) -> u64 {
        self.db.property_int_value(name).ok().flatten().unwrap_or(0)
    }
}

impl Drop for LsmStore {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl OrderedStore for LsmStore {
    fn view(&self) -> StorageResult<Box<dyn StoreView + '_>> {
        Ok(Box::new(LsmView { db: &self.db }))
    }

    fn write(&self, rows: &Rows, removed: &[RowRange]) -> StorageResult<()> {
        let mut batch = WriteBatch::default();
        for range in removed {
            batch.delete_range(&range.start, &range.end);
        }
        for (row, value) in rows {
            match value {
                Some(value) => batch.put(row, value),
                None => batch.delete(row),
            }
        }
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        Ok(self.db.write_opt(batch, &options)?)
    }

    fn sync_job(&self) -> SyncJob {
        let db = Arc::clone(&self.db);
        Box::new(move || Ok(db.flush()?))
    }

    fn removes_ranges_cheaply(&self) -> bool {
        true
    }

    fn freeze(&self) -> StorageResult<Box<dyn FrozenRows>> {
        Ok(Box::new(LsmRows::freeze(Arc::clone(&self.db))?))
    }

    fn pin(&self) -> StorageResult<Box<dyn OrderedStore>> {
        Ok(pinned::pin_lsm(Arc::clone(&self.db)))
    }

    fn usage(&self) -> EngineUsage {
        let sharers = self.shared.open.load(Ordering::Relaxed).max(1);
        let memory = self.property(properties::CUR_SIZE_ALL_MEM_TABLES)
            + self.property(properties::ESTIMATE_TABLE_READERS_MEM)
            + self.shared.cache.get_usage() as u64 / sharers;
        EngineUsage { memory_bytes: memory, disk_bytes: self.property(properties::TOTAL_SST_FILES_SIZE) }
    }
}

/// Reads go to the database as it is: nothing is written while a view is alive.
struct LsmView<'a> {
    db: &'a DB,
}

impl StoreView for LsmView<'_> {
    fn get(&self, row: &[u8], found: &mut dyn FnMut(&[u8])) -> StorageResult<()> {
        if let Some(value) = self.db.get_pinned(row)? {
            found(&value);
        }
        Ok(())
    }

    fn walk(&self, start: &[u8], end: &[u8], reverse: bool, visit: &mut VisitRow<'_>) -> StorageResult<()> {
        walk_rows(self.db, ReadOptions::default(), (start, end), reverse, visit)
    }
}

/// Visits the rows between two bounds.
pub(super) fn walk_rows(
    db: &DB,
    mut options: ReadOptions,
    (start, end): (&[u8], &[u8]),
    reverse: bool,
    visit: &mut VisitRow<'_>,
) -> StorageResult<()> {
    options.set_iterate_lower_bound(start);
    options.set_iterate_upper_bound(end);
    let mut rows = db.raw_iterator_opt(options);
    if reverse {
        rows.seek_to_last();
    } else {
        rows.seek_to_first();
    }
    while let Some((row, value)) = rows.item() {
        if !visit(row, value)? {
            return Ok(());
        }
        if reverse {
            rows.prev();
        } else {
            rows.next();
        }
    }
    Ok(rows.status()?)
}
