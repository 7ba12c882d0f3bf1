//! What the log keeps in memory of one group: its raft state, its recent entries, and a sparse
//! index of where older ones are.
//!
//! The index holds one point per [`LOG_INDEX_STRIDE_BYTES`] of log, 32 bytes each: what grows with
//! the unpurged log is 2 KiB of memory per MiB. From a point, entries follow in the segment in
//! order, between records of other groups, until the next point. A truncation, a new segment and
//! a jump always begin a new point, so this holds whatever was cut in between.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use parking_lot::Mutex;

use super::super::types::{Entry, EntryPayload, LogId, Vote};
use super::record::{ENTRY_OVERHEAD_BYTES, Position};
use crate::limits::LOG_INDEX_STRIDE_BYTES;

/// One group of the log.
pub(super) struct GroupState {
    pub(super) id: u32,
    pub(super) inner: Mutex<GroupInner>,
}

/// A place where reading may start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// The entry found there.
    pub(super) index: u64,
    pub(super) at: Position,
    /// Bytes of the group's log before the entry.
    bytes_before: u64,
}

struct Cached {
    entry: Entry,
    /// Bytes of the group's log up to the end of the entry.
    end_bytes: u64,
}

/// Part of the log that has to be read from segments: entries `range`, from `at` on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) at: Position,
    pub(super) range: Range<u64>,
}

/// Entries `first..next` exist; those from `cache_first()` on are in memory.
pub(super) struct GroupInner {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    /// `committed` has moved since it was last queued.
    pub(super) committed_moved: bool,
    pub(super) purged: Option<LogId>,
    last: Option<LogId>,
    first: u64,
    next: u64,
    /// First entry that is not yet queued for the writer.
    pub(super) queued: u64,
    /// First entry that is not yet in a segment.
    written: u64,
    cache: VecDeque<Cached>,
    cache_bytes: u64,
    cache_max_bytes: u64,
    points: VecDeque<Point>,
    /// The next entry placed needs a point: those before it do not lead to it.
    point_forced: bool,
    /// Counts truncations: placements made before the latest are void.
    pub(super) epoch: u64,
    /// Bytes ever appended, and of these, bytes up to the last purged entry.
    total_bytes: u64,
    purged_bytes: u64,
}

/// Bytes that an entry takes in the log.
pub(super) fn entry_bytes(entry: &Entry) -> u64 {
    let payload = match &entry.payload {
        EntryPayload::Normal(payload) => payload.0.len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    };
    (ENTRY_OVERHEAD_BYTES + payload) as u64
}

impl GroupState {
    pub(super) fn new(id: u32, cache_max_bytes: u64) -> Self {
        let inner = GroupInner {
            vote: None,
            committed: None,
            committed_moved: false,
            purged: None,
            last: None,
            first: 0,
            next: 0,
            queued: 0,
            written: 0,
            cache: VecDeque::new(),
            cache_bytes: 0,
            cache_max_bytes,
            points: VecDeque::new(),
            point_forced: false,
            epoch: 0,
            total_bytes: 0,
            purged_bytes: 0,
        };
        Self { id, inner: Mutex::new(inner) }
    }
}

impl GroupInner {
    fn is_empty(&self) -> bool {
        self.first == self.next
    }

    fn cache_first(&self) -> u64 {
        self.next - self.cache.len() as u64
    }

