//! The log's two threads: one writes what a task of the runtime must not wait for, the other
//! syncs once a second and makes spare files. Both sleep without a timer while there is nothing to do.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::file::StallReason;
use super::writer::{Caller, Progress, timed_sync};
use super::{FsyncPolicy, Shared, record, spares, storage};
use crate::limits::LOG_UNSYNCED_MAX_BYTES;

/// How often a full disk is tried again.
const STALL_RETRY: Duration = Duration::from_millis(100);
/// The period of `appendfsync everysec`.
const SYNC_PERIOD: Duration = Duration::from_secs(1);

/// How the threads end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Close {
    /// Write and sync what there is.
    Flush,
    /// Leave everything.
    Abandon,
}

/// What the threads were asked to do.
#[derive(Default)]
pub(super) struct Orders {
    /// Something was queued that needs the writer's thread.
    pub(super) work: bool,
    /// A group has purged: segments may have become superfluous.
    pub(super) collect: bool,
    /// The writer lacks a spare file of so many bytes.
    pub(super) spare: Option<u64>,
    /// Bytes written under `everysec` since the last sync began.
    pub(super) unsynced_bytes: u64,
    pub(super) close: Option<Close>,
}

impl Shared {
    /// Changes the orders and wakes the threads.
    pub(super) fn order(&self, change: impl FnOnce(&mut Orders)) {
        let mut orders = self.orders.lock();
        change(&mut orders);
        let closing = orders.close.is_some();
        drop(orders);
        if !self.has_threads {
            obey(self, false);
            return;
        }
        self.writer_wake.notify_one();
        if closing {
            self.syncer_wake.notify_one();
        }
    }

    /// Whether the log is to end.
    pub(super) fn is_closing(&self) -> bool {
        self.orders.lock().close.is_some()
    }

    /// Has the syncing thread make a spare file of so many bytes.
    pub(super) fn order_spare(&self, bytes: u64) {
        self.orders.lock().spare = Some(bytes);
        self.syncer_wake.notify_one();
    }

    /// Tells the syncing thread of bytes written.
    pub(super) fn sync_soon(&self, bytes: u64) {
        let mut orders = self.orders.lock();
        let before = orders.unsynced_bytes;
        orders.unsynced_bytes += bytes;
        let wake = before == 0 || (before < LOG_UNSYNCED_MAX_BYTES && orders.unsynced_bytes >= LOG_UNSYNCED_MAX_BYTES);
        drop(orders);
        if wake {
            self.syncer_wake.notify_one();
        }
    }
}

/// Starts both.
pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Vec<JoinHandle<()>>> {
    let spawn = |name: &str, run: fn(&Shared)| {
        let shared = Arc::clone(shared);
        thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared))
    };
    let writer = spawn("log-writer", run_writer)?;
    match spawn("log-syncer", run_syncer) {
        Ok(syncer) => Ok(vec![writer, syncer]),
        Err(error) => {
            shared.order(|orders| orders.close = Some(Close::Abandon));
            drop(writer.join());
            Err(error)
        }
    }
}

fn run_writer(shared: &Shared) {
    let mut stalled = false;
    loop {
        let mut orders = shared.orders.lock();
        let retry_at = Instant::now() + STALL_RETRY;
        while orders.close.is_none() {
            // Appends keep giving work while the disk is full; they must not make this thread spin.
            if stalled {
                if shared.writer_wake.wait_until(&mut orders, retry_at).timed_out() {
                    break;
                }
            } else if orders.work || orders.collect {
                break;
            } else {
                shared.writer_wake.wait(&mut orders);
            }
        }
        drop(orders);
        match obey(shared, stalled) {
            Some(still) => stalled = still,
            None => return,
        }
    }
}

/// Does what was ordered. Answers whether the disk is full, or `None` when the log is closed.
fn obey(shared: &Shared, was_stalled: bool) -> Option<bool> {
    let mut orders = shared.orders.lock();
    orders.work = false;
    let collect = std::mem::take(&mut orders.collect);
    let close = orders.close;
    drop(orders);
    if close == Some(Close::Abandon) {
        return None;
    }
    if close.is_some() {
        shared.queue.lock().closed = true;
        storage::queue_everything(shared);
    }
    let stalled = shared.with_writer(|writer| writer.flush(shared, Caller::Thread)) == Progress::Stalled;
    if was_stalled && !stalled {
        tracing::warn!(dir = %shared.dir.display(), "the log can grow again");
    }
    if collect && shared.failed.get().is_none() {
        if stalled {
            shared.orders.lock().collect = true;
        } else {
            collect_segments(shared);
        }
    }
    if close.is_some() {
        finish(shared);
        return None;
    }
    Some(stalled)
}

fn collect_segments(shared: &Shared) {
    match shared.with_writer(|writer| writer.collect(shared)) {
        Ok(()) => {}
        Err(error) if StallReason::of(&error).is_some() => {
            tracing::warn!(%error, "old log segments cannot be deleted now");
        }
        Err(error) => shared.fail(&format!("deleting old log segments failed: {error}")),
    }
}

/// Syncs everything and writes down that it is synced.
fn finish(shared: &Shared) {
    if shared.failed.get().is_some() || shared.stall.load(Acquire) != 0 {
        // Those who wait, a raft core among them, must be able to end.
        let error = io::Error::other("the raft log was closed before this could be written");
        shared.with_writer(|writer| writer.abandon(shared, &error));
        return;
    }
    shared.with_writer(|writer| {
        writer.spares.clear(shared);
        if let Err(error) = writer.trim().and_then(|()| timed_sync(shared, &*writer.file)) {
            shared.fail(&format!("syncing the raft log failed: {error}"));
            return;
        }
        writer.synced = writer.position();
        record::put_synced(&mut shared.queue.lock().bytes, writer.synced);
        writer.marked = writer.synced;
        writer.flush(shared, Caller::Thread);
    });
}

fn run_syncer(shared: &Shared) {
    let mut last = Instant::now();
    loop {
        let mut orders = shared.orders.lock();
        while orders.close.is_none() && orders.spare.is_none() {
            let left = SYNC_PERIOD.saturating_sub(last.elapsed());
            if orders.unsynced_bytes == 0 {
                shared.syncer_wake.wait(&mut orders);
            } else if left.is_zero() || orders.unsynced_bytes >= LOG_UNSYNCED_MAX_BYTES {
                break;
            } else {
                shared.syncer_wake.wait_for(&mut orders, left);
            }
        }
        if orders.close.is_some() {
            return;
        }
        if let Some(bytes) = orders.spare.take() {
            drop(orders);
            spares::fill(shared, bytes);
            continue;
        }
        orders.unsynced_bytes = 0;
        drop(orders);
        last = Instant::now();
        if shared.policy() == FsyncPolicy::EverySec {
            sync_behind_the_writer(shared);
        }
    }
}

/// Syncs what has been written so far while others go on writing.
fn sync_behind_the_writer(shared: &Shared) {
    let (file, upto) = shared.with_writer(|writer| (Arc::clone(&writer.file), writer.position()));
    match timed_sync(shared, &*file) {
        Ok(()) => shared.with_writer(|writer| writer.synced = writer.synced.max(upto)),
        Err(error) => shared.fail(&format!("syncing the raft log in {} failed: {error}", shared.dir.display())),
    }
}
