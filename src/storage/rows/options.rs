//! Budgets of the row engines.

/// What the row engines may take of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowOptions {
    /// RocksDB's block cache, shared by the process. The first engine opened decides.
    pub lsm_block_cache_bytes: usize,
    /// All memtables of the process together, at which RocksDB begins to write them out. The first
    /// engine opened decides.
    pub lsm_write_buffer_bytes: usize,
    /// Address space LMDB reserves for one engine, and so the most its file may grow to. Only
    /// addresses are taken, neither memory nor disk. Where the machine refuses as much, halves are tried.
    pub btree_map_bytes: usize,
    /// Most reads of one LMDB engine at the same time.
    pub btree_readers: u32,
    /// Rows gathered in memory before they are written as one batch; `None` leaves it to the engine.
    pub overlay_rows: Option<usize>,
    /// Whether the files must survive a crash of the machine. A cache, which starts empty, need not sync.
    pub durable: bool,
    /// Whether files that cannot be trusted are thrown away: other replicas have the data.
    pub rebuild: bool,
}

impl Default for RowOptions {
    /// 512 GiB of map leave room for 256 engines in the 47 bits of address space a process has.
    fn default() -> Self {
        Self {
            lsm_block_cache_bytes: 64 << 20,
            lsm_write_buffer_bytes: 96 << 20,
            btree_map_bytes: 512 << 30,
            btree_readers: 1024,
            overlay_rows: None,
            durable: true,
            rebuild: false,
        }
    }
}