    /// The last entry, or what was purged when there is none.
    pub(super) fn last(&self) -> Option<LogId> {
        if self.is_empty() { self.purged } else { self.last }
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Bytes of the entries that no purge has covered. Exact while the purged entry was in
    /// memory, else up to one index stride too much.
    pub(super) fn live_bytes(&self) -> u64 {
        self.total_bytes - self.purged_bytes
    }

    /// Adds an entry behind the last; an empty log may begin anywhere.
    pub(super) fn push(&mut self, entry: Entry) -> io::Result<()> {
        let index = entry.log_id.index;
        if self.is_empty() && self.purged.is_none() {
            self.begin_at(index);
        }
        if index != self.next {
            let expected = self.next;
            return Err(io::Error::other(format!("entry {index} was appended where {expected} is next")));
        }
        self.next = index + 1;
        self.last = Some(entry.log_id);
        self.total_bytes += entry_bytes(&entry);
        self.cache_bytes += entry_bytes(&entry);
        self.cache.push_back(Cached { entry, end_bytes: self.total_bytes });
        Ok(())
    }

    fn begin_at(&mut self, index: u64) {
        self.first = index;
        self.next = index;
        self.queued = index;
        self.written = index;
        self.point_forced = true;
    }

    /// Adds an entry that recovery found in a segment. An empty log may jump ahead: the purge that
    /// explains the jump may be recorded behind it (see [`GroupInner::has_gap`]). An entry that
    /// was purged already is passed over: the state at the head of a segment may be younger than
    /// the records behind it.
    pub(super) fn recover(&mut self, entry: Entry, at: Position) -> io::Result<()> {
        let bytes_before = self.total_bytes;
        let index = entry.log_id.index;
        if self.purged.is_some_and(|purged| index <= purged.index) {
            return Ok(());
        }
        if self.is_empty() && index > self.next {
            self.begin_at(index);
        }
        self.push(entry)?;
        self.queued = self.next;
        self.place(index, self.next, at, bytes_before);
        Ok(())
    }

    /// Whether entries are missing between what was purged and what there is.
    pub(super) fn has_gap(&self) -> bool {
        self.first > self.purged.map_or(0, |purged| purged.index + 1)
    }

    /// Entries that the writer has not been given yet, each with the bytes before it.
    pub(super) fn unqueued(&self) -> impl Iterator<Item = (&Entry, u64)> {
        let skip = self.queued.saturating_sub(self.cache_first()) as usize;
        self.cache.range(skip.min(self.cache.len())..).map(|cached| {
            let bytes_before = cached.end_bytes - entry_bytes(&cached.entry);
            (&cached.entry, bytes_before)
        })
    }

    /// Notes that entries `index..next` lie in a segment, the first of them at `at`.
    pub(super) fn place(&mut self, index: u64, next: u64, at: Position, bytes_before: u64) {
        let due = self.point_forced || self.points.back().is_none_or(|last| point_is_due(last, at));
        if next > self.first && due {
            self.points.push_back(Point { index, at, bytes_before });
            self.point_forced = false;
        }
        self.written = self.written.max(next.min(self.next));
        self.shrink_cache();
    }

    /// Forgets the oldest entries that can be read back.
    fn shrink_cache(&mut self) {
        while self.cache_bytes > self.cache_max_bytes && self.cache_first() < self.written {
            let Some(cached) = self.cache.pop_front() else { break };
            self.cache_bytes -= entry_bytes(&cached.entry);
        }
    }

    /// Removes the entries after `last`. Answers whether any of them had been queued, in which
    /// case the removal has to be written down.
    ///
    /// During recovery the log may begin with what is left of a tail that was truncated later, from
    /// far behind where the log really begins: then the truncation moves the beginning back.
    pub(super) fn truncate_after(&mut self, last: Option<LogId>) -> bool {
        let floor = self.purged.map_or(0, |purged| purged.index + 1);
        let next = last.map_or(0, |id| id.index + 1).max(floor);
        if next >= self.next {
            return false;
        }
        let was_queued = self.queued > next;
        let removed = (self.next - next).min(self.cache.len() as u64);
        for _ in 0..removed {
            if let Some(cached) = self.cache.pop_back() {
                self.cache_bytes -= entry_bytes(&cached.entry);
            }
        }
        while self.points.back().is_some_and(|point| point.index >= next) {
            self.points.pop_back();
        }
        self.next = next;
        self.first = self.first.min(next);
        self.queued = self.queued.min(next);
        self.written = self.written.min(next);
        self.last = last;
        self.epoch += 1;
        self.point_forced = true;
        was_queued
    }

    /// Removes the entries up to `upto`, which may lie behind the end.
    pub(super) fn purge(&mut self, upto: LogId) {
        if self.purged.is_some_and(|purged| purged.index >= upto.index) {
            return;
        }
        let first = upto.index + 1;
        self.purged_bytes = self.bytes_upto(upto.index);
        self.purged = Some(upto);
        while self.cache_first() < first && !self.cache.is_empty() {
            if let Some(cached) = self.cache.pop_front() {
                self.cache_bytes -= entry_bytes(&cached.entry);
            }
        }
        if self.next <= first {
            self.next = first;
            self.last = Some(upto);
            self.points.clear();
        }
        while self.points.get(1).is_some_and(|second| second.index <= first) {
            self.points.pop_front();
        }
        self.first = self.first.max(first).min(self.next);
        self.queued = self.queued.max(self.first);
        self.written = self.written.max(self.first);
    }

    fn bytes_upto(&self, index: u64) -> u64 {
        if index + 1 >= self.next {
            return self.total_bytes;
        }
        if index + 1 < self.first {
            return self.purged_bytes;
        }
        if index >= self.cache_first() {
            return self.cache[(index - self.cache_first()) as usize].end_bytes;
        }
        let behind = self.points.partition_point(|point| point.index <= index + 1);
        behind.checked_sub(1).map_or(self.purged_bytes, |at| self.points[at].bytes_before.max(self.purged_bytes))
    }

    /// Where a range of indexes, which is not empty, has to end for its entries to have no more than about `bytes_max`
    /// bytes; behind its first entry at least.
    pub(super) fn limit(&self, range: Range<u64>, bytes_max: u64) -> u64 {
        let end = range.end.min(self.next);
        let before = range.start.checked_sub(1).map_or(0, |index| self.bytes_upto(index));
        let (mut low, mut high) = (range.start + 1, end);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.bytes_upto(middle - 1).saturating_sub(before) <= bytes_max {
                low = middle
            } else {
                high = middle - 1
            }
        }
        low
    }

