//! Memory for records: blocks in steps of four bytes.
//!
//! A store is mostly records of a hundred bytes. The allocator's size classes are 16 bytes apart up to 128 and a
//! fifth apart above, so that a record of 84 bytes takes 96 and one of 130 takes 160, and it keeps books of every
//! few pages. Here a block is at most three bytes longer than what was asked for, and a slab has so many of them
//! that its header does not count.
//!
//! ```text
//! slab  := header | block | block | ...     32 KiB, at a multiple of 32 KiB; blocks of one size
//! block := what it is used for, or, while it is free: index of the next free block: u16
//! ```
//!
//! The slab of a block is found by its address. Slabs with free blocks stand in a list by size; the first is taken
//! from until it is full, and one that has a block again goes to the end, so that it may become empty
//! meanwhile and be given back. There are several sets of lists, and a thread keeps to one, so that threads seldom
//! wait for each other; any thread may free any block. A block that is freed waits with fifteen others of its size to be
//! used again or put back into its slab: the headers of sixteen slabs, which are seldom in the processor's caches, are then
//! read at once.
//!
//! What is longer than [`BLOCK_MAX_BYTES`] comes from the allocator directly.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

/// Bytes of a slab, and what its address is a multiple of.
const SLAB_BYTES: usize = 32 * 1024;
/// What the lengths of blocks are multiples of, and their addresses too.
const STEP_BYTES: usize = 4;
/// Longest block.
const BLOCK_MAX_BYTES: usize = 512;
/// Number of block sizes.
const SIZES: usize = BLOCK_MAX_BYTES / STEP_BYTES;
/// Number of sets of lists. Each may have one slab of every size that is partly used.
const SETS: usize = 8;
/// Freed blocks that wait in a list.
const SPARE_MAX: usize = 16;
/// No block.
const NONE: u16 = u16::MAX;

/// Bytes that blocks begin at.
const BLOCKS_START: usize = size_of::<Slab>().next_multiple_of(STEP_BYTES);

/// What stands at the beginning of a slab. Which list it belongs to never changes; the rest is guarded by the
/// list's lock.
#[repr(C)]
struct Slab {
    set: u16,
    size: u16,
    /// Number of blocks in use.
    used: u16,
    /// Number of blocks that were ever in use: those behind are free and hold no link.
    begun: u16,
    /// The first free block of those that were in use.
    free: u16,
    /// Neighbours in the list of slabs with free blocks.
    previous: *mut Slab,
    next: *mut Slab,
}

/// The slabs with free blocks of one size.
struct List {
    first: *mut Slab,
    last: *mut Slab,
    /// Number of slabs, full ones included.
    slabs: usize,
    /// Number of blocks handed out less those taken back, of whichever list they are.
    used: isize,
    /// Blocks to be used again, of any list for this size.
    spare: [*mut u8; SPARE_MAX],
    spares: usize,
}

// SAFETY: the pointers are to slabs that only this list refers to, and to blocks that nothing else does, whoever
// holds it.
unsafe impl Send for List {}

static LISTS: [[Mutex<List>; SIZES]; SETS] = [const { [const { Mutex::new(List::EMPTY) }; SIZES] }; SETS];

thread_local! {
    /// The set of lists that this thread takes blocks from.
    static SET: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The set of lists of this thread. Threads are dealt out in turn.
#[inline]
fn own_set() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let set = SET.get();
    if set != usize::MAX {
        return set;
    }
    let set = NEXT.fetch_add(1, Ordering::Relaxed) % SETS;
    SET.set(set);
    set
}

/// Index of the size of block that holds `bytes`, which are not zero.
const fn size_of_block(bytes: usize) -> usize {
    (bytes - 1) / STEP_BYTES
}

/// Bytes of a block with an index.
const fn block_bytes(size: usize) -> usize {
    (size + 1) * STEP_BYTES
}

/// Number of blocks in a slab.
const fn blocks(size: usize) -> usize {
    (SLAB_BYTES - BLOCKS_START) / block_bytes(size)
}

