//! Counters of a shard.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::command::{CommandSpec, table};
use crate::types::UnixMs;

/// How long after a failed snapshot the next is tried.
const SNAPSHOT_RETRY_MS: i64 = 5_000;

/// What happened to one command.
#[derive(Default)]
pub struct CommandStats {
    /// Times it was executed.
    pub calls: AtomicU64,
    /// Time spent in it, in nanoseconds.
    pub nanos: AtomicU64,
    /// Times it was refused before it was executed.
    pub rejected: AtomicU64,
    /// Times it answered an error.
    pub failed: AtomicU64,
}

/// Counters of a shard; all are since start or `CONFIG RESETSTAT`.
pub struct ShardStats {
    /// By the command's position in the table.
    pub commands: Box<[CommandStats]>,
    /// Keys that were looked up and found.
    pub hits: AtomicU64,
    /// Keys that were looked up and not found.
    pub misses: AtomicU64,
    /// Keys that expired.
    pub expired: AtomicU64,
    /// Changes since the last snapshot.
    pub dirty: AtomicU64,
    /// Log entries applied.
    pub entries: AtomicU64,
    read_seed: AtomicU64,
    snapshot_last_ms: AtomicI64,
    snapshot_failed_ms: AtomicI64,
    snapshot_bytes: AtomicU64,
}

impl Default for ShardStats {
    fn default() -> Self {
        Self {
            commands: table::all().map(|_| CommandStats::default()).collect(),
            hits: AtomicU64::default(),
            misses: AtomicU64::default(),
            expired: AtomicU64::default(),
            dirty: AtomicU64::default(),
            entries: AtomicU64::default(),
            read_seed: AtomicU64::new(super::clock::entropy()),
            snapshot_last_ms: AtomicI64::default(),
            snapshot_failed_ms: AtomicI64::new(i64::MIN),
            snapshot_bytes: AtomicU64::default(),
        }
    }
}

impl ShardStats {
    /// The counters of one command.
    pub fn of(&self, spec: &'static CommandSpec) -> &CommandStats {
        &self.commands[table::index_of(spec)]
    }

    /// A seed for a read's random numbers.
    pub fn next_read_seed(&self) -> u64 {
        self.read_seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }

    /// Zeroes everything that `CONFIG RESETSTAT` zeroes.
    pub fn reset(&self) {
        for command in &self.commands {
            for counter in [&command.calls, &command.nanos, &command.rejected, &command.failed] {
                counter.store(0, Ordering::Relaxed);
            }
        }
        for counter in [&self.hits, &self.misses, &self.expired] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn snapshot_done(&self, ok: bool, now: UnixMs) {
        if ok {
            self.snapshot_last_ms.store(now.0, Ordering::Relaxed);
            self.snapshot_failed_ms.store(i64::MIN, Ordering::Relaxed);
        } else {
            self.snapshot_failed_ms.store(now.0, Ordering::Relaxed);
        }
    }

    pub(super) fn set_snapshot_bytes(&self, bytes: u64) {
        self.snapshot_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Size of the last snapshot.
    pub fn snapshot_bytes(&self) -> u64 {
        self.snapshot_bytes.load(Ordering::Relaxed)
    }

    /// When the last snapshot was finished.
    pub fn snapshot_last(&self) -> Option<UnixMs> {
        Some(self.snapshot_last_ms.load(Ordering::Relaxed)).filter(|&at| at != 0).map(UnixMs)
    }

    /// Whether the last attempt at a snapshot went well.
    pub fn snapshot_ok(&self) -> bool {
        self.snapshot_failed_ms.load(Ordering::Relaxed) == i64::MIN
    }

    pub(super) fn snapshot_may_retry(&self, now: UnixMs) -> bool {
        let failed = self.snapshot_failed_ms.load(Ordering::Relaxed);
        failed == i64::MIN || now.0 >= failed.saturating_add(SNAPSHOT_RETRY_MS)
    }
}

/// Gathers counts of the commands of one batch, so that shared counters are touched rarely.
#[derive(Default)]
pub struct Tally {
    spec: Option<&'static CommandSpec>,
    calls: u64,
    nanos: u64,
    failed: u64,
    /// Keys found.
    pub hits: u64,
    /// Keys not found.
    pub misses: u64,
}

impl Tally {
    /// Counts one execution.
    #[inline]
    pub fn add(&mut self, stats: &ShardStats, spec: &'static CommandSpec, nanos: u64, failed: bool) {
        if !self.spec.is_some_and(|current| std::ptr::eq(current, spec)) {
            self.flush_command(stats);
            self.spec = Some(spec);
        }
        self.calls += 1;
        self.nanos += nanos;
        self.failed += u64::from(failed);
    }

    fn flush_command(&mut self, stats: &ShardStats) {
        if let Some(spec) = self.spec.take() {
            let counters = stats.of(spec);
            counters.calls.fetch_add(self.calls, Ordering::Relaxed);
            counters.nanos.fetch_add(self.nanos, Ordering::Relaxed);
            if self.failed > 0 {
                counters.failed.fetch_add(self.failed, Ordering::Relaxed);
            }
        }
        (self.calls, self.nanos, self.failed) = (0, 0, 0);
    }

    /// Adds everything to the shared counters.
    pub fn flush(&mut self, stats: &ShardStats) {
        self.flush_command(stats);
        for (counter, count) in [(&stats.hits, &mut self.hits), (&stats.misses, &mut self.misses)] {
            if *count > 0 {
                counter.fetch_add(std::mem::take(count), Ordering::Relaxed);
            }
        }
    }
}