    /// Splits a range of indexes into what is to be read from segments and clones of what is in
    /// memory. Indexes that do not exist are left out.
    pub(super) fn entries(&self, range: Range<u64>) -> io::Result<(Vec<Run>, Vec<Entry>)> {
        let start = range.start.max(self.first);
        let end = range.end.min(self.next);
        if start >= end {
            return Ok((Vec::new(), Vec::new()));
        }
        let cache_first = self.cache_first();
        let mut runs = Vec::new();
        let mut from = start;
        let disk_end = end.min(cache_first);
        while from < disk_end {
            let behind = self.points.partition_point(|point| point.index <= from);
            let point = behind
                .checked_sub(1)
                .map(|at| self.points[at])
                .ok_or_else(|| io::Error::other(format!("entry {from} is in no segment, although the log has it")))?;
            let until = self.points.get(behind).map_or(disk_end, |next| next.index.min(disk_end));
            runs.push(Run { at: point.at, range: from..until });
            from = until;
        }
        let cached = if end > cache_first {
            let low = (start.max(cache_first) - cache_first) as usize;
            let high = (end - cache_first) as usize;
            self.cache.range(low..high).map(|cached| cached.entry.clone()).collect()
        } else {
            Vec::new()
        };
        Ok((runs, cached))
    }
}

/// Whether an entry at `at` deserves a point of its own.
fn point_is_due(last: &Point, at: Position) -> bool {
    at.segment != last.at.segment || at.offset - last.at.offset >= LOG_INDEX_STRIDE_BYTES
}

#[cfg(test)]
mod tests {
    use super::super::super::types::{LeaderId, Payload};
    use super::*;

    fn id(index: u64) -> LogId {
        LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index }
    }

    fn entry(index: u64, bytes: usize) -> Entry {
        Entry { log_id: id(index), payload: EntryPayload::Normal(Payload(vec![0; bytes].into())) }
    }

    #[test]
    fn old_entries_leave_memory_only_when_written() {
        let state = GroupState::new(0, 1000);
        let mut group = state.inner.lock();
        for index in 1..=10 {
            group.push(entry(index, 400)).expect("in order");
        }
        assert_eq!(group.entries(1..11).expect("all in memory").1.len(), 10);
        group.place(1, 6, Position { segment: 1, offset: 32 }, 0);
        let (runs, cached) = group.entries(0..11).expect("readable");
        assert_eq!(runs, [Run { at: Position { segment: 1, offset: 32 }, range: 1..6 }]);
        assert_eq!(cached.len(), 5);
    }

    #[test]
    fn a_range_is_cut_at_a_number_of_bytes_but_never_empty() {
        let state = GroupState::new(0, 0);
        let mut group = state.inner.lock();
        for index in 0..10 {
            group.push(entry(index, 1000)).expect("in order");
        }
        let one = entry_bytes(&entry(0, 1000));
        assert_eq!(group.limit(0..10, 3 * one), 3);
        assert_eq!(group.limit(4..10, 3 * one), 7);
        assert_eq!(group.limit(8..30, 3 * one), 10);
        assert_eq!(group.limit(5..10, 1), 6);
        // Behind the cache the index says how much there is, a stride too much at most.
        group.place(0, 10, Position { segment: 1, offset: 32 }, 0);
        assert!((6..=10).contains(&group.limit(5..10, one)));
    }

    #[test]
    fn a_truncation_voids_points_and_begins_a_new_one() {
        let state = GroupState::new(0, 0);
        let mut group = state.inner.lock();
        for index in 0..4 {
            group.recover(entry(index, 10), Position { segment: 1, offset: 32 + index * 20_000 }).expect("in order");
        }
        assert!(group.truncate_after(Some(id(1))));
        group.recover(entry(2, 10), Position { segment: 1, offset: 60_100 }).expect("in order");
        let (runs, _) = group.entries(0..3).expect("readable");
        let starts: Vec<_> = runs.iter().map(|run| (run.at.offset, run.range.clone())).collect();
        assert_eq!(starts, [(32, 0..1), (20_032, 1..2), (60_100, 2..3)]);
    }

    #[test]
    fn recovery_may_begin_with_a_tail_that_was_truncated_later() {
        let state = GroupState::new(0, 1 << 20);
        let mut group = state.inner.lock();
        let at = |offset| Position { segment: 1, offset };
        group.purge(id(1));
        group.recover(entry(27, 10), at(32)).expect("a jump");
        assert!(group.has_gap());
        group.truncate_after(Some(id(3)));
        for index in 4..40 {
            group.recover(entry(index, 10), at(100 + index)).expect("in order");
        }
        group.purge(id(30));
        assert!(!group.has_gap());
        assert_eq!((group.first(), group.next()), (31, 40));
    }

    #[test]
    fn purging_past_the_end_moves_the_end() {
        let state = GroupState::new(0, 1 << 20);
        let mut group = state.inner.lock();
        for index in 0..4 {
            group.push(entry(index, 10)).expect("in order");
        }
        group.purge(id(1));
        assert_eq!((group.first(), group.last()), (2, Some(id(3))));
        assert_eq!(group.live_bytes(), 2 * entry_bytes(&entry(0, 10)));
        group.purge(id(9));
        assert_eq!((group.first(), group.next(), group.last()), (10, 10, Some(id(9))));
        assert_eq!(group.live_bytes(), 0);
        assert!(group.push(entry(9, 1)).is_err());
        assert!(group.push(entry(10, 1)).is_ok());
    }
}
