//! Cursors of a SCAN over shards that have different slots of a database.
//!
//! The shards are walked one after the other, in the order of their first slots. Every engine's cursor holds a
//! slot, so a cursor says by its slot which shard is being walked, and stays as short as it is with one
//! shard. Where a shard would say *from the beginning*, which holds no slot, the client gets the
//! cursor of the shard's first slot instead.

use super::walk::{ENGINE_CURSOR_BITS, joined};
use crate::storage::{EngineKind, ScanCursor};
use crate::types::Slot;

fn split(cursor: u64) -> Option<(EngineKind, ScanCursor)> {
    let kind = EngineKind::ALL.get(usize::try_from(cursor >> ENGINE_CURSOR_BITS).ok()?)?;
    Some((*kind, ScanCursor(cursor & ((1 << ENGINE_CURSOR_BITS) - 1))))
}

/// The client's cursor for the beginning of the shard whose first slot is `first`.
pub fn beginning_at(first: Slot) -> u64 {
    let kind = EngineKind::ALL[0];
    joined(kind, kind.cursor_at(first)).0
}

/// The slot at which a client's cursor goes on; `None` if it is no cursor of ours.
pub fn slot_of(cursor: u64) -> Option<Slot> {
    let (kind, inner) = split(cursor)?;
    Some(kind.slot_of_cursor(inner))
}

/// A client's cursor as the shard whose first slot is `first` takes it.
pub fn enter(cursor: u64, first: Slot) -> u64 {
    match split(cursor) {
        Some((kind, inner)) if inner == kind.cursor_at(first) => joined(kind, ScanCursor::START).0,
        _ => cursor,
    }
}

/// A cursor that the shard whose first slot is `first` answers, as the client gets it. It is not to be used
/// for 0, with which the walk of the shard ends.
pub fn leave(cursor: u64, first: Slot) -> u64 {
    match split(cursor) {
        Some((kind, ScanCursor::START)) => joined(kind, kind.cursor_at(first)).0,
        _ => cursor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_left_and_entered_at_the_same_place() {
        for first in [Slot(0), Slot(1), Slot(4096), Slot(16383)] {
            for cursor in [1 << ENGINE_CURSOR_BITS, 2 << ENGINE_CURSOR_BITS] {
                let outside = leave(cursor, first);
                assert_eq!(slot_of(outside), Some(first));
                assert_eq!(enter(outside, first), cursor);
            }
            assert_eq!(enter(beginning_at(first), first), 0);
            assert_eq!(slot_of(beginning_at(first)), Some(first));
        }
        assert_eq!(beginning_at(Slot(0)), 0);
    }

    #[test]
    fn what_is_no_cursor_has_no_slot() {
        assert_eq!(slot_of(3 << ENGINE_CURSOR_BITS), None);
        assert_eq!(slot_of(u64::MAX), None);
    }

    #[test]
    fn cursors_in_the_middle_of_a_shard_are_left_alone() {
        let middle = 7 << 14 | 5000;
        assert_eq!(slot_of(middle), Some(Slot(5000)));
        assert_eq!(enter(leave(middle, Slot(4096)), Slot(4096)), middle);
        let row = (1 << ENGINE_CURSOR_BITS) + (5000 << 32) + 78;
        assert_eq!(slot_of(row), Some(Slot(5000)));
        assert_eq!(enter(leave(row, Slot(4096)), Slot(4096)), row);
    }
}
