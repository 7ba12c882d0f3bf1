//! The write-ahead log: one per node, shared by all its raft groups.
//!
//! A directory of numbered segments (`segment` draws the header, `record` the records). Records
//! of all groups are mixed in the order in which they were written.
//!
//! | part | what it is |
//! |---|---|
//! | `record`, `segment` | the bytes |
//! | `spares` | files for segments to come |
//! | `group` | what memory holds of a group: state, recent entries, index |
//! | `queue`, `writer` | from encoded records to durable ones, for all groups at once |
//! | `recovery` | from segments back to memory |
//! | `storage` | openraft's traits, on [`GroupLog`] |
//! | `threads` | the writer's thread and the one that syncs every second |
//!
//! # Invariants
//! - The records of a log are a prefix of what was queued: a record is lost only with all behind it.
//! - A vote is durable before [`GroupLog`] says so, whatever the policy.
//! - Only the last segment can have a torn end. Damage anywhere else, or before the last known
//!   sync, is [`LogError::Corrupt`]: it is never cut off silently.
//! - A segment is deleted, or its file used again, only when every group has purged all of its entries in it; segments
//!   begin with the state of all groups, so nothing else in older ones is needed.
//!
//! # What is cut after a crash
//! When only the process died, the operating system has every write, in order: damage with
//! a sound record behind it is corruption. When the operating system died too (its boot id has
//! changed), pages that were never synced may have reached the disk in any order: then damage
//! behind the last `synced` record is the expected end of the log.

mod file;
mod group;
mod queue;
mod record;
mod recovery;
mod segment;
mod spares;
mod storage;
mod threads;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicU8, AtomicU64, fence};
use std::sync::{Arc, OnceLock};

use parking_lot::{Condvar, Mutex, RwLock};

pub use file::{LogFile, LogFiles, OsFiles, StallReason};
pub use recovery::{check_body, check_segment};
pub use storage::GroupLog;

use crate::limits::{
    LOG_CACHE_MAX_BYTES, LOG_SEGMENT_DEFAULT_BYTES, LOG_SEGMENT_MAX_BYTES, LOG_SEGMENT_MIN_BYTES, LOG_TASK_SYNC_MAX_US,
};
use crate::types::ShardId;
use group::GroupState;
use queue::Batch;
use record::{BootId, NODE_GROUP};
use segment::Header;
use writer::{Caller, Progress, Writer};

/// Times a task looks for more after it has emptied the queue, before it leaves the rest to the
/// log's thread: one connection's task must not write for all the others for ever.
const COMBINE_ROUNDS_MAX: usize = 8;

/// When an append counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FsyncPolicy {
    /// `appendfsync always`: when it is on disk.
    Always = 0,
    /// `appendfsync everysec`: when the operating system has it; synced once a second.
    EverySec = 1,
    /// `appendfsync no`: when the operating system has it; synced when that sees fit.
    No = 2,
    /// `appendonly no`: at once. Entries stay in memory, all of them, until they are purged, and are
    /// lost with the process. Votes and purges are still written. Switching to another policy
    /// writes the entries that are in memory.
    Memory = 3,
}

impl FsyncPolicy {
    fn from_code(code: u8) -> Self {
        match code {
            1 => FsyncPolicy::EverySec,
            2 => FsyncPolicy::No,
            3 => FsyncPolicy::Memory,
            _ => FsyncPolicy::Always,
        }
    }
}

/// How a log is run.
#[derive(Clone)]
pub struct LogOptions {
    /// Size at which a new segment begins, in bytes; clamped to what `limits` allows.
    pub segment_bytes: u64,
    /// A [`FsyncPolicy`] as its number; may be changed at any time. Unknown numbers mean `Always`.
    pub policy: Arc<AtomicU8>,
    /// Bytes of recent entries each group keeps in memory.
    pub cache_bytes: usize,
    /// The file system; tests put one here that fails.
    pub files: Arc<dyn LogFiles>,
    /// Usual length of a sync, in microseconds, up to which a task of the runtime does it itself under `always`. Where
    /// other nodes sync the same entry meanwhile, 0 is better: a task that waits for the disk sends nothing.
    pub task_sync_max_us: u64,
    /// Whether the log has threads of its own for what blocks. Without them callers do everything themselves, and
    /// [`FsyncPolicy::EverySec`] does not sync by itself: for simulations, which must not depend on threads.
    pub has_threads: bool,
}

impl LogOptions {
    /// Default sizes with a policy.
    pub fn new(policy: FsyncPolicy) -> Self {
        Self {
            segment_bytes: LOG_SEGMENT_DEFAULT_BYTES,
            policy: Arc::new(AtomicU8::new(policy as u8)),
            cache_bytes: LOG_CACHE_MAX_BYTES,
            files: Arc::new(OsFiles),
            task_sync_max_us: LOG_TASK_SYNC_MAX_US,
            has_threads: true,
        }
    }
}

