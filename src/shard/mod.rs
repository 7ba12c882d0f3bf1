//! A shard: a raft state machine made of commands and storage, and the way into it.
//!
//! Connections submit [`Run`]s of commands. The proposer drains everything that is queued into one
//! log entry; raft replicates the entry; the machine applies it under the store's write lock, fills
//! the reply buffers and wakes the connections. Reads that need not wait for a write run at once,
//! on the connection's own task, under the read lock ([`Shard::read`]).
//!
//! # Invariants
//! - Only the machine changes the store, and only while it applies a log entry or restores a
//!   snapshot.
//! - Entries carry their time; time never goes backwards from one entry to the next.
//! - No lock is held across an await.
//! - A run whose entry was lost on the way gets an error that says the outcome is unknown, not that
//!   it failed.

mod across;
mod apply;
pub mod batch;
pub mod clock;
mod commands;
mod defects;
pub mod errors;
mod image;
pub mod latency;
mod parking;
mod proposer;
mod queue;
mod replica;
mod run;
pub mod slowlog;
mod snapshot;
pub mod stats;
mod touched;
mod transactions;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::{RwLock, RwLockReadGuard};

pub use across::spans_engines;
pub use defects::Defect;
pub use image::{ShardImage, VisitValue};
pub use parking::{Blocked, CallOff, Unserved};
pub use replica::{Executed, Manner};
pub use run::{Mailbox, Run, answers_value};
pub use stats::{Counters, ShardStats};
pub use transactions::Watched;
pub use watch::{REMOTE_WATCH_LASTS, WatchId};

use crate::command::{CommandSpec, ReadContext, Shared};
use crate::limits::EXPIRE_SWEEP_MAX_KEYS;
use crate::raft::{ClusterOptions, FsyncPolicy, Group, GroupOptions, GroupStatus, SharedLog, SnapshotError};
use crate::resp::{Protocol, Reply, ReplyBuffer};
use crate::storage::rows::RowOptions;
use crate::storage::settings::EncodingSettings;
use crate::storage::store::Store;
use crate::storage::{KeyspaceRules, StorageError, digest};
use crate::types::rng::Rng;
use crate::types::{Db, LogIndex, NodeId, ShardId, UnixMs};
use parking::Parking;
use queue::Queue;
use watch::Watches;

/// What a shard needs to open.
pub struct ShardOptions {
    /// Its number.
    pub id: ShardId,
    /// This node.
    pub node: NodeId,
    /// Its own directory, for engines and snapshots.
    pub dir: PathBuf,
    /// The node's write-ahead log.
    pub log: Arc<SharedLog>,
    /// Which engine keeps which key.
    pub rules: Arc<KeyspaceRules>,
    /// Thresholds of encodings at start.
    pub encoding: EncodingSettings,
    /// Budgets of the row engines.
    pub rows: RowOptions,
    /// Settings that handlers obey.
    pub shared: Shared,
    /// Take a snapshot when the log has grown by so many bytes since the last.
    pub snapshot_log_bytes: u64,
    /// Take a snapshot when the log has grown by so many entries since the last.
    pub snapshot_log_entries: u64,
    /// Where commands are counted.
    pub counters: Arc<Counters>,
    /// What the shard's group needs to have peers; `None` for the only replica there is.
    pub cluster: Option<ClusterOptions>,
}

/// The shard cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// Its store cannot.
    #[error("cannot open the store: {0}")]
    Storage(#[from] StorageError),
    /// Its raft group cannot.
    #[error("cannot open the raft group: {0}")]
    Raft(String),
}

/// Why a run cannot be submitted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The queue is full; wait for [`Shard::room`] and try again.
    Full,
    /// The log cannot be written: the disk is full.
    DiskFull,
    /// The shard has stopped.
    Stopped,
}