fn slab_layout() -> Layout {
    Layout::from_size_align(SLAB_BYTES, SLAB_BYTES).expect("a power of two")
}

/// The layout of what is too long for a block.
fn large_layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, STEP_BYTES).expect("a length of 32 bits fits a layout")
}

/// Memory for `bytes`, at least one, at a multiple of [`STEP_BYTES`]. It is not initialised.
#[inline]
pub(super) fn allocate(bytes: usize) -> NonNull<u8> {
    if bytes > BLOCK_MAX_BYTES {
        let layout = large_layout(bytes);
        // SAFETY: the size is not zero.
        let memory = unsafe { alloc(layout) };
        return NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout));
    }
    let (set, size) = (own_set(), size_of_block(bytes));
    let mut list = LISTS[set][size].lock();
    list.used += 1;
    if let Some(last) = list.spares.checked_sub(1) {
        list.spares = last;
        // SAFETY: what was freed is not null.
        return unsafe { NonNull::new_unchecked(list.spare[last]) };
    }
    if list.first.is_null() {
        list.add(set, size);
    }
    // SAFETY: the list has a first slab now.
    unsafe { list.take_block(size) }
}

/// Gives memory back.
///
/// # Safety
/// `memory` must come from [`allocate`] with the same `bytes`, and must not be used any more.
#[inline]
pub(super) unsafe fn free(memory: NonNull<u8>, bytes: usize) {
    if bytes > BLOCK_MAX_BYTES {
        // SAFETY: it was allocated with this layout, says the caller.
        return unsafe { dealloc(memory.as_ptr(), large_layout(bytes)) };
    }
    let size = size_of_block(bytes);
    let mut list = LISTS[own_set()][size].lock();
    list.used -= 1;
    if list.spares < SPARE_MAX {
        let place = list.spares;
        list.spare[place] = memory.as_ptr();
        list.spares += 1;
        return;
    }
    let full = std::mem::replace(&mut list.spare, [ptr::null_mut(); SPARE_MAX]);
    list.spare[0] = memory.as_ptr();
    list.spares = 1;
    drop(list);
    // SAFETY: the blocks were freed with this size, and no list has them any more.
    unsafe { put_back(&full, size) };
}

/// Puts blocks back into their slabs.
///
/// # Safety
/// They must be blocks of this size that nothing uses.
#[cold]
unsafe fn put_back(blocks: &[*mut u8; SPARE_MAX], size: usize) {
    let slab_of = |block: *mut u8| block.map_addr(|address| address & !(SLAB_BYTES - 1)).cast::<Slab>();
    // SAFETY: each block lies in a slab, which begins at the multiple of its length below, and which lives as long as
    // a block of it was not put back. The set is written before any block is handed out and never again; a
    // block is put back under the lock of the list that has its slab.
    unsafe {
        let sets = blocks.map(|block| usize::from((*slab_of(block)).set));
        for (&block, set) in blocks.iter().zip(sets) {
            LISTS[set][size].lock().put_block(slab_of(block), block, size);
        }
    }
}

/// Bytes of memory that is kept for records to come, of all engines in the process.
pub fn idle_bytes() -> usize {
    // A block may be counted in one list and taken back in another.
    let mut idle = 0isize;
    for set in &LISTS {
        for (size, list) in set.iter().enumerate() {
            idle += list.lock().idle(size);
        }
    }
    idle.max(0) as usize
}

/// Bytes that memory for `bytes` takes.
pub(super) fn taken_bytes(bytes: usize) -> usize {
    if bytes > BLOCK_MAX_BYTES {
        return super::dense::allocated_bytes(bytes);
    }
    bytes.next_multiple_of(STEP_BYTES)
}

impl List {
    const EMPTY: Self = Self {
        first: ptr::null_mut(),
        last: ptr::null_mut(),
        slabs: 0,
        used: 0,
        spare: [ptr::null_mut(); SPARE_MAX],
        spares: 0,
    };