/// Why a log cannot be opened, read or closed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The content of a segment is damaged where that cannot be the torn end of the log.
    #[error("log segment {segment} is corrupt at offset {offset}: {reason}")]
    Corrupt {
        /// The segment's file.
        segment: PathBuf,
        /// Where the damaged record begins, in bytes.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A segment between others, or before the oldest, is gone.
    #[error("log segment {segment} is missing")]
    MissingSegment {
        /// The file that should be there.
        segment: PathBuf,
    },
    /// Entries at the beginning of a group's log are gone.
    #[error("the log in {dir} lacks entries of group {group} before entry {first}")]
    MissingEntries {
        /// The log's directory.
        dir: PathBuf,
        /// The group.
        group: u32,
        /// The first entry there is.
        first: u64,
    },
    /// Another process has the log open.
    #[error("the log in {dir} is in use by another process")]
    Locked {
        /// The log's directory.
        dir: PathBuf,
    },
    /// An earlier error ended the log's work.
    #[error("{0}")]
    Failed(String),
}

impl LogError {
    fn io(path: &Path, source: io::Error) -> Self {
        LogError::Io { path: path.to_owned(), source }
    }
}

impl From<LogError> for io::Error {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Io { path, source } => io::Error::new(source.kind(), format!("{}: {source}", path.display())),
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        }
    }
}

/// Counters of a log, since it was opened where not said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Bytes of all segments now.
    pub bytes: u64,
    /// Bytes of the segment that is written to.
    pub current_bytes: u64,
    /// Number of segments now.
    pub segments: u64,
    /// Bytes of files that wait for segments to come.
    pub spare_bytes: u64,
    /// Segments that began in such a file.
    pub reused: u64,
    /// Entries written.
    pub appends: u64,
    /// Writes to the file: each carries everything that was queued.
    pub writes: u64,
    /// Syncs.
    pub fsyncs: u64,
    /// How long the last sync took, in microseconds.
    pub last_fsync_us: u64,
    /// Syncs that took longer than a second.
    pub delayed_fsyncs: u64,
}

#[derive(Default)]
struct Counters {
    bytes: AtomicU64,
    current_bytes: AtomicU64,
    segments: AtomicU64,
    spare_bytes: AtomicU64,
    reused: AtomicU64,
    appends: AtomicU64,
    writes: AtomicU64,
    fsyncs: AtomicU64,
    last_fsync_us: AtomicU64,
    delayed_fsyncs: AtomicU64,
}

/// A segment that can be read.
#[derive(Clone)]
struct Segment {
    file: Arc<dyn LogFile>,
    header: Header,
}

/// What the handles and the threads share.
struct Shared {
    dir: PathBuf,
    log_id: u64,
    boot_id: BootId,
    segment_bytes: u64,
    cache_bytes: u64,
    policy: Arc<AtomicU8>,
    files: Arc<dyn LogFiles>,
    groups: RwLock<HashMap<u32, Arc<GroupState>>>,
    segments: RwLock<BTreeMap<u64, Segment>>,
    queue: Mutex<Batch>,
    /// `None` only while the log is being opened.
    writer: Mutex<Option<Writer>>,
    /// Wakes those who wait for the queue to shrink.
    room: tokio::sync::Notify,
    /// A [`StallReason`], or 0.
    stall: AtomicU8,
    failed: OnceLock<String>,
    stats: Counters,
    orders: Mutex<threads::Orders>,
    writer_wake: Condvar,
    syncer_wake: Condvar,
    /// See [`LogOptions::has_threads`].
    has_threads: bool,
    /// See [`LogOptions::task_sync_max_us`].
    task_sync_max_us: u64,
    /// A moving average of what a sync takes, in microseconds.
    usual_fsync_us: AtomicU64,
    /// Keeps other processes out while it is open.
    lock: Mutex<Option<std::fs::File>>,
}

impl Shared {
    fn policy(&self) -> FsyncPolicy {
        FsyncPolicy::from_code(self.policy.load(Relaxed))
    }

    /// Whether a task may write with what the policy asks of a write: under `always` only while that takes less than the
    /// log's thread would add to it.
    fn task_may_sync(&self) -> bool {
        self.policy() != FsyncPolicy::Always
            || (self.has_threads && self.usual_fsync_us.load(Relaxed) <= self.task_sync_max_us)
    }

    fn failure(&self) -> Option<io::Error> {
        self.failed.get().map(|message| io::Error::other(message.clone()))
    }

    fn fail(&self, message: &str) {
        if self.failed.set(message.to_owned()).is_ok() {
            tracing::error!("{message}");
        }
    }

    /// Runs with the writer once it is free. Whoever found it taken meanwhile relies on its holder
    /// for what he queued, so the queue is looked at afterwards.
    fn with_writer<T>(&self, run: impl FnOnce(&mut Writer) -> T) -> T {
        let result = run(self.writer.lock().as_mut().expect("an open log has a writer"));
        fence(SeqCst);
        if !self.queue.lock().is_empty() {
            self.order(|orders| orders.work = true);
        }
        result
    }