/// A shard of this node.
pub struct Shard {
    id: ShardId,
    /// There are, or may be, other replicas.
    replicated: bool,
    rules: Arc<KeyspaceRules>,
    store: RwLock<Store>,
    shared: RwLock<Arc<Shared>>,
    queue: Queue,
    /// What clients watch.
    watches: Watches,
    /// Clients that wait for a key.
    parking: Parking,
    group: std::sync::OnceLock<Group>,
    log: Arc<SharedLog>,
    /// The time of the last applied entry, in ms.
    applied_now: AtomicI64,
    /// Index of the last applied entry.
    applied_index: AtomicU64,
    /// Bytes of payload applied since the last snapshot.
    applied_bytes: AtomicU64,
    snapshot_bytes_limit: AtomicU64,
    snapshot_entries_limit: AtomicU64,
    last_snapshot_index: AtomicU64,
    snapshot_running: AtomicBool,
    /// A sweep of expired keys is under way.
    sweeping: AtomicBool,
    /// `DEBUG SET-ACTIVE-EXPIRE` can turn sweeping off.
    active_expire: AtomicBool,
    /// Until when no key is removed because its time has come, in ms (`CLIENT PAUSE`).
    expiry_paused_until: AtomicI64,
    stopped: AtomicBool,
    /// A defect that tests plant; see `defects`.
    acknowledges_early: AtomicBool,
    /// The files of a row engine cannot grow: the disk is full. The ticker tries again.
    engine_full: AtomicBool,
    /// The proposer and the ticker, which keep the shard alive until they end.
    tasks: parking_lot::Mutex<Vec<tokio::task::JoinHandle<()>>>,
    /// What all shards of the process count together.
    pub counters: Arc<Counters>,
    /// Its own counters.
    pub stats: ShardStats,
}

impl Shard {
    /// Opens the store, restores the last snapshot, replays the log, and starts the proposer.
    /// Returns when the shard can serve, if this is its only replica.
    ///
    /// # Errors
    /// When files cannot be read or are damaged; the error names them.
    pub async fn open(options: ShardOptions) -> Result<Arc<Self>, ShardError> {
        let rules = Arc::clone(&options.rules);
        let store = Store::open(&options.dir, options.rules, &options.encoding, &options.rows)?;
        let queue = Queue::new(clock::entropy());
        let (bulk_max_bytes, encoding) = (options.shared.bulk_max_bytes, options.encoding);
        queue.change_settings(|settings| *settings = queue::Settings { bulk_max_bytes, encoding: encoding.clone() });
        let shard = Arc::new(Self {
            id: options.id,
            replicated: options.cluster.is_some(),
            rules,
            store: RwLock::new(store),
            shared: RwLock::new(Arc::new(options.shared)),
            queue,
            watches: Watches::new(clock::entropy()),
            parking: Parking::default(),
            group: std::sync::OnceLock::new(),
            log: Arc::clone(&options.log),
            applied_now: AtomicI64::new(0),
            applied_index: AtomicU64::new(0),
            applied_bytes: AtomicU64::new(0),
            snapshot_bytes_limit: AtomicU64::new(options.snapshot_log_bytes),
            snapshot_entries_limit: AtomicU64::new(options.snapshot_log_entries),
            last_snapshot_index: AtomicU64::new(0),
            snapshot_running: AtomicBool::new(false),
            sweeping: AtomicBool::new(false),
            active_expire: AtomicBool::new(true),
            expiry_paused_until: AtomicI64::new(0),
            stopped: AtomicBool::new(false),
            acknowledges_early: AtomicBool::new(false),
            engine_full: AtomicBool::new(false),
            tasks: parking_lot::Mutex::default(),
            counters: options.counters,
            stats: ShardStats::default(),
        });
        let machine = apply::Machine::new(Arc::clone(&shard));
        let group_options = GroupOptions {
            id: options.id,
            node: options.node,
            dir: options.dir.clone(),
            log: options.log,
            cluster: options.cluster,
        };
        let group = Group::open(group_options, machine).await.map_err(|error| ShardError::Raft(error.to_string()))?;
        if !shard.replicated {
            group.wait_ready().await.map_err(|error| ShardError::Raft(error.to_string()))?;
            // The replay followed the settings of the log.
            shard.queue.change_settings(|settings| settings.encoding = encoding);
        }
        let _ = shard.group.set(group);
        shard.last_snapshot_index.store(shard.status().snapshot_index.unwrap_or(0), Ordering::Relaxed);
        let proposer = tokio::spawn(proposer::propose_forever(Arc::clone(&shard)));
        if !shard.replicated {
            shard.pass_engines().await;
        }
        let ticker = tokio::spawn(proposer::tick_forever(Arc::clone(&shard)));
        shard.tasks.lock().extend([proposer, ticker]);
        Ok(shard)
    }