    /// Bytes of the slabs less those of blocks in use.
    fn idle(&self, size: usize) -> isize {
        (self.slabs * SLAB_BYTES) as isize - self.used * block_bytes(size) as isize
    }

    /// Makes a new slab the only one of the list, which is empty.
    #[cold]
    fn add(&mut self, set: usize, size: usize) {
        let layout = slab_layout();
        // SAFETY: the size is not zero.
        let memory = unsafe { alloc(layout) }.cast::<Slab>();
        if memory.is_null() {
            handle_alloc_error(layout);
        }
        let header = Slab {
            set: set as u16,
            size: size as u16,
            used: 0,
            begun: 0,
            free: NONE,
            previous: ptr::null_mut(),
            next: ptr::null_mut(),
        };
        // SAFETY: the memory is long enough and aligned.
        unsafe { memory.write(header) };
        self.first = memory;
        self.last = memory;
        self.slabs += 1;
    }

    /// Takes a block from the first slab. A slab that is full then leaves the list.
    ///
    /// # Safety
    /// There must be a first slab.
    #[inline]
    unsafe fn take_block(&mut self, size: usize) -> NonNull<u8> {
        let slab = self.first;
        // SAFETY: slabs of the list are alive and have a free block: one that was in use, whose first bytes
        // then hold an index, or one behind all that were. A place in a slab is not null.
        unsafe {
            let mut block = (*slab).free;
            let never_used = block == NONE;
            if never_used {
                block = (*slab).begun;
                (*slab).begun += 1;
            }
            let memory = slab.cast::<u8>().add(BLOCKS_START + usize::from(block) * block_bytes(size));
            if !never_used {
                (*slab).free = memory.cast::<u16>().read();
            }
            (*slab).used += 1;
            if usize::from((*slab).used) == blocks(size) {
                self.unlink(slab);
            }
            NonNull::new_unchecked(memory)
        }
    }

    /// Takes a block back. An empty slab is given back unless it is the only one of the list.
    ///
    /// # Safety
    /// The slab must belong to this list and the block to the slab, and nothing may use the block.
    #[inline]
    unsafe fn put_block(&mut self, slab: *mut Slab, memory: *mut u8, size: usize) {
        // SAFETY: as the caller says; the index fits a block, of which the shortest has four bytes.
        unsafe {
            debug_assert_eq!(usize::from((*slab).size), size, "blocks are freed with their length");
            let offset = memory.addr() - slab.addr() - BLOCKS_START;
            memory.cast::<u16>().write((*slab).free);
            (*slab).free = (offset / block_bytes(size)) as u16;
            let was_full = usize::from((*slab).used) == blocks(size);
            (*slab).used -= 1;
            if was_full {
                self.append(slab);
            }
            if (*slab).used == 0 && self.first != self.last {
                self.unlink(slab);
                self.slabs -= 1;
                dealloc(slab.cast(), slab_layout());
            }
        }
    }

    /// Appends a slab that is in no list.
    ///
    /// # Safety
    /// The slab must be alive.
    unsafe fn append(&mut self, slab: *mut Slab) {
        // SAFETY: the caller vouches for the slab, the list for its last.
        unsafe {
            (*slab).previous = self.last;
            (*slab).next = ptr::null_mut();
            match self.last.is_null() {
                true => self.first = slab,
                false => (*self.last).next = slab,
            }
        }
        self.last = slab;
    }

