//! The writer: whoever holds it writes everything queued, for all groups.
//!
//! With `appendfsync everysec` or `no` the caller of `append` takes the writer itself when it is
//! free, and so needs no other thread ("combining"); when it is taken, its holder will find the
//! records. With `always` it does so while syncs are quicker than the two changes of thread that
//! it saves. For slow syncs, for votes, for a new segment and while the disk is full, the log's own
//! thread does the work, because it may block for long.
//!
//! One batch goes through: one write, at most one sync, placement in the groups' indexes, then
//! the waiters. Nothing of a batch is placed or reported before all of it is as durable as asked.
//!
//! In a file that had its size before (see `spares`), a write is filled up with zeros to the end of the page: a page that
//! is no longer in memory need not be read then, since its first write covers it.
//!
//! A full disk is not an error: openraft would stop the group. What was written of the batch is
//! cut off, the batch is kept, and tried again until there is room. Any other error is
//! final: after a failed sync nobody knows what the disk holds.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use super::file::{LogFile, StallReason, write_all};
use super::queue::Batch;
use super::record::{self, Framer, Position};
use super::segment::{self, HEADER_BYTES, Header};
use super::spares::{Spare, Spares};
use super::{FsyncPolicy, Segment, Shared};
use crate::limits::LOG_GROW_MAX_BYTES;

/// A sync of `everysec` that takes longer than this counts as delayed.
const DELAYED_SYNC: Duration = Duration::from_secs(1);
/// A sync moves the average of how long one takes by this part of its difference.
const FSYNC_SMOOTHING: u64 = 8;
/// Unit in which the operating system keeps files in memory; where its pages are larger, some may be read.
const PAGE_BYTES: u64 = 4096;
/// A longer sync counts as one of this length, so that one slow sync is forgotten after a few dozen quick ones.
pub(super) const FSYNC_SLOW_US: u64 = 10_000;

/// A segment that is no longer written to.
pub(super) struct Closed {
    pub(super) segment: u64,
    pub(super) bytes: u64,
    /// Highest index of each group in it.
    pub(super) tops: HashMap<u32, u64>,
}

/// The end of the log.
pub(super) struct Writer {
    pub(super) file: Arc<dyn LogFile>,
    pub(super) framer: Framer,
    pub(super) segment: u64,
    /// Where the next record goes; everything before is whole.
    pub(super) offset: u64,
    /// Length of the file: from here on it grows.
    pub(super) allocated: u64,
    pub(super) spares: Spares,
    /// Highest index of each group in the current segment.
    pub(super) tops: HashMap<u32, u64>,
    pub(super) closed: VecDeque<Closed>,
    /// Everything before is durable.
    pub(super) synced: Position,
    /// The last position that a `synced` record told of.
    pub(super) marked: Position,
    /// What is being written, or waits for room.
    pub(super) batch: Batch,
}

/// Who runs [`Writer::flush`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// A task of the runtime, which must not block.
    Task,
    /// The log's thread.
    Thread,
}

/// How [`Writer::flush`] ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// The queue was empty.
    Idle,
    /// The log's thread has to go on.
    NeedsThread,
    /// The disk is full.
    Stalled,
}

impl Writer {
    pub(super) fn position(&self) -> Position {
        Position { segment: self.segment, offset: self.offset }
    }

    /// Writes batch after batch until the queue is empty.
    pub(super) fn flush(&mut self, shared: &Shared, caller: Caller) -> Progress {
        loop {
            if caller == Caller::Task && !self.task_may_write(shared) {
                return Progress::NeedsThread;
            }
            if self.batch.is_empty() {
                let mut queue = shared.queue.lock();
                if queue.is_empty() {
                    return Progress::Idle;
                }
                if caller == Caller::Task && queue.must_sync {
                    return Progress::NeedsThread;
                }
                let closed = queue.closed;
                std::mem::swap(&mut *queue, &mut self.batch);
                queue.closed = closed;
                drop(queue);
                shared.room.notify_waiters();
                if self.marked < self.synced {
                    record::put_synced(&mut self.batch.bytes, self.synced);
                    self.marked = self.synced;
                }
            }
            if let Some(error) = shared.failure() {
                self.fail_batch(&error);
                continue;
            }
            match self.write_batch(shared) {
                Ok(()) => {
                    shared.stall.store(0, Release);
                    self.complete_batch(shared);
                }
                Err(error) => match StallReason::of(&error) {
                    Some(_) if !self.spares.is_empty() => self.spares.clear(shared),
                    Some(reason) => {
                        if shared.stall.swap(reason as u8, Release) == 0 {
                            tracing::error!(dir = %shared.dir.display(), %error, "the log cannot grow; writes wait");
                        }
                        return Progress::Stalled;
                    }
                    None => {
                        shared.fail(&format!("writing the raft log in {} failed: {error}", shared.dir.display()));
                        self.fail_batch(&error);
                    }
                },
            }
        }
    }

