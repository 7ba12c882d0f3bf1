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

/// The allocator's statistics now; all zero when another allocator is in use. What the hash engine keeps
/// for records to come does not count as asked for.
pub fn allocator() -> AllocatorUsage {
    let _ = epoch::advance();
    let allocated = stats::allocated::read().unwrap_or_default();
    AllocatorUsage {
        allocated: allocated.saturating_sub(crate::storage::hash::idle_bytes()) as u64,
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

/// Gives free pages of all arenas back to the operating system (`MEMORY PURGE`).
///
/// Of the names that jemalloc documents for all arenas at once, `purge` and `decay` are; a decay time can
/// be set for one arena only, and jemalloc does not check that it is one.
pub fn purge() {
    // 4096 is MALLCTL_ARENAS_ALL.
    const PURGE: &std::ffi::CStr = c"arena.4096.purge";
    use std::ptr::null_mut;
    #[expect(unsafe_code, reason = "jemalloc's control interface is untyped")]
    // SAFETY: the name is a C string, and `arena.<i>.purge` neither reads nor writes a value, which is
    // said by null pointers and a length of 0.
    let status = unsafe { tikv_jemalloc_sys::mallctl(PURGE.as_ptr(), null_mut(), null_mut(), null_mut(), 0) };
    if status != 0 {
        tracing::warn!(status, "the allocator did not give its free pages back");
    }
}
