//! What the process uses of memory, as the allocator and the kernel see it.

use tikv_jemalloc_ctl::{epoch, stats};

/// Bytes, by the allocator's statistics.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllocatorUsage {
    /// Asked for by the program.
    pub allocated: u64,
    /// In pages with something allocated in them.
    pub active: u64,
    /// In pages that are backed by memory.
    pub resident: u64,
    /// Kept from the operating system for later.
    pub retained: u64,
}

/// The allocator's statistics now; all zero when another allocator is in use.
pub fn allocator() -> AllocatorUsage {
    let _ = epoch::advance();
    AllocatorUsage {
        allocated: stats::allocated::read().unwrap_or_default() as u64,
        active: stats::active::read().unwrap_or_default() as u64,
        resident: stats::resident::read().unwrap_or_default() as u64,
        retained: stats::retained::read().unwrap_or_default() as u64,
    }
}

/// Resident set size of the process in bytes.
pub fn resident_set() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or_default();
    pages * rustix::param::page_size() as u64
}

/// Physical memory of the machine in bytes.
pub fn machine_total() -> u64 {
    let kibibytes = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|meminfo| meminfo.lines().next()?.split_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or_default();
    kibibytes * 1024
}

/// Gives free pages back to the operating system (`MEMORY PURGE`).
pub fn purge() {
    // 4096 is jemalloc's name for all arenas (MALLCTL_ARENAS_ALL). A decay time of 0 ms purges at once.
    const DECAY: &[u8] = b"arena.4096.dirty_decay_ms\0";
    const DECAY_MS_DEFAULT: isize = 10_000;
    #[expect(unsafe_code, reason = "jemalloc's control interface is untyped")]
    // SAFETY: the name is a C string, and the value of `arena.<i>.dirty_decay_ms` is an ssize_t.
    unsafe {
        let _ = tikv_jemalloc_ctl::raw::write(DECAY, 0isize);
        let _ = tikv_jemalloc_ctl::raw::write(DECAY, DECAY_MS_DEFAULT);
    }
}
