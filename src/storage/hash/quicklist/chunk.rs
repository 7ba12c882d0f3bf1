//! A chunk of a list: packed elements with room before and behind them.

use std::ops::Range;
use std::sync::Arc;

use super::super::dense::allocated_bytes;
use super::super::packed::{self, Elements};
use crate::storage::lists::ListEnd;

/// What a chunk may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage::hash) struct ChunkLimits {
    pub(in crate::storage::hash) bytes_max: usize,
    pub(in crate::storage::hash) count_max: usize,
}

/// Bytes of a chunk that is limited by its count; Redis's safety limit.
const COUNTED_CHUNK_MAX_BYTES: usize = 8192;

impl ChunkLimits {
    /// The limits that a `list-max-listpack-size` stands for.
    pub(in crate::storage::hash) fn of(list_max_listpack_size: i64) -> Self {
        match usize::try_from(list_max_listpack_size) {
            Ok(count) => Self { bytes_max: COUNTED_CHUNK_MAX_BYTES, count_max: count.max(1) },
            Err(_) => {
                let class = (-1 - list_max_listpack_size).clamp(0, 4);
                Self { bytes_max: 4096 << class, count_max: usize::MAX }
            }
        }
    }

    /// Whether a chunk may hold so much.
    pub(in crate::storage::hash) fn fits(self, bytes: usize, count: usize) -> bool {
        count <= 1 || (bytes <= self.bytes_max && count <= self.count_max)
    }
}

/// Bytes that a chunk takes besides its elements: the counts of its `Arc`, and the vector.
const SHARED_BYTES: usize = 48;

/// A run of elements with room before and behind them.
#[derive(Default)]
pub(in crate::storage::hash) struct Chunk {
    /// Room, then the elements; behind them is the room that the vector has. Shared with snapshots: what changes it makes
    /// a copy first if one has it.
    bytes: Arc<Vec<u8>>,
    /// Bytes of the room before them.
    room: u32,
    count: u32,
}

impl Chunk {
    /// The packed elements.
    pub(in crate::storage::hash) fn packed(&self) -> &[u8] {
        &self.bytes[self.room as usize..]
    }

    /// Number of elements.
    pub(in crate::storage::hash) fn len(&self) -> usize {
        self.count as usize
    }

    pub(super) fn of(packed: Vec<u8>, count: usize) -> Self {
        Self::behind(packed, 0, count)
    }

    /// The elements that stand in `bytes` behind some room.
    pub(in crate::storage::hash) fn behind(bytes: Vec<u8>, room: usize, count: usize) -> Self {
        Self { bytes: Arc::new(bytes), room: room as u32, count: count as u32 }
    }

    /// The chunk as it is now.
    pub(super) fn freeze(&self) -> FrozenChunk {
        FrozenChunk { bytes: Arc::clone(&self.bytes), room: self.room }
    }

    /// Room and elements.
    pub(in crate::storage::hash) fn into_bytes(self) -> (Vec<u8>, usize) {
        (Arc::unwrap_or_clone(self.bytes), self.room as usize)
    }

    pub(super) fn memory(&self) -> usize {
        allocated_bytes(self.bytes.capacity()) + SHARED_BYTES
    }

    /// Adds an element at an end.
    pub(in crate::storage::hash) fn push(&mut self, end: ListEnd, element: &[u8], limits: ChunkLimits) {
        match end {
            ListEnd::Tail => {
                let needed = packed::element_bytes(element.len());
                let bytes = Arc::make_mut(&mut self.bytes);
                if bytes.len() + needed > bytes.capacity() && self.room as usize >= bytes.len() / 4 {
                    // Pops at the head have left enough room to be worth moving the rest.
                    bytes.drain(..self.room as usize);
                    self.room = 0;
                }
                if bytes.len() + needed > bytes.capacity() {
                    let wanted = grown(bytes.len(), needed, limits);
                    bytes.reserve_exact(wanted - bytes.len());
                }
                packed::push(bytes, element);
            }
            ListEnd::Head => {
                let needed = packed::element_bytes(element.len());
                if (self.room as usize) < needed {
                    let used = self.packed().len();
                    let room = grown(used, needed, limits) - used;
                    let mut bytes = vec![0; room];
                    bytes.reserve_exact(used);
                    bytes.extend_from_slice(self.packed());
                    self.bytes = Arc::new(bytes);
                    self.room = room as u32;
                }
                let start = self.room as usize - needed;
                packed::write(&mut Arc::make_mut(&mut self.bytes)[start..start + needed], element);
                self.room = start as u32;
            }
        }
        self.count += 1;
    }

    /// Removes elements at an end, passing each to `popped`.
    pub(in crate::storage::hash) fn pop(&mut self, end: ListEnd, count: usize, popped: &mut dyn FnMut(&[u8])) {
        let mut elements = Elements::of(&self.bytes[self.room as usize..]);
        match end {
            ListEnd::Head => elements.by_ref().take(count).for_each(popped),
            ListEnd::Tail => elements.by_ref().rev().take(count).for_each(popped),
        }
        let left = elements.remaining();
        match end {
            ListEnd::Head => self.room = (self.bytes.len() - left) as u32,
            ListEnd::Tail => Arc::make_mut(&mut self.bytes).truncate(self.room as usize + left),
        }
        self.count -= count as u32;
    }

    /// Gives back all room.
    pub(super) fn shrink(&mut self) {
        let bytes = Arc::make_mut(&mut self.bytes);
        bytes.drain(..self.room as usize);
        self.room = 0;
        bytes.shrink_to_fit();
    }

    /// Puts packed elements in the place of others.
    pub(in crate::storage::hash) fn splice(&mut self, range: Range<usize>, packed: &[u8], count: usize) {
        let offsets = packed::offsets_of(self.packed(), &range, self.len());
        let room = self.room as usize;
        Arc::make_mut(&mut self.bytes).splice(room + offsets.start..room + offsets.end, packed.iter().copied());
        self.count = self.count - range.len() as u32 + count as u32;
    }

    /// Adds the elements of another chunk behind its own.
    pub(super) fn append(&mut self, other: &Self) {
        Arc::make_mut(&mut self.bytes).extend_from_slice(other.packed());
        self.count += other.count;
    }

    /// Takes the elements from an index on off.
    pub(super) fn split_off(&mut self, index: usize) -> Self {
        let offset = packed::offset_of(self.packed(), index, self.len());
        let tail = Arc::make_mut(&mut self.bytes).split_off(self.room as usize + offset);
        let count = self.len() - index;
        self.count = index as u32;
        Self::of(tail, count)
    }
}

/// A chunk that stays as it was when it was frozen.
pub(in crate::storage::hash) struct FrozenChunk {
    bytes: Arc<Vec<u8>>,
    room: u32,
}

impl FrozenChunk {
    /// The packed elements.
    pub(in crate::storage::hash) fn packed(&self) -> &[u8] {
        &self.bytes[self.room as usize..]
    }
}

/// Bytes to make room for: half as much again, but no more than a chunk can come to.
fn grown(used: usize, needed: usize, limits: ChunkLimits) -> usize {
    let enough = used + needed;
    enough.max((used + used / 2).max(64).min(limits.bytes_max))
}
