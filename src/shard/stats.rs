//! Counters of a shard, and those that all shards of a process share.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use super::errors::ErrorStats;
use super::slowlog::SlowLog;
use crate::command::{CommandSpec, table};
use crate::types::{ReadPolicy, UnixMs};

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
    /// Executions by duration; see [`bucket_of`].
    pub durations: [AtomicU64; BUCKETS],
}

impl CommandStats {
    /// Counts one execution.
    pub fn record(&self, nanos: u64, failed: bool, track: bool) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.failed.fetch_add(u64::from(failed), Ordering::Relaxed);
        if track {
            self.durations[bucket_of(nanos)].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts of [`Self::durations`].
    pub fn histogram(&self) -> [u64; BUCKETS] {
        std::array::from_fn(|bucket| self.durations[bucket].load(Ordering::Relaxed))
    }

    fn reset(&self) {
        let counters = [&self.calls, &self.nanos, &self.rejected, &self.failed];
        for counter in counters.into_iter().chain(&self.durations) {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

/// Buckets of durations: from 128 ns to 17 s, each twice as wide as the one before.
pub const BUCKETS: usize = 28;

/// Logarithm of the first bucket's bound.
const FIRST_BOUND_LOG2: u32 = 7;

/// The bucket of a duration.
#[inline]
pub fn bucket_of(nanos: u64) -> usize {
    let above = nanos.saturating_sub(1) >> FIRST_BOUND_LOG2;
    ((u64::BITS - above.leading_zeros()) as usize).min(BUCKETS - 1)
}

/// The longest duration of a bucket, in nanoseconds.
pub fn bucket_bound(bucket: usize) -> u64 {
    1 << (bucket as u32 + FIRST_BOUND_LOG2)
}

/// What the process counts of commands, whichever of its shards executes them; all since start or
/// `CONFIG RESETSTAT`.
pub struct Counters {
    /// By the command's position in the table.
    pub commands: Box<[CommandStats]>,
    /// By the command's position in the table, then by the subcommand's in the command.
    subcommands: Box<[Box<[CommandStats]>]>,
    /// Errors answered.
    pub errors: ErrorStats,
    /// Whether durations are counted (`latency-tracking`).
    track_latency: AtomicBool,
    /// Keys that were looked up and found.
    pub hits: AtomicU64,
    /// Keys that were looked up and not found.
    pub misses: AtomicU64,
    /// Keys that expired.
    pub expired: AtomicU64,
    /// Fields of hashes that expired.
    pub expired_fields: AtomicU64,
    /// Slow commands.
    pub slowlog: SlowLog,
    /// Reads by how they made sure that they miss nothing; see [`Counters::reads_of`].
    reads: [AtomicU64; 4],
    read_seed: AtomicU64,
}

/// Counters of one shard.
pub struct ShardStats {
    /// Changes since the last snapshot.
    pub dirty: AtomicU64,
    /// Log entries applied.
    pub entries: AtomicU64,
    snapshot_last_ms: AtomicI64,
    snapshot_failed_ms: AtomicI64,
    snapshot_bytes: AtomicU64,
    /// Snapshots taken since start.
    pub snapshots: AtomicU64,
    /// When the snapshot under way began; 0 for none.
    snapshot_began_ms: AtomicI64,
    /// How long the last snapshot took; negative before the first.
    snapshot_took_ms: AtomicI64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            commands: table::all().map(|_| CommandStats::default()).collect(),
            subcommands: table::all()
                .map(|spec| spec.subcommands.iter().map(|_| CommandStats::default()).collect())
                .collect(),
            errors: ErrorStats::default(),
            track_latency: AtomicBool::new(true),
            hits: AtomicU64::default(),
            misses: AtomicU64::default(),
            expired: AtomicU64::default(),
            expired_fields: AtomicU64::default(),
            slowlog: SlowLog::default(),
            reads: Default::default(),
            read_seed: AtomicU64::new(super::clock::entropy()),
        }
    }
}

impl Default for ShardStats {
    fn default() -> Self {
        Self {
            dirty: AtomicU64::default(),
            entries: AtomicU64::default(),
            snapshot_last_ms: AtomicI64::default(),
            snapshot_failed_ms: AtomicI64::new(i64::MIN),
            snapshot_bytes: AtomicU64::default(),
            snapshots: AtomicU64::default(),
            snapshot_began_ms: AtomicI64::default(),
            snapshot_took_ms: AtomicI64::new(-1),
        }
    }
}

impl Counters {
    /// The counters of one command.
    pub fn of(&self, spec: &'static CommandSpec) -> &CommandStats {
        &self.commands[table::index_of(spec)]
    }

    /// The counters of a request: of the subcommand, if the command has any.
    pub fn of_request(&self, spec: &'static CommandSpec, args: &[&[u8]]) -> &CommandStats {
        let position = match args.get(1) {
            Some(name) => spec.subcommands.iter().position(|sub| sub.name.as_bytes().eq_ignore_ascii_case(name)),
            None => None,
        };
        let command = table::index_of(spec);
        position.map_or(&self.commands[command], |position| &self.subcommands[command][position])
    }

    /// All counters with the names that INFO gives them: `get`, `config`, `config|get`.
    pub fn named(&self) -> impl Iterator<Item = (String, &CommandStats)> {
        table::all().zip(&self.commands).zip(&self.subcommands).flat_map(|((spec, counters), subcounters)| {
            let subcommands = spec.subcommands.iter().zip(subcounters).map(|(subcommand, counters)| {
                (format!("{}|{}", spec.name, subcommand.name).to_ascii_lowercase(), counters)
            });
            std::iter::once((spec.name.to_ascii_lowercase(), counters)).chain(subcommands)
        })
    }

    /// Reads executed under a policy.
    pub fn reads_of(&self, policy: ReadPolicy) -> &AtomicU64 {
        &self.reads[policy as usize]
    }

    /// Whether durations are counted.
    #[inline]
    pub fn tracks_latency(&self) -> bool {
        self.track_latency.load(Ordering::Relaxed)
    }

    /// Applies `latency-tracking`.
    pub fn set_latency_tracking(&self, on: bool) {
        self.track_latency.store(on, Ordering::Relaxed);
    }

    /// A seed for a read's random numbers.
    pub fn next_read_seed(&self) -> u64 {
        self.read_seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }

    /// Zeroes everything that `CONFIG RESETSTAT` zeroes.
    pub fn reset(&self) {
        for counters in self.commands.iter().chain(self.subcommands.iter().flatten()) {
            counters.reset();
        }
        self.errors.reset();
        for counter in [&self.hits, &self.misses, &self.expired, &self.expired_fields].into_iter().chain(&self.reads) {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

impl ShardStats {
    pub(super) fn snapshot_begins(&self, now: UnixMs) {
        self.snapshot_began_ms.store(now.0, Ordering::Relaxed);
    }

    /// Since how many ms a snapshot is being taken, if one is.
    pub fn snapshot_running_ms(&self, now: UnixMs) -> Option<i64> {
        let began = self.snapshot_began_ms.load(Ordering::Relaxed);
        (began != 0).then(|| (now.0 - began).max(0))
    }

    /// How many ms the last snapshot took.
    pub fn snapshot_took_ms(&self) -> Option<i64> {
        Some(self.snapshot_took_ms.load(Ordering::Relaxed)).filter(|&took| took >= 0)
    }

    pub(super) fn snapshot_done(&self, ok: bool, now: UnixMs) {
        let began = self.snapshot_began_ms.swap(0, Ordering::Relaxed);
        self.snapshot_took_ms.store((now.0 - began).max(0), Ordering::Relaxed);
        if ok {
            self.snapshots.fetch_add(1, Ordering::Relaxed);
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
    durations: [u32; BUCKETS],
    /// Which of the buckets are not 0.
    buckets_used: u32,
    /// Reads that the lease allowed.
    pub lease_reads: u64,
    /// Keys found.
    pub hits: u64,
    /// Keys not found.
    pub misses: u64,
}

impl Tally {
    /// Counts one execution.
    #[inline]
    pub fn add(&mut self, stats: &Counters, spec: &'static CommandSpec, nanos: u64, failed: bool) {
        if !self.spec.is_some_and(|current| std::ptr::eq(current, spec)) {
            self.flush_command(stats);
            self.spec = Some(spec);
        }
        self.calls += 1;
        self.nanos += nanos;
        self.failed += u64::from(failed);
        let bucket = bucket_of(nanos);
        self.durations[bucket] += 1;
        self.buckets_used |= 1 << bucket;
    }

    fn flush_command(&mut self, stats: &Counters) {
        if let Some(spec) = self.spec.take() {
            let counters = stats.of(spec);
            counters.calls.fetch_add(self.calls, Ordering::Relaxed);
            counters.nanos.fetch_add(self.nanos, Ordering::Relaxed);
            if self.failed > 0 {
                counters.failed.fetch_add(self.failed, Ordering::Relaxed);
            }
            let track = stats.tracks_latency();
            while self.buckets_used != 0 {
                let bucket = self.buckets_used.trailing_zeros() as usize;
                self.buckets_used &= self.buckets_used - 1;
                let count = u64::from(std::mem::take(&mut self.durations[bucket]));
                if track {
                    counters.durations[bucket].fetch_add(count, Ordering::Relaxed);
                }
            }
        }
        (self.calls, self.nanos, self.failed) = (0, 0, 0);
    }

    /// Adds everything to the shared counters.
    pub fn flush(&mut self, stats: &Counters) {
        self.flush_command(stats);
        let lease_reads = stats.reads_of(ReadPolicy::Lease);
        for (counter, count) in
            [(&stats.hits, &mut self.hits), (&stats.misses, &mut self.misses), (lease_reads, &mut self.lease_reads)]
        {
            if *count > 0 {
                counter.fetch_add(std::mem::take(count), Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_holds_it() {
        for bucket in 0..BUCKETS - 1 {
            assert_eq!(bucket_of(bucket_bound(bucket)), bucket);
            assert_eq!(bucket_of(bucket_bound(bucket) + 1), bucket + 1);
        }
        assert_eq!(bucket_of(0), 0);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        const { assert!(BUCKETS <= u32::BITS as usize) }
    }

    #[test]
    fn a_tally_adds_up_by_command() {
        let stats = Counters::default();
        let get = table::find(b"get").unwrap();
        let set = table::find(b"set").unwrap();
        let mut tally = Tally::default();
        for (spec, nanos, failed) in [(get, 100, false), (get, 200, true), (set, 5000, false), (get, 100, false)] {
            tally.add(&stats, spec, nanos, failed);
        }
        tally.flush(&stats);
        let counters = stats.of(get);
        assert_eq!(counters.calls.load(Ordering::Relaxed), 3);
        assert_eq!(counters.nanos.load(Ordering::Relaxed), 400);
        assert_eq!(counters.failed.load(Ordering::Relaxed), 1);
        assert_eq!(counters.histogram()[..2], [2, 1]);
        assert_eq!(stats.of(set).histogram()[bucket_of(5000)], 1);
        stats.reset();
        assert_eq!(stats.of(get).histogram(), [0; BUCKETS]);
    }

    #[test]
    fn subcommands_are_counted_apart() {
        let stats = Counters::default();
        let config = table::find(b"config").unwrap();
        stats.of_request(config, &[b"config", b"Get", b"*"]).record(1, false, true);
        stats.of_request(config, &[b"config", b"nosuch"]).record(1, false, true);
        let counted: Vec<String> = stats
            .named()
            .filter(|(_, counters)| counters.calls.load(Ordering::Relaxed) > 0)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(counted, ["config", "config|get"]);
    }
}