    /// Takes a slab out of the list.
    ///
    /// # Safety
    /// The slab must be in the list.
    unsafe fn unlink(&mut self, slab: *mut Slab) {
        // SAFETY: slabs in the list and their neighbours are alive.
        unsafe {
            let (previous, next) = ((*slab).previous, (*slab).next);
            match previous.is_null() {
                true => self.first = next,
                false => (*previous).next = next,
            }
            match next.is_null() {
                true => self.last = previous,
                false => (*next).previous = previous,
            }
            (*slab).previous = ptr::null_mut();
            (*slab).next = ptr::null_mut();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::rng::Rng;

    /// A block filled with one byte.
    struct Filled(NonNull<u8>, usize, u8);

    // SAFETY: it owns its memory.
    unsafe impl Send for Filled {}

    impl Filled {
        fn new(bytes: usize, byte: u8) -> Self {
            let memory = allocate(bytes);
            assert_eq!(memory.addr().get() % STEP_BYTES, 0);
            // SAFETY: the memory is `bytes` long.
            unsafe { memory.as_ptr().write_bytes(byte, bytes) };
            Self(memory, bytes, byte)
        }
    }

    impl Drop for Filled {
        fn drop(&mut self) {
            // SAFETY: it was written whole, is used by nobody else, and not after this.
            unsafe {
                let bytes = std::slice::from_raw_parts(self.0.as_ptr(), self.1);
                assert!(bytes.iter().all(|&byte| byte == self.2), "somebody else wrote here");
                free(self.0, self.1);
            }
        }
    }

    #[test]
    fn blocks_do_not_overlap_and_come_back() {
        let mut rng = Rng::new(5);
        let mut live: Vec<Filled> = Vec::new();
        for step in 0..if cfg!(miri) { 2_000 } else { 300_000 } {
            // Grows and shrinks in turn, down to almost nothing.
            let growing = if step / 20_000 % 2 == 0 { 70 } else { 30 };
            if live.is_empty() || rng.below(100) < growing {
                let bytes = 1 + rng.below(BLOCK_MAX_BYTES as u64 + 40) as usize;
                live.push(Filled::new(bytes, step as u8));
            } else {
                live.swap_remove(rng.below(live.len() as u64) as usize);
            }
        }
    }

    #[test]
    fn threads_free_what_others_allocated() {
        let (sender, receiver) = std::sync::mpsc::channel::<Filled>();
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let sender = sender.clone();
                scope.spawn(move || {
                    for bytes in 0..if cfg!(miri) { 50 } else { 20_000 } {
                        sender.send(Filled::new(1 + bytes % 200, thread)).expect("it is received");
                    }
                });
            }
            drop(sender);
            let mut kept = Vec::new();
            for filled in receiver {
                kept.push(filled);
                if kept.len() > 3000 {
                    kept.drain(..1500);
                }
            }
        });
    }

    #[test]
    fn empty_slabs_are_given_back() {
        // A size of its own: other tests run at the same time in this process when cargo test runs them.
        const BYTES: usize = 508;
        let count = |list: &List| (list.slabs, list.used);
        let own = || count(&LISTS[own_set()][size_of_block(BYTES)].lock());
        let (slabs, used) = own();
        let live: Vec<Filled> = (0..3000).map(|_| Filled::new(BYTES, 1)).collect();
        let (more_slabs, more_used) = own();
        assert_eq!(more_used - used, 3000);
        assert!(more_slabs - slabs >= 3000 / blocks(size_of_block(BYTES)));
        drop(live);
        let (after, after_used) = own();
        assert_eq!(after_used, used);
        // One is kept, and each block that waits to be used again may keep another.
        assert!(after <= slabs + 1 + SPARE_MAX, "{slabs} slabs before, {after} after");
        assert!(more_slabs > slabs + 1 + SPARE_MAX, "the test allocates enough");
    }

    #[test]
    fn idle_is_what_blocks_do_not_take() {
        // As above, a size of its own.
        const BYTES: usize = 404;
        let idle = || LISTS[own_set()][size_of_block(BYTES)].lock().idle(size_of_block(BYTES));
        let before = idle();
        let one = Filled::new(BYTES, 1);
        let with_one = idle();
        assert_eq!((before - with_one).rem_euclid(SLAB_BYTES as isize), BYTES as isize);
        assert!(idle_bytes() as isize >= with_one);
        drop(one);
        assert_eq!(idle(), with_one + BYTES as isize, "the last slab is kept");
    }
}
