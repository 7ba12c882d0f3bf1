//! One allocation with a small header, behind one thin pointer.
//!
//! ```text
//! | length: u32 | access clock: AtomicU32 | length bytes |
//! ```
//!
//! A `Box<[u8]>` would do the same with safe code, but is two words wide and has no place for the
//! clock: with a million keys of 16 bytes and values of 64 that is 8 bytes a key in the entries and
//! the step to the next size class in the allocation.
//!
//! This module does not know what the bytes mean. It is the only one of the engine with unsafe code.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

/// What stands before the bytes.
#[repr(C)]
struct Header {
    length: u32,
    clock: AtomicU32,
}

/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = size_of::<Header>();

/// Owned bytes and the time of their last access.
pub(super) struct Blob {
    /// Points to an allocation of [`layout`]`(length)` that begins with an initialised [`Header`],
    /// followed by `length` initialised bytes. Nothing else points to it.
    allocation: NonNull<Header>,
}

// SAFETY: a `Blob` owns its allocation alone, as a `Box<[u8]>` does; no part is bound to a thread.
unsafe impl Send for Blob {}
// SAFETY: under a shared reference the bytes and the length are only read, and the clock is atomic.
unsafe impl Sync for Blob {}

/// The layout of a blob of `length` bytes.
fn layout(length: usize) -> Layout {
    Layout::from_size_align(HEADER_BYTES + length, align_of::<Header>()).expect("a length of 32 bits fits a layout")
}

impl Blob {
    /// A blob that holds `parts` one after the other.
    ///
    /// # Panics
    /// When they are 4 GiB or longer together.
    pub(super) fn concat(parts: &[&[u8]], clock: u32) -> Self {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let length = u32::try_from(total).expect("commands bound keys and values far below 4 GiB");
        let layout = layout(total);
        // SAFETY: the layout holds at least the header, so its size is not zero.
        let memory = unsafe { alloc(layout) }.cast::<Header>();
        let Some(allocation) = NonNull::new(memory) else { handle_alloc_error(layout) };
        // SAFETY: the allocation was made just now for a header and `total` bytes, aligned for the
        // header. It is owned here alone, so no part overlaps it.
        unsafe {
            allocation.write(Header { length, clock: AtomicU32::new(clock) });
            copy_parts(allocation.add(1).cast().as_ptr(), parts);
        }
        Self { allocation }
    }

    /// Replaces the bytes by `parts` without a new allocation, if they are as long together.
    pub(super) fn overwrite(&mut self, parts: &[&[u8]]) -> bool {
        if parts.iter().map(|part| part.len()).sum::<usize>() != self.len() {
            return false;
        }
        // SAFETY: `parts` are together as long as the allocation's bytes. No part overlaps them,
        // because this blob is borrowed mutably.
        unsafe { copy_parts(self.start().as_ptr(), parts) };
        true
    }

    fn header(&self) -> &Header {
        // SAFETY: the allocation begins with an initialised header and lives as long as `self`.
        unsafe { self.allocation.as_ref() }
    }

    fn start(&self) -> NonNull<u8> {
        // SAFETY: behind the header the allocation goes on, or ends just there.
        unsafe { self.allocation.add(1) }.cast()
    }

    /// Where it is, as a number: reading this does not read the blob.
    #[inline]
    pub(super) fn address(&self) -> usize {
        self.allocation.as_ptr() as usize
    }

    /// Number of bytes.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.header().length as usize
    }

    /// The bytes.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: `length` initialised bytes follow the header; they change only under `&mut self`.
        unsafe { slice::from_raw_parts(self.start().as_ptr(), self.len()) }
    }

    /// The time of the last access, in the unit of whoever set it.
    pub(super) fn clock(&self) -> u32 {
        self.header().clock.load(Ordering::Relaxed)
    }

    /// Sets the time of the last access.
    #[inline]
    pub(super) fn set_clock(&self, clock: u32) {
        let current = &self.header().clock;
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
        let layout = layout(self.len());
        // SAFETY: the allocation was made with this layout and is not used after the drop.
        unsafe { dealloc(self.allocation.as_ptr().cast(), layout) };
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
