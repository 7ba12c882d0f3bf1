//! How far a group has read, counted in entries.
//!
//! A stream counts the entries that were ever added. Where no entry was removed from the middle of what is left, the
//! number of entries up to an id follows for the ids at both ends, and a group's count can be carried on from
//! delivery to delivery. Otherwise it is unknown. The rules are those of Redis 7.

use super::{GroupHead, StreamHead};
use crate::types::StreamId;

impl StreamHead {
    /// Whether XDEL may have removed an entry from `start` on that is not before the first entry left.
    pub fn has_gap_from(&self, start: StreamId) -> bool {
        self.len > 0 && !self.max_deleted.is_zero() && self.first <= self.max_deleted && start <= self.max_deleted
    }

    /// How many entries were added up to an id, if that can be told.
    pub fn added_up_to(&self, id: StreamId) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        if (self.len == 0 && id <= self.last) || id == self.last {
            return Some(self.added);
        }
        if id > self.last {
            return None;
        }
        if !self.max_deleted.is_zero() && self.max_deleted >= self.first {
            return None;
        }
        // XSETID may set fewer than there are.
        let before_first = self.added.saturating_sub(self.len);
        match id.cmp(&self.first) {
            std::cmp::Ordering::Less => Some(before_first),
            std::cmp::Ordering::Equal => Some(before_first + 1),
            std::cmp::Ordering::Greater => None,
        }
    }
}

impl GroupHead {
    /// How many entries are yet to be delivered, if that can be told.
    pub fn lag(&self, stream: &StreamHead) -> Option<i64> {
        if stream.added == 0 {
            return Some(0);
        }
        let read = match self.entries_read {
            Some(read) if !stream.has_gap_from(self.last) => read,
            _ => stream.added_up_to(self.last)?,
        };
        Some(stream.added.wrapping_sub(read).cast_signed())
    }

    /// Notes that an entry was delivered.
    pub fn deliver(&mut self, stream: &StreamHead, id: StreamId) {
        if id <= self.last {
            return;
        }
        match self.entries_read {
            Some(read) if !stream.has_gap_from(id) => self.entries_read = Some(read.wrapping_add(1)),
            _ if stream.added > 0 => self.entries_read = stream.added_up_to(id),
            _ => {}
        }
        self.last = id;
    }
}
