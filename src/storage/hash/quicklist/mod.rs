//! A large list: a deque of chunks, each a run of packed elements.
//!
//! ```text
//! chunks:  [ ···aabbcc ] [ ddeeff ] [ gghh··· ]        ··· is room, at either end
//! ```
//!
//! A chunk holds as many elements as `list-max-listpack-size` lets a node of Redis's quicklists hold, as far as they come by
//! pushes; an element larger than a chunk has one of its own. Pushes and pops move no element but those of a
//! chunk that must grow. Finding an index adds up the counts of chunks from the nearer end, then steps over elements of one.

mod chunk;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::Range;

pub(super) use chunk::{Chunk, ChunkLimits, FrozenChunk};

use super::dense::allocated_bytes;
use super::packed::{self, Elements};
use crate::storage::lists::{ListEnd, VisitElement};

/// A list of chunks. It is not empty but while it is made or emptied.
pub(super) struct Quicklist {
    chunks: VecDeque<Chunk>,
    len: u64,
    /// Bytes that the chunks have allocated.
    chunk_bytes: usize,
}

impl Quicklist {
    pub(super) fn new() -> Self {
        Self { chunks: VecDeque::new(), len: 0, chunk_bytes: 0 }
    }

    /// The list of packed elements.
    pub(super) fn of_packed(packed: &[u8], limits: ChunkLimits) -> Self {
        let mut list = Self::new();
        Elements::of(packed).for_each(|element| list.push(ListEnd::Tail, element, limits));
        list
    }

    /// Number of elements.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Approximate bytes it takes besides itself.
    pub(super) fn bytes(&self) -> usize {
        self.chunk_bytes + allocated_bytes(self.chunks.capacity() * size_of::<Chunk>())
    }

