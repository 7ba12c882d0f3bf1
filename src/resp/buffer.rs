//! Replies on their way to a socket: bytes in chunks.

use std::collections::VecDeque;
use std::io::IoSlice;

use super::{Protocol, Reply};
use crate::limits::OUTPUT_CHUNK_BYTES;

/// Bytes of replies, appended at one end and sent from the other.
///
/// They are appended to the *open* chunk, an ordinary vector. When it is full it is closed and another is opened, so
/// that a buffer of any size grows without copying what it holds, and without room that it does not need. A
/// client that takes its replies as they come has the open chunk only, and for it this is a vector. A reply's large string has a
/// chunk of its own, as long as it.
///
/// ```
/// use kvorum::resp::{Protocol, ReplyBuffer};
///
/// let mut buffer = ReplyBuffer::default();
/// buffer.reply(Protocol::Resp2).ok();
/// buffer.advance(1, drop);
/// assert_eq!(buffer.unsent(), 4);
/// assert_eq!(buffer.first(), b"OK\r\n");
/// ```
#[derive(Debug, Default)]
pub struct ReplyBuffer {
    closed: Closed,
    open: Vec<u8>,
    /// Bytes of the first chunk that were sent.
    sent: usize,
}

/// The chunks before the open one, oldest first. None is empty.
#[derive(Debug, Default)]
pub(super) struct Closed {
    chunks: VecDeque<Vec<u8>>,
    /// Bytes in the chunks.
    bytes: usize,
    /// Bytes that the chunks take in memory.
    allocated: usize,
}

impl Closed {
    /// Bytes in the chunks.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Closes the open chunk and opens an empty one.
    pub(super) fn close(&mut self, open: &mut Vec<u8>) {
        if !open.is_empty() {
            self.push(std::mem::take(open));
        }
    }

    /// Makes `open` ready for a string: in a new chunk, unless there is little in the open one.
    #[cold]
    pub(super) fn make_room(&mut self, open: &mut Vec<u8>, bytes: usize) {
        if open.len() >= OUTPUT_CHUNK_BYTES / 2 {
            self.close(open);
        }
        if bytes >= OUTPUT_CHUNK_BYTES / 4 {
            open.reserve_exact(bytes);
        } else if open.is_empty() && !self.chunks.is_empty() {
            open.reserve_exact(OUTPUT_CHUNK_BYTES);
        } else {
            open.reserve(bytes);
        }
    }

    /// Takes back everything after the first `len` bytes, which end in a closed chunk.
    #[cold]
    pub(super) fn reopen(&mut self, open: &mut Vec<u8>, len: usize) {
        while len < self.bytes {
            let Some(chunk) = self.chunks.pop_back() else { break };
            self.bytes -= chunk.len();
            self.allocated -= chunk.capacity();
            *open = chunk;
        }
        open.truncate(len - self.bytes);
    }

    fn push(&mut self, chunk: Vec<u8>) {
        self.bytes += chunk.len();
        self.allocated += chunk.capacity();
        self.chunks.push_back(chunk);
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        let chunk = self.chunks.pop_front()?;
        self.bytes -= chunk.len();
        self.allocated -= chunk.capacity();
        Some(chunk)
    }

    /// Moves all chunks of another behind these.
    fn take(&mut self, other: &mut Self) {
        self.bytes += std::mem::take(&mut other.bytes);
        self.allocated += std::mem::take(&mut other.allocated);
        self.chunks.append(&mut other.chunks);
    }
}

