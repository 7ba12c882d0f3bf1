//! Bytes with a small header, behind one thin pointer.
//!
//! ```text
//! | access clock: AtomicU32 | length: u16 | length bytes |
//! | access clock: AtomicU32 | u16::MAX | length: u32 | length bytes |     from 65,535 bytes on
//! ```
//!
//! A `Box<[u8]>` would do the same with safe code, but is two words wide and has no place for the
//! clock: with a million keys of 16 bytes and values of 64 that is 8 bytes a key in the entries and
//! 10 in the allocation, which is made in steps of four bytes here (`slab`).
//!
//! This module does not know what the bytes mean. It and `slab` are the only ones of the engine with unsafe code.

use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

use super::slab;

/// Where the length stands, behind the clock.
const LENGTH_AT: usize = size_of::<AtomicU32>();
/// Where the bytes stand, or the length that does not fit 16 bits.
const SHORT_HEADER_BYTES: usize = LENGTH_AT + size_of::<u16>();
const LONG_HEADER_BYTES: usize = SHORT_HEADER_BYTES + size_of::<u32>();
/// Says that the length stands behind.
const LONG: u16 = u16::MAX;

/// Owned bytes and the time of their last access.
pub(super) struct Blob {
    /// Points to memory of [`whole_bytes`]`(length)` bytes from [`slab`] with an initialised header and `length`
    /// initialised bytes behind it. Nothing else points to it.
    memory: NonNull<u8>,
}

// SAFETY: a `Blob` owns its memory alone, as a `Box<[u8]>` does; no part is bound to a thread.
unsafe impl Send for Blob {}
// SAFETY: under a shared reference the bytes and the length are only read, and the clock is atomic.
unsafe impl Sync for Blob {}

/// Bytes of header and bytes of a blob.
const fn whole_bytes(length: usize) -> usize {
    length + if length < LONG as usize { SHORT_HEADER_BYTES } else { LONG_HEADER_BYTES }
}

impl Blob {
    /// A blob that holds `parts` one after the other.
    ///
    /// # Panics
    /// When they are 4 GiB or longer together.
    pub(super) fn concat(parts: &[&[u8]], clock: u32) -> Self {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let length = u32::try_from(total).expect("commands bound keys and values far below 4 GiB");
        let memory = slab::allocate(whole_bytes(total));
        // SAFETY: the memory was allocated just now for a header and `total` bytes, at a multiple of four. It
        // is owned here alone, so no part overlaps it.
        unsafe {
            memory.cast::<AtomicU32>().write(AtomicU32::new(clock));
            let bytes = if total < usize::from(LONG) {
                memory.add(LENGTH_AT).cast::<u16>().write(length as u16);
                memory.add(SHORT_HEADER_BYTES)
            } else {
                memory.add(LENGTH_AT).cast::<u16>().write(LONG);
                memory.add(SHORT_HEADER_BYTES).cast::<u32>().write_unaligned(length);
                memory.add(LONG_HEADER_BYTES)
            };
            copy_parts(bytes.as_ptr(), parts);
        }
        Self { memory }
    }

    /// Replaces the bytes by `parts` without a new allocation, if they are as long together.
    pub(super) fn overwrite(&mut self, parts: &[&[u8]]) -> bool {
        if parts.iter().map(|part| part.len()).sum::<usize>() != self.len() {
            return false;
        }
        // SAFETY: `parts` are together as long as the blob's bytes. No part overlaps them,
        // because this blob is borrowed mutably.
        unsafe { copy_parts(self.span().0.as_ptr(), parts) };
        true
    }

    /// The clock.
    #[inline]
    fn clock_cell(&self) -> &AtomicU32 {
        // SAFETY: the memory begins with an initialised clock, is aligned for it, and lives as long as `self`.
        unsafe { self.memory.cast().as_ref() }
    }

    /// Where the bytes begin, and their number.
    #[inline]
    fn span(&self) -> (NonNull<u8>, usize) {
        // SAFETY: the header is initialised, and the bytes begin behind it, or the memory ends just there.
        unsafe {
            let length = self.memory.add(LENGTH_AT).cast::<u16>().read();
            if length != LONG {
                return (self.memory.add(SHORT_HEADER_BYTES), usize::from(length));
            }
            let length = self.memory.add(SHORT_HEADER_BYTES).cast::<u32>().read_unaligned();
            (self.memory.add(LONG_HEADER_BYTES), length as usize)
        }
    }