    /// Number of chunks.
    pub(super) fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// The packed elements of each chunk.
    pub(super) fn packed_chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().map(Chunk::packed)
    }

    /// The chunks as they are now.
    pub(super) fn freeze(&self) -> VecDeque<FrozenChunk> {
        self.chunks.iter().map(Chunk::freeze).collect()
    }

    /// Adds a chunk of packed elements behind all others.
    pub(super) fn load(&mut self, packed: &[u8], count: u64) {
        self.add_chunk(self.chunks.len(), Chunk::of(packed.to_vec(), count as usize));
        self.len += count;
    }

    /// Adds the chunks of another list behind all others.
    pub(super) fn extend(&mut self, other: Self) {
        self.len += other.len;
        self.chunk_bytes += other.chunk_bytes;
        self.chunks.extend(other.chunks);
    }

    // ---- reading ----

    /// The chunk that holds the element at an index within the list, and its index in there.
    fn find(&self, index: u64) -> (usize, usize) {
        if index <= self.len / 2 {
            let mut left = index;
            for (at, chunk) in self.chunks.iter().enumerate() {
                if left < chunk.len() as u64 {
                    return (at, left as usize);
                }
                left -= chunk.len() as u64;
            }
        } else {
            let mut behind = self.len - index;
            for (at, chunk) in self.chunks.iter().enumerate().rev() {
                if behind <= chunk.len() as u64 {
                    return (at, chunk.len() - behind as usize);
                }
                behind -= chunk.len() as u64;
            }
        }
        unreachable!("the index is within the list, and the chunks hold all its elements")
    }

    /// The element at an index.
    pub(super) fn get(&self, index: u64) -> Option<&[u8]> {
        if index >= self.len {
            return None;
        }
        let (at, within) = self.find(index);
        let chunk = &self.chunks[at];
        let offset = packed::offset_of(chunk.packed(), within, chunk.len());
        Elements::of(&chunk.packed()[offset..]).next()
    }

    /// Visits elements from an index on, either way.
    pub(super) fn walk(&self, from: u64, reverse: bool, visit: &mut VisitElement<'_>) {
        if from >= self.len {
            return;
        }
        let (at, within) = self.find(from);
        let chunk = &self.chunks[at];
        if reverse {
            let end = packed::offset_of(chunk.packed(), within + 1, chunk.len());
            let _ = Elements::of(&chunk.packed()[..end]).rev().all(&mut *visit)
                && self.chunks.range(..at).rev().all(|chunk| Elements::of(chunk.packed()).rev().all(&mut *visit));
        } else {
            let start = packed::offset_of(chunk.packed(), within, chunk.len());
            let _ = Elements::of(&chunk.packed()[start..]).all(&mut *visit)
                && self.chunks.range(at + 1..).all(|chunk| Elements::of(chunk.packed()).all(&mut *visit));
        }
    }

    // ---- changing ----

    fn add_chunk(&mut self, at: usize, chunk: Chunk) {
        self.chunk_bytes += chunk.memory();
        self.chunks.insert(at, chunk);
    }

    /// Changes a chunk and keeps account of its bytes.
    fn change<T>(&mut self, at: usize, change: impl FnOnce(&mut Chunk) -> T) -> T {
        let chunk = &mut self.chunks[at];
        let before = chunk.memory();
        let result = change(chunk);
        self.chunk_bytes = self.chunk_bytes - before + chunk.memory();
        result
    }

    fn drop_chunk(&mut self, at: usize) {
        let chunk = self.chunks.remove(at).expect("the chunk is there");
        self.chunk_bytes -= chunk.memory();
    }

    fn fits(&self, at: usize, element: &[u8], limits: ChunkLimits) -> bool {
        let chunk = &self.chunks[at];
        limits.fits(chunk.packed().len() + packed::element_bytes(element.len()), chunk.len() + 1)
    }

    /// Adds an element at an end.
    pub(super) fn push(&mut self, end: ListEnd, element: &[u8], limits: ChunkLimits) {
        let last = self.chunks.len().saturating_sub(1);
        let at = if end == ListEnd::Head { 0 } else { last };
        if self.chunks.is_empty() {
            self.add_chunk(0, Chunk::default());
        } else if !self.fits(at, element, limits) {
            // It will grow no more.
            self.change(at, Chunk::shrink);
            match end {
                ListEnd::Head => self.add_chunk(0, Chunk::default()),
                ListEnd::Tail => self.add_chunk(self.chunks.len(), Chunk::default()),
            }
        }
        let at = if end == ListEnd::Head { 0 } else { self.chunks.len() - 1 };
        self.change(at, |chunk| chunk.push(end, element, limits));
        self.len += 1;
    }

    /// Removes up to `count` elements at an end and passes each to `popped`; answers how many there were.
    pub(super) fn pop(&mut self, end: ListEnd, count: u64, popped: &mut dyn FnMut(&[u8])) -> u64 {
        let taken = count.min(self.len);
        let mut left = taken;
        while left > 0 {
            let at = if end == ListEnd::Head { 0 } else { self.chunks.len() - 1 };
            let here = left.min(self.chunks[at].len() as u64);
            self.change(at, |chunk| chunk.pop(end, here as usize, popped));
            if self.chunks[at].len() == 0 {
                self.drop_chunk(at);
            }
            left -= here;
        }
        self.len -= taken;
        if self.chunks.capacity() > 64 && self.chunks.len() < self.chunks.capacity() / 4 {
            self.chunks.shrink_to(self.chunks.len() * 2);
        }
        taken
    }

    /// Inserts an element before the one at an index.
    pub(super) fn insert(&mut self, index: u64, element: &[u8], limits: ChunkLimits) {
        let (at, within) = self.find(index);
        self.len += 1;
        if self.fits(at, element, limits) {
            let mut packed = Vec::with_capacity(packed::element_bytes(element.len()));
            packed::push(&mut packed, element);
            self.change(at, |chunk| chunk.splice(within..within, &packed, 1));
        } else if within == 0 {
            self.put_between(at, element, limits);
        } else {
            let tail = self.change(at, |chunk| chunk.split_off(within));
            self.add_chunk(at + 1, tail);
            self.put_between(at + 1, element, limits);
        }
    }

    /// Puts an element between the chunk at `at` and the one before it: into one of them, or into a new one.
    fn put_between(&mut self, at: usize, element: &[u8], limits: ChunkLimits) {
        if at > 0 && self.fits(at - 1, element, limits) {
            self.change(at - 1, |chunk| chunk.push(ListEnd::Tail, element, limits));
        } else if self.chunks.get(at).is_some() && self.fits(at, element, limits) {
            self.change(at, |chunk| chunk.push(ListEnd::Head, element, limits));
        } else {
            self.add_chunk(at, Chunk::default());
            self.change(at, |chunk| chunk.push(ListEnd::Tail, element, limits));
        }
    }

    /// Replaces the element at an index.
    pub(super) fn set(&mut self, index: u64, element: &[u8], limits: ChunkLimits) {
        let (at, within) = self.find(index);
        let chunk = &self.chunks[at];
        let old = packed::offsets_of(chunk.packed(), &(within..within + 1), chunk.len()).len();
        let bytes = chunk.packed().len() - old + packed::element_bytes(element.len());
        if limits.fits(bytes, chunk.len()) || bytes <= chunk.packed().len() {
            let mut packed = Vec::with_capacity(packed::element_bytes(element.len()));
            packed::push(&mut packed, element);
            self.change(at, |chunk| chunk.splice(within..within + 1, &packed, 1));
        } else {
            let mut tail = self.change(at, |chunk| chunk.split_off(within));
            tail.splice(0..1, &[], 0);
            if tail.len() > 0 {
                self.add_chunk(at + 1, tail);
            }
            if self.chunks[at].len() == 0 {
                self.drop_chunk(at);
                self.put_between(at, element, limits);
            } else {
                self.put_between(at + 1, element, limits);
            }
        }
    }

    /// Removes the elements of ranges, which are in order and apart.
    pub(super) fn remove(&mut self, ranges: &[Range<u64>], limits: ChunkLimits) {
        // From the last range to the first, so that the indexes of those before it stay.
        for range in ranges.iter().rev() {
            self.remove_range(range.clone(), limits);
        }
    }

    fn remove_range(&mut self, range: Range<u64>, limits: ChunkLimits) {
        let mut left = (range.end - range.start) as usize;
        let (mut at, within) = self.find(range.start);
        self.len -= left as u64;
        if within > 0 {
            let here = left.min(self.chunks[at].len() - within);
            self.change(at, |chunk| chunk.splice(within..within + here, &[], 0));
            left -= here;
            at += 1;
        }
        let mut end = at;
        while left > 0 && left >= self.chunks[end].len() {
            left -= self.chunks[end].len();
            end += 1;
        }
        if left > 0 {
            self.change(end, |chunk| chunk.splice(0..left, &[], 0));
        }
        for chunk in self.chunks.drain(at..end) {
            self.chunk_bytes -= chunk.memory();
        }
        // What is small now may be joined with its neighbours.
        self.join(at, limits);
        if at > 0 {
            self.join(at - 1, limits);
        }
    }

    /// Joins a chunk with the one behind it, if they are half a chunk together at most.
    fn join(&mut self, at: usize, limits: ChunkLimits) {
        let (Some(chunk), Some(next)) = (self.chunks.get(at), self.chunks.get(at + 1)) else { return };
        let bytes = chunk.packed().len() + next.packed().len();
        if bytes > limits.bytes_max / 2 || chunk.len() + next.len() > limits.count_max / 2 {
            return;
        }
        let next = self.chunks.remove(at + 1).expect("the chunk is there");
        self.chunk_bytes -= next.memory();
        self.change(at, |chunk| chunk.append(&next));
    }
}