    /// Uses up the indexes of entries that an engine's files hold and the log has lost.
    ///
    /// With `everysec` a crash of the machine may cost the log its last second, while a row engine had written
    /// some of it to its own files already. New entries would get indexes that the engine takes for
    /// applied; empty ones do no harm there.
    async fn pass_engines(&self) {
        let ahead_until = self.store.read().ahead_until();
        let missing = (ahead_until + 1).saturating_sub(self.applied_index().0);
        if ahead_until == 0 || missing == 0 {
            return;
        }
        tracing::warn!(
            shard = self.id.0,
            entries = missing,
            "the log has lost its end in a crash of the machine, and an engine's files still have a part of it"
        );
        while self.store.read().ahead_until() != 0 && !self.stopped.load(Ordering::Relaxed) {
            if !self.submit_and_wait(None, |encoder| encoder.expire(UnixMs(i64::MIN), 0)).await {
                break;
            }
        }
    }

    fn group(&self) -> &Group {
        self.group.get().expect("the group is set before the shard is handed out")
    }

    /// The shard's number.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Which engine keeps which key.
    pub fn rules(&self) -> &Arc<KeyspaceRules> {
        &self.rules
    }

    /// The raft group's view of itself.
    pub fn status(&self) -> GroupStatus {
        self.group().status()
    }

    /// The time that reads see: the machine's, but never before what was applied.
    #[inline]
    pub fn read_time(&self, now: UnixMs) -> UnixMs {
        now.max(UnixMs(self.applied_now.load(Ordering::Relaxed)))
    }