    /// Sees to it that what was just queued is written: here if that takes no waiting, else by
    /// whoever holds the writer, or by the log's thread.
    fn kick(&self) {
        for _ in 0..COMBINE_ROUNDS_MAX {
            if !self.task_may_sync() {
                break;
            }
            // Pairs with the fence below: either the lock is seen free here, or its holder sees
            // our records after it has let go.
            fence(SeqCst);
            let Some(mut writer) = self.writer.try_lock() else { return };
            let progress = writer.as_mut().expect("an open log has a writer").flush(self, Caller::Task);
            drop(writer);
            fence(SeqCst);
            match progress {
                Progress::Idle if self.queue.lock().is_empty() => return,
                Progress::Idle => {}
                Progress::NeedsThread | Progress::Stalled => break,
            }
        }
        self.order(|orders| orders.work = true);
    }

    fn group(&self, id: u32) -> Arc<GroupState> {
        assert!(id != NODE_GROUP, "this group number is the log's own");
        if let Some(group) = self.groups.read().get(&id) {
            return Arc::clone(group);
        }
        let new = || Arc::new(GroupState::new(id, self.cache_bytes));
        Arc::clone(self.groups.write().entry(id).or_insert_with(new))
    }
}

/// A node's log.
///
/// Dropping it without [`SharedLog::close`] ends its threads and leaves the files as a killed
/// process would: what was queued and not yet written is gone.
pub struct SharedLog {
    shared: Arc<Shared>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

impl SharedLog {
    /// Opens the log in a directory, making both if need be, and reads it. Blocking.
    ///
    /// # Errors
    /// See [`LogError`]; damaged files are left as they are.
    pub fn open(dir: &Path, options: LogOptions) -> Result<Arc<Self>, LogError> {
        let shared = Arc::new(recovery::open(dir, options)?);
        let threads = if shared.has_threads { threads::start(&shared) } else { Ok(Vec::new()) };
        let threads = threads.map_err(|error| LogError::io(dir, error))?;
        Ok(Arc::new(Self { shared, threads: Mutex::new(threads) }))
    }

    /// The part of the log that belongs to one group, empty if the group is new.
    pub fn group(self: &Arc<Self>, shard: ShardId) -> GroupLog {
        GroupLog::new(Arc::clone(self), self.shared.group(shard.0))
    }

    /// Bytes of the group's entries that no purge has covered: what a snapshot would free.
    pub fn bytes_since_purge(&self, shard: ShardId) -> u64 {
        self.shared.group(shard.0).inner.lock().live_bytes()
    }

    /// Why nothing can be written at the moment, if so. Appends wait; the log tries again ten times
    /// a second and goes on by itself.
    pub fn is_stalled(&self) -> Option<StallReason> {
        StallReason::from_code(self.shared.stall.load(Acquire))
    }

    /// The error that ended the log's work, if any.
    pub fn failure(&self) -> Option<String> {
        self.shared.failed.get().cloned()
    }

    /// The policy now in force.
    pub fn policy(&self) -> FsyncPolicy {
        self.shared.policy()
    }

    /// Changes the policy. Coming from [`FsyncPolicy::Memory`], what is in memory only is written
    /// first thing; whoever changes the shared number instead leaves that to the group's next append.
    pub fn set_policy(&self, policy: FsyncPolicy) {
        self.shared.policy.store(policy as u8, SeqCst);
        if policy != FsyncPolicy::Memory {
            storage::queue_everything(&self.shared);
            self.shared.kick();
        }
    }

    /// Counters.
    pub fn stats(&self) -> LogStats {
        let stats = &self.shared.stats;
        LogStats {
            bytes: stats.bytes.load(Relaxed),
            current_bytes: stats.current_bytes.load(Relaxed),
            segments: stats.segments.load(Relaxed),
            spare_bytes: stats.spare_bytes.load(Relaxed),
            reused: stats.reused.load(Relaxed),
            appends: stats.appends.load(Relaxed),
            writes: stats.writes.load(Relaxed),
            fsyncs: stats.fsyncs.load(Relaxed),
            last_fsync_us: stats.last_fsync_us.load(Relaxed),
            delayed_fsyncs: stats.delayed_fsyncs.load(Relaxed),
        }
    }

    /// Writes and syncs everything, whatever the policy, and ends the log's threads. Blocking.
    /// Later appends fail, and the directory may be opened again. While the disk is full, what waits
    /// for room is given up with an error: then close the log before its groups are shut down, since
    /// a group that waits for the log cannot end.
    ///
    /// # Errors
    /// What kept something from being written, a full disk included.
    pub fn close(&self) -> Result<(), LogError> {
        self.shared.order(|orders| orders.close = Some(threads::Close::Flush));
        self.join();
        drop(self.shared.lock.lock().take());
        if let Some(message) = self.shared.failed.get() {
            return Err(LogError::Failed(message.clone()));
        }
        match self.is_stalled() {
            Some(reason) => Err(LogError::Failed(format!(
                "the raft log in {} was closed with unwritten entries: {reason:?}",
                self.shared.dir.display()
            ))),
            None => Ok(()),
        }
    }

    fn join(&self) {
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if thread.join().is_err() {
                self.shared.fail("a thread of the raft log panicked");
            }
        }
    }
}

impl Drop for SharedLog {
    fn drop(&mut self) {
        self.shared.order(|orders| {
            orders.close.get_or_insert(threads::Close::Abandon);
        });
        self.join();
    }
}
