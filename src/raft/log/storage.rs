//! openraft's view of the log: one group's reader and storage.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;

use openraft::OptionalSend;
use openraft::storage::{LogState, RaftLogReader, RaftLogStorage};

use super::super::blocking::blocking;
use super::super::types::{Entry, EntryPayload, Flushed, LogId, TypeConfig, Vote};
use super::group::{GroupInner, GroupState, Run};
use super::queue::{Batch, Placement, Waiter};
use super::record::{self, Body, Framer, HEAD_BYTES};
use super::{FsyncPolicy, LogError, Segment, Shared, SharedLog, segment};
use crate::limits::{APPEND_TARGET_BYTES, LOG_INDEX_STRIDE_BYTES, LOG_QUEUE_MAX_BYTES, LOG_READ_CHUNK_BYTES};
use crate::types::ShardId;

/// One group's part of the [`SharedLog`]; clones are handles to the same.
#[derive(Clone)]
pub struct GroupLog {
    log: Arc<SharedLog>,
    group: Arc<GroupState>,
}

impl GroupLog {
    pub(super) fn new(log: Arc<SharedLog>, group: Arc<GroupState>) -> Self {
        Self { log, group }
    }

    /// The group.
    pub fn shard(&self) -> ShardId {
        ShardId(self.group.id)
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.log.shared
    }

    /// The entry up to which a snapshot has taken the log's place.
    pub fn purged(&self) -> Option<LogId> {
        self.group.inner.lock().purged
    }

    /// There is a vote or an entry: the group was here before.
    pub fn has_state(&self) -> bool {
        let inner = self.group.inner.lock();
        inner.vote.is_some() || inner.last().is_some()
    }

    /// Waits until the writer has caught up to within the queue's bound.
    async fn wait_for_room(&self) {
        let shared = self.shared();
        let is_full = || {
            let queue = shared.queue.lock();
            queue.bytes.len() > LOG_QUEUE_MAX_BYTES && !queue.closed
        };
        while is_full() {
            let room = shared.room.notified();
            tokio::pin!(room);
            // From here on a notification is not missed.
            room.as_mut().enable();
            if !is_full() {
                return;
            }
            room.await;
        }
    }

    /// Adds a record that nobody waits for.
    fn queue(&self, put: impl FnOnce(&mut Batch)) -> io::Result<()> {
        let shared = self.shared();
        let mut queue = shared.queue.lock();
        check_open(shared, &queue)?;
        put(&mut queue);
        drop(queue);
        shared.kick();
        Ok(())
    }
}

fn check_open(shared: &Shared, queue: &Batch) -> io::Result<()> {
    match shared.failure() {
        Some(error) => Err(error),
        None if queue.closed => Err(io::Error::other("the raft log is closed")),
        None => Ok(()),
    }
}

/// Encodes everything of a group that is not yet queued.
fn queue_entries(group: &Arc<GroupState>, inner: &mut GroupInner, queue: &mut Batch) {
    queue_committed(group, inner, queue);
    let epoch = inner.epoch;
    let mut open: Option<Placement> = None;
    for (entry, bytes_before) in inner.unqueued() {
        let index = entry.log_id.index;
        let offset = queue.bytes.len() as u64;
        match &mut open {
            Some(placement) if offset - placement.offset < LOG_INDEX_STRIDE_BYTES => placement.next = index + 1,
            _ => {
                let group = Arc::clone(group);
                let new = Placement { group, epoch, index, next: index + 1, offset, bytes_before };
                queue.placements.extend(open.replace(new));
            }
        }
        record::put_entry(&mut queue.bytes, group.id, entry);
        queue.entries += 1;
    }
    queue.placements.extend(open);
    inner.queued = inner.next();
}

/// Queues what the groups still hold back: positions that went along with no entry, and entries
/// that were in memory only, unless they are to stay there.
pub(super) fn queue_everything(shared: &Shared) {
    let groups: Vec<_> = shared.groups.read().values().cloned().collect();
    for group in &groups {
        let mut inner = group.inner.lock();
        let mut queue = shared.queue.lock();
        if shared.policy() != FsyncPolicy::Memory {
            queue_entries(group, &mut inner, &mut queue);
        } else {
            queue_committed(group, &mut inner, &mut queue);
        }
    }
}