    /// The store under its read lock, if this node may serve reads now. Not to be held across an
    /// await.
    #[inline]
    pub fn read(&self) -> Option<RwLockReadGuard<'_, Store>> {
        (self.group().read_gate() && !self.stopped.load(Ordering::Relaxed)).then(|| self.store.read())
    }

    /// Settings that handlers obey.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared.read())
    }

    /// Replaces the settings that handlers obey.
    pub fn set_shared(&self, shared: Shared) {
        self.queue.change_settings(|settings| settings.bulk_max_bytes = shared.bulk_max_bytes);
        *self.shared.write() = Arc::new(shared);
    }

    /// Changes when snapshots are taken.
    pub fn set_snapshot_limits(&self, log_bytes: u64, log_entries: u64) {
        self.snapshot_bytes_limit.store(log_bytes, Ordering::Relaxed);
        self.snapshot_entries_limit.store(log_entries, Ordering::Relaxed);
    }

    /// Turns the sweeping of expired keys on or off (`DEBUG SET-ACTIVE-EXPIRE`).
    pub fn set_active_expire(&self, on: bool) {
        self.active_expire.store(on, Ordering::Relaxed);
    }

    /// Removes no key because its time has come until then, so that the data does not change while clients are
    /// paused. Reads do not find such keys all the same.
    pub fn pause_expiry(&self, until: UnixMs) {
        self.expiry_paused_until.store(until.0, Ordering::Relaxed);
    }

    fn expiry_is_paused(&self) -> bool {
        let until = self.expiry_paused_until.load(Ordering::Relaxed);
        until != 0 && clock::now().0 < until
    }

    /// Whether a sweep would remove a key whose time has come.
    pub fn has_due_keys(&self, store: &Store, now: UnixMs) -> bool {
        if self.expiry_is_paused() {
            return false;
        }
        let now = self.read_time(now);
        store.has_due(now)
    }

    /// Removes keys whose time has come, unless a sweep is under way already or expiry is paused; returns when they
    /// are gone.
    pub async fn sweep_due(self: &Arc<Self>) {
        if self.is_full() || self.expiry_is_paused() || self.sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let until = self.read_time(clock::now());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let shard = Arc::clone(self);
        // Not after the await: the client that waits for the sweep may be gone before it is over.
        let done = Box::new(move |_applied| {
            shard.sweeping.store(false, Ordering::Release);
            let _ = sender.send(());
        });
        self.queue.submit_records(None, |encoder| encoder.expire(until, EXPIRE_SWEEP_MAX_KEYS), done);
        let _ = receiver.await;
    }

    /// A context for a read outside any run.
    pub fn read_context<'a>(&self, store: &'a Store, shared: &'a Shared, db: Db, now: UnixMs) -> ReadContext<'a> {
        ReadContext {
            store,
            db,
            now: self.read_time(now),
            shared,
            rng: std::cell::Cell::new(Rng::new(self.counters.next_read_seed())),
            hits: Default::default(),
            misses: Default::default(),
            touch: true,
        }
    }

    /// Runs one read under the lock that `store` stands for; answers whether it succeeded. Errors of
    /// the command go into the reply.
    ///
    /// # Errors
    /// When an engine cannot be read.
    #[inline]
    pub fn execute_read(
        &self,
        spec: &'static CommandSpec,
        context: &ReadContext<'_>,
        args: &[&[u8]],
        reply: &mut Reply<'_>,
    ) -> Result<bool, StorageError> {
        apply::execute_read(spec, context, args, reply)
    }

    /// Submits a run; its replies come through the mailbox.
    ///
    /// # Errors
    /// When the shard takes no writes now.
    pub fn submit(&self, run: &Run, mailbox: &Arc<Mailbox>, protocol: Protocol, touch: bool) -> Result<(), Refusal> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Refusal::Stopped);
        }
        if self.is_full() {
            return Err(Refusal::DiskFull);
        }
        if self.acknowledges_early.load(Ordering::Relaxed)
            && let Some(submitted) = self.acknowledge_early(run, mailbox, protocol, touch)
        {
            return submitted;
        }
        self.queue.submit(run, mailbox, protocol, touch).map_err(|_| Refusal::Full)?;
        if self.parking.any() && !run.is_part {
            self.serve_behind(run);
        }
        Ok(())
    }

    /// Whether writes are refused because the disk is full.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.log.is_stalled().is_some() || self.engine_full.load(Ordering::Relaxed)
    }

    /// Notes that a row engine could not write its files for lack of room; passes on any other error.
    fn engine_result(&self, result: Result<(), StorageError>) -> Result<(), StorageError> {
        match result {
            Err(error) if error.is_storage_full() => {
                if !self.engine_full.swap(true, Ordering::Relaxed) {
                    tracing::error!(shard = self.id.0, %error, "an engine's files cannot grow; writes are refused");
                }
                Ok(())
            }
            other => other,
        }
    }

    /// Waits until the queue may have room.
    pub async fn room(&self) {
        let _ = tokio::time::timeout(std::time::Duration::from_millis(100), self.queue.room.notified()).await;
    }

    /// Changes the threshold of an encoding for all entries to come: replicas have it from them, also when they lead.
    /// Answers whether it was applied.
    pub async fn replicate_setting(&self, name: &str, value: &str) -> bool {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let done = Box::new(move |applied| {
            let _ = sender.send(applied);
        });
        self.queue.submit_setting(name, value, done);
        receiver.await.unwrap_or(false)
    }

    async fn submit_and_wait(&self, fence: Option<u64>, encode: impl FnOnce(&mut batch::Encoder<'_>)) -> bool {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let done = Box::new(move |applied| {
            let _ = sender.send(applied);
        });
        self.queue.submit_records(fence, encode, done);
        receiver.await.unwrap_or(false)
    }

    /// The digest of all data (`DEBUG DIGEST`).
    ///
    /// # Errors
    /// When an engine cannot be read.
    pub fn digest(&self, now: UnixMs) -> Result<[u8; 20], StorageError> {
        let store = self.store.read();
        digest::digest_store(&store, self.read_time(now))
    }

    /// Index of the last applied log entry.
    pub fn applied_index(&self) -> LogIndex {
        LogIndex(self.applied_index.load(Ordering::Relaxed))
    }

    /// Whether a snapshot is being taken.
    pub fn snapshot_running(&self) -> bool {
        self.snapshot_running.load(Ordering::Relaxed)
    }

    /// Takes a snapshot now and drops the log before it.
    ///
    /// # Errors
    /// When one is being taken already, or its file cannot be written.
    pub async fn snapshot(&self) -> Result<LogIndex, SnapshotError> {
        if self.snapshot_running.swap(true, Ordering::AcqRel) {
            return Err(SnapshotError::InProgress);
        }
        self.stats.snapshot_begins(clock::now());
        let bytes_before = self.applied_bytes.load(Ordering::Relaxed);
        let result = self.group().snapshot().await;
        self.snapshot_running.store(false, Ordering::Release);
        if let Ok(index) = &result {
            self.applied_bytes.fetch_sub(bytes_before, Ordering::Relaxed);
            self.last_snapshot_index.store(index.0, Ordering::Relaxed);
        }
        self.stats.snapshot_done(result.is_ok(), clock::now());
        result
    }

    /// Bytes of commands that wait for the next entry.
    pub fn waiting_bytes(&self) -> usize {
        self.queue.waiting_bytes()
    }

    /// Finishes what is under way, refuses what comes, and stops the group and the shard's own tasks.
    /// The files of the engines are closed when the last handle to the shard is dropped.
    pub async fn shutdown(&self) {
        let writable = || self.log.is_stalled().is_none() && !self.stopped.load(Ordering::Relaxed);
        while !self.queue.is_empty() && writable() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        let drained = writable() && self.submit_and_wait_bounded().await;
        tracing::debug!(drained, "shard stops");
        self.stopped.store(true, Ordering::Relaxed);
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            // They wait between two steps; a proposal that is cut off reports that its outcome is unknown.
            task.abort();
            let _ = task.await;
        }
        for proposal in self.queue.refuse_waiting() {
            proposer::refuse(proposal, "ERR the shard has stopped; the command was not executed");
        }
        self.group().shutdown().await;
    }

    /// An empty sweep as the last entry: when it is applied, all before it are.
    async fn submit_and_wait_bounded(&self) -> bool {
        let last = self.submit_and_wait(None, |encoder| encoder.expire(UnixMs(i64::MIN), 0));
        tokio::time::timeout(std::time::Duration::from_secs(5), last).await.unwrap_or(false)
    }

    /// Whether the log is in memory only, so that nothing outlives the process.
    fn is_cache(&self) -> bool {
        self.log.policy() == FsyncPolicy::Memory
    }

    /// Stops the shard after an error that other replicas would not have.
    fn fail(&self, what: &str, error: &dyn std::fmt::Display) {
        tracing::error!(shard = self.id.0, %error, "{what}; the shard stops");
        self.stopped.store(true, Ordering::Relaxed);
        for proposal in self.queue.refuse_waiting() {
            proposer::refuse(proposal, "ERR the shard has stopped after a storage error; see the server's log");
        }
    }
}

/// Waits for a submitted run, whose replies are appended to `out`. Answers false when it was not executed and never
/// will be, because this replica does not lead.
pub async fn wait_done(mailbox: &Mailbox, out: &mut ReplyBuffer) -> bool {
    std::future::poll_fn(|cx| mailbox.poll_done(cx, out)).await
}

/// The durability policy that two of Redis's settings add up to.
pub fn fsync_policy(append_only: bool, append_fsync: &str) -> FsyncPolicy {
    match (append_only, append_fsync) {
        (false, _) => FsyncPolicy::Memory,
        (true, "always") => FsyncPolicy::Always,
        (true, "no") => FsyncPolicy::No,
        (true, _) => FsyncPolicy::EverySec,
    }
}