    fn task_may_write(&self, shared: &Shared) -> bool {
        shared.task_may_sync()
            && !self.batch.must_sync
            && shared.stall.load(Acquire) == 0
            && !self.is_segment_over(shared)
    }

    /// Whether the next write goes to a new segment.
    fn is_segment_over(&self, shared: &Shared) -> bool {
        self.offset >= shared.segment_bytes
            || (!self.spares.is_empty() && shared.policy() == FsyncPolicy::Always && self.has_grown(shared))
    }

    /// Whether the segment has become so much longer by being written that a file of the right size is worth having.
    fn has_grown(&self, shared: &Shared) -> bool {
        self.offset >= self.allocated && self.offset >= LOG_GROW_MAX_BYTES.min(shared.segment_bytes / 4)
    }

    /// Cuts off what lies behind the end.
    pub(super) fn trim(&mut self) -> io::Result<()> {
        if self.allocated > self.offset {
            self.file.truncate(self.offset)?;
            self.allocated = self.offset;
        }
        Ok(())
    }

    /// Gives up everything that is not written.
    pub(super) fn abandon(&mut self, shared: &Shared, error: &io::Error) {
        self.fail_batch(error);
        let queue = std::mem::take(&mut *shared.queue.lock());
        shared.queue.lock().closed = queue.closed;
        self.batch = queue;
        self.fail_batch(error);
        shared.room.notify_waiters();
    }

    fn fail_batch(&mut self, error: &io::Error) {
        for waiter in self.batch.waiters.drain(..) {
            waiter.complete(Err(io::Error::new(error.kind(), error.to_string())));
        }
        self.batch.clear();
    }

    fn write_batch(&mut self, shared: &Shared) -> io::Result<()> {
        if self.is_segment_over(shared) {
            self.rotate(shared)?;
        }
        let start = self.offset;
        let records = self.batch.bytes.len();
        let end = start + records as u64;
        self.framer.seal(&mut self.batch.bytes);
        let padding = end.next_multiple_of(PAGE_BYTES).min(self.allocated).saturating_sub(end);
        self.batch.bytes.resize(records + padding as usize, 0);
        let sync = self.batch.must_sync || shared.policy() == FsyncPolicy::Always;
        let written = write_all(&*self.file, &self.batch.bytes, start)
            .and_then(|()| if sync { timed_sync(shared, &*self.file) } else { Ok(()) });
        self.batch.bytes.truncate(records);
        if let Err(error) = written {
            // If that fails, the log's end is unknown.
            self.allocated = start;
            return Err(match self.file.truncate(start) {
                Ok(()) => error,
                Err(cut) => io::Error::other(format!("{error}; then cutting the partial write failed: {cut}")),
            });
        }
        self.offset = end;
        self.allocated = self.allocated.max(end);
        let stats = &shared.stats;
        stats.bytes.fetch_add(end - start, Relaxed);
        stats.current_bytes.store(end, Relaxed);
        stats.writes.fetch_add(1, Relaxed);
        stats.appends.fetch_add(self.batch.entries, Relaxed);
        if sync {
            self.synced = self.position();
            if shared.policy() == FsyncPolicy::Always && self.has_grown(shared) {
                self.spares.order(shared, self.segment, self.offset);
            }
        } else if shared.policy() == FsyncPolicy::EverySec {
            shared.sync_soon(end - start);
        }
        Ok(())
    }

    fn complete_batch(&mut self, shared: &Shared) {
        let start = self.offset - self.batch.bytes.len() as u64;
        for placement in self.batch.placements.drain(..) {
            let top = self.tops.entry(placement.group.id).or_insert(0);
            *top = (*top).max(placement.next - 1);
            let mut inner = placement.group.inner.lock();
            if inner.epoch == placement.epoch {
                let at = Position { segment: self.segment, offset: start + placement.offset };
                inner.place(placement.index, placement.next, at, placement.bytes_before);
            }
        }
        debug_assert!(self.offset >= HEADER_BYTES as u64 && shared.stall.load(Relaxed) == 0);
        for waiter in self.batch.waiters.drain(..) {
            waiter.complete(Ok(()));
        }
        self.batch.clear();
    }