impl ReplyBuffer {
    /// Appends replies.
    #[inline]
    pub fn reply(&mut self, protocol: Protocol) -> Reply<'_> {
        Reply::chunked(&mut self.open, &mut self.closed, protocol)
    }

    /// The open chunk, for replies that are made of small parts.
    pub fn open(&mut self) -> &mut Vec<u8> {
        &mut self.open
    }

    /// Number of bytes, with those of the first chunk that were sent. What [`truncate`](Self::truncate) takes.
    #[inline]
    pub fn len(&self) -> usize {
        self.closed.bytes + self.open.len()
    }

    /// Whether there is nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of bytes that are to be sent.
    #[inline]
    pub fn unsent(&self) -> usize {
        self.len() - self.sent
    }

    /// Bytes of memory that are taken by what is to be sent.
    pub fn held(&self) -> usize {
        let sent = if self.closed.chunks.is_empty() { self.sent } else { 0 };
        self.closed.allocated + self.open.len() - sent
    }

    /// Takes back everything after the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        match len.checked_sub(self.closed.bytes) {
            Some(len) => self.open.truncate(len),
            None => self.closed.reopen(&mut self.open, len),
        }
    }

    /// What is in the open chunk from `start` on: a short reply that began there.
    pub fn since(&self, start: usize) -> &[u8] {
        self.open.get(start.saturating_sub(self.closed.bytes)..).unwrap_or_default()
    }

    /// Appends everything that is in another buffer, of which nothing was sent, and empties it.
    #[inline]
    pub fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            std::mem::swap(self, other);
        } else {
            other.move_behind(&mut self.closed, &mut self.open);
        }
    }

    /// Moves everything behind other chunks.
    #[inline]
    pub(super) fn move_behind(&mut self, closed: &mut Closed, open: &mut Vec<u8>) {
        debug_assert_eq!(self.sent, 0, "these are bytes on their way to the buffer that is sent");
        if self.closed.chunks.is_empty() && fits(open, &self.open) {
            open.append(&mut self.open);
        } else {
            closed.close(open);
            closed.take(&mut self.closed);
            *open = std::mem::take(&mut self.open);
        }
    }

    /// Appends bytes that are protocol already.
    pub fn push(&mut self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        self.append(&mut Self { open: bytes, ..Self::default() });
    }

    /// Gives away all bytes, of which nothing was sent, chunk by chunk.
    pub fn into_chunks(mut self, mut take: impl FnMut(Vec<u8>)) {
        debug_assert_eq!(self.sent, 0, "these are bytes on their way elsewhere");
        while let Some(chunk) = self.closed.pop() {
            take(chunk);
        }
        if !self.open.is_empty() {
            take(self.open);
        }
    }

    /// Closes the open chunk if it is large. To be called when what it holds has to stay: it will not be copied to grow.
    #[inline]
    pub fn close_large(&mut self) {
        if self.open.len() >= OUTPUT_CHUNK_BYTES {
            self.closed.close(&mut self.open);
        }
    }

    /// The bytes to be sent first.
    #[inline]
    pub fn first(&self) -> &[u8] {
        &self.closed.chunks.front().unwrap_or(&self.open)[self.sent..]
    }

    /// Whether [`first`](Self::first) is all there is.
    #[inline]
    pub fn is_one_chunk(&self) -> bool {
        self.closed.chunks.is_empty()
    }

    /// The bytes to be sent, as many of the chunks as there is room for in `slices`; answers how many.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let chunks = self.closed.chunks.iter().chain([&self.open]).filter(|chunk| !chunk.is_empty());
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(chunks) {
            let skipped = if count == 0 { self.sent } else { 0 };
            *slice = IoSlice::new(&chunk[skipped..]);
            count += 1;
        }
        count
    }

    /// Notes that the first `count` bytes were sent; `recycle` gets the closed chunks that were sent as a whole.
    #[inline]
    pub fn advance(&mut self, count: usize, mut recycle: impl FnMut(Vec<u8>)) {
        self.sent += count;
        while let Some(first) = self.closed.chunks.front()
            && self.sent >= first.len()
        {
            self.sent -= first.len();
            recycle(self.closed.pop().unwrap_or_default());
        }
        debug_assert!(self.sent <= self.len(), "no more was sent than there was");
    }

    /// Empties the buffer, of which everything was sent, and hands out the open chunk for another use.
    #[inline]
    pub fn take_open(&mut self) -> Vec<u8> {
        self.sent = 0;
        let mut open = std::mem::take(&mut self.open);
        open.clear();
        open
    }

    /// Prepares for waiting until the socket takes more: drops the sent part of the open chunk, or closes the chunk.
    pub fn settle(&mut self) {
        self.close_large();
        if self.closed.chunks.is_empty() && self.sent > self.open.len() / 2 {
            self.open.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// All bytes that are to be sent, in one vector.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.unsent());
        for chunk in self.closed.chunks.iter().chain([&self.open]) {
            bytes.extend_from_slice(chunk);
        }
        bytes.drain(..self.sent);
        bytes
    }
}

/// Whether one open chunk is to be copied behind another: there is room for it, or both are small.
#[inline]
fn fits(open: &Vec<u8>, other: &[u8]) -> bool {
    open.capacity() - open.len() >= other.len() || open.len() + other.len() <= OUTPUT_CHUNK_BYTES
}

#[cfg(test)]
mod tests;