    /// Where it is, as a number: reading this does not read the blob.
    #[inline]
    pub(super) fn address(&self) -> usize {
        self.memory.addr().get()
    }

    /// Number of bytes.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.span().1
    }

    /// The bytes.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        let (start, length) = self.span();
        // SAFETY: `length` initialised bytes stand there; they change only under `&mut self`.
        unsafe { slice::from_raw_parts(start.as_ptr(), length) }
    }

    /// Bytes of memory that it takes.
    #[inline]
    pub(super) fn taken_bytes(&self) -> usize {
        slab::taken_bytes(whole_bytes(self.len()))
    }

    /// The time of the last access, in the unit of whoever set it.
    pub(super) fn clock(&self) -> u32 {
        self.clock_cell().load(Ordering::Relaxed)
    }

    /// Sets the time of the last access.
    #[inline]
    pub(super) fn set_clock(&self, clock: u32) {
        let current = self.clock_cell();
        // Reads of a hot key by many threads shall not pass its cache line around.
        if current.load(Ordering::Relaxed) != clock {
            current.store(clock, Ordering::Relaxed);
        }
    }
}

/// Copies `parts` one after the other to `target`.
///
/// # Safety
/// `target` must be valid for writes of the length of all parts, and none may overlap it.
unsafe fn copy_parts(mut target: *mut u8, parts: &[&[u8]]) {
    for part in parts {
        // SAFETY: the caller vouches for the target; a slice is valid for reads of its length.
        unsafe {
            ptr::copy_nonoverlapping(part.as_ptr(), target, part.len());
            target = target.add(part.len());
        }
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        let bytes = whole_bytes(self.len());
        // SAFETY: the memory was allocated with this length and is not used after the drop.
        unsafe { slab::free(self.memory, bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_word_with_a_niche() {
        assert_eq!(size_of::<Option<Blob>>(), size_of::<usize>());
    }

    #[test]
    fn holds_its_parts() {
        let blob = Blob::concat(&[b"ab", b"", b"cde"], 7);
        assert_eq!(blob.bytes(), b"abcde");
        assert_eq!(blob.len(), 5);
        assert_eq!(blob.clock(), 7);
        assert_eq!(Blob::concat(&[], 0).bytes(), b"");
    }

    #[test]
    fn lengths_around_the_long_header() {
        for length in [1, 500, 506, 507, 65_534, 65_535, 65_536, 200_000] {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut blob = Blob::concat(&[&bytes[..1], &bytes[1..]], 9);
            assert_eq!((blob.len(), blob.clock(), blob.bytes()), (length, 9, &bytes[..]));
            assert!(blob.taken_bytes() >= length + SHORT_HEADER_BYTES);
            let other = vec![7; length];
            assert!(blob.overwrite(&[&other]));
            assert_eq!((blob.len(), blob.clock(), blob.bytes()), (length, 9, &other[..]));
        }
    }

    #[test]
    fn overwrites_only_the_same_length() {
        let mut blob = Blob::concat(&[b"abc"], 1);
        assert!(blob.overwrite(&[b"x", b"yz"]));
        assert_eq!(blob.bytes(), b"xyz");
        assert!(!blob.overwrite(&[b"longer"]));
        assert!(!blob.overwrite(&[]));
        assert_eq!(blob.bytes(), b"xyz");
    }

    #[test]
    fn clock_moves_under_shared_access_from_threads() {
        let blob = Blob::concat(&[b"shared"], 0);
        std::thread::scope(|scope| {
            for clock in 1..4 {
                let blob = &blob;
                scope.spawn(move || {
                    blob.set_clock(clock);
                    assert_eq!(blob.bytes(), b"shared");
                });
            }
        });
        assert!((1..4).contains(&blob.clock()));
    }

    #[test]
    fn moves_and_drops() {
        let mut blobs: Vec<Blob> = (0..100u32).map(|i| Blob::concat(&[&vec![i as u8; i as usize]], i)).collect();
        blobs.swap_remove(3);
        for blob in blobs {
            assert!(blob.bytes().iter().all(|&byte| u32::from(byte) == blob.clock()));
        }
    }
}