    /// Begins a new segment with the state of every group, so that no older segment is needed for
    /// it. The old segment is durable before the new one has a name: only the last segment of
    /// a log can have a torn end.
    pub(super) fn rotate(&mut self, shared: &Shared) -> io::Result<()> {
        self.trim()?;
        timed_sync(shared, &*self.file)?;
        self.synced = self.position();
        let segment = self.segment + 1;
        let synced = Position { segment, offset: HEADER_BYTES as u64 };
        let spare = self.spares.pop(shared);
        let allocated = spare.as_ref().map_or(0, |spare| spare.bytes);
        let (new, length) = create(shared, segment, synced, spare)?;
        shared.segments.write().insert(segment, new.clone());
        let old = Closed { segment: self.segment, bytes: self.offset, tops: std::mem::take(&mut self.tops) };
        self.closed.push_back(old);
        self.framer = Framer::new(&new.header);
        self.file = new.file;
        self.segment = segment;
        self.offset = length;
        self.allocated = allocated.max(length);
        self.synced = self.position();
        self.marked = synced;
        shared.stats.segments.store(self.closed.len() as u64 + 1, Relaxed);
        shared.stats.bytes.fetch_add(length, Relaxed);
        shared.stats.current_bytes.store(length, Relaxed);
        Ok(())
    }

    /// Gives up the oldest segments whose entries are all purged: their files become spare ones, or are deleted. The
    /// purges are made durable first.
    pub(super) fn collect(&mut self, shared: &Shared) -> io::Result<()> {
        let unneeded = self.closed.iter().take_while(|closed| {
            let groups = shared.groups.read();
            closed.tops.iter().all(|(id, top)| {
                groups.get(id).and_then(|group| group.inner.lock().purged).is_some_and(|purged| purged.index >= *top)
            })
        });
        let count = unneeded.count();
        if count == 0 {
            return Ok(());
        }
        timed_sync(shared, &*self.file)?;
        self.synced = self.position();
        let given_up = self.closed.drain(..count).try_for_each(|closed| {
            shared.stats.bytes.fetch_sub(closed.bytes, Relaxed);
            let old = shared.segments.write().remove(&closed.segment);
            old.map_or(Ok(()), |old| self.spares.keep_or_remove(shared, old, closed.bytes))
        });
        shared.stats.segments.store(self.closed.len() as u64 + 1, Relaxed);
        // A file must not be written over while it may still come back under its old name.
        given_up.and_then(|()| shared.files.sync_dir(&shared.dir)).inspect_err(|_| self.spares.clear(shared))
    }
}

/// Makes a segment with the state of all groups, over a spare file if there is one; answers it and where it ends.
pub(super) fn create(
    shared: &Shared,
    segment: u64,
    synced: Position,
    spare: Option<Spare>,
) -> io::Result<(Segment, u64)> {
    let header = Header::new(shared.log_id, segment);
    let mut bytes = header.encode().to_vec();
    record::put_opened(&mut bytes, &shared.boot_id);
    record::put_synced(&mut bytes, synced);
    for group in shared.groups.read().values() {
        let inner = group.inner.lock();
        if let Some(vote) = &inner.vote {
            record::put_vote(&mut bytes, group.id, vote);
        }
        if let Some(purged) = &inner.purged {
            record::put_purge(&mut bytes, group.id, purged);
        }
        if let Some(committed) = &inner.committed {
            record::put_committed(&mut bytes, group.id, committed);
        }
    }
    Framer::new(&header).seal(&mut bytes[HEADER_BYTES..]);
    let (file, temporary) = match spare {
        Some(spare) => (Some(spare.file), spare.path),
        None => (None, segment::temporary_path(&shared.dir, segment)),
    };
    let reused = u64::from(file.is_some());
    let write = || {
        let file = file.map_or_else(|| shared.files.create(&temporary), Ok)?;
        write_all(&*file, &bytes, 0)?;
        timed_sync(shared, &*file)?;
        shared.files.rename(&temporary, &segment::path(&shared.dir, segment))?;
        shared.files.sync_dir(&shared.dir)?;
        Ok(file)
    };
    match write() {
        Ok(file) => {
            shared.stats.reused.fetch_add(reused, Relaxed);
            Ok((Segment { file, header }, bytes.len() as u64))
        }
        Err(error) => {
            // It is of no use, and takes room that may be what is missing; the next try replaces it.
            drop(shared.files.remove(&temporary));
            Err(error)
        }
    }
}

/// Syncs a file and keeps the books.
pub(super) fn timed_sync(shared: &Shared, file: &dyn LogFile) -> io::Result<()> {
    let start = Instant::now();
    let result = file.sync();
    let took = start.elapsed();
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    shared.stats.fsyncs.fetch_add(1, Relaxed);
    shared.stats.last_fsync_us.store(took_us, Relaxed);
    // Only whoever holds the writer and the thread that syncs once a second come here, so little is lost between the two.
    let usual = shared.usual_fsync_us.load(Relaxed);
    shared
        .usual_fsync_us
        .store(usual - usual / FSYNC_SMOOTHING + took_us.min(FSYNC_SLOW_US) / FSYNC_SMOOTHING, Relaxed);
    if took > DELAYED_SYNC {
        shared.stats.delayed_fsyncs.fetch_add(1, Relaxed);
    }
    result
}