fn queue_committed(group: &GroupState, inner: &mut GroupInner, queue: &mut Batch) {
    if std::mem::take(&mut inner.committed_moved)
        && let Some(committed) = &inner.committed
    {
        record::put_committed(&mut queue.bytes, group.id, committed);
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&end) => end.saturating_add(1),
        Bound::Excluded(&end) => end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

/// Reads a run of entries from its segment. Blocking.
fn read_run(shared: &Shared, group: u32, run: &Run, out: &mut Vec<Entry>) -> io::Result<()> {
    let segment = run.at.segment;
    let path = || segment::path(&shared.dir, segment);
    let found = shared.segments.read().get(&segment).cloned();
    let Segment { file, header } = found.ok_or_else(|| LogError::MissingSegment { segment: path() })?;
    let framer = Framer::new(&header);
    let mut offset = run.at.offset;
    let mut wanted = run.range.clone();
    let mut buffer = Vec::new();
    let mut at = 0;
    while !wanted.is_empty() {
        let corrupt = |reason: &str| LogError::Corrupt { segment: path(), offset, reason: reason.to_owned() };
        // How much of the next record is needed at least, and how much there is.
        let rest = &buffer[at..];
        let needed = match rest.len() {
            0..HEAD_BYTES => HEAD_BYTES,
            _ => framer.record_length(rest).map_err(|bad| corrupt(bad.reason()))?,
        };
        if rest.len() < needed {
            buffer.drain(..at);
            at = 0;
            let have = buffer.len();
            buffer.resize(needed.max(LOG_READ_CHUNK_BYTES), 0);
            let read = read_full(&*file, &mut buffer[have..], offset + have as u64)?;
            buffer.truncate(have + read);
            if buffer.len() < needed {
                return Err(corrupt("the segment ends early").into());
            }
            continue;
        }
        let (owner, body, length) = framer.read(rest).map_err(|bad| corrupt(bad.reason()))?;
        if let Body::Entry(id, entry) = &body
            && owner == group
            && id.index <= wanted.start
        {
            if id.index == wanted.start {
                out.push(entry.to_entry(*id).map_err(|error| corrupt(error.reason))?);
                wanted.start += 1;
            }
        } else if owner == group && matches!(body, Body::Entry(..)) {
            return Err(corrupt("an entry follows that does not belong here").into());
        }
        at += length;
        offset += length as u64;
    }
    Ok(())
}

fn read_full(file: &dyn super::LogFile, mut buffer: &mut [u8], mut offset: u64) -> io::Result<usize> {
    let mut total = 0;
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => break,
            Ok(read) => {
                total += read;
                offset += read as u64;
                buffer = &mut buffer[read..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

impl RaftLogReader<TypeConfig> for GroupLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let (runs, cached) = self.group.inner.lock().entries(bounds(&range))?;
        if runs.is_empty() {
            return Ok(cached);
        }
        let shared = Arc::clone(self.shared());
        let group = self.group.id;
        let read = move || {
            let mut entries = Vec::new();
            for run in &runs {
                read_run(&shared, group, run, &mut entries)?;
            }
            entries.extend(cached);
            Ok(entries)
        };
        blocking(read).await?
    }

    /// What replication sends in one request.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        if start >= end {
            return Ok(Vec::new());
        }
        let end = self.group.inner.lock().limit(start..end, APPEND_TARGET_BYTES as u64);
        self.try_get_log_entries(start..end).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.group.inner.lock().vote)
    }
}

impl RaftLogStorage<TypeConfig> for GroupLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let inner = self.group.inner.lock();
        Ok(LogState { last_purged_log_id: inner.purged, last_log_id: inner.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        {
            let shared = self.shared();
            let mut queue = shared.queue.lock();
            check_open(shared, &queue)?;
            record::put_vote(&mut queue.bytes, self.group.id, vote);
            queue.must_sync = true;
            queue.waiters.push(Waiter::Synced(sender));
        }
        self.group.inner.lock().vote = Some(*vote);
        self.shared().order(|orders| orders.work = true);
        receiver.await.map_err(|_| io::Error::other("the raft log was dropped"))?
    }

    /// Remembers the position, and writes it with the next entry: what is lost with the process is
    /// found again when the group's next leader commits its first entry.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let mut inner = self.group.inner.lock();
        inner.committed = committed;
        inner.committed_moved = committed.is_some();
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.group.inner.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: Flushed) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.wait_for_room().await;
        let shared = self.shared();
        {
            let mut inner = self.group.inner.lock();
            let mut has_membership = false;
            for entry in entries {
                has_membership |= matches!(entry.payload, EntryPayload::Membership(_));
                inner.push(entry)?;
            }
            if shared.policy() == FsyncPolicy::Memory {
                drop(inner);
                callback.io_completed(Ok(()));
                return Ok(());
            }
            let mut queue = shared.queue.lock();
            check_open(shared, &queue)?;
            queue_entries(&self.group, &mut inner, &mut queue);
            // Who votes is as important as who was voted for, and changes as seldom.
            queue.must_sync |= has_membership;
            queue.waiters.push(Waiter::Flushed(callback));
        }
        shared.kick();
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let was_queued = self.group.inner.lock().truncate_after(last_log_id);
        if was_queued {
            self.queue(|queue| record::put_truncate_after(&mut queue.bytes, self.group.id, last_log_id.as_ref()))?;
        }
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        self.group.inner.lock().purge(log_id);
        self.queue(|queue| record::put_purge(&mut queue.bytes, self.group.id, &log_id))?;
        self.shared().order(|orders| orders.collect = true);
        Ok(())
    }
}
